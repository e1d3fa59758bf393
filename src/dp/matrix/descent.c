/* matrix/descent.c: BFGS with a backtracking line search. */
#include "dp/matrix/descent.h"

#include <math.h>
#include <string.h>

typedef struct state {
    size_t n;
    double *x, *g;         /* where we are */
    double *next, *g_next; /* where we look */
    double *direction, *s, *y, *hy;
    double *h; /* (n, n): of the inverse of the second derivative */
} state;

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void forget_curvature(state *z)
{
    memset(z->h, 0, z->n * z->n * sizeof *z->h);
    double size = sqrt(dot(z->g, z->g, z->n));
    for (size_t i = 0; i < z->n; i++) z->h[i * z->n + i] = size > 0 ? 0.05 / size : 1;
}

/* H becomes (I - s yᵀ/sᵀy) H (I - y sᵀ/sᵀy) + s sᵀ/sᵀy. */
static void learn_curvature(state *z)
{
    const size_t n = z->n;
    for (size_t i = 0; i < n; i++) z->s[i] = z->next[i] - z->x[i], z->y[i] = z->g_next[i] - z->g[i];
    double sy = dot(z->s, z->y, n);
    if (!(sy > 1e-14 * sqrt(dot(z->s, z->s, n) * dot(z->y, z->y, n)))) return;
    for (size_t i = 0; i < n; i++) z->hy[i] = dot(z->h + i * n, z->y, n);
    double scale = (1 + dot(z->y, z->hy, n) / sy) / sy;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            z->h[i * n + j] += scale * z->s[i] * z->s[j] - (z->hy[i] * z->s[j] + z->s[i] * z->hy[j]) / sy;
}

/* One step; false where there is none that helps. */
static bool step(state *z, double *value, wh_descent_fn *f, void *user)
{
    const size_t n = z->n;
    for (size_t i = 0; i < n; i++) z->direction[i] = -dot(z->h + i * n, z->g, n);
    double slope = dot(z->direction, z->g, n);
    if (!(slope < -1e-16)) return false;
    for (double length = 1; length > 1e-12; length /= 2) {
        for (size_t i = 0; i < n; i++) z->next[i] = z->x[i] + length * z->direction[i];
        double there = f(user, z->g_next, z->next);
        if (!(there <= *value + 1e-4 * length * slope)) continue;
        bool better = *value - there > 1e-13;
        learn_curvature(z);
        memcpy(z->x, z->next, n * sizeof *z->x);
        memcpy(z->g, z->g_next, n * sizeof *z->g);
        *value = there;
        return better;
    }
    return false;
}

whist_status wh_descend(double *x, size_t n, wh_descent_fn *f, void *user, unsigned rounds)
{
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    state z = {.n = n, .x = x};
    WH_ENSURE(n <= 256, WHIST_E_ARG);
    if (n == 0) return WHIST_OK;
    double **vectors[] = {&z.g, &z.next, &z.g_next, &z.direction, &z.s, &z.y, &z.hy};
    for (size_t i = 0; i < WH_COUNT(vectors); i++) WH_TRY(WH_ARENA_NEW(vectors[i], &arena, n));
    WH_TRY(WH_ARENA_NEW(&z.h, &arena, n * n));
    double value = f(user, z.g, x);
    forget_curvature(&z);
    for (unsigned i = 0, stuck = 0; i < rounds && stuck < 2; i++) {
        if (step(&z, &value, f, user)) {
            stuck = 0;
        } else {
            stuck++;
            forget_curvature(&z);
        }
    }
    return WHIST_OK;
}
