/* Recaptioning a dataset: with the describer, and with a captioner that answers late, out of order and badly. */
#include "tests/unit/drawing.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "data/shard.h"
#include "recaption/caption_set.h"
#include "recaption/recaption.h"
#include "recaption/words.h"

enum { N_SAMPLES = 240, PER_SHARD = 60 };

static const caption_kind_t dense = {.name = "dense", .style = "detailed", .min_words = 40, .max_words = 120};
static comm_t *comm; /* of one process */
static char folder[] = "/tmp/lens-test-recaption-XXXXXX";

static const char *path_of(const char *name, char out[256]) {
    snprintf(out, 256, "%s/%s", folder, name);
    return out;
}

/* Pictures that differ by little: half of them are one grey apart, every tenth repeats the one before it. */
static void draw_sample(image_t *im, int i) {
    int kind = i % 10 == 9 ? i - 1 : i;
    if (kind % 2) {
        draw_new(im, 48, 48, 0xf0f0f0 + (uint32_t)(kind / 2 % 16));
        return;
    }
    draw_new(im, 64, 64, 0xffffff);
    draw_ellipse(im, 20 + kind % 3, 20 + kind / 3 % 3, 10, 10, 0, kind / 9 % 2 ? 0xff0000 : 0x0000ff);
    draw_pixel(im, kind % 64, 63, 0xfefefe); /* no person sees it, and the file differs */
}

static void make_dataset(const char *dir, int damaged) {
    dataset_writer_t *w;
    dataset_writer_options_t options = DATASET_WRITER_DEFAULTS;
    options.shard_max_samples = PER_SHARD;
    assert_int_equal(dataset_writer_open(&w, dir, &options), LENS_OK);
    for (int i = 0; i < N_SAMPLES; i++) {
        image_t im;
        str_t webp = {0};
        char key[32];
        draw_sample(&im, i);
        assert_int_equal(image_encode_webp(&webp, &im, 0, true), LENS_OK);
        snprintf(key, sizeof key, "sample-%04d", i);
        size_t n = i == damaged ? webp.len / 2 : webp.len;
        const sample_t sample = {.key = key,
                                 .picture = webp.s,
                                 .picture_bytes = n,
                                 .width = im.width,
                                 .height = im.height,
                                 .original_width = im.width,
                                 .original_height = im.height,
                                 .alt = "",
                                 .meta = NULL};
        assert_int_equal(dataset_writer_add(w, &sample), LENS_OK);
        str_free(&webp);
        image_free(&im);
    }
    assert_int_equal(dataset_writer_close(w), LENS_OK);
}

static int set_up(void **state) {
    (void)state;
    char path[256];
    if (!mkdtemp(folder) || comm_init(&comm) != LENS_OK) return -1;
    make_dataset(path_of("set", path), -1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    comm_free(comm);
    return dir_remove(folder) == LENS_OK ? 0 : -1;
}

static recaption_result_t recaption(const char *set, const char *layers, captioner_t *c, int threads, int attempts) {
    const recaption_options_t o = {.dir = layers,
                                   .kinds = &dense,
                                   .n_kinds = 1,
                                   .threads = threads,
                                   .max_attempts = attempts,
                                   .quality = QUALITY_DEFAULTS};
    recaption_result_t result;
    dataset_t *d;
    assert_int_equal(dir_make(layers), LENS_OK);
    assert_int_equal(dataset_open_partial(&d, set), LENS_OK);
    assert_int_equal(dataset_add_layers(d, layers), LENS_OK);
    lens_status st = recaption_run(&result, d, c, &o, comm);
    if (st != LENS_OK) fail_msg("%s", lens_error());
    dataset_close(d);
    return result;
}

static captioner_t *open_describer(void) {
    const captioner_options_t options = {.captioner = "describe", .kinds = &dense, .n_kinds = 1, .max_in_flight = 1};
    captioner_t *c;
    assert_int_equal(captioner_open(&c, &options), LENS_OK);
    return c;
}

static dataset_t *open_with(const char *set, const char *layers) {
    dataset_t *d;
    assert_int_equal(dataset_open(&d, set), LENS_OK);
    assert_int_equal(dataset_add_layers(d, layers), LENS_OK);
    return d;
}

static void assert_same_captions(const dataset_t *a, const dataset_t *b) {
    str_t one = {0}, other = {0};
    for (int64_t i = 0; i < dataset_n_samples(a); i++) {
        assert_int_equal(dataset_caption(a, i, "dense", &one), LENS_OK);
        assert_int_equal(dataset_caption(b, i, "dense", &other), LENS_OK);
        assert_string_equal(str_text(&one), str_text(&other));
    }
    str_free(&one);
    str_free(&other);
}

/* Within a shard captions are told apart by the picture's bytes: equal pictures alone may share one. */
static void assert_unique(const dataset_t *d) {
    caption_set_t said = {0};
    str_t text = {0}, one = {0}, other = {0};
    for (int64_t i = 0; i < dataset_n_samples(d); i++) {
        if (i % PER_SHARD == 0) caption_set_free(&said);
        assert_int_equal(dataset_caption(d, i, "dense", &text), LENS_OK);
        assert_in_range(words_count(str_text(&text)), 40, 120);
        int64_t before = caption_set_find(&said, caption_hash(str_text(&text)));
        if (before >= 0) {
            assert_int_equal(dataset_image(d, i, &one), LENS_OK);
            assert_int_equal(dataset_image(d, before, &other), LENS_OK);
            assert_int_equal(one.len, other.len);
            assert_memory_equal(one.s, other.s, one.len);
        }
        assert_int_equal(caption_set_add(&said, caption_hash(str_text(&text)), i), LENS_OK);
    }
    caption_set_free(&said);
    str_free(&text);
    str_free(&one);
    str_free(&other);
}

static void test_unique_and_independent_of_threads(void **state) {
    (void)state;
    char set[256], one[256], four[256];
    path_of("set", set);
    captioner_t *c = open_describer();
    recaption_result_t r = recaption(set, path_of("one", one), c, 1, 64);
    assert_int_equal(r.by_kind[0].n_by_reason[QUALITY_ACCEPTED], N_SAMPLES);
    assert_int_equal(r.n_shards_written, N_SAMPLES / PER_SHARD);
    r = recaption(set, path_of("four", four), c, 4, 64);
    assert_int_equal(r.by_kind[0].n_by_reason[QUALITY_ACCEPTED], N_SAMPLES);
    captioner_close(c);
    dataset_t *a = open_with(set, one), *b = open_with(set, four);
    assert_unique(a);
    assert_same_captions(a, b);
    dataset_close(a);
    dataset_close(b);
}

/* A run that stopped after some shards goes on, and ends as one that never stopped. */
static void test_resumes(void **state) {
    (void)state;
    char set[256], whole[256], cut[256], last[320];
    path_of("set", set);
    captioner_t *c = open_describer();
    recaption(set, path_of("whole", whole), c, 2, 64);
    recaption(set, path_of("cut", cut), c, 2, 64);
    for (int shard = 2; shard < N_SAMPLES / PER_SHARD; shard++) {
        snprintf(last, sizeof last, "%s/dense/shard-%05d.h5", cut, shard);
        assert_int_equal(unlink(last), 0);
    }
    recaption_result_t r = recaption(set, cut, c, 2, 64);
    assert_int_equal(r.n_shards_skipped, 2);
    assert_int_equal(r.n_shards_written, N_SAMPLES / PER_SHARD - 2);
    r = recaption(set, cut, c, 2, 64);
    assert_int_equal(r.n_shards_written, 0);
    captioner_close(c);
    dataset_t *a = open_with(set, whole), *b = open_with(set, cut);
    assert_same_captions(a, b);
    dataset_close(a);
    dataset_close(b);
}

/* ---- a captioner as a service is: answers come later, from its own thread, last asked first ---- */

typedef struct {
    captioner_t base;
    pthread_mutex_t lock;
    pthread_cond_t change;
    pthread_t thread;
    bool ends;
    const caption_request_t *held[16];
    int n_held;
    int64_t n_asked;
    int64_t breaks_after; /* requests, then submit() fails; -1: never */
} late_t;

static const char good[] =
    "Sample %lld, on its attempt %d, shows a long sentence of many different words about trees, rivers, stones, "
    "clouds, "
    "boats, lamps, doors, windows, roads, hills, bridges, gardens, towers, ladders, baskets, wheels, mirrors, candles, "
    "bottles, books, chairs, tables, carpets, curtains and one small bell.";

static void answer_one(late_t *l, const caption_request_t *q) {
    (void)l;
    char text[512] = "";
    caption_reply_t reply = {.text = text, .reason = "", .details = "{\"tokens\":7}"};
    snprintf(text, sizeof text, good, (long long)q->sample, q->attempt);
    switch (q->sample % 8) {
    case 1: /* refuses once */
        if (q->attempt == 0) reply.outcome = CAPTION_REFUSED;
        break;
    case 2: /* never answers */
        reply.outcome = CAPTION_FAILED;
        reply.reason = "timeout";
        text[0] = '\0';
        break;
    case 3: /* always too short, and hostile */
        snprintf(text, sizeof text, "\"short\"\\");
        break;
    case 4: /* one caption for all */
        snprintf(text, sizeof text, good, 4LL, 0);
        break;
    case 5: /* cut off at first */
        if (q->attempt == 0) reply.outcome = CAPTION_TRUNCATED;
        break;
    case 6: /* what the gate takes out */
        snprintf(text, sizeof text, "The image shows ");
        snprintf(text + strlen(text), sizeof text - strlen(text), good, (long long)q->sample, q->attempt);
        break;
    case 7: /* says what the pixels exclude, then what they do not */
        snprintf(text + strlen(text), sizeof text - strlen(text), " The background is %s.",
                 q->attempt == 0 ? "black" : "white");
        break;
    default:
        break;
    }
    q->done(q, &reply);
}

/* Answers what is held when nothing more comes, or 16 are. */
static void *answer_held(void *argument) {
    late_t *l = argument;
    pthread_mutex_lock(&l->lock);
    while (!l->ends || l->n_held > 0) {
        const int before = l->n_held;
        pthread_mutex_unlock(&l->lock);
        sched_yield();
        pthread_mutex_lock(&l->lock);
        if (l->n_held == 0 || (l->n_held != before && l->n_held < 16)) continue;
        const caption_request_t *last = l->held[--l->n_held];
        pthread_mutex_unlock(&l->lock);
        answer_one(l, last);
        pthread_mutex_lock(&l->lock);
        pthread_cond_broadcast(&l->change);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void late_start(late_t *l, int64_t breaks_after) {
    l->ends = false;
    l->n_asked = 0;
    l->breaks_after = breaks_after;
    assert_int_equal(pthread_create(&l->thread, NULL, answer_held, l), 0);
}

static void late_end(late_t *l) {
    pthread_mutex_lock(&l->lock);
    l->ends = true;
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
}

static lens_status late_submit(captioner_t *c, const caption_request_t *request) {
    late_t *l = (late_t *)c;
    lens_status st = LENS_OK;
    pthread_mutex_lock(&l->lock);
    while (l->n_held == 16) pthread_cond_wait(&l->change, &l->lock);
    if (l->breaks_after >= 0 && l->n_asked >= l->breaks_after)
        st = lens_fail(LENS_IO, "service is gone");
    else
        l->held[l->n_held++] = request;
    l->n_asked++;
    pthread_mutex_unlock(&l->lock);
    return st;
}

static lens_status late_wait(captioner_t *c) {
    late_t *l = (late_t *)c;
    pthread_mutex_lock(&l->lock);
    while (l->n_held > 0) pthread_cond_wait(&l->change, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return LENS_OK;
}

static void late_settings(const captioner_t *c, int kind, str_t *json) {
    (void)c;
    (void)kind;
    str_add(json, "\"model\":\"test\"");
}

static const captioner_type_t late_type = {.name = "late",
                                           .version = "1",
                                           .attempts = 3,
                                           .unique = true,
                                           .submit = late_submit,
                                           .wait = late_wait,
                                           .settings = late_settings};

/* What the layer keeps of each sample of its first shard. */
static void check_meta(const char *layers) {
    char path[320];
    snprintf(path, sizeof path, "%s/dense/shard-00000.h5", layers);
    shard_t *s;
    str_t text = {0};
    assert_int_equal(shard_open(&s, path), LENS_OK);
    assert_non_null(strstr(s->provenance, "\"model\":\"test\""));
    assert_non_null(strstr(s->provenance, "\"gate\":\""));
    for (int64_t i = 0; i < 8; i++) {
        assert_int_equal(column_get(&s->meta, i, NULL, &text), LENS_OK);
        json_t *meta = json_loads(text.s, 0, NULL);
        assert_non_null(meta);
        const char *status = json_string_value(json_object_get(meta, "status"));
        bool is_bad = i == 2 || i == 3;
        assert_string_equal(status, is_bad ? "rejected" : "accepted");
        assert_int_equal(json_integer_value(json_object_get(meta, "attempts")), is_bad                       ? 3
                                                                                : i == 1 || i == 5 || i == 7 ? 2
                                                                                                             : 1);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(meta, "details"), "tokens")), 7);
        if (i == 2) {
            assert_string_equal(json_string_value(json_object_get(meta, "reason")), "failed");
            assert_string_equal(json_string_value(json_object_get(meta, "message")), "timeout");
        }
        if (i == 3) assert_string_equal(json_string_value(json_object_get(meta, "raw")), "\"short\"\\");
        const json_t *turned_down = json_object_get(meta, "turned_down"), *first = json_array_get(turned_down, 0);
        assert_int_equal(json_array_size(turned_down), i == 3 ? 2 : i == 1 || i == 5 || i == 7);
        if (i == 1) assert_string_equal(json_string_value(json_object_get(first, "reason")), "refused");
        if (i == 5) assert_string_equal(json_string_value(json_object_get(first, "reason")), "truncated");
        if (i == 7) assert_string_equal(json_string_value(json_object_get(first, "reason")), "contradiction");
        if (i == 3) assert_int_equal(json_number_value(json_object_get(first, "value")), 1); /* word */
        const json_t *stripped = json_object_get(meta, "stripped");
        assert_int_equal(json_array_size(stripped), i == 6);
        if (i == 6) assert_string_equal(json_string_value(json_array_get(stripped, 0)), "boilerplate");
        if (i == 6) assert_true(json_is_number(json_object_get(json_object_get(meta, "values"), "boilerplate")));
        json_decref(meta);
    }
    assert_int_equal(column_get(&s->text, 6, NULL, &text), LENS_OK);
    assert_true(str_starts_with(text.s, "Sample 6, on its attempt 0"));
    str_free(&text);
    shard_close(s);
}

static void test_late_and_bad_answers(void **state) {
    (void)state;
    char set[256], layers[256];
    late_t l = {.base = {&late_type}, .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    late_start(&l, -1);
    path_of("set", set);
    recaption_result_t r = recaption(set, path_of("late", layers), &l.base, 3, 3);
    late_end(&l);
    enum { EACH = N_SAMPLES / 8 };
    assert_int_equal(r.by_kind[0].n_by_reason[QUALITY_FAILED], EACH);
    assert_int_equal(r.by_kind[0].n_by_reason[QUALITY_SHORT], EACH);
    /* One of the captions that are all alike stands, and those of the same picture may share it. */
    assert_true(r.by_kind[0].n_by_reason[QUALITY_DUPLICATE] > EACH / 2);
    assert_int_equal(r.by_kind[0].n_by_reason[QUALITY_ACCEPTED] + r.by_kind[0].n_by_reason[QUALITY_DUPLICATE],
                     6 * EACH);
    assert_true(r.by_kind[0].n_retried >= 5 * EACH);
    check_meta(layers);
    dataset_t *d = open_with(set, layers);
    str_t text = {0};
    assert_int_equal(dataset_caption(d, 1, "dense", &text), LENS_OK);
    assert_non_null(strstr(text.s, "Sample 1, on its attempt 1"));
    assert_int_equal(dataset_caption(d, 2, "dense", &text), LENS_OK);
    assert_string_equal(str_text(&text), "");
    assert_int_equal(dataset_caption(d, 3, "dense", &text), LENS_OK);
    assert_string_equal(str_text(&text), "");
    str_free(&text);
    dataset_close(d);
}

static recaption_may one_at_a_time(void *context, int64_t n_in_flight) {
    (void)context;
    return n_in_flight > 0 ? RECAPTION_WAIT : RECAPTION_ASK;
}

/* An answer that waits for its pixels counts as in flight: the one thread, which waits for that to end, ends it. */
static void test_waits_and_compares(void **state) {
    (void)state;
    char set[256], layers[256];
    late_t l = {.base = {&late_type}, .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    recaption_options_t o = {.dir = path_of("waits", layers),
                             .kinds = &dense,
                             .n_kinds = 1,
                             .threads = 1,
                             .max_attempts = 3,
                             .quality = QUALITY_DEFAULTS,
                             .watch = {.may_ask = one_at_a_time}};
    recaption_result_t r;
    dataset_t *d;
    late_start(&l, -1);
    assert_int_equal(dataset_open(&d, path_of("set", set)), LENS_OK);
    assert_int_equal(recaption_run(&r, d, &l.base, &o, comm), LENS_OK);
    late_end(&l);
    dataset_close(d);
    assert_int_equal(r.n_shards_written, N_SAMPLES / PER_SHARD);
    check_meta(layers);
}

/* A captioner that breaks ends the work with its message; what it answered stays, and the next run asks for the rest.
 */
static void test_broken_captioner(void **state) {
    (void)state;
    char set[256], layers[256];
    late_t l = {.base = {&late_type}, .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    late_start(&l, 3 * PER_SHARD);
    recaption_options_t o = {.dir = path_of("broken", layers),
                             .kinds = &dense,
                             .n_kinds = 1,
                             .threads = 2,
                             .max_attempts = 1,
                             .quality = QUALITY_DEFAULTS};
    recaption_result_t r;
    dataset_t *d;
    assert_int_equal(dataset_open(&d, path_of("set", set)), LENS_OK);
    assert_int_equal(recaption_run(&r, d, &l.base, &o, comm), LENS_IO);
    assert_non_null(strstr(lens_error(), "service is gone"));
    late_end(&l);
    dataset_close(d);
    const int64_t n_kept = r.n_answers, n_written = r.n_shards_written;
    assert_in_range(n_kept, 3 * PER_SHARD - 16, 3 * PER_SHARD); /* the run ends before lost answers are asked again */
    late_start(&l, -1);
    r = recaption(set, layers, &l.base, 2, 1);
    late_end(&l);
    assert_int_equal(r.n_shards_skipped, n_written);
    assert_int_equal(r.n_answers, N_SAMPLES - n_kept);
    assert_int_equal(r.n_shards_written, N_SAMPLES / PER_SHARD - n_written);
}

static void assert_same_file(const char *a, const char *b, const char *name) {
    char path[320], *one, *other;
    size_t n, n_other;
    snprintf(path, sizeof path, "%s/%s", a, name);
    assert_int_equal(file_read(&one, &n, path, 1 << 26), LENS_OK);
    snprintf(path, sizeof path, "%s/%s", b, name);
    assert_int_equal(file_read(&other, &n_other, path, 1 << 26), LENS_OK);
    assert_int_equal(n, n_other);
    assert_memory_equal(one, other, n);
    free(one);
    free(other);
}

/* A run that breaks again and again goes on with the attempt after the last that was turned down: its layers, and what
 * they tell of earlier attempts, are those of a run that was not disturbed. */
static void test_turned_down_stays(void **state) {
    (void)state;
    char set[256], whole[256], cut[256], name[64];
    late_t l = {.base = {&late_type}, .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    path_of("set", set);
    late_start(&l, -1);
    const recaption_result_t undisturbed = recaption(set, path_of("undisturbed", whole), &l.base, 2, 4);
    late_end(&l);
    recaption_options_t o = {.dir = path_of("disturbed", cut),
                             .kinds = &dense,
                             .n_kinds = 1,
                             .threads = 2,
                             .max_attempts = 4,
                             .quality = QUALITY_DEFAULTS};
    recaption_result_t r;
    int64_t n_retried = 0, n_breaks = 0;
    for (lens_status st = LENS_IO; st == LENS_IO; n_breaks++) {
        dataset_t *d;
        assert_in_range(n_breaks, 0, 50);
        late_start(&l, 90);
        assert_int_equal(dataset_open_partial(&d, set), LENS_OK);
        assert_int_equal(dir_make(cut), LENS_OK);
        assert_int_equal(dataset_add_layers(d, cut), LENS_OK);
        st = recaption_run(&r, d, &l.base, &o, comm);
        late_end(&l);
        dataset_close(d);
        n_retried += r.by_kind[0].n_retried;
    }
    assert_true(n_breaks > 2);
    assert_int_equal(n_retried, undisturbed.by_kind[0].n_retried);
    for (int i = 0; i < N_SAMPLES / PER_SHARD; i++) {
        snprintf(name, sizeof name, "dense/shard-%05d.h5", i);
        assert_same_file(whole, cut, name);
    }
}

/* A picture that does not decode is a rejected sample, not the end. */
static void test_damaged_picture(void **state) {
    (void)state;
    char set[256];
    make_dataset(path_of("damaged", set), 7);
    captioner_t *c = open_describer();
    recaption_result_t r = recaption(set, set, c, 2, 64);
    captioner_close(c);
    assert_int_equal(r.by_kind[0].n_by_reason[QUALITY_PICTURE], 1);
    assert_int_equal(r.by_kind[0].n_by_reason[QUALITY_ACCEPTED], N_SAMPLES - 1);
    /* Who needs no pixels may caption it: it shows where a caption is compared, and is asked for no more. */
    char layers[256];
    late_t l = {.base = {&late_type}, .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    late_start(&l, -1);
    r = recaption(set, path_of("damaged-late", layers), &l.base, 2, 3);
    late_end(&l);
    assert_int_equal(r.by_kind[0].n_by_reason[QUALITY_PICTURE], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unique_and_independent_of_threads),
        cmocka_unit_test(test_resumes),
        cmocka_unit_test(test_late_and_bad_answers),
        cmocka_unit_test(test_waits_and_compares),
        cmocka_unit_test(test_broken_captioner),
        cmocka_unit_test(test_turned_down_stays),
        cmocka_unit_test(test_damaged_picture),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
