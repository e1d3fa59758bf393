/* meta/meta_test.c: gradients through inner steps against central differences; threads, memory, refusals. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "meta/bayes.h"
#include "meta/meta.h"

/* A network 2-4-1 with a tanh, squared errors; data x (B,2), y (B,1). */
enum { W0, B0, W1, B1, TENSORS, X = 0, Y, ROWS = 6, N = 2 * 4 + 4 + 4 + 1, MAX_STEPS = 50, TASKS = 25 };

static wh_value network(void *user, wh_graph *g, const wh_value p[], const wh_value prior[], const wh_value data[])
{
    (void)user, (void)prior;
    wh_value h = wh_graph_tanh(g, wh_graph_linear(g, data[X], p[W0], p[B0], WH_MATMUL_NN));
    wh_value y = wh_graph_linear(g, h, p[W1], p[B1], WH_MATMUL_NN);
    return wh_graph_mean_all(g, wh_graph_squared_error(g, y, data[Y]));
}

static const wh_dims shapes[2 * TENSORS] = {WH_DIMS(2, 4), WH_DIMS(4), WH_DIMS(4, 1), WH_DIMS(1),
                                            WH_DIMS(2, 4), WH_DIMS(4), WH_DIMS(4, 1), WH_DIMS(1)};
static const wh_meta_array rows[] = {{"x", WH_DIMS(ROWS, 2), 0, false}, {"y", WH_DIMS(ROWS, 1), 0, false}};
static const wh_meta_array step_rows[] = {{"x", WH_DIMS(ROWS, 2), 0, true}, {"y", WH_DIMS(ROWS, 1), 0, true}};

static double noise(uint64_t i)
{
    uint64_t x = (i + 1) * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-52 - 1;
}

/* Enough rows for any task, also one set a step; both types. */
typedef struct world {
    double x[TASKS][MAX_STEPS * ROWS * 2], y[TASKS][MAX_STEPS * ROWS], eps[MAX_STEPS * N];
    float x32[TASKS][MAX_STEPS * ROWS * 2], y32[TASKS][MAX_STEPS * ROWS];
    const void *support[TASKS][3], *query[TASKS][3];
    wh_meta_task task[TASKS], task32[TASKS];
    const void *support32[TASKS][2], *query32[TASKS][2];
} world;

static world *make_world(void)
{
    world *w = test_calloc(1, sizeof *w);
    for (size_t t = 0; t < TASKS; t++) {
        for (size_t i = 0; i < MAX_STEPS * ROWS * 2; i++) w->x32[t][i] = (float)(w->x[t][i] = noise(t * 1000 + i));
        for (size_t i = 0; i < MAX_STEPS * ROWS; i++) w->y32[t][i] = (float)(w->y[t][i] = noise(9999 + t * 777 + i));
        size_t far = 5 * ROWS;
        w->support[t][0] = w->x[t], w->support[t][1] = w->y[t], w->support[t][2] = w->eps;
        w->query[t][0] = w->x[t] + 2 * far, w->query[t][1] = w->y[t] + far, w->query[t][2] = w->eps;
        w->support32[t][0] = w->x32[t], w->support32[t][1] = w->y32[t];
        w->query32[t][0] = w->x32[t] + 2 * far, w->query32[t][1] = w->y32[t] + far;
        w->task[t] = (wh_meta_task){w->support[t], w->query[t]};
        w->task32[t] = (wh_meta_task){w->support32[t], w->query32[t]};
    }
    for (size_t i = 0; i < MAX_STEPS * N; i++) w->eps[i] = noise(55 + i);
    return w;
}

static wh_meta_problem maml(size_t steps)
{
    return (wh_meta_problem){.real = WH_F64,
                             .params = shapes,
                             .n_params = TENSORS,
                             .support = {network, NULL, rows, 2},
                             .query = {network, NULL, rows, 2},
                             .rule = WH_META_EXACT,
                             .steps = steps};
}

/* ---- Against differences -------------------------------------------------------------------------- */

typedef struct scene {
    wh_meta *meta;
    wh_meta_work *work;
    double theta[2 * N], rates[2 * N * MAX_STEPS], weights[MAX_STEPS + 1];
    double grad[2 * N], rate_grad[2 * N * MAX_STEPS];
    wh_meta_at at;
    size_t n, n_rates, steps;
    bool weighs;
} scene;

static void open_scene(scene *s, const wh_meta_problem *p)
{
    *s = (scene){.steps = p->steps, .weighs = p->weighs_steps};
    assert_ok(wh_meta_new(&s->meta, p));
    assert_ok(wh_meta_work_new(&s->work, s->meta, 1));
    s->n = wh_meta_n(s->meta);
    s->n_rates = wh_meta_n_rates(s->meta);
    for (size_t i = 0; i < s->n; i++) s->theta[i] = .7 * noise(31 + i);
    for (size_t i = 0; i < s->n_rates; i++) s->rates[i] = .3 + .1 * noise(3 + i);
    for (size_t i = 0; i <= s->steps; i++) s->weights[i] = i % 3 == 1 ? 0 : .2 + .1 * (double)i;
    s->at = (wh_meta_at){s->theta, s->rates, s->weights};
}

static void close_scene(scene *s)
{
    wh_meta_work_free(s->work);
    wh_meta_free(s->meta);
}

/* L by the forward pass alone. */
static double loss_of(scene *s, const wh_meta_task *task)
{
    double curve[MAX_STEPS + 1], sum = 0;
    assert_ok(wh_meta_curve(curve, s->work, 0, &s->at, task));
    if (!s->weighs) return curve[s->steps];
    for (size_t j = 0; j <= s->steps; j++) sum += s->weights[j] * curve[j];
    return sum;
}

static double slope_of(scene *s, const wh_meta_task *task, double *at)
{
    const double h = 3e-4, keep = *at;
    double f[4];
    for (int k = 0; k < 4; k++) {
        *at = keep + (k % 2 ? -1 : 1) * (k < 2 ? 1 : 2) * h;
        f[k] = loss_of(s, task);
    }
    *at = keep;
    return (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h);
}

/* The gradient by theta and, where they are learned, by the rates. */
static void check_differences(const wh_meta_problem *p, const wh_meta_task *task, double bound)
{
    scene s;
    double loss;
    open_scene(&s, p);
    wh_meta_gradient out = {s.grad, p->learns_rates ? s.rate_grad : NULL, NULL, &loss};
    assert_ok(wh_meta_one(&out, s.work, 0, &s.at, task));
    assert_true(fabs(loss - loss_of(&s, task)) <= 1e-15);
    for (size_t i = 0; i < s.n; i++) {
        double want = slope_of(&s, task, &s.theta[i]);
        if (!(fabs(s.grad[i] - want) <= bound)) fail_msg("theta %zu: %.12g, differences %.12g", i, s.grad[i], want);
    }
    for (size_t i = 0; i < s.n_rates && p->learns_rates; i++) {
        double want = slope_of(&s, task, &s.rates[i]);
        if (!(fabs(s.rate_grad[i] - want) <= bound)) fail_msg("rate %zu: %.12g, %.12g", i, s.rate_grad[i], want);
    }
    close_scene(&s);
}

static void chains_agree_with_differences(void **state)
{
    (void)state;
    world *w = make_world();
    static const bool head[] = {false, false, true, true}, body[] = {true, true, false, false},
                      context[] = {false, true, false, false};
    for (size_t steps = 0; steps <= 4; steps += 2) {
        wh_meta_problem p = maml(steps); /* MAML */
        check_differences(&p, w->task, 1e-10);
        if (steps == 0) continue;
        p.adapts = head; /* ANIL */
        p.learns_rates = true;
        check_differences(&p, w->task, 1e-10);
        p.adapts = body; /* BOIL */
        p.rates = WH_META_RATE_TENSORS;
        check_differences(&p, w->task + 1, 1e-10);
        p.adapts = p.starts_at_zero = context; /* CAVIA */
        check_differences(&p, w->task + 1, 1e-10);
        p = maml(steps); /* Meta-SGD */
        p.rates = WH_META_RATE_ELEMENTS;
        p.learns_rates = true;
        check_differences(&p, w->task + 2, 1e-10);
        p = maml(steps); /* MAML++ */
        p.rates = WH_META_RATE_TENSORS;
        p.learns_rates = p.rates_per_step = p.weighs_steps = true;
        check_differences(&p, w->task + 3, 1e-10);
        p.support.arrays = step_rows; /* a minibatch a step, and a pull to the start */
        p.proximal = .4;
        check_differences(&p, w->task + 3, 1e-10);
    }
    test_free(w);
}

/* Fewer points kept: the same bits. */
static void points_may_be_made_again(void **state)
{
    (void)state;
    world *w = make_world();
    double first[N];
    for (size_t every = 1; every <= 7; every++) {
        wh_meta_problem p = maml(6);
        p.keep_every = every;
        p.weighs_steps = true;
        p.support.arrays = step_rows;
        check_differences(&p, w->task, 1e-10);
        scene s;
        open_scene(&s, &p);
        wh_meta_gradient out = {s.grad, NULL, NULL, NULL};
        assert_ok(wh_meta_one(&out, s.work, 0, &s.at, w->task));
        if (every == 1) memcpy(first, s.grad, sizeof first);
        assert_memory_equal(first, s.grad, sizeof first);
        close_scene(&s);
    }
    test_free(w);
}

static void posteriors_agree_with_differences(void **state)
{
    (void)state;
    world *w = make_world();
    static wh_meta_bayes bayes = {network, NULL, TENSORS, 2, 3};
    static const wh_meta_array noisy[] = {
        {"x", WH_DIMS(ROWS, 2), 0, false}, {"y", WH_DIMS(ROWS, 1), 0, false}, {"noise", WH_DIMS(N), 0, true}};
    wh_meta_problem p = maml(3);
    p.n_params = 2 * TENSORS;
    p.support = p.query = (wh_meta_objective){wh_meta_bayes_build, &bayes, noisy, 3};
    p.uses_prior = true;
    p.learns_rates = true;
    scene s;
    open_scene(&s, &p);
    double loss;
    for (size_t i = 0; i < s.n_rates; i++) s.rates[i] = .05;
    wh_meta_gradient out = {s.grad, s.rate_grad, NULL, &loss};
    assert_ok(wh_meta_one(&out, s.work, 0, &s.at, w->task));
    for (size_t i = 0; i < s.n; i++) {
        double want = slope_of(&s, w->task, &s.theta[i]);
        if (!(fabs(s.grad[i] - want) <= 1e-8)) fail_msg("%zu: %.12g, differences %.12g", i, s.grad[i], want);
    }
    assert_true(fabs(s.rate_grad[0] - slope_of(&s, w->task, s.rates)) <= 1e-7);
    close_scene(&s);
    test_free(w);
}

/* The posterior of a problem that does not say that it has a prior. */
static void a_missing_prior_is_told(void **state)
{
    (void)state;
    static wh_meta_bayes bayes = {network, NULL, TENSORS, 2, 1};
    static const wh_meta_array noisy[] = {
        {"x", WH_DIMS(ROWS, 2), 0, false}, {"y", WH_DIMS(ROWS, 1), 0, false}, {"noise", WH_DIMS(N), 0, true}};
    wh_meta_problem p = maml(1);
    p.n_params = 2 * TENSORS;
    p.support = p.query = (wh_meta_objective){wh_meta_bayes_build, &bayes, noisy, 3};
    wh_meta *meta = NULL;
    assert_int_equal(wh_meta_new(&meta, &p), WHIST_E_ARG);
    assert_non_null(strstr(whist_detail_get()->text, "prior"));
}

static void minima_agree_with_differences(void **state)
{
    (void)state;
    world *w = make_world();
    wh_meta_problem p = maml(20);
    p.rule = WH_META_IMPLICIT;
    p.proximal = 2;
    p.newton = 20;
    p.conjugate = 60;
    p.tolerance = 1e-13;
    check_differences(&p, w->task + 4, 1e-9);
    test_free(w);
}

/* A rate that no task can take: the steps end lower than they began all the same, and at no infinity. */
static void long_steps_to_a_minimum_are_halved(void **state)
{
    (void)state;
    world *w = make_world();
    wh_meta_problem p = maml(40);
    p.rule = WH_META_IMPLICIT;
    p.proximal = .1;
    p.conjugate = 5;
    p.tolerance = 1e-10;
    scene s;
    open_scene(&s, &p);
    for (size_t t = 0; t < TASKS; t++) {
        double curve[MAX_STEPS + 1], support;
        const wh_meta_task own = {w->support[t], w->support[t]};
        s.rates[0] = 30;
        assert_ok(wh_meta_curve(curve, s.work, 0, &s.at, &own));
        assert_true(curve[40] < curve[0] && curve[1] != curve[0]);
        assert_ok(wh_meta_one(&(wh_meta_gradient){s.grad, NULL, &support, NULL}, s.work, 0, &s.at, &own));
        assert_true(fabs(support - curve[0]) < 1e-12);
        for (size_t i = 0; i < s.n; i++) assert_true(isfinite(s.grad[i]));
    }
    close_scene(&s);
    test_free(w);
}

/* ---- Rules that are defined by others --------------------------------------------------------------- */

/* Per-FedAvg's differences come near the exact gradient, quadratically in their step. */
static void differences_of_gradients_converge(void **state)
{
    (void)state;
    world *w = make_world();
    double error[2];
    for (int k = 0; k < 2; k++) {
        scene exact, free_;
        wh_meta_problem p = maml(3);
        p.rates = WH_META_RATE_TENSORS;
        p.learns_rates = true;
        open_scene(&exact, &p);
        p.rule = WH_META_HESSIAN_FREE;
        p.delta = k == 0 ? .02 : .01;
        open_scene(&free_, &p);
        wh_meta_gradient a = {exact.grad, exact.rate_grad, NULL, NULL}, b = {free_.grad, free_.rate_grad, NULL, NULL};
        assert_ok(wh_meta_one(&a, exact.work, 0, &exact.at, w->task));
        assert_ok(wh_meta_one(&b, free_.work, 0, &free_.at, w->task));
        error[k] = 0;
        for (size_t i = 0; i < N; i++) error[k] = fmax(error[k], fabs(exact.grad[i] - free_.grad[i]));
        close_scene(&exact);
        close_scene(&free_);
    }
    assert_true(error[0] > 1e-10 && error[0] < 1e-4);
    assert_true(error[0] / error[1] > 3.5 && error[0] / error[1] < 4.5);
    test_free(w);
}

static void first_order_and_reptile_are_what_they_say(void **state)
{
    (void)state;
    world *w = make_world();
    scene s, end, reptile;
    wh_meta_problem p = maml(3);
    double z[N], support, query;
    p.rule = WH_META_FIRST_ORDER;
    open_scene(&s, &p);
    wh_meta_problem none = maml(0);
    open_scene(&end, &none);
    p.rule = WH_META_REPTILE;
    open_scene(&reptile, &p);
    wh_meta_gradient out = {s.grad, NULL, &support, &query};
    assert_ok(wh_meta_one(&out, s.work, 0, &s.at, w->task));
    assert_ok(wh_meta_adapt(z, s.work, 0, &s.at, w->task));
    memcpy(end.theta, z, sizeof z);
    wh_meta_gradient at_end = {end.grad, NULL, NULL, NULL}, moved = {reptile.grad, NULL, NULL, NULL};
    assert_ok(wh_meta_one(&at_end, end.work, 0, &end.at, w->task));
    assert_memory_equal(s.grad, end.grad, sizeof z);
    assert_ok(wh_meta_one(&moved, reptile.work, 0, &reptile.at, w->task));
    for (size_t i = 0; i < N; i++) assert_true(reptile.grad[i] == s.theta[i] - z[i]);
    double curve[4];
    assert_ok(wh_meta_curve(curve, s.work, 0, &s.at, w->task));
    assert_true(query == curve[3] && support > 0);
    close_scene(&s);
    close_scene(&end);
    close_scene(&reptile);
    test_free(w);
}

/* Three steps that take two halves of the support in turns are a step on the first, on the second, on the first. */
static void steps_take_parts_in_turns(void **state)
{
    (void)state;
    static const wh_meta_array halves[] = {{"x", WH_DIMS(ROWS, 2), 0, true, 2}, {"y", WH_DIMS(ROWS, 1), 0, true, 2}};
    world *w = make_world();
    scene turns, one;
    double z[N], next[N];
    wh_meta_problem p = maml(3), single = maml(1);
    p.rule = single.rule = WH_META_REPTILE;
    p.support.arrays = halves;
    open_scene(&turns, &p);
    open_scene(&one, &single);
    for (size_t j = 0; j < 3; j++) {
        const void *const half[] = {w->x[0] + j % 2 * ROWS * 2, w->y[0] + j % 2 * ROWS};
        const wh_meta_task task = {half, w->query[0]};
        assert_ok(wh_meta_adapt(next, one.work, 0, &one.at, &task));
        memcpy(one.theta, next, sizeof next);
    }
    assert_ok(wh_meta_adapt(z, turns.work, 0, &turns.at, w->task));
    assert_memory_equal(z, next, sizeof z);
    close_scene(&turns);
    close_scene(&one);
    test_free(w);
    static const struct {
        size_t rows, about, steps, parts;
    } cuts[] = {{25, 10, 5, 5}, {50, 10, 5, 5}, {5, 10, 5, 1}, {13, 10, 5, 1}, {22, 10, 5, 2}, {6, 0, 5, 1},
                {1, 1, 1, 1},   {17, 4, 5, 1},  {20, 4, 5, 5}, {20, 4, 3, 2},  {20, 4, 0, 1},  {40, 4, 50, 10}};
    for (size_t i = 0; i < WH_COUNT(cuts); i++)
        assert_int_equal(wh_meta_parts(cuts[i].rows, cuts[i].about, cuts[i].steps), cuts[i].parts);
    static const uint32_t class_[] = {0, 0, 0, 2, 2, 1, 2, 0}, in_turn[] = {0, 3, 5, 1, 4, 2, 6, 7};
    uint32_t order[WH_COUNT(class_)];
    assert_ok(wh_meta_turns(order, class_, WH_COUNT(class_), 3));
    assert_memory_equal(order, in_turn, sizeof in_turn);
}

/* S = ⟨z, x⟩ has a slope that does not depend on z; with no weight on S nothing that the gates see does but c, so the
 * first-order gradient is the whole one. */
static wh_value linear(void *user, wh_graph *g, const wh_value p[], const wh_value prior[], const wh_value data[])
{
    (void)user, (void)prior;
    wh_value sum =
        wh_graph_sum_all(g, wh_graph_mul(g, wh_graph_sum(g, data[X], 1, false), wh_graph_sum(g, p[W0], 2, false)));
    sum = wh_graph_add(g, sum, wh_graph_sum_all(g, wh_graph_mul(g, p[W1], wh_graph_sum_all(g, data[Y]))));
    return wh_graph_scale(g, wh_graph_add(g, sum, wh_graph_sum_all(g, p[B1])), .1);
}

static void gates_agree_with_differences(void **state)
{
    (void)state;
    world *w = make_world();
    static const bool part[] = {true, false, true, true};
    for (int range = 0; range <= 3; range += 3)
        for (int masked = 0; masked < 2; masked++) {
            wh_meta_problem p = maml(4);
            scene s;
            p.rule = WH_META_LSTM;
            p.support.build = linear;
            p.learns_rates = true;
            p.gate_start = .2;
            p.log_range = range;
            if (masked) p.adapts = part;
            open_scene(&s, &p);
            size_t f = range ? 6 : 4, loss_at = range ? 2 : 1, n_loss = range ? 2 : 1;
            assert_int_equal(s.n_rates, 2 * (f + 1));
            for (size_t k = 0; k < n_loss; k++) s.rates[loss_at + k] = s.rates[f + 1 + loss_at + k] = 0;
            wh_meta_gradient out = {s.grad, s.rate_grad, NULL, NULL};
            assert_ok(wh_meta_one(&out, s.work, 0, &s.at, w->task));
            for (size_t i = 0; i < s.n_rates; i++) {
                double want = slope_of(&s, w->task, &s.rates[i]);
                if (!(fabs(s.rate_grad[i] - want) <= 1e-10 * fmax(1, fabs(want))))
                    fail_msg("gate %zu: %.12g, differences %.12g", i, s.rate_grad[i], want);
            }
            for (size_t i = 0; i < s.n; i++) {
                double want = slope_of(&s, w->task, &s.theta[i]);
                if (!(fabs(s.grad[i] - want) <= 1e-10 * fmax(1, fabs(want))))
                    fail_msg("theta %zu: %.12g, %.12g", i, s.grad[i], want);
            }
            close_scene(&s);
        }
    test_free(w);
}

/* ---- Many tasks ------------------------------------------------------------------------------------------ */

static void threads_do_not_change_bits_and_steps_allocate_nothing(void **state)
{
    (void)state;
    world *w = make_world();
    wh_meta_problem p = maml(3);
    wh_meta *meta;
    float theta[N], rates[3 * TENSORS], first[N], first_rates[3 * TENSORS], grad[N], rate_grad[3 * TENSORS];
    double losses[TASKS];
    p.real = WH_F32;
    p.rates = WH_META_RATE_TENSORS;
    p.rates_per_step = p.learns_rates = true;
    assert_ok(wh_meta_new(&meta, &p));
    for (size_t i = 0; i < N; i++) theta[i] = (float)(.7 * noise(31 + i));
    for (size_t i = 0; i < WH_COUNT(rates); i++) rates[i] = .2f;
    wh_meta_at at = {theta, rates, NULL};
    for (unsigned threads = 1; threads <= 3; threads++) {
        wh_meta_work *work;
        wh_pool *pool;
        assert_ok(wh_meta_work_new(&work, meta, threads));
        assert_ok(wh_pool_new(&pool, threads));
        for (int again = 0; again < 3; again++) {
            wh_meta_gradient out = {grad, rate_grad, losses, losses};
            wh_alloc_fail_after(1); /* the first request of the step would fail */
            assert_ok(wh_meta_step(&out, work, &at, w->task32, TASKS, pool));
            wh_alloc_fail_after(0);
            if (threads == 1 && again == 0) memcpy(first, grad, sizeof first);
            if (threads == 1 && again == 0) memcpy(first_rates, rate_grad, sizeof first_rates);
            assert_memory_equal(first, grad, sizeof first);
            assert_memory_equal(first_rates, rate_grad, sizeof first_rates);
        }
        assert_int_equal(wh_meta_step(&(wh_meta_gradient){grad, NULL, NULL, NULL}, work, &at, w->task32, 0, pool),
                         WHIST_E_ARG);
        wh_pool_free(pool);
        wh_meta_work_free(work);
    }
    wh_meta_free(meta);
    test_free(w);
}

/* The mean over tasks; float near double. */
static void types_agree_and_steps_are_means(void **state)
{
    (void)state;
    world *w = make_world();
    wh_meta_problem p = maml(2);
    scene s;
    open_scene(&s, &p);
    double mean[N] = {0}, single[N], grad[N];
    for (size_t t = 0; t < TASKS; t++) {
        assert_ok(wh_meta_one(&(wh_meta_gradient){single, NULL, NULL, NULL}, s.work, 0, &s.at, &w->task[t]));
        for (size_t i = 0; i < N; i++) mean[i] += single[i] / TASKS;
    }
    assert_ok(wh_meta_step(&(wh_meta_gradient){grad, NULL, NULL, NULL}, s.work, &s.at, w->task, TASKS, NULL));
    for (size_t i = 0; i < N; i++) assert_true(fabs(grad[i] - mean[i]) <= 1e-15);
    p.real = WH_F32;
    wh_meta *meta;
    wh_meta_work *work;
    float theta[N], rate = (float)s.rates[0], small[N];
    for (size_t i = 0; i < N; i++) theta[i] = (float)s.theta[i];
    assert_ok(wh_meta_new(&meta, &p));
    assert_ok(wh_meta_work_new(&work, meta, 1));
    assert_ok(wh_meta_step(&(wh_meta_gradient){small, NULL, NULL, NULL}, work, &(wh_meta_at){theta, &rate, NULL},
                           w->task32, TASKS, NULL));
    for (size_t i = 0; i < N; i++) assert_true(fabs((double)small[i] - grad[i]) <= 2e-6);
    wh_meta_work_free(work);
    wh_meta_free(meta);
    close_scene(&s);
    test_free(w);
}

/* A network wide enough that rows weigh more than parameters, as images do. */
static wh_value wide(void *user, wh_graph *g, const wh_value p[], const wh_value prior[], const wh_value data[])
{
    (void)user, (void)prior;
    wh_value h = wh_graph_tanh(g, wh_graph_matmul(g, data[0], p[0], WH_MATMUL_NN));
    h = wh_graph_tanh(g, wh_graph_matmul(g, h, p[1], WH_MATMUL_NN));
    return wh_graph_mean_all(g, wh_graph_square(g, h));
}

static void memory_hardly_grows_with_steps(void **state)
{
    (void)state;
    static const wh_dims dims[] = {WH_DIMS(32, 32), WH_DIMS(32, 32)};
    static const wh_meta_array x[] = {{"x", WH_DIMS(2000, 32), 0, false}};
    size_t bytes[2];
    for (int k = 0; k < 2; k++) {
        wh_meta *meta;
        wh_meta_work *work;
        wh_meta_problem p = {.real = WH_F32,
                             .params = dims,
                             .n_params = 2,
                             .support = {wide, NULL, x, 1},
                             .query = {wide, NULL, x, 1},
                             .rule = WH_META_EXACT,
                             .steps = k == 0 ? 1 : 50};
        assert_ok(wh_meta_new(&meta, &p));
        assert_ok(wh_meta_work_new(&work, meta, 2));
        bytes[k] = wh_meta_work_bytes(work);
        wh_meta_work_free(work);
        wh_meta_free(meta);
    }
    if (!((double)bytes[1] <= 1.1 * (double)bytes[0]))
        fail_msg("%zu bytes at 50 steps, %zu at one", bytes[1], bytes[0]);
}

/* ---- Refusals --------------------------------------------------------------------------------------------- */

static void refused(const wh_meta_problem *p, whist_status code, const char *word)
{
    wh_meta *meta = NULL;
    assert_int_equal(wh_meta_new(&meta, p), code);
    assert_null(meta);
    if (!strstr(whist_detail_get()->text, word)) fail_msg("'%s' does not say '%s'", whist_detail_get()->text, word);
}

static wh_value rows_of_losses(void *user, wh_graph *g, const wh_value p[], const wh_value prior[],
                               const wh_value data[])
{
    (void)user, (void)prior, (void)p;
    return wh_graph_sum(g, data[X], 2, false);
}

static void settings_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const bool none[] = {false, false, false, false}, one[] = {true, false, false, false};
    static const wh_meta_array narrow[] = {{"x", WH_DIMS(ROWS, 3), 0, false}, {"y", WH_DIMS(ROWS, 1), 0, false}};
    wh_meta_problem p = maml(1);
    p.query.build = NULL;
    refused(&p, WHIST_E_ARG, "query");
    p = maml(1);
    p.support.build = NULL;
    refused(&p, WHIST_E_ARG, "support");
    p = maml(1);
    p.adapts = none;
    refused(&p, WHIST_E_ARG, "adapts");
    p = maml(1);
    p.adapts = none, p.starts_at_zero = one;
    refused(&p, WHIST_E_ARG, "stay zero");
    p = maml(1);
    p.query.arrays = narrow;
    refused(&p, WHIST_E_ARG, "(6,3)"); /* both shapes */
    refused(&p, WHIST_E_ARG, "(2,4)");
    p = maml(1);
    p.support.build = rows_of_losses;
    refused(&p, WHIST_E_ARG, "(6)");
    p = maml(1);
    p.rule = WH_META_HESSIAN_FREE;
    refused(&p, WHIST_E_ARG, "differences");
    p = maml(1);
    p.rule = WH_META_REPTILE, p.learns_rates = true;
    refused(&p, WHIST_E_ARG, "rates");
    p = maml(1);
    p.rule = WH_META_IMPLICIT;
    refused(&p, WHIST_E_ARG, "proximal");
    p.proximal = 1, p.conjugate = 5, p.adapts = one;
    refused(&p, WHIST_E_UNSUPPORTED, "adapts all");
    p.adapts = NULL, p.support.arrays = step_rows;
    refused(&p, WHIST_E_UNSUPPORTED, "one support set");
    p = maml(SIZE_MAX / 8);
    wh_meta *meta;
    wh_meta_work *work = NULL;
    p.keep_every = 1;
    assert_ok(wh_meta_new(&meta, &p));
    assert_int_equal(wh_meta_work_new(&work, meta, 1), WHIST_E_RANGE);
    wh_meta_free(meta);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n += 1 + n / 8) {
        wh_meta *meta = NULL;
        wh_meta_work *work = NULL;
        wh_meta_problem p = maml(2);
        p.learns_rates = true;
        wh_alloc_fail_after(n);
        whist_status status = wh_meta_new(&meta, &p);
        if (status == WHIST_OK) status = wh_meta_work_new(&work, meta, 2);
        wh_alloc_fail_after(0);
        wh_meta_work_free(work);
        wh_meta_free(meta);
        if (status == WHIST_OK) break;
        assert_int_equal(status, WHIST_E_NOMEM);
        assert_true(n < 100000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_agree_with_differences),
        cmocka_unit_test(points_may_be_made_again),
        cmocka_unit_test(posteriors_agree_with_differences),
        cmocka_unit_test(a_missing_prior_is_told),
        cmocka_unit_test(minima_agree_with_differences),
        cmocka_unit_test(long_steps_to_a_minimum_are_halved),
        cmocka_unit_test(differences_of_gradients_converge),
        cmocka_unit_test(first_order_and_reptile_are_what_they_say),
        cmocka_unit_test(steps_take_parts_in_turns),
        cmocka_unit_test(gates_agree_with_differences),
        cmocka_unit_test(threads_do_not_change_bits_and_steps_allocate_nothing),
        cmocka_unit_test(types_agree_and_steps_are_means),
        cmocka_unit_test(memory_hardly_grows_with_steps),
        cmocka_unit_test(settings_that_do_not_fit_are_refused),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
