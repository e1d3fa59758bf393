/* study/pins.c: puts the pins of sites and parties into the text of a study.
 *
 * The lines of `sites:` and `parties:` are cut out by their positions and written anew in one form;
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

static whist_status add_list(wh_buf *out, const char *key, const wh_site_list *list, const uint8_t (*pins)[32])
{
    WH_TRY(wh_buf_text(out, "%s:\n", key));
    for (size_t i = 0; i < list->n; i++) {
        char hex[65];
        wh_hex(hex, pins[i], 32);
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

/* The end of line `number` (from 1), behind its newline. YAML also ends lines at a lone CR. */
static size_t end_of_line(whist_bytes text, unsigned number)
{
    size_t at = 0;
    for (unsigned line = 1; at < text.len; at++) {
        bool pair = text.data[at] == '\r' && at + 1 < text.len && text.data[at + 1] == '\n';
        if ((text.data[at] == '\n' || (text.data[at] == '\r' && !pair)) && line++ == number) return at + 1;
    }
    return text.len;
}

static whist_status rewrite(wh_buf *out, const whist_study *study, const uint8_t (*pins)[32])
{
    whist_bytes text = wh_buf_view(&study->text);
    size_t done = 0;
    for (const wh_yaml *node = study->root->first; node; node = node->next) {
        bool sites = strcmp(node->key, "sites") == 0, parties = strcmp(node->key, "parties") == 0;
        if (!sites && !parties) continue;
        size_t begin = end_of_line(text, node->key_line - 1);
        if (node->key_line == 1) begin = 0;
        WH_TRY(wh_buf_add(out, text.data + done, begin - done));
        WH_TRY(sites ? add_list(out, "sites", &study->file.sites, pins)
                     : add_list(out, "parties", &study->file.parties, pins + study->plan.n_sites));
        done = end_of_line(text, node->last_line);
    }
    return wh_buf_add(out, text.data + done, text.len - done);
}

/* The new text must say the same sites and the pins, and nothing else may have changed. */
static whist_status prove(const whist_study *study, whist_bytes text, const uint8_t (*pins)[32])
{
    WH_AUTO(whist_study_ptr) again = NULL;
    WH_TRY(whist_study_parse(&again, text, study->path));
    const wh_site_list *lists[2] = {&again->file.sites, &again->file.parties};
    const wh_site_list *olds[2] = {&study->file.sites, &study->file.parties};
    for (size_t l = 0, k = 0; l < 2; l++) {
        bool same = lists[l]->n == olds[l]->n;
        for (size_t i = 0; same && i < lists[l]->n; i++, k++)
            same = strcmp(lists[l]->sites[i].name, olds[l]->sites[i].name) == 0 && lists[l]->sites[i].pinned &&
                   memcmp(lists[l]->sites[i].pin, pins[k], 32) == 0;
        if (!same)
            WH_FAIL(WHIST_E_UNSUPPORTED,
                    "%s: the keys cannot be put in; write sites and parties as lists with one entry a line",
                    study->path);
    }
    return WHIST_OK;
}

whist_status whist_study_with_pins(char **out, const whist_study *study, const uint8_t (*pins)[32])
{
    WH_ENSURE(out && study && pins, WHIST_E_ARG);
    if (study->root->flow)
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s: the keys can be put in only where 'sites:' begins a line; write the study "
                "without braces around it", study->path);
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_TRY(rewrite(&text, study, pins));
    WH_TRY(prove(study, wh_buf_view(&text), pins));
    return wh_strdup(out, wh_buf_str(&text));
}

void whist_text_free(char *text)
{
    wh_free(text);
}
