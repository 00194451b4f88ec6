#include "eval/data_figures.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

int64_t data_figures_count_words(const char *text) {
    int64_t n = 0;
    for (const char *p = text; *p != '\0';) {
        p += strspn(p, " \t\r\n\f\v");
        if (*p != '\0') n++;
        p += strcspn(p, " \t\r\n\f\v");
    }
    return n;
}

double data_figures_quantile(const double *ascending, int64_t n, double q) {
    return ascending[(int64_t)(q * (double)(n - 1) + 0.5)];
}

double data_figures_mean(const double *values, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += values[i];
    return sum / (double)n;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Adds those of DIR/KIND/SHARD.h5 over all shards; a shard that a partial layer lacks adds nothing. */
static lens_status add_file_bytes(double *out, const dataset_t *d, const char *dir, const char *folder) {
    str_t path = {0};
    lens_status st = LENS_OK;
    for (int64_t s = 0; s < dataset_n_shards(d); s++) {
        uint64_t bytes = 0;
        str_clear(&path);
        str_addf(&path, "%s/%s/%s.h5", dir, folder, dataset_shard_name(d, s));
        LENS_GO(str_status(&path));
        if (!file_exists(path.s)) continue;
        LENS_GO(file_size(&bytes, path.s));
        *out += (double)bytes;
    }
done:
    str_free(&path);
    return st;
}

/* Index of the k-th sample read: evenly spread over the set. */
static int64_t spread(const data_figures_t *f, int64_t k) {
    return f->n_read == f->n_samples ? k : (int64_t)((double)k * (double)f->n_samples / (double)f->n_read);
}

static lens_status take_caption(caption_figures_t *c, const dataset_t *d, int64_t i, str_t *text) {
    lens_status st = dataset_caption(d, i, c->kind, text);
    if (st == LENS_STATE) return LENS_OK; /* a partial layer lacks this shard: not filled */
    LENS_TRY(st);
    c->text_bytes += (double)text->len;
    if (text->len > 0) c->words[c->n_filled++] = (double)data_figures_count_words(str_text(text));
    return LENS_OK;
}

static lens_status take_kind(caption_figures_t *c, const data_figures_t *f, const dataset_t *d, const char *layers,
                             const char *kind) {
    str_t text = {0};
    lens_status st = LENS_OK;
    c->kind = kind;
    c->words = malloc(((size_t)f->n_read + 1) * sizeof *c->words);
    if (c->words == NULL) LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory", dataset_dir(d)));
    if (strcmp(kind, "alt") != 0) LENS_GO(add_file_bytes(&c->file_bytes, d, dataset_dir(d), kind));
    /* A kind stands in one of the two folders. */
    if (strcmp(kind, "alt") != 0 && c->file_bytes == 0 && layers != NULL)
        LENS_GO(add_file_bytes(&c->file_bytes, d, layers, kind));
    for (int64_t k = 0; k < f->n_read; k++) LENS_GO(take_caption(c, d, spread(f, k), &text));
    qsort(c->words, (size_t)c->n_filled, sizeof *c->words, compare);
done:
    str_free(&text);
    return st;
}

static lens_status take_pictures(data_figures_t *f, const dataset_t *d) {
    int64_t n = 0;
    for (int64_t i = 0; i < f->n_samples; i++) {
        sample_info_t info;
        LENS_TRY(dataset_info(d, i, &info));
        f->image_bytes += (double)info.image_bytes;
        f->image_px += (double)info.width * info.height;
        if (n == f->n_read || i < spread(f, n)) continue;
        f->side_px[n] = info.width < info.height ? info.width : info.height;
        f->aspect[n] = (double)info.width / info.height;
        f->image_kb[n++] = (double)info.image_bytes / 1000;
    }
    return LENS_OK;
}

lens_status data_figures_take(data_figures_t *out, const dataset_t *d, const char *layers) {
    lens_status st = LENS_OK;
    *out = (data_figures_t){.n_samples = dataset_n_samples(d)};
    out->n_read = out->n_samples < DATA_FIGURES_MAX ? out->n_samples : DATA_FIGURES_MAX;
    size_t bytes = ((size_t)out->n_read + 1) * sizeof(double);
    int n_kinds = dataset_n_kinds(d);
    out->side_px = malloc(bytes);
    out->aspect = malloc(bytes);
    out->image_kb = malloc(bytes);
    out->kinds = calloc((size_t)n_kinds + 1, sizeof *out->kinds);
    if (out->side_px == NULL || out->aspect == NULL || out->image_kb == NULL || out->kinds == NULL)
        LENS_GO(lens_fail(LENS_MEMORY, "%s: out of memory", dataset_dir(d)));
    LENS_GO(add_file_bytes(&out->base_file_bytes, d, dataset_dir(d), "base"));
    LENS_GO(take_pictures(out, d));
    out->n_kinds = n_kinds;
    for (int k = 0; k < n_kinds; k++) LENS_GO(take_kind(&out->kinds[k], out, d, layers, dataset_kind(d, k)));
done:
    if (st != LENS_OK) data_figures_free(out);
    return st;
}

void data_figures_free(data_figures_t *f) {
    for (int k = 0; k < f->n_kinds; k++) free(f->kinds[k].words);
    free(f->kinds);
    free(f->side_px);
    free(f->aspect);
    free(f->image_kb);
    *f = (data_figures_t){0};
}
