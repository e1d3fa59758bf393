/* Fuzz target: codec/wire.h; the first byte picks the type of message. What passes must go back on
 * the wire. */
#include "codec/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &whist__v1__hello__descriptor,        &whist__v1__hello_reply__descriptor, &whist__v1__poll__descriptor,
        &whist__v1__task__descriptor,         &whist__v1__begin__descriptor,       &whist__v1__begin_reply__descriptor,
        &whist__v1__submit__descriptor,       &whist__v1__decline__descriptor,     &whist__v1__status__descriptor,
        &whist__v1__status_reply__descriptor, &whist__v1__ledger_note__descriptor,
    };
    if (size == 0) return 0;
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_AUTO(wh_buf) again = WH_BUF_EMPTY;
    const ProtobufCMessageDescriptor *type = types[data[0] % (sizeof types / sizeof *types)];
    if (wh_wire_decode(&wire, type, (whist_bytes){data + 1, size - 1}, 1 << 20, NULL) != WHIST_OK) return 0;
    if (wh_wire_encode(&again, wire.message) != WHIST_OK) __builtin_trap();
    return 0;
}
