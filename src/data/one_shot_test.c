/* data/one_shot_test.c: the one-shot runs of Omniglot, and images made smaller; with the real files where WHIST_DATA
 * has them. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "codec/idx.h"
#include "codec/zip.h"
#include "data/omniglot.h"
#include "data/one_shot.h"

#include <whist/data.h>

static char *omniglot(const char *file)
{
    const char *data = getenv("WHIST_DATA");
    char *path = NULL;
    if (!data) skip();
    if (asprintf(&path, "%s/omniglot/%s", data, file) < 0) abort();
    if (!wh_file_exists(path)) {
        free(path);
        skip();
    }
    return path;
}

static void a_plain_image_stays_plain(void **state)
{
    (void)state;
    uint8_t pixels[12 * 9];
    float out[4 * 3];
    memset(pixels, 200, sizeof pixels);
    const wh_png png = {12, 9, pixels};
    assert_ok(wh_png_shrink(out, &png, 4, 3, false));
    for (size_t i = 0; i < 12; i++) assert_true(out[i] == 200.0f / 255);
    assert_ok(wh_png_shrink(out, &png, 4, 3, true));
    for (size_t i = 0; i < 12; i++) assert_true(out[i] == 55.0f / 255);
}

/* The published small set, made smaller here, is the set of 28 × 28 that others made: the first character of the
 * background alphabets by name, whose drawings are the first rows. */
static void drawings_become_those_of_the_28_set(void **state)
{
    (void)state;
    char *zip_path = omniglot("images_background_small1.zip"), *idx_path = omniglot("omniglot28-images-idx3-ubyte.gz");
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    WH_AUTO(wh_idx) images = WH_IDX_EMPTY;
    wh_zip zip;
    size_t at = 0, before = 1, found = 0, read = 0;
    assert_ok(wh_file_read(&file, zip_path, 1 << 24));
    assert_ok(wh_zip_open(&zip, wh_buf_view(&file), zip_path));
    assert_ok(wh_idx_load(&images, idx_path, 1 << 28));
    const uint8_t *all = images.values;
    while (at != before && read < 20) {
        wh_zip_entry entry;
        WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
        WH_AUTO(wh_png) png = WH_PNG_EMPTY;
        float small[784];
        before = at;
        assert_ok(wh_zip_next(&entry, &at, &zip));
        if (at == before || entry.len < 4 || memcmp(entry.name + entry.len - 4, ".png", 4) != 0) continue;
        assert_ok(wh_zip_read(&bytes, &zip, &entry, 1 << 20));
        assert_ok(wh_png_read(&png, wh_buf_view(&bytes), "drawing"));
        assert_ok(wh_png_shrink(small, &png, 28, 28, true));
        read++;
        for (size_t i = 0; i < images.dims[0]; i++) {
            size_t same = 0;
            while (same < 784 && fabs((double)small[same] * 255 - all[i * 784 + same]) < 1.5) same++;
            if (same < 784) continue;
            found++;
            break;
        }
    }
    assert_int_equal(read, 20);
    assert_int_equal(found, 20);
    free(zip_path);
    free(idx_path);
}

static void the_twenty_runs_are_read(void **state)
{
    (void)state;
    char *path = omniglot("all_runs.zip");
    whist_one_shot runs;
    assert_ok(whist_one_shot_load(&runs, path, 28, 28));
    for (size_t r = 0; r < WHIST_ONE_SHOT_RUNS; r++) {
        bool seen[WHIST_ONE_SHOT_WAYS] = {false};
        double ink = 0;
        for (size_t k = 0; k < WHIST_ONE_SHOT_WAYS; k++) seen[runs.truth[r * WHIST_ONE_SHOT_WAYS + k]] = true;
        for (size_t k = 0; k < WHIST_ONE_SHOT_WAYS; k++) assert_true(seen[k]);
        for (size_t i = 0; i < WHIST_ONE_SHOT_WAYS * 784; i++)
            ink += (double)runs.support[r * WHIST_ONE_SHOT_WAYS * 784 + i] / (WHIST_ONE_SHOT_WAYS * 784);
        assert_true(ink > .01 && ink < .3); /* mostly paper, which is 0 */
    }
    /* The first line of the first run: item01 is class08. */
    assert_int_equal(runs.truth[0], 7);
    whist_one_shot_clear(&runs);
    assert_int_equal(whist_one_shot_load(&runs, "/dev/null", 28, 28), WHIST_E_FORMAT);
    free(path);
}

static void copy(const char *dir, const char *name)
{
    char *from = omniglot(name), to[4096];
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    assert_ok(wh_file_read(&bytes, from, 1 << 24));
    snprintf(to, sizeof to, "%s/%s", dir, name);
    assert_ok(wh_file_write(to, wh_buf_view(&bytes), 0600));
    free(from);
}

/* What `whist data get omniglot` leaves: 242 characters by 20 people, folds that share no alphabet. */
static void the_small_sets_become_one(void **state)
{
    (void)state;
    free(omniglot("images_background_small2.zip"));
    char *dir = test_dir("omniglot"), path[4096];
    WH_AUTO(wh_idx) labels = WH_IDX_EMPTY;
    WH_AUTO(wh_buf) classes = WH_BUF_EMPTY;
    copy(dir, "images_background_small1.zip");
    copy(dir, "images_background_small2.zip");
    assert_ok(wh_omniglot_small_write(dir));
    snprintf(path, sizeof path, "%s/omniglot-small28-labels-idx1-short", dir);
    assert_ok(wh_idx_load(&labels, path, 1 << 20));
    const int16_t *label = labels.values;
    for (size_t i = 0; i < labels.n; i++) assert_int_equal(label[i], i / 20);
    snprintf(path, sizeof path, "%s/omniglot-small28-classes.csv", dir);
    assert_ok(wh_file_read(&classes, path, 1 << 20));
    assert_ok(wh_buf_add(&classes, "", 1));
    size_t count[3] = {0};
    for (const char *at = (const char *)classes.data; (at = strchr(at, '\n')); at++)
        for (size_t f = 0; f < 3; f++) {
            static const char *const folds[] = {",train\n", ",validation\n", ",test\n"};
            size_t len = strlen(folds[f]);
            count[f] += (size_t)(at - (const char *)classes.data) >= len && memcmp(at + 1 - len, folds[f], len) == 0;
        }
    assert_int_equal(count[0] + count[1] + count[2], labels.n / 20);
    print_message("%zu characters: %zu train, %zu validation, %zu test\n", labels.n / 20, count[0], count[1], count[2]);
    assert_true(count[0] == 114 && count[1] == 22 && count[2] == 106);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

/* 2 × 2 grey, filter 0: 0 255 / 128 64 */
static const uint8_t png[] = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
                              0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x08, 0x00, 0x00, 0x00, 0x00, 0x57,
                              0xdd, 0x52, 0xf8, 0x00, 0x00, 0x00, 0x0e, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60,
                              0xf8, 0xcf, 0xd0, 0xe0, 0x00, 0x00, 0x05, 0x42, 0x01, 0xc0, 0x70, 0x36, 0x36, 0xd6, 0x00,
                              0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

/* ---- The complete set, from archives that are made here: every drawing is the same picture of 2 × 2 ---- */

static uint32_t crc_of(const uint8_t *bytes, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void put(wh_buf *out, uint32_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) assert_ok(wh_buf_add(out, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1));
}

/* A stored entry: its local header and content into file, its record into directory. */
static void add_entry(wh_buf *file, wh_buf *directory, const char *name)
{
    static const uint32_t fixed[] = {20, 0, 0, 0, 0}; /* version, flags, stored, time, date */
    uint32_t size = sizeof png, crc = crc_of(png, size), at = (uint32_t)file->len, len = (uint32_t)strlen(name);
    put(file, 0x04034b50, 4);
    put(directory, 0x02014b50, 4), put(directory, 20, 2);
    for (size_t i = 0; i < WH_COUNT(fixed); i++) put(file, fixed[i], 2), put(directory, fixed[i], 2);
    put(file, crc, 4), put(file, size, 4), put(file, size, 4), put(file, len, 2), put(file, 0, 2);
    put(directory, crc, 4), put(directory, size, 4), put(directory, size, 4), put(directory, len, 2);
    put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 4);
    put(directory, at, 4);
    assert_ok(wh_buf_add(file, name, len));
    assert_ok(wh_buf_add(directory, name, len));
    assert_ok(wh_buf_add(file, png, size));
}

/* One of the two archives, with the characters of the list ("Alphabet/character" or, of csv, by its set) in falling
 * order, and what archivers leave in between. odd: one drawing of the last goes to the first. missing: is left out. */
enum { NONE, ODD, MISSING };
static void write_archive(const char *dir, const char *set, char (*names)[128], size_t n, int fault)
{
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) directory = WH_BUF_EMPTY;
    char name[256], path[4096];
    uint32_t entries = 2;
    snprintf(name, sizeof name, "__MACOSX/images_%s/%s/._0001_01.png", set, names[0]);
    add_entry(&file, &directory, name);
    snprintf(name, sizeof name, "images_%s/%s/._0001_01.png", set, names[0]);
    add_entry(&file, &directory, name);
    for (size_t i = n * 20; i-- > 0;) {
        size_t k = i == n * 20 - 1 && fault == ODD ? 0 : i / 20;
        if (i == 0 && fault == MISSING) continue;
        snprintf(name, sizeof name, "images_%s/%s/%04zu_%02zu.png", set, names[k], k + 1,
                 i % 20 + (k != i / 20 ? 21 : 1));
        add_entry(&file, &directory, name);
        entries++;
    }
    uint32_t at = (uint32_t)file.len;
    assert_ok(wh_buf_add(&file, directory.data, directory.len));
    put(&file, 0x06054b50, 4), put(&file, 0, 4), put(&file, entries, 2), put(&file, entries, 2);
    put(&file, (uint32_t)directory.len, 4), put(&file, at, 4), put(&file, 0, 2);
    snprintf(path, sizeof path, "%s/images_%s.zip", dir, set);
    assert_ok(wh_file_write(path, wh_buf_view(&file), 0600));
}

enum { BACKGROUND = 964, EVALUATION = 659 };
static char names_[BACKGROUND + EVALUATION][128];

/* The published list, where there is one; else made-up alphabets, one of which is for validation. */
static bool list_names(wh_buf *csv)
{
    const char *data = getenv("WHIST_DATA");
    char path[4096], set[32], alphabet[64], character[64];
    snprintf(path, sizeof path, "%s/omniglot/omniglot28-classes.csv", data ? data : "");
    bool published = data && wh_file_exists(path);
    if (!published) {
        for (size_t k = 0; k < BACKGROUND + EVALUATION; k++) {
            const char *of = k < 41 ? "Armenian" : k < BACKGROUND ? "Bengal" : "Angelic";
            snprintf(names_[k], sizeof names_[k], "%s/character%04zu", of, k);
        }
        return false;
    }
    assert_ok(wh_file_read(csv, path, 1 << 20));
    size_t kept = 0; /* lines end in \r\n there */
    for (size_t i = 0; i < csv->len; i++)
        if (csv->data[i] != '\r') csv->data[kept++] = csv->data[i];
    csv->len = kept;
    assert_ok(wh_buf_add(csv, "", 1));
    const char *at = strchr((const char *)csv->data, '\n');
    for (size_t k = 0; k < BACKGROUND + EVALUATION; k++, at = strchr(at + 1, '\n')) {
        assert_int_equal(sscanf(at, "\n%*d,%31[^,],%63[^,],%63[^,]", set, alphabet, character), 3);
        assert_int_equal(set[0], k < BACKGROUND ? 'b' : 'e');
        snprintf(names_[k], sizeof names_[k], "%s/%s", alphabet, character);
    }
    csv->len--;
    return true;
}

/* Classes in the order of their names, twenty drawings each, Vinyals' split: byte by byte the list that others made. */
static void the_complete_set_is_numbered_and_split(void **state)
{
    (void)state;
    char *dir = test_dir("complete"), path[4096];
    WH_AUTO(wh_buf) want = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) got = WH_BUF_EMPTY;
    WH_AUTO(wh_idx) labels = WH_IDX_EMPTY;
    WH_AUTO(wh_idx) images = WH_IDX_EMPTY;
    bool published = list_names(&want);
    write_archive(dir, "background", names_, BACKGROUND, NONE);
    write_archive(dir, "evaluation", names_ + BACKGROUND, EVALUATION, NONE);
    assert_ok(wh_omniglot_write(dir));
    snprintf(path, sizeof path, "%s/omniglot28-labels-idx1-short.gz", dir);
    assert_ok(wh_idx_load(&labels, path, 1 << 20));
    assert_int_equal(labels.n, 32460);
    for (size_t i = 0; i < labels.n; i++) assert_int_equal(((const int16_t *)labels.values)[i], i / 20);
    snprintf(path, sizeof path, "%s/omniglot28-images-idx3-ubyte.gz", dir);
    assert_ok(wh_idx_load(&images, path, 1 << 25));
    assert_true(images.dims[0] == 32460 && images.dims[1] == 28 && images.dims[2] == 28);
    const uint8_t *first = images.values;
    assert_true(first[0] == 255 && first[27] == 0); /* 0 and 255 of the picture, as ink */
    snprintf(path, sizeof path, "%s/omniglot28-classes.csv", dir);
    assert_ok(wh_file_read(&got, path, 1 << 20));
    if (published) {
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.data, want.data, want.len);
    }
    assert_ok(wh_buf_add(&got, "", 1));
    size_t count[3] = {0};
    for (const char *at = (const char *)got.data; (at = strchr(at, '\n')) && at[1]; at++) {
        char fold[8];
        assert_int_equal(sscanf(at, "\n%*d,%*[^,],%*[^,],%*[^,],%7[^,],20", fold), 1);
        count[fold[0] == 't' ? fold[1] == 'e' : 2]++;
    }
    assert_true(count[1] == 423 && count[2] == (published ? 172 : 41) && count[0] == 1200 - count[2]);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void an_archive_that_lacks_drawings_is_refused(void **state)
{
    (void)state;
    char *dir = test_dir("lacks"), path[4096];
    WH_AUTO(wh_buf) unused = WH_BUF_EMPTY;
    (void)list_names(&unused);
    assert_int_equal(wh_omniglot_write(dir), WHIST_E_IO); /* nothing is there */
    write_archive(dir, "background", names_, 3, NONE);
    assert_int_equal(wh_omniglot_write(dir), WHIST_E_FORMAT);
    assert_non_null(
        strstr(whist_detail_get()->text, "has 3 characters in 60 drawings, the published one 964 in 19280"));
    write_archive(dir, "background", names_, BACKGROUND, MISSING);
    assert_int_equal(wh_omniglot_write(dir), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "19279"));
    write_archive(dir, "background", names_, BACKGROUND, ODD);
    assert_int_equal(wh_omniglot_write(dir), WHIST_E_FORMAT);
    assert_non_null(strstr(whist_detail_get()->text, "has not 20 drawings"));
    snprintf(path, sizeof path, "%s/omniglot28-classes.csv", dir);
    assert_false(wh_file_exists(path));
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

/* Folders of PNG images: classes by name, any size, ink or light. */
static void folders_of_pictures_are_rows(void **state)
{
    (void)state;
    static const char *const files[] = {"dog/1.png", "cat/b.png", "cat/a.png", "cat/note.txt"};
    char *dir = test_dir("pictures"), path[4096];
    whist_schema schema = {.format = WHIST_DATA_IDX, .task = WHIST_TASK_CLASSES, .image_height = 2, .image_width = 2};
    whist_dataset *data;
    for (size_t i = 0; i < WH_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%.3s", dir, files[i]);
        assert_ok(wh_make_dirs(path));
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        assert_ok(wh_file_write(path, (whist_bytes){png, sizeof png}, 0600));
    }
    assert_ok(whist_dataset_open_images(&data, &schema, dir, NULL, false));
    whist_rows rows = whist_dataset_rows(data, WHIST_FOLD_TEST);
    assert_true(rows.n == 3 && rows.d == 4 && rows.y[0] == 0 && rows.y[1] == 0 && rows.y[2] == 1);
    assert_true(rows.x[0] == 0 && rows.x[1] == 1 && rows.x[3] == 64.0f / 255);
    whist_dataset_free(data);
    snprintf(path, sizeof path, "%s/cat", dir);
    assert_ok(whist_dataset_open_images(&data, &schema, path, NULL, true));
    rows = whist_dataset_rows(data, WHIST_FOLD_TEST);
    assert_true(rows.n == 2 && isnan(rows.y[0]) && rows.x[0] == 1 && rows.x[1] == 0);
    whist_dataset_free(data);
    assert_int_equal(whist_dataset_open_images(&data, &schema, path, "labels", true), WHIST_E_ARG);
    snprintf(path, sizeof path, "%s/cat/a.png", dir);
    assert_ok(wh_file_write(path, (whist_bytes){png, 20}, 0600));
    assert_int_equal(whist_dataset_open_images(&data, &schema, path, NULL, true), WHIST_E_FORMAT);
    snprintf(path, sizeof path, "%s/empty", dir);
    assert_ok(wh_make_dirs(path));
    assert_int_equal(whist_dataset_open_images(&data, &schema, path, NULL, true), WHIST_E_FORMAT);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_image_stays_plain),
        cmocka_unit_test(drawings_become_those_of_the_28_set),
        cmocka_unit_test(the_twenty_runs_are_read),
        cmocka_unit_test(the_small_sets_become_one),
        cmocka_unit_test(folders_of_pictures_are_rows),
        cmocka_unit_test(the_complete_set_is_numbered_and_split),
        cmocka_unit_test(an_archive_that_lacks_drawings_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
