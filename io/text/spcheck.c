#include "io/text/spcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Part of a file, from `at` to `end`. */
typedef struct { const uint8_t *at, *end; } Bytes;

/* One field: its number, and what it holds. */
typedef struct { uint64_t number; int type; Bytes bytes; } Field;

enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };

typedef struct {
    const uint8_t *begin;
    char          *why;
    size_t         cap;
} Check;

static bool wrong(const Check *k, const uint8_t *at, const char *what)
{
    snprintf(k->why, k->cap, "%s (byte %zu)", what, (size_t)(at - k->begin));
    return false;
}

static bool varint(Bytes *b, uint64_t *x)
{
    *x = 0;
    for (int shift = 0; shift < 64 && b->at < b->end; shift += 7) {
        const uint8_t c = *b->at++;
        *x |= (uint64_t)(c & 127) << shift;
        if (c < 128)
            return true;
    }
    return false;
}

static bool next_field(const Check *k, Bytes *b, Field *f)
{
    const uint8_t *at = b->at;
    uint64_t key, n;
    if (!varint(b, &key))
        return wrong(k, at, "a field's number does not end");
    f->number = key >> 3;
    f->type = (int)(key & 7);
    f->bytes = *b;
    switch (f->type) {
    case VARINT:  n = 0; if (!varint(b, &key)) return wrong(k, at, "a number does not end"); break;
    case FIXED64: n = 8; break;
    case FIXED32: n = 4; break;
    case BYTES:   if (!varint(b, &n)) return wrong(k, at, "a length does not end"); break;
    default:      return wrong(k, at, "a field of a kind that no model has");
    }
    if (n > (uint64_t)(b->end - b->at))
        return wrong(k, at, "a field is longer than what holds it");
    if (f->type != VARINT) {
        f->bytes = (Bytes){ b->at, b->at + n };
        b->at += n;
    }
    return true;
}

static uint32_t little32(const uint8_t *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* A unit: bit 31 a value, else bits 10 to 30 an offset, 9 its scale, 8 "a leaf is there", 0 to 7 the label. */
static const uint32_t VALUE = 1u << 31, LEAF = 1u << 8;

static uint64_t offset_of(uint32_t unit)
{
    return (uint64_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

static bool check_trie(const Check *k, const uint8_t *unit, size_t units, Bytes texts)
{
    const size_t n = (size_t)(texts.end - texts.at);
    for (size_t i = 0; i < units; i++) {
        const uint32_t u = little32(unit + 4 * i);
        if (u & VALUE && i)
            continue;
        const uint64_t base = i ^ offset_of(u);
        if (u & VALUE || (base | 255) >= units)
            return wrong(k, unit + 4 * i, "the table of characters leads out of itself");
        if (!(u & LEAF))
            continue;
        const size_t value = little32(unit + 4 * base) & ~VALUE;
        if (value >= n || !memchr(texts.at + value, 0, n - value < SP_TEXT ? n - value : SP_TEXT))
            return wrong(k, unit + 4 * base, "a character's replacement has no end");
    }
    return true;
}

static bool check_charsmap(const Check *k, Bytes b)
{
    const size_t n = (size_t)(b.end - b.at);
    if (n == 0)
        return true;
    const size_t trie = n > 4 ? little32(b.at) : 0;
    if (trie < 1024 || trie % 1024 || trie >= n - 4)
        return wrong(k, b.at, "the table of characters has an impossible size");
    return check_trie(k, b.at + 4, trie / 4, (Bytes){ b.at + 4 + trie, b.end });
}

static bool check_normalizer(const Check *k, Bytes b)
{
    for (Field f; b.at < b.end;)
        if (!next_field(k, &b, &f) || (f.number == 2 && f.type == BYTES && !check_charsmap(k, f.bytes)))
            return false;
    return true;
}

static bool check_piece(const Check *k, Bytes b)
{
    for (Field f; b.at < b.end;) {
        if (!next_field(k, &b, &f))
            return false;
        if (f.number != 2 || f.type != FIXED32)
            continue;
        const uint32_t bits = little32(f.bytes.at);
        float score;
        memcpy(&score, &bits, sizeof score);
        if (!isfinite(score))
            return wrong(k, f.bytes.at, "a piece's score is no number");
    }
    return true;
}

bool sp_check(const uint8_t *model, size_t n, char *why, size_t cap)
{
    const Check k = { model, why, cap };
    Bytes b = { model, model + n };
    for (Field f; b.at < b.end;) {
        if (!next_field(&k, &b, &f))
            return false;
        if (f.type != BYTES)
            continue;
        if (f.number == 1 && !check_piece(&k, f.bytes))
            return false;
        if ((f.number == 3 || f.number == 5) && !check_normalizer(&k, f.bytes))
            return false;
    }
    return true;
}
