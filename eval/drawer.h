/* A trained model, ready to draw from: what `lens sample` and `lens eval` share. One thread. */
#ifndef LENS_EVAL_DRAWER_H
#define LENS_EVAL_DRAWER_H

#include "data/image.h"
#include "model/generator.h"

enum { DRAWER_BATCH = 16 }; /* a good `batch`: more at once gains little */

typedef struct {
    const char *device; /* word of DEVICE_KINDS (kernels/device.h) */
    int64_t threads;    /* on the CPU; 0: all cores */
    bool raw;           /* the last weights, not their average */
    int64_t batch;      /* pictures drawn at once, at most; it decides what memory is taken */
} drawer_options_t;

typedef struct drawer drawer_t;

/* checkpoint: a folder that `lens train` wrote; its averaged weights where they are there and `raw` is not set. IO
 * where there is no such folder, FORMAT where it is an adapter or no model. */
LENS_CHECKED lens_status drawer_open(drawer_t **out, const char *checkpoint, const drawer_options_t *o);
void drawer_close(drawer_t *d); /* NULL is allowed */

int64_t drawer_width(const drawer_t *d); /* px */
int64_t drawer_height(const drawer_t *d);
const char *drawer_device(const drawer_t *d); /* what computes, in words; borrowed */
bool drawer_is_averaged(const drawer_t *d);   /* which weights it draws with */

/* Picture i shows prompts[i]; the same options draw the same pictures. pictures[n] are new, the caller's to free also
 * on failure. */
LENS_CHECKED lens_status drawer_draw(drawer_t *d, image_t *pictures, const char *const *prompts, int64_t n,
                                     const generator_options_t *how);

#endif
