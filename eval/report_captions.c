/* What lens caption-stats found in a dataset's captions; contract in eval/report_parts.h. */
#include <jansson.h>
#include <stdlib.h>

#include "base/file.h"
#include "eval/html.h"
#include "eval/report_parts.h"

enum { FILE_MAX_BYTES = 16 << 20 };

static const struct {
    const char *name, *head;
    bool is_share;
} columns[] = {
    {"captions", "captions", false},        {"doubled", "doubled", false},
    {"sentences", "sentences", false},      {"vocabulary", "different words", false},
    {"distinct_2", "distinct-2", true},     {"novelty", "new to the alt-text", true},
    {"names_kept", "its names kept", true}, {"colours", "colours", false},
    {"numbers", "numbers", false},          {"relations", "relations", false},
    {"bits", "bits a caption", false},      {"bits_word", "bits a word", false},
};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

static lens_status add_row(str_t *out, const char *kind, const json_t *figures, const char *path) {
    str_add(out, "<tr><th scope=\"row\">");
    str_add_html(out, kind);
    str_add(out, "</th>");
    for (int i = 0; i < N_COLUMNS; i++) {
        const json_t *value = json_object_get(figures, columns[i].name);
        if (!json_is_number(value))
            return lens_fail(LENS_FORMAT, "%s: %s: \"%s\": expected a number", path, kind, columns[i].name);
        str_add(out, "<td>");
        (columns[i].is_share ? html_add_percent : html_add_number)(out, json_number_value(value));
        str_add(out, "</td>");
    }
    str_add(out, "</tr>\n");
    return LENS_OK;
}

static lens_status add_table(str_t *out, json_t *root, const char *path) {
    const char *kind;
    json_t *figures;
    lens_status st = LENS_OK;
    str_t rows = {0};
    json_object_foreach(root, kind, figures) if (st == LENS_OK) st = add_row(&rows, kind, figures, path);
    if (st == LENS_OK) st = str_status(&rows);
    if (st == LENS_OK) {
        str_add(out, "<h3>What captions hold</h3>\n<p class=\"aside\">Means a caption. Bits are those of a sample that "
                     "is packed as one: what captions repeat of each other does not count.</p>\n"
                     "<div class=\"scroll\"><table class=\"kinds\"><thead><tr><th>Captions</th>");
        for (int i = 0; i < N_COLUMNS; i++) str_addf(out, "<th>%s</th>", columns[i].head);
        str_add(out, "</tr></thead>\n<tbody>\n");
        str_add(out, str_text(&rows));
        str_add(out, "</tbody></table></div>\n");
    }
    str_free(&rows);
    return st;
}

lens_status report_captions(str_t *out, const char *dir) {
    str_t path = {0};
    char *bytes = NULL;
    size_t n = 0;
    json_t *root = NULL;
    json_error_t error;
    str_addf(&path, "%s/caption-stats.json", dir);
    lens_status st = str_status(&path);
    if (st != LENS_OK || !file_exists(path.s)) goto done;
    LENS_GO(file_read(&bytes, &n, path.s, FILE_MAX_BYTES));
    root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) LENS_GO(lens_fail(LENS_FORMAT, "%s: expected a JSON object", path.s));
    LENS_GO(add_table(out, root, path.s));
done:
    json_decref(root);
    free(bytes);
    str_free(&path);
    return st;
}
