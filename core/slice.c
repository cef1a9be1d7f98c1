#include "core/slice.h"

#include <stdio.h>
#include <string.h>

Slice slice_whole(int dims, const int64_t *size)
{
    ASSERT(dims >= 1 && dims <= SLICE_DIMS);
    Slice s = { .dims = dims };
    for (int d = 0; d < dims; d++) {
        s.size[d] = s.block[d] = s.stride[d] = size[d];
        s.count[d] = 1;
        if (s.stride[d] == 0)
            s.stride[d] = 1;
    }
    return s;
}

Slice slice_part(Slice s, int dim, int rank, int ranks)
{
    ASSERT(s.size[dim] % ranks == 0);
    int64_t n = s.size[dim] / ranks;
    return slice_range(s, dim, rank * n, n);
}

Slice slice_range(Slice s, int dim, int64_t start, int64_t n)
{
    ASSERT(start >= 0 && n >= 0 && start + n <= s.size[dim]);
    s.start[dim] = start;
    s.count[dim] = 1;
    s.block[dim] = n;
    s.stride[dim] = n ? n : 1;
    return s;
}

int64_t slice_extent(const Slice *s, int dim)
{
    return s->count[dim] * s->block[dim];
}

int64_t slice_total(const Slice *s)
{
    int64_t n = 1;
    for (int d = 0; d < s->dims; d++)
        n *= slice_extent(s, d);
    return n;
}

bool slice_run(const Slice *s, int64_t i, SliceRun *r)
{
    int j = s->dims - 1;
    int64_t tail = 1, pitch;
    while (j > 0 && slice_extent(s, j) == s->size[j])       /* dims behind j are chosen whole */
        tail *= s->size[j--];
    if (slice_total(s) == 0 || i * s->block[j] * tail >= slice_total(s))
        return false;
    r->n = s->block[j] * tail;
    r->here = i * r->n;
    r->at = (s->start[j] + i % s->count[j] * s->stride[j]) * tail;
    i /= s->count[j];
    pitch = s->size[j] * tail;
    for (int d = j - 1; d >= 0; pitch *= s->size[d--]) {
        int64_t k = i % slice_extent(s, d);
        r->at += (s->start[d] + k / s->block[d] * s->stride[d] + k % s->block[d]) * pitch;
        i /= slice_extent(s, d);
    }
    return true;
}

/* Where global index g of dim d lies in the dense buffer, or -1. */
static int64_t local(const Slice *s, int d, int64_t g)
{
    int64_t o = g - s->start[d];
    if (o < 0 || o / s->stride[d] >= s->count[d] || o % s->stride[d] >= s->block[d])
        return -1;
    return o / s->stride[d] * s->block[d] + o % s->stride[d];
}

static int64_t global(const Slice *s, int d, int64_t i)
{
    return s->start[d] + i / s->block[d] * s->stride[d] + i % s->block[d];
}

/* How many elements from local index i of `to` on lie side by side in both slices along dim d. */
static int64_t run(const Slice *to, const Slice *from, int d, int64_t i, int64_t j)
{
    return min64(to->block[d] - i % to->block[d], from->block[d] - j % from->block[d]);
}

typedef struct { const Slice *to, *from; size_t elem; } Copy;

static int64_t copy_dim(const Copy *c, int d, char *dst, const char *src)
{
    const Slice *to = c->to, *from = c->from;
    size_t dst_step = c->elem, src_step = c->elem;
    for (int e = d + 1; e < to->dims; e++) {
        dst_step *= (size_t)slice_extent(to, e);
        src_step *= (size_t)slice_extent(from, e);
    }
    int64_t done = 0, n = slice_extent(to, d);
    for (int64_t i = 0; i < n;) {
        int64_t j = local(from, d, global(to, d, i));
        if (j < 0) {
            i++;
            continue;
        }
        char *at = dst + (size_t)i * dst_step;
        const char *of = src + (size_t)j * src_step;
        if (d == to->dims - 1 || d == SLICE_DIMS - 1) {        /* the second says it to the compiler */
            int64_t k = run(to, from, d, i, j);
            memcpy(at, of, (size_t)k * c->elem);
            done += k;
            i += k;
        } else {
            done += copy_dim(c, d + 1, at, of);
            i++;
        }
    }
    return done;
}

int64_t slice_copy(void *dst, const Slice *to, const void *src, const Slice *from, size_t elem)
{
    ASSERT(to->dims == from->dims);
    for (int d = 0; d < to->dims; d++)
        ASSERT(to->size[d] == from->size[d]);
    return copy_dim(&(Copy){ to, from, elem }, 0, dst, src);
}

const char *shape_text(char out[SHAPE_TEXT], int dims, const int64_t *size)
{
    int n = snprintf(out, SHAPE_TEXT, "(");
    for (int d = 0; d < dims && n < SHAPE_TEXT; d++)
        n += snprintf(out + n, SHAPE_TEXT - (size_t)n, d ? ",%lld" : "%lld", (long long)size[d]);
    if (n < SHAPE_TEXT)
        snprintf(out + n, SHAPE_TEXT - (size_t)n, ")");
    return out;
}
