/* `lens recaption`: writes caption layers for a dataset. */
#include "base/command.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "data/dataset_names.h"
#include "recaption/account.h"
#include "recaption/decisions.h"
#include "recaption/openai_batch.h"
#include "recaption/recaption.h"

typedef struct {
    int64_t min_words, max_words, threads, attempts, limit;
    char *captioner, *kinds, *out, *apply, *gate, *budget;
    double price_in_usd, price_out_usd;
    bool json, only_rejected, restart, dry_run, gate_list;
    openai_values_t openai;
    openai_batch_values_t batch;
} values_t;

#define AT(field) .offset = offsetof(values_t, field)
static const option_t rows[] = {
    {.name = "captioner",
     .type = OPTION_STRING,
     AT(captioner),
     .initial = "describe",
     .choices = "NAME",
     .help = "who writes: describe (built in, needs no model), or servers: URL[,URL...], @FILE of URLs"},
    {.name = "kinds",
     .type = OPTION_STRING,
     AT(kinds),
     .initial = "dense",
     .choices = "KIND[=STYLE],...",
     .help = "layers to write, each with its style: detailed, brief, tags, or a prompt's file"},
    {.name = "out",
     .letter = 'o',
     .type = OPTION_STRING,
     AT(out),
     .choices = "DIR",
     .help = "folder that gets the layers (default: the dataset's own)"},
    {.name = "min-words",
     .type = OPTION_INT,
     AT(min_words),
     .initial = "0",
     .min = 0,
     .max = 10000,
     .help = "fewest words of a caption; 0: as the style has it (detailed: 40)"},
    {.name = "max-words",
     .type = OPTION_INT,
     AT(max_words),
     .initial = "0",
     .min = 0,
     .max = 10000,
     .help = "most words of a caption; 0: as the style has it (detailed: 120)"},
    {.name = "attempts",
     .type = OPTION_INT,
     AT(attempts),
     .initial = "0",
     .min = 0,
     .max = 1000,
     .help = "times one picture is asked for before it is rejected; 0: what suits the captioner"},
    {.name = "threads",
     .type = OPTION_INT,
     AT(threads),
     .initial = "0",
     .min = 0,
     .max = 256,
     .help = "threads that read pictures, of each process; 0: one a processor that it may use"},
    {.name = "limit",
     .type = OPTION_INT,
     AT(limit),
     .initial = "0",
     .min = 0,
     .max = 1e15,
     .unit = "samples",
     .help = "a trial: only the first so many; kept for the whole run; 0: all"},
    {.name = "only-rejected",
     .type = OPTION_FLAG,
     AT(only_rejected),
     .help = "ask again for what the layers have rejected, and write these layers anew"},
    {.name = "apply",
     .type = OPTION_STRING,
     AT(apply),
     .choices = "FILE",
     .help = "JSON lines of decisions, as lens review exports them: changes layers, asks nobody"},
    {.name = "price-in",
     .type = OPTION_FLOAT,
     AT(price_in_usd),
     .initial = "0",
     .max = 1e6,
     .unit = "USD",
     .help = "price of a million tokens that are sent"},
    {.name = "price-out",
     .type = OPTION_FLOAT,
     AT(price_out_usd),
     .initial = "0",
     .max = 1e6,
     .unit = "USD",
     .help = "price of a million tokens that come back"},
    {.name = "budget",
     .type = OPTION_STRING,
     AT(budget),
     .choices = "50USD",
     .help = "stop before more is spent in all, what interrupted runs have spent counted"},
    {.name = "restart", .type = OPTION_FLAG, AT(restart), .help = "drop what an earlier run began and did not finish"},
    {.name = "dry-run", .type = OPTION_FLAG, AT(dry_run), .help = "tell what would be asked; write nothing"},
    {.name = "gate",
     .type = OPTION_STRING,
     AT(gate),
     .choices = "FILE.yaml",
     .help = "rules of the quality gate; what it leaves out is as --gate-list prints"},
    {.name = "gate-list", .type = OPTION_FLAG, AT(gate_list), .help = "print the gate's rules as such a file, and end"},
    {.name = "json", .type = OPTION_FLAG, AT(json), .help = "summary as one JSON object"},
    OPENAI_OPTIONS(offsetof(values_t, openai)),
    OPENAI_BATCH_OPTIONS(offsetof(values_t, batch)),
};
#undef AT

/* ---- kinds ---- */

static const struct {
    const char *style;
    int64_t min_words, max_words;
} styles[] = {{"detailed", 40, 120}, {"brief", 4, 40}, {"tags", 3, 80}};
enum { N_STYLES = sizeof styles / sizeof styles[0] };

static lens_status set_words(caption_kind_t *k, const values_t *v) {
    int64_t min = styles[0].min_words, max = styles[0].max_words;
    for (int i = 0; i < N_STYLES; i++) {
        if (strcmp(styles[i].style, k->style) != 0) continue;
        min = styles[i].min_words;
        max = styles[i].max_words;
    }
    k->min_words = v->min_words ? v->min_words : min;
    k->max_words = v->max_words ? v->max_words : max;
    if (k->min_words <= k->max_words) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "kind %s: --min-words %" PRId64 " is above --max-words %" PRId64, k->name,
                     k->min_words, k->max_words);
}

/* The style of a kind that names none: its own name where that is a style. */
static const char *style_of(const char *kind) {
    for (int i = 0; i < N_STYLES; i++)
        if (strcmp(styles[i].style, kind) == 0) return styles[i].style;
    return styles[0].style;
}

/* Splits `list` in place; the kinds point into it. */
static lens_status parse_kinds(caption_kind_t *kinds, int *n, char *list, const values_t *v) {
    *n = 0;
    for (char *at = list, *next; at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        if (*n == CAPTION_MAX_KINDS) return lens_fail(LENS_ARGUMENT, "--kinds: more than %d kinds", CAPTION_MAX_KINDS);
        char *equals = strchr(at, '=');
        if (equals) *equals++ = '\0';
        if (!*at || (equals && !*equals))
            return lens_fail(LENS_ARGUMENT, "--kinds %s: expected KIND or KIND=STYLE, separated by commas", v->kinds);
        if (!kind_name_valid(at))
            return lens_fail(LENS_ARGUMENT,
                             "--kinds: \"%s\": expected a name of a to z, 0 to 9 and -, and neither base nor alt", at);
        for (int k = 0; k < *n; k++)
            if (strcmp(kinds[k].name, at) == 0) return lens_fail(LENS_ARGUMENT, "--kinds: %s is there twice", at);
        kinds[*n] = (caption_kind_t){.name = at, .style = equals ? equals : style_of(at)};
        LENS_TRY(set_words(&kinds[(*n)++], v));
    }
    return LENS_OK;
}

/* ---- what is printed ---- */

static void add_counts(str_t *s, const recaption_counts_t *c) {
    const int64_t accepted = c->n_by_reason[QUALITY_ACCEPTED];
    str_addf(s, "\"captions\":%" PRId64 ",\"rejected\":{", accepted);
    const char *comma = "";
    for (int i = QUALITY_ACCEPTED + 1; i < QUALITY_N; i++) {
        if (!c->n_by_reason[i]) continue;
        str_addf(s, "%s\"%s\":%" PRId64, comma, quality_name((quality_reason)i), c->n_by_reason[i]);
        comma = ",";
    }
    str_addf(s, "},\"retried\":%" PRId64 ",\"mean_words\":%.1f", c->n_retried,
             accepted ? (double)c->n_words / (double)accepted : 0);
}

static void add_batch(str_t *s, const openai_batch_counts_t *b) {
    str_addf(s,
             "\"batch\":{\"results\":%" PRId64 ",\"taken\":%" PRId64 ",\"failed\":%" PRId64 ",\"doubled\":%" PRId64
             ",\"torn\":%" PRId64 ",\"requests\":%" PRId64 ",\"files\":%" PRId64 "}",
             b->in.n_lines, b->n_taken, b->in.n_failed, b->in.n_doubled, b->in.n_torn, b->n_requests, b->n_files);
}

/* batch: NULL where there are no batch files. */
static lens_status print_json(const recaption_result_t *r, const recaption_options_t *o,
                              const openai_batch_counts_t *batch) {
    str_t s = {0};
    str_add(&s, "{\"dir\":");
    str_add_json(&s, o->dir, strlen(o->dir));
    str_addf(&s,
             ",\"shards_written\":%" PRId64 ",\"shards_skipped\":%" PRId64 ",\"shards_left\":%" PRId64
             ",\"samples\":%" PRId64 ",\"answers\":%" PRId64 ",\"kinds\":{",
             r->n_shards_written, r->n_shards_skipped, r->n_shards_left, r->n_samples, r->n_answers);
    for (int k = 0; k < o->n_kinds; k++) {
        str_addf(&s, "%s\"%s\":{", k ? "," : "", o->kinds[k].name);
        add_counts(&s, &r->by_kind[k]);
        str_add_char(&s, '}');
    }
    str_addf(&s, "},");
    if (batch) {
        add_batch(&s, batch);
        str_add_char(&s, ',');
    }
    str_addf(&s, "\"seconds\":%.3f,\"captions_per_s\":%.1f}", r->seconds,
             r->seconds > 0 ? (double)r->n_answers / r->seconds : 0);
    lens_status st = str_status(&s);
    if (st == LENS_OK) puts(str_text(&s));
    str_free(&s);
    return st;
}

static void print_kind(const recaption_result_t *r, const recaption_counts_t *c, const char *dir, const char *kind) {
    const int64_t accepted = c->n_by_reason[QUALITY_ACCEPTED];
    printf("%s/%s: %" PRId64 " captions in %" PRId64 " shards", dir, kind, accepted, r->n_shards_written);
    if (r->n_shards_skipped) printf(", %" PRId64 " shards were there already", r->n_shards_skipped);
    putchar('\n');
    for (int i = QUALITY_ACCEPTED + 1; i < QUALITY_N; i++)
        if (c->n_by_reason[i])
            printf("rejected: %" PRId64 " %s (%s)\n", c->n_by_reason[i], quality_name((quality_reason)i),
                   quality_meaning((quality_reason)i));
    if (accepted)
        printf("mean %.1f words, %" PRId64 " asked for more than once\n", (double)c->n_words / (double)accepted,
               c->n_retried);
}

static void print_batch(const openai_batch_counts_t *b) {
    if (b->in.n_lines)
        printf("batch results: %" PRId64 " lines, %" PRId64 " taken, %" PRId64 " requests without an answer, %" PRId64
               " doubled, %" PRId64 " cut off\n",
               b->in.n_lines, b->n_taken, b->in.n_failed, b->in.n_doubled, b->in.n_torn);
    if (b->in.n_failed) printf("the first without an answer: %s\n", str_text(&b->in.failure));
    if (b->n_files) printf("batch requests: %" PRId64 " in %" PRId64 " files\n", b->n_requests, b->n_files);
}

static void print_summary(const recaption_result_t *r, const recaption_options_t *o,
                          const openai_batch_counts_t *batch) {
    for (int k = 0; k < o->n_kinds; k++) print_kind(r, &r->by_kind[k], o->dir, o->kinds[k].name);
    if (r->n_shards_left)
        printf("%" PRId64 " shards are begun: what was answered is in %s/.recaption\n", r->n_shards_left, o->dir);
    if (batch) print_batch(batch);
    printf("%" PRId64 " answers in %.1f s, %.0f captions/s\n", r->n_answers, r->seconds,
           r->seconds > 0 ? (double)r->n_answers / r->seconds : 0);
}

/* ---- the command ---- */

/* The processors that this process may use, shared with the ranks that may use the same. */
static int default_threads(const comm_t *comm) {
    cpu_set_t mine;
    int n = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    n /= comm_core_ranks(comm);
    return n < 1 ? 1 : n > 256 ? 256 : n;
}

static void on_signal(int number) {
    (void)number;
    recaption_stop();
}

/* A second signal kills, as signals usually do. */
static void install_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Captions that are missing; with --only-rejected all that there are. */
static int64_t count_open(const dataset_t *d, const recaption_options_t *o) {
    int64_t n_open = 0;
    for (int64_t s = 0; s < dataset_n_shards(d); s++) {
        int64_t n = dataset_shard_n_samples(d, s);
        if (o->limit > 0 && dataset_shard_begin(d, s) + n > o->limit) n = o->limit - dataset_shard_begin(d, s);
        for (int k = 0; k < o->n_kinds && n > 0; k++)
            if (layer_shard_exists(d, s, o->dir, o->kinds[k].name) == o->only_rejected) n_open += n;
    }
    return n_open;
}

static lens_status dry_run(const dataset_t *d, captioner_t *c, const recaption_options_t *o) {
    const int64_t n_open = count_open(d, o), n_samples = dataset_n_samples(d);
    printf("%" PRId64 " samples, %d kinds: %s%" PRId64 " captions to be asked for\n", n_samples, o->n_kinds,
           o->only_rejected ? "at most " : "", n_open);
    str_t alt = {0}, meta = {0}, key = {0}, picture = {0}, text = {0};
    lens_status st = LENS_OK;
    if (n_samples == 0 || !c->type->show) return LENS_OK;
    LENS_GO(dataset_caption(d, 0, "alt", &alt));
    LENS_GO(dataset_meta(d, 0, &meta));
    LENS_GO(dataset_key(d, 0, &key));
    LENS_GO(dataset_image(d, 0, &picture));
    for (int k = 0; k < o->n_kinds; k++) {
        caption_shared_t shared = {0};
        uint64_t content;
        LENS_GO(dataset_image_hash(d, 0, &content));
        const caption_request_t q = {.key = str_text(&key),
                                     .kind = k,
                                     .picture = &picture,
                                     .content = content,
                                     .seed = caption_seed(content, o->kinds[k].name, 0),
                                     .alt = str_text(&alt),
                                     .meta = str_text(&meta),
                                     .shared = &shared};
        str_clear(&text);
        st = c->type->show(c, &q, &text);
        if (shared.free) shared.free(shared.made);
        LENS_GO(st);
        printf("---- %s of %s ----\n%s\n", o->kinds[k].name, str_text(&key), str_text(&text));
    }
done:
    str_free(&alt);
    str_free(&meta);
    str_free(&key);
    str_free(&picture);
    str_free(&text);
    return st;
}

/* A prompt and a picture of 1024 px are about 1,500 tokens to the usual models. */
static lens_status open_account(account_t **out, const values_t *v, const dataset_t *d, const recaption_options_t *o,
                                captioner_t *c, const comm_t *comm) {
    account_options_t a = {.dir = o->dir,
                           .kinds = o->kinds,
                           .n_kinds = o->n_kinds,
                           .captioner = c,
                           .rank = comm_rank(comm),
                           .world = comm_world(comm),
                           .price_in_usd = v->price_in_usd,
                           .price_out_usd = v->price_out_usd,
                           .guess_tokens_in = 1500,
                           .guess_tokens_out = v->openai.max_tokens ? (double)v->openai.max_tokens : 512,
                           .n_wanted = count_open(d, o)};
    if (v->budget) LENS_TRY(account_parse_usd(&a.budget_usd, v->budget));
    return account_open(out, &a);
}

static bool has_batch(const values_t *v) {
    return v->batch.in || v->batch.out;
}

static lens_status tell(const values_t *v, const recaption_result_t *result, const recaption_options_t *o,
                        captioner_t *c, const char *verdict) {
    openai_batch_counts_t batch;
    if (has_batch(v)) batch = openai_batch_counts(c);
    if (v->json)
        LENS_TRY(print_json(result, o, has_batch(v) ? &batch : NULL));
    else
        print_summary(result, o, has_batch(v) ? &batch : NULL);
    if (!result->stopped) return LENS_OK;
    return lens_fail(LENS_STATE, "stopped%s%s", verdict ? ": " : "; the same command goes on where this one ended",
                     verdict ? verdict : "");
}

/* What costs nothing, such as the describer, has no account. */
static lens_status ask(const values_t *v, const dataset_t *d, recaption_options_t *o, captioner_t *c, comm_t *comm) {
    account_t *account = NULL;
    recaption_result_t result = {0};
    lens_status st = LENS_OK;
    if (c->type->stats || v->budget) st = open_account(&account, v, d, o, c, comm);
    st = comm_agree(comm, st, "set-up");
    if (st == LENS_OK) {
        install_signals();
        if (account) o->watch = account_watch(account);
        st = recaption_run(&result, d, c, o, comm);
    }
    if (st == LENS_OK && comm_rank(comm) == 0) st = tell(v, &result, o, c, account ? account_verdict(account) : NULL);
    account_free(account);
    return st;
}

static lens_status open_captioner(captioner_t **out, const values_t *v, const captioner_options_t *options,
                                  const dataset_t *d, const comm_t *comm) {
    *out = NULL;
    if (!has_batch(v)) return captioner_open(out, options);
    if (strcmp(v->captioner, "describe") != 0)
        return lens_fail(LENS_ARGUMENT, "--batch-out and --batch-in ask no server: leave out --captioner");
    if (v->budget) return lens_fail(LENS_ARGUMENT, "--budget: not with batch files, which are paid elsewhere");
    if (comm_world(comm) > 1)
        return lens_fail(LENS_ARGUMENT, "batch files are for one process, not %d ranks", comm_world(comm));
    return openai_batch_open(out, options, &v->batch, d);
}

static lens_status ask_all(const values_t *v, const dataset_t *d, recaption_options_t *o, comm_t *comm) {
    const captioner_options_t options = {.captioner = v->captioner,
                                         .kinds = o->kinds,
                                         .n_kinds = o->n_kinds,
                                         .max_in_flight = v->openai.concurrency,
                                         .own = &v->openai};
    captioner_t *captioner = NULL;
    lens_status st = comm_agree(comm, open_captioner(&captioner, v, &options, d, comm), "set-up");
    if (st == LENS_OK && o->max_attempts == 0) o->max_attempts = captioner->type->attempts;
    if (st == LENS_OK && v->dry_run)
        st = comm_rank(comm) == 0 ? dry_run(d, captioner, o) : LENS_OK;
    else if (st == LENS_OK)
        st = ask(v, d, o, captioner, comm);
    captioner_close(captioner);
    return st;
}

static lens_status load_gate(quality_options_t *o, const values_t *v) {
    *o = QUALITY_DEFAULTS;
    return v->gate ? quality_options_load(o, v->gate) : LENS_OK;
}

static lens_status print_gate(const values_t *v) {
    quality_options_t o;
    str_t yaml = {0};
    LENS_TRY(load_gate(&o, v));
    lens_status st = quality_options_write(&yaml, &o);
    if (st == LENS_OK) fputs(str_text(&yaml), stdout);
    str_free(&yaml);
    return st;
}

static lens_status open_set(dataset_t **out, const char *set, const values_t *v) {
    LENS_TRY(dataset_open_partial(out, set));
    if (!v->out) return LENS_OK;
    LENS_TRY(dir_make(v->out));
    return dataset_add_layers(*out, v->out);
}

static lens_status run_with(comm_t *comm, const values_t *v, const char *set) {
    caption_kind_t kinds[CAPTION_MAX_KINDS];
    char *list = strdup(v->kinds);
    dataset_t *d = NULL;
    decisions_result_t decided;
    lens_status st = LENS_OK;
    recaption_options_t o = {.dir = v->out ? v->out : set,
                             .kinds = kinds,
                             .threads = v->threads ? (int)v->threads : default_threads(comm),
                             .max_attempts = (int)v->attempts,
                             .limit = v->limit,
                             .only_rejected = v->only_rejected,
                             .restart = v->restart};
    if (!list) LENS_GO(lens_fail(LENS_MEMORY, "out of memory for --kinds"));
    LENS_GO(comm_agree(comm, parse_kinds(kinds, &o.n_kinds, list, v), "set-up"));
    LENS_GO(comm_agree(comm, load_gate(&o.quality, v), "set-up"));
    LENS_GO(comm_agree(comm, open_set(&d, set, v), "set-up"));
    if (v->apply && comm_world(comm) > 1)
        LENS_GO(lens_fail(LENS_ARGUMENT, "--apply is for one process, not %d ranks", comm_world(comm)));
    if (v->apply)
        LENS_GO(decisions_apply(&decided, d, o.dir, v->apply));
    else
        LENS_GO(ask_all(v, d, &o, comm));
done:
    dataset_close(d);
    free(list);
    return st;
}

static lens_status run(const void *values, int n_args, char **args) {
    const values_t *v = values;
    if (v->gate_list) return print_gate(v);
    if (n_args != 1) return lens_fail(LENS_ARGUMENT, "expected one DATASET, got %d arguments", n_args);
    comm_t *comm;
    LENS_TRY(comm_init(&comm));
    log_init(comm_rank(comm), comm_world(comm));
    lens_status st = run_with(comm, v, args[0]);
    comm_free(comm);
    return st;
}

const command_t cmd_recaption = {
    .name = "recaption",
    .usage = "DATASET",
    .summary = "write caption layers for a dataset",
    .details =
        "For each shard without the layers, every picture is shown to the captioner and its answer passes a quality\n"
        "gate. What is rejected is kept with its reason in the layer's metadata, and its text is empty. Pictures are\n"
        "read, never copied or changed.\n"
        "\n"
        "Each answer is kept in DIR/.recaption at once; a run that was cut short goes on where it stopped when the\n"
        "same command is given again. Under mpirun or srun the ranks share the shards. The result does not depend on\n"
        "threads, ranks or interruptions. SIGINT and SIGTERM end the run after what is in flight, or 30 s.",
    .options = {rows, sizeof rows / sizeof rows[0]},
    .values_size = sizeof(values_t),
    .run = run,
};
