/* Parser and evaluator of conditions: any text is refused with a column, or evaluates to true or false, or to an error
 * about its types. Names have values of all kinds. */
#include <stdlib.h>
#include <string.h>

#include "data/where.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static lens_status lookup(void *context, int name, where_value_t *out) {
    const where_t *w = context;
    static const where_value_t values[] = {{.type = WHERE_NULL},
                                           {.type = WHERE_NUMBER, .number = -1.5},
                                           {.type = WHERE_TEXT, .text = "a cat"},
                                           {.type = WHERE_BOOL, .truth = true}};
    *out = values[(unsigned char)where_name(w, name)[0] % 4];
    return where_name(w, name)[0] == 'z' ? lens_fail(LENS_FORMAT, "damaged") : LENS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    char *text = malloc(n + 1);
    if (!text) return 0;
    memcpy(text, bytes, n);
    text[n] = '\0';
    where_t *w;
    lens_status st = where_parse(&w, text);
    if (st == LENS_OK) {
        bool yes;
        st = where_eval(w, lookup, w, &yes);
        if (st != LENS_OK && st != LENS_ARGUMENT && st != LENS_FORMAT) abort();
    } else if (st != LENS_ARGUMENT || w) {
        abort();
    }
    where_free(w);
    free(text);
    return 0;
}
