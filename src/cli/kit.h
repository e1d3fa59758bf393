/* cli/kit.h: a start-up kit: what a new site needs to trust a federation, in one file signed by the authority.
 *
 *     whist-kit 1
 *     coordinator https://host:port
 *     key sha256:…                       pin of the coordinator
 *     study 2301                         bytes of each part that follows the empty line
 *     ca 811
 *     crl 500
 *
 *     STUDY CA CRL
 *     signature 128 hex digits           Ed25519, context "whist/kit/1", over all bytes before this line
 */
#ifndef CLI_KIT_H
#define CLI_KIT_H

#include "cli/file.h"

enum { CLI_KIT_MAX = 4 << 20 };

typedef struct cli_kit {
    char coordinator[256];
    uint8_t key[32];
    whist_bytes study, ca, crl; /* views into the text */
    whist_bytes signed_part;
    uint8_t signature[64];
} cli_kit;

/* Reads the form; believes nothing. NULL, or what is wrong with it. */
const char *cli_kit_read(cli_kit *out, whist_bytes text);

#endif
