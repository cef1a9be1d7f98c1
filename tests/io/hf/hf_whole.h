/* hf_whole.h -- a model's weights or gradients as the tensors of Hugging Face's files, and a folder of them */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/hf/hfmap.h"
#include "tests/io/hf/hf_case.h"

enum { WHOLES = 400 };

typedef struct { StTensor t; float *x; } Whole;

static inline void must(bool ok, const Err *e)
{
    if (!ok)
        fail_msg("%s: %s (expected %s, got %s)", e->where, e->what, e->expected, e->got);
}

static inline void whole_new(Whole *w, const char *name, int dims, const int64_t *shape)
{
    w->t = st_tensor(name, ST_F32, dims, shape);
    w->x = calloc((size_t)(w->t.rows * w->t.cols), sizeof *w->x);
    assert_non_null(w->x);
}

static inline Whole *whole_named(Whole *w, int *n, const char *name, const HfPiece *p, int rows, int cols)
{
    int64_t shape[ST_DIMS];
    for (int i = 0; i < *n; i++)
        if (strcmp(w[i].t.name, name) == 0)
            return &w[i];
    assert_true(*n < WHOLES);
    whole_new(&w[*n], name, hf_shape(p, rows, cols, shape), shape);
    return &w[(*n)++];
}

/* The weights, or all that has a gradient; averages of codebooks are in no file.  Returns how many tensors. */
static inline int wholes_of(Whole *w, const Model *m, bool gradients)
{
    int n = 0;
    for (int i = 0; i < m->table.n; i++) {
        const Param *p = &m->table.p[i];
        const float *x = gradients ? m->grads + p->grad : m->weights + p->offset;
        char name[ST_NAME];
        HfPiece at;
        if (gradients && p->grad < 0)
            continue;
        if (!hf_name(p->name, HF_Q, hf_modules(HF_LLAVA), name, &at)) {
            assert_true(p->flags & STATE);
            continue;
        }
        Whole *to = whole_named(w, &n, name, &at, p->rows, p->cols);
        const int64_t ld = to->t.rows * to->t.cols / ((int64_t)p->rows * at.row_blocks);
        for (int64_t r = 0; r < p->rows; r++)
            memcpy(to->x + (at.row_block * p->rows + r) * ld + at.col_block * p->cols, x + r * p->cols,
                   (size_t)p->cols * sizeof *x);
    }
    return n;
}

static inline void wholes_free(Whole *w, int n)
{
    for (int i = 0; i < n; i++)
        free(w[i].x);
}

/* dir/model.safetensors, of the type given */
static inline void wholes_write(const char *dir, const Whole *w, int n, StType type)
{
    StTensor t[WHOLES];
    St s;
    Err e = { 0 };
    for (int i = 0; i < n; i++)
        t[i] = st_tensor(w[i].t.name, type, w[i].t.dims, w[i].t.shape);
    mkdir(dir, 0777);
    must(st_plan(&s, t, n, 0, &e) && st_create(&s, 0, dir, &e), &e);
    const int fd = st_open_write(&s, 0, dir, &e);
    for (int i = 0; i < n; i++) {
        const StTensor *to = st_find(&s, w[i].t.name);
        must(st_write(&s, to, fd, 0, to->rows, 0, to->cols, w[i].x, to->cols, &e), &e);
    }
    assert_int_equal(close(fd), 0);
    st_close(&s);
}
