/* study/yaml.h: a YAML text as a small bounded tree that knows where everything stands.
 *
 * What is hidden: libyaml's events. What is left out of YAML on purpose: anchors and aliases (a short
 * text could grow without end), tags (types come from our tables), several documents, keys that are
 * not plain words, and keys that stand twice. Lines and columns count from 1, columns in characters. */
#ifndef WH_STUDY_YAML_H
#define WH_STUDY_YAML_H

#include "base/buf.h"

enum {
    WH_YAML_MAX_BYTES = 8 << 20,
    WH_YAML_MAX_DEPTH = 16,
    WH_YAML_MAX_NODES = 500000, /* 65,536 columns of a table */
};

typedef enum wh_yaml_kind { WH_YAML_SCALAR, WH_YAML_LIST, WH_YAML_MAP } wh_yaml_kind;

typedef struct wh_yaml wh_yaml;
struct wh_yaml {
    wh_yaml_kind kind;
    bool plain;      /* a scalar without quotes, where ~ and null mean "no value" */
    bool flow;       /* a list or map written as [..] or {..} */
    const char *key; /* in a map, else NULL */
    unsigned key_line, key_column;
    unsigned line, column; /* where the value begins */
    unsigned last_line;    /* the last line that holds a part of it */
    const char *text;      /* of a scalar, without zero bytes inside; "" for others */
    wh_yaml *first, *next; /* children, siblings */
    size_t n;              /* children */
};

/* Reads one document whose root is a map. All nodes live in the arena. `name` stands in error texts
 * as "NAME:LINE:COLUMN: …". WHIST_E_FORMAT, WHIST_E_RANGE above a ceiling, WHIST_E_NOMEM. */
WH_MUST_CHECK whist_status wh_yaml_read(wh_yaml **out, wh_arena *arena, whist_bytes text, const char *name);

/* The child of a map with that key, or NULL. */
const wh_yaml *wh_yaml_get(const wh_yaml *map, const char *key);
/* The deepest node on "protection.bits" or "sites.2.file" that there is; the root at worst. */
const wh_yaml *wh_yaml_nearest(const wh_yaml *root, const char *path);

#endif
