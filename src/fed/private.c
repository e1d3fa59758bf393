/* fed/private.c: the rules of a round, its price, and which promises can be kept at all. */
#include "fed/private.h"

#include "fed/layout.h"
#include "fed/protection.h"
#include "fed/schedule.h"

#include <math.h>

bool wh_private_is_on(const whist_fed_plan *plan)
{
    return plan->privacy && plan->privacy->sigma > 0;
}

bool wh_private_is_of_records(const whist_fed_plan *plan)
{
    return wh_private_is_on(plan) && plan->privacy->unit == WHIST_DP_RECORD && plan->learner->records;
}

static bool is_distributed(const whist_fed_plan *plan)
{
    return wh_private_is_on(plan) && plan->privacy->noise == WHIST_NOISE_DISTRIBUTED;
}

static uint64_t numbers(const whist_fed_plan *plan)
{
    return whist_model_size(plan->model) + wh_private_tail(plan);
}

uint64_t wh_private_elements(const whist_fed_plan *plan)
{
    uint64_t n = numbers(plan), rest = n % WH_BLOCK, padded = 1;
    if (!is_distributed(plan) || !rest || wh_private_is_of_records(plan)) return n; /* nothing to rotate */
    while (padded < rest) padded *= 2;
    return n - rest + padded;
}

size_t wh_private_tail(const whist_fed_plan *plan)
{
    return wh_private_is_on(plan) && plan->privacy->adaptive;
}

/* ---- Weights ---- */

double wh_private_weight(const whist_fed_plan *plan, size_t site)
{
    return plan->sites[site].weight > 0 ? plan->sites[site].weight : 1;
}

double wh_private_weights(const whist_fed_plan *plan)
{
    double sum = 0;
    for (size_t i = 0; i < plan->n_sites; i++) sum += wh_private_weight(plan, i);
    return sum * (double)wh_schedule_sample(plan) / (double)plan->n_sites;
}

static double largest_weight(const whist_fed_plan *plan)
{
    double most = 0;
    for (size_t i = 0; i < plan->n_sites; i++) most = fmax(most, wh_private_weight(plan, i));
    return most;
}

/* ---- Rules ---- */

double wh_private_count_sigma(const whist_fed_plan *plan)
{
    const whist_fed_privacy *p = plan->privacy;
    if (p->count_sigma > 0) return p->count_sigma;
    return fmax((double)wh_schedule_sample(plan) / 20, p->sigma);
}

/* With bound^2 = (w clip)^2 + (kappa / 2)^2 and noise sigma * bound everywhere, the number that says "smaller" has the
 * noise count_sigma sites when kappa = w clip / sqrt((count_sigma / sigma)^2 - 1/4). */
static double kappa_of(const whist_fed_plan *plan, double length)
{
    if (!wh_private_tail(plan)) return 0;
    double ratio = wh_private_count_sigma(plan) / plan->privacy->sigma;
    return length / sqrt(ratio * ratio - 0.25);
}

/* Bound on the norm after rounding at random, conditioned on it: proposition 22 of Kairouz, Liu, Steinke 2021 with
 * beta = exp(-1/2), so that a try succeeds with probability at least 1 - beta. */
static double rounded_norm(double norm, double d)
{
    double far = norm + sqrt(d), near = sqrt(norm * norm + d / 4 + norm + sqrt(d) / 2);
    return fmin(far, near);
}

/* Where nothing is known of the sum nothing can be promised: an infinite norm, which the check refuses. */
static wh_private rules_of_records(const whist_fed_plan *plan, double clip)
{
    whist_record_sum sum = {INFINITY, INFINITY};
    wh_private out = {
        .clip = clip,
        .step = ldexp(1, -(int)plan->fraction),
        .length = numbers(plan),
        .elements = wh_private_elements(plan),
    };
    if (plan->learner->records(&sum, plan->model, plan->learner_settings, clip, out.step) != WHIST_OK)
        sum = (whist_record_sum){INFINITY, INFINITY};
    out.norm = sum.norm;
    out.most = sum.most;
    out.bound = sum.norm * out.step;
    out.sigma = plan->privacy->sigma * out.norm;
    if (is_distributed(plan)) out.sigma /= sqrt((double)plan->privacy->honest);
    return out;
}

wh_private wh_private_rules(const whist_fed_plan *plan, double clip)
{
    if (wh_private_is_of_records(plan)) return rules_of_records(plan, clip);
    const whist_fed_privacy *p = plan->privacy;
    double most = largest_weight(plan) * clip;
    wh_private out = {
        .clip = clip,
        .kappa = kappa_of(plan, most),
        .step = ldexp(1, -(int)plan->fraction),
        .length = numbers(plan),
        .elements = wh_private_elements(plan),
    };
    out.bound = sqrt(most * most + out.kappa * out.kappa / 4);
    out.norm = out.bound / out.step;
    if (is_distributed(plan)) out.norm = rounded_norm(out.norm, (double)out.elements);
    out.most = out.norm;
    out.sigma = p->sigma * out.norm;
    if (is_distributed(plan)) out.sigma /= sqrt((double)p->honest);
    return out;
}

/* ---- Price ---- */

static wh_spend_shares shares_of(const whist_fed_plan *plan, double clip)
{
    wh_private rules = wh_private_rules(plan, clip);
    double apart = plan->privacy->relation == WHIST_DP_REPLACE ? 2 : 1;
    return (wh_spend_shares){
        .sensitivity = apart * rules.norm,
        /* Whole numbers: no entry is smaller than its square. */
        .sensitivity1 = apart * fmin(sqrt((double)rules.elements) * rules.norm, rules.norm * rules.norm),
        .sigma = rules.sigma,
        .honest = plan->privacy->honest,
        .dimension = (double)rules.elements,
    };
}

/* The same for sums over records, which nothing spreads: what noise alone can do in the room that the largest sum
 * leaves. */
static double records_wrap(const whist_fed_plan *plan, const wh_private *rules)
{
    double n = (double)wh_schedule_sample(plan), room = ldexp(1, (int)plan->bits - 1) - n * rules->most;
    double variance = n * rules->sigma * rules->sigma;
    if (!(room > 0)) return 1;
    double exponent = log(2 * (double)rules->elements) - room * room / (2 * variance);
    return exponent < 0 ? exp(exponent) : 1;
}

/* Probability that some element of the sum leaves (-2^(bits-1), 2^(bits-1)): each is sub-Gaussian with the variance of
 * the rotated sum, of the rounding and of the noise (theorem 36 of Kairouz, Liu, Steinke 2021). The wrap costs no
 * privacy, being done to what is private already; it is counted into delta all the same, so that nobody has to argue.
 */
static double wrap_probability(const whist_fed_plan *plan, double clip)
{
    wh_private rules = wh_private_rules(plan, clip);
    if (wh_private_is_of_records(plan)) return records_wrap(plan, &rules);
    double n = (double)wh_schedule_sample(plan), block = fmin((double)rules.elements, WH_BLOCK);
    uint64_t rest = rules.elements % WH_BLOCK;
    if (rest) block = fmin(block, (double)rest);
    double signal = n * rules.bound / rules.step;
    double variance = signal * signal / block + n / 4 + n * rules.sigma * rules.sigma;
    double half = ldexp(1, (int)plan->bits - 1);
    double exponent = log(2 * (double)rules.elements) - n * log1p(-exp(-0.5)) - half * half / (2 * variance);
    return exponent < 0 ? exp(exponent) : 1;
}

static void price_distributed(const whist_fed_plan *plan, double clip, wh_charge *charge)
{
    const wh_spend_shares shares = shares_of(plan, clip);
    charge->spend = plan->privacy->mechanism == WHIST_MECHANISM_SKELLAM
                        ? wh_spend_skellam(&shares)
                        : wh_spend_discrete_gaussian(&charge->closeness, &shares);
    charge->wrap = wrap_probability(plan, clip);
    charge->spend.slack += charge->wrap;
}

wh_charge wh_private_charge(const whist_fed_plan *plan, double clip)
{
    static const char *const words[] = {
        "gaussian, rounded to the grid",
        "discrete gaussian, in shares",
        "skellam, in shares",
    };
    const whist_fed_privacy *p = plan->privacy;
    wh_private rules = wh_private_rules(plan, clip);
    wh_charge charge = {
        .study = plan->study,
        .study_name = plan->name,
        .unit = p->unit,
        .relation = p->relation,
        .noise = p->noise,
        .shows_updates = plan->protection->shows_updates,
        .mechanism = words[p->mechanism],
        .sampler = "none: who takes part is public",
        .sigma = p->sigma,
        .sensitivity = rules.bound,
        .epsilon = p->epsilon,
        .delta = p->delta,
    };
    if (is_distributed(plan))
        price_distributed(plan, clip, &charge);
    else
        charge.spend = wh_spend_gaussian(p->relation == WHIST_DP_REPLACE ? p->sigma / 2 : p->sigma);
    return charge;
}

double wh_private_epsilon(const whist_fed_plan *plan, uint64_t rounds)
{
    wh_charge one = wh_private_charge(plan, plan->privacy->clip);
    wh_spend sum = {.slack = one.spend.slack * (double)rounds};
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) sum.rdp[i] = one.spend.rdp[i] * (double)rounds * (1 + 0x1p-30);
    return wh_spend_epsilon(&sum, plan->privacy->delta);
}

/* Noise in shares costs a little more than the Gaussian it stands for: the smallest sigma is looked for again. */
static bool rounds_fit(const whist_fed_plan *plan, double sigma)
{
    whist_fed_privacy privacy = *plan->privacy;
    whist_fed_plan trial = *plan;
    privacy.sigma = sigma;
    trial.privacy = &privacy;
    wh_charge one = wh_private_charge(&trial, privacy.clip);
    wh_spend sum = {.slack = one.spend.slack * plan->rounds};
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) sum.rdp[i] = one.spend.rdp[i] * plan->rounds * (1 + 0x1p-30);
    return wh_spend_fits(&sum, privacy.epsilon, privacy.delta);
}

bool wh_private_fits(const whist_fed_plan *plan)
{
    return rounds_fit(plan, plan->privacy->sigma);
}

whist_status wh_private_calibrate(double *sigma, const whist_fed_plan *plan)
{
    double low, high;
    WH_TRY(wh_spend_calibrate(&low, plan->privacy->epsilon, plan->privacy->delta, plan->rounds));
    for (high = low; !rounds_fit(plan, high); high *= 1.25)
        if (high > 100 * low)
            WH_FAIL(WHIST_E_RANGE,
                    "no noise keeps %u rounds within epsilon %g on this grid: raise protection.bits or fraction, or "
                    "take fewer rounds",
                    plan->rounds, plan->privacy->epsilon);
    while (high / low > 1 + 1e-6) {
        double middle = sqrt(low * high);
        if (rounds_fit(plan, middle))
            high = middle;
        else
            low = middle;
    }
    *sigma = high;
    return WHIST_OK;
}

/* The last phase in which sites act: there they open the sum. Noise that stands in the upload is paid with it. */
size_t wh_private_paying_phase(const whist_fed_plan *plan)
{
    size_t upload = wh_upload_phase(plan->protection), last = upload;
    if (plan->privacy->noise != WHIST_NOISE_DISTRIBUTED) return upload;
    for (size_t i = upload; i < plan->protection->n_phases; i++)
        if (plan->protection->phases[i].sites) last = i;
    return last;
}
