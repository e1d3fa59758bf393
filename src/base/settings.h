/* base/settings.h: helpers on option tables for those who read them (study, docs, completion). */
#ifndef WH_BASE_SETTINGS_H
#define WH_BASE_SETTINGS_H

#include "base/mem.h"

size_t wh_option_count(const whist_option *table); /* 0 for NULL */
/* Is there such a row in the table of the settings? */
bool wh_settings_has(const whist_settings *settings, const char *name);
/* The name in the table that `name` was probably meant to be, or NULL. */
const char *wh_option_nearest(const whist_option *table, const char *name);

WH_AUTO_FREE(whist_settings, whist_settings_free)

#endif
