/* `lens shards merge`, `select` and `split`: samples of datasets into new ones. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"
#include "data/shards.h"
#include "data/shards_copy.h"
#include "data/where.h"

enum { PARTS_MAX = 1000 };

typedef struct {
    const shards_options_t *o;
    dataset_t **sources; /* [n], owned */
    int n;
    copy_options_t copy;
} job_t;

static void job_free(job_t *j) {
    for (int i = 0; j->sources && i < j->n; i++) dataset_close(j->sources[i]);
    free(j->sources);
}

static lens_status job_open(job_t *j, const char *action, const shards_options_t *o, int n_dirs, char **dirs) {
    *j = (job_t){.o = o, .n = n_dirs};
    j->sources = calloc((size_t)n_dirs, sizeof *j->sources);
    if (!j->sources) return lens_fail(LENS_MEMORY, "out of memory for %d datasets", n_dirs);
    for (int i = 0; i < n_dirs; i++) LENS_TRY(shards_open(&j->sources[i], dirs[i], o));
    j->copy = (copy_options_t){.action = action,
                               .where = o->where,
                               .sources = j->sources,
                               .n_sources = n_dirs,
                               .shard_max_samples = o->shard_samples,
                               .shard_max_bytes = (uint64_t)o->shard_mb << 20,
                               .prefix_keys = o->prefix_keys,
                               .common_layers = o->common_layers};
    return LENS_OK;
}

/* ---- merge and select ---- */

static lens_status select_from(const job_t *j, int source, const where_t *w, copier_t *c) {
    const dataset_t *d = j->sources[source];
    where_sample_t *s = NULL;
    if (w) LENS_TRY(where_sample_new(&s, w, d));
    lens_status st = LENS_OK;
    int64_t n = dataset_n_samples(d);
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        bool wanted = true;
        if (j->o->limit && copier_n_samples(c) >= j->o->limit) break;
        if (i % 10000 == 0) log_progress("%s: sample %" PRId64 " of %" PRId64, dataset_dir(d), i, n);
        if (s) st = lens_context(where_sample_eval(s, i, &wanted), "%s: sample %" PRId64, dataset_dir(d), i);
        if (st == LENS_OK && wanted) st = copier_add(c, source, i);
    }
    log_progress_end();
    where_sample_free(s);
    return st;
}

lens_status shards_select(const char *action, const shards_options_t *o, int n_dirs, char **dirs) {
    job_t j;
    where_t *w = NULL;
    copier_t *c = NULL;
    int64_t n = 0;
    lens_status st;
    LENS_GO(job_open(&j, action, o, n_dirs, dirs));
    if (o->where) LENS_GO(lens_context(where_parse(&w, o->where), "--where"));
    LENS_GO(copier_open(&c, o->out, &j.copy));
    for (int i = 0; i < n_dirs; i++) LENS_GO(select_from(&j, i, w, c));
    n = copier_n_samples(c);
    st = copier_close(c);
    c = NULL;
    if (st == LENS_OK) printf("%s: %" PRId64 " samples\n", o->out, n);
done:
    copier_abort(c);
    where_free(w);
    job_free(&j);
    return st;
}

/* ---- split ---- */

/* Ends of the parts in [0, 1], ascending; the last is 1. */
static lens_status parse_fractions(const char *text, double *ends, int *n) {
    double sum = 0;
    *n = 0;
    for (const char *at = text;; at++) {
        char *end;
        double f = strtod(at, &end);
        if (end == at || !(f > 0 && f <= 1) || (*end != ',' && *end != '\0') || *n == PARTS_MAX)
            return lens_fail(LENS_ARGUMENT, "--fractions %s: expected numbers in (0, 1] with commas", text);
        ends[(*n)++] = sum += f;
        at = end;
        if (*end == '\0') break;
    }
    if (sum < 1 - 1e-6 || sum > 1 + 1e-6)
        return lens_fail(LENS_ARGUMENT, "--fractions %s: they sum to %g, expected 1", text, sum);
    ends[*n - 1] = 1;
    return LENS_OK;
}

static lens_status make_ends(const shards_options_t *o, double *ends, int *n) {
    if ((o->parts > 0) == (o->fractions != NULL))
        return lens_fail(LENS_ARGUMENT, "split: expected either --parts or --fractions");
    if (o->fractions) return parse_fractions(o->fractions, ends, n);
    *n = (int)o->parts;
    for (int i = 0; i < *n; i++) ends[i] = (i + 1.0) / *n;
    return LENS_OK;
}

/* By the key alone: a sample stays in its part whatever else is in the set. */
static int part_of(const str_t *key, const double *ends, int n, int64_t seed) {
    double u = (double)(XXH3_64bits_withSeed(key->s, key->len, (XXH64_hash_t)seed) >> 11) * 0x1p-53;
    int part = 0;
    while (part < n - 1 && u >= ends[part]) part++;
    return part;
}

static lens_status split_into(const job_t *j, copier_t **parts, const double *ends, int n_parts) {
    const dataset_t *d = j->sources[0];
    str_t key = {0};
    lens_status st = LENS_OK;
    int64_t n = dataset_n_samples(d);
    for (int64_t i = 0; i < n; i++) {
        if (i % 10000 == 0) log_progress("%s: sample %" PRId64 " of %" PRId64, dataset_dir(d), i, n);
        LENS_GO(dataset_key(d, i, &key));
        LENS_GO(copier_add(parts[part_of(&key, ends, n_parts, j->o->seed)], 0, i));
    }
done:
    log_progress_end();
    str_free(&key);
    return st;
}

/* OUT/part-0 and so on. A part that stays empty is an error: the set is too small for it. */
static lens_status split_parts(const job_t *j, const double *ends, int n_parts) {
    str_t dir = {0};
    lens_status st = LENS_OK;
    copier_t **parts = calloc((size_t)n_parts, sizeof(copier_t *));
    if (!parts) return lens_fail(LENS_MEMORY, "out of memory for %d parts", n_parts);
    for (int i = 0; i < n_parts; i++) {
        str_clear(&dir);
        str_addf(&dir, "%s/part-%d", j->o->out, i);
        LENS_GO(str_status(&dir));
        LENS_GO(copier_open(&parts[i], dir.s, &j->copy));
    }
    LENS_GO(split_into(j, parts, ends, n_parts));
    for (int i = 0; i < n_parts; i++) {
        int64_t n = copier_n_samples(parts[i]);
        st = copier_close(parts[i]);
        parts[i] = NULL;
        if (st != LENS_OK) goto done;
        printf("%s/part-%d: %" PRId64 " samples\n", j->o->out, i, n);
    }
done:
    for (int i = 0; i < n_parts; i++) copier_abort(parts[i]);
    free(parts);
    str_free(&dir);
    return st;
}

lens_status shards_split(const char *dir, const shards_options_t *o) {
    double ends[PARTS_MAX];
    int n_parts = 0;
    job_t j;
    LENS_TRY(make_ends(o, ends, &n_parts));
    lens_status st = job_open(&j, "split", o, 1, (char *[]){(char *)dir});
    if (st == LENS_OK) st = split_parts(&j, ends, n_parts);
    job_free(&j);
    return st;
}
