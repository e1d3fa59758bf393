/* whist/run.h: the processes of a federation: coordinator, site, party, and the questions an operator asks.
 *
 * These loops join the machines of fed with sockets and disk. Each returns when the study is over, when it
 * cannot go on, or soon after *stop becomes true (set by a signal handler): then everything is on disk and the
 * same call goes on later. */
#ifndef WHIST_RUN_H
#define WHIST_RUN_H

#include <whist/crypt.h>
#include <whist/fed.h>

#ifdef __cplusplus
extern "C" {
#endif

/* PEM files of one participant. They are read again when they change, without a restart. */
typedef struct whist_identity_files {
    const char *ca, *certificate, *key;
    const char *crl;             /* NULL or "": revocation is not checked */
    const char *passphrase_file; /* NULL or "": the key is not encrypted */
} whist_identity_files;

typedef struct whist_coordinator_run {
    const whist_fed_plan *plan;
    whist_identity_files identity;
    const char *state;      /* folder, made if need be */
    const char *listen;     /* "address:port"; port 0 picks one */
    const char *operations; /* NULL or loopback "address:port" of /healthz and /metrics (plain HTTP, GET only) */
    uint64_t max_spool_bytes;
    const char *ledger;      /* folder of privacy ledgers; NULL or "": `ledger` beside the state folder */
    const char *metrics_dir; /* NULL, or a folder for CSV and TensorBoard files */
    bool wait_for_start;     /* rounds begin when an operator with the right to start says so */
    const volatile int *stop;
    void (*listening)(void *user, uint16_t port); /* called once; may be NULL */
    whist_progress_fn *progress;
    void *user;
} whist_coordinator_run;

/* Where its ledgers lie, one folder each by data set: `ledger`, or beside `state`. out has room for 4096 bytes. */
WHIST_API WHIST_MUST_CHECK whist_status whist_coordinator_ledger_dir(char out[4096], const char *ledger,
                                                                     const char *state);
/* WHIST_OK with the result when the study is over; WHIST_E_CANCELLED after a stop; WHIST_E_TIMEOUT when too few sites
 * came; WHIST_E_BUDGET where a ledger, ours or a site's, has not enough left for the rounds to come. */
WHIST_API WHIST_MUST_CHECK whist_status whist_run_coordinator(whist_fed_result *out, const whist_coordinator_run *run);

typedef struct whist_site_run {
    const whist_fed_plan *plan;
    whist_bytes study_text; /* as approved */
    size_t index;           /* of the site (or, without data, of the party) in the plan */
    whist_dataset *data;    /* NULL: a third party */
    whist_identity_files identity;
    const char *state;       /* folder of this site; each study has its own below */
    const char *coordinator; /* "https://host:port" */
    const char *proxy;       /* NULL, "" or "http://host:port" */
    uint32_t min_metric_count;
    const char *dataset;           /* name of the data in the privacy ledger, below STATE/ledger; NULL: "data" */
    double max_epsilon, max_delta; /* the site's own limit on what all studies spend of it; 0: none */
    uint64_t max_state_bytes;      /* ceiling on what a study keeps on disk; 0: none */
    unsigned threads;              /* of the learner, 0 like 1; they change the time, not the bits */
    const volatile int *stop;
    whist_progress_fn *progress;
    void *user;
} whist_site_run;

/* Asks, works and answers until the study is over. Losing the coordinator is no end: it is asked again, at
 * growing intervals. WHIST_E_STATE where nobody approved the study here. */
WHIST_API WHIST_MUST_CHECK whist_status whist_run_site(const whist_site_run *run);
/* Connects, shakes hands, says hello; *skew_ms: the coordinator's clock minus ours. */
WHIST_API WHIST_MUST_CHECK whist_status whist_site_connect(const whist_site_run *run, int64_t *skew_ms);

/* Whether url is one that sites can connect to: https://host:port, and a host that is not "all addresses of this
 * machine" ([::], 0.0.0.0). WHIST_E_ARG or WHIST_E_FORMAT with the way out; nothing is looked up or connected. */
WHIST_API WHIST_MUST_CHECK whist_status whist_coordinator_url_check(const char *url);

/* ---- Approval and release log of a site ---- */

/* Notes that a named person allows the study at this site: signed, in the site's log. */
WHIST_API WHIST_MUST_CHECK whist_status whist_site_approve(const whist_site_run *run, const char *person);
/* Whether, and by whom (up to 127 bytes). */
WHIST_API WHIST_MUST_CHECK whist_status whist_site_approval(const whist_site_run *run, char person[128],
                                                            bool *approved);

typedef struct whist_log_line {
    uint64_t seq;
    int64_t unix_ms;
    char kind[33];
    char head[65];    /* of the log up to this entry: Merkle root (RFC 6962) of entries 0 … seq, in hex */
    const char *body; /* JSON; valid during the call */
} whist_log_line;
typedef whist_status whist_log_line_fn(void *user, const whist_log_line *line);
/* Walks and verifies the log in a state folder of a study. certificate: PEM of the site, whose key must have signed
 * every entry. WHIST_E_AUTH at the first entry that does not hold; NULL emit: verify only. *n entries are good. */
WHIST_API WHIST_MUST_CHECK whist_status whist_site_log(const char *study_state, whist_bytes certificate, uint64_t *n,
                                                       whist_log_line_fn *emit, void *user);
/* The folder of a study below a site's state folder: out has room for 4096 bytes. */
WHIST_API WHIST_MUST_CHECK whist_status whist_site_study_state(char *out, const char *state, const uint8_t study[32]);

/* ---- Privacy ledgers ---- */

typedef struct whist_ledger_info {
    char dataset[64], owner[64];
    uint64_t n;    /* entries, all good */
    char head[65]; /* Merkle root (RFC 6962) over them, in hex; SHA-256 of nothing where there are none */
} whist_ledger_info;

/* Walks and verifies a ledger: the folder STATE/ledger/DATASET of a site or coordinator, also while it runs, or a file
 * of whist_ledger_export. certificate: PEM of its owner, whose key must have signed every entry. emit (may be NULL)
 * gets each entry: its body tells unit, relation, mechanism, sampler, delta, epsilon before and after, and who is
 * trusted with what. WHIST_E_AUTH at the first entry that does not hold; WHIST_E_STATE where there is no ledger. */
WHIST_API WHIST_MUST_CHECK whist_status whist_ledger_read(whist_ledger_info *out, const char *path,
                                                          whist_bytes certificate, whist_log_line_fn *emit, void *user);
/* The body of an entry in words: one line that names study, epsilons, unit, mechanism, sampler and trust.
 * WHIST_E_FORMAT. */
WHIST_API WHIST_MUST_CHECK whist_status whist_ledger_sentence(char out[640], const char *body);
/* Verifies, and writes all of it into one file, for outsiders. A file that is there is replaced. */
WHIST_API WHIST_MUST_CHECK whist_status whist_ledger_export(const char *path, whist_bytes certificate, const char *to);

/* A proof is one JSON object, freed by whist_ledger_text_free. Its head is the one that
 * peers keep: without the rest of the ledger it shows that an entry is in it, or that it begins with the first `old_n`
 * entries whose head somebody has kept. `signer` is the owner's key. WHIST_E_ARG where there is no such entry. */
WHIST_API WHIST_MUST_CHECK whist_status whist_ledger_prove_entry(char **out, const char *path, whist_bytes certificate,
                                                                 uint64_t seq, const whist_crypt_key *signer);
WHIST_API WHIST_MUST_CHECK whist_status whist_ledger_prove_since(char **out, const char *path, whist_bytes certificate,
                                                                 uint64_t old_n, const whist_crypt_key *signer);
WHIST_API void whist_ledger_text_free(char *text);
/* The head that a ledger of one's own keeps in a file beside itself: entries, and root in hex. WHIST_E_AUTH where it is
 * missing or not of this ledger. */
WHIST_API WHIST_MUST_CHECK whist_status whist_ledger_kept_head(uint64_t *n, char root[65], const char *path,
                                                               const whist_ledger_info *info, whist_bytes certificate);

typedef struct whist_ledger_proof {
    whist_ledger_info info; /* of the whole ledger, as the head says */
    bool entry;             /* an entry is shown to be in it; else: it begins with old_n entries of head old_head */
    uint64_t seq, old_n;
    char old_head[65];
    char *body; /* of the entry: JSON; NULL without one. Freed by whist_ledger_text_free */
} whist_ledger_proof;
/* Verifies such a proof against the owner's certificate. WHIST_E_AUTH, WHIST_E_FORMAT. */
WHIST_API WHIST_MUST_CHECK whist_status whist_ledger_proof_read(whist_ledger_proof *out, whist_bytes proof,
                                                                whist_bytes certificate);

/* ---- Paying in one place ---------------------------------------------------------------------------------
 * Whoever has the rows can ask and train without a federation, and pays from the same ledger: that of the data set,
 * over all studies, a site's own or one of its own. A release is made in memory, then kept in the transaction that
 * charges it, then given out; after a crash it is given out again and not charged again. */

typedef struct whist_purse_place {
    const char *state;           /* folder: the ledger is STATE/ledger/DATASET */
    const char *dataset, *owner; /* as in the ledger */
    const char *key;             /* PEM of the owner's private key, which signs */
    const char *passphrase_file; /* NULL or "": the key is not encrypted */
    double epsilon, delta;       /* what the owner allows in all; epsilon 0: no limit of its own */
    /* File that keeps the newest head of a ledger that whist_purse_begin began; NULL or "" for a site's, whose peers
     * keep it. */
    const char *head;
} whist_purse_place;

typedef struct whist_purse whist_purse;
/* Begins a ledger of one's own: its database with a signed beginning, then place->head. WHIST_E_STATE where there is
 * one. */
WHIST_API WHIST_MUST_CHECK whist_status whist_purse_begin(const whist_purse_place *place);
/* Opens the ledger and verifies all of it. Without place->head it is begun where there is none; with it WHIST_E_AUTH
 * for one that is gone, empty or behind its head, and what to do. WHIST_E_AUTH for one that does not hold, or of
 * another owner or data set. Several may have one open: charges wait for each other, by turns. */
WHIST_API WHIST_MUST_CHECK whist_status whist_purse_open(whist_purse **out, const whist_purse_place *place);
WHIST_API void whist_purse_free(whist_purse *purse);
/* What everything charged for one record so far comes to. held: the number that is compared with the owner's epsilon,
 * by one order that the budget fixed (with an owner's budget at this delta; else as any_time). any_time: epsilon at
 * delta for whoever stops to look, whatever made people ask what they asked. All of it pure: both are the sum. */
WHIST_API WHIST_MUST_CHECK whist_status whist_purse_spent(whist_purse *purse, double delta, double *held,
                                                          double *any_time);

/* One release: what it is, what it costs, and the bytes themselves. */
typedef struct whist_purse_bill {
    uint8_t id[32];               /* which release (whist_purse_id), or the training it is a round of */
    uint64_t round;               /* 0 …: charged once for each */
    const char *name;             /* for people: "count", name of a study */
    const whist_dp_event *events; /* n_events of one relation, all for records */
    size_t n_events;
    double epsilon, delta; /* a budget beside the owner's; epsilon 0: none, and the owner must have one */
    whist_bytes release;   /* kept with the charge, in place of what this id kept before; data NULL for a mere look */
    /* NULL, or: set where this release was paid for since it was looked for (two asked the same at once). Nothing is
     * charged then, and what is kept is the answer. */
    bool *taken;
} whist_purse_bill;

/* The id of what `text` describes: equal for equal texts and runs. */
WHIST_API void whist_purse_id(uint8_t id[32], const char *kind, whist_bytes text, uint64_t run);
/* Names rows for such a text and tells nothing of them to those who read the ledger: a MAC over the bytes of the files
 * (and of the split file, where it says whose rows they are), by a key that follows from the ledger's own. Made-up rows
 * have no files. */
WHIST_API WHIST_MUST_CHECK whist_status whist_purse_rows(uint8_t out[32], const whist_purse *purse,
                                                         const whist_schema *schema, const whist_data_source *sources,
                                                         size_t n_sources);
/* Whether the bill could be paid now. Errors as of pay. */
WHIST_API WHIST_MUST_CHECK whist_status whist_purse_check(whist_purse *purse, const whist_purse_bill *bill);
/* Charges and keeps, durable when it returns; *after (may be NULL): epsilon of everything, then. WHIST_E_BUDGET with
 * what is left; WHIST_E_STATE where nobody has set a budget. Nothing is charged on failure: the release must not get
 * out. */
WHIST_API WHIST_MUST_CHECK whist_status whist_purse_pay(whist_purse *purse, const whist_purse_bill *bill,
                                                        double *after);
/* What was kept last for this id, and of which round. *found false: nothing. *out has a 0 behind it that len does not
 * count, and is freed by whist_ledger_text_free. */
WHIST_API WHIST_MUST_CHECK whist_status whist_purse_kept(whist_purse *purse, const uint8_t id[32], uint64_t *round,
                                                         char **out, size_t *len, bool *found);

/* Private training on rows that lie in one place: the plan's learner, which must be a private one, for the plan's
 * rounds. Each round is charged and kept before anything of it is to be seen. */
typedef struct whist_private_training {
    const whist_fed_plan *plan;
    const whist_dataset *data;
    whist_purse *purse; /* NULL: nothing is charged, for rows that nobody owns */
    uint64_t run;       /* 0 …: trainings of one study are told apart by it; one that was paid for is not made anew */
    unsigned threads;   /* 0 like 1; they change the time, not the model */
    whist_progress_fn *progress;
    void *user;
} whist_private_training;

typedef struct whist_private_trained {
    float *params;         /* whist_model_size; owned */
    uint64_t rounds, kept; /* done; of them made and charged by an earlier call */
    double epsilon, spent; /* of this training for the plan's delta, an upper bound; of the data set with it */
} whist_private_trained;
/* WHIST_E_BUDGET before anything is trained where the whole of it would not fit, WHIST_E_UNSUPPORTED for a learner or a
 * promise that is no record's, WHIST_E_CANCELLED where progress asked to stop: the same call goes on later. */
WHIST_API WHIST_MUST_CHECK whist_status whist_train_private(whist_private_trained *out,
                                                            const whist_private_training *in);
WHIST_API void whist_private_trained_clear(whist_private_trained *trained);
/* Hyper-parameter search inside the promise. Candidates are settings of the plan's learner that spend the same; the
 * best by the plan's first metric on its validation rows is released, and nothing else: neither the other models and
 * scores, nor how many trials there were or how long they took.
 *
 *   random      a random number of trials, each with a candidate drawn at random; priced by Papernot, Steinke 2022,
 *               theorem 2, with a geometric or a logarithmic number, whichever is cheaper
 *   each once   every candidate one time, priced by composition
 *
 * The cheaper one at the plan's delta is taken; prices depend on no row. */
typedef struct whist_private_search {
    const whist_private_training *training;
    const whist_settings *const *candidates; /* n_candidates, of the learner's option table */
    size_t n_candidates;                     /* 2 … 4096 */
    double trials;                           /* mean number of trials where it is random: 1 < trials <= 1e4 */
    whist_bytes text;                        /* what names the search: with plan and seed its identity in the ledger */
} whist_private_search;

typedef struct whist_private_found {
    whist_private_trained trained;
    size_t best;         /* candidate */
    const char *how;     /* "geometric", "logarithmic", "each once" */
    double single;       /* epsilon that one training alone would have spent */
    double random, once; /* what the two ways cost; the smaller one is trained.epsilon */
} whist_private_found;
/* As whist_train_private; WHIST_E_UNSUPPORTED where candidates spend differently, where the plan has no metric or the
 * data no validation rows, or where their metrics are not the partners' to see in plain. */
WHIST_API WHIST_MUST_CHECK whist_status whist_search_private(whist_private_found *out, const whist_private_search *in);

/* ---- Audit: what an attacker really finds ------------------------------------------------------------
 * Runs the study's private training step again and again in two worlds that differ by one planted record, and lets an
 * attacker who sees every noised gradient, and knows the record, say which world it is. From how often it is right
 * follows, with the stated confidence, an epsilon that the training spends at least (Nasr, Songi, Thakurta, Papernot,
 * Carlini 2021). It needs no data: the worst data set there is, is made up. What is proven is an upper bound, what is
 * attacked a lower one; a lower one above the upper one is a bug. */
typedef struct whist_audit_in {
    const whist_fed_plan *plan; /* learner dp-sgd, dp-ftrl, dp-reptile, dp-fomaml or record-sum; unit record */
    whist_row_shape shape;      /* of its rows: numbers or an image */
    uint64_t trials;            /* in each world, 100 … 10^7; half of them set the attack up */
    double confidence;          /* (0, 1) */
    bool replaced;              /* the worlds have one of two records, whatever the promise says of added ones */
    whist_progress_fn *progress;
    void *user;
} whist_audit_in;
typedef struct whist_audit {
    double proven; /* upper end of epsilon for all steps at the plan's delta (privacy-loss distribution; record-sum: the
                      ledger's) */
    double attacked; /* lower bound; 0: the attack found nothing */
    double delta, confidence;
    uint64_t steps, trials;
    double false_alarms, misses; /* of the attack that gave it: upper ends of their intervals */
    double canary;               /* norm of the planted record's clipped gradient over the bound */
} whist_audit;
/* WHIST_E_UNSUPPORTED for other learners, units and rows. */
WHIST_API WHIST_MUST_CHECK whist_status whist_audit_private(whist_audit *out, const whist_audit_in *in);

/* One training with many planted records, each of which goes in by a fair coin of the system's randomness; then an
 * attacker guesses the coins of those that it is surest of (Steinke, Nasr, Jagielski 2023). The rows are the planted
 * ones, made up: no data, no price. It costs one training where whist_audit_private costs thousands, goes through the
 * whole learner, optimiser and schedule included, and finds less. */
typedef struct whist_canaries_in {
    const whist_fed_plan *plan; /* learner dp-sgd or dp-ftrl, unit record, add_remove or zero_out */
    whist_row_shape shape;      /* of its rows: numbers or an image */
    uint64_t canaries;          /* 10 … 10^5, fewer than the learner's bound on rows */
    bool white_box;             /* the attacker sees each noised gradient; otherwise the final model only */
    double confidence;          /* (0, 1) */
    whist_progress_fn *progress;
    void *user;
} whist_canaries_in;
typedef struct whist_canaries {
    double proven;   /* upper end of epsilon for the training at the plan's delta (privacy-loss distribution) */
    double attacked; /* lower bound, whatever was trained; 0: the attack found nothing */
    /* Lower bound if the training is the claimed one but for the amount of its noise: it sets all of the claim's
     * pairs (epsilon, delta) against the guesses, not one of them (Mahloujifar, Melis, Chaudhuri 2024). refuted: the
     * claimed amount is not among those that are left. */
    double by_law;
    bool refuted;
    double delta, confidence; /* of each of the two bounds */
    uint64_t canaries, there, steps;
    uint64_t guesses, right; /* of the attack that gave `attacked`, or else by_law */
    double reach; /* mean length of the planted gradients over the bound: 1 is the most; black box: at first */
} whist_canaries;
/* WHIST_E_UNSUPPORTED for other learners, units, relations and rows. */
WHIST_API WHIST_MUST_CHECK whist_status whist_audit_canaries(whist_canaries *out, const whist_canaries_in *in);

/* What whist_purse_id takes, with the kind "training", for a plan and its seed: written into `text`. */
WHIST_API whist_bytes whist_private_training_text(uint8_t text[40], const whist_fed_plan *plan);

/* What would leave the site, in fields and bytes: emitted as lines of text. */
typedef void whist_line_fn(void *user, const char *line);
WHIST_API WHIST_MUST_CHECK whist_status whist_site_preview(const whist_fed_plan *plan, size_t index,
                                                           whist_line_fn *emit, void *user);

/* ---- Operators ---- */

typedef struct whist_operator_call {
    whist_identity_files identity;
    const char *coordinator, *proxy;
    const uint8_t *coordinator_pin; /* 32 bytes */
} whist_operator_call;
/* One JSON object; freed by whist_operator_text_free. WHIST_E_AUTH without the right to read. */
WHIST_API WHIST_MUST_CHECK whist_status whist_operator_status(char **json, const whist_operator_call *call);
/* Lets a coordinator that waits for it begin; asks one that runs to end in good order. WHIST_E_AUTH without the right
 * to start, to stop. */
WHIST_API WHIST_MUST_CHECK whist_status whist_operator_start(const whist_operator_call *call);
WHIST_API WHIST_MUST_CHECK whist_status whist_operator_stop(const whist_operator_call *call);
WHIST_API void whist_operator_text_free(char *text);

/* ---- Models as files ---- */

typedef struct whist_model_meta {
    const char *key, *value;
} whist_model_meta;
/* Writes a safetensors file with the plan's tensors and study hash, seed, version and kernels in its metadata; after
 * a crash the old file or the new one is there. moments: NULL, or the pooled mean and sd of plan->n_features features
 * (whist_fed_result.moments), which become the tensors standardize.mean and standardize.sd. extra (up to 64 pairs) ends
 * with a NULL key, or is NULL. WHIST_E_RANGE for a value that is not finite. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_save(const char *path, const whist_fed_plan *plan,
                                                         const float *params, const float *moments,
                                                         const whist_model_meta *extra);
/* params (whist_model_size) from such a file. WHIST_E_FORMAT where tensors are missing, too many or of another
 * shape (the text names both), or a value is not finite; params is untouched then. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_load(float *params, const char *path, const whist_model *model);
/* mean and sd (n_features each) from such a file, as whist_dataset_standardize takes them. WHIST_E_STATE where the file
 * holds none, WHIST_E_FORMAT where they are of another length or not finite; both untouched then. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_load_moments(double *mean, double *sd, const char *path,
                                                                 size_t n_features);
/* Every tensor of a safetensors file in order, with its name, shape, size and (in numbers) offset, `learned` set. Of
 * names beyond 31 bytes the beginning; WHIST_E_UNSUPPORTED for a tensor of more than 4 axes; WHIST_E_FORMAT where the
 * file is none. */
typedef void whist_tensor_fn(void *user, const whist_tensor_info *tensor);
WHIST_API WHIST_MUST_CHECK whist_status whist_model_file_tensors(const char *path, whist_tensor_fn *emit, void *user);
/* The value of a key in the metadata of a safetensors file, with a 0 behind it; "" where it has no such key. size: room
 * in out. WHIST_E_RANGE where the value does not fit, WHIST_E_FORMAT where the file is none; untouched then. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_metadata(char *out, size_t size, const char *path, const char *key);

/* ---- Sealed models ----
 *
 * A model that travels and rests sealed, and is opened only at a site that it was sealed to: its bytes in a stream
 * (XChaCha20-Poly1305) whose key lies in one box (X25519) for each recipient, signed by the study's coordinator. The
 * sites' X25519 keys are made at the sites; a notice, signed with a site's identity, tells the public half. */

typedef struct whist_recipient_run {
    whist_identity_files identity; /* the site's */
    const char *state;             /* its folder, made if need be: holds the key */
    const char *notice;            /* file that is written */
    unsigned days;                 /* 1 … 3650: how long something may be sealed to it for */
    bool renew;                    /* a fresh key in place of the old, for which nothing can be opened any more */
} whist_recipient_run;
/* Makes the key unless it is there, and writes its notice. *until: seconds since 1970, no later than the certificate's
 * end. WHIST_E_AUTH where key and certificate are not those of a site in force. */
WHIST_API WHIST_MUST_CHECK whist_status whist_recipient_make(int64_t *until, const whist_recipient_run *run);

typedef struct whist_sealed_info {
    uint8_t study[32], model[32]; /* the study that made the model; SHA-256 of the model file */
    uint64_t bytes;               /* of the model file */
    int64_t made, until;          /* seconds since 1970 */
    size_t n_recipients;
} whist_sealed_info;

typedef struct whist_seal_run {
    const whist_fed_plan *plan;    /* with the keys of coordinator and sites */
    whist_identity_files identity; /* the coordinator's */
    const char *model, *out;       /* a model file of this study; what is written */
    const char *const *to;         /* (n_to) notices */
    size_t n_to;
    const uint8_t (*pins)[32]; /* (n_pins) keys of sites beyond the study's that may have it, too */
    size_t n_pins;
    unsigned days; /* 1 … 3650, cut at the end of a certificate or notice */
} whist_seal_run;
/* Memory does not grow with the model. WHIST_E_AUTH: another study's model, a notice that is not of a named site in
 * force, a key that is not the coordinator's; nothing is written then. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_seal(whist_sealed_info *out, const whist_seal_run *run);

typedef struct whist_unseal_run {
    const whist_fed_plan *plan;    /* its coordinator's key must have signed */
    whist_identity_files identity; /* the site's */
    const char *state;             /* as in whist_recipient_run */
    const char *file, *out;        /* a sealed file; the model, which is not there yet */
} whist_unseal_run;
/* Writes nothing before all of the file is authenticated. WHIST_E_AUTH with a text for each reason (docs/run.md):
 * signature, study, cut or changed body, time over, no recipient, an older key; WHIST_E_FORMAT: no sealed model;
 * WHIST_E_STATE: `out` is there, or the site has no key. */
WHIST_API WHIST_MUST_CHECK whist_status whist_model_unseal(whist_sealed_info *out, const whist_unseal_run *run);

/* ---- Metrics as files ---- */

/* metrics.csv and a TensorBoard event file in `dir` (made if need be), as a coordinator writes them: the pooled metrics
 * of every evaluation, those of the sites after the last round. The event file of an earlier run of the same study is
 * replaced, so several seeds of one study need a folder each. A result without metrics writes nothing. */
WHIST_API WHIST_MUST_CHECK whist_status whist_metrics_save(const char *dir, const whist_fed_plan *plan,
                                                           const whist_fed_result *result);

/* ---- Public data sets ---- */

/* Brings every file of the set into `folder` (made if need be) that is not there or not as published; files that are
 * computed from others are computed. HTTPS only. What arrives is kept only when size and SHA-256 are the published
 * ones; a file of that name that differs is replaced then.
 *
 * mirror   NULL: the publishers' addresses, one after the other; else "https://…/folder", which has the files by name
 * cafile   NULL: the authorities of the system; else a PEM file with the only ones to believe
 *
 * WHIST_E_IO (offline, not found, ended early) and WHIST_E_TIMEOUT may pass;
 * WHIST_E_AUTH: the server could not be verified; WHIST_E_FORMAT: other bytes; WHIST_E_CANCELLED. */
WHIST_API WHIST_MUST_CHECK whist_status whist_data_fetch(const whist_data_set *set, const char *folder,
                                                         const char *mirror, const char *cafile,
                                                         whist_progress_fn *progress, void *user);

/* ---- State folders ---- */

/* A consistent copy of a coordinator's state folder, or of all studies below a site's, into a new or empty folder;
 * also while the process runs. WHIST_E_STATE where there is no state, or `to` is not empty; WHIST_E_TIMEOUT where the
 * state changes faster than it can be copied. The copy holds the spool and is as confidential as the original. */
WHIST_API WHIST_MUST_CHECK whist_status whist_state_backup(const char *state, const char *to);
/* The way back: a backup into a new or empty state folder, and each study in it is opened to see that it is whole.
 * Never run a restored site beside, or after, another that went on from the same state: it would answer steps that
 * are answered already. */
WHIST_API WHIST_MUST_CHECK whist_status whist_state_restore(const char *backup, const char *state);

#ifdef __cplusplus
}
#endif
#endif
