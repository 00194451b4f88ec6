/* What lens caption-stats found in a dataset's captions; contract in eval/report_parts.h. */
#include <stdlib.h>
#include <string.h>

#include "eval/chart.h"
#include "eval/html.h"
#include "eval/report_json.h"
#include "eval/report_parts.h"

#define WHERE "caption-stats.json"
enum { REASONS_MAX = 64 };

/* Rows of the table; a kind is a column, so that a page's width suffices for many figures. */
static const struct {
    const char *name, *head;
    bool is_share;
} figures[] = {
    {"captions", "captions", false},
    {"empty", "empty: rejected, or no alt-text", false},
    {"missing", "missing: not written yet", false},
    {"doubled", "captions that are there twice", false},
    {"words_mean", "words, mean", false},
    {"words_p5", "words, 5 %", false},
    {"words_p50", "words, median", false},
    {"words_p95", "words, 95 %", false},
    {"sentences", "sentences", false},
    {"different", "different words", false},
    {"vocabulary", "different words of all captions", false},
    {"distinct_1", "distinct-1", true},
    {"distinct_2", "distinct-2", true},
    {"distinct_4", "distinct-4", true},
    {"colours", "named colours", false},
    {"numbers", "numbers", false},
    {"relations", "relations", false},
    {"novelty", "word pairs that the alt-text lacks", true},
    {"alt_kept", "words of the alt-text kept", true},
    {"names_kept", "its names and quotations kept", true},
    {"bits", "bits a caption", false},
    {"bits_word", "bits a word", false},
};
enum { N_FIGURES = sizeof figures / sizeof figures[0] };

/* Borrows all from the parsed file. */
typedef struct {
    const char **names;          /* [n] */
    double (*values)[N_FIGURES]; /* [n] */
    const json_t **rejected;     /* [n] */
    int n;
} kinds_t;

static void kinds_free(kinds_t *k) {
    free(k->names);
    free(k->values);
    free(k->rejected);
}

static lens_status take_kinds(kinds_t *k, json_t *root) {
    const char *name;
    json_t *kind;
    const size_t n = json_object_size(root) + 1;
    k->names = calloc(n, sizeof *k->names);
    k->values = calloc(n, sizeof *k->values);
    k->rejected = calloc(n, sizeof *k->rejected);
    if (!k->names || !k->values || !k->rejected) return lens_fail(LENS_MEMORY, WHERE ": out of memory");
    json_object_foreach(root, name, kind) {
        for (int i = 0; i < N_FIGURES; i++)
            LENS_TRY(lens_context(report_json_number(&k->values[k->n][i], kind, figures[i].name, name), WHERE));
        k->names[k->n] = name;
        k->rejected[k->n++] = json_object_get(kind, "rejected");
    }
    return LENS_OK;
}

static double figure_of(const kinds_t *k, int kind, const char *name) {
    int i = 0;
    while (strcmp(figures[i].name, name) != 0) i++;
    return k->values[kind][i];
}

/* ---- table ---- */

static void add_figure(str_t *out, const kinds_t *k, int figure) {
    str_addf(out, "<tr><th scope=\"row\">%s</th>", figures[figure].head);
    for (int i = 0; i < k->n; i++) {
        str_add(out, "<td>");
        (figures[figure].is_share ? html_add_percent : html_add_number)(out, k->values[i][figure]);
        str_add(out, "</td>");
    }
    str_add(out, "</tr>\n");
}

/* Each reason that any kind has, once. */
static int take_reasons(const char *reasons[REASONS_MAX], const kinds_t *k) {
    int n = 0;
    for (int i = 0; i < k->n; i++) {
        const char *reason;
        json_t *count;
        json_object_foreach((json_t *)k->rejected[i], reason, count) {
            int at = 0;
            while (at < n && strcmp(reasons[at], reason) != 0) at++;
            if (at == n && n < REASONS_MAX) reasons[n++] = reason;
        }
    }
    return n;
}

static void add_rejected(str_t *out, const kinds_t *k) {
    const char *reasons[REASONS_MAX];
    const int n = take_reasons(reasons, k);
    for (int r = 0; r < n; r++) {
        str_add(out, "<tr><th scope=\"row\">rejected: ");
        str_add_html(out, reasons[r]);
        str_add(out, "</th>");
        for (int i = 0; i < k->n; i++) {
            str_add(out, "<td>");
            html_add_int(out, json_integer_value(json_object_get(k->rejected[i], reasons[r])));
            str_add(out, "</td>");
        }
        str_add(out, "</tr>\n");
    }
}

static void add_table(str_t *out, const kinds_t *k) {
    str_add(out, "<div class=\"scroll\"><table class=\"compared\"><thead><tr><th></th>");
    for (int i = 0; i < k->n; i++) {
        str_add(out, "<th scope=\"col\">");
        str_add_html(out, k->names[i]);
        str_add(out, "</th>");
    }
    str_add(out, "</tr></thead>\n<tbody>\n");
    for (int f = 0; f < N_FIGURES; f++) add_figure(out, k, f);
    add_rejected(out, k);
    str_add(out, "</tbody></table></div>\n");
}

/* ---- charts ---- */

static void add_bars(str_t *out, const kinds_t *k, const chart_bars_t *chart, const char *const *names, double scale) {
    enum { GROUPS_MAX = 4 };
    double values[CHART_MAX_SERIES][GROUPS_MAX];
    chart_bar_t bars[CHART_MAX_SERIES];
    chart_bars_t c = *chart;
    LENS_ASSERT(c.n_groups <= GROUPS_MAX, "%d groups", c.n_groups);
    c.bars = bars;
    c.n_bars = k->n < CHART_MAX_SERIES ? k->n : CHART_MAX_SERIES;
    for (int i = 0; i < c.n_bars; i++) {
        for (int g = 0; g < c.n_groups; g++) values[i][g] = scale * figure_of(k, i, names[g]);
        bars[i] = (chart_bar_t){k->names[i], values[i], i};
    }
    chart_bars(out, &c);
}

static void add_density(str_t *out, const kinds_t *k) {
    chart_point_t points[CHART_MAX_SERIES];
    const int n = k->n < CHART_MAX_SERIES ? k->n : CHART_MAX_SERIES;
    for (int i = 0; i < n; i++)
        points[i] = (chart_point_t){k->names[i], figure_of(k, i, "words_mean"), figure_of(k, i, "bits"), i};
    chart_points(out, &(chart_points_t){.title = "Density",
                                        .unit = "bits a caption",
                                        .x_label = "words a caption, mean",
                                        .points = points,
                                        .n_points = n});
}

static void add_charts(str_t *out, const kinds_t *k) {
    static const char *const facts[] = {"colours", "numbers", "relations"};
    static const char *const against_names[] = {"novelty", "alt_kept", "names_kept"};
    static const char *const against[] = {"new word pairs", "words kept", "names kept"};
    static const char *const lengths_names[] = {"words_p5", "words_p50", "words_p95"};
    static const char *const lengths[] = {"5 %", "median", "95 %"};
    str_add(out, "<div class=\"charts\">\n");
    add_density(out, k);
    add_bars(out, k, &(chart_bars_t){.title = "Length", .unit = "words a caption", .groups = lengths, .n_groups = 3},
             lengths_names, 1);
    add_bars(out, k, &(chart_bars_t){.title = "Facts", .unit = "a caption", .groups = facts, .n_groups = 3}, facts, 1);
    add_bars(out, k, &(chart_bars_t){.title = "Against the alt-text", .unit = "%", .groups = against, .n_groups = 3},
             against_names, 100);
    str_add(out, "</div>\n");
    if (k->n > CHART_MAX_SERIES)
        str_addf(out, "<p class=\"note\">The first %d of %d kinds are drawn.</p>\n", CHART_MAX_SERIES, k->n);
}

/* ---- the part ---- */

lens_status report_captions_of(str_t *out, json_t *root) {
    kinds_t kinds = {0};
    lens_status st = take_kinds(&kinds, root);
    if (st == LENS_OK && kinds.n > 0) {
        str_add(out, "<h3>What captions hold</h3>\n<p class=\"aside\">Means a caption. Bits are those of a sample that "
                     "is packed as one: what captions repeat of each other does not count.</p>\n");
        add_charts(out, &kinds);
        add_table(out, &kinds);
    }
    kinds_free(&kinds);
    return st;
}

lens_status report_captions(str_t *out, const char *dir) {
    json_t *root;
    LENS_TRY(report_json_read(&root, dir, WHERE));
    lens_status st = root ? report_captions_of(out, root) : LENS_OK;
    json_decref(root);
    return st;
}
