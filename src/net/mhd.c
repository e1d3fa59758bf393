/* net/mhd.c: the two libraries by dlopen, under the names of their stable interfaces. They stay loaded. */
#include "net/mhd.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static wh_mhd table;
static bool loaded;
static char reason[256];

static void *find(void *library, const char *name)
{
    void *function = dlsym(library, name);
    if (!function && !reason[0]) snprintf(reason, sizeof reason, "%s is missing", name);
    return function;
}

static void load(void)
{
    void *mhd = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
    void *tls = mhd ? dlopen("libgnutls.so.30", RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!tls) {
        const char *text = dlerror();
        snprintf(reason, sizeof reason, "%s", text ? text : "cannot be loaded");
        return;
    }
#define LOAD_MHD(name) table.name = (__typeof__(table.name))find(mhd, #name);
#define LOAD_TLS(name) table.name = (__typeof__(table.name))find(tls, #name);
    WH_MHD_FUNCTIONS(LOAD_MHD)
    WH_GNUTLS_FUNCTIONS(LOAD_TLS)
    loaded = reason[0] == 0;
}

whist_status wh_mhd_get(const wh_mhd **out)
{
    pthread_once(&once, load);
    if (!loaded)
        WH_FAIL(WHIST_E_UNSUPPORTED, "a server needs libmicrohttpd (12) and GnuTLS (30): install libmicrohttpd12: %s",
                reason);
    *out = &table;
    return WHIST_OK;
}
