/* run/fetch.c: public data sets from their publishers, by libcurl.
 *
 * libcurl comes by dlopen when a file is really missing: linked in, it and what it loads would cost every
 * process of a federation several MiB for something that is done once, before. Bytes go through SHA-256 on their
 * way into NAME.part; only what is as published gets its name. */
#define CURL_DISABLE_TYPECHECK

#include "base/file.h"
#include "base/log.h"
#include "crypt/hash.h"

#include <whist/run.h>

#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_URL = 2048, MAX_REDIRECTS = 5, CONNECT_S = 20, STALL_S = 60 };

/* ---- libcurl ---- */

#define CURL_FUNCTIONS(X)                                                                                              \
    X(curl_global_init)                                                                                                \
    X(curl_easy_init)                                                                                                  \
    X(curl_easy_setopt)                                                                                                \
    X(curl_easy_perform)                                                                                               \
    X(curl_easy_getinfo)                                                                                               \
    X(curl_easy_strerror)                                                                                              \
    X(curl_easy_cleanup)

typedef struct curl_table {
#define FIELD(name) __typeof__(name) *name;
    CURL_FUNCTIONS(FIELD)
} curl_table;

/* Filled once, then only read. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static curl_table table;
static char missing[256];

static void *find(void *library, const char *name)
{
    void *function = dlsym(library, name);
    if (!function) snprintf(missing, sizeof missing, "it has no %s", name);
    return function;
}

static void load(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *text = dlerror();
        snprintf(missing, sizeof missing, "%s", text ? text : "cannot be loaded");
        return;
    }
#define LOAD(name) table.name = (__typeof__(table.name))find(library, #name);
    CURL_FUNCTIONS(LOAD)
    if (!missing[0] && table.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(missing, sizeof missing, "it does not start");
}

static whist_status get_curl(const curl_table **out)
{
    pthread_once(&once, load);
    if (missing[0])
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "downloading needs libcurl.so.4 (install libcurl4, or bring the files by hand): %s", missing);
    *out = &table;
    return WHIST_OK;
}

/* ---- One transfer ---- */

typedef struct transfer {
    const curl_table *curl;
    CURL *easy;
    const whist_data_file *file;
    const char *cafile;
    whist_progress_fn *progress;
    void *user;
    char url[MAX_URL], part[4096], why[CURL_ERROR_SIZE];
    wh_fd fd;
    wh_sha256 hash;
    uint64_t got;
    bool too_long;
    whist_status failed; /* of our own callbacks */
} transfer;

static size_t take(char *bytes, size_t one, size_t n, void *user)
{
    (void)one; /* always 1 */
    transfer *t = user;
    if (n > t->file->size - t->got) {
        t->too_long = true;
        return 0;
    }
    t->failed = wh_write_at(t->fd, bytes, n, t->got);
    if (t->failed != WHIST_OK) return 0;
    wh_sha256_update(&t->hash, bytes, n);
    t->got += n;
    return n;
}

static int tell(void *user, curl_off_t expected, curl_off_t now, curl_off_t up, curl_off_t up_now)
{
    (void)expected, (void)now, (void)up, (void)up_now;
    transfer *t = user;
    t->failed = wh_progress(t->progress, t->user, "fetch", t->got, t->file->size, t->file->name);
    return t->failed != WHIST_OK;
}

static bool set_up(transfer *t)
{
    const curl_table *c = t->curl;
    bool ok = true;
#define SET(option, value) ok = ok && c->curl_easy_setopt(t->easy, (option), (value)) == CURLE_OK
    SET(CURLOPT_URL, t->url);
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (t->cafile) {
        SET(CURLOPT_CAINFO, t->cafile);
        SET(CURLOPT_CAPATH, NULL);
    }
    SET(CURLOPT_FAILONERROR, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    SET(CURLOPT_USERAGENT, "whist/" WH_VERSION);
    SET(CURLOPT_ERRORBUFFER, t->why);
    SET(CURLOPT_WRITEFUNCTION, take);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_XFERINFOFUNCTION, tell);
    SET(CURLOPT_XFERINFODATA, t);
    SET(CURLOPT_NOPROGRESS, 0L);
    return ok;
}

static whist_status explain(const transfer *t, CURLcode code)
{
    const char *why = t->why[0] ? t->why : t->curl->curl_easy_strerror(code);
    long http = 0;
    if (t->failed != WHIST_OK) return t->failed;
    if (t->too_long)
        WH_FAIL(WHIST_E_FORMAT, "%s: longer than the %llu bytes of the published file", t->url,
                (unsigned long long)t->file->size);
    switch (code) {
    case CURLE_HTTP_RETURNED_ERROR:
        (void)t->curl->curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &http);
        WH_FAIL(WHIST_E_IO, "%s: the server answers %ld%s", t->url, http, http == 404 ? " (not found)" : "");
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        WH_FAIL(WHIST_E_IO, "%s: %s: without a network, bring the files by hand or name a mirror", t->url, why);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        WH_FAIL(WHIST_E_IO, "%s: ended after %llu of %llu bytes: try again", t->url, (unsigned long long)t->got,
                (unsigned long long)t->file->size);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR: WH_FAIL(WHIST_E_AUTH, "%s: the server could not be verified: %s", t->url, why);
    case CURLE_UNSUPPORTED_PROTOCOL: WH_FAIL(WHIST_E_AUTH, "%s: leads away from https: %s", t->url, why);
    case CURLE_OPERATION_TIMEDOUT: WH_FAIL(WHIST_E_TIMEOUT, "%s: %s", t->url, why);
    case CURLE_OUT_OF_MEMORY: WH_FAIL(WHIST_E_NOMEM, "%s: %s", t->url, why);
    default: WH_FAIL(WHIST_E_IO, "%s: %s", t->url, why);
    }
}

static whist_status check_bytes(transfer *t)
{
    wh_digest digest, expected;
    char have[65];
    if (t->got != t->file->size)
        WH_FAIL(WHIST_E_IO, "%s: ended after %llu of %llu bytes: try again", t->url, (unsigned long long)t->got,
                (unsigned long long)t->file->size);
    wh_sha256_final(&digest, &t->hash);
    WH_TRY(wh_digest_parse(&expected, t->file->sha256));
    wh_digest_hex(have, &digest);
    if (!wh_digest_equal(&digest, &expected))
        WH_FAIL(WHIST_E_FORMAT, "%s: not the published file: SHA-256 %s, expected %s; nothing was kept", t->url, have,
                t->file->sha256);
    return WHIST_OK;
}

/* A server that hangs up must not end the process by SIGPIPE, and a library does not change how signals are
 * handled: the signal is held back on this thread and, if it came, taken off. */
static CURLcode perform_quietly(const transfer *t)
{
    sigset_t broken_pipe, before;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    CURLcode code = t->curl->curl_easy_perform(t->easy);
    if (!sigismember(&before, SIGPIPE)) {
        (void)sigtimedwait(&broken_pipe, NULL, &(struct timespec){0});
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return code;
}

static whist_status perform(transfer *t)
{
    t->easy = t->curl->curl_easy_init();
    if (!t->easy) WH_FAIL(WHIST_E_NOMEM, "libcurl gave no handle");
    whist_status status = WHIST_OK;
    if (!set_up(t))
        status = wh_fail(WHIST_E_UNSUPPORTED, __FILE__, __LINE__, "downloading needs libcurl 7.85 or newer");
    if (status == WHIST_OK) {
        CURLcode code = perform_quietly(t);
        if (code != CURLE_OK) status = explain(t, code);
    }
    t->curl->curl_easy_cleanup(t->easy);
    return status;
}

static whist_status download_into_part(transfer *t)
{
    wh_sha256_init(&t->hash);
    WH_TRY(wh_open(&t->fd, t->part, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    whist_status status = perform(t);
    if (status == WHIST_OK) status = check_bytes(t);
    if (status == WHIST_OK) status = wh_sync(t->fd);
    wh_fd_close(&t->fd);
    return status;
}

/* ---- A set ---- */

typedef struct fetch {
    const whist_data_set *set;
    const char *folder, *mirror, *cafile;
    whist_progress_fn *progress;
    void *user;
} fetch;

static whist_status fetch_from(const fetch *f, const whist_data_file *file, const char *url)
{
    transfer t = {.file = file, .cafile = f->cafile, .progress = f->progress, .user = f->user, .fd = -1};
    char path[4096];
    WH_TRY(get_curl(&t.curl));
    if (snprintf(t.url, sizeof t.url, "%s", url) >= (int)sizeof t.url ||
        snprintf(path, sizeof path, "%s/%s", f->folder, file->name) >= (int)sizeof path ||
        snprintf(t.part, sizeof t.part, "%s/%s.part", f->folder, file->name) >= (int)sizeof t.part)
        WH_FAIL(WHIST_E_RANGE, "the address or the folder of %s is too long", file->name);
    whist_status status = download_into_part(&t);
    if (status == WHIST_OK) return wh_file_put_in_place(t.part, path);
    whist_detail why = *whist_detail_get();
    if (wh_file_remove(t.part) != WHIST_OK) wh_detail_put(&why); /* the first failure is the one to tell */
    return status;
}

static whist_status fetch_from_mirror(const fetch *f, const whist_data_file *file)
{
    char url[MAX_URL];
    size_t len = strlen(f->mirror);
    if (snprintf(url, sizeof url, "%s%s%s", f->mirror, f->mirror[len - 1] == '/' ? "" : "/", file->name) >=
        (int)sizeof url)
        WH_FAIL(WHIST_E_RANGE, "the address of the mirror is too long");
    return fetch_from(f, file, url);
}

static whist_status fetch_file(const fetch *f, const whist_data_file *file)
{
    if (f->mirror) return fetch_from_mirror(f, file);
    whist_status status = WHIST_E_IO;
    for (size_t i = 0; i < WHIST_DATA_MIRRORS && file->urls[i]; i++) {
        status = fetch_from(f, file, file->urls[i]);
        if (status == WHIST_OK || status == WHIST_E_CANCELLED || status == WHIST_E_UNSUPPORTED) return status;
        wh_log(WHIST_LOG_WARNING, "data.address", "%s", whist_detail_get()->text);
    }
    return status;
}

static whist_status fetch_missing(const fetch *f)
{
    for (const whist_data_file *file = f->set->files; file->name; file++) {
        const whist_data_file alone[] = {*file, {.name = NULL}};
        whist_data_set one = *f->set;
        one.files = alone;
        if (!file->urls[0] || whist_data_verify(&one, f->folder) == WHIST_OK) continue;
        WH_TRY(fetch_file(f, file));
    }
    return WHIST_OK;
}

whist_status whist_data_fetch(const whist_data_set *set, const char *folder, const char *mirror, const char *cafile,
                              whist_progress_fn *progress, void *user)
{
    WH_ENSURE(set && folder, WHIST_E_ARG);
    if (mirror && strncmp(mirror, "https://", 8) != 0)
        WH_FAIL(WHIST_E_ARG, "a mirror is an address that begins with https://, not '%.200s'", mirror);
    const fetch f = {set, folder, mirror, cafile, progress, user};
    WH_TRY(wh_make_dirs(folder));
    WH_TRY(fetch_missing(&f));
    if (whist_data_verify(set, folder) == WHIST_OK) return WHIST_OK;
    WH_TRY(whist_data_derive(set, folder));
    return whist_data_verify(set, folder);
}
