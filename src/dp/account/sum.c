/* account/sum.c: delta and epsilon from composed masses, errors outward; and lower ends from blurred masses.
 *
 * Blurred masses (grid.h) stand for no mechanism that promises less: they spread each loss over the two points beside
 * it. Their composition is at most the true one with e^-loss multiplied by an independent R of mean 1, a product of one
 * factor a use (docs/accounting.md, Sharpening). The true curve D is convex and lies below the curve U from
 * above, so chords from D(a) to U(a (1 +- g)) bound what R may add:
 *   D(a) (1 - 2 k / g) >= blurred(a) - k / g (U(a (1 + g)) + U(a (1 - g))) - tails,   k = sd(R) / 2 >= E(R - 1)+ */
#include <math.h>

#include "dp/account/compose.h"

static const double unit = 0x1p-53;

static size_t modulo(ptrdiff_t j, size_t n)
{
    return (size_t)j & (n - 1);
}

/* ---- Walking ----------------------------------------------------------------------------------- */

/* At grid index j, relative to e^{log_scale - tilt j h}: the tilted masses from j on, weighted for Q, and the
 * difference of those weighted for P and for Q, which is summed as such: where losses are small it is a small part of
 * either. q = sum_{i >= j} w_i e^{-(t+1) (i-j) h},   gap = sum_{i >= j} w_i e^{-t (i-j) h} (1 - e^{-(i-j) h})
 * delta(eps) = e^{log_scale - tilt j h} (gap + (1 - e^{eps - x_j}) q) for x_{j-1} <= eps <= x_j. */
typedef struct walk {
    const wh_dp_composed *c;
    const wh_dp_side *side;
    double gap, q, gap_error, q_error;
    double fade_p, fade_q, step;
    ptrdiff_t j;
} walk;

/* What masses that are off may do to a sum of them with the given weights: each by at most `error`, besides all
 * together by `norm` in the Euclidean norm (Cauchy-Schwarz). Masses sum to 1 and weights are below `top`: recursion
 * loses 4u of the sum a step, and each loss fades as the weights do. */
static double sum_error(const wh_dp_side *side, double weights, double weights_squared, double top, double lost)
{
    double root = sqrt(weights_squared);
    return fmin(side->error * weights, side->norm * root) + side->inverse * root + 10 * unit * top / lost +
           side->outside * top;
}

static walk walk_from_top(const wh_dp_composed *c, const wh_dp_side *side)
{
    walk w = {.c = c, .side = side, .j = c->first + (ptrdiff_t)c->n};
    double t = c->tilt, lost_p = -expm1(-t * c->h), lost_q = -expm1(-(t + 1) * c->h), p = 1 - lost_p, q = 1 - lost_q;
    double step = -expm1(-c->h),
           squares = -expm1(-2 * t * c->h) * -expm1(-(2 * t + 1) * c->h) * -expm1(-2 * (t + 1) * c->h);
    w.fade_p = p, w.fade_q = q, w.step = p * step;
    w.gap_error =
        sum_error(side, p * step / (lost_p * lost_q), p * p * step * step * (1 + p * q) / squares, 1 / (t + 1), lost_p);
    w.q_error = sum_error(side, 1 / lost_q, 1 / -expm1(-2 * (t + 1) * c->h), 1, lost_q);
    return w;
}

static void walk_down(walk *w)
{
    w->j--;
    w->gap = w->fade_p * w->gap + w->step * w->q;
    w->q = w->side->mass[modulo(w->j, w->c->n)] + w->fade_q * w->q;
}

static double loss_at(const walk *w)
{
    return w->c->origin + (double)w->j * w->c->h;
}

/* What may be left for the masses in the window at a given delta: of it `p` + e^eps `q`. */
typedef struct budget {
    double p, q;
} budget;

/* One, and e^{x_j}, in units of the sums at j. */
static budget units_at(const walk *w)
{
    double e = w->c->tilt * ((double)w->j * w->c->h) - w->side->log_scale, more = e + loss_at(w);
    return (budget){e < 700 ? exp(e) : (double)INFINITY, more < 700 ? exp(more) : (double)INFINITY};
}

static double allowed(const budget *b, const budget *unit_)
{
    return b->p * unit_->p + (b->q > 0 ? b->q * unit_->q : 0);
}

/* Goes down to the last index at which the bound (sign +1: upper, -1: lower) stays within the budget; true where a
 * violation was found below it. The state is that of the last good index. */
static bool find(walk *at, const wh_dp_composed *c, const wh_dp_side *side, const budget *b, double sign)
{
    walk w = walk_from_top(c, side);
    budget units = {INFINITY, INFINITY};
    double fade_p = exp(-c->tilt * c->h), fade_q = exp(-(c->tilt + 1) * c->h);
    *at = w;
    for (size_t i = 0; i < c->n; i++) {
        walk_down(&w);
        units.p *= fade_p, units.q *= fade_q;
        if (i % 32 == 0) units = units_at(&w);
        if (w.gap + sign * w.gap_error > allowed(b, &units) * (1 - sign * 1e-12)) return true;
        *at = w;
    }
    return false;
}

/* The last good index is above the true crossing; within its cell delta is linear in e^eps. */
static double refine(const walk *w, const budget *b, double sign)
{
    budget units = units_at(w);
    double q = w->q + sign * w->q_error + (b->q > 0 ? b->q * units.q : 0);
    double share = (allowed(b, &units) * (1 - sign * 1e-14) - w->gap - sign * w->gap_error) / q;
    double step = !(q > 0) ? (sign > 0 ? 0 : -w->c->h) : share < 1 ? log1p(-share) : -w->c->h;
    return loss_at(w) + fmin(0, fmax(-w->c->h, step));
}

double wh_dp_composed_upper(const wh_dp_composed *c, double delta)
{
    walk w;
    budget left = {(delta - c->infinity * (1 + 1e-9)) * (1 - c->relative_error), 0};
    if (!(left.p > 0)) return INFINITY;
    bool found = find(&w, c, &c->above, &left, 1);
    if (found && w.j == c->first + (ptrdiff_t)c->n) return INFINITY; /* not even the top of the window is good */
    double epsilon = found ? refine(&w, &left, 1) : loss_at(&w);
    return fmax(0, epsilon + c->slack);
}

/* The state at the first grid point >= epsilon. */
static walk walk_to(const wh_dp_composed *c, const wh_dp_side *side, double epsilon)
{
    walk w = walk_from_top(c, side);
    while (w.j > c->first && loss_at(&w) - c->h >= epsilon) walk_down(&w);
    return w;
}

static double delta_at(const walk *w, double epsilon, double sign)
{
    double scale = exp(w->side->log_scale - w->c->tilt * ((double)w->j * w->c->h));
    double part = fmax(0, -expm1(epsilon - loss_at(w)));
    double rest = w->gap + sign * w->gap_error + part * fmax(0, w->q + sign * w->q_error);
    return fmax(0, scale * rest * (1 + sign * (w->c->relative_error + 1e-14)));
}

/* delta of the finite losses in the window */
static double window_delta(const wh_dp_composed *c, const wh_dp_side *side, double epsilon, double sign)
{
    walk w = walk_to(c, side, epsilon);
    return sign < 0 && w.j == c->first ? 0 : delta_at(&w, epsilon, sign);
}

double wh_dp_composed_delta_upper(const wh_dp_composed *c, double epsilon)
{
    return fmin(1, window_delta(c, &c->above, epsilon - c->slack, 1) + c->infinity * (1 + 1e-9));
}

/* ---- Lower ends -------------------------------------------------------------------------------- */

/* beyond: what lies above the grid counts as one event, that some loss does; else only what is infinite. */
static double crossing(const wh_dp_composed *c, double delta, bool beyond)
{
    walk w;
    double more = 1 + c->relative_error;
    budget left = {delta * more - (beyond ? c->beyond_p : c->certain), beyond ? c->beyond_q * more : 0};
    if (!find(&w, c, &c->below, &left, -1)) return 0;
    if (w.j == c->first + (ptrdiff_t)c->n) return 0;
    return fmax(0, refine(&w, &left, -1) - c->slack);
}

static double plain_lower(const wh_dp_composed *c, double delta)
{
    double epsilon = crossing(c, delta, false);
    return c->beyond_p > 1e-9 * delta ? fmax(epsilon, crossing(c, delta, true)) : epsilon;
}

/* The logarithm of R stays within -g .. g but for `tail` on each side. It is a sum of n values in [-h, h] with density
 * e^{-u/2} there: E e^{su} <= exp((s - 1/2)^2 h^2 / 6), so P(beyond g) <= exp(-3 g^2 / (2 n h^2) + g / 2). */
static double reach_of(double squares, double tail)
{
    double half = squares / 6;
    return (half + sqrt(half * half - 4 * half * log(tail))) * (1 + 1e-9);
}

static double from_above(const wh_dp_composed *c, double epsilon)
{
    return window_delta(c, &c->above, epsilon, 1) + c->infinity * (1 + 1e-9);
}

/* delta without the blur, at least; `blurred`: with it. */
static double sharpened(const wh_dp_composed *c, double epsilon, double blurred)
{
    const double tail = 1e-6 * blurred, sd = sqrt(expm1(c->blur)) * (1 + 1e-9);
    const double g = expm1(reach_of(c->blur_squares, tail)), share = sd / 2 / g;
    if (!(share < 0.25 && g < 1)) return 0;
    double around = from_above(c, epsilon + log1p(g)) + from_above(c, epsilon + log1p(-g));
    double far = tail + sd * sqrt(tail) / g * from_above(c, epsilon);
    return (blurred - share * around - far) / (1 - 2 * share) * (1 - 1e-12);
}

/* What lies above the grid is linear in e^eps, which no blur changes. */
double wh_dp_composed_delta_lower(const wh_dp_composed *c, double epsilon)
{
    double at = epsilon + c->slack, rest = fmax(c->certain, c->beyond_p - c->beyond_q * exp(at));
    double delta = rest + window_delta(c, &c->below, at, -1);
    return c->blur > 0 && delta > 0 ? fmax(rest, sharpened(c, at, delta)) : delta;
}

/* Any epsilon whose delta is more than allowed is a lower end: down from where the blurred masses cross. */
double wh_dp_composed_lower(const wh_dp_composed *c, double delta)
{
    if (!(delta > c->certain)) return INFINITY; /* no epsilon holds */
    double epsilon = plain_lower(c, delta), slope = 1 + c->tilt, step = 0;
    if (!(c->blur > 0)) return epsilon;
    for (int i = 0; i < 8 && epsilon > 0; i++) {
        double now = wh_dp_composed_delta_lower(c, epsilon);
        if (now > delta) return epsilon;
        step = fmax(2 * step, now > 0 ? 1.1 * log(delta / now) / slope : 0.1 * epsilon);
        epsilon -= step + 1e-9 * epsilon;
    }
    return 0;
}
