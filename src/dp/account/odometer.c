/* account/odometer.c: what was spent in a run that chooses its events as it goes.
 *
 * Let L_t be the privacy loss of all that was released up to t, r_i(a) the Renyi divergence of event i, chosen with
 * knowledge of all before. For each order a, exp((a - 1) (L_t - sum_{i <= t} r_i(a))) is a supermartingale under P that
 * starts at 1, so by Ville's inequality it exceeds 1/d at any time with probability at most d. With d = delta / n over
 * n orders, at all times at once
 *
 *     L_t <= min over a of  sum_i r_i(a) + log(n / delta) / (a - 1)     with probability >= 1 - delta.
 *
 * A filter admits an event only while this stays within its limit, so whenever it stops the release is
 * (limit, delta)-DP. With zCDP the filter needs no union: sum of rho_i <= rho in advance is rho-zCDP whatever the order
 * of choices (Feldman, Zrnic 2021; Whitehouse, Ramdas, Rogers, Wu 2023). */
#include <math.h>

#include "dp/account/accountant.h"

/* Every sixth order of the grid. */
enum { STRIDE = 6, USED = WH_DP_LOW_ORDERS / STRIDE };

struct whist_dp_odometer {
    whist_dp_options options;
    double delta, limit;
    double rho_limit; /* zCDP filters */
    double rho;
    wh_dp_curve curve;
};

whist_status whist_dp_odometer_new(whist_dp_odometer **out, const whist_dp_options *options, double delta,
                                   double epsilon_limit)
{
    whist_dp_odometer *o = NULL;
    double rho_limit = 0;
    WH_ENSURE(out && options, WHIST_E_ARG);
    if (options->method != WHIST_DP_RDP && options->method != WHIST_DP_ZCDP)
        WH_FAIL(WHIST_E_UNSUPPORTED, "an adaptive run is charged by rdp or zcdp");
    WH_TRY(wh_dp_options_check(options));
    WH_TRY(wh_dp_delta_check(options, delta));
    if (!(epsilon_limit >= 0 && epsilon_limit <= 1e6))
        WH_FAIL(WHIST_E_ARG, "the limit is %g: it must lie above 0, up to 1e6, or be 0 for none", epsilon_limit);
    if (options->method == WHIST_DP_ZCDP && epsilon_limit > 0)
        WH_TRY(whist_dp_zcdp_rho(&rho_limit, epsilon_limit, delta));
    WH_TRY(WH_NEW(&o, 1));
    o->options = *options;
    o->delta = delta;
    o->limit = epsilon_limit;
    o->rho_limit = rho_limit;
    *out = o;
    return WHIST_OK;
}

void whist_dp_odometer_free(whist_dp_odometer *odometer)
{
    wh_free(odometer);
}

static double bound(const whist_dp_odometer *o, const wh_dp_curve *curve, double rho, double *order)
{
    double left = o->delta + expm1(curve->log_keep), best = INFINITY;
    *order = 0;
    if (!(left > 0)) return INFINITY;
    if (curve->log_keep == 0 && rho == 0 && curve->at[0] == 0) return 0;
    for (size_t i = STRIDE - 1; i < WH_DP_LOW_ORDERS; i += STRIDE) {
        double a = wh_dp_order[i], eps = curve->at[i] + rho * a + log(USED / left) / (a - 1);
        if (eps < best) best = eps, *order = a;
    }
    return best * (1 + 1e-9);
}

whist_status whist_dp_odometer_charge(whist_dp_odometer *o, const whist_dp_event *event)
{
    WH_ENSURE(o && event, WHIST_E_ARG);
    wh_dp_curve sum = o->curve, one;
    double rho = 0, order;
    WH_TRY(whist_dp_event_check(event));
    if (event->relation != o->options.relation || event->unit != o->options.unit)
        WH_FAIL(WHIST_E_STATE, "the event has another relation or unit of privacy than the odometer");
    if (o->options.method == WHIST_DP_ZCDP) {
        WH_TRY(wh_dp_event_rho(&rho, event));
    } else {
        WH_TRY(wh_dp_event_curve(&one, event));
        for (size_t i = 0; i < WH_DP_ORDERS; i++) sum.at[i] += one.at[i];
        sum.log_keep += one.log_keep;
    }
    rho += o->rho;
    bool over = o->rho_limit > 0 ? rho > o->rho_limit : o->limit > 0 && !(bound(o, &sum, rho, &order) <= o->limit);
    if (over)
        WH_FAIL(WHIST_E_BUDGET, "the event would pass epsilon %g at delta %g per %s (%s)", o->limit, o->delta,
                whist_dp_unit_name(o->options.unit), whist_dp_relation_name(o->options.relation));
    o->curve = sum;
    o->rho = rho;
    return WHIST_OK;
}

whist_dp_answer whist_dp_odometer_spent(const whist_dp_odometer *o)
{
    whist_dp_answer spent = {
        .certified = true, .method = o->options.method, .relation = o->options.relation, .unit = o->options.unit};
    spent.upper = bound(o, &o->curve, o->rho, &spent.order);
    if (o->limit > 0) spent.upper = fmin(spent.upper, o->limit);
    return spent;
}
