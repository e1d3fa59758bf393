/* codec/real.c: decimal numbers behind codec/real.h.
 *
 * Most numbers in files have at most 15 digits and a small exponent: there the digits and the power
 * of ten are both exact doubles, and one multiplication or division rounds correctly (W. Clinger,
 * "How to read floating point numbers accurately", 1990). The rest goes to strtod in the C locale. */
#include "codec/real.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1024, EXACT_DIGITS = 15, EXACT_POWER = 22 };

typedef struct decimal {
    uint64_t digits; /* the first EXACT_DIGITS significant ones */
    int n_digits;    /* significant digits in all */
    int power;       /* value = digits * 10^power where n_digits <= EXACT_DIGITS */
    bool negative;
} decimal;

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Takes a run of digits; returns how many there were. */
static size_t take_digits(decimal *d, const uint8_t **at, const uint8_t *end, bool fraction)
{
    const uint8_t *from = *at;
    for (; *at < end && is_digit(**at); ++*at) {
        if (d->n_digits > 0 || **at != '0') d->n_digits++;
        if (d->n_digits <= EXACT_DIGITS) {
            d->digits = d->digits * 10 + (uint64_t)(**at - '0');
            if (fraction) d->power--;
        }
    }
    return (size_t)(*at - from);
}

/* Checks the grammar; false where the text is no decimal number. */
static bool scan(decimal *d, const uint8_t *at, const uint8_t *end)
{
    *d = (decimal){0};
    if (at < end && (*at == '+' || *at == '-')) d->negative = *at++ == '-';
    size_t n = take_digits(d, &at, end, false);
    if (at < end && *at == '.') {
        at++;
        n += take_digits(d, &at, end, true);
    }
    if (n == 0) return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        bool down = false;
        int exponent = 0;
        at++;
        if (at < end && (*at == '+' || *at == '-')) down = *at++ == '-';
        if (at == end) return false;
        for (; at < end && is_digit(*at); at++)
            if (exponent < 100000) exponent = exponent * 10 + (*at - '0');
        d->power += down ? -exponent : exponent;
    }
    return at == end;
}

static whist_status slow_path(double *out, whist_bytes text)
{
    char copy[TEXT_MAX + 1];
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    /* In glibc this is a constant object: nothing is allocated and nothing can fail. */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) WH_FAIL(WHIST_E_NOMEM, "no memory for the C locale");
    double value = strtod_l(copy, NULL, plain);
    freelocale(plain);
    if (!isfinite(value)) WH_FAIL(WHIST_E_FORMAT, "the number is too large for a double");
    *out = value;
    return WHIST_OK;
}

whist_status wh_real_parse(double *out, whist_bytes text)
{
    static const double powers[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    decimal d;
    if (text.len == 0) WH_FAIL(WHIST_E_FORMAT, "empty where a number is needed");
    if (text.len > TEXT_MAX) WH_FAIL(WHIST_E_FORMAT, "a number of more than %d characters", TEXT_MAX);
    if (!scan(&d, text.data, text.data + text.len))
        WH_FAIL(WHIST_E_FORMAT, "not a finite decimal number such as -12.5 or 3e-4");
    if (d.n_digits > EXACT_DIGITS || d.power < -EXACT_POWER || d.power > EXACT_POWER) return slow_path(out, text);
    double value = (double)d.digits;
    value = d.power < 0 ? value / powers[-d.power] : value * powers[d.power];
    *out = d.negative ? -value : value;
    return WHIST_OK;
}

whist_status wh_int_parse(int64_t *out, whist_bytes text)
{
    size_t i = 0;
    int64_t value = 0;
    bool negative = false;
    if (text.len > 0 && (text.data[0] == '+' || text.data[0] == '-')) negative = text.data[i++] == '-';
    if (i == text.len) WH_FAIL(WHIST_E_FORMAT, "empty where a whole number is needed");
    for (; i < text.len; i++) {
        if (!is_digit(text.data[i])) WH_FAIL(WHIST_E_FORMAT, "not a whole number");
        int digit = text.data[i] - '0';
        /* Built on the negative side, which reaches one further. */
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value))
            WH_FAIL(WHIST_E_FORMAT, "a whole number outside 64 bits");
    }
    if (!negative && value == INT64_MIN) WH_FAIL(WHIST_E_FORMAT, "a whole number outside 64 bits");
    *out = negative ? value : -value;
    return WHIST_OK;
}

/* snprintf writes the decimal separator of the program's locale; put the point back. */
static size_t print_digits(char out[32], double value, int digits)
{
    int len = snprintf(out, 32, "%.*g", digits, value);
    char *from = out;
    for (char *c = out; *c; c++) {
        bool number = is_digit((uint8_t)*c) || *c == '-' || *c == '+' || *c == 'e';
        if (number)
            *from++ = *c;
        else if (from == out || from[-1] != '.')
            *from++ = '.';
    }
    *from = 0;
    return len < 0 ? 0 : (size_t)(from - out);
}

size_t wh_real_text(char out[32], double value)
{
    if (isnan(value)) return (size_t)snprintf(out, 32, "nan");
    if (isinf(value)) return (size_t)snprintf(out, 32, value < 0 ? "-inf" : "inf");
    /* 15 digits always survive the way through a double, so anything shorter shows up at 15; only
     * subnormals have fewer and need the search from 1. */
    int digits = fabs(value) < DBL_MIN ? 1 : EXACT_DIGITS;
    for (;; digits++) {
        double back;
        size_t len = print_digits(out, value, digits);
        if (digits >= 17) return len;
        if (wh_real_parse(&back, (whist_bytes){(const uint8_t *)out, len}) == WHIST_OK && back == value) return len;
    }
}
