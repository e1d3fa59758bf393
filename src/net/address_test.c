/* Addresses as people write them, right and wrong. */
#include "net/address.h"
#include "test.h"

#include <string.h>
#include <unistd.h>

static void test_addresses_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool loopback;
    } good[] = {
        {"h.example.org:8443", "h.example.org", 8443, false}, {"127.0.0.1:0", "127.0.0.1", 0, true},
        {"127.9.9.9:65535", "127.9.9.9", 65535, true},        {"[::1]:1", "::1", 1, true},
        {"[fe80::1%eth0]:22", "fe80::1%eth0", 22, false},     {"0.0.0.0:8443", "0.0.0.0", 8443, false},
    };
    for (size_t i = 0; i < WH_COUNT(good); i++) {
        wh_address address;
        char back[288];
        assert_ok(wh_address_parse(&address, good[i].text));
        assert_string_equal(address.host, good[i].host);
        assert_int_equal(address.port, good[i].port);
        assert_int_equal(wh_address_is_loopback(&address), good[i].loopback);
        wh_address_text(back, &address);
        assert_string_equal(back, good[i].text);
    }
}

static void test_mistakes_are_named(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"host", "no port"},
        {"host:", "no port"},
        {"host:65536", "port"},
        {"host:1x", "port"},
        {"::1:8443", "[HOST]:PORT"},
        {"[::1]8443", "[HOST]:PORT"},
        {"https://h:1", "[HOST]:PORT"},
        {":80", "is no address"},
        {"a b:80", "is no address"},
        {"", "no port"},
        {"h:000080", "port"},
    };
    for (size_t i = 0; i < WH_COUNT(bad); i++) {
        wh_address address;
        assert_int_equal(wh_address_parse(&address, bad[i][0]), WHIST_E_FORMAT);
        if (!strstr(whist_detail_get()->text, bad[i][1])) fail_msg("%s: %s", bad[i][0], whist_detail_get()->text);
    }
    static const char *const nowhere[] = {"0.0.0.0:8443", "[::]:8443", "host:0"};
    for (size_t i = 0; i < WH_COUNT(nowhere); i++) {
        wh_address address;
        assert_int_equal(wh_address_parse_peer(&address, nowhere[i]), WHIST_E_FORMAT);
    }
    wh_address address;
    assert_int_equal(wh_address_parse_proxy(&address, "socks5://h:1"), WHIST_E_UNSUPPORTED);
    assert_int_equal(wh_address_parse_proxy(&address, "http://me:secret@h:1"), WHIST_E_UNSUPPORTED);
    assert_null(strstr(whist_detail_get()->text, "secret"));
    assert_ok(wh_address_parse_proxy(&address, "http://proxy.example.org:3128/"));
    assert_string_equal(address.host, "proxy.example.org");
}

static void test_listening_says_what_is_wrong(void **state)
{
    (void)state;
    int fd = -1, other = -1;
    uint16_t port = 0, unused;
    wh_address address = {"127.0.0.1", 0};
    assert_ok(wh_address_listen(&fd, &port, &address));
    assert_true(port > 0);
    address.port = port;
    assert_int_equal(wh_address_listen(&other, &unused, &address), WHIST_E_IO);
    assert_non_null(strstr(whist_detail_get()->text, "in use"));
    close(fd);
    wh_address far = {"192.0.2.1", 0};
    assert_int_equal(wh_address_listen(&other, &unused, &far), WHIST_E_IO);
    assert_non_null(strstr(whist_detail_get()->text, "no address of this machine"));
    wh_address name = {"localhost", 0};
    assert_int_equal(wh_address_listen(&other, &unused, &name), WHIST_E_FORMAT);
    assert_int_equal(other, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_read),
        cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test(test_listening_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
