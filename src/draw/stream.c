/* draw/stream.c: Philox, the names of streams, and the numbers drawn from them. */
#include "draw/stream.h"

#include <math.h>
#include <string.h>

#include "crypt/hash.h"

/* ---- Philox4x32-10: a 4-word block through ten rounds of multiply, swap, xor. */

static const uint32_t MUL_0 = 0xD2511F53, MUL_1 = 0xCD9E8D57;   /* the paper's, section 3.3 */
static const uint32_t WEYL_0 = 0x9E3779B9, WEYL_1 = 0xBB67AE85; /* golden ratio, sqrt(3) - 1 */
enum { ROUNDS = 10, LANES = WH_SEEDED_WORDS / 4 };

void wh_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t p0 = (uint64_t)MUL_0 * c0, p1 = (uint64_t)MUL_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static void refill(wh_seeded *stream)
{
    for (unsigned lane = 0; lane < LANES; lane++) {
        uint64_t block = stream->block + lane;
        const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), stream->nonce[0], stream->nonce[1]};
        wh_philox(stream->words + (size_t)4 * lane, counter, stream->key);
    }
    stream->block += LANES;
    stream->left = WH_SEEDED_WORDS;
}

/* ---- Names of streams */

static void hash_text(wh_sha256 *hash, const char *text)
{
    size_t len = strlen(text);
    wh_sha256_u64(hash, len);
    wh_sha256_update(hash, text, len);
}

static uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* SHA-256("whist stream 1" | seed | purpose | site | index): numbers as 8 little-endian bytes, texts
 * behind their length. */
void wh_seeded_init(wh_seeded *out, uint64_t seed, const char *purpose, const char *site, uint64_t index)
{
    wh_sha256 hash;
    wh_digest digest;
    wh_sha256_init(&hash);
    hash_text(&hash, "whist stream 1");
    wh_sha256_u64(&hash, seed);
    hash_text(&hash, purpose);
    hash_text(&hash, site ? site : "");
    wh_sha256_u64(&hash, index);
    wh_sha256_final(&digest, &hash);
    *out = (wh_seeded){.key = {load_u32(digest.bytes), load_u32(digest.bytes + 4)},
                       .nonce = {load_u32(digest.bytes + 8), load_u32(digest.bytes + 12)}};
}

/* ---- Numbers */

static inline uint32_t next(wh_seeded *stream)
{
    if (__builtin_expect(stream->left == 0, 0)) refill(stream);
    return stream->words[WH_SEEDED_WORDS - stream->left--];
}

uint32_t wh_seeded_u32(wh_seeded *stream)
{
    return next(stream);
}

uint64_t wh_seeded_u64(wh_seeded *stream)
{
    uint64_t low = next(stream);
    return low | (uint64_t)next(stream) << 32;
}

static inline uint32_t below(wh_seeded *stream, uint32_t n)
{
    uint64_t product = (uint64_t)next(stream) * n;
    if (__builtin_expect((uint32_t)product < n, 0)) {
        uint32_t reject = -n % n; /* 2^32 mod n: this many products would be one too many */
        while ((uint32_t)product < reject) product = (uint64_t)next(stream) * n;
    }
    return (uint32_t)(product >> 32);
}

uint32_t wh_seeded_below(wh_seeded *stream, uint32_t n)
{
    WH_CHECK(n >= 1);
    return below(stream, n);
}

float wh_seeded_float(wh_seeded *stream)
{
    return (float)(next(stream) >> 8) * 0x1p-24F;
}

double wh_seeded_double(wh_seeded *stream)
{
    return (double)(wh_seeded_u64(stream) >> 11) * 0x1p-53;
}

double wh_seeded_uniform(wh_seeded *stream, double low, double high)
{
    WH_CHECK(low <= high);
    return low + (high - low) * wh_seeded_double(stream);
}

/* A point (u, v) uniform in (0,1] x [-a, a], a = sqrt(2/e), is kept where v^2 <= -4 u^2 ln u; then v/u is
 * normal. Leva's two ellipses decide all but one point in a hundred without the logarithm, and the
 * logarithm only decides: its last bit does not reach the value. */
double wh_seeded_normal(wh_seeded *stream)
{
    for (;;) {
        double u = 1 - wh_seeded_double(stream);
        double v = 1.7156 * (wh_seeded_double(stream) - 0.5); /* 2 a = 1.71552776…, rounded up */
        double x = u - 0.449871, y = fabs(v) + 0.386595;
        double q = x * x + y * (0.19600 * y - 0.25472 * x);
        if (q < 0.27597) return v / u;
        if (q <= 0.27846 && v * v <= -4 * u * u * log(u)) return v / u;
    }
}

void wh_seeded_shuffle(wh_seeded *stream, uint32_t *index, size_t n)
{
    WH_CHECK(n <= UINT32_MAX);
    for (size_t i = n; i > 1; i--) {
        uint32_t j = below(stream, (uint32_t)i), last = index[i - 1];
        index[i - 1] = index[j];
        index[j] = last;
    }
}

void wh_seeded_permutation(wh_seeded *stream, uint32_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (uint32_t)i;
    wh_seeded_shuffle(stream, out, n);
}
