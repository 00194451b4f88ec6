/* Pictures of a suite's prompts in its layout; contract in eval/prompt_suite.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "data/image_grid.h"
#include "eval/prompt_suite.h"

enum { MAX_EACH = 64 };

/* k where n is k^2, else 0. */
static int root_of(int64_t n) {
    int k = 1;
    while (k * k < n) k++;
    return k * k == n ? k : 0;
}

lens_status prompt_suite_check_each(prompt_suite_layout layout, int64_t each) {
    bool fits = each >= 1 && each <= MAX_EACH;
    if (layout == PROMPT_SUITE_DPG) fits = each == 1 || each == 4;
    if (layout == PROMPT_SUITE_ONEIG) fits &= root_of(each) > 0;
    if (fits) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "%" PRId64 " pictures of a prompt: expected %s", each,
                     layout == PROMPT_SUITE_DPG     ? "1 or 4"
                     : layout == PROMPT_SUITE_ONEIG ? "a square, 1 to 64"
                                                    : "1 to 64");
}

static lens_status write_samples(const prompt_suite_item_t *item, const image_t *pictures, int64_t n, const char *dir) {
    str_t path = {0}, line = {0};
    lens_status st = LENS_OK;
    str_addf(&path, "%s/%s/samples", dir, item->path);
    LENS_GO(str_status(&path));
    LENS_GO(dir_make(path.s));
    for (int64_t k = 0; k < n; k++) {
        str_clear(&path);
        str_addf(&path, "%s/%s/samples/%04" PRId64 ".png", dir, item->path, k);
        LENS_GO(str_status(&path));
        LENS_GO(image_write(path.s, &pictures[k]));
    }
    str_clear(&path);
    str_addf(&path, "%s/%s/metadata.jsonl", dir, item->path);
    str_addf(&line, "%s\n", item->metadata);
    LENS_GO(str_status(&path));
    LENS_GO(str_status(&line));
    st = file_write(path.s, line.s, line.len);
done:
    str_free(&path);
    str_free(&line);
    return st;
}

static lens_status write_grid(const prompt_suite_item_t *item, const image_t *pictures, int64_t n, const char *dir) {
    str_t path = {0};
    image_t grid = {0};
    lens_status st = LENS_OK;
    str_addf(&path, "%s/%s", dir, item->path);
    LENS_GO(str_status(&path));
    char *name = strrchr(path.s, '/');
    *name = '\0';
    LENS_GO(dir_make(path.s));
    *name = '/';
    LENS_GO(image_grid(&grid, pictures, (int)n, root_of(n), 0));
    st = image_write(path.s, &grid);
done:
    image_free(&grid);
    str_free(&path);
    return st;
}

/* Prompts first to first + m - 1. */
static lens_status draw_some(const prompt_suite_t *s, drawer_t *d, int64_t first, int64_t m, const char *dir,
                             const prompt_suite_options_t *o) {
    int64_t n = m * o->each;
    const char **prompts = malloc(sizeof *prompts * (size_t)n);
    image_t *pictures = calloc((size_t)n, sizeof *pictures);
    generator_options_t how = {o->steps, o->guidance, o->seed, (uint64_t)(first * o->each)};
    lens_status st = LENS_OK;
    if (!prompts || !pictures) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for %" PRId64 " pictures", n));
    for (int64_t i = 0; i < n; i++) prompts[i] = s->items[first + i / o->each].prompt;
    LENS_GO(drawer_draw(d, pictures, prompts, n, &how));
    for (int64_t i = 0; i < m && st == LENS_OK; i++)
        st = (s->layout == PROMPT_SUITE_GENEVAL ? write_samples : write_grid)(&s->items[first + i],
                                                                              pictures + i * o->each, o->each, dir);
done:
    for (int64_t i = 0; pictures && i < n; i++) image_free(&pictures[i]);
    free(pictures);
    free(prompts);
    return st;
}

lens_status prompt_suite_draw(const prompt_suite_t *s, drawer_t *d, const char *dir, const prompt_suite_options_t *o) {
    int64_t at_once = o->each < DRAWER_BATCH ? DRAWER_BATCH / o->each : 1;
    LENS_TRY(prompt_suite_check_each(s->layout, o->each));
    lens_status st = LENS_OK;
    for (int64_t first = 0; first < s->n && st == LENS_OK; first += at_once) {
        int64_t m = s->n - first < at_once ? s->n - first : at_once;
        st = draw_some(s, d, first, m, dir, o);
        log_progress("%" PRId64 " of %" PRId64 " prompts", first + m, s->n);
    }
    log_progress_end();
    return st;
}
