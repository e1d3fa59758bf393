/* study/meta_private_test.c: a meta-update is an update like any other: through every placement of noise and through a
 * protection of four phases, with the same bits, bounds and charges; and what no meta-learner can promise is refused.
 */
#include "test.h"

#include "base/mem.h"
#include "fed/masks4.h"
#include "fed/spend.h"

#include <whist/study.h>

#include <math.h>
#include <string.h>

enum { SITES = 5 };

static const char frame[] = "whist: 1\n"
                            "name: tiny\n"
                            "data:\n"
                            "  format: synthetic\n"
                            "  task: %s\n"
                            "  synthetic: {rows: 120}\n"
                            "  columns:\n"
                            "    - {name: a, type: real}\n"
                            "    - {name: b, type: real}\n"
                            "    - {name: who, type: %s}\n"
                            "    - {name: t, type: target}\n"
                            "model: {name: mlp, hidden: [4]}\n"
                            "learner: %s\n"
                            "strategy: fedavg\n"
                            "protection: {name: %s, bits: 48, fraction: 24}\n"
                            "%s"
                            "rounds: %d\n"
                            "sampling: {min_sites: 5}\n"
                            "%s"
                            "metrics: []\n"
                            "sites:\n"
                            "  - {name: a}\n  - {name: b}\n  - {name: c}\n  - {name: d}\n  - {name: e}\n";

/* Every plain meta-learner, with small tasks; evaluated at the start. */
static const char *const plain[] = {
    "{name: maml, support: 4, query: 6, evaluate: start, inner_lr: 0.1}",
    "{name: fomaml, support: 4, query: 6, evaluate: start, inner_lr: 0.1}",
    "{name: reptile, support: 4, query: 6, evaluate: start, inner_lr: 0.1, inner_steps: 3}",
    "{name: anil, support: 4, query: 6, evaluate: start, inner_lr: 0.1}",
    "{name: boil, support: 4, query: 6, evaluate: start, inner_lr: 0.1}",
    "{name: per-fedavg, support: 4, query: 6, evaluate: start, variant: fo}",
    "{name: per-fedavg, support: 4, query: 6, evaluate: start, variant: hf}",
    "{name: per-fedavg, support: 4, query: 6, evaluate: start, variant: exact}",
};

static int rounds_ = 2; /* of the studies to come */

static whist_status parse(whist_study **out, const char *task, const char *who, const char *learner,
                          const char *protection, const char *privacy)
{
    char text[4096];
    snprintf(text, sizeof text, frame, task, who, learner, protection, privacy, rounds_,
             strcmp(protection, "none") ? "parties:\n  - {name: keeper}\n" : "");
    return whist_study_parse(out, (whist_bytes){(const uint8_t *)text, strlen(text)}, "s.yaml");
}

static void open_study(whist_study **out, const char *learner, const char *protection, const char *privacy)
{
    assert_ok(parse(out, "regression", "person", learner, protection, privacy));
    assert_int_equal(whist_study_plan(*out)->n_sites, SITES);
}

/* wild: the rows of the first site are beyond all measure. */
static void simulate(whist_fed_result *out, const whist_study *study, bool wild)
{
    whist_dataset *data[SITES] = {NULL};
    assert_ok(whist_study_open_data(study, ".", data));
    if (wild) {
        const whist_rows rows = whist_dataset_rows(data[0], WHIST_FOLD_TRAIN);
        float *x = calloc(rows.n * rows.d, sizeof *x), *y = calloc(rows.n, sizeof *y);
        for (size_t i = 0; i < rows.n * rows.d; i++) x[i] = -40 * rows.x[i];
        for (size_t i = 0; i < rows.n; i++) y[i] = 1e4F - 100 * rows.y[i];
        whist_rows other = rows;
        other.x = x, other.y = y;
        whist_dataset *replaced;
        assert_ok(whist_dataset_from_rows(&replaced, &other, NULL));
        whist_dataset_free(data[0]);
        data[0] = replaced;
        free(x), free(y);
    }
    assert_ok(
        whist_fed_simulate(out, &(whist_simulation){.plan = whist_study_plan(study), .data = data, .threads = 1}));
    for (size_t i = 0; i < SITES; i++) whist_dataset_free(data[i]);
}

/* ---- Protected ---- */

static void the_protection_changes_no_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < WH_COUNT(plain); i++) {
        whist_study *open, *hidden;
        whist_fed_result a = {0}, b = {0};
        open_study(&open, plain[i], "none", "");
        open_study(&hidden, plain[i], "test-masks4", "");
        simulate(&a, open, false);
        simulate(&b, hidden, false);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.model, b.model, a.n * sizeof *a.model);
        bool moved = false;
        float *start = calloc(a.n, sizeof *start);
        whist_model_init(whist_study_plan(open)->model, start, whist_study_plan(open)->seed);
        for (size_t j = 0; j < a.n; j++) moved |= start[j] != a.model[j];
        if (!moved) fail_msg("%s: nothing was learned", plain[i]);
        free(start);
        whist_fed_result_clear(&a);
        whist_fed_result_clear(&b);
        whist_study_free(open);
        whist_study_free(hidden);
    }
}

/* Class sums and counts as well, learned embedding or not; and the model at the end says how near class means are. */
static void nor_of_class_sums(void **state)
{
    (void)state;
    static const char *const learners[] = {"prototypes",
                                           "{name: prototypes, learn: 1, lr: 0.1, updates: 3, evaluate: personal}"};
    rounds_ = 3;
    for (size_t i = 0; i < WH_COUNT(learners); i++) {
        whist_study *study[2];
        whist_fed_result result[2] = {{0}};
        for (int hidden = 0; hidden < 2; hidden++) {
            assert_ok(parse(&study[hidden], "classes\n  classes: 3", "ignore", learners[i],
                            hidden ? "test-masks4" : "none", ""));
            simulate(&result[hidden], study[hidden], false);
        }
        size_t n = result[0].n, f = 4, k = 3;
        assert_int_equal(n, result[1].n);
        assert_memory_equal(result[0].model, result[1].model, n * sizeof *result[0].model);
        const float *weight = result[0].model + n - k - f * k, *bias = result[0].model + n - k;
        for (size_t c = 0; c < k; c++) {
            double square = 0;
            for (size_t j = 0; j < f; j++) square += pow((double)weight[j * k + c] / 2, 2);
            assert_true(square > 1e-3 && fabs((double)bias[c] + square) < 1e-5 * (1 + square));
        }
        for (int hidden = 0; hidden < 2; hidden++) {
            whist_fed_result_clear(&result[hidden]);
            whist_study_free(study[hidden]);
        }
    }
    rounds_ = 2;
}

/* The private learners go through it as well: prototypes, tasks of persons, records. */
static void private_updates_go_through_it(void **state)
{
    (void)state;
    static const struct {
        const char *task, *learner, *unit;
    } cases[] = {
        {"regression", "{name: dp-meta, support: 3, query: 3, persons: 20, rate: 0.5, noise: 4}", "task"},
        {"regression", "{name: dp-meta, rule: meta-sgd, support: 3, query: 3, persons: 20, rate: 0.5, noise: 4}",
         "task"},
        {"binary", "{name: dp-meta, rule: cavia, support: 3, query: 3, persons: 20, rate: 0.5, noise: 4}", "task"},
        {"regression", "{name: dp-meta, rule: abml, support: 3, query: 3, persons: 20, rate: 0.5, noise: 4}", "task"},
        {"regression", "{name: dp-reptile, rows: 120, rate: 0.2, noise: 4, inner_steps: 2}", "record"},
        {"regression", "{name: dp-fomaml, rows: 120, rate: 0.2, noise: 4, inner_steps: 2}", "record"},
        {"binary", "{name: dp-protonet, rows: 120, noise: 8}", "record"},
    };
    for (size_t i = 0; i < WH_COUNT(cases); i++)
        for (int hidden = 0; hidden < 2; hidden++) {
            whist_study *study;
            whist_fed_result result = {0};
            char privacy[200];
            snprintf(privacy, sizeof privacy,
                     "privacy: {unit: %s, noise: local, relation: add_remove, units: 500, epsilon: 20, delta: 1e-3}\n",
                     cases[i].unit);
            assert_ok(
                parse(&study, cases[i].task, "person", cases[i].learner, hidden ? "test-masks4" : "none", privacy));
            simulate(&result, study, false);
            for (size_t j = 0; j < result.n; j++) assert_true(isfinite(result.model[j]));
            if (!(result.epsilon > 0 && result.epsilon < 20))
                fail_msg("%s: epsilon %g", cases[i].learner, result.epsilon);
            whist_fed_result_clear(&result);
            whist_study_free(study);
        }
}

/* ---- Site-level promises ---- */

/* A site whose rows become others, beyond all measure, moves a round's model by no more than two of its bounds over the
 * number of sites, by any meta-learner and wherever the noise is added; sigma is next to nothing. */
static void a_site_moves_no_more_than_its_bound(void **state)
{
    (void)state;
    static const char *const placed[] = {"central", "local", "distributed, honest: 5, mechanism: discrete-gaussian"};
    rounds_ = 1;
    for (size_t i = 0; i < WH_COUNT(plain); i++)
        for (size_t n = 0; n < WH_COUNT(placed); n++) {
            whist_study *study;
            whist_fed_result good = {0}, wild = {0};
            char privacy[200];
            double moved = 0;
            snprintf(privacy, sizeof privacy,
                     "privacy: {unit: site, noise: %s, epsilon: 1e6, delta: 1e-3, clip: 0.01, sigma: 0.01}\n",
                     placed[n]);
            open_study(&study, plain[i], n == 2 ? "test-masks4" : "none", privacy);
            simulate(&good, study, false);
            simulate(&wild, study, true);
            for (size_t j = 0; j < good.n; j++) moved += pow((double)good.model[j] - (double)wild.model[j], 2);
            double noise = 12 * 0.01 * 0.01 / SITES * sqrt(2.0 * SITES * (double)good.n);
            double most = 2 * 0.01 / SITES + noise;
            if (!(sqrt(moved) <= most)) fail_msg("%s, %s: moved by %g", plain[i], placed[n], sqrt(moved));
            if (!(sqrt(moved) > 0.2 * most))
                fail_msg("%s, %s: was the site heard? %g", plain[i], placed[n], sqrt(moved));
            whist_fed_result_clear(&good);
            whist_fed_result_clear(&wild);
            whist_study_free(study);
        }
    rounds_ = 2;
}

/* What a promise costs depends on rounds and sigma alone: the same for a meta-learner as for plain SGD. */
static void it_is_charged_like_any_update(void **state)
{
    (void)state;
    static const char privacy[] =
        "privacy: {unit: site, noise: central, epsilon: 50, delta: 1e-3, clip: 1, sigma: 2}\n";
    wh_spend sum = wh_spend_gaussian(2);
    wh_spend_add(&sum, &(wh_spend){.slack = 0});
    const wh_spend one = wh_spend_gaussian(2);
    wh_spend_add(&sum, &one); /* two rounds */
    const double want = wh_spend_epsilon(&sum, 1e-3);
    for (size_t i = 0; i <= WH_COUNT(plain); i++) {
        whist_study *study;
        whist_fed_result result = {0};
        open_study(&study, i < WH_COUNT(plain) ? plain[i] : "{name: sgd, lr: 0.1}", "none", privacy);
        simulate(&result, study, false);
        assert_true(fabs(result.epsilon / want - 1) < 1e-6);
        whist_fed_result_clear(&result);
        whist_study_free(study);
    }
}

/* What private learners are charged is what their events say, composed over rounds. */
static void events_are_composed_over_rounds(void **state)
{
    (void)state;
    static const struct {
        const char *learner, *unit;
        double noise, rate;
        uint64_t each; /* releases of a round */
    } cases[] = {
        {"{name: dp-meta, support: 3, query: 3, persons: 20, rate: 0.25, noise: 2, updates: 3}", "task", 2, 0.25, 3},
        {"{name: dp-meta, rule: maml++, support: 3, query: 3, persons: 20, rate: 0.25, noise: 2, updates: 3}", "task",
         2, 0.25, 3},
        {"{name: dp-reptile, rows: 120, rate: 0.1, noise: 3, inner_steps: 5, updates: 2}", "record", 3, 0.1, 10},
        {"{name: dp-fomaml, rows: 120, rate: 0.1, noise: 3, inner_steps: 5, updates: 2}", "record", 3, 0.1, 12},
    };
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        whist_study *study;
        whist_fed_result result = {0};
        char privacy[200];
        wh_spend sum;
        const whist_dp_event event = {.mechanism = WHIST_DP_GAUSSIAN,
                                      .noise = cases[i].noise,
                                      .sampling = WHIST_DP_POISSON,
                                      .rate = cases[i].rate,
                                      .count = 2 * cases[i].each};
        snprintf(privacy, sizeof privacy,
                 "privacy: {unit: %s, noise: local, relation: add_remove, units: 500, epsilon: 30, delta: 1e-3}\n",
                 cases[i].unit);
        open_study(&study, cases[i].learner, "none", privacy);
        simulate(&result, study, false);
        assert_ok(wh_spend_events(&sum, &event, 1));
        double want = wh_spend_epsilon(&sum, 1e-3);
        if (!(fabs(result.epsilon / want - 1) < 1e-4))
            fail_msg("%s: %g, not %g", cases[i].learner, result.epsilon, want);
        whist_fed_result_clear(&result);
        whist_study_free(study);
    }
}

/* What a plan is judged by is what its rounds are charged, for every learner that prices itself. */
static void plans_are_what_is_charged(void **state)
{
    (void)state;
    static const struct {
        const char *task, *learner, *unit;
    } cases[] = {
        {"regression", "{name: dp-sgd, rows: 120, rate: 0.2, updates: 3, noise: 4}", "record"},
        {"regression", "{name: dp-sgd, rows: 120, rate: 0.2, updates: 3, noise: 4, clipping: adaptive}", "record"},
        {"regression", "{name: dp-ftrl, rows: 120, pass: 4, updates: 4, span: 2, noise: 4}", "record"},
        {"regression", "{name: dp-ftrl, rows: 120, pass: 4, updates: 4, noise: 4}", "record"},
        {"regression", "{name: dp-meta, support: 3, query: 3, persons: 20, rate: 0.5, updates: 2, noise: 4}", "task"},
        {"regression", "{name: dp-reptile, rows: 120, rate: 0.2, noise: 4, updates: 2, inner_steps: 2}", "record"},
        {"regression", "{name: dp-fomaml, rows: 120, rate: 0.2, noise: 4, updates: 2, inner_steps: 2}", "record"},
        {"binary", "{name: dp-protonet, rows: 120, noise: 8}", "record"},
    };
    rounds_ = 4;
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        whist_study *study;
        whist_fed_result result = {0};
        whist_dp_event events[WHIST_MAX_EVENTS] = {{0}};
        wh_spend planned;
        char privacy[200], text[64];
        size_t n;
        snprintf(privacy, sizeof privacy,
                 "privacy: {unit: %s, noise: local, relation: add_remove, units: 500, epsilon: 30, delta: 1e-3}\n",
                 cases[i].unit);
        assert_ok(parse(&study, cases[i].task, "person", cases[i].learner, "none", privacy));
        const whist_fed_plan *plan = whist_study_plan(study);
        simulate(&result, study, false);
        assert_ok(plan->learner->plans(plan->learner_settings, plan->rounds, events, &n));
        assert_ok(wh_spend_events(&planned, events, n));
        double want = wh_spend_epsilon(&planned, 1e-3);
        if (!(fabs(result.epsilon / want - 1) < 1e-6))
            fail_msg("%s: charged %g, planned %g", cases[i].learner, result.epsilon, want);
        whist_fed_result_clear(&result);
        whist_study_free(study);
        /* The same plan under a budget that it passes is refused, with the number. */
        snprintf(privacy, sizeof privacy,
                 "privacy: {unit: %s, noise: local, relation: add_remove, units: 500, epsilon: %g, delta: 1e-3}\n",
                 cases[i].unit, 0.9 * want);
        assert_int_equal(parse(&study, cases[i].task, "person", cases[i].learner, "none", privacy),
                         WHIST_E_UNSUPPORTED);
        snprintf(text, sizeof text, "spend epsilon %.4g for one %s", want, cases[i].unit);
        if (!strstr(whist_detail_get()->text, text)) fail_msg("%s: %s", text, whist_detail_get()->text);
    }
    rounds_ = 2;
}

/* ---- What is refused ---- */

static void refused(const char *who, const char *learner, const char *privacy, const char *words)
{
    whist_study *study = NULL;
    whist_status status = parse(&study, "regression", who, learner, "none", privacy);
    if (status != WHIST_E_UNSUPPORTED || !strstr(whist_detail_get()->text, words))
        fail_msg("%s with %s: %s", learner, privacy, status == WHIST_OK ? "taken" : whist_detail_get()->text);
}

static void what_cannot_be_promised_is_refused(void **state)
{
    (void)state;
    static const char
        record[] =
            "privacy: {unit: record, noise: local, relation: add_remove, units: 500, epsilon: 20, delta: 1e-3}\n",
        task[] = "privacy: {unit: task, noise: local, relation: add_remove, units: 500, epsilon: 20, delta: 1e-3}\n",
        open[] = "privacy: {unit: site, noise: central, epsilon: 20, delta: 1e-3, clip: 1, metrics: plain}\n",
        meta[] = "{name: dp-meta, support: 3, query: 3, persons: 20, rate: 0.5, noise: 4, rule: %s}";
    char learner[120];
    refused("person", "maml", record, "a Hessian-vector product mixes the support rows");
    refused("person", "{name: per-fedavg}", record, "a Hessian-vector product mixes the support rows");
    refused("person", "fomaml", record, "take dp-fomaml or dp-reptile");
    refused("person", "reptile", task, "mixed anew from the same rows in every round");
    refused("person", "maml", open, "say learner.evaluate: start, or leave the metrics at home");
    snprintf(learner, sizeof learner, meta, "maml");
    refused("person", learner, record, "a Hessian-vector product mixes the support rows");
    snprintf(learner, sizeof learner, meta, "cavia, context: 3");
    refused("person", learner, record, "a Hessian-vector product mixes the support rows");
    snprintf(learner, sizeof learner, meta, "protonet");
    refused("person", learner, task, "a person may show one class only");
    snprintf(learner, sizeof learner, meta, "maml, kl: 1");
    refused("person", learner, task, "learner.kl is for another rule and does nothing with rule maml");
    snprintf(learner, sizeof learner, meta, "fomaml");
    refused("person", learner, record, "hides a record only as long as nobody has two");
    refused("ignore", learner, task, "a task is a person");
    refused("person", "{name: dp-meta, support: 3, query: 3, persons: 501, rate: 0.5, noise: 4}", task,
            "the learner counts on up to 501 persons and units says 500");
    refused("person", "{name: dp-meta, support: 3, query: 3, persons: 20, rate: 0.5, noise: 0.001}", task,
            "has to refuse before the end: raise noise");
    refused("person", "{name: dp-reptile, rows: 120, rate: 0.2, noise: 4}", task,
            "hides one record, and the study promises something about one task");
    /* Frozen tasks that share rows, claimed private. */
    refused("person", learner,
            "privacy: {unit: task, noise: local, relation: add_remove, units: 500, epsilon: 20, delta: "
            "1e-3}\nepisodes: {ways: 2, shots: 1}\n",
            "episodes mix the same rows anew");
    /* A budget that the sampler did not earn. */
    refused("person", "{name: dp-meta, support: 3, query: 3, persons: 20, rate: 0.5, noise: 4}", "",
            "is private, but the study makes no promise");
}

int main(void)
{
    assert_ok(whist_protection_register(&test_masks4));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_protection_changes_no_bit),      cmocka_unit_test(nor_of_class_sums),
        cmocka_unit_test(private_updates_go_through_it),      cmocka_unit_test(a_site_moves_no_more_than_its_bound),
        cmocka_unit_test(it_is_charged_like_any_update),      cmocka_unit_test(events_are_composed_over_rounds),
        cmocka_unit_test(what_cannot_be_promised_is_refused), cmocka_unit_test(plans_are_what_is_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
