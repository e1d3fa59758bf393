/* fed/store.h: what a coordinator, a site or a party remembers, exactly once, through any crash.
 *
 * SQLite (WAL, synchronous FULL) holds names, states and hashes; large vectors are files in the same
 * folder, synced before the transaction that names them. All writes happen inside
 * wh_store_begin … wh_store_commit; a crash leaves the state before or after a transaction, never
 * between. Keys say "exactly once": a second arrival of (step, phase, actor) changes nothing.
 *
 *   DIR/whist.db            meta steps arrivals messages machines metrics outbox approvals log
 *   DIR/model/STEP.bin      the model and broadcast vectors that step STEP starts from
 *   DIR/state/STEP.bin      further strategy states (coordinator) or learner states (site)
 *   DIR/spool/…             uploads of the open step (coordinator), protected bytes not yet taken (site)
 *
 * One process at a time owns a folder (lock file; the second gets WHIST_E_STATE that names the
 * first's pid). Threads: a store may be used by several threads; one transaction at a time (begin
 * waits). With dir NULL everything lives in memory and the same calls hold. */
#ifndef WH_FED_STORE_H
#define WH_FED_STORE_H

#include "base/file.h"
#include "fed/manifest.h"

#include <whist/fed.h>

typedef struct wh_store wh_store;

enum { WH_STORE_SCHEMA = 1 };

/* Opens or makes a store, migrates older schemas in one transaction, refuses newer ones
 * (WHIST_E_UNSUPPORTED), refuses a folder that belongs to another study (WHIST_E_STATE). study NULL:
 * any (the folder of a site keeps several studies in sub-folders, made by the caller). */
WH_MUST_CHECK whist_status wh_store_open(wh_store **out, const char *dir, const uint8_t study[32]);
/* Read-only look at a folder that may be in use by a running process. */
WH_MUST_CHECK whist_status wh_store_open_readonly(wh_store **out, const char *dir);
void wh_store_close(wh_store *store);
const char *wh_store_dir(const wh_store *store); /* NULL in memory */

WH_MUST_CHECK whist_status wh_store_begin(wh_store *store);
WH_MUST_CHECK whist_status wh_store_commit(wh_store *store); /* between two durable points */
void wh_store_rollback(wh_store *store);                     /* harmless when nothing is open */

/* Small values by name. get: out appended; *found tells whether it was there. */
WH_MUST_CHECK whist_status wh_store_set(wh_store *store, const char *key, whist_bytes value);
WH_MUST_CHECK whist_status wh_store_get(wh_store *store, const char *key, wh_buf *out, bool *found);

/* ---- Steps of the coordinator ---- */
typedef enum wh_step_state { WH_STEP_OPEN, WH_STEP_CLOSED, WH_STEP_FAILED } wh_step_state;
typedef struct wh_step_row {
    uint64_t step, round;
    whist_purpose purpose;
    unsigned phase; /* the open one */
    wh_step_state state;
    int64_t opened_ms, deadline_ms; /* of the open phase, wall clock */
    uint8_t *cohort;                /* one byte a site: bit 0 in the cohort, bit 1 arrived (at CLOSED) */
    size_t n_sites;
} wh_step_row;
void wh_step_row_clear(wh_step_row *row);
WH_AUTO_CLEAR(wh_step_row, wh_step_row_clear)
/* Inserts or replaces the row of row->step. */
WH_MUST_CHECK whist_status wh_store_step_put(wh_store *store, const wh_step_row *row);
WH_MUST_CHECK whist_status wh_store_step_get(wh_store *store, uint64_t step, wh_step_row *out, bool *found);
WH_MUST_CHECK whist_status wh_store_step_last(wh_store *store, wh_step_row *out, bool *found);

/* One actor's answer to one phase, exactly once: *first is false where it was there already, and then
 * *same tells whether it was this very answer (digest). */
WH_MUST_CHECK whist_status wh_store_arrival_put(wh_store *store, uint64_t step, unsigned phase, const char *actor,
                                                const wh_digest *answer, int64_t at_ms, bool *first, bool *same);
typedef whist_status wh_arrival_fn(void *user, const char *actor, const wh_digest *answer);
WH_MUST_CHECK whist_status wh_store_arrivals(wh_store *store, uint64_t step, unsigned phase, wh_arrival_fn *fn,
                                             void *user);

/* Messages of a phase. Listing gives those to `to` (and to "*" but not from itself), in the order of the
 * sender's name and number. */
WH_MUST_CHECK whist_status wh_store_message_put(wh_store *store, uint64_t step, unsigned phase, size_t number,
                                                const whist_message *message);
typedef whist_status wh_message_fn(void *user, const whist_message *message);
WH_MUST_CHECK whist_status wh_store_messages(wh_store *store, uint64_t step, unsigned phase, const char *to,
                                             wh_message_fn *fn, void *user);
/* Drops arrivals, messages and machines of steps before `step` but keeps step rows and metrics. */
WH_MUST_CHECK whist_status wh_store_forget_before(wh_store *store, uint64_t step);

/* The saved protection machine of an actor ("" the coordinator's own) in a step. */
WH_MUST_CHECK whist_status wh_store_machine_put(wh_store *store, uint64_t step, const char *actor, whist_bytes state);
WH_MUST_CHECK whist_status wh_store_machine_get(wh_store *store, uint64_t step, const char *actor, wh_buf *out,
                                                bool *found);

/* Metrics of a round's model; site "" is the pooled sum. */
WH_MUST_CHECK whist_status wh_store_metric_put(wh_store *store, uint64_t round, const char *site, whist_fold fold,
                                               const char *name, const whist_metric_sum *sum);
typedef whist_status wh_metric_fn(void *user, uint64_t round, const char *site, whist_fold fold, const char *name,
                                  const whist_metric_sum *sum);
WH_MUST_CHECK whist_status wh_store_metrics(wh_store *store, wh_metric_fn *fn, void *user);

/* ---- Answers of a site or party ----
 * An answer is made once: the protected bytes are a synced file, the rest is stored in the transaction
 * that also keeps the learner's state and the log entry. */
typedef struct wh_answer_row {
    uint64_t step;
    unsigned phase;
    bool sent;       /* the coordinator has taken it */
    bool has_upload; /* DIR/spool holds STEP-PHASE.upload, described by manifest */
} wh_answer_row;
WH_MUST_CHECK whist_status wh_store_answer_put(wh_store *store, const wh_answer_row *row, const wh_manifest *manifest,
                                               whist_bytes messages); /* messages: the caller's encoding */
WH_MUST_CHECK whist_status wh_store_answer_get(wh_store *store, uint64_t step, unsigned phase, wh_answer_row *out,
                                               wh_manifest *manifest, wh_buf *messages, bool *found);
WH_MUST_CHECK whist_status wh_store_answer_sent(wh_store *store, uint64_t step, unsigned phase);

/* ---- The release log (codec/log.h makes and checks the records) ---- */
WH_MUST_CHECK whist_status wh_store_log_put(wh_store *store, uint64_t seq, whist_bytes record);
typedef whist_status wh_record_fn(void *user, uint64_t seq, whist_bytes record);
WH_MUST_CHECK whist_status wh_store_log_each(wh_store *store, uint64_t from_seq, wh_record_fn *fn, void *user);

/* A consistent copy of the folder (SQLite backup, then the files it names) into an empty folder, while
 * running; restore is the same in the other direction with no process running. */
WH_MUST_CHECK whist_status wh_store_backup(wh_store *store, const char *to_dir);

/* ---- Large vectors ----
 * A file of the store, or memory when the store lives in memory. Reads and writes at byte offsets. */
typedef struct wh_vecfile wh_vecfile;
/* Makes `name` ("model/00000003.bin") of `bytes`, replacing a leftover of a crash. Space is reserved (posix_fallocate:
 * a full disk shows now). */
WH_MUST_CHECK whist_status wh_vecfile_create(wh_vecfile **out, wh_store *store, const char *name, uint64_t bytes);
WH_MUST_CHECK whist_status wh_vecfile_open(wh_vecfile **out, wh_store *store, const char *name);
bool wh_vecfile_exists(wh_store *store, const char *name);
uint64_t wh_vecfile_bytes(const wh_vecfile *file);
WH_MUST_CHECK whist_status wh_vecfile_read(const wh_vecfile *file, void *out, size_t len, uint64_t offset);
WH_MUST_CHECK whist_status wh_vecfile_write(wh_vecfile *file, const void *bytes, size_t len, uint64_t offset);
/* The content is durable when this returns (and its folder entry too). Nothing to do in memory. */
WH_MUST_CHECK whist_status wh_vecfile_sync(wh_vecfile *file);
/* In memory: the bytes themselves, for callers that save the copy; NULL on disk. */
const uint8_t *wh_vecfile_view(const wh_vecfile *file);
/* Digests of its chunks; kept beside it after the first call until the next write. */
WH_MUST_CHECK whist_status wh_vecfile_manifest(wh_vecfile *file, wh_manifest *out, uint32_t chunk_bytes);
void wh_vecfile_close(wh_vecfile *file);
WH_MUST_CHECK whist_status wh_vecfile_remove(wh_store *store, const char *name); /* a missing one is fine */
/* Removes every file under DIR/spool whose name does not begin with `keep_prefix`. */
WH_MUST_CHECK whist_status wh_spool_clean(wh_store *store, const char *keep_prefix);
/* Bytes that all spool files take now; the caller holds them under its ceiling. */
WH_MUST_CHECK whist_status wh_spool_bytes(wh_store *store, uint64_t *out);

#endif
