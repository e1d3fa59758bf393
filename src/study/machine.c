/* study/machine.c: what a measurement has to name, and the benches of all rooms in one list. */
#include "codec/bench.h"
#include "crypt/crypt_bench.h"
#include "data/bench.h"
#include "dp/bench.h"
#include "draw/bench.h"
#include "fed/fed_bench.h"
#include "fed/private_bench.h"
#include "fed/store_bench.h"
#include "learn/bench.h"
#include "meta/bench.h"
#include "net/net_bench.h"
#include "nn/bench.h"
#include "num/bench.h"
#include "run/upload_bench.h"
#include "zq/bench.h"

#include <whist/nn.h>
#include <whist/study.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BENCHES = 256 };

static const whist_bench *const rooms[] = {
    wh_crypt_benches, wh_zq_benches,  wh_num_benches,   wh_nn_benches,      wh_nn_graph_benches, wh_nn_conv_benches,
    wh_codec_benches, wh_net_benches, wh_store_benches, wh_fed_benches,     wh_run_benches,      wh_learn_benches,
    wh_draw_benches,  wh_dp_benches,  wh_meta_benches,  wh_private_benches, wh_data_benches,
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const whist_bench *benches[MAX_BENCHES + 1]; /* filled once, then read only */
static char machine[160];

/* "Intel(R) Xeon(R) …, 2 cores" */
static void name_machine(void)
{
    char line[256], model[128] = "unknown processor";
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        (void)snprintf(model, sizeof model, "%.120s", colon + 1 + strspn(colon + 1, " "));
        model[strcspn(model, "\n")] = 0;
        break;
    }
    if (file) (void)fclose(file);
    (void)snprintf(machine, sizeof machine, "%s, %ld cores", model, sysconf(_SC_NPROCESSORS_ONLN));
}

static void fill(void)
{
    size_t n = 0;
    for (size_t r = 0; r < WH_COUNT(rooms); r++)
        for (const whist_bench *bench = rooms[r]; bench->name && n < MAX_BENCHES; bench++) benches[n++] = bench;
    name_machine();
}

const whist_bench *const *whist_benches(void)
{
    (void)pthread_once(&once, fill);
    return benches;
}

const char *whist_machine(void)
{
    (void)pthread_once(&once, fill);
    return machine;
}

const char *whist_kernels(void)
{
    return whist_model_kernels();
}
