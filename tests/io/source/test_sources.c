/* Sources listed as JSON lines: what each makes of its files, what it passes over, and how it refuses. */

#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "io/source/sources.h"
#include "tests/io/source/source_case.h"

static size_t gz(uint8_t *out, size_t room, const void *text, size_t n)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)room };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

/* ---- listings ---- */

typedef bool Lister(Listing *, const char *, const char *, Err *);

static char *lines;
static ListCount count;

static bool list(Lister *lister, const char *name, bool skip, Err *e)
{
    size_t n;
    free(lines);
    Listing l = { .skip = skip, .follow = true, .f = open_memstream(&lines, &n) };
    const bool ok = lister(&l, file(name), name, e);
    fclose(l.f);
    count = l.count;
    return ok;
}

static void lists(Lister *lister, const char *name, const char *what)
{
    Err e = { 0 };
    if (!list(lister, name, false, &e))
        fail_msg("%s: %s %s (%s)", name, e.what, e.got, e.where);
    assert_string_equal(lines, what);
}

static void passed(int i, const char *what, int64_t n)
{
    assert_string_equal(count.passed[i].what, what);
    assert_int_equal(count.passed[i].n, n);
}

static void refuses(Lister *lister, const char *name, const char *what, const char *where)
{
    Err e = { 0 };
    if (list(lister, name, false, &e))
        fail_msg("%s is listed: %s", name, lines);
    assert_int_equal(e.code, EXIT_DATA);
    if (!strstr(e.what, what) || !strstr(e.where, where))
        fail_msg("%s: %s (%s)", name, e.what, e.where);
}

#define ASK(image, question) ",\"image\":[" image "],\"conversations\":[{\"from\":\"human\",\"value\":\"" question "\"},{\"from\":\"gpt\",\"value\":"

static void test_coco(void **state)
{
    (void)state;
    static const char images[] = "\"images\": [{\"id\": 9, \"file_name\": \"9.jpg\", \"x\": [1, {}]}, {\"file_name\": \"a \\\"b.jpg\", \"id\": 4}]",
                      captions[] = "\"annotations\": [{\"image_id\": 4, \"id\": 1, \"caption\": \" A \\u00fc cat.\\n\"},\n{\"id\": 2, \"image_id\": 9, \"caption\": \"\\\"\"}, {\"bbox\": [NaN]}]",
                      both[] = "{\"id\":\"1\"" ASK("\"a \\\"b.jpg\"", "<image>\\nDescribe this image.") "\"A ü cat.\"}]}\n"
                               "{\"id\":\"2\"" ASK("\"9.jpg\"", "<image>\\nDescribe this image.") "\"\\\"\"}]}\n";
    char text[1000];
    snprintf(text, sizeof text, "{\"info\": {\"a\": \"]}\"}, %s, %s, \"licenses\": []}", images, captions);
    write_text("coco.json", text);
    lists(list_coco, "coco.json", both);
    passed(0, "annotations without a caption", 1);
    assert_int_equal(count.records, 2);
    snprintf(text, sizeof text, "{%s, %s}", captions, images);
    write_text("coco.json", text);
    lists(list_coco, "coco.json", both);
    assert_int_equal(count.records, 2);
    write_text("coco.json", "{\"images\": [], \"annotations\": [{\"image_id\": 4, \"caption\": \"x\"}]}");
    refuses(list_coco, "coco.json", "an image that the file does not have", "byte 31");
    Err e = { 0 };
    assert_true(list(list_coco, "coco.json", true, &e));
    assert_true(count.bad == 1 && count.records == 0 && strstr(count.said[0], "does not have"));
    write_text("coco.json", "{\"images\": [{\"id\": 4, \"file_name\": \"a\"}, {\"id\": 4, \"file_name\": \"b\"}], \"annotations\": [{\"image_id\": 4, \"caption\": \"x\"}]}");
    refuses(list_coco, "coco.json", "an id that two images have", "byte 87");
    write_text("coco.json", "{\"images\": [{\"id\": 4, \"file_name\": \"a\"}], \"annotations\": []}");
    lists(list_coco, "coco.json", "");
    passed(0, "images without a caption", 1);
    write_text("coco.json", "{\"images\": [{\"id\": 9, \"file_name\": \"9.jpg\"}], \"annot");
    refuses(list_coco, "coco.json", "ends in the middle", "byte 52");
    write_text("coco.json", "{\"images\": []}");
    refuses(list_coco, "coco.json", "no \"annotations\"", "coco.json");
    write_text("coco.json", "[]");
    refuses(list_coco, "coco.json", "no captions file", "byte 0");
    write_text("coco.json", "{\"images\": [{\"id\": \"9\"}], \"annotations\": []}");
    refuses(list_coco, "coco.json", "an image without", "byte 12");
    write_text("coco.json", "{\"images\": [], \"annotations\": []}\n{\"images\": [], \"annotations\": []}");      /* cat a.json b.json */
    refuses(list_coco, "coco.json", "after the end", "byte 34");
    write_text("coco.json", "{\"annotations\": [], \"images\": [], \"annotations\": []}");
    refuses(list_coco, "coco.json", "\"annotations\" stands twice", "byte 48");
    write_text("coco.json", "{\"images\": [{\"id\": 9, \"id\": 8, \"file_name\": \"9.jpg\"}], \"annotations\": []}");
    refuses(list_coco, "coco.json", "this is no JSON", "byte 12");
}

static void test_llava_files(void **state)
{
    (void)state;
    uint8_t packed[1000];
    write_text("a.json", "\xEF\xBB\xBF [ {\"id\": 1,\n \"x\": \"a\\n]\"},\n{\"id\": 2} ]\n");
    lists(list_llava, "a.json", "{\"id\": 1,  \"x\": \"a\\n]\"}\n{\"id\": 2}\n");
    assert_int_equal(count.records, 2);
    write_text("b.jsonl", "{\"id\": 1}\n\nbroken {\n{\"id\": 2}");
    lists(list_llava, "b.jsonl", "{\"id\": 1}\n\nbroken {\n{\"id\": 2}\n");
    assert_int_equal(count.records, 3);
    write_text("b.jsonl", "\n \n");
    lists(list_llava, "b.jsonl", "");
    passed(0, "files without a record", 1);
    write_bytes("b.gz", packed, gz(packed, sizeof packed, "{\"id\": 1}\n", 10));
    lists(list_llava, "b.gz", "{\"id\": 1}\n");
    write_text("a.json", "[{\"id\": 1} {\"id\": 2}]");
    refuses(list_llava, "a.json", "no comma", "byte 11");
    write_text("a.json", "[{\"id\": 1}");
    refuses(list_llava, "a.json", "in the middle", "byte 10");
    write_text("a.json", "[{\"id\": 1}] x");
    refuses(list_llava, "a.json", "after the end", "byte 12");
}

static void test_folder(void **state)
{
    (void)state;
    static const char *const sub[] = { "p", "p/b", "p/.hidden" };
    for (int i = 0; i < 3; i++)
        mkdir(file(sub[i]), 0777);
    write_text("p/z.JPG", "x");
    write_text("p/z.txt", "the last\n");
    write_text("p/b/1.png", "x");
    write_text("p/b/1.txt", "\n a\ttab \"and\" a\nbreak \r\n");
    write_text("p/b/2.png", "x");
    write_text("p/notes.md", "x");
    write_text("p/.hidden/3.png", "x");
    write_text("p/.hidden/3.txt", "x");
    assert_int_equal(symlink("..", file("p/b/back")), 0);
    lists(list_folder, "p", "{\"id\":\"b/1.png\"" ASK("\"b/1.png\"", "<image>\\nDescribe this image.") "\"a\\u0009tab \\\"and\\\" a\\nbreak\"}]}\n"
                            "{\"id\":\"z.JPG\"" ASK("\"z.JPG\"", "<image>\\nDescribe this image.") "\"the last\"}]}\n");
    passed(0, "hidden files and folders", 1);
    passed(1, "pictures without a .txt", 1);
    passed(2, "links that lead back", 1);
    passed(3, "files .md", 1);
    write_text("p/notes.txt", "x");
    write_text("p/z.txt", "\xEF\xBB\xBFthe last");
    Err e = { 0 };
    assert_true(list(list_folder, "p", false, &e));
    assert_non_null(strstr(lines, ":\"the last\"}"));
    passed(4, ".txt without a picture", 1);
    write_text("p/z.txt", "the l\xFFst");
    refuses(list_folder, "p", "no UTF-8", "p/z.txt");
}

/* ---- webdataset ---- */

static uint8_t tar[1 << 15];
static size_t tar_bytes;

static void put(const char *name, const char *body)
{
    uint8_t *h = tar + tar_bytes;
    const size_t n = strlen(body);
    unsigned sum = 0;
    memset(h, 0, 1024 + n / 512 * 512);
    snprintf((char *)h, 100, "%s", name);
    snprintf((char *)h + 124, 12, "%011o", (unsigned)(n & 0xffff));
    h[156] = '0';
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    memcpy(h + 512, body, n);
    tar_bytes += 512 + (n + 511) / 512 * 512;
}

static void finish(const char *name)
{
    memset(tar + tar_bytes, 0, 1024);
    write_bytes(name, tar, tar_bytes + 1024);
    tar_bytes = 0;
}

#define AT(at, bytes) "{\"file\":\"0.tar\",\"at\":" #at ",\"bytes\":" #bytes "}"

static void test_webdataset(void **state)
{
    (void)state;
    Err e = { 0 };
    put("a/1.jpg", "1234567");
    put("a/1.json", "{\"caption\": \"of the JSON\"}");
    put("a/1.txt", "of the text\n");
    put("a/2.seg.png", "12");
    put("a/2.json", "{\"caption\": \"of the JSON\", \"n\": }");
    finish("0.tar");
    refuses(list_webdataset, "0.tar", ".json is no JSON", "sample a/2, byte 3072");
    assert_true(list(list_webdataset, "0.tar", true, &e));
    assert_string_equal(lines, "{\"id\":\"a/1\"" ASK(AT(512, 7), "<image>\\nDescribe this image.") "\"of the text\"}]}\n");
    put("1.jpg", "1");
    put("1.cls", "7");
    put("2.jpg", "12");
    put("2.png", "123");
    put("2.json", "{\"caption\": \"both\", \"similarity\": NaN, \"n\": 1e999}");
    put("3.json", "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"caption\": \"x\"}");
    put("4.txt", "alone");
    put(".5.jpg", "x");
    finish("0.tar");
    lists(list_webdataset, "0.tar", "{\"id\":\"2\"" ASK(AT(2560, 2) "," AT(3584, 3), "<image>\\n<image>\\nDescribe these images.") "\"both\"}]}\n"
                                    "{\"id\":\"3\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n");
    passed(0, "members .cls", 1);
    passed(1, "samples without a caption", 1);
    passed(2, "members without a key", 1);
    passed(3, "samples without a picture", 1);
    put("1.json", "{\"image\": \"coco/1.jpg\", \"conversations\": [{\"from\": \"human\", \"value\": \"hi\"}]}");
    put("2.json", "{\"image\": null, \"conversations\": []}");
    put("3.jpg", "x");
    put("3.json", "{\"image\": \"coco/3.jpg\", \"conversations\": [1]}");
    put("4.jpg", "x");
    put("4.json", "{\"video\": \"4.mp4\", \"conversations\": [1]}");
    put("5.mp4", "x");
    put("5.txt", "a film");
    put("6.jpg", "");
    put("6.txt", "nothing");
    finish("0.tar");
    refuses(list_webdataset, "0.tar", "but not the tar, names a picture", "sample 1, byte 0");
    assert_true(list(list_webdataset, "0.tar", true, &e));
    assert_string_equal(lines, "{\"id\":\"2\",\"conversations\":[]}\n{\"id\":\"3\",\"image\":[" AT(2560, 1) "],\"conversations\":[\"1\"]}\n");
    assert_int_equal(count.bad, 4);
    assert_non_null(strstr(count.said[3], "an empty picture (0.tar: sample 6"));
    assert_non_null(strstr(count.said[1], "names a video or a sound"));
    assert_non_null(strstr(count.said[2], "with a video or a sound"));
    for (int i = 0; i < 2; i++) {
        put("1.jpg", "1");
        put("1.txt", "one");
    }
    put("2.jpg", "2");
    put("2.txt", "two");
    finish("0.tar");
    refuses(list_webdataset, "0.tar", "twice the same member", "sample 1, byte 0");
    assert_true(list(list_webdataset, "0.tar", true, &e));
    assert_true(count.records == 1 && count.bad == 1);
    put("1.jpg", "1");
    put("1.txt", "one");
    put("2.jpg", "2");
    write_bytes("0.tar", tar, tar_bytes);                  /* cut off, perhaps before the caption of 2 */
    refuses(list_webdataset, "0.tar", "without its end mark", "byte 3072");
    assert_true(list(list_webdataset, "0.tar", true, &e));
    assert_true(count.records == 1 && count.bad == 1 && count.passed[0].n == 0);
    tar_bytes = 0;
}

/* A conversation wins over the caption wherever and however it stands; the system prompt goes with it; a byte order mark is fine. */
static void test_webdataset_talk(void **state)
{
    (void)state;
    put("1.json", "\xEF\xBB\xBF{\"conversations\": null, \"messages\": [1], \"system\": \"be brief\", \"caption\": \"x\"}");
    put("2.json", "{\"conversations\": \"[2]\", \"caption\": \"x\"}");
    finish("0.tar");
    lists(list_webdataset, "0.tar", "{\"id\":\"1\",\"messages\":[\"1\"],\"system\":\"be brief\"}\n{\"id\":\"2\",\"conversations\":\"[2]\"}\n");
    put("1.json", "{\"conversations\": [1], \"messages\": [1]}");
    finish("0.tar");
    refuses(list_webdataset, "0.tar", "two conversations", "sample 1");
    put("1.jpg", "1");
    put("1.json", "{\"images\": [\"1.jpg\", \"2.jpg\"], \"conversations\": [1]}");
    finish("0.tar");
    refuses(list_webdataset, "0.tar", "more pictures than the tar has", "sample 1");
    put("1.jpg", "1");
    put("1.json", "{\"caption\": \"one\", \"caption\": \"two\"}");
    finish("0.tar");
    refuses(list_webdataset, "0.tar", "no JSON", "sample 1");
}

/* More kinds than there is room for are others; what is said of bad ones is kept for the first few. */
static void test_counts(void **state)
{
    (void)state;
    Listing l = { .skip = true };
    ListCount sum = { 0 };
    for (int i = 0; i < 40; i++) {
        char what[32];
        Err e = { 0 };
        snprintf(what, sizeof what, "kind %d", i);
        list_passed(&l, what);
        err_set(&e, EXIT_DATA, "there", "", "bad %d", i);
        assert_true(list_bad(&l, &e) && !e.code);
    }
    Err disk = { 0 };
    err_set(&disk, EXIT_IO, "there", "", "the disk is full");
    assert_false(list_bad(&l, &disk));
    list_count_add(&sum, &l.count);
    list_count_add(&sum, &l.count);
    assert_string_equal(sum.passed[PASSED_KINDS - 1].what, "others");
    assert_int_equal(sum.passed[PASSED_KINDS - 1].n, 2 * (40 - PASSED_KINDS + 1));
    assert_int_equal(sum.passed[0].n, 2);
    assert_int_equal(sum.bad, 80);
    assert_string_equal(sum.said[4], "bad 4 (there)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coco),
        cmocka_unit_test(test_llava_files), cmocka_unit_test(test_folder), cmocka_unit_test(test_webdataset), cmocka_unit_test(test_webdataset_talk), cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
