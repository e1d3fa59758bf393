/* base/pool.c: a fixed set of threads that take numbered pieces from one counter. */
#include "base/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct worker {
    struct wh_pool *pool;
    pthread_t thread;
    unsigned index;
} worker;

struct wh_pool {
    unsigned threads; /* the caller is one of them */
    worker *workers;  /* threads - 1 */

    pthread_mutex_t lock; /* guards all below but next */
    pthread_cond_t wake, idle;
    uint64_t generation; /* counts the runs */
    unsigned busy;       /* workers that have not finished this run */
    bool stop;
    wh_piece_fn *fn;
    void *user;
    size_t n;
    size_t failed_piece; /* SIZE_MAX: none */
    whist_status failed;
    whist_detail detail;

    atomic_size_t next;
};

static void note_failure(wh_pool *pool, size_t piece, whist_status status)
{
    pthread_mutex_lock(&pool->lock);
    if (piece < pool->failed_piece) {
        pool->failed_piece = piece;
        pool->failed = status;
        pool->detail = *whist_detail_get();
    }
    pthread_mutex_unlock(&pool->lock);
    atomic_store(&pool->next, pool->n);
}

static void take_pieces(wh_pool *pool, unsigned index)
{
    for (;;) {
        size_t piece = atomic_fetch_add(&pool->next, 1);
        if (piece >= pool->n) return;
        whist_status status = pool->fn(pool->user, piece, index);
        if (status != WHIST_OK) note_failure(pool, piece, status);
    }
}

static void *worker_main(void *arg)
{
    worker *self = arg;
    wh_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->stop && pool->generation == seen) pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->stop) break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->lock);
        take_pieces(pool, self->index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

whist_status wh_pool_new(wh_pool **out, unsigned threads)
{
    if (threads < 1 || threads > 256) WH_FAIL(WHIST_E_RANGE, "%u threads; 1 to 256 are allowed", threads);
    wh_pool *pool;
    WH_TRY(WH_NEW(&pool, 1));
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->threads = 1;
    whist_status status = WH_NEW(&pool->workers, threads - 1);
    while (status == WHIST_OK && pool->threads < threads) {
        worker *w = &pool->workers[pool->threads - 1];
        *w = (worker){.pool = pool, .index = pool->threads};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            status = wh_fail(WHIST_E_NOMEM, __FILE__, __LINE__, "cannot start thread %u", pool->threads);
        else
            pool->threads++;
    }
    if (status != WHIST_OK) {
        wh_pool_free(pool);
        return status;
    }
    *out = pool;
    return WHIST_OK;
}

void wh_pool_free(wh_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i + 1 < pool->threads; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->lock);
    wh_free(pool->workers);
    wh_free(pool);
}

unsigned wh_pool_threads(const wh_pool *pool)
{
    return pool ? pool->threads : 1;
}

whist_status wh_pool_run(wh_pool *pool, size_t n, wh_piece_fn *fn, void *user)
{
    if (!pool || pool->threads == 1 || n <= 1) {
        for (size_t piece = 0; piece < n; piece++) WH_TRY(fn(user, piece, 0));
        return WHIST_OK;
    }
    pthread_mutex_lock(&pool->lock);
    pool->fn = fn;
    pool->user = user;
    pool->n = n;
    pool->failed_piece = SIZE_MAX;
    pool->busy = pool->threads - 1;
    atomic_store(&pool->next, 0);
    pool->generation++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);

    take_pieces(pool, 0);

    pthread_mutex_lock(&pool->lock);
    while (pool->busy > 0) pthread_cond_wait(&pool->idle, &pool->lock);
    whist_status status = pool->failed_piece == SIZE_MAX ? WHIST_OK : pool->failed;
    pthread_mutex_unlock(&pool->lock);
    if (status != WHIST_OK) wh_detail_put(&pool->detail);
    return status;
}
