/* meta/prototypes.h: class means of a fixed embedding as the head of a model: what learners of prototypes share.
 *
 * The embedding f of a row is what the model's last dense layer sees. With p_k the mean of class k, the class whose
 * mean is nearest to a row is the one with the largest 2 p_k·f - |p_k|² (Snell et al. 2017, section 2.4): a dense layer
 * with weight 2 p and bias -|p|². So prototypes are a model like any other. */
#ifndef WH_META_PROTOTYPES_H
#define WH_META_PROTOTYPES_H

#include "nn/zoo.h"

#include <whist/data.h>
#include <whist/nn.h>

typedef struct wh_prototypes {
    const whist_model *model;
    size_t features, outputs, classes; /* F; columns of the head; K: of two classes there may be one column */
    size_t weight, bias;               /* where the head's tensors (F, outputs) and (outputs) begin */
    size_t batch;
    wh_program *program;
    wh_run *run;
    wh_value *params;
    float *x, *theta; /* (batch, D); (P): the model that embeds, which the caller fills */
} wh_prototypes;

/* batch: rows that go through the embedding at once, >= 1. `learner` is named in refusals: WHIST_E_UNSUPPORTED for what
 * is no task of classes, no model that ends in a dense layer with bias, or no set of independent rows of numbers. */
WH_MUST_CHECK whist_status wh_prototypes_init(wh_prototypes *out, const whist_model *model, const char *learner,
                                              size_t batch);
void wh_prototypes_clear(wh_prototypes *prototypes);

/* *out (n, F), until the next call: rows from … from + n - 1, n <= batch, embedded by theta. */
WH_MUST_CHECK whist_status wh_prototypes_embed(const float **out, wh_prototypes *prototypes, const whist_rows *rows,
                                               size_t from, size_t n);
/* The class of row i, below K; K for a target that is none. */
size_t wh_prototypes_class(const wh_prototypes *prototypes, const whist_rows *rows, size_t i);

/* The head of params (P): means (K, F + 1), in whose last column stands what is taken from the class's score: |p|², or
 * more where nothing is known of the class. */
void wh_prototypes_put(float *params, const wh_prototypes *prototypes, const float *means);

#endif
