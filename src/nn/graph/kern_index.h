/* nn/graph/kern_index.h: rows and places by index, and masks that a seed and a place decide. Compiled after
 * kern_real.h, whose helpers it uses. */

void NAME(gather)(const wh_call *call, size_t from, size_t to)
{
    size_t d = call->arg_dims[0].dim[1];
    const uint32_t *index = call->arg[1];
    for (size_t row = from; row < to; row++)
        memcpy((REAL *)call->out + row * d, (const REAL *)call->arg[0] + index[row] * d, d * sizeof(REAL));
}

void NAME(scatter)(const wh_call *call, size_t from, size_t to)
{
    size_t v = call->out_dims->dim[0], d = call->out_dims->dim[1], n = wh_dims_size(&call->arg_dims[1]);
    const uint32_t *index = call->arg[1];
    size_t first = from * 64, width = least(d, to * 64) - first;
    for (size_t row = 0; row < v; row++) memset((REAL *)call->out + row * d + first, 0, width * sizeof(REAL));
    for (size_t row = 0; row < n; row++) {
        const REAL *x = (const REAL *)call->arg[0] + row * d + first;
        REAL *out = (REAL *)call->out + index[row] * d + first;
        EVERY(j, width) out[j] += x[j];
    }
}

void NAME(take)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(&call->arg_dims[0]), k = wh_dims_last(&call->arg_dims[1]);
    const uint32_t *index = call->arg[1];
    for (size_t row = from; row < to; row++)
        for (size_t j = 0; j < k; j++)
            ((REAL *)call->out)[row * k + j] = ((const REAL *)call->arg[0])[row * n + index[row * k + j]];
}

void NAME(put)(const wh_call *call, size_t from, size_t to)
{
    size_t n = wh_dims_last(call->out_dims), k = wh_dims_last(&call->arg_dims[1]);
    const uint32_t *index = call->arg[1];
    memset((REAL *)call->out + from * n, 0, (to - from) * n * sizeof(REAL));
    for (size_t row = from; row < to; row++)
        for (size_t j = 0; j < k; j++)
            ((REAL *)call->out)[row * n + index[row * k + j]] += ((const REAL *)call->arg[0])[row * k + j];
}

static uint64_t scramble(uint64_t x)
{
    x += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

/* Element i is kept where 53 bits of a hash of (seed, site, i) are at least rate. */
void NAME(keep_mask)(const wh_call *call, size_t from, size_t to)
{
    const uint32_t *seed = call->arg[0];
    uint64_t key = scramble(scramble((uint64_t)seed[1] << 32 | seed[0]) ^ call->attr->whole[0]);
    double rate = call->attr->real[0];
    REAL kept = (REAL)(1 / (1 - rate));
    size_t end = least(wh_dims_size(call->out_dims), to * BLOCK);
    for (size_t i = from * BLOCK; i < end; i++)
        ((REAL *)call->out)[i] = (double)(scramble(key + i * 0x9E3779B97F4A7C15) >> 11) * 0x1p-53 < rate ? 0 : kept;
}
