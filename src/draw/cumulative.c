/* draw/cumulative.c: tables by recurrence from the mode, and exact draws from them.
 *
 * Weights start with 1 at the mode and follow the ratio of neighbours, which is a fraction (Poisson, binomial) or a
 * power of exp(-1/(2 sigma^2)), until they vanish. One word more than the table has is used on the way (m = words + 1):
 *
 *   a step cuts off less than 2^24 units of 2^(-64 m) (Poisson downward: k <= 2^23 times the cut of 1/mean; the others
 *   less), so a weight is off by less than 2^24 * 2^18 = 2^42, a sum of 2^18 of them by 2^60, the rest behind the last
 *   weight by less than 2^18. The total is at least 1, so P is off by less than 2^61 of these units: less than one unit
 *   of the table. Cutting the last word is a second one, writing 1 as 0.111… a third. */
#include "draw/cumulative.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "draw/exact.h"
#include "draw/wide.h"

enum { WIDE = WH_WIDE_MAX + 2, MOST_ROWS = 1 << 18, UNITS = 3 };

/* ---- Recurrences --------------------------------------------------------------------------------- */

/* What a step needs besides the place. Numbers of m fraction words. */
typedef struct recurrence {
    wh_law law;
    size_t m;
    uint64_t trials, mantissa;
    unsigned shift;                     /* the parameter is mantissa * 2^-shift */
    uint64_t over[WIDE];                /* Poisson: 1 / mean */
    uint64_t ratio[WIDE], change[WIDE]; /* of the last two laws: weight[k+1] / weight[k], and its own ratio */
} recurrence;

static bool is_zero(const uint64_t *x, size_t words)
{
    uint64_t any = 0;
    for (size_t i = 0; i < words; i++) any |= x[i];
    return any == 0;
}

static void times(uint64_t *x, uint64_t factor, size_t m)
{
    unsigned __int128 carry = 0;
    for (size_t i = 0; i <= m; i++) {
        carry += (unsigned __int128)x[i] * factor;
        x[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void halve(uint64_t *x, unsigned bits, size_t m)
{
    for (; bits >= 32; bits -= 32) wh_wide_div(x, UINT64_C(1) << 32, m);
    wh_wide_div(x, UINT64_C(1) << bits, m);
}

/* 1 / parameter; shift <= 63. */
static void invert(uint64_t *out, const recurrence *r)
{
    memset(out, 0, (r->m + 1) * sizeof *out);
    out[r->m] = UINT64_C(1) << r->shift;
    wh_wide_div(out, r->mantissa, r->m);
}

static void prepare(recurrence *r)
{
    uint64_t x[WIDE];
    if (r->law == WH_LAW_BINOMIAL) return;
    invert(r->over, r);
    if (r->law == WH_LAW_POISSON) return;
    if (r->law == WH_LAW_DISCRETE_LAPLACE) { /* exp(-1/scale), always */
        wh_wide_exp_neg(r->ratio, r->over, r->m);
        r->change[r->m] = 1;
        return;
    }
    wh_wide_mul(x, r->over, r->over, r->m); /* exp(-1/(2 sigma^2)), times exp(-1/sigma^2) at each step */
    wh_wide_exp_neg(r->change, x, r->m);
    halve(x, 1, r->m);
    wh_wide_exp_neg(r->ratio, x, r->m);
}

/* The weight of k becomes that of k + 1. */
static void step_up(uint64_t *w, recurrence *r, uint64_t k)
{
    switch (r->law) {
    case WH_LAW_POISSON:
        times(w, r->mantissa, r->m);
        halve(w, r->shift, r->m);
        wh_wide_div(w, k + 1, r->m);
        break;
    case WH_LAW_BINOMIAL:
        times(w, r->mantissa, r->m);
        wh_wide_div(w, (UINT64_C(1) << r->shift) - r->mantissa, r->m);
        times(w, r->trials - k, r->m);
        wh_wide_div(w, k + 1, r->m);
        break;
    case WH_LAW_DISCRETE_GAUSS:
    case WH_LAW_DISCRETE_LAPLACE:
        if (k == 0) times(w, 2, r->m); /* two signs */
        wh_wide_mul(w, w, r->ratio, r->m);
        wh_wide_mul(r->ratio, r->ratio, r->change, r->m);
        break;
    }
}

/* … or of k - 1; only laws with a mode above 0 come here. */
static void step_down(uint64_t *w, const recurrence *r, uint64_t k)
{
    times(w, k, r->m);
    if (r->law == WH_LAW_POISSON) {
        wh_wide_mul(w, w, r->over, r->m);
        return;
    }
    wh_wide_div(w, r->trials - k + 1, r->m);
    times(w, (UINT64_C(1) << r->shift) - r->mantissa, r->m);
    wh_wide_div(w, r->mantissa, r->m);
}

static uint64_t mode_of(const wh_cumulative *t)
{
    if (t->law == WH_LAW_POISSON) return (uint64_t)t->parameter;
    if (t->law == WH_LAW_BINOMIAL) return (uint64_t)((double)(t->trials + 1) * t->parameter);
    return 0;
}

/* ---- Tables -------------------------------------------------------------------------------------- */

/* All weights from the mode up (up) and from the one below it down (down), m + 1 words each. */
static whist_status weigh(wh_buf *up, wh_buf *down, recurrence *r, uint64_t mode)
{
    const size_t words = r->m + 1;
    uint64_t w[WIDE] = {0};
    w[r->m] = 1;
    for (uint64_t k = mode; !is_zero(w, words); k++) {
        WH_TRY(wh_buf_add(up, w, words * sizeof *w));
        step_up(w, r, k);
    }
    memset(w, 0, sizeof w);
    w[r->m] = 1;
    for (uint64_t k = mode; k > 0; k--) {
        step_down(w, r, k);
        if (is_zero(w, words)) break;
        WH_TRY(wh_buf_add(down, w, words * sizeof *w));
    }
    return WHIST_OK;
}

/* 1 / total to m fraction words, bit by bit: floor(2^(128 m) / (total 2^(64 m))). */
static void reciprocal(uint64_t *out, const uint64_t *total, size_t m)
{
    wh_big rest = wh_big_of(1), divisor = wh_big_words(total, m + 1);
    memset(out, 0, (m + 1) * sizeof *out);
    for (size_t bit = 128 * m; bit-- > 0;) {
        rest = wh_big_shift(&rest, 1);
        if (wh_big_cmp(&rest, &divisor) < 0) continue;
        rest = wh_big_sub(&rest, &divisor);
        WH_CHECK(bit / 64 <= m);
        out[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

static void add_weight(uint64_t *sum, const uint64_t *w, size_t words)
{
    unsigned __int128 carry = 0;
    for (size_t i = 0; i < words; i++) {
        carry += (unsigned __int128)sum[i] + w[i];
        sum[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void put_row(uint64_t *row, const uint64_t *p, size_t words, size_t m)
{
    for (size_t i = 0; i < words; i++) row[i] = p[m] ? UINT64_MAX : p[m - 1 - i];
}

static whist_status fill(wh_cumulative *t, const wh_buf *up, const wh_buf *down, size_t m)
{
    const size_t words = m + 1, size = words * sizeof(uint64_t), n_down = down->len / size;
    uint64_t total[WIDE] = {0}, over[WIDE], sum[WIDE] = {0}, p[WIDE];
    t->n = n_down + up->len / size;
    if (t->n > MOST_ROWS) WH_FAIL(WHIST_E_RANGE, "a distribution of %zu values: choose a coarser grid", t->n);
    WH_TRY(wh_alloc_raw((void **)&t->row, t->n, t->words * sizeof *t->row));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t k = 0; k < t->n; k++) {
            const uint8_t *at = k < n_down ? down->data + (n_down - 1 - k) * size : up->data + (k - n_down) * size;
            add_weight(pass ? sum : total, (const uint64_t *)(const void *)at, words);
            if (pass == 0) continue;
            wh_wide_mul(p, sum, over, m);
            put_row(t->row + k * t->words, p, t->words, m);
        }
        if (pass == 0) reciprocal(over, total, m);
    }
    return WHIST_OK;
}

static whist_status check_law(wh_law law, double x, uint64_t trials)
{
    static const struct {
        double least, most;
        const char *what;
    } range[] = {{0x1p-10, 0x1p22, "a Poisson mean"},
                 {0x1p-10, 1 - 0x1p-10, "a binomial probability"},
                 {0x1p-3, 0x1p11, "the standard deviation of a tabulated Gaussian"},
                 {0x1p-3, 0x1p8, "the scale of a tabulated Laplace distribution"}};
    if (!(x >= range[law].least && x <= range[law].most))
        WH_FAIL(WHIST_E_RANGE, "%s of %g: allowed are %g to %g", range[law].what, x, range[law].least, range[law].most);
    if (law == WH_LAW_BINOMIAL && (trials < 1 || trials > 1 << 24))
        WH_FAIL(WHIST_E_RANGE, "%llu binomial trials: allowed are 1 to 2^24", (unsigned long long)trials);
    return WHIST_OK;
}

whist_status wh_cumulative_init(wh_cumulative *out, wh_law law, double parameter, uint64_t trials, size_t words)
{
    WH_ENSURE(words >= 1 && words < WH_WIDE_MAX, WHIST_E_ARG);
    WH_TRY(check_law(law, parameter, trials));
    recurrence r = {.law = law, .m = words + 1, .trials = trials};
    int exponent;
    wh_double_parts(parameter, &r.mantissa, &exponent);
    for (; !(r.mantissa & 1) && exponent < 0; exponent++) r.mantissa >>= 1;
    r.shift = (unsigned)-exponent;
    if (exponent > 0 || r.shift > 63) WH_FAIL(WHIST_E_RANGE, "%g has more than 63 bits behind the point", parameter);
    WH_AUTO(wh_buf) up = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) down = WH_BUF_EMPTY;
    WH_AUTO(wh_cumulative) t = {.law = law, .parameter = parameter, .trials = trials, .words = words};
    const uint64_t mode = mode_of(&t);
    prepare(&r);
    WH_TRY(weigh(&up, &down, &r, mode));
    t.low = mode - down.len / ((r.m + 1) * sizeof(uint64_t));
    WH_TRY(fill(&t, &up, &down, r.m));
    *out = t;
    t.row = NULL;
    return WHIST_OK;
}

void wh_cumulative_clear(wh_cumulative *table)
{
    wh_free(table->row);
    *table = (wh_cumulative)WH_CUMULATIVE_EMPTY;
}

/* ---- Exact draws ---------------------------------------------------------------------------------- */

/* Sign of U - P(row k), 0 within the units that are uncertain. U is known to `words` words, the rest below one unit. */
static int against_row(const wh_cumulative *t, const wh_lazy *u, size_t k)
{
    const uint64_t *row = t->row + k * t->words;
    wh_big x = {{0}}, y = {{0}}, doubt = wh_big_of(UNITS + 1);
    for (size_t i = 0; i < t->words; i++) {
        x.word[t->words - 1 - i] = u->word[i];
        y.word[t->words - 1 - i] = row[i];
    }
    wh_big gap = wh_big_sub(&x, &y);
    if (wh_big_cmp(&gap, &doubt) <= 0) return 0;
    return wh_big_cmp(&x, &y);
}

/* The first row whose highest word is above x. */
static size_t first_above(const wh_cumulative *t, uint64_t x)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->row[mid * t->words] > x)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* The row of U by all words of the table; *k is n where that is not enough. */
static void find_row(size_t *k, const wh_cumulative *t, const wh_lazy *u)
{
    uint64_t first = u->word[0];
    size_t i = first_above(t, first > 1 ? first - 2 : 0);
    if (first <= 1) i = 0;
    for (; i < t->n; i++) {
        int s = against_row(t, u, i);
        if (s < 0) break;
        if (s == 0) i = t->n - 1;
    }
    *k = i < t->n ? i : t->n;
}

static whist_status find_with_more(uint64_t *out, const wh_cumulative *t, wh_noise *noise, wh_lazy *u)
{
    static const size_t precisions[] = {2, 4, 8, 14};
    WH_TRY(wh_noise_bytes(noise, u->word + 1, 13 * sizeof u->word[0]));
    size_t k;
    find_row(&k, t, u);
    if (k < t->n) {
        *out = t->low + k;
        return WHIST_OK;
    }
    for (size_t i = 0; i < WH_COUNT(precisions); i++) {
        if (precisions[i] <= t->words) continue;
        WH_AUTO(wh_cumulative) finer = WH_CUMULATIVE_EMPTY;
        WH_TRY(wh_cumulative_init(&finer, t->law, t->parameter, t->trials, precisions[i]));
        find_row(&k, &finer, u);
        if (k == finer.n) continue;
        *out = finer.low + k;
        return WHIST_OK;
    }
    WH_FAIL(WHIST_E_STATE, "896 bits do not decide a draw: draw again");
}

/* Sure by the first word where it is 2 away from the rows on both sides. */
static whist_status draw_one(uint64_t *out, const wh_cumulative *t, wh_noise *noise)
{
    WH_AUTO(wh_lazy) u = {.known = 0};
    WH_TRY(wh_noise_u64(noise, &u.word[0]));
    uint64_t first = u.word[0];
    if (first < UINT64_MAX - 4 && t->words > 1) {
        size_t k = first_above(t, first + 2);
        if (k < t->n && (k == 0 || t->row[(k - 1) * t->words] + 2 <= first)) {
            *out = t->low + k;
            return WHIST_OK;
        }
    }
    return find_with_more(out, t, noise, &u);
}

whist_status wh_cumulative_draw(const wh_cumulative *table, wh_noise *noise, int64_t *out, size_t n)
{
    const bool folded = table->law == WH_LAW_DISCRETE_GAUSS || table->law == WH_LAW_DISCRETE_LAPLACE;
    whist_status status = WHIST_OK;
    for (size_t i = 0; i < n && status == WHIST_OK; i++) {
        uint64_t x = 0, sign = 0;
        status = draw_one(&x, table, noise);
        if (status == WHIST_OK && folded) status = wh_noise_u64(noise, &sign);
        out[i] = sign & 1 ? -(int64_t)x : (int64_t)x;
    }
    if (status != WHIST_OK && n > 0) wh_wipe(out, n * sizeof *out);
    return status;
}

/* ---- Skellam -------------------------------------------------------------------------------------- */

whist_status wh_skellam_init(wh_skellam *out, double variance)
{
    if (!(variance >= 0x1p-8 && variance <= 0x1p30))
        WH_FAIL(WHIST_E_RANGE, "a Skellam variance of %g: allowed are 2^-8 to 2^30", variance);
    unsigned copies = 1;
    while (variance / 2 / copies > 0x1p22) copies *= 2; /* halving is exact */
    WH_TRY(wh_cumulative_init(&out->half, WH_LAW_POISSON, variance / 2 / copies, 0, 2));
    out->copies = copies;
    return WHIST_OK;
}

void wh_skellam_clear(wh_skellam *skellam)
{
    wh_cumulative_clear(&skellam->half);
}

whist_status wh_skellam_draw(const wh_skellam *skellam, wh_noise *noise, int64_t *out, size_t n)
{
    whist_status status = WHIST_OK;
    for (size_t i = 0; i < n && status == WHIST_OK; i++) {
        out[i] = 0;
        for (unsigned c = 0; c < 2 * skellam->copies && status == WHIST_OK; c++) {
            int64_t x = 0;
            status = wh_cumulative_draw(&skellam->half, noise, &x, 1);
            out[i] += c % 2 ? -x : x;
        }
    }
    if (status != WHIST_OK && n > 0) wh_wipe(out, n * sizeof *out);
    return status;
}
