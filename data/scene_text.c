/* What is said about a scene: the web's alt-text, two true captions, the truth itself as JSON. See scene.h.
 *
 * The two captions say nothing that is not so. Each text draws its wording from its own stream, keyed by the scene. */
#include "data/scene.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* The epoch of the stream that words each text; 0 is the picture's own. */
enum { STREAM_ALT = 1, STREAM_BRIEF = 2, STREAM_DENSE = 3 };

static rng_t wording(const scene_t *s, uint32_t stream) {
    return rng_stream(s->seed, stream, s->index, RNG_SCENE);
}

#define PICK(r, list) ((list)[rng_below((r), sizeof(list) / sizeof((list)[0]))])

static const char *const NUMBERS[] = {"zero", "one", "two", "three", "four"};

static const char *shape_noun(const scene_group_t *g) {
    return g->count > 1 ? scene_shape_plural(g->shape) : scene_shape_word(g->shape);
}

static const char *article(const char *next_word) {
    return strchr("aeiou", next_word[0]) ? "an" : "a";
}

/* ---- alt-text ---- */
static void alt_file_name(rng_t *r, str_t *out) {
    unsigned number = rng_below(r, 10000);
    switch (rng_below(r, 6)) {
    case 0:
        str_addf(out, "IMG_%04u.jpg", number);
        break;
    case 1:
        str_addf(out, "DSC%05u.JPG", number);
        break;
    case 2:
        str_addf(out, "image (%u).png", 1 + number % 40);
        break;
    case 3:
        str_addf(out, "Untitled-%u", 1 + number % 9);
        break;
    case 4:
        str_addf(out, "clipart_%u_%ux%u.png", number, 64 << number % 4, 64 << number % 4);
        break;
    default:
        str_addf(out, "shape%02u-final.png", number % 100);
    }
}

static void alt_stock(rng_t *r, str_t *out) {
    static const char *const PHRASES[] = {
        "clip art",
        "Geometric shapes vector illustration",
        "Free PNG download",
        "abstract background",
        "shapes for kids",
        "Stock vector, royalty free",
        "flat design elements",
        "logo template",
        "simple wallpaper",
        "colorful shapes",
        "icon set",
        "Free vector graphics",
        "worksheet picture",
        "digital art print",
        "cute design",
        "image may contain: shapes",
    };
    str_add(out, PICK(r, PHRASES));
}

/* A thing with the little that people write: here and there the count, the colour; where asked, a wrong one. */
static void alt_thing(rng_t *r, const scene_group_t *g, bool colour, bool wrong, str_t *out) {
    scene_colour said = g->colour;
    scene_group_t named = *g;
    if (wrong) {
        if (colour && rng_below(r, 2) == 0)
            said = (scene_colour)((said + 1 + rng_below(r, SCENE_N_COLOURS - 1)) % SCENE_N_COLOURS);
        else
            named.shape = (scene_shape)((g->shape + 1 + rng_below(r, SCENE_N_SHAPES - 1)) % SCENE_N_SHAPES);
    }
    if (g->count > 1 && rng_below(r, 2) == 0) str_addf(out, "%s ", NUMBERS[g->count]);
    if (colour) str_addf(out, "%s ", scene_colour_word(said));
    str_add(out, shape_noun(&named));
}

static void alt_tags(rng_t *r, const scene_t *s, str_t *out) {
    static const char *const TAGS[] = {"vector", "shapes", "png", "clip art", "design", "icon"};
    for (int i = 0; i < s->n_groups; i++) str_addf(out, "%s, ", scene_shape_word(s->groups[i].shape));
    str_add(out, PICK(r, TAGS));
}

static void alt_noise(rng_t *r, size_t begin, str_t *out) {
    static const char *const TAILS[] = {
        " | Free Vector", " - Shapes & More", " clip art", " (1)", " PNG", " icon", "..."};
    uint32_t letters = rng_below(r, 10);
    if (letters < 2)
        for (size_t i = begin; i < out->len; i++) {
            bool first = i == begin || out->s[i - 1] == ' ';
            if (letters == 0 || first) out->s[i] = (char)toupper((unsigned char)out->s[i]);
        }
    if (rng_below(r, 5) == 0) str_add(out, PICK(r, TAILS));
}

void scene_alt(const scene_t *s, str_t *out) {
    rng_t r = wording(s, STREAM_ALT);
    size_t begin = out->len;
    const scene_group_t *one = &s->groups[rng_below(&r, (uint32_t)s->n_groups)];
    uint32_t lot = rng_below(&r, 100);
    if (lot < 2) return;
    if (lot < 14) {
        alt_file_name(&r, out);
        return;
    }
    if (lot < 26)
        alt_stock(&r, out);
    else if (lot < 42)
        alt_thing(&r, one, false, false, out);
    else if (lot < 66)
        alt_thing(&r, one, true, false, out);
    else if (lot < 76)
        alt_tags(&r, s, out);
    else if (lot < 84)
        alt_thing(&r, one, rng_below(&r, 2) == 0, true, out);
    else {
        bool colours = rng_below(&r, 3) != 0;
        for (int i = 0; i < s->n_groups; i++) {
            if (i > 0) str_add(out, i == s->n_groups - 1 ? " and " : ", ");
            alt_thing(&r, &s->groups[i], colours, false, out);
        }
    }
    alt_noise(&r, begin, out);
}

/* ---- phrases of the true captions ---- */
/* "a large red circle", "two blue stars". Without its article: "large red circle". */
static void thing_add(const scene_group_t *g, bool with_article, bool with_size, str_t *out) {
    const char *colour = scene_colour_word(g->colour), *size = scene_size_word(g->size);
    if (g->count > 1)
        str_addf(out, "%s ", NUMBERS[g->count]);
    else if (with_article)
        str_addf(out, "%s ", article(with_size ? size : colour));
    if (with_size) str_addf(out, "%s ", size);
    str_addf(out, "%s %s", colour, shape_noun(g));
}

/* "the red circle", "the two blue stars": the words that tell a group from the others. */
static void reference_add(const scene_group_t *g, str_t *out) {
    str_add(out, "the ");
    thing_add(g, false, false, out);
}

/* How a lies to b: "inside", "to the left of", "above and to the left of". The number of relations said. */
static int relation_add(const scene_t *s, int a, int b, str_t *out) {
    static const char *const WORDS[] = {
        [SCENE_RELATION_LEFT_OF] = "to the left of",
        [SCENE_RELATION_RIGHT_OF] = "to the right of",
        [SCENE_RELATION_ABOVE] = "above",
        [SCENE_RELATION_BELOW] = "below",
        [SCENE_RELATION_INSIDE] = "inside",
    };
    const scene_fact_t *first = NULL, *second = NULL;
    for (int i = 0; i < s->n_facts; i++) {
        if (s->facts[i].a != a || s->facts[i].b != b) continue;
        if (!first)
            first = &s->facts[i];
        else
            second = &s->facts[i];
    }
    /* facts_set() lists the horizontal one first; speech puts the vertical one first. */
    if (second) str_addf(out, "%s and ", WORDS[second->relation]);
    str_add(out, WORDS[first->relation]);
    return second ? 2 : 1;
}

/* ---- brief ---- */
int scene_brief(const scene_t *s, str_t *out) {
    rng_t r = wording(s, STREAM_BRIEF);
    bool sizes = rng_below(&r, 3) == 0, ground = rng_below(&r, 4) == 0;
    bool related = s->n_groups == 2 && (s->groups[1].inside == 0 || rng_below(&r, 2) == 0);
    int n_facts = s->n_groups * (3 + sizes); /* count, colour, shape, perhaps size */
    if (related) {
        thing_add(&s->groups[1], true, sizes, out);
        str_add_char(out, ' ');
        n_facts += relation_add(s, 1, 0, out);
        str_add_char(out, ' ');
        thing_add(&s->groups[0], true, sizes, out);
    } else {
        for (int i = 0; i < s->n_groups; i++) {
            if (i > 0) str_add(out, i < s->n_groups - 1 ? ", " : s->n_groups > 2 ? ", and " : " and ");
            thing_add(&s->groups[i], true, sizes, out);
        }
    }
    const char *word = scene_ground_word(s->background.colour);
    if (ground && s->background.kind != SCENE_GROUND_KIND_GRADIENT) {
        str_addf(out, " on %s %s background", article(word), word);
        n_facts++;
    }
    return n_facts;
}

/* ---- dense: sentences ---- */
static void sentence_begin(str_t *out, size_t begin) {
    if (out->len > begin) str_add_char(out, ' ');
}

/* Adds the form with `word` in place of '#'. */
static void form_add(str_t *out, const char *form, const char *word) {
    for (; *form; form++) {
        if (*form == '#')
            str_add(out, word);
        else
            str_add_char(out, *form);
    }
}

static void sentence_end(str_t *out, size_t start) {
    if (out->failed) return;
    out->s[start] = (char)toupper((unsigned char)out->s[start]);
    str_add_char(out, '.');
}

static const char *place_phrase(rng_t *r, const scene_box_t *box) {
    static const char *const PHRASES[][3] = {
        {"top left", "at the top left of the picture", "in the upper left"},
        {"top", "at the top of the picture", "in the upper middle of the picture"},
        {"top right", "at the top right of the picture", "in the upper right"},
        {"left", "on the left side of the picture", "on the left"},
        {"center", "in the center of the picture", "in the middle of the picture"},
        {"right", "on the right side of the picture", "on the right"},
        {"bottom left", "at the bottom left of the picture", "in the lower left"},
        {"bottom", "at the bottom of the picture", "in the lower middle of the picture"},
        {"bottom right", "at the bottom right of the picture", "in the lower right"},
    };
    const char *place = scene_place_word(box);
    size_t i = 0;
    while (strcmp(PHRASES[i][0], place) != 0) i++;
    return PHRASES[i][1 + rng_below(r, 2)];
}

static void texture_add(rng_t *r, const scene_group_t *g, str_t *out) {
    static const char *const FORMS[SCENE_N_TEXTURES][2] = {
        [SCENE_TEXTURE_SOLID] = {"", ""},
        [SCENE_TEXTURE_STRIPED] = {" with # stripes", " with # horizontal stripes"},
        [SCENE_TEXTURE_DOTTED] = {" with # dots", " with # round dots"},
        [SCENE_TEXTURE_CHECKERED] = {" with # checks", " with a # checkered pattern"},
        [SCENE_TEXTURE_OUTLINED] = {" with a # outline", " with a thick # border"},
    };
    form_add(out, FORMS[g->texture][rng_below(r, 2)], scene_colour_word(g->accent));
}

static bool surface_is_told(const scene_t *s) {
    return s->n_groups == 1 && !s->rules.simple;
}

/* "a large solid red circle", "two medium blue stars with white dots, side by side in a row". The number of facts said:
 * count, size, colour, shape; a pattern and its colour, or that there is none, which a sentence on the surface says in
 * any case; layout. Of simple scenes nothing is said of patterns: they have none. */
static int described_add(rng_t *r, const scene_t *s, const scene_group_t *g, str_t *out) {
    static const char *const LAYOUTS[SCENE_N_LAYOUTS][2] = {
        [SCENE_LAYOUT_SINGLE] = {"", ""},
        [SCENE_LAYOUT_ROW] = {" side by side in a row", " in a horizontal row"},
        [SCENE_LAYOUT_COLUMN] = {" one above the other in a column", " in a vertical column"},
        [SCENE_LAYOUT_CORNERS_3] = {" arranged in a triangle", " grouped with one above two"},
        [SCENE_LAYOUT_CORNERS_4] = {" arranged in a square", " in two rows of two"},
    };
    const char *size = scene_size_word(g->size);
    bool solid = g->texture == SCENE_TEXTURE_SOLID && !s->rules.simple && rng_below(r, 2) == 0;
    if (g->count > 1)
        str_addf(out, "%s ", NUMBERS[g->count]);
    else
        str_addf(out, "%s ", article(size));
    str_addf(out, "%s %s%s %s", size, solid ? "solid " : "", scene_colour_word(g->colour), shape_noun(g));
    texture_add(r, g, out);
    str_add(out, LAYOUTS[g->layout][rng_below(r, 2)]);
    int texture = g->texture != SCENE_TEXTURE_SOLID ? 2 : solid || surface_is_told(s) ? 1 : 0;
    return 4 + texture + (g->count > 1);
}

static const char *verb(rng_t *r, int count) {
    static const char *const ONE[] = {"sits", "is", "is placed", "appears"};
    static const char *const MORE[] = {"sit", "are", "are placed", "appear"};
    return (count > 1 ? MORE : ONE)[rng_below(r, 4)];
}

/* Where a group is: by its place in the picture, by a group spoken of before, or by both. The number of facts said. */
static int group_sentence(rng_t *r, const scene_t *s, int i, str_t *out, size_t begin) {
    const scene_group_t *g = &s->groups[i];
    sentence_begin(out, begin);
    size_t start = out->len;
    int n_facts = described_add(r, s, g, out);
    str_addf(out, " %s ", verb(r, g->count));
    int to = g->inside >= 0 ? g->inside : i > 0 ? (int)rng_below(r, (uint32_t)i) : -1;
    bool brief =
        s->n_groups > 3 && i > 0; /* four groups: place or relation, so that the paragraph stays below 90 words */
    bool place = to < 0 || (g->inside < 0 && (!brief || rng_below(r, 2) == 0));
    bool relation = to >= 0 && (!place || !brief);
    if (place) str_add(out, place_phrase(r, &g->box));
    n_facts += place;
    if (relation) {
        str_add(out, place ? ", " : "");
        n_facts += relation_add(s, i, to, out);
        str_add_char(out, ' ');
        reference_add(&s->groups[to], out);
    }
    sentence_end(out, start);
    return n_facts;
}

/* The number of facts said: colour, unless all are plain the kind, of a gradient also its end and direction. */
static int ground_sentence(rng_t *r, const scene_t *s, str_t *out, size_t begin) {
    static const char *const FORMS[SCENE_N_GROUND_KINDS][2] = {
        [SCENE_GROUND_KIND_PLAIN] = {"the background is plain #", "behind lies a plain # background"},
        [SCENE_GROUND_KIND_GRADIENT] = {"the background fades from #", "the background changes smoothly from #"},
        [SCENE_GROUND_KIND_STRIPES] = {"the background is # with faint vertical stripes",
                                       "faint vertical stripes cover the # background"},
        [SCENE_GROUND_KIND_DOTS] = {"the background is # with faint dots", "faint dots cover the # background"},
        [SCENE_GROUND_KIND_GRID] = {"the background is # with a faint grid", "a faint grid covers the # background"},
    };
    const scene_background_t *b = &s->background;
    sentence_begin(out, begin);
    size_t start = out->len;
    form_add(out, FORMS[b->kind][rng_below(r, 2)], scene_ground_word(b->colour));
    if (b->kind == SCENE_GROUND_KIND_GRADIENT)
        str_addf(out, " at the %s to %s at the %s", b->top_down ? "top" : "left", scene_ground_word(b->to),
                 b->top_down ? "bottom" : "right");
    sentence_end(out, start);
    return b->kind == SCENE_GROUND_KIND_GRADIENT ? 4 : s->rules.simple ? 1 : 2;
}

static void count_sentence(rng_t *r, const scene_t *s, str_t *out, size_t begin) {
    static const char *const ONE[] = {"it is the only shape in the picture", "it is alone in the picture"};
    static const char *const MORE[] = {"in total, # shapes are visible", "the picture holds # shapes in total",
                                       "that makes # shapes altogether"};
    sentence_begin(out, begin);
    size_t start = out->len;
    if (s->n_objects == 1)
        str_add(out, PICK(r, ONE));
    else
        form_add(out, PICK(r, MORE), NUMBERS[s->n_objects]);
    sentence_end(out, start);
}

/* How much of the picture a shape spans, and its surface: for scenes with one or two groups, which leave room. */
static void span_sentence(const scene_group_t *g, str_t *out, size_t begin) {
    static const char *const SPANS[SCENE_N_SIZES] = {"a fifth", "a third", "half"};
    sentence_begin(out, begin);
    size_t start = out->len;
    if (g->count > 1)
        str_addf(out, "each %s spans", scene_shape_word(g->shape));
    else {
        str_add(out, "the ");
        thing_add(g, false, false, out);
        str_add(out, " spans");
    }
    str_addf(out, " about %s of the picture", SPANS[g->size]);
    sentence_end(out, start);
}

static void surface_sentence(const scene_group_t *g, str_t *out, size_t begin) {
    static const char *const ONE[SCENE_N_TEXTURES] = {
        [SCENE_TEXTURE_SOLID] = "its surface is one even tone of #",
        [SCENE_TEXTURE_STRIPED] = "its # surface is striped from top to bottom",
        [SCENE_TEXTURE_DOTTED] = "its # surface is dotted all over",
        [SCENE_TEXTURE_CHECKERED] = "its # surface is checkered all over",
        [SCENE_TEXTURE_OUTLINED] = "its surface inside the line is one even tone of #",
    };
    static const char *const MORE[SCENE_N_TEXTURES] = {
        [SCENE_TEXTURE_SOLID] = "they share one even tone of #",
        [SCENE_TEXTURE_STRIPED] = "their # surfaces are striped from top to bottom",
        [SCENE_TEXTURE_DOTTED] = "their # surfaces are dotted all over",
        [SCENE_TEXTURE_CHECKERED] = "their # surfaces are checkered all over",
        [SCENE_TEXTURE_OUTLINED] = "inside the lines they share one even tone of #",
    };
    sentence_begin(out, begin);
    size_t start = out->len;
    form_add(out, (g->count > 1 ? MORE : ONE)[g->texture], scene_colour_word(g->colour));
    sentence_end(out, start);
}

static bool span_is_told(const scene_t *s, int i) {
    return !s->rules.simple && (s->n_groups == 1 || (s->n_groups == 2 && s->groups[i].count == 1));
}

/* Spans repeat sizes, the total follows from the counts: neither is a fact of its own, and of simple scenes both are
 * left out. */
int scene_dense(const scene_t *s, str_t *out) {
    rng_t r = wording(s, STREAM_DENSE);
    size_t begin = out->len;
    int n_facts = 0;
    bool ground_first = rng_below(&r, 3) == 0, count_last = rng_below(&r, 2) == 0;
    if (ground_first) n_facts += ground_sentence(&r, s, out, begin);
    for (int i = 0; i < s->n_groups; i++) {
        n_facts += group_sentence(&r, s, i, out, begin);
        if (surface_is_told(s)) surface_sentence(&s->groups[i], out, begin);
        if (span_is_told(s, i)) span_sentence(&s->groups[i], out, begin);
    }
    if (!count_last && !s->rules.simple) count_sentence(&r, s, out, begin);
    if (!ground_first) n_facts += ground_sentence(&r, s, out, begin);
    if (count_last && !s->rules.simple) count_sentence(&r, s, out, begin);
    return n_facts;
}

/* ---- truth ---- */
static void box_add(const scene_box_t *b, str_t *out) {
    str_addf(out, "\"box\":[%.4f,%.4f,%.4f,%.4f]", b->x0, b->y0, b->x1, b->y1);
}

static void group_add(const scene_group_t *g, str_t *out) {
    str_addf(out, "{\"shape\":\"%s\",\"color\":\"%s\",\"size\":\"%s\",\"texture\":\"%s\"", scene_shape_word(g->shape),
             scene_colour_word(g->colour), scene_size_word(g->size), scene_texture_word(g->texture));
    if (g->texture != SCENE_TEXTURE_SOLID) str_addf(out, ",\"accent\":\"%s\"", scene_colour_word(g->accent));
    str_addf(out, ",\"count\":%d,\"layout\":\"%s\",\"place\":\"%s\",", g->count, scene_layout_word(g->layout),
             scene_place_word(&g->box));
    box_add(&g->box, out);
    str_add_char(out, '}');
}

static void object_add(const scene_t *s, const scene_object_t *o, str_t *out) {
    const scene_group_t *g = &s->groups[o->group];
    str_addf(out, "{\"group\":%d,\"shape\":\"%s\",\"color\":\"%s\",\"size\":\"%s\",\"texture\":\"%s\",", o->group,
             scene_shape_word(g->shape), scene_colour_word(g->colour), scene_size_word(g->size),
             scene_texture_word(g->texture));
    str_addf(out, "\"center\":[%.4f,%.4f],", o->x, o->y);
    box_add(&o->box, out);
    str_add_char(out, '}');
}

void scene_truth(const scene_t *s, str_t *out) {
    const scene_background_t *b = &s->background;
    str_addf(out, "{\"scene\":{\"version\":1,\"seed\":%" PRIu64 ",\"index\":%" PRIu64 ",", s->seed, s->index);
    if (s->rules.simple) str_add(out, "\"simple\":true,");
    str_addf(out, "\"background\":{\"kind\":\"%s\",\"color\":\"%s\"", scene_ground_kind_word(b->kind),
             scene_ground_word(b->colour));
    if (b->kind == SCENE_GROUND_KIND_GRADIENT)
        str_addf(out, ",\"to\":\"%s\",\"direction\":\"%s\"", scene_ground_word(b->to), b->top_down ? "down" : "right");
    str_addf(out, "},\"count\":%d,\"groups\":[", s->n_objects);
    for (int i = 0; i < s->n_groups; i++) {
        if (i > 0) str_add_char(out, ',');
        group_add(&s->groups[i], out);
    }
    str_add(out, "],\"objects\":[");
    for (int i = 0; i < s->n_objects; i++) {
        if (i > 0) str_add_char(out, ',');
        object_add(s, &s->objects[i], out);
    }
    str_add(out, "],\"relations\":[");
    for (int i = 0; i < s->n_facts; i++)
        str_addf(out, "%s{\"a\":%d,\"relation\":\"%s\",\"b\":%d}", i > 0 ? "," : "", s->facts[i].a,
                 scene_relation_word(s->facts[i].relation), s->facts[i].b);
    str_add(out, "]}}");
}
