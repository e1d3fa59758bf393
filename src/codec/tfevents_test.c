/* Tests of codec/tfevents.h. */
#include "codec/tfevents.h"
#include "test.h"

#include <string.h>

/* RFC 3720, appendix B.4. */
static void test_crc_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    whist_bytes view = {bytes, sizeof bytes};
    assert_int_equal(wh_crc32c(view), 0x8A9136AAu);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(wh_crc32c(view), 0x62A8AB43u);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)i;
    assert_int_equal(wh_crc32c(view), 0x46DD794Eu);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(wh_crc32c(view), 0x113FDB5Cu);
    assert_int_equal(wh_crc32c((whist_bytes){(const uint8_t *)"123456789", 9}), 0xE3069283u);
}

static uint32_t unmask(uint32_t masked)
{
    uint32_t rotated = masked - 0xA282EAD8u;
    return rotated >> 17 | rotated << 15;
}

/* Takes one record and checks both sums as TensorBoard's reader does. */
static whist_bytes take_record(wh_cursor *file)
{
    uint64_t len;
    uint32_t crc;
    whist_bytes event, head = {file->at, 8};
    assert_ok(wh_take_u64(file, &len));
    assert_ok(wh_take_u32(file, &crc));
    assert_int_equal(unmask(crc), wh_crc32c(head));
    assert_ok(wh_take_bytes(file, &event, len));
    assert_ok(wh_take_u32(file, &crc));
    assert_int_equal(unmask(crc), wh_crc32c(event));
    return event;
}

static void test_records_hold_the_messages(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    assert_ok(wh_tfevents_begin(&out, 1.0));
    assert_ok(wh_tfevents_scalar(&out, 2.0, 300, "loss", 0.5f));
    assert_ok(wh_tfevents_scalar(&out, 2.0, 0, "acc", -1.0f));
    wh_cursor file = wh_cursor_over(wh_buf_view(&out));
    whist_bytes event = take_record(&file);
    static const char first[] = "\x09\0\0\0\0\0\0\xF0\x3F\x1A\x0D"
                                "brain.Event:2";
    assert_int_equal(event.len, sizeof first - 1);
    assert_memory_equal(event.data, first, event.len);
    event = take_record(&file);
    static const char second[] = "\x09\0\0\0\0\0\0\0\x40\x10\xAC\x02\x2A\x0D\x0A\x0B\x0A\x04loss\x15\0\0\0\x3F";
    assert_int_equal(event.len, sizeof second - 1);
    assert_memory_equal(event.data, second, event.len);
    take_record(&file);
    assert_int_equal(wh_cursor_left(&file), 0);
}

static void test_limits_and_names(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    char tag[1026], name[128] = "as before";
    memset(tag, 'x', 1025);
    tag[1025] = 0;
    assert_int_equal(wh_tfevents_scalar(&out, 0, 0, tag, 0), WHIST_E_RANGE);
    assert_int_equal(wh_tfevents_scalar(&out, 0, -1, "t", 0), WHIST_E_ARG);
    assert_int_equal(out.len, 0);
    assert_int_equal(wh_tfevents_name(name, 1, "../x"), WHIST_E_RANGE);
    assert_string_equal(name, "as before");
    assert_ok(wh_tfevents_name(name, 1700000000, "berlin"));
    assert_string_equal(name, "events.out.tfevents.1700000000.berlin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_of_rfc_3720),
        cmocka_unit_test(test_records_hold_the_messages),
        cmocka_unit_test(test_limits_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
