/* meta/people.h: whose rows are whose: the rows of each person together. */
#ifndef WH_META_PEOPLE_H
#define WH_META_PEOPLE_H

#include "base/mem.h"

#include <whist/data.h>

/* Rows of person p < n: order[begin[p]] … order[begin[p + 1] - 1], rising; no person has more than `most`. */
typedef struct wh_people {
    size_t n, most;
    uint32_t *order, *begin;
} wh_people;

/* WHIST_E_FORMAT where there are no rows, or nothing says whose they are. */
WH_MUST_CHECK whist_status wh_people_init(wh_people *out, const whist_rows *rows);
void wh_people_clear(wh_people *people);

#endif
