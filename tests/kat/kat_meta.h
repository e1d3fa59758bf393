/* kat/kat_meta.h: the cases about learning to learn. */
#ifndef WH_KAT_META_H
#define WH_KAT_META_H

#include "kat/kat_model.h"

/* A loss by its name in `task`, over the output of a network; the reduction is part of the name or in
 * loss_reduction. */
typedef struct kat_loss {
    wh_value (*build)(wh_graph *graph, wh_value output, wh_value target); /* NULL: not known */
    bool by_class;                                                        /* the target is an index */
} kat_loss;
kat_loss kat_loss_find(const wh_json *task);

/* Judges cases of these kinds; false where the kind is another. */
bool kat_judge_chain(kat_verdict *out, kat_case *c);  /* maml, fomaml, reptile, anil, meta_sgd */
bool kat_judge_heads(kat_verdict *out, kat_case *c);  /* proto, matching, r2d2 */
bool kat_judge_others(kat_verdict *out, kat_case *c); /* imaml, abml, lstm_meta, per_fedavg */

/* KAT_FAILED, with the reason of the status where there is none yet. */
kat_verdict kat_failed(kat_case *c);

#endif
