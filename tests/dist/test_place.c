/* Who computes on which cores: machines that hwloc makes up, and this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dist/comm.h"
#include "dist/place.h"

enum { MOST = 16 };
static int rank, size;

static int has(const CpuMask *m, int cpu) { return CPU_ISSET(cpu % CPU_SETSIZE, &m->part[cpu / CPU_SETSIZE]) != 0; }

static CpuMask cpus(int first, int n)
{
    CpuMask m = { 0 };
    for (int cpu = first; cpu < first + n; cpu++)
        CPU_SET(cpu % CPU_SETSIZE, &m.part[cpu / CPU_SETSIZE]);
    return m;
}

/* "0-15,64-79": what a person would read in /proc. */
static const char *text(const CpuMask *m, char out[256])
{
    size_t n = 0;
    out[0] = 0;
    for (int cpu = 0, to; cpu < MASK_CPUS; cpu = to + 1) {
        for (to = cpu; to < MASK_CPUS && has(m, to); to++)
            ;
        if (to > cpu)
            n += (size_t)snprintf(out + n, 256 - n, to == cpu + 1 ? "%s%d" : "%s%d-%d", n ? "," : "", cpu, to - 1);
    }
    return out;
}

/* Ranks that all may run on CPUs [0, cpus) of a machine get these. */
static void divides(const char *machine, int all, int n, const char *const want[])
{
    static Machine m;
    CpuMask mask[MOST];
    CpuPlace place[MOST] = { 0 };
    machine_read(&m, machine);
    for (int r = 0; r < n; r++)
        mask[r] = cpus(0, all);
    place_plan(&m, true, n, mask, place);
    for (int r = 0; r < n; r++) {
        char is[256];
        assert_int_equal(place[r].kind, n == 1 ? PLACE_OWN : PLACE_DIVIDED);
        assert_string_equal(text(&mask[r], is), want[r]);
    }
}

/* hwloc numbers the CPUs of this machine core by core: core 0 has the CPUs 0 and 1.  Linux often does not: see the next test. */
static void packages_cores_and_hardware_threads_stay_together(void **state)
{
    (void)state;
    const char *two = "pack:2 [numa] core:16 pu:2";
    divides(two, 64, 1, (const char *const[]){ "0-63" });
    divides(two, 64, 2, (const char *const[]){ "0-31", "32-63" });
    divides(two, 64, 3, (const char *const[]){ "0-19", "20-41", "42-63" });                     /* 10, 11 and 11 cores */
    divides(two, 64, 4, (const char *const[]){ "0-15", "16-31", "32-47", "48-63" });
    divides(two, 64, 8, (const char *const[]){ "0-7", "8-15", "16-23", "24-31", "32-39", "40-47", "48-55", "56-63" });
    divides("core:1 pu:1", 1, 1, (const char *const[]){ "0" });
}

/* CPUs dealt round robin, as Linux numbers them: of 2 packages x 2 cores x 2 threads the first package has 0 2 4 6. */
static void the_order_is_the_machines_not_that_of_numbers(void **state)
{
    (void)state;
    const char *odd = "pack:2 [numa] core:2 pu:2(indexes=0,4,2,6,1,5,3,7)";
    divides(odd, 8, 2, (const char *const[]){ "0,2,4,6", "1,3,5,7" });
    divides(odd, 8, 4, (const char *const[]){ "0,4", "2,6", "1,5", "3,7" });
}

typedef struct { const char *machine; bool bind; int n; CpuMask mask[4]; int kind[4], threads[4], ranks[4]; } Case;

/* Masks as launchers leave them. */
static void masks_decide_what_becomes_of_ranks(void **state)
{
    (void)state;
    static Machine m;
    static const char *two = "pack:2 [numa] core:16 pu:2", *flat = "core:64 pu:1", *smt = "core:2 pu:2";
    enum { O = PLACE_OWN, D = PLACE_DIVIDED, S = PLACE_SHARED };
    const Case c[] = {
        { two, true, 2, { cpus(0, 32), cpus(32, 32) }, { O, O }, { 16, 16 }, { 1, 1 } },                    /* each a package */
        { two, true, 4, { cpus(0, 32), cpus(0, 32), cpus(32, 32), cpus(32, 32) }, { D, D, D, D }, { 8, 8, 8, 8 }, { 1, 1, 1, 1 } },
        { flat, true, 3, { cpus(0, 7), cpus(7, 1), cpus(8, 56) }, { O, O, O }, { 7, 1, 56 }, { 1, 1, 1 } },
        { flat, true, 3, { cpus(0, 64), cpus(0, 64), cpus(0, 64) }, { D, D, D }, { 21, 21, 22 }, { 1, 1, 1 } },
        { flat, false, 3, { cpus(0, 64), cpus(0, 64), cpus(0, 64) }, { S, S, S }, { 21, 21, 21 }, { 3, 3, 3 } },
        { flat, true, 4, { cpus(0, 10), cpus(8, 10), cpus(16, 10), cpus(24, 2) }, { S, S, S, S }, { 5, 3, 3, 1 }, { 2, 3, 3, 2 } },
        { flat, true, 3, { cpus(0, 8), cpus(4, 8), cpus(20, 4) }, { S, S, O }, { 4, 4, 4 }, { 2, 2, 1 } },
        { flat, true, 3, { cpus(3, 1), cpus(3, 1), cpus(3, 1) }, { S, S, S }, { 1, 1, 1 }, { 3, 3, 3 } },
        { smt, true, 2, { cpus(0, 4), cpus(0, 4) }, { D, D }, { 1, 1 }, { 1, 1 } },
        { smt, true, 3, { cpus(0, 4), cpus(0, 4), cpus(0, 4) }, { S, S, S }, { 1, 1, 1 }, { 3, 3, 3 } },     /* 4 CPUs, but 2 cores */
        { smt, true, 2, { cpus(0, 1), cpus(1, 1) }, { O, O }, { 1, 1 }, { 1, 1 } },                         /* a hardware thread each */
        { smt, true, 2, { cpus(2000, 4), cpus(2000, 4) }, { D, D }, { 2, 2 }, { 1, 1 } },                   /* hwloc knows nothing of these */
    };
    for (size_t k = 0; k < sizeof c / sizeof *c; k++) {
        CpuMask mask[4];
        CpuPlace place[4] = { 0 };
        machine_read(&m, c[k].machine);
        memcpy(mask, c[k].mask, sizeof mask);
        place_plan(&m, c[k].bind, c[k].n, mask, place);
        for (int r = 0; r < c[k].n; r++) {
            assert_int_equal(place[r].kind, c[k].kind[r]);
            assert_int_equal(place_threads(&place[r]), c[k].threads[r]);
            assert_int_equal(place[r].ranks, c[k].ranks[r]);
            if (place[r].kind != PLACE_DIVIDED)
                assert_memory_equal(&mask[r], &c[k].mask[r], sizeof mask[r]);
            for (int q = 0; q < r && place[r].kind == PLACE_DIVIDED; q++)
                for (int cpu = 0; cpu < MASK_CPUS; cpu++)
                    assert_false(has(&mask[q], cpu) && has(&mask[r], cpu));
        }
    }
}

/* OMP_PROC_BIND has tied threads already: dividing would leave them where they are. */
static void what_openmp_has_pinned_is_left(void **state)
{
    (void)state;
    static Machine m;
    CpuMask mask[2] = { cpus(0, 8), cpus(0, 8) };
    CpuPlace place[2] = { { .pinned = true }, { .pinned = true } };
    machine_read(&m, "core:8 pu:1");
    place_plan(&m, true, 2, mask, place);
    assert_int_equal(place[0].kind, PLACE_SHARED);
    assert_true(place[0].pinned);
}

/* What a node is: for the line that a run prints. */
static void the_node_is_counted(void **state)
{
    (void)state;
    static Machine m;
    CpuMask mask[2] = { cpus(0, 8), cpus(32, 8) };
    CpuPlace place[2] = { 0 };
    machine_read(&m, "pack:2 [numa] core:16 pu:2");
    assert_int_equal(m.domains, 2);
    place_plan(&m, true, 2, mask, place);
    assert_int_equal(place[1].cores, 4);
    assert_int_equal(place[1].cpus, 8);
    assert_int_equal(place[1].node.allowed, 32);
    assert_int_equal(place[1].node.cores, 8);
    assert_int_equal(place[1].node.domains, 2);
}

/* This machine: bound where there is a core for each, and all that starts later with it. */
static void a_rank_is_bound_to_its_share(void **state)
{
    (void)state;
    cpu_set_t before, after, all[MOST];
    Grid g;
    CpuPlace p;
    grid_open(&g, MPI_COMM_WORLD, size);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    place_open(&p, &g, false);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(p.kind, size == 1 ? PLACE_OWN : PLACE_SHARED);
    const int cores = p.cores;                                  /* of a mask that all have */
    place_open(&p, &g, true);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_int_equal(p.kind, size == 1 ? PLACE_OWN : cores >= size ? PLACE_DIVIDED : PLACE_SHARED);
    assert_int_equal(p.node.cores, cores);
    comm_gather(g.world, &after, all, sizeof after);
    for (int r = 0; r < size && p.kind == PLACE_DIVIDED; r++)
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            assert_true(r == rank || !CPU_ISSET(cpu, &all[r]) || !CPU_ISSET(cpu, &after));
    if (p.kind == PLACE_SHARED)
        assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    comm_barrier(g.world);
    grid_close(&g);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    rank = comm_rank(MPI_COMM_WORLD);
    size = comm_size(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packages_cores_and_hardware_threads_stay_together),
        cmocka_unit_test(the_order_is_the_machines_not_that_of_numbers),
        cmocka_unit_test(masks_decide_what_becomes_of_ranks),
        cmocka_unit_test(what_openmp_has_pinned_is_left),
        cmocka_unit_test(the_node_is_counted),
        cmocka_unit_test(a_rank_is_bound_to_its_share),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
