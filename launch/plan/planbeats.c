/* planbeats.c -- a rank's way through a micro-batch, from the table: flops between two calls of a door (plannodes.h) */
#include <stdlib.h>
#include <string.h>

#include "launch/plan/plannodes.h"

/* Neighbours in the table that the model computes together: a block, or what a part has besides. */
typedef struct { int first, last, block; double forward, down, ffn, other; } Segment;

/* "decoder.3.attn.wq" -> 3; -1 where the second word is no number. */
static int block_of(const Param *p)
{
    const char *rest = strchr(p->name, '.') + 1;
    return *rest >= '0' && *rest <= '9' ? atoi(rest) : -1;
}

static bool together(const Param *a, const Param *b)
{
    const size_t n = (size_t)(strchr(a->name, '.') - a->name) + 1;
    return !strncmp(a->name, b->name, n) && block_of(a) == block_of(b);
}

static void add(Segment *s, const Model *m, const Param *p)
{
    const Flops f = plan_flops_weight(m, p);
    double *at = strstr(p->name, ".ffn.down") ? &s->down : strstr(p->name, ".ffn.") ? &s->ffn : &s->other;
    s->forward += f.early;
    *at += f.step - f.early;
}

static double backward(const Segment *s) { return s->down + s->ffn + s->other; }
static bool in_part(const Model *m, const Segment *s, const char *part) { return param_in_part(&m->table.p[s->first], part); }
static bool decoder_block(const Model *m, const Segment *s) { return s->block >= 0 && in_part(m, s, "decoder"); }

/* What no weight has a part in, attention above all, goes to the decoder's blocks. */
static int segments(const Model *m, Segment out[BEATS])
{
    const Flops all = plan_flops(m);
    double forward = all.early, back = all.step - all.early;
    int n = 0, blocks = 0;
    for (int i = 0; i < m->table.n; i++) {
        if (n == 0 || !together(&m->table.p[i - 1], &m->table.p[i])) {
            CHECK(n < BEATS, "a model of more than %d blocks", BEATS);
            out[n++] = (Segment){ .first = i, .block = block_of(&m->table.p[i]) };
        }
        add(&out[n - 1], m, &m->table.p[i]);
        out[n - 1].last = i + 1;
    }
    for (int k = 0; k < n; k++) {
        forward -= out[k].forward;
        back -= backward(&out[k]);
        blocks += decoder_block(m, &out[k]);
    }
    for (int k = 0; k < n; k++)
        if (decoder_block(m, &out[k])) {
            out[k].forward += forward / blocks;
            out[k].other += back / blocks;
        }
    return n;
}

static void beat(Beat *out, int *n, double flops, int first)
{
    CHECK(*n < BEATS, "more than %d calls of the door", BEATS);
    out[(*n)++] = (Beat){ flops, first, 0 };
}

int plan_beats_backward(const Model *m, Beat out[BEATS])
{
    Segment s[BEATS];
    int n = 0;
    for (int k = segments(m, s) - 1; k >= 0; k--) {
        const int first = s[k].first, behind = s[k].last;
        if (backward(&s[k]) == 0)
            continue;                              /* a frozen tower, or what only lies there */
        if (decoder_block(m, &s[k])) {             /* llama.c: in the FFN, behind it, behind attention */
            beat(out, &n, s[k].down, behind);
            beat(out, &n, s[k].ffn, behind);
            beat(out, &n, s[k].other, first);
        } else if (s[k].block >= 0 && in_part(m, &s[k], "vision")) {            /* encoder.c */
            beat(out, &n, s[k].ffn, behind);
            beat(out, &n, s[k].other, first);
        } else {
            beat(out, &n, backward(&s[k]), first);
        }
    }
    return n;
}

int plan_beats_forward(const Model *m, Beat out[BEATS])
{
    Segment s[BEATS];
    const int n = segments(m, s);
    for (int k = 0; k < n; k++)
        out[k] = (Beat){ s[k].forward, s[k].first, s[k].last };
    return n;
}
