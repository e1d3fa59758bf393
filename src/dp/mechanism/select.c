/* mechanism/select.c: one candidate of many, exactly.
 *
 * Exponential mechanism and permute-and-flip need one random decision only, a coin of probability exp(-x) with
 * x = epsilon (best - score) / (2 sensitivity), a quotient of whole numbers times the double epsilon. It is thrown
 * exactly (draw/exact.h: an exponential E is above x), so no probability is ever computed in floating point. Base 2
 * with rounded scores (Ilvento 2020) is another way to the same end; it restricts epsilon and is not needed here.
 *
 * Exponential mechanism: draw a candidate uniformly, keep it with probability exp(-x); the best one is always kept, so
 * the expected number of coins is at most n. Permute-and-flip: the same without putting candidates back. */
#include "dp/mechanism/pay.h"

#include <math.h>

#include "draw/exact.h"
#include "draw/sample.h"

typedef struct election {
    const int64_t *score;
    size_t n;
    int64_t best;
    uint64_t sensitivity;
    double epsilon;
    wh_noise *noise;
} election;

static whist_status check(const int64_t *score, size_t n, uint64_t sensitivity, double epsilon)
{
    WH_ENSURE(score && n >= 1 && n <= (size_t)1 << 24, WHIST_E_ARG);
    WH_ENSURE(sensitivity >= 1 && sensitivity <= UINT64_C(1) << 40, WHIST_E_ARG);
    if (!(epsilon > 0 && epsilon <= 1000))
        WH_FAIL(WHIST_E_ARG, "epsilon is %g: it must lie above 0, up to 1000", epsilon);
    for (size_t i = 0; i < n; i++)
        if (score[i] <= -(INT64_C(1) << 61) || score[i] >= INT64_C(1) << 61)
            WH_FAIL(WHIST_E_RANGE, "score %zu is beyond 2^61: choose a coarser grid", i);
    return WHIST_OK;
}

static whist_status start(election *out, const int64_t *score, size_t n, uint64_t sensitivity, double epsilon)
{
    WH_TRY(check(score, n, sensitivity, epsilon));
    *out = (election){.score = score, .n = n, .best = score[0], .sensitivity = sensitivity, .epsilon = epsilon};
    for (size_t i = 1; i < n; i++)
        if (score[i] > out->best) out->best = score[i];
    return WHIST_OK;
}

/* exp(-epsilon (best - score[i]) / (2 sensitivity)): E 2 sensitivity 2^-e > m gap, epsilon = m 2^e. A double settles it
 * unless x is within 2^-30 (relative) of E. */
static whist_status keeps(bool *out, const election *v, size_t i)
{
    const uint64_t gap = (uint64_t)(v->best - v->score[i]);
    *out = true;
    if (gap == 0) return WHIST_OK;
    WH_AUTO(wh_lazy) u = {.known = 1};
    WH_TRY(wh_noise_u64(v->noise, &u.word[0]));
    const double x = v->epsilon * ((double)gap / (2 * (double)v->sensitivity));
    const double e = -log(ldexp((double)(u.word[0] | 1), -64));
    if (u.word[0] >> 32 && fabs(e - x) > 0x1p-30 * (1 + x)) {
        *out = e > x;
        return WHIST_OK;
    }
    uint64_t m;
    int power;
    wh_double_parts(v->epsilon, &m, &power);
    wh_big num = wh_big_of(2 * v->sensitivity), a = wh_big_of(m), b = wh_big_of(gap), den = wh_big_mul(&a, &b);
    if (power < 0) num = wh_big_shift(&num, (unsigned)-power);
    if (power > 0) den = wh_big_shift(&den, (unsigned)power);
    return wh_exact_above(out, v->noise, &u, &num, &den);
}

static whist_dp_event selection(whist_dp_mechanism mechanism, double epsilon)
{
    return (whist_dp_event){.mechanism = mechanism, .epsilon = epsilon};
}

whist_status whist_dp_exponential(size_t *out, const int64_t *score, size_t n, uint64_t sensitivity, double epsilon,
                                  const whist_dp_payer *payer)
{
    election v;
    const whist_dp_event event = selection(WHIST_DP_EXPONENTIAL, epsilon);
    WH_TRY(start(&v, score, n, sensitivity, epsilon));
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &event));
    v.noise = noise;
    for (;;) {
        uint64_t i;
        bool kept;
        WH_TRY(wh_noise_below(noise, &i, n));
        WH_TRY(keeps(&kept, &v, i));
        if (!kept) continue;
        *out = i;
        return WHIST_OK;
    }
}

whist_status whist_dp_permute_and_flip(size_t *out, const int64_t *score, size_t n, uint64_t sensitivity,
                                       double epsilon, const whist_dp_payer *payer)
{
    election v;
    const whist_dp_event event = selection(WHIST_DP_PERMUTE_AND_FLIP, epsilon);
    WH_TRY(start(&v, score, n, sensitivity, epsilon));
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, n, sizeof(uint32_t)));
    uint32_t *order = memory;
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &event));
    v.noise = noise;
    for (size_t i = 0; i < n; i++) {
        uint64_t j;
        bool kept;
        WH_TRY(wh_noise_below(noise, &j, n - i));
        uint32_t chosen = order[i + j];
        order[i + j] = order[i];
        WH_TRY(keeps(&kept, &v, chosen));
        if (!kept) continue;
        *out = chosen;
        return WHIST_OK;
    }
    WH_FAIL(WHIST_E_STATE, "no candidate was kept, though the best one always is");
}

/* With the noise of all others fixed, i wins exactly when its own is at least some whole number r; between neighbours r
 * moves by at most 2 sensitivity, and P(noise >= r + 2 s) >= exp(-epsilon) P(noise >= r) for whole r. So it holds on
 * the integers, ties being settled by a fixed rule. (Dwork, Roth 2014, claim 3.9) */
whist_status whist_dp_noisy_max(size_t *out, const int64_t *score, size_t n, uint64_t sensitivity, double epsilon,
                                const whist_dp_payer *payer)
{
    const whist_dp_event event = selection(WHIST_DP_NOISY_MAX, epsilon);
    WH_TRY(check(score, n, sensitivity, epsilon));
    const double scale = nextafter(2 * (double)sensitivity / epsilon, INFINITY);
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc_raw(&memory, n, sizeof(int64_t)));
    int64_t *noisy = memory;
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &event));
    WH_TRY(wh_sample_discrete_laplace(noise, noisy, n, scale));
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        noisy[i] += score[i];
        if (noisy[i] > noisy[best]) best = i;
    }
    wh_wipe(noisy, n * sizeof *noisy);
    *out = best;
    return WHIST_OK;
}
