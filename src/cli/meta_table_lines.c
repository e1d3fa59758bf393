/* cli/meta_table_lines.c: the lines of whist bench meta --full, as text or as JSON. */
#include "cli/meta_table.h"

#include "cli/few.h"
#include "cli/term.h"

#include <stdio.h>
#include <string.h>

static bool has_ways(const cli_meta_line *line)
{
    return line->env->episodes.kind == WHIST_TASKS_CLASSES;
}

static int print_json(const cli_meta_table *t, const cli_meta_line *line)
{
    const whist_meta_score *score = line->score;
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "name"), whist_json_text(json, "meta.table");
    whist_json_key(json, "learner"), whist_json_text(json, line->env->learner->name);
    if (line->against) whist_json_key(json, "trained_against"), whist_json_text(json, line->against);
    if (line->sites) whist_json_key(json, "sites"), whist_json_uint(json, line->sites);
    if (line->epsilon > 0) whist_json_key(json, "epsilon"), whist_json_real(json, line->epsilon);
    if (has_ways(line)) whist_json_key(json, "ways"), whist_json_uint(json, line->env->episodes.ways);
    whist_json_key(json, "shots"), whist_json_uint(json, line->env->episodes.shots);
    whist_json_key(json, "batches"), whist_json_text(json, whist_meta_batches(line->env));
    whist_json_key(json, "attack"), whist_json_text(json, line->attacked ? "query" : "none");
    whist_json_key(json, score->is_error ? "mse" : "accuracy"), whist_json_real(json, score->mean);
    whist_json_key(json, "interval95"), whist_json_real(json, score->interval);
    whist_json_key(json, "episodes"), whist_json_uint(json, score->episodes);
    whist_json_key(json, "cpu_seconds"), whist_json_real(json, t->cpu);
    if (t->budget > 0) whist_json_key(json, "budget_seconds"), whist_json_real(json, t->budget);
    whist_json_key(json, t->budget > 0 ? "steps" : "rounds"), whist_json_uint(json, t->taken);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static void label(char out[40], const cli_meta_line *line)
{
    const char *name = line->env->learner->name;
    if (line->epsilon > 0)
        snprintf(out, 40, "%s, eps %.2f", name, line->epsilon);
    else if (line->sites)
        snprintf(out, 40, "%s, %zu sites", name, line->sites);
    else
        snprintf(out, 40, "%s%s", name, line->against ? ", AQ" : "");
}

int cli_meta_table_line(cli_meta_table *t, const cli_meta_line *line)
{
    const whist_meta_score *score = line->score;
    const char *mode = whist_meta_batches(line->env);
    char name[40], ways[16] = "-", budget[16] = "-";
    if (cli_bench_json(t->env)) return print_json(t, line);
    if (!t->shown)
        printf("%s%-17s %5s %5s  %-19s %8s  %17s %9s %9s %9s %8s%s\n", cli_bold(stdout), "learner", "ways", "shots",
               "batch statistics", "measured", "mean ± 95 %", "episodes", "cpu s", "budget s", "steps",
               cli_plain(stdout));
    t->shown = true;
    label(name, line);
    if (has_ways(line)) snprintf(ways, sizeof ways, "%u", line->env->episodes.ways);
    if (t->budget > 0) snprintf(budget, sizeof budget, "%.2f", t->budget);
    printf("%-17s %5s %5u  %-19.*s %8s  %.4f ± %.4f %11llu %9.2f %9s %8llu\n", name, ways, line->env->episodes.shots,
           (int)strcspn(mode, "("), mode,
           score->is_error  ? "mse"
           : line->attacked ? "attacked"
                            : "accuracy",
           score->mean, score->interval, (unsigned long long)score->episodes, t->cpu, budget,
           (unsigned long long)t->taken);
    return cli_flush();
}

int cli_meta_table_skipped(const cli_meta_table *t, const char *what, const char *why)
{
    if (!cli_bench_json(t->env)) {
        printf("%s: skipped: %s\n", what, why);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "name"), whist_json_text(json, "meta.table");
    whist_json_key(json, "what"), whist_json_text(json, what);
    whist_json_key(json, "skipped"), whist_json_text(json, why);
    whist_json_end_object(json);
    return cli_json_print(json);
}
