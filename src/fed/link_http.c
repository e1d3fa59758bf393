/* fed/link_http.c: requests of a site or party. A chunk that arrived stays, so a broken download goes on where
 * it stopped; a chunk is used only when its digest is right. */
#include "fed/link_http.h"

#include "base/clock.h"
#include "crypt/random.h"
#include "fed/wire.h"

#include <stdio.h>
#include <string.h>

static wh_link_http *self_of(wh_link *link)
{
    return (wh_link_http *)link;
}

static ProtobufCBinaryData study_field(wh_link_http *l)
{
    return (ProtobufCBinaryData){32, l->study};
}

/* One exchange that must end with `code`. */
static whist_status exchange(wh_link_http *l, wh_response *response, const char *method, const char *path,
                             whist_bytes body, int code)
{
    WH_TRY(l->transport.call(l->transport.self, response, method, path, body));
    l->retry_after_ms = response->retry_after_ms;
    return wh_response_expect(response, code, l->who);
}

static whist_status post(wh_link_http *l, wh_response *response, const char *path, const ProtobufCMessage *message,
                         int code)
{
    WH_AUTO(wh_buf) body = WH_BUF_EMPTY;
    WH_TRY(wh_wire_encode(&body, message));
    return exchange(l, response, "POST", path, wh_buf_view(&body), code);
}

whist_status wh_link_http_hello(wh_link_http *l)
{
    uint8_t nonce[16];
    WH_TRY(wh_random_bytes(nonce, sizeof nonce));
    char software[64];
    snprintf(software, sizeof software, "whist %s", whist_version());
    Whist__V1__Hello hello;
    whist__v1__hello__init(&hello);
    hello.version = WH_WIRE_VERSION;
    hello.study = study_field(l);
    hello.software = software;
    hello.unix_ms = wh_clock_unix_ms();
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_TRY(post(l, &response, WH_PATH_HELLO, &hello.base, 200));
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_TRY(wh_wire_decode(&wire, &whist__v1__hello_reply__descriptor, wh_buf_view(&response.body), WH_WIRE_CONTROL_MAX,
                          l->study));
    const Whist__V1__HelloReply *reply = wire.message;
    if (reply->chunk_bytes != WH_CHUNK_BYTES)
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s works with chunks of %u bytes, this program with %d: use the same version",
                l->who, reply->chunk_bytes, WH_CHUNK_BYTES);
    l->skew_ms = reply->unix_ms - wh_clock_unix_ms();
    return WHIST_OK;
}

/* ---- poll ---- */

static whist_status get_names(const char ***out, wh_arena *arena, char **names, size_t n)
{
    if (n > WH_WIRE_NAMES_MAX) WH_FAIL(WHIST_E_FORMAT, "%zu names in a task", n);
    WH_TRY(WH_ARENA_NEW(out, arena, n));
    for (size_t i = 0; i < n; i++) {
        char *name;
        if (strlen(names[i]) >= WHIST_NAME_SIZE) WH_FAIL(WHIST_E_FORMAT, "a name of %zu bytes", strlen(names[i]));
        WH_TRY(wh_arena_strdup(&name, arena, names[i]));
        (*out)[i] = name;
    }
    return WHIST_OK;
}

/* The inbox outlives the decoded message, so its bodies move into the task's arena. */
static whist_status get_inbox(wh_task *out, const Whist__V1__Task *in)
{
    WH_TRY(wh_wire_get_messages(&out->inbox, &out->arena, in->inbox, in->n_inbox));
    out->n_inbox = in->n_inbox;
    for (size_t i = 0; i < out->n_inbox; i++) {
        uint8_t *body;
        WH_TRY(WH_ARENA_NEW(&body, &out->arena, out->inbox[i].body.len));
        if (out->inbox[i].body.len) memcpy(body, out->inbox[i].body.data, out->inbox[i].body.len);
        out->inbox[i].body.data = body;
    }
    return WHIST_OK;
}

static whist_status get_task(wh_task *out, const Whist__V1__Task *in)
{
    if (in->kind > WH_TASK_REFUSED || in->purpose > WHIST_PURPOSE_EVALUATE || in->phase >= 8)
        WH_FAIL(WHIST_E_FORMAT, "a task of a kind that this version does not know");
    out->kind = (wh_task_kind)in->kind;
    out->wait_ms = in->wait_ms;
    out->step = in->step;
    out->round = in->round;
    out->phase = in->phase;
    out->purpose = (whist_purpose)in->purpose;
    out->evaluate = in->evaluate;
    out->has_state = in->has_state;
    out->state_step = in->state_step;
    out->n_sites = in->cohort;
    snprintf(out->text, sizeof out->text, "%s", in->text);
    if (in->model) {
        WH_TRY(wh_wire_get_manifest(&out->model, in->model));
        out->has_model = true;
        out->model_bytes = out->model.bytes;
    }
    if (in->n_sites) {
        if (in->n_sites != in->cohort)
            WH_FAIL(WHIST_E_FORMAT, "a task that names another number of sites than it says");
        WH_TRY(get_names(&out->sites, &out->arena, in->sites, in->n_sites));
        WH_TRY(get_names(&out->alive, &out->arena, in->alive, in->n_alive));
        out->n_alive = in->n_alive;
    }
    return get_inbox(out, in);
}

static whist_status poll(wh_link *link, wh_task *out)
{
    wh_link_http *l = self_of(link);
    Whist__V1__Poll message;
    whist__v1__poll__init(&message);
    message.version = WH_WIRE_VERSION;
    message.study = study_field(l);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_TRY(post(l, &response, WH_PATH_POLL, &message.base, 200));
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_TRY(wh_wire_decode(&wire, &whist__v1__task__descriptor, wh_buf_view(&response.body), WH_WIRE_CONTROL_MAX,
                          l->study));
    whist_status status = get_task(out, wire.message);
    if (status != WHIST_OK) wh_task_clear(out);
    return status;
}

/* ---- The model ---- */

static bool same_manifest(const wh_manifest *a, const wh_manifest *b)
{
    return a->n_chunks && a->bytes == b->bytes && a->chunk_bytes == b->chunk_bytes &&
           memcmp(a->digests, b->digests, a->n_chunks * sizeof *a->digests) == 0;
}

static whist_status expect_model(wh_link_http *l, const wh_manifest *manifest)
{
    if (same_manifest(&l->model, manifest)) return WHIST_OK;
    wh_manifest copy = WH_MANIFEST_EMPTY;
    WH_TRY(wh_manifest_init(&copy, manifest->bytes, manifest->chunk_bytes));
    memcpy(copy.digests, manifest->digests, copy.n_chunks * sizeof *copy.digests);
    bool same_size = l->model.bytes == manifest->bytes;
    wh_manifest_clear(&l->model);
    wh_free(l->have);
    l->have = NULL;
    if (!same_size) {
        wh_free(l->floats);
        l->floats = NULL;
    }
    whist_status status = wh_alloc((void **)&l->have, copy.n_chunks / 8 + 1, 1);
    if (status == WHIST_OK && !l->floats) status = wh_alloc_raw((void **)&l->floats, copy.bytes, 1);
    if (status != WHIST_OK) {
        wh_manifest_clear(&copy);
        return status;
    }
    l->model = copy;
    return WHIST_OK;
}

static whist_status fetch_chunk(wh_link_http *l, uint64_t step, size_t i)
{
    char path[96];
    snprintf(path, sizeof path, "%s%llu/%zu", WH_PATH_MODEL_CHUNK, (unsigned long long)step, i);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_TRY(exchange(l, &response, "GET", path, (whist_bytes){0}, 200));
    whist_status status = wh_manifest_check(&l->model, i, wh_buf_view(&response.body));
    /* Damaged on the way: worth another try, unlike a malformed message. */
    if (status != WHIST_OK) WH_FAIL(WHIST_E_IO, "chunk %zu of the model came damaged from %s", i, l->who);
    memcpy((uint8_t *)l->floats + (uint64_t)i * l->model.chunk_bytes, response.body.data, response.body.len);
    l->have[i >> 3] |= (uint8_t)(1u << (i & 7));
    return WHIST_OK;
}

static whist_status model(wh_link *link, const wh_task *task, const float **out)
{
    wh_link_http *l = self_of(link);
    if (!task->has_model) WH_FAIL(WHIST_E_FORMAT, "a task without the model that it needs");
    WH_TRY(expect_model(l, &task->model));
    for (size_t i = 0; i < l->model.n_chunks; i++)
        if (!(l->have[i >> 3] >> (i & 7) & 1)) WH_TRY(fetch_chunk(l, task->step, i));
    *out = l->floats;
    return WHIST_OK;
}

/* ---- Answers ---- */

static whist_status begin(wh_link *link, const wh_task *task, uint64_t bytes, const wh_manifest *manifest,
                          const uint8_t **have)
{
    wh_link_http *l = self_of(link);
    (void)bytes;
    if (!manifest) WH_FAIL(WHIST_E_ARG, "uploads over the network need their manifest");
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    Whist__V1__Begin message;
    Whist__V1__Manifest field;
    whist__v1__begin__init(&message);
    message.version = WH_WIRE_VERSION;
    message.study = study_field(l);
    message.step = task->step;
    message.phase = task->phase;
    WH_TRY(wh_wire_put_manifest(&field, &arena, manifest));
    message.manifest = &field;
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_TRY(post(l, &response, WH_PATH_BEGIN, &message.base, 200));
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    WH_TRY(wh_wire_decode(&wire, &whist__v1__begin_reply__descriptor, wh_buf_view(&response.body), WH_WIRE_CONTROL_MAX,
                          l->study));
    const Whist__V1__BeginReply *reply = wire.message;
    if (reply->have.len < manifest->n_chunks / 8 + 1)
        WH_FAIL(WHIST_E_FORMAT, "%s answered with too few chunks", l->who);
    wh_buf_reset(&l->have_upload);
    WH_TRY(wh_buf_add(&l->have_upload, reply->have.data, reply->have.len));
    *have = l->have_upload.data;
    return WHIST_OK;
}

static whist_status put(wh_link *link, const wh_task *task, uint64_t offset, whist_bytes piece)
{
    wh_link_http *l = self_of(link);
    char path[96];
    snprintf(path, sizeof path, "%s%llu/%u/%llu", WH_PATH_UPLOAD_CHUNK, (unsigned long long)task->step, task->phase,
             (unsigned long long)(offset / WH_CHUNK_BYTES));
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    whist_status status = exchange(l, &response, "PUT", path, piece, 204);
    /* The chunk was right when it left (node.c looked), so it was damaged on the way. */
    return status == WHIST_E_FORMAT ? wh_fail_context(WHIST_E_IO, "a chunk of the update came damaged: ") : status;
}

static whist_status submit(wh_link *link, const wh_task *task, const whist_message *messages, size_t n)
{
    wh_link_http *l = self_of(link);
    WH_AUTO(wh_arena) arena = WH_ARENA_EMPTY;
    Whist__V1__Submit message;
    whist__v1__submit__init(&message);
    message.version = WH_WIRE_VERSION;
    message.study = study_field(l);
    message.step = task->step;
    message.phase = task->phase;
    message.n_outbox = n;
    WH_TRY(wh_wire_put_messages(&message.outbox, &arena, messages, n));
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    return post(l, &response, WH_PATH_SUBMIT, &message.base, 204);
}

static whist_status decline(wh_link *link, const wh_task *task, whist_status why, const char *text)
{
    wh_link_http *l = self_of(link);
    char shown[256];
    snprintf(shown, sizeof shown, "%s", text);
    /* No half letter at the end: the other side takes UTF-8 only. */
    for (size_t len = strlen(shown); strlen(text) > len && len && shown[len - 1] & 0x80; len--) shown[len - 1] = 0;
    Whist__V1__Decline message;
    whist__v1__decline__init(&message);
    message.version = WH_WIRE_VERSION;
    message.study = study_field(l);
    message.step = task->step;
    message.phase = task->phase;
    message.code = (uint32_t)why;
    message.text = shown;
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    return post(l, &response, WH_PATH_DECLINE, &message.base, 204);
}

/* ---- Ledgers ---- */

static whist_status send_note(wh_link_http *l, wh_wire *reply, wh_ledger *ledger)
{
    wh_ledger_note own;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_TRY(wh_ledger_note_make(ledger, &own, l->pin));
    WH_TRY(wh_ledger_note_encode(&bytes, &own));
    Whist__V1__LedgerNote message;
    whist__v1__ledger_note__init(&message);
    message.version = WH_WIRE_VERSION;
    message.study = study_field(l);
    message.note = (ProtobufCBinaryData){bytes.len, bytes.data};
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_TRY(post(l, &response, WH_PATH_LEDGER, &message.base, 200));
    return wh_wire_decode(reply, &whist__v1__ledger_note__descriptor, wh_buf_view(&response.body), WH_WIRE_CONTROL_MAX,
                          l->study);
}

static whist_status note(wh_link *link, wh_ledger *ledger)
{
    wh_link_http *l = self_of(link);
    WH_AUTO(wh_wire) wire = WH_WIRE_EMPTY;
    wh_ledger_note theirs;
    bool ours;
    WH_TRY(send_note(l, &wire, ledger));
    const Whist__V1__LedgerNote *reply = wire.message;
    WH_TRY(wh_ledger_note_decode(&theirs, (whist_bytes){reply->note.data, reply->note.len}));
    return wh_ledger_note_take(ledger, &theirs, l->pin, "the coordinator", &ours);
}

whist_status wh_link_http_init(wh_link_http *out, wh_transport transport, const uint8_t study[32], const char *who)
{
    *out = (wh_link_http){
        .link = {poll, model, begin, put, submit, decline, note}, .transport = transport, .model = WH_MANIFEST_EMPTY};
    memcpy(out->study, study, sizeof out->study);
    snprintf(out->who, sizeof out->who, "%s", who);
    return WHIST_OK;
}

void wh_link_http_clear(wh_link_http *link)
{
    wh_manifest_clear(&link->model);
    wh_free(link->have);
    wh_free(link->floats);
    wh_buf_clear(&link->have_upload);
    *link = (wh_link_http){0};
}
