#include "io/source/jsonplain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    JsonPlain *out;
    JsonReads *reads;
    int64_t    depth, count;       /* brackets open; strings and numbers that nobody reads so far */
    bool       object, key, quiet; /* the record is one; its next string is a key; nobody reads this value */
} Pass;

static void put(JsonPlain *p, const char *s, int64_t n)
{
    if (p->n + n > p->cap) {
        p->cap  = 2 * (p->n + n) + 1024;
        p->text = realloc(p->text, (size_t)p->cap);
        CHECK(p->text, "no memory for a JSON record of %lld bytes", (long long)p->cap);
    }
    memcpy(p->text + p->n, s, (size_t)n);
    p->n += n;
}

static int64_t digits(const char *s, int64_t n)
{
    int64_t i = 0;
    while (i < n && s[i] >= '0' && s[i] <= '9')
        i++;
    return i;
}

/* JSON's grammar: -17, 0.5, 1e-3; not 017, .5, +1. */
static bool is_number(const char *s, int64_t n)
{
    int64_t i = n > 0 && s[0] == '-', k = digits(s + i, n - i);
    if (k == 0 || (k > 1 && s[i] == '0'))
        return false;
    i += k;
    if (i < n && s[i] == '.') {
        k = digits(s + i + 1, n - i - 1);
        i += 1 + k;
        if (k == 0)
            return false;
    }
    if (i < n && (s[i] | 0x20) == 'e') {
        i += 1 + (i + 1 < n && (s[i + 1] == '+' || s[i + 1] == '-'));
        k = i < n ? digits(s + i, n - i) : 0;
        i += k;
        if (k == 0)
            return false;
    }
    return i == n;
}

static bool is_word(const char *s, int64_t n, const char *word) { return n == (int64_t)strlen(word) && !memcmp(s, word, (size_t)n); }

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* Behind the string that begins at s[0]; n where it does not end. */
static int64_t string_end(const char *s, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        if (s[i] == '"')
            return i + 1;
        i += s[i] == '\\';
    }
    return n;
}

static int64_t word_end(const char *s, int64_t n)
{
    int64_t i = 1;
    while (i < n && !is_blank(s[i]) && !strchr("{}[],:\"", s[i]))
        i++;
    return i;
}

/* name: behind it, where it is plain. */
static void put_count(Pass *p, const char *name, int64_t n)
{
    char count[32];
    put(p->out, count, snprintf(count, sizeof count, "\"%lld%s", (long long)p->count++, n ? " " : ""));
    put(p->out, name, n);
    put(p->out, "\"", 1);
}

static bool is_plain(const char *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (s[i] < ' ' || s[i] > '~' || s[i] == '\\')
            return false;
    return true;
}

static void put_string(Pass *p, const char *s, int64_t n)
{
    const bool whole = n > 1 && s[n - 1] == '"';
    const bool key = p->key;
    if (key && whole)
        p->quiet = !p->reads(s + 1, n - 2) && !memchr(s, '\\', (size_t)n);
    p->key = false;
    if (p->quiet && whole)
        put_count(p, s + 1, key && is_plain(s + 1, n - 2) ? n - 2 : 0);
    else
        put(p->out, s, n);
}

/* The number or word that begins at s[0]; how long it is. */
static int64_t put_word(Pass *p, const char *s, int64_t left)
{
    const int64_t n = word_end(s, left);
    int64_t behind = n;
    while (behind < left && is_blank(s[behind]))
        behind++;
    const bool key = behind < left && s[behind] == ':';         /* a number is no key: jansson shall see it */
    if (is_word(s, n, "NaN") || is_word(s, n, "Infinity") || is_word(s, n, "-Infinity")) {
        put(p->out, "null", 4);
    } else if (key || !is_number(s, n)) {
        put(p->out, s, n);
    } else if (p->quiet) {
        put_count(p, "", 0);
    } else {
        put(p->out, "\"", 1);
        put(p->out, s, n);
        put(p->out, "\"", 1);
    }
    return n;
}

static void put_bracket(Pass *p, char c)
{
    if (c == '{' || c == '[') {
        if (p->depth == 0)
            p->object = p->key = c == '{';
        p->depth++;
        p->out->depth = max64(p->out->depth, p->depth);
    } else if (c == '}' || c == ']') {
        p->depth--;
    } else if (c == ',' && p->depth == 1) {
        p->key   = p->object;
        p->quiet = false;
    }
    put(p->out, &c, 1);
}

/* Until out has more than `stop` bytes; the byte of text that this one came from. */
static int64_t pass(JsonPlain *out, const char *text, int64_t n, JsonReads *reads, int64_t stop)
{
    Pass p = { .out = out, .reads = reads };
    out->n = out->depth = 0;
    for (int64_t i = 0, k; i < n; i += k) {
        const int64_t before = out->n;
        const char *s = text + i;
        k = 1;
        if (*s == '"')
            put_string(&p, s, k = string_end(s, n - i));
        else if (is_blank(*s))
            put(out, s, 1);
        else if (*s && strchr("{}[],:", *s))
            put_bracket(&p, *s);
        else
            k = put_word(&p, s, n - i);
        if (out->n > stop)
            return i + min64(stop - before, k - 1);
    }
    return n;
}

void json_plain(JsonPlain *out, const char *text, int64_t n, JsonReads *reads) { pass(out, text, n, reads, INT64_MAX); }

int64_t json_plain_source(const char *text, int64_t n, JsonReads *reads, int64_t at)
{
    JsonPlain out = { 0 };
    const int64_t from = pass(&out, text, n, reads, at);
    json_plain_free(&out);
    return from;
}

void json_plain_free(JsonPlain *p)
{
    free(p->text);
    *p = (JsonPlain){ 0 };
}
