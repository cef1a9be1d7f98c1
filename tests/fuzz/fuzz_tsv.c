/*
 * fuzz_tsv.c -- any bytes as a table of questions, its fields as lists and base64
 *
 * Laws   refused: EXIT_DATA at the file, at a byte inside it where it says one
 *        fields lie inside the file, one behind the other; each row has as many as the first line
 *        a table written from what was read reads the same, but for rows of nothing
 *        a list's items lie in its text, and base64 gives no more than three bytes for four characters
 */
#include "io/bench/base64.h"
#include "io/bench/pylist.h"
#include "io/bench/tsv.h"
#include "tests/fuzz/fuzz.h"

static void placed(const Err *e, const char *path, size_t size)
{
    long long byte = 0;
    const char *at = strstr(e->where, "byte ");
    for (const char *next = at; next && (next = strstr(next + 1, "byte ")); )
        at = next;                                      /* a column may be called so */
    fuzz_refused(e, EXIT_DATA, path);
    LAW(!at || (sscanf(at, "byte %lld", &byte) == 1 && byte >= 0 && byte <= (long long)size), "\"%s\" of a file of %zu bytes", e->where, size);
}

static void inside(const TsvText *field)
{
    char **item, *text = malloc(field->n + 1);
    CHECK(text, "no memory");
    memcpy(text, field->bytes, field->n + 1);
    const int n = pylist_read(text, field->n, &item);
    for (int i = 0; i < n; i++)
        LAW(item[i] >= text && item[i] + strlen(item[i]) <= text + field->n, "an item lies outside of its list");
    free(item);
    memcpy(text, field->bytes, field->n + 1);
    const int64_t bytes = base64_decode((uint8_t *)text, text, field->n);
    LAW(bytes <= (int64_t)(field->n / 4 * 3 + 2) && bytes >= -1 - (int64_t)field->n, "%lld bytes of %zu characters", (long long)bytes, field->n);
    free(text);
}

static void cells(const Tsv *t, TsvText *all)
{
    TsvText field = { 0 };
    Err e = { 0 };
    int64_t before = 0;
    for (int c = 0; c < t->cols; c++) {
        tsv_put(all, t->name[c], strlen(t->name[c]));
        tsv_add(all, c + 1 < t->cols ? "\t" : "\n", 1);
    }
    for (int64_t i = 0; i < t->rows * t->cols; i++) {
        const TsvCell x = t->cell[i];
        LAW(x.at >= before && x.bytes >= 0 && x.at + x.bytes <= t->size, "field %lld lies at %lld, %lld bytes", (long long)i, (long long)x.at, (long long)x.bytes);
        before = x.at + x.bytes;
        LAW(tsv_bytes(t, i / t->cols, (int)(i % t->cols), &field, &e), "%s", e.what);
        LAW(strlen(field.bytes) == field.n && (int64_t)field.n <= x.bytes, "a field grew");
        inside(&field);
        tsv_put(all, field.bytes, field.n);
        tsv_add(all, (i + 1) % t->cols ? "\t" : "\n", 1);
    }
    tsv_text_free(&field);
}

static void again(const Tsv *t, const TsvText *all)
{
    Tsv u;
    Err e = { 0 };
    TsvText a = { 0 }, b = { 0 };
    char path[32];
    const int fd = fuzz_file(all->bytes, all->n, path);
    if (t->cols > 1) {                                  /* a row of one empty field is an empty line */
        LAW(tsv_open(&u, path, &e) && tsv_index(&u, &e), "what was written is refused: %s", e.what);
        LAW(u.rows == t->rows && u.cols == t->cols, "%lld rows became %lld", (long long)t->rows, (long long)u.rows);
        for (int64_t i = 0; i < t->rows * t->cols; i++) {
            LAW(tsv_bytes(t, i / t->cols, (int)(i % t->cols), &a, &e) && tsv_bytes(&u, i / t->cols, (int)(i % t->cols), &b, &e), "%s", e.what);
            LAW(a.n == b.n && !memcmp(a.bytes, b.bytes, a.n), "field %lld is another", (long long)i);
        }
        tsv_close(&u);
    }
    tsv_text_free(&a);
    tsv_text_free(&b);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Tsv t;
    Err e = { 0 };
    TsvText all = { 0 };
    char path[32];
    const int fd = fuzz_file(data, size, path);
    if (tsv_open(&t, path, &e) && tsv_index(&t, &e)) {
        cells(&t, &all);
        again(&t, &all);
    } else
        placed(&e, path, size);
    tsv_close(&t);
    tsv_text_free(&all);
    close(fd);
    return 0;
}
