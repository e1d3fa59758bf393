/* fed/strategy_scaffold.c: the coordinator's half of SCAFFOLD.
 *
 *   w ← w + lr mean(Δw_i),   c ← c + |S| / N mean(Δc_i)
 *
 * (Karimireddy et al. 2020, Algorithm 1; the sites use option II, see learn/scaffold.c.) The paper's
 * means are uniform over the sites of the round, and so are ours. c is state 0 and goes to the
 * sites with the model. */
#include "fed/strategy.h"

#include "base/status.h"

static const whist_option options[] = {
    {"lr", WHIST_OPTION_REAL, "1", 0, 1e3, NULL, "server learning rate"},
    {0},
};

static const whist_strategy_vector vectors[] = {
    {"delta", WHIST_WEIGHT_UNIFORM},
    {"control", WHIST_WEIGHT_UNIFORM},
    {0},
};

static whist_status step(const whist_settings *settings, const whist_strategy_sums *sums, whist_strategy_block *block)
{
    double lr = whist_settings_real(settings, "lr"), n_sites = (double)sums->n_sites;
    if (!(sums->weight[0] > 0))
        WH_FAIL(WHIST_E_RANGE, "no site arrived in round %llu", (unsigned long long)sums->round);
    for (size_t i = 0; i < block->n; i++) {
        block->model[i] = (float)((double)block->model[i] + lr * block->sum[0][i] / sums->weight[0]);
        block->state[0][i] = (float)((double)block->state[0][i] + block->sum[1][i] / n_sites);
    }
    return WHIST_OK;
}

const whist_strategy_class wh_strategy_scaffold = {
    .name = "scaffold",
    .doc = "control variates against client drift (learner scaffold)",
    .options = options,
    .vectors = vectors,
    .n_states = 1,
    .n_broadcast = 1,
    .step = step,
};
