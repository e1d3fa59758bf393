/* data/omniglot.c: the small background sets of Omniglot as IDX files.
 *
 *     images_background_smallN/Alphabet/characterMM/drawing.png      a class is a character; Greek and Latin are in
 * both
 */
#include "data/omniglot.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "codec/idx.h"
#include "codec/zip.h"
#include "data/one_shot.h"
#include "data/table.h"

enum { SIDE = 28, MAX_ARCHIVE = 64 << 20, MAX_IMAGE = 1 << 20, MAX_ALPHABETS = 32, NAME = 64 };

typedef struct maker {
    wh_buf images, labels, classes; /* bytes, int16_t, CSV */
    char alphabets[MAX_ALPHABETS][NAME];
    size_t n_alphabets, n_before; /* before this archive */
    char character[2 * NAME];     /* "Greek/character01" of the class before */
    size_t n_classes, n_images;
} maker;

static void maker_clear(maker *m)
{
    wh_buf_clear(&m->images);
    wh_buf_clear(&m->labels);
    wh_buf_clear(&m->classes);
}
WH_AUTO_CLEAR(maker, maker_clear)

static const char *fold_of(const char *alphabet)
{
    static const char *const test[] = {"Japanese_(katakana)", "Sanskrit", "Tagalog"};
    for (size_t i = 0; i < WH_COUNT(test); i++)
        if (strcmp(test[i], alphabet) == 0) return "test";
    return strcmp(alphabet, "Early_Aramaic") == 0 ? "validation" : "train";
}

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
    return true;
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

static whist_status add_entry(maker *m, const wh_zip *zip, const wh_zip_entry *entry)
{
    char alphabet[NAME], character[NAME], full[2 * NAME];
    bool own;
    if (!parse(alphabet, character, entry)) return WHIST_OK;
    WH_TRY(note_alphabet(&own, m, alphabet));
    if (!own) return WHIST_OK;
    snprintf(full, sizeof full, "%s/%s", alphabet, character);
    if (strcmp(full, m->character) != 0) {
        if (m->n_classes == INT16_MAX) WH_FAIL(WHIST_E_RANGE, "more than %d characters", INT16_MAX);
        memcpy(m->character, full, sizeof full);
        WH_TRY(wh_buf_text(&m->classes, "%zu,%s,%s\n", m->n_classes++, alphabet, fold_of(alphabet)));
    }
    return add_image(m, zip, entry);
}

static whist_status add_archive(maker *m, const char *folder, const char *name)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    wh_zip zip;
    WH_TRY(wh_data_path((char **)&path, folder, name));
    WH_TRY(wh_file_read(&file, path, MAX_ARCHIVE));
    WH_TRY(wh_zip_open(&zip, wh_buf_view(&file), name));
    m->n_before = m->n_alphabets;
    for (size_t at = 0, before = 1; at != before;) {
        wh_zip_entry entry;
        before = at;
        WH_TRY(wh_zip_next(&entry, &at, &zip));
        if (at == before) break;
        whist_status status = add_entry(m, &zip, &entry);
        if (status != WHIST_OK) return wh_fail_context(status, "%s: ", name);
    }
    return WHIST_OK;
}

static whist_status write(const char *folder, const char *name, whist_bytes bytes)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_TRY(wh_data_path((char **)&path, folder, name));
    return wh_file_write(path, bytes, 0644);
}

whist_status wh_omniglot_small_write(const char *folder)
{
    WH_AUTO(maker) m = {.images = WH_BUF_EMPTY, .labels = WH_BUF_EMPTY, .classes = WH_BUF_EMPTY};
    WH_AUTO(wh_buf) images = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) labels = WH_BUF_EMPTY;
    WH_TRY(wh_buf_text(&m.classes, "class,alphabet,fold\n"));
    WH_TRY(add_archive(&m, folder, "images_background_small1.zip"));
    WH_TRY(add_archive(&m, folder, "images_background_small2.zip"));
    const wh_idx pixels = {WH_DTYPE_U8, 3, {m.n_images, SIDE, SIDE, 1}, m.images.len, m.images.data};
    const wh_idx numbers = {WH_DTYPE_I16, 1, {m.n_images, 1, 1, 1}, m.n_images, m.labels.data};
    WH_TRY(wh_idx_write(&images, &pixels));
    WH_TRY(wh_idx_write(&labels, &numbers));
    WH_TRY(write(folder, "omniglot-small28-images-idx3-ubyte", wh_buf_view(&images)));
    WH_TRY(write(folder, "omniglot-small28-labels-idx1-short", wh_buf_view(&labels)));
    return write(folder, "omniglot-small28-classes.csv", wh_buf_view(&m.classes));
}
