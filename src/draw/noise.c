/* draw/noise.c: AES-256-CTR keyed by the system, a new key for each MiB and after each fork.
 *
 * A fork is seen in two ways: the child finds the buffer's pages emptied by the kernel (MADV_WIPEONFORK, also after a
 * raw clone), and a counter that pthread_atfork's handler moves. Either makes the child throw everything away. */
#include "draw/noise.h"

#include "crypt/prg.h"
#include "crypt/random.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    KEY = 32,
    POOL = 8192,        /* bytes made at once for small draws */
    KEY_BYTES = 1 << 20 /* bytes made under one key */
};

/* What a fork has to empty. */
typedef struct pool {
    uint64_t live; /* 0: nothing here counts (new, or emptied by a fork) */
    size_t left;   /* bytes not yet given: the last `left` of them */
    uint8_t bytes[POOL];
} pool;

struct wh_noise {
    wh_prg prg;
    size_t fresh;   /* bytes that the present key may still make */
    unsigned forks; /* as counted when the key was made */
    pool *pool;
    bool replayed; /* test builds: the key is the test's, and stays */
    uint8_t replay_key[KEY];
};

static atomic_uint forks;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, count_fork);
}

static size_t pool_size(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (sizeof(pool) + page - 1) / page * page;
}

static whist_status new_key(wh_noise *noise)
{
    uint8_t key[KEY];
    static const uint8_t nonce[WH_PRG_NONCE];
    WH_TRY(wh_random_bytes(key, KEY));
    whist_status status = wh_prg_init(&noise->prg, key, KEY, nonce);
    wh_wipe(key, KEY);
    WH_TRY(status);
    noise->fresh = KEY_BYTES;
    noise->forks = atomic_load(&forks);
    noise->pool->live = 1;
    return WHIST_OK;
}

static bool forked(const wh_noise *noise)
{
    return !noise->pool->live || noise->forks != atomic_load(&forks);
}

/* Makes sure that at least one byte may be made, by nobody else. */
static whist_status ready(wh_noise *noise)
{
    if (forked(noise)) {
        wh_wipe(noise->pool, sizeof *noise->pool);
        noise->fresh = 0;
        if (noise->replayed) WH_FAIL(WHIST_E_STATE, "a replayed noise source does not go on after a fork");
    }
    if (noise->fresh == 0 && noise->replayed) noise->fresh = KEY_BYTES;
    return noise->fresh > 0 ? WHIST_OK : new_key(noise);
}

static whist_status make(wh_noise *noise, uint8_t *out, size_t len)
{
    while (len > 0) {
        WH_TRY(ready(noise));
        size_t piece = len < noise->fresh ? len : noise->fresh;
        WH_TRY(wh_prg_next(&noise->prg, out, piece));
        noise->fresh -= piece;
        out += piece;
        len -= piece;
    }
    return WHIST_OK;
}

static whist_status from_pool(wh_noise *noise, uint8_t *out, size_t len)
{
    pool *p = noise->pool;
    if (forked(noise)) WH_TRY(ready(noise));
    while (len > 0) {
        if (p->left == 0) {
            WH_TRY(make(noise, p->bytes, POOL));
            p->left = POOL;
        }
        uint8_t *from = p->bytes + POOL - p->left;
        size_t piece = len < p->left ? len : p->left;
        memcpy(out, from, piece);
        memset(from, 0, piece);
        p->left -= piece;
        out += piece;
        len -= piece;
    }
    return WHIST_OK;
}

whist_status wh_noise_bytes(wh_noise *noise, void *out, size_t len)
{
    whist_status status = len >= POOL ? make(noise, out, len) : from_pool(noise, out, len);
    if (status != WHIST_OK) wh_wipe(out, len);
    return status;
}

/* The high word of x * n is uniform when the 2^64 mod n lowest values of the low word are drawn again. (Lemire 2019) */
whist_status wh_noise_below(wh_noise *noise, uint64_t *out, uint64_t n)
{
    WH_ENSURE(n > 0, WHIST_E_ARG);
    uint64_t excess = (0 - n) % n;
    for (;;) {
        uint64_t x;
        WH_TRY(wh_noise_u64(noise, &x));
        unsigned __int128 product = (unsigned __int128)x * n;
        if ((uint64_t)product < excess) continue;
        *out = (uint64_t)(product >> 64);
        return WHIST_OK;
    }
}

/* ---- Making and ending ---------------------------------------------------------------------- */

/* Locked where the limit allows it, left out of core dumps, emptied in a forked child. */
static whist_status new_pool(pool **out)
{
    size_t size = pool_size();
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) WH_FAIL(WHIST_E_NOMEM, "no memory for a noise source");
    (void)madvise(memory, size, MADV_DONTDUMP);
    (void)madvise(memory, size, MADV_WIPEONFORK); /* where the kernel is too old, the counter alone sees the fork */
    (void)mlock(memory, size);
    *out = memory;
    return WHIST_OK;
}

static whist_status new_empty(wh_noise **out)
{
    wh_noise *noise;
    (void)pthread_once(&watch_once, watch_forks);
    WH_TRY(WH_NEW(&noise, 1));
    whist_status status = new_pool(&noise->pool);
    if (status == WHIST_OK)
        *out = noise;
    else
        wh_free(noise);
    return status;
}

#ifdef WH_TEST_HOOKS
static _Thread_local uint64_t replay_from;

void wh_noise_replay_from(uint64_t seed)
{
    replay_from = seed;
}
#endif

whist_status wh_noise_new(wh_noise **out)
{
    WH_AUTO(wh_noise_ptr) noise = NULL;
#ifdef WH_TEST_HOOKS
    if (replay_from) return wh_noise_new_replayed(out, replay_from++);
#endif
    WH_TRY(new_empty(&noise));
    WH_TRY(new_key(noise));
    *out = noise;
    noise = NULL;
    return WHIST_OK;
}

#ifdef WH_TEST_HOOKS
whist_status wh_noise_new_replayed(wh_noise **out, uint64_t seed)
{
    WH_AUTO(wh_noise_ptr) noise = NULL;
    static const uint8_t nonce[WH_PRG_NONCE];
    WH_TRY(new_empty(&noise));
    memcpy(noise->replay_key, &seed, sizeof seed);
    WH_TRY(wh_prg_init(&noise->prg, noise->replay_key, KEY, nonce));
    noise->replayed = true;
    noise->fresh = KEY_BYTES;
    noise->forks = atomic_load(&forks);
    noise->pool->live = 1;
    *out = noise;
    noise = NULL;
    return WHIST_OK;
}
#endif

void wh_noise_free(wh_noise *noise)
{
    if (!noise) return;
    wh_prg_clear(&noise->prg);
    if (noise->pool) {
        wh_wipe(noise->pool, sizeof *noise->pool);
        (void)munmap(noise->pool, pool_size());
    }
    wh_wipe(noise, sizeof *noise);
    wh_free(noise);
}
