/* net/server_parts.h: what the three files of the server share. Only their test includes it besides.
 *
 *   server.c        life: start, reload, stop
 *   server_flow.c   the event loops: connections, heads, bodies, answers (callbacks of libmicrohttpd)
 *   server_work.c   workers that run the handler, and the watch over deadlines
 *
 * A request is a job. The loop that reads it owns it, hands it to the queue when it is whole (the
 * connection sleeps meanwhile), and has it back when a worker wakes the connection. */
#ifndef WH_NET_SERVER_PARTS_H
#define WH_NET_SERVER_PARTS_H

#include "net/gate.h"
#include "net/server.h"

#include <stdatomic.h>

enum { WH_SERVER_THREADS_MAX = 64 };

/* One connection; in the list of its server from its start to its end. */
typedef struct wh_server_conn {
    struct wh_server_conn *prev, *next;
    int fd;
    double deadline; /* wh_clock_seconds; 0: none. Guarded by the server's lock, as are the links */
    bool cut;
    wh_gate_set *set;
    wh_admission admission;
    char from[64]; /* the peer's address, for the log */
} wh_server_conn;

typedef enum wh_job_state {
    WH_JOB_READING, /* the loop's */
    WH_JOB_WORKING, /* in the queue or with a worker */
    WH_JOB_DONE,    /* the loop's: response is to be sent */
} wh_job_state;

typedef struct wh_job {
    struct wh_job *next;
    wh_server_conn *conn;
    struct MHD_Connection *connection;
    wh_job_state state;
    char method[8];
    char path[WH_NET_PATH_MAX + 1];
    wh_peer peer;
    wh_buf body;
    size_t reserved; /* of the ceiling on bodies */
    bool discard;    /* no room: the body is read and dropped, then 503 */
    wh_response response;
} wh_job;

struct wh_server {
    wh_server_options options; /* identity and address are not to be used after the start */
    const wh_mhd *lib;
    bool has_gate;
    wh_gate gate;
    struct MHD_Daemon *daemon;
    uint16_t port;

    pthread_mutex_t lock;  /* guards what follows, up to the counters; taken alone */
    pthread_cond_t work;   /* a job in the queue, or stopping */
    pthread_cond_t quiet;  /* n_jobs fell to 0 */
    pthread_cond_t tick;   /* stopping, for the watch */
    wh_job *first, **last; /* queue */
    wh_server_conn *conns;
    size_t n_jobs; /* from head to end of answer */
    bool stopping;

    pthread_t workers[WH_SERVER_THREADS_MAX], watch;
    unsigned n_workers;
    bool has_watch;

    atomic_bool draining;
    atomic_size_t body_bytes, body_bytes_peak;
    atomic_ullong requests, refused, overloaded, oversized, late, connections, bytes_in, bytes_out;
};

/* server_flow.c */
enum MHD_Result wh_server_on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                     const char *version, const char *upload, size_t *upload_len, void **slot);
void wh_server_on_connection(void *cls, struct MHD_Connection *connection, void **slot,
                             enum MHD_ConnectionNotificationCode code);
void wh_server_on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                            enum MHD_RequestTerminationCode code);

/* Room under the ceiling; false, and nothing taken, where there is none. */
bool wh_server_reserve(wh_server *server, size_t bytes);
void wh_server_release(wh_server *server, size_t bytes);

/* server_work.c */
WH_MUST_CHECK whist_status wh_server_work_start(wh_server *server);
/* Queued jobs are answered 503, running ones are waited for. */
void wh_server_work_stop(wh_server *server);
void wh_server_work_push(wh_server *server, wh_job *job);
/* Puts words into a response that the server itself gives. */
void wh_server_say(wh_response *response, int code, uint32_t retry_after_ms, const char *text);

#endif
