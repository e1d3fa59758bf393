/* study/config.h: the tables of site, coordinator and operator configurations, for reading and for the reference. */
#ifndef WH_STUDY_CONFIG_H
#define WH_STUDY_CONFIG_H

#include "study/table.h"

extern const wh_key wh_site_config_table[], wh_coordinator_config_table[], wh_operator_config_table[],
    wh_ledger_config_table[];

#endif
