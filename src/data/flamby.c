/* data/flamby.c: FLamby's split of the heart hospitals, computed as its authors did.
 *
 * Their rule: of the rows complete in columns 1-10 and 14, 66 % train and 34 % test, by scikit-learn's
 * train_test_split with random_state 43, stratified by disease where both classes have more than 2
 * rows. So that a machine without Python gets the same rows, this file repeats what that call
 * draws: the Mersenne Twister (Matsumoto, Nishimura, ACM TOMACS 1998) seeded by 43, NumPy's shuffle on
 * it, and the order of scikit-learn's stratified draws. The test compares with the known hash. */
#include "data/flamby.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "codec/csv.h"
#include "data/table.h"

/* ---- MT19937 */

enum { MT_N = 624, MT_M = 397, MAX_ROWS = 1000, SEED = 43 };

typedef struct twister {
    uint32_t word[MT_N];
    unsigned at;
} twister;

static void twister_seed(twister *mt, uint32_t seed)
{
    for (uint32_t i = 0; i < MT_N; i++) {
        mt->word[i] = seed;
        seed = UINT32_C(1812433253) * (seed ^ (seed >> 30)) + i + 1;
    }
    mt->at = MT_N;
}

static void twister_turn(twister *mt)
{
    for (unsigned i = 0; i < MT_N; i++) {
        uint32_t y = (mt->word[i] & UINT32_C(0x80000000)) | (mt->word[(i + 1) % MT_N] & UINT32_C(0x7fffffff));
        mt->word[i] = mt->word[(i + MT_M) % MT_N] ^ (y >> 1) ^ (y & 1 ? UINT32_C(0x9908b0df) : 0);
    }
    mt->at = 0;
}

static uint32_t twister_next(twister *mt)
{
    if (mt->at == MT_N) twister_turn(mt);
    uint32_t y = mt->word[mt->at++];
    y ^= y >> 11;
    y ^= (y << 7) & UINT32_C(0x9d2c5680);
    y ^= (y << 15) & UINT32_C(0xefc60000);
    return y ^ (y >> 18);
}

/* NumPy's order: from the last place down, an index by masking and rejecting. */
static void permutation(size_t *out, size_t n, twister *mt)
{
    for (size_t i = 0; i < n; i++) out[i] = i;
    for (size_t i = n; i-- > 1;) {
        uint32_t mask = UINT32_MAX >> __builtin_clz((unsigned)i), j;
        do j = twister_next(mt) & mask;
        while (j > i);
        size_t held = out[i];
        out[i] = out[j];
        out[j] = held;
    }
}

/* ---- The split of one hospital */

typedef struct hospital {
    size_t n;
    uint64_t line[MAX_ROWS];
    bool ill[MAX_ROWS], test[MAX_ROWS];
} hospital;

/* How many of m draws each of two classes gets: shares rounded down, the rest to the larger
 * remainder; equal remainders are settled by a draw. */
static void two_shares(size_t out[2], const size_t count[2], size_t m, twister *mt)
{
    double rest[2];
    size_t left = m;
    for (int k = 0; k < 2; k++) {
        double share = (double)count[k] / (double)(count[0] + count[1]) * (double)m;
        out[k] = (size_t)floor(share);
        rest[k] = share - floor(share);
        left -= out[k];
    }
    if (!left) return;
    size_t first = rest[1] > rest[0], order[2];
    if (rest[0] == rest[1]) {
        permutation(order, 2, mt);
        first = order[0];
    }
    out[first]++;
    if (left > 1) out[1 - first]++;
}

static void split(hospital *rows)
{
    twister mt;
    size_t n = rows->n, order[MAX_ROWS], member[2][MAX_ROWS], count[2] = {0}, train[2], rest[2], test[2];
    size_t n_test = (size_t)ceil((1.0 - 0.66) * (double)n), n_train = (size_t)floor(0.66 * (double)n);
    twister_seed(&mt, SEED);
    for (size_t i = 0; i < n; i++) member[rows->ill[i]][count[rows->ill[i]]++] = i;
    if (count[0] <= 2 || count[1] <= 2) { /* not stratified */
        permutation(order, n, &mt);
        for (size_t i = 0; i < n_test; i++) rows->test[order[i]] = true;
        return;
    }
    two_shares(train, count, n_train, &mt);
    for (int k = 0; k < 2; k++) rest[k] = count[k] - train[k];
    two_shares(test, rest, n_test, &mt);
    for (int k = 0; k < 2; k++) {
        permutation(order, count[k], &mt);
        for (size_t i = train[k]; i < train[k] + test[k]; i++) rows->test[member[k][order[i]]] = true;
    }
}

/* ---- Files */

static bool complete(const wh_csv *csv)
{
    for (size_t c = 0; c < 14; c++)
        if ((c < 10 || c == 13) && (csv->fields[c].len == 0 || csv->fields[c].data[0] == '?')) return false;
    return true;
}

static whist_status read_hospital(hospital *out, const char *folder, const char *name)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_AUTO(wh_csv) csv = WH_CSV_EMPTY;
    wh_csv_options options = WH_CSV_DEFAULT;
    options.header = false;
    options.trim = true;
    WH_TRY(wh_path((char **)&path, folder, "processed.%s.data", name));
    options.name = path;
    WH_TRY(wh_file_read(&text, path, 1 << 20));
    WH_TRY(wh_csv_init(&csv, wh_buf_view(&text), &options));
    for (bool more;;) {
        WH_TRY(wh_csv_next(&csv, &more));
        if (!more) return WHIST_OK;
        if (csv.n_columns != 14 || out->n == MAX_ROWS)
            WH_FAIL(WHIST_E_FORMAT, "%s is not the published file: fetch it again by 'whist data get heart'",
                    (const char *)path);
        if (!complete(&csv)) continue;
        double value;
        WH_TRY(wh_csv_real(&value, &csv, 13));
        out->ill[out->n] = value > 0;
        out->line[out->n++] = csv.row_line;
    }
}

whist_status wh_flamby_split_write(const char *folder)
{
    static const char *const names[] = {"cleveland", "hungarian", "switzerland", "va"};
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    WH_AUTO(wh_owned) path = NULL;
    WH_TRY(wh_buf_text(&out, "center,hospital,line,fold\n"));
    for (size_t h = 0; h < WH_COUNT(names); h++) {
        hospital rows = {0};
        WH_TRY(read_hospital(&rows, folder, names[h]));
        split(&rows);
        for (size_t i = 0; i < rows.n; i++)
            WH_TRY(wh_buf_text(&out, "%zu,%s,%llu,%s\n", h, names[h], (unsigned long long)rows.line[i],
                               rows.test[i] ? "test" : "train"));
    }
    WH_TRY(wh_path((char **)&path, folder, "flamby_split.csv"));
    return wh_file_write(path, wh_buf_view(&out), 0644);
}
