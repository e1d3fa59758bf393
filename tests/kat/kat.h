/* kat/kat.h: known-answer files: sections, cases, verdicts, the counting.
 *
 * A driver gives one function that judges a case. It never fails hard: what it does not know is skipped, what is wrong
 * is told on one line. */
#ifndef WH_KAT_H
#define WH_KAT_H

#include "base/buf.h"
#include "codec/json.h"

typedef enum kat_verdict { KAT_PASSED, KAT_FAILED, KAT_SKIPPED } kat_verdict;

/* A case: its own fields, then those of the element around it (NULL where there is none). */
typedef struct kat_case {
    const wh_json *inner, *outer;
    const char *section, *kind;
    wh_buf why; /* what was got and wanted, filled where it fails */
} kat_case;

/* The field, of the case or else of the element; NULL where neither has it. */
const wh_json *kat_field(const kat_case *c, const char *key);
const char *kat_text(const wh_json *object, const char *key); /* "" where it is no text */
double kat_number(const wh_json *object, const char *key, double fallback);
size_t kat_size(const wh_json *object, const char *key, size_t fallback);

/* All numbers of nested lists, row-major. out has room for max; more are counted, not kept. */
size_t kat_flatten(double *out, size_t max, const wh_json *list);

/* |got - want| <= tolerance_abs + tolerance_rel · m, m the largest |want|; else says so in c->why and returns false. */
bool kat_close(kat_case *c, const char *what, const double *got, size_t n, const wh_json *want);
/* The same for one number. */
bool kat_close_one(kat_case *c, const char *what, double got, const wh_json *want);

typedef kat_verdict kat_judge(kat_case *c);
/* Reads the file, judges every case, prints failures and the last line. Returns the exit status. */
int kat_main(int argc, char **argv, kat_judge *judge);

#endif
