#include "recaption/alttext.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "recaption/words.h"

static const char *const extensions[] = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp",  ".svg",
                                         ".tif", ".tiff", ".eps", ".psd", ".heic", ".avif", NULL};

/* Phrases of shops and stock sites; longer ones first, because removing a short one breaks a long one. */
static const char *const boilerplate[] = {
    "royalty free stock photography",
    "royalty-free stock photography",
    "royalty free stock photos",
    "royalty free stock image",
    "royalty free stock images",
    "royalty free vector",
    "royalty free image",
    "royalty free images",
    "royalty free photo",
    "royalty free",
    "royalty-free",
    "stock photography",
    "stock vector art",
    "stock illustrations",
    "stock illustration",
    "stock photos",
    "stock photo",
    "stock images",
    "stock image",
    "stock vectors",
    "stock vector",
    "stock footage",
    "free vector graphics",
    "free vectors",
    "free vector",
    "vector illustration",
    "vector graphics",
    "vector graphic",
    "vector image",
    "vector art",
    "vector clipart",
    "free clip art",
    "free clipart",
    "clip art",
    "clip-art",
    "clipart",
    "free download",
    "free stock",
    "free image",
    "free images",
    "free photo",
    "free photos",
    "download now",
    "download free",
    "transparent background",
    "transparent png",
    "png transparent",
    "png image",
    "free png",
    "hd wallpapers",
    "hd wallpaper",
    "desktop wallpaper",
    "wallpaper hd",
    "high resolution",
    "high quality",
    "click to enlarge",
    "click for larger image",
    "click to zoom",
    "view larger",
    "image result for",
    "free shipping",
    "buy online",
    "for sale",
    "best price",
    "all rights reserved",
    "getty images",
    "shutterstock",
    "istockphoto",
    "istock",
    "dreamstime",
    "depositphotos",
    "alamy",
    "123rf",
    "pixabay",
    "pinterest",
    "openclipart",
    "thumbnail",
    NULL,
};

static const char *const leads[] = {
    "image of",      "images of",       "picture of", "pictures of", "photo of",    "photos of",
    "photograph of", "illustration of", "drawing of", "vector of",   "close up of", "graphic of",
    "icon of",       "view of",         "this is",    "here is",     NULL,
};

/* Alone they say nothing. */
static const char *const generic[] = {
    "image",       "images",   "img",     "photo",       "photos",     "picture", "pictures", "pic",     "pics",
    "untitled",    "default",  "unnamed", "placeholder", "screenshot", "screen",  "shot",     "scan",    "file",
    "home",        "blog",     "main",    "banner",      "header",     "hero",    "slide",    "avatar",  "spacer",
    "blank",       "null",     "none",    "undefined",   "dsc",        "dscn",    "dscf",     "pict",    "mvc",
    "cimg",        "sam",      "pxl",     "wp",          "gopr",       "dji",     "copy",     "final",   "version",
    "new",         "large",    "small",   "medium",      "full",       "size",    "vector",   "stock",   "illustration",
    "graphic",     "graphics", "icon",    "wallpaper",   "hd",         "uhd",     "png",      "jpg",     "jpeg",
    "gif",         "webp",     "svg",     "com",         "www",        "http",    "https",    "the",     "a",
    "an",          "of",       "and",     "or",          "in",         "on",      "at",       "to",      "for",
    "with",        "by",       "from",    "is",          "it",         "this",    "that",     "my",      "your",
    "our",         "here",     "free",    "download",    "no",         "name",    "title",    "alt",     "text",
    "description", "product",  "item",    "gallery",     "album",      "page",    "site",     "website", "whatsapp",
    NULL,
};

/* Small words that are no keywords. */
static const char *const function_words[] = {
    "the", "a",    "an",    "of",   "and",  "or",    "in",   "on",   "at",   "to", "for",  "with",
    "by",  "from", "is",    "are",  "was",  "it",    "its",  "this", "that", "my", "your", "our",
    "his", "her",  "their", "into", "over", "under", "near", "as",   "be",   NULL,
};

static const char *const file_words[] = {"img",  "dsc", "dscn", "dscf", "pict", "cimg", "sam",        "pxl",
                                         "gopr", "dji", "mvc",  "imag", "p",    "wp",   "screenshot", NULL};

/* ---- bytes: markup, entities, white space ---- */

typedef struct {
    const char *entity, *text;
} entity_t;

static size_t entity_at(const char *p, const char **text) {
    static const entity_t entities[] = {{"&amp;", "&"},   {"&quot;", "\""},   {"&#34;", "\""},    {"&#39;", "'"},
                                        {"&apos;", "'"},  {"&lt;", " "},      {"&gt;", " "},      {"&nbsp;", " "},
                                        {"&#160;", " "},  {"&ndash;", " - "}, {"&mdash;", " - "}, {"&#8211;", " - "},
                                        {"&rsquo;", "'"}, {"&#8217;", "'"},   {"%20", " "}};
    for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++)
        if (str_starts_with(p, entities[i].entity)) {
            *text = entities[i].text;
            return strlen(entities[i].entity);
        }
    return 0;
}

/* Valid UTF-8 on one line with single spaces; tags gone; dashes and bullets between words as " | ". */
static void flatten(str_t *out, const char *raw) {
    size_t left = strnlen(raw, ALTTEXT_MAX_BYTES);
    while (left) {
        uint32_t code = 0;
        const char *text = NULL;
        size_t n = words_utf8(raw, left, &code), entity = entity_at(raw, &text);
        const char *tag_end =
            *raw == '<' && (isalpha((unsigned char)raw[1]) || raw[1] == '/') ? memchr(raw, '>', left) : NULL;
        if (entity && entity <= left) {
            str_add(out, text);
            n = entity;
        } else if (tag_end) {
            str_add_char(out, ' ');
            n = (size_t)(tag_end - raw) + 1;
        } else if (n == 0 || code < 0x20 || code == 0x7f || code == 0xA0 || (code >= 0x80 && code < 0xA0) ||
                   (code >= 0x2000 && code <= 0x200F) || code == 0xFEFF) {
            str_add_char(out, ' ');
            n = n ? n : 1;
        } else if (code == 0x2013 || code == 0x2014 || code == 0x2022 || code == 0xBB || code == 0xB7) {
            str_add(out, " | ");
        } else if (code == 0x2018 || code == 0x2019) {
            str_add_char(out, '\'');
        } else if (code == 0x201C || code == 0x201D) {
            str_add_char(out, '"');
        } else {
            str_add_n(out, raw, n);
        }
        raw += n;
        left -= n;
    }
}

/* ---- file names ---- */

static const char *extension_of(const char *word, size_t n) {
    for (const char *const *e = extensions; *e; e++) {
        size_t m = strlen(*e);
        if (n > m && strncasecmp(word + n - m, *e, m) == 0) return word + n - m;
    }
    return NULL;
}

static bool has_digit(const char *word, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (isdigit((unsigned char)word[i])) return true;
    return false;
}

/* One token joined by '_', '-' or '+', or with a picture's extension. */
static bool looks_like_file_name(const char *text) {
    size_t n = strlen(text);
    if (extension_of(text, n)) return true;
    if (n == 0 || strchr(text, ' ')) return false;
    int joins = 0;
    for (const char *p = text; *p; p++) joins += *p == '_' || *p == '-' || *p == '+';
    return strchr(text, '_') || joins >= 2 || (joins >= 1 && has_digit(text, n));
}

/* Path and extension off, joints and camelCase to spaces. */
static void split_file_name(str_t *out, const char *text) {
    const char *slash = strrchr(text, '/');
    if (slash && slash[1]) text = slash + 1;
    size_t n = strlen(text);
    const char *extension = extension_of(text, n);
    if (extension) n = (size_t)(extension - text);
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool hump = i > 0 && isupper((unsigned char)c) && islower((unsigned char)text[i - 1]);
        if (hump) str_add_char(out, ' ');
        str_add_char(out, c == '_' || c == '-' || c == '+' || c == '.' ? ' ' : c);
    }
}

/* ---- words to drop ---- */

static bool is_address(const char *word, size_t n) {
    static const char *const ends[] = {".com", ".net", ".org", ".co.uk", ".de", ".io", ".info", ".ru", ".fr", NULL};
    if (n >= 4 && (strncasecmp(word, "http", 4) == 0 || strncasecmp(word, "www.", 4) == 0)) return true;
    if (memchr(word, '@', n)) return true;
    while (n && strchr(".,;:)!/", word[n - 1])) n--;
    for (const char *const *e = ends; *e; e++) {
        size_t m = strlen(*e);
        if (n > m && strncasecmp(word + n - m, *e, m) == 0) return true;
    }
    return false;
}

/* "1024x768", "4k", "300dpi", "1080p", "2.5mb" */
static bool is_size(const char *word, size_t n) {
    static const char *const units[] = {"px", "dpi", "mb", "kb", "k", "p", "mp", NULL};
    size_t i = 0;
    while (i < n && (isdigit((unsigned char)word[i]) || word[i] == '.')) i++;
    if (i == 0 || i == n) return false;
    for (const char *const *u = units; *u; u++)
        if (words_equal(word + i, n - i, *u)) return true;
    if (word[i] != 'x' && word[i] != 'X') return false;
    size_t digits = ++i;
    while (i < n && isdigit((unsigned char)word[i])) i++;
    if (i == digits) return false;
    return i == n || words_equal(word + i, n - i, "px");
}

/* Article numbers, hashes, time stamps: letters mixed with digits, or many digits. */
static bool is_code(const char *word, size_t n) {
    size_t digits = 0, letters = 0;
    for (size_t i = 0; i < n; i++) {
        digits += isdigit((unsigned char)word[i]) != 0;
        letters += isalpha((unsigned char)word[i]) != 0;
    }
    if (letters == 0) return digits >= 5;
    if (word[0] == '0') return true; /* "02b" */
    return digits >= 3 && n >= 5;
}

static bool is_number(const char *word, size_t n) {
    if (n >= 2 && word[0] == '(' && word[n - 1] == ')') return is_number(word + 1, n - 2);
    if (n > 1 && word[0] == '#') return is_number(word + 1, n - 1);
    if (n > 1 && (word[0] == 'v' || word[0] == 'V') && isdigit((unsigned char)word[1])) return true; /* v2, v0.1 */
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)word[i]) && word[i] != '.') return false;
    return n > 0;
}

static void drop_words(str_t *out, const char *text, bool was_file_name) {
    size_t n;
    for (const char *w; (w = words_next(&text, &n));) {
        if (is_address(w, n) || is_size(w, n) || is_code(w, n) || extension_of(w, n) == w) continue;
        if (was_file_name &&
            ((n <= 4 && has_digit(w, n)) || is_number(w, n) || (n <= 10 && words_in(w, n, file_words))))
            continue;
        if (w[0] == '#' && n > 1 && isalpha((unsigned char)w[1])) {
            w++;
            n--;
        }
        const char *extension = extension_of(w, n);
        if (extension) n = (size_t)(extension - w);
        str_addf(out, "%s%.*s", out->len ? " " : "", (int)n, w);
    }
}

static void remove_phrases(str_t *s) {
    for (const char *const *b = boilerplate; *b; b++)
        for (char *p; s->s && (p = (char *)words_find(s->s, *b));) {
            size_t n = strlen(*b);
            memmove(p, p + n, s->len - (size_t)(p - s->s) - n + 1);
            s->len -= n;
        }
    for (bool again = s->s != NULL; again;) {
        again = false;
        for (const char *const *l = leads; *l && !again; l++) {
            size_t n = strlen(*l);
            if (strncasecmp(s->s, *l, n) != 0 || s->s[n] != ' ') continue;
            memmove(s->s, s->s + n + 1, s->len - n);
            s->len -= n + 1;
            again = true;
        }
    }
}

/* Trailing counters, joints and empty brackets; leading joints. */
static void trim(str_t *s, bool was_file_name) {
    static const char *const dangling[] = {"of", "and",    "or",           "by",  "with", "from", "for",
                                           "in", "on",     "at",           "the", "a",    "an",   "&",
                                           "-",  "vector", "illustration", "png", "jpg",  NULL};
    while (s->len) {
        size_t begin = s->len;
        while (begin && s->s[begin - 1] != ' ') begin--;
        const char *word = s->s + begin;
        size_t n = s->len - begin;
        bool counter = begin > 0 && (is_number(word, n) || (was_file_name && n == 1));
        bool joint = n && strspn(word, ".,;:-_|/&+()[]!?\"*") == n;
        if (n == 0 || counter || joint || words_in(word, n, dangling)) {
            s->len = begin ? begin - 1 : 0;
            s->s[s->len] = '\0';
            continue;
        }
        if (!strchr(".,;:-_|/*", s->s[s->len - 1])) break;
        s->s[--s->len] = '\0';
    }
    size_t lead = s->len ? strspn(s->s, " ,;:-_|/.*") : 0;
    if (!lead) return;
    memmove(s->s, s->s + lead, s->len - lead + 1);
    s->len -= lead;
}

static void squeeze(str_t *out, const char *text) {
    size_t n;
    for (const char *w; (w = words_next(&text, &n));) {
        bool closes = strchr(",.;:", *w) && n == 1;
        str_addf(out, "%s%.*s", out->len && !closes ? " " : "", (int)n, w);
    }
}

static int meaning(const char *text) {
    int count = 0;
    size_t n;
    for (const char *w; (w = words_next(&text, &n));) {
        size_t letters = 0;
        for (size_t i = 0; i < n; i++) letters += isalpha((unsigned char)w[i]) || (unsigned char)w[i] >= 0x80;
        while (n && strchr(".,;:!?", w[n - 1])) n--;
        count += letters >= 3 && letters * 2 > n && !words_in(w, n, generic);
    }
    return count;
}

/* ---- case ---- */

static void lower(str_t *s) {
    for (size_t i = 0; i < s->len; i++) s->s[i] = (char)tolower((unsigned char)s->s[i]);
}

/* Title case that is no name: even the small words have capitals, or the first word is a plain colour or number. */
static bool is_title(const char *text) {
    static const char *const plain[] = {"Red",  "Blue",  "Green", "Yellow", "Orange", "Purple",
                                        "Pink", "Brown", "Black", "White",  "Grey",   "Gray",
                                        "One",  "Two",   "Three", "Four",   "Five",   NULL};
    bool small_word = false, plain_start = false;
    size_t n, words = 0;
    for (const char *w; (w = words_next(&text, &n)); words++) {
        if (islower((unsigned char)*w)) return false;
        if (words == 0) plain_start = words_in(w, n, plain);
        small_word |= words > 0 && words_in(w, n, function_words);
    }
    return words > 1 && (small_word || plain_start);
}

/* "RED APPLE" shouts; a short one may be a name (NASA). */
static void settle_case(str_t *s) {
    size_t capitals = 0, smalls = 0;
    for (size_t i = 0; i < s->len; i++) {
        capitals += isupper((unsigned char)s->s[i]) != 0;
        smalls += islower((unsigned char)s->s[i]) != 0;
    }
    bool shouts = smalls == 0 && (capitals >= 6 || strchr(str_text(s), ' '));
    if (shouts || is_title(str_text(s))) lower(s);
}

/* ---- parts ---- */

static lens_status clean_segment(str_t *out, const char *segment, bool was_file_name) {
    str_t kept = {0};
    drop_words(&kept, segment, was_file_name);
    remove_phrases(&kept);
    trim(&kept, was_file_name);
    squeeze(out, str_text(&kept));
    lens_status st = str_status(&kept);
    if (st == LENS_OK) st = str_status(out);
    str_free(&kept);
    settle_case(out);
    return st;
}

static bool has_separator(const char *p) {
    return p[0] == '|' || (p[0] == ' ' && p[1] == '-' && p[2] == ' ') || (p[0] == ':' && p[1] == ':') ||
           (p[0] == ' ' && p[1] == '/' && p[2] == ' ');
}

/* The first segment that says something wins; one of two words or more wins over single words before it. */
static lens_status choose_segment(str_t *out, const char *text, bool was_file_name) {
    str_t segment = {0}, cleaned = {0};
    lens_status st = LENS_OK;
    int best = 0;
    while (*text && best < 2) {
        const char *end = text;
        while (*end && !has_separator(end)) end++;
        str_clear(&segment);
        str_clear(&cleaned);
        str_add_n(&segment, text, (size_t)(end - text));
        LENS_GO(clean_segment(&cleaned, str_text(&segment), was_file_name));
        int says = meaning(str_text(&cleaned));
        if (says > best) {
            best = says;
            str_clear(out);
            str_add(out, str_text(&cleaned));
        }
        text = end + (*end == '|' ? 1 : *end == ':' ? 2 : *end ? 3 : 0);
    }
    st = str_status(&segment);
done:
    str_free(&segment);
    str_free(&cleaned);
    return st;
}

static void add_keyword(alttext_t *a, const char *word, size_t n) {
    while (n && strchr(" .,;:!?\"'()[]", *word)) {
        word++;
        n--;
    }
    while (n && strchr(" .,;:!?\"'()[]", word[n - 1])) n--;
    if (n < 3 || a->n_keywords == ALTTEXT_KEYWORD_MAX) return;
    for (int i = 0; i < a->n_keywords; i++)
        if (words_equal(word, n, str_text(&a->keywords[i]))) return;
    str_add_n(&a->keywords[a->n_keywords++], word, n);
}

/* Three items or more, short ones. */
static bool is_list(const char *text) {
    int items = 1;
    int64_t longest = 0, words = 0;
    size_t n;
    for (const char *w; (w = words_next(&text, &n));) {
        words++;
        if (w[n - 1] != ',' && w[n - 1] != ';') continue;
        longest = words > longest ? words : longest;
        words = 0;
        items++;
    }
    longest = words > longest ? words : longest;
    return items >= 3 && longest <= 3;
}

static void find_keywords(alttext_t *a) {
    const char *text = str_text(&a->text);
    size_t n;
    if (a->kind == ALTTEXT_KEYWORDS) {
        while (*text) {
            n = strcspn(text, ",;");
            add_keyword(a, text, n);
            text += n + (text[n] != '\0');
        }
        str_clear(&a->text);
        for (int i = 0; i < a->n_keywords; i++) str_addf(&a->text, "%s%s", i ? ", " : "", str_text(&a->keywords[i]));
        return;
    }
    for (const char *w; (w = words_next(&text, &n));)
        if (!words_in(w, n, function_words)) add_keyword(a, w, n);
}

/* A long text keeps its first sentence, or else its words up to the last comma that fits: what is kept stays whole. */
static void shorten(str_t *s) {
    const char *at = str_text(s), *cut = NULL;
    int64_t words = 0;
    size_t n;
    for (const char *w; (w = words_next(&at, &n));) {
        if (++words > ALTTEXT_WORD_MAX) {
            size_t len = (size_t)((cut ? cut : w) - s->s);
            s->s[len] = '\0';
            s->len = len;
            trim(s, false);
            return;
        }
        bool ends = strchr(".!?", w[n - 1]) && n > 3 && words >= 3 && *at;
        if (ends) {
            s->len = (size_t)(w + n - s->s);
            s->s[s->len] = '\0';
            trim(s, false);
            return;
        }
        if (strchr(",;:", w[n - 1])) cut = w + n - 1;
    }
}

lens_status alttext_clean(alttext_t *out, const char *raw) {
    *out = (alttext_t){0};
    str_t flat = {0}, line = {0}, name = {0};
    lens_status st = LENS_OK;
    flatten(&flat, raw);
    squeeze(&line, str_text(&flat));
    out->was_file_name = looks_like_file_name(str_text(&line)) && !is_address(str_text(&line), line.len);
    const char *text = str_text(&line);
    if (out->was_file_name) {
        split_file_name(&name, text);
        text = str_text(&name);
    } else {
        for (size_t i = 0; i < line.len; i++)
            if (line.s[i] == '_') line.s[i] = ' ';
    }
    LENS_GO(choose_segment(&out->text, text, out->was_file_name));
    LENS_GO(str_status(&flat));
    LENS_GO(str_status(&line));
    LENS_GO(str_status(&name));
    if (meaning(str_text(&out->text)) > 0) {
        out->kind = is_list(str_text(&out->text)) ? ALTTEXT_KEYWORDS : ALTTEXT_PHRASE;
        if (out->kind == ALTTEXT_PHRASE) shorten(&out->text);
        find_keywords(out);
    } else {
        str_clear(&out->text);
    }
    st = str_status(&out->text);
    for (int i = 0; i < out->n_keywords && st == LENS_OK; i++) st = str_status(&out->keywords[i]);
done:
    str_free(&flat);
    str_free(&line);
    str_free(&name);
    if (st != LENS_OK) alttext_free(out);
    return st;
}

void alttext_free(alttext_t *a) {
    str_free(&a->text);
    for (int i = 0; i < ALTTEXT_KEYWORD_MAX; i++) str_free(&a->keywords[i]);
    *a = (alttext_t){0};
}
