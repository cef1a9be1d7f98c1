/*
 * ckpt_case.h -- a checkpoint folder for each test, saving into it, damaging it; of test_ckpt and test_ckpt_faults
 */
#pragma once
#include "tests/io/ckpt/ckpt_model.h"
#include "tests/io/ckpt/ckpt_use.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/h5/h5.h"
#include "io/ckpt/manifest.h"

static char home[64], dir[96];      /* a folder of this run; the checkpoint folder of one test */
static int warnings;

static inline void count_warning(const char *message)
{
    (void)message;
    warnings++;
}

static inline bool save_on(MPI_Comm comm, int64_t step, int dim, int keep, Err *e)
{
    return model_save(comm, dir, step, dim, keep, e);
}

static inline void save(int64_t step, int keep)
{
    Err e = {0};
    bool ok = save_on(MPI_COMM_WORLD, step, 0, keep, &e);
    if (!ok)
        print_error("%s (%s)\n", e.what, e.where);
    assert_true(ok);
}

/* The step that a start would resume from; -1 for a fresh start, -2 for a failure. */
static inline int64_t newest(Err *e)
{
    Ckpt *c;
    if (!ckpt_choose(MPI_COMM_WORLD, dir, use_whole, NULL, &c, e))
        return -2;
    const int64_t step = c ? ckpt_meta(c)->step : -1;
    ckpt_close(c);
    return step;
}

static inline int64_t newest_step(void)
{
    Err e = {0};
    return newest(&e);
}

/* ---- each test has a checkpoint folder of its own ---- */

static inline int fresh(void **state)
{
    static int number;
    (void)state;
    snprintf(dir, sizeof dir, "%s/%d/ckpt", home, ++number);
    warnings = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    return 0;
}

/* Entries of dir whose names begin so. */
static inline int entries(const char *prefix)
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *x; (x = readdir(d)); )
        n += !strncmp(x->d_name, prefix, strlen(prefix));
    closedir(d);
    return n;
}

static inline char *in_step(int64_t step, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/step-%08lld/%s", dir, (long long)step, name);
    return path;
}

/* Runs the tests on all ranks, in a folder of their own; the exit code. */
static inline int run_all(int *argc, char ***argv, int (*tests)(void))
{
    h5_environment();
    MPI_Init(argc, argv);
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
    int failed = tests();
    MPI_Barrier(MPI_COMM_WORLD);
    Err e = {0};
    if (rank == 0)
        dir_remove(home, &e);
    MPI_Finalize();
    return failed || e.code;
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)
