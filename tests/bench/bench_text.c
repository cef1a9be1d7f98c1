/*
 * bench_text.c -- a text model at work: ids of standard input, and how fast one thread finds them
 *
 *     build/tests/bench/bench_text MODEL [marked] <TEXT >IDS      ids as int32, little endian, one run of them
 *     build/tests/bench/bench_text MODEL rate     <TEXT           MB a second of a thread, best of ROUNDS; no ids
 *     build/tests/bench/bench_text MODEL docs     <DOCS >IDS      texts, each with its length (uint32) in front; its ids followed by -1
 *     build/tests/bench/bench_text MODEL markdocs <DOCS >IDS      the same, added tokens found
 *     build/tests/bench/bench_text MODEL decode   <IDS  >TEXT
 *
 * Standard error has one line: seconds to open, bytes, ids, MB/s, and whether decode gave back the text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/text/text.h"

enum { ROUNDS = 5 };

static double processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *read_all(size_t *n)
{
    char *s = NULL;
    size_t cap = 0, k;
    *n = 0;
    do {
        if (*n == cap)
            s = realloc(s, cap = 2 * cap + (1 << 20));
        CHECK(s, "no memory for the text");
        *n += k = fread(s + *n, 1, cap - *n, stdin);
    } while (k > 0);
    return s;
}

static void write_ids(const int32_t *ids, int64_t n)
{
    CHECK(fwrite(ids, sizeof *ids, (size_t)n, stdout) == (size_t)n, "cannot write the ids");
}

static int encode_all(const Text *t, const char *s, size_t n, int32_t *ids, int cap, bool marked)
{
    Err e = { 0 };
    const int k = marked ? text_encode_marked(t, s, n, ids, cap, &e) : text_encode(t, s, n, ids, cap, &e);
    CHECK(k >= 0 && k <= cap, "%s", e.what);
    return k;
}

static void encode_docs(const Text *t, const char *s, size_t n, int32_t *ids, bool marked)
{
    for (size_t i = 0; i < n;) {
        uint32_t len;
        CHECK(n - i >= sizeof len, "the last text is cut");
        memcpy(&len, s + i, sizeof len);
        i += sizeof len;
        CHECK(len <= n - i, "the last text is cut");
        const int k = encode_all(t, s + i, len, ids, (int)n, marked);
        ids[k] = -1;
        write_ids(ids, k + 1);
        i += len;
    }
}

int main(int argc, char **argv)
{
    Err e = { 0 };
    size_t n;
    CHECK(argc > 1, "usage: bench_text MODEL [marked|rate|docs|markdocs|decode] <TEXT");
    const char *how = argc > 2 ? argv[2] : "";
    const double begin = processor_time();
    Text *t = text_open(argv[1], &e);
    CHECK(t, "%s: %s (expected %s, got %s)", e.where, e.what, e.expected, e.got);
    const double opened = processor_time() - begin;
    char *s = read_all(&n);
    if (strcmp(how, "decode") == 0) {
        const int ids = (int)(n / sizeof(int32_t)), len = text_decode(t, (int32_t *)(void *)s, ids, NULL, 0);
        char *out = malloc((size_t)len + 1);
        CHECK(out && text_decode(t, (int32_t *)(void *)s, ids, out, len + 1) == len && fwrite(out, 1, (size_t)len, stdout) == (size_t)len, "cannot decode");
        return 0;
    }
    int32_t *ids = malloc((n + 8) * sizeof *ids);
    CHECK(ids, "no memory for the ids");
    double best = 1e30;
    int k = 0;
    for (int i = 0; i < (strcmp(how, "rate") == 0 ? ROUNDS : 1); i++) {
        const double from = processor_time();
        if (strstr(how, "docs"))
            encode_docs(t, s, n, ids, how[0] == 'm');
        else
            k = encode_all(t, s, n, ids, (int)n + 8, strcmp(how, "marked") == 0);
        const double took = processor_time() - from;
        best = took < best ? took : best;
    }
    if (!how[0] || strcmp(how, "marked") == 0)
        write_ids(ids, k);
    const int len = text_decode(t, ids, k, NULL, 0);
    char *back = malloc((size_t)len + 1);
    CHECK(back, "no memory for the text");
    text_decode(t, ids, k, back, len + 1);
    fprintf(stderr, "opened %.2f s, %zu bytes, %d ids, %.1f MB/s, decoded %s, size %d, bos %d, eos %d, newline %d\n", opened, n, k, 1e-6 * (double)n / best,
            (size_t)len == n && memcmp(back, s, n) == 0 ? "the same" : "another text", text_size(t), text_bos(t), text_eos(t), text_newline(t));
    text_close(t);
    free(back);
    free(ids);
    free(s);
    return 0;
}
