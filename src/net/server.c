/* net/server.c: starting, reloading and stopping. */
#include "net/server_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/address.h"

#include <gnutls/abstract.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static whist_status check_options(const wh_server_options *o, const wh_address *address)
{
    WH_ENSURE(o->loops >= 1 && o->loops <= WH_SERVER_THREADS_MAX, WHIST_E_ARG);
    WH_ENSURE(o->workers >= 1 && o->workers <= WH_SERVER_THREADS_MAX, WHIST_E_ARG);
    WH_ENSURE(o->max_connections >= o->loops && o->body_ceiling >= WH_NET_CHUNK_MAX, WHIST_E_ARG);
    WH_ENSURE(o->head_ms > 0 && o->body_ms > 0 && o->idle_ms > 0, WHIST_E_ARG);
    if (!o->identity && !wh_address_is_loopback(address))
        WH_FAIL(WHIST_E_ARG,
                "%s: the listener for operations is not under TLS and stays on the machine: use 127.0.0.1:PORT or "
                "[::1]:PORT",
                o->address);
    return WHIST_OK;
}

static void init_locks(wh_server *server)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->work, NULL);
    pthread_cond_init(&server->quiet, &monotonic);
    pthread_cond_init(&server->tick, &monotonic);
    pthread_condattr_destroy(&monotonic);
    server->last = &server->first;
}

/* libmicrohttpd wants some certificate of its own before it starts under TLS. Every connection gets
 * ours in wh_gate_enter; this one is reached only where that has failed, and has none to give. */
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
                          const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **certs,
                          unsigned *n_certs, gnutls_privkey_t *key)
{
    (void)session, (void)names, (void)n_names, (void)algorithms, (void)n_algorithms;
    (void)certs, (void)n_certs, (void)key;
    return -1;
}

/* No tickets: a resumed session would not show the certificate again. */
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:%NO_TICKETS"

static struct MHD_Daemon *start_daemon(wh_server *server, int fd)
{
    const wh_server_options *o = &server->options;
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
#define COMMON                                                                                                         \
    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, o->loops > 1 ? o->loops : 0u,                           \
        MHD_OPTION_CONNECTION_LIMIT, o->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT, o->max_per_address,       \
        MHD_OPTION_NOTIFY_CONNECTION, wh_server_on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,                    \
        wh_server_on_completed, server
    if (!server->has_gate)
        return server->lib->MHD_start_daemon(flags, 0, NULL, NULL, wh_server_on_request, server, COMMON,
                                             MHD_OPTION_END);
    return server->lib->MHD_start_daemon(flags | MHD_USE_TLS, 0, NULL, NULL, wh_server_on_request, server, COMMON,
                                         MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES, MHD_OPTION_HTTPS_CERT_CALLBACK,
                                         no_certificate, MHD_OPTION_END);
#undef COMMON
}

/* Signals belong to the program's own threads, so ours start with all of them blocked. */
static whist_status start_threads(wh_server *server, const wh_address *address)
{
    int fd = -1;
    WH_TRY(wh_address_listen(&fd, &server->port, address));
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    whist_status status = wh_server_work_start(server);
    if (status == WHIST_OK) server->daemon = start_daemon(server, fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!server->daemon) close(fd);
    WH_TRY(status);
    if (!server->daemon)
        WH_FAIL(WHIST_E_NOMEM, "the server cannot start: too few threads or open files are allowed (ulimit -n, -u)?");
    return WHIST_OK;
}

static void server_free(wh_server *server)
{
    wh_server_work_stop(server);
    if (server->daemon) server->lib->MHD_stop_daemon(server->daemon);
    if (server->has_gate) wh_gate_clear(&server->gate);
    pthread_cond_destroy(&server->work);
    pthread_cond_destroy(&server->quiet);
    pthread_cond_destroy(&server->tick);
    pthread_mutex_destroy(&server->lock);
    wh_free(server);
}

whist_status wh_server_start(wh_server **out, const wh_server_options *options)
{
    WH_ENSURE(out && options && options->address && options->handler, WHIST_E_ARG);
    wh_address address;
    WH_TRY(wh_address_parse(&address, options->address));
    WH_TRY(check_options(options, &address));
    const wh_mhd *lib;
    WH_TRY(wh_mhd_get(&lib));
    wh_server *server;
    WH_TRY(WH_NEW(&server, 1));
    server->options = *options;
    server->lib = lib;
    server->gate.authorise = options->authorise;
    server->gate.authorise_user = options->authorise_user;
    init_locks(server);
    whist_status status = WHIST_OK;
    if (options->identity) {
        status = wh_gate_init(&server->gate, lib, options->identity);
        server->has_gate = status == WHIST_OK;
    }
    if (status == WHIST_OK) status = start_threads(server, &address);
    if (status != WHIST_OK) {
        whist_detail reason = *whist_detail_get();
        server_free(server);
        wh_detail_put(&reason);
        return status;
    }
    *out = server;
    return WHIST_OK;
}

uint16_t wh_server_port(const wh_server *server)
{
    return server->port;
}

whist_status wh_server_reload(wh_server *server, const wh_identity *identity)
{
    WH_ENSURE(server && identity && server->has_gate, WHIST_E_ARG);
    WH_TRY(wh_gate_replace(&server->gate, identity));
    wh_log(WHIST_LOG_INFO, "server.reloaded", "new certificate, authorities and revocation lists are in force");
    return WHIST_OK;
}

/* Waits until no request is under way, or the time is up. */
static void drain(wh_server *server, unsigned grace_ms)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += grace_ms / 1000;
    end.tv_nsec += (long)(grace_ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) end.tv_sec++, end.tv_nsec -= 1000000000;
    pthread_mutex_lock(&server->lock);
    int err = 0;
    while (server->n_jobs > 0 && err == 0) err = pthread_cond_timedwait(&server->quiet, &server->lock, &end);
    size_t left = server->n_jobs;
    pthread_mutex_unlock(&server->lock);
    if (left > 0) wh_log(WHIST_LOG_WARNING, "server.cut", "%zu requests did not end in time", left);
}

void wh_server_stop(wh_server *server, unsigned grace_ms)
{
    if (!server) return;
    atomic_store(&server->draining, true);
    /* The socket goes on listening until the loops end, and whoever calls meanwhile is told to come again. Taking it
     * from them earlier (MHD_quiesce_daemon) ends the process when a loop lets go of it in the same moment. */
    drain(server, grace_ms);
    server_free(server);
}

void wh_server_stats_get(wh_server_stats *out, const wh_server *server)
{
    *out = (wh_server_stats){
        .requests = atomic_load(&server->requests),
        .refused = atomic_load(&server->refused),
        .overloaded = atomic_load(&server->overloaded),
        .oversized = atomic_load(&server->oversized),
        .late = atomic_load(&server->late),
        .connections = atomic_load(&server->connections),
        .bytes_in = atomic_load(&server->bytes_in),
        .bytes_out = atomic_load(&server->bytes_out),
        .body_bytes = atomic_load(&server->body_bytes),
        .body_bytes_peak = atomic_load(&server->body_bytes_peak),
    };
}
