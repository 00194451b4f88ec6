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
    pipeline_config_t pipeline;
    generator_t *generator;
    prompts_t prompts;
    pipeline_tensors_t tensors; /* bound to acts */
    act_t *acts;                /* averaged weights as products read them */
    uint8_t *pixels;
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

lens_status preview_new(preview_t **out, kernels_t *k, const train_config_t *c, const pipeline_config_t *p,
                        const dataset_t *d) {
    *out = NULL;
    preview_t *v = calloc(1, sizeof *v);
    if (!v) return lens_fail(LENS_MEMORY, "out of memory for samples");
    *v = (preview_t){.k = k, .config = c, .pipeline = *p};
    lens_status st = LENS_OK;
    if (c->sample.prompts)
        LENS_GO(prompts_read(&v->prompts, c->sample.prompts));
    else
        LENS_GO(prompts_from_dataset(&v->prompts, c, d));
    if (v->prompts.n > PREVIEW_MAX_PROMPTS)
        LENS_GO(lens_fail(LENS_ARGUMENT, "%s: expected at most %d prompts for the sheets of a run, got %lld",
                          c->sample.prompts, PREVIEW_MAX_PROMPTS, (long long)v->prompts.n));
    LENS_GO(save_prompts(v));
    LENS_GO(generator_new(&v->generator, k, p, v->prompts.n));
    LENS_GO(pipeline_tensors_init(&v->tensors, p, 0));
    LENS_GO(k->alloc(k, &v->acts, k->act_bytes * (size_t)plan_n_floats(&v->tensors.plan), "averaged weights"));
    plan_bind_as(&v->tensors.plan, v->acts, k->act_bytes);
    v->pixels = malloc((size_t)(v->prompts.n * p->height * p->width * 3));
    if (!v->pixels) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for samples"));
    *out = v;
done:
    if (st != LENS_OK) preview_free(v);
    return st;
}

void preview_free(preview_t *v) {
    if (!v) return;
    generator_free(v->generator);
    v->k->free(v->k, v->acts);
    pipeline_tensors_free(&v->tensors);
    prompts_free(&v->prompts);
    free(v->pixels);
    free(v);
}

static lens_status write_sheet(preview_t *v, metrics_t *m, int64_t step) {
    image_t pictures[PREVIEW_MAX_PROMPTS], sheet = {0};
    str_t path = {0}, png = {0};
    int64_t each = v->pipeline.height * v->pipeline.width * 3;
    for (int64_t i = 0; i < v->prompts.n; i++)
        pictures[i] = (image_t){(int32_t)v->pipeline.width, (int32_t)v->pipeline.height, v->pixels + i * each};
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

lens_status preview_draw(preview_t *v, const train_state_t *s, metrics_t *m, int64_t step) {
    generator_options_t o = {.steps = v->config->sample.steps,
                             .guidance = v->config->sample.guidance,
                             .seed = (uint64_t)v->config->run.seed};
    v->k->to_act(v->k, v->acts, s->ema[0], s->partition.n);
    LENS_TRY(
        generator_run(v->generator, &v->tensors, (const char *const *)v->prompts.text, v->prompts.n, &o, v->pixels));
    return write_sheet(v, m, step);
}
