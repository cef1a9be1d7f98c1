#include "dist/stop.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/base.h"

/* Atomic, not only sig_atomic_t: the kernel may deliver on the loader's thread. */
static atomic_int count, first;
static double     deadline = INFINITY;

static const struct {
    int number;
    const char *name;
} SIGNALS[] = {
    { SIGTERM, "SIGTERM" }, { SIGUSR1, "SIGUSR1" }, { SIGUSR2, "SIGUSR2" }, { SIGINT, "SIGINT" },
    { SIGXCPU, "SIGXCPU" },
};
enum { NSIGNALS = sizeof SIGNALS / sizeof *SIGNALS };

static void handle(int number)
{
    atomic_compare_exchange_strong(&first, &(int){0}, number);
    atomic_fetch_add(&count, 1);
}

void stop_install(void)
{
    struct sigaction a = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigemptyset(&a.sa_mask);
    count = first = 0;
    deadline = INFINITY;
    for (int i = 0; i < NSIGNALS; i++)
        CHECK(sigaction(SIGNALS[i].number, &a, NULL) == 0, "no handler for %s", SIGNALS[i].name);
}

void stop_deadline(double seconds_from_now) { deadline = now() + seconds_from_now; }

int stop_requested(void) { return count + (now() >= deadline); }

const char *stop_reason(void)
{
    for (int i = 0; i < NSIGNALS; i++)
        if (SIGNALS[i].number == first)
            return SIGNALS[i].name;
    return now() >= deadline ? "deadline" : "";
}
