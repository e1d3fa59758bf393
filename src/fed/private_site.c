/* fed/private_site.c: what a site does to its update before anybody sees it. */
#include "draw/cumulative.h"
#include "draw/sample.h"
#include "fed/layout.h"
#include "fed/private.h"
#include "learn/dp_planted.h"

#include <math.h>
#include <string.h>

enum { MAX_TRIES = 1000 };

/* ---- Into the bound ---- */

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum); /* NaN or infinite where an x is, or where the sum is too large to stand */
}

/* v (elements) in steps of the grid: weight * x scaled to the norm clip, and whether it had to be. */
static void scale(double *v, const whist_fed_plan *plan, const wh_private *rules, const float *x, size_t site)
{
    size_t p = whist_model_size(plan->model);
    double norm = norm_of(x, p), factor = wh_private_weight(plan, site) / rules->step;
    bool finite = isfinite(norm), smaller = finite && norm <= rules->clip;
    if (finite && !smaller) factor *= rules->clip / norm;
    for (size_t i = 0; i < p; i++) v[i] = finite ? (double)x[i] * factor : 0;
    if (rules->kappa > 0) v[p] = (smaller ? 0.5 : -0.5) * rules->kappa / rules->step;
    for (uint64_t i = rules->length; i < rules->elements; i++) v[i] = 0;
}

/* Whether the whole numbers have a norm of at most `norm`, exactly: |v| < 2^50, fewer than 2^27 of them. */
static bool is_within(const int64_t *v, uint64_t n, double norm)
{
    unsigned __int128 sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += (unsigned __int128)((__int128)v[i] * v[i]);
    double most = floor(norm), left = norm - most;
    unsigned __int128 whole = (unsigned __int128)most;
    /* norm^2 = most^2 + 2 most left + left^2; the last two are rounded down. */
    return sum <= whole * whole + (unsigned __int128)(2 * most * left);
}

/* To the nearest step; where that leaves the bound, from a little nearer to zero. */
static void round_to_grid(int64_t *out, const double *v, const wh_private *rules)
{
    double shrink = 1;
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        for (uint64_t i = 0; i < rules->elements; i++) out[i] = llrint(v[i] * shrink);
        if (is_within(out, rules->elements, rules->norm)) return;
        shrink *= 1 - fmax(0x1p-40, sqrt((double)rules->elements) / (2 * rules->norm + 1));
    }
    memset(out, 0, rules->elements * sizeof *out);
}

/* ---- Rounding at random ---- */

typedef struct coins {
    wh_noise *noise;
    uint64_t words[512];
    size_t at;
} coins;

/* Uniform in [0, 1), a multiple of 2^-53. */
static whist_status toss(coins *c, double *out)
{
    if (c->at == 0) WH_TRY(wh_noise_bytes(c->noise, c->words, sizeof c->words));
    *out = (double)(c->words[c->at] >> 11) * 0x1p-53;
    c->at = (c->at + 1) % WH_COUNT(c->words);
    return WHIST_OK;
}

static whist_status round_once(int64_t *out, const double *v, uint64_t n, coins *c)
{
    for (uint64_t i = 0; i < n; i++) {
        double low = floor(v[i]), u;
        WH_TRY(toss(c, &u));
        out[i] = (int64_t)low + (u < v[i] - low);
    }
    return WHIST_OK;
}

static whist_status round_at_random(int64_t *out, const double *v, const wh_private *rules, wh_noise *noise)
{
    coins c = {.noise = noise};
    whist_status status = WHIST_OK;
    bool within = false;
    for (int tries = 0; status == WHIST_OK && !within && tries < MAX_TRIES; tries++) {
        status = round_once(out, v, rules->elements, &c);
        within = status == WHIST_OK && is_within(out, rules->elements, rules->norm);
    }
    if (!within) memset(out, 0, rules->elements * sizeof *out);
    wh_wipe(&c, sizeof c);
    return status;
}

static void rotate_blocks(double *v, const whist_fed_plan *plan, uint64_t n, uint64_t step)
{
    for (uint64_t at = 0; at < n; at += WH_BLOCK)
        wh_rotate(v + at, n - at < WH_BLOCK ? n - at : WH_BLOCK, plan, step, at / WH_BLOCK, false);
}

/* ---- Noise ---- */

static whist_status draw(int64_t *out, const whist_fed_plan *plan, const wh_private *rules, size_t n,
                         const wh_skellam *skellam, wh_noise *noise)
{
    switch (plan->privacy->mechanism) {
    case WHIST_MECHANISM_GAUSSIAN: return wh_sample_normal(noise, out, n, planted_noise(rules->sigma));
    case WHIST_MECHANISM_DISCRETE_GAUSSIAN: return wh_sample_discrete_gauss(noise, out, n, planted_noise(rules->sigma));
    case WHIST_MECHANISM_SKELLAM: return wh_skellam_draw(skellam, noise, out, n);
    }
    return WHIST_E_ARG;
}

/* Local noise may leave the range that one site may send: the end of the range stands for what is beyond it. */
static void clamp(int64_t *v, size_t n, int64_t limit)
{
    for (size_t i = 0; i < n; i++) v[i] = v[i] > limit ? limit : v[i] < -limit ? -limit : v[i];
}

static whist_status add_noise(int64_t *v, const whist_fed_plan *plan, const wh_private *rules, wh_noise *noise)
{
    int64_t z[4096];
    WH_AUTO(wh_skellam) skellam = {.copies = 0};
    if (plan->privacy->mechanism == WHIST_MECHANISM_SKELLAM)
        WH_TRY(wh_skellam_init(&skellam, rules->sigma * rules->sigma));
    whist_status status = WHIST_OK;
    for (uint64_t at = 0; status == WHIST_OK && at < rules->elements; at += WH_COUNT(z)) {
        size_t n = rules->elements - at < WH_COUNT(z) ? (size_t)(rules->elements - at) : WH_COUNT(z);
        status = draw(z, plan, rules, n, &skellam, noise);
        for (size_t i = 0; status == WHIST_OK && i < n; i++) v[at + i] += z[i];
    }
    wh_wipe(z, sizeof z);
    return status;
}

whist_status wh_private_update(int64_t *out, const whist_fed_plan *plan, const wh_private *rules, const float *x,
                               size_t site, uint64_t step, wh_noise *noise)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc_raw(&memory, rules->elements, sizeof(double)));
    double *v = memory;
    scale(v, plan, rules, x, site);
    switch (plan->privacy->noise) {
    case WHIST_NOISE_CENTRAL: round_to_grid(out, v, rules); return WHIST_OK;
    case WHIST_NOISE_LOCAL: {
        wh_fixed fixed;
        WH_TRY(wh_fixed_init(&fixed, plan->bits, plan->fraction, plan->n_sites));
        round_to_grid(out, v, rules);
        WH_TRY(add_noise(out, plan, rules, noise));
        clamp(out, rules->elements, (int64_t)fixed.limit);
        return WHIST_OK;
    }
    case WHIST_NOISE_DISTRIBUTED:
        rotate_blocks(v, plan, rules->elements, step);
        WH_TRY(round_at_random(out, v, rules, noise));
        return add_noise(out, plan, rules, noise);
    }
    return WHIST_E_ARG;
}

whist_status wh_private_records(int64_t *out, const whist_fed_plan *plan, const wh_private *rules, wh_noise *noise)
{
    wh_fixed fixed;
    if (plan->privacy->noise == WHIST_NOISE_CENTRAL) return WHIST_OK;
    WH_TRY(add_noise(out, plan, rules, noise));
    if (plan->privacy->noise == WHIST_NOISE_DISTRIBUTED) return WHIST_OK;
    WH_TRY(wh_fixed_init(&fixed, plan->bits, plan->fraction, plan->n_sites));
    clamp(out, rules->elements, (int64_t)fixed.limit);
    return WHIST_OK;
}

/* ---- Elements ---- */

void wh_private_pack(uint8_t *out, const whist_fed_plan *plan, const int64_t *values, size_t n)
{
    unsigned width = (plan->bits + 7) / 8;
    uint64_t mask = UINT64_MAX >> (64 - plan->bits);
    for (size_t i = 0; i < n; i++) {
        uint64_t word = (uint64_t)values[i] & mask;
        memcpy(out + i * width, &word, width); /* little-endian machines only */
    }
}

void wh_private_unpack(int64_t *out, const whist_fed_plan *plan, const uint8_t *elements, size_t n)
{
    unsigned width = (plan->bits + 7) / 8;
    uint64_t mask = UINT64_MAX >> (64 - plan->bits), sign = UINT64_C(1) << (plan->bits - 1);
    for (size_t i = 0; i < n; i++) {
        uint64_t word = 0;
        memcpy(&word, elements + i * width, width);
        out[i] = (int64_t)(((word & mask) ^ sign) - sign);
    }
}
