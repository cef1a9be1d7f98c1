#include "launch/bench/falltable.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"
#include "io/base/json.h"
#include "launch/bench/bench.h"
#include "launch/bench/waterfall.h"

#define FORMAT "asvr-waterfall"
enum { VERSION = 1, MESSAGES = OPS /* kinds of lines that are no op */, BETWEEN = OPS + AXES };
enum { COPY_FIRST = 12, COPY_LAST = 28, COPY_MOST = 1 << COPY_LAST /* bytes: beyond any cache */ };

#define SHOWN 0.004                                    /* of the step: what a line costs at least, or could save */

static const char *const PHASE[FALL_PHASES] = { "begin", "forward", "backward", "sums", "optimizer" };
static const char *const AXIS[AXES] = { "", "messages world", "messages dp", "messages tp" };

/* Of one op, phase and shape. */
typedef struct { OpSum sum; double limit, ideal, alone; } Part;        /* flops or bytes a second; seconds; seconds on one thread */
/* Of a step. */
typedef struct { int kind, phase; double calls, seconds, cpu, flops, bytes, ideal, alone, saved; } Line;

struct Fall {
    const Run *r;
    Part      *part;
    Line      *line;
    int        parts, lines, steps;
    double     step, ideal, alone, sgemm, copy[COPY_LAST + 1];       /* copy: by the power of two of its bytes; 0: not measured */
};

static const char *name_of(const Line *l)
{
    return l->kind < OPS ? OP_NAME[l->kind] : l->kind < BETWEEN ? AXIS[l->kind - MESSAGES] : "between";
}

static Line *line_of(Fall *f, int kind, int phase)
{
    for (int i = 0; i < f->lines; i++)
        if (f->line[i].kind == kind && f->line[i].phase == phase)
            return &f->line[i];
    f->line[f->lines] = (Line){ .kind = kind, .phase = phase };
    return &f->line[f->lines++];
}

/* Seconds of the same op and shape on one thread. */
static double alone_of(const OpSum *s, const OpSum *sums, int n)
{
    for (int i = 0; i < n; i++)
        if (sums[i].op == s->op && sums[i].phase == s->phase + FALL_PHASES && !memcmp(sums[i].shape, s->shape, sizeof s->shape))
            return sums[i].seconds;
    return 0;
}

/* Messages, and what is in neither message nor op. */
static void add_rest(Fall *f, const FallPhase *phase)
{
    double in_ops[FALL_PHASES] = { 0 };
    for (int i = 0; i < f->parts; i++)
        in_ops[f->part[i].sum.phase] += f->part[i].sum.seconds / f->steps;
    for (int p = 0; p < FALL_PHASES; p++) {
        double rest = phase[p].seconds / f->steps - in_ops[p];
        for (int k = 0; k < AXES; k++) {
            const CommCount *sent = &phase[p].sent[k];
            if (!sent->calls && sent->seconds < 1e-9)
                continue;
            Line *l = line_of(f, MESSAGES + k, p);
            l->calls = (double)sent->calls / f->steps;
            l->bytes = (double)sent->bytes / f->steps;
            l->seconds = sent->seconds / f->steps;
            rest -= l->seconds;
        }
        line_of(f, BETWEEN, p)->seconds = fmax(0, rest);
    }
}

Fall *fall_open(const Run *r, const OpSum *sums, int n, const FallPhase *phase, const FallPhase *alone, int steps)
{
    Fall *f = calloc(1, sizeof *f);
    CHECK(f, "no memory for a table");
    *f = (Fall){ .r = r, .steps = steps, .part = calloc((size_t)n + 1, sizeof *f->part),
                 .line = calloc((size_t)n + (AXES + 1) * FALL_PHASES, sizeof *f->line) };
    CHECK(f->part && f->line, "no memory for a table of %d lines", n);
    for (int p = 0; p < FALL_PHASES; p++) {
        f->step += phase[p].seconds / steps;
        f->alone += alone[p].seconds / steps;
    }
    for (int i = 0; i < n; i++) {
        const OpSum *s = &sums[i];
        if (s->phase >= FALL_PHASES)
            continue;
        const double once = alone_of(s, sums, n);
        f->part[f->parts++] = (Part){ .sum = *s, .alone = once };
        Line *l = line_of(f, s->op, s->phase);
        l->calls += (double)s->calls / steps;
        l->seconds += s->seconds / steps;
        l->cpu += s->cpu / steps;
        l->flops += s->flops / steps;
        l->bytes += s->bytes / steps;
        l->alone += once / steps;
    }
    add_rest(f, phase);
    return f;
}

void fall_close(Fall *f)
{
    free(f->part);
    free(f->line);
    free(f);
}

/* ---- limits ---- */

static bool is_product(int op_kind) { return op_kind == OP_linear_fwd || op_kind == OP_linear_dx || op_kind == OP_linear_dw || op_kind == OP_product; }

/* Of all threads or of one. */
static double best_sgemm(const Fall *f, float *room, const OpSum *s)
{
    const bool ta = s->op == OP_linear_dw, tb = s->op == OP_linear_fwd;
    const double one = limits_sgemm(room, s->shape[0], s->shape[1], s->shape[2], ta, tb, 1);
    return f->r->threads == 1 ? one : fmax(one, limits_sgemm(room, s->shape[0], s->shape[1], s->shape[2], ta, tb, f->r->threads));
}

static double best_copy(Fall *f, int64_t bytes)
{
    int k = COPY_FIRST;
    while (k < COPY_LAST && INT64_C(1) << k < min64(bytes, COPY_MOST))
        k++;
    if (f->copy[k] == 0) {
        f->copy[k] = limits_copy(INT64_C(1) << k, 1);
        if (f->r->threads > 1)
            f->copy[k] = fmax(f->copy[k], limits_copy(INT64_C(1) << k, f->r->threads));
    }
    return f->copy[k];
}

/* The rate of another part of the same product, which need not be measured again; 0: there is none. */
static double known(const Fall *f, int parts, const OpSum *s)
{
    for (int i = 0; i < parts; i++)
        if (f->part[i].sum.op == s->op && !memcmp(f->part[i].sum.shape, s->shape, sizeof s->shape))
            return f->part[i].limit;
    return 0;
}

static int by_saved(const void *a, const void *b)
{
    const double x = ((const Line *)a)->saved, y = ((const Line *)b)->saved;
    return (x < y) - (x > y);
}

void fall_limits(Fall *f)
{
    int64_t most = run_sgemm_room(f->r);
    for (int i = 0; i < f->parts; i++)
        if (is_product(f->part[i].sum.op))
            most = max64(most, limits_room(f->part[i].sum.shape[0], f->part[i].sum.shape[1], f->part[i].sum.shape[2]));
    float *room = malloc((size_t)most * sizeof *room);
    CHECK(room, "no memory for a product of %lld floats", (long long)most);
    f->sgemm = run_sgemm(f->r, room);
    for (int i = 0; i < f->parts; i++) {
        Part *p = &f->part[i];
        const OpSum *s = &p->sum;
        if (is_product(s->op)) {
            p->limit = known(f, i, s);
            if (p->limit == 0)
                p->limit = best_sgemm(f, room, s);
            p->ideal = s->flops / p->limit;
        } else {
            p->limit = best_copy(f, s->shape[0]);
            p->ideal = fmax(s->bytes / p->limit, s->flops / f->sgemm);
        }
        p->ideal = fmin(p->ideal, s->seconds);
        line_of(f, s->op, s->phase)->ideal += p->ideal / f->steps;
    }
    best_copy(f, COPY_MOST);
    free(room);
    for (int i = 0; i < f->lines; i++) {
        f->line[i].saved = f->line[i].seconds - f->line[i].ideal;
        f->ideal += f->line[i].ideal;
    }
    qsort(f->line, (size_t)f->lines, sizeof *f->line, by_saved);
}

/* ---- the table ---- */

/* "1.23", or nothing */
static const char *figure(char out[16], double x, int digits)
{
    if (x > 0)
        snprintf(out, 16, "%.*f", digits, x);
    else
        out[0] = 0;
    return out;
}

static void print_line(const Fall *f, const Line *l, double left)
{
    char calls[16], gf[16], gb[16], threads[16], limit[16], of[16], faster[16];
    const bool work = l->kind < OPS;
    printf("%-10s %-20s %8s %9.2f %6.1f %8s %8s %8s %9s %6s %9.2f %10.2f", PHASE[l->phase], name_of(l), figure(calls, l->calls, 0), 1e3 * l->seconds,
           100 * l->seconds / f->step, figure(gf, 1e-9 * l->flops / l->seconds, 1), figure(gb, 1e-9 * l->bytes / l->seconds, 1),
           figure(threads, work ? l->cpu / l->seconds : 0, 1), figure(limit, work ? 1e3 * l->ideal : 0, 2), figure(of, work ? l->ideal / l->seconds : 0, 2), 1e3 * l->saved, 1e3 * left);
    printf(f->alone > 0 ? " %7s\n" : "\n", figure(faster, l->alone / l->seconds, 2));
}

void fall_print(const Fall *f)
{
    double left = f->step, few = 0, few_saved = 0;
    int more = 0;
    printf("\nwaterfall of rank 0: %d steps of %.2f ms, watched; %d thread%s\n", f->steps, 1e3 * f->step, f->r->threads, f->r->threads == 1 ? "" : "s");
    printf("%-10s %-20s %8s %9s %6s %8s %8s %8s %9s %6s %9s %10s%s\n", "phase", "op", "calls", "ms", "%", "GF/s", "GB/s", "cores", "limit ms", "of it", "saves ms",
           "left ms", f->alone > 0 ? "  faster" : "");
    for (int i = 0; i < f->lines; i++) {
        const Line *l = &f->line[i];
        if (l->seconds < SHOWN * f->step) {
            more++;
            few += l->seconds;
            few_saved += l->saved;
            continue;
        }
        left -= l->saved;
        print_line(f, l, left);
    }
    printf("%-10s %-20s %8s %9.2f %6.1f %8s %8s %8s %9s %6s %9.2f %10.2f\n", "", "all others", "", 1e3 * few, 100 * few / f->step, "", "", "", "", "", 1e3 * few_saved,
           1e3 * (left - few_saved));
    printf("ideal %.2f ms, %.2f of the step (%d lines more); a copy of %d MB: %.1f GB/s", 1e3 * f->ideal, f->ideal / f->step, more, COPY_MOST >> 20,
           1e-9 * f->copy[COPY_LAST]);
    if (f->alone > 0)
        printf("; a step on one thread: %.2f ms", 1e3 * f->alone);
    printf("\n");
}

/* ---- the file ---- */

static json_t *number(double x) { return x > 0 && isfinite(x) ? json_real(x) : json_null(); }

static json_t *part_json(const Fall *f, const Part *p)
{
    const OpSum *s = &p->sum;
    const bool product = is_product(s->op);
    json_t *shape = json_array(), *o = json_pack("{s:s, s:s}", "phase", PHASE[s->phase], "op", OP_NAME[s->op]);
    for (int k = 0; k < 3 && s->shape[k]; k++)
        json_array_append_new(shape, json_integer(s->shape[k]));
    json_object_set_new(o, "shape", shape);
    json_object_set_new(o, "calls", json_real((double)s->calls / f->steps));
    json_object_set_new(o, "seconds", json_real(s->seconds / f->steps));
    json_object_set_new(o, "cpu", json_real(s->cpu / f->steps));
    json_object_set_new(o, "flops", json_real(s->flops / f->steps));
    json_object_set_new(o, "bytes", json_real(s->bytes / f->steps));
    json_object_set_new(o, "limit", json_string(product ? "sgemm" : s->flops / f->sgemm > s->bytes / p->limit ? "flops" : "copy"));
    json_object_set_new(o, "rate", json_real(product ? p->limit : s->flops / f->sgemm > s->bytes / p->limit ? f->sgemm : p->limit));
    json_object_set_new(o, "ideal", json_real(p->ideal / f->steps));
    json_object_set_new(o, "one_thread", number(p->alone / f->steps));
    return o;
}

static json_t *line_json(const Line *l, double left)
{
    json_t *o = json_pack("{s:s, s:s}", "phase", PHASE[l->phase], "what", name_of(l));
    json_object_set_new(o, "calls", json_real(l->calls));
    json_object_set_new(o, "seconds", json_real(l->seconds));
    json_object_set_new(o, "bytes", json_real(l->bytes));
    json_object_set_new(o, "saved", json_real(l->saved));
    json_object_set_new(o, "left", json_real(left));
    return o;
}

bool fall_write(const Fall *f, const char *run, Err *e)
{
    char path[PATH_ROOM], machine[128];
    json_t *ops = json_array(), *way = json_array(), *copies = json_object(), *root;
    double left = f->step;
    bench_machine(machine, sizeof machine);
    for (int i = 0; i < f->parts; i++)
        json_array_append_new(ops, part_json(f, &f->part[i]));
    for (int i = 0; i < f->lines; i++) {
        left -= f->line[i].saved;
        json_array_append_new(way, line_json(&f->line[i], left));
    }
    for (int k = 0; k <= COPY_LAST; k++) {
        char bytes[32];
        snprintf(bytes, sizeof bytes, "%lld", 1LL << k);
        if (f->copy[k] > 0)
            json_object_set_new(copies, bytes, json_real(f->copy[k]));
    }
    root = json_pack("{s:s, s:i, s:o, s:b, s:i, s:i, s:i, s:i, s:i}", "format", FORMAT, "version", VERSION, "machine", json_text(machine),
                     "debug", DEBUG_CHECKS, "ranks", f->r->grid.size, "dp", f->r->grid.dp_size, "tp", f->r->grid.tp_size,
                     "threads", f->r->threads, "steps", f->steps);
    json_object_set_new(root, "step", json_real(f->step));
    json_object_set_new(root, "ideal", json_real(f->ideal));
    json_object_set_new(root, "one_thread", number(f->alone));
    json_object_set_new(root, "sgemm", json_real(f->sgemm));
    json_object_set_new(root, "copy", copies);
    json_object_set_new(root, "ops", ops);
    json_object_set_new(root, "way", way);
    if (path_set(path, e, "%s/waterfall.json", run) && dir_make(run, e))
        return json_write_rows(path, root, 9, e);
    json_decref(root);
    return false;
}
