/* data/text.h: windows over one text. */
#ifndef WH_DATA_TEXT_H
#define WH_DATA_TEXT_H

#include "data/block.h"
#include "data/table.h"

/* Tokens of the vocabulary: characters of the alphabet, or 256. */
size_t wh_text_vocabulary(const whist_schema *schema);
/* What a study can get wrong. WHIST_E_ARG. */
WH_MUST_CHECK whist_status wh_text_check(const whist_schema *schema);

/* The data sets of the sites, from one file: each gets its share of the text, one after the other, or, where the
 * partition is FILE, all of it. out[s] are set as they are made. WHIST_E_FORMAT naming file, line and column. */
WH_MUST_CHECK whist_status wh_text_open(whist_dataset **out, const whist_schema *schema, const char *folder,
                                        const char *file, const wh_sites *sites);
/* The texts of the parts, joined fold by fold. */
WH_MUST_CHECK whist_status wh_text_concat(whist_dataset **out, whist_dataset *const *parts, size_t n);

#endif
