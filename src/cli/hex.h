/* cli/hex.h: names of 32 bytes (digests, pins) as text. */
#ifndef CLI_HEX_H
#define CLI_HEX_H

#include <stdbool.h>
#include <stdint.h>

enum { CLI_HEX = 65, CLI_PIN = 72 };

/* 64 digits; returns out. */
const char *cli_hex(char out[CLI_HEX], const uint8_t bytes[32]);
/* "sha256:…"; returns out. */
const char *cli_pin(char out[CLI_PIN], const uint8_t pin[32]);
/* Reads "sha256:" and 64 digits, or the digits alone. */
bool cli_pin_read(uint8_t out[32], const char *text);
/* n bytes from 2n digits. */
bool cli_hex_read(uint8_t *out, const char *text, unsigned n);

#endif
