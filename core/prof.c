#include "core/prof.h"

double prof_flops, prof_bytes;
bool prof_on;

static struct {
    ProfSpan *ring, open[PROF_DEPTH];
    int64_t   n, kept;
    int       depth;
} spans;

void prof_keep(ProfSpan *ring, int64_t n)
{
    CHECK(spans.depth == 0, "spans are open: %d", spans.depth);
    spans.ring = ring;
    spans.n = n;
    if (ring)
        spans.kept = 0;
    prof_on = ring != NULL;
}

int64_t prof_kept(void) { return spans.kept; }

void prof_open(const char *name)
{
    if (spans.depth < PROF_DEPTH)
        spans.open[spans.depth] = (ProfSpan){ .name = name, .begin = now(), .depth = spans.depth };
    spans.depth++;
}

void prof_close(void)
{
    CHECK(spans.depth > 0, "a span ends that has not begun");
    if (--spans.depth >= PROF_DEPTH)
        return;
    ProfSpan *s = &spans.ring[spans.kept++ % spans.n];
    *s = spans.open[spans.depth];
    s->end = now();
}

void prof_note(const char *name, int axis, int64_t bytes)
{
    if (spans.depth == 0 || spans.depth > PROF_DEPTH)
        return;
    ProfSpan *s = &spans.open[spans.depth - 1];
    if (name)
        s->name = name;
    else
        s->axis = axis, s->bytes = bytes;
}
