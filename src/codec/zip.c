/* codec/zip.c: entries of a zip archive.
 *
 *     local header, content | … | directory: one record an entry | end: number of entries, where the directory lies
 */
#include "codec/zip.h"

#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

enum { LOCAL = 30, RECORD = 46, END = 22, COMMENT = 65535 };

static uint32_t u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) | u16(p + 2) << 16;
}

/* ---- The directory -------------------------------------------------------------------------------------- */

/* The last end record: only a comment may follow. */
static const uint8_t *find_end(whist_bytes file)
{
    for (size_t back = END; back <= file.len && back <= END + COMMENT; back++) {
        const uint8_t *p = file.data + file.len - back;
        if (u32(p) == 0x06054b50 && u16(p + 20) == back - END) return p;
    }
    return NULL;
}

whist_status wh_zip_open(wh_zip *out, whist_bytes file, const char *name)
{
    const uint8_t *end = file.len >= END ? find_end(file) : NULL;
    if (!end) WH_FAIL(WHIST_E_FORMAT, "%s is no zip archive, or cut short", name);
    size_t at = (size_t)(end - file.data), size = u32(end + 12), from = u32(end + 16);
    if (u16(end + 4) || u16(end + 6)) WH_FAIL(WHIST_E_UNSUPPORTED, "%s is one part of an archive", name);
    if (u16(end + 8) != u16(end + 10) || u16(end + 10) == 0xffff || from == 0xffffffff)
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s is a zip64 archive", name);
    if (from > at || size > at - from) WH_FAIL(WHIST_E_FORMAT, "%s: the directory lies beyond the file", name);
    *out = (wh_zip){.file = file, .directory = from, .end = from + size, .n = u16(end + 10), .name = name};
    return WHIST_OK;
}

whist_status wh_zip_next(wh_zip_entry *out, size_t *at, const wh_zip *zip)
{
    size_t from = *at ? *at : zip->directory;
    if (from >= zip->end) return WHIST_OK;
    const uint8_t *p = zip->file.data + from;
    size_t left = zip->end - from;
    if (left < RECORD || u32(p) != 0x02014b50) WH_FAIL(WHIST_E_FORMAT, "%s: the directory is damaged", zip->name);
    size_t len = u16(p + 28), whole = RECORD + len + u16(p + 30) + u16(p + 32);
    if (whole > left) WH_FAIL(WHIST_E_FORMAT, "%s: the directory is damaged", zip->name);
    if (u16(p + 8) & 1) WH_FAIL(WHIST_E_UNSUPPORTED, "%s is encrypted", zip->name);
    *out = (wh_zip_entry){.name = (const char *)p + RECORD,
                          .len = len,
                          .size = u32(p + 24),
                          .packed = u32(p + 20),
                          .local = u32(p + 42),
                          .crc = u32(p + 16),
                          .method = u16(p + 10)};
    *at = from + whole;
    return WHIST_OK;
}

whist_status wh_zip_find(wh_zip_entry *out, const wh_zip *zip, const char *name)
{
    size_t len = strlen(name), at = 0, before;
    for (;;) {
        wh_zip_entry entry;
        before = at;
        WH_TRY(wh_zip_next(&entry, &at, zip));
        if (at == before) WH_FAIL(WHIST_E_FORMAT, "%s holds no %s", zip->name, name);
        if (entry.len != len || memcmp(entry.name, name, len) != 0) continue;
        *out = entry;
        return WHIST_OK;
    }
}

/* ---- Contents ----------------------------------------------------------------------------------------------- */

static whist_status inflate_entry(uint8_t *to, const uint8_t *from, const wh_zip_entry *entry, const wh_zip *zip)
{
    z_stream z = {.next_in = from, .avail_in = (uInt)entry->packed, .next_out = to, .avail_out = (uInt)entry->size};
    if (inflateInit2(&z, -15) != Z_OK) WH_FAIL(WHIST_E_NOMEM, "no memory to decompress %s", zip->name);
    int code = inflate(&z, Z_FINISH);
    bool whole = code == Z_STREAM_END && z.avail_out == 0 && z.avail_in == 0;
    inflateEnd(&z);
    if (!whole) WH_FAIL(WHIST_E_FORMAT, "%s: an entry is damaged", zip->name);
    return WHIST_OK;
}

static whist_status unpack(uint8_t *to, const wh_zip *zip, const wh_zip_entry *entry)
{
    const whist_bytes file = zip->file;
    if (entry->local > zip->directory || zip->directory - entry->local < LOCAL)
        WH_FAIL(WHIST_E_FORMAT, "%s: an entry lies beyond the file", zip->name);
    const uint8_t *p = file.data + entry->local;
    size_t skip = LOCAL + u16(p + 26) + u16(p + 28), left = zip->directory - entry->local;
    if (u32(p) != 0x04034b50 || skip > left || entry->packed > left - skip)
        WH_FAIL(WHIST_E_FORMAT, "%s: an entry lies beyond the file", zip->name);
    if (entry->method == 8) {
        WH_TRY(inflate_entry(to, p + skip, entry, zip));
    } else if (entry->method == 0 && entry->packed == entry->size) {
        memcpy(to, p + skip, entry->size);
    } else {
        WH_FAIL(WHIST_E_UNSUPPORTED, "%s: an entry is compressed by a method that is not read here (%u)", zip->name,
                entry->method);
    }
    if (crc32(0, to, (uInt)entry->size) != entry->crc)
        WH_FAIL(WHIST_E_FORMAT, "%s: an entry is damaged (CRC)", zip->name);
    return WHIST_OK;
}

whist_status wh_zip_read(wh_buf *out, const wh_zip *zip, const wh_zip_entry *entry, size_t max)
{
    size_t before = out->len;
    uint8_t *to;
    if (entry->size > max || entry->packed > UINT32_MAX - 1)
        WH_FAIL(WHIST_E_RANGE, "%s: an entry holds more than the allowed %zu bytes", zip->name, max);
    if (entry->size == 0) return WHIST_OK;
    WH_TRY(wh_buf_grow(out, &to, entry->size));
    whist_status status = unpack(to, zip, entry);
    if (status != WHIST_OK) out->len = before;
    return status;
}
