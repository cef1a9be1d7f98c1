#include "core/vectors.h"

/* CPU_LEVELS: LEVEL(base) and so on, from the Makefile. */
#define LEVEL(name) extern const Ops cpu_ops_##name;
CPU_LEVELS
#undef LEVEL

#define LEVEL(name) { &cpu_ops_##name, vectors_##name },
static const struct { const Ops *ops; bool (*runs)(void); } LEVELS[] = { CPU_LEVELS };
#undef LEVEL

enum { BUILT = sizeof LEVELS / sizeof *LEVELS };

static int most = BUILT;

int vectors_levels(void)
{
    int n = 0;
    while (n < most && LEVELS[n].runs())
        n++;
    return n;
}

void vectors_limit(int levels) { most = levels < BUILT ? levels : BUILT; }

const Ops *vectors_ops(void) { return LEVELS[vectors_levels() - 1].ops; }
