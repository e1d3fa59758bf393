/* crypt/box.c: libsodium's sealed box and secretstream. */
#include "crypt/box.h"

#include "crypt/ct.h"
#include "crypt/keyfile.h"
#include "crypt/random.h"

#include <sodium.h>
#include <string.h>

_Static_assert(crypto_box_PUBLICKEYBYTES == WH_BOX_PUBLIC && crypto_box_SECRETKEYBYTES == WH_BOX_SECRET, "X25519");
_Static_assert(crypto_box_SEALBYTES == WH_BOX_MORE, "an ephemeral key and a tag");
_Static_assert(crypto_secretstream_xchacha20poly1305_HEADERBYTES == WH_STREAM_HEAD, "nonce");
_Static_assert(crypto_secretstream_xchacha20poly1305_ABYTES == WH_STREAM_MORE, "mark and tag");
_Static_assert(crypto_secretstream_xchacha20poly1305_KEYBYTES == WH_STREAM_KEY, "key");
_Static_assert(sizeof(crypto_secretstream_xchacha20poly1305_state) <= sizeof((wh_stream *)0)->state, "room");

/* ---- Keys ---- */

whist_status wh_box_key_from_secret(wh_box_key **out, const uint8_t secret[WH_BOX_SECRET])
{
    WH_AUTO(wh_box_key_ptr) key = NULL;
    WH_TRY(WH_NEW(&key, 1));
    WH_TRY(wh_secret_init(&key->secret, WH_BOX_SECRET));
    memcpy(key->secret.data, secret, WH_BOX_SECRET);
    if (crypto_scalarmult_base(key->public_key, secret) != 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "libsodium cannot make an X25519 key");
    *out = key;
    key = NULL;
    return WHIST_OK;
}

whist_status wh_box_key_new(wh_box_key **out)
{
    WH_AUTO(whist_secret) secret = WHIST_SECRET_EMPTY;
    WH_TRY(wh_random_secret(&secret, WH_BOX_SECRET));
    return wh_box_key_from_secret(out, secret.data);
}

void wh_box_key_free(wh_box_key *key)
{
    if (!key) return;
    wh_secret_clear(&key->secret);
    wh_free(key);
}

whist_status wh_box_key_save(const wh_box_key *key, const char *path, const char *passphrase)
{
    return wh_keyfile_save(WH_KEYFILE_X25519, key->secret.data, path, passphrase);
}

whist_status wh_box_key_load(wh_box_key **out, const char *path, const char *passphrase)
{
    WH_AUTO(whist_secret) secret = WHIST_SECRET_EMPTY;
    WH_TRY(wh_keyfile_load(&secret, WH_KEYFILE_X25519, path, passphrase));
    return wh_box_key_from_secret(out, secret.data);
}

/* ---- Boxes ---- */

whist_status wh_box_seal(uint8_t *out, const uint8_t public_key[WH_BOX_PUBLIC], whist_bytes text)
{
    if (crypto_box_seal(out, text.data, text.len, public_key) == 0) return WHIST_OK;
    wh_wipe(out, text.len + WH_BOX_MORE);
    WH_FAIL(WHIST_E_ARG, "nothing can be sealed to this key: it is no X25519 public key");
}

whist_status wh_box_open(uint8_t *out, const wh_box_key *key, whist_bytes box)
{
    int bad = -1;
    if (box.len >= WH_BOX_MORE) bad = crypto_box_seal_open(out, box.data, box.len, key->public_key, key->secret.data);
    WH_DECLASSIFY(&bad, sizeof bad); /* whoever brought the box sees whether it opened */
    if (bad == 0) return WHIST_OK;
    if (box.len > WH_BOX_MORE) wh_wipe(out, box.len - WH_BOX_MORE);
    WH_FAIL(WHIST_E_AUTH, "the box does not open: it was changed, or sealed to another key");
}

/* ---- Streams ---- */

static crypto_secretstream_xchacha20poly1305_state *state_of(wh_stream *stream)
{
    return (crypto_secretstream_xchacha20poly1305_state *)(void *)stream->state;
}

static uint8_t mark_of(bool last)
{
    return last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
}

void wh_stream_clear(wh_stream *stream)
{
    wh_wipe(stream, sizeof *stream);
}

void wh_stream_seal_begin(wh_stream *out, uint8_t head[WH_STREAM_HEAD], const uint8_t key[WH_STREAM_KEY])
{
    (void)crypto_secretstream_xchacha20poly1305_init_push(state_of(out), head, key); /* cannot fail */
}

whist_status wh_stream_seal(uint8_t *out, wh_stream *stream, whist_bytes aad, whist_bytes text, bool last)
{
    if (crypto_secretstream_xchacha20poly1305_push(state_of(stream), out, NULL, text.data, text.len, aad.data, aad.len,
                                                   mark_of(last)) == 0)
        return WHIST_OK;
    WH_FAIL(WHIST_E_RANGE, "a chunk of %zu bytes is too long to be sealed", text.len);
}

whist_status wh_stream_open_begin(wh_stream *out, const uint8_t head[WH_STREAM_HEAD], const uint8_t key[WH_STREAM_KEY])
{
    if (crypto_secretstream_xchacha20poly1305_init_pull(state_of(out), head, key) == 0) return WHIST_OK;
    WH_FAIL(WHIST_E_AUTH, "the stream has no head");
}

whist_status wh_stream_open(uint8_t *out, wh_stream *stream, whist_bytes aad, whist_bytes sealed, bool last)
{
    uint8_t mark = 0;
    if (sealed.len >= WH_STREAM_MORE &&
        crypto_secretstream_xchacha20poly1305_pull(state_of(stream), out, NULL, &mark, sealed.data, sealed.len,
                                                   aad.data, aad.len) == 0 &&
        mark == mark_of(last))
        return WHIST_OK;
    if (sealed.len > WH_STREAM_MORE) wh_wipe(out, sealed.len - WH_STREAM_MORE);
    WH_FAIL(WHIST_E_AUTH, "a chunk does not open: it was changed, or is not the next one");
}
