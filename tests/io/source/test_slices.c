/* A JSON file in slices: what the ranks find together is what one finds alone, wherever the file is cut; and what is wrong
   with a file is never taken for right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/source/llavaindex.h"

enum { MOST = 40, ROOM = 1 << 16 };

static char path[] = "/tmp/asvr-slices-XXXXXX";

static int setup(void **state)
{
    (void)state;
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_bytes(const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* What `ranks` find whose slices end at cut[0 .. ranks), in one process; the parts that count. */
static int find(LlavaIndex *all, Llava *l, const int64_t *cut, int ranks, bool to_bad)
{
    JsonSlice slice[MOST];
    LlavaPart part[MOST];
    LlavaIndex mine[MOST] = { 0 };
    const JsonScan *s = llava_scan(l);
    Err e = { 0 };
    assert_in_range(ranks, 1, MOST);
    for (int r = 0; r < ranks; r++)
        assert_true(json_slice_read(&slice[r], s, r ? cut[r - 1] : s->first, cut[r], &e));
    for (int r = 0; r < ranks; r++) {
        const int64_t from = r ? cut[r - 1] : s->first;
        int64_t first;
        assert_true(json_slice_first(&first, s, json_slice_state(slice, r), from, cut[r], &e));
        assert_true(first < 0 || (first >= from && first < cut[r]));
        Err broken = { 0 };
        llava_index_slice(&mine[r], &part[r], l, first, cut[r], to_bad, &broken);
        assert_int_equal(broken.code != 0, part[r].broken);
    }
    const int parts = llava_parts_fit(part, ranks, s->first);
    all->n = 0;
    for (int r = 0; r < ranks; r++) {
        for (int64_t i = 0; r < parts && i < part[r].n; i++, all->n++) {
            if (all->n == all->cap) {
                all->cap = all->cap * 2 + 100;
                all->offset = realloc(all->offset, (size_t)all->cap * sizeof *all->offset);
                all->kind   = realloc(all->kind, (size_t)all->cap);
            }
            all->offset[all->n] = mine[r].offset[i];
            all->kind[all->n]   = mine[r].kind[i];
        }
        llava_index_free(&mine[r]);
    }
    return parts;
}

/* The file read from its beginning by llava_next alone: 1, or 0 where it is broken. */
static int find_serially(LlavaIndex *all, Llava *l, bool to_bad)
{
    LlavaRecord r;
    int got;
    all->n = 0;
    llava_seek(l, llava_scan(l)->first, 0);
    all->offset = realloc(all->offset, ROOM * sizeof *all->offset);
    all->kind   = realloc(all->kind, ROOM);
    for (;;) {
        Err e = { 0 };
        if ((got = llava_next(l, &r, &e)) == 0)
            return 1;
        if (llava_scan(l)->broken.code)
            return 0;
        assert_int_equal(r.record, all->n);
        all->offset[all->n] = r.offset;
        all->kind[all->n++] = got == 1 ? (uint8_t)min64(r.images, KIND_PICTURES) : KIND_BAD;
        if (got < 0 && to_bad)
            return 1;
    }
}

static void check(Llava *l, const LlavaIndex *want, int whole, const int64_t *cut, int ranks, bool to_bad)
{
    static LlavaIndex got;
    const int parts = find(&got, l, cut, ranks, to_bad);
    if ((parts > 0) != whole)
        fail_msg("%d ranks, first cut %lld: %s", ranks, (long long)cut[0], whole ? "do not fit" : "fit, but the file is broken");
    if (!whole)
        return;
    assert_int_equal(got.n, want->n);
    assert_memory_equal(got.offset, want->offset, (size_t)got.n * sizeof *got.offset);
    assert_memory_equal(got.kind, want->kind, (size_t)got.n);
}

/* The file cut in two everywhere, and at random into many.  Is it whole? */
static int check_cuts(Rng *rng, bool everywhere)
{
    static LlavaIndex want;
    Err e = { 0 };
    Llava *l = llava_open(path, NULL, true, &e);
    if (!l)
        return 0;
    const int64_t start = llava_scan(l)->first, size = llava_scan(l)->size;
    int whole = 0;
    for (int to_bad = 0; to_bad < 2; to_bad++) {
        const int ok = find_serially(&want, l, to_bad);
        whole |= ok << to_bad;
        for (int64_t at = start; everywhere && at <= size; at++)
            check(l, &want, ok, (int64_t[]){ at, size }, 2, to_bad);
        for (int k = 0; k < (everywhere ? 20 : 4); k++) {
            int64_t cut[MOST];
            const int ranks = 1 + (int)rng_draw(rng, MOST);
            for (int r = 0; r < ranks - 1; r++) {               /* ascending, often equal: empty slices */
                cut[r] = start + rng_draw(rng, size - start + 1);
                if (r > 0 && rng_draw(rng, 5) == 0)
                    cut[r] = cut[r - 1];
                for (int q = r; q > 0 && cut[q] < cut[q - 1]; q--) {
                    const int64_t swap = cut[q];
                    cut[q] = cut[q - 1];
                    cut[q - 1] = swap;
                }
            }
            cut[ranks - 1] = size;
            check(l, &want, ok, cut, ranks, to_bad);
        }
    }
    llava_close(l);
    return whole;
}

/* ---- random files ---- */

static char text[ROOM];
static size_t len;

static void put(const char *s)
{
    const size_t n = strlen(s);
    assert_true(len + n < ROOM);
    memcpy(text + len, s, n);
    len += n;
}

static const char *pick(Rng *r, const char *const *of, int n) { return of[rng_draw(r, n)]; }

static void put_string(Rng *r)
{
    static const char *const bits[] = { "\\\"", "\\\\", "\\\\\\\\", "\\n", "\\u00e9", "\xC3\xA9", "\xF0\x9F\x90\xB1", "{", "}", "[", "]", ",",
                                        ":", "a", "word ", " ", "\\/", "}, {" };
    put("\"");
    for (int64_t n = rng_draw(r, 4) ? rng_draw(r, 8) : rng_draw(r, 60); n > 0; n--)
        put(pick(r, bits, sizeof bits / sizeof *bits));
    put("\"");
}

static void put_gap(Rng *r)
{
    static const char *const gaps[] = { "", "", "", " ", "\n", "\t", "\r\n", "  \n  " };
    put(pick(r, gaps, sizeof gaps / sizeof *gaps));
}

static void put_value(Rng *r, int depth)
{
    static const char *const words[] = { "1", "-2.5e3", "true", "null", "0", "17" };
    const int64_t what = rng_draw(r, depth > 3 ? 2 : 4);
    if (what == 0)
        put(pick(r, words, sizeof words / sizeof *words));
    else if (what == 1)
        put_string(r);
    else {
        put(what == 2 ? "[" : "{");
        for (int64_t n = rng_draw(r, 4), i = 0; i < n; i++) {
            char key[16];
            snprintf(key, sizeof key, "\"k%d\\\"\":", (int)i);
            put(i ? "," : "");
            put_gap(r);
            put(what == 2 ? "" : key);
            put_value(r, depth + 1);
            put_gap(r);
        }
        put(what == 2 ? "]" : "}");
    }
}

/* Good ones, bare values of all kinds, and a rare long one. */
static void put_record(Rng *r, bool first_of_lines)
{
    const int64_t what = rng_draw(r, 5);
    if (what == 0 && !first_of_lines) {
        put_value(r, 0);
        return;
    }
    put("{\"x\":");
    put_value(r, 0);
    put(",\"conversations\":[{\"from\":\"human\",\"value\":");
    put_string(r);
    put("},{\"from\":\"gpt\",\"value\":");
    for (int64_t n = rng_draw(r, 12) ? 1 : 20; n > 1; n--)
        put("\"x\",\"y\":");
    put_string(r);
    put("}]}");
}

static void put_file(Rng *r)
{
    const bool lines = rng_draw(r, 2);
    const int64_t n = 1 + rng_draw(r, 7);
    len = 0;
    put(rng_draw(r, 4) ? "" : "\xEF\xBB\xBF");
    put_gap(r);
    put(lines ? "" : "[");
    for (int64_t i = 0; i < n; i++) {
        if (i > 0)
            put(lines ? "\n" : ",");
        put_gap(r);
        put_record(r, lines && i == 0);
        put_gap(r);
    }
    put(lines ? "" : "]");
    put_gap(r);
}

static void test_any_cut(void **state)
{
    (void)state;
    Rng r = { 5, rng_stream("slices"), 0 };
    for (int i = 0; i < 400; i++) {
        put_file(&r);
        write_bytes(text, len);
        if (!check_cuts(&r, i % 8 == 0))
            fail_msg("not whole: %.*s", (int)len, text);
    }
}

/* Bytes changed or the end cut off: the ranks together see that something is wrong whenever one alone does. */
static void test_broken_files(void **state)
{
    (void)state;
    static const char odd[] = "{}[]\",:\\\n\x01" "e1 ";
    Rng r = { 6, rng_stream("slices"), 0 };
    int broken = 0;
    for (int i = 0; i < 600; i++) {
        put_file(&r);
        for (int64_t k = rng_draw(&r, 3); k >= 0; k--)
            text[rng_draw(&r, (int64_t)len)] = odd[rng_draw(&r, sizeof odd - 1)];
        if (rng_draw(&r, 4) == 0)
            len = 1 + (size_t)rng_draw(&r, (int64_t)len);
        write_bytes(text, len);
        broken += check_cuts(&r, i % 16 == 0) != 3;
    }
    assert_in_range(broken, 200, 590);
}

/* Larger than all buffers, with a run of backslashes and a string full of brackets across the cuts. */
static void test_long_file(void **state)
{
    (void)state;
    enum { LONG = 3 << 20 };
    char *all = malloc(4 * LONG);
    size_t n = 0;
    n += (size_t)sprintf(all, "[{\"conversations\":[{\"from\":\"human\",\"value\":\"");
    for (int kind = 0; kind < 3; kind++) {
        memset(all + n, kind == 0 ? '\\' : kind == 1 ? ' ' : ']', LONG);
        n += LONG;
    }
    n += (size_t)sprintf(all + n, "\\\"\"}]}, 17 ,{\"conversations\":[{\"from\":\"human\",\"value\":\"x\"}]}]");
    write_bytes(all, n);
    Err e = { 0 };
    LlavaIndex want = { 0 };
    Llava *l = llava_open(path, NULL, true, &e);
    assert_non_null(l);
    assert_int_equal(find_serially(&want, l, false), 1);
    assert_int_equal(want.n, 3);
    for (int i = 0; i < 7; i++) {
        const int64_t size = (int64_t)n, cut[] = { (LONG >> 1) + i, LONG + i, 2 * LONG + i, 3 * LONG + 7 * i, size };
        check(l, &want, 1, cut, 5, false);
    }
    llava_index_free(&want);
    llava_close(l);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut), cmocka_unit_test(test_broken_files), cmocka_unit_test(test_long_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
