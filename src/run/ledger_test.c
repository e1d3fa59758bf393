/* run/ledger_test.c: what outsiders get: exported ledgers and proofs, and every byte of them that can be wrong. */
#include "test.h"

#include "base/file.h"
#include "fed/ledger.h"

#include <whist/run.h>

#include <string.h>

typedef struct books {
    whist_crypt_key *key;
    char *pem; /* a certificate of the key: whose does not matter */
    char *dir, *file;
    whist_bytes certificate;
} books;

static int set_up(void **state)
{
    static books b;
    b = (books){0};
    assert_ok(whist_crypt_key_new(&b.key));
    assert_ok(whist_crypt_ca_new(&b.pem, b.key, "va", 10, 0));
    b.certificate = (whist_bytes){(const uint8_t *)b.pem, strlen(b.pem)};
    b.dir = test_dir("books");
    assert_true(asprintf(&b.file, "%s-out", b.dir) > 0);
    wh_ledger *ledger;
    const wh_ledger_env env = {.dir = b.dir, .dataset = "heart", .owner = "va", .key = b.key};
    assert_ok(wh_ledger_open(&ledger, &env));
    for (uint64_t step = 0; step < 6; step++) {
        const uint8_t study[32] = {7};
        const wh_charge charge = {
            .study = study,
            .study_name = "s",
            .step = step,
            .round = step,
            .unit = WHIST_DP_SITE,
            .relation = WHIST_DP_ZERO_OUT,
            .noise = WHIST_NOISE_LOCAL,
            .mechanism = "gaussian",
            .sampler = "none",
            .sigma = 9,
            .sensitivity = 1,
            .spend = wh_spend_gaussian(9),
            .epsilon = 3,
            .delta = 1e-5,
            .bytes = {{(uint8_t)step}},
        };
        assert_ok(wh_ledger_charge(ledger, &charge, NULL));
    }
    wh_ledger_close(ledger);
    *state = &b;
    return 0;
}

static int tear_down(void **state)
{
    books *b = *state;
    assert_ok(wh_tree_remove(b->dir));
    assert_ok(wh_file_remove(b->file));
    free(b->file);
    test_dir_free(b->dir);
    whist_crypt_text_free(b->pem);
    whist_crypt_key_free(b->key);
    return 0;
}

static whist_status see(void *user, const whist_log_line *line)
{
    char sentence[640];
    assert_ok(whist_ledger_sentence(sentence, line->body));
    assert_non_null(strstr(sentence, "for one site (zero_out)"));
    assert_non_null(strstr(sentence, "local: the coordinator sees each noised update"));
    ++*(uint64_t *)user;
    return WHIST_OK;
}

static void test_export(void **state)
{
    books *b = *state;
    whist_ledger_info in, out;
    uint64_t seen = 0;
    assert_ok(whist_ledger_read(&in, b->dir, b->certificate, see, &seen));
    assert_int_equal(seen, 6);
    assert_ok(whist_ledger_export(b->dir, b->certificate, b->file));
    assert_ok(whist_ledger_read(&out, b->file, b->certificate, see, &seen));
    assert_int_equal(seen, 12);
    assert_string_equal(in.head, out.head);
    assert_string_equal(out.dataset, "heart");
    assert_string_equal(out.owner, "va");

    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    assert_ok(wh_file_read(&bytes, b->file, 1 << 20));
    for (size_t i = 0; i < bytes.len; i += 37) {
        bytes.data[i] ^= 4;
        assert_ok(wh_file_write(b->file, wh_buf_view(&bytes), 0600));
        assert_int_not_equal(whist_ledger_read(&out, b->file, b->certificate, NULL, NULL), WHIST_OK);
        bytes.data[i] ^= 4;
    }
    for (size_t len = 0; len < bytes.len; len += 101) {
        assert_ok(wh_file_write(b->file, (whist_bytes){bytes.data, len}, 0600));
        assert_int_not_equal(whist_ledger_read(&out, b->file, b->certificate, NULL, NULL), WHIST_OK);
    }
}

static whist_bytes text(const char *t)
{
    return (whist_bytes){(const uint8_t *)t, strlen(t)};
}

/* Flipping a digit of a proof leaves it void, wherever the digit stands. */
static void spoil(const books *b, char *proof)
{
    whist_ledger_proof out;
    for (size_t i = 0; proof[i]; i++) {
        if (proof[i] < '0' || proof[i] > '9') continue;
        char was = proof[i];
        proof[i] = was == '7' ? '5' : '7';
        if (whist_ledger_proof_read(&out, text(proof), b->certificate) == WHIST_OK) {
            whist_ledger_text_free(out.body);
            fail_msg("good with another digit at %zu: %.60s", i, proof + i);
        }
        proof[i] = was;
    }
}

static void test_proofs(void **state)
{
    books *b = *state;
    whist_ledger_info info;
    whist_ledger_proof out;
    char *proof;
    assert_ok(whist_ledger_read(&info, b->dir, b->certificate, NULL, NULL));
    for (uint64_t k = 0; k < 6; k++) {
        assert_ok(whist_ledger_prove_entry(&proof, b->dir, b->certificate, k, b->key));
        assert_ok(whist_ledger_proof_read(&out, text(proof), b->certificate));
        assert_true(out.entry && out.seq == k && out.info.n == 6);
        assert_string_equal(out.info.head, info.head);
        assert_non_null(strstr(out.body, "\"unit\":\"site\""));
        whist_ledger_text_free(out.body);
        if (k == 3) spoil(b, proof);
        whist_ledger_text_free(proof);
        assert_ok(whist_ledger_prove_since(&proof, b->dir, b->certificate, k + 1, b->key));
        assert_ok(whist_ledger_proof_read(&out, text(proof), b->certificate));
        assert_true(!out.entry && out.old_n == k + 1);
        if (k == 5) assert_string_equal(out.old_head, info.head);
        if (k == 4) spoil(b, proof);
        whist_ledger_text_free(proof);
    }
    assert_int_equal(whist_ledger_prove_entry(&proof, b->dir, b->certificate, 6, b->key), WHIST_E_ARG);
    assert_int_equal(whist_ledger_prove_since(&proof, b->dir, b->certificate, 0, b->key), WHIST_E_ARG);
    assert_int_equal(whist_ledger_prove_since(&proof, b->dir, b->certificate, 7, b->key), WHIST_E_ARG);
    whist_crypt_key *other;
    assert_ok(whist_crypt_key_new(&other));
    assert_int_equal(whist_ledger_prove_entry(&proof, b->dir, b->certificate, 0, other), WHIST_E_AUTH);
    whist_crypt_key_free(other);
    assert_int_equal(whist_ledger_proof_read(&out, text("{}"), b->certificate), WHIST_E_FORMAT);
    assert_int_equal(whist_ledger_read(&info, "/nowhere/at/all", b->certificate, NULL, NULL), WHIST_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_export, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_proofs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
