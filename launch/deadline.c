#include "launch/deadline.h"

#include <math.h>
#include <time.h>

#include "io/base/jobend.h"

static const double SAVE_RATE = 200e6;          /* bytes a second, until one was measured */
static const double SAVE_SHARE = 0.125;         /* of this life's time, likewise */
static const double SAVE_LEAST = 5;             /* seconds */

double deadline_open(const Run *r)
{
    char said[JOBEND_TEXT] = "stop.deadline", at[32];
    if (r->grid.rank != 0)
        return INFINITY;
    const double set = (double)r->c->stop.deadline, end = set > 0 ? set : jobend(said);
    if (end == 0 && said[0])
        log_line(r->log, "when the job's time ends is not known: %s; nothing is saved before it but what is due", said);
    if (end == 0)
        return INFINITY;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const double left = end - (double)t.tv_sec - 1e-9 * (double)t.tv_nsec;
    const time_t seconds = (time_t)end;
    struct tm local;
    strftime(at, sizeof at, "%F %T %Z", localtime_r(&seconds, &local));
    log_line(r->log, "the job's time ends at %s, %s %.0f h %02.0f min %02.0f s (%s)", at, left < 0 ? "over for" : "in", trunc(fabs(left) / 3600),
             trunc(fmod(fabs(left), 3600) / 60), trunc(fmod(fabs(left), 60)), said);
    return now() + left;
}

double deadline_save(const Run *r, const StepState *s)
{
    const double bytes = (double)saver_written(r->saver) * r->grid.size;        /* ranks share the writing evenly */
    const double guess = fmin(bytes / SAVE_RATE, SAVE_SHARE * (s->ends - s->saved));     /* no save yet: since the start */
    return fmax(s->t_saved > 0 ? s->t_saved : guess, SAVE_LEAST);
}

bool deadline_near(const Run *r, const StepState *s, double seconds)
{
    return r->grid.rank == 0 && s->ends - now() < seconds + 2 * deadline_save(r, s);
}
