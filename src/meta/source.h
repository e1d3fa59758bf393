/* meta/source.h: where the tasks of a scheme come from: classes of a fold, owners of rows, persons, sinusoids.
 *
 * Task i of a source is a function of (rows, seed, purpose, i) alone: public randomness. */
#ifndef WH_META_SOURCE_H
#define WH_META_SOURCE_H

#include "data/episode.h"
#include "meta/scheme.h"
#include "whist/meta.h"

typedef struct wh_source_env {
    whist_episodes episodes;
    /* CLASSES, PERSONS: one data set. SITES: one for each owner, who are `names`; each task is one of them. SINUSOID:
     * none. */
    const whist_dataset *const *data;
    const char *const *names;
    size_t n;
    whist_fold fold; /* of the query rows; SITES take their support from the training rows, and where the fold is the
                        training rows, the query is what the support leaves */
    size_t height, width; /* of images that turn */
    uint64_t seed;
} wh_source_env;

typedef struct wh_source wh_source;
/* Fails like wh_episode_pool_new; WHIST_E_FORMAT naming an owner with too few rows. */
WH_MUST_CHECK whist_status wh_source_new(wh_source **out, const wh_source_env *env);
void wh_source_free(wh_source *source);
WH_AUTO_FREE(wh_source, wh_source_free)

size_t wh_source_support(const wh_source *source); /* rows of a task */
size_t wh_source_query(const wh_source *source);

/* What a thread needs to draw. */
typedef struct wh_source_seat wh_source_seat;
WH_MUST_CHECK whist_status wh_source_seat_new(wh_source_seat **out, const wh_source *source);
void wh_source_seat_free(wh_source_seat *seat);

/* WHIST_E_RANGE for a target that is none of the scheme's classes. */
WH_MUST_CHECK whist_status wh_source_draw(wh_scheme_task *out, wh_source_seat *seat, const wh_source *source,
                                          const wh_scheme *scheme, const char *purpose, uint64_t index);

/* One step of training: n tasks at params, attacked where training is adversarial. Of ADML (attack->on BOTH) task i and
 * task i + n/2 are the same episode, attacked on its query and on its support. */
typedef struct wh_source_step {
    const char *purpose;
    uint64_t step;
    size_t n; /* as wh_source_step_tasks says */
    const whist_attack *attack;
    bool unit;                    /* attacked numbers stay in 0 … 1 */
    const float *params;          /* (P) */
    const whist_meta_env *poison; /* whose backdoor some of the episodes get; or NULL */
} wh_source_step;
/* Tasks of a step of so many episodes. */
size_t wh_source_step_tasks(size_t episodes, const whist_attack *attack);
/* Task i of the step. personal (P): scratch of this worker; NULL where nothing is attacked. The scheme is for attacks,
 * then. */
WH_MUST_CHECK whist_status wh_source_step_draw(wh_scheme_task *out, wh_source_seat *seat, const wh_source *source,
                                               wh_scheme *scheme, unsigned worker, const wh_source_step *step, size_t i,
                                               float *personal);

#endif
