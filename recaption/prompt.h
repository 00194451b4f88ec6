/* Prompts: templates of a system message and a user message, filled in for each picture. Reentrant once opened.
 *
 *     the system message
 *     ---
 *     the user message: {alt}, {keywords}, {width}, {height}
 *
 * Fields stand in the user message alone, so nothing of a picture ever reaches the system message. A line whose fields
 * are all empty is left out; "{{" and "}}" are braces. Fields are put in once, from left to right, and never looked at
 * again: braces within an alt-text are text.
 *
 * Alt-text and keywords are data that strangers wrote: invalid UTF-8, control and direction characters are taken out,
 * at most PROMPT_ALT_MAX characters are kept, and "&", "<" and ">" become "&amp;", "&lt;" and "&gt;". So they cannot
 * forge the tags that templates put around them, nor a model's own control tokens ("<|im_end|>"). */
#ifndef LENS_RECAPTION_PROMPT_H
#define LENS_RECAPTION_PROMPT_H

#include "base/error.h"
#include "base/str.h"

enum { PROMPT_ALT_MAX = 2000 };

typedef struct prompt prompt_t;

typedef struct {
    const char *alt;       /* any bytes; "" where there is none */
    const char *keywords;  /* the same */
    int32_t width, height; /* px, as the picture is shown */
} prompt_fields_t;

/* style: "detailed", "brief" or "tags", else the path of a template. ARGUMENT for a name that is neither, FORMAT for a
 * template that is malformed, with its line. */
LENS_CHECKED lens_status prompt_open(prompt_t **out, const char *style);
void prompt_free(prompt_t *p);              /* NULL is allowed */
const char *prompt_text(const prompt_t *p); /* the whole template, for provenance; borrowed */
const char *prompt_system(const prompt_t *p);
const char *prompt_words(const prompt_t *p); /* both messages as they are where all fields are empty; borrowed */
/* Appends the user message. */
void prompt_fill(const prompt_t *p, const prompt_fields_t *fields, str_t *user);

/* Appends alt-text made harmless as above. */
void prompt_clean(str_t *out, const char *text, int max_characters);

#endif
