#include "launch/report/columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of COL_LOSS to COL_RSS; between them, in a line, stand the three lists and `skipped`. */
static const char *const KEY[COL_DEPTH] = { "\"loss\": ", "\"loss_text\": ", "\"loss_visual\": ", "\"code_restarts\": ", "\"grad_norm\": ", "\"lr\": ",
    "\"tokens_per_s\": ", "\"samples_per_s\": ", "\"flops_share\": ", "\"t_step\": ", "\"t_data\": ", "\"t_forward\": ", "\"t_backward\": ",
    "\"t_reduce\": ", "\"t_optim\": ", "\"t_ckpt\": ", "\"rss_mb\": " };

static void put(Columns *c, int column, double x)
{
    if (!c->x[column] && !isfinite(x))
        return;
    if (!c->x[column]) {
        c->x[column] = malloc((size_t)c->room * sizeof(double));
        CHECK(c->x[column], "no memory for %lld steps", (long long)c->room);
        for (int64_t i = 0; i < c->room; i++)
            c->x[column][i] = NAN;
    }
    c->x[column][c->n] = isfinite(x) ? x : NAN;
}

static void list(Columns *c, int first, const char **at, const char *key)
{
    const char *p = strstr(*at, key);
    if (!p)
        return;
    p += strlen(key);
    for (int i = 0; i < LOG_DEPTHS && *p && *p != ']'; i++) {
        char *end;
        const double x = strtod(p, &end);
        put(c, first + i, end > p ? x : NAN);
        p += strcspn(p, ",]");
        p += *p == ',';
    }
    *at = p;
}

static void grow(Columns *c)
{
    const int64_t room = c->room ? 2 * c->room : 1024;
    c->step = realloc(c->step, (size_t)room * sizeof *c->step);
    CHECK(c->step, "no memory for %lld steps", (long long)room);
    for (int k = 0; k < COLUMNS; k++) {
        if (!c->x[k])
            continue;
        c->x[k] = realloc(c->x[k], (size_t)room * sizeof(double));
        CHECK(c->x[k], "no memory for %lld steps", (long long)room);
        for (int64_t i = c->room; i < room; i++)
            c->x[k][i] = NAN;
    }
    c->room = room;
}

/* `skipped` counts since its life began. */
static void count_skipped(Columns *c, int64_t counter, int64_t restart, int64_t step)
{
    const int64_t before = restart == c->restart && c->n ? c->counter : 0;
    c->restart = restart;
    c->counter = counter;
    if (counter <= before)
        return;
    c->skipped += counter - before;
    if (c->skips == c->skip_room) {
        c->skip_room = c->skip_room ? 2 * c->skip_room : 64;
        c->skip = realloc(c->skip, (size_t)c->skip_room * sizeof *c->skip);
        CHECK(c->skip, "no memory for %lld steps", (long long)c->skip_room);
    }
    c->skip[c->skips++] = step;
}

static void count_slow(Columns *c, const StepFile *s, int64_t step)
{
    int i = 0;
    if (s->straggler < 0)
        return;
    while (i < c->slows && (c->slow[i].rank != s->straggler || c->slow[i].link != s->straggler_link || strcmp(c->slow[i].host, s->straggler_host)))
        i++;
    if (i == COLUMNS_SLOW)
        return;
    Slow *w = &c->slow[i];
    if (i == c->slows) {
        c->slows++;
        *w = (Slow){ .rank = s->straggler, .link = s->straggler_link, .first = step };
        memcpy(w->host, s->straggler_host, sizeof w->host);
    }
    w->steps++;
    w->last = step;
    w->worst = fmax(w->worst, s->straggler_seconds);
}

void columns_take(void *ctx, const StepFile *s, const char *line)
{
    Columns *c = ctx;
    const char *at = line;
    const int64_t step = steplog_row(s, 0)->step;
    if (c->n == c->room)
        grow(c);
    c->step[c->n] = step;
    for (int k = 0; k < COL_DEPTH; k++) {
        if (k == COL_TOKENS) {
            const double skipped = steplog_number(&at, "\"skipped\": ");
            count_skipped(c, skipped > 0 && skipped < INT32_MAX ? (int64_t)skipped : 0, s->life[s->lives - 1].restart, step);
        }
        put(c, k, steplog_number(&at, KEY[k]));
        if (k == COL_VISUAL) {
            list(c, COL_DEPTH, &at, "\"loss_visual_depth\": [");
            list(c, COL_USAGE, &at, "\"code_usage\": [");
            list(c, COL_PERPLEXITY, &at, "\"code_perplexity\": [");
        }
    }
    count_slow(c, s, step);
    c->n++;
}

void columns_free(Columns *c)
{
    free(c->step);
    free(c->skip);
    for (int k = 0; k < COLUMNS; k++)
        free(c->x[k]);
    *c = (Columns){ 0 };
}

ColumnSums columns_sums(const Columns *c, int column)
{
    ColumnSums s = { .last = NAN, .least = INFINITY, .most = -INFINITY };
    double sum = 0;
    for (int64_t i = 0; i < c->n && c->x[column]; i++) {
        const double x = c->x[column][i];
        s.last = x;
        if (!isfinite(x)) {
            s.bad++;
            continue;
        }
        if (x < s.least)
            s.least = x, s.at_least = c->step[i];
        if (x > s.most)
            s.most = x, s.at_most = c->step[i];
        sum += x;
        s.n++;
    }
    s.mean = s.n ? sum / (double)s.n : NAN;
    return s;
}

int columns_list(const Columns *c, int first)
{
    int n = 0;
    for (int i = 0; i < LOG_DEPTHS; i++)
        n = c->x[first + i] ? i + 1 : n;
    return n;
}
