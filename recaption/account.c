#include "recaption/account.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "recaption/account_counts.h"

enum { RECENT = 60 };
#define WRITE_S 2.0

/* Where the counts were at a time; one every WRITE_S, so that the ring holds the last two minutes. */
typedef struct {
    double s;
    int64_t n_recorded;
} mark_t;

struct account {
    account_options_t o;
    char *path, *stats_path; /* owned: this rank's file; stats.json */
    double began_s, written_s;
    double budget_usd; /* this rank's part, counted from zero; INFINITY: none */
    mark_t recent[RECENT];
    int64_t n_marks;

    pthread_mutex_t lock; /* guards what follows */
    account_counts_t own; /* this rank's, earlier runs included */
    account_counts_t run; /* this rank's since account_open */
    account_counts_t others;
    double square_usd2; /* sum of squared costs, of this run */
    str_t verdict;
};

/* ---- counting ---- */

static double price_usd(const account_t *a, double tokens_in, double tokens_out) {
    return (tokens_in * a->o.price_in_usd + tokens_out * a->o.price_out_usd) / 1e6;
}

static void answered(void *context, int kind, quality_reason judged, const caption_reply_t *reply) {
    account_t *a = context;
    const double usd = price_usd(a, (double)reply->tokens_in, (double)reply->tokens_out);
    pthread_mutex_lock(&a->lock);
    account_counts_t *both[] = {&a->own, &a->run};
    for (int i = 0; i < 2; i++) {
        both[i]->n_answers++;
        both[i]->n_unbilled += reply->outcome != CAPTION_FAILED && reply->tokens_in + reply->tokens_out == 0;
        both[i]->tokens_in += reply->tokens_in;
        both[i]->tokens_out += reply->tokens_out;
        both[i]->usd += usd;
        both[i]->by_kind[kind][judged]++;
    }
    a->square_usd2 += usd * usd;
    pthread_mutex_unlock(&a->lock);
}

/* Under the lock. */
static double in_flight_usd(const account_t *a, int64_t n_in_flight) {
    const double n = (double)a->run.n_answers, m = n > 0 ? a->run.usd / n : 0;
    if (a->run.n_answers < ACCOUNT_FEW)
        return (double)n_in_flight * fmax(m, price_usd(a, a->o.guess_tokens_in, a->o.guess_tokens_out));
    const double variance = fmax(0, a->square_usd2 / n - m * m);
    return (double)n_in_flight * m + 3 * sqrt((double)n_in_flight * variance);
}

static bool enough(void *context, int64_t n_in_flight) {
    account_t *a = context;
    if (isinf(a->budget_usd)) return false;
    pthread_mutex_lock(&a->lock);
    if (a->verdict.len == 0 && a->run.n_unbilled)
        str_add(&a->verdict,
                "--budget: a server does not say how many tokens it has used, so what is spent is unknown");
    /* One more is about to be asked for. */
    else if (a->verdict.len == 0 && a->run.usd + in_flight_usd(a, n_in_flight + 1) >= a->budget_usd)
        str_addf(&a->verdict,
                 "--budget %.2fUSD: reached with what is in flight; the same command with a larger one "
                 "goes on where this one ended",
                 a->o.budget_usd);
    const bool is_enough = a->verdict.len > 0;
    pthread_mutex_unlock(&a->lock);
    return is_enough;
}

const char *account_verdict(const account_t *a) {
    return a->verdict.len ? a->verdict.s : NULL;
}

/* ---- projection ---- */

typedef struct {
    account_counts_t sum;
    int64_t n_left;
    double rate, rate_recent; /* captions recorded a second, this run's, of all ranks by this rank's share */
    double left_s, left_recent_s, total_usd;
} projection_t;

static double per(double x, double y) {
    return y > 0 ? x / y : 0;
}

/* Under the lock. Other ranks are taken to be as fast as this one: it sees only what they had counted 2 s ago. */
static projection_t project(const account_t *a) {
    projection_t p = {.sum = a->own};
    account_counts_add(&p.sum, &a->others);
    const double now_s = log_clock_s();
    p.rate = per((double)a->run.n_recorded, now_s - a->began_s) * a->o.world;
    if (a->n_marks > 0) {
        const mark_t *oldest = &a->recent[a->n_marks < RECENT ? 0 : a->n_marks % RECENT];
        p.rate_recent = per((double)(a->run.n_recorded - oldest->n_recorded), now_s - oldest->s) * a->o.world;
    }
    p.n_left = p.sum.n_wanted > p.sum.n_recorded ? p.sum.n_wanted - p.sum.n_recorded : 0;
    p.left_s = per((double)p.n_left, p.rate);
    p.left_recent_s = per((double)p.n_left, p.rate_recent);
    p.total_usd = p.sum.usd + per(p.sum.usd, (double)p.sum.n_recorded) * (double)p.n_left;
    return p;
}

static void add_time(str_t *out, double s) {
    if (s < 120)
        str_addf(out, "%.0f s", s);
    else if (s < 7200)
        str_addf(out, "%.0f min", s / 60);
    else if (s < 172800)
        str_addf(out, "%.1f h", s / 3600);
    else
        str_addf(out, "%.1f days", s / 86400);
}

static void add_line(const account_t *a, str_t *line) {
    const projection_t p = project(a);
    str_addf(line, ", %.1f pictures/s, %.1fk tokens in, %.1fk out", p.rate / a->o.n_kinds,
             (double)p.sum.tokens_in / 1e3, (double)p.sum.tokens_out / 1e3);
    if (a->o.price_in_usd > 0 || a->o.price_out_usd > 0) str_addf(line, ", %.4g USD of %.4g", p.sum.usd, p.total_usd);
    const double left_s = p.rate_recent > 0 ? p.left_recent_s : p.left_s;
    if (left_s > 0) {
        str_add(line, ", ");
        add_time(line, left_s);
        str_add(line, " left");
    }
}

/* ---- stats.json ---- */

static void add_endpoints(const account_t *a, str_t *json) {
    captioner_stats_t *s = a->o.captioner->type->stats ? calloc(1, sizeof *s) : NULL;
    if (!s) return;
    a->o.captioner->type->stats(a->o.captioner, s);
    const double seconds = log_clock_s() - a->began_s;
    str_add(json, ",\"endpoints\":[");
    for (int i = 0; i < s->n; i++) {
        const endpoint_stats_t *e = &s->endpoints[i];
        str_add(json, i ? ",{\"name\":" : "{\"name\":");
        str_add_json(json, e->name, strlen(e->name));
        str_addf(json,
                 ",\"answered\":%" PRId64 ",\"failed\":%" PRId64 ",\"rested\":%s,\"answers_per_s\":%.3f"
                 ",\"tokens_in\":%" PRId64 ",\"tokens_out\":%" PRId64
                 ",\"latency_s\":{\"mean\":%.6g,\"p50\":%.6g,\"p95\":%.6g}}",
                 e->answered, e->failed, e->rested ? "true" : "false", per((double)e->answered, seconds), e->tokens_in,
                 e->tokens_out, e->latency_mean_s, e->latency_p50_s, e->latency_p95_s);
    }
    str_add_char(json, ']');
    free(s);
}

static void add_stats(const account_t *a, str_t *json) {
    const projection_t p = project(a);
    str_add_char(json, '{');
    account_counts_json(&p.sum, a->o.kinds, a->o.n_kinds, json);
    str_addf(json,
             ",\"captions_per_s\":%.3f,\"captions_per_s_recent\":%.3f,\"pictures_per_s\":%.3f,\"projection\":"
             "{\"captions_left\":%" PRId64 ",\"seconds_left\":%.0f,\"seconds_left_recent\":%.0f,\"total_usd\":%.6f}",
             p.rate, p.rate_recent, p.rate / a->o.n_kinds, p.n_left, p.left_s, p.left_recent_s, p.total_usd);
    if (a->o.budget_usd > 0) str_addf(json, ",\"budget_usd\":%.6f", a->o.budget_usd);
    add_endpoints(a, json);
    str_add(json, "}\n");
}

/* ---- files of ranks ---- */

static bool is_account(const char *name) {
    return str_starts_with(name, "account-") && str_ends_with(name, ".json");
}

/* Adds up the files of all ranks, or of all but this one. */
static lens_status sum_files(const account_t *a, bool own, account_counts_t *sum) {
    str_t folder = {0}, path = {0};
    char **names = NULL;
    int64_t n = 0;
    *sum = (account_counts_t){0};
    str_addf(&folder, "%s/.recaption", a->o.dir);
    lens_status st = str_status(&folder);
    if (st == LENS_OK && file_is_dir(folder.s)) st = dir_list(&names, &n, folder.s);
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        if (!is_account(names[i])) continue;
        str_clear(&path);
        str_addf(&path, "%s/%s", folder.s, names[i]);
        account_counts_t one;
        st = str_status(&path);
        if (st != LENS_OK || (!own && strcmp(path.s, a->path) == 0)) continue;
        st = account_counts_read(&one, path.s, a->o.kinds, a->o.n_kinds);
        if (st == LENS_OK) account_counts_add(sum, &one);
    }
    dir_list_free(names, n);
    str_free(&folder);
    str_free(&path);
    return st;
}

static lens_status write_json(const char *path, const str_t *json) {
    LENS_TRY(str_status(json));
    return file_write(path, json->s, json->len);
}

/* Nothing is written under the lock, which those who submit wait for. */
static lens_status write_files(account_t *a) {
    str_t own = {0}, all = {0};
    account_counts_t others = {0};
    if (a->o.rank == 0) LENS_TRY(sum_files(a, false, &others));
    pthread_mutex_lock(&a->lock);
    a->others = others;
    a->recent[a->n_marks++ % RECENT] = (mark_t){log_clock_s(), a->run.n_recorded};
    str_add_char(&own, '{');
    account_counts_json(&a->own, a->o.kinds, a->o.n_kinds, &own);
    str_add(&own, "}\n");
    if (a->o.rank == 0) add_stats(a, &all);
    pthread_mutex_unlock(&a->lock);
    lens_status st = write_json(a->path, &own);
    if (st == LENS_OK && a->o.rank == 0) st = write_json(a->stats_path, &all);
    a->written_s = log_clock_s();
    str_free(&own);
    str_free(&all);
    return st;
}

static void set_recorded(account_t *a, const recaption_result_t *r, double seconds) {
    pthread_mutex_lock(&a->lock);
    const int64_t more = r->n_answers - a->run.n_recorded;
    a->own.seconds += seconds - a->run.seconds;
    a->run.seconds = seconds;
    a->own.n_recorded += more;
    a->run.n_recorded += more;
    pthread_mutex_unlock(&a->lock);
}

static lens_status look(void *context, const recaption_result_t *so_far, bool last, str_t *line) {
    account_t *a = context;
    set_recorded(a, so_far, log_clock_s() - a->began_s);
    pthread_mutex_lock(&a->lock);
    add_line(a, line);
    pthread_mutex_unlock(&a->lock);
    return last || log_clock_s() - a->written_s > WRITE_S ? write_files(a) : LENS_OK;
}

/* Rank 0, when all have left: the files of ranks go where nothing is left to be done. */
static lens_status ended(void *context, const recaption_result_t *all) {
    account_t *a = context;
    LENS_TRY(write_files(a));
    if (all->n_shards_left > 0 || all->stopped) return LENS_OK;
    str_t path = {0};
    char **names = NULL;
    int64_t n = 0;
    str_addf(&path, "%s/.recaption", a->o.dir);
    LENS_TRY(str_status(&path));
    lens_status st = dir_list(&names, &n, path.s);
    const size_t n_folder = path.len;
    for (int64_t i = 0; st == LENS_OK && i < n; i++) {
        path.len = n_folder;
        str_addf(&path, "/%s", names[i]);
        st = str_status(&path);
        if (st == LENS_OK && is_account(names[i]) && unlink(path.s) != 0)
            st = lens_fail(LENS_IO, "%s: cannot remove", path.s);
    }
    dir_list_free(names, n);
    str_free(&path);
    return st;
}

recaption_watch_t account_watch(account_t *a) {
    return (recaption_watch_t){.answered = answered, .enough = enough, .look = look, .ended = ended, .context = a};
}

/* ---- opening ---- */

static lens_status open_with(account_t *a) {
    str_t path = {0};
    account_counts_t all;
    str_addf(&path, "%s/.recaption/account-%d.json", a->o.dir, a->o.rank);
    LENS_TRY(str_status(&path));
    a->path = path.s; /* moves */
    path = (str_t){0};
    str_addf(&path, "%s/stats.json", a->o.dir);
    LENS_TRY(str_status(&path));
    a->stats_path = path.s; /* moves */
    LENS_TRY(sum_files(a, true, &all));
    LENS_TRY(sum_files(a, false, &a->others));
    if (file_exists(a->path)) LENS_TRY(account_counts_read(&a->own, a->path, a->o.kinds, a->o.n_kinds));
    /* What was wanted at the beginning: shards that were written since then are in n_recorded too. */
    if (a->o.rank == 0 && all.n_wanted < a->o.n_wanted) a->own.n_wanted += a->o.n_wanted - all.n_wanted;
    if (a->o.budget_usd > 0) a->budget_usd = fmax(0, a->o.budget_usd - all.usd) / a->o.world;
    return LENS_OK;
}

lens_status account_open(account_t **out, const account_options_t *o) {
    account_t *a = calloc(1, sizeof *a);
    *out = NULL;
    if (!a) return lens_fail(LENS_MEMORY, "out of memory for the account");
    a->o = *o;
    a->began_s = log_clock_s();
    a->budget_usd = INFINITY;
    pthread_mutex_init(&a->lock, NULL);
    lens_status st = LENS_OK;
    if (o->budget_usd > 0 && o->price_in_usd + o->price_out_usd <= 0)
        st = lens_fail(LENS_ARGUMENT, "--budget: expected --price-in and --price-out, USD per million tokens");
    if (st == LENS_OK) st = open_with(a);
    if (st == LENS_OK)
        *out = a;
    else
        account_free(a);
    return st;
}

void account_free(account_t *a) {
    if (!a) return;
    pthread_mutex_destroy(&a->lock);
    str_free(&a->verdict);
    free(a->path);
    free(a->stats_path);
    free(a);
}

lens_status account_parse_usd(double *usd, const char *text) {
    char *end;
    *usd = strtod(text, &end);
    const bool is_number = end != text && isfinite(*usd) && *usd > 0;
    while (*end == ' ') end++;
    if (is_number && (*end == '\0' || strcasecmp(end, "usd") == 0)) return LENS_OK;
    return lens_fail(LENS_ARGUMENT, "--budget %s: expected a positive amount of US dollars, as 50USD", text);
}
