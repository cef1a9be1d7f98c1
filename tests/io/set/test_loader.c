/* test_loader -- the stream does not depend on the number of replicas, nor on where it was taken up again */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "io/h5/h5.h"
#include "io/set/loader.h"
#include "io/set/order.h"
#include "tests/io/set/sample_shard.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { N = 96 };

static char dir[256];

static void good(bool ok, const Err *e)
{
    if (!ok)
        fail_msg("%s (%s; expected %s, got %s)", e->what, e->where, e->expected, e->got);
}

static const char *file(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/a.h5", dir);
    return path;
}

/* Each rank works for itself, on its own file. */
static Shards *drawn(void)
{
    Err e = { 0 };
    ShardMeta m = drawn_meta(false);
    ShardPart p = drawn_part(0, N);
    good(shard_write(MPI_COMM_SELF, file(), &m, &p, &e), &e);
    part_free(&p);
    Shards *s = shards_glob(file(), SPLIT_TRAIN, &e);
    good(s, &e);
    return s;
}

static LoaderConf conf(int rank, int size)
{
    return (LoaderConf){ .seed = 3, .dp_rank = rank, .dp_size = size, .micro_batch = 4, .global_batch = 32,
                         .max_len = 1 << 20, .P = T_P, .ring = 2, .vocab = T_VOCAB, .codebook = T_CODES };
}

static uint64_t digest(const Batch *b)
{
    const size_t images = (size_t)b->I, n = (size_t)b->B;
    const struct { const void *at; size_t bytes; } part[] = {
        { b->tokens, (size_t)b->M * 4 }, { b->labels, (size_t)b->M * 4 }, { b->token_start, (n + 1) * 4 },
        { b->image_start, (n + 1) * 4 }, { b->pixels, images * T_IMAGE * T_IMAGE * 3 },
        { b->codes, images * T_P * T_DEPTH * 2 }, { b->sample, n * 8 },
    };
    uint64_t h = (uint64_t)b->M;
    for (size_t k = 0; k < sizeof part / sizeof *part; k++)
        h = XXH64(part[k].at, part[k].bytes, h);
    return h;
}

/* The digests of `steps` steps' micro-batches in global order, from all replicas. */
static void stream(const Shards *s, int dp, int64_t first, int steps, uint64_t out[])
{
    for (int rank = 0; rank < dp; rank++) {
        Err e = { 0 };
        LoaderConf c = conf(rank, dp);
        c.first_step = first;
        c.ring = 2 + rank;
        c.threads = 1 + rank % 4;
        const int all = c.global_batch / c.micro_batch, A = all / dp;
        Loader *l = loader_open(s, &c, &e);
        good(l, &e);
        for (int t = 0; t < steps; t++) {
            const StepData *d = loader_next(l, &e);
            good(d, &e);
            assert_int_equal(d->n, A);
            assert_int_equal(d->bad, 0);
            assert_true(d->waited >= 0);
            for (int a = 0; a < A; a++)
                out[t * all + rank * A + a] = digest(&d->batch[a]);
        }
        loader_close(l);
    }
}

static void test_replicas_and_resume(void **state)
{
    (void)state;
    enum { STEPS = 7, PER = 8 };
    Shards *s = drawn();
    uint64_t one[STEPS * PER], other[STEPS * PER];
    stream(s, 1, 0, STEPS, one);
    for (int dp = 2; dp <= 8; dp *= 2) {
        stream(s, dp, 0, STEPS, other);
        assert_memory_equal(one, other, sizeof one);
    }
    for (int first = 1; first < STEPS; first++) {
        stream(s, 1 + first % 2, first, STEPS - first, other);
        assert_memory_equal(one + first * PER, other, sizeof *one * (size_t)((STEPS - first) * PER));
    }
    shards_close(s);
}

/* Is sequence b the drawn sample that its id says, with at most max_len merged rows? */
static void check_sequence(const Batch *b, int q, int max_len)
{
    ShardPart p = drawn_part(b->sample[q], 1);
    int64_t rows = 0, n = 0;
    int images = 0;
    while (n < p.tokens && rows < max_len) {
        bool image = p.tokens_[n++] == IMAGE_TOKEN;
        rows += image ? T_P : 1;
        images += image;
    }
    const int32_t t = b->token_start[q], i = b->image_start[q];
    assert_int_equal(b->token_start[q + 1] - t, n);
    assert_int_equal(b->image_start[q + 1] - i, images);
    assert_memory_equal(b->tokens + t, p.tokens_, (size_t)n * 4);
    assert_memory_equal(b->labels + t, p.labels, (size_t)n * 4);
    const int64_t pixels = T_IMAGE * T_IMAGE * 3, codes = T_P * T_DEPTH;
    if (images) {
        assert_memory_equal(b->pixels + i * pixels, p.pixels, (size_t)(images * pixels));
        assert_memory_equal(b->codes + i * codes, p.codes, (size_t)(images * codes) * 2);
    }
    part_free(&p);
}

/* Three steps of 32 are one epoch of 96. */
static void test_each_once_and_cut(void **state)
{
    (void)state;
    Shards *s = drawn();
    const int lengths[] = { 1 << 20, 40, 17, 5, 1 };
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++)
        for (int dp = 1; dp <= 4; dp *= 2) {
            int seen[N] = { 0 };
            for (int rank = 0; rank < dp; rank++) {
                Err e = { 0 };
                LoaderConf c = conf(rank, dp);
                c.max_len = lengths[k];
                Loader *l = loader_open(s, &c, &e);
                good(l, &e);
                for (int64_t step = 0; step < 3; step++) {
                    const StepData *d = loader_next(l, &e);
                    good(d, &e);
                    for (int a = 0; a < d->n; a++) {
                        const Batch *b = &d->batch[a];
                        int64_t at = step * 32 + ((int64_t)rank * d->n + a) * 4;
                        assert_int_equal(b->B, 4);
                        assert_int_equal(b->M, b->token_start[4]);
                        assert_int_equal(b->I, b->image_start[4]);
                        for (int q = 0; q < b->B; q++) {
                            assert_int_equal(b->sample[q], order_sample(N, 3, at + q));
                            seen[b->sample[q]]++;
                            check_sequence(b, q, lengths[k]);
                        }
                    }
                }
                loader_close(l);
            }
            for (int i = 0; i < N; i++)
                assert_int_equal(seen[i], 1);
        }
    shards_close(s);
}

/* The first chunk of pixels is damaged behind the catalogue's back. */
static void damage(void)
{
    Err e = { 0 };
    H5Chunk *chunk = NULL;
    int64_t n = 0;
    H5 *h = h5_open(MPI_COMM_NULL, file(), &e);
    good(h && h5_hash_read(h, "hash", &chunk, &n, 1000, &e) && h5_close(h, &e), &e);
    assert_string_equal(chunk[0].dataset, "pixels");
    int fd = open(file(), O_RDWR);
    for (int64_t c = 0; c < n && !strcmp(chunk[c].dataset, "pixels"); c++)
        assert_int_equal(pwrite(fd, "\x5a\x5a\x5a\x5a", 4, chunk[c].offset + chunk[c].size / 2), 4);
    close(fd);
    free(chunk);
}

static void test_bad_samples(void **state)
{
    (void)state;
    Shards *s = drawn();
    damage();
    Err e = { 0 }, bad = { 0 }, still = { 0 };
    LoaderConf c = conf(0, 1);
    Loader *l = loader_open(s, &c, &e);
    good(l, &e);
    assert_null(loader_next(l, &bad));
    assert_int_equal(bad.code, EXIT_DATA);
    assert_non_null(strstr(bad.where, "byte offset"));
    assert_null(loader_next(l, &still));
    loader_close(l);

    c.skip_bad = true;
    l = loader_open(s, &c, &e);
    good(l, &e);
    int64_t skipped = 0, with_images = 0;
    for (int step = 0; step < 3; step++) {
        const StepData *d = loader_next(l, &e);
        good(d, &e);
        int64_t here = 0;
        for (int a = 0; a < d->n; a++)
            for (int q = 0; q < d->batch[a].B; q++) {
                const Batch *b = &d->batch[a];
                const int32_t t = b->token_start[q];
                if (drawn_images(b->sample[q]) == 0) {
                    check_sequence(b, q, 1 << 20);
                    continue;
                }
                assert_int_equal(b->token_start[q + 1] - t, 1);
                assert_int_equal(b->image_start[q + 1], b->image_start[q]);
                assert_int_equal(b->tokens[t], 1);
                assert_int_equal(b->labels[t], IGNORE);
                assert_int_equal(d->bad_sample[here].why.code, EXIT_DATA);
                assert_int_equal(d->bad_sample[here++].id, b->sample[q]);
            }
        assert_int_equal(d->bad, here);
        skipped += here;
    }
    for (int i = 0; i < N; i++)
        with_images += drawn_images(i) > 0;
    assert_int_equal(skipped, with_images);
    loader_close(l);
    shards_close(s);
}

static void test_wrong_sizes(void **state)
{
    (void)state;
    Shards *s = drawn();
    Err e = { 0 }, huge = { 0 };
    LoaderConf c = conf(0, 3);
    assert_null(loader_open(s, &c, &e));
    assert_int_equal(e.code, EXIT_CONFIG);
    c = conf(0, 1);
    c.micro_batch = c.global_batch = INT32_MAX;
    assert_null(loader_open(s, &c, &huge));
    assert_int_equal(huge.code, EXIT_CONFIG);
    shards_close(s);
}

/* Closing while the thread waits, or works, or before anything was taken. */
static void test_close_any_time(void **state)
{
    (void)state;
    Shards *s = drawn();
    for (int taken = 0; taken < 40; taken++) {
        Err e = { 0 };
        LoaderConf c = conf(0, 1);
        Loader *l = loader_open(s, &c, &e);
        good(l, &e);
        for (int k = 0; k < taken % 4; k++)
            good(loader_next(l, &e), &e);
        loader_close(l);
    }
    shards_close(s);
}

int main(int argc, char **argv)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    h5_environment();
    MPI_Init(&argc, &argv);
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/asvr-loader-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir))
        MPI_Abort(MPI_COMM_WORLD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replicas_and_resume), cmocka_unit_test(test_each_once_and_cut),
        cmocka_unit_test(test_bad_samples),         cmocka_unit_test(test_wrong_sizes),
        cmocka_unit_test(test_close_any_time),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file());
    if (rmdir(dir))
        perror(dir);
    MPI_Finalize();
    return failed != 0;
}
