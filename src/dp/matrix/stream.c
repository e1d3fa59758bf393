/* matrix/stream.c: the noise of one step after the other. */
#include "dp/matrix/stream.h"

#include <math.h>
#include <string.h>

#include "draw/sample.h"

enum {
    FINE = WH_MATRIX_FINE,
    STATE = 12,  /* bits behind the point in the buffers of a blt */
    LARGEST = 46 /* numbers stay below 2^46: sums of 256 products with coefficients fit into 63 bits */
};

struct wh_matrix_stream {
    const whist_dp_matrix *m;
    wh_noise *noise;
    size_t length;
    double s;
    uint64_t at;
    bool ended;
    int64_t *fresh; /* (length) z of a step, in 2^-8 */
    /* banded: e of the last `bands - 1` steps, a ring; blt: the buffers, in 2^-12; tree: estimates of the nodes that
     * wait for their sibling, by height, in 2^-8, then the last two sums */
    int64_t *kept; /* (n_kept, length) */
    size_t n_kept;
};

/* x / 2^bits, to the nearest, halves up: commutes with adding a whole number. */
static inline int64_t shifted(__int128 x, unsigned bits)
{
    return (int64_t)((x + ((__int128)1 << bits >> 1)) >> bits);
}

static inline bool is_large(int64_t x)
{
    return x >= INT64_C(1) << LARGEST || x <= -(INT64_C(1) << LARGEST);
}

static bool any_large(const int64_t *x, size_t n)
{
    bool large = false;
    for (size_t i = 0; i < n; i++) large |= is_large(x[i]);
    return large;
}

static int64_t *kept(const wh_matrix_stream *w, size_t i)
{
    return w->kept + i * w->length;
}

static whist_status draw(wh_matrix_stream *w)
{
    return wh_sample_normal(w->noise, w->fresh, w->length, ldexp(w->s, FINE));
}

/* ---- Banded ---- */

static whist_status next_banded(wh_matrix_stream *w, int64_t *e)
{
    enum { NEAR = 2048 }; /* numbers that stay in the near cache while all steps before pass by */
    WH_TRY(draw(w));
    for (size_t at = 0; at < w->length; at += NEAR) {
        size_t n = w->length - at < NEAR ? w->length - at : NEAR;
        int64_t *fresh = w->fresh + at;
        for (uint64_t j = 1; j <= w->n_kept && j <= w->at; j++) {
            const int64_t *past = kept(w, (size_t)((w->at - j) % w->n_kept)) + at, c = w->m->c[j];
            for (size_t i = 0; i < n; i++) fresh[i] -= c * past[i];
        }
        for (size_t i = 0; i < n; i++) e[at + i] = (fresh[i] + (1 << (FINE - 1))) >> FINE;
    }
    if (w->n_kept) memcpy(kept(w, (size_t)(w->at % w->n_kept)), e, w->length * sizeof *e);
    return WHIST_OK;
}

/* ---- BLT ---- */

static whist_status next_blt(wh_matrix_stream *w, int64_t *e)
{
    WH_TRY(draw(w));
    bool large = false;
    for (size_t i = 0; i < w->length; i++) {
        __int128 sum = 0;
        for (size_t b = 0; b < w->n_kept; b++) sum += (__int128)w->m->omega[b] * kept(w, b)[i];
        int64_t past = shifted(sum, WH_MATRIX_BLT + STATE - FINE);
        e[i] = (w->fresh[i] - past + (1 << (FINE - 1))) >> FINE;
        for (size_t b = 0; b < w->n_kept; b++) {
            int64_t *s = kept(w, b) + i;
            *s = shifted((__int128)w->m->theta[b] * *s, WH_MATRIX_BLT) + e[i] * (1 << STATE);
            large |= is_large(*s >> STATE);
        }
    }
    if (large) WH_FAIL(WHIST_E_RANGE, "the buffers of the noise have left their range");
    return WHIST_OK;
}

/* A buffer is off by at most 2^-13 a step, times θ for each step since; then comes the rounding to 2^-8. */
double wh_matrix_slack(const whist_dp_matrix *m, size_t length)
{
    double eta = ldexp(1, -FINE - 1);
    if (m->options.design != WHIST_DP_BLT) return 0;
    for (size_t b = 0; b < m->options.bands; b++) {
        double theta = ldexp(m->theta[b], -WH_MATRIX_BLT), omega = ldexp(m->omega[b], -WH_MATRIX_BLT);
        eta += omega * ldexp(1, -STATE - 1) / (1 - theta);
    }
    return 2 * eta * sqrt((double)m->options.steps * (double)length) * (1 + 0x1p-40);
}

/* ---- Tree ---- */

/* The estimate of a node that is complete, from its own noise and what waits below: it moves up as long as it is a
 * right child. at: the step, from 0. Then the sum up to here is that of the nodes that wait. */
static whist_status next_tree(wh_matrix_stream *w, int64_t *e)
{
    int64_t *now = kept(w, w->n_kept - 1), *before = kept(w, w->n_kept - 2);
    WH_TRY(draw(w));
    memcpy(now, w->fresh, w->length * sizeof *now);
    unsigned h = 0;
    for (; w->at >> h & 1; h++) {
        const int64_t *left = kept(w, h);
        const int64_t one = INT64_C(1) << WH_MATRIX_WEIGHT, own = w->m->weight[h + 1];
        WH_TRY(draw(w));
        for (size_t i = 0; i < w->length; i++)
            now[i] =
                shifted((__int128)own * w->fresh[i] + (__int128)(one - own) * (left[i] + now[i]), WH_MATRIX_WEIGHT);
    }
    memcpy(kept(w, h), now, w->length * sizeof *now);
    for (unsigned g = h + 1; (w->at + 1) >> g; g++)
        if ((w->at + 1) >> g & 1)
            for (size_t i = 0; i < w->length; i++) now[i] += kept(w, g)[i];
    for (size_t i = 0; i < w->length; i++) {
        int64_t sum = (now[i] + (1 << (FINE - 1))) >> FINE;
        e[i] = sum - before[i];
        before[i] = sum;
    }
    return WHIST_OK;
}

/* ---- Steps ---- */

static whist_status next(wh_matrix_stream *w, int64_t *e)
{
    switch (w->m->options.design) {
    case WHIST_DP_BANDED:
    case WHIST_DP_SQRT: WH_TRY(next_banded(w, e)); break;
    case WHIST_DP_BLT: WH_TRY(next_blt(w, e)); break;
    default: WH_TRY(next_tree(w, e));
    }
    if (any_large(e, w->length)) WH_FAIL(WHIST_E_RANGE, "the noise has left the range of its numbers");
    return WHIST_OK;
}

whist_status wh_matrix_stream_next(wh_matrix_stream *w, int64_t *e)
{
    WH_ENSURE(w && e, WHIST_E_ARG);
    if (w->ended || w->at >= w->m->options.steps)
        WH_FAIL(WHIST_E_STATE, "the noise was made for %llu steps, and there is none for another one",
                (unsigned long long)w->m->options.steps);
    whist_status status = next(w, e);
    wh_wipe(w->fresh, w->length * sizeof *w->fresh);
    w->at++;
    w->ended = status != WHIST_OK;
    if (w->ended) wh_wipe(e, w->length * sizeof *e);
    return status;
}

uint64_t wh_matrix_stream_at(const wh_matrix_stream *w)
{
    return w->at;
}

/* ---- Making and ending ---- */

static whist_status init(wh_matrix_stream *w, const whist_dp_matrix *m, size_t length, double s)
{
    size_t numbers;
    if (!(s >= 0x1p-8 && s <= 0x1p32))
        WH_FAIL(WHIST_E_RANGE, "correlated noise of %.3g steps of the grid: allowed are 2^-8 to 2^32; take less noise",
                s);
    WH_ENSURE(length >= 1 && wh_mul_size(&numbers, length, (size_t)m->facts.buffers), WHIST_E_ARG);
    *w = (wh_matrix_stream){.m = m, .length = length, .s = s, .n_kept = (size_t)m->facts.buffers};
    WH_TRY(WH_NEW(&w->fresh, length));
    return WH_NEW(&w->kept, numbers);
}

static whist_status make(wh_matrix_stream **out, const whist_dp_matrix *m, size_t length, double s, wh_noise *noise)
{
    WH_ENSURE(out && m, WHIST_E_ARG);
    WH_AUTO(wh_matrix_stream_ptr) w = NULL;
    WH_TRY(WH_NEW(&w, 1));
    WH_TRY(init(w, m, length, s));
    if (noise)
        w->noise = noise;
    else
        WH_TRY(wh_noise_new(&w->noise));
    *out = w;
    w = NULL;
    return WHIST_OK;
}

whist_status wh_matrix_stream_new(wh_matrix_stream **out, const whist_dp_matrix *m, size_t length, double s)
{
    return make(out, m, length, s, NULL);
}

#ifdef WH_TEST_HOOKS
whist_status wh_matrix_stream_new_from(wh_matrix_stream **out, const whist_dp_matrix *m, size_t length, double s,
                                       wh_noise *noise)
{
    return make(out, m, length, s, noise);
}
#endif

void wh_matrix_stream_free(wh_matrix_stream *w)
{
    if (!w) return;
    if (w->fresh) wh_wipe(w->fresh, w->length * sizeof *w->fresh);
    if (w->kept) wh_wipe(w->kept, w->length * w->n_kept * sizeof *w->kept);
    wh_free(w->fresh);
    wh_free(w->kept);
    wh_noise_free(w->noise);
    wh_free(w);
}
