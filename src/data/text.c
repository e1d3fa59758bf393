/* data/text.c: a text becomes tokens, and a row is a window of them.
 *
 *     site's share   | training tokens | validation | test |
 *     row i          tokens [i step, i step + T), its target those [i step + 1, i step + T + 1)
 *
 * x and y are two views of the same tokens, one token apart, so windows that overlap cost nothing. */
#include "data/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "codec/json.h"

enum { MAX_WINDOW = 65536, MAX_ALPHABET = 65536, BYTES = 256 };

static whist_bytes text_of(const char *text)
{
    return (whist_bytes){(const uint8_t *)text, strlen(text)};
}

size_t wh_text_vocabulary(const whist_schema *schema)
{
    if (!schema->text_alphabet) return BYTES;
    size_t n = 0;
    for (const char *c = schema->text_alphabet; *c; c++) n += ((uint8_t)*c & 0xC0) != 0x80;
    return n;
}

/* ---- The alphabet ------------------------------------------------------------------------------------ */

typedef struct alphabet {
    struct letter {
        uint32_t code, token;
    } * letters; /* by code */
    size_t n;
} alphabet;

static void alphabet_clear(alphabet *a)
{
    wh_free(a->letters);
}
WH_AUTO_CLEAR(alphabet, alphabet_clear)

static int by_code(const void *a, const void *b)
{
    uint32_t x = ((const struct letter *)a)->code, y = ((const struct letter *)b)->code;
    return (x > y) - (x < y);
}

static whist_status alphabet_init(alphabet *out, const whist_schema *schema)
{
    if (!schema->text_alphabet) return WHIST_OK;
    size_t n = wh_text_vocabulary(schema);
    if (n < 2 || n > MAX_ALPHABET)
        WH_FAIL(WHIST_E_ARG, "the alphabet has %zu characters: 2 to %d are allowed", n, MAX_ALPHABET);
    WH_TRY(WH_NEW(&out->letters, n));
    whist_bytes rest = text_of(schema->text_alphabet);
    for (uint32_t code; rest.len; out->n++) {
        size_t len = wh_utf8_next(&code, rest);
        if (len == 0) WH_FAIL(WHIST_E_ARG, "the alphabet is not UTF-8");
        out->letters[out->n] = (struct letter){code, (uint32_t)out->n};
        rest = (whist_bytes){rest.data + len, rest.len - len};
    }
    qsort(out->letters, n, sizeof *out->letters, by_code);
    for (size_t i = 1; i < n; i++)
        if (out->letters[i].code == out->letters[i - 1].code)
            WH_FAIL(WHIST_E_ARG, "the alphabet has the character U+%04X twice", out->letters[i].code);
    return WHIST_OK;
}

/* ---- The schema ---------------------------------------------------------------------------------------- */

whist_status wh_text_check(const whist_schema *schema)
{
    WH_AUTO(alphabet) letters = {0};
    WH_TRY(alphabet_init(&letters, schema));
    if (schema->text_window < 1 || schema->text_window > MAX_WINDOW || schema->text_step < 1)
        WH_FAIL(WHIST_E_ARG, "a window of text has 1 to %d tokens, and the next begins at least one further",
                MAX_WINDOW);
    if (schema->task != WHIST_TASK_CLASSES) WH_FAIL(WHIST_E_ARG, "the task of a text is classes: the next token");
    if (schema->n_classes && schema->n_classes != wh_text_vocabulary(schema))
        WH_FAIL(WHIST_E_ARG, "%zu classes for a vocabulary of %zu tokens: leave classes out", schema->n_classes,
                wh_text_vocabulary(schema));
    if (schema->partition != WHIST_PARTITION_FILE && schema->partition != WHIST_PARTITION_IID)
        WH_FAIL(WHIST_E_ARG, "a text is cut into even shares (iid), or each site has its own file");
    if (schema->n_columns || schema->split_file[0] || schema->class_weights || schema->class_weights_balanced ||
        schema->standardize != WHIST_STANDARDIZE_NONE)
        WH_FAIL(WHIST_E_ARG, "a text has no columns, split file, class weights or standardisation");
    if (!(schema->test_fraction >= 0 && schema->test_fraction < 1 && schema->validation_fraction >= 0 &&
          schema->validation_fraction < 1))
        WH_FAIL(WHIST_E_ARG, "test and validation fraction must be at least 0 and below 1");
    return WHIST_OK;
}

/* ---- Tokens ---------------------------------------------------------------------------------------------- */

static whist_status place_of(const char *file, const wh_buf *text, size_t at, const char *what)
{
    size_t line = 1, begin = 0;
    for (size_t i = 0; i < at; i++)
        if (text->data[i] == '\n') line++, begin = i + 1;
    WH_FAIL(WHIST_E_FORMAT, "%s:%zu:%zu: %s", file, line, at - begin + 1, what);
}

static whist_status find(float *out, const alphabet *letters, uint32_t code)
{
    size_t low = 0, high = letters->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct letter *letter = &letters->letters[mid];
        if (letter->code == code) {
            *out = (float)letter->token;
            return WHIST_OK;
        }
        if (letter->code < code)
            low = mid + 1;
        else
            high = mid;
    }
    return WHIST_E_FORMAT;
}

/* tokens (up to text->len of them) */
static whist_status tokenize(float *tokens, size_t *n, const whist_schema *schema, const wh_buf *text, const char *file)
{
    WH_AUTO(alphabet) letters = {0};
    WH_TRY(alphabet_init(&letters, schema));
    *n = 0;
    for (size_t at = 0, len = 1; at < text->len; at += len) {
        uint32_t code;
        if (!letters.n) {
            tokens[(*n)++] = (float)text->data[at];
            continue;
        }
        len = wh_utf8_next(&code, (whist_bytes){text->data + at, text->len - at});
        if (len == 0) return place_of(file, text, at, "the text is not UTF-8: take the vocabulary of bytes");
        if (find(&tokens[(*n)++], &letters, code) != WHIST_OK)
            return place_of(
                file, text, at,
                "a character that is not in the study's alphabet: add it to data.text.alphabet, or leave it "
                "out of the file");
    }
    return WHIST_OK;
}

/* ---- Windows ------------------------------------------------------------------------------------------------ */

static size_t count_windows(size_t tokens, size_t window, size_t step)
{
    return tokens > window ? (tokens - window - 1) / step + 1 : 0;
}

/* The site's share [from, to) of the block's tokens. */
static whist_status make(whist_dataset **out, wh_block *block, const whist_schema *schema, size_t from, size_t to)
{
    WH_AUTO(whist_dataset_ptr) dataset = NULL;
    WH_TRY(wh_dataset_new(&dataset, block, 0, 0));
    const size_t n = to - from, test = (size_t)llround(schema->test_fraction * (double)n);
    const size_t validation = (size_t)llround(schema->validation_fraction * (double)(n - test));
    const size_t tokens[3] = {n - test - validation, validation, test};
    for (size_t fold = 0, at = from; fold < 3; at += tokens[fold], fold++) {
        size_t step = fold == WHIST_FOLD_TRAIN ? schema->text_step : block->d;
        dataset->begin[fold] = at;
        dataset->tokens[fold] = tokens[fold];
        dataset->step[fold] = step;
        dataset->n[fold] = count_windows(tokens[fold], block->d, step);
        dataset->rows_read += dataset->n[fold];
    }
    *out = dataset;
    dataset = NULL;
    return WHIST_OK;
}

static whist_status tokens_block(wh_block **out, size_t n, size_t window)
{
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_TRY(WH_NEW(&block, 1));
    atomic_init(&block->refs, 1);
    block->n = n;
    block->d = window;
    WH_TRY(WH_NEW_RAW(&block->x, n));
    WH_TRY(WH_NEW(&block->takes_part, window));
    *out = block;
    block = NULL;
    return WHIST_OK;
}

whist_status wh_text_open(whist_dataset **out, const whist_schema *schema, const char *folder, const char *file,
                          const wh_sites *sites)
{
    WH_AUTO(wh_owned) path = NULL;
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_TRY(wh_data_path((char **)&path, folder, file));
    WH_TRY(wh_file_read(&text, path, WH_MAX_FILE_BYTES));
    WH_TRY(tokens_block(&block, text.len, schema->text_window));
    WH_TRY(tokenize(block->x, &block->n, schema, &text, file));
    const bool own = schema->partition == WHIST_PARTITION_FILE;
    for (size_t s = 0; s < sites->n; s++) {
        const size_t n = block->n, i = sites->first + s;
        size_t from = own ? 0 : (size_t)((unsigned __int128)n * i / sites->n_all);
        size_t to = own ? n : (size_t)((unsigned __int128)n * (i + 1) / sites->n_all);
        WH_TRY(make(&out[s], block, schema, from, to));
        if (out[s]->n[WHIST_FOLD_TRAIN] == 0)
            WH_FAIL(WHIST_E_FORMAT, "site '%s' has %zu tokens of text for training, and a window takes %u and one more",
                    sites->names[s], out[s]->tokens[WHIST_FOLD_TRAIN], schema->text_window);
    }
    return WHIST_OK;
}

whist_status wh_text_concat(whist_dataset **out, whist_dataset *const *parts, size_t n)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        for (int fold = 0; fold < 3; fold++)
            if (!wh_add_size(&total, total, parts[i]->tokens[fold])) WH_FAIL(WHIST_E_NOMEM, "too many tokens");
    WH_AUTO(wh_block_ptr) block = NULL;
    WH_AUTO(whist_dataset_ptr) dataset = NULL;
    WH_TRY(tokens_block(&block, total, parts[0]->block->d));
    WH_TRY(wh_dataset_new(&dataset, block, 0, 0));
    for (int fold = 0; fold < 3; fold++) {
        dataset->begin[fold] = at;
        dataset->step[fold] = parts[0]->step[fold];
        for (size_t i = 0; i < n; i++) {
            size_t tokens = parts[i]->tokens[fold];
            if (tokens) memcpy(block->x + at, parts[i]->block->x + parts[i]->begin[fold], tokens * sizeof *block->x);
            dataset->tokens[fold] += tokens;
            at += tokens;
        }
        dataset->n[fold] = count_windows(dataset->tokens[fold], block->d, dataset->step[fold]);
        dataset->rows_read += dataset->n[fold];
    }
    *out = dataset;
    dataset = NULL;
    return WHIST_OK;
}
