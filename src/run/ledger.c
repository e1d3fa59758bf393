/* run/ledger.c: a privacy ledger for those who look at it: all of it, as one file, and as proofs about a part.
 *
 *   file     "WHLF" | version 1 (u32) | data set (64) | owner (64) | n (u64) | n times: size (u32), record
 *   proof    {"whist_ledger_proof":1, "dataset", "owner", "head": hex, "path": [hex …], and either
 *             "seq", "entry": hex  or  "old_n", "old_head": hex}           head, entry: codec/log.h; path: RFC 6962 */
#include "fed/ledger.h"
#include "base/file.h"
#include "codec/json.h"
#include "crypt/x509.h"

#include <whist/run.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { VERSION = 1, NAME = 64, FILE_MAX = 1 << 30, PROOF_MAX = 1 << 20 };

static const char magic[4] = "WHLF";

static whist_status key_of(uint8_t key[WH_SIGN_PUBLIC], whist_bytes certificate)
{
    WH_AUTO(wh_buf) der = WH_BUF_EMPTY;
    WH_TRY(wh_x509_pem_to_der(&der, certificate));
    return wh_x509_public_key(key, wh_buf_view(&der));
}

/* ---- Where records come from ---- */

/* Gets names first, then each record. */
typedef struct source {
    whist_status (*names)(void *user, const char *dataset, const char *owner);
    wh_record_fn *record;
    void *user;
} source;

static whist_status read_store(wh_store *store, const source *to)
{
    char dataset[NAME], owner[NAME];
    WH_TRY(wh_ledger_names(store, dataset, owner));
    WH_TRY(to->names(to->user, dataset, owner));
    return wh_store_log_each(store, 0, to->record, to->user);
}

static whist_status read_folder(const char *path, const source *to)
{
    wh_store *store;
    WH_TRY(wh_store_open_readonly(&store, path));
    whist_status status = wh_store_begin(store);
    if (status == WHIST_OK) {
        status = read_store(store, to);
        wh_store_rollback(store);
    }
    wh_store_close(store);
    return status;
}

static whist_status take_name(wh_cursor *c, char out[NAME])
{
    whist_bytes bytes;
    WH_TRY(wh_take_bytes(c, &bytes, NAME));
    memcpy(out, bytes.data, NAME);
    bool good = !out[NAME - 1] && wh_is_utf8((whist_bytes){bytes.data, strlen(out)});
    for (size_t i = good ? strlen(out) : NAME; i < NAME; i++) good = good && !out[i];
    if (!good) WH_FAIL(WHIST_E_FORMAT, "a name in an exported ledger is damaged");
    return WHIST_OK;
}

static whist_status read_bytes(whist_bytes bytes, const source *to)
{
    wh_cursor c = wh_cursor_over(bytes);
    whist_bytes head, record;
    uint32_t version, size;
    uint64_t n;
    char dataset[NAME], owner[NAME];
    if (wh_take_bytes(&c, &head, 4) != WHIST_OK || memcmp(head.data, magic, 4) != 0)
        WH_FAIL(WHIST_E_FORMAT, "this file is no exported ledger");
    WH_TRY(wh_take_u32(&c, &version));
    if (version != VERSION) WH_FAIL(WHIST_E_UNSUPPORTED, "an exported ledger of version %u", (unsigned)version);
    WH_TRY(take_name(&c, dataset));
    WH_TRY(take_name(&c, owner));
    WH_TRY(wh_take_u64(&c, &n));
    WH_TRY(to->names(to->user, dataset, owner));
    for (uint64_t i = 0; i < n; i++) {
        WH_TRY(wh_take_u32(&c, &size));
        WH_TRY(wh_take_bytes(&c, &record, size));
        WH_TRY(to->record(to->user, i, record));
    }
    if (wh_cursor_left(&c)) WH_FAIL(WHIST_E_FORMAT, "there are bytes behind the last entry of the exported ledger");
    return WHIST_OK;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static whist_status read_any(const char *path, const source *to)
{
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    if (is_folder(path)) return read_folder(path, to);
    WH_TRY(wh_file_read(&bytes, path, FILE_MAX));
    return read_bytes(wh_buf_view(&bytes), to);
}

/* ---- Verifying ---- */

typedef struct verifier {
    uint8_t key[WH_SIGN_PUBLIC];
    whist_ledger_info info;
    wh_ledger_reader *reader;
    whist_log_line_fn *emit;
    void *user;
    wh_buf body;
    /* For exports and proofs. */
    bool keep;
    wh_buf records; /* size (u32), record */
    wh_digest *leaves;
    size_t cap;
    uint64_t wanted; /* whose entry is kept */
    wh_buf entry;
} verifier;

static void verifier_clear(verifier *v)
{
    wh_ledger_reader_free(v->reader);
    wh_buf_clear(&v->body);
    wh_buf_clear(&v->records);
    wh_buf_clear(&v->entry);
    wh_free(v->leaves);
}
WH_AUTO_CLEAR(verifier, verifier_clear)

static whist_status keep_leaf(verifier *v, const wh_ledger_line *line)
{
    if (line->seq == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 64;
        wh_digest *more;
        WH_TRY(WH_NEW(&more, cap));
        if (v->cap) memcpy(more, v->leaves, v->cap * sizeof *more);
        wh_free(v->leaves);
        v->leaves = more;
        v->cap = cap;
    }
    v->leaves[line->seq] = line->hash;
    return WHIST_OK;
}

static whist_status take_line(void *user, const wh_ledger_line *in)
{
    verifier *v = user;
    if (v->keep) WH_TRY(keep_leaf(v, in));
    if (!v->emit) return WHIST_OK;
    whist_log_line line = {.seq = in->seq, .unix_ms = in->unix_ms, .kind = "charge"};
    wh_digest_hex(line.head, &in->root);
    wh_buf_reset(&v->body);
    WH_TRY(wh_buf_add(&v->body, in->body.data, in->body.len));
    line.body = wh_buf_str(&v->body);
    return v->emit(v->user, &line);
}

static whist_status take_names(void *user, const char *dataset, const char *owner)
{
    verifier *v = user;
    memcpy(v->info.dataset, dataset, strlen(dataset) + 1);
    memcpy(v->info.owner, owner, strlen(owner) + 1);
    return wh_ledger_reader_new(&v->reader, dataset, owner, v->key, take_line, v);
}

static whist_status take_record(void *user, uint64_t seq, whist_bytes record)
{
    verifier *v = user;
    WH_TRY(wh_ledger_reader_push(v->reader, record));
    if (v->keep && seq == v->wanted) WH_TRY(wh_buf_add(&v->entry, record.data, record.len));
    if (!v->keep) return WHIST_OK;
    WH_TRY(wh_buf_u32(&v->records, (uint32_t)record.len));
    return wh_buf_add(&v->records, record.data, record.len);
}

static whist_status verify(verifier *v, const char *path, whist_bytes certificate)
{
    const source to = {take_names, take_record, v};
    wh_digest root;
    WH_TRY(key_of(v->key, certificate));
    WH_TRY(read_any(path, &to));
    const wh_log_state *state = wh_ledger_reader_state(v->reader);
    wh_merkle_root(&root, &state->tree);
    v->info.n = state->tree.n;
    wh_digest_hex(v->info.head, &root);
    return WHIST_OK;
}

/* The store's own word on where the ledger ends: entries that were taken off the end show. */
static whist_status check_end(const char *path, const uint8_t key[WH_SIGN_PUBLIC])
{
    wh_store *store;
    wh_log_state state;
    if (!is_folder(path)) return WHIST_OK;
    WH_TRY(wh_store_open_readonly(&store, path));
    whist_status status = wh_store_begin(store);
    if (status == WHIST_OK) {
        status = wh_ledger_walk(&state, store, key, NULL, NULL);
        wh_store_rollback(store);
    }
    wh_store_close(store);
    return status;
}

whist_status whist_ledger_read(whist_ledger_info *out, const char *path, whist_bytes certificate,
                               whist_log_line_fn *emit, void *user)
{
    WH_ENSURE(out && path, WHIST_E_ARG);
    WH_AUTO(verifier) v = {.emit = emit, .user = user};
    WH_TRY(key_of(v.key, certificate));
    WH_TRY(check_end(path, v.key));
    WH_TRY(verify(&v, path, certificate));
    *out = v.info;
    return WHIST_OK;
}

static const char *text_of(const wh_json *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));
    return text ? text : "?";
}

static double real_of(const wh_json *root, const char *key)
{
    return json_number_value(json_object_get(root, key));
}

whist_status whist_ledger_sentence(char out[640], const char *body)
{
    WH_ENSURE(out && body, WHIST_E_ARG);
    WH_AUTO(wh_json_ptr) root = NULL;
    char more[96] = "", size[48] = "", held[48] = "";
    WH_TRY(wh_json_read(&root, (whist_bytes){(const uint8_t *)body, strlen(body)}, WH_LOG_BODY_MAX, 4, "ledger"));
    if (real_of(root, "closeness") > 0)
        snprintf(more, sizeof more, ", closeness %.3g, wrap %.3g", real_of(root, "closeness"), real_of(root, "wrap"));
    if (real_of(root, "sensitivity") > 0)
        snprintf(size, sizeof size, ", sigma %.4g of %.4g", real_of(root, "sigma"), real_of(root, "sensitivity"));
    else if (real_of(root, "sigma") > 0) /* of a learner, which knows its sensitivity itself */
        snprintf(size, sizeof size, ", sigma %.4g times the sensitivity", real_of(root, "sigma"));
    if (real_of(root, "budget") > 0) snprintf(held, sizeof held, ", held against %g", real_of(root, "budget"));
    snprintf(out, 640, "%s, round %lld: epsilon %.4g to %.4g at delta %g for one %s (%s)%s; %s%s%s; sampling %s; %s",
             text_of(root, "name"), (long long)json_integer_value(json_object_get(root, "round")),
             real_of(root, "epsilon_before"), real_of(root, "epsilon_after"), real_of(root, "delta"),
             text_of(root, "unit"), text_of(root, "relation"), held, text_of(root, "mechanism"), size, more,
             text_of(root, "sampler"), text_of(root, "trust"));
    return WHIST_OK;
}

whist_status whist_ledger_export(const char *path, whist_bytes certificate, const char *to)
{
    WH_ENSURE(path && to, WHIST_E_ARG);
    WH_AUTO(verifier) v = {.keep = true, .wanted = UINT64_MAX};
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    char names[2][NAME] = {{0}};
    WH_TRY(verify(&v, path, certificate));
    WH_TRY(check_end(path, v.key));
    memcpy(names[0], v.info.dataset, strlen(v.info.dataset));
    memcpy(names[1], v.info.owner, strlen(v.info.owner));
    WH_TRY(wh_buf_add(&out, magic, sizeof magic));
    WH_TRY(wh_buf_u32(&out, VERSION));
    WH_TRY(wh_buf_add(&out, names, sizeof names));
    WH_TRY(wh_buf_u64(&out, v.info.n));
    WH_TRY(wh_buf_add(&out, v.records.data, v.records.len));
    return wh_file_write(to, wh_buf_view(&out), 0644);
}

/* ---- Proofs ---- */

static whist_status put_hex(whist_json *json, const char *key, whist_bytes bytes)
{
    WH_AUTO(wh_owned) text = NULL;
    WH_TRY(wh_alloc(&text, 2 * bytes.len + 1, 1));
    wh_hex(text, bytes.data, bytes.len);
    if (key) whist_json_key(json, key);
    whist_json_text(json, text);
    return WHIST_OK;
}

static void put_common(whist_json *json, const whist_ledger_info *info)
{
    whist_json_begin_object(json);
    whist_json_key(json, "whist_ledger_proof");
    whist_json_int(json, VERSION);
    whist_json_key(json, "dataset");
    whist_json_text(json, info->dataset);
    whist_json_key(json, "owner");
    whist_json_text(json, info->owner);
}

/* The head that is signed here is the one of this moment: whoever checks the proof learns it from the proof. */
static whist_status put_head(whist_json *json, const verifier *v, const whist_crypt_key *signer)
{
    uint8_t head[WH_LOG_HEAD_SIZE];
    if (memcmp(signer->public_key, v->key, sizeof v->key) != 0)
        WH_FAIL(WHIST_E_AUTH, "the key is not the one of the ledger's owner: proofs are signed by it");
    WH_TRY(wh_log_head_sign(head, wh_ledger_reader_state(v->reader), signer));
    return put_hex(json, "head", (whist_bytes){head, sizeof head});
}

static whist_status put_path(whist_json *json, const wh_merkle_proof *proof)
{
    whist_json_key(json, "path");
    whist_json_begin_array(json);
    for (size_t i = 0; i < proof->n; i++)
        WH_TRY(put_hex(json, NULL, (whist_bytes){proof->path[i].bytes, sizeof proof->path[i].bytes}));
    whist_json_end_array(json);
    whist_json_end_object(json);
    return WHIST_OK;
}

static whist_status finish(char **out, whist_json *json)
{
    const char *text;
    WH_TRY(whist_json_finish(json, &text));
    return wh_strdup(out, text);
}

whist_status whist_ledger_prove_entry(char **out, const char *path, whist_bytes certificate, uint64_t seq,
                                      const whist_crypt_key *signer)
{
    WH_ENSURE(out && path && signer, WHIST_E_ARG);
    WH_AUTO(verifier) v = {.keep = true, .wanted = seq};
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    wh_merkle_proof proof;
    whist_json json;
    WH_TRY(verify(&v, path, certificate));
    if (seq >= v.info.n)
        WH_FAIL(WHIST_E_ARG, "the ledger has %llu entries, from 0: there is no entry %llu",
                (unsigned long long)v.info.n, (unsigned long long)seq);
    WH_TRY(wh_merkle_prove_inclusion(&proof, v.leaves, v.info.n, seq));
    wh_json_writer_init(&json, &text);
    put_common(&json, &v.info);
    WH_TRY(put_head(&json, &v, signer));
    whist_json_key(&json, "seq");
    whist_json_uint(&json, seq);
    WH_TRY(put_hex(&json, "entry", wh_buf_view(&v.entry)));
    WH_TRY(put_path(&json, &proof));
    return finish(out, &json);
}

whist_status whist_ledger_prove_since(char **out, const char *path, whist_bytes certificate, uint64_t old_n,
                                      const whist_crypt_key *signer)
{
    WH_ENSURE(out && path && signer, WHIST_E_ARG);
    WH_AUTO(verifier) v = {.keep = true, .wanted = UINT64_MAX};
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    wh_merkle_proof proof;
    wh_merkle old = WH_MERKLE_EMPTY;
    wh_digest root;
    whist_json json;
    WH_TRY(verify(&v, path, certificate));
    if (old_n == 0 || old_n > v.info.n)
        WH_FAIL(WHIST_E_ARG, "the ledger has %llu entries: --since takes 1 to that many", (unsigned long long)v.info.n);
    WH_TRY(wh_merkle_prove_consistency(&proof, v.leaves, v.info.n, old_n));
    for (uint64_t i = 0; i < old_n; i++) WH_TRY(wh_merkle_add(&old, &v.leaves[i]));
    wh_merkle_root(&root, &old);
    wh_json_writer_init(&json, &text);
    put_common(&json, &v.info);
    WH_TRY(put_head(&json, &v, signer));
    whist_json_key(&json, "old_n");
    whist_json_uint(&json, old_n);
    WH_TRY(put_hex(&json, "old_head", (whist_bytes){root.bytes, sizeof root.bytes}));
    WH_TRY(put_path(&json, &proof));
    return finish(out, &json);
}

whist_status whist_ledger_kept_head(uint64_t *n, char root[65], const char *path, const whist_ledger_info *info,
                                    whist_bytes certificate)
{
    WH_ENSURE(n && root && path && info, WHIST_E_ARG);
    uint8_t key[WH_SIGN_PUBLIC];
    wh_log_state log;
    wh_digest digest;
    WH_TRY(key_of(key, certificate));
    WH_TRY(wh_ledger_begin_log(&log, info->dataset, info->owner, key));
    WH_TRY(wh_ledger_head_read(n, &digest, path, log.id, key));
    wh_digest_hex(root, &digest);
    return WHIST_OK;
}

void whist_ledger_text_free(char *text)
{
    wh_free(text);
}

/* ---- Checking proofs ---- */

typedef struct claim {
    const char *dataset, *owner;
    uint8_t head[WH_LOG_HEAD_SIZE];
    wh_merkle_proof path;
    uint64_t n;
    wh_digest root;
    wh_log_state log; /* before its first entry */
} claim;

static whist_status get_hex(uint8_t *out, size_t len, const wh_json *object, const char *key)
{
    const char *text;
    WH_TRY(wh_json_get_text(&text, object, key, "proof"));
    if (strlen(text) != 2 * len) WH_FAIL(WHIST_E_FORMAT, "proof: %s is not %zu bytes in hex", key, len);
    return wh_unhex(out, text, len);
}

static whist_status get_path(wh_merkle_proof *out, const wh_json *root)
{
    wh_json *path;
    WH_TRY(wh_json_get_array(&path, root, "path", "proof"));
    if (json_array_size(path) > WH_MERKLE_PROOF_MAX) WH_FAIL(WHIST_E_FORMAT, "proof: the path is too long");
    out->n = json_array_size(path);
    for (size_t i = 0; i < out->n; i++) {
        const wh_json *item = json_array_get(path, i);
        if (!json_is_string(item)) WH_FAIL(WHIST_E_FORMAT, "proof: the path holds what is no hash");
        WH_TRY(wh_digest_parse(&out->path[i], json_string_value(item)));
    }
    return WHIST_OK;
}

static whist_status get_claim(claim *out, const wh_json *root, const uint8_t key[WH_SIGN_PUBLIC])
{
    int64_t version;
    WH_TRY(wh_json_get_int(&version, root, "whist_ledger_proof", VERSION, VERSION, "proof"));
    WH_TRY(wh_json_get_text(&out->dataset, root, "dataset", "proof"));
    WH_TRY(wh_json_get_text(&out->owner, root, "owner", "proof"));
    if (strlen(out->dataset) >= NAME || strlen(out->owner) >= NAME)
        WH_FAIL(WHIST_E_FORMAT, "proof: a name is too long");
    WH_TRY(get_hex(out->head, sizeof out->head, root, "head"));
    WH_TRY(get_path(&out->path, root));
    WH_TRY(wh_ledger_begin_log(&out->log, out->dataset, out->owner, key));
    return wh_log_head_verify(&out->n, &out->root, (whist_bytes){out->head, sizeof out->head}, out->log.id, key);
}

static whist_status record_of(wh_buf *out, const wh_json *root)
{
    const char *text;
    uint8_t *bytes;
    WH_TRY(wh_json_get_text(&text, root, "entry", "proof"));
    size_t len = strlen(text) / 2;
    if (len > WH_LOG_RECORD_MAX) WH_FAIL(WHIST_E_FORMAT, "proof: an entry of %zu bytes", len);
    WH_TRY(wh_buf_grow(out, &bytes, len));
    return wh_unhex(bytes, text, len);
}

/* size (u32) | entry | signature: the leaf is over the entry, whose body comes last. */
static whist_status check_entry(whist_ledger_proof *out, const claim *c, const wh_json *root)
{
    WH_AUTO(wh_buf) record = WH_BUF_EMPTY;
    wh_log_entry entry;
    wh_digest leaf;
    int64_t seq;
    WH_TRY(wh_json_get_int(&seq, root, "seq", 0, INT64_MAX, "proof"));
    WH_TRY(record_of(&record, root));
    WH_TRY(wh_log_entry_read(&entry, wh_buf_view(&record), c->log.id, c->log.key));
    leaf = entry.hash;
    WH_TRY(wh_merkle_check_inclusion(&c->root, c->n, (uint64_t)seq, &leaf, &c->path));
    if (entry.seq != (uint64_t)seq) WH_FAIL(WHIST_E_AUTH, "the proof is about another entry than it says");
    char *body;
    WH_TRY(wh_alloc((void **)&body, entry.body.len + 1, 1));
    if (entry.body.len) memcpy(body, entry.body.data, entry.body.len);
    out->entry = true;
    out->seq = (uint64_t)seq;
    out->body = body;
    return WHIST_OK;
}

static whist_status check_since(whist_ledger_proof *out, const claim *c, const wh_json *root)
{
    int64_t old_n;
    wh_digest old;
    WH_TRY(wh_json_get_int(&old_n, root, "old_n", 1, INT64_MAX, "proof"));
    WH_TRY(get_hex(old.bytes, sizeof old.bytes, root, "old_head"));
    WH_TRY(wh_merkle_check_consistency(&old, (uint64_t)old_n, &c->root, c->n, &c->path));
    out->old_n = (uint64_t)old_n;
    wh_digest_hex(out->old_head, &old);
    return WHIST_OK;
}

whist_status whist_ledger_proof_read(whist_ledger_proof *out, whist_bytes proof, whist_bytes certificate)
{
    WH_ENSURE(out, WHIST_E_ARG);
    WH_AUTO(wh_json_ptr) root = NULL;
    whist_ledger_proof found = {.entry = false};
    claim c = {.n = 0};
    uint8_t key[WH_SIGN_PUBLIC];
    WH_TRY(key_of(key, certificate));
    WH_TRY(wh_json_read(&root, proof, PROOF_MAX, 4, "proof"));
    WH_TRY(get_claim(&c, root, key));
    memcpy(found.info.dataset, c.dataset, strlen(c.dataset) + 1);
    memcpy(found.info.owner, c.owner, strlen(c.owner) + 1);
    found.info.n = c.n;
    wh_digest_hex(found.info.head, &c.root);
    WH_TRY(json_object_get(root, "entry") ? check_entry(&found, &c, root) : check_since(&found, &c, root));
    *out = found;
    return WHIST_OK;
}
