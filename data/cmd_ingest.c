/* lens ingest: pictures and their alt-text, from folders and WebDataset tars, into the base shards of a dataset. */
#include "base/command.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "data/image.h"
#include "data/ingest.h"
#include "data/ingest_report.h"

typedef struct {
    char *out, *config, *rejects;
    double quality;
    bool lossless, keep_jpeg, prefix_keys, dry_run, json;
    int64_t max_side, shard_samples, shard_mb, unit_samples, zstd_level, threads, memory_mb;
} ingest_values_t;

#define AT(field) .offset = offsetof(ingest_values_t, field)
static const option_t ingest_rows[] = {
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     AT(out),
     .choices = "DIR",
     .help = "the dataset's folder: new, or that of the same run when it was interrupted"},
    {.name = "config",
     .type = OPTION_STRING,
     AT(config),
     .choices = "FILE",
     .config_list = "filters",
     .help = "YAML: these options, and a list `filters:` of what drops samples"},
    {.name = "dry-run",
     .type = OPTION_FLAG,
     AT(dry_run),
     .help = "only tell what would be dropped: nothing is encoded, and nothing written to --out"},
    {.name = "rejects",
     .type = OPTION_STRING,
     AT(rejects),
     .choices = "FILE",
     .help = "where the rejects go, one JSON object a line; default: DIR/rejects.jsonl, in a dry run nowhere"},
    {.name = "quality",
     .type = OPTION_FLOAT,
     AT(quality),
     .initial = "90",
     .min = 0,
     .max = 100,
     .help = "of the WebP pictures that are kept"},
    {.name = "lossless",
     .type = OPTION_FLAG,
     AT(lossless),
     .help = "keep every pixel as it is; --quality counts for nothing"},
    {.name = "keep-jpeg",
     .type = OPTION_FLAG,
     AT(keep_jpeg),
     .help = "keep JPEGs as they are where that loses nothing: upright, RGB or grey, sRGB, not to be shrunk"},
    {.name = "max-side",
     .type = OPTION_INT,
     AT(max_side),
     .initial = "0",
     .min = 0,
     .max = IMAGE_WEBP_MAX_SIDE,
     .unit = "px",
     .help = "shrink pictures whose longer side is above; 0 keeps all sizes"},
    {.name = "prefix-keys",
     .type = OPTION_FLAG,
     AT(prefix_keys),
     .help = "put the source's name before each key, for tars that all count from 0"},
    {.name = "shard-samples",
     .type = OPTION_INT,
     AT(shard_samples),
     .initial = "10000",
     .min = 1,
     .max = 1e9,
     .help = "samples in one shard at most"},
    {.name = "shard-mb",
     .type = OPTION_INT,
     AT(shard_mb),
     .initial = "1024",
     .min = 1,
     .max = 1e6,
     .unit = "MiB",
     .help = "pictures in one shard at most"},
    {.name = "zstd-level",
     .type = OPTION_INT,
     AT(zstd_level),
     .initial = "9",
     .min = 1,
     .max = 19,
     .help = "of the texts"},
    {.name = "unit-samples",
     .type = OPTION_INT,
     AT(unit_samples),
     .initial = "1000",
     .min = 1,
     .max = 1e6,
     .help = "samples that are read as one piece of work; a tar below 1 GiB is always one"},
    {.name = "memory-mb",
     .type = OPTION_INT,
     AT(memory_mb),
     .initial = "2048",
     .min = 64,
     .max = 1e7,
     .unit = "MiB",
     .help = "for the pictures that a process decodes and encodes at once; larger ones are rejected"},
    {.name = "threads",
     .type = OPTION_INT,
     AT(threads),
     .initial = "0",
     .min = 0,
     .max = 1024,
     .help = "of each process; 0: one a processor that it may use"},
    {.name = "json", .type = OPTION_FLAG, AT(json), .help = "print the summary as one JSON object"},
};
#undef AT

static double mib(uint64_t bytes) {
    return (double)bytes / (1024 * 1024);
}

static lens_status print_funnel(const ingest_report_t *r) {
    const filter_counts_t counts = ingest_funnel(r);
    str_t text = {0};
    filter_funnel_print(&text, &counts, r->filters);
    lens_status st = str_status(&text);
    if (st == LENS_OK) fputs(str_text(&text), stdout);
    str_free(&text);
    return st;
}

/* ": see FILE", or nothing where the rejects are nowhere to be seen. */
static void add_rejects_place(str_t *out, const ingest_values_t *v) {
    if (v->rejects)
        str_addf(out, ": see %s", v->rejects);
    else if (!v->dry_run)
        str_addf(out, ": see %s/rejects.jsonl", v->out);
}

static void print_text(const ingest_report_t *r, const ingest_values_t *v, const char *rejects_place) {
    const int64_t n_rejected = ingest_n_rejected(r);
    if (!v->dry_run)
        printf("accepted  %" PRId64 " samples in %" PRId64 " shard%s: %.1f MiB of %s from %.1f MiB\n", r->n_accepted,
               r->n_shards, r->n_shards == 1 ? "" : "s", mib(r->picture_bytes), r->n_kept ? "pictures" : "WebP",
               mib(r->source_bytes));
    else
        printf("accepted  %" PRId64 " samples of %.1f MiB; no dataset was written\n", r->n_accepted,
               mib(r->source_bytes));
    if (r->n_shrunk) printf("  %" PRId64 " made smaller\n", r->n_shrunk);
    if (r->n_kept) printf("  %" PRId64 " JPEGs as they came\n", r->n_kept);
    if (r->n_repaired)
        printf("  %" PRId64 " with text that was not UTF-8 (U+FFFD stands for what was not)\n", r->n_repaired);
    printf("rejected  %" PRId64 "%s\n", n_rejected, n_rejected ? rejects_place : "");
    for (int c = 0; c < REJECT_N; c++)
        if (r->n_rejected[c]) printf("  %" PRId64 " %s\n", r->n_rejected[c], reject_text(c));
    for (int s = 0; s < filter_chain_n(r->filters); s++)
        if (r->by_filter.dropped[s])
            printf("  %" PRId64 " %s\n", r->by_filter.dropped[s], filter_chain_name(r->filters, s));
    if (r->n_resumed_parts)
        printf("resumed   %" PRId64 " of %" PRId64 " parts were there already\n", r->n_resumed_parts, r->n_parts);
    printf("time      %.1f s, %.1f samples/s\n", r->duration_s,
           r->duration_s > 0 ? (double)r->n_accepted / r->duration_s : 0);
}

static lens_status print_report(const ingest_report_t *r, const ingest_values_t *v) {
    str_t json = {0}, place = {0};
    lens_status st;
    add_rejects_place(&place, v);
    LENS_GO(str_status(&place));
    if (v->json) {
        ingest_report_json(&json, r);
        LENS_GO(str_status(&json));
        printf("%s\n", json.s);
    } else {
        if (filter_chain_n(r->filters) > 0) LENS_GO(print_funnel(r));
        print_text(r, v, str_text(&place));
    }
    const int64_t n_rejected = ingest_n_rejected(r);
    if (r->n_damaged_parts)
        log_warn("%" PRId64 " parts of the input could not be read to their end", r->n_damaged_parts);
    if (r->n_read == 0)
        st = lens_fail(LENS_FORMAT, "the sources hold no pictures");
    else if (r->n_accepted == 0)
        st =
            lens_fail(LENS_FORMAT, "no sample was accepted, %" PRId64 " were rejected%s", n_rejected, str_text(&place));
done:
    str_free(&json);
    str_free(&place);
    return st;
}

/* The processors that this process may use, shared with the ranks that may use the same. */
static int default_threads(const comm_t *comm) {
    cpu_set_t mine;
    int n = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    n /= comm_core_ranks(comm);
    return n > 0 ? n : 1;
}

static lens_status run_with(comm_t *comm, const ingest_values_t *v, int n_args, char **args) {
    const ingest_options_t options = {
        .sources = args,
        .n_sources = n_args,
        .out = v->dry_run ? NULL : v->out,
        .rejects = v->rejects,
        .config = v->config,
        .quality = v->quality,
        .lossless = v->lossless,
        .keep_jpeg = v->keep_jpeg,
        .max_side_px = (int32_t)v->max_side,
        .prefix_keys = v->prefix_keys,
        .n_threads = v->threads ? (int)v->threads : default_threads(comm),
        .memory_bytes = (uint64_t)v->memory_mb << 20,
        .unit_samples = v->unit_samples,
        .zstd_level = (int)v->zstd_level,
        .shard_max_samples = v->shard_samples,
        .shard_max_bytes = (uint64_t)v->shard_mb << 20,
    };
    ingest_report_t report;
    LENS_TRY(ingest(&report, &options, comm));
    lens_status st = comm_rank(comm) == 0 ? print_report(&report, v) : LENS_OK;
    ingest_report_reset(&report);
    return st;
}

static lens_status ingest_run(const void *values, int n_args, char **args) {
    const ingest_values_t *v = values;
    if (n_args == 0) return lens_fail(LENS_ARGUMENT, "expected a folder or a tar to read from, got none");
    if (!v->dry_run && (!v->out || !*v->out))
        return lens_fail(LENS_ARGUMENT, "--out: expected a folder (only --dry-run needs none)");
    comm_t *comm;
    LENS_TRY(comm_init(&comm));
    log_init(comm_rank(comm), comm_world(comm));
    lens_status st = run_with(comm, v, n_args, args);
    comm_free(comm);
    return st;
}

const command_t cmd_ingest = {
    .name = "ingest",
    .usage = "SRC... -o DIR",
    .summary = "pack pictures and their alt-text into the shards of a dataset",
    .details =
        "SRC is a folder (with all below it), a WebDataset tar, plain or compressed, \"-\" for one on standard input, "
        "a\n"
        "manifest (.jsonl, .tsv, .csv), a dataset, or a pattern of these: {00000..00099}, *. Samples keep the order "
        "of\n"
        "the sources.\n"
        "The content of a file decides whether it is a picture: JPEG, PNG or WebP. Alt-text comes from NAME.txt "
        "beside\n"
        "NAME.jpg, or from \"caption\", \"alt\" or \"text\" in NAME.json (all else in there is kept as metadata), or "
        "from the\n"
        "file's name. Pictures are turned upright by their EXIF data, laid over white where transparent, and kept as "
        "WebP.\n"
        "\n"
        "What cannot be taken is counted and named with its reason in DIR/rejects.jsonl. A tar that is cut short gives "
        "its\n"
        "samples up to the cut, with a warning; a disk or a network that fails under it ends the run.\n"
        "\n"
        "A run that was interrupted goes on where the same command is given again. Under mpirun or srun the ranks "
        "share\n"
        "the work. The result does not depend on threads, ranks or interruptions. The exit status is 0 if at least one "
        "sample was accepted, otherwise 1.",
    .options = {ingest_rows, sizeof ingest_rows / sizeof *ingest_rows},
    .values_size = sizeof(ingest_values_t),
    .run = ingest_run,
};
