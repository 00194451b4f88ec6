#include "data/ingest_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/ingest_log.h"
#include "data/key_set.h"
#include "data/near_dup.h"

struct ingest_plan {
    const ingest_options_t *options;
    const source_units_t *units;
    const filter_chain_t *filters;
    FILE *rejects;
    int64_t n_parts_all, n_parts; /* of the run; added so far */
    int32_t *needed_by;           /* [n_parts_all] shards, decided or not, that a part's samples go to */
    ingest_runs_t *shards;        /* decided ones, and one more that is being filled */
    int64_t n_shards, shards_cap; /* n_shards: decided */
    int64_t open_samples;
    uint64_t open_bytes;
    key_set_t keys;
    near_dup_t *pictures;            /* NULL: the filters do not ask for it */
    ingest_embeddings_t *embeddings; /* NULL: the same */
    filter_near_duplicate_t near;
    str_t line;
    ingest_report_t report;
};

static lens_status plan_fill(ingest_plan_t *p) {
    p->n_parts_all = source_units_n(p->units);
    p->needed_by = calloc((size_t)p->n_parts_all + 1, sizeof *p->needed_by);
    p->shards = calloc(1, sizeof *p->shards);
    p->shards_cap = 1;
    if (!p->needed_by || !p->shards)
        return lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " parts", p->n_parts_all);
    p->report.n_parts = p->n_parts_all;
    return filter_chain_near_duplicate(p->filters, &p->near) ? near_dup_new(&p->pictures, p->near.radius) : LENS_OK;
}

lens_status ingest_plan_new(ingest_plan_t **out, const ingest_options_t *options, const source_units_t *units,
                            const filter_chain_t *filters, ingest_embeddings_t *embeddings, FILE *rejects) {
    *out = NULL;
    ingest_plan_t *p = calloc(1, sizeof *p);
    if (!p) return lens_fail(LENS_MEMORY, "out of memory for the plan");
    p->options = options;
    p->units = units;
    p->filters = filters;
    p->embeddings = embeddings;
    p->rejects = rejects;
    lens_status st = plan_fill(p);
    if (st == LENS_OK)
        *out = p;
    else
        ingest_plan_free(p);
    return st;
}

void ingest_plan_free(ingest_plan_t *p) {
    if (!p) return;
    for (int64_t s = 0; p->shards && s <= p->n_shards; s++) free(p->shards[s].runs);
    free(p->shards);
    free(p->needed_by);
    key_set_free(&p->keys);
    near_dup_free(p->pictures);
    str_free(&p->line);
    free(p);
}

/* ---- shards ---- */

static lens_status close_shard(ingest_plan_t *p) {
    if (p->n_shards + 2 > p->shards_cap) {
        int64_t cap = 2 * p->shards_cap;
        ingest_runs_t *grown = realloc(p->shards, (size_t)cap * sizeof *grown);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " shards", cap);
        p->shards = grown;
        p->shards_cap = cap;
    }
    p->shards[++p->n_shards] = (ingest_runs_t){0};
    p->open_samples = 0;
    p->open_bytes = 0;
    return LENS_OK;
}

static lens_status runs_add(ingest_runs_t *r, int64_t part, int64_t sample) {
    if (r->n == r->cap) {
        int64_t cap = r->cap ? 2 * r->cap : 4;
        ingest_run_t *grown = realloc(r->runs, (size_t)cap * sizeof *grown);
        if (!grown) return lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " runs of samples", cap);
        r->runs = grown;
        r->cap = cap;
    }
    r->runs[r->n++] = (ingest_run_t){part, sample, sample + 1};
    return LENS_OK;
}

/* sample: its number among the part's accepted ones. */
static lens_status take_sample(ingest_plan_t *p, int64_t sample, const ingest_record_t *r) {
    const ingest_options_t *o = p->options;
    if (p->open_samples > 0 &&
        (p->open_samples >= o->shard_max_samples || p->open_bytes + r->picture_bytes > o->shard_max_bytes))
        LENS_TRY(close_shard(p));
    ingest_runs_t *open = &p->shards[p->n_shards];
    ingest_run_t *last = open->n ? &open->runs[open->n - 1] : NULL;
    if (last && last->part == p->n_parts && last->end == sample) {
        last->end++;
    } else {
        if (!last || last->part != p->n_parts) p->needed_by[p->n_parts]++;
        LENS_TRY(runs_add(open, p->n_parts, sample));
    }
    p->open_samples++;
    p->open_bytes += r->picture_bytes;
    ingest_report_t *report = &p->report;
    report->n_accepted++;
    report->n_shrunk += r->shrunk;
    report->n_kept += r->kept;
    report->n_repaired += r->repaired;
    report->source_bytes += r->source_bytes;
    report->picture_bytes += r->picture_bytes;
    return LENS_OK;
}

/* ---- samples ---- */

/* A short write shows when the file is committed. */
static void put_line(ingest_plan_t *p, const char *line, size_t n) {
    if (!p->rejects) return;
    fwrite(line, 1, n, p->rejects);
    fputc('\n', p->rejects);
}

static lens_status drop(ingest_plan_t *p, const ingest_record_t *r, const char *class_name, const char *reason,
                        const double *value) {
    str_clear(&p->line);
    ingest_reject_line(&p->line, source_units_path(p->units, p->n_parts), r->key, r->key_bytes, class_name, reason,
                       value);
    LENS_TRY(str_status(&p->line));
    put_line(p, p->line.s, p->line.len);
    return LENS_OK;
}

static lens_status drop_duplicate(ingest_plan_t *p, const ingest_record_t *r) {
    str_t reason = {0};
    str_addf(&reason, "the key %.*s occurs twice", (int)(r->key_bytes < 200 ? r->key_bytes : 200), r->key);
    p->report.n_rejected[REJECT_DUPLICATE]++;
    lens_status st = str_status(&reason);
    if (st == LENS_OK) st = drop(p, r, reject_text(REJECT_DUPLICATE), reason.s, NULL);
    str_free(&reason);
    return st;
}

static lens_status drop_near(ingest_plan_t *p, const ingest_record_t *r, const char *reason, double value) {
    filter_counts_drop(&p->report.by_filter, p->near.stage, true);
    return drop(p, r, filter_chain_name(p->filters, p->near.stage), reason, &value);
}

/* Hash and embedding are kept both or neither: no picture falls to one that was dropped. */
static lens_status check_picture(ingest_plan_t *p, const ingest_record_t *r, bool *dropped) {
    int distance;
    uint64_t of;
    double cosine;
    char reason[128];
    *dropped = false;
    if (!p->pictures) return LENS_OK;
    *dropped = near_dup_find(p->pictures, r->phash, &distance, &of);
    if (*dropped) {
        snprintf(reason, sizeof reason, "perceptual hash %016" PRIx64 " is %d bits from %016" PRIx64, r->phash,
                 distance, of);
        return drop_near(p, r, reason, distance);
    }
    if (p->embeddings) LENS_TRY(ingest_embeddings_check(p->embeddings, dropped, &cosine));
    if (!*dropped) return near_dup_add(p->pictures, r->phash);
    snprintf(reason, sizeof reason, "cosine %.5g to an earlier picture, expected at most %.5g", cosine,
             p->near.embedding_cosine);
    return drop_near(p, r, reason, cosine);
}

static void count_verdict(ingest_plan_t *p, const ingest_record_t *r) {
    filter_counts_add(&p->report.by_filter, &(filter_verdict_t){.stage = r->stage, .missing = r->missing});
}

static lens_status add_accepted(ingest_plan_t *p, int64_t sample, const ingest_record_t *r) {
    if (key_set_has(&p->keys, r->key, r->key_bytes)) return drop_duplicate(p, r);
    LENS_TRY(key_set_add(&p->keys, r->key, r->key_bytes));
    count_verdict(p, r);
    bool dropped;
    LENS_TRY(check_picture(p, r, &dropped));
    return dropped ? LENS_OK : take_sample(p, sample, r);
}

static lens_status add_rejected(ingest_plan_t *p, const ingest_record_t *r, const char *name) {
    if (r->stage >= filter_chain_n(p->filters))
        return lens_fail(LENS_FORMAT, "%s: filter %d of %d", name, r->stage, filter_chain_n(p->filters));
    if (r->stage >= 0)
        count_verdict(p, r);
    else
        p->report.n_rejected[r->reject]++;
    put_line(p, r->line, r->line_bytes);
    return LENS_OK;
}

static void count_row(ingest_embeddings_t *e, const ingest_record_t *r) {
    if (!r->accepted && r->reject == REJECT_CUT_SHORT)
        ingest_embeddings_cut_short(e);
    else
        ingest_embeddings_next(e);
}

lens_status ingest_plan_add(ingest_plan_t *p, const char *log, size_t n, const char *name) {
    ingest_log_reader_t reader = {.text = log, .n = n, .name = name};
    ingest_record_t r;
    lens_status st;
    LENS_ASSERT(p->n_parts < p->n_parts_all, "part %" PRId64 " of %" PRId64, p->n_parts, p->n_parts_all);
    bool damaged = false;
    if (p->embeddings) LENS_TRY(ingest_embeddings_part(p->embeddings, p->n_parts));
    for (int64_t sample = 0; (st = ingest_log_next(&reader, &r)) == LENS_OK;) {
        p->report.n_read++;
        if (p->embeddings) count_row(p->embeddings, &r);
        damaged |= !r.accepted &&
                   (r.reject == REJECT_CUT_SHORT || r.reject == REJECT_UNREADABLE || r.reject == REJECT_VANISHED);
        LENS_TRY(r.accepted ? add_accepted(p, sample++, &r) : add_rejected(p, &r, name));
    }
    if (st != LENS_END) return st;
    p->report.n_damaged_parts += damaged;
    p->n_parts++;
    if (p->n_parts == p->n_parts_all && p->embeddings) LENS_TRY(ingest_embeddings_end(p->embeddings));
    if (p->n_parts == p->n_parts_all && p->open_samples > 0) LENS_TRY(close_shard(p));
    p->report.n_shards = p->n_shards;
    return LENS_OK;
}

/* ---- what stands in the plan ---- */

int64_t ingest_plan_n_parts(const ingest_plan_t *p) {
    return p->n_parts;
}

int64_t ingest_plan_n_shards(const ingest_plan_t *p) {
    return p->n_shards;
}

const ingest_runs_t *ingest_plan_shard(const ingest_plan_t *p, int64_t shard) {
    LENS_ASSERT(shard >= 0 && shard < p->n_shards, "shard %" PRId64 " of %" PRId64, shard, p->n_shards);
    return &p->shards[shard];
}

const ingest_report_t *ingest_plan_report(const ingest_plan_t *p) {
    return &p->report;
}

void ingest_plan_drop_shard(ingest_plan_t *p, int64_t shard) {
    ingest_runs_t *r = &p->shards[shard];
    for (int64_t i = 0; i < r->n; i++)
        if (i == 0 || r->runs[i].part != r->runs[i - 1].part) p->needed_by[r->runs[i].part]--;
    free(r->runs);
    *r = (ingest_runs_t){0};
}

bool ingest_plan_part_is_free(const ingest_plan_t *p, int64_t part) {
    return part < p->n_parts && p->needed_by[part] == 0;
}
