/* lens ingest: pictures and their alt-text, from folders and WebDataset tars, into the base shards of a dataset. */
#include "base/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "data/image.h"
#include "data/ingest.h"

typedef struct {
    char *out;
    double quality;
    bool lossless, prefix_keys, json;
    int64_t max_side, shard_samples, shard_mb, threads;
} ingest_values_t;

#define AT(field) .offset = offsetof(ingest_values_t, field)
static const option_t ingest_rows[] = {
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     AT(out),
     .required = true,
     .choices = "DIR",
     .help = "the dataset's folder: new, or without shards"},
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
    {.name = "threads",
     .type = OPTION_INT,
     AT(threads),
     .initial = "0",
     .min = 0,
     .max = 1024,
     .help = "that decode and encode; 0: one a processor"},
    {.name = "json", .type = OPTION_FLAG, AT(json), .help = "print the summary as one JSON object"},
};
#undef AT

static double mib(uint64_t bytes) {
    return (double)bytes / (1024 * 1024);
}

static void print_text(const ingest_report_t *r, const char *out) {
    printf("accepted  %" PRId64 " samples in %" PRId64 " shards: %.1f MiB of WebP from %.1f MiB\n", r->n_accepted,
           r->n_shards, mib(r->webp_bytes), mib(r->source_bytes));
    if (r->n_shrunk) printf("  %" PRId64 " made smaller\n", r->n_shrunk);
    if (r->n_repaired)
        printf("  %" PRId64 " with text that was not UTF-8 (U+FFFD stands for what was not)\n", r->n_repaired);
    printf("rejected  %" PRId64 "%s%s%s\n", ingest_n_rejected(r), ingest_n_rejected(r) ? ": see " : "",
           ingest_n_rejected(r) ? out : "", ingest_n_rejected(r) ? "/rejects.jsonl" : "");
    for (int c = 0; c < REJECT_N; c++)
        if (r->n_rejected[c]) printf("  %" PRId64 " %s\n", r->n_rejected[c], reject_text(c));
    printf("time      %.1f s, %.1f samples/s\n", r->duration_s,
           r->duration_s > 0 ? (double)r->n_accepted / r->duration_s : 0);
}

static void print_json(const ingest_report_t *r) {
    printf("{\"accepted\":%" PRId64 ",\"shards\":%" PRId64 ",\"shrunk\":%" PRId64 ",\"repaired\":%" PRId64 ",",
           r->n_accepted, r->n_shards, r->n_shrunk, r->n_repaired);
    printf("\"source_bytes\":%" PRIu64 ",\"webp_bytes\":%" PRIu64 ",\"seconds\":%.3f,", r->source_bytes, r->webp_bytes,
           r->duration_s);
    printf("\"rejected\":%" PRId64 ",\"rejected_by_class\":{", ingest_n_rejected(r));
    const char *comma = "";
    for (int c = 0; c < REJECT_N; c++) {
        if (!r->n_rejected[c]) continue;
        printf("%s\"%s\":%" PRId64, comma, reject_text(c), r->n_rejected[c]);
        comma = ",";
    }
    printf("}}\n");
}

static lens_status ingest_run(const void *values, int n_args, char **args) {
    const ingest_values_t *v = values;
    if (n_args == 0) return lens_fail(LENS_ARGUMENT, "expected a folder or a tar to read from, got none");
    long n_processors = sysconf(_SC_NPROCESSORS_ONLN);
    const ingest_options_t options = {
        .sources = args,
        .n_sources = n_args,
        .out = v->out,
        .quality = v->quality,
        .lossless = v->lossless,
        .max_side_px = (int32_t)v->max_side,
        .prefix_keys = v->prefix_keys,
        .n_threads = v->threads         ? (int)v->threads
                     : n_processors > 0 ? (int)n_processors
                                        : 1,
        .shard_max_samples = v->shard_samples,
        .shard_max_bytes = (uint64_t)v->shard_mb << 20,
    };
    ingest_report_t report;
    LENS_TRY(ingest(&report, &options));
    if (v->json)
        print_json(&report);
    else
        print_text(&report, v->out);
    int64_t n_rejected = ingest_n_rejected(&report);
    if (report.n_accepted == 0 && n_rejected == 0) return lens_fail(LENS_FORMAT, "the sources hold no pictures");
    if (report.n_accepted == 0)
        return lens_fail(LENS_FORMAT, "no sample was accepted, %" PRId64 " were rejected: see %s/rejects.jsonl",
                         n_rejected, v->out);
    return LENS_OK;
}

const command_t cmd_ingest = {
    .name = "ingest",
    .usage = "SRC... -o DIR",
    .summary = "pack pictures and their alt-text into the shards of a dataset",
    .details =
        "SRC is a folder (with all below it) or a WebDataset tar, plain or compressed; samples keep the order of the "
        "sources.\n"
        "The content of a file decides whether it is a picture: JPEG, PNG or WebP. Alt-text comes from NAME.txt "
        "beside\n"
        "NAME.jpg, or from \"caption\", \"alt\" or \"text\" in NAME.json (all else in there is kept as metadata), or "
        "from the\n"
        "file's name. Pictures are turned upright by their EXIF data, laid over white where transparent, and kept as "
        "WebP.\n"
        "\n"
        "What cannot be taken is counted and named with its reason in DIR/rejects.jsonl. A tar that is cut short gives "
        "its\n"
        "samples up to the cut, with a warning. The exit status is 0 if at least one sample was accepted, otherwise 1.",
    .options = {ingest_rows, sizeof ingest_rows / sizeof *ingest_rows},
    .values_size = sizeof(ingest_values_t),
    .run = ingest_run,
};
