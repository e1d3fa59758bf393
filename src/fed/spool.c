/* fed/spool.c: uploads on their way into the sum.
 *
 * On disk an upload is DIR/spool/STEP-SITE.upload with its manifest in STEP-SITE.manifest; which
 * chunks are there is told by their digests, so no bookkeeping can disagree with the bytes. */
#include "fed/step.h"

#include "zq/fixed.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_MANIFEST_BYTES = 64 << 20,
    DIRECT_BYTES = 64 << 20, /* uploads from here on go past the page cache: many of them would empty it */
};

static void file_name(char out[64], const wh_step *step, size_t site, const char *suffix)
{
    snprintf(out, 64, "spool/%08llu-%zu.%s", (unsigned long long)step->row.step, site, suffix);
}

/* False where it was set before. */
static bool set_bit(wh_upload *upload, size_t i)
{
    uint8_t bit = (uint8_t)(1u << (i & 7));
    if (upload->have[i >> 3] & bit) return false;
    upload->have[i >> 3] |= bit;
    upload->n_have++;
    return true;
}

static whist_status copy_manifest(wh_manifest *out, const wh_manifest *in)
{
    WH_TRY(wh_manifest_init(out, in->bytes, in->chunk_bytes));
    memcpy(out->digests, in->digests, in->n_chunks * sizeof *in->digests);
    return WHIST_OK;
}

static whist_status store_manifest(wh_store *store, const char *name, const wh_manifest *manifest)
{
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    WH_TRY(wh_manifest_encode(&bytes, manifest));
    char *path = NULL;
    WH_TRY(wh_path(&path, wh_store_dir(store), "%s", name));
    whist_status status = wh_file_write(path, wh_buf_view(&bytes), 0600);
    wh_free(path);
    return status;
}

static whist_status open_on_disk(wh_upload *upload, wh_store *store, const wh_step *step, size_t site,
                                 const wh_manifest *manifest)
{
    char name[64], manifest_name[64];
    file_name(name, step, site, "upload");
    file_name(manifest_name, step, site, "manifest");
    WH_TRY(copy_manifest(&upload->manifest, manifest));
    WH_TRY(wh_alloc((void **)&upload->have, manifest->n_chunks / 8 + 1, 1));
    WH_TRY(wh_vecfile_create(&upload->file, store, name, upload->bytes));
    if (upload->bytes >= DIRECT_BYTES) wh_vecfile_go_direct(upload->file);
    return store_manifest(store, manifest_name, manifest);
}

whist_status wh_upload_open(wh_upload **out, wh_store *store, const wh_step *step, size_t site, uint64_t bytes,
                            const wh_manifest *manifest)
{
    if (bytes != step->layout.bytes)
        WH_FAIL(WHIST_E_FORMAT, "an upload of %llu bytes where this study has %llu", (unsigned long long)bytes,
                (unsigned long long)step->layout.bytes);
    wh_upload *upload;
    WH_TRY(WH_NEW(&upload, 1));
    upload->bytes = bytes;
    whist_status status = WHIST_OK;
    if (manifest && wh_store_dir(store))
        status = open_on_disk(upload, store, step, site, manifest);
    else {
        status = wh_alloc_raw((void **)&upload->memory, bytes, 1);
        if (status == WHIST_OK && manifest) status = copy_manifest(&upload->manifest, manifest);
        if (status == WHIST_OK && manifest) status = wh_alloc((void **)&upload->have, manifest->n_chunks / 8 + 1, 1);
    }
    if (status != WHIST_OK) {
        wh_upload_free(upload);
        return status;
    }
    *out = upload;
    return WHIST_OK;
}

/* Which chunks lie in the file already. */
static whist_status find_chunks(wh_upload *upload)
{
    uint8_t *chunk;
    WH_TRY(wh_alloc_raw((void **)&chunk, upload->manifest.chunk_bytes, 1));
    whist_status status = WHIST_OK;
    for (size_t i = 0; status == WHIST_OK && i < upload->manifest.n_chunks; i++) {
        size_t len = wh_manifest_chunk_len(&upload->manifest, i);
        status = wh_vecfile_read(upload->file, chunk, len, (uint64_t)i * upload->manifest.chunk_bytes);
        if (status == WHIST_OK && wh_manifest_check(&upload->manifest, i, (whist_bytes){chunk, len}) == WHIST_OK)
            (void)set_bit(upload, i);
    }
    wh_free(chunk);
    return status;
}

static whist_status read_manifest(wh_manifest *out, wh_store *store, const char *name, bool *found)
{
    char *path = NULL;
    WH_TRY(wh_path(&path, wh_store_dir(store), "%s", name));
    *found = wh_file_exists(path);
    WH_AUTO(wh_buf) bytes = WH_BUF_EMPTY;
    whist_status status = *found ? wh_file_read(&bytes, path, MAX_MANIFEST_BYTES) : WHIST_OK;
    if (*found && status == WHIST_OK) status = wh_manifest_decode(out, wh_buf_view(&bytes));
    wh_free(path);
    return status;
}

static whist_status reopen(wh_upload *upload, wh_store *store, const wh_step *step, size_t site, bool arrived)
{
    char name[64], manifest_name[64];
    bool found;
    file_name(name, step, site, "upload");
    file_name(manifest_name, step, site, "manifest");
    WH_TRY(read_manifest(&upload->manifest, store, manifest_name, &found));
    if (!found || !wh_vecfile_exists(store, name)) WH_FAIL(WHIST_E_FORMAT, "the spool lost %s", name);
    upload->bytes = upload->manifest.bytes;
    WH_TRY(wh_alloc((void **)&upload->have, upload->manifest.n_chunks / 8 + 1, 1));
    WH_TRY(wh_vecfile_open(&upload->file, store, name));
    if (upload->bytes >= DIRECT_BYTES) wh_vecfile_go_direct(upload->file);
    if (wh_vecfile_bytes(upload->file) != upload->bytes || upload->bytes != step->layout.bytes)
        WH_FAIL(WHIST_E_FORMAT, "%s has the wrong size", name);
    WH_TRY(find_chunks(upload));
    upload->complete = arrived;
    if (arrived && !wh_upload_is_full(upload)) WH_FAIL(WHIST_E_FORMAT, "%s is damaged: restore from a backup", name);
    return WHIST_OK;
}

whist_status wh_upload_reopen(wh_upload **out, wh_store *store, const wh_step *step, size_t site, bool arrived)
{
    *out = NULL;
    wh_upload *upload;
    WH_TRY(WH_NEW(&upload, 1));
    whist_status status = reopen(upload, store, step, site, arrived);
    if (status == WHIST_OK) {
        *out = upload;
        return WHIST_OK;
    }
    wh_upload_free(upload);
    /* Half-begun uploads are simply begun again; an arrived one is part of the record and must be whole. */
    return arrived ? status : WHIST_OK;
}

void wh_upload_free(wh_upload *upload)
{
    if (!upload) return;
    for (size_t k = 0; k < WH_COUNT(upload->windows); k++) wh_free(upload->windows[k].memory);
    wh_vecfile_close(upload->file);
    wh_manifest_clear(&upload->manifest);
    wh_free(upload->memory);
    wh_free(upload->have);
    wh_free(upload);
}

/* Whether all elements in a piece are whole and in range. */
static bool piece_in_range(const wh_step *step, uint64_t offset, whist_bytes piece)
{
    const wh_layout *layout = &step->layout;
    uint64_t end = offset + piece.len;
    for (size_t k = 0; k < layout->n_vectors; k++) {
        uint64_t width = layout->fixed[k].width, first = layout->start[k];
        uint64_t last = first + width * layout->vectors[k].length;
        uint64_t from = offset > first ? offset : first, to = end < last ? end : last;
        if (from >= to) continue;
        if ((from - first) % width || (to - first) % width) return false;
        if (wh_fixed_check(&layout->fixed[k], piece.data + (from - offset), (size_t)((to - from) / width)) != WHIST_OK)
            return false;
    }
    return true;
}

whist_status wh_upload_write(wh_upload *upload, const wh_step *step, uint64_t offset, whist_bytes piece, bool *in_range)
{
    *in_range = false;
    if (piece.len == 0 || offset > upload->bytes || piece.len > upload->bytes - offset)
        WH_FAIL(WHIST_E_FORMAT, "a piece outside the announced upload");
    if (upload->manifest.n_chunks) {
        if (offset % upload->manifest.chunk_bytes) WH_FAIL(WHIST_E_FORMAT, "a piece that is no chunk of the upload");
        WH_TRY(wh_manifest_check(&upload->manifest, offset / upload->manifest.chunk_bytes, piece));
    }
    *in_range = step->machine->class_->shows_updates && piece_in_range(step, offset, piece);
    if (!upload->file) {
        memcpy(upload->memory + offset, piece.data, piece.len);
        return WHIST_OK;
    }
    return wh_vecfile_write(upload->file, piece.data, piece.len, offset);
}

void wh_upload_note(wh_upload *upload, uint64_t offset, size_t len, bool in_range)
{
    bool first = true;
    if (upload->manifest.n_chunks)
        first = set_bit(upload, offset / upload->manifest.chunk_bytes);
    else
        upload->received += len; /* the direct link puts every byte once, in order */
    if (first && in_range) upload->checked += len;
}

bool wh_upload_is_full(const wh_upload *upload)
{
    return upload->manifest.n_chunks ? upload->n_have == upload->manifest.n_chunks : upload->received == upload->bytes;
}

whist_status wh_upload_read(const wh_upload *upload, uint64_t offset, size_t len, uint8_t *scratch, const uint8_t **out)
{
    if (upload->memory) {
        *out = upload->memory + offset;
        return WHIST_OK;
    }
    *out = scratch;
    return wh_vecfile_read(upload->file, scratch, len, offset);
}

/* Fills the window from the page of `offset` on. False where the file is not read this way. */
static bool look_ahead(wh_upload_window *window, const wh_vecfile *file, uint64_t offset, size_t ahead)
{
    enum { PAGE = 4096 };
    size_t room = ahead / PAGE * PAGE;
    if (window->room != room) {
        wh_free(window->memory);
        *window = (wh_upload_window){0};
        if (!room || wh_alloc_raw(&window->memory, room + PAGE, 1) != WHIST_OK) return false;
        window->bytes = (uint8_t *)window->memory + (PAGE - (uintptr_t)window->memory % PAGE) % PAGE;
        window->room = room;
    }
    window->at = offset / PAGE * PAGE;
    window->len = 0;
    return wh_vecfile_read_pages(file, window->bytes, room, window->at, &window->len);
}

static bool holds(const wh_upload_window *window, uint64_t offset, size_t len)
{
    return offset >= window->at && offset - window->at <= window->len && len <= window->len - (offset - window->at);
}

whist_status wh_upload_walk(wh_upload *upload, size_t k, uint64_t offset, size_t len, size_t ahead, uint8_t *scratch,
                            const uint8_t **out)
{
    wh_upload_window *window = &upload->windows[k];
    bool direct = !upload->memory && upload->bytes >= DIRECT_BYTES && ahead >= 2 * len;
    if (direct && !holds(window, offset, len)) direct = look_ahead(window, upload->file, offset, ahead);
    if (!direct || !holds(window, offset, len)) return wh_upload_read(upload, offset, len, scratch, out);
    memcpy(scratch, window->bytes + (offset - window->at), len);
    *out = scratch;
    return WHIST_OK;
}

static whist_status check_block(const wh_upload *upload, const wh_step *step, size_t k, uint64_t j, uint8_t *scratch)
{
    size_t n = wh_layout_block_length(&step->layout, k, j);
    size_t len = wh_protected_size(step->machine, &step->layout, k, n);
    const uint8_t *bytes;
    WH_TRY(wh_upload_read(upload, wh_layout_block_start(&step->layout, k, j), len, scratch, &bytes));
    return wh_fixed_check(&step->layout.fixed[k], bytes, n);
}

/* Counts and weights of one site: a negative one would take away from those of others. */
static whist_status check_sums(const wh_sums *sums, const whist_fed_plan *plan)
{
    bool good = sums->rows >= 0 && sums->rows_steps >= 0;
    for (size_t k = 0; k < WHIST_MAX_VECTORS; k++) good = good && sums->weight[k] >= 0;
    for (size_t f = 0; f < 2; f++)
        for (size_t m = 0; m < plan->n_metrics; m++) good = good && sums->metrics[f][m].n >= 0;
    if (!good) WH_FAIL(WHIST_E_RANGE, "the upload counts rows or weights below 0");
    return WHIST_OK;
}

static whist_status check_blocks(const wh_upload *upload, const wh_step *step, uint8_t *scratch)
{
    for (size_t k = 0; k < step->layout.n_vectors; k++)
        for (uint64_t j = 0; j < wh_layout_blocks(&step->layout, k); j++)
            WH_TRY(check_block(upload, step, k, j, scratch));
    return WHIST_OK;
}

static whist_status read_sums(wh_upload *upload, const wh_step *step, const whist_fed_plan *plan, uint8_t *scratch)
{
    double values[WH_MAX_SUMS];
    const uint8_t *bytes;
    size_t last = step->layout.n_vectors - 1, n = wh_sums_count(plan, step->row.purpose);
    WH_TRY(wh_upload_read(upload, step->layout.start[last], 8 * n, scratch, &bytes));
    wh_sums_decode(values, bytes, n);
    wh_sums_unpack(&upload->sums, values, plan);
    return check_sums(&upload->sums, plan);
}

whist_status wh_upload_check(wh_upload *upload, const wh_step *step, const whist_fed_plan *plan)
{
    uint8_t *scratch = NULL;
    if (!upload->memory) WH_TRY(wh_alloc_raw((void **)&scratch, WH_BLOCK, 8));
    /* What was in range as it came in need not be read again. */
    bool known = upload->checked == upload->bytes;
    whist_status status = known ? WHIST_OK : check_blocks(upload, step, scratch);
    if (status == WHIST_OK && step->row.purpose != WHIST_PURPOSE_MOMENTS)
        status = read_sums(upload, step, plan, scratch);
    wh_free(scratch);
    return status;
}

whist_status wh_step_add(wh_step *step, wh_upload *upload)
{
    if (!step->sum) { /* the first one is the sum */
        step->sum = upload->memory;
        upload->memory = NULL;
        return WHIST_OK;
    }
    for (size_t k = 0; k < step->layout.n_vectors; k++)
        for (uint64_t j = 0; j < wh_layout_blocks(&step->layout, k); j++) {
            uint64_t at = wh_layout_block_start(&step->layout, k, j);
            WH_TRY(wh_combine(step->machine, &step->layout, k, j * WH_BLOCK, step->sum + at, upload->memory + at,
                              wh_layout_block_length(&step->layout, k, j)));
        }
    wh_free(upload->memory);
    upload->memory = NULL;
    return WHIST_OK;
}
