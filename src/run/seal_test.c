/* run/seal_test.c: sealed models: one way through, and every way that must be refused without a trace of plaintext. */
#include "run/run_test.h"

#include "run/sealed.h"

#include <fcntl.h>
#include <unistd.h>

enum { SITES = 3, WIDTH = 220 }; /* a model of four chunks: 220² and more floats */

typedef struct fixture {
    char *dir, *model, *sealed, *out, *notices[SITES], *states[SITES];
    wh_town town;
    wh_citizen coordinator, sites[SITES]; /* the last one is not in the study */
    wh_test_files files[SITES + 1];
    whist_model *net;
    whist_fed_site named[2];
    whist_fed_plan plan;
} fixture;

static void make_plan(fixture *f)
{
    const whist_model_shape shape = {WIDTH, 1, WHIST_TARGET_BINARY};
    whist_settings *mlp;
    assert_ok(whist_settings_new(&mlp, whist_model_class_find("mlp")->options));
    assert_ok(whist_settings_set(mlp, "hidden", "[220]"));
    assert_ok(whist_model_new(&f->net, "mlp", mlp, &shape));
    whist_settings_free(mlp);
    f->plan = (whist_fed_plan){.study = {1, 2, 3},
                               .name = "hearts",
                               .model = f->net,
                               .learner = whist_learner_classes()[0],
                               .strategy = whist_strategy_classes()[0],
                               .n_features = WIDTH,
                               .sites = f->named,
                               .n_sites = 2};
    f->plan.coordinator.pinned = true;
    memcpy(f->plan.coordinator.pin, f->coordinator.pin, 32);
    for (size_t i = 0; i < 2; i++) {
        f->named[i].pinned = true;
        memcpy(f->named[i].pin, f->sites[i].pin, 32);
    }
}

static void make_model(fixture *f)
{
    size_t n = whist_model_size(f->net);
    float *params = calloc(n, sizeof *params);
    for (size_t i = 0; i < n; i++) params[i] = (float)i;
    assert_true(n * sizeof *params > 2 * WH_SEALED_CHUNK);
    assert_ok(whist_model_save(f->model, &f->plan, params, NULL, NULL));
    free(params);
}

static void make_notice(fixture *f, size_t i, bool renew)
{
    int64_t until = 0;
    assert_ok(whist_recipient_make(&until, &(whist_recipient_run){.identity = f->files[i].files,
                                                                  .state = f->states[i],
                                                                  .notice = f->notices[i],
                                                                  .days = 30,
                                                                  .renew = renew}));
    assert_true(until > wh_seal_now() + 29 * 86400);
}

static whist_status try_seal(fixture *f, const char *const to[], size_t n_to, const uint8_t (*pins)[32], size_t n_pins)
{
    whist_sealed_info info;
    const whist_seal_run run = {.plan = &f->plan,
                                .identity = f->files[SITES].files,
                                .model = f->model,
                                .out = f->sealed,
                                .to = to,
                                .n_to = n_to,
                                .pins = pins,
                                .n_pins = n_pins,
                                .days = 7};
    WH_TRY(whist_model_seal(&info, &run));
    assert_memory_equal(info.study, f->plan.study, 32);
    assert_int_equal(info.n_recipients, n_to);
    assert_int_equal(info.until, info.made + 7 * 86400);
    return WHIST_OK;
}

static whist_status try_open(fixture *f, size_t site)
{
    whist_sealed_info info;
    return whist_model_unseal(&info, &(whist_unseal_run){.plan = &f->plan,
                                                         .identity = f->files[site].files,
                                                         .state = f->states[site],
                                                         .file = f->sealed,
                                                         .out = f->out});
}

/* Refused with these words, and neither the model nor a part of it is there. */
static void assert_closed(fixture *f, size_t site, whist_status code, const char *words)
{
    WH_AUTO(wh_buf) part = WH_BUF_EMPTY;
    whist_status status = try_open(f, site);
    assert_says(words);
    assert_int_equal(status, code);
    assert_false(wh_file_exists(f->out));
    assert_ok(wh_buf_text(&part, "%s.part", f->out));
    assert_false(wh_file_exists(wh_buf_str(&part)));
}

static int set_up(void **state)
{
    static fixture f;
    f = (fixture){.dir = test_dir("seal")};
    assert_ok(wh_town_new(&f.town, "hearts"));
    assert_ok(wh_citizen_new(&f.coordinator, &f.town, "coordinator", WHIST_CRYPT_COORDINATOR, 1, 365));
    for (size_t i = 0; i < SITES; i++) {
        char name[16];
        snprintf(name, sizeof name, "site-%zu", i);
        assert_ok(wh_citizen_new(&f.sites[i], &f.town, name, WHIST_CRYPT_SITE, 1, 365));
        test_files_new(&f.files[i], f.dir, name, &f.town, &f.sites[i]);
        assert_ok(wh_path(&f.states[i], f.dir, "%s", name));
        assert_ok(wh_path(&f.notices[i], f.dir, "%s.notice", name));
    }
    test_files_new(&f.files[SITES], f.dir, "coordinator", &f.town, &f.coordinator);
    assert_ok(wh_path(&f.model, f.dir, "model.safetensors"));
    assert_ok(wh_path(&f.sealed, f.dir, "model.sealed"));
    assert_ok(wh_path(&f.out, f.dir, "opened.safetensors"));
    make_plan(&f);
    make_model(&f);
    for (size_t i = 0; i < SITES; i++) make_notice(&f, i, false);
    assert_ok(try_seal(&f, (const char *const[]){f.notices[0], f.notices[1]}, 2, NULL, 0));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    assert_ok(wh_tree_remove(f->dir));
    test_dir_free(f->dir);
    whist_model_free(f->net);
    wh_town_clear(&f->town);
    wh_citizen_clear(&f->coordinator);
    for (size_t i = 0; i <= SITES; i++) test_files_clear(&f->files[i]);
    for (size_t i = 0; i < SITES; i++) {
        wh_citizen_clear(&f->sites[i]);
        wh_free(f->states[i]);
        wh_free(f->notices[i]);
    }
    wh_free(f->model);
    wh_free(f->sealed);
    wh_free(f->out);
    return 0;
}

static void read_all(wh_buf *out, const char *path)
{
    wh_buf_reset(out);
    assert_ok(wh_file_read(out, path, 1 << 22));
}

static void recipients_get_the_bytes(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) before = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) after = WH_BUF_EMPTY;
    struct stat st;
    read_all(&before, f->model);
    for (size_t site = 0; site < 2; site++) {
        assert_ok(try_open(f, site));
        read_all(&after, f->out);
        assert_int_equal(after.len, before.len);
        assert_memory_equal(after.data, before.data, before.len);
        assert_int_equal(stat(f->out, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(try_open(f, site), WHIST_E_STATE); /* never over a file that is there */
        assert_says("there already");
        assert_ok(wh_file_remove(f->out));
    }
    /* Nothing of the model stands in the sealed file. */
    read_all(&after, f->sealed);
    assert_null(memmem(after.data, after.len, before.data + before.len - 64, 64));
}

static void others_do_not(void **state)
{
    fixture *f = *state;
    const char *const to[] = {f->notices[2]};
    assert_closed(f, 2, WHIST_E_AUTH, "none of its recipients");
    /* A site beyond the study: only when its pin is given. */
    assert_int_equal(try_seal(f, to, 1, NULL, 0), WHIST_E_AUTH);
    assert_says("names no site with the key of site-2");
    assert_ok(try_seal(f, to, 1, (const uint8_t(*)[32]) & f->sites[2].pin, 1));
    assert_ok(try_open(f, 2));
    assert_ok(wh_file_remove(f->out));
    assert_closed(f, 0, WHIST_E_AUTH, "none of its recipients");
}

static void a_renewed_key_opens_nothing_old(void **state)
{
    fixture *f = *state;
    make_notice(f, 0, false); /* a new notice of the same key */
    assert_ok(try_open(f, 0));
    assert_ok(wh_file_remove(f->out));
    make_notice(f, 0, true);
    assert_closed(f, 0, WHIST_E_AUTH, "no longer");
    assert_ok(try_seal(f, (const char *const[]){f->notices[0]}, 1, NULL, 0));
    assert_ok(try_open(f, 0));
    assert_ok(wh_file_remove(f->out));
    /* No key at all. */
    WH_AUTO(wh_buf) key = WH_BUF_EMPTY;
    assert_ok(wh_buf_text(&key, "%s/" WH_SEAL_KEY, f->states[0]));
    assert_ok(wh_file_remove(wh_buf_str(&key)));
    assert_closed(f, 0, WHIST_E_STATE, "site recipient");
}

static void another_study(void **state)
{
    fixture *f = *state;
    f->plan.study[0] ^= 1;
    assert_closed(f, 0, WHIST_E_AUTH, "another study");
    assert_int_equal(try_seal(f, (const char *const[]){f->notices[0]}, 1, NULL, 0), WHIST_E_AUTH);
    assert_says("not made by this study");
    f->plan.study[0] ^= 1;
}

static void its_time_is_over(void **state)
{
    fixture *f = *state;
    assert_int_equal(setenv("WHIST_TEST_CLOCK_OFFSET", "691200", 1), 0); /* eight days on */
    assert_closed(f, 0, WHIST_E_AUTH, "time is over");
    assert_int_equal(setenv("WHIST_TEST_CLOCK_OFFSET", "2678400", 1), 0); /* past the notice, too */
    assert_int_equal(try_seal(f, (const char *const[]){f->notices[0]}, 1, NULL, 0), WHIST_E_AUTH);
    assert_says("time is over");
    unsetenv("WHIST_TEST_CLOCK_OFFSET");
}

/* Where the head ends. */
static size_t body_of(const wh_buf *file, wh_sealed_head *head)
{
    assert_null(wh_sealed_head_read(head, wh_buf_view(file)));
    return head->size;
}

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = a[i];
        a[i] = b[i], b[i] = byte;
    }
}

static void every_change_shows(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) good = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) bad = WH_BUF_EMPTY;
    wh_sealed_head head;
    read_all(&good, f->sealed);
    size_t body = body_of(&good, &head);
    /* One bit, here and there, in the head and in the body. */
    for (size_t at = 0; at < good.len; at += at < body ? 17 : 9973) {
        wh_buf_reset(&bad);
        assert_ok(wh_buf_add(&bad, good.data, good.len));
        bad.data[at] ^= 1;
        assert_ok(wh_file_write(f->sealed, wh_buf_view(&bad), 0644));
        whist_status status = try_open(f, 0);
        if (status != WHIST_E_AUTH && status != WHIST_E_FORMAT) fail_msg("byte %zu: status %d", at, (int)status);
        assert_false(wh_file_exists(f->out));
    }
    const size_t cuts[] = {0, 1, 20, body - 1, body, body + WH_STREAM_HEAD, good.len - WH_STREAM_MORE, good.len - 1};
    for (size_t i = 0; i < WH_COUNT(cuts); i++) {
        assert_ok(wh_file_write(f->sealed, (whist_bytes){good.data, cuts[i]}, 0644));
        assert_closed(f, 0, cuts[i] < body ? WHIST_E_FORMAT : WHIST_E_AUTH,
                      cuts[i] == 0     ? "empty"
                      : cuts[i] < body ? ""
                                       : "cut short");
    }
    wh_buf_reset(&bad);
    assert_ok(wh_buf_add(&bad, good.data, good.len));
    assert_ok(wh_buf_add(&bad, "x", 1));
    assert_ok(wh_file_write(f->sealed, wh_buf_view(&bad), 0644));
    assert_closed(f, 0, WHIST_E_AUTH, "behind its end");
    /* Two chunks change places. */
    uint8_t *first = good.data + body + WH_STREAM_HEAD, *second = first + WH_SEALED_CHUNK + WH_STREAM_MORE;
    swap(first, second, WH_SEALED_CHUNK + WH_STREAM_MORE);
    assert_ok(wh_file_write(f->sealed, wh_buf_view(&good), 0644));
    assert_closed(f, 0, WHIST_E_AUTH, "another order");
}

/* Signs a changed file again, as nobody but the coordinator could: what is inside must still not open. */
static void sign_again(fixture *f, wh_buf *file, const whist_crypt_key *key)
{
    WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
    wh_sealed_head head;
    wh_digest body;
    uint8_t signature[64];
    size_t at = body_of(file, &head);
    wh_sha256_of(&body, file->data + at, file->len - at);
    assert_ok(wh_buf_add(&out, head.head.data, head.head.len));
    assert_ok(wh_sealed_body_write(&out, body.bytes));
    assert_ok(whist_crypt_sign(signature, key, WH_SEALED_CONTEXT, wh_buf_view(&out)));
    assert_ok(wh_seal_signature(&out, signature));
    assert_ok(wh_buf_add(&out, file->data + at, file->len - at));
    assert_ok(wh_file_write(f->sealed, wh_buf_view(&out), 0644));
}

static void what_is_inside_is_bound_to_the_head(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) file = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) whole = WH_BUF_EMPTY;
    wh_sealed_head head;
    read_all(&whole, f->sealed);
    size_t at = body_of(&whole, &head) + WH_STREAM_HEAD, chunk = WH_SEALED_CHUNK + WH_STREAM_MORE;
    /* Chunks in another order: the stream notices, after a chunk of plaintext was written, which must be gone. */
    read_all(&file, f->sealed);
    swap(file.data + at + chunk, file.data + at, chunk);
    sign_again(f, &file, f->coordinator.key);
    assert_closed(f, 0, WHIST_E_AUTH, "not the next one");
    /* The second chunk damaged. */
    wh_buf_reset(&file);
    assert_ok(wh_buf_add(&file, whole.data, whole.len));
    file.data[at + chunk + 5] ^= 1;
    sign_again(f, &file, f->coordinator.key);
    assert_closed(f, 0, WHIST_E_AUTH, "not the next one");
    /* Another head over the same chunks: the date is part of what each chunk is bound to. */
    wh_buf_reset(&file);
    assert_ok(wh_buf_add(&file, whole.data, whole.len));
    char *made = memmem(file.data, head.size, "made 1", 6);
    made[14] = made[14] == '9' ? '8' : '9';
    sign_again(f, &file, f->coordinator.key);
    assert_closed(f, 0, WHIST_E_AUTH, "not the next one");
    /* Signed by a site instead, and by a coordinator of the same authority that the study does not name. */
    wh_buf_reset(&file);
    assert_ok(wh_buf_add(&file, whole.data, whole.len));
    sign_again(f, &file, f->sites[1].key);
    assert_closed(f, 0, WHIST_E_AUTH, "signature is not good");
    sign_again(f, &file, f->coordinator.key);
    f->plan.coordinator.pin[0] ^= 1;
    assert_closed(f, 0, WHIST_E_AUTH, "coordinator that the study names");
    f->plan.coordinator.pin[0] ^= 1;
    assert_ok(try_open(f, 0));
    assert_ok(wh_file_remove(f->out));
}

static void notices_are_believed_only_from_their_site(void **state)
{
    fixture *f = *state;
    WH_AUTO(wh_buf) notice = WH_BUF_EMPTY;
    const char *const to[] = {f->notices[0]}, *const twice[] = {f->notices[0], f->notices[0]};
    read_all(&notice, f->notices[0]);
    for (size_t at = 0; at < notice.len; at += 5) {
        notice.data[at] ^= 1;
        assert_ok(wh_file_write(f->notices[0], wh_buf_view(&notice), 0644));
        notice.data[at] ^= 1;
        whist_status status = try_seal(f, to, 1, NULL, 0);
        if (status != WHIST_E_AUTH && status != WHIST_E_FORMAT) fail_msg("byte %zu: status %d", at, (int)status);
    }
    /* Another site's key under this site's name and certificate. */
    wh_notice forged, own;
    WH_AUTO(wh_buf) other = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    uint8_t signature[64];
    read_all(&other, f->notices[1]);
    assert_null(wh_notice_read(&forged, wh_buf_view(&notice)));
    assert_null(wh_notice_read(&own, wh_buf_view(&other)));
    memcpy(forged.key, own.key, sizeof forged.key);
    assert_ok(wh_notice_write(&text, &forged));
    assert_ok(whist_crypt_sign(signature, f->sites[1].key, WH_SEAL_NOTICE_CONTEXT, wh_buf_view(&text)));
    assert_ok(wh_seal_signature(&text, signature));
    assert_ok(wh_file_write(f->notices[0], wh_buf_view(&text), 0644));
    assert_int_equal(try_seal(f, to, 1, NULL, 0), WHIST_E_AUTH);
    assert_ok(wh_file_write(f->notices[0], wh_buf_view(&notice), 0644));
    assert_int_equal(try_seal(f, twice, 2, NULL, 0), WHIST_E_ARG);
    assert_says("already");
    assert_int_equal(try_seal(f, to, 0, NULL, 0), WHIST_E_ARG);
    /* A site cannot seal. */
    wh_test_files kept = f->files[SITES];
    f->files[SITES] = f->files[1];
    assert_int_equal(try_seal(f, to, 1, NULL, 0), WHIST_E_AUTH);
    f->files[SITES] = kept;
}

static void revoked_sites_and_coordinators(void **state)
{
    fixture *f = *state;
    char *crl = NULL;
    const char *const to[] = {f->notices[0]};
    assert_ok(wh_town_revoke(&f->town, NULL));
    assert_ok(wh_town_revoke(&f->town, &f->sites[0]));
    crl = test_file(f->dir, "crl.pem", f->town.crl, 0644);
    f->files[SITES].files.crl = crl;
    assert_int_equal(try_seal(f, to, 1, NULL, 0), WHIST_E_AUTH);
    assert_says("revoked");
    assert_ok(wh_town_revoke(&f->town, &f->coordinator));
    assert_ok(wh_file_write(crl, wh_text_bytes(f->town.crl), 0644));
    f->files[1].files.crl = crl;
    assert_closed(f, 1, WHIST_E_AUTH, "revoked");
    f->files[SITES].files.crl = f->files[1].files.crl = NULL;
    free(crl);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(recipients_get_the_bytes),
        TEST(others_do_not),
        TEST(a_renewed_key_opens_nothing_old),
        TEST(another_study),
        TEST(its_time_is_over),
        TEST(every_change_shows),
        TEST(what_is_inside_is_bound_to_the_head),
        TEST(notices_are_believed_only_from_their_site),
        TEST(revoked_sites_and_coordinators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
