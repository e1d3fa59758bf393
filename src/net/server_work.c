/* net/server_work.c: the threads that compute, and the one that watches the time. */
#include "net/server_parts.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

enum {
    SMALL = 4096, /* answers up to here always find room */
    WATCH_NS = 250000000,
};

void wh_server_say(wh_response *response, int code, uint32_t retry_after_ms, const char *text)
{
    wh_response_clear(response);
    response->code = code;
    response->retry_after_ms = retry_after_ms;
    if (wh_buf_text(&response->body, "%s", text) != WHIST_OK) wh_buf_reset(&response->body);
}

/* ---- Workers ---- */

/* The request's body is gone, the answer takes its place under the ceiling. */
static void settle(wh_server *server, wh_job *job)
{
    wh_buf_clear(&job->body);
    size_t need = job->response.body.cap <= SMALL ? 0 : job->response.body.cap;
    if (need > job->reserved && !wh_server_reserve(server, need - job->reserved)) {
        atomic_fetch_add(&server->overloaded, 1);
        wh_server_say(&job->response, 503, 1000, "the server has no room for this answer now: try again");
        need = 0;
    }
    if (need < job->reserved) wh_server_release(server, job->reserved - need);
    job->reserved = need;
}

static void run(wh_server *server, wh_job *job)
{
    const wh_request request = {job->method, job->path, wh_buf_view(&job->body), job->peer};
    atomic_fetch_add(&server->requests, 1);
    whist_status status = server->options.handler(server->options.user, &request, &job->response);
    if (status != WHIST_OK) {
        wh_log(WHIST_LOG_WARNING, "server.failed", "%s %s of '%s': %s", job->method, job->path, job->peer.name,
               whist_detail_get()->text);
        wh_response_fail(&job->response, status);
    }
    if (job->response.code < 200 || job->response.code > 599) job->response.code = 500;
    settle(server, job);
}

static void hand_back(wh_server *server, wh_job *job)
{
    struct MHD_Connection *connection = job->connection;
    job->state = WH_JOB_DONE; /* the lock inside MHD_resume_connection carries it over to the loop */
    server->lib->MHD_resume_connection(connection);
}

static wh_job *next_job(wh_server *server, bool *stopping)
{
    pthread_mutex_lock(&server->lock);
    while (!server->first && !server->stopping) pthread_cond_wait(&server->work, &server->lock);
    *stopping = server->stopping;
    wh_job *job = server->first;
    if (job) {
        server->first = job->next;
        if (!server->first) server->last = &server->first;
    }
    pthread_mutex_unlock(&server->lock);
    return job;
}

static void *worker_main(void *arg)
{
    wh_server *server = arg;
    bool stopping;
    for (wh_job *job; (job = next_job(server, &stopping)) != NULL;) {
        if (stopping)
            wh_server_say(&job->response, 503, 1000, WH_SERVER_STOPPING);
        else
            run(server, job);
        hand_back(server, job);
    }
    return NULL;
}

bool wh_server_work_push(wh_server *server, wh_job *job)
{
    pthread_mutex_lock(&server->lock);
    bool taken = !server->stopping;
    if (taken) {
        job->next = NULL;
        *server->last = job;
        server->last = &job->next;
        pthread_cond_signal(&server->work);
    }
    pthread_mutex_unlock(&server->lock);
    return taken;
}

/* ---- The watch ---- */

/* Cuts connections past their deadline; libmicrohttpd sees the end of the stream and cleans up. The
 * descriptor is ours as long as the connection is in the list. */
static unsigned cut_late(wh_server *server)
{
    unsigned n = 0;
    double now = wh_clock_seconds();
    for (wh_server_conn *conn = server->conns; conn; conn = conn->next) {
        if (conn->cut || conn->deadline <= 0 || conn->deadline > now) continue;
        conn->cut = true;
        shutdown(conn->fd, SHUT_RDWR);
        n++;
    }
    return n;
}

static void *watch_main(void *arg)
{
    wh_server *server = arg;
    pthread_mutex_lock(&server->lock);
    while (!server->stopping) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_nsec += WATCH_NS;
        if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
        (void)pthread_cond_timedwait(&server->tick, &server->lock, &at);
        unsigned n = cut_late(server);
        if (n == 0) continue;
        atomic_fetch_add(&server->late, n);
        pthread_mutex_unlock(&server->lock);
        wh_log(WHIST_LOG_INFO, "server.late", "%u connections were closed because they took too long", n);
        pthread_mutex_lock(&server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

whist_status wh_server_work_start(wh_server *server)
{
    for (unsigned i = 0; i < server->options.workers; i++) {
        if (pthread_create(&server->workers[i], NULL, worker_main, server) != 0)
            WH_FAIL(WHIST_E_NOMEM, "cannot start a thread: is the limit on processes (ulimit -u) too small?");
        server->n_workers++;
    }
    if (pthread_create(&server->watch, NULL, watch_main, server) != 0)
        WH_FAIL(WHIST_E_NOMEM, "cannot start a thread: is the limit on processes (ulimit -u) too small?");
    server->has_watch = true;
    return WHIST_OK;
}

void wh_server_work_stop(wh_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_cond_broadcast(&server->work);
    pthread_cond_broadcast(&server->tick);
    pthread_mutex_unlock(&server->lock);
    for (unsigned i = 0; i < server->n_workers; i++) pthread_join(server->workers[i], NULL);
    if (server->has_watch) pthread_join(server->watch, NULL);
    server->n_workers = 0;
    server->has_watch = false;
}
