/* matrix/matrix.c: the public object: options checked, a design made. */
#include "dp/matrix/matrix.h"

#include <math.h>

static const char *const names[WHIST_DP_DESIGNS] = {"banded", "sqrt", "blt", "tree"};

const char *whist_dp_design_name(whist_dp_design design)
{
    return (size_t)design < WH_COUNT(names) ? names[design] : NULL;
}

/* Bands that overlap have a bound where their coefficients fall; chosen ones need not. */
static whist_status check_bands(const whist_dp_matrix_options *o)
{
    const uint64_t most = o->participations > 1 ? o->separation : o->steps;
    if (o->design == WHIST_DP_TREE_SUMS && o->bands) WH_FAIL(WHIST_E_ARG, "a tree has no bands: leave them out");
    if (o->design == WHIST_DP_BLT && o->bands > WH_MATRIX_BUFFERS)
        WH_FAIL(WHIST_E_ARG, "a blt has 1 to %d buffers", WH_MATRIX_BUFFERS);
    if (o->bands > WH_MATRIX_BANDS) WH_FAIL(WHIST_E_ARG, "bands is %u: at most %d", o->bands, WH_MATRIX_BANDS);
    if (o->design != WHIST_DP_BLT && o->bands > o->steps)
        WH_FAIL(WHIST_E_ARG, "%u bands for %llu steps: at most as many", o->bands, (unsigned long long)o->steps);
    if (o->design == WHIST_DP_BANDED && o->bands > most)
        WH_FAIL(WHIST_E_ARG,
                "%u bands where a unit takes part again after %llu steps: at most as many, so that its columns do not "
                "overlap",
                o->bands, (unsigned long long)o->separation);
    return WHIST_OK;
}

whist_status wh_matrix_check(const whist_dp_matrix_options *o)
{
    uint64_t k = o->participations, b = o->separation;
    if ((unsigned)o->design >= WHIST_DP_DESIGNS) WH_FAIL(WHIST_E_ARG, "there is no design %d", (int)o->design);
    if (o->steps < 1 || o->steps > UINT64_C(1) << 20)
        WH_FAIL(WHIST_E_ARG, "steps is %llu: correlated noise goes over 1 to 2^20 steps", (unsigned long long)o->steps);
    if (k < 1) WH_FAIL(WHIST_E_ARG, "participations is 0: a unit takes part at least once");
    if (b < 1) WH_FAIL(WHIST_E_ARG, "separation is 0: a unit takes part in a step once");
    if (k > 1 && (b >= o->steps || (k - 1) > (o->steps - 1) / b))
        WH_FAIL(WHIST_E_ARG,
                "%llu participations %llu steps apart do not fit into %llu steps: say how often a unit takes part at "
                "most",
                (unsigned long long)k, (unsigned long long)b, (unsigned long long)o->steps);
    if (k * o->steps > UINT64_C(1) << 28)
        WH_FAIL(WHIST_E_ARG, "participations times steps is beyond 2^28: take fewer passes");
    return check_bands(o);
}

static whist_status make(whist_dp_matrix *m)
{
    switch (m->options.design) {
    case WHIST_DP_BANDED:
    case WHIST_DP_SQRT: return wh_matrix_banded(m);
    case WHIST_DP_BLT: return wh_matrix_blt(m);
    default: return wh_matrix_tree(m);
    }
}

whist_status whist_dp_matrix_new(whist_dp_matrix **out, const whist_dp_matrix_options *options)
{
    WH_ENSURE(out && options, WHIST_E_ARG);
    WH_TRY(wh_matrix_check(options));
    whist_dp_matrix *m;
    WH_TRY(WH_NEW(&m, 1));
    m->options = *options;
    whist_status status = make(m);
    if (status == WHIST_OK)
        *out = m;
    else
        wh_free(m);
    return status;
}

whist_status wh_matrix_prefix(double *squared, const whist_dp_matrix *m, uint64_t steps)
{
    whist_dp_matrix_options o = m->options;
    double c[WH_MATRIX_BANDS];
    WH_ENSURE(steps <= o.steps, WHIST_E_ARG);
    *squared = 0;
    if (steps == 0) return WHIST_OK;
    o.steps = steps;
    if (o.participations > (steps - 1) / o.separation + 1) o.participations = (steps - 1) / o.separation + 1;
    if (o.design == WHIST_DP_BLT) return wh_matrix_blt_sensitivity(squared, m, &o);
    if (o.design == WHIST_DP_TREE_SUMS) {
        *squared = wh_matrix_tree_sensitivity(&o);
        return WHIST_OK;
    }
    for (size_t i = 0; i < o.bands; i++) c[i] = ldexp(m->c[i], -WH_MATRIX_FINE);
    return wh_matrix_sensitivity(squared, c, o.bands, &o);
}

void whist_dp_matrix_free(whist_dp_matrix *matrix)
{
    wh_free(matrix);
}

whist_dp_matrix_facts whist_dp_matrix_get(const whist_dp_matrix *matrix)
{
    return matrix->facts;
}
