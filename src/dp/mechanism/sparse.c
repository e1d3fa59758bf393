/* mechanism/sparse.c: above threshold. The threshold is noised once, each query afresh, and nothing but the verdicts
 * leaves. The proof moves noise by whole multiples of the sensitivity only, so it holds for discrete Laplace noise.
 * (Lyu, Su, Li, "Understanding the sparse vector technique", VLDB 2017, algorithm 1: epsilon is halved between
 * threshold and queries; its counter-examples are variants that skip one of the two noises or release values.) */
#include "dp/mechanism/pay.h"

#include <math.h>

#include "draw/sample.h"

struct whist_dp_sparse {
    wh_noise *noise;
    int64_t threshold; /* noised */
    double scale;      /* of the noise of queries */
    uint32_t left;     /* positives still allowed */
};

static whist_status check(int64_t threshold, uint32_t positives, uint64_t sensitivity, double epsilon)
{
    WH_ENSURE(positives >= 1 && positives <= 1 << 20, WHIST_E_ARG);
    WH_ENSURE(sensitivity >= 1 && sensitivity <= UINT64_C(1) << 30, WHIST_E_ARG);
    WH_ENSURE(threshold > -(INT64_C(1) << 61) && threshold < INT64_C(1) << 61, WHIST_E_RANGE);
    if (!(epsilon >= 1e-6 && epsilon <= 1000))
        WH_FAIL(WHIST_E_ARG, "epsilon is %g: it must lie between 1e-6 and 1000", epsilon);
    return WHIST_OK;
}

whist_status whist_dp_sparse_new(whist_dp_sparse **out, int64_t threshold, uint32_t positives, uint64_t sensitivity,
                                 double epsilon, const whist_dp_payer *payer)
{
    WH_TRY(check(threshold, positives, sensitivity, epsilon));
    const double unit = nextafter(2 * (double)sensitivity / epsilon, INFINITY);
    whist_dp_sparse *sparse;
    int64_t draw = 0;
    WH_TRY(WH_NEW(&sparse, 1));
    whist_status status;
    WH_TRY_OUT(
        wh_dp_pay(&sparse->noise, payer, &(whist_dp_event){.mechanism = WHIST_DP_NOISY_MAX, .epsilon = epsilon}));
    WH_TRY_OUT(wh_sample_discrete_laplace(sparse->noise, &draw, 1, unit));
    sparse->threshold = threshold + draw;
    sparse->scale = nextafter(2 * unit * positives, INFINITY);
    sparse->left = positives;
    *out = sparse;
    return WHIST_OK;
out:
    whist_dp_sparse_free(sparse);
    return status;
}

void whist_dp_sparse_free(whist_dp_sparse *sparse)
{
    if (!sparse) return;
    wh_noise_free(sparse->noise);
    wh_wipe(sparse, sizeof *sparse);
    wh_free(sparse);
}

whist_status whist_dp_sparse_ask(whist_dp_sparse *sparse, bool *above, int64_t query)
{
    WH_ENSURE(sparse && above, WHIST_E_ARG);
    WH_ENSURE(query > -(INT64_C(1) << 61) && query < INT64_C(1) << 61, WHIST_E_RANGE);
    if (sparse->left == 0)
        WH_FAIL(WHIST_E_BUDGET, "the threshold was passed as often as was paid for: start anew, with a new charge");
    int64_t draw;
    WH_TRY(wh_sample_discrete_laplace(sparse->noise, &draw, 1, sparse->scale));
    *above = query + draw >= sparse->threshold;
    sparse->left -= *above;
    return WHIST_OK;
}
