/* cpu_inner.c -- the inner dimension of a product by panels: leaves, nodes, chunks (panel.h) */
#include "core/base.h"
#include "core/cpu/panel.h"

enum { DEEP = 256 };

static int leaves_of(const Panels *p) { return (int)max64(1, p->leaves); }

/* How deep a term's block in this leaf is; 0: it has none there. */
static int block(const Panels *p, int t, int leaf)
{
    const int own = (int)max64(1, p->term[t].leaves), every = leaves_of(p) / own;
    return leaf % every == 0 ? p->term[t].K / own : 0;
}

static int leaf_depth(const Panels *p, int leaf)
{
    int depth = 0;
    for (int t = 0; t < p->terms; t++)
        depth += block(p, t, leaf);
    return depth;
}

/* Of a block in a leaf that is too deep: in leaves equal ones. */
static int piece(const Panels *p, int depth)
{
    return depth <= DEEPEST ? depth : p->leaves ? (int)ceil_div(depth, (depth + DEEP / 2) / DEEP) : DEEP;
}

/* Leaves of a chunk.  The first leaf has a block of every term. */
static int together(const Panels *p)
{
    int leaves = 1;
    while (2 * leaves <= leaves_of(p) && leaves < 1 << NEAR && 2 * leaves * leaf_depth(p, 0) <= DEEPEST)
        leaves *= 2;
    return leaves;
}

int inner_depth(const Panels *p)
{
    int depth = 0;
    for (int t = 0; t < p->terms; t++)
        depth += p->term[t].K;
    return depth;
}

int inner_nodes(const Panels *p) { return leaves_of(p) / together(p); }

int inner_chunks(const Panels *p, int node)
{
    const int leaf = node * together(p);
    int n = 0;
    if (leaf_depth(p, leaf) <= DEEPEST)
        return 1;
    for (int t = 0; t < p->terms; t++) {
        const int depth = block(p, t, leaf);
        n += depth ? (int)ceil_div(depth, piece(p, depth)) : 0;
    }
    return n;
}

/* Floats [from, from + depth) of a term's block in a leaf; it may go on where the last span ends. */
static void take(Chunk *k, const Panels *p, int t, int leaf, int from, int depth)
{
    const int own = (int)max64(1, p->term[t].leaves), at = leaf / (leaves_of(p) / own) * (p->term[t].K / own) + from;
    Span *last = k->span + k->spans - 1;
    if (k->spans && last->term == t && last->at + last->depth == at)
        last->depth += depth;
    else
        k->span[k->spans++] = (Span){ t, at, depth };
    k->depth += depth;
}

void inner_chunk(Chunk *k, const Panels *p, int node, int i)
{
    const int leaves = together(p), first = node * leaves;
    k->spans = k->depth = 0;
    k->leaves = leaves;
    if (leaf_depth(p, first) <= DEEPEST) {
        for (int l = 0; l < leaves; l++) {
            k->leaf[l] = leaf_depth(p, first + l);
            for (int t = 0; t < p->terms; t++)
                if (block(p, t, first + l))
                    take(k, p, t, first + l, 0, block(p, t, first + l));
        }
        return;
    }
    for (int t = 0; t < p->terms; t++) {
        const int depth = block(p, t, first), deep = piece(p, depth), n = depth ? (int)ceil_div(depth, deep) : 0;
        if (i >= 0 && i < n) {
            take(k, p, t, first, i * deep, (int)min64(deep, depth - i * deep));
            k->leaf[0] = k->depth;
        }
        i -= n;
    }
}

int inner_deepest(const Panels *p)
{
    int deepest = 0;
    for (int node = 0; node < inner_nodes(p); node++)
        for (int i = 0; i < inner_chunks(p, node); i++) {
            Chunk k;
            inner_chunk(&k, p, node, i);
            deepest = (int)max64(deepest, k.depth);
        }
    return deepest;
}

/* Node i, all but the last bits of it ones, waits behind as many as it has ones; where each is one chunk an odd one goes to its place at once. */
int inner_buffers(const Panels *p)
{
    int levels = 0;
    while (1 << levels < inner_nodes(p))
        levels++;
    return inner_chunks(p, 0) > 1 ? levels : (int)max64(0, levels - 1);
}
