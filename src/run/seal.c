/* run/seal.c: the key that models are sealed to, its notice, and the sealing.
 *
 * A site's X25519 key is made at the site, lies in its state folder (STATE/recipient.pem, encrypted where its
 * identity's key is) and never leaves it; what travels is a notice signed with the identity's key. It is a key of its
 * own, so that renewing it takes from everybody, the site included, what was sealed to the old one. */
#include "base/clock.h"
#include "base/file.h"
#include "crypt/hash.h"
#include "run/identity_files.h"
#include "run/seal_text.h"
#include "run/sealed.h"

#include <whist/run.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { DAY = 86400, SIGNATURE_LINE = 10 + 2 * WHIST_CRYPT_SIGNATURE_SIZE + 1, BODY_LINE = 5 + 64 + 1 };

int64_t wh_seal_now(void)
{
    return wh_clock_unix_ms() / 1000;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static whist_status check_days(unsigned days)
{
    if (days < 1 || days > 3650) WH_FAIL(WHIST_E_ARG, "days: from 1 to 3650, not %u", days);
    return WHIST_OK;
}

/* ---- A site's own key ---- */

whist_status wh_seal_key(wh_box_key **out, const whist_identity_files *identity, const char *state)
{
    WH_AUTO(wh_buf) path = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) passphrase = WH_BUF_EMPTY;
    WH_TRY(wh_buf_text(&path, "%s/" WH_SEAL_KEY, state));
    if (!wh_file_exists(wh_buf_str(&path)))
        WH_FAIL(WHIST_E_STATE,
                "this site has no key that a model could be sealed to: `whist site recipient` makes one");
    WH_TRY(wh_identity_passphrase(&passphrase, identity));
    return wh_box_key_load(out, wh_buf_str(&path), passphrase.len ? wh_buf_str(&passphrase) : NULL);
}

/* The key that is there, or, with `renew` or without one, a fresh one in its place: one rename, never two keys. */
static whist_status find_or_make(wh_box_key **out, const whist_recipient_run *run)
{
    WH_AUTO(wh_buf) path = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) fresh = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) passphrase = WH_BUF_EMPTY;
    WH_AUTO(wh_box_key_ptr) key = NULL;
    WH_TRY(wh_make_dirs(run->state));
    WH_TRY(wh_buf_text(&path, "%s/" WH_SEAL_KEY, run->state));
    if (!run->renew && wh_file_exists(wh_buf_str(&path))) return wh_seal_key(out, &run->identity, run->state);
    WH_TRY(wh_buf_text(&fresh, "%s.new", wh_buf_str(&path)));
    WH_TRY(wh_file_remove(wh_buf_str(&fresh)));
    WH_TRY(wh_identity_passphrase(&passphrase, &run->identity));
    WH_TRY(wh_box_key_new(&key));
    WH_TRY(wh_box_key_save(key, wh_buf_str(&fresh), passphrase.len ? wh_buf_str(&passphrase) : NULL));
    WH_TRY(wh_file_put_in_place(wh_buf_str(&fresh), wh_buf_str(&path)));
    *out = key;
    key = NULL;
    return WHIST_OK;
}

whist_status wh_seal_self(whist_crypt_peer *out, const wh_identity_loaded *own, whist_crypt_role role,
                          const char *certificate)
{
    WH_AUTO(whist_crypt_trust_ptr) trust = NULL;
    bool server = role == WHIST_CRYPT_COORDINATOR;
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    WH_TRY(whist_crypt_trust_new(&trust, wh_buf_view(&own->ca), wh_buf_view(&own->crl)));
    WH_TRY(whist_crypt_trust_check(out, trust, wh_buf_view(&own->certificate),
                                   server ? WHIST_CRYPT_AS_SERVER : WHIST_CRYPT_AS_CLIENT, wh_seal_now()));
    whist_crypt_key_pin(pin, own->key);
    if (out->role != role || memcmp(pin, out->pin, sizeof pin) != 0)
        WH_FAIL(WHIST_E_AUTH, "%s is not the certificate of this %s and its key", certificate,
                whist_crypt_role_name(role));
    return WHIST_OK;
}

whist_status whist_recipient_make(int64_t *until, const whist_recipient_run *run)
{
    WH_ENSURE(until && run && run->state && run->notice, WHIST_E_ARG);
    WH_AUTO(wh_identity_loaded) own = {.certificate = WH_BUF_EMPTY};
    WH_AUTO(wh_box_key_ptr) key = NULL;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    whist_crypt_peer self;
    uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE];
    WH_TRY(check_days(run->days));
    WH_TRY(wh_identity_load(&own, &run->identity));
    WH_TRY(wh_seal_self(&self, &own, WHIST_CRYPT_SITE, run->identity.certificate));
    WH_TRY(find_or_make(&key, run));
    wh_notice notice = {.certificate = wh_buf_view(&own.certificate)};
    notice.until = earlier(wh_seal_now() + (int64_t)run->days * DAY, self.not_after);
    snprintf(notice.name, sizeof notice.name, "%s", self.name);
    memcpy(notice.key, key->public_key, sizeof notice.key);
    WH_TRY(wh_notice_write(&text, &notice));
    WH_TRY(whist_crypt_sign(signature, own.key, WH_SEAL_NOTICE_CONTEXT, wh_buf_view(&text)));
    WH_TRY(wh_seal_signature(&text, signature));
    WH_TRY(wh_file_write(run->notice, wh_buf_view(&text), 0644));
    *until = notice.until;
    return WHIST_OK;
}

/* ---- Whom to seal to ---- */

static bool is_named(const whist_seal_run *run, const uint8_t pin[32])
{
    for (size_t i = 0; i < run->plan->n_sites; i++)
        if (run->plan->sites[i].pinned && memcmp(run->plan->sites[i].pin, pin, 32) == 0) return true;
    for (size_t i = 0; i < run->n_pins; i++)
        if (memcmp(run->pins[i], pin, 32) == 0) return true;
    return false;
}

/* The notice is of a site that our authority vouches for and that the study, or whoever seals, names by its key. */
static whist_status check_notice(wh_sealed_recipient *out, const whist_seal_run *run, const whist_crypt_trust *trust,
                                 const wh_notice *notice)
{
    whist_crypt_peer peer;
    WH_TRY(whist_crypt_trust_check(&peer, trust, notice->certificate, WHIST_CRYPT_AS_CLIENT, wh_seal_now()));
    if (peer.role != WHIST_CRYPT_SITE || strcmp(peer.name, notice->name) != 0)
        WH_FAIL(WHIST_E_AUTH, "it is not the notice of the site that its certificate names");
    WH_TRY(whist_crypt_verify(notice->certificate, WH_SEAL_NOTICE_CONTEXT, notice->signed_part, notice->signature));
    if (notice->until < wh_seal_now())
        WH_FAIL(WHIST_E_AUTH, "its time is over: have the site write a new one (`whist site recipient`)");
    if (!is_named(run, peer.pin))
        WH_FAIL(WHIST_E_AUTH,
                "the study names no site with the key of %s: give its pin with --pin if it is to have the model",
                peer.name);
    snprintf(out->name, sizeof out->name, "%s", peer.name);
    memcpy(out->pin, peer.pin, sizeof out->pin);
    memcpy(out->key, notice->key, sizeof out->key);
    return WHIST_OK;
}

static whist_status read_notice(wh_sealed_recipient *out, int64_t *until, const whist_seal_run *run,
                                const whist_crypt_trust *trust, const char *path)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    wh_notice notice;
    WH_TRY(wh_file_read(&text, path, WH_NOTICE_MAX));
    const char *wrong = wh_notice_read(&notice, wh_buf_view(&text));
    if (wrong) WH_FAIL(WHIST_E_FORMAT, "%s: %s", path, wrong);
    whist_status status = check_notice(out, run, trust, &notice);
    if (status != WHIST_OK) return wh_fail_context(status, "%s: ", path);
    *until = earlier(*until, notice.until);
    return WHIST_OK;
}

static whist_status read_notices(wh_sealed_recipient *out, int64_t *until, const whist_seal_run *run,
                                 const wh_identity_loaded *own)
{
    WH_AUTO(whist_crypt_trust_ptr) trust = NULL;
    WH_TRY(whist_crypt_trust_new(&trust, wh_buf_view(&own->ca), wh_buf_view(&own->crl)));
    for (size_t i = 0; i < run->n_to; i++) {
        WH_TRY(read_notice(&out[i], until, run, trust, run->to[i]));
        for (size_t k = 0; k < i; k++)
            if (memcmp(out[i].pin, out[k].pin, sizeof out[i].pin) == 0)
                WH_FAIL(WHIST_E_ARG, "%s: %s is a recipient already", run->to[i], out[i].name);
    }
    return WHIST_OK;
}

/* ---- The file ---- */

typedef struct sealing {
    int from, to;
    const char *model;
    uint64_t bytes, at; /* of the model; of the body in the file */
    whist_bytes aad;
    uint8_t *text, *sealed; /* a chunk each */
    wh_sha256 plain, body;
} sealing;

static whist_status hash_model(uint8_t out[32], int fd, uint64_t bytes, uint8_t *chunk)
{
    wh_sha256 hash;
    wh_digest digest;
    wh_sha256_init(&hash);
    for (uint64_t at = 0; at < bytes; at += WH_SEALED_CHUNK) {
        size_t n = bytes - at < WH_SEALED_CHUNK ? (size_t)(bytes - at) : WH_SEALED_CHUNK;
        WH_TRY(wh_read_at(fd, chunk, n, at));
        wh_sha256_update(&hash, chunk, n);
    }
    wh_sha256_final(&digest, &hash);
    memcpy(out, digest.bytes, 32);
    return WHIST_OK;
}

static whist_status put(sealing *s, const void *bytes, size_t len)
{
    WH_TRY(wh_write_at(s->to, bytes, len, s->at));
    wh_sha256_update(&s->body, bytes, len);
    s->at += len;
    return WHIST_OK;
}

static whist_status seal_chunks(sealing *s, const uint8_t key[WH_STREAM_KEY])
{
    uint8_t head[WH_STREAM_HEAD];
    uint64_t at = 0;
    WH_AUTO(wh_stream) stream;
    wh_stream_seal_begin(&stream, head, key);
    WH_TRY(put(s, head, sizeof head));
    do {
        size_t n = s->bytes - at < WH_SEALED_CHUNK ? (size_t)(s->bytes - at) : WH_SEALED_CHUNK;
        WH_TRY(wh_read_at(s->from, s->text, n, at));
        wh_sha256_update(&s->plain, s->text, n);
        at += n;
        WH_TRY(wh_stream_seal(s->sealed, &stream, s->aad, (whist_bytes){s->text, n}, at == s->bytes));
        WH_TRY(put(s, s->sealed, n + WH_STREAM_MORE));
    } while (at < s->bytes);
    return WHIST_OK;
}

/* The body first, where the finished head will leave it; then the head. */
static whist_status write_sealed(sealing *s, wh_buf *head, const uint8_t model[32], const uint8_t key[WH_STREAM_KEY],
                                 const whist_crypt_key *signer)
{
    wh_digest aad, plain, body;
    uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE];
    wh_sha256_of(&aad, head->data, head->len);
    s->aad = (whist_bytes){aad.bytes, sizeof aad.bytes};
    s->at = head->len + BODY_LINE + SIGNATURE_LINE;
    WH_TRY(seal_chunks(s, key));
    wh_sha256_final(&plain, &s->plain);
    wh_sha256_final(&body, &s->body);
    if (memcmp(plain.bytes, model, 32) != 0) WH_FAIL(WHIST_E_STATE, "%s changed while it was sealed", s->model);
    WH_TRY(wh_sealed_body_write(head, body.bytes));
    WH_TRY(whist_crypt_sign(signature, signer, WH_SEALED_CONTEXT, wh_buf_view(head)));
    WH_TRY(wh_seal_signature(head, signature));
    WH_TRY(wh_write_at(s->to, head->data, head->len, 0));
    return wh_sync(s->to);
}

static whist_status seal_into(const whist_seal_run *run, sealing *s, wh_sealed_head *head,
                              wh_sealed_recipient *recipients, const whist_crypt_key *signer)
{
    WH_AUTO(whist_secret) key = WHIST_SECRET_EMPTY;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) part = WH_BUF_EMPTY;
    WH_AUTO(wh_fd) to = -1;
    WH_TRY(wh_random_secret(&key, WH_STREAM_KEY));
    for (size_t i = 0; i < head->n_recipients; i++)
        WH_TRY(wh_box_seal(recipients[i].box, recipients[i].key, (whist_bytes){key.data, key.len}));
    WH_TRY(hash_model(head->model, s->from, s->bytes, s->text));
    WH_TRY(wh_sealed_head_write(&text, head, recipients));
    WH_TRY(wh_buf_text(&part, "%s.part", run->out));
    WH_TRY(wh_open(&to, wh_buf_str(&part), O_WRONLY | O_CREAT | O_TRUNC, 0644));
    s->to = to;
    whist_status status = write_sealed(s, &text, head->model, key.data, signer);
    if (status == WHIST_OK) status = wh_file_put_in_place(wh_buf_str(&part), run->out);
    if (status == WHIST_OK) return WHIST_OK;
    whist_detail why = *whist_detail_get();
    if (wh_file_remove(wh_buf_str(&part)) != WHIST_OK) wh_detail_put(&why); /* the first failure is the one to tell */
    return status;
}

/* ---- Sealing ---- */

static whist_status open_model(sealing *s, wh_fd *fd, const whist_seal_run *run)
{
    char study[65], made_by[65] = "";
    struct stat st;
    whist_status status = whist_model_metadata(made_by, sizeof made_by, run->model, "study");
    if (status != WHIST_OK && status != WHIST_E_RANGE) return status;
    wh_hex(study, run->plan->study, 32);
    if (strcmp(study, made_by) != 0)
        WH_FAIL(WHIST_E_AUTH, "%s was not made by this study (its metadata name another)", run->model);
    WH_TRY(wh_open(fd, run->model, O_RDONLY, 0));
    if (fstat(*fd, &st) != 0) return wh_fail_errno(errno, run->model, "look at");
    s->from = *fd;
    s->bytes = (uint64_t)st.st_size;
    s->model = run->model;
    wh_sha256_init(&s->plain);
    wh_sha256_init(&s->body);
    return WHIST_OK;
}

static whist_status check_run(const whist_seal_run *run)
{
    WH_TRY(check_days(run->days));
    if (!run->plan->coordinator.pinned)
        WH_FAIL(WHIST_E_STATE, "the study names no keys: `whist provision study` puts them in");
    if (run->n_to < 1 || run->n_to > WH_SEALED_RECIPIENTS)
        WH_FAIL(WHIST_E_ARG, "a model is sealed to 1 … %d sites, not to %zu", WH_SEALED_RECIPIENTS, run->n_to);
    return WHIST_OK;
}

whist_status whist_model_seal(whist_sealed_info *out, const whist_seal_run *run)
{
    WH_ENSURE(out && run && run->plan && run->model && run->out && run->to, WHIST_E_ARG);
    WH_AUTO(wh_identity_loaded) own = {.certificate = WH_BUF_EMPTY};
    WH_AUTO(wh_owned) recipients = NULL;
    WH_AUTO(wh_owned) chunks = NULL;
    WH_AUTO(wh_fd) from = -1;
    whist_crypt_peer self;
    sealing s = {.to = -1};
    WH_TRY(check_run(run));
    WH_TRY(wh_identity_load(&own, &run->identity));
    WH_TRY(wh_seal_self(&self, &own, WHIST_CRYPT_COORDINATOR, run->identity.certificate));
    if (memcmp(self.pin, run->plan->coordinator.pin, sizeof self.pin) != 0)
        WH_FAIL(WHIST_E_AUTH, "%s is not the coordinator that the study names", run->identity.certificate);
    WH_TRY(wh_alloc(&recipients, run->n_to, sizeof(wh_sealed_recipient)));
    WH_TRY(wh_alloc_raw(&chunks, 2, WH_SEALED_CHUNK + WH_STREAM_MORE));
    s.text = chunks;
    s.sealed = s.text + WH_SEALED_CHUNK + WH_STREAM_MORE;
    wh_sealed_head head = {
        .made = wh_seal_now(), .n_recipients = run->n_to, .certificate = wh_buf_view(&own.certificate)};
    head.until = earlier(head.made + (int64_t)run->days * DAY, self.not_after);
    memcpy(head.study, run->plan->study, sizeof head.study);
    WH_TRY(read_notices(recipients, &head.until, run, &own));
    WH_TRY(open_model(&s, &from, run));
    head.bytes = s.bytes;
    WH_TRY(seal_into(run, &s, &head, recipients, own.key));
    *out = wh_sealed_info_of(&head);
    return WHIST_OK;
}
