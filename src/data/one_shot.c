/* data/one_shot.c: the one-shot runs of Omniglot (Lake et al. 2015): a zip archive of twenty tasks, in each of which
 * twenty drawings are given and twenty others are to be named.
 *
 *     runNN/training/classMM.png   runNN/test/itemMM.png   runNN/class_labels.txt: "test path, training path" a line
 */
#include "data/one_shot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "codec/zip.h"

#include <whist/data.h>

enum { MAX_ARCHIVE = 64 << 20, MAX_IMAGE = 1 << 20, MAX_LABELS = 1 << 16, LOBES = 3, PATH = 64 };

/* ---- Smaller images --------------------------------------------------------------------------------------- */

static double lanczos(double x)
{
    if (x == 0) return 1;
    if (fabs(x) >= LOBES) return 0;
    double a = M_PI * x;
    return LOBES * sin(a) * sin(a / LOBES) / (a * a);
}

/* to (n_to) from (n_from), strides in elements; both as bytes' values. */
static void shrink_line(double *to, size_t to_stride, const double *from, size_t from_stride, size_t n_to,
                        size_t n_from)
{
    double scale = (double)n_from / (double)n_to, width = scale > 1 ? scale : 1;
    for (size_t i = 0; i < n_to; i++) {
        double center = ((double)i + .5) * scale, sum = 0, weights = 0;
        double low = center - LOBES * width, high = center + LOBES * width;
        size_t first = low > 0 ? (size_t)(low + .5) : 0, end = high < (double)n_from ? (size_t)(high + .5) : n_from;
        if (end > n_from) end = n_from;
        for (size_t j = first; j < end; j++) {
            double w = lanczos(((double)j - center + .5) / width);
            sum += w * from[j * from_stride];
            weights += w;
        }
        to[i * to_stride] = fmin(fmax(floor(sum / weights + .5), 0), 255);
    }
}

whist_status wh_png_shrink(float *out, const wh_png *png, size_t height, size_t width, bool invert)
{
    WH_AUTO(wh_owned) memory = NULL;
    size_t h = png->height, w = png->width;
    WH_TRY(wh_alloc(&memory, h * w + h * width + height * width, sizeof(double)));
    double *image = memory, *narrow = image + h * w, *small = narrow + h * width;
    for (size_t i = 0; i < h * w; i++) image[i] = png->pixels[i];
    for (size_t y = 0; y < h; y++) shrink_line(narrow + y * width, 1, image + y * w, 1, width, w);
    for (size_t x = 0; x < width; x++) shrink_line(small + x, width, narrow + x, width, height, h);
    for (size_t i = 0; i < height * width; i++) out[i] = (float)((invert ? 255 - small[i] : small[i]) / 255);
    return WHIST_OK;
}

/* ---- Runs ---------------------------------------------------------------------------------------------------- */

static whist_status read_image(float *out, const wh_zip *zip, const char *path, size_t height, size_t width)
{
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_AUTO(wh_png) png = WH_PNG_EMPTY;
    wh_zip_entry entry;
    WH_TRY(wh_zip_find(&entry, zip, path));
    WH_TRY(wh_zip_read(&bytes, zip, &entry, MAX_IMAGE));
    WH_TRY(wh_png_read(&png, wh_buf_view(&bytes), path));
    return wh_png_shrink(out, &png, height, width, true);
}

/* "run01/test/item07.png run01/training/class12.png": truth[6] = 11. */
static whist_status read_truth(uint32_t *truth, const wh_zip *zip, unsigned run)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    char path[PATH];
    wh_zip_entry entry;
    snprintf(path, sizeof path, "run%02u/class_labels.txt", run);
    WH_TRY(wh_zip_find(&entry, zip, path));
    WH_TRY(wh_zip_read(&text, zip, &entry, MAX_LABELS));
    WH_TRY(wh_buf_add(&text, "", 1));
    bool seen[WHIST_ONE_SHOT_WAYS] = {false};
    const char *at = (const char *)text.data;
    for (size_t k = 0; k < WHIST_ONE_SHOT_WAYS; k++) {
        unsigned r1, item, r2, class_;
        int used = 0;
        if (sscanf(at, " run%2u/test/item%2u.png run%2u/training/class%2u.png%n", &r1, &item, &r2, &class_, &used) !=
                4 ||
            r1 != run || r2 != run || item - 1 >= WHIST_ONE_SHOT_WAYS || class_ - 1 >= WHIST_ONE_SHOT_WAYS ||
            seen[item - 1])
            WH_FAIL(WHIST_E_FORMAT, "%s, line %zu: not a test image and the training image of its class", path, k + 1);
        seen[item - 1] = true;
        truth[item - 1] = class_ - 1;
        at += used;
    }
    return WHIST_OK;
}

static whist_status read_run(whist_one_shot *out, const wh_zip *zip, unsigned run)
{
    size_t d = (size_t)out->height * out->width, first = (size_t)run * WHIST_ONE_SHOT_WAYS;
    WH_TRY(read_truth(out->truth + first, zip, run + 1));
    for (unsigned k = 0; k < WHIST_ONE_SHOT_WAYS; k++) {
        char path[PATH];
        snprintf(path, sizeof path, "run%02u/training/class%02u.png", run + 1, k + 1);
        WH_TRY(read_image(out->support + (first + k) * d, zip, path, out->height, out->width));
        snprintf(path, sizeof path, "run%02u/test/item%02u.png", run + 1, k + 1);
        WH_TRY(read_image(out->query + (first + k) * d, zip, path, out->height, out->width));
    }
    return WHIST_OK;
}

static whist_status load(whist_one_shot *out, const char *path)
{
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    wh_zip zip;
    size_t all = (size_t)WHIST_ONE_SHOT_RUNS * WHIST_ONE_SHOT_WAYS;
    WH_TRY(wh_file_read(&file, path, MAX_ARCHIVE));
    WH_TRY(wh_zip_open(&zip, wh_buf_view(&file), path));
    WH_TRY(WH_NEW(&out->support, all * out->height * out->width));
    WH_TRY(WH_NEW(&out->query, all * out->height * out->width));
    WH_TRY(WH_NEW(&out->truth, all));
    for (unsigned run = 0; run < WHIST_ONE_SHOT_RUNS; run++) WH_TRY(read_run(out, &zip, run));
    return WHIST_OK;
}

whist_status whist_one_shot_load(whist_one_shot *out, const char *path, unsigned height, unsigned width)
{
    WH_ENSURE(out && path && height && width && height <= WH_PNG_MAX_SIDE && width <= WH_PNG_MAX_SIDE, WHIST_E_ARG);
    *out = (whist_one_shot){.height = height, .width = width};
    whist_status status = load(out, path);
    if (status != WHIST_OK) whist_one_shot_clear(out);
    return status == WHIST_OK ? WHIST_OK : wh_fail_context(status, "%s: ", path);
}

void whist_one_shot_clear(whist_one_shot *runs)
{
    wh_free(runs->support);
    wh_free(runs->query);
    wh_free(runs->truth);
    *runs = (whist_one_shot){0};
}
