#include "launch/opstable.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/opspans.h"
#include "core/opsums.h"
#include "dist/stats.h"

static double begun;

void opstable_open(const Run *r)
{
    if (!r->c->run.ops_table)
        return;
    opsums_clear();
    ops_watch(OPS_SUMS);
    begun = now();
}

static int by_seconds(const void *a, const void *b)
{
    const double x = (*(const OpSum *const *)a)->seconds, y = (*(const OpSum *const *)b)->seconds;
    return (x < y) - (x > y);
}

static void print(FILE *f, const OpSum *sums, int n, const Stat *all, double seconds)
{
    const OpSum *s[OPS];
    double in = 0;
    for (int i = 0; i < n; i++)
        in += (s[i] = &sums[i])->seconds;
    qsort(s, (size_t)n, sizeof *s, by_seconds);
    fprintf(f, "%-20s %10s %10s %6s %10s %10s %6s %8s %8s\n", "op", "calls", "seconds", "%", "mean", "most", "rank", "GF/s", "GB/s");
    for (int i = 0; i < n; i++)
        fprintf(f, "%-20s %10lld %10.3f %6.2f %10.3f %10.3f %6d %8.1f %8.1f\n", OP_NAME[s[i]->op], (long long)s[i]->calls, s[i]->seconds,
                100 * s[i]->seconds / seconds, all[s[i]->op].mean, all[s[i]->op].max, all[s[i]->op].argmax, 1e-9 * s[i]->flops / s[i]->seconds,
                1e-9 * s[i]->bytes / s[i]->seconds);
    fprintf(f, "%-20s %10s %10.3f %6.2f\n%-20s %10s %10.3f\n", "in no op", "", seconds - in, 100 * (1 - in / seconds), "all", "", seconds);
}

/* Sums of one phase without shapes: an op has one of them at most. */
void opstable_close(const Run *r, int code)
{
    double mine[OPS] = { 0 };
    Stat all[OPS];
    char path[PATH_ROOM], *text = NULL;
    size_t size;
    int n;
    Err e = { 0 };
    if (begun == 0 || (code != EXIT_DONE && code != EXIT_SAVED))
        return;
    ops_watch(0);
    const double seconds = now() - begun;
    const OpSum *sums = opsums(&n);
    for (int i = 0; i < n; i++)
        mine[sums[i].op] = sums[i].seconds;
    stats_gather(r->grid.world, mine, OPS, all);
    if (r->grid.rank != 0)
        return;
    FILE *f = open_memstream(&text, &size);
    CHECK(f, "no memory for a table");
    print(f, sums, n, all, seconds);
    fclose(f);
    if (!path_set(path, &e, "%s/ops.txt", r->c->run.dir) || !file_replace(path, text, size, &e))
        log_warn(e.what);
    free(text);
}
