/* fed/inbox.c: rows of messages become an array. */
#include "fed/inbox.h"

#include <string.h>

typedef struct gather {
    wh_arena *arena;
    whist_message *messages;
    size_t n, cap;
} gather;

static whist_status add_message(void *user, const whist_message *message)
{
    gather *g = user;
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        whist_message *more;
        WH_TRY(WH_ARENA_NEW(&more, g->arena, cap));
        if (g->n) memcpy(more, g->messages, g->n * sizeof *more);
        g->messages = more;
        g->cap = cap;
    }
    uint8_t *body;
    WH_TRY(WH_ARENA_NEW(&body, g->arena, message->body.len));
    if (message->body.len) memcpy(body, message->body.data, message->body.len);
    g->messages[g->n] = *message;
    g->messages[g->n++].body = (whist_bytes){body, message->body.len};
    return WHIST_OK;
}

whist_status wh_inbox_read(whist_message **out, size_t *n, wh_arena *arena, wh_store *store, uint64_t step,
                           unsigned phase, const char *to)
{
    gather g = {.arena = arena};
    WH_TRY(wh_store_messages(store, step, phase, to, add_message, &g));
    *out = g.messages;
    *n = g.n;
    return WHIST_OK;
}
