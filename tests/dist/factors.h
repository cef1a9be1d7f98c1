/* factors.h -- every way to go through so many replicas in levels of two or more */
#pragma once
#include "dist/levels.h"

enum { FACTORINGS = 64 };

static int factorings_of(int left, Levels v, Levels *out)
{
    if (left == 1) {
        *out = v;
        return 1;
    }
    int n = 0;
    for (int k = 2; k <= left && v.n < LEVELS; k++)
        if (left % k == 0) {
            Levels more = v;
            more.size[more.n++] = k;
            n += factorings_of(left / k, more, out + n);
        }
    return n;
}

static inline int factorings(int replicas, Levels out[FACTORINGS]) { return factorings_of(replicas, (Levels){ .replicas = replicas }, out); }
