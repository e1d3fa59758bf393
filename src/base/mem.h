/* base/mem.h: memory with checked sizes, arenas for work with one lifetime, and secret memory.
 *
 * All memory of the library is asked for here, so that tests can let the n-th request fail. */
#ifndef WH_BASE_MEM_H
#define WH_BASE_MEM_H

#include "base/status.h"

/* count * size bytes, zeroed, aligned to 64; *out is NULL for 0 bytes. WHIST_E_NOMEM on overflow
 * or exhaustion, *out untouched. Ended by wh_free. */
WH_MUST_CHECK whist_status wh_alloc(void **out, size_t count, size_t size);
/* The same without the zeroes, for buffers that are about to be filled. */
WH_MUST_CHECK whist_status wh_alloc_raw(void **out, size_t count, size_t size);
void wh_free(void *ptr);
#define WH_NEW(out, count) wh_alloc((void **)(out), (count), sizeof **(out))
#define WH_NEW_RAW(out, count) wh_alloc_raw((void **)(out), (count), sizeof **(out))

/* A copy of a string, ended by wh_free. */
WH_MUST_CHECK whist_status wh_strdup(char **out, const char *text);

/* Wipes bytes in a way that no compiler drops. */
void wh_wipe(void *ptr, size_t len);

typedef void *wh_owned; /* WH_AUTO(wh_owned) p: freed at the end of the block */
static inline void wh_owned_end_(wh_owned *p)
{
    wh_free(*p);
}

/* Checked arithmetic for sizes from outside: false on overflow, *out untouched. */
static inline bool wh_add_size(size_t *out, size_t a, size_t b)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool wh_mul_size(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* An arena: many allocations, one end. Blocks double in size; a reset keeps the largest. */
typedef struct wh_arena_block wh_arena_block;
typedef struct wh_arena {
    wh_arena_block *block;
} wh_arena;
#define WH_ARENA_EMPTY                                                                                                 \
    {                                                                                                                  \
        NULL                                                                                                           \
    }
/* Zeroed, 64-byte aligned, lives until reset or clear. */
WH_MUST_CHECK whist_status wh_arena_alloc(void **out, wh_arena *arena, size_t count, size_t size);
WH_MUST_CHECK whist_status wh_arena_strdup(char **out, wh_arena *arena, const char *text);
#define WH_ARENA_NEW(out, arena, count) wh_arena_alloc((void **)(out), (arena), (count), sizeof **(out))
void wh_arena_reset(wh_arena *arena);
void wh_arena_clear(wh_arena *arena);
WH_AUTO_CLEAR(wh_arena, wh_arena_clear)

/* A long-lived secret: locked in memory, fenced by guard pages, left out of core dumps, wiped at
 * the end. (libsodium's guarded heap) */
typedef struct whist_secret {
    uint8_t *data;
    size_t len;
} whist_secret;
#define WHIST_SECRET_EMPTY                                                                                             \
    {                                                                                                                  \
        NULL, 0                                                                                                        \
    }
WH_MUST_CHECK whist_status wh_secret_init(whist_secret *secret, size_t len);
void wh_secret_clear(whist_secret *secret);
WH_AUTO_CLEAR(whist_secret, wh_secret_clear)

/* Tests: the n-th request from now on this thread fails once (0: none). */
void wh_alloc_fail_after(uint64_t n);

#endif
