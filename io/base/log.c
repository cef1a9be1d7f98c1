#include "io/base/log.h"

#include "io/base/append.h"
#include "io/base/events.h"
#include "io/base/files.h"
#include "io/base/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_CAP = 4096 };

/* Back to the start of the line and erase it: what comes next takes the bar's place. */
#define OVER_BAR "\r\033[K"

struct Log {
    Append *file;                   /* run.jsonl */
    Events *events;                 /* what it says, for TensorBoard; may be NULL */
    char    path[PATH_ROOM];
    double  looked;                 /* when its name was looked at */
    bool    bar;                    /* stdout is a terminal that can go back to the start of a line */
    bool    told_out;               /* the user knows that stdout fails */
    int     restart;
    int64_t first;                  /* the first step logged */
    double  start, shown;           /* when it was logged; when something was last shown */
};

/* The terminal's last line is the bar: what comes next, on stdout or stderr, must take its place. */
static bool bar_drawn;

/* Open MPI gives its ranks a terminal of their own and passes on what they write: there the launcher's output decides. */
static bool launcher_has_screen(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getppid(), fd);
    int theirs = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    bool yes = theirs >= 0 && isatty(theirs);
    if (theirs >= 0)
        close(theirs);
    return yes;
}

bool log_screen(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term && strcmp(term, "dumb") && (!getenv("OMPI_COMM_WORLD_RANK") || launcher_has_screen(fd));
}

/* ---- the file ---- */

Log *log_open(const char *run_dir, int64_t resume_step, Lease *lease, Err *e)
{
    Log *l = calloc(1, sizeof *l);
    CHECK(l, "no memory for the log");
    signal(SIGPIPE, SIG_IGN);
    l->bar = log_screen(STDOUT_FILENO);
    l->first = -1;
    bool ok = path_set(l->path, e, "%s/run.jsonl", run_dir) && dir_make(run_dir, e) &&
              logfile_take(run_dir, resume_step, lease, &l->restart, e);
    ok = ok && (l->file = append_open(l->path, O_CREAT, "run.jsonl", e)) && file_sync(run_dir, e);
    if (ok)
        return l;
    if (l->file)
        append_close(l->file);
    free(l);
    return NULL;
}

bool log_events(Log *l, const char *run_dir, int64_t resume_step, Err *e)
{
    char folder[PATH_ROOM];
    return path_set(folder, e, "%s/tensorboard", run_dir) && (l->events = events_open(folder, resume_step, e));
}

void log_evaluation(Log *l, const json_t *line)
{
    if (l && l->events)
        events_evaluation(l->events, line);
}

int log_restart(const Log *l)
{
    return l ? l->restart : 0;
}

typedef struct { char text[LINE_CAP]; size_t n; } Line;

__attribute__((format(printf, 2, 3)))
static void add(Line *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int k = vsnprintf(o->text + o->n, sizeof o->text - o->n, fmt, ap);
    va_end(ap);
    if (k > 0)
        o->n = (size_t)min64((int64_t)o->n + k, sizeof o->text - 1);
}

/* JSON has no NaN and no infinity. */
static void add_number(Line *o, double x)
{
    if (isfinite(x))
        add(o, "%.9g", x);
    else
        add(o, "null");
}

static void add_field(Line *o, const char *key, double x)
{
    add(o, ", \"%s\": ", key);
    add_number(o, x);
}

static void add_count(Line *o, const char *key, int64_t x)
{
    add(o, ", \"%s\": %" PRId64, key, x);
}

static void add_list(Line *o, const char *key, const double *x, int n)
{
    add(o, ", \"%s\": [", key);
    for (int i = 0; i < n && i < LOG_DEPTHS; i++) {
        add(o, i ? ", " : "");
        add_number(o, x[i]);
    }
    add(o, "]");
}

static void object(Line *o, const StepLog *s)
{
    o->n = 0;
    add(o, "{\"step\": %" PRId64 ", \"time\": %.3f", s->step, s->time);
    add_count(o, "samples", s->samples);
    add_count(o, "tokens", s->tokens);
    add_field(o, "loss", s->loss);
    add_field(o, "loss_text", s->loss_text);
    add_field(o, "loss_visual", s->loss_visual);
    add_list(o, "loss_visual_depth", s->loss_visual_depth, s->depths);
    /* printf would show the sign of a NaN, which means nothing and differs between machines */
    if (isnan(s->loss))
        add(o, ", \"loss_hex\": \"nan\"");
    else
        add(o, ", \"loss_hex\": \"%a\"", s->loss);
    add_list(o, "code_usage", s->code_usage, s->books);
    add_list(o, "code_perplexity", s->code_perplexity, s->books);
    add_count(o, "code_restarts", s->code_restarts);
    add_field(o, "grad_norm", s->grad_norm);
    add_field(o, "lr", s->lr);
    add_count(o, "skipped", s->skipped);
    add_field(o, "tokens_per_s", s->tokens_per_s);
    add_field(o, "samples_per_s", s->samples_per_s);
    add_field(o, "flops_share", s->flops_share);
    add_field(o, "t_step", s->t_step);
    add_field(o, "t_data", s->t_data);
    add_field(o, "t_forward", s->t_forward);
    add_field(o, "t_backward", s->t_backward);
    add_field(o, "t_reduce", s->t_reduce);
    add_field(o, "t_optim", s->t_optim);
    add_field(o, "t_ckpt", s->t_ckpt);
    add_field(o, "rss_mb", s->rss_mb);
    add(o, ", \"straggler\": %s", s->straggler_host ? "" : "null");
    if (s->straggler_host)
        add(o, "{\"rank\": %d, \"host\": \"%s\", \"seconds\": %.3g, \"collective\": %s%s%s}", s->straggler, s->straggler_host,
            s->straggler_seconds, s->straggler_link ? "\"" : "", s->straggler_link ? s->straggler_link : "null", s->straggler_link ? "\"" : "");
    add_count(o, "restart", s->restart);
    add_count(o, "world", s->world);
    add_count(o, "dp", s->dp);
    add_count(o, "tp", s->tp);
    add_count(o, "threads", s->threads);
    const size_t n = logfile_seal(o->text, o->n, sizeof o->text);
    CHECK(n, "a line of run.jsonl has more than %d bytes", LINE_CAP);
    o->n = n;
}

bool log_there(Log *l)
{
    struct stat own, named;
    if (!l || fstat(append_fd(l->file), &own))
        return true;
    if (own.st_nlink == 0)
        return false;
    if (now() - l->looked < 1)              /* on a parallel file system a name costs a message */
        return true;
    l->looked = now();
    return stat(l->path, &named) == 0 ? named.st_dev == own.st_dev && named.st_ino == own.st_ino : errno != ENOENT && errno != ENOTDIR;
}

void log_sync(Log *l)
{
    if (l)
        append_sync(l->file);
    if (l && l->events)
        events_sync(l->events);
}

/* ---- the human side ---- */

static void show(Log *l, const char *text, size_t n)
{
    if (!file_write(STDOUT_FILENO, text, n))
        log_warn_once(&l->told_out, "cannot write to stdout (training goes on)", errno);
}

static int terminal_width(void)
{
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* "3:21", "1:02:03" */
static void add_time(Line *o, double seconds)
{
    int64_t s = seconds < 0 ? 0 : seconds > 1e9 ? (int64_t)1e9 : (int64_t)(seconds + 0.5);
    if (s >= 3600)
        add(o, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
    else
        add(o, "%d:%02d", (int)(s / 60), (int)(s % 60));
}

/* brief: for a terminal of 80 columns. */
static void sentence(const Log *l, Line *o, const StepLog *s, int64_t total, bool brief)
{
    const int cells = brief ? 12 : 20;
    int64_t done = s->step - l->first;
    double each = done > 0 ? (l->shown - l->start) / (double)done : s->t_step;
    int full = total > 0 ? (int)(cells * min64(s->step, total) / total) : 0;
    o->n = 0;
    add(o, "%s%s%" PRId64 "/%" PRId64, s->stage ? s->stage : "", s->stage ? "  " : "", s->step, total);
    if (l->bar) {
        add(o, " [");
        for (int i = 0; i < cells; i++)
            add(o, i < full ? "#" : ".");
        add(o, "]");
    }
    add(o, "  loss %.4f", s->loss);
    if (s->terms && !brief)
        add(o, "  %s", s->terms);
    else if (s->loss_visual != 0 && !brief)
        add(o, "  text %.4f  visual %.4f", s->loss_text, s->loss_visual);
    if (s->skipped)
        add(o, "  skipped %" PRId64, s->skipped);
    add(o, "  %.1f samples/s  ETA ", s->samples_per_s);
    add_time(o, each * (double)(total - s->step));
}

/* The bar: cut to the terminal, since a line that wraps cannot be drawn over.  The last one stays. */
static void draw(Log *l, const Line *o, bool last)
{
    char text[LINE_CAP + 16];
    int n = snprintf(text, sizeof text, "\r%.*s\033[K%s", terminal_width() - 1, o->text, last ? "\n" : "");
    show(l, text, (size_t)n);
    bar_drawn = !last;
}

static void clear_bar(void)
{
    if (bar_drawn)
        (void)!file_write(STDOUT_FILENO, OVER_BAR, sizeof OVER_BAR - 1);
    bar_drawn = false;
}

void log_step(Log *l, const StepLog *s, int64_t total_steps)
{
    if (!l)
        return;
    Line o;
    object(&o, s);
    append_record(l->file, o.text, o.n);
    if (l->events)
        events_step(l->events, s);
    double t = now();
    bool last = s->step >= total_steps, first = l->first < 0;
    double gap = l->bar ? 0.1 : fmin(60, fmax(2, (t - l->start) / 10));    /* a log shows when, not only how often */
    if (!first && !last && t - l->shown < gap)
        return;
    if (first)
        l->first = s->step, l->start = t;
    l->shown = t;
    sentence(l, &o, s, total_steps, false);
    if (l->bar) {
        if (o.n >= (size_t)terminal_width())
            sentence(l, &o, s, total_steps, true);
        draw(l, &o, last);
    } else {
        add(&o, "\n");
        show(l, o.text, o.n);
    }
}

void log_line(Log *l, const char *fmt, ...)
{
    if (!l)
        return;
    Line o = {0};
    va_list ap;
    va_start(ap, fmt);
    int k = vsnprintf(o.text, sizeof o.text - 1, fmt, ap);
    va_end(ap);
    o.n = (size_t)max64(0, min64(k, (int64_t)sizeof o.text - 2));
    add(&o, "\n");
    clear_bar();
    show(l, o.text, o.n);
}

void log_close(Log *l)
{
    if (!l)
        return;
    if (bar_drawn)
        show(l, "\n", 1);
    bar_drawn = false;
    append_close(l->file);
    if (l->events)
        events_close(l->events);
    free(l);
}

/* ---- errors ---- */

static void field(FILE *to, const char *name, const char *text)
{
    if (text[0])
        fprintf(to, "  %-8s  %s\n", name, text);
}

void log_error(const Err *e)
{
    signal(SIGPIPE, SIG_IGN);
    bool colour = log_screen(STDERR_FILENO) && !getenv("NO_COLOR");
    char *block = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&block, &n);
    CHECK(to, "no memory for a message: %s", e->what);
    fprintf(to, "%sasvr: error: %s%s\n", colour ? "\033[1;31m" : "", e->what, colour ? "\033[0m" : "");
    field(to, "expected", e->expected);
    field(to, "got", e->got);
    field(to, "where", e->where);
    field(to, "hint", e->hint);
    fclose(to);
    clear_bar();
    /* One write: the blocks of several processes do not mix.  If stderr is closed there is nobody to tell. */
    (void)!file_write(STDERR_FILENO, block, n);
    free(block);
}

void log_warn(const char *message)
{
    signal(SIGPIPE, SIG_IGN);
    clear_bar();
    fprintf(stderr, "asvr: warning: %s\n", message);
}

void log_warn_once(bool *told, const char *doing, int error)
{
    char text[256];
    snprintf(text, sizeof text, "%s: %s", doing, strerror(error));
    if (!*told)
        log_warn(text);
    *told = true;
}
