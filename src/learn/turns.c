/* learn/turns.c: counts and last steps. */
#include "learn/turns.h"

#include <string.h>

whist_status wh_turns_init(wh_turns *out, size_t n, uint64_t k, uint64_t b, bool fixed)
{
    WH_ENSURE(out && k >= 1 && b >= 1, WHIST_E_ARG);
    wh_turns turns = {.k = k, .b = b, .fixed = fixed, .n = n};
    whist_status status = WH_NEW(&turns.taken, n);
    if (status == WHIST_OK) status = WH_NEW(&turns.last, n);
    if (status == WHIST_OK)
        *out = turns;
    else
        wh_turns_clear(&turns);
    return status;
}

void wh_turns_clear(wh_turns *turns)
{
    if (turns->taken) wh_wipe(turns->taken, turns->n * sizeof *turns->taken);
    if (turns->last) wh_wipe(turns->last, turns->n * sizeof *turns->last);
    wh_free(turns->taken);
    wh_free(turns->last);
    *turns = (wh_turns)WH_TURNS_EMPTY;
}

void wh_turns_restart(wh_turns *turns)
{
    turns->next = 0;
    if (turns->n) memset(turns->taken, 0, turns->n * sizeof *turns->taken);
}

static bool may(const wh_turns *turns, uint64_t step, uint32_t row)
{
    if (row >= turns->n || turns->taken[row] >= turns->k) return false;
    if (turns->taken[row] == 0) return true;
    uint64_t gap = step - turns->last[row];
    return turns->fixed ? gap == turns->b : gap >= turns->b;
}

static void give_back(wh_turns *turns, const uint32_t *index, size_t n, const uint64_t *last)
{
    for (size_t i = n; i-- > 0;) {
        turns->taken[index[i]]--;
        turns->last[index[i]] = last[i];
    }
}

whist_status wh_turns_take(wh_turns *turns, uint64_t step, const uint32_t *index, size_t n)
{
    WH_AUTO(wh_owned) memory = NULL;
    if (step < turns->next) WH_FAIL(WHIST_E_STATE, "step %llu is over", (unsigned long long)step);
    WH_TRY(wh_alloc(&memory, n, sizeof(uint64_t)));
    uint64_t *last = memory;
    for (size_t i = 0; i < n; i++) {
        if (!may(turns, step, index[i])) {
            give_back(turns, index, i, last);
            WH_FAIL(WHIST_E_STATE,
                    "a row would take part in step %llu against its turn: noise was made for at most %llu "
                    "participations, %s%llu steps apart",
                    (unsigned long long)step, (unsigned long long)turns->k, turns->fixed ? "" : "at least ",
                    (unsigned long long)turns->b);
        }
        last[i] = turns->last[index[i]];
        turns->last[index[i]] = step;
        turns->taken[index[i]]++;
    }
    turns->next = step + 1;
    return WHIST_OK;
}
