/* net/identity.c: our own key and certificate, looked at before others look at them. */
#include "net/identity.h"

#include "crypt/ct.h"

whist_status wh_identity_check(whist_crypt_trust **out, const wh_identity *identity, whist_crypt_usage usage)
{
    WH_ENSURE(identity->key && identity->cert_pem.len, WHIST_E_ARG);
    whist_crypt_trust *trust = NULL;
    WH_TRY(whist_crypt_trust_new(&trust, identity->ca_pem, identity->crl_pem));
    WH_AUTO(whist_crypt_trust_ptr) owned = trust;
    whist_crypt_peer self;
    whist_status status = whist_crypt_trust_check(&self, trust, identity->cert_pem, usage, 0);
    if (status != WHIST_OK) return wh_fail_context(status, "our own certificate: ");
    uint8_t pin[WHIST_CRYPT_PIN_SIZE];
    whist_crypt_key_pin(pin, identity->key);
    if (!wh_ct_equal(pin, self.pin, sizeof pin))
        WH_FAIL(WHIST_E_AUTH,
                "our own certificate (%s) is not for our key: name the key that its request was made with", self.name);
    *out = trust;
    owned = NULL;
    return WHIST_OK;
}
