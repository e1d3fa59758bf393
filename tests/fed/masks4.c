/* fed/masks4.c: see masks4.h. A machine's memory is one flat struct of indices and bytes, so saving it is
 * one copy; what env says (names, vectors) is not part of it. */
#include "fed/masks4.h"

#include "base/mem.h"
#include "crypt/prg.h"
#include "crypt/random.h"

#include <sodium.h>
#include <string.h>

enum {
    ACTORS = 128,
    SECRET = 32,
    VECTORS = WHIST_MAX_VECTORS + 1,
    PLAIN = 2 * SECRET + 8, /* of a share message: two shares and the step */
    SEALED = PLAIN + crypto_box_SEALBYTES,
    PIECE = 2 + SECRET, /* of a reveal message: of whom, which, share */
};

enum { OF_SEED = 0, OF_KEY = 1 };

/* What is saved. Actors: 0 … n_sites-1 the cohort, then the parties. */
typedef struct memory {
    uint8_t secret[SECRET], seed[SECRET];
    uint8_t public_[ACTORS][SECRET];
    uint8_t shares[ACTORS][2][SECRET]; /* that this actor holds, by whose they are */
    uint8_t known[ACTORS];             /* its public key is here */
    uint8_t holds[ACTORS];             /* its shares are here */
    uint8_t masked[ACTORS];            /* others added a pair mask for it */
    uint8_t uploaded[ACTORS];
    uint8_t opened[ACTORS][SECRET]; /* coordinator: seed of who uploaded, key of who did not */
    uint8_t revealed;
} memory;

typedef struct masks4 {
    whist_protection base;
    whist_protection_env env;
    size_t n, self; /* actors; own index, SIZE_MAX at the coordinator */
    memory m;
} masks4;

/* ---- Names ---- */

static const char *name_of(const masks4 *s, size_t i)
{
    return i < s->env.n_sites ? s->env.sites[i] : s->env.parties[i - s->env.n_sites];
}

static size_t index_of(const masks4 *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(name_of(s, i), name) == 0) return i;
    return SIZE_MAX;
}

static void mark(const masks4 *s, uint8_t *flags, const whist_phase_input *in)
{
    for (size_t i = 0; i < s->env.n_sites; i++) flags[i] = 0;
    for (size_t i = 0; i < in->n_alive; i++) {
        size_t at = index_of(s, in->alive[i]);
        if (at != SIZE_MAX) flags[at] = 1;
    }
}

/* ---- Shamir over GF(2^8), polynomial x^8 + x^4 + x^3 + x + 1. Not constant time: tests only. ---- */

static uint8_t gf_mul(uint8_t a, uint8_t b)
{
    unsigned out = 0, x = a;
    for (unsigned y = b; y; y >>= 1) {
        if (y & 1) out ^= x;
        x = x << 1 ^ (x & 0x80 ? 0x11bu : 0);
    }
    return (uint8_t)out;
}

static uint8_t gf_inv(uint8_t a)
{
    uint8_t out = 1;
    for (int i = 0; i < 254; i++) out = gf_mul(out, a); /* a^254 */
    return out;
}

/* out[i] = the polynomial of byte j at i+1, degree threshold-1. */
static whist_status share_out(uint8_t out[][SECRET], const uint8_t secret[SECRET], size_t n, size_t threshold)
{
    uint8_t more[ACTORS][SECRET];
    WH_TRY(wh_random_bytes(more, threshold * SECRET));
    memcpy(more[0], secret, SECRET);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < SECRET; j++) {
            uint8_t sum = 0;
            for (size_t k = threshold; k-- > 0;) sum = gf_mul(sum, (uint8_t)(i + 1)) ^ more[k][j];
            out[i][j] = sum;
        }
    wh_wipe(more, sizeof more);
    return WHIST_OK;
}

/* Lagrange at 0 over the points x[0 … n-1]. */
static void put_together(uint8_t secret[SECRET], const uint8_t *x, const uint8_t share[][SECRET], size_t n)
{
    memset(secret, 0, SECRET);
    for (size_t i = 0; i < n; i++) {
        uint8_t weight = 1;
        for (size_t k = 0; k < n; k++)
            if (k != i) weight = gf_mul(weight, gf_mul(x[k], gf_inv(x[k] ^ x[i])));
        for (size_t j = 0; j < SECRET; j++) secret[j] ^= gf_mul(weight, share[i][j]);
    }
}

/* ---- Masks ---- */

/* The seed of the pair (owner of `secret`, other), bound to study and step; the same from both sides. */
static whist_status pair_seed(uint8_t out[SECRET], const masks4 *s, const uint8_t secret[SECRET],
                              const uint8_t other[SECRET])
{
    uint8_t both[SECRET];
    if (crypto_box_beforenm(both, other, secret) != 0) WH_FAIL(WHIST_E_AUTH, "a public key of low order");
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, both, sizeof both, SECRET);
    crypto_generichash_update(&hash, s->env.study, 32);
    crypto_generichash_update(&hash, (const uint8_t *)&s->env.step, sizeof s->env.step);
    crypto_generichash_final(&hash, out, SECRET);
    wh_wipe(both, sizeof both);
    return WHIST_OK;
}

static unsigned width(unsigned bits)
{
    return (bits + 7) / 8;
}

/* elements += sign * PRG(seed), elements offset … offset+n-1 of vector k. */
static whist_status add_mask(const masks4 *s, const uint8_t seed[SECRET], size_t k, uint64_t offset, uint8_t *elements,
                             size_t n, bool minus)
{
    unsigned bits = s->env.vectors[k].bits, w = width(bits);
    uint8_t nonce[WH_PRG_NONCE];
    wh_prg_nonce(nonce, k);
    WH_AUTO(wh_prg) prg = WH_PRG_EMPTY;
    WH_TRY(wh_prg_init(&prg, seed, SECRET, nonce));
    WH_TRY(wh_prg_seek(&prg, offset * w / WH_PRG_BLOCK)); /* offset is a multiple of 16384 */
    WH_AUTO(wh_owned) mask = NULL;
    WH_TRY(wh_alloc_raw(&mask, n, w));
    WH_TRY(wh_prg_next(&prg, mask, n * w));
    const uint8_t *m = mask;
    uint64_t keep = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t a = 0, b = 0;
        memcpy(&a, elements + i * w, w);
        memcpy(&b, m + i * w, w);
        a = (minus ? a - b : a + b) & keep;
        memcpy(elements + i * w, &a, w);
    }
    return WHIST_OK;
}

/* ---- Phases of sites and parties ---- */

static whist_status advertise(masks4 *s, whist_send_fn *send, void *outbox)
{
    WH_TRY(wh_random_bytes(s->m.secret, SECRET));
    WH_TRY(wh_random_bytes(s->m.seed, SECRET));
    crypto_scalarmult_base(s->m.public_[s->self], s->m.secret);
    return send(outbox, "*", (whist_bytes){s->m.public_[s->self], SECRET});
}

static whist_status take_keys(masks4 *s, const whist_phase_input *in)
{
    for (size_t i = 0; i < in->n_inbox; i++) {
        size_t from = index_of(s, in->inbox[i].from);
        if (from == SIZE_MAX || in->inbox[i].body.len != SECRET) WH_FAIL(WHIST_E_FORMAT, "not a public key");
        memcpy(s->m.public_[from], in->inbox[i].body.data, SECRET);
        s->m.known[from] = 1;
    }
    return WHIST_OK;
}

static whist_status share(masks4 *s, const whist_phase_input *in, whist_send_fn *send, void *outbox)
{
    uint8_t seeds[ACTORS][SECRET], keys[ACTORS][SECRET];
    WH_TRY(take_keys(s, in));
    WH_TRY(share_out(seeds, s->m.seed, s->n, s->env.min_sites));
    WH_TRY(share_out(keys, s->m.secret, s->n, s->env.min_sites));
    memcpy(s->m.shares[s->self][OF_SEED], seeds[s->self], SECRET);
    memcpy(s->m.shares[s->self][OF_KEY], keys[s->self], SECRET);
    s->m.holds[s->self] = 1;
    whist_status status = WHIST_OK;
    for (size_t i = 0; status == WHIST_OK && i < s->n; i++) {
        if (i == s->self || !s->m.known[i]) continue;
        uint8_t plain[PLAIN], sealed[SEALED];
        memcpy(plain, seeds[i], SECRET);
        memcpy(plain + SECRET, keys[i], SECRET);
        memcpy(plain + 2 * SECRET, &s->env.step, 8);
        if (crypto_box_seal(sealed, plain, sizeof plain, s->m.public_[i]) != 0)
            WH_FAIL(WHIST_E_AUTH, "a public key of low order");
        status = send(outbox, name_of(s, i), (whist_bytes){sealed, sizeof sealed});
        wh_wipe(plain, sizeof plain);
    }
    wh_wipe(seeds, sizeof seeds);
    wh_wipe(keys, sizeof keys);
    return status;
}

static whist_status take_shares(masks4 *s, const whist_phase_input *in)
{
    for (size_t i = 0; i < in->n_inbox; i++) {
        size_t from = index_of(s, in->inbox[i].from);
        uint8_t plain[PLAIN];
        if (from == SIZE_MAX || in->inbox[i].body.len != SEALED) WH_FAIL(WHIST_E_FORMAT, "not a share");
        if (crypto_box_seal_open(plain, in->inbox[i].body.data, SEALED, s->m.public_[s->self], s->m.secret) != 0)
            WH_FAIL(WHIST_E_AUTH, "a share that was not sealed for %s", s->env.name);
        if (memcmp(plain + 2 * SECRET, &s->env.step, 8) != 0) WH_FAIL(WHIST_E_AUTH, "a share of another step");
        memcpy(s->m.shares[from], plain, 2 * SECRET);
        s->m.holds[from] = 1;
        wh_wipe(plain, sizeof plain);
    }
    mark(s, s->m.masked, in);
    return WHIST_OK;
}

static whist_status reveal(masks4 *s, const whist_phase_input *in, whist_send_fn *send, void *outbox)
{
    if (in->n_alive < s->env.min_sites)
        WH_FAIL(WHIST_E_FORMAT, "only %zu sites uploaded: nothing is revealed", in->n_alive);
    if (s->m.revealed) WH_FAIL(WHIST_E_FORMAT, "a second reveal of one step");
    s->m.revealed = 1;
    mark(s, s->m.uploaded, in);
    uint8_t body[ACTORS * PIECE];
    size_t len = 0;
    for (size_t i = 0; i < s->env.n_sites; i++) {
        if (!s->m.masked[i] || !s->m.holds[i]) continue;
        uint8_t which = s->m.uploaded[i] ? OF_SEED : OF_KEY;
        body[len] = (uint8_t)i;
        body[len + 1] = which;
        memcpy(body + len + 2, s->m.shares[i][which], SECRET);
        len += PIECE;
    }
    return send(outbox, "", (whist_bytes){body, len});
}

static whist_status step_member(masks4 *s, const whist_phase_input *in, whist_send_fn *send, void *outbox)
{
    switch (in->phase) {
    case 0: return advertise(s, send, outbox);
    case 1: return share(s, in, send, outbox);
    case 2: return take_shares(s, in);
    default: return reveal(s, in, send, outbox);
    }
}

/* ---- Coordinator ---- */

static whist_status open_secret(masks4 *s, const whist_phase_input *in, size_t of, uint8_t which)
{
    uint8_t x[ACTORS], share[ACTORS][SECRET];
    size_t n = 0;
    for (size_t i = 0; i < in->n_inbox && n < s->env.min_sites; i++) {
        whist_bytes body = in->inbox[i].body;
        size_t from = index_of(s, in->inbox[i].from);
        if (from == SIZE_MAX || body.len % PIECE || body.len > ACTORS * PIECE) WH_FAIL(WHIST_E_FORMAT, "not a reveal");
        for (size_t at = 0; at < body.len; at += PIECE)
            if (body.data[at] == of && body.data[at + 1] == which) {
                x[n] = (uint8_t)(from + 1);
                memcpy(share[n++], body.data + at + 2, SECRET);
                break;
            }
    }
    if (n < s->env.min_sites) WH_FAIL(WHIST_E_STATE, "%zu of %zu shares of %s", n, s->env.min_sites, name_of(s, of));
    put_together(s->m.opened[of], x, (const uint8_t(*)[SECRET])share, n);
    return WHIST_OK;
}

static whist_status step_coordinator(masks4 *s, const whist_phase_input *in)
{
    if (in->phase == 0) return take_keys(s, in);
    if (in->phase == 1) mark(s, s->m.masked, in);
    if (in->phase == 2) mark(s, s->m.uploaded, in);
    for (size_t i = 0; in->phase == 3 && i < s->env.n_sites; i++)
        if (s->m.masked[i]) WH_TRY(open_secret(s, in, i, s->m.uploaded[i] ? OF_SEED : OF_KEY));
    s->m.revealed = in->phase == 3;
    return WHIST_OK;
}

static whist_status step(whist_protection *self, const whist_phase_input *in, whist_send_fn *send, void *outbox)
{
    masks4 *s = (masks4 *)self;
    return s->self == SIZE_MAX ? step_coordinator(s, in) : step_member(s, in, send, outbox);
}

/* ---- Elements ---- */

static whist_status protect(whist_protection *self, size_t k, uint64_t offset, const uint8_t *elements, size_t n,
                            uint8_t *out)
{
    masks4 *s = (masks4 *)self;
    memcpy(out, elements, n * width(s->env.vectors[k].bits));
    WH_TRY(add_mask(s, s->m.seed, k, offset, out, n, false));
    for (size_t i = 0; i < s->env.n_sites; i++) {
        if (i == s->self || !s->m.masked[i]) continue;
        uint8_t seed[SECRET];
        WH_TRY(pair_seed(seed, s, s->m.secret, s->m.public_[i]));
        WH_TRY(add_mask(s, seed, k, offset, out, n, s->self > i));
        wh_wipe(seed, sizeof seed);
    }
    return WHIST_OK;
}

/* Site i left its pair masks in the uploads of the others: takes them out. */
static whist_status remove_pairs(masks4 *s, size_t i, size_t k, uint64_t offset, uint8_t *elements, size_t n)
{
    for (size_t j = 0; j < s->env.n_sites; j++) {
        if (!s->m.uploaded[j]) continue;
        uint8_t seed[SECRET];
        WH_TRY(pair_seed(seed, s, s->m.opened[i], s->m.public_[j]));
        WH_TRY(add_mask(s, seed, k, offset, elements, n, j < i)); /* j added it with + where j < i */
    }
    return WHIST_OK;
}

static whist_status open_(whist_protection *self, size_t k, uint64_t offset, const uint8_t *sum, size_t n,
                          uint8_t *elements)
{
    masks4 *s = (masks4 *)self;
    if (!s->m.revealed) WH_FAIL(WHIST_E_STATE, "nothing was revealed");
    memcpy(elements, sum, n * width(s->env.vectors[k].bits));
    for (size_t i = 0; i < s->env.n_sites; i++) {
        if (s->m.uploaded[i])
            WH_TRY(add_mask(s, s->m.opened[i], k, offset, elements, n, true));
        else if (s->m.masked[i])
            WH_TRY(remove_pairs(s, i, k, offset, elements, n));
    }
    return WHIST_OK;
}

/* ---- Life ---- */

static whist_status new_(whist_protection **out, const whist_protection_env *env)
{
    if (env->n_sites + env->n_parties > ACTORS) WH_FAIL(WHIST_E_UNSUPPORTED, "more than %d actors", ACTORS);
    if (env->min_sites < 1) WH_FAIL(WHIST_E_UNSUPPORTED, "shares need a threshold: set min_sites");
    masks4 *s;
    WH_TRY(WH_NEW(&s, 1));
    s->base.class_ = &test_masks4;
    s->env = *env;
    s->n = env->n_sites + env->n_parties;
    s->self = env->role == WHIST_ROLE_COORDINATOR ? SIZE_MAX : index_of(s, env->name);
    if (env->role != WHIST_ROLE_COORDINATOR && s->self == SIZE_MAX) {
        wh_free(s);
        WH_FAIL(WHIST_E_ARG, "%s is not of this step", env->name);
    }
    *out = &s->base;
    return WHIST_OK;
}

static void free_(whist_protection *self)
{
    wh_wipe(self, sizeof(masks4));
    wh_free(self);
}

static whist_status save(const whist_protection *self, whist_send_fn *put, void *user)
{
    const masks4 *s = (const masks4 *)self;
    return put(user, NULL, (whist_bytes){(const uint8_t *)&s->m, sizeof s->m});
}

static whist_status load(whist_protection *self, whist_bytes state)
{
    masks4 *s = (masks4 *)self;
    if (state.len != sizeof s->m) WH_FAIL(WHIST_E_FORMAT, "a saved machine of %zu bytes", state.len);
    memcpy(&s->m, state.data, sizeof s->m);
    return WHIST_OK;
}

static const whist_phase phases[] = {
    {.name = "advertise", .sites = true, .parties = true},
    {.name = "share", .sites = true},
    {.name = "upload", .sites = true, .parties = true, .upload = true},
    {.name = "reveal", .sites = true, .parties = true},
};

const whist_protection_class test_masks4 = {
    .name = "test-masks4",
    .doc = "double masking, for tests only",
    .n_parties = 1,
    .phases = phases,
    .n_phases = 4,
    .new_ = new_,
    .free_ = free_,
    .step = step,
    .protect = protect,
    .open = open_,
    .save = save,
    .load = load,
};
