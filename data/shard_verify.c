/* Checks of one shard file that need all of its bytes. */
#include <stdlib.h>
#include <xxhash.h>

#include "data/image.h"
#include "data/shard.h"
#include "data/text.h"

enum { TOLD_MAX = 100 };

typedef struct {
    str_t *lines;
    int64_t n;
} faults_t;

/* Notes this thread's message. MEMORY is no fault of the file: it is passed on. */
static lens_status note(faults_t *f, lens_status st) {
    if (st == LENS_OK || st == LENS_MEMORY) return st;
    if (f->n++ < TOLD_MAX) str_addf(f->lines, "%s\n", lens_error());
    return str_status(f->lines);
}

static lens_status check_json(const shard_t *s, const column_t *c, int64_t i, const str_t *text) {
    if (text_is_json_object(text->s, text->len)) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: dataset %s: sample %lld is no JSON object", s->path, c->name, (long long)i);
}

static lens_status check_picture(const shard_t *s, int64_t i, const str_t *picture) {
    int32_t width, height;
    if (!picture_mime(picture->s, picture->len))
        return lens_fail(LENS_FORMAT, "%s: picture of sample %lld is neither WebP nor JPEG", s->path, (long long)i);
    LENS_TRY(lens_context(image_probe(&width, &height, (const uint8_t *)picture->s, picture->len),
                          "%s: picture of sample %lld", s->path, (long long)i));
    if (width == s->width[i] && height == s->height[i]) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%s: picture of sample %lld has %d x %d px, recorded as %d x %d", s->path,
                     (long long)i, width, height, s->width[i], s->height[i]);
}

static lens_status check_sample(const shard_t *s, int64_t i, unsigned flags, chunk_cache_t *cache, str_t *text,
                                XXH3_state_t *content, faults_t *faults) {
    lens_status st = column_get(&s->text, i, cache, text);
    LENS_TRY(note(faults, st));
    st = column_get(&s->meta, i, cache, text);
    if (st == LENS_OK) st = check_json(s, &s->meta, i, text);
    LENS_TRY(note(faults, st));
    if (s->role != SEAL_BASE) return LENS_OK;
    st = column_get(&s->keys, i, cache, text);
    if (st == LENS_OK && (text->len == 0 || text_has_control(text->s, text->len)))
        st = lens_fail(LENS_FORMAT, "%s: the key of sample %lld is empty or has control characters", s->path,
                       (long long)i);
    LENS_TRY(note(faults, st));
    if (st == LENS_OK) XXH3_64bits_update(content, text->s, text->len + 1);
    XXH3_64bits_update(content, &s->image_hashes[i], sizeof s->image_hashes[i]);
    st = shard_image(s, i, text);
    if (st == LENS_OK && (flags & SHARD_VERIFY_PICTURES)) st = check_picture(s, i, text);
    return note(faults, st);
}

static lens_status check_samples(const shard_t *s, unsigned flags, chunk_cache_t *cache, faults_t *faults) {
    str_t text = {0};
    XXH3_state_t *content = XXH3_createState();
    if (!content) return lens_fail(LENS_MEMORY, "%s: out of memory", s->path);
    XXH3_64bits_reset(content);
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < s->n_samples && st == LENS_OK; i++)
        st = check_sample(s, i, flags, cache, &text, content, faults);
    uint64_t hash = XXH3_64bits_digest(content);
    if (st == LENS_OK && s->role == SEAL_BASE && hash != s->content_hash)
        st = note(faults, lens_fail(LENS_FORMAT, "%s: content hash %016llx, recorded as %016llx", s->path,
                                    (unsigned long long)hash, (unsigned long long)s->content_hash));
    XXH3_freeState(content);
    str_free(&text);
    return st;
}

static lens_status check_arrays(const shard_t *s, faults_t *faults) {
    const array_table_t *t = &s->arrays;
    size_t largest = 1;
    for (int64_t i = 0; i < t->n; i++)
        if (array_table_bytes(t, i) > largest) largest = array_table_bytes(t, i);
    void *values = malloc(largest);
    if (!values) return lens_fail(LENS_MEMORY, "%s: out of memory for an array of %zu bytes", s->path, largest);
    lens_status st = LENS_OK;
    for (uint64_t c = 0; c < t->n_chunks && st == LENS_OK; c++) st = note(faults, array_table_check_frame(t, c));
    for (int64_t i = 0; i < t->n && st == LENS_OK; i++) st = note(faults, array_table_read(t, i, values));
    free(values);
    return st;
}

lens_status shard_verify(const char *path, unsigned flags, str_t *lines, int64_t *n_faults) {
    faults_t faults = {.lines = lines};
    chunk_cache_t *cache = NULL;
    shard_t *s = NULL;
    lens_status st = note(&faults, shard_open(&s, path));
    if (st == LENS_OK && s) st = chunk_cache_new(&cache, 8);
    if (st == LENS_OK && s)
        st = s->role == SEAL_ARRAYS ? check_arrays(s, &faults) : check_samples(s, flags, cache, &faults);
    if (st == LENS_OK && faults.n > TOLD_MAX)
        str_addf(lines, "%s: %lld more faults\n", path, (long long)(faults.n - TOLD_MAX));
    chunk_cache_free(cache);
    shard_close(s);
    *n_faults = faults.n;
    return st == LENS_OK ? str_status(lines) : st;
}
