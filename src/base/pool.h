/* base/pool.h: the threads of the library.
 *
 * Work is cut into numbered pieces by its shape, never by the thread count, so results do not
 * depend on how many threads there are. A pool belongs to one caller at a time. */
#ifndef WH_BASE_POOL_H
#define WH_BASE_POOL_H

#include "base/status.h"

typedef struct wh_pool wh_pool;

/* One piece of work. `worker` (0 … threads-1) picks per-thread scratch and nothing else. */
typedef whist_status wh_piece_fn(void *user, size_t piece, unsigned worker);

/* threads >= 1; with 1 everything runs in the caller. WHIST_E_NOMEM, WHIST_E_RANGE (> 256). */
WH_MUST_CHECK whist_status wh_pool_new(wh_pool **out, unsigned threads);
void wh_pool_free(wh_pool *pool);
unsigned wh_pool_threads(const wh_pool *pool); /* 1 for NULL */

/* Runs pieces 0 … n-1, each once, in any order; returns when all are done. After a failure no new
 * piece starts, and the failure (with its detail record) of the lowest failed piece comes back.
 * pool may be NULL: the caller runs all. */
WH_MUST_CHECK whist_status wh_pool_run(wh_pool *pool, size_t n, wh_piece_fn *fn, void *user);

#endif
