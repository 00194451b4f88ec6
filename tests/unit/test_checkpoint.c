/* Checkpoints: the same bits come back, to any other cut over ranks too; what is torn is skipped for the one before;
 * what does not belong is refused and nothing is touched; a failure is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "train/checkpoint.h"
#include "train/checkpoint_folder.h"
#include "train/checkpoint_layout.h"
#include "train/checkpoint_manifest.h"
#include "tests/unit/small_pipeline.h"

static const pipeline_config_t small = SMALL_PIPELINE(3, .sampling_mu_auto = true);

enum { N_FIELDS = 5 };
static const char *const names[N_FIELDS] = {"w", "m", "v", "ema.0.9", "ema.0.99"};

static const checkpoint_position_t position = {.step = 7,
                                               .n_updates = 6,
                                               .n_skipped = 1,
                                               .n_images = 56,
                                               .seed = 3,
                                               .n_samples = 200,
                                               .data_hash = UINT64_C(0xfedcba9876543210),
                                               .guard_mean = 1.0 / 3,
                                               .guard_var = 5e-324,
                                               .guard_n = 6};

/* One rank's share of a state. */
typedef struct {
    pipeline_tensors_t tensors;
    partition_t partition;
    train_field_t field[N_FIELDS];
    state_view_t view;
} share_t;

typedef struct {
    char dir[32];
    train_config_t config;
    comm_t *comm;
    kernels_t *k;
    share_t whole;
} fixture_t;

static lens_status gather(void *context, const train_field_t *f, int group, const float **out) {
    const share_t *s = context;
    *out = f->own + s->partition.group[group].first;
    return LENS_OK;
}

/* Fields over a plan that is there. */
static void give_fields(share_t *s, kernels_t *k, int n_pieces, int piece) {
    assert_int_equal(partition_init(&s->partition, &s->tensors.plan, n_pieces, piece, 8000), LENS_OK);
    for (int i = 0; i < N_FIELDS; i++) {
        void *p;
        assert_int_equal(k->alloc(k, &p, sizeof(float) * (size_t)s->partition.n_own, names[i]), LENS_OK);
        s->field[i] = (train_field_t){.own = p};
        snprintf(s->field[i].name, sizeof s->field[i].name, "%s", names[i]);
    }
    s->view = (state_view_t){.k = k,
                             .plan = &s->tensors.plan,
                             .partition = &s->partition,
                             .optimizer = "adamw",
                             .n_fields = N_FIELDS,
                             .field = s->field,
                             .gather = gather,
                             .context = s};
}

static void make_share(share_t *s, kernels_t *k, int n_pieces, int piece) {
    assert_int_equal(pipeline_tensors_init(&s->tensors, &small, partition_group_align(n_pieces)), LENS_OK);
    give_fields(s, k, n_pieces, piece);
}

static void free_share(share_t *s, kernels_t *k) {
    for (int i = 0; i < N_FIELDS; i++) k->free(k, s->field[i].own);
    partition_free(&s->partition);
    pipeline_tensors_free(&s->tensors);
}

/* A value that tells field, tensor and element, whatever the cut. */
static float value_of(int field, const plan_row_t *row, int64_t element) {
    return (float)(field + 1) * 1e6f + (float)(row->name[strlen(row->name) - 9] % 16) * 1e4f + (float)element;
}

static void fill(share_t *s, float sign) {
    for (int f = 0; f < N_FIELDS; f++)
        for (int i = 0; i < s->partition.n_slices; i++) {
            const partition_slice_t *slice = &s->partition.slice[i];
            for (int64_t j = 0; j < slice->n; j++)
                s->field[f].own[slice->own_at + j] = sign * value_of(f, slice->row, slice->row_first + j);
        }
}

static void expect_filled(const share_t *s, float sign) {
    for (int f = 0; f < N_FIELDS; f++)
        for (int i = 0; i < s->partition.n_slices; i++) {
            const partition_slice_t *slice = &s->partition.slice[i];
            for (int64_t j = 0; j < slice->n; j++)
                if (s->field[f].own[slice->own_at + j] != sign * value_of(f, slice->row, slice->row_first + j))
                    fail_msg("%s.%s[%lld]", names[f], slice->row->name, (long long)(slice->row_first + j));
        }
}

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/lens-ckpt-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(options_defaults(train_config_table(), &f->config), LENS_OK);
    f->config.run.dir = strdup(f->dir);
    f->config.train.keep = 3;
    assert_int_equal(comm_init(&f->comm), LENS_OK);
    assert_int_equal(kernels_cpu_new(&f->k, 1, 1), LENS_OK);
    make_share(&f->whole, f->k, 1, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    assert_int_equal(dir_remove(f->dir), LENS_OK);
    free_share(&f->whole, f->k);
    train_config_free(&f->config);
    kernels_free(f->k);
    comm_free(f->comm);
    free(f);
    return 0;
}

static void save(fixture_t *f, int64_t step, float sign) {
    checkpointer_t *ck;
    checkpoint_position_t at = position;
    at.step = step;
    fill(&f->whole, sign);
    assert_int_equal(checkpointer_new(&ck, &f->config, &small, f->comm), LENS_OK);
    assert_int_equal(checkpointer_start_view(ck, &f->whole.view, &at), LENS_OK);
    fill(&f->whole, 1234); /* training goes on */
    assert_int_equal(checkpointer_finish(ck), LENS_OK);
    assert_true(checkpointer_n_failed(ck) == 0);
    checkpointer_free(ck);
}

static lens_status load(fixture_t *f, checkpoint_position_t *at) {
    return checkpoint_load_view(at, &f->whole.view, f->dir, &position, f->comm);
}

static void expect_error(lens_status got, lens_status want, const char *named) {
    assert_int_equal(got, want);
    if (!strstr(lens_error(), named)) fail_msg("expected %s to be named: %s", named, lens_error());
}

/* ---- there and back ---- */

static void the_same_bits_come_back(void **state) {
    fixture_t *f = *state;
    checkpoint_position_t at;
    assert_false(checkpoint_exists(&f->config));
    save(f, 7, 1);
    assert_true(checkpoint_exists(&f->config));
    fill(&f->whole, 0);
    assert_int_equal(load(f, &at), LENS_OK);
    expect_filled(&f->whole, 1);
    assert_memory_equal(&at, &position, sizeof at);
}

/* Written by one rank, read by each of several with their own pieces. */
static void any_other_cut_reads_its_pieces(void **state) {
    fixture_t *f = *state;
    save(f, 7, 1);
    for (int n_pieces = 2; n_pieces < 6; n_pieces++)
        for (int piece = 0; piece < n_pieces; piece++) {
            share_t s;
            checkpoint_position_t at;
            make_share(&s, f->k, n_pieces, piece);
            assert_int_equal(checkpoint_load_view(&at, &s.view, f->dir, &position, f->comm), LENS_OK);
            expect_filled(&s, 1);
            free_share(&s, f->k);
        }
}

/* Over all ranks, every element of every field is written once, whole tensors in files that somebody owns. */
static void all_is_written_once(void **state) {
    fixture_t *f = *state;
    for (int world = 1; world < 5; world++)
        for (int sharded = 0; sharded < 2; sharded++) {
            int64_t n_floats = 0, n_elements = 0, staged = 0;
            for (int rank = 0; rank < world; rank++) {
                share_t s;
                checkpoint_layout_t l;
                size_t bytes;
                make_share(&s, f->k, sharded ? world : 1, sharded ? rank : 0);
                assert_int_equal(
                    checkpoint_layout_init(&l, &s.tensors.plan, &s.partition, N_FIELDS, names, rank, world, 9000),
                    LENS_OK);
                for (int i = 0; i < l.n_exports; i++)
                    for (int j = 0; j < l.export[i].n; j++)
                        if (l.export[i].at[j] >= 0) n_floats += s.tensors.plan.rows[l.export[i].row[j]].n;
                for (int i = 0; i < l.n_slices; i++) n_floats += l.slice[i].slice->n;
                staged += l.n_floats;
                n_elements = plan_n_elements(&s.tensors.plan);
                assert_int_equal(
                    checkpointer_staging_bytes(&bytes, &s.tensors.plan, &s.partition, N_FIELDS, names, rank, world),
                    LENS_OK);
                if (world == 1) assert_true(bytes == sizeof(float) * (size_t)l.n_floats);
                checkpoint_layout_free(&l);
                free_share(&s, f->k);
            }
            assert_true(n_floats == N_FIELDS * n_elements);
            assert_true(staged == n_floats);
        }
}

static void old_ones_go_after_the_new_one_stands(void **state) {
    fixture_t *f = *state;
    int64_t *steps;
    int n;
    f->config.train.keep = 2;
    for (int step = 1; step <= 4; step++) save(f, step, (float)step);
    assert_int_equal(checkpoint_steps(&steps, &n, f->dir), LENS_OK);
    assert_int_equal(n, 2);
    assert_true(steps[0] == 4 && steps[1] == 3);
    free(steps);
    save(f, 3, 9); /* a run that went back to an earlier one */
    assert_int_equal(checkpoint_steps(&steps, &n, f->dir), LENS_OK);
    assert_int_equal(n, 1);
    free(steps);
}

/* ---- torn ---- */

static void path_in(char out[256], const fixture_t *f, const char *step, const char *name) {
    snprintf(out, 256, "%s/checkpoints/%s/%s", f->dir, step, name);
}

static void torn_ones_are_skipped(void **state) {
    fixture_t *f = *state;
    static const char *const files[] = {"manifest.json",
                                        "config.yaml",
                                        "model_index.json",
                                        "state/trainer.json",
                                        "state/rank-0000-of-0001.safetensors",
                                        "transformer/diffusion_pytorch_model.safetensors",
                                        "ema/text_encoder/model.safetensors",
                                        "ema-0.99/transformer/diffusion_pytorch_model.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int damage = 0; damage < 3; damage++) {
            checkpoint_position_t at;
            char path[256], *bytes;
            size_t n;
            save(f, 7, 1);
            save(f, 8, 2);
            path_in(path, f, "step-00000008", files[i]);
            assert_int_equal(file_read(&bytes, &n, path, 1 << 24), LENS_OK);
            bytes[n / 2] ^= 4;
            if (damage == 0) assert_int_equal(file_write(path, bytes, n), LENS_OK);
            if (damage == 1) assert_int_equal(truncate(path, (off_t)n - 1), 0);
            if (damage == 2) assert_int_equal(unlink(path), 0);
            free(bytes);
            fill(&f->whole, 0);
            lens_status st = load(f, &at);
            if (st != LENS_OK) fail_msg("%s, damage %d: %s", files[i], damage, lens_error());
            if (at.step != 7) fail_msg("%s, damage %d: not skipped", files[i], damage);
            expect_filled(&f->whole, 1);
        }
}

static void none_that_is_whole_is_an_error(void **state) {
    fixture_t *f = *state;
    checkpoint_position_t at;
    char path[256];
    expect_error(load(f, &at), LENS_STATE, "holds no checkpoint");
    save(f, 7, 1);
    path_in(path, f, "step-00000007", "manifest.json");
    assert_int_equal(unlink(path), 0);
    fill(&f->whole, 5);
    expect_error(load(f, &at), LENS_FORMAT, "none of the 1 checkpoints is whole");
    expect_filled(&f->whole, 5);
}

/* A copy under another name is not of that step. */
static void another_steps_folder_is_torn(void **state) {
    fixture_t *f = *state;
    checkpoint_position_t at;
    char from[256], to[256];
    save(f, 7, 1);
    save(f, 8, 2);
    path_in(from, f, "step-00000008", "");
    path_in(to, f, "step-00000009", "");
    from[strlen(from) - 1] = to[strlen(to) - 1] = '\0';
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(load(f, &at), LENS_OK);
    assert_true(at.step == 7);
}

/* ---- refused ---- */

static void other_runs_are_refused(void **state) {
    fixture_t *f = *state;
    checkpoint_position_t at, other;
    state_view_t view = f->whole.view;
    save(f, 7, 1);
    fill(&f->whole, 5);
    other = position;
    other.seed = 4;
    expect_error(checkpoint_load_view(&at, &view, f->dir, &other, f->comm), LENS_STATE, "seed is 3 there, 4 here");
    other = position;
    other.n_samples = 4;
    expect_error(checkpoint_load_view(&at, &view, f->dir, &other, f->comm), LENS_STATE, "n_samples is 200 there");
    other = position;
    other.data_hash++;
    expect_error(checkpoint_load_view(&at, &view, f->dir, &other, f->comm), LENS_STATE,
                 "hash fedcba9876543210 there, fedcba9876543211 here");
    view.optimizer = "muon";
    expect_error(checkpoint_load_view(&at, &view, f->dir, &position, f->comm), LENS_STATE,
                 "train.optimizer is adamw there, muon here");
    view = f->whole.view;
    view.n_fields = N_FIELDS - 1;
    expect_error(checkpoint_load_view(&at, &view, f->dir, &position, f->comm), LENS_STATE,
                 "its fields are w, m, v, ema.0.9, ema.0.99, here w, m, v, ema.0.9");
    expect_filled(&f->whole, 5);
}

static void another_model_is_refused(void **state) {
    fixture_t *f = *state;
    checkpoint_position_t at;
    save(f, 7, 1);
    fill(&f->whole, 5);
    plan_row_t *row = &f->whole.tensors.plan.rows[1];
    int64_t first = row->shape[0];
    row->shape[0] = row->shape[1];
    row->shape[1] = first;
    expect_error(load(f, &at), LENS_FORMAT, "tensor img_in.weight has not the model's shape");
    row->shape[1] = row->shape[0];
    row->shape[0] = first;
    snprintf(row->name, sizeof row->name, "img_in.wait");
    expect_error(load(f, &at), LENS_FORMAT, "tensor w.img_in.wait: elements from 0 on are missing");
    snprintf(row->name, sizeof row->name, "img_in.weight");
    expect_filled(&f->whole, 5);
}

/* ---- failures ---- */

static void a_failure_is_counted_and_training_goes_on(void **state) {
    fixture_t *f = *state;
    checkpointer_t *ck;
    checkpoint_position_t at = position;
    char path[64];
    snprintf(path, sizeof path, "%s/checkpoints", f->dir);
    assert_int_equal(file_write(path, "", 0), LENS_OK); /* in the way */
    assert_int_equal(checkpointer_new(&ck, &f->config, &small, f->comm), LENS_OK);
    for (int64_t n = 1; n < 3; n++) {
        at.step = n;
        assert_int_equal(checkpointer_start_view(ck, &f->whole.view, &at), LENS_OK);
        assert_int_equal(checkpointer_finish(ck), LENS_IO);
        assert_non_null(strstr(lens_error(), "checkpoints"));
        assert_true(checkpointer_n_failed(ck) == n);
    }
    assert_int_equal(unlink(path), 0);
    at.step = 3;
    assert_int_equal(checkpointer_start_view(ck, &f->whole.view, &at), LENS_OK);
    assert_int_equal(checkpointer_finish(ck), LENS_OK);
    assert_true(checkpointer_n_failed(ck) == 2);
    checkpointer_free(ck);
}

/* ---- adapters ---- */

/* A frozen base: the state is an adapter alone, saved as diffusers and peft name it. */
static void adapters_are_saved_and_read(void **state) {
    fixture_t *f = *state;
    const mmdit_lora_t lora = {.rank = 2, .alpha = 6, .targets = "img_qkv,w1"};
    share_t s = {.tensors.plan = {.act_bytes = sizeof(float), .group_align = partition_group_align(1)}};
    checkpointer_t *ck;
    checkpoint_position_t at;
    adapter_t adapter;
    char path[256];
    assert_int_equal(mmdit_plan_lora(&s.tensors.plan, &s.tensors.mmdit, &small.mmdit, &lora), LENS_OK);
    give_fields(&s, f->k, 1, 0);
    s.view.adapter_alpha = lora.alpha;
    fill(&s, 1);
    assert_int_equal(checkpointer_new(&ck, &f->config, &small, f->comm), LENS_OK);
    assert_int_equal(checkpointer_start_view(ck, &s.view, &position), LENS_OK);
    assert_int_equal(checkpointer_finish(ck), LENS_OK);
    checkpointer_free(ck);
    fill(&s, 0);
    assert_int_equal(checkpoint_load_view(&at, &s.view, f->dir, &position, f->comm), LENS_OK);
    expect_filled(&s, 1);
    path_in(path, f, "step-00000007", "");
    assert_int_equal(adapter_open(&adapter, path), LENS_OK);
    assert_int_equal(adapter.n, s.tensors.plan.n / 2);
    for (int i = 0; i < adapter.n; i++) {
        char name[PLAN_NAME_MAX];
        snprintf(name, sizeof name, "%.*s.lora_B.weight", (int)adapter.pair[i].module_len, adapter.pair[i].module);
        assert_non_null(plan_find(&s.tensors.plan, name));
        assert_true(adapter.pair[i].scale == 3);
    }
    adapter_close(&adapter);
    free_share(&s, f->k);
}

/* ---- manifests ---- */

static void hostile_manifests_are_refused(void **state) {
    (void)state;
#define HASH "\"xxh3_128\": \"00000000000000000000000000000000\""
#define OF(file) "{\"version\": 2, \"step\": 1, \"files\": [" file "]}"
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"", "line 1"},
        {"[]", "version"},
        {"{\"version\": 3, \"step\": 1, \"files\": []}", "version: expected 2"},
        {"{\"version\": 2, \"step\": -1, \"files\": []}", "step"},
        {"{\"version\": 2, \"step\": 1, \"files\": 5}", "files: expected a list"},
        {OF("3"), "no name"},
        {OF("{\"name\": \"../a\", \"bytes\": 1, " HASH "}"), "no name"},
        {OF("{\"name\": \"/a\", \"bytes\": 1, " HASH "}"), "no name"},
        {OF("{\"name\": \"a//b\", \"bytes\": 1, " HASH "}"), "no name"},
        {OF("{\"name\": \"a/..\", \"bytes\": 1, " HASH "}"), "no name"},
        {OF("{\"name\": \"a/\", \"bytes\": 1, " HASH "}"), "no name"},
        {OF("{\"name\": \"a\", \"bytes\": -1, " HASH "}"), "bytes"},
        {OF("{\"name\": \"a\", \"bytes\": 1, \"xxh3_128\": \"00\"}"), "32 hexadecimal digits"},
        {OF("{\"name\": \"a\", \"bytes\": 1, \"xxh3_128\": \"0000000000000000000000000000000G\"}"), "32 hexadecimal"},
    };
    checkpoint_manifest_t m;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lens_status st = checkpoint_manifest_from_json(&m, cases[i].text, strlen(cases[i].text), "here");
        expect_error(st, LENS_FORMAT, cases[i].named);
        assert_int_equal(m.n, 0);
    }
    const char *good = OF("{\"name\": \"a/b-1.c\", \"bytes\": 5, " HASH "}");
    assert_int_equal(checkpoint_manifest_from_json(&m, good, strlen(good), "here"), LENS_OK);
    assert_int_equal(m.n, 1);
    assert_string_equal(m.file[0].name, "a/b-1.c");
    checkpoint_manifest_free(&m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_same_bits_come_back),      TEST(any_other_cut_reads_its_pieces),
        TEST(all_is_written_once),          TEST(old_ones_go_after_the_new_one_stands),
        TEST(torn_ones_are_skipped),        TEST(none_that_is_whole_is_an_error),
        TEST(another_steps_folder_is_torn), TEST(other_runs_are_refused),
        TEST(another_model_is_refused),     TEST(a_failure_is_counted_and_training_goes_on),
        TEST(adapters_are_saved_and_read),  cmocka_unit_test(hostile_manifests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
