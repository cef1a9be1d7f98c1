/* bf16_none.c -- a build without oneDNN, or with one whose threads it cannot keep to one (Makefile) */
#include "core/dnnl/bf16_tile.h"

const char *bf16_tile_absent(void) { return "this program was built without oneDNN 2 or 3 with OpenMP (Debian's package libdnnl-dev)"; }
const char *bf16_tile_by(void) { return "nothing"; }

size_t bf16_tile_open(int threads)
{
    CHECK(false, "bf16 for %d threads: %s", threads, bf16_tile_absent());
    return 0;
}

void bf16_tile_make(TileKind kind, int m, int n, int k)
{
    CHECK(false, "a bf16 tile %d (%d,%d,%d): %s", (int)kind, m, n, k, bf16_tile_absent());
}

void bf16_tile(int thread, float *c, const uint16_t *a, const uint16_t *b, TileKind kind, int m, int n, int k, bool add, void *scratch)
{
    (void)thread, (void)c, (void)a, (void)b, (void)add, (void)scratch;
    bf16_tile_make(kind, m, n, k);
}
