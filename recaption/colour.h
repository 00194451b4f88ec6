/* Named colours, chosen in OKLab (Ottosson 2020), where equal distances look about equally different.
 * The table is constant after colour_table_init; any thread may read it. */
#ifndef LENS_RECAPTION_COLOUR_H
#define LENS_RECAPTION_COLOUR_H

#include <stdbool.h>
#include <stdint.h>

/* X(identifier, name, family): the family is the plain word that shades of one colour share. */
#define COLOUR_LIST(X)                                                                                                 \
    X(BLACK, "black", "black")                                                                                         \
    X(DARK_GREY, "dark grey", "grey")                                                                                  \
    X(GREY, "grey", "grey")                                                                                            \
    X(LIGHT_GREY, "light grey", "grey")                                                                                \
    X(WHITE, "white", "white")                                                                                         \
    X(CREAM, "cream", "cream")                                                                                         \
    X(BEIGE, "beige", "beige")                                                                                         \
    X(TAN, "tan", "brown")                                                                                             \
    X(BROWN, "brown", "brown")                                                                                         \
    X(DARK_BROWN, "dark brown", "brown")                                                                               \
    X(RED, "red", "red")                                                                                               \
    X(DARK_RED, "dark red", "red")                                                                                     \
    X(CORAL, "coral", "red")                                                                                           \
    X(PINK, "pink", "pink")                                                                                            \
    X(PALE_PINK, "pale pink", "pink")                                                                                  \
    X(MAGENTA, "magenta", "pink")                                                                                      \
    X(PURPLE, "purple", "purple")                                                                                      \
    X(LAVENDER, "lavender", "purple")                                                                                  \
    X(NAVY, "navy blue", "blue")                                                                                       \
    X(BLUE, "blue", "blue")                                                                                            \
    X(LIGHT_BLUE, "light blue", "blue")                                                                                \
    X(TURQUOISE, "turquoise", "turquoise")                                                                             \
    X(TEAL, "teal", "turquoise")                                                                                       \
    X(GREEN, "green", "green")                                                                                         \
    X(DARK_GREEN, "dark green", "green")                                                                               \
    X(LIGHT_GREEN, "light green", "green")                                                                             \
    X(LIME, "lime green", "green")                                                                                     \
    X(OLIVE, "olive green", "green")                                                                                   \
    X(YELLOW, "yellow", "yellow")                                                                                      \
    X(PALE_YELLOW, "pale yellow", "yellow")                                                                            \
    X(GOLD, "gold", "yellow")                                                                                          \
    X(ORANGE, "orange", "orange")                                                                                      \
    X(PEACH, "peach", "orange")

typedef enum {
#define COLOUR_ENUM(id, name, family) COLOUR_##id,
    COLOUR_LIST(COLOUR_ENUM)
#undef COLOUR_ENUM
        COLOUR_N
} colour_t;

typedef struct {
    float l, a, b; /* lightness 0..1, green-red, blue-yellow (about -0.4..0.4) */
} oklab_t;

typedef struct {
    uint8_t name[1 << 15]; /* colour_t of sRGB cut to 5 bits a channel */
    float linear[256];     /* light of an sRGB byte */
} colour_table_t;

void colour_table_init(colour_table_t *t);
oklab_t colour_oklab(const colour_table_t *t, const uint8_t rgb[3]);
float colour_distance(oklab_t x, oklab_t y); /* Euclidean; about 0.02 is the least a person sees */
colour_t colour_of(const colour_table_t *t, const uint8_t rgb[3]);
const char *colour_name(colour_t c);
const char *colour_family(colour_t c);
bool colour_is_warm(colour_t c);
bool colour_is_cool(colour_t c);

#endif
