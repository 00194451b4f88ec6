#include "recaption/quality_rules.h"

double quality_watermark(const quality_case_t *c) {
    static const char *const marks[] = {
        "watermark",
        "watermarks",
        "watermarked",
        "watermarking",
        "shutterstock",
        "getty images",
        "gettyimages",
        "istock",
        "istockphoto",
        "alamy",
        "dreamstime",
        "depositphotos",
        "adobe stock",
        "123rf",
        "stock photo logo",
        "photo agency",
        "picture agency",
        "image agency",
        "copyright notice",
        "copyright mark",
        NULL,
    };
    int n = 0;
    for (int32_t i = 0; i < c->text->n_words; i++) n += quality_text_any(c->text, i, marks) > 0;
    return n;
}
