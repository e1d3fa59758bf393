/* base/mem.c: the allocator behind base/mem.h. */
#include "base/mem.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64 };

static _Thread_local uint64_t fail_after;

void wh_alloc_fail_after(uint64_t n)
{
    fail_after = n;
}

static bool planned_failure(void)
{
    return fail_after > 0 && --fail_after == 0;
}

enum { LARGE = 8 << 20, HUGE = 2 << 20 };

/* Data and arenas: large pages save most of the misses in address translation, and of the page faults. */
static void *alloc_large(size_t bytes)
{
    void *ptr; /* posix_memalign: aligned_alloc wants a size that is a multiple of the alignment */
    if (posix_memalign(&ptr, HUGE, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(ptr, bytes / HUGE * HUGE, MADV_HUGEPAGE); /* a hint: without it all works as well */
#endif
    return ptr;
}

whist_status wh_alloc_raw(void **out, size_t count, size_t size)
{
    size_t bytes, rounded;
    if (!wh_mul_size(&bytes, count, size) || !wh_add_size(&rounded, bytes, ALIGN - 1))
        WH_FAIL(WHIST_E_NOMEM, "%zu elements of %zu bytes do not fit in memory", count, size);
    if (bytes == 0) {
        *out = NULL;
        return WHIST_OK;
    }
    rounded &= ~(size_t)(ALIGN - 1);
    void *ptr = planned_failure() ? NULL : rounded < LARGE ? aligned_alloc(ALIGN, rounded) : alloc_large(rounded);
    if (!ptr) WH_FAIL(WHIST_E_NOMEM, "no memory for %zu bytes", bytes);
    *out = ptr;
    return WHIST_OK;
}

whist_status wh_alloc(void **out, size_t count, size_t size)
{
    /* calloc gives untouched zero pages for large blocks, which aligned_alloc cannot; below the
     * threshold an explicit memset is cheaper than a page fault. */
    WH_TRY(wh_alloc_raw(out, count, size));
    if (*out) memset(*out, 0, count * size);
    return WHIST_OK;
}

void wh_free(void *ptr)
{
    free(ptr);
}

whist_status wh_strdup(char **out, const char *text)
{
    size_t len = strlen(text) + 1;
    void *copy;
    WH_TRY(wh_alloc_raw(&copy, len, 1));
    memcpy(copy, text, len);
    *out = copy;
    return WHIST_OK;
}

void wh_wipe(void *ptr, size_t len)
{
    if (len) sodium_memzero(ptr, len);
}

struct wh_arena_block {
    wh_arena_block *next;
    size_t size, used; /* bytes behind the header, which itself takes ALIGN bytes */
};

static uint8_t *block_bytes(wh_arena_block *block)
{
    return (uint8_t *)block + ALIGN;
}

static whist_status add_block(wh_arena *arena, size_t need)
{
    size_t size = arena->block ? arena->block->size * 2 : 4096, total;
    if (size < need) size = need;
    if (!wh_add_size(&total, size, ALIGN)) WH_FAIL(WHIST_E_NOMEM, "arena request of %zu bytes", need);
    void *ptr;
    WH_TRY(wh_alloc_raw(&ptr, total, 1));
    wh_arena_block *block = ptr;
    *block = (wh_arena_block){arena->block, size, 0};
    arena->block = block;
    return WHIST_OK;
}

whist_status wh_arena_alloc(void **out, wh_arena *arena, size_t count, size_t size)
{
    size_t bytes, rounded;
    if (!wh_mul_size(&bytes, count, size) || !wh_add_size(&rounded, bytes, ALIGN - 1))
        WH_FAIL(WHIST_E_NOMEM, "%zu elements of %zu bytes do not fit in memory", count, size);
    rounded &= ~(size_t)(ALIGN - 1);
    if (!arena->block || arena->block->size - arena->block->used < rounded) WH_TRY(add_block(arena, rounded));
    *out = block_bytes(arena->block) + arena->block->used;
    arena->block->used += rounded;
    if (bytes) memset(*out, 0, bytes);
    return WHIST_OK;
}

whist_status wh_arena_strdup(char **out, wh_arena *arena, const char *text)
{
    size_t len = strlen(text) + 1;
    void *copy;
    WH_TRY(wh_arena_alloc(&copy, arena, len, 1));
    memcpy(copy, text, len);
    *out = copy;
    return WHIST_OK;
}

static void free_blocks(wh_arena_block *block)
{
    while (block) {
        wh_arena_block *next = block->next;
        wh_wipe(block_bytes(block), block->used);
        wh_free(block);
        block = next;
    }
}

void wh_arena_reset(wh_arena *arena)
{
    wh_arena_block *largest = arena->block;
    if (!largest) return;
    free_blocks(largest->next);
    wh_wipe(block_bytes(largest), largest->used);
    largest->next = NULL;
    largest->used = 0;
}

void wh_arena_clear(wh_arena *arena)
{
    free_blocks(arena->block);
    arena->block = NULL;
}

whist_status wh_secret_init(whist_secret *secret, size_t len)
{
    if (sodium_init() < 0) WH_FAIL(WHIST_E_ENTROPY, "the system gives no randomness");
    uint8_t *data = planned_failure() ? NULL : sodium_malloc(len);
    if (!data) WH_FAIL(WHIST_E_NOMEM, "no locked memory for %zu secret bytes", len);
    memset(data, 0, len);
    *secret = (whist_secret){data, len};
    return WHIST_OK;
}

void wh_secret_clear(whist_secret *secret)
{
    sodium_free(secret->data); /* wipes; NULL is harmless */
    *secret = (whist_secret)WHIST_SECRET_EMPTY;
}
