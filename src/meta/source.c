/* meta/source.c: where tasks come from. */
#include "meta/source.h"

#include <string.h>

#include "draw/stream.h"
#include "meta/attack.h"
#include "meta/people.h"

struct wh_source {
    wh_source_env env;
    wh_episode_pool *pool; /* CLASSES */
    wh_people people;      /* PERSONS, of the fold; able (n_able): those with rows enough for a task */
    uint32_t *able;
    size_t n_able;
    size_t most; /* SITES, PERSONS: rows of the largest owner's fold */
    size_t support, query;
};

struct wh_source_seat {
    wh_episode episode;
    uint32_t *order, *query_order;
    wh_seeded stream;
};

/* ---- Making ------------------------------------------------------------------------------------------- */

static whist_status check_owner(wh_source *s, size_t i)
{
    const whist_rows train = whist_dataset_rows(s->env.data[i], WHIST_FOLD_TRAIN);
    const whist_rows fold = whist_dataset_rows(s->env.data[i], s->env.fold);
    bool same = s->env.fold == WHIST_FOLD_TRAIN;
    size_t query = same ? s->query : 0;
    if (train.n < s->support + query)
        WH_FAIL(WHIST_E_FORMAT, "%s has %zu training rows, and a task takes %zu (%zu support, %zu query)",
                s->env.names[i], train.n, s->support + query, s->support, query);
    if (fold.n < s->query)
        WH_FAIL(WHIST_E_FORMAT,
                "%s has %zu rows to query, and a task takes %zu: take fewer queries, or sites one by one",
                s->env.names[i], fold.n, s->query);
    if (train.n > s->most) s->most = train.n;
    if (fold.n > s->most) s->most = fold.n;
    return WHIST_OK;
}

static whist_status find_persons(wh_source *s)
{
    const whist_rows rows = whist_dataset_rows(s->env.data[0], s->env.fold);
    WH_TRY(wh_people_init(&s->people, &rows));
    WH_TRY(WH_NEW(&s->able, s->people.n));
    for (uint32_t p = 0; p < s->people.n; p++)
        if (s->people.begin[p + 1] - s->people.begin[p] >= s->support + s->query) s->able[s->n_able++] = p;
    s->most = s->people.most;
    if (s->n_able == 0)
        WH_FAIL(WHIST_E_FORMAT,
                "none of %zu persons has the %zu rows of a fold that a task takes (%zu support, %zu query); the most "
                "are %zu: ask for fewer",
                s->people.n, s->support + s->query, s->support, s->query, s->most);
    return WHIST_OK;
}

static whist_status init(wh_source *s)
{
    const whist_episodes *e = &s->env.episodes;
    if (e->queries == 0) WH_FAIL(WHIST_E_ARG, "episodes without queries: there is nothing to measure");
    s->support = e->shots, s->query = e->queries;
    if (e->kind == WHIST_TASKS_SINUSOID) return WHIST_OK;
    WH_ENSURE(s->env.n > 0, WHIST_E_ARG);
    if (e->kind == WHIST_TASKS_SITES) {
        for (size_t i = 0; i < s->env.n; i++) WH_TRY(check_owner(s, i));
        return WHIST_OK;
    }
    if (e->kind == WHIST_TASKS_PERSONS) return find_persons(s);
    const whist_rows rows = whist_dataset_rows(s->env.data[0], s->env.fold);
    const wh_episode_design design = {e->ways,       e->shots,    e->queries, e->turns ? e->turns : 1,
                                      s->env.height, s->env.width};
    s->support = (size_t)e->ways * e->shots, s->query = (size_t)e->ways * e->queries;
    return wh_episode_pool_new(&s->pool, &rows, &design);
}

whist_status wh_source_new(wh_source **out, const wh_source_env *env)
{
    WH_ENSURE(out && env, WHIST_E_ARG);
    WH_AUTO(wh_source_ptr) s = NULL;
    WH_TRY(WH_NEW(&s, 1));
    s->env = *env;
    WH_TRY(init(s));
    *out = s;
    s = NULL;
    return WHIST_OK;
}

void wh_source_free(wh_source *s)
{
    if (!s) return;
    wh_episode_pool_free(s->pool);
    wh_people_clear(&s->people);
    wh_free(s->able);
    wh_free(s);
}

size_t wh_source_support(const wh_source *s)
{
    return s->support;
}

size_t wh_source_query(const wh_source *s)
{
    return s->query;
}

whist_status wh_source_seat_new(wh_source_seat **out, const wh_source *s)
{
    wh_source_seat *seat;
    WH_TRY(WH_NEW(&seat, 1));
    whist_status status = s->pool ? wh_episode_init(&seat->episode, s->pool) : WHIST_OK;
    if (status == WHIST_OK) status = WH_NEW(&seat->order, s->most + 1);
    if (status == WHIST_OK) status = WH_NEW(&seat->query_order, s->most + 1);
    if (status != WHIST_OK) {
        wh_source_seat_free(seat);
        return status;
    }
    *out = seat;
    return WHIST_OK;
}

void wh_source_seat_free(wh_source_seat *seat)
{
    if (!seat) return;
    wh_episode_clear(&seat->episode);
    wh_free(seat->order);
    wh_free(seat->query_order);
    wh_free(seat);
}

/* ---- Drawing ---------------------------------------------------------------------------------------------- */

static whist_status draw_classes(wh_scheme_task *out, wh_source_seat *seat, const wh_source *s, const wh_scheme *scheme,
                                 const char *purpose, uint64_t index)
{
    wh_episode *e = &seat->episode;
    size_t d = wh_episode_pool_features(s->pool);
    wh_episode_draw(e, s->pool, s->env.seed, purpose, index);
    memcpy(out->x, e->support_x, e->n_support * d * sizeof *out->x);
    memcpy(out->x + e->n_support * d, e->query_x, e->n_query * d * sizeof *out->x);
    for (size_t i = 0; i < e->n_support; i++) WH_TRY(wh_scheme_task_target(out, i, e->support_y[i], scheme));
    for (size_t i = 0; i < e->n_query; i++) WH_TRY(wh_scheme_task_target(out, e->n_support + i, e->query_y[i], scheme));
    return WHIST_OK;
}

/* Support: rows that show the classes in turn. Query: the rows that come next, or those of another fold. */
static whist_status draw_owner(wh_scheme_task *out, wh_source_seat *seat, const wh_source *s, const wh_scheme *scheme,
                               const char *purpose, uint64_t index)
{
    wh_seeded stream;
    wh_seeded_init(&stream, s->env.seed, purpose, "", index);
    size_t owner = wh_seeded_below(&stream, (uint32_t)s->env.n);
    const whist_rows train = whist_dataset_rows(s->env.data[owner], WHIST_FOLD_TRAIN);
    size_t classes = wh_scheme_by_class(scheme) ? wh_scheme_outputs(scheme) : s->env.episodes.ways;
    WH_TRY(
        wh_episode_owner(seat->order, &train, classes, s->support, wh_seeded_u64(&stream), s->env.names[owner], index));
    WH_TRY(wh_scheme_task_rows(out, 0, &train, seat->order, s->support, scheme));
    if (s->env.fold == WHIST_FOLD_TRAIN)
        return wh_scheme_task_rows(out, s->support, &train, seat->order + s->support, s->query, scheme);
    const whist_rows fold = whist_dataset_rows(s->env.data[owner], s->env.fold);
    if (s->query == fold.n)
        for (size_t i = 0; i < fold.n; i++) seat->query_order[i] = (uint32_t)i;
    else
        wh_seeded_permutation(&stream, seat->query_order, fold.n);
    return wh_scheme_task_rows(out, s->support, &fold, seat->query_order, s->query, scheme);
}

static whist_status draw_person(wh_scheme_task *out, wh_source_seat *seat, const wh_source *s, const wh_scheme *scheme,
                                const char *purpose, uint64_t index)
{
    wh_seeded stream;
    wh_seeded_init(&stream, s->env.seed, purpose, "", index);
    const uint32_t p = s->able[wh_seeded_below(&stream, (uint32_t)s->n_able)];
    const uint32_t *own = s->people.order + s->people.begin[p];
    const whist_rows rows = whist_dataset_rows(s->env.data[0], s->env.fold);
    wh_seeded_permutation(&stream, seat->order, s->people.begin[p + 1] - s->people.begin[p]);
    for (size_t i = 0; i < s->support + s->query; i++) seat->order[i] = own[seat->order[i]];
    return wh_scheme_task_rows(out, 0, &rows, seat->order, s->support + s->query, scheme);
}

static whist_status draw_rows(wh_scheme_task *out, wh_source_seat *seat, const wh_source *s, const wh_scheme *scheme,
                              const char *purpose, uint64_t index)
{
    switch (s->env.episodes.kind) {
    case WHIST_TASKS_CLASSES: return draw_classes(out, seat, s, scheme, purpose, index);
    case WHIST_TASKS_SITES: return draw_owner(out, seat, s, scheme, purpose, index);
    case WHIST_TASKS_PERSONS: return draw_person(out, seat, s, scheme, purpose, index);
    case WHIST_TASKS_SINUSOID: break;
    }
    wh_episode_sinusoid(out->x, out->y, s->support + s->query, s->env.seed, purpose, index);
    return WHIST_OK;
}

whist_status wh_source_draw(wh_scheme_task *out, wh_source_seat *seat, const wh_source *s, const wh_scheme *scheme,
                            const char *purpose, uint64_t index)
{
    if (out->noise) {
        wh_seeded stream;
        wh_seeded_init(&stream, s->env.seed, "meta-noise", purpose, index);
        for (size_t i = 0; i < wh_scheme_noise(scheme); i++) out->noise[i] = (float)wh_seeded_normal(&stream);
    }
    WH_TRY(draw_rows(out, seat, s, scheme, purpose, index));
    return wh_scheme_task_mix(out, scheme);
}

/* ---- A step of training ---- */

size_t wh_source_step_tasks(size_t episodes, const whist_attack *attack)
{
    return attack->on == WHIST_ADVERSARY_BOTH ? 2 * episodes : episodes;
}

whist_status wh_source_step_draw(wh_scheme_task *out, wh_source_seat *seat, const wh_source *source, wh_scheme *scheme,
                                 unsigned worker, const wh_source_step *step, size_t i, float *personal)
{
    const whist_adversary on = step->attack->on;
    const bool both = on == WHIST_ADVERSARY_BOTH;
    const size_t n = both ? step->n / 2 : step->n;
    const uint64_t episode = step->step * n + i % n;
    WH_TRY(wh_source_draw(out, seat, source, scheme, step->purpose, episode));
    if (step->poison) wh_backdoor_poison(out, scheme, step->poison, episode);
    if (on == WHIST_ADVERSARY_NONE) return WHIST_OK;
    bool query = on == WHIST_ADVERSARY_QUERY || (both && i < n);
    if (!query) return wh_scheme_attack(out, scheme, worker, step->params, false, step->attack, step->unit);
    WH_TRY(wh_scheme_adapt(personal, scheme, worker, step->params, out));
    return wh_scheme_attack(out, scheme, worker, personal, true, step->attack, step->unit);
}
