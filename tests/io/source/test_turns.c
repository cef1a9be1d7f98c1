/* Records in the forms that people have, one table: what is read of each, written as "S system | Q question | A answer | P picture". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/files.h"
#include "io/source/llava.h"

static char dir[400], json[440], root[440];

#define H(v)      "{\"from\": \"human\", \"value\": " v "}"
#define G(v)      "{\"from\": \"gpt\", \"value\": " v "}"
#define TALK      "\"conversations\": [" H("\"q\"") ", " G("\"a\"") "]"
#define ROLE(r,c) "{\"role\": \"" r "\", \"content\": " c "}"
#define TEXT(t)   "{\"type\": \"text\", \"text\": \"" t "\"}"
#define IMAGE     "{\"type\": \"image\"}"

static const struct { const char *record, *read; } cases[] = {
    /* turns */
    { "{" TALK "}", "Q q|A a|" },
    { "{\"conversations\": [" G("\"x\"") ", " H("\"q\"") ", " G("\"a\"") "]}", "answer first|Q q|A a|" },
    { "{\"conversations\": [{\"from\": \"system\", \"value\": \"s\"}, " G("\"x\"") ", " H("\"q\"") "]}", "answer first|S s|Q q|" },
    { "{\"conversations\": [{\"from\": \"User\", \"value\": \"q\"}, {\"from\": \"Assistant\", \"value\": \"a\"}, {\"from\": \"human\", \"value\": 3},"
      " {\"from\": \"model\", \"value\": 2.50}]}", "Q q|A a|Q 3|A 2.50|" },
    { "{\"conversation\": [" H("\"q\"") ", {\"from\": \"bot\", \"value\": \"a\", \"score\": NaN, \"ids\": [18446744073709551616]}]}", "Q q|A a|" },
    { "{\"messages\": [" ROLE("system", "\"\"") ", " ROLE("user", "\"q\"") ", " ROLE("assistant", "\"a\"") "]}", "S |Q q|A a|" },
    { "{\"system\": \"s\", \"messages\": [" ROLE("user", "\"q\"") "], \"conversations\": []}", "S s|Q q|" },
    { "{\"texts\": [{\"user\": \"q\", \"assistant\": \"a\", \"source\": \"x\"}, {\"user\": \"r\", \"assistant\": \"b\"}]}", "Q q|A a|Q r|A b|" },
    { "{\"conversations\": \"[{\\\"from\\\": \\\"human\\\", \\\"value\\\": \\\"q \\\\\\\"\\\"}, {\\\"from\\\": \\\"gpt\\\", \\\"value\\\": 7}]\"}", "Q q \"|A 7|" },
    { "{\"conversations\": [" H("\"<image> without a picture\"") ", " G("\"<image> <video>\"") "]}", "Q <image> without a picture|A <image> <video>|" },
    /* parts */
    { "{\"messages\": [" ROLE("user", "[" TEXT("q") "]") ", " ROLE("assistant", "[" TEXT("a") ", " TEXT("b") "]") "]}", "Q q|A ab|" },
    { "{\"images\": [\"a.png\"], \"messages\": [" ROLE("user", "[" IMAGE ", " TEXT("q") "]") "]}", "Q <image>\nq|P a.png|" },
    { "{\"images\": [\"a.png\"], \"messages\": [" ROLE("user", "[" TEXT("q") ", " IMAGE "]") "]}", "Q q<image>|P a.png|" },
    { "{\"images\": [\"a.png\", \"b/c.png\"], \"messages\": [" ROLE("user", "[" TEXT("is ") ", " IMAGE ", " TEXT(" like ") ", " IMAGE ", " TEXT("?") "]") "]}",
      "Q is <image> like <image>\n?|P a.png|P b/c.png|" },
    { "{\"images\": [\"a.png\", \"a.png\"], \"messages\": [" ROLE("user", "[" IMAGE ", " IMAGE ", " TEXT("q") "]") "]}", "Q <image>\n<image>\nq|P a.png|P a.png|" },
    { "{\"messages\": [" ROLE("user", "[{\"type\": \"image\", \"image\": \"b/c.png\"}, \"q\"]") ", " ROLE("assistant", "\"a\"") ", "
      ROLE("user", "[\"r \", {\"type\": \"image_url\", \"image_url\": {\"url\": \"a.png\", \"detail\": \"low\"}}]") "]}", "Q <image>\nq|A a|Q r <image>|P b/c.png|P a.png|" },
    { "{\"image\": \"a.png\", \"messages\": [" ROLE("user", "[{\"image\": \"a.png\"}, {\"text\": \"q\"}]") "]}", "Q <image>\nq|P a.png|" },
    { "{\"images\": [{\"bytes\": null, \"path\": \"a.png\"}], \"messages\": [" ROLE("user", "[{\"type\": \"image\", \"index\": 0, \"text\": null},"
      " {\"type\": \"text\", \"index\": null, \"text\": \"q\", \"image\": null}]") "]}", "Q <image>\nq|P a.png|" },
    /* pairs and captions */
    { "{\"question\": \"q\", \"answer\": 2}", "Q q|A 2|" },
    { "{\"prompt\": \"q\", \"response\": \"a\", \"chosen\": 1}", "Q q|A a|" },
    { "{\"prompt\": \"q\", \"completion\": \"a\", \"image\": \"a.png\"}", "Q q|A a|P a.png|" },
    { "{\"query\": \"<image>q\", \"response\": \"a\", \"history\": [[\"x\", \"y\"]], \"images\": [\"a.png\"]}", "Q x|A y|Q <image>q|A a|P a.png|" },
    { "{\"instruction\": \"q\", \"input\": \"\", \"output\": \"a\"}", "Q q|A a|" },
    { "{\"instruction\": \"q\", \"input\": \"more\", \"output\": \"a\", \"system\": \"s\", \"history\": []}", "S s|Q q\nmore|A a|" },
    { "{\"question\": \"q\", \"caption\": \"c\"}", "Q q|" },
    { "{\"image\": \"a.png\", \"caption\": \"c\"}", "Q |A c|P a.png|" },
    { "{\"file_name\": \"b/c.png\", \"text\": \"c\"}", "Q |A c|P b/c.png|" },
    /* pictures */
    { "{\"image\": \"\", \"video\": null, \"audio\": [], \"images\": false, " TALK "}", "Q q|A a|" },
    { "{\"images\": \"a.png\", " TALK "}", "Q q|A a|P a.png|" },
    { "{\"image_path\": \"b//./c.png\", \"img\": \"b/../b/c.png\", " TALK "}", "Q q|A a|P b/c.png|" },
    { "{\"file_name\": \"c.png\", \"image\": \"b/c.png\", \"crop_image\": \"c.png\", \"frame\": \"b/c.png\", " TALK "}", "Q q|A a|P b/c.png|" },
    { "{\"Picture\": {\"url\": \"file_a.png\", \"path\": null}, " TALK "}", "Q q|A a|P file_a.png|" },
    { "{\"image\": [{\"image\": \"a.png\"}, \"b/c.png\"], " TALK "}", "Q q|A a|P a.png|P b/c.png|" },
    { "{\"image\": \"a.png\", \"image_url\": \"https://example.org/a.png\", \"image_id\": 17, \"image_size\": [3, 4], \"photographer\": \"x\", " TALK "}", "Q q|A a|P a.png|" },
    { "{\"images\": {\"file\": \"b/c.png\", \"at\": 2, \"bytes\": 3}, " TALK "}", "Q q|A a|P b/c.png 2+3|" },
    { "{\"images\": {\"file\": \"b/c.png\", \"row\": 12, \"column\": \"image\", \"index\": 1}, " TALK "}", "Q q|A a|P b/c.png row 12, image 1|" },
    { "{\"images\": [{\"file\": \"b/c.png\", \"row\": 0, \"column\": \"image\"}], " TALK "}", "Q q|A a|P b/c.png row 0, image 0|" },
    /* odds of JSON in what nobody reads */
    { "{\"x\": [NaN, -Infinity, 1e400, 123456789012345678901234567890, \"\xFF\", \"\\ud800\", \"\\u0000\"], \"x\": 1, \"x\": {\"y\": 1, \"y\": 2}, " TALK "}", "Q q|A a|" },
    { "{\"image\": NaN, \"id\": NaN, " TALK "}", "Q q|A a|" },
};

static void read_as_text(char *out, size_t room, const LlavaRecord *r)
{
    const size_t below = strlen(root) + 1;
    FILE *f = fmemopen(out, room, "w");
    fprintf(f, "%s", r->answer_first ? "answer first|" : "");
    if (r->system)
        fprintf(f, "S %s|", r->system);
    for (int i = 0; i < r->n; i++) {
        fprintf(f, "Q %s|", r->turns[i].human);
        if (r->turns[i].answer)
            fprintf(f, "A %s|", r->turns[i].answer);
    }
    for (int i = 0; i < r->images; i++) {
        const PictureRef *p = &r->image[i];
        assert_memory_equal(p->path, root, below - 1);
        fprintf(f, "P %s", p->path + below);
        if (p->bytes)
            fprintf(f, " %lld+%lld", (long long)p->at, (long long)p->bytes);
        if (p->row >= 0)
            fprintf(f, " row %lld, %s %lld", (long long)p->row, p->column, (long long)p->index);
        assert_int_equal(picture_whole(p), !p->bytes && p->row < 0);
        fputs("|", f);
    }
    fclose(f);
}

static void each_is_read(void **state)
{
    (void)state;
    char got[1000];
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++)
        for (int lines = 0; lines < 2; lines++) {
            FILE *f = fopen(json, "w");
            fprintf(f, lines ? "%s\n" : "[\n%s]", cases[i].record);
            fclose(f);
            Err e = { 0 };
            LlavaRecord r;
            Llava *l = llava_open(json, root, true, &e);
            assert_non_null(l);
            if (llava_next(l, &r, &e) != 1)
                fail_msg("%s\nis refused: %s (%s; %s)", cases[i].record, e.what, e.expected, e.got);
            read_as_text(got, sizeof got, &r);
            if (strcmp(got, cases[i].read))
                fail_msg("%s\nwant %s\ngot  %s", cases[i].record, cases[i].read, got);
            assert_int_equal(llava_next(l, &r, &e), 0);
            llava_close(l);
        }
}

/* An id is its text; what is no text has none. */
static void ids(void **state)
{
    (void)state;
    static const char *const id[][2] = { { "17", "17" }, { "-1.50", "-1.50" }, { "123456789012345678901234567890", "123456789012345678901234567890" },
                                         { "\"x\"", "x" }, { "null", "" }, { "[1]", "" }, { "NaN", "" }, { "true", "" } };
    for (int i = 0; i < 8; i++) {
        FILE *f = fopen(json, "w");
        fprintf(f, "[{\"id\": %s, " TALK "}]", id[i][0]);
        fclose(f);
        Err e = { 0 };
        LlavaRecord r;
        Llava *l = llava_open(json, NULL, true, &e);
        assert_int_equal(llava_next(l, &r, &e), 1);
        assert_string_equal(r.id, id[i][1]);
        llava_close(l);
    }
}

/* An error names the record, its byte, the turn, and what to do. */
static void places(void **state)
{
    (void)state;
    static const struct { const char *record, *where, *what; } bad[] = {
        { "{\"conversations\": [" H("\"q\"") ", " G("\"a\"") ", " G("\"b\"") "]}", ": record 1, byte 99, turn 2", "take turns" },
        { "{\"messages\": [" ROLE("user", "[" IMAGE ", {\"type\": \"video\"}]") "]}", ": record 1, byte 99, turn 0", "\"video\"" },
        { "{\"image\": \"none.png\", " TALK "}", ": record 1, byte 99", "missing" },
    };
    for (int i = 0; i < 3; i++) {
        FILE *f = fopen(json, "w");
        const int first = fprintf(f, "[{" TALK "},");
        fprintf(f, "%*s%s]", 99 - first, "", bad[i].record);
        fclose(f);
        char where[480];
        Err e = { 0 };
        LlavaRecord r;
        Llava *l = llava_open(json, root, true, &e);
        assert_int_equal(llava_next(l, &r, &e), 1);
        assert_int_equal(llava_next(l, &r, &e), -1);
        snprintf(where, sizeof where, "%s%s", json, bad[i].where);
        assert_string_equal(e.where, where);
        assert_non_null(strstr(e.what, bad[i].what));
        assert_non_null(strstr(e.hint, "data.on_bad = \"skip\""));
        assert_true(i != 2 || !strcmp(e.got, "none.png"));
        llava_close(l);
    }
}

static int setup(void **state)
{
    (void)state;
    static const char *const files[] = { "a.png", "b/c.png", "file_a.png" };
    char path[480];
    snprintf(dir, sizeof dir, "%s/asvr-turns-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(json, sizeof json, "%s/data.json", dir);
    snprintf(root, sizeof root, "%s/pictures", dir);
    snprintf(path, sizeof path, "%s/b", root);
    assert_true(mkdir(root, 0777) == 0 && mkdir(path, 0777) == 0);
    for (int i = 0; i < 3; i++) {
        Err e = { 0 };
        snprintf(path, sizeof path, "%s/%s", root, files[i]);
        assert_true(file_replace(path, "12345", 5, &e));
    }
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_read), cmocka_unit_test(ids), cmocka_unit_test(places) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
