/* fed/store.h: what a coordinator, a site or a party remembers, exactly once, through any crash.
 *
 * SQLite (WAL, synchronous FULL) holds names, states and hashes; large vectors are files in the same
 * folder, synced before the transaction that names them and removed after the one that no longer does.
 * All writes happen inside wh_store_begin … wh_store_commit (WHIST_E_STATE outside); a crash leaves the
 * state before or after a transaction, never between. Keys say "exactly once": a second arrival of
 * (step, phase, actor) changes nothing.
 *
 *   DIR/lock                whoever owns the folder, by pid
 *   DIR/turn                of a shared store: whose turn it is (locks on two of its bytes)
 *   DIR/whist.db            meta steps arrivals messages machines metrics answers log
 *   DIR/model/STEP.bin      the model and broadcast vectors that step STEP starts from
 *   DIR/state/STEP.bin      further strategy states (coordinator) or learner states (site)
 *   DIR/spool/…             uploads of the open step (coordinator), protected bytes not yet taken (site)
 *
 * One process at a time owns a folder (lock file; the second gets WHIST_E_STATE that names the
 * first's pid). With dir NULL everything lives in memory and the same calls hold.
 *
 * Threads: a store may be used by several threads. A transaction belongs to the thread that began it;
 * while it is open, calls of other threads wait, reads too, so nobody sees half of one. Keep it short:
 * no network, no computing inside. A read without a transaction is one consistent look.
 *
 * Errors of every call: WHIST_E_IO (disk full, read-only, failing), WHIST_E_FORMAT (damaged database),
 * WHIST_E_TIMEOUT (another program holds the database), each with a text that names the folder and the
 * fix; WHIST_E_RANGE for numbers above 2^63 - 1 and values above 256 MiB; WHIST_E_NOMEM. After a failed
 * statement the transaction can only be rolled back: more writes and commit give WHIST_E_STATE. */
#ifndef WH_FED_STORE_H
#define WH_FED_STORE_H

#include "base/file.h"
#include "fed/manifest.h"

#include <whist/fed.h>

typedef struct wh_store wh_store;

enum { WH_STORE_SCHEMA = 1 };

/* Opens or makes a store, migrates older schemas in one transaction, refuses newer ones
 * (WHIST_E_UNSUPPORTED), refuses a folder that belongs to another study (WHIST_E_STATE) and a backup
 * that was never finished (WHIST_E_STATE). A damaged database is found here (WHIST_E_FORMAT). study NULL:
 * any (the folder of a site keeps several studies in sub-folders, made by the caller); else it is
 * remembered under the key "study". */
WH_MUST_CHECK whist_status wh_store_open(wh_store **out, const char *dir, const uint8_t study[32]);
/* Read-only look at a folder that may be in use by a running process: takes no lock, writes nothing.
 * Here begin … commit make several reads one consistent look. WHIST_E_STATE where there is no store. */
WH_MUST_CHECK whist_status wh_store_open_readonly(wh_store **out, const char *dir);
/* A store of small values, machines and a log that several processes write to: no folder lock, no vector files. Each
 * transaction has the database to itself, from begin on, and those who wait come by turns (DIR/turn): whoever has just
 * had it lets the others go first, however short its pauses. WHIST_E_TIMEOUT after five minutes of waiting. dir NULL:
 * in memory. */
WH_MUST_CHECK whist_status wh_store_open_shared(wh_store **out, const char *dir);
/* Rolls back what is open. Vector files must be closed before. */
void wh_store_close(wh_store *store);
const char *wh_store_dir(const wh_store *store); /* NULL in memory */

WH_MUST_CHECK whist_status wh_store_begin(wh_store *store);
/* Between two durable points. The transaction is over afterwards; on failure nothing of it is to be
 * seen. After WHIST_E_IO the disk is not to be trusted: end the process, the next one finds out. */
WH_MUST_CHECK whist_status wh_store_commit(wh_store *store);
void wh_store_rollback(wh_store *store); /* harmless when nothing is open */

/* Listings: fn is called for one row after the other and may call the store from its thread, but must
 * not change the rows that are listed. Pointers live until it returns; a failure of fn ends the listing and
 * comes back. get calls: out is appended to; *found tells whether there was anything. */

/* Small values by name ("study" is the store's own). A second set replaces. */
WH_MUST_CHECK whist_status wh_store_set(wh_store *store, const char *key, whist_bytes value);
WH_MUST_CHECK whist_status wh_store_get(wh_store *store, const char *key, wh_buf *out, bool *found);

/* ---- Steps of the coordinator ---- */
typedef enum wh_step_state { WH_STEP_OPEN, WH_STEP_CLOSED, WH_STEP_FAILED } wh_step_state;
/* A site's place in a step: in it, its update counted (at CLOSED), it said that it cannot answer. */
enum { WH_COHORT_MEMBER = 1, WH_COHORT_COUNTED = 2, WH_COHORT_DECLINED = 4 };
typedef struct wh_step_row {
    uint64_t step, round;
    whist_purpose purpose;
    unsigned phase; /* the open one */
    wh_step_state state;
    int64_t opened_ms, deadline_ms; /* of the open phase, wall clock */
    uint8_t *cohort;                /* one byte a site: WH_COHORT_ bits */
    size_t n_sites;
} wh_step_row;
void wh_step_row_clear(wh_step_row *row);
WH_AUTO_CLEAR(wh_step_row, wh_step_row_clear)
/* Inserts or replaces the row of row->step. get and last: out must be {0} or a row, which is cleared. */
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

/* Messages of a phase. A second one of the same sender and number changes nothing. Listing gives those to
 * `to` (and to "*" but not from itself), in the order of the sender's name and number. */
WH_MUST_CHECK whist_status wh_store_message_put(wh_store *store, uint64_t step, unsigned phase, size_t number,
                                                const whist_message *message);
typedef whist_status wh_message_fn(void *user, const whist_message *message);
WH_MUST_CHECK whist_status wh_store_messages(wh_store *store, uint64_t step, unsigned phase, const char *to,
                                             wh_message_fn *fn, void *user);
/* Drops arrivals, messages and machines of steps before `step` but keeps step rows and metrics. Of sent
 * answers the row stays (an answer is made once, ever), its messages and manifest go. Deleted rows are
 * overwritten on disk. */
WH_MUST_CHECK whist_status wh_store_forget_before(wh_store *store, uint64_t step);

/* The saved protection machine of an actor ("" the coordinator's own) in a step. A second put replaces. */
WH_MUST_CHECK whist_status wh_store_machine_put(wh_store *store, uint64_t step, const char *actor, whist_bytes state);
WH_MUST_CHECK whist_status wh_store_machine_get(wh_store *store, uint64_t step, const char *actor, wh_buf *out,
                                                bool *found);

/* Metrics of a round's model; site "" is the pooled sum. A second put replaces; WHIST_E_RANGE where a number
 * is not finite. Listed by round, site, fold, name. */
WH_MUST_CHECK whist_status wh_store_metric_put(wh_store *store, uint64_t round, const char *site, whist_fold fold,
                                               const char *name, const whist_metric_value *sum);
typedef whist_status wh_metric_fn(void *user, uint64_t round, const char *site, whist_fold fold, const char *name,
                                  const whist_metric_value *sum);
WH_MUST_CHECK whist_status wh_store_metrics(wh_store *store, wh_metric_fn *fn, void *user);
/* The newest round with metrics and how many rows it has; 0 rows: there are none at all. However long the list, a
 * look at its end: for those who ask often whether something came. */
WH_MUST_CHECK whist_status wh_store_metrics_end(wh_store *store, uint64_t *round, uint64_t *rows);

/* ---- Answers of a site or party ----
 * An answer is made once: the protected bytes are a synced file, the rest is stored in the transaction
 * that also keeps the learner's state and the log entry. */
typedef struct wh_answer_row {
    uint64_t step;
    unsigned phase;
    bool sent;       /* the coordinator has taken it */
    bool has_upload; /* DIR/spool holds STEP-PHASE.upload, described by manifest */
} wh_answer_row;
/* WHIST_E_STATE where the answer of this step and phase was made before. manifest may be NULL without upload. */
WH_MUST_CHECK whist_status wh_store_answer_put(wh_store *store, const wh_answer_row *row, const wh_manifest *manifest,
                                               whist_bytes messages); /* messages: the caller's encoding */
/* manifest must be WH_MANIFEST_EMPTY or one, which is cleared; it and messages may be NULL. */
WH_MUST_CHECK whist_status wh_store_answer_get(wh_store *store, uint64_t step, unsigned phase, wh_answer_row *out,
                                               wh_manifest *manifest, wh_buf *messages, bool *found);
/* WHIST_E_STATE where there is none. */
WH_MUST_CHECK whist_status wh_store_answer_sent(wh_store *store, uint64_t step, unsigned phase);

/* ---- The release log (codec/log.h makes and checks the records) ---- */
/* WHIST_E_STATE where the number is taken: nothing in the log is ever replaced. */
WH_MUST_CHECK whist_status wh_store_log_put(wh_store *store, uint64_t seq, whist_bytes record);
typedef whist_status wh_record_fn(void *user, uint64_t seq, whist_bytes record);
WH_MUST_CHECK whist_status wh_store_log_each(wh_store *store, uint64_t from_seq, wh_record_fn *fn, void *user);

/* A consistent copy of the folder into an empty one (WHIST_E_STATE where it is not empty, or inside a
 * transaction), while running; restore is the same in the other direction with no process running. In the
 * process that owns the store, transactions wait for it; a store opened for reading copies beside the
 * owner and starts over where something was committed meanwhile (WHIST_E_TIMEOUT after 20 tries). A store in
 * memory can be saved this way. The copy opens like any store; an unfinished one is refused. */
WH_MUST_CHECK whist_status wh_store_backup(wh_store *store, const char *to_dir);

/* ---- Large vectors ----
 * A file of the store, or memory when the store lives in memory (it stays there by name until it is removed
 * or the store closes). Names are model/NAME, state/NAME or spool/NAME, one level (WHIST_E_ARG). A file that is
 * removed or replaced lives on for those who have it open.
 *
 * Threads: different handles are independent; read, view and bytes of one handle may be called by many at
 * once, the rest needs the handle to itself. */
typedef struct wh_vecfile wh_vecfile;
/* Makes `name` ("model/00000003.bin") of `bytes` zeroes, replacing a leftover of a crash. Space is reserved: a full
 * disk shows now (WHIST_E_IO, and no file). */
WH_MUST_CHECK whist_status wh_vecfile_create(wh_vecfile **out, wh_store *store, const char *name, uint64_t bytes);
/* WHIST_E_IO where it is missing. */
WH_MUST_CHECK whist_status wh_vecfile_open(wh_vecfile **out, wh_store *store, const char *name);
bool wh_vecfile_exists(wh_store *store, const char *name);
uint64_t wh_vecfile_bytes(const wh_vecfile *file);
/* WHIST_E_RANGE outside the file. */
WH_MUST_CHECK whist_status wh_vecfile_read(const wh_vecfile *file, void *out, size_t len, uint64_t offset);
WH_MUST_CHECK whist_status wh_vecfile_write(wh_vecfile *file, const void *bytes, size_t len, uint64_t offset);
/* From now on writes of whole pages (4096 bytes, at multiples of them) go past the page cache where the file system
 * can: for files so large that they would only push others out. Everything else stays as it is. */
void wh_vecfile_go_direct(wh_vecfile *file);
/* Such a read: up to len bytes into `to`; to, len and offset are multiples of 4096. False where it cannot be done this
 * way; nothing is wrong then. */
bool wh_vecfile_read_pages(const wh_vecfile *file, void *to, size_t len, uint64_t offset, size_t *got);
/* The content is durable when this returns (and its folder entry too). Nothing to do in memory. */
WH_MUST_CHECK whist_status wh_vecfile_sync(wh_vecfile *file);
/* In memory: the bytes themselves, for callers that save the copy; NULL on disk. */
const uint8_t *wh_vecfile_view(const wh_vecfile *file);
/* Digests of its chunks, a copy for the caller; the handle keeps them until its next write. */
WH_MUST_CHECK whist_status wh_vecfile_manifest(wh_vecfile *file, wh_manifest *out, uint32_t chunk_bytes);
void wh_vecfile_close(wh_vecfile *file);
WH_MUST_CHECK whist_status wh_vecfile_remove(wh_store *store, const char *name); /* a missing one is fine */
/* Removes every file spool/NAME whose NAME does not begin with `keep_prefix` (NULL: every file). */
WH_MUST_CHECK whist_status wh_spool_clean(wh_store *store, const char *keep_prefix);
/* Bytes that all spool files take now; the caller holds them under its ceiling. */
WH_MUST_CHECK whist_status wh_spool_bytes(wh_store *store, uint64_t *out);

#endif
