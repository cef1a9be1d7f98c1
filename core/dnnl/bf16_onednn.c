/* bf16_onednn.c -- oneDNN's primitives for tiles: what its versions 2 and 3 have in common (bf16_onednn.h) */
#include "core/dnnl/bf16_onednn.h"
#include "core/dnnl/bf16_tile.h"

#include <omp.h>
#include <stdlib.h>

enum { MS = TILE_M / TILE_STEP, NS = TILE_N / TILE_STEP, KS = TILE_K / TILE_STEP };

static dnnl_primitive_t tiles[TILE_KINDS][MS][NS][KS][2];
static dnnl_engine_t engine;
static dnnl_stream_t *stream;           /* (streams): each is one thread's */
static int streams;
static size_t room;                     /* bytes of scratch */

static dnnl_primitive_t *tile_of(TileKind kind, int m, int n, int k, bool add)
{
    return &tiles[kind][m / TILE_STEP - 1][n / TILE_STEP - 1][k / TILE_STEP - 1][add];
}

static bool has(dnnl_cpu_isa_t isa) { return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)isa) == (unsigned)isa; }

/* With AVX-512 alone oneDNN would emulate them, slower than fp32's; below that it has none. */
const char *bf16_tile_absent(void)
{
    return has(dnnl_cpu_isa_avx512_core_bf16) ? NULL : "this processor has no instructions for bf16 (AVX512-BF16 or AMX)";
}

const char *bf16_tile_by(void) { return has(dnnl_cpu_isa_avx512_core_amx) ? "AMX" : "AVX512-BF16"; }

static Matrix matrix(dnnl_data_type_t type, int rows, int cols, bool turned)
{
    return (Matrix){ type, { rows, cols }, { turned ? 1 : cols, turned ? rows : 1 } };
}

/* Where an argument of a primitive lies in memory: the descriptor is the primitive's. */
static dnnl_memory_t argument(dnnl_primitive_t matmul, int which, void *at)
{
    const_dnnl_primitive_desc_t pd;
    dnnl_memory_t m;
    DNNL(dnnl_primitive_get_primitive_desc(matmul, &pd));
    DNNL(dnnl_memory_create(&m, dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, which), engine, at));
    return m;
}

static dnnl_primitive_t make(TileKind kind, int m, int n, int k, bool add)
{
    const Matrix a = matrix(dnnl_bf16, m, k, kind == TILE_DW), b = matrix(dnnl_bf16, k, n, kind == TILE_FWD), c = matrix(dnnl_f32, m, n, false);
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t after;
    dnnl_primitive_t matmul;
    DNNL(dnnl_primitive_attr_create(&attr));
    DNNL(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
    DNNL(dnnl_post_ops_create(&after));
    if (add)
        onednn_add(after);
    DNNL(dnnl_primitive_attr_set_post_ops(attr, after));
    const dnnl_primitive_desc_t pd = onednn_matmul(engine, &a, &b, &c, attr);
    const size_t want = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
    CHECK(want <= room, "oneDNN wants %zu bytes of scratch for a tile (%d,%d,%d), more than %zu", want, m, n, k, room);
    DNNL(dnnl_primitive_create(&matmul, pd));
    DNNL(dnnl_post_ops_destroy(after));
    DNNL(dnnl_primitive_attr_destroy(attr));
    DNNL(dnnl_primitive_desc_destroy(pd));
    return matmul;
}

void bf16_tile_make(TileKind kind, int m, int n, int k)
{
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);             /* a primitive is cut for as many threads as there are when it is made */
    for (int add = 0; add < 2; add++) {
        dnnl_primitive_t *t = tile_of(kind, m, n, k, add);
        if (!*t)
            *t = make(kind, m, n, k, add);
    }
    omp_set_num_threads(threads);
}

size_t bf16_tile_open(int threads)
{
    const char *absent = bf16_tile_absent();
    CHECK(!absent, "bf16: %s", absent);
    if (!engine)
        DNNL(dnnl_engine_create(&engine, dnnl_cpu, 0));
    stream = realloc(stream, (size_t)threads * sizeof *stream);
    CHECK(stream, "no memory for %d streams of oneDNN", threads);
    for (; streams < threads; streams++)
        DNNL(dnnl_stream_create(&stream[streams], engine, dnnl_stream_default_flags));
    /* Copies of a and b, and a tile of c, are what it can want; of what it does want beyond, make() tells. */
    room = sizeof(uint16_t) * TILE_K * (TILE_M + TILE_N) + sizeof(float) * TILE_M * TILE_N + (64 << 10);
    return room;
}

void bf16_tile(int thread, float *c, const uint16_t *a, const uint16_t *b, TileKind kind, int m, int n, int k, bool add, void *scratch)
{
    const dnnl_primitive_t t = *tile_of(kind, m, n, k, add);
    const dnnl_exec_arg_t args[] = {
        { DNNL_ARG_SRC, argument(t, DNNL_ARG_SRC, (void *)(uintptr_t)a) }, { DNNL_ARG_WEIGHTS, argument(t, DNNL_ARG_WEIGHTS, (void *)(uintptr_t)b) },
        { DNNL_ARG_DST, argument(t, DNNL_ARG_DST, c) }, { DNNL_ARG_SCRATCHPAD, argument(t, DNNL_ARG_SCRATCHPAD, scratch) },
    };
    enum { ARGS = sizeof args / sizeof *args };
    DNNL(dnnl_primitive_execute(t, stream[thread], ARGS, args));
    for (int i = 0; i < ARGS; i++)
        DNNL(dnnl_memory_destroy(args[i].memory));
}
