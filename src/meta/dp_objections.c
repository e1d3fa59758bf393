/* meta/dp_objections.c: which promises a plain meta-learner cannot keep, and what to take instead. */
#include <string.h>

#include "base/settings.h"
#include "meta/dp_learners.h"

const char wh_meta_second_order_objection[] =
    "a Hessian-vector product mixes the support rows, so no row has a part of its own that could be clipped; take "
    "dp-fomaml or dp-reptile, or unit task (dp-meta) or site";

/* A learner without the option `evaluate` knows no other metrics than those of personal models. */
static const char *of_metrics(const whist_settings *settings)
{
    if (!wh_settings_has(settings, "evaluate"))
        return "its metrics are those of models adapted on the site's rows, and metrics: plain lets them leave without "
               "noise; leave the metrics at home";
    if (strcmp(whist_settings_text(settings, "evaluate"), "personal") != 0) return NULL;
    return "its metrics are those of models adapted on training rows, and metrics: plain lets them leave without "
           "noise; say learner.evaluate: start, or leave the metrics at home";
}

static const char *objection(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics,
                             const char *of_records)
{
    switch (unit) {
    case WHIST_DP_RECORD: return of_records;
    case WHIST_DP_TASK:
        return "its tasks are mixed anew from the same rows in every round: a row is in many of them, and a claim "
               "about one would be a claim about nobody; take dp-meta, whose tasks are persons (a column of type "
               "person), or unit site";
    case WHIST_DP_SITE:
    case WHIST_DP_UNITS: break;
    }
    return plain_metrics ? of_metrics(settings) : NULL;
}

const char *wh_meta_objection_first(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics)
{
    return objection(settings, unit, plain_metrics, "it clips and noises no row; take dp-fomaml or dp-reptile");
}

const char *wh_meta_objection_second(const whist_settings *settings, whist_dp_unit unit, bool plain_metrics)
{
    return objection(settings, unit, plain_metrics, wh_meta_second_order_objection);
}
