#include "core/lora.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "core/ops.h"

/* ---- which ---- */

/* A decoder's weights as Hugging Face calls them; peft calls all of them all-linear. */
static const struct { const char *theirs, *ours; } KNOWN[] = {
    { "q_proj", "attn.wq" }, { "k_proj", "attn.wk" }, { "v_proj", "attn.wv" }, { "o_proj", "attn.wo" },
    { "gate_proj", "ffn.gate" }, { "up_proj", "ffn.up" }, { "down_proj", "ffn.down" },
};

static bool names(const char *word, const char *name)
{
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (!strcmp(word, KNOWN[i].theirs))
            word = KNOWN[i].ours;
    const size_t n = strlen(name), w = strlen(word);
    return !strcmp(word, "all-linear") || fnmatch(word, name, 0) == 0 || (n > w && name[n - w - 1] == '.' && !strcmp(name + n - w, word));
}

bool lora_is_target(const Lora *l, const char *name)
{
    char word[64];
    if (l->rank == 0)
        return false;
    if (!l->targets || !l->targets[strspn(l->targets, ", ")])
        return true;
    for (const char *at = l->targets + strspn(l->targets, ", "); *at; at += strspn(at, ", ")) {
        const size_t n = strcspn(at, ", ");
        if (n < sizeof word) {
            snprintf(word, sizeof word, "%.*s", (int)n, at);
            if (names(word, name))
                return true;
        }
        at += n;
    }
    return false;
}

void lora_rooms(Lora *l, Arena *a, int64_t rows)
{
    if (l->rank == 0)
        return;
    l->rows = rows;
    l->u = TAKE(a, float, rows * l->rank);
    for (int i = 0; i < LINEAR_TERMS; i++)
        l->dv[i] = TAKE(a, float, rows * l->rank);
}

/* ---- the two as linear layers of their own, of a gradient, too ---- */

static int whole(const Linear *w) { return w->leaves ? 1 : 0; }

static Linear narrow(const Linear *w)
{
    return (Linear){ .w = w->a, .I = w->I, .O = w->lora->rank, .split = 1, .leaves = w->split == 1 ? w->leaves : whole(w) };
}

static Linear widen(const Linear *w)
{
    return (Linear){ .w = w->up, .I = w->lora->rank, .O = w->O, .split = w->split, .leaves = w->split == 0 ? w->leaves : whole(w) };
}

/* The weight alone, which adds to what is there. */
static Linear onto(const Linear *w)
{
    return (Linear){ .w = w->w, .I = w->I, .O = w->O, .split = w->split, .leaves = w->leaves, .add = true, .packed = w->packed };
}

/* Does this rank bring what is whole to a sum over tp? */
static bool first(const Linear *w) { return w->lora->tp->rank == 0; }

/* u (N,rank), whole */
static void enter(float *u, const float *x, const Linear *w, int64_t N)
{
    const Lora *l = w->lora;
    const Linear a = narrow(w);
    op.linear_fwd(u, x, &a, N);
    op.scale(u, N * l->rank, l->scale);
    if (w->split == 1)
        l->tp->sum(l->tp, u, N * l->rank);
}

static void forward(float *out, const float *x, const Linear *w, int64_t N)
{
    const Linear base = onto(w);
    Linear up = widen(w);
    up.b = w->b;
    enter(w->lora->u, x, w, N);
    op.linear_fwd(out, w->lora->u, &up, N);
    op.linear_fwd(out, x, &base, N);
}

/* What a sum over tp has from another rank, this one computes without it: but the sum of u needs all. */
static void forward_beside(float *out, const float *x, const Linear *w, int64_t N)
{
    enter(w->lora->u, x, w, N);
    op.linear_fwd(out, x, w, N);
}

void lora_fwd(float *out, const float *x, const Linear *w, int64_t N)
{
    if (!w->lora) {
        op.linear_fwd(out, x, w, N);
        return;
    }
    for (int64_t at = 0, n; at < N; at += n) {              /* more rows than the room has: a prompt's */
        n = min64(N - at, w->lora->rows);
        (w->split == 0 || first(w) ? forward : forward_beside)(out + at * w->O, x + at * w->I, w, n);
    }
}

/* dv of a term, whole; where this rank is silent, of the others alone. */
static void leave(float *dv, const LinearTerm *t, bool silent, int64_t N)
{
    const Lora *l = t->w->lora;
    const Linear up = widen(t->w);
    ASSERT(N <= l->rows);
    if (silent)
        op.zero(dv, N * l->rank);
    else
        op.linear_dx(dv, &(LinearTerm){ t->dout, &up }, 1, N, false);
    op.scale(dv, N * l->rank, l->scale);
    if (t->w->split == 0)
        l->tp->sum(l->tp, dv, N * l->rank);
}

/* All terms are split alike.  By O: dx is a sum over tp, to which the first rank adds dv a; by I: each rank's own. */
void lora_dx(float *dx, const LinearTerm *term, int terms, int silent, int64_t N)
{
    Linear thin[LINEAR_TERMS];
    LinearTerm with[LINEAR_TERMS];
    int n = 0;
    ASSERT(terms + silent <= LINEAR_TERMS);
    for (int i = 0; i < terms + silent; i++) {
        const Lora *l = term[i].w->lora;
        if (!l)
            continue;
        leave(l->dv[i], &term[i], i >= terms, N);
        thin[n] = narrow(term[i].w);
        thin[n].leaves = whole(term[i].w);
        with[n] = (LinearTerm){ l->dv[i], &thin[n] };
        if (term[i].w->split == 1 || first(term[i].w))
            n++;
    }
    if (n)
        op.linear_dx(dx, with, n, N, false);
    op.linear_dx(dx, term, terms, N, n > 0);
}

void lora_dw(Linear *dw, const float *dout, const float *x, const Linear *w, int at, int64_t N)
{
    if (dw->w || dw->b)
        op.linear_dw(dw, dout, x, N);
    if (!dw->a)
        return;
    const Lora *l = w->lora;
    Linear da = narrow(dw), dup = widen(dw);
    enter(l->u, x, w, N);
    op.linear_dw(&da, l->dv[at], x, N);
    op.linear_dw(&dup, dout, l->u, N);
}

void lora_merge(const Linear *w)
{
    const Lora *l = w->lora;
    if (l)
        op.product(w->w, w->I, w->up, l->rank, false, w->a, w->I, false, w->O, w->I, l->rank, l->scale, 1);
}
