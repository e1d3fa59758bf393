/* study/study_check.c: keys that are good alone but do not fit together, refused with the place, the
 * reason and the change to make. What concerns learner, strategy and protection among each other is
 * whist_fed_plan_check; what concerns columns is whist_schema_features. */
#include "base/settings.h"
#include "meta/dp_learners.h"
#include "meta/scheme.h"
#include "study/study_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct place {
    const wh_yaml *root;
    const wh_reader *reader;
} place;

/* Refuses at the value of a dotted path, or as near to it as the file goes. */
#define REFUSE(p, path, ...)                                                                                           \
    WH_READER_FAIL(WHIST_E_UNSUPPORTED, (p)->reader, wh_yaml_nearest((p)->root, (path)), __VA_ARGS__)

/* Does "section.key" stand in the file? */
static bool stands(const place *p, const char *path)
{
    const char *dot = strchr(path, '.');
    const wh_yaml *node = wh_yaml_nearest(p->root, path);
    return node != p->root && node->key && strcmp(node->key, dot + 1) == 0;
}

static const char *task_name(whist_task task)
{
    static const char *const names[] = {"regression", "binary", "classes", "survival"};
    return names[task];
}

/* "binary, classes" of a set of bits. */
static const char *task_names(char out[64], unsigned tasks)
{
    out[0] = 0;
    size_t at = 0;
    for (unsigned t = 0; t < 4; t++)
        if (tasks & (1u << t))
            at += (size_t)snprintf(out + at, 64 - at, "%s%s", at ? ", " : "", task_name((whist_task)t));
    return out;
}

/* Does a model take the rows that the data make? */
static bool takes_rows(const whist_model_class *model, const whist_schema *schema, bool images)
{
    if (schema->format == WHIST_DATA_TEXT) return model->rows == WHIST_ROWS_TOKENS;
    return model->rows == WHIST_ROWS_NUMBERS || (images && model->rows == WHIST_ROWS_IMAGES);
}

static whist_status check_model(const wh_study_file *file, const place *p)
{
    const whist_model_class *model = file->model.class_;
    const whist_schema *schema = &file->data.schema;
    const bool images = file->data.columns.n == 0;
    whist_task task = schema->task;
    if ((model->targets & (1u << task)) && takes_rows(model, schema, images)) return WHIST_OK;
    char fits[256] = "", tasks[64];
    size_t at = 0;
    for (const whist_model_class *m = whist_model_classes(); m->name && at < sizeof fits - 40; m++)
        if ((m->targets & (1u << task)) && takes_rows(m, schema, images))
            at += (size_t)snprintf(fits + at, 40, "%s%s", at ? ", " : "", m->name);
    if (model->targets & (1u << task)) {
        static const char *const rows[] = {"rows of numbers", "images", "tokens of a text"};
        REFUSE(p, "model.name", "model %s takes %s, and the data are %s; for them take one of: %s", model->name,
               rows[model->rows],
               schema->format == WHIST_DATA_TEXT ? rows[2]
               : images                          ? rows[1]
                                                 : "a table",
               fits);
    }
    REFUSE(p, "model.name", "model %s cannot learn the task %s (it learns: %s); for this task take one of: %s",
           model->name, task_name(task), task_names(tasks, model->targets), fits);
}

static whist_status check_metrics(const wh_study_file *file, const place *p)
{
    whist_task task = file->data.schema.task;
    char path[32], fits[256] = "", all[256] = "";
    size_t at = 0, end = 0;
    for (const whist_metric *m = whist_metrics(); m->name && at < sizeof fits - 40 && end < sizeof all - 40; m++) {
        if (m->targets & (1u << task)) at += (size_t)snprintf(fits + at, 40, "%s%s", at ? ", " : "", m->name);
        end += (size_t)snprintf(all + end, 40, "%s%s", end ? "|" : "", m->name);
    }
    for (size_t i = 0; i < file->metrics.n; i++) {
        const char *name = file->metrics.items[i];
        const whist_metric *metric = whist_metric_find(name);
        (void)snprintf(path, sizeof path, "metrics.%zu", i);
        char near[64];
        if (!metric) {
            wh_nearest_choice(near, all, name);
            WH_READER_FAIL(WHIST_E_FORMAT, p->reader, wh_yaml_nearest(p->root, path),
                           "unknown metric '%.40s'%s%s%s For the task %s: %s", name, *near ? "; did you mean '" : ".",
                           near, *near ? "'?" : "", task_name(task), fits);
        }
        if (!(metric->targets & (1u << task)))
            REFUSE(p, path, "metric %s does not fit the task %s; for this task take from: %s", name, task_name(task),
                   fits);
    }
    return WHIST_OK;
}

static bool can_standardize(const wh_data_file *data)
{
    const wh_column_file *columns = data->columns.items;
    for (size_t i = 0; i < data->columns.n; i++) {
        if (columns[i].column.type == WHIST_COLUMN_REAL && columns[i].column.standardize) return true;
        if (columns[i].column.type == WHIST_COLUMN_CATEGORY && data->schema.standardize_one_hot) return true;
    }
    return data->columns.n == 0; /* images */
}

static whist_status check_columns(const wh_study_file *file, const place *p)
{
    const wh_column_file *columns = file->data.columns.items;
    char path[48];
    for (size_t i = 0; i < file->data.columns.n; i++) {
        const whist_column *column = &columns[i].column;
        (void)snprintf(path, sizeof path, "data.columns.%zu", i);
        if (columns[i].threshold.has && column->type != WHIST_COLUMN_TARGET)
            REFUSE(p, path, "column %s: threshold makes a target 0 or 1; only the column of type target has one",
                   column->name);
        if (columns[i].fill.has && column->type != WHIST_COLUMN_REAL)
            REFUSE(p, path, "column %s: fill stands in for numbers; only a column of type real has one", column->name);
        if ((column->center != 0 || column->scale != 1) && column->type != WHIST_COLUMN_REAL)
            REFUSE(p, path, "column %s: center and scale are for columns of type real", column->name);
        if (column->drop_first && column->type != WHIST_COLUMN_CATEGORY)
            REFUSE(p, path, "column %s: drop_first is for columns of type category", column->name);
    }
    return WHIST_OK;
}

static whist_status check_data(const wh_study_file *file, const place *p)
{
    const whist_schema *schema = &file->data.schema;
    WH_TRY(check_columns(file, p));
    if (schema->standardize == WHIST_STANDARDIZE_POOLED && !can_standardize(&file->data))
        REFUSE(p, "data.standardize",
               "pooled standardisation needs a column of type real: take none, or a real column");
    if (schema->format == WHIST_DATA_TEXT && schema->partition != WHIST_PARTITION_FILE && !*schema->file)
        REFUSE(p, "data", "which text? name it in data.file");
    if (schema->format == WHIST_DATA_CSV && file->data.columns.n == 0)
        REFUSE(p, "data", "a CSV table needs columns: name and type of each");
    if (*schema->split_file && schema->test_fraction > 0)
        REFUSE(p, "data.split.test_fraction", "the split file names the test rows already: leave out test_fraction");
    if (schema->partition == WHIST_PARTITION_SPLIT && !*schema->split_file)
        REFUSE(p, "data.partition.kind",
               "partition split takes the sites from a split file: name it in data.split.file");
    if (file->data.schema.n_class_weights && schema->task != WHIST_TASK_BINARY && schema->task != WHIST_TASK_CLASSES)
        REFUSE(p, "data.class_weights", "class weights need classes; the task is %s", task_name(schema->task));
    if (schema->class_weights_balanced && schema->task != WHIST_TASK_BINARY && schema->task != WHIST_TASK_CLASSES)
        REFUSE(p, "data.class_weights", "class weights need classes; the task is %s", task_name(schema->task));
    return WHIST_OK;
}

static whist_status check_site_files(const wh_study_file *file, const place *p)
{
    const whist_schema *schema = &file->data.schema;
    char path[32];
    for (size_t i = 0; i < file->sites.n; i++) {
        (void)snprintf(path, sizeof path, "sites.%zu", i);
        if (file->sites.files[i] && schema->partition != WHIST_PARTITION_FILE)
            REFUSE(p, path,
                   "site %s names a file, but data.partition says how one shared file is dealt out: leave "
                   "out file, or take partition kind file",
                   file->sites.sites[i].name);
        bool one_file = schema->format == WHIST_DATA_CSV || schema->format == WHIST_DATA_TEXT;
        bool needs = schema->partition == WHIST_PARTITION_FILE && one_file && !*schema->file;
        if (needs && !file->sites.files[i])
            REFUSE(p, path, "site %s has no file: name it here, or one name for all sites in data.file",
                   file->sites.sites[i].name);
    }
    return WHIST_OK;
}

static whist_status check_sites(const wh_study_file *file, const place *p)
{
    size_t n = file->sites.n;
    if (file->sampling.min_sites > n)
        REFUSE(p, "sampling.min_sites", "min_sites is %u, but the study has %zu sites: lower it, or add sites",
               file->sampling.min_sites, n);
    for (size_t i = 0; i < file->parties.n; i++)
        for (size_t j = 0; j < n; j++)
            if (strcmp(file->parties.sites[i].name, file->sites.sites[j].name) == 0)
                REFUSE(p, "parties", "'%s' is a site and a party: a party must hold no data; take another name",
                       file->parties.sites[i].name);
    return check_site_files(file, p);
}

/* One bit is the sign; a site's value times its weight must fit in what the number of sites leaves. */
static whist_status check_fixed(const wh_study_file *file, const place *p)
{
    double room = (double)file->bits - 1 - file->fraction - ceil(log2((double)file->sites.n));
    if (room < 1)
        REFUSE(p, "protection.bits",
               "bits: %u with fraction: %u leaves no room for the sum of %zu sites: raise bits (up to 64) or lower "
               "fraction",
               file->bits, file->fraction, file->sites.n);
    return WHIST_OK;
}

static bool has_person(const wh_study_file *file)
{
    const wh_column_file *columns = file->data.columns.items;
    for (size_t i = 0; i < file->data.columns.n; i++)
        if (columns[i].column.type == WHIST_COLUMN_PERSON) return true;
    return false;
}

/* The rule of dp-meta: one with tasks that persons have; and no option of another rule, which would do nothing. */
static whist_status check_rule(const wh_study_file *file, const place *p)
{
    WH_AUTO(whist_settings_ptr) unused = NULL;
    const whist_learner_class *rule, *learner = file->learner.class_;
    const whist_settings *settings = file->learner.settings;
    char path[64];
    if (learner != &wh_learner_dp_meta) return WHIST_OK;
    whist_status status = wh_scheme_rule(&rule, &unused, learner, settings);
    if (status != WHIST_OK) {
        const wh_yaml *at = wh_yaml_nearest(p->root, "learner.rule");
        return wh_fail_context(status, "%s:%u:%u: learner.rule: ", p->reader->name, at->line, at->column);
    }
    for (const whist_option *o = learner->options; o->name; o++) {
        (void)snprintf(path, sizeof path, "learner.%s", o->name);
        if (wh_meta_rule_ignores(settings, o->name) && stands(p, path))
            REFUSE(p, path, "%s is for another rule and does nothing with rule %s: leave it out", path, rule->name);
    }
    return WHIST_OK;
}

/* A private learner hides what its gradients tell of a row. What else is made of the rows is not hidden by it. */
static whist_status check_private(const wh_study_file *file, const place *p)
{
    const whist_learner_class *learner = file->learner.class_;
    const whist_schema *schema = &file->data.schema;
    if (!learner || !(learner->spends || learner->records)) return WHIST_OK;
    const char *name = learner->name;
    if (schema->standardize == WHIST_STANDARDIZE_SITE)
        REFUSE(
            p, "data.standardize",
            "learner %s does not hide the mean and sd that sites standardise by: take none, and give columns a center "
            "and a scale",
            name);
    if (schema->standardize == WHIST_STANDARDIZE_POOLED)
        REFUSE(
            p, "data.standardize",
            "learner %s does not hide the sums of pooled standardisation: take none, and give columns a center and a "
            "scale",
            name);
    if (schema->rows_with_missing == WHIST_MISSING_MEAN)
        REFUSE(p, "data.rows_with_missing",
               "learner %s does not hide the means that are filled in: take drop, or give "
               "columns a fill",
               name);
    if (schema->class_weights_balanced)
        REFUSE(p, "data.class_weights", "learner %s does not hide the counts behind balanced weights: give numbers",
               name);
    if (learner->unit == WHIST_DP_TASK && !has_person(file))
        REFUSE(
            p, "data.columns",
            "learner %s hides tasks, and a task is a person: say by a column of type person whose row is whose; tasks "
            "that are mixed anew from the same rows would share them",
            name);
    WH_TRY(check_rule(file, p));
    if (file->early_stopping.patience > 0)
        REFUSE(p, "early_stopping", "learner %s does not hide the validation rows that early stopping looks at", name);
    return WHIST_OK;
}

static whist_status check_parts(const wh_study_file *file, const place *p)
{
    const whist_strategy_class *strategy = file->strategy.class_;
    const whist_protection_class *protection = file->protection.class_;
    if (strategy->sequential && !protection->shows_updates)
        REFUSE(p, "protection",
               "strategy %s hands every site's update on by its nature, which protection %s is there to prevent: take "
               "protection none, or another strategy",
               strategy->name, protection->name);
    if (file->early_stopping.patience && file->metrics.n == 0)
        REFUSE(p, "early_stopping", "early stopping watches the first metric: name one in metrics");
    const whist_schema *schema = &file->data.schema;
    if (file->early_stopping.patience && schema->validation_fraction <= 0 && !*schema->fold_validation)
        REFUSE(p, "early_stopping",
               "early stopping needs validation rows: set data.split.validation_fraction or data.split.validation");
    return WHIST_OK;
}

/* Words that have to be said; what the numbers mean together is the plan's affair. */
static whist_status check_privacy(const wh_study_file *file, const place *p)
{
    const wh_privacy_file *privacy = &file->privacy;
    if (!wh_yaml_get(p->root, "privacy")) return WHIST_OK;
    bool site = privacy->unit == WHIST_DP_SITE + 1;
    if (wh_yaml_get(p->root, "episodes") && privacy->unit && !site)
        REFUSE(p, "privacy",
               "privacy: episodes mix the same rows anew into one task after another: a row is in many of them, and no "
               "promise about tasks would be kept. Leave out episodes, and take dp-meta (tasks are persons), dp-fomaml "
               "or dp-reptile (records); or promise something about sites");
    if (!privacy->unit)
        REFUSE(p, "privacy",
               "privacy: unit is missing: say whom the promise is about (record, task or site); an epsilon without it "
               "means "
               "nothing");
    if (!privacy->noise)
        REFUSE(
            p, "privacy",
            "privacy: noise is missing: say where it is added, and so who is trusted (local, distributed or central)");
    if (!(privacy->epsilon > 0) && stands(p, "privacy.epsilon"))
        REFUSE(p, "privacy.epsilon", "privacy: epsilon must be above 0: no release at all is within a budget of 0");
    if (!(privacy->delta > 0) && stands(p, "privacy.delta"))
        REFUSE(p, "privacy.delta",
               "privacy: delta must be above 0: Gaussian noise keeps no promise without a probability that it may fail "
               "by, such as 1e-5");
    if (!(privacy->epsilon > 0))
        REFUSE(p, "privacy", "privacy: epsilon is missing: the budget of the data set, over all studies on it");
    if (!(privacy->delta > 0))
        REFUSE(p, "privacy", "privacy: delta is missing: the probability that the promise may fail by, such as 1e-5");
    return WHIST_OK;
}

/* What few-shot tasks leave without a meaning, or cannot do without. */
static whist_status check_episodes(const wh_study_file *file, const place *p)
{
    static const struct {
        const char *path, *why;
    } idle[] = {
        {"training.batch", "a training step is learner.tasks tasks of episodes.shots and queries"},
        {"training.epochs", "tasks have no end: set training.steps"},
        {"learner.support", "episodes.shots says how many support rows a task has"},
        {"learner.query", "episodes.queries says how many query rows a task has"},
        {"learner.evaluate", "over episodes a learner is measured after its inner steps"},
    };
    const whist_episodes *e = &file->episodes.of;
    const whist_learner_class *learner = file->learner.class_;
    wh_scheme_kind kind = wh_scheme_kind_of(learner);
    if (!file->episodes.given && kind != WH_SCHEME_NONE && kind != WH_SCHEME_CHAIN)
        REFUSE(p, "learner", "learner %s learns over few-shot tasks: say what they are in a section 'episodes'",
               learner->name);
    if (!file->episodes.given) return WHIST_OK;
    if (kind == WH_SCHEME_NONE)
        REFUSE(p, "learner",
               "episodes are for a meta-learner, and %s is none: name one in 'learner', such as protonet or "
               "maml",
               learner->name);
    for (size_t i = 0; i < WH_COUNT(idle); i++)
        if (stands(p, idle[i].path))
            REFUSE(p, idle[i].path, "%s does nothing with episodes: %s", idle[i].path, idle[i].why);
    if (file->training.given && !wh_yaml_get(p->root, "rounds") && stands(p, "learner.lr"))
        REFUSE(p, "learner.lr",
               "learner.lr is the step of a round, and this study has none: training.optimizer.lr is that "
               "of training in one place");
    if (e->kind == WHIST_TASKS_CLASSES && e->ways == 0)
        REFUSE(p, "episodes", "episodes: ways is missing: how many classes a task has, at least 2");
    if (e->kind == WHIST_TASKS_CLASSES && e->ways == 1)
        REFUSE(p, "episodes.ways", "episodes: a task of one way has nothing to tell apart: at least 2");
    if (e->kind != WHIST_TASKS_CLASSES && (e->ways || e->turns > 1))
        REFUSE(p, "episodes", "episodes: ways and turns are for tasks of classes");
    if (e->turns > 1 && file->data.schema.image_features != WHIST_FEATURES_PIXELS)
        REFUSE(p, "episodes",
               "episodes: turns turn pixels, and the rows are other features of images: leave one of the "
               "two out");
    if (e->kind != WHIST_TASKS_CLASSES && wh_scheme_is_metric(kind))
        REFUSE(p, "learner", "learner %s compares classes: take tasks: classes, or another learner", learner->name);
    return WHIST_OK;
}

/* What a federation cannot do without. */
static whist_status check_complete(const wh_study_file *file, const place *p)
{
    static const char *const needed[] = {"learner", "strategy", "rounds", "sites"};
    for (size_t i = 0; i < WH_COUNT(needed); i++) {
        if (file->training.given || wh_yaml_get(p->root, needed[i])) continue;
        const wh_key *key = wh_study_table;
        while (strcmp(key->name, needed[i]) != 0) key++;
        WH_READER_FAIL(WHIST_E_FORMAT, p->reader, p->root, "the key '%s' is missing: %s", needed[i], key->doc);
    }
    return WHIST_OK;
}

whist_status wh_study_check_file(const wh_study_file *file, const wh_yaml *root, const wh_reader *reader)
{
    const place p = {root, reader};
    WH_TRY(check_complete(file, &p));
    WH_TRY(check_data(file, &p));
    WH_TRY(check_model(file, &p));
    WH_TRY(check_metrics(file, &p));
    WH_TRY(check_sites(file, &p));
    WH_TRY(check_parts(file, &p));
    WH_TRY(check_private(file, &p));
    WH_TRY(check_privacy(file, &p));
    WH_TRY(check_episodes(file, &p));
    return check_fixed(file, &p);
}
