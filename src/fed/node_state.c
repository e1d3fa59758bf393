/* fed/node_state.c: learner states by step, in memory and (with a store) in DIR/state/STEP.bin. */
#include "fed/node_state.h"

#include <stdio.h>
#include <string.h>

static size_t state_bytes(const wh_node *node)
{
    return whist_model_size(node->env.plan->model) * sizeof(float);
}

static void state_name(char out[64], uint64_t tag)
{
    snprintf(out, 64, "state/%08llu.bin", (unsigned long long)tag);
}

/* Copies all state vectors from or to one flat array. */
static whist_status copy_states(wh_node *node, float *flat, bool into_learner)
{
    float *states[WHIST_MAX_VECTORS];
    size_t p = whist_model_size(node->env.plan->model);
    WH_TRY(node->env.plan->learner->state(node->learner, states));
    for (size_t s = 0; s < node->env.plan->learner->n_states; s++)
        memcpy(into_learner ? states[s] : flat + s * p, into_learner ? flat + s * p : states[s], state_bytes(node));
    return WHIST_OK;
}

static whist_status read_state(wh_node *node, uint64_t tag, float *flat)
{
    char name[64];
    state_name(name, tag);
    if (!node->env.store || !wh_vecfile_exists(node->env.store, name))
        WH_FAIL(WHIST_E_STATE, "what the learner remembered after step %llu is lost", (unsigned long long)(tag - 1));
    wh_vecfile *file;
    WH_TRY(wh_vecfile_open(&file, node->env.store, name));
    whist_status status = wh_vecfile_read(file, flat, state_bytes(node) * node->env.plan->learner->n_states, 0);
    wh_vecfile_close(file);
    return status;
}

whist_status wh_node_restore_state(wh_node *node, const wh_task *task)
{
    size_t n = node->env.plan->learner->n_states;
    if (!n) return WHIST_OK;
    uint64_t wanted = task->has_state ? task->state_step + 1 : WH_NO_STEP;
    if (!node->backup) WH_TRY(WH_NEW(&node->backup, n * whist_model_size(node->env.plan->model)));
    if (node->state_tag == wanted) {
        WH_TRY(copy_states(node, node->backup, false));
    } else if (node->backup_tag != wanted || node->state_tag == WH_NO_STEP) {
        if (wanted == WH_NO_STEP)
            memset(node->backup, 0, n * state_bytes(node));
        else
            WH_TRY(read_state(node, wanted, node->backup));
        WH_TRY(copy_states(node, node->backup, true));
    } else {
        WH_TRY(copy_states(node, node->backup, true));
    }
    node->backup_tag = wanted;
    node->state_tag = task->step + 1;
    return WHIST_OK;
}

whist_status wh_node_keep_state(wh_node *node, const wh_task *task)
{
    size_t n = node->env.plan->learner->n_states;
    if (!n) return WHIST_OK;
    float *states[WHIST_MAX_VECTORS];
    char name[64];
    state_name(name, task->step + 1);
    WH_TRY(node->env.plan->learner->state(node->learner, states));
    wh_vecfile *file;
    WH_TRY(wh_vecfile_create(&file, node->env.store, name, n * state_bytes(node)));
    whist_status status = WHIST_OK;
    for (size_t s = 0; status == WHIST_OK && s < n; s++)
        status = wh_vecfile_write(file, states[s], state_bytes(node), s * state_bytes(node));
    if (status == WHIST_OK) status = wh_vecfile_sync(file);
    wh_vecfile_close(file);
    WH_TRY(status);
    /* Keep the new one and the one it came from; the coordinator names one of the two next time. */
    for (uint64_t tag = node->oldest_kept; tag < task->step + 1; tag++) {
        if (tag == node->backup_tag) continue;
        state_name(name, tag);
        WH_TRY(wh_vecfile_remove(node->env.store, name));
    }
    node->oldest_kept = node->backup_tag ? node->backup_tag : task->step + 1;
    return WHIST_OK;
}

void wh_node_drop_state(wh_node *node)
{
    wh_free(node->backup);
    node->backup = NULL;
}
