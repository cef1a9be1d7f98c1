/* ref_bf16.c -- products with a weight, operands rounded to bf16 (core/dnnl/bf16.h), sums in double */
#include "core/half.h"
#include "core/ref/ref.h"

#include <stdlib.h>
#include <string.h>

/* x rounded, to be freed. */
static float *rounded(const float *x, int64_t n)
{
    float *y = malloc((size_t)max64(n, 1) * sizeof *y);
    CHECK(y, "no memory for %lld floats of the reference ops", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits = bf16_widen(bf16_narrow(bits));
        memcpy(&y[i], &bits, sizeof bits);
    }
    return y;
}

static void linear_fwd(float *out, const float *x, const Linear *w, int64_t N)
{
    float *rx = rounded(x, N * w->I), *rw = rounded(w->w, (int64_t)w->O * w->I);
    ref_linear_fwd(out, rx, &(Linear){ .w = rw, .b = w->b, .I = w->I, .O = w->O, .add = w->add }, N);
    free(rx), free(rw);
}

static void linear_dx(float *dx, const LinearTerm *term, int terms, int64_t N, bool add)
{
    for (int i = 0; i < terms; i++) {
        const Linear *w = term[i].w;
        float *rd = rounded(term[i].dout, N * w->O), *rw = rounded(w->w, (int64_t)w->O * w->I);
        ref_linear_dx(dx, TERMS({ rd, &(Linear){ .w = rw, .I = w->I, .O = w->O } }), N, add || i > 0);
        free(rd), free(rw);
    }
}

static void linear_dw(Linear *dw, const float *dout, const float *x, int64_t N)
{
    float *rd = rounded(dout, N * dw->O), *rx = rounded(x, N * dw->I);
    if (dw->w)
        ref_linear_dw(&(Linear){ .w = dw->w, .I = dw->I, .O = dw->O }, rd, rx, N);
    ref_linear_dw(&(Linear){ .b = dw->b, .I = dw->I, .O = dw->O }, dout, x, N);
    free(rd), free(rx);
}

const Ops OPS_REF_BF16 = { .name = "ref bf16", .linear_fwd = linear_fwd, .linear_dx = linear_dx, .linear_dw = linear_dw };
