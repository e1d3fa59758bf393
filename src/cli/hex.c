/* cli/hex.c: digests and pins as text. */
#include "cli/hex.h"

#include <stdio.h>
#include <string.h>

const char *cli_hex(char out[CLI_HEX], const uint8_t bytes[32])
{
    for (unsigned i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return out;
}

const char *cli_pin(char out[CLI_PIN], const uint8_t pin[32])
{
    char hex[CLI_HEX];
    snprintf(out, CLI_PIN, "sha256:%s", cli_hex(hex, pin));
    return out;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool cli_hex_read(uint8_t *out, const char *text, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int high = digit_of(text[2 * i]), low = high < 0 ? -1 : digit_of(text[2 * i + 1]);
        if (low < 0) return false;
        out[i] = (uint8_t)(16 * high + low);
    }
    return true;
}

bool cli_pin_read(uint8_t out[32], const char *text)
{
    uint8_t pin[32];
    if (strncmp(text, "sha256:", 7) == 0) text += 7;
    if (strlen(text) != 64 || !cli_hex_read(pin, text, 32)) return false;
    memcpy(out, pin, 32);
    return true;
}
