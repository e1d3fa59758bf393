/* Correlated noise: factorisations and errors against dense matrices, sensitivities against every pattern, the stream
 * against what its proof says of it, its variances, refusals. Noise is replayed: the tests pass for ever. Of fresh
 * seeds one in 10^9 would fail a test of variances. */
#include "dp/matrix/stream.h"

#include <math.h>
#include <string.h>

#include "draw/sample.h"
#include "test.h"

enum { MAX = 64, NODES = 2 * MAX };

static whist_dp_matrix *made(whist_dp_design design, uint64_t steps, uint64_t k, uint64_t b, uint32_t bands, bool fixed)
{
    whist_dp_matrix *m = NULL;
    const whist_dp_matrix_options o = {design, steps, k, b, fixed, bands};
    assert_ok(whist_dp_matrix_new(&m, &o));
    return m;
}

/* ---- C and B as they are ---- */

typedef struct dense {
    size_t steps, rows;
    double c[NODES][MAX], b[MAX][NODES];
} dense;

static double coefficient(const whist_dp_matrix *m, size_t j)
{
    if (m->options.design != WHIST_DP_BLT) return j < m->options.bands ? m->c[j] / 256.0 : 0;
    double sum = 0;
    for (size_t i = 0; i < m->options.bands; i++)
        sum += ldexp(m->omega[i], -24) * pow(ldexp(m->theta[i], -24), (double)j - 1);
    return j ? sum : 1;
}

/* B = A C⁻¹, row by row: x C = a. */
static void toeplitz_of(dense *d, const whist_dp_matrix *m)
{
    d->rows = d->steps;
    for (size_t t = 0; t < d->steps; t++)
        for (size_t u = 0; u <= t; u++) d->c[t][u] = coefficient(m, t - u);
    for (size_t t = 0; t < d->steps; t++)
        for (size_t u = t + 1; u-- > 0;) {
            double sum = 1;
            for (size_t i = u + 1; i <= t; i++) sum -= d->b[t][i] * d->c[i][u];
            d->b[t][u] = sum / d->c[u][u];
        }
}

/* out (rows) += scale × the weights by which the estimate of node (h, at) is made of all nodes' values. first[h]: row
 * of the first node of height h. */
static void estimate(double *out, const dense *d, const whist_dp_matrix *m, const size_t *first, unsigned h, size_t at,
                     double scale)
{
    double w = ldexp(m->weight[h], -20);
    out[first[h] + at] += scale * w;
    if (h == 0) return;
    estimate(out, d, m, first, h - 1, 2 * at, scale * (1 - w));
    estimate(out, d, m, first, h - 1, 2 * at + 1, scale * (1 - w));
}

static void tree_of(dense *d, const whist_dp_matrix *m)
{
    size_t first[MAX] = {0};
    d->rows = 0;
    for (unsigned h = 0; (size_t)1 << h <= d->steps; h++) {
        first[h] = d->rows;
        for (size_t at = 0; (at + 1) << h <= d->steps; at++, d->rows++)
            for (size_t t = at << h; t < (at + 1) << h; t++) d->c[d->rows][t] = 1;
    }
    for (size_t t = 0; t < d->steps; t++) {
        size_t done = 0;
        for (unsigned h = 7; h-- > 0;)
            if ((t + 1) >> h & 1) {
                estimate(d->b[t], d, m, first, h, done >> h, 1);
                done += (size_t)1 << h;
            }
    }
}

static void dense_of(dense *d, const whist_dp_matrix *m)
{
    memset(d, 0, sizeof *d);
    d->steps = (size_t)m->options.steps;
    if (m->options.design == WHIST_DP_TREE_SUMS)
        tree_of(d, m);
    else
        toeplitz_of(d, m);
}

static void test_factors_make_sums_and_errors(void **state)
{
    (void)state;
    static dense d;
    static const size_t lengths[] = {1, 2, 5, 16, 33, 64};
    for (whist_dp_design design = 0; design < WHIST_DP_DESIGNS; design++)
        for (size_t l = 0; l < WH_COUNT(lengths); l++) {
            WH_AUTO(whist_dp_matrix_ptr) m = made(design, lengths[l], 1, 1, 0, false);
            whist_dp_matrix_facts facts = whist_dp_matrix_get(m);
            double total = 0, most = 0, last = 0;
            dense_of(&d, m);
            for (size_t t = 0; t < d.steps; t++) {
                for (size_t u = 0; u < d.steps; u++) {
                    double sum = 0;
                    for (size_t i = 0; i < d.rows; i++) sum += d.b[t][i] * d.c[i][u];
                    assert_true(fabs(sum - (u <= t)) < 1e-9);
                }
                last = 0;
                for (size_t i = 0; i < d.rows; i++) last += d.b[t][i] * d.b[t][i];
                total += last;
                most = fmax(most, last);
            }
            assert_true(fabs(facts.rms * facts.rms * (double)d.steps / total - 1) < 1e-9);
            assert_true(fabs(facts.max * facts.max / most - 1) < 1e-9);
            assert_true(fabs(facts.last * facts.last / last - 1) < 1e-9);
        }
}

/* ---- Every pattern ---- */

typedef struct search {
    const dense *d;
    uint64_t k, b;
    bool fixed;
    double worst;
} search;

static void look(search *s, const double *sum, size_t next, uint64_t taken)
{
    double norm = 0, more[NODES];
    for (size_t i = 0; i < s->d->rows; i++) norm += sum[i] * sum[i];
    s->worst = fmax(s->worst, sqrt(norm));
    if (taken == s->k) return;
    for (size_t t = next; t < s->d->steps; t++) {
        for (size_t i = 0; i < s->d->rows; i++) more[i] = sum[i] + s->d->c[i][t];
        look(s, more, t + s->b, taken + 1);
        if (s->fixed && taken) return; /* the next one comes exactly b later */
    }
}

/* Coefficients of all designs are >= 0 here, so the worst contributions are alike. */
static void test_sensitivity_is_that_of_the_worst_pattern(void **state)
{
    (void)state;
    static dense d;
    static const struct {
        uint64_t steps, k, b;
        uint32_t bands;
    } cases[] = {{1, 1, 1, 1},  {8, 1, 1, 8},  {8, 3, 2, 2},  {12, 2, 5, 3}, {12, 3, 4, 4},
                 {13, 4, 3, 2}, {16, 3, 5, 1}, {16, 8, 2, 2}, {20, 3, 7, 7}, {21, 2, 9, 4}};
    for (whist_dp_design design = 0; design < WHIST_DP_DESIGNS; design++)
        for (size_t c = 0; c < WH_COUNT(cases); c++)
            for (int fixed = 0; fixed < 2; fixed++) {
                uint32_t bands = design == WHIST_DP_TREE_SUMS ? 0 : design == WHIST_DP_BLT ? 2 : cases[c].bands;
                if (design == WHIST_DP_SQRT) bands = (uint32_t)cases[c].steps; /* columns overlap */
                WH_AUTO(whist_dp_matrix_ptr) m = made(design, cases[c].steps, cases[c].k, cases[c].b, bands, fixed);
                search s = {&d, cases[c].k, cases[c].b, fixed, 0};
                const double nothing[NODES] = {0};
                dense_of(&d, m);
                look(&s, nothing, 0, 0);
                double said = whist_dp_matrix_get(m).sensitivity;
                assert_true(said >= s.worst * (1 - 1e-12));
                bool loose = design == WHIST_DP_TREE_SUMS && !fixed;
                assert_true(said <= s.worst * (loose ? 1.3 : 1 + 1e-9));
            }
}

/* A larger sensitivity is caught: two participations charged as one would be too little. */
static void test_more_participations_cost_more(void **state)
{
    (void)state;
    for (whist_dp_design design = 0; design < WHIST_DP_DESIGNS; design++) {
        double before = 0;
        for (uint64_t k = 1; k <= 8; k++) {
            WH_AUTO(whist_dp_matrix_ptr) m = made(design, 64, k, 8, 0, true);
            double now = whist_dp_matrix_get(m).sensitivity;
            assert_true(now > before);
            before = now;
        }
    }
}

/* ---- What is known of them ---- */

static void test_errors_that_are_published(void **state)
{
    (void)state;
    /* sqrt with all bands: sensitivity and error are both √Σ f_j², f_j = binom(2j, j) / 4^j (Fichtenberger et al.). */
    double f = 1, sum = 0;
    for (size_t j = 0; j < 256; j++, f *= ((double)j - 0.5) / (double)j) sum += f * f;
    WH_AUTO(whist_dp_matrix_ptr) root = made(WHIST_DP_SQRT, 256, 1, 1, 256, false);
    whist_dp_matrix_facts r = whist_dp_matrix_get(root);
    assert_true(fabs(r.sensitivity * r.max / sum - 1) < 0.01);
    /* Chosen coefficients beat the square root, which beats independent noise; few buffers come near many bands. */
    WH_AUTO(whist_dp_matrix_ptr) single = made(WHIST_DP_BANDED, 1000, 1, 1, 1, false);
    WH_AUTO(whist_dp_matrix_ptr) short_root = made(WHIST_DP_SQRT, 1000, 1, 1, 32, false);
    WH_AUTO(whist_dp_matrix_ptr) banded = made(WHIST_DP_BANDED, 1000, 1, 1, 32, false);
    WH_AUTO(whist_dp_matrix_ptr) blt = made(WHIST_DP_BLT, 1000, 1, 1, 4, false);
    WH_AUTO(whist_dp_matrix_ptr) tree = made(WHIST_DP_TREE_SUMS, 1000, 1, 1, 0, false);
    double loss[5];
    const whist_dp_matrix *all[] = {single, tree, short_root, banded, blt};
    for (size_t a = 0; a < 5; a++) loss[a] = all[a]->facts.sensitivity * all[a]->facts.rms;
    assert_true(fabs(loss[0] / sqrt(500.5) - 1) < 1e-9);
    for (size_t a = 1; a < 5; a++) assert_true(loss[a] < loss[0] / 4);
    assert_true(loss[3] < loss[2] && loss[4] < loss[3] && loss[4] < loss[1]);
    /* Four buffers are within 2 % of the square root of all bands. */
    double best = 0, mean = 0;
    f = 1;
    for (size_t j = 0; j < 1000; j++, f *= ((double)j - 0.5) / (double)j) {
        best += f * f;
        mean += best / 1000;
    }
    assert_true(loss[4] < 1.02 * sqrt(best * mean));
}

/* ---- The stream ---- */

enum { LENGTH = 40 };

static int64_t rounded(__int128 x, unsigned bits)
{
    __int128 half = (__int128)1 << (bits - 1), whole = (__int128)1 << bits;
    __int128 y = x + half, q = y / whole;
    return (int64_t)(y % whole < 0 ? q - 1 : q);
}

/* Releases of a stream of whole numbers, made from Y = C S + Z alone, are what S + e is: not one bit of S comes in by
 * another way. */
static void test_banded_releases_follow_from_the_mechanism(void **state)
{
    (void)state;
    enum { STEPS = 50 };
    static int64_t z[STEPS][LENGTH], s[STEPS][LENGTH], g[STEPS][LENGTH], e[LENGTH];
    WH_AUTO(wh_noise_ptr) twin = NULL;
    WH_AUTO(wh_matrix_stream_ptr) w = NULL;
    wh_noise *noise;
    WH_AUTO(whist_dp_matrix_ptr) m = made(WHIST_DP_BANDED, STEPS, 3, 16, 12, false);
    assert_ok(wh_noise_new_replayed(&noise, 5));
    assert_ok(wh_noise_new_replayed(&twin, 5));
    assert_ok(wh_matrix_stream_new_from(&w, m, LENGTH, 1000.25, noise));
    for (size_t t = 0; t < STEPS; t++) {
        assert_ok(wh_sample_normal(twin, z[t], LENGTH, 1000.25 * 256));
        assert_ok(wh_matrix_stream_next(w, e));
        for (size_t i = 0; i < LENGTH; i++) {
            s[t][i] = (int64_t)((t * 7919 + i * 104729) % 100001) - 50000;
            __int128 y = z[t][i];
            for (size_t j = 0; j < 12 && j <= t; j++) y += (__int128)m->c[j] * s[t - j][i];
            for (size_t j = 1; j < 12 && j <= t; j++) y -= (__int128)m->c[j] * g[t - j][i];
            g[t][i] = rounded(y, 8);
            assert_true(g[t][i] == s[t][i] + e[i]);
        }
    }
    assert_int_equal(wh_matrix_stream_next(w, e), WHIST_E_STATE);
}

/* The same for the tree: from noised node sums, by estimates, to sums that are S's plus those of e. */
static void test_tree_releases_follow_from_the_mechanism(void **state)
{
    (void)state;
    enum { STEPS = 21 };
    static int64_t own[LENGTH], wait[8][LENGTH], sums[8][LENGTH], now[LENGTH], below[LENGTH], e[LENGTH];
    int64_t total[LENGTH] = {0}, released[LENGTH] = {0};
    WH_AUTO(wh_noise_ptr) twin = NULL;
    WH_AUTO(wh_matrix_stream_ptr) w = NULL;
    wh_noise *noise;
    WH_AUTO(whist_dp_matrix_ptr) m = made(WHIST_DP_TREE_SUMS, STEPS, 1, 1, 0, false);
    assert_ok(wh_noise_new_replayed(&noise, 6));
    assert_ok(wh_noise_new_replayed(&twin, 6));
    assert_ok(wh_matrix_stream_new_from(&w, m, LENGTH, 300, noise));
    for (uint64_t t = 0; t < STEPS; t++) {
        unsigned h = 0;
        assert_ok(wh_matrix_stream_next(w, e));
        assert_ok(wh_sample_normal(twin, own, LENGTH, 300 * 256));
        for (size_t i = 0; i < LENGTH; i++) {
            below[i] = (int64_t)((t * 31 + i * 17) % 2001) - 1000; /* S of the step */
            total[i] += below[i];
            released[i] += below[i] + e[i];
            now[i] = own[i] + below[i] * 256;
        }
        for (; t >> h & 1; h++) {
            assert_ok(wh_sample_normal(twin, own, LENGTH, 300 * 256));
            for (size_t i = 0; i < LENGTH; i++) {
                int64_t weight = m->weight[h + 1];
                below[i] += sums[h][i];
                __int128 mixed = (__int128)weight * (own[i] + below[i] * 256);
                now[i] = rounded(mixed + (__int128)((1 << 20) - weight) * (wait[h][i] + now[i]), 20);
            }
        }
        memcpy(wait[h], now, sizeof now);
        memcpy(sums[h], below, sizeof below);
        for (unsigned up = h + 1; (t + 1) >> up; up++)
            for (size_t i = 0; i < LENGTH && ((t + 1) >> up & 1); i++) now[i] += wait[up][i];
        for (size_t i = 0; i < LENGTH; i++) assert_true(released[i] == rounded(now[i], 8));
    }
}

/* What the buffers of a blt are off by stays within what is added to the sensitivity. */
static void test_blt_is_off_by_what_is_said(void **state)
{
    (void)state;
    enum { STEPS = 400 };
    static int64_t z[LENGTH], e[STEPS][LENGTH];
    WH_AUTO(wh_noise_ptr) twin = NULL;
    WH_AUTO(wh_matrix_stream_ptr) w = NULL;
    wh_noise *noise;
    WH_AUTO(whist_dp_matrix_ptr) m = made(WHIST_DP_BLT, STEPS, 4, 100, 4, false);
    double eta = wh_matrix_slack(m, LENGTH) / (2 * sqrt((double)STEPS * LENGTH)), worst = 0;
    assert_ok(wh_noise_new_replayed(&noise, 7));
    assert_ok(wh_noise_new_replayed(&twin, 7));
    assert_ok(wh_matrix_stream_new_from(&w, m, LENGTH, 0x1p20, noise));
    for (size_t t = 0; t < STEPS; t++) {
        assert_ok(wh_sample_normal(twin, z, LENGTH, 0x1p28));
        assert_ok(wh_matrix_stream_next(w, e[t]));
        for (size_t i = 0; i < LENGTH; i++) {
            long double want = (long double)z[i] / 256;
            for (size_t b = 0; b < 4; b++) {
                long double power = ldexpl(m->omega[b], -24);
                for (size_t j = 1; j <= t; j++, power *= ldexpl(m->theta[b], -24)) want -= power * e[t - j][i];
            }
            worst = fmax(worst, (double)fabsl(want - (long double)e[t][i]));
        }
    }
    assert_true(worst <= 0.5 + eta && worst > 0.4);
    assert_true(eta < 0.1);
    WH_AUTO(whist_dp_matrix_ptr) large = made(WHIST_DP_BLT, 1000, 1, 1, 4, false);
    assert_true(wh_matrix_slack(large, 1000000) < 1e-4 * 0x1p22 * whist_dp_matrix_get(large).sensitivity);
}

/* C applied to what was drawn gives independent numbers of standard deviation s: each step's variance and each
 * neighbour's correlation within 6.5 standard errors. The tree: each sum has the variance that is said. */
static void test_noise_has_the_variance_that_is_said(void **state)
{
    (void)state;
    enum { STEPS = 24, MANY = 20000 };
    static int64_t e[STEPS][MANY];
    static dense d;
    const double s = 300;
    for (whist_dp_design design = 0; design < WHIST_DP_DESIGNS; design++) {
        WH_AUTO(wh_matrix_stream_ptr) w = NULL;
        wh_noise *noise;
        WH_AUTO(whist_dp_matrix_ptr) m = made(design, STEPS, 1, 1, 0, false);
        double all = 0;
        assert_ok(wh_noise_new_replayed(&noise, 40 + design));
        assert_ok(wh_matrix_stream_new_from(&w, m, MANY, s, noise));
        for (size_t t = 0; t < STEPS; t++) assert_ok(wh_matrix_stream_next(w, e[t]));
        dense_of(&d, m);
        for (size_t t = 0; t < STEPS; t++) {
            double square = 0, cross = 0, variance = s * s;
            for (size_t i = 0; i < MANY; i++) {
                double now = 0, before = 0;
                if (design == WHIST_DP_TREE_SUMS) {
                    for (size_t u = 0; u <= t; u++) now += (double)e[u][i];
                } else {
                    for (size_t u = 0; u <= t; u++) now += d.c[t][u] * (double)e[u][i];
                    for (size_t u = 0; u < t; u++) before += d.c[t - 1][u] * (double)e[u][i];
                }
                square += now * now;
                cross += now * before;
            }
            if (design == WHIST_DP_TREE_SUMS) {
                variance = 0;
                for (size_t i = 0; i < d.rows; i++) variance += d.b[t][i] * d.b[t][i] * s * s;
            }
            square /= MANY * variance;
            all += square / STEPS;
            assert_true(fabs(square - 1) < 6.5 * sqrt(2.0 / MANY));
            assert_true(fabs(cross) / (MANY * variance) < 6.5 / sqrt(MANY));
        }
        /* All steps together would show a standard deviation that is wrong by 1 %. */
        assert_true(fabs(all - 1) < 0.02 - 6.5 * sqrt(2.0 / (MANY * STEPS)) || design == WHIST_DP_TREE_SUMS);
    }
}

/* ---- Refusals ---- */

static void refused(whist_status code, const char *text, whist_dp_matrix_options o)
{
    whist_dp_matrix *m = NULL;
    assert_int_equal(whist_dp_matrix_new(&m, &o), code);
    assert_null(m);
    if (!strstr(whist_detail_get()->text, text)) fail_msg("'%s' lacks '%s'", whist_detail_get()->text, text);
}

static void test_refusals(void **state)
{
    (void)state;
    refused(WHIST_E_ARG, "steps is 0", (whist_dp_matrix_options){.participations = 1, .separation = 1});
    refused(WHIST_E_ARG, "participations is 0", (whist_dp_matrix_options){.steps = 4, .separation = 1});
    refused(WHIST_E_ARG, "separation is 0", (whist_dp_matrix_options){.steps = 4, .participations = 2});
    refused(WHIST_E_ARG, "do not fit", (whist_dp_matrix_options){.steps = 10, .participations = 3, .separation = 5});
    refused(WHIST_E_ARG, "do not overlap",
            (whist_dp_matrix_options){.steps = 10, .participations = 2, .separation = 4, .bands = 5});
    refused(WHIST_E_ARG, "at most 256",
            (whist_dp_matrix_options){.steps = 1000, .participations = 1, .separation = 1, .bands = 300});
    refused(WHIST_E_ARG, "1 to 8 buffers",
            (whist_dp_matrix_options){
                .design = WHIST_DP_BLT, .steps = 10, .participations = 1, .separation = 1, .bands = 9});
    refused(WHIST_E_ARG, "no bands",
            (whist_dp_matrix_options){
                .design = WHIST_DP_TREE_SUMS, .steps = 10, .participations = 1, .separation = 1, .bands = 2});
    refused(WHIST_E_ARG, "no design",
            (whist_dp_matrix_options){.design = WHIST_DP_DESIGNS, .steps = 10, .participations = 1, .separation = 1});
    const double rising[] = {1, 0.5, 0.75};
    double squared = 0;
    const whist_dp_matrix_options o = {.steps = 10, .participations = 2, .separation = 2};
    assert_int_equal(wh_matrix_sensitivity(&squared, rising, 3, &o), WHIST_E_UNSUPPORTED);
    WH_AUTO(whist_dp_matrix_ptr) m = made(WHIST_DP_BANDED, 10, 1, 1, 2, false);
    wh_matrix_stream *w = NULL;
    assert_int_equal(wh_matrix_stream_new(&w, m, 3, 0x1p40), WHIST_E_RANGE);
    assert_int_equal(wh_matrix_stream_new(&w, m, 3, NAN), WHIST_E_RANGE);
    assert_null(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factors_make_sums_and_errors),
        cmocka_unit_test(test_sensitivity_is_that_of_the_worst_pattern),
        cmocka_unit_test(test_more_participations_cost_more),
        cmocka_unit_test(test_errors_that_are_published),
        cmocka_unit_test(test_banded_releases_follow_from_the_mechanism),
        cmocka_unit_test(test_tree_releases_follow_from_the_mechanism),
        cmocka_unit_test(test_blt_is_off_by_what_is_said),
        cmocka_unit_test(test_noise_has_the_variance_that_is_said),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
