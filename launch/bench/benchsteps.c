#include "launch/bench/benchsteps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json.h"

#define FORMAT "asvr-steps"
enum { VERSION = 1, FILE_MOST = 1 << 20 };

const char *const TIME_NAME[TIMES] = { "forward", "backward", "sums", "optimizer", "tp", "dp", "world", "rest", "step" };

/* Seconds a step, of this rank. */
static void parts_of(const Times *t, int steps, double out[TIMES])
{
    out[TIME_FORWARD] = t->forward.seconds - t->forward.messages;
    out[TIME_BACKWARD] = t->backward.seconds - t->backward.messages;
    out[TIME_SUMS] = t->reduce.seconds - t->reduce.messages;
    out[TIME_OPTIMIZER] = t->optim.seconds - t->optim.messages;
    out[TIME_TP] = t->sent[AXIS_TP].seconds;
    out[TIME_DP] = t->sent[AXIS_DP].seconds;
    out[TIME_WORLD] = t->sent[AXIS_WORLD].seconds;
    out[TIME_STEP] = out[TIME_REST] = t->step.seconds;
    for (int k = 0; k < TIME_REST; k++)
        out[TIME_REST] -= out[k];
    for (int k = 0; k < TIMES; k++)
        out[k] /= steps;
}

void steps_add(const Run *r, const Times *t, int steps, Steps *s)
{
    double mine[TIMES];
    Stat over[TIMES];
    CHECK(s->repeats < REPEATS, "more than %d repetitions", REPEATS);
    parts_of(t, steps, mine);
    stats_gather(r->grid.world, mine, TIMES, over);
    for (int k = 0; k < TIMES; k++)
        s->repeat[s->repeats][k] = k == TIME_STEP ? over[k].max : over[k].mean;
    s->repeats++;
    s->steps = steps;
}

void steps_end(const Run *r, const Times *all, Steps *s)
{
    const double cores = (double)max64(1, r->place.node.cores);         /* of this rank's node, that its ranks may run on */
    double mine[TIMES], threads = r->threads, flops = all->step.flops / (s->steps * s->repeats);
    parts_of(all, s->steps * s->repeats, mine);
    stats_gather(r->grid.world, mine, TIMES, s->part);
    comm_sum_f64(r->grid.node, &threads, 1);
    double sums[] = { r->grid.node_rank == 0, r->grid.node_rank == 0 ? cores : 0, flops };
    s->shared = threads / cores;
    comm_sum_f64(r->grid.world, sums, 3);
    comm_max_f64(r->grid.world, &s->shared, 1);
    s->nodes = (int)sums[0];
    s->cores = (int)sums[1];
    s->flops = sums[2];
    s->ranks = r->grid.size;
    s->dp = r->grid.dp_size;
    s->tp = r->grid.tp_size;
    s->threads = r->threads;
    s->debug = DEBUG_CHECKS;
    s->zero = r->c->parallel.zero;
    s->micro_batch = r->c->train.micro_batch;
    s->global_batch = s->micro_batch * run_buckets(r->c, &r->grid.levels).leaves * s->dp;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int sorted(const Steps *s, int part, double out[REPEATS])
{
    for (int i = 0; i < s->repeats; i++)
        out[i] = s->repeat[i][part];
    qsort(out, (size_t)s->repeats, sizeof *out, ascending);
    return s->repeats;
}

double steps_median(const Steps *s, int part)
{
    double x[REPEATS];
    const int n = sorted(s, part, x);
    return (x[(n - 1) / 2] + x[n / 2]) / 2;
}

void steps_spread(const Steps *s, int part, double *least, double *most)
{
    double x[REPEATS];
    const int n = sorted(s, part, x);
    *least = x[0];
    *most = x[n - 1];
}

/* ---- the file ---- */

/* Every number of the file outside of its tables, in its order. */
#define WHOLE(k, lo)  { #k, offsetof(Steps, k), lo, true }
#define NUMBER(k, lo) { #k, offsetof(Steps, k), lo, false }
static const struct { const char *key; size_t at; double lo; bool whole; } FIELD[] = {
    WHOLE(ranks, 1), WHOLE(dp, 1), WHOLE(tp, 1), WHOLE(threads, 1), WHOLE(nodes, 1), WHOLE(cores, 1), NUMBER(shared, 0),
    WHOLE(zero, 0), WHOLE(micro_batch, 1), WHOLE(global_batch, 1), WHOLE(steps, 1), NUMBER(flops, 0), NUMBER(sgemm, 1),
    NUMBER(peak_mib, 0),
};
enum { FIELDS = sizeof FIELD / sizeof *FIELD };

static json_t *measured(double x) { return x > 0 ? json_real(x) : json_null(); }

bool steps_write(const Steps *s, const char *run, Err *e)
{
    char path[PATH_ROOM];
    json_t *root = json_pack("{s:s, s:i, s:o, s:b}", "format", FORMAT, "version", VERSION, "machine", json_text(s->machine), "debug", s->debug);
    json_t *parts = json_object(), *repeats = json_array();
    for (int i = 0; i < FIELDS; i++) {
        const void *at = (const char *)s + FIELD[i].at;
        json_object_set_new(root, FIELD[i].key, FIELD[i].whole ? json_integer(*(const int *)at) : json_real(*(const double *)at));
    }
    json_object_set_new(root, "samples_per_s", json_real(s->global_batch / steps_median(s, TIME_STEP)));
    json_object_set_new(root, "share_of_sgemm", json_real(s->flops / steps_median(s, TIME_STEP) / (s->sgemm * s->ranks)));
    json_object_set_new(root, "loader_samples_per_s", measured(s->loader));
    json_object_set_new(root, "save_s", measured(s->ckpt));
    json_object_set_new(root, "save_stops_s", measured(s->ckpt_stopped));
    json_object_set_new(root, "save_bytes", measured(s->ckpt_bytes));
    for (int k = 0; k < TIMES; k++)
        json_object_set_new(parts, TIME_NAME[k], json_pack("{s:f, s:f, s:f, s:i}", "min", s->part[k].min, "mean", s->part[k].mean,
                                                           "max", s->part[k].max, "slowest", s->part[k].argmax));
    for (int i = 0; i < s->repeats; i++) {
        json_t *one = json_object();
        for (int k = 0; k < TIMES; k++)
            json_object_set_new(one, TIME_NAME[k], json_real(s->repeat[i][k]));
        json_array_append_new(repeats, one);
    }
    json_object_set_new(root, "parts", parts);
    json_object_set_new(root, "repeats", repeats);
    if (path_set(path, e, "%s/steps.json", run) && dir_make(run, e))
        return json_write_rows(path, root, 9, e);
    json_decref(root);
    return false;
}

static bool number(const json_t *o, const char *key, double lo, double *out)
{
    const json_t *v = json_object_get(o, key);
    *out = json_number_value(v);
    return json_is_number(v) && *out >= lo && *out <= 1e18;
}

/* null: not measured */
static bool perhaps(const json_t *o, const char *key, double *out)
{
    *out = 0;
    return json_is_null(json_object_get(o, key)) || number(o, key, 0, out);
}

/* The name of what is not as it must be, or NULL. */
static const char *take(Steps *s, const json_t *root)
{
    const json_t *parts = json_object_get(root, "parts"), *repeats = json_object_get(root, "repeats"), *one;
    const char *machine = json_string_value(json_object_get(root, "machine"));
    size_t i;
    for (int k = 0; k < FIELDS; k++) {
        void *at = (char *)s + FIELD[k].at;
        double x;
        if (!number(root, FIELD[k].key, FIELD[k].lo, &x) || (FIELD[k].whole && (x != floor(x) || x > 1 << 30)))
            return FIELD[k].key;
        if (FIELD[k].whole)
            *(int *)at = (int)x;
        else
            *(double *)at = x;
    }
    if (!machine)
        return "machine";
    snprintf(s->machine, sizeof s->machine, "%s", machine);
    s->debug = json_is_true(json_object_get(root, "debug"));
    if (!perhaps(root, "loader_samples_per_s", &s->loader) || !perhaps(root, "save_s", &s->ckpt) ||
        !perhaps(root, "save_stops_s", &s->ckpt_stopped) || !perhaps(root, "save_bytes", &s->ckpt_bytes))
        return "save_s";
    for (int k = 0; k < TIMES; k++) {
        const json_t *p = json_object_get(parts, TIME_NAME[k]);
        double who;
        if (!number(p, "min", -1, &s->part[k].min) || !number(p, "mean", -1, &s->part[k].mean) || !number(p, "max", -1, &s->part[k].max) ||
            !number(p, "slowest", 0, &who) || who >= s->ranks)
            return "parts";
        s->part[k].argmax = (int)who;
    }
    if (json_array_size(repeats) == 0 || json_array_size(repeats) > REPEATS)
        return "repeats";
    json_array_foreach(repeats, i, one)
        for (int k = 0; k < TIMES; k++)
            if (!number(one, TIME_NAME[k], k == TIME_STEP ? 1e-9 : -1, &s->repeat[i][k]))
                return "repeats";
    s->repeats = (int)json_array_size(repeats);
    return NULL;
}

bool steps_read(Steps *s, const char *run, Err *e)
{
    char path[PATH_ROOM], *text;
    size_t n;
    json_error_t why;
    *s = (Steps){ 0 };
    if (!path_set(path, e, "%s/steps.json", run) || !file_read(path, FILE_MOST, &text, &n, e))
        return false;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    const char *format = json_string_value(json_object_get(root, "format"));
    const char *wrong = !root ? why.text : !format || strcmp(format, FORMAT) ? "format" : take(s, root);
    if (wrong)
        err_set(e, EXIT_DATA, path, "`asvr bench` writes one", "these are not the times of a benchmark: %s", wrong);
    json_decref(root);
    free(text);
    return !wrong;
}
