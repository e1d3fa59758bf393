/* whist/study.h: a study file becomes objects.
 *
 * A study is what the partners agreed, in YAML, without local paths. Its SHA-256 (of the bytes as they
 * lie in the file) names it and every message carries that name. Configurations of sites and
 * coordinators are YAML too, stay local, and are read by the same key tables; the tables also make
 * docs/study.md, `whist study check` and completion.
 *
 * Errors name file, line, column and what is allowed; a misspelt key names the nearest allowed one. */
#ifndef WHIST_STUDY_H
#define WHIST_STUDY_H

#include <whist/base.h>
#include <whist/data.h>
#include <whist/fed.h>
#include <whist/learn.h>
#include <whist/meta.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Registries: all names that a study may use. Additions come before the first study is read. */
WHIST_API WHIST_MUST_CHECK whist_status whist_learner_register(const whist_learner_class *class_);
WHIST_API WHIST_MUST_CHECK whist_status whist_strategy_register(const whist_strategy_class *class_);
WHIST_API WHIST_MUST_CHECK whist_status whist_protection_register(const whist_protection_class *class_);

/* ---- Study ---------------------------------------------------------------------------------- */

typedef struct whist_study whist_study;

/* Reads and checks everything that can be checked without data, unsafe combinations included. */
WHIST_API WHIST_MUST_CHECK whist_status whist_study_load(whist_study **out, const char *path);
/* The same from memory; `name` stands for the path in error texts. */
WHIST_API WHIST_MUST_CHECK whist_status whist_study_parse(whist_study **out, whist_bytes text, const char *name);
WHIST_API void whist_study_free(whist_study *study);

/* Owned by the study, as is everything that the readers below return. */
WHIST_API const char *whist_study_name(const whist_study *study);
WHIST_API const uint8_t *whist_study_digest(const whist_study *study); /* 32 bytes */
WHIST_API whist_bytes whist_study_text(const whist_study *study);      /* the file as read */
WHIST_API const whist_schema *whist_study_schema(const whist_study *study);
/* Owned by the study. Its seed may be replaced for a simulation (whist_study_set_seed). */
WHIST_API const whist_fed_plan *whist_study_plan(const whist_study *study);
WHIST_API void whist_study_set_seed(whist_study *study, uint64_t seed);
/* The file that site i has in the data folder, or NULL where the schema says otherwise. */
WHIST_API const char *whist_study_site_file(const whist_study *study, size_t i);
/* Index of the site with that name or that pin (32 bytes); WHIST_E_ARG with the nearest name. */
WHIST_API WHIST_MUST_CHECK whist_status whist_study_site_find(const whist_study *study, const char *name, size_t *out);
WHIST_API WHIST_MUST_CHECK whist_status whist_study_site_find_pin(const whist_study *study, const uint8_t pin[32],
                                                                  size_t *out);
/* The study's text with the pins of the coordinator, the sites and the parties put in: a new study file.
 * coordinator: 32 bytes; sites[i] for site i, parties[i] for party i. The result ends with a 0 and is freed by
 * whist_text_free. */
WHIST_API WHIST_MUST_CHECK whist_status whist_study_with_pins(char **out, const whist_study *study,
                                                              const uint8_t coordinator[32], const uint8_t (*sites)[32],
                                                              const uint8_t (*parties)[32]);
WHIST_API void whist_text_free(char *text);

/* All sites' data for a simulation: opens `folder` by the schema; out has plan->n_sites entries. */
WHIST_API WHIST_MUST_CHECK whist_status whist_study_open_data(const whist_study *study, const char *folder,
                                                              whist_dataset **out);

/* The study's section `training`; false where it has none. What *out points to is the study's. */
WHIST_API bool whist_study_training(const whist_study *study, whist_training *out);
/* The study's section `episodes`; false where it has none. */
WHIST_API bool whist_study_episodes(const whist_study *study, whist_episodes *out);
/* The rows of all sites as one data set, standardised by site, or, where the study pools, by all training rows:
 * *moments is then their mean and sd (2 × features, for whist_model_save; freed by whist_moments_free), else NULL. */
WHIST_API WHIST_MUST_CHECK whist_status whist_study_open_joined(const whist_study *study, const char *folder,
                                                                whist_dataset **out, float **moments);
WHIST_API void whist_moments_free(float *moments);

/* ---- Tables without a study -------------------------------------------------------------------- */

/* What the columns of a CSV file are, and their public bounds (docs/study.md): enough to ask questions of it. */
typedef struct whist_table whist_table;
WHIST_API WHIST_MUST_CHECK whist_status whist_table_load(whist_table **out, const char *path);
/* The same from memory; `name` stands for the path in error texts. */
WHIST_API WHIST_MUST_CHECK whist_status whist_table_parse(whist_table **out, whist_bytes text, const char *name);
WHIST_API void whist_table_free(whist_table *table);
/* Owned by the table; its `file` is for the caller's source to name. */
WHIST_API const whist_schema *whist_table_schema(const whist_table *table);

/* ---- Site policy and configurations ----------------------------------------------------------- */

/* What a site demands, whatever the coordinator says. */
typedef struct whist_policy {
    uint32_t min_sites; /* least number of sites in a study */
    uint32_t max_rounds;
    uint32_t min_metric_count; /* metrics over fewer rows stay at home */
    char learners[512];        /* allowed names, separated by ' '; "" = all */
    char protections[512];
    double max_epsilon; /* most that all studies together may spend of this site's data; 0: no limit of its own */
    double max_delta;   /* … at this delta, which no study's may pass */
} whist_policy;

typedef struct whist_site_config {
    char name[WHIST_NAME_SIZE];
    char coordinator[256];                              /* https://host:port */
    char proxy[256];                                    /* "" or http://host:port */
    char ca[512], certificate[512], key[512], crl[512]; /* PEM files; relative paths stand beside the configuration */
    char passphrase_file[512];
    char state[512];  /* folder */
    char data[512];   /* folder */
    char dataset[64]; /* name of the data in the privacy ledger: one budget, whatever studies call them */
    char file[256];   /* this site's file in it, where it differs from the study's; "" = the study's */
    struct {
        char study[WHIST_NAME_SIZE], local[WHIST_NAME_SIZE];
    } columns[256]; /* schema column → header name in the local file */
    size_t n_columns;
    uint64_t max_state_bytes; /* ceiling on what a study keeps in the state folder */
    whist_policy policy;
} whist_site_config;

typedef struct whist_coordinator_config {
    char listen[256];     /* address:port */
    char operations[256]; /* "" or loopback address:port of /healthz and /metrics */
    char ca[512], certificate[512], key[512], crl[512], passphrase_file[512];
    char state[512];
    char ledger[512]; /* folder of privacy ledgers, over all studies; "" = `ledger` beside the state folder */
    char metrics[512];
    uint64_t max_spool_bytes; /* ceiling on uploads waiting on disk */
} whist_coordinator_config;

/* Who looks and steers, and where. */
typedef struct whist_operator_config {
    char coordinator[256], proxy[256];
    char coordinator_key[80]; /* "sha256:…": the pin of the coordinator, as the study names it */
    char ca[512], certificate[512], key[512], crl[512], passphrase_file[512];
} whist_operator_config;

/* The ledger of somebody's data, for releases that are made in one place: a file of its own (`whist ledger new`), or
 * the configuration of a site, whose policy then has the budget. */
typedef struct whist_ledger_config {
    char owner[WHIST_NAME_SIZE];
    char dataset[64];
    char certificate[512], key[512], passphrase_file[512];
    char state[512];       /* folder: the ledger is STATE/ledger/DATASET */
    double epsilon, delta; /* what all releases together may spend; epsilon 0: nobody has said */
    uint64_t units;        /* a public bound on the number of records; 0: none is stated */
    char head[512];        /* file of its newest head; "" for a site's, whose peers keep it */
} whist_ledger_config;
WHIST_API WHIST_MUST_CHECK whist_status whist_ledger_config_load(whist_ledger_config *out, const char *path);

/* WHIST_E_IO, WHIST_E_FORMAT with place and remedy; out is untouched then. No file that it names is opened. */
WHIST_API WHIST_MUST_CHECK whist_status whist_site_config_load(whist_site_config *out, const char *path);
/* The same for a coordinator. */
WHIST_API WHIST_MUST_CHECK whist_status whist_coordinator_config_load(whist_coordinator_config *out, const char *path);
WHIST_API WHIST_MUST_CHECK whist_status whist_operator_config_load(whist_operator_config *out, const char *path);

/* WHIST_E_BUDGET … WHIST_E_AUTH: WHIST_E_AUTH with the rule that the study breaks. */
WHIST_API WHIST_MUST_CHECK whist_status whist_policy_check(const whist_policy *policy, const whist_study *study);

/* ---- The tables as text ------------------------------------------------------------------------ */
typedef void whist_text_fn(void *user, const char *text);
/* docs/study.md: every key, type, range, default and sentence. */
WHIST_API void whist_study_reference(whist_text_fn *emit, void *user);
/* One name a line: learners, strategies, protections, models, metrics, keys (for completion and lists). */
WHIST_API WHIST_MUST_CHECK whist_status whist_study_names(const char *kind, whist_text_fn *emit, void *user);

/* ---- Benches and self-tests --------------------------------------------------------------------- */
/* All tables of all rooms; NULL-terminated list of rows. */
WHIST_API const whist_bench *const *whist_benches(void);
typedef struct whist_selftest {
    const char *name, *doc;
    /* emit gets the lines of what was measured, where there is something to show; NULL: nobody wants to see it. */
    whist_status (*run)(whist_text_fn *emit, void *user);
} whist_selftest;
WHIST_API const whist_selftest *const *whist_selftests(void);
/* "avx512+openblas-Cooperlake": for benchmarks, checkpoints and model files. */
WHIST_API const char *whist_kernels(void);
WHIST_API const char *whist_machine(void); /* processor, cores */

#ifdef __cplusplus
}
#endif
#endif
