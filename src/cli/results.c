/* cli/results.c: statistics over runs. A run's value is exact (sums over rows); only means and deviations over
 * seeds are taken here. */
#include "cli/results.h"

#include <math.h>

static double value_of(const whist_metric_value *v)
{
    return v->den > 0 ? v->num / v->den : NAN;
}

static double mean_of_run(const whist_fed_result *run, size_t m)
{
    if (!run->sites) return value_of(&run->pooled.test[m]);
    double sum = 0, n = 0;
    for (size_t i = 0; i < run->n_sites; i++) {
        double value = value_of(&run->sites[i].test[m]);
        if (!isnan(value)) sum += value, n++;
    }
    return n > 0 ? sum / n : NAN;
}

typedef enum what { SITE, POOLED, MEAN } what;

static double value_in(const whist_fed_result *run, what which, size_t m, size_t site)
{
    switch (which) {
    case SITE: return run->sites && site < run->n_sites ? value_of(&run->sites[site].test[m]) : NAN;
    case POOLED: return value_of(&run->pooled.test[m]);
    default: return mean_of_run(run, m);
    }
}

static cli_stat over_runs(const cli_results *r, what which, size_t m, size_t site)
{
    double sum = 0, squares = 0, n = 0;
    for (size_t k = 0; k < r->n; k++) {
        double value = value_in(&r->runs[k], which, m, site);
        if (!isnan(value)) sum += value, n++;
    }
    cli_stat stat = {.mean = n > 0 ? sum / n : NAN, .sd = NAN};
    for (size_t k = 0; k < r->n; k++) {
        double d = value_in(&r->runs[k], which, m, site) - stat.mean;
        if (!isnan(d)) squares += d * d;
    }
    if (n > 1) stat.sd = sqrt(squares / (n - 1));
    const whist_fed_result *last = &r->runs[r->n - 1];
    if (which == SITE && last->sites && site < last->n_sites) stat.rows = last->sites[site].test[m].n;
    if (which == POOLED) stat.rows = last->pooled.test[m].n;
    return stat;
}

cli_stat cli_stat_site(const cli_results *results, size_t m, size_t site)
{
    return over_runs(results, SITE, m, site);
}

cli_stat cli_stat_pooled(const cli_results *results, size_t m)
{
    return over_runs(results, POOLED, m, 0);
}

cli_stat cli_stat_mean(const cli_results *results, size_t m)
{
    return over_runs(results, MEAN, m, 0);
}

/* ---- Table ---- */

static void add_stat(cli_table *table, cli_stat stat)
{
    if (isnan(stat.mean))
        cli_table_add(table, "–");
    else if (isnan(stat.sd))
        cli_table_add(table, "%.4f", stat.mean);
    else
        cli_table_add(table, "%.4f ± %.4f", stat.mean, stat.sd);
}

/* What the trust table says, and what it comes to under a protection that hides nothing. */
static const char *each_update(const whist_fed_plan *plan)
{
    bool shown = plan->privacy->noise == WHIST_NOISE_CENTRAL && plan->protection->shows_updates;
    return shown ? ", and each plain update" : "";
}

void cli_results_privacy(const cli_results *results, FILE *to)
{
    const whist_fed_privacy *p = results->plan->privacy;
    if (!p) return;
    if (p->sigma > 0)
        fprintf(to, "privacy: epsilon %.4g at delta %g for one %s (%s), of a budget of %g; sigma %.4g\n         %s%s\n",
                results->runs[results->n - 1].epsilon, p->delta, whist_dp_unit_name(p->unit),
                whist_dp_relation_name(p->relation), p->epsilon, p->sigma, whist_privacy_trust(p->noise),
                each_update(results->plan));
    else if (results->runs[results->n - 1].epsilon > 0)
        fprintf(to,
                "privacy: epsilon %.4g at delta %g for one %s (%s) of the site that spent most, of a budget of %g\n    "
                "     %s\n",
                results->runs[results->n - 1].epsilon, p->delta, whist_dp_unit_name(p->unit),
                whist_dp_relation_name(p->relation), p->epsilon, whist_privacy_trust(p->noise));
    else
        fprintf(to, "privacy: noised by the learner at each site, for one %s; each site's ledger says what it spent\n",
                whist_dp_unit_name(p->unit));
    if (p->plain_metrics && results->plan->n_metrics)
        fputs("         metrics are of test rows, which are no part of the promise\n", to);
}

static void put_privacy(whist_json *json, const cli_results *results)
{
    const whist_fed_privacy *p = results->plan->privacy;
    whist_json_key(json, "privacy");
    if (!p) {
        whist_json_null(json);
        return;
    }
    whist_json_begin_object(json);
    whist_json_key(json, "unit"), whist_json_text(json, whist_dp_unit_name(p->unit));
    whist_json_key(json, "relation"), whist_json_text(json, whist_dp_relation_name(p->relation));
    whist_json_key(json, "noise"), whist_json_text(json, whist_privacy_noise_name(p->noise));
    whist_json_key(json, "trust"), whist_json_text(json, whist_privacy_trust(p->noise));
    whist_json_key(json, "mechanism"), whist_json_text(json, whist_privacy_mechanism_name(p->mechanism));
    whist_json_key(json, "sigma"), whist_json_real(json, p->sigma);
    whist_json_key(json, "clip"), whist_json_real(json, p->clip);
    whist_json_key(json, "epsilon"), whist_json_real(json, results->runs[results->n - 1].epsilon);
    whist_json_key(json, "delta"), whist_json_real(json, p->delta);
    whist_json_key(json, "budget"), whist_json_real(json, p->epsilon);
    whist_json_end_object(json);
}

int cli_results_table(const cli_results *results, FILE *to)
{
    const whist_fed_plan *plan = results->plan;
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(plan->n_metrics + 2);
    bool sites = results->runs[0].sites && plan->n_sites <= 64;
    cli_table_add(table, "site");
    for (size_t m = 0; m < plan->n_metrics; m++) cli_table_add(table, "%s", plan->metrics[m]);
    cli_table_add(table, "rows");
    for (size_t i = 0; sites && i < plan->n_sites; i++) {
        cli_table_add(table, "%s", plan->sites[i].name);
        for (size_t m = 0; m < plan->n_metrics; m++) add_stat(table, cli_stat_site(results, m, i));
        cli_table_add(table, "%.0f", cli_stat_site(results, 0, i).rows);
    }
    if (results->runs[0].sites) {
        cli_table_add(table, "mean over %zu sites", plan->n_sites);
        for (size_t m = 0; m < plan->n_metrics; m++) add_stat(table, cli_stat_mean(results, m));
        cli_table_add(table, "%s", "");
    }
    cli_table_add(table, "all rows");
    for (size_t m = 0; m < plan->n_metrics; m++) add_stat(table, cli_stat_pooled(results, m));
    cli_table_add(table, "%.0f", cli_stat_pooled(results, 0).rows);
    return cli_table_print(table, to);
}

/* ---- JSON ---- */

static void put_stat(whist_json *json, cli_stat stat)
{
    whist_json_key(json, "mean"), whist_json_real(json, stat.mean);
    whist_json_key(json, "sd"), whist_json_real(json, stat.sd);
}

static void put_metric(whist_json *json, const cli_results *r, size_t m)
{
    whist_json_begin_object(json);
    put_stat(json, cli_stat_mean(r, m));
    whist_json_key(json, "sites");
    whist_json_begin_object(json);
    for (size_t i = 0; r->runs[0].sites && i < r->plan->n_sites; i++) {
        cli_stat stat = cli_stat_site(r, m, i);
        whist_json_key(json, r->plan->sites[i].name);
        whist_json_begin_object(json);
        put_stat(json, stat);
        whist_json_key(json, "n"), whist_json_real(json, stat.rows);
        whist_json_end_object(json);
    }
    whist_json_end_object(json);
    cli_stat pooled = cli_stat_pooled(r, m);
    whist_json_key(json, "pooled");
    whist_json_begin_object(json);
    put_stat(json, pooled);
    whist_json_key(json, "n"), whist_json_real(json, pooled.rows);
    whist_json_end_object(json);
    whist_json_end_object(json);
}

void cli_results_json(whist_json *json, const cli_results *results)
{
    put_privacy(json, results);
    whist_json_key(json, "metrics");
    whist_json_begin_object(json);
    for (size_t m = 0; m < results->plan->n_metrics; m++) {
        whist_json_key(json, results->plan->metrics[m]);
        put_metric(json, results, m);
    }
    whist_json_end_object(json);
}
