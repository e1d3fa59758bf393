/* cli/kit.c: reads the form of a start-up kit. Every length is checked against what is there. */
#include "cli/kit.h"

#include "cli/args.h"
#include "cli/hex.h"

#include <string.h>

typedef struct reader {
    const char *at, *end;
} reader;

/* The value of a line "word value"; false where the line is another. */
static bool line(char *out, size_t room, reader *r, const char *word)
{
    const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    size_t len = strlen(word), all = newline ? (size_t)(newline - r->at) : 0;
    if (!newline || all < len + 2 || memcmp(r->at, word, len) != 0 || r->at[len] != ' ' || all - len > room)
        return false;
    memcpy(out, r->at + len + 1, all - len - 1);
    out[all - len - 1] = 0;
    r->at = newline + 1;
    return strlen(out) == all - len - 1;
}

static bool count(size_t *out, reader *r, const char *word)
{
    char text[16];
    uint64_t value;
    if (!line(text, sizeof text, r, word) || !cli_number(&value, text, 0, CLI_KIT_MAX)) return false;
    *out = (size_t)value;
    return true;
}

static bool part(whist_bytes *out, reader *r, size_t len)
{
    if ((size_t)(r->end - r->at) < len) return false;
    *out = (whist_bytes){(const uint8_t *)r->at, len};
    r->at += len;
    return true;
}

const char *cli_kit_read(cli_kit *out, whist_bytes text)
{
    reader r = {(const char *)text.data, (const char *)text.data + text.len};
    char version[8], pin[CLI_PIN], signature[136];
    size_t study, ca, crl;
    cli_kit kit = {0};
    if (text.len == 0 || text.len > CLI_KIT_MAX) return "it is empty or larger than 4 MiB";
    if (!line(version, sizeof version, &r, "whist-kit")) return "it is no start-up kit";
    if (strcmp(version, "1") != 0) return "it is a kit of another version of Whist";
    if (!line(kit.coordinator, sizeof kit.coordinator, &r, "coordinator") || !line(pin, sizeof pin, &r, "key") ||
        !cli_pin_read(kit.key, pin) || !count(&study, &r, "study") || !count(&ca, &r, "ca") ||
        !count(&crl, &r, "crl") || r.at == r.end || *r.at++ != '\n')
        return "its head is damaged";
    if (!part(&kit.study, &r, study) || !part(&kit.ca, &r, ca) || !part(&kit.crl, &r, crl)) return "it is cut short";
    kit.signed_part = (whist_bytes){text.data, (size_t)(r.at - (const char *)text.data)};
    if (!line(signature, sizeof signature, &r, "signature") || strlen(signature) != 128 ||
        !cli_hex_read(kit.signature, signature, 64) || r.at != r.end)
        return "its signature is damaged or something stands behind it";
    *out = kit;
    return NULL;
}
