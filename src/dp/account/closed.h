/* account/closed.h: curves that have a closed form. */
#ifndef WH_DP_ACCOUNT_CLOSED_H
#define WH_DP_ACCOUNT_CLOSED_H

#include "base/mem.h"

/* Two normal distributions mu > 0 apart: delta(epsilon), epsilon >= 0, and its inverse (0 where delta(0) <= delta).
 * Relative error below 1e-12 for delta >= 1e-280. */
double wh_dp_normal_delta(double mu, double epsilon);
double wh_dp_normal_epsilon(double mu, double delta);
/* log(1 - e^x), x < 0; log(e^a + e^b). */
double wh_dp_log1mexp(double x);
double wh_dp_log_add(double a, double b);

#endif
