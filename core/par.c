#include "core/par.h"

#include "core/join.h"

#include <string.h>

static void alone(Tp *tp, float *x, int64_t n)
{
    (void)tp, (void)x, (void)n;
}

static void here(Tp *tp, int first, int last)
{
    (void)tp, (void)first, (void)last;
}

static void starts(Tp *tp, float *x, float *room, int64_t n)
{
    (void)tp, (void)x, (void)room, (void)n;
}

static void scatters(Tp *tp, float *x, float *room, int64_t n, int64_t each)
{
    (void)tp, (void)x, (void)room, (void)n, (void)each;
}

static void gathers(Tp *tp, float *x, int64_t n, int64_t each)
{
    (void)tp, (void)x, (void)n, (void)each;
}

static void is_there(Tp *tp)
{
    (void)tp;
}

Tp TP_ALONE = { .rank = 0, .size = 1, .sum = alone, .max = alone, .sum_start = starts,
                .scatter_start = scatters, .gather_start = gathers, .wait = is_there, .need = here };

/* A double is the sum of three floats, and the sum over ranks of slots that are 0 everywhere else moves them exactly. */
void tp_sum_f64(Tp *tp, double *x, int n)
{
    enum { ROOM = 3072 };
    float part[ROOM];
    double of[ROOM / 3] = { 0 };
    const int slots = 3 * tp->size, most = ROOM / slots;
    CHECK(most > 0, "%d tensor-parallel ranks, more than %d", tp->size, ROOM / 3);
    for (int done = 0; done < n; done += most) {
        const int m = (int)min64(most, n - done);
        memset(part, 0, sizeof part);
        for (int i = 0; i < m; i++) {
            float *p = part + i * slots + 3 * tp->rank;
            double left = x[done + i];
            for (int j = 0; j < 3; j++) {
                p[j] = (float)left;
                left -= p[j];
            }
        }
        tp->sum(tp, part, (int64_t)m * slots);
        for (int i = 0; i < m; i++) {
            for (int r = 0; r < tp->size; r++) {
                const float *p = part + i * slots + 3 * r;
                of[r] = (double)p[0] + p[1] + p[2];
            }
            x[done + i] = join_f64(of, tp->size);
        }
    }
}
