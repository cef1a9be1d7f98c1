/* Bad JSON records, one table: each is refused with EXIT_DATA, its record and a byte inside it, and what follows is read as before. */
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
#include "io/source/llava.h"

static char dir[400], json[440], root[440];

#define H(v)  "{\"from\": \"human\", \"value\": " v "}"
#define G(v)  "{\"from\": \"gpt\", \"value\": " v "}"
#define TALK  "\"conversations\": [" H("\"Hi\"") ", " G("\"Ho\"") "]"
#define OK    "{\"id\": \"good\", " TALK "}"

/* What is wrong: the record alone (the next one is read), or the file from here on. */
typedef enum { RECORD, FILE_ENDS } Harm;

typedef struct { Harm harm; const char *what, *text; size_t n; } Case;

#define R(what, text) { RECORD, what, text, sizeof text - 1 }
#define F(what, text) { FILE_ENDS, what, text, sizeof text - 1 }

static const Case cases[] = {
    /* no record */
    R("not an object", "null"), R("not an object", "true"), R("not an object", "-1e308"), R("not an object", "\"\""), R("not an object", "NaN"),
    R("not an object", "[]"), R("without a conversation", "{\"id\": 1}"),
    /* turns */
    R("without a conversation", "{\"conversations\": null}"), R("not a list", "{\"conversations\": {}}"),
    R("not a list", "{\"conversations\": \"human\"}"), R("not a list", "{\"conversations\": \"{}\"}"), R("not a list", "{\"conversations\": 17}"),
    R("a turn without", "{\"conversations\": [null]}"), R("a turn without", "{\"conversations\": \"[null]\"}"),
    R("a turn without", "{\"conversations\": [[]]}"), R("a turn without", "{\"conversations\": [{}]}"), R("a turn without", "{\"messages\": [\"Hi\"]}"),
    R("a turn without", "{\"conversations\": [{\"from\": \"human\"}]}"),
    R("a turn without", "{\"conversations\": [{\"value\": \"Hi\"}]}"),
    R("without a text", "{\"conversations\": [" H("null") "]}"), R("without a text", "{\"conversations\": [" H("[]") "]}"),
    R("without a text", "{\"conversations\": [" H("{\"type\": \"text\", \"text\": \"Hi\"}") "]}"), R("without a text", "{\"conversations\": [" H("true") "]}"),
    R("a part without a type", "{\"conversations\": [" H("[null]") "]}"), R("a part without a type", "{\"conversations\": [" H("[{}]") "]}"),
    R("a part of type \"tool\"", "{\"conversations\": [" H("[{\"type\": \"tool\"}]") "]}"),
    R("a part of type \"text\"", "{\"conversations\": [" H("[{\"type\": \"text\", \"text\": null}]") "]}"),
    R("a turn without", "{\"conversations\": [{\"from\": \"system\"}, " H("\"Hi\"") "]}"),
    R("whom asvr does not know", "{\"conversations\": [{\"from\": \"\", \"value\": \"Hi\"}]}"),
    R("whom asvr does not know", "{\"messages\": [{\"role\": \"tool\", \"content\": \"Hi\"}]}"),
    R("take turns", "{\"conversations\": [" H("\"Hi\"") ", " G("\"Ho\"") ", " G("\"Ho\"") "]}"),
    R("take turns", "{\"conversations\": [" G("\"Ho\"") ", " G("\"Ho\"") ", " H("\"Hi\"") "]}"),
    R("take turns", "{\"conversations\": [" H("\"Hi\"") ", " H("\"Hi\"") "]}"), R("without a question", "{\"conversations\": [" G("\"Ho\"") "]}"),
    R("not the first", "{\"conversations\": [" H("\"Hi\"") ", {\"from\": \"system\", \"value\": \"x\"}]}"),
    R("not the first", "{\"conversations\": [{\"from\": \"system\", \"value\": \"x\"}, {\"from\": \"system\", \"value\": \"x\"}]}"),
    R("two conversations", "{" TALK ", \"messages\": [" H("\"Hi\"") "]}"), R("different things", "{\"system\": \"a\", \"conversations\": [{\"from\": \"system\", \"value\": \"b\"}, " H("\"\"") "]}"),
    R("is no text", "{\"system\": [], " TALK "}"), R("two questions", "{\"question\": \"a\", \"prompt\": \"b\", \"answer\": \"c\"}"),
    R("is no text", "{\"question\": [], \"query\": {}}"), R("is no text", "{\"prompt\": \"a\", \"response\": [\"b\"]}"), R("different answers", "{\"prompt\": \"a\", \"response\": \"b\", \"answer\": \"c\"}"),
    R("list of pairs", "{\"query\": \"a\", \"response\": \"b\", \"history\": [[\"c\"]]}"), R("list of pairs", "{\"query\": \"a\", \"history\": \"c\"}"),
    R("a caption without", "{\"caption\": \"a\"}"), R("is no text", "{\"image\": \"a.png\", \"caption\": [\"a\", \"b\"]}"),
    R("different captions", "{\"image\": \"a.png\", \"caption\": \"a\", \"text\": \"b\"}"),
    /* twice the same key, in what is read */
    R("duplicate", "{" TALK ", " TALK "}"), R("duplicate", "{\"image\": \"a.png\", \"image\": \"a.png\", " TALK "}"),
    R("duplicate", "{\"conversations\": [{\"from\": \"human\", \"from\": \"gpt\", \"value\": \"x\"}]}"),
    R("not a list", "{\"conversations\": \"[{\\\"from\\\": \\\"human\\\", \\\"from\\\": \\\"gpt\\\", \\\"value\\\": \\\"x\\\"}]\"}"),
    R("duplicate", "{\"images\": [{\"x\": {\"z\": 1, \"z\": 2}}], " TALK "}"), R("duplicate", "{\"id\": 1, \"\\u0069d\": 2, " TALK "}"),
    /* Unicode */
    R("invalid Unicode", "{\"id\": \"\\ud800x\", " TALK "}"), R("invalid Unicode", "{\"id\": \"\\ud800\\u0041\", " TALK "}"),
    R("invalid Unicode", "{\"id\": \"\\udfff\", " TALK "}"), R("invalid Unicode", "{\"conversations\": [" H("\"\\udbff\\udbff\"") "]}"),
    R("u0000", "{\"conversations\": [" H("\"Hi\\u0000\"") "]}"), R("u0000", "{\"\\u0000\": 1, " TALK "}"),
    R("unable to decode", "{\"id\": \"\xC0\xAF\", " TALK "}"), R("unable to decode", "{\"id\": \"\xE2\x82\", " TALK "}"),
    R("unable to decode", "{\"id\": \"\xF4\x90\x80\x80\", " TALK "}"), R("unable to decode", "{\"id\": \"\xFE\xFF\", " TALK "}"),
    R("unable to decode", "{\"image\": \"\x80\", " TALK "}"), R("unable to decode", "{\"id\": \"\xF8\x88\x80\x80\x80\", " TALK "}"),
    /* pictures and other media */
    R("names no file", "{\"image\": {}, " TALK "}"), R("neither a path", "{\"image\": true, " TALK "}"),
    R("neither a path", "{\"image\": [[\"a.png\"]], " TALK "}"), R("neither a path", "{\"image\": [\"a.png\", null], " TALK "}"),
    R("missing", "{\"image\": \"A.PNG\", " TALK "}"), R("missing", "{\"image\": 1, " TALK "}"), R("missing", "{\"image\": \"a.png\\n\", " TALK "}"),
    R("by \"..\"", "{\"image\": \"..\", " TALK "}"), R("by \"..\"", "{\"image\": \"./..\", " TALK "}"), R("by \"..\"", "{\"images\": \"../secret\", " TALK "}"),
    R("by \"..\"", "{\"image\": \"a/../../pictures/a.png\", " TALK "}"), R("by \"..\"", "{\"image\": \"/../etc/passwd\", " TALK "}"),
    R("by \"..\"", "{\"image\": [\"a.png\", \"../secret\"], " TALK "}"), R("by \"..\"", "{\"image\": \"file://../secret\", " TALK "}"),
    R("absolute and not below", "{\"image\": \"//etc/passwd\", " TALK "}"), R("absolute and not below", "{\"image\": \"\\u002fetc/passwd\", " TALK "}"),
    R("absolute and not below", "{\"image\": \"file:///etc/passwd\", " TALK "}"),
    R("symbolic link", "{\"image\": \"out/passwd\", " TALK "}"), R("symbolic link", "{\"image\": \"secret\", " TALK "}"),
    R("missing", "{\"image\": \"turning\", " TALK "}"), R("not a file", "{\"image\": \".\", " TALK "}"), R("not a file", "{\"image\": \"pipe\", " TALK "}"),
    R("an address", "{\"image\": \"https://example.org/a.png\", " TALK "}"), R("an address", "{\"images\": [\"s3://bucket/a.png\"], " TALK "}"),
    R("an address", "{\"image_url\": \"http://example.org/a.png\", " TALK "}"), R("(\"data:\")", "{\"image\": \"data:image/png;base64,AAAA\", " TALK "}"),
    R("(\"bytes\")", "{\"image\": {\"path\": \"a.png\", \"bytes\": \"iVBORw\"}, " TALK "}"),
    R("names no file", "{\"image\": {\"path\": null, \"bytes\": null}, " TALK "}"), R("two files", "{\"image\": {\"path\": \"a.png\", \"url\": \"b.png\"}, " TALK "}"),
    R("different pictures", "{\"image\": \"a.png\", \"images\": [\"a.png\", \"a.png\"], " TALK "}"),
    R("\"image\" and \"file_name\"", "{\"image\": \"a.png\", \"file_name\": [\"a.png\", \"a.png\"], " TALK "}"),
    R("missing", "{\"image\": \"a.png\", \"file_name\": \".png\", " TALK "}"), R("looks like", "{\"image\": \"a.png\", \"crop_image\": \"b.png\", " TALK "}"),
    R("names a video", "{\"video\": \"a.mp4\", " TALK "}"), R("names a video", "{\"Videos\": [17], " TALK "}"), R("names a video", "{\"frames\": [\"a.png\"], " TALK "}"),
    R("names a sound", "{\"image\": \"a.png\", \"audio\": {\"array\": [0.5]}, " TALK "}"), R("a picture written into", "{\"image_base64\": \"iVBORw\", " TALK "}"),
    R("looks like the name", "{\"left_image\": \"a.png\", " TALK "}"), R("looks like the name", "{\"image_1\": {\"path\": [\"a.JPG\"]}, " TALK "}"),
    R("a turn names a picture", "{\"conversations\": [{\"from\": \"human\", \"value\": \"Hi\", \"image\": \"a.png\"}]}"),
    R("names a sound", "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\", \"audio\": \"a.wav\"}]}"),
    R("names a video", "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"Hi\", \"video\": \"a.mp4\"}]}]}"),
    R("of type \"video\"", "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"video\", \"video\": \"a.mp4\"}]}]}"),
    R("does not name", "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]}"),
    R("others do not", "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}, {\"type\": \"image\", \"image\": \"a.png\"}]}]}"),
    R("no question", "{\"messages\": [" H("\"Hi\"") ", {\"role\": \"assistant\", \"content\": [{\"type\": \"image\", \"image\": \"a.png\"}]}]}"),
    R("as number 0", "{\"images\": [\"a.png\"], \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\", \"index\": 1}]}]}"),
    /* pieces of files */
    R("does not have", "{\"image\": {\"file\": \"a.png\", \"at\": 0, \"bytes\": 2}, " TALK "}"), R("does not have", "{\"image\": {\"file\": \"a.png\", \"at\": 0}, " TALK "}"),
    R("does not have", "{\"image\": {\"file\": \"a.png\", \"at\": 9223372036854775807, \"bytes\": 9223372036854775807}, " TALK "}"),
    R("does not have", "{\"image\": {\"file\": \"a.png\", \"at\": -1, \"bytes\": 1}, " TALK "}"), R("does not have", "{\"image\": {\"file\": \"a.png\", \"at\": 1, \"bytes\": 0}, " TALK "}"),
    R("does not have", "{\"image\": {\"file\": \"a.png\", \"at\": 99999999999999999999, \"bytes\": 1}, " TALK "}"),
    R("both a piece", "{\"image\": {\"file\": \"a.png\", \"at\": 0, \"bytes\": 1, \"row\": 1}, " TALK "}"),
    R("a cell of a table", "{\"image\": {\"file\": \"a.png\", \"row\": 0.5, \"column\": \"x\"}, " TALK "}"), R("a cell of a table", "{\"image\": {\"file\": \"a.png\", \"row\": 1}, " TALK "}"),
    /* no JSON, from here on */
    F("no JSON", "}"), F("a comma with", "]]"), F("no JSON", "{]"), F("no JSON", "{\"id\": \"a\tb\"}"), F("invalid token", "nan"),
    F("invalid token", "{\"id\": +Infinity}"), F("expected", "{1: 2, " TALK "}"), F("invalid token", "{\"id\": 01}"), F("invalid token", "{\"id\": +1}"), F("invalid token", "{\"id\": .5}"),
    F("expected", "{id: 1}"), F("expected", "{'id': 1}"), F("string or", "{\"id\": 1,}"), F("expected", "{\"id\" 1}"), F("expected", "{\"id\": 0x10}"),
    F("invalid escape", "{\"id\": \"\\x41\"}"), F("invalid escape", "{\"id\": \"\\u12G4\"}"), F("invalid token", "// c\n{}"), F("invalid token", "\xEF\xBB\xBF{}"),
    F("no JSON", "{\"a\": [1}}"), F("no JSON", "{\"a\": \"\0\"}"), F("ends in the middle", "{\"id\": \""), F("ends in the middle", "{\"id\": \"\\"),
    F("ends in the middle", "{\"a\": [{"),
};
enum { CASES = sizeof cases / sizeof *cases };

static void put(const char *bytes, size_t n)
{
    FILE *f = fopen(json, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The error is of record 1 at a byte from `from` to `to`. */
static void placed(const Case *k, const Err *e, long long from, long long to)
{
    long long byte = -1;
    int record = -1;
    if (e->code != EXIT_DATA || !strstr(e->what, k->what))
        fail_msg("%s: expected \"%s\", got %d \"%s\"", k->text, k->what, e->code, e->what);
    assert_memory_equal(e->where, json, strlen(json));
    if (sscanf(e->where + strlen(json), ": record %d, byte %lld", &record, &byte) != 2 || record != 1 || byte < from || byte > to)
        fail_msg("%s: record 1, a byte from %lld to %lld, not \"%s\"", k->text, from, to, e->where);
}

static void one(const Case *k, const char *before, const char *after)
{
    const size_t a = strlen(before), all = a + k->n + strlen(after);
    char *bytes = malloc(all + 1);
    memcpy(bytes, before, a);
    memcpy(bytes + a, k->text, k->n);
    memcpy(bytes + a + k->n, after, strlen(after));
    put(bytes, all);
    free(bytes);
    Err e = { 0 }, again = { 0 };
    LlavaRecord r;
    Llava *l = llava_open(json, root, false, &e);
    assert_non_null(l);
    assert_int_equal(llava_next(l, &r, &e), 1);
    if (llava_next(l, &r, &e) != -1)
        fail_msg("%s: is read", k->text);
    placed(k, &e, (long long)a, k->harm == RECORD ? (long long)(a + k->n) : (long long)all);
    if (k->harm == RECORD) {
        assert_int_equal(r.record, 1);
        assert_int_equal(llava_next(l, &r, &again), 1);
        assert_string_equal(r.id, "good");
        assert_int_equal(llava_next(l, &r, &again), 0);
    } else {
        assert_int_equal(llava_next(l, &r, &again), -1);
        assert_string_equal(again.where, e.where);
    }
    llava_close(l);
}

static void each_is_refused(void **state)
{
    (void)state;
    assert_true(CASES >= 60);
    for (int i = 0; i < CASES; i++) {
        const bool cut = strstr(cases[i].what, "in the middle") != NULL;
        one(&cases[i], "[" OK ",\n", cut ? "" : ", " OK "]");
        if (cases[i].harm == RECORD)
            one(&cases[i], OK "\n", "\n" OK "\n");
    }
    print_message("%d bad records\n", CASES);
}

/* Good or bad, what is behind a number of pictures: "<image>" once for each, or never; without pictures it is text. */
static void marks_fit_pictures(void **state)
{
    (void)state;
    Err e = { 0 };
    Text *t = text_open("tests/golden/v1/text.model", &e);
    assert_non_null(t);
    Prompt p = { 0 };
    for (int images = 0; images <= 3; images++)
        for (int marks = 0; marks <= 4; marks++) {
            char human[64] = "What?";
            for (int i = 0; i < marks; i++)
                strcat(human, i % 2 ? "<image>" : "\n<image>");
            const Turn turn = { human, "A cat." };
            const Talk talk = { &turn, 1, images, NULL };
            Err why = { 0 };
            const bool fits = marks == 0 || marks == images || images == 0;
            assert_int_equal(prompt_build(&p, t, TEMPLATE_V1, &talk, &why), fits);
            assert_int_equal(why.code, fits ? 0 : EXIT_DATA);
            assert_true(!why.code || strstr(why.what, "does not match the pictures"));
        }
    prompt_free(&p);
    text_close(t);
}

static int setup(void **state)
{
    (void)state;
    char path[480];
    snprintf(dir, sizeof dir, "%s/asvr-record-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(json, sizeof json, "%s/data.json", dir);
    snprintf(root, sizeof root, "%s/pictures", dir);
    assert_int_equal(mkdir(root, 0777), 0);
    static const char *const link[][2] = { { "/etc", "out" }, { "../secret", "secret" }, { "turning", "turning" } };
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", root, link[i][1]);
        assert_int_equal(symlink(link[i][0], path), 0);
    }
    snprintf(path, sizeof path, "%s/pipe", root);
    assert_int_equal(mkfifo(path, 0666), 0);
    Err e = { 0 };
    snprintf(path, sizeof path, "%s/a.png", root);
    assert_true(file_replace(path, "x", 1, &e));
    snprintf(path, sizeof path, "%s/secret", dir);
    assert_true(file_replace(path, "x", 1, &e));
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_refused), cmocka_unit_test(marks_fit_pictures) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
