#include "data/caption_mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static lens_status unknown_kind(const char *kind, const dataset_t *d) {
    int n = dataset_n_kinds(d);
    str_t message = {0};
    str_addf(&message, "captions: %s has no kind '%s'; it has", dataset_dir(d), kind);
    for (int i = 0; i < n; i++) str_addf(&message, "%s %s", i > 0 ? "," : "", dataset_kind(d, i));
    lens_status st = lens_fail(LENS_ARGUMENT, "%s", str_text(&message));
    str_free(&message);
    return st;
}

/* One "kind" or "kind=weight" of length n. */
static lens_status add_kind(caption_mix_t *m, const char *text, size_t n, const dataset_t *d) {
    char item[128], *weight, *end;
    if (n >= sizeof(item) || m->n == CAPTION_MIX_MAX_KINDS)
        return lens_fail(LENS_ARGUMENT, "captions: a kind of %zu letters, or more than %d kinds", n,
                         CAPTION_MIX_MAX_KINDS);
    memcpy(item, text, n);
    item[n] = '\0';
    m->weight[m->n] = 1.0;
    if ((weight = strchr(item, '='))) {
        *weight++ = '\0';
        m->weight[m->n] = strtod(weight, &end);
        if (end == weight || *end || !isfinite(m->weight[m->n]) || m->weight[m->n] <= 0)
            return lens_fail(LENS_ARGUMENT, "captions: weight '%s' of '%s' is no positive number", weight, item);
    }
    for (int i = 0; i < m->n; i++) {
        if (strcmp(m->kind[i], item) == 0) return lens_fail(LENS_ARGUMENT, "captions: '%s' is given twice", item);
    }
    if (!dataset_has_kind(d, item)) return unknown_kind(item, d);
    if (!(m->kind[m->n] = strdup(item))) return lens_fail(LENS_MEMORY, "captions: '%s'", item);
    m->total += m->weight[m->n++];
    return LENS_OK;
}

lens_status caption_mix_init(caption_mix_t *out, const char *spec, const dataset_t *d) {
    lens_status st;
    *out = (caption_mix_t){0};
    for (const char *item = spec;; item++) {
        size_t n = strcspn(item, ",");
        LENS_GO(add_kind(out, item, n, d));
        item += n;
        if (*item == '\0') break;
    }
    if (!isfinite(out->total)) st = lens_fail(LENS_ARGUMENT, "captions: the weights of '%s' are too large", spec);
done:
    if (st != LENS_OK) caption_mix_reset(out);
    return st;
}

void caption_mix_reset(caption_mix_t *m) {
    for (int i = 0; i < m->n; i++) free(m->kind[i]);
    *m = (caption_mix_t){0};
}

const char *caption_mix_pick(const caption_mix_t *m, rng_t *r) {
    double at = rng_uniform(r) * m->total;
    for (int i = 0; i < m->n - 1; i++) {
        at -= m->weight[i];
        if (at < 0) return m->kind[i];
    }
    return m->kind[m->n - 1]; /* rounding cannot fall off the end */
}
