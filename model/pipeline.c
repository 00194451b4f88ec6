#include "model/pipeline.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/safetensors.h"

#define SAMPLING_MU_MAX 20.0 /* a shift of e^20: beyond it, all steps are the same */
#define TEXT_PREFIX "text_encoder."
#define TRANSFORMER_FILE "transformer/diffusion_pytorch_model.safetensors"
#define TEXT_FILE "text_encoder/model.safetensors"

int64_t pipeline_grid_h(const pipeline_config_t *c) {
    return c->height / (c->mmdit.patch_size * c->downscale);
}
int64_t pipeline_grid_w(const pipeline_config_t *c) {
    return c->width / (c->mmdit.patch_size * c->downscale);
}

static lens_status check_text(const pipeline_config_t *c) {
    if (c->text.n_rows < 256 || c->text.n_rows > 1 << 24 || c->text.max_tok < 1 || c->text.max_tok > 65536)
        return lens_fail(LENS_ARGUMENT, "text: expected 256 to %d rows and 1 to 65536 tokens, got %lld and %lld",
                         1 << 24, (long long)c->text.n_rows, (long long)c->text.max_tok);
    if ((c->text.tokens != TEXT_FEATURES && c->mmdit.num_text_layers != 1) || c->mmdit.enc_hidden_dim != c->text.dim)
        return lens_fail(
            LENS_ARGUMENT, "the learned text embedding gives 1 layer of %lld, the model expects %lld of %lld",
            (long long)c->text.dim, (long long)c->mmdit.num_text_layers, (long long)c->mmdit.enc_hidden_dim);
    return LENS_OK;
}

lens_status pipeline_config_check(const pipeline_config_t *c) {
    LENS_TRY(mmdit_config_check(&c->mmdit));
    int64_t p = c->mmdit.patch_size, channels = c->mmdit.out_channels, side = p * c->downscale;
    if (c->downscale < 1 || c->downscale > 64 || (c->downscale == 1 && channels != 3))
        return lens_fail(LENS_ARGUMENT, "downscale: expected 1 to 64, and 3 channels at 1, got %lld and %lld",
                         (long long)c->downscale, (long long)channels);
    if (c->height < side || c->width < side || c->height > 8192 || c->width > 8192 || c->height % side ||
        c->width % side)
        return lens_fail(LENS_ARGUMENT,
                         "picture size %lld x %lld: expected multiples of a token's side, %lld, up to 8192",
                         (long long)c->width, (long long)c->height, (long long)side);
    if (c->mmdit.in_channels != channels * p * p)
        return lens_fail(LENS_ARGUMENT,
                         "tokens of %lld x %lld cells of %lld channels have %lld channels, got in_channels = %lld",
                         (long long)p, (long long)p, (long long)channels, (long long)(channels * p * p),
                         (long long)c->mmdit.in_channels);
    if (!c->sampling_mu_auto && !(fabs(c->sampling_mu) <= SAMPLING_MU_MAX))
        return lens_fail(LENS_ARGUMENT, "sampling_mu: expected -%g to %g, got %g", SAMPLING_MU_MAX, SAMPLING_MU_MAX,
                         c->sampling_mu);
    return check_text(c);
}

lens_status pipeline_tensors_init(pipeline_tensors_t *t, const pipeline_config_t *c, size_t group_align) {
    *t = (pipeline_tensors_t){.plan = {.act_bytes = sizeof(float), .group_align = group_align}};
    LENS_TRY(pipeline_config_check(c));
    plan_begin_group(&t->plan, MMDIT_PART_INPUTS);
    if (c->text.tokens != TEXT_FEATURES)
        plan_add(&t->plan, &t->embedding, PLAN_F32, PLAN_NO_DECAY, PLAN_2D(c->text.n_rows, c->text.dim),
                 TEXT_PREFIX "embedding.weight")
            ->init_std = 0.577f; /* three rows a word: features of variance 1 */
    return mmdit_plan_tensors(&t->plan, &t->mmdit, &c->mmdit);
}

void pipeline_tensors_free(pipeline_tensors_t *t) {
    mmdit_tensors_free(&t->mmdit);
    plan_free(&t->plan);
}

/* ---- files ---- */

static lens_status join(str_t *out, const char *dir, const char *name) {
    str_clear(out);
    str_addf(out, "%s/%s", dir, name);
    return str_status(out);
}

static lens_status write_json(const char *dir, const char *name, json_t *object) {
    str_t path = {0};
    lens_status st = LENS_OK;
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(object);
    if (!text) LENS_GO(lens_fail(LENS_MEMORY, "%s/%s: out of memory", dir, name));
    LENS_GO(join(&path, dir, name));
    st = file_write(path.s, text, strlen(text));
done:
    free(text);
    str_free(&path);
    return st;
}

static bool in_text_encoder(const plan_row_t *row) {
    return str_starts_with(row->name, TEXT_PREFIX);
}
static const char *name_in_file(const plan_row_t *row) {
    return in_text_encoder(row) ? row->name + strlen(TEXT_PREFIX) : row->name;
}

static lens_status write_tensors(const char *dir, const char *name, const plan_t *plan, const float *weights,
                                 bool text) {
    static const char *const meta[][2] = {{"format", "pt"}};
    st_entry_t *entries = calloc((size_t)plan->n, sizeof *entries);
    if (!entries) return lens_fail(LENS_MEMORY, "%s/%s: out of memory", dir, name);
    int n = 0;
    for (int i = 0; i < plan->n; i++) {
        const plan_row_t *row = &plan->rows[i];
        if (in_text_encoder(row) != text) continue;
        entries[n] =
            (st_entry_t){name_in_file(row), ST_F32, row->n_dims, {0}, weights + row->offset_bytes / sizeof(float)};
        memcpy(entries[n].shape, row->shape, sizeof row->shape);
        n++;
    }
    str_t path = {0};
    lens_status st = join(&path, dir, name);
    if (st == LENS_OK) st = safetensors_write(path.s, entries, n, meta, 1);
    str_free(&path);
    free(entries);
    return st;
}

static json_t *transformer_json(const mmdit_config_t *c) {
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:[I,I,I], s:f, s:f, s:f}", "_class_name",
                     "LensTransformer2DModel", "num_layers", (json_int_t)c->num_layers, "num_attention_heads",
                     (json_int_t)c->num_heads, "attention_head_dim", (json_int_t)c->head_dim, "in_channels",
                     (json_int_t)c->in_channels, "out_channels", (json_int_t)c->out_channels, "patch_size",
                     (json_int_t)c->patch_size, "enc_hidden_dim", (json_int_t)c->enc_hidden_dim, "num_text_layers",
                     (json_int_t)c->num_text_layers, "axes_dims_rope", (json_int_t)c->axes_dims_rope[0],
                     (json_int_t)c->axes_dims_rope[1], (json_int_t)c->axes_dims_rope[2], "rope_theta", c->rope_theta,
                     "eps", c->eps, "txt_norm_eps", c->txt_norm_eps);
}

lens_status pipeline_save(const char *dir, const pipeline_config_t *c, const plan_t *plan, const float *weights) {
    str_t path = {0};
    lens_status st = LENS_OK;
    LENS_GO(join(&path, dir, "transformer"));
    LENS_GO(dir_make(path.s));
    LENS_GO(join(&path, dir, "text_encoder"));
    LENS_GO(dir_make(path.s));
    json_t *mu = c->sampling_mu_auto ? json_null() : json_real(c->sampling_mu);
    LENS_GO(write_json(dir, "model_index.json",
                       json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "_class_name", "LensPixelPipeline", "_lens_version",
                                 LENS_VERSION, "downscale", (json_int_t)c->downscale, "height", (json_int_t)c->height,
                                 "width", (json_int_t)c->width, "sampling_mu", mu)));
    LENS_GO(write_json(dir, "transformer/config.json", transformer_json(&c->mmdit)));
    LENS_GO(write_json(dir, "text_encoder/config.json",
                       json_pack("{s:s, s:s, s:I, s:I, s:I}", "_class_name", "LensTextEmbedding", "tokens",
                                 c->text.tokens == TEXT_BYTES ? "byte" : "word", "n_rows", (json_int_t)c->text.n_rows,
                                 "dim", (json_int_t)c->text.dim, "max_tok", (json_int_t)c->text.max_tok)));
    LENS_GO(write_tensors(dir, TRANSFORMER_FILE, plan, weights, false));
    st = write_tensors(dir, TEXT_FILE, plan, weights, true);
done:
    str_free(&path);
    return st;
}

/* ---- reading ---- */

enum { CONFIG_MAX_BYTES = 1 << 20 };

static lens_status read_json(json_t **out, const char *dir, const char *name) {
    str_t path = {0};
    char *text = NULL;
    size_t n;
    json_error_t error;
    *out = NULL;
    lens_status st = LENS_OK;
    LENS_GO(join(&path, dir, name));
    LENS_GO(file_read(&text, &n, path.s, CONFIG_MAX_BYTES));
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!*out) st = lens_fail(LENS_FORMAT, "%s:%d: %s", path.s, error.line, error.text);
    if (*out && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        st = lens_fail(LENS_FORMAT, "%s: expected a JSON object", path.s);
    }
done:
    free(text);
    str_free(&path);
    return st;
}

static lens_status get_int(const json_t *object, const char *file, const char *key, int64_t *out) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value)) return lens_fail(LENS_FORMAT, "%s: %s: expected an integer", file, key);
    *out = json_integer_value(value);
    return LENS_OK;
}

static lens_status get_number(const json_t *object, const char *file, const char *key, double *out) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) return lens_fail(LENS_FORMAT, "%s: %s: expected a number", file, key);
    *out = json_number_value(value);
    return LENS_OK;
}

static lens_status parse_transformer(mmdit_config_t *c, const json_t *j) {
    const char *file = "transformer/config.json";
    LENS_TRY(get_int(j, file, "num_layers", &c->num_layers));
    LENS_TRY(get_int(j, file, "num_attention_heads", &c->num_heads));
    LENS_TRY(get_int(j, file, "attention_head_dim", &c->head_dim));
    LENS_TRY(get_int(j, file, "in_channels", &c->in_channels));
    LENS_TRY(get_int(j, file, "out_channels", &c->out_channels));
    LENS_TRY(get_int(j, file, "patch_size", &c->patch_size));
    LENS_TRY(get_int(j, file, "enc_hidden_dim", &c->enc_hidden_dim));
    LENS_TRY(get_int(j, file, "num_text_layers", &c->num_text_layers));
    LENS_TRY(get_number(j, file, "rope_theta", &c->rope_theta));
    LENS_TRY(get_number(j, file, "eps", &c->eps));
    LENS_TRY(get_number(j, file, "txt_norm_eps", &c->txt_norm_eps));
    const json_t *axes = json_object_get(j, "axes_dims_rope");
    for (size_t i = 0; i < 3; i++) {
        const json_t *value = json_array_get(axes, i);
        if (!json_is_integer(value)) return lens_fail(LENS_FORMAT, "%s: axes_dims_rope: expected three integers", file);
        c->axes_dims_rope[i] = json_integer_value(value);
    }
    return LENS_OK;
}

static lens_status parse_text(text_config_t *c, const json_t *j) {
    const char *file = "text_encoder/config.json", *tokens = json_string_value(json_object_get(j, "tokens"));
    bool bytes = tokens && strcmp(tokens, "byte") == 0;
    if (!bytes && !(tokens && strcmp(tokens, "word") == 0))
        return lens_fail(LENS_FORMAT, "%s: tokens: expected \"word\" or \"byte\"", file);
    c->tokens = bytes ? TEXT_BYTES : TEXT_WORDS;
    LENS_TRY(get_int(j, file, "n_rows", &c->n_rows));
    LENS_TRY(get_int(j, file, "dim", &c->dim));
    return get_int(j, file, "max_tok", &c->max_tok);
}

static lens_status parse_index(pipeline_config_t *c, const json_t *j) {
    const char *file = "model_index.json";
    LENS_TRY(get_int(j, file, "downscale", &c->downscale));
    LENS_TRY(get_int(j, file, "height", &c->height));
    LENS_TRY(get_int(j, file, "width", &c->width));
    c->sampling_mu_auto = json_is_null(json_object_get(j, "sampling_mu"));
    return c->sampling_mu_auto ? LENS_OK : get_number(j, file, "sampling_mu", &c->sampling_mu);
}

lens_status pipeline_load_config(pipeline_config_t *out, const char *dir) {
    json_t *index = NULL, *transformer = NULL, *text = NULL;
    *out = (pipeline_config_t){0};
    lens_status st = LENS_OK;
    LENS_GO(read_json(&index, dir, "model_index.json"));
    LENS_GO(read_json(&transformer, dir, "transformer/config.json"));
    LENS_GO(read_json(&text, dir, "text_encoder/config.json"));
    LENS_GO(parse_index(out, index));
    LENS_GO(parse_transformer(&out->mmdit, transformer));
    LENS_GO(parse_text(&out->text, text));
    st = pipeline_config_check(out);
done:
    json_decref(index);
    json_decref(transformer);
    json_decref(text);
    if (st == LENS_ARGUMENT) st = LENS_FORMAT; /* the file is wrong, not the command line */
    return lens_context(st, "%s", dir);
}

static lens_status load_row(float *weights, const safetensors_t *f, const plan_row_t *row) {
    const char *name = name_in_file(row);
    const st_tensor_t *t = safetensors_find(f, name);
    if (!t) return lens_fail(LENS_FORMAT, "tensor %s is missing", name);
    bool same = t->n_dims == row->n_dims;
    for (int i = 0; same && i < row->n_dims; i++) same = t->shape[i] == row->shape[i];
    if (!same)
        return lens_fail(LENS_FORMAT,
                         "tensor %s: expected %d dimensions and %lld elements, [%lld, ...], got %d, %lld, [%lld, ...]",
                         name, row->n_dims, (long long)row->n, (long long)row->shape[0], t->n_dims, (long long)t->n,
                         (long long)(t->n_dims ? t->shape[0] : 1));
    return safetensors_read_f32(t, weights + row->offset_bytes / sizeof(float));
}

static lens_status load_file(float *weights, const plan_t *plan, const char *dir, const char *name, bool text) {
    str_t path = {0};
    safetensors_t *f = NULL;
    int n = 0;
    lens_status st = LENS_OK;
    LENS_GO(join(&path, dir, name));
    LENS_GO(safetensors_open(&f, path.s));
    for (int i = 0; i < plan->n; i++) {
        if (in_text_encoder(&plan->rows[i]) != text) continue;
        LENS_GO(lens_context(load_row(weights, f, &plan->rows[i]), "%s", path.s));
        n++;
    }
    if (safetensors_n(f) != n)
        for (int i = 0; i < safetensors_n(f); i++) {
            str_t full = {0};
            str_addf(&full, "%s%s", text ? TEXT_PREFIX : "", safetensors_at(f, i)->name);
            if (!plan_find(plan, str_text(&full)))
                st = lens_fail(LENS_FORMAT, "%s: tensor %s is not part of this model", path.s,
                               safetensors_at(f, i)->name);
            str_free(&full);
            if (st != LENS_OK) break;
        }
done:
    safetensors_close(f);
    str_free(&path);
    return st;
}

lens_status pipeline_load_weights(float *weights, const plan_t *plan, const char *dir) {
    LENS_TRY(load_file(weights, plan, dir, TRANSFORMER_FILE, false));
    return load_file(weights, plan, dir, TEXT_FILE, true);
}
