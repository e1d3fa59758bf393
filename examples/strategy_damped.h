/* examples/strategy_damped.h: FedAvg that goes only part of the way. */
#ifndef STRATEGY_DAMPED_H
#define STRATEGY_DAMPED_H

#include <whist/fed.h>

extern const whist_strategy_class strategy_damped;

#endif
