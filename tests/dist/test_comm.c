/* The wrappers of MPI, and statistics over ranks. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dist/comm.h"
#include "dist/stats.h"

static MPI_Comm world;
static int rank, size;

/* ---- the seam: MPI's profiling interface lets a test see calls, and keep the huge ones from memory ---- */

/* Pieces lie behind each other: `next` is where the one to come must start, in bytes from `anywhere`. */
static struct { bool on; int64_t next; } seen;
static char anywhere;

static bool note(const void *x, int64_t bytes)
{
    if (!seen.on)
        return false;
    assert_int_equal((intptr_t)x - (intptr_t)&anywhere, seen.next);
    assert_true(bytes > 0);
    seen.next += bytes;
    return true;
}

int MPI_Allreduce(const void *in, void *x, int count, MPI_Datatype type, MPI_Op how, MPI_Comm comm)
{
    int64_t bytes = count * (type == MPI_DOUBLE ? 8LL : 4LL);
    return note(x, bytes) ? MPI_SUCCESS : PMPI_Allreduce(in, x, count, type, how, comm);
}

int MPI_Bcast(void *x, int count, MPI_Datatype type, int root, MPI_Comm comm)
{
    return note(x, count) ? MPI_SUCCESS : PMPI_Bcast(x, count, type, root, comm);
}

static int64_t bytes_asked(void (*ask)(void *x, int64_t n), int64_t n)
{
    seen.on = true;
    seen.next = 0;
    ask(&anywhere, n);
    seen.on = false;
    return seen.next;
}

static void ask_f32(void *x, int64_t n) { comm_sum_f32(world, x, n); }
static void ask_f64(void *x, int64_t n) { comm_max_f64(world, x, n); }
static void ask_bytes(void *x, int64_t n) { comm_bcast(world, x, (size_t)n, 0); }

static void counts_beyond_int_go_in_pieces(void **state)
{
    (void)state;
    const int64_t counts[] = { 0, 1, 1 << 20, (1 << 20) + 1, 1 << 30, (5LL << 30) + 7 };
    for (int i = 0; i < 6; i++) {
        assert_int_equal(bytes_asked(ask_f32, counts[i]), 4 * counts[i]);
        assert_int_equal(bytes_asked(ask_f64, counts[i]), 8 * counts[i]);
        assert_int_equal(bytes_asked(ask_bytes, counts[i]), counts[i]);
    }
}

/* The ranks' shares lie behind each other: where each must start, in bytes from `anywhere`, and how much of it was seen. */
static struct { bool on; int64_t in[64], out[64], in_seen[64], out_seen[64]; } swapped;

static void note_share(const void *x, int count, int peer, const int64_t *start, int64_t *seen_of)
{
    if (peer == MPI_PROC_NULL)
        return;
    assert_int_equal((intptr_t)x - (intptr_t)&anywhere, start[peer] + seen_of[peer]);
    assert_true(count > 0);
    seen_of[peer] += 4LL * count;
}

int MPI_Sendrecv(const void *out, int nout, MPI_Datatype out_type, int to, int out_tag, void *in, int nin, MPI_Datatype in_type,
                 int from, int in_tag, MPI_Comm comm, MPI_Status *status)
{
    if (!swapped.on)
        return PMPI_Sendrecv(out, nout, out_type, to, out_tag, in, nin, in_type, from, in_tag, comm, status);
    note_share(out, nout, to, swapped.out, swapped.out_seen);
    note_share(in, nin, from, swapped.in, swapped.in_seen);
    return MPI_SUCCESS;
}

static void shares_beyond_int_go_in_pieces(void **state)
{
    (void)state;
    int64_t nin[64], nout[64], in = 0, out = 0;
    memset(&swapped, 0, sizeof swapped);
    for (int r = 0; r < size; r++) {                /* from 0 to some 3 * 2^31; to itself nothing */
        nin[r] = r == rank ? 0 : r * (3LL << 29) + r;
        nout[r] = r == rank ? 0 : (size - 1 - r) * (1LL << 31);
        swapped.in[r] = 4 * in, swapped.out[r] = 4 * out;
        in += nin[r], out += nout[r];
    }
    swapped.on = true;
    comm_exchange_f32(world, (float *)(void *)&anywhere, nin, (const float *)(const void *)&anywhere, nout);
    swapped.on = false;
    for (int r = 0; r < size; r++)
        assert_true(swapped.in_seen[r] == 4 * nin[r] && swapped.out_seen[r] == 4 * nout[r]);
}

/* ---- dying: the hook jumps back here ---- */

static jmp_buf back;
static void jump(int code) { longjmp(back, code); }

/* The exit code with which f dies, 0 if it does not; what it wrote to stderr in text. */
static int dies(void (*f)(void), char *text, size_t bytes)
{
    FILE *catch = tmpfile();
    assert_non_null(catch);
    int err = dup(2);
    fflush(stderr);
    dup2(fileno(catch), 2);
    die_hook = jump;
    int code = setjmp(back);
    if (code == 0)
        f();
    die_hook = NULL;
    fflush(stderr);
    dup2(err, 2);
    close(err);
    rewind(catch);
    text[fread(text, 1, bytes - 1, catch)] = 0;
    fclose(catch);
    return code;
}

static void equal(void) { comm_same(world, "the step", 912); }
static void last_differs(void) { comm_same(world, "the config hash", rank == size - 1 ? 7 : UINT64_MAX); }
static void first_differs(void) { comm_same(world, "the config hash", rank == 0 ? 7 : 8); }
static void bad_root(void) { comm_bcast(world, &(int){0}, sizeof(int), size + 1); }

static void same_dies_where_values_differ(void **state)
{
    (void)state;
    char text[1024], want[256];
    assert_int_equal(dies(equal, text, sizeof text), 0);
    assert_string_equal(text, "");

    int code = dies(last_differs, text, sizeof text);
    snprintf(want, sizeof want, "the config hash is not the same on all ranks: rank 0 has %llu, rank %d has 7 (%d of",
             ULLONG_MAX, size - 1, size - 1);
    assert_int_equal(code, size > 1 ? EXIT_INTERNAL : 0);
    assert_true(size == 1 || strstr(text, want));

    code = dies(first_differs, text, sizeof text);
    snprintf(want, sizeof want, "rank 0 has 7, rank 1 has 8 (1 of %d", size);
    assert_int_equal(code, size > 1 ? EXIT_INTERNAL : 0);
    assert_true(size == 1 || strstr(text, want));
}

static void an_error_dies_with_the_text_of_mpi(void **state)
{
    (void)state;
    char text[1024], reason[MPI_MAX_ERROR_STRING];
    MPI_Error_string(MPI_ERR_ROOT, reason, &(int){0});
    assert_int_equal(dies(bad_root, text, sizeof text), EXIT_INTERNAL);
    assert_non_null(strstr(text, "MPI_Bcast"));
    assert_non_null(strstr(text, reason));
}

/* ---- values ---- */

enum { N = 1000 };

/* Small integers: every order of additions gives the same sum. */
static int value(int r, int i) { return (r + 1) * (i % 37) - 5 * r; }

static void sums_and_maxima(void **state)
{
    (void)state;
    float sf[N], mf[N];
    double sd[N], md[N];
    for (int i = 0; i < N; i++)
        sf[i] = mf[i] = (float)(sd[i] = md[i] = value(rank, i));
    int late = rank;
    CommOp r;
    comm_agree_start(world, &late, &r);
    comm_sum_f32(world, sf, N);
    comm_sum_f64(world, sd, N);
    comm_max_f32(world, mf, N);
    comm_max_f64(world, md, N);
    comm_wait(&r);
    assert_int_equal(late, size - 1);
    for (int i = 0; i < N; i++) {
        int sum = 0, max = INT_MIN;
        for (int k = 0; k < size; k++) {
            sum += value(k, i);
            max = value(k, i) > max ? value(k, i) : max;
        }
        assert_true(sf[i] == (float)sum && sd[i] == sum);
        assert_true(mf[i] == (float)max && md[i] == max);
    }
}

static void what_was_started_ends_by_testing(void **state)
{
    (void)state;
    enum { EACH = 1 << 16 };
    static float x[8 * EACH];
    int count[8], at[8];
    for (int r = 0; r < size; r++)
        count[r] = EACH, at[r] = r * EACH;
    for (int i = 0; i < EACH; i++)
        x[at[rank] + i] = (float)value(rank, i);
    CommOp r;
    comm_collect_start(world, x, (CommPieces){ count, at }, sizeof *x, &r);
    while (!comm_test(&r)) {}
    for (int k = 0; k < size; k++)
        assert_true(x[k * EACH + 36] == (float)value(k, 36));
}

/* Who computes for long and never asks whether it has ended: what comes is there all the same. */
static void what_was_started_moves_meanwhile(void **state)
{
    (void)state;
    enum { EACH = 1 << 18, LAST = EACH - 1, LONGEST = 60 /* seconds */ };
    static volatile float x[8 * EACH];
    int count[8], at[8], there = 0;
    for (int r = 0; r < size; r++)
        count[r] = EACH, at[r] = r * EACH, x[at[r] + LAST] = -1;
    x[at[rank] + LAST] = (float)value(rank, LAST);
    CommOp r;
    comm_collect_start(world, (float *)x, (CommPieces){ count, at }, sizeof *x, &r);
    for (const double since = now(); there < size && now() - since < LONGEST; ) {
        comm_progress();
        there = 0;
        for (int k = 0; k < size; k++)
            there += x[at[k] + LAST] == (float)value(k, LAST);
    }
    comm_wait(&r);
    assert_int_equal(there, size);
}

static void broadcast_from_every_root(void **state)
{
    (void)state;
    for (int root = 0; root < size; root++) {
        int32_t x[3] = { -1, -1, -1 };
        if (rank == root)
            x[0] = x[1] = x[2] = root;
        comm_bcast(world, x, 2 * sizeof *x, root);
        assert_true(x[0] == root && x[1] == root);
        assert_int_equal(x[2], rank == root ? root : -1);
    }
}

/* What rank a sends to rank b, element i; how many: none to some, more than one eager message to others. */
static float share_value(int a, int b, int64_t i) { return (float)(a * 1000 + b * 100 + i % 97); }
static int64_t share_count(int a, int b) { return (a + 2 * b) % 3 * 5000LL; }

static void every_rank_gets_its_share_of_every_rank(void **state)
{
    (void)state;
    enum { MOST = 10000 * 8 };
    static float in[MOST], out[MOST];
    int64_t nin[8], nout[8], at = 0;
    for (int r = 0; r < size; r++) {
        nin[r] = share_count(r, rank);
        nout[r] = share_count(rank, r);
        for (int64_t i = 0; i < nout[r]; i++)
            out[at++] = share_value(rank, r, i);
    }
    comm_exchange_f32(world, in, nin, out, nout);
    at = 0;
    for (int r = 0; r < size; r++)
        for (int64_t i = 0; i < nin[r]; i++)
            assert_true(in[at++] == share_value(r, rank, i));
}

/* Rank r gives 3 r bytes: rank 0 none. */
static void bytes_of_all_lie_one_behind_the_other(void **state)
{
    (void)state;
    uint8_t mine[3 * 64], all[3 * 64 * 64];
    int64_t bytes[64], n = 0;
    memset(mine, 100 + rank, sizeof mine);
    memset(all, 0, sizeof all);
    for (int r = 0; r < size; r++)
        bytes[r] = 3 * r;
    comm_gather_bytes(world, all, mine, bytes);
    for (int r = 0; r < size; r++)
        for (int i = 0; i < 3 * r; i++)
            assert_int_equal(all[n++], 100 + r);
    assert_int_equal(all[n], 0);
}

static void all_learn_the_worst_code(void **state)
{
    (void)state;
    assert_int_equal(comm_agree(world, 0), 0);
    int worst = comm_agree(world, rank == size / 2 ? EXIT_IO : 0);
    assert_int_equal(worst, EXIT_IO);
}

/* Every rank gets everybody's piece; pieces of different lengths, the last rank's empty. */
static void pieces_are_exchanged_and_collected(void **state)
{
    (void)state;
    enum { PIECE = 5 };
    float out[8 * PIECE], in[8 * PIECE], all[8 * PIECE];
    int to[8], to_at[8], from[8], from_at[8], count[8], at[8], total = 0;
    assert_true(size <= 8);
    for (int r = 0; r < size; r++) {
        count[r] = r == size - 1 && size > 1 ? 0 : 1 + r % PIECE;
        at[r] = total;
        total += count[r];
    }
    for (int r = 0; r < size; r++) {
        to[r] = count[r];
        to_at[r] = at[r];
        from[r] = count[rank];
        from_at[r] = r * count[rank];
        for (int i = 0; i < count[r]; i++)
            out[at[r] + i] = (float)(100 * rank + 10 * r + i);
    }
    CommOp x, y;
    comm_exchange_start(world, out, (CommPieces){ to, to_at }, in, (CommPieces){ from, from_at }, sizeof(float), size * total, &x);
    for (int i = 0; i < count[rank]; i++)
        all[at[rank] + i] = (float)(10 * rank + i);
    comm_collect_start(world, all, (CommPieces){ count, at }, sizeof(float), &y);
    comm_wait(&x);
    comm_wait(&y);
    for (int r = 0; r < size; r++) {
        for (int i = 0; i < count[rank]; i++)
            assert_true(in[r * count[rank] + i] == (float)(100 * r + 10 * rank + i));
        for (int i = 0; i < count[r]; i++)
            assert_true(all[at[r] + i] == (float)(10 * r + i));
    }
}

static void one_is_late(void)
{
    double x = 1;
    if (rank == size - 1)
        comm_sum_f64(world, &x, 1);
    else
        comm_barrier(world);
}

static void one_is_longer(void)
{
    static float x[64];
    comm_max_f32(world, x, rank == size - 1 ? 3 : 2);
}

/* Debug builds: the program ends before a collective in which the ranks would not meet, and says who was about to do what. */
static void ranks_that_do_not_do_the_same_are_named(void **state)
{
    (void)state;
    char text[1024], names[128];
    if (!DEBUG_CHECKS || size == 1)
        return;
    assert_int_equal(dies(one_is_late, text, sizeof text), EXIT_INTERNAL);
    snprintf(names, sizeof names, "barrier of 0 bytes; rank %d is at number", size - 1);
    assert_non_null(strstr(text, names));
    assert_non_null(strstr(text, "allreduce of 8 bytes"));
    assert_int_equal(dies(one_is_longer, text, sizeof text), EXIT_INTERNAL);
    assert_non_null(strstr(text, "allreduce (maximum) of 8 bytes"));
    assert_non_null(strstr(text, "allreduce (maximum) of 12 bytes"));
}

static void statistics_name_the_slowest(void **state)
{
    (void)state;
    enum { MANY = 70 };                             /* more than one message */
    double x[MANY];
    Stat s[MANY];
    for (int i = 0; i < MANY; i++)
        x[i] = i + (double)((rank + i) % size);     /* rank size-1-i (mod size) is the slowest */
    x[3] = 4;                                       /* a tie goes to the lowest rank */
    stats_gather(world, x, MANY, s);
    for (int i = 0; i < MANY; i++) {
        if (i == 3)
            continue;
        assert_true(s[i].min == i && s[i].max == i + size - 1);
        assert_true(s[i].mean == i + (size - 1) / 2.0);
        assert_int_equal((s[i].argmax + i) % size, size - 1);
    }
    assert_true(s[3].min == 4 && s[3].mean == 4 && s[3].max == 4);
    assert_int_equal(s[3].argmax, 0);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    world = comm_split(MPI_COMM_WORLD, 0, comm_rank(MPI_COMM_WORLD));
    rank = comm_rank(world);
    size = comm_size(world);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_beyond_int_go_in_pieces),
        cmocka_unit_test(shares_beyond_int_go_in_pieces),
        cmocka_unit_test(same_dies_where_values_differ),
        cmocka_unit_test(an_error_dies_with_the_text_of_mpi),
        cmocka_unit_test(sums_and_maxima),
        cmocka_unit_test(what_was_started_ends_by_testing),
        cmocka_unit_test(what_was_started_moves_meanwhile),
        cmocka_unit_test(broadcast_from_every_root),
        cmocka_unit_test(every_rank_gets_its_share_of_every_rank),
        cmocka_unit_test(bytes_of_all_lie_one_behind_the_other),
        cmocka_unit_test(all_learn_the_worst_code),
        cmocka_unit_test(pieces_are_exchanged_and_collected),
        cmocka_unit_test(ranks_that_do_not_do_the_same_are_named),
        cmocka_unit_test(statistics_name_the_slowest),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_barrier(world);
    comm_free(&world);
    MPI_Finalize();
    return failed;
}
