/* meta/people.c: the rows of each person together. */
#include "meta/people.h"

#include <stdlib.h>

typedef struct named_row {
    uint64_t person;
    uint32_t row;
} named_row;

static int by_person(const void *a, const void *b)
{
    const named_row *x = a, *y = b;
    if (x->person != y->person) return x->person < y->person ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static whist_status sort(wh_people *p, const whist_rows *rows)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, rows->n, sizeof(named_row)));
    named_row *named = memory;
    for (size_t i = 0; i < rows->n; i++) named[i] = (named_row){rows->person[i], (uint32_t)i};
    qsort(named, rows->n, sizeof *named, by_person);
    WH_TRY(WH_NEW(&p->order, rows->n));
    WH_TRY(WH_NEW(&p->begin, rows->n + 1));
    for (size_t i = 0; i < rows->n; i++) {
        p->order[i] = named[i].row;
        if (i == 0 || named[i].person != named[i - 1].person) p->begin[p->n++] = (uint32_t)i;
    }
    p->begin[p->n] = (uint32_t)rows->n;
    for (size_t i = 0; i < p->n; i++)
        if (p->begin[i + 1] - p->begin[i] > p->most) p->most = p->begin[i + 1] - p->begin[i];
    return WHIST_OK;
}

whist_status wh_people_init(wh_people *out, const whist_rows *rows)
{
    *out = (wh_people){.n = 0};
    if (rows->n == 0 || !rows->person)
        WH_FAIL(WHIST_E_FORMAT, "a task is a person, and nothing says whose rows are whose: there must be some, and a "
                                "column of type person in the study's data");
    whist_status status = sort(out, rows);
    if (status != WHIST_OK) wh_people_clear(out);
    return status;
}

void wh_people_clear(wh_people *people)
{
    wh_free(people->order);
    wh_free(people->begin);
    *people = (wh_people){.n = 0};
}
