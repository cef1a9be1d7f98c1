/* Who stands still, who is slow: the judgement on made-up words, and words that cross between real ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dist/watchjudge.h"

static int rank, size;

/* ---- made-up words ---- */

enum { N = 6 };
static WatchPeer peer[N];
static char host[N][WATCH_HOST];
static WatchTable table = { N, 2, peer, host };             /* 3 replicas of 2 */

static const WatchState GOING = { .moves = 1, .step = 912, .phase = WATCH_STEP, .steps = 40, .longest = 3 };

static uint64_t in(int axis, int64_t number) { return comm_pack((CommWhere){ 1, axis, axis, number }); }

/* All wait in a sum over the world but `who`, at 100 s; all but `mute` (-1: none) still speak at 161 s. */
static void stands_still(int who, int mute)
{
    memset(peer, 0, sizeof peer);
    for (int r = 0; r < N; r++) {
        WatchState s = GOING;
        snprintf(host[r], sizeof host[r], "n%d", r + 4);
        s.inside = r == who ? 0 : in(AXIS_WORLD, 18213);
        watch_heard(&table, r, &s, 100);
        if (r != mute)
            watch_heard(&table, r, &s, 161);
    }
}

static void what_a_rank_publishes_comes_back(void **state)
{
    (void)state;
    const CommWhere w = { 10, AXIS_TP, 200, 1LL << 40 }, back = comm_unpack(comm_pack(w));
    assert_true(back.kind == w.kind && back.axis == w.axis && back.id == w.id && back.number == w.number);
    assert_string_equal(comm_kind(1), "allreduce");
}

static void limits(void **state)
{
    (void)state;
    WatchState s = GOING;
    assert_true(watch_limit(0, &s) == 60);
    assert_true(watch_limit(7, &s) == 7);
    s.longest = 30;
    assert_true(watch_limit(0, &s) == 600);
    assert_true(watch_limit(7, &s) == 7);
    s.phase = WATCH_SAVE;
    assert_true(watch_limit(0, &s) == 6000);
    assert_true(watch_limit(7, &s) == 70);
    s = (WatchState){ .phase = WATCH_STEP };                /* the first step of a life */
    assert_true(watch_limit(0, &s) == 1800);
    assert_true(watch_limit(7, &s) == 70);
}

static void nobody_is_judged_before_the_limit(void **state)
{
    (void)state;
    memset(peer, 0, sizeof peer);
    assert_false(watch_hangs(&table, 0, 1e9));              /* nobody has spoken */
    stands_still(3, 3);
    assert_false(watch_hangs(&table, 0, 159.9));
    assert_true(watch_hangs(&table, 0, 160.1));
    assert_true(watch_hangs(&table, 5, 105.1));
    WatchState s = GOING;
    s.moves++;
    watch_heard(&table, 5, &s, 150);                        /* one moves: nobody hangs */
    assert_false(watch_hangs(&table, 0, 200));
    stands_still(3, 3);
    s.moves = 1;
    s.phase = WATCH_SAVE;                                   /* one is where it may take its time */
    watch_heard(&table, 5, &s, 120);
    assert_false(watch_hangs(&table, 0, 1800));
}

static void the_cause_is_named(void **state)
{
    (void)state;
    WatchVerdict v;
    for (int who = 0; who < N; who++)
        for (int mute = 0; mute < 2; mute++) {
            char want[128];
            stands_still(who, mute ? who : -1);
            watch_verdict(&table, 161, 20, &v);
            snprintf(want, sizeof want, "rank %d on node n%d has not entered allreduce 18213 (step 912); others wait 61 s", who, who + 4);
            assert_string_equal(v.what, want);
            assert_non_null(strstr(v.got, mute ? "no word from it for 61 s" : "its process lives"));
        }
}

/* Stopped within the collective, or one behind: by the place of its last word. */
static void what_the_others_wait_in_is_named(void **state)
{
    (void)state;
    WatchVerdict v;
    stands_still(4, 4);
    peer[4].state.inside = in(AXIS_WORLD, 18213);
    watch_verdict(&table, 161, 20, &v);
    assert_non_null(strstr(v.what, "rank 4 on node n8 has not left allreduce 18213"));

    stands_still(4, -1);                                    /* all wait: rank 4 at an earlier number */
    peer[4].state.inside = in(AXIS_WORLD, 18211);
    watch_verdict(&table, 161, 20, &v);
    assert_non_null(strstr(v.what, "rank 4 on node n8 has not entered allreduce 18213"));

    stands_still(4, 4);                                     /* others' groups are none of 4's business: its own neighbour's is */
    for (int r = 0; r < 4; r++)
        peer[r].state.inside = in(r % 2 ? AXIS_DP : AXIS_TP, 500 + r);
    peer[5].state.inside = in(AXIS_TP, 77);
    watch_verdict(&table, 161, 20, &v);
    assert_non_null(strstr(v.what, "rank 4 on node n8 has not entered allreduce 77 "));
}

/* Words come from the network. */
static void a_word_may_be_garbage(void **state)
{
    (void)state;
    WatchVerdict v;
    stands_still(2, -1);
    for (int phase = -1; phase <= WATCH_PHASES; phase += WATCH_PHASES + 1) {
        peer[2].state.phase = phase;
        watch_verdict(&table, 161, 20, &v);
        assert_non_null(strstr(v.got, "it is in an unknown phase ("));
    }
    stands_still(2, 2);
    peer[2].state.inside = UINT64_MAX;
    watch_verdict(&table, 161, 20, &v);
    assert_non_null(strstr(v.got, "its last: collective "));
}

static void a_node_that_is_gone_counts_its_ranks(void **state)
{
    (void)state;
    WatchVerdict v;
    stands_still(2, 2);
    peer[3].heard = 99;
    watch_verdict(&table, 161, 20, &v);
    assert_non_null(strstr(v.what, "rank 2 on node n6"));
    assert_non_null(strstr(v.got, "nor from 1 more"));
}

static void rank_0_is_named_by_another(void **state)
{
    (void)state;
    WatchVerdict v;
    stands_still(0, 0);
    watch_alone(&table, 1, 161, &v);
    assert_string_equal(v.what, "rank 0 on node n4 has not entered allreduce 18213 (step 912); others wait 61 s");
    peer[0].spoke = false;
    watch_alone(&table, 1, 161, &v);
    assert_non_null(strstr(v.what, "rank 1 on node n5 gets nowhere in allreduce 18213 (step 912) for 61 s"));
    assert_non_null(strstr(v.got, "no word ever from rank 0 on node n4"));
}

static int slowest(int who, double its, double others, int window, double *seconds)
{
    static double room[N];
    for (int r = 0; r < N; r++) {
        WatchState s = GOING;
        s.window[WATCH_BUSY] = window;
        s.cost[WATCH_BUSY] = r == who ? its : others;
        watch_heard(&table, r, &s, window);
    }
    return watch_slowest(&table, WATCH_BUSY, room, seconds);
}

static void a_straggler_is_slow_twice(void **state)
{
    (void)state;
    double more = 0;
    memset(peer, 0, sizeof peer);
    assert_int_equal(slowest(3, 5, 1, 1, &more), -1);
    assert_int_equal(slowest(3, 5, 1, 1, &more), -1);       /* the same window again is no news */
    assert_int_equal(slowest(3, 5, 1, 2, &more), 3);
    assert_true(more == 4);
    assert_int_equal(slowest(3, 5, 1, 2, &more), 3);        /* and stays true */
    assert_int_equal(slowest(3, 2, 1, 3, &more), -1);       /* twice the median is within what data do */
    assert_int_equal(slowest(3, 5, 1, 4, &more), -1);
    memset(peer, 0, sizeof peer);
    for (int window = 1; window < 5; window++)              /* five times next to nothing */
        assert_int_equal(slowest(3, 0.004, 0.0008, window, &more), -1);
}

static int farthest(const double *trip, int window, double *seconds)
{
    static double room[N];
    for (int r = 0; r < N; r++) {
        WatchState s = GOING;
        s.window[WATCH_TRIP] = window;
        s.cost[WATCH_TRIP] = trip[r];
        watch_heard(&table, r, &s, window);
    }
    return watch_slowest(&table, WATCH_TRIP, room, seconds);
}

static void a_slow_link_is_far_twice(void **state)
{
    (void)state;
    double more = 0, all[N], one[N] = { 0 }, near[N] = { 0 };
    memset(peer, 0, sizeof peer);
    for (int r = 0; r < N; r++)
        all[r] = r ? 0.3 : 0;
    one[2] = 0.4;
    near[2] = 0.09;                                         /* a busy scheduler */
    assert_int_equal(farthest(one, 1, &more), -1);
    assert_int_equal(farthest(one, 2, &more), 2);
    assert_true(more == 0.4);
    assert_int_equal(farthest(near, 3, &more), -1);
    assert_int_equal(farthest(all, 4, &more), -1);          /* far from everybody: once, rank 0 may have slept */
    assert_int_equal(farthest(all, 4, &more), -1);          /* the same window again */
    assert_int_equal(farthest(all, 5, &more), 0);           /* its own link */
    assert_true(more == 0.3);
}

/* ---- real ranks ---- */

static void say(const char *what, const char *got) { fprintf(stderr, "%s (%s)\n", what, got ? got : "a warning"); }

/* The last rank computes ten times longer; whom rank 0 names then.  Bounded by steps, not by time: a loaded machine is slow. */
static void words_cross_and_name_the_slow_one(void **state)
{
    (void)state;
    Grid g;
    Straggler slow = { .rank = -1 };
    double found = 0;
    grid_open(&g, MPI_COMM_WORLD, 1);
    Watch *w = watch_open(&g, 60, say);
    for (int64_t step = 1; step < 400 && !found; step++) {
        watch_step_begins(w, step);
        usleep(size > 1 && rank == size - 1 ? 100000 : 10000);
        comm_barrier(g.world);
        watch_step_ended(w);
        found = rank == 0 && watch_straggler(w, &slow);
        comm_max_f64(g.world, &found, 1);
        if (size == 1 && step == 30)
            break;
    }
    watch_close(w);
    grid_close(&g);
    assert_true(found == (size > 1));
    if (rank == 0 && size > 1) {
        char here[WATCH_HOST] = "";
        gethostname(here, sizeof here - 1);
        assert_int_equal(slow.rank, size - 1);
        assert_string_equal(slow.host, here);
        assert_true(slow.seconds > 0.03);
    }
}

/* What the main thread is in is there for others to read, and gone afterwards. */
static void collectives_are_published(void **state)
{
    (void)state;
    double x = 1;
    const uint64_t before = comm_now.moves;
    const double waited = comm_waited;
    comm_barrier(MPI_COMM_WORLD);
    comm_sum_f64(MPI_COMM_WORLD, &x, 1);
    assert_int_equal(comm_now.moves - before, 4);
    assert_int_equal(comm_now.inside, 0);
    assert_true(comm_waited > waited);
    int code = rank;
    CommOp op;
    comm_agree_start(MPI_COMM_WORLD, &code, &op);
    comm_wait(&op);
    assert_int_equal(code, size - 1);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    rank = comm_rank(MPI_COMM_WORLD);
    size = comm_size(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_rank_publishes_comes_back),
        cmocka_unit_test(limits),
        cmocka_unit_test(nobody_is_judged_before_the_limit),
        cmocka_unit_test(the_cause_is_named),
        cmocka_unit_test(what_the_others_wait_in_is_named),
        cmocka_unit_test(a_word_may_be_garbage),
        cmocka_unit_test(a_node_that_is_gone_counts_its_ranks),
        cmocka_unit_test(rank_0_is_named_by_another),
        cmocka_unit_test(a_straggler_is_slow_twice),
        cmocka_unit_test(a_slow_link_is_far_twice),
        cmocka_unit_test(words_cross_and_name_the_slow_one),
        cmocka_unit_test(collectives_are_published),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
