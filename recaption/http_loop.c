#include "recaption/http_loop.h"

#include <curl/curl.h>
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

/* A handle with its buffers: one a request in flight, kept for the next. */
typedef struct transfer transfer_t;
struct transfer {
    CURL *easy;
    http_loop_t *loop;
    void *context;
    str_t answer;
    bool too_large;
    char error[CURL_ERROR_SIZE];
    transfer_t *next, **link; /* in the list of what flies, or of what is free */
};

struct http_loop {
    http_client_t client;
    CURLM *multi;
    int epoll_fd, wake_fd;
    struct curl_slist headers[3]; /* no copy of them is made */
    char *ca_file;                /* owned; NULL: the system's */
    transfer_t *flying, *idle;
    double timer_s; /* when libcurl wants to be called, INFINITY: not */
    pthread_t thread;
    bool has_thread;
    atomic_bool is_woken, is_closing;
};

/* ---- libcurl's calls ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
    (void)easy;
    http_loop_t *l = context;
    struct epoll_event event = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    int failed = epoll_ctl(l->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    if (failed && errno == EEXIST) failed = epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    if (failed && errno == ENOENT) failed = epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (failed) return -1;
    curl_multi_assign(l->multi, fd, l); /* anything but NULL: it is watched */
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *context) {
    (void)multi;
    http_loop_t *l = context;
    l->timer_s = ms < 0 ? INFINITY : log_clock_s() + 1e-3 * (double)ms;
    return 0;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *context) {
    transfer_t *t = context;
    n *= size;
    t->too_large = t->answer.len + n > HTTP_MAX_ANSWER_BYTES;
    if (t->too_large) return 0;
    str_add_n(&t->answer, bytes, n);
    return t->answer.failed ? 0 : n;
}

/* ---- handles ---- */

static void transfer_free(transfer_t *t) {
    curl_easy_cleanup(t->easy);
    str_free(&t->answer);
    free(t);
}

static void link_in(transfer_t **list, transfer_t *t) {
    t->next = *list;
    t->link = list;
    if (t->next) t->next->link = &t->next;
    *list = t;
}

static void unlink_from(transfer_t *t) {
    *t->link = t->next;
    if (t->next) t->next->link = t->link;
}

static lens_status transfer_new(transfer_t **out, http_loop_t *l) {
    transfer_t *t = calloc(1, sizeof *t);
    CURL *easy = t ? curl_easy_init() : NULL;
    if (!easy) {
        free(t);
        return lens_fail(LENS_MEMORY, "out of memory for a request");
    }
    t->easy = easy;
    t->loop = l;
    CURLcode bad = CURLE_OK;
#define SET(option, value)                                                                                             \
    if (!bad) bad = curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(PRIVATE, t);
    SET(ERRORBUFFER, t->error);
    SET(WRITEFUNCTION, on_bytes);
    SET(WRITEDATA, t);
    SET(HTTPHEADER, l->headers);
    SET(USERAGENT, "lens/" LENS_VERSION);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(PROTOCOLS_STR, "http,https");
    SET(ACCEPT_ENCODING, "gzip");
    if (l->ca_file) {
        SET(CAINFO, l->ca_file);
        SET(CAPATH, NULL); /* the system's folder of certificates */
    }
    SET(TCP_NODELAY, 1L);
    SET(TCP_KEEPALIVE, 1L);
    SET(NOSIGNAL, 1L);
    SET(POST, 1L);
#undef SET
    if (bad) {
        transfer_free(t);
        return lens_fail(LENS_STATE, "libcurl lacks what is needed: %s", curl_easy_strerror(bad));
    }
    link_in(&l->idle, t);
    *out = t;
    return LENS_OK;
}

lens_status http_loop_start(http_loop_t *l, const http_request_t *r) {
    transfer_t *t = l->idle;
    if (!t) LENS_TRY(transfer_new(&t, l));
    t->context = r->context;
    t->too_large = false;
    str_clear(&t->answer);
    t->error[0] = '\0';
    const long ms = (long)ceil(1e3 * fmin(r->timeout_s, 1e6));
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->n_body);
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, r->body);
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, ms);
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, ms < 20000 ? ms : 20000);
    /* Over TLS a connection may turn out to take many requests at once: wait for that before opening another. Where it
     * is known to and is full (servers take 100 or so), libcurl 7.88 opens one for each request until the first of them
     * is ready: 29 connections for 256 requests, three of which carry nearly all. */
    curl_easy_setopt(t->easy, CURLOPT_PIPEWAIT, str_starts_with(r->url, "https") ? 1L : 0L);
    const CURLcode bad = curl_easy_setopt(t->easy, CURLOPT_URL, r->url);
    if (bad) return lens_fail(LENS_MEMORY, "%s: %s", r->url, curl_easy_strerror(bad));
    const CURLMcode wrong = curl_multi_add_handle(l->multi, t->easy);
    if (wrong) return lens_fail(LENS_STATE, "cannot send a request: %s", curl_multi_strerror(wrong));
    unlink_from(t);
    link_in(&l->flying, t);
    return LENS_OK;
}

static void land(http_loop_t *l, transfer_t *t) {
    curl_multi_remove_handle(l->multi, t->easy);
    unlink_from(t);
    link_in(&l->idle, t);
}

void http_loop_drop_all(http_loop_t *l) {
    while (l->flying) land(l, l->flying);
}

/* ---- the loop ---- */

static bool is_untrusted(CURLcode code) {
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
}

static bool is_unreachable(CURLcode code) {
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
        return true;
    default:
        return is_untrusted(code);
    }
}

static void reply(http_loop_t *l, transfer_t *t, CURLcode code) {
    long status = 0;
    curl_off_t us = 0, retry_after_s = 0;
    curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &us);
    http_reply_t r = {.error = "", .body = &t->answer, .seconds = 1e-6 * (double)us};
    if (code == CURLE_OK) {
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after_s); /* seconds, or the distance to a date */
        r.status = (int)status;
        r.retry_after_s = retry_after_s > 0 ? (double)retry_after_s : 0;
    } else {
        r.unreachable = is_unreachable(code);
        r.untrusted = is_untrusted(code);
        r.error = t->too_large ? "the answer is larger than 4 MiB" : *t->error ? t->error : curl_easy_strerror(code);
    }
    land(l, t); /* its buffers stay as they are until it flies again, which is after done(): only turn() starts */
    l->client.done(l->client.context, t->context, &r);
}

static void read_replies(http_loop_t *l) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(l->multi, &left));) {
        if (m->msg != CURLMSG_DONE) continue;
        const CURLcode code = m->data.result; /* the message goes with the handle's removal */
        transfer_t *t = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        reply(l, t, code);
    }
}

static void wait_for(http_loop_t *l, double seconds) {
    struct epoll_event events[256];
    const double timer_s = l->timer_s - log_clock_s();
    const double wait_s = fmax(fmin(fmin(seconds, timer_s), 60), 0);
    const int n = epoll_wait(l->epoll_fd, events, 256, (int)ceil(1e3 * wait_s));
    int running;
    for (int i = 0; i < n; i++) {
        const uint32_t e = events[i].events;
        if (events[i].data.fd == l->wake_fd) {
            uint64_t count;
            (void)!read(l->wake_fd, &count, sizeof count);
            atomic_store(&l->is_woken, false); /* after it: a wake between both is seen by the turn that follows */
            continue;
        }
        const int mask = (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                         (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(l->multi, events[i].data.fd, mask, &running);
    }
    if (log_clock_s() >= l->timer_s) {
        l->timer_s = INFINITY;
        curl_multi_socket_action(l->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

static void *work(void *argument) {
    http_loop_t *l = argument;
    while (!atomic_load(&l->is_closing)) {
        wait_for(l, l->client.turn(l->client.context));
        read_replies(l);
    }
    http_loop_drop_all(l);
    return NULL;
}

void http_loop_wake(http_loop_t *l) {
    const uint64_t one = 1;
    if (!atomic_exchange(&l->is_woken, true)) (void)!write(l->wake_fd, &one, sizeof one);
}

bool http_loop_is_mine(const http_loop_t *l) {
    return pthread_equal(pthread_self(), l->thread);
}

/* ---- opening and closing ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* libcurl builds a request's head, with the key in it, in memory of its own: wiped when it is freed. */
static void wiping_free(void *p) {
    if (!p) return;
    explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *wiping_realloc(void *p, size_t n) {
    void *larger = malloc(n);
    if (!larger || !p) return larger;
    const size_t had = malloc_usable_size(p);
    memcpy(larger, p, had < n ? had : n);
    wiping_free(p);
    return larger;
}

static void init_curl(void) {
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
}

/* libcurl reads it anew for each connection: what it cannot read then is `untrusted`. */
static lens_status use_ca_file(http_loop_t *l, const char *path) {
    int fd;
    LENS_TRY(file_open(&fd, path));
    close(fd);
    l->ca_file = strdup(path);
    return l->ca_file ? LENS_OK : lens_fail(LENS_MEMORY, "out of memory for HTTP");
}

static lens_status set_up(http_loop_t *l, const http_options_t *o) {
    static char json[] = "Content-Type: application/json", no_expect[] = "Expect:";
    l->headers[0] = (struct curl_slist){.data = json, .next = &l->headers[1]};
    l->headers[1] = (struct curl_slist){.data = no_expect, .next = o->authorization ? &l->headers[2] : NULL};
    l->headers[2] = (struct curl_slist){.data = o->authorization};
    if (o->ca_file) LENS_TRY(use_ca_file(l, o->ca_file));
    pthread_once(&once, init_curl);
    l->multi = curl_multi_init();
    if (!l->multi) return lens_fail(LENS_MEMORY, "out of memory for HTTP");
    curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l);
    curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
    curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)o->most + 8);
    curl_multi_setopt(l->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 1000L);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = l->wake_fd};
    if (l->epoll_fd < 0 || l->wake_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &event) != 0)
        return lens_fail(LENS_IO, "cannot watch connections: %s", strerror(errno));
    const int failed = pthread_create(&l->thread, NULL, work, l);
    if (failed) return lens_fail(LENS_MEMORY, "cannot start a thread: %s", strerror(failed));
    l->has_thread = true;
    return LENS_OK;
}

lens_status http_loop_open(http_loop_t **out, const http_client_t *client, const http_options_t *options) {
    *out = NULL;
    http_loop_t *l = calloc(1, sizeof *l);
    if (!l) return lens_fail(LENS_MEMORY, "out of memory for HTTP");
    l->client = *client;
    l->epoll_fd = l->wake_fd = -1;
    l->timer_s = INFINITY;
    lens_status st = set_up(l, options);
    if (st == LENS_OK)
        *out = l;
    else
        http_loop_close(l);
    return st;
}

void http_loop_close(http_loop_t *l) {
    if (!l) return;
    if (l->has_thread) {
        atomic_store(&l->is_closing, true);
        http_loop_wake(l);
        pthread_join(l->thread, NULL);
    }
    for (transfer_t *t; (t = l->idle);) {
        unlink_from(t);
        transfer_free(t);
    }
    if (l->multi) curl_multi_cleanup(l->multi);
    if (l->epoll_fd >= 0) close(l->epoll_fd);
    if (l->wake_fd >= 0) close(l->wake_fd);
    free(l->ca_file);
    free(l);
}
