/* Lists of nodes, there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/base/hosts.h"

static const char *fold(const char *const name[], int n)
{
    static char out[256];
    static Host all[64];
    memset(all, 0, sizeof all);
    for (int i = 0; i < n; i++)
        snprintf(all[i], HOST_NAME, "%s", name[i]);
    hosts_fold(all, n, out, sizeof out);
    return out;
}
#define FOLD(...) fold((const char *const[]){ __VA_ARGS__ }, (int)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)))

static void names_fold_into_ranges(void **state)
{
    (void)state;
    assert_string_equal(FOLD("n1"), "n1");
    assert_string_equal(FOLD("n7", "n3", "login", "n1", "n2"), "login,n[1-3,7]");
    assert_string_equal(FOLD("n9", "n10", "n11"), "n9,n[10-11]");              /* other digits, another entry */
    assert_string_equal(FOLD("x08", "x10", "x09"), "x[08-10]");
    assert_string_equal(FOLD("n1", "n1", "n2"), "n[1-2]");                     /* two ranks of a node */
    assert_string_equal(FOLD("r1i0n1", "r1i0n2", "r1i1n1"), "r1i0n[1-2],r1i1n1");
    assert_string_equal(FOLD("a", "b"), "a,b");
    assert_string_equal(FOLD("n12345678901", "n12345678902"), "n12[345678901-345678902]");
}

static void what_does_not_fit_is_dots(void **state)
{
    (void)state;
    char out[24];
    Host all[3] = { "alpha", "beta-beta", "gamma-gamma" };
    hosts_fold(all, 3, out, sizeof out);
    assert_string_equal(out, "alpha,beta-beta,...");
}

static void a_thousand_nodes_and_holes(void **state)
{
    (void)state;
    enum { N = 1000 };
    static Host all[N];
    char out[4096];
    for (int i = 0; i < N; i++)
        snprintf(all[i], HOST_NAME, "nid%06d", 7 * i % N + 1);
    hosts_fold(all, N, out, sizeof out);
    assert_string_equal(out, "nid[000001-001000]");
    for (int i = 0; i < N / 2; i++)
        snprintf(all[i], HOST_NAME, "nid%06d", 2 * i);                         /* no two are neighbours: more than one entry */
    hosts_fold(all, N / 2, out, sizeof out);
    int n;
    Host *back = hosts_unfold(out, &n);
    assert_int_equal(n, N / 2);
    assert_memory_equal(back, all, sizeof *all * N / 2);
    free(back);
}

static void unfolds(const char *list, const char *want)
{
    int n;
    char is[512] = "";
    Host *name = hosts_unfold(list, &n);
    for (int i = 0; i < n; i++)
        snprintf(is + strlen(is), sizeof is - strlen(is), "%s%s", i ? " " : "", name[i]);
    free(name);
    assert_string_equal(is, want);
}

static void lists_unfold(void **state)
{
    (void)state;
    unfolds("n1", "n1");
    unfolds("n[1-3,7],login", "n1 n2 n3 n7 login");
    unfolds("x[08-10]", "x08 x09 x10");
    unfolds("r[1-2]n[01-02],m", "r1n01 r1n02 r2n01 r2n02 m");
    unfolds("n[9-11]-ib", "n9-ib n10-ib n11-ib");
}

static void what_is_no_list_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "n[", "n[1", "n[]", "n[2-1]", "n[1-]", "n[a]", "n[1-2", "n[1-99999999999]", "n[1;2]", ",", "n[-1]",
                                       "a[1-9]b[1-9]c[1-9]d[1-9]e[1-9]", "n[1-999999999]" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        unfolds(bad[i], "");
    char far[1024];
    memset(far, 'n', sizeof far);
    far[sizeof far - 1] = 0;
    unfolds(far, "");
}

static void a_node_has_the_name_that_slurm_gave(void **state)
{
    (void)state;
    Host host;
    setenv("SLURMD_NODENAME", "n7", 1);
    host_self(host);
    assert_string_equal(host, "n7");
    unsetenv("SLURMD_NODENAME");
    host_self(host);
    assert_true(host[0] && !strchr(host, '.'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_fold_into_ranges),
        cmocka_unit_test(what_does_not_fit_is_dots),
        cmocka_unit_test(a_thousand_nodes_and_holes),
        cmocka_unit_test(lists_unfold),
        cmocka_unit_test(what_is_no_list_is_none),
        cmocka_unit_test(a_node_has_the_name_that_slurm_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
