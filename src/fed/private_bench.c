/* fed/private_bench.c: what a promise costs: bounding and noising an update of a million numbers, noising a sum, a
 * charge. */
#include "fed/private_bench.h"

#include "base/bench.h"
#include "fed/layout.h"
#include "fed/private.h"

#include <stdio.h>
#include <string.h>

enum { NUMBERS = 1000000, SITES = 10 };

typedef struct bench {
    whist_fed_site sites[SITES];
    whist_fed_privacy privacy;
    whist_fed_plan plan;
    whist_model *model;
    wh_private rules;
    wh_noise *noise;
    float *x;
    int64_t *out, *scratch;
    uint8_t *elements;
    double *sum;
    wh_ledger *ledger;
    uint64_t step;
} bench;

static void bench_clear(bench *b)
{
    whist_model_free(b->model);
    wh_noise_free(b->noise);
    wh_ledger_close(b->ledger);
    wh_free(b->x);
    wh_free(b->out);
    wh_free(b->scratch);
    wh_free(b->elements);
    wh_free(b->sum);
}
WH_AUTO_CLEAR(bench, bench_clear)

static whist_status bench_init(bench *b, whist_privacy_noise noise)
{
    const whist_model_shape shape = {.n_features = NUMBERS - 1, .n_outputs = 1, .target = WHIST_TARGET_BINARY};
    WH_TRY(whist_model_new(&b->model, "logistic", NULL, &shape));
    b->privacy = (whist_fed_privacy){
        .unit = WHIST_DP_SITE,
        .relation = WHIST_DP_ZERO_OUT,
        .noise = noise,
        .mechanism = noise == WHIST_NOISE_DISTRIBUTED ? WHIST_MECHANISM_DISCRETE_GAUSSIAN : WHIST_MECHANISM_GAUSSIAN,
        .clip = 1,
        .sigma = 1,
        .epsilon = 1e9,
        .delta = 1e-5,
        .honest = SITES,
    };
    b->plan = (whist_fed_plan){.name = "bench",
                               .model = b->model,
                               .sites = b->sites,
                               .n_sites = SITES,
                               .min_sites = SITES,
                               .sample_fraction = 1,
                               .rounds = 1,
                               .bits = 64,
                               .fraction = 24,
                               .privacy = &b->privacy};
    b->rules = wh_private_rules(&b->plan, 1);
    WH_TRY(WH_NEW(&b->x, NUMBERS));
    WH_TRY(WH_NEW(&b->out, b->rules.elements));
    WH_TRY(WH_NEW(&b->scratch, WH_BLOCK));
    WH_TRY(WH_NEW(&b->elements, 8 * WH_BLOCK));
    WH_TRY(WH_NEW(&b->sum, WH_BLOCK));
    for (size_t i = 0; i < NUMBERS; i++) b->x[i] = (float)(i % 13) - 6;
    return wh_noise_new(&b->noise);
}

static whist_status update(void *user)
{
    bench *b = user;
    return wh_private_update(b->out, &b->plan, &b->rules, b->x, 0, 0, b->noise);
}

static whist_status sum(void *user)
{
    bench *b = user;
    for (uint64_t at = 0; at < NUMBERS; at += WH_BLOCK) {
        size_t n = NUMBERS - at < WH_BLOCK ? (size_t)(NUMBERS - at) : WH_BLOCK;
        WH_TRY(wh_private_sum(b->sum, &b->plan, &b->rules, b->elements, n, at / WH_BLOCK, 0, b->noise, b->scratch));
    }
    return WHIST_OK;
}

static whist_status charge(void *user)
{
    bench *b = user;
    wh_charge one = wh_private_charge(&b->plan, 1);
    one.spend = wh_spend_gaussian(1e4);
    one.step = b->step++;
    return wh_ledger_charge(b->ledger, &one, NULL);
}

static whist_status bench_update(const whist_bench_env *env)
{
    static const char *const names[] = {"fed.private.local", "fed.private.shares", "fed.private.bound"};
    for (int noise = WHIST_NOISE_LOCAL; noise <= WHIST_NOISE_CENTRAL; noise++) {
        WH_AUTO(bench) b = {.step = 0};
        WH_TRY(bench_init(&b, (whist_privacy_noise)noise));
        WH_TRY(wh_bench_measure(env, names[noise], "s", false, 1, update, &b));
        if (noise == WHIST_NOISE_CENTRAL) WH_TRY(wh_bench_measure(env, "fed.private.sum", "s", false, 1, sum, &b));
    }
    return WHIST_OK;
}

static whist_status bench_charge(const whist_bench_env *env)
{
    WH_AUTO(bench) b = {.step = 0};
    char dir[4096];
    whist_crypt_key *key;
    if (snprintf(dir, sizeof dir, "%s/ledger", env->scratch) >= (int)sizeof dir) return WHIST_E_RANGE;
    WH_TRY(bench_init(&b, WHIST_NOISE_CENTRAL));
    WH_TRY(whist_crypt_key_new(&key));
    const wh_ledger_env on_disk = {.dir = dir, .dataset = "bench", .owner = "bench", .key = key};
    whist_status status = wh_ledger_open(&b.ledger, &on_disk);
    whist_crypt_key_free(key);
    WH_TRY(status);
    return wh_bench_measure(env, "fed.ledger.charge", "s", false, 1, charge, &b);
}

const whist_bench wh_private_benches[] = {
    {"fed.private", "a million numbers: bound, bound and noise, bound and rotate and noise a share; noise for a sum",
     false, bench_update},
    {"fed.ledger.charge", "one charge: verified, signed, flushed to disk", false, bench_charge},
    {0},
};
