/* cli/cmd_bench.c: whist bench: runs the measurements that the rooms export, and the program's own. */
#include "cli/benches.h"
#include "cli/commands.h"
#include "cli/file.h"
#include "cli/term.h"

#include <whist/study.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct printer {
    const cli_args *args;
    unsigned shown;
    int code;
} printer;

/* ---- Which ---- */

/* The i-th of all benches: those of the library, then our own; NULL behind the last. */
static const whist_bench *bench_at(size_t i)
{
    const whist_bench *const *rooms = whist_benches();
    for (; *rooms; rooms++)
        if (i-- == 0) return *rooms;
    for (const whist_bench *b = cli_benches; b->name; b++)
        if (i-- == 0) return b;
    return NULL;
}

/* A word that is a whole name means that one; any other means all that begin with it. */
static bool matches(const char *name, const char *word)
{
    const whist_bench *b;
    size_t i = 0;
    if (strcmp(name, word) == 0) return true;
    while ((b = bench_at(i)) && strcmp(b->name, word) != 0) i++;
    return !b && strncmp(name, word, strlen(word)) == 0;
}

static bool chosen(const cli_args *args, const whist_bench *bench)
{
    for (unsigned i = 0; i < args->n_words; i++)
        if (matches(bench->name, args->words[i])) return true;
    return args->n_words == 0;
}

static int check_names(const cli_args *args)
{
    for (unsigned k = 0; k < args->n_words; k++) {
        const whist_bench *b;
        size_t i = 0;
        while ((b = bench_at(i)) && !matches(b->name, args->words[k])) i++;
        if (!b)
            return cli_fail_text(CLI_USAGE, "usage", "there is no bench '%s' (see `whist bench --list`)",
                                 args->words[k]);
    }
    return CLI_OK;
}

/* ---- Showing ---- */

static int print_json(const whist_bench_result *r)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "name"), whist_json_text(json, r->name);
    whist_json_key(json, "unit"), whist_json_text(json, r->unit);
    whist_json_key(json, "median"), whist_json_real(json, r->median);
    whist_json_key(json, "min"), whist_json_real(json, r->min);
    whist_json_key(json, "max"), whist_json_real(json, r->max);
    whist_json_key(json, "reps"), whist_json_uint(json, r->reps);
    whist_json_key(json, "threads"), whist_json_uint(json, r->threads);
    whist_json_key(json, "kernels"), whist_json_text(json, whist_kernels());
    whist_json_key(json, "machine"), whist_json_text(json, whist_machine());
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* Lines appear as they are measured, so widths are fixed. */
static void emit(void *user, const whist_bench_result *r)
{
    printer *p = user;
    if (cli_flag(p->args, "json")) {
        if (print_json(r) != CLI_OK) p->code = CLI_FAILED;
        return;
    }
    if (!p->shown++)
        printf("%s%-32s %12s %12s %12s  %-4s %5s %7s%s\n", cli_bold(stdout), "name", "median", "min", "max", "unit",
               "reps", "threads", cli_plain(stdout));
    printf("%-32s %12.6g %12.6g %12.6g  %-4s %5u %7u\n", r->name, r->median, r->min, r->max, r->unit, r->reps,
           r->threads);
    fflush(stdout);
}

bool cli_bench_json(const whist_bench_env *env)
{
    return cli_flag(((const printer *)env->user)->args, "json");
}

static int list(const cli_args *args)
{
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(2);
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    const whist_bench *b;
    whist_json_begin_object(json);
    cli_table_add(table, "name"), cli_table_add(table, "what");
    for (size_t i = 0; (b = bench_at(i)); i++) {
        if (args->n_words && !chosen(args, b)) continue;
        cli_table_add(table, "%s", b->name);
        cli_table_add(table, "%s%s", b->doc ? b->doc : "", b->full_only ? " (--full)" : "");
        whist_json_key(json, b->name), whist_json_text(json, b->doc);
    }
    whist_json_end_object(json);
    if (cli_flag(args, "json")) return cli_json_print(json);
    CLI_TRY(cli_table_print(table, stdout));
    return cli_flush();
}

/* ---- Running ---- */

static int run_one(printer *p, const whist_bench *bench, const char *program)
{
    char scratch[CLI_PATH];
    if (bench->full_only && !cli_flag(p->args, "full")) {
        if (!p->args->n_words) return CLI_OK;
        return cli_fail_text(CLI_USAGE, "usage", "%s takes more than five seconds: add --full", bench->name);
    }
    CLI_TRY(cli_temp_dir(scratch, "whist-bench"));
    const whist_bench_env env = {
        .threads = (unsigned)cli_count(p->args, "threads", 1),
        .full = cli_flag(p->args, "full"),
        .data_dir = getenv("WHIST_DATA"),
        .scratch = scratch,
        .program = program,
        .emit = emit,
        .user = p,
    };
    whist_status status = bench->run(&env);
    int code = CLI_OK;
    if (status != WHIST_OK) {
        fprintf(stderr, "%s: ", bench->name);
        code = cli_fail(status);
    }
    int removed = cli_remove_tree(scratch);
    return code == CLI_OK ? removed : code;
}

static int bench(const cli_args *args)
{
    char program[CLI_PATH];
    printer p = {.args = args};
    const whist_bench *b;
    CLI_TRY(check_names(args));
    if (cli_flag(args, "list")) return list(args);
    CLI_TRY(cli_absolute(program, "/proc/self/exe"));
    for (size_t i = 0; (b = bench_at(i)); i++) {
        int code = chosen(args, b) ? run_one(&p, b, program) : CLI_OK;
        if (code != CLI_OK) p.code = code; /* the others still run */
    }
    if (!cli_flag(args, "json")) printf("\n%s, kernels %s\n", whist_machine(), whist_kernels());
    CLI_TRY(cli_flush());
    return p.code;
}

static const cli_option options[] = {
    {"list", 'l', CLI_FLAG, NULL, "Only list the names."},
    {"full", 0, CLI_FLAG, NULL, "Also those that take more than five seconds."},
    {"threads", 't', CLI_COUNT, "N", "Threads (1).", .min = 1, .max = 256},
    {0},
};

static const char *bench_name(size_t k)
{
    const whist_bench *b = bench_at(k);
    return b ? b->name : NULL;
}

const cli_command cli_bench_commands[] = {
    {"bench", "[NAME…]", "Measure this machine",
     "A NAME is a whole name or its beginning (fed, fed.round). With --json one object a line; units are seconds, per "
     "second and bytes, without prefixes.",
     options, 0, CLI_ANY, bench, bench_name},
    {0},
};
