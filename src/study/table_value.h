/* study/table_value.h: what table.c and table_value.c share. */
#ifndef WH_STUDY_TABLE_VALUE_H
#define WH_STUDY_TABLE_VALUE_H

#include "study/table.h"

/* One value of a kind that is not a map, a list of maps, a part or OTHER. */
WH_MUST_CHECK whist_status wh_value_read(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader);
/* wh_table_read without the search for unknown keys. */
WH_MUST_CHECK whist_status wh_table_fill(void *object, const wh_key *table, const wh_yaml *map,
                                         const wh_reader *reader);

#endif
