/* net/http.c: response heads, and bodies by length, by chunks, or to the end of the connection. */
#include "net/http.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { RETRY_MAX_MS = 86400000 };

/* A line of the head without its line end. */
typedef struct line {
    const char *at;
    size_t len;
} line;

static bool digits_to(uint64_t *out, const char *at, size_t len)
{
    uint64_t value = 0;
    if (len == 0 || len > 18) return false;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)at[i])) return false;
        value = value * 10 + (uint64_t)(at[i] - '0');
    }
    *out = value;
    return true;
}

static bool is_name(line name, const char *word)
{
    return name.len == strlen(word) && strncasecmp(name.at, word, name.len) == 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT"; 0 for anything else, a clock is not worth a failure. */
static int64_t date_of(line value)
{
    char text[32];
    if (value.len != 29) return 0;
    memcpy(text, value.at, value.len);
    text[value.len] = 0;
    struct tm tm = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    time_t seconds = end && !*end ? timegm(&tm) : 0;
    return seconds > 0 ? (int64_t)seconds * 1000 : 0;
}

static whist_status read_length(wh_http_head *head, line value)
{
    uint64_t length;
    if (!digits_to(&length, value.at, value.len) || (head->has_length && head->length != length))
        WH_FAIL(WHIST_E_FORMAT, "the answer's Content-Length is no number, or there are two");
    head->has_length = true;
    head->length = length;
    return WHIST_OK;
}

static whist_status read_field(wh_http_head *head, bool *exact_retry, line name, line value)
{
    uint64_t number;
    if (is_name(name, "content-length")) return read_length(head, value);
    if (is_name(name, "transfer-encoding")) {
        if (head->chunked || !is_name(value, "chunked"))
            WH_FAIL(WHIST_E_FORMAT, "the answer comes in a transfer encoding other than 'chunked'");
        head->chunked = true;
    } else if (is_name(name, "connection")) {
        if (is_name(value, "close")) head->close = true;
    } else if (is_name(name, "whist-retry-ms") && digits_to(&number, value.at, value.len)) {
        head->retry_after_ms = (uint32_t)(number < RETRY_MAX_MS ? number : RETRY_MAX_MS);
        *exact_retry = true;
    } else if (is_name(name, "retry-after") && !*exact_retry && digits_to(&number, value.at, value.len)) {
        head->retry_after_ms = (uint32_t)(number < RETRY_MAX_MS / 1000 ? number * 1000 : RETRY_MAX_MS);
    } else if (is_name(name, "date")) {
        head->date_ms = date_of(value);
    } else if (is_name(name, "location") && value.len < sizeof head->location) {
        memcpy(head->location, value.at, value.len);
        head->location[value.len] = 0;
    }
    return WHIST_OK;
}

/* "HTTP/1.1 200 words". HTTP/1.0 closes unless told otherwise. */
static whist_status read_status_line(wh_http_head *head, line first)
{
    uint64_t code;
    bool fine = first.len >= 12 && memcmp(first.at, "HTTP/1.", 7) == 0 && (first.at[7] == '0' || first.at[7] == '1') &&
                first.at[8] == ' ' && digits_to(&code, first.at + 9, 3) && code >= 100 && code < 600 &&
                (first.len == 12 || first.at[12] == ' ');
    if (!fine) WH_FAIL(WHIST_E_FORMAT, "the answer is not HTTP/1.1: is this the right port?");
    head->code = (int)code;
    head->close = first.at[7] == '0';
    return WHIST_OK;
}

static whist_status read_header_line(wh_http_head *head, bool *exact_retry, line header)
{
    const char *colon = memchr(header.at, ':', header.len);
    if (!colon || colon == header.at || header.at[0] == ' ' || header.at[0] == '\t')
        WH_FAIL(WHIST_E_FORMAT, "the answer has a header line without a name");
    line name = {header.at, (size_t)(colon - header.at)};
    line value = {colon + 1, header.len - name.len - 1};
    while (value.len && (*value.at == ' ' || *value.at == '\t')) value.at++, value.len--;
    while (value.len && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t')) value.len--;
    if (memchr(header.at, 0, header.len)) WH_FAIL(WHIST_E_FORMAT, "the answer has a zero byte in its head");
    return read_field(head, exact_retry, name, value);
}

whist_status wh_http_head_parse(wh_http_head *out, size_t *used, whist_bytes bytes)
{
    *used = 0;
    const char *start = (const char *)bytes.data;
    size_t window = bytes.len < WH_HTTP_HEAD_MAX ? bytes.len : WH_HTTP_HEAD_MAX;
    if (!start) return WHIST_OK;
    const char *end = memmem(start, window, "\r\n\r\n", 4);
    if (!end) {
        if (bytes.len >= WH_HTTP_HEAD_MAX) WH_FAIL(WHIST_E_RANGE, "the answer's head is longer than 16384 bytes");
        return WHIST_OK;
    }
    wh_http_head head = {0};
    bool first = true, exact_retry = false;
    for (const char *at = start; at < end + 2;) {
        const char *stop = memmem(at, (size_t)(end + 2 - at), "\r\n", 2);
        line text = {at, (size_t)(stop - at)};
        WH_TRY(first ? read_status_line(&head, text) : read_header_line(&head, &exact_retry, text));
        first = false;
        at = stop + 2;
    }
    if (head.chunked && head.has_length) WH_FAIL(WHIST_E_FORMAT, "the answer names two lengths");
    *out = head;
    *used = (size_t)(end + 4 - start);
    return WHIST_OK;
}

/* Chunked: SIZE [; extension] CRLF bytes CRLF … 0 CRLF [trailer lines] CRLF */
enum { IN_BODY, CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_LF, CHUNK_BYTES, CHUNK_CR, CHUNK_END_LF, TRAILER, TRAILER_LF };
enum { TRAILER_MAX = 4096, EXTENSION_MAX = 256 };

whist_status wh_http_body_init(wh_http_body *body, const wh_http_head *head, uint64_t max)
{
    wh_http_body made = {.max = max};
    bool none = head->code < 200 || head->code == 204 || head->code == 304;
    if (head->has_length && !none && head->length > max)
        WH_FAIL(WHIST_E_RANGE, "the answer says that it is %llu bytes long, more than the allowed %llu",
                (unsigned long long)head->length, (unsigned long long)max);
    if (none) {
        made.done = true;
    } else if (head->chunked) {
        made.state = CHUNK_SIZE;
    } else if (head->has_length) {
        made.left = head->length;
        made.done = head->length == 0;
    } else {
        made.until_close = true;
        made.left = UINT64_MAX;
    }
    *body = made;
    return WHIST_OK;
}

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (uint8_t)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static whist_status take_size(wh_http_body *body, uint8_t c)
{
    int digit = hex_of(c);
    if (digit >= 0 && body->digits < 8) {
        body->left = body->left << 4 | (uint64_t)digit;
        body->digits++;
        return WHIST_OK;
    }
    if (body->digits == 0 || digit >= 0 || (c != '\r' && c != ';' && c != ' '))
        WH_FAIL(WHIST_E_FORMAT, "the answer has a chunk without a sensible size");
    body->state = c == '\r' ? CHUNK_LF : CHUNK_EXTENSION;
    body->line = 0;
    return WHIST_OK;
}

/* What follows the line with the size: bytes, or after the last chunk the trailer. */
static whist_status after_size(wh_http_body *body)
{
    if (body->left > body->max - body->total)
        WH_FAIL(WHIST_E_RANGE, "the answer is longer than the allowed %llu bytes", (unsigned long long)body->max);
    body->state = body->left ? CHUNK_BYTES : TRAILER;
    body->line = 0;
    body->digits = 0;
    return WHIST_OK;
}

static whist_status want(wh_http_body *body, uint8_t c, char wanted, int next)
{
    if (c != (uint8_t)wanted) WH_FAIL(WHIST_E_FORMAT, "the answer's chunks are not cut as HTTP wants");
    body->state = next;
    return WHIST_OK;
}

/* One byte of what stands around the content. */
static whist_status take_frame(wh_http_body *body, uint8_t c)
{
    switch (body->state) {
    case CHUNK_SIZE: return take_size(body, c);
    case CHUNK_EXTENSION:
        if (c == '\r') body->state = CHUNK_LF;
        if (++body->line > EXTENSION_MAX) WH_FAIL(WHIST_E_RANGE, "the answer has a chunk with a long extension");
        return WHIST_OK;
    case CHUNK_LF: WH_TRY(want(body, c, '\n', CHUNK_SIZE)); return after_size(body);
    case CHUNK_CR: return want(body, c, '\r', CHUNK_END_LF);
    case CHUNK_END_LF: return want(body, c, '\n', CHUNK_SIZE);
    case TRAILER: /* `digits` counts the letters of this line, `line` those of all */
        if (++body->line > TRAILER_MAX) WH_FAIL(WHIST_E_RANGE, "the answer has a long trailer");
        if (c == '\r')
            body->state = TRAILER_LF;
        else
            body->digits++;
        return WHIST_OK;
    default: /* TRAILER_LF */
        WH_TRY(want(body, c, '\n', TRAILER));
        body->done = body->digits == 0;
        body->digits = 0;
        return WHIST_OK;
    }
}

whist_status wh_http_body_take(wh_http_body *body, whist_bytes *content, size_t *used, whist_bytes in)
{
    *content = (whist_bytes){in.data, 0};
    *used = 0;
    if (body->done || in.len == 0) return WHIST_OK;
    if (body->state != IN_BODY && body->state != CHUNK_BYTES) {
        WH_TRY(take_frame(body, in.data[0]));
        *used = 1;
        return WHIST_OK;
    }
    size_t n = in.len < body->left ? in.len : (size_t)body->left;
    if (n > body->max - body->total)
        WH_FAIL(WHIST_E_RANGE, "the answer is longer than the allowed %llu bytes", (unsigned long long)body->max);
    content->len = *used = n;
    body->total += n;
    if (!body->until_close) body->left -= n;
    if (body->left == 0) {
        body->done = body->state == IN_BODY;
        if (body->state == CHUNK_BYTES) body->state = CHUNK_CR;
    }
    return WHIST_OK;
}

whist_status wh_http_body_close(wh_http_body *body)
{
    if (!body->done && !body->until_close) WH_FAIL(WHIST_E_IO, "the connection broke off in the middle of the answer");
    body->done = true;
    return WHIST_OK;
}
