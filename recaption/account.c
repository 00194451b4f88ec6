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
#include "recaption/account_endpoints.h"

enum { RECENT = 60, REASONS_SHOWN = 3 };
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
    int64_t n_others_before;      /* captions that other ranks had recorded before this run */
    captioner_stats_t *endpoints; /* owned, NULL where there are none; rank 0: summed over ranks when last written */
    str_t endpoints_line;

    pthread_mutex_t lock; /* guards what follows */
    account_counts_t own; /* this rank's, earlier runs included */
    account_counts_t run; /* this rank's since account_open */
    account_counts_t others;
    double square_usd2, most_usd; /* sum of squared costs of answers, and the greatest cost, of this run */
    str_t verdict;
};

/* ---- counting ---- */

static double price_usd(const account_t *a, double tokens_in, double tokens_out) {
    return (tokens_in * a->o.price_in_usd + tokens_out * a->o.price_out_usd) / 1e6;
}

static void answered(void *context, int kind, quality_reason judged, const caption_reply_t *reply) {
    account_t *a = context;
    const double usd = price_usd(a, (double)reply->tokens_in, (double)reply->tokens_out);
    /* What a filter refuses before a model has seen it is told without tokens, and costs none. */
    const bool has_caption = reply->outcome == CAPTION_TEXT || reply->outcome == CAPTION_TRUNCATED;
    pthread_mutex_lock(&a->lock);
    account_counts_t *both[] = {&a->own, &a->run};
    for (int i = 0; i < 2; i++) {
        both[i]->n_answers++;
        both[i]->n_unbilled += has_caption && reply->tokens_in + reply->tokens_out == 0;
        both[i]->tokens_in += reply->tokens_in;
        both[i]->tokens_out += reply->tokens_out;
        both[i]->usd += usd;
        both[i]->by_kind[kind][judged]++;
    }
    a->square_usd2 += usd * usd;
    a->most_usd = fmax(a->most_usd, usd);
    pthread_mutex_unlock(&a->lock);
}

/* Under the lock. One answer may cost far more than the mean, where a caption runs to the token limit. */
static double in_flight_usd(const account_t *a, int64_t n_in_flight) {
    const double n = (double)a->run.n_answers, m = n > 0 ? a->run.usd / n : 0, k = (double)n_in_flight;
    if (a->run.n_answers < ACCOUNT_FEW)
        return k * fmax(a->most_usd, price_usd(a, a->o.guess_tokens_in, a->o.guess_tokens_out));
    const double variance = fmax(0, a->square_usd2 / n - m * m);
    return fmax(k * m + 3 * sqrt(k * variance), (k - 1) * m + a->most_usd);
}

static void add_verdict(account_t *a, bool unbilled) {
    if (unbilled)
        str_add(&a->verdict,
                "--budget: a server does not say how many tokens it has used, so what is spent is unknown");
    else
        str_addf(&a->verdict,
                 "--budget %.2fUSD: the next answer could exceed it; the same command with a larger one "
                 "goes on where this one ended",
                 a->o.budget_usd);
}

static recaption_may may_ask(void *context, int64_t n_in_flight) {
    account_t *a = context;
    recaption_may answer = RECAPTION_ASK;
    if (isinf(a->budget_usd)) return answer;
    pthread_mutex_lock(&a->lock);
    const double left_usd = a->budget_usd - a->run.usd;
    const bool is_unknown = a->run.n_unbilled > 0;
    /* One more is about to be asked for. What is in flight may turn out cheaper than it is held to be, so the end is
     * reached only where there would be nothing else. */
    if (a->verdict.len > 0 || is_unknown || in_flight_usd(a, 1) >= left_usd)
        answer = RECAPTION_ENOUGH;
    else if (in_flight_usd(a, n_in_flight + 1) >= left_usd)
        answer = RECAPTION_WAIT;
    if (answer == RECAPTION_ENOUGH && a->verdict.len == 0) add_verdict(a, is_unknown);
    a->own.n_ended = answer == RECAPTION_ENOUGH;
    pthread_mutex_unlock(&a->lock);
    return answer;
}

const char *account_verdict(const account_t *a) {
    return a->verdict.len ? a->verdict.s : NULL;
}

/* ---- projection ---- */

typedef struct {
    account_counts_t sum;
    int64_t n_left;
    double rate, rate_recent; /* captions recorded a second, this run's, of all ranks */
    double left_s, left_recent_s, total_usd;
} projection_t;

static double per(double x, double y) {
    return y > 0 ? x / y : 0;
}

/* Captions of this run, of all ranks: rank 0 sees what the others had counted 2 s ago. Under the lock. */
static int64_t n_recorded(const account_t *a) {
    return a->run.n_recorded + a->others.n_recorded - a->n_others_before;
}

/* Under the lock. */
static projection_t project(const account_t *a) {
    projection_t p = {.sum = a->own};
    account_counts_add(&p.sum, &a->others);
    const double now_s = log_clock_s();
    p.rate = per((double)n_recorded(a), now_s - a->began_s);
    if (a->n_marks > 0) {
        const mark_t *oldest = &a->recent[a->n_marks < RECENT ? 0 : a->n_marks % RECENT];
        p.rate_recent = per((double)(n_recorded(a) - oldest->n_recorded), now_s - oldest->s);
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

static void add_tokens(str_t *out, int64_t n) {
    if (n < 1000000)
        str_addf(out, "%.1fk", (double)n / 1e3);
    else
        str_addf(out, "%.2fM", (double)n / 1e6);
}

/* Shares of the answers, the most frequent reasons first. */
static void add_turned_down(const account_counts_t *sum, str_t *line) {
    int64_t by_reason[QUALITY_N] = {0}, n = 0;
    for (int r = QUALITY_ACCEPTED + 1; r < QUALITY_N; r++) {
        for (int k = 0; k < CAPTION_MAX_KINDS; k++) by_reason[r] += sum->by_kind[k][r];
        n += by_reason[r];
    }
    if (n == 0) return;
    str_addf(line, ", %.1f %% turned down", 100 * per((double)n, (double)sum->n_answers));
    for (int i = 0; i < REASONS_SHOWN; i++) {
        int most = QUALITY_ACCEPTED;
        for (int r = QUALITY_ACCEPTED + 1; r < QUALITY_N; r++)
            if (by_reason[r] > by_reason[most]) most = r;
        if (by_reason[most] == 0) break;
        str_addf(line, "%s%s %" PRId64, i ? ", " : " (", quality_name((quality_reason)most), by_reason[most]);
        by_reason[most] = 0;
    }
    str_add_char(line, ')');
}

/* What matters most stands first: a narrow terminal shows only the beginning. */
static void add_line(const account_t *a, str_t *line) {
    const projection_t p = project(a);
    const double left_s = p.rate_recent > 0 ? p.left_recent_s : p.left_s;
    str_addf(line, " of %" PRId64 ", %.1f pictures/s", p.sum.n_wanted, p.rate / a->o.n_kinds);
    if (left_s > 0) {
        str_add(line, ", ");
        add_time(line, left_s);
        str_add(line, " left");
    }
    if (a->o.price_in_usd > 0 || a->o.price_out_usd > 0) str_addf(line, ", %.4g USD of %.4g", p.sum.usd, p.total_usd);
    str_add(line, ", tokens ");
    add_tokens(line, p.sum.tokens_in);
    str_add(line, " in, ");
    add_tokens(line, p.sum.tokens_out);
    str_add(line, " out");
    add_turned_down(&p.sum, line);
    str_add(line, str_text(&a->endpoints_line));
}

/* ---- stats.json ---- */

static void add_stats(const account_t *a, str_t *json) {
    const projection_t p = project(a);
    str_add_char(json, '{');
    account_counts_json(&p.sum, a->o.kinds, a->o.n_kinds, json);
    str_addf(json,
             ",\"captions_per_s\":%.3f,\"captions_per_s_recent\":%.3f,\"pictures_per_s\":%.3f,\"projection\":"
             "{\"captions_left\":%" PRId64 ",\"seconds_left\":%.0f,\"seconds_left_recent\":%.0f,\"total_usd\":%.6f}",
             p.rate, p.rate_recent, p.rate / a->o.n_kinds, p.n_left, p.left_s, p.left_recent_s, p.total_usd);
    if (a->o.budget_usd > 0) str_addf(json, ",\"budget_usd\":%.6f", a->o.budget_usd);
    if (a->endpoints) {
        str_add(json, ",\"endpoints\":");
        account_endpoints_json(a->endpoints, log_clock_s() - a->began_s, json);
    }
    str_add(json, "}\n");
}

/* ---- files of ranks ---- */

/* The rank whose file that is; -1: none's. */
static long rank_of(const char *name) {
    const char *digits = name + strlen("account-");
    char *end;
    if (!str_starts_with(name, "account-") || *digits < '0' || *digits > '9') return -1;
    const long rank = strtol(digits, &end, 10);
    return strcmp(end, ".json") == 0 ? rank : -1;
}

/* Adds a rank's file; endpoints may be NULL. A rank that this run does not have tells what was, not what is. */
static lens_status add_file(const account_t *a, const char *path, long rank, account_counts_t *sum,
                            captioner_stats_t *endpoints) {
    account_counts_t one;
    json_t *root;
    LENS_TRY(account_counts_read(&one, &root, path, a->o.kinds, a->o.n_kinds));
    const char *wrong = NULL;
    if (rank >= a->o.world)
        one.n_ended = 0;
    else if (endpoints)
        wrong = account_endpoints_add(endpoints, json_object_get(root, "endpoints"));
    json_decref(root);
    account_counts_add(sum, &one);
    return wrong ? lens_fail(LENS_FORMAT, "%s: \"endpoints\": \"%s\" is damaged", path, wrong) : LENS_OK;
}

/* Adds up the files of all ranks, or of all but this one. */
static lens_status sum_files(const account_t *a, bool own, account_counts_t *sum, captioner_stats_t *endpoints) {
    str_t folder = {0}, path = {0};
    char **names = NULL;
    int64_t n = 0;
    *sum = (account_counts_t){0};
    str_addf(&folder, "%s/.recaption", a->o.dir);
    lens_status st = str_status(&folder);
    if (st == LENS_OK && file_is_dir(folder.s)) st = dir_list(&names, &n, folder.s);
    for (int64_t i = 0; i < n && st == LENS_OK; i++) {
        const long rank = rank_of(names[i]);
        if (rank < 0 || (!own && rank == a->o.rank)) continue;
        str_clear(&path);
        str_addf(&path, "%s/%s", folder.s, names[i]);
        st = str_status(&path);
        if (st == LENS_OK) st = add_file(a, path.s, rank, sum, endpoints);
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

/* This rank's endpoints into its own file; rank 0 then adds the others', and their counts. */
static lens_status take_endpoints(account_t *a, str_t *own, account_counts_t *others) {
    const double seconds = log_clock_s() - a->began_s;
    if (a->endpoints) {
        a->o.captioner->type->stats(a->o.captioner, a->endpoints);
        str_add(own, ",\"endpoints\":");
        account_endpoints_json(a->endpoints, seconds, own);
    }
    if (a->o.rank == 0) LENS_TRY(sum_files(a, false, others, a->endpoints));
    str_clear(&a->endpoints_line);
    if (a->endpoints) account_endpoints_line(a->endpoints, seconds, &a->endpoints_line);
    return LENS_OK;
}

/* Nothing is written under the lock, which those who submit wait for. */
static lens_status write_files(account_t *a) {
    str_t own = {0}, endpoints = {0}, all = {0};
    account_counts_t others = {0};
    lens_status st;
    LENS_GO(take_endpoints(a, &endpoints, &others));
    pthread_mutex_lock(&a->lock);
    a->others = others;
    a->recent[a->n_marks++ % RECENT] = (mark_t){log_clock_s(), n_recorded(a)};
    str_add_char(&own, '{');
    account_counts_json(&a->own, a->o.kinds, a->o.n_kinds, &own);
    str_add(&own, str_text(&endpoints));
    str_add(&own, "}\n");
    if (a->o.rank == 0) add_stats(a, &all);
    pthread_mutex_unlock(&a->lock);
    LENS_GO(str_status(&endpoints));
    LENS_GO(write_json(a->path, &own));
    if (a->o.rank == 0) LENS_GO(write_json(a->stats_path, &all));
    a->written_s = log_clock_s();
done:
    str_free(&own);
    str_free(&endpoints);
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
    if (a->verdict.len == 0 && a->others.n_ended > 0) add_verdict(a, a->others.n_unbilled > 0);
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
        if (st == LENS_OK && rank_of(names[i]) >= 0 && unlink(path.s) != 0)
            st = lens_fail(LENS_IO, "%s: cannot remove", path.s);
    }
    dir_list_free(names, n);
    str_free(&path);
    return st;
}

recaption_watch_t account_watch(account_t *a) {
    return (recaption_watch_t){.answered = answered, .may_ask = may_ask, .look = look, .ended = ended, .context = a};
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
    LENS_TRY(sum_files(a, true, &all, NULL));
    LENS_TRY(sum_files(a, false, &a->others, NULL));
    a->n_others_before = a->others.n_recorded;
    if (file_exists(a->path)) LENS_TRY(account_counts_read(&a->own, NULL, a->path, a->o.kinds, a->o.n_kinds));
    a->own.n_ended = 0;
    if (a->o.captioner->type->stats && !(a->endpoints = calloc(1, sizeof *a->endpoints)))
        return lens_fail(LENS_MEMORY, "out of memory for the account");
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
    str_free(&a->endpoints_line);
    free(a->endpoints);
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
