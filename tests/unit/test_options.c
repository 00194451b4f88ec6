/* The option table: values from text, command lines, YAML both ways, and the wording of what people get wrong. */
#include "base/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"

typedef struct {
    char *name, *dataset, *kind;
    int64_t steps, seed, bytes;
    double lr, decay;
    bool shuffle, quiet;
} sample_t;

#define ROW(field) .offset = offsetof(sample_t, field)
/* Sections do not stand together: the writer has to gather them. */
static const option_t sample_rows[] = {
    {"optim.lr", OPTION_FLOAT, ROW(lr), "1e-4", .min = 0, .max = 1, .help = "peak learning rate"},
    {"name", OPTION_STRING, ROW(name), NULL, .letter = 'o', .choices = "TEXT", .help = "name of the run"},
    {"train.steps", OPTION_INT, ROW(steps), "100", .min = 1, .max = 100000, .unit = "steps", .help = "length"},
    {"seed", OPTION_INT, ROW(seed), "7", .letter = 's', .help = "seed"},
    {"optim.decay.weight", OPTION_FLOAT, ROW(decay), "0.1", .help = "weight decay"},
    {"data.dataset", OPTION_STRING, ROW(dataset), .required = true, .help = "folder"},
    {"data.cache-bytes", OPTION_INT, ROW(bytes), "64Mi", .min = 0, .max = 1e18, .unit = "bytes", .help = "cache"},
    {"kind", OPTION_CHOICE, ROW(kind), "tar", .choices = "tar|dir|hdf5", .letter = 'k', .help = "source"},
    {"shuffle", OPTION_FLAG, ROW(shuffle), "true", .help = "shuffle"},
    {"quiet", OPTION_FLAG, ROW(quiet), .letter = 'q', .help = "say less"},
};
static const option_table_t table = OPTION_TABLE(sample_rows);

static sample_t defaults(void) {
    sample_t v;
    assert_int_equal(options_defaults(table, &v), LENS_OK);
    return v;
}

static void assert_fails(lens_status st, const char *message) {
    assert_int_equal(st, LENS_ARGUMENT);
    assert_string_equal(lens_error(), message);
}

static void test_defaults(void **state) {
    (void)state;
    sample_t v = defaults();
    assert_true(v.shuffle && !v.quiet && !v.name && !v.dataset);
    assert_true(v.lr == 1e-4 && v.steps == 100 && v.bytes == 64 << 20);
    assert_string_equal(v.kind, "tar");
    options_free(table, &v);
    assert_null(v.kind);
}

static lens_status set(sample_t *v, const char *name, const char *text) {
    return options_set(table, v, name, text, "here");
}

static void test_integers(void **state) {
    (void)state;
    sample_t v = defaults();
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-12", -12},
                {"+5", 5},
                {"3Ki", 3072},
                {"-2Gi", -(INT64_C(2) << 30)},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN},
                {"8589934591Gi", INT64_C(8589934591) << 30}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(set(&v, "seed", good[i].text), LENS_OK);
        assert_true(v.seed == good[i].value);
    }
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "3.0",
                                      "1e4",
                                      "0x10",
                                      "many",
                                      "1K",
                                      "1ki",
                                      "Ki",
                                      "1Kix",
                                      "-",
                                      "+-1",
                                      "1_000",
                                      "9223372036854775808",
                                      "8589934592Gi"};
    v.seed = 42;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (set(&v, "seed", bad[i]) != LENS_ARGUMENT) fail_msg("\"%s\" was taken for an integer", bad[i]);
    }
    assert_int_equal(v.seed, 42);
    assert_fails(set(&v, "seed", "many"), "here: seed = \"many\": expected an integer");
    assert_fails(set(&v, "train.steps", "0"), "here: train.steps = \"0\": expected an integer, 1 to 100000 steps");
    assert_fails(set(&v, "data.cache-bytes", "-1"),
                 "here: data.cache-bytes = \"-1\": expected an integer, at least 0 bytes");
    options_free(table, &v);
}

static void test_get(void **state) {
    (void)state;
    sample_t v = defaults();
    str_t text = {0};
    assert_int_equal(set(&v, "seed", "3Ki"), LENS_OK);
    assert_int_equal(options_get(&text, table, &v, "seed"), LENS_OK);
    assert_string_equal(str_text(&text), "3072");
    assert_fails(options_get(&text, table, &v, "sead"), "unknown key \"sead\" (did you mean \"seed\"?)");
    str_free(&text);
    options_free(table, &v);
}

static void test_numbers(void **state) {
    (void)state;
    sample_t v = defaults();
    static const char *const good[] = {"1", "-.5", "1e-4", "3.0", "1E+2", "2."};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(set(&v, "optim.decay.weight", good[i]), LENS_OK);
        assert_true(v.decay == strtod(good[i], NULL));
    }
    static const char *const bad[] = {"",       "nan",   "inf", "-inf", "0x1p3", "1e999",
                                      "1e-999", "1.0.0", " 1",  "1f",   ".",     "e5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (set(&v, "optim.decay.weight", bad[i]) != LENS_ARGUMENT) fail_msg("\"%s\" was taken for a number", bad[i]);
    }
    assert_fails(set(&v, "optim.lr", "1.5"), "here: optim.lr = \"1.5\": expected a number, 0 to 1");
    options_free(table, &v);
}

static void test_other_values(void **state) {
    (void)state;
    sample_t v = defaults();
    assert_fails(set(&v, "optim.lrr", "1"), "here: unknown key \"optim.lrr\" (did you mean \"optim.lr\"?)");
    assert_fails(set(&v, "entirely-other", "1"), "here: unknown key \"entirely-other\"");
    assert_fails(set(&v, "kind", "ta"), "here: kind = \"ta\": expected one of tar|dir|hdf5");
    assert_fails(set(&v, "kind", "tar|dir"), "here: kind = \"tar|dir\": expected one of tar|dir|hdf5");
    assert_fails(set(&v, "shuffle", "yes"), "here: shuffle = \"yes\": expected true or false");
    assert_int_equal(set(&v, "name", "\xc3("), LENS_ARGUMENT);
    assert_int_equal(set(&v, "name", ""), LENS_OK);
    assert_string_equal(v.name, "");
    assert_fails(options_check_required(table, &v, "a.yaml"), "a.yaml: \"data.dataset\" is required: folder");
    assert_int_equal(set(&v, "data.dataset", "x"), LENS_OK);
    assert_int_equal(options_check_required(table, &v, "a.yaml"), LENS_OK);
    char *pairs[] = {"seed=3", "name=a=b"}, *no_pair[] = {"seed"};
    assert_int_equal(options_override(table, &v, 2, pairs), LENS_OK);
    assert_int_equal(v.seed, 3);
    assert_string_equal(v.name, "a=b");
    assert_fails(options_override(table, &v, 1, no_pair), "command line: \"seed\": expected KEY=VALUE");
    options_free(table, &v);
}

static const char HELP[] = "  optim.lr=X               peak learning rate (default 1e-4; 0 to 1)\n"
                           "  -o, --name TEXT          name of the run\n"
                           "  train.steps=N            length (default 100; 1 to 100000 steps)\n"
                           "  -s, --seed N             seed (default 7)\n"
                           "  optim.decay.weight=X     weight decay (default 0.1)\n"
                           "  data.dataset=TEXT        folder (required)\n"
                           "  data.cache-bytes=N       cache (default 64Mi; at least 0 bytes)\n"
                           "  -k, --kind tar|dir|hdf5  source (default tar)\n"
                           "      --[no-]shuffle       shuffle (default true)\n"
                           "  -q, --quiet              say less\n";

/* ---- command lines ---- */

enum { ARGS_MAX = 16 };

static lens_status parse(sample_t *v, const char *line, char *buffer, char **args, int *n_args) {
    char *argv[ARGS_MAX];
    int argc = 0;
    strncpy(buffer, line, 255);
    for (char *save, *word = strtok_r(buffer, " ", &save); word; word = strtok_r(NULL, " ", &save)) argv[argc++] = word;
    return options_parse(table, v, argc, argv, args, n_args);
}

static void test_command_line(void **state) {
    (void)state;
    char buffer[256] = {0}, *args[ARGS_MAX];
    int n = 0;
    sample_t v = defaults();
    assert_int_equal(
        parse(&v, "a.tar --seed -5 --name=x=y b.tar -q --no-shuffle - -k dir -- --seed -q", buffer, args, &n), LENS_OK);
    assert_int_equal(n, 5);
    assert_string_equal(args[0], "a.tar");
    assert_string_equal(args[1], "b.tar");
    assert_string_equal(args[2], "-");
    assert_string_equal(args[3], "--seed");
    assert_string_equal(args[4], "-q");
    assert_int_equal(v.seed, -5);
    assert_string_equal(v.name, "x=y");
    assert_string_equal(v.kind, "dir");
    assert_true(v.quiet && !v.shuffle);
    assert_int_equal(parse(&v, "-qs12 --shuffle --no-quiet --seed 1 --seed=2 --name -", buffer, args, &n), LENS_OK);
    assert_true(v.seed == 2 && v.shuffle && !v.quiet && n == 0);
    options_free(table, &v);
}

static void test_command_line_refused(void **state) {
    (void)state;
    char buffer[256] = {0}, *args[ARGS_MAX];
    int n = 0;
    sample_t v = defaults();
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"--sead 1", "unknown option \"--sead\" (did you mean \"--seed\"?)"},
        {"--see 1", "unknown option \"--see\" (did you mean \"--seed\"?)"}, /* no abbreviations */
        {"--no-seed", "unknown option \"--no-seed\" (did you mean \"--seed\"?)"},
        {"-z", "unknown option \"-z\""},
        {"--seed", "--seed: expected a value after it"},
        {"--seed many", "--seed \"many\": expected an integer"},
        {"--seed=", "--seed \"\": expected an integer"},
        {"-s x", "-s \"x\": expected an integer"},
        {"--name --quiet", "--name: expected a value, got \"--quiet\" (if that is the value: --name=--quiet)"},
        {"--quiet=true", "--quiet takes no value, got \"true\""},
        {"--kind=zip", "--kind \"zip\": expected one of tar|dir|hdf5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(parse(&v, cases[i].line, buffer, args, &n), cases[i].message);
    options_free(table, &v);
}

static void test_help(void **state) {
    (void)state;
    str_t help = {0};
    options_help(&help, table);
    assert_string_equal(str_text(&help), HELP);
    str_free(&help);
}

/* ---- YAML ---- */

static char yaml_path[] = "/tmp/lens_test_options_XXXXXX.yaml";

static lens_status load(sample_t *v, const char *text, size_t n) {
    assert_int_equal(file_write(yaml_path, text, n), LENS_OK);
    return options_load_yaml(table, v, yaml_path);
}

static void test_yaml(void **state) {
    (void)state;
    sample_t v = defaults();
    static const char text[] = "# a comment\n"
                               "name: \"two words\\n\"\n"
                               "optim: {lr: 5e-3, decay: {weight: 0}}\n"
                               "data:\n"
                               "  dataset: runs/x # here\n"
                               "  cache-bytes: 2Gi\n"
                               "train.steps: 12\n"
                               "quiet: true\n";
    assert_int_equal(load(&v, text, strlen(text)), LENS_OK);
    assert_string_equal(v.name, "two words\n");
    assert_string_equal(v.dataset, "runs/x");
    assert_true(v.lr == 5e-3 && v.decay == 0 && v.bytes == INT64_C(2) << 30 && v.steps == 12 && v.quiet && v.shuffle);
    assert_int_equal(load(&v, "name: ~\n", 8), LENS_OK);
    assert_null(v.name);
    assert_int_equal(load(&v, "# nothing\n", 10), LENS_OK);
    assert_int_equal(load(&v, "", 0), LENS_OK);
    options_free(table, &v);
}

static void test_yaml_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message; /* after the path and ":" */
    } cases[] = {
        {"seed: 1\n\noptim:\n  lrr: 1\n", "4: unknown key \"optim.lrr\" (did you mean \"optim.lr\"?)"},
        {"optmi:\n  lr: 1\n", "1: unknown section \"optmi\" (did you mean \"optim\"?)"},
        {"train:\n  steps: many\n", "2: train.steps = \"many\": expected an integer, 1 to 100000 steps"},
        {"train:\n  steps: 100001\n", "2: train.steps = \"100001\": expected an integer, 1 to 100000 steps"},
        {"optim:\n  lr: .nan\n", "2: optim.lr = \".nan\": expected a number, 0 to 1"},
        {"shuffle: yes\n", "1: shuffle = \"yes\": expected true or false"},
        {"seed: 1\nkind: tar\nseed: 2\n", "3: \"seed\" is set twice, first on line 1"},
        {"optim.lr: 1\noptim:\n  lr: 1\n", "3: \"optim.lr\" is set twice, first on line 1"},
        {"optim:\n  lr: 1\noptim:\n  decay: {weight: 1}\n", "3: section \"optim\" is given twice, first on line 1"},
        {"seed: [1, 2]\n", "1: seed: expected one value, got a list"},
        {"seed:\n  - 1\n", "1: seed: expected one value, got a list"},
        {"seed: {a: 1}\n", "1: seed: expected one value, got a mapping"},
        {"optim: 3\n", "1: \"optim\" is a section: expected indented keys under it"},
        {"seed:\n", "1: seed has no value"},
        {"kind: null\n", "1: kind has no value"},
        {"- 1\n", "1: expected KEY: VALUE lines"},
        {"seed\n", "1: expected KEY: VALUE lines"},
        {"seed: 1\n---\nseed: 2\n", "2: expected one document, got a second"},
        {"seed: &a 1\nkind: *a\n", "2: aliases (\"*name\") are not supported"},
        {"seed: !int 1\n", "1: tags (\"!name\") are not supported"},
        {"name: \"a\\0b\"\n", "1: a NUL character"},
        {"? [a, b]\n: 1\n", "1: expected a key"},
        {"kind: tar\n  seed: 1\n", "1: kind = \"tar seed\": expected one of tar|dir|hdf5"},
        {"kind: tar\nseed: 1: 2\n", "2: YAML: mapping values are not allowed in this context"},
        {"seed: 1\nname: \"open\n", "3: YAML: found unexpected end of stream, while scanning a quoted scalar"},
        {"seed: 1\nname: \xff\n", "2: YAML: invalid leading UTF-8 octet"},
        {"a: {b: {c: {d: {e: {f: {g: {h: {i: {j: 1}}}}}}}}}\n", "1: unknown section \"a\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sample_t v = defaults();
        char expected[512];
        snprintf(expected, sizeof expected, "%s:%s", yaml_path, cases[i].message);
        assert_fails(load(&v, cases[i].text, strlen(cases[i].text)), expected);
        options_free(table, &v);
    }
}

static void test_yaml_hostile(void **state) {
    (void)state;
    sample_t v = defaults();
    assert_int_equal(options_load_yaml(table, &v, "/nonexistent/a.yaml"), LENS_IO);
    char nul[] = "seed: 1\0\nname: x\n";
    assert_int_equal(load(&v, nul, sizeof nul - 1), LENS_ARGUMENT);
    enum { N_DEEP = 100000 };
    char *deep = malloc(N_DEEP);
    assert_non_null(deep);
    memset(deep, '[', N_DEEP);
    assert_int_equal(load(&v, deep, N_DEEP), LENS_ARGUMENT);
    memset(deep, '{', N_DEEP);
    assert_int_equal(load(&v, deep, N_DEEP), LENS_ARGUMENT);
    free(deep);
    options_free(table, &v);
}

/* Cut at and changed in every byte: never a crash, never another kind of failure, and the values stay whole. */
static void test_yaml_mutations(void **state) {
    (void)state;
    static const char text[] =
        "name: \"a\\n\"\noptim: {lr: 5e-3}\ndata:\n  dataset: 'x'\n  cache-bytes: 2Gi\nkind: tar # c\n";
    static const char marks[] = "\0\n\t :{}[]&*!|>'\"%@#-\x80\xff";
    enum { N_TEXT = sizeof text - 1, N_MARKS = sizeof marks - 1 };
    int n_taken = 0;
    for (size_t i = 0; i < N_TEXT * (N_MARKS + 1); i++) {
        char mutated[N_TEXT];
        memcpy(mutated, text, N_TEXT);
        size_t at = i / (N_MARKS + 1), mark = i % (N_MARKS + 1), n = mark == N_MARKS ? at : N_TEXT;
        if (mark < N_MARKS) mutated[at] = marks[mark];
        FILE *file = fopen(yaml_path, "wb"); /* file_write would sync every one */
        assert_non_null(file);
        assert_int_equal(fwrite(mutated, 1, n, file), n);
        assert_int_equal(fclose(file), 0);
        sample_t v = defaults();
        lens_status st = options_load_yaml(table, &v, yaml_path);
        if (st != LENS_OK && st != LENS_ARGUMENT) fail_msg("status %d at %zu: %s", st, i, lens_error());
        n_taken += st == LENS_OK;
        assert_non_null(v.kind);
        options_free(table, &v);
    }
    assert_in_range(n_taken, N_TEXT / 2, N_TEXT * N_MARKS / 2); /* comments and strings may change; most else may not */
}

static void test_yaml_round_trip(void **state) {
    (void)state;
    sample_t v = defaults(), w = defaults();
    static const char *const names[] = {"plain",      "",
                                        "null",       "~",
                                        "1e5",        "true",
                                        " spaces ",   "a: b # c",
                                        "\"q\" \\ '", "line\nbreak\ttab\r",
                                        "\x01\x7f",   "na\xc3\xafve \xf0\x9f\x98\x80 \xe2\x80\xa8 \xc2\x85"};
    static const double numbers[] = {0, 1, -1, 0.1, 1e-5, 1.0 / 3, 1e300, 5e-300, 123456789.123, -0.0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(options_set(table, &v, "name", names[i], "here"), LENS_OK);
        v.decay = numbers[i % (sizeof numbers / sizeof *numbers)];
        v.seed = INT64_MIN + (int64_t)i;
        v.shuffle = i % 2;
        str_t yaml = {0};
        options_write_yaml(&yaml, table, &v);
        assert_int_equal(str_status(&yaml), LENS_OK);
        if (load(&w, yaml.s, yaml.len) != LENS_OK) fail_msg("%s in\n%s", lens_error(), yaml.s);
        str_free(&yaml);
        assert_string_equal(w.name, names[i]);
        assert_memory_equal(&w.decay, &v.decay, sizeof v.decay);
        assert_true(w.seed == v.seed && w.shuffle == v.shuffle && w.lr == v.lr && !w.dataset);
    }
    options_free(table, &v);
    options_free(table, &w);
}

static void test_yaml_text(void **state) {
    (void)state;
    sample_t v = defaults();
    str_t yaml = {0};
    options_write_yaml(&yaml, table, &v);
    assert_string_equal(str_text(&yaml), "optim:\n"
                                         "  lr: 0.0001\n"
                                         "  decay:\n"
                                         "    weight: 0.1\n"
                                         "name: null\n"
                                         "train:\n"
                                         "  steps: 100\n"
                                         "seed: 7\n"
                                         "data:\n"
                                         "  dataset: null\n"
                                         "  cache-bytes: 67108864\n"
                                         "kind: tar\n"
                                         "shuffle: true\n"
                                         "quiet: false\n");
    str_free(&yaml);
    options_free(table, &v);
}

static int make_yaml_path(void **state) {
    (void)state;
    int fd = mkstemps(yaml_path, 5);
    return fd < 0 ? -1 : close(fd);
}

static int remove_yaml_path(void **state) {
    (void)state;
    return unlink(yaml_path);
}

typedef struct {
    char *config;
    int64_t size;
    bool fast;
} configured_t;
#define CONFIGURED(field) .offset = offsetof(configured_t, field)
static const option_t configured_rows[] = {
    {"config", OPTION_STRING, CONFIGURED(config), NULL, .config_list = "stages", .help = "file"},
    {"size", OPTION_INT, CONFIGURED(size), "1", .min = 0, .max = 100, .help = "size"},
    {"fast", OPTION_FLAG, CONFIGURED(fast), .help = "fast"},
};

static lens_status parse_configured(configured_t *v, const char *yaml, int argc, char **argv, int *n_args) {
    static const option_table_t rows = OPTION_TABLE(configured_rows);
    char *args[8];
    assert_int_equal(file_write(yaml_path, yaml, strlen(yaml)), LENS_OK);
    assert_int_equal(options_defaults(rows, v), LENS_OK);
    lens_status st = options_parse(rows, v, argc, argv, args, n_args);
    const configured_t numbers = *v;
    options_free(rows, v);
    v->size = numbers.size;
    v->fast = numbers.fast;
    return st;
}

/* The file counts less than the command line, wherever it is named there, and its list is left alone. */
static void test_config(void **state) {
    (void)state;
    configured_t v;
    int n_args = 0;
    char *before[] = {"a", "--size", "7", "--config", yaml_path, "b"};
    static const char yaml[] = "size: 9\nstages:\n  - {x: [1, {y: 2}]}\n  - z\nfast: true\n";
    assert_int_equal(parse_configured(&v, yaml, 6, before, &n_args), LENS_OK);
    assert_int_equal(v.size, 7);
    assert_true(v.fast);
    assert_int_equal(n_args, 2);
    assert_int_equal(parse_configured(&v, yaml, 2, before + 3, &n_args), LENS_OK);
    assert_int_equal(v.size, 9);
    assert_int_equal(parse_configured(&v, "config: x\n", 2, before + 3, &n_args), LENS_ARGUMENT);
    assert_non_null(strstr(lens_error(), "\"config\" is for the command line alone"));
    assert_int_equal(parse_configured(&v, "steps: [1]\n", 2, before + 3, &n_args), LENS_ARGUMENT);
    assert_int_equal(parse_configured(&v, "stages: 1\n", 2, before + 3, &n_args), LENS_ARGUMENT);
    assert_int_equal(parse_configured(&v, "stages: [1\n", 2, before + 3, &n_args), LENS_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),         cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_integers),       cmocka_unit_test(test_get),
        cmocka_unit_test(test_numbers),        cmocka_unit_test(test_other_values),
        cmocka_unit_test(test_command_line),   cmocka_unit_test(test_command_line_refused),
        cmocka_unit_test(test_help),           cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_yaml_refused),   cmocka_unit_test(test_yaml_hostile),
        cmocka_unit_test(test_yaml_mutations), cmocka_unit_test(test_yaml_round_trip),
        cmocka_unit_test(test_yaml_text),
    };
    return cmocka_run_group_tests(tests, make_yaml_path, remove_yaml_path);
}
