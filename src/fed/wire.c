/* fed/wire.c: field by field, with every bound checked on the way in. */
#include "fed/wire.h"

#include <stdlib.h>
#include <string.h>

whist_status wh_wire_put_manifest(Whist__V1__Manifest *out, wh_arena *arena, const wh_manifest *manifest)
{
    whist__v1__manifest__init(out);
    out->bytes = manifest->bytes;
    out->chunk_bytes = manifest->chunk_bytes;
    WH_TRY(WH_ARENA_NEW(&out->digests, arena, manifest->n_chunks));
    for (size_t i = 0; i < manifest->n_chunks; i++)
        out->digests[i] = (ProtobufCBinaryData){sizeof manifest->digests[i].bytes, manifest->digests[i].bytes};
    out->n_digests = manifest->n_chunks;
    return WHIST_OK;
}

whist_status wh_wire_get_manifest(wh_manifest *out, const Whist__V1__Manifest *in)
{
    if (!in) WH_FAIL(WHIST_E_FORMAT, "the message lacks its manifest");
    wh_manifest manifest = WH_MANIFEST_EMPTY;
    WH_TRY(wh_manifest_init(&manifest, in->bytes, in->chunk_bytes));
    bool good = in->n_digests == manifest.n_chunks;
    for (size_t i = 0; good && i < in->n_digests; i++) {
        good = in->digests[i].len == sizeof manifest.digests[i].bytes;
        if (good) memcpy(manifest.digests[i].bytes, in->digests[i].data, in->digests[i].len);
    }
    if (!good) {
        wh_manifest_clear(&manifest);
        WH_FAIL(WHIST_E_FORMAT, "a manifest whose digests do not fit its size");
    }
    *out = manifest;
    return WHIST_OK;
}

whist_status wh_wire_put_messages(Whist__V1__Envelope ***out, wh_arena *arena, const whist_message *messages, size_t n)
{
    Whist__V1__Envelope *envelopes;
    WH_TRY(WH_ARENA_NEW(out, arena, n));
    WH_TRY(WH_ARENA_NEW(&envelopes, arena, n));
    for (size_t i = 0; i < n; i++) {
        whist__v1__envelope__init(&envelopes[i]);
        WH_TRY(wh_arena_strdup(&envelopes[i].from, arena, messages[i].from));
        WH_TRY(wh_arena_strdup(&envelopes[i].to, arena, messages[i].to));
        uint8_t *body;
        WH_TRY(WH_ARENA_NEW(&body, arena, messages[i].body.len));
        if (messages[i].body.len) memcpy(body, messages[i].body.data, messages[i].body.len);
        envelopes[i].body = (ProtobufCBinaryData){messages[i].body.len, body};
        (*out)[i] = &envelopes[i];
    }
    return WHIST_OK;
}

whist_status wh_wire_get_messages(whist_message **out, wh_arena *arena, Whist__V1__Envelope **in, size_t n)
{
    WH_TRY(WH_ARENA_NEW(out, arena, n));
    for (size_t i = 0; i < n; i++) {
        whist_message *message = &(*out)[i];
        if (strlen(in[i]->from) >= sizeof message->from || strlen(in[i]->to) >= sizeof message->to ||
            in[i]->body.len > WHIST_MESSAGE_MAX)
            WH_FAIL(WHIST_E_FORMAT, "message %zu has a name or a body that is too long", i);
        memcpy(message->from, in[i]->from, strlen(in[i]->from) + 1);
        memcpy(message->to, in[i]->to, strlen(in[i]->to) + 1);
        message->body = (whist_bytes){in[i]->body.data, in[i]->body.len};
    }
    return WHIST_OK;
}

bool wh_wire_numbers(const char *path, const char *prefix, uint64_t *out, size_t n)
{
    if (strncmp(path, prefix, strlen(prefix)) != 0) return false;
    const char *at = path + strlen(prefix);
    for (size_t i = 0; i < n; i++) {
        if (*at < '0' || *at > '9') return false;
        char *end;
        out[i] = strtoull(at, &end, 10);
        if (end - at > 19 || *end != (i + 1 < n ? '/' : 0)) return false;
        at = end + 1;
    }
    return true;
}
