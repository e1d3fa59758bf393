/* draw/steady.c: draws with the same operations whatever they are.
 *
 * X = low + how many rows are not above U. U and the rows are 127 bits, so that the difference of the two, taken modulo
 * 2^128, has its highest bit set exactly where the row is above. The 128th random bit is the sign of a folded law.
 *
 * The distance. Row k of the table is off by at most 3 units of 2^-128, and cutting a bit makes it 2 units of 2^-127
 * more; a probability, the difference of two rows, is off by at most 2 * 4 units of 2^-127, so the sum over n values,
 * halved, is at most 4 n 2^-127. What lies behind the table is less than a unit and is given to its last row. */
#include <math.h>

#include "draw/cumulative.h"

enum { BATCH = 64 };

static whist_status init(wh_steady *out, wh_law law, double parameter, bool difference)
{
    WH_AUTO(wh_cumulative) table = WH_CUMULATIVE_EMPTY;
    WH_TRY(wh_cumulative_init(&table, law, parameter, 0, 2));
    *out = (wh_steady){.table = table, .difference = difference};
    out->distance = ldexp(4.0 * (double)(table.n + 1), -127) * (difference ? 2 : 1);
    table.row = NULL;
    return WHIST_OK;
}

whist_status wh_steady_init(wh_steady *out, wh_law law, double parameter)
{
    WH_ENSURE(law == WH_LAW_DISCRETE_GAUSS || law == WH_LAW_DISCRETE_LAPLACE, WHIST_E_ARG);
    return init(out, law, parameter, false);
}

whist_status wh_steady_init_skellam(wh_steady *out, double variance)
{
    if (!(variance >= 0x1p-8 && variance <= 0x1p16))
        WH_FAIL(WHIST_E_RANGE, "a steady Skellam variance of %g: allowed are 2^-8 to 2^16", variance);
    return init(out, WH_LAW_POISSON, variance / 2, true);
}

void wh_steady_clear(wh_steady *steady)
{
    wh_cumulative_clear(&steady->table);
}

size_t wh_steady_words(const wh_steady *steady)
{
    return steady->difference ? 4 : 2;
}

/* Rows not above U, but the last one, which stands for all that follows. */
static uint64_t count_rows(const wh_cumulative *t, const uint64_t *word)
{
    unsigned __int128 u = ((unsigned __int128)word[0] << 64 | word[1]) >> 1;
    uint64_t above = 1;
    for (size_t k = 0; k + 1 < t->n; k++) {
        unsigned __int128 row = ((unsigned __int128)t->row[2 * k] << 64 | t->row[2 * k + 1]) >> 1;
        above += (uint64_t)((u - row) >> 127);
    }
    return t->n - above;
}

void wh_steady_pick(int64_t *out, const wh_steady *steady, const uint64_t *word, size_t n)
{
    const wh_cumulative *t = &steady->table;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *mine = word + i * wh_steady_words(steady);
        uint64_t x = count_rows(t, mine), minus = 0 - (mine[1] & 1);
        if (steady->difference) /* which law it is is no secret */
            out[i] = (int64_t)(x - count_rows(t, mine + 2));
        else
            out[i] = (int64_t)((x ^ minus) - minus);
    }
}

whist_status wh_steady_draw(const wh_steady *steady, wh_noise *noise, int64_t *out, size_t n)
{
    const size_t words = wh_steady_words(steady);
    uint64_t word[4 * BATCH];
    whist_status status = WHIST_OK;
    for (size_t i = 0; i < n && status == WHIST_OK; i += BATCH) {
        size_t count = n - i < BATCH ? n - i : BATCH;
        status = wh_noise_bytes(noise, word, count * words * sizeof *word);
        if (status == WHIST_OK) wh_steady_pick(out + i, steady, word, count);
    }
    wh_wipe(word, sizeof word);
    if (status != WHIST_OK && n > 0) wh_wipe(out, n * sizeof *out);
    return status;
}
