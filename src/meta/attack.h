/* meta/attack.h: attacks on meta-learners: tasks with a trigger, and what losses tell of who was in training. */
#ifndef WH_META_ATTACK_H
#define WH_META_ATTACK_H

#include "meta/scheme.h"

#include <whist/meta.h>

/* Class of row i of a task (0 or 1 of binary targets); the one that a row of predictions says. */
uint32_t wh_task_class(const wh_scheme *scheme, const wh_scheme_task *task, size_t i);
uint32_t wh_prediction_class(const wh_scheme *scheme, const float *prediction);

/* WHIST_E_ARG for a share, target or size out of range; WHIST_E_UNSUPPORTED for targets that are no classes, and for
 * learners over prototypes, in whose episodes a class has no label of its own. */
WH_MUST_CHECK whist_status wh_backdoor_check(const whist_meta_env *env, const whist_backdoor *backdoor);
/* The trigger on every query row of a task; relabel: all of them become the target. */
void wh_backdoor_put(wh_scheme_task *task, const wh_scheme *scheme, const whist_model *model,
                     const whist_backdoor *backdoor, bool relabel);
/* The same, relabelled, to the env's share of training tasks: a function of the seed and the task's number. */
void wh_backdoor_poison(wh_scheme_task *task, const wh_scheme *scheme, const whist_meta_env *env, uint64_t index);

/* Of n_in scores of what was there and n_out of what was not (the higher, the rather it was). Both arrays are sorted.
 * n_in, n_out >= 2. */
void wh_roc(whist_meta_membership *out, double *in, size_t n_in, double *others, size_t n_out);

#endif
