/* Sentences on the picture as a whole: layout, palette, light, surface, balance. */
#include "recaption/teller.h"

#include <math.h>
#include <string.h>

static colour_t commonest(colour_t a, colour_t b, colour_t c) {
    return b == c ? b : a;
}

/* Of a picture whose content reaches its edges: which colour lies where. */
bool tell_layout(teller_t *t, str_t *s) {
    if (!teller_is_scene(t)) return false;
    const colour_t(*cells)[3] = t->m->cells;
    colour_t rows[3], columns[3];
    for (int i = 0; i < 3; i++) {
        rows[i] = commonest(cells[i][0], cells[i][1], cells[i][2]);
        columns[i] = commonest(cells[0][i], cells[1][i], cells[2][i]);
    }
    if (rows[0] != rows[2]) {
        bool middle = rows[1] != rows[0] && rows[1] != rows[2];
        str_addf(s, "%s %s the top", colour_name(rows[0]), TELLER_PICK(t, "runs across", "spreads over", "lies along"));
        if (middle) str_addf(s, ", %s takes the middle", colour_name(rows[1]));
        str_addf(s, " and %s %s the bottom", colour_name(rows[2]), TELLER_PICK(t, "fills", "covers"));
    } else if (columns[0] != columns[2]) {
        str_addf(s, "%s %s the left side and %s the right", colour_name(columns[0]),
                 TELLER_PICK(t, "fills", "covers", "holds"), colour_name(columns[2]));
    } else if (cells[1][1] != rows[0]) {
        str_addf(s, "%s %s the centre, %s by %s toward the edges", colour_name(cells[1][1]),
                 TELLER_PICK(t, "holds", "marks"), TELLER_PICK(t, "surrounded", "ringed"), colour_name(rows[0]));
    } else {
        str_addf(s, "%s %s from corner to corner", colour_name(rows[0]), TELLER_PICK(t, "runs", "carries through"));
    }
    return true;
}

bool tell_palette(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    const char *first = colour_name(m->palette[0]);
    if (m->n_palette < 2) {
        str_addf(s, "%s %s", first, TELLER_PICK(t, "sets the tone everywhere", "takes up almost the entire surface"));
        return true;
    }
    int n = m->n_palette - 1 > 3 ? 3 : m->n_palette - 1;
    const char *share = phrase_fraction(m->palette_frac[0]);
    if (m->palette_frac[0] > 0.9) {
        str_addf(s, "%s %s %s of the %s, with ", first, TELLER_PICK(t, "covers", "accounts for"), share, t->picture);
        phrase_colours(s, m->palette + 1, n);
        str_add(s, TELLER_PICK(t, " making up the rest", " as the accent"));
    } else if (rng_below(&t->rng, 3) == 0) {
        str_add(s, TELLER_PICK(t, "by area, ", "by the space they take, "));
        str_addf(s, "%s comes first, then ", first);
        phrase_colours(s, m->palette + 1, n);
    } else {
        str_addf(s, "%s %s %s of the %s, followed by ", first, TELLER_PICK(t, "covers", "accounts for", "takes up"),
                 share, t->picture);
        phrase_colours(s, m->palette + 1, n);
    }
    return true;
}

bool tell_mood(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    double warm = 0, cool = 0;
    for (int i = 0; i < m->n_palette; i++) {
        warm += colour_is_warm(m->palette[i]) ? m->palette_frac[i] : 0;
        cool += colour_is_cool(m->palette[i]) ? m->palette_frac[i] : 0;
    }
    const char *strength = m->colourfulness > 0.13 ? TELLER_PICK(t, "vivid", "strong", "saturated")
                                                   : TELLER_PICK(t, "soft", "muted", "gentle");
    if (warm + cool < 0.02)
        str_addf(s, "the overall impression is %s",
                 TELLER_PICK(t, "sober and close to monochrome", "neutral and restrained"));
    else if (warm + cool < 0.15)
        str_add(s, TELLER_PICK(t, "colour is used sparingly, as a small accent",
                               "the little colour there is stands out clearly"));
    else if (warm > 2 * cool)
        str_addf(s, "the colouring is %s and %s", strength, TELLER_PICK(t, "warm", "on the warm side"));
    else if (cool > 2 * warm)
        str_addf(s, "the colouring is %s and %s", strength, TELLER_PICK(t, "cool", "on the cool side"));
    else
        str_addf(s, "warm and cool tones play against each other in %s colours", strength);
    return true;
}

bool tell_surface(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (!teller_is_scene(t) && m->n_objects == 0)
        str_add(s, TELLER_PICK(t, "the surface is smooth and even throughout",
                               "its tone runs evenly over the whole surface"));
    else if (m->flat_frac > 0.7)
        str_add(s, TELLER_PICK(t, "the colours are flat, with crisp edges",
                               "flat colour and clean edges give it a graphic look",
                               "areas of even colour meet at sharp edges"));
    else if (m->edges_frac > 0.3)
        str_add(s, TELLER_PICK(t, "fine detail and many edges make the surface busy",
                               "dense detail covers most of the surface"));
    else if (m->edges_frac > 0.12)
        str_add(s, TELLER_PICK(t, "lines and edges add a fair amount of detail",
                               "lines, edges and small details enliven it"));
    else
        str_add(s, TELLER_PICK(t, "soft shading gives the surfaces some depth", "tones pass softly into one another",
                               "smooth shading rounds the forms"));
    return true;
}

bool tell_symmetry(teller_t *t, str_t *s) {
    bool across = t->m->symmetry_left_right > 0.9, down = t->m->symmetry_top_bottom > 0.9;
    if (!across && !down) return false;
    bool close = fmax(t->m->symmetry_left_right, t->m->symmetry_top_bottom) > 0.97;
    const char *how = close ? TELLER_PICK(t, "closely", "almost exactly") : TELLER_PICK(t, "nearly", "roughly");
    if (across && down)
        str_addf(s, "the composition is balanced both ways, its halves %s mirroring each other", how);
    else
        str_addf(s, "the %s halves %s mirror each other", across ? "left and right" : "upper and lower", how);
    return true;
}

bool tell_light(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    const char *tone = m->brightness < 0.3   ? TELLER_PICK(t, "very dark", "deep and dark")
                       : m->brightness < 0.5 ? TELLER_PICK(t, "rather dark", "dark in tone")
                       : m->brightness < 0.72
                           ? TELLER_PICK(t, "of middling brightness", "balanced between light and dark")
                       : m->brightness < 0.9 ? TELLER_PICK(t, "bright", "light in tone")
                                             : TELLER_PICK(t, "very bright", "very light");
    const char *contrast = m->contrast < 0.06   ? TELLER_PICK(t, "tones that stay close together", "a very even tone")
                           : m->contrast < 0.15 ? TELLER_PICK(t, "soft contrast", "gentle contrast")
                           : m->contrast < 0.25 ? TELLER_PICK(t, "clear contrast", "moderate contrast")
                                                : TELLER_PICK(t, "strong contrast", "sharp contrast");
    if (rng_below(&t->rng, 2))
        str_addf(s, "overall the %s is %s, with %s", t->picture, tone, contrast);
    else
        str_addf(s, "the %s as a whole is %s, with %s", t->picture, tone, contrast);
    return true;
}

bool tell_corners(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    const colour_t a = m->cells[0][0], b = m->cells[0][2], c = m->cells[2][0], d = m->cells[2][2];
    bool even = a == b && b == c && c == d;
    if (even && teller_main_object(t)) return false; /* the background says it */
    if (even)
        str_addf(s, "%s %s", colour_name(a), TELLER_PICK(t, "holds all four corners", "reaches into all four corners"));
    else if (a != d)
        str_addf(s, "the upper left corner is mostly %s, the lower right mostly %s", colour_name(a), colour_name(d));
    else
        str_addf(s, "the upper right corner is mostly %s, the lower left mostly %s", colour_name(b), colour_name(c));
    return true;
}

bool tell_balance(teller_t *t, str_t *s) {
    const measure_t *m = t->m;
    if (!teller_main_object(t)) return false;
    double area = 0, x = 0, y = 0;
    for (int i = 0; i < m->n_objects; i++) {
        area += m->objects[i].filled_frac;
        x += m->objects[i].filled_frac * m->objects[i].x;
        y += m->objects[i].filled_frac * m->objects[i].y;
    }
    x /= area;
    y /= area;
    const char *where = x < 0.42   ? "on the left"
                        : x > 0.58 ? "on the right"
                        : y < 0.42 ? "in the upper half"
                        : y > 0.58 ? "in the lower half"
                                   : "around the centre";
    str_addf(s, "%s %s", TELLER_PICK(t, "the visual weight lies", "the composition is weighted"), where);
    return true;
}

bool tell_format(teller_t *t, str_t *s) {
    double aspect = (double)t->m->width / t->m->height;
    const char *format = aspect > 2.2    ? TELLER_PICK(t, "a long, wide strip", "very wide")
                         : aspect > 1.15 ? TELLER_PICK(t, "wider than it is tall", "in landscape format")
                         : aspect > 0.87 ? TELLER_PICK(t, "square in format", "about as wide as it is tall")
                         : aspect > 0.45 ? TELLER_PICK(t, "taller than it is wide", "in portrait format")
                                         : TELLER_PICK(t, "a tall, narrow strip", "very tall and narrow");
    str_addf(s, "the %s is %s", t->picture, format);
    return true;
}
