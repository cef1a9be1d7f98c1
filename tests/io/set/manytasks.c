/* manytasks.c -- for tests/launch/tasks.sh: manytasks FROM TO: evaluation samples again, each of one of 80 tasks, the last ones first;
   a task's name holds quotes. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/set/catalogue.h"

enum { TASKS = 80, MOST = 64 };

static void *room(int64_t n, size_t size)
{
    void *p = calloc((size_t)n + 1, size);
    CHECK(p, "no memory for samples");
    return p;
}

static void name_tasks(ShardMeta *m)
{
    size_t at = 0;
    for (int t = 0; t < TASKS; t++)
        at += (size_t)snprintf(m->tasks + at, sizeof m->tasks - at, t == TASKS - 1 ? "%ssay \"%d\"" : "%st%d", t ? "," : "", t);
    snprintf(m->baseline, sizeof m->baseline, "two\nred");
}

static ShardPart copy(const Shards *s, ShardReader *r, Err *e)
{
    const ShardMeta *m = shards_meta(s);
    const int64_t n = m->samples, pixels = (int64_t)m->image * m->image * 3;
    int64_t *is = room(n + 1, 8), *ts = room(n + 1, 8), *as = room(n + 1, 8);
    uint8_t *px = room(m->images * pixels, 1);
    int32_t *to = room(m->tokens, 4), *la = room(m->tokens, 4), *task = room(n, 4);
    char *an = room(n * MOST, 1);
    Sample x;
    for (int64_t i = 0; i < n && reader_sample(r, i, &x, e); i++) {
        CHECK(x.answer_len <= MOST, "an answer of %d bytes", x.answer_len);
        memcpy(px + is[i] * pixels, x.pixels, (size_t)(x.n_images * pixels));
        memcpy(to + ts[i], x.tokens, (size_t)x.n_tokens * sizeof *to);
        memcpy(la + ts[i], x.labels, (size_t)x.n_tokens * sizeof *la);
        memcpy(an + as[i], x.answer, (size_t)x.answer_len);
        is[i + 1] = is[i] + x.n_images;
        ts[i + 1] = ts[i] + x.n_tokens;
        as[i + 1] = as[i] + x.answer_len;
        task[i] = TASKS - 1 - (int32_t)(i % TASKS);
    }
    return (ShardPart){ n, m->images, m->tokens, px, NULL, is, ts, to, la, an, as, task };
}

int main(int argc, char **argv)
{
    Err e = { 0 };
    MPI_Init(&argc, &argv);
    Shards *s = argc == 3 ? shards_open(argv[1], SPLIT_VAL, &e) : NULL;
    ShardReader *r = s ? reader_open(s) : NULL;
    bool ok = r != NULL;
    if (ok) {
        ShardMeta m = *shards_meta(s);
        const ShardPart p = copy(s, r, &e);
        m.store = STORE_RAW;
        name_tasks(&m);
        ok = !e.code && shard_write(MPI_COMM_WORLD, argv[2], &m, &p, &e);
        reader_close(r);
    }
    if (!ok)
        fprintf(stderr, "manytasks: %s (%s)\n", e.what, e.where);
    MPI_Finalize();
    return !ok;
}
