/* fed/store_steps.c: what the coordinator remembers of a step: its row, who answered, the messages,
 * the saved protection machines, the metrics. */
#include "fed/store_db.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- Steps ---- */

void wh_step_row_clear(wh_step_row *row)
{
    wh_free(row->cohort);
    row->cohort = NULL;
    row->n_sites = 0;
}

whist_status wh_store_step_put(wh_store *store, const wh_step_row *row)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_STEP_PUT));
    wh_stmt_u64(&stmt, 1, row->step);
    wh_stmt_u64(&stmt, 2, row->round);
    wh_stmt_u64(&stmt, 3, row->purpose);
    wh_stmt_u64(&stmt, 4, row->phase);
    wh_stmt_u64(&stmt, 5, row->state);
    wh_stmt_i64(&stmt, 6, row->opened_ms);
    wh_stmt_i64(&stmt, 7, row->deadline_ms);
    wh_stmt_blob(&stmt, 8, (whist_bytes){row->cohort, row->n_sites});
    return wh_stmt_run(&stmt, NULL);
}

static whist_status read_step(const wh_stmt *stmt, wh_step_row *out)
{
    wh_step_row row = {0};
    uint64_t purpose, phase, state;
    WH_TRY(wh_column_u64(stmt, 0, INT64_MAX, &row.step));
    WH_TRY(wh_column_u64(stmt, 1, INT64_MAX, &row.round));
    WH_TRY(wh_column_u64(stmt, 2, WHIST_PURPOSE_EVALUATE, &purpose));
    WH_TRY(wh_column_u64(stmt, 3, UINT32_MAX, &phase));
    WH_TRY(wh_column_u64(stmt, 4, WH_STEP_FAILED, &state));
    row.purpose = (whist_purpose)purpose;
    row.phase = (unsigned)phase;
    row.state = (wh_step_state)state;
    row.opened_ms = sqlite3_column_int64(stmt->stmt, 5);
    row.deadline_ms = sqlite3_column_int64(stmt->stmt, 6);
    whist_bytes cohort = wh_column_blob(stmt, 7);
    WH_TRY(WH_NEW_RAW(&row.cohort, cohort.len));
    if (cohort.len) memcpy(row.cohort, cohort.data, cohort.len);
    row.n_sites = cohort.len;
    wh_step_row_clear(out);
    *out = row;
    return WHIST_OK;
}

static whist_status step_of(wh_stmt *stmt, wh_step_row *out, bool *found)
{
    bool row;
    WH_TRY(wh_stmt_next(stmt, &row));
    if (row) WH_TRY(read_step(stmt, out));
    *found = row;
    return WHIST_OK;
}

whist_status wh_store_step_get(wh_store *store, uint64_t step, wh_step_row *out, bool *found)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_STEP_GET));
    wh_stmt_u64(&stmt, 1, step);
    return step_of(&stmt, out, found);
}

whist_status wh_store_step_last(wh_store *store, wh_step_row *out, bool *found)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_STEP_LAST));
    return step_of(&stmt, out, found);
}

/* ---- Arrivals ---- */

/* Only for the second arrival of an actor, which is rare. */
static whist_status compare_answer(wh_store *store, uint64_t step, unsigned phase, const char *actor,
                                   const wh_digest *answer, bool *same)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_ARRIVAL_GET));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_u64(&stmt, 2, phase);
    wh_stmt_text(&stmt, 3, actor);
    bool row;
    WH_TRY(wh_stmt_next(&stmt, &row));
    wh_digest known;
    if (row) WH_TRY(wh_column_digest(&stmt, 0, &known));
    *same = row && wh_digest_equal(&known, answer);
    return WHIST_OK;
}

whist_status wh_store_arrival_put(wh_store *store, uint64_t step, unsigned phase, const char *actor,
                                  const wh_digest *answer, int64_t at_ms, bool *first, bool *same)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_ARRIVAL_PUT));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_u64(&stmt, 2, phase);
    wh_stmt_text(&stmt, 3, actor);
    wh_stmt_blob(&stmt, 4, (whist_bytes){answer->bytes, sizeof answer->bytes});
    wh_stmt_i64(&stmt, 5, at_ms);
    bool inserted, equal = true;
    WH_TRY(wh_stmt_run(&stmt, &inserted));
    if (!inserted) WH_TRY(compare_answer(store, step, phase, actor, answer, &equal));
    *first = inserted;
    *same = equal;
    return WHIST_OK;
}

whist_status wh_store_arrivals(wh_store *store, uint64_t step, unsigned phase, wh_arrival_fn *fn, void *user)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_ARRIVALS));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_u64(&stmt, 2, phase);
    for (;;) {
        bool row;
        wh_digest answer;
        WH_TRY(wh_stmt_next(&stmt, &row));
        if (!row) return WHIST_OK;
        WH_TRY(wh_column_digest(&stmt, 1, &answer));
        WH_TRY(fn(user, wh_column_text(&stmt, 0), &answer));
    }
}

/* ---- Messages ---- */

whist_status wh_store_message_put(wh_store *store, uint64_t step, unsigned phase, size_t number,
                                  const whist_message *message)
{
    WH_ENSURE(message->body.len <= WHIST_MESSAGE_MAX, WHIST_E_RANGE);
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_MESSAGE_PUT));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_u64(&stmt, 2, phase);
    wh_stmt_text(&stmt, 3, message->from);
    wh_stmt_u64(&stmt, 4, number);
    wh_stmt_text(&stmt, 5, message->to);
    wh_stmt_blob(&stmt, 6, message->body);
    return wh_stmt_run(&stmt, NULL);
}

static whist_status copy_name(char out[WHIST_NAME_SIZE], const char *name)
{
    size_t len = strlen(name);
    if (len >= WHIST_NAME_SIZE) WH_FAIL(WHIST_E_FORMAT, "a stored name is longer than %d bytes", WHIST_NAME_SIZE - 1);
    memcpy(out, name, len + 1);
    return WHIST_OK;
}

whist_status wh_store_messages(wh_store *store, uint64_t step, unsigned phase, const char *to, wh_message_fn *fn,
                               void *user)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_MESSAGES));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_u64(&stmt, 2, phase);
    wh_stmt_text(&stmt, 3, to);
    for (;;) {
        bool row;
        whist_message message = {.body = {NULL, 0}};
        WH_TRY(wh_stmt_next(&stmt, &row));
        if (!row) return WHIST_OK;
        WH_TRY(copy_name(message.from, wh_column_text(&stmt, 0)));
        WH_TRY(copy_name(message.to, wh_column_text(&stmt, 1)));
        message.body = wh_column_blob(&stmt, 2);
        WH_TRY(fn(user, &message));
    }
}

/* ---- Forgetting ---- */

whist_status wh_store_forget_before(wh_store *store, uint64_t step)
{
    static const wh_sql parts[] = {WH_SQL_FORGET_ARRIVALS, WH_SQL_FORGET_MESSAGES, WH_SQL_FORGET_MACHINES,
                                   WH_SQL_FORGET_ANSWERS};
    for (size_t i = 0; i < WH_COUNT(parts); i++) {
        WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
        WH_TRY(wh_stmt_take_write(&stmt, store, parts[i]));
        wh_stmt_u64(&stmt, 1, step);
        WH_TRY(wh_stmt_run(&stmt, NULL));
    }
    return WHIST_OK;
}

/* ---- Machines ---- */

whist_status wh_store_machine_put(wh_store *store, uint64_t step, const char *actor, whist_bytes state)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_MACHINE_PUT));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_text(&stmt, 2, actor);
    wh_stmt_blob(&stmt, 3, state);
    return wh_stmt_run(&stmt, NULL);
}

whist_status wh_store_machine_get(wh_store *store, uint64_t step, const char *actor, wh_buf *out, bool *found)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_MACHINE_GET));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_text(&stmt, 2, actor);
    bool row;
    WH_TRY(wh_stmt_next(&stmt, &row));
    if (row) {
        whist_bytes state = wh_column_blob(&stmt, 0);
        WH_TRY(wh_buf_add(out, state.data, state.len));
    }
    *found = row;
    return WHIST_OK;
}

/* ---- Metrics ---- */

whist_status wh_store_metric_put(wh_store *store, uint64_t round, const char *site, whist_fold fold, const char *name,
                                 const whist_metric_value *sum)
{
    if (!isfinite(sum->num) || !isfinite(sum->den) || !isfinite(sum->n))
        WH_FAIL(WHIST_E_RANGE, "metric %s of round %" PRIu64 " is not a finite number", name, round);
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_METRIC_PUT));
    wh_stmt_u64(&stmt, 1, round);
    wh_stmt_text(&stmt, 2, site);
    wh_stmt_u64(&stmt, 3, fold);
    wh_stmt_text(&stmt, 4, name);
    wh_stmt_real(&stmt, 5, sum->num);
    wh_stmt_real(&stmt, 6, sum->den);
    wh_stmt_real(&stmt, 7, sum->n);
    return wh_stmt_run(&stmt, NULL);
}

whist_status wh_store_metrics(wh_store *store, wh_metric_fn *fn, void *user)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_METRICS));
    for (;;) {
        bool row;
        uint64_t round, fold;
        WH_TRY(wh_stmt_next(&stmt, &row));
        if (!row) return WHIST_OK;
        WH_TRY(wh_column_u64(&stmt, 0, INT64_MAX, &round));
        WH_TRY(wh_column_u64(&stmt, 2, WHIST_FOLD_TEST, &fold));
        whist_metric_value sum = {sqlite3_column_double(stmt.stmt, 4), sqlite3_column_double(stmt.stmt, 5),
                                  sqlite3_column_double(stmt.stmt, 6)};
        WH_TRY(fn(user, round, wh_column_text(&stmt, 1), (whist_fold)fold, wh_column_text(&stmt, 3), &sum));
    }
}

whist_status wh_store_metrics_end(wh_store *store, uint64_t *round, uint64_t *rows)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_METRICS_END));
    bool row;
    uint64_t last, n;
    WH_TRY(wh_stmt_next(&stmt, &row));
    WH_TRY(wh_column_u64(&stmt, 0, INT64_MAX, &last));
    WH_TRY(wh_column_u64(&stmt, 1, INT64_MAX, &n));
    *round = last;
    *rows = n;
    return WHIST_OK;
}
