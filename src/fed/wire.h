/* fed/wire.h: between our structs and the protobuf messages, shared by both ends (serve.c, link_http.c). */
#ifndef WH_FED_WIRE_H
#define WH_FED_WIRE_H

#include "codec/wire.h"
#include "fed/link.h"

enum {
    WH_WIRE_CONTROL_MAX = 1 << 20, /* bytes of a control message */
    WH_WIRE_NAMES_MAX = 65536,
};

#define WH_PATH_HELLO "/v1/hello"
#define WH_PATH_POLL "/v1/poll"
#define WH_PATH_BEGIN "/v1/begin"
#define WH_PATH_SUBMIT "/v1/submit"
#define WH_PATH_DECLINE "/v1/decline"
#define WH_PATH_LEDGER "/v1/ledger"
#define WH_PATH_STATUS "/v1/status"
#define WH_PATH_START "/v1/start"
#define WH_PATH_STOP "/v1/stop"
#define WH_PATH_MODEL_CHUNK "/v1/chunk/model/"   /* STEP/INDEX */
#define WH_PATH_UPLOAD_CHUNK "/v1/chunk/upload/" /* STEP/PHASE/INDEX */

/* message->… = manifest; digests are views into it. pieces: n_chunks views, from the arena. */
WH_MUST_CHECK whist_status wh_wire_put_manifest(Whist__V1__Manifest *out, wh_arena *arena, const wh_manifest *manifest);
WH_MUST_CHECK whist_status wh_wire_get_manifest(wh_manifest *out, const Whist__V1__Manifest *in);

/* Envelopes that point into messages. */
WH_MUST_CHECK whist_status wh_wire_put_messages(Whist__V1__Envelope ***out, wh_arena *arena,
                                                const whist_message *messages, size_t n);
/* Messages whose bodies point into the envelopes. */
WH_MUST_CHECK whist_status wh_wire_get_messages(whist_message **out, wh_arena *arena, Whist__V1__Envelope **in,
                                                size_t n);

/* Reads "A/B/C" of decimal numbers after a prefix; false when it is anything else. */
bool wh_wire_numbers(const char *path, const char *prefix, uint64_t *out, size_t n);

#endif
