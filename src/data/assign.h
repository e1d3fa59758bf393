/* data/assign.h: whose row, and which fold. */
#ifndef WH_DATA_ASSIGN_H
#define WH_DATA_ASSIGN_H

#include "data/table.h"

/* Rows of the table by fold, then slot, then place in the file:
 *
 *     begin[fold * n_slots + slot] .. begin[fold * n_slots + slot + 1]     in `row` */
typedef struct wh_plan {
    uint32_t *row;   /* begin[3 * n_slots] */
    size_t *begin;   /* 3 * n_slots + 1 */
    size_t left_out; /* rows neither dropped nor given to any slot */
} wh_plan;
#define WH_PLAN_EMPTY                                                                                                  \
    {                                                                                                                  \
        .row = NULL                                                                                                    \
    }
void wh_plan_clear(wh_plan *plan);
WH_AUTO_CLEAR(wh_plan, wh_plan_clear)

/* Gives rows to slots and folds. A slot gets the same rows whichever other slots are wanted with it.
 * WHIST_E_FORMAT for a split file that does not fit the table. */
WH_MUST_CHECK whist_status wh_assign(wh_plan *out, const wh_table *table, const whist_schema *schema,
                                     const wh_sites *sites, const char *folder);

/* What a split file says: out (n) becomes slot * 4 + fold, WH_ANY_SLOT * 4 + fold, or stays WH_NOBODY. */
enum { WH_ANY_SLOT = 1 << 29 };
WH_MUST_CHECK whist_status wh_split_read(uint32_t *out, const wh_table *table, const whist_schema *schema,
                                         const wh_sites *sites, const char *folder);

#endif
