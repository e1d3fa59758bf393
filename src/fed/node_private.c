/* fed/node_private.c: what a site does for a promise: it bounds and noises its update, fixes the price, and pays before
 * anything leaves.
 *
 * The price is fixed where the update is made, and kept in the transaction of that answer, so that a site that comes
 * back after a crash pays for what it made then. */
#include "fed/node_state.h"

#include "fed/aggregate.h"
#include "fed/private.h"
#include "fed/schedule.h"

#include <stdio.h>
#include <string.h>

#define KEY_PRICE "price"

/* ---- The update ---- */

static whist_status make_numbers(wh_node *node, const wh_task *task, double clip, wh_arena *arena, wh_contribution *out)
{
    const whist_fed_plan *plan = node->env.plan;
    const wh_private rules = wh_private_rules(plan, clip);
    WH_AUTO(wh_noise_ptr) noise = NULL;
    int64_t *numbers;
    WH_TRY(WH_ARENA_NEW(&numbers, arena, rules.elements));
    WH_TRY(wh_noise_new(&noise));
    WH_TRY(wh_private_update(numbers, plan, &rules, out->update.vectors[0], node->env.index, task->step, noise));
    out->numbers = numbers;
    return WHIST_OK;
}

static void set_price(wh_node *node, const wh_task *task, const wh_charge *charge)
{
    node->price = (wh_price){
        .step = task->step,
        .round = task->round,
        .sigma = charge->sigma,
        .sensitivity = charge->sensitivity,
        .closeness = charge->closeness,
        .wrap = charge->wrap,
        .spend = charge->spend,
    };
    snprintf(node->price.mechanism, sizeof node->price.mechanism, "%s", charge->mechanism);
    snprintf(node->price.sampler, sizeof node->price.sampler, "%s", charge->sampler);
    node->has_price = true;
}

static wh_charge charge_of(const wh_node *node, const wh_task *task)
{
    wh_charge charge = wh_private_charge(node->env.plan, node->env.plan->privacy->clip);
    const wh_price *price = &node->price;
    charge.step = task->step;
    charge.round = task->round;
    charge.phase = task->phase;
    charge.mechanism = price->mechanism;
    charge.sampler = price->sampler;
    charge.sigma = price->sigma;
    charge.sensitivity = price->sensitivity;
    charge.closeness = price->closeness;
    charge.wrap = price->wrap;
    charge.spend = price->spend;
    return charge;
}

/* Before training in vain. */
static whist_status can_pay(wh_node *node, const wh_task *task)
{
    const whist_fed_plan *plan = node->env.plan;
    if (!node->env.ledger) return WHIST_OK;
    wh_charge charge = wh_private_is_on(plan) ? wh_private_charge(plan, plan->privacy->clip) : charge_of(node, task);
    charge.step = task->step;
    charge.phase = (unsigned)wh_private_paying_phase(plan);
    return wh_ledger_check(node->env.ledger, &charge);
}

/* Rounds from this one on that the study's seed has drawn this site for. */
static whist_status count_rounds(uint64_t *out, const wh_node *node, const wh_task *task)
{
    const whist_fed_plan *plan = node->env.plan;
    WH_AUTO(wh_owned) memory = NULL;
    *out = plan->rounds > task->round ? plan->rounds - task->round : 1;
    if (wh_schedule_sample(plan) == plan->n_sites) return WHIST_OK;
    WH_TRY(wh_alloc(&memory, plan->n_sites, 1));
    const uint8_t *cohort = memory;
    const uint64_t left = *out;
    *out = 0;
    for (uint64_t k = 0; k < left; k++) {
        const wh_schedule_entry entry = {.purpose = WHIST_PURPOSE_TRAIN, .round = task->round + k};
        WH_TRY(wh_schedule_cohort(memory, plan, &entry, task->step + k));
        *out += cohort[node->env.index] != 0;
    }
    return WHIST_OK;
}

/* The price of all of them together; *known is false where a learner does not tell. */
static whist_status price_plan(wh_charge *charge, bool *known, const wh_node *node)
{
    const whist_fed_plan *plan = node->env.plan;
    *known = true;
    if (wh_private_is_on(plan)) {
        charge->spend = wh_spend_times(&charge->spend, charge->planned);
        return WHIST_OK;
    }
    whist_dp_event events[WHIST_MAX_EVENTS] = {{0}};
    size_t n = 0;
    *known = plan->learner->plans != NULL;
    if (!*known) return WHIST_OK;
    WH_TRY(plan->learner->plans(plan->learner_settings, charge->planned, events, &n));
    return wh_spend_events(&charge->spend, events, n);
}

/* Before the first training of this process: half a study is paid for and good for nothing. */
static whist_status can_pay_all(wh_node *node, const wh_task *task)
{
    const whist_fed_plan *plan = node->env.plan;
    bool known;
    if (!node->env.ledger || node->plan_fits) return WHIST_OK;
    wh_charge charge = wh_private_is_on(plan) ? wh_private_charge(plan, plan->privacy->clip) : charge_of(node, task);
    charge.step = task->step;
    charge.phase = (unsigned)wh_private_paying_phase(plan);
    WH_TRY(count_rounds(&charge.planned, node, task));
    WH_TRY(price_plan(&charge, &known, node));
    if (known) WH_TRY(wh_ledger_check(node->env.ledger, &charge));
    node->plan_fits = true;
    return WHIST_OK;
}

/* A learner that noises by itself says what this fit will have spent. */
static whist_status ask_learner(wh_node *node, const wh_task *task, const whist_learner_round *round)
{
    const whist_fed_plan *plan = node->env.plan;
    whist_dp_event events[WHIST_MAX_EVENTS] = {{0}};
    size_t n = 0;
    WH_TRY(plan->learner->spends(node->learner, round, events, &n));
    if (n > WHIST_MAX_EVENTS) WH_FAIL(WHIST_E_RANGE, "learner %s names %zu events", plan->learner->name, n);
    for (size_t i = 0; i < n; i++)
        if (events[i].unit != plan->privacy->unit || events[i].relation != plan->privacy->relation)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "learner %s promises something about one %s (%s), the study about one %s (%s): set them alike",
                    plan->learner->name, whist_dp_unit_name(events[i].unit), whist_dp_relation_name(events[i].relation),
                    whist_dp_unit_name(plan->privacy->unit), whist_dp_relation_name(plan->privacy->relation));
    node->price = (wh_price){.step = task->step, .round = task->round};
    WH_TRY(wh_spend_events(&node->price.spend, events, n));
    if (n) node->price.sigma = events[0].noise;
    snprintf(node->price.mechanism, sizeof node->price.mechanism, "%s: %s", plan->learner->name,
             n ? whist_dp_mechanism_name(events[0].mechanism) : "nothing");
    snprintf(node->price.sampler, sizeof node->price.sampler, "%s",
             n ? whist_dp_sampling_name(events[0].sampling) : "");
    node->has_price = true;
    return WHIST_OK;
}

whist_status wh_node_before_fit(wh_node *node, const wh_task *task, const whist_learner_round *round)
{
    const whist_fed_plan *plan = node->env.plan;
    if (!plan->privacy) return WHIST_OK;
    if (!wh_private_is_on(plan)) WH_TRY(ask_learner(node, task, round));
    WH_TRY(can_pay_all(node, task));
    return can_pay(node, task);
}

whist_status wh_node_sum_records(wh_node *node, const wh_task *task, const whist_learner_round *round, wh_arena *arena,
                                 wh_contribution *out)
{
    const whist_fed_plan *plan = node->env.plan;
    const double clip = plan->privacy->clip;
    const wh_private rules = wh_private_rules(plan, clip);
    const wh_charge charge = wh_private_charge(plan, clip);
    WH_AUTO(wh_noise_ptr) noise = NULL;
    int64_t *numbers;
    WH_TRY(WH_ARENA_NEW(&numbers, arena, rules.elements));
    WH_TRY(plan->learner->sum(node->learner, round, clip, rules.step, numbers));
    WH_TRY(wh_noise_new(&noise));
    WH_TRY(wh_private_records(numbers, plan, &rules, noise));
    set_price(node, task, &charge);
    out->numbers = numbers;
    return WHIST_OK;
}

whist_status wh_node_keep_promise(wh_node *node, const wh_task *task, const float *model, wh_arena *arena,
                                  wh_contribution *out)
{
    const whist_fed_plan *plan = node->env.plan;
    if (!wh_private_is_on(plan)) return WHIST_OK;
    double clip = wh_model_clip_of(plan, model);
    if (!(clip >= plan->privacy->clip / (2 * WH_PRIVATE_CLIP_RANGE) &&
          clip <= plan->privacy->clip * 2 * WH_PRIVATE_CLIP_RANGE))
        WH_FAIL(WHIST_E_FORMAT, "the coordinator offers a bound of %g, which this study cannot come to", clip);
    const wh_charge charge = wh_private_charge(plan, clip);
    set_price(node, task, &charge);
    return make_numbers(node, task, clip, arena, out);
}

/* ---- The price ---- */

static bool is_paying(const wh_node *node, const wh_task *task)
{
    const whist_fed_plan *plan = node->env.plan;
    return plan->privacy && node->env.role == WHIST_ROLE_SITE && task->purpose == WHIST_PURPOSE_TRAIN &&
           task->phase == wh_private_paying_phase(plan);
}

whist_status wh_node_keep_price(wh_node *node)
{
    if (!node->has_price) return WHIST_OK;
    return wh_store_set(node->env.store, KEY_PRICE, (whist_bytes){(const uint8_t *)&node->price, sizeof node->price});
}

static whist_status find_price(wh_node *node, const wh_task *task)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found = false;
    if (node->has_price && node->price.step == task->step) return WHIST_OK;
    if (node->env.store) WH_TRY(wh_store_get(node->env.store, KEY_PRICE, &value, &found));
    if (found && value.len == sizeof node->price) memcpy(&node->price, value.data, sizeof node->price);
    if (!found || value.len != sizeof node->price || node->price.step != task->step)
        WH_FAIL(WHIST_E_STATE, "the price of step %llu is lost with this site's state: the step cannot be paid for",
                (unsigned long long)task->step);
    node->has_price = true;
    return WHIST_OK;
}

/* ---- Paying ---- */

/* Shares of noise hide a site among as many honest ones as the study counts on. */
static whist_status check_company(const wh_node *node, const wh_task *task)
{
    const whist_fed_privacy *p = node->env.plan->privacy;
    size_t needed = p->honest + p->colluders;
    if (p->noise == WHIST_NOISE_DISTRIBUTED && task->n_alive < needed)
        WH_FAIL(WHIST_E_RANGE,
                "%zu sites are left, and the noise of %zu is needed to hide one: this site helps to open nothing",
                task->n_alive, needed);
    return WHIST_OK;
}

whist_status wh_node_check_company(const wh_node *node, const wh_task *task)
{
    return is_paying(node, task) ? check_company(node, task) : WHIST_OK;
}

static whist_status digest_of(wh_digest *out, const wh_node *node, const wh_manifest *manifest)
{
    if (manifest && manifest->n_chunks) return wh_manifest_digest(out, manifest);
    wh_sha256_of(out, node->outbox.data ? node->outbox.data : (const uint8_t *)"", node->outbox.len);
    return WHIST_OK;
}

whist_status wh_node_pay(wh_node *node, const wh_task *task, const wh_manifest *manifest)
{
    if (!is_paying(node, task)) return WHIST_OK;
    WH_TRY(find_price(node, task));
    if (!node->env.ledger) { /* simulation: nobody's data, and so nobody's ledger */
        wh_spend_add(&node->spent, &node->price.spend);
        return WHIST_OK;
    }
    wh_charge charge = charge_of(node, task);
    WH_TRY(digest_of(&charge.bytes, node, manifest));
    WH_TRY(wh_ledger_charge(node->env.ledger, &charge, NULL));
    return node->env.link->note ? node->env.link->note(node->env.link, node->env.ledger) : WHIST_OK;
}

double wh_node_epsilon(const wh_node *node)
{
    return wh_spend_epsilon(&node->spent, node->env.plan->privacy->delta);
}
