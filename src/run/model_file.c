/* run/model_file.c: a model as a safetensors file, with what it came from in its metadata.
 *
 * The values go straight from the parameters into the file and back: the tensors of a model cover its
 * parameters without a gap and in order, and so do their bytes in the file that is written here. A file of other
 * tools may have them in another order; names and shapes must be the model's. Behind them stand, where features were
 * standardised over all sites, their pooled mean and sd. */
#include "base/file.h"
#include "codec/safetensors.h"

#include <whist/run.h>

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MEAN "standardize.mean"
#define SD "standardize.sd"
enum { MAX_META = 64, OWN_META = 8, SHAPE_TEXT = 96 };

/* ---- Shapes in words ---- */

static void shape_text(char out[SHAPE_TEXT], const size_t *dims, size_t n)
{
    size_t at = (size_t)snprintf(out, SHAPE_TEXT, "(");
    for (size_t i = 0; i < n && at < SHAPE_TEXT - 24; i++)
        at += (size_t)snprintf(out + at, SHAPE_TEXT - at, "%s%zu", i ? "," : "", dims[i]);
    snprintf(out + at, SHAPE_TEXT - at, ")");
}

/* ---- Writing ---- */

static whist_status check_finite(whist_status code, const char *path, const whist_tensor_info *info,
                                 const float *values)
{
    for (size_t i = 0; i < info->size; i++)
        if (!isfinite(values[i]))
            WH_FAIL(code, "%s: value %zu of tensor '%s' is not a finite number", path, i, info->name);
    return WHIST_OK;
}

/* mean (which 0) or sd (1) as a tensor behind the model's. */
static whist_tensor_info moment_info(int which, size_t n_features)
{
    whist_tensor_info info = {.n_dims = 1, .shape = {n_features}, .size = n_features};
    snprintf(info.name, sizeof info.name, "%s", which ? SD : MEAN);
    return info;
}

static whist_status check_params(const char *path, const whist_fed_plan *plan, const float *params,
                                 const float *moments)
{
    size_t n;
    const whist_tensor_info *infos = whist_model_tensors(plan->model, &n);
    for (size_t i = 0; i < n; i++) WH_TRY(check_finite(WHIST_E_RANGE, path, &infos[i], params + infos[i].offset));
    for (int which = 0; moments && which < 2; which++) {
        const whist_tensor_info info = moment_info(which, plan->n_features);
        WH_TRY(check_finite(WHIST_E_RANGE, path, &info, moments + (size_t)which * plan->n_features));
    }
    return WHIST_OK;
}

static whist_status make_header(wh_buf *out, const whist_fed_plan *plan, bool moments, const wh_safetensors_meta *meta,
                                size_t n_meta)
{
    WH_AUTO(wh_owned) memory = NULL;
    size_t n;
    const whist_tensor_info *infos = whist_model_tensors(plan->model, &n);
    WH_TRY(wh_alloc(&memory, n + 2, sizeof(wh_safetensor)));
    wh_safetensor *tensors = memory;
    for (size_t i = 0; i < n; i++) {
        tensors[i] = (wh_safetensor){.name = infos[i].name, .type = WH_DTYPE_F32, .n_dims = (unsigned)infos[i].n_dims};
        memcpy(tensors[i].dims, infos[i].shape, infos[i].n_dims * sizeof(size_t));
    }
    for (int which = 0; moments && which < 2; which++)
        tensors[n++] =
            (wh_safetensor){.name = which ? SD : MEAN, .type = WH_DTYPE_F32, .n_dims = 1, .dims = {plan->n_features}};
    return wh_safetensors_header(out, tensors, n, meta, n_meta);
}

static whist_status plan_header(wh_buf *out, const whist_fed_plan *plan, bool moments, const whist_model_meta *extra)
{
    char hex[65], seed[24];
    wh_hex(hex, plan->study, 32);
    snprintf(seed, sizeof seed, "%" PRIu64, plan->seed);
    wh_safetensors_meta meta[OWN_META + MAX_META] = {
        {"study", hex},
        {"study_name", plan->name},
        {"seed", seed},
        {"model", whist_model_class_name(plan->model)},
        {"learner", plan->learner->name},
        {"strategy", plan->strategy->name},
        {"whist", whist_version()},
        {"kernels", whist_model_kernels()},
    };
    size_t n = OWN_META;
    for (; extra && extra->key; extra++) {
        if (n == WH_COUNT(meta)) WH_FAIL(WHIST_E_RANGE, "more than %d pairs of metadata for one model", MAX_META);
        meta[n++] = (wh_safetensors_meta){extra->key, extra->value};
    }
    return make_header(out, plan, moments, meta, n);
}

/* Little-endian machines only; big-endian ones do not build. */
static whist_status write_file(const char *path, const wh_buf *header, const whist_fed_plan *plan, const float *params,
                               const float *moments)
{
    size_t bytes = whist_model_size(plan->model) * sizeof *params;
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    whist_status status = wh_write_at(fd, header->data, header->len, 0);
    if (status == WHIST_OK) status = wh_write_at(fd, params, bytes, header->len);
    if (status == WHIST_OK && moments)
        status = wh_write_at(fd, moments, 2 * plan->n_features * sizeof *moments, header->len + bytes);
    if (status == WHIST_OK) status = wh_sync(fd);
    return status == WHIST_OK ? WHIST_OK : wh_fail_context(status, "%s: ", path);
}

whist_status whist_model_save(const char *path, const whist_fed_plan *plan, const float *params, const float *moments,
                              const whist_model_meta *extra)
{
    WH_ENSURE(path && plan && params, WHIST_E_ARG);
    WH_TRY(check_params(path, plan, params, moments));
    WH_AUTO(wh_buf) header = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) part = WH_BUF_EMPTY;
    WH_TRY(plan_header(&header, plan, moments != NULL, extra));
    WH_TRY(wh_buf_text(&part, "%s.part", path));
    whist_status status = write_file(wh_buf_str(&part), &header, plan, params, moments);
    if (status == WHIST_OK) status = wh_file_put_in_place(wh_buf_str(&part), path);
    if (status == WHIST_OK) return WHIST_OK;
    whist_detail why = *whist_detail_get();
    if (wh_file_remove(wh_buf_str(&part)) != WHIST_OK) wh_detail_put(&why); /* the first failure is the one to tell */
    return status;
}

/* ---- Reading ---- */

static whist_status check_tensor(const char *path, const wh_safetensor *have, const whist_tensor_info *want)
{
    char wanted[SHAPE_TEXT], found[SHAPE_TEXT];
    shape_text(wanted, want->shape, want->n_dims);
    if (!have) WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%s' %s of the model is missing", path, want->name, wanted);
    shape_text(found, have->dims, have->n_dims);
    if (have->n_dims != want->n_dims || memcmp(have->dims, want->shape, want->n_dims * sizeof(size_t)) != 0)
        WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%s' is %s and the model's is %s: it is a model of another study", path,
                want->name, found, wanted);
    if (have->type != WH_DTYPE_F32)
        WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%s' %s is not of 32-bit floats (F32)", path, want->name, found);
    return WHIST_OK;
}

/* Every tensor is the model's or one of the moments. */
static whist_status check_no_other(const char *path, const wh_safetensors *file, const whist_tensor_info *infos,
                                   size_t n)
{
    for (size_t i = 0; i < file->n_tensors; i++) {
        bool known = !strcmp(file->tensors[i].name, MEAN) || !strcmp(file->tensors[i].name, SD);
        for (size_t k = 0; k < n; k++) known |= strcmp(file->tensors[i].name, infos[k].name) == 0;
        char found[SHAPE_TEXT];
        shape_text(found, file->tensors[i].dims, file->tensors[i].n_dims);
        if (!known)
            WH_FAIL(WHIST_E_FORMAT, "%s: tensor '%.64s' %s is none of the model's", path, file->tensors[i].name, found);
    }
    return WHIST_OK;
}

static whist_status read_values(float *params, int fd, const char *path, const wh_safetensors *file,
                                const whist_model *model)
{
    size_t n;
    const whist_tensor_info *infos = whist_model_tensors(model, &n);
    for (size_t i = 0; i < n; i++) WH_TRY(check_tensor(path, wh_safetensors_find(file, infos[i].name), &infos[i]));
    if (file->n_tensors != n) WH_TRY(check_no_other(path, file, infos, n));
    for (size_t i = 0; i < n; i++) {
        const wh_safetensor *tensor = wh_safetensors_find(file, infos[i].name);
        float *values = params + infos[i].offset;
        whist_status status = wh_read_at(fd, values, tensor->size, tensor->offset);
        if (status != WHIST_OK) return wh_fail_context(status, "%s: ", path);
        WH_TRY(check_finite(WHIST_E_FORMAT, path, &infos[i], values));
    }
    return WHIST_OK;
}

whist_status whist_model_load(float *params, const char *path, const whist_model *model)
{
    WH_ENSURE(params && path && model, WHIST_E_ARG);
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_AUTO(wh_owned) values = NULL;
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_safetensors_read_fd(&file, fd, path));
    WH_TRY(wh_alloc_raw(&values, whist_model_size(model), sizeof *params));
    WH_TRY(read_values(values, fd, path, &file, model));
    memcpy(params, values, whist_model_size(model) * sizeof *params);
    return WHIST_OK;
}

static whist_status read_moments(float *moments, int fd, const char *path, const wh_safetensors *file, size_t d)
{
    for (int which = 0; which < 2; which++) {
        const whist_tensor_info info = moment_info(which, d);
        const wh_safetensor *tensor = wh_safetensors_find(file, info.name);
        float *values = moments + (size_t)which * d;
        if (!tensor)
            WH_FAIL(WHIST_E_STATE, "%s holds no pooled mean and sd (tensors " MEAN ", " SD "): write the model again",
                    path);
        WH_TRY(check_tensor(path, tensor, &info));
        whist_status status = wh_read_at(fd, values, tensor->size, tensor->offset);
        if (status != WHIST_OK) return wh_fail_context(status, "%s: ", path);
        WH_TRY(check_finite(WHIST_E_FORMAT, path, &info, values));
        for (size_t j = 0; which && j < d; j++)
            if (values[j] < 0) WH_FAIL(WHIST_E_FORMAT, "%s: value %zu of tensor '" SD "' is negative", path, j);
    }
    return WHIST_OK;
}

whist_status whist_model_load_moments(double *mean, double *sd, const char *path, size_t n_features)
{
    WH_ENSURE(mean && sd && path && n_features, WHIST_E_ARG);
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_safetensors_read_fd(&file, fd, path));
    WH_TRY(wh_alloc(&memory, n_features, 2 * sizeof(float)));
    float *moments = memory;
    WH_TRY(read_moments(moments, fd, path, &file, n_features));
    for (size_t j = 0; j < n_features; j++) mean[j] = (double)moments[j], sd[j] = (double)moments[n_features + j];
    return WHIST_OK;
}

whist_status whist_model_metadata(char *out, size_t size, const char *path, const char *key)
{
    WH_ENSURE(out && size && path && key, WHIST_E_ARG);
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_safetensors_read_fd(&file, fd, path));
    const char *value = wh_safetensors_meta_find(&file, key);
    size_t len = value ? strlen(value) : 0;
    if (len >= size)
        WH_FAIL(WHIST_E_RANGE, "%s: the value of '%s' in its metadata has %zu bytes, and there is room for %zu", path,
                key, len, size - 1);
    if (len) memcpy(out, value, len);
    out[len] = 0;
    return WHIST_OK;
}

whist_status whist_model_file_tensors(const char *path, whist_tensor_fn *emit, void *user)
{
    WH_ENSURE(path && emit, WHIST_E_ARG);
    WH_AUTO(wh_fd) fd = -1;
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_safetensors_read_fd(&file, fd, path));
    size_t at = 0;
    for (size_t i = 0; i < file.n_tensors; i++)
        if (file.tensors[i].n_dims > WH_COUNT(((whist_tensor_info *)0)->shape))
            WH_FAIL(WHIST_E_UNSUPPORTED, "%s: tensor '%.64s' has %u axes, more than a model's have", path,
                    file.tensors[i].name, file.tensors[i].n_dims);
    for (size_t i = 0; i < file.n_tensors; at += file.tensors[i++].n) {
        const wh_safetensor *tensor = &file.tensors[i];
        whist_tensor_info info = {.n_dims = tensor->n_dims, .offset = at, .size = tensor->n, .learned = true};
        snprintf(info.name, sizeof info.name, "%s", tensor->name);
        memcpy(info.shape, tensor->dims, tensor->n_dims * sizeof *tensor->dims);
        emit(user, &info);
    }
    return WHIST_OK;
}
