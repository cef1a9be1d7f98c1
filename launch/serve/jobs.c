#include "launch/serve/jobs.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "launch/serve/http.h"

static void lock(Jobs *q) { pthread_mutex_lock(&q->lock); }
static void unlock(Jobs *q) { pthread_mutex_unlock(&q->lock); }

void jobs_open(Jobs *q, int most, int ahead, size_t most_held)
{
    *q = (Jobs){ .most = most, .ahead = ahead, .most_held = most_held, .event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
    CHECK(q->event >= 0 && !pthread_mutex_init(&q->lock, NULL) && !pthread_cond_init(&q->more, NULL), "no eventfd, or no lock");
}

void jobs_close(Jobs *q)
{
    ASSERT(!q->all && !q->first);
    close(q->event);
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
}

void jobs_ring(const Jobs *q)
{
    const uint64_t one = 1;
    const ssize_t n = write(q->event, &one, sizeof one);
    (void)n;                                    /* full: it has been rung */
}

bool jobs_hold(Jobs *q, size_t n)
{
    lock(q);
    const bool fits = n <= q->most_held - q->held;
    if (fits)
        q->held += n;
    unlock(q);
    return fits;
}

void jobs_let_go(Jobs *q, size_t n)
{
    lock(q);
    q->held -= n;
    unlock(q);
}

/* ---- under the lock ---- */

static void wake(Job *j)
{
    void *sleeper = j->asleep;
    j->asleep = NULL;
    if (sleeper)
        http_wake(sleeper);
}

static void hold(Jobs *q, Job *j, size_t n)
{
    q->held += n - j->held;
    j->held = n;
}

static void leave(Jobs *q, Job *j)
{
    if (--j->owners)
        return;
    hold(q, j, 0);
    free(j->body);
    free(j->pixels);
    chatrequest_free(&j->asked);
    free(j->text);
    free(j->out);
    free(j);
}

static void unlist(Jobs *q, Job *j)
{
    for (Job **at = &q->first; *at; at = &(*at)->next)
        if (*at == j) {
            *at = j->next;
            q->waits--;
            pthread_cond_broadcast(&q->more);   /* it may have had pixels */
            return;
        }
}

static void end(Jobs *q, Job *j, const Refusal *why)
{
    q->runs -= j->state == JOB_RUNS;
    j->state = JOB_ENDED;
    if (why)
        j->why = *why;
    wake(j);
}

static void refuse_waiting(Jobs *q, Job *j, int status, const char *code, const char *text)
{
    Refusal why = { 0 };
    refuse(&why, status, code, "", "%s", text);
    unlist(q, j);
    end(q, j, &why);
    leave(q, j);
}

/* ---- of the connections' thread ---- */

static Job *make(Jobs *q, char *body, size_t n, size_t held)
{
    Job *j = calloc(1, sizeof *j);
    CHECK(j, "no memory for a request");
    j->body = body;
    j->body_n = n;
    j->held = held;
    j->created = (int64_t)time(NULL);
    j->number = ++q->number;
    snprintf(j->id, sizeof j->id, "chatcmpl-%08llx%04x%06llx", (unsigned long long)j->created, (unsigned)getpid() & 0xffff,
             (unsigned long long)j->number);
    j->owners = 2;
    return j;
}

Job *jobs_add(Jobs *q, char *body, size_t n, size_t held, void *connection, int fd, Refusal *why)
{
    Job *j = NULL;
    lock(q);
    if (q->stopping)
        refuse(why, 503, "stopping", "", "the server is about to end");
    else if (q->waits >= q->most)
        refuse(why, 429, "rate_limit_exceeded", "", "%d requests wait already (serve.queue): try again in a moment", q->waits);
    else {
        j = make(q, body, n, held);
        Job **at = &q->first;
        while (*at)
            at = &(*at)->next;
        *at = j;
        j->after = q->all;
        q->all = j;
        q->waits++;
        j->fd = fd;
        j->asleep = connection;
        http_sleep(connection);
        pthread_cond_broadcast(&q->more);
    }
    unlock(q);
    if (j)
        jobs_ring(q);                           /* jobs_wait has a socket more to look at */
    return j;
}

void job_forget(Jobs *q, Job *j)
{
    lock(q);
    for (Job **at = &q->all; *at; at = &(*at)->after)
        if (*at == j) {
            *at = j->after;
            break;
        }
    j->gone = true;
    j->asleep = NULL;
    leave(q, j);
    unlock(q);
    jobs_ring(q);
}

/* ---- of those that read ---- */

static bool has_room(const Jobs *q)
{
    int n = 0;
    for (const Job *j = q->first; j; j = j->next)
        n += j->pixels != NULL;
    return n < q->ahead;
}

static Job *first_in(const Jobs *q, JobState state)
{
    Job *j = q->first;
    while (j && j->state != state)
        j = j->next;
    return j;
}

Job *jobs_take(Jobs *q, JobState state)
{
    Job *j = NULL;
    lock(q);
    while (!q->stopping && !((state != JOB_SHOWS || has_room(q)) && (j = first_in(q, state))))
        pthread_cond_wait(&q->more, &q->lock);
    if (j)
        j->owners++;
    unlock(q);
    return j;
}

/* Its reader has no more use for it. */
static void give(Jobs *q, Job *j)
{
    leave(q, j);
    pthread_cond_broadcast(&q->more);
    unlock(q);
    jobs_ring(q);
}

void job_read(Jobs *q, Job *j, ChatRequest *a, const Refusal *why)
{
    size_t n = 0;
    for (int i = 0; i < a->images; i++)
        n += a->image[i].n;
    lock(q);
    free(j->body);
    j->body = NULL;
    hold(q, j, j->state == JOB_CAME ? n : 0);
    if (j->state == JOB_CAME && why->status) {
        unlist(q, j);
        end(q, j, why);
        j->owners--;                            /* the list */
    } else if (j->state == JOB_CAME) {
        j->asked = *a;
        j->state = a->images ? JOB_SHOWS : JOB_WAITS;
        *a = (ChatRequest){ 0 };
    }
    give(q, j);
    chatrequest_free(a);
}

void job_shown(Jobs *q, Job *j, uint8_t *pixels, const Refusal *why)
{
    lock(q);
    for (int i = 0; i < j->asked.images; i++) {
        free(j->asked.image[i].bytes);
        j->asked.image[i].bytes = NULL;
    }
    hold(q, j, 0);
    if (j->state == JOB_SHOWS) {
        j->pixels = pixels;
        j->why = *why;
        j->state = JOB_WAITS;
        pixels = NULL;
    }
    give(q, j);
    free(pixels);
}

/* ---- of the main thread ---- */

static void look_at_clients(Jobs *q, const struct pollfd *p, const int64_t *whose, int n)
{
    lock(q);
    for (int i = 0; i < n; i++)
        for (Job *j = q->all; j; j = j->after)
            if (j->number == whose[i] && j->asleep && p[i].revents) {
                j->gone = true;
                if (j->state < JOB_RUNS)
                    refuse_waiting(q, j, 503, "gone", "the client has gone");
                break;
            }
    unlock(q);
}

void jobs_wait(Jobs *q, int milliseconds)
{
    enum { MOST = 1 << 12 };
    static struct pollfd p[MOST + 1];
    static int64_t whose[MOST];
    uint64_t rung;
    int n = 0;
    lock(q);
    for (Job *j = q->all; j && n < MOST; j = j->after)
        if (j->asleep && !j->gone) {
            p[n] = (struct pollfd){ .fd = j->fd, .events = POLLRDHUP };
            whose[n++] = j->number;
        }
    unlock(q);
    p[n] = (struct pollfd){ .fd = q->event, .events = POLLIN };
    if (poll(p, (nfds_t)n + 1, milliseconds) <= 0)
        return;
    if (read(q->event, &rung, sizeof rung) < 0)
        rung = 0;
    look_at_clients(q, p, whose, n);
}

Job *jobs_next(Jobs *q)
{
    lock(q);
    Job *j = first_in(q, JOB_WAITS);
    if (j) {
        unlist(q, j);
        j->state = JOB_RUNS;
        q->runs++;
    }
    unlock(q);
    return j;
}

bool job_gone(Jobs *q, Job *j)
{
    lock(q);
    const bool gone = j->gone || j->state == JOB_ENDED;
    unlock(q);
    return gone;
}

void job_say(Jobs *q, Job *j, const char *text, size_t n)
{
    if (n == 0)
        return;
    lock(q);
    if (j->n + n + 1 > j->cap) {
        j->cap  = 2 * (j->n + n) + 256;
        j->text = realloc(j->text, j->cap);
        CHECK(j->text, "no memory for an answer of %zu bytes", j->cap);
    }
    memcpy(j->text + j->n, text, n);
    j->n += n;
    j->text[j->n] = '\0';
    if (j->asked.stream)
        wake(j);
    unlock(q);
}

void job_end(Jobs *q, Job *j, const Refusal *why, bool length, int prompt, int made)
{
    lock(q);
    j->length = length;
    j->prompt = prompt;
    j->made = made;
    end(q, j, why);
    leave(q, j);
    unlock(q);
}

void jobs_stop(Jobs *q)
{
    lock(q);
    q->stopping = true;
    while (q->first)
        refuse_waiting(q, q->first, 503, "stopping", "the server is about to end");
    pthread_cond_broadcast(&q->more);
    unlock(q);
}

int jobs_left(Jobs *q)
{
    int n = 0;
    lock(q);
    for (Job *j = q->all; j; j = j->after)
        n++;
    unlock(q);
    return n;
}
