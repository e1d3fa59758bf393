/* cli/term.c: the progress bar, aligned tables and JSON lines. Widths count letters, not bytes. */
#include "cli/term.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t cli_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_terminal(FILE *to)
{
    const char *term = getenv("TERM");
    return isatty(fileno(to)) && !(term && strcmp(term, "dumb") == 0);
}

static bool in_colour(FILE *to)
{
    const char *no = getenv("NO_COLOR");
    return is_terminal(to) && !(no && no[0]);
}

const char *cli_bold(FILE *to)
{
    return in_colour(to) ? "\033[1m" : "";
}

const char *cli_plain(FILE *to)
{
    return in_colour(to) ? "\033[0m" : "";
}

/* ---- Progress ---- */

enum { BAR = 30, REDRAW_MS = 80, LINE_MS = 5000 };

void cli_progress_init(cli_progress *progress, const cli_args *args, const volatile int *stop)
{
    *progress = (cli_progress){
        .off = cli_flag(args, "quiet"),
        .terminal = is_terminal(stderr),
        .stop = stop,
        .done = UINT64_MAX,
    };
}

static void draw_bar(cli_progress *p, const whist_progress *now, const char *label)
{
    unsigned full = now->total ? (unsigned)(now->done * BAR / now->total) : 0;
    char bar[BAR + 1];
    if (full > BAR) full = BAR;
    memset(bar, ' ', BAR);
    memset(bar, '=', full);
    bar[BAR] = 0;
    fprintf(stderr, "\r%-12s [%s] %llu/%llu  %s\033[K", label, bar, (unsigned long long)now->done,
            (unsigned long long)now->total, now->note ? now->note : "");
    p->open = true;
}

bool cli_progress_show(void *user, const whist_progress *now)
{
    cli_progress *p = user;
    bool go_on = !(p->stop && *p->stop);
    if (p->off || (p->done == now->done && p->total == now->total && !p->terminal)) return go_on;
    int64_t ms = cli_now_ms();
    bool last = now->total && now->done >= now->total && p->done != now->done;
    if (!last && p->shown_ms && ms - p->shown_ms < (p->terminal ? REDRAW_MS : LINE_MS)) return go_on;
    const char *label = p->label ? p->label : now->task;
    if (p->terminal)
        draw_bar(p, now, label);
    else
        fprintf(stderr, "%s %llu/%llu %s\n", label, (unsigned long long)now->done, (unsigned long long)now->total,
                now->note ? now->note : "");
    p->done = now->done;
    p->total = now->total;
    p->shown_ms = ms;
    return go_on;
}

void cli_progress_end(cli_progress *progress)
{
    if (progress->open) fputs("\r\033[K", stderr);
    progress->open = false;
}

/* ---- Tables ---- */

struct cli_table {
    size_t n_columns, n_cells, room;
    char **cells;
    bool lost;
};

cli_table *cli_table_new(size_t n_columns)
{
    cli_table *table = calloc(1, sizeof *table);
    if (table) table->n_columns = n_columns;
    return table;
}

void cli_table_free(cli_table *table)
{
    if (!table) return;
    for (size_t i = 0; i < table->n_cells; i++) free(table->cells[i]);
    free(table->cells);
    free(table);
}

void cli_table_add(cli_table *table, const char *format, ...)
{
    if (!table) return;
    if (table->n_cells == table->room) {
        size_t room = table->room ? 2 * table->room : 64;
        char **cells = realloc(table->cells, room * sizeof *cells);
        if (!cells) {
            table->lost = true;
            return;
        }
        table->cells = cells;
        table->room = room;
    }
    va_list args;
    va_start(args, format);
    if (vasprintf(&table->cells[table->n_cells], format, args) < 0)
        table->lost = true;
    else
        table->n_cells++;
    va_end(args);
}

static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static bool looks_like_a_number(const char *text)
{
    return text[0] && strspn(text, "0123456789.+-eE% /±") == strlen(text);
}

/* A column of numbers: every filled cell below the heading is one. */
static bool is_numeric(const cli_table *table, size_t column)
{
    bool any = false;
    for (size_t i = table->n_columns + column; i < table->n_cells; i += table->n_columns) {
        if (!table->cells[i][0] || strcmp(table->cells[i], "–") == 0) continue;
        if (!looks_like_a_number(table->cells[i])) return false;
        any = true;
    }
    return any;
}

static void print_cell(const cli_table *table, size_t i, int width, bool right, FILE *to)
{
    bool last = (i + 1) % table->n_columns == 0;
    int space = last && !table->cells[i][0] ? 0 : width - width_of(table->cells[i]);
    fprintf(to, "%*s%s%*s", right ? space : 0, "", table->cells[i], right || last ? 0 : space, "");
    const char *next = last ? "" : table->cells[i + 1];
    bool ends = (i + 2) % table->n_columns == 0 && !*next; /* no space before an empty end */
    fputs(last ? "\n" : ends ? "" : "  ", to);
}

int cli_table_print(const cli_table *table, FILE *to)
{
    if (!table || table->lost) return cli_no_memory();
    int *widths = calloc(table->n_columns, sizeof *widths);
    bool *right = calloc(table->n_columns, sizeof *right);
    if (widths && right) {
        for (size_t i = 0; i < table->n_cells; i++) {
            int width = width_of(table->cells[i]);
            if (width > widths[i % table->n_columns]) widths[i % table->n_columns] = width;
        }
        for (size_t c = 0; c < table->n_columns; c++) right[c] = is_numeric(table, c);
        fputs(cli_bold(to), to);
        for (size_t i = 0; i < table->n_cells; i++) {
            if (i == table->n_columns) fputs(cli_plain(to), to);
            print_cell(table, i, widths[i % table->n_columns], right[i % table->n_columns], to);
        }
        if (table->n_cells <= table->n_columns) fputs(cli_plain(to), to);
    }
    bool good = widths && right;
    free(widths);
    free(right);
    return good ? CLI_OK : cli_no_memory();
}

/* ---- Output ---- */

int cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_OK;
    return cli_fail_text(CLI_FAILED, "io", "standard output: %s", strerror(errno));
}

int cli_json_print(whist_json *json)
{
    const char *text;
    CLI_LIB(whist_json_finish(json, &text));
    puts(text);
    return cli_flush();
}
