/* data/pictures.c: PNG images in folders, as people have them.
 *
 *     DIR/image.png …              images without a class, in order of their names
 *     DIR/class/image.png …        each folder is a class: 0, 1, … in order of the names
 */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/one_shot.h"
#include "data/table.h"

enum { MAX_IMAGE = 16 << 20, MAX_NAMES = 100000 };

typedef struct names {
    char **items;
    size_t n, cap;
} names;

static void names_clear(names *list)
{
    for (size_t i = 0; i < list->n; i++) wh_free(list->items[i]);
    wh_free(list->items);
}
WH_AUTO_CLEAR(names, names_clear)

static whist_status add_name(names *list, const char *name)
{
    if (list->n == MAX_NAMES) WH_FAIL(WHIST_E_RANGE, "more than %d files in a folder", MAX_NAMES);
    if (list->n == list->cap) {
        size_t cap = 2 * list->cap + 16;
        char **items;
        WH_TRY(wh_alloc((void **)&items, cap, sizeof *items));
        if (list->n) memcpy(items, list->items, list->n * sizeof *items);
        wh_free(list->items);
        list->items = items;
        list->cap = cap;
    }
    WH_TRY(wh_strdup(&list->items[list->n], name));
    list->n++;
    return WHIST_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_png(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".png") == 0;
}

static bool is_folder(const char *path)
{
    struct stat what;
    return stat(path, &what) == 0 && S_ISDIR(what.st_mode);
}

/* PNG files (or folders) of a folder, by name; hidden ones are left out. */
static whist_status list(names *out, const char *folder, bool folders)
{
    DIR *dir = opendir(folder);
    if (!dir) WH_FAIL(WHIST_E_IO, "cannot read the folder %s", folder);
    whist_status status = WHIST_OK;
    for (struct dirent *entry; status == WHIST_OK && (entry = readdir(dir));) {
        WH_AUTO(wh_owned) path = NULL;
        if (entry->d_name[0] == '.') continue;
        status = wh_path((char **)&path, folder, "%s", entry->d_name);
        if (status != WHIST_OK || (folders ? !is_folder(path) : !is_png(entry->d_name))) continue;
        status = add_name(out, entry->d_name);
    }
    closedir(dir);
    if (out->n) qsort(out->items, out->n, sizeof *out->items, by_name);
    return status;
}

static whist_status add_image(wh_table *out, const whist_schema *schema, const char *path, float label, bool invert)
{
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    WH_AUTO(wh_png) png = WH_PNG_EMPTY;
    uint8_t *to;
    WH_TRY(wh_file_read(&file, path, MAX_IMAGE));
    WH_TRY(wh_png_read(&png, wh_buf_view(&file), path));
    WH_TRY(wh_buf_grow(&out->x, &to, out->d * sizeof(float)));
    WH_TRY(wh_png_shrink((float *)(void *)to, &png, schema->image_height, schema->image_width, invert));
    out->n++;
    return wh_buf_add(&out->y, &label, sizeof label);
}

static whist_status add_folder(wh_table *out, const whist_schema *schema, const char *folder, float label, bool invert)
{
    WH_AUTO(names) files = {0};
    WH_TRY(list(&files, folder, false));
    for (size_t i = 0; i < files.n; i++) {
        WH_AUTO(wh_owned) path = NULL;
        WH_TRY(wh_path((char **)&path, folder, "%s", files.items[i]));
        WH_TRY(add_image(out, schema, path, label, invert));
    }
    return WHIST_OK;
}

whist_status wh_table_read_pictures(wh_table *out, const whist_schema *schema, const char *path, bool invert)
{
    WH_AUTO(names) classes = {0};
    out->d = wh_schema_pixels(schema);
    if (!is_folder(path)) return add_image(out, schema, path, NAN, invert);
    WH_TRY(list(&classes, path, true));
    for (size_t k = 0; k < classes.n; k++) {
        WH_AUTO(wh_owned) folder = NULL;
        size_t before = out->n;
        WH_TRY(wh_path((char **)&folder, path, "%s", classes.items[k]));
        WH_TRY(add_folder(out, schema, folder, (float)k, invert));
        if (out->n == before) WH_FAIL(WHIST_E_FORMAT, "the folder %s holds no .png file", (const char *)folder);
    }
    if (classes.n == 0) WH_TRY(add_folder(out, schema, path, NAN, invert));
    if (out->n == 0) WH_FAIL(WHIST_E_FORMAT, "the folder %s holds no .png file and no folder of them", path);
    return WHIST_OK;
}

bool wh_is_pictures(const char *path)
{
    return is_png(path) || is_folder(path);
}
