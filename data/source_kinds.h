/* What the kinds of sources share. Private to source*.c. */
#ifndef LENS_DATA_SOURCE_KINDS_H
#define LENS_DATA_SOURCE_KINDS_H

#include "data/source.h"

struct source {
    lens_status (*next)(source_t *s, raw_sample_t *out);
    void (*close)(source_t *s);
};

LENS_CHECKED lens_status source_dir_open(source_t **out, const char *path);
LENS_CHECKED lens_status source_tar_open(source_t **out, const char *path);

/* LENS_MEMORY where a text of the sample could not be held. */
LENS_CHECKED lens_status raw_sample_status(const raw_sample_t *s);

/* Whether the name (or an extension alone) ends like a picture's, of whatever format. */
bool source_name_is_picture(const char *name);

typedef struct {
    bool has_txt, has_json;
    str_t txt, json; /* as read */
} sidecar_t;

void sidecar_clear(sidecar_t *s);
void sidecar_free(sidecar_t *s);
/* Fills alt and meta, or rejects. */
void sidecar_apply(const sidecar_t *s, raw_sample_t *out);

/* Appends what a file's name says: separators and camelCase become spaces, a counter at the end is dropped
 * ("red_car_007" is "red car", "boeing-747" stays). Nothing where no letter is left. name: n bytes without folder and
 * extension. */
void source_text_from_name(str_t *out, const char *name, size_t n);

#endif
