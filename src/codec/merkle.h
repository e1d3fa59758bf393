/* codec/merkle.h: the Merkle tree of RFC 6962, section 2.1, over SHA-256.
 *
 *     leaf = SHA-256(00 || entry)      node = SHA-256(01 || left || right)
 *
 * A tree of n leaves is left-full: its left half is the largest power of two below n. What must be
 * kept to add leaves for ever is one digest for each 1-bit of n (the frontier), at most 64. */
#ifndef WH_CODEC_MERKLE_H
#define WH_CODEC_MERKLE_H

#include "crypt/hash.h"

enum { WH_MERKLE_PROOF_MAX = 65 };

typedef struct wh_merkle {
    uint64_t n;
    wh_digest peaks[64]; /* popcount(n) of them: roots of the full subtrees from left to right */
} wh_merkle;
#define WH_MERKLE_EMPTY                                                                                                \
    {                                                                                                                  \
        .n = 0                                                                                                         \
    }

typedef struct wh_merkle_proof {
    size_t n;
    wh_digest path[WH_MERKLE_PROOF_MAX];
} wh_merkle_proof;

void wh_merkle_leaf(wh_digest *out, whist_bytes entry);
/* Adds a leaf hash. WHIST_E_RANGE for a full tree (2^64 - 1). On failure the tree is as before. */
WH_MUST_CHECK whist_status wh_merkle_add(wh_merkle *tree, const wh_digest *leaf);
/* The tree head; SHA-256 of nothing for the empty tree. */
void wh_merkle_root(wh_digest *out, const wh_merkle *tree);

/* The path that shows leaf `index` to be in the tree of these n leaf hashes. WHIST_E_ARG. */
WH_MUST_CHECK whist_status wh_merkle_prove_inclusion(wh_merkle_proof *out, const wh_digest *leaves, uint64_t n,
                                                     uint64_t index);
/* WHIST_E_AUTH where the proof does not show that. */
WH_MUST_CHECK whist_status wh_merkle_check_inclusion(const wh_digest *root, uint64_t n, uint64_t index,
                                                     const wh_digest *leaf, const wh_merkle_proof *proof);
/* The path that shows the tree of the first `old_n` leaves to be the beginning of the tree of all
 * n. 0 < old_n <= n. WHIST_E_ARG. */
WH_MUST_CHECK whist_status wh_merkle_prove_consistency(wh_merkle_proof *out, const wh_digest *leaves, uint64_t n,
                                                       uint64_t old_n);
/* WHIST_E_AUTH where the proof does not show that. */
WH_MUST_CHECK whist_status wh_merkle_check_consistency(const wh_digest *old_root, uint64_t old_n, const wh_digest *root,
                                                       uint64_t n, const wh_merkle_proof *proof);

#endif
