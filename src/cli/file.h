/* cli/file.h: small files of the program: configurations, certificates, results. */
#ifndef CLI_FILE_H
#define CLI_FILE_H

#include "cli/fail.h"

enum { CLI_PATH = 4096, CLI_FILE_MAX = 4 << 20 };

typedef struct cli_blob {
    char *data; /* ends with a 0 that len does not count */
    size_t len;
} cli_blob;
void cli_blob_clear(cli_blob *blob);
whist_bytes cli_view(const cli_blob *blob);

/* At most max bytes; errors name the path. */
int cli_read(cli_blob *out, const char *path, size_t max);

typedef enum cli_write_how {
    CLI_WRITE_NEW,     /* refuses where the file is there */
    CLI_WRITE_REPLACE, /* old or new content, never half of it */
} cli_write_how;
int cli_write(const char *path, const void *data, size_t len, unsigned mode, cli_write_how how);

/* printf into a path. */
int cli_path(char out[CLI_PATH], const char *format, ...) WHIST_PRINTF(2, 3);
/* The folder and its parents. */
int cli_make_dirs(const char *path, unsigned mode);
bool cli_exists(const char *path);
/* Removes a folder with all that is in it; follows no links. */
int cli_remove_tree(const char *path);
/* A fresh folder of our own below TMPDIR. */
int cli_temp_dir(char out[CLI_PATH], const char *prefix);
/* The path as seen from the root. */
int cli_absolute(char out[CLI_PATH], const char *path);
/* First line of a passphrase file; wiped by cli_passphrase_clear. path NULL or "": *out stays "". */
int cli_passphrase(char out[1024], const char *path);
void cli_passphrase_clear(char (*text)[1024]);

#endif
