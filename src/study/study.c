/* study/study.c: a study file becomes the plan of a federation and the schema of its data. */
#include <whist/study.h>

#include "base/file.h"
#include "crypt/hash.h"
#include "data/block.h"
#include "fed/private.h"
#include "meta/scheme.h"
#include "study/study_object.h"

#include <math.h>
#include <string.h>

void whist_study_free(whist_study *study)
{
    if (!study) return;
    whist_model_free(study->model);
    wh_part_clear(&study->file.model);
    wh_part_clear(&study->file.learner);
    wh_part_clear(&study->file.strategy);
    wh_part_clear(&study->file.protection);
    wh_part_clear(&study->file.training.optimizer);
    wh_arena_clear(&study->arena);
    wh_buf_clear(&study->text);
    wh_free(study->path);
    wh_free(study);
}

/* ---- Reading ---- */

static whist_status make_model(whist_study *study)
{
    const wh_study_file *file = &study->file;
    whist_row_shape row;
    whist_status status = whist_schema_shape(&file->data.schema, &row);
    if (status != WHIST_OK) {
        const wh_yaml *data = wh_yaml_nearest(study->root, "data.columns");
        return wh_fail_context(status, "%s:%u:%u: ", study->path, data->line, data->column);
    }
    /* A few-shot head is for the ways of a task, however many classes the rows have. */
    bool by_ways = file->episodes.given && file->episodes.of.kind == WHIST_TASKS_CLASSES &&
                   file->data.schema.task == WHIST_TASK_CLASSES;
    const whist_model_shape shape = {
        .n_features = row.n_features,
        .n_outputs = by_ways ? file->episodes.of.ways : row.n_outputs,
        .target = (whist_target)file->data.schema.task,
        .channels = row.channels,
        .height = row.height,
        .width = row.width,
        .vocabulary = row.vocabulary,
        .n_targets = row.n_targets,
    };
    status = whist_model_new(&study->model, file->model.name, file->model.settings, &shape);
    /* Of training in one place a file may name no learner. */
    if (status == WHIST_OK && file->learner.class_)
        status = wh_scheme_extend(study->model, file->learner.class_, file->learner.settings);
    if (status != WHIST_OK) {
        const wh_yaml *model = wh_yaml_nearest(study->root, "model");
        return wh_fail_context(status, "%s:%u:%u: ", study->path, model->line, model->column);
    }
    study->plan.n_features = shape.n_features;
    return WHIST_OK;
}

/* Sites without whose updates a round fails. Those that take turns arrive one by one. */
static size_t min_sites(const wh_study_file *file)
{
    const whist_strategy_class *strategy = file->strategy.class_;
    if (file->sampling.min_sites) return file->sampling.min_sites;
    if (strategy->sequential) return 1;
    double drawn = ceil(file->sampling.fraction * (double)file->sites.n - 1e-9);
    return drawn < 1 ? 1 : (size_t)drawn;
}

static whist_privacy_mechanism mechanism_of(const wh_privacy_file *file, whist_privacy_noise noise)
{
    if (file->mechanism) return (whist_privacy_mechanism)(file->mechanism - 1);
    return noise == WHIST_NOISE_DISTRIBUTED ? WHIST_MECHANISM_DISCRETE_GAUSSIAN : WHIST_MECHANISM_GAUSSIAN;
}

/* Words were said (study_check.c). Sigma is found last: it needs the whole plan. */
static whist_status make_privacy(whist_study *study)
{
    const wh_privacy_file *file = &study->file.privacy;
    whist_fed_privacy *p = &study->privacy;
    *p = (whist_fed_privacy){
        .unit = (whist_dp_unit)(file->unit - 1),
        .relation = (whist_dp_relation)file->relation,
        .noise = (whist_privacy_noise)(file->noise - 1),
        .clip = file->clip,
        .sigma = file->sigma,
        .epsilon = file->epsilon,
        .delta = file->delta,
        .honest = file->honest,
        .colluders = file->colluders,
        .units = file->units,
        .adaptive = file->adaptive_clip.quantile > 0,
        .quantile = file->adaptive_clip.quantile,
        .rate = file->adaptive_clip.rate,
        .count_sigma = file->adaptive_clip.count_sigma,
        .plain_metrics = file->metrics == 1,
        .dataset = study->file.data.schema.set,
    };
    p->mechanism = mechanism_of(file, p->noise);
    study->plan.privacy = p;
    bool ours = p->unit == WHIST_DP_SITE || (p->unit == WHIST_DP_RECORD && study->plan.learner->records);
    bool find = ours && p->sigma <= 0 && p->clip > 0 && p->epsilon > 0 && p->delta > 0;
    if (!find || (p->noise == WHIST_NOISE_DISTRIBUTED && p->honest == 0)) return WHIST_OK;
    return wh_private_calibrate(&p->sigma, &study->plan);
}

static whist_status make_plan(whist_study *study)
{
    const wh_study_file *file = &study->file;
    whist_fed_plan *plan = &study->plan;
    wh_digest digest;
    wh_sha256_of(&digest, study->text.data, study->text.len);
    memcpy(plan->study, digest.bytes, sizeof plan->study);
    plan->name = file->name;
    plan->seed = file->seed;
    plan->model = study->model;
    plan->learner = file->learner.class_;
    plan->learner_settings = file->learner.settings;
    plan->strategy = file->strategy.class_;
    plan->strategy_settings = file->strategy.settings;
    plan->protection = file->protection.class_;
    plan->protection_settings = file->protection.settings;
    plan->bits = file->bits;
    plan->fraction = file->fraction;
    plan->rounds = file->rounds;
    plan->sample_fraction = file->sampling.fraction;
    plan->min_sites = min_sites(file);
    plan->round_timeout_ms = file->timeouts.round;
    plan->episodes = file->episodes.given ? &file->episodes.of : NULL;
    plan->metrics = (const char *const *)file->metrics.items;
    plan->n_metrics = file->metrics.n;
    plan->min_metric_count = file->min_metric_count;
    plan->evaluate_every = file->evaluate_every;
    plan->pooled_moments = file->data.schema.standardize == WHIST_STANDARDIZE_POOLED;
    plan->stop_early = file->early_stopping.patience > 0;
    plan->stop_patience = file->early_stopping.patience;
    memcpy(plan->coordinator.name, file->coordinator.name, sizeof plan->coordinator.name);
    memcpy(plan->coordinator.pin, file->coordinator.key.pin, sizeof plan->coordinator.pin);
    plan->coordinator.pinned = file->coordinator.key.pinned;
    plan->sites = file->sites.sites;
    plan->n_sites = file->sites.n;
    plan->parties = file->parties.sites;
    plan->n_parties = file->parties.n;
    whist_status status = file->privacy.unit ? make_privacy(study) : WHIST_OK;
    if (status == WHIST_OK) status = whist_fed_plan_check(plan);
    if (status == WHIST_OK) status = wh_study_check_learner(plan);
    if (status == WHIST_OK) return status;
    bool private_ = strncmp(whist_detail_get()->text, "privacy: ", 9) == 0;
    const wh_yaml *learner = wh_yaml_nearest(study->root, private_ ? "privacy" : "learner");
    return wh_fail_context(status, "%s:%u:%u: ", study->path, learner->line, learner->column);
}

/* A study that is trained in one place has its rows at one site. */
static whist_status one_site(whist_study *study)
{
    wh_site_list *sites = &study->file.sites;
    WH_TRY(WH_ARENA_NEW(&sites->sites, &study->arena, 1));
    WH_TRY(wh_arena_alloc((void **)(uintptr_t)&sites->files, &study->arena, 1, sizeof *sites->files));
    memcpy(sites->sites[0].name, "all", sizeof "all");
    sites->n = 1;
    return WHIST_OK;
}

static whist_status read_text(whist_study *study)
{
    const wh_reader reader = {.name = study->path, .arena = &study->arena};
    wh_yaml *root;
    WH_TRY(wh_yaml_read(&root, &study->arena, wh_buf_view(&study->text), study->path));
    study->root = root;
    /* The version first: in a file of another version every other complaint would mislead. */
    const wh_yaml *version = wh_yaml_get(root, "whist");
    uint32_t number;
    if (version) WH_TRY(wh_read_version(&number, wh_study_table, version, &reader));
    WH_TRY(wh_table_read(&study->file, wh_study_table, root, &reader));
    study->file.training.given = wh_yaml_get(root, "training") != NULL;
    study->file.episodes.given = wh_yaml_get(root, "episodes") != NULL;
    study->file.episodes.of.support_statistics = study->file.episodes.statistics == 1;
    if (study->file.training.given && study->file.sites.n == 0) WH_TRY(one_site(study));
    WH_TRY(wh_study_check_file(&study->file, root, &reader));
    WH_TRY(wh_study_schema_finish(&study->file.data, &study->arena));
    WH_TRY(make_model(study));
    return make_plan(study);
}

static whist_status new_study(whist_study **out, const char *name)
{
    WH_AUTO(whist_study_ptr) study = NULL;
    WH_TRY(WH_NEW(&study, 1));
    WH_TRY(wh_strdup(&study->path, name));
    *out = study;
    study = NULL;
    return WHIST_OK;
}

whist_status whist_study_parse(whist_study **out, whist_bytes text, const char *name)
{
    WH_ENSURE(out && (text.data || !text.len) && name, WHIST_E_ARG);
    WH_AUTO(whist_study_ptr) study = NULL;
    WH_TRY(new_study(&study, name));
    if (text.len > WH_YAML_MAX_BYTES) WH_FAIL(WHIST_E_RANGE, "%s: longer than %d bytes", name, WH_YAML_MAX_BYTES);
    WH_TRY(wh_buf_add(&study->text, text.data, text.len));
    WH_TRY(read_text(study));
    *out = study;
    study = NULL;
    return WHIST_OK;
}

whist_status whist_study_load(whist_study **out, const char *path)
{
    WH_ENSURE(out && path, WHIST_E_ARG);
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(wh_file_read(&text, path, WH_YAML_MAX_BYTES));
    return whist_study_parse(out, wh_buf_view(&text), path);
}

/* ---- Looking at it ---- */

const char *whist_study_name(const whist_study *study)
{
    return study->file.name;
}

const uint8_t *whist_study_digest(const whist_study *study)
{
    return study->plan.study;
}

whist_bytes whist_study_text(const whist_study *study)
{
    return wh_buf_view(&study->text);
}

const whist_schema *whist_study_schema(const whist_study *study)
{
    return &study->file.data.schema;
}

const whist_fed_plan *whist_study_plan(const whist_study *study)
{
    return &study->plan;
}

void whist_study_set_seed(whist_study *study, uint64_t seed)
{
    study->plan.seed = seed;
}

const char *whist_study_site_file(const whist_study *study, size_t i)
{
    const wh_study_file *file = &study->file;
    if (file->data.schema.partition != WHIST_PARTITION_FILE || i >= file->sites.n) return NULL;
    if (file->sites.files[i]) return file->sites.files[i];
    return *file->data.schema.file ? file->data.schema.file : NULL;
}

whist_status whist_study_site_find(const whist_study *study, const char *name, size_t *out)
{
    WH_ENSURE(study && name && out, WHIST_E_ARG);
    const char *near = NULL;
    unsigned best = 4;
    for (size_t i = 0; i < study->plan.n_sites; i++) {
        unsigned distance = wh_edit_distance(study->plan.sites[i].name, name);
        if (distance == 0) {
            *out = i;
            return WHIST_OK;
        }
        if (distance < best) best = distance, near = study->plan.sites[i].name;
    }
    WH_FAIL(WHIST_E_ARG, "study %s has no site '%.64s'%s%s%s", study->file.name, name, near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
}

whist_status whist_study_site_find_pin(const whist_study *study, const uint8_t pin[32], size_t *out)
{
    WH_ENSURE(study && pin && out, WHIST_E_ARG);
    for (size_t i = 0; i < study->plan.n_sites; i++)
        if (study->plan.sites[i].pinned && memcmp(study->plan.sites[i].pin, pin, 32) == 0) {
            *out = i;
            return WHIST_OK;
        }
    char hex[65];
    wh_hex(hex, pin, 32);
    WH_FAIL(WHIST_E_ARG, "study %s names no site with the key sha256:%s", study->file.name, hex);
}

whist_status whist_study_open_data(const whist_study *study, const char *folder, whist_dataset **out)
{
    WH_ENSURE(study && folder && out, WHIST_E_ARG);
    const whist_fed_plan *plan = &study->plan;
    WH_AUTO(wh_owned) owned = NULL;
    WH_TRY(wh_alloc(&owned, plan->n_sites, 2 * sizeof(char *)));
    const char **names = owned;
    const char **files = names + plan->n_sites;
    for (size_t i = 0; i < plan->n_sites; i++) {
        names[i] = plan->sites[i].name;
        files[i] = whist_study_site_file(study, i);
    }
    bool own = study->file.data.schema.partition == WHIST_PARTITION_FILE && plan->n_sites && files[0];
    const whist_data_source source = {.folder = folder, .n_sites = plan->n_sites, .seed = plan->seed};
    return whist_dataset_open_all(out, &study->file.data.schema, &source, own ? files : NULL, names);
}

/* ---- Training in one place ---- */

bool whist_study_training(const whist_study *study, whist_training *out)
{
    const wh_study_file *file = &study->file;
    if (!file->training.given) return false;
    *out = (whist_training){
        .optimizer = file->training.optimizer.name,
        .settings = file->training.optimizer.settings,
        .epochs = file->training.epochs,
        .steps = file->training.steps,
        .batch = file->training.batch,
        .evaluate_every = file->training.evaluate_every,
    };
    return true;
}

bool whist_study_episodes(const whist_study *study, whist_episodes *out)
{
    if (!study->file.episodes.given) return false;
    *out = study->file.episodes.of;
    return true;
}

/* Mean and sample sd of all training rows, as the sites' sums would give them. */
static whist_status pooled_moments(float *moments, whist_dataset *data)
{
    const size_t d = whist_dataset_features(data);
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, 4 * d + 1, sizeof(double)));
    double *sums = memory, *mean = sums + 2 * d + 1, *sd = mean + d;
    whist_dataset_moments(data, sums);
    for (size_t j = 0; j < d; j++) {
        double n = sums[0], off = sums[1 + d + j] - sums[1 + j] * sums[1 + j] / n;
        moments[j] = (float)(sums[1 + j] / n);
        moments[d + j] = n > 1 && off > 0 ? (float)sqrt(off / (n - 1)) : 0;
        mean[j] = (double)moments[j], sd[j] = (double)moments[d + j]; /* what a model file holds */
    }
    return whist_dataset_standardize(data, mean, sd);
}

static whist_status join(whist_dataset **out, float **moments, const whist_study *study, whist_dataset *const *parts)
{
    WH_AUTO(whist_dataset_ptr) data = NULL;
    WH_AUTO(wh_owned) numbers = NULL;
    WH_TRY(whist_dataset_concat(&data, parts, study->plan.n_sites));
    if (study->plan.pooled_moments) {
        WH_TRY(wh_alloc(&numbers, 2 * whist_dataset_features(data), sizeof(float)));
        WH_TRY(pooled_moments(numbers, data));
    }
    *out = data;
    *moments = numbers;
    data = NULL;
    numbers = NULL;
    return WHIST_OK;
}

whist_status whist_study_open_joined(const whist_study *study, const char *folder, whist_dataset **out, float **moments)
{
    WH_ENSURE(study && folder && out && moments, WHIST_E_ARG);
    const size_t n = study->plan.n_sites;
    WH_AUTO(wh_owned) owned = NULL;
    WH_TRY(wh_alloc(&owned, n, sizeof(whist_dataset *)));
    whist_dataset **parts = owned;
    WH_TRY(whist_study_open_data(study, folder, parts));
    whist_status status = join(out, moments, study, parts);
    for (size_t i = 0; i < n; i++) whist_dataset_free(parts[i]);
    return status;
}

void whist_moments_free(float *moments)
{
    wh_free(moments);
}
