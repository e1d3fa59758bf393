/* fed/protection.h: the protections of the library, and calls that fill in a class's defaults. */
#ifndef WH_FED_PROTECTION_H
#define WH_FED_PROTECTION_H

#include "base/status.h"
#include "fed/layout.h"

extern const whist_protection_class wh_protection_none;

static inline void wh_protection_free(whist_protection *machine)
{
    if (machine) machine->class_->free_(machine);
}

/* The class's function, or what NULL stands for. */
WH_MUST_CHECK whist_status wh_protect(whist_protection *machine, const wh_layout *layout, size_t k, uint64_t offset,
                                      const uint8_t *elements, size_t n, uint8_t *out);
WH_MUST_CHECK whist_status wh_combine(whist_protection *machine, const wh_layout *layout, size_t k, uint64_t offset,
                                      uint8_t *sum, const uint8_t *in, size_t n);
WH_MUST_CHECK whist_status wh_reveal(whist_protection *machine, const wh_layout *layout, size_t k, uint64_t offset,
                                     const uint8_t *sum, size_t n, uint8_t *elements);

/* The phase in which sites upload. */
size_t wh_upload_phase(const whist_protection_class *class_);

#endif
