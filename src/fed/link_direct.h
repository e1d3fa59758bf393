/* fed/link_direct.h: a link that calls the coordinator's machine in the same process. */
#ifndef WH_FED_LINK_DIRECT_H
#define WH_FED_LINK_DIRECT_H

#include "fed/coordinator.h"

typedef struct wh_link_direct {
    wh_link link; /* first: a wh_link * is a wh_link_direct * */
    wh_coordinator *coordinator;
    size_t actor;
} wh_link_direct;

/* A plain value: nothing to end. */
void wh_link_direct_init(wh_link_direct *out, wh_coordinator *coordinator, size_t actor);

#endif
