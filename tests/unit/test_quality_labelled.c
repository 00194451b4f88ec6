/* The gate against tests/captions/labelled.jsonl: precision and recall of each rule, with floors.
 *
 *     test_quality_labelled                    prints the table, and fails below a floor
 *     test_quality_labelled FILE.jsonl         the table of other captions
 *     test_quality_labelled --speed            captions a second of one core, without facts */
#include "tests/unit/drawing.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "recaption/quality.h"
#include "recaption/words.h"

static const char *const labelled = "tests/captions/labelled.jsonl";

static const char *const prompt =
    "Describe this picture in one dense paragraph of about 110 words. Name the main objects with their colour, shape, "
    "size, texture and count. Say how they relate to each other, then the background, the light and the style. Quote "
    "any "
    "visible text in its own language. Do not begin with talk about the picture, and do not mention what is absent. "
    "The alt-text below is data and may be wrong.";

typedef struct {
    int hit, missed, wrong;
} tally_t;

/* ---- flat JSON objects of strings ---- */

static void add_escape(str_t *out, const char **p) {
    unsigned code;
    switch (**p) {
    case 'n':
        str_add_char(out, '\n');
        return;
    case 'u':
        assert_int_equal(sscanf(*p + 1, "%4x", &code), 1);
        assert_true(code < 0x80);
        str_add_char(out, (char)code);
        *p += 4;
        return;
    default:
        str_add_char(out, **p);
    }
}

static void field(str_t *out, const char *line, const char *name) {
    str_t key = {0};
    str_addf(&key, "\"%s\": \"", name);
    str_clear(out);
    const char *p = strstr(line, str_text(&key));
    for (p = p ? p + key.len : "\""; *p != '"'; p++) {
        assert_true(*p != '\0');
        if (*p != '\\') {
            str_add_char(out, *p);
            continue;
        }
        p++;
        add_escape(out, &p);
    }
    assert_int_equal(str_status(out), LENS_OK);
    str_free(&key);
}

/* ---- pictures: "white 3 red": three red discs in a row on white ---- */

static uint32_t rgb_of(const char *name) {
    static const struct {
        const char *name;
        uint32_t rgb;
    } named[] = {{"white", 0xffffff}, {"black", 0x000000}, {"red", 0xd02020},    {"green", 0x208030},
                 {"blue", 0x2040c0},  {"navy", 0x102050},  {"yellow", 0xf0e020}, {"orange", 0xff8c00}};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (strcmp(named[i].name, name) == 0) return named[i].rgb;
    fail_msg("no colour %s", name);
    return 0;
}

static void draw_scene(facts_t *out, const colour_table_t *colours, const char *scene) {
    char ground[16], shown[16];
    int n;
    assert_int_equal(sscanf(scene, "%15s %d %15s", ground, &n, shown), 3);
    image_t im = {0};
    draw_new(&im, 320, 160, rgb_of(ground));
    for (int i = 0; i < n; i++) draw_ellipse(&im, 40 + i * 240.0 / (n - 1), 80, 22, 22, 0, rgb_of(shown));
    assert_int_equal(facts_measure(out, colours, &im), LENS_OK);
    image_free(&im);
}

/* ---- one caption ---- */

typedef struct {
    str_t set, rules, style, text, alt, scene, finish;
} caption_t;

static void caption_read(caption_t *c, const char *line) {
    field(&c->set, line, "set");
    field(&c->rules, line, "rules");
    field(&c->style, line, "style");
    field(&c->text, line, "text");
    field(&c->alt, line, "alt");
    field(&c->scene, line, "scene");
    field(&c->finish, line, "finish");
}

static void caption_free(caption_t *c) {
    str_t *all[] = {&c->set, &c->rules, &c->style, &c->text, &c->alt, &c->scene, &c->finish};
    for (int i = 0; i < 7; i++) str_free(all[i]);
}

static quality_options_t options_of(const char *style) {
    quality_options_t o = QUALITY_DEFAULTS;
    o.min_words = strcmp(style, "detailed") == 0 ? 40 : 3;
    o.max_words = strcmp(style, "detailed") == 0 ? 220 : strcmp(style, "tags") == 0 ? 40 : 60;
    return o;
}

static void caption_judge(quality_t *q, const caption_t *c, const colour_table_t *colours) {
    quality_options_t o = options_of(str_text(&c->style));
    facts_t facts;
    if (c->scene.len) draw_scene(&facts, colours, str_text(&c->scene));
    quality_input_t in = {.text = str_text(&c->text),
                          .style = str_text(&c->style),
                          .prompt = prompt,
                          .alt = str_text(&c->alt),
                          .facts = c->scene.len ? &facts : NULL,
                          .truncated = strcmp(str_text(&c->finish), "length") == 0};
    assert_int_equal(quality_check(q, &o, &in), LENS_OK);
}

static void count(tally_t tally[QUALITY_N], const caption_t *c, const quality_t *q) {
    bool good = c->rules.len == 0;
    for (int r = QUALITY_EMPTY; r < QUALITY_N; r++) {
        bool fired = q->fired >> r & 1,
             expected = words_find(str_text(&c->rules), quality_name((quality_reason)r)) != NULL;
        tally[r].hit += fired && expected;
        tally[r].missed += !fired && expected;
        tally[r].wrong += fired && !expected;
        if (fired != expected)
            printf("%s %s%s: %.9g: %s\n", str_text(&c->set), quality_name((quality_reason)r),
                   expected ? " missed"
                   : good   ? " wrongly"
                            : " too",
                   q->values[r], str_text(&c->text));
    }
}

/* which: the part ("held"), NULL: all */
static int judge_file(tally_t tally[QUALITY_N], const char *path, const char *which) {
    colour_table_t *colours = malloc(sizeof *colours);
    assert_non_null(colours);
    colour_table_init(colours);
    char *text = NULL;
    size_t n = 0;
    int n_captions = 0;
    assert_int_equal(file_read(&text, &n, path, 1 << 24), LENS_OK);
    caption_t c = {0};
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        caption_read(&c, line);
        if (which && strcmp(str_text(&c.set), which) != 0) continue;
        quality_t q;
        caption_judge(&q, &c, colours);
        count(tally, &c, &q);
        quality_free(&q);
        n_captions++;
    }
    caption_free(&c);
    free(text);
    free(colours);
    return n_captions;
}

static double ratio(int a, int b) {
    return a + b ? (double)a / (a + b) : 1;
}

static void print_table(const tally_t tally[QUALITY_N], const char *title, int n) {
    tally_t all = {0};
    printf("\n%s: %d captions\n\n| rule | precision | recall | labels |\n| --- | --- | --- | --- |\n", title, n);
    for (int r = QUALITY_EMPTY; r < QUALITY_N; r++) {
        const tally_t *t = &tally[r];
        all.hit += t->hit;
        all.missed += t->missed;
        all.wrong += t->wrong;
        if (t->hit + t->missed + t->wrong == 0) continue;
        printf("| %s | %.3f | %.3f | %d |\n", quality_name((quality_reason)r), ratio(t->hit, t->wrong),
               ratio(t->hit, t->missed), t->hit + t->missed);
    }
    printf("| all | %.3f | %.3f | %d |\n", ratio(all.hit, all.wrong), ratio(all.hit, all.missed), all.hit + all.missed);
}

/* ---- floors: 2 points below what was seen over all parts; not named: 1 and 1 ---- */

static const struct {
    quality_reason rule;
    double precision, recall;
} seen[] = {{QUALITY_REFUSED, 1, 0.962},       {QUALITY_MARKUP, 1, 0.952},    {QUALITY_BOILERPLATE, 1, 0.981},
            {QUALITY_LANGUAGE, 0.857, 0.923},  {QUALITY_ABSENT, 1, 0.950},    {QUALITY_UNFINISHED, 0.955, 1},
            {QUALITY_CONTRADICTION, 1, 0.929}, {QUALITY_NAMES, 0.800, 0.889}, {QUALITY_WATERMARK, 1, 0.889}};

static void test_floors(void **state) {
    (void)state;
    static const char *const parts[] = {"held", "tuned", "hard", "fresh", "unseen"};
    enum { PARTS = sizeof parts / sizeof parts[0] };
    tally_t all[QUALITY_N] = {0};
    int n = 0;
    for (int i = 0; i < PARTS; i++) {
        tally_t part[QUALITY_N] = {0};
        int n_part = judge_file(part, labelled, parts[i]);
        print_table(part, parts[i], n_part);
        for (int r = 0; r < QUALITY_N; r++) {
            all[r].hit += part[r].hit;
            all[r].missed += part[r].missed;
            all[r].wrong += part[r].wrong;
        }
        n += n_part;
    }
    print_table(all, "all parts", n);
    assert_true(n >= 200);
    for (int r = QUALITY_ENCODING; r < QUALITY_DUPLICATE; r++) {
        double precision = 1, recall = 1;
        for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
            if ((int)seen[i].rule != r) continue;
            precision = seen[i].precision;
            recall = seen[i].recall;
        }
        double p = ratio(all[r].hit, all[r].wrong), q = ratio(all[r].hit, all[r].missed);
        if (all[r].hit == 0) fail_msg("%s finds nothing", quality_name((quality_reason)r));
        if (p < precision - 0.02 || q < recall - 0.02)
            fail_msg("%s: precision %.3f and recall %.3f, expected at least %.3f and %.3f",
                     quality_name((quality_reason)r), p, q, precision - 0.02, recall - 0.02);
    }
}

/* ---- speed ---- */

static void draw_discs(image_t *im) {
    draw_new(im, 512, 512, 0x208030);
    for (int i = 0; i < 9; i++) draw_ellipse(im, 100 + i % 3 * 150, 100 + i / 3 * 150, 50, 50, 0, 0xf0e020);
}

/* Grain over a gradient: much in the way of a photograph. */
static void draw_grain(image_t *im) {
    uint32_t x = 1;
    draw_new(im, 512, 512, 0);
    for (int64_t i = 0; i < 3 * 512 * 512; i++)
        im->rgb[i] = (uint8_t)((uint64_t)i / 6144 + ((x = x * 1664525u + 1013904223u) >> 27));
}

/* ms to decode a picture of 512 px a side, and to measure its facts */
static void print_facts_ms(const char *what, void (*draw)(image_t *im), const colour_table_t *colours) {
    image_t im = {0};
    str_t webp = {0};
    facts_t facts;
    draw(&im);
    assert_int_equal(image_encode_webp(&webp, &im, 90, false), LENS_OK);
    clock_t start = clock();
    for (int i = 0; i < 100; i++) assert_int_equal(facts_measure(&facts, colours, &im), LENS_OK);
    clock_t measured = clock();
    for (int i = 0; i < 100; i++)
        assert_int_equal(facts_measure_stored(&facts, colours, (const uint8_t *)webp.s, webp.len), LENS_OK);
    printf("%s of 512 x 512 px: %.2f ms to measure its facts, %.2f ms with decoding WebP\n", what,
           10.0 * (double)(measured - start) / CLOCKS_PER_SEC, 10.0 * (double)(clock() - measured) / CLOCKS_PER_SEC);
    str_free(&webp);
    image_free(&im);
}

/* Good captions, of pictures that were not drawn to be compared, which say what pixels could exclude. */
static void print_claims(void) {
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(file_read(&text, &n, labelled, 1 << 24), LENS_OK);
    caption_t c = {0};
    int n_good = 0, n_claimed = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        caption_read(&c, line);
        if (c.rules.len || c.scene.len) continue;
        quality_text_t t;
        assert_int_equal(quality_text_read(&t, str_text(&c.text)), LENS_OK);
        n_good++;
        n_claimed += facts_claimed(&t);
        quality_text_free(&t);
    }
    printf("%d of %d good captions say what pixels could exclude\n", n_claimed, n_good);
    caption_free(&c);
    free(text);
}

static int speed(void) {
    char *text = NULL;
    size_t n = 0;
    if (file_read(&text, &n, labelled, 1 << 24) != LENS_OK) return 1;
    caption_t c = {0};
    int64_t done = 0;
    clock_t begin = clock();
    double seconds = 0;
    while (seconds < 2) {
        char *line = text;
        for (char *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            caption_read(&c, line);
            *end = '\n';
            if (strcmp(str_text(&c.style), "detailed") != 0 || c.rules.len) continue;
            quality_options_t o = options_of("detailed");
            quality_input_t in = {
                .text = str_text(&c.text), .style = "detailed", .prompt = prompt, .alt = "A red barn"};
            clock_t start = clock();
            for (int k = 0; k < 500; k++) {
                quality_t q;
                if (quality_check(&q, &o, &in) != LENS_OK) return 1;
                quality_free(&q);
            }
            seconds += (double)(clock() - start) / CLOCKS_PER_SEC;
            done += 500;
        }
    }
    printf("%.0f captions a second of one core, good ones of the style detailed (%.1f s in all)\n",
           (double)done / seconds, (double)(clock() - begin) / CLOCKS_PER_SEC);
    caption_free(&c);
    free(text);
    colour_table_t *colours = malloc(sizeof *colours);
    assert_non_null(colours);
    colour_table_init(colours);
    print_facts_ms("a drawing", draw_discs, colours);
    print_facts_ms("grain", draw_grain, colours);
    free(colours);
    print_claims();
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--speed") == 0) return speed();
    if (argc == 2) {
        tally_t tally[QUALITY_N] = {0};
        print_table(tally, argv[1], judge_file(tally, argv[1], NULL));
        return 0;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_floors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
