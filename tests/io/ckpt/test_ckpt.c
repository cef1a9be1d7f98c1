/*
 * Checkpoints: saved on one number of ranks and loaded on another; damaged, cut, missing, of another model or format.
 * Run with 1, 2 and 4 ranks.
 */
#include "tests/io/ckpt/ckpt_case.h"

#include <xxhash.h>

#include "core/rng.h"
#include "io/ckpt/layout.h"
#include "io/ckpt/tensors.h"

static void reshards(void **state)
{
    (void)state;
    for (int writers = 1; writers <= size; writers *= 2)
        for (int dim = 0; dim < 2; dim++) {
            MPI_Comm some;
            int64_t step = writers * 10 + dim;
            Err e = {0};
            MPI_Comm_split(MPI_COMM_WORLD, rank < writers, rank, &some);
            if (rank < writers)
                assert_true(save_on(some, step, dim, 0, &e));
            MPI_Comm_free(&some);
            sync_ranks();
            for (int readers = 1; readers <= size; readers *= 2)
                for (int along = 0; along < 2; along++) {
                    MPI_Comm_split(MPI_COMM_WORLD, rank < readers, rank, &some);
                    if (rank < readers) {
                        Ckpt *c;
                        CkptMeta want = meta_of(step);
                        Model m = model_new(rank, readers, along);
                        assert_true(ckpt_choose(some, dir, NULL, NULL, &c, &e));
                        assert_true(ckpt_fill(c, m.p, TENSORS, CKPT_WANTED, &e));
                        want.fingerprint = ckpt_meta(c)->fingerprint, want.moments = ckpt_meta(c)->moments;     /* ckpt_verify, below */
                        assert_memory_equal(ckpt_meta(c), &want, sizeof want);
                        assert_true(ckpt_verify(c, &e));
                        ckpt_close(c);
                        assert_true(model_visit(&m, step, false));
                        assert_false(model_visit(&m, step + 1, false));
                        model_free(&m);
                    }
                    MPI_Comm_free(&some);
                }
        }
    assert_int_equal(warnings, 0);
}

static void no_checkpoint_is_a_fresh_start(void **state)
{
    (void)state;
    assert_int_equal(newest_step(), -1);        /* no folder */
    Err e = {0};
    if (rank == 0)
        assert_true(dir_make(dir, &e));
    sync_ranks();
    assert_int_equal(newest_step(), -1);        /* an empty one */
    if (rank == 0) {
        char path[256];
        snprintf(path, sizeof path, "%s/latest", dir);
        assert_true(file_replace(path, "step-00000010\n", 14, &e));
    }
    sync_ranks();
    assert_int_equal(newest(&e), -2);           /* one whose checkpoints were lost */
    assert_int_equal(e.code, EXIT_IO);
}

static void keeps_the_newest(void **state)
{
    (void)state;
    for (int step = 1; step <= 5; step++)
        save(step * 10, 2);
    sync_ranks();
    assert_int_equal(entries("step-"), 2);
    assert_int_equal(entries(".tmp-"), 0);
    assert_int_equal(newest_step(), 50);
    char path[256], *text;
    size_t n;
    Err e = {0};
    snprintf(path, sizeof path, "%s/latest", dir);
    assert_true(file_read(path, 100, &text, &n, &e));
    assert_string_equal(text, "step-00000050\n");
    free(text);
    /* An invalid one does not count: 50 is lost, so 60 and 40 stay. */
    sync_ranks();
    if (rank == 0)
        truncate(in_step(50, TENSORS_NAME), 0);
    sync_ranks();
    save(60, 2);
    sync_ranks();
    assert_int_equal(entries("step-"), 3);
    assert_int_equal(access(in_step(40, ""), F_OK), 0);
    save(70, 2);
    sync_ranks();
    assert_int_equal(entries("step-"), 2);
}

static void any_flipped_bit_is_found(void **state)
{
    (void)state;
    save(10, 0);
    save(20, 0);
    assert_int_equal(newest_step(), 20);
    static const char *const file[] = { TENSORS_NAME, MANIFEST_NAME };
    for (int f = 0; f < 2; f++) {
        char path[256];
        snprintf(path, sizeof path, "%s", in_step(20, file[f]));
        int64_t bits = bytes_of(path) * 8;
        for (int i = 0; i < 200; i++) {
            /* a quarter of them among the first bytes, where HDF5 and the manifest keep what matters most */
            int64_t bit = rng_below(i % 4 ? bits : 8 * 512, 1, (uint64_t)f, (uint64_t)i);
            flip(path, bit);
            assert_int_equal(newest_step(), 10);
            flip(path, bit);
        }
    }
    assert_int_equal(warnings, rank == 0 ? 400 : 0);
    assert_int_equal(newest_step(), 20);
}

static void any_truncation_is_found(void **state)
{
    (void)state;
    save(10, 0);
    save(20, 0);
    static const char *const file[] = { TENSORS_NAME, MANIFEST_NAME };
    for (int f = 0; f < 2; f++) {
        char path[256];
        snprintf(path, sizeof path, "%s", in_step(20, file[f]));
        int64_t n = bytes_of(path);
        int64_t cut[] = { n - 1, n / 2, 0 };
        for (int i = 0; i < 3; i++) {
            sync_ranks();
            if (rank == 0)
                assert_int_equal(truncate(path, cut[i]), 0);
            sync_ranks();
            assert_int_equal(newest_step(), 10);
        }
        sync_ranks();
        if (rank == 0)
            unlink(path);
        sync_ranks();
        assert_int_equal(newest_step(), 10);
        save(20, 0);                            /* takes the damaged one's place */
        assert_int_equal(newest_step(), 20);
        assert_int_equal(entries(".tmp-"), 0);
    }
}

static void all_bad_is_an_error(void **state)
{
    (void)state;
    save(10, 0);
    save(20, 0);
    flip(in_step(10, TENSORS_NAME), 8 * 5000);
    flip(in_step(20, MANIFEST_NAME), 8 * 30 + 1);
    Err e = {0};
    assert_int_equal(newest(&e), -2);
    assert_int_equal(e.code, EXIT_IO);
    assert_non_null(strstr(e.what, "step-00000010"));
    assert_non_null(strstr(e.what, "step-00000020"));
    e = (Err){0};
    assert_false(verifies(MPI_COMM_WORLD, in_step(10, ""), &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "damaged between byte 0 and 1048576, in weights/decoder.0.attn.wq, weights/decoder.0.attn.norm and "));
}

static void a_renamed_checkpoint_is_not_trusted(void **state)
{
    (void)state;
    save(10, 0);
    sync_ranks();
    if (rank == 0) {
        char to[256];
        snprintf(to, sizeof to, "%s", in_step(99, ""));
        assert_int_equal(rename(in_step(10, ""), to), 0);
    }
    sync_ranks();
    assert_int_equal(newest_step(), -2);
}

static void a_newer_format_stops_the_search(void **state)
{
    (void)state;
    save(10, 0);
    save(20, 0);
    sync_ranks();
    if (rank == 0) {
        char *text, *v;
        size_t n;
        Err e = {0};
        assert_true(file_read(in_step(20, MANIFEST_NAME), MANIFEST_MAX, &text, &n, &e));
        assert_non_null(v = strstr(text, "\"version\": 3"));
        v[11] = '4';
        size_t body = n - strlen(",\n \"hash\": \"0x0123456789abcdef\"\n}\n");
        snprintf(text + body, n - body + 1, ",\n \"hash\": \"0x%016llx\"\n}\n", (unsigned long long)XXH64(text, body, 0));
        assert_true(file_replace(in_step(20, MANIFEST_NAME), text, n, &e));
        free(text);
    }
    sync_ranks();
    Err e = {0};
    assert_int_equal(newest(&e), -2);
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "newer format"));
}

static void another_model_is_refused(void **state)
{
    (void)state;
    save(10, 0);
    char path[256];
    Err e = {0};
    Model m = model_new(rank, size, 0);
    snprintf(path, sizeof path, "%s", in_step(10, ""));
    m.p[0].slice = slice_range(slice_whole(2, (int64_t[]){ 6, 8 }), 0, 0, 0);
    assert_false(load(MPI_COMM_WORLD, path, m.p, TENSORS, CKPT_WANTED, &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_string_equal(e.what, "tensor \"decoder.0.attn.wq\" is (12,8), the model wants (6,8)");
    m.p[0].name = "weights/decoder.1.attn.wq";
    e = (Err){0};
    assert_false(load(MPI_COMM_WORLD, path, m.p, TENSORS, CKPT_WANTED, &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "no tensor \"decoder.1.attn.wq\""));
    model_free(&m);

    int n;
    Ckpt *c = ckpt_open(MPI_COMM_WORLD, path, &(Err){0});
    assert_non_null(c);
    assert_string_equal(ckpt_tensors(c, &n)[2].name, "weights/head.in");
    assert_int_equal(n, TENSORS);
    for (int i = 0; i < TENSORS; i++)
        assert_string_equal(ckpt_find(c, TABLE[i].name)->name, TABLE[i].name);
    assert_null(ckpt_find(c, "m/head.in"));
    ckpt_close(c);
}

/* Any reader of HDF5 finds the tensors. */
static void hdf5_reads_it(void **state)
{
    (void)state;
    save(10, 0);
    Model m = model_new(rank, size, 0);
    Err e = {0};
    H5 *h = h5_open(MPI_COMM_WORLD, in_step(10, TENSORS_NAME), &e);
    assert_non_null(h);
    for (int i = 0; i < TENSORS; i++)
        assert_true(h5_read(h, m.p[i].name, H5_F32, &m.p[i].slice, m.p[i].data, &e));
    assert_true(h5_close(h, &e));
    assert_true(model_visit(&m, 10, false));
    model_free(&m);
}

/* Block-cyclic pieces of any kind go where slice_copy says. */
static void any_slice_finds_its_place(void **state)
{
    (void)state;
    char path[128];
    Err e = {0};
    Rng r = { 7, (uint64_t)rank, 0 };
    snprintf(path, sizeof path, "%s/slices-%d", home, rank);
    CkptTensor t = { .name = "x", .dims = 3, .size = { 6, 8, 10 } };
    float all[480], part[480], back[480];
    for (int i = 0; i < 480; i++)
        all[i] = (float)(i + 1);
    for (int n = 0; n < 200; n++) {
        Slice whole = slice_whole(3, t.size), s = whole;
        for (int d = 0; d < 3; d++) {
            s.block[d] = rng_draw(&r, 4);
            s.stride[d] = s.block[d] + 1 + rng_draw(&r, 2);
            s.start[d] = rng_draw(&r, 3);
            s.count[d] = 1 + rng_draw(&r, (t.size[d] - s.start[d] - s.block[d]) / s.stride[d] + 1);
            if (rng_draw(&r, 3) == 0)
                s.start[d] = 0, s.count[d] = 1, s.block[d] = s.stride[d] = t.size[d];
        }
        int64_t chosen = slice_copy(part, &s, all, &whole, sizeof *all);
        uint64_t laid = 0;
        TensorSums sums = { 0 };
        Layout l;
        assert_true(layout_make(&l, &(Piece){ t.name, whole, NULL, false }, 1, &e) && layout_write(&l, path, &laid, &e));
        t.offset = l.tensor[0].offset;
        int fd = open(path, O_RDWR);
        assert_true(tensors_write(fd, path, &t, &s, part, &sums, &e));
        assert_int_equal(slice_total(&s), chosen);
        assert_int_equal(pread(fd, back, sizeof back, t.offset), sizeof back);
        float want[480] = {0};
        slice_copy(want, &whole, part, &s, sizeof *want);
        assert_memory_equal(back, want, sizeof want);
        assert_true(tensors_sum(back, sizeof back, t.offset / 4) == sums.words);
        layout_close(&l);
        close(fd);
    }
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        TEST(reshards), TEST(no_checkpoint_is_a_fresh_start), TEST(keeps_the_newest), TEST(any_flipped_bit_is_found),
        TEST(any_truncation_is_found), TEST(all_bad_is_an_error), TEST(a_renamed_checkpoint_is_not_trusted),
        TEST(a_newer_format_stops_the_search), TEST(another_model_is_refused), TEST(hdf5_reads_it),
        TEST(any_slice_finds_its_place),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return run_all(&argc, &argv, tests);
}
