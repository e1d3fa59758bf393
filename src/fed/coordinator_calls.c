/* fed/coordinator_calls.c: what sites and parties ask of the coordinator's machine. */
#include "fed/coordinator_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "fed/inbox.h"
#include "fed/private.h"

#include <stdio.h>
#include <string.h>

enum { WAIT_SHORT_MS = 20, WAIT_LONG_MS = 1000, MAX_MESSAGES = 4096 };

/* ---- Who asks ---- */

whist_status wh_coordinator_actor_find(const wh_coordinator *c, const uint8_t pin[32], size_t *out)
{
    for (size_t i = 0; i < c->plan->n_sites + c->plan->n_parties; i++) {
        const whist_fed_site *site =
            i < c->plan->n_sites ? &c->plan->sites[i] : &c->plan->parties[i - c->plan->n_sites];
        if (site->pinned && memcmp(site->pin, pin, 32) == 0) {
            *out = i;
            return WHIST_OK;
        }
    }
    WH_FAIL(WHIST_E_AUTH, "this key belongs to no site of the study %s", c->plan->name);
}

static bool is_party(const wh_coordinator *c, size_t actor)
{
    return actor >= c->plan->n_sites;
}

static const char *actor_name(const wh_coordinator *c, size_t actor)
{
    return is_party(c, actor) ? c->plan->parties[actor - c->plan->n_sites].name : c->plan->sites[actor].name;
}

/* Phases that the actor has completed in the open step; NULL where it takes no part. */
static uint8_t *progress(wh_coordinator *c, size_t actor)
{
    if (is_party(c, actor)) return &c->step.party_done[actor - c->plan->n_sites];
    size_t slot = wh_step_slot(&c->step, actor);
    return slot == SIZE_MAX ? NULL : &c->step.done[slot];
}

static bool may_answer(wh_coordinator *c, size_t actor)
{
    if (!c->step_open || c->closing) return false;
    const whist_phase *phase = &c->plan->protection->phases[c->step.row.phase];
    const uint8_t *done = progress(c, actor);
    if (!done || *done != c->step.row.phase) return false;
    return is_party(c, actor) ? phase->parties : phase->sites;
}

/* ---- poll ---- */

static whist_status copy_names(const char ***out, wh_task *task, const char *const *names, size_t n)
{
    WH_TRY(WH_ARENA_NEW(out, &task->arena, n));
    for (size_t i = 0; i < n; i++) {
        char *name;
        WH_TRY(wh_arena_strdup(&name, &task->arena, names[i]));
        (*out)[i] = name;
    }
    return WHIST_OK;
}

/* Names and messages, for protections that look at them. */
static whist_status fill_company(wh_coordinator *c, size_t actor, wh_task *task)
{
    task->n_sites = c->step.n;
    if (!c->plan->protection->step) return WHIST_OK;
    task->n_alive = c->step.n_alive;
    WH_TRY(copy_names(&task->sites, task, c->step.names, c->step.n));
    WH_TRY(copy_names(&task->alive, task, c->step.alive, c->step.n_alive));
    if (task->phase == 0) return WHIST_OK;
    return wh_inbox_read(&task->inbox, &task->n_inbox, &task->arena, c->store, task->step, task->phase - 1,
                         actor_name(c, actor));
}

static whist_status fill_work(wh_coordinator *c, size_t actor, wh_task *task)
{
    const wh_step_row *row = &c->step.row;
    task->kind = WH_TASK_WORK;
    task->step = row->step;
    task->round = row->round;
    task->phase = row->phase;
    task->purpose = row->purpose;
    bool every = c->plan->evaluate_every && row->round % c->plan->evaluate_every == 0 && c->step.turn == 0;
    task->evaluate = row->purpose == WHIST_PURPOSE_EVALUATE || (row->purpose == WHIST_PURPOSE_TRAIN && every);
    bool upload = c->plan->protection->phases[row->phase].upload && !is_party(c, actor);
    task->has_model = upload && row->purpose != WHIST_PURPOSE_MOMENTS;
    task->model_bytes = task->has_model ? wh_model_file_bytes(c->plan) : 0;
    if (c->last_arrived && !is_party(c, actor) && c->last_arrived[actor]) {
        task->has_state = true;
        task->state_step = c->last_arrived[actor] - 1;
    }
    return fill_company(c, actor, task);
}

/* When to ask again: soon while answers are coming in, later while others still work for long. */
static uint32_t waiting_time(const wh_coordinator *c)
{
    if (!c->step_open && !c->counts.step) return WAIT_LONG_MS; /* not begun yet */
    if (!c->step_open || c->closing) return WAIT_SHORT_MS;
    int64_t age = (wh_clock_unix_ms() - c->step.row.opened_ms) / 4;
    return age < WAIT_SHORT_MS ? WAIT_SHORT_MS : age > WAIT_LONG_MS ? WAIT_LONG_MS : (uint32_t)age;
}

whist_status wh_coordinator_poll(wh_coordinator *c, size_t actor, wh_task *out)
{
    *out = (wh_task)WH_TASK_EMPTY;
    pthread_mutex_lock(&c->lock);
    whist_status status = WHIST_OK;
    c->contact[actor] |= WH_CONTACT_ASKED;
    if (c->state != WH_RUN_GOING) {
        c->contact[actor] |= WH_CONTACT_TOLD;
        out->kind = WH_TASK_FINISHED;
        snprintf(out->text, sizeof out->text, "%s", c->failure);
    } else if (may_answer(c, actor)) {
        status = fill_work(c, actor, out);
    } else {
        out->wait_ms = waiting_time(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (status != WHIST_OK) wh_task_clear(out);
    return status;
}

void wh_task_clear(wh_task *task)
{
    wh_arena_clear(&task->arena);
    wh_manifest_clear(&task->model);
    *task = (wh_task)WH_TASK_EMPTY;
}

/* ---- The model ---- */

whist_status wh_coordinator_model_manifest(wh_coordinator *c, wh_manifest *out)
{
    pthread_mutex_lock(&c->lock);
    whist_status status = WHIST_OK;
    if (!c->step_open)
        status = wh_fail(WHIST_E_STATE, __FILE__, __LINE__, "no step is open");
    else if (!c->model_manifest.n_chunks)
        status = wh_vecfile_manifest(c->model, &c->model_manifest, WH_CHUNK_BYTES);
    if (status == WHIST_OK) status = wh_manifest_init(out, c->model_manifest.bytes, c->model_manifest.chunk_bytes);
    if (status == WHIST_OK) memcpy(out->digests, c->model_manifest.digests, out->n_chunks * sizeof *out->digests);
    pthread_mutex_unlock(&c->lock);
    return status;
}

whist_status wh_coordinator_model_read(wh_coordinator *c, uint64_t step, uint64_t offset, void *out, size_t len)
{
    /* Reading under the lock keeps the file open; a chunk from the page cache takes well under a millisecond. */
    pthread_mutex_lock(&c->lock);
    whist_status status;
    if (!c->step_open || c->step.row.step != step)
        status = wh_fail(WHIST_E_STATE, __FILE__, __LINE__, "step %llu is over", (unsigned long long)step);
    else
        status = wh_vecfile_read(c->model, out, len, offset);
    pthread_mutex_unlock(&c->lock);
    return status;
}

const float *wh_coordinator_model_view(wh_coordinator *c)
{
    return c->step_open ? (const float *)(const void *)wh_vecfile_view(c->model) : NULL;
}

/* ---- Uploads ---- */

/* The open phase is the one named and the actor may still answer it. Under the lock. */
static whist_status check_open(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase)
{
    if (c->step_open && !c->closing && c->step.row.step == step && c->step.row.phase == phase && may_answer(c, actor))
        return WHIST_OK;
    c->counts.late++;
    WH_FAIL(WHIST_E_STATE, "step %llu, phase %u is over or not yours", (unsigned long long)step, phase);
}

static whist_status check_spool(wh_coordinator *c, uint64_t bytes)
{
    if (!c->max_spool_bytes || !wh_store_dir(c->store)) return WHIST_OK;
    uint64_t used;
    WH_TRY(wh_spool_bytes(c->store, &used));
    if (bytes > c->max_spool_bytes || used > c->max_spool_bytes - bytes)
        WH_FAIL(WHIST_E_BUDGET, "the spool is full (%llu of %llu bytes): raise max_spool or wait",
                (unsigned long long)used, (unsigned long long)c->max_spool_bytes);
    return WHIST_OK;
}

static bool same_manifest(const wh_manifest *a, const wh_manifest *b)
{
    return a->bytes == b->bytes && a->chunk_bytes == b->chunk_bytes &&
           memcmp(a->digests, b->digests, a->n_chunks * sizeof *a->digests) == 0;
}

static whist_status begin_upload(wh_coordinator *c, size_t actor, uint64_t bytes, const wh_manifest *manifest)
{
    wh_upload **slot = &c->step.uploads[wh_step_slot(&c->step, actor)];
    if (*slot && manifest && same_manifest(&(*slot)->manifest, manifest)) return WHIST_OK; /* goes on */
    if (*slot) WH_FAIL(WHIST_E_AUTH, "another upload of this step has begun: an update is made once");
    WH_TRY(check_spool(c, bytes));
    return wh_upload_open(slot, c->store, &c->step, actor, bytes, manifest);
}

whist_status wh_coordinator_begin(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase, uint64_t bytes,
                                  const wh_manifest *manifest, wh_buf *have)
{
    pthread_mutex_lock(&c->lock);
    whist_status status = check_open(c, actor, step, phase);
    if (status == WHIST_OK && (is_party(c, actor) || !c->plan->protection->phases[phase].upload))
        status = wh_fail(WHIST_E_FORMAT, __FILE__, __LINE__, "phase %u takes no upload", phase);
    if (status == WHIST_OK) status = begin_upload(c, actor, bytes, manifest);
    if (status == WHIST_OK && have && manifest) {
        const wh_upload *upload = c->step.uploads[wh_step_slot(&c->step, actor)];
        status = wh_buf_add(have, upload->have, manifest->n_chunks / 8 + 1);
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

static wh_upload *find_upload(wh_coordinator *c, size_t actor)
{
    size_t slot = is_party(c, actor) ? SIZE_MAX : wh_step_slot(&c->step, actor);
    return slot == SIZE_MAX ? NULL : c->step.uploads[slot];
}

whist_status wh_coordinator_put(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase, uint64_t offset,
                                whist_bytes piece)
{
    pthread_mutex_lock(&c->lock);
    whist_status status = check_open(c, actor, step, phase);
    wh_upload *upload = status == WHIST_OK ? find_upload(c, actor) : NULL;
    if (status == WHIST_OK && (!upload || upload->complete))
        status = wh_fail(WHIST_E_STATE, __FILE__, __LINE__, "no upload is open");
    if (status == WHIST_OK) {
        upload->in_flight++;
        pthread_mutex_unlock(&c->lock);
        bool in_range;
        status = wh_upload_write(upload, &c->step, offset, piece, &in_range);
        pthread_mutex_lock(&c->lock);
        upload->in_flight--;
        if (status == WHIST_OK) wh_upload_note(upload, offset, piece.len, in_range);
        c->counts.bytes_in += piece.len;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* ---- submit ---- */

static void answer_digest(wh_digest *out, const wh_upload *upload, const whist_message *messages, size_t n)
{
    wh_sha256 hash;
    wh_sha256_init(&hash);
    wh_digest manifest = {{0}};
    if (upload && upload->manifest.n_chunks && wh_manifest_digest(&manifest, &upload->manifest) != WHIST_OK)
        manifest = (wh_digest){{0}};
    wh_sha256_update(&hash, manifest.bytes, sizeof manifest.bytes);
    for (size_t i = 0; i < n; i++) {
        wh_sha256_u64(&hash, strlen(messages[i].to));
        wh_sha256_update(&hash, messages[i].to, strlen(messages[i].to));
        wh_sha256_u64(&hash, messages[i].body.len);
        wh_sha256_update(&hash, messages[i].body.data, messages[i].body.len);
    }
    wh_sha256_final(out, &hash);
}

static whist_status check_messages(const wh_coordinator *c, const whist_message *messages, size_t n)
{
    if (n > MAX_MESSAGES + c->step.n) WH_FAIL(WHIST_E_RANGE, "%zu messages in one answer", n);
    for (size_t i = 0; i < n; i++)
        if (messages[i].body.len > WHIST_MESSAGE_MAX)
            WH_FAIL(WHIST_E_RANGE, "a message of %zu bytes; %d are allowed", messages[i].body.len, WHIST_MESSAGE_MAX);
    return WHIST_OK;
}

static whist_status record_answer(wh_coordinator *c, size_t actor, const wh_digest *digest,
                                  const whist_message *messages, size_t n)
{
    bool first, same;
    WH_TRY(wh_store_arrival_put(c->store, c->step.row.step, c->step.row.phase, actor_name(c, actor), digest,
                                wh_clock_unix_ms(), &first, &same));
    if (!first) WH_FAIL(WHIST_E_STATE, "this phase has an answer of %s already", actor_name(c, actor));
    for (size_t i = 0; i < n; i++) {
        whist_message message = messages[i];
        snprintf(message.from, sizeof message.from, "%s", actor_name(c, actor)); /* never what the sender claims */
        WH_TRY(wh_store_message_put(c->store, c->step.row.step, c->step.row.phase, i, &message));
    }
    return WHIST_OK;
}

static whist_status store_answer(wh_coordinator *c, size_t actor, const wh_upload *upload,
                                 const whist_message *messages, size_t n)
{
    wh_digest digest;
    answer_digest(&digest, upload, messages, n);
    WH_TRY(wh_store_begin(c->store));
    whist_status status = record_answer(c, actor, &digest, messages, n);
    if (status == WHIST_OK) status = wh_store_commit(c->store);
    if (status != WHIST_OK) wh_store_rollback(c->store);
    return status;
}

/* Outside the lock: every byte is durable and every readable element is in range. */
static whist_status finish_upload(wh_coordinator *c, wh_upload *upload)
{
    if (upload->file) WH_TRY(wh_vecfile_sync(upload->file));
    return c->plan->protection->shows_updates ? wh_upload_check(upload, &c->step, c->plan) : WHIST_OK;
}

static whist_status take_upload(wh_coordinator *c, size_t actor, wh_upload *upload)
{
    if (!upload || !wh_upload_is_full(upload)) WH_FAIL(WHIST_E_FORMAT, "the upload is not complete");
    upload->in_flight++;
    pthread_mutex_unlock(&c->lock);
    whist_status status = finish_upload(c, upload);
    pthread_mutex_lock(&c->lock);
    upload->in_flight--;
    pthread_cond_broadcast(&c->changed);
    if (status == WHIST_OK) return WHIST_OK;
    c->counts.refused++;
    wh_log(WHIST_LOG_WARNING, "update.refused", "%s, step %llu: %s", actor_name(c, actor),
           (unsigned long long)c->step.row.step, whist_detail_get()->text);
    return status;
}

static void mark_answered(wh_coordinator *c, size_t actor)
{
    (*progress(c, actor))++;
    c->step.n_answers++;
    c->counts.answers++;
    c->counts.expected = c->step.n_expected;
    c->counts.arrived = c->step.n_answers;
    if (c->step.n_answers >= c->step.n_expected) c->woken = true;
    pthread_cond_broadcast(&c->changed);
}

static whist_status submit(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase,
                           const whist_message *messages, size_t n)
{
    WH_TRY(check_open(c, actor, step, phase));
    WH_TRY(check_messages(c, messages, n));
    bool uploads = c->plan->protection->phases[phase].upload && !is_party(c, actor);
    wh_upload *upload = uploads ? find_upload(c, actor) : NULL;
    if (uploads) {
        WH_TRY(take_upload(c, actor, upload));
        WH_TRY(check_open(c, actor, step, phase)); /* the lock was away */
    }
    WH_TRY(store_answer(c, actor, upload, messages, n));
    if (uploads) {
        upload->complete = true;
        c->step.n_complete++;
        if (upload->memory) WH_TRY(wh_step_add(&c->step, upload));
    }
    mark_answered(c, actor);
    return WHIST_OK;
}

/* An answer that came before: the link lost our reply and asks again. */
static bool answered_before(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase)
{
    const uint8_t *done = c->step_open && c->step.row.step == step ? progress(c, actor) : NULL;
    return done && *done != WH_DROPPED && *done > phase;
}

whist_status wh_coordinator_submit(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase,
                                   const whist_message *messages, size_t n)
{
    pthread_mutex_lock(&c->lock);
    whist_status status = WHIST_OK;
    if (answered_before(c, actor, step, phase))
        c->counts.repeated++;
    else
        status = submit(c, actor, step, phase, messages, n);
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* A site's words in a text of ours, which is cut here and there and goes to others: plain letters only. A spent budget
 * is the reason that stays. */
static void note_decline(wh_coordinator *c, size_t actor, whist_status why, const char *text)
{
    if (c->unpaid && why != WHIST_E_BUDGET) return;
    c->unpaid = why == WHIST_E_BUDGET;
    snprintf(c->declined, sizeof c->declined, "%.40s: %.240s", actor_name(c, actor), text);
    for (char *at = c->declined; *at; at++)
        if (*at < ' ' || *at > '~') *at = '?';
}

/* It is out of this step: nobody waits for it until the deadline, nor after a restart. */
static whist_status drop_site(wh_coordinator *c, size_t actor)
{
    uint8_t *mark = &c->step.row.cohort[actor];
    *mark |= WH_COHORT_DECLINED;
    whist_status status = wh_coordinator_store_row(c, &c->step.row);
    if (status != WHIST_OK) {
        *mark &= (uint8_t)~WH_COHORT_DECLINED;
        return status;
    }
    c->step.n_expected--;
    *progress(c, actor) = WH_DROPPED;
    if (c->step.n_answers >= c->step.n_expected) c->woken = true;
    pthread_cond_broadcast(&c->changed);
    return WHIST_OK;
}

whist_status wh_coordinator_decline(wh_coordinator *c, size_t actor, uint64_t step, unsigned phase, whist_status why,
                                    const char *text)
{
    pthread_mutex_lock(&c->lock);
    whist_status status = check_open(c, actor, step, phase);
    if (status == WHIST_OK && !is_party(c, actor)) status = drop_site(c, actor);
    if (status == WHIST_OK) {
        c->counts.declined++;
        note_decline(c, actor, why, text);
        wh_log(WHIST_LOG_WARNING, "site.declined", "%s, step %llu: %s: %.200s", actor_name(c, actor),
               (unsigned long long)step, whist_status_name(why), text);
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* ---- Looking ---- */

wh_audience wh_coordinator_audience(wh_coordinator *c)
{
    wh_audience who = WH_AUDIENCE_TOLD;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->plan->n_sites + c->plan->n_parties; i++) {
        if (!c->contact[i] || c->contact[i] & WH_CONTACT_TOLD) continue;
        if (!(c->contact[i] & WH_CONTACT_ASKED))
            who = WH_AUDIENCE_AWAY;
        else if (who == WH_AUDIENCE_TOLD)
            who = WH_AUDIENCE_ASKING;
    }
    pthread_mutex_unlock(&c->lock);
    return who;
}

whist_status wh_coordinator_end_audience(wh_coordinator *c)
{
    WH_TRY(wh_store_begin(c->store));
    whist_status status = wh_coordinator_set_u64(c, "told", 1);
    if (status == WHIST_OK) status = wh_store_commit(c->store);
    if (status != WHIST_OK) wh_store_rollback(c->store);
    return status;
}

void wh_coordinator_count(wh_coordinator *c, wh_coordinator_counts *out)
{
    pthread_mutex_lock(&c->lock);
    *out = c->counts;
    if (c->step_open) {
        out->step = c->step.row.step;
        out->round = c->step.row.round;
        out->phase = c->step.row.phase;
        out->expected = c->step.n_expected;
        out->arrived = c->step.n_answers;
    }
    out->state = c->state;
    pthread_mutex_unlock(&c->lock);
}

static whist_status copy_of_version(wh_coordinator *c, float *out, uint64_t bytes, uint64_t offset)
{
    char name[64];
    wh_model_file_name(name, c->version);
    wh_vecfile *file;
    WH_TRY(wh_vecfile_open(&file, c->store, name));
    whist_status status = wh_vecfile_read(file, out, bytes, offset);
    wh_vecfile_close(file);
    return status;
}

whist_status wh_coordinator_model_copy(wh_coordinator *c, float *out)
{
    return copy_of_version(c, out, whist_model_size(c->plan->model) * sizeof *out, 0);
}

whist_status wh_coordinator_moments_copy(wh_coordinator *c, float *out)
{
    WH_ENSURE(c->plan->pooled_moments, WHIST_E_ARG);
    uint64_t bytes = 2 * (uint64_t)c->plan->n_features * sizeof *out;
    return copy_of_version(c, out, bytes, wh_model_file_bytes(c->plan) - bytes);
}

void wh_coordinator_fail(wh_coordinator *c, whist_status why, const char *text)
{
    pthread_mutex_lock(&c->lock);
    if (c->state == WH_RUN_GOING) {
        c->state = WH_RUN_FAILED;
        c->failed = why;
        snprintf(c->failure, sizeof c->failure, "%s", text);
        c->woken = true;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
}

double wh_coordinator_epsilon(wh_coordinator *c)
{
    const whist_fed_privacy *p = c->plan->privacy;
    if (!p || !wh_private_is_on(c->plan)) return 0;
    if (c->ledger && p->noise != WHIST_NOISE_LOCAL) return wh_ledger_spent_by(c->ledger, c->plan->study, p->delta);
    return wh_private_epsilon(c->plan, wh_coordinator_rounds_done(c));
}

uint32_t wh_coordinator_rounds_done(wh_coordinator *c)
{
    pthread_mutex_lock(&c->lock);
    wh_schedule_entry entry = wh_schedule_at(c->plan, c->position, c->stop_round);
    pthread_mutex_unlock(&c->lock);
    return (uint32_t)entry.round;
}

/* ---- For whoever drives all actors in one process ---- */

size_t wh_coordinator_active(wh_coordinator *c, uint32_t *out)
{
    size_t n = 0;
    pthread_mutex_lock(&c->lock);
    const whist_phase *phase = c->step_open ? &c->plan->protection->phases[c->step.row.phase] : NULL;
    for (size_t i = 0; phase && phase->sites && i < c->step.n; i++)
        if (c->step.done[i] == c->step.row.phase) out[n++] = c->step.members[i];
    for (size_t i = 0; phase && phase->parties && i < c->plan->n_parties; i++)
        if (c->step.party_done[i] == c->step.row.phase) out[n++] = (uint32_t)(c->plan->n_sites + i);
    pthread_mutex_unlock(&c->lock);
    return n;
}

void wh_coordinator_expire(wh_coordinator *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->step_open) c->step.row.deadline_ms = 0;
    pthread_mutex_unlock(&c->lock);
}
