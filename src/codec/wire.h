/* codec/wire.h: protobuf messages between site and coordinator (codec/wire.proto).
 *
 * Every message begins with the version of the protocol and the name of the study, so the two are
 * checked here, before anybody looks at the rest. What a message may cost in memory follows from
 * its size on the wire: small repeated fields grow when decoded, and the ceiling stops a message
 * made to grow. */
#ifndef WH_CODEC_WIRE_H
#define WH_CODEC_WIRE_H

#include "base/buf.h"
#include "codec/wire.pb-c.h"

enum { WH_WIRE_VERSION = 1, WH_WIRE_STUDY_SIZE = 32 };

typedef struct wh_wire {
    void *message; /* of the type asked for: const Whist__V1__Task *task = wire.message; */
    wh_arena memory;
    uint8_t *at; /* the part of memory being handed out, with `left` bytes */
    size_t left;
    size_t used, ceiling; /* bytes of memory */
    bool exhausted;       /* something was refused because of the ceiling */
    bool no_memory;       /* … or because there was none */
} wh_wire;
#define WH_WIRE_EMPTY                                                                                                  \
    {                                                                                                                  \
        .memory = WH_ARENA_EMPTY                                                                                       \
    }

/* Decodes one message, at most max_size bytes on the wire and 8 * size + 256 KiB in memory.
 *
 * study   32 bytes that the message must name, or NULL where any will do (its length is checked)
 *
 * WHIST_E_FORMAT for what is no such message, with unknown bytes allowed as protobuf has it, but
 * text must be UTF-8; WHIST_E_RANGE above max_size or the ceiling; WHIST_E_UNSUPPORTED for another
 * version; WHIST_E_AUTH for another study. `out` is empty before, untouched on failure; ended by
 * wh_wire_clear. */
WH_MUST_CHECK whist_status wh_wire_decode(wh_wire *out, const ProtobufCMessageDescriptor *type, whist_bytes bytes,
                                          size_t max_size, const uint8_t *study);
void wh_wire_clear(wh_wire *wire);
WH_AUTO_CLEAR(wh_wire, wh_wire_clear)

/* Appends a message. Set it up by whist__v1__…__init(&message), not by the _INIT macros, which cast
 * const away. The caller has set version and study: WHIST_E_ARG otherwise. WHIST_E_RANGE
 * past the buffer's limit, WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_wire_encode(wh_buf *out, const ProtobufCMessage *message);

#endif
