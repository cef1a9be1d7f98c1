#include "dist/watchjudge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const PHASE[WATCH_PHASES] = { "start", "waiting for data", "the step", "the save", "the evaluation", "the end", "making samples", "writing a shard" };

enum { LEAST = 60, TIMES = 20, LONG_TIMES = 10, LONG_LEAST = 1800 };    /* seconds; steps; limits; seconds */
enum { WINDOWS = 2 };
/* A rank is slow beyond so many medians, and so many seconds.  A word takes its turn behind a scheduler, but not a tenth of a second. */
static const double SLOW[WATCH_COSTS] = { 2.5, 5 }, SHORTEST[WATCH_COSTS] = { 0.005, 0.1 };

double watch_limit(double timeout, const WatchState *s)
{
    const double limit = timeout > 0 ? timeout : fmax(LEAST, TIMES * s->longest);
    if ((s->phase == WATCH_DATA || s->phase == WATCH_STEP) && s->steps > 0)
        return limit;
    return timeout > 0 ? LONG_TIMES * limit : fmax(LONG_LEAST, LONG_TIMES * limit);
}

void watch_heard(WatchTable *t, int r, const WatchState *s, double at)
{
    WatchPeer *p = &t->peer[r];
    if (!p->spoke || p->state.moves != s->moves)
        p->moved = at;
    p->state = *s;
    p->spoke = true;
    p->heard = at;
}

bool watch_hangs(const WatchTable *t, double timeout, double at)
{
    double moved = -1, limit = 0;
    for (int r = 0; r < t->size; r++)
        if (t->peer[r].spoke) {
            moved = fmax(moved, t->peer[r].moved);
            limit = fmax(limit, watch_limit(timeout, &t->peer[r].state));
        }
    return moved >= 0 && at - moved >= limit;
}

/* Do a and b share the communicator that serves this axis? */
static bool together(const WatchTable *t, int axis, int a, int b)
{
    return axis == AXIS_TP ? a / t->tp == b / t->tp : axis == AXIS_DP ? a % t->tp == b % t->tp : true;
}

/* Whose fault, more than others': no word from it; busy with something that is no collective; waiting, but at an earlier place. */
static bool worse(const WatchTable *t, int a, int b, double at, double silent)
{
    const WatchPeer *p = &t->peer[a], *q = &t->peer[b];
    const bool mute_p = at - p->heard > silent, mute_q = at - q->heard > silent;
    if (mute_p != mute_q)
        return mute_p;
    if (!p->state.inside != !q->state.inside)
        return !p->state.inside;
    if (p->state.step != q->state.step)
        return p->state.step < q->state.step;
    const CommWhere x = comm_unpack(p->state.inside), y = comm_unpack(q->state.inside);
    return p->state.inside && x.id == y.id && x.number < y.number;
}

static int cause(const WatchTable *t, double at, double silent)
{
    int who = -1;
    for (int r = 0; r < t->size; r++)
        if (t->peer[r].spoke && (who < 0 || worse(t, r, who, at, silent)))
            who = r;
    return who;
}

/* One who waits for `who`: in a collective of both, if there is one. */
static int waiter(const WatchTable *t, int who)
{
    int found = -1;
    bool near = false;
    for (int r = 0; r < t->size; r++) {
        const WatchPeer *p = &t->peer[r];
        if (r == who || !p->spoke || !p->state.inside)
            continue;
        const bool both = together(t, comm_unpack(p->state.inside).axis, r, who);
        if (found < 0 || (both && !near)) {
            found = r;
            near = both;
        }
    }
    return found;
}

/* A state has crossed the network. */
static const char *phase_of(const WatchState *s)
{
    return s->phase >= 0 && s->phase < WATCH_PHASES ? PHASE[s->phase] : "an unknown phase";
}

static void place(char *out, size_t cap, const WatchState *s)
{
    const CommWhere w = comm_unpack(s->inside);
    const char *unit = s->phase >= WATCH_PACK && s->phase < WATCH_PHASES ? "sample" : "step";
    if (s->inside)
        snprintf(out, cap, "%s %lld (%s %lld)", comm_kind(w.kind), (long long)w.number, unit, (long long)s->step);
    else
        snprintf(out, cap, "%s (%s %lld)", phase_of(s), unit, (long long)s->step);
}

static int mute(const WatchTable *t, double at, double silent)
{
    int n = 0;
    for (int r = 0; r < t->size; r++)
        n += t->peer[r].spoke && at - t->peer[r].heard > silent;
    return n;
}

void watch_verdict(const WatchTable *t, double at, double silent, WatchVerdict *v)
{
    const int who = cause(t, at, silent), other = waiter(t, who), n = mute(t, at, silent);
    const WatchPeer *p = &t->peer[who];
    char here[128], there[128];
    place(here, sizeof here, &p->state);
    if (other < 0) {
        snprintf(v->what, sizeof v->what, "rank %d on node %s gets nowhere in %s for %.0f s", who, t->host[who], here, at - p->moved);
    } else {
        const WatchPeer *q = &t->peer[other];
        place(there, sizeof there, &q->state);
        snprintf(v->what, sizeof v->what, "rank %d on node %s has not %s %s; others wait %.0f s", who, t->host[who],
                 p->state.inside == q->state.inside ? "left" : "entered", there, at - q->moved);
    }
    if (at - p->heard > silent && n > 1)
        snprintf(v->got, sizeof v->got, "no word from it for %.0f s, nor from %d more; its last: %s", at - p->heard, n - 1, here);
    else if (at - p->heard > silent)
        snprintf(v->got, sizeof v->got, "no word from it for %.0f s; its last: %s", at - p->heard, here);
    else
        snprintf(v->got, sizeof v->got, "its process lives; it is in %s", here);
}

void watch_alone(const WatchTable *t, int me, double at, WatchVerdict *v)
{
    const WatchPeer *p = &t->peer[me], *zero = &t->peer[0];
    char mine[128], last[128];
    place(mine, sizeof mine, &p->state);
    place(last, sizeof last, &zero->state);
    if (zero->spoke && p->state.inside) {
        snprintf(v->what, sizeof v->what, "rank 0 on node %s has not %s %s; others wait %.0f s", t->host[0],
                 p->state.inside == zero->state.inside ? "left" : "entered", mine, at - p->moved);
        snprintf(v->got, sizeof v->got, "rank %d on node %s has no word from it for %.0f s; its last: %s", me, t->host[me],
                 at - zero->heard, last);
    } else {
        snprintf(v->what, sizeof v->what, "rank %d on node %s gets nowhere in %s for %.0f s", me, t->host[me], mine, at - p->moved);
        snprintf(v->got, sizeof v->got, "%s rank 0 on node %s", zero->spoke ? "no word any more from" : "no word ever from", t->host[0]);
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every other node's words take long, in so many windows in a row: it is rank 0's own link, and there are two nodes at least to say so.
   One window alone would be a rank 0 that slept.  Counted where rank 0's own trips, which take no time, need no count. */
static bool all_far(const WatchTable *t, double *least)
{
    const char *one = NULL;
    bool two = false;
    int64_t window = INT64_MAX;
    WatchPeer *zero = &t->peer[0];
    *least = INFINITY;
    for (int r = 1; r < t->size; r++) {
        const WatchState *s = &t->peer[r].state;
        if (!strcmp(t->host[r], t->host[0]))
            continue;
        two = two || (one && strcmp(t->host[r], one));
        one = t->host[r];
        window = min64(window, s->window[WATCH_TRIP]);
        *least = fmin(*least, s->window[WATCH_TRIP] ? s->cost[WATCH_TRIP] : 0);
    }
    if (!two || *least <= SHORTEST[WATCH_TRIP])
        zero->over[WATCH_TRIP] = 0;
    else if (zero->judged[WATCH_TRIP] != window)
        zero->over[WATCH_TRIP]++;
    zero->judged[WATCH_TRIP] = window;
    return zero->over[WATCH_TRIP] >= WINDOWS;
}

/* Was it slow in so many windows in a row? */
static bool slow_again(WatchPeer *p, int cost, double median)
{
    const double is = p->state.cost[cost];
    if (is <= SLOW[cost] * median || is - median < SHORTEST[cost])
        p->over[cost] = 0;
    else if (p->judged[cost] != p->state.window[cost])
        p->over[cost]++;
    p->judged[cost] = p->state.window[cost];
    return p->over[cost] >= WINDOWS;
}

int watch_slowest(WatchTable *t, int cost, double *room, double *seconds)
{
    int n = 0, who = -1;
    if (cost == WATCH_TRIP && all_far(t, seconds))
        return 0;
    for (int r = 0; r < t->size; r++)
        if (t->peer[r].state.window[cost] > 0)
            room[n++] = t->peer[r].state.cost[cost];
    if (n < 2)
        return -1;
    qsort(room, (size_t)n, sizeof *room, ascending);
    const double median = room[(n - 1) / 2];                /* of two ranks the faster */
    *seconds = SHORTEST[cost];
    for (int r = cost == WATCH_TRIP; r < t->size; r++) {
        WatchPeer *p = &t->peer[r];
        if (p->state.window[cost] > 0 && slow_again(p, cost, median) && p->state.cost[cost] - median >= *seconds) {
            *seconds = p->state.cost[cost] - median;
            who = r;
        }
    }
    return who;
}

const char *watch_inside(const WatchState *s) { return s->inside ? comm_kind(comm_unpack(s->inside).kind) : ""; }
