#include "io/text/added.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "io/text/bpe.h"

/* Strings by their first byte, longest first: a string of each length is one look-up. */
typedef struct {
    Bpe     *strings;             /* id: the token's number */
    bool     begins[256];
    int      lengths;
    uint32_t *length;             /* falling */
} Set;

struct Added {
    AddedToken *token;
    int         n;
    Set         set[2][2];        /* normalized, marked */
    Bpe        *names;            /* id: the token's number */
};

Added *added_new(void)
{
    Added *a = calloc(1, sizeof *a);
    CHECK(a, "no memory for a tokenizer");
    a->names = bpe_new();
    for (int i = 0; i < 4; i++)
        a->set[i / 2][i % 2].strings = bpe_new();
    return a;
}

void added_free(Added *a)
{
    if (!a)
        return;
    for (int i = 0; i < 4; i++) {
        bpe_free(a->set[i / 2][i % 2].strings);
        free(a->set[i / 2][i % 2].length);
    }
    bpe_free(a->names);
    free(a->token);
    free(a);
}

static void put(Set *s, int number, const char *content, size_t n)
{
    int i = 0;
    while (i < s->lengths && s->length[i] > n)
        i++;
    if (i == s->lengths || s->length[i] != n) {
        s->length = realloc(s->length, (size_t)(s->lengths + 1) * sizeof *s->length);
        CHECK(s->length, "no memory for a tokenizer");
        memmove(s->length + i + 1, s->length + i, (size_t)(s->lengths - i) * sizeof *s->length);
        s->length[i] = (uint32_t)n;
        s->lengths++;
    }
    s->begins[(uint8_t)content[0]] = true;
    bpe_piece(s->strings, number, content, n, PIECE_WORD);
}

static bool blank(Span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr(" \t\r\n", s.s[i]) || !s.s[i])
            return false;
    return true;
}

bool added_put(Added *a, const AddedToken *t, const Words *normal, Err *e)
{
    char *other = NULL;
    Span s = t->content;
    if (s.n == 0 || s.n > 4096)
        return err_set(e, EXIT_DATA, "", "", "an added token of %zu bytes", s.n);
    if (t->normalized && !words_normalise(normal, s.s, s.n, false, &other, &s.n, e))
        return false;
    s.s = other ? other : s.s;
    a->token = realloc(a->token, (size_t)(a->n + 1) * sizeof *a->token);
    CHECK(a->token, "no memory for a tokenizer");
    a->token[a->n] = *t;
    a->token[a->n].content = (Span){ 0 };
    bpe_piece(a->names, a->n, t->content.s, t->content.n, PIECE_WORD);
    if (s.n > 0)
        put(&a->set[t->normalized][1], a->n, s.s, s.n);
    if (s.n > 0 && !t->special && blank(t->content))
        put(&a->set[t->normalized][0], a->n, s.s, s.n);
    a->n++;
    free(other);
    return true;
}

int added_find(const Added *a, const char *content, size_t n)
{
    const int number = bpe_find(a->names, content, n);
    return number < 0 ? -1 : a->token[number].id;
}

/* A character of words: letters, marks, digits and letter numbers, connectors. */
static bool of_word(const char *s, size_t n)
{
    utf8proc_int32_t c;
    if (n == 0 || utf8proc_iterate((const uint8_t *)s, (utf8proc_ssize_t)n, &c) <= 0)
        return false;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return false;
    }
}

/* Bytes of white space at s; 0: another character. */
static size_t space_at(const char *s, size_t n)
{
    utf8proc_int32_t c;
    const utf8proc_ssize_t k = n ? utf8proc_iterate((const uint8_t *)s, (utf8proc_ssize_t)n, &c) : 0;
    if (k <= 0)
        return 0;
    const bool white = (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A)
                       || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
    return white ? (size_t)k : 0;
}

/* Where the character in front of `at` begins. */
static size_t before(const char *s, size_t at)
{
    size_t i = at - 1;
    while (i > 0 && at - i < 4 && ((uint8_t)s[i] & 0xC0) == 0x80)
        i--;
    return i;
}

static int string_at(const Set *s, const char *text, size_t n, size_t *length)
{
    for (int i = 0; i < s->lengths; i++)
        if (s->length[i] <= n) {
            const int number = bpe_find(s->strings, text, *length = s->length[i]);
            if (number >= 0)
                return number;
        }
    return -1;
}

int added_next(const Added *a, bool normalized, bool marked, const char *s, size_t n, size_t from, size_t *begin, size_t *end)
{
    const Set *set = &a->set[normalized][marked];
    for (size_t i = from, length = 0; set->lengths && i < n; i++) {
        const int number = set->begins[(uint8_t)s[i]] ? string_at(set, s + i, n - i, &length) : -1;
        if (number < 0)
            continue;
        const AddedToken *t = a->token + number;
        *begin = i;
        *end = i + length;
        if (t->single_word && ((i > 0 && of_word(s + before(s, i), i - before(s, i))) || of_word(s + *end, n - *end))) {
            i = *end - 1;
            continue;
        }
        while (t->lstrip && *begin > from) {
            const size_t at = before(s, *begin);
            if (!space_at(s + at, *begin - at))
                break;
            *begin = at;
        }
        for (size_t k; t->rstrip && (k = space_at(s + *end, n - *end)) > 0; *end += k)
            ;
        return t->id;
    }
    return -1;
}
