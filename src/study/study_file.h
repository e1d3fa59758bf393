/* study/study_file.h: a study file as its tables read it, before anything is checked across keys. */
#ifndef WH_STUDY_STUDY_FILE_H
#define WH_STUDY_STUDY_FILE_H

#include "study/table.h"

#include <whist/fed.h>
#include <whist/meta.h>

enum { WH_STUDY_VERSION = 1 };

typedef struct wh_optional_real {
    bool has;
    double value;
} wh_optional_real;

typedef struct wh_column_file {
    whist_column column; /* name, type, flags */
    wh_texts levels;
    wh_optional_real threshold, fill, low, high;
} wh_column_file;

typedef struct wh_data_file {
    whist_schema schema; /* what needs no conversion */
    char delimiter[8];
    uint32_t skip_lines, shards, height, width, groups, classes, window, step;
    wh_texts missing;
    wh_items columns; /* wh_column_file */
} wh_data_file;

typedef struct wh_site_list {
    whist_fed_site *sites;
    const char **files; /* entries may be NULL */
    size_t n;
} wh_site_list;

/* What the site tables fill. */
typedef struct wh_site_file {
    char name[WHIST_NAME_SIZE];
    char file[128];
    double weight;
    struct {
        uint8_t pin[32];
        bool pinned;
    } key;
} wh_site_file;
typedef struct wh_site_count {
    uint32_t count;
    char prefix[32];
} wh_site_count;

/* Choices as they stand in the table: 0 is "left out" where a word must be said. */
typedef struct wh_privacy_file {
    int unit, relation, noise, mechanism, metrics;
    double clip, sigma, epsilon, delta;
    uint64_t units;
    uint32_t honest, colluders;
    struct {
        double quantile, rate, count_sigma; /* quantile 0: off */
    } adaptive_clip;
} wh_privacy_file;

typedef struct wh_study_file {
    uint32_t version;
    char name[WHIST_NAME_SIZE];
    char title[256];
    uint64_t seed;
    wh_data_file data;
    wh_part model, learner, strategy, protection;
    struct {
        bool given; /* the study has the section */
        wh_part optimizer;
        uint64_t epochs, steps, batch, evaluate_every;
    } training;
    struct {
        bool given; /* the study has the section */
        whist_episodes of;
        int statistics; /* batch, support */
    } episodes;
    uint32_t bits, fraction;
    uint32_t rounds;
    struct {
        double fraction;
        uint32_t min_sites; /* 0: all that were drawn */
    } sampling;
    struct {
        uint64_t round; /* ms */
    } timeouts;
    wh_texts metrics;
    uint32_t min_metric_count, evaluate_every;
    struct {
        uint32_t patience; /* 0: off */
    } early_stopping;
    wh_privacy_file privacy;
    wh_site_file coordinator; /* no file */
    wh_site_list sites, parties;
} wh_study_file;

extern const wh_key wh_study_table[];
extern const wh_key wh_study_site_table[];  /* one entry of `sites` */
extern const wh_key wh_study_count_table[]; /* sites: {count, prefix} */

/* A table without a study (study/table_file.c): its columns, to ask questions of. */
typedef struct wh_table_file {
    uint32_t version;
    wh_data_file data;
} wh_table_file;
extern const wh_key wh_table_file_table[];

/* Readers of OTHER rows. */
wh_key_read_fn wh_read_version, wh_read_optional_real, wh_read_class_weights, wh_read_alphabet, wh_read_sites,
    wh_read_parties, wh_read_pin;

/* WHIST_E_UNSUPPORTED or WHIST_E_FORMAT with place, reason and the change to make, where keys that are good
 * alone do not fit together. */
WH_MUST_CHECK whist_status wh_study_check_file(const wh_study_file *file, const wh_yaml *root, const wh_reader *reader);

/* Moves what the columns hold into file->data.schema. */
WH_MUST_CHECK whist_status wh_study_schema_finish(wh_data_file *data, wh_arena *arena);

#endif
