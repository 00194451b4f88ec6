/* Captions from word lists: what a model might say of a picture that nobody looked at. The same (picture, seed, style)
 * gives the same text; another seed another one. No colour, count, name or quotation, so that what is measured in the
 * picture or stands in the alt-text contradicts none of it. */
#ifndef LENS_TESTS_SERVER_CHAT_CAPTION_H
#define LENS_TESTS_SERVER_CHAT_CAPTION_H

#include "tests/server/chat_request.h"

/* Adds to out. DETAILED: a paragraph of 60 to 120 words; BRIEF: one sentence; TAGS: words separated by commas. */
void chat_caption(str_t *out, uint64_t picture, uint64_t seed, chat_style style);

#endif
