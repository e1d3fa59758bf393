/* data/episode.h: few-shot tasks drawn from a fold of rows.
 *
 *     ways classes | shots support rows and queries query rows of each |  labels 0 … ways-1 in drawn order
 *
 * Support and query share no row. Episode i of a pool is a function of (pool, seed, purpose, i) alone, so any episode
 * can be made again, in any order and on any thread. Public randomness: who is drawn here earns no privacy
 * amplification.
 *
 * Classes that folds do not share (whist_schema.split_classes) make the classes of test episodes unseen in training.
 *
 * Turned images: with `turns` 4 (or 2) each class also stands for itself turned by 90, 180 and 270 degrees (by 180), as
 * classes of their own, as is usual for Omniglot (Santoro et al. 2016); images must be square for 4.
 *
 * Threads: a pool is immutable and may be shared; an episode belongs to one thread at a time. */
#ifndef WH_DATA_EPISODE_H
#define WH_DATA_EPISODE_H

#include "base/mem.h"
#include "whist/data.h"

typedef struct wh_episode_design {
    size_t ways, shots, queries; /* >= 2, >= 1, >= 0 */
    unsigned turns;              /* 1, 2 or 4 */
    size_t height, width;        /* of the images, where they turn: a row is one or more planes of this size */
} wh_episode_design;

typedef struct wh_episode_pool wh_episode_pool;

/* Classes are the values of rows->y; rows must outlive the pool. WHIST_E_ARG for a design out of range;
 * WHIST_E_FORMAT where the rows have fewer classes than an episode's ways, or a class fewer rows than shots + queries,
 * with both numbers; WHIST_E_RANGE for labels that are no whole numbers; WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_episode_pool_new(wh_episode_pool **out, const whist_rows *rows,
                                               const wh_episode_design *design);
void wh_episode_pool_free(wh_episode_pool *pool);
WH_AUTO_FREE(wh_episode_pool, wh_episode_pool_free)
/* Classes that episodes are drawn from, turned ones counted. */
size_t wh_episode_pool_classes(const wh_episode_pool *pool);
const wh_episode_design *wh_episode_pool_design(const wh_episode_pool *pool);
size_t wh_episode_pool_features(const wh_episode_pool *pool);

/* One episode; all arrays are its own. Rows of one class lie together, by label. */
typedef struct wh_episode {
    size_t n_support, n_query; /* ways * shots, ways * queries */
    float *support_x;          /* (n_support, D) */
    float *query_x;            /* (n_query, D) */
    float *support_y;          /* (n_support) 0 … ways-1, as whist_batch wants targets */
    float *query_y;            /* (n_query) */
    uint32_t *support_row;     /* (n_support) which row of the pool stands here */
    uint32_t *query_row;       /* (n_query) */
    uint32_t *scratch;
} wh_episode;

/* Memory for episodes of the pool. WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_episode_init(wh_episode *out, const wh_episode_pool *pool);
void wh_episode_clear(wh_episode *episode);
WH_AUTO_CLEAR(wh_episode, wh_episode_clear)
/* purpose tells streams apart ("meta-train", "meta-test"). Allocates nothing. */
void wh_episode_draw(wh_episode *episode, const wh_episode_pool *pool, uint64_t seed, const char *purpose,
                     uint64_t index);

/* ---- Tasks that are sites or persons: the rows of one owner, in support and query -------------------- */

/* Rows of one owner in drawn order: the first n_support are the support, all others the query. With classes > 0 the
 * support takes its rows class by class in turn, as far as there are any, so that few rows show all classes.
 * order (rows->n) out. WHIST_E_FORMAT where no row would be left to query. */
WH_MUST_CHECK whist_status wh_episode_owner(uint32_t *order, const whist_rows *rows, size_t classes, size_t n_support,
                                            uint64_t seed, const char *owner, uint64_t index);

/* ---- Regression: y = a sin(x + p) ------------------------------------------------------------------------ */

/* Amplitude U[0.1, 5), phase U[0, π), x U[-5, 5) (Finn, Abbeel, Levine 2017, section 5.1). x, y: (n) support rows
 * first. */
void wh_episode_sinusoid(float *x, float *y, size_t n, uint64_t seed, const char *purpose, uint64_t index);

#endif
