/* run/operator_test.c: status and stop against a server, and what an answer must look like. */
#include "run/run_test.h"

#include "net/server.h"

typedef struct desk {
    wh_town town;
    wh_citizen coordinator, person;
    wh_test_files files;
    char *dir;
    wh_server *server;
    char url[64];
    const char *answer;
    char method[8], path[64];
} desk;

static whist_status answer(void *user, const wh_request *request, wh_response *response)
{
    desk *d = user;
    snprintf(d->method, sizeof d->method, "%s", request->method);
    snprintf(d->path, sizeof d->path, "%s", request->path);
    if (!(request->peer.rights & WHIST_CRYPT_MAY_STOP) && strcmp(request->path, "/v1/stop") == 0)
        WH_FAIL(WHIST_E_AUTH, "this needs an operator's certificate with the right to stop");
    response->code = d->answer ? 200 : 204;
    return d->answer ? wh_buf_text(&response->body, "%s", d->answer) : WHIST_OK;
}

static whist_status welcome(void *user, wh_peer *peer)
{
    (void)user;
    (void)peer;
    return WHIST_OK;
}

static void citizen_with_rights(wh_citizen *out, const wh_town *town, unsigned rights)
{
    char *csr = NULL;
    whist_crypt_grant grant = WHIST_CRYPT_GRANT_DEFAULT;
    grant.role = WHIST_CRYPT_OPERATOR;
    grant.rights = rights;
    assert_ok(whist_crypt_key_new(&out->key));
    assert_ok(whist_crypt_csr_new(&csr, out->key, "ada", NULL, 0));
    assert_ok(whist_crypt_csr_sign(&out->cert, town->ca_key, wh_text_bytes(town->ca), wh_text_bytes(csr), &grant));
    whist_crypt_text_free(csr);
}

static int set_up(void **state)
{
    static desk d;
    d = (desk){.dir = test_dir("operator")};
    assert_ok(wh_town_new(&d.town, "hearts"));
    assert_ok(wh_citizen_new(&d.coordinator, &d.town, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 30));
    citizen_with_rights(&d.person, &d.town, WHIST_CRYPT_MAY_READ);
    test_files_new(&d.files, d.dir, "ada", &d.town, &d.person);
    wh_identity identity = wh_identity_of(&d.town, &d.coordinator);
    wh_server_options options = WH_SERVER_OPTIONS_DEFAULT;
    options.address = "127.0.0.1:0";
    options.identity = &identity;
    options.handler = answer;
    options.user = &d;
    options.authorise = welcome;
    assert_ok(wh_server_start(&d.server, &options));
    snprintf(d.url, sizeof d.url, "https://127.0.0.1:%u/", wh_server_port(d.server));
    *state = &d;
    return 0;
}

static int tear_down(void **state)
{
    desk *d = *state;
    wh_server_stop(d->server, 0);
    test_files_clear(&d->files);
    wh_citizen_clear(&d->person);
    wh_citizen_clear(&d->coordinator);
    wh_town_clear(&d->town);
    assert_ok(wh_tree_remove(d->dir));
    test_dir_free(d->dir);
    return 0;
}

static whist_operator_call call_of(const desk *d)
{
    return (whist_operator_call){
        .identity = d->files.files, .coordinator = d->url, .coordinator_pin = d->coordinator.pin};
}

static void status_is_one_json_object(void **state)
{
    desk *d = *state;
    whist_operator_call call = call_of(d);
    char *json = NULL;
    d->answer = "{\"study\":\"hearts\",\"round\":3}";
    assert_ok(whist_operator_status(&json, &call));
    assert_string_equal(json, d->answer);
    assert_string_equal(d->method, "POST");
    assert_string_equal(d->path, "/v1/status");
    whist_operator_text_free(json);
    json = NULL;
    d->answer = "\x1b[2Jnot json";
    assert_int_equal(whist_operator_status(&json, &call), WHIST_E_FORMAT);
    assert_null(json);
}

static void stop_needs_the_right(void **state)
{
    desk *d = *state;
    whist_operator_call call = call_of(d);
    assert_int_equal(whist_operator_stop(&call), WHIST_E_AUTH);
    assert_says("the right to stop");
    wh_citizen_clear(&d->person);
    test_files_clear(&d->files);
    citizen_with_rights(&d->person, &d->town, WHIST_CRYPT_MAY_READ | WHIST_CRYPT_MAY_STOP);
    test_files_new(&d->files, d->dir, "ada", &d->town, &d->person);
    call = call_of(d);
    assert_ok(whist_operator_stop(&call));
    assert_string_equal(d->path, "/v1/stop");
}

static void the_wrong_coordinator_is_refused(void **state)
{
    desk *d = *state;
    whist_operator_call call = call_of(d);
    char *json = NULL;
    d->answer = "{}";
    call.coordinator_pin = d->person.pin;
    assert_int_equal(whist_operator_status(&json, &call), WHIST_E_AUTH);
    call = call_of(d);
    call.coordinator = "http://127.0.0.1:1";
    assert_int_equal(whist_operator_status(&json, &call), WHIST_E_ARG);
    assert_says("https://host:port");
    call.coordinator = "https://127.0.0.1:1";
    assert_int_equal(whist_operator_stop(&call), WHIST_E_IO);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(status_is_one_json_object),
        ROW(stop_needs_the_right),
        ROW(the_wrong_coordinator_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
