/* study/table_test.c: kinds of values, configurations of sites and coordinators, names, the reference. */
#include "test.h"

#include "base/file.h"
#include "study/table.h"

#include <whist/study.h>

#include <string.h>

/* ---- Every kind of value ---- */

typedef struct sample {
    char text[8];
    uint64_t time, size;
    wh_texts texts;
    wh_items maps;
    double real;
} sample;

static const wh_key inner[] = {
    {"text", WH_KEY_TEXT, .size = 8, .fallback = "x", .doc = "T."},
    {0},
};
static const wh_key table[] = {
    {"text", WH_KEY_TEXT, .offset = offsetof(sample, text), .size = 8, .fallback = "", .doc = "T."},
    {"time", WH_KEY_DURATION, .offset = offsetof(sample, time), .size = 8, .fallback = "1.5s", .min = 0, .max = 1e9,
     .type = "0 … 10d", .doc = "D."},
    {"size", WH_KEY_BYTES, .offset = offsetof(sample, size), .size = 8, .fallback = "64KiB", .min = 0, .max = 1e12,
     .type = "0 … 1T", .doc = "B."},
    {"texts", WH_KEY_TEXTS, .offset = offsetof(sample, texts), .size = 8, .fallback = "", .min = 1, .max = 3,
     .type = "list", .doc = "L."},
    {"maps", WH_KEY_MAPS, .offset = offsetof(sample, maps), .size = 8, .fallback = "", .min = 1, .max = 2, .sub = inner,
     .doc = "M."},
    {"real", WH_KEY_REAL, .offset = offsetof(sample, real), .size = 8, .fallback = "0.25", .min = 0, .max = 1,
     .doc = "R."},
    {0},
};

static whist_status read_sample(sample *out, wh_arena *arena, const char *text)
{
    wh_yaml *root;
    const wh_reader reader = {.name = "t", .arena = arena};
    memset(out, 0, sizeof *out);
    WH_TRY(wh_yaml_read(&root, arena, (whist_bytes){(const uint8_t *)text, strlen(text)}, "t"));
    return wh_table_read(out, table, root, &reader);
}

static void test_kinds(void **state)
{
    (void)state;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    sample s;
    assert_ok(read_sample(&s, &arena, "text: abc\n"));
    assert_string_equal(s.text, "abc");
    assert_int_equal(s.time, 1500);
    assert_int_equal(s.size, 65536);
    assert_true(s.real == 0.25 && s.texts.n == 0 && s.maps.n == 0);
    assert_ok(read_sample(&s, &arena, "time: 2h\nsize: 3GiB\ntexts: [a, 'b c']\nmaps:\n - text: q\n - {}\n"));
    assert_int_equal(s.time, 7200000);
    assert_int_equal(s.size, 3221225472u);
    assert_string_equal(s.texts.items[1], "b c");
    assert_int_equal(s.maps.n, 2);
    assert_string_equal((char *)s.maps.items, "q");
    assert_string_equal((char *)s.maps.items + 8, "x");
}

static void refuses(const char *text, const char *message)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    sample s;
    assert_int_equal(read_sample(&s, &arena, text), WHIST_E_FORMAT);
    assert_string_equal(whist_detail_get()->text, message);
}

static void test_kinds_refused(void **state)
{
    (void)state;
    refuses("text: abcdefgh", "t:1:7: text: longer than 7 bytes");
    refuses("text: \"a\\tb\"", "t:1:7: text: 'a\tb' must have no control characters");
    refuses("size: 5MB", "t:1:7: size: a size like 4096, 64KiB, 512MiB or 10GiB is wanted, not '5MB'");
    refuses("size: -5", "t:1:7: size: a size like 4096, 64KiB, 512MiB or 10GiB is wanted, not '-5'");
    refuses("size: 99TiB", "t:1:7: size: '99TiB' is outside 0 … 1T");
    refuses("texts: []", "t:1:8: texts: 0 entries are outside 1 … 3");
    refuses("texts: [a, [b]]", "t:1:12: texts: a single value is wanted here, not a list");
    refuses("maps: {}", "t:1:7: maps: a list is wanted here: lines that begin with '- '");
    refuses("maps: [a]", "t:1:8: maps: lines like 'key: value' or {key: value} are wanted here");
    refuses("maps: [{txt: 1}]", "t:1:9: unknown key 'txt'; did you mean 'text'? Allowed: text");
    refuses("real: nan", "t:1:7: real: a finite number is wanted, not 'nan'");
    refuses("real: 1.5", "t:1:7: real: 1.5 is outside 0 … 1");
    refuses("real: ~", "t:1:7: real: no value; write one or leave the key out");
}

/* ---- Configurations ---- */

static const char site_text[] = "name: charite\n"
                                "coordinator: https://trial.example.org:8443\n"
                                "ca: ca.pem\n"
                                "certificate: kit/site.pem\n"
                                "key: /etc/whist/site.key\n"
                                "state: state\n"
                                "data: ../data\n"
                                "columns: {age: Alter, sex: Geschlecht}\n"
                                "max_state_bytes: 2GiB\n"
                                "policy:\n"
                                "  min_sites: 3\n"
                                "  learners: [sgd, fedprox]\n";

/* Writes text with `from` replaced into FOLDER/c.yaml. */
static void write_config(char **path, const char *folder, const char *text, const char *from, const char *to)
{
    WH_AUTO(wh_buf) buf = WH_BUF_EMPTY;
    const char *at = strstr(text, from);
    assert_non_null(at);
    assert_ok(wh_buf_text(&buf, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)));
    assert_ok(wh_path(path, folder, "c.yaml"));
    assert_ok(wh_file_write(*path, wh_buf_view(&buf), 0600));
}

static void test_site_config(void **state)
{
    (void)state;
    char *dir = test_dir("config"), *path, want[600];
    write_config(&path, dir, site_text, "name", "name");
    static whist_site_config c;
    assert_ok(whist_site_config_load(&c, path));
    assert_string_equal(c.coordinator, "https://trial.example.org:8443");
    (void)snprintf(want, sizeof want, "%s/kit/site.pem", dir);
    assert_string_equal(c.certificate, want);
    assert_string_equal(c.key, "/etc/whist/site.key");
    assert_string_equal(c.crl, "");
    assert_int_equal(c.n_columns, 2);
    assert_string_equal(c.columns[1].study, "sex");
    assert_string_equal(c.columns[1].local, "Geschlecht");
    assert_int_equal(c.max_state_bytes, 2147483648u);
    assert_int_equal(c.policy.min_sites, 3);
    assert_int_equal(c.policy.max_rounds, 10000);
    assert_int_equal(c.policy.min_metric_count, 10);
    assert_string_equal(c.policy.learners, "sgd fedprox");
    assert_string_equal(c.policy.protections, "");
    wh_free(path);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void site_refuses(const char *from, const char *to, const char *message)
{
    char *dir = test_dir("config"), *path;
    write_config(&path, dir, site_text, from, to);
    static whist_site_config c;
    memset(&c, 7, sizeof c);
    assert_int_equal(whist_site_config_load(&c, path), WHIST_E_FORMAT);
    const char *text = whist_detail_get()->text;
    assert_true(strncmp(text, path, strlen(path)) == 0);
    assert_string_equal(text + strlen(path), message);
    assert_int_equal(c.name[0], 7); /* untouched */
    wh_free(path);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void test_site_config_refused(void **state)
{
    (void)state;
    site_refuses(
        "https://trial.example.org:8443", "http://trial.example.org:8443",
        ":2:14: coordinator: 'http://trial.example.org:8443' must begin with https://, because sites speak TLS "
        "only");
    site_refuses(
        "https://trial.example.org:8443", "'https://[::]:8443'",
        ":2:14: coordinator: 'https://[::]:8443' is an address to listen on (every interface), not one to call; "
        "write the name or address of the coordinator's machine");
    site_refuses("https://trial.example.org:8443", "https://0.0.0.0:8443",
                 ":2:14: coordinator: 'https://0.0.0.0:8443' is an address to listen on (every interface), not one to "
                 "call; write the name or address of the coordinator's machine");
    site_refuses("https://trial.example.org:8443", "https://trial.example.org",
                 ":2:14: coordinator: 'https://trial.example.org' must end in the port, like :8443");
    site_refuses(
        "https://trial.example.org:8443", "https://trial.example.org:8443/x",
        ":2:14: coordinator: 'https://trial.example.org:8443/x' must end in a port from 1 to 65535, like :8443");
    site_refuses("[sgd, fedprox]", "[sgd, fedprx]",
                 ":12:19: learners: unknown learner 'fedprx'; did you mean 'fedprox'?");
    site_refuses("state: state\n", "",
                 ":1:1: the key 'state' is missing: Folder for the site's state and its release log.");
    site_refuses("polic", "polyc",
                 ":10:1: unknown key 'polycy'; did you mean 'policy'? Allowed: name, coordinator, proxy, ca, "
                 "certificate, key, crl, passphrase_file, state, data, dataset, file, columns, max_state_bytes, "
                 "policy");
}

static void test_coordinator_config(void **state)
{
    (void)state;
    static const char text[] = "listen: '[::]:8443'\noperations: 127.0.0.1:9090\nca: ca.pem\ncertificate: c.pem\n"
                               "key: c.key\nstate: state\n";
    char *dir = test_dir("config"), *path;
    whist_coordinator_config c;
    write_config(&path, dir, text, "key", "key");
    assert_ok(whist_coordinator_config_load(&c, path));
    assert_string_equal(c.listen, "[::]:8443");
    assert_int_equal(c.max_spool_bytes, 64ull << 30);
    wh_free(path);
    write_config(&path, dir, text, "127.0.0.1", "10.0.0.1");
    assert_int_equal(whist_coordinator_config_load(&c, path), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, ":2:13: operations: '10.0.0.1:9090' must be a loopback address"));
    wh_free(path);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

/* ---- Words and docs ---- */

static void collect(void *user, const char *text)
{
    assert_ok(wh_buf_text(user, "%s\n", text));
}

static void append(void *user, const char *text)
{
    assert_ok(wh_buf_text(user, "%s", text));
}

static void test_names(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) buf = WH_BUF_EMPTY;
    assert_ok(whist_study_names("learners", collect, &buf));
    assert_non_null(strstr(wh_buf_str(&buf), "fedprox\n"));
    wh_buf_reset(&buf);
    assert_ok(whist_study_names("keys", collect, &buf));
    assert_non_null(strstr(wh_buf_str(&buf), "data.split.test_fraction\n"));
    assert_int_equal(whist_study_names("learner", collect, &buf), WHIST_E_ARG);
    assert_string_equal(whist_detail_get()->text,
                        "unknown kind 'learner'; did you mean 'learners'? Allowed: learners, strategies, protections, "
                        "models, metrics, keys");
}

/* docs/study.md is what the tables say. WHIST_REGENERATE=1 in the environment writes it anew. */
static void test_reference_page(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) now = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    whist_study_reference(append, &now);
    const char *slash = strrchr(__FILE__, '/');
    char path[512];
    (void)snprintf(path, sizeof path, "%.*s/../../docs/study.md", (int)(slash - __FILE__), __FILE__);
    if (getenv("WHIST_REGENERATE")) assert_ok(wh_file_write(path, wh_buf_view(&now), 0644));
    assert_ok(wh_file_read(&file, path, 1 << 20));
    if (strcmp(wh_buf_str(&now), wh_buf_str(&file)) != 0)
        fail_msg("docs/study.md is not what the tables say. Write it anew, in the build folder, by\n"
                 "  WHIST_REGENERATE=1 src/study_table_test");
}

static void test_lists(void **state)
{
    (void)state;
    size_t n = 0;
    for (const whist_bench *const *bench = whist_benches(); *bench; bench++, n++)
        assert_true((*bench)->name && (*bench)->doc && (*bench)->run);
    assert_true(n > 0);
    assert_non_null(strstr(whist_machine(), " cores"));
    assert_true(*whist_kernels());
    for (const whist_selftest *const *test = whist_selftests(); *test; test++) assert_ok((*test)->run(NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_kinds_refused),
        cmocka_unit_test(test_site_config), cmocka_unit_test(test_site_config_refused),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_coordinator_config),
        cmocka_unit_test(test_lists),       cmocka_unit_test(test_reference_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
