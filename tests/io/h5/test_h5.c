/* test_h5 -- slices written and read collectively come back, for any number of ranks; errors are agreed */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/h5/h5.h"

static int  rank, ranks;
static char dir[256];

static const char *file(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void good(bool ok, const Err *e)
{
    if (!ok)
        fail_msg("%s (%s; expected %s, got %s)", e->what, e->where, e->expected, e->got);
}

/* A value that no other element of any type of array here has. */
static double value(int64_t i) { return (double)(i % 251); }

static void fill(void *to, int type, int64_t i, double v)
{
    switch (type) {
    case H5_F32: ((float *)to)[i] = (float)v; break;
    case H5_U8:  ((uint8_t *)to)[i] = (uint8_t)v; break;
    case H5_U16: ((uint16_t *)to)[i] = (uint16_t)v; break;
    case H5_I32: ((int32_t *)to)[i] = (int32_t)v; break;
    default:     ((int64_t *)to)[i] = (int64_t)v; break;
    }
}

static const size_t elem[] = { 4, 1, 2, 4, 8 };

/* The whole (rows, cols) array, element i being value(i), and the part of it that a slice chooses. */
static void *chosen(int type, const Slice *s)
{
    Slice whole = slice_whole(s->dims, s->size);
    int64_t n = slice_total(&whole);
    void *all = calloc((size_t)n + 1, 8), *part = calloc((size_t)slice_total(s) + 1, 8);
    for (int64_t i = 0; i < n; i++)
        fill(all, type, i, value(i));
    if (slice_total(s))
        slice_copy(part, s, all, &whole, elem[type]);
    free(all);
    return part;
}

/* Blocks of nb rows (or columns), dealt to the ranks in turn; rank 0 alone holds nothing when `idle`. */
static Slice dealt(const int64_t size[2], int dim, int64_t nb, bool idle)
{
    Slice s = slice_whole(2, size);
    int holders = idle && ranks > 1 ? ranks - 1 : ranks, me = holders < ranks ? rank - 1 : rank;
    int64_t blocks = size[dim] / nb;
    if (me < 0 || me >= blocks)
        return slice_range(s, dim, 0, 0);
    s.start[dim] = me * nb;
    s.stride[dim] = holders * nb;
    s.block[dim] = nb;
    s.count[dim] = ceil_div(blocks - me, holders);
    return s;
}

static void test_round_trip(void **state)
{
    (void)state;
    const int64_t size[2] = { 60, 35 }, chunk[2] = { 16, 35 };
    for (int type = H5_F32; type <= H5_I64; type++)
        for (int level = 0; level <= 3; level += 3)
            for (int idle = 0; idle < 2; idle++) {
                Err e = { 0 };
                H5 *h = h5_create(MPI_COMM_WORLD, file("a.h5"), &e);
                good(h, &e);
                Slice mine = dealt(size, 0, 4, idle);
                void *data = chosen(type, &mine);
                good(h5_write(h, "/group/of/x", type, &mine, data, level ? chunk : NULL, level, &e), &e);
                free(data);
                good(h5_close(h, &e), &e);

                h = h5_open(MPI_COMM_WORLD, file("a.h5"), &e);
                good(h, &e);
                Slice want = dealt(size, 1, 5, !idle);
                size_t bytes = (size_t)slice_total(&want) * elem[type];
                void *right = chosen(type, &want), *got = calloc(bytes + 1, 1);
                good(h5_read(h, "/group/of/x", type, &want, got, &e), &e);
                assert_memory_equal(got, right, bytes);
                int is, dims;
                int64_t n[SLICE_DIMS];
                good(h5_shape(h, "group/of/x", &is, &dims, n, &e), &e);
                assert_int_equal(is, type);
                assert_int_equal(dims, 2);
                assert_memory_equal(n, size, sizeof size);
                free(right);
                free(got);
                good(h5_close(h, &e), &e);
            }
}

static void test_empty(void **state)
{
    (void)state;
    Err e = { 0 };
    const int64_t size[2] = { 0, 7 }, chunk[2] = { 4, 7 };
    Slice none = slice_whole(2, size);
    H5 *h = h5_create(MPI_COMM_WORLD, file("empty.h5"), &e);
    good(h, &e);
    good(h5_write(h, "none", H5_F32, &none, NULL, chunk, 3, &e), &e);
    good(h5_close(h, &e), &e);
    h = h5_open(MPI_COMM_WORLD, file("empty.h5"), &e);
    good(h, &e);
    good(h5_read(h, "none", H5_F32, &none, NULL, &e), &e);
    good(h5_close(h, &e), &e);
}

static void test_attributes(void **state)
{
    (void)state;
    Err e = { 0 };
    char text[16];
    int64_t n = 0;
    H5 *h = h5_create(MPI_COMM_WORLD, file("b.h5"), &e);
    good(h, &e);
    good(h5_attr_write_str(h, "name", "gr\xc3\xb6\xc3\x9f" "e", &e) && h5_attr_write_str(h, "void", "", &e) &&
         h5_attr_write_i64(h, "n", INT64_MIN + 1, &e), &e);
    good(h5_close(h, &e), &e);
    h = h5_open(MPI_COMM_NULL, file("b.h5"), &e);      /* alone, without MPI-IO */
    good(h, &e);
    good(h5_attr_read_str(h, "name", text, sizeof text, &e), &e);
    assert_string_equal(text, "gr\xc3\xb6\xc3\x9f" "e");
    good(h5_attr_read_str(h, "void", text, sizeof text, &e), &e);
    assert_string_equal(text, "");
    good(h5_attr_read_i64(h, "n", &n, &e), &e);
    assert_true(n == INT64_MIN + 1);
    assert_true(h5_attr_exists(h, "n") && !h5_attr_exists(h, "m"));

    Err miss = { 0 }, kind = { 0 }, small = { 0 };
    assert_false(h5_attr_read_i64(h, "m", &n, &miss));
    assert_int_equal(miss.code, EXIT_DATA);
    assert_false(h5_attr_read_i64(h, "name", &n, &kind));
    assert_int_equal(kind.code, EXIT_DATA);
    assert_false(h5_attr_read_str(h, "name", text, 4, &small));
    assert_int_equal(small.code, EXIT_DATA);
    good(h5_close(h, &e), &e);
}

/* Only the last rank's wish does not fit, yet all ranks get its error. */
static void test_agreed_errors(void **state)
{
    (void)state;
    Err e = { 0 }, wrong = { 0 }, missing = { 0 };
    const int64_t size[2] = { 8, 4 }, other[2] = { 8, 5 };
    Slice whole = slice_range(slice_whole(2, size), 0, 0, rank == 0 ? 8 : 0);
    float x[40] = { 0 };
    H5 *h = h5_create(MPI_COMM_WORLD, file("c.h5"), &e);
    good(h, &e);
    good(h5_write(h, "x", H5_F32, &whole, x, NULL, 0, &e), &e);
    good(h5_close(h, &e), &e);
    h = h5_open(MPI_COMM_WORLD, file("c.h5"), &e);
    good(h, &e);
    Slice want = slice_whole(2, rank == ranks - 1 ? other : size);
    assert_false(h5_read(h, "x", H5_F32, &want, x, &wrong));
    assert_int_equal(wrong.code, EXIT_DATA);
    assert_string_equal(wrong.expected, "float32 (8,5)");
    assert_string_equal(wrong.got, "float32 (8,4)");
    assert_false(h5_read(h, "no/such", H5_F32, &want, x, &missing));
    assert_int_equal(missing.code, EXIT_DATA);
    assert_non_null(strstr(missing.what, "no/such"));
    good(h5_close(h, &e), &e);

    Err create = { 0 }, open = { 0 };
    assert_null(h5_create(MPI_COMM_WORLD, file("no/such/folder.h5"), &create));
    assert_int_equal(create.code, EXIT_IO);
    assert_null(h5_open(MPI_COMM_WORLD, file("not-there.h5"), &open));
    assert_int_equal(open.code, EXIT_IO);
}

static void test_not_hdf5(void **state)
{
    (void)state;
    if (rank == 0) {
        FILE *f = fopen(file("text.h5"), "w");
        assert_non_null(f);
        fputs("this is no HDF5 file\n", f);
        fclose(f);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    Err e = { 0 };
    assert_null(h5_open(MPI_COMM_WORLD, file("text.h5"), &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.where, "text.h5"));
}

static void test_selftest(void **state)
{
    (void)state;
    Err e = { 0 }, no = { 0 };
    good(h5_selftest(MPI_COMM_WORLD, dir, &e), &e);
    assert_false(h5_selftest(MPI_COMM_WORLD, file("not-there"), &no));
    assert_int_equal(no.code, EXIT_IO);
}

/* An MPI-IO that loses a number that one rank writes: the first of row 48. */
static void loses(const char *path)
{
    const int32_t lost = 48 * 320 * 40503, zero = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        static char all[1 << 20];
        FILE *f = fopen(path, "r+");
        assert_non_null(f);
        const size_t n = fread(all, 1, sizeof all, f);
        const char *at = NULL;                          /* the last one: packed rows, which come first, hold some as they are */
        for (const char *next = all; (next = memmem(next, n - (size_t)(next - all), &lost, sizeof lost)); next++)
            at = next;
        assert_non_null(at);
        assert_int_equal(fseek(f, at - all, SEEK_SET), 0);
        assert_int_equal(fwrite(&zero, sizeof zero, 1, f), 1);
        fclose(f);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static void test_selftest_refuses(void **state)
{
    (void)state;
    Err e = { 0 };
    h5_selftest_hook = loses;
    assert_false(h5_selftest(MPI_COMM_WORLD, dir, &e));
    h5_selftest_hook = NULL;
    assert_int_equal(e.code, EXIT_IO);
    assert_string_equal(e.what, "MPI-IO does not read back what it wrote");
    assert_string_equal(e.got, "0");
    assert_string_equal(e.expected, "622126080 in row 48, column 0");
    assert_non_null(strstr(e.hint, "OMPI_MCA_io=^ompio"));
}

static void clean(void)
{
    static const char *const name[] = { "a.h5", "b.h5", "c.h5", "empty.h5", "text.h5" };
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        unlink(file(name[i]));
    if (rmdir(dir))
        perror(dir);                    /* the self-test left something behind */
}

int main(int argc, char **argv)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1);        /* a failure on one rank must not leave the others waiting */
    h5_environment();
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/asvr-h5-XXXXXX", base ? base : "/tmp");
    if (rank == 0 && !mkdtemp(dir))
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(dir, sizeof dir, MPI_CHAR, 0, MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_empty),    cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_agreed_errors), cmocka_unit_test(test_not_hdf5), cmocka_unit_test(test_selftest),
        cmocka_unit_test(test_selftest_refuses),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        clean();
    MPI_Finalize();
    return failed != 0;
}
