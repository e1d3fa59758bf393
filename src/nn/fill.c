/* nn/fill.c: start values.
 *
 * Parameter i is a function of (seed, i) alone: splitmix64 (Steele, Lea, Flood 2014) read at position i. Normal numbers
 * come from one uniform each by the inverse of the distribution function (Wichura 1988, AS 241, PPND16), with a
 * logarithm of our own: only IEEE operations are used, so the values are the same on every machine. */
#include <math.h>
#include <string.h>

#include "nn/model.h"

static uint64_t random_at(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- Normal numbers -------------------------------------------------------------------------------- */

/* ln x of a normal double: x = m 2^e with m near 1, ln m = 2 artanh((m - 1) / (m + 1)). |z| < 0.172, so that the
 * series' terms from z^27 on are below 2^-63. */
static double logarithm(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) m *= 2, e--;
    double z = (m - 1) / (m + 1), w = z * z, sum = 0;
    for (int k = 25; k >= 1; k -= 2) sum = sum * w + 1.0 / k;
    return 2 * z * sum + (double)e * 0.69314718055994530942;
}

static double ratio(const double top[8], const double bottom[8], double r)
{
    double p = top[7], q = bottom[7];
    for (int i = 6; i >= 0; i--) p = p * r + top[i], q = q * r + bottom[i];
    return p / q;
}

/* The x whose distribution function is u, 0 < u < 1. */
static double quantile(double u)
{
    static const double a[] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                               1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                               3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double b[] = {1.0,
                               4.2313330701600911252e1,
                               6.8718700749205790830e2,
                               5.3941960214247511077e3,
                               2.1213794301586595867e4,
                               3.9307895800092710610e4,
                               2.8729085735721942674e4,
                               5.2264952788528545610e3};
    static const double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                               3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                               2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[] = {1.0,
                               2.05319162663775882187e0,
                               1.67638483018380384940e0,
                               6.89767334985100004550e-1,
                               1.48103976427480074590e-1,
                               1.51986665636164571966e-2,
                               5.47593808499534494600e-4,
                               1.05075007164441684324e-9};
    static const double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                               2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                               2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[] = {1.0,
                               5.99832206555887937690e-1,
                               1.36929880922735805310e-1,
                               1.48753612908506148525e-2,
                               7.86869131145613259100e-4,
                               1.84631831751005468180e-5,
                               1.42151175831644588870e-7,
                               2.04426310338993978564e-15};
    double q = u - 0.5;
    if (q >= -0.425 && q <= 0.425) return q * ratio(a, b, 0.180625 - q * q);
    double r = sqrt(-logarithm(q < 0 ? u : 1 - u));
    double x = r <= 5 ? ratio(c, d, r - 1.6) : ratio(e, f, r - 5);
    return q < 0 ? -x : x;
}

/* 53 bits, the middle of their cell: never 0 or 1. */
static double unit_at(uint64_t stream, uint64_t i)
{
    return ((double)(random_at(stream, i) >> 11) + 0.5) * 0x1p-53;
}

static float normal_at(const wh_fill *fill, uint64_t stream, uint64_t i)
{
    const double tail = 0.022750131948179207; /* of the normal distribution below -2 */
    double u = unit_at(stream, i);
    if (fill->kind == WH_FILL_TRUNCATED) u = tail + u * (1 - 2 * tail);
    return (float)(fill->size * quantile(u));
}

/* ---- Orthogonal matrices ----------------------------------------------------------------------------- */

/* q (n,n): columns of normal numbers made orthonormal one by one (modified Gram-Schmidt, each column twice). */
static void orthogonal(double *q, size_t n, uint64_t stream, uint64_t first)
{
    for (size_t i = 0; i < n * n; i++) q[i] = quantile(unit_at(stream, first + i));
    for (size_t j = 0; j < n; j++) {
        double *v = q + j * n; /* rows are as good as columns: the inverse is the transpose */
        for (int pass = 0; pass < 2; pass++)
            for (size_t k = 0; k < j; k++) {
                double dot = 0;
                for (size_t i = 0; i < n; i++) dot += v[i] * q[k * n + i];
                for (size_t i = 0; i < n; i++) v[i] -= dot * q[k * n + i];
            }
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += v[i] * v[i];
        for (size_t i = 0; i < n; i++) v[i] /= sqrt(sum);
    }
}

/* Blocks side by side in (width, blocks · width); of the values only [from, end) are kept, counted from the tensor's
 * first. Without memory for a block they stay zero, and a model that trains from there is none the worse for it. */
static void fill_orthogonal(float *out, const wh_fill *fill, size_t size, size_t from, size_t end, uint64_t stream,
                            uint64_t first)
{
    const size_t w = fill->width, blocks = size / (w * w), row = blocks * w;
    WH_AUTO(wh_owned) memory = NULL;
    if (wh_alloc_raw(&memory, w * w, sizeof(double)) != WHIST_OK) return;
    double *q = memory;
    for (size_t b = 0; b < blocks; b++) {
        orthogonal(q, w, stream, first + b * w * w);
        for (size_t i = 0; i < w; i++)
            for (size_t j = 0; j < w; j++) {
                size_t at = i * row + b * w + j;
                if (at >= from && at < end) out[at - from] = (float)q[i * w + j];
            }
    }
}

/* ---- All tensors ---------------------------------------------------------------------------------------- */

/* Values [from, end) of a tensor whose first value is parameter `first`. U[-size, size): 24 random bits and products of
 * float32 alone. */
static void fill_tensor(float *out, const wh_fill *fill, size_t size, size_t from, size_t end, uint64_t stream,
                        uint64_t first)
{
    switch (fill->kind) {
    case WH_FILL_NUMBER:
        for (size_t i = from; i < end; i++) out[i - from] = (float)fill->size;
        break;
    case WH_FILL_UNIFORM:
        for (size_t i = from; i < end; i++) {
            float unit = (float)((int32_t)(random_at(stream, first + i) >> 40) - (1 << 23)) * 0x1p-23f;
            out[i - from] = unit * (float)fill->size;
        }
        break;
    case WH_FILL_NORMAL:
    case WH_FILL_TRUNCATED:
        for (size_t i = from; i < end; i++) out[i - from] = normal_at(fill, stream, first + i);
        break;
    case WH_FILL_ORTHOGONAL: fill_orthogonal(out, fill, size, from, end, stream, first); break;
    }
}

void wh_model_init_range(const whist_model *model, float *params, size_t at, size_t n, uint64_t seed)
{
    uint64_t stream = random_at(seed, UINT64_C(0x77686973742e6e6e)); /* "whist.nn": apart from other uses of the seed */
    memset(params, 0, n * sizeof *params);
    for (size_t t = 0; t < model->n_tensors; t++) {
        const whist_tensor_info *tensor = &model->tensors[t];
        if (tensor->offset >= at + n || tensor->offset + tensor->size <= at) continue;
        size_t from = at > tensor->offset ? at - tensor->offset : 0, end = at + n - tensor->offset;
        if (end > tensor->size) end = tensor->size;
        fill_tensor(params + (tensor->offset + from - at), &model->fills[t], tensor->size, from, end, stream,
                    tensor->offset);
    }
}

void whist_model_init(const whist_model *model, float *params, uint64_t seed)
{
    wh_model_init_range(model, params, 0, model->size, seed);
}
