/* fed/coordinator_record.c: what the coordinator reads back: after a restart, for a replay, for early
 * stopping. */
#include "fed/coordinator_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <string.h>

/* ---- Small numbers ---- */

whist_status wh_coordinator_set_u64(wh_coordinator *c, const char *key, uint64_t value)
{
    uint8_t bytes[8];
    memcpy(bytes, &value, 8);
    return wh_store_set(c->store, key, (whist_bytes){bytes, 8});
}

static whist_status get_u64(wh_store *store, const char *key, uint64_t *out, bool *found)
{
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_TRY(wh_store_get(store, key, &bytes, found));
    if (!*found) return WHIST_OK;
    if (bytes.len != 8) WH_FAIL(WHIST_E_FORMAT, "the store's value of %s is damaged", key);
    memcpy(out, bytes.data, 8);
    return WHIST_OK;
}

/* ---- Recovery ---- */

static whist_status begin_store(wh_coordinator *c)
{
    WH_TRY(wh_model_begin(c->store, c->plan));
    WH_TRY(wh_store_begin(c->store));
    whist_status status = wh_coordinator_set_u64(c, "position", 0);
    if (status == WHIST_OK) status = wh_coordinator_set_u64(c, "version", 0);
    if (status == WHIST_OK) status = wh_store_commit(c->store);
    if (status != WHIST_OK) wh_store_rollback(c->store);
    return status;
}

static whist_status note_last_arrived(wh_coordinator *c, uint64_t last_step)
{
    for (uint64_t step = 0; c->last_arrived && step <= last_step; step++) {
        WH_AUTO(wh_step_row) row = {0};
        bool found;
        WH_TRY(wh_store_step_get(c->store, step, &row, &found));
        if (!found || row.state != WH_STEP_CLOSED || row.purpose != WHIST_PURPOSE_TRAIN) continue;
        for (size_t i = 0; i < row.n_sites && i < c->plan->n_sites; i++)
            if (row.cohort[i] & WH_COHORT_COUNTED) c->last_arrived[i] = step + 1;
    }
    return WHIST_OK;
}

typedef struct arrival_walk {
    wh_coordinator *c;
    unsigned phase;
    uint8_t *uploaded; /* (n) sites whose upload is part of the sum, whatever became of them later */
} arrival_walk;

static whist_status note_arrival(void *user, const char *actor, const wh_digest *answer)
{
    (void)answer;
    arrival_walk *walk = user;
    wh_step *step = &walk->c->step;
    const whist_fed_plan *plan = walk->c->plan;
    for (size_t i = 0; i < step->n; i++) {
        if (strcmp(step->names[i], actor) != 0) continue;
        step->done[i] = (uint8_t)(walk->phase + 1);
        walk->uploaded[i] |= walk->phase == wh_upload_phase(plan->protection);
    }
    for (size_t i = 0; i < plan->n_parties; i++)
        if (strcmp(plan->parties[i].name, actor) == 0) step->party_done[i] = (uint8_t)(walk->phase + 1);
    return WHIST_OK;
}

static whist_status reopen_uploads(wh_coordinator *c, const uint8_t *uploaded)
{
    if (!wh_store_dir(c->store)) return WHIST_OK;
    for (size_t i = 0; i < c->step.n; i++) {
        bool arrived = uploaded[i];
        WH_TRY(wh_upload_reopen(&c->step.uploads[i], c->store, &c->step, c->step.members[i], arrived));
        c->step.n_complete += arrived;
        if (arrived && c->plan->protection->shows_updates)
            WH_TRY(wh_upload_check(c->step.uploads[i], &c->step, c->plan));
    }
    return WHIST_OK;
}

static whist_status reload_machine(wh_coordinator *c)
{
    if (!c->plan->protection->load) return WHIST_OK;
    WH_AUTO(wh_buf) state = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_machine_get(c->store, c->step.row.step, "", &state, &found));
    return found ? c->plan->protection->load(c->step.machine, wh_buf_view(&state)) : WHIST_OK;
}

/* Who answered which phase, and who declined. */
static whist_status recall_answers(wh_coordinator *c, uint8_t *uploaded)
{
    wh_step *step = &c->step;
    for (unsigned phase = 0; phase <= step->row.phase; phase++) {
        arrival_walk walk = {c, phase, uploaded};
        WH_TRY(wh_store_arrivals(c->store, step->row.step, phase, note_arrival, &walk));
        if (phase < step->row.phase) wh_step_pass(step, c->plan, phase);
    }
    for (size_t i = 0; i < step->n; i++)
        if (step->row.cohort[step->members[i]] & WH_COHORT_DECLINED) step->done[i] = WH_DROPPED;
    return WHIST_OK;
}

static whist_status reopen_step(wh_coordinator *c, wh_step_row *row)
{
    char name[64];
    wh_model_file_name(name, c->version);
    WH_TRY(wh_vecfile_open(&c->model, c->store, name));
    if (wh_store_dir(c->store) && row->purpose != WHIST_PURPOSE_MOMENTS)
        WH_TRY(wh_vecfile_manifest(c->model, &c->model_manifest, WH_CHUNK_BYTES));
    row->deadline_ms = wh_clock_unix_ms() + (int64_t)c->plan->round_timeout_ms; /* the time away does not count */
    WH_TRY(wh_step_init(&c->step, c->plan, row));
    c->step_open = true;
    uint8_t *uploaded;
    WH_TRY(WH_ARENA_NEW(&uploaded, &c->step.arena, c->step.n));
    WH_TRY(recall_answers(c, uploaded));
    WH_TRY(reopen_uploads(c, uploaded));
    WH_TRY(reload_machine(c));
    wh_step_recount(&c->step, c->plan);
    c->step.turn = wh_schedule_at(c->plan, c->position, c->stop_round).turn;
    return WHIST_OK;
}

/* Whoever asked before the restart may ask again, unless the end has been told already. */
static whist_status recall_audience(wh_coordinator *c)
{
    uint64_t told;
    bool found;
    WH_TRY(get_u64(c->store, "told", &told, &found));
    if (!found) memset(c->contact, WH_CONTACT_BEFORE, c->plan->n_sites + c->plan->n_parties);
    return WHIST_OK;
}

whist_status wh_coordinator_recover(wh_coordinator *c)
{
    bool found, has_row, has_stop;
    WH_TRY(get_u64(c->store, "position", &c->position, &found));
    if (!found) return begin_store(c);
    WH_TRY(get_u64(c->store, "version", &c->version, &found));
    WH_TRY(get_u64(c->store, "stop", &c->stop_round, &has_stop));
    WH_TRY(recall_audience(c));
    WH_AUTO(wh_step_row) row = {0};
    WH_TRY(wh_store_step_last(c->store, &row, &has_row));
    if (c->version) WH_TRY(wh_model_forget(c->store, c->version - 1)); /* the crash may have come before that */
    if (!has_row) return WHIST_OK;
    if (row.n_sites != c->plan->n_sites) WH_FAIL(WHIST_E_FORMAT, "the store was made for another number of sites");
    c->counts.step = row.step + 1;
    WH_TRY(note_last_arrived(c, row.step));
    if (row.state != WH_STEP_OPEN) return WHIST_OK;
    wh_log(WHIST_LOG_INFO, "coordinator.resumed", "step %llu, round %llu goes on", (unsigned long long)row.step,
           (unsigned long long)row.round);
    return reopen_step(c, &row);
}

/* ---- Replay ---- */

whist_status wh_coordinator_load_replay(wh_coordinator *c)
{
    wh_store *record;
    WH_TRY(wh_store_open_readonly(&record, c->replay));
    WH_AUTO(wh_step_row) last = {0};
    bool found;
    whist_status status = wh_store_step_last(record, &last, &found);
    if (status == WHIST_OK && !found)
        status = wh_fail(WHIST_E_FORMAT, __FILE__, __LINE__, "%s records no step", c->replay);
    if (status == WHIST_OK) status = WH_NEW(&c->replay_cohorts, last.step + 1);
    for (uint64_t step = 0; status == WHIST_OK && step <= last.step; step++) {
        WH_AUTO(wh_step_row) row = {0};
        status = wh_store_step_get(record, step, &row, &found);
        if (status != WHIST_OK || !found || row.state != WH_STEP_CLOSED) continue;
        if (row.n_sites != c->plan->n_sites) {
            status = wh_fail(WHIST_E_FORMAT, __FILE__, __LINE__, "%s was run with %zu sites, this study has %zu",
                             c->replay, row.n_sites, c->plan->n_sites);
            break;
        }
        for (size_t i = 0; i < row.n_sites; i++)
            row.cohort[i] = row.cohort[i] & WH_COHORT_COUNTED ? WH_COHORT_MEMBER : 0;
        c->replay_cohorts[c->n_replay++] = row.cohort;
        row.cohort = NULL;
    }
    wh_store_close(record);
    return status;
}

/* ---- Metrics ---- */

static whist_status put_metrics(wh_coordinator *c, const char *site, const wh_sums *sums)
{
    static const whist_fold folds[] = {WHIST_FOLD_TEST, WHIST_FOLD_VALIDATION};
    for (size_t f = 0; f < WH_COUNT(folds); f++)
        for (size_t m = 0; m < c->plan->n_metrics; m++)
            if (sums->metrics[f][m].n > 0)
                WH_TRY(wh_store_metric_put(c->store, c->step.row.round, site, folds[f], c->plan->metrics[m],
                                           &sums->metrics[f][m]));
    return WHIST_OK;
}

whist_status wh_coordinator_record_metrics(wh_coordinator *c, const wh_sums *pooled)
{
    WH_TRY(put_metrics(c, "", pooled));
    if (!c->plan->protection->shows_updates) return WHIST_OK;
    for (size_t i = 0; i < c->step.n; i++)
        if (c->step.uploads[i] && c->step.uploads[i]->complete)
            WH_TRY(put_metrics(c, c->step.names[i], &c->step.uploads[i]->sums));
    return WHIST_OK;
}

/* ---- Early stopping ---- */

typedef struct best_round {
    const char *metric;
    bool higher;
    bool any;
    double best;
    uint64_t best_round, last_round;
} best_round;

static whist_status look_at_metric(void *user, uint64_t round, const char *site, whist_fold fold, const char *name,
                                   const whist_metric_value *sum)
{
    best_round *b = user;
    if (site[0] || fold != WHIST_FOLD_VALIDATION || strcmp(name, b->metric) != 0 || !(sum->den > 0)) return WHIST_OK;
    double value = sum->num / sum->den;
    if (!b->any || (b->higher ? value > b->best : value < b->best)) {
        b->best = value;
        b->best_round = round;
        b->any = true;
    }
    if (round > b->last_round) b->last_round = round;
    return WHIST_OK;
}

whist_status wh_coordinator_check_stop(wh_coordinator *c, uint64_t *stop_round)
{
    *stop_round = c->stop_round;
    if (!c->plan->stop_early || !c->plan->n_metrics || c->stop_round != UINT64_MAX) return WHIST_OK;
    const whist_metric *metric = whist_metric_find(c->plan->metrics[0]);
    best_round b = {.metric = c->plan->metrics[0], .higher = !metric || metric->higher_is_better};
    WH_TRY(wh_store_metrics(c->store, look_at_metric, &b));
    uint64_t every = c->plan->evaluate_every ? c->plan->evaluate_every : 1;
    if (!b.any || b.last_round - b.best_round < (uint64_t)c->plan->stop_patience * every) return WHIST_OK;
    WH_TRY(wh_coordinator_set_u64(c, "stop", b.last_round + 1));
    *stop_round = b.last_round + 1;
    wh_log(WHIST_LOG_INFO, "run.stops", "no better validation %s since round %llu", b.metric,
           (unsigned long long)b.best_round);
    return WHIST_OK;
}
