/* Measuring and carving: one layout function, run twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <omp.h>

#include "core/rows.h"
#include "tests/core/dies.h"

typedef struct { char *a; double *b; float *none, *inner; } Layout;

/* 5 bytes, 9 doubles and nothing; below them two temporary uses of which the larger counts. */
static void layout(Layout *t, Arena *a)
{
    t->a = TAKE(a, char, 5);
    t->b = TAKE(a, double, 9);
    t->none = TAKE(a, float, 0);
    ArenaMark m = arena_mark(a);
    t->inner = TAKE(a, float, 100);
    arena_release(a, m);
    TAKE(a, float, 20);
    arena_release(a, m);
}

static void carves_what_it_measured(void **state)
{
    (void)state;
    Arena a = { .name = "test" };
    Layout t;
    size_t before = mem_total();
    layout(&t, &a);
    assert_null(t.a), assert_null(t.inner);
    assert_int_equal(a.size, 64 + 128 + 448);            /* multiples of 64; the 20 floats lie where the 100 lay */
    arena_alloc(&a);
    assert_int_equal(mem_total() - before, a.size);
    layout(&t, &a);
    assert_int_equal((uintptr_t)t.a % 64, 0);
    assert_ptr_equal(t.b, t.a + 64);
    assert_ptr_equal(t.inner, t.a + 64 + 128);
    for (size_t i = 0; i < a.size; i++)
        assert_int_equal(a.base[i], 0);
    memset(a.base, 1, a.size);
    arena_free(&a);
    assert_int_equal(mem_total(), before);
    assert_null(a.base);
    arena_free(&a);                                      /* again does nothing */
    assert_int_equal(mem_total(), before);
}

/* Can this process read it? */
static bool readable(const void *p)
{
    int end[2];
    assert_int_equal(pipe(end), 0);
    const bool yes = syscall(SYS_write, end[1], p, 1) == 1;         /* not by way of a sanitizer, which would look itself */
    close(end[0]), close(end[1]);
    return yes;
}

/* Tensors have addresses alone, lists memory, zeroed; what was measured still counts. */
static void lies_nowhere(void **state)
{
    (void)state;
    enum { MANY = 1 << 20 };
    Arena a = { .name = "test" };
    const size_t before = mem_total();
    for (int pass = 0; pass < 2; pass++) {
        float *x = TAKE(&a, float, (int64_t)MANY << 20), *y = TAKE(&a, float, 1);
        int32_t *list = LIST(&a, int32_t, MANY);
        if (pass == 0) {
            arena_nowhere(&a);
            continue;
        }
        assert_ptr_equal(y, x + ((int64_t)MANY << 20));
        assert_false(readable(x) || readable(y));
        arena_forget(x, 1 << 20);
        assert_int_equal((uintptr_t)list % 64, 0);
        assert_int_equal(list[0], 0);
        assert_int_equal(list[MANY - 1], 0);
        list[0] = list[MANY - 1] = 1;
    }
    assert_int_equal(mem_total(), before);
    assert_true(DIES(TAKE(&a, float, 1)));
    arena_free(&a);
    assert_null(a.base), assert_null(a.lists);
}

/* Pages of 2 MiB, zeroed by several threads whose shares are no multiple of anything. */
static void large_ones_are_zero_to_the_end(void **state)
{
    (void)state;
    enum { LARGE = (1 << 25) + 3 * 64 };
    for (int threads = 1; threads <= 7; threads += 3) {
        Arena a = { .name = "large" };
        omp_set_num_threads(threads);
        TAKE(&a, char, LARGE);
        arena_alloc(&a);
        assert_int_equal((uintptr_t)a.base % (1 << 21), 0);
        for (size_t i = 0; i < LARGE; i++)
            if (a.base[i])
                fail_msg("byte %zu is not zero", i);
        memset(a.base, 1, LARGE);
        arena_free(&a);
    }
}

static size_t resident(const Arena *a)
{
    static unsigned char page[1 << 14];
    const size_t each = (size_t)sysconf(_SC_PAGESIZE), pages = (a->size + each - 1) / each;
    size_t n = 0;
    assert_true(pages <= sizeof page);
    assert_int_equal(mincore(a->base, a->size, page), 0);
    for (size_t i = 0; i < pages; i++)
        n += page[i] & 1;
    return n;
}

/* A page where one byte was written, also where the kernel has huge ones to give; none that was forgotten whole. */
static void fleeting_ones_hold_what_is_written(void **state)
{
    (void)state;
    enum { LARGE = (1 << 25) + 100, FROM = 5000, TO = LARGE - 9000 };
    const size_t each = (size_t)sysconf(_SC_PAGESIZE), before = mem_total();
    Arena a = { .name = "fleeting", .fleeting = true };
    TAKE(&a, char, LARGE);
    arena_alloc(&a);
    assert_int_equal(mem_total(), before);
    assert_int_equal(resident(&a), 0);
    for (size_t i = 0; i < LARGE; i += each << 10)
        a.base[i] = 1;
    assert_int_equal(resident(&a), 1 + LARGE / (each << 10));
    memset(a.base, 1, LARGE);
    arena_forget(a.base + FROM, TO - FROM);
    assert_true(resident(&a) <= FROM / each + 1 + (LARGE - TO) / each + 2);
    arena_forget(a.base + 10, 20);                       /* inside of a page */
    for (int i = 0; i < LARGE; i++)
        if (a.base[i] != ((i < FROM && (i < 10 || i >= 30)) || i >= TO))
            fail_msg("byte %d is %d", i, a.base[i]);
    arena_free(&a);
    assert_int_equal(mem_total(), before);
}

static void asks_no_more_than_was_measured(void **state)
{
    (void)state;
    Arena a = { .name = "test" };
    TAKE(&a, float, 16);
    arena_alloc(&a);
    assert_non_null(TAKE(&a, float, 16));
    assert_true(DIES(TAKE(&a, char, 1)));
    arena_free(&a);
}

static void counts_do_not_wrap(void **state)
{
    (void)state;
    Arena a = { .name = "test" };
    assert_true(DIES(TAKE(&a, double, INT64_MAX)));
    assert_true(DIES(TAKE(&a, double, -1)));
}

static void empty_arena_can_be_carved(void **state)
{
    (void)state;
    Arena a = { .name = "test" };
    arena_alloc(&a);
    assert_non_null(TAKE(&a, float, 0));
    assert_true(DIES(TAKE(&a, float, 1)));
    arena_free(&a);
}

static void frozen_memory_does_not_grow(void **state)
{
    (void)state;
    Arena a = { .name = "test" };
    TAKE(&a, float, 1);
    mem_freeze();
    assert_true(DIES(arena_alloc(&a)));
    mem_thaw();
    assert_false(DIES(arena_alloc(&a)));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carves_what_it_measured),   cmocka_unit_test(large_ones_are_zero_to_the_end), cmocka_unit_test(fleeting_ones_hold_what_is_written),
        cmocka_unit_test(asks_no_more_than_was_measured),
        cmocka_unit_test(counts_do_not_wrap),        cmocka_unit_test(empty_arena_can_be_carved),
        cmocka_unit_test(frozen_memory_does_not_grow), cmocka_unit_test(lies_nowhere),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
