/*
 * status.c -- `asvr status RUN`: how a run goes, from its files alone
 *
 * While it runs or after; on a login node, without MPI, beside whatever writes there.  Nothing is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/base/life.h"
#include "io/base/log.h"
#include "io/ckpt/ckptdir.h"
#include "io/ckpt/manifest.h"
#include "launch/run.h"
#include "launch/status/status.h"
#include "launch/verbs.h"

enum { WATCH = 1, JSON = 2 /* flags, as in main.c's table */ };
static const double EVERY = 2, ASK_EVERY = 10, BEAT = 6, STILL = 60, STILL_STEPS = 20;     /* seconds; steps */

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double changed(const struct stat *st) { return (double)st->st_mtim.tv_sec + 1e-9 * (double)st->st_mtim.tv_nsec; }

static bool there(const char *dir, const char *name)
{
    char path[PATH_ROOM];
    Err none = { 0 };
    return path_set(path, &none, "%s/%s", dir, name) && access(path, F_OK) == 0;
}

/* ---- does it live? ---- */

/* What .lease says; false: there is none, or it cannot be read. */
static bool read_lease(const char *dir, Life *l, double *beat)
{
    char path[PATH_ROOM], text[LIFE_TEXT];
    struct stat st;
    Err none = { 0 };
    const int fd = path_set(path, &none, "%s/.lease", dir) ? file_open(path, O_RDONLY) : -1;
    const int64_t n = fd >= 0 ? file_pread(fd, text, sizeof text - 1, 0) : -1;
    *beat = fd >= 0 && fstat(fd, &st) == 0 ? changed(&st) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 && life_parse(l, text);
}

/* Its heart: touched a moment ago, or, where clocks do not agree, seen to beat while we look. */
static bool beats(const Status *s)
{
    Life again;
    double beat;
    if (fabs(wall() - s->beat) < BEAT)
        return true;
    for (int i = 0; i < 5; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
        if (read_lease(s->dir, &again, &beat) && beat != s->beat)
            return again.held;
    }
    return false;
}

/* Whether the lease's holder lives: its process tells where we see it, else its heart. */
static void look(Status *s, const Life *l)
{
    Life self;
    life_self(&self);
    const int state = l->held ? life_state(l, &self) : LIFE_DEAD;
    const bool heart = state != LIFE_DEAD && beats(s);
    s->held = state == LIFE_ALIVE || heart;
    s->still = s->held && !heart;
}

/* ---- the newest checkpoint ---- */

/* Its manifest is whole, and the tensors have the size that it says; their bytes are not read. */
static bool looks_whole(const char *dir, int64_t step, StatusCkpt *c)
{
    char path[PATH_ROOM], *text = NULL;
    size_t n = 0;
    struct stat st;
    Manifest m = { 0 };
    Err e = { 0 };
    bool ok = path_set(path, &e, "%s/ckpt/" STEP_FORMAT "/" MANIFEST_NAME, dir, step) && stat(path, &st) == 0 &&
              file_read(path, MANIFEST_MAX, &text, &n, &e) && manifest_parse(&m, text, n, path, &e);
    c->time = ok ? changed(&st) : 0;
    ok = ok && path_set(path, &e, "%s/ckpt/" STEP_FORMAT "/tensors.h5", dir, step) && stat(path, &st) == 0 && st.st_size == m.bytes;
    c->bytes = ok ? m.bytes : 0;
    c->step = step;
    free(text);
    manifest_free(&m);
    return ok;
}

static void find_ckpt(Status *s)
{
    char path[PATH_ROOM];
    int64_t *step = NULL;
    int n = 0;
    Err none = { 0 };
    StatusCkpt c = { 0 };
    if (path_set(path, &none, "%s/ckpt", s->dir) && ckptdir_list(path, &step, &n, &none))
        for (int i = 0; i < n && !(c.there = looks_whole(s->dir, step[i], &c)); i++)
            c.bad++;
    free(step);
    s->ckpt = c;
    evals_read(&s->evals, s->dir, ckptdir_best(path));
}

/* ---- gathering ---- */

static int state_of(const Status *s, const Life *lease)
{
    const StoryLife *l = status_last(s);
    const StepRow *r = steplog_row(&s->log, 0);
    if (s->held) {
        const double pace = steplog_pace(&s->log), still = s->now - fmax(r ? r->time : 0, l ? l->resumed : 0);
        if (s->still)
            return STATE_STANDS;
        if (l && l->known && (strcmp(l->token, lease->token) || !l->resumed))
            return STATE_STARTING;
        const bool evaluates = s->every > 0 && s->step % s->every == 0 && (s->evals.n == 0 || s->evals.step[s->evals.n - 1] < s->step);
        return r && !evaluates && still > fmax(STILL, STILL_STEPS * (isfinite(pace) ? pace : 0)) ? STATE_STANDS : STATE_RUNNING;
    }
    if (l && l->known)
        return l->ended || l->hung > 0 || l->died > 0 ? STATE_ENDED : STATE_KILLED;
    return s->steps > 0 && s->step >= s->steps ? STATE_ENDED : STATE_UNKNOWN;
}

/* The run's steps and stage, as far as config.cfg can be read by this version. */
static void read_config(Status *s)
{
    static Config  c;
    static ErrList errs;
    char path[PATH_ROOM];
    Err  none = { 0 };
    errs.n = errs.lost = 0;
    if (there(s->dir, "config.cfg") && path_set(path, &none, "%s/config.cfg", s->dir) && config_load(&c, path, NULL, 0, &errs)) {
        snprintf(s->stage, sizeof s->stage, "%s", STAGE_NAME[c.train.stage]);
        s->steps = c.train.steps;
        s->every = c.eval.every;
    }
}

bool status_gather(Status *s, Err *e)
{
    Life lease = { .held = false };
    s->beat = 0;
    const bool has = read_lease(s->dir, &lease, &s->beat);
    if (!has)
        lease = (Life){ .held = false };        /* damaged: whose it is nobody knows */
    look(s, &lease);
    s->now = wall();
    if (!story_read(&s->story, s->dir, e) || !steplog_read(&s->log, s->dir, e))
        return false;
    const StoryLife *last = status_last(s);
    const bool same = !last || !strcmp(last->token, lease.token);
    const StepRow *r = steplog_row(&s->log, 0);
    for (int i = 0; i < s->story.lives; i++)
        s->steps = s->story.life[i].steps > 0 ? s->story.life[i].steps : s->steps;
    s->step = r ? r->step : 0;
    const bool here = s->held && same;
    find_ckpt(s);
    story_join(&s->story, &s->log, &s->evals, here, here ? s->now : fmax(r ? r->time : 0, same && has ? s->beat : 0));
    last = status_last(s);
    if (s->asked == 0 || now() - s->asked > ASK_EVERY) {
        slurmjob_ask(&s->job, last ? last->job : "");
        s->asked = now();
    }
    s->state = state_of(s, &lease);
    return true;
}

/* ---- watching ---- */

static volatile sig_atomic_t asked_to_end;
static void end(int signal) { (void)signal, asked_to_end = 1; }

/* One write a page, over the one before: nothing flickers. */
static void draw(const Status *s)
{
    char *text = NULL, *page = NULL;
    size_t n = 0, all = 0;
    struct winsize w = { .ws_row = 24, .ws_col = 80 };
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
    FILE *f = open_memstream(&text, &n), *out = open_memstream(&page, &all);
    CHECK(f && out, "no memory for a page");
    status_page(s, f, w.ws_col > 0 ? w.ws_col : 80);
    fclose(f);
    int rows = w.ws_row > 2 ? w.ws_row - 1 : 24;
    fputs("\033[H", out);
    for (char *line = text, *stop; *line && rows-- > 0; line = stop + 1) {
        stop = strchrnul(line, '\n');
        fprintf(out, "%.*s\033[K\n", (int)(stop - line), line);
        if (!*stop)
            break;
    }
    fputs("\033[J", out);
    fclose(out);
    (void)!file_write(STDOUT_FILENO, page, all);
    free(text);
    free(page);
}

/* It will not go on by itself. */
static bool over(const Status *s) { return !s->held && !slurmjob_goes_on(&s->job); }

static bool keep_watching(Status *s, bool json, Err *e)
{
    const bool screen = !json && log_screen(STDOUT_FILENO);
    int64_t step = -1, saved = -1;
    int state = -1, lives_so_far = -1;
    struct sigaction act = { .sa_handler = end };
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    if (screen)
        fputs("\033[2J", stdout);
    fflush(stdout);
    for (bool last = false; !last && !asked_to_end; ) {
        if (!status_gather(s, e))
            return false;
        last = over(s);
        const bool news = step != s->step || saved != s->ckpt.step || state != s->state || lives_so_far != s->story.lives;
        step = s->step, saved = s->ckpt.step, state = s->state, lives_so_far = s->story.lives;
        if (screen)
            draw(s);
        else if (news && json)
            status_json(s, stdout);
        else if (news)
            status_line(s, stdout);
        fflush(stdout);
        if (ferror(stdout))
            return true;                                            /* nobody reads any more: main says so */
        if (!last)
            nanosleep(&(struct timespec){ .tv_sec = (time_t)EVERY }, NULL);
    }
    return true;
}

/* ---- the verb ---- */

static bool is_run(const char *dir, Err *e)
{
    static const char hint[] = "name a run's folder: its run.dir";
    struct stat st;
    if (stat(dir, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, EXIT_DATA, dir, hint, "there is no such folder");
    if (stat(dir, &st) != 0)
        return file_error(e, dir, "look at");
    if (!S_ISDIR(st.st_mode))
        return err_set(e, EXIT_DATA, dir, hint, "this is a file, not a run's folder");
    if (access(dir, R_OK | X_OK) != 0)
        return file_error(e, dir, "read");
    return there(dir, "run.jsonl") || there(dir, "lives.jsonl") || there(dir, ".lease") ||
           err_set(e, EXIT_DATA, dir, hint, "no run has begun here: there is no run.jsonl, lives.jsonl or .lease");
}

bool status_open(Status *s, const char *dir, Err *e)
{
    s->dir = dir;
    s->log.straggler = -1;
    if (!is_run(dir, e))
        return false;
    read_config(s);
    return true;
}

void status_free(Status *s)
{
    steplog_free(&s->log);
    story_free(&s->story);
    evals_free(&s->evals);
}

int status_main(const Words *w, const Config *none)
{
    static Status s;
    Err e = { 0 };
    (void)none;
    const bool json = w->flags & JSON;
    if (status_open(&s, w->path, &e)) {
        if (w->flags & WATCH)
            keep_watching(&s, json, &e);
        else if (status_gather(&s, &e) && json)
            status_json(&s, stdout);
        else if (!e.code)
            status_page(&s, stdout, 0);
    }
    if (e.code)
        log_error(&e);
    status_free(&s);
    return e.code;
}
