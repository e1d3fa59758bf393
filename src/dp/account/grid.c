/* account/grid.c: cells of a pair, and the two measures made of them. */
#include "dp/account/grid.h"

#include <math.h>

/* libm's erfc and exp are in error by at most 5 units in the last place (GNU libc manual, Known Maximum Errors);
 * twice that and the subtraction make this bound on a difference of two tails, relative to their sum. */
static const double tail_error = 12 * 0x1p-53;
/* In parts of a grid step: nearer than this to a grid point is on it. */
static const double close_enough = 1e-7;
/* Masses outside the grid are rounded up, by less than this. */
static const double outside_error = 4e-9;
/* Relative error of the mass of an outcome on a grid point: the largest of all lists of atoms. */
static const double on_error = 0x1p-43;

/* ---- Masses of cells --------------------------------------------------------------------------- */

/* A point of a distribution function by its smaller tail. */
typedef struct tail {
    double mass;
    bool upper;
} tail;

static tail normal_tail(double t)
{
    return (tail){erfc(fabs(t) * 0.70710678118654752440) / 2, t > 0};
}

/* The mass between two points, low before high. */
static double between(tail low, tail high)
{
    if (low.upper == high.upper) return fmax(0, low.upper ? low.mass - high.mass : high.mass - low.mass);
    return fmax(0, (0.5 - low.mass) + (0.5 - high.mass));
}

static void add_mass(wh_dp_cells *c, size_t k, double p, double q, double p_error, double q_error)
{
    c->p[k] += p;
    c->q[k] += q;
    c->p_error[k] += p_error;
    c->q_error[k] += q_error;
}

static double boundary(const wh_dp_cells *c, size_t k)
{
    return c->offset + (double)(c->first + (ptrdiff_t)k) * (c->h / 2);
}

/* Where the losses of a normal or mixture pair reach `loss`, in standard deviations of Q; notes the residue. */
static double point_at(wh_dp_cells *c, const wh_dp_pair *pair, double loss, double guess)
{
    if (pair->shape == WH_DP_NORMAL) return wh_dp_base_loss(pair, loss) / pair->mu + pair->mu / 2;
    double x = wh_dp_mixture_at(pair, loss, guess);
    if (isfinite(x)) c->slack = fmax(c->slack, 2 * fabs(wh_dp_mixture_loss(pair, x) - loss));
    return x;
}

/* The tails of P's and Q's parts at a point. */
typedef struct front {
    double x;
    tail *p, *q; /* components of P, of Q */
} front;

static void set_front(front *f, const wh_dp_pair *pair, double x)
{
    f->x = x;
    if (pair->shape == WH_DP_NORMAL) {
        f->p[0] = normal_tail(x - pair->mu);
        f->q[0] = normal_tail(x);
        return;
    }
    for (size_t i = 0; i < pair->n; i++) {
        f->p[i] = normal_tail(x - pair->shift[i]);
        if (pair->two_sided) f->q[i] = normal_tail(x + pair->shift[i]);
    }
    if (!pair->two_sided) f->q[0] = normal_tail(x);
}

static void mixed(double *mass, double *error, const double *weight, const tail *low, const tail *high, size_t n)
{
    *mass = *error = 0;
    for (size_t i = 0; i < n; i++) {
        double w = weight ? weight[i] : 1;
        *mass += w * between(low[i], high[i]);
        *error += w * tail_error * (low[i].mass + high[i].mass);
    }
}

/* Base masses a, b become those after sampling. */
static void add_amplified(wh_dp_cells *c, size_t k, const wh_dp_pair *pair, double scale, double a, double b,
                          double a_error, double b_error)
{
    double q = pair->amplify == WH_DP_PLAIN ? 1 : pair->rate;
    add_mass(c, k, scale * ((1 - q) * b + q * a), scale * b,
             scale * ((1 - q) * b_error + q * a_error + 0x1p-51 * (a + b)), scale * (b_error + 0x1p-52 * b));
}

static whist_status fill_continuous(wh_dp_cells *c, wh_arena *arena, const wh_dp_pair *pair, double scale)
{
    bool mixture = pair->shape == WH_DP_MIXTURE;
    size_t n_p = mixture ? pair->n : 1, n_q = mixture && pair->two_sided ? pair->n : 1;
    const double *p_weight = mixture ? pair->weight : NULL,
                 *q_weight = n_q > 1 || (mixture && pair->two_sided) ? pair->weight : NULL;
    tail *memory = NULL;
    WH_TRY(WH_ARENA_NEW(&memory, arena, 2 * (n_p + n_q)));
    front low = {0, memory, memory + n_p}, high = {0, memory + n_p + n_q, memory + 2 * n_p + n_q};
    double a, b, a_error, b_error;
    set_front(&low, pair, -(double)INFINITY);
    for (size_t k = 0; k <= c->n + 1; k++) {
        double x = k > c->n ? (double)INFINITY : point_at(c, pair, boundary(c, k), isfinite(low.x) ? low.x : 0);
        if (k <= c->n && x < low.x) x = low.x;
        set_front(&high, pair, x);
        mixed(&a, &a_error, p_weight, low.p, high.p, n_p);
        mixed(&b, &b_error, q_weight, low.q, high.q, n_q);
        if (k > 0 && k <= c->n) {
            add_amplified(c, k - 1, pair, scale, a, b, a_error, b_error);
        } else {
            double q = pair->amplify == WH_DP_PLAIN ? 1 : pair->rate;
            double p_out = ((1 - q) * b + q * a) * (1 + 1e-9), q_out = b * (1 + 1e-9);
            if (k == 0)
                c->p_below += scale * p_out, c->q_below += scale * q_out;
            else
                c->p_above += scale * p_out, c->q_above += scale * q_out;
        }
        front swap = low;
        low = high;
        high = swap;
    }
    return WHIST_OK;
}

/* An outcome of its own. One that lies on a grid point but for rounding is taken to lie there: the slack covers that.
 */
static void add_atom(wh_dp_cells *c, double loss, double p, double q, double relative)
{
    double at = (loss - c->offset) / (c->h / 2) - (double)c->first, near = 2 * round(at / 2);
    if (fabs(at - near) < close_enough && near >= 0 && near <= (double)c->n) {
        c->p_on[(size_t)near / 2] += p;
        c->q_on[(size_t)near / 2] += q;
    } else if (at < 0) {
        c->p_below += p * (1 + relative), c->q_below += q * (1 + relative);
    } else if (at >= (double)c->n) {
        c->p_above += p * (1 + relative), c->q_above += q * (1 + relative);
    } else {
        add_mass(c, (size_t)at, p, q, p * relative, q * relative);
    }
}

/* Between the atoms the density of P grows, that of Q falls by exp(loss / 2):
 * A(loss <= l) = exp(-(mu - l) / 2) / 2, B(loss > l) = exp(-(mu + l) / 2) / 2. */
static void fill_laplace(wh_dp_cells *c, const wh_dp_pair *pair, double scale)
{
    double mu = pair->mu, low = -mu, q = pair->amplify == WH_DP_PLAIN ? 1 : pair->rate;
    for (size_t k = 0; k <= c->n; k++) {
        double high = fmin(fmax(wh_dp_base_loss(pair, boundary(c, k)), low), mu);
        double width = (high - low) / 2;
        double a = exp((low - mu) / 2) * expm1(width) / 2, b = -exp(-(mu + low) / 2) * expm1(-width) / 2;
        if (k > 0)
            add_amplified(c, k - 1, pair, scale, a, b, a * 16 * 0x1p-53 + 0x1p-52 * exp((low - mu) / 2),
                          b * 16 * 0x1p-53 + 0x1p-52 * exp(-(mu + low) / 2));
        else
            c->p_below += scale * ((1 - q) * b + q * a), c->q_below += scale * b;
        low = high;
    }
    double a = -expm1((low - mu) / 2) / 2, b = -exp(-(mu + low) / 2) * expm1((low - mu) / 2) / 2;
    c->p_above += scale * ((1 - q) * b + q * a), c->q_above += scale * b;
    for (int top = 0; top < 2; top++) {
        double atom_a = top ? 0.5 : exp(-mu) / 2, atom_b = top ? exp(-mu) / 2 : 0.5;
        add_atom(c, wh_dp_amplified_loss(pair, top ? mu : -mu), scale * ((1 - q) * atom_b + q * atom_a), scale * atom_b,
                 0x1p-48);
    }
}

static whist_status fill_atoms(wh_dp_cells *c, wh_arena *arena, const wh_dp_pair *pair, double scale)
{
    wh_dp_pair plain;
    WH_TRY(wh_dp_atoms_amplified(&plain, arena, pair));
    for (size_t i = 0; i < plain.n; i++) {
        double p = plain.p[i], q = plain.q[i];
        if (p > 0 && q > 0)
            add_atom(c, log(p / q), scale * p, scale * q, plain.relative_error);
        else
            plain.p_only += p, plain.q_only += q;
    }
    c->p_above += scale * plain.p_only;
    c->q_below += scale * plain.q_only;
    c->p_never += scale * plain.p_only;
    c->q_never += scale * plain.q_only;
    c->slack = fmax(c->slack, plain.relative_error * 2);
    return WHIST_OK;
}

/* The cells below 0 become the mirror image of those above; what is missing to 1 has loss 0. */
static void mirror_subset(wh_dp_cells *c, double scale)
{
    double p_rest = scale, error = scale * 0x1p-50;
    size_t zero = (size_t)-c->first;
    c->p_below = c->q_above, c->q_below = c->p_above;
    for (size_t k = 0; k < zero; k++) c->p[k] = c->q[k] = c->p_error[k] = c->q_error[k] = 0;
    for (size_t i = 0; 2 * i <= zero; i++) c->p_on[i] = c->q_on[i] = 0;
    for (size_t i = zero / 2 + 1; i <= c->n / 2; i++) {
        p_rest -= c->p_on[i] + c->q_on[i];
        c->p_on[zero - i] = c->q_on[i], c->q_on[zero - i] = c->p_on[i];
    }
    for (size_t k = zero; k < c->n; k++) {
        size_t twin = 2 * zero - 1 - k;
        p_rest -= c->p[k] + c->q[k];
        error += c->p_error[k] + c->q_error[k];
        if (k - zero < zero) {
            c->p[twin] = c->q[k], c->q[twin] = c->p[k];
            c->p_error[twin] = c->q_error[k], c->q_error[twin] = c->p_error[k];
        } else {
            c->p_below += c->q[k], c->q_below += c->p[k];
        }
    }
    p_rest = fmax(0, p_rest - c->p_above - c->q_above);
    c->p_on[zero / 2] = p_rest + error;
    c->q_on[zero / 2] = p_rest + error;
}

static whist_status fill(wh_dp_cells *c, wh_arena *arena, const wh_dp_pair *pair, double scale)
{
    if (pair->shape == WH_DP_ATOMS) return fill_atoms(c, arena, pair, scale);
    if (pair->shape == WH_DP_TWO_LAPLACE)
        fill_laplace(c, pair, scale);
    else
        WH_TRY(fill_continuous(c, arena, pair, scale));
    if (pair->amplify == WH_DP_BY_SUBSET) mirror_subset(c, scale);
    return WHIST_OK;
}

/* The largest and the least loss that has a mass of its own. */
static void end_atoms(double *low, double *high, const wh_dp_pair *pair)
{
    bool atoms = pair->shape == WH_DP_ATOMS;
    *low = wh_dp_amplified_loss(pair, atoms ? log(pair->p[0] / pair->q[0]) : -pair->mu);
    *high = wh_dp_amplified_loss(pair, atoms ? log(pair->p[pair->n - 1] / pair->q[pair->n - 1]) : pair->mu);
}

double wh_dp_lattice(const wh_dp_pair *pair)
{
    double low, high;
    if (!wh_dp_has_atoms(pair)) return 0;
    if (pair->shape == WH_DP_ATOMS && pair->amplify == WH_DP_PLAIN) return pair->lattice;
    end_atoms(&low, &high, pair);
    return pair->amplify == WH_DP_BY_SUBSET ? high : high - low;
}

/* The grid goes through the largest loss that has a mass of its own. A subset's has one at 0. Of a sampled Gaussian the
 * outcomes with a base loss below 0 are nearly all, and their losses lie in a range of q: where steps are larger than
 * that, they can be thrown together without a loss worth the name if the point of their common ratio is on the grid. */
static double offset_for(const wh_dp_pair *pair, double h)
{
    double low, high;
    if (pair->shape == WH_DP_NORMAL && pair->amplify == WH_DP_BY_POISSON && pair->rate < 1) {
        const double below = erfc(-pair->mu / 2 * 0.70710678118654752440), above = 2 - below;
        return log1p(-pair->rate * (1 - above / below));
    }
    if (pair->amplify == WH_DP_BY_SUBSET || !wh_dp_has_atoms(pair)) return 0;
    end_atoms(&low, &high, pair);
    return high - floor(high / h) * h;
}

static bool is_counted(const wh_dp_pair *pair)
{
    return pair->shape == WH_DP_ATOMS && (!pair->other || is_counted(pair->other));
}

whist_status wh_dp_cells_init(wh_dp_cells *out, wh_arena *arena, const wh_dp_pair *pair, double h, double low,
                              double high)
{
    enum { MAX = 1 << 23, LARGEST = 600 }; /* e^loss is a number */
    if (!(high <= LARGEST && low >= -LARGEST))
        WH_FAIL(WHIST_E_RANGE, "one use has privacy losses up to %g: that is no privacy", fmax(high, -low));
    wh_dp_cells c = {.h = h, .offset = offset_for(pair, h), .counted = is_counted(pair)};
    double from = floor((low - c.offset) / h) - 1, to = ceil((high - c.offset) / h) + 1;
    if (pair->amplify == WH_DP_BY_SUBSET) from = -to; /* the mirror image fits */
    double n = 2 * (to - from);
    if (!(n <= MAX)) WH_FAIL(WHIST_E_RANGE, "losses from %g to %g are too wide for steps of %g", low, high, h);
    c.first = 2 * (ptrdiff_t)from;
    c.n = (size_t)n;
    c.slack = 0x1p-46 * (1 + fmax(fabs(low), fabs(high))) + 2 * close_enough * h;
    WH_TRY(WH_ARENA_NEW(&c.p, arena, 5 * c.n + 2));
    c.q = c.p + c.n, c.p_error = c.q + c.n, c.q_error = c.p_error + c.n;
    c.p_on = c.q_error + c.n, c.q_on = c.p_on + c.n / 2 + 1;
    WH_TRY(fill(&c, arena, pair, pair->other ? 1 - pair->odds : 1));
    if (pair->other) WH_TRY(fill(&c, arena, pair->other, pair->odds));
    *out = c;
    return WHIST_OK;
}

static void reverse(double *a, double *b, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        double keep = a[k];
        a[k] = b[n - 1 - k];
        b[n - 1 - k] = keep;
    }
}

void wh_dp_cells_mirror(wh_dp_cells *c)
{
    double p_below = c->p_below, p_above = c->p_above;
    reverse(c->p, c->q, c->n);
    reverse(c->p_error, c->q_error, c->n);
    reverse(c->p_on, c->q_on, c->n / 2 + 1);
    double p_never = c->p_never;
    c->p_never = c->q_never, c->q_never = p_never;
    c->p_below = c->q_above, c->p_above = c->q_below;
    c->q_below = p_above, c->q_above = p_below;
    c->first = -(c->first + (ptrdiff_t)c->n);
    c->offset = -c->offset;
}

/* ---- Measures ---------------------------------------------------------------------------------- */

/* Each step's masses go to its ends. sign +1: with errors upward, -1: downward. */
static void connect_dots(double *to, const wh_dp_measure *m, const wh_dp_cells *c, const double *ratio, double sign)
{
    double width = -expm1(-c->h),
           reach = fabs(c->offset) + c->h * fmax(fabs((double)m->first), fabs((double)m->first + (double)m->n));
    for (size_t i = 0; i < m->n; i++) to[i] = 0;
    for (size_t i = 0; i + 1 < m->n; i++) {
        size_t k = 2 * i;
        double p = fmax(0, c->p[k] + c->p[k + 1] + sign * (c->p_error[k] + c->p_error[k + 1]));
        double q = fmax(0, c->q[k] + c->q[k + 1] - sign * (c->q_error[k] + c->q_error[k + 1]));
        double up = (p - ratio[i] * q) / width + sign * 16 * 0x1p-53 * p / width * (1 + reach);
        up = fmin(fmax(up, 0), p);
        to[i] += p - up;
        to[i + 1] += up;
    }
}

static void fill_above(wh_dp_measure *m, const wh_dp_cells *c, const double *ratio)
{
    connect_dots(m->above, m, c, ratio, 1);
    /* Beyond the last point: the chord from there to infinity. */
    double common = fmin(c->p_above, ratio[m->n - 1] * c->q_above * (1 - outside_error));
    m->above[m->n - 1] += common;
    m->infinity = c->p_above - common;
    m->above[0] += c->p_below; /* rounded up to the first point */
}

/* Mixing goes along the grid, upward or downward: at each point what waits from before is mixed with parts of the next
 * half cells, the nearest first, until the ratio of the masses is that of the point; then what is left of the two cells
 * up to the next point waits for that one.
 *
 * The error is least where each point ends up with about half a cell from each side. How far a walk is from that is
 * settled where it starts and then goes on, with alternating sign. So there is one thing to choose: how much of the
 * very first mass is left for the second point. A few choices are tried, and both ends to start from: a walk that ends
 * where the density is steep finds no partners there. */
typedef struct mixer {
    double *to;   /* (n) */
    double *rest; /* (2n) what is left of each half cell, as a share */
    const wh_dp_cells *c;
    const wh_dp_measure *m;
    bool upward;
    double p, q;  /* what waits */
    size_t under; /* a grid point at or below the losses of all that waits */
    double leave; /* share of the first mass to leave for the second point; 0 once that is done */
} mixer;

enum { REACH = 64 }; /* half cells within which partners are looked for */

/* Half cell r beyond grid point i in the direction of the walk, deflated; false behind the last. */
static bool next_half(double *p, double *q, size_t *at, const mixer *x, size_t i, size_t r)
{
    size_t k = x->upward ? 2 * i + r : 2 * i - 1 - r;
    bool inside = x->upward ? k < x->c->n : 2 * i >= 1 + r;
    *at = inside ? k : 0;
    *p = inside ? fmax(0, x->c->p[k] - x->c->p_error[k]) * x->rest[k] : 0;
    *q = inside ? (x->c->q[k] + x->c->q_error[k]) * x->rest[k] : 0;
    return inside;
}

/* Mixes what waits at point i with the half cells beyond; the part of it that found partners. What lies within
 * `close_enough` of the point counts as lying on it: the measure's slack covers that. */
static double find_partners(mixer *x, size_t i, double ratio)
{
    double sign = x->upward ? 1 : -1, need = sign * (x->q * ratio - x->p), have = 0, p, q;
    size_t k;
    if (need <= close_enough * x->m->h * x->p) need = 0;
    for (size_t r = 0; r < REACH && (r < 2 || have < need) && next_half(&p, &q, &k, x, i, r); r++) {
        double gain = sign * (p - ratio * q), part = 0;
        if (r < 2 && gain <= close_enough * x->m->h * p) {
            part = 1;
        } else if (need > have && gain > 0) {
            part = fmin(1, (need - have) / gain);
            have += part * gain;
        }
        x->to[i] += part * p;
        x->rest[k] *= 1 - part;
    }
    return need > 0 ? fmin(1, have / need) : 1;
}

static void mix_at(mixer *x, size_t i, double ratio)
{
    double left_p = x->leave * x->p, left_q = x->leave * x->q, p, q;
    size_t k;
    if (x->p > 0) x->leave = 0;
    x->p -= left_p, x->q -= left_q;
    double matched = find_partners(x, i, ratio);
    x->to[i] += matched * x->p;
    x->to[x->upward ? x->under : i] += (1 - matched) * x->p; /* without a partner: down */
    if (left_p == 0) x->under = i;
    x->p = left_p, x->q = left_q;
    for (size_t r = 0; r < 2 && next_half(&p, &q, &k, x, i, r); r++) x->p += p, x->q += q;
}

static void throw_together(double *to, double *rest, const wh_dp_measure *m, const wh_dp_cells *c, const double *ratio,
                           bool upward, double leave)
{
    mixer x = {to, rest, c, m, upward, 0, 0, 0, leave};
    for (size_t k = 0; k < m->n; k++) to[k] = 0;
    for (size_t k = 0; k < c->n; k++) rest[k] = 1;
    for (size_t k = 0; k < m->n; k++) {
        size_t i = upward ? k : m->n - 1 - k;
        mix_at(&x, i, ratio[i]);
    }
}

/* The mean of e^{tilt loss}, up to a factor: the larger, the closer to the truth. */
static double tilted_mass(const double *mass, const wh_dp_measure *m, double tilt)
{
    double sum = 0, step = exp(-tilt * m->h), weight = 1;
    for (size_t i = m->n; i-- > 0; weight *= step) sum += mass[i] * weight;
    return sum;
}

static void choose_below(wh_dp_measure *m, double *other, double *rest, const wh_dp_cells *c, const double *ratio,
                         double tilt)
{
    static const double leave[] = {0, 0.5};
    double best;
    bool upward = true;
    throw_together(m->below, rest, m, c, ratio, true, 0);
    best = tilted_mass(m->below, m, tilt);
    for (size_t i = 0; i < WH_COUNT(leave); i++) {
        throw_together(other, rest, m, c, ratio, i == 0 ? !upward : upward, leave[i]);
        double now = tilted_mass(other, m, tilt), *keep = m->below;
        if (now <= best) continue;
        if (i == 0) upward = false;
        best = now;
        m->below = other;
        other = keep;
    }
}

/* Outcomes far apart find no partners, and move down by half a step: where that costs more than sharpening what is
 * blurred, as far as is known before composing, they are blurred. */
static void blur(wh_dp_measure *m, const wh_dp_cells *c, const double *ratio, double tilt)
{
    double lost = log(tilted_mass(m->above, m, tilt) / tilted_mass(m->below, m, tilt));
    m->blurred = lost > 2 * tilt * (tilt + 1) * m->h * m->h;
    if (m->blurred) connect_dots(m->below, m, c, ratio, -1);
}

/* More than 1 by at most this is what all masses of P come to, with their errors. */
static double excess(const wh_dp_cells *c)
{
    double sum = 0x1p-44 + outside_error * (c->p_above + c->p_below);
    for (size_t k = 0; k < c->n; k++) sum += 2 * c->p_error[k];
    for (size_t k = 0; k <= c->n / 2; k++) sum += 2 * on_error * c->p_on[k];
    return sum;
}

whist_status wh_dp_measure_init(wh_dp_measure *out, wh_arena *arena, const wh_dp_cells *cells, double tilt)
{
    double *memory = NULL;
    wh_dp_measure m = {.h = cells->h,
                       .offset = cells->offset,
                       .slack = cells->slack,
                       .first = cells->first / 2,
                       .n = cells->n / 2 + 1};
    WH_TRY(WH_ARENA_NEW(&memory, arena, 6 * m.n));
    m.above = memory;
    m.below = memory + m.n;
    double *other = m.below + m.n, *ratio = other + m.n; /* e^loss of the points */
    for (size_t i = 0; i < m.n; i++) ratio[i] = exp(m.offset + (double)(m.first + (ptrdiff_t)i) * m.h);
    fill_above(&m, cells, ratio);
    choose_below(&m, other, ratio + m.n, cells, ratio, tilt);
    if (cells->counted) blur(&m, cells, ratio, tilt);
    /* Lists of atoms are cut where their mass is below 1e-80: that is no mass to be certain of. */
    m.certain = cells->p_never > 1e-60 ? fmin(cells->p_never * (1 - on_error), 1) : 0;
    for (size_t i = 0; i < m.n; i++) {
        m.above[i] += cells->p_on[i] * (1 + on_error);
        m.below[i] += cells->p_on[i] * (1 - on_error);
    }
    m.beyond_p = fmin(1, cells->p_above * (1 - outside_error));
    m.beyond_q = fmin(1, cells->q_above);
    m.excess = excess(cells);
    *out = m;
    return WHIST_OK;
}
