/* net/address.h: "host:port" as people write it, and the answers to the usual mistakes. */
#ifndef WH_NET_ADDRESS_H
#define WH_NET_ADDRESS_H

#include "base/status.h"

#include <sys/socket.h>

typedef struct wh_address {
    char host[256]; /* name or number, without brackets */
    uint16_t port;
} wh_address;

/* Reads "host:port", "1.2.3.4:port" or "[::1]:port". WHIST_E_FORMAT says what is wanted. */
WH_MUST_CHECK whist_status wh_address_parse(wh_address *out, const char *text);
/* The same for a place to connect to: 0.0.0.0 and [::] mean "every address of this machine" to a
 * server and nothing to a client, so they are refused in words; so is port 0. */
WH_MUST_CHECK whist_status wh_address_parse_peer(wh_address *out, const char *text);
/* Reads "http://host:port" (a trailing '/' is fine). WHIST_E_FORMAT; WHIST_E_UNSUPPORTED for other schemes. */
WH_MUST_CHECK whist_status wh_address_parse_proxy(wh_address *out, const char *text);
/* "host:port", brackets where the host is an IPv6 number. */
void wh_address_text(char out[288], const wh_address *address);

/* A bound, listening, non-blocking TCP socket; host must be a number. Port 0 takes a free one and *port_out
 * tells which. WHIST_E_IO names the way out: port in use, port below 1024, address not of this machine. */
WH_MUST_CHECK whist_status wh_address_listen(int *out, uint16_t *port_out, const wh_address *address);
/* Whether host is an IPv4 or IPv6 number, not a name. */
bool wh_address_is_number(const wh_address *address);
/* Whether the number is 127/8 or ::1. */
bool wh_address_is_loopback(const wh_address *address);

#endif
