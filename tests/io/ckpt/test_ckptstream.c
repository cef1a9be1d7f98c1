/*
 * A streamed checkpoint is the bytes of a saved one; each element is asked for once, by one rank; what fails leaves nothing.
 * Run with 1, 2 and 4 ranks.
 */
#include "tests/io/ckpt/ckpt_case.h"

#include <time.h>
#include <unistd.h>

#include "io/ckpt/ckptstream.h"

static int asked[TENSORS][640];                 /* rows */
static int fail_at;                             /* the tensor that cannot be read; -1: none */

static bool rows(void *with, int i, int64_t row, int64_t n, float *x, Err *e)
{
    const int64_t cols = TABLE[i].dims == 1 ? 1 : TABLE[i].size[1], *step = with;
    if (i == fail_at)
        return err_set(e, EXIT_DATA, TABLE[i].name, "", "cannot be read");
    for (int64_t k = 0; k < n; k++) {
        asked[i][row + k]++;
        for (int64_t c = 0; c < cols; c++)
            x[k * cols + c] = value(i, (row + k) * cols + c, *step);
    }
    return true;
}

static bool stream(int64_t step, Err *e)
{
    Piece p[TENSORS];
    const CkptMeta meta = { .step = step, .seed = 1, .dp = 1, .tp = 1, .stage = "import" };
    for (int i = 0; i < TENSORS; i++)
        p[i] = (Piece){ TABLE[i].name, slice_whole(TABLE[i].dims, TABLE[i].size), NULL, false };
    memset(asked, 0, sizeof asked);
    return ckpt_stream(MPI_COMM_WORLD, dir, &meta, p, TENSORS, rows, &step, e);
}

static void the_same_bytes(void **state)
{
    char path[256], *a, *b;
    size_t n, m;
    Err e = { 0 };
    (void)state;
    fail_at = -1;
    save(7, 0);
    snprintf(path, sizeof path, "%s/step-00000007/tensors.h5", dir);
    assert_true(file_read(path, 64 << 20, &a, &n, &e));
    const CkptMeta want = meta_of(7);
    for (const time_t then = time(NULL); time(NULL) == then; )      /* no byte says when */
        usleep(10000);
    sync_ranks();
    assert_true(stream(7, &e));                                     /* in place of the saved one */
    assert_true(file_read(path, 64 << 20, &b, &m, &e));
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    Ckpt *c = ckpt_open(MPI_COMM_WORLD, ((void)(path[strlen(path) - strlen("/tensors.h5")] = 0), path), &e);
    assert_non_null(c);
    assert_int_equal(ckpt_meta(c)->fingerprint, want.fingerprint);
    assert_int_equal(ckpt_meta(c)->moments, want.moments);
    assert_true(ckpt_verify(c, &e));
    ckpt_close(c);
    MPI_Allreduce(MPI_IN_PLACE, asked, TENSORS * 640, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    for (int i = 0; i < TENSORS; i++)
        for (int r = 0; r < 640; r++)
            assert_int_equal(asked[i][r], r < TABLE[i].size[0]);
    assert_int_equal(entries(".tmp-"), 0);
    free(a);
    free(b);
}

static void a_failure_leaves_nothing(void **state)
{
    (void)state;
    for (fail_at = 0; fail_at < TENSORS; fail_at++) {
        Err e = { 0 };
        assert_false(stream(9, &e));
        assert_int_equal(e.code, EXIT_DATA);
        sync_ranks();
        assert_int_equal(entries("step-") + entries(".tmp-") + entries("latest"), 0);
        sync_ranks();
    }
}

static int tests(void)
{
    const struct CMUnitTest list[] = { TEST(the_same_bytes), TEST(a_failure_leaves_nothing) };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return run_all(&argc, &argv, tests);
}
