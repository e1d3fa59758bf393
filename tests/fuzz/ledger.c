/* Fuzz target: privacy ledgers: notes between peers, bodies of entries, proofs. What is read is written again to the
 * same bytes where there is one way to write it; no proof may hold under a key that signed nothing. */
#include "fed/ledger_entry.h"

#include <whist/run.h>

#include <string.h>

static void note(whist_bytes bytes)
{
    wh_ledger_note out;
    WH_AUTO(wh_buf) again = WH_BUF_EMPTY;
    if (wh_ledger_note_decode(&out, bytes) != WHIST_OK) return;
    if (wh_ledger_note_encode(&again, &out) != WHIST_OK) __builtin_trap();
    if (again.len != bytes.len || memcmp(again.data, bytes.data, bytes.len) != 0) __builtin_trap();
}

static void entry(whist_bytes bytes)
{
    wh_ledger_entry out;
    wh_ledger_sums sums = {.any = false};
    char sentence[640];
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    if (wh_buf_add(&text, bytes.data, bytes.len) != WHIST_OK) return;
    (void)!whist_ledger_sentence(sentence, wh_buf_str(&text));
    if (wh_ledger_entry_decode(&out, bytes) != WHIST_OK) return;
    if (!wh_spend_is_good(&out.spend)) __builtin_trap();
    (void)!wh_ledger_entry_follow(&sums, &out);
}

static void proof(whist_bytes bytes)
{
    static const uint8_t seed[32] = {9};
    static char *certificate;
    whist_ledger_proof out;
    if (!certificate) {
        whist_crypt_key *key;
        if (wh_sign_key_from_seed(&key, seed) != WHIST_OK) __builtin_trap();
        if (whist_crypt_ca_new(&certificate, key, "fuzz", 3650, 1795248000) != WHIST_OK) __builtin_trap();
        whist_crypt_key_free(key);
    }
    const whist_bytes pem = {(const uint8_t *)certificate, strlen(certificate)};
    if (whist_ledger_proof_read(&out, bytes, pem) == WHIST_OK) __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const whist_bytes rest = {data + 1, size - 1};
    switch (data[0] % 3) {
    case 0: note(rest); break;
    case 1: entry(rest); break;
    default: proof(rest); break;
    }
    return 0;
}
