/* run/run_test.h: a small plan and a small hospital for the tests of files, logs and commands. */
#ifndef WH_RUN_RUN_TEST_H
#define WH_RUN_RUN_TEST_H

#include "test.h"

#include "base/file.h"
#include "crypt/sign.h"
#include "fed/protection.h"
#include "net/net_testing.h"

#include <whist/run.h>

#include <string.h>
#include <sys/stat.h>

static const char *const test_metrics[] = {"accuracy", "auc"};

/* Three inputs, one output: 3 weights and a bias. Names and pins of the two sites are filled in by the test. */
typedef struct wh_test_plan {
    whist_fed_plan plan;
    whist_fed_site sites[2];
    whist_model *model;
} wh_test_plan;

static inline void test_plan_new(wh_test_plan *t)
{
    whist_model_shape shape = {3, 1, WHIST_TARGET_BINARY};
    *t = (wh_test_plan){0};
    assert_ok(whist_model_new(&t->model, "logistic", NULL, &shape));
    snprintf(t->sites[0].name, sizeof t->sites[0].name, "cleveland");
    snprintf(t->sites[1].name, sizeof t->sites[1].name, "hungary");
    t->plan = (whist_fed_plan){
        .study = {0xab, 0xcd, 3},
        .name = "hearts",
        .seed = 7,
        .model = t->model,
        .learner = whist_learner_classes()[0],
        .strategy = whist_strategy_classes()[0],
        .protection = &wh_protection_none,
        .bits = 32,
        .fraction = 16,
        .rounds = 30,
        .sample_fraction = 1,
        .min_sites = 2,
        .metrics = test_metrics,
        .n_metrics = 2,
        .min_metric_count = 10,
        .evaluate_every = 1,
        .pooled_moments = true,
        .n_features = 3,
        .sites = t->sites,
        .n_sites = 2,
    };
    snprintf(t->plan.coordinator.name, sizeof t->plan.coordinator.name, "coordinator");
}

static inline void test_plan_clear(wh_test_plan *t)
{
    whist_model_free(t->model);
}

/* DIR/NAME with this content; the path belongs to the caller (free). */
static inline char *test_file(const char *dir, const char *name, const char *content, unsigned mode)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0) abort();
    assert_ok(wh_file_write(path, wh_text_bytes(content), mode));
    return path;
}

/* A participant's PEM files in a folder. */
typedef struct wh_test_files {
    char *ca, *certificate, *key;
    whist_identity_files files;
} wh_test_files;

static inline void test_files_new(wh_test_files *t, const char *dir, const char *name, const wh_town *town,
                                  const wh_citizen *citizen)
{
    char path[256];
    snprintf(path, sizeof path, "%s.pem", name);
    t->certificate = test_file(dir, path, citizen->cert, 0644);
    t->ca = test_file(dir, "ca.pem", town->ca, 0644);
    if (asprintf(&t->key, "%s/%s.key", dir, name) < 0) abort();
    assert_ok(wh_file_remove(t->key));
    assert_ok(whist_crypt_key_save(citizen->key, t->key, NULL));
    t->files = (whist_identity_files){.ca = t->ca, .certificate = t->certificate, .key = t->key};
}

static inline void test_files_clear(wh_test_files *t)
{
    free(t->ca);
    free(t->certificate);
    free(t->key);
}

/* The text of the last failure. */
#define assert_says(words)                                                                                             \
    do {                                                                                                               \
        if (!strstr(whist_detail_get()->text, (words)))                                                                \
            fail_msg("'%s' not in: %s", (words), whist_detail_get()->text);                                            \
    } while (0)

#endif
