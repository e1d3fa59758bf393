/* mechanism/sum.c: sums on a grid. */
#include <math.h>

#include "base/status.h"
#include "whist/dp.h"

whist_status whist_dp_sum_init(whist_dp_sum *out, double lower, double upper, int grid)
{
    WH_ENSURE(out && grid >= -1022 && grid <= 512, WHIST_E_ARG);
    if (!(isfinite(lower) && isfinite(upper) && lower < upper))
        WH_FAIL(WHIST_E_ARG, "bounds %g and %g: a private sum needs finite public bounds, the lower one first", lower,
                upper);
    double low = floor(ldexp(lower, -grid)), high = ceil(ldexp(upper, -grid));
    if (fmax(fabs(low), fabs(high)) > 0x1p30)
        WH_FAIL(WHIST_E_RANGE, "bounds of more than 2^30 grid steps: choose a coarser grid than 2^%d", grid);
    *out = (whist_dp_sum){.grid = grid, .low = (int64_t)low, .high = (int64_t)high};
    return WHIST_OK;
}

int64_t whist_dp_sum_steps(const whist_dp_sum *sum, double x)
{
    double v = rint(ldexp(x, -sum->grid));
    if (isnan(v)) v = 0;
    if (v < (double)sum->low) return sum->low;
    if (v > (double)sum->high) return sum->high;
    return (int64_t)v;
}

whist_status whist_dp_sum_add(whist_dp_sum *sum, double x)
{
    if (sum->n >= UINT64_C(1) << 31) WH_FAIL(WHIST_E_RANGE, "a private sum of more than 2^31 values");
    sum->total += whist_dp_sum_steps(sum, x);
    sum->n++;
    return WHIST_OK;
}

int64_t whist_dp_sum_reach(const whist_dp_sum *sum)
{
    int64_t low = sum->low < 0 ? -sum->low : sum->low, high = sum->high < 0 ? -sum->high : sum->high;
    return low > high ? low : high;
}

double whist_dp_from_grid(int64_t steps, int grid)
{
    return ldexp((double)steps, grid);
}
