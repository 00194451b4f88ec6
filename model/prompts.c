#include "model/prompts.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { PROMPTS_MAX_BYTES = 64 << 20 };

lens_status prompts_add(prompts_t *p, const char *text, size_t n_bytes) {
    char **grown = realloc(p->text, sizeof *grown * (size_t)(p->n + 1));
    if (grown) p->text = grown;
    char *copy = grown ? strndup(text, n_bytes) : NULL;
    if (!copy) return lens_fail(LENS_MEMORY, "out of memory for %lld prompts", (long long)p->n + 1);
    p->text[p->n++] = copy;
    return LENS_OK;
}

void prompts_free(prompts_t *p) {
    for (int64_t i = 0; i < p->n; i++) free(p->text[i]);
    free(p->text);
    *p = (prompts_t){0};
}

lens_status prompts_read(prompts_t *out, const char *path) {
    char *bytes;
    size_t n;
    *out = (prompts_t){0};
    LENS_TRY(file_read(&bytes, &n, path, PROMPTS_MAX_BYTES));
    lens_status st =
        strlen(bytes) == n && str_is_utf8(bytes) ? LENS_OK : lens_fail(LENS_FORMAT, "%s: expected UTF-8 text", path);
    for (const char *line = bytes; st == LENS_OK && *line;) {
        size_t length = strcspn(line, "\r\n"), blank = strspn(line, " \t");
        if (blank < length) st = prompts_add(out, line + blank, length - blank);
        line += length;
        line += strspn(line, "\r\n");
    }
    if (st == LENS_OK && out->n == 0) st = lens_fail(LENS_FORMAT, "%s: expected one prompt a line, got none", path);
    if (st != LENS_OK) prompts_free(out);
    free(bytes);
    return st;
}
