/* tests/fuzz/replay.c: runs a fuzz target without a fuzzer.
 *
 *   fuzz_<name> FOLDER    every seed in the folder as it is, cut short at every length, and with
 *                         single bytes changed; for two seconds at most
 *   fuzz_<name> FILE…     these inputs once each, to look at a finding
 *
 * The damage comes from a fixed generator, so a run repeats; when the target dies, the last line
 * says what it was given. Every input lies at the end of its own allocation, where
 * AddressSanitizer sees the first byte that is read past it. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_CUTS = 4096, CHANGES = 4096, MAX_SEED = 1 << 20, BUDGET_MS = 2000 };

static char current[512]; /* what the target is being given, for the last line */
static uint64_t n_inputs;

static void last_words(int signal_number)
{
    ssize_t ignored = write(STDERR_FILENO, current, strlen(current));
    (void)ignored;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_set_death_callback(void (*callback)(void));
static void last_words_of_sanitizer(void)
{
    ssize_t ignored = write(STDERR_FILENO, current, strlen(current));
    (void)ignored;
}
#endif

static void listen_for_death(void)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_set_death_callback(last_words_of_sanitizer);
    signal(SIGABRT, last_words);
#else
    static const int deadly[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], last_words);
#endif
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A copy of exactly `size` bytes; at + change where at < size. */
static void give(const uint8_t *data, size_t size, size_t at, uint8_t change)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    if (at < size) copy[at] = (uint8_t)(copy[at] ^ change);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    n_inputs++;
}

/* The bytes of a file; NULL when it cannot be read or is larger than MAX_SEED. */
static uint8_t *read_seed(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(MAX_SEED);
    if (!file || !data) {
        free(data);
        if (file) fclose(file);
        return NULL;
    }
    *size = fread(data, 1, MAX_SEED, file);
    bool whole = feof(file) && !ferror(file);
    fclose(file);
    if (whole) return data;
    free(data);
    return NULL;
}

static void replay_whole(const char *name, const uint8_t *data, size_t size)
{
    snprintf(current, sizeof current, "died on %s as it is (%zu bytes)\n", name, size);
    give(data, size, size, 0);
}

static void replay_damaged(const char *name, const uint8_t *data, size_t size, int64_t until)
{
    size_t step = size / MAX_CUTS + 1;
    for (size_t cut = 0; cut < size && now_ms() < until; cut += step) {
        snprintf(current, sizeof current, "died on the first %zu bytes of %s\n", cut, name);
        give(data, cut, cut, 0);
    }
    uint64_t state = 1;
    for (int i = 0; size && i < CHANGES && now_ms() < until; i++) {
        size_t at = (size_t)(draw(&state) % size);
        uint8_t change = (uint8_t)(draw(&state) % 255 + 1);
        snprintf(current, sizeof current, "died on %s with byte %zu ^ 0x%02x\n", name, at, change);
        give(data, size, at, change);
    }
}

static int is_seed(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* All seeds whole first, whatever the time; then the damage, each seed with its share of the time. */
static int replay_folder(const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_seed, alphasort);
    if (n <= 0) {
        fprintf(stderr, "%s holds no seed: add a few small inputs\n", folder);
        return 1;
    }
    int bad = 0;
    int64_t start = now_ms();
    snprintf(current, sizeof current, "died on the empty input\n");
    give(NULL, 0, 0, 0);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            char path[4096];
            size_t size = 0;
            snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
            uint8_t *data = read_seed(path, &size);
            if (!data) {
                bad = 1;
                fprintf(stderr, "%s cannot be read or is larger than %d bytes\n", path, MAX_SEED);
                continue;
            }
            if (pass == 0)
                replay_whole(entries[i]->d_name, data, size);
            else
                replay_damaged(entries[i]->d_name, data, size, start + (int64_t)BUDGET_MS * (i + 1) / n);
            free(data);
        }
    }
    for (int i = 0; i < n; i++) free(entries[i]);
    free(entries);
    printf("%d seeds, %llu inputs, %lld ms\n", n, (unsigned long long)n_inputs, (long long)(now_ms() - start));
    return bad;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER | FILE…\n", argv[0]);
        return 2;
    }
    listen_for_death();
    struct stat info;
    if (argc == 2 && stat(argv[1], &info) == 0 && S_ISDIR(info.st_mode)) return replay_folder(argv[1]);
    for (int i = 1; i < argc; i++) {
        size_t size = 0;
        uint8_t *data = read_seed(argv[i], &size);
        if (!data) {
            fprintf(stderr, "%s cannot be read\n", argv[i]);
            return 1;
        }
        replay_whole(argv[i], data, size);
        free(data);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
