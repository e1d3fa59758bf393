/* data/bench.c: how fast images become features. */
#include "data/bench.h"

#include "base/bench.h"
#include "data/scatter.h"

enum { IMAGES = 512, SIZE = 28 };

WH_AUTO_FREE(wh_pool, wh_pool_free)

typedef struct run {
    wh_scatter scatter;
    wh_pool *pool;
    float *out;
} run;

static void strokes(float *image, const void *user, size_t i)
{
    (void)user;
    for (size_t k = 0; k < SIZE * SIZE; k++) image[k] = (k + i) % 7 < 2 ? (float)(k % 256) / 255 : 0;
}

static whist_status go(void *user)
{
    run *r = user;
    return wh_scatter_rows(r->out, &r->scatter, 27, IMAGES, strokes, NULL, r->pool);
}

static whist_status scatter(const whist_bench_env *env)
{
    WH_AUTO(wh_scatter) transform = {0};
    WH_AUTO(wh_pool_ptr) pool = NULL;
    WH_AUTO(wh_owned) out = NULL;
    WH_TRY(wh_scatter_init(&transform, SIZE, SIZE));
    WH_TRY(wh_pool_new(&pool, env->threads));
    WH_TRY(wh_alloc(&out, IMAGES * wh_scatter_features(&transform), sizeof(float)));
    run r = {transform, pool, out};
    return wh_bench_measure_on(env->threads, env, "data.scatter", "1/s", true, IMAGES, go, &r);
}

const whist_bench wh_data_benches[] = {
    {"data.scatter", "images of 28 x 28 pixels become scattering features", false, scatter},
    {NULL, NULL, false, NULL},
};
