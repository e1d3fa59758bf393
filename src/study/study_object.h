/* study/study_object.h: what a whist_study is made of, for the files of this room. */
#ifndef WH_STUDY_STUDY_OBJECT_H
#define WH_STUDY_STUDY_OBJECT_H

#include <whist/study.h>

#include "study/study_file.h"

struct whist_study {
    wh_arena arena; /* tree, lists, schema */
    wh_buf text;    /* as read */
    char *path;
    const wh_yaml *root;
    wh_study_file file;
    whist_model *model;
    whist_fed_privacy privacy; /* the plan points at it, where the study makes a promise */
    whist_fed_plan plan;
};
WH_AUTO_FREE(whist_study, whist_study_free)

/* Whether the units that a private learner counts on are no more than the study names. Texts begin with
 * "privacy: ". */
WH_MUST_CHECK whist_status wh_study_check_learner(const whist_fed_plan *plan);

#endif
