#include "core/opsums.h"

#include <string.h>
#include <time.h>

#include "core/prof.h"

#define NAME(f) #f,
const char *const OP_NAME[OPS] = { OPS_LIST(NAME) };
#undef NAME

int ops_phase;
bool ops_shapes;

static struct {
    OpSum   sum[OP_SUMS];
    int16_t next[OP_SUMS], first[OPS][OP_PHASES];         /* 1 + place of the next of the same op and phase; 0: none */
    int     n;
} table;

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

OpCall opsums_begin(int which, int64_t M, int64_t N, int64_t K)
{
    return (OpCall){ .op = which, .shape = { M, N, K }, .flops = prof_flops, .bytes = prof_bytes };
}

/* The real op counts its flops, too, so that OPS_COUNT's must not stay. */
void opsums_count(OpCall *c)
{
    const double flops = prof_flops - c->flops;
    c->bytes = prof_bytes - c->bytes;
    prof_flops = c->flops;
    c->flops = c->op == OP_product ? 2.0 * (double)c->shape[0] * (double)c->shape[1] * (double)c->shape[2] : flops;
    if (!c->shape[0])
        for (c->shape[0] = 1; (double)c->shape[0] < c->bytes; )
            c->shape[0] *= 2;
    if (!ops_shapes)
        memset(c->shape, 0, sizeof c->shape);
    c->cpu = cpu_seconds();
    c->seconds = now();
}

static OpSum *find(int which, const int64_t shape[3])
{
    static const int64_t all[3];
    for (int i = table.first[which][ops_phase]; i; i = table.next[i - 1])
        if (!memcmp(table.sum[i - 1].shape, shape, sizeof all))
            return &table.sum[i - 1];
    if (table.n >= OP_SUMS - OPS * OP_PHASES && memcmp(shape, all, sizeof all))
        return find(which, all);
    OpSum *s = &table.sum[table.n];
    *s = (OpSum){ .op = which, .phase = ops_phase };
    memcpy(s->shape, shape, sizeof all);
    table.next[table.n] = table.first[which][ops_phase];
    table.first[which][ops_phase] = (int16_t)++table.n;
    return s;
}

void opsums_end(OpCall *c)
{
    const double seconds = now() - c->seconds, cpu = cpu_seconds() - c->cpu;
    OpSum *s = find(c->op, c->shape);
    s->calls++;
    s->seconds += seconds;
    s->cpu += cpu;
    s->flops += c->flops;
    s->bytes += c->bytes;
}

const OpSum *opsums(int *n)
{
    *n = table.n;
    return table.sum;
}

void opsums_clear(void) { memset(&table, 0, sizeof table); }
