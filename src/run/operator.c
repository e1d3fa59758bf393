/* run/operator.c: what an operator asks of a coordinator. */
#include "codec/json.h"
#include "fed/wire.h"
#include "net/client.h"
#include "run/identity_files.h"

#include <stdio.h>

enum { MAX_STATUS = 65536, MAX_DEPTH = 8 };

static whist_status call_with(wh_response *out, const whist_operator_call *call, const wh_identity *identity,
                              const char *path, int code)
{
    char address[WH_COORDINATOR_ADDRESS], who[WH_COORDINATOR_ADDRESS + 16];
    WH_TRY(wh_coordinator_address(address, call->coordinator));
    wh_client_options options = WH_CLIENT_OPTIONS_DEFAULT;
    options.address = address;
    options.proxy = call->proxy && call->proxy[0] ? call->proxy : NULL;
    options.identity = identity;
    options.server_pin = call->coordinator_pin;
    wh_client *client;
    WH_TRY(wh_client_new(&client, &options));
    whist_status status = wh_client_call(client, out, "POST", path, (whist_bytes){NULL, 0});
    wh_client_free(client);
    WH_TRY(status);
    snprintf(who, sizeof who, "coordinator %s", address);
    return wh_response_expect(out, code, who);
}

static whist_status ask(wh_response *out, const whist_operator_call *call, const char *path, int code)
{
    WH_AUTO(wh_identity_loaded) identity = {.certificate = WH_BUF_EMPTY};
    WH_TRY(wh_identity_load(&identity, &call->identity));
    return call_with(out, call, &identity.identity, path, code);
}

whist_status whist_operator_status(char **json, const whist_operator_call *call)
{
    WH_ENSURE(json && call && call->coordinator_pin, WHIST_E_ARG);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    WH_AUTO(wh_json_ptr) parsed = NULL;
    WH_TRY(ask(&response, call, WH_PATH_STATUS, 200));
    /* It goes to somebody's terminal or script: only what really is JSON does. */
    WH_TRY(wh_json_read(&parsed, wh_buf_view(&response.body), MAX_STATUS, MAX_DEPTH, "the coordinator's status"));
    return wh_strdup(json, wh_buf_str(&response.body));
}

whist_status whist_operator_start(const whist_operator_call *call)
{
    WH_ENSURE(call && call->coordinator_pin, WHIST_E_ARG);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    return ask(&response, call, WH_PATH_START, 204);
}

whist_status whist_operator_stop(const whist_operator_call *call)
{
    WH_ENSURE(call && call->coordinator_pin, WHIST_E_ARG);
    WH_AUTO(wh_response) response = WH_RESPONSE_EMPTY;
    return ask(&response, call, WH_PATH_STOP, 204);
}

void whist_operator_text_free(char *text)
{
    wh_free(text);
}
