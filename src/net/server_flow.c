/* net/server_flow.c: what happens on the event loops. Nothing here waits or computes for long: the
 * one signature check of an admission is the heaviest thing done. */
#include "net/server_parts.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The ceiling on bodies ---- */

bool wh_server_reserve(wh_server *server, size_t bytes)
{
    size_t now = atomic_load(&server->body_bytes), want;
    do {
        if (!wh_add_size(&want, now, bytes) || want > server->options.body_ceiling) return false;
    } while (!atomic_compare_exchange_weak(&server->body_bytes, &now, want));
    size_t peak = atomic_load(&server->body_bytes_peak);
    while (want > peak && !atomic_compare_exchange_weak(&server->body_bytes_peak, &peak, want)) continue;
    return true;
}

void wh_server_release(wh_server *server, size_t bytes)
{
    atomic_fetch_sub(&server->body_bytes, bytes);
}

/* ---- Connections ---- */

static void set_deadline(wh_server *server, wh_server_conn *conn, double seconds)
{
    double at = seconds > 0 ? wh_clock_seconds() + seconds : 0;
    pthread_mutex_lock(&server->lock);
    conn->deadline = at;
    pthread_mutex_unlock(&server->lock);
}

static void begin_connection(wh_server *server, struct MHD_Connection *connection, void **slot)
{
    const union MHD_ConnectionInfo *info;
    wh_server_conn *conn;
    *slot = NULL; /* without a conn the first request is cut off */
    if (WH_NEW(&conn, 1) != WHIST_OK) return;
    if (server->has_gate) {
        info = server->lib->MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        conn->set = info ? wh_gate_enter(&server->gate, (gnutls_session_t)info->tls_session) : NULL;
        if (!conn->set) {
            wh_free(conn);
            return;
        }
    }
    info = server->lib->MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    conn->fd = info->connect_fd;
    wh_gate_address(conn->from, conn->fd);
    conn->deadline = wh_clock_seconds() + server->options.head_ms / 1000.0;
    pthread_mutex_lock(&server->lock);
    conn->next = server->conns;
    if (conn->next) conn->next->prev = conn;
    server->conns = conn;
    pthread_mutex_unlock(&server->lock);
    atomic_fetch_add(&server->connections, 1);
    *slot = conn;
}

static void end_connection(wh_server *server, wh_server_conn *conn)
{
    pthread_mutex_lock(&server->lock);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        server->conns = conn->next;
    if (conn->next) conn->next->prev = conn->prev;
    pthread_mutex_unlock(&server->lock);
    atomic_fetch_sub(&server->connections, 1);
    if (conn->set) wh_gate_leave(&server->gate, conn->set);
    wh_free(conn);
}

void wh_server_on_connection(void *cls, struct MHD_Connection *connection, void **slot,
                             enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        begin_connection(cls, connection, slot);
    else if (*slot)
        end_connection(cls, *slot);
}

/* ---- Answers ---- */

typedef struct reply {
    wh_server *server;
    wh_buf body;
    size_t reserved;
} reply;

static void reply_free(void *cls)
{
    reply *sent = cls;
    wh_server_release(sent->server, sent->reserved);
    wh_buf_clear(&sent->body);
    wh_free(sent);
}

static void add_header(const wh_mhd *lib, struct MHD_Response *response, const char *name, const char *value)
{
    (void)lib->MHD_add_response_header(response, name, value); /* fails on memory only: then it is missing */
}

static void add_headers(const wh_server *server, struct MHD_Response *response, const wh_job *job)
{
    bool text = job->response.code >= 400 || !server->has_gate;
    add_header(server->lib, response, "Content-Type", text ? "text/plain; charset=utf-8" : "application/octet-stream");
    if (job->response.retry_after_ms) {
        char number[16];
        snprintf(number, sizeof number, "%u",
                 job->response.retry_after_ms / 1000 + (job->response.retry_after_ms % 1000 > 0));
        add_header(server->lib, response, "Retry-After", number);
        snprintf(number, sizeof number, "%u", job->response.retry_after_ms);
        add_header(server->lib, response, "Whist-Retry-Ms", number);
    }
    if (atomic_load(&server->draining)) add_header(server->lib, response, "Connection", "close");
}

/* Sends job->response; its body and its room under the ceiling move to the reply. */
static enum MHD_Result answer(wh_server *server, wh_job *job)
{
    reply *sent;
    if (WH_NEW(&sent, 1) != WHIST_OK) return MHD_NO;
    *sent = (reply){server, job->response.body, job->reserved};
    job->response.body = (wh_buf)WH_BUF_EMPTY;
    job->reserved = 0;
    static uint8_t nothing[1];
    size_t len = sent->body.len;
    struct MHD_Response *response = server->lib->MHD_create_response_from_buffer_with_free_callback_cls(
        len, len ? sent->body.data : nothing, reply_free, sent);
    if (!response) {
        reply_free(sent);
        return MHD_NO;
    }
    add_headers(server, response, job);
    atomic_fetch_add(&server->bytes_out, len);
    set_deadline(server, job->conn, server->options.idle_ms / 1000.0);
    job->state = WH_JOB_SAID;
    enum MHD_Result result = server->lib->MHD_queue_response(job->connection, (unsigned)job->response.code, response);
    server->lib->MHD_destroy_response(response); /* gives up our reference; the queue holds its own */
    return result;
}

static enum MHD_Result say(wh_server *server, wh_job *job, int code, uint32_t retry_after_ms, const char *text)
{
    wh_server_say(&job->response, code, retry_after_ms, text);
    return answer(server, job);
}

/* ---- Requests ---- */

static enum MHD_Result refuse(wh_server *server, wh_job *job)
{
    const char *text = whist_detail_get()->text;
    atomic_fetch_add(&server->refused, 1);
    wh_log(WHIST_LOG_WARNING, "peer.refused", "%s: %s", job->conn->from, text);
    enum MHD_Result result = say(server, job, 403, 0, text);
    set_deadline(server, job->conn, server->options.head_ms / 1000.0); /* no long stay for strangers */
    return result;
}

static whist_status admit(wh_server *server, wh_job *job)
{
    if (!server->has_gate) return WHIST_OK;
    const union MHD_ConnectionInfo *info =
        server->lib->MHD_get_connection_info(job->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (!info) WH_FAIL(WHIST_E_AUTH, "the connection is not under TLS");
    return wh_gate_admit(&job->peer, &server->gate, &job->conn->admission, (gnutls_session_t)info->tls_session);
}

/* The length of the body that is announced; false where it is not said. */
static bool announced(const wh_server *server, const wh_job *job, uint64_t *out)
{
    const wh_mhd *lib = server->lib;
    const char *text = lib->MHD_lookup_connection_value(job->connection, MHD_HEADER_KIND, "Content-Length");
    if (lib->MHD_lookup_connection_value(job->connection, MHD_HEADER_KIND, "Transfer-Encoding")) return false;
    *out = 0;
    if (!text) return strcmp(job->method, "GET") == 0;
    if (strlen(text) == 0 || strlen(text) > 18 || strspn(text, "0123456789") != strlen(text)) return false;
    *out = strtoull(text, NULL, 10);
    return true;
}

/* Room for what this exchange will hold: the body, or the chunk that a GET will bring. */
static void make_room(wh_server *server, wh_job *job, size_t len)
{
    size_t need = len;
    if (strcmp(job->method, "GET") == 0 && wh_net_body_max(job->path) == WH_NET_CHUNK_MAX) need = WH_NET_CHUNK_MAX;
    uint8_t *room;
    if (wh_server_reserve(server, need)) {
        job->reserved = need;
        if (wh_buf_grow(&job->body, &room, len) == WHIST_OK) {
            job->body.len = 0;
            return;
        }
    }
    job->discard = true;
}

/* The head is there. Everything that can be said without the body is said now. */
static enum MHD_Result read_head(wh_server *server, wh_job *job, const char *url, const char *method)
{
    if (atomic_load(&server->draining)) return say(server, job, 503, 1000, WH_SERVER_STOPPING);
    if (admit(server, job) != WHIST_OK) return refuse(server, job);
    bool known =
        strcmp(method, "GET") == 0 || (server->has_gate && (!strcmp(method, "PUT") || !strcmp(method, "POST")));
    if (!known) return say(server, job, 405, 0, "only GET, PUT and POST are spoken here");
    snprintf(job->method, sizeof job->method, "%s", method);
    uint64_t len;
    bool long_path = strlen(url) > WH_NET_PATH_MAX;
    if (!long_path) snprintf(job->path, sizeof job->path, "%s", url);
    bool has_length = announced(server, job, &len);
    if (long_path || !has_length || len > wh_net_body_max(job->path)) {
        atomic_fetch_add(&server->oversized, 1);
        if (long_path) return say(server, job, 414, 0, "the path is longer than 512 letters");
        if (!has_length) return say(server, job, 411, 0, "a body needs a Content-Length");
        return say(server, job, 413, 0, "the body is too long: cut it into chunks of 4 MiB");
    }
    make_room(server, job, (size_t)len);
    double share = len > 1 << 20 ? (double)len / (1 << 20) : 1;
    set_deadline(server, job->conn, server->options.body_ms / 1000.0 * share);
    return MHD_YES;
}

static enum MHD_Result begin_request(wh_server *server, struct MHD_Connection *connection, const char *url,
                                     const char *method, void **slot)
{
    const union MHD_ConnectionInfo *info =
        server->lib->MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    wh_job *job;
    if (!info || !info->socket_context || WH_NEW(&job, 1) != WHIST_OK) return MHD_NO;
    job->conn = info->socket_context;
    job->connection = connection;
    job->state = WH_JOB_READING;
    *slot = job;
    pthread_mutex_lock(&server->lock);
    server->n_jobs++;
    pthread_mutex_unlock(&server->lock);
    return read_head(server, job, url, method);
}

static enum MHD_Result take_upload(wh_server *server, wh_job *job, const char *upload, size_t *len)
{
    atomic_fetch_add(&server->bytes_in, *len);
    /* The room was made for the announced length, so only a peer that sends more can fail here. */
    if (!job->discard && (*len > job->reserved - job->body.len || wh_buf_add(&job->body, upload, *len) != WHIST_OK))
        return MHD_NO;
    *len = 0;
    return MHD_YES;
}

/* The body is whole: the connection sleeps until a worker has an answer. Never for longer than there are workers:
 * libmicrohttpd ends the process when its loops end beside a sleeping connection. */
static enum MHD_Result hand_over(wh_server *server, wh_job *job)
{
    if (job->discard) {
        atomic_fetch_add(&server->overloaded, 1);
        return say(server, job, 503, 1000, "the server has no room for this body now: try again");
    }
    set_deadline(server, job->conn, 0);
    job->state = WH_JOB_WORKING;
    server->lib->MHD_suspend_connection(job->connection); /* first: a worker may be quick */
    if (wh_server_work_push(server, job)) return MHD_YES;
    wh_server_say(&job->response, 503, 1000, WH_SERVER_STOPPING);
    job->state = WH_JOB_DONE;
    server->lib->MHD_resume_connection(job->connection);
    return MHD_YES;
}

enum MHD_Result wh_server_on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                     const char *version, const char *upload, size_t *upload_len, void **slot)
{
    (void)version;
    wh_server *server = cls;
    wh_job *job = *slot;
    if (!job) return begin_request(server, connection, url, method, slot);
    /* A daemon that is shutting down takes an answer, forgets it and asks again: the connection is closed then. */
    if (job->state == WH_JOB_SAID) return MHD_NO;
    if (*upload_len) return take_upload(server, job, upload, upload_len);
    if (job->state == WH_JOB_READING) return hand_over(server, job);
    return answer(server, job);
}

void wh_server_on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                            enum MHD_RequestTerminationCode code)
{
    (void)connection, (void)code;
    wh_server *server = cls;
    wh_job *job = *slot;
    if (!job) return;
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK && job->response.code != 403)
        set_deadline(server, job->conn, server->options.idle_ms / 1000.0);
    wh_server_release(server, job->reserved);
    wh_buf_clear(&job->body);
    wh_response_clear(&job->response);
    wh_free(job);
    *slot = NULL;
    pthread_mutex_lock(&server->lock);
    if (--server->n_jobs == 0) pthread_cond_broadcast(&server->quiet);
    pthread_mutex_unlock(&server->lock);
}
