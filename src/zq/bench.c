/* zq/bench.c: seconds per parameter on the way of an update, 32 Ki parameters at a time (in L2). */
#include "zq/bench.h"

#include "base/bench.h"
#include "base/mem.h"
#include "zq/fixed.h"

enum { N = 1 << 15, ROUNDS = 16 };

typedef struct run {
    wh_fixed fixed;
    float *x;
    double *decoded;
    uint8_t *words, *sum;
} run;

static whist_status encode(void *user)
{
    run *r = user;
    for (int i = 0; i < ROUNDS; i++) WH_TRY(wh_fixed_encode(r->words, &r->fixed, r->x, N, 600));
    return WHIST_OK;
}

static whist_status add(void *user)
{
    run *r = user;
    for (int i = 0; i < ROUNDS; i++) wh_fixed_add(r->sum, &r->fixed, r->words, N);
    return WHIST_OK;
}

static whist_status decode(void *user)
{
    run *r = user;
    for (int i = 0; i < ROUNDS; i++) wh_fixed_decode(r->decoded, &r->fixed, r->words, N);
    return WHIST_OK;
}

static whist_status check(void *user)
{
    run *r = user;
    for (int i = 0; i < ROUNDS; i++) WH_TRY(wh_fixed_check(&r->fixed, r->words, N));
    return WHIST_OK;
}

static whist_status measure(const whist_bench_env *env, const char *name, unsigned bits, wh_bench_work *work)
{
    run r;
    WH_AUTO(wh_owned) x = NULL;
    WH_AUTO(wh_owned) decoded = NULL;
    WH_AUTO(wh_owned) words = NULL;
    WH_AUTO(wh_owned) sum = NULL;
    WH_TRY(wh_fixed_init(&r.fixed, bits, bits / 2, 10));
    WH_TRY(wh_alloc(&x, N, sizeof(float)));
    WH_TRY(wh_alloc(&decoded, N, sizeof(double)));
    WH_TRY(wh_alloc(&words, N, r.fixed.width));
    WH_TRY(wh_alloc(&sum, N, r.fixed.width));
    r.x = x, r.decoded = decoded, r.words = words, r.sum = sum;
    for (int i = 0; i < N; i++) r.x[i] = (float)(i % 201 - 100) * 1e-4f;
    WH_TRY(encode(&r));
    return wh_bench_measure(env, name, "s", false, (double)N * ROUNDS, work, &r);
}

#define BENCH(operation, bits)                                                                                         \
    static whist_status operation##bits(const whist_bench_env *env)                                                    \
    {                                                                                                                  \
        return measure(env, "zq." #operation #bits, bits, operation);                                                  \
    }
BENCH(encode, 32)
BENCH(add, 32)
BENCH(decode, 32)
BENCH(check, 32)
BENCH(encode, 64)
BENCH(add, 64)
BENCH(decode, 64)

const whist_bench wh_zq_benches[] = {
    {"zq.encode32", "float32 to fixed point in Z_2^32, per parameter", false, encode32},
    {"zq.add32", "sum in Z_2^32, per parameter", false, add32},
    {"zq.decode32", "fixed point in Z_2^32 to double, per parameter", false, decode32},
    {"zq.check32", "range check of a plain update in Z_2^32, per parameter", false, check32},
    {"zq.encode64", "float32 to fixed point in Z_2^64, per parameter", false, encode64},
    {"zq.add64", "sum in Z_2^64, per parameter", false, add64},
    {"zq.decode64", "fixed point in Z_2^64 to double, per parameter", false, decode64},
    {NULL, NULL, false, NULL},
};
