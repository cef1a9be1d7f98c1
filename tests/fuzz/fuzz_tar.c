/*
 * fuzz_tar.c -- any bytes as a tar file of samples
 *
 * Laws   refused: EXIT_DATA at the file, at a byte inside it where it says one
 *        a member lies inside the file, behind its header and in front of the next; its name fits
 *        what is listed is one JSON object a line, but where a text of the tar is no UTF-8 or holds a NUL; as many as are counted
 *        pictures named lie inside the file
 *        with on_bad = "skip" nothing is refused that opens as a tar, and no sample less is listed
 *        the same bytes give the same lines
 *
 * Each input also runs with the checksums of its headers made right, so that damage is seen behind them.
 */
#include <jansson.h>

#include "io/source/sources.h"
#include "io/source/tar.h"
#include "tests/fuzz/fuzz.h"

static void placed(const Err *e, const char *path, size_t size)
{
    long long byte = 0;
    const char *at = strstr(e->where, "byte ");
    fuzz_refused(e, EXIT_DATA, path);
    LAW(!at || (sscanf(at, "byte %lld", &byte) == 1 && byte >= 0 && byte <= (long long)size), "\"%s\" of a file of %zu bytes", e->where, size);
}

static bool go_over(const char *path, size_t size)
{
    Tar t;
    Err e = { 0 };
    if (!tar_open(&t, path, &e)) {
        placed(&e, path, size);
        return false;
    }
    int got;
    for (int64_t before = 0; (got = tar_next(&t, &e)) == 1; before = t.at + t.bytes)
        LAW(t.bytes >= 0 && t.header >= before && t.at == t.header + TAR_BLOCK && t.at + t.bytes <= (int64_t)size && strlen(t.name) < PATH_ROOM,
            "member %s at %lld, %lld bytes", t.name, (long long)t.at, (long long)t.bytes);
    if (got < 0)
        placed(&e, path, size);
    tar_close(&t);
    return true;
}

static bool is_utf8(const char *line)
{
    json_t *s = json_string(line);
    json_decref(s);
    return s;
}

static void line_is_right(const char *line, size_t size)
{
    json_error_t why;
    json_t *o = json_loads(line, 0, &why), *image;
    size_t i;
    LAW(o || !is_utf8(line) || json_error_code(&why) == json_error_invalid_utf8 || json_error_code(&why) == json_error_null_character, "no JSON: %s: %s", why.text, line);
    json_array_foreach(json_object_get(o, "image"), i, image) {
        const int64_t at = json_integer_value(json_object_get(image, "at")), bytes = json_integer_value(json_object_get(image, "bytes"));
        LAW(at >= TAR_BLOCK && bytes > 0 && at + bytes <= (int64_t)size, "a picture at %lld, %lld bytes", (long long)at, (long long)bytes);
    }
    json_decref(o);
}

/* The lines, to be freed. */
static char *list(const char *path, bool skip, bool *ok, Listing *l, Err *e)
{
    char *text = NULL;
    size_t n = 0;
    *l = (Listing){ .skip = skip, .f = open_memstream(&text, &n) };
    CHECK(l->f, "no memory");
    *ok = list_webdataset(l, path, "x.tar", e);
    fclose(l->f);
    return text;
}

static void one(const uint8_t *data, size_t size)
{
    char path[32];
    Err e = { 0 }, skipped = { 0 }, same = { 0 };
    Listing l, all, again;
    bool ok, ok_all, ok_again;
    const int fd = fuzz_file(data, size, path);
    const bool opens = go_over(path, size);
    char *text = list(path, false, &ok, &l, &e), *every = list(path, true, &ok_all, &all, &skipped), *twin = list(path, true, &ok_again, &again, &same);
    int64_t lines = 0;
    if (!ok)
        LAW(e.code == EXIT_DATA && e.what[0], "refused with %d", e.code);
    LAW(ok_all, "a bad one is not passed over: %s", skipped.what);
    LAW(opens || !every[0], "lines of no tar");
    LAW(all.count.records >= l.count.records, "%lld records, but %lld without the bad ones", (long long)all.count.records, (long long)l.count.records);
    LAW(!strcmp(every, twin), "other lines the second time");
    for (char *line = every, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        *end = 0;
        line_is_right(line, size);
    }
    LAW(lines == all.count.records, "%lld lines of %lld records", (long long)lines, (long long)all.count.records);
    free(text);
    free(every);
    free(twin);
    close(fd);
}

static void mend(uint8_t *b, size_t size)
{
    for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
        unsigned sum = 0;
        if (memcmp(b + at + 257, "ustar", 5) != 0)
            continue;
        memset(b + at + 148, ' ', 8);
        for (int i = 0; i < TAR_BLOCK; i++)
            sum += b[at + (size_t)i];
        snprintf((char *)b + at + 148, 8, "%06o", sum);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    CHECK(copy, "no memory for a copy");
    memcpy(copy, data, size);
    mend(copy, size);
    one(data, size);
    if (memcmp(copy, data, size) != 0)
        one(copy, size);
    free(copy);
    return 0;
}
