/* Tests of codec/log.h: what an attacker does to a log, and which words answer it. */
#include "codec/log.h"
#include "test.h"

#include <string.h>

enum { N = 5 };

typedef struct fixture {
    whist_crypt_key *key, *other;
    wh_log_state begin, end;
    wh_buf records;
    size_t at[N + 1]; /* where each record begins */
} fixture;

static whist_bytes text(const char *s)
{
    return (whist_bytes){(const uint8_t *)s, strlen(s)};
}

static int make_log(void **state)
{
    static fixture f;
    uint8_t seed[WH_SIGN_SEED] = {1};
    f = (fixture){0};
    assert_ok(wh_sign_key_from_seed(&f.key, seed));
    seed[0] = 2;
    assert_ok(wh_sign_key_from_seed(&f.other, seed));
    assert_ok(wh_log_begin(&f.begin, "release s1 cleveland", f.key->public_key));
    f.end = f.begin;
    for (int i = 0; i < N; i++) {
        f.at[i] = f.records.len;
        assert_ok(wh_log_append(&f.end, &f.records, f.key, 1000 + i / 2, "update", text("{\"round\":1}")));
    }
    f.at[N] = f.records.len;
    *state = &f;
    return 0;
}

static int drop_log(void **state)
{
    fixture *f = *state;
    whist_crypt_key_free(f->key);
    whist_crypt_key_free(f->other);
    wh_buf_clear(&f->records);
    return 0;
}

static whist_status walk(const wh_log_state *begin, whist_bytes records, wh_log_state *end)
{
    wh_cursor cursor = wh_cursor_over(records);
    *end = *begin;
    while (wh_cursor_left(&cursor) > 0) WH_TRY(wh_log_verify_record(end, &cursor, NULL));
    return WHIST_OK;
}

static void assert_refused(const wh_log_state *begin, whist_bytes records, whist_status status, const char *why)
{
    wh_log_state end;
    assert_int_equal(walk(begin, records, &end), status);
    if (!strstr(whist_detail_get()->text, why)) fail_msg("'%s' lacks '%s'", whist_detail_get()->text, why);
}

static void test_a_good_log_walks_to_its_end(void **state)
{
    fixture *f = *state;
    wh_log_state end;
    wh_log_entry entry;
    assert_ok(walk(&f->begin, wh_buf_view(&f->records), &end));
    assert_memory_equal(&end, &f->end, sizeof end);
    assert_int_equal(end.tree.n, N);
    wh_cursor cursor = wh_cursor_over(wh_buf_view(&f->records));
    end = f->begin;
    assert_ok(wh_log_verify_record(&end, &cursor, &entry));
    assert_int_equal(entry.seq, 0);
    assert_int_equal(entry.unix_ms, 1000);
    assert_int_equal(entry.kind_len, 6);
    assert_memory_equal(entry.kind, "update", 6);
    assert_memory_equal(entry.body.data, "{\"round\":1}", entry.body.len);
}

/* The bytes of the first entry as the header of log.h draws them, put together here by hand. */
static void test_the_encoding_is_as_drawn(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) want = WH_BUF_EMPTY;
    static const uint8_t zeros[32];
    assert_ok(wh_buf_add(&want, "WHLG\1\0\0\0", 8));
    assert_ok(wh_buf_add(&want, f->begin.id, 32));
    assert_ok(wh_buf_u64(&want, 0));
    assert_ok(wh_buf_u64(&want, 1000));
    assert_ok(wh_buf_add(&want, zeros, 32));
    assert_ok(wh_buf_add(&want, "\6\0\0\0update\13\0\0\0{\"round\":1}", 4 + 6 + 4 + 11));
    assert_int_equal(f->at[1], 4 + want.len + WH_SIGN_SIZE);
    assert_int_equal(f->records.data[0], want.len);
    assert_memory_equal(f->records.data + 4, want.data, want.len);
    wh_digest leaf;
    wh_merkle_leaf(&leaf, wh_buf_view(&want));
    assert_ok(wh_sign_verify_digest(f->key->public_key, "whist log entry v1", &leaf, f->records.data + 4 + want.len));
}

static void test_any_changed_bit_is_found(void **state)
{
    fixture *f = *state;
    wh_log_state end;
    WH_AUTO(wh_buf) copy = WH_BUF_EMPTY;
    assert_ok(wh_buf_add(&copy, f->records.data, f->at[2]));
    for (size_t i = 0; i < f->at[2]; i++) {
        copy.data[i] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(walk(&f->begin, wh_buf_view(&copy), &end), WHIST_OK);
        copy.data[i] ^= (uint8_t)(1 << i % 8);
    }
}

static void test_cuts_are_found(void **state)
{
    fixture *f = *state;
    wh_log_state end;
    for (size_t len = 1; len < f->at[2]; len++) {
        whist_status want = len == f->at[1] ? WHIST_OK : WHIST_E_FORMAT;
        assert_int_equal(walk(&f->begin, (whist_bytes){f->records.data, len}, &end), want);
    }
}

static void test_removed_repeated_and_swapped_entries(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) bad = WH_BUF_EMPTY;
    assert_ok(wh_buf_add(&bad, f->records.data, f->at[1]));
    assert_ok(wh_buf_add(&bad, f->records.data + f->at[2], f->at[3] - f->at[2]));
    assert_refused(&f->begin, wh_buf_view(&bad), WHIST_E_AUTH, "entry number 2 stands where number 1 belongs");
    wh_buf_reset(&bad);
    assert_ok(wh_buf_add(&bad, f->records.data, f->at[1]));
    assert_ok(wh_buf_add(&bad, f->records.data, f->at[1]));
    assert_refused(&f->begin, wh_buf_view(&bad), WHIST_E_AUTH, "entry number 0 stands where number 1 belongs");
}

static void test_another_history_another_log_another_key(void **state)
{
    fixture *f = *state;
    wh_log_state fork = f->begin, log2, end;
    WH_AUTO(wh_buf) bad = WH_BUF_EMPTY;
    /* The owner signs a second first entry: the second entry of the true log does not follow it. */
    assert_ok(wh_log_append(&fork, &bad, f->key, 1000, "update", text("{\"round\":2}")));
    assert_ok(wh_buf_add(&bad, f->records.data + f->at[1], f->at[2] - f->at[1]));
    assert_refused(&f->begin, wh_buf_view(&bad), WHIST_E_AUTH, "the chain is broken");

    assert_ok(wh_log_begin(&log2, "ledger s1 cleveland", f->key->public_key));
    assert_refused(&log2, wh_buf_view(&f->records), WHIST_E_AUTH, "another log");

    wh_log_state forged = f->begin;
    memcpy(forged.key, f->other->public_key, sizeof forged.key); /* keeps the id: the attacker claims it */
    wh_buf_reset(&bad);
    assert_ok(wh_log_append(&forged, &bad, f->other, 1000, "update", text("{}")));
    assert_refused(&f->begin, wh_buf_view(&bad), WHIST_E_AUTH, "signature");
    assert_int_equal(walk(&f->begin, wh_buf_view(&bad), &end), WHIST_E_AUTH);
    assert_int_equal(end.tree.n, 0);
}

static void test_time_runs_forward(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) bad = WH_BUF_EMPTY;
    wh_log_state now = f->end, tricked = f->end;
    assert_int_equal(wh_log_append(&now, &bad, f->key, 999, "update", text("{}")), WHIST_E_ARG);
    assert_non_null(strstr(whist_detail_get()->text, "clock"));
    assert_memory_equal(&now, &f->end, sizeof now);
    assert_int_equal(bad.len, 0);
    tricked.last_ms = 0;
    assert_ok(wh_log_append(&tricked, &bad, f->key, 999, "update", text("{}")));
    assert_refused(&f->end, wh_buf_view(&bad), WHIST_E_AUTH, "clock runs backwards");
}

static void test_what_does_not_fit_is_refused(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) big = WH_BUF_EMPTY;
    uint8_t *bytes;
    wh_log_state now = f->end;
    assert_ok(wh_buf_grow(&big, &bytes, WH_LOG_BODY_MAX + 1));
    memset(bytes, 'x', WH_LOG_BODY_MAX + 1);
    assert_int_equal(wh_log_append(&now, &out, f->key, 2000, "u", wh_buf_view(&big)), WHIST_E_RANGE);
    assert_int_equal(wh_log_append(&now, &out, f->key, 2000, "", text("")), WHIST_E_ARG);
    assert_int_equal(wh_log_append(&now, &out, f->key, 2000, "Upper", text("")), WHIST_E_ARG);
    assert_int_equal(wh_log_append(&now, &out, f->key, 2000, "u", text("\xFF")), WHIST_E_ARG);
    assert_int_equal(wh_log_append(&now, &out, f->other, 2000, "u", text("")), WHIST_E_ARG);
    assert_memory_equal(&now, &f->end, sizeof now);
    big.len--;
    assert_ok(wh_log_append(&now, &out, f->key, 2000, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", wh_buf_view(&big)));
    assert_int_equal(out.len, WH_LOG_RECORD_MAX);
    now = f->end;
    wh_cursor cursor = wh_cursor_over(wh_buf_view(&out));
    assert_ok(wh_log_verify_record(&now, &cursor, NULL));
}

static void test_state_survives_the_store(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) kept = WH_BUF_EMPTY;
    wh_log_state back = {0};
    assert_ok(wh_log_state_encode(&kept, &f->end));
    assert_ok(wh_log_state_decode(&back, wh_buf_view(&kept)));
    assert_memory_equal(&back, &f->end, sizeof back);
    for (size_t len = 0; len < kept.len; len++)
        assert_int_equal(wh_log_state_decode(&back, (whist_bytes){kept.data, len}), WHIST_E_FORMAT);
    assert_ok(wh_buf_add(&kept, "", 1));
    assert_int_equal(wh_log_state_decode(&back, wh_buf_view(&kept)), WHIST_E_FORMAT);
    kept.data[120] ^= 0x10; /* another number of entries than digests */
    assert_int_equal(wh_log_state_decode(&back, wh_buf_view(&kept)), WHIST_E_FORMAT);
}

static void test_heads(void **state)
{
    fixture *f = *state;
    uint8_t head[WH_LOG_HEAD_SIZE];
    uint64_t n = 0;
    wh_digest root, want;
    assert_ok(wh_log_head_sign(head, &f->end, f->key));
    whist_bytes bytes = {head, sizeof head};
    assert_ok(wh_log_head_verify(&n, &root, bytes, f->begin.id, f->key->public_key));
    wh_merkle_root(&want, &f->end.tree);
    assert_int_equal(n, N);
    assert_memory_equal(root.bytes, want.bytes, 32);
    for (size_t i = 0; i < sizeof head; i++) {
        head[i] ^= 1;
        assert_int_not_equal(wh_log_head_verify(&n, &root, bytes, f->begin.id, f->key->public_key), WHIST_OK);
        head[i] ^= 1;
    }
    assert_int_equal(wh_log_head_verify(&n, &root, bytes, f->begin.id, f->other->public_key), WHIST_E_AUTH);
    assert_int_equal(wh_log_head_sign(head, &f->end, f->other), WHIST_E_ARG);
}

static void test_every_failed_allocation_leaves_all_as_it_was(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    wh_log_state now = f->end;
    whist_status status = WHIST_E_NOMEM;
    for (uint64_t n = 1; status == WHIST_E_NOMEM; n++) {
        wh_alloc_fail_after(n);
        status = wh_log_append(&now, &out, f->key, 3000, "update", text("{}"));
        if (status != WHIST_OK) {
            assert_memory_equal(&now, &f->end, sizeof now);
            assert_int_equal(out.len, 0);
        }
        assert_true(n < 100);
    }
    wh_alloc_fail_after(0);
    assert_int_equal(status, WHIST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_log_walks_to_its_end),
        cmocka_unit_test(test_the_encoding_is_as_drawn),
        cmocka_unit_test(test_any_changed_bit_is_found),
        cmocka_unit_test(test_cuts_are_found),
        cmocka_unit_test(test_removed_repeated_and_swapped_entries),
        cmocka_unit_test(test_another_history_another_log_another_key),
        cmocka_unit_test(test_time_runs_forward),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_state_survives_the_store),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_every_failed_allocation_leaves_all_as_it_was),
    };
    return cmocka_run_group_tests(tests, make_log, drop_log);
}
