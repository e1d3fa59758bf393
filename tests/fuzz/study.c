/* tests/fuzz/study.c: any bytes as a study or table file: refused or whole, and pins survive the round trip. */
#include "base/mem.h"

#include <whist/study.h>

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static void put_pins(const whist_study *study)
{
    const whist_fed_plan *plan = whist_study_plan(study);
    size_t n = plan->n_sites + plan->n_parties;
    if (n > 64) return; /* the same code, only slower */
    uint8_t pins[65][32] = {{0}};
    for (size_t i = 0; i < 65; i++) pins[i][0] = (uint8_t)i;
    const uint8_t(*keys)[32] = (const uint8_t(*)[32])pins;
    char *text = NULL;
    /* May be refused (a site list in braces); what comes out was read again by the library. */
    if (whist_study_with_pins(&text, study, keys[64], keys, keys + plan->n_sites) == WHIST_OK) whist_text_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    whist_study *study = NULL;
    whist_table *table = NULL;
    if (whist_table_parse(&table, (whist_bytes){data, size}, "fuzz") == WHIST_OK) whist_table_free(table);
    whist_status status = whist_study_parse(&study, (whist_bytes){data, size}, "fuzz");
    if (status != WHIST_OK && (study || !*whist_detail_get()->text)) abort();
    if (status != WHIST_OK) return 0;
    if (whist_study_text(study).len != size || whist_study_plan(study)->n_sites == 0) abort();
    put_pins(study);
    whist_study_free(study);
    return 0;
}
