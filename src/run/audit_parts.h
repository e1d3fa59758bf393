/* run/audit_parts.h: what the audit (audit_private.c) and the mechanisms that it attacks have between them. */
#ifndef WH_RUN_AUDIT_PARTS_H
#define WH_RUN_AUDIT_PARTS_H

#include "base/mem.h"
#include "nn/clip.h"

#include <whist/run.h>

typedef struct wh_audited wh_audited;

typedef struct wh_audit {
    const whist_audit_in *in;
    const wh_audited *kind;
    void *object;          /* the kind's own, in memory */
    wh_clip_kind clipping; /* what the kind's make says */
    double clip;
    uint64_t steps; /* releases of a trial */
    size_t n, d;
    float *params;     /* (n) */
    float *x, *y;      /* (2, d), (2): row 0 without a gradient, row 1 planted */
    float *planted[2]; /* (d) of the worlds */
    float label[2];
    double *direction; /* (n) of length 1: from world 0 to world 1 */
    double place[2];   /* of the worlds along it, over the bound */
    double *score[2];  /* (trials) */
    wh_arena memory;
} wh_audit;

/* One way to release. A trial is all that a study releases, seen as the gradients' part along the direction, in units
 * of the bound; its score is the log-likelihood ratio of the two worlds by what the study claims. */
struct wh_audited {
    /* From the settings: object, clipping, clip, steps. */
    whist_status (*make)(wh_audit *a);
    /* Upper end of epsilon for a trial at the plan's delta. */
    whist_status (*prove)(double *epsilon, const wh_audit *a);
    /* The mechanism over these rows, of which the planted one is row 1, where there are two. */
    whist_status (*enter)(wh_audit *a, const whist_rows *rows);
    whist_status (*trial)(double *score, wh_audit *a);
    void (*leave)(wh_audit *a); /* after enter, whatever came of it */
};

extern const wh_audited wh_audited_step; /* learn/dp_step.h: dp-sgd, dp-reptile, dp-fomaml (audit_step.c) */
extern const wh_audited wh_audited_ftrl; /* learn/ftrl_step.h: dp-ftrl (audit_ftrl.c) */
extern const wh_audited
    wh_audited_records; /* record-sum under noise in shares or the coordinator's (audit_records.c) */

/* Of events in the plan's unit and relation, by privacy-loss distribution. */
WH_MUST_CHECK whist_status wh_audit_prove(double *epsilon, const wh_audit *a, whist_dp_event *events, size_t n);
/* The part of a gradient (n) along the direction. */
double wh_audit_along(const wh_audit *a, const float *grad);

#endif
