/* study/policy.c: a site's own demands, checked at the site. */
#include "base/status.h"

#include <whist/study.h>

#include <string.h>

static bool allows(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = names; *at;) {
        size_t word = strcspn(at, " ");
        if (word == len && strncmp(at, name, len) == 0) return true;
        at += word + (at[word] == ' ');
    }
    return !*names;
}

whist_status whist_policy_check(const whist_policy *policy, const whist_study *study)
{
    WH_ENSURE(policy && study, WHIST_E_ARG);
    const whist_fed_plan *plan = whist_study_plan(study);
    if (plan->n_sites < policy->min_sites)
        WH_FAIL(WHIST_E_AUTH, "policy: min_sites is %u here, but study %s has %zu sites", policy->min_sites, plan->name,
                plan->n_sites);
    /* Where the coordinator sees single updates anyway, the size of a sum protects nobody. */
    if (!plan->protection->shows_updates && plan->min_sites < policy->min_sites)
        WH_FAIL(WHIST_E_AUTH, "policy: min_sites is %u here, but study %s opens sums of %zu sites", policy->min_sites,
                plan->name, plan->min_sites);
    if (plan->rounds > policy->max_rounds)
        WH_FAIL(WHIST_E_AUTH, "policy: max_rounds is %u here, but study %s has %u rounds", policy->max_rounds,
                plan->name, plan->rounds);
    const whist_fed_privacy *p = plan->privacy;
    if (policy->max_epsilon > 0 && !p)
        WH_FAIL(WHIST_E_AUTH, "policy: max_epsilon is %g here, but study %s promises no privacy at all",
                policy->max_epsilon, plan->name);
    if (policy->max_epsilon > 0 && (p->epsilon > policy->max_epsilon || p->delta > policy->max_delta))
        WH_FAIL(WHIST_E_AUTH,
                "policy: max_epsilon is %g at delta %g here, but study %s may spend epsilon %g at delta %g of one %s",
                policy->max_epsilon, policy->max_delta, plan->name, p->epsilon, p->delta, whist_dp_unit_name(p->unit));
    if (!allows(policy->learners, plan->learner->name))
        WH_FAIL(WHIST_E_AUTH, "policy: learners here are: %s; study %s uses %s", policy->learners, plan->name,
                plan->learner->name);
    if (!allows(policy->protections, plan->protection->name))
        WH_FAIL(WHIST_E_AUTH, "policy: protections here are: %s; study %s uses %s", policy->protections, plan->name,
                plan->protection->name);
    return WHIST_OK;
}
