#include "core/dnnl/bf16_tile.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

#define DNNL(call)                                                                     \
    do {                                                                               \
        const dnnl_status_t status_ = (call);                                          \
        CHECK(status_ == dnnl_success, "oneDNN: %s: status %d", #call, (int)status_);  \
    } while (0)

typedef struct {
    dnnl_primitive_t   matmul;
    dnnl_memory_desc_t a, b, c, scratch;
} Tile;

enum { MS = TILE_M / TILE_STEP, NS = TILE_N / TILE_STEP, KS = TILE_K / TILE_STEP };

static Tile tiles[TILE_KINDS][MS][NS][KS][2];
static dnnl_engine_t engine;
static dnnl_stream_t *stream;           /* (streams): each is one thread's */
static int streams;
static size_t room;                     /* bytes of scratch */

static Tile *tile_of(TileKind kind, int m, int n, int k, bool add)
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

static dnnl_memory_desc_t matrix(dnnl_data_type_t type, int rows, int cols, bool turned)
{
    dnnl_memory_desc_t d;
    const dnnl_dims_t dims = { rows, cols }, step = { turned ? 1 : cols, turned ? rows : 1 };
    DNNL(dnnl_memory_desc_init_by_strides(&d, 2, dims, type, step));
    return d;
}

static void make(Tile *t, TileKind kind, int m, int n, int k, bool add)
{
    dnnl_matmul_desc_t d;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t after;
    dnnl_primitive_desc_t pd;
    t->a = matrix(dnnl_bf16, m, k, kind == TILE_DW);
    t->b = matrix(dnnl_bf16, k, n, kind == TILE_FWD);
    t->c = matrix(dnnl_f32, m, n, false);
    DNNL(dnnl_matmul_desc_init(&d, &t->a, &t->b, NULL, &t->c));
    DNNL(dnnl_primitive_attr_create(&attr));
    DNNL(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
    DNNL(dnnl_post_ops_create(&after));
    if (add)
        DNNL(dnnl_post_ops_append_sum(after, 1.f));
    DNNL(dnnl_primitive_attr_set_post_ops(attr, after));
    DNNL(dnnl_primitive_desc_create(&pd, &d, attr, engine, NULL));
    DNNL(dnnl_primitive_create(&t->matmul, pd));
    t->scratch = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    DNNL(dnnl_post_ops_destroy(after));
    DNNL(dnnl_primitive_attr_destroy(attr));
    DNNL(dnnl_primitive_desc_destroy(pd));
    const size_t want = dnnl_memory_desc_get_size(&t->scratch);
    CHECK(want <= room, "oneDNN wants %zu bytes of scratch for a tile (%d,%d,%d), more than %zu", want, m, n, k, room);
}

void bf16_tile_make(TileKind kind, int m, int n, int k)
{
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);             /* a primitive is cut for as many threads as there are when it is made */
    for (int add = 0; add < 2; add++) {
        Tile *t = tile_of(kind, m, n, k, add);
        if (!t->matmul)
            make(t, kind, m, n, k, add);
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
    const Tile *t = tile_of(kind, m, n, k, add);
    const struct { int arg; const dnnl_memory_desc_t *is; void *at; } given[] = {
        { DNNL_ARG_SRC, &t->a, (void *)(uintptr_t)a }, { DNNL_ARG_WEIGHTS, &t->b, (void *)(uintptr_t)b },
        { DNNL_ARG_DST, &t->c, c }, { DNNL_ARG_SCRATCHPAD, &t->scratch, scratch },
    };
    enum { GIVEN = sizeof given / sizeof *given };
    dnnl_exec_arg_t args[GIVEN];
    for (int i = 0; i < GIVEN; i++) {
        args[i].arg = given[i].arg;
        DNNL(dnnl_memory_create(&args[i].memory, given[i].is, engine, given[i].at));
    }
    DNNL(dnnl_primitive_execute(t->matmul, stream[thread], GIVEN, args));
    for (int i = 0; i < GIVEN; i++)
        DNNL(dnnl_memory_destroy(args[i].memory));
}
