#include "dist/canon.h"

static bool siblings(CanonNode a, CanonNode b)
{
    return a.level == b.level && a.index % 2 == 0 && b.index == a.index + 1;
}

int canon_push(CanonStack *s, CanonNode node)
{
    int merges = 0;
    for (; s->n > 0 && siblings(s->node[s->n - 1], node); s->n--, merges++)
        node = (CanonNode){ node.level + 1, node.index / 2 };
    CHECK(s->n < CANON_NODES, "a range of micro-batches of more than %d nodes", CANON_NODES);
    s->node[s->n++] = node;
    return merges;
}

CanonStack canon_parts(int64_t first, int64_t n)
{
    CanonStack s = { 0 };
    for (int64_t i = first; i < first + n; i++)
        canon_push(&s, (CanonNode){ 0, i });
    return s;
}

int canon_waiting(int64_t first, int64_t n)
{
    CanonStack s = { 0 };
    int most = 0;
    for (int64_t i = first; i < first + n; i++) {
        most = s.n > most ? s.n : most;
        canon_push(&s, (CanonNode){ 0, i });
    }
    return most;
}

int canon_sums(const CanonNode *node, int n, int *first)
{
    CanonStack s = { 0 };
    for (int i = 0; i < n; i++)
        if (canon_push(&s, node[i]) == 0)
            first[s.n - 1] = i;
    first[s.n] = n;
    return s.n;
}

void canon_additions(Addition *add, const CanonNode *node, int n)
{
    CanonStack s = { 0 };
    int slot[CANON_NODES];                         /* of each waiting node; a merged one is where its left child was */
    for (int i = 0, from = 0; i < n; i++, from = i) {
        const int merges = canon_push(&s, node[i]);
        for (int k = 0; k < merges; k++, add++) {
            *add = (Addition){ slot[s.n - 1 + merges - 1 - k], from };
            from = add->to;
        }
        slot[s.n - 1] = from;
    }
    for (; s.n > 1; s.n--)                         /* the right edge of the tree: what has no sibling passes up */
        *add++ = (Addition){ slot[s.n - 2], slot[s.n - 1] };
}
