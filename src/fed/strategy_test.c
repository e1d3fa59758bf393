/* fed/strategy_test.c: each strategy against the published formula, computed here in double from single
 * updates (the strategies see sums only), over several rounds of random numbers. */
#include "test.h"

#include "base/settings.h"
#include "fed/strategy.h"

#include <math.h>
#include <string.h>

enum { N = 37, CLIENTS = 5, ROUNDS = 4 };

/* What the clients of one round send. */
typedef struct round_data {
    double delta[CLIENTS][N], control[CLIENTS][N], rows[CLIENTS], steps[CLIENTS];
} round_data;

static uint64_t at;
static double unit(void) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    uint64_t x = at += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

static void draw(round_data *out)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        out->rows[i] = 1 + floor(100 * unit());
        out->steps[i] = 1 + floor(9 * unit());
        for (size_t j = 0; j < N; j++) {
            out->delta[i][j] = (double)(float)(2 * unit() - 1);
            out->control[i][j] = (double)(float)(2 * unit() - 1);
        }
    }
}

/* A strategy and its float vectors. */
typedef struct bed {
    const whist_strategy_class *class_;
    whist_settings *settings;
    float model[N], state[WHIST_MAX_VECTORS][N];
} bed;

static whist_strategy_block block_of(bed *b)
{
    whist_strategy_block block = {.n = N, .model = b->model};
    for (size_t s = 0; s < b->class_->n_states; s++) block.state[s] = b->state[s];
    return block;
}

static void bed_init(bed *b, const whist_strategy_class *class_)
{
    static const whist_option none[] = {{0}};
    *b = (bed){.class_ = class_};
    assert_ok(whist_settings_new(&b->settings, class_->options ? class_->options : none));
    for (size_t j = 0; j < N; j++) b->model[j] = (float)(2 * unit() - 1);
    whist_strategy_block block = block_of(b);
    if (class_->begin) assert_ok(class_->begin(b->settings, &block));
}

static double weight(const round_data *r, size_t i, whist_weighting how)
{
    return how == WHIST_WEIGHT_ROWS ? r->rows[i] : how == WHIST_WEIGHT_UNIFORM ? 1 : r->rows[i] / r->steps[i];
}

/* Sums as the secure sum gives them, then one step. n_sites: of the study, CLIENTS of them are here. */
static void take_step(bed *b, const round_data *r, size_t n_sites)
{
    double sums[WHIST_MAX_VECTORS][N] = {{0}};
    whist_strategy_sums info = {.n_arrived = CLIENTS, .n_sites = n_sites};
    whist_strategy_block block = block_of(b);
    for (size_t i = 0; i < CLIENTS; i++) {
        info.rows += r->rows[i];
        info.rows_steps += r->rows[i] * r->steps[i];
        for (size_t k = 0; b->class_->vectors[k].name; k++) {
            double w = weight(r, i, b->class_->vectors[k].weighting);
            info.weight[k] += w;
            for (size_t j = 0; j < N; j++) sums[k][j] += w * (k ? r->control[i][j] : r->delta[i][j]);
        }
    }
    for (size_t k = 0; b->class_->vectors[k].name; k++) block.sum[k] = sums[k];
    assert_ok(b->class_->step(b->settings, &info, &block));
}

/* The same in double; state as the paper names it. */
typedef struct truth {
    double w[N], m[N], v[N], c[N];
} truth;
typedef void formula(truth *t, const round_data *r, size_t n_sites);

static double mean_delta(const round_data *r, size_t j, bool by_rows)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        double w = by_rows ? r->rows[i] : 1;
        sum += w * r->delta[i][j];
        n += w;
    }
    return sum / n;
}

/* McMahan et al. 2017, Algorithm 1: w = Σ n_k/n w_k with w_k = w + Δ_k. */
static void fedavg(truth *t, const round_data *r, size_t n_sites)
{
    (void)n_sites;
    double n = 0;
    for (size_t i = 0; i < CLIENTS; i++) n += r->rows[i];
    for (size_t j = 0; j < N; j++) {
        double next = 0;
        for (size_t i = 0; i < CLIENTS; i++) next += r->rows[i] / n * (t->w[j] + r->delta[i][j]);
        t->w[j] = next;
    }
}

static void uniform(truth *t, const round_data *r, size_t n_sites)
{
    (void)n_sites;
    for (size_t j = 0; j < N; j++) t->w[j] += mean_delta(r, j, false);
}

/* Wang et al. 2020, eq. 10: w += τ_eff Σ p_i Δ_i / a_i, τ_eff = Σ p_i a_i. */
static void fednova(truth *t, const round_data *r, size_t n_sites)
{
    (void)n_sites;
    double n = 0, tau = 0;
    for (size_t i = 0; i < CLIENTS; i++) n += r->rows[i];
    for (size_t i = 0; i < CLIENTS; i++) tau += r->rows[i] / n * r->steps[i];
    for (size_t j = 0; j < N; j++) {
        double sum = 0;
        for (size_t i = 0; i < CLIENTS; i++) sum += r->rows[i] / n * r->delta[i][j] / r->steps[i];
        t->w[j] += tau * sum;
    }
}

/* Hsu, Qi, Brown 2019: v ← β v + Δ, w ← w + v; β = .9. */
static void fedavgm(truth *t, const round_data *r, size_t n_sites)
{
    (void)n_sites;
    for (size_t j = 0; j < N; j++) {
        t->m[j] = 0.9 * t->m[j] + mean_delta(r, j, true);
        t->w[j] += t->m[j];
    }
}

/* Reddi et al. 2021, Algorithm 2; β1 = .9, β2 = .999, η = .01, τ = 1e-8, v_{-1} = τ². */
static void adaptive(truth *t, const round_data *r, int kind)
{
    for (size_t j = 0; j < N; j++) {
        double d = mean_delta(r, j, true), square = d * d;
        t->m[j] = 0.9 * t->m[j] + 0.1 * d;
        if (kind == 0) t->v[j] = t->v[j] + square;
        if (kind == 1) t->v[j] = 0.999 * t->v[j] + 0.001 * square;
        if (kind == 2) t->v[j] = t->v[j] - 0.001 * square * (t->v[j] > square ? 1 : t->v[j] < square ? -1 : 0);
        t->w[j] += 0.01 * t->m[j] / (sqrt(t->v[j]) + 1e-8);
    }
}
static void fedadagrad(truth *t, const round_data *r, size_t n_sites)
{
    (void)n_sites;
    adaptive(t, r, 0);
}
static void fedadam(truth *t, const round_data *r, size_t n_sites)
{
    (void)n_sites;
    adaptive(t, r, 1);
}
static void fedyogi(truth *t, const round_data *r, size_t n_sites)
{
    (void)n_sites;
    adaptive(t, r, 2);
}

/* Karimireddy et al. 2020, Algorithm 1, lines 16 and 17: x += η_g mean Δy, c += |S|/N mean Δc. */
static void scaffold(truth *t, const round_data *r, size_t n_sites)
{
    for (size_t j = 0; j < N; j++) {
        double control = 0;
        for (size_t i = 0; i < CLIENTS; i++) control += r->control[i][j] / CLIENTS;
        t->w[j] += mean_delta(r, j, false);
        t->c[j] += (double)CLIENTS / (double)n_sites * control;
    }
}

/* States are float32 between rounds, so a relative error of a few 2^-24 a round is the bound. */
static void assert_close(double have, double wanted, const char *what)
{
    if (!(fabs(have - wanted) <= 1e-5 * (1 + fabs(wanted)))) fail_msg("%s: %.9g instead of %.9g", what, have, wanted);
}

static void check(const whist_strategy_class *class_, formula *formula_)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        at = seed;
        bed b;
        bed_init(&b, class_);
        truth t = {{0}};
        for (size_t j = 0; j < N; j++) {
            t.w[j] = (double)b.model[j];
            t.v[j] = 1e-16;
        }
        for (int round = 0; round < ROUNDS; round++) {
            round_data r;
            draw(&r);
            take_step(&b, &r, CLIENTS + 3);
            formula_(&t, &r, CLIENTS + 3);
            for (size_t j = 0; j < N; j++) assert_close((double)b.model[j], t.w[j], class_->name);
        }
        if (class_->n_broadcast)
            for (size_t j = 0; j < N; j++) assert_close((double)b.state[0][j], t.c[j], "control");
        whist_settings_free(b.settings);
    }
}

static void test_formulas(void **state)
{
    (void)state;
    check(&wh_strategy_fedavg, fedavg);
    check(&wh_strategy_fedprox, fedavg);
    check(&wh_strategy_cyclic, fedavg);
    check(&wh_strategy_fedavg_uniform, uniform);
    check(&wh_strategy_fednova, fednova);
    check(&wh_strategy_fedavgm, fedavgm);
    check(&wh_strategy_fedadagrad, fedadagrad);
    check(&wh_strategy_fedadam, fedadam);
    check(&wh_strategy_fedyogi, fedyogi);
    check(&wh_strategy_scaffold, scaffold);
}

/* FedNova's point: with equal steps it is FedAvg; with unequal ones it is not. */
static void test_nova_and_avg(void **state)
{
    (void)state;
    for (int equal = 0; equal < 2; equal++) {
        bed a, b;
        round_data r;
        at = 9;
        bed_init(&a, &wh_strategy_fedavg);
        at = 9;
        bed_init(&b, &wh_strategy_fednova);
        draw(&r);
        for (size_t i = 0; equal && i < CLIENTS; i++) r.steps[i] = 4;
        take_step(&a, &r, CLIENTS);
        take_step(&b, &r, CLIENTS);
        double gap = 0;
        for (size_t j = 0; j < N; j++) gap = fmax(gap, fabs((double)a.model[j] - (double)b.model[j]));
        assert_true(equal ? gap < 1e-6 : gap > 1e-2);
        whist_settings_free(a.settings);
        whist_settings_free(b.settings);
    }
}

static void test_a_round_without_rows_is_refused(void **state)
{
    (void)state;
    for (const whist_strategy_class *const *class_ = whist_strategy_classes(); *class_; class_++) {
        bed b;
        bed_init(&b, *class_);
        double zero[N] = {0};
        whist_strategy_block block = block_of(&b);
        block.sum[0] = block.sum[1] = zero;
        const whist_strategy_sums nothing = {.n_sites = 3};
        float before[N];
        memcpy(before, b.model, sizeof before);
        assert_int_equal((*class_)->step(b.settings, &nothing, &block), WHIST_E_RANGE);
        assert_memory_equal(before, b.model, sizeof before);
        whist_settings_free(b.settings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_nova_and_avg),
        cmocka_unit_test(test_a_round_without_rows_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
