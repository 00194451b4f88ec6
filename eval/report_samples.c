/* The sample grids of a run as it went, with their prompts; contract in eval/report_parts.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "data/image.h"
#include "eval/html.h"
#include "eval/report_parts.h"

enum { EARLIER_MAX = 12 };
#define SHEET_MAX_BYTES ((size_t)64 << 20)

/* One sheet; a picture that cannot be read becomes a note in its place. */
static lens_status add_sheet(str_t *out, const run_log_t *r, int64_t i) {
    char *png = NULL;
    size_t n = 0;
    int32_t width = 0, height = 0;
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    lens_status st = file_read(&png, &n, r->sample_paths[i], SHEET_MAX_BYTES);
    if (st == LENS_OK && (n < 8 || memcmp(png, signature, 8) != 0))
        st = lens_fail(LENS_FORMAT, "%s: not a PNG file", r->sample_paths[i]);
    if (st == LENS_OK) st = image_probe(&width, &height, (const uint8_t *)png, n);
    str_add(out, "<figure>");
    if (st == LENS_OK) {
        str_addf(out, "<img width=\"%d\" height=\"%d\" alt=\"Samples at step %lld\" src=\"", width, height,
                 (long long)r->sample_steps[i]);
        html_add_data_uri(out, "image/png", png, n);
        str_add(out, "\"/>");
    } else if (st != LENS_MEMORY) {
        report_add_note(out, lens_error());
        st = LENS_OK;
    }
    str_add(out, "<figcaption>Step ");
    html_add_int(out, r->sample_steps[i]);
    str_add(out, "</figcaption></figure>\n");
    free(png);
    return st;
}

static void add_prompts(str_t *out, const run_log_t *r) {
    if (r->n_prompts == 0) return;
    str_add(out, "<div><h3>Prompts, row by row</h3><ol class=\"prompts\">\n");
    for (int64_t i = 0; i < r->n_prompts; i++) {
        str_add(out, "<li>");
        str_add_html(out, r->prompts[i]);
        str_add(out, "</li>\n");
    }
    str_add(out, "</ol></div>\n");
}

lens_status report_samples(str_t *out, const run_log_t *r, int index) {
    if (r->n_samples == 0) return LENS_OK;
    str_addf(out, "<section id=\"samples-%d\"><h2>Samples <em>", index);
    str_add_html(out, r->name);
    str_add(out, "</em></h2>\n<div class=\"last-sheet\">\n");
    LENS_TRY(add_sheet(out, r, r->n_samples - 1));
    add_prompts(out, r);
    str_add(out, "</div>\n");
    int64_t n_earlier = r->n_samples - 1, n_shown = n_earlier < EARLIER_MAX ? n_earlier : EARLIER_MAX;
    if (n_shown > 0) str_add(out, "<h3>As the run went</h3>\n<div class=\"sheets\">\n");
    for (int64_t k = 0; k < n_shown; k++) LENS_TRY(add_sheet(out, r, k * n_earlier / n_shown));
    if (n_shown > 0) str_add(out, "</div>\n");
    if (n_shown < n_earlier)
        str_addf(out, "<p class=\"aside\">%lld of %lld earlier sheets, evenly chosen.</p>\n", (long long)n_shown,
                 (long long)n_earlier);
    str_add(out, "</section>\n");
    return LENS_OK;
}
