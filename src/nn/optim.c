/* nn/optim.c: optimisers. Constants are rounded to float32 once, before the loop. */
#include "nn/optim.h"

#include <math.h>
#include <string.h>

#include "base/settings.h"
#include "num/kern.h"

/* ---- Schedules --------------------------------------------------------------------------------------- */

double wh_schedule_rate(const wh_schedule *s, double rate, uint64_t t)
{
    if (t < s->warmup) return rate * ((double)(t + 1) / (double)(s->warmup + 1));
    if (s->kind == WH_SCHEDULE_STEP) return rate * pow(s->decay, (double)(t / s->length));
    if (s->kind == WH_SCHEDULE_CONSTANT) return rate;
    double span = s->length > s->warmup ? (double)(s->length - s->warmup) : 1;
    double part = fmin((double)(t - s->warmup) / span, 1);
    return rate * (s->floor + (1 - s->floor) * 0.5 * (1 + cos(3.14159265358979323846 * part)));
}

whist_status wh_schedule_read(wh_schedule *out, const whist_settings *settings, uint64_t steps)
{
    const char *kind = whist_settings_text(settings, "schedule");
    wh_schedule s = {
        .kind = strcmp(kind, "step") == 0     ? WH_SCHEDULE_STEP
                : strcmp(kind, "cosine") == 0 ? WH_SCHEDULE_COSINE
                                              : WH_SCHEDULE_CONSTANT,
        .warmup = (uint64_t)whist_settings_int(settings, "warmup"),
        .length = (uint64_t)whist_settings_int(settings, "decay_steps"),
        .decay = whist_settings_real(settings, "decay"),
        .floor = whist_settings_real(settings, "decay_floor"),
    };
    if (s.length == 0 && s.kind == WH_SCHEDULE_COSINE) s.length = steps;
    if (s.length == 0 && s.kind != WH_SCHEDULE_CONSTANT)
        WH_FAIL(WHIST_E_ARG, "schedule %s needs decay_steps: after how many steps does the rate fall?", kind);
    *out = s;
    return WHIST_OK;
}

/* ---- The table -------------------------------------------------------------------------------------------- */

#define OPTION_LR(fallback)                                                                                            \
    {                                                                                                                  \
        "lr", WHIST_OPTION_REAL, fallback, 0, 1e3, NULL, "learning rate"                                               \
    }
#define OPTIONS_END                                                                                                    \
    {                                                                                                                  \
        NULL, WHIST_OPTION_INT, NULL, 0, 0, NULL, NULL                                                                 \
    }

static const whist_option sgd_options[] = {OPTION_LR("0.01"), WH_OPTION_DECAY, WH_OPTION_CLIP, WH_SCHEDULE_OPTIONS,
                                           OPTIONS_END};
static const whist_option momentum_options[] = {OPTION_LR("0.01"), WH_OPTION_MOMENTUM("0.9"), WH_OPTION_DECAY,
                                                WH_OPTION_CLIP,    WH_SCHEDULE_OPTIONS,       OPTIONS_END};
static const whist_option adam_options[] = {OPTION_LR("0.001"), WH_OPTIONS_MOMENTS("1e-8"), WH_OPTION_DECAY,
                                            WH_OPTION_CLIP,     WH_SCHEDULE_OPTIONS,        OPTIONS_END};
static const whist_option adamw_options[] = {
    OPTION_LR("0.001"),
    WH_OPTIONS_MOMENTS("1e-8"),
    {"weight_decay", WHIST_OPTION_REAL, "0.01", 0, 10, NULL, "part of the parameters taken away, times the rate"},
    WH_OPTION_CLIP,
    WH_SCHEDULE_OPTIONS,
    OPTIONS_END};
static const whist_option adagrad_options[] = {
    OPTION_LR("0.01"),   {"eps", WHIST_OPTION_REAL, "1e-10", 1e-15, 1, NULL, "keeps the division away from zero"},
    WH_OPTION_DECAY,     WH_OPTION_CLIP,
    WH_SCHEDULE_OPTIONS, OPTIONS_END};
static const whist_option yogi_options[] = {OPTION_LR("0.01"), WH_OPTIONS_MOMENTS("1e-3"), WH_OPTION_DECAY,
                                            WH_OPTION_CLIP,    WH_SCHEDULE_OPTIONS,        OPTIONS_END};

static const wh_optimizer_class classes[] = {
    {"sgd", "stochastic gradient descent", sgd_options, 0},
    {"momentum", "SGD that keeps a part of its last step", momentum_options, 1},
    {"nesterov", "SGD with Nesterov's momentum", momentum_options, 1},
    {"adam", "Adam", adam_options, 2},
    {"adamw", "Adam with weight decay apart from the gradient", adamw_options, 2},
    {"adagrad", "AdaGrad", adagrad_options, 1},
    {"yogi", "Yogi: Adam whose squares change slowly", yogi_options, 2},
    {NULL, NULL, NULL, 0},
};
enum { SGD, MOMENTUM, NESTEROV, ADAM, ADAMW, ADAGRAD, YOGI };

const wh_optimizer_class *wh_optimizer_classes(void)
{
    return classes;
}

const wh_optimizer_class *wh_optimizer_find(const char *name)
{
    for (const wh_optimizer_class *c = classes; name && c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

/* ---- One element after the other --------------------------------------------------------------------------- */

typedef struct rule {
    double lr, momentum, decay, beta1, beta2, eps, clip; /* as the study says; lr as the schedule leaves it */
    float scale;                                         /* of the gradient, by clipping */
    uint64_t t;                                          /* 1 for the first step */
} rule;

static void step_sgd(const rule *r, float *restrict w, const float *restrict grad, size_t n)
{
    const float lr = (float)r->lr, decay = (float)r->decay, scale = r->scale;
    for (size_t i = 0; i < n; i++) w[i] -= lr * (scale * grad[i] + decay * w[i]);
}

static void step_momentum(const rule *r, float *restrict w, float *restrict v, const float *restrict grad, size_t n)
{
    const float lr = (float)r->lr, momentum = (float)r->momentum, decay = (float)r->decay, scale = r->scale;
    for (size_t i = 0; i < n; i++) {
        float g = scale * grad[i] + decay * w[i];
        v[i] = momentum * v[i] + g;
        w[i] -= lr * v[i];
    }
}

static void step_nesterov(const rule *r, float *restrict w, float *restrict v, const float *restrict grad, size_t n)
{
    const float lr = (float)r->lr, momentum = (float)r->momentum, decay = (float)r->decay, scale = r->scale;
    for (size_t i = 0; i < n; i++) {
        float g = scale * grad[i] + decay * w[i];
        v[i] = momentum * v[i] + g;
        w[i] -= lr * (g + momentum * v[i]);
    }
}

/* Adam's constants: the bias corrections go into the rate and into the root. */
static wh_adam_terms moments_of(const rule *r)
{
    return (wh_adam_terms){
        .beta1 = (float)r->beta1,
        .beta2 = (float)r->beta2,
        .rest1 = (float)(1 - r->beta1),
        .rest2 = (float)(1 - r->beta2),
        .eps = (float)r->eps,
        .lr = (float)(r->lr / (1 - pow(r->beta1, (double)r->t))),
        .correct2 = (float)(1 / sqrt(1 - pow(r->beta2, (double)r->t))),
        .scale = r->scale,
    };
}

/* apart: the decay is taken off the parameters and is no part of the gradient. */
static void step_adam(const rule *r, bool apart, float *restrict w, float *restrict m, float *restrict v,
                      const float *restrict grad, size_t n)
{
    wh_adam_terms terms = moments_of(r);
    if (apart)
        terms.shrink = (float)(r->lr * r->decay);
    else
        terms.decay = (float)r->decay;
    wh_num_kernels_get()->adam(w, m, v, grad, n, &terms);
}

static void step_adagrad(const rule *r, float *restrict w, float *restrict v, const float *restrict grad, size_t n)
{
    const float lr = (float)r->lr, eps = (float)r->eps, decay = (float)r->decay, scale = r->scale;
    for (size_t i = 0; i < n; i++) {
        float g = scale * grad[i] + decay * w[i];
        v[i] += g * g;
        w[i] -= lr * g / (sqrtf(v[i]) + eps);
    }
}

static void step_yogi(const rule *r, float *restrict w, float *restrict m, float *restrict v,
                      const float *restrict grad, size_t n)
{
    const wh_adam_terms c = moments_of(r);
    const float decay = (float)r->decay, scale = r->scale;
    for (size_t i = 0; i < n; i++) {
        float g = scale * grad[i] + decay * w[i], square = g * g;
        float sign = (float)(v[i] > square) - (float)(v[i] < square);
        m[i] = c.beta1 * m[i] + c.rest1 * g;
        v[i] -= c.rest2 * sign * square;
        w[i] -= c.lr * m[i] / (sqrtf(v[i]) * c.correct2 + c.eps);
    }
}

/* ---- Objects --------------------------------------------------------------------------------------------------- */

enum { BLOCK = 1 << 16 };

struct wh_optimizer {
    const wh_optimizer_class *class_;
    size_t n;
    float *states[2]; /* (n) each */
    rule rule;
    float *params; /* of the step that runs */
    const float *grad;
};

static double option(const whist_settings *settings, const char *name)
{
    return wh_settings_has(settings, name) ? whist_settings_real(settings, name) : 0;
}

whist_status wh_optimizer_new(wh_optimizer **out, const wh_optimizer_class *class_, const whist_settings *settings,
                              size_t n)
{
    WH_ENSURE(out && class_ && settings, WHIST_E_ARG);
    WH_AUTO(wh_optimizer_ptr) o = NULL;
    WH_TRY(WH_NEW(&o, 1));
    o->class_ = class_;
    o->n = n;
    for (unsigned i = 0; i < class_->n_states; i++) WH_TRY(WH_NEW(&o->states[i], n));
    o->rule = (rule){
        .momentum = option(settings, "momentum"),
        .decay = option(settings, "weight_decay"),
        .beta1 = option(settings, "beta1"),
        .beta2 = option(settings, "beta2"),
        .eps = option(settings, "eps"),
        .clip = option(settings, "clip"),
    };
    *out = o;
    o = NULL;
    return WHIST_OK;
}

void wh_optimizer_free(wh_optimizer *o)
{
    if (!o) return;
    for (size_t i = 0; i < WH_COUNT(o->states); i++) wh_free(o->states[i]);
    wh_free(o);
}

void wh_optimizer_reset(wh_optimizer *o)
{
    for (unsigned i = 0; i < o->class_->n_states; i++) memset(o->states[i], 0, o->n * sizeof(float));
    o->rule.t = 0;
}

static whist_status step_block(void *user, size_t block, unsigned worker)
{
    (void)worker;
    const wh_optimizer *o = user;
    const rule *r = &o->rule;
    size_t at = block * BLOCK, n = o->n - at < BLOCK ? o->n - at : BLOCK;
    float *w = o->params + at, *a = o->states[0] ? o->states[0] + at : NULL,
          *b = o->states[1] ? o->states[1] + at : NULL;
    const float *g = o->grad + at;
    switch (o->class_ - classes) {
    case SGD: step_sgd(r, w, g, n); break;
    case MOMENTUM: step_momentum(r, w, a, g, n); break;
    case NESTEROV: step_nesterov(r, w, a, g, n); break;
    case ADAM: step_adam(r, false, w, a, b, g, n); break;
    case ADAMW: step_adam(r, true, w, a, b, g, n); break;
    case ADAGRAD: step_adagrad(r, w, a, g, n); break;
    case YOGI: step_yogi(r, w, a, b, g, n); break;
    default: break;
    }
    return WHIST_OK;
}

void wh_optimizer_step(wh_optimizer *o, float *params, const float *grad, double lr, wh_pool *pool)
{
    o->rule.lr = lr;
    o->rule.t++;
    o->rule.scale = 1;
    if (o->rule.clip > 0) {
        double norm = wh_norm(grad, o->n, pool);
        if (norm > o->rule.clip) o->rule.scale = (float)(o->rule.clip / norm);
    }
    o->params = params;
    o->grad = grad;
    whist_status status = wh_pool_run(pool, (o->n + BLOCK - 1) / BLOCK, step_block, o);
    WH_CHECK(status == WHIST_OK); /* blocks cannot fail */
}

float *wh_optimizer_state(wh_optimizer *o, unsigned i)
{
    return i < o->class_->n_states ? o->states[i] : NULL;
}

uint64_t wh_optimizer_steps(const wh_optimizer *o)
{
    return o->rule.t;
}

void wh_optimizer_set_steps(wh_optimizer *o, uint64_t steps)
{
    o->rule.t = steps;
}

/* ---- Norms ------------------------------------------------------------------------------------------------------- */

enum { LANES = 8, GROUP = 64 };

typedef struct norm_work {
    const float *x;
    size_t n, first; /* block of the group's first */
    double sum[GROUP];
} norm_work;

static whist_status norm_block(void *user, size_t block, unsigned worker)
{
    (void)worker;
    norm_work *w = user;
    size_t at = (w->first + block) * BLOCK, n = w->n - at < BLOCK ? w->n - at : BLOCK;
    const float *x = w->x + at;
    double lane[LANES] = {0}, sum = 0;
    for (size_t i = 0; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) lane[l] += (double)x[i + l] * (double)x[i + l];
    for (size_t i = n / LANES * LANES; i < n; i++) lane[i % LANES] += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < LANES; l++) sum += lane[l];
    w->sum[block] = sum;
    return WHIST_OK;
}

double wh_norm(const float *x, size_t n, wh_pool *pool)
{
    norm_work w = {.x = x, .n = n};
    double sum = 0;
    for (size_t blocks = (n + BLOCK - 1) / BLOCK; w.first < blocks; w.first += GROUP) {
        size_t some = blocks - w.first < GROUP ? blocks - w.first : GROUP;
        whist_status status = wh_pool_run(pool, some, norm_block, &w);
        WH_CHECK(status == WHIST_OK);
        for (size_t b = 0; b < some; b++) sum += w.sum[b];
    }
    return sqrt(sum);
}
