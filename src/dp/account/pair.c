/* account/pair.c: which pairs an event stands for, and the losses of a pair. */
#include "dp/account/pair.h"

#include <math.h>

/* ---- From events to pairs ---------------------------------------------------------------------- */

/* How far apart two neighbours' means are, in units of the sensitivity: a replaced record moves twice. */
static double reach_of(const whist_dp_event *e)
{
    return (e->relation == WHIST_DP_REPLACE ? 2 : 1) * (double)wh_dp_group(e);
}

static wh_dp_pair normal_pair(double mu)
{
    return (wh_dp_pair){.shape = WH_DP_NORMAL, .mu = mu, .tight = true};
}

static whist_status tree_pair(wh_dp_pair *out, const whist_dp_event *e, double reach)
{
    double levels = 0;
    for (uint64_t leaves = e->steps; leaves > 0; leaves >>= 1) levels++; /* ceil(log2(steps + 1)) */
    *out = normal_pair(reach * sqrt(levels) / e->noise);
    return WHIST_OK;
}

/* One use without sampling, in units of `reach`. A two-sided mixture says by itself that records are replaced. */
static whist_status base_pair(wh_dp_pair *out, wh_arena *arena, const whist_dp_event *e, double reach)
{
    uint64_t whole = (uint64_t)(reach * wh_dp_sensitivity(e));
    switch (e->mechanism) {
    case WHIST_DP_GAUSSIAN: *out = normal_pair(reach / e->noise); return WHIST_OK;
    case WHIST_DP_TREE: return tree_pair(out, e, reach);
    case WHIST_DP_LAPLACE:
        *out = (wh_dp_pair){.shape = WH_DP_TWO_LAPLACE, .mu = reach / e->noise, .tight = true};
        return WHIST_OK;
    case WHIST_DP_PERMUTE_AND_FLIP:
        *out = (wh_dp_pair){.shape = WH_DP_TWO_LAPLACE, .mu = e->epsilon * wh_dp_group(e)};
        return WHIST_OK;
    case WHIST_DP_DISCRETE_LAPLACE: return wh_dp_atoms_discrete_laplace(out, arena, e->noise, whole);
    case WHIST_DP_DISCRETE_GAUSSIAN: return wh_dp_atoms_discrete_gaussian(out, arena, e->noise, whole);
    case WHIST_DP_SKELLAM: return wh_dp_atoms_skellam(out, arena, e->noise, whole);
    case WHIST_DP_RANDOMISED_RESPONSE:
        return wh_dp_atoms_response(out, arena, e->p, e->k, e->relation != WHIST_DP_REPLACE);
    case WHIST_DP_EXPONENTIAL: return wh_dp_atoms_bounded_range(out, arena, e->epsilon * wh_dp_group(e));
    case WHIST_DP_NOISY_MAX:
    case WHIST_DP_PURE:
        WH_TRY(wh_dp_atoms_approximate(out, arena, e->epsilon * wh_dp_group(e), 0));
        out->tight = e->mechanism == WHIST_DP_PURE;
        return WHIST_OK;
    case WHIST_DP_APPROXIMATE: {
        double g = wh_dp_group(e), grown = e->delta * expm1(g * e->epsilon) / expm1(e->epsilon);
        if (!(grown < 1)) WH_FAIL(WHIST_E_RANGE, "a group of %g has no guarantee: its delta would be %g", g, grown);
        return wh_dp_atoms_approximate(out, arena, g * e->epsilon, grown);
    }
    default:
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s has a Renyi curve only, no privacy-loss distribution: use rdp",
                whist_dp_mechanism_name(e->mechanism));
    }
}

/* The event as it is where one record of a batch is exchanged for another though the relation adds or removes one. What
 * states its own epsilon for one record states it twice over for two. */
static whist_dp_event exchanged(const whist_dp_event *e)
{
    whist_dp_event out = *e;
    if (e->relation != WHIST_DP_ADD_REMOVE) return out;
    out.relation = WHIST_DP_REPLACE;
    if (wh_dp_states_epsilon(e->mechanism)) out.group = 2 * wh_dp_group(e);
    return out;
}

/* Shifts s_i / sigma and weights; two-sided where records are replaced. */
static whist_status mixture_pair(wh_dp_pair *out, wh_arena *arena, const whist_dp_event *e, const double *shift,
                                 const double *weight, size_t n, double scale)
{
    double *s = NULL, *w = NULL;
    WH_TRY(WH_ARENA_NEW(&s, arena, n));
    WH_TRY(WH_ARENA_NEW(&w, arena, n));
    for (size_t i = 0; i < n; i++) {
        s[i] = shift[i] * scale / e->noise;
        w[i] = weight[i];
    }
    *out = (wh_dp_pair){.shape = WH_DP_MIXTURE,
                        .n = n,
                        .shift = s,
                        .weight = w,
                        .two_sided = e->relation == WHIST_DP_REPLACE,
                        .tight = true};
    return WHIST_OK;
}

/* A unit of g records, each on its own coin: k of them take part with binomial weight (Ganesh 2024). */
static whist_status poisson_group(wh_dp_pair *out, wh_arena *arena, const whist_dp_event *e)
{
    size_t g = wh_dp_group(e), n = 0;
    double *shift = NULL, *weight = NULL;
    if (g >= WHIST_DP_MIXTURE_MAX)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a unit of more than %d records under Poisson sampling", WHIST_DP_MIXTURE_MAX - 1);
    WH_TRY(WH_ARENA_NEW(&shift, arena, g + 1));
    WH_TRY(WH_ARENA_NEW(&weight, arena, g + 1));
    double log_all = lgamma((double)g + 1), rest = 1;
    for (size_t k = g; k > 0; k--) {
        double k_ = (double)k, out_ = (double)(g - k);
        double log_weight =
            log_all - lgamma(k_ + 1) - lgamma(out_ + 1) + k_ * log(e->rate) + (out_ > 0 ? out_ * log1p(-e->rate) : 0);
        double w = exp(log_weight);
        if (!(w > 0)) continue;
        shift[n] = k_;
        weight[n++] = w;
        rest -= w;
    }
    shift[n] = 0;
    weight[n++] = fmax(rest, 0);
    return mixture_pair(out, arena, e, shift, weight, n, 1);
}

static whist_status poisson_pair(wh_dp_pair *out, wh_arena *arena, const whist_dp_event *e)
{
    bool gaussian = e->mechanism == WHIST_DP_GAUSSIAN, replaced = e->relation == WHIST_DP_REPLACE;
    if (gaussian && (wh_dp_group(e) > 1 || replaced)) return poisson_group(out, arena, e);
    if (wh_dp_group(e) > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a unit of several records under Poisson sampling: only for Gaussian noise");
    WH_TRY(base_pair(out, arena, e, reach_of(e)));
    out->amplify = replaced ? WH_DP_BY_SUBSET : WH_DP_BY_POISSON;
    out->rate = e->rate;
    if (replaced) out->tight = false;
    return WHIST_OK;
}

/* P(Binomial(n, q) >= at): the terms from `at` on, or one less those below, whichever side is the tail. */
static double binomial_above(uint64_t n, double q, uint64_t at)
{
    double nd = (double)n, sum = 0;
    if (at == 0) return 1;
    if (at > n) return 0;
    if (q >= 1) return 1;
    bool upper = (double)at > nd * q;
    double k = upper ? (double)at : (double)at - 1;
    double log_term = lgamma(nd + 1) - lgamma(k + 1) - lgamma(nd - k + 1) + k * log(q) + (nd - k) * log1p(-q);
    double term = exp(log_term), odds = q / (1 - q);
    while (term > sum * 0x1p-60 && k >= 0 && k <= nd) {
        sum += term;
        term *= upper ? (nd - k) / (k + 1) * odds : k / (nd - k + 1) / odds;
        k += upper ? 1 : -1;
    }
    return upper ? sum : 1 - sum;
}

/* The batch of the others is full with probability `full`. Then our record, where it is kept at all, takes the place of
 * another: a difference of two. Whether it was full is given away for nothing. (Supplement of Google's accounting
 * library; Chua et al. 2024) */
static whist_status truncated_pair(wh_dp_pair *out, wh_arena *arena, const whist_dp_event *e)
{
    WH_TRY(poisson_pair(out, arena, e));
    if (e->mechanism != WHIST_DP_GAUSSIAN || wh_dp_group(e) > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "truncated Poisson: only for Gaussian noise and a unit of one record");
    double full = binomial_above(e->n - 1, e->rate, e->batch) * (1 + 1e-9);
    if (!(full > 0)) return WHIST_OK;
    double kept = binomial_above(e->n, e->rate, e->batch + 1) * (double)e->batch / (double)e->n / full;
    whist_dp_event displaced = *e;
    wh_dp_pair *other = NULL;
    displaced.noise = e->noise / 2;
    displaced.rate = fmin(1, kept * (1 + 1e-9));
    displaced.relation = WHIST_DP_REPLACE;
    if (!(displaced.rate > 0)) return WHIST_OK;
    WH_TRY(WH_ARENA_NEW(&other, arena, 1));
    WH_TRY(poisson_group(other, arena, &displaced));
    out->other = other;
    out->odds = fmin(full, 1);
    out->tight = false;
    return WHIST_OK;
}

static whist_status subset_pair(wh_dp_pair *out, wh_arena *arena, const whist_dp_event *e)
{
    if (wh_dp_group(e) > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a unit of several records without replacement: no bound is known; use poisson");
    /* One record more or less in the data exchanges one record of the batch for another. */
    whist_dp_event other = exchanged(e);
    WH_TRY(base_pair(out, arena, &other, reach_of(&other)));
    bool mirrored = e->mechanism != WHIST_DP_RANDOMISED_RESPONSE || other.relation == WHIST_DP_REPLACE;
    if (!mirrored) WH_FAIL(WHIST_E_UNSUPPORTED, "randomised response without replacement, zero-out: no bound is known");
    out->amplify = WH_DP_BY_SUBSET;
    out->rate = (double)e->batch / (double)e->n;
    out->tight = false;
    return WHIST_OK;
}

/* A record takes part once in a pass. Where the number of records changes, the last of the order fills the gap: one
 * batch exchanges a record, the last batch loses one. */
static whist_status shuffled_parts(wh_dp_part out[WH_DP_PARTS_MAX], size_t *n, wh_arena *arena, const whist_dp_event *e)
{
    whist_dp_event other = exchanged(e);
    out[0].uses = out[1].uses = wh_dp_count(e);
    WH_TRY(base_pair(&out[0].pair, arena, &other, reach_of(&other)));
    *n = 1;
    if (e->relation != WHIST_DP_ADD_REMOVE) return WHIST_OK;
    WH_TRY(base_pair(&out[1].pair, arena, e, reach_of(e)));
    out[0].pair.tight = out[1].pair.tight = false;
    *n = 2;
    return WHIST_OK;
}

whist_status wh_dp_parts(wh_dp_part out[WH_DP_PARTS_MAX], size_t *n, wh_arena *arena, const whist_dp_event *event)
{
    wh_dp_pair *pair = &out[0].pair;
    bool vector = event->mechanism == WHIST_DP_DISCRETE_GAUSSIAN || event->mechanism == WHIST_DP_SKELLAM;
    if (vector && wh_dp_dimension(event) > 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "integer noise on a vector has no known worst pair: use rdp or zcdp");
    *n = 1;
    out[0].uses = wh_dp_count(event);
    /* A unit with several answers answers each on its own. */
    if (event->mechanism == WHIST_DP_RANDOMISED_RESPONSE) out[0].uses *= wh_dp_group(event);
    if (event->mechanism == WHIST_DP_GAUSSIAN_MIXTURE)
        return mixture_pair(pair, arena, event, event->shift, event->weight, event->n_mixture, wh_dp_group(event));
    switch (event->sampling) {
    case WHIST_DP_ALL: return base_pair(pair, arena, event, reach_of(event));
    case WHIST_DP_POISSON:
        if (event->rate >= 1) return base_pair(pair, arena, event, reach_of(event));
        return poisson_pair(pair, arena, event);
    case WHIST_DP_TRUNCATED_POISSON: return truncated_pair(pair, arena, event);
    case WHIST_DP_WITHOUT_REPLACEMENT:
        if (event->batch == event->n && event->relation != WHIST_DP_ADD_REMOVE)
            return base_pair(pair, arena, event, reach_of(event));
        return subset_pair(pair, arena, event);
    case WHIST_DP_SHUFFLED_PASS: return shuffled_parts(out, n, arena, event);
    default:
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s has a Renyi curve only, no privacy-loss distribution: use rdp",
                whist_dp_sampling_name(event->sampling));
    }
}

/* ---- Losses ------------------------------------------------------------------------------------ */

/* log(1 - q + q e^l); a subset's negative losses are the positive ones mirrored. */
double wh_dp_amplified_loss(const wh_dp_pair *pair, double base)
{
    double q = pair->rate;
    if (pair->amplify == WH_DP_PLAIN) return base;
    if (pair->amplify == WH_DP_BY_SUBSET && base < 0) return -wh_dp_amplified_loss(pair, -base);
    return base > 700 ? base + log(q) : log1p(q * expm1(base));
}

double wh_dp_base_loss(const wh_dp_pair *pair, double loss)
{
    if (pair->amplify == WH_DP_PLAIN) return loss;
    if (pair->amplify == WH_DP_BY_SUBSET && loss < 0) return -wh_dp_base_loss(pair, -loss);
    if (loss > 700) return loss - log(pair->rate);
    double inside = expm1(loss) / pair->rate;
    return inside > -1 ? log1p(inside) : -(double)INFINITY;
}

/* log sum w e^{s x - s^2/2} over the exponents' largest */
static double log_sum(const wh_dp_pair *pair, double x, double *slope)
{
    double top = -(double)INFINITY, sum = 0, moment = 0;
    for (size_t i = 0; i < pair->n; i++) {
        double e = pair->shift[i] * (x - pair->shift[i] / 2);
        if (pair->weight[i] > 0 && e > top) top = e;
    }
    for (size_t i = 0; i < pair->n; i++) {
        double term = pair->weight[i] * exp(pair->shift[i] * (x - pair->shift[i] / 2) - top);
        sum += term;
        moment += term * pair->shift[i];
    }
    *slope = moment / sum;
    return top + log(sum);
}

static double mixture_loss(const wh_dp_pair *pair, double x, double *slope)
{
    double back = 0, loss = log_sum(pair, x, slope);
    if (pair->two_sided) loss -= log_sum(pair, -x, &back);
    *slope += back;
    return loss;
}

double wh_dp_mixture_loss(const wh_dp_pair *pair, double x)
{
    double slope;
    return mixture_loss(pair, x, &slope);
}

/* Newton within a bracket; the loss rises with x. */
double wh_dp_mixture_at(const wh_dp_pair *pair, double loss, double guess)
{
    double low = -1e4, high = 1e4, slope, x = fmin(fmax(guess, low), high);
    if (wh_dp_mixture_loss(pair, low) >= loss) return -(double)INFINITY;
    if (wh_dp_mixture_loss(pair, high) <= loss) return (double)INFINITY;
    for (int i = 0; i < 200; i++) {
        double error = mixture_loss(pair, x, &slope) - loss;
        if (error > 0)
            high = x;
        else
            low = x;
        if (fabs(error) <= 4e-16 * (1 + fabs(loss))) break;
        double next = x - error / slope;
        if (!(next > low && next < high)) next = (low + high) / 2;
        if (next == x || high - low < 1e-14 * (1 + fabs(x))) break;
        x = next;
    }
    return x;
}

static void widen(double *low, double *high, double l, double h)
{
    *low = fmin(*low, l);
    *high = fmax(*high, h);
}

void wh_dp_loss_range(double *low, double *high, const wh_dp_pair *pair, double tail)
{
    double reach = sqrt(-2 * log(tail)), far = 0; /* a normal tail beyond t is at most exp(-t^2 / 2) / 2 */
    *low = *high = 0;
    switch (pair->shape) {
    case WH_DP_NORMAL:
        *low = -pair->mu * (reach + pair->mu / 2);
        *high = pair->mu * (reach + pair->mu / 2);
        break;
    case WH_DP_TWO_LAPLACE:
        *low = -pair->mu;
        *high = pair->mu;
        break;
    case WH_DP_MIXTURE:
        for (size_t i = 0; i < pair->n; i++) far = fmax(far, pair->weight[i] > 0 ? pair->shift[i] : 0);
        *low = wh_dp_mixture_loss(pair, -reach - (pair->two_sided ? far : 0));
        *high = wh_dp_mixture_loss(pair, reach + far);
        break;
    case WH_DP_ATOMS: {
        double below = 0, above = 0;
        size_t i = 0, k = pair->n;
        while (i + 1 < pair->n && below + pair->q[i] < tail) below += pair->q[i++];
        while (k > 1 && above + pair->p[k - 1] < tail) above += pair->p[--k];
        widen(low, high, log(pair->p[i] / pair->q[i]), log(pair->p[k - 1] / pair->q[k - 1]));
        break;
    }
    }
    *low = wh_dp_amplified_loss(pair, *low);
    *high = wh_dp_amplified_loss(pair, *high);
    if (pair->amplify == WH_DP_BY_SUBSET) *low = -*high;
    if (pair->other) {
        double l, h;
        wh_dp_loss_range(&l, &h, pair->other, tail);
        widen(low, high, l, h);
    }
}
