/* plandata.c -- how large the data set is, or will be (plan.h) */
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "io/set/index.h"
#include "launch/plan/plan.h"

/* Stored bytes of raw ones, as measured on pictures of 64 and of 384 (docs/PERF.md, "Pixels in a shard"). */
static const struct { double at64, at384; } STORED[2][STORE_KINDS] = {
    { [STORE_RAW] = { 0.878, 0.674 }, [STORE_DELTA] = { 0.552, 0.397 } },      /* photographs */
    { [STORE_RAW] = { 0.223, 0.127 }, [STORE_DELTA] = { 0.201, 0.093 } },      /* composed scenes */
};

static double share(const Config *c)
{
    const int scenes = c->data.source == SOURCE_SCENES;
    const double at = fmin(1, fmax(0, log(config_picture(c) / 64.0) / log(384.0 / 64.0)));
    return STORED[scenes][c->data.store].at64 + at * (STORED[scenes][c->data.store].at384 - STORED[scenes][c->data.store].at64);
}

double plan_picture(const Config *c)
{
    const double side = config_picture(c), grid = c->model.vision.image / c->model.vision.patch * (c->model.vision.image / c->model.vision.patch);
    return 3 * side * side * share(c) + (c->data.codes[0] ? 2 * grid * c->model.codes.depth : 0);
}

/* The set that is there. */
static void print_packed(const Index *x)
{
    double bytes = 0;
    struct stat st = { 0 };
    for (int i = 0; i < x->n; i++)
        bytes += (double)x->shard[i].bytes;
    stat(x->path, &st);
    printf("\ndata set %s: %016llx\n", x->path, (unsigned long long)x->hash);
    printf("  %lld samples, %lld pictures of %d, %lld tokens in %d shard%s: %.3f GB, and %.3f of index", (long long)x->meta.samples,
           (long long)x->meta.images, x->meta.image, (long long)x->meta.tokens, x->n, x->n == 1 ? "" : "s", 1e-9 * bytes,
           1e-9 * (double)st.st_size);
    if (x->meta.images)
        printf("; %.1f KB a picture, %.1f without zstd", 1e-3 * bytes / (double)x->meta.images, 3e-3 * x->meta.image * x->meta.image);
    printf("\n");
}

void plan_data(const Config *c)
{
    Err none = { 0 };
    struct stat st;
    Index *x = c->data.set[0] && stat(c->data.set, &st) == 0 ? index_open(c->data.set, &none) : NULL;
    if (x) {
        print_packed(x);
        index_close(x);
        return;
    }
    const double side = config_picture(c), raw = 3 * side * side, stored = raw * share(c);
    const double grid = c->model.vision.image / c->model.vision.patch * (c->model.vision.image / c->model.vision.patch);
    const double codes = c->data.codes[0] ? 2 * grid * c->model.codes.depth : 0;
    const int64_t known = c->data.samples ? c->data.samples + c->data.val_samples : 0, n = known ? known : 1000000;
    printf("\ndata set, not packed yet (data.store = \"%s\"): pictures are the bulk of it\n", store_names[c->data.store]);
    printf("  a picture of %.0f: %.1f KB, about %.1f stored (%s)%s\n", side, 1e-3 * raw, 1e-3 * stored,
           c->data.source == SOURCE_SCENES ? "composed scenes" : "photographs", codes > 0 ? ", and its codes" : "");
    printf("  %lld samples of one picture%s: about %.2f GB\n", (long long)n, known ? "" : ", say", 1e-9 * (double)n * (stored + codes));
}
