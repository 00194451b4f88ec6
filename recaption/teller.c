#include "recaption/teller.h"

#include <math.h>
#include <string.h>

#include "recaption/words.h"

static void find_front(teller_t *t) {
    const measure_t *m = t->m;
    double share[COLOUR_N] = {0}, all = 0, largest = 0;
    for (int i = 0; i < m->n_objects; i++) {
        const region_t *g = &m->objects[i];
        all += g->area_frac;
        largest = fmax(largest, g->area_frac);
        for (int c = 0; c < g->n_colours; c++) share[g->colours[c]] += g->area_frac * g->colour_frac[c];
    }
    while (t->n_front < TELLER_FRONT_COLOURS) {
        int best = 0;
        for (int c = 1; c < COLOUR_N; c++)
            if (share[c] > share[best]) best = c;
        if (share[best] <= 0.08 * all || share[best] == 0) break;
        t->front[t->n_front++] = (colour_t)best;
        share[best] = 0;
    }
    t->is_one_thing = largest > 0.6 * all && m->group_size[0] == 1;
}

/* Alt-text of nothing but colours and plain shapes, which measuring does better. */
static bool names_shapes_only(const char *text) {
    static const char *const plain[] = {
        "a",     "an",        "the",       "and",     "of",         "on",      "with",     "one",     "two",
        "three", "four",      "five",      "small",   "large",      "big",     "little",   "red",     "blue",
        "green", "yellow",    "orange",    "purple",  "pink",       "black",   "white",    "grey",    "gray",
        "brown", "cyan",      "circle",    "oval",    "square",     "diamond", "ring",     "star",    "triangle",
        "cross", "rectangle", "heart",     "hexagon", "shape",      "circles", "ovals",    "squares", "diamonds",
        "rings", "stars",     "triangles", "crosses", "rectangles", "hearts",  "hexagons", "shapes",  NULL};
    size_t n;
    for (const char *w; (w = words_next(&text, &n));) {
        while (n && strchr(",.;", w[n - 1])) n--;
        if (!words_in(w, n, plain)) return false;
    }
    return true;
}

static bool shapes_are_clear(const teller_t *t) {
    for (int i = 0; i < t->m->n_objects; i++)
        if (t->m->objects[i].shape >= SHAPE_BLOCK) return false;
    return teller_main_object(t) != NULL;
}

lens_status teller_init(teller_t *t, const measure_t *m, const alttext_t *alt, uint64_t content, int attempt) {
    *t = (teller_t){.m = m, .alt = alt, .content = content, .attempt = attempt, .subject_kind = alt->kind};
    t->rng = rng_stream(content, (uint32_t)attempt, 0, RNG_DESCRIBE);
    bool is_drawing = m->flat_frac > 0.55;
    t->picture = is_drawing ? TELLER_PICK(t, "drawing", "illustration", "graphic") : TELLER_PICK(t, "picture", "view");
    t->shown = is_drawing ? TELLER_PICK(t, "drawn", "shown", "rendered") : TELLER_PICK(t, "shown", "seen", "pictured");
    find_front(t);
    if (alt->kind == ALTTEXT_PHRASE && names_shapes_only(str_text(&alt->text)) && shapes_are_clear(t))
        t->subject_kind = ALTTEXT_NONE;
    if (t->subject_kind == ALTTEXT_PHRASE) phrase_subject(&t->subject, alt);
    return str_status(&t->subject.text);
}

void teller_free(teller_t *t) {
    str_free(&t->subject.text);
}

bool teller_is_scene(const teller_t *t) {
    return t->m->background == BACKGROUND_SCENE;
}

const region_t *teller_main_object(const teller_t *t) {
    return teller_is_scene(t) || t->m->n_objects == 0 ? NULL : &t->m->objects[0];
}

const region_t *teller_leader(const teller_t *t, int group) {
    int i = 0;
    while (t->m->objects[i].group != group) i++;
    return &t->m->objects[i];
}

bool teller_is_many(const teller_t *t) {
    return t->subject_kind == ALTTEXT_PHRASE && t->subject.is_plural && !t->subject.is_sentence;
}

int teller_n_opened(const teller_t *t) {
    if (t->subject_kind != ALTTEXT_NONE || !teller_main_object(t)) return 0;
    if (t->is_one_thing && t->m->n_groups > 3) return 1;
    return t->m->n_groups < 3 ? t->m->n_groups : 3;
}

void teller_group(const teller_t *t, str_t *s, int group, bool size) {
    rng_t own = rng_stream(t->content, (uint32_t)t->attempt, (uint64_t)group + 1, RNG_DESCRIBE);
    phrase_region(s, &own, teller_leader(t, group), t->m->group_size[group], size);
}

void teller_the_group(const teller_t *t, str_t *s, int group) {
    const region_t *own = teller_leader(t, group);
    bool has_twin = false;
    for (int i = 0; i < t->m->n_groups; i++) {
        const region_t *o = teller_leader(t, i);
        has_twin |= i != group && o->colours[0] == own->colours[0] && o->shape == own->shape;
    }
    str_t words = {0};
    teller_group(t, &words, group, has_twin);
    const char *text = str_text(&words);
    /* "a red circle" becomes "the red circle", "two red circles" "the two red circles". */
    if (t->m->group_size[group] == 1 && strchr(text, ' ')) text = strchr(text, ' ') + 1;
    str_addf(s, "the %s", text);
    if (words.failed) s->failed = true;
    str_free(&words);
}

/* ---- places ---- */

typedef struct {
    double x0, x1, y0, y1, x, y; /* of the centres: extremes and mean */
    int n;
} spread_t;

static spread_t spread_of(const measure_t *m, int group) {
    spread_t p = {.x0 = 1, .y0 = 1};
    for (int i = 0; i < m->n_objects; i++) {
        const region_t *g = &m->objects[i];
        if (g->group != group) continue;
        p.x0 = fmin(p.x0, g->x);
        p.x1 = fmax(p.x1, g->x);
        p.y0 = fmin(p.y0, g->y);
        p.y1 = fmax(p.y1, g->y);
        p.x += g->x;
        p.y += g->y;
        p.n++;
    }
    p.x /= p.n;
    p.y /= p.n;
    return p;
}

static int third_of(double v) {
    return v < 0.39 ? 0 : v <= 0.61 ? 1 : 2;
}

/* Of several alike: in a row, in a column, together, or scattered. */
static void add_arrangement(teller_t *t, str_t *s, int group) {
    spread_t p = spread_of(t->m, group);
    double wide = p.x1 - p.x0, tall = p.y1 - p.y0;
    bool in_row = tall < 0.07 && wide > 0.12, in_column = wide < 0.07 && tall > 0.12;
    if (fmax(wide, tall) > 0.55 && !in_row && !in_column) {
        str_add(s, p.n == 2
                       ? TELLER_PICK(t, "well apart", "far from each other")
                       : TELLER_PICK(t, "scattered around", "spread over the frame", "scattered across the frame"));
        return;
    }
    if (in_row)
        str_add(s, p.n == 2 ? "side by side " : wide > 0.5 ? "in a row " : "in a short row ");
    else if (in_column)
        str_add(s, p.n == 2 ? "one above the other " : "in a column ");
    else
        str_add(s, p.n == 3 ? "in a triangle " : TELLER_PICK(t, "close together ", "in a cluster "));
    phrase_place(s, &t->rng, third_of(p.x), third_of(p.y));
}

/* The ring or frame that holds all of g, NULL where none does. */
static const region_t *ring_around(const teller_t *t, const region_t *g) {
    for (int i = 0; i < t->m->n_objects; i++) {
        const region_t *o = &t->m->objects[i];
        bool hollow = o->shape == SHAPE_RING || o->shape == SHAPE_FRAME;
        if (o != g && hollow && o->x0 < g->x0 && o->y0 < g->y0 && o->x1 > g->x1 && o->y1 > g->y1) return o;
    }
    return NULL;
}

void teller_whereabouts(teller_t *t, str_t *s, int group) {
    const region_t *g = teller_leader(t, group);
    const region_t *ring = ring_around(t, g);
    if (t->m->group_size[group] > 1) {
        add_arrangement(t, s, group);
    } else if (ring) {
        str_addf(s, "inside the %s %s", colour_name(ring->colours[0]), ring->shape == SHAPE_RING ? "ring" : "frame");
    } else if (g->x1 - g->x0 > 0.9 && g->axis == SHAPE_HORIZONTAL) {
        static const char *const places[] = {"at the top", "of the frame", "at the bottom"};
        str_addf(s, "across the full width %s", places[g->row]);
    } else if (g->y1 - g->y0 > 0.9 && g->axis == SHAPE_VERTICAL) {
        static const char *const places[] = {"on the left", "of the frame", "on the right"};
        str_addf(s, "over the full height %s", places[g->column]);
    } else {
        phrase_place(s, &t->rng, g->column, g->row);
    }
}
