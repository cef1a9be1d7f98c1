/* Paths below a folder: as it is named, through links, absolute, and every way out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/source/root.h"

static char dir[PATH_MAX];                  /* real/{a,sub/b}, real/{in -> sub, out -> ../else, up -> .., deep -> ../else/c}, else/c, named -> real */

static const char *at(const char *name)
{
    static char path[8][PATH_MAX + 64];
    static int k;
    snprintf(path[k = (k + 1) % 8], sizeof path[0], "%s/%s", dir, name);
    return path[k];
}

/* The folder by `folder`; "" in `gives`: refused, with `what`. */
static void one(const char *folder, bool follow, const char *named, const char *gives, const char *what)
{
    Root r;
    Err e = { 0 };
    char path[PATH_MAX] = "";
    int64_t size = -1;
    assert_true(root_open(&r, folder, follow, &e));
    const bool ok = root_file(&r, named, path, &size, &e);
    if (ok != (gives[0] != 0))
        fail_msg("%s below %s: %s", named, folder, ok ? path : e.what);
    if (ok) {
        assert_string_equal(path, gives);
        assert_int_equal(size, 3);
    } else {
        assert_int_equal(e.code, EXIT_DATA);
        if (!strstr(e.what, what))
            fail_msg("%s below %s: %s", named, folder, e.what);
        assert_memory_equal(e.got, named, strlen(e.got));
    }
}

static void below(void **state)
{
    (void)state;
    static const char *const names[][2] = { { "a", "a" }, { "./a", "a" }, { ".//a", "a" }, { "sub/b", "sub/b" }, { "sub//./b", "sub/b" }, { "sub/../a", "a" },
                                            { "none/../sub/x/../b", "sub/b" }, { "in/b", "in/b" }, { "in/../sub/b", "sub/b" }, { "a/", "a" } };
    for (int follow = 0; follow < 2; follow++)
        for (int i = 0; i < 10; i++) {
            char path[64];
            snprintf(path, sizeof path, "real/%s", names[i][1]);
            one(at("real"), follow, names[i][0], at(path), "");
        }
}

static void as_named(void **state)
{
    (void)state;
    for (int follow = 0; follow < 2; follow++) {
        one(at("named"), follow, "sub/b", at("named/sub/b"), "");
        one(at("named/"), follow, "a", at("named/a"), "");
        one(at("real/../named//"), follow, "a", at("real/../named/a"), "");
        /* absolute: as the folder is written, or by its real path */
        one(at("named"), follow, at("named/a"), at("named/a"), "");
        one(at("named"), follow, at("named/.//sub/../a"), at("named/a"), "");
        one(at("named"), follow, at("real/a"), at("named/a"), "");
        one(at("real"), follow, at("named/a"), at("real/a"), "");
        one(at("real/../named"), follow, at("named/sub/b"), at("real/../named/sub/b"), "");
        one(at("named"), follow, at("none"), "", "not below");
        one(at("named"), follow, at("named/none"), "", "missing");
        one(at("named"), follow, at("real/none"), "", "missing");
        one(at("real"), follow, at("else/c"), "", "not below");
        one(at("real"), follow, at("real/../else/c"), "", "not below");
        one(at("real"), follow, at("real.old"), "", "not below");
        one("/", follow, at("real/a"), at("real/a"), "");
        one("/", follow, at("real/a") + 1, at("real/a"), "");
    }
}

static void links(void **state)
{
    (void)state;
    static const char *const out[] = { "out/c", "up/else/c", "deep" };
    for (int i = 0; i < 3; i++) {
        char named[64], real[64];
        snprintf(named, sizeof named, "named/%s", out[i]);
        snprintf(real, sizeof real, "real/%s", out[i]);
        one(at("named"), true, out[i], at(named), "");
        one(at("named"), false, out[i], "", "symbolic link");
        one(at("real"), true, at(real), at(real), "");
        one(at("real"), false, at(real), "", "symbolic link");
    }
    one(at("real"), true, "up/real/a", at("real/up/real/a"), "");
    one(at("real"), false, "up/real/a", at("real/up/real/a"), "");       /* it comes back */
    one(at("real"), true, "loop", "", "missing");
}

static void refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        { "..", "\"..\"" }, { "../else/c", "\"..\"" }, { "sub/../../real/a", "\"..\"" }, { "./../real/a", "\"..\"" }, { "/..", "\"..\"" },
        { "none", "missing" }, { "a/b", "missing" }, { "sub", "not a file" }, { "", "not a file" }, { ".", "not a file" },
        { "http://x/a", "an address" }, { "s3://x/a", "an address" }, { "hf+x.y-1://x", "an address" }, { "data:,x", "\"data:\"" },
        { "/etc/passwd", "not below" }, { "~/a", "missing" },
    };
    for (int i = 0; i < 16; i++)
        for (int follow = 0; follow < 2; follow++)
            one(at("real"), follow, bad[i][0], "", bad[i][1]);
    char *path = malloc(PATH_MAX + 10);
    for (int n = PATH_MAX - 3; n < PATH_MAX + 3; n++) {
        memset(path, 'x', (size_t)n);
        path[n] = 0;
        one(at("real"), true, path, "", "too long");
        memset(path, '/', (size_t)n);
        path[n - 1] = 'a';
        one("/", true, path, "", n < PATH_MAX - 1 ? "missing" : "too long");
    }
    free(path);
    one("", true, "a", "", "no folder of pictures");
    one(NULL, true, "/etc/passwd", "", "no folder of pictures");
    Root r;
    Err e = { 0 };
    assert_false(root_open(&r, at("none"), true, &e));
    assert_int_equal(e.code, EXIT_DATA);
    e = (Err){ 0 };
    assert_false(root_open(&r, at("real/a"), true, &e));
    assert_int_equal(e.code, EXIT_DATA);
}

static int setup(void **state)
{
    (void)state;
    Err e = { 0 };
    char base[PATH_MAX];
    snprintf(base, sizeof base, "%s/asvr-root-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_true(mkdtemp(base) && realpath(base, dir));
    assert_true(mkdir(at("real"), 0777) == 0 && mkdir(at("real/sub"), 0777) == 0 && mkdir(at("else"), 0777) == 0);
    static const char *const file[] = { "real/a", "real/sub/b", "else/c", "real.old" }, *const link[][2] = {
        { "sub", "real/in" }, { "../else", "real/out" }, { "..", "real/up" }, { "../else/c", "real/deep" }, { "loop", "real/loop" }, { "real", "named" } };
    for (int i = 0; i < 4; i++)
        assert_true(file_replace(at(file[i]), "abc", 3, &e));
    for (int i = 0; i < 6; i++)
        assert_int_equal(symlink(link[i][0], at(link[i][1])), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    Err e = { 0 };
    return dir_remove(dir, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(below), cmocka_unit_test(as_named), cmocka_unit_test(links), cmocka_unit_test(refused) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
