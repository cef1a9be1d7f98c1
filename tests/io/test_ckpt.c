/*
 * Checkpoints: saved on one number of ranks and loaded on another; damaged, cut, killed in every phase, on a full disk.
 * Run with 1, 2 and 4 ranks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/rng.h"
#include "io/ckpt.h"
#include "io/files.h"
#include "io/h5.h"
#include "io/manifest.h"
#include "io/tensors.h"

static int rank, size;
static char home[64], dir[96];      /* a folder of this run; the checkpoint folder of one test */
static int warnings;

static void count_warning(const char *message)
{
    (void)message;
    warnings++;
}

/* ---- a model of six tensors, one of them longer than a block of hashes ---- */

enum { TENSORS = 6 };
static const struct { const char *name; int dims; int64_t size[2]; } TABLE[TENSORS] = {
    { "weights/decoder.0.attn.wq", 2, { 12, 8 } }, { "weights/decoder.0.attn.norm", 1, { 12 } },
    { "weights/head.in", 2, { 640, 600 } }, { "weights/logit_scale", 1, { 1 } },
    { "m/decoder.0.attn.wq", 2, { 12, 8 } }, { "v/decoder.0.attn.wq", 2, { 12, 8 } },
};

typedef struct { Piece p[TENSORS]; } Model;

/* Rank r of n holds its part along `dim` where the tensor divides, else all of it (and rank 0 writes). */
static Model model_new(int r, int n, int dim)
{
    Model m;
    for (int i = 0; i < TENSORS; i++) {
        Slice s = slice_whole(TABLE[i].dims, TABLE[i].size);
        bool split = dim < TABLE[i].dims && TABLE[i].size[dim] % n == 0;
        if (split)
            s = slice_part(s, dim, r, n);
        m.p[i] = (Piece){ TABLE[i].name, s, calloc((size_t)slice_total(&s) + 1, sizeof(float)), split || r == 0 };
    }
    return m;
}

static void model_free(Model *m)
{
    for (int i = 0; i < TENSORS; i++)
        free(m->p[i].data);
}

/* What element g of tensor i is at a step: no two are alike. */
static float value(int i, int64_t g, int64_t step)
{
    return (float)(g % 1000003 + 1000003 * i % 7919) + 0.25f * (float)step + 1e3f * (float)i;
}

/* Fills, or compares with, what the global arrays hold at this step. */
static bool model_visit(Model *m, int64_t step, bool fill)
{
    bool same = true;
    for (int i = 0; i < TENSORS; i++) {
        Slice whole = slice_whole(TABLE[i].dims, TABLE[i].size), *s = &m->p[i].slice;
        int64_t n = slice_total(&whole), mine = slice_total(s);
        float *all = malloc((size_t)n * sizeof *all), *part = calloc((size_t)mine + 1, sizeof *part);
        for (int64_t g = 0; g < n; g++)
            all[g] = value(i, g, step);
        assert_int_equal(slice_copy(part, s, all, &whole, sizeof *all), mine);
        if (fill)
            memcpy(m->p[i].data, part, (size_t)mine * sizeof *part);
        else
            same = same && !memcmp(m->p[i].data, part, (size_t)mine * sizeof *part);
        free(all);
        free(part);
    }
    return same;
}

static CkptMeta meta_of(int64_t step)
{
    return (CkptMeta){ .step = step, .seed = 0xfedcba9876543210u, .config_hash = 7, .fingerprint = UINT64_MAX - (uint64_t)step,
                       .dp = size, .tp = 1, .stage = "instruct", .data = "val \"1\" / caf\xc3\xa9", .global_batch = 32, .samples = 5000 };
}

static bool save_on(MPI_Comm comm, int64_t step, int dim, int keep, Err *e)
{
    int r, n;
    MPI_Comm_rank(comm, &r);
    MPI_Comm_size(comm, &n);
    Model m = model_new(r, n, dim);
    CkptMeta meta = meta_of(step);
    model_visit(&m, step, true);
    bool ok = ckpt_save(comm, dir, &meta, m.p, TENSORS, keep, e);
    model_free(&m);
    return ok;
}

static void save(int64_t step, int keep)
{
    Err e = {0};
    bool ok = save_on(MPI_COMM_WORLD, step, 0, keep, &e);
    if (!ok)
        print_error("%s (%s)\n", e.what, e.where);
    assert_true(ok);
}

/* The step that a start would resume from; -1 for a fresh start, -2 for a failure. */
static int64_t newest(Err *e)
{
    char path[256];
    CkptMeta m = {0};
    if (!ckpt_newest(MPI_COMM_WORLD, dir, path, sizeof path, &m, e))
        return -2;
    return path[0] ? m.step : -1;
}

static int64_t newest_step(void)
{
    Err e = {0};
    return newest(&e);
}

/* ---- each test has a checkpoint folder of its own ---- */

static int fresh(void **state)
{
    static int number;
    (void)state;
    snprintf(dir, sizeof dir, "%s/%d/ckpt", home, ++number);
    warnings = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    return 0;
}

static void sync_ranks(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Entries of dir whose names begin so. */
static int entries(const char *prefix)
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *x; (x = readdir(d)); )
        n += !strncmp(x->d_name, prefix, strlen(prefix));
    closedir(d);
    return n;
}

static char *in_step(int64_t step, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/step-%08lld/%s", dir, (long long)step, name);
    return path;
}

static int64_t bytes_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* Rank 0 flips one bit; the same call flips it back. */
static void flip(const char *path, int64_t bit)
{
    sync_ranks();
    if (rank == 0) {
        unsigned char c;
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &c, 1, bit / 8), 1);
        c ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(pwrite(fd, &c, 1, bit / 8), 1);
        close(fd);
    }
    sync_ranks();
}

/* ---- tests ---- */

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
                        char path[256];
                        CkptMeta got = {0}, want = meta_of(step);
                        Model m = model_new(rank, readers, along);
                        assert_true(ckpt_newest(some, dir, path, sizeof path, &got, &e));
                        assert_true(ckpt_load(some, path, m.p, TENSORS, &e));
                        assert_memory_equal(&got, &want, sizeof got);
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
    CkptMeta m;
    char path[256];
    snprintf(path, sizeof path, "%s", in_step(10, ""));
    e = (Err){0};
    assert_false(ckpt_verify(path, &m, &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "damaged between byte 0 and 1048576"));
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
        assert_non_null(v = strstr(text, "\"version\": 1"));
        v[11] = '2';
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
    assert_false(ckpt_load(MPI_COMM_WORLD, path, m.p, TENSORS, &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_string_equal(e.what, "tensor \"decoder.0.attn.wq\" is (12,8), the model wants (6,8)");
    m.p[0].name = "weights/decoder.1.attn.wq";
    e = (Err){0};
    assert_false(ckpt_load(MPI_COMM_WORLD, path, m.p, TENSORS, &e));
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "no tensor \"decoder.1.attn.wq\""));
    model_free(&m);

    CkptTensor *list;
    int n;
    assert_true(ckpt_tensors(MPI_COMM_WORLD, path, &list, &n, &(Err){0}));
    assert_int_equal(n, TENSORS);
    assert_true(ckpt_has(list, n, "m/decoder.0.attn.wq"));
    assert_false(ckpt_has(list, n, "m/head.in"));
    free(list);
}

/* What is loaded was validated, also when nobody asked ckpt_newest first. */
static void load_validates(void **state)
{
    (void)state;
    save(10, 0);
    save(20, 0);
    assert_int_equal(newest_step(), 20);
    flip(in_step(10, TENSORS_NAME), 8 * 100000);
    Model m = model_new(rank, size, 0);
    Err e = {0};
    assert_false(ckpt_load(MPI_COMM_WORLD, in_step(10, ""), m.p, TENSORS, &e));
    assert_int_equal(e.code, EXIT_DATA);
    model_free(&m);
}

/* A file may not grow past 1 MB, so writing tensors fails; then not past 2000 bytes; then not at all. */
static void a_full_disk_leaves_the_older_one(void **state)
{
    (void)state;
    static const rlim_t limit[] = { 1000000, 2000, 0 };
    struct rlimit old, small;
    save(10, 0);
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        Err e = {0};
        sync_ranks();
        small = (struct rlimit){ limit[i], old.rlim_max };
        setrlimit(RLIMIT_FSIZE, &small);
        bool ok = save_on(MPI_COMM_WORLD, 20, 0, 1, &e);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_false(ok);
        assert_int_equal(e.code, EXIT_IO);
        sync_ranks();
        assert_int_equal(entries(".tmp-"), 0);
        assert_int_equal(entries("step-"), 1);
        assert_int_equal(newest_step(), 10);
    }
    save(20, 1);
    assert_int_equal(newest_step(), 20);
}

/* ---- faults: the n-th call that touches the checkpoint folder fails, on one rank ---- */

static int  fail_in;                /* calls until then; 0: none fails */
static bool no_exchange;            /* a file system that cannot exchange two folders */

static bool fails(const char *path)
{
    if (!fail_in || strncmp(path, dir, strlen(dir)) || --fail_in)
        return false;
    errno = EIO;
    return true;
}

static bool fails_fd(int fd)
{
    char link[32], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return fails(path);
}

/* Found once, by name: these take the place of the C library's in this program. */
#define REAL(name) static __typeof__(name) *real; if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

int open(const char *path, int flags, ...)
{
    REAL(open);
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return fails(path) ? -1 : real(path, flags, mode);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
    REAL(pwrite);
    return fails_fd(fd) ? -1 : real(fd, buf, n, at);
}

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
    REAL(pread);
    return fails_fd(fd) ? -1 : real(fd, buf, n, at);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    REAL(write);
    return fails_fd(fd) ? -1 : real(fd, buf, n);
}

int fsync(int fd)
{
    REAL(fsync);
    return fails_fd(fd) ? -1 : real(fd);
}

int ftruncate(int fd, off_t n)
{
    REAL(ftruncate);
    return fails_fd(fd) ? -1 : real(fd, n);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
    REAL(fallocate);
    return fails_fd(fd) ? -1 : real(fd, mode, at, n);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    return fails(path) ? -1 : real(path, mode);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    return fails(to) ? -1 : real(from, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    REAL(renameat2);
    errno = EINVAL;
    return no_exchange ? -1 : fails(to) ? -1 : real(a, from, b, to, flags);
}

static void any_failing_call_leaves_a_valid_one(void **state)
{
    (void)state;
    save(10, 0);
    for (int victim = 0; victim < size; victim += size > 1 ? size - 1 : 1)
        for (int again = 0; again < 2; again++) {
            /* again: step 20 is there already and is replaced */
            int calls = 0;
            for (int k = 1, hit = 1; hit; k++) {
                Err e = {0};
                sync_ranks();
                if (rank == 0)
                    dir_remove(in_step(20, ""), &e);
                sync_ranks();
                if (again)
                    save(20, 0);
                sync_ranks();
                fail_in = rank == victim ? k : 0;
                bool ok = save_on(MPI_COMM_WORLD, 20, 0, 2, &e);
                hit = fail_in == 0 && rank == victim;
                fail_in = 0;
                MPI_Bcast(&hit, 1, MPI_INT, victim, MPI_COMM_WORLD);
                calls += hit;
                int mine = ok, all;
                MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
                assert_true(all == 0 || all == size);
                assert_true(ok || e.code == EXIT_IO);
                int64_t step = newest_step();
                assert_true(step == 20 || (!ok && step == 10));
                assert_int_equal(access(in_step(10, MANIFEST_NAME), F_OK), 0);
                sync_ranks();
                if (rank == 0)
                    ckpt_clean(dir);
                sync_ranks();
                assert_int_equal(newest_step(), step);
            }
            assert_true(calls >= (victim ? 4 : 20));    /* the faults did arrive */
        }
}

static void a_step_is_replaced_without_exchange_too(void **state)
{
    (void)state;
    save(10, 0);
    no_exchange = true;
    save(10, 0);
    no_exchange = false;
    sync_ranks();
    assert_int_equal(newest_step(), 10);
    assert_int_equal(entries("step-"), 1);
    assert_int_equal(entries(".tmp-"), 0);
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

/* One bit changes between the writing and the hashing, as a cache, a network or an MPI library may do. */
static void spoil(int phase)
{
    char path[256];
    snprintf(path, sizeof path, "%s/.tmp-step-00000020/" TENSORS_NAME, dir);
    if (phase == CKPT_TENSORS)
        flip(path, bytes_of(path) * 4);
}

static void what_was_not_meant_is_not_committed(void **state)
{
    (void)state;
    save(10, 0);
    Err e = {0};
    ckpt_phase_hook = spoil;
    bool ok = save_on(MPI_COMM_WORLD, 20, 0, 0, &e);
    ckpt_phase_hook = NULL;
    assert_false(ok);
    assert_int_equal(e.code, EXIT_IO);
    sync_ranks();
    assert_int_equal(entries(".tmp-"), 0);
    assert_int_equal(newest_step(), 10);
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
        int64_t chosen = slice_copy(part, &s, all, &whole, sizeof *all), bytes;
        uint64_t laid, sum = 0;
        assert_true(tensors_layout(path, &t, 1, &bytes, &laid, &e));
        int fd = open(path, O_RDWR);
        assert_true(tensors_write(fd, path, &t, &s, part, &sum, &e));
        memset(back, 0, sizeof back);
        assert_true(tensors_read(fd, path, &t, &s, back, &e));
        assert_memory_equal(back, part, (size_t)chosen * sizeof *part);
        assert_int_equal(pread(fd, back, sizeof back, t.offset), sizeof back);
        float want[480] = {0};
        slice_copy(want, &whole, part, &s, sizeof *want);
        assert_memory_equal(back, want, sizeof want);
        assert_true(tensors_sum(back, sizeof back, t.offset / 4) == sum);
        close(fd);
    }
}

/* ---- kills ---- */

static int die_at_phase;

static void die_here(int phase)
{
    if (phase == die_at_phase)
        _exit(9);
}

static void a_kill_in_any_phase_is_harmless(void **state)
{
    (void)state;
    if (size > 1)                               /* a forked process cannot take part in MPI with others */
        skip();
    for (int k = 0; k < CKPT_PHASES; k++) {
        fresh(NULL);
        save(10, 0);
        pid_t child = fork();
        if (child == 0) {
            die_at_phase = k;
            ckpt_phase_hook = die_here;
            Err e = {0};
            save_on(MPI_COMM_WORLD, 20, 0, 1, &e);
            _exit(1);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
        /* valid from the moment of the rename on, and never half */
        assert_int_equal(newest_step(), k >= CKPT_RENAME ? 20 : 10);
        assert_int_equal(warnings, 0);
        assert_int_equal(entries(".tmp-") > 0, k < CKPT_RENAME);
        ckpt_clean(dir);
        assert_int_equal(entries(".tmp-"), 0);
        assert_int_equal(newest_step(), k >= CKPT_RENAME ? 20 : 10);
        save(30, 1);
        assert_int_equal(newest_step(), 30);
        assert_int_equal(entries("step-"), 1);
    }
}

static void clean_puts_back_what_was_set_aside(void **state)
{
    (void)state;
    save(10, 0);
    sync_ranks();
    if (rank == 0) {
        char aside[256], junk[256];
        snprintf(aside, sizeof aside, "%s/.tmp-old-step-00000010", dir);
        snprintf(junk, sizeof junk, "%s/.tmp-step-00000020/x", dir);
        assert_int_equal(rename(in_step(10, ""), aside), 0);
        assert_true(dir_make(junk, &(Err){0}));
        ckpt_clean(dir);
    }
    sync_ranks();
    assert_int_equal(entries(".tmp-"), 0);
    assert_int_equal(newest_step(), 10);
}

int main(int argc, char **argv)
{
    h5_environment();
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size > 1)
        setenv("CMOCKA_TEST_ABORT", "1", 1);    /* a failed rank must not leave the others waiting */
    if (rank && !freopen("/dev/null", "w", stdout))
        return 1;
    snprintf(home, sizeof home, "/tmp/asvr-ckpt-XXXXXX");
    if (rank == 0 && !mkdtemp(home))
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Bcast(home, sizeof home, MPI_BYTE, 0, MPI_COMM_WORLD);
    ckpt_warn = count_warning;
#define TEST(f) cmocka_unit_test_setup(f, fresh)
    const struct CMUnitTest tests[] = {
        TEST(reshards), TEST(no_checkpoint_is_a_fresh_start), TEST(keeps_the_newest), TEST(any_flipped_bit_is_found),
        TEST(any_truncation_is_found), TEST(all_bad_is_an_error), TEST(a_renamed_checkpoint_is_not_trusted),
        TEST(a_newer_format_stops_the_search), TEST(another_model_is_refused), TEST(load_validates),
        TEST(a_full_disk_leaves_the_older_one), TEST(a_kill_in_any_phase_is_harmless),
        TEST(clean_puts_back_what_was_set_aside), TEST(any_failing_call_leaves_a_valid_one),
        TEST(a_step_is_replaced_without_exchange_too), TEST(hdf5_reads_it),
        TEST(what_was_not_meant_is_not_committed), TEST(any_slice_finds_its_place),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Barrier(MPI_COMM_WORLD);
    Err e = {0};
    if (rank == 0)
        dir_remove(home, &e);
    MPI_Finalize();
    return failed || e.code;
}
