/* Fuzz target: codec/log.h: records and states from outside. No key here has a known secret, so no
 * record may ever pass. */
#include "codec/log.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[WH_SIGN_PUBLIC] = {
        /* RFC 8032, section 7.1, test 1 */
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
        0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    };
    whist_bytes bytes = {data, size};
    wh_cursor cursor = wh_cursor_over(bytes);
    wh_log_state state;
    uint64_t n;
    wh_digest root;
    if (wh_log_begin(&state, "fuzz", key) != WHIST_OK) __builtin_trap();
    /* Takes the log's name from the input, so that what comes behind it is reached. */
    if (size >= 44) memcpy(state.id, data + 12, sizeof state.id);
    if (wh_log_verify_record(&state, &cursor, NULL) == WHIST_OK) __builtin_trap();
    if (wh_log_head_verify(&n, &root, bytes, state.id, key) == WHIST_OK) __builtin_trap();
    if (wh_log_state_decode(&state, bytes) != WHIST_OK) return 0;
    wh_merkle_root(&root, &state.tree);
    WH_AUTO(wh_buf) again = WH_BUF_EMPTY;
    if (wh_log_state_encode(&again, &state) != WHIST_OK) __builtin_trap();
    if (again.len != size || memcmp(again.data, data, size) != 0) __builtin_trap();
    return 0;
}
