/* study/registry.h: all names that a study may use, for the tables. */
#ifndef WH_STUDY_REGISTRY_H
#define WH_STUDY_REGISTRY_H

#include "study/table.h"

extern const wh_part_kind wh_model_parts, wh_learner_parts, wh_strategy_parts, wh_protection_parts, wh_optimizer_parts;

#endif
