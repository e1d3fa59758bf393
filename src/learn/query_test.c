/* Tests of private statistics: answers that are nearly exact where epsilon is large, charges that sum to what was
 * asked, refusals, and an audit of a sum whose table has a row far beyond the bounds. Replayed noise: a pass is a pass
 * for ever; with fresh seeds the limits below fail with probability below 1e-6 each, fewer than 20 of them. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "dp/mechanism/pay.h"
#include "test.h"
#include "whist/learn.h"

enum { ROWS = 200 };

static char level_a[] = "a", level_b[] = "b", level_c[] = "c";
static char *levels_of_kind[] = {level_a, level_b, level_c};
static whist_column columns[] = {
    {.name = "age", .type = WHIST_COLUMN_REAL},
    {.name = "kind", .type = WHIST_COLUMN_CATEGORY, .levels = levels_of_kind, .n_levels = 3, .drop_first = true},
    {.name = "other", .type = WHIST_COLUMN_REAL},
    {.name = "sick", .type = WHIST_COLUMN_TARGET},
};
static const whist_schema schema = {.set = "t",
                                    .format = WHIST_DATA_CSV,
                                    .task = WHIST_TASK_BINARY,
                                    .header = true,
                                    .rows_with_missing = WHIST_MISSING_DROP,
                                    .standardize = WHIST_STANDARDIZE_SITE,
                                    .columns = columns,
                                    .n_columns = 4,
                                    .test_fraction = 0.3};

typedef struct purse {
    double epsilon, delta, n;
    bool refuses;
} purse;

/* What one charge costs by itself. */
static whist_status charge(void *user, const whist_dp_event *e)
{
    purse *p = user;
    const double reach = e->relation == WHIST_DP_REPLACE ? 2 : 1;
    if (p->refuses) return WHIST_E_BUDGET;
    p->n++;
    if (e->mechanism == WHIST_DP_LAPLACE) p->epsilon += reach / e->noise;
    if (e->mechanism == WHIST_DP_DISCRETE_LAPLACE) p->epsilon += reach * e->noise;
    if (e->mechanism == WHIST_DP_EXPONENTIAL) p->epsilon += e->epsilon;
    if (e->mechanism == WHIST_DP_GAUSSIAN) {
        double epsilon;
        assert_ok(whist_dp_gaussian_epsilon(&epsilon, e->noise / reach, p->delta));
        p->epsilon += epsilon;
    }
    return WHIST_OK;
}

/* age 20 … 59 by turns, kind a b c, sick where age < 30; every tenth row lacks `other`; one row of age 5000 or not. */
static char *write_table(const char *name, bool outlier)
{
    char *folder = test_dir(name), path[512];
    snprintf(path, sizeof path, "%s/t.csv", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("age,kind,other,sick\n", file);
    for (int i = 0; i < ROWS; i++) {
        int age = 20 + i % 40;
        fprintf(file, "%d,%s,%s,%d\n", age, levels_of_kind[i % 3], i % 10 ? "1.5" : "", age < 30);
    }
    if (outlier) fputs("5000,a,1.5,0\n", file);
    assert_int_equal(fclose(file), 0);
    return folder;
}

static void end_table(char *folder)
{
    assert_ok(wh_tree_remove(folder));
    test_dir_free(folder);
}

static whist_status ask(whist_query_answer *out, const char *const *text, size_t n, const char *folder,
                        const whist_query_terms *terms)
{
    whist_query *queries[8] = {NULL};
    const whist_data_source source = {.folder = folder, .file = "t.csv", .site = "here", .n_sites = 1};
    whist_status status = WHIST_OK;
    for (size_t i = 0; i < n && status == WHIST_OK; i++) status = whist_query_parse(&queries[i], text[i], &schema);
    if (status == WHIST_OK) status = whist_query_run(out, queries, n, &schema, &source, 1, terms);
    for (size_t i = 0; i < n; i++) whist_query_free(queries[i]);
    return status;
}

static whist_query_terms terms_of(purse *p, double epsilon)
{
    return (whist_query_terms){.epsilon = epsilon, .payer = {charge, p, WHIST_DP_ADD_REMOVE, WHIST_DP_RECORD}};
}

static void near(double value, double expected, double doubt)
{
    if (!(fabs(value - expected) <= doubt)) fail_msg("%g is not %g +- %g", value, expected, doubt);
}

static void check_answers(whist_query_terms terms, purse *p)
{
    static const char *const text[] = {"count",
                                       "count(kind=b)",
                                       "sum(age, 0, 100)",
                                       " mean( age, 0,100 )",
                                       "variance(age, 0, 100)",
                                       "quantile(age, 0.5, 0, 100, 101)",
                                       "histogram(age, 20, 60, 4)",
                                       "contingency(kind, sick)"};
    whist_query_answer a[8];
    char *folder = write_table("query", false);
    wh_dp_replay(1);
    assert_ok(ask(a, text, 8, folder, &terms));
    wh_dp_replay(0);
    near(a[0].values[0].value, ROWS, 8);
    near(a[1].values[0].value, 67, 8);
    near(a[2].values[0].value, ROWS * 39.5, 300);
    near(a[3].values[0].value, 39.5, 3);
    near(a[4].values[0].value, 133.25, 120);
    near(a[5].values[0].value, 40, 3);
    assert_int_equal(a[6].n, 4);
    for (size_t i = 0; i < 4; i++) near(a[6].values[i].value, 50, 8);
    assert_string_equal(a[6].values[1].label, "age 30 to 40");
    assert_int_equal(a[7].n, 6);
    assert_string_equal(a[7].values[3].label, "kind=b sick=1");
    near(a[7].values[3].value, 17, 9);
    assert_true(p->n == 11 && p->epsilon <= terms.epsilon && p->epsilon > 0.98 * terms.epsilon);
    for (size_t i = 0; i < 8; i++) whist_query_answer_clear(&a[i]);
    end_table(folder);
}

static void test_answers(void **state)
{
    (void)state;
    purse p = {.n = 0};
    check_answers(terms_of(&p, 24), &p);
    p = (purse){.n = 0};
    whist_query_terms replaced = terms_of(&p, 48);
    replaced.payer.relation = WHIST_DP_REPLACE;
    check_answers(replaced, &p);
}

/* What is said of the noise is its law's: Σ x² p(x) for discrete Laplace, which at an epsilon of 5 is far from √2/5. */
static void test_noise_is_said_as_it_is(void **state)
{
    (void)state;
    static const double epsilons[] = {0.1, 1, 5, 8};
    static const char *const text[] = {"count"};
    char *folder = write_table("query", false);
    for (size_t k = 0; k < 8; k++) {
        const double a = epsilons[k / 2];
        double sum = 0, all = 0;
        purse p = {.n = 0};
        whist_query_terms terms = terms_of(&p, a);
        whist_query_answer answer[1];
        for (int x = -2000; x <= 2000; x++) all += exp(-a * abs(x)), sum += exp(-a * abs(x)) * x * x;
        if (k % 2) terms.steady = true, terms.delta = 1e-6, terms.public_n = 1000;
        if (k % 2 && a == 8) continue; /* its second charge is above the terms' */
        assert_ok(ask(answer, text, 1, folder, &terms));
        near(answer[0].values[0].noise, sqrt(sum / all), 1e-6 * sqrt(sum / all));
        whist_query_answer_clear(&answer[0]);
    }
    end_table(folder);
}

/* Gaussian noise: each charge alone stays within its share. */
static void test_gaussian(void **state)
{
    (void)state;
    static const char *const text[] = {"count", "sum(age, 0, 100)"};
    purse p = {.delta = 0.5e-6 * (1 - 0x1p-40)};
    whist_query_terms terms = terms_of(&p, 2);
    whist_query_answer a[2];
    char *folder = write_table("query", false);
    terms.delta = 1e-6;
    terms.public_n = 1000;
    assert_ok(ask(a, text, 2, folder, &terms));
    assert_true(p.n == 2 && p.epsilon <= 2 * (1 + 1e-6) && p.epsilon > 1.98);
    near(a[0].values[0].value, ROWS, 9 * a[0].values[0].noise);
    for (size_t i = 0; i < 2; i++) whist_query_answer_clear(&a[i]);
    end_table(folder);
}

static void refuse(const char *text, whist_status code)
{
    whist_query *query = NULL;
    assert_int_equal(whist_query_parse(&query, text, &schema), code);
    assert_null(query);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "mean(age)",
                                        "mean(age, 0)",
                                        "mean(age, 5, 5)",
                                        "mean(age, 0, inf)",
                                        "mean(age, nan, 1)",
                                        "mean(kind, 0, 1)",
                                        "mean(agee, 0, 1)",
                                        "median(age, 0, 1)",
                                        "histogram(age)",
                                        "count(kind=z)",
                                        "count(kind",
                                        "quantile(age, 2, 0, 1)",
                                        "contingency(age, sick)",
                                        "sum(age,,1)",
                                        "histogram(age, 0, 1, 0)",
                                        "sum(a,b,c,d,e,f,g,h)"};
    for (size_t i = 0; i < WH_COUNT(wrong); i++) refuse(wrong[i], WHIST_E_ARG);
    static const char *const text[] = {"count"};
    char *folder = write_table("query", false);
    whist_query_answer a;
    purse p = {.n = 0};
    const double bad_epsilon[] = {0, -1, NAN, INFINITY}, bad_delta[] = {-1e-9, NAN, 1, 1e-3, 2e-3};
    for (size_t i = 0; i < WH_COUNT(bad_epsilon); i++) {
        whist_query_terms terms = terms_of(&p, bad_epsilon[i]);
        assert_int_equal(ask(&a, text, 1, folder, &terms), WHIST_E_ARG);
    }
    for (size_t i = 0; i < WH_COUNT(bad_delta); i++) {
        whist_query_terms terms = terms_of(&p, 1);
        terms.delta = bad_delta[i];
        terms.public_n = 1000;
        assert_int_equal(ask(&a, text, 1, folder, &terms), WHIST_E_ARG);
    }
    whist_query_terms terms = terms_of(&p, 1);
    terms.delta = 1e-9; /* without a public bound */
    assert_int_equal(ask(&a, text, 1, folder, &terms), WHIST_E_ARG);
    terms = terms_of(&p, 1);
    p.refuses = true;
    assert_int_equal(ask(&a, text, 1, folder, &terms), WHIST_E_BUDGET);
    assert_true(p.n == 0);
    end_table(folder);
}

/* Rows are left out for what they lack themselves, and only of columns that are asked for. */
static void test_missing(void **state)
{
    (void)state;
    static const char *const all[] = {"count"}, *const some[] = {"count", "sum(other, 0, 2)"};
    char *folder = write_table("query", false);
    purse p = {.n = 0};
    whist_query_terms terms = terms_of(&p, 100);
    whist_query_answer a[2];
    wh_dp_replay(3);
    assert_ok(ask(a, all, 1, folder, &terms));
    near(a[0].values[0].value, ROWS, 2);
    whist_query_answer_clear(&a[0]);
    assert_ok(ask(a, some, 2, folder, &terms));
    near(a[0].values[0].value, ROWS * 9 / 10, 2);
    near(a[1].values[0].value, ROWS * 9 / 10 * 1.5, 2);
    for (size_t i = 0; i < 2; i++) whist_query_answer_clear(&a[i]);
    wh_dp_replay(0);
    end_table(folder);
}

/* The table with and without a row of age 5000, bounds 0 to 100: a set of outputs separates them by no more than
 * epsilon = 1, at three standard errors beyond which a right sum falls with probability below 1e-6 in both rates. */
static void test_audit(void **state)
{
    (void)state;
    enum { RUNS = 3000 };
    static const char *const text[] = {"sum(age, 0, 100)"};
    double above[2] = {0, 0};
    for (int with = 0; with < 2; with++) {
        char *folder = write_table("query", with);
        purse p = {.n = 0};
        const whist_query_terms terms = terms_of(&p, 1);
        wh_dp_replay(with ? 10000 : 20000);
        for (int run = 0; run < RUNS; run++) {
            whist_query_answer a;
            assert_ok(ask(&a, text, 1, folder, &terms));
            above[with] += a.values[0].value >= ROWS * 39.5 + 100;
            whist_query_answer_clear(&a);
        }
        wh_dp_replay(0);
        end_table(folder);
    }
    const double sd = sqrt(1 / above[0] + 1 / above[1]), found = log(above[1] / above[0]);
    if (!(found - 5 * sd <= 1 && found > 0.7)) fail_msg("the audit finds epsilon %g +- %g", found, sd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),  cmocka_unit_test(test_noise_is_said_as_it_is),
        cmocka_unit_test(test_gaussian), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_missing),  cmocka_unit_test(test_audit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
