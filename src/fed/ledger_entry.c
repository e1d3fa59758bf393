/* fed/ledger_entry.c: bodies of entries.
 *
 *   {"study": hex, "name", "step", "round", "phase", "unit", "relation", "noise", "trust", "mechanism", "sampler",
 *    "sigma", "sensitivity", "closeness", "wrap", "slack", "pure", "delta", "budget" (where nothing was planned: what
 *    the epsilons are the filter's numbers for), "epsilon_before", "epsilon_after",
 *    "bytes": hex or null, "orders": "whist-32", "rdp": [32 numbers]}
 *
 * The curve is part of the entry: what was charged stays what it was, whatever a later version would have said about
 * the same mechanism, and whoever reads the ledger needs no accountant to add it up. */
#include "fed/ledger_entry.h"

#include "codec/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char orders_name[] = "whist-32"; /* wh_spend_orders; another row gets another name */

/* ---- Sums ---- */

static whist_status check_together(const wh_ledger_sums *sums, whist_dp_unit unit, whist_dp_relation relation)
{
    if (sums->any && relation != sums->relation)
        WH_FAIL(WHIST_E_BUDGET,
                "this data set has been charged by the relation %s, which cannot be added to %s: give the study the "
                "relation %s",
                whist_dp_relation_name(sums->relation), whist_dp_relation_name(relation),
                whist_dp_relation_name(sums->relation));
    for (size_t u = 0; u < (size_t)unit; u++)
        if (sums->count[u])
            WH_FAIL(WHIST_E_BUDGET,
                    "this data set has been charged for the unit %s, and those releases promise nothing about a whole "
                    "%s: give the study the unit %s",
                    whist_dp_unit_name((whist_dp_unit)u), whist_dp_unit_name(unit),
                    whist_dp_unit_name((whist_dp_unit)u));
    return WHIST_OK;
}

whist_status wh_ledger_sums_add(wh_ledger_sums *sums, whist_dp_unit unit, whist_dp_relation relation,
                                const wh_spend *spend)
{
    WH_TRY(check_together(sums, unit, relation));
    for (size_t u = 0; u <= (size_t)unit; u++) wh_spend_add(&sums->spend[u], spend);
    sums->count[unit]++;
    sums->relation = relation;
    sums->any = true;
    return WHIST_OK;
}

/* ---- Writing ---- */

static void put_text(whist_json *json, const char *key, const char *text)
{
    whist_json_key(json, key);
    whist_json_text(json, text);
}

static void put_real(whist_json *json, const char *key, double value)
{
    whist_json_key(json, key);
    whist_json_real(json, value);
}

static void put_uint(whist_json *json, const char *key, uint64_t value)
{
    whist_json_key(json, key);
    whist_json_uint(json, value);
}

static void put_what(whist_json *json, const wh_charge *charge)
{
    char hex[65];
    wh_hex(hex, charge->study, 32);
    put_text(json, "study", hex);
    put_text(json, "name", charge->study_name);
    put_uint(json, "step", charge->step);
    put_uint(json, "round", charge->round);
    put_uint(json, "phase", charge->phase);
    put_text(json, "unit", whist_dp_unit_name(charge->unit));
    put_text(json, "relation", whist_dp_relation_name(charge->relation));
    put_text(json, "noise", whist_privacy_noise_name(charge->noise));
    bool each = charge->noise == WHIST_NOISE_CENTRAL && charge->shows_updates;
    char trust[160];
    snprintf(trust, sizeof trust, "%s%s", whist_privacy_trust(charge->noise), each ? ", and each plain update" : "");
    put_text(json, "trust", charge->trust ? charge->trust : trust);
    put_text(json, "mechanism", charge->mechanism);
    put_text(json, "sampler", charge->sampler);
}

static void put_price(whist_json *json, const wh_charge *charge, double before, double after)
{
    put_real(json, "sigma", charge->sigma);
    put_real(json, "sensitivity", charge->sensitivity);
    put_real(json, "closeness", charge->closeness);
    put_real(json, "wrap", charge->wrap);
    put_real(json, "slack", charge->spend.slack);
    put_real(json, "pure", charge->spend.pure);
    put_real(json, "delta", charge->delta);
    if (charge->budget > 0) put_real(json, "budget", charge->budget);
    put_real(json, "epsilon_before", before);
    put_real(json, "epsilon_after", after);
    put_text(json, "orders", orders_name);
    whist_json_key(json, "rdp");
    whist_json_begin_array(json);
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) whist_json_real(json, charge->spend.rdp[i]);
    whist_json_end_array(json);
}

static bool is_zero(const wh_digest *digest)
{
    static const wh_digest zero = {{0}};
    return memcmp(digest, &zero, sizeof zero) == 0;
}

whist_status wh_ledger_entry_encode(wh_buf *out, const wh_charge *charge, double before, double after)
{
    whist_json json;
    const char *text;
    char hex[65];
    wh_json_writer_init(&json, out);
    whist_json_begin_object(&json);
    put_what(&json, charge);
    put_price(&json, charge, before, after);
    wh_digest_hex(hex, &charge->bytes);
    put_text(&json, "bytes", is_zero(&charge->bytes) ? NULL : hex);
    whist_json_end_object(&json);
    return whist_json_finish(&json, &text);
}

/* ---- Reading ---- */

static whist_status get_word(int *out, const wh_json *root, const char *key, const char *(*name)(int), int n)
{
    const char *text;
    WH_TRY(wh_json_get_text(&text, root, key, "ledger"));
    for (int i = 0; i < n; i++)
        if (strcmp(text, name(i)) == 0) {
            *out = i;
            return WHIST_OK;
        }
    WH_FAIL(WHIST_E_FORMAT, "ledger: %s is '%.32s', which this version does not know", key, text);
}

static const char *unit_word(int i)
{
    return whist_dp_unit_name((whist_dp_unit)i);
}

static const char *relation_word(int i)
{
    return whist_dp_relation_name((whist_dp_relation)i);
}

static whist_status get_who(wh_ledger_entry *out, const wh_json *root)
{
    int unit, relation;
    int64_t step, phase;
    wh_digest study;
    const char *text;
    WH_TRY(wh_json_get_text(&text, root, "study", "ledger"));
    WH_TRY(wh_digest_parse(&study, text));
    memcpy(out->study, study.bytes, sizeof out->study);
    WH_TRY(wh_json_get_int(&step, root, "step", 0, INT64_MAX, "ledger"));
    WH_TRY(wh_json_get_int(&phase, root, "phase", 0, 255, "ledger"));
    WH_TRY(get_word(&unit, root, "unit", unit_word, WHIST_DP_UNITS));
    WH_TRY(get_word(&relation, root, "relation", relation_word, WHIST_DP_RELATIONS));
    out->step = (uint64_t)step;
    out->phase = (unsigned)phase;
    out->unit = (whist_dp_unit)unit;
    out->relation = (whist_dp_relation)relation;
    return WHIST_OK;
}

static whist_status get_curve(wh_spend *out, const wh_json *root)
{
    const char *orders;
    wh_json *values;
    WH_TRY(wh_json_get_text(&orders, root, "orders", "ledger"));
    if (strcmp(orders, orders_name) != 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "ledger: curves over the orders '%.32s': a newer program wrote it", orders);
    WH_TRY(wh_json_get_array(&values, root, "rdp", "ledger"));
    WH_TRY(wh_json_get_real(&out->slack, root, "slack", "ledger"));
    if (json_object_get(root, "pure")) WH_TRY(wh_json_get_real(&out->pure, root, "pure", "ledger"));
    if (json_array_size(values) != WH_SPEND_ORDERS)
        WH_FAIL(WHIST_E_FORMAT, "ledger: a curve of %zu orders", json_array_size(values));
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) {
        const wh_json *value = json_array_get(values, i);
        if (!json_is_number(value)) WH_FAIL(WHIST_E_FORMAT, "ledger: a curve holds what is no number");
        out->rdp[i] = json_number_value(value);
    }
    if (!wh_spend_is_good(out)) WH_FAIL(WHIST_E_FORMAT, "ledger: a curve that no release can have");
    return WHIST_OK;
}

static whist_status get_rest(wh_ledger_entry *out, const wh_json *root)
{
    WH_TRY(get_curve(&out->spend, root));
    WH_TRY(wh_json_get_real(&out->delta, root, "delta", "ledger"));
    if (json_object_get(root, "budget")) WH_TRY(wh_json_get_real(&out->budget, root, "budget", "ledger"));
    if (!(out->budget >= 0 && isfinite(out->budget))) WH_FAIL(WHIST_E_FORMAT, "ledger: a budget that cannot be");
    WH_TRY(wh_json_get_real(&out->before, root, "epsilon_before", "ledger"));
    WH_TRY(wh_json_get_real(&out->after, root, "epsilon_after", "ledger"));
    const wh_json *bytes = json_object_get(root, "bytes");
    if (json_is_string(bytes)) return wh_digest_parse(&out->bytes, json_string_value(bytes));
    return WHIST_OK;
}

whist_status wh_ledger_entry_decode(wh_ledger_entry *out, whist_bytes body)
{
    WH_AUTO(wh_json_ptr) root = NULL;
    wh_ledger_entry entry = {.step = 0};
    WH_TRY(wh_json_read(&root, body, WH_LOG_BODY_MAX, 4, "ledger"));
    WH_TRY(get_who(&entry, root));
    WH_TRY(get_rest(&entry, root));
    *out = entry;
    return WHIST_OK;
}

/* Written by the same sums, but logarithms may differ in their last bit from one C library to the next. */
static bool same(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (1 + fabs(b));
}

double wh_ledger_told(const wh_spend *sum, double budget, double delta)
{
    return budget > 0 ? wh_spend_filter(sum, budget, delta) : wh_spend_epsilon(sum, delta);
}

whist_status wh_ledger_entry_follow(wh_ledger_sums *sums, const wh_ledger_entry *entry)
{
    double before = wh_ledger_told(&sums->spend[entry->unit], entry->budget, entry->delta);
    if (wh_ledger_sums_add(sums, entry->unit, entry->relation, &entry->spend) != WHIST_OK)
        return wh_fail_context(WHIST_E_AUTH, "the entry should never have been charged: ");
    double after = wh_ledger_told(&sums->spend[entry->unit], entry->budget, entry->delta);
    if (!same(entry->before, before) || !same(entry->after, after))
        WH_FAIL(WHIST_E_AUTH,
                "the entry says epsilon went from %.6g to %.6g, but the entries up to it add up from %.6g to %.6g",
                entry->before, entry->after, before, after);
    return WHIST_OK;
}
