/* run/release.c: the log of what a site let out: begun, continued, walked.
 *
 * In the study's store:   log        one record (codec/log.h) for each entry
 *                         log_state  where the log stands; always of the same transaction as the last record
 *                         log_site   the site's name, for those who verify without the study
 *                         approval   the person of the newest approval
 *
 * The purpose of the log is "release STUDYHEX SITE": entries of another study or site do not fit into it. */
#include "run/release.h"

#include "base/clock.h"
#include "codec/json.h"
#include "crypt/x509.h"
#include "run/identity_files.h"

#include <stdio.h>
#include <string.h>

#define KEY_STATE "log_state"
#define KEY_SITE "log_site"
#define KEY_APPROVAL "approval"

enum { MAX_PERSON = 127, MAX_PATH = 4096 };

static whist_bytes bytes_of(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, strlen(text)};
}

static whist_status begin_log(wh_log_state *out, const uint8_t study[32], const char *site,
                              const uint8_t key[WH_SIGN_PUBLIC])
{
    char hex[65], purpose[WH_LOG_PURPOSE_MAX + 1];
    wh_hex(hex, study, 32);
    snprintf(purpose, sizeof purpose, "release %s %.63s", hex, site);
    return wh_log_begin(out, purpose, key);
}

/* ---- Going on ---- */

/* Where the log in the store stands now. */
static whist_status read_state(wh_log_state *out, const wh_release *release)
{
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(release->store, KEY_STATE, &bytes, &found));
    *out = release->empty;
    if (!found) return WHIST_OK;
    WH_TRY(wh_log_state_decode(out, wh_buf_view(&bytes)));
    if (memcmp(out->id, release->empty.id, sizeof out->id) != 0 ||
        memcmp(out->key, release->empty.key, sizeof out->key) != 0)
        WH_FAIL(WHIST_E_AUTH,
                "the release log of %s in this state folder was begun with another key or name: start with the key it "
                "was begun with, or move the folder away and begin anew",
                release->site);
    return WHIST_OK;
}

static whist_status open_log(wh_release *out, wh_store *store, const whist_fed_plan *plan, const whist_fed_site *actor,
                             const whist_crypt_key *key)
{
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    whist_crypt_key_pin(pin, key);
    if (actor->pinned && memcmp(pin, actor->pin, sizeof pin) != 0)
        WH_FAIL(WHIST_E_AUTH,
                "the study %s names another key for %s: use the key of `whist provision`, or have the study made again "
                "with this one",
                plan->name, actor->name);
    wh_release release = {.store = store, .plan = plan, .site = actor->name};
    WH_TRY(begin_log(&release.empty, plan->study, actor->name, key->public_key));
    wh_log_state state;
    WH_TRY(read_state(&state, &release));
    WH_TRY(wh_sign_key_from_seed(&release.key, key->secret.data));
    *out = release;
    return WHIST_OK;
}

void wh_release_clear(wh_release *release)
{
    whist_crypt_key_free(release->key);
    *release = (wh_release){0};
}

whist_status wh_release_init(wh_release *out, wh_store *store, const whist_site_run *run, const whist_crypt_key *key)
{
    const whist_fed_plan *plan = run->plan;
    WH_ENSURE(run->index < (run->data ? plan->n_sites : plan->n_parties), WHIST_E_ARG);
    return open_log(out, store, plan, run->data ? &plan->sites[run->index] : &plan->parties[run->index], key);
}

/* One more entry, in the caller's transaction. */
static whist_status append(wh_release *release, const char *kind, whist_bytes body)
{
    WH_AUTO(wh_buf) record = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) encoded = WH_BUF_EMPTY;
    wh_log_state state;
    WH_TRY(read_state(&state, release));
    uint64_t seq = state.tree.n;
    int64_t now = wh_clock_unix_ms();
    if (now < state.last_ms) now = state.last_ms; /* the clock was set back */
    WH_TRY(wh_log_append(&state, &record, release->key, now, kind, body));
    WH_TRY(wh_log_state_encode(&encoded, &state));
    WH_TRY(wh_store_log_put(release->store, seq, wh_buf_view(&record)));
    if (seq == 0) WH_TRY(wh_store_set(release->store, KEY_SITE, bytes_of(release->site)));
    return wh_store_set(release->store, KEY_STATE, wh_buf_view(&encoded));
}

static const char *purpose_name(whist_purpose purpose)
{
    switch (purpose) {
    case WHIST_PURPOSE_MOMENTS: return "moments";
    case WHIST_PURPOSE_TRAIN: return "train";
    case WHIST_PURPOSE_EVALUATE: return "evaluate";
    }
    return "unknown";
}

static void write_upload(whist_json *json, const wh_manifest *upload, const wh_digest *digest)
{
    char hex[65];
    wh_digest_hex(hex, digest);
    whist_json_key(json, "bytes");
    whist_json_uint(json, upload ? upload->bytes : 0);
    whist_json_key(json, "upload");
    whist_json_text(json, upload && upload->n_chunks ? hex : NULL);
}

whist_status wh_release_note(void *user, const wh_task *task, const wh_manifest *upload, size_t n_messages)
{
    wh_release *release = user;
    const whist_protection_class *protection = release->plan->protection;
    WH_ENSURE(task->phase < protection->n_phases, WHIST_E_ARG);
    wh_digest digest = {{0}};
    if (upload && upload->n_chunks) WH_TRY(wh_manifest_digest(&digest, upload));
    WH_AUTO(wh_buf) body = WH_BUF_EMPTY;
    whist_json json;
    const char *text;
    wh_json_writer_init(&json, &body);
    whist_json_begin_object(&json);
    whist_json_key(&json, "step");
    whist_json_uint(&json, task->step);
    whist_json_key(&json, "round");
    whist_json_uint(&json, task->round);
    whist_json_key(&json, "purpose");
    whist_json_text(&json, purpose_name(task->purpose));
    whist_json_key(&json, "phase");
    whist_json_text(&json, protection->phases[task->phase].name);
    write_upload(&json, upload, &digest);
    whist_json_key(&json, "messages");
    whist_json_uint(&json, n_messages);
    whist_json_end_object(&json);
    WH_TRY(whist_json_finish(&json, &text));
    return append(release, "release", bytes_of(text));
}

/* ---- Approval ---- */

whist_status wh_release_approval(wh_store *store, char person[128], bool *approved)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(store, KEY_APPROVAL, &value, &found));
    snprintf(person, MAX_PERSON + 1, "%s", wh_buf_str(&value));
    *approved = found;
    return WHIST_OK;
}

static whist_status check_person(const char *person)
{
    size_t len = strlen(person);
    bool printable = wh_is_utf8(bytes_of(person));
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)person[i] < ' ' || person[i] == 0x7f) printable = false;
    if (len == 0 || len > MAX_PERSON || !printable)
        WH_FAIL(WHIST_E_ARG, "who approves is a name of 1 to %d bytes on one line: 'Dr. Ada Moser'", MAX_PERSON);
    return WHIST_OK;
}

static whist_status note_approval(wh_release *release, const char *person)
{
    char hex[65];
    wh_hex(hex, release->plan->study, 32);
    WH_AUTO(wh_buf) body = WH_BUF_EMPTY;
    whist_json json;
    const char *text;
    wh_json_writer_init(&json, &body);
    whist_json_begin_object(&json);
    whist_json_key(&json, "person");
    whist_json_text(&json, person);
    whist_json_key(&json, "study");
    whist_json_text(&json, hex);
    whist_json_end_object(&json);
    WH_TRY(whist_json_finish(&json, &text));
    WH_TRY(append(release, "approval", bytes_of(text)));
    return wh_store_set(release->store, KEY_APPROVAL, bytes_of(person));
}

static whist_status approve_in(wh_store *store, const whist_site_run *run, const char *person)
{
    WH_AUTO(wh_identity_loaded) identity = {.certificate = WH_BUF_EMPTY};
    WH_TRY(wh_identity_load(&identity, &run->identity));
    WH_AUTO(wh_release) release = {0};
    WH_TRY(open_log(&release, store, run->plan, &run->plan->sites[run->index], identity.key));
    WH_TRY(wh_store_begin(store));
    whist_status status = note_approval(&release, person);
    if (status == WHIST_OK) status = wh_store_commit(store);
    if (status != WHIST_OK) wh_store_rollback(store);
    return status;
}

whist_status whist_site_approve(const whist_site_run *run, const char *person)
{
    WH_ENSURE(run && run->plan && run->state && person, WHIST_E_ARG);
    WH_ENSURE(run->index < run->plan->n_sites, WHIST_E_ARG);
    WH_TRY(check_person(person));
    char dir[MAX_PATH];
    WH_TRY(whist_site_study_state(dir, run->state, run->plan->study));
    WH_TRY(wh_make_dirs(dir));
    wh_store *store;
    WH_TRY(wh_store_open(&store, dir, run->plan->study));
    whist_status status = approve_in(store, run, person);
    wh_store_close(store);
    return status;
}

whist_status whist_site_study_state(char *out, const char *state, const uint8_t study[32])
{
    WH_ENSURE(out && state && study, WHIST_E_ARG);
    char hex[17], path[MAX_PATH];
    wh_hex(hex, study, 8);
    if (snprintf(path, sizeof path, "%s/studies/%s", state, hex) >= (int)sizeof path)
        WH_FAIL(WHIST_E_RANGE, "the name of the state folder is too long");
    memcpy(out, path, strlen(path) + 1);
    return WHIST_OK;
}

static bool has_store(const char *dir)
{
    char path[MAX_PATH + 16];
    snprintf(path, sizeof path, "%s/whist.db", dir);
    return wh_file_exists(path);
}

whist_status whist_site_approval(const whist_site_run *run, char person[128], bool *approved)
{
    WH_ENSURE(run && run->plan && run->state && person && approved, WHIST_E_ARG);
    char dir[MAX_PATH];
    WH_TRY(whist_site_study_state(dir, run->state, run->plan->study));
    if (!has_store(dir)) {
        person[0] = 0;
        *approved = false;
        return WHIST_OK;
    }
    wh_store *store;
    WH_TRY(wh_store_open_readonly(&store, dir));
    whist_status status = wh_release_approval(store, person, approved);
    wh_store_close(store);
    return status;
}

/* ---- Walking and verifying ---- */

typedef struct walk {
    wh_log_state state;
    wh_buf body; /* of the present entry, ended by 0 */
    whist_log_line_fn *emit;
    void *user;
} walk;

static whist_status emit_entry(walk *w, const wh_log_entry *entry)
{
    whist_log_line line = {.seq = entry->seq, .unix_ms = entry->unix_ms};
    memcpy(line.kind, entry->kind, entry->kind_len);
    wh_digest root;
    wh_merkle_root(&root, &w->state.tree);
    wh_digest_hex(line.head, &root);
    wh_buf_reset(&w->body);
    WH_TRY(wh_buf_add(&w->body, entry->body.data, entry->body.len));
    line.body = wh_buf_str(&w->body);
    return w->emit(w->user, &line);
}

static whist_status verify_one(walk *w, uint64_t seq, whist_bytes record, wh_log_entry *entry)
{
    if (seq != w->state.tree.n)
        WH_FAIL(WHIST_E_AUTH, "an entry is missing: number %llu follows", (unsigned long long)seq);
    wh_log_state state = w->state;
    wh_cursor cursor = wh_cursor_over(record);
    WH_TRY(wh_log_verify_record(&state, &cursor, entry));
    if (wh_cursor_left(&cursor)) WH_FAIL(WHIST_E_AUTH, "there are bytes behind it");
    w->state = state;
    return WHIST_OK;
}

static whist_status walk_one(void *user, uint64_t seq, whist_bytes record)
{
    walk *w = user;
    wh_log_entry entry;
    unsigned long long number = w->state.tree.n;
    whist_status status = verify_one(w, seq, record, &entry);
    if (status == WHIST_E_FORMAT) status = WHIST_E_AUTH; /* whoever changed it need not have left it readable */
    if (status != WHIST_OK) return wh_fail_context(status, "entry %llu of the release log does not hold: ", number);
    return w->emit ? emit_entry(w, &entry) : WHIST_OK;
}

/* The store says how long the log is and how it ends: entries taken off its end show. */
static whist_status check_end(const walk *w, wh_store *store)
{
    WH_AUTO(wh_buf) kept = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) found_out = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(store, KEY_STATE, &kept, &found));
    WH_TRY(wh_log_state_encode(&found_out, &w->state));
    bool same = found && kept.len == found_out.len && memcmp(kept.data, found_out.data, kept.len) == 0;
    if (!same && (found || w->state.tree.n))
        WH_FAIL(WHIST_E_AUTH, "the release log does not end where its store says: entries are missing after %llu",
                (unsigned long long)w->state.tree.n);
    return WHIST_OK;
}

static whist_status walk_begin(walk *w, wh_store *store, whist_bytes certificate)
{
    WH_AUTO(wh_buf) der = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) study = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) site = WH_BUF_EMPTY;
    uint8_t key[WH_SIGN_PUBLIC];
    bool found;
    WH_TRY(wh_x509_pem_to_der(&der, certificate));
    WH_TRY(wh_x509_public_key(key, wh_buf_view(&der)));
    WH_TRY(wh_store_get(store, "study", &study, &found));
    if (study.len != 32) WH_FAIL(WHIST_E_STATE, "%s belongs to no study", wh_store_dir(store));
    WH_TRY(wh_store_get(store, KEY_SITE, &site, &found));
    return begin_log(&w->state, study.data, wh_buf_str(&site), key);
}

static whist_status walk_log(walk *w, wh_store *store, whist_bytes certificate)
{
    WH_TRY(walk_begin(w, store, certificate));
    WH_TRY(wh_store_log_each(store, 0, walk_one, w));
    return check_end(w, store);
}

whist_status whist_site_log(const char *study_state, whist_bytes certificate, uint64_t *n, whist_log_line_fn *emit,
                            void *user)
{
    WH_ENSURE(study_state && n, WHIST_E_ARG);
    wh_store *store;
    WH_TRY(wh_store_open_readonly(&store, study_state));
    walk w = {.emit = emit, .user = user};
    whist_status status = wh_store_begin(store);
    if (status == WHIST_OK) {
        status = walk_log(&w, store, certificate);
        wh_store_rollback(store);
    }
    *n = w.state.tree.n;
    wh_buf_clear(&w.body);
    wh_store_close(store);
    return status;
}
