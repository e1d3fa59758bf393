/* fed/strategy.h: the strategies of the library, one file for each family. */
#ifndef WH_FED_STRATEGY_H
#define WH_FED_STRATEGY_H

#include <whist/fed.h>

/* strategy_mean.c: the next model is the old one plus a mean of updates. */
extern const whist_strategy_class wh_strategy_fedavg, wh_strategy_fedavg_uniform, wh_strategy_fedprox,
    wh_strategy_cyclic, wh_strategy_fednova;
extern const whist_strategy_class wh_strategy_local, wh_strategy_pooled;
/* strategy_adaptive.c: the mean update is a gradient for an optimiser at the coordinator. */
extern const whist_strategy_class wh_strategy_fedavgm, wh_strategy_fedadagrad, wh_strategy_fedadam, wh_strategy_fedyogi;
/* strategy_scaffold.c: control variates. */
extern const whist_strategy_class wh_strategy_scaffold;

#endif
