/* data/assign.c: rows to sites and folds.
 *
 * Each row gets an owner (a slot) and a fold; then one counting sort lays the rows out. Draws are made
 * site by site from streams that bear the site's name, so that a site alone and a simulation of all
 * sites come to the same rows. */
#include "data/assign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draw/stream.h"

enum { TRAIN = WHIST_FOLD_TRAIN, VALIDATION = WHIST_FOLD_VALIDATION, TEST = WHIST_FOLD_TEST, UNDECIDED = 3, OUT = 4 };

typedef struct assign_work {
    const wh_table *table;
    const whist_schema *schema;
    const wh_sites *sites;
    uint32_t *owner; /* (n) slot or WH_NOBODY */
    uint8_t *fold;   /* (n) */
    uint32_t *list;  /* (n) scratch: rows */
    uint32_t *order; /* (n) scratch: rows, grouped */
} assign_work;

static void work_clear(assign_work *work)
{
    wh_free(work->owner);
    wh_free(work->fold);
    wh_free(work->list);
    wh_free(work->order);
}
WH_AUTO_CLEAR(assign_work, work_clear)

void wh_plan_clear(wh_plan *plan)
{
    wh_free(plan->row);
    wh_free(plan->begin);
    *plan = (wh_plan)WH_PLAN_EMPTY;
}

/* ---- Published owners and folds */

static whist_status take_split_file(assign_work *work, const char *folder)
{
    const wh_table *table = work->table;
    uint32_t *place = work->list;
    for (size_t i = 0; i < table->n; i++) place[i] = WH_NOBODY;
    WH_TRY(wh_split_read(place, table, work->schema, work->sites, folder));
    bool owns = work->schema->partition == WHIST_PARTITION_SPLIT;
    for (size_t i = 0; i < table->n; i++) {
        if (wh_table_dropped(table, i)) continue;
        work->fold[i] = place[i] == WH_NOBODY ? OUT : (uint8_t)(place[i] % 4);
        if (place[i] == WH_NOBODY || place[i] / 4 == WH_ANY_SLOT) continue;
        if (owns)
            work->owner[i] = place[i] / 4;
        else if (work->owner[i] != place[i] / 4)
            WH_FAIL(WHIST_E_FORMAT, "line %llu of the data belongs to one site and, by %s, to another",
                    (unsigned long long)wh_table_line(table)[i], work->schema->split_file);
    }
    return WHIST_OK;
}

static whist_status take_published(assign_work *work, const char *folder)
{
    const wh_table *table = work->table;
    const whist_schema *schema = work->schema;
    bool synthetic = table->synthetic, split = schema->split_file[0] && !synthetic;
    bool own_file = synthetic || schema->partition == WHIST_PARTITION_FILE;
    const uint32_t *owner = (const uint32_t *)(const void *)table->owner.data;
    size_t n_own_train = table->n - table->n_own_test;
    for (size_t i = 0; i < table->n; i++) {
        work->owner[i] = own_file ? 0 : WH_NOBODY;
        if (!synthetic && schema->partition == WHIST_PARTITION_COLUMN) work->owner[i] = owner[i];
        work->fold[i] = !table->n_own_test ? UNDECIDED : i < n_own_train ? TRAIN : TEST;
        if (wh_table_dropped(table, i)) work->fold[i] = OUT;
    }
    return split ? take_split_file(work, folder) : WHIST_OK;
}

/* ---- Dealing out, for simulations */

/* Gives list[0..n) to all sites of the study in pieces of equal size (up to one), piece p to site
 * site_of[p]; remembers those of our slots. */
static void deal(assign_work *work, size_t n, const uint32_t *site_of, size_t n_pieces, size_t pieces_a_site)
{
    const wh_sites *sites = work->sites;
    for (size_t p = 0; p < n_pieces; p++) {
        size_t site = (site_of ? site_of[p] : p) / pieces_a_site;
        if (site < sites->first || site - sites->first >= sites->n) continue;
        size_t from = (size_t)((unsigned __int128)n * p / n_pieces),
               to = (size_t)((unsigned __int128)n * (p + 1) / n_pieces);
        for (size_t k = from; k < to; k++) work->owner[work->list[k]] = (uint32_t)(site - sites->first);
    }
}

/* Rows sorted by target, equal ones in the order in which they stand (qsort_r promises no order). */
static int by_target(const void *a, const void *b, void *user)
{
    const struct {
        const float *y;
        const uint32_t *rank;
    } *by = user;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    if (by->y[i] != by->y[j]) return by->y[i] < by->y[j] ? -1 : 1;
    return (by->rank[i] > by->rank[j]) - (by->rank[i] < by->rank[j]);
}

static whist_status deal_shards(assign_work *work, size_t n)
{
    const wh_sites *sites = work->sites;
    size_t pieces;
    if (!wh_mul_size(&pieces, sites->n_all, work->schema->shards) || pieces > n)
        WH_FAIL(WHIST_E_ARG, "%zu rows cannot be cut into %u shards for each of %zu sites", n, work->schema->shards,
                sites->n_all);
    for (size_t k = 0; k < n; k++) work->order[work->list[k]] = (uint32_t)k;
    struct {
        const float *y;
        const uint32_t *rank;
    } by = {wh_table_y(work->table), work->order};
    qsort_r(work->list, n, sizeof *work->list, by_target, &by);
    WH_AUTO(wh_owned) site_of = NULL;
    WH_TRY(wh_alloc_raw(&site_of, pieces, sizeof(uint32_t)));
    wh_seeded stream;
    wh_seeded_init(&stream, sites->seed, "parts", "shards", 0);
    wh_seeded_permutation(&stream, site_of, pieces);
    deal(work, n, site_of, pieces, work->schema->shards);
    return WHIST_OK;
}

/* Rows outside the test fold, then rows in it: each kind is dealt out by itself. */
static whist_status deal_kind(assign_work *work, bool test)
{
    size_t n = 0;
    for (size_t i = 0; i < work->table->n; i++)
        if (work->fold[i] != OUT && (work->fold[i] == TEST) == test) work->list[n++] = (uint32_t)i;
    wh_seeded stream;
    wh_seeded_init(&stream, work->sites->seed, "parts", "", test);
    wh_seeded_shuffle(&stream, work->list, n);
    if (work->schema->partition == WHIST_PARTITION_SHARDS && !test) return deal_shards(work, n);
    deal(work, n, NULL, work->sites->n_all, 1);
    return WHIST_OK;
}

/* ---- Fractions, stratified */

static size_t class_of(const assign_work *work, uint32_t row)
{
    const float *event = wh_table_event(work->table);
    return wh_row_class(work->schema, wh_table_y(work->table)[row], event ? event[row] : 0);
}

/* How many rows of each class to take: the share of each rounded down, then one more for the
 * largest remainders until there are m. */
static void apportion(size_t *take, const size_t *count, size_t n_classes, size_t m, size_t n)
{
    size_t left = m;
    for (size_t k = 0; k < n_classes; k++) {
        take[k] = (size_t)((unsigned __int128)m * count[k] / n);
        left -= take[k];
    }
    while (left--) {
        size_t best = SIZE_MAX, best_rest = 0;
        for (size_t k = 0; k < n_classes; k++) {
            size_t share = (size_t)((unsigned __int128)m * count[k] / n);
            size_t rest = (size_t)((unsigned __int128)m * count[k] % n);
            if (take[k] == share && rest > best_rest) best = k, best_rest = rest;
        }
        take[best]++; /* there is one: the rests sum to left * n */
    }
}

/* Moves a fraction of rows[0..n) to `fold`: at least one, and not all, where n > 1. */
static whist_status take_fraction(assign_work *work, const uint32_t *rows, size_t n, double fraction, uint8_t fold,
                                  wh_seeded *stream)
{
    if (n < 2 || fraction <= 0) return WHIST_OK;
    size_t m = (size_t)llround(fraction * (double)n);
    m = m < 1 ? 1 : m > n - 1 ? n - 1 : m;
    size_t n_classes = wh_schema_classes(work->schema), *count, *take, *begin;
    n_classes = n_classes ? n_classes : 1;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    WH_TRY(WH_ARENA_NEW(&count, &arena, n_classes));
    WH_TRY(WH_ARENA_NEW(&take, &arena, n_classes));
    WH_TRY(WH_ARENA_NEW(&begin, &arena, n_classes + 1));
    for (size_t i = 0; i < n; i++) count[class_of(work, rows[i])]++;
    apportion(take, count, n_classes, m, n);
    for (size_t k = 0; k < n_classes; k++) begin[k + 1] = begin[k] + count[k];
    for (size_t i = 0; i < n; i++) work->order[begin[class_of(work, rows[i])]++] = rows[i];
    for (size_t k = 0; k < n_classes; k++) {
        uint32_t *members = work->order + (begin[k] - count[k]); /* begin moved on while grouping */
        wh_seeded_shuffle(stream, members, count[k]);
        for (size_t i = 0; i < take[k]; i++) work->fold[members[i]] = fold;
    }
    return WHIST_OK;
}

/* rows[0..n): all rows of a slot that are in no fold yet or in training, in the file's order. */
static whist_status split_slot(assign_work *work, size_t slot, uint32_t *rows, size_t n)
{
    const whist_schema *schema = work->schema;
    wh_seeded stream;
    wh_seeded_init(&stream, work->sites->seed, "split", work->sites->names[slot], 0);
    double test = schema->test_fraction;
    if (work->table->synthetic && test <= 0) test = 1.0 / 3;
    if (n && work->fold[rows[0]] == UNDECIDED) { /* then all of them are */
        for (size_t i = 0; i < n; i++) work->fold[rows[i]] = TRAIN;
        WH_TRY(take_fraction(work, rows, n, test, TEST, &stream));
    }
    size_t n_train = 0;
    for (size_t i = 0; i < n; i++)
        if (work->fold[rows[i]] == TRAIN) rows[n_train++] = rows[i];
    if (schema->split_file[0] && schema->fold_validation[0] && !work->table->synthetic) return WHIST_OK;
    return take_fraction(work, rows, n_train, schema->validation_fraction, VALIDATION, &stream);
}

static whist_status split_slots(assign_work *work)
{
    size_t n_slots = work->sites->n, *begin;
    WH_AUTO(wh_owned) owned = NULL;
    WH_TRY(wh_alloc(&owned, n_slots + 2, sizeof *begin));
    begin = owned;
    const uint32_t *owner = work->owner;
    const uint8_t *fold = work->fold;
    for (size_t i = 0; i < work->table->n; i++)
        if (owner[i] != WH_NOBODY && (fold[i] == TRAIN || fold[i] == UNDECIDED)) begin[owner[i] + 2]++;
    for (size_t s = 0; s < n_slots; s++) begin[s + 2] += begin[s + 1];
    for (size_t i = 0; i < work->table->n; i++)
        if (owner[i] != WH_NOBODY && (fold[i] == TRAIN || fold[i] == UNDECIDED))
            work->list[begin[owner[i] + 1]++] = (uint32_t)i;
    for (size_t s = 0; s < n_slots; s++) WH_TRY(split_slot(work, s, work->list + begin[s], begin[s + 1] - begin[s]));
    return WHIST_OK;
}

/* ---- All of it */

static whist_status lay_out(wh_plan *out, const assign_work *work)
{
    size_t n_slots = work->sites->n, n_dropped = 0;
    wh_plan plan = WH_PLAN_EMPTY;
    WH_TRY(WH_NEW(&plan.begin, 3 * n_slots + 2));
    size_t *next = plan.begin + 1; /* after the second pass next[k] has become begin[k + 1] */
    for (size_t i = 0; i < work->table->n; i++) {
        n_dropped += wh_table_dropped(work->table, i);
        if (work->owner[i] != WH_NOBODY && work->fold[i] < UNDECIDED)
            next[work->fold[i] * n_slots + work->owner[i] + 1]++;
    }
    for (size_t k = 0; k < 3 * n_slots; k++) next[k + 1] += next[k];
    size_t total = next[3 * n_slots];
    whist_status status = WH_NEW_RAW(&plan.row, total);
    if (status != WHIST_OK) {
        wh_plan_clear(&plan);
        return status;
    }
    for (size_t i = 0; i < work->table->n; i++)
        if (work->owner[i] != WH_NOBODY && work->fold[i] < UNDECIDED)
            plan.row[next[work->fold[i] * n_slots + work->owner[i]]++] = (uint32_t)i;
    plan.left_out = work->table->n - n_dropped - total;
    *out = plan;
    return WHIST_OK;
}

whist_status wh_assign(wh_plan *out, const wh_table *table, const whist_schema *schema, const wh_sites *sites,
                       const char *folder)
{
    WH_AUTO(assign_work) work = {.table = table, .schema = schema, .sites = sites};
    WH_TRY(WH_NEW_RAW(&work.owner, table->n));
    WH_TRY(WH_NEW_RAW(&work.fold, table->n));
    WH_TRY(WH_NEW_RAW(&work.list, table->n));
    WH_TRY(WH_NEW_RAW(&work.order, table->n));
    WH_TRY(take_published(&work, folder));
    bool dealt = schema->partition == WHIST_PARTITION_IID || schema->partition == WHIST_PARTITION_SHARDS;
    if (dealt && !table->synthetic) {
        WH_TRY(deal_kind(&work, false));
        WH_TRY(deal_kind(&work, true));
    }
    WH_TRY(split_slots(&work));
    return lay_out(out, &work);
}
