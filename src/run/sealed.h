/* run/sealed.h: what sealing and opening have in common. */
#ifndef WH_RUN_SEALED_H
#define WH_RUN_SEALED_H

#include "crypt/random.h"
#include "crypt/x509.h"
#include "run/identity_files.h"
#include "run/seal_text.h"

#include <whist/run.h>

#define WH_SEAL_KEY "recipient.pem" /* in a site's state folder */
#define WH_SEAL_NOTICE_CONTEXT "whist/recipient/1"
#define WH_SEALED_CONTEXT "whist/sealed/1"

int64_t wh_seal_now(void); /* seconds since 1970 */
/* The site's own X25519 key. WHIST_E_STATE where it has none yet. */
WH_MUST_CHECK whist_status wh_seal_key(wh_box_key **out, const whist_identity_files *identity, const char *state);
/* Who we are: a certificate in force of that role, and its key. */
WH_MUST_CHECK whist_status wh_seal_self(whist_crypt_peer *out, const wh_identity_loaded *own, whist_crypt_role role,
                                        const char *certificate);
whist_sealed_info wh_sealed_info_of(const wh_sealed_head *head);

#endif
