/* whist/base.h: what every other header stands on.
 *
 * Status codes, the per-thread record that explains the last failure, byte views, log and
 * progress callbacks, and option tables (how a learner, a strategy or a protection declares
 * the settings that a study file may give it).
 *
 * The library never prints, never exits and never aborts on input: it returns a status, and it
 * speaks through the callbacks below.
 *
 * Threads: every function here may be called from any thread; the detail record is per thread. */
#ifndef WHIST_BASE_H
#define WHIST_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WHIST_API __attribute__((visibility("default")))
#define WHIST_MUST_CHECK __attribute__((warn_unused_result))
#define WHIST_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define WHIST_API
#define WHIST_MUST_CHECK
#define WHIST_PRINTF(fmt, first)
#endif

/* What a caller can do about a failure; there is one code for each answer. */
typedef enum whist_status {
    WHIST_OK = 0,
    WHIST_E_ARG,         /* the caller broke the contract of the function */
    WHIST_E_STATE,       /* right call, wrong moment */
    WHIST_E_RANGE,       /* a value or size lies outside what can be represented or is allowed */
    WHIST_E_NOMEM,       /* memory, or a ceiling on it, is exhausted */
    WHIST_E_IO,          /* disk or network failed */
    WHIST_E_ENTROPY,     /* the system gave no randomness */
    WHIST_E_AUTH,        /* a signature, certificate, tag or permission is not good */
    WHIST_E_FORMAT,      /* bytes from outside are not what they claim to be */
    WHIST_E_BUDGET,      /* privacy or resource budget is spent */
    WHIST_E_TIMEOUT,     /* not in time; trying again may help */
    WHIST_E_CANCELLED,   /* somebody asked to stop */
    WHIST_E_UNSUPPORTED, /* known, but not to be had here or in this combination */
} whist_status;

/* The short name of a status ("range", "auth", …). Never NULL. */
WHIST_API const char *whist_status_name(whist_status status);

/* Why the last call on this thread that failed did fail: one line, no secret, no data row. */
typedef struct whist_detail {
    whist_status code;
    const char *file; /* source place that refused */
    int line;
    char text[512]; /* "" where nothing more is known; valid until the next failure on the thread */
} whist_detail;

/* The record of this thread. Never NULL; code is WHIST_OK before the first failure. */
WHIST_API const whist_detail *whist_detail_get(void);

/* The library's version, "major.minor.patch". */
WHIST_API const char *whist_version(void);

/* A read-only view of bytes that somebody else owns. */
typedef struct whist_bytes {
    const uint8_t *data; /* may be NULL where len is 0 */
    size_t len;
} whist_bytes;

typedef enum whist_log_level {
    WHIST_LOG_ERROR,
    WHIST_LOG_WARNING,
    WHIST_LOG_INFO,
    WHIST_LOG_DEBUG,
} whist_log_level;

/* Receives one finished line without newline. `event` is a short stable word ("round.closed"),
 * `text` is for people. Called from any thread with no lock held; must not call back into the
 * object that logs. */
typedef void whist_log_fn(void *user, whist_log_level level, const char *event, const char *text);

/* Installs the receiver for the whole process; NULL silences the library (the default). Call it
 * before other threads use the library. */
WHIST_API void whist_log_set(whist_log_fn *fn, void *user);

/* A step of long work. total is 0 where it is not known. */
typedef struct whist_progress {
    const char *task; /* "train", "upload", … */
    uint64_t done;
    uint64_t total;
    const char *note; /* "" or a short text such as "loss 0.31" */
} whist_progress;

/* Receives progress; returning false asks the work to stop with WHIST_E_CANCELLED. */
typedef bool whist_progress_fn(void *user, const whist_progress *progress);

/* ---- Option tables -------------------------------------------------------------------------
 *
 * A registered part (learner, strategy, protection, model) names the settings it understands in
 * an array that ends with a row whose name is NULL. The same table reads the study file, checks
 * it, writes docs/study.md and completes words on the command line. */

typedef enum whist_option_type {
    WHIST_OPTION_INT,    /* int64, min..max inclusive */
    WHIST_OPTION_REAL,   /* double, min..max inclusive, finite */
    WHIST_OPTION_BOOL,   /* true or false */
    WHIST_OPTION_CHOICE, /* one of `choices`, separated by '|' */
    WHIST_OPTION_TEXT,   /* up to 255 bytes of UTF-8 */
    WHIST_OPTION_INTS,   /* up to 16 int64, each min..max: [64, 64] */
} whist_option_type;

typedef struct whist_option {
    const char *name;
    whist_option_type type;
    const char *fallback; /* as it would stand in the study file; NULL: the key is required */
    double min, max;      /* for INT, REAL, INTS */
    const char *choices;  /* for CHOICE */
    const char *doc;      /* one sentence */
} whist_option;

/* Checked values for one option table. Made by the study (or by whist_settings_new), read by the
 * part that owns the table. */
typedef struct whist_settings whist_settings;

/* Makes settings that hold the fallbacks of `table` (required keys stay unset). The table must
 * outlive the result. WHIST_E_NOMEM; WHIST_E_FORMAT when a fallback breaks its own rule. */
WHIST_API WHIST_MUST_CHECK whist_status whist_settings_new(whist_settings **out, const whist_option *table);
/* The same table and values once more. */
WHIST_API WHIST_MUST_CHECK whist_status whist_settings_copy(whist_settings **out, const whist_settings *settings);
WHIST_API void whist_settings_free(whist_settings *settings);

/* Sets one value from its text form. WHIST_E_FORMAT with a detail that says what is allowed;
 * WHIST_E_ARG with the nearest name where the key is unknown. On failure nothing changes. */
WHIST_API WHIST_MUST_CHECK whist_status whist_settings_set(whist_settings *settings, const char *name,
                                                           const char *text);
/* WHIST_E_ARG naming the first required key that is still unset. */
WHIST_API WHIST_MUST_CHECK whist_status whist_settings_complete(const whist_settings *settings);

/* Readers. The name must be in the table with that type: asking for another is a programming
 * error and gives 0, false, "" or NULL. */
WHIST_API int64_t whist_settings_int(const whist_settings *settings, const char *name);
WHIST_API double whist_settings_real(const whist_settings *settings, const char *name);
WHIST_API bool whist_settings_bool(const whist_settings *settings, const char *name);
WHIST_API const char *whist_settings_text(const whist_settings *settings, const char *name); /* TEXT, CHOICE */
/* INTS: the values, *n of them; owned by settings. */
WHIST_API const int64_t *whist_settings_ints(const whist_settings *settings, const char *name, size_t *n);

/* ---- Benches and self-tests ----------------------------------------------------------------
 * Each room exports a table of these; the program runs them through whist_bench_run (study.h). */

typedef struct whist_bench_result {
    char name[64];
    const char *unit; /* "s", "1/s", "B", "B/s", "1" */
    double median, min, max;
    unsigned reps, threads;
} whist_bench_result;

typedef void whist_bench_emit_fn(void *user, const whist_bench_result *result);

typedef struct whist_bench_env {
    unsigned threads;     /* as asked by --threads */
    bool full;            /* --full: may take minutes */
    const char *data_dir; /* WHIST_DATA, or NULL */
    const char *scratch;  /* an empty folder, removed afterwards */
    const char *program;  /* path of the whist program, for benches of processes */
    whist_bench_emit_fn *emit;
    void *user;
} whist_bench_env;

typedef struct whist_bench {
    const char *name; /* "fed.round.2nn"; NULL ends a table */
    const char *doc;
    bool full_only; /* takes more than 5 s */
    whist_status (*run)(const whist_bench_env *env);
} whist_bench;

#ifdef __cplusplus
}
#endif
#endif
