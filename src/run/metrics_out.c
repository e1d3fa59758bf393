/* run/metrics_out.c: metrics.csv written anew, event records appended.
 *
 *   DIR/metrics.csv                            round,site,fold,metric,value,num,den,n; pooled rows have no site
 *   DIR/events.out.tfevents.SECONDS.STUDY      test/accuracy, test/accuracy/SITE over rounds
 *
 * A process begins its event file with all rounds of the store and removes the one an earlier process of the
 * same study left, so that a chart shows every round once. */
#include "run/metrics_out.h"

#include "base/clock.h"
#include "codec/csv.h"
#include "codec/tfevents.h"

#include <whist/run.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { LABEL = 16 };

struct wh_metrics_out {
    char *dir, *csv;
    char label[LABEL + 1]; /* of the study */
    wh_fd events;          /* -1 until the first scalar */
    uint64_t events_size;
    uint64_t round, rows; /* the end of what is written; 0 rows: nothing is */
    wh_buf tags;          /* "\nTAG\n…" of that round which the event file has */
};

/* ---- Life ---- */

whist_status wh_metrics_out_new(wh_metrics_out **out, const char *dir, const whist_fed_plan *plan)
{
    wh_metrics_out *m;
    WH_TRY(wh_make_dirs(dir));
    WH_TRY(WH_NEW(&m, 1));
    m->events = -1;
    wh_hex(m->label, plan->study, LABEL / 2);
    whist_status status = wh_strdup(&m->dir, dir);
    if (status == WHIST_OK) status = wh_path(&m->csv, dir, "metrics.csv");
    if (status != WHIST_OK) {
        wh_metrics_out_free(m);
        return status;
    }
    *out = m;
    return WHIST_OK;
}

void wh_metrics_out_free(wh_metrics_out *out)
{
    if (!out) return;
    wh_fd_close(&out->events);
    wh_buf_clear(&out->tags);
    wh_free(out->dir);
    wh_free(out->csv);
    wh_free(out);
}

/* ---- Rows ---- */

static const char *fold_name(whist_fold fold)
{
    switch (fold) {
    case WHIST_FOLD_TRAIN: return "train";
    case WHIST_FOLD_VALIDATION: return "validation";
    case WHIST_FOLD_TEST: return "test";
    }
    return "unknown";
}

static double value_of(const whist_metric_value *sum)
{
    return sum->num / sum->den; /* NaN where there is nothing to divide by: an empty field */
}

typedef struct writing {
    wh_metrics_out *out;
    wh_csv_writer csv;
    wh_buf events, tags;
    uint64_t round, rows; /* of the last row seen */
    uint64_t tags_round;  /* whose tags these are */
    double seconds;
} writing;

static whist_status put_row(writing *w, uint64_t round, const char *site, whist_fold fold, const char *name,
                            const whist_metric_value *sum)
{
    WH_TRY(wh_csv_put_int(&w->csv, (int64_t)round));
    WH_TRY(wh_csv_put_text(&w->csv, site));
    WH_TRY(wh_csv_put_text(&w->csv, fold_name(fold)));
    WH_TRY(wh_csv_put_text(&w->csv, name));
    WH_TRY(wh_csv_put_real(&w->csv, value_of(sum)));
    WH_TRY(wh_csv_put_real(&w->csv, sum->num));
    WH_TRY(wh_csv_put_real(&w->csv, sum->den));
    WH_TRY(wh_csv_put_real(&w->csv, sum->n));
    return wh_csv_end_row(&w->csv);
}

/* Adds the tag to those of the round; *fresh is false where it was there. */
static whist_status remember(writing *w, uint64_t round, const char *tag, bool *fresh)
{
    char line[2 * WHIST_NAME_SIZE + 80];
    if (round != w->tags_round) wh_buf_reset(&w->tags);
    w->tags_round = round;
    snprintf(line, sizeof line, "\n%s\n", tag);
    *fresh = !strstr(wh_buf_str(&w->tags), line);
    return *fresh ? wh_buf_text(&w->tags, "%s", line) : WHIST_OK;
}

static whist_status put_event(writing *w, uint64_t round, const char *site, whist_fold fold, const char *name,
                              const whist_metric_value *sum)
{
    char tag[2 * WHIST_NAME_SIZE + 64];
    bool fresh;
    snprintf(tag, sizeof tag, "%s/%.60s%s%.63s", fold_name(fold), name, site[0] ? "/" : "", site);
    if (w->out->rows && round < w->out->round) return WHIST_OK;
    WH_TRY(remember(w, round, tag, &fresh));
    if (!fresh || !(sum->den > 0)) return WHIST_OK;
    return wh_tfevents_scalar(&w->events, w->seconds, (int64_t)round, tag, (float)value_of(sum));
}

static whist_status write_one(void *user, uint64_t round, const char *site, whist_fold fold, const char *name,
                              const whist_metric_value *sum)
{
    writing *w = user;
    WH_TRY(put_row(w, round, site, fold, name, sum));
    WH_TRY(put_event(w, round, site, fold, name, sum));
    w->rows = round == w->round ? w->rows + 1 : 1;
    w->round = round;
    return WHIST_OK;
}

/* ---- The event file ---- */

static bool is_ours(const wh_metrics_out *out, const char *name)
{
    static const char front[] = "events.out.tfevents.";
    size_t len = strlen(name);
    return strncmp(name, front, strlen(front)) == 0 && len > LABEL && name[len - LABEL - 1] == '.' &&
           strcmp(name + len - LABEL, out->label) == 0;
}

static whist_status remove_earlier(const wh_metrics_out *out)
{
    DIR *dir = opendir(out->dir);
    if (!dir) return wh_fail_errno(errno, out->dir, "open the folder");
    whist_status status = WHIST_OK;
    for (struct dirent *entry; status == WHIST_OK && (entry = readdir(dir));) {
        char *path = NULL;
        if (!is_ours(out, entry->d_name)) continue;
        status = wh_path(&path, out->dir, "%s", entry->d_name);
        if (status == WHIST_OK) status = wh_file_remove(path);
        wh_free(path);
    }
    closedir(dir);
    return status;
}

static whist_status open_events(wh_metrics_out *out)
{
    char name[128], *path = NULL;
    WH_TRY(remove_earlier(out));
    WH_TRY(wh_tfevents_name(name, wh_clock_unix_ms() / 1000, out->label));
    WH_TRY(wh_path(&path, out->dir, "%s", name));
    whist_status status = wh_open(&out->events, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    wh_free(path);
    return status;
}

static whist_status append_events(wh_metrics_out *out, const wh_buf *events, double seconds)
{
    if (!events->len) return WHIST_OK;
    WH_AUTO(wh_buf) front = WH_BUF_EMPTY;
    if (out->events < 0) WH_TRY(open_events(out));
    if (out->events_size == 0) WH_TRY(wh_tfevents_begin(&front, seconds));
    WH_TRY(wh_buf_add(&front, events->data, events->len));
    WH_TRY(wh_write_at(out->events, front.data, front.len, out->events_size));
    out->events_size += front.len;
    return WHIST_OK;
}

/* ---- */

static whist_status write_all(writing *w, wh_buf *csv, wh_store *store)
{
    WH_TRY(wh_buf_text(csv, "round,site,fold,metric,value,num,den,n\n"));
    WH_TRY(wh_buf_add(&w->tags, w->out->tags.data, w->out->tags.len));
    w->tags_round = w->out->round;
    WH_TRY(wh_store_metrics(store, write_one, w));
    WH_TRY(wh_file_write(w->out->csv, wh_buf_view(csv), 0644));
    return append_events(w->out, &w->events, w->seconds);
}

whist_status wh_metrics_out_write(wh_metrics_out *out, wh_store *store)
{
    uint64_t round, rows;
    WH_TRY(wh_store_metrics_end(store, &round, &rows));
    if (rows == out->rows && round == out->round) return WHIST_OK;
    WH_AUTO(wh_buf) csv = WH_BUF_EMPTY;
    writing w = {.out = out, .csv = wh_csv_writer_over(&csv), .seconds = (double)wh_clock_unix_ms() / 1000};
    whist_status status = write_all(&w, &csv, store);
    if (status == WHIST_OK) {
        out->round = w.round;
        out->rows = w.rows;
        wh_buf_clear(&out->tags);
        out->tags = w.tags;
        w.tags = (wh_buf)WH_BUF_EMPTY;
    }
    wh_buf_clear(&w.events);
    wh_buf_clear(&w.tags);
    return status;
}

/* ---- Of a result ---- */

static whist_status put_metrics(wh_store *store, const whist_fed_plan *plan, uint64_t round, const char *site,
                                const whist_fed_metrics *at)
{
    for (size_t m = 0; m < plan->n_metrics; m++) {
        if (at->test[m].n > 0)
            WH_TRY(wh_store_metric_put(store, round, site, WHIST_FOLD_TEST, plan->metrics[m], &at->test[m]));
        if (at->validation[m].n > 0)
            WH_TRY(
                wh_store_metric_put(store, round, site, WHIST_FOLD_VALIDATION, plan->metrics[m], &at->validation[m]));
    }
    return WHIST_OK;
}

/* A baseline over single sites has no history: its last metrics are all there is. */
static whist_status put_result(wh_store *store, const whist_fed_plan *plan, const whist_fed_result *result)
{
    for (size_t h = 0; h < result->n_history; h++)
        WH_TRY(put_metrics(store, plan, result->history[h].round, "", &result->history[h]));
    if (!result->n_history) WH_TRY(put_metrics(store, plan, result->rounds, "", &result->pooled));
    for (size_t i = 0; result->sites && i < plan->n_sites; i++)
        WH_TRY(put_metrics(store, plan, result->rounds, plan->sites[i].name, &result->sites[i]));
    return WHIST_OK;
}

whist_status whist_metrics_save(const char *dir, const whist_fed_plan *plan, const whist_fed_result *result)
{
    WH_ENSURE(dir && plan && result && (!result->sites || result->n_sites == plan->n_sites), WHIST_E_ARG);
    wh_metrics_out *out = NULL;
    wh_store *store = NULL;
    WH_TRY(wh_store_open(&store, NULL, plan->study));
    whist_status status = wh_store_begin(store);
    if (status == WHIST_OK) status = put_result(store, plan, result);
    if (status == WHIST_OK) status = wh_store_commit(store);
    if (status == WHIST_OK) status = wh_metrics_out_new(&out, dir, plan);
    if (status == WHIST_OK) status = wh_metrics_out_write(out, store);
    wh_metrics_out_free(out);
    wh_store_close(store);
    return status;
}
