/* `lens eval`: scores of what a model draws, and of the detector that judges it. */
#include <stdio.h>
#include <string.h>

#include "base/command.h"
#include "eval/ablation.h"
#include "eval/compose.h"
#include "eval/detect_check.h"
#include "eval/prompt_suite.h"
#include "eval/report.h"
#include "kernels/device.h"

extern const command_t cmd_eval;

typedef struct {
    int64_t n, seed, size_px, steps, threads, max_objects;
    double blur_px, noise, guidance;
    bool raw, simple, json;
    char *out, *style, *device, *suite, *layout, *name;
} values_t;

static lens_status print(const str_t *text) {
    LENS_TRY(str_status(text));
    fputs(str_text(text), stdout);
    return LENS_OK;
}

static scene_rules_t rules(const values_t *v) {
    return (scene_rules_t){(int)v->max_objects, v->simple};
}

static lens_status detector(const values_t *v, int n_args, char **args) {
    if (n_args > 0) return lens_fail(LENS_ARGUMENT, "detector: unexpected argument \"%s\"", args[0]);
    detect_check_options_t o = {v->n ? v->n : 2000, v->size_px, (uint64_t)v->seed, rules(v), v->blur_px, v->noise};
    detect_check_t check;
    str_t text = {0};
    LENS_TRY(detect_check(&check, &o));
    (v->json ? detect_check_json : detect_check_text)(&check, &o, &text);
    lens_status st = print(&text);
    str_free(&text);
    return st;
}

static lens_status ablation(const values_t *v, int n_args, char **args) {
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "ablation: expected one folder of runs");
    ablation_t a;
    str_t text = {0};
    LENS_TRY(ablation_open(&a, args[0]));
    (v->json ? ablation_json : ablation_text)(&a, &text);
    lens_status st = print(&text);
    if (st == LENS_OK && v->out) st = report_write(v->out, &(report_options_t){.ablation = args[0]});
    str_free(&text);
    ablation_free(&a);
    return st;
}

static lens_status compose(const values_t *v, int n_args, char **args) {
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "compose: expected one checkpoint folder");
    compose_options_t o = {
        .n = v->n ? v->n : 50,
        .seed = (uint64_t)v->seed,
        .rules = rules(v),
        .forms = {[COMPOSE_SHORT] = strcmp(v->style, "long") != 0, [COMPOSE_LONG] = strcmp(v->style, "short") != 0},
        .steps = v->steps,
        .guidance = v->guidance};
    drawer_options_t drawer = {v->device, v->threads, v->raw, DRAWER_BATCH};
    compose_t c;
    str_t text = {0};
    LENS_TRY(compose_plan(&c, &o));
    lens_status st = compose_sample(&c, args[0], &drawer);
    if (st == LENS_OK) st = compose_judge_all(&c);
    if (st == LENS_OK && v->out) st = compose_write(&c, v->out);
    if (st == LENS_OK) (v->json ? compose_json : compose_text)(&c, &text);
    if (st == LENS_OK) st = print(&text);
    str_free(&text);
    compose_free(&c);
    return st;
}

static lens_status prompts(const values_t *v, int n_args, char **args) {
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "prompts: expected one checkpoint folder");
    if (!v->suite || !v->layout || !v->out)
        return lens_fail(LENS_ARGUMENT, "prompts: expected --suite PATH, --layout " PROMPT_SUITE_LAYOUTS " and -o DIR");
    prompt_suite_options_t o = {v->n ? v->n : 4, v->steps, v->guidance, (uint64_t)v->seed};
    drawer_options_t wanted = {.device = v->device, .threads = v->threads, .raw = v->raw};
    prompt_suite_layout layout = prompt_suite_layout_of(v->layout);
    prompt_suite_t suite = {0};
    drawer_t *d = NULL;
    str_t text = {0};
    lens_status st = LENS_OK;
    LENS_TRY(prompt_suite_check_each(layout, o.each));
    LENS_TRY(prompt_suite_read(&suite, v->suite, layout, v->name));
    wanted.batch = suite.n * o.each < DRAWER_BATCH ? suite.n * o.each : DRAWER_BATCH;
    LENS_GO(drawer_open(&d, args[0], &wanted));
    LENS_GO(prompt_suite_draw(&suite, d, v->out, &o));
    if (v->json) {
        str_add_json(&text, v->out, strlen(v->out));
        printf("{\"out\": %s, \"prompts\": %lld, \"pictures\": %lld}\n", str_text(&text), (long long)suite.n,
               (long long)(suite.n * o.each));
    } else {
        printf("%s: %lld prompts, %lld pictures\n", v->out, (long long)suite.n, (long long)(suite.n * o.each));
    }
done:
    str_free(&text);
    drawer_close(d);
    prompt_suite_free(&suite);
    return st;
}

static const struct {
    const char *name;
    lens_status (*run)(const values_t *v, int n_args, char **args);
} actions[] = {{"ablation", ablation}, {"compose", compose}, {"detector", detector}, {"prompts", prompts}};
enum { N_ACTIONS = sizeof actions / sizeof *actions };

static lens_status run(const void *values, int n_args, char **args) {
    const char *names[N_ACTIONS];
    int which;
    if (n_args == 0) return lens_fail(LENS_ARGUMENT, "expected what to evaluate: ablation, compose, detector, prompts");
    for (int i = 0; i < N_ACTIONS; i++) names[i] = actions[i].name;
    LENS_TRY(command_action(&which, args[0], names, N_ACTIONS));
    return actions[which].run(values, n_args - 1, args + 1);
}

#define AT(field) offsetof(values_t, field)
static const option_t rows[] = {
    {.name = "n",
     .letter = 'n',
     .type = OPTION_INT,
     .offset = AT(n),
     .initial = "0",
     .min = 0,
     .max = 1e7,
     .help = "compose: prompts of a task and form, 0: 50; detector: scenes, 0: 2000; prompts: pictures of each, 0: 4"},
    {.name = "seed",
     .type = OPTION_INT,
     .offset = AT(seed),
     .initial = "900001",
     .min = 0,
     .max = 1e15,
     .help = "of the scenes, and of the noise that pictures start from"},
    {.name = "style",
     .type = OPTION_CHOICE,
     .offset = AT(style),
     .initial = "both",
     .choices = "short|long|both",
     .help = "compose: prompts worded as brief captions are, as detailed ones, or both"},
    {.name = "max-objects",
     .type = OPTION_INT,
     .offset = AT(max_objects),
     .initial = "4",
     .min = 2,
     .max = SCENE_MAX_OBJECTS,
     .help = "compose, detector: in a scene at most, as lens scenes --max-objects of the training set"},
    {.name = "simple",
     .type = OPTION_FLAG,
     .offset = AT(simple),
     .help = "compose, detector: scenes as lens scenes --simple makes them"},
    {.name = "steps",
     .type = OPTION_INT,
     .offset = AT(steps),
     .initial = "20",
     .min = 1,
     .max = 1000,
     .help = "compose, prompts: Euler steps"},
    {.name = "guidance",
     .letter = 'g',
     .type = OPTION_FLOAT,
     .offset = AT(guidance),
     .initial = "4",
     .min = 0,
     .max = 100,
     .help = "compose, prompts: classifier-free guidance; 1: none"},
    {.name = "raw",
     .type = OPTION_FLAG,
     .offset = AT(raw),
     .help = "compose, prompts: the last weights, not their average"},
    {.name = "device",
     .type = OPTION_CHOICE,
     .offset = AT(device),
     .initial = "auto",
     .choices = DEVICE_KINDS,
     .help = "compose, prompts: what draws; auto: a GPU where one answers, else the CPU"},
    {.name = "threads",
     .type = OPTION_INT,
     .offset = AT(threads),
     .initial = "0",
     .min = 0,
     .max = 1024,
     .help = "compose, prompts: on the CPU; 0: all cores"},
    {.name = "size",
     .type = OPTION_INT,
     .offset = AT(size_px),
     .initial = "32",
     .min = SCENE_MIN_SIZE_PX,
     .max = SCENE_MAX_SIZE_PX,
     .unit = "px",
     .help = "detector: width and height of a scene"},
    {.name = "blur",
     .type = OPTION_FLOAT,
     .offset = AT(blur_px),
     .initial = "0",
     .min = 0,
     .max = 8,
     .unit = "px",
     .help = "detector: standard deviation of a Gaussian that blurs the scenes"},
    {.name = "noise",
     .type = OPTION_FLOAT,
     .offset = AT(noise),
     .initial = "0",
     .min = 0,
     .max = 255,
     .help = "detector: standard deviation of noise, of a code value"},
    {.name = "suite",
     .type = OPTION_STRING,
     .offset = AT(suite),
     .choices = "PATH",
     .help = "prompts: the benchmark's own prompts, a file; of DPG-Bench the folder"},
    {.name = "layout",
     .type = OPTION_CHOICE,
     .offset = AT(layout),
     .choices = PROMPT_SUITE_LAYOUTS,
     .help = "prompts: whose evaluator is to read the pictures"},
    {.name = "name",
     .type = OPTION_STRING,
     .offset = AT(name),
     .initial = "lens",
     .choices = "NAME",
     .help = "prompts: of the model, a folder in oneig's layout"},
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     .offset = AT(out),
     .choices = "PATH",
     .help = "ablation: also write a page, this FILE; compose: also a page and verdicts into this folder; prompts: the "
             "folder"},
    {.name = "json", .type = OPTION_FLAG, .offset = AT(json), .help = "print one JSON object"},
};

const command_t cmd_eval = {
    .name = "eval",
    .usage = "ablation DIR | compose CHECKPOINT | detector | prompts CHECKPOINT --suite PATH --layout LAYOUT -o DIR",
    .summary = "score what a model draws",
    .details =
        "ablation   tables of the runs that launch/ablation.sh left in DIR, and a page with -o\n"
        "compose    GenEval's six tasks on scenes: prompts, pictures of the model, and how many the detector finds "
        "right\n"
        "detector   how right the judge is, on rendered scenes whose truth is known\n"
        "prompts    pictures of a public benchmark's prompts, as its own evaluator reads them\n",
    .options = OPTION_TABLE(rows),
    .values_size = sizeof(values_t),
    .run = run,
};
