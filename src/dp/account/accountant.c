/* account/accountant.c: events in, an interval or a refusal out.
 *
 * Events are kept as they came, equal ones counted together: so n calls are the same as one of count n, to the bit. */
#include "dp/account/accountant.h"

#include <float.h>
#include <math.h>

#include "dp/account/closed.h"
#include "dp/account/pld.h"

/* One distinct event and what its method made of it, for all its uses. */
typedef struct entry {
    whist_dp_event event;
    wh_dp_curve curve; /* RDP */
    double number;     /* zCDP: rho; GDP: mu squared */
} entry;

struct whist_dp_accountant {
    whist_dp_options options;
    wh_arena arena; /* what events point at */
    entry **entry;  /* n */
    size_t n, room;
    wh_dp_curve total;
};

static const char *const methods[WHIST_DP_METHODS] = {"pld", "rdp", "zcdp", "gdp"};

const char *whist_dp_method_name(whist_dp_method method)
{
    return (size_t)method < WH_COUNT(methods) ? methods[method] : NULL;
}

whist_status wh_dp_options_check(const whist_dp_options *o)
{
    WH_ENSURE((unsigned)o->method < WHIST_DP_METHODS, WHIST_E_ARG);
    WH_ENSURE((unsigned)o->relation < WHIST_DP_RELATIONS && (unsigned)o->unit < WHIST_DP_UNITS, WHIST_E_ARG);
    if (!(o->width >= 0 && o->width < 1)) WH_FAIL(WHIST_E_ARG, "width is %g: it must lie in [0, 1)", o->width);
    if (o->method == WHIST_DP_PLD && o->adaptive)
        WH_FAIL(WHIST_E_UNSUPPORTED, "pld is for schedules fixed in advance: use rdp or zcdp where events are chosen "
                                     "by what was released");
    if (o->method == WHIST_DP_GDP && o->adaptive)
        WH_FAIL(WHIST_E_UNSUPPORTED, "gdp is for schedules fixed in advance: use rdp or zcdp");
    if (o->method == WHIST_DP_GDP && !o->allow_approximation)
        WH_FAIL(WHIST_E_UNSUPPORTED, "gdp is an approximation that may lie below the truth, not a bound: use pld, or "
                                     "allow approximations");
    return WHIST_OK;
}

whist_status whist_dp_accountant_new(whist_dp_accountant **out, const whist_dp_options *options)
{
    whist_dp_accountant *a = NULL;
    WH_ENSURE(out && options, WHIST_E_ARG);
    WH_TRY(wh_dp_options_check(options));
    WH_TRY(WH_NEW(&a, 1));
    a->options = *options;
    *out = a;
    return WHIST_OK;
}

void whist_dp_accountant_free(whist_dp_accountant *a)
{
    if (!a) return;
    wh_arena_clear(&a->arena);
    wh_free(a->entry);
    wh_free(a);
}

/* ---- Charging ---------------------------------------------------------------------------------- */

/* What the method makes of all uses of e->event. */
static whist_status evaluate(const whist_dp_accountant *a, entry *e)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_dp_part part[WH_DP_PARTS_MAX];
    size_t n;
    switch (a->options.method) {
    case WHIST_DP_RDP: return wh_dp_event_curve(&e->curve, &e->event);
    case WHIST_DP_ZCDP: return wh_dp_event_rho(&e->number, &e->event);
    case WHIST_DP_GDP: return wh_dp_event_gdp(&e->number, &e->event);
    default: return wh_dp_parts(part, &n, &arena, &e->event); /* only whether it can */
    }
}

static whist_status check_fits(const whist_dp_accountant *a, const whist_dp_event *event)
{
    WH_TRY(whist_dp_event_check(event));
    if (event->relation != a->options.relation)
        WH_FAIL(WHIST_E_STATE, "the event is for relation %s, the accountant for %s",
                whist_dp_relation_name(event->relation), whist_dp_relation_name(a->options.relation));
    if (event->unit != a->options.unit)
        WH_FAIL(WHIST_E_STATE, "the event protects a %s, the accountant a %s", whist_dp_unit_name(event->unit),
                whist_dp_unit_name(a->options.unit));
    return WHIST_OK;
}

static whist_status make_room(whist_dp_accountant *a)
{
    entry **grown = NULL;
    if (a->n < a->room) return WHIST_OK;
    size_t room = a->room ? 2 * a->room : 8;
    WH_TRY(WH_NEW(&grown, room));
    for (size_t i = 0; i < a->n; i++) grown[i] = a->entry[i];
    wh_free(a->entry);
    a->entry = grown;
    a->room = room;
    return WHIST_OK;
}

static entry *find_same(const whist_dp_accountant *a, const whist_dp_event *event)
{
    for (size_t i = 0; i < a->n; i++)
        if (wh_dp_event_same(&a->entry[i]->event, event)) return a->entry[i];
    return NULL;
}

static whist_status add_entry(whist_dp_accountant *a, const entry *e)
{
    entry *kept = NULL;
    whist_dp_event *copy = NULL;
    WH_TRY(make_room(a));
    WH_TRY(WH_ARENA_NEW(&kept, &a->arena, 1));
    WH_TRY(wh_dp_events_copy(&copy, &a->arena, &e->event, 1));
    *kept = *e;
    kept->event = *copy;
    a->entry[a->n++] = kept;
    return WHIST_OK;
}

whist_status whist_dp_compose(whist_dp_accountant *a, const whist_dp_event *event)
{
    WH_ENSURE(a && event, WHIST_E_ARG);
    WH_TRY(check_fits(a, event));
    entry *same = find_same(a, event), fresh = {.event = *event};
    fresh.event.count = wh_dp_count(event) + (same ? wh_dp_count(&same->event) : 0);
    WH_TRY(whist_dp_event_check(&fresh.event)); /* the sum of the counts, too */
    WH_TRY(evaluate(a, &fresh));
    if (!same) return add_entry(a, &fresh);
    same->event.count = fresh.event.count;
    same->curve = fresh.curve;
    same->number = fresh.number;
    return WHIST_OK;
}

whist_status whist_dp_merge(whist_dp_accountant *into, const whist_dp_accountant *from)
{
    WH_ENSURE(into && from && into != from, WHIST_E_ARG);
    whist_dp_method method = into->options.method;
    if (method != from->options.method || (method != WHIST_DP_RDP && method != WHIST_DP_ZCDP))
        WH_FAIL(WHIST_E_UNSUPPORTED, "studies compose by rdp with rdp, or by zcdp with zcdp");
    if (into->options.relation != from->options.relation || into->options.unit != from->options.unit)
        WH_FAIL(WHIST_E_STATE, "the studies differ in relation or unit of privacy");
    for (size_t i = 0; i < from->n; i++) WH_TRY(whist_dp_compose(into, &from->entry[i]->event));
    return WHIST_OK;
}

/* ---- Answering --------------------------------------------------------------------------------- */

static void sum_curve(whist_dp_accountant *a)
{
    a->total = (wh_dp_curve){.log_keep = 0};
    for (size_t e = 0; e < a->n; e++) {
        a->total.log_keep += a->entry[e]->curve.log_keep;
        for (size_t i = 0; i < WH_DP_ORDERS; i++) a->total.at[i] += a->entry[e]->curve.at[i];
    }
}

static double sum_numbers(const whist_dp_accountant *a)
{
    double sum = 0;
    for (size_t e = 0; e < a->n; e++) sum += a->entry[e]->number;
    return sum;
}

static whist_dp_answer blank(const whist_dp_accountant *a)
{
    const whist_dp_options *o = &a->options;
    return (whist_dp_answer){
        .certified = o->method != WHIST_DP_GDP, .method = o->method, .relation = o->relation, .unit = o->unit};
}

static whist_status collect(wh_dp_part **out, size_t *n, bool *tight, wh_arena *arena, const whist_dp_accountant *a)
{
    *n = 0;
    *tight = true;
    WH_TRY(WH_ARENA_NEW(out, arena, a->n * WH_DP_PARTS_MAX));
    for (size_t e = 0; e < a->n; e++) {
        size_t more;
        WH_TRY(wh_dp_parts(*out + *n, &more, arena, &a->entry[e]->event));
        for (size_t i = 0; i < more; i++) *tight = *tight && (*out)[*n + i].pair.tight;
        *n += more;
    }
    return WHIST_OK;
}

static whist_status answer_pld(whist_dp_answer *out, const whist_dp_accountant *a, double given, bool want_delta)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_dp_part *part = NULL;
    wh_dp_interval interval;
    double width = a->options.width > 0 ? a->options.width : 1e-4;
    size_t n;
    WH_TRY(collect(&part, &n, &out->tight, &arena, a));
    WH_TRY(want_delta ? wh_dp_pld_delta(&interval, part, n, given, width)
                      : wh_dp_pld_epsilon(&interval, part, n, given, width));
    out->lower = interval.lower;
    out->upper = interval.upper;
    return WHIST_OK;
}

/* Sums and quadratures are good to 1e-10; the bound is rounded up by ten times that. */
static const double rounding = 1e-9;

static whist_status answer(whist_dp_answer *out, whist_dp_accountant *a, double given, bool want_delta)
{
    double sum, value = 0;
    *out = blank(a);
    if (a->n == 0) {
        out->tight = out->certified;
        return WHIST_OK;
    }
    switch (a->options.method) {
    case WHIST_DP_RDP:
        sum_curve(a);
        value = want_delta ? wh_dp_curve_delta(&out->order, &a->total, given)
                           : wh_dp_curve_epsilon(&out->order, &a->total, given);
        out->upper = value * (1 + rounding);
        return WHIST_OK;
    case WHIST_DP_ZCDP:
        sum = sum_numbers(a);
        if (sum == 0) return WHIST_OK; /* answers that tell nothing */
        if (!(sum <= 1e6)) WH_FAIL(WHIST_E_RANGE, "the events come to rho %g: that is no privacy", sum);
        WH_TRY(want_delta ? whist_dp_zcdp_delta(&value, sum, given) : whist_dp_zcdp_epsilon(&value, sum, given));
        out->upper = value * (1 + rounding);
        return WHIST_OK;
    case WHIST_DP_GDP:
        sum = sqrt(sum_numbers(a));
        out->lower = out->upper = want_delta ? wh_dp_normal_delta(sum, given) : wh_dp_normal_epsilon(sum, given);
        return WHIST_OK;
    default: return answer_pld(out, a, given, want_delta);
    }
}

whist_status wh_dp_delta_check(const whist_dp_options *o, double delta)
{
    if (!(delta >= 1e-200 && delta < 1)) WH_FAIL(WHIST_E_ARG, "delta is %g: it must lie between 1e-200 and 1", delta);
    if (o->public_n > 0 && !(delta * (double)o->public_n < 1))
        WH_FAIL(WHIST_E_ARG,
                "delta %g is not below 1/%llu: it would allow to publish somebody's record whole; use a smaller delta",
                delta, (unsigned long long)o->public_n);
    return WHIST_OK;
}

whist_status whist_dp_epsilon(whist_dp_answer *out, whist_dp_accountant *a, double delta)
{
    whist_dp_answer found;
    WH_ENSURE(out && a, WHIST_E_ARG);
    WH_TRY(wh_dp_delta_check(&a->options, delta));
    WH_TRY(answer(&found, a, delta, false));
    if (!isfinite(found.upper))
        WH_FAIL(WHIST_E_RANGE, "no finite epsilon holds at delta %g: the events' own deltas use it up", delta);
    *out = found;
    return WHIST_OK;
}

whist_status whist_dp_delta(whist_dp_answer *out, whist_dp_accountant *a, double epsilon)
{
    whist_dp_answer found;
    WH_ENSURE(out && a, WHIST_E_ARG);
    if (!(epsilon > 0 && epsilon <= 1e6))
        WH_FAIL(WHIST_E_ARG, "epsilon is %g: it must lie above 0, up to 1e6", epsilon);
    WH_TRY(answer(&found, a, epsilon, true));
    found.upper = fmin(found.upper, 1);
    /* What is too small for a number is not 0, unless nothing ran. */
    if (found.certified && a->n > 0) found.upper = fmax(found.upper, DBL_MIN);
    *out = found;
    return WHIST_OK;
}

whist_status whist_dp_curve(const double **order, const double **divergence, size_t *n, const whist_dp_accountant *a)
{
    WH_ENSURE(order && divergence && n && a, WHIST_E_ARG);
    if (a->options.method != WHIST_DP_RDP) WH_FAIL(WHIST_E_STATE, "only an rdp accountant has a Renyi curve");
    whist_dp_accountant *own = (whist_dp_accountant *)(uintptr_t)a; /* the sum is a cache */
    sum_curve(own);
    *order = wh_dp_order;
    *divergence = own->total.at;
    *n = WH_DP_ORDERS;
    return WHIST_OK;
}
