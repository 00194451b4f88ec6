#include "recaption/phrase.h"

#include <ctype.h>
#include <string.h>

#include "recaption/words.h"

const char *phrase_pick(rng_t *r, int n, const char *const *alternatives) {
    return alternatives[rng_below(r, (uint32_t)n)];
}

str_t *phrase_list_add(phrase_list_t *l) {
    LENS_ASSERT(l->n < PHRASE_LIST_MAX, "%d items", l->n);
    return &l->items[l->n++];
}

void phrase_list_free(phrase_list_t *l) {
    for (int i = 0; i < l->n; i++) str_free(&l->items[i]);
    l->n = 0;
}

void phrase_join(str_t *out, const phrase_list_t *l, const char *conjunction) {
    for (int i = 0; i < l->n; i++) {
        if (i > 0 && i + 1 < l->n) str_add(out, ", ");
        if (i > 0 && i + 1 == l->n) str_addf(out, " %s ", conjunction);
        str_add(out, str_text(&l->items[i]));
        if (l->items[i].failed) out->failed = true;
    }
}

void phrase_capitalise(str_t *s, size_t at) {
    if (at < s->len) s->s[at] = (char)toupper((unsigned char)s->s[at]);
}

const char *phrase_number(int n) {
    static const char *const words[] = {"no",    "one",   "two",  "three", "four",   "five",  "six",
                                        "seven", "eight", "nine", "ten",   "eleven", "twelve"};
    if (n <= 12) return words[n];
    return n < 24 ? "more than a dozen" : n < 60 ? "dozens of" : "a great many";
}

const char *phrase_fraction(double f) {
    static const struct {
        double below;
        const char *words;
    } steps[] = {{0.14, "a small part"}, {0.29, "about a quarter"},  {0.42, "about a third"},
                 {0.58, "about half"},   {0.71, "about two thirds"}, {0.83, "about three quarters"},
                 {0.93, "most"},         {2.0, "nearly all"}};
    int i = 0;
    while (f >= steps[i].below) i++;
    return steps[i].words;
}

void phrase_colours(str_t *out, const colour_t *colours, int n) {
    phrase_list_t list = {0};
    bool said[COLOUR_N] = {false};
    for (int i = 0; i < n && list.n < PHRASE_LIST_MAX; i++) {
        if (said[i]) continue;
        int shades = 0;
        for (int j = i; j < n; j++) shades += strcmp(colour_family(colours[j]), colour_family(colours[i])) == 0;
        bool together = shades >= 3;
        for (int j = i; j < n && together; j++)
            if (strcmp(colour_family(colours[j]), colour_family(colours[i])) == 0) said[j] = true;
        str_addf(phrase_list_add(&list), "%s%s", together ? "shades of " : "",
                 together ? colour_family(colours[i]) : colour_name(colours[i]));
    }
    phrase_join(out, &list, "and");
    phrase_list_free(&list);
}

/* Before a noun: shades of one family take the family's name, "grey" or "green and blue". */
static void add_adjectives(str_t *out, const colour_t *colours, int n) {
    phrase_list_t list = {0};
    for (int i = 0; i < n && list.n < PHRASE_LIST_MAX; i++) {
        int shades = 0;
        bool said = false;
        for (int j = 0; j < n; j++) {
            bool same = strcmp(colour_family(colours[j]), colour_family(colours[i])) == 0;
            shades += same;
            said |= same && j < i;
        }
        if (!said) str_add(phrase_list_add(&list), shades > 1 ? colour_family(colours[i]) : colour_name(colours[i]));
    }
    phrase_join(out, &list, "and");
    phrase_list_free(&list);
}

/* ---- regions ---- */

static const char *size_word(const region_t *g) {
    double f = g->filled_frac;
    if (g->shape == SHAPE_SPOT) return f < 0.0006 ? "tiny" : "small";
    return f > 0.11 ? "large" : f > 0.035 ? "" : f > 0.006 ? "small" : "tiny";
}

static const char *long_word(shape_axis axis) {
    static const char *const words[] = {
        [SHAPE_NO_AXIS] = "", [SHAPE_HORIZONTAL] = "wide", [SHAPE_VERTICAL] = "tall", [SHAPE_DIAGONAL] = "slanting"};
    return words[axis];
}

/* How a shape is named: an adjective that goes before the colour, and a noun. */
typedef struct {
    const char *adjective, *noun;
} naming_t;

static naming_t naming_of(rng_t *r, const region_t *g) {
    static const char *const nouns[SHAPE_N] = {
        [SHAPE_SQUARE] = "square", [SHAPE_DIAMOND] = "diamond",   [SHAPE_TRIANGLE] = "triangle",
        [SHAPE_RING] = "ring",     [SHAPE_FRAME] = "frame",       [SHAPE_HEART] = "heart",
        [SHAPE_CROSS] = "cross",   [SHAPE_PENTAGON] = "pentagon", [SHAPE_HEXAGON] = "hexagon"};
    const char *along = long_word(g->axis);
    switch (g->shape) {
    case SHAPE_SPOT:
        return (naming_t){"", PHRASE_PICK(r, "spot", "dot", "speck")};
    case SHAPE_ROUND:
        return (naming_t){"", PHRASE_PICK(r, "circle", "circle", "disc")};
    case SHAPE_OVAL:
        return (naming_t){g->axis == SHAPE_VERTICAL ? "upright" : along, PHRASE_PICK(r, "oval", "ellipse")};
    case SHAPE_RECTANGLE:
        return (naming_t){along, PHRASE_PICK(r, "rectangle", "rectangle", "block")};
    case SHAPE_BAR:
        return (naming_t){g->axis == SHAPE_HORIZONTAL ? "horizontal"
                          : g->axis == SHAPE_VERTICAL ? "vertical"
                                                      : "diagonal",
                          PHRASE_PICK(r, "bar", "strip", "band")};
    case SHAPE_STAR:
        return (naming_t){"", PHRASE_PICK(r, "star", "star shape")};
    case SHAPE_STRIP:
        return (naming_t){g->axis == SHAPE_VERTICAL ? "tall, narrow" : "long, narrow", "shape"};
    case SHAPE_BLOCK:
        return (naming_t){g->axis ? along : "compact", PHRASE_PICK(r, "shape", "form")};
    case SHAPE_IRREGULAR:
        return (naming_t){along, PHRASE_PICK(r, "shape", "form", "figure")};
    default:
        return (naming_t){"", nouns[g->shape]};
    }
}

static void add_word(str_t *s, const char *word) {
    if (*word) str_addf(s, "%s ", word);
}

void phrase_plural(str_t *out, const char *noun) {
    bool hisses = str_ends_with(noun, "s") || str_ends_with(noun, "h") || str_ends_with(noun, "x");
    str_addf(out, "%s%s", noun, hisses ? "es" : "s");
}

void phrase_region(str_t *out, rng_t *r, const region_t *g, int count, bool size) {
    str_t words = {0};
    naming_t name = naming_of(r, g);
    if (size) add_word(&words, size_word(g));
    add_word(&words, name.adjective);
    int n = g->n_colours > 1 && g->colour_frac[0] < 0.82 ? (g->n_colours > 2 ? 3 : 2) : 1;
    add_adjectives(&words, g->colours, n);
    str_add_char(&words, ' ');
    count > 1 ? phrase_plural(&words, name.noun) : str_add(&words, name.noun);
    str_addf(out, "%s %s", count > 1 ? phrase_number(count) : words_article(str_text(&words)), str_text(&words));
    if (words.failed) out->failed = true;
    str_free(&words);
}

void phrase_place(str_t *out, rng_t *r, int column, int row) {
    static const char *const rows[] = {"upper", "", "lower"}, *const columns[] = {"left", "", "right"};
    if (row == 1 && column == 1) {
        str_add(out, PHRASE_PICK(r, "in the middle", "in the centre", "at the centre"));
    } else if (row == 1) {
        const char *side = columns[column];
        rng_below(r, 2) ? str_addf(out, "on the %s", side) : str_addf(out, "at the %s-hand side", side);
    } else if (column == 1) {
        const char *side = row == 0 ? "top" : "bottom";
        rng_below(r, 2) ? str_addf(out, "at the %s", side) : str_addf(out, "near the %s edge", side);
    } else {
        const char *start = PHRASE_PICK(r, "in the", "toward the");
        str_addf(out, "%s %s %s%s", start, rows[row], columns[column], rng_below(r, 2) ? " corner" : "");
    }
}

void phrase_background(str_t *out, rng_t *r, const measure_t *m) {
    const char *from = colour_name(m->background_from), *to = colour_name(m->background_to);
    str_t words = {0};
    switch (m->background) {
    case BACKGROUND_GRADIENT: {
        bool upright = m->background_axis == SHAPE_VERTICAL;
        const char *a = upright ? "at the top" : "on the left", *b = upright ? "at the bottom" : "on the right";
        const char *change = PHRASE_PICK(r, "shifts", "fades", "blends", "passes");
        str_addf(&words, "background that %s from %s %s to %s %s", change, from, a, to, b);
        break;
    }
    case BACKGROUND_TEXTURED:
        str_addf(&words, "%s %s background", PHRASE_PICK(r, "faintly patterned", "lightly textured", "finely textured"),
                 from);
        break;
    default:
        str_addf(&words, "%s %s %s", PHRASE_PICK(r, "plain", "solid", "plain", "uniform"), from,
                 PHRASE_PICK(r, "background", "background", "backdrop"));
        break;
    }
    str_addf(out, "%s %s", words_article(str_text(&words)), str_text(&words));
    if (words.failed) out->failed = true;
    str_free(&words);
}

/* ---- the alt-text as a subject ---- */

static const char *const determiners[] = {"a",       "an",   "the",  "my",    "your",  "our",  "his",   "her",
                                          "their",   "this", "that", "these", "those", "some", "two",   "three",
                                          "four",    "five", "six",  "seven", "eight", "nine", "ten",   "many",
                                          "several", "few",  "both", "all",   "one",   "its",  "group", NULL};
static const char *const plural_determiners[] = {"two", "three", "four",    "five", "six",  "seven", "eight", "nine",
                                                 "ten", "many",  "several", "few",  "both", "these", "those", NULL};
static const char *const mass[] = {
    "water",     "food", "milk",   "bread",    "rice",    "grass", "snow", "sand", "wood",     "paper",   "furniture",
    "music",     "fire", "smoke",  "fruit",    "meat",    "fog",   "rain", "ice",  "clothing", "jewelry", "jewellery",
    "equipment", "art",  "nature", "love",     "coffee",  "tea",   "wine", "beer", "cheese",   "butter",  "fabric",
    "metal",     "gold", "silver", "sunshine", "traffic", "wheat", "corn", "soup", NULL};
static const char *const breaks[] = {"with",    "of",     "in",     "on",      "at",      "for",   "from",   "by",
                                     "to",      "over",   "under",  "near",    "behind",  "above", "below",  "between",
                                     "against", "inside", "into",   "around",  "through", "after", "before", "as",
                                     "that",    "who",    "which",  "during",  "beside",  "like",  "off",    "up",
                                     "down",    "along",  "across", "without", NULL};
static const char *const finite[] = {"is",   "are",    "was",   "were",  "has",  "have",  "can",   "will",
                                     "sits", "stands", "shows", "holds", "runs", "plays", "wears", "looks",
                                     "i",    "we",     "you",   "i'm",   "it's", NULL};

static bool is_break(const char *w, size_t n) {
    bool participle = n > 4 && (strncasecmp(w + n - 3, "ing", 3) == 0);
    static const char *const nouns_in_ing[] = {
        "building", "painting", "drawing", "wedding", "morning", "evening",  "ceiling",   "clothing", "king", "ring",
        "wing",     "string",   "spring",  "swing",   "sibling", "duckling", "lightning", "pudding",  NULL};
    return words_in(w, n, breaks) || (participle && !words_in(w, n, nouns_in_ing));
}

static bool is_colour_word(const char *w, size_t n) {
    static const char *const plain[] = {"red",   "blue",  "green", "yellow", "orange", "purple", "pink",
                                        "black", "white", "grey",  "gray",   "brown",  NULL};
    return words_in(w, n, plain);
}

/* "jigsaw blue" to "blue jigsaw": file names put the colour last. */
static void colour_first(str_t *out, const char *text) {
    const char *space = strrchr(text, ' ');
    bool moves =
        space && words_count(text) <= 3 && is_colour_word(space + 1, strlen(space + 1)) && !strstr(text, " and ");
    if (moves)
        str_addf(out, "%s %.*s", space + 1, (int)(space - text), text);
    else
        str_add(out, text);
}

typedef struct {
    const char *first, *head; /* words; head: the last one before the first preposition or participle */
    size_t first_n, head_n;
    int words, capitals; /* before the break */
    bool has_verb, has_and;
} reading_t;

static void read_phrase(reading_t *o, const char *text) {
    *o = (reading_t){0};
    bool open = true;
    size_t n;
    for (const char *w; (w = words_next(&text, &n));) {
        if (!o->first) {
            o->first = w;
            o->first_n = n;
        }
        o->has_verb |= words_in(w, n, finite);
        if (is_break(w, n) && o->head) open = false;
        if (!open) continue;
        o->has_and |= words_equal(w, n, "and") || words_equal(w, n, "&");
        o->capitals += isupper((unsigned char)*w) != 0;
        o->words++;
        o->head = w;
        o->head_n = n;
        if (strchr(",;:", w[n - 1])) {
            open = false;
            o->head_n--;
        }
    }
}

void phrase_subject(phrase_subject_t *out, const alttext_t *alt) {
    *out = (phrase_subject_t){0};
    str_t text = {0};
    colour_first(&text, str_text(&alt->text));
    if (text.failed) { /* no word to look at; the caller finds it in out->text */
        str_free(&text);
        out->text.failed = true;
        return;
    }
    reading_t o;
    read_phrase(&o, str_text(&text));
    bool inner_capital = o.first_n > 1 && isupper((unsigned char)o.first[1]);
    bool is_name =
        o.capitals >= 2 || (o.capitals == 1 && (o.words == 1 || inner_capital || !isupper((unsigned char)*o.first)));
    bool determined = words_in(o.first, o.first_n, determiners) || isdigit((unsigned char)*o.first);
    bool plural_word = words_in(o.first, o.first_n, plural_determiners) || isdigit((unsigned char)*o.first);
    out->is_sentence = o.has_verb;
    out->is_plural =
        plural_word || o.has_and || (!words_in(o.first, o.first_n, determiners) && words_is_plural(o.head, o.head_n));
    bool bare =
        determined || is_name || out->is_plural || words_in(o.head, o.head_n, mass) || is_break(o.first, o.first_n);
    if (!out->is_sentence && !bare) str_addf(&out->text, "%s ", words_article(str_text(&text)));
    size_t at = out->text.len;
    str_add(&out->text, str_text(&text));
    if (!is_name && !out->is_sentence && !out->text.failed)
        out->text.s[at] = (char)tolower((unsigned char)out->text.s[at]);
    if (text.failed) out->text.failed = true;
    str_free(&text);
}
