/*
 * Saving while the caller goes on: what is committed is what was there at the start, whatever is done to it meanwhile; who
 * writes how much; what is put together from several ranks; a save that fails, and one that lost its run.
 * Run with 1, 2 and 4 ranks.
 */
#include "tests/io/ckpt/ckpt_case.h"

#include "core/bits.h"
#include "core/rng.h"
#include "io/ckpt/saveplan.h"
#include "io/ckpt/saver.h"

static void advance_to_the_end(Saver *s, Err *e)
{
    while (saver_busy(s, SAVER_RUN)) {
        int mine = saver_ready(s, SAVER_RUN), all;
        MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        if (all == size && !saver_advance(s, SAVER_RUN, e))
            return;
        usleep(200);
    }
}

/* The fingerprints by the definition, from whole arrays. */
static void fingerprints(int64_t step, uint64_t *weights, uint64_t *rest)
{
    *weights = *rest = 0;
    for (int i = 0; i < TENSORS; i++) {
        const bool w = !strncmp(TABLE[i].name, "weights/", 8);
        const uint64_t stream = rng_stream(TABLE[i].name + (w ? 8 : 0));
        for (int64_t g = 0; g < TABLE[i].size[0] * (TABLE[i].dims > 1 ? TABLE[i].size[1] : 1); g++) {
            const float x = value(i, g, step);
            uint32_t bits;
            memcpy(&bits, &x, sizeof bits);
            *(w ? weights : rest) += rng_bits(bits, stream, (uint64_t)g);
        }
    }
}

static void saves_what_was_there_at_the_start(void **state)
{
    (void)state;
    for (int dim = 0; dim < 2; dim++) {
        Err e = {0};
        Model m = model_new(rank, size, dim), back;
        Saver *s = saver_open(MPI_COMM_WORLD, dir, m.p, TENSORS, &(SaverConf){ .async = true }, &e);
        assert_non_null(s);
        for (int64_t step = 1; step <= 3; step++) {
            CkptMeta meta = meta_of(10 * dim + step);
            Ckpt *got;
            uint64_t weights, rest;
            model_visit(&m, step, true);
            assert_true(saver_start(s, &meta, &e));
            assert_int_equal(saver_saving(s, SAVER_RUN), meta.step);
            model_visit(&m, step + 100, true);          /* training goes on */
            advance_to_the_end(s, &e);
            assert_int_equal(e.code, 0);
            assert_int_equal(saver_saved(s, SAVER_RUN), meta.step);
            assert_true(ckpt_choose(MPI_COMM_WORLD, dir, NULL, NULL, &got, &e));
            assert_int_equal(ckpt_meta(got)->step, meta.step);
            fingerprints(step, &weights, &rest);
            assert_true(ckpt_meta(got)->fingerprint == weights && ckpt_meta(got)->moments == rest);
            back = model_new(rank, size, 1 - dim);
            assert_true(ckpt_fill(got, back.p, TENSORS, CKPT_WHOLE, &e));
            ckpt_close(got);
            assert_true(model_visit(&back, step, false));
            model_free(&back);
        }
        saver_close(s);
        model_free(&m);
    }
    assert_int_equal(warnings, 0);
}

/* All of a tensor on every rank: each writes its share, and together all of it. */
static void replicas_share_the_writing(void **state)
{
    (void)state;
    Err e = {0};
    Model m = model_new(0, 1, 0);
    Saver *s = saver_open(MPI_COMM_WORLD, dir, m.p, TENSORS, &(SaverConf){ 0 }, &e);
    assert_non_null(s);
    int64_t mine = saver_written(s), all, total = 0;
    for (int i = 0; i < TENSORS; i++)
        total += 4 * TABLE[i].size[0] * (TABLE[i].dims > 1 ? TABLE[i].size[1] : 1);
    MPI_Allreduce(&mine, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    assert_int_equal(all, total);
    assert_true(llabs(mine - total / size) < 4096);
    saver_close(s);
    model_free(&m);
}

/* Columns: no rank writes less than whole rows. */
static void narrow_columns_are_written_as_whole_rows(void **state)
{
    (void)state;
    Err e = {0};
    SavePlan p;
    Model m = model_new(rank, size, 1);
    assert_true(saveplan_open(&p, MPI_COMM_WORLD, m.p, TENSORS, &e));
    for (int i = 0; i < p.parts; i++)
        for (int d = 1; d < p.part[i].slice.dims; d++)
            assert_int_equal(slice_extent(&p.part[i].slice, d), p.part[i].slice.size[d]);
    assert_int_equal(p.recvs > 0, size > 1);
    saveplan_close(&p);
    model_free(&m);
}

static void pieces_must_cover_a_tensor_once(void **state)
{
    (void)state;
    const int64_t shape[] = { 8, 8 };
    const Slice whole = slice_whole(2, shape);
    float data[64];
    SavePlan p;
    Err e = {0};
    Piece hole = { "weights/x", slice_range(whole, 0, 0, 7), data, true };
    assert_false(saveplan_open(&p, MPI_COMM_WORLD, &hole, 1, &e));
    assert_int_equal(e.code, EXIT_INTERNAL);
    saveplan_close(&p);
    if (size == 1)
        return;
    /* as many elements as there are, but some twice and some never */
    e = (Err){0};
    const Slice box = rank == 0 ? slice_range(whole, 0, 0, 4) : slice_range(whole, 0, 1, 4);
    Piece twice = { "weights/x", rank < 2 ? box : slice_range(whole, 0, 0, 0), data, true };
    assert_false(saveplan_open(&p, MPI_COMM_WORLD, &twice, 1, &e));
    assert_non_null(strstr(e.got, "twice"));
    saveplan_close(&p);
}

/* Elements [from, to) of rows of `wide`, the first of them column `col` of the tensor, as three boxes: an end, rows, a beginning. */
static void boxes(Slice out[3], Slice whole, int64_t col, int64_t wide, int64_t from, int64_t to)
{
    const int64_t first = min64(to, ceil_div(from, wide) * wide), last = max64(first, to / wide * wide);
    out[0] = slice_range(slice_range(whole, 0, from / wide, first > from), 1, col + from % wide, first - from);
    out[1] = slice_range(slice_range(whole, 0, first / wide, (last - first) / wide), 1, col, wide);
    out[2] = slice_range(slice_range(whole, 0, last / wide, to > last), 1, col + last % wide, to - last);
}

/* Ranges that begin and end within rows: of whole rows, and of halves of columns, each on half of the ranks. */
static void ranges_of_elements_are_boxes(void **state)
{
    (void)state;
    enum { ROWS = 37, COLS = 250 };
    for (int halves = 1; halves <= (size % 2 ? 1 : 2); halves++) {
        const Slice whole = slice_whole(2, (int64_t[]){ ROWS, COLS });
        const int64_t wide = COLS / halves, n = ROWS * wide, of = size / halves, k = rank / halves;
        Slice s[3];
        Piece p[4];
        Err e = {0};
        boxes(s, whole, rank % halves * wide, wide, n * k / of, n * (k + 1) / of);
        static float data[ROWS * COLS], other[8], back[ROWS * COLS];
        float *at = data;
        SliceRun r;
        for (int i = 0; i < 3; at += slice_total(&s[i++])) {
            p[i] = (Piece){ "m/x", s[i], at, true };
            for (int64_t j = 0; slice_run(&s[i], j, &r); j++)
                for (int64_t x = 0; x < r.n; x++)
                    at[r.here + x] = (float)(r.at + x);
        }
        p[3] = (Piece){ "v/y", slice_whole(1, (int64_t[]){ 8 }), other, rank == 0 };
        CkptMeta meta = meta_of(100 + halves);
        assert_true(ckpt_save(MPI_COMM_WORLD, dir, &meta, p, 4, 0, &e));
        Ckpt *got;
        assert_true(ckpt_choose(MPI_COMM_WORLD, dir, NULL, NULL, &got, &e));
        assert_true(ckpt_fill(got, &(Piece){ "m/x", whole, back, true }, 1, CKPT_WHOLE, &e));
        for (int i = 0; i < ROWS * COLS; i++)
            assert_true(back[i] == (float)i);
        static float again[ROWS * COLS];
        for (int i = 0; i < 3; i++)
            p[i].data = again + (p[i].data - data);
        assert_true(ckpt_fill(got, p, 3, CKPT_WHOLE, &e));
        assert_memory_equal(again, data, (size_t)(at - data) * sizeof *data);
        ckpt_close(got);
    }
}

static bool lost;
static bool still_ours(void *owner, Err *e)
{
    (void)owner;
    return !lost || err_set(e, EXIT_CONFIG, dir, "", "somebody else has the run");
}

static void who_lost_the_run_changes_nothing(void **state)
{
    (void)state;
    Err e = {0};
    Model m = model_new(rank, size, 0);
    Saver *s = saver_open(MPI_COMM_WORLD, dir, m.p, TENSORS, &(SaverConf){ .keep = 1, .async = true, .tag = "life1", .may = still_ours }, &e);
    CkptMeta meta = meta_of(10);
    lost = false;
    assert_true(saver_start(s, &meta, &e) && saver_finish(s, SAVER_RUN, &e));
    meta.step = 20;
    assert_true(saver_start(s, &meta, &e));
    sync_ranks();
    if (rank == 0)
        assert_int_equal(entries(".tmp-life1-step-00000020") <= 1, 1);
    lost = true;
    assert_false(saver_finish(s, SAVER_RUN, &e));
    assert_int_equal(e.code, EXIT_CONFIG);
    assert_false(saver_busy(s, SAVER_RUN));
    sync_ranks();
    assert_int_equal(newest_step(), 10);
    assert_int_equal(entries("step-"), 1);
    assert_int_equal(entries(".tmp-"), 0);
    sync_ranks();
    lost = false;                                       /* and the saver can go on */
    e = (Err){0};
    meta.step = 30;
    assert_true(saver_start(s, &meta, &e) && saver_finish(s, SAVER_RUN, &e));
    sync_ranks();
    assert_int_equal(newest_step(), 30);
    saver_close(s);
    model_free(&m);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        TEST(saves_what_was_there_at_the_start), TEST(replicas_share_the_writing), TEST(narrow_columns_are_written_as_whole_rows),
        TEST(ranges_of_elements_are_boxes), TEST(pieces_must_cover_a_tensor_once), TEST(who_lost_the_run_changes_nothing),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return run_all(&argc, &argv, tests);
}
