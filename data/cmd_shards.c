/* `lens shards`: looks into datasets. Here: the command, and ls. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/command.h"
#include "base/file.h"
#include "data/dataset_private.h"
#include "data/shards.h"

extern const command_t cmd_shards;

size_text_t shards_size(uint64_t n_bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)n_bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 6; unit++) value /= 1024;
    size_text_t out;
    snprintf(out.text, sizeof out.text, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

void shards_add_printable(str_t *out, const str_t *text) {
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->s[i];
        if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7F)
            str_addf(out, "\\x%02x", c);
        else
            str_add_char(out, (char)c);
    }
}

lens_status shards_open(dataset_t **out, const char *dir, const shards_options_t *o) {
    LENS_TRY(dataset_open_partial(out, dir));
    lens_status st = o->layers ? dataset_add_layers(*out, o->layers) : LENS_OK;
    if (st != LENS_OK) {
        dataset_close(*out);
        *out = NULL;
    }
    return st;
}

/* ---- ls ---- */

/* Bytes of the files of base shard i and of its layers, and the kinds of all of them. */
static lens_status list_shard(const dataset_t *d, int64_t i, uint64_t *n_bytes, json_t *kinds) {
    str_t path = {0};
    lens_status st = LENS_OK;
    *n_bytes = 0;
    int n_kinds = dataset_n_kinds(d), n_arrays = dataset_n_arrays(d);
    for (int k = 0; k < n_kinds + n_arrays && st == LENS_OK; k++) {
        const layer_t *l = k < n_kinds ? dataset_layer(d, k) : &d->arrays[k - n_kinds];
        if (!l->present[i]) continue;
        uint64_t file_bytes = 0;
        str_clear(&path);
        str_addf(&path, "%s/%s/%s.h5", l->dir, l->kind, dataset_shard_name(d, i));
        st = str_status(&path);
        if (st == LENS_OK) st = file_size(&file_bytes, path.s);
        *n_bytes += file_bytes;
        json_array_append_new(kinds, json_string(k == 0 ? "alt" : l->kind));
    }
    str_free(&path);
    return st;
}

static lens_status ls_text(const dataset_t *d) {
    uint64_t total = 0, n_bytes;
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < dataset_n_shards(d) && st == LENS_OK; i++) {
        json_t *kinds = json_array();
        st = list_shard(d, i, &n_bytes, kinds);
        total += n_bytes;
        printf("%s  %8" PRId64 " samples  %10s ", dataset_shard_name(d, i), dataset_shard_n_samples(d, i),
               shards_size(n_bytes).text);
        for (size_t k = 0; k < json_array_size(kinds); k++) printf(" %s", json_string_value(json_array_get(kinds, k)));
        putchar('\n');
        json_decref(kinds);
    }
    if (st == LENS_OK)
        printf("%s: %" PRId64 " samples in %" PRId64 " shards, %s\n", dataset_dir(d), dataset_n_samples(d),
               dataset_n_shards(d), shards_size(total).text);
    return st;
}

static lens_status ls_json(const dataset_t *d) {
    json_t *shards = json_array();
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < dataset_n_shards(d) && st == LENS_OK; i++) {
        json_t *kinds = json_array();
        uint64_t n_bytes;
        st = list_shard(d, i, &n_bytes, kinds);
        char hash[17];
        snprintf(hash, sizeof hash, "%016" PRIx64, dataset_shard_hash(d, i));
        json_array_append_new(shards, json_pack("{s:s, s:I, s:I, s:s, s:o}", "name", dataset_shard_name(d, i),
                                                "n_samples", (json_int_t)dataset_shard_n_samples(d, i), "file_bytes",
                                                (json_int_t)n_bytes, "content_hash", hash, "captions", kinds));
    }
    json_t *all = json_pack("{s:s, s:I, s:o}", "dataset", dataset_dir(d), "n_samples", (json_int_t)dataset_n_samples(d),
                            "shards", shards);
    if (!all) return lens_fail(LENS_MEMORY, "%s: cannot make JSON of its list", dataset_dir(d));
    if (st == LENS_OK) {
        json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
    }
    json_decref(all);
    return st;
}

static lens_status shards_ls(const dataset_t *d, const shards_options_t *o) {
    return o->json ? ls_json(d) : ls_text(d);
}

/* ---- the command ---- */

static lens_status each(lens_status (*action)(const dataset_t *, const shards_options_t *), const shards_options_t *o,
                        int n_dirs, char **dirs) {
    for (int i = 0; i < n_dirs; i++) {
        dataset_t *d;
        LENS_TRY(shards_open(&d, dirs[i], o));
        lens_status st = action(d, o);
        dataset_close(d);
        LENS_TRY(st);
    }
    return LENS_OK;
}

static lens_status verify(const shards_options_t *o, int n_dirs, char **dirs) {
    int64_t n_faults = 0;
    for (int i = 0; i < n_dirs; i++) {
        int64_t n = 0;
        LENS_TRY(shards_verify(dirs[i], o, &n));
        n_faults += n;
    }
    if (n_faults == 0) return LENS_OK;
    return lens_fail(LENS_FORMAT, "%" PRId64 " fault%s found", n_faults, n_faults == 1 ? "" : "s");
}

static lens_status cat(const shards_options_t *o, int n_args, char **args) {
    if (o->key ? n_args != 1 : n_args < 2)
        return lens_fail(LENS_ARGUMENT, "cat: expected DIR and %s", o->key ? "--key alone" : "INDEX..., or --key KEY");
    if (o->image && n_args > 2) return lens_fail(LENS_ARGUMENT, "cat: --image takes one sample, got %d", n_args - 1);
    dataset_t *d;
    LENS_TRY(shards_open(&d, args[0], o));
    lens_status st = o->key ? shards_cat(d, NULL, o) : LENS_OK;
    for (int i = 1; i < n_args && st == LENS_OK; i++) st = shards_cat(d, args[i], o);
    dataset_close(d);
    return st;
}

static lens_status make_index(const shards_options_t *o, int n_dirs, char **dirs) {
    bucket_list_t buckets;
    if (o->buckets) LENS_TRY(bucket_list_parse(&buckets, o->buckets, o->max_upscale));
    for (int i = 0; i < n_dirs; i++) {
        dataset_t *d;
        LENS_TRY(dataset_write_index(dirs[i], o->buckets ? &buckets : NULL));
        LENS_TRY(dataset_open_partial(&d, dirs[i]));
        printf("%s/%s: %" PRId64 " samples in %" PRId64 " shards\n", dirs[i], SET_INDEX_NAME, dataset_n_samples(d),
               dataset_n_shards(d));
        dataset_close(d);
    }
    return LENS_OK;
}

static lens_status one_to_out(const char *action, lens_status (*run_one)(const char *, const shards_options_t *),
                              const shards_options_t *o, int n_dirs, char **dirs) {
    if (n_dirs != 1 || !o->out) return lens_fail(LENS_ARGUMENT, "%s: expected one DIR and -o OUT", action);
    return run_one(dirs[0], o);
}

static lens_status merge(const shards_options_t *o, int n_dirs, char **dirs) {
    if (n_dirs < 2 || !o->out) return lens_fail(LENS_ARGUMENT, "merge: expected several DIR and -o OUT");
    if (o->where || o->limit) return lens_fail(LENS_ARGUMENT, "merge: takes all samples; --where is for select");
    return shards_select("merge", o, n_dirs, dirs);
}

static lens_status select_samples(const shards_options_t *o, int n_dirs, char **dirs) {
    if (!o->where || !o->out) return lens_fail(LENS_ARGUMENT, "select: expected DIR..., --where and -o OUT");
    return shards_select("select", o, n_dirs, dirs);
}

static lens_status ls(const shards_options_t *o, int n_dirs, char **dirs) {
    return each(shards_ls, o, n_dirs, dirs);
}

static lens_status stat_sets(const shards_options_t *o, int n_dirs, char **dirs) {
    return each(shards_stat, o, n_dirs, dirs);
}

static lens_status export_set(const shards_options_t *o, int n_dirs, char **dirs) {
    if (n_dirs != 1 || !o->out) return lens_fail(LENS_ARGUMENT, "export: expected one DIR and -o OUT");
    return each(shards_export, o, n_dirs, dirs);
}

static lens_status split(const shards_options_t *o, int n_dirs, char **dirs) {
    return one_to_out("split", shards_split, o, n_dirs, dirs);
}

static lens_status repair(const shards_options_t *o, int n_dirs, char **dirs) {
    return one_to_out("repair", shards_repair, o, n_dirs, dirs);
}

static const struct {
    const char *name;
    lens_status (*run)(const shards_options_t *o, int n_dirs, char **dirs);
} actions[] = {
    {"ls", ls},         {"stat", stat_sets},        {"verify", verify},
    {"cat", cat},       {"export", export_set},     {"index", make_index},
    {"merge", merge},   {"select", select_samples}, {"split", split},
    {"repair", repair},
};
enum { N_ACTIONS = sizeof actions / sizeof *actions };

static lens_status run(const void *values, int n_args, char **args) {
    const char *names[N_ACTIONS];
    int which;
    if (n_args == 0) return lens_fail(LENS_ARGUMENT, "expected an action: ls, stat, verify, cat and others");
    for (int i = 0; i < N_ACTIONS; i++) names[i] = actions[i].name;
    LENS_TRY(command_action(&which, args[0], names, N_ACTIONS));
    if (n_args == 1) return lens_fail(LENS_ARGUMENT, "%s: expected the folder of a dataset", args[0]);
    return actions[which].run(values, n_args - 1, args + 1);
}

static const option_t rows[] = {
    {.name = "json",
     .type = OPTION_FLAG,
     .offset = offsetof(shards_options_t, json),
     .help = "ls, stat, cat: one JSON object a line"},
    {.name = "key",
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, key),
     .choices = "KEY",
     .help = "cat: the sample of this key"},
    {.name = "image",
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, image),
     .choices = "FILE",
     .help = "cat: also write the picture (WebP or JPEG) there"},
    {.name = "caption",
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, caption),
     .initial = "alt",
     .choices = "KIND",
     .help = "export: what becomes KEY.txt"},
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, out),
     .choices = "DIR",
     .help = "export: folder of the tar files, one a shard; others: the new dataset"},
    {.name = "layers",
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, layers),
     .choices = "DIR",
     .help = "also the layers that stand in this folder"},
    {.name = "where",
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, where),
     .choices = "EXPR",
     .help = "select: the samples for which this holds"},
    {.name = "limit",
     .type = OPTION_INT,
     .offset = offsetof(shards_options_t, limit),
     .initial = "0",
     .min = 0,
     .max = 1e15,
     .help = "select: no more samples than this; 0: all"},
    {.name = "parts",
     .type = OPTION_INT,
     .offset = offsetof(shards_options_t, parts),
     .initial = "0",
     .min = 0,
     .max = 1000,
     .help = "split: into so many parts of about one size"},
    {.name = "fractions",
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, fractions),
     .choices = "F,F,...",
     .help = "split: into parts of these fractions, 0.9,0.1 for one"},
    {.name = "seed",
     .type = OPTION_INT,
     .offset = offsetof(shards_options_t, seed),
     .initial = "0",
     .min = 0,
     .max = 1e15,
     .help = "split: another assignment of keys to parts"},
    {.name = "shard-samples",
     .type = OPTION_INT,
     .offset = offsetof(shards_options_t, shard_samples),
     .initial = "10000",
     .min = 1,
     .max = 1 << 30,
     .help = "merge, select, split: samples of a shard at most"},
    {.name = "shard-mb",
     .type = OPTION_INT,
     .offset = offsetof(shards_options_t, shard_mb),
     .initial = "1024",
     .min = 1,
     .max = 1 << 30,
     .unit = "MiB",
     .help = "merge, select, split: pictures of a shard at most"},
    {.name = "prefix-keys",
     .type = OPTION_FLAG,
     .offset = offsetof(shards_options_t, prefix_keys),
     .help = "merge, select: keys begin with the name of their folder and a slash"},
    {.name = "common-layers",
     .type = OPTION_FLAG,
     .offset = offsetof(shards_options_t, common_layers),
     .help = "merge, select, split: leave out layers that not all samples have"},
    {.name = "buckets",
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, buckets),
     .choices = "LIST",
     .help = "index, stat: count samples by bucket (lens-27, or sizes with commas)"},
    {.name = "max-upscale",
     .type = OPTION_FLOAT,
     .offset = offsetof(shards_options_t, max_upscale),
     .initial = "1",
     .min = 0,
     .max = 1000,
     .help = "index, stat: largest enlargement to reach a bucket; 1: none, 0: any"},
};

const command_t cmd_shards = {
    .name = "shards",
    .usage = "ls|stat|verify|cat|export|index|merge|select|split|repair DIR...",
    .summary = "list, measure, check, print, export, join, cut and repair datasets",
    .details =
        "ls DIR...              shards with samples, bytes and caption kinds\n"
        "stat DIR...            counts, sizes, histograms, lengths of captions, compression\n"
        "verify DIR...          reads and checks every byte; one line a fault, exit status 1 where there is one\n"
        "cat DIR INDEX...       one sample: sizes, metadata, captions of all kinds (or: cat DIR --key KEY)\n"
        "export DIR -o OUT      WebDataset: OUT/shard-NNNNN.tar with KEY.webp or KEY.jpg, KEY.txt,\n"
        "                       KEY.json\n"
        "\n"
        "index DIR...           DIR/index.h5 made anew: sets of many shards open at once\n"
        "merge DIR... -o OUT    all samples with all their layers; no key twice\n"
        "select DIR... --where EXPR -o OUT\n"
        "                       those for which it holds: 'width >= 512 and words.dense > 20', see docs/where.md\n"
        "split DIR -o OUT       OUT/part-0, OUT/part-1, ... by a hash of the key, which moves no sample later on\n"
        "repair DIR -o OUT      what is whole of a damaged set; OUT/lost.jsonl has the rest with reasons\n"
        "\n"
        "docs/shard-format.md describes the files.",
    .options = OPTION_TABLE(rows),
    .values_size = sizeof(shards_options_t),
    .run = run,
};
