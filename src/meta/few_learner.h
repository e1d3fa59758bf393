/* meta/few_learner.h: a scheme on the learner joint. An object whose class_ is wh_few_learner came from
 * wh_few_learner_new, whatever class of the study made it. */
#ifndef WH_META_FEW_LEARNER_H
#define WH_META_FEW_LEARNER_H

#include "meta/learners.h"

extern const whist_learner_class wh_few_learner;

/* The class wh_learner_ID of the functions KIND_make (which gets the class), KIND_free, KIND_fit and KIND_evaluate. */
#define WH_META_LEARNER(kind, id, text, words, table, order, personal)                                                 \
    static whist_status id##_new(whist_learner **out, const whist_learner_env *env)                                    \
    {                                                                                                                  \
        return kind##_make(out, env, &wh_learner_##id);                                                                \
    }                                                                                                                  \
    const whist_learner_class wh_learner_##id = {.name = text,                                                         \
                                                 .doc = words,                                                         \
                                                 .options = table,                                                     \
                                                 .vectors = wh_meta_learner_vectors,                                   \
                                                 .new_ = id##_new,                                                     \
                                                 .free_ = kind##_free,                                                 \
                                                 .fit = kind##_fit,                                                    \
                                                 .evaluate = kind##_evaluate,                                          \
                                                 .adapt = personal,                                                    \
                                                 .objection = order};
extern const char *const wh_meta_learner_vectors[];

#endif
