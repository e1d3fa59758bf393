/* meta/checkpoint.c: a training over tasks as a file.
 *
 *   tensors    params, best, optimizer.state0, optimizer.state1 (n), F32
 *   metadata   study, seed, learner, optimizer, kernels, step, optimizer_steps, loss_sum, best_score (hexadecimal),
 *              loss_n, best_step; sha256 of all of it (codec/safetensors_seal.c), which files of before that lack */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "learn/checkpoint.h"
#include "meta/train.h"

enum { META = 11, VALUE = 128, VECTORS = 4 };

/* ---- Metadata ------------------------------------------------------------------------------------------- */

typedef struct texts {
    char texts[META][VALUE];
    const char *values[META];
    wh_checkpoint meta;
} texts;

static const char *const keys[META] = {"study",           "seed",     "learner",    "optimizer", "kernels",  "step",
                                       "optimizer_steps", "loss_sum", "best_score", "loss_n",    "best_step"};

static void describe(texts *m, const whist_meta_train *t)
{
    wh_hex(m->texts[0], t->env.study, 32);
    snprintf(m->texts[1], VALUE, "%" PRIu64, t->env.seed);
    snprintf(m->texts[2], VALUE, "%s", t->env.learner->name);
    snprintf(m->texts[3], VALUE, "%s", t->training.optimizer);
    snprintf(m->texts[4], VALUE, "%s", whist_model_kernels());
    m->texts[4][strcspn(m->texts[4], "+")] = 0; /* what is behind the plus comes with the first large product */
    snprintf(m->texts[5], VALUE, "%" PRIu64, t->step);
    snprintf(m->texts[6], VALUE, "%" PRIu64, wh_optimizer_steps(t->optimizer));
    snprintf(m->texts[7], VALUE, "%a", t->loss_sum);
    snprintf(m->texts[8], VALUE, "%a", t->best_score);
    snprintf(m->texts[9], VALUE, "%" PRIu64, t->loss_n);
    snprintf(m->texts[10], VALUE, "%" PRIu64, t->best_step);
    for (size_t i = 0; i < META; i++) m->values[i] = m->texts[i];
    m->meta = (wh_checkpoint){
        .what = "checkpoint of few-shot training", .keys = keys, .values = m->values, .n = META, .identity = 5};
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

static whist_status write_vectors(void *user, int fd, uint64_t at)
{
    const whist_meta_train *t = user;
    const char *names[VECTORS];
    float *values[VECTORS];
    size_t n = vectors_of(names, values, t), bytes = t->n * sizeof(float);
    for (size_t i = 0; i < n; i++) WH_TRY(wh_write_at(fd, values[i], bytes, at + i * bytes));
    return WHIST_OK;
}

whist_status whist_meta_train_save(const whist_meta_train *t, const char *path)
{
    WH_ENSURE(t && path, WHIST_E_ARG);
    const char *names[VECTORS];
    float *values[VECTORS];
    texts text;
    wh_safetensor tensors[VECTORS];
    size_t n = vectors_of(names, values, t);
    describe(&text, t);
    for (size_t i = 0; i < n; i++)
        tensors[i] = (wh_safetensor){.name = names[i], .type = WH_DTYPE_F32, .n_dims = 1, .dims = {t->n}};
    return wh_checkpoint_save(path, tensors, n, &text.meta, write_vectors, (void *)(uintptr_t)t);
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

/* Whole numbers in their range: step, optimiser's steps, loss_n, best_step. */
static whist_status position(double at[4], const whist_meta_train *t, const wh_safetensors *file,
                             const wh_checkpoint *own, const char *path)
{
    static const char *const names[4] = {"step", "optimizer_steps", "loss_n", "best_step"};
    bool good = true;
    for (size_t i = 0; i < 4; i++) {
        WH_TRY(wh_checkpoint_number(&at[i], file, own, names[i], path));
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
    whist_status status = wh_checkpoint_vector(out, fd, tensor, n);
    return status == WHIST_OK ? WHIST_OK : wh_fail_context(status, "%s: ", path);
}

whist_status whist_meta_train_load(whist_meta_train *t, const char *path)
{
    WH_ENSURE(t && path, WHIST_E_ARG);
    const char *names[VECTORS];
    float *values[VECTORS];
    double at[4], loss_sum, best;
    texts own;
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_AUTO(wh_owned) memory = NULL;
    size_t n = vectors_of(names, values, t);
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_safetensors_read_fd(&file, fd, path));
    describe(&own, t);
    WH_TRY(wh_checkpoint_check(&file, &own.meta, fd, path));
    WH_TRY(position(at, t, &file, &own.meta, path));
    WH_TRY(wh_checkpoint_number(&loss_sum, &file, &own.meta, "loss_sum", path));
    WH_TRY(wh_checkpoint_number(&best, &file, &own.meta, "best_score", path));
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
