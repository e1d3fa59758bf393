/* run/state_copy_test.c: backup and restore of a coordinator's and of a site's state. */
#include "fed/store_test.h"

#include "crypt/box.h"

#include <sys/stat.h>
#include <unistd.h>

#include <whist/run.h>

static const uint8_t study_b[32] = {9, 8, 7};

typedef struct folders {
    char *dir, *state, *backup, *back;
} folders;

static int make(void **state)
{
    static folders f;
    f = (folders){.dir = test_dir("copy")};
    assert_ok(wh_path(&f.state, f.dir, "state"));
    assert_ok(wh_path(&f.backup, f.dir, "backup"));
    assert_ok(wh_path(&f.back, f.dir, "back"));
    *state = &f;
    return 0;
}

static int drop(void **state)
{
    folders *f = *state;
    wh_free(f->state);
    wh_free(f->backup);
    wh_free(f->back);
    assert_ok(wh_tree_remove(f->dir));
    test_dir_free(f->dir);
    return 0;
}

static wh_store *open_in(const char *dir, const uint8_t study[32])
{
    wh_store *store = NULL;
    assert_ok(wh_make_dirs(dir));
    assert_ok(wh_store_open(&store, dir, study));
    return store;
}

static void a_coordinator_while_it_runs(void **state)
{
    folders *f = *state;
    wh_store *store = open_in(f->state, study_a);
    set(store, "round", "7");
    make_file(store, "model/1.bin", 100);
    assert_ok(whist_state_backup(f->state, f->backup));
    set(store, "round", "8");
    wh_store_close(store);
    assert_ok(whist_state_restore(f->backup, f->back));
    store = open_in(f->back, study_a);
    assert_value(store, "round", "7");
    assert_true(wh_vecfile_exists(store, "model/1.bin"));
    wh_store_close(store);
}

static void a_site_with_all_its_studies(void **state)
{
    folders *f = *state;
    char first[4096], second[4096];
    assert_ok(whist_site_study_state(first, f->state, study_a));
    assert_ok(whist_site_study_state(second, f->state, study_b));
    wh_store *a = open_in(first, study_a), *b = open_in(second, study_b);
    set(a, "who", "a");
    set(b, "who", "b");
    wh_store_close(b);
    assert_ok(whist_state_backup(f->state, f->backup));
    wh_store_close(a);
    assert_ok(whist_state_restore(f->backup, f->back));
    assert_ok(whist_site_study_state(first, f->back, study_a));
    assert_ok(whist_site_study_state(second, f->back, study_b));
    a = open_in(first, study_a);
    b = open_in(second, study_b);
    assert_value(a, "who", "a");
    assert_value(b, "who", "b");
    wh_store_close(a);
    wh_store_close(b);
}

/* The key that models are sealed to, encrypted as it is: what was sealed to the site opens with it as before. One that
 * is no file of a key's size is refused. */
static void a_sites_key_for_sealed_models(void **state)
{
    folders *f = *state;
    char study[4096], from[4200], kept[4200], back[4200];
    WH_AUTO(wh_box_key_ptr) key = NULL;
    WH_AUTO(wh_box_key_ptr) restored = NULL;
    WH_AUTO(wh_buf) before = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) after = WH_BUF_EMPTY;
    struct stat info;
    assert_ok(whist_site_study_state(study, f->state, study_a));
    wh_store_close(open_in(study, study_a));
    snprintf(from, sizeof from, "%s/recipient.pem", f->state);
    snprintf(kept, sizeof kept, "%s/recipient.pem", f->backup);
    snprintf(back, sizeof back, "%s/recipient.pem", f->back);
    assert_ok(wh_box_key_new(&key));
    assert_ok(wh_box_key_save(key, from, "a passphrase"));
    assert_ok(whist_state_backup(f->state, f->backup));
    assert_ok(wh_file_read(&before, from, 1 << 16));
    assert_ok(wh_file_read(&after, kept, 1 << 16));
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    assert_true(stat(kept, &info) == 0 && (info.st_mode & 0777) == 0600);
    assert_ok(whist_state_restore(f->backup, f->back));
    assert_true(stat(back, &info) == 0 && (info.st_mode & 0777) == 0600);
    assert_int_equal(wh_box_key_load(&restored, back, "another"), WHIST_E_AUTH);
    assert_ok(wh_box_key_load(&restored, back, "a passphrase"));
    assert_memory_equal(key->public_key, restored->public_key, sizeof key->public_key);
    /* A hospital that was in no study has nothing but this key. */
    char alone[4200], again[4200];
    snprintf(alone, sizeof alone, "%s/alone", f->dir);
    snprintf(again, sizeof again, "%s/again", f->dir);
    assert_ok(wh_tree_remove(study));
    assert_ok(whist_state_backup(f->state, alone));
    assert_ok(whist_state_restore(alone, again));
    assert_ok(wh_tree_remove(f->backup));
    assert_int_equal(truncate(from, 1 << 17), 0);
    assert_int_equal(whist_state_backup(f->state, f->backup), WHIST_E_RANGE);
}

static void what_is_there_is_not_overwritten(void **state)
{
    folders *f = *state;
    assert_int_equal(whist_state_backup(f->state, f->backup), WHIST_E_STATE);
    wh_store_close(open_in(f->state, study_a));
    assert_ok(whist_state_backup(f->state, f->backup));
    assert_int_equal(whist_state_backup(f->state, f->backup), WHIST_E_STATE);
    assert_int_equal(whist_state_restore(f->backup, f->state), WHIST_E_STATE);
}

static void an_unfinished_backup_is_no_state(void **state)
{
    folders *f = *state;
    char part[4200], whole[4200];
    wh_store_close(open_in(f->state, study_a));
    assert_ok(whist_state_backup(f->state, f->backup));
    snprintf(part, sizeof part, "%s/whist.db.part", f->backup);
    snprintf(whole, sizeof whole, "%s/whist.db", f->backup);
    assert_int_equal(rename(whole, part), 0); /* as a crash would leave it */
    assert_int_equal(whist_state_restore(f->backup, f->back), WHIST_E_STATE);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, make, drop)
    const struct CMUnitTest tests[] = {
        ROW(a_coordinator_while_it_runs),      ROW(a_site_with_all_its_studies),
        ROW(a_sites_key_for_sealed_models),    ROW(what_is_there_is_not_overwritten),
        ROW(an_unfinished_backup_is_no_state),
    };
    (void)set_up, (void)tear_down; /* of the stores' own tests */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
