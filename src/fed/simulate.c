/* fed/simulate.c: a federation in one process. The machines are those of the network; only the link is a
 * function call and the stores live in memory.
 *
 * Sites are made when a step first asks for them, so a million registered sites cost no more than their
 * names. They run in parallel; sums in Z_2^b do not depend on the order, so neither do the bits. */
#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "fed/link_direct.h"
#include "fed/node.h"
#include "fed/private.h"
#include "fed/result.h"

#include <stdio.h>
#include <string.h>

typedef struct sim_site {
    wh_link_direct link;
    wh_node *node;
} sim_site;

typedef struct sim {
    const whist_simulation *in;
    const whist_fed_plan *plan;
    wh_store *store;
    wh_ledger *ledger; /* of this simulation alone; NULL without a promise */
    wh_coordinator *coordinator;
    wh_pool *pool;
    sim_site **actors; /* (n_sites + n_parties), NULL until asked for */
    size_t n_actors;
    uint32_t *active; /* actors that may have work */
    size_t n_active;
} sim;

static whist_status wake_actor(sim *s, size_t actor)
{
    if (s->actors[actor]) return WHIST_OK;
    sim_site *site;
    WH_TRY(WH_NEW(&site, 1));
    wh_link_direct_init(&site->link, s->coordinator, actor);
    bool party = actor >= s->plan->n_sites;
    const wh_node_env env = {
        .plan = s->plan,
        .role = party ? WHIST_ROLE_PARTY : WHIST_ROLE_SITE,
        .index = party ? actor - s->plan->n_sites : actor,
        .data = party ? NULL : s->in->data[actor],
        .link = &site->link.link,
        .threads = s->n_actors == 1 ? s->in->threads : 1, /* more of them have one each */
    };
    whist_status status = wh_node_new(&site->node, &env);
    if (status != WHIST_OK) {
        wh_free(site);
        return status;
    }
    s->actors[actor] = site;
    return WHIST_OK;
}

/* Works until this actor has nothing to do. A site that cannot make its update has told the
 * coordinator; the run decides what that means. */
static whist_status run_actor(void *user, size_t piece, unsigned worker)
{
    (void)worker;
    sim *s = user;
    size_t actor = s->active[piece];
    WH_TRY(wake_actor(s, actor));
    wh_node_state state = WH_NODE_ANSWERED;
    while (state == WH_NODE_ANSWERED) {
        uint32_t wait_ms;
        whist_status status = wh_node_step(s->actors[actor]->node, &state, &wait_ms);
        if (status != WHIST_OK && state != WH_NODE_DECLINED) return status;
    }
    return WHIST_OK;
}

static void forget_stateless(sim *s)
{
    bool remembers =
        s->plan->learner->n_states || s->plan->privacy || s->plan->pooled_moments || s->plan->protection->n_phases > 1;
    if (remembers || s->n_actors <= 64) return;
    for (size_t i = 0; i < s->n_active; i++) {
        sim_site *site = s->actors[s->active[i]];
        if (!site) continue;
        wh_node_free(site->node);
        wh_free(site);
        s->actors[s->active[i]] = NULL;
    }
}

static whist_status tell_progress(sim *s)
{
    char note[64];
    wh_coordinator_counts counts;
    wh_coordinator_count(s->coordinator, &counts);
    snprintf(note, sizeof note, "%zu sites", s->n_active);
    return wh_progress(s->in->progress, s->in->user, "train", wh_coordinator_rounds_done(s->coordinator),
                       s->plan->rounds, note);
}

static whist_status run(sim *s)
{
    for (;;) {
        wh_run_state state;
        uint32_t wait_ms;
        WH_TRY(wh_coordinator_tick(s->coordinator, &state, &wait_ms));
        if (state == WH_RUN_FINISHED) return WHIST_OK;
        s->n_active = wh_coordinator_active(s->coordinator, s->active);
        if (!s->n_active) {
            /* Everybody who is left has declined: the phase ends now, not at its deadline. */
            wh_coordinator_expire(s->coordinator);
            continue;
        }
        WH_TRY(wh_pool_run(s->pool, s->n_active, run_actor, s));
        WH_TRY(tell_progress(s));
        forget_stateless(s);
    }
}

static void sim_clear(sim *s)
{
    for (size_t i = 0; s->actors && i < s->n_actors; i++) {
        if (!s->actors[i]) continue;
        wh_node_free(s->actors[i]->node);
        wh_free(s->actors[i]);
    }
    wh_free(s->actors);
    wh_free(s->active);
    wh_coordinator_free(s->coordinator);
    wh_ledger_close(s->ledger);
    wh_store_close(s->store);
    wh_pool_free(s->pool);
}
WH_AUTO_CLEAR(sim, sim_clear)

/* With a key that nobody will ask for: what a simulation spends is spent by nobody. */
static whist_status make_ledger(sim *s)
{
    whist_crypt_key *key;
    WH_TRY(whist_crypt_key_new(&key));
    const wh_ledger_env env = {.dataset = "simulation", .owner = "coordinator", .key = key};
    whist_status status = wh_ledger_open(&s->ledger, &env);
    whist_crypt_key_free(key);
    return status;
}

static whist_status sim_init(sim *s, const whist_simulation *in, const whist_fed_plan *plan)
{
    s->in = in;
    s->plan = plan;
    s->n_actors = plan->n_sites + plan->n_parties;
    WH_TRY(wh_pool_new(&s->pool, in->threads ? in->threads : 1));
    WH_TRY(WH_NEW(&s->actors, s->n_actors));
    WH_TRY(WH_NEW(&s->active, s->n_actors));
    WH_TRY(wh_store_open(&s->store, NULL, plan->study));
    if (plan->privacy) WH_TRY(make_ledger(s));
    const wh_coordinator_env env = {.plan = plan, .store = s->store, .replay = in->replay, .ledger = s->ledger};
    return wh_coordinator_new(&s->coordinator, &env);
}

/* Learners that noise by themselves spend what their site's rows make them spend: the site with the largest bill. */
static double most_spent(const sim *s)
{
    double most = 0;
    for (size_t i = 0; i < s->plan->n_sites; i++) {
        double epsilon = s->actors[i] ? wh_node_epsilon(s->actors[i]->node) : 0;
        if (epsilon > most) most = epsilon;
    }
    return most;
}

static whist_status simulate_federation(whist_fed_result *out, const whist_simulation *in, const whist_fed_plan *plan)
{
    WH_AUTO(sim) s = {0};
    double start = wh_clock_seconds();
    WH_TRY(sim_init(&s, in, plan));
    WH_TRY(run(&s));
    if (in->work_dir) WH_TRY(wh_store_backup(s.store, in->work_dir));
    WH_TRY(wh_result_from(out, plan, s.coordinator, s.store));
    if (plan->privacy && !wh_private_is_on(plan)) out->epsilon = most_spent(&s);
    out->seconds = wh_clock_seconds() - start;
    return WHIST_OK;
}

/* ---- Baselines: the same machines over one site ---- */

static whist_status run_alone(whist_fed_result *out, const whist_simulation *in, const whist_fed_site *site,
                              whist_dataset *data)
{
    whist_fed_plan plan = *in->plan;
    plan.sites = site;
    plan.n_sites = 1;
    plan.min_sites = 1;
    plan.sample_fraction = 1;
    whist_simulation alone = *in;
    alone.plan = &plan;
    alone.data = &data;
    alone.threads = 1;
    alone.replay = NULL;
    alone.work_dir = NULL;
    return simulate_federation(out, &alone, &plan);
}

/* Metrics of a model at one site, as the last evaluation of a result. */
static whist_status evaluate_at(whist_fed_metrics *out, const whist_fed_plan *plan, const float *model,
                                const whist_dataset *data)
{
    const whist_rows test = whist_dataset_rows(data, WHIST_FOLD_TEST);
    const whist_rows validation = whist_dataset_rows(data, WHIST_FOLD_VALIDATION);
    WH_TRY(whist_learn_evaluate(out->test, plan->model, model, &test, plan->metrics, plan->n_metrics));
    return whist_learn_evaluate(out->validation, plan->model, model, &validation, plan->metrics, plan->n_metrics);
}

static whist_status baseline_local(whist_fed_result *out, const whist_simulation *in)
{
    const whist_fed_plan *plan = in->plan;
    WH_TRY(wh_result_init(out, plan));
    for (size_t i = 0; i < plan->n_sites; i++) {
        whist_fed_result one = {0};
        WH_TRY(run_alone(&one, in, &plan->sites[i], in->data[i]));
        out->sites[i] = one.pooled;
        wh_result_add(&out->pooled, &one.pooled, plan->n_metrics);
        out->rounds = one.rounds;
        out->seconds += one.seconds;
        whist_fed_result_clear(&one);
    }
    return WHIST_OK;
}

/* The sites' rows as the model of all rows saw them. */
static whist_status apply_moments(const whist_simulation *in, const float *moments)
{
    size_t d = in->plan->n_features;
    if (!moments) return WHIST_OK;
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, 2 * d, sizeof(double)));
    double *mean = memory;
    for (size_t j = 0; j < 2 * d; j++) mean[j] = (double)moments[j];
    for (size_t i = 0; i < in->plan->n_sites; i++) WH_TRY(whist_dataset_standardize(in->data[i], mean, mean + d));
    return WHIST_OK;
}

static whist_status baseline_pooled(whist_fed_result *out, const whist_simulation *in)
{
    const whist_fed_plan *plan = in->plan;
    whist_fed_site everybody = {.name = "pooled"};
    whist_dataset *all;
    WH_TRY(whist_dataset_concat(&all, in->data, plan->n_sites));
    whist_status status = run_alone(out, in, &everybody, all);
    whist_dataset_free(all);
    WH_TRY(status);
    WH_TRY(wh_result_sites(out, plan));
    WH_TRY(apply_moments(in, out->moments));
    for (size_t i = 0; i < plan->n_sites; i++) WH_TRY(evaluate_at(&out->sites[i], plan, out->model, in->data[i]));
    return WHIST_OK;
}

whist_status whist_fed_simulate(whist_fed_result *out, const whist_simulation *simulation)
{
    WH_ENSURE(out && simulation && simulation->plan && simulation->data, WHIST_E_ARG);
    whist_fed_result result = {0};
    whist_status status = WHIST_E_ARG;
    switch (simulation->plan->strategy->baseline) {
    case WHIST_BASELINE_NONE: status = simulate_federation(&result, simulation, simulation->plan); break;
    case WHIST_BASELINE_LOCAL: status = baseline_local(&result, simulation); break;
    case WHIST_BASELINE_POOLED: status = baseline_pooled(&result, simulation); break;
    }
    if (status == WHIST_OK)
        *out = result;
    else
        whist_fed_result_clear(&result);
    return status;
}
