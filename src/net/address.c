/* net/address.c: reading addresses, and listening on one. */
#include "net/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static whist_status parse_port(uint16_t *out, const char *digits, const char *whole)
{
    unsigned port = 0;
    size_t n = strlen(digits);
    for (size_t i = 0; i < n && i < 6; i++) {
        if (!isdigit((unsigned char)digits[i])) n = 0;
        port = port * 10 + (unsigned)(digits[i] - '0');
    }
    if (n == 0 || n > 5 || port > 65535)
        WH_FAIL(WHIST_E_FORMAT, "'%.200s' ends in no port: write HOST:PORT with a port from 0 to 65535", whole);
    *out = (uint16_t)port;
    return WHIST_OK;
}

static bool host_letters_are_fine(const char *host)
{
    for (const char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-._:%", *c)) return false;
    return *host != 0;
}

whist_status wh_address_parse(wh_address *out, const char *text)
{
    wh_address address = {0};
    const char *host = text, *end = strrchr(text, ':');
    if (text[0] == '[') {
        host = text + 1;
        end = strchr(text, ']');
        if (!end || end[1] != ':') WH_FAIL(WHIST_E_FORMAT, "'%.200s': an IPv6 address is written [HOST]:PORT", text);
    } else if (end && memchr(text, ':', (size_t)(end - text))) {
        WH_FAIL(WHIST_E_FORMAT, "'%.200s': an IPv6 address is written [HOST]:PORT", text);
    }
    if (!end) WH_FAIL(WHIST_E_FORMAT, "'%.200s' has no port: write HOST:PORT", text);
    size_t len = (size_t)(end - host);
    if (len >= sizeof address.host) WH_FAIL(WHIST_E_FORMAT, "'%.80s…': the host name is too long", text);
    memcpy(address.host, host, len);
    if (!host_letters_are_fine(address.host))
        WH_FAIL(WHIST_E_FORMAT, "'%.200s' is no address: write HOST:PORT, without http:// or path", text);
    WH_TRY(parse_port(&address.port, end + (text[0] == '[' ? 2 : 1), text));
    *out = address;
    return WHIST_OK;
}

/* AF_INET, AF_INET6, or 0 where host is a name; *out and *len are filled for numbers. */
static int number_of(struct sockaddr_storage *out, socklen_t *len, const wh_address *address)
{
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, address->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address->port);
        *len = sizeof *v4;
        return AF_INET;
    }
    if (inet_pton(AF_INET6, address->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address->port);
        *len = sizeof *v6;
        return AF_INET6;
    }
    return 0;
}

whist_status wh_address_parse_peer(wh_address *out, const char *text)
{
    wh_address address;
    WH_TRY(wh_address_parse(&address, text));
    struct sockaddr_storage number;
    socklen_t len;
    int family = number_of(&number, &len, &address);
    bool any = family == AF_INET && ((struct sockaddr_in *)&number)->sin_addr.s_addr == htonl(INADDR_ANY);
    any = any || (family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&number)->sin6_addr));
    if (any)
        WH_FAIL(WHIST_E_FORMAT,
                "%s is where a server listens on all its addresses, not a place to connect to: write the "
                "server's name or address, or 127.0.0.1:%u on the same machine",
                text, address.port);
    if (address.port == 0) WH_FAIL(WHIST_E_FORMAT, "%s: port 0 cannot be connected to: write the server's port", text);
    *out = address;
    return WHIST_OK;
}

whist_status wh_address_parse_proxy(wh_address *out, const char *text)
{
    const char *scheme = "http://";
    if (strncmp(text, scheme, strlen(scheme)) != 0)
        WH_FAIL(WHIST_E_UNSUPPORTED, "proxy '%.100s': only HTTP CONNECT proxies are spoken to: write http://HOST:PORT",
                text);
    if (strchr(text, '@'))
        WH_FAIL(WHIST_E_UNSUPPORTED, "the proxy is given with a user name: proxies that ask for one are not supported");
    char bare[288];
    int len = snprintf(bare, sizeof bare, "%s", text + strlen(scheme));
    if (len < 0 || (size_t)len >= sizeof bare) WH_FAIL(WHIST_E_FORMAT, "the proxy's address is too long");
    if (len > 0 && bare[len - 1] == '/') bare[len - 1] = 0;
    whist_status status = wh_address_parse_peer(out, bare);
    return status == WHIST_OK ? status : wh_fail_context(status, "proxy: ");
}

void wh_address_text(char out[288], const wh_address *address)
{
    bool brackets = strchr(address->host, ':') != NULL;
    snprintf(out, 288, brackets ? "[%s]:%u" : "%s:%u", address->host, (unsigned)address->port);
}

bool wh_address_is_number(const wh_address *address)
{
    struct sockaddr_storage number;
    socklen_t len;
    return number_of(&number, &len, address) != 0;
}

bool wh_address_is_loopback(const wh_address *address)
{
    struct sockaddr_storage number;
    socklen_t len;
    int family = number_of(&number, &len, address);
    if (family == AF_INET) return ntohl(((struct sockaddr_in *)&number)->sin_addr.s_addr) >> 24 == 127;
    return family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&number)->sin6_addr);
}

static whist_status listen_failed(int err, const wh_address *address)
{
    char place[288], words[128];
    wh_address_text(place, address);
    const char *text = strerror_r(err, words, sizeof words);
    const char *fix = "check the address";
    if (err == EADDRINUSE) {
        text = "the port is in use";
        fix = "another coordinator may be running there; stop it (ss -ltnp shows who), or choose another port";
    }
    if (err == EACCES) fix = "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one";
    if (err == EADDRNOTAVAIL) {
        text = "no address of this machine";
        fix = "use one that `ip address` shows, or 0.0.0.0 for all";
    }
    WH_FAIL(WHIST_E_IO, "cannot listen on %s: %s: %s", place, text, fix);
}

whist_status wh_address_listen(int *out, uint16_t *port_out, const wh_address *address)
{
    struct sockaddr_storage number;
    socklen_t len = 0;
    int family = number_of(&number, &len, address);
    if (family == 0)
        WH_FAIL(WHIST_E_FORMAT, "cannot listen on '%s': give a number such as 127.0.0.1, or 0.0.0.0 for all addresses",
                address->host);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return listen_failed(errno, address);
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* restart while old connections linger */
    socklen_t bound_len = sizeof number;
    if (bind(fd, (struct sockaddr *)&number, len) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&number, &bound_len) != 0) {
        int err = errno;
        close(fd);
        return listen_failed(err, address);
    }
    *port_out = ntohs(family == AF_INET ? ((struct sockaddr_in *)&number)->sin_port
                                        : ((struct sockaddr_in6 *)&number)->sin6_port);
    *out = fd;
    return WHIST_OK;
}
