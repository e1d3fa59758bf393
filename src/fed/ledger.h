/* fed/ledger.h: the privacy ledger of one data set: what was spent, signed, before it is spent.
 *
 * One ledger for each data set at each site, and one at the coordinator, over all studies. It is a log of codec/log.h
 * (append-only, chained, signed) in a database of its own (store.h, shared), so that two studies on the same data
 * cannot both spend the rest: a charge has the database to itself, checks what others wrote since, and is flushed
 * when it returns.
 *
 *   charge    what does not fit the budget is refused; what was charged before is not charged again
 *   release   only after that. The noised bytes were kept before the charge, and the charge names their digest, so
 *             that a crash between any two of the three leaves nothing released unpaid, nothing paid twice, and
 *             nothing drawn a second time
 *
 * Purpose of the log: "ledger DATASET OWNER". An entry's body is JSON (ledger_entry.c).
 *
 * What a ledger cannot see by itself is that an older copy was put in its place. Its head therefore travels to the
 * peers, who keep it, and comes back at the start (ledger_peers.c).
 *
 * Threads: any; calls wait for one another. */
#ifndef WH_FED_LEDGER_H
#define WH_FED_LEDGER_H

#include "codec/log.h"
#include "fed/spend.h"
#include "fed/store.h"

typedef struct wh_ledger wh_ledger;

enum {
    WH_LEDGER_NAME_MAX = 63, /* of a data set: [a-z0-9_-] */
};

/* One release and its price. */
typedef struct wh_charge {
    const uint8_t *study; /* 32 bytes; with step and phase the key: a release is paid for once */
    const char *study_name;
    uint64_t step, round;
    unsigned phase;
    whist_dp_unit unit;
    whist_dp_relation relation;
    whist_privacy_noise noise;
    bool shows_updates;              /* the protection lets the coordinator read each update */
    const char *mechanism, *sampler; /* for people: "gaussian, rounded to the grid" "none: who takes part is public" */
    double sigma,
        sensitivity;        /* standard deviation in the sum over the bound; the bound. 0 where a learner adds noise */
    double closeness, wrap; /* distributed: see spend.h; probability that a sum wraps, part of spend.slack */
    wh_spend spend;
    uint64_t planned;      /* wh_ledger_check: `spend` is that of so many rounds to come; 0: of this one */
    wh_digest bytes;       /* of what is released; zeros where it is not yet known (a sum) */
    double epsilon, delta; /* the budget of the data set that must hold afterwards; epsilon 0: the owner's alone */
    /* > 0: nobody planned what comes, so the entry tells what the filter of (budget, delta) has let through. 0: epsilon
     * of the best order, for schedules that were fixed before they began. */
    double budget;
    const char *trust; /* who is trusted with what, in words; NULL: as the place of the noise says */
    /* Kept with the charge, in its transaction, in place of what this study kept before: what is released may then be
     * lost, and is given out again without a price. data NULL: nothing is kept. */
    whist_bytes keep;
    /* NULL, or: that this step was paid for meanwhile is no failure, whatever the bytes. Then *taken is set, nothing is
     * charged, and what was kept is to be given out instead of what was drawn. */
    bool *taken;
} wh_charge;

typedef struct wh_ledger_env {
    const char *dir;     /* NULL: in memory */
    const char *dataset; /* 1 … 63 of a-z 0-9 _ - */
    const char *owner;   /* name of the site; "coordinator" */
    const whist_crypt_key *key;
    double max_epsilon, max_delta; /* what the owner allows in all, whatever studies say; 0: no limit of its own */
    /* File beside the ledger that keeps its newest head, for one that wh_ledger_begin began: then it is refused where
     * it is missing, or shorter than that (WHIST_E_AUTH). NULL: begun where there is none, and peers keep its head. */
    const char *head;
} wh_ledger_env;

/* Begins a ledger that keeps its head in env->head: durable, with a signed beginning. WHIST_E_STATE where there is one.
 */
WH_MUST_CHECK whist_status wh_ledger_begin(const wh_ledger_env *env);

/* Opens or begins a ledger and verifies all of it. WHIST_E_AUTH, with its own text each, for a broken chain, entries
 * that are missing, another key, another data set; WHIST_E_UNSUPPORTED for entries of a newer version. */
WH_MUST_CHECK whist_status wh_ledger_open(wh_ledger **out, const wh_ledger_env *env);
void wh_ledger_close(wh_ledger *ledger);
WH_AUTO_FREE(wh_ledger, wh_ledger_close)

/* Pays: durable when it returns. *after (may be NULL): epsilon of the unit with this charge, at charge->delta.
 *
 * WHIST_E_BUDGET where the sum of everything that was ever charged for this data set would pass the budget, or where
 * the ledger holds charges for finer units, which promise nothing about a coarser one, or of another relation: the text
 * says which and what to do. WHIST_E_AUTH where this step was paid for with other bytes: the study's state is older
 * than its ledger. On failure nothing is charged. */
WH_MUST_CHECK whist_status wh_ledger_charge(wh_ledger *ledger, const wh_charge *charge, double *after);
/* What the study (32 bytes) kept with its newest charge that kept something, and the step of that charge. */
WH_MUST_CHECK whist_status wh_ledger_kept(wh_ledger *ledger, const uint8_t study[32], uint64_t *step, wh_buf *out,
                                          bool *found);
/* The same look without the charge: for a site that would rather not train in vain, for one round or all to come. */
WH_MUST_CHECK whist_status wh_ledger_check(wh_ledger *ledger, const wh_charge *charge);

/* Epsilon of everything charged for the unit, at delta: an upper bound where all that ran had been planned before. */
WH_MUST_CHECK whist_status wh_ledger_spent(wh_ledger *ledger, whist_dp_unit unit, double delta, double *epsilon);
/* The same where nothing was planned: the number that the filter of (budget, delta) compares with its
 * budget; budget 0: epsilon at delta, at any time (spend.h). */
WH_MUST_CHECK whist_status wh_ledger_held(wh_ledger *ledger, whist_dp_unit unit, double budget, double delta,
                                          double *epsilon);
/* Epsilon of what one study was charged, through this object. */
double wh_ledger_spent_by(wh_ledger *ledger, const uint8_t study[32], double delta);

/* ---- Heads of peers ---- */

/* Our head as of now, signed. */
WH_MUST_CHECK whist_status wh_ledger_head(wh_ledger *ledger, uint8_t head[WH_LOG_HEAD_SIZE]);

/* What one side tells the other about its ledger, and what it kept of the other's. */
typedef struct wh_ledger_note {
    uint8_t key[WH_SIGN_PUBLIC];    /* of the sender: its pin must be the one of the certificate */
    uint8_t head[WH_LOG_HEAD_SIZE]; /* of the sender's ledger */
    bool has_kept;
    uint8_t kept[WH_LOG_HEAD_SIZE];         /* the receiver's head, as the sender has it since last time … */
    uint8_t countersignature[WH_SIGN_SIZE]; /* … signed by the sender, for outsiders */
} wh_ledger_note;
enum { WH_LEDGER_NOTE_MAX = WH_SIGN_PUBLIC + 2 * WH_LOG_HEAD_SIZE + WH_SIGN_SIZE };
WH_MUST_CHECK whist_status wh_ledger_note_encode(wh_buf *out, const wh_ledger_note *note);
WH_MUST_CHECK whist_status wh_ledger_note_decode(wh_ledger_note *out, whist_bytes bytes);

/* Whether two heads are about the same ledger. */
bool wh_ledger_same_log(const uint8_t a[WH_LOG_HEAD_SIZE], const uint8_t b[WH_LOG_HEAD_SIZE]);
/* What we have to say to the peer with this pin. */
WH_MUST_CHECK whist_status wh_ledger_note_make(wh_ledger *ledger, wh_ledger_note *out, const uint8_t pin[32]);
/* Takes what a peer says, and keeps its head. WHIST_E_AUTH with a text each: the key is not the peer's; its ledger is
 * an older copy, or another one, than it showed before (`theirs`); ours is, by a head that carries our own signature
 * (`ours`). */
WH_MUST_CHECK whist_status wh_ledger_note_take(wh_ledger *ledger, const wh_ledger_note *note, const uint8_t pin[32],
                                               const char *peer, bool *ours);

/* ---- Looking at one that others may write ---- */

typedef struct wh_ledger_line {
    uint64_t seq;
    int64_t unix_ms;
    whist_bytes body;
    wh_digest hash, root; /* of the entry; of the log up to it */
} wh_ledger_line;
typedef whist_status wh_ledger_line_fn(void *user, const wh_ledger_line *line);

/* Verifies the ledger in a store: chain, signatures, end, and that each entry's epsilons follow from the entries
 * before. *state as it stands at the end. emit may be NULL. */
WH_MUST_CHECK whist_status wh_ledger_walk(wh_log_state *state, wh_store *store, const uint8_t key[WH_SIGN_PUBLIC],
                                          wh_ledger_line_fn *emit, void *user);
/* The same over records that come one by one, from a file. push takes the next record. */
typedef struct wh_ledger_reader wh_ledger_reader;
WH_MUST_CHECK whist_status wh_ledger_reader_new(wh_ledger_reader **out, const char *dataset, const char *owner,
                                                const uint8_t key[WH_SIGN_PUBLIC], wh_ledger_line_fn *emit, void *user);
WH_MUST_CHECK whist_status wh_ledger_reader_push(wh_ledger_reader *reader, whist_bytes record);
const wh_log_state *wh_ledger_reader_state(const wh_ledger_reader *reader);
void wh_ledger_reader_free(wh_ledger_reader *reader);
WH_AUTO_FREE(wh_ledger_reader, wh_ledger_reader_free)
/* What the file of a head says of the log with this id and key. WHIST_E_AUTH, with what to do, where it is missing or
 * not signed. */
WH_MUST_CHECK whist_status wh_ledger_head_read(uint64_t *n, wh_digest *root, const char *path, const uint8_t id[32],
                                               const uint8_t key[WH_SIGN_PUBLIC]);
/* The log of a data set's owner, before its first entry: its id and key. */
WH_MUST_CHECK whist_status wh_ledger_begin_log(wh_log_state *out, const char *dataset, const char *owner,
                                               const uint8_t key[WH_SIGN_PUBLIC]);
/* Name and owner, as the store has them; each has room for 64 bytes. WHIST_E_STATE where it is no ledger. */
WH_MUST_CHECK whist_status wh_ledger_names(wh_store *store, char dataset[64], char owner[64]);

#endif
