/* data/episode.c: few-shot tasks. Class c of a pool with T turns is the class c / T of the rows, turned c % T times. */
#include "data/episode.h"

#include <math.h>
#include <string.h>

#include "draw/stream.h"

struct wh_episode_pool {
    wh_episode_design design;
    const float *x;
    size_t d, n_classes; /* of the rows; turned ones not counted */
    uint32_t *row;       /* rows by class */
    size_t *begin;       /* (n_classes + 1) into row */
    size_t largest;      /* class */
};

/* ---- Pools ---- */

static whist_status check_design(const wh_episode_design *d, const whist_rows *rows)
{
    size_t plane, per_class, n;
    if (d->ways < 2 || d->shots < 1)
        WH_FAIL(WHIST_E_ARG, "an episode has at least 2 ways and 1 shot, not %zu and %zu", d->ways, d->shots);
    if (!wh_add_size(&per_class, d->shots, d->queries) || !wh_mul_size(&n, per_class, d->ways) || n > UINT32_MAX)
        WH_FAIL(WHIST_E_RANGE, "an episode of %zu ways with %zu shots and %zu queries is too large", d->ways, d->shots,
                d->queries);
    if (d->turns == 1) return WHIST_OK;
    if (d->turns != 2 && d->turns != 4) WH_FAIL(WHIST_E_ARG, "images turn 1, 2 or 4 ways, not %u", d->turns);
    if (!wh_mul_size(&plane, d->height, d->width) || plane == 0 || rows->d % plane != 0)
        WH_FAIL(WHIST_E_ARG, "only images turn: rows of %zu numbers are no images of %zu x %zu", rows->d, d->height,
                d->width);
    if (d->turns == 4 && d->height != d->width)
        WH_FAIL(WHIST_E_ARG, "images of %zu x %zu turn by 180 degrees only: set turns to 2", d->height, d->width);
    return WHIST_OK;
}

static whist_status count_classes(size_t **count, size_t *n_labels, const whist_rows *rows)
{
    float most = 0;
    for (size_t i = 0; i < rows->n; i++) {
        float y = rows->y[i];
        if (!(y >= 0 && y < 65536 && y == floorf(y)))
            WH_FAIL(WHIST_E_RANGE, "row %zu has a label that is no class from 0 to 65535: episodes need classes", i);
        if (y > most) most = y;
    }
    *n_labels = rows->n ? (size_t)most + 1 : 0;
    WH_TRY(WH_NEW(count, *n_labels + 1));
    for (size_t i = 0; i < rows->n; i++) (*count)[(size_t)rows->y[i]]++;
    return WHIST_OK;
}

/* Labels without a row are other folds' classes; the others keep their order. */
static whist_status group(wh_episode_pool *pool, const whist_rows *rows, const size_t *count, size_t n_labels)
{
    WH_AUTO(wh_owned) owned = NULL;
    WH_TRY(wh_alloc(&owned, n_labels + 1, sizeof(size_t)));
    size_t *next = owned, at = 0, need = pool->design.shots + pool->design.queries;
    for (size_t k = 0; k < n_labels; k++) {
        if (count[k] == 0) continue;
        if (count[k] < need)
            WH_FAIL(WHIST_E_FORMAT,
                    "class %zu has %zu examples, and an episode takes %zu of each class (%zu shots, %zu queries)", k,
                    count[k], need, pool->design.shots, pool->design.queries);
        next[k] = at;
        at += count[k];
        pool->begin[++pool->n_classes] = at;
        if (count[k] > pool->largest) pool->largest = count[k];
    }
    for (size_t i = 0; i < rows->n; i++) pool->row[next[(size_t)rows->y[i]]++] = (uint32_t)i;
    if (wh_episode_pool_classes(pool) < pool->design.ways)
        WH_FAIL(WHIST_E_FORMAT, "the fold has %zu classes, and an episode asks for %zu ways",
                wh_episode_pool_classes(pool), pool->design.ways);
    return WHIST_OK;
}

whist_status wh_episode_pool_new(wh_episode_pool **out, const whist_rows *rows, const wh_episode_design *design)
{
    WH_ENSURE(out && rows && design && rows->n < UINT32_MAX, WHIST_E_ARG);
    WH_TRY(check_design(design, rows));
    WH_AUTO(wh_owned) counts = NULL;
    size_t n_labels;
    WH_TRY(count_classes((size_t **)&counts, &n_labels, rows));
    WH_AUTO(wh_episode_pool_ptr) pool = NULL;
    WH_TRY(WH_NEW(&pool, 1));
    pool->design = *design;
    pool->x = rows->x;
    pool->d = rows->d;
    WH_TRY(WH_NEW(&pool->begin, n_labels + 1));
    WH_TRY(WH_NEW(&pool->row, rows->n + 1));
    WH_TRY(group(pool, rows, counts, n_labels));
    *out = pool;
    pool = NULL;
    return WHIST_OK;
}

void wh_episode_pool_free(wh_episode_pool *pool)
{
    if (!pool) return;
    wh_free(pool->row);
    wh_free(pool->begin);
    wh_free(pool);
}

size_t wh_episode_pool_classes(const wh_episode_pool *pool)
{
    return pool->n_classes * pool->design.turns;
}

const wh_episode_design *wh_episode_pool_design(const wh_episode_pool *pool)
{
    return &pool->design;
}

size_t wh_episode_pool_features(const wh_episode_pool *pool)
{
    return pool->d;
}

/* ---- Episodes ---- */

void wh_episode_clear(wh_episode *episode)
{
    wh_free(episode->support_x);
    wh_free(episode->query_x);
    wh_free(episode->support_y);
    wh_free(episode->query_y);
    wh_free(episode->support_row);
    wh_free(episode->query_row);
    wh_free(episode->scratch);
    *episode = (wh_episode){0};
}

static whist_status reserve(wh_episode *e, const wh_episode_pool *pool)
{
    const wh_episode_design *d = &pool->design;
    size_t support, query, scratch = wh_episode_pool_classes(pool);
    e->n_support = d->ways * d->shots;
    e->n_query = d->ways * d->queries;
    if (!wh_mul_size(&support, e->n_support, pool->d) || !wh_mul_size(&query, e->n_query, pool->d))
        WH_FAIL(WHIST_E_RANGE, "an episode of %zu rows of %zu numbers is too large", e->n_support + e->n_query,
                pool->d);
    if (scratch < pool->largest) scratch = pool->largest;
    WH_TRY(WH_NEW(&e->support_x, support));
    WH_TRY(WH_NEW(&e->query_x, query + 1));
    WH_TRY(WH_NEW(&e->support_y, e->n_support));
    WH_TRY(WH_NEW(&e->query_y, e->n_query + 1));
    WH_TRY(WH_NEW(&e->support_row, e->n_support));
    WH_TRY(WH_NEW(&e->query_row, e->n_query + 1));
    return WH_NEW(&e->scratch, scratch + d->ways);
}

whist_status wh_episode_init(wh_episode *out, const wh_episode_pool *pool)
{
    WH_ENSURE(out && pool, WHIST_E_ARG);
    WH_AUTO(wh_episode) episode = {0};
    WH_TRY(reserve(&episode, pool));
    *out = episode;
    episode = (wh_episode){0};
    return WHIST_OK;
}

/* list[0..n) becomes 0 … n-1 with n_first of them, each set and order of these equally likely, in front. */
static void choose(uint32_t *list, size_t n, size_t n_first, wh_seeded *stream)
{
    for (size_t i = 0; i < n; i++) list[i] = (uint32_t)i;
    for (size_t i = 0; i < n_first; i++) {
        size_t j = i + wh_seeded_below(stream, (uint32_t)(n - i));
        uint32_t swap = list[i];
        list[i] = list[j];
        list[j] = swap;
    }
}

/* Planes turned counter-clockwise by `quarter` quarters. */
static void copy_turned(float *out, const float *x, size_t d, const wh_episode_design *design, unsigned quarter)
{
    size_t h = design->height, w = design->width;
    if (quarter == 0) {
        memcpy(out, x, d * sizeof *out);
        return;
    }
    for (size_t plane = 0; plane < d; plane += h * w)
        for (size_t r = 0; r < h; r++)
            for (size_t c = 0; c < w; c++) {
                size_t from = (h - 1 - r) * w + (w - 1 - c); /* half a turn */
                if (quarter == 1) from = c * w + (w - 1 - r);
                if (quarter == 3) from = (h - 1 - c) * w + r;
                out[plane + r * w + c] = x[plane + from];
            }
}

static void put_row(float *x, float *y, uint32_t *row, size_t at, size_t label, const wh_episode_pool *pool,
                    uint32_t from, unsigned turn)
{
    unsigned quarter = turn * (4 / pool->design.turns);
    copy_turned(x + at * pool->d, pool->x + (size_t)from * pool->d, pool->d, &pool->design, quarter);
    y[at] = (float)label;
    row[at] = from;
}

void wh_episode_draw(wh_episode *e, const wh_episode_pool *pool, uint64_t seed, const char *purpose, uint64_t index)
{
    const wh_episode_design *d = &pool->design;
    uint32_t *class_ = e->scratch, *member = e->scratch + d->ways;
    wh_seeded stream;
    wh_seeded_init(&stream, seed, purpose, "", index);
    choose(member, wh_episode_pool_classes(pool), d->ways, &stream);
    memcpy(class_, member, d->ways * sizeof *class_);
    for (size_t k = 0; k < d->ways; k++) {
        size_t c = class_[k] / d->turns, from = pool->begin[c], n = pool->begin[c + 1] - from;
        unsigned turn = class_[k] % d->turns;
        choose(member, n, d->shots + d->queries, &stream);
        for (size_t i = 0; i < d->shots; i++)
            put_row(e->support_x, e->support_y, e->support_row, k * d->shots + i, k, pool, pool->row[from + member[i]],
                    turn);
        for (size_t i = 0; i < d->queries; i++)
            put_row(e->query_x, e->query_y, e->query_row, k * d->queries + i, k, pool,
                    pool->row[from + member[d->shots + i]], turn);
    }
}

/* ---- Owners ---- */

whist_status wh_episode_owner(uint32_t *order, const whist_rows *rows, size_t classes, size_t n_support, uint64_t seed,
                              const char *owner, uint64_t index)
{
    WH_ENSURE(order && rows && rows->n < UINT32_MAX && n_support > 0, WHIST_E_ARG);
    if (rows->n <= n_support)
        WH_FAIL(WHIST_E_FORMAT, "%s has %zu rows: with %zu to adapt on none is left to test on", owner, rows->n,
                n_support);
    wh_seeded stream;
    wh_seeded_init(&stream, seed, "episode", owner, index);
    wh_seeded_permutation(&stream, order, rows->n);
    if (classes == 0) return WHIST_OK;
    /* The rows that come next in their class, in turn; then the others as they lie. */
    size_t taken = 0;
    for (size_t k = 0, missed = 0; taken < n_support && missed < classes; k = (k + 1) % classes) {
        size_t i = taken;
        while (i < rows->n && (size_t)rows->y[order[i]] != k) i++;
        missed = i < rows->n ? 0 : missed + 1;
        if (i == rows->n) continue;
        uint32_t row = order[i];
        memmove(order + taken + 1, order + taken, (i - taken) * sizeof *order);
        order[taken++] = row;
    }
    return WHIST_OK;
}

/* ---- Regression ---- */

void wh_episode_sinusoid(float *x, float *y, size_t n, uint64_t seed, const char *purpose, uint64_t index)
{
    wh_seeded stream;
    wh_seeded_init(&stream, seed, purpose, "", index);
    double amplitude = wh_seeded_uniform(&stream, 0.1, 5), phase = wh_seeded_uniform(&stream, 0, M_PI);
    for (size_t i = 0; i < n; i++) {
        double at = wh_seeded_uniform(&stream, -5, 5);
        x[i] = (float)at;
        y[i] = (float)(amplitude * sin(at + phase));
    }
}
