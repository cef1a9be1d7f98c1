/*
 * Saving a checkpoint while the machine fails: a full disk, any single call that fails, bytes that change on their way,
 * a kill in each phase of the commit.  Run with 1, 2 and 4 ranks.
 */
#include "tests/io/ckpt/ckpt_case.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

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

static int tests(void)
{
    const struct CMUnitTest list[] = {
        TEST(a_full_disk_leaves_the_older_one), TEST(any_failing_call_leaves_a_valid_one),
        TEST(a_step_is_replaced_without_exchange_too), TEST(what_was_not_meant_is_not_committed),
        TEST(a_kill_in_any_phase_is_harmless), TEST(clean_puts_back_what_was_set_aside),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return run_all(&argc, &argv, tests);
}
