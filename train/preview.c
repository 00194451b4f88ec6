#include "train/preview.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/caption_mix.h"
#include "data/image_grid.h"
#include "model/generator.h"
#include "model/prompts.h"

enum { PREVIEW_MAX_PROMPTS = 32, PREVIEW_DATASET_PROMPTS = 8, PREVIEW_GUTTER_PX = 2 };

struct preview {
    kernels_t *k;
    const train_config_t *config;
    comm_t *comm;
    pipeline_config_t pipeline;
    generator_t *generator;
    prompts_t prompts;
    int64_t share; /* pictures of a rank; of the last prompts' some may be blank */
    int64_t picture_bytes;
    uint8_t *mine, *gathered; /* [share] pictures; rank 0: [world, share] */
};

/* Captions of the first kind of the mix, spread over the set. */
static lens_status prompts_from_dataset(prompts_t *p, const train_config_t *c, const dataset_t *d) {
    caption_mix_t mix;
    str_t text = {0};
    LENS_TRY(caption_mix_init(&mix, c->data.captions, d));
    int64_t n = dataset_n_samples(d), wanted = n < PREVIEW_DATASET_PROMPTS ? n : PREVIEW_DATASET_PROMPTS;
    lens_status st = LENS_OK;
    for (int64_t i = 0; st == LENS_OK && i < wanted; i++) {
        st = dataset_caption(d, i * n / wanted, mix.kind[0], &text);
        for (size_t j = 0; j < text.len; j++)
            if (text.s[j] == '\n' || text.s[j] == '\r') text.s[j] = ' ';
        if (st == LENS_OK) st = prompts_add(p, str_text(&text), text.len);
    }
    caption_mix_reset(&mix);
    str_free(&text);
    return st;
}

static lens_status save_prompts(const preview_t *v) {
    str_t path = {0}, text = {0};
    lens_status st = LENS_OK;
    str_addf(&path, "%s/samples", v->config->run.dir);
    LENS_GO(str_status(&path));
    LENS_GO(dir_make(path.s));
    str_add(&path, "/prompts.txt");
    for (int64_t i = 0; i < v->prompts.n; i++) str_addf(&text, "%s\n", v->prompts.text[i]);
    LENS_GO(str_status(&path));
    LENS_GO(str_status(&text));
    st = file_write(path.s, text.s, text.len);
done:
    str_free(&path);
    str_free(&text);
    return st;
}

static lens_status read_prompts(preview_t *v, const dataset_t *d) {
    const train_config_t *c = v->config;
    LENS_TRY(c->sample.prompts ? prompts_read(&v->prompts, c->sample.prompts)
                               : prompts_from_dataset(&v->prompts, c, d));
    if (v->prompts.n > PREVIEW_MAX_PROMPTS)
        return lens_fail(LENS_ARGUMENT, "%s: expected at most %d prompts for the sheets of a run, got %lld",
                         c->sample.prompts, PREVIEW_MAX_PROMPTS, (long long)v->prompts.n);
    return comm_rank(v->comm) == 0 ? save_prompts(v) : LENS_OK;
}

lens_status preview_new(preview_t **out, kernels_t *k, const train_config_t *c, const pipeline_config_t *p,
                        const dataset_t *d, comm_t *comm) {
    *out = NULL;
    preview_t *v = calloc(1, sizeof *v);
    if (!v) return lens_fail(LENS_MEMORY, "out of memory for samples");
    *v = (preview_t){.k = k, .config = c, .comm = comm, .pipeline = *p, .picture_bytes = p->height * p->width * 3};
    lens_status st = LENS_OK;
    int64_t world = comm_world(comm);
    LENS_GO(read_prompts(v, d));
    LENS_GO(generator_new(&v->generator, k, p, 1, c->lora.rank));
    v->share = (v->prompts.n + world - 1) / world;
    v->mine = calloc((size_t)v->share, (size_t)v->picture_bytes);
    if (comm_rank(comm) == 0) v->gathered = calloc((size_t)(world * v->share), (size_t)v->picture_bytes);
    if (!v->mine || (comm_rank(comm) == 0 && !v->gathered)) st = lens_fail(LENS_MEMORY, "out of memory for samples");
    if (st == LENS_OK) *out = v;
done:
    if (st != LENS_OK) preview_free(v);
    return st;
}

void preview_free(preview_t *v) {
    if (!v) return;
    generator_free(v->generator);
    prompts_free(&v->prompts);
    free(v->mine);
    free(v->gathered);
    free(v);
}

/* Prompt i is drawn by rank i mod world, as its picture i / world. */
static uint8_t *picture_of(const preview_t *v, int64_t prompt) {
    int64_t world = comm_world(v->comm);
    return v->gathered + (prompt % world * v->share + prompt / world) * v->picture_bytes;
}

static lens_status write_sheet(preview_t *v, metrics_t *m, int64_t step) {
    image_t pictures[PREVIEW_MAX_PROMPTS], sheet = {0};
    str_t path = {0}, png = {0};
    for (int64_t i = 0; i < v->prompts.n; i++)
        pictures[i] = (image_t){(int32_t)v->pipeline.width, (int32_t)v->pipeline.height, picture_of(v, i)};
    lens_status st = LENS_OK;
    LENS_GO(image_grid(&sheet, pictures, (int)v->prompts.n, (int)ceil(sqrt((double)v->prompts.n)), PREVIEW_GUTTER_PX));
    LENS_GO(image_encode_png(&png, &sheet));
    str_addf(&path, "%s/samples/step-%08lld.png", v->config->run.dir, (long long)step);
    LENS_GO(str_status(&path));
    LENS_GO(file_write(path.s, png.s, png.len));
    st = metrics_image(m, step, "samples", png.s, png.len, sheet.width, sheet.height);
done:
    image_free(&sheet);
    str_free(&path);
    str_free(&png);
    return st;
}

static lens_status draw_own(preview_t *v, const pipeline_tensors_t *w) {
    generator_options_t o = {.steps = v->config->sample.steps,
                             .guidance = v->config->sample.guidance,
                             .seed = (uint64_t)v->config->run.seed};
    uint8_t *to = v->mine;
    for (int64_t i = comm_rank(v->comm); i < v->prompts.n; i += comm_world(v->comm), to += v->picture_bytes) {
        const char *prompt = v->prompts.text[i];
        o.first_index = (uint64_t)i;
        LENS_TRY(generator_run(v->generator, w, &prompt, 1, &o, to));
    }
    return LENS_OK;
}

lens_status preview_draw(preview_t *v, const pipeline_tensors_t *w, metrics_t *m, int64_t step) {
    LENS_TRY(draw_own(v, w));
    LENS_TRY(comm_gather_bytes(v->comm, v->gathered, v->mine, (size_t)(v->share * v->picture_bytes), "samples"));
    return comm_rank(v->comm) == 0 ? write_sheet(v, m, step) : LENS_OK;
}
