/* fed/toy.h: learners without mathematics, for tests of what carries them.
 *
 * "toy" moves the model a quarter of the way towards the mean of its features plus a number that
 * depends on site, round and element, so that a wrong round, site or order shows in the bits.
 * "toy-state" also keeps a vector between rounds and speaks SCAFFOLD's two vectors: a lost or
 * doubled round shows as well. "toy-bad" sends what its `say` asks for. */
#ifndef WH_TESTS_TOY_H
#define WH_TESTS_TOY_H

#include <whist/fed.h>

extern const whist_learner_class toy_learner, toy_state_learner, toy_bad_learner;

/* What toy-bad does; tests set it before a run. */
typedef enum toy_evil { TOY_GOOD, TOY_NAN, TOY_INF, TOY_HUGE, TOY_FAILS, TOY_NO_STEPS } toy_evil;
extern toy_evil toy_bad_say;
extern const char *toy_bad_site; /* the only site that is bad; NULL: all */

#endif
