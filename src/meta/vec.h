/* meta/vec.h: arithmetic on flat vectors of a graph's type. */
#ifndef WH_META_VEC_H
#define WH_META_VEC_H

#include "nn/graph/graph.h"

size_t wh_vec_size(wh_real real); /* bytes of a number */
/* The vector from its element i on. */
void *wh_vec_at(wh_real real, void *x, size_t i);
const void *wh_vec_from(wh_real real, const void *x, size_t i);

void wh_vec_zero(wh_real real, void *out, size_t n);
void wh_vec_copy(wh_real real, void *out, const void *x, size_t n);
void wh_vec_scale(wh_real real, void *out, const void *x, double factor, size_t n); /* out may be x */
void wh_vec_add(wh_real real, void *out, const void *x, double factor, size_t n);   /* out += factor x */
void wh_vec_sub(wh_real real, void *out, const void *a, const void *b, size_t n);   /* out may be a or b */
/* Summed in double, in order. */
double wh_vec_dot(wh_real real, const void *a, const void *b, size_t n);
double wh_vec_number(wh_real real, const void *x);
void wh_vec_set(wh_real real, void *out, double number);

#endif
