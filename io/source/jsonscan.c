#include "io/source/jsonscan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/files.h"

enum { END = -1, WINDOW = 1 << 16 };

int64_t json_scan_tell(const JsonScan *s) { return s->base + s->at; }

int json_scan_fail(const JsonScan *s, int64_t record, int64_t byte, Err *e, const char *what, const char *hint)
{
    char where[400];
    snprintf(where, sizeof where, "%s: record %lld, byte %lld", s->name, (long long)record, (long long)byte);
    err_set(e, EXIT_DATA, where, hint, "%s", what);
    return -1;
}

static int peek(JsonScan *s)
{
    if (s->at == s->have) {
        s->base += s->have;
        const int64_t n = file_pread(s->fd, s->window, WINDOW, s->base);
        if (n < 0)
            err_set(&s->broken, EXIT_IO, s->name, "", "cannot read on: %s", strerror(errno));
        s->have = n > 0 ? (int)n : 0;
        s->at = 0;
    }
    return s->at < s->have ? s->window[s->at] : END;
}

static bool is_blank(int c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static int peek_word(JsonScan *s)
{
    while (is_blank(peek(s)))
        s->at++;
    return peek(s);
}

static int give_up(JsonScan *s, const char *what)
{
    const bool cut = peek(s) == END;
    return json_scan_fail(s, s->records, json_scan_tell(s), &s->broken, cut ? "the file ends in the middle" : what,
                          cut ? "it was cut off; copy it again" : "`python3 -m json.tool` says more");
}

/* Bit d of curly: the bracket open at depth d is a {. */
typedef struct { uint64_t curly; int64_t depth; bool string, escape, too_deep; } Nest;

static bool outside(const Nest *k) { return !k->depth && !k->string; }

static void enter(Nest *k, bool curly)
{
    if (k->depth < JSON_DEPTH)
        k->curly = (k->curly & ~(1ull << k->depth)) | (uint64_t)curly << k->depth;
    else
        k->too_deep = true;
    k->depth++;
}

static bool leave(Nest *k, bool curly)
{
    k->depth--;
    return k->depth >= JSON_DEPTH || (k->curly >> k->depth & 1) == curly;
}

/* The value's next byte: 1 it goes on, 0 it ends with this one, -1 this is no JSON. */
static int step(Nest *k, int c)
{
    if (k->string) {
        if (c < ' ')
            return -1;
        k->string = k->escape || c != '"';
        k->escape = c == '\\' && !k->escape;
        return !outside(k);
    }
    switch (c) {
    case '"':           k->string = true;    return 1;
    case '{': case '[': enter(k, c == '{');  return 1;
    case '}': case ']': return leave(k, c == '}') ? !outside(k) : -1;
    default:            return 1;
    }
}

static void keep(JsonScan *s, const void *bytes, int64_t n)
{
    if (s->len + n > s->cap) {
        s->cap  = s->cap ? 2 * s->cap + n : WINDOW + n;
        s->text = realloc(s->text, (size_t)s->cap);
        CHECK(s->text, "no memory for a JSON record of %lld bytes", (long long)s->cap);
    }
    memcpy(s->text + s->len, bytes, (size_t)n);
    s->len += n;
}

static void keep_byte(JsonScan *s, int c) { keep(s, &(char){ (char)c }, 1); }

static int line_value(JsonScan *s)
{
    int64_t n = 0;
    s->len = 0;
    for (int c; (c = peek(s)) != END && c != '\n';) {
        const uint8_t *from = s->window + s->at, *end = memchr(from, '\n', (size_t)(s->have - s->at));
        const int64_t k = end ? end - from : s->have - s->at;
        keep(s, from, min64(k, max64(JSON_BYTES - n, 0)));
        n += k;
        s->at += (int)k;
    }
    if (s->broken.code)
        return -1;
    while (s->len > 0 && is_blank(s->text[s->len - 1]))
        s->len--;
    s->records++;
    s->found = false;
    return n <= JSON_BYTES;
}

int json_scan_value(JsonScan *s)
{
    if (s->lines)
        return line_value(s);
    Nest k = { 0 };
    int64_t n = 0;
    s->len = 0;
    for (int go = 1; go; n++) {
        const int c = peek(s);
        if (outside(&k) && n > 0 && (c == END || c == ',' || c == ']' || is_blank(c)))
            break;      /* a bare word or number ends in front of what follows it */
        const bool nothing = c == END || (outside(&k) && (c == ',' || c == ']' || c == '}'));
        if (nothing || (go = step(&k, c)) < 0)
            return give_up(s, "this is no JSON");
        if (!k.too_deep && n < JSON_BYTES)
            keep_byte(s, c);
        s->at++;
    }
    if (s->broken.code)
        return -1;
    s->records++;
    s->found = false;
    return !k.too_deep && n <= JSON_BYTES;
}

void json_scan_seek(JsonScan *s, int64_t at, int64_t record)
{
    if (at < s->base || at > s->base + s->have) {
        s->base = at;
        s->have = 0;
    }
    s->at      = (int)(at - s->base);
    s->records = record;
    s->found   = true;
    s->done    = false;
    s->broken  = (Err){ 0 };
}

/* Behind a value: goes over the comma to the next one, or over the array's end. */
static int next_of_array(JsonScan *s, int c)
{
    if (c == ']') {
        s->at++;
        if (peek_word(s) != END)
            return give_up(s, "text after the end of the array");
        s->done = !s->broken.code;
        return s->done ? 0 : -1;
    }
    if (c != ',')
        return give_up(s, "no comma between two records");
    s->at++;
    return peek_word(s) == ']' ? give_up(s, "a comma with nothing behind it") : 1;
}

int json_scan_find(JsonScan *s)
{
    if (s->done || s->broken.code)
        return s->done ? 0 : -1;
    if (s->found)
        return 1;
    const int c = peek_word(s);
    if (s->broken.code)
        return -1;
    s->done = !s->array && c == END;
    const int found = s->array ? next_of_array(s, c) : !s->done;
    s->found = found == 1;
    return found;
}

/* One record a line, unless the first one is whole and goes over several. */
static bool has_lines(JsonScan *s)
{
    const int64_t first = json_scan_tell(s);
    const bool values = json_scan_value(s) >= 0 && memchr(s->text, '\n', (size_t)s->len);
    json_scan_seek(s, first, 0);
    return !values;
}

static bool begin(JsonScan *s, const char *path, Err *e)
{
    static const uint8_t mark[] = { 0xEF, 0xBB, 0xBF };      /* UTF-8's byte order mark; some editors write it */
    if (peek(s) == mark[0] && s->have > 3 && memcmp(s->window, mark, sizeof mark) == 0)
        s->at = sizeof mark;
    s->array = peek_word(s) == '[';
    if (s->array)
        s->at++;
    const int c = peek_word(s);
    static const char hint[] = "a JSON array of objects is wanted, or one object a line; data.source names other kinds of files";
    if (s->broken.code)
        *e = s->broken;
    else if (c == END && s->array)
        return err_set(e, EXIT_DATA, path, hint, "the file ends in the middle, byte %lld", (long long)json_scan_tell(s));
    else if (c == END || (s->array && c == ']'))
        return err_set(e, EXIT_DATA, path, hint, "no records");
    else if (c == 0xFF || c == 0xFE)
        return err_set(e, EXIT_DATA, path, "`iconv -f UTF-16 -t UTF-8` writes it anew", "this is UTF-16, and JSON is UTF-8");
    else if (!s->array && c != '{')
        return err_set(e, EXIT_DATA, path, hint, "this is no JSON");
    s->found = !s->broken.code;
    s->first = json_scan_tell(s);
    s->lines = s->found && !s->array && has_lines(s);
    return s->found;
}

bool json_scan_open(JsonScan *s, const char *path, Err *e)
{
    *s = (JsonScan){ .fd = open(path, O_RDONLY | O_CLOEXEC), .window = malloc(WINDOW) };
    CHECK(s->window, "no memory to read JSON");
    snprintf(s->name, sizeof s->name, "%s", path);
    struct stat st = { 0 };
    const bool ok = s->fd >= 0 && fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode);
    s->size = st.st_size;
    if (!ok)
        err_set(e, EXIT_DATA, path, "", "cannot read the JSON file: %s",
                s->fd < 0 ? strerror(errno) : S_ISDIR(st.st_mode) ? "a folder" : "not a file");
    if (ok && begin(s, path, e))
        return true;
    json_scan_close(s);
    return false;
}

void json_scan_close(JsonScan *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->window);
    free(s->text);
    *s = (JsonScan){ .fd = -1 };
}
