/* http_mhd.c -- the doors of libmicrohttpd (http.h) */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "launch/serve/http.h"

enum { SWALLOW = 8 };              /* times max_body: so much is read of a body that is refused, that the client hears why */

struct Http {
    const HttpConf *c;
    Jobs *q;
    struct MHD_Daemon *daemon;
    int   port, socket;
    bool  local;                   /* listens on loopback, and asks for no key */
};

typedef enum { CHAT, MODELS, MODEL, HEALTH, PAGE } Route;

/* A request, until its answer is written. */
typedef struct {
    Http   *h;
    struct MHD_Connection *k;
    Route   route;
    char   *body;
    size_t  n, cap, seen;          /* seen: bytes that came */
    double  start;
    Refusal why;
    Job    *job;
    bool    answered;
} Call;

/* ---- answers ---- */

static enum MHD_Result send_response(struct MHD_Connection *k, int status, const char *type, struct MHD_Response *r)
{
    CHECK(r, "no memory for an answer");
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
    if (status == 429 || status == 503)
        MHD_add_response_header(r, "Retry-After", "1");
    const enum MHD_Result ok = MHD_queue_response(k, (unsigned)status, r);
    MHD_destroy_response(r);
    return ok;
}

/* body is freed. */
static enum MHD_Result send_json(struct MHD_Connection *k, int status, char *body)
{
    return send_response(k, status, "application/json", MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE));
}

static enum MHD_Result send_page(struct MHD_Connection *k)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(SERVE_PAGE), (void *)(uintptr_t)SERVE_PAGE, MHD_RESPMEM_PERSISTENT);
    CHECK(r, "no memory for an answer");
    MHD_add_response_header(r, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
                                                          "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    return send_response(k, 200, "text/html; charset=utf-8", r);
}

static enum MHD_Result send_refusal(Call *x)
{
    struct MHD_Response *r;
    char *body = refusal_json(&x->why);
    x->answered = true;
    if (x->why.status != 405)
        return send_json(x->k, x->why.status, body);
    r = MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_FREE);
    CHECK(r, "no memory for an answer");
    MHD_add_response_header(r, "Allow", x->route == CHAT ? "POST" : "GET, HEAD");
    return send_response(x->k, 405, "application/json", r);
}

/* The next bytes of a stream; where there are none, the connection sleeps. */
static ssize_t stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    Call *x = cls;
    Job *j = x->job;
    (void)pos;
    if (j->out_at == j->out_n) {
        pthread_mutex_lock(&x->h->q->lock);
        free(j->out);
        j->out = reply_event(j, x->h->c);
        j->out_at = 0;
        j->out_n = j->out ? strlen(j->out) : 0;
        if (!j->out && !j->finished) {
            j->asleep = x->k;
            http_sleep(x->k);
        }
        pthread_mutex_unlock(&x->h->q->lock);
        if (!j->out)
            return j->finished ? MHD_CONTENT_READER_END_OF_STREAM : 0;
    }
    const size_t left = j->out_n - j->out_at, n = left < max ? left : max;
    memcpy(buf, j->out + j->out_at, n);
    j->out_at += n;
    return (ssize_t)n;
}

/* There is news of the job: the whole answer, the beginning of a stream, or why there is none. */
static enum MHD_Result send_answer(Call *x)
{
    pthread_mutex_lock(&x->h->q->lock);
    const bool ended = x->job->state == JOB_ENDED, refused = ended && x->job->why.status && !x->job->n;
    if (refused || (ended && !x->job->asked.stream))
        x->why = x->job->why;
    pthread_mutex_unlock(&x->h->q->lock);
    if (x->why.status)
        return send_refusal(x);
    x->answered = true;
    if (!x->job->asked.stream)
        return send_json(x->k, 200, reply_whole(x->job, x->h->c));
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, stream, x, NULL);
    CHECK(r, "no memory for an answer");
    MHD_add_response_header(r, "Cache-Control", "no-cache");
    MHD_add_response_header(r, "X-Accel-Buffering", "no");
    return send_response(x->k, 200, "text/event-stream; charset=utf-8", r);
}

/* ---- what may ask what ---- */

static const char *header(Call *x, const char *name)
{
    const char *v = MHD_lookup_connection_value(x->k, MHD_HEADER_KIND, name);
    return v ? v : "";
}

/* "127.0.0.1:8080", "[::1]", "localhost": no name that anybody can own. */
static bool host_is_here(const char *host)
{
    char name[64];
    unsigned char a[16];
    const bool six = *host == '[';
    const size_t n = six ? strcspn(host + 1, "]") : strcspn(host, ":");
    snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), host + six);
    return !*host || !strcasecmp(name, "localhost") || inet_pton(six ? AF_INET6 : AF_INET, name, a) == 1;
}

static bool same_site(Call *x)
{
    const char *host = header(x, "Host"), *origin = header(x, "Origin"), *at = strstr(origin, "://");
    if (x->h->local && !host_is_here(host))
        return refuse(&x->why, 403, "forbidden_host", "", "Host is a name: without serve.api_key this server answers to numbers and localhost alone");
    return !*origin || (at && !strcasecmp(at + 3, host)) ||
           refuse(&x->why, 403, "forbidden_origin", "", "a page of another site (%.100s) asks this server", origin);
}

/* As long for any key. */
static bool has_key(Call *x)
{
    const char *key = x->h->c->key, *given = header(x, "Authorization");
    const size_t n = strlen(key), given_n = strlen(given);
    unsigned differ = given_n != n + 7 || strncasecmp(given, "Bearer ", 7);
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned char)key[i] ^ (unsigned char)(i + 7 < given_n ? given[i + 7] : 0);
    return !n || !differ || refuse(&x->why, 401, "invalid_api_key", "", *given ? "this is not the key of this server" : "this server asks for a key: Authorization: Bearer KEY");
}

static bool find_route(Call *x, const char *url, const char *method)
{
    static const char models[] = "/v1/models/";
    const bool get = !strcmp(method, "GET") || !strcmp(method, "HEAD"), post = !strcmp(method, "POST");
    if (!strcmp(url, "/v1/chat/completions"))
        x->route = CHAT;
    else if (!strcmp(url, "/v1/models"))
        x->route = MODELS;
    else if (!strncmp(url, models, sizeof models - 1))
        x->route = MODEL;
    else if (!strcmp(url, "/health"))
        x->route = HEALTH;
    else if (!strcmp(url, "/"))
        x->route = PAGE;
    else
        return refuse(&x->why, 404, "not_found", "", "there is no %.200s here: /v1/chat/completions, /v1/models, /health, /", url);
    if (x->route == CHAT ? !post : !get)
        return refuse(&x->why, 405, "method_not_allowed", "", "%.20s is no method of %.200s: %s is", method, url, x->route == CHAT ? "POST" : "GET");
    if (x->route != HEALTH && x->route != PAGE && !has_key(x))
        return false;
    return x->route != MODEL || !strcmp(url + sizeof models - 1, x->h->c->limits.model) ||
           refuse(&x->why, 404, "model_not_found", "model", "there is no model \"%.200s\"; this server has \"%.200s\"", url + sizeof models - 1, x->h->c->limits.model);
}

static bool too_long(Call *x)
{
    return refuse(&x->why, 413, "request_too_large", "", "the body has more than %zu bytes (serve.max_body)", x->h->c->max_body);
}

/* ---- a request, piece by piece ---- */

static enum MHD_Result begin(Call *x, const char *url, const char *method)
{
    const bool chunked = *header(x, "Transfer-Encoding"), waits = !strncasecmp(header(x, "Expect"), "100", 3);
    const unsigned long long length = strtoull(header(x, "Content-Length"), NULL, 10);
    if (same_site(x) && find_route(x, url, method) && length > x->h->c->max_body)
        too_long(x);
    if (x->why.status)
        return (length == 0 && !chunked) || waits || length > SWALLOW * x->h->c->max_body ? send_refusal(x) : MHD_YES;
    x->answered = x->route != CHAT;
    switch (x->route) {
    case MODELS:
    case MODEL:  return send_json(x->k, 200, reply_models(x->h->c, x->route == MODEL));
    case HEALTH: return send_json(x->k, 200, reply_health(x->h->c, x->h->q));
    case PAGE:   return send_page(x->k);
    case CHAT:   break;
    }
    return MHD_YES;
}

static void drop_body(Call *x)
{
    jobs_let_go(x->h->q, x->cap);
    free(x->body);
    x->body = NULL;
    x->n = x->cap = 0;
}

static enum MHD_Result take(Call *x, const char *data, size_t n)
{
    x->seen += n;
    if (x->seen > SWALLOW * x->h->c->max_body || now() - x->start > x->h->c->timeout)
        return MHD_NO;
    if (x->seen > x->h->c->max_body)
        too_long(x);
    if (!x->why.status && x->n + n > x->cap) {
        const size_t cap = 2 * (x->n + n) < x->h->c->max_body ? 2 * (x->n + n) : x->h->c->max_body;
        if (!jobs_hold(x->h->q, cap - x->cap)) {
            refuse(&x->why, 429, "rate_limit_exceeded", "", "too many bytes are under way at once: try again in a moment");
        } else {
            x->body = realloc(x->body, cap);
            CHECK(x->body, "no memory for a body of %zu bytes", cap);
            x->cap = cap;
        }
    }
    if (x->why.status) {
        drop_body(x);
        return MHD_YES;
    }
    memcpy(x->body + x->n, data, n);
    x->n += n;
    return MHD_YES;
}

static enum MHD_Result end_of_body(Call *x)
{
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(x->k, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!x->why.status)
        x->job = jobs_add(x->h->q, x->body, x->n, x->cap, x->k, fd->connect_fd, &x->why);
    if (!x->job)
        return send_refusal(x);
    x->body = NULL;
    x->n = x->cap = 0;
    return MHD_YES;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *k, const char *url, const char *method, const char *version, const char *data, size_t *n,
                              void **con_cls)
{
    Call *x = *con_cls;
    (void)version;
    if (!x) {
        *con_cls = x = calloc(1, sizeof *x);
        CHECK(x, "no memory for a request");
        *x = (Call){ .h = cls, .k = k, .start = now() };
        return begin(x, url, method);
    }
    if (*n > 0) {
        const size_t came = *n;
        *n = 0;
        return take(x, data, came);
    }
    return x->answered ? MHD_YES : x->job ? send_answer(x) : end_of_body(x);
}

static void completed(void *cls, struct MHD_Connection *k, void **con_cls, enum MHD_RequestTerminationCode why)
{
    Call *x = *con_cls;
    (void)cls, (void)k, (void)why;
    *con_cls = NULL;
    if (!x)
        return;
    drop_body(x);
    if (x->job)
        job_forget(x->h->q, x->job);
    free(x);
}

/* ---- listening ---- */

typedef union { struct sockaddr any; struct sockaddr_in four; struct sockaddr_in6 six; } Address;

static bool listen_on(Http *h, Err *e)
{
    Address a = { 0 };
    socklen_t n;
    const int yes = 1;
    if (inet_pton(AF_INET, h->c->address, &a.four.sin_addr) == 1) {
        a.four.sin_family = AF_INET;
        a.four.sin_port = htons((uint16_t)h->c->port);
        n = sizeof a.four;
    } else if (inet_pton(AF_INET6, h->c->address, &a.six.sin6_addr) == 1) {
        a.six.sin6_family = AF_INET6;
        a.six.sin6_port = htons((uint16_t)h->c->port);
        n = sizeof a.six;
    } else {
        return err_set(e, EXIT_CONFIG, "serve.address", "127.0.0.1: this machine alone; 0.0.0.0: whoever reaches it", "\"%.80s\" is no address", h->c->address);
    }
    h->socket = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (h->socket < 0 || setsockopt(h->socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) || bind(h->socket, &a.any, n) || listen(h->socket, SOMAXCONN) ||
        getsockname(h->socket, &a.any, &n)) {
        err_got(e, "%s", strerror(errno));
        return err_set(e, EXIT_CONFIG, "serve.address, serve.port", "another port; 0 takes any that is free", "cannot listen on %s, port %d", h->c->address, h->c->port);
    }
    h->port = ntohs(a.any.sa_family == AF_INET ? a.four.sin_port : a.six.sin6_port);
    return true;
}

Http *http_open(const HttpConf *c, Jobs *q, Err *e)
{
    const bool here = !strncmp(c->address, "127.", 4) || !strcmp(c->address, "::1");
    Http *h = calloc(1, sizeof *h);
    CHECK(h, "no memory for a server");
    *h = (Http){ .c = c, .q = q, .socket = -1, .local = here && !*c->key };
    if (listen_on(h, e))
        return h;
    http_close(h);
    return NULL;
}

bool http_start(Http *h, Err *e)
{
    const HttpConf *c = h->c;
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);               /* signals are the main thread's */
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, h,
                                 MHD_OPTION_LISTEN_SOCKET, h->socket, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)c->connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)c->timeout,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return h->daemon || err_set(e, EXIT_INTERNAL, "", "", "libmicrohttpd does not start: %s", strerror(errno));
}

int http_port(const Http *h) { return h->port; }

void http_quiesce(Http *h)
{
    if (MHD_quiesce_daemon(h->daemon) != MHD_INVALID_SOCKET && h->socket >= 0)
        close(h->socket);
    h->socket = -1;
}

void http_close(Http *h)
{
    if (!h)
        return;
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    else if (h->socket >= 0)
        close(h->socket);
    free(h);
}

void http_sleep(void *connection) { MHD_suspend_connection(connection); }
void http_wake(void *connection) { MHD_resume_connection(connection); }
