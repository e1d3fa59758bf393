/* tests/fuzz/x509.c: certificates, requests and revocation lists from outside.
 *
 * The input is PEM, or DER where it does not begin with '-'. Beside not crashing it must hold that
 * nothing but the one certificate signed by the authority below is let in: its private key was
 * thrown away when the seeds were made. */
#include "crypt/x509.h"

#include <openssl/err.h>
#include <string.h>

enum { NOW = 1795248000 }; /* 2026-11-21T08:00:00Z, inside the life of the seeds */

static const char authority[] = "-----BEGIN CERTIFICATE-----\n"
                                "MIIBeTCCASugAwIBAgIRAMA/MFI8MKPiGQN+S3XzsFIwBQYDK2VwMCkxDTALBgNV\n"
                                "BAMMBGZ1enoxGDAWBgNVBAsMD3doaXN0IGF1dGhvcml0eTAgFw0yNjExMjEwNzAw\n"
                                "MDBaGA8yMTI2MTAyODA4MDAwMFowKTENMAsGA1UEAwwEZnV6ejEYMBYGA1UECwwP\n"
                                "d2hpc3QgYXV0aG9yaXR5MCowBQYDK2VwAyEA2gaqoQUGOgPEIywJtLDo1ei0Ifcc\n"
                                "feouFW+bt2vn/FGjZjBkMBIGA1UdEwEB/wQIMAYBAf8CAQAwDgYDVR0PAQH/BAQD\n"
                                "AgEGMB0GA1UdDgQWBBST+1a6BBG7t05QYqIK0zMeJODwJzAfBgNVHSMEGDAWgBST\n"
                                "+1a6BBG7t05QYqIK0zMeJODwJzAFBgMrZXADQQC9GKW3ngWw131f5P81EKIfoPTs\n"
                                "XPZKcjGZRWFT8EyFCNM+qFXD7jYKPjvlKppQhFqIobLORuOJ7DsS+X29iJIK\n"
                                "-----END CERTIFICATE-----\n";
static const char list[] = "-----BEGIN X509 CRL-----\n"
                           "MIH3MIGqAgEBMAUGAytlcDApMQ0wCwYDVQQDDARmdXp6MRgwFgYDVQQLDA93aGlz\n"
                           "dCBhdXRob3JpdHkXDTI2MTEyMTA3MDAwMFoXDTM2MTExODA4MDAwMFowJDAiAhEA\n"
                           "4BYx0cdY5dMExhO3uYqlgRcNMjYxMTIxMDgwMDAwWqAvMC0wHwYDVR0jBBgwFoAU\n"
                           "k/tWugQRu7dOUGKiCtMzHiTg8CcwCgYDVR0UBAMCAQEwBQYDK2VwA0EA8bpHE3Rn\n"
                           "C5DoLFvNdmlu+U4ffWN7A+IwznU31dzU7fLi0PMIEj/yhp7y/TbpZ22mOWHPje+T\n"
                           "BkfXvkDJiWneBQ==\n"
                           "-----END X509 CRL-----\n";

static whist_bytes view(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, strlen(text)};
}

static void verify(const whist_crypt_trust *trust, whist_bytes der)
{
    whist_crypt_peer peer;
    if (wh_x509_verify_peer(&peer, &der, 1, trust, WHIST_CRYPT_AS_CLIENT, NOW) == WHIST_OK)
        if (peer.role != WHIST_CRYPT_SITE || strcmp(peer.name, "north") != 0) __builtin_trap();
    if (wh_x509_verify_peer(&peer, &der, 1, trust, WHIST_CRYPT_AS_SERVER, NOW) == WHIST_OK)
        if (peer.role != WHIST_CRYPT_COORDINATOR || strcmp(peer.name, "hub") != 0) __builtin_trap();
}

static void read_pem(const whist_crypt_trust *trust, whist_bytes pem)
{
    WH_AUTO(wh_buf) der = WH_BUF_EMPTY;
    WH_AUTO(whist_crypt_trust_ptr) own = NULL;
    WH_AUTO(whist_crypt_trust_ptr) listed = NULL;
    whist_crypt_peer peer;
    whist_crypt_request request;
    if (wh_x509_pem_to_der(&der, pem) == WHIST_OK) verify(trust, wh_buf_view(&der));
    if (whist_crypt_cert_read(&peer, pem) == WHIST_OK && strlen(peer.name) > WHIST_CRYPT_NAME_MAX) __builtin_trap();
    if (whist_crypt_csr_read(&request, pem) == WHIST_OK && request.n_hosts > WHIST_CRYPT_HOSTS_MAX) __builtin_trap();
    /* as an authority of its own, and as a list for ours */
    if (whist_crypt_trust_new(&own, pem, (whist_bytes){NULL, 0}) == WHIST_OK) verify(own, wh_buf_view(&der));
    if (whist_crypt_trust_new(&listed, view(authority), pem) == WHIST_OK && whist_crypt_trust_crl_ends(listed) == 0)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WH_AUTO(whist_crypt_trust_ptr) trust = NULL;
    if (whist_crypt_trust_new(&trust, view(authority), view(list)) != WHIST_OK) __builtin_trap();
    whist_bytes input = {data, size};
    if (size > 0 && data[0] == '-')
        read_pem(trust, input);
    else
        verify(trust, input);
    if (ERR_peek_error()) __builtin_trap(); /* it would be taken for a failure of the next TLS call */
    return 0;
}
