#include "io/bench/tsv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "io/base/json.h"

enum { CHUNK = 1 << 18, COLUMNS = 4096, FIELD = 1 << 30 };
enum { LINE, FIELD_BEGINS, PLAIN, QUOTED, QUOTE };      /* LINE: nothing of it was seen yet */

typedef struct {
    Tsv     *t;
    Err     *e;
    int      state, col;
    bool     names;                     /* the first line is under way */
    bool     carriage;                  /* \r ended the line: \n behind it is no other */
    int64_t  begin;                     /* of the field */
    TsvCell *first; int n_first, cap_first;
} Scan;

static void place(const Tsv *t, int64_t row, int col, int64_t byte, char out[512])
{
    int n = snprintf(out, 512, "%.380s", t->path);
    if (row >= 0)
        n += snprintf(out + n, 512 - (size_t)n, ": row %lld", (long long)row + 1);
    if (col >= 0 && col < t->cols)
        n += snprintf(out + n, 512 - (size_t)n, ", column \"%.40s\"", t->name[col]);
    snprintf(out + n, 512 - (size_t)n, ", byte %lld", (long long)byte);
}

bool tsv_wrong(const Tsv *t, int64_t row, int col, Err *e, const char *hint, const char *what, ...)
{
    char where[512], text[400];
    va_list ap;
    va_start(ap, what);
    vsnprintf(text, sizeof text, what, ap);
    va_end(ap);
    place(t, row, col, t->cell[row * t->cols + (col < 0 ? 0 : col)].at, where);
    return err_set(e, EXIT_DATA, where, hint, "%s", text);
}

static bool broken(Scan *s, int64_t byte, const char *hint, const char *what)
{
    char where[512];
    place(s->t, s->names ? -1 : s->t->rows, s->names ? -1 : s->col, byte, where);
    return err_set(s->e, EXIT_DATA, where, hint, "%s", what);
}

static bool field_ends(Scan *s, int64_t at)
{
    Tsv *t = s->t;
    const TsvCell c = { s->begin, at - s->begin };
    if (c.bytes > FIELD)
        return broken(s, s->begin, "", "a field of more than 1 GiB");
    if (s->names) {
        if (s->n_first == COLUMNS)
            return broken(s, at, "is this a table with tabs between its columns?", "more than 4096 columns");
        if (s->n_first == s->cap_first) {
            s->cap_first = s->cap_first ? 2 * s->cap_first : 32;
            s->first = realloc(s->first, (size_t)s->cap_first * sizeof *s->first);
            CHECK(s->first, "no memory for %d columns", s->cap_first);
        }
        s->first[s->n_first++] = c;
        return true;
    }
    if (s->col == t->cols) {
        err_expected(s->e, "%d fields, as the first line has", t->cols);
        err_got(s->e, "more");
        return broken(s, s->begin, "", "a row with too many fields");
    }
    if (t->rows == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 256;
        t->cell = realloc(t->cell, (size_t)t->cap * (size_t)t->cols * sizeof *t->cell);
        CHECK(t->cell, "no memory for %lld rows of a table", (long long)t->cap);
    }
    t->cell[t->rows * t->cols + s->col++] = c;
    return true;
}

static bool line_ends(Scan *s, int64_t at)
{
    if (!field_ends(s, at))
        return false;
    if (!s->names && s->col < s->t->cols) {
        err_expected(s->e, "%d fields, as the first line has", s->t->cols);
        err_got(s->e, "%d", s->col);
        return broken(s, at, "was the file cut short?", "a row with too few fields");
    }
    s->t->rows += !s->names;
    s->col = 0;
    s->state = LINE;
    return true;
}

/* One byte, which is no plain one in the middle of a field. */
static bool byte(Scan *s, char c, int64_t at)
{
    if (c == '\n' && s->carriage) {
        s->carriage = false;
        return true;
    }
    s->carriage = false;
    if (c == 0)
        return broken(s, at, "is this a table of text?", "a byte 0 in a table");
    if (s->state == QUOTED) {
        s->state = c == '"' ? QUOTE : QUOTED;
        return true;
    }
    if (s->state == QUOTE && c == '"') {
        s->state = QUOTED;
        return true;
    }
    if (c == '\n' || c == '\r') {
        s->carriage = c == '\r';
        return s->state == LINE || line_ends(s, at);
    }
    if (s->state == LINE)
        s->begin = at;
    if (c == '\t') {
        if (!field_ends(s, at))
            return false;
        s->begin = at + 1;
        s->state = FIELD_BEGINS;
        return true;
    }
    s->state = (s->state == LINE || s->state == FIELD_BEGINS) && c == '"' ? QUOTED : PLAIN;
    return true;
}

/* Bytes that need no look in this state. */
static int64_t dull(const Scan *s, const char *p, int64_t n)
{
    int64_t i = 0;
    if (s->state == QUOTED)
        while (i < n && p[i] != '"' && p[i])
            i++;
    else if (s->state == PLAIN)
        while (i < n && (uint8_t)p[i] > '\r')
            i++;
    return i;
}

/* From a byte on: to the end of the first line (names; where the next line begins), or of the file. */
static int64_t scan(Scan *s, int64_t from, XXH64_state_t *hash)
{
    Tsv *t = s->t;
    char *chunk = malloc(CHUNK);
    int64_t end = -1;
    CHECK(chunk, "no memory to read %s", t->path);
    s->state = LINE;
    for (int64_t at = 0, n; end < 0; at += n) {
        n = file_pread(t->fd, chunk, CHUNK, at);
        if (n < 0 || (n == 0 && at < t->size)) {
            n < 0 ? file_error(s->e, t->path, "read") : err_set(s->e, EXIT_DATA, t->path, "", "the file became shorter while it was read");
            break;
        }
        if (n == 0) {
            if (s->state == QUOTED)
                broken(s, s->begin, "was the file cut short? a \" that begins a field is doubled inside of it", "a quoted field has no end");
            t->open = s->state != LINE;
            if (!s->e->code && (!t->open || line_ends(s, at)))
                end = at;
            break;
        }
        if (hash)
            XXH64_update(hash, chunk, (size_t)n);
        bool ok = true;
        for (int64_t i = at < from ? min64(from - at, n) : 0; i < n && ok && end < 0; i++) {
            i += dull(s, chunk + i, n - i);
            if (i < n)
                ok = byte(s, chunk[i], at + i);
            if (s->names && s->n_first && s->state == LINE)
                end = at + i + 1;
        }
        if (!ok)
            break;
    }
    free(chunk);
    return s->e->code ? -1 : end;
}

void tsv_add(TsvText *x, const char *bytes, size_t n)
{
    if (x->n + n + 1 > x->cap) {
        x->cap = 2 * x->cap > x->n + n + 1 ? 2 * x->cap : x->n + n + 64;
        x->bytes = realloc(x->bytes, x->cap);
        CHECK(x->bytes, "no memory for a field of %zu bytes", x->cap);
    }
    memcpy(x->bytes + x->n, bytes, n);
    x->bytes[x->n += n] = 0;
}

void tsv_text_free(TsvText *x)
{
    free(x->bytes);
    *x = (TsvText){ 0 };
}

static bool read_cell(const Tsv *t, TsvCell c, TsvText *out, Err *e)
{
    if ((size_t)c.bytes + 1 > out->cap) {
        free(out->bytes);
        out->cap = (size_t)c.bytes + (size_t)c.bytes / 2 + 64;
        out->bytes = malloc(out->cap);
        CHECK(out->bytes, "no memory for a field of %zu bytes", out->cap);
    }
    const int64_t n = file_pread(t->fd, out->bytes, c.bytes, c.at);
    if (n < 0)
        return file_error(e, t->path, "read");
    if (n < c.bytes)
        return err_set(e, EXIT_DATA, t->path, "", "the file became shorter while it was read");
    size_t m = 0, i = 0, all = (size_t)n;
    char *b = out->bytes;
    if (all && b[0] == '"') {                           /* up to the quote that ends it; what follows that is text */
        for (i = 1; i < all && !(b[i] == '"' && (i + 1 == all || b[i + 1] != '"')); i++) {
            i += b[i] == '"';
            b[m++] = b[i];
        }
        i++;
    }
    for (; i < all; i++)
        b[m++] = b[i];
    b[out->n = m] = 0;
    return true;
}

static bool open_names(Tsv *t, const Scan *s, Err *e)
{
    TsvText text = { 0 };
    t->name = calloc((size_t)s->n_first, sizeof *t->name);
    CHECK(t->name, "no memory for %d columns", s->n_first);
    for (int i = 0; i < s->n_first && read_cell(t, s->first[i], &text, e); i++) {
        json_t *utf8 = json_stringn(text.bytes, text.n);
        if (!utf8)
            err_set(e, EXIT_DATA, t->path, "", "the name of column %d is no UTF-8", i + 1);
        json_decref(utf8);
        for (int j = 0; j < i; j++)
            if (!strcmp(t->name[j], text.bytes))
                err_set(e, EXIT_DATA, t->path, "", "two columns are called \"%.80s\"", text.bytes);
        t->name[t->cols++] = strdup(text.bytes);
        CHECK(t->name[i], "no memory for a name");
    }
    tsv_text_free(&text);
    return !e->code;
}

static int64_t mark(const Tsv *t)
{
    char bom[3];
    return file_pread(t->fd, bom, 3, 0) == 3 && !memcmp(bom, "\xef\xbb\xbf", 3) ? 3 : 0;
}

bool tsv_open(Tsv *t, const char *path, Err *e)
{
    struct stat st;
    *t = (Tsv){ .fd = -1 };
    if (!path_set(t->path, e, "%s", path))
        return false;
    t->fd = file_open(path, O_RDONLY);
    if (t->fd < 0 || fstat(t->fd, &st))
        return file_error(e, path, "open");
    if (!S_ISREG(st.st_mode))
        return err_set(e, EXIT_DATA, path, "", "not a regular file");
    t->size = st.st_size;
    Scan s = { .t = t, .e = e, .names = true };
    const int64_t end = scan(&s, mark(t), NULL);
    bool ok = end >= 0;
    if (ok && s.n_first == 0)
        ok = err_set(e, EXIT_DATA, path, "", "the table is empty");
    ok = ok && open_names(t, &s, e);
    free(s.first);
    return ok;
}

bool tsv_index(Tsv *t, Err *e)
{
    Scan s = { .t = t, .e = e, .names = true };
    const int64_t behind = scan(&s, mark(t), NULL);
    free(s.first);
    if (behind < 0)
        return false;
    XXH64_state_t *hash = XXH64_createState();
    CHECK(hash && XXH64_reset(hash, 0) == XXH_OK, "no memory for a hash");
    s = (Scan){ .t = t, .e = e, .carriage = true };     /* the first line may have ended with \r\n */
    t->rows = 0;
    const bool ok = scan(&s, behind, hash) >= 0;
    t->hash = XXH64_digest(hash);
    XXH64_freeState(hash);
    return ok;
}

TsvCell *tsv_room(Tsv *t, int64_t rows)
{
    free(t->cell);
    t->rows = t->cap = rows;
    t->cell = calloc((size_t)rows * (size_t)t->cols + 1, sizeof *t->cell);
    CHECK(t->cell, "no memory for %lld rows of a table", (long long)rows);
    return t->cell;
}

void tsv_close(Tsv *t)
{
    if (t->fd >= 0 && t->path[0])
        file_close(t->fd);
    for (int i = 0; i < t->cols; i++)
        free(t->name[i]);
    free(t->name);
    free(t->cell);
    *t = (Tsv){ .fd = -1 };
}

int tsv_column(const Tsv *t, const char *name)
{
    for (int i = 0; i < t->cols; i++)
        if (!strcmp(t->name[i], name))
            return i;
    return -1;
}

bool tsv_bytes(const Tsv *t, int64_t row, int col, TsvText *out, Err *e)
{
    return read_cell(t, t->cell[row * t->cols + col], out, e);
}

bool tsv_text(const Tsv *t, int64_t row, int col, TsvText *out, Err *e)
{
    if (!tsv_bytes(t, row, col, out, e))
        return false;
    json_t *utf8 = json_stringn(out->bytes, out->n);
    const bool ok = utf8 != NULL;
    json_decref(utf8);
    return ok || tsv_wrong(t, row, col, e, "", "the text is no UTF-8");
}

void tsv_put(TsvText *out, const char *text, size_t n)
{
    if (!memchr(text, '\t', n) && !memchr(text, '\n', n) && !memchr(text, '\r', n) && !memchr(text, '"', n)) {
        tsv_add(out, text, n);
        return;
    }
    tsv_add(out, "\"", 1);
    for (size_t i = 0; i < n; i++)
        tsv_add(out, text[i] == '"' ? "\"\"" : text + i, text[i] == '"' ? 2 : 1);
    tsv_add(out, "\"", 1);
}
