/* fed/manifest_test.c: chunk counts, names, encodings, and what decode refuses. */
#include "test.h"

#include "fed/manifest.h"

#include "base/file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(i * 131 + i / 256);
}

static void counts_chunks(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        uint32_t chunk;
        size_t n, last;
    } cases[] = {{0, 4, 0, 0}, {1, 4, 1, 1},
                 {4, 4, 1, 4}, {5, 4, 2, 1},
                 {8, 4, 2, 4}, {(uint64_t)1 << 40, WH_CHUNK_BYTES, WH_MANIFEST_MAX_CHUNKS, WH_CHUNK_BYTES}};
    for (size_t i = 0; i < WH_COUNT(cases); i++) {
        WH_AUTO(wh_manifest) m = WH_MANIFEST_EMPTY;
        assert_ok(wh_manifest_init(&m, cases[i].bytes, cases[i].chunk));
        assert_int_equal(m.n_chunks, cases[i].n);
        if (m.n_chunks) assert_int_equal(wh_manifest_chunk_len(&m, m.n_chunks - 1), cases[i].last);
        if (m.n_chunks > 1) assert_int_equal(wh_manifest_chunk_len(&m, 0), cases[i].chunk);
    }
    wh_manifest none = WH_MANIFEST_EMPTY;
    assert_int_equal(wh_manifest_init(&none, ((uint64_t)1 << 40) + 1, WH_CHUNK_BYTES), WHIST_E_RANGE);
    assert_int_equal(wh_manifest_init(&none, UINT64_MAX, 1), WHIST_E_RANGE);
    assert_int_equal(wh_manifest_init(&none, 1, 0), WHIST_E_RANGE);
    assert_int_equal(wh_manifest_init(&none, 1, WH_CHUNK_MAX + 1), WHIST_E_RANGE);
    assert_null(none.digests);
}

static void file_and_memory_agree(void **state)
{
    (void)state;
    uint8_t bytes[40000];
    fill(bytes, sizeof bytes);
    char *dir = test_dir("manifest"), *path = NULL;
    assert_ok(wh_path(&path, dir, "x"));
    assert_ok(wh_file_write(path, (whist_bytes){bytes, sizeof bytes}, 0600));
    WH_AUTO(wh_fd) fd = -1;
    assert_ok(wh_open(&fd, path, O_RDONLY, 0));
    WH_AUTO(wh_manifest) a = WH_MANIFEST_EMPTY;
    WH_AUTO(wh_manifest) b = WH_MANIFEST_EMPTY;
    assert_ok(wh_manifest_of_file(&a, fd, sizeof bytes, 16001));
    assert_ok(wh_manifest_of_bytes(&b, (whist_bytes){bytes, sizeof bytes}, 16001));
    assert_int_equal(a.n_chunks, 3);
    assert_memory_equal(a.digests, b.digests, 3 * sizeof *a.digests);

    for (size_t i = 0; i < 3; i++)
        assert_ok(wh_manifest_check(&a, i, (whist_bytes){bytes + 16001 * i, wh_manifest_chunk_len(&a, i)}));
    assert_int_equal(wh_manifest_check(&a, 0, (whist_bytes){bytes, 16000}), WHIST_E_FORMAT);
    assert_int_equal(wh_manifest_check(&a, 1, (whist_bytes){bytes, 16001}), WHIST_E_FORMAT);
    assert_int_equal(wh_manifest_check(&a, 3, (whist_bytes){bytes, 0}), WHIST_E_FORMAT);
    bytes[7] ^= 1;
    assert_int_equal(wh_manifest_check(&a, 0, (whist_bytes){bytes, 16001}), WHIST_E_FORMAT);

    wh_manifest none = WH_MANIFEST_EMPTY;
    assert_int_equal(wh_manifest_of_file(&none, fd, sizeof bytes + 1, 16001), WHIST_E_FORMAT);
    assert_null(none.digests);
    wh_free(path);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

/* The name is the SHA-256 of the encoding, and everything in it counts. */
static void name_is_hash_of_encoding(void **state)
{
    (void)state;
    uint8_t bytes[10];
    fill(bytes, sizeof bytes);
    WH_AUTO(wh_manifest) m = WH_MANIFEST_EMPTY;
    WH_AUTO(wh_manifest) other = WH_MANIFEST_EMPTY;
    WH_AUTO(wh_buf) encoded = WH_BUF_EMPTY;
    assert_ok(wh_manifest_of_bytes(&m, (whist_bytes){bytes, sizeof bytes}, 4));
    assert_ok(wh_manifest_encode(&encoded, &m));
    assert_int_equal(encoded.len, 20 + 3 * 32);
    wh_digest name, hash;
    assert_ok(wh_manifest_digest(&name, &m));
    wh_sha256_of(&hash, encoded.data, encoded.len);
    assert_true(wh_digest_equal(&name, &hash));

    assert_ok(wh_manifest_of_bytes(&other, (whist_bytes){bytes, sizeof bytes}, 5));
    assert_ok(wh_manifest_digest(&hash, &other));
    assert_false(wh_digest_equal(&name, &hash));

    wh_manifest empty = WH_MANIFEST_EMPTY;
    assert_int_equal(wh_manifest_digest(&hash, &empty), WHIST_E_ARG);
}

static void decode_takes_what_encode_makes(void **state)
{
    (void)state;
    uint8_t bytes[100];
    fill(bytes, sizeof bytes);
    for (size_t len = 0; len <= sizeof bytes; len += 25) {
        WH_AUTO(wh_manifest) m = WH_MANIFEST_EMPTY;
        WH_AUTO(wh_manifest) back = WH_MANIFEST_EMPTY;
        WH_AUTO(wh_buf) encoded = WH_BUF_EMPTY;
        assert_ok(wh_manifest_of_bytes(&m, (whist_bytes){bytes, len}, 32));
        assert_ok(wh_manifest_encode(&encoded, &m));
        assert_ok(wh_manifest_decode(&back, wh_buf_view(&encoded)));
        assert_int_equal(back.bytes, len);
        assert_int_equal(back.n_chunks, m.n_chunks);
        if (m.n_chunks) assert_memory_equal(back.digests, m.digests, m.n_chunks * sizeof *m.digests);
        for (size_t cut = 0; cut < encoded.len; cut++) {
            wh_manifest none = WH_MANIFEST_EMPTY;
            assert_int_equal(wh_manifest_decode(&none, (whist_bytes){encoded.data, cut}), WHIST_E_FORMAT);
        }
    }
}

static void decode_refuses(const uint8_t *head)
{
    wh_manifest none = WH_MANIFEST_EMPTY;
    assert_int_equal(wh_manifest_decode(&none, (whist_bytes){head, 20}), WHIST_E_FORMAT);
    assert_null(none.digests);
}

static void decode_is_bounded(void **state)
{
    (void)state;
    const uint8_t good[20] = {'W', 'H', 'I', 'S', 'T', 'M', 'F', '1', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0};
    uint8_t head[20];
    wh_manifest none = WH_MANIFEST_EMPTY;
    assert_ok(wh_manifest_decode(&none, (whist_bytes){good, 20}));
    wh_manifest_clear(&none);

    memcpy(head, good, 20);
    head[7] = '2'; /* another version */
    decode_refuses(head);
    memcpy(head, good, 20);
    memset(head + 8, 0xff, 8); /* 2^64 - 1 bytes: no memory may be asked for them */
    decode_refuses(head);
    memcpy(head, good, 20);
    head[18] = 0; /* chunks of 0 bytes */
    decode_refuses(head);
    memcpy(head, good, 20);
    head[19] = 0xff; /* chunks of 4 GiB */
    decode_refuses(head);
    uint8_t longer[21] = {0};
    memcpy(longer, good, 20);
    assert_int_equal(wh_manifest_decode(&none, (whist_bytes){longer, 21}), WHIST_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_chunks),
        cmocka_unit_test(file_and_memory_agree),
        cmocka_unit_test(name_is_hash_of_encoding),
        cmocka_unit_test(decode_takes_what_encode_makes),
        cmocka_unit_test(decode_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
