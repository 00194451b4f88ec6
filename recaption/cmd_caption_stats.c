/* `lens caption-stats`: figures of a dataset's captions, kind beside kind. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/command.h"
#include "base/file.h"
#include "recaption/caption_stats.h"

typedef struct {
    char *kinds, *layers, *out;
    int64_t threads;
    bool json;
} values_t;

#define AT(field) .offset = offsetof(values_t, field)
static const option_t rows[] = {
    {.name = "kinds",
     .type = OPTION_STRING,
     AT(kinds),
     .choices = "KIND,...",
     .help = "captions to compare, alt is the alt-text (default: all there are)"},
    {.name = "layers",
     .type = OPTION_STRING,
     AT(layers),
     .choices = "DIR",
     .help = "folder that holds the layers (default: the dataset's own)"},
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     AT(out),
     .choices = "FILE",
     .help = "write the JSON object there too; lens report shows DIR/caption-stats.json"},
    {.name = "threads",
     .type = OPTION_INT,
     AT(threads),
     .initial = "0",
     .min = 0,
     .max = 256,
     .help = "threads; 0: one a processor"},
    {.name = "json", .type = OPTION_FLAG, AT(json), .help = "print a JSON object instead of the table"},
};
#undef AT

static double per(double x, double y) {
    return y > 0 ? x / y : 0;
}

/* ---- rows: a figure of a kind, by name; the table and the JSON object both show these ---- */

typedef struct {
    const char *name, *help;
    double (*of)(const caption_stats_t *s);
} figure_t;

#define FIGURE(name_, expression)                                                                                      \
    static double name_(const caption_stats_t *s) {                                                                    \
        return expression;                                                                                             \
    }
FIGURE(captions, (double)s->n_captions)
FIGURE(empty, (double)s->n_empty)
FIGURE(words_mean, per((double)s->sum.n_words, (double)s->n_captions))
FIGURE(words_p5, (double)caption_stats_words(s, 0.05))
FIGURE(words_p50, (double)caption_stats_words(s, 0.5))
FIGURE(words_p95, (double)caption_stats_words(s, 0.95))
FIGURE(sentences, per((double)s->sum.n_sentences, (double)s->n_captions))
FIGURE(different, per((double)s->sum.n_different, (double)s->n_captions))
FIGURE(vocabulary, sketch_count(&s->runs[0]))
FIGURE(distinct_1, per(sketch_count(&s->runs[0]), (double)s->n_runs[0]))
FIGURE(distinct_2, per(sketch_count(&s->runs[1]), (double)s->n_runs[1]))
FIGURE(distinct_4, per(sketch_count(&s->runs[2]), (double)s->n_runs[2]))
FIGURE(novelty, per((double)s->sum.n_new_pairs, (double)s->sum.n_pairs))
FIGURE(colours, per((double)s->sum.n_colours, (double)s->n_captions))
FIGURE(numbers, per((double)s->sum.n_numbers, (double)s->n_captions))
FIGURE(relations, per((double)s->sum.n_relations, (double)s->n_captions))
FIGURE(alt_kept, per((double)s->sum.n_alt_kept, (double)s->sum.n_alt_words))
FIGURE(names_kept, per((double)s->sum.n_names_kept, (double)s->sum.n_names))
FIGURE(bits, per(8 * (double)s->packed_bytes, (double)s->n_sampled))
FIGURE(bits_word, per(8 * (double)s->packed_bytes, (double)s->sampled_words))
FIGURE(doubled, (double)s->n_doubled)
#undef FIGURE

static const figure_t figures[] = {
    {"captions", "captions", captions},
    {"empty", "empty: rejected, or no alt-text", empty},
    {"words_mean", "words, mean", words_mean},
    {"words_p5", "words, 5 %", words_p5},
    {"words_p50", "words, median", words_p50},
    {"words_p95", "words, 95 %", words_p95},
    {"sentences", "sentences a caption", sentences},
    {"different", "different words a caption", different},
    {"vocabulary", "different words of all captions", vocabulary},
    {"distinct_1", "distinct-1: different words / words", distinct_1},
    {"distinct_2", "distinct-2", distinct_2},
    {"distinct_4", "distinct-4", distinct_4},
    {"novelty", "word pairs that the alt-text lacks", novelty},
    {"colours", "named colours a caption", colours},
    {"numbers", "numbers a caption", numbers},
    {"relations", "relations a caption", relations},
    {"alt_kept", "words of the alt-text kept", alt_kept},
    {"names_kept", "names and quotes of the alt-text kept", names_kept},
    {"bits", "bits a caption, packed", bits},
    {"bits_word", "bits a word, packed", bits_word},
    {"doubled", "captions that are there twice", doubled},
};
enum { N_FIGURES = sizeof figures / sizeof figures[0] };

static void add_rejected(str_t *s, const caption_stats_t *k) {
    const char *comma = "";
    str_add(s, ",\"rejected\":{");
    for (int r = 0; r < QUALITY_N; r++) {
        if (!k->n_by_reason[r]) continue;
        str_addf(s, "%s\"%s\":%" PRId64, comma, quality_name((quality_reason)r), k->n_by_reason[r]);
        comma = ",";
    }
    str_add_char(s, '}');
}

static lens_status add_doubles(str_t *s, const caption_stats_t *k, const dataset_t *d) {
    str_t text = {0};
    lens_status st = LENS_OK;
    str_add(s, ",\"doubles\":[");
    for (int i = 0; i < STATS_DOUBLES && k->doubles[i].n && st == LENS_OK; i++) {
        st = dataset_caption(d, k->doubles[i].sample, k->kind, &text);
        str_addf(s, "%s{\"times\":%" PRId64 ",\"text\":", i ? "," : "", k->doubles[i].n);
        str_add_json(s, str_text(&text), text.len);
        str_add_char(s, '}');
    }
    str_add_char(s, ']');
    str_free(&text);
    return st;
}

/* Captions by their number of words: [words, captions] pairs, where there are any. */
static void add_histogram(str_t *s, const caption_stats_t *k) {
    const char *comma = "";
    str_add(s, ",\"words\":[");
    for (int i = 0; i <= STATS_MAX_WORDS; i++) {
        if (!k->n_of_words[i]) continue;
        str_addf(s, "%s[%d,%" PRId64 "]", comma, i, k->n_of_words[i]);
        comma = ",";
    }
    str_add_char(s, ']');
}

static lens_status make_json(str_t *s, const caption_stats_t *stats, int n, const dataset_t *d) {
    str_add_char(s, '{');
    for (int k = 0; k < n; k++) {
        str_addf(s, "%s\"%s\":{", k ? "," : "", stats[k].kind);
        for (int i = 0; i < N_FIGURES; i++)
            str_addf(s, "%s\"%s\":%.6g", i ? "," : "", figures[i].name, figures[i].of(&stats[k]));
        str_addf(s, ",\"missing\":%" PRId64 ",\"sampled\":%" PRId64, stats[k].n_missing, stats[k].n_sampled);
        add_rejected(s, &stats[k]);
        add_histogram(s, &stats[k]);
        LENS_TRY(add_doubles(s, &stats[k], d));
        str_add_char(s, '}');
    }
    str_add_char(s, '}');
    return str_status(s);
}

static void print_table(const caption_stats_t *stats, int n) {
    printf("%-38s", "");
    for (int k = 0; k < n; k++) printf(" %12s", stats[k].kind);
    putchar('\n');
    for (int i = 0; i < N_FIGURES; i++) {
        printf("%-38s", figures[i].help);
        for (int k = 0; k < n; k++) printf(" %12.4g", figures[i].of(&stats[k]));
        putchar('\n');
    }
    for (int r = 0; r < QUALITY_N; r++) {
        int64_t any = 0;
        for (int k = 0; k < n; k++) any += stats[k].n_by_reason[r];
        if (!any) continue;
        printf("rejected: %-28s", quality_name((quality_reason)r));
        for (int k = 0; k < n; k++) printf(" %12" PRId64, stats[k].n_by_reason[r]);
        putchar('\n');
    }
}

/* ---- the command ---- */

/* `list` is split in place; NULL: all kinds of the set. */
static lens_status choose_kinds(const char **kinds, int *n, char *list, const dataset_t *d) {
    *n = 0;
    for (int k = 0; !list && k < dataset_n_kinds(d) && *n < CAPTION_MAX_KINDS; k++) kinds[(*n)++] = dataset_kind(d, k);
    for (char *rest = list, *item; rest && (item = strsep(&rest, ","));) {
        if (*n == CAPTION_MAX_KINDS) return lens_fail(LENS_ARGUMENT, "--kinds: more than %d kinds", CAPTION_MAX_KINDS);
        if (!dataset_has_kind(d, item))
            return lens_fail(LENS_ARGUMENT, "--kinds: %s has no captions of kind '%s'", dataset_dir(d), item);
        kinds[(*n)++] = item;
    }
    return LENS_OK;
}

static lens_status run_on(const values_t *v, const dataset_t *d) {
    const char *kinds[CAPTION_MAX_KINDS];
    int n = 0;
    const long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    str_t json = {0};
    caption_stats_t *stats = NULL;
    char *list = v->kinds ? strdup(v->kinds) : NULL;
    lens_status st = LENS_OK;
    if (v->kinds && !list) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for --kinds"));
    LENS_GO(choose_kinds(kinds, &n, list, d));
    stats = calloc((size_t)n + 1, sizeof *stats);
    if (!stats) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for figures of captions"));
    LENS_GO(caption_stats_take(stats, d, v->layers ? v->layers : dataset_dir(d), kinds, n,
                               v->threads   ? (int)v->threads
                               : n_cpus > 0 ? (int)n_cpus
                                            : 1));
    LENS_GO(make_json(&json, stats, n, d));
    if (v->out) LENS_GO(file_write(v->out, json.s, json.len));
    if (v->json)
        puts(str_text(&json));
    else
        print_table(stats, n);
done:
    free(stats);
    free(list);
    str_free(&json);
    return st;
}

static lens_status run(const void *values, int n_args, char **args) {
    const values_t *v = values;
    dataset_t *d = NULL;
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "expected one DATASET, got %d arguments", n_args);
    LENS_TRY(dataset_open_partial(&d, args[0]));
    lens_status st = v->layers ? dataset_add_layers(d, v->layers) : LENS_OK;
    if (st == LENS_OK) st = run_on(v, d);
    dataset_close(d);
    return st;
}

const command_t cmd_caption_stats = {
    .name = "caption-stats",
    .usage = "DATASET",
    .summary = "compare a dataset's captions, kind beside kind",
    .details =
        "Words, variety, what is named and counted, how much of it the alt-text had, and what is kept of that. Bits\n"
        "are those of 2,000 captions, evenly spread over the set, packed together by zstd at level 19: what captions\n"
        "repeat of each other does not count. The numbers of different words and word runs are estimates (0.8 %).",
    .options = {rows, sizeof rows / sizeof rows[0]},
    .values_size = sizeof(values_t),
    .run = run,
};
