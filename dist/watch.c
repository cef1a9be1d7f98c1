#include "dist/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <math.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dist/watchjudge.h"

enum { ADDRESSES = 8, RANKS_A_SECOND = 500, WARN_AFTER = 30 /* ticks */, LEAST_STEPS = 4, LEAST_TRIPS = 4 };
static const double TICK = 1, SHORTEST_TICK = 0.05, WINDOW = 1;            /* seconds */

enum { SAYS, ANSWERS, ENDS };
/* A datagram; all ranks run the same binary. */
typedef struct {
    uint64_t   job;                 /* known to this job's ranks alone */
    int32_t    what, rank, address, answered;   /* address: by which of rank 0's it came; answered: that one may be used alone */
    double     sent, echo;          /* by the sender's clock; by the receiver's, when what this answers was sent, and how long it lay here */
    WatchState state;
} Word;

/* Where rank 0 hears. */
typedef struct { uint64_t job; int32_t n; uint32_t address[ADDRESSES]; uint16_t port; } Place;

typedef struct { struct sockaddr_in from; int address; double sent, came; } Path;

struct Watch {
    int       rank, size;
    double    timeout;
    WatchSay  say;
    Place     zero;
    int       chosen;               /* rank 0's address that answers, or -1 */
    int       socket, wake[2];      /* wake: closed by watch_close */
    pthread_t thread;
    WatchTable table;
    Path     *path;                 /* (size) rank 0: where ranks' words came from */
    double   *room;                 /* (size) */
    double    awake, tick;          /* seconds that this thread was awake; between two words */
    int       ticks;
    bool      warned;
    double    echo, trips, trip;    /* of a word and its answer: the last one's echo; seconds so far; their average */
    int       n_trips;
    int64_t   trip_window;
    /* Written by the main thread: */
    _Atomic uint64_t changes;
    _Atomic int64_t  step, window;
    _Atomic int      phase, steps;
    _Atomic double   longest, busy;
    double    began, waited, window_began, window_busy;     /* its own */
    int       window_steps;
    /* Written by the thread: */
    _Atomic int      slow[WATCH_COSTS];             /* rank, or -1 */
    _Atomic double   slow_seconds[WATCH_COSTS];
    const char *_Atomic slow_inside;                /* the collective of the one with a slow link, seen last */
};

/* ---- the main thread's side ---- */

#define PUT(word, value) atomic_store_explicit(&(word), value, memory_order_relaxed)
#define GET(word)        atomic_load_explicit(&(word), memory_order_relaxed)

void watch_phase(Watch *w, int phase, int64_t step)
{
    if (!w)
        return;
    PUT(w->step, step);
    PUT(w->phase, phase);
    PUT(w->changes, GET(w->changes) + 1);
}

void watch_step_begins(Watch *w, int64_t step)
{
    if (!w)
        return;
    watch_phase(w, WATCH_DATA, step);
    w->began = now();
    w->waited = comm_waited;
}

void watch_step_ended(Watch *w)
{
    if (!w)
        return;
    const double t = now(), seconds = t - w->began;
    PUT(w->longest, fmax(GET(w->longest), seconds));
    PUT(w->steps, GET(w->steps) + 1);
    w->window_busy += fmax(0, seconds - (comm_waited - w->waited));
    w->window_steps++;
    if (w->window_steps < LEAST_STEPS || t - w->window_began < WINDOW)
        return;
    PUT(w->busy, w->window_busy / w->window_steps);
    PUT(w->window, GET(w->window) + 1);
    w->window_busy = w->window_steps = 0;
    w->window_began = t;
}

bool watch_straggler(const Watch *w, Straggler *out)
{
    int cost = 0;
    while (w && cost < WATCH_COSTS && GET(w->slow[cost]) < 0)
        cost++;
    if (!w || cost == WATCH_COSTS)
        return false;
    const int rank = GET(w->slow[cost]);
    *out = (Straggler){ .rank = rank, .seconds = GET(w->slow_seconds[cost]), .link = cost == WATCH_TRIP,
                        .collective = cost == WATCH_TRIP ? GET(w->slow_inside) : "" };
    memcpy(out->host, w->table.host[rank], sizeof out->host);
    return true;
}

static WatchState own_state(Watch *w)
{
    return (WatchState){ .moves = GET(comm_now.moves) + GET(w->changes), .inside = GET(comm_now.inside), .step = GET(w->step),
                         .phase = GET(w->phase), .steps = GET(w->steps), .longest = GET(w->longest), .cost = { GET(w->busy), w->trip },
                         .window = { GET(w->window), w->trip_window } };
}

/* ---- words ---- */

static void send_to(Watch *w, const struct sockaddr_in *to, int what, int address, double echo)
{
    const Word x = { w->zero.job, what, w->rank, address, w->chosen >= 0, now(), echo, own_state(w) };
    (void)!sendto(w->socket, &x, sizeof x, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)to, sizeof *to);   /* lost: the next tells as much */
}

/* To the address that answers; to all of them while none does. */
static void tell_zero(Watch *w)
{
    for (int i = 0; i < w->zero.n; i++) {
        const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = w->zero.port, .sin_addr.s_addr = w->zero.address[i] };
        if (w->chosen < 0 || w->chosen == i)
            send_to(w, &to, SAYS, i, 0);
    }
}

static void tell(Watch *w, int r, int what)
{
    const Path *p = &w->path[r];
    send_to(w, &p->from, what, p->address, p->sent + (now() - p->came));
}

static void tell_all(Watch *w, int what)
{
    for (int r = 1; r < w->size; r++)
        if (w->table.peer[r].spoke)
            tell(w, r, what);
}

/* Rank 0 has answered a word of ours: how long were both under way? */
static void trip(Watch *w, double echo)
{
    if (echo <= w->echo)                            /* the same word's answer again */
        return;
    w->echo = echo;
    w->trips += fmax(0, now() - echo);
    if (++w->n_trips < LEAST_TRIPS)
        return;
    w->trip = w->trips / w->n_trips;
    w->trip_window++;
    w->trips = w->n_trips = 0;
}

static void take(Watch *w, const Word *x, const struct sockaddr_in *from)
{
    if (x->job != w->zero.job || x->rank < 0 || x->rank >= w->size || x->rank == w->rank)
        return;
    if (w->rank == 0 && x->what == SAYS) {
        watch_heard(&w->table, x->rank, &x->state, w->awake);
        w->path[x->rank] = (Path){ *from, x->address, x->sent, now() };
        if (!x->answered)
            tell(w, x->rank, ANSWERS);
    } else if (w->rank != 0 && x->rank == 0) {
        if (x->what == ENDS)
            _exit(EXIT_HANG);                       /* rank 0 has said why */
        watch_heard(&w->table, 0, &x->state, w->awake);
        w->chosen = x->address;
        trip(w, x->echo);
    }
}

static void hear(Watch *w)
{
    Word x;
    struct sockaddr_in from;
    for (;;) {
        socklen_t n = sizeof from;
        const ssize_t got = recvfrom(w->socket, &x, sizeof x, MSG_DONTWAIT, (struct sockaddr *)&from, &n);
        if (got < 0 && errno == ECONNREFUSED)       /* an answer to an earlier word: that rank has ended */
            continue;
        if (got < 0)
            return;
        if (got == sizeof x)
            take(w, &x, &from);
    }
}

/* ---- judging ---- */

/* Says it, then rank 0 tells the others; those that it cannot reach, the launcher ends. */
static _Noreturn void end_all(Watch *w, const WatchVerdict *v)
{
    w->say(v->what, v->got);
    if (w->rank == 0)
        tell_all(w, ENDS);
    _exit(EXIT_HANG);
}

static double silent_after(const Watch *w, double limit) { return fmax(3 * w->tick, limit / 2); }

static void judge_all(Watch *w)
{
    WatchVerdict v;
    double seconds = 0;
    if (w->timeout >= 0 && watch_hangs(&w->table, w->timeout, w->awake)) {
        watch_verdict(&w->table, w->awake, silent_after(w, watch_limit(w->timeout, &w->table.peer[0].state)), &v);
        end_all(w, &v);
    }
    for (int k = 0; k < WATCH_COSTS; k++) {
        const int slow = watch_slowest(&w->table, k, w->room, &seconds);
        const char *in = k == WATCH_TRIP && slow >= 0 ? watch_inside(&w->table.peer[slow].state) : "";
        if (in[0])
            PUT(w->slow_inside, in);
        PUT(w->slow_seconds[k], seconds);
        PUT(w->slow[k], slow);
    }
}

/* Rank 0 judges while it lives: this is for when it does not, or for a rank that nobody hears. */
static void judge_alone(Watch *w)
{
    const WatchPeer *me = &w->table.peer[w->rank], *zero = &w->table.peer[0];
    const double limit = watch_limit(w->timeout, &me->state), turn = fmin(w->rank - 1, 10) * fmax(w->tick, 0.5);
    if (w->timeout < 0 || w->awake - me->moved < limit + turn || (zero->spoke && w->awake - zero->heard < silent_after(w, limit)))
        return;
    WatchVerdict v;
    watch_alone(&w->table, w->rank, w->awake, &v);
    end_all(w, &v);
}

/* Whom rank 0 has not heard at all. */
static void warn_unheard(Watch *w)
{
    char text[256];
    int n = 0, one = -1;
    for (int r = 1; r < w->size; r++)
        if (!w->table.peer[r].spoke) {
            one = one < 0 ? r : one;
            n++;
        }
    w->warned = true;
    if (n == 0)
        return;
    snprintf(text, sizeof text, "the watchdog of rank 0 hears nothing from rank %d on node %s%s: UDP between the nodes does not get through, "
             "and a rank there that hangs is not named", one, w->table.host[one], n > 1 ? ", nor from others" : "");
    w->say(text, NULL);
}

static void tick(Watch *w)
{
    const WatchState own = own_state(w);
    watch_heard(&w->table, w->rank, &own, w->awake);
    const double limit = watch_limit(w->timeout, &own), every = TICK * fmax(1, (double)w->size / RANKS_A_SECOND);
    w->tick = fmax(SHORTEST_TICK, fmin(every, limit / 10));
    w->ticks++;
    if (w->rank == 0) {
        w->trip_window++;                           /* its own word takes no time */
        tell_all(w, ANSWERS);
        judge_all(w);
        if (w->ticks >= WARN_AFTER && !w->warned)
            warn_unheard(w);
    } else {
        if (w->awake - w->table.peer[0].heard > 5 * w->tick)
            w->chosen = -1;                         /* perhaps another way still works */
        tell_zero(w);
        judge_alone(w);
    }
}

static void *run(void *arg)
{
    Watch *w = arg;
    double last = now(), due = 0;
    for (;;) {
        struct pollfd p[2] = { { .fd = w->socket, .events = POLLIN }, { .fd = w->wake[0], .events = POLLIN } };
        poll(p, 2, (int)fmax(0, ceil(1000 * (due - w->awake))));
        if (p[1].revents)
            return NULL;
        const double t = now();
        w->awake += fmin(t - last, 2 * w->tick);    /* what is more, this thread has slept through: no evidence against anybody */
        last = t;
        hear(w);
        if (w->awake < due)
            continue;
        tick(w);
        due = w->awake + w->tick;
    }
}

/* ---- opening ---- */

/* Rank 0's addresses: the loopback first, which only its own node uses. */
static void find_place(Watch *w)
{
    struct sockaddr_in here = { .sin_family = AF_INET };
    socklen_t n = sizeof here;
    struct ifaddrs *all = NULL;
    Place *z = &w->zero;
    CHECK(getrandom(&z->job, sizeof z->job, 0) == sizeof z->job, "no random number");
    CHECK(getsockname(w->socket, (struct sockaddr *)&here, &n) == 0, "the watchdog's socket has no port");
    z->port = here.sin_port;
    z->address[z->n++] = htonl(INADDR_LOOPBACK);
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *a = all; a && z->n < ADDRESSES; a = a->ifa_next)
        if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET && (a->ifa_flags & IFF_UP) && !(a->ifa_flags & IFF_LOOPBACK))
            z->address[z->n++] = ((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr.s_addr;
    freeifaddrs(all);
}

/* Everybody learns where rank 0 hears, and where everybody is. */
static void introduce(Watch *w, const Grid *g)
{
    char host[WATCH_HOST] = "";
    int first = g->rank;
    if (w->rank == 0)
        find_place(w);
    comm_bcast(g->world, &w->zero, sizeof w->zero, 0);
    comm_bcast(g->node, &first, sizeof first, 0);
    if (first == 0)
        w->zero.n = 1;
    else
        w->zero.address[0] = w->zero.address[--w->zero.n];
    const char *slurm = getenv("SLURMD_NODENAME");  /* what --exclude takes */
    if (slurm && *slurm)
        snprintf(host, sizeof host, "%s", slurm);
    else
        gethostname(host, sizeof host - 1);
    comm_gather(g->world, host, w->table.host, sizeof host);
}

static void *take_memory(size_t n, size_t size)
{
    void *p = calloc(n, size);
    CHECK(p, "no memory for the watchdog of %zu ranks", n);
    return p;
}

Watch *watch_open(const Grid *g, double timeout, WatchSay say)
{
    Watch *w = take_memory(1, sizeof *w);
    const size_t n = (size_t)g->size;
    *w = (Watch){ .rank = g->rank, .size = g->size, .timeout = timeout, .say = say, .chosen = -1, .slow = { -1, -1 }, .slow_inside = "", .tick = SHORTEST_TICK,
                  .window_began = now(), .table = { g->size, g->tp_size, take_memory(n, sizeof(WatchPeer)), NULL },
                  .path = take_memory(n, sizeof(Path)), .room = take_memory(n, sizeof(double)) };
    w->table.host = take_memory(n, WATCH_HOST);
    w->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(w->socket >= 0, "no socket for the watchdog: %s", strerror(errno));
    const struct sockaddr_in any = { .sin_family = AF_INET };
    CHECK(bind(w->socket, (const struct sockaddr *)&any, sizeof any) == 0, "no port for the watchdog: %s", strerror(errno));
    CHECK(pipe2(w->wake, O_CLOEXEC) == 0, "no pipe for the watchdog: %s", strerror(errno));
    introduce(w, g);
    watch_phase(w, WATCH_START, 0);
    if (w->rank > 0)
        tell_zero(w);                               /* now: a rank that stops in the next moment has been heard */

    sigset_t all, before;                           /* signals go to the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&w->thread, NULL, run, w);
    CHECK(rc == 0, "no thread for the watchdog: %s", strerror(rc));
    pthread_setname_np(w->thread, "asvr-watch");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w;
}

void watch_close(Watch *w)
{
    if (!w)
        return;
    close(w->wake[1]);
    pthread_join(w->thread, NULL);
    close(w->wake[0]);
    close(w->socket);
    free(w->table.peer);
    free(w->table.host);
    free(w->path);
    free(w->room);
    free(w);
}
