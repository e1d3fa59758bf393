/* Tests of private statistics: answers that are nearly exact where epsilon is large, charges that sum to what was
 * asked, refusals, and an audit of a sum whose table has a row far beyond the bounds. Replayed noise: a pass is a pass
 * for ever; with fresh seeds the limits below fail with probability below 1e-6 each, fewer than 20 of them. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "dp/mechanism/pay.h"
#include "learn/query.h"
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
    if (e->mechanism == WHIST_DP_EXPONENTIAL || e->mechanism == WHIST_DP_PERMUTE_AND_FLIP ||
        e->mechanism == WHIST_DP_NOISY_MAX || e->mechanism == WHIST_DP_PURE)
        p->epsilon += e->epsilon;
    if (e->mechanism == WHIST_DP_RANDOMISED_RESPONSE) p->epsilon += log1p(e->k * (1 - e->p) / e->p);
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

/* Each question alone: of columns that it does not name neither bounds nor anything else is looked at. */
static void test_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double expected, doubt;
    } alone[] = {
        {"count", ROWS, 2},
        {"count(kind=b)", 67, 2},
        {"sum(age)", ROWS * 39.5, 60},
        {"mean(age)", 39.5, 1},
        {"variance(age)", 133.25, 20},
        {"quantile(age, 0.5)", 40, 1},
        {"histogram(age, 0, 120, 1)", ROWS, 2},
        {"histogram(kind)", 67, 2},
        {"contingency(kind, kind)", 67, 2},
        {"contingency(kind, sick)", 50, 2},
        {"count(sick=1)", 50, 2},
    };
    char *folder = write_table("query", false);
    purse p = {.n = 0};
    const whist_query_terms terms = terms_of(&p, 50);
    columns[0].has_bounds = columns[2].has_bounds = columns[2].has_fill = true;
    columns[0].high = columns[2].high = 120;
    wh_dp_replay(9);
    for (size_t i = 0; i < WH_COUNT(alone); i++) {
        whist_query_answer a;
        assert_ok(ask(&a, &alone[i].text, 1, folder, &terms));
        near(a.values[0].value, alone[i].expected, alone[i].doubt);
        whist_query_answer_clear(&a);
    }
    wh_dp_replay(0);
    columns[0].has_bounds = columns[2].has_bounds = columns[2].has_fill = false;
    end_table(folder);
}

/* `n` rows of one column: value(i), read as the column age. */
static double quantile_of(const char *question, size_t n, double (*value)(size_t), double epsilon)
{
    char *folder = test_dir("quantile"), path[512];
    snprintf(path, sizeof path, "%s/t.csv", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("age\n", file);
    for (size_t i = 0; i < n; i++) fprintf(file, "%.6g\n", value(i));
    assert_int_equal(fclose(file), 0);
    purse p = {.n = 0};
    const whist_query_terms terms = terms_of(&p, epsilon);
    whist_query_answer a;
    assert_ok(ask(&a, &question, 1, folder, &terms));
    const double found = a.values[0].value;
    whist_query_answer_clear(&a);
    end_table(folder);
    return found;
}

static double all_50(size_t i)
{
    (void)i;
    return 50;
}

static double mostly_50(size_t i)
{
    return i % 5 ? 50 : (double)(i % 100);
}

static double far_above(size_t i)
{
    (void)i;
    return 1e6;
}

static double far_below(size_t i)
{
    (void)i;
    return -1e6;
}

/* The normal law's quantiles, mean 60, standard deviation 10, by a rational approximation good to .003. */
static double normal(size_t i)
{
    const double p = ((double)i + 0.5) / 2000, tail = p < 0.5 ? p : 1 - p, t = sqrt(-2 * log(tail));
    const double z = t - (2.30753 + 0.27061 * t) / (1 + 0.99229 * t + 0.04481 * t * t);
    return 60 + 10 * (p < 0.5 ? -z : z);
}

/* Half a step of the candidates is 60/999. At epsilon 10 a candidate whose rank is off by r loses e^(10 r): what is
 * allowed below is off by 10 ranks and more, against 1,000 candidates. */
static void test_quantiles(void **state)
{
    (void)state;
    wh_dp_replay(17);
    for (int run = 0; run < 20; run++) {
        near(quantile_of("quantile(age, 0.5, 0, 120)", 5000, all_50, 10), 50, 0.07);
        near(quantile_of("quantile(age, 0.1, 0, 120)", 5000, all_50, 10), 50, 0.07);
        near(quantile_of("quantile(age, 0.5, 0, 120)", 5000, mostly_50, 10), 50, 0.07);
        near(quantile_of("quantile(age, 0.5, 0, 120)", 5000, far_above, 10), 120, 0);
        near(quantile_of("quantile(age, 0.5, 0, 120)", 5000, far_below, 10), 0, 0);
        near(quantile_of("quantile(age, 0.5, 0, 120)", 1, all_50, 90), 50, 0.07);
        near(quantile_of("quantile(age, 0.5, 0, 120)", 2000, normal, 10), 60, 0.4);
        near(quantile_of("quantile(age, 0.95, 0, 120)", 2000, normal, 10), 76.45, 1.5);
    }
    wh_dp_replay(0);
}

/* All tables of up to four rows over four candidates, and all their neighbours: no score moves by more than is said,
 * and some score moves by as much. */
static void test_rank_sensitivity(void **state)
{
    (void)state;
    static const int64_t parts[] = {0, 100000, 500000, 731000, 1000000};
    for (size_t k = 0; k < WH_COUNT(parts); k++)
        for (int relation = 0; relation < 2; relation++) {
            int64_t widest = 0, said = 0;
            for (unsigned code = 0; code < 625; code++)
                for (unsigned pair = 0; pair < 16; pair++) {
                    int64_t a[4], b[4];
                    for (unsigned i = 0, c = code; i < 4; i++, c /= 5) a[i] = b[i] = c % 5;
                    a[pair % 4]++;
                    if (relation) b[pair / 4]++;
                    const whist_dp_relation which = relation ? WHIST_DP_REPLACE : WHIST_DP_ADD_REMOVE;
                    said = wh_query_score_ranks(a, 4, parts[k], which);
                    assert_int_equal(wh_query_score_ranks(b, 4, parts[k], which), said);
                    for (unsigned i = 0; i < 4; i++) {
                        const int64_t moved = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
                        if (moved > widest) widest = moved;
                    }
                }
            assert_int_equal(widest, said);
        }
}

/* A table without rows, and one whose only row lacks what is asked, are tables like others. */
static void test_no_rows(void **state)
{
    (void)state;
    static const char *const tables[] = {"age,kind,other,sick\n", "age,kind,other,sick\n,,1,\n"};
    static const char *const text[] = {"sum(age, 0, 100)",       "mean(age, 0, 100)", "variance(age, 0, 100)",
                                       "histogram(kind)",        "count(sick=1)",     "quantile(age, 0.5, 0, 100)",
                                       "contingency(kind, sick)"};
    for (size_t t = 0; t < WH_COUNT(tables); t++) {
        char *folder = test_dir("none"), path[512];
        snprintf(path, sizeof path, "%s/t.csv", folder);
        assert_ok(wh_file_write(path, (whist_bytes){(const uint8_t *)tables[t], strlen(tables[t])}, 0644));
        purse p = {.n = 0};
        const whist_query_terms terms = terms_of(&p, 70);
        whist_query_answer a[7];
        wh_dp_replay(5);
        assert_ok(ask(a, text, 7, folder, &terms));
        wh_dp_replay(0);
        near(a[0].values[0].value, 0, 200);
        assert_true(a[1].values[0].value >= 0 && a[1].values[0].value <= 100);
        assert_true(a[2].values[0].value >= 0 && a[2].values[0].value <= 2500);
        near(a[3].values[0].value, 0, 3);
        near(a[4].values[0].value, 0, 3);
        assert_true(a[5].values[0].value >= 0 && a[5].values[0].value <= 100);
        for (size_t i = 0; i < 7; i++) whist_query_answer_clear(&a[i]);
        end_table(folder);
    }
}

/* kind a, b, c: 67, 67, 66 rows; sick 1 in a quarter of them. */
static void test_choices(void **state)
{
    (void)state;
    static const char *const text[] = {"mode(sick)",       "mode(sick, noisy_max)", "mode(sick, exponential)",
                                       "above(sick, 100)", "above(sick, 30, 2)",    "above(kind, 150, 3)"};
    char *folder = write_table("query", false);
    for (int relation = 0; relation < 2; relation++) {
        purse p = {.n = 0};
        whist_query_terms terms = terms_of(&p, 36);
        terms.payer.relation = relation ? WHIST_DP_REPLACE : WHIST_DP_ADD_REMOVE;
        whist_query_answer a[6];
        wh_dp_replay(21);
        assert_ok(ask(a, text, 6, folder, &terms));
        wh_dp_replay(0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(a[i].n, 1);
            assert_string_equal(a[i].values[0].label, "sick=0");
            assert_true(a[i].values[0].noise == 0);
        }
        assert_true(a[3].n == 1 && a[3].values[0].value == 1); /* said once: the rest is not asked */
        assert_true(a[4].n == 2 && a[4].values[0].value == 1 && a[4].values[1].value == 1);
        assert_true(a[5].n == 3 && a[5].values[0].value + a[5].values[1].value + a[5].values[2].value == 0);
        assert_true(p.n == 6 && p.epsilon <= 36 && p.epsilon > 35.99);
        for (size_t i = 0; i < 6; i++) whist_query_answer_clear(&a[i]);
    }
    end_table(folder);
}

/* Of the level that is told most often among equals the lowest is none: every level comes up (chance to fail 1e-9). */
static void test_choices_are_drawn(void **state)
{
    (void)state;
    static const char *const text[] = {"mode(kind)", "mode(kind, noisy_max)"};
    char *folder = write_table("query", false);
    int seen[3] = {0};
    wh_dp_replay(22);
    for (int run = 0; run < 60; run++) {
        purse p = {.n = 0};
        const whist_query_terms terms = terms_of(&p, 0.1);
        whist_query_answer a[2];
        assert_ok(ask(a, text, 2, folder, &terms));
        for (int i = 0; i < 2; i++) {
            seen[(int)a[i].values[0].value]++;
            whist_query_answer_clear(&a[i]);
        }
    }
    wh_dp_replay(0);
    assert_true(seen[0] > 10 && seen[1] > 10 && seen[2] > 10);
    end_table(folder);
}

/* Local answers: unbiased to five of the deviations that they state; a row without a value is a level of its own; the
 * sum of what is told says how many rows there are, so added rows are refused. */
static void test_local(void **state)
{
    (void)state;
    static const char *const text[] = {"response(kind)", "unary(kind)", "response(sick)"};
    static const double expected[] = {67, 67, 66, 0};
    char *folder = write_table("query", false);
    purse p = {.n = 0};
    whist_query_terms terms = terms_of(&p, 9);
    whist_query_answer a[3];
    assert_int_equal(ask(a, text, 1, folder, &terms), WHIST_E_ARG);
    terms.payer.relation = WHIST_DP_REPLACE;
    wh_dp_replay(23);
    assert_ok(ask(a, text, 3, folder, &terms));
    wh_dp_replay(0);
    for (int i = 0; i < 2; i++) {
        double sum = 0;
        assert_int_equal(a[i].n, 4);
        assert_string_equal(a[i].values[3].label, "kind without a value");
        for (int l = 0; l < 4; l++) {
            near(a[i].values[l].value, expected[l], 5 * a[i].values[l].noise + 1e-9);
            sum += a[i].values[l].value;
        }
        assert_true(a[i].values[0].noise > 1 && a[i].values[0].noise < 12);
        if (i == 0) near(sum, ROWS, 1e-6);
    }
    near(a[2].values[1].value, 50, 40);
    assert_true(p.n == 3 && p.epsilon <= 9 * (1 + 1e-9) && p.epsilon > 8.99);
    for (size_t i = 0; i < 3; i++) whist_query_answer_clear(&a[i]);
    end_table(folder);
}

/* What is said of the noise is what it is: over many askings the error's second moment is the variance that is stated.
 */
static void test_local_deviation(void **state)
{
    (void)state;
    enum { TIMES = 400 };
    static const char *const text[] = {"response(kind)", "unary(kind)"};
    static const double expected[] = {67, 67, 66, 0};
    char *folder = write_table("query", false);
    double error[2] = {0}, said[2] = {0};
    wh_dp_replay(24);
    for (int run = 0; run < TIMES; run++) {
        purse p = {.n = 0};
        whist_query_terms terms = terms_of(&p, 6);
        whist_query_answer a[2];
        terms.payer.relation = WHIST_DP_REPLACE;
        assert_ok(ask(a, text, 2, folder, &terms));
        for (int i = 0; i < 2; i++)
            for (int l = 0; l < 3; l++) {
                const whist_query_value *v = &a[i].values[l];
                error[i] += (v->value - expected[l]) * (v->value - expected[l]);
                said[i] += v->noise * v->noise;
            }
        for (int i = 0; i < 2; i++) whist_query_answer_clear(&a[i]);
    }
    wh_dp_replay(0);
    for (int i = 0; i < 2; i++)
        near(error[i] / said[i], 1, 0.2); /* 1,200 squares: more than four deviations of their mean */
    end_table(folder);
}

/* What cannot be drawn is refused in words that name what to change. */
static void test_extremes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double epsilon;
        const char *says;
    } wrong[] = {
        {"mean(age, 0, 1e-308)", 1, "at least 1e-100 apart"},
        {"sum(age, 0, 1e308)", 1, "from -1e+100 to 1e+100"},
        {"sum(age, 1, 0)", 1, "the lower one comes first"},
        {"variance(age, 0, 100)", 1e-7, "its share has to be"},
        {"sum(age, 0, 100)", 1e-9, "its share has to be"},
        {"mode(kind, best)", 1, "permute_and_flip, noisy_max"},
        {"above(kind)", 1, "THRESHOLD"},
        {"above(kind, -1)", 1, "whole numbers"},
        {"mode(age)", 1, "no list of levels"},
        {"response(age)", 1, "no list of levels"},
    };
    char *folder = write_table("query", false);
    for (size_t i = 0; i < WH_COUNT(wrong); i++) {
        purse p = {.n = 0};
        const whist_query_terms terms = terms_of(&p, wrong[i].epsilon);
        whist_query_answer a;
        assert_int_not_equal(ask(&a, &wrong[i].text, 1, folder, &terms), WHIST_OK);
        if (!strstr(whist_detail_get()->text, wrong[i].says))
            fail_msg("'%s' does not say '%s'", whist_detail_get()->text, wrong[i].says);
    }
    static const char *const little[] = {"count"};
    purse few = {.n = 0};
    const whist_query_terms faint = terms_of(&few, 1e-4), none = terms_of(&few, 1e-9);
    whist_query_answer counted;
    assert_ok(ask(&counted, little, 1, folder, &faint));
    assert_true(few.epsilon <= 1e-4 && few.epsilon > 0.99e-4 && counted.values[0].noise > 1.4e4);
    whist_query_answer_clear(&counted);
    assert_int_equal(ask(&counted, little, 1, folder, &none), WHIST_E_RANGE);
    static const char *const small[] = {"sum(age, 0, 1e-99)"}, *const large[] = {"mean(age, -1e100, 1e100)"};
    purse p = {.n = 0};
    const whist_query_terms terms = terms_of(&p, 1);
    whist_query_answer a;
    assert_ok(ask(&a, small, 1, folder, &terms));
    whist_query_answer_clear(&a);
    assert_ok(ask(&a, large, 1, folder, &terms));
    whist_query_answer_clear(&a);
    end_table(folder);
}

/* Rows that a draw over all of them deals out are one table: a part of them is refused. */
static void test_dealt(void **state)
{
    (void)state;
    char *folder = write_table("query", false);
    whist_schema dealt = schema;
    dealt.partition = WHIST_PARTITION_IID;
    const whist_data_source both[] = {{.folder = folder, .file = "t.csv", .site = "a", .site_index = 0, .n_sites = 2},
                                      {.folder = folder, .file = "t.csv", .site = "b", .site_index = 1, .n_sites = 2}};
    purse p = {.n = 0};
    const whist_query_terms terms = terms_of(&p, 50);
    whist_query *query = NULL;
    whist_query_answer a;
    assert_ok(whist_query_parse(&query, "count", &dealt));
    assert_ok(whist_query_run(&a, &query, 1, &dealt, both, 2, &terms));
    near(a.values[0].value, ROWS, 2);
    whist_query_answer_clear(&a);
    assert_int_equal(whist_query_run(&a, &query, 1, &dealt, both, 1, &terms), WHIST_E_ARG);
    assert_true(p.n == 1);
    whist_query_free(query);
    end_table(folder);
}

/* Rows are left out for what they lack themselves, by each question for what it asks: "count" asks nothing. */
static void test_missing(void **state)
{
    (void)state;
    static const char *const all[] = {"count"};
    static const char *const some[] = {"count", "sum(other, 0, 2)", "histogram(kind)", "histogram(other, 0, 2, 1)"};
    char *folder = write_table("query", false);
    purse p = {.n = 0};
    whist_query_terms terms = terms_of(&p, 100);
    whist_query_answer a[4];
    wh_dp_replay(3);
    assert_ok(ask(a, all, 1, folder, &terms));
    near(a[0].values[0].value, ROWS, 2);
    whist_query_answer_clear(&a[0]);
    assert_ok(ask(a, some, 4, folder, &terms));
    near(a[0].values[0].value, ROWS, 2);
    near(a[1].values[0].value, ROWS * 9 / 10 * 1.5, 2);
    near(a[2].values[0].value, 67, 2);
    near(a[3].values[0].value, ROWS * 9 / 10, 2);
    for (size_t i = 0; i < 4; i++) whist_query_answer_clear(&a[i]);
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
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_noise_is_said_as_it_is),
        cmocka_unit_test(test_gaussian),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_audit),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_rank_sensitivity),
        cmocka_unit_test(test_no_rows),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_choices_are_drawn),
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_local_deviation),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_dealt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
