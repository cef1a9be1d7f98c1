#include "io/text/wordcut.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

enum { STEPS = 16, CONTENT = 4096, TEXT_BYTES = 1 << 26 };

typedef struct { enum Normal what; Pattern *pattern; char *content; size_t n; } Normaliser;
typedef struct { Pattern *pattern; enum Cut cut; bool invert; char space[8]; size_t n; bool front; } Step;       /* no pattern: spaces */

struct Words {
    Normaliser normal[STEPS];
    Step       step[STEPS];
    int        normals, steps;
};

Words *words_new(void)
{
    Words *w = calloc(1, sizeof *w);
    CHECK(w, "no memory for a tokenizer");
    return w;
}

void words_free(Words *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->normals; i++) {
        pattern_free(w->normal[i].pattern);
        free(w->normal[i].content);
    }
    for (int i = 0; i < w->steps; i++)
        pattern_free(w->step[i].pattern);
    free(w);
}

static bool room(int n, Err *e)
{
    return n < STEPS || err_set(e, EXIT_DATA, "", "", "a tokenizer of more than %d steps", STEPS);
}

bool words_normal(Words *w, enum Normal what, enum Grammar grammar, Span pattern, Span content, Err *e)
{
    Normaliser k = { .what = what, .n = content.n };
    if (content.n > CONTENT)
        return err_set(e, EXIT_DATA, "", "", "a normalizer writes %zu bytes at once", content.n);
    if (!room(w->normals, e) || (what == NORMAL_REPLACE && !(k.pattern = pattern_new(grammar, pattern.s, pattern.n, e))))
        return false;
    k.content = malloc(content.n + 1);
    CHECK(k.content, "no memory for a tokenizer");
    if (content.n)
        memcpy(k.content, content.s, content.n);
    w->normal[w->normals++] = k;
    return true;
}

bool words_cut(Words *w, enum Grammar grammar, Span pattern, enum Cut cut, bool invert, Err *e)
{
    Pattern *p = room(w->steps, e) ? pattern_new(grammar, pattern.s, pattern.n, e) : NULL;
    if (p)
        w->step[w->steps++] = (Step){ .pattern = p, .cut = cut, .invert = invert };
    return p;
}

bool words_space(Words *w, Span as, bool front, Err *e)
{
    Step k = { .n = as.n, .front = front };
    if (!room(w->steps, e) || as.n == 0 || as.n > sizeof k.space)
        return err_set(e, EXIT_DATA, "", "", "a space is written with %zu bytes", as.n);
    memcpy(k.space, as.s, as.n);
    w->step[w->steps++] = k;
    return true;
}

size_t utf8_run(const uint8_t *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        while (i + 8 <= n && (memcpy(&eight, s + i, 8), !(eight & 0x8080808080808080u)))
            i += 8;
        if (i == n)
            break;
        const uint8_t c = s[i];
        const size_t k = utf8_length(c);
        if (c >= 0x80 && (c < 0xC2 || c > 0xF4 || i + k > n))
            break;
        const uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (k > 1 && (s[i + 1] < low || s[i + 1] > high))
            break;
        if ((k > 2 && (s[i + 2] & 0xC0) != 0x80) || (k > 3 && (s[i + 3] & 0xC0) != 0x80))
            break;
        i += k;
    }
    return i;
}

/* ---- normalisation ---- */

typedef struct { char *s; size_t n, cap; } Buffer;

static void add(Buffer *b, const void *s, size_t n)
{
    if (b->n + n > b->cap) {
        b->s = realloc(b->s, b->cap = 2 * (b->n + n) + 64);
        CHECK(b->s, "no memory for %zu bytes of text", b->cap);
    }
    if (n)
        memcpy(b->s + b->n, s, n);
    b->n += n;
}

static bool gave_up(Err *e)
{
    return err_set(e, EXIT_DATA, "", "leave this text out", "a pattern of the text model gave up on a text: too many steps");
}

static bool too_long(Err *e)
{
    return err_set(e, EXIT_DATA, "", "leave this text out", "a text of over 64 MiB cannot be normalised");
}

/* No character below U+0300 is changed by NFC. */
static bool is_nfc(const uint8_t *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 0xCC)
            return false;
    return true;
}

static void compose(Buffer *out, enum Normal what, const uint8_t *s, size_t n)
{
    static const int options[] = {
        [NORMAL_NFC] = UTF8PROC_COMPOSE, [NORMAL_NFD] = UTF8PROC_DECOMPOSE,
        [NORMAL_NFKC] = UTF8PROC_COMPOSE | UTF8PROC_COMPAT, [NORMAL_NFKD] = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    if (what == NORMAL_NFC && is_nfc(s, n)) {
        add(out, s, n);
        return;
    }
    utf8proc_uint8_t *t;
    const utf8proc_ssize_t m = utf8proc_map(s, (utf8proc_ssize_t)n, &t, (utf8proc_option_t)(UTF8PROC_STABLE | options[what]));
    CHECK(m >= 0, "no memory to normalise %zu bytes of text", n);
    add(out, t, (size_t)m);
    free(t);
}

static void lower(Buffer *out, const uint8_t *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c = -1;
        utf8proc_uint8_t t[4];
        i += (size_t)utf8proc_iterate(s + i, (utf8proc_ssize_t)(n - i), &c);
        if (c == 0x130)
            add(out, "i\xCC\x87", 3);       /* the one character of two when it is small */
        else
            add(out, t, (size_t)utf8proc_encode_char(utf8proc_tolower(c), t));
    }
}

static bool replace(Buffer *out, const Normaliser *k, const uint8_t *s, size_t n, Err *e)
{
    Match *m = match_new();
    size_t from = 0, at = 0, begin, end;
    int found = 0;
    while (at <= n && (found = pattern_find(k->pattern, m, s, n, at, &begin, &end)) == 1) {
        if (out->n + begin - from + k->n > TEXT_BYTES)
            break;
        add(out, s + from, begin - from);
        add(out, k->content, k->n);
        from = end;
        at = end > begin ? end : end < n ? end + utf8_length(s[end]) : n + 1;
    }
    match_free(m);
    add(out, s + from, n - from);
    return found >= 0 ? found == 0 || at > n || too_long(e) : gave_up(e);
}

static bool normalise_run(const Words *w, const uint8_t *s, size_t n, bool more, Buffer *out, Err *e)
{
    Buffer now = { 0 };
    bool ok = true;
    add(&now, s, n);
    for (int i = 0; i < w->normals && ok; i++) {
        const Normaliser *k = w->normal + i;
        const uint8_t *t = (const uint8_t *)now.s;
        Buffer next = { 0 };
        if (now.n > TEXT_BYTES)
            ok = too_long(e);
        else if (k->what == NORMAL_LOWER)
            lower(&next, t, now.n);
        else if (k->what == NORMAL_REPLACE)
            ok = replace(&next, k, t, now.n, e);
        else if (k->what == NORMAL_PREPEND) {
            if (now.n > 0 && !more)
                add(&next, k->content, k->n);
            add(&next, t, now.n);
        } else
            compose(&next, k->what, t, now.n);
        free(now.s);
        now = next;
    }
    add(out, now.s, now.n);
    free(now.s);
    return ok;
}

bool words_normalise(const Words *w, const char *s, size_t n, bool more, char **out, size_t *out_n, Err *e)
{
    Buffer b = { 0 };
    bool ok = true;
    *out = NULL;
    *out_n = n;
    for (size_t i = 0; w->normals && i < n && ok;) {
        const size_t run = utf8_run((const uint8_t *)s + i, n - i);
        if (run)
            ok = normalise_run(w, (const uint8_t *)s + i, run, more || i > 0, &b, e);
        else
            add(&b, s + i, 1);
        i += run ? run : 1;
    }
    if (!w->normals || !ok) {
        free(b.s);
        return ok;
    }
    add(&b, "", 1);
    *out = b.s;
    *out_n = b.n - 1;
    return true;
}

/* ---- cuts ---- */

typedef struct {
    const Words *w;
    Match       *m;
    WordSink    *sink;
    void        *ctx;
    bool         more, ok;
} Cutter;

static void cut(Cutter *c, int k, const uint8_t *s, size_t n);

static void cut_space(Cutter *c, int k, const uint8_t *s, size_t n)
{
    const Step *step = c->w->step + k;
    const bool there = s[0] == ' ' || (n >= step->n && memcmp(s, step->space, step->n) == 0);
    Buffer b = { 0 };
    if (step->front && !c->more && !there)
        add(&b, step->space, step->n);
    for (size_t i = 0; i < n;) {
        const uint8_t *space = step->n == 1 && step->space[0] == ' ' ? NULL : memchr(s + i, ' ', n - i);
        const size_t run = space ? (size_t)(space - s) - i : n - i;
        add(&b, s + i, run);
        if (space)
            add(&b, step->space, step->n);
        i += run + (space != NULL);
    }
    cut(c, k + 1, (const uint8_t *)b.s, b.n);
    free(b.s);
}

/* Pieces as they are found; those that wait for what follows them are held back in one range. */
typedef struct { const uint8_t *s; size_t begin, end; bool held, match; } Held;

static void let_go(Cutter *c, int k, Held *h)
{
    if (h->held && h->end > h->begin)
        cut(c, k + 1, h->s + h->begin, h->end - h->begin);
    h->held = false;
}

static void piece(Cutter *c, int k, Held *h, size_t begin, size_t end, bool match)
{
    const enum Cut how = c->w->step[k].cut;
    if (end == begin || (how == CUT_REMOVED && match))
        return;
    const bool join = h->held && (how == CUT_CONTIGUOUS ? match == h->match : how == CUT_WITH_PREVIOUS ? match && !h->match
                                  : how == CUT_WITH_NEXT ? h->match && !match : false);
    if (!join) {
        let_go(c, k, h);
        h->begin = begin;
    }
    h->end = end;
    h->match = match;
    h->held = true;
}

static void cut(Cutter *c, int k, const uint8_t *s, size_t n)
{
    if (!c->ok || n == 0)
        return;
    if (k == c->w->steps) {
        c->sink(c->ctx, s, n);
        return;
    }
    const Step *step = c->w->step + k;
    if (!step->pattern) {
        cut_space(c, k, s, n);
        return;
    }
    Held h = { .s = s };
    size_t from = 0, at = 0, begin, end;
    int found = 0;
    while (at <= n && (found = pattern_find(step->pattern, c->m, s, n, at, &begin, &end)) == 1) {
        piece(c, k, &h, from, begin, step->invert);
        piece(c, k, &h, begin, end, !step->invert);
        from = end;
        at = end > begin ? end : end < n ? end + utf8_length(s[end]) : n + 1;
    }
    c->ok &= found >= 0;
    piece(c, k, &h, from, n, step->invert);
    let_go(c, k, &h);
}

bool words_split(const Words *w, const char *s, size_t n, bool more, WordSink *sink, void *ctx, Err *e)
{
    Cutter c = { .w = w, .m = match_new(), .sink = sink, .ctx = ctx, .more = more, .ok = true };
    const uint8_t *t = (const uint8_t *)s;
    for (size_t i = 0, bad; i < n; c.more = true) {
        const size_t run = utf8_run(t + i, n - i);
        cut(&c, 0, t + i, run);
        i += run;
        for (bad = i; bad < n && utf8_run(t + bad, n - bad) == 0; bad++)
            ;
        if (bad > i && c.ok)
            sink(ctx, t + i, bad - i);
        i = bad;
    }
    match_free(c.m);
    return c.ok || gave_up(e);
}

bool words_of(const Words *w, const char *s, size_t n, bool more, WordSink *sink, void *ctx, Err *e)
{
    char *text;
    size_t m;
    if (!words_normalise(w, s, n, more, &text, &m, e))
        return false;
    const bool ok = words_split(w, text ? text : s, m, more, sink, ctx, e);
    free(text);
    return ok;
}
