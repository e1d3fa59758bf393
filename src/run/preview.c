/* run/preview.c: what would leave a site, before anybody approves: by purpose and phase, in fields and bytes.
 *
 * The numbers come from the layout and the protection that the run itself uses (fed/layout.h), so they are what
 * the release log will show. Names and certificates of the connection are not counted. */
#include "base/buf.h"
#include "fed/layout.h"
#include "fed/protection.h"
#include "fed/schedule.h"

#include <whist/run.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct preview {
    const whist_fed_plan *plan;
    size_t index;
    const char **sites, **parties;
    whist_line_fn *emit;
    void *user;
    uint64_t total, round; /* bytes: of the study, of one round */
} preview;

static void say(const preview *p, const char *format, ...) WHIST_PRINTF(2, 3);
static void say(const preview *p, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    p->emit(p->user, line);
}

/* ---- Vectors ---- */

static const char *weighting_text(whist_weighting weighting)
{
    switch (weighting) {
    case WHIST_WEIGHT_ROWS: return "times the number of training rows";
    case WHIST_WEIGHT_UNIFORM: return "as it is";
    case WHIST_WEIGHT_ROWS_PER_STEP: return "times training rows per local step";
    }
    return "";
}

static void say_metrics(const preview *p)
{
    static const char *const folds[] = {"test", "validation"}; /* in the order of wh_sums */
    const whist_fed_plan *plan = p->plan;
    for (size_t f = 0; f < WH_COUNT(folds); f++)
        for (size_t m = 0; m < plan->n_metrics; m++)
            say(p, "      %s of the %s rows: numerator, denominator, count", plan->metrics[m], folds[f]);
    if (plan->n_metrics)
        say(p, "      metrics over fewer than %" PRIu32 " rows (or the site's own minimum, if larger) are sent as 0",
            plan->min_metric_count);
}

static void say_sums(const preview *p, whist_purpose purpose)
{
    const whist_fed_plan *plan = p->plan;
    if (plan->privacy) {
        say(p, "      rows, steps and weights: all 0, they stay here");
        if (plan->privacy->plain_metrics)
            say_metrics(p);
        else
            say(p, "      metrics: all 0, they stay here");
        return;
    }
    if (purpose == WHIST_PURPOSE_MOMENTS) {
        say(p, "      number of training rows");
        say(p, "      sum and sum of squares of each of %zu features; all of these in two parts, coarse and fine",
            plan->n_features);
        return;
    }
    say(p, "      %s",
        purpose == WHIST_PURPOSE_TRAIN ? "training rows; training rows times local steps"
                                       : "training rows and weights, both 0: nothing was trained");
    for (size_t k = 0; purpose == WHIST_PURPOSE_TRAIN && plan->strategy->vectors[k].name; k++)
        say(p, "      weight of '%s'", plan->strategy->vectors[k].name);
    say_metrics(p);
}

static uint64_t vector_bytes(const wh_layout *layout, size_t k)
{
    return (k + 1 < layout->n_vectors ? layout->start[k + 1] : layout->bytes) - layout->start[k];
}

static void say_vectors(const preview *p, const wh_layout *layout, whist_purpose purpose)
{
    for (size_t k = 0; k < layout->n_vectors; k++) {
        bool sums = k + 1 == layout->n_vectors;
        const whist_strategy_vector *vector = &p->plan->strategy->vectors[k];
        say(p, "    %s: %" PRIu64 " numbers of %u bits, %" PRIu64 " bytes%s%s", sums ? "sums" : vector->name,
            layout->vectors[k].length, layout->vectors[k].bits, vector_bytes(layout, k),
            sums ? "" : ": the change of the model, ",
            sums               ? ""
            : p->plan->privacy ? "bounded, times the site's public weight"
                               : weighting_text(vector->weighting));
        if (sums) say_sums(p, purpose);
    }
}

/* ---- Purposes ---- */

static whist_status layout_of(wh_layout *out, const preview *p, whist_purpose purpose)
{
    const whist_fed_plan *plan = p->plan;
    WH_TRY(wh_layout_vectors(out, plan, purpose, plan->n_sites));
    const whist_protection_env env = {
        .role = WHIST_ROLE_SITE,
        .name = plan->sites[p->index].name,
        .study = plan->study,
        .n_sites = plan->n_sites,
        .sites = p->sites,
        .n_parties = plan->n_parties,
        .parties = p->parties,
        .n_vectors = out->n_vectors,
        .vectors = out->vectors,
        .min_sites = plan->min_sites,
        .settings = plan->protection_settings,
    };
    whist_protection *machine;
    WH_TRY(plan->protection->new_(&machine, &env));
    whist_status status = wh_layout_place(out, machine);
    wh_protection_free(machine);
    return status;
}

static void say_phases(const preview *p, const wh_layout *layout, whist_purpose purpose)
{
    const whist_protection_class *protection = p->plan->protection;
    for (size_t i = 0; i < protection->n_phases; i++) {
        const whist_phase *phase = &protection->phases[i];
        if (!phase->sites) continue;
        if (!phase->upload) {
            say(p, "  phase '%s': messages of the protection, at most %d bytes each", phase->name, WHIST_MESSAGE_MAX);
            continue;
        }
        say(p, "  phase '%s': %" PRIu64 " bytes", phase->name, layout->bytes);
        say_vectors(p, layout, purpose);
    }
}

static whist_status say_purpose(preview *p, whist_purpose purpose, uint64_t times, const char *title)
{
    wh_layout layout;
    uint64_t bytes;
    WH_TRY(layout_of(&layout, p, purpose));
    if (__builtin_mul_overflow(layout.bytes, times, &bytes) || __builtin_add_overflow(p->total, bytes, &p->total))
        WH_FAIL(WHIST_E_RANGE, "this study would send more than 2^64 bytes");
    if (purpose == WHIST_PURPOSE_TRAIN) p->round = layout.bytes;
    say(p, "%s:", title);
    say_phases(p, &layout, purpose);
    return WHIST_OK;
}

/* What is done to the update before it leaves, and what is paid for it. */
static void say_promise(const preview *p)
{
    const whist_fed_privacy *privacy = p->plan->privacy;
    say(p, "privacy for one %s (%s): epsilon %g at delta %g, over all studies on these data",
        whist_dp_unit_name(privacy->unit), whist_dp_relation_name(privacy->relation), privacy->epsilon, privacy->delta);
    say(p, "  %s", whist_privacy_trust(privacy->noise));
    if (privacy->sigma > 0 && p->plan->learner->records)
        say(p, "  each record's gradient is clipped to %g; noise of %g times what a record adds (%s)", privacy->clip,
            privacy->sigma, whist_privacy_mechanism_name(privacy->mechanism));
    else if (privacy->sigma > 0)
        say(p, "  the update is scaled to an L2 norm of %g%s; noise of %g times that (%s)", privacy->clip,
            privacy->adaptive ? " at first" : "", privacy->sigma, whist_privacy_mechanism_name(privacy->mechanism));
    else
        say(p, "  the learner %s adds the noise", p->plan->learner->name);
    say(p, "  each answer is charged to this site's ledger before it leaves");
}

static whist_status say_all(preview *p)
{
    const whist_fed_plan *plan = p->plan;
    char hex[65], title[96];
    wh_hex(hex, plan->study, 32);
    say(p, "study %s, SHA-256 %s", plan->name, hex);
    say(p, "site %s, one of %zu; coordinator %s", plan->sites[p->index].name, plan->n_sites, plan->coordinator.name);
    say(p, "protection %s: %s", plan->protection->name, plan->protection->doc);
    if (plan->privacy) say_promise(p);
    if (plan->pooled_moments) WH_TRY(say_purpose(p, WHIST_PURPOSE_MOMENTS, 1, "before training, once"));
    snprintf(title, sizeof title, "training, in %s %" PRIu32 " round%s",
             plan->stop_early || plan->sample_fraction < 1 ? "up to" : "each of", plan->rounds,
             plan->rounds == 1 ? "" : "s");
    WH_TRY(say_purpose(p, WHIST_PURPOSE_TRAIN, plan->rounds, title));
    WH_TRY(say_purpose(p, WHIST_PURPOSE_EVALUATE, 1, "after training, once"));
    say(p, "in all: %" PRIu64 " bytes a round, %" PRIu64 " bytes in the study, if every round succeeds", p->round,
        p->total);
    say(p, "no row, no column value and no identifier leaves");
    return WHIST_OK;
}

static whist_status names_of(const char ***out, wh_arena *arena, const whist_fed_site *actors, size_t n)
{
    WH_TRY(WH_ARENA_NEW(out, arena, n));
    for (size_t i = 0; i < n; i++) (*out)[i] = actors[i].name;
    return WHIST_OK;
}

whist_status whist_site_preview(const whist_fed_plan *plan, size_t index, whist_line_fn *emit, void *user)
{
    WH_ENSURE(plan && emit && index < plan->n_sites, WHIST_E_ARG);
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    preview p = {.plan = plan, .index = index, .emit = emit, .user = user};
    WH_TRY(names_of(&p.sites, &arena, plan->sites, plan->n_sites));
    WH_TRY(names_of(&p.parties, &arena, plan->parties, plan->n_parties));
    return say_all(&p);
}
