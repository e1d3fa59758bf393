/* study/table_value.c: single values and lists of values, each refused in words that say what is allowed. */
#include "study/table_value.h"

#include "codec/real.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static whist_bytes bytes_of(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, strlen(text)};
}

whist_status wh_key_scalar(const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    if (node->kind != WH_YAML_SCALAR)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: a single value is wanted here, not a %s", key->name,
                       node->kind == WH_YAML_LIST ? "list" : "map");
    if (node->plain && (!*node->text || !strcmp(node->text, "~") || !strcmp(node->text, "null")))
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: no value; write one or leave the key out", key->name);
    return WHIST_OK;
}

/* ---- Text ---- */

static whist_status check_text(const wh_key *key, const wh_yaml *node, size_t size, const wh_reader *reader)
{
    WH_TRY(wh_key_scalar(key, node, reader));
    if (strlen(node->text) >= size)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: longer than %zu bytes", key->name, size - 1);
    const char *must = key->rule ? key->rule(node->text) : wh_rule_line(node->text);
    if (must) WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: '%.80s' %s", key->name, node->text, must);
    return WHIST_OK;
}

static whist_status read_text(char *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    WH_TRY(check_text(key, node, key->size, reader));
    memcpy(out, node->text, strlen(node->text) + 1);
    return WHIST_OK;
}

static whist_status read_path(char *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    WH_TRY(check_text(key, node, key->size, reader));
    bool beside = reader->folder && *reader->folder && node->text[0] != '/';
    int len = snprintf(out, key->size, "%s%s%s", beside ? reader->folder : "", beside ? "/" : "", node->text);
    if (len < 0 || (size_t)len >= key->size) {
        out[0] = 0;
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: the path with its folder is longer than %zu bytes", key->name,
                       key->size - 1);
    }
    return WHIST_OK;
}

whist_status wh_key_texts(wh_texts *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    if (node->kind != WH_YAML_LIST)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: a list like [a, b] is wanted", key->name);
    if ((double)node->n < key->min || (double)node->n > key->max)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: %zu entries are outside %g … %g", key->name, node->n,
                       key->min, key->max);
    wh_texts texts = {0};
    WH_TRY(WH_ARENA_NEW(&texts.items, reader->arena, node->n));
    for (const wh_yaml *item = node->first; item; item = item->next) {
        WH_TRY(check_text(key, item, key->size, reader));
        for (size_t i = 0; i < texts.n && node->n <= 64; i++)
            if (strcmp(texts.items[i], item->text) == 0)
                WH_READER_FAIL(WHIST_E_FORMAT, reader, item, "%s: '%.64s' stands twice", key->name, item->text);
        WH_TRY(wh_arena_strdup(&texts.items[texts.n++], reader->arena, item->text));
    }
    *out = texts;
    return WHIST_OK;
}

/* ---- Numbers ---- */

static whist_status read_int(void *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    WH_TRY(wh_key_scalar(key, node, reader));
    int64_t number;
    if (wh_int_parse(&number, bytes_of(node->text)) != WHIST_OK)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: a whole number is wanted, not '%.40s'", key->name,
                       node->text);
    if ((double)number < key->min || (double)number > key->max)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: %lld is outside %.17g … %.17g", key->name, (long long)number,
                       key->min, key->max);
    switch (key->size) {
    case 4: *(uint32_t *)out = (uint32_t)number; break;
    case 8: *(uint64_t *)out = (uint64_t)number; break;
    default: WH_CHECK(key->size == 4 || key->size == 8);
    }
    return WHIST_OK;
}

whist_status wh_key_real(double *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    WH_TRY(wh_key_scalar(key, node, reader));
    double number;
    if (wh_real_parse(&number, bytes_of(node->text)) != WHIST_OK)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: a finite number is wanted, not '%.40s'", key->name,
                       node->text);
    if (number < key->min || number > key->max)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: %g is outside %g … %g", key->name, number, key->min,
                       key->max);
    *out = number;
    return WHIST_OK;
}

static whist_status read_bool(bool *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    WH_TRY(wh_key_scalar(key, node, reader));
    if (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: true or false is wanted, not '%.40s'", key->name, node->text);
    *out = node->text[0] == 't';
    return WHIST_OK;
}

/* ---- Choices ---- */

static bool next_word(char out[64], const char **at)
{
    if (!*at || !**at) return false;
    size_t len = strcspn(*at, "|");
    (void)snprintf(out, 64, "%.*s", (int)len, *at);
    *at += len + ((*at)[len] == '|');
    return true;
}

const char *wh_nearest_choice(char out[64], const char *choices, const char *name)
{
    char word[64];
    unsigned best = 4;
    out[0] = 0;
    for (const char *at = choices; next_word(word, &at);) {
        unsigned distance = wh_edit_distance(word, name);
        if (distance < best) {
            best = distance;
            memcpy(out, word, sizeof word);
        }
    }
    return out;
}

static whist_status read_choice(void *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    WH_TRY(wh_key_scalar(key, node, reader));
    char word[64], list[256] = "";
    int index = 0;
    size_t len = 0;
    for (const char *at = key->choices; next_word(word, &at); index++) {
        if (strcmp(word, node->text) == 0) {
            memcpy(out, &index, sizeof index);
            return WHIST_OK;
        }
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", index ? ", " : "", word);
    }
    char near[64];
    wh_nearest_choice(near, key->choices, node->text);
    WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: '%.40s' is not one of %s%s%s%s", key->name, node->text, list,
                   *near ? "; did you mean '" : "", near, *near ? "'?" : "");
}

/* ---- Numbers with a unit ---- */

typedef struct unit {
    const char *name;
    double factor;
} unit;

static whist_status read_unit(uint64_t *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader,
                              const unit *units, const char *wanted)
{
    WH_TRY(wh_key_scalar(key, node, reader));
    size_t digits = strspn(node->text, "0123456789.");
    double number = 0;
    const unit *u = units;
    while (u->name && strcmp(u->name, node->text + digits) != 0) u++;
    if (!u->name || wh_real_parse(&number, (whist_bytes){(const uint8_t *)node->text, digits}) != WHIST_OK)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: %s is wanted, not '%.40s'", key->name, wanted, node->text);
    number *= u->factor;
    if (number < key->min || number > key->max)
        WH_READER_FAIL(WHIST_E_FORMAT, reader, node, "%s: '%.40s' is outside %s", key->name, node->text, key->type);
    *out = (uint64_t)llround(number);
    return WHIST_OK;
}

static whist_status read_duration(uint64_t *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    static const unit units[] = {{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 36e5}, {"d", 864e5}, {NULL, 0}};
    return read_unit(out, key, node, reader, units, "a time like 500ms, 30s, 10m, 2h or 1d");
}

static whist_status read_bytes(uint64_t *out, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    static const unit units[] = {{"", 1},         {"B", 1},        {"KiB", 1024}, {"MiB", 0x1p20},
                                 {"GiB", 0x1p30}, {"TiB", 0x1p40}, {NULL, 0}};
    return read_unit(out, key, node, reader, units, "a size like 4096, 64KiB, 512MiB or 10GiB");
}

whist_status wh_value_read(void *field, const wh_key *key, const wh_yaml *node, const wh_reader *reader)
{
    switch (key->kind) {
    case WH_KEY_TEXT: return read_text(field, key, node, reader);
    case WH_KEY_PATH: return read_path(field, key, node, reader);
    case WH_KEY_INT: return read_int(field, key, node, reader);
    case WH_KEY_REAL: return wh_key_real(field, key, node, reader);
    case WH_KEY_BOOL: return read_bool(field, key, node, reader);
    case WH_KEY_CHOICE: return read_choice(field, key, node, reader);
    case WH_KEY_DURATION: return read_duration(field, key, node, reader);
    case WH_KEY_BYTES: return read_bytes(field, key, node, reader);
    case WH_KEY_TEXTS: return wh_key_texts(field, key, node, reader);
    default: WH_CHECK(key->kind < WH_KEY_MAP); return WHIST_E_ARG;
    }
}

/* ---- Rules ---- */

static bool all_of(const char *text, const char *more)
{
    for (; *text; text++)
        if (!(*text >= 'a' && *text <= 'z') && !(*text >= '0' && *text <= '9') && !strchr(more, *text)) return false;
    return true;
}

const char *wh_rule_word(const char *text)
{
    return *text && *text != '-' && all_of(text, "-") ? NULL : "must consist of lower-case letters, digits and '-'";
}

const char *wh_rule_set(const char *text)
{
    return *text && all_of(text, "-_") ? NULL : "must consist of lower-case letters, digits, '-' and '_'";
}

/* As in certificates: the name is what a site's certificate carries. */
const char *wh_rule_actor(const char *text)
{
    size_t len = strlen(text);
    bool good = len >= 1 && len <= 40 && all_of(text, "-") && text[0] != '-' && text[len - 1] != '-';
    return good ? NULL : "must be 1 to 40 lower-case letters, digits and '-', with a letter or digit at both ends";
}

const char *wh_rule_line(const char *text)
{
    for (; *text; text++)
        if ((uint8_t)*text < 0x20 || *text == 0x7f) return "must have no control characters";
    return NULL;
}

const char *wh_rule_file(const char *text)
{
    if (wh_rule_line(text)) return wh_rule_line(text);
    if (*text == '/') return "is an absolute path; write the bare name: folders belong in each site's configuration";
    if (strchr(text, '/') || !strcmp(text, "..") || !strcmp(text, "."))
        return "leaves the data folder or names a folder; write the bare name of a file";
    return *text ? NULL : "must be the name of a file";
}

const char *wh_rule_delimiter(const char *text)
{
    bool one = *text > 0x20 && *text < 0x7f && !text[1] && *text != '"';
    return one || !strcmp(text, "tab") || !strcmp(text, " ") ? NULL : "must be one ASCII character or the word tab";
}
