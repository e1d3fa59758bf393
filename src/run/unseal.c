/* run/unseal.c: opening a sealed model: who signed it, whole or not, for whom, and only then what is in it.
 *
 * The file is read twice. First all of it is authenticated: head, certificate, signature, the digest of the body. Only
 * then is the box opened, and chunks are decrypted into a temporary file of mode 0600 that gets its name when the last
 * chunk and the digest of the whole were right. Should the file change between the two readings, its chunks do not
 * open. A failure leaves no plaintext: the temporary file is overwritten and removed. Refusals have a text of their own
 * each (docs/run.md), which depends on nothing secret. */
#include "base/file.h"
#include "crypt/hash.h"
#include "run/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct opening {
    const whist_unseal_run *run;
    wh_identity_loaded own;
    int fd;
    uint64_t size; /* of the file */
    wh_buf text;   /* its beginning; the head's views point into it */
    wh_sealed_head head;
    uint8_t *chunk, *plain;
} opening;

static void opening_clear(opening *o)
{
    wh_identity_clear(&o->own);
    wh_fd_close(&o->fd);
    wh_buf_clear(&o->text);
    if (o->plain) wh_wipe(o->plain, WH_SEALED_CHUNK);
    wh_free(o->plain);
    wh_free(o->chunk);
}
WH_AUTO_CLEAR(opening, opening_clear)

whist_sealed_info wh_sealed_info_of(const wh_sealed_head *head)
{
    whist_sealed_info info = {
        .bytes = head->bytes, .made = head->made, .until = head->until, .n_recipients = head->n_recipients};
    memcpy(info.study, head->study, sizeof info.study);
    memcpy(info.model, head->model, sizeof info.model);
    return info;
}

/* ---- All of it is the coordinator's ---- */

static whist_status read_head(opening *o)
{
    struct stat st;
    uint8_t *to;
    WH_TRY(wh_open(&o->fd, o->run->file, O_RDONLY, 0));
    if (fstat(o->fd, &st) != 0) return wh_fail_errno(errno, o->run->file, "look at");
    if (!S_ISREG(st.st_mode)) WH_FAIL(WHIST_E_IO, "it is not a file");
    o->size = (uint64_t)st.st_size;
    size_t len = o->size < WH_SEALED_HEAD_MAX ? (size_t)o->size : WH_SEALED_HEAD_MAX;
    if (len == 0) WH_FAIL(WHIST_E_FORMAT, "it is empty");
    WH_TRY(wh_buf_grow(&o->text, &to, len));
    WH_TRY(wh_read_at(o->fd, to, len, 0));
    const char *wrong = wh_sealed_head_read(&o->head, wh_buf_view(&o->text));
    if (wrong) WH_FAIL(WHIST_E_FORMAT, "%s", wrong);
    return WHIST_OK;
}

static whist_status check_signer(const opening *o)
{
    WH_AUTO(whist_crypt_trust_ptr) trust = NULL;
    const wh_sealed_head *head = &o->head;
    whist_crypt_peer peer;
    WH_TRY(whist_crypt_trust_new(&trust, wh_buf_view(&o->own.ca), wh_buf_view(&o->own.crl)));
    WH_TRY(whist_crypt_trust_check(&peer, trust, head->certificate, WHIST_CRYPT_AS_SERVER, wh_seal_now()));
    if (peer.role != WHIST_CRYPT_COORDINATOR || memcmp(peer.pin, o->run->plan->coordinator.pin, sizeof peer.pin) != 0)
        WH_FAIL(WHIST_E_AUTH, "it was not signed by the coordinator that the study names");
    if (whist_crypt_verify(head->certificate, WH_SEALED_CONTEXT, head->signed_part, head->signature) != WHIST_OK)
        WH_FAIL(WHIST_E_AUTH, "its signature is not good: the head was changed, or another key signed it");
    return WHIST_OK;
}

static whist_status check_body(opening *o)
{
    uint64_t body = wh_sealed_body_size(o->head.bytes), whole = o->head.size + body;
    wh_sha256 hash;
    wh_digest digest;
    if (o->size < whole) WH_FAIL(WHIST_E_AUTH, "it is cut short");
    if (o->size > whole) WH_FAIL(WHIST_E_AUTH, "something stands behind its end");
    wh_sha256_init(&hash);
    for (uint64_t at = 0; at < body; at += WH_SEALED_CHUNK) {
        size_t n = body - at < WH_SEALED_CHUNK ? (size_t)(body - at) : WH_SEALED_CHUNK;
        WH_TRY(wh_read_at(o->fd, o->chunk, n, o->head.size + at));
        wh_sha256_update(&hash, o->chunk, n);
    }
    wh_sha256_final(&digest, &hash);
    if (memcmp(digest.bytes, o->head.body, sizeof o->head.body) != 0)
        WH_FAIL(WHIST_E_AUTH, "its body is not the one that was signed: chunks were changed or put in another order");
    return WHIST_OK;
}

static whist_status authenticate(opening *o)
{
    WH_TRY(read_head(o));
    if (memcmp(o->head.study, o->run->plan->study, sizeof o->head.study) != 0)
        WH_FAIL(WHIST_E_AUTH, "it holds a model of another study");
    WH_TRY(check_signer(o));
    WH_TRY(check_body(o));
    if (o->head.until < wh_seal_now()) WH_FAIL(WHIST_E_AUTH, "its time is over: ask for it to be sealed anew");
    return WHIST_OK;
}

/* ---- For us ---- */

static whist_status open_box(whist_secret *key, const opening *o)
{
    WH_AUTO(wh_box_key_ptr) own = NULL;
    wh_sealed_recipient r;
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    bool found = false;
    whist_crypt_key_pin(pin, o->own.key);
    for (size_t i = 0; !found && wh_sealed_recipient_at(&r, &o->head, i); i++)
        found = memcmp(r.pin, pin, sizeof pin) == 0;
    if (!found) WH_FAIL(WHIST_E_AUTH, "this site is none of its recipients");
    WH_TRY(wh_seal_key(&own, &o->run->identity, o->run->state));
    if (memcmp(r.key, own->public_key, sizeof r.key) != 0)
        WH_FAIL(WHIST_E_AUTH, "it is sealed to a key that this site has no longer: send its new notice");
    WH_TRY(wh_secret_init(key, WH_STREAM_KEY));
    if (wh_box_open(key->data, own, (whist_bytes){r.box, sizeof r.box}) != WHIST_OK)
        WH_FAIL(WHIST_E_AUTH, "its box does not open with this site's key");
    return WHIST_OK;
}

/* ---- What is in it ---- */

static whist_status open_chunks(opening *o, int to, const whist_secret *key)
{
    WH_AUTO(wh_stream) stream;
    uint8_t stream_head[WH_STREAM_HEAD];
    wh_digest aad, digest;
    wh_sha256 hash;
    uint64_t done = 0, from = o->head.size + WH_STREAM_HEAD;
    wh_sha256_init(&hash);
    wh_sha256_of(&aad, o->head.head.data, o->head.head.len);
    WH_TRY(wh_read_at(o->fd, stream_head, sizeof stream_head, o->head.size));
    WH_TRY(wh_stream_open_begin(&stream, stream_head, key->data));
    do {
        uint64_t left = o->head.bytes - done;
        size_t n = left < WH_SEALED_CHUNK ? (size_t)left : WH_SEALED_CHUNK;
        WH_TRY(wh_read_at(o->fd, o->chunk, n + WH_STREAM_MORE, from));
        WH_TRY(wh_stream_open(o->plain, &stream, (whist_bytes){aad.bytes, sizeof aad.bytes},
                              (whist_bytes){o->chunk, n + WH_STREAM_MORE}, n == left));
        WH_TRY(wh_write_at(to, o->plain, n, done));
        wh_sha256_update(&hash, o->plain, n);
        done += n;
        from += n + WH_STREAM_MORE;
    } while (done < o->head.bytes);
    wh_sha256_final(&digest, &hash);
    if (memcmp(digest.bytes, o->head.model, sizeof o->head.model) != 0)
        WH_FAIL(WHIST_E_AUTH, "what is in it is not the model that its head names");
    return wh_sync(to);
}

/* Nothing of a plaintext that did not prove right stays on disk, as far as the file system lets us. */
static void wipe_file(int fd, const char *path, uint64_t bytes)
{
    static const uint8_t zeroes[4096];
    whist_detail why = *whist_detail_get();
    struct stat st;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size < bytes) bytes = (uint64_t)st.st_size;
    for (uint64_t at = 0; at < bytes; at += sizeof zeroes)
        if (wh_write_at(fd, zeroes, bytes - at < sizeof zeroes ? (size_t)(bytes - at) : sizeof zeroes, at) != WHIST_OK)
            break;
    (void)fdatasync(fd);
    whist_status removed = wh_file_remove(path);
    (void)removed;
    wh_detail_put(&why); /* the first failure is the one to tell */
}

static whist_status write_model(opening *o, const whist_secret *key)
{
    WH_AUTO(wh_buf) part = WH_BUF_EMPTY;
    WH_AUTO(wh_fd) to = -1;
    WH_TRY(wh_buf_text(&part, "%s.part", o->run->out));
    WH_TRY(wh_file_remove(wh_buf_str(&part)));
    WH_TRY(wh_open(&to, wh_buf_str(&part), O_RDWR | O_CREAT | O_EXCL, 0600));
    whist_status status = open_chunks(o, to, key);
    if (status == WHIST_OK) status = wh_file_put_in_place(wh_buf_str(&part), o->run->out);
    if (status != WHIST_OK) wipe_file(to, wh_buf_str(&part), o->head.bytes);
    return status;
}

static whist_status unseal(opening *o)
{
    WH_AUTO(whist_secret) key = WHIST_SECRET_EMPTY;
    WH_TRY(authenticate(o));
    WH_TRY(open_box(&key, o));
    return write_model(o, &key);
}

whist_status whist_model_unseal(whist_sealed_info *out, const whist_unseal_run *run)
{
    WH_ENSURE(out && run && run->plan && run->file && run->out && run->state, WHIST_E_ARG);
    WH_AUTO(opening) o = {.run = run, .fd = -1};
    whist_crypt_peer self;
    if (!run->plan->coordinator.pinned)
        WH_FAIL(WHIST_E_STATE, "the study names no keys: `whist provision study` puts them in");
    if (wh_file_exists(run->out)) WH_FAIL(WHIST_E_STATE, "%s is there already and stays as it is", run->out);
    WH_TRY(wh_identity_load(&o.own, &run->identity));
    WH_TRY(wh_seal_self(&self, &o.own, WHIST_CRYPT_SITE, run->identity.certificate));
    WH_TRY(WH_NEW_RAW(&o.chunk, WH_SEALED_CHUNK + WH_STREAM_MORE));
    WH_TRY(WH_NEW_RAW(&o.plain, WH_SEALED_CHUNK));
    whist_status status = unseal(&o);
    if (status != WHIST_OK) return wh_fail_context(status, "%s: ", run->file);
    *out = wh_sealed_info_of(&o.head);
    return WHIST_OK;
}
