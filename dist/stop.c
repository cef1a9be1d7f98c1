#include "dist/stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "core/base.h"

/* Atomic, not only sig_atomic_t: the kernel may deliver on the loader's thread.  Nanoseconds of the monotonic clock; 0: none yet. */
static _Atomic int64_t first, latest, grace = 5000000000;
static atomic_bool saving;

static void end_if_asked_twice(void)
{
    static const char text[] = "asvr: asked to stop a second time while saving: stopped at once, this checkpoint is not saved\n";
    if (!saving || stop_requested() < 2)
        return;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_UNSAVED);
}

/* Only what a handler may: clock_gettime, lock-free atomics, write, _exit. */
static void handle(int number)
{
    struct timespec t;
    int64_t none = 0;
    (void)number;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const int64_t at = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    atomic_compare_exchange_strong(&first, &none, at);
    latest = at;
    end_if_asked_twice();
}

void stop_install(void)
{
    static const int signals[] = { SIGTERM, SIGUSR1, SIGUSR2, SIGINT, SIGXCPU };
    struct sigaction a = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(sigaction(signals[i], &a, NULL) == 0, "no handler for signal %d", signals[i]);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR, "SIGXFSZ cannot be ignored");
}

void stop_grace(double seconds) { grace = (int64_t)(1e9 * seconds); }

int stop_requested(void)
{
    const int64_t from = first, to = latest;
    return from == 0 ? 0 : to > from && to - from >= grace ? 2 : 1;
}

void stop_in_save(bool yes)
{
    saving = yes;
    end_if_asked_twice();
}

void stop_forget(void) { first = latest = 0; }
