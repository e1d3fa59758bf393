/* account/event_json.c: events as JSON, read and written by one table of fields. */
#include "dp/account/event.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "codec/json.h"

typedef enum field_type { REAL, SIZE32, SIZE64, REALS, EVENTS } field_type;

typedef struct field {
    const char *name;
    field_type type;
    size_t at;
    bool optional;
} field;

#define AT(member) offsetof(whist_dp_event, member)
static const field fields[] = {
    {"noise", REAL, AT(noise), false},
    {"epsilon", REAL, AT(epsilon), false},
    {"delta", REAL, AT(delta), false},
    {"rho", REAL, AT(rho), false},
    {"p", REAL, AT(p), false},
    {"k", SIZE32, AT(k), false},
    {"sensitivity", SIZE32, AT(sensitivity), true},
    {"dimension", SIZE32, AT(dimension), true},
    {"steps", SIZE64, AT(steps), false},
    {"shift", REALS, AT(shift), false},
    {"weight", REALS, AT(weight), false},
    {"inner", EVENTS, AT(inner), false},
    {"mean", REAL, AT(mean), false},
    {"shape", REAL, AT(shape), false},
    {"rate", REAL, AT(rate), false},
    {"n", SIZE64, AT(n), false},
    {"batch", SIZE64, AT(batch), false},
    {"bins", SIZE64, AT(bins), false},
    {"count", SIZE64, AT(count), true},
    {"group", SIZE32, AT(group), true},
};
static const char *const own_words[] = {"mechanism", "sampling", "relation", "unit"};
static const char *const common_fields[] = {"count", "group", NULL};

static const field *field_named(const char *name)
{
    for (size_t i = 0; i < WH_COUNT(fields); i++)
        if (strcmp(fields[i].name, name) == 0) return &fields[i];
    return NULL;
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static void write_reals(whist_json *json, const double *values, size_t n)
{
    whist_json_begin_array(json);
    for (size_t i = 0; i < n; i++) whist_json_real(json, values[i]);
    whist_json_end_array(json);
}

static void write_field(whist_json *json, const whist_dp_event *event, const field *f)
{
    const char *at = (const char *)event + f->at;
    uint32_t small;
    uint64_t large;
    double real;
    whist_json_key(json, f->name);
    switch (f->type) {
    case REAL:
        memcpy(&real, at, sizeof real);
        if (isinf(real))
            whist_json_text(json, "inf");
        else
            whist_json_real(json, real);
        break;
    case SIZE32: memcpy(&small, at, sizeof small), whist_json_uint(json, small ? small : 1); break;
    case SIZE64: memcpy(&large, at, sizeof large), whist_json_uint(json, large ? large : 1); break;
    case REALS: write_reals(json, f->at == AT(shift) ? event->shift : event->weight, event->n_mixture); break;
    case EVENTS:
        whist_json_begin_array(json);
        for (size_t i = 0; i < event->n_inner; i++) whist_dp_event_json(json, &event->inner[i]);
        whist_json_end_array(json);
        break;
    }
}

static void write_fields(whist_json *json, const whist_dp_event *event, const char *const *names)
{
    for (; *names; names++) write_field(json, event, field_named(*names));
}

void whist_dp_event_json(whist_json *json, const whist_dp_event *event)
{
    whist_json_begin_object(json);
    whist_json_key(json, "mechanism"), whist_json_text(json, whist_dp_mechanism_name(event->mechanism));
    write_fields(json, event, wh_dp_mechanism_fields(event->mechanism));
    whist_json_key(json, "sampling"), whist_json_text(json, whist_dp_sampling_name(event->sampling));
    write_fields(json, event, wh_dp_sampling_fields(event->sampling));
    write_fields(json, event, common_fields);
    whist_json_key(json, "relation"), whist_json_text(json, whist_dp_relation_name(event->relation));
    whist_json_key(json, "unit"), whist_json_text(json, whist_dp_unit_name(event->unit));
    whist_json_end_object(json);
}

/* ---- Reading ----------------------------------------------------------------------------------- */

typedef struct reader {
    wh_arena *arena;
    unsigned depth;
} reader;

static whist_status read_events(whist_dp_event **out, size_t *n, reader *r, const wh_json *list, size_t max);

/* The index of a word in an enum's names; `fallback` where the key is missing, or -1: it is required. */
static whist_status read_word(int *out, const wh_json *object, const char *key, const char *(*name)(int), int fallback)
{
    const wh_json *value = json_object_get(object, key);
    const char *word = json_string_value(value);
    if (!value && fallback >= 0) {
        *out = fallback;
        return WHIST_OK;
    }
    for (int i = 0; word && name(i); i++)
        if (strcmp(name(i), word) == 0) {
            *out = i;
            return WHIST_OK;
        }
    char all[512] = "";
    for (size_t i = 0, at = 0; name((int)i) && at < sizeof all; i++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", name((int)i));
    WH_FAIL(WHIST_E_FORMAT, "event: %s '%.40s' is not known: %s", key, word ? word : "", all);
}

static const char *mechanism_name(int i)
{
    return whist_dp_mechanism_name((whist_dp_mechanism)i);
}
static const char *sampling_name(int i)
{
    return whist_dp_sampling_name((whist_dp_sampling)i);
}
static const char *relation_name(int i)
{
    return whist_dp_relation_name((whist_dp_relation)i);
}
static const char *unit_name(int i)
{
    return whist_dp_unit_name((whist_dp_unit)i);
}

static whist_status read_reals(const double **out, size_t *n, reader *r, const wh_json *list, const char *name)
{
    double *values = NULL;
    *n = json_array_size(list);
    if (*n < 1 || *n > WHIST_DP_MIXTURE_MAX)
        WH_FAIL(WHIST_E_FORMAT, "event: %s is a list of 1 to %d numbers", name, WHIST_DP_MIXTURE_MAX);
    WH_TRY(WH_ARENA_NEW(&values, r->arena, *n));
    for (size_t i = 0; i < *n; i++) {
        const wh_json *item = json_array_get(list, i);
        if (!json_is_number(item)) WH_FAIL(WHIST_E_FORMAT, "event: %s holds something that is no number", name);
        values[i] = json_number_value(item);
    }
    *out = values;
    return WHIST_OK;
}

static whist_status read_list(whist_dp_event *event, reader *r, const wh_json *value, const field *f)
{
    if (f->type == EVENTS) {
        whist_dp_event *inner = NULL;
        WH_TRY(read_events(&inner, &event->n_inner, r, value, WHIST_DP_INNER_MAX));
        event->inner = inner;
        return WHIST_OK;
    }
    size_t n;
    bool is_shift = f->at == AT(shift);
    WH_TRY(read_reals(is_shift ? &event->shift : &event->weight, &n, r, value, f->name));
    if (!is_shift && n != event->n_mixture) WH_FAIL(WHIST_E_FORMAT, "event: shift and weight differ in length");
    event->n_mixture = n;
    return WHIST_OK;
}

static whist_status read_field(whist_dp_event *event, reader *r, const wh_json *object, const field *f)
{
    const wh_json *value = json_object_get(object, f->name);
    char *at = (char *)event + f->at;
    if (!value && f->optional) return WHIST_OK;
    if (!value) WH_FAIL(WHIST_E_FORMAT, "event: %s is missing", f->name);
    if (f->type == REALS || f->type == EVENTS) return read_list(event, r, value, f);
    if (f->type == REAL) {
        bool endless = json_is_string(value) && strcmp(json_string_value(value), "inf") == 0;
        if (!endless && !json_is_number(value)) WH_FAIL(WHIST_E_FORMAT, "event: %s is no number", f->name);
        double real = endless ? (double)INFINITY : json_number_value(value);
        memcpy(at, &real, sizeof real);
        return WHIST_OK;
    }
    int64_t whole;
    WH_TRY(wh_json_get_int(&whole, object, f->name, 1, f->type == SIZE32 ? UINT32_MAX : INT64_MAX, "event"));
    uint64_t large = (uint64_t)whole;
    uint32_t small = (uint32_t)whole;
    if (f->type == SIZE32)
        memcpy(at, &small, sizeof small);
    else
        memcpy(at, &large, sizeof large);
    return WHIST_OK;
}

static whist_status read_fields(whist_dp_event *event, reader *r, const wh_json *object, const char *const *names)
{
    for (; *names; names++) WH_TRY(read_field(event, r, object, field_named(*names)));
    return WHIST_OK;
}

static bool is_among(const char *word, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(*names, word) == 0) return true;
    return false;
}

static whist_status refuse_strangers(const whist_dp_event *event, const wh_json *object)
{
    const char *key;
    wh_json *value;
    json_object_foreach((wh_json *)(uintptr_t)object, key, value)
    {
        bool known = is_among(key, wh_dp_mechanism_fields(event->mechanism)) ||
                     is_among(key, wh_dp_sampling_fields(event->sampling)) || is_among(key, common_fields);
        for (size_t i = 0; i < WH_COUNT(own_words); i++) known = known || strcmp(key, own_words[i]) == 0;
        if (!known)
            WH_FAIL(WHIST_E_FORMAT, "event: %.40s means nothing for %s with sampling %s", key,
                    whist_dp_mechanism_name(event->mechanism), whist_dp_sampling_name(event->sampling));
    }
    return WHIST_OK;
}

static whist_status read_event(whist_dp_event *event, reader *r, const wh_json *object)
{
    int mechanism, sampling, relation, unit;
    if (!json_is_object(object)) WH_FAIL(WHIST_E_FORMAT, "an event is an object");
    WH_TRY(read_word(&mechanism, object, "mechanism", mechanism_name, -1));
    WH_TRY(read_word(&sampling, object, "sampling", sampling_name, WHIST_DP_ALL));
    WH_TRY(read_word(&relation, object, "relation", relation_name, -1));
    WH_TRY(read_word(&unit, object, "unit", unit_name, -1));
    *event = (whist_dp_event){.mechanism = (whist_dp_mechanism)mechanism,
                              .sampling = (whist_dp_sampling)sampling,
                              .relation = (whist_dp_relation)relation,
                              .unit = (whist_dp_unit)unit};
    WH_TRY(refuse_strangers(event, object));
    WH_TRY(read_fields(event, r, object, wh_dp_mechanism_fields(event->mechanism)));
    WH_TRY(read_fields(event, r, object, wh_dp_sampling_fields(event->sampling)));
    return read_fields(event, r, object, common_fields);
}

static whist_status read_events(whist_dp_event **out, size_t *n, reader *r, const wh_json *list, size_t max)
{
    whist_dp_event *events = NULL;
    *n = json_array_size(list);
    if (!json_is_array(list) || *n < 1 || *n > max) WH_FAIL(WHIST_E_FORMAT, "events: a list of 1 to %zu", max);
    if (r->depth == 2) WH_FAIL(WHIST_E_FORMAT, "events: repeat stands inside repeat");
    r->depth++;
    WH_TRY(WH_ARENA_NEW(&events, r->arena, *n));
    for (size_t i = 0; i < *n; i++) WH_TRY(read_event(&events[i], r, json_array_get(list, i)));
    r->depth--;
    *out = events;
    return WHIST_OK;
}

static whist_status read_all(whist_dp_events *out, wh_arena *arena, whist_bytes text)
{
    enum { MAX_SIZE = 1 << 20, MAX_EVENTS = 4096, DEPTH = 8 };
    WH_AUTO(wh_json_ptr) root = NULL;
    reader r = {.arena = arena};
    WH_TRY(wh_json_read(&root, text, MAX_SIZE, DEPTH, "events"));
    WH_TRY(read_events(&out->event, &out->n, &r, root, MAX_EVENTS));
    for (size_t i = 0; i < out->n; i++) WH_TRY(whist_dp_event_check(&out->event[i]));
    return WHIST_OK;
}

whist_status whist_dp_events_read(whist_dp_events *out, whist_bytes text)
{
    WH_ENSURE(out && (text.data || text.len == 0), WHIST_E_ARG);
    wh_arena *arena = NULL;
    whist_dp_events events = {.n = 0};
    WH_TRY(WH_NEW(&arena, 1));
    events.memory = arena;
    whist_status status = read_all(&events, arena, text);
    if (status == WHIST_OK)
        *out = events;
    else
        whist_dp_events_clear(&events);
    return status;
}

void whist_dp_events_clear(whist_dp_events *events)
{
    if (events->memory) wh_arena_clear(events->memory);
    wh_free(events->memory);
    *events = (whist_dp_events){.n = 0};
}
