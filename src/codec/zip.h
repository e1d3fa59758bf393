/* codec/zip.h: entries of a zip archive in memory (PKWARE APPNOTE 6.3), stored or deflated.
 *
 * Read by its directory at the end. Refused: encryption, zip64, archives in parts, other compressions. Names are bytes
 * that nobody takes for a path: entries are found, never written out. */
#ifndef WH_CODEC_ZIP_H
#define WH_CODEC_ZIP_H

#include "base/buf.h"

typedef struct wh_zip {
    whist_bytes file;
    size_t directory, end; /* of its entries */
    size_t n;              /* entries */
    const char *name;      /* in error texts */
} wh_zip;

typedef struct wh_zip_entry {
    const char *name; /* len bytes in the file, not ended by a 0 */
    size_t len;
    size_t size;          /* unpacked */
    size_t packed, local; /* bytes, and where its local header lies */
    uint32_t crc, method;
} wh_zip_entry;

/* file outlives out. WHIST_E_FORMAT, WHIST_E_UNSUPPORTED. */
WH_MUST_CHECK whist_status wh_zip_open(wh_zip *out, whist_bytes file, const char *name);
/* *at: 0 for the first, moved on. WHIST_E_FORMAT where the directory is damaged; *at is unmoved behind the last. */
WH_MUST_CHECK whist_status wh_zip_next(wh_zip_entry *out, size_t *at, const wh_zip *zip);
/* WHIST_E_FORMAT where there is no such entry. */
WH_MUST_CHECK whist_status wh_zip_find(wh_zip_entry *out, const wh_zip *zip, const char *name);
/* Appends the content, at most max bytes, checked against its CRC. WHIST_E_FORMAT, WHIST_E_RANGE, WHIST_E_UNSUPPORTED;
 * out is then as before. */
WH_MUST_CHECK whist_status wh_zip_read(wh_buf *out, const wh_zip *zip, const wh_zip_entry *entry, size_t max);

#endif
