/* cli/fail.h: how the program says no. One line on stderr, "whist: CODE: text", and an exit code.
 *
 * Functions of the program return an exit code; 0 means "go on". */
#ifndef CLI_FAIL_H
#define CLI_FAIL_H

#include <whist/base.h>

typedef enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* anything that has no code of its own */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_REFUSED = 3,     /* policy, certificate, signature, permission, a budget that is spent */
    CLI_INTERRUPTED = 4, /* stopped; the same command goes on */
    CLI_LATE = 5,        /* not in time */
} cli_exit;

/* Says why the last library call failed and returns the exit code that fits. */
int cli_fail(whist_status status);
/* The same where the call judged a value from the command line: a value it does not take is CLI_USAGE. */
int cli_fail_word(whist_status status);
/* The same with the file's name before the text, for calls that do not know it. */
int cli_fail_file(whist_status status, const char *path);
/* The same for a failure of our own; code is a short word as whist_status_name gives. */
int cli_fail_text(cli_exit exit_code, const char *code, const char *format, ...) WHIST_PRINTF(3, 4);
/* A system error (errno) on a path: "PATH: No space left on device". */
int cli_fail_errno(const char *path);
int cli_no_memory(void);

/* Passes failures up: CLI_TRY for the program's own functions, CLI_LIB for the library's, CLI_WORD for
 * those of the library that judge a value from the command line. */
#define CLI_TRY(call)                                                                                                  \
    do {                                                                                                               \
        int cli_try_ = (call);                                                                                         \
        if (cli_try_ != CLI_OK) return cli_try_;                                                                       \
    } while (0)
#define CLI_LIB(call)                                                                                                  \
    do {                                                                                                               \
        whist_status cli_lib_ = (call);                                                                                \
        if (cli_lib_ != WHIST_OK) return cli_fail(cli_lib_);                                                           \
    } while (0)

#define CLI_WORD(call)                                                                                                 \
    do {                                                                                                               \
        whist_status cli_word_ = (call);                                                                               \
        if (cli_word_ != WHIST_OK) return cli_fail_word(cli_word_);                                                    \
    } while (0)

/* CLI_AUTO(end) type *x = NULL: end(&x) at the end of the block. CLI_ENDER makes such an end of a free function. */
#define CLI_AUTO(end) __attribute__((cleanup(end)))
#define CLI_ENDER(name, type, free_function)                                                                           \
    __attribute__((unused)) static inline void name(type **object)                                                     \
    {                                                                                                                  \
        free_function(*object);                                                                                        \
    }

#endif
