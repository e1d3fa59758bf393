/* fed/store_fault_test.c: the store through kill -9, a full disk and a file-size limit.
 *
 * One short run stands for all: each step writes a vector file, names it in a transaction together with
 * an arrival, a message and a log record, and removes the file before it. Whatever interrupts the run, what is
 * found afterwards is the state after 0, 1, … or all steps, whole, and the run can go on from there. */
#include "test.h"

#include "fed/store_db.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WH_TEST_HOOKS

enum { STEPS = 3, FILE_BYTES = 70000 };
static const uint8_t study[32] = {1};

static whist_status write_file(wh_store *store, const char *name, uint8_t n)
{
    static uint8_t bytes[FILE_BYTES];
    memset(bytes, n, FILE_BYTES);
    wh_vecfile *file;
    WH_TRY(wh_vecfile_create(&file, store, name, FILE_BYTES));
    whist_status status = wh_vecfile_write(file, bytes, FILE_BYTES / 2, 0);
    if (status == WHIST_OK)
        status = wh_vecfile_write(file, bytes + FILE_BYTES / 2, FILE_BYTES - FILE_BYTES / 2, FILE_BYTES / 2);
    if (status == WHIST_OK) status = wh_vecfile_sync(file);
    wh_vecfile_close(file);
    return status;
}

static whist_status write_rows(wh_store *store, uint8_t n)
{
    wh_digest answer = {{n}};
    uint8_t body[3000] = {n}; /* a few pages */
    whist_message message = {.from = "a", .to = "b", .body = {body, sizeof body}};
    bool first, same;
    WH_TRY(wh_store_set(store, "n", (whist_bytes){&n, 1}));
    WH_TRY(wh_store_arrival_put(store, n, 0, "a", &answer, 0, &first, &same));
    WH_TRY(wh_store_message_put(store, n, 0, 0, &message));
    return wh_store_log_put(store, n, (whist_bytes){&n, 1});
}

static whist_status one_step(wh_store *store, uint8_t n)
{
    char name[16], before[16];
    snprintf(name, sizeof name, "model/%d", n);
    snprintf(before, sizeof before, "model/%d", n - 1);
    WH_TRY(write_file(store, name, n));
    WH_TRY(wh_store_begin(store));
    whist_status status = write_rows(store, n);
    if (status != WHIST_OK) {
        wh_store_rollback(store);
        return status;
    }
    WH_TRY(wh_store_commit(store));
    return wh_vecfile_remove(store, before);
}

static whist_status steps_done(wh_store *store, uint8_t *out)
{
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found;
    WH_TRY(wh_store_get(store, "n", &value, &found));
    *out = found ? value.data[0] : 0;
    return WHIST_OK;
}

/* From wherever the store stands to the end. */
static whist_status go_on(wh_store *store)
{
    uint8_t n;
    WH_TRY(steps_done(store, &n));
    for (n++; n <= STEPS; n++) WH_TRY(one_step(store, n));
    return WHIST_OK;
}

static whist_status count_record(void *user, uint64_t seq, whist_bytes record)
{
    ++*(unsigned *)user;
    WH_ENSURE(record.len == 1 && record.data[0] == seq, WHIST_E_FORMAT);
    return WHIST_OK;
}

static whist_status count_message(void *user, const whist_message *message)
{
    WH_ENSURE(message->body.len == 3000, WHIST_E_FORMAT);
    ++*(unsigned *)user;
    return WHIST_OK;
}

static whist_status count_arrival(void *user, const char *actor, const wh_digest *answer)
{
    (void)actor, (void)answer;
    ++*(unsigned *)user;
    return WHIST_OK;
}

/* The state is that after some number of steps, in every table and in the file. */
static void assert_whole(wh_store *store)
{
    uint8_t n;
    unsigned records = 0;
    assert_ok(steps_done(store, &n));
    assert_true(n <= STEPS);
    assert_ok(wh_store_log_each(store, 0, count_record, &records));
    assert_int_equal(records, n);
    for (uint8_t i = 1; i <= STEPS + 1; i++) {
        unsigned messages = 0, arrivals = 0;
        assert_ok(wh_store_messages(store, i, 0, "b", count_message, &messages));
        assert_ok(wh_store_arrivals(store, i, 0, count_arrival, &arrivals));
        assert_int_equal(messages, i <= n);
        assert_int_equal(arrivals, i <= n);
    }
    if (n == 0) return;
    char name[16];
    uint8_t bytes[2];
    wh_vecfile *file;
    snprintf(name, sizeof name, "model/%d", n);
    assert_ok(wh_vecfile_open(&file, store, name));
    assert_int_equal(wh_vecfile_bytes(file), FILE_BYTES);
    assert_ok(wh_vecfile_read(file, bytes, 1, 0));
    assert_ok(wh_vecfile_read(file, bytes + 1, 1, FILE_BYTES - 1));
    assert_true(bytes[0] == n && bytes[1] == n);
    wh_vecfile_close(file);
}

/* Opens what is left, checks it, finishes the run, checks the end. */
static void recover(const char *dir)
{
    wh_store *store;
    uint8_t n;
    assert_ok(wh_store_open(&store, dir, study));
    assert_whole(store);
    assert_ok(go_on(store));
    assert_whole(store);
    assert_ok(steps_done(store, &n));
    assert_int_equal(n, STEPS);
    wh_store_close(store);
}

/* ---- kill -9 ---- */

static int child_main(const char *dir)
{
    wh_store *store;
    if (wh_store_open(&store, dir, study) != WHIST_OK) return 2;
    whist_status status = go_on(store);
    char *backup = NULL;
    if (status == WHIST_OK) status = wh_path(&backup, dir, "backup");
    if (status == WHIST_OK) status = wh_store_backup(store, backup);
    wh_free(backup);
    wh_store_close(store);
    return status == WHIST_OK ? 0 : 3;
}

/* Runs this program again as a child that dies at the k-th durable point; true where it came to its end. */
static bool run_until(const char *dir, unsigned k)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char number[16];
        snprintf(number, sizeof number, "%u", k);
        setenv("WHIST_TEST_CRASH_AT", number, 1);
        execl("/proc/self/exe", "store_fault_test", "--child", dir, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        assert_int_equal(WTERMSIG(status), SIGKILL);
    else
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFEXITED(status);
}

/* A backup is whole, or known for unfinished, or was never begun. True where it is whole. */
static bool check_backup(const char *dir)
{
    char path[4096], part[4096], whole[4096];
    snprintf(path, sizeof path, "%.4000s/backup", dir);
    snprintf(part, sizeof part, "%.4000s/backup/whist.db.part", dir);
    snprintf(whole, sizeof whole, "%.4000s/backup/whist.db", dir);
    wh_store *copy;
    uint8_t n;
    if (wh_file_exists(part)) assert_int_equal(wh_store_open(&copy, path, study), WHIST_E_STATE);
    if (!wh_file_exists(whole)) return false;
    assert_ok(wh_store_open(&copy, path, study));
    assert_whole(copy);
    assert_ok(steps_done(copy, &n));
    assert_int_equal(n, STEPS);
    wh_store_close(copy);
    return true;
}

static void survives_every_kill(void **state)
{
    (void)state;
    unsigned k = 1;
    for (bool finished = false; !finished; k++) {
        char *dir = test_dir("crash");
        finished = run_until(dir, k);
        recover(dir);
        assert_true(check_backup(dir) || !finished);
        assert_ok(wh_tree_remove(dir));
        test_dir_free(dir);
        assert_true(k < 500);
    }
    /* At the least: a migration, and for each step a file made, synced, known to its folder, a commit. */
    assert_true(k > 2 + STEPS * 7);
}

/* ---- Full disk ---- */

/* A run with space for `after` writes, then one in the same store (or a new one) with space again. */
static bool run_with_space_for(unsigned after)
{
    char *dir = test_dir("full"), number[16];
    wh_store *store = NULL;
    snprintf(number, sizeof number, "%u", after);
    setenv("WHIST_TEST_DISK_FULL_AFTER", number, 1);
    wh_fault_reset();
    whist_status status = wh_store_open(&store, dir, study);
    if (status == WHIST_OK) status = go_on(store);
    if (status != WHIST_OK) {
        assert_int_equal(status, WHIST_E_IO);
        assert_non_null(strstr(whist_detail_get()->text, "free some space"));
        assert_non_null(strstr(whist_detail_get()->text, dir));
    }
    unsetenv("WHIST_TEST_DISK_FULL_AFTER");
    if (store) {
        assert_whole(store);
        if (after % 2) assert_ok(go_on(store)); /* the same store goes on, or the next process does */
        wh_store_close(store);
    }
    recover(dir);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
    return status == WHIST_OK;
}

static void survives_a_full_disk(void **state)
{
    (void)state;
    unsigned after = 0;
    while (!run_with_space_for(after)) assert_true(++after < 500);
    assert_true(after > STEPS * 3);
}

/* A statement too large for the page cache fails in the middle of its transaction. SQLite rolls back then;
 * what comes after must not be stored by itself. */
static void nothing_follows_a_failed_statement(void **state)
{
    (void)state;
    enum { LARGE = 16 << 20 };
    char *dir = test_dir("full");
    wh_store *store;
    uint8_t *large;
    assert_ok(WH_NEW(&large, LARGE));
    setenv("WHIST_TEST_DISK_FULL_AFTER", "1000000", 1);
    assert_ok(wh_store_open(&store, dir, study));
    assert_ok(wh_store_begin(store));
    setenv("WHIST_TEST_DISK_FULL_AFTER", "0", 1);
    assert_int_equal(wh_store_set(store, "large", (whist_bytes){large, LARGE}), WHIST_E_IO);
    unsetenv("WHIST_TEST_DISK_FULL_AFTER");
    assert_int_equal(wh_store_set(store, "n", (whist_bytes){large, 1}), WHIST_E_STATE);
    assert_int_equal(wh_store_commit(store), WHIST_E_STATE);
    WH_AUTO(wh_buf) value = WH_BUF_EMPTY;
    bool found = true;
    assert_ok(wh_store_get(store, "n", &value, &found));
    assert_false(found);
    assert_ok(go_on(store)); /* the store itself is fine */
    wh_store_close(store);
    recover(dir);
    wh_free(large);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

/* ---- File-size limit ---- */

static void survives_a_size_limit(void **state)
{
    (void)state;
    static const rlim_t limits[] = {0, 1000, 20000, 40000, 60000, 69999, 100000};
    struct rlimit usual, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < WH_COUNT(limits); i++) {
        char *dir = test_dir("limit"), text[512];
        wh_store *store = NULL;
        tight = usual;
        tight.rlim_cur = limits[i];
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
        whist_status status = wh_store_open(&store, dir, study);
        if (status == WHIST_OK) status = go_on(store);
        snprintf(text, sizeof text, "%s", whist_detail_get()->text);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
        assert_int_equal(status, WHIST_E_IO);
        assert_non_null(strstr(text, dir));
        if (!strstr(text, "file-size limit")) fail_msg("limit %d: %s", (int)limits[i], text);
        if (store) {
            assert_whole(store);
            wh_store_close(store);
        }
        recover(dir);
        assert_ok(wh_tree_remove(dir));
        test_dir_free(dir);
    }
    signal(SIGXFSZ, SIG_DFL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--child") == 0) return child_main(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_every_kill),
        cmocka_unit_test(survives_a_full_disk),
        cmocka_unit_test(nothing_follows_a_failed_statement),
        cmocka_unit_test(survives_a_size_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void needs_test_hooks(void **state)
{
    (void)state;
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(needs_test_hooks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
