/* draw/stream.h: public randomness by purpose: data order, initial weights, splits, synthetic data.
 *
 * FOR EXPERIMENTS ONLY. Everybody who knows a study knows its seed, so whoever knows the study can
 * repeat every number drawn here. Keys, masks, privacy noise and the private sampler of a private
 * learner come from crypt's generator; the two types share no name and no function.
 *
 * A stream is named by (seed, purpose, site, index): "order" of site "cleveland" in round 7 is one stream,
 * and drawing from it moves no other. The name is hashed by SHA-256 (stream.c says over what); 128
 * bits of the hash become the key and the upper half of the counter of Philox4x32-10, a
 * counter-based generator: block i is a function of (key, i).
 *
 * The numbers are the same on every machine: integers throughout, and floating point only by
 * operations that IEEE 754 rounds exactly.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
#ifndef WH_DRAW_STREAM_H
#define WH_DRAW_STREAM_H

#include "base/status.h"

enum { WH_SEEDED_WORDS = 32 }; /* words made at once */

/* A stream: a plain value that owns nothing. A copy continues on its own from the same place. */
typedef struct wh_seeded {
    uint32_t key[2], nonce[2];
    uint64_t block; /* number of the next block */
    uint32_t words[WH_SEEDED_WORDS];
    unsigned left; /* words not yet given: the last `left` of them */
} wh_seeded;

/* Starts a stream. purpose is a short stable word ("order", "init", "split", "parts", "synthetic");
 * site is the site's name, "" (or NULL) for what all sites share; index is the round, the layer, … Cannot fail. */
void wh_seeded_init(wh_seeded *out, uint64_t seed, const char *purpose, const char *site, uint64_t index);

uint32_t wh_seeded_u32(wh_seeded *stream);
uint64_t wh_seeded_u64(wh_seeded *stream);

/* Uniform in 0 .. n-1 without bias, n >= 1. (Lemire, "Fast random integer generation in an
 * interval", ACM TOMACS 2019) */
uint32_t wh_seeded_below(wh_seeded *stream, uint32_t n);

/* Uniform in [0, 1): a multiple of 2^-24 as float, of 2^-53 as double. */
float wh_seeded_float(wh_seeded *stream);
double wh_seeded_double(wh_seeded *stream);
/* low + (high - low) * u with u as above; low <= high. May round to high itself. */
double wh_seeded_uniform(wh_seeded *stream, double low, double high);

/* Standard normal, by the ratio of uniforms: no logarithm or cosine touches the value, so it is
 * the same on every machine. (Kinderman, Monahan 1977; bounds by Leva, ACM TOMS 1992) */
double wh_seeded_normal(wh_seeded *stream);

/* Fisher–Yates: every order equally likely. n < 2^32. */
void wh_seeded_shuffle(wh_seeded *stream, uint32_t *index, size_t n);
/* 0 .. n-1 in random order. */
void wh_seeded_permutation(wh_seeded *stream, uint32_t *out, size_t n);

/* One block of Philox4x32-10, for the known-answer test. */
void wh_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#endif
