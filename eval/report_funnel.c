/* How a dataset came about: what each stage of its ingest dropped; contract in eval/report_parts.h. */
#include "data/ingest_summary.h"
#include "eval/html.h"
#include "eval/report_parts.h"

/* A bar of the samples that are left, and after it, paler, those that the stage dropped. */
static void add_bar(str_t *out, const ingest_stage_t *s, int64_t n_read) {
    double left = 100.0 * (double)s->left / (double)n_read, dropped = 100.0 * (double)s->dropped / (double)n_read;
    str_addf(
        out,
        "<svg viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\"><rect class=\"left\" width=\"%.3f\" height=\"4\"/>"
        "<rect class=\"dropped\" x=\"%.3f\" width=\"%.3f\" height=\"4\"/></svg>",
        left, left, dropped);
}

static void add_stage(str_t *out, const ingest_stage_t *s, int64_t n_read) {
    str_add(out, "<tr><th scope=\"row\">");
    str_add_html(out, s->stage);
    str_add(out, "</th><td class=\"limit\">");
    str_add_html(out, s->limit);
    str_add(out, "</td><td>");
    html_add_int(out, s->dropped);
    str_add(out, "</td><td>");
    html_add_percent(out, (double)s->dropped / (double)n_read);
    str_add(out, "</td><td>");
    html_add_int(out, s->left);
    str_add(out, "</td><td class=\"bar c0\">");
    add_bar(out, s, n_read);
    str_add(out, "</td></tr>\n");
}

lens_status report_funnel(str_t *out, const char *dir) {
    ingest_summary_t s;
    LENS_TRY(ingest_summary_read(&s, dir));
    if (s.n_stages > 0 && s.n_read > 0) {
        str_add(out, "<h3>What was left out, and why</h3>\n<p class=\"aside\">Of ");
        html_add_int(out, s.n_read);
        str_add(out, " samples read, ");
        html_add_int(out, s.n_accepted);
        str_add(out,
                " were kept. Each stage looks at what the ones above it left.</p>\n"
                "<div class=\"scroll\"><table class=\"funnel\"><thead><tr><th>Stage</th><th>keeps</th><th>dropped</th>"
                "<th>of all</th><th>left</th><th></th></tr></thead>\n<tbody>\n");
        for (int i = 0; i < s.n_stages; i++) add_stage(out, &s.stages[i], s.n_read);
        str_add(out, "</tbody></table></div>\n");
    }
    ingest_summary_free(&s);
    return LENS_OK;
}
