/*
 * JSON files: any name is escaped, what is not finite is null, each row has a line, and the file appears whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/base/json.h"

static char home[] = "/tmp/asvr-json-XXXXXX", path[64];

static json_t *example(void)
{
    json_t *tasks = json_object(), *list = json_array(), *root = json_pack("{s:i, s:o, s:o}", "step", 6, "loss", json_or_null(1.0 / 3),
                                                                          "none", json_or_null(NAN));
    json_set(tasks, "say \"hi\" \\ \n", json_pack("{s:i}", "n", 2));
    json_set(tasks, "caf\xc3\xa9 \xff\xc3", json_pack("{s:i}", "n", 3));
    json_array_append_new(list, json_or_null(2));
    json_array_append_new(list, json_text("\xe4 cat"));
    json_object_set_new(root, "tasks", tasks);
    json_object_set_new(root, "empty", json_array());
    json_object_set_new(root, "list", list);
    return root;
}

static void holds(const char *want)
{
    char *text;
    size_t n;
    Err e = { 0 };
    assert_true(file_read(path, 1 << 16, &text, &n, &e));
    assert_string_equal(text, want);
    json_t *back = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(back);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(back, "tasks"), "say \"hi\" \\ \n"), "n")), 2);
    json_decref(back);
    free(text);
    assert_int_equal(unlink(path), 0);
}

static void rows_have_a_line_each(void **state)
{
    (void)state;
    Err e = { 0 };
    assert_true(json_write_rows(path, example(), 7, &e));
    holds("{\"step\": 6, \"loss\": 0.3333333, \"none\": null,\n"
          " \"tasks\": {\n"
          "  \"say \\\"hi\\\" \\\\ \\n\": {\"n\": 2},\n"
          "  \"caf\xc3\xa9 ?\?\": {\"n\": 3}},\n"
          " \"empty\": [],\n"
          " \"list\": [\n"
          "  2.0,\n"
          "  \"? cat\"]}\n");
}

static void keys_have_a_line_each(void **state)
{
    (void)state;
    Err e = { 0 };
    json_t *root = example();
    json_object_del(root, "list");
    assert_true(json_write(path, root, 3, &e));
    holds("{\n \"step\": 6,\n \"loss\": 0.333,\n \"none\": null,\n \"tasks\": {\n  \"say \\\"hi\\\" \\\\ \\n\": {\n   \"n\": 2\n  },\n"
          "  \"caf\xc3\xa9 ?\?\": {\n   \"n\": 3\n  }\n },\n \"empty\": []\n}\n");
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    Err e = { 0 };
    assert_false(json_write("/nowhere/x.json", example(), 7, &e));
    assert_int_equal(e.code, EXIT_IO);
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(home));
    snprintf(path, sizeof path, "%s/x.json", home);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(home);         /* no temporary file is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_a_line_each), cmocka_unit_test(keys_have_a_line_each),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
