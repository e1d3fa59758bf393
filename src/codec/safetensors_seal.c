/* codec/safetensors_seal.c: a file that says the SHA-256 of itself.
 *
 * The digest stands in the metadata and is that of the whole file with 64 zeros in its place, so names, places and
 * metadata are covered as values are. It guards against what disks and copies do, not against people: whoever changes
 * the file can seal it again. */
#include <string.h>

#include "base/file.h"
#include "codec/safetensors.h"
#include "crypt/hash.h"

#include <sys/stat.h>

enum { DIGITS = 64, PIECE = 1 << 16 };
static const char key[] = "\"" WH_SAFETENSORS_SEAL "\":\"";

/* Where the digits stand in the header. The quotes of a key cannot stand inside a text, where they are escaped; nor can
 * a tensor have this beginning, whose value is a map. */
static whist_status find_digits(size_t *out, const wh_buf *front, const char *name)
{
    for (size_t i = 8; i + sizeof key - 1 + DIGITS < front->len; i++)
        if (memcmp(front->data + i, key, sizeof key - 1) == 0 && front->data[i + sizeof key - 1 + DIGITS] == '"') {
            *out = i + sizeof key - 1;
            return WHIST_OK;
        }
    WH_FAIL(WHIST_E_FORMAT, "%s says no digest of itself", name);
}

static whist_status hash_rest(wh_sha256 *hash, int fd, uint64_t from, uint64_t end)
{
    WH_AUTO(wh_owned) piece = NULL;
    WH_TRY(wh_alloc_raw(&piece, PIECE, 1));
    for (uint64_t at = from; at < end; at += PIECE) {
        size_t len = end - at < PIECE ? (size_t)(end - at) : PIECE;
        WH_TRY(wh_read_at(fd, piece, len, at));
        wh_sha256_update(hash, piece, len);
    }
    return WHIST_OK;
}

/* Digest of the file, what stands in its place now, and where. */
static whist_status digest_of(wh_digest *out, char said[DIGITS + 1], size_t *at, int fd, const char *name)
{
    WH_AUTO(wh_safetensors) file = WH_SAFETENSORS_EMPTY;
    WH_AUTO(wh_buf) front = WH_BUF_EMPTY;
    uint8_t *bytes;
    wh_sha256 hash;
    WH_TRY(wh_safetensors_read_fd(&file, fd, name)); /* its sizes are those of the file */
    WH_TRY(wh_buf_grow(&front, &bytes, (size_t)file.data_offset));
    WH_TRY(wh_read_at(fd, bytes, (size_t)file.data_offset, 0));
    WH_TRY(find_digits(at, &front, name));
    memcpy(said, front.data + *at, DIGITS);
    said[DIGITS] = 0;
    memset(front.data + *at, '0', DIGITS);
    wh_sha256_init(&hash);
    wh_sha256_update(&hash, front.data, front.len);
    WH_TRY(hash_rest(&hash, fd, file.data_offset, file.file_size));
    wh_sha256_final(out, &hash);
    return WHIST_OK;
}

whist_status wh_safetensors_seal(int fd, const char *name)
{
    wh_digest digest;
    char said[DIGITS + 1], hex[DIGITS + 1];
    size_t at;
    WH_TRY(digest_of(&digest, said, &at, fd, name));
    wh_digest_hex(hex, &digest);
    return wh_write_at(fd, hex, DIGITS, at);
}

whist_status wh_safetensors_check_seal(int fd, const char *name)
{
    wh_digest digest;
    char said[DIGITS + 1], hex[DIGITS + 1];
    size_t at;
    WH_TRY(digest_of(&digest, said, &at, fd, name));
    wh_digest_hex(hex, &digest);
    if (strcmp(said, hex) != 0)
        WH_FAIL(WHIST_E_FORMAT, "%s is damaged: its SHA-256 is %.16s… and it says %.16s…", name, hex, said);
    return WHIST_OK;
}
