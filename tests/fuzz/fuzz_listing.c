/*
 * fuzz_listing.c -- any bytes as COCO's captions, and as LLaVA's JSON that is packed or one of several
 *
 * Laws   refused: EXIT_DATA at the file, with a byte
 *        COCO: one line a record, each a JSON object with one picture and two turns, where the file's text is UTF-8 without NUL
 *        COCO with on_bad = "skip" lists no record less, and is refused only by what is no JSON or no such file: never
 *        LLaVA: no line of an array's listing holds a line break inside
 *        the same bytes give the same lines and the same verdict
 */
#include <jansson.h>

#include "io/source/sources.h"
#include "tests/fuzz/fuzz.h"

typedef bool Lister(Listing *, const char *, const char *, Err *);

static char *list(Lister *lister, const char *path, bool skip, bool *ok, Listing *l, size_t *n, Err *e)
{
    char *text = NULL;
    *n = 0;
    *l = (Listing){ .skip = skip, .f = open_memstream(&text, n) };
    CHECK(l->f, "no memory");
    *ok = lister(l, path, "x", e);
    fclose(l->f);
    if (!*ok)
        fuzz_refused(e, EXIT_DATA, path);
    return text;
}

static void line_is_right(const char *line)
{
    json_error_t why;
    json_t *o = json_loads(line, 0, &why);
    if (!o) {
        const enum json_error_code code = json_error_code(&why);
        LAW(code == json_error_invalid_utf8 || code == json_error_null_character, "no JSON: %s: %.200s", why.text, line);
        return;
    }
    LAW(json_array_size(json_object_get(o, "image")) == 1 && json_array_size(json_object_get(o, "conversations")) == 2, "no caption: %.200s", line);
    json_decref(o);
}

static void coco(const char *path)
{
    Err e = { 0 }, skipped = { 0 }, same = { 0 };
    Listing l, all, again;
    bool ok, ok_all, ok_again;
    size_t n, m;
    char *text = list(list_coco, path, false, &ok, &l, &n, &e), *every = list(list_coco, path, true, &ok_all, &all, &n, &skipped),
         *twin = list(list_coco, path, true, &ok_again, &again, &m, &same);
    int64_t lines = 0;
    LAW(ok_all, "a bad one is not passed over: %s", skipped.what);
    LAW(all.count.records >= l.count.records && n == m && !memcmp(every, twin, n), "fewer records, or others the second time");
    for (char *line = every, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        *end = 0;
        line_is_right(line);
    }
    LAW(lines == all.count.records, "%lld lines of %lld records", (long long)lines, (long long)all.count.records);
    free(text);
    free(every);
    free(twin);
}

static void llava(const char *path)
{
    Err e = { 0 }, same = { 0 };
    Listing l, again;
    bool ok, ok_again;
    size_t n, m;
    char *text = list(list_llava, path, false, &ok, &l, &n, &e), *twin = list(list_llava, path, false, &ok_again, &again, &m, &same);
    LAW(ok == ok_again && n == m && !memcmp(text, twin, n) && l.count.records == again.count.records, "another verdict or other lines the second time");
    LAW(!ok || n == 0 || text[n - 1] == '\n', "a listing that does not end its last line");
    free(text);
    free(twin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    const int fd = fuzz_file(data, size, path);
    coco(path);
    llava(path);
    close(fd);
    return 0;
}
