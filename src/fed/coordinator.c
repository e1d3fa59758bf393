/* fed/coordinator.c: opening and closing steps and phases. */
#include "fed/coordinator_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "fed/inbox.h"
#include "fed/private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- Opening ---- */

static whist_status draw_cohort(wh_coordinator *c, const wh_schedule_entry *entry, wh_step_row *row)
{
    WH_TRY(wh_alloc((void **)&row->cohort, c->plan->n_sites, 1));
    row->n_sites = c->plan->n_sites;
    if (c->position < c->n_replay) {
        memcpy(row->cohort, c->replay_cohorts[c->position], row->n_sites);
        return WHIST_OK;
    }
    return wh_schedule_cohort(row->cohort, c->plan, entry, row->step);
}

whist_status wh_coordinator_store_row(wh_coordinator *c, const wh_step_row *row)
{
    WH_TRY(wh_store_begin(c->store));
    whist_status status = wh_store_step_put(c->store, row);
    if (status == WHIST_OK) status = wh_store_commit(c->store);
    if (status != WHIST_OK) wh_store_rollback(c->store);
    return status;
}

static void set_deadline(wh_coordinator *c, wh_step_row *row)
{
    row->opened_ms = wh_clock_unix_ms();
    row->deadline_ms = row->opened_ms + (int64_t)c->plan->round_timeout_ms;
}

static whist_status open_model(wh_coordinator *c)
{
    char name[64];
    wh_model_file_name(name, c->version);
    wh_vecfile_close(c->model);
    c->model = NULL;
    wh_manifest_clear(&c->model_manifest);
    return wh_vecfile_open(&c->model, c->store, name);
}

/* The digests of a large model take a while, so they are made before the step is open, and without the lock: calls
 * find no step meanwhile. In memory they are made when somebody asks: a simulation never does. */
static whist_status name_model(wh_coordinator *c, whist_purpose purpose)
{
    if (!wh_store_dir(c->store) || purpose == WHIST_PURPOSE_MOMENTS) return WHIST_OK;
    pthread_mutex_unlock(&c->lock);
    wh_manifest manifest = WH_MANIFEST_EMPTY;
    whist_status status = wh_vecfile_manifest(c->model, &manifest, WH_CHUNK_BYTES);
    pthread_mutex_lock(&c->lock);
    c->model_manifest = manifest;
    return status;
}

/* Whether our own ledger is charged for a training step: with local noise the sites alone pay. */
static bool pays(const wh_coordinator *c, whist_purpose purpose)
{
    return c->ledger && purpose == WHIST_PURPOSE_TRAIN && wh_private_is_on(c->plan) &&
           c->plan->privacy->noise != WHIST_NOISE_LOCAL;
}

/* Before the first training step of this process: the rounds to come fit, or none of them is begun. */
static whist_status check_plan(wh_coordinator *c, const wh_step_row *row)
{
    if (c->plan_fits || !pays(c, row->purpose)) return WHIST_OK;
    wh_charge charge = wh_private_charge(c->plan, c->plan->privacy->clip);
    charge.step = row->step;
    charge.round = row->round;
    charge.phase = (unsigned)wh_upload_phase(c->plan->protection);
    charge.planned = c->plan->rounds - row->round;
    charge.spend = wh_spend_times(&charge.spend, charge.planned);
    WH_TRY(wh_ledger_check(c->ledger, &charge));
    c->plan_fits = true;
    return WHIST_OK;
}

static whist_status end_before_it_begins(wh_coordinator *c)
{
    snprintf(c->failure, sizeof c->failure, "%s", whist_detail_get()->text);
    c->state = WH_RUN_FAILED;
    c->failed = WHIST_E_BUDGET;
    return WHIST_OK;
}

/* Makes the step of the present position, or ends the run. */
static whist_status open_step(wh_coordinator *c)
{
    wh_schedule_entry entry = wh_schedule_at(c->plan, c->position, c->stop_round);
    if (entry.over || (c->replay && c->position >= c->n_replay && entry.purpose != WHIST_PURPOSE_EVALUATE)) {
        c->state = WH_RUN_FINISHED;
        return WHIST_OK;
    }
    WH_AUTO(wh_step_row) row = {.step = c->counts.step, .round = entry.round, .purpose = entry.purpose};
    whist_status fits = check_plan(c, &row);
    if (fits == WHIST_E_BUDGET) return end_before_it_begins(c);
    WH_TRY(fits);
    WH_TRY(draw_cohort(c, &entry, &row));
    WH_TRY(open_model(c));
    WH_TRY(name_model(c, row.purpose));
    set_deadline(c, &row);
    WH_TRY(wh_coordinator_store_row(c, &row));
    WH_TRY(wh_step_init(&c->step, c->plan, &row));
    c->step.turn = entry.turn;
    c->step_open = true;
    c->declined[0] = 0;
    c->unpaid = false;
    wh_log(WHIST_LOG_DEBUG, "step.open", "step %llu, round %llu, %zu sites", (unsigned long long)c->step.row.step,
           (unsigned long long)entry.round, c->step.n);
    return WHIST_OK;
}

/* ---- Closing ---- */

typedef struct outbox {
    wh_coordinator *c;
    size_t number;
    whist_status stored; /* first failure of the store, which is ours and not the protocol's */
} outbox;

/* Messages of the coordinator itself, sent in the phase that closes. */
static whist_status send_message(void *user, const char *to, whist_bytes body)
{
    outbox *out = user;
    whist_message message = {.body = body};
    if (body.len > WHIST_MESSAGE_MAX) WH_FAIL(WHIST_E_RANGE, "a message of %zu bytes", body.len);
    snprintf(message.to, sizeof message.to, "%s", to);
    out->stored =
        wh_store_message_put(out->c->store, out->c->step.row.step, out->c->step.row.phase, out->number++, &message);
    return out->stored;
}

/* After the last phase nobody reads messages any more. */
static whist_status send_nothing(void *user, const char *to, whist_bytes body)
{
    (void)user;
    (void)body;
    WH_FAIL(WHIST_E_STATE, "a message to '%s' after the last phase", to);
}

static whist_status keep_machine(void *user, const char *to, whist_bytes state)
{
    (void)to;
    wh_coordinator *c = user;
    return wh_store_machine_put(c->store, c->step.row.step, "", state);
}

/* What sites did, and not this machine or its disk, ends the step and not the run. */
static bool is_step_failure(whist_status status)
{
    return status == WHIST_E_AUTH || status == WHIST_E_FORMAT || status == WHIST_E_RANGE || status == WHIST_E_STATE;
}

/* The coordinator's own machine sees the phase that just closed. *refused: it cannot go on with what the
 * sites sent, the detail record says why. */
static whist_status step_machine(wh_coordinator *c, whist_send_fn *send, bool *refused)
{
    const whist_protection_class *class_ = c->plan->protection;
    *refused = false;
    if (!class_->step) return WHIST_OK;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    whist_message *messages;
    size_t n_messages;
    WH_TRY(wh_inbox_read(&messages, &n_messages, &arena, c->store, c->step.row.step, c->step.row.phase, ""));
    /* Who completed it, not who was asked. */
    size_t n = 0;
    for (size_t i = 0; i < c->step.n; i++)
        if (wh_step_has_completed(&c->step, i)) c->step.alive[n++] = c->step.names[i];
    whist_phase_input input = {c->step.row.phase, c->step.alive, n, messages, n_messages};
    outbox out = {c, 0, WHIST_OK};
    whist_status status = class_->step(c->step.machine, &input, send, &out);
    *refused = out.stored == WHIST_OK && is_step_failure(status);
    return status;
}

static void count_completers(wh_coordinator *c, size_t *sites, bool *parties)
{
    *sites = 0;
    *parties = true;
    wh_step_pass(&c->step, c->plan, c->step.row.phase);
    for (size_t i = 0; i < c->step.n; i++) *sites += wh_step_has_completed(&c->step, i);
    for (size_t i = 0; i < c->plan->n_parties; i++) *parties = *parties && c->step.party_done[i] > c->step.row.phase;
}

/* Where single updates are hidden, the sums of an evaluation are, too: they need as much company. */
static size_t least_sites(const wh_coordinator *c)
{
    bool alone = c->step.row.purpose == WHIST_PURPOSE_EVALUATE && c->plan->protection->shows_updates;
    return !alone && !c->plan->strategy->sequential && c->plan->min_sites ? c->plan->min_sites : 1;
}

static void leave_step(wh_coordinator *c)
{
    c->counts.step = c->step.row.step + 1;
    c->counts.round = c->step.row.round; /* until the next step is open */
    c->counts.phase = 0;
    wh_step_clear(&c->step);
    c->step_open = false;
}

/* Uploads of a step that is over. */
static whist_status clean_spool(wh_coordinator *c)
{
    return wh_store_dir(c->store) ? wh_spool_clean(c->store, NULL) : WHIST_OK;
}

/* A step that cannot be completed: recorded, and tried again with another draw, up to a limit. */
static whist_status fail_step(wh_coordinator *c, const char *why)
{
    c->step.row.state = WH_STEP_FAILED;
    WH_TRY(wh_coordinator_store_row(c, &c->step.row));
    wh_log(WHIST_LOG_WARNING, "step.failed", "step %llu, round %llu: %s", (unsigned long long)c->step.row.step,
           (unsigned long long)c->step.row.round, why);
    const uint64_t round = c->step.row.round;
    const bool everybody = c->step.n == c->plan->n_sites;
    leave_step(c);
    WH_TRY(clean_spool(c));
    /* Another draw may leave out a site whose budget is spent, where there is one to be left out. */
    const bool hopeless = c->unpaid && everybody;
    if (++c->attempts < WH_MAX_ATTEMPTS && !hopeless) return WHIST_OK;
    c->state = WH_RUN_FAILED;
    c->failed = c->unpaid ? WHIST_E_BUDGET : WHIST_E_TIMEOUT;
    snprintf(c->failure, sizeof c->failure, "round %llu failed %u time%s: %s", (unsigned long long)round, c->attempts,
             c->attempts == 1 ? "" : "s", why);
    return WHIST_OK;
}

/* The protocol failed, for the reason in the detail record. */
static whist_status refuse_step(wh_coordinator *c)
{
    char why[192];
    snprintf(why, sizeof why, "%s", whist_detail_get()->text);
    return fail_step(c, why);
}

static whist_status move_on(wh_coordinator *c)
{
    if (c->plan->protection->save) WH_TRY(c->plan->protection->save(c->step.machine, keep_machine, c));
    c->step.row.phase++;
    set_deadline(c, &c->step.row);
    WH_TRY(wh_store_step_put(c->store, &c->step.row));
    return wh_store_commit(c->store);
}

static whist_status next_phase(wh_coordinator *c)
{
    unsigned phase = c->step.row.phase;
    bool refused;
    WH_TRY(wh_store_begin(c->store));
    whist_status status = step_machine(c, send_message, &refused);
    if (status == WHIST_OK) status = move_on(c);
    if (status != WHIST_OK) {
        wh_store_rollback(c->store);
        c->step.row.phase = phase;
        return refused ? refuse_step(c) : status;
    }
    wh_step_recount(&c->step, c->plan);
    return WHIST_OK;
}

/* The new version's files; runs without the lock, `closing` keeps everybody else away. */
static whist_status compute(wh_coordinator *c, wh_sums *pooled, uint64_t *next_version)
{
    *next_version = c->version;
    switch (c->step.row.purpose) {
    case WHIST_PURPOSE_MOMENTS:
        *next_version = c->version + 1;
        return wh_model_moments(c->store, c->plan, &c->step, c->version);
    case WHIST_PURPOSE_TRAIN:
        *next_version = c->version + 1;
        return wh_model_step(c->store, c->plan, &c->step, c->version, pooled);
    case WHIST_PURPOSE_EVALUATE: return wh_step_sums(pooled, c->plan, &c->step);
    }
    WH_FAIL(WHIST_E_STATE, "a step without purpose");
}

/* What closes with the step, all of it in one transaction. */
typedef struct closing {
    wh_sums pooled;
    uint64_t next_version, stop_round;
} closing;

static whist_status record_step(wh_coordinator *c, closing *end)
{
    c->step.row.state = WH_STEP_CLOSED;
    for (size_t i = 0; i < c->step.n; i++)
        if (c->step.uploads[i] && c->step.uploads[i]->complete)
            c->step.row.cohort[c->step.members[i]] |= WH_COHORT_COUNTED;
    WH_TRY(wh_store_step_put(c->store, &c->step.row));
    if (c->step.row.purpose != WHIST_PURPOSE_MOMENTS) WH_TRY(wh_coordinator_record_metrics(c, &end->pooled));
    if (c->step.row.purpose == WHIST_PURPOSE_TRAIN) WH_TRY(wh_coordinator_check_stop(c, &end->stop_round));
    WH_TRY(wh_coordinator_set_u64(c, "position", c->position + 1));
    WH_TRY(wh_coordinator_set_u64(c, "version", end->next_version));
    return wh_store_forget_before(c->store, c->step.row.step);
}

static whist_status commit_step(wh_coordinator *c, closing *end)
{
    WH_TRY(wh_store_begin(c->store));
    whist_status status = record_step(c, end);
    if (status == WHIST_OK) status = wh_store_commit(c->store);
    if (status != WHIST_OK) wh_store_rollback(c->store);
    return status;
}

static whist_status close_step(wh_coordinator *c)
{
    closing end = {.next_version = c->version, .stop_round = c->stop_round};
    uint64_t old_version = c->version;
    /* What was revealed opens the sum. The machine is not stored any more: after a crash it sees the phase again. */
    bool refused;
    whist_status status = step_machine(c, send_nothing, &refused);
    if (refused) return refuse_step(c);
    WH_TRY(status);
    pthread_mutex_unlock(&c->lock);
    status = compute(c, &end.pooled, &end.next_version);
    pthread_mutex_lock(&c->lock);
    /* The sum is not one that the strategy can step by: another draw may give a better one. */
    if (status == WHIST_E_RANGE || status == WHIST_E_AUTH) return refuse_step(c);
    WH_TRY(status);
    WH_TRY(commit_step(c, &end));
    for (size_t i = 0; c->last_arrived && c->step.row.purpose == WHIST_PURPOSE_TRAIN && i < c->step.n; i++)
        if (c->step.uploads[i] && c->step.uploads[i]->complete)
            c->last_arrived[c->step.members[i]] = c->step.row.step + 1;
    wh_log(WHIST_LOG_INFO, "step.closed", "step %llu, round %llu, %zu of %zu sites",
           (unsigned long long)c->step.row.step, (unsigned long long)c->step.row.round, c->step.n_complete, c->step.n);
    leave_step(c);
    c->position++;
    c->version = end.next_version;
    c->stop_round = end.stop_round;
    c->attempts = 0;
    if (old_version != c->version) WH_TRY(wh_model_forget(c->store, old_version));
    return clean_spool(c);
}

static bool in_flight(const wh_coordinator *c)
{
    for (size_t i = 0; i < c->step.n; i++)
        if (c->step.uploads[i] && c->step.uploads[i]->in_flight) return true;
    return false;
}

/* Names those who were asked and did not answer, as many as fit. */
static void name_missing(const wh_coordinator *c, char *out, size_t size)
{
    size_t used = 0, more = 0;
    out[0] = 0;
    for (size_t i = 0; i < c->step.n; i++) {
        if (wh_step_has_completed(&c->step, i)) continue;
        size_t need = strlen(c->step.names[i]) + 2;
        if (used + need + 16 >= size) {
            more++;
            continue;
        }
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", c->step.names[i]);
    }
    if (more) snprintf(out + used, size - used, " and %zu more", more);
}

/* The run is over: nothing can be opened any more. What sites sent and nobody opened is forgotten. */
static whist_status end_unpaid(wh_coordinator *c)
{
    c->step.row.state = WH_STEP_FAILED;
    snprintf(c->failure, sizeof c->failure, "%s", whist_detail_get()->text);
    WH_TRY(wh_coordinator_store_row(c, &c->step.row));
    leave_step(c);
    c->state = WH_RUN_FAILED;
    c->failed = WHIST_E_BUDGET;
    return clean_spool(c);
}

/* Before the sum of the uploads is asked for, or opened. Paid once, however often a restart comes by here. */
static whist_status pay(wh_coordinator *c)
{
    double clip;
    const bool due = pays(c, c->step.row.purpose) && c->step.row.phase == wh_upload_phase(c->plan->protection);
    if (!due) return WHIST_OK;
    WH_TRY(wh_model_clip(&clip, c->plan, c->model));
    wh_charge charge = wh_private_charge(c->plan, clip);
    charge.step = c->step.row.step;
    charge.round = c->step.row.round;
    charge.phase = c->step.row.phase;
    whist_status status = wh_ledger_charge(c->ledger, &charge, NULL);
    return status == WHIST_E_BUDGET ? end_unpaid(c) : status;
}

static whist_status close_phase(wh_coordinator *c)
{
    c->closing = true;
    while (in_flight(c)) pthread_cond_wait(&c->changed, &c->lock);
    size_t sites;
    bool parties;
    count_completers(c, &sites, &parties);
    if (sites < c->step.n_alive) {
        char missing[256];
        name_missing(c, missing, sizeof missing);
        wh_log(WHIST_LOG_WARNING, "sites.missing", "step %llu, round %llu goes on without %s",
               (unsigned long long)c->step.row.step, (unsigned long long)c->step.row.round, missing);
    }
    whist_status status;
    char why[448] = "";
    if (sites < least_sites(c))
        snprintf(why, sizeof why, "%zu of at least %zu sites answered phase %s in time%s%s", sites, least_sites(c),
                 c->plan->protection->phases[c->step.row.phase].name, c->declined[0] ? "; " : "", c->declined);
    else if (!parties)
        snprintf(why, sizeof why, "a third party did not answer phase %s",
                 c->plan->protection->phases[c->step.row.phase].name);
    if (!why[0]) WH_TRY_OUT(pay(c));
    if (c->state != WH_RUN_GOING)
        status = WHIST_OK;
    else if (why[0])
        status = fail_step(c, why);
    else if (c->step.row.phase + 1 < c->plan->protection->n_phases)
        status = next_phase(c);
    else
        status = close_step(c);
out:
    c->closing = false;
    return status;
}

static uint32_t ms_left(const wh_coordinator *c)
{
    int64_t left = c->step.row.deadline_ms - wh_clock_unix_ms();
    return left <= 0 ? 0 : left > 3600000 ? 3600000 : (uint32_t)left;
}

whist_status wh_coordinator_tick(wh_coordinator *c, wh_run_state *state, uint32_t *wait_ms)
{
    pthread_mutex_lock(&c->lock);
    whist_status status = WHIST_OK;
    *wait_ms = 0;
    if (c->state == WH_RUN_GOING && !c->step_open) status = open_step(c);
    if (status == WHIST_OK && c->step_open && c->state == WH_RUN_GOING) {
        bool full = c->step.n_answers >= c->step.n_expected;
        *wait_ms = ms_left(c);
        if (full || *wait_ms == 0) {
            status = close_phase(c);
            *wait_ms = 0;
        }
    }
    c->counts.state = c->state;
    *state = c->state;
    pthread_mutex_unlock(&c->lock);
    if (status == WHIST_OK && *state == WH_RUN_FAILED) WH_FAIL(c->failed, "%s", c->failure);
    return status;
}

void wh_coordinator_wait(wh_coordinator *c, uint32_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&c->lock);
    while (!c->woken && pthread_cond_timedwait(&c->changed, &c->lock, &until) == 0) {
    }
    c->woken = false;
    pthread_mutex_unlock(&c->lock);
}

void wh_coordinator_wake(wh_coordinator *c)
{
    pthread_mutex_lock(&c->lock);
    c->woken = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* ---- Life ---- */

whist_status wh_coordinator_new(wh_coordinator **out, const wh_coordinator_env *env)
{
    WH_TRY(whist_fed_plan_check(env->plan));
    wh_coordinator *c;
    WH_TRY(WH_NEW(&c, 1));
    c->plan = env->plan;
    c->store = env->store;
    c->max_spool_bytes = env->max_spool_bytes;
    c->replay = env->replay;
    c->ledger = env->ledger;
    c->stop_round = UINT64_MAX;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    whist_status status = WH_NEW(&c->contact, c->plan->n_sites + c->plan->n_parties);
    if (status == WHIST_OK && c->plan->learner->n_states) status = WH_NEW(&c->last_arrived, c->plan->n_sites);
    if (status == WHIST_OK && c->replay) status = wh_coordinator_load_replay(c);
    if (status == WHIST_OK) status = wh_coordinator_recover(c);
    if (status != WHIST_OK) {
        wh_coordinator_free(c);
        return status;
    }
    *out = c;
    return WHIST_OK;
}

void wh_coordinator_free(wh_coordinator *c)
{
    if (!c) return;
    if (c->step_open) wh_step_clear(&c->step);
    wh_vecfile_close(c->model);
    wh_manifest_clear(&c->model_manifest);
    for (size_t i = 0; i < c->n_replay; i++) wh_free(c->replay_cohorts[i]);
    wh_free(c->replay_cohorts);
    wh_free(c->last_arrived);
    wh_free(c->contact);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    wh_free(c);
}
