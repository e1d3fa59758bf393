/* codec/safetensors.c: the reader behind codec/safetensors.h. */
#include "codec/safetensors.h"

#include "base/file.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEADER_DEPTH = 4 };
static const char metadata_key[] = "__metadata__";

static const struct {
    const char *text;
    wh_dtype type;
} dtypes[] = {{"F32", WH_DTYPE_F32}, {"F64", WH_DTYPE_F64}, {"I64", WH_DTYPE_I64}, {"U8", WH_DTYPE_U8}};

static whist_status read_metadata(wh_safetensors *file, const json_t *map, const char *name)
{
    size_t n = json_object_size(map);
    if (!json_is_object(map)) WH_FAIL(WHIST_E_FORMAT, "%s: its __metadata__ is not a map", name);
    if (n > WH_SAFETENSORS_META_MAX)
        WH_FAIL(WHIST_E_FORMAT, "%s: more than %d pairs of metadata", name, WH_SAFETENSORS_META_MAX);
    WH_TRY(WH_ARENA_NEW(&file->meta, &file->memory, n));
    /* jansson's iterators want a map that may change; nothing here changes it. */
    json_t *walk = json_object_get(map, "") ? NULL : NULL;
    (void)walk;
    return WHIST_OK;
}
