/* run/seal_text.h: the two texts of sealed delivery. Reading them believes nothing but the form.
 *
 * A recipient's notice, made at the site and signed with its identity's key (context "whist/recipient/1") over all
 * bytes before the last line:
 *
 *     whist-recipient 1
 *     name charite
 *     key 64 hex digits                 its X25519 key, for crypt/box.h
 *     until 1795248000                  the last second that something may be sealed to it for
 *     certificate 811                   bytes of PEM that follow the line
 *     CERTIFICATE
 *     signature 128 hex digits
 *
 * A sealed model, signed with the coordinator's key (context "whist/sealed/1") over all bytes before the line
 * "signature"; the body follows it:
 *
 *     whist-sealed 1
 *     study 64 hex digits               the study that made the model
 *     model 64 hex digits               SHA-256 of the file that is sealed
 *     bytes 21504                       of it
 *     made 1795161600
 *     until 1795248000
 *     recipients 2
 *     to charite PIN KEY BOX            64, 64 and 160 hex digits: identity, X25519 key, the stream's key in a box
 *     to …
 *     certificate 822
 *     CERTIFICATE                       the coordinator's
 *     body 64 hex digits                SHA-256 of the body
 *     signature 128 hex digits
 *     BODY                              stream head (24), chunks of 65,536 + 17 bytes, the last one shorter
 *
 * What stands before the line "body" is the associated data of every chunk (as its SHA-256). */
#ifndef WH_RUN_SEAL_TEXT_H
#define WH_RUN_SEAL_TEXT_H

#include "base/buf.h"
#include "crypt/box.h"

#include <whist/crypt.h>

enum {
    WH_NOTICE_MAX = 16384,
    WH_SEALED_HEAD_MAX = 512 * 1024,
    WH_SEALED_RECIPIENTS = 1000,
    WH_SEALED_CHUNK = 65536,
    WH_SEALED_BOX = WH_STREAM_KEY + WH_BOX_MORE,
};

typedef struct wh_notice {
    char name[WHIST_CRYPT_NAME_MAX + 1];
    uint8_t key[WH_BOX_PUBLIC];
    int64_t until;
    whist_bytes certificate, signed_part; /* views into the text */
    uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE];
} wh_notice;
/* NULL, or what is wrong with it. */
const char *wh_notice_read(wh_notice *out, whist_bytes text);
/* What is to be signed; the line behind it. */
WH_MUST_CHECK whist_status wh_notice_write(wh_buf *out, const wh_notice *notice);
WH_MUST_CHECK whist_status wh_seal_signature(wh_buf *out, const uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE]);

typedef struct wh_sealed_recipient {
    char name[WHIST_CRYPT_NAME_MAX + 1];
    uint8_t pin[WHIST_CRYPT_PIN_SIZE], key[WH_BOX_PUBLIC], box[WH_SEALED_BOX];
} wh_sealed_recipient;

typedef struct wh_sealed_head {
    uint8_t study[32], model[32], body[32];
    uint64_t bytes; /* of the model; at most 2^53 */
    int64_t made, until;
    size_t n_recipients;    /* 1 … WH_SEALED_RECIPIENTS */
    whist_bytes recipients; /* their lines */
    whist_bytes certificate, head, signed_part;
    uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE];
    size_t size; /* bytes before the body */
} wh_sealed_head;
/* text: the beginning of a file, up to WH_SEALED_HEAD_MAX bytes of it. NULL, or what is wrong with it; each recipient
 * was read. */
const char *wh_sealed_head_read(wh_sealed_head *out, whist_bytes text);
/* Recipient i; false behind the last. */
bool wh_sealed_recipient_at(wh_sealed_recipient *out, const wh_sealed_head *head, size_t i);
/* The part before the line "body"; that line. */
WH_MUST_CHECK whist_status wh_sealed_head_write(wh_buf *out, const wh_sealed_head *head,
                                                const wh_sealed_recipient *recipients);
WH_MUST_CHECK whist_status wh_sealed_body_write(wh_buf *out, const uint8_t body[32]);
/* Bytes of the body of a model of so many bytes: there is at least one chunk. */
uint64_t wh_sealed_body_size(uint64_t bytes);

#endif
