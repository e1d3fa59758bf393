/* cli/log.c: the log on stderr, one line an event:
 *
 *     2026-11-21T08:00:00Z info step.closed 4 of 4 sites
 *     {"time":"2026-11-21T08:00:00Z","level":"info","event":"step.closed","text":"4 of 4 sites"}
 *
 * Each line leaves in one write, so lines of several threads do not mix. */
#include "cli/log.h"

#include "cli/term.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef enum log_form { TEXT, JSON, OFF } log_form;
typedef struct sink {
    log_form form;
    whist_log_level most;
} sink;
static sink the_sink = {OFF, WHIST_LOG_WARNING};

static void now_iso(char out[32])
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static void write_json(const char *when, const char *level, const char *event, const char *text)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    const char *line;
    if (whist_json_new(&json) != WHIST_OK) return;
    whist_json_begin_object(json);
    whist_json_key(json, "time"), whist_json_text(json, when);
    whist_json_key(json, "level"), whist_json_text(json, level);
    whist_json_key(json, "event"), whist_json_text(json, event);
    whist_json_key(json, "text"), whist_json_text(json, text);
    whist_json_end_object(json);
    if (whist_json_finish(json, &line) == WHIST_OK) fprintf(stderr, "%s\n", line);
}

static void write_line(void *user, whist_log_level level, const char *event, const char *text)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    const sink *s = user;
    if (s->form == OFF || level > s->most) return;
    char when[32];
    now_iso(when);
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr); /* a progress bar may stand here */
    if (s->form == JSON)
        write_json(when, names[level], event, text);
    else
        fprintf(stderr, "%s %s %s %s\n", when, names[level], event, text);
}

void cli_log_init(const cli_args *args, bool long_running)
{
    const char *asked = cli_text(args, "log");
    the_sink.form = !asked || strcmp(asked, "text") == 0 ? TEXT : strcmp(asked, "json") == 0 ? JSON : OFF;
    the_sink.most = long_running ? WHIST_LOG_INFO : WHIST_LOG_WARNING;
    if (cli_flag(args, "verbose")) the_sink.most = WHIST_LOG_DEBUG;
    whist_log_set(write_line, &the_sink);
}

void cli_log(whist_log_level level, const char *event, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_line(&the_sink, level, event, text);
}
