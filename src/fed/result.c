/* fed/result.c: from rows of metrics to the result of a run. */
#include "fed/result.h"

#include <string.h>

whist_status wh_result_sites(whist_fed_result *out, const whist_fed_plan *plan)
{
    wh_free(out->sites);
    out->sites = NULL;
    out->n_sites = plan->n_sites;
    return WH_NEW(&out->sites, plan->n_sites);
}

whist_status wh_result_init(whist_fed_result *out, const whist_fed_plan *plan)
{
    *out = (whist_fed_result){0};
    return wh_result_sites(out, plan);
}

void whist_fed_result_clear(whist_fed_result *result)
{
    if (!result) return;
    wh_free(result->model);
    wh_free(result->moments);
    wh_free(result->sites);
    wh_free(result->history);
    *result = (whist_fed_result){0};
}

void wh_result_add(whist_fed_metrics *sum, const whist_fed_metrics *one, size_t n_metrics)
{
    for (size_t m = 0; m < n_metrics; m++) {
        whist_metric_value *to[2] = {&sum->test[m], &sum->validation[m]};
        const whist_metric_value *from[2] = {&one->test[m], &one->validation[m]};
        for (int f = 0; f < 2; f++) {
            to[f]->num += from[f]->num;
            to[f]->den += from[f]->den;
            to[f]->n += from[f]->n;
        }
    }
}

typedef struct gather {
    whist_fed_result *out;
    const whist_fed_plan *plan;
    size_t cap;
} gather;

static size_t metric_index(const whist_fed_plan *plan, const char *name)
{
    size_t m = 0;
    while (m < plan->n_metrics && strcmp(plan->metrics[m], name) != 0) m++;
    return m;
}

static size_t site_index(const whist_fed_plan *plan, const char *name)
{
    size_t i = 0;
    while (i < plan->n_sites && strcmp(plan->sites[i].name, name) != 0) i++;
    return i;
}

/* The entry of a round in the history; rounds come in ascending order. */
static whist_status history_entry(gather *g, uint64_t round, whist_fed_metrics **entry)
{
    whist_fed_result *out = g->out;
    if (out->n_history && out->history[out->n_history - 1].round == round) {
        *entry = &out->history[out->n_history - 1];
        return WHIST_OK;
    }
    if (out->n_history == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        whist_fed_metrics *more;
        WH_TRY(WH_NEW(&more, cap));
        if (out->n_history) memcpy(more, out->history, out->n_history * sizeof *more);
        wh_free(out->history);
        out->history = more;
        g->cap = cap;
    }
    *entry = &out->history[out->n_history++];
    (*entry)->round = round;
    return WHIST_OK;
}

static whist_status take_metric(void *user, uint64_t round, const char *site, whist_fold fold, const char *name,
                                const whist_metric_value *sum)
{
    gather *g = user;
    size_t m = metric_index(g->plan, name);
    if (m == g->plan->n_metrics) return WHIST_OK;
    whist_fed_metrics *entry = NULL;
    if (!site[0]) {
        WH_TRY(history_entry(g, round, &entry));
        (fold == WHIST_FOLD_TEST ? entry->test : entry->validation)[m] = *sum;
        if (round == g->out->rounds)
            (fold == WHIST_FOLD_TEST ? g->out->pooled.test : g->out->pooled.validation)[m] = *sum;
    } else if (round == g->out->rounds && g->out->sites) {
        size_t i = site_index(g->plan, site);
        if (i == g->plan->n_sites) return WHIST_OK;
        (fold == WHIST_FOLD_TEST ? g->out->sites[i].test : g->out->sites[i].validation)[m] = *sum;
    }
    return WHIST_OK;
}

static whist_status copy_moments(whist_fed_result *out, const whist_fed_plan *plan, wh_coordinator *c)
{
    WH_TRY(WH_NEW(&out->moments, 2 * plan->n_features));
    return wh_coordinator_moments_copy(c, out->moments);
}

whist_status wh_result_from(whist_fed_result *out, const whist_fed_plan *plan, wh_coordinator *c, wh_store *store)
{
    *out = (whist_fed_result){0};
    out->rounds = wh_coordinator_rounds_done(c);
    out->n = whist_model_size(plan->model);
    out->epsilon = wh_coordinator_epsilon(c);
    whist_status status = WH_NEW(&out->model, out->n);
    if (status == WHIST_OK) status = wh_coordinator_model_copy(c, out->model);
    if (status == WHIST_OK && plan->learner->finish)
        status = plan->learner->finish(plan->model, plan->learner_settings, out->model);
    if (status == WHIST_OK && plan->pooled_moments) status = copy_moments(out, plan, c);
    if (status == WHIST_OK && plan->protection->shows_updates && plan->n_metrics) status = wh_result_sites(out, plan);
    gather g = {out, plan, 0};
    if (status == WHIST_OK) status = wh_store_metrics(store, take_metric, &g);
    if (status != WHIST_OK) whist_fed_result_clear(out);
    return status;
}
