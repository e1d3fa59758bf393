/* cli/design.c: read, shown. */
#include "cli/design.h"

#include <math.h>
#include <string.h>

static int design_of(whist_dp_design *out, const char *word)
{
    for (whist_dp_design d = 0; d < WHIST_DP_DESIGNS; d++)
        if (strcmp(word, whist_dp_design_name(d)) == 0) {
            *out = d;
            return CLI_OK;
        }
    return cli_fail_text(CLI_USAGE, "usage", "there is no design '%s': banded, sqrt, blt or tree", word);
}

static int refuse_strangers(const cli_args *args)
{
    static const char *const own[] = {"design", "participations", "separation", "bands"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (cli_text(args, own[i]))
            return cli_fail_text(CLI_USAGE, "usage", "--%s belongs to --mechanism matrix", own[i]);
    if (cli_flag(args, "fixed")) return cli_fail_text(CLI_USAGE, "usage", "--fixed belongs to --mechanism matrix");
    return CLI_OK;
}

int cli_design_read(cli_design *out, const cli_args *args)
{
    const char *mechanism = cli_text(args, "mechanism"), *sampling = cli_text(args, "sampling");
    const char *name = cli_text(args, "design"), *steps = cli_text(args, "steps");
    whist_dp_matrix *m = NULL;
    *out = (cli_design){.on = mechanism && strcmp(mechanism, "matrix") == 0};
    if (!out->on) return refuse_strangers(args);
    if (sampling && strcmp(sampling, "all") != 0)
        return cli_fail_text(CLI_USAGE, "usage",
                             "--sampling %s amplifies nothing where noise is correlated: a unit is charged for all the "
                             "steps it takes part in; leave it out, and say --participations and --separation",
                             sampling);
    if (!steps || !cli_number(&out->options.steps, steps, 1, 1 << 20))
        return cli_fail_text(CLI_USAGE, "usage", "--mechanism matrix needs --steps, 1 to 1048576");
    CLI_TRY(design_of(&out->options.design, name ? name : "blt"));
    out->options.participations = cli_count(args, "participations", 1);
    out->options.separation = cli_count(args, "separation", 1);
    out->options.fixed = cli_flag(args, "fixed");
    out->options.bands = (uint32_t)cli_count(args, "bands", 0);
    CLI_WORD(whist_dp_matrix_new(&m, &out->options));
    out->facts = whist_dp_matrix_get(m);
    whist_dp_matrix_free(m);
    return CLI_OK;
}

/* Independent noise: √k over the sensitivity, and sums of t numbers. */
static whist_dp_matrix_facts independent(const cli_design *d)
{
    double steps = (double)d->options.steps;
    return (whist_dp_matrix_facts){.sensitivity = sqrt((double)d->options.participations),
                                   .rms = sqrt((steps + 1) / 2),
                                   .max = sqrt(steps),
                                   .last = sqrt(steps)};
}

static void add_row(cli_table *table, const char *name, const whist_dp_matrix_facts *f, double noise)
{
    double scale = noise * f->sensitivity;
    cli_table_add(table, "%s", name);
    cli_table_add(table, "%.4f", f->sensitivity);
    cli_table_add(table, "%.4g", scale * f->rms);
    cli_table_add(table, "%.4g", scale * f->max);
    cli_table_add(table, "%.4g", scale * f->last);
    cli_table_add(table, "%llu", (unsigned long long)f->buffers);
}

int cli_design_print(const cli_design *d, double noise)
{
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(6);
    const whist_dp_matrix_facts plain = independent(d);
    const char *heads[] = {"design", "sensitivity", "sums err by", "most", "at the end", "buffers"};
    if (!d->on) return CLI_OK;
    printf("correlated noise over %llu steps; one unit takes part in at most %llu, %s%llu apart; errors in "
           "contributions of norm 1\n",
           (unsigned long long)d->options.steps, (unsigned long long)d->options.participations,
           d->options.fixed ? "exactly " : "at least ", (unsigned long long)d->options.separation);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) cli_table_add(table, "%s", heads[i]);
    add_row(table, whist_dp_design_name(d->options.design), &d->facts, noise);
    add_row(table, "independent", &plain, noise);
    return cli_table_print(table, stdout);
}

void cli_design_json(whist_json *json, const cli_design *d, double noise)
{
    const whist_dp_matrix_options *o = &d->options;
    double scale = noise * d->facts.sensitivity;
    if (!d->on) return;
    whist_json_key(json, "matrix"), whist_json_begin_object(json);
    whist_json_key(json, "design"), whist_json_text(json, whist_dp_design_name(o->design));
    whist_json_key(json, "steps"), whist_json_uint(json, o->steps);
    whist_json_key(json, "participations"), whist_json_uint(json, o->participations);
    whist_json_key(json, "separation"), whist_json_uint(json, o->separation);
    whist_json_key(json, "fixed"), whist_json_bool(json, o->fixed);
    whist_json_key(json, "sensitivity"), whist_json_real(json, d->facts.sensitivity);
    whist_json_key(json, "rms"), whist_json_real(json, scale * d->facts.rms);
    whist_json_key(json, "max"), whist_json_real(json, scale * d->facts.max);
    whist_json_key(json, "last"), whist_json_real(json, scale * d->facts.last);
    whist_json_key(json, "buffers"), whist_json_uint(json, d->facts.buffers);
    whist_json_end_object(json);
}
