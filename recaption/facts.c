#include "recaption/facts.h"

#include <string.h>

enum { SIDE_MAX = 128 /* px */ };

static const double seen_frac = 0.003, large_frac = 0.08, flat_frac = 0.85;

/* ---- measuring ---- */

/* Every n-th pixel: colours stay those of the picture, and it costs next to nothing. */
static lens_status thin_out(image_t *out, const image_t *im) {
    int32_t longest = im->width > im->height ? im->width : im->height;
    int32_t step = (longest + SIDE_MAX - 1) / SIDE_MAX;
    int32_t w = (im->width + step - 1) / step, h = (im->height + step - 1) / step;
    LENS_TRY(image_new(out, w, h));
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++)
            memcpy(out->rgb + 3 * (y * w + x), im->rgb + 3 * (y * step * im->width + x * step), 3);
    return LENS_OK;
}

static void count_colours(facts_t *out, const colour_table_t *table, const image_t *im) {
    int64_t count[COLOUR_N] = {0}, n = (int64_t)im->width * im->height;
    for (int64_t i = 0; i < n; i++) count[colour_of(table, im->rgb + 3 * i)]++;
    for (int c = 0; c < COLOUR_N; c++) {
        if ((double)count[c] >= seen_frac * (double)n && count[c] > 0) out->colours |= UINT64_C(1) << c;
        if ((double)count[c] >= large_frac * (double)n) out->large |= UINT64_C(1) << c;
    }
}

/* Every object of a clear outline, all listed: nothing that might be two shapes grown together. */
static bool can_count(const measure_t *m) {
    if (m->background != BACKGROUND_PLAIN || m->flat_frac < flat_frac || m->n_objects_found != m->n_objects)
        return false;
    for (int i = 0; i < m->n_objects; i++)
        if (m->objects[i].shape == SHAPE_SPOT || m->objects[i].shape >= SHAPE_BLOCK || m->objects[i].n_parts > 1)
            return false;
    return m->n_objects > 0;
}

lens_status facts_measure(facts_t *out, const colour_table_t *colours, const image_t *image) {
    _Static_assert(COLOUR_N < 64, "a set of colours is 64 bits, and one is of no colour");
    *out = (facts_t){0};
    if (image->width <= 0 || image->height <= 0)
        return lens_fail(LENS_ARGUMENT, "picture of %d x %d pixels", image->width, image->height);
    image_t small = {0};
    LENS_TRY(thin_out(&small, image));
    measure_t m;
    lens_status st = measure_drawing(&m, colours, &small, flat_frac);
    count_colours(out, colours, &small);
    image_free(&small);
    LENS_TRY(st);
    if (m.background == BACKGROUND_PLAIN || m.background == BACKGROUND_GRADIENT)
        out->background = UINT64_C(1) << m.background_from | UINT64_C(1) << m.background_to;
    out->is_flat = can_count(&m);
    out->n_objects = out->is_flat ? m.n_objects : 0;
    return LENS_OK;
}

lens_status facts_measure_stored(facts_t *out, const colour_table_t *colours, const uint8_t *bytes, size_t n) {
    image_t image;
    LENS_TRY(image_decode_reduced(&image, SIDE_MAX, bytes, n));
    lens_status st = facts_measure(out, colours, &image);
    image_free(&image);
    return st;
}

/* ---- words ---- */

#define SET(a) (UINT64_C(1) << COLOUR_##a)
#define GREYS (SET(DARK_GREY) | SET(GREY) | SET(LIGHT_GREY))
#define BROWNS (SET(TAN) | SET(BROWN) | SET(DARK_BROWN) | SET(BEIGE) | SET(PEACH))
#define REDS (SET(RED) | SET(DARK_RED) | SET(CORAL))
#define PINKS (SET(PINK) | SET(PALE_PINK) | SET(MAGENTA))
#define PURPLES (SET(PURPLE) | SET(LAVENDER))
#define BLUES (SET(NAVY) | SET(BLUE) | SET(LIGHT_BLUE))
#define TURQUOISES (SET(TURQUOISE) | SET(TEAL))
#define GREENS (SET(GREEN) | SET(DARK_GREEN) | SET(LIGHT_GREEN) | SET(LIME) | SET(OLIVE))
#define YELLOWS (SET(YELLOW) | SET(PALE_YELLOW) | SET(GOLD) | SET(CREAM))
#define WHITES (SET(WHITE) | SET(CREAM) | SET(LIGHT_GREY))
#define DARKS (SET(BLACK) | SET(DARK_GREY) | SET(DARK_BROWN) | SET(NAVY) | SET(DARK_GREEN) | SET(DARK_RED))

/* What a person might mean by the word: generous, so that only what is far off is a contradiction. */
static const struct {
    const char *word;
    uint64_t near;
} words[] = {
    {"black", DARKS},
    {"white", WHITES | SET(BEIGE)},
    {"grey", GREYS | SET(BLACK) | SET(WHITE) | SET(NAVY) | SET(LAVENDER) | SET(LIGHT_BLUE) | SET(TAN) | SET(BEIGE)},
    {"gray", GREYS | SET(BLACK) | SET(WHITE) | SET(NAVY) | SET(LAVENDER) | SET(LIGHT_BLUE) | SET(TAN) | SET(BEIGE)},
    {"brown", BROWNS | SET(DARK_RED) | SET(ORANGE) | SET(OLIVE) | SET(DARK_GREY)},
    {"red", REDS | PINKS | SET(ORANGE) | SET(BROWN) | SET(DARK_BROWN)},
    {"pink", PINKS | REDS | SET(PEACH) | PURPLES},
    {"purple", PURPLES | SET(MAGENTA) | SET(NAVY) | SET(DARK_RED)},
    {"violet", PURPLES | SET(MAGENTA) | SET(NAVY) | SET(BLUE)},
    {"blue", BLUES | TURQUOISES | PURPLES | GREYS},
    {"turquoise", TURQUOISES | BLUES | GREENS},
    {"green", GREENS | TURQUOISES | SET(YELLOW) | SET(DARK_GREY)},
    {"yellow", YELLOWS | SET(ORANGE) | SET(LIME) | SET(BEIGE) | SET(TAN) | SET(PEACH)},
    {"orange", SET(ORANGE) | SET(PEACH) | SET(GOLD) | SET(CORAL) | SET(RED) | BROWNS},
};

static uint64_t colour_word(const quality_text_t *t, int32_t i) {
    if (i < 0 || i >= t->n_words || t->words[i].quoted) return 0;
    const char first = t->lower[t->words[i].lower];
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (words[k].word[0] == first && quality_text_is(t, i, words[k].word)) return words[k].near;
    return 0;
}

static const char *const shapes[] = {"circle",    "circles",    "disc",      "discs", "disk",    "disks",    "square",
                                     "squares",   "triangle",   "triangles", "star",  "stars",   "heart",    "hearts",
                                     "rectangle", "rectangles", "ring",      "rings", "hexagon", "hexagons", "diamond",
                                     "diamonds",  "cross",      "crosses",   "oval",  "ovals",   "dot",      "dots",
                                     "pentagon",  "pentagons",  NULL};

static int count_word(const quality_text_t *t, int32_t i) {
    static const char *const numbers[] = {"two",   "three", "four", "five",   "six",   "seven",
                                          "eight", "nine",  "ten",  "eleven", "twelve"};
    for (int k = 0; k < 11; k++)
        if (quality_text_is(t, i, numbers[k])) return k + 2;
    return 0;
}

/* ---- claims: what word i says, `claimed` being the colours that it may mean ---- */

/* "a solid black background", "the background is black" */
static bool denies_background(const facts_t *f, const quality_text_t *t, int32_t i, uint64_t claimed) {
    if (!claimed || !f->background || ((claimed & f->background) != 0)) return false;
    if (quality_text_is(t, i + 1, "background") || quality_text_is(t, i + 1, "backdrop")) {
        bool mixed = i > 0 && (quality_text_is(t, i - 1, "and") || quality_text_is(t, i - 1, "to"));
        return !mixed;
    }
    bool is = i >= 2 && quality_text_is(t, i - 1, "is") && quality_text_is(t, i - 2, "background");
    return is && (i + 1 >= t->n_words || t->words[i + 1].sentence != t->words[i].sentence ||
                  !quality_text_is(t, i + 1, "and"));
}

/* "dominated by purple", "predominantly purple", "mostly purple" */
static bool denies_dominance(const facts_t *f, const quality_text_t *t, int32_t i, uint64_t claimed) {
    static const char *const leads[] = {"predominantly", "mostly", "mainly", "almost entirely", "entirely", NULL};
    if (!claimed || (claimed & f->large)) return false;
    bool dominated = i >= 2 && ((quality_text_is(t, i - 1, "by") && quality_text_is(t, i - 2, "dominated")) ||
                                (quality_text_is(t, i - 1, "with") && quality_text_is(t, i - 2, "filled")));
    /* "a mostly white cat" speaks of the cat: only where the picture holds nothing of it */
    bool mostly = i >= 1 && quality_text_match_any(t, i - 1, leads) == 1 && !(claimed & f->colours);
    return dominated || mostly;
}

/* "purple circle" in a drawing that holds no purple; "six blue circles" among fewer objects */
static bool denies_shapes(const facts_t *f, const quality_text_t *t, int32_t i) {
    if (!f->is_flat || !quality_text_match_any(t, i, shapes)) return false;
    uint64_t claimed = colour_word(t, i - 1);
    if (claimed && !(claimed & f->colours)) return true;
    for (int32_t k = i - 1; k >= 0 && k >= i - 3 && t->words[k].sentence == t->words[i].sentence; k--)
        if (count_word(t, k)) return count_word(t, k) > f->n_objects;
    return false;
}

int32_t facts_contradictions(const facts_t *f, const quality_text_t *t) {
    int32_t n = 0;
    for (int32_t i = 0; i < t->n_words; i++) {
        if (t->words[i].quoted) continue;
        const uint64_t claimed = colour_word(t, i);
        n += denies_background(f, t, i, claimed) || denies_dominance(f, t, i, claimed) || denies_shapes(f, t, i);
    }
    return n;
}

/* A statement counts against a picture that has less of everything than any other, or it never does. */
bool facts_claimed(const quality_text_t *t) {
    const facts_t nothing = {.background = UINT64_C(1) << 63, .is_flat = true};
    return facts_contradictions(&nothing, t) > 0;
}
