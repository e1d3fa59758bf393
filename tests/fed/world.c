/* fed/world.c: see world.h. */
#include "fed/world.h"

#include "fed/toy.h"

#include <stdio.h>
#include <string.h>

/* ---- Plan ---- */

static const char *const metric_names[] = {"accuracy"};

whist_status world_plan_init(world_plan *out, size_t n_sites, size_t features)
{
    *out = (world_plan){.rows = 5};
    whist_model *model;
    const whist_model_shape shape = {.n_features = features, .n_outputs = 1, .target = WHIST_TARGET_BINARY};
    WH_TRY(whist_model_new(&model, "logistic", NULL, &shape));
    for (size_t i = 0; i < n_sites; i++) {
        snprintf(out->sites[i].name, sizeof out->sites[i].name, "site%zu", i);
        out->sites[i].pin[0] = (uint8_t)(i + 1);
        out->sites[i].pinned = true;
    }
    out->plan = (whist_fed_plan){
        .study = {7, 7, 7},
        .name = "test",
        .seed = 11,
        .model = model,
        .protection = whist_protection_classes()[0],
        .bits = 64,
        .fraction = 30,
        .rounds = 3,
        .sample_fraction = 1,
        .min_sites = 1,
        .round_timeout_ms = 3600000,
        .metrics = metric_names,
        .n_metrics = 1,
        .evaluate_every = 1,
        .n_features = features,
        .sites = out->sites,
        .n_sites = n_sites,
        .parties = out->parties,
    };
    whist_status status = world_plan_learner(out, &toy_learner);
    if (status == WHIST_OK) status = world_plan_strategy(out, "fedavg");
    if (status != WHIST_OK) world_plan_clear(out);
    return status;
}

static void settings_free(const whist_settings *settings)
{
    whist_settings_free((whist_settings *)(uintptr_t)settings);
}

whist_status world_plan_privacy(world_plan *plan, whist_privacy_noise noise)
{
    plan->privacy = (whist_fed_privacy){
        .unit = WHIST_DP_SITE,
        .relation = WHIST_DP_ZERO_OUT,
        .noise = noise,
        .mechanism = noise == WHIST_NOISE_DISTRIBUTED ? WHIST_MECHANISM_DISCRETE_GAUSSIAN : WHIST_MECHANISM_GAUSSIAN,
        .clip = 1,
        .sigma = 1,
        .delta = 1e-5,
        .epsilon = 50,
        .plain_metrics = true,
        .dataset = "toys",
    };
    plan->plan.privacy = &plan->privacy;
    for (size_t i = 0; i <= plan->plan.n_sites; i++) {
        const uint8_t seed[32] = {(uint8_t)(i + 1), 42};
        whist_fed_site *who = i < plan->plan.n_sites ? &plan->sites[i] : &plan->plan.coordinator;
        WH_TRY(wh_sign_key_from_seed(&plan->keys[i], seed));
        whist_crypt_key_pin(who->pin, plan->keys[i]);
        who->pinned = true;
    }
    return WHIST_OK;
}

void world_plan_clear(world_plan *plan)
{
    for (size_t i = 0; i <= WORLD_ACTORS; i++) whist_crypt_key_free(plan->keys[i]);
    whist_model_free((whist_model *)(uintptr_t)plan->plan.model);
    settings_free(plan->plan.learner_settings);
    settings_free(plan->plan.strategy_settings);
    settings_free(plan->plan.protection_settings);
    *plan = (world_plan){0};
}

static whist_status replace(const whist_settings **settings, const whist_option *options)
{
    static const whist_option none[] = {{0}};
    whist_settings *fresh;
    WH_TRY(whist_settings_new(&fresh, options ? options : none));
    settings_free(*settings);
    *settings = fresh;
    return WHIST_OK;
}

whist_status world_plan_learner(world_plan *plan, const whist_learner_class *class_)
{
    plan->plan.learner = class_;
    return replace(&plan->plan.learner_settings, class_->options);
}

whist_status world_plan_strategy(world_plan *plan, const char *name)
{
    for (const whist_strategy_class *const *at = whist_strategy_classes(); *at; at++)
        if (strcmp((*at)->name, name) == 0) {
            plan->plan.strategy = *at;
            return replace(&plan->plan.strategy_settings, (*at)->options);
        }
    WH_FAIL(WHIST_E_ARG, "no strategy %s", name);
}

whist_status world_plan_protection(world_plan *plan, const whist_protection_class *class_)
{
    plan->plan.protection = class_;
    plan->plan.n_parties = class_->n_parties;
    for (size_t i = 0; i < class_->n_parties; i++) {
        snprintf(plan->parties[i].name, sizeof plan->parties[i].name, "keeper%zu", i);
        plan->parties[i].pin[0] = (uint8_t)(200 + i);
        plan->parties[i].pinned = true;
    }
    return replace(&plan->plan.protection_settings, class_->options);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static float unit(uint64_t *at)
{
    uint64_t x = *at += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (float)((double)((x ^ x >> 31) >> 11) * 0x1p-53);
}

whist_status world_data(whist_dataset **out, const world_plan *plan, size_t site)
{
    size_t d = plan->plan.n_features, n = plan->rows + site % 16, n_test = 4;
    uint64_t seed = 1000 + site;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, (n + n_test) * (d + 1), sizeof(float)));
    float *x = memory, *y = x + (n + n_test) * d;
    for (size_t i = 0; i < n + n_test; i++) {
        y[i] = (float)(i % 2);
        for (size_t j = 0; j < d; j++) x[i * d + j] = 2 * unit(&seed) - 1 + (j % 2 ? y[i] : 0);
    }
    const whist_rows train = {.n = n, .d = d, .x = x, .y = y};
    const whist_rows test = {.n = n_test, .d = d, .x = x + n * d, .y = y + n};
    return whist_dataset_from_rows(out, &train, &test);
}

/* ---- Objects ---- */

static whist_status count_line(void *user, uint64_t seq, whist_bytes record)
{
    (void)seq;
    (void)record;
    ++*(uint64_t *)user;
    return WHIST_OK;
}

whist_status world_releases(world *w, size_t actor, uint64_t *n)
{
    *n = 0;
    return wh_store_log_each(w->actors[actor].store, 0, count_line, n);
}

static whist_status open_store(wh_store **out, const world *w, const char *name)
{
    if (!w->dir) return wh_store_open(out, NULL, w->plan->plan.study);
    char *path = NULL;
    WH_TRY(wh_path(&path, w->dir, "%s", name));
    whist_status status = wh_make_dirs(path);
    if (status == WHIST_OK) status = wh_store_open(out, path, w->plan->plan.study);
    wh_free(path);
    return status;
}

static whist_status handle(void *user, const wh_request *request, wh_response *response)
{
    world *w = user;
    return w->handler ? w->handler(w, request, response) : wh_serve_handle(&w->serve, request, response);
}

/* owner i: a site, or the coordinator at n_sites. */
static whist_status open_ledger(wh_ledger **out, const world *w, size_t i, const char *name)
{
    if (*out || !w->plan->plan.privacy) return WHIST_OK;
    const char *own = i < w->plan->plan.n_sites ? w->datasets[i] : NULL;
    char *dir = NULL;
    if (w->dir) WH_TRY(wh_path(&dir, w->dir, "%s-ledger", name));
    const wh_ledger_env env = {.dir = dir, .dataset = own ? own : "toys", .owner = name, .key = w->plan->keys[i]};
    whist_status status = wh_ledger_open(out, &env);
    wh_free(dir);
    return status;
}

static whist_status make_coordinator(world *w)
{
    if (!w->store) WH_TRY(open_store(&w->store, w, "coordinator"));
    WH_TRY(open_ledger(&w->ledger, w, w->plan->plan.n_sites, "coordinator"));
    const wh_coordinator_env env = {
        .plan = &w->plan->plan,
        .store = w->store,
        .max_spool_bytes = w->max_spool_bytes,
        .replay = w->replay,
        .ledger = w->ledger,
    };
    WH_TRY(wh_coordinator_new(&w->coordinator, &env));
    w->serve.coordinator = w->coordinator;
    w->serve.plan = &w->plan->plan;
    w->serve.ledger = w->ledger;
    return WHIST_OK;
}

static const whist_fed_site *identity(const world *w, size_t actor)
{
    const whist_fed_plan *plan = &w->plan->plan;
    return actor < plan->n_sites ? &plan->sites[actor] : &plan->parties[actor - plan->n_sites];
}

static whist_status make_loopback(world *w, size_t actor)
{
    wh_peer peer = {.role = WHIST_CRYPT_SITE};
    snprintf(peer.name, sizeof peer.name, "%s", identity(w, actor)->name);
    memcpy(peer.pin, identity(w, actor)->pin, sizeof peer.pin);
    wh_fault_plan plan = w->faults ? *w->faults : (wh_fault_plan){0};
    plan.seed += actor;
    return wh_loopback_new(&w->actors[actor].loopback, handle, w, &peer, &plan);
}

/* One line a release in the site's log, by step and phase: a second one for the same is refused by the store. */
static whist_status note_release(void *user, const wh_task *task, const wh_manifest *upload, size_t n_messages)
{
    world_actor *a = user;
    uint8_t line[2] = {upload->n_chunks > 0, (uint8_t)n_messages};
    return wh_store_log_put(a->store, task->step * 8 + task->phase, (whist_bytes){line, sizeof line});
}

static whist_status make_actor(world *w, size_t actor)
{
    world_actor *a = &w->actors[actor];
    bool party = actor >= w->plan->plan.n_sites;
    if (!a->store) WH_TRY(open_store(&a->store, w, identity(w, actor)->name));
    if (!party) WH_TRY(world_data(&a->data, w->plan, actor));
    if (!a->loopback) WH_TRY(make_loopback(w, actor));
    if (!party) WH_TRY(open_ledger(&a->ledger, w, actor, identity(w, actor)->name));
    WH_TRY(wh_link_http_init(&a->link, wh_loopback_transport(a->loopback), w->plan->plan.study, "coordinator"));
    memcpy(a->link.pin, w->plan->plan.coordinator.pin, sizeof a->link.pin);
    const wh_node_env env = {
        .plan = &w->plan->plan,
        .role = party ? WHIST_ROLE_PARTY : WHIST_ROLE_SITE,
        .index = party ? actor - w->plan->plan.n_sites : actor,
        .data = a->data,
        .store = a->store,
        .link = &a->link.link,
        .ledger = a->ledger,
        .release = note_release,
        .user = a,
    };
    return wh_node_new(&a->node, &env);
}

static void end_actor(world_actor *a, bool close)
{
    wh_node_free(a->node);
    wh_link_http_clear(&a->link);
    whist_dataset_free(a->data);
    a->node = NULL;
    a->data = NULL;
    if (!close) return;
    wh_ledger_close(a->ledger);
    wh_store_close(a->store);
    a->ledger = NULL;
    a->store = NULL;
}

whist_status world_start(world *w)
{
    w->n_actors = w->plan->plan.n_sites + w->plan->plan.n_parties;
    WH_TRY(make_coordinator(w));
    for (size_t i = 0; i < w->n_actors; i++) WH_TRY(make_actor(w, i));
    return WHIST_OK;
}

void world_end(world *w)
{
    for (size_t i = 0; i < w->n_actors; i++) {
        end_actor(&w->actors[i], true);
        wh_loopback_free(w->actors[i].loopback);
        w->actors[i].loopback = NULL;
    }
    wh_coordinator_free(w->coordinator);
    wh_ledger_close(w->ledger);
    wh_store_close(w->store);
    w->coordinator = NULL;
    w->ledger = NULL;
    w->store = NULL;
}

whist_status world_restart_actor(world *w, size_t actor)
{
    end_actor(&w->actors[actor], w->dir != NULL);
    return make_actor(w, actor);
}

whist_status world_restart_coordinator(world *w)
{
    WH_ENSURE(w->dir, WHIST_E_ARG);
    wh_coordinator_free(w->coordinator);
    w->coordinator = NULL;
    wh_ledger_close(w->ledger);
    w->ledger = NULL;
    wh_store_close(w->store);
    w->store = NULL;
    return make_coordinator(w);
}

/* ---- Running ---- */

whist_status world_pass(world *w)
{
    uint32_t wait_ms;
    w->passes++;
    do WH_TRY(wh_coordinator_tick(w->coordinator, &w->state, &wait_ms));
    while (w->state == WH_RUN_GOING && wait_ms == 0); /* until a phase is open */
    bool idle = true;
    for (size_t i = 0; i < w->n_actors; i++) {
        world_actor *a = &w->actors[i];
        if (w->before) WH_TRY(w->before(w, i));
        if (a->away) continue;
        a->last = wh_node_step(a->node, &a->state, &wait_ms);
        idle = idle && a->last == WHIST_OK && a->state != WH_NODE_ANSWERED;
    }
    if (idle && w->state == WH_RUN_GOING) {
        w->expired++;
        wh_coordinator_expire(w->coordinator);
    }
    return WHIST_OK;
}

static bool is_over(const world *w)
{
    bool over = w->state != WH_RUN_GOING;
    for (size_t i = 0; over && i < w->n_actors; i++) over = w->actors[i].away || w->actors[i].state == WH_NODE_FINISHED;
    return over;
}

whist_status world_run(world *w, uint64_t max_passes)
{
    for (uint64_t i = 0; i < max_passes; i++) {
        WH_TRY(world_pass(w));
        if (is_over(w)) return WHIST_OK;
    }
    WH_FAIL(WHIST_E_TIMEOUT, "the study was not over after %llu passes", (unsigned long long)max_passes);
}

whist_status world_three_leave(world *w, size_t actor)
{
    wh_coordinator_counts now;
    wh_coordinator_count(w->coordinator, &now);
    w->actors[actor].away = actor < 3 && now.step == 0 && now.phase >= 2;
    return WHIST_OK;
}

whist_status world_model(world *w, float **out)
{
    float *model;
    WH_TRY(WH_NEW(&model, whist_model_size(w->plan->plan.model)));
    whist_status status = wh_coordinator_model_copy(w->coordinator, model);
    if (status == WHIST_OK)
        *out = model;
    else
        wh_free(model);
    return status;
}

whist_status world_undisturbed(float **out, const world_plan *plan)
{
    world w = {.plan = plan};
    whist_status status = world_start(&w);
    if (status == WHIST_OK) status = world_run(&w, 10000);
    if (status == WHIST_OK) status = world_model(&w, out);
    world_end(&w);
    return status;
}

whist_status world_simulate(whist_fed_result *out, const world_plan *plan, unsigned threads, const char *replay,
                            const char *work_dir)
{
    whist_dataset *data[WORLD_ACTORS] = {0};
    whist_status status = WHIST_OK;
    for (size_t i = 0; status == WHIST_OK && i < plan->plan.n_sites; i++) status = world_data(&data[i], plan, i);
    const whist_simulation simulation = {
        .plan = &plan->plan, .data = data, .threads = threads, .replay = replay, .work_dir = work_dir};
    if (status == WHIST_OK) status = whist_fed_simulate(out, &simulation);
    for (size_t i = 0; i < plan->plan.n_sites; i++) whist_dataset_free(data[i]);
    return status;
}
