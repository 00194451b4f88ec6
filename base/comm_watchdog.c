#include "base/comm_watchdog.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/comm_calls.h"
#include "base/log.h"
#include "base/watch_verdict.h"

#define UNWATCHED_S 1800.0
#define STEP_INTERVAL_S 0.25 /* of reports, where steps are shorter */
enum { TAG_REPORT = 5, N_JUDGES = 2, RANK_UNKNOWN = -1 };

typedef struct {
    int rank; /* RANK_UNKNOWN: nobody */
    MPI_Request sending;
    bool under_way;
    watch_report_t report; /* what is being sent */
    bool has_my_last;
} judge_t;

/* The one of this process. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running;
    /* under the lock */
    int64_t step;
    double beat_at_s, stand_at_s; /* stand_at_s 0: stands in none */
    char what[WATCH_WHAT_BYTES];
    int n_suspended;
    bool leaving, given_up; /* given_up: waits for no one */
    /* of the thread */
    comm_t *comm;
    MPI_Comm communicator;
    double limit_s, sent_at_s;
    int64_t sent_step;
    double suspect_since_s; /* 0: nobody is suspected */
    judge_t judges[N_JUDGES];
    watch_rank_t *ranks; /* [world], on judges; else NULL */
    double *heard_at_s;  /* [world] */
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- what the driving thread says ---- */

/* Whether there is a watch over these ranks. */
static bool is_watching(const comm_t *c) {
    LENS_ASSERT(!dog.running || dog.comm == c, "another communicator: rank %d", comm_rank(c));
    return dog.running;
}

void comm_watchdog_beat(comm_t *c, int64_t step) {
    if (!is_watching(c)) return;
    pthread_mutex_lock(&dog.lock);
    if (step != dog.step) pthread_cond_broadcast(&dog.changed);
    dog.step = step;
    dog.beat_at_s = log_clock_s();
    pthread_mutex_unlock(&dog.lock);
}

void comm_watchdog_suspend(comm_t *c) {
    if (!is_watching(c)) return;
    pthread_mutex_lock(&dog.lock);
    dog.n_suspended++;
    pthread_mutex_unlock(&dog.lock);
}

/* Whoever waited for this rank still says so for a moment: the work that was waited for counts as a beat. */
void comm_watchdog_resume(comm_t *c) {
    if (!is_watching(c)) return;
    pthread_mutex_lock(&dog.lock);
    LENS_ASSERT(dog.n_suspended > 0, "%d suspended", dog.n_suspended);
    dog.n_suspended--;
    dog.beat_at_s = log_clock_s();
    pthread_mutex_unlock(&dog.lock);
}

void comm_watchdog_stand(const char *what) {
    pthread_mutex_lock(&dog.lock);
    dog.stand_at_s = what ? log_clock_s() : 0;
    if (what) snprintf(dog.what, sizeof dog.what, "%s", what); /* a longer name is cut: it is for messages */
    if (!what) dog.beat_at_s = log_clock_s();                  /* the others came */
    pthread_mutex_unlock(&dog.lock);
}

double comm_watchdog_patience_s(void) {
    pthread_mutex_lock(&dog.lock);
    const double s = !dog.running ? UNWATCHED_S : dog.n_suspended > 0 ? INFINITY : 2 * dog.limit_s;
    pthread_mutex_unlock(&dog.lock);
    return s;
}

int64_t comm_watchdog_step(void) {
    pthread_mutex_lock(&dog.lock);
    const int64_t step = dog.running ? dog.step : 0;
    pthread_mutex_unlock(&dog.lock);
    return step;
}

static watch_report_t own_report(void) {
    const double now_s = log_clock_s();
    watch_report_t r = {0};
    pthread_mutex_lock(&dog.lock);
    r.step = dog.step;
    r.beat_s = now_s - dog.beat_at_s;
    r.stand_s = dog.stand_at_s > 0 ? now_s - dog.stand_at_s : -1;
    memcpy(r.what, dog.what, sizeof r.what);
    r.suspended = dog.n_suspended > 0;
    r.left = dog.leaving;
    pthread_mutex_unlock(&dog.lock);
    return r;
}

/* ---- reports ---- */

/* At most one is under way: a judge that hangs takes none, and nothing piles up. Failures of MPI are not told here: the
 * collectives meet them too. */
static void send_report(judge_t *j, const watch_report_t *report) {
    if (j->rank == RANK_UNKNOWN) return;
    int done = 1;
    comm_mpi_lock();
    if (j->under_way) MPI_Test(&j->sending, &done, MPI_STATUS_IGNORE);
    j->under_way = !done;
    if (done && !j->has_my_last) {
        j->report = *report;
        j->under_way = MPI_Isend(&j->report, sizeof j->report, MPI_BYTE, j->rank, TAG_REPORT, dog.communicator,
                                 &j->sending) == MPI_SUCCESS;
        j->has_my_last = report->left;
    }
    comm_mpi_unlock();
}

/* Small messages: once found they are here. */
static void receive_reports(void) {
    for (int found = 1; found;) {
        watch_report_t report;
        MPI_Message message;
        MPI_Status status;
        found = 0;
        comm_mpi_lock();
        int code = MPI_Improbe(MPI_ANY_SOURCE, TAG_REPORT, dog.communicator, &found, &message, &status);
        if (code == MPI_SUCCESS && found)
            code = MPI_Mrecv(&report, sizeof report, MPI_BYTE, &message, MPI_STATUS_IGNORE);
        comm_mpi_unlock();
        if (code != MPI_SUCCESS || !found) return;
        report.what[sizeof report.what - 1] = '\0';
        dog.ranks[status.MPI_SOURCE].report = report;
        dog.heard_at_s[status.MPI_SOURCE] = log_clock_s();
    }
}

/* ---- judging ---- */

_Noreturn static void end_job(const str_t *lines) {
    if (str_status(lines) != LENS_OK) log_error("a rank hangs");
    for (const char *line = lines->s; line && *line;) {
        const size_t n = strcspn(line, "\n");
        log_error("%.*s", (int)n, line);
        line += n + (line[n] == '\n');
    }
    comm_abort(dog.comm, 1);
}

static double smaller(double a, double b) {
    return a < b ? a : b;
}

static double report_interval_s(void) {
    return smaller(1, dog.limit_s / 4);
}

/* A report is up to an interval old: what it says may be over. Whoever is suspected has to stay so until all that goes
 * on has been told again. */
static void judge(const watch_report_t *own) {
    const int rank = comm_rank(dog.comm), world = comm_world(dog.comm);
    const double now_s = log_clock_s();
    str_t lines = {0};
    dog.ranks[rank].report = *own;
    dog.heard_at_s[rank] = now_s;
    for (int i = 0; i < world; i++) dog.ranks[i].silent_s = now_s - dog.heard_at_s[i];
    if (rank > 0 && !watch_is_silent(&dog.ranks[0], dog.limit_s)) return; /* rank 0 does it */
    if (!watch_judge(dog.ranks, world, dog.limit_s, &lines))
        dog.suspect_since_s = 0;
    else if (dog.suspect_since_s == 0)
        dog.suspect_since_s = now_s;
    else if (now_s - dog.suspect_since_s > 2 * report_interval_s())
        end_job(&lines);
    str_free(&lines);
}

static bool all_left(void) {
    for (int i = 0; dog.ranks && i < comm_world(dog.comm); i++)
        if (!dog.ranks[i].report.left) return false;
    return true;
}

static bool have_my_last(void) {
    for (int i = 0; i < N_JUDGES; i++)
        if (dog.judges[i].rank != RANK_UNKNOWN && (!dog.judges[i].has_my_last || dog.judges[i].under_way)) return false;
    return true;
}

/* A tick: tells what is due, hears and judges. */
static bool tick(void) {
    watch_report_t own = own_report();
    const double now_s = log_clock_s();
    const double since_s = now_s - dog.sent_at_s;
    if (own.left || since_s >= report_interval_s() || (own.step != dog.sent_step && since_s >= STEP_INTERVAL_S)) {
        for (int i = 0; i < N_JUDGES; i++) send_report(&dog.judges[i], &own);
        dog.sent_at_s = now_s;
        dog.sent_step = own.step;
    }
    if (dog.ranks) {
        receive_reports();
        judge(&own);
    }
    pthread_mutex_lock(&dog.lock);
    const bool given_up = dog.given_up;
    pthread_mutex_unlock(&dog.lock);
    return given_up || (own.left && have_my_last() && all_left());
}

static void *run(void *unused) {
    (void)unused;
    const double tick_s = smaller(0.25, dog.limit_s / 8);
    for (bool ended = tick(); !ended; ended = tick()) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        pthread_mutex_lock(&dog.lock);
        /* Woken at once by the end; while it waits for that of others it looks more often. */
        const double nap_s = dog.leaving ? 1e-3 : tick_s;
        until.tv_nsec += (long)(nap_s * 1e9);
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&dog.changed, &dog.lock, &until);
        pthread_mutex_unlock(&dog.lock);
    }
    return NULL;
}

/* ---- begin and end ---- */

static lens_status set_up(comm_t *c, double limit_s) {
    const int rank = comm_rank(c), last = comm_world(c) - 1;
    const double now_s = log_clock_s();
    dog.comm = c;
    dog.limit_s = limit_s;
    dog.beat_at_s = now_s;
    dog.leaving = dog.given_up = false;
    dog.n_suspended = 0;
    dog.step = dog.sent_step = 0;
    dog.sent_at_s = dog.suspect_since_s = 0;
    dog.judges[0] = (judge_t){.rank = rank == 0 ? RANK_UNKNOWN : 0};
    dog.judges[1] = (judge_t){.rank = rank == last ? RANK_UNKNOWN : last};
    if (rank != 0 && rank != last) return LENS_OK;
    dog.ranks = calloc((size_t)last + 1, sizeof *dog.ranks);
    dog.heard_at_s = calloc((size_t)last + 1, sizeof *dog.heard_at_s);
    if (!dog.ranks || !dog.heard_at_s) return lens_fail(LENS_MEMORY, "out of memory to watch %d ranks", last + 1);
    for (int i = 0; i <= last; i++) {
        dog.ranks[i] = (watch_rank_t){.report.stand_s = -1, .host = comm_host(c, i)};
        dog.heard_at_s[i] = now_s;
    }
    return LENS_OK;
}

static void clean_up(void) {
    free(dog.ranks);
    free(dog.heard_at_s);
    dog.ranks = NULL;
    dog.heard_at_s = NULL;
    dog.running = false;
}

static lens_status start_thread(void) {
    sigset_t all, before; /* signals are for the threads that know what to do with them */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&dog.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    dog.running = error == 0;
    return error == 0 ? LENS_OK : lens_fail(LENS_MEMORY, "no thread for the watchdog: %s", strerror(error));
}

lens_status comm_watchdog_start(comm_t *c, double limit_s) {
    LENS_ASSERT(!dog.running && limit_s > 0, "a limit of %g s", limit_s);
    if (comm_world(c) == 1) return LENS_OK;
    lens_status st = comm_agree(c, set_up(c, limit_s), "watchdog");
    if (st == LENS_OK) st = comm_mpi_new_communicator(&dog.communicator);
    if (st == LENS_OK) st = comm_agree(c, start_thread(), "watchdog");
    if (st != LENS_OK) {
        pthread_mutex_lock(&dog.lock);
        dog.given_up = true; /* a rank without a thread says no goodbye */
        pthread_mutex_unlock(&dog.lock);
        comm_watchdog_stop(c);
        clean_up();
    }
    return st;
}

void comm_watchdog_stop(comm_t *c) {
    if (!is_watching(c)) return;
    comm_watchdog_stand("the end of the watch");
    pthread_mutex_lock(&dog.lock);
    dog.leaving = true;
    pthread_cond_broadcast(&dog.changed);
    pthread_mutex_unlock(&dog.lock);
    pthread_join(dog.thread, NULL);
    comm_watchdog_stand(NULL);
    comm_mpi_lock();
    MPI_Comm_free(&dog.communicator);
    comm_mpi_unlock();
    clean_up();
}
