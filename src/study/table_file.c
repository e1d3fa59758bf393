/* study/table_file.c: a table without a study: what its columns are and how far they may reach, to ask questions of. */
#include <whist/study.h>

#include "base/file.h"
#include "study/study_file.h"

struct whist_table {
    wh_arena arena;
    wh_table_file file;
};

void whist_table_free(whist_table *table)
{
    if (!table) return;
    wh_arena_clear(&table->arena);
    wh_free(table);
}
WH_AUTO_FREE(whist_table, whist_table_free)

static whist_status read_table(whist_table *table, whist_bytes text, const char *name)
{
    wh_yaml *root;
    size_t features, outputs;
    WH_TRY(wh_yaml_read(&root, &table->arena, text, name));
    const wh_reader reader = {.name = name, .arena = &table->arena};
    WH_TRY(wh_table_read(&table->file, wh_table_file_table, root, &reader));
    whist_schema *schema = &table->file.data.schema;
    schema->asked_only = true;
    schema->rows_with_missing = WHIST_MISSING_DROP;
    whist_status status = wh_study_schema_finish(&table->file.data, &table->arena);
    if (status == WHIST_OK) status = whist_schema_features(schema, &features, &outputs);
    if (status == WHIST_OK && features == 0)
        status = wh_fail(WHIST_E_ARG, __FILE__, __LINE__, "the table leaves no feature: there is no column to ask of");
    return status == WHIST_OK ? status : wh_fail_context(status, "%s: ", name);
}

whist_status whist_table_parse(whist_table **out, whist_bytes text, const char *name)
{
    WH_ENSURE(out && (text.data || !text.len) && name, WHIST_E_ARG);
    WH_AUTO(whist_table_ptr) table = NULL;
    if (text.len > WH_YAML_MAX_BYTES) WH_FAIL(WHIST_E_RANGE, "%s: longer than %d bytes", name, WH_YAML_MAX_BYTES);
    WH_TRY(WH_NEW(&table, 1));
    table->arena = (wh_arena)WH_ARENA_EMPTY;
    WH_TRY(read_table(table, text, name));
    *out = table;
    table = NULL;
    return WHIST_OK;
}

whist_status whist_table_load(whist_table **out, const char *path)
{
    WH_ENSURE(out && path, WHIST_E_ARG);
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(wh_file_read(&text, path, WH_YAML_MAX_BYTES));
    return whist_table_parse(out, wh_buf_view(&text), path);
}

const whist_schema *whist_table_schema(const whist_table *table)
{
    return &table->file.data.schema;
}
