/* codec/log.c: the signed log behind codec/log.h. Encoding and drawing are in the header. */
#include "codec/log.h"

#include "codec/json.h"

#include <string.h>

enum { VERSION = 1, ENTRY_FIXED = 4 + 4 + 32 + 8 + 8 + 32 + 4 + 4 };
_Static_assert(4 + ENTRY_FIXED + WH_LOG_KIND_MAX + WH_LOG_BODY_MAX + WH_SIGN_SIZE == WH_LOG_RECORD_MAX, "log.h");

static const char entry_magic[4] = "WHLG", head_magic[4] = "WHLH", state_magic[4] = "WHLS";
static const char entry_context[] = "whist log entry v1", head_context[] = "whist log head v1";
static const char id_context[] = "whist log id v1";

static whist_status add_magic(wh_buf *out, const char magic[4])
{
    WH_TRY(wh_buf_add(out, magic, 4));
    return wh_buf_u32(out, VERSION);
}

/* Takes and compares; `what` names the thing in the failure. */
static whist_status take_magic(wh_cursor *c, const char magic[4], const char *what)
{
    whist_bytes bytes;
    uint32_t version;
    if (wh_take_bytes(c, &bytes, 4) != WHIST_OK || memcmp(bytes.data, magic, 4) != 0)
        WH_FAIL(WHIST_E_FORMAT, "these bytes are no %s", what);
    WH_TRY(wh_take_u32(c, &version));
    if (version != VERSION)
        WH_FAIL(WHIST_E_FORMAT, "a %s of version %u: a newer program wrote it", what, (unsigned)version);
    return WHIST_OK;
}

static whist_status take_digest(wh_cursor *c, wh_digest *out)
{
    whist_bytes bytes;
    WH_TRY(wh_take_bytes(c, &bytes, sizeof out->bytes));
    memcpy(out->bytes, bytes.data, sizeof out->bytes);
    return WHIST_OK;
}

whist_status wh_log_begin(wh_log_state *out, const char *purpose, const uint8_t key[WH_SIGN_PUBLIC])
{
    size_t len = strlen(purpose);
    if (len > WH_LOG_PURPOSE_MAX)
        WH_FAIL(WHIST_E_RANGE, "the purpose of a log has more than %d bytes", WH_LOG_PURPOSE_MAX);
    wh_log_state state = {.last_ms = 0};
    wh_digest id;
    wh_sha256 hash;
    wh_sha256_init(&hash);
    wh_sha256_update(&hash, id_context, sizeof id_context); /* with its zero, which ends it */
    wh_sha256_u64(&hash, len);
    wh_sha256_update(&hash, purpose, len);
    wh_sha256_update(&hash, key, WH_SIGN_PUBLIC);
    wh_sha256_final(&id, &hash);
    memcpy(state.id, id.bytes, sizeof state.id);
    memcpy(state.key, key, sizeof state.key);
    *out = state;
    return WHIST_OK;
}

/* ---- Writing ---- */

static bool good_kind(const char *kind, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = kind[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-')) return false;
    }
    return len > 0 && len <= WH_LOG_KIND_MAX;
}

static whist_status encode_entry(wh_buf *out, const wh_log_state *state, const wh_log_entry *entry)
{
    WH_TRY(add_magic(out, entry_magic));
    WH_TRY(wh_buf_add(out, state->id, sizeof state->id));
    WH_TRY(wh_buf_u64(out, entry->seq));
    WH_TRY(wh_buf_u64(out, (uint64_t)entry->unix_ms));
    WH_TRY(wh_buf_add(out, state->last.bytes, sizeof state->last.bytes));
    WH_TRY(wh_buf_u32(out, (uint32_t)entry->kind_len));
    WH_TRY(wh_buf_add(out, entry->kind, entry->kind_len));
    WH_TRY(wh_buf_u32(out, (uint32_t)entry->body.len));
    return wh_buf_add(out, entry->body.data, entry->body.len);
}

static whist_status move_on(wh_log_state *state, const wh_log_entry *entry)
{
    WH_TRY(wh_merkle_add(&state->tree, &entry->hash));
    state->last = entry->hash;
    state->last_ms = entry->unix_ms;
    return WHIST_OK;
}

static whist_status check_new(const wh_log_state *state, const wh_log_entry *entry)
{
    if (!good_kind(entry->kind, entry->kind_len))
        WH_FAIL(WHIST_E_ARG, "the kind of a log entry has 1 to %d of a-z 0-9 . _ -", WH_LOG_KIND_MAX);
    if (entry->body.len > WH_LOG_BODY_MAX)
        WH_FAIL(WHIST_E_RANGE, "a log entry of %zu bytes: at most %d fit", entry->body.len, WH_LOG_BODY_MAX);
    if (!wh_is_utf8(entry->body)) WH_FAIL(WHIST_E_ARG, "the body of a log entry is not UTF-8");
    if (entry->unix_ms < state->last_ms)
        WH_FAIL(WHIST_E_ARG, "a log entry earlier than the one before it: was the clock set back?");
    return WHIST_OK;
}

whist_status wh_log_append(wh_log_state *state, wh_buf *record, const whist_crypt_key *key, int64_t unix_ms,
                           const char *kind, whist_bytes body)
{
    WH_ENSURE(memcmp(key->public_key, state->key, sizeof state->key) == 0, WHIST_E_ARG);
    wh_log_entry entry = {state->tree.n, unix_ms, kind, strlen(kind), body, {{0}}};
    WH_TRY(check_new(state, &entry));
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) whole = WH_BUF_EMPTY;
    uint8_t signature[WH_SIGN_SIZE];
    WH_TRY(encode_entry(&text, state, &entry));
    wh_merkle_leaf(&entry.hash, wh_buf_view(&text));
    WH_TRY(wh_sign_digest(signature, key, entry_context, &entry.hash));
    WH_TRY(wh_buf_u32(&whole, (uint32_t)text.len));
    WH_TRY(wh_buf_add(&whole, text.data, text.len));
    WH_TRY(wh_buf_add(&whole, signature, sizeof signature));
    wh_log_state next = *state;
    WH_TRY(move_on(&next, &entry));
    WH_TRY(wh_buf_add(record, whole.data, whole.len));
    *state = next;
    return WHIST_OK;
}

/* ---- Checking ---- */

/* An entry as it stands in a record, before anybody believes it. */
typedef struct claimed {
    wh_log_entry entry;
    whist_bytes id, signature;
    wh_digest before;
} claimed;

static whist_status decode_entry(claimed *out, whist_bytes bytes)
{
    wh_cursor c = wh_cursor_over(bytes);
    uint64_t unix_ms;
    uint32_t kind_len, body_len;
    whist_bytes kind;
    WH_TRY(take_magic(&c, entry_magic, "log entry"));
    WH_TRY(wh_take_bytes(&c, &out->id, 32));
    WH_TRY(wh_take_u64(&c, &out->entry.seq));
    WH_TRY(wh_take_u64(&c, &unix_ms));
    WH_TRY(take_digest(&c, &out->before));
    WH_TRY(wh_take_u32(&c, &kind_len));
    WH_TRY(wh_take_bytes(&c, &kind, kind_len));
    WH_TRY(wh_take_u32(&c, &body_len));
    WH_TRY(wh_take_bytes(&c, &out->entry.body, body_len));
    out->entry.kind = (const char *)kind.data;
    out->entry.kind_len = kind.len;
    out->entry.unix_ms = (int64_t)unix_ms;
    if (wh_cursor_left(&c) != 0 || unix_ms > INT64_MAX || body_len > WH_LOG_BODY_MAX ||
        !good_kind(out->entry.kind, kind_len) || !wh_is_utf8(out->entry.body))
        WH_FAIL(WHIST_E_FORMAT, "these bytes are no log entry");
    wh_merkle_leaf(&out->entry.hash, bytes);
    return WHIST_OK;
}

static whist_status take_record(claimed *out, wh_cursor *records)
{
    uint32_t size;
    whist_bytes entry;
    WH_TRY(wh_take_u32(records, &size));
    if (size < ENTRY_FIXED || size > ENTRY_FIXED + WH_LOG_KIND_MAX + WH_LOG_BODY_MAX)
        WH_FAIL(WHIST_E_FORMAT, "a record of %u bytes, which no log entry has", (unsigned)size);
    WH_TRY(wh_take_bytes(records, &entry, size));
    WH_TRY(wh_take_bytes(records, &out->signature, WH_SIGN_SIZE));
    return decode_entry(out, entry);
}

whist_status wh_log_entry_read(wh_log_entry *out, whist_bytes record, const uint8_t id[32],
                               const uint8_t key[WH_SIGN_PUBLIC])
{
    claimed claim = {.entry = {0}};
    wh_cursor cursor = wh_cursor_over(record);
    WH_TRY(take_record(&claim, &cursor));
    if (wh_cursor_left(&cursor)) WH_FAIL(WHIST_E_FORMAT, "there are bytes behind the record");
    if (memcmp(claim.id.data, id, 32) != 0) WH_FAIL(WHIST_E_AUTH, "the entry belongs to another log");
    WH_TRY(wh_sign_verify_digest(key, entry_context, &claim.entry.hash, claim.signature.data));
    *out = claim.entry;
    return WHIST_OK;
}

/* In the order in which an answer helps most: a record of another log fails everything else too. */
static whist_status check_claim(const wh_log_state *state, const claimed *claim)
{
    const wh_log_entry *entry = &claim->entry;
    if (memcmp(claim->id.data, state->id, sizeof state->id) != 0)
        WH_FAIL(WHIST_E_AUTH, "the entry belongs to another log");
    if (entry->seq != state->tree.n)
        WH_FAIL(WHIST_E_AUTH, "entry number %llu stands where number %llu belongs: one is missing, or there twice",
                (unsigned long long)entry->seq, (unsigned long long)state->tree.n);
    if (!wh_digest_equal(&claim->before, &state->last))
        WH_FAIL(WHIST_E_AUTH, "the chain is broken: the entry before was changed, or another one stood there");
    if (entry->unix_ms < state->last_ms)
        WH_FAIL(WHIST_E_AUTH, "the clock runs backwards: the entry is earlier than the one before it");
    if (wh_sign_verify_digest(state->key, entry_context, &entry->hash, claim->signature.data) != WHIST_OK)
        WH_FAIL(WHIST_E_AUTH, "the signature of the entry is not good: it was changed, or another key signed it");
    return WHIST_OK;
}

whist_status wh_log_verify_record(wh_log_state *state, wh_cursor *records, wh_log_entry *out)
{
    claimed claim = {.entry = {0}};
    wh_cursor cursor = *records;
    unsigned long long at = state->tree.n;
    whist_status status = take_record(&claim, &cursor);
    if (status == WHIST_OK) status = check_claim(state, &claim);
    if (status == WHIST_OK) status = move_on(state, &claim.entry);
    if (status != WHIST_OK) return wh_fail_context(status, "log, entry %llu: ", at);
    *records = cursor;
    if (out) *out = claim.entry;
    return WHIST_OK;
}

/* ---- Keeping and showing where a log stands ---- */

whist_status wh_log_state_encode(wh_buf *out, const wh_log_state *state)
{
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_TRY(add_magic(&bytes, state_magic));
    WH_TRY(wh_buf_add(&bytes, state->id, sizeof state->id));
    WH_TRY(wh_buf_add(&bytes, state->key, sizeof state->key));
    WH_TRY(wh_buf_u64(&bytes, (uint64_t)state->last_ms));
    WH_TRY(wh_buf_add(&bytes, state->last.bytes, sizeof state->last.bytes));
    WH_TRY(wh_buf_u64(&bytes, state->tree.n));
    for (int i = 0; i < __builtin_popcountll(state->tree.n); i++)
        WH_TRY(wh_buf_add(&bytes, state->tree.peaks[i].bytes, sizeof state->tree.peaks[i].bytes));
    return wh_buf_add(out, bytes.data, bytes.len);
}

static whist_status decode_state(wh_log_state *state, wh_cursor *c)
{
    whist_bytes id, key;
    uint64_t last_ms;
    WH_TRY(take_magic(c, state_magic, "state of a log"));
    WH_TRY(wh_take_bytes(c, &id, sizeof state->id));
    WH_TRY(wh_take_bytes(c, &key, sizeof state->key));
    WH_TRY(wh_take_u64(c, &last_ms));
    WH_TRY(take_digest(c, &state->last));
    WH_TRY(wh_take_u64(c, &state->tree.n));
    for (int i = 0; i < __builtin_popcountll(state->tree.n); i++) WH_TRY(take_digest(c, &state->tree.peaks[i]));
    if (wh_cursor_left(c) != 0 || last_ms > INT64_MAX) WH_FAIL(WHIST_E_FORMAT, "these bytes are no state of a log");
    memcpy(state->id, id.data, id.len);
    memcpy(state->key, key.data, key.len);
    state->last_ms = (int64_t)last_ms;
    return WHIST_OK;
}

whist_status wh_log_state_decode(wh_log_state *out, whist_bytes bytes)
{
    wh_log_state state = {.last_ms = 0};
    wh_cursor cursor = wh_cursor_over(bytes);
    WH_TRY(decode_state(&state, &cursor));
    *out = state;
    return WHIST_OK;
}

static whist_status encode_head(wh_buf *out, const uint8_t id[32], uint64_t n, const wh_digest *root)
{
    WH_TRY(add_magic(out, head_magic));
    WH_TRY(wh_buf_add(out, id, 32));
    WH_TRY(wh_buf_u64(out, n));
    return wh_buf_add(out, root->bytes, sizeof root->bytes);
}

whist_status wh_log_head_sign(uint8_t out[WH_LOG_HEAD_SIZE], const wh_log_state *state, const whist_crypt_key *key)
{
    WH_ENSURE(memcmp(key->public_key, state->key, sizeof state->key) == 0, WHIST_E_ARG);
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    wh_digest root;
    uint8_t signature[WH_SIGN_SIZE];
    wh_merkle_root(&root, &state->tree);
    WH_TRY(encode_head(&text, state->id, state->tree.n, &root));
    WH_TRY(wh_sign(signature, key, head_context, wh_buf_view(&text)));
    memcpy(out, text.data, text.len);
    memcpy(out + text.len, signature, sizeof signature);
    return WHIST_OK;
}

whist_status wh_log_head_verify(uint64_t *n, wh_digest *root, whist_bytes head, const uint8_t id[32],
                                const uint8_t key[WH_SIGN_PUBLIC])
{
    wh_cursor c = wh_cursor_over(head);
    whist_bytes named;
    uint64_t length;
    wh_digest said;
    if (head.len != WH_LOG_HEAD_SIZE) WH_FAIL(WHIST_E_FORMAT, "these bytes are no head of a log");
    WH_TRY(take_magic(&c, head_magic, "head of a log"));
    WH_TRY(wh_take_bytes(&c, &named, 32));
    WH_TRY(wh_take_u64(&c, &length));
    WH_TRY(take_digest(&c, &said));
    if (memcmp(named.data, id, 32) != 0) WH_FAIL(WHIST_E_AUTH, "the head belongs to another log");
    whist_bytes text = {head.data, head.len - WH_SIGN_SIZE};
    if (wh_sign_verify(key, head_context, text, c.at) != WHIST_OK)
        WH_FAIL(WHIST_E_AUTH, "the signature of the log's head is not good");
    *n = length;
    *root = said;
    return WHIST_OK;
}
