/* The gate's rules: each measures a caption, some can also take out what they found. Pure functions; only quality.c
 * calls them. A rule's value is what quality.h says; 0 where it found nothing. */
#ifndef LENS_RECAPTION_QUALITY_RULES_H
#define LENS_RECAPTION_QUALITY_RULES_H

#include "recaption/quality.h"
#include "recaption/quality_text.h"

typedef struct {
    const quality_options_t *options;
    const quality_input_t *input;
    const quality_text_t *text;   /* as earlier rules left it */
    const quality_text_t *alt;    /* no words where there is none */
    const quality_text_t *prompt; /* no words where there is none */
    bool is_tags;
} quality_case_t;

/* quality_refused.c: what a captioner says instead of the caption */
double quality_refused(const quality_case_t *c);
/* quality_boilerplate.c, quality_opening.c, quality_closing.c: before and behind it */
double quality_boilerplate(const quality_case_t *c);
bool quality_strip_boilerplate(str_t *out, const quality_case_t *c);
/* Words of all talk that stands before the caption's own; *n_openers of it. */
int32_t quality_opening_words(const quality_text_t *t, int *n_openers);
/* Sentences of talk at the end; one that opens the text is none. */
int quality_n_closing(const quality_text_t *t);
/* quality_watermark.c */
double quality_watermark(const quality_case_t *c);
/* quality_absent.c */
double quality_absent(const quality_case_t *c);
bool quality_strip_absent(str_t *out, const quality_case_t *c);
/* quality_loop.c */
double quality_loop(const quality_case_t *c);
/* quality_form.c: markup, ends, encoding */
double quality_encoding(const quality_case_t *c);
double quality_markup(const quality_case_t *c);
bool quality_strip_markup(str_t *out, const quality_case_t *c);
double quality_truncated(const quality_case_t *c);
double quality_unfinished(const quality_case_t *c);
bool quality_strip_tail(str_t *out, const quality_case_t *c);
/* quality_language.c */
double quality_language(const quality_case_t *c);
bool quality_language_known(const char *code);
/* quality_prompt.c */
double quality_prompt(const quality_case_t *c);
/* quality_alt.c: against the alt-text */
double quality_names(const quality_case_t *c);
double quality_echo(const quality_case_t *c);
double quality_junk(const quality_case_t *c);

/* Adds the n bytes with their first letter as a capital, where it is one that has one and stands in no quotation. */
void quality_add_capital(str_t *out, const char *text, size_t n);

#endif
