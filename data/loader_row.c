/* One row of a batch: which caption, which crop, which array. Each is keyed by (seed, epoch, sample). */
#include "base/rng.h"
#include "data/loader_private.h"

#include <stdio.h>
#include <string.h>

static lens_status load_caption(const loader_t *l, loader_slot_t *slot, int64_t row, bool *empty) {
    str_t *text = &slot->texts[row];
    rng_t r = rng_stream(l->options.seed, slot->batch.epoch[row], (uint64_t)slot->batch.sample[row], RNG_CAPTION);
    /* Both are drawn always: changing the rate of dropout must not change which kind the others get. */
    bool dropped = rng_uniform(&r) < l->options.caption_dropout;
    const char *kind = caption_mix_pick(&l->mix, &r);
    str_clear(text);
    str_reserve(text, 0); /* so that text->s is there for the empty caption */
    LENS_TRY(str_status(text));
    if (!dropped) LENS_TRY(dataset_caption(l->dataset, slot->batch.sample[row], kind, text));
    *empty = !dropped && text->len == 0;
    slot->batch.caption[row] = text->s;
    return LENS_OK;
}

static lens_status load_picture(const loader_t *l, loader_slot_t *slot, int64_t row, str_t *picture) {
    const loader_batch_t *b = &slot->batch;
    rng_t r = rng_stream(l->options.seed, b->epoch[row], (uint64_t)b->sample[row], RNG_CROP);
    double at_x = rng_uniform(&r), at_y = rng_uniform(&r);
    bool flipped = rng_uniform(&r) < 0.5;
    if (!l->options.random_crop) at_x = at_y = 0.5;

    image_t image = {.width = b->width, .height = b->height}; /* borrows the row */
    image.rgb = b->pixels + row * ((int64_t)b->width * b->height * 3);
    LENS_TRY(dataset_image(l->dataset, b->sample[row], picture));
    LENS_TRY(image_load_cover(image.rgb, b->width, b->height, at_x, at_y, l->options.resampling,
                              (const uint8_t *)picture->s, picture->len));
    if (l->options.flip && flipped) image_flip_horizontal(&image);
    return LENS_OK;
}

static void add_shape(str_t *out, const array_shape_t *s) {
    str_addf(out, "%s [", array_dtype_name(s->dtype));
    for (int i = 0; i < s->n_dims; i++) str_addf(out, "%s%lld", i ? ", " : "", (long long)s->dims[i]);
    str_add(out, "]");
}

static bool is_same_shape(const array_shape_t *a, const array_shape_t *b) {
    bool same = a->dtype == b->dtype && a->n_dims == b->n_dims;
    for (int i = 0; same && i < a->n_dims; i++) same = a->dims[i] == b->dims[i];
    return same;
}

static lens_status load_array(const loader_t *l, loader_slot_t *slot, int64_t row, int array) {
    const loader_array_t *a = &slot->batch.array[array];
    const char *kind = l->options.array[array];
    array_shape_t shape;
    LENS_TRY(dataset_array_shape(l->dataset, slot->batch.sample[row], kind, &shape));
    if (!is_same_shape(&shape, &a->shape)) {
        str_t message = {0};
        str_addf(&message, "%s: ", kind);
        add_shape(&message, &shape);
        str_addf(&message, ", expected as the others of bucket %dx%d: ", slot->batch.width, slot->batch.height);
        add_shape(&message, &a->shape);
        lens_status st = lens_fail(LENS_FORMAT, "%s", str_text(&message));
        str_free(&message);
        return st;
    }
    return dataset_array(l->dataset, slot->batch.sample[row], kind, a->values + (size_t)row * a->bytes, a->bytes);
}

static lens_status load_all(const loader_t *l, loader_slot_t *slot, int64_t row, loader_scratch_t *scratch,
                            bool *empty) {
    if (slot->batch.caption) LENS_TRY(load_caption(l, slot, row, empty));
    for (int a = 0; a < l->options.n_arrays; a++) LENS_TRY(load_array(l, slot, row, a));
    if (slot->batch.pixels) LENS_TRY(load_picture(l, slot, row, &scratch->picture));
    return LENS_OK;
}

lens_status loader_fill_row(const loader_t *l, loader_slot_t *slot, int64_t row, loader_scratch_t *scratch,
                            bool *empty) {
    *empty = false;
    lens_status st = load_all(l, slot, row, scratch, empty);
    if (st == LENS_OK) return LENS_OK;
    int64_t sample = slot->batch.sample[row];
    char cause[1024];
    snprintf(cause, sizeof cause, "%s", lens_error());
    bool has_key = dataset_key(l->dataset, sample, &scratch->key) == LENS_OK; /* may set a message of its own */
    return lens_fail(st, "step %lld: sample %lld (key %s) of %s: %s", (long long)slot->batch.step + 1,
                     (long long)sample, has_key ? str_text(&scratch->key) : "unreadable", dataset_dir(l->dataset),
                     cause);
}
