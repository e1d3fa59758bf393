/* data/flamby.h: the split of the four heart hospitals that published results use. */
#ifndef WH_DATA_FLAMBY_H
#define WH_DATA_FLAMBY_H

#include "base/status.h"

/* Reads folder/processed.*.data and writes folder/flamby_split.csv (center, hospital, line, fold). */
WH_MUST_CHECK whist_status wh_flamby_split_write(const char *folder);

#endif
