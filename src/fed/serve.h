/* fed/serve.h: the coordinator's machine behind a wh_handler: decodes requests, calls, encodes answers.
 *
 *   POST /v1/hello  poll  begin  submit  decline  ledger    sites and parties, by their pinned keys
 *   GET  /v1/chunk/model/STEP/INDEX                   PUT /v1/chunk/upload/STEP/PHASE/INDEX
 *   POST /v1/status  start  stop                       operators, by the rights in their certificates */
#ifndef WH_FED_SERVE_H
#define WH_FED_SERVE_H

#include "fed/coordinator.h"
#include "net/transport.h"

#include <stdatomic.h>

typedef struct wh_serve {
    wh_coordinator *coordinator;
    const whist_fed_plan *plan;
    wh_ledger *ledger;      /* the coordinator's, where the plan makes a promise, else NULL */
    atomic_bool waits;      /* for an operator's start */
    atomic_bool stop_asked; /* by an operator */
} wh_serve;

/* A wh_handler; user is a wh_serve. Any thread. */
whist_status wh_serve_handle(void *user, const wh_request *request, wh_response *response);

/* One JSON object with the counts: for operators and for `whist status`. */
WH_MUST_CHECK whist_status wh_serve_status_json(wh_buf *out, wh_serve *serve);

#endif
