/* nn/graph/kern_norm.h: rows normalised, softmax and the losses on it. Compiled after kern_sum.h. */

static double moments(double *mean, const REAL *x, size_t n, double eps)
{
    double m = sum_n(x, n) / (double)n, rest[LANES] = {0};
    vd part[DN] = {{0}}, v[DN];
    size_t at = 0;
    for (; at + LANES <= n; at += LANES) {
        load_doubles(v, x + at, LANES);
#pragma GCC unroll 8
        for (size_t i = 0; i < DN; i++) part[i] += (v[i] - m) * (v[i] - m);
    }
    for (size_t j = 0; at + j < n; j++) rest[j] = ((double)x[at + j] - m) * ((double)x[at + j] - m);
    memcpy(v, rest, sizeof v);
    for (size_t i = 0; i < DN; i++) part[i] += v[i];
    *mean = m;
    return 1 / sqrt(tree(part) / (double)n + eps);
}

void NAME(normalize)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n;
        REAL *out = (REAL *)call->out + row * n;
        double mean, scale = moments(&mean, x, n, call->attr->real[0]);
        EVERY(i, n) out[i] = (REAL)(((double)x[i] - mean) * scale);
    }
}

void NAME(normalize_back)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n, *c = (const REAL *)call->arg[1] + row * n;
        REAL *out = (REAL *)call->out + row * n;
        double mean, scale = moments(&mean, x, n, call->attr->real[0]), level = sum_n(c, n) / (double)n;
        vd part[DN] = {{0}}, v[DN], w[DN];
        for (size_t at = 0; at < n; at += LANES) { /* where c ends there are zeros */
            load_doubles(v, x + at, n - at);
            load_doubles(w, c + at, n - at);
#pragma GCC unroll 8
            for (size_t i = 0; i < DN; i++) part[i] += w[i] * ((v[i] - mean) * scale);
        }
        double along = tree(part) / (double)n;
        EVERY(i, n)
        out[i] = (REAL)(scale * ((double)c[i] - level - ((double)x[i] - mean) * scale * along));
    }
}

/* How many columns row `row` of a (causal) softmax sees. */
static size_t visible(const wh_call *call, size_t row)
{
    const wh_dims *dims = call->out_dims;
    size_t s = wh_dims_last(dims);
    if (!call->attr->whole[0]) return s;
    size_t t = dims->dim[dims->rank - 2];
    return row % t + s - t + 1;
}

static void softmax_row(const wh_num_kernels *num, REAL *out, const REAL *x, size_t n)
{
    REAL max = largest(x, n);
    EVERY(i, n) out[i] = x[i] - max;
    exp_n(num, out, out, n);
    REAL scale = (REAL)(1 / sum_n(out, n));
    EVERY(i, n) out[i] *= scale;
}

void NAME(softmax)(const wh_call *call, size_t from, size_t to)
{
    size_t s = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        REAL *out = (REAL *)call->out + row * s;
        size_t n = visible(call, row);
        softmax_row(call->num, out, (const REAL *)call->arg[0] + row * s, n);
        memset(out + n, 0, (s - n) * sizeof *out);
    }
}

void NAME(softmax_back)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        const REAL *y = (const REAL *)call->arg[0] + row * n, *c = (const REAL *)call->arg[1] + row * n;
        REAL *out = (REAL *)call->out + row * n, along = (REAL)dot_n(y, c, n);
        EVERY(i, n) out[i] = y[i] * (c[i] - along);
    }
}

/* log Σ e^(x - max), and max */
static double log_sum(const wh_num_kernels *num, REAL *max, const REAL *x, size_t n)
{
    REAL t[BLOCK];
    double sum = 0;
    *max = largest(x, n);
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t len = least(BLOCK, n - from);
        EVERY(i, len) t[i] = x[from + i] - *max;
        exp_n(num, t, t, len);
        sum += sum_n(t, len);
    }
    return log(sum);
}

void NAME(log_softmax)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n;
        REAL max, *out = (REAL *)call->out + row * n;
        REAL log_total = (REAL)log_sum(call->num, &max, x, n);
        EVERY(i, n) out[i] = x[i] - max - log_total;
    }
}

void NAME(cross_entropy)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->arg_dims);
    const uint32_t *index = call->arg[1];
    for (size_t row = from; row < to; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * n;
        REAL max;
        double log_total = log_sum(call->num, &max, x, n);
        ((REAL *)call->out)[row] = (REAL)(log_total + ((double)max - (double)x[index[row]]));
    }
}

void NAME(cross_entropy_back)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims);
    const uint32_t *index = call->arg[1];
    for (size_t row = from; row < to; row++) {
        REAL *out = (REAL *)call->out + row * n, c = ((const REAL *)call->arg[2])[row];
        softmax_row(call->num, out, (const REAL *)call->arg[0] + row * n, n);
        out[index[row]] -= 1;
        EVERY(i, n) out[i] *= c;
    }
}
