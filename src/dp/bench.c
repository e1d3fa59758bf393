/* dp/bench.c: how long an answer takes, from nothing: accountant, events, epsilon. */
#include "dp/bench.h"

#include "base/bench.h"
#include "dp/account/accountant.h"

static const double delta = 1e-5;

typedef struct work {
    whist_dp_options options;
    whist_dp_event event[20];
    size_t n;
} work;

static whist_dp_event sampled(double sigma, double rate, uint64_t count)
{
    return (whist_dp_event){
        .mechanism = WHIST_DP_GAUSSIAN, .sampling = WHIST_DP_POISSON, .noise = sigma, .rate = rate, .count = count};
}

static whist_status account(void *user)
{
    const work *w = user;
    WH_AUTO(whist_dp_accountant_ptr) a = NULL;
    whist_dp_answer answer;
    WH_TRY(whist_dp_accountant_new(&a, &w->options));
    for (size_t i = 0; i < w->n; i++) WH_TRY(whist_dp_compose(a, &w->event[i]));
    return whist_dp_epsilon(&answer, a, delta);
}

static whist_status calibrate(void *user)
{
    const work *w = user;
    double sigma;
    return whist_dp_calibrate(&sigma, NULL, &w->options, w->event, w->n, 0, WHIST_DP_NOISE, 3, delta, 0);
}

static whist_status pld(const whist_bench_env *env)
{
    work w = {.options = {.method = WHIST_DP_PLD}, .event = {sampled(1, 0.01, 10000)}, .n = 1};
    return wh_bench_measure(env, "dp.pld", "s", false, 1, account, &w);
}

static whist_status rdp(const whist_bench_env *env)
{
    work w = {.options = {.method = WHIST_DP_RDP}, .event = {sampled(1, 0.01, 10000)}, .n = 1};
    return wh_bench_measure(env, "dp.rdp", "s", false, 1, account, &w);
}

static whist_status calibrate_pld(const whist_bench_env *env)
{
    work w = {.options = {.method = WHIST_DP_PLD}, .event = {sampled(1, 0.01, 10000)}, .n = 1};
    return wh_bench_measure(env, "dp.calibrate", "s", false, 1, calibrate, &w);
}

static whist_status compose20(const whist_bench_env *env)
{
    work w = {.options = {.method = WHIST_DP_PLD}, .n = 20};
    for (int i = 0; i < 20; i++) w.event[i] = sampled(1 + 0.1 * i, 0.01 + 0.001 * i, 100);
    return wh_bench_measure(env, "dp.compose20", "s", false, 1, account, &w);
}

const whist_bench wh_dp_benches[] = {
    {"dp.pld", "epsilon by PLD to 1e-4, q = .01, sigma = 1, 10,000 uses: seconds", false, pld},
    {"dp.rdp", "the same by RDP", false, rdp},
    {"dp.calibrate", "sigma for epsilon 3 by PLD, the same sampling: seconds", false, calibrate_pld},
    {"dp.compose20", "20 different sampled Gaussians, 100 uses each, by PLD: seconds", false, compose20},
    {"dp.ftrl1e6", "correlated noise of one step for 10^6 parameters: 16 bands, 4 buffers, a tree: seconds", false,
     wh_dp_bench_matrix},
    {NULL, NULL, false, NULL},
};
