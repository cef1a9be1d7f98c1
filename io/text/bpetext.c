#include "io/text/bpetext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEW_SYMBOLS = 256 };

static const char lower_line[] = "\xE2\x96\x81";      /* U+2581, SentencePiece's space */
enum { LINE = sizeof lower_line - 1 };

void bpetext_close(BpeText *t)
{
    if (!t)
        return;
    bpe_free(t->bpe);
    words_free(t->words);
    added_free(t->added);
    free(t);
}

int bpetext_symbol(const BpeText *t, const char *piece)
{
    const int id = added_find(t->added, piece, strlen(piece));
    return id >= 0 ? id : bpe_find(t->bpe, piece, strlen(piece));
}

/* ---- text -> ids ---- */

typedef struct {
    const BpeText *t;
    int32_t       *ids;
    int64_t        n, cap;
} Out;

static void put(Out *o, int32_t id)
{
    if (o->n < o->cap)
        o->ids[o->n] = id;
    o->n++;
}

/* The symbols of a word before any merge; never more than its bytes. */
static int64_t symbols_of(const BpeText *t, const uint8_t *s, size_t n, int32_t *symbol)
{
    int64_t m = 0;
    for (size_t i = 0, k; i < n; i += k) {
        int id = BPE_NONE;
        k = 1;
        if (t->bytes) {
            id = bpe_byte(t->bpe, s[i]);
        } else {
            const size_t whole = utf8_run(s + i, n - i < 4 ? n - i : 4) ? utf8_length(s[i]) : 1;
            k = whole <= n - i ? whole : 1;
            id = bpe_find(t->bpe, s + i, k);
        }
        bool known = id < 0 && t->fallback;
        for (size_t j = 0; j < k && known; j++)
            known = t->byte[s[i + j]] >= 0;
        if (known)
            for (size_t j = 0; j < k; j++)
                symbol[m++] = t->byte[s[i + j]];
        else if (id < 0 && t->unknown >= 0 && !(t->fuse && m > 0 && symbol[m - 1] == t->unknown))
            symbol[m++] = t->unknown;
        else if (id >= 0)
            symbol[m++] = id;
    }
    return m;
}

static void word(void *ctx, const uint8_t *s, size_t n)
{
    Out *o = ctx;
    int32_t few[FEW_SYMBOLS], *symbol = few;
    const int whole = bpe_whole(o->t->bpe, s, n);
    if (whole >= 0) {
        put(o, whole);
        return;
    }
    if (n > FEW_SYMBOLS)
        symbol = malloc(n * sizeof *symbol);
    CHECK(symbol, "no memory to encode a word of %zu bytes", n);
    const int64_t m = bpe_merge(o->t->bpe, symbol, symbols_of(o->t, s, n, symbol));
    for (int64_t i = 0; i < m; i++)
        put(o, symbol[i]);
    if (symbol != few)
        free(symbol);
}

/* What lies between added tokens found in the text as it is. */
static bool normal_text(Out *o, const char *s, size_t n, bool more, bool marked, Err *e)
{
    const BpeText *t = o->t;
    char *other;
    size_t m, from = 0, begin, end;
    int id;
    if (!words_normalise(t->words, s, n, more, &other, &m, e))
        return false;
    const char *text = other ? other : s;
    bool ok = true;
    for (; ok && (id = added_next(t->added, true, marked, text, m, from, &begin, &end)) >= 0; from = end) {
        ok = words_split(t->words, text + from, begin - from, more || (from > 0 && (!marked || t->first)), word, o, e);
        put(o, id);
    }
    ok = ok && words_split(t->words, text + from, m - from, more || (from > 0 && (!marked || t->first)), word, o, e);
    free(other);
    return ok;
}

int bpetext_encode(const BpeText *t, const char *s, size_t n, bool more, bool marked, int32_t *ids, int cap, Err *e)
{
    Out o = { t, ids, 0, cap };
    size_t from = 0, begin, end;
    bool ok = true;
    for (int id; ok && (id = added_next(t->added, false, marked, s, n, from, &begin, &end)) >= 0; from = end) {
        ok = normal_text(&o, s + from, begin - from, more || (from > 0 && (!marked || t->first)), marked, e);
        put(&o, id);
    }
    ok = ok && normal_text(&o, s + from, n - from, more || (from > 0 && (!marked || t->first)), marked, e);
    CHECK(o.n <= INT32_MAX, "a text of %lld tokens", (long long)o.n);
    return ok ? (int)o.n : -1;
}

/* ---- ids -> text ---- */

typedef struct { char *s; int n, cap; bool lead; } Text8;

static void write8(Text8 *o, const void *s, size_t n)
{
    const char *c = s;
    if (o->lead && n > 0) {
        o->lead = false;
        if (c[0] == ' ') {
            c++;
            n--;
        }
    }
    for (size_t i = 0; i < n; i++, o->n += o->n < INT32_MAX)
        if (o->n < o->cap - 1)
            o->s[o->n] = c[i];
}

static int byte_of(const uint8_t *s, size_t n)
{
    unsigned x;
    char text[8] = "";
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    memcpy(text, s, 6);
    return sscanf(text, "<0x%2X>", &x) == 1 ? (int)x : -1;
}

static void write_characters(const BpeText *t, Text8 *o, const uint8_t *s, size_t n)
{
    const int byte = t->fallback ? byte_of(s, n) : -1;
    const uint8_t c = (uint8_t)byte;
    if (byte >= 0) {
        write8(o, &c, 1);
        return;
    }
    for (size_t i = 0; i < n;) {
        const bool space = n - i >= LINE && memcmp(s + i, lower_line, LINE) == 0;
        write8(o, space ? " " : (const char *)s + i, 1);
        i += space ? LINE : 1;
    }
}

int bpetext_decode(const BpeText *t, const int32_t *ids, int n, char *out, int cap)
{
    Text8 o = { out, 0, cap, t->lead };
    for (int i = 0; i < n; i++) {
        size_t m;
        const int kind = bpe_kind(t->bpe, ids[i]);
        if (kind == PIECE_NONE || kind == PIECE_SPECIAL)
            continue;
        const uint8_t *s = bpe_bytes(t->bpe, ids[i], &m);
        if (t->bytes || kind == PIECE_LITERAL)
            write8(&o, s, m);
        else
            write_characters(t, &o, s, m);
    }
    if (cap > 0)
        out[o.n < cap ? o.n : cap - 1] = 0;
    return o.n;
}
