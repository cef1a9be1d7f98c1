#include "io/base/lease.h"

#include "io/base/files.h"
#include "io/base/life.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CLOSING 3.0                 /* seconds that a job may take to end */
#define SILENT  5.0                 /* without a beat it is dead */
#define SETTLE  0.3                 /* for others who judged at the same time */

struct Lease {
    Life        me;
    int         fd;                 /* our own .lease, whatever has the name by now */
    char        dir[PATH_ROOM], path[PATH_ROOM], from[LIFE_WHO];
    bool        apart, beats;
    double      heard;
    pthread_t   thread;
    pthread_mutex_t lock;           /* of `end`; and nobody writes over the file twice at once */
    pthread_cond_t  wake;
    bool        end;
    atomic_bool lost;
};

static void nap(double seconds)
{
    nanosleep(&(struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds)) }, NULL);
}

/* Tells its life's text; false with errno. */
static bool read_life(const char *path, int fd, Life *l, bool *known)
{
    char text[LIFE_TEXT];
    const int own = fd >= 0 ? fd : file_open(path, O_RDONLY);
    const int64_t n = own >= 0 ? file_pread(own, text, sizeof text - 1, 0) : -1;
    const int error = errno;
    if (fd < 0 && own >= 0)
        close(own);
    errno = error;
    if (n < 0)
        return false;
    text[n] = 0;
    *known = life_parse(l, text);
    return true;
}

/* ---- judging the holder ---- */

/* What stands under the name now. */
typedef struct {
    int         fd;
    struct stat st;
    bool        locked, refused;    /* flock granted; held by another; neither: there is none here */
    bool        known;
    Life        life;
} Holder;

/* The heart that is being watched. */
typedef struct { struct stat st; double since; } Watch;

static bool same_file(const struct stat *a, const struct stat *b) { return a->st_dev == b->st_dev && a->st_ino == b->st_ino; }

static bool named_still(const char *path, const struct stat *was)
{
    struct stat st;
    return stat(path, &st) == 0 && same_file(&st, was);
}

static bool look(const char *path, Holder *h, Err *e)
{
    *h = (Holder){ .fd = file_open(path, O_RDWR | O_CREAT) };
    if (h->fd < 0)
        return file_error(e, path, "open the lease");
    int bad;
    while ((bad = flock(h->fd, LOCK_EX | LOCK_NB)) && errno == EINTR)
        ;
    h->locked = !bad;
    h->refused = bad && errno == EWOULDBLOCK;
    return (fstat(h->fd, &h->st) == 0 && read_life(path, h->fd, &h->life, &h->known)) || file_error(e, path, "read the lease");
}

static void look_away(Holder *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}

enum { BUSY, WATCH, TAKE };

/* Watches the heart: BUSY where it has just beaten, TAKE after a long silence. */
static int watch(const Holder *h, Watch *w)
{
    const struct timespec *was = &w->st.st_mtim, *is = &h->st.st_mtim;
    const bool first = w->since == 0, same = same_file(&w->st, &h->st) && was->tv_sec == is->tv_sec && was->tv_nsec == is->tv_nsec;
    if (!first && same)
        return now() - w->since > SILENT ? TAKE : WATCH;
    *w = (Watch){ h->st, now() };
    return first ? WATCH : BUSY;
}

/* May we take it?  *apart: the holder may live all the same. */
static int judge(const Lease *l, const Holder *h, Watch *w, bool *apart)
{
    *apart = false;
    const bool gone = h->known && !h->life.held;            /* the last that it wrote */
    if (gone && !h->refused)
        return TAKE;
    if (h->locked && (h->st.st_size == 0 || (h->known && life_same_boot(&h->life, &l->me))))
        return TAKE;
    *apart = true;
    if (h->known && life_follows(&l->me, &h->life))
        return TAKE;
    if (h->refused)
        return BUSY;
    if (!h->locked && h->st.st_size == 0)                   /* somebody else is coming, too: see settle() */
        return TAKE;
    if (!h->locked && h->known)
        switch (life_state(&h->life, &l->me)) {
        case LIFE_ALIVE: return BUSY;
        case LIFE_DEAD:  return *apart = false, TAKE;
        default:         break;
        }
    return watch(h, w);
}

/* ---- taking ---- */

/* Our file gets the name, if that still stands for what was judged; *again where not. */
static bool put(Lease *l, const Holder *h, bool *again, Err *e)
{
    char aside[PATH_ROOM], text[LIFE_TEXT];
    if (!path_set(aside, e, "%s/.tmp-%s-lease", l->dir, l->me.token))
        return false;
    const int n = life_text(&l->me, text);
    l->fd = file_open(aside, O_RDWR | O_CREAT | O_EXCL);
    if (l->fd < 0)
        return file_error(e, aside, "create the lease");
    flock(l->fd, LOCK_EX | LOCK_NB);                        /* where there is none the heart must do */
    bool ok = (file_write(l->fd, text, (size_t)n) && file_fsync(l->fd)) || file_error(e, aside, "write the lease");
    *again = ok && !named_still(l->path, &h->st);
    if (ok && !*again && !file_commit(aside, l->path, e)) {
        ok = false;
        if ((*again = !named_still(l->path, &h->st)))       /* who took it swept ours away */
            *e = (Err){ 0 };
    }
    ok = ok && !*again;
    if (!ok) {
        unlink(aside);
        close(l->fd);
        l->fd = -1;
    }
    return ok;
}

/* Where no lock kept others from judging at the same time, the last one who took it has it. */
static bool settle(const Lease *l, const Holder *h)
{
    Life is;
    bool known;
    if (h->locked)
        return true;
    nap(SETTLE);
    return read_life(l->path, -1, &is, &known) && known && !strcmp(is.token, l->me.token);
}

/* Removes what earlier lives made aside.  A folder first leaves its name in one instant: who still means to rename it
   gets all of it or nothing. */
static void sweep(const Lease *l)
{
    DIR *d = opendir(l->dir);
    const struct dirent *entry;
    while (d && (entry = readdir(d))) {
        char path[PATH_ROOM], gone[PATH_ROOM];
        Err none = { 0 };
        if (strncmp(entry->d_name, ".tmp-", 5) || !path_set(path, &none, "%s/%s", l->dir, entry->d_name) || unlink(path) == 0)
            continue;
        if (path_set(gone, &none, "%s/.tmp-%s-gone", l->dir, l->me.token) && file_commit(path, gone, &none))
            dir_remove(gone, &none);
    }
    if (d)
        closedir(d);
}

static void refuse(const Holder *h, const char *dir, const char *what, const char *hint, Err *e)
{
    char who[LIFE_WHO];
    err_set(e, EXIT_UNSAVED, dir, hint, "%s by %s", what, h->known ? life_who(&h->life, who) : "another job");
}

/* Until it is ours, or somebody else's. */
static bool take(Lease *l, const char *what, const char *hint, Err *e)
{
    const double began = now();
    Watch w = { .since = 0 };
    for (bool done = false; !done && !e->code; ) {
        Holder h;
        bool again = false;
        const int verdict = look(l->path, &h, e) ? judge(l, &h, &w, &l->apart) : BUSY;
        l->me.saved = h.known ? h.life.saved : -1;
        if (e->code)
            ;
        else if (verdict == TAKE)
            done = put(l, &h, &again, e) && settle(l, &h);
        else if (verdict == BUSY && now() - began > CLOSING)
            refuse(&h, l->dir, what, hint, e);
        if (done && h.known && h.life.held) {
            life_who(&h.life, l->from);
            l->heard = (double)h.st.st_mtim.tv_sec + 1e-9 * (double)h.st.st_mtim.tv_nsec;
        }
        if (!done && l->fd >= 0) {
            close(l->fd);
            l->fd = -1;
        }
        look_away(&h);
        if (!done && !again && !e->code)
            nap(0.1);
    }
    return !e->code;
}

/* ---- the heart ---- */

static void *beat(void *lease)
{
    Lease *l = lease;
    pthread_mutex_lock(&l->lock);
    while (!l->end) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec++;
        pthread_cond_timedwait(&l->wake, &l->lock, &t);
        Life is;
        bool known = false;
        futimens(l->fd, NULL);
        const bool there = read_life(l->path, -1, &is, &known);
        if (there ? known && strcmp(is.token, l->me.token) : errno == ENOENT || errno == ENOTDIR)
            l->lost = true;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void start_beating(Lease *l)
{
    sigset_t all, was;
    pthread_condattr_t a;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &a);
    pthread_condattr_destroy(&a);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    l->beats = pthread_create(&l->thread, NULL, beat, l) == 0;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    CHECK(l->beats, "no thread for the lease of %s", l->dir);
}

/* Over the old text, in our own file: nobody else's, whatever has the name. */
static void write_over(Lease *l)
{
    char text[LIFE_TEXT];
    const int n = life_text(&l->me, text);
    pthread_mutex_lock(&l->lock);
    if (file_pwrite(l->fd, text, n, 0))
        file_fsync(l->fd);
    pthread_mutex_unlock(&l->lock);
}

/* ---- */

Lease *lease_take(const char *dir, const char *what, const char *hint, Err *e)
{
    Lease *l = calloc(1, sizeof *l);
    CHECK(l, "no memory for a lease");
    l->fd = -1;
    life_self(&l->me);
    if (!path_set(l->dir, e, "%s", dir) || !path_set(l->path, e, "%s/.lease", dir) || !dir_make(dir, e) || !take(l, what, hint, e)) {
        free(l);
        return NULL;
    }
    sweep(l);
    start_beating(l);
    return l;
}

Lease *lease_run(const char *dir, Err *e)
{
    return lease_take(dir, "the run directory is in use", "wait for that job, stop it, or give this one another run.dir", e);
}

void lease_drop(Lease *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->end = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    l->me.held = false;
    write_over(l);
    close(l->fd);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

bool lease_held(void *lease, Err *e)
{
    const Lease *l = lease;
    Life is;
    bool known;
    char who[LIFE_WHO];
    if (!l)
        return true;
    if (!read_life(l->path, -1, &is, &known)) {
        if (errno != ENOENT && errno != ENOTDIR)
            return file_error(e, l->path, "read the lease");
        return err_set(e, EXIT_IO, l->dir, "nothing more is written to it; stop whatever cleans up there",
                       "the folder was removed or renamed while a job has it: its lease is gone");
    }
    if (!known)
        return err_set(e, EXIT_IO, l->path, "", "the lease is damaged");
    return !strcmp(is.token, l->me.token) ||
           err_set(e, EXIT_CONFIG, l->dir, "nothing to do: that job goes on from the last checkpoint",
                   "this job is fenced: the folder was taken over by %s", life_who(&is, who));
}

bool lease_seems_held(const Lease *l)    { return !l || !l->lost; }
const char *lease_tag(const Lease *l)    { return l ? l->me.token : ""; }
bool lease_apart(const Lease *l)         { return l && l->apart; }
const char *lease_from(const Lease *l)   { return l ? l->from : ""; }
double lease_heard(const Lease *l)       { return l ? l->heard : 0; }
int64_t lease_saved(const Lease *l)      { return l ? l->me.saved : -1; }

void lease_save(Lease *l, int64_t step)
{
    if (!l)
        return;
    l->me.saved = step;
    write_over(l);
}
