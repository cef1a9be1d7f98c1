#include "dist/stop.h"

#include <signal.h>
#include <stdatomic.h>

#include "core/base.h"

/* Atomic, not only sig_atomic_t: the kernel may deliver on the loader's thread. */
static atomic_int count;

static void handle(int number)
{
    (void)number;
    atomic_fetch_add(&count, 1);
}

void stop_install(void)
{
    static const int signals[] = { SIGTERM, SIGUSR1, SIGUSR2, SIGINT, SIGXCPU };
    struct sigaction a = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigemptyset(&a.sa_mask);
    count = 0;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(sigaction(signals[i], &a, NULL) == 0, "no handler for signal %d", signals[i]);
}

int stop_requested(void) { return count; }
