#include "io/base/events.h"

#include "io/base/append.h"
#include "io/base/files.h"
#include "io/base/hosts.h"
#include "io/base/tfrecord.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "events.out.tfevents."

enum { EVENT_CAP = 8192, TAG_CAP = 256, AROUND = 64 /* bytes around a tag, or a summary */ };
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };      /* protobuf's wire types */
enum { WALL_TIME = 1, STEP, FILE_VERSION, SUMMARY = 5, SESSION_LOG = 7 };

struct Events { Append *file; };

/* ---- protobuf ---- */

typedef struct { uint8_t bytes[EVENT_CAP]; size_t n; } Message;

static void put_byte(Message *m, unsigned byte)
{
    CHECK(m->n < EVENT_CAP, "an event of TensorBoard has more than %d bytes", EVENT_CAP);
    m->bytes[m->n++] = (uint8_t)byte;
}

static void put_varint(Message *m, uint64_t x)
{
    for (; x > 127; x >>= 7)
        put_byte(m, (unsigned)(x & 127) | 128);
    put_byte(m, (unsigned)x);
}

static void put_key(Message *m, int field, int type)
{
    put_varint(m, (uint64_t)(field << 3 | type));
}

static void put_fixed(Message *m, uint64_t bits, int bytes)
{
    for (int i = 0; i < bytes; i++)
        put_byte(m, (unsigned)(bits >> 8 * i) & 255);
}

static void put_double(Message *m, int field, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_key(m, field, FIXED64);
    put_fixed(m, bits, 8);
}

static void put_float(Message *m, int field, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_key(m, field, FIXED32);
    put_fixed(m, bits, 4);
}

static void put_bytes(Message *m, int field, const void *bytes, size_t n)
{
    put_key(m, field, BYTES);
    put_varint(m, n);
    for (size_t i = 0; i < n; i++)
        put_byte(m, ((const uint8_t *)bytes)[i]);
}

/* ---- events ---- */

static void event(Events *v, double time, int64_t step, int field, const void *bytes, size_t n)
{
    uint8_t record[EVENT_CAP + TFRECORD_FRAME];
    Message m = { .n = 0 };
    put_double(&m, WALL_TIME, time);
    if (step) {
        put_key(&m, STEP, VARINT);
        put_varint(&m, (uint64_t)step);
    }
    put_bytes(&m, field, bytes, n);
    append_record(v->file, record, tfrecord_frame(record, m.bytes, m.n));
}

static void scalar(Message *m, const char *tag, double x)
{
    Message value;
    value.n = 0;
    put_bytes(&value, 1, tag, strlen(tag));
    put_float(&value, 2, (float)x);
    put_bytes(m, 1, value.bytes, value.n);
}

static void scalars(Message *m, const char *stem, const double *x, int n)
{
    char tag[TAG_CAP];
    for (int i = 0; i < n && i < LOG_DEPTHS; i++) {
        snprintf(tag, sizeof tag, "%s_%d", stem, i);
        scalar(m, tag, x[i]);
    }
}

void events_step(Events *v, const StepLog *s)
{
    const struct { const char *tag; double x; } plain[] = {
        { "loss", s->loss }, { "loss/text", s->loss_text }, { "loss/visual", s->loss_visual },
        { "grad_norm", s->grad_norm }, { "lr", s->lr }, { "skipped", (double)s->skipped },
        { "rate/samples_per_s", s->samples_per_s }, { "rate/tokens_per_s", s->tokens_per_s }, { "rate/flops_share", s->flops_share },
        { "time/step", s->t_step }, { "time/data", s->t_data }, { "time/forward", s->t_forward }, { "time/backward", s->t_backward },
        { "time/reduce", s->t_reduce }, { "time/optim", s->t_optim }, { "time/ckpt", s->t_ckpt }, { "memory/rss_mb", s->rss_mb },
    };
    Message m = { .n = 0 };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        scalar(&m, plain[i].tag, plain[i].x);
    scalars(&m, "loss/visual_depth", s->loss_visual_depth, s->depths);
    scalars(&m, "codes/usage", s->code_usage, s->books);
    scalars(&m, "codes/perplexity", s->code_perplexity, s->books);
    if (s->books)
        scalar(&m, "codes/restarts", (double)s->code_restarts);
    event(v, s->time, s->step, SUMMARY, m.bytes, m.n);
}

/* ---- evaluations ---- */

/* Numbers of one moment: there may be more of them than an event takes. */
typedef struct { Events *v; double time; int64_t step; Message m; } Moment;

static void moment_close(Moment *o)
{
    if (o->m.n)
        event(o->v, o->time, o->step, SUMMARY, o->m.bytes, o->m.n);
    o->m.n = 0;
}

static void moment_add(Moment *o, const char *group, const char *name, double x)
{
    char tag[TAG_CAP];
    snprintf(tag, sizeof tag, "%s/%s", group, name);
    if (o->m.n + strlen(tag) + 2 * AROUND > EVENT_CAP)
        moment_close(o);
    scalar(&o->m, tag, x);
}

/* What JSON has no word for is null there. */
static double value(const json_t *x) { return json_is_number(x) ? json_number_value(x) : NAN; }

void events_evaluation(Events *v, const json_t *line)
{
    json_t *o = (json_t *)(uintptr_t)line, *tasks = json_object_get(o, "tasks"), *x;      /* jansson walks what is not const */
    Moment t = { .v = v, .time = value(json_object_get(o, "time")), .step = json_integer_value(json_object_get(o, "step")), .m.n = 0 };
    const char *key;
    double questions = 0;
    json_object_foreach(o, key, x)
        if (strcmp(key, "step") && strcmp(key, "time") && (json_is_number(x) || json_is_null(x)) && (json_object_size(tasks) || strcmp(key, "mean")))
            moment_add(&t, "eval", key, value(x));
    json_object_foreach(tasks, key, x) {
        moment_add(&t, "accuracy", key, value(json_object_get(x, "accuracy")));
        questions += value(json_object_get(x, "n"));
    }
    if (json_object_size(tasks))
        moment_add(&t, "eval", "questions", questions);
    json_object_foreach(json_object_get(o, "benchmarks"), key, x)
        if (json_is_number(json_object_get(x, "score")))
            moment_add(&t, "benchmark", key, value(json_object_get(x, "score")));
    moment_close(&t);
}

/* ---- the file ---- */

/* The seconds of the newest file in the folder, where they are more. */
static bool newest(const char *folder, int64_t *seconds, Err *e)
{
    DIR *d = opendir(folder);
    if (!d)
        return file_error(e, folder, "open");
    for (struct dirent *f; (f = readdir(d)); ) {
        int64_t s;
        if (sscanf(f->d_name, PREFIX "%" SCNd64 ".", &s) == 1 && s > *seconds)
            *seconds = s;
    }
    closedir(d);
    return true;
}

Events *events_open(const char *folder, int64_t resume_step, Err *e)
{
    char path[PATH_ROOM];
    static const uint8_t start[] = { 1 << 3 | VARINT, 1 };
    const int64_t began = (int64_t)time(NULL);
    int64_t seconds = -1;
    Host host;
    Events *v = calloc(1, sizeof *v);
    CHECK(v, "no memory for the events of TensorBoard");
    host_self(host);
    bool ok = dir_make(folder, e) && newest(folder, &seconds, e) &&
              path_set(path, e, "%s/" PREFIX "%010" PRId64 ".%s.%ld", folder, max64(began, seconds + 1), host, (long)getpid()) &&
              (v->file = append_open(path, O_CREAT | O_EXCL, "TensorBoard's events", e)) && file_sync(folder, e);
    if (!ok) {
        if (v->file)
            append_close(v->file);
        free(v);
        return NULL;
    }
    event(v, (double)began, 0, FILE_VERSION, "brain.Event:2", 13);
    event(v, (double)began, resume_step, SESSION_LOG, start, sizeof start);
    return v;
}

void events_sync(Events *v)
{
    append_sync(v->file);
}

void events_close(Events *v)
{
    append_close(v->file);
    free(v);
}
