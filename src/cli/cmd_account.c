/* cli/cmd_account.c: whist dp account|calibrate: what a private run costs, and how much noise a budget asks for. */
#include "cli/commands.h"
#include "cli/design.h"
#include "cli/file.h"
#include "cli/term.h"

#include <whist/dp.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_MAX = 1 << 20, POINTS = 25 };

/* ---- Events from the command line or a file ---- */

static void end_events(whist_dp_events *events)
{
    if (events->n) whist_dp_events_clear(events);
}

static int real_option(double *out, const cli_args *args, const char *name, double fallback)
{
    const char *text = cli_text(args, name);
    char *end;
    *out = fallback;
    if (!text) return CLI_OK;
    *out = strtod(text, &end);
    if (*end || isnan(*out)) return cli_fail_text(CLI_USAGE, "usage", "--%s takes a number, not '%s'", name, text);
    return CLI_OK;
}

/* Options that are fields of an event go into it as they stand; the reader of events knows which belong together. */
static int put_field(whist_json *json, const cli_args *args, const char *name)
{
    const char *text = cli_text(args, name);
    double value;
    if (!text) return CLI_OK;
    CLI_TRY(real_option(&value, args, name, 0));
    whist_json_key(json, name);
    errno = 0;
    const unsigned long long n = strtoull(text, NULL, 10);
    const bool whole = *text && strspn(text, "0123456789") == strlen(text) && errno == 0 && n <= INT64_MAX;
    if (isinf(value))
        whist_json_text(json, "inf");
    else if (whole)
        whist_json_uint(json, n); /* as it stands: a double would round it */
    else
        whist_json_real(json, value);
    return CLI_OK;
}

/* open: the field that is to be found, and so need not be given. */
static int put_event(whist_json *json, const cli_args *args, const cli_design *design, const char *open)
{
    static const char *const fields[] = {"noise",
                                         "mechanism-epsilon",
                                         "mechanism-delta",
                                         "rho",
                                         "p",
                                         "k",
                                         "sensitivity",
                                         "dimension",
                                         "steps",
                                         "rate",
                                         "n",
                                         "batch",
                                         "bins",
                                         "count",
                                         "group"};
    whist_json_begin_array(json);
    whist_json_begin_object(json);
    whist_json_key(json, "mechanism"),
        whist_json_text(json, design->on ? "gaussian" : cli_text(args, "mechanism")); /* a run is one of these */
    whist_json_key(json, "sampling"),
        whist_json_text(json, cli_text(args, "sampling") ? cli_text(args, "sampling") : "all");
    whist_json_key(json, "relation"),
        whist_json_text(json, cli_text(args, "relation") ? cli_text(args, "relation") : "add_remove");
    whist_json_key(json, "unit"), whist_json_text(json, cli_text(args, "unit") ? cli_text(args, "unit") : "record");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (design->on && strcmp(fields[i], "steps") == 0) continue; /* the design's */
        if (strncmp(fields[i], "mechanism-", 10) != 0) {
            CLI_TRY(put_field(json, args, fields[i]));
        } else if (cli_text(args, fields[i])) {
            double value;
            CLI_TRY(real_option(&value, args, fields[i], 0));
            whist_json_key(json, fields[i] + 10), whist_json_real(json, value);
        }
    }
    if (open && strcmp(open, "count") != 0 && !cli_text(args, open))
        whist_json_key(json, open), whist_json_real(json, strcmp(open, "rate") == 0 ? 0.01 : 1);
    whist_json_end_object(json);
    whist_json_end_array(json);
    return CLI_OK;
}

/* The one event of the command line. *code: of what is wrong with an option, which has been told. */
static whist_status read_event(whist_dp_events *out, cli_design *design, const cli_args *args, const char *open,
                               int *code)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    const char *text;
    whist_status status = whist_json_new(&json);
    if (status != WHIST_OK) return status;
    *code = put_event(json, args, design, open);
    if (*code != CLI_OK) return WHIST_OK;
    status = whist_json_finish(json, &text);
    return status == WHIST_OK ? whist_dp_events_read(out, (whist_bytes){(const uint8_t *)text, strlen(text)}) : status;
}

static int events_of(whist_dp_events *out, cli_design *design, const cli_args *args, const char *open)
{
    const char *path = cli_text(args, "events");
    int code = CLI_OK;
    if (!path == !cli_text(args, "mechanism"))
        return cli_fail_text(CLI_USAGE, "usage", "say what runs: --events FILE, or --mechanism NAME with its numbers");
    CLI_TRY(cli_design_read(design, args));
    if (path) {
        CLI_AUTO(cli_blob_clear) cli_blob blob = {0};
        CLI_TRY(cli_read(&blob, path, EVENTS_MAX));
        whist_status status = whist_dp_events_read(out, cli_view(&blob));
        return status == WHIST_OK ? CLI_OK : cli_fail_file(status, path);
    }
    /* Without what is open first: a mechanism that is whole then has no such number, and calibrating says so. */
    if (open && read_event(out, design, args, NULL, &code) == WHIST_OK) return code;
    whist_status status = read_event(out, design, args, open, &code);
    if (code != CLI_OK) return code;
    return status == WHIST_OK ? CLI_OK : cli_fail_word(status);
}

/* ---- Questions ---- */

typedef struct question {
    bool want_delta;
    double given;
    double budget; /* adaptive: a filter's; 0: none */
} question;

static int question_of(question *out, const cli_args *args)
{
    const char *delta = cli_text(args, "delta"), *epsilon = cli_text(args, "epsilon");
    if (!delta == !epsilon)
        return cli_fail_text(CLI_USAGE, "usage", "ask for one: --delta D gives epsilon, --epsilon E gives delta");
    out->want_delta = epsilon != NULL;
    if (cli_flag(args, "adaptive") && epsilon)
        return cli_fail_text(CLI_USAGE, "usage",
                             "what an adaptive run has spent is told at a --delta fixed beforehand");
    if (cli_text(args, "budget") && !cli_flag(args, "adaptive"))
        return cli_fail_text(CLI_USAGE, "usage",
                             "--budget is for --adaptive runs; dp calibrate asks what a plan may spend");
    CLI_TRY(real_option(&out->budget, args, "budget", 0));
    return real_option(&out->given, args, epsilon ? "epsilon" : "delta", 0);
}

static int method_of(whist_dp_method *out, const char *word, bool or_all)
{
    for (whist_dp_method m = 0; m < WHIST_DP_METHODS; m++)
        if (strcmp(word, whist_dp_method_name(m)) == 0) {
            *out = m;
            return CLI_OK;
        }
    return cli_fail_text(CLI_USAGE, "usage", "there is no method '%s': pld, rdp, zcdp or gdp%s", word,
                         or_all ? ", or all of them" : "");
}

static whist_dp_options options_of(const cli_args *args, const whist_dp_events *events, whist_dp_method method)
{
    return (whist_dp_options){.method = method,
                              .relation = events->event[0].relation,
                              .unit = events->event[0].unit,
                              .adaptive = cli_flag(args, "adaptive"),
                              .allow_approximation = method == WHIST_DP_GDP, /* asked for by name, labelled */
                              .public_n = cli_count(args, "public-n", 0)};
}

/* Events that were chosen by what came out before: whoever stops when he likes picks no order afterwards. */
static whist_status ask_odometer(whist_dp_answer *out, const whist_dp_options *options, const whist_dp_events *events,
                                 question q)
{
    whist_dp_odometer *odometer = NULL;
    whist_status status = whist_dp_odometer_new(&odometer, options, q.given, q.budget);
    for (size_t i = 0; status == WHIST_OK && i < events->n; i++)
        status = whist_dp_odometer_charge(odometer, &events->event[i]);
    if (status == WHIST_OK) *out = whist_dp_odometer_spent(odometer);
    whist_dp_odometer_free(odometer);
    return status;
}

static whist_status ask(whist_dp_answer *out, const whist_dp_options *options, const whist_dp_events *events,
                        question q)
{
    whist_dp_accountant *a = NULL;
    if (options->adaptive && (options->method == WHIST_DP_RDP || options->method == WHIST_DP_ZCDP))
        return ask_odometer(out, options, events, q);
    whist_status status = whist_dp_accountant_new(&a, options);
    for (size_t i = 0; status == WHIST_OK && i < events->n; i++) status = whist_dp_compose(a, &events->event[i]);
    if (status == WHIST_OK) status = q.want_delta ? whist_dp_delta(out, a, q.given) : whist_dp_epsilon(out, a, q.given);
    whist_dp_accountant_free(a);
    return status;
}

/* ---- Showing ---- */

/* Both ends hold, and yet they do not say much: more than this apart, relative to the upper one. */
static bool is_wide(const whist_dp_answer *a)
{
    return a->method == WHIST_DP_PLD && a->certified && !(a->upper - a->lower <= 1e-3 * a->upper);
}

static const char *kind_of(const whist_dp_answer *a, bool adaptive)
{
    if (adaptive) return "certified upper bound of an adaptive run, at every moment of it (odometer)";
    if (!a->certified) return "APPROXIMATION: may lie below the truth, no bound";
    if (is_wide(a))
        return a->tight ? "certified interval, WIDE: its ends are more than 0.1 % apart, the truth anywhere between"
                        : "certified bound; lower end: of this analysis, WIDE: more than 0.1 % below";
    if (a->method == WHIST_DP_PLD)
        return a->tight ? "certified interval" : "certified bound; lower end: of this analysis";
    return "certified upper bound";
}

static void put_answer(whist_json *json, const whist_dp_answer *a, bool adaptive)
{
    whist_json_begin_object(json);
    whist_json_key(json, "method"), whist_json_text(json, whist_dp_method_name(a->method));
    whist_json_key(json, "upper"), whist_json_real(json, a->upper);
    whist_json_key(json, "lower"), whist_json_real(json, a->lower);
    whist_json_key(json, "certified"), whist_json_bool(json, a->certified);
    whist_json_key(json, "tight"), whist_json_bool(json, a->tight);
    whist_json_key(json, "wide"), whist_json_bool(json, is_wide(a));
    whist_json_key(json, "adaptive"), whist_json_bool(json, adaptive);
    if (a->order > 0) whist_json_key(json, "order"), whist_json_real(json, a->order);
    whist_json_key(json, "unit"), whist_json_text(json, whist_dp_unit_name(a->unit));
    whist_json_key(json, "relation"), whist_json_text(json, whist_dp_relation_name(a->relation));
    whist_json_end_object(json);
}

static void print_promise(const whist_dp_events *events, question q)
{
    unsigned long long uses = 0;
    for (size_t i = 0; i < events->n; i++) uses += events->event[i].count ? events->event[i].count : 1;
    printf("%s of %llu use%s of %zu mechanism%s, %s = %g; protects one %s, relation %s\n",
           q.want_delta ? "delta" : "epsilon", uses, uses == 1 ? "" : "s", events->n, events->n == 1 ? "" : "s",
           q.want_delta ? "epsilon" : "delta", q.given, whist_dp_unit_name(events->event[0].unit),
           whist_dp_relation_name(events->event[0].relation));
}

static void add_row(cli_table *table, const whist_dp_answer *a, bool adaptive)
{
    cli_table_add(table, "%s", whist_dp_method_name(a->method));
    cli_table_add(table, "%.7g", a->upper);
    if (a->method == WHIST_DP_PLD)
        cli_table_add(table, "%.7g", a->lower);
    else
        cli_table_add(table, "–");
    cli_table_add(table, "%s", kind_of(a, adaptive));
}

/* ---- Curves ---- */

typedef struct curve {
    double x[POINTS], y[POINTS];
    char name[64];
} curve;

/* epsilon over delta, 1e-1 … 1e-13. Points that a method refuses stay out. */
static void fill_curve(curve *c, const whist_dp_options *options, const whist_dp_events *events)
{
    bool bound = options->method != WHIST_DP_GDP;
    snprintf(c->name, sizeof c->name, "%s (%s)", whist_dp_method_name(options->method),
             bound ? "bound" : "approximation");
    for (int i = 0; i < POINTS; i++) {
        whist_dp_answer a;
        c->x[i] = pow(10, -1 - 12.0 * i / (POINTS - 1));
        c->y[i] = ask(&a, options, events, (question){.given = c->x[i]}) == WHIST_OK ? a.upper : NAN;
    }
}

static int plot(const char *path, const cli_args *args, const whist_dp_events *events,
                const bool wanted[WHIST_DP_METHODS])
{
    static const char *const relations[] = {"add or remove", "replace", "zero out"};
    curve *curves = calloc(WHIST_DP_METHODS, sizeof *curves);
    whist_plot_line lines[WHIST_DP_METHODS];
    size_t n = 0;
    char title[128], *svg = NULL;
    if (!curves) return cli_no_memory();
    for (whist_dp_method m = 0; m < WHIST_DP_METHODS; m++) {
        whist_dp_options options = options_of(args, events, m);
        if (!wanted[m]) continue;
        fill_curve(&curves[n], &options, events);
        lines[n] = (whist_plot_line){curves[n].name, curves[n].x, curves[n].y, POINTS};
        n++;
    }
    snprintf(title, sizeof title, "Privacy of one %s (%s)", whist_dp_unit_name(events->event[0].unit),
             relations[events->event[0].relation]);
    whist_plot picture = {title, "delta", "epsilon", lines, n, true, false};
    whist_status status = whist_plot_svg(&svg, &picture);
    int code = status == WHIST_OK ? cli_write(path, svg, strlen(svg), 0644, CLI_WRITE_REPLACE) : cli_fail(status);
    whist_plot_free(svg);
    free(curves);
    return code;
}

/* ---- Commands ---- */

typedef struct report {
    cli_table *table;
    whist_json *json;
    bool as_json, all;
    size_t answers;
} report;

static int report_method(report *r, const cli_args *args, const whist_dp_events *events, whist_dp_method m, question q)
{
    whist_dp_answer answer;
    whist_dp_options options = options_of(args, events, m);
    whist_status status = ask(&answer, &options, events, q);
    bool refused = status == WHIST_E_UNSUPPORTED || status == WHIST_E_RANGE || status == WHIST_E_BUDGET;
    if (status == WHIST_E_BUDGET && !r->all) return cli_fail(status);
    if (status != WHIST_OK && !(r->all && refused)) return cli_fail_word(status);
    if (status == WHIST_OK) {
        r->answers++;
        if (r->as_json)
            put_answer(r->json, &answer, options.adaptive);
        else
            add_row(r->table, &answer, options.adaptive);
        return CLI_OK;
    }
    if (r->as_json) {
        whist_json_begin_object(r->json);
        whist_json_key(r->json, "method"), whist_json_text(r->json, whist_dp_method_name(m));
        whist_json_key(r->json, "refused"), whist_json_text(r->json, whist_detail_get()->text);
        whist_json_end_object(r->json);
    } else {
        cli_table_add(r->table, "%s", whist_dp_method_name(m));
        cli_table_add(r->table, "–"), cli_table_add(r->table, "–");
        cli_table_add(r->table, "refused: %s", whist_detail_get()->text);
    }
    return CLI_OK;
}

static void begin_json(whist_json *json, const whist_dp_events *events, question q)
{
    whist_json_begin_object(json);
    whist_json_key(json, "asked"), whist_json_text(json, q.want_delta ? "delta" : "epsilon");
    whist_json_key(json, q.want_delta ? "epsilon" : "delta"), whist_json_real(json, q.given);
    whist_json_key(json, "unit"), whist_json_text(json, whist_dp_unit_name(events->event[0].unit));
    whist_json_key(json, "relation"), whist_json_text(json, whist_dp_relation_name(events->event[0].relation));
    whist_json_key(json, "events"), whist_json_begin_array(json);
    for (size_t i = 0; i < events->n; i++) whist_dp_event_json(json, &events->event[i]);
    whist_json_end_array(json);
    whist_json_key(json, "answers"), whist_json_begin_array(json);
}

static int wanted_methods(bool wanted[WHIST_DP_METHODS], bool *all, const cli_args *args)
{
    const char *word = cli_text(args, "method") ? cli_text(args, "method") : "pld";
    whist_dp_method method = WHIST_DP_PLD;
    *all = strcmp(word, "all") == 0;
    for (whist_dp_method m = 0; m < WHIST_DP_METHODS; m++) wanted[m] = *all;
    if (*all) return CLI_OK;
    CLI_TRY(method_of(&method, word, true));
    wanted[method] = true;
    return CLI_OK;
}

static int account(const cli_args *args)
{
    CLI_AUTO(end_events) whist_dp_events events = {.n = 0};
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(4);
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    bool wanted[WHIST_DP_METHODS];
    question q = {.given = 0};
    cli_design design;
    CLI_TRY(question_of(&q, args));
    CLI_TRY(events_of(&events, &design, args, NULL));
    report r = {.table = table, .as_json = cli_flag(args, "json")};
    CLI_TRY(wanted_methods(wanted, &r.all, args));
    CLI_LIB(whist_json_new(&json));
    r.json = json;
    begin_json(json, &events, q);
    cli_table_add(table, "method"), cli_table_add(table, q.want_delta ? "delta" : "epsilon");
    cli_table_add(table, "at least"), cli_table_add(table, "what it is");
    for (whist_dp_method m = 0; m < WHIST_DP_METHODS; m++)
        if (wanted[m]) CLI_TRY(report_method(&r, args, &events, m, q));
    whist_json_end_array(json);
    cli_design_json(json, &design, events.event[0].noise);
    whist_json_end_object(json);
    if (cli_text(args, "plot")) CLI_TRY(plot(cli_text(args, "plot"), args, &events, wanted));
    if (r.as_json) {
        CLI_TRY(cli_json_print(json));
        return r.answers ? CLI_OK : CLI_FAILED;
    }
    print_promise(&events, q);
    CLI_TRY(cli_table_print(table, stdout));
    CLI_TRY(cli_design_print(&design, events.event[0].noise));
    CLI_TRY(cli_flush());
    return r.answers ? CLI_OK : CLI_FAILED;
}

static int knob_of(whist_dp_knob *out, const cli_args *args)
{
    static const char *const words[] = {"noise", "rate", "count"};
    const char *word = cli_text(args, "find") ? cli_text(args, "find") : "noise";
    for (whist_dp_knob k = 0; k < WHIST_DP_KNOBS; k++)
        if (strcmp(word, words[k]) == 0) {
            *out = k;
            return CLI_OK;
        }
    return cli_fail_text(CLI_USAGE, "usage", "--find takes noise, rate or count, not '%s'", word);
}

/* Nothing beyond is looked at (whist_dp_calibrate): the target may be far away. A rate of 1 is all there is. */
static bool is_end(double value, whist_dp_knob knob)
{
    return knob == WHIST_DP_NOISE ? value <= 1e-3 || value >= 1e7 : knob == WHIST_DP_COUNT && value >= 1e12;
}

static int calibrate(const cli_args *args)
{
    static const char *const what[] = {"noise", "rate", "count"};
    CLI_AUTO(end_events) whist_dp_events events = {.n = 0};
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    whist_dp_method method = WHIST_DP_PLD;
    whist_dp_knob knob = WHIST_DP_NOISE;
    whist_dp_answer answer;
    double epsilon, delta, value;
    cli_design design;
    CLI_TRY(real_option(&epsilon, args, "epsilon", 0));
    CLI_TRY(real_option(&delta, args, "delta", 0));
    CLI_TRY(knob_of(&knob, args));
    CLI_TRY(method_of(&method, cli_text(args, "method") ? cli_text(args, "method") : "pld", false));
    CLI_TRY(events_of(&events, &design, args, what[knob]));
    whist_dp_options options = options_of(args, &events, method);
    uint64_t which = cli_count(args, "event", 1);
    if (which > events.n)
        return cli_fail_text(CLI_USAGE, "usage", "--event %llu: there %s %zu event%s", (unsigned long long)which,
                             events.n == 1 ? "is" : "are", events.n, events.n == 1 ? "" : "s");
    CLI_WORD(whist_dp_calibrate(&value, &answer, &options, events.event, events.n, (size_t)which - 1, knob, epsilon,
                                delta, 0));
    if (!cli_flag(args, "json")) {
        printf("%s %.8g%s\n", what[knob], value,
               is_end(value, knob) ? " (the search ends here, short of the target)" : "");
        printf("gives epsilon %.7g at delta %g for one %s, relation %s, by %s (%s)\n", answer.upper, delta,
               whist_dp_unit_name(answer.unit), whist_dp_relation_name(answer.relation), whist_dp_method_name(method),
               kind_of(&answer, options.adaptive));
        CLI_TRY(cli_design_print(&design, knob == WHIST_DP_NOISE ? value : events.event[0].noise));
        return cli_flush();
    }
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "find"), whist_json_text(json, what[knob]);
    whist_json_key(json, "value"), whist_json_real(json, value);
    whist_json_key(json, "end_of_search"), whist_json_bool(json, is_end(value, knob));
    whist_json_key(json, "delta"), whist_json_real(json, delta);
    whist_json_key(json, "answer"), put_answer(json, &answer, options.adaptive);
    cli_design_json(json, &design, knob == WHIST_DP_NOISE ? value : events.event[0].noise);
    whist_json_end_object(json);
    return cli_json_print(json);
}

#define EVENT_OPTIONS                                                                                                  \
    {"events", 0, CLI_TEXT, "FILE", "What runs, as a JSON list of events (docs/accounting.md)."},                      \
        {"mechanism", 'm', CLI_TEXT, "NAME",                                                                           \
         "What runs, when it is one mechanism (docs/accounting.md): gaussian, matrix, …"},                             \
        {"noise", 0, CLI_TEXT, "X", "Its noise: sigma or b over the sensitivity; a or variance of integer noise."},    \
        {"mechanism-epsilon", 0, CLI_TEXT, "X", "Epsilon of a pure, approximate, exponential, … mechanism."},          \
        {"mechanism-delta", 0, CLI_TEXT, "X", "Delta of an approximate mechanism."},                                   \
        {"rho", 0, CLI_TEXT, "X", "rho of a concentrated mechanism."},                                                 \
        {"p", 0, CLI_TEXT, "X", "Randomised response: probability of a random answer."},                               \
        {"k", 0, CLI_TEXT, "N", "Randomised response: number of answers."},                                            \
        {"sensitivity", 0, CLI_TEXT, "N", "Of integer noise (1)."},                                                    \
        {"dimension", 0, CLI_TEXT, "N", "Entries of the vector that gets integer noise (1)."},                         \
        {"steps", 0, CLI_TEXT, "N", "Leaves of a tree of sums; steps of correlated noise (matrix)."},                  \
        CLI_DESIGN_OPTIONS,                                                                                            \
        {"sampling", 's', CLI_TEXT, "NAME",                                                                            \
         "all, poisson, without_replacement, truncated_poisson, shuffled_pass or balls_in_bins (all)."},               \
        {"rate", 'q', CLI_TEXT, "X", "Poisson sampling rate."}, {"n", 'n', CLI_TEXT, "N", "Records, public."},         \
        {"batch", 'b', CLI_TEXT, "N", "Records in a batch."}, {"bins", 0, CLI_TEXT, "N", "Steps of a pass."},          \
        {"count", 'c', CLI_TEXT, "N", "Uses, or passes where the sampling says so (1)."},                              \
        {"group", 0, CLI_TEXT, "N", "Records that one unit may own (1)."},                                             \
        {"relation", 0, CLI_TEXT, "NAME", "Neighbours: add_remove, replace or zero_out (add_remove)."},                \
        {"unit", 0, CLI_TEXT, "NAME", "Who is protected: record, task or site (record)."},                             \
        {"public-n",          0, CLI_COUNT, "N", "A public bound on the units: delta must be below 1/N.", .min = 1,    \
         .max = 1000000000000},                                                                                        \
    {                                                                                                                  \
        "adaptive", 0, CLI_FLAG, NULL,                                                                                 \
            "Events may depend on what was released: an odometer by rdp or zcdp; pld is refused."                      \
    }

static const cli_option account_options[] = {
    EVENT_OPTIONS,
    {"delta", 'd', CLI_TEXT, "X", "Ask for epsilon at this delta."},
    {"epsilon", 'e', CLI_TEXT, "X", "Ask for delta at this epsilon."},
    {"method", 0, CLI_TEXT, "NAME", "pld, rdp, zcdp, gdp (an approximation) or all (pld)."},
    {"budget", 0, CLI_TEXT, "E", "With --adaptive: refuse the first event that would take epsilon past E (a filter)."},
    {"plot", 0, CLI_TEXT, "FILE.svg", "Also draw epsilon over delta."},
    {0},
};

static const cli_option calibrate_options[] = {
    EVENT_OPTIONS,
    {"epsilon", 'e', CLI_TEXT, "X", "The target.", .required = true},
    {"delta", 'd', CLI_TEXT, "X", "At this delta.", .required = true},
    {"find", 0, CLI_TEXT, "WHAT", "The least noise, the highest rate or the largest count (noise)."},
    {"event", 0, CLI_COUNT, "N", "Of which event, counted from 1 (1).", .min = 1, .max = 4096},
    {"method", 0, CLI_TEXT, "NAME", "pld, rdp, zcdp or gdp (pld)."},
    {0},
};

const cli_command cli_account_commands[] = {
    {"dp account", "", "What a private run costs",
     "Epsilon at a delta, or delta at an epsilon, of what --events or --mechanism says. An answer names its unit of "
     "privacy "
     "and its relation, and whether it is a certified bound or an approximation. What has no theorem is refused with a "
     "reason.",
     account_options, 0, 0, account},
    {"dp calibrate", "", "The noise, rate or number of uses that a budget allows",
     "The answer lies on the safe side of the target.", calibrate_options, 0, 0, calibrate},
    {0},
};
