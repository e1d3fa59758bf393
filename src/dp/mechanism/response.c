/* mechanism/response.c: randomised response and unary encodings, by exact coins. */
#include "dp/mechanism/pay.h"

#include <math.h>

#include "draw/sample.h"

static whist_status check_values(const uint32_t *in, size_t n, uint32_t k)
{
    WH_ENSURE(k >= 2 && k <= 1 << 20 && (n == 0 || in), WHIST_E_ARG);
    for (size_t i = 0; i < n; i++)
        if (in[i] >= k) WH_FAIL(WHIST_E_RANGE, "value %zu is not one of 0 to %u", i, k - 1);
    return WHIST_OK;
}

whist_status whist_dp_response_p(double *p, double epsilon, uint32_t k)
{
    WH_ENSURE(k >= 2, WHIST_E_ARG);
    if (!(epsilon > 0 && epsilon <= 40)) WH_FAIL(WHIST_E_ARG, "epsilon is %g: it must lie above 0, up to 40", epsilon);
    double up = k / (exp(epsilon) + (k - 1)) * (1 + 0x1p-50);
    *p = up < 1 ? up : 1;
    return WHIST_OK;
}

whist_status whist_dp_response(uint32_t *out, const uint32_t *in, size_t n, uint32_t k, double p,
                               const whist_dp_payer *payer)
{
    WH_TRY(check_values(in, n, k));
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &(whist_dp_event){.mechanism = WHIST_DP_RANDOMISED_RESPONSE, .p = p, .k = k}));
    for (size_t i = 0; i < n; i++) {
        bool lies = false;
        uint64_t other = 0;
        whist_status status = wh_sample_bernoulli(noise, &lies, p);
        if (status == WHIST_OK) status = wh_noise_below(noise, &other, k);
        if (status != WHIST_OK) { /* what is out so far is private; what follows would not be */
            wh_wipe(out, n * sizeof *out);
            return status;
        }
        out[i] = lies ? (uint32_t)other : in[i];
    }
    return WHIST_OK;
}

void whist_dp_response_counts(double *out, const uint64_t *seen, uint64_t n, uint32_t k, double p)
{
    for (uint32_t v = 0; v < k; v++) out[v] = ((double)seen[v] - (double)n * p / k) / (1 - p);
}

/* ---- Unary encoding ------------------------------------------------------------------------------------ */

typedef struct coins {
    double keep, lie;
} coins;

/* The doubles are rounded towards less information: epsilon = ln(keep (1 - lie) / ((1 - keep) lie)) is not passed. */
static whist_status coins_of(coins *out, double epsilon, whist_dp_unary kind)
{
    if (!(epsilon > 0 && epsilon <= 40)) WH_FAIL(WHIST_E_ARG, "epsilon is %g: it must lie above 0, up to 40", epsilon);
    if (kind == WHIST_DP_UNARY_OPTIMISED) {
        *out = (coins){0.5, fmin(1 / (1 + exp(epsilon)) * (1 + 0x1p-50), 0.5)};
        return WHIST_OK;
    }
    WH_ENSURE(kind == WHIST_DP_UNARY_SYMMETRIC, WHIST_E_ARG);
    double lie = fmin(1 / (1 + exp(epsilon / 2)) * (1 + 0x1p-50), 0.5);
    *out = (coins){1 - lie, lie};
    return WHIST_OK;
}

whist_status whist_dp_unary_encode(uint8_t *bits, const uint32_t *in, size_t n, uint32_t k, double epsilon,
                                   whist_dp_unary kind, const whist_dp_payer *payer)
{
    coins c;
    size_t count;
    WH_TRY(check_values(in, n, k));
    WH_TRY(coins_of(&c, epsilon, kind));
    WH_ENSURE(wh_mul_size(&count, n, k), WHIST_E_RANGE);
    WH_AUTO(wh_noise_ptr) noise = NULL;
    WH_TRY(wh_dp_pay(&noise, payer, &(whist_dp_event){.mechanism = WHIST_DP_PURE, .epsilon = epsilon}));
    for (size_t i = 0; i < count; i++) {
        bool one;
        whist_status status = wh_sample_bernoulli(noise, &one, i % k == in[i / k] ? c.keep : c.lie);
        if (status != WHIST_OK) {
            wh_wipe(bits, count);
            return status;
        }
        bits[i] = one;
    }
    return WHIST_OK;
}

whist_status whist_dp_unary_counts(double *out, const uint64_t *ones, uint64_t n, uint32_t k, double epsilon,
                                   whist_dp_unary kind)
{
    coins c;
    WH_TRY(coins_of(&c, epsilon, kind));
    for (uint32_t v = 0; v < k; v++) out[v] = ((double)ones[v] - (double)n * c.lie) / (c.keep - c.lie);
    return WHIST_OK;
}
