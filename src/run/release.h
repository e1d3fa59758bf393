/* run/release.h: the log of what a site let out, and who allowed it.
 *
 * One signed, hash-chained log (codec/log.h) for each study, kept in the study's store. An entry is written in
 * the transaction that keeps the answer, before its first byte leaves. */
#ifndef WH_RUN_RELEASE_H
#define WH_RUN_RELEASE_H

#include "codec/log.h"
#include "fed/link.h"
#include "fed/store.h"

#include <whist/run.h>

/* How far the log has come is read from the store for every entry, so a transaction that rolls back takes its
 * entry with it, whether or not anybody tells this object. */
typedef struct wh_release {
    wh_store *store;
    whist_crypt_key *key; /* a copy: certificates are read again while a run goes on */
    wh_log_state empty;   /* the log before its first entry: id and key */
    const whist_fed_plan *plan;
    const char *site; /* name of the site or party in the study */
} wh_release;

/* Goes on with the log in the store, or begins it. WHIST_E_AUTH where it was begun with another key, or where the
 * study names another key for this site. run and plan outlive *out, which wh_release_clear ends; the key need not. */
WH_MUST_CHECK whist_status wh_release_init(wh_release *out, wh_store *store, const whist_site_run *run,
                                           const whist_crypt_key *key);
void wh_release_clear(wh_release *release);
WH_AUTO_CLEAR(wh_release, wh_release_clear)
/* A wh_release_fn (node.h); user is a wh_release. Inside the caller's transaction. */
whist_status wh_release_note(void *user, const wh_task *task, const wh_manifest *upload, size_t n_messages);
/* Who approved the study, from the store. */
WH_MUST_CHECK whist_status wh_release_approval(wh_store *store, char person[128], bool *approved);

#endif
