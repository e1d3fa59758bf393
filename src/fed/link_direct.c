/* fed/link_direct.c: every call of a link is one call of the coordinator. */
#include "fed/link_direct.h"

static wh_link_direct *self_of(wh_link *link)
{
    return (wh_link_direct *)link;
}

static whist_status poll(wh_link *link, wh_task *out)
{
    return wh_coordinator_poll(self_of(link)->coordinator, self_of(link)->actor, out);
}

static whist_status model(wh_link *link, const wh_task *task, const float **out)
{
    (void)task;
    const float *view = wh_coordinator_model_view(self_of(link)->coordinator);
    if (!view) WH_FAIL(WHIST_E_STATE, "the direct link needs a store in memory");
    *out = view;
    return WHIST_OK;
}

static whist_status begin(wh_link *link, const wh_task *task, uint64_t bytes, const wh_manifest *manifest,
                          const uint8_t **have)
{
    *have = NULL;
    return wh_coordinator_begin(self_of(link)->coordinator, self_of(link)->actor, task->step, task->phase, bytes,
                                manifest, NULL);
}

static whist_status put(wh_link *link, const wh_task *task, uint64_t offset, whist_bytes piece)
{
    return wh_coordinator_put(self_of(link)->coordinator, self_of(link)->actor, task->step, task->phase, offset, piece);
}

static whist_status submit(wh_link *link, const wh_task *task, const whist_message *messages, size_t n)
{
    return wh_coordinator_submit(self_of(link)->coordinator, self_of(link)->actor, task->step, task->phase, messages,
                                 n);
}

static whist_status decline(wh_link *link, const wh_task *task, whist_status why, const char *text)
{
    return wh_coordinator_decline(self_of(link)->coordinator, self_of(link)->actor, task->step, task->phase, why, text);
}

void wh_link_direct_init(wh_link_direct *out, wh_coordinator *coordinator, size_t actor)
{
    *out = (wh_link_direct){
        .link = {poll, model, begin, put, submit, decline, NULL}, .coordinator = coordinator, .actor = actor};
}
