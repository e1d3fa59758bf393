/* fed/strategy.c: the list of strategies. */
#include "fed/strategy.h"

#include "base/status.h"

const whist_strategy_class *const *whist_strategy_classes(void)
{
    static const whist_strategy_class *const classes[] = {
        &wh_strategy_fedavg,
        &wh_strategy_fedavg_uniform,
        &wh_strategy_fedprox,
        &wh_strategy_fedavgm,
        &wh_strategy_fednova,
        &wh_strategy_fedadagrad,
        &wh_strategy_fedadam,
        &wh_strategy_fedyogi,
        &wh_strategy_scaffold,
        &wh_strategy_cyclic,
        &wh_strategy_local,
        &wh_strategy_pooled,
        NULL,
    };
    return classes;
}
