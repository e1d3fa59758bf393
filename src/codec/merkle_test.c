/* Tests of codec/merkle.h against the vectors of the certificate-transparency project (eight leaves,
 * its merkle_tree_test) and against the recursion of RFC 6962 written out plainly. */
#include "codec/merkle.h"
#include "test.h"

#include <string.h>

/* The leaves of the tests of certificate-transparency. */
static const struct {
    size_t len;
    const char *bytes;
} inputs[8] = {
    {0, ""},
    {1, "\x00"},
    {1, "\x10"},
    {2, "\x20\x21"},
    {2, "\x30\x31"},
    {4, "\x40\x41\x42\x43"},
    {8, "\x50\x51\x52\x53\x54\x55\x56\x57"},
    {16, "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"},
};

/* Roots of the first 1 … 8 of them. */
static const char *const roots[8] = {
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

enum { N = 37 };

static void make_leaves(wh_digest leaves[N])
{
    for (size_t i = 0; i < N; i++) {
        whist_bytes entry = {(const uint8_t *)&i, sizeof i};
        if (i < 8) entry = (whist_bytes){(const uint8_t *)inputs[i].bytes, inputs[i].len};
        wh_merkle_leaf(&leaves[i], entry);
    }
}

/* MTH(D[n]) as RFC 6962 has it, on its own. */
static wh_digest naive_root(const wh_digest *leaves, size_t n)
{
    wh_digest out;
    if (n == 0) wh_sha256_of(&out, "", 0);
    if (n == 1) out = leaves[0];
    if (n > 1) {
        size_t k = 1;
        while (2 * k < n) k *= 2;
        uint8_t both[65] = {1};
        wh_digest left = naive_root(leaves, k), right = naive_root(leaves + k, n - k);
        memcpy(both + 1, left.bytes, 32);
        memcpy(both + 33, right.bytes, 32);
        wh_sha256_of(&out, both, sizeof both);
    }
    return out;
}

static void assert_hex(const wh_digest *digest, const char *want)
{
    char hex[65];
    wh_digest_hex(hex, digest);
    assert_string_equal(hex, want);
}

static void test_known_roots(void **state)
{
    (void)state;
    wh_digest leaves[N], root;
    make_leaves(leaves);
    wh_merkle tree = WH_MERKLE_EMPTY;
    wh_merkle_root(&root, &tree);
    assert_hex(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < 8; i++) {
        assert_ok(wh_merkle_add(&tree, &leaves[i]));
        wh_merkle_root(&root, &tree);
        assert_hex(&root, roots[i]);
    }
}

static void test_the_frontier_agrees_with_the_recursion(void **state)
{
    (void)state;
    wh_digest leaves[N], root;
    make_leaves(leaves);
    wh_merkle tree = WH_MERKLE_EMPTY;
    for (size_t n = 1; n <= N; n++) {
        assert_ok(wh_merkle_add(&tree, &leaves[n - 1]));
        wh_merkle_root(&root, &tree);
        wh_digest want = naive_root(leaves, n);
        assert_memory_equal(root.bytes, want.bytes, 32);
    }
}

/* The inclusion paths that certificate-transparency lists for (leaf, size) = (1, 1), (1, 8), (6, 8), (3, 3), (2, 5),
 * counted from 1. */
static void test_known_inclusion_paths(void **state)
{
    (void)state;
    static const struct {
        uint64_t leaf, n;
        size_t len;
        const char *path[3];
    } known[] = {
        {1, 1, 0, {NULL}},
        {1,
         8,
         3,
         {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
        {6,
         8,
         3,
         {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
        {3, 3, 1, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
        {2,
         5,
         3,
         {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
    };
    wh_digest leaves[N];
    make_leaves(leaves);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        wh_merkle_proof proof;
        assert_ok(wh_merkle_prove_inclusion(&proof, leaves, known[i].n, known[i].leaf - 1));
        assert_int_equal(proof.n, known[i].len);
        for (size_t k = 0; k < proof.n; k++) assert_hex(&proof.path[k], known[i].path[k]);
    }
}

static void test_inclusion_of_every_leaf_and_of_no_other(void **state)
{
    (void)state;
    wh_digest leaves[N];
    make_leaves(leaves);
    for (uint64_t n = 1; n <= N; n++) {
        wh_digest root = naive_root(leaves, n);
        for (uint64_t i = 0; i < n; i++) {
            wh_merkle_proof proof;
            assert_ok(wh_merkle_prove_inclusion(&proof, leaves, n, i));
            assert_ok(wh_merkle_check_inclusion(&root, n, i, &leaves[i], &proof));
            for (uint64_t k = 0; k < n; k++)
                if (k != i) {
                    assert_int_equal(wh_merkle_check_inclusion(&root, n, k, &leaves[i], &proof), WHIST_E_AUTH);
                    assert_int_equal(wh_merkle_check_inclusion(&root, n, i, &leaves[k], &proof), WHIST_E_AUTH);
                }
            proof.n++;
            proof.path[proof.n - 1] = leaves[0];
            assert_int_equal(wh_merkle_check_inclusion(&root, n, i, &leaves[i], &proof), WHIST_E_AUTH);
            if (--proof.n == 0) continue;
            proof.path[proof.n - 1].bytes[5] ^= 1;
            assert_int_equal(wh_merkle_check_inclusion(&root, n, i, &leaves[i], &proof), WHIST_E_AUTH);
            proof.path[proof.n - 1].bytes[5] ^= 1;
            proof.n--;
            assert_int_equal(wh_merkle_check_inclusion(&root, n, i, &leaves[i], &proof), WHIST_E_AUTH);
        }
        wh_merkle_proof none = {.n = 0};
        assert_int_equal(wh_merkle_check_inclusion(&root, n, n, &leaves[0], &none), WHIST_E_AUTH);
        assert_int_equal(wh_merkle_prove_inclusion(&none, leaves, n, n), WHIST_E_ARG);
    }
}

static void test_consistency_of_every_beginning_and_of_nothing_else(void **state)
{
    (void)state;
    wh_digest leaves[N], other[N];
    make_leaves(leaves);
    for (uint64_t n = 1; n <= N; n++) {
        wh_digest root = naive_root(leaves, n);
        for (uint64_t old = 1; old <= n; old++) {
            wh_merkle_proof proof, forged;
            wh_digest old_root = naive_root(leaves, old);
            assert_ok(wh_merkle_prove_consistency(&proof, leaves, n, old));
            assert_ok(wh_merkle_check_consistency(&old_root, old, &root, n, &proof));
            /* A history that was changed in one of the old entries, with the best proof it can make. */
            memcpy(other, leaves, sizeof other);
            other[old / 2 < old ? old / 2 : 0].bytes[0] ^= 1;
            wh_digest changed = naive_root(other, n);
            assert_ok(wh_merkle_prove_consistency(&forged, other, n, old));
            assert_int_equal(wh_merkle_check_consistency(&old_root, old, &changed, n, &forged), WHIST_E_AUTH);
            if (old > 1)
                assert_int_equal(wh_merkle_check_consistency(&old_root, old - 1, &root, n, &proof), WHIST_E_AUTH);
            if (proof.n == 0) continue;
            proof.path[0].bytes[31] ^= 1;
            assert_int_equal(wh_merkle_check_consistency(&old_root, old, &root, n, &proof), WHIST_E_AUTH);
            proof.path[0].bytes[31] ^= 1;
            proof.n--;
            assert_int_equal(wh_merkle_check_consistency(&old_root, old, &root, n, &proof), WHIST_E_AUTH);
        }
        wh_merkle_proof none = {.n = 0};
        assert_int_equal(wh_merkle_check_consistency(&root, 0, &root, n, &none), WHIST_E_AUTH);
        assert_int_equal(wh_merkle_check_consistency(&root, n + 1, &root, n, &none), WHIST_E_AUTH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_roots),
        cmocka_unit_test(test_the_frontier_agrees_with_the_recursion),
        cmocka_unit_test(test_known_inclusion_paths),
        cmocka_unit_test(test_inclusion_of_every_leaf_and_of_no_other),
        cmocka_unit_test(test_consistency_of_every_beginning_and_of_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
