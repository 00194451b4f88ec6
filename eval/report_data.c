/* A dataset in a report: figures, captions by kind, pictures with their captions; contract in eval/report_parts.h. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "data/image.h"
#include "eval/chart.h"
#include "eval/data_figures.h"
#include "eval/html.h"
#include "eval/report_parts.h"

enum { CARDS_MAX = 10, PICTURE_SIDE_MAX = 512, PICTURE_SHOWN_PX = 240, PICTURE_QUALITY = 80 };

/* ---- headline figures ---- */

static void add_bytes_figure(str_t *out, const char *label, double bytes, double bytes_before, const char *before) {
    report_begin_figure(out, label, false);
    html_add_bytes(out, bytes);
    report_figure_detail(out);
    if (bytes > 0 && bytes_before > 0) {
        html_add_number(out, bytes_before / bytes);
        str_addf(out, "\u00d7 smaller than %s", before);
    }
    report_end_figure(out);
}

static void find_range(double *least, double *greatest, const double *values, int64_t n) {
    *least = *greatest = values[0];
    for (int64_t i = 1; i < n; i++) {
        *least = fmin(*least, values[i]);
        *greatest = fmax(*greatest, values[i]);
    }
}

static void add_range_figure(str_t *out, const char *label, const double *values, int64_t n, const char *unit) {
    double least, greatest;
    find_range(&least, &greatest, values, n);
    report_begin_figure(out, label, false);
    html_add_number(out, least);
    if (greatest > least) {
        str_add(out, " \u2013 ");
        html_add_number(out, greatest);
    }
    if (unit[0] != '\0') str_addf(out, "\u00a0%s", unit);
    report_figure_detail(out);
    str_add(out, greatest > least ? "least and greatest" : "every picture");
    report_end_figure(out);
}

static void add_figures(str_t *out, const data_figures_t *f, const dataset_t *d) {
    str_add(out, "<dl class=\"figures\">\n");
    report_begin_figure(out, "Samples", false);
    html_add_int(out, f->n_samples);
    report_figure_detail(out);
    str_add(out, "in ");
    html_add_int(out, dataset_n_shards(d));
    str_add(out, dataset_n_shards(d) == 1 ? " shard" : " shards");
    report_end_figure(out);
    add_bytes_figure(out, "Pictures, WebP", f->image_bytes, f->image_px * 3, "RGB");
    if (f->image_px > 0) {
        report_begin_figure(out, "Bits per pixel", false);
        html_add_number(out, f->image_bytes * 8 / f->image_px);
        report_figure_detail(out);
        html_add_bytes(out, f->image_bytes / (double)f->n_samples);
        str_add(out, " a picture");
        report_end_figure(out);
    }
    add_range_figure(out, "Shorter side", f->side_px, f->n_read, "px");
    add_range_figure(out, "Width \u00f7 height", f->aspect, f->n_read, "");
    str_add(out, "</dl>\n");
}

/* ---- captions by kind ---- */

static void add_kind_row(str_t *out, const caption_figures_t *c, const data_figures_t *f) {
    static const double quantiles[] = {0.05, 0.5, 0.95};
    str_add(out, "<tr><th scope=\"row\">");
    str_add_html(out, c->kind);
    str_add(out, "</th><td>");
    html_add_percent(out, f->n_read > 0 ? (double)c->n_filled / (double)f->n_read : 0);
    str_add(out, "</td><td>");
    if (c->n_filled > 0) html_add_number(out, data_figures_mean(c->words, c->n_filled));
    for (int q = 0; q < 3; q++) {
        str_add(out, "</td><td>");
        if (c->n_filled > 0) html_add_number(out, data_figures_quantile(c->words, c->n_filled, quantiles[q]));
    }
    str_add(out, "</td><td>");
    html_add_bytes(out, c->text_bytes);
    str_add(out, "</td><td>");
    if (c->file_bytes > 0) {
        html_add_bytes(out, c->file_bytes);
        /* Comparable only where the text of every sample was read. */
        if (f->n_read == f->n_samples && c->text_bytes > 0) {
            str_add(out, " (");
            html_add_number(out, c->text_bytes / c->file_bytes);
            str_add(out, "\u00d7)");
        }
    } else {
        str_add(out, "in base, ");
        html_add_bytes(out, f->base_file_bytes);
    }
    str_add(out, "</td></tr>\n");
}

static void add_kinds(str_t *out, const data_figures_t *f) {
    str_add(
        out,
        "<div class=\"scroll\"><table class=\"kinds\"><thead><tr><th>Captions</th><th>filled</th><th>words, mean</th>"
        "<th>5 %</th><th>median</th><th>95 %</th><th>text</th><th>shards</th></tr></thead>\n<tbody>\n");
    for (int k = 0; k < f->n_kinds; k++) add_kind_row(out, &f->kinds[k], f);
    str_add(out, "</tbody></table></div>\n");
}

/* ---- charts ---- */

static void add_histogram(str_t *out, const char *title, const char *unit, const double *values, int64_t n,
                          bool whole) {
    double least, greatest;
    find_range(&least, &greatest, values, n);
    if (least == greatest) return; /* the headline figure says it all */
    chart_sample_t sample = {.name = title, .values = values, .n = n};
    chart_histogram(out, &(chart_histogram_t){.title = title,
                                              .unit = unit,
                                              .count_noun = "pictures",
                                              .samples = &sample,
                                              .n_samples = 1,
                                              .whole = whole});
}

static void add_charts(str_t *out, const data_figures_t *f) {
    chart_sample_t kinds[CHART_MAX_SERIES];
    int n = f->n_kinds < CHART_MAX_SERIES ? f->n_kinds : CHART_MAX_SERIES;
    for (int k = 0; k < n; k++)
        kinds[k] = (chart_sample_t){f->kinds[k].kind, f->kinds[k].words, f->kinds[k].n_filled, k};
    str_add(out, "<div class=\"charts\">\n");
    chart_histogram(out, &(chart_histogram_t){.title = "Words a caption",
                                              .unit = "words",
                                              .count_noun = "captions",
                                              .samples = kinds,
                                              .n_samples = n,
                                              .whole = true});
    add_histogram(out, "Shorter side", "px", f->side_px, f->n_read, true);
    add_histogram(out, "Aspect", "width \u00f7 height", f->aspect, f->n_read, false);
    add_histogram(out, "Bytes a picture", "kB", f->image_kb, f->n_read, false);
    str_add(out, "</div>\n");
    if (n < f->n_kinds) {
        str_addf(out, "<p class=\"note\">Words a caption: the first %d of %d kinds are drawn.</p>\n", n, f->n_kinds);
    }
    if (f->n_read < f->n_samples)
        str_addf(out,
                 "<p class=\"aside\">Histograms and captions are of %" PRId64
                 " samples, evenly spread over the set.</p>\n",
                 f->n_read);
}

/* ---- pictures with their captions ---- */

/* The stored picture, or a smaller copy where it is larger than the page can show. */
static lens_status add_picture(str_t *out, const str_t *picture) {
    int32_t width, height;
    LENS_TRY(image_probe(&width, &height, (const uint8_t *)picture->s, picture->len));
    double scale = (double)PICTURE_SIDE_MAX / (width > height ? width : height);
    image_t whole = {0}, small = {0};
    str_t encoded = {0};
    lens_status st = LENS_OK;
    if (scale < 1) {
        LENS_GO(image_decode(&whole, (const uint8_t *)picture->s, picture->len));
        width = width * scale < 1 ? 1 : (int32_t)(width * scale);
        height = height * scale < 1 ? 1 : (int32_t)(height * scale);
        LENS_GO(image_resize(&small, &whole, width, height));
        LENS_GO(image_encode_webp(&encoded, &small, PICTURE_QUALITY, false));
    }
    const str_t *shown = scale < 1 ? &encoded : picture;
    const char *mime = picture_mime(shown->s, shown->len);
    if (!mime) {
        st = lens_fail(LENS_FORMAT, "a picture that is neither WebP nor JPEG");
        goto done;
    }
    double shown_scale = (double)PICTURE_SHOWN_PX / (width > height ? width : height);
    str_addf(out, "<img width=\"%.0f\" height=\"%.0f\" alt=\"\" src=\"", fmax(1, width * shown_scale),
             fmax(1, height * shown_scale));
    html_add_data_uri(out, mime, shown->s, shown->len);
    str_add(out, "\"/>");
done:
    str_free(&encoded);
    image_free(&small);
    image_free(&whole);
    return st;
}

/* Damage of one sample is shown in its place; only running out of memory ends the report. */
static lens_status note_damage(str_t *out, lens_status st) {
    if (st == LENS_OK || st == LENS_MEMORY) return st;
    report_add_note(out, lens_error());
    return LENS_OK;
}

static lens_status add_caption(str_t *out, const dataset_t *d, int64_t i, int kind, str_t *text) {
    lens_status st = dataset_caption(d, i, dataset_kind(d, kind), text);
    str_addf(out, "<h4><span class=\"key c%d\">", kind % CHART_MAX_SERIES);
    str_add_html(out, dataset_kind(d, kind));
    str_add(out, "</span>");
    if (st == LENS_OK && text->len > 0) {
        int64_t n_words = data_figures_count_words(str_text(text));
        str_addf(out, " <small>%" PRId64 " word%s</small></h4><p>", n_words, n_words == 1 ? "" : "s");
        str_add_html(out, str_text(text));
        str_add(out, "</p>\n");
        return LENS_OK;
    }
    str_add(out, "</h4>");
    if (st != LENS_OK && st != LENS_STATE) return note_damage(out, st);
    /* STATE: a partial layer lacks this shard. */
    str_addf(out, "<p class=\"none\">%s</p>\n", st == LENS_OK ? "none" : "not written yet");
    return LENS_OK;
}

static lens_status add_card(str_t *out, const dataset_t *d, int64_t i) {
    str_t text = {0};
    sample_info_t info;
    str_add(out, "<article><figure>");
    lens_status st = dataset_image(d, i, &text);
    if (st == LENS_OK) st = add_picture(out, &text);
    LENS_GO(note_damage(out, st));
    str_add(out, "<figcaption>");
    st = dataset_key(d, i, &text);
    if (st == LENS_OK) str_add_html(out, str_text(&text));
    if (st == LENS_OK) st = dataset_info(d, i, &info);
    if (st == LENS_OK) str_addf(out, " <span>%d \u00d7 %d px</span>", info.width, info.height);
    str_add(out, "</figcaption>");
    LENS_GO(note_damage(out, st));
    str_add(out, "</figure><div>\n");
    for (int k = 0; k < dataset_n_kinds(d); k++) LENS_GO(add_caption(out, d, i, k, &text));
    str_add(out, "</div></article>\n");
done:
    str_free(&text);
    return st;
}

static lens_status add_cards(str_t *out, const dataset_t *d) {
    int64_t n = dataset_n_samples(d), n_cards = n < CARDS_MAX ? n : CARDS_MAX;
    str_add(out, "<h3>Pictures and their captions</h3>\n<div class=\"cards\">\n");
    /* The middles of equal parts: the same samples each time, spread over the set. */
    for (int64_t k = 0; k < n_cards; k++)
        LENS_TRY(add_card(out, d, (int64_t)(((double)k + 0.5) / (double)n_cards * (double)n)));
    str_add(out, "</div>\n");
    return LENS_OK;
}

/* ---- the section ---- */

static lens_status add_dataset(str_t *out, const dataset_t *d, const char *layers) {
    data_figures_t figures;
    if (dataset_n_samples(d) == 0) {
        report_add_note(out, "The dataset holds no samples.");
        return LENS_OK;
    }
    LENS_TRY(data_figures_take(&figures, d, layers));
    add_figures(out, &figures, d);
    add_kinds(out, &figures);
    add_charts(out, &figures);
    data_figures_free(&figures);
    return LENS_OK;
}

/* Of the files that stand beside captions, those beside the layers count. */
static lens_status add_parts(str_t *out, const dataset_t *d, const char *dir, const char *layers) {
    LENS_TRY(note_damage(out, add_dataset(out, d, layers)));
    LENS_TRY(note_damage(out, report_funnel(out, dir)));
    LENS_TRY(note_damage(out, report_recaption(out, layers ? layers : dir)));
    LENS_TRY(note_damage(out, report_captions(out, layers ? layers : dir)));
    return add_cards(out, d);
}

lens_status report_data(str_t *out, const char *dir, const char *layers, int index) {
    dataset_t *d = NULL;
    str_addf(out, "<section id=\"data-%d\"><h2>Data <em>", index);
    str_add_html(out, dir);
    str_add(out, "</em></h2>\n");
    lens_status st = dataset_open_partial(&d, dir);
    if (st == LENS_OK && layers != NULL) st = dataset_add_layers(d, layers);
    st = st == LENS_OK ? add_parts(out, d, dir, layers) : note_damage(out, st);
    dataset_close(d);
    str_add(out, "</section>\n");
    return st;
}
