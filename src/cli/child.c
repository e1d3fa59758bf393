/* cli/child.c: fork, exec of /proc/self/exe, wait. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 32 };

void cli_sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* Between fork and exec: only calls that are safe there. */
static void become(const char *log, char **words, pid_t parent)
{
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), in = open("/dev/null", O_RDONLY);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || out < 0 || in < 0) _exit(127);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execv("/proc/self/exe", words);
    _exit(127);
}

int cli_child_start(cli_child *out, const char *name, const char *log, const char *const *argv)
{
    char *words[MAX_ARGUMENTS + 2] = {(char *)(uintptr_t) "whist"};
    pid_t parent = getpid();
    for (size_t i = 0; i < MAX_ARGUMENTS && argv[i]; i++) words[i + 1] = (char *)(uintptr_t)argv[i];
    *out = (cli_child){0};
    snprintf(out->name, sizeof out->name, "%s", name);
    CLI_TRY(cli_path(out->log, "%s", log));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) return cli_fail_errno(name);
    if (pid == 0) become(out->log, words, parent);
    out->pid = pid;
    return CLI_OK;
}

static bool collect(cli_child *child, int options)
{
    pid_t got;
    while ((got = waitpid(child->pid, &child->status, options)) < 0 && errno == EINTR) continue;
    if (got == 0) return false;
    child->pid = 0;
    return true;
}

bool cli_child_runs(cli_child *child)
{
    return child->pid && !collect(child, WNOHANG);
}

int cli_child_code(const cli_child *child)
{
    return WIFSIGNALED(child->status) ? 128 + WTERMSIG(child->status) : WEXITSTATUS(child->status);
}

int cli_child_wait(cli_child *child)
{
    if (child->pid) collect(child, 0);
    return cli_child_code(child);
}

void cli_child_stop(cli_child *children, size_t n, int ms)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++)
        if (cli_child_runs(&children[i])) kill(children[i].pid, SIGTERM), left++;
    for (; left > 0 && ms > 0; ms -= 20) {
        left = 0;
        for (size_t i = 0; i < n; i++) left += cli_child_runs(&children[i]);
        if (left) cli_sleep_ms(20);
    }
    for (size_t i = 0; i < n; i++)
        if (cli_child_runs(&children[i])) kill(children[i].pid, SIGKILL), cli_child_wait(&children[i]);
}

void cli_child_tail(const cli_child *child, unsigned lines, FILE *to)
{
    enum { TAIL = 8192 };
    char text[TAIL + 1];
    FILE *file = fopen(child->log, "re");
    if (!file) return;
    if (fseek(file, -TAIL, SEEK_END) != 0) rewind(file);
    size_t n = fread(text, 1, TAIL, file);
    fclose(file);
    text[n] = 0;
    char *at = text + n;
    for (unsigned seen = 0; at > text; at--)
        if (at[-1] == '\n' && at < text + n && ++seen == lines) break;
    fputs(at, to);
}
