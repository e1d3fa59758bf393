/* account/sketch.c: the rough picture of a pair, and cumulant functions from it. */
#include "dp/account/sketch.h"

#include <math.h>

enum { POINTS = 512 };

static void put(wh_dp_sketch *s, double loss, double p, double q)
{
    s->loss[s->n] = loss;
    s->p[s->n] = p;
    s->q[s->n++] = q;
}

static void put_base(wh_dp_sketch *s, const wh_dp_pair *pair, double base, double a, double b, double scale)
{
    double q = pair->amplify == WH_DP_PLAIN ? 1 : pair->rate, p = (1 - q) * b + q * a;
    double loss = wh_dp_amplified_loss(pair, base);
    if (pair->amplify != WH_DP_BY_SUBSET) {
        put(s, loss, scale * p, scale * b);
    } else if (base > 0) {
        put(s, loss, scale * p, scale * b);
        put(s, -loss, scale * b, scale * p);
    }
}

static double density(double t)
{
    return 0.39894228040143267794 * exp(-t * t / 2);
}

static void sketch_mixture(wh_dp_sketch *s, const wh_dp_pair *pair, double scale)
{
    double far = 0;
    for (size_t i = 0; i < pair->n; i++) far = fmax(far, pair->weight[i] > 0 ? pair->shift[i] : 0);
    double low = -12 - (pair->two_sided ? far : 0), high = 12 + far, dx = (high - low) / POINTS;
    for (int k = 0; k < POINTS; k++) {
        double x = low + (k + 0.5) * dx, p = 0, q = 0;
        for (size_t i = 0; i < pair->n; i++) {
            p += pair->weight[i] * density(x - pair->shift[i]);
            q += pair->two_sided ? pair->weight[i] * density(x + pair->shift[i]) : 0;
        }
        if (!pair->two_sided) q = density(x);
        if (p > 0 && q > 0) put(s, log(p / q), scale * p * dx, scale * q * dx);
    }
}

static void sketch_normal(wh_dp_sketch *s, const wh_dp_pair *pair, double scale)
{
    double low = -12, high = 12 + pair->mu, dx = (high - low) / POINTS;
    for (int k = 0; k < POINTS; k++) {
        double x = low + (k + 0.5) * dx;
        put_base(s, pair, pair->mu * (x - pair->mu / 2), density(x - pair->mu) * dx, density(x) * dx, scale);
    }
}

static void sketch_laplace(wh_dp_sketch *s, const wh_dp_pair *pair, double scale)
{
    double mu = pair->mu, d = 2 * mu / POINTS;
    put_base(s, pair, -mu, exp(-mu) / 2, 0.5, scale);
    for (int k = 0; k < POINTS; k++) {
        double l = -mu + (k + 0.5) * d;
        put_base(s, pair, l, exp((l - mu) / 2) * d / 4, exp(-(l + mu) / 2) * d / 4, scale);
    }
    put_base(s, pair, mu, 0.5, exp(-mu) / 2, scale);
}

static void sketch_atoms(wh_dp_sketch *s, const wh_dp_pair *pair, double scale)
{
    size_t step = pair->n / POINTS + 1;
    for (size_t i = 0; i < pair->n; i += step) {
        double p = 0, q = 0;
        for (size_t k = i; k < pair->n && k < i + step; k++) p += pair->p[k], q += pair->q[k];
        put_base(s, pair, log(p / q), p, q, scale);
    }
}

static void sketch(wh_dp_sketch *s, const wh_dp_pair *pair, double scale)
{
    size_t first = s->n;
    switch (pair->shape) {
    case WH_DP_NORMAL: sketch_normal(s, pair, scale); break;
    case WH_DP_TWO_LAPLACE: sketch_laplace(s, pair, scale); break;
    case WH_DP_MIXTURE: sketch_mixture(s, pair, scale); break;
    case WH_DP_ATOMS: sketch_atoms(s, pair, scale); break;
    }
    if (pair->amplify != WH_DP_BY_SUBSET) return;
    double rest = scale;
    for (size_t i = first; i < s->n; i++) rest -= s->p[i];
    put(s, 0, fmax(rest, 0), fmax(rest, 0));
}

whist_status wh_dp_sketch_init(wh_dp_sketch *out, wh_arena *arena, const wh_dp_pair *pair, double uses)
{
    enum { ROOM = 4 * POINTS + 16 };
    wh_dp_sketch s = {.uses = uses};
    WH_TRY(WH_ARENA_NEW(&s.loss, arena, 3 * ROOM));
    s.p = s.loss + ROOM;
    s.q = s.p + ROOM;
    sketch(&s, pair, pair->other ? 1 - pair->odds : 1);
    if (pair->other) sketch(&s, pair->other, pair->odds);
    *out = s;
    return WHIST_OK;
}

void wh_dp_sketch_trim(wh_dp_sketch *s, double low, double high)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->loss[i] > high) s->p[i] = 0;
        if (s->loss[i] < low) s->q[i] = 0;
    }
}

/* Line i of the sketch in the direction of the view: its loss and mass, up to the cap. */
static double line(double *loss, const wh_dp_view *v, const wh_dp_sketch *s, size_t i)
{
    const double *mass = v->backward ? s->q : s->p, *other = v->backward ? s->p : s->q;
    *loss = v->backward ? -s->loss[i] : s->loss[i];
    if (*loss <= v->cap) return mass[i];
    *loss = v->cap;
    return fmin(mass[i], other[i] * exp(v->cap));
}

static void add_cumulant(wh_dp_cumulant *to, const wh_dp_view *v, const wh_dp_sketch *s, double t)
{
    double top = -(double)INFINITY, sum = 0, first = 0, second = 0, loss;
    for (size_t i = 0; i < s->n; i++)
        if (line(&loss, v, s, i) > 0) top = fmax(top, t * loss);
    for (size_t i = 0; i < s->n; i++) {
        double mass = line(&loss, v, s, i), w = mass > 0 ? mass * exp(t * loss - top) : 0;
        sum += w;
        first += w * loss;
        second += w * loss * loss;
    }
    first /= sum;
    to->value += s->uses * (top + log(sum));
    to->slope += s->uses * first;
    to->curvature += s->uses * fmax(second / sum - first * first, 0);
}

wh_dp_cumulant wh_dp_sketch_cumulant(const wh_dp_view *view, double t)
{
    wh_dp_cumulant k = {0, 0, 0};
    for (size_t i = 0; i < view->n; i++) add_cumulant(&k, view, &view->sketch[i], t);
    return k;
}

double wh_dp_sketch_infinity(const wh_dp_view *v)
{
    double sum = 0, loss;
    for (size_t k = 0; k < v->n; k++) {
        const wh_dp_sketch *s = &v->sketch[k];
        const double *mass = v->backward ? s->q : s->p;
        for (size_t i = 0; i < s->n; i++) sum += s->uses * (mass[i] - line(&loss, v, s, i));
    }
    return sum;
}

/* On a falling ladder of tilts: the smallest one whose epsilon is within a part in a thousand of the best. A larger one
 * would put the weight at losses that do not matter. */
double wh_dp_sketch_tilt(double *epsilon, const wh_dp_view *view, double delta)
{
    double best = INFINITY, t_best = 1e4;
    for (double t = 1e4; t > 1e-6; t /= 1.2) {
        wh_dp_cumulant k = wh_dp_sketch_cumulant(view, t);
        double eps = (k.value - log(delta) - log1p(t)) / t + log1p(-1 / (1 + t)); /* as in the Renyi conversion */
        if (eps < best * (best > 0 ? 1.001 : 0.999)) t_best = t;
        if (eps < best) best = eps;
        if (eps > 1.5 * fabs(best) + 1e-6 && t < t_best / 4) break;
    }
    *epsilon = fmax(best, 0);
    return t_best;
}

double wh_dp_sketch_tilt_at(double *log_delta, const wh_dp_view *view, double epsilon)
{
    double low = 1e-6, high = 1e4;
    for (int i = 0; i < 60 && high > low * 1.01; i++) {
        double t = sqrt(low * high);
        wh_dp_cumulant k = wh_dp_sketch_cumulant(view, t);
        if (k.slope > epsilon || t * epsilon - k.value > 60)
            high = t;
        else
            low = t;
    }
    double t = sqrt(low * high);
    *log_delta = fmin(0, wh_dp_sketch_cumulant(view, t).value - t * epsilon);
    return t;
}
