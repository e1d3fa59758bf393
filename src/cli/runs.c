/* cli/runs.c: a pool of seeds. Data are read once where no draw of the seed touches them. */
#include "cli/runs.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct pool {
    const cli_runs_in *in;
    whist_fed_result *runs;
    whist_dataset **shared; /* NULL: every seed opens its own */
    pthread_mutex_t lock;   /* guards what follows */
    size_t next, finished;
    int code;
} pool;

/* ---- Data ---- */

static void close_data(whist_dataset **data, size_t n)
{
    for (size_t i = 0; data && i < n; i++) whist_dataset_free(data[i]);
    free(data);
}

static int open_data(whist_dataset ***out, const whist_study *study, const char *folder)
{
    whist_dataset **data = calloc(whist_study_plan(study)->n_sites, sizeof *data);
    if (!data) return cli_no_memory();
    whist_status status = whist_study_open_data(study, folder ? folder : ".", data);
    if (status != WHIST_OK) {
        free(data);
        return cli_fail(status);
    }
    *out = data;
    return CLI_OK;
}

/* Whether folds and parts come from files alone. Pooled standardisation changes a data set once, so those
 * cannot be shared either. */
static bool is_fixed(const whist_schema *s)
{
    bool folds = s->format == WHIST_DATA_IDX ? s->test_images[0] != 0 : s->split_file[0] != 0;
    bool validation = s->validation_fraction <= 0 || s->fold_validation[0];
    bool parts = s->partition != WHIST_PARTITION_IID && s->partition != WHIST_PARTITION_SHARDS;
    return s->format != WHIST_DATA_SYNTHETIC && folds && validation && parts &&
           s->standardize != WHIST_STANDARDIZE_POOLED;
}

/* ---- One seed ---- */

static bool only_stop(void *user, const whist_progress *progress)
{
    (void)progress;
    const cli_progress *p = user;
    return !(p->stop && *p->stop);
}

static int run_with(whist_fed_result *out, const pool *p, const whist_study *study, whist_dataset **data)
{
    bool alone = p->in->n_seeds == 1;
    const whist_simulation simulation = {
        .plan = whist_study_plan(study),
        .data = data,
        .threads = alone ? p->in->threads : 1,
        .progress = alone ? cli_progress_show : only_stop,
        .user = p->in->progress,
        .replay = p->in->replay,
    };
    CLI_LIB(whist_fed_simulate(out, &simulation));
    return CLI_OK;
}

static int run_seed(pool *p, size_t k)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    CLI_LIB(whist_study_parse(&study, whist_study_text(p->in->study), p->in->path));
    whist_study_set_seed(study, p->in->first_seed + k);
    whist_dataset **own = NULL;
    if (!p->shared) CLI_TRY(open_data(&own, study, p->in->data));
    const whist_fed_plan *plan = whist_study_plan(study);
    if (k == 0 && p->in->opened) p->in->opened(p->shared ? p->shared : own, plan->sites, plan->n_sites);
    int code = run_with(&p->runs[k], p, study, p->shared ? p->shared : own);
    close_data(own, plan->n_sites);
    return code;
}

static void *work(void *user)
{
    pool *p = user;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        size_t k = p->next;
        bool go_on = p->code == CLI_OK && k < p->in->n_seeds;
        if (go_on) p->next++;
        pthread_mutex_unlock(&p->lock);
        if (!go_on) return NULL;
        int code = run_seed(p, k);
        pthread_mutex_lock(&p->lock);
        if (code != CLI_OK) p->code = code;
        p->finished++;
        if (p->in->n_seeds > 1) {
            const whist_progress now = {"simulate", p->finished, p->in->n_seeds, "seeds"};
            cli_progress_show(p->in->progress, &now);
        }
        pthread_mutex_unlock(&p->lock);
    }
}

static int run_all(pool *p)
{
    enum { MOST = 256 };
    size_t wanted = p->in->n_seeds < p->in->threads ? p->in->n_seeds : p->in->threads, n = 0;
    pthread_t threads[MOST];
    if (wanted > MOST) wanted = MOST;
    while (n + 1 < wanted && pthread_create(&threads[n], NULL, work, p) == 0) n++;
    work(p);
    while (n > 0) pthread_join(threads[--n], NULL);
    cli_progress_end(p->in->progress);
    return p->code;
}

int cli_runs_do(cli_runs *out, const cli_runs_in *in)
{
    pool p = {.in = in, .lock = PTHREAD_MUTEX_INITIALIZER};
    size_t n_sites = whist_study_plan(in->study)->n_sites;
    p.runs = calloc(in->n_seeds, sizeof *p.runs);
    if (!p.runs) return cli_no_memory();
    int code = is_fixed(whist_study_schema(in->study)) ? open_data(&p.shared, in->study, in->data) : CLI_OK;
    if (code == CLI_OK) code = run_all(&p);
    close_data(p.shared, n_sites);
    cli_runs runs = {p.runs, in->n_seeds};
    if (code == CLI_OK)
        *out = runs;
    else
        cli_runs_clear(&runs);
    return code;
}

void cli_runs_clear(cli_runs *runs)
{
    for (size_t k = 0; k < runs->n; k++) whist_fed_result_clear(&runs->runs[k]);
    free(runs->runs);
    *runs = (cli_runs){0};
}
