/* run/identity_files.h: the PEM files of a participant, read and read again; the address of the coordinator as
 * configurations give it. */
#ifndef WH_RUN_IDENTITY_FILES_H
#define WH_RUN_IDENTITY_FILES_H

#include "base/buf.h"
#include "net/identity.h"

#include <whist/run.h>

typedef struct wh_identity_loaded {
    wh_identity identity; /* views into what follows */
    whist_crypt_key *key;
    wh_buf certificate, ca, crl;
    int64_t stamp; /* sum of the files' times: changes when one of them does */
} wh_identity_loaded;

WH_MUST_CHECK whist_status wh_identity_load(wh_identity_loaded *out, const whist_identity_files *files);
void wh_identity_clear(wh_identity_loaded *loaded);
WH_AUTO_CLEAR(wh_identity_loaded, wh_identity_clear)
/* The key alone, by files->key and files->passphrase_file. */
WH_MUST_CHECK whist_status wh_identity_key(whist_crypt_key **out, const whist_identity_files *files);
/* The stamp that loading now would give. */
int64_t wh_identity_stamp(const whist_identity_files *files);

/* The passphrase of the key, empty where it has none. */
WH_MUST_CHECK whist_status wh_identity_passphrase(wh_buf *out, const whist_identity_files *files);

enum { WH_COORDINATOR_ADDRESS = 300 };
/* "https://host:port" becomes "host:port". WHIST_E_ARG for anything else. */
WH_MUST_CHECK whist_status wh_coordinator_address(char out[WH_COORDINATOR_ADDRESS], const char *url);

#endif
