/* study/registry.h: all names that a study may use, for the tables. */
#ifndef WH_STUDY_REGISTRY_H
#define WH_STUDY_REGISTRY_H

#include "study/table.h"

#include <whist/data.h>

extern const wh_part_kind wh_model_parts, wh_learner_parts, wh_strategy_parts, wh_protection_parts;

/* Metrics and the tasks that they fit. */
typedef struct wh_metric_info {
    const char *name; /* NULL ends the list */
    unsigned tasks;   /* bit 1 << whist_task */
    const char *doc;
} wh_metric_info;
extern const wh_metric_info wh_metric_list[];

#endif
