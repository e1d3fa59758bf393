/* meta/checkpoint.c: a training over tasks as a file.
 *
 *   tensors    params, best, optimizer.state0, optimizer.state1 (n), F32
 *   metadata   study, seed, learner, optimizer, kernels, step, optimizer_steps, loss_sum, best_score (hexadecimal),
 *              loss_n, best_step; sha256 of all of it (codec/safetensors_seal.c), which files of before that lack */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec/safetensors.h"
#include "meta/train.h"

enum { IDENTITY = 5, META = 11, VALUE = 128, VECTORS = 4 };

/* ---- Metadata ------------------------------------------------------------------------------------------- */

typedef struct texts {
    char values[META][VALUE];
} texts;

static const char *const keys[META] = {"study",           "seed",     "learner",    "optimizer", "kernels",  "step",
                                       "optimizer_steps", "loss_sum", "best_score", "loss_n",    "best_step"};

static void describe(texts *m, const whist_meta_train *t)
{
    wh_hex(m->values[0], t->env.study, 32);
    snprintf(m->values[1], VALUE, "%" PRIu64, t->env.seed);
    snprintf(m->values[2], VALUE, "%s", t->env.learner->name);
    snprintf(m->values[3], VALUE, "%s", t->training.optimizer);
    snprintf(m->values[4], VALUE, "%s", whist_model_kernels());
    m->values[4][strcspn(m->values[4], "+")] = 0; /* what is behind the plus comes with the first large product */
    snprintf(m->values[5], VALUE, "%" PRIu64, t->step);
    snprintf(m->values[6], VALUE, "%" PRIu64, wh_optimizer_steps(t->optimizer));
    snprintf(m->values[7], VALUE, "%a", t->loss_sum);
    snprintf(m->values[8], VALUE, "%a", t->best_score);
    snprintf(m->values[9], VALUE, "%" PRIu64, t->loss_n);
    snprintf(m->values[10], VALUE, "%" PRIu64, t->best_step);
}

/* ---- Vectors ---------------------------------------------------------------------------------------------- */

static size_t vectors_of(const char *names[VECTORS], float *values[VECTORS], const whist_meta_train *t)
{
    static const char *const states[] = {"optimizer.state0", "optimizer.state1"};
    size_t n = 2;
    names[0] = "params", values[0] = t->params;
    names[1] = "best", values[1] = t->best;
    for (unsigned i = 0; i < 2 && wh_optimizer_state(t->optimizer, i); i++, n++)
        names[n] = states[i], values[n] = wh_optimizer_state(t->optimizer, i);
    return n;
}

static whist_status write_file(const char *path, const wh_buf *header, float *const values[], size_t n, size_t each)
{
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_RDWR | O_CREAT | O_TRUNC, 0644));
    whist_status status = wh_write_at(fd, header->data, header->len, 0);
    for (size_t i = 0; status == WHIST_OK && i < n; i++)
        status = wh_write_at(fd, values[i], each * sizeof(float), header->len + i * each * sizeof(float));
    if (status == WHIST_OK) status = wh_safetensors_seal(fd, "a checkpoint");
    if (status == WHIST_OK) status = wh_sync(fd);
    return status == WHIST_OK ? WHIST_OK : wh_fail_context(status, "%s: ", path);
}

whist_status whist_meta_train_save(const whist_meta_train *t, const char *path)
{
    WH_ENSURE(t && path, WHIST_E_ARG);
    const char *names[VECTORS];
    float *values[VECTORS];
    texts text;
    wh_safetensors_meta meta[META + 1] = {[META] = {WH_SAFETENSORS_SEAL, WH_SAFETENSORS_UNSEALED}};
    wh_safetensor tensors[VECTORS];
    WH_AUTO(wh_buf) header = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) part = WH_BUF_EMPTY;
    size_t n = vectors_of(names, values, t);
    describe(&text, t);
    for (size_t i = 0; i < META; i++) meta[i] = (wh_safetensors_meta){keys[i], text.values[i]};
    for (size_t i = 0; i < n; i++)
        tensors[i] = (wh_safetensor){.name = names[i], .type = WH_DTYPE_F32, .n_dims = 1, .dims = {t->n}};
    WH_TRY(wh_safetensors_header(&header, tensors, n, meta, META + 1));
    WH_TRY(wh_buf_text(&part, "%s.part", path));
    whist_status status = write_file(wh_buf_str(&part), &header, values, n, t->n);
    if (status == WHIST_OK) status = wh_file_put_in_place(wh_buf_str(&part), path);
    if (status == WHIST_OK) return WHIST_OK;
    whist_detail why = *whist_detail_get();
    if (wh_file_remove(wh_buf_str(&part)) != WHIST_OK) wh_detail_put(&why);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

static whist_status check_identity(const whist_meta_train *t, const wh_safetensors *file, const char *path)
{
    texts own;
    describe(&own, t);
    for (size_t i = 0; i < IDENTITY; i++) {
        const char *have = wh_safetensors_meta_find(file, keys[i]);
        if (!have)
            WH_FAIL(WHIST_E_FORMAT, "%s is no checkpoint of few-shot training: it does not say its %s", path, keys[i]);
        if (strcmp(have, own.values[i]) != 0)
            WH_FAIL(WHIST_E_STATE, "%s: its %s is %.80s and this run's is %.80s: the bits would be others", path,
                    keys[i], have, own.values[i]);
    }
    return WHIST_OK;
}

static whist_status number(double *out, const wh_safetensors *file, const char *key, const char *path)
{
    const char *text = wh_safetensors_meta_find(file, key);
    char *end = NULL;
    double value = text && *text ? strtod(text, &end) : NAN;
    if (!end || *end || !isfinite(value))
        WH_FAIL(WHIST_E_FORMAT, "%s is no checkpoint of few-shot training: its %s is not a number", path, key);
    *out = value;
    return WHIST_OK;
}

/* Whole numbers in their range: step, optimiser's steps, loss_n, best_step. */
static whist_status position(double at[4], const whist_meta_train *t, const wh_safetensors *file, const char *path)
{
    static const char *const names[4] = {"step", "optimizer_steps", "loss_n", "best_step"};
    bool good = true;
    for (size_t i = 0; i < 4; i++) {
        WH_TRY(number(&at[i], file, names[i], path));
        good = good && at[i] >= 0 && at[i] <= (i == 0 ? (double)t->training.steps : at[0]) && at[i] == floor(at[i]);
    }
    if (!good || at[1] != at[0]) WH_FAIL(WHIST_E_FORMAT, "%s: its position is not one of this training", path);
    return WHIST_OK;
}

static whist_status read_vector(float *out, int fd, const wh_safetensors *file, const char *name, size_t n,
                                const char *path)
{
    const wh_safetensor *tensor = wh_safetensors_find(file, name);
    if (!tensor || tensor->type != WH_DTYPE_F32 || tensor->n_dims != 1 || tensor->dims[0] != n)
        WH_FAIL(WHIST_E_FORMAT, "%s: the tensor '%s' (%zu) is missing or of another shape", path, name, n);
    WH_TRY(wh_read_at(fd, out, n * sizeof *out, tensor->offset));
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i])) WH_FAIL(WHIST_E_FORMAT, "%s: value %zu of '%s' is not finite", path, i, name);
    return WHIST_OK;
}

whist_status whist_meta_train_load(whist_meta_train *t, const char *path)
{
    WH_ENSURE(t && path, WHIST_E_ARG);
    const char *names[VECTORS];
    float *values[VECTORS];
    double at[4], loss_sum, best;
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_AUTO(wh_owned) memory = NULL;
    size_t n = vectors_of(names, values, t);
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_safetensors_read_fd(&file, fd, path));
    WH_TRY(check_identity(t, &file, path));
    if (file.n_meta != META) WH_TRY(wh_safetensors_check_seal(fd, path));
    WH_TRY(position(at, t, &file, path));
    WH_TRY(number(&loss_sum, &file, "loss_sum", path));
    WH_TRY(number(&best, &file, "best_score", path));
    if (file.n_tensors != n) WH_FAIL(WHIST_E_FORMAT, "%s: %zu tensors, and this run has %zu", path, file.n_tensors, n);
    WH_TRY(wh_alloc_raw(&memory, n * t->n, sizeof(float)));
    float *read = memory;
    for (size_t i = 0; i < n; i++) WH_TRY(read_vector(read + i * t->n, fd, &file, names[i], t->n, path));
    for (size_t i = 0; i < n; i++) memcpy(values[i], read + i * t->n, t->n * sizeof *read);
    t->step = (uint64_t)at[0];
    wh_optimizer_set_steps(t->optimizer, (uint64_t)at[1]);
    t->loss_n = (uint64_t)at[2];
    t->best_step = (uint64_t)at[3];
    t->loss_sum = loss_sum;
    t->best_score = best;
    return WHIST_OK;
}
