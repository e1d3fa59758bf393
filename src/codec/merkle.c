/* codec/merkle.c: the tree behind codec/merkle.h. Sources: RFC 6962, section 2.1 (hashes, paths and
 * proofs, by recursion); RFC 9162, sections 2.1.3.2 and 2.1.4.2 (their verification). */
#include "codec/merkle.h"

void wh_merkle_leaf(wh_digest *out, whist_bytes entry)
{
    static const uint8_t leaf_tag = 0;
    wh_sha256 hash;
    wh_sha256_init(&hash);
    wh_sha256_update(&hash, &leaf_tag, 1);
    wh_sha256_update(&hash, entry.data, entry.len);
    wh_sha256_final(out, &hash);
}

static wh_digest node(const wh_digest *left, const wh_digest *right)
{
    static const uint8_t node_tag = 1;
    wh_digest out;
    wh_sha256 hash;
    wh_sha256_init(&hash);
    wh_sha256_update(&hash, &node_tag, 1);
    wh_sha256_update(&hash, left->bytes, sizeof left->bytes);
    wh_sha256_update(&hash, right->bytes, sizeof right->bytes);
    wh_sha256_final(&out, &hash);
    return out;
}

whist_status wh_merkle_add(wh_merkle *tree, const wh_digest *leaf)
{
    if (tree->n == UINT64_MAX) WH_FAIL(WHIST_E_RANGE, "the log is full");
    size_t at = (size_t)__builtin_popcountll(tree->n);
    wh_digest peak = *leaf;
    /* Each trailing 1-bit of n is a full subtree as large as what is being added. */
    for (uint64_t n = tree->n; n & 1; n >>= 1) peak = node(&tree->peaks[--at], &peak);
    tree->peaks[at] = peak;
    tree->n++;
    return WHIST_OK;
}

void wh_merkle_root(wh_digest *out, const wh_merkle *tree)
{
    size_t at = (size_t)__builtin_popcountll(tree->n);
    if (at == 0) {
        wh_sha256_of(out, "", 0);
        return;
    }
    wh_digest root = tree->peaks[--at];
    while (at > 0) root = node(&tree->peaks[--at], &root);
    *out = root;
}

/* The root over n >= 1 leaf hashes. */
static wh_digest root_of(const wh_digest *leaves, uint64_t n)
{
    wh_merkle tree = WH_MERKLE_EMPTY;
    wh_digest root;
    for (uint64_t i = 0; i < n; i++) (void)!wh_merkle_add(&tree, &leaves[i]);
    wh_merkle_root(&root, &tree);
    return root;
}

/* The largest power of two below n >= 2: where a tree of n leaves divides. */
static uint64_t split(uint64_t n)
{
    return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

/* PATH(m, D[n]) of RFC 6962; goes at most 64 deep, as n halves. */
static void path_to(wh_merkle_proof *out, const wh_digest *leaves, uint64_t n, uint64_t m)
{
    if (n <= 1) return;
    uint64_t k = split(n);
    bool left = m < k;
    path_to(out, left ? leaves : leaves + k, left ? k : n - k, left ? m : m - k);
    out->path[out->n++] = left ? root_of(leaves + k, n - k) : root_of(leaves, k);
}

whist_status wh_merkle_prove_inclusion(wh_merkle_proof *out, const wh_digest *leaves, uint64_t n, uint64_t index)
{
    WH_ENSURE(index < n, WHIST_E_ARG);
    wh_merkle_proof proof = {.n = 0};
    path_to(&proof, leaves, n, index);
    *out = proof;
    return WHIST_OK;
}

/* SUBPROOF(m, D[n], whole) of RFC 6962. */
static void subproof(wh_merkle_proof *out, const wh_digest *leaves, uint64_t n, uint64_t m, bool whole)
{
    if (m == n) {
        if (!whole) out->path[out->n++] = root_of(leaves, n);
        return;
    }
    uint64_t k = split(n);
    bool left = m <= k;
    if (left)
        subproof(out, leaves, k, m, whole);
    else
        subproof(out, leaves + k, n - k, m - k, false);
    out->path[out->n++] = left ? root_of(leaves + k, n - k) : root_of(leaves, k);
}

whist_status wh_merkle_prove_consistency(wh_merkle_proof *out, const wh_digest *leaves, uint64_t n, uint64_t old_n)
{
    WH_ENSURE(old_n > 0 && old_n <= n, WHIST_E_ARG);
    wh_merkle_proof proof = {.n = 0};
    subproof(&proof, leaves, n, old_n, true);
    *out = proof;
    return WHIST_OK;
}

/* A node on the way up: fn is its place in its level, sn that of the last node there. */
typedef struct climb {
    uint64_t fn, sn;
} climb;

/* Whether the sibling stands on the left. A last node without a sibling goes up unchanged until it
 * has one. */
static bool sibling_is_left(climb *c)
{
    if (!(c->fn & 1) && c->fn != c->sn) return false;
    while (!(c->fn & 1) && c->fn > 0) {
        c->fn >>= 1;
        c->sn >>= 1;
    }
    return true;
}

static void up(climb *c)
{
    c->fn >>= 1;
    c->sn >>= 1;
}

whist_status wh_merkle_check_inclusion(const wh_digest *root, uint64_t n, uint64_t index, const wh_digest *leaf,
                                       const wh_merkle_proof *proof)
{
    bool good = index < n && proof->n <= WH_MERKLE_PROOF_MAX;
    climb c = {index, n - 1};
    wh_digest hash = *leaf;
    for (size_t i = 0; good && i < proof->n; i++, up(&c)) {
        good = c.sn > 0;
        hash = sibling_is_left(&c) ? node(&proof->path[i], &hash) : node(&hash, &proof->path[i]);
    }
    if (!good || c.sn != 0 || !wh_digest_equal(&hash, root))
        WH_FAIL(WHIST_E_AUTH, "the proof does not show entry %llu to be in the log of %llu entries",
                (unsigned long long)index, (unsigned long long)n);
    return WHIST_OK;
}

/* 0 < old_n < n. */
static bool grows_from(const wh_digest *old_root, uint64_t old_n, const wh_digest *root, uint64_t n,
                       const wh_merkle_proof *proof)
{
    climb c = {old_n - 1, n - 1};
    size_t i = 0;
    while (c.fn & 1) up(&c);
    /* Where the old tree is full its root is the first node, and the proof leaves it out. */
    bool full = (old_n & (old_n - 1)) == 0;
    if (proof->n > WH_MERKLE_PROOF_MAX || (!full && proof->n == 0)) return false;
    wh_digest was = full ? *old_root : proof->path[i++], is = was;
    for (; i < proof->n; i++, up(&c)) {
        if (c.sn == 0) return false;
        if (sibling_is_left(&c)) {
            was = node(&proof->path[i], &was);
            is = node(&proof->path[i], &is);
        } else
            is = node(&is, &proof->path[i]);
    }
    return c.sn == 0 && wh_digest_equal(&was, old_root) && wh_digest_equal(&is, root);
}

whist_status wh_merkle_check_consistency(const wh_digest *old_root, uint64_t old_n, const wh_digest *root, uint64_t n,
                                         const wh_merkle_proof *proof)
{
    bool good = old_n > 0 && old_n <= n;
    if (good && old_n == n)
        good = proof->n == 0 && wh_digest_equal(old_root, root);
    else if (good)
        good = grows_from(old_root, old_n, root, n, proof);
    if (!good)
        WH_FAIL(WHIST_E_AUTH, "the log of %llu entries does not begin with the %llu that were seen before",
                (unsigned long long)n, (unsigned long long)old_n);
    return WHIST_OK;
}
