/* net/mhd.h: libmicrohttpd and GnuTLS, loaded by the first server that starts.
 *
 * Most processes of a federation are sites, and those never listen: linked in, the two libraries cost
 * each of them 2.5 MiB (docs/net.md). The table is filled once and then only read. */
#ifndef WH_NET_MHD_H
#define WH_NET_MHD_H

#include "base/status.h"

#include <gnutls/gnutls.h>
#include <microhttpd.h>

#define WH_MHD_FUNCTIONS(X)                                                                                            \
    X(MHD_start_daemon)                                                                                                \
    X(MHD_stop_daemon)                                                                                                 \
    X(MHD_get_connection_info)                                                                                         \
    X(MHD_lookup_connection_value)                                                                                     \
    X(MHD_create_response_from_buffer_with_free_callback_cls)                                                          \
    X(MHD_add_response_header)                                                                                         \
    X(MHD_queue_response)                                                                                              \
    X(MHD_destroy_response)                                                                                            \
    X(MHD_suspend_connection)                                                                                          \
    X(MHD_resume_connection)
#define WH_GNUTLS_FUNCTIONS(X)                                                                                         \
    X(gnutls_certificate_allocate_credentials)                                                                         \
    X(gnutls_certificate_free_credentials)                                                                             \
    X(gnutls_certificate_set_x509_key_mem)                                                                             \
    X(gnutls_credentials_set)                                                                                          \
    X(gnutls_certificate_server_set_request)                                                                           \
    X(gnutls_certificate_get_peers)                                                                                    \
    X(gnutls_handshake_set_hook_function)                                                                              \
    X(gnutls_ext_raw_parse)                                                                                            \
    X(gnutls_alert_send)                                                                                               \
    X(gnutls_transport_get_int2)                                                                                       \
    X(gnutls_strerror)

#define WH_MHD_FIELD(name) __typeof__(name) *name;
typedef struct wh_mhd {
    WH_MHD_FUNCTIONS(WH_MHD_FIELD)
    WH_GNUTLS_FUNCTIONS(WH_MHD_FIELD)
} wh_mhd;

/* WHIST_E_UNSUPPORTED names the package that is missing. Any thread. */
WH_MUST_CHECK whist_status wh_mhd_get(const wh_mhd **out);

#endif
