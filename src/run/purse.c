/* run/purse.c: paying for releases that are made where the rows are.
 *
 * The ledger is that of the federation (fed/ledger.h): same file, same sums, same lock. The release is kept in the
 * transaction that charges it, so that no crash can lose what was paid for or give out what was not. */
#include "run/identity_files.h"

#include "base/file.h"
#include "crypt/hash.h"
#include "fed/ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct whist_purse {
    wh_ledger *ledger;
    double epsilon, delta;
    whist_secret rows_key; /* 32 bytes: names rows (whist_purse_rows) */
};

static const char trust[] = "nobody: noise is added where the rows are, and the released bytes alone get out";

/* ---- Life ---- */

static whist_status derive_key(whist_purse *purse, const whist_crypt_key *key)
{
    static const char info[] = "whist purse rows v1";
    WH_TRY(wh_secret_init(&purse->rows_key, 32));
    return wh_hkdf(purse->rows_key.data, 32, (whist_bytes){key->secret.data, WH_SIGN_SEED}, (whist_bytes){0},
                   (whist_bytes){(const uint8_t *)info, sizeof info - 1});
}

/* purse NULL: begins it. */
static whist_status open_ledger(whist_purse *purse, const whist_purse_place *place)
{
    WH_AUTO(wh_owned) dir = NULL;
    whist_crypt_key *key;
    const bool has_head = place->head && place->head[0];
    WH_TRY(wh_path((char **)&dir, place->state, "ledger/%s", place->dataset));
    const whist_identity_files files = {.key = place->key, .passphrase_file = place->passphrase_file};
    WH_TRY(wh_identity_key(&key, &files));
    const wh_ledger_env env = {
        .dir = dir,
        .dataset = place->dataset,
        .owner = place->owner,
        .key = key,
        .max_epsilon = place->epsilon,
        .max_delta = place->delta,
        .head = has_head ? place->head : NULL,
    };
    whist_status status = purse && has_head ? WHIST_OK : wh_make_dirs(dir);
    if (status == WHIST_OK && purse) status = derive_key(purse, key);
    if (status == WHIST_OK) status = purse ? wh_ledger_open(&purse->ledger, &env) : wh_ledger_begin(&env);
    whist_crypt_key_free(key);
    return status;
}

static whist_status check_place(const whist_purse_place *place)
{
    WH_ENSURE(place && place->state && place->dataset && place->owner && place->key, WHIST_E_ARG);
    if (place->epsilon > 0 && !(place->delta > 0 && place->delta < 1))
        WH_FAIL(WHIST_E_ARG, "delta is %g: a budget's delta lies between 0 and 1", place->delta);
    return WHIST_OK;
}

whist_status whist_purse_begin(const whist_purse_place *place)
{
    WH_TRY(check_place(place));
    WH_ENSURE(place->head && place->head[0], WHIST_E_ARG);
    return open_ledger(NULL, place);
}

whist_status whist_purse_open(whist_purse **out, const whist_purse_place *place)
{
    WH_ENSURE(out, WHIST_E_ARG);
    WH_TRY(check_place(place));
    whist_purse *purse;
    WH_TRY(WH_NEW(&purse, 1));
    purse->epsilon = place->epsilon;
    purse->delta = place->delta;
    whist_status status = open_ledger(purse, place);
    if (status != WHIST_OK) {
        whist_purse_free(purse);
        return status;
    }
    *out = purse;
    return WHIST_OK;
}

void whist_purse_free(whist_purse *purse)
{
    if (!purse) return;
    wh_ledger_close(purse->ledger);
    wh_secret_clear(&purse->rows_key);
    wh_free(purse);
}

whist_status whist_purse_spent(whist_purse *purse, double delta, double *held, double *any_time)
{
    WH_ENSURE(purse && held && any_time && delta > 0 && delta < 1, WHIST_E_ARG);
    const double budget = purse->epsilon > 0 && purse->delta == delta ? purse->epsilon : 0;
    WH_TRY(wh_ledger_held(purse->ledger, WHIST_DP_RECORD, budget, delta, held));
    return wh_ledger_held(purse->ledger, WHIST_DP_RECORD, 0, delta, any_time);
}

/* ---- Bills ---- */

void whist_purse_id(uint8_t id[32], const char *kind, whist_bytes text, uint64_t run)
{
    wh_sha256 hash;
    wh_digest digest;
    wh_sha256_init(&hash);
    wh_sha256_u64(&hash, strlen(kind));
    wh_sha256_update(&hash, kind, strlen(kind));
    wh_sha256_u64(&hash, text.len);
    wh_sha256_update(&hash, text.data, text.len);
    wh_sha256_u64(&hash, run);
    wh_sha256_final(&digest, &hash);
    memcpy(id, digest.bytes, sizeof digest.bytes);
}

static void add_u64(wh_hmac *mac, uint64_t value)
{
    uint8_t bytes[8];
    memcpy(bytes, &value, sizeof bytes);
    wh_hmac_update(mac, bytes, sizeof bytes);
}

static whist_status add_file(wh_hmac *mac, const char *folder, const char *name)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_AUTO(wh_owned) memory = NULL;
    WH_AUTO(wh_fd) fd = -1;
    uint64_t size, at = 0;
    enum { PIECE = 1 << 16 };
    WH_TRY(wh_path((char **)&path, folder, "%s", name));
    WH_TRY(wh_alloc(&memory, PIECE, 1));
    WH_TRY(wh_open(&fd, path, O_RDONLY, 0));
    WH_TRY(wh_file_size(&size, path));
    add_u64(mac, size);
    for (size_t piece; at < size; at += piece) {
        piece = size - at < PIECE ? (size_t)(size - at) : PIECE;
        WH_TRY(wh_read_at(fd, memory, piece, at));
        wh_hmac_update(mac, memory, piece);
    }
    return WHIST_OK;
}

whist_status whist_purse_rows(uint8_t out[32], const whist_purse *purse, const whist_schema *schema,
                              const whist_data_source *sources, size_t n_sources)
{
    WH_ENSURE(out && purse && schema && (sources || !n_sources), WHIST_E_ARG);
    wh_hmac mac;
    wh_digest digest;
    whist_status status = WHIST_OK;
    const bool files = schema->format != WHIST_DATA_SYNTHETIC;
    wh_hmac_init(&mac, purse->rows_key.data, 32);
    for (size_t i = 0; i < n_sources && files && status == WHIST_OK; i++) {
        const whist_data_source *source = &sources[i];
        add_u64(&mac, strlen(source->site));
        wh_hmac_update(&mac, source->site, strlen(source->site));
        status = add_file(&mac, source->folder, source->file ? source->file : schema->file);
        if (status == WHIST_OK && schema->partition == WHIST_PARTITION_SPLIT)
            status = add_file(&mac, source->folder, schema->split_file);
    }
    wh_hmac_final(&digest, &mac);
    if (status == WHIST_OK) memcpy(out, digest.bytes, sizeof digest.bytes);
    return status;
}

/* Words that stand in the ledger's line; the charge points at them. */
typedef struct wording {
    char mechanism[64], sampler[64];
} wording;

static whist_status check_events(const whist_purse_bill *bill)
{
    WH_ENSURE(bill->name && bill->events && bill->n_events >= 1, WHIST_E_ARG);
    for (size_t i = 0; i < bill->n_events; i++) {
        if (bill->events[i].unit != WHIST_DP_RECORD)
            WH_FAIL(WHIST_E_UNSUPPORTED, "only what is promised about records is paid for in one place");
        if (bill->events[i].relation != bill->events[0].relation)
            WH_FAIL(WHIST_E_UNSUPPORTED, "a release whose parts are private by different relations");
    }
    return WHIST_OK;
}

static whist_status charge_of(wh_charge *out, wording *words, const whist_purse *purse, const whist_purse_bill *bill)
{
    WH_TRY(check_events(bill));
    if (!(bill->epsilon > 0) && !(purse->epsilon > 0))
        WH_FAIL(WHIST_E_STATE,
                "nobody has said how much may be spent of these data: set a budget for the ledger "
                "(max_epsilon and max_delta of a site's policy, epsilon and delta of a ledger's own file)");
    const whist_dp_event *first = &bill->events[0];
    bool own = bill->epsilon > 0;
    snprintf(words->mechanism, sizeof words->mechanism, "%s%s", whist_dp_mechanism_name(first->mechanism),
             bill->n_events > 1 ? " and more" : "");
    snprintf(words->sampler, sizeof words->sampler, "%s", whist_dp_sampling_name(first->sampling));
    *out = (wh_charge){
        .study = bill->id,
        .study_name = bill->name,
        .step = bill->round,
        .round = bill->round,
        .unit = WHIST_DP_RECORD,
        .relation = first->relation,
        .noise = WHIST_NOISE_LOCAL,
        .mechanism = words->mechanism,
        .sampler = words->sampler,
        .epsilon = own ? bill->epsilon : 0,
        .delta = own ? bill->delta : purse->delta,
        .budget = own ? bill->epsilon : purse->epsilon,
        .trust = trust,
        .keep = bill->release,
        .taken = bill->taken,
    };
    if (first->mechanism == WHIST_DP_GAUSSIAN) out->sigma = first->noise;
    if (bill->release.data) wh_sha256_of(&out->bytes, bill->release.data, bill->release.len);
    return wh_spend_events(&out->spend, bill->events, bill->n_events);
}

whist_status whist_purse_check(whist_purse *purse, const whist_purse_bill *bill)
{
    WH_ENSURE(purse && bill, WHIST_E_ARG);
    wh_charge charge;
    wording words;
    WH_TRY(charge_of(&charge, &words, purse, bill));
    return wh_ledger_check(purse->ledger, &charge);
}

whist_status whist_purse_pay(whist_purse *purse, const whist_purse_bill *bill, double *after)
{
    WH_ENSURE(purse && bill && bill->release.data, WHIST_E_ARG);
    wh_charge charge;
    wording words;
    WH_TRY(charge_of(&charge, &words, purse, bill));
    return wh_ledger_charge(purse->ledger, &charge, after);
}

whist_status whist_purse_kept(whist_purse *purse, const uint8_t id[32], uint64_t *round, char **out, size_t *len,
                              bool *found)
{
    WH_ENSURE(purse && id && round && out && len && found, WHIST_E_ARG);
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_TRY(wh_ledger_kept(purse->ledger, id, round, &bytes, found));
    if (!*found) return WHIST_OK;
    char *copy;
    WH_TRY(wh_alloc((void **)&copy, bytes.len + 1, 1));
    if (bytes.len) memcpy(copy, bytes.data, bytes.len);
    *out = copy;
    *len = bytes.len;
    return WHIST_OK;
}
