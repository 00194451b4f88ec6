#include "train/ckpt_source.h"

#include <string.h>

#include "base/file.h"

static lens_status join(str_t *out, const char *dir, const char *name) {
    str_clear(out);
    str_addf(out, "%s/%s", dir, name);
    return str_status(out);
}

lens_status ckpt_source_path(str_t *out, const char *path, const char *part) {
    str_t latest = {0};
    lens_status st = join(&latest, path, "checkpoints/latest");
    if (st == LENS_OK) {
        str_clear(out);
        str_add(out, file_is_dir(latest.s) ? latest.s : path);
        if (strcmp(part, CKPT_WEIGHTS) != 0) str_addf(out, "/%s", part);
        st = str_status(out);
    }
    str_free(&latest);
    if (st == LENS_OK && !file_exists(out->s)) return lens_fail(LENS_IO, "%s: no such file or folder", out->s);
    return st;
}

static lens_status open_part(ckpt_source_t *s, pipeline_part part) {
    str_t path = {0};
    lens_status st = join(&path, s->path.s, pipeline_part_folder(part));
    if (st == LENS_OK) st = safetensors_set_open(&s->set[part], path.s);
    str_free(&path);
    return st;
}

static lens_status open_pipeline(ckpt_source_t *s) {
    bool ours;
    LENS_TRY(open_part(s, PIPELINE_TRANSFORMER));
    LENS_TRY(pipeline_has_embedding(&ours, s->path.s));
    return ours ? open_part(s, PIPELINE_TEXT) : LENS_OK;
}

lens_status ckpt_source_open(ckpt_source_t *out, const char *path, const char *part) {
    str_t transformer = {0};
    *out = (ckpt_source_t){0};
    lens_status st = LENS_OK;
    LENS_GO(ckpt_source_path(&out->path, path, part));
    LENS_GO(join(&transformer, out->path.s, pipeline_part_folder(PIPELINE_TRANSFORMER)));
    out->pipeline = file_is_dir(transformer.s);
    st = out->pipeline ? open_pipeline(out) : safetensors_set_open(&out->set[PIPELINE_TRANSFORMER], out->path.s);
done:
    str_free(&transformer);
    if (st != LENS_OK) ckpt_source_close(out);
    return st;
}

void ckpt_source_close(ckpt_source_t *s) {
    for (int part = 0; part < PIPELINE_N_PARTS; part++) safetensors_set_close(s->set[part]);
    str_free(&s->path);
    *s = (ckpt_source_t){0};
}

int ckpt_source_n(const ckpt_source_t *s) {
    int n = 0;
    for (int part = 0; part < PIPELINE_N_PARTS; part++)
        if (s->set[part]) n += safetensors_set_n(s->set[part]);
    return n;
}
