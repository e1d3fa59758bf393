/* fed/strategy_mean.c: strategies that add a mean of the updates to the model.
 *
 *   FedAvg    w += Σ n_i Δ_i / Σ n_i                     (McMahan et al. 2017, Algorithm 1)
 *   FedProx   the same sum; the proximal term acts in the learner   (Li et al. 2020, Algorithm 2)
 *   FedNova   w += τ Σ p_i Δ_i / a_i,  p_i = n_i / Σ n,  τ = Σ p_i a_i   (Wang et al. 2020, eq. 10)
 *   cyclic    sites take turns: each step's mean is one site's update
 *
 * local and pooled are the baselines that a federation is compared with. They average over one site,
 * so the same step serves them. */
#include "fed/strategy.h"

#include "base/status.h"

static const whist_strategy_vector by_rows[] = {{"delta", WHIST_WEIGHT_ROWS}, {0}};
static const whist_strategy_vector by_rows_per_step[] = {{"delta", WHIST_WEIGHT_ROWS_PER_STEP}, {0}};
static const whist_strategy_vector uniformly[] = {{"delta", WHIST_WEIGHT_UNIFORM}, {0}};

static whist_status add_scaled_sum(whist_strategy_block *block, double scale)
{
    for (size_t i = 0; i < block->n; i++) block->model[i] = (float)((double)block->model[i] + scale * block->sum[0][i]);
    return WHIST_OK;
}

static whist_status step_mean(const whist_settings *settings, const whist_strategy_sums *sums,
                              whist_strategy_block *block)
{
    (void)settings;
    if (!(sums->weight[0] > 0))
        WH_FAIL(WHIST_E_RANGE, "no site of round %llu has training rows", (unsigned long long)sums->round);
    return add_scaled_sum(block, 1.0 / sums->weight[0]);
}

static whist_status step_nova(const whist_settings *settings, const whist_strategy_sums *sums,
                              whist_strategy_block *block)
{
    (void)settings;
    if (!(sums->rows > 0))
        WH_FAIL(WHIST_E_RANGE, "no site of round %llu has training rows", (unsigned long long)sums->round);
    double tau = sums->rows_steps / sums->rows;
    return add_scaled_sum(block, tau / sums->rows);
}

const whist_strategy_class wh_strategy_fedavg = {
    .name = "fedavg",
    .doc = "adds the mean of the updates, weighted by training rows",
    .vectors = by_rows,
    .step = step_mean,
};

const whist_strategy_class wh_strategy_fedavg_uniform = {
    .name = "fedavg-uniform",
    .doc = "adds the mean of the updates, each site counting the same",
    .vectors = uniformly,
    .step = step_mean,
};

const whist_strategy_class wh_strategy_fedprox = {
    .name = "fedprox",
    .doc = "FedAvg for learners that pull towards the global model (learner fedprox)",
    .vectors = by_rows,
    .step = step_mean,
};

const whist_strategy_class wh_strategy_fednova = {
    .name = "fednova",
    .doc = "FedAvg that corrects for sites doing different numbers of local steps",
    .vectors = by_rows_per_step,
    .step = step_nova,
};

const whist_strategy_class wh_strategy_cyclic = {
    .name = "cyclic",
    .doc = "sites take turns in an order redrawn each round; shows single updates",
    .vectors = by_rows,
    .sequential = true,
    .step = step_mean,
};

const whist_strategy_class wh_strategy_local = {
    .name = "local",
    .doc = "baseline: each site trains alone (simulation only)",
    .vectors = by_rows,
    .baseline = WHIST_BASELINE_LOCAL,
    .step = step_mean,
};

const whist_strategy_class wh_strategy_pooled = {
    .name = "pooled",
    .doc = "baseline: all rows in one place (simulation only)",
    .vectors = by_rows,
    .baseline = WHIST_BASELINE_POOLED,
    .step = step_mean,
};
