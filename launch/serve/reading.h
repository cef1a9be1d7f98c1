/*
 * reading.h -- requests on their way to the model: a body becomes what is asked, its pictures become pixels
 *
 * Two threads, neither the connections' nor the main one (jobs.h has the DESIGN): one parses (chatrequest.h), one decodes.  The second alone
 * calls the picture decoders, which are not for two threads at once.  Neither calls MPI.
 *
 * Tests   tests/launch/serve.sh
 */
#pragma once
#include "io/image/image.h"
#include "launch/serve/jobs.h"

typedef struct {
    Jobs *q;
    const ChatLimits *limits;
    const ImageOps   *image;
    int       size, fit;           /* of the pixels: a side; FIT_PAD ... */
    pthread_t parser, decoder;
} Reading;

/* Starts the threads: what r says stays until reading_close. */
void reading_open(Reading *r);
/* Behind jobs_stop: waits until each has let go what it has, a body or a picture. */
void reading_close(Reading *r);
