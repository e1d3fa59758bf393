/* fed/step.h: one open step at the coordinator: who takes part, how far each is, what lies in the spool.
 *
 * Belongs to coordinator.c, whose lock guards every field; spool files are read and written outside
 * the lock while `in_flight` holds them open. */
#ifndef WH_FED_STEP_H
#define WH_FED_STEP_H

#include "fed/layout.h"
#include "fed/protection.h"
#include "fed/store.h"

/* A piece of an upload, read ahead of a walk through one vector. */
typedef struct wh_upload_window {
    void *memory;
    uint8_t *bytes; /* memory, from a page's beginning on */
    uint64_t at;
    size_t len, room;
} wh_upload_window;

/* One site's upload of the step. On disk: a spool file and beside it the manifest, so that a restart goes on
 * with the chunks that lie there. In memory: a buffer, added to the sum when it is complete. */
typedef struct wh_upload {
    uint64_t bytes, received;
    wh_manifest manifest; /* empty on the direct link */
    uint8_t *have;        /* bitmap over chunks */
    size_t n_have;
    uint64_t checked;   /* bytes whose elements were found in range as they came in, while in the cache */
    wh_vecfile *file;   /* NULL in memory */
    uint8_t *memory;    /* NULL on disk */
    bool complete;      /* checked; part of the sum */
    unsigned in_flight; /* calls that use file or memory outside the lock */
    wh_sums sums;       /* where the protection shows them */
    wh_upload_window windows[WHIST_MAX_VECTORS + 1];
} wh_upload;

typedef struct wh_step {
    wh_step_row row;
    size_t turn;         /* of a sequential strategy, inside the round */
    size_t n;            /* sites of the cohort */
    uint32_t *members;   /* (n) indices of the plan's sites, ascending */
    uint8_t *done;       /* (n) phases completed */
    wh_upload **uploads; /* (n) NULL until begun */
    uint8_t *party_done; /* (n_parties) */
    const char **names;  /* (n) */
    const char **party_names;
    const char **alive; /* sites that may answer the open phase */
    size_t n_alive, n_answers, n_expected;
    whist_protection *machine;
    wh_layout layout;
    uint8_t *sum; /* in memory: sum of complete uploads, protected; NULL until the first */
    size_t n_complete;
    wh_arena arena;
} wh_step;

/* Lays out a step for row (cohort bits in row->cohort; taken over) and makes the coordinator's machine. */
WH_MUST_CHECK whist_status wh_step_init(wh_step *out, const whist_fed_plan *plan, wh_step_row *row);
void wh_step_clear(wh_step *step);

/* In done[]: declined or lost; out of the step. */
enum { WH_DROPPED = 255 };
static inline bool wh_step_is_alive(const wh_step *step, size_t slot)
{
    return step->done[slot] != WH_DROPPED && step->done[slot] >= step->row.phase;
}
static inline bool wh_step_has_completed(const wh_step *step, size_t slot)
{
    return step->done[slot] != WH_DROPPED && step->done[slot] > step->row.phase;
}

/* Slot of a plan site in the cohort, or SIZE_MAX. */
size_t wh_step_slot(const wh_step *step, size_t site);
/* At the end of a phase: whoever does not act in it has completed it by being alive. */
void wh_step_pass(wh_step *step, const whist_fed_plan *plan, unsigned phase);
/* Counts who may answer the open phase and who has. */
void wh_step_recount(wh_step *step, const whist_fed_plan *plan);

/* ---- Spool (spool.c) ---- */
WH_MUST_CHECK whist_status wh_upload_open(wh_upload **out, wh_store *store, const wh_step *step, size_t site,
                                          uint64_t bytes, const wh_manifest *manifest);
/* After a restart: the upload as it lies on disk, NULL where nothing was begun. arrived: it is known to be complete. */
WH_MUST_CHECK whist_status wh_upload_reopen(wh_upload **out, wh_store *store, const wh_step *step, size_t site,
                                            bool arrived);
void wh_upload_free(wh_upload *upload);
/* Outside the lock: checks the piece and stores it. *in_range: every element of it is known to lie within what one
 * site may send (only asked of readable uploads; false also where an element is cut by the end of the piece). */
WH_MUST_CHECK whist_status wh_upload_write(wh_upload *upload, const wh_step *step, uint64_t offset, whist_bytes piece,
                                           bool *in_range);
/* Under the lock, after a write. */
void wh_upload_note(wh_upload *upload, uint64_t offset, size_t len, bool in_range);
bool wh_upload_is_full(const wh_upload *upload);
/* Bytes of the upload at an offset: a view (memory) or read into scratch (file). */
WH_MUST_CHECK whist_status wh_upload_read(const wh_upload *upload, uint64_t offset, size_t len, uint8_t *scratch,
                                          const uint8_t **out);
/* The same for a walk through vector k from its start to its end, one thread: large files are read `ahead` bytes at a
 * time, past the page cache. The bytes are in scratch or (memory) a view. */
WH_MUST_CHECK whist_status wh_upload_walk(wh_upload *upload, size_t k, uint64_t offset, size_t len, size_t ahead,
                                          uint8_t *scratch, const uint8_t **out);
/* Every element of a readable upload lies within what one site may send; decodes the sums. WHIST_E_RANGE. */
WH_MUST_CHECK whist_status wh_upload_check(wh_upload *upload, const wh_step *step, const whist_fed_plan *plan);
/* In memory: adds a complete upload to step->sum and drops its buffer. */
WH_MUST_CHECK whist_status wh_step_add(wh_step *step, wh_upload *upload);

/* ---- Sum (aggregate.c) ---- */
/* Plain elements of block j of vector k of the sum over complete uploads. scratch: 3 blocks. */
WH_MUST_CHECK whist_status wh_step_open_block(wh_step *step, size_t k, uint64_t j, uint8_t *scratch,
                                              const uint8_t **elements);
enum { WH_MAX_BLOCK_BYTES = 8 * 1024 * 1024 }; /* ceiling on one protected block */

#endif
