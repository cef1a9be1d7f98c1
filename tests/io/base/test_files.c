/*
 * Paths that do not fit are errors; what is finished gets its name, file or folder, and never half.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"

static char home[] = "/tmp/asvr-files-XXXXXX";

static const char *at(char out[PATH_ROOM], const char *name)
{
    Err e = { 0 };
    assert_true(path_set(out, &e, "%s/%s", home, name));
    return out;
}

static void a_long_path_is_an_error(void **state)
{
    (void)state;
    char name[PATH_ROOM + 10], path[PATH_ROOM];
    Err e = { 0 };
    memset(name, 'x', sizeof name);
    name[PATH_ROOM - 1] = 0;
    assert_true(path_set(path, &e, "%s", name));
    assert_string_equal(path, name);
    assert_false(path_set(path, &e, "%s/y", name));
    assert_int_equal(e.code, EXIT_IO);
    assert_non_null(strstr(e.what, "too long"));
    assert_string_equal(path, "");
    e = (Err){ 0 };
    assert_false(file_replace(name, "", 0, &e));               /* its temporary name is longer */
    assert_int_equal(e.code, EXIT_IO);
}

static void the_folder_of_a_path(void **state)
{
    (void)state;
    static const char *const all[][2] = { { "a/b/c", "a/b" }, { "/a", "/" }, { "a", "." }, { "/a/b", "/a" }, { "a/", "a" } };
    char folder[PATH_ROOM];
    Err e = { 0 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_true(path_folder(folder, all[i][0], &e));
        assert_string_equal(folder, all[i][1]);
    }
}

static void what_is_finished_gets_its_name(void **state)
{
    (void)state;
    char a[PATH_ROOM], b[PATH_ROOM], *text;
    size_t n;
    Err e = { 0 };
    assert_true(file_replace(at(a, "x"), "new", 3, &e) && file_replace(at(b, "y"), "old", 3, &e));
    assert_true(file_commit(a, b, &e));
    assert_int_equal(access(a, F_OK), -1);
    assert_true(file_read(b, 10, &text, &n, &e));
    assert_string_equal(text, "new");
    free(text);
    assert_true(dir_make(at(a, "folder/deep"), &e));
    assert_true(file_commit(at(a, "folder"), at(b, "named"), &e));
    assert_int_equal(access(at(b, "named/deep"), F_OK), 0);
    assert_true(dir_make(at(a, "folder"), &e));
    assert_false(file_commit(a, at(b, "named"), &e));           /* not empty */
    assert_int_equal(e.code, EXIT_IO);
    e = (Err){ 0 };
    assert_false(file_commit(at(a, "nothing"), at(b, "z"), &e));
    assert_int_equal(e.code, EXIT_IO);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(home) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return dir_remove(home, &(Err){ 0 }) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_path_is_an_error), cmocka_unit_test(the_folder_of_a_path),
        cmocka_unit_test(what_is_finished_gets_its_name),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
