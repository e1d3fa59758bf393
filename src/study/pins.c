/* study/pins.c: puts the pins of coordinator, sites and parties into the text of a study.
 *
 * The lines of these three keys are cut out by their positions and written anew in one form;
 * every other line, comments included, stays byte for byte. The result is read again before it is
 * given out, so that a text which says something else than the study can never leave. */
#include "study/study_object.h"

#include <string.h>

static whist_status add_quoted(wh_buf *out, const char *text)
{
    WH_TRY(wh_buf_text(out, "\""));
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') WH_TRY(wh_buf_text(out, "\\"));
        WH_TRY(wh_buf_add(out, text, 1));
    }
    return wh_buf_text(out, "\"");
}

static whist_status add_list(wh_buf *out, const char *key, const wh_site_list *list, const uint8_t (*keys)[32])
{
    WH_TRY(wh_buf_text(out, "%s:\n", key));
    for (size_t i = 0; i < list->n; i++) {
        char hex[65];
        wh_hex(hex, keys[i], 32);
        WH_TRY(wh_buf_text(out, "  - name: \"%s\"\n", list->sites[i].name));
        if (list->files[i]) {
            WH_TRY(wh_buf_text(out, "    file: "));
            WH_TRY(add_quoted(out, list->files[i]));
            WH_TRY(wh_buf_text(out, "\n"));
        }
        WH_TRY(wh_buf_text(out, "    key: \"sha256:%s\"\n", hex));
    }
    return WHIST_OK;
}

/* Bytes of the line break at `at`, 0 where there is none. YAML 1.1 breaks lines at LF, CR, CR LF, NEL, LS
 * and PS; the positions in the tree count them all. */
static size_t line_break(whist_bytes text, size_t at)
{
    const uint8_t *b = text.data + at;
    size_t left = text.len - at;
    if (b[0] == '\r') return left > 1 && b[1] == '\n' ? 2 : 1;
    if (b[0] == '\n') return 1;
    if (left > 1 && b[0] == 0xC2 && b[1] == 0x85) return 2;
    return left > 2 && b[0] == 0xE2 && b[1] == 0x80 && (b[2] == 0xA8 || b[2] == 0xA9) ? 3 : 0;
}

/* The end of line `number` (from 1), behind its break. */
static size_t end_of_line(whist_bytes text, unsigned number)
{
    unsigned line = 1;
    for (size_t at = 0; at < text.len;) {
        size_t len = line_break(text, at);
        if (len && line++ == number) return at + len;
        at += len ? len : 1;
    }
    return text.len;
}

/* The three keys that name who is who. */
typedef struct pins {
    const uint8_t *coordinator; /* 32 */
    const uint8_t (*sites)[32], (*parties)[32];
} pins;

static whist_status add_block(wh_buf *out, const char *key, const whist_study *study, const pins *p)
{
    if (strcmp(key, "sites") == 0) return add_list(out, key, &study->file.sites, p->sites);
    if (strcmp(key, "parties") == 0) return add_list(out, key, &study->file.parties, p->parties);
    char hex[65];
    wh_hex(hex, p->coordinator, 32);
    return wh_buf_text(out, "coordinator:\n  name: \"%s\"\n  key: \"sha256:%s\"\n", study->file.coordinator.name, hex);
}

static whist_status rewrite(wh_buf *out, const whist_study *study, const pins *p)
{
    whist_bytes text = wh_buf_view(&study->text);
    size_t done = 0;
    bool named = wh_yaml_get(study->root, "coordinator") != NULL;
    for (const wh_yaml *node = study->root->first; node; node = node->next) {
        bool sites = strcmp(node->key, "sites") == 0;
        if (!sites && strcmp(node->key, "parties") != 0 && strcmp(node->key, "coordinator") != 0) continue;
        size_t begin = node->key_line == 1 ? 0 : end_of_line(text, node->key_line - 1);
        WH_TRY(wh_buf_add(out, text.data + done, begin - done));
        if (sites && !named) WH_TRY(add_block(out, "coordinator", study, p));
        WH_TRY(add_block(out, node->key, study, p));
        done = end_of_line(text, node->last_line);
    }
    return wh_buf_add(out, text.data + done, text.len - done);
}

static bool same_pins(const wh_site_list *now, const wh_site_list *old, const uint8_t (*wanted)[32])
{
    bool same = now->n == old->n;
    for (size_t i = 0; same && i < now->n; i++)
        same = strcmp(now->sites[i].name, old->sites[i].name) == 0 && now->sites[i].pinned &&
               memcmp(now->sites[i].pin, wanted[i], 32) == 0;
    return same;
}

/* The new text must name the same actors with these pins. */
static whist_status prove(const whist_study *study, whist_bytes text, const pins *p)
{
    WH_AUTO(whist_study_ptr) again = NULL;
    WH_TRY(whist_study_parse(&again, text, study->path));
    const wh_study_file *now = &again->file, *old = &study->file;
    if (!same_pins(&now->sites, &old->sites, p->sites) || !same_pins(&now->parties, &old->parties, p->parties) ||
        memcmp(now->coordinator.key.pin, p->coordinator, 32) != 0)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "%s: the keys cannot be put in; write sites and parties as lists with one entry a line", study->path);
    return WHIST_OK;
}

whist_status whist_study_with_pins(char **out, const whist_study *study, const uint8_t coordinator[32],
                                   const uint8_t (*sites)[32], const uint8_t (*parties)[32])
{
    WH_ENSURE(out && study && coordinator && sites && (parties || !study->plan.n_parties), WHIST_E_ARG);
    if (study->root->flow)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "%s: the keys can be put in only where 'sites:' begins a line; write the study without braces around "
                "it",
                study->path);
    const pins p = {coordinator, sites, parties};
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(rewrite(&text, study, &p));
    WH_TRY(prove(study, wh_buf_view(&text), &p));
    return wh_strdup(out, wh_buf_str(&text));
}

void whist_text_free(char *text)
{
    wh_free(text);
}
