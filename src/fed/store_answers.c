/* fed/store_answers.c: what a site or party remembers: its answers, made once, and the release log. */
#include "fed/store_db.h"

/* ---- Answers ---- */

whist_status wh_store_answer_put(wh_store *store, const wh_answer_row *row, const wh_manifest *manifest,
                                 whist_bytes messages)
{
    WH_ENSURE(!row->has_upload || manifest, WHIST_E_ARG);
    WH_AUTO(wh_buf) encoded = WH_BUF_EMPTY;
    if (row->has_upload) WH_TRY(wh_manifest_encode(&encoded, manifest));
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_ANSWER_PUT));
    wh_stmt_u64(&stmt, 1, row->step);
    wh_stmt_u64(&stmt, 2, row->phase);
    wh_stmt_u64(&stmt, 3, row->sent);
    wh_stmt_u64(&stmt, 4, row->has_upload);
    if (row->has_upload)
        wh_stmt_blob(&stmt, 5, wh_buf_view(&encoded));
    else
        wh_stmt_null(&stmt, 5);
    wh_stmt_blob(&stmt, 6, messages);
    whist_status status = wh_stmt_run(&stmt, NULL);
    if (status == WHIST_E_STATE) return wh_fail_context(status, "the answer of this phase was made before: ");
    return status;
}

static whist_status read_answer(const wh_stmt *stmt, wh_answer_row *row, wh_manifest *manifest, wh_buf *messages)
{
    uint64_t sent, has_upload;
    WH_TRY(wh_column_u64(stmt, 0, 1, &sent));
    WH_TRY(wh_column_u64(stmt, 1, 1, &has_upload));
    row->sent = sent == 1;
    row->has_upload = has_upload == 1;
    WH_AUTO(wh_manifest) decoded = WH_MANIFEST_EMPTY;
    if (row->has_upload && manifest) WH_TRY(wh_manifest_decode(&decoded, wh_column_blob(stmt, 2)));
    whist_bytes bytes = wh_column_blob(stmt, 3);
    if (messages) WH_TRY(wh_buf_add(messages, bytes.data, bytes.len));
    if (manifest) {
        wh_manifest_clear(manifest);
        *manifest = decoded;
        decoded = (wh_manifest)WH_MANIFEST_EMPTY;
    }
    return WHIST_OK;
}

whist_status wh_store_answer_get(wh_store *store, uint64_t step, unsigned phase, wh_answer_row *out,
                                 wh_manifest *manifest, wh_buf *messages, bool *found)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_ANSWER_GET));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_u64(&stmt, 2, phase);
    bool row;
    WH_TRY(wh_stmt_next(&stmt, &row));
    wh_answer_row answer = {.step = step, .phase = phase};
    if (row) {
        WH_TRY(read_answer(&stmt, &answer, manifest, messages));
        *out = answer;
    }
    *found = row;
    return WHIST_OK;
}

whist_status wh_store_answer_sent(wh_store *store, uint64_t step, unsigned phase)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_ANSWER_SENT));
    wh_stmt_u64(&stmt, 1, step);
    wh_stmt_u64(&stmt, 2, phase);
    bool known;
    WH_TRY(wh_stmt_run(&stmt, &known));
    if (!known) WH_FAIL(WHIST_E_STATE, "no answer of this step and phase to mark as sent");
    return WHIST_OK;
}

/* ---- The release log ---- */

whist_status wh_store_log_put(wh_store *store, uint64_t seq, whist_bytes record)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take_write(&stmt, store, WH_SQL_LOG_PUT));
    wh_stmt_u64(&stmt, 1, seq);
    wh_stmt_blob(&stmt, 2, record);
    whist_status status = wh_stmt_run(&stmt, NULL);
    if (status == WHIST_E_STATE) return wh_fail_context(status, "the log has a record of this number: ");
    return status;
}

whist_status wh_store_log_each(wh_store *store, uint64_t from_seq, wh_record_fn *fn, void *user)
{
    WH_AUTO(wh_stmt) stmt = WH_STMT_EMPTY;
    WH_TRY(wh_stmt_take(&stmt, store, WH_SQL_LOG_EACH));
    wh_stmt_u64(&stmt, 1, from_seq);
    for (;;) {
        bool row;
        uint64_t seq;
        WH_TRY(wh_stmt_next(&stmt, &row));
        if (!row) return WHIST_OK;
        WH_TRY(wh_column_u64(&stmt, 0, INT64_MAX, &seq));
        WH_TRY(fn(user, seq, wh_column_blob(&stmt, 1)));
    }
}
