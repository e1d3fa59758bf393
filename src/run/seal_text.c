/* run/seal_text.c: notices and heads of sealed models, line by line. Every length is checked against what is there. */
#include "run/seal_text.h"

#include <inttypes.h>
#include <string.h>

typedef struct lines {
    const char *at, *end;
} lines;

static lines lines_of(whist_bytes text)
{
    return (lines){(const char *)text.data, (const char *)text.data + text.len};
}

/* The value of the line "word value", without its end; false where the line is another. */
static bool take(whist_bytes *value, lines *l, const char *word)
{
    size_t left = (size_t)(l->end - l->at), len = strlen(word);
    const char *newline = left ? memchr(l->at, '\n', left) : NULL;
    if (!newline || (size_t)(newline - l->at) < len + 2 || memcmp(l->at, word, len) != 0 || l->at[len] != ' ')
        return false;
    *value = (whist_bytes){(const uint8_t *)l->at + len + 1, (size_t)(newline - l->at) - len - 1};
    l->at = newline + 1;
    return true;
}

static bool take_word(lines *l, const char *word, const char *value)
{
    whist_bytes found;
    return take(&found, l, word) && found.len == strlen(value) && memcmp(found.data, value, found.len) == 0;
}

static bool hex_of(uint8_t *out, const uint8_t *text, size_t len)
{
    char copy[2 * WH_SEALED_BOX + 1];
    memcpy(copy, text, 2 * len);
    copy[2 * len] = 0;
    return wh_unhex(out, copy, len) == WHIST_OK;
}

static bool take_hex(uint8_t *out, lines *l, const char *word, size_t len)
{
    whist_bytes text;
    return take(&text, l, word) && text.len == 2 * len && hex_of(out, text.data, len);
}

/* Digits alone, the first no 0 unless it is the only one, up to 2^53. */
static bool take_number(uint64_t *out, lines *l, const char *word)
{
    whist_bytes text;
    uint64_t value = 0;
    if (!take(&text, l, word) || text.len > 16 || (text.len > 1 && text.data[0] == '0')) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = 10 * value + (uint64_t)(text.data[i] - '0');
    }
    *out = value;
    return value <= UINT64_C(1) << 53;
}

static bool take_time(int64_t *out, lines *l, const char *word)
{
    uint64_t value;
    if (!take_number(&value, l, word)) return false;
    *out = (int64_t)value;
    return true;
}

static bool take_part(whist_bytes *out, lines *l, const char *word)
{
    uint64_t len;
    if (!take_number(&len, l, word) || (uint64_t)(l->end - l->at) < len) return false;
    *out = (whist_bytes){(const uint8_t *)l->at, (size_t)len};
    l->at += len;
    return true;
}

static bool is_name(const char *name)
{
    return whist_crypt_name_check(name) == WHIST_OK;
}

/* ---- Notices ---- */

static bool take_name(char out[WHIST_CRYPT_NAME_MAX + 1], lines *l)
{
    whist_bytes text;
    if (!take(&text, l, "name") || text.len > WHIST_CRYPT_NAME_MAX) return false;
    memcpy(out, text.data, text.len);
    out[text.len] = 0;
    return strlen(out) == text.len && is_name(out);
}

const char *wh_notice_read(wh_notice *out, whist_bytes text)
{
    lines l = lines_of(text);
    wh_notice notice = {.until = 0};
    if (text.len == 0 || text.len > WH_NOTICE_MAX) return "it is empty or larger than 16 KiB";
    if (!take_word(&l, "whist-recipient", "1")) return "it is no recipient's notice of this version";
    if (!take_name(notice.name, &l) || !take_hex(notice.key, &l, "key", WH_BOX_PUBLIC) ||
        !take_time(&notice.until, &l, "until") || !take_part(&notice.certificate, &l, "certificate"))
        return "it is damaged";
    notice.signed_part = (whist_bytes){text.data, (size_t)(l.at - (const char *)text.data)};
    if (!take_hex(notice.signature, &l, "signature", sizeof notice.signature) || l.at != l.end)
        return "its signature is damaged or something stands behind it";
    *out = notice;
    return NULL;
}

static whist_status add_hex(wh_buf *out, const char *before, const uint8_t *bytes, size_t len)
{
    char hex[2 * WH_SEALED_BOX + 1];
    wh_hex(hex, bytes, len);
    return wh_buf_text(out, "%s%s", before, hex);
}

whist_status wh_notice_write(wh_buf *out, const wh_notice *notice)
{
    WH_TRY(wh_buf_text(out, "whist-recipient 1\nname %s\n", notice->name));
    WH_TRY(add_hex(out, "key ", notice->key, sizeof notice->key));
    WH_TRY(wh_buf_text(out, "\nuntil %" PRId64 "\ncertificate %zu\n", notice->until, notice->certificate.len));
    return wh_buf_add(out, notice->certificate.data, notice->certificate.len);
}

whist_status wh_seal_signature(wh_buf *out, const uint8_t signature[WHIST_CRYPT_SIGNATURE_SIZE])
{
    WH_TRY(add_hex(out, "signature ", signature, WHIST_CRYPT_SIGNATURE_SIZE));
    return wh_buf_text(out, "\n");
}

/* ---- Sealed models ---- */

enum { PIN_AT = 1, KEY_AT = PIN_AT + 65, BOX_AT = KEY_AT + 65, AFTER_NAME = BOX_AT + 2 * WH_SEALED_BOX };

/* "NAME PIN KEY BOX" */
static bool take_recipient(wh_sealed_recipient *out, lines *l)
{
    whist_bytes text;
    if (!take(&text, l, "to") || text.len <= AFTER_NAME || text.len > AFTER_NAME + WHIST_CRYPT_NAME_MAX) return false;
    size_t name = text.len - AFTER_NAME;
    const uint8_t *rest = text.data + name;
    memcpy(out->name, text.data, name);
    out->name[name] = 0;
    return strlen(out->name) == name && is_name(out->name) && rest[0] == ' ' && rest[KEY_AT - 1] == ' ' &&
           rest[BOX_AT - 1] == ' ' && hex_of(out->pin, rest + PIN_AT, sizeof out->pin) &&
           hex_of(out->key, rest + KEY_AT, sizeof out->key) && hex_of(out->box, rest + BOX_AT, sizeof out->box);
}

static bool take_recipients(wh_sealed_head *head, lines *l)
{
    uint64_t n;
    if (!take_number(&n, l, "recipients") || n == 0 || n > WH_SEALED_RECIPIENTS) return false;
    const char *from = l->at;
    wh_sealed_recipient one;
    for (uint64_t i = 0; i < n; i++)
        if (!take_recipient(&one, l)) return false;
    head->n_recipients = (size_t)n;
    head->recipients = (whist_bytes){(const uint8_t *)from, (size_t)(l->at - from)};
    return true;
}

const char *wh_sealed_head_read(wh_sealed_head *out, whist_bytes text)
{
    lines l = lines_of(text);
    wh_sealed_head head = {.size = 0};
    if (!take_word(&l, "whist-sealed", "1")) return "it is no sealed model of this version";
    if (!take_hex(head.study, &l, "study", 32) || !take_hex(head.model, &l, "model", 32) ||
        !take_number(&head.bytes, &l, "bytes") || !take_time(&head.made, &l, "made") ||
        !take_time(&head.until, &l, "until") || !take_recipients(&head, &l) ||
        !take_part(&head.certificate, &l, "certificate"))
        return "its head is cut short or damaged";
    head.head = (whist_bytes){text.data, (size_t)(l.at - (const char *)text.data)};
    if (!take_hex(head.body, &l, "body", 32)) return "its head is cut short or damaged";
    head.signed_part = (whist_bytes){text.data, (size_t)(l.at - (const char *)text.data)};
    if (!take_hex(head.signature, &l, "signature", sizeof head.signature)) return "its head is cut short or damaged";
    head.size = (size_t)(l.at - (const char *)text.data);
    *out = head;
    return NULL;
}

bool wh_sealed_recipient_at(wh_sealed_recipient *out, const wh_sealed_head *head, size_t i)
{
    lines l = lines_of(head->recipients);
    if (i >= head->n_recipients) return false;
    for (size_t k = 0; k <= i; k++)
        if (!take_recipient(out, &l)) return false;
    return true;
}

whist_status wh_sealed_head_write(wh_buf *out, const wh_sealed_head *head, const wh_sealed_recipient *recipients)
{
    WH_TRY(add_hex(out, "whist-sealed 1\nstudy ", head->study, 32));
    WH_TRY(add_hex(out, "\nmodel ", head->model, 32));
    WH_TRY(wh_buf_text(out, "\nbytes %" PRIu64 "\nmade %" PRId64 "\nuntil %" PRId64 "\nrecipients %zu\n", head->bytes,
                       head->made, head->until, head->n_recipients));
    for (size_t i = 0; i < head->n_recipients; i++) {
        const wh_sealed_recipient *r = &recipients[i];
        WH_TRY(wh_buf_text(out, "to %s", r->name));
        WH_TRY(add_hex(out, " ", r->pin, sizeof r->pin));
        WH_TRY(add_hex(out, " ", r->key, sizeof r->key));
        WH_TRY(add_hex(out, " ", r->box, sizeof r->box));
        WH_TRY(wh_buf_text(out, "\n"));
    }
    WH_TRY(wh_buf_text(out, "certificate %zu\n", head->certificate.len));
    return wh_buf_add(out, head->certificate.data, head->certificate.len);
}

whist_status wh_sealed_body_write(wh_buf *out, const uint8_t body[32])
{
    WH_TRY(add_hex(out, "body ", body, 32));
    return wh_buf_text(out, "\n");
}

uint64_t wh_sealed_body_size(uint64_t bytes)
{
    uint64_t chunks = bytes ? (bytes - 1) / WH_SEALED_CHUNK + 1 : 1;
    return WH_STREAM_HEAD + bytes + chunks * WH_STREAM_MORE;
}
