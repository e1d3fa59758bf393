/* fed/node.c: poll, work, keep, send. */
#include "fed/node_state.h"

#include "fed/aggregate.h"
#include "fed/private.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum { RETRY_MS = 500 };

/* ---- The protection machine of the present step ---- */

static void drop_machine(wh_node *node)
{
    wh_protection_free(node->machine);
    node->machine = NULL;
}

static const char *own_name(const wh_node *node)
{
    const whist_fed_plan *plan = node->env.plan;
    return node->env.role == WHIST_ROLE_PARTY ? plan->parties[node->env.index].name : plan->sites[node->env.index].name;
}

/* The machine outlives the task, so it looks at names of the node's own. */
static whist_status keep_names(wh_node *node, const wh_task *task)
{
    wh_arena_reset(&node->names);
    node->site_names = NULL;
    if (!task->sites) return WHIST_OK;
    WH_TRY(WH_ARENA_NEW(&node->site_names, &node->names, task->n_sites));
    for (size_t i = 0; i < task->n_sites; i++) {
        char *name;
        WH_TRY(wh_arena_strdup(&name, &node->names, task->sites[i]));
        node->site_names[i] = name;
    }
    return WHIST_OK;
}

static whist_status make_machine(wh_node *node, const wh_task *task)
{
    const whist_fed_plan *plan = node->env.plan;
    WH_TRY(keep_names(node, task));
    WH_TRY(wh_layout_vectors(&node->layout, plan, task->purpose, task->n_sites));
    const whist_protection_env env = {
        .role = node->env.role,
        .name = own_name(node),
        .study = plan->study,
        .step = task->step,
        .n_sites = task->n_sites,
        .sites = node->site_names,
        .n_parties = plan->n_parties,
        .parties = node->party_names,
        .n_vectors = node->layout.n_vectors,
        .vectors = node->layout.vectors,
        .min_sites = plan->min_sites,
        .settings = plan->protection_settings,
    };
    WH_TRY(plan->protection->new_(&node->machine, &env));
    node->machine_step = task->step;
    return wh_layout_place(&node->layout, node->machine);
}

/* The machine as it was after the phase before this one. */
static whist_status ready_machine(wh_node *node, const wh_task *task)
{
    const whist_protection_class *class_ = node->env.plan->protection;
    if (node->machine && node->machine_step == task->step && task->phase > 0) return WHIST_OK;
    drop_machine(node);
    WH_TRY(make_machine(node, task));
    if (task->phase == 0 || !class_->load) return WHIST_OK;
    WH_AUTO(wh_buf) state = WH_BUF_EMPTY;
    bool found = false;
    if (node->env.store) WH_TRY(wh_store_machine_get(node->env.store, task->step, own_name(node), &state, &found));
    if (!found)
        WH_FAIL(WHIST_E_STATE, "what this site remembered of step %llu is lost", (unsigned long long)task->step);
    return class_->load(node->machine, wh_buf_view(&state));
}

/* ---- Messages ---- */

static whist_status send_message(void *user, const char *to, whist_bytes body)
{
    wh_node *node = user;
    if (body.len > WHIST_MESSAGE_MAX) WH_FAIL(WHIST_E_RANGE, "a message of %zu bytes", body.len);
    WH_TRY(wh_buf_u32(&node->outbox, (uint32_t)strlen(to)));
    WH_TRY(wh_buf_add(&node->outbox, to, strlen(to)));
    WH_TRY(wh_buf_u32(&node->outbox, (uint32_t)body.len));
    return wh_buf_add(&node->outbox, body.data, body.len);
}

static whist_status read_message(wh_cursor *cursor, whist_message *out)
{
    uint32_t len;
    whist_bytes to;
    WH_TRY(wh_take_u32(cursor, &len));
    WH_TRY(wh_take_bytes(cursor, &to, len));
    if (to.len >= sizeof out->to) WH_FAIL(WHIST_E_FORMAT, "a recipient's name of %zu bytes", to.len);
    *out = (whist_message){0};
    memcpy(out->to, to.data, to.len);
    WH_TRY(wh_take_u32(cursor, &len));
    return wh_take_bytes(cursor, &out->body, len);
}

/* The outbox as messages that point into it. */
static whist_status unpack_outbox(const wh_buf *outbox, wh_arena *arena, whist_message **out, size_t *n)
{
    size_t count = 0;
    whist_message message;
    for (wh_cursor cursor = wh_cursor_over(wh_buf_view(outbox)); wh_cursor_left(&cursor); count++)
        WH_TRY(read_message(&cursor, &message));
    WH_TRY(WH_ARENA_NEW(out, arena, count));
    wh_cursor cursor = wh_cursor_over(wh_buf_view(outbox));
    for (size_t i = 0; i < count; i++) WH_TRY(read_message(&cursor, &(*out)[i]));
    *n = count;
    return WHIST_OK;
}

static whist_status run_phase(wh_node *node, const wh_task *task)
{
    const whist_protection_class *class_ = node->env.plan->protection;
    wh_buf_reset(&node->outbox);
    if (!class_->step) return WHIST_OK;
    const whist_phase_input input = {task->phase, task->alive, task->n_alive, task->inbox, task->n_inbox};
    return class_->step(node->machine, &input, send_message, node);
}

/* ---- What this site puts into the sum ---- */

static whist_status metrics_of_model(wh_node *node, const float *model, wh_sums *sums)
{
    static const whist_fold folds[] = {WHIST_FOLD_TEST, WHIST_FOLD_VALIDATION};
    const whist_fed_plan *plan = node->env.plan;
    if (plan->privacy && !plan->privacy->plain_metrics) return WHIST_OK; /* they stay at home */
    double least =
        plan->min_metric_count > node->env.min_metric_count ? plan->min_metric_count : node->env.min_metric_count;
    for (size_t f = 0; f < WH_COUNT(folds); f++) {
        WH_TRY(plan->learner->evaluate(node->learner, model, folds[f], sums->metrics[f]));
        for (size_t m = 0; m < plan->n_metrics; m++)
            if (sums->metrics[f][m].n < least) sums->metrics[f][m] = (whist_metric_value){0, 0, 0};
    }
    return WHIST_OK;
}

static whist_status apply_moments(wh_node *node, const float *tail)
{
    size_t d = node->env.plan->n_features;
    if (!node->env.plan->pooled_moments || node->moments_applied) return WHIST_OK;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    double *mean;
    WH_TRY(WH_ARENA_NEW(&mean, &arena, 2 * d));
    for (size_t i = 0; i < 2 * d; i++) mean[i] = (double)tail[i];
    WH_TRY(whist_dataset_standardize(node->env.data, mean, mean + d));
    node->moments_applied = true;
    return WHIST_OK;
}

static whist_status fit(wh_node *node, const wh_task *task, const float *model, wh_arena *arena, wh_contribution *out)
{
    const whist_fed_plan *plan = node->env.plan;
    WH_TRY(wh_node_restore_state(node, task));
    whist_learner_round round = {
        .round = task->round,
        .model = model,
        .n = whist_model_size(plan->model),
        .n_broadcast = plan->strategy->n_broadcast,
    };
    for (size_t i = 0; i < round.n_broadcast; i++) round.broadcast[i] = model + (i + 1) * round.n;
    WH_TRY(wh_node_before_fit(node, task, &round));
    if (wh_private_is_of_records(plan)) {
        WH_TRY(wh_node_sum_records(node, task, &round, arena, out));
        return wh_contribution_weigh(out, plan, node->env.index);
    }
    WH_TRY(plan->learner->fit(node->learner, &round, &out->update));
    WH_TRY(wh_contribution_weigh(out, plan, node->env.index));
    return wh_node_keep_promise(node, task, model, arena, out);
}

/* A private learner whose update was not kept and paid for is thrown away: what it remembers, such as noise that goes
 * over several rounds, would stand on something that was never charged. */
static void forget_learner(wh_node *node)
{
    const whist_learner_class *class_ = node->env.plan->learner;
    if (!class_->spends || !node->learner) return;
    class_->free_(node->learner);
    node->learner = NULL;
}

static whist_status ready_learner(wh_node *node)
{
    return node->learner ? WHIST_OK : node->env.plan->learner->new_(&node->learner, &node->learner_env);
}

static whist_status contribute(wh_node *node, const wh_task *task, wh_arena *arena, wh_contribution *out)
{
    WH_TRY(ready_learner(node));
    *out = (wh_contribution){.update.steps = 1};
    if (task->purpose == WHIST_PURPOSE_MOMENTS) {
        size_t n = 2 * node->env.plan->n_features + 1;
        double *moments, *parts;
        WH_TRY(WH_ARENA_NEW(&moments, arena, n));
        WH_TRY(WH_ARENA_NEW(&parts, arena, 2 * n));
        whist_dataset_moments(node->env.data, moments);
        wh_moments_split(parts, moments, n);
        out->moments = parts;
        return WHIST_OK;
    }
    const float *model;
    if (task->model_bytes != wh_model_file_bytes(node->env.plan)) /* before a byte of it is asked for */
        WH_FAIL(WHIST_E_FORMAT, "the coordinator offers a model of %llu bytes, this study's has %llu",
                (unsigned long long)task->model_bytes, (unsigned long long)wh_model_file_bytes(node->env.plan));
    WH_TRY(node->env.link->model(node->env.link, task, &model));
    size_t p = whist_model_size(node->env.plan->model);
    WH_TRY(apply_moments(node, model + p * (1 + node->env.plan->strategy->n_broadcast)));
    if (task->evaluate) WH_TRY(metrics_of_model(node, model, &out->sums));
    return task->purpose == WHIST_PURPOSE_TRAIN ? fit(node, task, model, arena, out) : WHIST_OK;
}

/* ---- Answering without a store: straight into the link ---- */

typedef struct link_sink {
    wh_link *link;
    const wh_task *task;
} link_sink;

static whist_status put_into_link(void *user, uint64_t offset, whist_bytes bytes)
{
    link_sink *sink = user;
    return sink->link->put(sink->link, sink->task, offset, bytes);
}

static bool uploads_now(const wh_node *node, const wh_task *task)
{
    return node->env.role == WHIST_ROLE_SITE && node->env.plan->protection->phases[task->phase].upload;
}

static whist_status stream_upload(wh_node *node, const wh_task *task)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_contribution contribution;
    WH_TRY(contribute(node, task, &arena, &contribution));
    WH_TRY(wh_node_pay(node, task, NULL));
    const uint8_t *have;
    WH_TRY(node->env.link->begin(node->env.link, task, node->layout.bytes, NULL, &have));
    link_sink sink = {node->env.link, task};
    return wh_upload_make(node->env.plan, node->machine, &node->layout, task->n_sites, &contribution, put_into_link,
                          &sink);
}

static whist_status answer_and_send(wh_node *node, const wh_task *task)
{
    WH_TRY(ready_machine(node, task));
    WH_TRY(wh_node_check_company(node, task));
    WH_TRY(run_phase(node, task));
    if (uploads_now(node, task)) WH_TRY(stream_upload(node, task));
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    whist_message *messages;
    size_t n;
    WH_TRY(unpack_outbox(&node->outbox, &arena, &messages, &n));
    node->made = true;
    return node->env.link->submit(node->env.link, task, messages, n);
}

static whist_status answer_directly(wh_node *node, const wh_task *task)
{
    whist_status status = answer_and_send(node, task);
    if (status != WHIST_OK) drop_machine(node); /* it may have moved on */
    return status;
}

/* ---- Answering with a store: made once, kept, sent ---- */

static void upload_name(char out[64], const wh_task *task)
{
    snprintf(out, 64, "spool/%08llu-%u.upload", (unsigned long long)task->step, task->phase);
}

static whist_status put_into_file(void *user, uint64_t offset, whist_bytes bytes)
{
    return wh_vecfile_write(user, bytes.data, bytes.len, offset);
}

/* The new upload, and the learner's state before and after the step. */
static whist_status check_room(wh_node *node)
{
    uint64_t used, states = whist_model_size(node->env.plan->model) * sizeof(float) * node->env.plan->learner->n_states;
    if (!node->env.max_state_bytes) return WHIST_OK;
    WH_TRY(wh_spool_bytes(node->env.store, &used));
    used += node->layout.bytes + 2 * states;
    if (used > node->env.max_state_bytes)
        WH_FAIL(WHIST_E_BUDGET, "this step needs %llu bytes in the state folder, max_state_bytes is %llu",
                (unsigned long long)used, (unsigned long long)node->env.max_state_bytes);
    return WHIST_OK;
}

static whist_status make_upload_file(wh_node *node, const wh_task *task, wh_manifest *manifest)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    wh_contribution contribution;
    WH_TRY(check_room(node));
    WH_TRY(contribute(node, task, &arena, &contribution));
    char name[64];
    upload_name(name, task);
    wh_vecfile *file;
    WH_TRY(wh_vecfile_create(&file, node->env.store, name, node->layout.bytes));
    whist_status status =
        wh_upload_make(node->env.plan, node->machine, &node->layout, task->n_sites, &contribution, put_into_file, file);
    if (status == WHIST_OK) status = wh_vecfile_sync(file);
    if (status == WHIST_OK) status = wh_vecfile_manifest(file, manifest, WH_CHUNK_BYTES);
    wh_vecfile_close(file);
    if (status == WHIST_OK && task->purpose == WHIST_PURPOSE_TRAIN) status = wh_node_keep_state(node, task);
    return status;
}

static whist_status keep_machine(void *user, const char *to, whist_bytes state)
{
    (void)to;
    wh_node *node = user;
    return wh_store_machine_put(node->env.store, node->machine_step, own_name(node), state);
}

static size_t count_messages(const wh_buf *outbox)
{
    size_t n = 0;
    whist_message message;
    for (wh_cursor cursor = wh_cursor_over(wh_buf_view(outbox)); wh_cursor_left(&cursor); n++)
        if (read_message(&cursor, &message) != WHIST_OK) break;
    return n;
}

static whist_status keep_answer(wh_node *node, const wh_task *task, const wh_manifest *manifest)
{
    wh_answer_row row = {.step = task->step, .phase = task->phase, .has_upload = manifest->n_chunks > 0};
    WH_TRY(wh_store_answer_put(node->env.store, &row, manifest, wh_buf_view(&node->outbox)));
    if (node->env.plan->protection->save) WH_TRY(node->env.plan->protection->save(node->machine, keep_machine, node));
    WH_TRY(wh_node_keep_price(node));
    if (!node->env.release) return WHIST_OK;
    return node->env.release(node->env.user, task, manifest, count_messages(&node->outbox));
}

static whist_status make_and_keep(wh_node *node, const wh_task *task, wh_manifest *manifest)
{
    WH_TRY(ready_machine(node, task));
    WH_TRY(wh_node_check_company(node, task));
    WH_TRY(run_phase(node, task));
    if (uploads_now(node, task)) WH_TRY(make_upload_file(node, task, manifest));
    WH_TRY(wh_store_begin(node->env.store));
    whist_status status = keep_answer(node, task, manifest);
    if (status == WHIST_OK) status = wh_store_commit(node->env.store);
    if (status != WHIST_OK) wh_store_rollback(node->env.store);
    return status;
}

static whist_status make_answer(wh_node *node, const wh_task *task, wh_manifest *manifest)
{
    whist_status status = make_and_keep(node, task, manifest);
    if (status != WHIST_OK) drop_machine(node); /* it may have moved on; the stored one has not */
    return status;
}

static whist_status send_chunks(wh_node *node, const wh_task *task, const wh_manifest *manifest)
{
    const uint8_t *have = NULL;
    WH_TRY(node->env.link->begin(node->env.link, task, manifest->bytes, manifest, &have));
    char name[64];
    upload_name(name, task);
    wh_vecfile *file;
    WH_TRY(wh_vecfile_open(&file, node->env.store, name));
    WH_AUTO(wh_owned) chunk = NULL;
    whist_status status = wh_alloc_raw(&chunk, manifest->chunk_bytes, 1);
    for (size_t i = 0; status == WHIST_OK && i < manifest->n_chunks; i++) {
        if (have && have[i >> 3] >> (i & 7) & 1) continue;
        uint64_t offset = (uint64_t)i * manifest->chunk_bytes;
        size_t len = wh_manifest_chunk_len(manifest, i);
        status = wh_vecfile_read(file, chunk, len, offset);
        if (status == WHIST_OK) status = wh_manifest_check(manifest, i, (whist_bytes){chunk, len});
        if (status == WHIST_OK) status = node->env.link->put(node->env.link, task, offset, (whist_bytes){chunk, len});
        if (status == WHIST_OK && manifest->n_chunks > 1) /* one is no news */
            status = wh_progress(node->env.progress, node->env.progress_user, "upload", i + 1, manifest->n_chunks, "");
    }
    wh_vecfile_close(file);
    return status;
}

static whist_status send_answer(wh_node *node, const wh_task *task, const wh_manifest *manifest)
{
    if (manifest->n_chunks) WH_TRY(send_chunks(node, task, manifest));
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    whist_message *messages;
    size_t n;
    WH_TRY(unpack_outbox(&node->outbox, &arena, &messages, &n));
    return node->env.link->submit(node->env.link, task, messages, n);
}

/* After the answer was taken, or came too late: its bytes are needed no more, nor those of older answers that were
 * overtaken by the next step. */
static whist_status forget_answer(wh_node *node, const wh_task *task)
{
    WH_TRY(wh_store_begin(node->env.store));
    whist_status status = wh_store_answer_sent(node->env.store, task->step, task->phase);
    if (status == WHIST_OK) status = wh_store_forget_before(node->env.store, task->step);
    if (status == WHIST_OK) status = wh_store_commit(node->env.store);
    if (status != WHIST_OK) {
        wh_store_rollback(node->env.store);
        return status;
    }
    return wh_spool_clean(node->env.store, NULL);
}

static whist_status answer_durably(wh_node *node, const wh_task *task)
{
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    wh_answer_row row;
    bool found;
    wh_buf_reset(&node->outbox);
    WH_TRY(wh_store_answer_get(node->env.store, task->step, task->phase, &row, &manifest, &node->outbox, &found));
    if (!found) WH_TRY(make_answer(node, task, &manifest));
    WH_TRY(wh_node_pay(node, task, &manifest)); /* made, kept, paid for, sent: in this order, whatever crashes */
    node->made = true;
    whist_status status = send_answer(node, task, &manifest);
    if (status == WHIST_OK || status == WHIST_E_STATE) WH_TRY(forget_answer(node, task));
    return status;
}

/* ---- Steps ---- */

/* An answer that cannot be made, now or later: the learner's fault, this site's memory, or what others sent. Once it is
 * made, AUTH and STATE are the coordinator's words. */
static bool is_own_failure(const wh_node *node, whist_status status)
{
    if (!node->made && (status == WHIST_E_AUTH || status == WHIST_E_STATE)) return true;
    return status == WHIST_E_RANGE || status == WHIST_E_NOMEM || status == WHIST_E_ARG || status == WHIST_E_FORMAT ||
           status == WHIST_E_UNSUPPORTED || status == WHIST_E_BUDGET;
}

static whist_status work(wh_node *node, const wh_task *task, wh_node_state *state, uint32_t *wait_ms)
{
    node->made = false;
    whist_status status = node->env.store ? answer_durably(node, task) : answer_directly(node, task);
    if (status != WHIST_OK && !node->made) forget_learner(node);
    *state = status == WHIST_OK ? WH_NODE_ANSWERED : WH_NODE_WAITING;
    if (status == WHIST_OK) {
        node->rounds = task->round + (task->purpose == WHIST_PURPOSE_TRAIN);
        return WHIST_OK;
    }
    if (is_own_failure(node, status)) {
        /* The coordinator need not wait for what will never come; the failure itself goes to the caller. */
        whist_detail why = *whist_detail_get();
        if (node->env.link->decline(node->env.link, task, status, why.text) == WHIST_OK)
            *state = WH_NODE_DECLINED;
        else
            wh_log(WHIST_LOG_WARNING, "site.decline", "could not tell the coordinator: %s", whist_detail_get()->text);
        wh_detail_put(&why);
    }
    *wait_ms = RETRY_MS;
    return status;
}

whist_status wh_node_step(wh_node *node, wh_node_state *state, uint32_t *wait_ms)
{
    WH_AUTO(wh_task) task = WH_TASK_EMPTY;
    *wait_ms = 0;
    WH_TRY(node->env.link->poll(node->env.link, &task));
    switch (task.kind) {
    case WH_TASK_WORK: return work(node, &task, state, wait_ms);
    case WH_TASK_WAIT:
        *state = WH_NODE_WAITING;
        *wait_ms = task.wait_ms;
        return WHIST_OK;
    case WH_TASK_FINISHED:
    case WH_TASK_REFUSED:
        *state = task.kind == WH_TASK_FINISHED ? WH_NODE_FINISHED : WH_NODE_REFUSED;
        memcpy(node->text, task.text, sizeof node->text);
        return node->env.store ? wh_spool_clean(node->env.store, NULL) : WHIST_OK; /* nobody waits for it */
    }
    WH_FAIL(WHIST_E_FORMAT, "the coordinator gave a task of an unknown kind");
}

uint64_t wh_node_rounds(const wh_node *node)
{
    return node->rounds;
}

const char *wh_node_text(const wh_node *node)
{
    return node->text;
}

/* ---- Life ---- */

static whist_status make_learner(wh_node *node)
{
    const whist_fed_plan *plan = node->env.plan;
    if (node->env.role != WHIST_ROLE_SITE) return WHIST_OK;
    node->learner_env = (whist_learner_env){
        .model = plan->model,
        .data = node->env.data,
        .settings = plan->learner_settings,
        .site = plan->sites[node->env.index].name,
        .seed = plan->seed,
        .metrics = plan->metrics,
        .n_metrics = plan->n_metrics,
        .episodes = plan->episodes,
        .threads = node->env.threads,
    };
    return plan->learner->new_(&node->learner, &node->learner_env);
}

whist_status wh_node_new(wh_node **out, const wh_node_env *env)
{
    wh_node *node;
    WH_TRY(WH_NEW(&node, 1));
    node->env = *env;
    whist_status status = WH_NEW(&node->party_names, env->plan->n_parties);
    for (size_t i = 0; status == WHIST_OK && i < env->plan->n_parties; i++)
        node->party_names[i] = env->plan->parties[i].name;
    if (status == WHIST_OK) status = make_learner(node);
    if (status != WHIST_OK) {
        wh_node_free(node);
        return status;
    }
    *out = node;
    return WHIST_OK;
}

void wh_node_free(wh_node *node)
{
    if (!node) return;
    drop_machine(node);
    if (node->learner) node->env.plan->learner->free_(node->learner);
    wh_node_drop_state(node);
    wh_buf_clear(&node->outbox);
    wh_arena_clear(&node->names);
    wh_free(node->party_names);
    wh_free(node);
}
