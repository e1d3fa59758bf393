/* codec/tfevents.c: the writer behind codec/tfevents.h.
 *
 * Two message types with five fields between them are written by hand:
 *   Event    1 wall_time (double)  2 step (int64)  3 file_version (string)  5 summary (Summary)
 *   Summary  1 value (repeated)    Value  1 tag (string)  2 simple_value (float) */
#include "codec/tfevents.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TAG_MAX = 1024, LABEL_MAX = 64 };
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* protobuf wire types */

uint32_t wh_crc32c(whist_bytes bytes)
{
    /* Bit by bit, x^32 + x^28 + … reflected: 0x82F63B78. Scalars are few; a table is not worth it. */
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= bytes.data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82F63B78u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* TFRecord's masking, so that a CRC over bytes that hold a CRC stays good. */
static uint32_t masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static whist_status add_varint(wh_buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n] = (uint8_t)((value & 127) | (value > 127 ? 128 : 0));
        n++;
        value >>= 7;
    } while (value > 0);
    return wh_buf_add(out, bytes, n);
}

static whist_status add_key(wh_buf *out, unsigned field, unsigned wire_type)
{
    return add_varint(out, (uint64_t)field << 3 | wire_type);
}

static whist_status add_bytes(wh_buf *out, unsigned field, const void *bytes, size_t len)
{
    WH_TRY(add_key(out, field, BYTES));
    WH_TRY(add_varint(out, len));
    return wh_buf_add(out, bytes, len);
}

static whist_status add_double(wh_buf *out, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    WH_TRY(add_key(out, field, FIXED64));
    return wh_buf_u64(out, bits);
}

static whist_status add_float(wh_buf *out, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    WH_TRY(add_key(out, field, FIXED32));
    return wh_buf_u32(out, bits);
}

/* Built beside `out` and added in one step, so that a failure leaves no half record. */
static whist_status add_record(wh_buf *out, const wh_buf *event)
{
    WH_AUTO(wh_buf) record = WH_BUF_EMPTY;
    WH_TRY(wh_buf_u64(&record, event->len));
    WH_TRY(wh_buf_u32(&record, masked(wh_crc32c(wh_buf_view(&record)))));
    WH_TRY(wh_buf_add(&record, event->data, event->len));
    WH_TRY(wh_buf_u32(&record, masked(wh_crc32c(wh_buf_view(event)))));
    return wh_buf_add(out, record.data, record.len);
}

whist_status wh_tfevents_begin(wh_buf *out, double seconds)
{
    static const char version[] = "brain.Event:2";
    WH_AUTO(wh_buf) event = WH_BUF_EMPTY;
    WH_TRY(add_double(&event, 1, seconds));
    WH_TRY(add_bytes(&event, 3, version, sizeof version - 1));
    return add_record(out, &event);
}

whist_status wh_tfevents_scalar(wh_buf *out, double seconds, int64_t step, const char *tag, float value)
{
    WH_AUTO(wh_buf) event = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) summary = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) point = WH_BUF_EMPTY;
    size_t len = strlen(tag);
    WH_ENSURE(step >= 0, WHIST_E_ARG);
    if (len > TAG_MAX) WH_FAIL(WHIST_E_RANGE, "the name of a metric has more than %d bytes", TAG_MAX);
    WH_TRY(add_bytes(&point, 1, tag, len));
    WH_TRY(add_float(&point, 2, value));
    WH_TRY(add_bytes(&summary, 1, point.data, point.len));
    WH_TRY(add_double(&event, 1, seconds));
    WH_TRY(add_key(&event, 2, VARINT));
    WH_TRY(add_varint(&event, (uint64_t)step));
    WH_TRY(add_bytes(&event, 5, summary.data, summary.len));
    return add_record(out, &event);
}

whist_status wh_tfevents_name(char out[128], int64_t unix_seconds, const char *label)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(label);
    if (len == 0 || len > LABEL_MAX || strspn(label, letters) != len)
        WH_FAIL(WHIST_E_RANGE, "the label of an event file has 1 to %d of A-Z a-z 0-9 . _ -", LABEL_MAX);
    snprintf(out, 128, "events.out.tfevents.%010" PRId64 ".%s", unix_seconds, label);
    return WHIST_OK;
}
