/* fed/inbox.h: the messages that an actor gets in a phase, gathered from the store. */
#ifndef WH_FED_INBOX_H
#define WH_FED_INBOX_H

#include "fed/store.h"

/* Messages of (step, phase) for `to`, copied into the arena. */
WH_MUST_CHECK whist_status wh_inbox_read(whist_message **out, size_t *n, wh_arena *arena, wh_store *store,
                                         uint64_t step, unsigned phase, const char *to);

#endif
