/* fed/serve.c: one function for each kind of request. Who asks is the certificate's pin, never a field. */
#include "fed/serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "fed/wire.h"

#include <stdio.h>
#include <string.h>

enum { SPOOL_RETRY_MS = 5000, WAIT_BUSY_MS = 50 };

typedef struct call {
    wh_serve *serve;
    size_t actor;
    const wh_request *request;
    wh_response *response;
} call;

static whist_status decode(wh_wire *out, const call *c, const ProtobufCMessageDescriptor *type)
{
    return wh_wire_decode(out, type, c->request->body, WH_WIRE_CONTROL_MAX, c->serve->plan->study);
}

static ProtobufCBinaryData study_field(const call *c)
{
    return (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)c->serve->plan->study}; /* protobuf-c knows no const */
}

static whist_status encode(call *c, const ProtobufCMessage *message)
{
    c->response->code = 200;
    return wh_wire_encode(&c->response->body, message);
}

static whist_status hello(call *c)
{
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_TRY(decode(&wire, c, &whist__v1__hello__descriptor));
    Whist__V1__HelloReply reply;
    whist__v1__hello_reply__init(&reply);
    reply.version = WH_WIRE_VERSION;
    reply.study = study_field(c);
    reply.unix_ms = wh_clock_unix_ms();
    reply.chunk_bytes = WH_CHUNK_BYTES;
    return encode(c, &reply.base);
}

/* ---- poll ---- */

static whist_status put_names(char ***out, wh_arena *arena, const char **names, size_t n)
{
    WH_TRY(WH_ARENA_NEW(out, arena, n));
    for (size_t i = 0; names && i < n; i++) WH_TRY(wh_arena_strdup(&(*out)[i], arena, names[i]));
    return WHIST_OK;
}

static whist_status encode_task(call *c, wh_task *task)
{
    Whist__V1__Task message;
    Whist__V1__Manifest model;
    whist__v1__task__init(&message);
    message.version = WH_WIRE_VERSION;
    message.study = study_field(c);
    message.kind = (uint32_t)task->kind;
    message.wait_ms = task->wait_ms;
    message.step = task->step;
    message.round = task->round;
    message.phase = task->phase;
    message.purpose = (uint32_t)task->purpose;
    message.evaluate = task->evaluate;
    message.has_state = task->has_state;
    message.state_step = task->state_step;
    message.cohort = task->n_sites;
    message.text = task->text;
    if (task->has_model) {
        WH_TRY(wh_coordinator_model_manifest(c->serve->coordinator, &task->model));
        WH_TRY(wh_wire_put_manifest(&model, &task->arena, &task->model));
        message.model = &model;
    }
    if (task->sites) {
        message.n_sites = task->n_sites;
        WH_TRY(put_names(&message.sites, &task->arena, task->sites, task->n_sites));
        message.n_alive = task->n_alive;
        WH_TRY(put_names(&message.alive, &task->arena, task->alive, task->n_alive));
    }
    message.n_inbox = task->n_inbox;
    WH_TRY(wh_wire_put_messages(&message.inbox, &task->arena, task->inbox, task->n_inbox));
    return encode(c, &message.base);
}

static whist_status poll(call *c)
{
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_TRY(decode(&wire, c, &whist__v1__poll__descriptor));
    WH_AUTO(wh_task) task = WH_TASK_EMPTY;
    WH_TRY(wh_coordinator_poll(c->serve->coordinator, c->actor, &task));
    whist_status status = encode_task(c, &task);
    if (status != WHIST_E_STATE) return status;
    /* The step closed between the two calls: there is nothing to do just now. */
    wh_buf_reset(&c->response->body);
    wh_task_clear(&task);
    task.wait_ms = WAIT_BUSY_MS;
    return encode_task(c, &task);
}

/* ---- Chunks ---- */

static whist_status model_chunk(call *c, uint64_t step, uint64_t index)
{
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    WH_TRY(wh_coordinator_model_manifest(c->serve->coordinator, &manifest));
    if (index >= manifest.n_chunks) WH_FAIL(WHIST_E_FORMAT, "the model has %zu chunks", manifest.n_chunks);
    size_t len = wh_manifest_chunk_len(&manifest, index);
    uint8_t *bytes;
    WH_TRY(wh_buf_grow(&c->response->body, &bytes, len));
    WH_TRY(wh_coordinator_model_read(c->serve->coordinator, step, index * manifest.chunk_bytes, bytes, len));
    c->response->code = 200;
    return WHIST_OK;
}

static whist_status upload_chunk(call *c, uint64_t step, uint64_t phase, uint64_t index)
{
    if (phase > UINT8_MAX || index >= WH_MANIFEST_MAX_CHUNKS) WH_FAIL(WHIST_E_FORMAT, "no such chunk");
    WH_TRY(wh_coordinator_put(c->serve->coordinator, c->actor, step, (unsigned)phase, index * WH_CHUNK_BYTES,
                              c->request->body));
    c->response->code = 204;
    return WHIST_OK;
}

static whist_status begin(call *c)
{
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_TRY(decode(&wire, c, &whist__v1__begin__descriptor));
    const Whist__V1__Begin *message = wire.message;
    WH_AUTO(wh_manifest) manifest = WH_MANIFEST_EMPTY;
    WH_TRY(wh_wire_get_manifest(&manifest, message->manifest));
    if (manifest.chunk_bytes != WH_CHUNK_BYTES) WH_FAIL(WHIST_E_FORMAT, "chunks must be of %d bytes", WH_CHUNK_BYTES);
    WH_AUTO(wh_buf) have = WH_BUF_EMPTY;
    whist_status status = wh_coordinator_begin(c->serve->coordinator, c->actor, message->step, message->phase,
                                               manifest.bytes, &manifest, &have);
    if (status == WHIST_E_BUDGET) {
        wh_response_fail(c->response, WHIST_E_TIMEOUT);
        c->response->retry_after_ms = SPOOL_RETRY_MS;
        return WHIST_OK;
    }
    WH_TRY(status);
    Whist__V1__BeginReply reply;
    whist__v1__begin_reply__init(&reply);
    reply.version = WH_WIRE_VERSION;
    reply.study = study_field(c);
    reply.have = (ProtobufCBinaryData){have.len, have.data};
    return encode(c, &reply.base);
}

static whist_status submit(call *c)
{
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_TRY(decode(&wire, c, &whist__v1__submit__descriptor));
    const Whist__V1__Submit *message = wire.message;
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    whist_message *messages;
    WH_TRY(wh_wire_get_messages(&messages, &arena, message->outbox, message->n_outbox));
    WH_TRY(wh_coordinator_submit(c->serve->coordinator, c->actor, message->step, message->phase, messages,
                                 message->n_outbox));
    c->response->code = 204;
    return WHIST_OK;
}

static whist_status decline(call *c)
{
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_TRY(decode(&wire, c, &whist__v1__decline__descriptor));
    const Whist__V1__Decline *message = wire.message;
    char text[256];
    snprintf(text, sizeof text, "%s", message->text);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ') *at = ' '; /* one line in our log, whatever was sent */
    WH_TRY(wh_coordinator_decline(c->serve->coordinator, c->actor, message->step, message->phase,
                                  (whist_status)message->code, text));
    c->response->code = 204;
    return WHIST_OK;
}

/* ---- Ledgers ---- */

static const char *actor_name(const call *c)
{
    const whist_fed_plan *plan = c->serve->plan;
    return c->actor < plan->n_sites ? plan->sites[c->actor].name : plan->parties[c->actor - plan->n_sites].name;
}

/* Where our own ledger is an older copy, whoever says so shows our signature: nothing more is opened. Where the site's
 * is, its answer is our note all the same (unless we have kept nothing of it): what it signed itself tells it best. */
static whist_status take_note(call *c, whist_bytes bytes, const wh_ledger_note *own)
{
    wh_ledger_note note;
    bool ours;
    WH_TRY(wh_ledger_note_decode(&note, bytes));
    whist_status status = wh_ledger_note_take(c->serve->ledger, &note, c->request->peer.pin, actor_name(c), &ours);
    if (status != WHIST_OK && ours) wh_coordinator_fail(c->serve->coordinator, status, whist_detail_get()->text);
    bool tells = own->has_kept && wh_ledger_same_log(own->kept, note.head);
    if (status != WHIST_E_AUTH || ours || !tells) return status;
    wh_log(WHIST_LOG_WARNING, "ledger.older", "%s", whist_detail_get()->text);
    return WHIST_OK;
}

static whist_status ledger(call *c)
{
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    wh_ledger_note own;
    if (!c->serve->ledger) WH_FAIL(WHIST_E_FORMAT, "this study makes no promise, so there is no ledger to speak of");
    WH_TRY(decode(&wire, c, &whist__v1__ledger_note__descriptor));
    const Whist__V1__LedgerNote *message = wire.message;
    /* Ours first: it shows the site its head as it was kept before this one takes its place. */
    WH_TRY(wh_ledger_note_make(c->serve->ledger, &own, c->request->peer.pin));
    WH_TRY(take_note(c, (whist_bytes){message->note.data, message->note.len}, &own));
    WH_TRY(wh_ledger_note_encode(&bytes, &own));
    Whist__V1__LedgerNote reply;
    whist__v1__ledger_note__init(&reply);
    reply.version = WH_WIRE_VERSION;
    reply.study = study_field(c);
    reply.note = (ProtobufCBinaryData){bytes.len, bytes.data};
    return encode(c, &reply.base);
}

/* ---- Operators ---- */

static const char *run_name(wh_run_state state)
{
    return state == WH_RUN_GOING ? "running" : state == WH_RUN_FINISHED ? "finished" : "failed";
}

whist_status wh_serve_status_json(wh_buf *out, wh_serve *serve)
{
    wh_coordinator *c = serve->coordinator;
    const whist_fed_plan *plan = serve->plan;
    wh_coordinator_counts counts;
    wh_coordinator_count(c, &counts);
    char digest[65];
    wh_hex(digest, plan->study, 32);
    return wh_buf_text(
        out,
        "{\"study\":\"%s\",\"digest\":\"%s\",\"state\":\"%s\",\"rounds\":%u,\"round\":%llu,\"step\":%llu,"
        "\"phase\":\"%s\",\"expected\":%zu,\"arrived\":%zu,\"answers\":%llu,\"repeated\":%llu,"
        "\"late\":%llu,\"refused\":%llu,\"declined\":%llu,\"bytes_in\":%llu}",
        plan->name, digest, atomic_load(&serve->waits) ? "waiting" : run_name(counts.state), plan->rounds,
        (unsigned long long)counts.round, (unsigned long long)counts.step, plan->protection->phases[counts.phase].name,
        counts.expected, counts.arrived, (unsigned long long)counts.answers, (unsigned long long)counts.repeated,
        (unsigned long long)counts.late, (unsigned long long)counts.refused, (unsigned long long)counts.declined,
        (unsigned long long)counts.bytes_in);
}

static whist_status need_right(const wh_request *request, unsigned right, const char *name)
{
    if (request->peer.role == WHIST_CRYPT_OPERATOR && request->peer.rights & right) return WHIST_OK;
    WH_FAIL(WHIST_E_AUTH, "this needs an operator's certificate with the right to %s", name);
}

static whist_status operate(wh_serve *serve, const wh_request *request, wh_response *response, bool *known)
{
    *known = true;
    if (strcmp(request->path, WH_PATH_STATUS) == 0) {
        WH_TRY(need_right(request, WHIST_CRYPT_MAY_READ, "read"));
        response->code = 200;
        return wh_serve_status_json(&response->body, serve);
    }
    if (strcmp(request->path, WH_PATH_START) == 0) {
        WH_TRY(need_right(request, WHIST_CRYPT_MAY_START, "start"));
        atomic_store(&serve->waits, false);
        wh_coordinator_wake(serve->coordinator);
        response->code = 204;
        return WHIST_OK;
    }
    if (strcmp(request->path, WH_PATH_STOP) == 0) {
        WH_TRY(need_right(request, WHIST_CRYPT_MAY_STOP, "stop"));
        atomic_store(&serve->stop_asked, true);
        wh_coordinator_wake(serve->coordinator);
        response->code = 204;
        return WHIST_OK;
    }
    *known = false;
    return WHIST_OK;
}

/* ---- Routing ---- */

typedef struct route {
    const char *path;
    whist_status (*answer)(call *c);
} route;

static const route routes[] = {
    {WH_PATH_HELLO, hello},   {WH_PATH_POLL, poll},       {WH_PATH_BEGIN, begin},
    {WH_PATH_SUBMIT, submit}, {WH_PATH_DECLINE, decline}, {WH_PATH_LEDGER, ledger},
};

static whist_status answer_actor(call *c)
{
    const wh_request *request = c->request;
    uint64_t numbers[3];
    if (strcmp(request->method, "GET") == 0 && wh_wire_numbers(request->path, WH_PATH_MODEL_CHUNK, numbers, 2))
        return model_chunk(c, numbers[0], numbers[1]);
    if (strcmp(request->method, "PUT") == 0 && wh_wire_numbers(request->path, WH_PATH_UPLOAD_CHUNK, numbers, 3))
        return upload_chunk(c, numbers[0], numbers[1], numbers[2]);
    for (size_t i = 0; strcmp(request->method, "POST") == 0 && i < WH_COUNT(routes); i++)
        if (strcmp(request->path, routes[i].path) == 0) return routes[i].answer(c);
    (void)wh_fail(WHIST_E_FORMAT, __FILE__, __LINE__, "no such request: is the other side of another version?");
    wh_response_fail(c->response, WHIST_E_FORMAT);
    c->response->code = 404;
    return WHIST_OK;
}

whist_status wh_serve_handle(void *user, const wh_request *request, wh_response *response)
{
    wh_serve *serve = user;
    bool known;
    WH_TRY(operate(serve, request, response, &known));
    if (known) return WHIST_OK;
    call c = {.serve = serve, .request = request, .response = response};
    WH_TRY(wh_coordinator_actor_find(serve->coordinator, request->peer.pin, &c.actor));
    return answer_actor(&c);
}
