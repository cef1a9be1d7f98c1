/* plangrads.c -- what a rank has of the gradient at a time (plan.h) */
#include "launch/plan/plan.h"

typedef struct {
    const Model *m;
    const Zero  *z;
} Gradient;

/* Elements of the tensors [first, last) that are not this rank's to keep. */
static int64_t others(const Gradient *g, int first, int last)
{
    int64_t n = 0;
    for (int i = first; i < last; i++)
        if (g->z->of[i] >= 0 && g->z->section[g->z->of[i]].owned)
            n += g->m->table.p[i].count - zero_part(g->z, i, g->z->rank).n;
    return n;
}

/* What buckets on their way hold at most: of several levels copies, which count with the buckets. */
static int64_t on_way(const Zero *z, const BucketConf *c)
{
    BucketLevel level[LEVELS];
    const int ring = buckets_ring(z, c, level);
    return z->levels.n > 1 || c->wire == WIRE_BF16 ? 0 : ring * c->bytes / (int64_t)sizeof(float) * (z->ranks - 1) / z->ranks;
}

/* An LM head is written at the loss, and a tied one is whole until the embedding is final. */
static int64_t written(const Gradient *g, int final)
{
    const int head = g->m->w.decoder.d.tied ? g->m->w.decoder.p_embed : g->m->w.decoder.p_lm_head;
    return head < final ? others(g, head, head + 1) : 0;
}

/* Beats between which nothing is computed became final at once: heads, at the loss. */
static int64_t in_the_making(const Gradient *g, const Beats *b, int64_t way)
{
    int64_t made = 0, before = 0, most = 0;
    for (int i = 0, end = g->m->table.n; i < b->n; end = b->beat[i++].first) {
        if (i > 0 && b->beat[i].flops > 0) {
            before += made;
            made = 0;
        }
        made += others(g, b->beat[i].first, end);
        most = max64(most, made + written(g, b->beat[i].first) + min64(before, way));
    }
    return b->n ? most : others(g, 0, g->m->table.n);
}

int64_t plan_gradients(const Model *m, const Optim *o, const BucketConf *c, const Beats *backward, int64_t *shares)
{
    const Gradient g = { m, &o->zero };
    *shares = 0;
    for (int k = 0; k < o->zero.sections; k++)
        *shares += zero_held(&o->zero, &o->zero.section[k]).n;
    if (!c->drop)
        return m->table.grads;
    return *shares + max64(in_the_making(&g, backward, on_way(&o->zero, c)), optim_landed(o));
}
