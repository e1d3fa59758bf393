/* cli/pem.h: files of identities: reading, showing, naming. */
#ifndef CLI_PEM_H
#define CLI_PEM_H

#include "cli/file.h"
#include "cli/term.h"

#include <whist/crypt.h>

CLI_ENDER(cli_key_end, whist_crypt_key, whist_crypt_key_free)
CLI_ENDER(cli_crypt_text_end, char, whist_crypt_text_free)

/* Names of the files of an authority, in its folder. */
#define CLI_CA_KEY "ca.key.pem"
#define CLI_CA_CERT "ca.pem"
#define CLI_CA_CRL "crl.pem"

/* The authority in a folder: key, certificate, revocation list. Ended by cli_authority_clear. */
typedef struct cli_authority {
    char folder[CLI_PATH];
    whist_crypt_key *key;
    cli_blob certificate, crl;
} cli_authority;
int cli_authority_open(cli_authority *out, const char *folder, const char *passphrase_file);
void cli_authority_clear(cli_authority *authority);

/* Makes one: key (encrypted where there is a passphrase file), certificate, empty revocation list. */
int cli_authority_make(const char *folder, const char *name, unsigned days, const char *passphrase_file);

int cli_key_open(whist_crypt_key **out, const char *path, const char *passphrase_file);
/* Writes a certificate or request, also over an older one, but never over anything else. */
int cli_write_pem(const char *path, const char *text);

/* "2026-11-21" */
const char *cli_date(char out[16], int64_t unix_seconds);
/* Name, role, pin, end of a certificate, as rows of text or into an open JSON object. */
void cli_peer_print(const whist_crypt_peer *peer);
void cli_peer_json(whist_json *json, const whist_crypt_peer *peer);
/* Prints either, by --json, after an optional line "file". */
int cli_peer_show(const cli_args *args, const char *file, whist_bytes certificate);
/* A pin from a certificate, a request or a private key (which may need the passphrase file). */
int cli_pin_of_file(uint8_t out[32], const char *path, const char *passphrase_file);

#endif
