/* meta/vec.c: arithmetic on flat vectors of a graph's type. */
#include "meta/vec.h"

#include <string.h>

size_t wh_vec_size(wh_real real)
{
    return real == WH_F32 ? sizeof(float) : sizeof(double);
}

void *wh_vec_at(wh_real real, void *x, size_t i)
{
    return (uint8_t *)x + i * wh_vec_size(real);
}

const void *wh_vec_from(wh_real real, const void *x, size_t i)
{
    return (const uint8_t *)x + i * wh_vec_size(real);
}

void wh_vec_zero(wh_real real, void *out, size_t n)
{
    if (n > 0) memset(out, 0, n * wh_vec_size(real));
}

void wh_vec_copy(wh_real real, void *out, const void *x, size_t n)
{
    if (n > 0) memcpy(out, x, n * wh_vec_size(real));
}

void wh_vec_scale(wh_real real, void *out, const void *x, double factor, size_t n)
{
    if (real == WH_F32)
        for (size_t i = 0; i < n; i++) ((float *)out)[i] = (float)factor * ((const float *)x)[i];
    else
        for (size_t i = 0; i < n; i++) ((double *)out)[i] = factor * ((const double *)x)[i];
}

void wh_vec_add(wh_real real, void *out, const void *x, double factor, size_t n)
{
    if (real == WH_F32)
        for (size_t i = 0; i < n; i++) ((float *)out)[i] += (float)factor * ((const float *)x)[i];
    else
        for (size_t i = 0; i < n; i++) ((double *)out)[i] += factor * ((const double *)x)[i];
}

void wh_vec_sub(wh_real real, void *out, const void *a, const void *b, size_t n)
{
    if (real == WH_F32)
        for (size_t i = 0; i < n; i++) ((float *)out)[i] = ((const float *)a)[i] - ((const float *)b)[i];
    else
        for (size_t i = 0; i < n; i++) ((double *)out)[i] = ((const double *)a)[i] - ((const double *)b)[i];
}

double wh_vec_dot(wh_real real, const void *a, const void *b, size_t n)
{
    double sum = 0;
    if (real == WH_F32)
        for (size_t i = 0; i < n; i++) sum += (double)((const float *)a)[i] * (double)((const float *)b)[i];
    else
        for (size_t i = 0; i < n; i++) sum += ((const double *)a)[i] * ((const double *)b)[i];
    return sum;
}

double wh_vec_number(wh_real real, const void *x)
{
    return real == WH_F32 ? (double)*(const float *)x : *(const double *)x;
}

void wh_vec_set(wh_real real, void *out, double number)
{
    if (real == WH_F32)
        *(float *)out = (float)number;
    else
        *(double *)out = number;
}
