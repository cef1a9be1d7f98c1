#include "launch/serve/reading.h"

#include <signal.h>
#include <stdlib.h>

static void *parse(void *arg)
{
    Reading *r = arg;
    for (Job *j; (j = jobs_take(r->q, JOB_CAME));) {
        Refusal why = { 0 };
        ChatRequest a;
        chatrequest_read(&a, j->body ? j->body : "", j->body_n, r->limits, &why);
        job_read(r->q, j, &a, &why);
    }
    return NULL;
}

/* NULL: *why says why, or nobody waits for them any more. */
static uint8_t *decode_all(Reading *r, Job *j, Refusal *why)
{
    const size_t size = (size_t)r->size, bytes = size * size * 3;
    const ChatRequest *a = &j->asked;
    uint8_t *pixels = malloc((size_t)a->images * bytes);
    Err e = { 0 };
    CHECK(pixels, "no memory for %d pictures", a->images);
    for (int i = 0; i < a->images && !e.code && !job_gone(r->q, j); i++)
        r->image->load_square_bytes(pixels + (size_t)i * bytes, a->image[i].bytes, a->image[i].n, a->image[i].where, r->size, r->fit, &e);
    if (!e.code)
        return pixels;
    refuse_err(why, "invalid_image", "messages", &e);
    free(pixels);
    return NULL;
}

static void *decode(void *arg)
{
    Reading *r = arg;
    for (Job *j; (j = jobs_take(r->q, JOB_SHOWS));) {
        Refusal why = { 0 };
        uint8_t *pixels = decode_all(r, j, &why);
        job_shown(r->q, j, pixels, &why);
    }
    return NULL;
}

void reading_open(Reading *r)
{
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);               /* signals are the main thread's */
    CHECK(!pthread_create(&r->parser, NULL, parse, r) && !pthread_create(&r->decoder, NULL, decode, r), "no threads to read requests");
    pthread_sigmask(SIG_SETMASK, &was, NULL);
}

void reading_close(Reading *r)
{
    pthread_join(r->parser, NULL);
    pthread_join(r->decoder, NULL);
}
