/* `lens scenes`: writes a procedural set of scenes as a dataset, with its true captions as layers where asked.
 *
 * One thread: scenes are cheaper to draw than to encode, and the writer belongs to one thread. */
#include "base/command.h"
#include "base/log.h"
#include "data/dataset.h"
#include "data/image.h"
#include "data/scene.h"
#include "data/scene_wrong.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int64_t n, seed, size_px, max_objects, shard_samples;
    double quality;
    bool simple, captions, json;
    char *out, *wrong;
} scenes_t;

#define QUALITY_LOSSLESS 100 /* a lossy picture of that quality would be larger and worse */

static const option_t ROWS[] = {
    {.name = "n",
     .letter = 'n',
     .type = OPTION_INT,
     .offset = offsetof(scenes_t, n),
     .initial = "1000",
     .min = 1,
     .max = 1e9,
     .help = "number of scenes"},
    {.name = "seed",
     .type = OPTION_INT,
     .offset = offsetof(scenes_t, seed),
     .initial = "0",
     .min = 0,
     .max = 1e15,
     .help = "same seed, same bytes"},
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     .offset = offsetof(scenes_t, out),
     .required = true,
     .choices = "DIR",
     .help = "folder of the new dataset"},
    {.name = "size",
     .type = OPTION_INT,
     .offset = offsetof(scenes_t, size_px),
     .initial = "64",
     .min = SCENE_MIN_SIZE_PX,
     .max = SCENE_MAX_SIZE_PX,
     .unit = "px",
     .help = "width and height of each picture"},
    {.name = "max-objects",
     .type = OPTION_INT,
     .offset = offsetof(scenes_t, max_objects),
     .initial = "4",
     .min = 1,
     .max = SCENE_MAX_OBJECTS,
     .help = "at most this many shapes in a scene"},
    {.name = "simple",
     .type = OPTION_FLAG,
     .offset = offsetof(scenes_t, simple),
     .help = "solid shapes of three exact sizes in nine places on plain backgrounds: learnt in minutes"},
    {.name = "quality",
     .type = OPTION_FLOAT,
     .offset = offsetof(scenes_t, quality),
     .initial = "100",
     .min = 0,
     .max = QUALITY_LOSSLESS,
     .help = "of WebP; 100 is lossless"},
    {.name = "captions",
     .type = OPTION_FLAG,
     .offset = offsetof(scenes_t, captions),
     .help = "also write the true captions, as layers truth-brief and truth-dense"},
    {.name = "wrong",
     .type = OPTION_STRING,
     .offset = offsetof(scenes_t, wrong),
     .choices = "X[,X...]",
     .help =
         "with --captions: also dense ones whose facts are wrong with these probabilities; 0.1: truth-dense-wrong10"},
    {.name = "shard-samples",
     .type = OPTION_INT,
     .offset = offsetof(scenes_t, shard_samples),
     .initial = "10000",
     .min = 1,
     .max = 1e6,
     .help = "samples a shard"},
    {.name = "json", .type = OPTION_FLAG, .offset = offsetof(scenes_t, json), .help = "print one JSON object"},
};

/* A layer of captions. */
enum { LAYERS_MAX = 10, KIND_BYTES = 32 };
typedef struct {
    char kind[KIND_BYTES];
    int (*write)(const scene_t *s, str_t *out);
    double wrong; /* share of the facts that are told wrongly */
    int64_t n_words, n_facts;
    scene_wrong_t lies; /* over all scenes */
} layer_plan_t;

typedef struct {
    int64_t n_objects[SCENE_MAX_OBJECTS + 1]; /* scenes by number of objects */
    int64_t n_shards, n_words_alt;
    int n_layers;
    layer_plan_t layer[LAYERS_MAX];
} counts_t;

static int64_t count_words(const char *text) {
    int64_t n = 0;
    for (bool in_word = false; *text; text++) {
        if (*text != ' ' && !in_word) n++;
        in_word = *text != ' ';
    }
    return n;
}

static void provenance(const scenes_t *o, str_t *out) {
    str_addf(out, "{\"command\":\"lens scenes\",\"version\":\"" LENS_VERSION "\",\"seed\":%" PRId64 ",\"n\":%" PRId64,
             o->seed, o->n);
    str_addf(out, ",\"size\":%" PRId64 ",\"max-objects\":%" PRId64 "%s,\"quality\":%g}", o->size_px, o->max_objects,
             o->simple ? ",\"simple\":true" : "", o->quality);
}

static void make(scene_t *s, const scenes_t *o, int64_t i) {
    scene_make(s, (uint64_t)o->seed, (uint64_t)i, (scene_rules_t){(int)o->max_objects, o->simple});
}

typedef struct {
    image_t image;
    str_t webp, key, alt, meta;
} record_t;

static void record_free(record_t *r) {
    image_free(&r->image);
    str_free(&r->webp);
    str_free(&r->key);
    str_free(&r->alt);
    str_free(&r->meta);
}

static lens_status add_scene(dataset_writer_t *w, const scenes_t *o, int64_t i, record_t *r, counts_t *counts) {
    scene_t scene;
    make(&scene, o, i);
    str_clear(&r->webp);
    str_clear(&r->key);
    str_clear(&r->alt);
    str_clear(&r->meta);
    scene_render(&scene, r->image.width, r->image.rgb);
    LENS_TRY(image_encode_webp(&r->webp, &r->image, o->quality, o->quality >= QUALITY_LOSSLESS));
    str_addf(&r->key, "scene-%" PRId64 "-%08" PRId64, o->seed, i);
    scene_alt(&scene, &r->alt);
    scene_truth(&scene, &r->meta);
    LENS_TRY(str_status(&r->key));
    LENS_TRY(str_status(&r->alt));
    LENS_TRY(str_status(&r->meta));
    counts->n_objects[scene.n_objects]++;
    counts->n_words_alt += count_words(str_text(&r->alt));
    return dataset_writer_add(w, &(sample_t){.key = str_text(&r->key),
                                             .picture = r->webp.s,
                                             .picture_bytes = r->webp.len,
                                             .width = r->image.width,
                                             .height = r->image.height,
                                             .original_width = r->image.width,
                                             .original_height = r->image.height,
                                             .alt = str_text(&r->alt),
                                             .meta = str_text(&r->meta)});
}

static lens_status write_base(const scenes_t *o, const char *made_by, counts_t *counts) {
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = o->shard_samples;
    options.provenance = made_by;
    dataset_writer_t *w = NULL;
    record_t r = {0};
    lens_status st;
    LENS_GO(image_new(&r.image, (int32_t)o->size_px, (int32_t)o->size_px));
    LENS_GO(dataset_writer_open(&w, o->out, &options));
    for (int64_t i = 0; i < o->n; i++) {
        LENS_GO(add_scene(w, o, i, &r, counts));
        log_progress("scenes: %" PRId64 " of %" PRId64, i + 1, o->n);
    }
    st = dataset_writer_close(w);
    w = NULL;
done:
    dataset_writer_abort(w);
    record_free(&r);
    return st;
}

static lens_status write_layer_shard(const scenes_t *o, const dataset_t *d, int64_t shard, layer_plan_t *layer,
                                     const char *made_by) {
    layer_writer_t *w = NULL;
    str_t text = {0};
    lens_status st;
    LENS_GO(layer_writer_open(&w, d, shard, o->out, layer->kind, made_by));
    int64_t begin = dataset_shard_begin(d, shard), end = begin + dataset_shard_n_samples(d, shard);
    for (int64_t i = begin; i < end; i++) {
        scene_t scene;
        make(&scene, o, i);
        scene_wrong_t lies = scene_make_wrong(&scene, layer->wrong);
        str_clear(&text);
        layer->n_facts += layer->write(&scene, &text);
        layer->lies.n_facts += lies.n_facts;
        layer->lies.n_wrong += lies.n_wrong;
        LENS_GO(str_status(&text));
        layer->n_words += count_words(str_text(&text));
        LENS_GO(layer_writer_add(w, str_text(&text), NULL));
    }
    st = layer_writer_close(w);
    w = NULL;
done:
    layer_writer_abort(w);
    str_free(&text);
    return st;
}

static lens_status plan_wrong(const scenes_t *o, counts_t *counts) {
    for (const char *at = o->wrong, *end; at; at = *end ? end + 1 : NULL) {
        double rate = strtod(at, (char **)&end), percent = round(100 * rate);
        if (end == at || (*end && *end != ',') || !(percent >= 1 && percent <= 99) || fabs(100 * rate - percent) > 1e-9)
            return lens_fail(LENS_ARGUMENT,
                             "--wrong %s: expected fractions of whole percents between 0 and 1, as 0.1,0.25", o->wrong);
        if (counts->n_layers == LAYERS_MAX)
            return lens_fail(LENS_ARGUMENT, "--wrong %s: more than %d fractions", o->wrong, LAYERS_MAX - 2);
        layer_plan_t *layer = &counts->layer[counts->n_layers++];
        *layer = (layer_plan_t){.write = scene_dense, .wrong = rate};
        snprintf(layer->kind, sizeof layer->kind, "truth-dense-wrong%02.0f", percent);
        for (int i = 0; i < counts->n_layers - 1; i++)
            if (counts->layer[i].wrong == rate)
                return lens_fail(LENS_ARGUMENT, "--wrong %s: %g is there twice", o->wrong, rate);
    }
    return LENS_OK;
}

static lens_status plan_layers(const scenes_t *o, counts_t *counts) {
    if (o->wrong && !o->captions) return lens_fail(LENS_ARGUMENT, "--wrong needs --captions");
    if (!o->captions) return LENS_OK;
    counts->n_layers = 2;
    counts->layer[0] = (layer_plan_t){.kind = "truth-brief", .write = scene_brief};
    counts->layer[1] = (layer_plan_t){.kind = "truth-dense", .write = scene_dense};
    return plan_wrong(o, counts);
}

static lens_status write_layers(const scenes_t *o, const char *made_by, counts_t *counts) {
    dataset_t *d = NULL;
    lens_status st;
    LENS_GO(dataset_open(&d, o->out));
    counts->n_shards = dataset_n_shards(d);
    for (int64_t shard = 0; shard < counts->n_shards; shard++)
        for (int i = 0; i < counts->n_layers; i++) LENS_GO(write_layer_shard(o, d, shard, &counts->layer[i], made_by));
done:
    dataset_close(d);
    return st;
}

static void summary(const scenes_t *o, const counts_t *counts) {
    printf("scenes    %" PRId64 " of %" PRId64 " x %" PRId64 " px, seed %" PRId64 ", in %" PRId64 " shard%s of %s\n",
           o->n, o->size_px, o->size_px, o->seed, counts->n_shards, counts->n_shards == 1 ? "" : "s", o->out);
    printf("objects  ");
    for (int i = 1; i <= o->max_objects; i++)
        printf(" %d in %.1f %%%s", i, 100.0 * (double)counts->n_objects[i] / (double)o->n,
               i < o->max_objects ? "," : "\n");
    printf("words     alt %.1f", (double)counts->n_words_alt / (double)o->n);
    for (int i = 0; i < counts->n_layers; i++)
        printf(", %s %.1f", counts->layer[i].kind, (double)counts->layer[i].n_words / (double)o->n);
    printf(" a caption\n");
    for (int i = 0; i < counts->n_layers; i++)
        printf("%s%s %.1f%s", i == 0 ? "facts     " : ", ", counts->layer[i].kind,
               (double)counts->layer[i].n_facts / (double)o->n, i == counts->n_layers - 1 ? " a caption\n" : "");
}

/* wrong: the share of facts that were in truth told wrongly. */
static void summary_json(const scenes_t *o, const counts_t *counts) {
    printf("{\"n\":%" PRId64 ",\"size\":%" PRId64 ",\"seed\":%" PRId64 ",\"captions\":{", o->n, o->size_px, o->seed);
    printf("\"alt\":{\"words\":%.4f}", (double)counts->n_words_alt / (double)o->n);
    for (int i = 0; i < counts->n_layers; i++) {
        const layer_plan_t *l = &counts->layer[i];
        printf(",\"%s\":{\"words\":%.4f,\"facts\":%.4f,\"wrong\":%.4f}", l->kind, (double)l->n_words / (double)o->n,
               (double)l->n_facts / (double)o->n, (double)l->lies.n_wrong / (double)l->lies.n_facts);
    }
    printf("}}\n");
}

static lens_status run(const void *values, int n_args, char **args) {
    const scenes_t *o = values;
    if (n_args > 0) return lens_fail(LENS_ARGUMENT, "scenes: unexpected argument '%s'", args[0]);
    counts_t counts = {0};
    str_t made_by = {0};
    lens_status st;
    LENS_GO(plan_layers(o, &counts));
    provenance(o, &made_by);
    LENS_GO(str_status(&made_by));
    LENS_GO(write_base(o, str_text(&made_by), &counts));
    LENS_GO(write_layers(o, str_text(&made_by), &counts));
    (o->json ? summary_json : summary)(o, &counts);
done:
    str_free(&made_by);
    return st;
}

const command_t cmd_scenes = {
    .name = "scenes",
    .usage = "-n N --seed S -o DIR",
    .summary = "make a procedural set of scenes whose truth is known",
    .details =
        "Coloured shapes on a background, with poor alt-text and the truth as metadata. A scene is a function of\n"
        "(seed, index): the same options give the same bytes. data/scenes.md describes the set and lists its words.",
    .options = {ROWS, (int)(sizeof ROWS / sizeof ROWS[0])},
    .values_size = sizeof(scenes_t),
    .run = run,
};
