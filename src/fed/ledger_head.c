/* fed/ledger_head.c: the newest head of a ledger that has no peers, in a file beside it.
 *
 * A ledger that is lost, emptied or put back as an older copy looks like one that is young, and a young one has its
 * whole budget. Peers would show the newest head (ledger_peers.c); a ledger of its own has this file instead, which is
 * easily kept with the data and not with the database:
 *
 *   N:ROOT\n HEAD\n      for people, as `whist ledger verify` tells it; then the signed head (codec/log.h), both in hex
 *
 * Order: the entry is durable, then the head, then what was paid for gets out. A crash between leaves a head that is
 * behind its ledger by what nobody has seen, and the next opening brings it up; a ledger behind its head is never
 * right. Heads are written while the ledger's turn is held, so that none takes a newer one's place. */
#include "fed/ledger_state.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

#define KEY_GENESIS "ledger_genesis"

enum { HEAD_TEXT_MAX = 1024 };

static const char what_to_do[] =
    "bring back the folder from a backup made after the last answer. Without one, what was spent of these data is not "
    "known, so all of it counts as spent";

/* ---- The file ---- */

static whist_status write_head(wh_ledger *ledger, const char *path)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    uint8_t head[WH_LOG_HEAD_SIZE];
    char hex[2 * WH_LOG_HEAD_SIZE + 1], root_hex[65];
    wh_digest root;
    WH_TRY(wh_log_head_sign(head, &ledger->state, ledger->key));
    wh_merkle_root(&root, &ledger->state.tree);
    wh_digest_hex(root_hex, &root);
    wh_hex(hex, head, sizeof head);
    WH_TRY(wh_buf_text(&text, "%llu:%s\n%s\n", (unsigned long long)ledger->state.tree.n, root_hex, hex));
    return wh_file_write(path, wh_buf_view(&text), 0644);
}

static whist_status take_head(uint64_t *n, wh_digest *root, const char *text, const uint8_t id[32],
                              const uint8_t key[WH_SIGN_PUBLIC])
{
    uint8_t head[WH_LOG_HEAD_SIZE];
    char hex[2 * WH_LOG_HEAD_SIZE + 1] = "";
    const char *line = strchr(text, '\n');
    if (!line || strlen(line + 1) < sizeof hex - 1) return WHIST_E_FORMAT;
    memcpy(hex, line + 1, sizeof hex - 1);
    WH_TRY(wh_unhex(head, hex, sizeof head));
    return wh_log_head_verify(n, root, (whist_bytes){head, sizeof head}, id, key);
}

whist_status wh_ledger_head_read(uint64_t *n, wh_digest *root, const char *path, const uint8_t id[32],
                                 const uint8_t key[WH_SIGN_PUBLIC])
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    if (!wh_file_exists(path))
        WH_FAIL(WHIST_E_AUTH, "%s is missing, and with it how far the ledger had come: %s", path, what_to_do);
    WH_TRY(wh_file_read(&text, path, HEAD_TEXT_MAX));
    if (take_head(n, root, wh_buf_str(&text), id, key) != WHIST_OK)
        WH_FAIL(WHIST_E_AUTH, "%s is no head of this ledger that its key has signed: %s", path, what_to_do);
    return WHIST_OK;
}

/* ---- Against the ledger ---- */

typedef struct prefix {
    wh_merkle tree;
    uint64_t n;
} prefix;

/* Leaves are entries without the size in front of them (codec/log.h). */
static whist_status add_leaf(void *user, uint64_t seq, whist_bytes record)
{
    prefix *p = user;
    wh_cursor cursor = wh_cursor_over(record);
    uint32_t size;
    whist_bytes entry;
    wh_digest leaf;
    if (seq >= p->n) return WHIST_OK;
    WH_TRY(wh_take_u32(&cursor, &size));
    WH_TRY(wh_take_bytes(&cursor, &entry, size));
    wh_merkle_leaf(&leaf, entry);
    return wh_merkle_add(&p->tree, &leaf);
}

whist_status wh_ledger_begins_with(bool *out, wh_ledger *ledger, uint64_t n, const wh_digest *root)
{
    prefix p = {.n = n};
    wh_digest ours;
    const bool whole = n >= ledger->state.tree.n;
    if (!whole) WH_TRY(wh_store_log_each(ledger->store, 0, add_leaf, &p));
    wh_merkle_root(&ours, whole ? &ledger->state.tree : &p.tree);
    *out = n <= ledger->state.tree.n && wh_digest_equal(&ours, root);
    return WHIST_OK;
}

whist_status wh_ledger_check_there(const wh_ledger_env *env)
{
    WH_AUTO(wh_owned) path = NULL;
    uint64_t size = 0;
    WH_TRY(wh_path((char **)&path, env->dir, "whist.db"));
    if (wh_file_exists(path)) WH_TRY(wh_file_size(&size, path));
    if (size == 0)
        WH_FAIL(WHIST_E_AUTH, "%s is %s, and with it what was spent of these data: %s", (char *)path,
                wh_file_exists(path) ? "empty" : "gone", what_to_do);
    return WHIST_OK;
}

static whist_status check_genesis(wh_ledger *ledger)
{
    WH_AUTO(wh_buf) genesis = WH_BUF_EMPTY;
    uint64_t n = 1;
    wh_digest root;
    bool found;
    WH_TRY(wh_store_get(ledger->store, KEY_GENESIS, &genesis, &found));
    if (!found ||
        wh_log_head_verify(&n, &root, wh_buf_view(&genesis), ledger->state.id, ledger->state.key) != WHIST_OK || n != 0)
        WH_FAIL(WHIST_E_AUTH,
                "%s does not begin as `whist ledger new` begins it: another database was put in its "
                "place; %s",
                wh_store_dir(ledger->store), what_to_do);
    return WHIST_OK;
}

whist_status wh_ledger_check_head(wh_ledger *ledger)
{
    uint64_t n;
    wh_digest root;
    bool same;
    WH_TRY(check_genesis(ledger));
    WH_TRY(wh_ledger_head_read(&n, &root, ledger->head, ledger->state.id, ledger->state.key));
    WH_TRY(wh_ledger_begins_with(&same, ledger, n, &root));
    if (!same)
        WH_FAIL(WHIST_E_AUTH,
                "the ledger in %s has %llu entries and is not the one that %s has kept the head of (%llu entries): an "
                "older or another copy was put in its place; %s",
                wh_store_dir(ledger->store), (unsigned long long)ledger->state.tree.n, ledger->head,
                (unsigned long long)n, what_to_do);
    return n < ledger->state.tree.n ? write_head(ledger, ledger->head) : WHIST_OK;
}

whist_status wh_ledger_keep_head(wh_ledger *ledger)
{
    if (!ledger->head) return WHIST_OK;
    WH_TRY(wh_store_begin(ledger->store));
    whist_status status = wh_ledger_catch_up(ledger);
    if (status == WHIST_OK) status = write_head(ledger, ledger->head);
    wh_store_rollback(ledger->store);
    return status;
}

/* ---- Beginning ---- */

static whist_status begin_in(wh_ledger *ledger)
{
    uint8_t genesis[WH_LOG_HEAD_SIZE];
    if (ledger->state.tree.n > 0)
        WH_FAIL(WHIST_E_STATE, "%s holds a ledger already: it stays", wh_store_dir(ledger->store));
    WH_TRY(wh_log_head_sign(genesis, &ledger->state, ledger->key));
    WH_TRY(wh_store_begin(ledger->store));
    whist_status status = wh_store_set(ledger->store, KEY_GENESIS, (whist_bytes){genesis, sizeof genesis});
    if (status == WHIST_OK) return wh_store_commit(ledger->store);
    wh_store_rollback(ledger->store);
    return status;
}

whist_status wh_ledger_begin(const wh_ledger_env *env)
{
    WH_AUTO(wh_ledger_ptr) ledger = NULL;
    wh_ledger_env fresh = *env;
    WH_ENSURE(env->dir && env->head, WHIST_E_ARG);
    fresh.head = NULL;
    WH_TRY(wh_ledger_open(&ledger, &fresh));
    WH_TRY(begin_in(ledger));
    return write_head(ledger, env->head);
}
