/*
 * bench_set.c -- a data set: its loader beside unpacking alone, two ways of reading all of it, an index of many samples
 *
 *     mpirun -n R build/tests/bench/bench_set loader SET [threads [micro_batch]]
 *     mpirun -n R build/tests/bench/bench_set read SET [threads]
 *     build/tests/bench/bench_set describe DIR SAMPLES SHARDS          then
 *     mpirun -n R build/tests/bench/bench_set open DIR/index.set [cold]
 *
 * SET is the index.  With more threads than one say --bind-to none to mpirun.
 *
 * loader: epochs of the training samples by the loader alone, each rank its share, beside the ceiling (ceiling.h) on the same
 * micro-batches; they take turns, the best of each counts, also by processor time: where other
 * work is on the machine, a rate depends on whom it met.  In a first round the samples of both are compared.
 *
 * read: all pixel chunks of the training shards, unpacked to rows as they are stored: by each rank for itself with pread, XXH64
 * and zstd, and by collective H5Dread; in turn, the bytes compared.
 *
 * describe: an index as pack would write it, of shards that are not there: one picture of 384 a sample, a chunk each, 300 tokens
 * in the mean, codes of depth 8.  open: what it costs to have it and to look up LOOKUPS random samples.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/base/files.h"
#include "io/set/frame.h"
#include "tests/bench/ceiling.h"

enum { ROUNDS = 9, LOOKUPS = 1000 };

static int rank, ranks;

static void *memory(int64_t n, size_t size)
{
    void *p = calloc((size_t)max64(n, 1), size);
    CHECK(p, "no memory for %lld x %zu bytes", (long long)n, size);
    return p;
}

static void good(bool ok, const Err *e)
{
    CHECK(ok, "%s: %s (expected %s, got %s)", e->where, e->what, e->expected, e->got);
}

static double over_ranks(double x, MPI_Op op)
{
    MPI_Allreduce(MPI_IN_PLACE, &x, 1, MPI_DOUBLE, op, MPI_COMM_WORLD);
    return x;
}

static double processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double load(void)
{
    double one = -1;
    return getloadavg(&one, 1) == 1 ? one : -1;
}

/* ---- loader ---- */

static const StepData *next(Loader *l)
{
    Err e = { 0 };
    const StepData *d = loader_next(l, &e);
    good(d, &e);
    return d;
}

typedef struct { double wall, processor; } Took;       /* seconds of the slowest rank; of all ranks */

static Took start(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
    return (Took){ now(), processor_time() };
}

/* The lesser of both kinds: a busy machine counts less. */
static void stop(Took t, Took *best)
{
    const double wall = now() - t.wall, processor = processor_time() - t.processor;
    t = (Took){ over_ranks(wall, MPI_MAX), over_ranks(processor, MPI_SUM) };
    best->wall = t.wall < best->wall ? t.wall : best->wall;
    best->processor = t.processor < best->processor ? t.processor : best->processor;
}

/* n steps of a loader that runs; what lay ready is taken before. */
static void by_loader(Loader *l, const LoaderConf *c, int64_t *step, int64_t n, Took *best, uint64_t *hash, int64_t image_bytes)
{
    for (int i = 0; i <= c->ring; i++, (*step)++)
        next(l);
    const Took t = start();
    for (int64_t i = 0; i < n; i++) {
        const StepData *d = next(l);
        for (int k = 0; hash && k < d->n; k++)
            *hash += ceiling_hash(&d->batch[k], image_bytes);
    }
    stop(t, best);
}

static void print_took(const char *what, const Took *t, double samples, double mb)
{
    if (rank == 0)
        printf("%-9s%8.0f samples/s  %7.0f MB/s of pixels  %7.1f us of processor a sample\n", what, samples / t->wall, mb / t->wall,
               1e6 * t->processor / samples);
}

static void bench_loader(const char *set, int threads, int micro_batch)
{
    Err e = { 0 };
    Shards *s = shards_open(set, SPLIT_TRAIN, &e);
    good(s, &e);
    const ShardMeta *m = shards_meta(s);
    const int64_t image_bytes = (int64_t)m->image * m->image * 3;
    const LoaderConf c = { .seed = 1, .dp_rank = rank, .dp_size = ranks, .micro_batch = micro_batch, .global_batch = micro_batch * ranks,
                           .max_len = 1 << 30, .P = (int)shard_patches(m), .ring = 1 + threads, .threads = threads };
    const int64_t n = max64(1, m->samples / c.global_batch);
    Ceiling *top = ceiling_open(set, s, &c);
    Loader *l = loader_open(s, &c, &e);
    good(l, &e);
    const double samples = (double)(n * c.global_batch), mb = samples * (double)(m->images * image_bytes) / (double)m->samples * 1e-6;
    const double before = load();
    Took best = { 1e30, 1e30 }, best_top = best, unused = best;
    int64_t step = 0;
    uint64_t hash = 0;
    by_loader(l, &c, &step, n, &unused, &hash, image_bytes);
    CHECK(hash == ceiling_run(top, step, n, true), "the loader's samples are not those that the chunks hold");
    for (int r = 0; r < ROUNDS; r++) {
        step += n;
        by_loader(l, &c, &step, n, &best, NULL, image_bytes);
        const Took t = start();
        ceiling_run(top, step, n, false);
        stop(t, &best_top);
    }
    if (rank == 0)
        printf("%lld samples, pictures of %d; %d rank%s of %d thread%s, micro-batches of %d; load %.1f before, %.1f after\n",
               (long long)m->samples, m->image, ranks, ranks > 1 ? "s" : "", threads, threads > 1 ? "s" : "", micro_batch, before, load());
    print_took("loader", &best, samples, mb);
    print_took("ceiling", &best_top, samples, mb);
    if (rank == 0)
        printf("ratio    %8.3f of the rate, %.3f by processor time\n", best_top.wall / best.wall, best_top.processor / best.processor);
    loader_close(l);
    ceiling_close(top);
    shards_close(s);
}

/* ---- read ---- */

/* Pixel chunks [first, end) of a shard, this rank's. */
typedef struct { int64_t first, end, rows, row_bytes; ShardArray a; char path[4096]; } Share;

static Share share_of(const Index *x, int i)
{
    Err e = { 0 };
    Share s;
    ShardArray a[SHARD_ARRAYS];
    const IndexShard *is = &x->shard[i];
    index_layout(x, i, a);
    s.a = a[SHARD_PIXELS];
    s.row_bytes = s.a.row_bytes;
    s.first = is->chunks[SHARD_PIXELS] * rank / ranks;
    s.end = is->chunks[SHARD_PIXELS] * (rank + 1) / ranks;
    s.rows = min64(s.end * is->per[SHARD_PIXELS], is->images) - min64(s.first * is->per[SHARD_PIXELS], is->images);
    good(index_shard_path(x, i, s.path, sizeof s.path, &e), &e);
    return s;
}

static void by_frames(const Index *x, int i, const Share *s, int threads, uint8_t *out)
{
    const int64_t per = x->shard[i].per[SHARD_PIXELS], bytes = per * s->row_bytes;
    const int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0, "%s: %m", s->path);
#pragma omp parallel num_threads(threads)
    {
        Err e = { 0 };
        Frame f;
        IndexReader *r = index_reader_open();
        frame_open(&f, x->shard[i].max_stored);
#pragma omp for schedule(dynamic, 4)
        for (int64_t c = s->first; c < s->end; c++) {
            H5Chunk where;
            good(index_chunk(r, x, i, SHARD_PIXELS, c, &where, &e) &&
                     frame_read(&f, fd, s->path, &where, out + (c - s->first) * bytes, bytes, &e), &e);
        }
        frame_close(&f);
        index_reader_close(r);
    }
    close(fd);
}

static void by_hdf5(const Index *x, int i, const Share *s, uint8_t *out)
{
    Err e = { 0 };
    H5 *h = h5_open(MPI_COMM_WORLD, s->path, &e);
    good(h, &e);
    const Slice want = slice_range(slice_whole(s->a.dims, s->a.size), 0, s->first * x->shard[i].per[SHARD_PIXELS], s->rows);
    good(h5_read(h, s->a.name, s->a.type, &want, out, &e), &e);
    good(h5_close(h, &e), &e);
}

static void bench_read(const char *set, int threads)
{
    Err e = { 0 };
    Index *x = index_open(set, &e);
    good(x, &e);
    int64_t most = 0, bytes = 0;
    for (int i = 0; i < x->n; i++) {
        const Share s = share_of(x, i);
        most = max64(most, (s.rows + x->shard[i].per[SHARD_PIXELS]) * s.row_bytes);         /* a chunk's last rows may be unused */
        bytes += x->shard[i].split == SPLIT_TRAIN ? x->shard[i].images * s.row_bytes : 0;
    }
    uint8_t *out[2] = { memory(most, 1), memory(most, 1) };
    double best[2] = { 1e30, 1e30 }, before = load();
    for (int r = 0; r <= ROUNDS; r++) {
        double t[2] = { 0 };
        for (int i = 0; i < x->n && x->shard[i].split == SPLIT_TRAIN; i++) {
            const Share s = share_of(x, i);
            for (int way = 0; way < 2; way++) {
                MPI_Barrier(MPI_COMM_WORLD);
                const double start = now();
                if (way)
                    by_hdf5(x, i, &s, out[way]);
                else
                    by_frames(x, i, &s, threads, out[way]);
                MPI_Barrier(MPI_COMM_WORLD);
                t[way] += now() - start;
            }
            CHECK(!memcmp(out[0], out[1], (size_t)(s.rows * s.row_bytes)), "%s: the two ways read different bytes", s.path);
        }
        for (int way = 0; way < 2 && r; way++)                  /* the first round fills the page cache */
            best[way] = t[way] < best[way] ? t[way] : best[way];
    }
    if (rank == 0) {
        printf("%.2f GB of stored pixels, unpacked; %d rank%s; load %.1f before, %.1f after; bytes equal\n", (double)bytes * 1e-9, ranks,
               ranks > 1 ? "s" : "", before, load());
        printf("pread, XXH64, zstd, %d thread%s a rank  %6.2f GB/s\n", threads, threads > 1 ? "s" : "", (double)bytes / best[0] * 1e-9);
        printf("collective H5Dread                   %6.2f GB/s\n", (double)bytes / best[1] * 1e-9);
    }
    free(out[0]);
    free(out[1]);
    index_close(x);
}

/* ---- describe ---- */

enum { SIDE = 384, PATCH = 16, DEPTH = 8, PICTURE = 180000 /* bytes of a stored picture */, CODES = 4000 /* and of its codes */ };

static void pieces(Index *x, IndexShard *s, int k, int64_t rows, int64_t per, int64_t size, int64_t *at)
{
    s->per[k] = min64(per, rows);
    s->chunks[k] = ceil_div(rows, s->per[k]);
    for (int64_t c = 0; c < s->chunks[k]; c++) {
        const uint64_t draw = rng_bits(2, (uint64_t)k, (uint64_t)*at);
        const IndexPiece p = { *at, size / 2 + (int64_t)(draw % (uint64_t)size), draw };
        index_append(x, &p, sizeof p);
        s->max_stored = max64(s->max_stored, p.size);
        *at += p.size;
    }
}

static void describe_shard(Index *x, int64_t number, int64_t samples)
{
    char name[INDEX_NAME];
    int64_t *start[2] = { memory(samples + 1, 8), memory(samples + 1, 8) }, at = 4096;
    IndexShard s = { .split = SPLIT_TRAIN, .samples = samples, .images = samples, .rest = 2, .tables = x->used, .max_images = 1 };
    for (int64_t i = 0; i < samples; i++) {
        const int64_t tokens = 100 + rng_below(401, 1, (uint64_t)number, (uint64_t)i);
        start[0][i + 1] = i + 1;
        start[1][i + 1] = start[1][i] + tokens;
        s.max_tokens = max64(s.max_tokens, tokens);
    }
    s.tokens = start[1][samples];
    const int64_t patches = (SIDE / PATCH) * (SIDE / PATCH);
    pieces(x, &s, SHARD_PIXELS, samples, 1, PICTURE, &at);
    pieces(x, &s, SHARD_CODES, samples, (32 << 10) / (patches * DEPTH * 2), CODES, &at);
    pieces(x, &s, SHARD_IMAGE_START, samples + 1, 4096, 4000, &at);
    pieces(x, &s, SHARD_TOKENS, s.tokens, 4096, 8000, &at);
    pieces(x, &s, SHARD_LABELS, s.tokens, 4096, 6000, &at);
    pieces(x, &s, SHARD_TOKEN_START, samples + 1, 4096, 6000, &at);
    const IndexPiece rest[2] = { { 0, 4096, 1 }, { at, 4096, 2 } };
    index_append(x, rest, sizeof rest);
    index_append(x, start[0], (samples + 1) * 8);
    index_append(x, start[1], (samples + 1) * 8);
    s.bytes = at + 4096;
    s.fingerprint_at = at;
    s.fingerprint = s.stored = rng_bits(3, 0, (uint64_t)number);
    snprintf(name, sizeof name, "train-%05lld-%016llx.h5", (long long)number, (unsigned long long)s.stored);
    CHECK((s.name = strdup(name)), "no memory for a name");
    x->shard[x->n++] = s;
    free(start[0]);
    free(start[1]);
}

static void describe(const char *dir, int64_t samples, int64_t shards)
{
    Err e = { 0 };
    char path[4096];
    good(path_set(path, &e, "%s/index.set", dir) && dir_make(dir, &e), &e);
    Index *x = index_new(path);
    x->meta = (ShardMeta){ .image = SIDE, .patch = PATCH, .scales = 1, .depth = DEPTH, .store = STORE_DELTA, .codes_model = 1,
                           .template_ = "v1", .source = "described" };
    x->shard = memory(shards, sizeof *x->shard);
    for (int64_t i = 0; i < shards; i++)
        describe_shard(x, i, samples * (i + 1) / shards - samples * i / shards);
    x->kinds[SPLIT_TRAIN][1] = samples;
    good(index_write(x, &e), &e);
    printf("%s: %lld samples in %lld shards, %016llx\n", path, (long long)samples, (long long)shards, (unsigned long long)x->hash);
    index_close(x);
}

/* ---- open ---- */

/* A line "NAME:  123 kB" of a file of /proc, in MiB; -1 without it. */
static double mebibytes(const char *file, const char *name)
{
    char line[256];
    double kib = -1024;
    FILE *f = fopen(file, "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name)))
            kib = strtod(line + strlen(name), NULL);
    if (f)
        fclose(f);
    return kib / 1024;
}

static void look_up(const Index *x)
{
    static const int which[] = { SHARD_TOKENS, SHARD_LABELS, SHARD_PIXELS, SHARD_CODES };
    Err e = { 0 };
    IndexReader *r = index_reader_open();
    for (uint64_t n = 0; n < LOOKUPS; n++) {
        const int i = (int)rng_below(x->n, 4, (uint64_t)rank, 2 * n);
        const IndexShard *s = &x->shard[i];
        const int64_t sample = rng_below(s->samples, 4, (uint64_t)rank, 2 * n + 1);
        int64_t row[2][2];
        H5Chunk where;
        for (int k = 0; k < 2; k++)
            good(index_read(r, x, index_starts(s, k) + sample * 8, row[k], 16, &e), &e);
        for (int k = 0; k < 4; k++)
            good(!s->chunks[which[k]] || index_chunk(r, x, i, which[k], row[k < 2][0] / s->per[which[k]], &where, &e), &e);
    }
    index_reader_close(r);
}

static void print_range(const char *what, double x, int digits, const char *unit)
{
    const double least = over_ranks(x, MPI_MIN), most = over_ranks(x, MPI_MAX);
    if (rank == 0)
        printf("%-34s %8.*f to %.*f %s\n", what, digits, least, digits, most, unit);
}

static void bench_open(const char *path, bool cold)
{
    Err e = { 0 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0, "%s: %m", path);
    const double bytes = (double)lseek(fd, 0, SEEK_END), before = load();
    if (cold && rank == 0)
        CHECK(!fsync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "%s does not leave the page cache", path);
    close(fd);
    MPI_Barrier(MPI_COMM_WORLD);
    const double rss = mebibytes("/proc/self/status", "VmRSS:"), pss = mebibytes("/proc/self/smaps_rollup", "Pss:");
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = now();
    Index *x = index_open(path, &e);
    good(x, &e);
    const double opened = now();
    look_up(x);
    const double done = now();
    MPI_Barrier(MPI_COMM_WORLD);
    const double rss_after = mebibytes("/proc/self/status", "VmRSS:"), pss_after = mebibytes("/proc/self/smaps_rollup", "Pss:");
    if (rank == 0)
        printf("%lld samples in %d shards, index of %.1f MB, %s; %d ranks; load %.1f\n", (long long)x->meta.samples, x->n, bytes * 1e-6,
               cold ? "dropped from the page cache" : "page cache as it was", ranks, before);
    print_range("open", 1e3 * (opened - start), 1, "ms");
    print_range("look up 1000 random samples", 1e3 * (done - opened), 1, "ms");
    print_range("both", 1e3 * (done - start), 1, "ms");
    print_range("VmRSS before", rss, 2, "MiB");
    print_range("VmRSS after - before", rss_after - rss, 2, "MiB");
    print_range("Pss before", pss, 2, "MiB");
    print_range("Pss after - before", pss_after - pss, 2, "MiB");
    index_close(x);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "";
    const int threads = argc > 3 ? atoi(argv[3]) : 1, micro_batch = argc > 4 ? atoi(argv[4]) : 8;
    h5_environment();
    int got;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &got);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int code = EXIT_DONE;
    if (!strcmp(mode, "loader") && threads > 0 && micro_batch > 0)
        bench_loader(argv[2], threads, micro_batch);
    else if (!strcmp(mode, "read") && threads > 0)
        bench_read(argv[2], threads);
    else if (!strcmp(mode, "describe") && ranks == 1 && argc > 4 && atoll(argv[4]) > 0 && atoll(argv[3]) >= atoll(argv[4]))
        describe(argv[2], atoll(argv[3]), atoll(argv[4]));
    else if (!strcmp(mode, "open"))
        bench_open(argv[2], argc > 3 && !strcmp(argv[3], "cold"));
    else
        code = EXIT_USAGE;
    if (code && rank == 0)
        fprintf(stderr, "usage: bench_set loader SET [threads [micro_batch]] | read SET [threads] | describe DIR SAMPLES SHARDS | open SET [cold]\n");
    MPI_Finalize();
    return code;
}
