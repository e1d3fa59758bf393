/* fed/ledger_peers.c: heads that travel, so that an older copy of a ledger shows.
 *
 * Each side of a connection sends a note: its own head, signed, and the receiver's head as it was kept last time. The
 * receiver checks both against what it has:
 *
 *   the sender's head    not shorter than the one that was kept of it, and not another one of the same length
 *   its own head         not longer than its own ledger, and the root of that many of its own first entries: it
 *                        carries the receiver's own signature, so whoever shows it need not be trusted
 *
 * A peer's head is kept in the ledger's store as "peer PIN ID". Which data set it is about is its id's affair. Whoever
 * is asked answers with the head as it was kept before the new one takes its place, so that a copy that was put back
 * and has grown since is still shown what it lacks; from then on it refuses itself ("refuted"). */
#include "fed/ledger_state.h"

#include "crypt/x509.h"

#include <stdio.h>
#include <string.h>

static const char countersign_context[] = "whist ledger countersign v1";

/* Where the parts of a head lie (codec/log.h). */
enum { HEAD_ID = 8, HEAD_N = 40 };

static uint64_t head_n(const uint8_t head[WH_LOG_HEAD_SIZE])
{
    uint64_t n;
    memcpy(&n, head + HEAD_N, sizeof n);
    return n;
}

/* ---- As bytes: key | head | has_kept (1) | kept | countersignature ---- */

whist_status wh_ledger_note_encode(wh_buf *out, const wh_ledger_note *note)
{
    uint8_t flag = note->has_kept;
    WH_TRY(wh_buf_add(out, note->key, sizeof note->key));
    WH_TRY(wh_buf_add(out, note->head, sizeof note->head));
    WH_TRY(wh_buf_add(out, &flag, 1));
    if (!note->has_kept) return WHIST_OK;
    WH_TRY(wh_buf_add(out, note->kept, sizeof note->kept));
    return wh_buf_add(out, note->countersignature, sizeof note->countersignature);
}

static whist_status take(wh_cursor *c, uint8_t *out, size_t len)
{
    whist_bytes bytes;
    WH_TRY(wh_take_bytes(c, &bytes, len));
    memcpy(out, bytes.data, len);
    return WHIST_OK;
}

whist_status wh_ledger_note_decode(wh_ledger_note *out, whist_bytes bytes)
{
    wh_ledger_note note = {.has_kept = false};
    wh_cursor c = wh_cursor_over(bytes);
    uint8_t flag;
    WH_TRY(take(&c, note.key, sizeof note.key));
    WH_TRY(take(&c, note.head, sizeof note.head));
    WH_TRY(take(&c, &flag, 1));
    if (flag > 1) WH_FAIL(WHIST_E_FORMAT, "these bytes are no note about a ledger");
    note.has_kept = flag == 1;
    if (note.has_kept) {
        WH_TRY(take(&c, note.kept, sizeof note.kept));
        WH_TRY(take(&c, note.countersignature, sizeof note.countersignature));
    }
    if (wh_cursor_left(&c)) WH_FAIL(WHIST_E_FORMAT, "there are bytes behind a note about a ledger");
    *out = note;
    return WHIST_OK;
}

bool wh_ledger_same_log(const uint8_t a[WH_LOG_HEAD_SIZE], const uint8_t b[WH_LOG_HEAD_SIZE])
{
    return memcmp(a + HEAD_ID, b + HEAD_ID, 32) == 0;
}

/* ---- Making ---- */

/* The newest head of the peer; it has one ledger for a data set that we share, so one is kept. */
static void peer_key(char out[80], const uint8_t pin[32])
{
    char hex[65];
    wh_hex(hex, pin, 32);
    snprintf(out, 80, "peer %s", hex);
}

static whist_status kept_head(wh_ledger *ledger, const uint8_t pin[32], uint8_t out[WH_LOG_HEAD_SIZE], bool *found)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    char key[80];
    peer_key(key, pin);
    WH_TRY(wh_store_get(ledger->store, key, &value, found));
    if (!*found) return WHIST_OK;
    if (value.len < WH_LOG_HEAD_SIZE) WH_FAIL(WHIST_E_FORMAT, "the ledger's store holds a damaged head of a peer");
    memcpy(out, value.data, WH_LOG_HEAD_SIZE);
    return WHIST_OK;
}

static whist_status make_note(wh_ledger *ledger, wh_ledger_note *out, const uint8_t pin[32])
{
    *out = (wh_ledger_note){.has_kept = false};
    memcpy(out->key, ledger->key->public_key, sizeof out->key);
    WH_TRY(wh_log_head_sign(out->head, &ledger->state, ledger->key));
    WH_TRY(kept_head(ledger, pin, out->kept, &out->has_kept));
    if (!out->has_kept) return WHIST_OK;
    return wh_sign(out->countersignature, ledger->key, countersign_context, (whist_bytes){out->kept, WH_LOG_HEAD_SIZE});
}

whist_status wh_ledger_note_make(wh_ledger *ledger, wh_ledger_note *out, const uint8_t pin[32])
{
    pthread_mutex_lock(&ledger->lock);
    whist_status status = make_note(ledger, out, pin);
    pthread_mutex_unlock(&ledger->lock);
    return status;
}

/* ---- Taking ---- */

static whist_status check_key(const wh_ledger_note *note, const uint8_t pin[32], const char *peer)
{
    wh_digest found;
    wh_x509_pin_of_key(&found, note->key);
    if (memcmp(found.bytes, pin, 32) != 0)
        WH_FAIL(WHIST_E_AUTH, "the ledger of %s is signed by another key than its certificate names", peer);
    return WHIST_OK;
}

/* The peer's own head, against what was kept of it. */
static whist_status check_theirs(wh_ledger *ledger, const wh_ledger_note *note, const uint8_t pin[32], const char *peer)
{
    uint8_t kept[WH_LOG_HEAD_SIZE];
    uint64_t n;
    wh_digest root;
    bool found;
    whist_status status =
        wh_log_head_verify(&n, &root, (whist_bytes){note->head, sizeof note->head}, note->head + HEAD_ID, note->key);
    if (status != WHIST_OK) return wh_fail_context(status, "the ledger of %s: ", peer);
    WH_TRY(kept_head(ledger, pin, kept, &found));
    if (!found) return WHIST_OK;
    if (!wh_ledger_same_log(kept, note->head))
        WH_FAIL(WHIST_E_AUTH,
                "%s shows another ledger than before: the one of another data set, or one that began anew", peer);
    if (n < head_n(kept))
        WH_FAIL(
            WHIST_E_AUTH,
            "the ledger of %s has %llu entries, but %llu of them were seen here: an older copy was put in its place",
            peer, (unsigned long long)n, (unsigned long long)head_n(kept));
    if (n == head_n(kept) && memcmp(kept + HEAD_N, note->head + HEAD_N, 8 + 32) != 0)
        WH_FAIL(WHIST_E_AUTH, "the ledger of %s has as many entries as before, but other ones", peer);
    return WHIST_OK;
}

/* Our own head, as the peer has kept it. */
static whist_status check_ours(wh_ledger *ledger, const wh_ledger_note *note, const char *peer)
{
    uint64_t n;
    wh_digest root;
    bool same;
    whist_status status = wh_log_head_verify(&n, &root, (whist_bytes){note->kept, sizeof note->kept}, ledger->state.id,
                                             ledger->state.key);
    /* Not our signature, or about another of our ledgers: it proves nothing here. */
    if (status == WHIST_E_AUTH) return WHIST_OK;
    WH_TRY(status);
    if (n > ledger->state.tree.n)
        WH_FAIL(
            WHIST_E_AUTH,
            "the privacy ledger here has %llu entries, but %s holds our own signature under %llu: an older copy was "
            "put in its place. Bring back the newest one; nothing is released before",
            (unsigned long long)ledger->state.tree.n, peer, (unsigned long long)n);
    WH_TRY(wh_ledger_begins_with(&same, ledger, n, &root));
    if (!same)
        WH_FAIL(WHIST_E_AUTH,
                "the privacy ledger here does not begin with the %llu entries that %s holds our own signature under: "
                "another one was put in its place. Bring back the right one; nothing is released before",
                (unsigned long long)n, peer);
    return WHIST_OK;
}

/* head | our head that the peer countersigned, and its signature (where it had one) */
static whist_status keep(wh_ledger *ledger, const wh_ledger_note *note, const uint8_t pin[32])
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    char key[80];
    peer_key(key, pin);
    WH_TRY(wh_buf_add(&value, note->head, sizeof note->head));
    WH_TRY(wh_buf_add(&value, note->key, sizeof note->key));
    if (note->has_kept) {
        WH_TRY(wh_buf_add(&value, note->kept, sizeof note->kept));
        WH_TRY(wh_buf_add(&value, note->countersignature, sizeof note->countersignature));
    }
    return wh_store_set(ledger->store, key, wh_buf_view(&value));
}

static whist_status take_note(wh_ledger *ledger, const wh_ledger_note *note, const uint8_t pin[32], const char *peer,
                              bool *ours)
{
    WH_TRY(check_key(note, pin, peer));
    WH_TRY(wh_ledger_catch_up(ledger));
    if (note->has_kept) {
        WH_TRY(wh_sign_verify(note->key, countersign_context, (whist_bytes){note->kept, WH_LOG_HEAD_SIZE},
                              note->countersignature));
        *ours = true;
        WH_TRY(check_ours(ledger, note, peer));
        *ours = false;
    }
    WH_TRY(check_theirs(ledger, note, pin, peer));
    return keep(ledger, note, pin);
}

/* So that no growth of this copy makes it good, and no restart. The failure is the caller's already. */
static void remember_refuted(wh_ledger *ledger, const wh_ledger_note *note)
{
    whist_detail why = *whist_detail_get();
    whist_status status = wh_store_begin(ledger->store);
    if (status == WHIST_OK) {
        status = wh_store_set(ledger->store, WH_LEDGER_REFUTED, (whist_bytes){note->kept, sizeof note->kept});
        if (status == WHIST_OK) status = wh_store_commit(ledger->store);
        if (status != WHIST_OK) wh_store_rollback(ledger->store);
    }
    wh_detail_put(&why);
}

whist_status wh_ledger_note_take(wh_ledger *ledger, const wh_ledger_note *note, const uint8_t pin[32], const char *peer,
                                 bool *ours)
{
    *ours = false;
    pthread_mutex_lock(&ledger->lock);
    whist_status status = wh_store_begin(ledger->store);
    if (status == WHIST_OK) {
        status = take_note(ledger, note, pin, peer, ours);
        if (status == WHIST_OK) status = wh_store_commit(ledger->store);
        if (status != WHIST_OK) wh_store_rollback(ledger->store);
    }
    if (status == WHIST_E_AUTH && *ours) remember_refuted(ledger, note);
    pthread_mutex_unlock(&ledger->lock);
    return status;
}
