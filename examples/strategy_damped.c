/* examples/strategy_damped.c: a strategy of your own: w ← w + damping · mean of the updates.
 *
 * A strategy sees sums over the sites and never a single update, and it works on a block of the parameters at a
 * time, element by element: a model larger than memory passes through. */
#include "strategy_damped.h"

static whist_status step(const whist_settings *settings, const whist_strategy_sums *sums, whist_strategy_block *block)
{
    if (!(sums->weight[0] > 0)) return WHIST_E_RANGE; /* no site had a row */
    double scale = whist_settings_real(settings, "damping") / sums->weight[0];
    for (size_t i = 0; i < block->n; i++) block->model[i] = (float)((double)block->model[i] + scale * block->sum[0][i]);
    return WHIST_OK;
}

static const whist_option options[] = {
    {"damping", WHIST_OPTION_REAL, "1", 0, 1, NULL, "how much of the way to go"},
    {NULL, WHIST_OPTION_INT, NULL, 0, 0, NULL, NULL},
};

/* Weighted by rows at the sites; the same name as the learner's vector. */
static const whist_strategy_vector vectors[] = {{"delta", WHIST_WEIGHT_ROWS}, {NULL, WHIST_WEIGHT_ROWS}};

const whist_strategy_class strategy_damped = {
    .name = "fedavg-damped",
    .doc = "adds a part of the mean update",
    .options = options,
    .vectors = vectors,
    .step = step,
};
