#include "core/param.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"
#include "core/rng.h"

enum { DECLARE, WEIGHTS, GRADS, PACK };

Binder binder_declare(Params *t, const Tp *tp)
{
    t->tp_rank = tp->rank;
    t->tp_size = tp->size;
    t->leaves = tp->leaves;
    return (Binder){ .table = t, .pass = DECLARE };
}

Binder binder_weights(Params *t, float *weights) { return (Binder){ .table = t, .base = weights, .pass = WEIGHTS }; }
Binder binder_grads(Params *t, float *grads) { return (Binder){ .table = t, .base = grads, .pass = GRADS }; }
Binder binder_pack(Params *t, float *weights, float *room) { return (Binder){ t, weights, room, 0, PACK }; }

static Param *declare(Params *t)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->p = realloc(t->p, (size_t)t->cap * sizeof *t->p);
        CHECK(t->p, "no memory for a table of %d parameters", t->cap);
    }
    return memset(&t->p[t->n++], 0, sizeof *t->p);
}

/* Ranks that hold one piece of a split tensor. */
static int copies_of(const Param *split) { return (int)max64(1, split->flags / COPIES(1)); }

static float *bind(Binder *b, Param want)
{
    Params *t = b->table;
    if (b->pass == DECLARE) {
        CHECK(params_find(t, want.name) < 0, "parameter %s is declared twice", want.name);
        want.copies = want.split < 0 ? t->tp_size : copies_of(&want);
        const int pieces = t->tp_size / want.copies;
        CHECK(pieces * want.copies == t->tp_size && (want.split < 0 || (want.split ? want.cols : want.rows) % pieces == 0),
              "parameter %s (%d,%d) does not divide among %d tensor-parallel ranks", want.name, want.rows, want.cols,
              t->tp_size);
        want.count = (int64_t)want.rows * want.cols / pieces;
        *declare(t) = want;
        return NULL;
    }
    CHECK(b->next < t->n && strcmp(t->p[b->next].name, want.name) == 0,
          "parameter %s is bound out of the order in which it was declared", want.name);
    const Param *p = &t->p[b->next++];
    if (b->pass != GRADS)
        return b->base + p->offset;
    return p->grad < 0 ? NULL : b->base + p->grad;
}

static void name(Param *want, const char *fmt, va_list ap)
{
    int n = vsnprintf(want->name, sizeof want->name, fmt, ap);
    CHECK(n > 0 && n < PARAM_NAME, "the parameter name %s... is too long", want->name);
}

float *param(Binder *b, int rows, int cols, int split, unsigned flags, const char *fmt, ...)
{
    Param want = { .rows = rows, .cols = cols, .split = split, .flags = flags };
    va_list ap;
    va_start(ap, fmt);
    name(&want, fmt, ap);
    va_end(ap);
    return bind(b, want);
}

/* The pair beside w: of what tp divides each has its share, the rest is whole on all ranks. */
static void bind_pair(Binder *b, Linear *l, const Param *w)
{
    const Lora *lora = &b->table->lora;
    CHECK(w->split >= 0, "%s is whole on each rank: a low-rank pair beside it has no place", w->name);
    l->lora = lora;
    l->a  = param(b, lora->rank, w->cols, w->split == 1 ? 1 : -1, INIT_FAN_IN | DECAY, LORA_PART ".%s.a", w->name);
    l->up = param(b, w->rows, lora->rank, w->split == 0 ? 0 : -1, INIT_ZERO | DECAY | (w->split == 0 ? w->flags / COPIES(1) * COPIES(1) : 0),
                  LORA_PART ".%s.b", w->name);
}

Linear param_tied(Binder *b, float *w, int O, int I)
{
    Linear l = { .w = w, .I = I, .O = O / b->table->tp_size, .leaves = b->table->leaves };
    if (b->pass == PACK && l.leaves)
        op.linear_pack(&l, b->room);
    return l;
}

Linear param_linear(Binder *b, int O, int I, int split, unsigned flags, const char *fmt, ...)
{
    Param want = { .rows = O, .cols = I, .split = split, .flags = flags };
    const int pieces = split < 0 ? 1 : b->table->tp_size / copies_of(&want);
    va_list ap;
    va_start(ap, fmt);
    name(&want, fmt, ap);
    va_end(ap);
    Linear l = { .w = bind(b, want), .I = split == 1 ? I / pieces : I, .O = split == 0 ? O / pieces : O,
                 .split = split == 1, .leaves = split < 0 ? 0 : b->table->leaves };
    if (b->pass == PACK && l.leaves)
        op.linear_pack(&l, b->room);
    if (flags & LORA && lora_is_target(&b->table->lora, want.name))
        bind_pair(b, &l, &want);
    return l;
}

float *param_constant(Binder *b, float value, const char *name)
{
    Param want = { .rows = 1, .cols = 1, .split = -1, .flags = INIT_ZERO, .constant = value };
    CHECK(snprintf(want.name, sizeof want.name, "%s", name) < PARAM_NAME, "the parameter name %s is too long", name);
    return bind(b, want);
}

bool param_in_part(const Param *p, const char *part)
{
    size_t n = strlen(part);
    return strncmp(p->name, part, n) == 0 && p->name[n] == '.';
}

/* Does the list of words hold the part that p belongs to? */
static bool listed(const Param *p, const char *list)
{
    size_t part = strcspn(p->name, ".");
    for (const char *w = list; *w;) {
        size_t n = strcspn(w, ", ");
        if (n == part && strncmp(w, p->name, n) == 0)
            return true;
        w += n + strspn(w + n, ", ");
    }
    return false;
}

static bool words_are_parts(const Params *t, const char *list)
{
    for (const char *w = list + strspn(list, ", "); *w;) {
        size_t n = strcspn(w, ", ");
        bool found = false;
        for (int i = 0; i < t->n && !found; i++)
            found = strncmp(t->p[i].name, w, n) == 0 && t->p[i].name[n] == '.';
        if (!found)
            return false;
        w += n + strspn(w + n, ", ");
    }
    return true;
}

enum { LANES = 16 };        /* tensors start at 64-byte boundaries */

bool params_seal(Params *t, const char *trainable)
{
    if (!words_are_parts(t, trainable))
        return false;
    t->weights = t->grads = 0;
    for (int i = 0; i < t->n; i++) {
        Param *p = &t->p[i];
        p->offset = t->weights;
        t->weights += ceil_div(p->count, LANES) * LANES;
        p->grad = -1;
        if (listed(p, trainable)) {
            p->grad = t->grads;
            t->grads += ceil_div(p->count, LANES) * LANES;
        }
    }
    return true;
}

void params_free(Params *t)
{
    free(t->p);
    *t = (Params){0};
}

int params_find(const Params *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->p[i].name, name) == 0)
            return i;
    return -1;
}

Slice param_slice(const Params *t, int i)
{
    const Param *p = &t->p[i];
    Slice s = slice_whole(p->cols == 1 ? 1 : 2, (int64_t[]){ p->rows, p->cols });
    return p->split < 0 ? s : slice_part(s, p->split, t->tp_rank / p->copies, t->tp_size / p->copies);
}

bool params_speak(const Params *t, int i) { return t->tp_rank % t->p[i].copies == 0; }

/* The piece as the ops see it: rows of the whole tensor, the first of them from element `first` on, the next `stride` later. */
typedef struct { int64_t rows, cols, first, stride; } Piece;

static Piece piece_of(const Params *t, int i)
{
    const Slice s = param_slice(t, i);
    if (s.dims == 1)
        return (Piece){ 1, t->p[i].count, s.start[0], t->p[i].count };
    return (Piece){ slice_extent(&s, 0), slice_extent(&s, 1), s.start[0] * t->p[i].cols + s.start[1], t->p[i].cols };
}

void params_init(const Params *t, int i, float *weights, uint64_t seed)
{
    const Param *p = &t->p[i];
    const Piece s = piece_of(t, i);
    const uint64_t stream = rng_stream(p->name);
    float *x = weights + p->offset;
    switch (p->flags & INIT_MASK) {
    case INIT_ONE:    op.fill(x, p->count, 1); break;
    case INIT_NORMAL: op.draw(x, s.rows, s.cols, s.first, s.stride, DRAW_NORMAL, 0.02, seed, stream); break;
    case INIT_UNIT:   op.draw(x, s.rows, s.cols, s.first, s.stride, DRAW_NORMAL, 1, seed, stream); break;
    case INIT_FAN_IN: op.draw(x, s.rows, s.cols, s.first, s.stride, DRAW_UNIFORM, sqrt((double)p->cols), seed, stream); break;
    default:          op.fill(x, p->count, p->constant);
    }
}

uint64_t params_fingerprint(const Params *t, const float *weights, bool (*want)(const Param *p))
{
    uint64_t sum = 0, one;
    for (int i = 0; i < t->n; i++) {
        const Piece s = piece_of(t, i);
        if (!params_speak(t, i) || (want && !want(&t->p[i])))
            continue;
        op.hash(&one, weights + t->p[i].offset, s.rows, s.cols, s.first, s.stride, rng_stream(t->p[i].name));
        sum += one;
    }
    return sum;
}

uint64_t params_hash(const Params *t, const float *weights, int i)
{
    uint64_t sum;
    op.hash(&sum, weights + t->p[i].offset, 1, t->p[i].count, 0, t->p[i].count, 0);
    return sum;
}
