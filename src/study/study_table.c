/* study/study_table.c: every key of a study file. The sentences here are docs/study.md. */
#include "study/registry.h"
#include "study/study_file.h"

#define AT(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)0)->field)
#define COLUMN(field) AT(wh_column_file, field)
#define DATA(field) AT(wh_data_file, field)
#define SCHEMA(field) AT(wh_data_file, schema.field)
#define STUDY(field) AT(wh_study_file, field)

static const wh_key column_table[] = {
    {"name", WH_KEY_TEXT, COLUMN(column.name), NULL, .doc = "Name of the column."},
    {"type", WH_KEY_CHOICE, COLUMN(column.type), NULL, .choices = "ignore|real|category|target|event|site|row|person",
     .doc =
         "What the column is: `target` is what the model predicts (for survival: the time), `event` says "
         "whether the event was seen (1) or censored (0), `site` names the owner of the row, `row` is the "
         "row's id for a split file, `person` says by any text whose row it is: the rows of one person are one task."},
    {"levels", WH_KEY_TEXTS, COLUMN(levels), "", 1, 4096, .type = "list of texts",
     .doc = "Allowed values, in order: of a category, or the class names of a target. They are fixed here "
            "because finding them in the data would leak."},
    {"drop_first", WH_KEY_BOOL, COLUMN(column.drop_first), "false",
     .doc = "The first level of a category is the reference and gets no feature."},
    {"threshold", WH_KEY_OTHER, COLUMN(threshold), "", -1e300, 1e300, .read = wh_read_optional_real, .type = "number",
     .doc = "A binary target is 1 where the value is greater, else 0."},
    {"fill", WH_KEY_OTHER, COLUMN(fill), "", -1e300, 1e300, .read = wh_read_optional_real, .type = "number",
     .doc = "Stands in for a missing value of a real column."},
    {"center", WH_KEY_REAL, COLUMN(column.center), "0", -1e300, 1e300,
     .doc = "A real column becomes (x - center) / scale, by these two numbers, which everybody may know: what private "
            "learners take instead of standardisation."},
    {"scale", WH_KEY_REAL, COLUMN(column.scale), "1", 1e-300, 1e300, .doc = "See center."},
    {"low", WH_KEY_OTHER, COLUMN(low), "", -1e300, 1e300, .read = wh_read_optional_real, .type = "number",
     .doc = "With high: public bounds of a real column, known without the data. `whist dp query` takes them where a "
            "question names none."},
    {"high", WH_KEY_OTHER, COLUMN(high), "", -1e300, 1e300, .read = wh_read_optional_real, .type = "number",
     .doc = "See low."},
    {"standardize", WH_KEY_BOOL, COLUMN(column.standardize), "true",
     .doc = "Whether a real column takes part in standardisation."},
    {0},
};

static const wh_key split_table[] = {
    {"file", WH_KEY_TEXT, SCHEMA(split_file), "", .rule = wh_rule_file,
     .doc = "CSV file with header in the data folder that says which fold a row belongs to. Rows that it "
            "does not name are left out."},
    {"site", WH_KEY_TEXT, SCHEMA(split_site), "",
     .doc = "Its column with the site's name; leave it out where each site has its own split file."},
    {"row", WH_KEY_TEXT, SCHEMA(split_row), "row",
     .doc = "Its column with the row's line number (from 1) or, where the data have a column of type `row`, its id."},
    {"classes", WH_KEY_BOOL, SCHEMA(split_classes), "false",
     .doc = "The `row` column names classes instead of rows, and all rows of a class share its fold: episodes are then "
            "tested on classes that training never saw."},
    {"fold", WH_KEY_TEXT, SCHEMA(split_fold), "fold", .doc = "Its column with the name of the fold."},
    {"train", WH_KEY_TEXT, SCHEMA(fold_train), "train",
     .doc = "Name of the training fold; `{site}` and `{index}` stand for the site's name and number (from 0)."},
    {"test", WH_KEY_TEXT, SCHEMA(fold_test), "test", .doc = "Name of the test fold."},
    {"validation", WH_KEY_TEXT, SCHEMA(fold_validation), "", .doc = "Name of the validation fold, where there is one."},
    {"test_fraction", WH_KEY_REAL, SCHEMA(test_fraction), "0", 0, 0.95,
     .doc = "Without a split file: the part of the rows that is for testing, drawn from the seed."},
    {"validation_fraction", WH_KEY_REAL, SCHEMA(validation_fraction), "0", 0, 0.95,
     .doc = "The part of the training rows that is for validation, drawn from the seed."},
    {0},
};

static const wh_key partition_table[] = {
    {"kind", WH_KEY_CHOICE, SCHEMA(partition), "file", .choices = "file|column|iid|shards|split",
     .doc = "Which rows a site has: its own `file`; those that a `column` of type site gives it; in simulation a "
            "shuffled even share (`iid`) or `shards` of the rows sorted by target; or the fold that the `split` "
            "file gives it."},
    {"shards", WH_KEY_INT, DATA(shards), "2", 1, 1000, .doc = "Pieces that each site gets, for `shards`."},
    {0},
};

static const wh_key images_table[] = {
    {"train_images", WH_KEY_TEXT, SCHEMA(train_images), "", .rule = wh_rule_file, .doc = "IDX file, .gz or plain."},
    {"train_labels", WH_KEY_TEXT, SCHEMA(train_labels), "", .rule = wh_rule_file, .doc = "IDX file."},
    {"test_images", WH_KEY_TEXT, SCHEMA(test_images), "", .rule = wh_rule_file,
     .doc = "IDX file; leave it out to draw the test rows by `split.test_fraction`."},
    {"test_labels", WH_KEY_TEXT, SCHEMA(test_labels), "", .rule = wh_rule_file, .doc = "IDX file."},
    {"height", WH_KEY_INT, DATA(height), "0", 0, 4096, .doc = "Rows of pixels of an image."},
    {"width", WH_KEY_INT, DATA(width), "0", 0, 4096, .doc = "Pixels in a row."},
    {"features", WH_KEY_CHOICE, SCHEMA(image_features), "pixels", .choices = "pixels|scattering",
     .doc =
         "What a model sees of an image: its `pixels`, or the `scattering` of fixed wavelets, 81 channels of a quarter "
         "of the height and width, which must be multiples of four (docs/data.md). Nothing in it is learnt from rows, "
         "so private learners allow it."},
    {"groups", WH_KEY_INT, DATA(groups), "0", 0, 81,
     .doc =
         "With scattering: each image's channels are normalised to mean 0 and variance 1 in so many groups (1, 3, 9, "
         "27 or 81); 0: they stay as they are."},
    {0},
};

static const wh_key text_table[] = {
    {"alphabet", WH_KEY_OTHER, SCHEMA(text_alphabet), "", .read = wh_read_alphabet, .type = "text in quotes",
     .doc =
         "The characters that may stand in the text, each once; a token is a character's place here. Left out: a token "
         "is a byte. It is fixed here because finding it in the data would leak."},
    {"window", WH_KEY_INT, DATA(window), "64", 1, 65536, .doc = "Tokens that the model sees at once: a row."},
    {"step", WH_KEY_INT, DATA(step), "1", 1, 65536,
     .doc = "Tokens from the start of one training row to the next; validation and test rows do not overlap."},
    {0},
};

static const wh_key synthetic_table[] = {
    {"rows", WH_KEY_INT, SCHEMA(synthetic_rows), "200", 1, 1e9, .doc = "Rows a site."},
    {0},
};

static const wh_key data_table[] = {
    {"set", WH_KEY_TEXT, SCHEMA(set), "", .rule = wh_rule_set,
     .doc = "Name of the data set, for `whist data get` and for people."},
    {"format", WH_KEY_CHOICE, SCHEMA(format), "csv", .choices = "csv|idx|text|synthetic",
     .doc = "CSV tables, IDX images, one text, or a seeded made-up cohort with the same columns."},
    {"task", WH_KEY_CHOICE, SCHEMA(task), NULL, .choices = "regression|binary|classes|survival",
     .doc = "What the model is to predict: a number, 0 or 1, one of several classes, or the time to an event."},
    {"file", WH_KEY_TEXT, SCHEMA(file), "", .rule = wh_rule_file,
     .doc = "File that all sites have under the same name, where `sites` name none."},
    {"delimiter", WH_KEY_TEXT, DATA(delimiter), ",", .rule = wh_rule_delimiter, .doc = "Character between fields."},
    {"skip_lines", WH_KEY_INT, DATA(skip_lines), "0", 0, 1000, .doc = "Lines before the header or the first row."},
    {"header", WH_KEY_BOOL, SCHEMA(header), "true",
     .doc = "The first line names the columns; they are then found by name, in any order."},
    {"missing", WH_KEY_TEXTS, .offset = offsetof(wh_data_file, missing), .size = 64, "", 0, 64, .type = "list of texts",
     .doc = "Texts that mean \"no value\"; an empty field always does."},
    {"rows_with_missing", WH_KEY_CHOICE, SCHEMA(rows_with_missing), "refuse", .choices = "drop|refuse|mean",
     .doc = "A row with a missing value is left out, stops the site with an error, or gets the mean of the site's "
            "training rows. A column's own `fill` comes first."},
    {"standardize", WH_KEY_CHOICE, SCHEMA(standardize), "none", .choices = "none|site|pooled",
     .doc = "x becomes (x - mean) / sd over training rows: of each site, or of all sites by sums that go through "
            "the protection."},
    {"standardize_one_hot", WH_KEY_BOOL, SCHEMA(standardize_one_hot), "true",
     .doc = "Whether features made from categories are standardised too."},
    {"columns", WH_KEY_MAPS, .offset = offsetof(wh_data_file, columns), .size = sizeof(wh_column_file), "", 1,
     WHIST_MAX_COLUMNS, .sub = column_table, .doc = "The columns of the table, in file order where it has no header."},
    {"classes", WH_KEY_INT, DATA(classes), "0", 0, 65536,
     .doc = "Number of classes, where the target has no `levels`: its values are then 0 … classes - 1."},
    {"split", WH_KEY_MAP, .fallback = "", .sub = split_table, .doc = "Training, validation and test rows."},
    {"partition", WH_KEY_MAP, .fallback = "", .sub = partition_table, .doc = "Which rows belong to which site."},
    {"images", WH_KEY_MAP, .fallback = "", .sub = images_table, .doc = "Files and size of IDX images."},
    {"text", WH_KEY_MAP, .fallback = "", .sub = text_table,
     .doc = "How a text becomes rows. The task is classes: after each token, the next one. The last part of a site's "
            "text, "
            "by `split.test_fraction`, is for testing."},
    {"class_weights", WH_KEY_OTHER, .offset = offsetof(wh_data_file, schema), .fallback = "", 1e-6, 1e6,
     .read = wh_read_class_weights, .type = "`balanced` or list of numbers",
     .doc = "Weights of examples by class; `balanced` is n / (classes * count) from the site's own training rows."},
    {"synthetic", WH_KEY_MAP, .fallback = "", .sub = synthetic_table, .doc = "Size of a made-up cohort."},
    {0},
};

#define TABLE(field) AT(wh_table_file, field)

const wh_key wh_table_file_table[] = {
    {"whist", WH_KEY_OTHER, TABLE(version), NULL, .read = wh_read_version, .type = "1",
     .doc = "Version of this format."},
    {"columns", WH_KEY_MAPS, .offset = offsetof(wh_table_file, data.columns), .size = sizeof(wh_column_file), NULL, 1,
     WHIST_MAX_COLUMNS, .sub = column_table,
     .doc = "Columns that may be asked, by the names of the header; others are ignored. Real ones want low and high."},
    {"header", WH_KEY_BOOL, TABLE(data.schema.header), "true",
     .doc = "The first line names the columns; without it, columns lists all of them in their order."},
    {"delimiter", WH_KEY_TEXT, TABLE(data.delimiter), ",", .rule = wh_rule_delimiter,
     .doc = "Character between fields."},
    {"skip_lines", WH_KEY_INT, TABLE(data.skip_lines), "0", 0, 1000,
     .doc = "Lines before the header or the first row."},
    {"missing", WH_KEY_TEXTS, .offset = offsetof(wh_table_file, data.missing), .size = 64, "", 0, 64,
     .type = "list of texts", .doc = "Texts that mean \"no value\"; an empty field always does."},
    {0},
};

static const wh_key sampling_table[] = {
    {"fraction", WH_KEY_REAL, STUDY(sampling.fraction), "1", 1e-9, 1,
     .doc = "Part of the sites that is drawn for each round."},
    {"min_sites", WH_KEY_INT, STUDY(sampling.min_sites), "0", 0, 1e6,
     .doc = "Fewer updates than this and the round fails; 0: all sites that were drawn."},
    {0},
};

static const wh_key timeouts_table[] = {
    {"round", WH_KEY_DURATION, STUDY(timeouts.round), "1h", 100, 30 * 864e5, .type = "100ms … 30d",
     .doc = "How long a round waits for its sites."},
    {0},
};

static const wh_key stopping_table[] = {
    {"patience", WH_KEY_INT, STUDY(early_stopping.patience), "0", 0, 1e6,
     .doc = "Stop after so many evaluations without improvement of the first metric on the validation rows; 0: off."},
    {0},
};

#define PRIVACY(field) STUDY(privacy.field)

static const wh_key adaptive_table[] = {
    {"quantile", WH_KEY_REAL, PRIVACY(adaptive_clip.quantile), "0", 0, 1,
     .doc = "The part of the sites whose updates shall be smaller than the bound; 0: the bound stays as it is."},
    {"rate", WH_KEY_REAL, PRIVACY(adaptive_clip.rate), "0.2", 1e-6, 10,
     .doc = "How fast the bound follows: it is multiplied by exp(-rate (part that is smaller - quantile))."},
    {"count_sigma", WH_KEY_REAL, PRIVACY(adaptive_clip.count_sigma), "0", 0, 1e9,
     .doc =
         "Noise of that part, in sites; it is paid for with the update. 0: a twentieth of the sites, at least sigma."},
    {0},
};

static const wh_key privacy_table[] = {
    {"unit", WH_KEY_CHOICE, PRIVACY(unit), "unsaid", .choices = "unsaid|record|task|site",
     .doc =
         "Whom the promise is about: one `record` of a site, one `task`, or all training rows of a `site`. An epsilon "
         "without it means nothing."},
    {"noise", WH_KEY_CHOICE, PRIVACY(noise), "unsaid", .choices = "unsaid|local|distributed|central",
     .doc =
         "Where noise is added: at each site (`local`: the coordinator sees noised updates), in shares "
         "(`distributed`: it sees the noised sum only; needs a protection that hides updates), or at the coordinator "
         "(`central`: it adds the noise and sees the plain sum)."},
    {"epsilon", WH_KEY_REAL, PRIVACY(epsilon), "0", 0, 1e6,
     .doc = "Budget of the data set, over all studies on it: a round that would pass it is refused."},
    {"delta", WH_KEY_REAL, PRIVACY(delta), "0", 0, 0.5,
     .doc = "Probability that the promise may fail by; below one in the number of units."},
    {"clip", WH_KEY_REAL, PRIVACY(clip), "0", 0, 1e9,
     .doc =
         "Bound on the L2 norm of a site's update; longer ones are scaled down. With adaptive_clip the first bound."},
    {"sigma", WH_KEY_REAL, PRIVACY(sigma), "0", 0, 1e6,
     .doc = "Standard deviation of the noise over the bound: of the sum's, or of each site's own where it is local. 0: "
            "the "
            "least one for which all rounds stay within epsilon."},
    {"relation", WH_KEY_CHOICE, PRIVACY(relation), "zero_out", .choices = "add_remove|replace|zero_out",
     .doc = "Which two worlds must look alike: the unit is there or not, is another one, or takes part with nothing."},
    {"mechanism", WH_KEY_CHOICE, PRIVACY(mechanism), "auto", .choices = "auto|gaussian|discrete-gaussian|skellam",
     .doc =
         "`auto` takes gaussian (rounded to the grid) for local and central noise, discrete-gaussian for distributed."},
    {"honest", WH_KEY_INT, PRIVACY(honest), "0", 0, 1e6,
     .doc = "Distributed noise: how many honest sites are sure to stay to the end. Each adds one part in so many."},
    {"colluders", WH_KEY_INT, PRIVACY(colluders), "0", 0, 1e6,
     .doc =
         "Distributed noise: sites that may tell the coordinator what they know. sampling.min_sites must be at least "
         "honest + colluders: fewer, and nothing is opened."},
    {"units", WH_KEY_INT, PRIVACY(units), "0", 0, 0x1p53,
     .doc = "A public upper bound on the number of records or tasks of a site. Sites are counted."},
    {"adaptive_clip", WH_KEY_MAP, .fallback = "", .sub = adaptive_table,
     .doc = "Lets the bound follow a quantile of the norms of updates, without a release of its own."},
    {"metrics", WH_KEY_CHOICE, PRIVACY(metrics), "stay", .choices = "stay|plain",
     .doc =
         "Metrics of test and validation rows `stay` at the sites, or leave in `plain`: then those rows are no part of "
         "the promise, and the partners say so by this word."},
    {0},
};

/* Fixed point of the updates: keys of `protection`, because they say what it carries. */
static const wh_key fixed_table[] = {
    {"bits", WH_KEY_INT, STUDY(bits), "64", 8, 64, .doc = "Updates are summed as integers modulo 2^bits."},
    {"fraction", WH_KEY_INT, STUDY(fraction), "32", 0, 60, .doc = "A number x becomes round(x * 2^fraction)."},
    {0},
};

const wh_key wh_study_site_table[] = {
    {"name", WH_KEY_TEXT, AT(wh_site_file, name), NULL, .rule = wh_rule_actor, .doc = "Name of the site."},
    {"file", WH_KEY_TEXT, AT(wh_site_file, file), "", .rule = wh_rule_file,
     .doc = "Its file in its own data folder; a bare name, because folders are local matters."},
    {"weight", WH_KEY_REAL, AT(wh_site_file, weight), "1", 1e-6, 1e9,
     .doc =
         "With `privacy`: how much the site counts in the mean, a public number in place of its rows. The noise grows "
         "with the largest."},
    {"key", WH_KEY_OTHER, AT(wh_site_file, key), "", .read = wh_read_pin, .type = "`sha256:` and 64 hex digits",
     .doc = "SHA-256 of its public key: who may speak for this name. Put in by `whist provision`."},
    {0},
};

static const wh_key coordinator_table[] = {
    {"name", WH_KEY_TEXT, AT(wh_site_file, name), "coordinator", .rule = wh_rule_actor,
     .doc = "A name for people; its key decides who it is."},
    {"key", WH_KEY_OTHER, AT(wh_site_file, key), "", .read = wh_read_pin, .type = "`sha256:` and 64 hex digits",
     .doc = "SHA-256 of its public key. Put in by `whist provision`."},
    {0},
};

const wh_key wh_study_count_table[] = {
    {"count", WH_KEY_INT, AT(wh_site_count, count), NULL, 1, 1e6, .doc = "Number of sites of a simulation."},
    {"prefix", WH_KEY_TEXT, AT(wh_site_count, prefix), "site-", .rule = wh_rule_word,
     .doc = "Their names are this and a number from 0."},
    {0},
};

static const wh_key training_table[] = {
    {"optimizer", WH_KEY_PART, .offset = offsetof(wh_study_file, training.optimizer), .fallback = "adam",
     .parts = &wh_optimizer_parts, .doc = "How a gradient becomes a step."},
    {"epochs", WH_KEY_INT, STUDY(training.epochs), "1", 1, 1e9,
     .doc = "Passes over the training rows, unless steps is set."},
    {"steps", WH_KEY_INT, STUDY(training.steps), "0", 0, 1e12, .doc = "Steps in all; 0: as many as epochs says."},
    {"batch", WH_KEY_INT, STUDY(training.batch), "64", 0, 1e6, .doc = "Rows in a batch; 0 takes all of them at once."},
    {"evaluate_every", WH_KEY_INT, STUDY(training.evaluate_every), "0", 0, 1e12,
     .doc =
         "Steps from one evaluation (on the validation rows where there are some, else on the test rows) to the next; "
         "0: once an epoch. The end is always evaluated."},
    {0},
};

#define EPISODES(field) STUDY(episodes.of.field)

static const wh_key episodes_table[] = {
    {"tasks", WH_KEY_CHOICE, EPISODES(kind), "classes", .choices = "classes|sites|sinusoid",
     .doc =
         "What a task is: some classes of a fold; the rows of one site (or person, where each is a site); or a made-up "
         "sinusoid, for a regression on one number."},
    {"ways", WH_KEY_INT, EPISODES(ways), "0", 0, 65536, .doc = "Tasks of classes: how many of them, at least 2."},
    {"shots", WH_KEY_INT, EPISODES(shots), "1", 1, 65536, .doc = "Support rows of each class; of other tasks, in all."},
    {"queries", WH_KEY_INT, EPISODES(queries), "15", 1, 65536,
     .doc = "Query rows of each class; of other tasks, in all."},
    {"turns", WH_KEY_INT, EPISODES(turns), "1", 1, 4,
     .doc = "4: a class turned by 90, 180 and 270 degrees is three more classes; 2: by 180 degrees one more; 1: none."},
    {"seen_classes", WH_KEY_BOOL, EPISODES(seen_classes), "false",
     .doc = "Tests may be on classes that training saw; else a class in the training and the test fold is refused."},
    {"statistics", WH_KEY_CHOICE, STUDY(episodes.statistics), "batch", .choices = "batch|support",
     .doc = "What batch norm (norm: transductive) works by: support and query rows each by their own `batch` "
            "(transductive), or both by the `support` rows alone, so that no query row sees another (inductive)."},
    {"validate", WH_KEY_INT, EPISODES(validate), "100", 0, 1e6,
     .doc = "Validation episodes of each evaluation in training (`training.evaluate_every`), where the data have "
            "validation rows; the model of the best one is kept. 0: none."},
    {"adversary", WH_KEY_CHOICE, EPISODES(attack.on), "none", .choices = "none|query|support|both",
     .doc = "Training against attacks: query rows are moved to raise the loss (adversarial querying), support rows "
            "are, or "
            "each episode counts twice, attacked on either side (`both`: ADML)."},
    {"epsilon", WH_KEY_REAL, EPISODES(attack.epsilon), "0.03137", 1e-9, 1e6,
     .doc = "How far an attack moves a number."},
    {"attack_steps", WH_KEY_INT, EPISODES(attack.steps), "7", 1, 1000, .doc = "Its steps."},
    {"attack_step", WH_KEY_REAL, EPISODES(attack.step), "0", 0, 1e6, .doc = "Length of one; 0: a quarter of epsilon."},
    {0},
};

const wh_key wh_study_table[] = {
    {"whist", WH_KEY_OTHER, STUDY(version), NULL, .read = wh_read_version, .type = "1",
     .doc = "Version of this format."},
    {"name", WH_KEY_TEXT, STUDY(name), NULL, .rule = wh_rule_word, .doc = "Short name of the study."},
    {"title", WH_KEY_TEXT, STUDY(title), "", .doc = "One line for people."},
    {"seed", WH_KEY_INT, STUDY(seed), "0", 0, 0x1p53,
     .doc = "Fixes data order, initial weights and the public sampling of sites; never privacy noise or keys."},
    {"data", WH_KEY_MAP, .offset = offsetof(wh_study_file, data), .fallback = NULL, .sub = data_table,
     .doc = "The schema of the data, as all sites have agreed."},
    {"model", WH_KEY_PART, .offset = offsetof(wh_study_file, model), .fallback = NULL, .parts = &wh_model_parts,
     .doc = "What is trained."},
    {"training", WH_KEY_MAP, .fallback = "", .sub = training_table,
     .doc =
         "Training in one place, on the rows of all sites together (`whist train`). A study that has it may leave out "
         "learner, strategy, rounds and sites, which are for a federation and are required otherwise."},
    {"episodes", WH_KEY_MAP, .fallback = "", .sub = episodes_table,
     .doc = "Few-shot tasks for a meta-learner: of each site in a federation, or of `whist meta train`, where "
            "`training` says "
            "with what optimiser and for how many steps, of `learner.tasks` tasks each."},
    {"learner", WH_KEY_PART, .offset = offsetof(wh_study_file, learner), .fallback = "sgd", .parts = &wh_learner_parts,
     .doc = "How a site makes an update from the model and its rows."},
    {"strategy", WH_KEY_PART, .offset = offsetof(wh_study_file, strategy), .fallback = "fedavg",
     .parts = &wh_strategy_parts, .doc = "How the sum of updates becomes the next model."},
    {"protection", WH_KEY_PART, .offset = offsetof(wh_study_file, protection), .fallback = "none",
     .parts = &wh_protection_parts, .sub = fixed_table,
     .doc = "How updates are kept secret on their way into the sum."},
    {"privacy", WH_KEY_MAP, .fallback = "", .sub = privacy_table,
     .doc =
         "What the study promises about single units, and so how updates are bounded and noised. Left out: nothing."},
    {"rounds", WH_KEY_INT, STUDY(rounds), "1", 1, 1e6, .doc = "Number of rounds."},
    {"sampling", WH_KEY_MAP, .fallback = "", .sub = sampling_table, .doc = "Which sites take part in a round."},
    {"timeouts", WH_KEY_MAP, .fallback = "", .sub = timeouts_table, .doc = "How long to wait."},
    {"metrics", WH_KEY_TEXTS, .offset = offsetof(wh_study_file, metrics), .size = WHIST_NAME_SIZE, "", 0,
     WHIST_MAX_METRICS, .type = "list of metrics", .doc = "What is measured on each site's rows."},
    {"min_metric_count", WH_KEY_INT, STUDY(min_metric_count), "10", 0, 1e9,
     .doc = "Metrics over fewer rows stay at home."},
    {"evaluate_every", WH_KEY_INT, STUDY(evaluate_every), "1", 0, 1e6,
     .doc = "Rounds from one evaluation to the next; the last model is always evaluated; 0: only the last."},
    {"early_stopping", WH_KEY_MAP, .fallback = "", .sub = stopping_table, .doc = "End before the last round."},
    {"coordinator", WH_KEY_MAP, .offset = offsetof(wh_study_file, coordinator), .fallback = "",
     .sub = coordinator_table, .doc = "Whom the sites connect to."},
    {"sites", WH_KEY_OTHER, .offset = offsetof(wh_study_file, sites), .fallback = "", 1, 100000,
     .sub = wh_study_site_table, .read = wh_read_sites, .type = "list of sites, or {count, prefix}",
     .doc = "Who takes part. Left out where `training` stands: one site, `all`."},
    {"parties", WH_KEY_OTHER, .offset = offsetof(wh_study_file, parties), .fallback = "", 0, 64,
     .sub = wh_study_site_table, .read = wh_read_parties, .type = "list of {name, key}",
     .doc = "Third parties that hold no data, for a protection that needs them."},
    {0},
};
