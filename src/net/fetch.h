/* net/fetch.h: a file from a public HTTPS server, such as the publisher of a data set.
 *
 * Trust here is the web's: the authorities of the system (or given ones) and the host name, TLS 1.2 or
 * later. What was fetched is only worth the hash that the caller compares it with. */
#ifndef WH_NET_FETCH_H
#define WH_NET_FETCH_H

#include "net/answer.h"

typedef struct wh_fetch_options {
    const char *proxy;   /* NULL, or "http://host:port" */
    const char *ca_file; /* PEM; NULL: the system's authorities */
    uint64_t max;        /* bytes */
    unsigned connect_ms, stall_ms;
    const atomic_bool *stop; /* NULL, or set to end with WHIST_E_CANCELLED */
} wh_fetch_options;
#define WH_FETCH_OPTIONS_DEFAULT                                                                                       \
    {                                                                                                                  \
        .max = (uint64_t)1 << 32, .connect_ms = 10000, .stall_ms = 60000                                               \
    }

/* GET of "https://host[:port]/path", up to five redirections (to https only). The pieces of the body go to
 * sink; on failure some may have gone there already. WHIST_E_ARG (no https address), WHIST_E_AUTH
 * (certificate or host name), WHIST_E_IO (unreachable, broken off, any answer but 200), WHIST_E_RANGE. */
WH_MUST_CHECK whist_status wh_fetch(wh_sink_fn *sink, void *user, const char *url, const wh_fetch_options *options);

#endif
