#include "io/source/jsonpull.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { END = -1 };

int64_t pull_tell(const JsonPull *p) { return p->base + p->at; }

bool pull_fail(const JsonPull *p, int64_t byte, Err *e, const char *what, const char *hint)
{
    char where[460];
    snprintf(where, sizeof where, "%s: byte %lld%s%s", p->path, (long long)byte, bytes_packed(p->in)[0] ? " of what is unpacked from " : "",
             bytes_packed(p->in));
    return err_set(e, EXIT_DATA, where, hint, "%s", what);
}

bool pull_open(JsonPull *p, const char *path, Err *e)
{
    *p = (JsonPull){ .in = bytes_open(path, e) };
    snprintf(p->path, sizeof p->path, "%s", path);
    if (!p->in)
        return false;
    p->have = max64(bytes_read(p->in, p->block, PULL_BLOCK, e), 0);
    if (p->have >= 3 && !memcmp(p->block, "\xEF\xBB\xBF", 3))
        p->at = 3;
    if (!e->code)
        return true;
    pull_close(p);
    return false;
}

void pull_close(JsonPull *p)
{
    bytes_close(p->in);
    free(p->text);
    *p = (JsonPull){ 0 };
}

static int next(JsonPull *p)
{
    if (p->broken.code)
        return END;
    if (p->at == p->have) {
        p->base += p->have;
        p->at = 0;
        p->have = max64(bytes_read(p->in, p->block, PULL_BLOCK, &p->broken), 0);
    }
    return p->at < p->have ? p->block[p->at] : END;
}

static bool is_blank(int c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

int pull_peek(JsonPull *p)
{
    while (is_blank(next(p)))
        p->at++;
    return next(p);
}

static bool give_up(JsonPull *p, const char *what)
{
    const bool cut = next(p) == END;
    return pull_fail(p, pull_tell(p), &p->broken, cut ? "the file ends in the middle" : what,
                     cut ? "it was cut off; copy it again" : "`python3 -m json.tool` says more");
}

void pull_enter(JsonPull *p) { p->at += next(p) != END; }

/* Behind what came before: goes over a comma; false at the end, which it goes over. */
static bool more(JsonPull *p, bool first, int close)
{
    int c = pull_peek(p);
    if (c == close) {
        p->at++;
        return false;
    }
    if (!first && c != ',')
        return give_up(p, "no comma between two values");
    if (!first) {
        p->at++;
        c = pull_peek(p);
        if (c == close)
            return give_up(p, "a comma with nothing behind it");
    }
    return c != END || give_up(p, "");
}

bool pull_element(JsonPull *p, bool first) { return !p->broken.code && more(p, first, ']'); }

bool pull_member(JsonPull *p, bool first, char key[PULL_KEY])
{
    key[0] = 0;
    if (p->broken.code || !more(p, first, '}'))
        return false;
    if (next(p) != '"')
        return give_up(p, "a key that is no string");
    if (pull_value(p) < 0)
        return false;
    snprintf(key, PULL_KEY, "%.*s", (int)min64(p->len - 2, PULL_KEY - 1), p->text + 1);
    if (pull_peek(p) != ':')
        return give_up(p, "no colon behind a key");
    p->at++;
    return true;
}

static void keep(JsonPull *p, int c)
{
    if (p->len + 1 >= p->cap) {
        p->cap = p->cap ? 2 * p->cap : 4096;
        p->text = realloc(p->text, (size_t)p->cap);
        CHECK(p->text, "no memory for a JSON value of %lld bytes", (long long)p->cap);
    }
    p->text[p->len++] = (char)c;
}

/* Brackets are only counted; whoever parses the value sees whether they match. */
int pull_value(JsonPull *p)
{
    int64_t depth = 0, n = 0;
    bool string = false, escape = false, done = false;
    int c = pull_peek(p);
    p->len = 0;
    p->start = pull_tell(p);
    for (; !done; n++) {
        c = next(p);
        const bool outside = !string && depth == 0;
        if (outside && n > 0 && (c == END || c == ',' || c == ']' || c == '}' || c == ':' || is_blank(c)))
            break;                                                        /* a bare word ends in front of what follows it */
        if (c == END || (outside && strchr(",]}:", c)) || (string && c < ' ')) {
            give_up(p, "this is no JSON");
            return -1;
        }
        if (string) {
            string = escape || c != '"';
            escape = c == '\\' && !escape;
            done = !string && depth == 0;
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            done = --depth == 0;
        }
        if (n < PULL_MOST)
            keep(p, !string && is_blank(c) ? ' ' : c);
        p->at++;
    }
    if (p->broken.code)
        return -1;
    keep(p, 0);
    p->len--;
    return n <= PULL_MOST;
}
