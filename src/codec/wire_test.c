/* Tests of codec/wire.h. */
#include "codec/wire.h"
#include "test.h"

#include <string.h>

static uint8_t study[WH_WIRE_STUDY_SIZE] = {1, 2, 3};
static const ProtobufCBinaryData named = {sizeof study, study};

static void encode_poll(wh_buf *out, uint64_t step)
{
    Whist__V1__Begin begin;
    whist__v1__begin__init(&begin);
    begin.version = WH_WIRE_VERSION;
    begin.study = named;
    begin.step = step;
    assert_ok(wh_wire_encode(out, &begin.base));
}

static void test_a_task_goes_over_the_wire(void **state)
{
    (void)state;
    Whist__V1__Task task;
    Whist__V1__Manifest model;
    Whist__V1__Envelope envelope, *inbox[] = {&envelope};
    char a[] = "berlin", b[] = "zurich", *members[] = {a, b};
    uint8_t digest[32] = {9};
    ProtobufCBinaryData digests[] = {{32, digest}, {32, digest}};
    whist__v1__task__init(&task);
    whist__v1__manifest__init(&model);
    whist__v1__envelope__init(&envelope);
    task.version = WH_WIRE_VERSION;
    task.study = named;
    task.kind = WHIST__V1__TASK_KIND__WORK;
    task.step = UINT64_MAX;
    model.bytes = 5000000;
    model.n_digests = 2;
    model.digests = digests;
    task.model = &model;
    envelope.from = a;
    envelope.body = digests[0];
    task.n_inbox = 1;
    task.inbox = inbox;
    task.n_sites = 2;
    task.sites = members;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    assert_ok(wh_wire_encode(&bytes, &task.base));
    assert_ok(wh_wire_decode(&wire, &whist__v1__task__descriptor, wh_buf_view(&bytes), 1000, study));
    const Whist__V1__Task *back = wire.message;
    assert_int_equal(back->kind, WHIST__V1__TASK_KIND__WORK);
    assert_true(back->step == UINT64_MAX);
    assert_int_equal(back->model->n_digests, 2);
    assert_memory_equal(back->model->digests[1].data, digest, 32);
    assert_string_equal(back->inbox[0]->from, "berlin");
    assert_string_equal(back->inbox[0]->to, "");
    assert_string_equal(back->sites[1], "zurich");
}

static void test_version_and_study_come_first(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    uint8_t other[WH_WIRE_STUDY_SIZE] = {1, 2, 4};
    const ProtobufCMessageDescriptor *type = &whist__v1__begin__descriptor;
    encode_poll(&bytes, 3);
    assert_int_equal(wh_wire_decode(&wire, type, wh_buf_view(&bytes), 100, other), WHIST_E_AUTH);
    assert_int_equal(wh_wire_decode(&wire, type, wh_buf_view(&bytes), bytes.len - 1, study), WHIST_E_RANGE);
    assert_null(wire.message);
    bytes.data[1] = 2;
    assert_int_equal(wh_wire_decode(&wire, type, wh_buf_view(&bytes), 100, study), WHIST_E_UNSUPPORTED);
    assert_non_null(strstr(whist_detail_get()->text, "version 2"));
    assert_int_equal(wh_wire_decode(&wire, type, (whist_bytes){NULL, 0}, 100, study), WHIST_E_FORMAT);
    static const uint8_t short_study[] = {8, 1, 0x12, 2, 1, 2};
    assert_int_equal(wh_wire_decode(&wire, type, (whist_bytes){short_study, 6}, 100, NULL), WHIST_E_FORMAT);
    Whist__V1__Begin begin;
    whist__v1__begin__init(&begin);
    assert_int_equal(wh_wire_encode(&bytes, &begin.base), WHIST_E_ARG);
}

static void test_damage_is_refused_and_unknown_fields_pass(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    const ProtobufCMessageDescriptor *type = &whist__v1__begin__descriptor;
    encode_poll(&bytes, 300);
    for (size_t len = 0; len < bytes.len; len++) {
        WH_AUTO(wh_wire) cut = WH_WIRE_EMPTY;
        whist_status status = wh_wire_decode(&cut, type, (whist_bytes){bytes.data, len}, 100, study);
        if (len == 36)
            assert_ok(status); /* without step: a message too */
        else
            assert_int_equal(status, WHIST_E_FORMAT);
    }
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    assert_ok(wh_buf_add(&bytes, "\xF8\x07\x01", 3)); /* field 127 */
    assert_ok(wh_wire_decode(&wire, type, wh_buf_view(&bytes), 100, study));
    assert_int_equal(((const Whist__V1__Begin *)wire.message)->step, 300);
}

static void test_text_must_be_utf8(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    encode_poll(&bytes, 0);
    size_t head = bytes.len;
    const ProtobufCMessageDescriptor *type = &whist__v1__task__descriptor;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {{"\x8A\x01\x01\xFF", 4} /* text */,
               {"\x72\x01\xFF", 3} /* sites */,
               {"\x82\x01\x03\x0A\x01\xFF", 6} /* inbox.from */};
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
        bytes.len = head;
        assert_ok(wh_buf_add(&bytes, bad[i].bytes, bad[i].len));
        assert_int_equal(wh_wire_decode(&wire, type, wh_buf_view(&bytes), 100, study), WHIST_E_FORMAT);
        assert_non_null(strstr(whist_detail_get()->text, "UTF-8"));
    }
}

/* 500,000 empty envelopes of three bytes each would take some 100 MB. */
static void test_a_message_made_to_grow_stops_at_the_ceiling(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    uint8_t *at;
    encode_poll(&bytes, 0);
    assert_ok(wh_buf_grow(&bytes, &at, 1500000));
    for (size_t i = 0; i < 1500000; i += 3) memcpy(at + i, "\x82\x01\x00", 3);
    const ProtobufCMessageDescriptor *type = &whist__v1__task__descriptor;
    assert_int_equal(wh_wire_decode(&wire, type, wh_buf_view(&bytes), 2000000, study), WHIST_E_RANGE);
    assert_null(wire.message);
}

/* The largest messages that are meant to pass do pass. */
static void test_the_ceiling_is_high_enough(void **state)
{
    (void)state;
    enum { N = 100000 };
    static ProtobufCBinaryData digests[N];
    static char *members[N];
    uint8_t digest[32] = {7};
    char name[] = "hospital-00";
    for (size_t i = 0; i < N; i++) {
        digests[i] = (ProtobufCBinaryData){32, digest};
        members[i] = name;
    }
    Whist__V1__Task task;
    Whist__V1__Manifest model;
    whist__v1__task__init(&task);
    whist__v1__manifest__init(&model);
    task.version = WH_WIRE_VERSION;
    task.study = named;
    task.model = &model;
    model.n_digests = N;
    model.digests = digests;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    assert_ok(wh_wire_encode(&bytes, &task.base));
    assert_ok(wh_wire_decode(&wire, &whist__v1__task__descriptor, wh_buf_view(&bytes), 8 << 20, study));
    WH_AUTO(wh_wire) second = WH_WIRE_EMPTY;
    task.model = NULL;
    task.n_sites = 65536;
    task.sites = members;
    wh_buf_reset(&bytes);
    assert_ok(wh_wire_encode(&bytes, &task.base));
    assert_ok(wh_wire_decode(&second, &whist__v1__task__descriptor, wh_buf_view(&bytes), 8 << 20, study));
}

static void test_every_failed_allocation_is_survived(void **state)
{
    (void)state;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    encode_poll(&bytes, 0);
    for (int i = 0; i < 600; i++)
        assert_ok(wh_buf_add(&bytes,
                             "\x82\x01\x07\x0A\x05"
                             "abcde",
                             10));
    whist_status status = WHIST_E_FORMAT;
    for (uint64_t n = 1; status != WHIST_OK; n++) {
        WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
        wh_alloc_fail_after(n);
        status = wh_wire_decode(&wire, &whist__v1__task__descriptor, wh_buf_view(&bytes), 10000, study);
        assert_true(n < 100);
        if (status != WHIST_OK) assert_int_equal(status, WHIST_E_NOMEM);
    }
    wh_alloc_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_task_goes_over_the_wire),
        cmocka_unit_test(test_version_and_study_come_first),
        cmocka_unit_test(test_damage_is_refused_and_unknown_fields_pass),
        cmocka_unit_test(test_text_must_be_utf8),
        cmocka_unit_test(test_a_message_made_to_grow_stops_at_the_ceiling),
        cmocka_unit_test(test_the_ceiling_is_high_enough),
        cmocka_unit_test(test_every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
