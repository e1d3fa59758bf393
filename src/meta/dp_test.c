/* meta/dp_test.c: private meta-learners: one unit moves an update by no more than is charged for, what is drawn and
 * noised is what is charged, and they learn. Draws are the system's: no test fails by chance with probability above
 * 1e-9.
 */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/settings.h"
#include "learn/dp_sum.h"
#include "meta/dp_learners.h"
#include "meta/learners.h"
#include "meta/scheme.h"

WH_AUTO_FREE(whist_model, whist_model_free)
WH_AUTO_FREE(whist_dataset, whist_dataset_free)

/* DEEP: numbers of the network with a hidden layer; MOST: of a network with all that a rule brings along, and more. */
enum { PERSONS = 60, EACH = 12, ROWS = PERSONS * EACH, D = 4, P = D + 1, DEEP = 2 * D + 5, MOST = 80 };

static float x_[ROWS * D], y_[ROWS];
static uint64_t person_[ROWS];

static double uniform(uint64_t i) /* [-1, 1) */
{
    uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)(int64_t)((z ^ (z >> 31)) >> 40) / 0x1p23 - 1.0;
}

/* Person p has a plane of their own near a common one; class 1 is above it. persons: the first so many. */
static whist_dataset *people(size_t persons)
{
    for (size_t i = 0; i < persons * EACH; i++) {
        double side = 0.3 * uniform(9000 + i / EACH);
        for (size_t j = 0; j < D; j++) {
            x_[i * D + j] = (float)(2 * uniform(i * D + j));
            side += (j % 2 ? 1 : -1) * (double)x_[i * D + j];
        }
        y_[i] = side > 0;
        person_[i] = i / EACH * 77;
    }
    const whist_rows rows = {.n = persons * EACH, .d = D, .x = x_, .y = y_, .person = person_};
    whist_dataset *out;
    assert_ok(whist_dataset_from_rows(&out, &rows, &rows));
    return out;
}

/* P numbers; or, where there must be more than a head, DEEP. */
static whist_model *make_model(bool deep)
{
    const whist_model_shape shape = {.n_features = D, .n_outputs = 1, .target = WHIST_TARGET_BINARY};
    WH_AUTO(whist_settings_ptr) settings = NULL;
    whist_model *model;
    assert_ok(whist_settings_new(&settings, whist_model_class_find("mlp")->options));
    assert_ok(whist_settings_set(settings, "hidden", "[2]"));
    assert_ok(whist_model_new(&model, deep ? "mlp" : "logistic", deep ? settings : NULL, &shape));
    assert_int_equal(whist_model_size(model), deep ? DEEP : P);
    return model;
}

static bool deep_; /* which of them the next bench has */

typedef struct setting {
    const char *key, *value;
} setting;

static const char *const metrics[] = {"accuracy"};

/* A learner with everything it points to. */
typedef struct bench {
    whist_model *model;
    whist_settings *settings;
    whist_learner_env env;
    whist_learner *learner;
} bench;

static whist_status try_bench(bench *b, const whist_learner_class *class_, const whist_dataset *data,
                              const setting *settings)
{
    *b = (bench){.model = make_model(deep_)};
    assert_ok(whist_settings_new(&b->settings, class_->options));
    for (; settings->key; settings++) assert_ok(whist_settings_set(b->settings, settings->key, settings->value));
    WH_TRY(wh_scheme_extend(b->model, class_, b->settings));
    assert_true(whist_model_size(b->model) <= MOST);
    b->env = (whist_learner_env){.model = b->model,
                                 .data = data,
                                 .settings = b->settings,
                                 .site = "one",
                                 .seed = 5,
                                 .metrics = metrics,
                                 .n_metrics = 1};
    return class_->new_(&b->learner, &b->env);
}

static void open_bench(bench *b, const whist_learner_class *class_, const whist_dataset *data, const setting *settings)
{
    assert_ok(try_bench(b, class_, data, settings));
}

static void close_bench(bench *b)
{
    if (b->learner) b->learner->class_->free_(b->learner);
    whist_settings_free(b->settings);
    whist_model_free(b->model);
}

static void fit(float delta[], const bench *b, const float theta[])
{
    whist_update update;
    const whist_learner_round round = {.model = theta, .n = whist_model_size(b->model)};
    assert_ok(b->learner->class_->fit(b->learner, &round, &update));
    memcpy(delta, update.vectors[0], round.n * sizeof *delta);
}

static double accuracy(const bench *b, const float theta[])
{
    whist_metric_value value;
    assert_ok(b->learner->class_->evaluate(b->learner, theta, WHIST_FOLD_TEST, &value));
    return value.num / value.den;
}

static whist_dp_event only_event(const bench *b, size_t *n)
{
    whist_dp_event events[WHIST_MAX_EVENTS] = {{0}};
    const float theta[MOST] = {0};
    const whist_learner_round round = {.model = theta, .n = whist_model_size(b->model)};
    assert_ok(b->learner->class_->spends(b->learner, &round, events, n));
    for (size_t i = 0; i < *n; i++) assert_ok(whist_dp_event_check(&events[i]));
    return events[0];
}

/* ---- The sum ---- */

static void a_sum_is_bounded_and_has_no_order(void **state)
{
    (void)state;
    enum { N = 5 };
    WH_AUTO(wh_dp_sum_ptr) sum = NULL;
    float small[N] = {0.1F, -0.2F, 0, 0.1F, 0.3F}, large[N] = {3, 4, 0, 0, 0}, bad[N] = {1, NAN, 0, 0, 0},
          huge[N] = {1e38F, 1e38F, 0, 0, 0}, out[N], far = 0;
    assert_ok(wh_dp_sum_new(&sum, N, 0.5, 1e-3));
    for (int order = 0; order < 2; order++) {
        wh_dp_sum_begin(sum);
        wh_dp_sum_add(sum, order ? large : small);
        wh_dp_sum_add(sum, bad); /* counts as zero */
        wh_dp_sum_add(sum, order ? small : large);
        assert_ok(wh_dp_sum_release(sum, out, 2));
        const double want[N] = {0.1 + 0.3, -0.2 + 0.4, 0, 0.1, 0.3};
        for (size_t j = 0; j < N; j++) assert_true(fabs(2 * (double)out[j] - want[j]) < 12 * 0.5e-3);
    }
    wh_dp_sum_begin(sum);
    wh_dp_sum_add(sum, huge);
    assert_ok(wh_dp_sum_release(sum, out, 1));
    for (size_t j = 0; j < N; j++) far += out[j] * out[j];
    assert_true(sqrt((double)far) < 0.5 + 12 * 0.5e-3 * sqrt(N));
    wh_dp_sum_free(sum);
    sum = NULL;
    assert_int_equal(wh_dp_sum_new(&sum, N, 0, 1), WHIST_E_ARG);
    assert_int_equal(wh_dp_sum_new(&sum, N, 1, 0), WHIST_E_ARG);
    assert_int_equal(wh_dp_sum_new(&sum, N, 1, NAN), WHIST_E_ARG);
}

/* 4000 releases of 5 numbers: the variance within 7 standard errors of √(2 / 20000). */
static void its_noise_is_what_is_charged(void **state)
{
    (void)state;
    enum { N = 5, TIMES = 4000 };
    WH_AUTO(wh_dp_sum_ptr) sum = NULL;
    float out[N];
    double square = 0;
    assert_ok(wh_dp_sum_new(&sum, N, 0.25, 3));
    assert_true(wh_dp_sum_sensitivity(sum) >= 0.25 && wh_dp_sum_sensitivity(sum) < 0.2501);
    for (int t = 0; t < TIMES; t++) {
        wh_dp_sum_begin(sum);
        assert_ok(wh_dp_sum_release(sum, out, 10));
        for (size_t j = 0; j < N; j++) square += (double)out[j] * (double)out[j] / (TIMES * N);
    }
    double want = 3 * wh_dp_sum_sensitivity(sum) / 10;
    assert_true(fabs(square / (want * want) - 1) < 7 * sqrt(2.0 / (TIMES * N)));
}

/* A bound of a probability seen k times in n: exceeded on this side with probability below 1e-10 (Chernoff). */
static double bound_of(double k, double n, bool upper)
{
    double seen = k / n, low = upper ? seen : 0, high = upper ? 1 : seen;
    for (int i = 0; i < 60; i++) {
        double p = (low + high) / 2, kl = 0;
        if (seen > 0) kl += seen * log(seen / p);
        if (seen < 1) kl += (1 - seen) * log((1 - seen) / (1 - p));
        bool far = n * kl > 23.1;
        *(far == upper ? &high : &low) = p;
    }
    return upper ? high : low;
}

/* What an attacker learns of one unit from 30,000 releases with it and as many without: a lower bound of epsilon. The
 * unit's vector is `times` as long as the bound that was charged for; clips: whether the sum knows of it. */
static double attack(float times, bool clips, double delta)
{
    enum { TIMES = 30000 };
    double seen[2] = {0};
    WH_AUTO(wh_dp_sum_ptr) sum = NULL;
    assert_ok(wh_dp_sum_new(&sum, 1, clips ? 0.5 : 2, clips ? 1 : 0.25)); /* the noise is 0.5 either way */
    for (int i = 0; i < 2 * TIMES; i++) {
        const float unit = 0.5F * times;
        float out;
        wh_dp_sum_begin(sum);
        if (i % 2) wh_dp_sum_add(sum, &unit);
        assert_ok(wh_dp_sum_release(sum, &out, 1));
        seen[i % 2] += out > 1;
    }
    return log((bound_of(seen[1], TIMES, false) - delta) / bound_of(seen[0], TIMES, true));
}

static void an_attacker_learns_no_more_than_was_charged(void **state)
{
    (void)state;
    const double delta = 1e-2;
    double charged;
    assert_ok(whist_dp_gaussian_epsilon(&charged, 1, delta));
    double found = attack(1, true, delta), wild = attack(40, true, delta), broken = attack(3, false, delta);
    if (!(found > 0.6 * charged && found <= charged)) fail_msg("found %g of %g", found, charged);
    if (!(wild > 0.6 * charged && wild <= charged)) fail_msg("of a wild vector found %g of %g", wild, charged);
    if (!(broken > charged)) fail_msg("a vector that nobody clipped was not caught: %g of %g", broken, charged);
}

/* ---- Whole tasks ---- */

static const char *const rules[] = {"maml",     "fomaml", "reptile", "anil",  "boil", "per-fedavg",
                                    "meta-sgd", "maml++", "imaml",   "cavia", "abml", "meta-lstm"};

/* `n` persons, all rows of one the same; the last one's are wild where `wild` says so. */
static whist_dataset *steady_people(size_t n, bool wild)
{
    whist_dataset_free(people(n));
    for (size_t i = 0; i < n * EACH; i++) {
        size_t first = i / EACH * EACH;
        for (size_t j = 0; j < D; j++) x_[i * D + j] = x_[first * D + j];
        y_[i] = y_[first];
    }
    for (size_t i = (n - 1) * EACH * D; wild && i < n * EACH * D; i++) x_[i] *= 1e6F;
    const whist_rows rows = {.n = n * EACH, .d = D, .x = x_, .y = y_, .person = person_};
    whist_dataset *out;
    assert_ok(whist_dataset_from_rows(&out, &rows, NULL));
    return out;
}

static double distance(const float a[], const float b[], size_t n)
{
    double square = 0;
    for (size_t j = 0; j < n; j++) square += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(square);
}

/* Where a model starts, with the network's weights off zero and apart. Numbers of the model. */
static size_t somewhere(float theta[], const whist_model *model)
{
    static const float deep[DEEP] = {0.2F, -0.1F, 0.4F, 0.1F, -0.3F, 0.2F, 0.5F, -0.2F, 0.1F, 0, 0.6F, 0.4F};
    whist_model_init(model, theta, 3);
    memcpy(theta, deep, sizeof deep);
    return whist_model_size(model);
}

/* With all persons taken and next to no noise, a person more moves the update by at most lr C / L, by any rule, however
 * wild their rows are; and every person moves it. */
static void a_person_moves_no_more_than_the_bound(void **state)
{
    (void)state;
    static const float none[MOST];
    deep_ = true;
    for (size_t r = 0; r < WH_COUNT(rules); r++) {
        const setting settings[] = {{"rule", rules[r]},   {"support", "4"}, {"query", "8"},     {"inner_lr", "0.5"},
                                    {"inner_steps", "3"}, {"lr", "1"},      {"persons", "64"},  {"rate", "1"},
                                    {"batch", "10"},      {"clip", "0.01"}, {"noise", "0.001"}, {"deviation", "1e-4"},
                                    {"kl", "1e-12"},      {NULL, NULL}}; /* abml: draws that are hardly apart */
        WH_AUTO(whist_dataset_ptr) few = steady_people(9, false);
        WH_AUTO(whist_dataset_ptr) more = steady_people(10, true);
        float without[MOST], with[MOST], theta[MOST];
        bench a, b;
        open_bench(&a, &wh_learner_dp_meta, few, settings);
        open_bench(&b, &wh_learner_dp_meta, more, settings);
        const size_t n = somewhere(theta, a.model);
        fit(without, &a, theta);
        fit(with, &b, theta);
        const double one = 0.01 / 10, noise = 12 * 1e-3 * one * sqrt(2 * (double)n), moved = distance(with, without, n);
        if (!(moved <= one + noise)) fail_msg("%s: a person moved it by %g", rules[r], moved);
        if (!(distance(without, none, n) > 0.5 * one)) fail_msg("%s: nine persons hardly moved it", rules[r]);
        close_bench(&a);
        close_bench(&b);
    }
    deep_ = false;
}

/* Ninety persons with the same rows: an update tells how many were drawn, and that is binomial. Each draw is off by
 * less than a tenth of a person; mean and variance of 400 draws within 7 of their standard errors (and the tenth). */
static void persons_are_drawn_by_coins(void **state)
{
    (void)state;
    enum { N = 90, DRAWS = 400 };
    float x[N * 2], y[N * 2], delta[P], zero[P] = {0};
    uint64_t person[N * 2];
    static float wide[N * 2 * D];
    for (size_t i = 0; i < N * 2; i++) {
        x[i] = 1, y[i] = 1, person[i] = i / 2;
        for (size_t j = 0; j < D; j++) wide[i * D + j] = x[i];
    }
    const whist_rows rows = {.n = N * 2, .d = D, .x = wide, .y = y, .person = person};
    WH_AUTO(whist_dataset_ptr) data = NULL;
    const setting settings[] = {{"support", "1"},   {"query", "1"},    {"lr", "1"},
                                {"persons", "100"}, {"rate", "0.3"},   {"batch", "1"},
                                {"clip", "0.5"},    {"noise", "0.01"}, {NULL, NULL}};
    bench b;
    double mean = 0, square = 0;
    assert_ok(whist_dataset_from_rows(&data, &rows, NULL));
    open_bench(&b, &wh_learner_dp_meta, data, settings);
    for (int t = 0; t < DRAWS; t++) {
        double along = 0;
        fit(delta, &b, zero);
        for (size_t j = 0; j < P; j++)
            along += (double)delta[j] / sqrt(P); /* all have the same gradient: along (1, … 1) */
        double drawn = along / 0.5;
        mean += drawn / DRAWS;
        square += drawn * drawn / DRAWS;
    }
    double want = 0.3 * N, variance = 0.3 * 0.7 * N;
    assert_true(fabs(mean - want) < 7 * sqrt(variance / DRAWS) + 0.1);
    assert_true(fabs((square - mean * mean) / variance - 1) < 7 * sqrt(2.0 / DRAWS) + 0.1);
    size_t n;
    whist_dp_event event = only_event(&b, &n);
    assert_true(n == 1 && event.mechanism == WHIST_DP_GAUSSIAN && event.unit == WHIST_DP_TASK);
    assert_true(event.sampling == WHIST_DP_POISSON && event.rate == 0.3 && event.noise == 0.01 && event.count == 1);
    close_bench(&b);
}

static void it_learns_over_persons(void **state)
{
    (void)state;
    for (size_t r = 0; r < WH_COUNT(rules); r++) {
        if (strcmp(rules[r], "boil") == 0) continue; /* this model is all head */
        const setting settings[] = {{"rule", rules[r]},
                                    {"support", "4"},
                                    {"query", "8"},
                                    {"inner_lr", "0.1"},
                                    {"lr", strcmp(rules[r], "reptile") == 0 ? "8" : "2"},
                                    {"persons", "60"},
                                    {"rate", "0.5"},
                                    {"updates", "40"},
                                    {"clip", "0.5"},
                                    {"noise", "1"},
                                    {NULL, NULL}};
        WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
        float theta[MOST] = {0}, delta[MOST], personal[MOST];
        bench b;
        size_t n;
        open_bench(&b, &wh_learner_dp_meta, data, settings);
        assert_int_equal(only_event(&b, &n).count, 40);
        whist_model_init(b.model, theta, 3);
        fit(delta, &b, theta);
        for (size_t j = 0; j < whist_model_size(b.model); j++) theta[j] += delta[j];
        double right = accuracy(&b, theta);
        if (!(right > 0.8)) fail_msg("%s: %g", rules[r], right);
        whist_rows rows = whist_dataset_rows(data, WHIST_FOLD_TRAIN);
        rows.n = 5;
        assert_ok(b.learner->class_->adapt(b.learner, theta, &rows, personal));
        close_bench(&b);
    }
}

/* ---- A task by its rule ---- */

/* What each rule is asked for, beside what all are. */
static const setting asked[][4] = {
    {{NULL, NULL}},
    {{NULL, NULL}},
    {{NULL, NULL}},
    {{NULL, NULL}},
    {{NULL, NULL}},
    {{"variant", "exact"}, {NULL, NULL}},
    {{NULL, NULL}},
    {{"multi_step", "4"}, {NULL, NULL}},
    {{"proximal", "3"}, {"conjugate", "4"}, {"newton", "1"}, {NULL, NULL}},
    {{"context", "3"}, {NULL, NULL}},
    {{"deviation", "1e-4"}, {"kl", "1e-11"}, {NULL, NULL}},
    {{"keep", "0.9"}, {"log_range", "0"}, {NULL, NULL}},
};

/* The plain learner of a rule, over a model that it has made itself. */
typedef struct plain {
    const whist_learner_class *class_;
    whist_settings *settings;
    whist_model *model;
    wh_scheme *scheme;
    wh_scheme_task task;
} plain;

static void open_plain(plain *p, size_t r, const whist_rows *rows, size_t support, size_t query)
{
    const whist_learner_class *const *c = wh_meta_learner_classes();
    uint32_t order[EACH];
    while (strcmp((*c)->name, rules[r]) != 0) c++;
    *p = (plain){.class_ = *c, .model = make_model(true)};
    assert_ok(whist_settings_new(&p->settings, (*c)->options));
    assert_ok(whist_settings_set(p->settings, "inner_lr", "0.4"));
    assert_ok(whist_settings_set(p->settings, "inner_steps", "3"));
    for (const setting *s = asked[r]; s->key; s++) assert_ok(whist_settings_set(p->settings, s->key, s->value));
    assert_ok(wh_scheme_extend(p->model, p->class_, p->settings));
    const wh_scheme_env env = {.model = p->model,
                               .learner = p->class_,
                               .settings = p->settings,
                               .support = support,
                               .query = query,
                               .threads = 1,
                               .steps = SIZE_MAX,
                               .learns = true};
    assert_ok(wh_scheme_new(&p->scheme, &env));
    assert_ok(wh_scheme_task_init(&p->task, p->scheme));
    for (uint32_t i = 0; i < EACH; i++) order[i] = i;
    assert_ok(wh_scheme_task_rows(&p->task, 0, rows, order, support + query, p->scheme));
}

static void close_plain(plain *p)
{
    wh_scheme_task_clear(&p->task);
    wh_scheme_free(p->scheme);
    whist_model_free(p->model);
    whist_settings_free(p->settings);
}

static void open_rule(bench *b, size_t r, const whist_dataset *data)
{
    setting settings[20] = {{"rule", rules[r]},   {"support", "4"}, {"query", "8"},    {"inner_lr", "0.4"},
                            {"inner_steps", "3"}, {"lr", "1"},      {"persons", "64"}, {"rate", "1"},
                            {"batch", "60"},      {"clip", "2"},    {"noise", "0.001"}};
    size_t n = 11;
    for (const setting *s = asked[r]; s->key; s++) settings[n++] = *s;
    open_bench(b, &wh_learner_dp_meta, data, settings);
}

/* Sixty persons with the same rows, next to no noise and a bound that nothing reaches: the update is the gradient of
 * the plain learner's scheme, over all numbers that it has, with every option that was asked for; of maml++ at the
 * fourth step of the study. abml draws weights that are hardly apart. Noise of a number: 2e-3 / 60. */
static void a_task_is_what_its_rule_makes_of_it(void **state)
{
    (void)state;
    deep_ = true;
    WH_AUTO(whist_dataset_ptr) data = steady_people(PERSONS, false);
    float *x = (float *)(uintptr_t)whist_dataset_rows(data, WHIST_FOLD_TRAIN).x,
          *y = (float *)(uintptr_t)whist_dataset_rows(data, WHIST_FOLD_TRAIN).y;
    for (size_t i = 1; i < ROWS; i++) memcpy(x + i * D, x, D * sizeof *x), y[i] = y[0];
    const whist_rows rows = whist_dataset_rows(data, WHIST_FOLD_TRAIN);
    for (size_t r = 0; r < WH_COUNT(rules); r++) {
        float theta[MOST], grad[MOST], personal[MOST], own[MOST];
        double norm = 0;
        whist_update update;
        bench b;
        plain p;
        open_rule(&b, r, data);
        open_plain(&p, r, &rows, 4, 8);
        const size_t n = somewhere(theta, b.model);
        assert_int_equal(n, whist_model_size(p.model));
        assert_ok(wh_scheme_gradient(grad, NULL, p.scheme, theta, 3, &p.task.task, 1, NULL));
        const whist_learner_round round = {.round = 3, .model = theta, .n = n};
        assert_ok(b.learner->class_->fit(b.learner, &round, &update));
        for (size_t j = 0; j < n; j++) {
            norm += (double)grad[j] * (double)grad[j];
            if (!(fabsf(update.vectors[0][j] + grad[j]) < 6e-4F))
                fail_msg("%s: number %zu of %zu moves by %g, its gradient is %g", rules[r], j, n,
                         (double)update.vectors[0][j], (double)grad[j]);
        }
        if (!(sqrt(norm) > 0.02 && sqrt(norm) < 1.9)) fail_msg("%s: a gradient of norm %g", rules[r], sqrt(norm));
        /* And so is a personal model. */
        whist_rows support = rows;
        support.n = 4;
        assert_ok(wh_scheme_adapt(own, p.scheme, 0, theta, &p.task));
        assert_ok(b.learner->class_->adapt(b.learner, theta, &support, personal));
        if (!(distance(own, personal, n) < 1e-3)) fail_msg("%s: adapts %g off", rules[r], distance(own, personal, n));
        if (!(distance(theta, personal, n) > 1e-2)) fail_msg("%s: does not adapt", rules[r]);
        close_bench(&b);
        close_plain(&p);
    }
    deep_ = false;
}

/* Eight times the same study and the same round, with weights that are drawn far apart: the updates are more apart than
 * noise makes them. */
static void weights_are_drawn_by_the_system(void **state)
{
    (void)state;
    const setting settings[] = {{"rule", "abml"},     {"support", "4"}, {"query", "8"},     {"deviation", "1"},
                                {"persons", "64"},    {"rate", "1"},    {"batch", "1"},     {"lr", "1"},
                                {"inner_steps", "1"}, {"clip", "0.1"},  {"noise", "0.001"}, {NULL, NULL}};
    WH_AUTO(whist_dataset_ptr) data = steady_people(1, false);
    float theta[MOST], delta[8][MOST];
    double apart = 0;
    for (int i = 0; i < 8; i++) {
        bench b;
        open_bench(&b, &wh_learner_dp_meta, data, settings);
        whist_model_init(b.model, theta, 3);
        fit(delta[i], &b, theta);
        close_bench(&b);
        if (i > 0) apart = fmax(apart, distance(delta[0], delta[i], (size_t)2 * P));
    }
    const double noise = 12 * 1e-4 * sqrt(4 * P);
    if (!(apart > 2 * noise)) fail_msg("%g apart, noise %g", apart, noise);
}

/* A context starts from zero in every task: noise does not move it. What is measured is seen through the layer behind
 * it, whose shift and factor turn every row's numbers over here; the network alone would be right. */
static void a_context_stays_and_is_looked_through(void **state)
{
    (void)state;
    const setting settings[] = {{"rule", "cavia"}, {"support", "4"}, {"query", "8"},  {"context", "3"}, {"lr", "1"},
                                {"persons", "60"}, {"rate", "1"},    {"noise", "10"}, {NULL, NULL}};
    WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
    float theta[MOST], delta[MOST];
    bench b;
    size_t n;
    open_bench(&b, &wh_learner_dp_meta, data, settings);
    const whist_tensor_info *tensors = whist_model_tensors(b.model, &n);
    whist_model_init(b.model, theta, 3);
    for (size_t j = 0; j < D; j++) theta[j] = j % 2 ? 1 : -1;
    theta[D] = 0;
    const double right = accuracy(&b, theta);
    assert_true(right > 0.8);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; strcmp(tensors[i].name, "film.bias") == 0 && j < D; j++) theta[tensors[i].offset + j] = -2;
    if (!(fabs(accuracy(&b, theta) - (1 - right)) < 1e-9)) fail_msg("%g, not %g", accuracy(&b, theta), 1 - right);
    fit(delta, &b, theta);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < tensors[i].size; j++)
            assert_true((delta[tensors[i].offset + j] == 0) == (strcmp(tensors[i].name, "context") == 0));
    close_bench(&b);
}

/* What compares classes has no tasks here, and says so; a rule's own settings are refused where they make no start. */
static void rules_without_steps_are_refused(void **state)
{
    (void)state;
    static const char *const metric[] = {"protonet", "matching", "relation", "r2d2"};
    WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
    bench b;
    for (size_t i = 0; i < WH_COUNT(metric); i++) {
        const setting settings[] = {
            {"rule", metric[i]}, {"persons", "60"}, {"rate", "1"}, {"noise", "1"}, {NULL, NULL}};
        assert_int_equal(try_bench(&b, &wh_learner_dp_meta, data, settings), WHIST_E_UNSUPPORTED);
        assert_non_null(strstr(whist_detail_get()->text, metric[i]));
        assert_non_null(strstr(whist_detail_get()->text, "a person may show one class only"));
        close_bench(&b);
    }
    const setting wild[] = {{"rule", "meta-lstm"}, {"inner_lr", "1"}, {"persons", "60"},
                            {"rate", "1"},         {"noise", "1"},    {NULL, NULL}};
    assert_int_equal(try_bench(&b, &wh_learner_dp_meta, data, wild), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "a gate lies below 1"));
    close_bench(&b);
}

static void persons_are_needed_and_counted_in_public(void **state)
{
    (void)state;
    const setting settings[] = {{"support", "4"},   {"query", "8"},  {"persons", "59"}, {"rate", "1"},
                                {"noise", "0.001"}, {"batch", "60"}, {NULL, NULL}};
    WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
    WH_AUTO(whist_dataset_ptr) nobody = NULL;
    bench b;
    assert_int_equal(try_bench(&b, &wh_learner_dp_meta, data, settings), WHIST_E_STATE);
    assert_non_null(strstr(whist_detail_get()->text, "public bound of 59"));
    assert_null(strstr(whist_detail_get()->text, "60")); /* how many there are is nobody's business */
    close_bench(&b);
    const whist_rows rows = {.n = 24, .d = D, .x = x_, .y = y_};
    assert_ok(whist_dataset_from_rows(&nobody, &rows, NULL));
    assert_int_equal(try_bench(&b, &wh_learner_dp_meta, nobody, settings), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "column of type person"));
    close_bench(&b);
    /* Too few rows for a task: they count as zero, and nothing is said. */
    const whist_rows short_ones = {.n = 24, .d = D, .x = x_, .y = y_, .person = (const uint64_t[24]){0, 1, 2, 3, 4, 5}};
    WH_AUTO(whist_dataset_ptr) small = NULL;
    assert_ok(whist_dataset_from_rows(&small, &short_ones, NULL));
    const setting wide[] = {{"support", "10"},  {"query", "10"}, {"persons", "59"}, {"rate", "1"},
                            {"noise", "0.001"}, {"batch", "60"}, {"lr", "1"},       {NULL, NULL}};
    float theta[P] = {0}, delta[P];
    open_bench(&b, &wh_learner_dp_meta, small, wide);
    fit(delta, &b, theta);
    for (size_t j = 0; j < P; j++) assert_true(fabsf(delta[j]) < 12 * 1e-3F / 60);
    close_bench(&b);
}

/* ---- Records ---- */

static void what_records_spend_is_every_gradient(void **state)
{
    (void)state;
    WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
    const setting settings[] = {{"rows", "800"},      {"rate", "0.05"}, {"noise", "1.5"},
                                {"inner_steps", "7"}, {"updates", "3"}, {NULL, NULL}};
    static const struct {
        const whist_learner_class *class_;
        uint64_t count;
    } cases[] = {{&wh_learner_dp_reptile, 3 * 7}, {&wh_learner_dp_fomaml, 3 * 8}};
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        bench b;
        size_t n;
        open_bench(&b, cases[i].class_, data, settings);
        whist_dp_event event = only_event(&b, &n);
        assert_int_equal(n, 2); /* batches beyond the largest are cut, for a part of delta */
        assert_true(event.count == cases[i].count && event.noise == 1.5 && event.rate == 0.05);
        assert_true(event.sampling == WHIST_DP_POISSON && event.unit == WHIST_DP_RECORD);
        close_bench(&b);
    }
}

/* Next to no noise and all rows: the same as plain steps on clipped gradients, which for this bound are the gradients.
 */
static void without_noise_they_are_the_learners(void **state)
{
    (void)state;
    WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
    const setting settings[] = {{"rows", "720"}, {"rate", "1"},       {"noise", "0.001"},   {"clip", "10"},
                                {"lr", "0.5"},   {"inner_lr", "0.2"}, {"inner_steps", "3"}, {NULL, NULL}};
    const whist_rows rows = whist_dataset_rows(data, WHIST_FOLD_TRAIN);
    float theta[P] = {0}, z[P] = {0}, grad[P], reptile[P], fomaml[P];
    whist_model_work *work;
    bench b;
    open_bench(&b, &wh_learner_dp_reptile, data, settings);
    fit(reptile, &b, theta);
    const whist_batch batch = {.rows = rows.x, .target = rows.y, .n_rows = rows.n, .n = rows.n};
    assert_ok(whist_model_work_new(&work, b.model, rows.n));
    for (int k = 0; k < 3; k++) assert_ok(whist_model_sgd_step(b.model, work, z, &batch, 0.2, NULL, NULL));
    assert_ok(whist_model_loss_grad(b.model, work, z, &batch, grad, NULL));
    close_bench(&b);
    open_bench(&b, &wh_learner_dp_fomaml, data, settings);
    fit(fomaml, &b, theta);
    for (size_t j = 0; j < P; j++) { /* noise of a gradient: 1e-2 / 720 */
        assert_true(fabsf(reptile[j] - 0.5F * z[j]) < 1e-4F);
        assert_true(fabsf(fomaml[j] + 0.5F * grad[j]) < 2e-4F);
    }
    whist_model_work_free(work);
    close_bench(&b);
}

static void they_learn_under_noise(void **state)
{
    (void)state;
    WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
    const setting settings[] = {{"rows", "720"}, {"rate", "0.3"},   {"noise", "1"},       {"updates", "30"},
                                {"lr", "0.8"},   {"inner_lr", "1"}, {"inner_steps", "4"}, {NULL, NULL}};
    const whist_learner_class *const classes[] = {&wh_learner_dp_reptile, &wh_learner_dp_fomaml};
    for (size_t i = 0; i < WH_COUNT(classes); i++) {
        bench b;
        float theta[P] = {0}, delta[P];
        open_bench(&b, classes[i], data, settings);
        fit(delta, &b, theta);
        for (size_t j = 0; j < P; j++) theta[j] += delta[j];
        assert_true(accuracy(&b, theta) > 0.85);
        close_bench(&b);
    }
}

/* ---- Prototypes ---- */

/* With next to no noise the head says which class mean is nearer, for every row. */
static void prototypes_are_class_means(void **state)
{
    (void)state;
    WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
    const whist_rows rows = whist_dataset_rows(data, WHIST_FOLD_TRAIN);
    const setting settings[] = {{"rows", "720"}, {"bound", "10"}, {"noise", "0.001"}, {NULL, NULL}};
    float theta[P] = {0}, delta[P];
    double mean[2][D] = {{0}}, n[2] = {0};
    bench b;
    size_t events;
    open_bench(&b, &wh_learner_dp_protonet, data, settings);
    whist_dp_event event = only_event(&b, &events);
    assert_true(events == 1 && event.sampling == WHIST_DP_ALL && event.noise == 0.001 && event.unit == WHIST_DP_RECORD);
    fit(delta, &b, theta);
    for (size_t i = 0; i < rows.n; i++) n[(size_t)rows.y[i]]++;
    for (size_t i = 0; i < rows.n; i++)
        for (size_t j = 0; j < D; j++) mean[(size_t)rows.y[i]][j] += (double)rows.x[i * D + j] / n[(size_t)rows.y[i]];
    for (size_t i = 0; i < rows.n; i++) {
        double score = (double)delta[D], far[2] = {0};
        for (size_t j = 0; j < D; j++) {
            score += (double)delta[j] * (double)rows.x[i * D + j];
            for (int k = 0; k < 2; k++) far[k] += pow((double)rows.x[i * D + j] - mean[k][j], 2);
        }
        assert_true(fabs(score - (far[0] - far[1])) < 1e-2);
    }
    close_bench(&b);
}

/* A row more, of any size, moves the noised sums by at most √2 C: seen from outside, the head that they make of rows
 * without any is that of one bounded embedding. Under real noise the head still tells the classes apart. */
static void a_row_is_bounded_and_noise_is_borne(void **state)
{
    (void)state;
    const setting quiet[] = {{"rows", "720"}, {"bound", "0.5"}, {"noise", "0.001"}, {NULL, NULL}},
                  loud[] = {{"rows", "720"}, {"bound", "2"}, {"noise", "4"}, {NULL, NULL}};
    float wild[D] = {1e20F, 0, 0, 0}, one[1] = {1}, theta[P] = {0}, delta[P];
    const whist_rows row = {.n = 1, .d = D, .x = wild, .y = one};
    WH_AUTO(whist_dataset_ptr) single = NULL;
    WH_AUTO(whist_dataset_ptr) data = people(PERSONS);
    bench b;
    assert_ok(whist_dataset_from_rows(&single, &row, NULL));
    open_bench(&b, &wh_learner_dp_protonet, single, quiet);
    fit(delta, &b, theta);
    assert_true(fabsf(delta[0] - 1) < 0.03F && fabsf(delta[1]) < 0.03F && fabsf(delta[D] + 0.25F) < 0.03F);
    close_bench(&b);
    open_bench(&b, &wh_learner_dp_protonet, data, loud);
    fit(delta, &b, theta);
    assert_true(accuracy(&b, delta) > 0.8);
    close_bench(&b);
}

/* ---- What is not promised ---- */

/* Its metrics are those of a model of all sites, unless they are asked to be the site's own. */
static void speaks_of_prototypes(const whist_learner_class *c, whist_settings *settings)
{
    assert_non_null(strstr(c->objection(settings, WHIST_DP_RECORD, false), "take dp-protonet"));
    assert_non_null(strstr(c->objection(settings, WHIST_DP_TASK, false), "take dp-meta"));
    assert_null(c->objection(settings, WHIST_DP_SITE, true));
    assert_ok(whist_settings_set(settings, "evaluate", "personal"));
    assert_null(c->objection(settings, WHIST_DP_SITE, false));
    assert_non_null(strstr(c->objection(settings, WHIST_DP_SITE, true), "evaluate: global"));
}

static void plain_learners_say_what_speaks_against(void **state)
{
    (void)state;
    for (const whist_learner_class *const *c = wh_meta_learner_classes(); *c; c++) {
        WH_AUTO(whist_settings_ptr) settings = NULL;
        if ((*c)->spends) continue;
        assert_non_null((*c)->objection);
        assert_ok(whist_settings_new(&settings, (*c)->options));
        if (*c == &wh_learner_prototypes) {
            speaks_of_prototypes(*c, settings);
            continue;
        }
        wh_scheme_kind kind = wh_scheme_kind_of(*c);
        bool chain = kind == WH_SCHEME_CHAIN;
        bool second = *c != &wh_learner_fomaml && *c != &wh_learner_reptile && !wh_scheme_is_metric(kind);
        const char *why = (*c)->objection(settings, WHIST_DP_RECORD, false);
        assert_non_null(strstr(why, second ? "Hessian-vector product mixes the support rows" : "dp-fomaml"));
        assert_non_null(strstr((*c)->objection(settings, WHIST_DP_TASK, false), "mixed anew from the same rows"));
        assert_null((*c)->objection(settings, WHIST_DP_SITE, false));
        assert_non_null(strstr((*c)->objection(settings, WHIST_DP_SITE, true), "leave the metrics at home"));
        if (!chain) continue;
        assert_non_null(strstr((*c)->objection(settings, WHIST_DP_SITE, true), "evaluate: start"));
        assert_ok(whist_settings_set(settings, "evaluate", "start"));
        assert_null((*c)->objection(settings, WHIST_DP_SITE, true));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_is_bounded_and_has_no_order),
        cmocka_unit_test(its_noise_is_what_is_charged),
        cmocka_unit_test(an_attacker_learns_no_more_than_was_charged),
        cmocka_unit_test(a_person_moves_no_more_than_the_bound),
        cmocka_unit_test(persons_are_drawn_by_coins),
        cmocka_unit_test(it_learns_over_persons),
        cmocka_unit_test(a_task_is_what_its_rule_makes_of_it),
        cmocka_unit_test(weights_are_drawn_by_the_system),
        cmocka_unit_test(a_context_stays_and_is_looked_through),
        cmocka_unit_test(rules_without_steps_are_refused),
        cmocka_unit_test(persons_are_needed_and_counted_in_public),
        cmocka_unit_test(what_records_spend_is_every_gradient),
        cmocka_unit_test(without_noise_they_are_the_learners),
        cmocka_unit_test(they_learn_under_noise),
        cmocka_unit_test(prototypes_are_class_means),
        cmocka_unit_test(a_row_is_bounded_and_noise_is_borne),
        cmocka_unit_test(plain_learners_say_what_speaks_against),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
