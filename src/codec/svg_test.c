/* Tests of charts: well-formed, complete, thinned out, refused. */
#include <math.h>
#include <string.h>

#include "test.h"
#include "whist/codec.h"

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) n++;
    return n;
}

static void test_a_chart(void **state)
{
    (void)state;
    const double x[] = {0, 1, 2, 3}, y[] = {1, 4, NAN, 2}, z[] = {2, 2, 3, 3};
    const whist_plot_line lines[] = {{"a < b & c", x, y, 4}, {NULL, x, z, 4}};
    const whist_plot plot = {.title = "Loss", .x_label = "step", .y_label = "nats", .lines = lines, .n_lines = 2};
    char *svg;
    assert_ok(whist_plot_svg(&svg, &plot));
    assert_true(strncmp(svg, "<svg xmlns=", 11) == 0 && strcmp(svg + strlen(svg) - 7, "</svg>\n") == 0);
    assert_int_equal(count(svg, "stroke-width=\"2\""), 2);  /* lines */
    assert_int_equal(count(svg, "stroke-width=\"3\""), 1);  /* one of them has a name */
    assert_non_null(strstr(svg, "a &lt; b &amp; c"));
    assert_non_null(strstr(svg, ">Loss</text>"));
    assert_non_null(strstr(svg, ">step</text>"));
    /* the point that is not a number begins the first line anew: M … L … M … */
    const char *path = strstr(svg, "stroke-width=\"2\"");
    const char *end = strstr(path, "/>");
    size_t moves = 0;
    for (const char *c = strstr(path, " d=\""); c < end; c++) moves += *c == 'M';
    assert_int_equal(moves, 2);
    /* values 1 … 4 and 0 … 3 have round ticks at their ends */
    assert_true(strstr(svg, ">1.0</text>") && strstr(svg, ">4.0</text>") && strstr(svg, ">0.0</text>"));
    whist_plot_free(svg);
}

static void test_logarithms(void **state)
{
    (void)state;
    const double x[] = {0, 1, 10, 100, 100000}, y[] = {5, 1e-8, 1e-4, 1e-2, 1};
    const whist_plot_line line = {"delta", x, y, 5};
    const whist_plot plot = {.lines = &line, .n_lines = 1, .log_x = true, .log_y = true};
    char *svg;
    assert_ok(whist_plot_svg(&svg, &plot));
    assert_true(strstr(svg, ">1e-08</text>") && strstr(svg, ">100000</text>") && strstr(svg, ">1</text>"));
    whist_plot_free(svg);
}

enum { MANY = 100000 };

static void test_many_points_stay_small(void **state)
{
    (void)state;
    static double x[MANY], y[MANY];
    for (size_t i = 0; i < MANY; i++) x[i] = (double)i, y[i] = i == 777 ? 9 : sin((double)i);
    const whist_plot_line line = {"", x, y, MANY};
    const whist_plot plot = {.lines = &line, .n_lines = 1};
    char *svg;
    assert_ok(whist_plot_svg(&svg, &plot));
    assert_true(strlen(svg) < 60000);
    assert_non_null(strstr(svg, "V81.2")); /* the one high point is there: 9 of -2 … 10 */
    whist_plot_free(svg);
}

static void test_refusals(void **state)
{
    (void)state;
    const double nan = NAN, one = 1, zero = 0;
    char *svg = NULL;
    whist_plot_line line = {"x", &one, &nan, 1};
    whist_plot plot = {.lines = &line, .n_lines = 1};
    assert_int_equal(whist_plot_svg(&svg, &plot), WHIST_E_ARG);
    line.y = &zero, plot.log_y = true;
    assert_int_equal(whist_plot_svg(&svg, &plot), WHIST_E_ARG);
    plot.log_y = false, plot.title = "\xff";
    assert_int_equal(whist_plot_svg(&svg, &plot), WHIST_E_FORMAT);
    plot.title = NULL, plot.n_lines = 0;
    assert_int_equal(whist_plot_svg(&svg, &plot), WHIST_E_ARG);
    assert_null(svg);
    plot.n_lines = 1; /* a single point at 0 has room around it */
    assert_ok(whist_plot_svg(&svg, &plot));
    whist_plot_free(svg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chart),
        cmocka_unit_test(test_logarithms),
        cmocka_unit_test(test_many_points_stay_small),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
