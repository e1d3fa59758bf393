/* codec/log.h: a signed, hash-chained log of what was released, with a Merkle tree over it.
 *
 * One mechanism for everything that may only ever grow (the release log of a site, the privacy
 * ledger). Nothing here reads or writes files: records are bytes that the caller keeps, in order.
 *
 *     record:  size of entry (u32) | entry | signature (64)
 *     entry:   "WHLG" | version 1 (u32) | log id (32) | seq (u64) | unix ms (u64) | hash of the
 *              entry before (32) | kind size (u32) | kind | body size (u32) | body
 *     hash:    SHA-256(00 || entry), which is the leaf of RFC 6962, so that chain and tree agree
 *     signed:  hash, in the context "whist log entry v1" (crypt/sign.h)
 *
 * The log id binds purpose and key: an entry of one log is no entry of another. The chain makes
 * each record vouch for all before it; the tree head lets an outsider check that a log he saw
 * earlier was only added to, without seeing it again. A removed tail shows only against a head
 * that somebody else has kept: hand heads out. */
#ifndef WH_CODEC_LOG_H
#define WH_CODEC_LOG_H

#include "base/buf.h"
#include "codec/merkle.h"
#include "crypt/sign.h"

enum {
    WH_LOG_KIND_MAX = 32,
    WH_LOG_BODY_MAX = 65536,
    WH_LOG_PURPOSE_MAX = 160,
    WH_LOG_RECORD_MAX = 4 + 96 + WH_LOG_KIND_MAX + WH_LOG_BODY_MAX + WH_SIGN_SIZE
};

/* Where a log stands: all that adding or checking the next record needs. */
typedef struct wh_log_state {
    uint8_t id[32];
    uint8_t key[WH_SIGN_PUBLIC];
    int64_t last_ms; /* time of the last entry; 0 before the first */
    wh_digest last;  /* hash of the last entry; zeros before the first */
    wh_merkle tree;  /* tree.n entries so far: the seq of the next */
} wh_log_state;

/* Views into the record that was checked. */
typedef struct wh_log_entry {
    uint64_t seq;
    int64_t unix_ms;
    const char *kind; /* kind_len letters, not ended by 0 */
    size_t kind_len;
    whist_bytes body; /* JSON text */
    wh_digest hash;
} wh_log_entry;

/* A new, empty log of the owner of `key`. purpose tells the owner's logs apart ("release STUDY
 * SITE"), at most 160 bytes. WHIST_E_RANGE, WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_log_begin(wh_log_state *out, const char *purpose, const uint8_t key[WH_SIGN_PUBLIC]);

/* Makes the next record, appends it to `record` and moves `state` on. The caller stores the record
 * (and the state, if it keeps it) before anything relies on it.
 *
 * key      the one whose public half is state->key
 * unix_ms  not before the last entry: after a clock was set back, pass state->last_ms
 * kind     1 … 32 of a-z 0-9 . _ -
 * body     UTF-8, at most 64 KiB
 *
 * WHIST_E_ARG, WHIST_E_RANGE, WHIST_E_NOMEM. On failure state and record are as before. */
WH_MUST_CHECK whist_status wh_log_append(wh_log_state *state, wh_buf *record, const whist_crypt_key *key,
                                         int64_t unix_ms, const char *kind, whist_bytes body);

/* Takes one record from the cursor, checks that it is the next of this log, and moves both on.
 * *out may be NULL. WHIST_E_FORMAT where the bytes are no record; WHIST_E_AUTH, with texts that
 * tell them apart, for another log, a wrong seq, a broken chain, a clock that ran backwards and a
 * bad signature. On failure state and cursor are as before. */
WH_MUST_CHECK whist_status wh_log_verify_record(wh_log_state *state, wh_cursor *records, wh_log_entry *out);

/* Reads one whole record of the log with this id and checks its signature, not its place: for entries that a path to a
 * signed head vouches for. Views into `record`. WHIST_E_FORMAT, WHIST_E_AUTH. */
WH_MUST_CHECK whist_status wh_log_entry_read(wh_log_entry *out, whist_bytes record, const uint8_t id[32],
                                             const uint8_t key[WH_SIGN_PUBLIC]);

/* The state as bytes for a store, and back. It is as trustworthy as the store: who doubts verifies
 * the records from wh_log_begin on. WHIST_E_FORMAT, WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_log_state_encode(wh_buf *out, const wh_log_state *state);
WH_MUST_CHECK whist_status wh_log_state_decode(wh_log_state *out, whist_bytes bytes);

/* A signed statement of how long the log is and what is in it: "WHLH" | version 1 (u32) | id (32) |
 * n (u64) | root (32) | signature (64) of all before, in the context "whist log head v1". */
enum { WH_LOG_HEAD_SIZE = 4 + 4 + 32 + 8 + 32 + WH_SIGN_SIZE };
WH_MUST_CHECK whist_status wh_log_head_sign(uint8_t out[WH_LOG_HEAD_SIZE], const wh_log_state *state,
                                            const whist_crypt_key *key);
/* Checks a head of the log with this id and key; gives length and root. WHIST_E_FORMAT,
 * WHIST_E_AUTH. */
WH_MUST_CHECK whist_status wh_log_head_verify(uint64_t *n, wh_digest *root, whist_bytes head, const uint8_t id[32],
                                              const uint8_t key[WH_SIGN_PUBLIC]);

#endif
