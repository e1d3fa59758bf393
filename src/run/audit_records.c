/* run/audit_records.c: sums over records, under noise in shares or the coordinator's, under attack.
 *
 * The worst sites: one has the planted record or not, all others have nothing, and whoever is not needed for the noise
 * has told the attacker what it added. What is left is the sum of `honest` shares, or the coordinator's noise:
 *
 *     S + noise, in whole numbers modulo 2^bits, each round
 *
 * S is the learner's own sum over the world's rows, noise and ring are those of a federation (fed/private.h). Where the
 * noise is a sum of shares its law is not quite the one of the score, which makes the attack weaker, never the bound
 * wrong. */
#include "run/audit_parts.h"

#include "fed/private.h"
#include "learn/dp_parts.h"

#include <math.h>
#include <string.h>

typedef struct sums {
    wh_private rules;
    wh_noise *noise;
    int64_t *plain, *share, *all; /* (n): the world's sum, one share, what is opened */
    uint8_t *bytes;               /* (n) elements */
    double *opened;               /* (n) in the units of the model */
    float *grad;                  /* (n) */
    double factor;                /* of a clipped gradient in the model: -lr / L */
} sums;

static whist_status make(wh_audit *a)
{
    const whist_fed_plan *plan = a->in->plan;
    const whist_settings *settings = plan->learner_settings;
    const double batch = whist_settings_real(settings, "batch");
    sums *s;
    WH_TRY(WH_ARENA_NEW(&s, &a->memory, 1));
    s->rules = wh_private_rules(plan, plan->privacy->clip);
    s->factor =
        -whist_settings_real(settings, "lr") / (batch > 0 ? batch : (double)whist_settings_int(settings, "rows"));
    WH_TRY(WH_ARENA_NEW(&s->plain, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&s->share, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&s->all, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&s->bytes, &a->memory, a->n * sizeof(uint64_t)));
    WH_TRY(WH_ARENA_NEW(&s->opened, &a->memory, a->n));
    WH_TRY(WH_ARENA_NEW(&s->grad, &a->memory, a->n));
    a->clipping = wh_dp_clipping(settings);
    a->clip = plan->privacy->clip;
    a->steps = plan->rounds;
    a->object = s;
    return WHIST_OK;
}

static whist_status prove(double *epsilon, const wh_audit *a)
{
    *epsilon = wh_private_epsilon(a->in->plan, a->in->plan->rounds);
    return WHIST_OK;
}

static void leave(wh_audit *a)
{
    sums *s = a->object;
    wh_noise_free(s->noise);
    s->noise = NULL;
}

static whist_status enter(wh_audit *a, const whist_rows *rows)
{
    sums *s = a->object;
    const whist_fed_plan *plan = a->in->plan;
    whist_dataset *data = NULL;
    whist_learner *learner = NULL;
    WH_TRY(wh_noise_new(&s->noise));
    WH_TRY(whist_dataset_from_rows(&data, rows, NULL));
    const whist_learner_env env = {
        .model = plan->model, .data = data, .settings = plan->learner_settings, .site = plan->sites[0].name};
    const whist_learner_round round = {.model = a->params, .n = a->n};
    whist_status status = plan->learner->new_(&learner, &env);
    if (status == WHIST_OK) status = plan->learner->sum(learner, &round, a->clip, s->rules.step, s->plain);
    if (learner) plan->learner->free_(learner);
    whist_dataset_free(data);
    return status;
}

/* What is opened of one round. */
static whist_status release(wh_audit *a)
{
    sums *s = a->object;
    const whist_fed_plan *plan = a->in->plan;
    const size_t shares = plan->privacy->noise == WHIST_NOISE_DISTRIBUTED ? plan->privacy->honest : 1;
    memset(s->all, 0, a->n * sizeof *s->all);
    for (size_t k = 0; k < shares; k++) {
        if (k == 0)
            memcpy(s->share, s->plain, a->n * sizeof *s->share);
        else
            memset(s->share, 0, a->n * sizeof *s->share);
        WH_TRY(wh_private_records(s->share, plan, &s->rules, s->noise));
        for (size_t i = 0; i < a->n; i++) s->all[i] += s->share[i];
    }
    wh_private_pack(s->bytes, plan, s->all, a->n);
    return wh_private_sum(s->opened, plan, &s->rules, s->bytes, a->n, 0, 0, s->noise, s->all);
}

static whist_status trial(double *score, wh_audit *a)
{
    sums *s = a->object;
    const whist_fed_privacy *p = a->in->plan->privacy;
    const double unit = s->factor * a->clip, *place = a->place;
    double sigma = fabs(s->rules.sigma * s->rules.step / unit);
    if (p->noise == WHIST_NOISE_DISTRIBUTED) sigma *= sqrt((double)p->honest);
    *score = 0;
    for (uint64_t t = 0; t < a->steps; t++) {
        WH_TRY(release(a));
        for (size_t i = 0; i < a->n; i++) s->grad[i] = (float)(s->opened[i] / unit);
        double seen = wh_audit_along(a, s->grad);
        *score += (seen * (place[1] - place[0]) - (place[1] * place[1] - place[0] * place[0]) / 2) / (sigma * sigma);
    }
    return WHIST_OK;
}

const wh_audited wh_audited_records = {make, prove, enter, trial, leave};
