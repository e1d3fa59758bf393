/* fed/protection_none.c: no protection. The coordinator reads single updates; the round is the same. */
#include "fed/protection.h"

#include "base/mem.h"
#include "zq/fixed.h"

#include <string.h>

static whist_status new_none(whist_protection **out, const whist_protection_env *env)
{
    (void)env;
    whist_protection *self;
    WH_TRY(WH_NEW(&self, 1));
    self->class_ = &wh_protection_none;
    *out = self;
    return WHIST_OK;
}

static void free_none(whist_protection *self)
{
    wh_free(self);
}

static const whist_phase phases[] = {{.name = "upload", .sites = true, .upload = true}};

const whist_protection_class wh_protection_none = {
    .name = "none",
    .doc = "updates travel over TLS and the coordinator can read each of them",
    .shows_updates = true,
    .phases = phases,
    .n_phases = 1,
    .new_ = new_none,
    .free_ = free_none,
};

const whist_protection_class *const *whist_protection_classes(void)
{
    static const whist_protection_class *const classes[] = {&wh_protection_none, NULL};
    return classes;
}

whist_status wh_protect(whist_protection *machine, const wh_layout *layout, size_t k, uint64_t offset,
                        const uint8_t *elements, size_t n, uint8_t *out)
{
    if (machine->class_->protect) return machine->class_->protect(machine, k, offset, elements, n, out);
    memcpy(out, elements, n * layout->fixed[k].width);
    return WHIST_OK;
}

whist_status wh_combine(whist_protection *machine, const wh_layout *layout, size_t k, uint64_t offset, uint8_t *sum,
                        const uint8_t *in, size_t n)
{
    if (machine->class_->combine) return machine->class_->combine(machine, k, offset, sum, in, n);
    wh_fixed_add(sum, &layout->fixed[k], in, n);
    return WHIST_OK;
}

whist_status wh_reveal(whist_protection *machine, const wh_layout *layout, size_t k, uint64_t offset,
                       const uint8_t *sum, size_t n, uint8_t *elements)
{
    if (machine->class_->open) return machine->class_->open(machine, k, offset, sum, n, elements);
    memcpy(elements, sum, n * layout->fixed[k].width);
    return WHIST_OK;
}

size_t wh_upload_phase(const whist_protection_class *class_)
{
    size_t phase = 0;
    while (phase + 1 < class_->n_phases && !class_->phases[phase].upload) phase++;
    return phase;
}
