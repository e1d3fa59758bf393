/* net/identity.h: what one end of a connection shows and believes. */
#ifndef WH_NET_IDENTITY_H
#define WH_NET_IDENTITY_H

#include "crypt/sign.h"
#include "crypt/x509.h"

/* Views; whoever takes an identity copies what it keeps (of the key it keeps the private half too). */
typedef struct wh_identity {
    const whist_crypt_key *key;
    whist_bytes cert_pem; /* our certificate, with the key above */
    whist_bytes ca_pem;   /* the authorities whose certificates we accept */
    whist_bytes crl_pem;  /* their revocation lists; empty: revocation is not checked */
} wh_identity;

/* Whether key, certificate and authorities belong together and our certificate would be accepted in
 * this use at this moment, with the trust it makes for the caller. WHIST_E_AUTH names what does not fit. */
WH_MUST_CHECK whist_status wh_identity_check(whist_crypt_trust **out, const wh_identity *identity,
                                             whist_crypt_usage usage);

#endif
