/* crypt/x509_name.c: names, roles, rights and hosts, and how they stand in a certificate.
 *
 * The authority writes who somebody is into one URI of the subjectAltName, where every tool shows
 * it and no free text of a request can reach:
 *
 *   whist:ROLE/NAME              whist:site/charite
 *   whist:operator/NAME?may=R    whist:operator/ann?may=read,start
 *
 * The common name repeats NAME for people. */
#include "crypt/x509_parts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const role_names[] = {"site", "coordinator", "operator", "party"};
static const char *const right_names[] = {"read", "start", "stop"}; /* bit i */

const char *whist_crypt_role_name(whist_crypt_role role)
{
    return (size_t)role < WH_COUNT(role_names) ? role_names[role] : "unknown";
}

static bool find_word(size_t *out, const char *const *words, size_t n, const char *text, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(words[i]) != len || memcmp(words[i], text, len) != 0) continue;
        *out = i;
        return true;
    }
    return false;
}

whist_status whist_crypt_role_parse(whist_crypt_role *out, const char *text)
{
    WH_ENSURE(out && text, WHIST_E_ARG);
    size_t i;
    if (!find_word(&i, role_names, WH_COUNT(role_names), text, strlen(text)))
        WH_FAIL(WHIST_E_ARG, "'%.40s' is no role: use site, coordinator, operator or party", text);
    *out = (whist_crypt_role)i;
    return WHIST_OK;
}

static whist_status parse_rights(unsigned *out, const char *text, size_t len)
{
    unsigned rights = 0;
    const char *end = text + len;
    for (const char *at = text; at <= end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t word = (size_t)((comma ? comma : end) - at), i;
        if (!find_word(&i, right_names, WH_COUNT(right_names), at, word) || rights & 1u << i)
            WH_FAIL(WHIST_E_ARG, "rights are read, start and stop, each at most once: \"read,start\"");
        rights |= 1u << i;
        at += word + 1;
    }
    *out = rights;
    return WHIST_OK;
}

whist_status whist_crypt_rights_parse(unsigned *out, const char *text)
{
    WH_ENSURE(out && text, WHIST_E_ARG);
    return parse_rights(out, text, strlen(text));
}

static bool is_name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *text, size_t len)
{
    if (len == 0 || len > WHIST_CRYPT_NAME_MAX) return false;
    if (!is_name_letter(text[0]) || !is_name_letter(text[len - 1])) return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name_letter(text[i]) && text[i] != '-') return false;
    return true;
}

whist_status whist_crypt_name_check(const char *name)
{
    WH_ENSURE(name, WHIST_E_ARG);
    if (!is_name(name, strlen(name)))
        WH_FAIL(WHIST_E_ARG, "a name has 1 to %d of a-z, 0-9 and '-', with a letter or digit first and last",
                WHIST_CRYPT_NAME_MAX);
    return WHIST_OK;
}

whist_status wh_x509_common_name(char out[WHIST_CRYPT_NAME_MAX + 1], const X509_NAME *subject)
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        WH_FAIL(WHIST_E_FORMAT, "a subject must have exactly one common name");
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    const char *text = (const char *)ASN1_STRING_get0_data(value);
    size_t len = (size_t)ASN1_STRING_length(value);
    if (!is_name(text, len))
        WH_FAIL(WHIST_E_FORMAT, "the common name breaks the rules for names (1 to %d of a-z, 0-9, '-')",
                WHIST_CRYPT_NAME_MAX);
    memcpy(out, text, len);
    out[len] = 0;
    return WHIST_OK;
}

/* ---- The identity URI ---- */

static whist_status add_entry(GENERAL_NAMES *names, int type, const void *bytes, size_t len)
{
    WH_AUTO(GENERAL_NAME_ptr) entry = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!entry || !value || ASN1_STRING_set(value, bytes, (int)len) != 1) {
        ASN1_STRING_free(value);
        WH_OSSL_FAIL(WHIST_E_NOMEM, "no memory for a name in a certificate");
    }
    GENERAL_NAME_set0_value(entry, type, value);
    WH_OSSL_ENSURE(sk_GENERAL_NAME_push(names, entry) > 0, WHIST_E_NOMEM, "no memory for a name in a certificate");
    entry = NULL;
    return WHIST_OK;
}

whist_status wh_x509_identity_add(GENERAL_NAMES *names, whist_crypt_role role, const char *name, unsigned rights)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(wh_buf_text(&text, "whist:%s/%s", whist_crypt_role_name(role), name));
    const char *before = "?may=";
    for (size_t i = 0; i < WH_COUNT(right_names); i++) {
        if (!(rights & 1u << i)) continue;
        WH_TRY(wh_buf_text(&text, "%s%s", before, right_names[i]));
        before = ",";
    }
    return add_entry(names, GEN_URI, text.data, text.len);
}

whist_status wh_x509_identity_parse(whist_crypt_role *role, char name[WHIST_CRYPT_NAME_MAX + 1], unsigned *rights,
                                    const char *text, size_t len)
{
    static const char scheme[] = "whist:", may[] = "?may=";
    const char *end = text + len;
    size_t i, scheme_len = sizeof scheme - 1, may_len = sizeof may - 1;
    if (len < scheme_len || memcmp(text, scheme, scheme_len) != 0)
        WH_FAIL(WHIST_E_FORMAT, "the certificate carries a URI that is no whist: identity");
    const char *word = text + scheme_len, *slash = memchr(word, '/', (size_t)(end - word));
    if (!slash || !find_word(&i, role_names, WH_COUNT(role_names), word, (size_t)(slash - word)))
        WH_FAIL(WHIST_E_FORMAT, "the certificate names an unknown role");
    const char *from = slash + 1, *query = memchr(from, '?', (size_t)(end - from));
    size_t name_len = (size_t)((query ? query : end) - from);
    if (!is_name(from, name_len)) WH_FAIL(WHIST_E_FORMAT, "the certificate's identity breaks the rules for names");
    unsigned bits = 0;
    if (query) {
        if ((size_t)(end - query) <= may_len || memcmp(query, may, may_len) != 0 ||
            parse_rights(&bits, query + may_len, (size_t)(end - query) - may_len) != WHIST_OK)
            WH_FAIL(WHIST_E_FORMAT, "the certificate names unknown rights");
    }
    if ((i == WHIST_CRYPT_OPERATOR) != (bits != 0))
        WH_FAIL(WHIST_E_FORMAT, "the certificate's rights do not fit its role: operators have some, others none");
    *role = (whist_crypt_role)i;
    memcpy(name, from, name_len);
    name[name_len] = 0;
    *rights = bits;
    return WHIST_OK;
}

/* ---- Hosts ---- */

/* 4 or 16 bytes of an address, 0 when the text is none. */
static size_t address_of(uint8_t out[16], const char *text)
{
    if (inet_pton(AF_INET, text, out) == 1) return 4;
    if (inet_pton(AF_INET6, text, out) == 1) return 16;
    return 0;
}

static bool is_dns_name(const char *text, size_t len)
{
    if (len == 0 || len > 253) return false;
    size_t label = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '.' && (label == 0 || text[i - 1] == '-')) return false;
        if (c != '.' && c != '-' && !isalnum((unsigned char)c)) return false;
        if (c == '-' && label == 0) return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63) return false;
    }
    return label > 0 && text[len - 1] != '-';
}

whist_status wh_x509_host_check(const char *host)
{
    static const uint8_t any[16];
    uint8_t address[16];
    size_t len = address_of(address, host);
    if (len > 0 && memcmp(address, any, len) == 0)
        WH_FAIL(WHIST_E_ARG,
                "%s means 'every interface' to a server and nothing to a client: give the name or address "
                "under which it is reached",
                host);
    if (len == 0 && !is_dns_name(host, strlen(host)))
        WH_FAIL(WHIST_E_ARG, "'%.80s' is no DNS name and no address (write IPv6 without brackets)", host);
    return WHIST_OK;
}

whist_status wh_x509_host_add(GENERAL_NAMES *names, const char *host)
{
    uint8_t address[16];
    size_t len = address_of(address, host);
    return len > 0 ? add_entry(names, GEN_IPADD, address, len) : add_entry(names, GEN_DNS, host, strlen(host));
}

whist_status wh_x509_host_read(char out[256], const GENERAL_NAME *name)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_DNS && type != GEN_IPADD)
        WH_FAIL(WHIST_E_FORMAT, "only DNS names and addresses may be asked for in a request");
    const uint8_t *bytes = ASN1_STRING_get0_data(value);
    size_t len = (size_t)ASN1_STRING_length(value);
    if (type == GEN_DNS) {
        if (!is_dns_name((const char *)bytes, len)) WH_FAIL(WHIST_E_FORMAT, "a host in the request is no DNS name");
        memcpy(out, bytes, len);
        out[len] = 0;
        return WHIST_OK;
    }
    if ((len != 4 && len != 16) || !inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, out, 256))
        WH_FAIL(WHIST_E_FORMAT, "an address in the request has neither 4 nor 16 bytes");
    return WHIST_OK;
}
