/* learn/train_file.c: a training run as a file, and its points as files.
 *
 *   tensors    those of the model; optimizer.state0, optimizer.state1 (n); training.points (k, 4 + 3 m) F64:
 *              step, rate, loss, fold, then num, den, n of each metric
 *   metadata   study, seed, optimizer, kernels, metrics, step, optimizer_steps, loss_sum (as hexadecimal), loss_n;
 *              sha256 of all of it (codec/safetensors_seal.c), which files of before that lack */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "codec/tfevents.h"
#include "learn/checkpoint.h"
#include "learn/train.h"
#include "nn/graph/lower.h"

enum { FIXED = 4, META = 9, VALUE = 512 };
#define POINTS "training.points"
static const char *const state_names[] = {"optimizer.state0", "optimizer.state1"};

/* ---- Metadata ----------------------------------------------------------------------------------------- */

/* "avx512+openblas-X": the part behind the plus comes with the first large product. What WHIST_CONV asks for is known
 * before the first convolution. */
static void own_kernels(char out[VALUE])
{
    const char *set = whist_model_kernels();
    snprintf(out, VALUE, "%.*s%s", (int)strcspn(set, "+"), set, wh_graph_lower_name());
}

typedef struct meta_text {
    char texts[META][VALUE];
    const char *values[META];
    wh_checkpoint meta;
} meta_text;

static void identity(meta_text *m, const whist_train *t)
{
    static const char *const keys[META] = {"study",           "seed",     "optimizer", "kernels", "metrics", "step",
                                           "optimizer_steps", "loss_sum", "loss_n"};
    wh_hex(m->texts[0], t->env.study, 32);
    snprintf(m->texts[1], VALUE, "%" PRIu64, t->env.seed);
    snprintf(m->texts[2], VALUE, "%s", t->env.training.optimizer);
    own_kernels(m->texts[3]);
    size_t at = 0;
    m->texts[4][0] = 0;
    for (size_t i = 0; i < t->env.n_metrics && at < VALUE - 64; i++)
        at += (size_t)snprintf(m->texts[4] + at, 64, "%s%s", i ? " " : "", t->env.metrics[i]);
    snprintf(m->texts[5], VALUE, "%" PRIu64, t->step);
    snprintf(m->texts[6], VALUE, "%" PRIu64, wh_optimizer_steps(t->optimizer));
    snprintf(m->texts[7], VALUE, "%a", t->loss_sum);
    snprintf(m->texts[8], VALUE, "%" PRIu64, t->loss_n);
    for (size_t i = 0; i < META; i++) m->values[i] = m->texts[i];
    m->meta = (wh_checkpoint){.what = "checkpoint", .keys = keys, .values = m->values, .n = META, .identity = 5};
}

/* ---- Tensors -------------------------------------------------------------------------------------------- */

typedef struct layout {
    wh_safetensor *tensors; /* owned */
    size_t n_model, n;
} layout;

static void layout_clear(layout *l)
{
    wh_free(l->tensors);
}
WH_AUTO_CLEAR(layout, layout_clear)

static whist_status lay_out(layout *out, const whist_train *t, size_t n_points)
{
    const whist_tensor_info *infos = whist_model_tensors(t->env.model, &out->n_model);
    WH_TRY(WH_NEW(&out->tensors, out->n_model + WH_COUNT(state_names) + 1));
    for (size_t i = 0; i < out->n_model; i++) {
        out->tensors[i] =
            (wh_safetensor){.name = infos[i].name, .type = WH_DTYPE_F32, .n_dims = (unsigned)infos[i].n_dims};
        memcpy(out->tensors[i].dims, infos[i].shape, infos[i].n_dims * sizeof(size_t));
    }
    out->n = out->n_model;
    for (unsigned i = 0; wh_optimizer_state(t->optimizer, i); i++)
        out->tensors[out->n++] =
            (wh_safetensor){.name = state_names[i], .type = WH_DTYPE_F32, .n_dims = 1, .dims = {t->n}};
    out->tensors[out->n++] = (wh_safetensor){
        .name = POINTS, .type = WH_DTYPE_F64, .n_dims = 2, .dims = {n_points, FIXED + 3 * t->env.n_metrics}};
    return WHIST_OK;
}

static void point_to_numbers(double *out, const whist_train_point *p, size_t n_metrics)
{
    out[0] = (double)p->step, out[1] = p->lr, out[2] = p->loss, out[3] = (double)p->fold;
    for (size_t m = 0; m < n_metrics; m++) {
        double *to = out + FIXED + 3 * m;
        to[0] = p->metrics[m].num, to[1] = p->metrics[m].den, to[2] = p->metrics[m].n;
    }
}

static void point_from_numbers(whist_train_point *p, const double *in, size_t n_metrics, uint64_t pass)
{
    *p = (whist_train_point){.step = (uint64_t)in[0], .lr = in[1], .loss = in[2], .fold = (whist_fold)in[3]};
    p->epoch = (double)p->step / (double)pass;
    for (size_t m = 0; m < n_metrics; m++) {
        const double *from = in + FIXED + 3 * m;
        p->metrics[m] = (whist_metric_value){from[0], from[1], from[2]};
    }
}

/* ---- Writing ----------------------------------------------------------------------------------------------- */

static whist_status write_values(void *user, int fd, uint64_t at)
{
    const whist_train *t = user;
    size_t bytes = t->n * sizeof(float), width = FIXED + 3 * t->env.n_metrics;
    WH_TRY(wh_write_at(fd, t->params, bytes, at));
    at += bytes;
    for (unsigned i = 0; wh_optimizer_state(t->optimizer, i); i++, at += bytes)
        WH_TRY(wh_write_at(fd, wh_optimizer_state(t->optimizer, i), bytes, at));
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, t->n_points * width, sizeof(double)));
    double *numbers = memory;
    for (size_t i = 0; i < t->n_points; i++) point_to_numbers(numbers + i * width, &t->points[i], t->env.n_metrics);
    return t->n_points ? wh_write_at(fd, numbers, t->n_points * width * sizeof(double), at) : WHIST_OK;
}

whist_status whist_train_save(const whist_train *t, const char *path)
{
    WH_ENSURE(t && path, WHIST_E_ARG);
    meta_text text;
    WH_AUTO(layout) tensors = {0};
    identity(&text, t);
    WH_TRY(lay_out(&tensors, t, t->n_points));
    return wh_checkpoint_save(path, tensors.tensors, tensors.n, &text.meta, write_values, (void *)(uintptr_t)t);
}

/* ---- Reading ----------------------------------------------------------------------------------------------- */

static whist_status check_tensors(const layout *want, const wh_safetensors *file, const char *path)
{
    for (size_t i = 0; i < want->n; i++) {
        const wh_safetensor *w = &want->tensors[i], *have = wh_safetensors_find(file, w->name);
        char wanted[96] = "", found[96] = "";
        for (unsigned d = 0, at = 0; d < w->n_dims; d++)
            at += (unsigned)snprintf(wanted + at, sizeof wanted - at, "%s%zu", d ? "," : "", w->dims[d]);
        for (unsigned d = 0, at = 0; have && d < have->n_dims && at < 64; d++)
            at += (unsigned)snprintf(found + at, sizeof found - at, "%s%zu", d ? "," : "", have->dims[d]);
        if (!have) WH_FAIL(WHIST_E_FORMAT, "%s: the tensor '%s' (%s) is missing", path, w->name, wanted);
        if (have->type != w->type || strcmp(found, wanted) != 0)
            WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%s' is (%s) and this run's is (%s)", path, w->name, found, wanted);
    }
    if (file->n_tensors != want->n)
        WH_FAIL(WHIST_E_FORMAT, "%s: %zu tensors, and this run has %zu", path, file->n_tensors, want->n);
    return WHIST_OK;
}

/* What is read, before any of it is believed. */
typedef struct saved {
    float *params, *state[2];
    double *points, step, optimizer_steps, loss_sum, loss_n;
    wh_arena memory;
} saved;

static void saved_clear(saved *s)
{
    wh_arena_clear(&s->memory);
}
WH_AUTO_CLEAR(saved, saved_clear)

static whist_status read_vector(float **out, saved *s, int fd, const wh_safetensor *tensor, size_t n)
{
    WH_TRY(WH_ARENA_NEW(out, &s->memory, n));
    return wh_checkpoint_vector(*out, fd, tensor, n);
}

static whist_status read_all(saved *s, int fd, const wh_safetensors *file, const whist_train *t, const layout *want)
{
    size_t n;
    const whist_tensor_info *infos = whist_model_tensors(t->env.model, &n);
    WH_TRY(WH_ARENA_NEW(&s->params, &s->memory, t->n));
    for (size_t i = 0; i < n; i++) {
        float *values;
        WH_TRY(read_vector(&values, s, fd, wh_safetensors_find(file, infos[i].name), infos[i].size));
        memcpy(s->params + infos[i].offset, values, infos[i].size * sizeof *values);
    }
    for (unsigned i = 0; wh_optimizer_state(t->optimizer, i); i++)
        WH_TRY(read_vector(&s->state[i], s, fd, wh_safetensors_find(file, state_names[i]), t->n));
    const wh_safetensor *points = &want->tensors[want->n - 1];
    size_t count = points->dims[0] * points->dims[1];
    WH_TRY(WH_ARENA_NEW(&s->points, &s->memory, count));
    if (count) WH_TRY(wh_read_at(fd, s->points, count * sizeof(double), wh_safetensors_find(file, POINTS)->offset));
    return WHIST_OK;
}

static whist_status check_saved(const saved *s, const whist_train *t, const layout *want, const char *path)
{
    bool good = s->step >= 0 && s->step <= (double)t->total && s->step == floor(s->step) && s->loss_n >= 0 &&
                s->loss_n <= s->step && s->optimizer_steps == s->step;
    const wh_safetensor *points = &want->tensors[want->n - 1];
    for (size_t i = 0; good && i < points->dims[0]; i++) {
        const double *p = s->points + i * points->dims[1];
        good = p[0] >= 0 && p[0] <= s->step && p[3] >= 0 && p[3] <= WHIST_FOLD_TEST;
    }
    if (!good) WH_FAIL(WHIST_E_FORMAT, "%s: its position is not one of this training", path);
    return WHIST_OK;
}

static whist_status adopt(whist_train *t, const saved *s, size_t n_points)
{
    const size_t width = FIXED + 3 * t->env.n_metrics;
    WH_TRY(wh_train_reserve(t, n_points));
    memcpy(t->params, s->params, t->n * sizeof *t->params);
    for (unsigned i = 0; wh_optimizer_state(t->optimizer, i); i++)
        memcpy(wh_optimizer_state(t->optimizer, i), s->state[i], t->n * sizeof(float));
    for (size_t i = 0; i < n_points; i++)
        point_from_numbers(&t->points[i], s->points + i * width, t->env.n_metrics, t->pass);
    t->n_points = n_points;
    t->step = (uint64_t)s->step;
    t->loss_sum = s->loss_sum;
    t->loss_n = (uint64_t)s->loss_n;
    wh_optimizer_set_steps(t->optimizer, (uint64_t)s->optimizer_steps);
    return WHIST_OK;
}

whist_status whist_train_load(whist_train *t, const char *path)
{
    WH_ENSURE(t && path, WHIST_E_ARG);
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_AUTO(layout) want = {0};
    WH_AUTO(saved) s = {.memory = WH_ARENA_EMPTY};
    meta_text own;
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_safetensors_read_fd(&file, fd, path));
    identity(&own, t);
    WH_TRY(wh_checkpoint_check(&file, &own.meta, fd, path));
    const wh_safetensor *points = wh_safetensors_find(&file, POINTS);
    WH_TRY(lay_out(&want, t, points && points->n_dims == 2 ? points->dims[0] : 0));
    WH_TRY(check_tensors(&want, &file, path));
    WH_TRY(wh_checkpoint_number(&s.step, &file, &own.meta, "step", path));
    WH_TRY(wh_checkpoint_number(&s.optimizer_steps, &file, &own.meta, "optimizer_steps", path));
    WH_TRY(wh_checkpoint_number(&s.loss_sum, &file, &own.meta, "loss_sum", path));
    WH_TRY(wh_checkpoint_number(&s.loss_n, &file, &own.meta, "loss_n", path));
    whist_status status = read_all(&s, fd, &file, t, &want);
    if (status != WHIST_OK) return wh_fail_context(status, "%s: ", path);
    WH_TRY(check_saved(&s, t, &want, path));
    return adopt(t, &s, want.tensors[want.n - 1].dims[0]);
}

/* ---- Points as files ------------------------------------------------------------------------------------- */

static const char *fold_name(whist_fold fold)
{
    return fold == WHIST_FOLD_TEST ? "test" : fold == WHIST_FOLD_VALIDATION ? "validation" : "train";
}

static whist_status write_csv(wh_buf *out, const whist_train *t)
{
    WH_TRY(wh_buf_text(out, "step,epoch,lr,loss,fold"));
    for (size_t m = 0; m < t->env.n_metrics; m++) WH_TRY(wh_buf_text(out, ",%s", t->env.metrics[m]));
    WH_TRY(wh_buf_text(out, "\n"));
    for (size_t i = 0; i < t->n_points; i++) {
        const whist_train_point *p = &t->points[i];
        WH_TRY(wh_buf_text(out, "%" PRIu64 ",%.17g,%.17g,%.17g,%s", p->step, p->epoch, p->lr, p->loss,
                           fold_name(p->fold)));
        for (size_t m = 0; m < t->env.n_metrics; m++) {
            bool is = p->metrics[m].den > 0;
            WH_TRY(is ? wh_buf_text(out, ",%.17g", p->metrics[m].num / p->metrics[m].den) : wh_buf_text(out, ","));
        }
        WH_TRY(wh_buf_text(out, "\n"));
    }
    return WHIST_OK;
}

static whist_status write_events(wh_buf *out, const whist_train *t, double now)
{
    WH_TRY(wh_tfevents_begin(out, now));
    for (size_t i = 0; i < t->n_points; i++) {
        const whist_train_point *p = &t->points[i];
        WH_TRY(wh_tfevents_scalar(out, now, (int64_t)p->step, "train/loss", (float)p->loss));
        WH_TRY(wh_tfevents_scalar(out, now, (int64_t)p->step, "train/lr", (float)p->lr));
        for (size_t m = 0; m < t->env.n_metrics; m++) {
            char tag[96];
            snprintf(tag, sizeof tag, "%s/%.64s", fold_name(p->fold), t->env.metrics[m]);
            if (p->metrics[m].den > 0)
                WH_TRY(wh_tfevents_scalar(out, now, (int64_t)p->step, tag,
                                          (float)(p->metrics[m].num / p->metrics[m].den)));
        }
    }
    return WHIST_OK;
}

whist_status whist_train_save_points(const whist_train *t, const char *dir)
{
    WH_ENSURE(t && dir, WHIST_E_ARG);
    WH_AUTO(wh_buf) csv = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) events = WH_BUF_EMPTY;
    WH_AUTO(wh_owned) csv_path = NULL;
    WH_AUTO(wh_owned) events_path = NULL;
    char label[17];
    WH_TRY(wh_make_dirs(dir));
    WH_TRY(write_csv(&csv, t));
    WH_TRY(write_events(&events, t, (double)wh_clock_unix_ms() / 1000));
    WH_TRY(wh_path((char **)&csv_path, dir, "training.csv"));
    /* One name for a study: a later run replaces the events of an earlier one. */
    wh_hex(label, t->env.study, 8);
    WH_TRY(wh_path((char **)&events_path, dir, "events.out.tfevents.0.training-%s", label));
    WH_TRY(wh_file_write(csv_path, wh_buf_view(&csv), 0644));
    return wh_file_write(events_path, wh_buf_view(&events), 0644);
}
