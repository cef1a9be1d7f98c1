/* test_jobs.c -- requests between their clients, those that read them and the model: order, memory, and clients that go in each state */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launch/serve/http.h"

enum { BODY = 100, PICTURE = 30, MOST = 4 };

/* A connection here counts how often it slept and was woken. */
typedef struct { int slept, woken, fd[2]; Job *job; } Client;

void http_sleep(void *connection) { ((Client *)connection)->slept++; }
void http_wake(void *connection) { ((Client *)connection)->woken++; }

static Jobs q;
static const Refusal FINE;

static int begin(void **state)
{
    (void)state;
    jobs_open(&q, MOST, 1, 100 * BODY);
    return 0;
}

/* What is held is held no more when all have gone. */
static int end(void **state)
{
    (void)state;
    assert_int_equal(jobs_left(&q), 0);
    assert_int_equal(q.held, 0);
    assert_int_equal(q.waits, 0);
    assert_int_equal(q.runs, 0);
    jobs_close(&q);
    return 0;
}

static Job *ask(Client *c, Refusal *why)
{
    char *body = calloc(BODY, 1);
    *c = (Client){ 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, c->fd), 0);
    assert_true(jobs_hold(&q, BODY));
    c->job = jobs_add(&q, body, BODY, BODY, c, c->fd[0], why);
    if (!c->job) {
        jobs_let_go(&q, BODY);
        free(body);
        close(c->fd[0]);
        close(c->fd[1]);
    }
    return c->job;
}

static void leave(Client *c)
{
    close(c->fd[1]);
    c->fd[1] = -1;
    jobs_wait(&q, 0);
}

static void forget(Client *c)
{
    job_forget(&q, c->job);
    close(c->fd[0]);
    if (c->fd[1] >= 0)
        close(c->fd[1]);
}

/* It has been read: a text, or one picture. */
static void read_as(Job *j, bool picture)
{
    ChatRequest a = { .images = picture };
    if (picture) {
        a.image = calloc(1, sizeof *a.image);
        a.image->bytes = calloc(PICTURE, 1);
        a.image->n = PICTURE;
    }
    job_read(&q, j, &a, &FINE);
}

static void show(Job *j) { job_shown(&q, j, calloc(PICTURE, 1), &FINE); }

static void *take_shows(void *to)
{
    *(Job **)to = jobs_take(&q, JOB_SHOWS);
    return NULL;
}

static void texts_overtake(void **state)
{
    (void)state;
    Client c[3];
    Refusal why = { 0 };
    for (int i = 0; i < 3; i++)
        assert_non_null(ask(&c[i], &why));
    assert_null(jobs_next(&q));                             /* nobody has read them */
    for (int i = 0; i < 3; i++) {
        Job *j = jobs_take(&q, JOB_CAME);
        assert_ptr_equal(j, c[i].job);
        read_as(j, i < 2);
    }
    assert_int_equal(q.held, 2 * PICTURE);
    Job *shown = jobs_take(&q, JOB_SHOWS);
    assert_ptr_equal(shown, c[0].job);
    assert_ptr_equal(jobs_next(&q), c[2].job);
    assert_null(jobs_next(&q));
    show(shown);
    assert_ptr_equal(jobs_next(&q), shown);
    assert_non_null(shown->pixels);
    assert_ptr_equal(jobs_take(&q, JOB_SHOWS), c[1].job);
    show(c[1].job);
    assert_ptr_equal(jobs_next(&q), c[1].job);
    for (int i = 0; i < 3; i++) {
        job_end(&q, c[i].job, NULL, false, 1, 1);
        assert_int_equal(c[i].slept, 1);
        assert_int_equal(c[i].woken, 1);
        forget(&c[i]);
    }
}

/* No more are decoded ahead than may be; one that goes makes room. */
static void room_is_passed_on(void **state)
{
    (void)state;
    Client c[2];
    Refusal why = { 0 };
    Job *taken = NULL;
    pthread_t decoder;
    for (int i = 0; i < 2; i++) {
        ask(&c[i], &why);
        read_as(jobs_take(&q, JOB_CAME), true);
    }
    show(jobs_take(&q, JOB_SHOWS));
    assert_int_equal(pthread_create(&decoder, NULL, take_shows, &taken), 0);
    usleep(20000);                                          /* it sleeps by now, most likely */
    assert_null(taken);
    leave(&c[0]);
    pthread_join(decoder, NULL);
    assert_ptr_equal(taken, c[1].job);
    assert_false(job_gone(&q, taken));
    leave(&c[1]);
    assert_true(job_gone(&q, taken));                       /* while it is decoded */
    show(taken);
    assert_null(jobs_next(&q));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(c[i].woken, 1);
        forget(&c[i]);
    }
}

/* What cannot be read is refused at once, what has no picture when it is begun. */
static void refused(void **state)
{
    (void)state;
    Client c[2];
    Refusal why = { 0 }, bad = { .status = 400, .message = "no" };
    ChatRequest none = { 0 };
    ask(&c[0], &why);
    job_read(&q, jobs_take(&q, JOB_CAME), &none, &bad);
    assert_int_equal(c[0].job->state, JOB_ENDED);
    assert_int_equal(c[0].job->why.status, 400);
    assert_int_equal(c[0].woken, 1);
    ask(&c[1], &why);
    read_as(jobs_take(&q, JOB_CAME), true);
    job_shown(&q, jobs_take(&q, JOB_SHOWS), NULL, &bad);
    assert_ptr_equal(jobs_next(&q), c[1].job);
    assert_int_equal(c[1].job->why.status, 400);
    job_end(&q, c[1].job, &bad, false, 0, 0);
    forget(&c[0]);
    forget(&c[1]);
}

static void queue_ends(void **state)
{
    (void)state;
    Client c[MOST + 1];
    Refusal why = { 0 };
    for (int i = 0; i < MOST; i++)
        assert_non_null(ask(&c[i], &why));
    assert_null(ask(&c[MOST], &why));
    assert_int_equal(why.status, 429);
    Job *reading = jobs_take(&q, JOB_CAME);
    forget(&c[0]);                                          /* the connection goes first, the reader has it still */
    jobs_stop(&q);
    read_as(reading, true);
    assert_null(jobs_take(&q, JOB_CAME));
    assert_null(jobs_take(&q, JOB_SHOWS));
    why = FINE;
    assert_null(ask(&c[MOST], &why));
    assert_int_equal(why.status, 503);
    for (int i = 1; i < MOST; i++) {
        assert_int_equal(c[i].job->why.status, 503);
        forget(&c[i]);
    }
}

int main(void)
{
    alarm(120);                                             /* a thread that nobody wakes */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_overtake, begin, end), cmocka_unit_test_setup_teardown(room_is_passed_on, begin, end),
        cmocka_unit_test_setup_teardown(refused, begin, end), cmocka_unit_test_setup_teardown(queue_ends, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
