/* Tests of the scattering transform: against the definition, computed slowly in pixels; its properties; rows of data
 * sets. */
#include <complex.h>
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "codec/idx.h"
#include "data/scatter.h"
#include "data/schemas_test.h"
#include "test.h"

#define PI 3.14159265358979323846
enum { L = WH_SCATTER_ANGLES, CHANNELS = WH_SCATTER_CHANNELS };

WH_AUTO_FREE(wh_pool, wh_pool_free)

typedef struct pictures {
    size_t h, w;
    const float *x; /* (n,h,w) */
} pictures;

static void take_picture(float *image, const void *user, size_t i)
{
    const pictures *p = user;
    memcpy(image, p->x + i * p->h * p->w, p->h * p->w * sizeof *image);
}

/* out (n,81,h/4,w/4) */
static float *scattered(const float *x, size_t n, size_t h, size_t w, size_t groups, wh_pool *pool)
{
    wh_scatter s = {0};
    const pictures p = {h, w, x};
    float *out = NULL;
    assert_ok(wh_scatter_init(&s, h, w));
    assert_int_equal(wh_scatter_features(&s), CHANNELS * (h / 4) * (w / 4));
    assert_ok(WH_NEW(&out, n * wh_scatter_features(&s)));
    assert_ok(wh_scatter_rows(out, &s, groups, n, take_picture, &p, pool));
    wh_scatter_clear(&s);
    return out;
}

/* Numbers from 0 to 1 without a pattern. */
static float *noise(size_t n, unsigned seed)
{
    float *x = NULL;
    assert_ok(WH_NEW(&x, n));
    uint64_t state = seed * 2654435761U + 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        x[i] = (float)(state >> 40) / 0x1p24F;
    }
    return x;
}

/* ---- The definition, in pixels and doubles --------------------------------------------------------------------- */

typedef struct circle {
    size_t h, w; /* padded */
    double *u;
} circle;

static double complex *gabor(const circle *c, double angle, double wave, double sigma)
{
    double complex *out = NULL;
    assert_ok(WH_NEW(&out, c->h * c->w));
    for (size_t y = 0; y < c->h; y++)
        for (size_t x = 0; x < c->w; x++)
            for (int ty = -2; ty <= 2; ty++)
                for (int tx = -2; tx <= 2; tx++) {
                    double dy = (double)y + ty * (double)c->h, dx = (double)x + tx * (double)c->w;
                    double along = dx * cos(angle) + dy * sin(angle), across = dy * cos(angle) - dx * sin(angle);
                    out[y * c->w + x] += exp(-(along * along + across * across / 4) / (2 * sigma * sigma)) /
                                         (4 * PI * sigma * sigma) * cexp(I * wave * along);
                }
    return out;
}

/* |u ⋆ psi| */
static double *wavelet(const circle *c, const double *u, unsigned scale, size_t angle)
{
    const size_t n = c->h * c->w;
    double sigma = 0.8 * (1 << scale), theta = PI * (double)angle / L;
    double complex *psi = gabor(c, theta, 3 * PI / 4 / (1 << scale), sigma), *envelope = gabor(c, theta, 0, sigma);
    double complex a = 0, b = 0;
    for (size_t i = 0; i < n; i++) a += psi[i], b += envelope[i];
    for (size_t i = 0; i < n; i++) psi[i] -= a / b * envelope[i];
    double *out = NULL;
    assert_ok(WH_NEW(&out, n));
    for (size_t y = 0; y < c->h; y++)
        for (size_t x = 0; x < c->w; x++) {
            double complex sum = 0;
            for (size_t v = 0; v < c->h; v++)
                for (size_t w = 0; w < c->w; w++)
                    sum += u[v * c->w + w] * psi[(y + c->h - v) % c->h * c->w + (x + c->w - w) % c->w];
            out[y * c->w + x] = cabs(sum);
        }
    wh_free(psi);
    wh_free(envelope);
    return out;
}

static double bump(size_t from, size_t to, size_t n)
{
    double sum = 0;
    for (int turn = -2; turn <= 2; turn++) {
        double t = ((double)to - (double)from + turn * (double)n) / 1.6;
        sum += exp(-t * t / 2) / (1.6 * sqrt(2 * PI));
    }
    return sum;
}

/* A channel of u, taken at every pixel or every other one and low-passed, against what was computed. */
static double difference(const circle *c, const double *u, size_t step, const float *channel, size_t oh, size_t ow)
{
    double most = 0;
    for (size_t p = 0; p < oh; p++)
        for (size_t q = 0; q < ow; q++) {
            double sum = 0;
            for (size_t y = 0; y < c->h; y += step)
                for (size_t x = 0; x < c->w; x += step)
                    sum +=
                        (double)(step * step) * u[y * c->w + x] * bump(y, 4 + 4 * p, c->h) * bump(x, 4 + 4 * q, c->w);
            most = fmax(most, fabs(sum - (double)channel[p * ow + q]));
        }
    return most;
}

static circle padded(const float *x, size_t h, size_t w, size_t ph, size_t pw)
{
    circle c = {ph, pw, NULL};
    assert_ok(WH_NEW(&c.u, ph * pw));
    for (long y = 0; y < (long)ph; y++)
        for (long i = 0; i < (long)pw; i++) {
            long r = labs(y - 4), q = labs(i - 4);
            r = r < (long)h ? r : 2 * ((long)h - 1) - r, q = q < (long)w ? q : 2 * ((long)w - 1) - q;
            c.u[y * (long)pw + i] = (double)x[r * (long)w + q];
        }
    return c;
}

/* Sizes whose transforms take all radices: 20 and 36 pixels, 30 and 16. */
static void against_definition(size_t h, size_t w, size_t ph, size_t pw)
{
    float *x = noise(h * w, 3), *s = scattered(x, 1, h, w, 0, NULL);
    circle c = padded(x, h, w, ph, pw);
    size_t cells = h / 4 * (w / 4);
    double most = difference(&c, c.u, 1, s, h / 4, w / 4);
    for (size_t a = 0; a < L; a++) {
        double *u = wavelet(&c, c.u, 0, a), *v = wavelet(&c, c.u, 1, a);
        most = fmax(most, difference(&c, u, 1, s + (1 + a) * cells, h / 4, w / 4));
        most = fmax(most, difference(&c, v, 2, s + (1 + L + a) * cells, h / 4, w / 4));
        for (size_t b = a % 2; b < L; b += 3) { /* all of them would take a minute */
            double *second = wavelet(&c, u, 1, b);
            most = fmax(most, difference(&c, second, 2, s + (1 + 2 * L + a * L + b) * cells, h / 4, w / 4));
            wh_free(second);
        }
        wh_free(u);
        wh_free(v);
    }
    if (!(most < 3e-6)) fail_msg("%zu x %zu: off by %g", h, w, most);
    wh_free(x);
    wh_free(s);
    wh_free(c.u);
}

static void test_definition(void **state)
{
    (void)state;
    against_definition(12, 28, 20, 36);
    against_definition(20, 8, 30, 16);
}

/* Computed by another program (Python, direct convolution in double) from the same definition. */
static void test_known_numbers(void **state)
{
    (void)state;
    static const struct {
        size_t channel;
        double at[3]; /* cells (0,0), (3,2), (6,6) */
    } known[] = {
        {0, {0.793131, 0.6688727, 0.7241339}},
        {1 + 1, {0.0720577, 0.0613334, 0.0509335}},
        {1 + L + 6, {0.0141088, 0.016366, 0.0154183}},
        {1 + 2 * L + 1 * L + 4, {0.0044247, 0.0019393, 0.0099508}},
    };
    float x[28 * 28];
    for (size_t y = 0; y < 28; y++)
        for (size_t i = 0; i < 28; i++) x[y * 28 + i] = y * i % 5 ? (float)((7 * y + 3 * i) % 11) / 10 : 1;
    float *s = scattered(x, 1, 28, 28, 0, NULL);
    for (size_t k = 0; k < WH_COUNT(known); k++) {
        const float *c = s + known[k].channel * 49;
        const double got[] = {(double)c[0], (double)c[3 * 7 + 2], (double)c[6 * 7 + 6]};
        for (size_t i = 0; i < 3; i++)
            if (fabs(got[i] - known[k].at[i]) > 1e-6)
                fail_msg("channel %zu: %.7f, not %.7f", known[k].channel, got[i], known[k].at[i]);
    }
    wh_free(s);
}

/* ---- Properties ------------------------------------------------------------------------------------------------- */

enum { H = 32, W = 32, CELLS = H / 4 * W / 4 };

static void test_order_zero_is_linear_and_moduli_forget_the_sign(void **state)
{
    (void)state;
    float *a = noise(H * W, 1), *b = noise(H * W, 2), x[4 * H * W];
    for (size_t i = 0; i < H * W; i++) {
        x[i] = a[i], x[H * W + i] = b[i];
        x[2 * H * W + i] = 2 * a[i] - 3 * b[i];
        x[3 * H * W + i] = -a[i];
    }
    float *s = scattered(x, 4, H, W, 0, NULL);
    const float *sa = s, *sb = sa + CHANNELS * CELLS, *sum = sb + CHANNELS * CELLS, *minus = sum + CHANNELS * CELLS;
    double differs = 0;
    for (size_t i = 0; i < CHANNELS * CELLS; i++) {
        double linear = 2 * (double)sa[i] - 3 * (double)sb[i];
        if (i < CELLS)
            assert_true(fabs((double)sum[i] - linear) < 1e-5);
        else
            differs = fmax(differs, fabs((double)sum[i] - linear));
        assert_true(minus[i] == (i < CELLS ? -sa[i] : sa[i]));
    }
    assert_true(differs > 1e-2); /* the other orders are not linear */
    wh_free(a), wh_free(b), wh_free(s);
}

/* Wavelets see no constant; the low pass keeps it. An image that varies has some of both orders, and less in all
 * channels than in the image: the scattering does not expand. */
static void test_constants_and_energy(void **state)
{
    (void)state;
    float x[2 * H * W], *random = noise(H * W, 5);
    double image = 0, order[3] = {0};
    for (size_t i = 0; i < H * W; i++) x[i] = 0.5F, x[H * W + i] = random[i] - 0.5F;
    for (size_t i = 0; i < H * W; i++) image += pow((double)x[H * W + i], 2);
    float *s = scattered(x, 2, H, W, 0, NULL);
    for (size_t i = 0; i < CHANNELS * CELLS; i++)
        assert_true(fabs((double)s[i] - (i < CELLS ? 0.5 : 0)) < (i < CELLS ? 1e-5 : 1e-6));
    for (size_t i = 0; i < CHANNELS * CELLS; i++)
        order[i < CELLS ? 0 : i < (1 + 2 * L) * CELLS ? 1 : 2] += 16 * pow((double)s[CHANNELS * CELLS + i], 2);
    assert_true(order[0] > 0 && order[1] > order[2] && order[2] > 1e-3 * order[1]);
    assert_true(order[0] + order[1] + order[2] < image);
    wh_free(random), wh_free(s);
}

/* An image in the middle that moves by one step moves its features by one cell. */
static void test_moves_with_the_image(void **state)
{
    (void)state;
    float x[2 * H * W] = {0}, *blob = noise(64, 7);
    for (size_t y = 0; y < 8; y++)
        for (size_t i = 0; i < 8; i++) {
            x[(12 + y) * W + 8 + i] = blob[y * 8 + i];
            x[H * W + (12 + y) * W + 12 + i] = blob[y * 8 + i];
        }
    float *s = scattered(x, 2, H, W, 0, NULL), *moved = s + CHANNELS * CELLS;
    double most = 0, least = 1;
    for (size_t c = 0; c < CHANNELS; c++)
        for (size_t p = 0; p < H / 4; p++)
            for (size_t q = 0; q + 1 < W / 4; q++) {
                double from = (double)s[(c * 8 + p) * 8 + q], to = (double)moved[(c * 8 + p) * 8 + q + 1];
                most = fmax(most, fabs(from - to));
                if (p == 4 && q == 3) least = fmin(least, from);
            }
    assert_true(most < 1e-6);
    assert_true(least > 1e-4); /* and there is something to move */
    wh_free(blob), wh_free(s);
}

/* Angles are there: stripes answer at their own. */
static void test_angles(void **state)
{
    (void)state;
    float x[2 * H * W];
    for (size_t y = 0; y < H; y++)
        for (size_t i = 0; i < W; i++) {
            x[y * W + i] = (float)cos(3 * PI / 4 * (double)i); /* the wave runs along x: angle 0 */
            x[H * W + y * W + i] = (float)cos(3 * PI / 4 * (double)y);
        }
    float *s = scattered(x, 2, H, W, 0, NULL);
    const size_t middle = 4 * 8 + 4;
    for (size_t image = 0; image < 2; image++)
        for (size_t a = 0; a < L; a++) {
            const float *c = s + image * CHANNELS * CELLS + CELLS + middle;
            assert_true(a == image * L / 2 || c[a * CELLS] < c[image * L / 2 * CELLS]);
        }
    wh_free(s);
}

/* ---- Rows ------------------------------------------------------------------------------------------------------- */

/* Bits: by all kernels, by any number of threads, alone or among others. */
static void test_same_bits(void **state)
{
    (void)state;
    enum { N = 83 };
    float *x = noise(N * 28 * 28, 9);
    const size_t d = CHANNELS * 49;
    WH_AUTO(wh_pool_ptr) pool = NULL;
    assert_ok(wh_pool_new(&pool, 3));
    float *one = scattered(x, N, 28, 28, 27, NULL), *three = scattered(x, N, 28, 28, 27, pool);
    float *alone = scattered(x + 82 * 28 * 28, 1, 28, 28, 27, NULL);
    assert_memory_equal(one, three, N * d * sizeof *one);
    assert_memory_equal(one + 82 * d, alone, d * sizeof *one);
    wh_free(x), wh_free(one), wh_free(three), wh_free(alone);
}

static void test_kernels_agree(void **state)
{
    (void)state;
#ifdef __x86_64__
    if (wh_cpu_machine() < WH_CPU_AVX2) skip();
    static const size_t size[][2] = {{28, 28}, {20, 12}};
    for (size_t k = 0; k < WH_COUNT(size); k++) {
        wh_scatter s = {0};
        float *a = NULL, *b = NULL, *scratch = NULL;
        assert_ok(wh_scatter_init(&s, size[k][0], size[k][1]));
        size_t n = wh_scatter_features(&s) * WH_SCATTER_LANES, pixels = s.y.padded * s.x.padded * WH_SCATTER_LANES;
        float *x = noise(pixels, 4);
        assert_ok(WH_NEW(&a, n));
        assert_ok(WH_NEW(&b, n));
        assert_ok(WH_NEW(&scratch, wh_scatter_scratch(&s)));
        memcpy(scratch, x, pixels * sizeof *x);
        wh_scatter_eight_generic(a, &s, scratch);
        memcpy(scratch, x, pixels * sizeof *x);
        wh_scatter_eight_avx2(b, &s, scratch);
        assert_memory_equal(a, b, n * sizeof *a);
        wh_scatter_clear(&s);
        wh_free(a), wh_free(b), wh_free(scratch), wh_free(x);
    }
#else
    skip();
#endif
}

/* Groups: mean 0, variance almost 1, from the image alone; nothing of a blank one. */
static void test_groups(void **state)
{
    (void)state;
    enum { GROUPS = 9, N = CHANNELS / GROUPS * 49 };
    float x[2 * 28 * 28] = {0}, *random = noise(28 * 28, 6);
    memcpy(x, random, 28 * 28 * sizeof *x);
    float *raw = scattered(x, 1, 28, 28, 0, NULL), *s = scattered(x, 2, 28, 28, GROUPS, NULL);
    for (size_t g = 0; g < GROUPS; g++) {
        double mean = 0, square = 0, m = 0, v = 0;
        for (size_t i = 0; i < N; i++) m += (double)raw[g * N + i] / N;
        for (size_t i = 0; i < N; i++) v += pow((double)raw[g * N + i] - m, 2) / N;
        for (size_t i = 0; i < N; i++) mean += (double)s[g * N + i] / N, square += pow((double)s[g * N + i], 2) / N;
        assert_true(fabs(mean) < 1e-5);
        assert_true(fabs(square - v / (v + 1e-5)) < 1e-4);
    }
    for (size_t i = 0; i < GROUPS * N; i++) assert_true(s[GROUPS * N + i] == 0);
    wh_free(raw), wh_free(s), wh_free(random);
}

/* ---- Data sets ----------------------------------------------------------------------------------------------------
 */

static whist_schema images(void)
{
    return (whist_schema){.format = WHIST_DATA_SYNTHETIC,
                          .task = WHIST_TASK_CLASSES,
                          .n_classes = 3,
                          .image_height = 28,
                          .image_width = 20,
                          .image_features = WHIST_FEATURES_SCATTERING,
                          .feature_groups = 27,
                          .synthetic_rows = 700};
}

static void test_rows_of_a_data_set(void **state)
{
    (void)state;
    whist_schema schema = images();
    const whist_data_source source = {.site = "a", .n_sites = 1, .seed = 3};
    whist_dataset *pixels = NULL, *features = NULL;
    whist_row_shape shape;
    assert_ok(whist_schema_shape(&schema, &shape));
    assert_int_equal(shape.n_features, CHANNELS * 7 * 5);
    assert_true(shape.channels == CHANNELS && shape.height == 7 && shape.width == 5);
    assert_ok(whist_dataset_open(&features, &schema, &source));
    schema.image_features = WHIST_FEATURES_PIXELS, schema.feature_groups = 0;
    assert_ok(whist_dataset_open(&pixels, &schema, &source));
    for (int fold = 0; fold < 3; fold++) {
        const whist_rows p = whist_dataset_rows(pixels, (whist_fold)fold);
        const whist_rows f = whist_dataset_rows(features, (whist_fold)fold);
        assert_int_equal(p.n, f.n);
        assert_int_equal(f.d, shape.n_features);
        if (!p.n) continue;
        assert_memory_equal(p.y, f.y, p.n * sizeof *p.y);
        float *want = scattered(p.x, p.n, 28, 20, 27, NULL);
        assert_memory_equal(f.x, want, p.n * f.d * sizeof *want);
        wh_free(want);
    }
    whist_dataset_free(pixels);
    whist_dataset_free(features);
}

/* Images to predict for go the same way. */
static void test_rows_to_predict_for(void **state)
{
    (void)state;
    char *folder = test_dir("scatter"), *path = NULL;
    uint8_t bytes[3 * 28 * 20];
    float x[3 * 28 * 20];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i % 251), x[i] = (float)bytes[i] / 255.0F;
    wh_idx idx = {
        .type = WH_DTYPE_U8, .n_dims = 3, .dims = {3, 28, 20, 1, 1, 1, 1, 1}, .n = sizeof bytes, .values = bytes};
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    assert_ok(wh_idx_write(&file, &idx));
    assert_ok(wh_path(&path, folder, "%s", "new"));
    assert_ok(wh_file_write(path, wh_buf_view(&file), 0600));
    whist_schema schema = images();
    schema.format = WHIST_DATA_IDX;
    whist_dataset *data = NULL;
    assert_ok(whist_dataset_open_images(&data, &schema, path, NULL, false));
    const whist_rows rows = whist_dataset_rows(data, WHIST_FOLD_TEST);
    assert_true(rows.n == 3 && rows.d == CHANNELS * 7 * 5);
    float *want = scattered(x, 3, 28, 20, 27, NULL);
    assert_memory_equal(rows.x, want, 3 * rows.d * sizeof *want);
    wh_free(want), wh_free(path);
    whist_dataset_free(data);
    assert_ok(wh_tree_remove(folder));
    test_dir_free(folder);
}

static void refused(const whist_schema *schema, const char *words)
{
    size_t features, outputs;
    assert_int_equal(whist_schema_features(schema, &features, &outputs), WHIST_E_ARG);
    if (!strstr(whist_detail_get()->text, words)) fail_msg("'%s' is not in: %s", words, whist_detail_get()->text);
}

static void test_refused(void **state)
{
    (void)state;
    whist_schema schema = images();
    schema.image_height = 30, refused(&schema, "a multiple of 4, not 30");
    schema.image_height = 4, refused(&schema, "8 to 256 pixels");
    schema.image_height = 260, refused(&schema, "8 to 256 pixels");
    schema = images();
    schema.feature_groups = 2, refused(&schema, "27 or 81");
    schema.image_features = WHIST_FEATURES_PIXELS, refused(&schema, "features: scattering");
    schema = tabular(WHIST_TASK_BINARY, "a:r y:t");
    schema.image_features = WHIST_FEATURES_SCATTERING, refused(&schema, "made of images");
    whist_schema_clear(&schema);
}

/* Every allocation fails once: nothing is set, nothing leaks (the sanitised build looks). */
static void test_no_memory(void **state)
{
    (void)state;
    whist_schema schema = images();
    schema.synthetic_rows = 20;
    const whist_data_source source = {.site = "a", .n_sites = 1, .seed = 3};
    whist_status status = WHIST_E_NOMEM;
    for (uint64_t n = 1; status != WHIST_OK && n < 1000; n++) {
        whist_dataset *data = NULL;
        wh_alloc_fail_after(n);
        status = whist_dataset_open(&data, &schema, &source);
        wh_alloc_fail_after(0);
        assert_true(status == WHIST_OK || (status == WHIST_E_NOMEM && !data));
        whist_dataset_free(data);
    }
    assert_int_equal(status, WHIST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_known_numbers),
        cmocka_unit_test(test_order_zero_is_linear_and_moduli_forget_the_sign),
        cmocka_unit_test(test_constants_and_energy),
        cmocka_unit_test(test_moves_with_the_image),
        cmocka_unit_test(test_angles),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_kernels_agree),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_rows_of_a_data_set),
        cmocka_unit_test(test_rows_to_predict_for),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
