/* meta/scheme_rule.c: by whose mathematics a learner goes: its own, or (dp-meta) its rule's.
 *
 * dp-meta has the options of all its rules in one table. What it is given becomes settings of the rule's own table, so
 * that everything behind a scheme reads them as the rule's. */
#include <stdio.h>
#include <string.h>

#include "meta/dp_learners.h"
#include "meta/learners.h"
#include "meta/scheme_parts.h"

#include <whist/meta.h>

static const whist_learner_class *rule_named(const char *name)
{
    const whist_learner_class *const *c = wh_meta_learner_classes();
    while (*c && strcmp((*c)->name, name) != 0) c++;
    return *c;
}

/* Mean the same in both tables, or are none of the mathematics. */
static bool is_own(const char *option)
{
    static const char *const own[] = {"rule",    "lr",      "support", "query", "tasks", "evaluate",
                                      "persons", "updates", "rate",    "batch", "clip",  "noise"};
    for (size_t i = 0; i < WH_COUNT(own); i++)
        if (strcmp(own[i], option) == 0) return true;
    return false;
}

static bool has_option(const whist_learner_class *class_, const char *option)
{
    for (const whist_option *o = class_->options; o && o->name; o++)
        if (strcmp(o->name, option) == 0) return true;
    return false;
}

bool wh_meta_rule_ignores(const whist_settings *settings, const char *option)
{
    return !is_own(option) && has_option(&wh_learner_dp_meta, option) &&
           !has_option(rule_named(whist_settings_text(settings, "rule")), option);
}

/* A value as the text that sets it. false: 0 of inner_lr or inner_steps, which leaves the rule's own. */
static bool text_of(char out[64], const whist_option *o, const whist_settings *from)
{
    const bool inner = strncmp(o->name, "inner_", 6) == 0;
    switch (o->type) {
    case WHIST_OPTION_INT: {
        const long long value = whist_settings_int(from, o->name);
        snprintf(out, 64, "%lld", value);
        return !inner || value > 0;
    }
    case WHIST_OPTION_REAL: {
        const double value = whist_settings_real(from, o->name);
        snprintf(out, 64, "%.17g", value);
        return !inner || value > 0;
    }
    case WHIST_OPTION_BOOL: snprintf(out, 64, whist_settings_bool(from, o->name) ? "true" : "false"); return true;
    case WHIST_OPTION_CHOICE: snprintf(out, 64, "%s", whist_settings_text(from, o->name)); return true;
    default: return false;
    }
}

static whist_status settings_of(whist_settings **out, const whist_learner_class *rule, const whist_settings *given)
{
    WH_AUTO(whist_settings_ptr) settings = NULL;
    WH_TRY(whist_settings_new(&settings, rule->options));
    for (const whist_option *o = rule->options; o->name; o++) {
        char text[64];
        if (!is_own(o->name) && text_of(text, o, given)) WH_TRY(whist_settings_set(settings, o->name, text));
    }
    *out = settings;
    settings = NULL;
    return WHIST_OK;
}

whist_status wh_scheme_rule(const whist_learner_class **learner, whist_settings **settings,
                            const whist_learner_class *class_, const whist_settings *given)
{
    if (class_ != &wh_learner_dp_meta) {
        *learner = class_;
        return whist_settings_copy(settings, given);
    }
    const char *name = whist_settings_text(given, "rule");
    const whist_learner_class *rule = rule_named(name);
    WH_ENSURE(rule, WHIST_E_ARG);
    if (wh_scheme_is_metric(wh_scheme_kind_of(rule)))
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "rule %s compares query rows with the support rows of each class of an episode, and a person's task "
                "has none of these: its targets are the study's own, and a person may show one class only. Take a rule "
                "with inner steps (fomaml, maml, …), or learner dp-protonet, whose prototypes are of the study's "
                "classes",
                name);
    *learner = rule;
    return settings_of(settings, rule, given);
}

bool whist_meta_own_tasks(whist_episodes *out, const whist_learner_class *learner, const whist_settings *settings)
{
    if (learner != &wh_learner_dp_meta) return false;
    *out = (whist_episodes){.kind = WHIST_TASKS_PERSONS,
                            .shots = (uint32_t)whist_settings_int(settings, "support"),
                            .queries = (uint32_t)whist_settings_int(settings, "query"),
                            .turns = 1};
    return true;
}
