/* kat/kat_dp.c: the rows of dp_accounting.json.
 *
 * A row names a mechanism, its parameters, an accountant and the quantity it should answer. Whatever the row has that
 * is not known here (a mechanism, a relation, a part) makes it skipped. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dp/account/accountant.h"
#include "kat/kat.h"

enum { MAX_EVENTS = 64, MAX_MIXTURE = 512 };

/* What the row says, ready to be charged. Lists live here while the row is judged. */
typedef struct row {
    kat_case *c;
    const wh_json *params;
    const char *accountant, *quantity;
    whist_dp_event event[MAX_EVENTS], inner;
    size_t n;
    double shift[MAX_MIXTURE], weight[MAX_MIXTURE];
    bool unknown;
} row;

static double number(const wh_json *params, const char *key)
{
    return kat_number(params, key, NAN);
}

static bool known(const wh_json *params, const char *key)
{
    return json_is_number(json_object_get(params, key));
}

/* ---- Mechanisms -------------------------------------------------------------------------------- */

static bool read_relation(whist_dp_relation *out, const wh_json *params)
{
    static const char *const names[] = {"add_remove", "replace_one", "zero_out"};
    const char *name = kat_text(params, "neighboring");
    *out = WHIST_DP_ADD_REMOVE;
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) *out = (whist_dp_relation)i;
    return !*name || strcmp(name, names[*out]) == 0;
}

/* Shapes of mechanisms by name: which mechanism, which sampling, where its number stands. */
typedef struct form {
    const char *name;
    whist_dp_mechanism mechanism;
    whist_dp_sampling sampling;
    const char *noise, *epsilon;
} form;

static const form forms[] = {
    {"gaussian", WHIST_DP_GAUSSIAN, WHIST_DP_ALL, "sigma", NULL},
    {"laplace", WHIST_DP_LAPLACE, WHIST_DP_ALL, "b", NULL},
    {"discrete_gaussian", WHIST_DP_DISCRETE_GAUSSIAN, WHIST_DP_ALL, "sigma", NULL},
    {"discrete_laplace", WHIST_DP_DISCRETE_LAPLACE, WHIST_DP_ALL, "a", NULL},
    {"subsampled_gaussian", WHIST_DP_GAUSSIAN, WHIST_DP_POISSON, "sigma", NULL},
    {"subsampled_laplace", WHIST_DP_LAPLACE, WHIST_DP_POISSON, "b", NULL},
    {"subsampled_gaussian_wor", WHIST_DP_GAUSSIAN, WHIST_DP_WITHOUT_REPLACEMENT, "sigma", NULL},
    {"truncated_poisson_gaussian", WHIST_DP_GAUSSIAN, WHIST_DP_TRUNCATED_POISSON, "sigma", NULL},
    {"mixture_of_gaussians", WHIST_DP_GAUSSIAN_MIXTURE, WHIST_DP_ALL, "sigma", NULL},
    {"randomized_response", WHIST_DP_RANDOMISED_RESPONSE, WHIST_DP_ALL, NULL, NULL},
    {"exponential_mechanism", WHIST_DP_EXPONENTIAL, WHIST_DP_ALL, NULL, "epsilon_step"},
    {"permute_and_flip", WHIST_DP_PERMUTE_AND_FLIP, WHIST_DP_ALL, NULL, "epsilon_step"},
    {"epsilon_delta", WHIST_DP_APPROXIMATE, WHIST_DP_ALL, NULL, "epsilon"},
    {"zcdp", WHIST_DP_CONCENTRATED, WHIST_DP_ALL, NULL, NULL},
    {"tree_aggregation_single_epoch", WHIST_DP_TREE, WHIST_DP_ALL, "sigma", NULL},
    {"repeat_and_select", WHIST_DP_REPEAT, WHIST_DP_ALL, NULL, NULL},
};

static const form *form_named(const char *name)
{
    for (size_t i = 0; i < WH_COUNT(forms); i++)
        if (strcmp(forms[i].name, name) == 0) return &forms[i];
    return NULL;
}

static bool read_sampling(whist_dp_event *e, const wh_json *params)
{
    static const char *const words[] = {[WHIST_DP_POISSON] = "poisson",
                                        [WHIST_DP_WITHOUT_REPLACEMENT] = "without_replacement",
                                        [WHIST_DP_TRUNCATED_POISSON] = "poisson"};
    const char *word = kat_text(params, "sampling");
    if (*word && (e->sampling == WHIST_DP_ALL || strcmp(word, words[e->sampling]) != 0)) return false;
    e->rate = kat_number(params, "q", 0);
    e->n = kat_size(params, "n", 0);
    e->batch = kat_size(params, e->sampling == WHIST_DP_TRUNCATED_POISSON ? "max_batch" : "batch", 0);
    return true;
}

static bool read_mixture(row *r, whist_dp_event *e, const wh_json *params)
{
    const wh_json *shifts = json_object_get(params, "sensitivities"), *weights = json_object_get(params, "probs");
    e->n_mixture = kat_flatten(r->shift, MAX_MIXTURE, shifts);
    e->shift = r->shift;
    e->weight = r->weight;
    return e->n_mixture <= MAX_MIXTURE && kat_flatten(r->weight, MAX_MIXTURE, weights) == e->n_mixture;
}

static bool read_event(row *r, whist_dp_event *e, const char *name, const wh_json *params, whist_dp_relation relation);

static bool read_repeat(row *r, whist_dp_event *e, const wh_json *params)
{
    const wh_json *inner = json_object_get(params, "inner"), *shape = json_object_get(params, "shape");
    e->inner = &r->inner;
    e->n_inner = 1;
    e->mean = number(params, "mean");
    e->shape = json_is_string(shape) && strcmp(json_string_value(shape), "inf") == 0 ? (double)INFINITY
                                                                                     : json_number_value(shape);
    return strcmp(kat_text(inner, "mechanism"), "repeat_and_select") != 0 &&
           read_event(r, &r->inner, kat_text(inner, "mechanism"), inner, e->relation);
}

static bool read_event(row *r, whist_dp_event *e, const char *name, const wh_json *params, whist_dp_relation relation)
{
    const form *f = form_named(name);
    if (!f) return false;
    *e = (whist_dp_event){.mechanism = f->mechanism, .sampling = f->sampling, .relation = relation};
    e->count = kat_size(params, "T", 1);
    if (f->noise) e->noise = number(params, f->noise);
    if (f->epsilon) e->epsilon = kat_number(params, "epsilon_step", number(params, f->epsilon));
    e->delta = kat_number(params, "delta_step", f->mechanism == WHIST_DP_APPROXIMATE ? number(params, "delta") : 0);
    e->rho = kat_number(params, "rho", 0);
    e->p = kat_number(params, "noise_parameter", 0);
    e->k = (uint32_t)kat_size(params, "k", 0);
    e->steps = kat_size(params, "steps", 0);
    bool integers = f->mechanism == WHIST_DP_DISCRETE_GAUSSIAN || f->mechanism == WHIST_DP_DISCRETE_LAPLACE;
    if (integers) e->sensitivity = (uint32_t)kat_size(params, "sensitivity", 1);
    if (!read_sampling(e, params)) return false;
    /* The file gives sigma for batches of fixed size relative to what exchanging a record moves; ours is relative to
     * what adding one moves. */
    if (e->sampling == WHIST_DP_WITHOUT_REPLACEMENT && relation != WHIST_DP_ZERO_OUT) e->noise *= 2;
    if (f->mechanism == WHIST_DP_GAUSSIAN_MIXTURE) return read_mixture(r, e, params);
    return f->mechanism != WHIST_DP_REPEAT || read_repeat(r, e, params);
}

static bool read_events(row *r, const char *mechanism)
{
    whist_dp_relation relation;
    if (!read_relation(&relation, r->params)) return false;
    if (strcmp(mechanism, "heterogeneous") != 0) {
        r->n = 1;
        return read_event(r, r->event, mechanism, r->params, relation);
    }
    const wh_json *parts = json_object_get(r->params, "parts");
    size_t mixtures = 0;
    r->n = json_array_size(parts);
    if (r->n < 1 || r->n > MAX_EVENTS) return false;
    for (size_t i = 0; i < r->n; i++) {
        const wh_json *part = json_array_get(parts, i);
        const char *name = kat_text(part, "mechanism");
        mixtures += strcmp(name, "mixture_of_gaussians") == 0 || strcmp(name, "repeat_and_select") == 0;
        if (mixtures > 1 || !read_event(r, &r->event[i], name, part, relation)) return false;
    }
    return true;
}

/* ---- Accountants ------------------------------------------------------------------------------- */

typedef whist_status answerer(double *got, row *r);

static whist_dp_options options_of(const row *r, whist_dp_method method)
{
    return (whist_dp_options){.method = method, .relation = r->event[0].relation, .allow_approximation = true};
}

static whist_status account(whist_dp_answer *out, row *r, whist_dp_method method)
{
    WH_AUTO(whist_dp_accountant_ptr) a = NULL;
    whist_dp_options options = options_of(r, method);
    WH_TRY(whist_dp_accountant_new(&a, &options));
    for (size_t i = 0; i < r->n; i++) WH_TRY(whist_dp_compose(a, &r->event[i]));
    if (strcmp(r->quantity, "delta") == 0) return whist_dp_delta(out, a, number(r->params, "epsilon_target"));
    return whist_dp_epsilon(out, a, number(r->params, "delta"));
}

static whist_status upper_end(double *got, row *r, whist_dp_method method)
{
    whist_dp_answer answer;
    WH_TRY(account(&answer, r, method));
    *got = answer.upper;
    return WHIST_OK;
}

static whist_status by_pld(double *got, row *r)
{
    return upper_end(got, r, WHIST_DP_PLD);
}
static whist_status by_rdp(double *got, row *r)
{
    return upper_end(got, r, WHIST_DP_RDP);
}
static whist_status by_gdp(double *got, row *r)
{
    return upper_end(got, r, WHIST_DP_GDP);
}

static whist_status by_prv(double *got, row *r)
{
    whist_dp_answer answer;
    WH_TRY(account(&answer, r, WHIST_DP_PLD));
    *got = (answer.lower + answer.upper) / 2;
    return WHIST_OK;
}

static whist_status calibrate(double *got, row *r, whist_dp_method method)
{
    whist_dp_options options = options_of(r, method);
    r->event[0].noise = 1;
    WH_TRY(whist_dp_calibrate(got, NULL, &options, r->event, r->n, 0, WHIST_DP_NOISE,
                              number(r->params, "target_epsilon"), number(r->params, "delta"), 1e-5));
    bool exchanged = r->event[0].sampling == WHIST_DP_WITHOUT_REPLACEMENT && options.relation != WHIST_DP_ZERO_OUT;
    if (exchanged) *got /= 2;
    return WHIST_OK;
}

static whist_status calibrate_pld(double *got, row *r)
{
    return calibrate(got, r, WHIST_DP_PLD);
}
static whist_status calibrate_rdp(double *got, row *r)
{
    return calibrate(got, r, WHIST_DP_RDP);
}

static whist_status one_order(double *got, row *r)
{
    WH_TRY(whist_dp_event_check(&r->event[0]));
    WH_TRY(wh_dp_event_order(got, &r->event[0], number(r->params, "order")));
    *got *= (double)wh_dp_count(&r->event[0]);
    return WHIST_OK;
}

/* sigma for means one apart stands for T uses of the row's relation */
static double scale_of(const row *r)
{
    double reach = r->event[0].relation == WHIST_DP_REPLACE ? 2 : 1;
    return reach * sqrt((double)wh_dp_count(&r->event[0]));
}

static whist_status analytic(double *got, row *r)
{
    double sigma = r->event[0].noise / scale_of(r);
    if (strcmp(r->quantity, "delta") == 0)
        return whist_dp_gaussian_delta(got, sigma, number(r->params, "epsilon_target"));
    return whist_dp_gaussian_epsilon(got, sigma, number(r->params, "delta"));
}

static whist_status calibrate_analytic(double *got, row *r)
{
    WH_TRY(whist_dp_gaussian_sigma(got, number(r->params, "target_epsilon"), number(r->params, "delta")));
    *got *= scale_of(r);
    return WHIST_OK;
}

static whist_status from_zcdp(double *got, row *r)
{
    double rho = number(r->params, "rho") * kat_number(r->params, "T", 1);
    if (strcmp(r->quantity, "delta") == 0) return whist_dp_zcdp_delta(got, rho, number(r->params, "epsilon_target"));
    return whist_dp_zcdp_epsilon(got, rho, number(r->params, "delta"));
}

static whist_status to_zcdp(double *got, row *r)
{
    return whist_dp_zcdp_rho(got, number(r->params, "target_epsilon"), number(r->params, "delta"));
}

static whist_status optimal(double *got, row *r)
{
    double e = number(r->params, "epsilon_step"), d = number(r->params, "delta_step");
    uint64_t uses = kat_size(r->params, "T", 1);
    if (strcmp(r->quantity, "delta") == 0)
        return whist_dp_optimal_delta(got, e, d, uses, number(r->params, "epsilon_target"));
    return whist_dp_optimal_epsilon(got, e, d, uses, number(r->params, "delta"));
}

static whist_status moment(double *got, row *r)
{
    const whist_dp_event *e = &r->event[0];
    WH_TRY(whist_dp_event_check(e));
    switch (e->mechanism) {
    case WHIST_DP_GAUSSIAN: *got = e->noise * e->noise; break;
    case WHIST_DP_LAPLACE: *got = 2 * e->noise * e->noise; break;
    case WHIST_DP_DISCRETE_GAUSSIAN: *got = wh_dp_discrete_gaussian_variance(e->noise); break;
    case WHIST_DP_DISCRETE_LAPLACE: *got = 2 * exp(-e->noise) / expm1(-e->noise) / expm1(-e->noise); break;
    default: r->unknown = true;
    }
    return WHIST_OK;
}

static whist_status exact_sum(double *got, row *r)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_dp_part part[WH_DP_PARTS_MAX];
    size_t n;
    WH_TRY(whist_dp_event_check(&r->event[0]));
    WH_TRY(wh_dp_parts(part, &n, &arena, &r->event[0]));
    wh_dp_pair *pair = &part[0].pair;
    if (pair->shape != WH_DP_ATOMS || n != 1 || part[0].uses != 1) {
        r->unknown = true;
        return WHIST_OK;
    }
    WH_TRY(wh_dp_atoms_amplified(pair, &arena, pair));
    if (strcmp(r->quantity, "delta") == 0) {
        *got = wh_dp_atoms_delta(pair, number(r->params, "epsilon_target"));
        return WHIST_OK;
    }
    double low = 0, high = 1e3, delta = number(r->params, "delta");
    for (int i = 0; i < 100; i++) {
        *got = (low + high) / 2;
        if (wh_dp_atoms_delta(pair, *got) > delta)
            low = *got;
        else
            high = *got;
    }
    return WHIST_OK;
}

static const struct {
    const char *name;
    answerer *answer;
    const char *quantities; /* each between bars */
    bool needs_event, several, upper;
} accountants[] = {
    {"pld", by_pld, "|epsilon|delta|", true, true, true},
    {"rdp", by_rdp, "|epsilon|delta|", true, true, true},
    {"prv", by_prv, "|epsilon|delta|", true, true, false},
    {"gdp_clt_approximation", by_gdp, "|epsilon|delta|", true, true, false},
    {"pld_calibration", calibrate_pld, "|sigma|", true, false, false},
    {"rdp_calibration", calibrate_rdp, "|sigma|", true, false, false},
    {"rdp_order", one_order, "|rdp|", true, false, false},
    {"analytic_gaussian", analytic, "|epsilon|delta|", true, false, false},
    {"analytic_gaussian_calibration", calibrate_analytic, "|sigma|", true, false, false},
    {"moment", moment, "|variance|", true, false, false},
    {"exact_sum", exact_sum, "|epsilon|delta|", true, false, false},
    {"zcdp_to_dp", from_zcdp, "|epsilon|delta|", false, false, false},
    {"dp_to_zcdp", to_zcdp, "|rho|", false, false, false},
    {"optimal_advanced_composition", optimal, "|epsilon|delta|", false, false, true},
};

/* ---- Judging ----------------------------------------------------------------------------------- */

static bool has_quantity(const char *quantities, const char *quantity)
{
    char word[64];
    snprintf(word, sizeof word, "|%s|", quantity);
    return *quantity && strstr(quantities, word);
}

static kat_verdict compare(kat_case *c, double got, const char *quantity, bool upper)
{
    double want = number(c->inner, quantity), slack = kat_number(c->inner, "tolerance_rel", 0) * fabs(want);
    double low = kat_number(c->inner, "lower", NAN), from = kat_number(c->inner, "epsilon_lower", NAN),
           to = kat_number(c->inner, "epsilon_upper", NAN);
    if (fabs(got - want) <= slack) return KAT_PASSED;
    if (upper && got >= low && got <= want + slack) return KAT_PASSED;
    if (strcmp(kat_text(c->inner, "accountant"), "prv") == 0 && got >= from && got <= to) return KAT_PASSED;
    if (wh_buf_text(&c->why, "%s %s: got %.12g, wanted %.12g (± %.2g)", kat_text(c->inner, "id"), quantity, got, want,
                    slack) != WHIST_OK)
        wh_buf_reset(&c->why);
    return KAT_FAILED;
}

static kat_verdict judge_row(row *r, kat_case *c)
{
    const char *mechanism = kat_text(c->inner, "mechanism");
    r->c = c;
    r->params = json_object_get(c->inner, "params");
    r->accountant = kat_text(c->inner, "accountant");
    r->quantity = kat_text(c->inner, "quantity");
    size_t i = 0;
    while (i < WH_COUNT(accountants) && strcmp(accountants[i].name, r->accountant) != 0) i++;
    if (i == WH_COUNT(accountants) || !has_quantity(accountants[i].quantities, r->quantity)) return KAT_SKIPPED;
    if (!known(c->inner, r->quantity)) return KAT_SKIPPED;
    bool analytic_only = strncmp(r->accountant, "analytic", 8) == 0;
    if (analytic_only && strcmp(mechanism, "gaussian") != 0) return KAT_SKIPPED;
    if (accountants[i].needs_event && !read_events(r, mechanism)) return KAT_SKIPPED;
    if (!accountants[i].several && r->n > 1) return KAT_SKIPPED;
    double got;
    whist_status status = accountants[i].answer(&got, r);
    if (status == WHIST_E_UNSUPPORTED || r->unknown) return KAT_SKIPPED;
    if (status == WHIST_OK) return compare(c, got, r->quantity, accountants[i].upper);
    if (wh_buf_text(&c->why, "%s: %s", kat_text(c->inner, "id"), whist_detail_get()->text) != WHIST_OK)
        wh_buf_reset(&c->why);
    return KAT_FAILED;
}

static kat_verdict judge(kat_case *c)
{
    char kind[192];
    WH_AUTO(wh_owned) memory = NULL; /* too large for the stack */
    if (!*kat_text(c->inner, "mechanism") || json_object_get(c->inner, "needs")) return KAT_SKIPPED;
    if (wh_alloc(&memory, 1, sizeof(row)) != WHIST_OK) return KAT_FAILED;
    row *r = memory;
    kat_verdict verdict = judge_row(r, c);
    snprintf(kind, sizeof kind, "%s|%s|%s", kat_text(c->inner, "mechanism"), r->accountant, r->quantity);
    if (verdict == KAT_FAILED && wh_buf_text(&c->why, " [%s]", kind) != WHIST_OK) wh_buf_reset(&c->why);
    return verdict;
}

int main(int argc, char **argv)
{
    return kat_main(argc, argv, judge);
}
