/* statuspage.c -- what `asvr status` prints (status.h) */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base.h"
#include "launch/status/status.h"

enum { BAR = 30, WINDOW = 50 /* steps */, LIVES_SHOWN = 12, SHORT = 3 /* findings of a kind */ };
static const double LEVEL = 0.002;              /* of a mean: less is no direction */

/* ---- words ---- */

static const char *s_of(int64_t n) { return n == 1 ? "" : "s"; }

/* A line break or an escape of a file is none of the terminal's. */
static void plain(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = ' ';
}

/* What one line of a table says, cut to the screen. */
static void row(FILE *f, int columns, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void row(FILE *f, int columns, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    n = n < (int)sizeof text ? n : (int)sizeof text - 1;
    plain(text + (text[0] == '\n'));
    while (n > 0 && text[n - 1] == ' ')
        n--;
    if (columns > 0 && n > columns) {
        for (n = columns - 3; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
            ;                                                       /* no half character */
        fprintf(f, "%.*s...\n", n, text);
    } else {
        fprintf(f, "%.*s\n", n, text);
    }
}

/* ---- what it is doing ---- */

const char *const STATE_NAME[] = { "starting", "running", "stands", "ended", "killed", "unknown" };

const StoryLife *status_last(const Status *s)
{
    return s->story.lives ? &s->story.life[s->story.lives - 1] : NULL;
}

double status_left(const Status *s)
{
    return s->steps > 0 && s->step > 0 ? (double)max64(0, s->steps - s->step) * steplog_pace(&s->log) : NAN;
}

void status_sentence(const Status *s, char *out, size_t cap)
{
    const StoryLife *l = status_last(s);
    const StepRow *r = steplog_row(&s->log, 0);
    const double heard = l ? l->until : 0, last = fmax(r ? r->time : 0, l ? fmax(l->resumed, l->born) : 0);
    char word[UNIT_WORD], when[UNIT_WORD];
    switch (s->state) {
    case STATE_STARTING:
        snprintf(out, cap, "starting, since %s", unit_clock(s->now - (l && l->known ? l->born : s->beat), word));
        break;
    case STATE_RUNNING:
        snprintf(out, cap, "running, its heart beats");
        break;
    case STATE_STANDS:
        if (s->still)
            snprintf(out, cap, "its process is there and stands still: its heart has not beaten for %s", unit_clock(s->now - s->beat, word));
        else
            snprintf(out, cap, "no step for %s, though its heart beats", unit_clock(s->now - last, word));
        break;
    case STATE_ENDED:
        if (!l || !l->known || (l->ended && l->code == EXIT_DONE))
            snprintf(out, cap, "done");
        else
            snprintf(out, cap, "ended with %d: %s", l->code, l->ended ? l->why : l->verdict);
        break;
    case STATE_KILLED:
        snprintf(out, cap, "killed without a word after step %" PRId64 ", last heard %s, %s ago", s->step, unit_date(heard, when),
                 unit_age(s->now - heard, word));
        break;
    default:
        snprintf(out, cap, "not running; why it ended is not known%s", s->story.there ? "" : ": there is no lives.jsonl");
    }
}

static void say_job(const Status *s, FILE *f, int columns)
{
    const StoryLife *l = status_last(s);
    const SlurmJob *j = &s->job;
    char what[512] = "";
    if (!l)
        return;
    if (j->known && !strcmp(j->state, "RUNNING"))
        snprintf(what, sizeof what, ": RUNNING on %s, %s left", j->nodes, j->left);
    else if (j->known)
        snprintf(what, sizeof what, ": %s%s%s%s%s", j->state, strcmp(j->reason, "None") ? ", " : "", strcmp(j->reason, "None") ? j->reason : "",
                 strcmp(j->start, "N/A") ? ", starts " : "", strcmp(j->start, "N/A") ? j->start : "");
    else if (j->said[0])
        snprintf(what, sizeof what, " (%s)", j->said);
    if (l->job[0])
        row(f, columns, "job      %s%s", l->job, what);
    char where[STORY_TEXT + 32] = "";
    if (l->hosts)
        snprintf(where, sizeof where, ", %d node%s: %s", l->hosts, s_of(l->hosts), l->nodes);
    row(f, columns, "on       %d rank%s x %d thread%s (%d replica%s of %d)%s", l->ranks, s_of(l->ranks), l->threads, s_of(l->threads), l->dp,
        s_of(l->dp), l->tp, where);
}

/* ---- figures ---- */

/* Means of a loss over the latest steps and over as many before. */
typedef struct { double now, last, before; int64_t window; } Trend;

static Trend trend_of(const StepFile *log, size_t field)
{
    Trend t = { .window = min64(WINDOW, min64(log->rows, STEPLOG_ROWS) / 2) };
    double sum[2] = { 0, 0 };
    int64_t n[2] = { 0, 0 };
    for (int64_t i = 0; i < 2 * t.window; i++) {
        const double x = *(const double *)((const char *)steplog_row(log, i) + field);
        if (isfinite(x)) {
            sum[i >= t.window] += x;
            n[i >= t.window]++;
        }
    }
    t.now = *(const double *)((const char *)steplog_row(log, 0) + field);
    t.last = n[0] ? sum[0] / (double)n[0] : NAN;
    t.before = n[1] ? sum[1] / (double)n[1] : NAN;
    return t;
}

static const char *direction(const Trend *t)
{
    if (!isfinite(t->last) || !isfinite(t->before))
        return "";
    const double change = t->last - t->before;
    return fabs(change) <= LEVEL * fabs(t->before) ? "level" : change < 0 ? "falling" : "rising";
}

static void say_losses(const Status *s, FILE *f, int columns)
{
    static const struct { const char *name; size_t field; } losses[] = {
        { "loss", offsetof(StepRow, loss) }, { "  text", offsetof(StepRow, text) }, { "  visual", offsetof(StepRow, visual) } };
    for (int i = 0; i < 3; i++) {
        const Trend t = trend_of(&s->log, losses[i].field);
        char means[128] = "";
        if (i && t.now == 0)
            continue;
        if (t.window)
            snprintf(means, sizeof means, "   last %" PRId64 " steps %.4f, %" PRId64 " before %.4f  %s", t.window, t.last, t.window, t.before,
                     direction(&t));
        row(f, columns, "%-8s %.4f%s", losses[i].name, t.now, means);
    }
}

static void say_rate(const Status *s, FILE *f, int columns)
{
    const StepRow *r = steplog_row(&s->log, 0);
    const double left = status_left(s), median = steplog_rate(&s->log);
    char word[UNIT_WORD], when[UNIT_WORD];
    row(f, columns, "rate     %.1f samples/s, %.0f tokens/s; median %.1f samples/s", r->samples_s, r->tokens_s, median);
    if (s->step < s->steps && isfinite(left) && s->state == STATE_RUNNING)
        row(f, columns, "ETA      %s, %s", unit_clock(left, word), unit_date(s->now + left, when));
    else if (s->step < s->steps && isfinite(left))
        row(f, columns, "to go    %" PRId64 " step%s, %s", s->steps - s->step, s_of(s->steps - s->step), unit_span(left, word));
    if (s->log.skipped)
        row(f, columns, "skipped  %" PRId64 " step%s since this start", s->log.skipped, s_of(s->log.skipped));
}

static void say_ckpt(const Status *s, FILE *f, int columns)
{
    const StatusCkpt *c = &s->ckpt;
    char word[UNIT_WORD], size[UNIT_WORD], bad[80] = "", lost[80] = "";
    if (c->bad)
        snprintf(bad, sizeof bad, "; %" PRId64 " newer that %s not whole", c->bad, c->bad == 1 ? "is" : "are");
    const int64_t behind = s->held || s->step >= s->steps ? 0 : s->step - (c->there ? c->step : 0);
    if (behind > 0)
        snprintf(lost, sizeof lost, "; %" PRId64 " step%s after it must be done again", behind, s_of(behind));
    if (!c->there)
        row(f, columns, "saved    nothing yet%s", bad);
    else
        row(f, columns, "saved    step %" PRId64 ", %s ago, %s, looks whole%s%s", c->step, unit_age(s->now - c->time, word),
            unit_bytes((double)c->bytes, size), bad, lost);
}

/* "text 0.7045  visual 0.0046  accuracy 93.3 %" of evaluation i. */
static const char *evaluated(const Evals *x, int64_t i, char out[128])
{
    int n = 0;
    if (x->value[EVALS_TEXT][i] > 0)
        n = snprintf(out, 128, "text %.4f  visual %.4f", x->value[EVALS_TEXT][i], x->value[EVALS_VISUAL][i]);
    else
        n = snprintf(out, 128, "loss %.4f", x->value[EVALS_LOSS][i]);
    if (isfinite(x->value[EVALS_MEAN][i]))
        snprintf(out + n, 128 - (size_t)n, "  accuracy %.1f %%", 100 * x->value[EVALS_MEAN][i]);
    return out;
}

static void say_evals(const Status *s, FILE *f, int columns)
{
    const Evals *x = &s->evals;
    char text[128];
    if (x->n == 0)
        return;
    row(f, columns, "eval     step %" PRId64 ": %s", x->step[x->n - 1], evaluated(x, x->n - 1, text));
    if (x->best >= 0)
        row(f, columns, "best     step %" PRId64 ": %s", x->step[x->best], evaluated(x, x->best, text));
}

static void say_head(const Status *s, FILE *f, int columns)
{
    char bar[BAR + 1], what[1100];
    const int64_t full = s->steps > 0 ? BAR * min64(s->step, s->steps) / s->steps : 0;
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = 0;
    if (s->steps > 0)
        row(f, columns, "%s%s%s  step %" PRId64 " of %" PRId64 " [%s] %.1f %%", s->dir, s->stage[0] ? "  " : "", s->stage, s->step, s->steps,
            bar, 100.0 * (double)min64(s->step, s->steps) / (double)s->steps);
    else
        row(f, columns, "%s%s%s  step %" PRId64 "; of how many is not known", s->dir, s->stage[0] ? "  " : "", s->stage, s->step);
    status_sentence(s, what, sizeof what);
    row(f, columns, "state    %s", what);
}

/* ---- lives ---- */

static void why_of(const Status *s, const StoryLife *l, char *out, size_t cap)
{
    char when[UNIT_WORD];
    if (l == status_last(s) && s->state != STATE_ENDED)
        status_sentence(s, out, cap);
    else if (!l->known)
        snprintf(out, cap, "not known: it left no record");
    else if (l->ended && l->code == EXIT_DONE)
        snprintf(out, cap, "done");
    else if (l->ended)
        snprintf(out, cap, "%d: %s%s%s%s", l->code, l->why, l->where[0] ? " (" : "", l->where, l->where[0] ? ")" : "");
    else if (l->hung > 0 || l->died > 0)
        snprintf(out, cap, "%d: %s", l->code, l->verdict);
    else
        snprintf(out, cap, "killed without a word after step %" PRId64 ", last heard %s", l->step, unit_date(l->until, when));
}

static void date(char out[UNIT_WORD], double t)
{
    char word[UNIT_WORD];
    snprintf(out, UNIT_WORD, "%s", unit_date(t, word));
}

void status_life(const Status *s, const StoryLife *l, LifeWords *w)
{
    const bool living = s->held && l == status_last(s);
    const int64_t done = living ? (l->lines ? l->lines->last : l->from) : max64(l->step, l->lines ? l->lines->last : -1);
    const int64_t kept = l->lines ? l->lines->last : l->from;
    *w = (LifeWords){ .steps = "-", .lost = "-", .job = "-", .nodes = "?", .ended = "-" };
    if (l->from >= 0 && done > l->from)
        snprintf(w->steps, sizeof w->steps, "%" PRId64 "-%" PRId64, l->from + 1, done);
    if (l->from >= 0 && done > max64(kept, l->from))
        snprintf(w->lost, sizeof w->lost, "%" PRId64, done - max64(kept, l->from));
    if (l->job[0])
        snprintf(w->job, sizeof w->job, l->restart ? "%s.%" PRId64 : "%s", l->job, l->restart);
    if (l->hosts)
        snprintf(w->nodes, sizeof w->nodes, "%d", l->hosts);
    why_of(s, l, w->why, sizeof w->why);
    date(w->began, l->born);
    if (!living)
        date(w->ended, l->until);
}

static void say_life(const Status *s, int i, FILE *f, int columns)
{
    LifeWords w;
    status_life(s, &s->story.life[i], &w);
    row(f, columns, "%4d  %s  %14s  %-15s %4s  %-8s %5s %5d  %s", i + 1, w.began, w.ended, w.steps, w.lost, w.job, w.nodes, s->story.life[i].ranks, w.why);
}

static void say_lives(const Status *s, FILE *f, int columns)
{
    const int n = s->story.lives, first = n > LIVES_SHOWN ? n - LIVES_SHOWN : 0;
    if (!n)
        return;
    row(f, columns, "\nlife  started         ended           steps           lost  job      nodes ranks  why it ended");
    if (first)
        row(f, columns, "      ... %d earlier: --json has them", first);
    for (int i = first; i < n; i++)
        say_life(s, i, f, columns);
}

/* ---- time ---- */

static void say_time(const Status *s, FILE *f, int columns)
{
    const Story *x = &s->story;
    char word[UNIT_WORD], when[UNIT_WORD];
    if (!x->lives || !(x->wall > 0))
        return;
    row(f, columns, "\nsince %s         %20s  100.0 %%", unit_date(x->life[0].born, when), unit_span(x->wall, word));
    for (int pass = 0; pass < 2; pass++)                            /* what counts, then what does not */
        for (int k = 0; k < SPENT; k++)
            if ((k == SPENT_STEPS) == (pass == 0) && (fabs(x->spent[k]) >= 0.05 || k == SPENT_STEPS))
                row(f, columns, "  %-28s %18s  %5.1f %%%s", SPENT_LABEL[k], unit_span(x->spent[k], word), 100 * x->spent[k] / x->wall,
                    k == SPENT_STEPS ? "  effective training time" : "");
    if (x->unknown)
        row(f, columns, "  %d li%s left no record: between them all that is no step is `%s`", x->unknown, x->unknown == 1 ? "fe" : "ves",
            SPENT_LABEL[SPENT_WAITING]);
}

/* What is slow of a rank: it computes, or its link. */
static const char *slow_text(char out[STORY_TEXT], int rank, const char *host, double seconds, bool link)
{
    snprintf(out, STORY_TEXT, link ? "rank %d on node %s, its link: a word and its answer take %.3g s more" : "rank %d on node %s, others wait %.3g s a step",
             rank, host, seconds);
    return out;
}

static void say_found(const Status *s, FILE *f, int columns)
{
    const Story *x = &s->story;
    char when[UNIT_WORD], slow[STORY_TEXT];
    for (int i = 0; i < x->hangs && i < SHORT; i++)
        row(f, columns, "%s  %s  %s", i ? "    " : "\nhung", unit_date(x->hang[i].time, when), x->hang[i].text);
    for (int i = 0; i < x->slows && i < SHORT; i++)
        row(f, columns, "%s  %s  step %" PRId64 ": %s%s%s", i ? "    " : "\nslow", unit_date(x->slow[i].time, when), x->slow[i].step,
            slow_text(slow, x->slow[i].rank, x->slow[i].host, x->slow[i].seconds, x->slow[i].link), x->slow[i].collective[0] ? ", in " : "",
            x->slow[i].collective);
    if (s->log.straggler >= 0 && s->held)
        row(f, columns, "slow now: %s", slow_text(slow, s->log.straggler, s->log.straggler_host, s->log.straggler_seconds, s->log.straggler_link));
    if (s->log.damaged + x->damaged)
        row(f, columns, "\n%" PRId64 " line%s of run.jsonl or lives.jsonl could not be read", s->log.damaged + x->damaged, s_of(s->log.damaged + x->damaged));
}

void status_page(const Status *s, FILE *f, int columns)
{
    say_head(s, f, columns);
    say_job(s, f, columns);
    if (s->log.rows) {
        say_losses(s, f, columns);
        say_rate(s, f, columns);
    }
    say_ckpt(s, f, columns);
    say_evals(s, f, columns);
    say_lives(s, f, columns);
    say_time(s, f, columns);
    say_found(s, f, columns);
}

void status_line(const Status *s, FILE *f)
{
    const StepRow *r = steplog_row(&s->log, 0);
    const double left = status_left(s);
    char what[1100], word[UNIT_WORD];
    status_sentence(s, what, sizeof what);
    plain(what);
    fprintf(f, "step %" PRId64 "/%" PRId64, s->step, s->steps);
    if (r)
        fprintf(f, "  loss %.4f  %.1f samples/s", r->loss, r->samples_s);
    if (isfinite(left) && s->step < s->steps)
        fprintf(f, "  ETA %s", unit_clock(left, word));
    if (s->ckpt.there)
        fprintf(f, "  saved %" PRId64, s->ckpt.step);
    fprintf(f, "  %s%s%s\n", what, s->job.known ? "; job " : "", s->job.known ? s->job.state : "");
}
