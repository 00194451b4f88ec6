#include "tests/server/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/server/http_parse.h"
#include "tests/server/timer_heap.h"

enum { N_EVENTS = 256, BACKLOG = 4096, READ_BYTES = 64 << 10, KEPT_BYTES = 1 << 20 };

typedef struct connection connection_t;
struct connection {
    timer_entry_t timer; /* first: an entry is its connection */
    connection_t *next, *previous;
    int fd;          /* -1: closed, and freed behind the events at hand */
    uint32_t events; /* asked of epoll */
    str_t in;        /* from the first byte of the request that is read or answered */
    http_parse_t parse;
    bool was_continued;
    bool is_answered; /* an answer is on its way */
    bool was_asked;   /* a request before this one */
    http_answer_t answer;
    size_t limit, released, sent; /* bytes of the answer: to be sent at all, due, and gone out */
};

struct http_server {
    http_handler_t handler;
    int epoll_fd, signal_fd, listen_fd, port;
    connection_t *first, *closed; /* open ones; those to be freed */
    timer_heap_t timers;
    http_counts_t counts;
    int64_t die_ns, returns_ns;               /* asked to die for so long; dead until then; 0: no */
    int64_t every_ns, each_ns, next_death_ns; /* as http_server_die_every() says */
    bool is_full;                             /* of descriptors: said once */
};

int64_t http_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int http_server_port(const http_server_t *s) {
    return s->port;
}
http_counts_t http_server_counts(const http_server_t *s) {
    return s->counts;
}

/* ---- connections ---- */

static void connection_close(http_server_t *s, connection_t *c, http_ending how) {
    if (c->fd < 0) return;
    if (c->is_answered && c->answer.is_counted) s->handler.finished(s->handler.context, false);
    timer_heap_remove(&s->timers, &c->timer);
    if (how == HTTP_RESET)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    else
        shutdown(c->fd, SHUT_WR);
    close(c->fd);
    c->fd = -1;
    if (c->next) c->next->previous = c->previous;
    *(c->previous ? &c->previous->next : &s->first) = c->next;
    c->next = s->closed;
    s->closed = c;
}

static void free_closed(http_server_t *s) {
    for (connection_t *c; (c = s->closed);) {
        s->closed = c->next;
        http_parse_free(&c->parse);
        str_free(&c->in);
        str_free(&c->answer.bytes);
        free(c);
    }
}

/* What epoll is to tell: room to send where bytes wait; what comes, unless a client that sends ahead has sent enough.
 */
static void watch(http_server_t *s, connection_t *c) {
    if (c->fd < 0) return;
    const bool is_ahead = c->is_answered && c->in.len > c->parse.request_bytes + READ_BYTES;
    const uint32_t events = (is_ahead ? 0u : (uint32_t)EPOLLIN) | (c->sent < c->released ? (uint32_t)EPOLLOUT : 0u);
    if (events == c->events) return;
    epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, c->fd, &(struct epoll_event){.events = events, .data.ptr = c});
    c->events = events;
}

static void accept_all(http_server_t *s) {
    for (int fd; (fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0 || errno == EINTR ||
                 errno == ECONNABORTED;) {
        if (fd < 0) continue;
        connection_t *c = calloc(1, sizeof *c);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (!c || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
            close(fd);
            free(c);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        c->fd = fd;
        c->events = EPOLLIN;
        c->next = s->first;
        if (s->first) s->first->previous = c;
        s->first = c;
        s->counts.n_accepted++;
    }
    if (errno != EAGAIN && !s->is_full) log_warn("cannot accept a connection: %s", strerror(errno));
    s->is_full = errno != EAGAIN;
}

/* ---- answers ---- */

static void next_request(connection_t *c) {
    const size_t rest = c->in.len - c->parse.request_bytes;
    if (c->in.cap > KEPT_BYTES && rest == 0) {
        str_free(&c->in);
    } else {
        memmove(c->in.s, c->in.s + c->parse.request_bytes, rest);
        c->in.len = rest;
    }
    http_parse_clear(&c->parse);
    c->is_answered = c->was_continued = false;
}

static void finish_answer(http_server_t *s, connection_t *c) {
    if (c->answer.is_counted) s->handler.finished(s->handler.context, true);
    c->answer.is_counted = false;
    if (c->answer.ending != HTTP_KEEP || c->parse.closes)
        connection_close(s, c, c->answer.ending == HTTP_RESET ? HTTP_RESET : HTTP_CLOSE);
    else
        next_request(c);
}

/* Sends what is due; goes on to the next piece's time, or to the next request, where all of that has gone. */
static void flush_answer(http_server_t *s, connection_t *c) {
    while (c->sent < c->released) {
        ssize_t n = send(c->fd, c->answer.bytes.s + c->sent, c->released - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) {
            s->counts.n_abandoned++;
            connection_close(s, c, HTTP_CLOSE);
            return;
        }
        c->sent += (size_t)n;
        s->counts.n_bytes_out += n;
    }
    if (c->released == c->limit)
        finish_answer(s, c);
    else if (timer_heap_add(&s->timers, &c->timer, c->timer.due_ns + c->answer.piece_ns) != LENS_OK)
        connection_close(s, c, HTTP_RESET);
}

/* Its time has come: the next piece. */
static void release_piece(http_server_t *s, connection_t *c) {
    const http_answer_t *a = &c->answer;
    const size_t rest = c->limit - c->released;
    size_t n = rest;
    if (a->piece_end && rest) {
        const char *from = a->bytes.s + c->released, *end = memmem(from, rest, a->piece_end, strlen(a->piece_end));
        if (end) n = (size_t)(end - from) + strlen(a->piece_end);
    } else if (a->piece_bytes && a->piece_bytes < rest) {
        n = a->piece_bytes;
    }
    c->released += n;
    flush_answer(s, c);
}

static void begin_answer(http_server_t *s, connection_t *c) {
    http_answer_t *a = &c->answer;
    c->is_answered = true;
    c->sent = c->released = 0;
    c->limit = a->bytes.len;
    if (a->n_bytes_max == SIZE_MAX)
        c->limit = 0;
    else if (a->n_bytes_max && a->n_bytes_max < c->limit)
        c->limit = a->n_bytes_max;
    c->timer.due_ns = http_clock_ns() + a->delay_ns;
    if (a->bytes.failed)
        connection_close(s, c, HTTP_RESET);
    else if (!a->delay_ns)
        release_piece(s, c);
    else if (timer_heap_add(&s->timers, &c->timer, c->timer.due_ns) != LENS_OK)
        connection_close(s, c, HTTP_RESET);
}

/* ---- requests ---- */

static void say_continue(connection_t *c) {
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!c->parse.has_head || !c->parse.wants_continue || c->was_continued) return;
    c->was_continued = true;
    if (send(c->fd, text, sizeof text - 1, MSG_NOSIGNAL) < 0) return; /* the client sends its body all the same */
}

static void handle(http_server_t *s, connection_t *c) {
    const http_parse_t *p = &c->parse;
    const http_request_t request = {.method = str_text(&p->method),
                                    .target = str_text(&p->target),
                                    .authorization = str_text(&p->authorization),
                                    .body = p->is_chunked ? str_text(&p->body) : c->in.s + p->body_at,
                                    .n_bytes = p->is_chunked ? p->body.len : p->body_bytes,
                                    .is_first = !c->was_asked};
    c->was_asked = true;
    s->handler.handle(s->handler.context, &request, &c->answer);
}

/* Requests that are there as a whole, one after the other, as long as their answers go out at once. */
static void serve(http_server_t *s, connection_t *c) {
    while (c->fd >= 0 && !c->is_answered && c->in.len) {
        http_parse_result result = http_parse(&c->parse, &c->in);
        if (result == HTTP_PARSE_MORE) {
            say_continue(c);
            break;
        }
        str_t bytes = c->answer.bytes;
        str_clear(&bytes);
        c->answer = (http_answer_t){.bytes = bytes};
        if (result == HTTP_PARSE_BAD) {
            http_answer(&c->answer, c->parse.bad_status, "text/plain", "", c->parse.bad_reason,
                        strlen(c->parse.bad_reason));
            c->answer.ending = HTTP_CLOSE;
        } else {
            handle(s, c);
        }
        begin_answer(s, c);
    }
    watch(s, c);
}

static void receive(http_server_t *s, connection_t *c) {
    for (;;) {
        const http_parse_t *p = &c->parse;
        const size_t whole = p->has_head && !p->is_chunked ? p->body_at + p->body_bytes : 0;
        const size_t room = whole > c->in.len + READ_BYTES ? whole - c->in.len : READ_BYTES;
        str_reserve(&c->in, c->in.len + room);
        if (c->in.failed) break;
        ssize_t n = recv(c->fd, c->in.s + c->in.len, room, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) break;
        c->in.len += (size_t)n;
        c->in.s[c->in.len] = '\0';
        s->counts.n_bytes_in += n;
        if ((size_t)n < room || c->is_answered) return;
        if (!p->has_head && http_parse(&c->parse, &c->in) == HTTP_PARSE_BAD) return;
    }
    if (c->is_answered) s->counts.n_abandoned++;
    connection_close(s, c, HTTP_CLOSE);
}

/* ---- the loop ---- */

static lens_status bind_socket(http_server_t *s) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listen_fd < 0) return lens_fail(LENS_IO, "cannot make a socket: %s", strerror(errno));
    setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(s->listen_fd, (struct sockaddr *)&address, n) != 0)
        return lens_fail(LENS_IO, "cannot bind to 127.0.0.1:%d: %s", s->port, strerror(errno));
    getsockname(s->listen_fd, (struct sockaddr *)&address, &n);
    s->port = ntohs(address.sin_port);
    return LENS_OK;
}

static lens_status start_listening(http_server_t *s) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &s->listen_fd};
    if (listen(s->listen_fd, BACKLOG) != 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->listen_fd, &event) != 0)
        return lens_fail(LENS_IO, "cannot listen at port %d: %s", s->port, strerror(errno));
    return LENS_OK;
}

/* A socket that is bound and does not listen: the port stays ours, and the kernel refuses who comes. */
static lens_status die(http_server_t *s) {
    s->returns_ns = http_clock_ns() + s->die_ns;
    s->die_ns = 0;
    s->counts.n_deaths++;
    if (s->every_ns) s->next_death_ns = s->returns_ns + s->every_ns;
    while (s->first) connection_close(s, s->first, HTTP_RESET);
    if (s->listen_fd >= 0) close(s->listen_fd);
    s->listen_fd = -1;
    return bind_socket(s);
}

void http_server_die(http_server_t *s, int64_t ns) {
    s->die_ns = ns;
}

void http_server_die_every(http_server_t *s, int64_t every_ns, int64_t ns) {
    s->every_ns = every_ns;
    s->each_ns = ns;
    s->next_death_ns = every_ns ? http_clock_ns() + every_ns : 0;
}

/* Half a millisecond early counts as in time: epoll_wait counts whole ones, and so they are right in the mean. */
enum { EARLY_NS = 500000 };

static int wait_ms(const http_server_t *s) {
    const timer_entry_t *first = timer_heap_first(&s->timers);
    int64_t due_ns = first ? first->due_ns : INT64_MAX;
    if (s->returns_ns && s->returns_ns < due_ns) due_ns = s->returns_ns;
    if (s->next_death_ns && s->next_death_ns < due_ns) due_ns = s->next_death_ns;
    if (due_ns == INT64_MAX) return -1;
    const int64_t ns = due_ns - EARLY_NS - http_clock_ns();
    return ns <= 0 ? 0 : ns > 1000000000 ? 1000 : (int)((ns + 999999) / 1000000);
}

static lens_status run_timers(http_server_t *s) {
    const int64_t now_ns = http_clock_ns() + EARLY_NS;
    for (timer_entry_t *first; (first = timer_heap_first(&s->timers)) && first->due_ns <= now_ns;) {
        connection_t *c = (connection_t *)first;
        timer_heap_remove(&s->timers, first);
        release_piece(s, c);
        serve(s, c);
    }
    if (s->next_death_ns && s->next_death_ns <= now_ns) s->die_ns = s->each_ns;
    if (s->die_ns) return die(s);
    if (s->returns_ns && s->returns_ns <= now_ns) {
        s->returns_ns = 0;
        return start_listening(s);
    }
    return LENS_OK;
}

lens_status http_server_run(http_server_t *s) {
    for (;;) {
        struct epoll_event events[N_EVENTS];
        const int n = epoll_wait(s->epoll_fd, events, N_EVENTS, wait_ms(s));
        if (n < 0 && errno != EINTR) return lens_fail(LENS_IO, "cannot wait for events: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &s->signal_fd) return LENS_OK;
            if (events[i].data.ptr == &s->listen_fd) {
                accept_all(s);
                continue;
            }
            connection_t *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && c->sent < c->released) flush_answer(s, c);
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(s, c);
            serve(s, c);
        }
        LENS_TRY(run_timers(s));
        free_closed(s);
    }
}

static lens_status open_descriptors(http_server_t *s) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    s->signal_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &s->signal_fd};
    if (s->signal_fd < 0 || s->epoll_fd < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->signal_fd, &event) != 0)
        return lens_fail(LENS_IO, "cannot set up epoll and signalfd: %s", strerror(errno));
    LENS_TRY(bind_socket(s));
    return start_listening(s);
}

lens_status http_server_open(http_server_t **out, int port, const http_handler_t *handler) {
    *out = NULL;
    http_server_t *s = malloc(sizeof *s);
    if (!s) return lens_fail(LENS_MEMORY, "cannot allocate the server");
    *s = (http_server_t){.handler = *handler, .epoll_fd = -1, .signal_fd = -1, .listen_fd = -1, .port = port};
    lens_status st = open_descriptors(s);
    if (st != LENS_OK)
        http_server_close(s);
    else
        *out = s;
    return st;
}

void http_server_close(http_server_t *s) {
    if (!s) return;
    while (s->first) connection_close(s, s->first, HTTP_CLOSE);
    free_closed(s);
    const int descriptors[] = {s->listen_fd, s->signal_fd, s->epoll_fd};
    for (int i = 0; i < 3; i++)
        if (descriptors[i] >= 0) close(descriptors[i]);
    timer_heap_free(&s->timers);
    free(s);
}
