#include "launch/status/evals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/base/files.h"

const char *const EVALS_KEY[EVALS_VALUES] = { "loss", "loss_text", "loss_visual", "mean" };

static void *grow(void *p, int64_t n, size_t each)
{
    p = realloc(p, (size_t)n * each);
    CHECK(p, "no memory for %lld evaluations", (long long)n);
    return p;
}

static double number(const json_t *o, const char *key)
{
    const json_t *x = json_object_get(o, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

static void take(Evals *x, const json_t *o)
{
    const int64_t step = json_integer_value(json_object_get(o, "step"));
    while (x->n && x->step[x->n - 1] >= step)
        x->n--;
    if (x->n == x->cap) {
        x->cap = 2 * x->cap + 64;
        x->step = grow(x->step, x->cap, sizeof *x->step);
        x->time = grow(x->time, x->cap, sizeof *x->time);
        x->seconds = grow(x->seconds, x->cap, sizeof *x->seconds);
        for (int k = 0; k < EVALS_VALUES; k++)
            x->value[k] = grow(x->value[k], x->cap, sizeof *x->value[k]);
    }
    x->step[x->n] = step;
    x->time[x->n] = number(o, "time");
    x->seconds[x->n] = number(o, "seconds");
    for (int k = 0; k < EVALS_VALUES; k++)
        x->value[k][x->n] = number(o, EVALS_KEY[k]);
    if (json_object_size(json_object_get(o, "tasks")) == 0)
        x->value[EVALS_MEAN][x->n] = NAN;
    x->n++;
}

void evals_read(Evals *x, const char *dir, int64_t best)
{
    char path[PATH_ROOM], *line = NULL;
    size_t cap = 0;
    Err none = { 0 };
    FILE *f = path_set(path, &none, "%s/evals.jsonl", dir) ? fopen(path, "re") : NULL;
    x->n = 0;
    x->best = -1;
    for (ssize_t n; f && (n = getline(&line, &cap, f)) > 0; ) {
        json_t *o = line[n - 1] == '\n' ? json_loads(line, 0, NULL) : NULL;
        if (json_is_integer(json_object_get(o, "step")))
            take(x, o);
        json_decref(o);
    }
    for (int64_t i = 0; i < x->n; i++)
        x->best = x->step[i] == best ? i : x->best;
    free(line);
    if (f)
        fclose(f);
}

void evals_free(Evals *x)
{
    free(x->step);
    free(x->time);
    free(x->seconds);
    for (int k = 0; k < EVALS_VALUES; k++)
        free(x->value[k]);
    *x = (Evals){ 0 };
}
