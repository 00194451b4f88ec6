#include "eval/drawer.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "kernels/device.h"
#include "model/weights.h"

struct drawer {
    device_t device;
    kernels_t *k; /* of the device */
    pipeline_config_t config;
    pipeline_tensors_t tensors;
    act_t *acts;
    generator_t *generator;
    uint8_t *pixels; /* u8 [batch, height, width, 3] */
    bool averaged;
    int64_t batch;
};

/* CKPT/ema where it is there and the last weights are not asked for. */
static lens_status weights_dir(drawer_t *d, str_t *out, const char *checkpoint, bool raw) {
    str_addf(out, "%s/ema", checkpoint);
    d->averaged = !raw && !out->failed && file_is_dir(out->s);
    if (!d->averaged) {
        str_clear(out);
        str_add(out, checkpoint);
    }
    return str_status(out);
}

static lens_status load_weights(drawer_t *d, const char *dir) {
    kernels_t *k = d->k;
    int64_t n = plan_n_floats(&d->tensors.plan);
    float *host = calloc((size_t)n, sizeof *host);
    void *floats = NULL;
    lens_status st = host ? LENS_OK : lens_fail(LENS_MEMORY, "%s: out of memory for weights", dir);
    if (st == LENS_OK) st = weights_load(host, &d->tensors.plan, dir);
    if (st == LENS_OK) st = k->alloc(k, &floats, sizeof(float) * (size_t)n, "weights");
    if (st == LENS_OK) st = k->alloc(k, &d->acts, k->act_bytes * (size_t)n, "weights");
    if (st == LENS_OK) {
        k->upload(k, floats, host, sizeof(float) * (size_t)n);
        k->to_act(k, d->acts, floats, n);
        plan_bind_as(&d->tensors.plan, d->acts, k->act_bytes);
        st = k->finish(k);
    }
    k->free(k, floats);
    free(host);
    return st;
}

static lens_status refuse_adapter(const char *dir) {
    str_t path = {0}, model = {0};
    str_addf(&path, "%s/%s.safetensors", dir, pipeline_part_stem(PIPELINE_ADAPTER));
    str_addf(&model, "%s/model_index.json", dir);
    lens_status st = str_status(&path);
    if (st == LENS_OK) st = str_status(&model);
    if (st == LENS_OK && file_exists(path.s) && !file_exists(model.s))
        st = lens_fail(LENS_FORMAT, "%s: an adapter, not a model: lens ckpt merge-lora BASE %s -o MODEL makes one", dir,
                       dir);
    str_free(&path);
    str_free(&model);
    return st;
}

static lens_status open_model(drawer_t *d, const char *dir, const drawer_options_t *o) {
    d->batch = o->batch;
    LENS_TRY(pipeline_load_config(&d->config, dir));
    const device_options_t wanted = {.kind = device_kind_of(o->device), .n_threads = (int)o->threads};
    LENS_TRY(device_open(&d->device, &wanted, NULL));
    d->k = d->device.k;
    LENS_TRY(pipeline_tensors_init(&d->tensors, &d->config, 0));
    LENS_TRY(load_weights(d, dir));
    LENS_TRY(generator_new(&d->generator, d->k, &d->config, o->batch, 0));
    d->pixels = malloc((size_t)(o->batch * d->config.height * d->config.width * 3));
    return d->pixels ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for pictures");
}

lens_status drawer_open(drawer_t **out, const char *checkpoint, const drawer_options_t *o) {
    str_t dir = {0};
    *out = NULL;
    if (!file_is_dir(checkpoint)) return lens_fail(LENS_IO, "%s: no such checkpoint folder", checkpoint);
    LENS_TRY(refuse_adapter(checkpoint));
    drawer_t *d = calloc(1, sizeof *d);
    if (!d) return lens_fail(LENS_MEMORY, "%s: out of memory", checkpoint);
    lens_status st = weights_dir(d, &dir, checkpoint, o->raw);
    if (st == LENS_OK) st = open_model(d, dir.s, o);
    str_free(&dir);
    if (st == LENS_OK)
        *out = d;
    else
        drawer_close(d);
    return st;
}

void drawer_close(drawer_t *d) {
    if (!d) return;
    generator_free(d->generator);
    pipeline_tensors_free(&d->tensors);
    if (d->k) d->k->free(d->k, d->acts);
    device_close(&d->device);
    free(d->pixels);
    free(d);
}

int64_t drawer_width(const drawer_t *d) {
    return d->config.width;
}
int64_t drawer_height(const drawer_t *d) {
    return d->config.height;
}
const char *drawer_device(const drawer_t *d) {
    return d->k->device;
}
bool drawer_is_averaged(const drawer_t *d) {
    return d->averaged;
}

lens_status drawer_draw(drawer_t *d, image_t *pictures, const char *const *prompts, int64_t n,
                        const generator_options_t *how) {
    size_t each = (size_t)(d->config.height * d->config.width * 3);
    generator_options_t o = *how;
    lens_status st = LENS_OK;
    for (int64_t first = 0; st == LENS_OK && first < n; first += d->batch) {
        int64_t m = n - first < d->batch ? n - first : d->batch;
        o.first_index = how->first_index + (uint64_t)first;
        st = generator_run(d->generator, &d->tensors, prompts + first, m, &o, d->pixels);
        for (int64_t i = 0; st == LENS_OK && i < m; i++) {
            st = image_new(&pictures[first + i], (int32_t)d->config.width, (int32_t)d->config.height);
            if (st == LENS_OK) memcpy(pictures[first + i].rgb, d->pixels + (size_t)i * each, each);
        }
        if (n > d->batch) log_progress("%lld of %lld pictures", (long long)(first + m), (long long)n);
    }
    if (n > d->batch) log_progress_end();
    return st;
}
