/*
 * Steps that were kept on the nodes' own disks: they become checkpoints, of one life each, whatever else lies there.
 * Run with 1, 2 and 4 ranks, which share one folder as the ranks of a node do.
 */
#include "tests/io/ckpt/ckpt_case.h"

#include "io/ckpt/local.h"
#include "io/ckpt/recover.h"
#include "io/ckpt/saver.h"

static char disk[160];

static SaverConf conf_of(const char *tag)
{
    snprintf(disk, sizeof disk, "%s.disk", dir);
    return (SaverConf){ .async = true, .local = disk, .tag = tag };
}

static Saver *open_on(MPI_Comm comm, const Model *m, const char *tag)
{
    Err e = { 0 };
    const SaverConf c = conf_of(tag);
    Saver *s = saver_open(comm, dir, m->p, TENSORS, &c, &e);
    assert_non_null(s);
    return s;
}

/* The model's values are those of step `of`, the step kept is `step`. */
static bool keep(Saver *s, Model *m, int64_t step, int64_t of)
{
    Err e = { 0 };
    const CkptMeta meta = meta_of(step);
    model_visit(m, of, true);
    saver_keep(s, &meta);
    return saver_finish(s, SAVER_LOCAL, &e);
}

/* The next life's start. */
static int64_t recover(const char *tag)
{
    Err e = { 0 };
    const SaverConf c = conf_of(tag);
    sync_ranks();
    return local_recover(MPI_COMM_WORLD, dir, &c, -1, &e);
}

/* Does the newest checkpoint hold the values of step `of`? */
static bool holds(int64_t of)
{
    Err e = { 0 };
    Ckpt *c = NULL;
    Model back = model_new(rank, size, 1);
    const bool ok = ckpt_choose(MPI_COMM_WORLD, dir, NULL, NULL, &c, &e) && c && ckpt_fill(c, back.p, TENSORS, CKPT_WHOLE, &e) &&
                    model_visit(&back, of, false);
    ckpt_close(c);
    model_free(&back);
    return ok;
}

/* Parts of this step. */
static int parts(int64_t step)
{
    LocalName *list;
    Err e = { 0 };
    int n, found = 0;
    assert_true(local_list(disk, &list, &n, &e));
    for (int i = 0; i < n; i++)
        found += list[i].step == step;
    free(list);
    return found;
}

static void what_was_kept_becomes_a_checkpoint(void **state)
{
    (void)state;
    Model m = model_new(rank, size, 0);
    Saver *s = open_on(MPI_COMM_WORLD, &m, "a1");
    assert_true(keep(s, &m, 5, 5) && keep(s, &m, 6, 6));
    saver_close(s);
    assert_int_equal(recover("b1"), 6);
    assert_true(holds(6));
    assert_int_equal(warnings, 0);
    model_free(&m);
}

/* The disk fails while a newer step is kept: the one before is still there to be carried. */
static void a_keep_that_fails_leaves_the_one_before(void **state)
{
    (void)state;
    Err e = { 0 };
    char away[192];
    Model m = model_new(rank, size, 0);
    Saver *s = open_on(MPI_COMM_WORLD, &m, "a1");
    snprintf(away, sizeof away, "%s.away", disk);
    assert_true(keep(s, &m, 5, 5));
    sync_ranks();
    if (rank == 0) {
        assert_int_equal(rename(disk, away), 0);
        close(open(disk, O_CREAT | O_WRONLY, 0666));
    }
    sync_ranks();
    assert_false(keep(s, &m, 6, 6));
    sync_ranks();
    if (rank == 0)
        assert_true(unlink(disk) == 0 && rename(away, disk) == 0);
    sync_ranks();
    assert_true(saver_carry(s, &e) && saver_finish(s, SAVER_RUN, &e));
    assert_int_equal(saver_saved(s, SAVER_RUN), 5);
    assert_int_equal(newest_step(), 5);
    assert_true(holds(5));
    saver_close(s);
    model_free(&m);
}

/* A later life died when rank 0 alone had kept its part of a step that the earlier one had whole. */
static void parts_of_two_lives_are_not_mixed(void **state)
{
    (void)state;
    Model m = model_new(rank, size, 0);
    Saver *s = open_on(MPI_COMM_WORLD, &m, "a1");
    assert_true(keep(s, &m, 5, 5));
    saver_close(s);
    char whole[160], half[192];
    snprintf(whole, sizeof whole, "%s", disk);
    snprintf(half, sizeof half, "%s.half", whole);
    SaverConf c = conf_of("b1");
    c.local = half;
    Err e = { 0 };
    s = saver_open(MPI_COMM_WORLD, dir, m.p, TENSORS, &c, &e);
    assert_true(s && keep(s, &m, 5, 100));
    saver_close(s);
    sync_ranks();
    DIR *d = rank == 0 ? opendir(half) : NULL;
    for (const struct dirent *x; d && (x = readdir(d)); ) {
        char from[512], to[512];
        snprintf(from, sizeof from, "%s/%s", half, x->d_name);
        snprintf(to, sizeof to, "%s/%s", whole, x->d_name);
        if (strstr(x->d_name, "rank-00000"))
            assert_int_equal(rename(from, to), 0);
    }
    if (d)
        closedir(d);
    assert_int_equal(recover("c1"), 5);
    assert_true(holds(5) || (size == 1 && holds(100)));
    model_free(&m);
}

/* The later life is one rank: the parts that it has not do not make its own less whole. */
static void a_smaller_grid_over_a_larger(void **state)
{
    (void)state;
    Model m = model_new(rank, size, 0);
    Saver *s = open_on(MPI_COMM_WORLD, &m, "a1");
    assert_true(keep(s, &m, 5, 5));
    saver_close(s);
    sync_ranks();
    if (rank == 0) {
        Model one = model_new(0, 1, 0);
        s = open_on(MPI_COMM_SELF, &one, "b1");
        assert_true(keep(s, &one, 5, 100));
        saver_close(s);
        model_free(&one);
    }
    assert_int_equal(recover("c1"), 5);
    assert_true(holds(5) || holds(100));
    assert_int_equal(warnings, 0);
    model_free(&m);
}

/* A life that has lost its run and does not know it yet goes on keeping. */
static void an_earlier_life_removes_nothing_of_a_later_one(void **state)
{
    (void)state;
    Model m = model_new(rank, size, 0);
    Saver *old = open_on(MPI_COMM_WORLD, &m, "a1"), *new = open_on(MPI_COMM_WORLD, &m, "b1");
    assert_true(keep(old, &m, 10, 10));
    assert_true(keep(new, &m, 12, 12));
    assert_true(keep(old, &m, 20, 20) && keep(old, &m, 21, 21));
    sync_ranks();
    assert_int_equal(parts(12), size);
    assert_true(keep(new, &m, 13, 13));
    sync_ranks();
    assert_int_equal(parts(10), 0);
    saver_close(old);
    saver_close(new);
    model_free(&m);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        TEST(what_was_kept_becomes_a_checkpoint), TEST(a_keep_that_fails_leaves_the_one_before), TEST(parts_of_two_lives_are_not_mixed),
        TEST(a_smaller_grid_over_a_larger), TEST(an_earlier_life_removes_nothing_of_a_later_one),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(int argc, char **argv)
{
    return run_all(&argc, &argv, tests);
}
