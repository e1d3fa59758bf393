/* data/omniglot.c: the archives of Omniglot as IDX files.
 *
 *     images_background/Alphabet/characterMM/NNNN_DD.png      a class is a character, DD is who drew it
 *
 * Drawings are taken in the order of their names, whatever the order in the archive. Of the two small sets Greek and
 * Latin are in both, and are taken from the first. */
#include "data/omniglot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec/gzip.h"
#include "codec/idx.h"
#include "codec/zip.h"
#include "data/one_shot.h"
#include "data/table.h"

enum {
    SIDE = 28,
    MAX_ARCHIVE = 64 << 20,
    MAX_IMAGE = 1 << 20,
    MAX_ALPHABETS = 64,
    NAME = 64,
    DRAWERS = 20,
    FOR_TRAINING = 1200, /* characters, validation included */
};

typedef struct drawing {
    wh_zip_entry entry;
    char alphabet[NAME], character[NAME];
} drawing;

typedef struct maker {
    wh_buf images, labels, classes; /* bytes, int16_t, CSV */
    char alphabets[MAX_ALPHABETS][NAME];
    size_t n_alphabets, n_before; /* before this archive */
    const char *set;              /* "background", "evaluation"; NULL: a small set */
    drawing last;                 /* the one before */
    size_t n_classes, n_images;
} maker;

static void maker_clear(maker *m)
{
    wh_buf_clear(&m->images);
    wh_buf_clear(&m->labels);
    wh_buf_clear(&m->classes);
}
WH_AUTO_CLEAR(maker, maker_clear)

/* ---- Folds ---- */

static bool is_one_of(const char *alphabet, const char *const names[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], alphabet) == 0) return true;
    return false;
}

static const char *small_fold(const char *alphabet)
{
    static const char *const test[] = {"Japanese_(katakana)", "Sanskrit", "Tagalog"};
    if (is_one_of(alphabet, test, WH_COUNT(test))) return "test";
    return strcmp(alphabet, "Early_Aramaic") == 0 ? "validation" : "train";
}

static const char *vinyals_fold(size_t class_, const char *alphabet)
{
    static const char *const val[] = {"Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)"};
    if (class_ >= FOR_TRAINING) return "test";
    return is_one_of(alphabet, val, WH_COUNT(val)) ? "val" : "train";
}

/* ---- What an archive holds ---- */

/* "archive/Alphabet/character/file.png" into its second and third part; false for anything else. */
static bool parse(char alphabet[NAME], char character[NAME], const wh_zip_entry *e)
{
    const char *at = e->name, *end = e->name + e->len;
    char *const parts[] = {NULL, alphabet, character};
    if (e->len < 4 || memcmp(end - 4, ".png", 4) != 0) return false;
    for (size_t i = 0; i < WH_COUNT(parts); i++) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        size_t len = slash ? (size_t)(slash - at) : 0;
        if (len == 0 || len >= NAME) return false;
        if (parts[i]) {
            memset(parts[i], 0, NAME);
            memcpy(parts[i], at, len);
            if (strpbrk(parts[i], ",\"\n")) return false; /* they go into a CSV file */
        }
        at = slash + 1;
    }
    return *at != '.' && !memchr(at, '/', (size_t)(end - at)); /* no copies that archivers hide */
}

static int by_name(const void *a, const void *b)
{
    const drawing *x = a, *y = b;
    int order = strcmp(x->alphabet, y->alphabet);
    if (order == 0) order = strcmp(x->character, y->character);
    if (order != 0) return order;
    size_t n = x->entry.len < y->entry.len ? x->entry.len : y->entry.len;
    order = memcmp(x->entry.name, y->entry.name, n);
    return order ? order : (x->entry.len > y->entry.len) - (x->entry.len < y->entry.len);
}

/* All drawings of an archive, in order. *out is the caller's to free. */
static whist_status list_drawings(drawing **out, size_t *n, const wh_zip *zip)
{
    WH_AUTO(wh_owned) memory = NULL;
    WH_TRY(wh_alloc(&memory, zip->n + 1, sizeof(drawing)));
    drawing *list = memory;
    *n = 0;
    for (size_t at = 0, before = 1; *n < zip->n; before = at) {
        WH_TRY(wh_zip_next(&list[*n].entry, &at, zip));
        if (at == before || at == 0) break;
        if (parse(list[*n].alphabet, list[*n].character, &list[*n].entry)) ++*n;
    }
    qsort(list, *n, sizeof *list, by_name);
    *out = list;
    memory = NULL;
    return WHIST_OK;
}

/* ---- Drawings become rows ---- */

/* Is the alphabet one of this archive's own? */
static whist_status note_alphabet(bool *own, maker *m, const char *alphabet)
{
    for (size_t i = 0; i < m->n_alphabets; i++)
        if (strcmp(m->alphabets[i], alphabet) == 0) {
            *own = i >= m->n_before;
            return WHIST_OK;
        }
    if (m->n_alphabets == MAX_ALPHABETS) WH_FAIL(WHIST_E_RANGE, "more than %d alphabets", MAX_ALPHABETS);
    memcpy(m->alphabets[m->n_alphabets++], alphabet, NAME);
    *own = true;
    return WHIST_OK;
}

static whist_status add_image(maker *m, const wh_zip *zip, const wh_zip_entry *entry)
{
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_AUTO(wh_png) png = WH_PNG_EMPTY;
    float small[SIDE * SIDE];
    int16_t label = (int16_t)(m->n_classes - 1);
    WH_TRY(wh_zip_read(&bytes, zip, entry, MAX_IMAGE));
    WH_TRY(wh_png_read(&png, wh_buf_view(&bytes), "a drawing"));
    WH_TRY(wh_png_shrink(small, &png, SIDE, SIDE, true));
    for (size_t i = 0; i < WH_COUNT(small); i++) {
        uint8_t pixel = (uint8_t)(small[i] * 255 + .5f);
        WH_TRY(wh_buf_add(&m->images, &pixel, 1));
    }
    m->n_images++;
    return wh_buf_add(&m->labels, &label, sizeof label);
}

static whist_status add_class(maker *m, const drawing *d)
{
    if (m->n_classes == INT16_MAX) WH_FAIL(WHIST_E_RANGE, "more than %d characters", INT16_MAX);
    size_t k = m->n_classes++;
    if (!m->set) return wh_buf_text(&m->classes, "%zu,%s,%s\n", k, d->alphabet, small_fold(d->alphabet));
    return wh_buf_text(&m->classes, "%zu,%s,%s,%s,%s,%d\n", k, m->set, d->alphabet, d->character,
                       vinyals_fold(k, d->alphabet), DRAWERS);
}

static whist_status add_drawing(maker *m, const wh_zip *zip, const drawing *d)
{
    bool own;
    WH_TRY(note_alphabet(&own, m, d->alphabet));
    if (!own) return WHIST_OK;
    if (strcmp(d->alphabet, m->last.alphabet) != 0 || strcmp(d->character, m->last.character) != 0) {
        WH_TRY(add_class(m, d));
        m->last = *d;
    }
    return add_image(m, zip, &d->entry);
}

static whist_status add_archive(maker *m, const char *folder, const char *name)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_AUTO(wh_owned) memory = NULL;
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    wh_zip zip;
    drawing *list;
    size_t n;
    WH_TRY(wh_data_path((char **)&path, folder, name));
    WH_TRY(wh_file_read(&file, path, MAX_ARCHIVE));
    WH_TRY(wh_zip_open(&zip, wh_buf_view(&file), name));
    WH_TRY(list_drawings(&list, &n, &zip));
    memory = list;
    m->n_before = m->n_alphabets;
    m->last = (drawing){.alphabet = ""};
    for (size_t i = 0; i < n; i++) {
        whist_status status = add_drawing(m, &zip, &list[i]);
        if (status != WHIST_OK) return wh_fail_context(status, "%s: ", name);
    }
    return WHIST_OK;
}

/* An archive of the complete set has so many characters, each drawn by twenty people. */
static whist_status add_whole_archive(maker *m, const char *folder, const char *set, size_t characters)
{
    char name[64];
    size_t classes = m->n_classes, images = m->n_images;
    snprintf(name, sizeof name, "images_%s.zip", set);
    m->set = set;
    WH_TRY(add_archive(m, folder, name));
    if (m->n_classes - classes != characters || m->n_images - images != characters * DRAWERS)
        WH_FAIL(WHIST_E_FORMAT, "%s has %zu characters in %zu drawings, the published one %zu in %zu", name,
                m->n_classes - classes, m->n_images - images, characters, characters * DRAWERS);
    const int16_t *label = (const int16_t *)(const void *)m->labels.data;
    for (size_t i = images; i < m->n_images; i++)
        if ((size_t)label[i] != classes + (i - images) / DRAWERS)
            WH_FAIL(WHIST_E_FORMAT, "%s: character %d has not %d drawings", name, label[i], DRAWERS);
    return WHIST_OK;
}

/* ---- Files ---- */

static whist_status write(const char *folder, const char *name, whist_bytes bytes)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_TRY(wh_data_path((char **)&path, folder, name));
    return wh_file_write(path, bytes, 0644);
}

static whist_status write_idx(const char *folder, const char *name, const wh_idx *idx, bool packed)
{
    WH_AUTO(wh_buf) plain = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) small = WH_BUF_EMPTY;
    WH_TRY(wh_idx_write(&plain, idx));
    if (packed) WH_TRY(wh_gzip(&small, wh_buf_view(&plain)));
    return write(folder, name, wh_buf_view(packed ? &small : &plain));
}

/* The classes come last: where they are, the others are whole. */
static whist_status write_set(const maker *m, const char *folder, const char *set, const char *end)
{
    char name[64];
    const wh_idx pixels = {WH_DTYPE_U8, 3, {m->n_images, SIDE, SIDE, 1}, m->images.len, m->images.data};
    const wh_idx numbers = {WH_DTYPE_I16, 1, {m->n_images, 1, 1, 1}, m->n_images, m->labels.data};
    snprintf(name, sizeof name, "%s-images-idx3-ubyte%s", set, end);
    WH_TRY(write_idx(folder, name, &pixels, *end));
    snprintf(name, sizeof name, "%s-labels-idx1-short%s", set, end);
    WH_TRY(write_idx(folder, name, &numbers, *end));
    snprintf(name, sizeof name, "%s-classes.csv", set);
    return write(folder, name, wh_buf_view(&m->classes));
}

whist_status wh_omniglot_small_write(const char *folder)
{
    WH_AUTO(maker) m = {.images = WH_BUF_EMPTY, .labels = WH_BUF_EMPTY, .classes = WH_BUF_EMPTY};
    WH_TRY(wh_buf_text(&m.classes, "class,alphabet,fold\n"));
    WH_TRY(add_archive(&m, folder, "images_background_small1.zip"));
    WH_TRY(add_archive(&m, folder, "images_background_small2.zip"));
    return write_set(&m, folder, "omniglot-small28", "");
}

whist_status wh_omniglot_write(const char *folder)
{
    WH_AUTO(maker) m = {.images = WH_BUF_EMPTY, .labels = WH_BUF_EMPTY, .classes = WH_BUF_EMPTY};
    WH_TRY(wh_buf_text(&m.classes, "class,set,alphabet,character,vinyals_split,images\n"));
    WH_TRY(add_whole_archive(&m, folder, "background", 964));
    WH_TRY(add_whole_archive(&m, folder, "evaluation", 659));
    return write_set(&m, folder, "omniglot28", ".gz");
}
