/* mechanism/repeat.c: how often to run what is repeated (Papernot, Steinke 2022, definition 1).
 *
 *   geometric      P(k) = gamma (1 - gamma)^(k-1)
 *   logarithmic    P(k) ~ (1 - gamma)^k / k: a geometric number that is taken with probability 1 / k
 *
 * for k = 1, 2, …; exact for the gamma that the accountant takes, a double. */
#include "dp/account/renyi.h"
#include "draw/noise.h"
#include "draw/sample.h"

#include <math.h>

whist_status whist_dp_repeat_draw(uint64_t *out, double mean, double shape)
{
    WH_ENSURE(out, WHIST_E_ARG);
    if (!(mean > 1 && mean <= 1e9)) WH_FAIL(WHIST_E_ARG, "a mean of %g repetitions: it must lie above 1", mean);
    if (shape != 0 && shape != 1)
        WH_FAIL(WHIST_E_UNSUPPORTED, "only a geometric (shape 1) or logarithmic (shape 0) number can be drawn");
    WH_AUTO(wh_noise_ptr) noise = NULL;
    const double gamma = wh_dp_repeat_gamma(mean, shape);
    bool taken = false;
    int64_t failures = 0;
    WH_TRY(wh_noise_new(&noise));
    while (!taken) {
        WH_TRY(wh_sample_geometric(noise, &failures, 1, gamma));
        taken = true;
        if (shape == 0) WH_TRY(wh_sample_ratio(noise, &taken, 1, (uint64_t)failures + 1));
    }
    *out = (uint64_t)failures + 1;
    return WHIST_OK;
}
