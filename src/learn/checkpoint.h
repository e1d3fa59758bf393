/* learn/checkpoint.h: what checkpoints of all trainings share: a safetensors file that is whole or not there, whose
 * metadata say what the training is, where it stands, and the SHA-256 of the file. */
#ifndef WH_LEARN_CHECKPOINT_H
#define WH_LEARN_CHECKPOINT_H

#include "codec/safetensors.h"

/* Metadata as texts: keys[i] is values[i]; the first `identity` of them are what a checkpoint and the run that goes on
 * from it must share. */
typedef struct wh_checkpoint {
    const char *what; /* in refusals: "checkpoint", "checkpoint of few-shot training" */
    const char *const *keys;
    const char *const *values;
    size_t n, identity;
} wh_checkpoint;

/* Writes the tensors' values, in order and without gaps, from `at` on. */
typedef whist_status wh_checkpoint_values(void *user, int fd, uint64_t at);
/* Beside path, synced, and then in its place: after a crash the old file is there, or the new one. The tensors get
 * their offsets. */
WH_MUST_CHECK whist_status wh_checkpoint_save(const char *path, wh_safetensor tensors[], size_t n_tensors,
                                              const wh_checkpoint *meta, wh_checkpoint_values *values, void *user);

/* WHIST_E_FORMAT where it does not say what it is of or is another file than its digest says, WHIST_E_STATE where it is
 * of something else; own: the run's. */
WH_MUST_CHECK whist_status wh_checkpoint_check(const wh_safetensors *file, const wh_checkpoint *own, int fd,
                                               const char *path);
/* A number of the metadata; hexadecimal ones too. WHIST_E_FORMAT. */
WH_MUST_CHECK whist_status wh_checkpoint_number(double *out, const wh_safetensors *file, const wh_checkpoint *own,
                                                const char *key, const char *path);
/* n finite values of a tensor, whose place and size the caller has checked. WHIST_E_FORMAT naming the tensor. */
WH_MUST_CHECK whist_status wh_checkpoint_vector(float *out, int fd, const wh_safetensor *tensor, size_t n);

#endif
