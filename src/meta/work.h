/* meta/work.h: the memory of one thread, and running a part of a task in it. */
#ifndef WH_META_WORK_H
#define WH_META_WORK_H

#include "meta/meta_parts.h"
#include "meta/vec.h"

/* Vectors are of the meta's type. */
typedef struct wh_meta_worker {
    const wh_meta *meta;
    wh_run *run[WH_META_PARTS];
    void *z;          /* (slots, n_adapted): points; wh_meta_point */
    size_t segment;   /* the points between this kept one and the next are there */
    void *v[2];       /* (n) each, taking turns */
    void *d, *part_d; /* (n): the prior's share, and one step's; where the problem has a prior */
    void *slope;      /* (n): ∂Q/∂z */
    void *rates;      /* (n_rates): dL/dA */
    void *solve[6];   /* IMPLICIT (n): x, r, p twice */
    void *tamed;      /* IMPLICIT: 64 bytes: the rate of this task, where the problem's own climbs */
    bool is_tamed;
    double *numbers; /* 64 bytes: single results */
    void *gates;     /* LSTM (k+1, 2, n_adapted): i, f of each step */
    void *slopes;    /* LSTM (k, n_adapted), and the losses (k) */
    void *losses;
    void *cotangents; /* LSTM (2, 3, n_adapted): of c, i, f, taking turns */
    size_t now;       /* which of v holds the current one */
} wh_meta_worker;

WH_MUST_CHECK whist_status wh_meta_worker_init(wh_meta_worker *worker, const wh_meta *meta, size_t *bytes);
void wh_meta_worker_clear(wh_meta_worker *worker);

static inline wh_real wh_meta_real(const wh_meta_worker *w)
{
    return w->meta->problem.real;
}

/* Where the j-th point lies, (n_adapted): a place of its own if it is kept, else one that it shares with those of other
 * segments. */
void *wh_meta_point(const wh_meta_worker *worker, size_t j);
/* Makes the points up to z_j again, if others lie there now. */
WH_MUST_CHECK whist_status wh_meta_recall(wh_meta_worker *worker, const wh_meta_at *at, const wh_meta_task *task,
                                          size_t j);

/* z, θ, the arrays of the task and (STEP, BACK) the rates, all as of step j. */
WH_MUST_CHECK whist_status wh_meta_bind(wh_meta_worker *worker, wh_meta_part_id id, const wh_meta_at *at,
                                        const wh_meta_task *task, size_t j);
/* Vector k of the part: one of (n) as its inputs; outputs from `first` on: into one of (n). */
WH_MUST_CHECK whist_status wh_meta_bind_vector(wh_meta_worker *worker, wh_meta_part_id id, size_t k, const void *x);
WH_MUST_CHECK whist_status wh_meta_bind_output(wh_meta_worker *worker, wh_meta_part_id id, size_t first, void *out);
/* Outputs from `first` on, of the tensors that adapt, into one of (n_adapted). */
WH_MUST_CHECK whist_status wh_meta_bind_adapted(wh_meta_worker *worker, wh_meta_part_id id, size_t first, void *out);
WH_MUST_CHECK whist_status wh_meta_bind_rates(wh_meta_worker *worker, wh_meta_part_id id, const wh_meta_at *at,
                                              size_t j);
/* Adds the outputs from `first` on to the rates' gradient of step j. */
void wh_meta_take_rates(wh_meta_worker *worker, wh_meta_part_id id, size_t first, size_t j);

/* z_0 … z_k. support_loss: S(z_0), or NULL. */
WH_MUST_CHECK whist_status wh_meta_forward(wh_meta_worker *worker, double *support_loss, const wh_meta_at *at,
                                           const wh_meta_task *task);
/* The points z_1 … z_k from z_0, as they are made. */
WH_MUST_CHECK whist_status wh_meta_walk(wh_meta_worker *worker, double *support_loss, const wh_meta_at *at,
                                        const wh_meta_task *task);
/* IMPLICIT: the same at the rate, or at the largest half, quarter, … of it with which the steps end lower than they
 * began. */
WH_MUST_CHECK whist_status wh_meta_descend(wh_meta_worker *worker, double *support_loss, const wh_meta_at *at,
                                           const wh_meta_task *task);
/* IMPLICIT: moves z_k on to the minimum, and v to λ (H + λ)⁻¹ v. */
WH_MUST_CHECK whist_status wh_meta_to_minimum(wh_meta_worker *worker, const wh_meta_at *at, const wh_meta_task *task);
WH_MUST_CHECK whist_status wh_meta_through_minimum(wh_meta_worker *worker, const wh_meta_at *at,
                                                   const wh_meta_task *task);

/* LSTM: the steps, and v through them. */
WH_MUST_CHECK whist_status wh_meta_gates_forward(wh_meta_worker *worker, double *support_loss, const wh_meta_at *at,
                                                 const wh_meta_task *task);
WH_MUST_CHECK whist_status wh_meta_gates_back(wh_meta_worker *worker, const wh_meta_at *at);

#endif
