/* meta/metric.h: heads that compare a query with a few labelled examples: pieces of a graph over embeddings.
 *
 * They build a query objective for wh_meta with no inner steps, or stand in any other graph. support (S,D) and query
 * (Q,D) are embeddings, labels index (S) below `ways`; every class has at least one support row. Heads give logits
 * (Q,ways): their log-softmax is the log-probability, so wh_graph_cross_entropy is the loss. Embeddings of images come
 * as (S,C,H,W) where that is said. Failures stick to the graph. */
#ifndef WH_META_METRIC_H
#define WH_META_METRIC_H

#include "nn/graph/graph.h"

typedef enum wh_meta_score {
    WH_META_EUCLIDEAN, /* -|q - s|² */
    WH_META_COSINE,    /* q·s / (max(|q|, 1e-8) max(|s|, 1e-8)) */
} wh_meta_score;

/* (S,ways): 1 in the column of the row's label. */
wh_value wh_meta_one_hot(wh_graph *graph, wh_value labels, size_t ways);
/* (ways,…): the mean of each class of support (S,…). */
wh_value wh_meta_prototypes(wh_graph *graph, wh_value support, wh_value labels, size_t ways);
/* (Q,S): the score of each pair, times scale. */
wh_value wh_meta_scores(wh_graph *graph, wh_value query, wh_value support, wh_meta_score score, double scale);

/* Prototypical networks (Snell et al. 2017): scores against the class means. */
wh_value wh_meta_proto_head(wh_graph *graph, wh_value support, wh_value labels, wh_value query, size_t ways,
                            wh_meta_score score, double scale);
/* Matching networks (Vinyals et al. 2016): a softmax over the support rows, summed by class. */
wh_value wh_meta_matching_head(wh_graph *graph, wh_value support, wh_value labels, wh_value query, size_t ways,
                               wh_meta_score score, double scale);
/* R2-D2 (Bertinetto et al. 2019): W = argmin |Z W - Y|² + λ |W|² with Z the support and Y its labels one-hot; logits =
 * scale · query W + offset. lambda, scale, offset are scalars of the graph (learned or filled). The smaller of the
 * S × S and the D × D equations is solved. */
wh_value wh_meta_ridge_head(wh_graph *graph, wh_value support, wh_value labels, wh_value query, size_t ways,
                            wh_value lambda, wh_value scale, wh_value offset);

/* Full context embeddings of matching networks. */
typedef struct wh_meta_context {
    wh_value forward_w, forward_b;   /* (2D,4D), (4D): an LSTM over the support rows */
    wh_value backward_w, backward_b; /* the same, from the last row to the first */
    wh_value read_w, read_b;         /* (3D,4D), (4D): the LSTM that reads the support for a query */
    size_t reads;                    /* how often */
} wh_meta_context;
/* (S,D): each row plus what both LSTMs say at its place. */
wh_value wh_meta_context_support(wh_graph *graph, wh_value support, const wh_meta_context *context);
/* (Q,D): each query after `reads` looks at the support, which comes from wh_meta_context_support. */
wh_value wh_meta_context_query(wh_graph *graph, wh_value query, wh_value support, const wh_meta_context *context);

/* Relation networks (Sung et al. 2018): (Q·ways,2C,…), each query beside each prototype, for a network of the
 * caller's that gives every pair one number. prototypes (ways,C,…), query (Q,C,…), up to (…,C,H,W). */
wh_value wh_meta_pairs(wh_graph *graph, wh_value prototypes, wh_value query);
/* The mean squared difference of relations (Q,ways) and one-hot labels, index (Q). */
wh_value wh_meta_relation_loss(wh_graph *graph, wh_value relations, wh_value labels, size_t ways);

#endif
