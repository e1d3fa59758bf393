/* data/moments.c: means, sample standard deviations, and what is done with them.
 *
 * Sums run in double in the order of the rows. The variance is taken in a second pass around the mean
 * where the rows are at hand; the sums that leave for pooling are plain, since they are added up
 * by others. */
#include <math.h>
#include <string.h>

#include "data/block.h"

static float *run(const whist_dataset *dataset, int fold)
{
    return dataset->block->x + dataset->begin[fold] * dataset->block->d;
}

void wh_rows_moments(double *mean, double *sd, const whist_dataset *dataset, bool images)
{
    size_t d = dataset->block->d, n = dataset->n[WHIST_FOLD_TRAIN];
    const float *x = run(dataset, WHIST_FOLD_TRAIN);
    size_t width = images ? 1 : d, count = images ? n * d : n; /* all pixels as one column */
    memset(mean, 0, d * sizeof *mean);
    memset(sd, 0, d * sizeof *sd);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < width; j++) mean[j] += (double)x[i * width + j];
    for (size_t j = 0; j < width; j++) mean[j] /= (double)count;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < width; j++) {
            double off = (double)x[i * width + j] - mean[j];
            sd[j] += off * off;
        }
    for (size_t j = 0; j < width; j++) sd[j] = count > 1 ? sqrt(sd[j] / (double)(count - 1)) : 0;
    for (size_t j = 0; j < width; j++) { /* a constant is found as such: its mean may be off by a rounding */
        size_t i = 1;
        while (i < count && x[i * width + j] == x[j]) i++;
        if (i == count) mean[j] = (double)x[j], sd[j] = 0;
    }
    for (size_t j = width; j < d; j++) mean[j] = mean[0], sd[j] = sd[0];
}

void wh_rows_standardize(whist_dataset *dataset, const double *mean, const double *sd)
{
    const wh_block *block = dataset->block;
    for (int fold = 0; fold < 3; fold++) {
        float *x = run(dataset, fold);
        for (size_t i = 0; i < dataset->n[fold]; i++, x += block->d)
            for (size_t j = 0; j < block->d; j++)
                if (block->takes_part[j]) x[j] = (float)(((double)x[j] - mean[j]) / (sd[j] > 0 ? sd[j] : 1));
    }
}

whist_status wh_rows_learn_fill(whist_dataset *dataset)
{
    size_t d = dataset->block->d, n_rows = dataset->n[WHIST_FOLD_TRAIN];
    WH_TRY(WH_NEW(&dataset->fill, d));
    for (size_t j = 0; j < d; j++) {
        const float *x = run(dataset, WHIST_FOLD_TRAIN) + j;
        double sum = 0;
        size_t n = 0;
        for (size_t i = 0; i < n_rows; i++)
            if (!isnan(x[i * d])) sum += (double)x[i * d], n++;
        dataset->fill[j] = n ? sum / (double)n : NAN;
    }
    return WHIST_OK;
}

whist_status wh_rows_fill(whist_dataset *dataset, const char *site)
{
    const wh_block *block = dataset->block;
    for (int fold = 0; fold < 3; fold++)
        for (size_t i = 0; i < dataset->n[fold]; i++) {
            float *x = run(dataset, fold) + i * block->d;
            for (size_t j = 0; j < block->d; j++) {
                if (!isnan(x[j])) continue;
                if (isnan(dataset->fill[j]))
                    WH_FAIL(WHIST_E_FORMAT,
                            "site '%s': no training row has a value for '%s', so there is no mean to fill in: give "
                            "the column a fill value in the study, or ignore it",
                            site, block->names[j]);
                x[j] = (float)dataset->fill[j];
            }
        }
    return WHIST_OK;
}

whist_status wh_dataset_keep_moments(whist_dataset *dataset, const double *mean, const double *sd)
{
    size_t d = dataset->block->d;
    WH_ENSURE(!dataset->mean, WHIST_E_STATE);
    WH_TRY(wh_alloc((void **)&dataset->mean, d, 2 * sizeof *mean));
    dataset->sd = dataset->mean + d;
    memcpy(dataset->mean, mean, d * sizeof *mean);
    memcpy(dataset->sd, sd, d * sizeof *sd);
    return WHIST_OK;
}

/* ---- Public */

void whist_dataset_moments(const whist_dataset *dataset, double *sums)
{
    size_t d = dataset->block->d, n = dataset->n[WHIST_FOLD_TRAIN];
    const float *x = run(dataset, WHIST_FOLD_TRAIN);
    double *sum = sums + 1, *square = sums + 1 + d;
    memset(sums, 0, (2 * d + 1) * sizeof *sums);
    sums[0] = (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++) {
            double value = (double)x[i * d + j];
            sum[j] += value;
            square[j] += value * value;
        }
}

/* A data set whose rows are seen by another one gets its own copy first. */
static whist_status make_own(whist_dataset *dataset)
{
    if (!atomic_load(&dataset->block->overlapped)) return WHIST_OK;
    WH_AUTO(wh_block_ptr) block = NULL;
    const wh_block *old = dataset->block;
    size_t total = dataset->n[0] + dataset->n[1] + dataset->n[2], at = 0;
    WH_TRY(wh_block_new(&block, total, old->d, old->event, old->weight));
    WH_TRY(wh_block_add_persons(block, old->person));
    WH_TRY(wh_block_copy_frame(block, old));
    size_t begin[3];
    for (int fold = 0; fold < 3; fold++) {
        size_t from = dataset->begin[fold], n = dataset->n[fold];
        begin[fold] = at;
        if (!n) continue;
        memcpy(block->x + at * old->d, old->x + from * old->d, n * old->d * sizeof *old->x);
        memcpy(block->y + at, old->y + from, n * sizeof *old->y);
        if (old->event) memcpy(block->event + at, old->event + from, n * sizeof *old->event);
        if (old->person) memcpy(block->person + at, old->person + from, n * sizeof *old->person);
        if (old->weight) memcpy(block->weight + at, old->weight + from, n * sizeof *old->weight);
        at += n;
    }
    memcpy(dataset->begin, begin, sizeof begin);
    wh_block_unref(dataset->block);
    dataset->block = block;
    block = NULL;
    return WHIST_OK;
}

whist_status whist_dataset_standardize(whist_dataset *dataset, const double *mean, const double *sd)
{
    WH_ENSURE(dataset && mean && sd, WHIST_E_ARG);
    for (size_t j = 0; j < dataset->block->d; j++)
        WH_ENSURE(isfinite(mean[j]) && isfinite(sd[j]) && sd[j] >= 0, WHIST_E_ARG);
    if (dataset->standardized) WH_FAIL(WHIST_E_STATE, "this data set has been standardised already");
    WH_TRY(make_own(dataset));
    WH_TRY(wh_dataset_keep_moments(dataset, mean, sd));
    wh_rows_standardize(dataset, mean, sd);
    dataset->standardized = true;
    return WHIST_OK;
}
