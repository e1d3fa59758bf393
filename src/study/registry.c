/* study/registry.c: the names that a study may use: the library's lists and what a program has added.
 *
 * The added ones are the one thing in the library that may change while it runs; they come before the
 * first study is read, as whist/study.h says, and are only ever added, so readers need no lock. */
#include "study/registry.h"

#include "nn/optim.h"

#include <whist/study.h>

#include <stdatomic.h>
#include <string.h>

enum { MAX_ADDED = 64 };

typedef struct added {
    const void *items[MAX_ADDED];
    atomic_size_t n;
} added;

static added learners, strategies, protections;

static whist_status add(added *list, const wh_part_kind *kind, const void *class_, const char *name)
{
    if (wh_rule_word(name)) WH_FAIL(WHIST_E_ARG, "%s '%s': the name %s", kind->one, name, wh_rule_word(name));
    wh_part_info info;
    for (size_t i = 0; kind->get(&info, i); i++)
        if (strcmp(info.name, name) == 0) WH_FAIL(WHIST_E_ARG, "there is a %s '%s' already", kind->one, name);
    size_t n = atomic_load(&list->n);
    if (n == MAX_ADDED) WH_FAIL(WHIST_E_RANGE, "no more than %d %s can be added", MAX_ADDED, kind->many);
    list->items[n] = class_;
    atomic_store(&list->n, n + 1);
    return WHIST_OK;
}

/* Item i of a NULL-terminated list with the added ones behind it. */
static const void *item(const void *const *list, const added *more, size_t i)
{
    for (; *list; list++)
        if (i-- == 0) return *list;
    return i < atomic_load(&more->n) ? more->items[i] : NULL;
}

static bool get_learner(wh_part_info *out, size_t i)
{
    const whist_learner_class *c = item((const void *const *)whist_learner_classes(), &learners, i);
    if (c) *out = (wh_part_info){c, c->name, c->doc, c->options};
    return c;
}

static bool get_strategy(wh_part_info *out, size_t i)
{
    const whist_strategy_class *c = item((const void *const *)whist_strategy_classes(), &strategies, i);
    if (c) *out = (wh_part_info){c, c->name, c->doc, c->options};
    return c;
}

static bool get_protection(wh_part_info *out, size_t i)
{
    const whist_protection_class *c = item((const void *const *)whist_protection_classes(), &protections, i);
    if (c) *out = (wh_part_info){c, c->name, c->doc, c->options};
    return c;
}

static bool get_model(wh_part_info *out, size_t i)
{
    for (const whist_model_class *c = whist_model_classes(); c->name; c++)
        if (i-- == 0) {
            *out = (wh_part_info){c, c->name, c->doc, c->options};
            return true;
        }
    return false;
}

static bool get_optimizer(wh_part_info *out, size_t i)
{
    for (const wh_optimizer_class *c = wh_optimizer_classes(); c->name; c++)
        if (i-- == 0) {
            *out = (wh_part_info){c, c->name, c->doc, c->options};
            return true;
        }
    return false;
}

const wh_part_kind wh_model_parts = {"model", "models", get_model};
const wh_part_kind wh_learner_parts = {"learner", "learners", get_learner};
const wh_part_kind wh_strategy_parts = {"strategy", "strategies", get_strategy};
const wh_part_kind wh_protection_parts = {"protection", "protections", get_protection};
const wh_part_kind wh_optimizer_parts = {"optimizer", "optimizers", get_optimizer};

whist_status whist_learner_register(const whist_learner_class *class_)
{
    WH_ENSURE(class_ && class_->name && class_->doc && class_->vectors, WHIST_E_ARG);
    WH_ENSURE(class_->new_ && class_->free_ && class_->fit && class_->evaluate, WHIST_E_ARG);
    WH_ENSURE((class_->n_states == 0) == (class_->state == NULL), WHIST_E_ARG);
    size_t n = 0;
    while (class_->vectors[n]) n++;
    WH_ENSURE(n >= 1 && n <= WHIST_MAX_VECTORS && class_->n_broadcast <= WHIST_MAX_VECTORS, WHIST_E_ARG);
    return add(&learners, &wh_learner_parts, class_, class_->name);
}

whist_status whist_strategy_register(const whist_strategy_class *class_)
{
    WH_ENSURE(class_ && class_->name && class_->doc && class_->vectors && class_->step, WHIST_E_ARG);
    size_t n = 0;
    while (class_->vectors[n].name) n++;
    WH_ENSURE(n >= 1 && n <= WHIST_MAX_VECTORS && class_->n_states <= WHIST_MAX_VECTORS, WHIST_E_ARG);
    WH_ENSURE(class_->n_broadcast <= class_->n_states, WHIST_E_ARG);
    return add(&strategies, &wh_strategy_parts, class_, class_->name);
}

whist_status whist_protection_register(const whist_protection_class *class_)
{
    WH_ENSURE(class_ && class_->name && class_->doc && class_->phases && class_->new_ && class_->free_, WHIST_E_ARG);
    WH_ENSURE(class_->n_phases >= 1 && class_->n_phases <= 8, WHIST_E_ARG);
    WH_ENSURE((class_->save == NULL) == (class_->load == NULL), WHIST_E_ARG);
    size_t uploads = 0;
    for (size_t i = 0; i < class_->n_phases; i++) uploads += class_->phases[i].upload;
    WH_ENSURE(uploads == 1, WHIST_E_ARG);
    return add(&protections, &wh_protection_parts, class_, class_->name);
}
