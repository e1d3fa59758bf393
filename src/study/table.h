/* study/table.h: tables of keys, and the reader that fills structs from YAML by them.
 *
 * One row says what a key is called, what may stand there, what it means when it is left out, where
 * its value goes, and why it exists. The same rows read a file, check it, write docs/study.md and
 * complete words, so these four cannot disagree.
 *
 *   "NAME:LINE:COLUMN: unknown key 'lerner'; did you mean 'learner'? Allowed: whist, name, …"
 *   "NAME:LINE:COLUMN: lr: -1 is outside 0 … 10" */
#ifndef WH_STUDY_TABLE_H
#define WH_STUDY_TABLE_H

#include "base/settings.h"
#include "study/yaml.h"

typedef enum wh_key_kind {
    WH_KEY_TEXT,     /* char[size] */
    WH_KEY_PATH,     /* char[size]; relative ones stand beside the file that is read */
    WH_KEY_INT,      /* unsigned integer of `size` bytes, min..max */
    WH_KEY_REAL,     /* double, min..max */
    WH_KEY_BOOL,     /* bool */
    WH_KEY_CHOICE,   /* an enum of int size: the index in `choices` */
    WH_KEY_DURATION, /* uint64_t milliseconds, min..max: "500ms", "30s", "10m", "2h", "1d" */
    WH_KEY_BYTES,    /* uint64_t, min..max: "4096", "64KiB", "10GiB" */
    WH_KEY_TEXTS,    /* wh_texts: ["a", "b"] */
    WH_KEY_MAP,      /* a struct by `sub` at `offset` */
    WH_KEY_MAPS,     /* wh_items: list of structs of `size` by `sub` */
    WH_KEY_PART,     /* wh_part: {name: X, the options of X, and the keys of `sub`} (of the same object) */
    WH_KEY_OTHER,    /* `read` does it all; `type` says in words what is wanted */
} wh_key_kind;

/* What is read lives in the arena of the reader. */
typedef struct wh_texts {
    char **items;
    size_t n;
} wh_texts;

typedef struct wh_items {
    void *items;
    size_t n;
} wh_items;

/* A named part with settings: learner, strategy, protection, model. */
typedef struct wh_part {
    const void *class_;
    const char *name;
    whist_settings *settings; /* owned; NULL until read */
} wh_part;
void wh_part_clear(wh_part *part);

/* One kind of parts. get fills *out for index i, false past the end. */
typedef struct wh_part_info {
    const void *class_;
    const char *name, *doc;
    const whist_option *options; /* may be NULL */
} wh_part_info;
typedef struct wh_part_kind {
    const char *one, *many; /* "learner", "learners" */
    bool (*get)(wh_part_info *out, size_t i);
} wh_part_kind;

typedef struct wh_reader {
    const char *name;   /* of the file, for error texts */
    const char *folder; /* where relative paths begin; NULL: paths stay as they are */
    wh_arena *arena;
} wh_reader;

typedef struct wh_key wh_key;
typedef whist_status wh_key_read_fn(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader);
/* NULL where the text is good, else what it must be ("must be …"). */
typedef const char *wh_key_rule(const char *text);

struct wh_key {
    const char *name; /* NULL ends a table */
    wh_key_kind kind;
    size_t offset, size;
    const char *fallback; /* as it would stand in the file; "" leaves the field zero; NULL: required */
    double min, max;
    const char *choices; /* "csv|idx" */
    const wh_key *sub;
    const wh_part_kind *parts;
    wh_key_rule *rule; /* TEXT, PATH and each of TEXTS */
    wh_key_read_fn *read;
    const char *type; /* OTHER: for the reference */
    const char *doc;
};

/* Fills the struct at `object` (zeroed before) from a map. The first fault ends it: WHIST_E_FORMAT with
 * place and remedy. What stands in object then is to be cleared as after success. */
WH_MUST_CHECK whist_status wh_table_read(void *object, const wh_key *table, const wh_yaml *map,
                                         const wh_reader *reader);

/* Writes "NAME:LINE:COLUMN: text" for a node and returns the code. */
whist_status wh_reader_fail(whist_status code, const wh_reader *reader, const wh_yaml *node, const char *format, ...)
    WHIST_PRINTF(4, 5);
#define WH_READER_FAIL(code, reader, node, ...)                                                                        \
    do {                                                                                                               \
        (void)wh_reader_fail((code), (reader), (node), __VA_ARGS__);                                                   \
        return (code);                                                                                                 \
    } while (0)

/* For readers of their own: one value, checked like a row of a table. */
WH_MUST_CHECK whist_status wh_key_real(double *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader);
WH_MUST_CHECK whist_status wh_key_texts(wh_texts *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader);
/* WHIST_E_FORMAT unless node is a scalar with something in it. */
WH_MUST_CHECK whist_status wh_key_scalar(const wh_key *key, const wh_yaml *node, const wh_reader *reader);

/* The word of a '|'-separated list that `name` was probably meant to be; "" where none is near. The
 * result lies in `out` (64 bytes). */
const char *wh_nearest_choice(char out[64], const char *choices, const char *name);

/* ---- Rules ---- */
wh_key_rule wh_rule_word;      /* [a-z0-9-] */
wh_key_rule wh_rule_set;       /* [a-z0-9_-] */
wh_key_rule wh_rule_actor;     /* a name that a certificate can carry */
wh_key_rule wh_rule_file;      /* a bare file name */
wh_key_rule wh_rule_line;      /* no control characters */
wh_key_rule wh_rule_delimiter; /* one ASCII character or "tab" */

/* ---- Reference ---- */
typedef void wh_emit_fn(void *user, const char *text);
/* A Markdown section: heading, introduction, table of keys, then a section for each table below. */
WH_MUST_CHECK whist_status wh_table_reference(const char *title, const char *intro, const wh_key *table,
                                              wh_emit_fn *emit, void *user);
/* Every key as a dotted path, one a call. */
WH_MUST_CHECK whist_status wh_table_names(const wh_key *table, wh_emit_fn *emit, void *user);

#endif
