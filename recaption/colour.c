#include "recaption/colour.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* What a name stands for, as examples: a pixel takes the name of the nearest one. */
static const struct {
    uint32_t rgb;
    colour_t colour;
} examples[] = {
    {0x000000, COLOUR_BLACK},       {0x161616, COLOUR_BLACK},       {0x242424, COLOUR_BLACK},
    {0x3c3c3c, COLOUR_DARK_GREY},   {0x505050, COLOUR_DARK_GREY},   {0x606060, COLOUR_DARK_GREY},
    {0x464c54, COLOUR_DARK_GREY},   {0x787878, COLOUR_GREY},        {0x909090, COLOUR_GREY},
    {0xa6a6a6, COLOUR_GREY},        {0x8a929c, COLOUR_GREY},        {0xbcbcbc, COLOUR_LIGHT_GREY},
    {0xd0d0d0, COLOUR_LIGHT_GREY},  {0xdedede, COLOUR_LIGHT_GREY},  {0xffffff, COLOUR_WHITE},
    {0xf2f2f2, COLOUR_WHITE},       {0xfaf8f4, COLOUR_WHITE},       {0xf4f8fc, COLOUR_WHITE},
    {0xfff6dc, COLOUR_CREAM},       {0xf5ecd2, COLOUR_CREAM},       {0xfaf0e0, COLOUR_CREAM},
    {0xe6d8b4, COLOUR_BEIGE},       {0xd8c8a8, COLOUR_BEIGE},       {0xcdb99a, COLOUR_BEIGE},
    {0xc8a272, COLOUR_TAN},         {0xb88f5c, COLOUR_TAN},         {0xd2aa78, COLOUR_TAN},
    {0xa88868, COLOUR_TAN},         {0x8b4513, COLOUR_BROWN},       {0x9a5a2c, COLOUR_BROWN},
    {0x7a4e2a, COLOUR_BROWN},       {0x8a6a48, COLOUR_BROWN},       {0x6a4424, COLOUR_BROWN},
    {0x3a2010, COLOUR_DARK_BROWN},  {0x4a3020, COLOUR_DARK_BROWN},  {0x2c1a10, COLOUR_DARK_BROWN},
    {0xff0000, COLOUR_RED},         {0xe01818, COLOUR_RED},         {0xc81010, COLOUR_RED},
    {0xd83c34, COLOUR_RED},         {0xf03c28, COLOUR_RED},         {0xb81c24, COLOUR_RED},
    {0x8b0000, COLOUR_DARK_RED},    {0x701018, COLOUR_DARK_RED},    {0x500c10, COLOUR_DARK_RED},
    {0xa02830, COLOUR_DARK_RED},    {0xff7f6a, COLOUR_CORAL},       {0xf4806c, COLOUR_CORAL},
    {0xe4705c, COLOUR_CORAL},       {0xff82b4, COLOUR_PINK},        {0xf45a9c, COLOUR_PINK},
    {0xf080a0, COLOUR_PINK},        {0xff4fa0, COLOUR_PINK},        {0xffc0d0, COLOUR_PALE_PINK},
    {0xf8d4dc, COLOUR_PALE_PINK},   {0xf4b8c4, COLOUR_PALE_PINK},   {0xff00ff, COLOUR_MAGENTA},
    {0xd81bb5, COLOUR_MAGENTA},     {0xc71585, COLOUR_MAGENTA},     {0xe83cd0, COLOUR_MAGENTA},
    {0x800080, COLOUR_PURPLE},      {0x7030a0, COLOUR_PURPLE},      {0x8a2be2, COLOUR_PURPLE},
    {0x5a2080, COLOUR_PURPLE},      {0x8058b0, COLOUR_PURPLE},      {0x6a4090, COLOUR_PURPLE},
    {0xc8a2e8, COLOUR_LAVENDER},    {0xb39ddb, COLOUR_LAVENDER},    {0xd8c8f4, COLOUR_LAVENDER},
    {0xa890d0, COLOUR_LAVENDER},    {0x000060, COLOUR_NAVY},        {0x101c4c, COLOUR_NAVY},
    {0x1c2c60, COLOUR_NAVY},        {0x000080, COLOUR_NAVY},        {0x0c1030, COLOUR_NAVY},
    {0x0000ff, COLOUR_BLUE},        {0x1f4fd8, COLOUR_BLUE},        {0x2060c0, COLOUR_BLUE},
    {0x4070d0, COLOUR_BLUE},        {0x1e78d2, COLOUR_BLUE},        {0x3c64a0, COLOUR_BLUE},
    {0x2a4a90, COLOUR_BLUE},        {0x3090f0, COLOUR_BLUE},        {0x5080b0, COLOUR_BLUE},
    {0xa8d0f0, COLOUR_LIGHT_BLUE},  {0x87ceeb, COLOUR_LIGHT_BLUE},  {0xc8e0f6, COLOUR_LIGHT_BLUE},
    {0x6cb0ec, COLOUR_LIGHT_BLUE},  {0x90b4e0, COLOUR_LIGHT_BLUE},  {0xa4bcd4, COLOUR_LIGHT_BLUE},
    {0x40e0d0, COLOUR_TURQUOISE},   {0x00ffff, COLOUR_TURQUOISE},   {0x20c0c8, COLOUR_TURQUOISE},
    {0x90e8e4, COLOUR_TURQUOISE},   {0x008080, COLOUR_TEAL},        {0x0f6b6b, COLOUR_TEAL},
    {0x1c8c88, COLOUR_TEAL},        {0x084848, COLOUR_TEAL},        {0x00a020, COLOUR_GREEN},
    {0x1f8a3a, COLOUR_GREEN},       {0x00c83c, COLOUR_GREEN},       {0x00ff00, COLOUR_GREEN},
    {0x3cb44b, COLOUR_GREEN},       {0x4c9a3c, COLOUR_GREEN},       {0x20a878, COLOUR_GREEN},
    {0x5a8a50, COLOUR_GREEN},       {0x0b4d1e, COLOUR_DARK_GREEN},  {0x1e4620, COLOUR_DARK_GREEN},
    {0x0c3014, COLOUR_DARK_GREEN},  {0x006400, COLOUR_DARK_GREEN},  {0x2c5c2c, COLOUR_DARK_GREEN},
    {0x90ee90, COLOUR_LIGHT_GREEN}, {0xb6e3a8, COLOUR_LIGHT_GREEN}, {0xa8d8b0, COLOUR_LIGHT_GREEN},
    {0xcdeec4, COLOUR_LIGHT_GREEN}, {0x8cc88c, COLOUR_LIGHT_GREEN}, {0xa8e010, COLOUR_LIME},
    {0xbfff00, COLOUR_LIME},        {0x8cd020, COLOUR_LIME},        {0x9cc83c, COLOUR_LIME},
    {0x808000, COLOUR_OLIVE},       {0x6b6b2a, COLOUR_OLIVE},       {0x8c8c40, COLOUR_OLIVE},
    {0x54541c, COLOUR_OLIVE},       {0xffff00, COLOUR_YELLOW},      {0xffe020, COLOUR_YELLOW},
    {0xf8d820, COLOUR_YELLOW},      {0xf4e04c, COLOUR_YELLOW},      {0xffd000, COLOUR_YELLOW},
    {0xfff7a0, COLOUR_PALE_YELLOW}, {0xfaf2b0, COLOUR_PALE_YELLOW}, {0xfce88c, COLOUR_PALE_YELLOW},
    {0xd4a017, COLOUR_GOLD},        {0xc8961e, COLOUR_GOLD},        {0xb8860b, COLOUR_GOLD},
    {0xff8c00, COLOUR_ORANGE},      {0xffa500, COLOUR_ORANGE},      {0xf07018, COLOUR_ORANGE},
    {0xe87c20, COLOUR_ORANGE},      {0xf05a10, COLOUR_ORANGE},      {0xf4a040, COLOUR_ORANGE},
    {0xffd0a8, COLOUR_PEACH},       {0xffc49c, COLOUR_PEACH},       {0xf6c8a4, COLOUR_PEACH},
    {0xf0b890, COLOUR_PEACH},       {0xffdcb8, COLOUR_PEACH},
};
enum { N_EXAMPLES = sizeof examples / sizeof examples[0] };

static void bytes_of(uint32_t rgb, uint8_t out[3]) {
    out[0] = (uint8_t)(rgb >> 16);
    out[1] = (uint8_t)(rgb >> 8);
    out[2] = (uint8_t)rgb;
}

oklab_t colour_oklab(const colour_table_t *t, const uint8_t rgb[3]) {
    float r = t->linear[rgb[0]], g = t->linear[rgb[1]], b = t->linear[rgb[2]];
    float l = cbrtf(0.4122214708f * r + 0.5363325363f * g + 0.0514459929f * b);
    float m = cbrtf(0.2119034982f * r + 0.6806995451f * g + 0.1073969566f * b);
    float s = cbrtf(0.0883024619f * r + 0.2817188376f * g + 0.6299787005f * b);
    return (oklab_t){.l = 0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s,
                     .a = 1.9779984951f * l - 2.4285922050f * m + 0.4505937099f * s,
                     .b = 0.0259040371f * l + 0.7827717662f * m - 0.8086757660f * s};
}

float colour_distance(oklab_t x, oklab_t y) {
    float dl = x.l - y.l, da = x.a - y.a, db = x.b - y.b;
    return sqrtf(dl * dl + da * da + db * db);
}

void colour_table_init(colour_table_t *t) {
    for (int i = 0; i < 256; i++) {
        double v = i / 255.0;
        t->linear[i] = (float)(v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    oklab_t at[N_EXAMPLES];
    for (int e = 0; e < N_EXAMPLES; e++) {
        uint8_t rgb[3];
        bytes_of(examples[e].rgb, rgb);
        at[e] = colour_oklab(t, rgb);
    }
    for (uint32_t i = 0; i < 1 << 15; i++) {
        /* 31 steps span 0..255, so that pure black, white and the primaries are exact. */
        uint8_t rgb[3] = {(uint8_t)((i >> 10) * 255 / 31), (uint8_t)((i >> 5 & 31) * 255 / 31),
                          (uint8_t)((i & 31) * 255 / 31)};
        oklab_t c = colour_oklab(t, rgb);
        float nearest = FLT_MAX;
        for (int e = 0; e < N_EXAMPLES; e++) {
            /* Hue and chroma carry a name more than lightness does. */
            float dl = 0.6f * (c.l - at[e].l), da = c.a - at[e].a, db = c.b - at[e].b;
            float d = dl * dl + da * da + db * db;
            if (d < nearest) {
                nearest = d;
                t->name[i] = (uint8_t)examples[e].colour;
            }
        }
    }
}

colour_t colour_of(const colour_table_t *t, const uint8_t rgb[3]) {
    return (colour_t)t->name[(uint32_t)(rgb[0] >> 3) << 10 | (uint32_t)(rgb[1] >> 3) << 5 | (uint32_t)(rgb[2] >> 3)];
}

const char *colour_name(colour_t c) {
    static const char *const names[] = {
#define COLOUR_NAME(id, name, family) name,
        COLOUR_LIST(COLOUR_NAME)
#undef COLOUR_NAME
    };
    return names[c];
}

const char *colour_family(colour_t c) {
    static const char *const families[] = {
#define COLOUR_FAMILY(id, name, family) family,
        COLOUR_LIST(COLOUR_FAMILY)
#undef COLOUR_FAMILY
    };
    return families[c];
}

bool colour_is_warm(colour_t c) {
    return (c >= COLOUR_CREAM && c <= COLOUR_PALE_PINK) || c >= COLOUR_YELLOW;
}

bool colour_is_cool(colour_t c) {
    return c >= COLOUR_PURPLE && c <= COLOUR_LIGHT_GREEN;
}
