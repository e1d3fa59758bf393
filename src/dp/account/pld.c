/* account/pld.c: choosing steps and tilts until the interval is as narrow as asked. */
#include "dp/account/pld.h"

#include <math.h>

#include "dp/account/closed.h"
#include "dp/account/compose.h"
#include "dp/account/sketch.h"

/* What is asked: epsilon at delta, or delta at epsilon. */
typedef struct question {
    bool want_delta;
    double given, width;
} question;

typedef struct problem {
    wh_dp_part *part;
    wh_dp_sketch *sketch;
    double *uses;
    size_t n;
    double all_uses, tail;
    question ask;
    wh_arena lasting, scratch;
    wh_dp_fft fft;
} problem;

static void problem_clear(problem *p)
{
    wh_arena_clear(&p->lasting);
    wh_arena_clear(&p->scratch);
    wh_dp_fft_clear(&p->fft);
}
WH_AUTO_CLEAR(problem, problem_clear)

/* One direction of the pairs, and what the sketch says of it. */
typedef struct direction {
    wh_dp_view view;
    double margin;              /* how far all uses together may go below 0 */
    double tilt, spread, guess; /* guess: at what is asked for */
    wh_dp_lean lean;
} direction;

/* ---- Setting up -------------------------------------------------------------------------------- */

static bool is_plain_normal(const wh_dp_pair *pair)
{
    return pair->shape == WH_DP_NORMAL && pair->amplify == WH_DP_PLAIN && !pair->other;
}

/* An answer that does not depend on the record at all: it has no losses to lay a grid over. */
static bool tells_nothing(const wh_dp_pair *pair)
{
    if (pair->shape != WH_DP_ATOMS || pair->other || pair->p_only > 0 || pair->q_only > 0) return false;
    for (size_t i = 0; i < pair->n; i++)
        if (pair->p[i] != pair->q[i]) return false;
    return true;
}

/* Gaussians without sampling are one Gaussian: their squared distances add up. */
static whist_status gather(problem *p, const wh_dp_part *part, size_t n)
{
    double square = 0;
    WH_TRY(WH_ARENA_NEW(&p->part, &p->lasting, n + 1));
    for (size_t i = 0; i < n; i++) {
        if (is_plain_normal(&part[i].pair))
            square += part[i].pair.mu * part[i].pair.mu * (double)part[i].uses;
        else if (!tells_nothing(&part[i].pair))
            p->part[p->n++] = part[i];
    }
    if (square > 0) { /* in uses that are small enough for e^loss to be a number */
        double uses = ceil(square / 9);
        wh_dp_pair all = {.shape = WH_DP_NORMAL, .mu = sqrt(square / uses), .tight = true};
        p->part[p->n++] = (wh_dp_part){all, (uint64_t)uses};
    }
    WH_TRY(WH_ARENA_NEW(&p->sketch, &p->lasting, p->n));
    WH_TRY(WH_ARENA_NEW(&p->uses, &p->lasting, p->n));
    for (size_t i = 0; i < p->n; i++) {
        p->uses[i] = (double)p->part[i].uses;
        p->all_uses += p->uses[i];
        WH_TRY(wh_dp_sketch_init(&p->sketch[i], &p->lasting, &p->part[i].pair, p->uses[i]));
    }
    return WHIST_OK;
}

/* A randomised response against a null record is the one list of atoms that is not its own mirror image. */
static bool is_symmetric(const wh_dp_pair *pair)
{
    if (pair->other && !is_symmetric(pair->other)) return false;
    if (pair->amplify == WH_DP_BY_SUBSET) return true;
    if (pair->amplify == WH_DP_BY_POISSON) return false;
    if (pair->shape == WH_DP_MIXTURE) return pair->two_sided;
    return pair->shape != WH_DP_ATOMS || (pair->p[0] == pair->q[pair->n - 1] && pair->q[0] == pair->p[pair->n - 1]);
}

static bool all_symmetric(const problem *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (!is_symmetric(&p->part[i].pair)) return false;
    return true;
}

/* The leans with the narrowest window: for Gaussian tails sqrt(2 cut) over the spread, less where tails are heavier. */
static void choose_lean(direction *d)
{
    double at = wh_dp_sketch_cumulant(&d->view, d->tilt).value;
    double s = sqrt(2 * wh_dp_window_cut) / fmax(d->spread, 1e-9), top = INFINITY, bottom = INFINITY;
    for (int i = 0; i < 8; i++, s /= 1.5) {
        double more = wh_dp_sketch_cumulant(&d->view, d->tilt + s).value;
        double less = wh_dp_sketch_cumulant(&d->view, d->tilt - s).value;
        double high = (more - at + wh_dp_window_cut) / s, low = (less - at + wh_dp_window_cut) / s;
        if (high < top) top = high, d->lean.up = s;
        if (low < bottom) bottom = low, d->lean.down = s;
    }
}

static void aim(direction *d, const question *ask)
{
    if (ask->want_delta)
        d->tilt = wh_dp_sketch_tilt_at(&d->guess, &d->view, ask->given);
    else
        d->tilt = wh_dp_sketch_tilt(&d->guess, &d->view, ask->given - wh_dp_sketch_infinity(&d->view));
    d->spread = sqrt(wh_dp_sketch_cumulant(&d->view, d->tilt).curvature);
}

/* What all uses together fall below -m with probability e^-margin_cut at most (Chernoff). */
static double margin_of(const wh_dp_view *view)
{
    static const double margin_cut = 12;
    double best = INFINITY;
    for (double s = 1e-3; s < 1e7; s *= 2) {
        double m = (wh_dp_sketch_cumulant(view, -s).value + margin_cut) / s;
        if (m < best) best = m;
        if (m > 2 * best) break;
    }
    return best;
}

/* A loss above epsilon + margin is lost whatever the others are: how large it is does not matter, and a grid that ends
 * there allows tilts that suit rare large losses. Where one such loss is nearly all of delta the cap is higher: part of
 * delta is left for the grid. */
static bool lower_cap(direction *d, const question *ask, double epsilon, double high)
{
    static const double share = 0.8;
    direction less = *d;
    less.view.cap = epsilon + d->margin;
    for (double more = d->margin; !ask->want_delta && less.view.cap < high; more *= 2, less.view.cap += more)
        if (wh_dp_sketch_infinity(&less.view) < share * ask->given) break;
    if (!(less.view.cap < 0.9 * fmin(d->view.cap, high))) return false;
    aim(&less, ask);
    *d = less;
    return true;
}

static double highest_loss(const problem *p, bool backward)
{
    double high = 0, l, u;
    for (size_t i = 0; i < p->n; i++) {
        wh_dp_loss_range(&l, &u, &p->part[i].pair, p->tail);
        high = fmax(high, backward ? -l : u);
    }
    return high;
}

static direction look(problem *p, bool backward)
{
    direction d = {.view = {p->sketch, p->n, backward, INFINITY}};
    double high = highest_loss(p, backward);
    aim(&d, &p->ask);
    if (high > (p->ask.want_delta ? p->ask.given : d.guess)) {
        d.margin = margin_of(&d.view);
        for (int i = 0; i < 8 && lower_cap(&d, &p->ask, p->ask.want_delta ? p->ask.given : d.guess, high); i++)
            continue;
    }
    choose_lean(&d);
    return d;
}

/* Longer grids than POINTS are for what does not get narrow enough on those. */
enum { POINTS = 1 << 21, POINTS_MOST = 1 << 22 };

/* ---- One attempt ------------------------------------------------------------------------------- */

/* A step that the widest lattice is a multiple of. One that is finer than half of h is left to fall between the points:
 * a tiny loss would make the grid as fine as itself. */
static double suited_step(const problem *p, double h)
{
    double lattice = 0;
    for (size_t i = 0; i < p->n; i++) lattice = fmax(lattice, wh_dp_lattice(&p->part[i].pair));
    return lattice >= h / 2 ? lattice / ceil(lattice / h) : h;
}

static whist_status attempt(wh_dp_interval *out, problem *p, const direction *d, double h, size_t most)
{
    wh_dp_measure *measure = NULL;
    wh_dp_composed composed;
    wh_arena_reset(&p->scratch);
    WH_TRY(WH_ARENA_NEW(&measure, &p->scratch, p->n));
    h = suited_step(p, h);
    for (size_t i = 0; i < p->n; i++) {
        wh_dp_cells cells;
        double low, high;
        wh_dp_loss_range(&low, &high, &p->part[i].pair, p->tail);
        if (d->view.backward)
            low = fmax(low, -d->view.cap);
        else
            high = fmin(high, d->view.cap);
        WH_TRY(wh_dp_cells_init(&cells, &p->scratch, &p->part[i].pair, h, low, high));
        if (d->view.backward) wh_dp_cells_mirror(&cells);
        WH_TRY(wh_dp_measure_init(&measure[i], &p->scratch, &cells, d->tilt));
    }
    WH_TRY(wh_dp_compose_measures(&composed, &p->scratch, &p->fft, measure, p->uses, p->n, d->tilt, d->lean, most));
    if (p->ask.want_delta) {
        out->upper = wh_dp_composed_delta_upper(&composed, p->ask.given);
        out->lower = wh_dp_composed_delta_lower(&composed, p->ask.given);
    } else {
        out->upper = wh_dp_composed_upper(&composed, p->ask.given);
        out->lower = wh_dp_composed_lower(&composed, p->ask.given);
    }
    return WHIST_OK;
}

static bool good_enough(const wh_dp_interval *i, double width)
{
    return i->upper - i->lower <= width * i->upper;
}

/* What has been proven so far, and with what. */
typedef struct progress {
    wh_dp_interval *best;
    bool any;
    double good; /* the finest step that fitted */
    int idle, misfits;
} progress;

/* Whether to go on after an attempt's interval; both old and new ends are proven. */
static bool improve(progress *s, const problem *p, const wh_dp_interval *now)
{
    double before = s->any ? s->best->upper - s->best->lower : INFINITY;
    if (s->any)
        *s->best = (wh_dp_interval){fmax(now->lower, s->best->lower), fmin(now->upper, s->best->upper)};
    else
        *s->best = *now;
    s->any = true;
    if (good_enough(s->best, p->ask.width)) return false;
    if (s->best->upper - s->best->lower < 0.7 * before) return true;
    return ++s->idle < 2 && now->upper - now->lower < 1.2 * before;
}

/* Where a cap turned out too low there is no upper end; where a better upper end is known, it is too high. */
static bool move_cap(direction *d, const problem *p, const wh_dp_interval *now)
{
    bool moved = false;
    if (!isfinite(now->upper) && isfinite(d->view.cap)) {
        d->view.cap = INFINITY;
        aim(d, &p->ask);
        moved = true;
    } else if (!p->ask.want_delta && isfinite(now->upper)) {
        moved = lower_cap(d, &p->ask, now->upper, highest_loss(p, d->view.backward));
    }
    if (moved) choose_lean(d);
    return moved;
}

/* The interval's width falls with the square of the step, and grows with the uses. A grid that is too long makes the
 * step larger instead. */
static whist_status solve(wh_dp_interval *out, problem *p, direction d, double h)
{
    enum { ATTEMPTS = 10 };
    progress s = {.best = out, .good = INFINITY};
    for (int i = 0; i < ATTEMPTS; i++) {
        wh_dp_interval now;
        whist_status status = attempt(&now, p, &d, h, s.any ? POINTS_MOST : POINTS);
        if (status == WHIST_E_RANGE) {
            if (s.any && ++s.misfits == 2) return WHIST_OK; /* near the finest that fits */
            h = s.any ? sqrt(h * s.good) : 4 * h;
            continue;
        }
        WH_TRY(status);
        s.good = h;
        bool more = improve(&s, p, &now), moved = more && move_cap(&d, p, &now);
        if (!more || (!isfinite(out->upper) && !moved)) return WHIST_OK;
        if (isfinite(out->upper))
            h *= fmax(0.25, fmin(0.6, 0.8 * sqrt(p->ask.width * out->upper / (out->upper - out->lower))));
    }
    if (!s.any) WH_FAIL(WHIST_E_RANGE, "the privacy losses are too wide for any grid: use rdp");
    return WHIST_OK;
}

/* (t + 1) h^2 / 12 is what connecting dots adds to a use's epsilon where losses are spread over a cell; mixing takes
 * away up to half of that again. For delta the error is t times as large, relatively. */
static double first_step(const problem *p, const direction *d)
{
    double target = p->ask.want_delta ? p->ask.width / d->tilt : p->ask.width * fmax(d->guess, 1e-6);
    double h = sqrt(4 * target / ((d->tilt + 1) * p->all_uses)), low = 0, high = 0, l, u;
    for (size_t i = 0; i < p->n; i++) {
        wh_dp_loss_range(&l, &u, &p->part[i].pair, p->tail);
        low = fmin(low, l);
        high = fmax(high, u);
    }
    h = fmin(h, (high - low) / 64);
    return fmax(h, fmax(12 * d->spread / (1 << 20), (high - low) / (1 << 21)));
}

/* ---- Both directions --------------------------------------------------------------------------- */

/* The direction that promises less is looked at on a coarse grid first: often that shows already that it does not
 * matter. */
static whist_status both(wh_dp_interval *out, problem *p)
{
    direction d[2] = {look(p, false), look(p, true)};
    int first = d[1].guess > d[0].guess;
    WH_TRY(solve(out, p, d[first], first_step(p, &d[first])));
    if (all_symmetric(p) || !isfinite(out->upper)) return WHIST_OK;
    const direction *second = &d[!first];
    wh_dp_interval other;
    double h = first_step(p, second);
    whist_status status = attempt(&other, p, second, 4 * h, POINTS);
    if (status != WHIST_OK || other.upper > out->upper) WH_TRY(solve(&other, p, *second, h));
    out->upper = fmax(out->upper, other.upper);
    out->lower = fmax(out->lower, other.lower);
    return WHIST_OK;
}

static whist_status answer(wh_dp_interval *out, const wh_dp_part *part, size_t n, question ask)
{
    WH_AUTO(problem) p = {.ask = ask, .lasting = WH_ARENA_EMPTY, .scratch = WH_ARENA_EMPTY, .fft = WH_DP_FFT_EMPTY};
    WH_TRY(gather(&p, part, n));
    if (p.n == 0) {
        *out = (wh_dp_interval){0, 0};
        return WHIST_OK;
    }
    double delta = ask.given;
    if (ask.want_delta) { /* a rough one, to know what tails matter */
        double a, b;
        wh_dp_sketch_tilt_at(&a, &(wh_dp_view){p.sketch, p.n, false, INFINITY}, ask.given);
        wh_dp_sketch_tilt_at(&b, &(wh_dp_view){p.sketch, p.n, true, INFINITY}, ask.given);
        delta = exp(fmax(fmax(a, b), -60)) * 1e-3;
    }
    p.tail = fmax(delta * 1e-8 / p.all_uses, 1e-280);
    for (size_t i = 0; i < p.n; i++) {
        double low, high;
        wh_dp_loss_range(&low, &high, &p.part[i].pair, p.tail);
        wh_dp_sketch_trim(&p.sketch[i], low, high);
    }
    return both(out, &p);
}

/* One Gaussian has a closed form; what its evaluation may be off by is far below 1e-12. */
static bool is_one_normal(double *mu, const wh_dp_part *part, size_t n)
{
    double square = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_plain_normal(&part[i].pair)) return false;
        square += part[i].pair.mu * part[i].pair.mu * (double)part[i].uses;
    }
    *mu = sqrt(square);
    return n > 0;
}

whist_status wh_dp_pld_epsilon(wh_dp_interval *out, const wh_dp_part *part, size_t n, double delta, double width)
{
    double mu;
    if (is_one_normal(&mu, part, n)) {
        double epsilon = wh_dp_normal_epsilon(mu, delta);
        *out = (wh_dp_interval){epsilon * (1 - 1e-12), epsilon * (1 + 1e-12)};
        return WHIST_OK;
    }
    return answer(out, part, n, (question){false, delta, width});
}

whist_status wh_dp_pld_delta(wh_dp_interval *out, const wh_dp_part *part, size_t n, double epsilon, double width)
{
    double mu;
    if (is_one_normal(&mu, part, n)) {
        double delta = wh_dp_normal_delta(mu, epsilon);
        *out = (wh_dp_interval){delta * (1 - 1e-10), delta * (1 + 1e-10)};
        return WHIST_OK;
    }
    return answer(out, part, n, (question){true, epsilon, width});
}
