/* fed/ledger.c: opening, verifying, charging.
 *
 * In the ledger's store:
 *   log                       one record (codec/log.h) for each charge
 *   ledger_state              where the log stands; of the same transaction as the last record
 *   ledger_dataset, _owner    names, for those who verify
 *   paid STUDY STEP PHASE     digest of what was paid for: a charge is made once
 *   ledger_genesis            the signed head of the empty log, where it keeps its head in a file (ledger_head.c)
 *   kept STUDY                (a machine of step 0, since it may be long) step (u64), then what was kept with its
 * charge peer PIN                  head that a peer showed last (ledger_peers.c) refuted                   our own head
 * that is not of this copy, as a peer showed it */
#include "fed/ledger_state.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#define KEY_STATE "ledger_state"
#define KEY_DATASET "ledger_dataset"
#define KEY_OWNER "ledger_owner"

enum { MAX_OWNER = 63 };

static whist_bytes bytes_of(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, strlen(text)};
}

/* ---- Reading what is there ---- */

/* Verifies one record and takes it into the sums; both move on, or neither does. */
static whist_status take_record(wh_log_state *state, wh_ledger_sums *sums, uint64_t seq, whist_bytes record,
                                wh_log_entry *out, wh_ledger_entry *entry)
{
    if (seq != state->tree.n)
        WH_FAIL(WHIST_E_AUTH, "an entry is missing: number %llu follows", (unsigned long long)seq);
    wh_log_state next = *state;
    wh_ledger_sums sums_next = *sums;
    wh_cursor cursor = wh_cursor_over(record);
    WH_TRY(wh_log_verify_record(&next, &cursor, out));
    if (wh_cursor_left(&cursor)) WH_FAIL(WHIST_E_AUTH, "there are bytes behind it");
    WH_TRY(wh_ledger_entry_decode(entry, out->body));
    WH_TRY(wh_ledger_entry_follow(&sums_next, entry));
    *state = next;
    *sums = sums_next;
    return WHIST_OK;
}

typedef struct walk {
    wh_log_state *state;
    wh_ledger_sums *sums;
    wh_ledger *ledger; /* NULL for a mere look */
    wh_ledger_line_fn *emit;
    void *user;
} walk;

static whist_status note_study(wh_ledger *ledger, const uint8_t study[32], const wh_spend *spend)
{
    for (size_t i = 0; i < ledger->n_studies; i++)
        if (memcmp(ledger->studies[i].study, study, 32) == 0) {
            wh_spend_add(&ledger->studies[i].spend, spend);
            return WHIST_OK;
        }
    wh_ledger_study *more;
    WH_TRY(WH_NEW(&more, ledger->n_studies + 1));
    if (ledger->n_studies) memcpy(more, ledger->studies, ledger->n_studies * sizeof *more);
    wh_free(ledger->studies);
    ledger->studies = more;
    memcpy(more[ledger->n_studies].study, study, 32);
    more[ledger->n_studies++].spend = *spend;
    return WHIST_OK;
}

static whist_status walk_one(void *user, uint64_t seq, whist_bytes record)
{
    walk *w = user;
    wh_log_entry entry;
    wh_ledger_entry body;
    unsigned long long number = w->state->tree.n;
    whist_status status = take_record(w->state, w->sums, seq, record, &entry, &body);
    if (status == WHIST_E_FORMAT) status = WHIST_E_AUTH; /* whoever changed it need not have left it readable */
    if (status != WHIST_OK) return wh_fail_context(status, "entry %llu of the ledger does not hold: ", number);
    if (w->ledger) WH_TRY(note_study(w->ledger, body.study, &body.spend));
    if (!w->emit) return WHIST_OK;
    wh_ledger_line line = {.seq = entry.seq, .unix_ms = entry.unix_ms, .body = entry.body, .hash = entry.hash};
    wh_merkle_root(&line.root, &w->state->tree);
    return w->emit(w->user, &line);
}

/* The store says how long the log is and how it ends: entries taken off its end show. */
static whist_status check_end(const wh_log_state *state, wh_store *store)
{
    WH_AUTO(wh_buf) kept = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) found_out = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(store, KEY_STATE, &kept, &found));
    WH_TRY(wh_log_state_encode(&found_out, state));
    bool same = found && kept.len == found_out.len && memcmp(kept.data, found_out.data, kept.len) == 0;
    if (!same && (found || state->tree.n))
        WH_FAIL(WHIST_E_AUTH, "the ledger does not end where its store says: entries are missing after %llu",
                (unsigned long long)state->tree.n);
    return WHIST_OK;
}

whist_status wh_ledger_begin_log(wh_log_state *out, const char *dataset, const char *owner,
                                 const uint8_t key[WH_SIGN_PUBLIC])
{
    char purpose[WH_LOG_PURPOSE_MAX + 1];
    snprintf(purpose, sizeof purpose, "ledger %.63s %.63s", dataset, owner);
    return wh_log_begin(out, purpose, key);
}

static whist_status get_name(wh_store *store, const char *key, char out[64])
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(store, key, &value, &found));
    if (!found || value.len > 63)
        WH_FAIL(WHIST_E_STATE, "%s holds no privacy ledger: nothing was ever charged there",
                wh_store_dir(store) ? wh_store_dir(store) : "the store");
    snprintf(out, 64, "%s", wh_buf_str(&value));
    return WHIST_OK;
}

whist_status wh_ledger_names(wh_store *store, char dataset[64], char owner[64])
{
    WH_TRY(get_name(store, KEY_DATASET, dataset));
    return get_name(store, KEY_OWNER, owner);
}

whist_status wh_ledger_walk(wh_log_state *state, wh_store *store, const uint8_t key[WH_SIGN_PUBLIC],
                            wh_ledger_line_fn *emit, void *user)
{
    char dataset[64], owner[64];
    wh_ledger_sums sums = {.any = false};
    WH_TRY(wh_ledger_names(store, dataset, owner));
    WH_TRY(wh_ledger_begin_log(state, dataset, owner, key));
    walk w = {.state = state, .sums = &sums, .emit = emit, .user = user};
    WH_TRY(wh_store_log_each(store, 0, walk_one, &w));
    return check_end(state, store);
}

/* A peer has shown that this is not the newest copy. It stays so, however the copy grows. */
static whist_status check_refuted(wh_ledger *ledger)
{
    WH_AUTO(wh_buf) head = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(ledger->store, WH_LEDGER_REFUTED, &head, &found));
    if (found)
        WH_FAIL(WHIST_E_AUTH,
                "a peer has shown our own signature under other entries than these: an older copy was put in the "
                "ledger's place. Bring back the newest one; nothing is released before");
    return WHIST_OK;
}

/* ---- Record by record ---- */

struct wh_ledger_reader {
    wh_log_state state;
    wh_ledger_sums sums;
    walk walk;
};

whist_status wh_ledger_reader_new(wh_ledger_reader **out, const char *dataset, const char *owner,
                                  const uint8_t key[WH_SIGN_PUBLIC], wh_ledger_line_fn *emit, void *user)
{
    wh_log_state state;
    wh_ledger_reader *reader;
    WH_TRY(wh_ledger_begin_log(&state, dataset, owner, key));
    WH_TRY(WH_NEW(&reader, 1));
    reader->state = state;
    reader->walk = (walk){.state = &reader->state, .sums = &reader->sums, .emit = emit, .user = user};
    *out = reader;
    return WHIST_OK;
}

whist_status wh_ledger_reader_push(wh_ledger_reader *reader, whist_bytes record)
{
    return walk_one(&reader->walk, reader->state.tree.n, record);
}

const wh_log_state *wh_ledger_reader_state(const wh_ledger_reader *reader)
{
    return &reader->state;
}

void wh_ledger_reader_free(wh_ledger_reader *reader)
{
    wh_free(reader);
}

/* In a transaction. */
whist_status wh_ledger_catch_up(wh_ledger *ledger)
{
    walk w = {.state = &ledger->state, .sums = &ledger->sums, .ledger = ledger};
    WH_TRY(check_refuted(ledger));
    WH_TRY(wh_store_log_each(ledger->store, ledger->state.tree.n, walk_one, &w));
    return check_end(&ledger->state, ledger->store);
}

/* ---- Opening ---- */

static bool good_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len <= WH_LEDGER_NAME_MAX && !name[len];
}

static whist_status same_name(wh_ledger *ledger, const char *key, const char *wanted, const char *what)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(ledger->store, key, &value, &found));
    if (!found) return wh_store_set(ledger->store, key, bytes_of(wanted));
    if (strcmp(wh_buf_str(&value), wanted) == 0) return WHIST_OK;
    WH_FAIL(WHIST_E_AUTH, "%s holds the ledger of the %s '%s', not of '%s': name the folder that belongs to it",
            wh_store_dir(ledger->store), what, wh_buf_str(&value), wanted);
}

static whist_status read_all(wh_ledger *ledger, const wh_ledger_env *env)
{
    WH_TRY(same_name(ledger, KEY_DATASET, env->dataset, "data set"));
    WH_TRY(same_name(ledger, KEY_OWNER, env->owner, "owner"));
    WH_TRY(wh_ledger_catch_up(ledger));
    return ledger->head ? wh_ledger_check_head(ledger) : WHIST_OK;
}

static whist_status open_ledger(wh_ledger *ledger, const wh_ledger_env *env)
{
    WH_TRY(wh_ledger_begin_log(&ledger->state, env->dataset, env->owner, env->key->public_key));
    WH_TRY(wh_sign_key_from_seed(&ledger->key, env->key->secret.data));
    if (env->head) WH_TRY(wh_strdup(&ledger->head, env->head));
    if (env->head) WH_TRY(wh_ledger_check_there(env));
    WH_TRY(wh_store_open_shared(&ledger->store, env->dir));
    WH_TRY(wh_store_begin(ledger->store));
    whist_status status = read_all(ledger, env);
    if (status == WHIST_OK) return wh_store_commit(ledger->store);
    wh_store_rollback(ledger->store);
    return status;
}

whist_status wh_ledger_open(wh_ledger **out, const wh_ledger_env *env)
{
    if (!good_name(env->dataset))
        WH_FAIL(WHIST_E_ARG, "a data set's name in the ledger has 1 to %d of a-z 0-9 _ -, not '%.80s'",
                WH_LEDGER_NAME_MAX, env->dataset);
    WH_ENSURE(strlen(env->owner) > 0 && strlen(env->owner) <= MAX_OWNER, WHIST_E_ARG);
    wh_ledger *ledger;
    WH_TRY(WH_NEW(&ledger, 1));
    pthread_mutex_init(&ledger->lock, NULL);
    ledger->max_epsilon = env->max_epsilon;
    ledger->max_delta = env->max_delta;
    whist_status status = open_ledger(ledger, env);
    if (status != WHIST_OK) {
        wh_ledger_close(ledger);
        return wh_fail_context(status, "privacy ledger of %s: ", env->dataset);
    }
    *out = ledger;
    return WHIST_OK;
}

void wh_ledger_close(wh_ledger *ledger)
{
    if (!ledger) return;
    wh_store_close(ledger->store);
    whist_crypt_key_free(ledger->key);
    wh_free(ledger->head);
    wh_free(ledger->studies);
    pthread_mutex_destroy(&ledger->lock);
    wh_free(ledger);
}

/* ---- Charging ---- */

static void paid_key(char out[128], const wh_charge *charge)
{
    char hex[65];
    wh_hex(hex, charge->study, 32);
    snprintf(out, 128, "paid %s %llu %u", hex, (unsigned long long)charge->step, charge->phase);
}

static whist_status was_paid(wh_ledger *ledger, const wh_charge *charge, bool *paid)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    char key[128];
    paid_key(key, charge);
    WH_TRY(wh_store_get(ledger->store, key, &value, paid));
    if (!*paid) return WHIST_OK;
    if (charge->taken) *charge->taken = true;
    if (charge->taken) return WHIST_OK;
    if (value.len == sizeof charge->bytes.bytes && memcmp(value.data, charge->bytes.bytes, value.len) == 0)
        return WHIST_OK;
    WH_FAIL(WHIST_E_AUTH,
            "step %llu of this study was paid for with other bytes: the study's state here is older than the ledger. "
            "What was released then cannot be released anew; leave this step to the others",
            (unsigned long long)charge->step);
}

/* What is left, for those who are refused. A pure release is the one that everybody can compare. */
static void say_left(char out[160], const wh_spend *before, double epsilon, double delta)
{
    double left = wh_spend_left(before, epsilon, delta);
    int at = snprintf(out, 160, "%.4g of %g is spent", wh_spend_filter(before, epsilon, delta), epsilon);
    if (left > 0)
        snprintf(out + at, 160 - (size_t)at, ", and one pure release of epsilon %.4g would still fit", left);
    else
        snprintf(out + at, 160 - (size_t)at, ", and no further release fits");
}

/* What the price is of: a round, a release or a training, or all that a study still plans. */
static const char *say_what(char out[64], const wh_charge *charge)
{
    if (charge->planned > 1)
        snprintf(out, 64, "with the %llu rounds still planned", (unsigned long long)charge->planned);
    else
        snprintf(out, 64, "with what is asked now");
    return out;
}

static whist_status check_budget(const wh_ledger *ledger, const wh_charge *charge, const wh_spend *total)
{
    const char *unit = whist_dp_unit_name(charge->unit);
    const wh_spend *before = &ledger->sums.spend[charge->unit];
    char left[160], what[64];
    if (charge->epsilon > 0 && !wh_spend_fits(total, charge->epsilon, charge->delta)) {
        say_left(left, before, charge->epsilon, charge->delta);
        WH_FAIL(
            WHIST_E_BUDGET,
            "the budget of this data set is spent: %s epsilon would be %.4g for one %s at delta %g, over all studies, "
            "and %s allows %g (%s). Nothing more is released; a new budget needs a new study and the partners' consent",
            say_what(what, charge), wh_spend_filter(total, charge->epsilon, charge->delta), unit, charge->delta,
            charge->study_name, charge->epsilon, left);
    }
    if (ledger->max_epsilon > 0 && !wh_spend_fits(total, ledger->max_epsilon, ledger->max_delta)) {
        say_left(left, before, ledger->max_epsilon, ledger->max_delta);
        WH_FAIL(WHIST_E_BUDGET,
                "the owner's own limit is met: %s epsilon would be %.4g for one %s at delta %g, over all studies, and "
                "max_epsilon allows %g (%s)",
                say_what(what, charge), wh_spend_filter(total, ledger->max_epsilon, ledger->max_delta), unit,
                ledger->max_delta, ledger->max_epsilon, left);
    }
    return WHIST_OK;
}

static whist_status price(wh_ledger *ledger, const wh_charge *charge, wh_ledger_sums *next)
{
    *next = ledger->sums;
    if (!wh_spend_is_good(&charge->spend)) WH_FAIL(WHIST_E_RANGE, "a release without a finite price");
    WH_TRY(wh_ledger_sums_add(next, charge->unit, charge->relation, &charge->spend));
    return check_budget(ledger, charge, &next->spend[charge->unit]);
}

static void kept_key(char out[80], const uint8_t study[32])
{
    char hex[65];
    wh_hex(hex, study, 32);
    snprintf(out, 80, "kept %s", hex);
}

static whist_status keep(wh_ledger *ledger, const wh_charge *charge)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    char key[80];
    if (!charge->keep.data) return WHIST_OK;
    kept_key(key, charge->study);
    WH_TRY(wh_buf_u64(&value, charge->step));
    WH_TRY(wh_buf_add(&value, charge->keep.data, charge->keep.len));
    return wh_store_machine_put(ledger->store, 0, key, wh_buf_view(&value));
}

static whist_status append(wh_ledger *ledger, const wh_charge *charge, const wh_ledger_sums *next, wh_log_state *state)
{
    WH_AUTO(wh_buf) body = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) record = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) encoded = WH_BUF_EMPTY;
    char key[128];
    int64_t now = wh_clock_unix_ms();
    double before = wh_ledger_told(&ledger->sums.spend[charge->unit], charge->budget, charge->delta);
    double after = wh_ledger_told(&next->spend[charge->unit], charge->budget, charge->delta);
    WH_TRY(wh_ledger_entry_encode(&body, charge, before, after));
    if (now < state->last_ms) now = state->last_ms; /* the clock was set back */
    WH_TRY(wh_log_append(state, &record, ledger->key, now, "charge", wh_buf_view(&body)));
    WH_TRY(wh_log_state_encode(&encoded, state));
    WH_TRY(wh_store_log_put(ledger->store, state->tree.n - 1, wh_buf_view(&record)));
    WH_TRY(wh_store_set(ledger->store, KEY_STATE, wh_buf_view(&encoded)));
    WH_TRY(keep(ledger, charge));
    paid_key(key, charge);
    return wh_store_set(ledger->store, key, (whist_bytes){charge->bytes.bytes, sizeof charge->bytes.bytes});
}

/* In a transaction. *paid: there is nothing to commit. */
static whist_status charge_in(wh_ledger *ledger, const wh_charge *charge, wh_ledger_sums *next, wh_log_state *state,
                              bool *paid)
{
    WH_TRY(wh_ledger_catch_up(ledger));
    WH_TRY(was_paid(ledger, charge, paid));
    *state = ledger->state;
    if (*paid) return WHIST_OK;
    WH_TRY(price(ledger, charge, next));
    return append(ledger, charge, next, state);
}

static whist_status charge_locked(wh_ledger *ledger, const wh_charge *charge)
{
    wh_ledger_sums next;
    wh_log_state state;
    bool paid = false;
    if (charge->taken) *charge->taken = false;
    WH_TRY(wh_store_begin(ledger->store));
    whist_status status = charge_in(ledger, charge, &next, &state, &paid);
    if (status == WHIST_OK && !paid) status = wh_store_commit(ledger->store);
    if (status != WHIST_OK || paid) {
        wh_store_rollback(ledger->store);
        return status;
    }
    ledger->sums = next;
    ledger->state = state;
    WH_TRY(note_study(ledger, charge->study, &charge->spend));
    return wh_ledger_keep_head(ledger);
}

whist_status wh_ledger_charge(wh_ledger *ledger, const wh_charge *charge, double *after)
{
    pthread_mutex_lock(&ledger->lock);
    whist_status status = charge_locked(ledger, charge);
    if (status == WHIST_OK && after)
        *after = wh_ledger_told(&ledger->sums.spend[charge->unit], charge->budget, charge->delta);
    pthread_mutex_unlock(&ledger->lock);
    return status;
}

static whist_status kept_in(wh_ledger *ledger, const char *key, uint64_t *step, wh_buf *out, bool *found)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    WH_TRY(wh_store_machine_get(ledger->store, 0, key, &value, found));
    if (!*found) WH_TRY(wh_store_get(ledger->store, key, &value, found)); /* where it was kept once */
    if (!*found) return WHIST_OK;
    wh_cursor cursor = wh_cursor_over(wh_buf_view(&value));
    WH_TRY(wh_take_u64(&cursor, step));
    return wh_buf_add(out, value.data + 8, value.len - 8);
}

whist_status wh_ledger_kept(wh_ledger *ledger, const uint8_t study[32], uint64_t *step, wh_buf *out, bool *found)
{
    char key[80];
    kept_key(key, study);
    pthread_mutex_lock(&ledger->lock);
    whist_status status = kept_in(ledger, key, step, out, found);
    pthread_mutex_unlock(&ledger->lock);
    return status;
}

static whist_status check_in(wh_ledger *ledger, const wh_charge *charge)
{
    wh_ledger_sums next;
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    char key[128];
    bool paid;
    WH_TRY(wh_ledger_catch_up(ledger));
    paid_key(key, charge);
    WH_TRY(wh_store_get(ledger->store, key, &value, &paid));
    return paid ? WHIST_OK : price(ledger, charge, &next);
}

whist_status wh_ledger_check(wh_ledger *ledger, const wh_charge *charge)
{
    pthread_mutex_lock(&ledger->lock);
    whist_status status = wh_store_begin(ledger->store);
    if (status == WHIST_OK) {
        status = check_in(ledger, charge);
        wh_store_rollback(ledger->store);
    }
    pthread_mutex_unlock(&ledger->lock);
    return status;
}

whist_status wh_ledger_spent(wh_ledger *ledger, whist_dp_unit unit, double delta, double *epsilon)
{
    pthread_mutex_lock(&ledger->lock);
    *epsilon = wh_spend_epsilon(&ledger->sums.spend[unit], delta);
    pthread_mutex_unlock(&ledger->lock);
    return WHIST_OK;
}

whist_status wh_ledger_held(wh_ledger *ledger, whist_dp_unit unit, double budget, double delta, double *epsilon)
{
    pthread_mutex_lock(&ledger->lock);
    const wh_spend *spend = &ledger->sums.spend[unit];
    *epsilon = budget > 0 ? wh_spend_filter(spend, budget, delta) : wh_spend_any_time(spend, delta);
    pthread_mutex_unlock(&ledger->lock);
    return WHIST_OK;
}

double wh_ledger_spent_by(wh_ledger *ledger, const uint8_t study[32], double delta)
{
    double epsilon = 0;
    pthread_mutex_lock(&ledger->lock);
    for (size_t i = 0; i < ledger->n_studies; i++)
        if (memcmp(ledger->studies[i].study, study, 32) == 0)
            epsilon = wh_spend_epsilon(&ledger->studies[i].spend, delta);
    pthread_mutex_unlock(&ledger->lock);
    return epsilon;
}

whist_status wh_ledger_head(wh_ledger *ledger, uint8_t head[WH_LOG_HEAD_SIZE])
{
    pthread_mutex_lock(&ledger->lock);
    whist_status status = wh_log_head_sign(head, &ledger->state, ledger->key);
    pthread_mutex_unlock(&ledger->lock);
    return status;
}
