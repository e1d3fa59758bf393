/* study/selftest.c: quick known answers on the machine at hand, for `whist selftest`. */
#include "crypt/hash.h"
#include "nn/graph/check.h"

#include <whist/study.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* FIPS 180-4: SHA-256 of "abc". */
static whist_status test_hash(whist_text_fn *emit, void *user)
{
    (void)emit, (void)user;
    static const char want[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    wh_digest digest;
    wh_sha256_of(&digest, "abc", 3);
    char hex[65];
    wh_digest_hex(hex, &digest);
    if (strcmp(hex, want) != 0) WH_FAIL(WHIST_E_STATE, "SHA-256 of \"abc\" is %s", hex);
    return WHIST_OK;
}

static const char tiny[] = "whist: 1\n"
                           "name: selftest\n"
                           "data:\n"
                           "  format: synthetic\n"
                           "  task: binary\n"
                           "  synthetic: {rows: 60}\n"
                           "  columns:\n"
                           "    - {name: a, type: real}\n"
                           "    - {name: b, type: category, levels: [x, y, z]}\n"
                           "    - {name: t, type: target}\n"
                           "model: logistic\n"
                           "learner: {name: sgd, lr: 0.05, batch: 4, updates: 20}\n"
                           "strategy: fedavg\n"
                           "rounds: 3\n"
                           "metrics: [accuracy, logloss]\n"
                           "sites: {count: 3}\n";

typedef struct data {
    whist_dataset *sites[3];
} data;

static void data_clear(data *d)
{
    for (size_t i = 0; i < WH_COUNT(d->sites); i++) whist_dataset_free(d->sites[i]);
}
WH_AUTO_CLEAR(data, data_clear)
WH_AUTO_CLEAR(whist_fed_result, whist_fed_result_clear)
WH_AUTO_FREE(whist_study, whist_study_free)

/* A whole federation in memory: its loss falls, and a second run has the same bits. */
static whist_status test_federation(whist_text_fn *emit, void *user)
{
    (void)emit, (void)user;
    WH_AUTO(whist_study_ptr) study = NULL;
    WH_TRY(whist_study_parse(&study, (whist_bytes){(const uint8_t *)tiny, sizeof tiny - 1}, "selftest"));
    WH_AUTO(data) d = {0};
    WH_TRY(whist_study_open_data(study, ".", d.sites));
    const whist_simulation simulation = {.plan = whist_study_plan(study), .data = d.sites, .threads = 1};
    WH_AUTO(whist_fed_result) first = {0};
    WH_AUTO(whist_fed_result) again = {0};
    WH_TRY(whist_fed_simulate(&first, &simulation));
    WH_TRY(whist_fed_simulate(&again, &simulation));
    if (first.n != again.n || memcmp(first.model, again.model, first.n * sizeof *first.model) != 0)
        WH_FAIL(WHIST_E_STATE, "two runs of one study gave different models");
    for (size_t i = 0; i < first.n; i++)
        if (!isfinite(first.model[i])) WH_FAIL(WHIST_E_STATE, "the model of the test study is not finite");
    return WHIST_OK;
}

typedef struct gradients {
    whist_text_fn *emit;
    void *user;
    wh_gradcheck worst;
    double norms;
    size_t cases, shapes, with_norms;
} gradients;

static void show(const gradients *g, const char *name, size_t shapes, const wh_gradcheck *e, double norms)
{
    char line[128], by_example[16] = "";
    if (!isnan(norms)) snprintf(by_example, sizeof by_example, "%9.1e", norms);
    snprintf(line, sizeof line, "%-22s %6zu %9.1e %9.1e %9.1e %9.1e %9s", name, shapes, e->first, e->tangent, e->second,
             e->reverse, by_example);
    g->emit(g->user, line);
}

static void note(void *user, const wh_check_result *r)
{
    gradients *g = user;
    g->cases++;
    g->shapes += r->shapes;
    g->worst.first = fmax(g->worst.first, r->error.first);
    g->worst.tangent = fmax(g->worst.tangent, r->error.tangent);
    g->worst.second = fmax(g->worst.second, r->error.second);
    g->worst.reverse = fmax(g->worst.reverse, r->error.reverse);
    if (!isnan(r->norms)) g->norms = fmax(g->norms, r->norms), g->with_norms += r->shapes;
    if (g->emit) show(g, r->name, r->shapes, &r->error, r->norms);
}

/* Every operation of the engine to second order, and per-example norms against the loop. */
static whist_status test_gradients(whist_text_fn *emit, void *user)
{
    gradients g = {.emit = emit, .user = user};
    char line[128];
    snprintf(line, sizeof line, "%-22s %6s %9s %9s %9s %9s %9s", "", "shapes", "first", "tangent", "second", "reverse",
             "norms");
    if (emit) emit(user, line);
    WH_TRY(wh_graph_gradcheck_all(note, &g));
    snprintf(line, sizeof line, "worst of %zu cases", g.cases);
    if (emit) show(&g, line, g.shapes, &g.worst, g.norms);
    snprintf(line, sizeof line, "all %zu operations used; norms by example in %zu shapes", wh_graph_count_ops(),
             g.with_norms);
    if (emit) emit(user, line);
    return WHIST_OK;
}

const whist_selftest *const *whist_selftests(void)
{
    static const whist_selftest hash = {"hash", "SHA-256 against FIPS 180-4", test_hash};
    static const whist_selftest federation = {"federation", "a small study, twice, to the bit", test_federation};
    static const whist_selftest gradcheck = {"gradcheck", "derivatives against central differences", test_gradients};
    static const whist_selftest *const all[] = {&hash, &federation, &gradcheck, NULL};
    return all;
}
