/* cpu_linear.c -- products with a weight */
#include "core/cpu/cpu.h"
#include "core/cpu/panel.h"
#include "core/prof.h"

#include <string.h>

/* One row: the weight is read once, from memory; sgemm would first pack it. */
static void linear_row(float *out, const float *x, const float *w, int I, int O, float beta)
{
#pragma omp parallel for if ((int64_t)I * O >= PARALLEL)
    for (int o = 0; o < O; o++) {
        const float *row = w + (int64_t)o * I;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int i = 0; i < I; i++)
            sum += x[i] * row[i];
        out[o] = sum + (beta == 0 ? 0 : beta * out[o]);
    }
}

void cpu_linear_fwd(float *out, const float *x, const Linear *w, int64_t N)
{
    const int I = w->I, O = w->O;
    const float *b = w->b;
    if (N == 0)
        return;
    prof_gemm(N, O, I);
    if (b) {
#pragma omp parallel for if (N * O >= PARALLEL)
        for (int64_t n = 0; n < N; n++)
            memcpy(out + n * O, b, (size_t)O * sizeof *b);
    }
    const float beta = b || w->add ? 1 : 0;
    if (w->leaves) {
        const int leaves = w->split == 1 ? w->leaves : 1, packed = w->packed ? O / PANEL * PANEL : 0;
        const Panels all = { .c = out, .M = N, .ldc = O, .N = O, .terms = 1, .leaves = leaves, .term = { { { x, I, 1 }, w->w, I, true, I, leaves } },
                             .alpha = 1, .add = b || w->add };
        Panels part = panels_part(&all, 0, N, 0, packed);
        if (packed)
            panels_packed(&part);
        part = panels_part(&all, 0, N, packed, O - packed);
        if (part.N)
            panels_shared(&part);
    } else if (N == 1)
        linear_row(out, x, w->w, I, O, beta);
    else
        cpu_product(out, O, x, I, false, w->w, I, true, N, O, I, 1, beta);
}

void cpu_linear_pack(Linear *w, float *room)
{
    const int I = w->I;
    ASSERT(w->leaves > 0 && !w->packed);
    _Static_assert((int)PANEL == (int)LINEAR_PANEL, "packed weights are this table's panels");
    for (int64_t o = 0; o + PANEL <= w->O; o += PANEL) {
        memcpy(room, w->w + o * I, (size_t)I * PANEL * sizeof *room);
        tile_turn(w->w + o * I, I, room, I, PANEL, I, 1);
    }
    w->packed = true;
}

void cpu_linear_dx(float *dx, const LinearTerm *term, int terms, int64_t N, bool add)
{
    const int I = term->w->I, some = term->w->leaves;
    Panels p = { .c = dx, .M = N, .ldc = I, .N = I, .terms = terms, .leaves = term->w->split == 0 ? some : 1, .alpha = 1, .add = add };
    ASSERT(terms <= LINEAR_TERMS);
    for (int t = 0; t < terms && N > 0; t++) {
        const Linear *w = term[t].w;
        ASSERT(!w->packed);
        prof_gemm(N, I, w->O);
        if (some)
            p.term[t] = (Factors){ { term[t].dout, w->O, 1 }, w->w, I, false, w->O, w->split == 0 ? w->leaves : 1 };
        else
            cpu_product(dx, I, term[t].dout, w->O, false, w->w, I, false, N, I, w->O, 1, add || t > 0);
    }
    if (some && N > 0)
        panels_shared(&p);
}

/* db[c] += sum of column c: blocks of 64 rows, so that rounding grows with N/64 instead of N. */
static void column_sums(float *db, const float *dout, int64_t N, int O)
{
    enum { WIDE = 256, DEEP = 64 };
#pragma omp parallel for if (N * O >= PARALLEL)
    for (int c = 0; c < O; c += WIDE) {
        const int wide = (int)min64(WIDE, O - c);
        for (int64_t n0 = 0; n0 < N; n0 += DEEP) {
            const int64_t n1 = min64(N, n0 + DEEP);
            float sum[WIDE] = { 0 };
            for (int64_t n = n0; n < n1; n++) {
                const float *row = dout + n * O + c;
#pragma omp simd
                for (int j = 0; j < wide; j++)
                    sum[j] += row[j];
            }
            for (int j = 0; j < wide; j++)
                db[c + j] += sum[j];
        }
    }
}

void cpu_linear_dw(Linear *dw, const float *dout, const float *x, int64_t N)
{
    const int I = dw->I, O = dw->O;
    if (N == 0)
        return;
    if (dw->w) {
        prof_gemm(O, I, N);
        if (dw->leaves)
            panels_shared(&(Panels){ .c = dw->w, .M = O, .ldc = I, .N = I, .terms = 1, .leaves = 1, .term = { { { dout, 1, O }, x, I, false, (int)N, 1 } },
                                     .alpha = 1, .add = true });
        else
            cpu_product(dw->w, I, dout, O, true, x, I, false, O, I, (int)N, 1, 1);
    }
    if (dw->b)
        column_sums(dw->b, dout, N, O);
}
