/* study/study_test.c: studies: what is read, every form of refusal word for word, digests, pins, policy. */
#include "test.h"

#include "base/file.h"

#include <whist/study.h>

#include <dirent.h>
#include <string.h>

/* A good study in pieces, so that a test can put one bad line in the place of a good one. */
static const char good[] = "whist: 1\n"
                           "name: tiny\n"
                           "data:\n"
                           "  task: binary\n"
                           "  columns:\n"
                           "    - {name: a, type: real}\n"
                           "    - {name: b, type: category, levels: [x, y]}\n"
                           "    - {name: t, type: target}\n"
                           "model: logistic\n"
                           "learner:\n"
                           "  name: sgd\n"
                           "  lr: 0.5\n"
                           "strategy: fedavg\n"
                           "protection: none\n"
                           "rounds: 3\n"
                           "metrics: [accuracy]\n"
                           "sites:\n"
                           "  - {name: one, file: one.csv} # first\n"
                           "  - {name: two, file: two.csv}\n";

static whist_status parse(whist_study **out, const char *text)
{
    return whist_study_parse(out, (whist_bytes){(const uint8_t *)text, strlen(text)}, "s.yaml");
}

/* The good study with `from` replaced by `to`; free() it. */
static char *with(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    assert_non_null(at);
    size_t size = strlen(good) + strlen(to) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    (void)snprintf(text, size, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    return text;
}

static void refused(const char *from, const char *to, whist_status code, const char *message)
{
    char *text = with(from, to);
    whist_study *study = NULL;
    whist_status status = parse(&study, text);
    if (status == WHIST_OK) fail_msg("accepted: %s", to);
    assert_string_equal(whist_detail_get()->text, message);
    assert_int_equal(status, code);
    assert_null(study);
    free(text);
}

static void test_good(void **state)
{
    (void)state;
    whist_study *study = NULL;
    assert_ok(parse(&study, good));
    const whist_fed_plan *plan = whist_study_plan(study);
    assert_string_equal(plan->name, "tiny");
    assert_string_equal(plan->learner->name, "sgd");
    assert_true(whist_settings_real(plan->learner_settings, "lr") == 0.5);
    assert_string_equal(plan->strategy->name, "fedavg");
    assert_int_equal(plan->bits, 64);
    assert_int_equal(plan->fraction, 32);
    assert_int_equal(plan->rounds, 3);
    assert_int_equal(plan->min_sites, 2);
    assert_int_equal(plan->round_timeout_ms, 3600000);
    assert_int_equal(plan->min_metric_count, 10);
    assert_int_equal(plan->n_features, 3);
    assert_int_equal(plan->n_sites, 2);
    assert_false(plan->sites[0].pinned);
    assert_string_equal(whist_study_site_file(study, 1), "two.csv");
    const whist_schema *schema = whist_study_schema(study);
    assert_int_equal(schema->delimiter, ',');
    assert_true(schema->header && schema->standardize_one_hot && schema->columns[0].standardize);
    size_t i = 9;
    assert_ok(whist_study_site_find(study, "two", &i));
    assert_int_equal(i, 1);
    assert_int_equal(whist_study_site_find(study, "twoo", &i), WHIST_E_ARG);
    assert_string_equal(whist_detail_get()->text, "study tiny has no site 'twoo'; did you mean 'two'?");
    whist_study_free(study);
}

static void test_yaml_refusals(void **state)
{
    (void)state;
    refused("rounds: 3", "rounds: &x 3", WHIST_E_FORMAT, "s.yaml:15:9: anchors (&) are not allowed");
    refused("rounds: 3", "rounds: *x", WHIST_E_FORMAT, "s.yaml:15:9: aliases (*) are not allowed");
    refused("rounds: 3", "rounds: !!int 3", WHIST_E_FORMAT, "s.yaml:15:9: tags (!) are not allowed");
    refused("rounds: 3", "name: again", WHIST_E_FORMAT,
            "s.yaml:15:1: the key 'name' stands twice; the first is in line 2");
    refused("rounds: 3", "---\nrounds: 3", WHIST_E_FORMAT, "s.yaml:15:1: only one document is allowed in a file");
    refused("rounds: 3", "[a]: 3", WHIST_E_FORMAT, "s.yaml:15:1: a key must be a word");
    refused("rounds: 3", "rounds: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", WHIST_E_RANGE,
            "s.yaml:15:24: nested more than 16 deep");
    refused(good, "", WHIST_E_FORMAT, "s.yaml: the file is empty");
    refused(good, "- a\n", WHIST_E_FORMAT, "s.yaml:1:1: the file must consist of lines like 'key: value'");
    refused("rounds: 3", "title: \"\\0\"", WHIST_E_FORMAT, "s.yaml:15:8: a zero byte is not allowed");
    refused("rounds: 3", "title: \xff", WHIST_E_FORMAT,
            "s.yaml: byte 246: invalid leading UTF-8 octet; the text must be UTF-8");
}

static void test_key_refusals(void **state)
{
    (void)state;
    refused(
        "learner:", "lerner:", WHIST_E_FORMAT,
        "s.yaml:10:1: unknown key 'lerner'; did you mean 'learner'? Allowed: whist, name, title, seed, data, model, "
        "training, episodes, learner, strategy, protection, privacy, rounds, sampling, timeouts, metrics, "
        "min_metric_count, "
        "evaluate_every, "
        "early_stopping, coordinator, sites, parties");
    refused("  lr: 0.5", "  lrr: 0.5", WHIST_E_FORMAT,
            "s.yaml:12:3: unknown key 'lrr'; did you mean 'lr'? Allowed: name, lr, batch, updates, epochs, momentum, "
            "weight_decay, clip, schedule, warmup, decay_steps, decay, decay_floor");
    refused("  task: binary", "  task: binary\n  zzzzzzzzz: 1", WHIST_E_FORMAT,
            "s.yaml:5:3: unknown key 'zzzzzzzzz'. Allowed: set, format, task, file, delimiter, skip_lines, header, "
            "missing, rows_with_missing, standardize, standardize_one_hot, columns, classes, split, partition, images, "
            "text, "
            "class_weights, synthetic");
    refused("name: tiny\n", "", WHIST_E_FORMAT, "s.yaml:1:1: the key 'name' is missing: Short name of the study.");
    refused("  name: sgd\n", "", WHIST_E_FORMAT, "s.yaml:11:3: the key 'name' is missing: which learner is it?");
    refused("whist: 1", "whist: 2", WHIST_E_UNSUPPORTED,
            "s.yaml:1:8: format version '2'; this program reads version 1 only: write 'whist: 1', or take the program "
            "that the study was written for");
}

static void test_value_refusals(void **state)
{
    (void)state;
    refused("lr: 0.5", "lr: -1", WHIST_E_FORMAT, "s.yaml:12:7: lr: -1 is outside 0 … 1000");
    refused("lr: 0.5", "lr: [1]", WHIST_E_FORMAT, "s.yaml:12:7: lr: a single value is wanted here");
    refused("lr: 0.5", "lr: fast", WHIST_E_FORMAT, "s.yaml:12:7: lr: a finite number is wanted, not 'fast'");
    refused("lr: 0.5", "lr:", WHIST_E_FORMAT, "s.yaml:12:6: lr: no value; write one or leave the key out");
    refused("rounds: 3", "rounds: 0", WHIST_E_FORMAT, "s.yaml:15:9: rounds: 0 is outside 1 … 1000000");
    refused("rounds: 3", "rounds: 3.5", WHIST_E_FORMAT, "s.yaml:15:9: rounds: a whole number is wanted, not '3.5'");
    refused("rounds: 3", "rounds: [3]", WHIST_E_FORMAT,
            "s.yaml:15:9: rounds: a single value is wanted here, not a list");
    refused("name: tiny", "name: Tiny", WHIST_E_FORMAT,
            "s.yaml:2:7: name: 'Tiny' must consist of lower-case letters, digits and '-'");
    refused("task: binary", "task: binry", WHIST_E_FORMAT,
            "s.yaml:4:9: task: 'binry' is not one of regression, binary, classes, survival; did you mean 'binary'?");
    refused("task: binary", "task: binary\n  header: yes", WHIST_E_FORMAT,
            "s.yaml:5:11: header: true or false is wanted, not 'yes'");
    refused("task: binary", "task: binary\n  delimiter: ab", WHIST_E_FORMAT,
            "s.yaml:5:14: delimiter: 'ab' must be one ASCII character or the word tab");
    refused("rounds: 3", "rounds: 3\ntimeouts: {round: 5 min}", WHIST_E_FORMAT,
            "s.yaml:16:19: round: a time like 500ms, 30s, 10m, 2h or 1d is wanted, not '5 min'");
    refused("rounds: 3", "rounds: 3\ntimeouts: {round: 31d}", WHIST_E_FORMAT,
            "s.yaml:16:19: round: '31d' is outside 100ms … 30d");
    refused("rounds: 3", "rounds: 3\ntimeouts: 5", WHIST_E_FORMAT,
            "s.yaml:16:11: timeouts: lines like 'key: value' or {key: value} are wanted here");
    refused("[accuracy]", "accuracy", WHIST_E_FORMAT, "s.yaml:16:10: metrics: a list like [a, b] is wanted");
    refused("[accuracy]", "[accuracy, accuracy]", WHIST_E_FORMAT, "s.yaml:16:21: metrics: 'accuracy' stands twice");
    refused("file: one.csv", "key: sha256:12", WHIST_E_FORMAT,
            "s.yaml:18:22: key: sha256: and 64 hex digits are wanted, not 'sha256:12'");
    refused("name: two", "name: one", WHIST_E_FORMAT, "s.yaml:18:3: sites: the name 'one' stands twice");
    refused("name: two", "name: Two", WHIST_E_FORMAT,
            "s.yaml:19:12: name: 'Two' must be 1 to 40 lower-case letters, digits and '-', with a letter or digit at "
            "both ends");
    refused("one.csv", "/data/one.csv", WHIST_E_FORMAT,
            "s.yaml:18:23: file: '/data/one.csv' is an absolute path; write the bare name: folders belong in each "
            "site's configuration");
    refused("one.csv", "../one.csv", WHIST_E_FORMAT,
            "s.yaml:18:23: file: '../one.csv' leaves the data folder or names a folder; write the bare name of a file");
    refused(
        "learner:\n  name: sgd", "learner:\n  name: sdg", WHIST_E_FORMAT,
        "s.yaml:11:9: unknown learner 'sdg'; did you mean 'sgd'? Allowed: sgd, fedprox, adam, scaffold, "
        "nesterov, adamw, adagrad, yogi, dp-sgd, dp-ftrl, record-sum, maml, fomaml, reptile, anil, boil, per-fedavg, "
        "meta-sgd, "
        "maml++, imaml, cavia, meta-lstm, abml, protonet, matching, relation, r2d2, prototypes, dp-meta, dp-reptile, "
        "dp-fomaml, "
        "dp-protonet");
}

static void test_unsafe(void **state)
{
    (void)state;
    refused("[accuracy]", "[acuracy]", WHIST_E_FORMAT,
            "s.yaml:16:11: unknown metric 'acuracy'; did you mean 'accuracy'? For the task binary: accuracy, auc, f1, "
            "logloss, brier");
    refused("[accuracy]", "[mae]", WHIST_E_UNSUPPORTED,
            "s.yaml:16:11: metric mae does not fit the task binary; for this task take from: accuracy, auc, f1, "
            "logloss, brier");
    refused("model: logistic", "model: cox", WHIST_E_UNSUPPORTED,
            "s.yaml:9:8: model cox cannot learn the task binary (it learns: survival); for this task take one of: "
            "logistic, mlp");
    refused("model: logistic", "model: cnn", WHIST_E_UNSUPPORTED,
            "s.yaml:9:8: model cnn takes images, and the data are a table; for them take one of: logistic, mlp");
    refused("model: logistic", "model: lstm", WHIST_E_UNSUPPORTED,
            "s.yaml:9:8: model lstm takes tokens of a text, and the data are a table; for them take one of: logistic, "
            "mlp");
    refused("  name: sgd", "  name: scaffold", WHIST_E_UNSUPPORTED,
            "s.yaml:11:3: learner scaffold and strategy fedavg do not fit together: the strategy needs another update "
            "than the learner makes (the strategy scaffold and the learner scaffold go with each other alone)");
    refused("rounds: 3", "rounds: 3\nsampling: {min_sites: 3}", WHIST_E_UNSUPPORTED,
            "s.yaml:16:23: min_sites is 3, but the study has 2 sites: lower it, or add sites");
    refused("protection: none", "protection: {name: none, bits: 16, fraction: 15}", WHIST_E_UNSUPPORTED,
            "s.yaml:14:32: bits: 16 with fraction: 15 leaves no room for the sum of 2 sites: raise bits (up to 64) or "
            "lower fraction");
}

static void test_unsafe_data(void **state)
{
    (void)state;
    refused(
        "task: binary\n  columns:\n    - {name: a, type: real}",
        "task: binary\n  standardize: pooled\n  standardize_one_hot: false\n  columns:\n    - {name: a, type: ignore}",
        WHIST_E_UNSUPPORTED,
        "s.yaml:5:16: pooled standardisation needs a column of type real: take none, or a real column");
    refused("type: real}", "type: real, threshold: 1}", WHIST_E_UNSUPPORTED,
            "s.yaml:6:7: column a: threshold makes a target 0 or 1; only the column of type target has one");
    refused(", file: one.csv", "", WHIST_E_UNSUPPORTED,
            "s.yaml:18:5: site one has no file: name it here, or one name for all sites in data.file");
    refused("task: binary", "task: binary\n  file: all.csv\n  partition: {kind: iid}", WHIST_E_UNSUPPORTED,
            "s.yaml:20:5: site one names a file, but data.partition says how one shared file is dealt out: leave out "
            "file, or take partition kind file");
    refused("rounds: 3", "rounds: 3\nearly_stopping: {patience: 2}", WHIST_E_UNSUPPORTED,
            "s.yaml:16:17: early stopping needs validation rows: set data.split.validation_fraction or "
            "data.split.validation");
}

/* ---- Parts that a program adds ---- */

static whist_status secret_new(whist_protection **out, const whist_protection_env *env)
{
    (void)out;
    (void)env;
    return WHIST_E_UNSUPPORTED;
}

static void secret_free(whist_protection *self)
{
    (void)self;
}

static const whist_phase secret_phases[] = {{"upload", true, false, true}};
static const whist_protection_class secret = {
    .name = "secret",
    .doc = "Hides updates, for this test.",
    .n_parties = 1,
    .phases = secret_phases,
    .n_phases = 1,
    .new_ = secret_new,
    .free_ = secret_free,
};

static void test_registered(void **state)
{
    (void)state;
    assert_ok(whist_protection_register(&secret));
    assert_int_equal(whist_protection_register(&secret), WHIST_E_ARG);
    assert_string_equal(whist_detail_get()->text, "there is a protection 'secret' already");
    refused(
        "strategy: fedavg\nprotection: none", "strategy: cyclic\nprotection: secret", WHIST_E_UNSUPPORTED,
        "s.yaml:14:13: strategy cyclic hands every site's update on by its nature, which protection secret is there "
        "to prevent: take protection none, or another strategy");
    refused("protection: none", "protection: secret", WHIST_E_UNSUPPORTED,
            "s.yaml:11:3: protection secret needs 1 third parties, the study names 0: change parties:");
    refused("protection: none", "protection: secret\nparties: [{name: one}]", WHIST_E_UNSUPPORTED,
            "s.yaml:15:10: 'one' is a site and a party: a party must hold no data; take another name");
    char *text = with("protection: none", "protection: secret\nparties: [{name: keeper}]");
    whist_study *study;
    assert_ok(parse(&study, text));
    assert_int_equal(whist_study_plan(study)->n_parties, 1);
    whist_study_free(study);
    free(text);
}

/* ---- Digest and pins ---- */

static void test_digest(void **state)
{
    (void)state;
    whist_study *a, *b;
    assert_ok(parse(&a, good));
    char *text = with("# first", "# First"); /* one byte, and only in a comment */
    assert_ok(parse(&b, text));
    assert_memory_not_equal(whist_study_digest(a), whist_study_digest(b), 32);
    assert_int_equal(whist_study_text(a).len, strlen(good));
    whist_study_set_seed(a, 7);
    assert_int_equal(whist_study_plan(a)->seed, 7);
    whist_study_free(a);
    whist_study_free(b);
    free(text);
}

static void pin_round_trip(const char *text, size_t n_sites, const char *must_keep)
{
    uint8_t pins[3][32], coordinator[32];
    memset(coordinator, 0xc0, sizeof coordinator);
    for (size_t i = 0; i < 3; i++) memset(pins[i], (int)i + 1, 32);
    whist_study *study, *pinned;
    assert_ok(parse(&study, text));
    char *out = NULL;
    assert_ok(whist_study_with_pins(&out, study, coordinator, (const uint8_t(*)[32])pins, NULL));
    assert_ok(parse(&pinned, out));
    const whist_fed_plan *plan = whist_study_plan(pinned);
    assert_int_equal(plan->n_sites, n_sites);
    for (size_t i = 0; i < n_sites; i++) {
        assert_true(plan->sites[i].pinned);
        assert_memory_equal(plan->sites[i].pin, pins[i], 32);
        assert_string_equal(plan->sites[i].name, whist_study_plan(study)->sites[i].name);
        const char *was = whist_study_site_file(study, i), *is = whist_study_site_file(pinned, i);
        assert_true(was == is || strcmp(was, is) == 0);
        size_t found = 99;
        assert_ok(whist_study_site_find_pin(pinned, pins[i], &found));
        assert_int_equal(found, i);
    }
    assert_true(plan->coordinator.pinned);
    assert_memory_equal(plan->coordinator.pin, coordinator, 32);
    assert_non_null(strstr(out, must_keep));
    assert_int_equal(plan->rounds, 3);
    /* Once more over its own result: nothing but the same. */
    char *again = NULL;
    assert_ok(whist_study_with_pins(&again, pinned, coordinator, (const uint8_t(*)[32])pins, NULL));
    assert_string_equal(out, again);
    whist_text_free(out);
    whist_text_free(again);
    whist_study_free(study);
    whist_study_free(pinned);
}

/* Puts something shorter in the place of the list of sites at the end. */
static void end_with(char *text, const char *end)
{
    char *at = strstr(text, "sites:\n");
    assert_non_null(at);
    memcpy(at, end, strlen(end) + 1);
}

static void test_pins(void **state)
{
    (void)state;
    pin_round_trip(good, 2, "metrics: [accuracy]\n");
    char *text = with("  - {name: two, file: two.csv}\n",
                      "  - name: two\n    file: \"two \\\" x.csv\"\n# about the seed\nseed: 3 # odd\n");
    pin_round_trip(text, 2, "# about the seed\nseed: 3 # odd\n");
    free(text);
    text = with("rounds: 3\n", "sites: [{name: one, file: a},\n {name: two, file: b}]\nrounds: 3\n");
    end_with(text, "");
    pin_round_trip(text, 2, "rounds: 3\n");
    free(text);
    /* YAML's rarer line ends. */
    text = with("model: logistic\n", "# a\xC2\x85# b\xE2\x80\xA8# c\rmodel: logistic\r\n");
    pin_round_trip(text, 2, "# a\xC2\x85# b\xE2\x80\xA8# c\rmodel: logistic\r\n");
    free(text);
    /* By number, at the end of a file without a last newline; no site files. */
    text = with("task: binary", "task: binary\n  file: all.csv\n  partition: {kind: iid}");
    end_with(text, "sites: {count: 3}");
    pin_round_trip(text, 3, "rounds: 3\n");
    free(text);
}

static void test_two_with_one_key(void **state)
{
    (void)state;
    uint8_t pins[2][32] = {{1}, {1}}, coordinator[32] = {2};
    whist_study *study;
    assert_ok(parse(&study, good));
    char *out = NULL;
    assert_int_equal(whist_study_with_pins(&out, study, coordinator, (const uint8_t(*)[32])pins, NULL), WHIST_E_FORMAT);
    assert_null(out);
    assert_non_null(strstr(whist_detail_get()->text, "'one' and 'two' have the same key; each needs its own"));
    whist_study_free(study);
}

/* ---- Policy ---- */

static void policy_says(const whist_policy *policy, const char *message)
{
    whist_study *study;
    assert_ok(parse(&study, good));
    whist_status status = whist_policy_check(policy, study);
    assert_int_equal(status, message ? WHIST_E_AUTH : WHIST_OK);
    if (message) assert_string_equal(whist_detail_get()->text, message);
    whist_study_free(study);
}

static void test_policy(void **state)
{
    (void)state;
    policy_says(&(whist_policy){2, 3, 10, "", ""}, NULL);
    policy_says(&(whist_policy){2, 3, 10, "adam sgd", "none"}, NULL);
    policy_says(&(whist_policy){3, 3, 10, "", ""}, "policy: min_sites is 3 here, but study tiny has 2 sites");
    policy_says(&(whist_policy){2, 2, 10, "", ""}, "policy: max_rounds is 2 here, but study tiny has 3 rounds");
    policy_says(&(whist_policy){2, 3, 10, "adam sg", ""}, "policy: learners here are: adam sg; study tiny uses sgd");
    policy_says(&(whist_policy){2, 3, 10, "", "masks"}, "policy: protections here are: masks; study tiny uses none");
}

/* ---- Privacy ---- */

#define PRIVATE "privacy: {unit: site, noise: central, epsilon: 5, delta: 1e-3, clip: 2}\nrounds: 3"

static void test_privacy(void **state)
{
    (void)state;
    char *text = with("rounds: 3", PRIVATE);
    whist_study *study;
    assert_ok(parse(&study, text));
    const whist_fed_privacy *p = whist_study_plan(study)->privacy;
    assert_non_null(p);
    assert_true(p->unit == WHIST_DP_SITE && p->noise == WHIST_NOISE_CENTRAL && p->relation == WHIST_DP_ZERO_OUT);
    assert_true(p->mechanism == WHIST_MECHANISM_GAUSSIAN && !p->adaptive && !p->plain_metrics);
    /* The least sigma for which three rounds stay within 5: (1.4, 1.6) by RDP. */
    assert_true(p->sigma > 1.2 && p->sigma < 1.6);
    const whist_policy strict = {.min_sites = 2, .max_rounds = 3, .max_epsilon = 4, .max_delta = 1e-3};
    assert_int_equal(whist_policy_check(&strict, study), WHIST_E_AUTH);
    assert_string_equal(whist_detail_get()->text,
                        "policy: max_epsilon is 4 at delta 0.001 here, but study tiny may spend "
                        "epsilon 5 at delta 0.001 of one site");
    whist_policy fair = strict;
    fair.max_epsilon = 5;
    assert_ok(whist_policy_check(&fair, study));
    fair.max_delta = 1e-4;
    assert_int_equal(whist_policy_check(&fair, study), WHIST_E_AUTH);
    whist_study_free(study);
    free(text);
    policy_says(&strict, "policy: max_epsilon is 4 here, but study tiny promises no privacy at all");

    refused("rounds: 3", "privacy: {noise: central, epsilon: 5, delta: 1e-3}\nrounds: 3", WHIST_E_UNSUPPORTED,
            "s.yaml:15:10: privacy: unit is missing: say whom the promise is about (record, task or site); an epsilon "
            "without it means nothing");
    refused(
        "rounds: 3", "privacy: {unit: site, epsilon: 5, delta: 1e-3}\nrounds: 3", WHIST_E_UNSUPPORTED,
        "s.yaml:15:10: privacy: noise is missing: say where it is added, and so who is trusted (local, distributed or "
        "central)");
    refused("rounds: 3", "privacy: {unit: site, noise: local, delta: 1e-3}\nrounds: 3", WHIST_E_UNSUPPORTED,
            "s.yaml:15:10: privacy: epsilon is missing: the budget of the data set, over all studies on it");
    refused("rounds: 3", "privacy: {unit: site, noise: local, epsilon: 0, delta: 1e-3}\nrounds: 3", WHIST_E_UNSUPPORTED,
            "s.yaml:15:46: privacy: epsilon must be above 0: no release at all is within a budget of 0");
    refused("rounds: 3", "privacy: {unit: site, noise: local, epsilon: 1, delta: 0}\nrounds: 3", WHIST_E_UNSUPPORTED,
            "s.yaml:15:56: privacy: delta must be above 0: Gaussian noise keeps no promise without a probability that "
            "it may fail by, such as 1e-5");
    refused("rounds: 3", "privacy: {unit: site, noise: central, epsilon: 1, delta: 1e-3}\nrounds: 3",
            WHIST_E_UNSUPPORTED,
            "s.yaml:15:10: privacy: clip is missing: the bound on what one site adds, without which no noise hides it");
    refused("rounds: 3", "privacy: {unit: site, noise: local, epsilon: 1}\nrounds: 3", WHIST_E_UNSUPPORTED,
            "s.yaml:15:10: privacy: delta is missing: the probability that the promise may fail by, such as 1e-5");
    refused("rounds: 3", "privacy: {unit: site, noise: local, epsilon: .nan, delta: 1e-3}\nrounds: 3", WHIST_E_FORMAT,
            "s.yaml:15:46: epsilon: a finite number is wanted, not '.nan'");
    refused("rounds: 3",
            "privacy: {unit: site, noise: distributed, honest: 2, epsilon: 5, delta: 1e-3, clip: 1}\nrounds: 3",
            WHIST_E_UNSUPPORTED,
            "s.yaml:15:10: privacy: distributed noise is a share of what hides a site: alone it hides nothing, and "
            "protection none shows each update to the coordinator; take a protection that opens sums only, or noise "
            "central or local");
    refused("rounds: 3", "privacy: {unit: record, noise: local, epsilon: 5, delta: 1e-3, units: 100}\nrounds: 3",
            WHIST_E_UNSUPPORTED,
            "s.yaml:15:10: privacy: unit record needs a learner that adds the noise itself, and sgd adds none: take a "
            "private learner, or unit site");
}

/* ---- Every failing allocation leaves nothing behind ---- */

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        whist_study *study = NULL;
        wh_alloc_fail_after(n);
        whist_status status = parse(&study, good);
        wh_alloc_fail_after(0);
        if (status == WHIST_OK) {
            whist_study_free(study);
            assert_true(n > 5);
            return;
        }
        assert_int_equal(status, WHIST_E_NOMEM);
        assert_null(study);
    }
}

/* ---- Examples ---- */

/* Compilers are called from the build folder, where the tests run too: __FILE__ leads to the sources. */
static char *source_path(const char *name)
{
    char *path;
    const char *slash = strrchr(__FILE__, '/');
    assert_true(asprintf(&path, "%.*s/../../%s", (int)(slash - __FILE__), __FILE__, name) > 0);
    char *copy;
    assert_ok(wh_strdup(&copy, path));
    free(path);
    return copy;
}

typedef struct changed_line {
    const char *from, *to, *says;
} changed_line;

/* The example with one word changed, which is refused at `where` ("s.yaml:line:"). */
static void refuse_changed(const char *example, const changed_line *cases, size_t n, whist_status code,
                           const char *where)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    char *path = source_path(example);
    assert_ok(wh_file_read(&text, path, 1 << 16));
    for (size_t i = 0; i < n; i++) {
        const char *at = strstr(wh_buf_str(&text), cases[i].from);
        assert_non_null(at);
        char *changed;
        whist_study *study = NULL;
        assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - wh_buf_str(&text)), wh_buf_str(&text), cases[i].to,
                             at + strlen(cases[i].from)) > 0);
        assert_int_equal(whist_study_parse(&study, (whist_bytes){(uint8_t *)changed, strlen(changed)}, "s.yaml"), code);
        const char *says = whist_detail_get()->text;
        if (!strstr(says, cases[i].says) || !strstr(says, where)) fail_msg("%s: %s", cases[i].to, says);
        free(changed);
    }
    wh_free(path);
}

/* What a private learner is set to and what the study promises must agree, and the rounds fit, by the file alone. */
static void test_private_learner(void **state)
{
    (void)state;
    static const changed_line cases[] = {
        {"relation: add_remove", "relation: replace",
         "promises something about one record (add_remove), the study about"},
        {"unit: record", "unit: task", "hides one record, and the study promises something about one task"},
        {"units: 250", "units: 100", "up to 250 rows and units says 100"},
        {"units: 250", "units: 100000000", "delta 1e-05 is not below 1/100000000"},
        {"epsilon: 1.7", "epsilon: 0.5", "has to refuse before the end"},
        {"noise: 10", "noise: 1", "has to refuse before the end"},
        {"rounds: 15", "rounds: 1500", "has to refuse before the end"},
    };
    refuse_changed("examples/heart/dp-record.yaml", cases, WH_COUNT(cases), WHIST_E_UNSUPPORTED, "s.yaml:");
}

/* A design, its bands, a pass and the steps of a run that do not fit each other are no site's business to find. */
static void test_correlated_noise(void **state)
{
    (void)state;
    static const changed_line design[] = {
        {"design: blt", "design: tree", "a tree has no bands: leave them out"},
        {"bands: 5", "bands: 9", "a blt has 1 to 8 buffers"},
        {"design: blt\n  bands: 5", "design: banded\n  bands: 61",
         "61 bands where a unit takes part again after 60 steps: at most as many"},
        {"updates: 600", "updates: 600\n  span: 2000", "steps is 1200000: correlated noise goes over 1 to 2^20 steps"},
        {"pass: 60\n  updates: 600", "pass: 2\n  updates: 100000", "participations times steps is beyond 2^28"},
        {"rows: 60000\n  pass: 60", "rows: 2000000000\n  pass: 2", "at most 2^24, so make pass longer"},
    };
    static const changed_line promise[] = {
        {"relation: add_remove", "relation: replace",
         "promises something about one record (add_remove), the study about"},
        {"units: 60000", "units: 50000", "up to 60000 rows and units says 50000"},
        {"noise: 1.695", "noise: 1.2", "has to refuse before the end"},
        {"rounds: 1", "rounds: 3", "has to refuse before the end"},
    };
    refuse_changed("examples/mnist/dp-ftrl.yaml", design, WH_COUNT(design), WHIST_E_ARG, "s.yaml:");
    refuse_changed("examples/mnist/dp-ftrl.yaml", promise, WH_COUNT(promise), WHIST_E_UNSUPPORTED, "s.yaml:");
}

/* Tables without a study. */
static void test_table_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"whist: 1\n", "the key 'columns' is missing"},
        {"whist: 2\ncolumns: [{name: a, type: real}]\n", "format version '2'"},
        {"whist: 1\ncolumns: [{name: a, type: real, low: 0}]\n", "one bound"},
        {"whist: 1\ncolumns: [{name: a, type: real, low: 1, high: 1}]\n", "low below high"},
        {"whist: 1\ncolumns: [{name: a, type: real, low: 0, high: .inf}]\n", "a finite number is wanted"},
        {"whist: 1\ncolumns: [{name: a, type: category}]\n", "needs levels"},
        {"whist: 1\ncolumns: [{name: a, type: real}, {name: a, type: real}]\n", "column 'a' twice"},
        {"whist: 1\ncolumns: [{name: a, type: site}]\n", "no feature"},
    };
    whist_table *table = NULL;
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        const whist_bytes text = {(const uint8_t *)bad[i].text, strlen(bad[i].text)};
        assert_int_not_equal(whist_table_parse(&table, text, "t.yaml"), WHIST_OK);
        if (!strstr(whist_detail_get()->text, bad[i].says)) fail_msg("%s: %s", bad[i].text, whist_detail_get()->text);
        assert_null(table);
    }
    static const char good_table[] = "whist: 1\ndelimiter: ';'\ncolumns:\n  - {name: a, type: real, low: -1, high: 2}\n"
                                     "  - {name: b, type: category, levels: [x, y]}\n";
    assert_ok(whist_table_parse(&table, (whist_bytes){(const uint8_t *)good_table, sizeof good_table - 1}, "t.yaml"));
    const whist_schema *schema = whist_table_schema(table);
    assert_true(schema->asked_only && schema->n_columns == 2 && schema->delimiter == ';');
    assert_true(schema->columns[0].has_bounds && schema->columns[0].low == -1 && schema->columns[0].high == 2);
    whist_table_free(table);
}

static void test_examples(void **state)
{
    (void)state;
    char *root = source_path("examples");
    static const char *const sets[] = {"heart", "tcga", "wdbc", "mnist"};
    size_t n = 0;
    for (size_t s = 0; s < WH_COUNT(sets); s++) {
        char *folder;
        assert_ok(wh_path(&folder, root, "%s", sets[s]));
        DIR *dir = opendir(folder);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));) {
            size_t len = strlen(entry->d_name);
            if (len < 5 || strcmp(entry->d_name + len - 5, ".yaml") != 0) continue;
            char *path;
            assert_ok(wh_path(&path, folder, "%s", entry->d_name));
            whist_study *study = NULL;
            assert_ok(whist_study_load(&study, path));
            whist_study_free(study);
            wh_free(path);
            n++;
        }
        closedir(dir);
        wh_free(folder);
    }
    assert_true(n >= 14);
    wh_free(root);
}

static void test_open_data(void **state)
{
    (void)state;
    const char *data = test_data();
    if (!data) skip();
    char *path, *folder, *root = source_path("examples");
    assert_ok(wh_path(&path, root, "heart/fedavg.yaml"));
    assert_ok(wh_path(&folder, data, "heart"));
    whist_study *study;
    assert_ok(whist_study_load(&study, path));
    whist_dataset *sites[4] = {NULL};
    assert_ok(whist_study_open_data(study, folder, sites));
    static const size_t train[] = {199, 172, 30, 85}, test[] = {104, 89, 16, 45}; /* FLamby's counts */
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(whist_dataset_features(sites[i]), 13);
        assert_int_equal(whist_dataset_rows(sites[i], WHIST_FOLD_TRAIN).n, train[i]);
        assert_int_equal(whist_dataset_rows(sites[i], WHIST_FOLD_TEST).n, test[i]);
        whist_dataset_free(sites[i]);
    }
    whist_study_free(study);
    wh_free(path);
    wh_free(folder);
    wh_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_yaml_refusals),
        cmocka_unit_test(test_key_refusals),
        cmocka_unit_test(test_value_refusals),
        cmocka_unit_test(test_unsafe),
        cmocka_unit_test(test_unsafe_data),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_two_with_one_key),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_privacy),
        cmocka_unit_test(test_private_learner),
        cmocka_unit_test(test_correlated_noise),
        cmocka_unit_test(test_table_files),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_open_data),
        cmocka_unit_test(test_registered), /* last: it adds a name */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
