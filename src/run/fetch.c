/* run/fetch.c: public data sets from their publishers.
 *
 * Bytes go through SHA-256 on their way into NAME.part; only what is as published gets its name. */
#include "net/fetch.h"
#include "base/file.h"
#include "base/log.h"
#include "crypt/hash.h"

#include <whist/run.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { MAX_URL = 2048 };

/* ---- One transfer ---- */

typedef struct transfer {
    const whist_data_file *file;
    const char *cafile;
    whist_progress_fn *progress;
    void *user;
    char url[MAX_URL], part[4096];
    wh_fd fd;
    wh_sha256 hash;
    uint64_t got;
} transfer;

/* A wh_sink_fn. */
static whist_status take(void *user, whist_bytes piece)
{
    transfer *t = user;
    if (piece.len > t->file->size - t->got) WH_FAIL(WHIST_E_RANGE, "more bytes than were asked for");
    WH_TRY(wh_write_at(t->fd, piece.data, piece.len, t->got));
    wh_sha256_update(&t->hash, piece.data, piece.len);
    t->got += piece.len;
    return wh_progress(t->progress, t->user, "fetch", t->got, t->file->size, t->file->name);
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

static whist_status perform(transfer *t)
{
    wh_fetch_options options = WH_FETCH_OPTIONS_DEFAULT;
    options.ca_file = t->cafile;
    options.max = t->file->size;
    whist_status status = wh_fetch(take, t, t->url, &options);
    if (status == WHIST_E_RANGE)
        WH_FAIL(WHIST_E_FORMAT, "%s: longer than the %llu bytes of the published file", t->url,
                (unsigned long long)t->file->size);
    if (status == WHIST_E_IO && t->got == 0)
        WH_FAIL(status, "%s: %s; without a network, bring the files by hand or name a mirror", t->url,
                whist_detail_get()->text);
    return status == WHIST_OK ? WHIST_OK : wh_fail_context(status, "%s: ", t->url);
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
