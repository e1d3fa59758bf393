/* learn/checkpoint.c: writing and believing checkpoints. */
#include "learn/checkpoint.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* ---- Writing ---- */

static whist_status write_file(const char *path, const wh_buf *header, wh_checkpoint_values *values, void *user)
{
    WH_AUTO(wh_fd) fd = -1;
    WH_TRY(wh_open(&fd, path, O_RDWR | O_CREAT | O_TRUNC, 0644));
    whist_status status = wh_write_at(fd, header->data, header->len, 0);
    if (status == WHIST_OK) status = values(user, fd, header->len);
    if (status == WHIST_OK) status = wh_safetensors_seal(fd, "a checkpoint");
    if (status == WHIST_OK) status = wh_sync(fd);
    return status == WHIST_OK ? WHIST_OK : wh_fail_context(status, "%s: ", path);
}

whist_status wh_checkpoint_save(const char *path, wh_safetensor tensors[], size_t n_tensors, const wh_checkpoint *meta,
                                wh_checkpoint_values *values, void *user)
{
    WH_AUTO(wh_buf) header = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) part = WH_BUF_EMPTY;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, meta->n + 1, sizeof(wh_safetensors_meta)));
    wh_safetensors_meta *texts = memory;
    for (size_t i = 0; i < meta->n; i++) texts[i] = (wh_safetensors_meta){meta->keys[i], meta->values[i]};
    texts[meta->n] = (wh_safetensors_meta){WH_SAFETENSORS_SEAL, WH_SAFETENSORS_UNSEALED};
    WH_TRY(wh_safetensors_header(&header, tensors, n_tensors, texts, meta->n + 1));
    WH_TRY(wh_buf_text(&part, "%s.part", path));
    whist_status status = write_file(wh_buf_str(&part), &header, values, user);
    if (status == WHIST_OK) status = wh_file_put_in_place(wh_buf_str(&part), path);
    if (status == WHIST_OK) return WHIST_OK;
    whist_detail why = *whist_detail_get();
    if (wh_file_remove(wh_buf_str(&part)) != WHIST_OK) wh_detail_put(&why); /* the first failure is the one to tell */
    return status;
}

/* ---- Reading ---- */

whist_status wh_checkpoint_check(const wh_safetensors *file, const wh_checkpoint *own, int fd, const char *path)
{
    for (size_t i = 0; i < own->identity; i++) {
        const char *have = wh_safetensors_meta_find(file, own->keys[i]);
        if (!have) WH_FAIL(WHIST_E_FORMAT, "%s is no %s: it does not say its %s", path, own->what, own->keys[i]);
        if (strcmp(have, own->values[i]) != 0)
            WH_FAIL(WHIST_E_STATE, "%s: its %s is %.80s and this run's is %.80s: the bits would be others", path,
                    own->keys[i], have, own->values[i]);
    }
    return wh_safetensors_check_seal(fd, path);
}

whist_status wh_checkpoint_number(double *out, const wh_safetensors *file, const wh_checkpoint *own, const char *key,
                                  const char *path)
{
    const char *text = wh_safetensors_meta_find(file, key);
    char *end = NULL;
    double value = text && *text ? strtod(text, &end) : NAN;
    if (!end || *end || !isfinite(value))
        WH_FAIL(WHIST_E_FORMAT, "%s is no %s: its %s is not a number", path, own->what, key);
    *out = value;
    return WHIST_OK;
}

whist_status wh_checkpoint_vector(float *out, int fd, const wh_safetensor *tensor, size_t n)
{
    WH_TRY(wh_read_at(fd, out, n * sizeof *out, tensor->offset));
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i])) WH_FAIL(WHIST_E_FORMAT, "value %zu of '%s' is not finite", i, tensor->name);
    return WHIST_OK;
}
