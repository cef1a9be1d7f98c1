#include "io/source/jsonslice.h"

#include <stdlib.h>

#include "io/base/files.h"

enum { BLOCK = 1 << 18 };

static bool is_blank(uint8_t c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static bool inside(const JsonState *k) { return k->string || k->depth > 0; }

/* Bytes that change nothing, in a string and outside. */
static bool quiet_in_string(uint8_t c) { return c != '"' && c != '\\' && c >= ' '; }
static bool quiet_outside(uint8_t c) { return c != '"' && (c | 0x20) != '{' && (c | 0x20) != '}'; }     /* | 0x20: [ and ] too */

/* Goes over n bytes; with `leave` only up to behind the one that ends the value.  Returns how many. */
static int64_t walk(JsonState *k, const uint8_t *p, int64_t n, bool leave)
{
    int64_t i = 0;
    while (i < n && !k->lost) {
        if (k->string && k->escape) {
            k->escape = false;
            k->lost   = p[i++] < ' ';
            continue;
        }
        if (k->string)
            while (i < n && quiet_in_string(p[i]))
                i++;
        else
            while (i < n && quiet_outside(p[i]))
                i++;
        if (i == n)
            break;
        switch (p[i++]) {
        case '"':           k->string = !k->string; break;
        case '\\':          k->escape = true;       break;
        case '{': case '[': k->depth++;             break;
        case '}': case ']': k->depth--;             break;
        default:            k->lost = true;         /* a control character in a string */
        }
        if (leave && !inside(k))
            return i;
    }
    return n;
}

static bool fetch(uint8_t *block, const JsonScan *s, int64_t at, int64_t n, Err *e)
{
    const int64_t got = file_pread(s->fd, block, n, at);
    if (got < 0)
        return file_error(e, s->name, "read a slice of the JSON file");
    return got == n || err_set(e, EXIT_DATA, s->name, "", "the file became shorter while it was read");
}

static uint8_t *new_block(void)
{
    uint8_t *block = malloc(BLOCK);
    CHECK(block, "no memory to read JSON");
    return block;
}

/* An odd number of backslashes in front of `from`: the next byte is escaped if this is a string. */
static bool escaped(uint8_t *block, const JsonScan *s, int64_t from, bool *out, Err *e)
{
    int64_t at = from, n = 0;
    *out = false;
    while (at > s->first) {
        n = min64(64, at - s->first);
        if (!fetch(block, s, at -= n, n, e))
            return false;
        while (n > 0 && block[n - 1] == '\\') {
            n--;
            *out = !*out;
        }
        if (n > 0)
            break;
    }
    return true;
}

bool json_slice_read(JsonSlice *out, const JsonScan *s, int64_t from, int64_t to, Err *e)
{
    *out = (JsonSlice){ 0 };
    if (s->lines)
        return true;
    uint8_t *block = new_block();
    bool escape, ok = escaped(block, s, from, &escape, e);
    *out = (JsonSlice){ { { .string = false }, { .string = true, .escape = escape } } };
    for (int64_t at = from; ok && at < to && !(out->end[0].lost && out->end[1].lost); at += BLOCK) {
        const int64_t n = min64(BLOCK, to - at);
        ok = fetch(block, s, at, n, e);
        for (int k = 0; k < 2 && ok; k++)
            walk(&out->end[k], block, n, false);
    }
    free(block);
    return ok;
}

JsonState json_slice_state(const JsonSlice *slice, int r)
{
    JsonState at = { 0 };
    for (int q = 0; q < r; q++) {
        const JsonState *end = &slice[q].end[at.string];
        at = (JsonState){ end->string, end->escape, at.lost || end->lost, at.depth + end->depth };
    }
    return at;
}

/* Outside of all: is the byte in front of this one part of a bare word or number that may go on? */
static bool in_word(uint8_t before)
{
    return !is_blank(before) && before != ',' && before != '"' && before != '}' && before != ']';
}

/* Goes on through p to the next value; where it begins, or n. */
static int64_t to_value(JsonState *k, bool *word, const uint8_t *p, int64_t n)
{
    int64_t i = 0;
    while (i < n) {
        const bool gap = is_blank(p[i]) || p[i] == ',';
        if (inside(k)) {
            i += walk(k, p + i, n - i, true);
            *word = false;
        } else if (*word && !gap && p[i] != ']') {
            i += walk(k, p + i, 1, false);
        } else if (gap) {
            *word = false;
            i++;
        } else {
            return i;
        }
    }
    return n;
}

/* Is there something in front of `from` on its line? */
static bool begun(uint8_t *block, const JsonScan *s, int64_t from, bool *out, Err *e)
{
    int64_t n = 0;
    *out = false;
    for (int64_t at = from; at > s->first && n == 0;) {
        n = min64(64, at - s->first);
        if (!fetch(block, s, at -= n, n, e))
            return false;
        while (n > 0 && block[n - 1] != '\n' && is_blank(block[n - 1]))
            n--;
        *out = n > 0 && block[n - 1] != '\n';
    }
    return true;
}

static bool line_first(int64_t *first, const JsonScan *s, int64_t from, int64_t to, Err *e)
{
    uint8_t *block = new_block();
    bool inside_line, ok = begun(block, s, from, &inside_line, e);
    for (int64_t n; ok && from < to && *first < 0; from += n) {
        n = min64(BLOCK, to - from);
        ok = fetch(block, s, from, n, e);
        for (int64_t i = 0; ok && i < n && *first < 0; i++) {
            if (inside_line)
                inside_line = block[i] != '\n';
            else if (!is_blank(block[i]))
                *first = from + i;
        }
    }
    free(block);
    return ok;
}

bool json_slice_first(int64_t *first, const JsonScan *s, JsonState at, int64_t from, int64_t to, Err *e)
{
    *first = -1;
    if (s->lines)
        return from >= to || line_first(first, s, from, to, e);
    if (at.lost || at.depth < 0 || from >= to)
        return true;
    uint8_t *block = new_block();
    bool ok = true, word = false;
    if (!inside(&at) && from > s->first) {
        ok = fetch(block, s, from - 1, 1, e);
        word = ok && in_word(block[0]);
    }
    for (int64_t n; ok && from < to && *first < 0 && !at.lost; from += n) {
        n = min64(BLOCK, to - from);
        ok = fetch(block, s, from, n, e);
        const int64_t i = ok ? to_value(&at, &word, block, n) : n;
        if (i < n && !(s->array && block[i] == ']'))
            *first = from + i;
        if (i < n)
            break;
    }
    free(block);
    return ok;
}
