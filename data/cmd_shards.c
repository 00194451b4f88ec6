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

void shards_add_size(str_t *out, uint64_t n_bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)n_bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 6; unit++) value /= 1024;
    str_addf(out, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
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
    str_t size = {0};
    uint64_t total = 0, n_bytes;
    lens_status st = LENS_OK;
    for (int64_t i = 0; i < dataset_n_shards(d) && st == LENS_OK; i++) {
        json_t *kinds = json_array();
        st = list_shard(d, i, &n_bytes, kinds);
        total += n_bytes;
        str_clear(&size);
        shards_add_size(&size, n_bytes);
        printf("%s  %8" PRId64 " samples  %10s ", dataset_shard_name(d, i), dataset_shard_n_samples(d, i),
               str_text(&size));
        for (size_t k = 0; k < json_array_size(kinds); k++) printf(" %s", json_string_value(json_array_get(kinds, k)));
        putchar('\n');
        json_decref(kinds);
    }
    str_clear(&size);
    shards_add_size(&size, total);
    if (st == LENS_OK) st = str_status(&size);
    if (st == LENS_OK)
        printf("%s: %" PRId64 " samples in %" PRId64 " shards, %s\n", dataset_dir(d), dataset_n_samples(d),
               dataset_n_shards(d), str_text(&size));
    str_free(&size);
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

static lens_status run(const void *values, int n_args, char **args) {
    static const char *const actions[] = {"ls", "stat", "verify", "cat", "export"};
    const shards_options_t *o = values;
    if (n_args == 0) return lens_fail(LENS_ARGUMENT, "expected an action: ls, stat, verify, cat or export");
    const char *action = args[0];
    if (n_args == 1) return lens_fail(LENS_ARGUMENT, "%s: expected the folder of a dataset", action);
    n_args--;
    args++;
    if (strcmp(action, "ls") == 0) return each(shards_ls, o, n_args, args);
    if (strcmp(action, "stat") == 0) return each(shards_stat, o, n_args, args);
    if (strcmp(action, "verify") == 0) return verify(o, n_args, args);
    if (strcmp(action, "cat") == 0) return cat(o, n_args, args);
    if (strcmp(action, "export") == 0) {
        if (n_args != 1 || !o->out) return lens_fail(LENS_ARGUMENT, "export: expected one DIR and -o OUT");
        return each(shards_export, o, n_args, args);
    }
    const char *near = str_nearest(action, actions, 5);
    return lens_fail(LENS_ARGUMENT, "unknown action \"%s\" (%s%s%s)", action, near ? "did you mean \"" : "expected ",
                     near ? near : "ls, stat, verify, cat or export", near ? "\"?" : "");
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
     .help = "export: folder of the tar files, one a shard"},
    {.name = "layers",
     .type = OPTION_STRING,
     .offset = offsetof(shards_options_t, layers),
     .choices = "DIR",
     .help = "also the caption layers that stand in this folder"},
};

const command_t cmd_shards = {
    .name = "shards",
    .usage = "ls|stat|verify|cat|export DIR...",
    .summary = "list, measure, check, print and export datasets",
    .details =
        "ls DIR...              shards with samples, bytes and caption kinds\n"
        "stat DIR...            counts, sizes, histograms, lengths of captions, compression\n"
        "verify DIR...          reads and checks every byte; one line a fault, exit status 1 where there is one\n"
        "cat DIR INDEX...       one sample: sizes, metadata, captions of all kinds (or: cat DIR --key KEY)\n"
        "export DIR -o OUT      WebDataset: OUT/shard-NNNNN.tar with KEY.webp or KEY.jpg, KEY.txt,\n"
        "                       KEY.json\n"
        "\n"
        "docs/shard-format.md describes the files.",
    .options = OPTION_TABLE(rows),
    .values_size = sizeof(shards_options_t),
    .run = run,
};
