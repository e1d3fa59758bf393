/* fed/masks4.h: a protection with four phases and a third party, for tests only.
 *
 * It hides updates by the double masking of Bonawitz et al. (2017), with what a real one needs and this one
 * has not left out: signed keys, an honest-majority threshold, review. It is here to prove that the
 * joint of whist/fed.h carries such a thing.
 *
 *   0 advertise   site, keeper → *          its public key of this step
 *   1 share       site → each other, keeper  sealed: a share of its mask seed, a share of its secret key
 *   2 upload      site                       x + PRG(own seed) ± Σ PRG(pair seed) mod 2^bits
 *   3 reveal      site, keeper → coordinator shares of the seeds of who uploaded, of the keys of who did not
 *
 * Shares are Shamir's over GF(2^8), any min_sites of them open a secret. A machine gives out at most one of a
 * site's two secrets, and none where fewer than min_sites uploaded. */
#ifndef WH_TESTS_MASKS4_H
#define WH_TESTS_MASKS4_H

#include <whist/fed.h>

extern const whist_protection_class test_masks4;

#endif
