/* fed/ledger_test.c: a ledger refuses what is over budget, whoever asks, and whatever is done to its file. */
#include "test.h"

#include "base/file.h"
#include "fed/ledger_state.h"

#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const uint8_t study_a[32] = {1}, study_b[32] = {2};

static whist_crypt_key *new_key(void)
{
    whist_crypt_key *key;
    assert_ok(whist_crypt_key_new(&key));
    return key;
}

static wh_charge charge_of(const uint8_t *study, uint64_t step, double z)
{
    wh_charge charge = {
        .study = study,
        .study_name = study == study_a ? "a" : "b",
        .step = step,
        .round = step,
        .unit = WHIST_DP_SITE,
        .relation = WHIST_DP_ZERO_OUT,
        .noise = WHIST_NOISE_CENTRAL,
        .mechanism = "gaussian",
        .sampler = "none",
        .sigma = z,
        .sensitivity = 1,
        .spend = wh_spend_gaussian(z),
        .epsilon = 3,
        .delta = 1e-5,
    };
    charge.bytes.bytes[0] = (uint8_t)(step + 1);
    return charge;
}

static wh_ledger *open_at(const char *dir, const whist_crypt_key *key)
{
    wh_ledger *ledger;
    const wh_ledger_env env = {.dir = dir, .dataset = "heart", .owner = "va", .key = key};
    assert_ok(wh_ledger_open(&ledger, &env));
    return ledger;
}

static void assert_refused(whist_status status, whist_status wanted, const char *text)
{
    assert_int_equal(status, wanted);
    if (!strstr(whist_detail_get()->text, text)) fail_msg("'%s' does not say '%s'", whist_detail_get()->text, text);
}

/* ---- Curves ---- */

/* One Gaussian release: the exact epsilon (Balle, Wang 2018) of sigma 1 at 1e-5 is 4.3772; Renyi is a bound above it,
 * and within a tenth. */
static void test_gaussian_is_bounded(void **state)
{
    (void)state;
    wh_spend one = wh_spend_gaussian(1);
    double epsilon = wh_spend_epsilon(&one, 1e-5);
    assert_true(epsilon > 4.377);
    assert_true(epsilon < 4.377 * 1.1);
}

static wh_spend pure(double epsilon)
{
    const whist_dp_event event = {.mechanism = WHIST_DP_PURE, .epsilon = epsilon, .count = 1};
    wh_spend out;
    assert_ok(wh_spend_events(&out, &event, 1));
    return out;
}

/* Pure releases add up to their sum and not a bit more; one Gaussian among them, and the curve alone counts. */
static void test_pure_releases_add_up(void **state)
{
    (void)state;
    wh_spend sum = {.slack = 0};
    const wh_spend quarter = pure(0.25), little = pure(0x1p-29), gaussian = wh_spend_gaussian(50);
    for (int i = 0; i < 4; i++) wh_spend_add(&sum, &quarter);
    assert_true(sum.pure == 1);
    assert_true(wh_spend_epsilon(&sum, 1e-6) <= 1);
    assert_true(wh_spend_fits(&sum, 1, 1e-6));
    assert_false(wh_spend_fits(&sum, 0.999, 1e-6));
    double left = wh_spend_left(&sum, 1.5, 1e-6);
    assert_true(left > 0.49999 && left <= 0.5);
    wh_spend_add(&sum, &little);
    assert_false(wh_spend_fits(&sum, 1, 1e-6));
    wh_spend_add(&sum, &gaussian);
    assert_true(sum.pure == 0);
    assert_true(wh_spend_epsilon(&sum, 1e-6) > 1);
    wh_spend_add(&sum, &quarter);
    assert_true(sum.pure == 0); /* never again */
    /* Replacing shifts by twice as much. Sampled ones are not told. */
    whist_dp_event event = {.mechanism = WHIST_DP_LAPLACE, .noise = 4, .count = 2, .relation = WHIST_DP_REPLACE};
    assert_ok(wh_spend_events(&sum, &event, 1));
    assert_true(sum.pure >= 1 && sum.pure < 1 + 1e-12);
    event.relation = WHIST_DP_ADD_REMOVE, event.sampling = WHIST_DP_POISSON, event.rate = 0.5;
    assert_ok(wh_spend_events(&sum, &event, 1));
    assert_true(sum.pure == 0);
}

/* What is kept comes back, of the newest charge, whoever opens the ledger; a refused charge leaves it alone. */
static void test_what_is_kept_comes_back(void **state)
{
    (void)state;
    char *dir = test_dir("kept");
    whist_crypt_key *key = new_key();
    static const char words[] = "first", more[] = "second";
    for (int round = 0; round < 3; round++) {
        WH_AUTO(wh_buf) out = WH_BUF_EMPTY;
        uint64_t step = 9;
        bool found;
        wh_ledger *ledger = open_at(dir, key);
        assert_ok(wh_ledger_kept(ledger, study_a, &step, &out, &found));
        assert_int_equal(found, round > 0);
        if (round == 1) assert_true(step == 0 && out.len == sizeof words && memcmp(out.data, words, out.len) == 0);
        if (round == 2) assert_true(step == 1 && out.len == sizeof more && memcmp(out.data, more, out.len) == 0);
        wh_charge charge = charge_of(study_a, (uint64_t)round, round == 2 ? 0.1 : 9);
        charge.keep = round ? (whist_bytes){(const uint8_t *)more, sizeof more}
                            : (whist_bytes){(const uint8_t *)words, sizeof words};
        if (round < 2) assert_ok(wh_ledger_charge(ledger, &charge, NULL));
        if (round == 2) {
            assert_refused(wh_ledger_charge(ledger, &charge, NULL), WHIST_E_BUDGET, "is spent");
            wh_buf_reset(&out);
            assert_ok(wh_ledger_kept(ledger, study_a, &step, &out, &found));
            assert_true(step == 1 && out.len == sizeof more);
        }
        wh_ledger_close(ledger);
    }
    whist_crypt_key_free(key);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

/* The number that is shown is the one that is compared, for what is pure and for what is not; and the one that holds
 * at any time is dearer than the best order afterwards. */
static void test_the_filter_shows_what_it_compares(void **state)
{
    (void)state;
    const wh_spend one = wh_spend_gaussian(4), half = pure(0.5);
    wh_spend sum = {.slack = 0};
    for (int i = 0; i < 40; i++) {
        wh_spend_add(&sum, i % 8 ? &one : &half);
        for (double budget = 0.25; budget < 20; budget *= 1.5) {
            const double shown = wh_spend_filter(&sum, budget, 1e-6);
            assert_true(wh_spend_fits(&sum, budget, 1e-6) == (shown <= budget));
            assert_true(shown >= wh_spend_epsilon(&sum, 1e-6));
        }
        assert_true(wh_spend_any_time(&sum, 1e-6) >= wh_spend_epsilon(&sum, 1e-6));
        assert_true(wh_spend_any_time(&sum, 1e-6) < 1.5 * wh_spend_epsilon(&sum, 1e-6) + 1);
    }
    sum = (wh_spend){.slack = 0};
    assert_true(wh_spend_filter(&sum, 1, 1e-6) == 0 && wh_spend_any_time(&sum, 1e-6) == 0);
    wh_spend_add(&sum, &half), wh_spend_add(&sum, &half);
    assert_true(wh_spend_filter(&sum, 1, 1e-6) == 1 && wh_spend_any_time(&sum, 1e-6) == 1);
}

/* What was refused says the same numbers that were compared: "would be X … allows Y" with X > Y. */
static void test_refusals_show_the_filter(void **state)
{
    (void)state;
    whist_crypt_key *key = new_key();
    wh_ledger *ledger = open_at(NULL, key);
    whist_status status = WHIST_OK;
    for (uint64_t step = 0; status == WHIST_OK; step++) {
        wh_charge charge = charge_of(study_a, step, 9);
        charge.budget = charge.epsilon;
        status = wh_ledger_charge(ledger, &charge, NULL);
    }
    assert_int_equal(status, WHIST_E_BUDGET);
    const char *would = strstr(whist_detail_get()->text, "would be ");
    assert_non_null(would);
    assert_true(strtod(would + 9, NULL) >= 3);
    wh_ledger_close(ledger);
    whist_crypt_key_free(key);
}

static wh_ledger_env headed(const char *dir, const char *head, const whist_crypt_key *key)
{
    return (wh_ledger_env){.dir = dir, .dataset = "heart", .owner = "va", .key = key, .head = head};
}

static void refuse_headed(const wh_ledger_env *env, const char *text)
{
    wh_ledger *ledger = NULL;
    assert_refused(wh_ledger_open(&ledger, env), WHIST_E_AUTH, text);
    assert_null(ledger);
}

static wh_buf read_file(const char *path)
{
    wh_buf out = WH_BUF_EMPTY;
    assert_ok(wh_file_read(&out, path, 1 << 24));
    return out;
}

/* A ledger that keeps its own head: gone, emptied, put back as it was, or with another's head, it is refused; a head
 * behind the ledger (a crash between the two) is brought up. */
static void test_a_lost_ledger_is_refused(void **state)
{
    (void)state;
    char *dir = test_dir("head"), head[512], database[512];
    snprintf(head, sizeof head, "%s/head", dir);
    char *store = test_dir("head_store");
    snprintf(database, sizeof database, "%s/whist.db", store);
    whist_crypt_key *key = new_key(), *other = new_key();
    const wh_ledger_env env = headed(store, head, key);
    wh_ledger *ledger;
    refuse_headed(&env, "is gone");
    assert_ok(wh_ledger_begin(&env));
    WH_AUTO(wh_buf) first_head = read_file(head);
    WH_AUTO(wh_buf) first = WH_BUF_EMPTY;
    for (uint64_t step = 0; step < 3; step++) {
        wh_charge charge = charge_of(study_a, step, 9);
        assert_ok(wh_ledger_open(&ledger, &env));
        assert_ok(wh_ledger_charge(ledger, &charge, NULL));
        wh_ledger_close(ledger);
        if (step == 1) first = read_file(database);
    }
    assert_refused(wh_ledger_begin(&env), WHIST_E_STATE, "holds a ledger already");
    WH_AUTO(wh_buf) last = read_file(database);
    WH_AUTO(wh_buf) last_head = read_file(head);
    assert_true(strncmp(wh_buf_str(&last_head), "3:", 2) == 0);
    assert_ok(wh_file_write(database, wh_buf_view(&first), 0600));
    refuse_headed(&env, "has 2 entries");
    assert_ok(wh_file_write(database, (whist_bytes){(const uint8_t *)"", 0}, 0600));
    refuse_headed(&env, "is empty");
    assert_ok(wh_file_remove(database));
    refuse_headed(&env, "is gone");
    assert_ok(wh_file_write(database, wh_buf_view(&last), 0600));
    assert_ok(wh_file_remove(head));
    refuse_headed(&env, "is missing");
    last_head.data[last_head.len - 2] ^= 1;
    assert_ok(wh_file_write(head, wh_buf_view(&last_head), 0600));
    refuse_headed(&env, "no head of this ledger");
    assert_ok(wh_file_write(head, wh_buf_view(&first_head), 0600));
    assert_ok(wh_ledger_open(&ledger, &env));
    wh_ledger_close(ledger);
    WH_AUTO(wh_buf) up = read_file(head);
    assert_true(strncmp(wh_buf_str(&up), "3:", 2) == 0);
    /* One that was begun otherwise has no signed beginning. */
    char *plain = test_dir("head_plain");
    wh_ledger_close(open_at(plain, key));
    const wh_ledger_env put = headed(plain, head, key);
    refuse_headed(&put, "does not begin as");
    whist_crypt_key_free(other);
    whist_crypt_key_free(key);
    assert_ok(wh_tree_remove(dir));
    assert_ok(wh_tree_remove(store));
    assert_ok(wh_tree_remove(plain));
    test_dir_free(dir), test_dir_free(store), test_dir_free(plain);
}

/* Two who ask the same at once: the second is told, and pays nothing; without asking so it is an old state. */
static void test_the_same_at_once(void **state)
{
    (void)state;
    whist_crypt_key *key = new_key();
    wh_ledger *ledger = open_at(NULL, key);
    bool taken = true;
    wh_charge charge = charge_of(study_a, 0, 9);
    charge.taken = &taken;
    assert_ok(wh_ledger_charge(ledger, &charge, NULL));
    assert_false(taken);
    charge.bytes.bytes[0]++;
    assert_ok(wh_ledger_charge(ledger, &charge, NULL));
    assert_true(taken);
    assert_int_equal(ledger->state.tree.n, 1);
    charge.taken = NULL;
    assert_refused(wh_ledger_charge(ledger, &charge, NULL), WHIST_E_AUTH, "paid for with other bytes");
    wh_ledger_close(ledger);
    whist_crypt_key_free(key);
}

/* One who has the store again and again, a while each time and without a pause between: who waits by naps never meets
 * the pause, and gives up. By turns the other one comes next. */
static void test_turns_are_fair(void **state)
{
    (void)state;
    enum { TURNS = 400, HELD_MS = 20 };
    char *dir = test_dir("turns");
    wh_store *store;
    assert_ok(wh_store_open_shared(&store, dir));
    wh_store_close(store);
    pid_t greedy = fork();
    assert_true(greedy >= 0);
    if (greedy == 0) {
        if (wh_store_open_shared(&store, dir) != WHIST_OK) _exit(1);
        for (int i = 0; i < TURNS; i++) {
            if (wh_store_begin(store) != WHIST_OK) _exit(1);
            nanosleep(&(struct timespec){.tv_nsec = HELD_MS * 1000000L}, NULL);
            wh_store_rollback(store);
        }
        _exit(0);
    }
    assert_ok(wh_store_open_shared(&store, dir));
    for (int i = 0; i < 5; i++) {
        nanosleep(&(struct timespec){.tv_nsec = HELD_MS * 1000000L}, NULL);
        assert_ok(wh_store_begin(store));
        wh_store_rollback(store);
    }
    int how;
    assert_int_equal(kill(greedy, SIGKILL), 0); /* in the middle of a turn, most likely: which goes with it */
    assert_int_equal(waitpid(greedy, &how, 0), greedy);
    if (!WIFSIGNALED(how)) fail_msg("the other one came to its end first");
    assert_ok(wh_store_begin(store));
    wh_store_rollback(store);
    wh_store_close(store);
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void test_adding_is_looping(void **state)
{
    (void)state;
    wh_spend sum = {.slack = 0};
    const wh_spend one = wh_spend_gaussian(10), hundred = wh_spend_gaussian(1);
    for (int i = 0; i < 100; i++) wh_spend_add(&sum, &one);
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) {
        assert_true(sum.rdp[i] >= hundred.rdp[i] * (1 - 1e-14));
        assert_true(sum.rdp[i] < hundred.rdp[i] * (1 + 1e-12));
    }
}

static void test_nothing_costs_nothing(void **state)
{
    (void)state;
    const wh_spend none = {.slack = 0}, eaten = {.slack = 1e-5};
    assert_true(wh_spend_epsilon(&none, 1e-5) == 0);
    assert_true(isinf(wh_spend_epsilon(&eaten, 1e-5)));
    assert_false(wh_spend_fits(&eaten, 100, 1e-5));
}

static void test_calibration_meets_the_budget(void **state)
{
    (void)state;
    for (uint64_t rounds = 1; rounds <= 1000; rounds *= 10) {
        double z;
        assert_ok(wh_spend_calibrate(&z, 3, 1e-5, rounds));
        wh_spend sum = {.slack = 0}, over = {.slack = 0};
        const wh_spend one = wh_spend_gaussian(z), less = wh_spend_gaussian(z * 0.99);
        for (uint64_t i = 0; i < rounds; i++) wh_spend_add(&sum, &one), wh_spend_add(&over, &less);
        assert_true(wh_spend_fits(&sum, 3, 1e-5));
        assert_false(wh_spend_fits(&over, 3, 1e-5));
    }
    double z;
    assert_int_equal(wh_spend_calibrate(&z, 0, 1e-5, 1), WHIST_E_ARG);
    assert_int_equal(wh_spend_calibrate(&z, NAN, 1e-5, 1), WHIST_E_ARG);
}

/* Shares add up to at least the noise of one Gaussian, and coarse ones cost more than it. */
static void test_shares(void **state)
{
    (void)state;
    wh_spend_shares shares = {.sensitivity = 1000, .sensitivity1 = 1000, .sigma = 1000, .honest = 4, .dimension = 100};
    double closeness;
    const wh_spend want = wh_spend_gaussian(2), fine = wh_spend_discrete_gaussian(&closeness, &shares);
    assert_true(closeness < 1e-12);
    const wh_spend skellam = wh_spend_skellam(&shares);
    for (size_t i = 0; i < WH_SPEND_ORDERS; i++) {
        assert_true(fine.rdp[i] >= want.rdp[i] && fine.rdp[i] < want.rdp[i] * (1 + 1e-9));
        assert_true(skellam.rdp[i] >= want.rdp[i]);
    }
    shares = (wh_spend_shares){.sensitivity = 1, .sensitivity1 = 1, .sigma = 0.5, .honest = 4, .dimension = 100};
    const wh_spend coarse = wh_spend_discrete_gaussian(&closeness, &shares);
    assert_true(closeness > 0.1);
    assert_true(coarse.rdp[3] > 1.5 * wh_spend_gaussian(1).rdp[3]);
}

/* ---- Charges ---- */

static void test_charges_add_up(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = new_key();
    wh_ledger *ledger = open_at(NULL, key);
    double after = 0, before = 0;
    for (uint64_t step = 0; step < 5; step++) {
        wh_charge charge = charge_of(study_a, step, 5);
        assert_ok(wh_ledger_charge(ledger, &charge, &after));
        assert_true(after > before);
        before = after;
        assert_ok(wh_ledger_charge(ledger, &charge, &after)); /* again: nothing */
        assert_true(after == before);
    }
    assert_int_equal(ledger->state.tree.n, 5);
    double record, site;
    assert_ok(wh_ledger_spent(ledger, WHIST_DP_RECORD, 1e-5, &record));
    assert_ok(wh_ledger_spent(ledger, WHIST_DP_SITE, 1e-5, &site));
    assert_true(record == site && site == after);
    wh_charge other = charge_of(study_a, 3, 5);
    other.bytes.bytes[5] = 9;
    assert_refused(wh_ledger_charge(ledger, &other, NULL), WHIST_E_AUTH, "paid for with other bytes");
    wh_ledger_close(ledger);
}

/* The budget is the data set's: a second study finds what the first has left. */
static void test_budget_over_studies(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = new_key();
    wh_ledger *ledger = open_at(NULL, key);
    uint64_t alone = 0, step = 0;
    whist_status status = WHIST_OK;
    for (; status == WHIST_OK; alone++) {
        wh_charge charge = charge_of(study_a, alone, 5);
        status = wh_ledger_charge(ledger, &charge, NULL);
    }
    assert_refused(status, WHIST_E_BUDGET, "the budget of this data set is spent");
    wh_charge other = charge_of(study_b, 0, 5);
    assert_refused(wh_ledger_charge(ledger, &other, NULL), WHIST_E_BUDGET, "over all studies");
    assert_refused(wh_ledger_check(ledger, &other), WHIST_E_BUDGET, "over all studies");
    other.epsilon = 6; /* the partners of b agreed to more */
    assert_ok(wh_ledger_check(ledger, &other));
    for (status = WHIST_OK; status == WHIST_OK; step++) {
        other.step = step;
        status = wh_ledger_charge(ledger, &other, NULL);
    }
    double epsilon;
    assert_ok(wh_ledger_spent(ledger, WHIST_DP_SITE, 1e-5, &epsilon));
    assert_true(epsilon <= 6 && epsilon > 5.5);
    assert_true(wh_ledger_spent_by(ledger, study_a, 1e-5) < 3);
    assert_true(wh_ledger_spent_by(ledger, study_a, 1e-5) + wh_ledger_spent_by(ledger, study_b, 1e-5) > epsilon);
    wh_ledger_close(ledger);
}

static void test_own_limit(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = new_key();
    const wh_ledger_env env = {.dataset = "heart", .owner = "va", .key = key, .max_epsilon = 1, .max_delta = 1e-6};
    wh_ledger *ledger;
    assert_ok(wh_ledger_open(&ledger, &env));
    wh_charge charge = charge_of(study_a, 0, 2.5);
    assert_refused(wh_ledger_charge(ledger, &charge, NULL), WHIST_E_BUDGET, "max_epsilon allows 1");
    charge = charge_of(study_a, 0, 10);
    assert_ok(wh_ledger_charge(ledger, &charge, NULL));
    wh_ledger_close(ledger);
}

static void test_units_and_relations(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = new_key();
    wh_ledger *ledger = open_at(NULL, key);
    wh_charge site = charge_of(study_a, 0, 20), record = charge_of(study_b, 0, 20);
    record.unit = WHIST_DP_RECORD;
    assert_ok(wh_ledger_charge(ledger, &site, NULL));
    assert_ok(wh_ledger_charge(ledger, &record, NULL)); /* what hides a site hides its records */
    double records, sites;
    assert_ok(wh_ledger_spent(ledger, WHIST_DP_RECORD, 1e-5, &records));
    assert_ok(wh_ledger_spent(ledger, WHIST_DP_SITE, 1e-5, &sites));
    assert_true(records > sites);
    site.step = 1;
    assert_refused(wh_ledger_charge(ledger, &site, NULL), WHIST_E_BUDGET, "promise nothing about a whole site");
    record.step = 1;
    record.relation = WHIST_DP_REPLACE;
    assert_refused(wh_ledger_charge(ledger, &record, NULL), WHIST_E_BUDGET, "cannot be added");
    record.relation = WHIST_DP_ZERO_OUT;
    record.spend.rdp[3] = NAN;
    assert_refused(wh_ledger_charge(ledger, &record, NULL), WHIST_E_RANGE, "finite price");
    assert_int_equal(ledger->state.tree.n, 2);
    wh_ledger_close(ledger);
}

/* ---- Files ---- */

static void fill(const char *dir, const whist_crypt_key *key, uint64_t from, uint64_t to)
{
    wh_ledger *ledger = open_at(dir, key);
    for (uint64_t step = from; step < to; step++) {
        wh_charge charge = charge_of(study_a, step, 20);
        assert_ok(wh_ledger_charge(ledger, &charge, NULL));
    }
    wh_ledger_close(ledger);
}

static whist_status count_line(void *user, const wh_ledger_line *line)
{
    assert_int_equal(line->seq, *(uint64_t *)user);
    ++*(uint64_t *)user;
    return WHIST_OK;
}

static void test_goes_on(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = new_key();
    WH_AUTO(whist_crypt_key_ptr) other = new_key();
    char *dir = test_dir("ledger");
    fill(dir, key, 0, 3);
    fill(dir, key, 0, 5); /* three of them are paid */
    wh_store *store;
    wh_log_state log;
    uint64_t n = 0;
    assert_ok(wh_store_open_readonly(&store, dir));
    assert_ok(wh_ledger_walk(&log, store, key->public_key, count_line, &n));
    assert_int_equal(n, 5);
    assert_int_equal(wh_ledger_walk(&log, store, other->public_key, NULL, NULL), WHIST_E_AUTH);
    wh_store_close(store);
    wh_ledger *ledger;
    wh_ledger_env env = {.dir = dir, .dataset = "heart", .owner = "va", .key = other};
    assert_refused(wh_ledger_open(&ledger, &env), WHIST_E_AUTH, "belongs to another log");
    env = (wh_ledger_env){.dir = dir, .dataset = "cancer", .owner = "va", .key = key};
    assert_refused(wh_ledger_open(&ledger, &env), WHIST_E_AUTH, "the ledger of the data set 'heart'");
    env.dataset = "../up";
    assert_refused(wh_ledger_open(&ledger, &env), WHIST_E_ARG, "a-z 0-9");
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

static void sql(const char *dir, const char *text)
{
    sqlite3 *db;
    char *path = NULL;
    assert_true(asprintf(&path, "%s/whist.db", dir) > 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(path);
}

/* Each way to touch the file has its text; none of them opens. */
static void test_broken_ledgers(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *text;
    } ways[] = {
        {"DELETE FROM log WHERE seq = 3", "entries are missing after 3"},
        {"DELETE FROM log WHERE seq = 1", "an entry is missing: number 2 follows"},
        {"UPDATE log SET record = (SELECT record FROM log WHERE seq = 0) WHERE seq = 1", "entry number 0 stands where"},
        {"UPDATE log SET record = CAST(substr(record, 1, 200) || x'39' || substr(record, 202) AS BLOB) WHERE seq = 1",
         "entry 1 of the ledger does not hold"},
        {"UPDATE log SET record = CAST(substr(record, 1, length(record) - 1) || x'ff' AS BLOB) WHERE seq = 3",
         "the signature of the entry is not good"},
        {"UPDATE log SET record = x'00' WHERE seq = 2", "entry 2 of the ledger does not hold"},
        {"DELETE FROM meta WHERE key = 'ledger_state'", "entries are missing after 4"},
    };
    WH_AUTO(whist_crypt_key_ptr) key = new_key();
    for (size_t i = 0; i < WH_COUNT(ways); i++) {
        char *dir = test_dir("ledger");
        wh_ledger *ledger;
        const wh_ledger_env env = {.dir = dir, .dataset = "heart", .owner = "va", .key = key};
        fill(dir, key, 0, 4);
        sql(dir, ways[i].sql);
        assert_refused(wh_ledger_open(&ledger, &env), WHIST_E_AUTH, ways[i].text);
        assert_ok(wh_tree_remove(dir));
        test_dir_free(dir);
    }
}

/* An entry whose own key signed a lower price than the one before says. */
static void test_a_ledger_that_lies(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = new_key();
    char *dir = test_dir("ledger");
    fill(dir, key, 0, 2);
    wh_ledger *ledger = open_at(dir, key);
    wh_charge charge = charge_of(study_a, 2, 20);
    WH_AUTO(wh_buf) body = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) record = WH_BUF_EMPTY;
    WH_AUTO(wh_buf) encoded = WH_BUF_EMPTY;
    assert_ok(wh_ledger_entry_encode(&body, &charge, 0.1, 0.2));
    assert_ok(wh_log_append(&ledger->state, &record, key, ledger->state.last_ms, "charge", wh_buf_view(&body)));
    assert_ok(wh_log_state_encode(&encoded, &ledger->state));
    assert_ok(wh_store_begin(ledger->store));
    assert_ok(wh_store_log_put(ledger->store, 2, wh_buf_view(&record)));
    assert_ok(wh_store_set(ledger->store, "ledger_state", wh_buf_view(&encoded)));
    assert_ok(wh_store_commit(ledger->store));
    wh_ledger_close(ledger);
    const wh_ledger_env env = {.dir = dir, .dataset = "heart", .owner = "va", .key = key};
    assert_refused(wh_ledger_open(&ledger, &env), WHIST_E_AUTH, "the entry says epsilon went from 0.1 to 0.2");
    assert_ok(wh_tree_remove(dir));
    test_dir_free(dir);
}

/* ---- Two at once ---- */

static int spend_all(const char *dir, const whist_crypt_key *key, const uint8_t *study)
{
    wh_ledger *ledger;
    const wh_ledger_env env = {.dir = dir, .dataset = "heart", .owner = "va", .key = key};
    if (wh_ledger_open(&ledger, &env) != WHIST_OK) return 100;
    int paid = 0;
    for (uint64_t step = 0; step < 90; step++) {
        wh_charge charge = charge_of(study, step, 8);
        whist_status status = wh_ledger_charge(ledger, &charge, NULL);
        if (status == WHIST_OK)
            paid++;
        else if (status != WHIST_E_BUDGET)
            return 101;
    }
    wh_ledger_close(ledger);
    return paid;
}

static void test_two_studies_at_once(void **state)
{
    (void)state;
    WH_AUTO(whist_crypt_key_ptr) key = new_key();
    char *one = test_dir("ledger"), *both = test_dir("ledger");
    int alone = spend_all(one, key, study_a), paid = 0;
    assert_true(alone > 4 && alone < 90);
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0) _exit(spend_all(both, key, i ? study_b : study_a));
    }
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 100);
        paid += WEXITSTATUS(status);
    }
    assert_int_equal(paid, alone); /* as many as one of them, not twice as many */
    assert_ok(wh_tree_remove(one));
    assert_ok(wh_tree_remove(both));
    test_dir_free(one);
    test_dir_free(both);
}

/* ---- Heads ---- */

static void pin_of(uint8_t pin[32], const whist_crypt_key *key)
{
    whist_crypt_key_pin(pin, key);
}

/* What `from` says, taken by `to`. */
static whist_status tell(wh_ledger *from, const whist_crypt_key *from_key, wh_ledger *to, const whist_crypt_key *to_key,
                         bool *ours)
{
    uint8_t from_pin[32], to_pin[32];
    wh_ledger_note note, copy;
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    pin_of(from_pin, from_key);
    pin_of(to_pin, to_key);
    assert_ok(wh_ledger_note_make(from, &note, to_pin));
    assert_ok(wh_ledger_note_encode(&bytes, &note));
    assert_true(bytes.len <= WH_LEDGER_NOTE_MAX + 1);
    assert_ok(wh_ledger_note_decode(&copy, wh_buf_view(&bytes)));
    return wh_ledger_note_take(to, &copy, from_pin, "va", ours);
}

static void copy_tree(const char *from, const char *to)
{
    char *command = NULL;
    assert_true(asprintf(&command, "cp %s/whist.db %s/", from, to) > 0);
    assert_int_equal(system(command), 0);
    free(command);
}

static void test_an_older_copy_shows(void **state)
{
    (void)state;
    bool ours;
    WH_AUTO(whist_crypt_key_ptr) site_key = new_key();
    WH_AUTO(whist_crypt_key_ptr) boss_key = new_key();
    char *dir = test_dir("ledger"), *backup = test_dir("ledger");
    wh_ledger *boss = open_at(NULL, boss_key);
    fill(dir, site_key, 0, 2);
    copy_tree(dir, backup);
    fill(dir, site_key, 2, 4);

    wh_ledger *site = open_at(dir, site_key);
    assert_ok(tell(site, site_key, boss, boss_key, &ours));
    assert_ok(tell(boss, boss_key, site, site_key, &ours));
    assert_ok(tell(site, site_key, boss, boss_key, &ours)); /* now each has the other's */
    wh_ledger_close(site);
    fill(dir, site_key, 4, 5);
    site = open_at(dir, site_key);
    assert_ok(tell(boss, boss_key, site, site_key, &ours)); /* it grew: fine */
    wh_ledger_close(site);

    site = open_at(backup, site_key); /* good in itself */
    assert_refused(tell(site, site_key, boss, boss_key, &ours), WHIST_E_AUTH, "has 2 entries, but 4 of them were seen");
    assert_false(ours);
    assert_refused(tell(boss, boss_key, site, site_key, &ours), WHIST_E_AUTH, "an older copy was put in its place");
    assert_true(ours);
    wh_charge charge = charge_of(study_a, 9, 20);
    assert_refused(wh_ledger_charge(site, &charge, NULL), WHIST_E_AUTH, "our own signature under other entries");
    wh_ledger_close(site);
    const wh_ledger_env env = {.dir = backup, .dataset = "heart", .owner = "va", .key = site_key};
    assert_refused(wh_ledger_open(&site, &env), WHIST_E_AUTH, "our own signature under other entries");

    sql(backup, "DELETE FROM meta WHERE key = 'refuted'"); /* a fresh copy of the old one … */
    fill(backup, site_key, 7, 12);                         /* … that has grown past it, in another way */
    site = open_at(backup, site_key);
    assert_refused(tell(boss, boss_key, site, site_key, &ours), WHIST_E_AUTH, "does not begin with the 4 entries");
    assert_true(ours);
    sql(backup, "DELETE FROM meta WHERE key = 'refuted'");
    assert_refused(tell(site, boss_key, boss, boss_key, &ours), WHIST_E_AUTH, "another key than its certificate");
    wh_ledger_close(site);
    wh_ledger_close(boss);
    assert_ok(wh_tree_remove(dir));
    assert_ok(wh_tree_remove(backup));
    test_dir_free(dir);
    test_dir_free(backup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gaussian_is_bounded),
        cmocka_unit_test(test_adding_is_looping),
        cmocka_unit_test(test_pure_releases_add_up),
        cmocka_unit_test(test_the_filter_shows_what_it_compares),
        cmocka_unit_test(test_refusals_show_the_filter),
        cmocka_unit_test(test_a_lost_ledger_is_refused),
        cmocka_unit_test(test_the_same_at_once),
        cmocka_unit_test(test_turns_are_fair),
        cmocka_unit_test(test_what_is_kept_comes_back),
        cmocka_unit_test(test_nothing_costs_nothing),
        cmocka_unit_test(test_calibration_meets_the_budget),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_charges_add_up),
        cmocka_unit_test(test_budget_over_studies),
        cmocka_unit_test(test_own_limit),
        cmocka_unit_test(test_units_and_relations),
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_broken_ledgers),
        cmocka_unit_test(test_a_ledger_that_lies),
        cmocka_unit_test(test_two_studies_at_once),
        cmocka_unit_test(test_an_older_copy_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
