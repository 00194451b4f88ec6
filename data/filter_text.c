#include "data/filter_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"

enum { LIST_BYTES_MAX = 64 << 20, LIST_LINES_MAX = 10 << 20 };

/* In normal form (header). What galleries, shops and content management systems put where a description should be. */
/* clang-format off */
static const char *const boilerplate[] = {
    "image", "images", "an image", "the image", "image of", "image may contain", "no image", "no image available",
    "image not available", "image not found", "image coming soon", "image result for", "featured image", "main image",
    "cover image", "header image", "hero image", "background image", "product image", "post image", "article image",
    "blog image", "placeholder", "placeholder image", "thumbnail", "thumb", "preview", "photo", "photos", "a photo",
    "photo of", "stock photo", "stock photos", "stock image", "stock images", "stock photography",
    "stock illustration", "stock vector", "royalty free stock photo", "royalty free image",
    "royalty free stock image", "profile photo", "profile picture", "profile image", "user avatar", "avatar",
    "picture", "pictures", "pic", "pics", "a picture", "picture of", "illustration", "graphic", "banner", "logo",
    "icon", "click to enlarge", "click for larger image", "click image to enlarge", "click on image to enlarge",
    "click to zoom", "click to view", "click here", "enlarge", "zoom", "view larger image", "view full size",
    "view image", "view photo", "view larger", "full size image", "open image", "download", "read more", "loading",
    "untitled", "untitled design", "no title", "no description", "no caption", "no alt text", "alt", "alt text",
    "alt tag", "caption", "title", "description", "null", "none", "undefined", "unnamed", "unknown", "default",
    "default image", "n a", "test", "attachment", "gallery", "gallery image", "slide", "slider", "slideshow",
    "screenshot", "screen shot", "screenshot at", "screen shot at", "screenshot at am", "screenshot at pm",
    "screen shot at am", "screen shot at pm", "img", "mvimg", "dsc", "dscn", "dscf", "dcim", "pict", "pxl", "p",
    "vid", "gopr", "scan", "whatsapp image", "whatsapp image at", "fb img", "received", "photo at", "file", "picsart",
    "snapchat", "getty images", "shutterstock", "istock", "alamy stock photo", "dreamstime",
};
/* clang-format on */

static const char *const extensions[] = {".jpg", ".jpeg", ".png",  ".webp", ".gif", ".bmp",
                                         ".tif", ".tiff", ".heic", ".avif", ".svg", ".jfif"};

void filter_text_init(filter_text_t *t) {
    *t = (filter_text_t){.max_chars = INT64_MAX, .max_words = INT64_MAX, .boilerplate = true};
}

void filter_text_free(filter_text_t *t) {
    for (int i = 0; i < t->n_list; i++) free(t->list[i]);
    free(t->list);
    free(t->file);
    *t = (filter_text_t){0};
}

/* ---- measuring ---- */

static bool is_space(unsigned char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}
static bool is_ascii_letter(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The code point at *p, which moves on; text is UTF-8, and what is not counts byte by byte. */
static uint32_t next_char(const char **p) {
    const unsigned char *s = (const unsigned char *)*p;
    int n = s[0] < 0xc0 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            *p += 1;
            return s[0];
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    *p += n;
    return c;
}

static bool is_letter(uint32_t c) {
    if (c < 0x80) return is_ascii_letter((unsigned char)c);
    if (c < 0xc0 || (c >= 0x2000 && c <= 0x2bff) || (c >= 0x3000 && c <= 0x3004)) return false;
    return !(c >= 0xfe00 && c <= 0xfe0f) && !(c >= 0x1f000 && c <= 0x1faff);
}

typedef struct {
    int64_t chars, words, letters, spaces;
} text_measures_t;

static text_measures_t measure(const char *text) {
    text_measures_t m = {0};
    bool inside = false; /* a word */
    while (*text) {
        uint32_t c = next_char(&text);
        bool space = c < 0x80 && is_space((unsigned char)c);
        m.chars++;
        m.letters += is_letter(c);
        m.spaces += space;
        m.words += !space && !inside;
        inside = !space;
    }
    return m;
}

/* ---- boilerplate ---- */

static bool in_word(unsigned char c) {
    return c >= 0x80 || is_ascii_letter(c) || is_digit(c);
}

/* The text in normal form. */
static void add_normal(str_t *out, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t begin = i;
        while (i < n && in_word((unsigned char)text[i])) i++;
        size_t end = i;
        while (end > begin && is_digit((unsigned char)text[end - 1])) end--;
        if (end > begin && out->len > 0) str_add_char(out, ' ');
        for (; begin < end; begin++) {
            char c = text[begin];
            str_add_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
        }
    }
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_file_name(const char *text) {
    str_t low = {0};
    bool found = false;
    for (const char *p = text; *p; p++) str_add_char(&low, *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p);
    while (low.len > 0 && is_space((unsigned char)low.s[low.len - 1])) low.s[--low.len] = '\0';
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        found |= str_ends_with(str_text(&low), extensions[i]);
    str_free(&low);
    return found;
}

/* `normal` is that of `text`. */
static bool says_nothing(const filter_text_t *t, const char *text, const char *normal) {
    if (t->n_list && bsearch(&normal, t->list, (size_t)t->n_list, sizeof *t->list, by_text)) return true;
    if (!t->boilerplate) return false;
    if (!*normal || is_file_name(text)) return true;
    for (size_t i = 0; i < sizeof boilerplate / sizeof *boilerplate; i++)
        if (strcmp(normal, boilerplate[i]) == 0) return true;
    return false;
}

static lens_status add_line(filter_text_t *t, const char *line, size_t n) {
    str_t normal = {0};
    if (n == 0 || line[0] == '#') return LENS_OK;
    add_normal(&normal, line, n);
    if (normal.failed || t->n_list == LIST_LINES_MAX) {
        lens_status st = str_status(&normal);
        str_free(&normal);
        return st != LENS_OK ? st : lens_fail(LENS_ARGUMENT, "%s: more than %d lines", t->file, LIST_LINES_MAX);
    }
    if (normal.len > 0)
        t->list[t->n_list++] = normal.s;
    else
        str_free(&normal);
    return LENS_OK;
}

lens_status filter_text_load(filter_text_t *t) {
    if (!t->file) return LENS_OK;
    char *text = NULL;
    size_t n = 0, n_lines = 1;
    LENS_TRY(file_read(&text, &n, t->file, LIST_BYTES_MAX));
    lens_status st = LENS_OK;
    t->file_hash = XXH3_64bits(text, n);
    if (memchr(text, '\0', n) || !str_is_utf8(text))
        LENS_GO(lens_fail(LENS_ARGUMENT, "%s: expected UTF-8 text", t->file));
    for (size_t i = 0; i < n; i++) n_lines += text[i] == '\n';
    t->list = calloc(n_lines, sizeof *t->list);
    if (!t->list) LENS_GO(lens_fail(LENS_MEMORY, "%s: %zu lines", t->file, n_lines));
    for (size_t begin = 0; begin < n;) {
        const char *end = memchr(text + begin, '\n', n - begin);
        size_t length = end ? (size_t)(end - text) - begin : n - begin;
        LENS_GO(add_line(t, text + begin, length));
        begin += length + 1;
    }
    qsort(t->list, (size_t)t->n_list, sizeof *t->list, by_text);
done:
    free(text);
    return st;
}

/* ---- judging ---- */

static bool within(int64_t got, int64_t min, int64_t max, const char *what, double *value, str_t *reason) {
    if (got >= min && got <= max) return true;
    *value = (double)got;
    str_addf(reason, "alt_text %" PRId64 " %s, expected at %s %" PRId64, got, what, got < min ? "least" : "most",
             got < min ? min : max);
    return false;
}

bool filter_text_passes(const filter_text_t *t, const char *alt, double *value, str_t *reason) {
    text_measures_t m = measure(alt);
    if (!within(m.chars, t->min_chars, t->max_chars, "characters", value, reason)) return false;
    if (!within(m.words, t->min_words, t->max_words, "words", value, reason)) return false;
    double share = m.chars > m.spaces ? (double)m.letters / (double)(m.chars - m.spaces) : 0;
    if (m.chars > m.spaces && share < t->min_letters) {
        *value = share;
        str_addf(reason, "alt_text %.1f %% letters, expected at least %.4g %%", 100 * share, 100 * t->min_letters);
        return false;
    }
    if (m.chars == m.spaces) return true; /* an empty text is for min_chars and min_words to refuse */
    str_t normal = {0};
    add_normal(&normal, alt, strlen(alt));
    bool empty = says_nothing(t, alt, str_text(&normal));
    if (empty) {
        *value = 1;
        str_add(reason, "alt_text boilerplate ");
        str_add_json(reason, alt, strlen(alt));
    }
    reason->failed |= normal.failed;
    str_free(&normal);
    return !empty;
}

static void add_limit(str_t *out, const char *name, int64_t value, int64_t none) {
    if (value != none) str_addf(out, "%s%s %" PRId64, out->len && out->s[out->len - 1] != ' ' ? ", " : "", name, value);
}

void filter_text_limits(const filter_text_t *t, str_t *out) {
    add_limit(out, "min_chars", t->min_chars, 0);
    add_limit(out, "max_chars", t->max_chars, INT64_MAX);
    add_limit(out, "min_words", t->min_words, 0);
    add_limit(out, "max_words", t->max_words, INT64_MAX);
    const char *comma = out->len && out->s[out->len - 1] != ' ' ? ", " : "";
    str_addf(out, "%smin_letters %.17g, boilerplate %s", comma, t->min_letters, t->boilerplate ? "true" : "false");
    if (t->file) str_addf(out, ", boilerplate_file %016" PRIx64, t->file_hash);
}
