#include "recaption/review.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/file.h"
#include "base/rng.h"
#include "data/shard.h"
#include "recaption/captioner.h"
#include "recaption/decision_list.h"
#include "recaption/picture_uri.h"
#include "recaption/quality.h"

__asm__(".section .rodata\nreview_page_begin:\n.incbin \"" LENS_REVIEW_PAGE "\"\n.byte 0\n.previous\n");
extern const char review_page_begin[] __attribute__((visibility("hidden")));

/* Where the texts go, and where the pictures, which a page can wait for. */
static const char data_mark[] = "<!-- data -->", pictures_mark[] = "<!-- pictures -->";

typedef struct {
    int64_t sample; /* of the set */
    int kind;
    uint64_t stratum;
    uint64_t order; /* first its place in the draw, then in its stratum */
} item_t;

typedef struct {
    const dataset_t *dataset;
    const review_options_t *o;
    item_t *items; /* [n] */
    int64_t n, cap;
    shard_t *layers[CAPTION_MAX_KINDS]; /* of the shard in work; NULL: it has none */
    FILE *file;
    str_t json, text, meta, key; /* json: of the items so far */
    int64_t n_pictures;
    XXH64_hash_t id; /* of all that is shown */
} review_t;

/* ---- layers ---- */

static void close_layers(review_t *r) {
    for (int k = 0; k < r->o->n_kinds; k++) {
        shard_close(r->layers[k]);
        r->layers[k] = NULL;
    }
}

static lens_status open_layer(review_t *r, int64_t shard, int kind, bool known) {
    const char *name = dataset_shard_name(r->dataset, shard);
    str_clear(&r->text);
    str_addf(&r->text, "%s/%s/%s.h5", r->o->dir, r->o->kinds[kind], name);
    LENS_TRY(str_status(&r->text));
    LENS_TRY(known ? shard_reopen(&r->layers[kind], r->text.s) : shard_open(&r->layers[kind], r->text.s));
    return shard_check_fit(r->layers[kind], r->o->kinds[kind], name, dataset_shard_n_samples(r->dataset, shard),
                           dataset_shard_hash(r->dataset, shard));
}

/* known: their structure was checked before. */
static lens_status open_layers(review_t *r, int64_t shard, bool known) {
    close_layers(r);
    for (int k = 0; k < r->o->n_kinds; k++)
        if (layer_shard_exists(r->dataset, shard, r->o->dir, r->o->kinds[k])) LENS_TRY(open_layer(r, shard, k, known));
    return LENS_OK;
}

/* The caption and its metadata into r->text and r->meta; *record is owned by the caller. */
static lens_status read_caption(review_t *r, int kind, int64_t within, json_t **record) {
    const shard_t *layer = r->layers[kind];
    *record = NULL;
    LENS_TRY(column_get(&layer->text, within, NULL, &r->text));
    LENS_TRY(column_get(&layer->meta, within, NULL, &r->meta));
    *record = json_loads(r->meta.len ? r->meta.s : "{}", 0, NULL);
    if (json_is_object(*record)) return LENS_OK;
    json_decref(*record);
    *record = NULL;
    return lens_fail(LENS_FORMAT, "%s: sample %" PRId64 ": the metadata is no JSON object", layer->path, within);
}

/* ---- the draw ---- */

static lens_status add_item(review_t *r, const item_t *item) {
    if (r->n == r->cap) {
        const int64_t cap = r->cap ? r->cap * 2 : 4096;
        item_t *items = realloc(r->items, (size_t)cap * sizeof *items);
        if (!items) return lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " captions", cap);
        r->items = items;
        r->cap = cap;
    }
    r->items[r->n++] = *item;
    return LENS_OK;
}

static lens_status add_caption(review_t *r, int64_t sample, int kind, int64_t within) {
    json_t *record;
    LENS_TRY(read_caption(r, kind, within, &record));
    const char *reason = json_string_value(json_object_get(record, "reason"));
    if (!reason) reason = "";
    XXH64_hash_t stratum = r->o->by_reason ? XXH64(reason, strlen(reason), 0) : 0;
    if (r->o->by_kind) stratum = XXH64(&kind, sizeof kind, stratum);
    json_decref(record);
    if (r->o->rejected && r->text.len) return LENS_OK;
    return add_item(r, &(item_t){.sample = sample, .kind = kind, .stratum = stratum});
}

static lens_status gather(review_t *r) {
    for (int64_t s = 0; s < dataset_n_shards(r->dataset); s++) {
        LENS_TRY(open_layers(r, s, false));
        for (int64_t i = 0; i < dataset_shard_n_samples(r->dataset, s); i++)
            for (int k = 0; k < r->o->n_kinds; k++)
                if (r->layers[k]) LENS_TRY(add_caption(r, dataset_shard_begin(r->dataset, s) + i, k, i));
    }
    if (r->n > 0) return LENS_OK;
    return lens_fail(LENS_STATE, "%s: no %scaptions to review; lens recaption makes them", r->o->dir,
                     r->o->rejected ? "rejected " : "");
}

static int by_stratum(const void *a, const void *b) {
    const item_t *x = a, *y = b;
    if (x->stratum != y->stratum) return x->stratum < y->stratum ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b) {
    const item_t *x = a, *y = b;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return (x->stratum > y->stratum) - (x->stratum < y->stratum);
}

static int by_place(const void *a, const void *b) {
    const item_t *x = a, *y = b;
    if (x->sample != y->sample) return x->sample < y->sample ? -1 : 1;
    return (x->kind > y->kind) - (x->kind < y->kind);
}

/* The first of every stratum, then the second of every stratum, and so on; those chosen in the order of the set, so
 * that the kinds of a picture follow one another. */
static void draw(review_t *r) {
    for (int64_t i = 0; i < r->n; i++) r->items[i].order = rng_permute(r->o->seed, 0, (uint64_t)r->n, (uint64_t)i);
    qsort(r->items, (size_t)r->n, sizeof *r->items, by_stratum);
    for (int64_t i = 0; i < r->n; i++) {
        const bool first = i == 0 || r->items[i].stratum != r->items[i - 1].stratum;
        r->items[i].order = first ? 0 : r->items[i - 1].order + 1;
    }
    qsort(r->items, (size_t)r->n, sizeof *r->items, by_order);
    if (r->n > r->o->n) r->n = r->o->n;
    qsort(r->items, (size_t)r->n, sizeof *r->items, by_place);
}

/* ---- the page ---- */

static void add_member(str_t *json, const char *name, const char *text) {
    str_addf(json, ",\"%s\":", name);
    str_add_json(json, text, strlen(text));
}

static void add_record(str_t *json, const json_t *record) {
    static const char *const texts[] = {"reason", "raw", "message", "by"};
    static const char *const numbers[] = {"value", "attempts"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = json_string_value(json_object_get(record, texts[i]));
        if (text) add_member(json, texts[i], text);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const json_t *v = json_object_get(record, numbers[i]);
        if (json_is_number(v)) str_addf(json, ",\"%s\":%.9g", numbers[i], json_number_value(v));
    }
}

static void write_text(review_t *r, const char *text, size_t n) {
    fwrite(text, 1, n, r->file); /* an error is found by the commit */
}

/* A picture in an element of its own, which the page reads when it is shown. */
static lens_status write_picture(review_t *r, int64_t sample, int64_t number) {
    str_t picture = {0}, uri = {0};
    int32_t width, height;
    const picture_uri_options_t how = {.longest_px = REVIEW_PICTURE_PX, .format = IMAGE_UNKNOWN};
    lens_status st;
    LENS_GO(dataset_image(r->dataset, sample, &picture));
    LENS_GO(picture_uri(&uri, &width, &height, &picture, &how));
    fprintf(r->file, "<script type=\"text/plain\" id=\"picture-%" PRId64 "\">", number);
    write_text(r, uri.s, uri.len);
    fputs("</script>\n", r->file);
done:
    str_free(&picture);
    str_free(&uri);
    return lens_context(st, "sample %" PRId64, sample);
}

static lens_status add_json(review_t *r, const item_t *item, int64_t shard) {
    const int64_t within = item->sample - dataset_shard_begin(r->dataset, shard);
    const size_t begin = r->json.len;
    json_t *record;
    LENS_TRY(read_caption(r, item->kind, within, &record));
    const char *raw = json_string_value(json_object_get(record, "raw"));
    str_addf(&r->json, "%s{\"picture\":%" PRId64 ",\"of\":\"%016" PRIx64 "\"", begin ? ",\n" : "", r->n_pictures - 1,
             decision_hash(r->text.len ? str_text(&r->text)
                           : raw       ? raw
                                       : ""));
    add_member(&r->json, "sample", str_text(&r->key));
    add_member(&r->json, "shard", dataset_shard_name(r->dataset, shard));
    add_member(&r->json, "kind", r->o->kinds[item->kind]);
    add_member(&r->json, "text", str_text(&r->text));
    add_record(&r->json, record);
    json_decref(record);
    LENS_TRY(dataset_caption(r->dataset, item->sample, "alt", &r->text));
    add_member(&r->json, "alt", str_text(&r->text));
    str_add_char(&r->json, '}');
    LENS_TRY(str_status(&r->json));
    r->id = XXH64(r->json.s + begin, r->json.len - begin, r->id);
    return LENS_OK;
}

static bool has_new_picture(const review_t *r, int64_t i) {
    return i == 0 || r->items[i].sample != r->items[i - 1].sample;
}

static lens_status gather_items(review_t *r) {
    int64_t shard = -1, end = 0;
    for (int64_t i = 0; i < r->n; i++) {
        const item_t *item = &r->items[i];
        const int64_t before = shard;
        for (; item->sample >= end;
             end = dataset_shard_begin(r->dataset, shard) + dataset_shard_n_samples(r->dataset, shard))
            shard++;
        if (shard != before) LENS_TRY(open_layers(r, shard, true));
        if (has_new_picture(r, i)) {
            LENS_TRY(dataset_key(r->dataset, item->sample, &r->key));
            r->n_pictures++;
        }
        LENS_TRY(add_json(r, item, shard));
    }
    return LENS_OK;
}

static lens_status write_pictures(review_t *r) {
    int64_t number = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (has_new_picture(r, i)) LENS_TRY(write_picture(r, r->items[i].sample, number++));
    return LENS_OK;
}

/* JSON for an HTML script element: in JSON `<` stands in strings alone, where its escape means the same. */
static void write_json(review_t *r, const str_t *json) {
    const char *at = json->s, *end = json->s + json->len;
    while (at < end) {
        const char *stop = memchr(at, '<', (size_t)(end - at));
        write_text(r, at, (size_t)((stop ? stop : end) - at));
        if (!stop) return;
        fputs("\\u003c", r->file);
        at = stop + 1;
    }
}

static lens_status write_data(review_t *r, int64_t n_captions) {
    str_t head = {0};
    str_addf(&head, "{\"id\":\"%016" PRIx64 "\",\"captions\":%" PRId64 ",\"stratified\":%s,\"seed\":%" PRIu64, r->id,
             n_captions, r->o->by_kind || r->o->by_reason ? "true" : "false", r->o->seed);
    add_member(&head, "set", dataset_dir(r->dataset));
    str_add(&head, ",\"meanings\":{");
    for (int i = QUALITY_ACCEPTED + 1; i < QUALITY_N; i++) {
        str_addf(&head, "%s\"%s\":", i > QUALITY_ACCEPTED + 1 ? "," : "", quality_name((quality_reason)i));
        str_add_json(&head, quality_meaning((quality_reason)i), strlen(quality_meaning((quality_reason)i)));
    }
    str_add(&head, "},\"items\":[\n");
    lens_status st = str_status(&head);
    if (st == LENS_OK) {
        fputs("<script type=\"application/json\" id=\"data\">", r->file);
        write_json(r, &head);
        write_json(r, &r->json);
        fputs("]}</script>\n", r->file);
    }
    str_free(&head);
    return st;
}

/* The template up to the mark; what follows it. */
static const char *write_until(review_t *r, const char *page, const char *mark) {
    const char *at = strstr(page, mark);
    LENS_ASSERT(at != NULL, "review.html has no %s", mark);
    write_text(r, page, (size_t)(at - page));
    return at + strlen(mark);
}

static lens_status write_page(review_t *r, int64_t n_captions) {
    const char *rest = write_until(r, review_page_begin, data_mark);
    LENS_TRY(write_data(r, n_captions));
    rest = write_until(r, rest, pictures_mark);
    LENS_TRY(write_pictures(r));
    fputs(rest, r->file);
    return LENS_OK;
}

lens_status review_write(review_result_t *result, const char *path, const dataset_t *d, const review_options_t *o) {
    review_t r = {.dataset = d, .o = o, .id = dataset_hash(d)};
    atomic_file_t *file = NULL;
    lens_status st;
    LENS_GO(gather(&r));
    *result = (review_result_t){.n_captions = r.n};
    draw(&r);
    result->n_items = r.n;
    LENS_GO(gather_items(&r));
    LENS_GO(atomic_file_open(&file, path));
    r.file = atomic_file_stream(file);
    LENS_GO(write_page(&r, result->n_captions));
    atomic_file_t *whole = file;
    file = NULL;
    LENS_GO(atomic_file_commit(whole));
done:
    atomic_file_abort(file);
    close_layers(&r);
    free(r.items);
    str_free(&r.json);
    str_free(&r.text);
    str_free(&r.meta);
    str_free(&r.key);
    return st;
}
