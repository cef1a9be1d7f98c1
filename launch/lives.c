#include "launch/lives.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dist/comm.h"
#include "io/base/files.h"
#include "io/base/hosts.h"
#include "io/base/json.h"
#include "io/base/life.h"
#include "io/base/logfile.h"
#include "launch/verbs.h"

#define LIVES_MAX ((size_t)4 << 30)           /* bytes that lives.jsonl may have */
enum { SKIPS = 3 /* in a row that are worth a line */, NAMED_EVERY = 10 /* seconds between two lines on stragglers */, TAIL = 64 << 10 };

struct Lives {
    int    fd;
    double worked, named;           /* wall clock: the last step was logged; a straggler was named */
    char   why[512];
    bool   told;
};

/* What the watchdog's thread of any rank knows of this life. */
static struct {
    atomic_bool ready;
    char path[PATH_ROOM], lease[PATH_ROOM], tag[17];
    int  rank;
} own;

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* To the millisecond, which is what is printed. */
static json_t *moment(double t) { return json_real(round(1000 * t) / 1000); }

/* When the life before in this process ended: that of another stage. */
static double before;

/* When this process began, by the wall clock, or was free for this run. */
static double born(const Life *me)
{
    struct timespec t;
    const double is = wall();
    if (me->started < 0 || clock_gettime(CLOCK_BOOTTIME, &t))
        return is;
    const double age = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec - (double)me->started / (double)sysconf(_SC_CLK_TCK);
    return fmax(before, age > 0 ? is - age : is);
}

/* The line of an object, which is released; to be freed. */
static char *line_of(json_t *o, size_t *n)
{
    char *text = o ? json_dumps(o, JSON_REAL_PRECISION(13)) : NULL;
    CHECK(text, "no memory for a line of lives.jsonl");
    const size_t bare = strlen(text) - 1, room = bare + 64;
    text = realloc(text, room);
    CHECK(text, "no memory for a line of lives.jsonl");
    *n = logfile_seal(text, bare, room);
    json_decref(o);
    return text;
}

/* The first keys of every line. */
static json_t *event(const char *name, double time, const char *life)
{
    json_t *o = json_object();
    json_object_set_new(o, "event", json_string(name));
    json_object_set_new(o, "time", moment(time));
    json_object_set_new(o, "life", json_string(life));
    return o;
}

static json_t *with(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value);
    return o;
}

static void append(const Run *r, json_t *o)
{
    Lives *l = r->lives;
    size_t n;
    char *text = line_of(o, &n), warning[256];
    Err lost = { 0 };
    if (lease_held(r->lease, &lost)) {
        const off_t end = lseek(l->fd, 0, SEEK_END);
        const bool ok = file_write(l->fd, text, n) && file_fsync(l->fd);
        const int error = errno;
        if (!ok && end >= 0)
            (void)!ftruncate(l->fd, end);
        snprintf(warning, sizeof warning, "cannot write lives.jsonl (what this life does is missing there, training goes on): %s", strerror(error));
        if (!ok && !l->told)
            log_warn(warning);
        l->told |= !ok;
    }
    free(text);
}

/* ---- the life before ---- */

typedef struct { char life[17]; bool open; double worked; int64_t step; } Before;

/* A whole line of lives.jsonl: whose life is the last, and has it ended? */
static void hear_of(Before *b, const char *line, size_t n)
{
    json_t *o = json_loadb(line, n, 0, NULL);
    const char *what = json_string_value(json_object_get(o, "event")), *life = json_string_value(json_object_get(o, "life"));
    if (what && life && !strcmp(what, "start")) {
        snprintf(b->life, sizeof b->life, "%s", life);
        b->open = true;
    } else if (what && life && (!strcmp(what, "end") || !strcmp(what, "lost")) && !strcmp(life, b->life)) {
        b->open = false;
    }
    json_decref(o);
}

/* The last whole line of run.jsonl. */
static void last_step(Before *b, const char *run_dir)
{
    char path[PATH_ROOM], *text = malloc(TAIL + 1);
    Err none = { 0 };
    CHECK(text, "no memory for the end of run.jsonl");
    const int fd = path_set(path, &none, "%s/run.jsonl", run_dir) ? file_open(path, O_RDONLY) : -1;
    const off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    int64_t n = size > 0 ? file_pread(fd, text, TAIL, max64(0, size - TAIL)) : 0;
    while (n > 0 && text[n - 1] != '\n')
        n--;
    text[n > 0 ? n - 1 : 0] = 0;                /* without its newline; what is torn is cut */
    const char *line = strrchr(text, '\n');
    if (sscanf(line ? line + 1 : text, "{\"step\": %" SCNd64 ", \"time\": %lf", &b->step, &b->worked) != 2)
        b->step = 0, b->worked = 0;
    if (fd >= 0)
        close(fd);
    free(text);
}

/* Whole lines of the file as it was, and what is to be said of the last life in it. */
static void take_over(const Run *r, FILE *out, const char *path, Err *e)
{
    char *text = NULL;
    size_t n = 0;
    Before b = { .step = 0 };
    if (access(path, F_OK) && errno == ENOENT)
        return;
    if (!file_read(path, LIVES_MAX, &text, &n, e))
        return;
    for (char *at = text, *end; at < text + n && (end = memchr(at, '\n', (size_t)(text + n - at))); at = end + 1) {
        hear_of(&b, at, (size_t)(end - at));
        fwrite(at, 1, (size_t)(end + 1 - at), out);
    }
    free(text);
    if (!b.open)
        return;
    last_step(&b, r->c->run.dir);
    const double heard = fmax(lease_heard(r->lease), b.worked);
    char *line = line_of(with(with(with(event("lost", wall(), b.life), "step", json_integer(b.step)), "worked", moment(b.worked)),
                              "heard", moment(heard)), &n);
    fwrite(line, 1, n, out);
    free(line);
}

/* ---- a life begins ---- */

static json_t *nodes_of(const Host *host, int ranks)
{
    json_t *list = json_array();
    for (int i = 0; i < ranks; i++) {
        bool known = i && !strcmp(host[i], host[i - 1]);            /* neighbours, mostly */
        for (int k = 0; k < i && !known; k++)
            known = !strcmp(host[k], host[i]);
        if (!known)
            json_array_append_new(list, json_text(host[i]));
    }
    return list;
}

static json_t *start_of(const Run *r, json_t *nodes)
{
    Life me;
    life_self(&me);
    json_t *o = event("start", born(&me), r->tag);
    with(with(with(o, "host", json_text(me.host)), "job", json_text(me.job)), "restart", json_integer(me.restart));
    with(with(o, "nodes", nodes), "ranks", json_integer(r->grid.size));
    with(with(o, "tp", json_integer(r->grid.tp_size)), "dp", json_integer(r->grid.dp_size));
    with(with(o, "threads", json_integer(r->threads)), "saved", json_integer(lease_saved(r->lease)));
    return with(o, "version", json_string(VERSION));
}

/* The lines so far, and this life's first, are another file by now. */
static bool begin(Run *r, json_t *start, Err *e)
{
    char aside[PATH_ROOM];
    size_t n, all = 0;
    char *line = line_of(start, &n), *text = NULL;
    FILE *f = open_memstream(&text, &all);
    CHECK(f, "no memory for %s", own.path);
    take_over(r, f, own.path, e);
    fwrite(line, 1, n, f);
    free(line);
    CHECK(fclose(f) == 0, "no memory for %s", own.path);
    bool ok = !e->code && path_set(aside, e, "%s/.tmp-%s-lives.jsonl", r->c->run.dir, r->tag);
    if (ok) {
        r->lives->fd = file_open(aside, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
        ok = r->lives->fd >= 0 || file_error(e, aside, "create");
        ok = ok && ((file_write(r->lives->fd, text, all) && file_fsync(r->lives->fd)) || file_error(e, aside, "write"));
        ok = ok && lease_held(r->lease, e) && file_commit(aside, own.path, e);
        if (!ok)
            unlink(aside);
    }
    free(text);
    return ok;
}

void lives_open(Run *r, Err *e)
{
    Host mine, *host = calloc((size_t)r->grid.size, sizeof *host);
    CHECK(host, "no memory for the names of %d hosts", r->grid.size);
    host_self(mine);
    comm_gather(r->grid.world, mine, host, sizeof mine);
    Err none = { 0 };
    own.rank = r->grid.rank;
    snprintf(own.tag, sizeof own.tag, "%s", r->tag);
    const bool named = path_set(own.path, &none, "%s/lives.jsonl", r->c->run.dir) && path_set(own.lease, &none, "%s/.lease", r->c->run.dir);
    if (r->grid.rank == 0) {
        r->lives = calloc(1, sizeof *r->lives);
        CHECK(r->lives, "no memory for lives.jsonl");
        r->lives->fd = -1;
        *e = e->code ? *e : none;
        if (!named || !begin(r, start_of(r, nodes_of((const Host *)host, r->grid.size)), e)) {
            if (r->lives->fd >= 0)
                close(r->lives->fd);
            free(r->lives);
            r->lives = NULL;
        }
    }
    free(host);
    own.ready = named;
}

/* ---- what becomes of it ---- */

static json_t *now_and(const Run *r, const char *name, int64_t step)
{
    return with(event(name, wall(), r->tag), "step", json_integer(step));
}

void lives_resume(const Run *r)
{
    if (r->lives)
        append(r, with(with(now_and(r, "resume", r->step), "steps", json_integer(r->steps)), "count", json_integer(r->restart)));
}

void lives_ckpt(const Run *r, int64_t step, double seconds)
{
    if (r->lives)
        append(r, with(now_and(r, "ckpt", step), "seconds", moment(seconds)));
}

void lives_step(const Run *r, int skipped)
{
    if (!r->lives)
        return;
    r->lives->worked = wall();
    if (skipped == SKIPS)
        append(r, with(now_and(r, "skipped", r->step + 1), "row", json_integer(skipped)));
}

void lives_straggler(const Run *r, const Straggler *x)
{
    if (!r->lives || now() - r->lives->named < NAMED_EVERY)
        return;
    r->lives->named = now();
    append(r, with(with(with(with(now_and(r, "straggler", r->step + 1), "rank", json_integer(x->rank)), "host", json_text(x->host)),
                        "seconds", moment(x->seconds)), "collective", x->link ? json_text(x->collective) : json_null()));
}

void lives_say(const Run *r, const char *fmt, ...)
{
    char text[sizeof r->lives->why];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_line(r->log, "%s", text);
    if (r->lives && !r->lives->why[0])
        memcpy(r->lives->why, text, sizeof text);
}

void lives_end(Run *r, int code, const Err *e)
{
    Lives *l = r->lives;
    if (!l)
        return;
    const char *why = e->code ? e->what : code == EXIT_DONE ? "done" : l->why;
    json_t *o = with(event("end", wall(), r->tag), "code", json_integer(code));
    with(with(o, "step", json_integer(r->step)), "saved", json_integer(lease_saved(r->lease)));
    with(with(o, "worked", l->worked > 0 ? moment(l->worked) : json_null()), "why", json_text(why));
    append(r, with(o, "where", json_text(e->code ? e->where : "")));
    close(l->fd);
    free(l);
    r->lives = NULL;
    own.ready = false;
    before = wall();
}

/* ---- by any rank: the watchdog's verdict, a death ---- */

/* Opened first, then asked for the lease: had it been lost before, a later life's file has another inode. */
static void *write_verdict(void *line)
{
    char text[LIFE_TEXT];
    Life is;
    const int fd = file_open(own.path, O_WRONLY | O_APPEND), lease = file_open(own.lease, O_RDONLY);
    const int64_t n = lease >= 0 ? file_pread(lease, text, sizeof text - 1, 0) : -1;
    text[n > 0 ? n : 0] = 0;
    if (fd >= 0 && life_parse(&is, text) && !strcmp(is.token, own.tag) && file_write(fd, line, strlen(line)))
        file_fsync(fd);
    return NULL;
}

/* Not waited for longer than two seconds; the line stays, for the thread may outlive this function. */
static void tell(json_t *o)
{
    size_t n;
    pthread_t thread;
    struct timespec until;
    char *line = line_of(o, &n);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    if (pthread_create(&thread, NULL, write_verdict, line) == 0)
        pthread_timedjoin_np(thread, NULL, &until);
}

void lives_verdict(const char *what, const char *got)
{
    char host[WATCH_HOST] = "", collective[32] = "";
    int rank = -1;
    if (!own.ready)
        return;
    if (sscanf(what, "rank %d on node %63s has not %*s %31s", &rank, host, collective) < 2)
        host[0] = 0;
    json_t *o = with(with(event("watch", wall(), own.tag), "by", json_integer(own.rank)), "rank", json_integer(rank));
    with(with(o, "host", json_text(host)), "collective", json_text(collective));
    tell(with(with(o, "why", json_text(what)), "got", json_text(got)));
}

void lives_died(int code)
{
    if (own.ready)
        tell(with(with(with(event("died", wall(), own.tag), "by", json_integer(own.rank)), "code", json_integer(code)), "why", json_text(die_text)));
}
