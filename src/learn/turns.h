/* learn/turns.h: who may take part when: each row at most k times, and b steps apart.
 *
 * Correlated noise is charged by the sensitivity of a pattern of participation. This is the place where the pattern is
 * enforced, whoever made the batches: a batch with a row whose turn it is not is refused as a whole. */
#ifndef WH_LEARN_TURNS_H
#define WH_LEARN_TURNS_H

#include "base/mem.h"

typedef struct wh_turns {
    uint64_t k, b; /* most participations of a row; steps from one to the next: at least, or exactly where `fixed` */
    bool fixed;
    size_t n;
    uint32_t *taken; /* (n) */
    uint64_t *last;  /* (n) step of the last one */
    uint64_t next;   /* steps come in order: no batch for an earlier one than this */
} wh_turns;
#define WH_TURNS_EMPTY                                                                                                 \
    {                                                                                                                  \
        .taken = NULL                                                                                                  \
    }

/* n rows, k and b >= 1. */
WH_MUST_CHECK whist_status wh_turns_init(wh_turns *out, size_t n, uint64_t k, uint64_t b, bool fixed);
void wh_turns_clear(wh_turns *turns);
WH_AUTO_CLEAR(wh_turns, wh_turns_clear)
/* Everybody's first turn again: for noise that is independent of all before. */
void wh_turns_restart(wh_turns *turns);
/* These rows take part in this step. WHIST_E_STATE, which names no row: one of them may not, stands there twice or does
 * not exist, or the step is over; nothing is counted then. */
WH_MUST_CHECK whist_status wh_turns_take(wh_turns *turns, uint64_t step, const uint32_t *index, size_t n);

#endif
