/* crypt/crypt_bench.c: how fast the primitives are on this machine, on one core. */
#include "crypt/crypt_bench.h"

#include "base/clock.h"
#include "crypt/prg.h"
#include "crypt/sign.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPS = 9, SPAN = 1 << 20 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void emit(const whist_bench_env *env, const char *name, const char *unit, double rates[REPS])
{
    whist_bench_result result = {.unit = unit, .reps = REPS, .threads = 1};
    snprintf(result.name, sizeof result.name, "%s", name);
    qsort(rates, REPS, sizeof rates[0], by_value);
    result.min = rates[0];
    result.median = rates[REPS / 2];
    result.max = rates[REPS - 1];
    env->emit(env->user, &result);
}

/* One repetition calls `work` until 50 ms are over; `amount` is what one call does. */
typedef whist_status work_fn(void *user);

static whist_status measure(const whist_bench_env *env, const char *name, const char *unit, double amount,
                            work_fn *work, void *user)
{
    double rates[REPS];
    WH_TRY(work(user)); /* warms up */
    for (int rep = 0; rep < REPS; rep++) {
        double start = wh_clock_seconds(), spent = 0;
        uint64_t calls = 0;
        for (; spent < 0.05; spent = wh_clock_seconds() - start, calls++) WH_TRY(work(user));
        rates[rep] = amount * (double)calls / spent;
    }
    emit(env, name, unit, rates);
    return WHIST_OK;
}

typedef struct bench_span {
    wh_prg prg;
    uint8_t *bytes;
} bench_span;

static whist_status expand(void *user)
{
    bench_span *span = user;
    return wh_prg_next(&span->prg, span->bytes, SPAN);
}

static whist_status digest(void *user)
{
    bench_span *span = user;
    wh_digest out;
    wh_sha256_of(&out, span->bytes, SPAN);
    span->bytes[0] = out.bytes[0]; /* keeps the work alive */
    return WHIST_OK;
}

static whist_status run_span(const whist_bench_env *env, const char *name, work_fn *work)
{
    static const uint8_t key[16] = {1}, nonce[WH_PRG_NONCE] = {2};
    WH_AUTO(wh_owned) bytes = NULL;
    WH_AUTO(wh_prg) prg = WH_PRG_EMPTY;
    WH_TRY(wh_alloc(&bytes, SPAN, 1));
    WH_TRY(wh_prg_init(&prg, key, sizeof key, nonce));
    bench_span span = {prg, bytes};
    return measure(env, name, "B/s", SPAN, work, &span);
}

static whist_status bench_aesctr(const whist_bench_env *env)
{
    return run_span(env, "crypt.aesctr", expand);
}

static whist_status bench_sha256(const whist_bench_env *env)
{
    return run_span(env, "crypt.sha256", digest);
}

static whist_status sign_once(void *user)
{
    static const uint8_t message[64] = {3};
    uint8_t signature[WH_SIGN_SIZE];
    return wh_sign(signature, user, "whist/bench", (whist_bytes){message, sizeof message});
}

static whist_status bench_sign(const whist_bench_env *env)
{
    WH_AUTO(whist_crypt_key_ptr) key = NULL;
    WH_TRY(whist_crypt_key_new(&key));
    return measure(env, "crypt.sign", "1/s", 1, sign_once, key);
}

const whist_bench wh_crypt_benches[] = {
    {"crypt.aesctr", "AES-128 counter mode, bytes of key stream on one core", false, bench_aesctr},
    {"crypt.sha256", "SHA-256 of 1 MiB pieces on one core", false, bench_sha256},
    {"crypt.sign", "Ed25519 signatures of 64-byte messages on one core", false, bench_sign},
    {NULL, NULL, false, NULL},
};
