#include "io/text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

typedef struct { uint32_t at, n; uint8_t kind, whole; } Piece;
typedef struct { uint64_t key; uint32_t rank; int32_t id; } Pair;      /* key 0: an empty slot; else left + 1, right */

struct Bpe {
    Piece   *piece;
    uint8_t *text;                /* the pieces' bytes, one behind the other */
    int32_t *word;                /* hash of bytes -> id + 1 */
    Pair    *pair;                /* hash of two ids */
    size_t   text_n, text_cap, words, word_cap, pairs, pair_cap;
    int      size, cap;
    int      byte[256];
};

enum { FEW = 40 /* symbols that are merged by search */, NO_RANK = -1 };

static void *grown(void *p, size_t n, size_t each)
{
    p = realloc(p, n * each);
    CHECK(p, "no memory for a vocabulary");
    return p;
}

static void *cleared(size_t n, size_t each)
{
    void *p = calloc(n, each);
    CHECK(p, "no memory for a vocabulary");
    return p;
}

Bpe *bpe_new(void)
{
    Bpe *b = cleared(1, sizeof *b);
    b->word_cap = b->pair_cap = 1024;
    b->word = cleared(b->word_cap, sizeof *b->word);
    b->pair = cleared(b->pair_cap, sizeof *b->pair);
    return b;
}

void bpe_free(Bpe *b)
{
    if (!b)
        return;
    free(b->piece);
    free(b->text);
    free(b->word);
    free(b->pair);
    free(b);
}

/* ---- pieces ---- */

/* The slot of these bytes, or the empty one where they belong. */
static size_t word_slot(const Bpe *b, const void *bytes, size_t n)
{
    size_t i = XXH3_64bits(bytes, n) & (b->word_cap - 1);
    for (; b->word[i]; i = (i + 1) & (b->word_cap - 1)) {
        const Piece *p = b->piece + b->word[i] - 1;
        if (p->n == n && memcmp(b->text + p->at, bytes, n) == 0)
            break;
    }
    return i;
}

static void put_word(Bpe *b, int id)
{
    const Piece *p = b->piece + id;
    const size_t i = word_slot(b, b->text + p->at, p->n);
    if (!b->word[i]) {
        b->word[i] = id + 1;
        b->words++;
    }
}

static void more_words(Bpe *b)
{
    int32_t *old = b->word;
    const size_t n = b->word_cap;
    b->word = cleared(b->word_cap *= 2, sizeof *b->word);
    b->words = 0;
    for (size_t i = 0; i < n; i++)
        if (old[i])
            put_word(b, old[i] - 1);
    free(old);
}

void bpe_piece(Bpe *b, int id, const void *bytes, size_t n, int kind)
{
    ASSERT(id >= 0 && id < BPE_IDS);
    if (id >= b->cap) {
        const int cap = (int)max64(id + 1, max64(1024, 2 * (int64_t)b->cap));
        b->piece = grown(b->piece, (size_t)cap, sizeof *b->piece);
        memset(b->piece + b->cap, 0, (size_t)(cap - b->cap) * sizeof *b->piece);
        b->cap = cap;
    }
    if (b->text_n + n > b->text_cap)
        b->text = grown(b->text, b->text_cap = 2 * b->text_cap + n + 4096, 1);
    CHECK(b->text_n + n < UINT32_MAX, "a vocabulary of 4 GiB");
    if (n > 0)
        memcpy(b->text + b->text_n, bytes, n);
    b->piece[id] = (Piece){ .at = (uint32_t)b->text_n, .n = (uint32_t)n, .kind = (uint8_t)kind };
    b->text_n += n;
    b->size = id >= b->size ? id + 1 : b->size;
    if (kind != PIECE_WORD || n == 0)
        return;
    if (2 * b->words >= b->word_cap)
        more_words(b);
    put_word(b, id);
}

int bpe_size(const Bpe *b) { return b->size; }
int bpe_byte(const Bpe *b, int byte) { return b->byte[byte]; }

int bpe_kind(const Bpe *b, int id)
{
    return id >= 0 && id < b->size ? b->piece[id].kind : PIECE_NONE;
}

const uint8_t *bpe_bytes(const Bpe *b, int id, size_t *n)
{
    *n = b->piece[id].n;
    return b->text + b->piece[id].at;
}

int bpe_find(const Bpe *b, const void *bytes, size_t n)
{
    return b->word[word_slot(b, bytes, n)] - 1;
}

int bpe_whole(const Bpe *b, const void *bytes, size_t n)
{
    const int id = bpe_find(b, bytes, n);
    return id >= 0 && b->piece[id].whole ? id : BPE_NONE;
}

/* ---- pairs ---- */

static uint64_t key_of(int left, int right)
{
    return (uint64_t)(left + 1) << 32 | (uint32_t)right;
}

static size_t pair_slot(const Bpe *b, uint64_t key)
{
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h >> 32 ^ h) & (b->pair_cap - 1);
    while (b->pair[i].key && b->pair[i].key != key)
        i = (i + 1) & (b->pair_cap - 1);
    return i;
}

void bpe_pair(Bpe *b, int left, int right, uint32_t rank, int id)
{
    if (2 * b->pairs >= b->pair_cap) {
        Pair *old = b->pair;
        const size_t n = b->pair_cap;
        b->pair = cleared(b->pair_cap *= 2, sizeof *b->pair);
        for (size_t i = 0; i < n; i++)
            if (old[i].key)
                b->pair[pair_slot(b, old[i].key)] = old[i];
        free(old);
    }
    Pair *p = b->pair + pair_slot(b, key_of(left, right));
    b->pairs += !p->key;
    *p = (Pair){ key_of(left, right), rank, id };
}

void bpe_pairs_of_ranks(Bpe *b)
{
    for (int id = 0; id < b->size; id++) {
        const Piece *p = b->piece + id;
        for (uint32_t k = 1; p->kind == PIECE_WORD && k < p->n; k++) {
            const int left = bpe_find(b, b->text + p->at, k);
            const int right = left < 0 ? BPE_NONE : bpe_find(b, b->text + p->at + k, p->n - k);
            if (right >= 0)
                bpe_pair(b, left, right, (uint32_t)id, id);
        }
    }
}

static Pair pair_of(const Bpe *b, int32_t left, int32_t right)
{
    const Pair p = b->pair[pair_slot(b, key_of(left, right))];
    return p.key ? p : (Pair){ 0, UINT32_MAX, NO_RANK };
}

void bpe_ready(Bpe *b, bool all)
{
    for (int i = 0; i < 256; i++) {
        const uint8_t c = (uint8_t)i;
        b->byte[i] = bpe_find(b, &c, 1);
    }
    for (int id = 0; id < b->size; id++) {
        Piece *p = b->piece + id;
        int32_t symbol[FEW];
        if (p->kind != PIECE_WORD || p->n == 0 || bpe_find(b, b->text + p->at, p->n) != id)
            continue;
        bool known = p->n <= FEW;
        for (uint32_t k = 0; k < p->n && known; k++)
            known = (symbol[k] = b->byte[b->text[p->at + k]]) >= 0;
        p->whole = all || (known && bpe_merge(b, symbol, p->n) == 1 && symbol[0] == id);
    }
}

/* ---- merges ---- */

static int64_t merge_few(const Bpe *b, int32_t *symbol, int64_t n)
{
    Pair next[FEW];               /* what a symbol makes with the one behind it */
    for (int64_t i = 0; i + 1 < n; i++)
        next[i] = pair_of(b, symbol[i], symbol[i + 1]);
    while (n > 1) {
        int64_t best = 0;
        for (int64_t i = 1; i + 1 < n; i++)
            if (next[i].rank < next[best].rank)
                best = i;
        if (next[best].id < 0)
            break;
        symbol[best] = next[best].id;
        n--;
        memmove(symbol + best + 1, symbol + best + 2, (size_t)(n - best - 1) * sizeof *symbol);
        memmove(next + best, next + best + 1, (size_t)(n - best - 1) * sizeof *next);
        if (best + 1 < n)
            next[best] = pair_of(b, symbol[best], symbol[best + 1]);
        if (best > 0)
            next[best - 1] = pair_of(b, symbol[best - 1], symbol[best]);
    }
    return n;
}

/* A chance to merge: the symbol at `at` with the one behind it.  It is stale where the two no longer make `id`. */
typedef struct { uint32_t rank; int32_t id; int64_t at; } Chance;
typedef struct { Chance *heap; int64_t n; int64_t *next, *back; } Chain;

static bool before(const Chance *a, const Chance *c)
{
    return a->rank != c->rank ? a->rank < c->rank : a->at < c->at;
}

static void sink(Chance *heap, int64_t n, int64_t i)
{
    const Chance x = heap[i];
    for (int64_t k; (k = 2 * i + 1) < n; i = k) {
        k += k + 1 < n && before(heap + k + 1, heap + k);
        if (!before(heap + k, &x))
            break;
        heap[i] = heap[k];
    }
    heap[i] = x;
}

static void rise(Chain *c, Chance x)
{
    int64_t i = c->n++;
    for (; i > 0 && before(&x, c->heap + (i - 1) / 2); i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = x;
}

static void try_pair(const Bpe *b, Chain *c, const int32_t *symbol, int64_t at, int64_t n)
{
    if (at < 0 || c->next[at] >= n)
        return;
    const Pair p = pair_of(b, symbol[at], symbol[c->next[at]]);
    if (p.id >= 0)
        rise(c, (Chance){ p.rank, p.id, at });
}

/* Every merge takes one chance and adds two at most, and there are fewer merges than symbols. */
static int64_t merge_many(const Bpe *b, int32_t *symbol, int64_t n)
{
    Chain c = { .heap = grown(NULL, 3 * (size_t)n, sizeof *c.heap), .next = grown(NULL, 2 * (size_t)n, sizeof *c.next) };
    c.back = c.next + n;
    for (int64_t i = 0; i < n; i++) {
        c.next[i] = i + 1;
        c.back[i] = i - 1;
    }
    for (int64_t i = 0; i + 1 < n; i++) {
        const Pair p = pair_of(b, symbol[i], symbol[i + 1]);
        if (p.id >= 0)
            c.heap[c.n++] = (Chance){ p.rank, p.id, i };
    }
    for (int64_t i = c.n / 2 - 1; i >= 0; i--)
        sink(c.heap, c.n, i);
    while (c.n > 0) {
        const Chance x = c.heap[0];
        c.heap[0] = c.heap[--c.n];
        sink(c.heap, c.n, 0);
        const int64_t right = symbol[x.at] < 0 ? n : c.next[x.at];
        if (right >= n)
            continue;
        const Pair p = pair_of(b, symbol[x.at], symbol[right]);
        if (p.id != x.id || p.rank != x.rank)
            continue;
        symbol[x.at] = x.id;
        symbol[right] = BPE_NONE;
        c.next[x.at] = c.next[right];
        if (c.next[right] < n)
            c.back[c.next[right]] = x.at;
        try_pair(b, &c, symbol, c.back[x.at], n);
        try_pair(b, &c, symbol, x.at, n);
    }
    int64_t m = 0;
    for (int64_t i = 0; i < n; i = c.next[i])
        symbol[m++] = symbol[i];
    free(c.heap);
    free(c.next);
    return m;
}

int64_t bpe_merge(const Bpe *b, int32_t *symbol, int64_t n)
{
    return n <= FEW ? merge_few(b, symbol, n) : merge_many(b, symbol, n);
}
