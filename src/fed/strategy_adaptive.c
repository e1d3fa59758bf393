/* fed/strategy_adaptive.c: server optimisers. The mean update Δ plays the part of a gradient.
 *
 *   m ← β1 m + (1 - β1) Δ
 *   Adagrad  v ← v + Δ²                       Adam  v ← β2 v + (1 - β2) Δ²
 *   Yogi     v ← v - (1 - β2) Δ² sign(v - Δ²)
 *   w ← w + lr m / (√v + τ),   v starts at τ²
 *
 * (Reddi et al., Adaptive Federated Optimization, 2021, Algorithm 2; no bias correction.)
 * FedAvgM: m ← β m + Δ, w ← w + lr m  (Hsu, Qi, Brown 2019). */
#include "fed/strategy.h"

#include "base/status.h"

#include <math.h>

static const whist_strategy_vector by_rows[] = {{"delta", WHIST_WEIGHT_ROWS}, {0}};

static const whist_option momentum_options[] = {
    {"lr", WHIST_OPTION_REAL, "1", 0, 1e3, NULL, "server learning rate"},
    {"momentum", WHIST_OPTION_REAL, "0.9", 0, 0.9999, NULL, "share of the last step that is kept"},
    {0},
};

static const whist_option adaptive_options[] = {
    {"lr", WHIST_OPTION_REAL, "0.01", 0, 1e3, NULL, "server learning rate"},
    {"beta1", WHIST_OPTION_REAL, "0.9", 0, 0.9999, NULL, "momentum of the mean update"},
    {"beta2", WHIST_OPTION_REAL, "0.999", 0, 0.999999, NULL, "momentum of its square (not used by fedadagrad)"},
    {"tau", WHIST_OPTION_REAL, "1e-8", 1e-15, 1, NULL, "degree of adaptivity; its square is the first v"},
    {0},
};

static whist_status check_weight(const whist_strategy_sums *sums)
{
    if (!(sums->weight[0] > 0))
        WH_FAIL(WHIST_E_RANGE, "no site of round %llu has training rows", (unsigned long long)sums->round);
    return WHIST_OK;
}

static whist_status step_momentum(const whist_settings *settings, const whist_strategy_sums *sums,
                                  whist_strategy_block *block)
{
    WH_TRY(check_weight(sums));
    double lr = whist_settings_real(settings, "lr"), beta = whist_settings_real(settings, "momentum");
    for (size_t i = 0; i < block->n; i++) {
        double m = beta * (double)block->state[0][i] + block->sum[0][i] / sums->weight[0];
        block->state[0][i] = (float)m;
        block->model[i] = (float)((double)block->model[i] + lr * m);
    }
    return WHIST_OK;
}

static whist_status begin_adaptive(const whist_settings *settings, whist_strategy_block *block)
{
    double tau = whist_settings_real(settings, "tau");
    for (size_t i = 0; i < block->n; i++) block->state[1][i] = (float)(tau * tau);
    return WHIST_OK;
}

typedef double second_moment(double v, double square, double beta2);

static double moment_adagrad(double v, double square, double beta2)
{
    (void)beta2;
    return v + square;
}

static double moment_adam(double v, double square, double beta2)
{
    return beta2 * v + (1 - beta2) * square;
}

static double moment_yogi(double v, double square, double beta2)
{
    double sign = v > square ? 1 : v < square ? -1 : 0;
    return v - (1 - beta2) * square * sign;
}

static whist_status step_adaptive(const whist_settings *settings, const whist_strategy_sums *sums,
                                  whist_strategy_block *block, second_moment *second)
{
    WH_TRY(check_weight(sums));
    double lr = whist_settings_real(settings, "lr"), tau = whist_settings_real(settings, "tau");
    double beta1 = whist_settings_real(settings, "beta1"), beta2 = whist_settings_real(settings, "beta2");
    for (size_t i = 0; i < block->n; i++) {
        double delta = block->sum[0][i] / sums->weight[0];
        double m = beta1 * (double)block->state[0][i] + (1 - beta1) * delta;
        double v = second((double)block->state[1][i], delta * delta, beta2);
        block->state[0][i] = (float)m;
        block->state[1][i] = (float)v;
        block->model[i] = (float)((double)block->model[i] + lr * m / (sqrt(v) + tau));
    }
    return WHIST_OK;
}

static whist_status step_adagrad(const whist_settings *settings, const whist_strategy_sums *sums,
                                 whist_strategy_block *block)
{
    return step_adaptive(settings, sums, block, moment_adagrad);
}

static whist_status step_adam(const whist_settings *settings, const whist_strategy_sums *sums,
                              whist_strategy_block *block)
{
    return step_adaptive(settings, sums, block, moment_adam);
}

static whist_status step_yogi(const whist_settings *settings, const whist_strategy_sums *sums,
                              whist_strategy_block *block)
{
    return step_adaptive(settings, sums, block, moment_yogi);
}

const whist_strategy_class wh_strategy_fedavgm = {
    .name = "fedavgm",
    .doc = "FedAvg with momentum at the coordinator",
    .options = momentum_options,
    .vectors = by_rows,
    .n_states = 1,
    .step = step_momentum,
};

const whist_strategy_class wh_strategy_fedadagrad = {
    .name = "fedadagrad",
    .doc = "Adagrad at the coordinator",
    .options = adaptive_options,
    .vectors = by_rows,
    .n_states = 2,
    .begin = begin_adaptive,
    .step = step_adagrad,
};

const whist_strategy_class wh_strategy_fedadam = {
    .name = "fedadam",
    .doc = "Adam at the coordinator, without bias correction",
    .options = adaptive_options,
    .vectors = by_rows,
    .n_states = 2,
    .begin = begin_adaptive,
    .step = step_adam,
};

const whist_strategy_class wh_strategy_fedyogi = {
    .name = "fedyogi",
    .doc = "Yogi at the coordinator",
    .options = adaptive_options,
    .vectors = by_rows,
    .n_states = 2,
    .begin = begin_adaptive,
    .step = step_yogi,
};
