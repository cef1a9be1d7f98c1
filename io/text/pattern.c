#define PCRE2_CODE_UNIT_WIDTH 8
#include "io/text/pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct Pattern { pcre2_code *code; };
struct Match   { pcre2_match_data *data; pcre2_match_context *limits; };

enum { PATTERN_BYTES = 1 << 16, HEAP_KIB = 256 << 10 };

#define SPACES "\\t-\\r\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"

static bool refused(Err *e, const char *what)
{
    return err_set(e, EXIT_DATA, "", "its authors' tokenizer.json may say the same otherwise", "a pattern uses %s, which asvr does not have", what);
}

/* What an escape reads as here; NULL: as it stands. */
static bool escape(char c, bool class, const char **as, Err *e)
{
    *as = NULL;
    if (c == 's')
        *as = class ? SPACES : "[" SPACES "]";
    if (c == 'S' && !class)
        *as = "[^" SPACES "]";
    if (c == 'S' && class)
        return refused(e, "\\S in a class");
    const char what[] = { '\\', c, 0 };
    return !c || !strchr("wWbBhHvRXKQGC", c) || refused(e, what);
}

/* \p{Lu}, \pL: general categories mean the same everywhere; scripts do not (PCRE2 takes their extensions, too).  Oniguruma reads \pL as
   two letters. */
static bool category(enum Grammar grammar, const char *s, size_t n, size_t *length, Err *e)
{
    const char *end = n > 2 && s[2] == '{' ? memchr(s, '}', n) : NULL;
    *length = end ? (size_t)(end - s + 1) : n < 3 ? n : 3;
    if ((*length == 3 && grammar == GRAMMAR_RUST) || *length == 5 || *length == 6)
        return true;
    char what[24] = "";
    memcpy(what, s, *length < sizeof what ? *length : sizeof what - 1);
    return refused(e, what);
}

/* What stands at s outside an escape, and is read otherwise there. */
static bool plain(enum Grammar grammar, bool class, const char *s, size_t n, Err *e)
{
    if (class && n > 1 && s[0] == '&' && s[1] == '&')
        return refused(e, "&& in a class");
    if (class && s[0] == '[')
        return refused(e, "a class in a class");
    if (class || grammar != GRAMMAR_ONIGURUMA)
        return true;
    if (n > 1 && s[0] == '}' && s[1] == '+')
        return refused(e, "an interval with + behind it");
    if (n > 1 && s[0] == '{' && s[1] == ',')
        return refused(e, "an interval without a lower bound");
    for (size_t i = 2; n > 2 && s[0] == '(' && s[1] == '?' && i < n && strchr("imxa-", s[i]); i++)
        if (s[i] == 'm')
            return refused(e, "(?m");
    return true;
}

/* The pattern in PCRE2's words. */
static bool translate(enum Grammar grammar, const char *s, size_t n, char *out, size_t *len, Err *e)
{
    bool class = false;
    size_t m = 0, first = 0;      /* where a ] is a character of the class */
    for (size_t i = 0; i < n; i++) {
        const char *as = NULL;
        if (s[i] == '\\' && i + 1 < n) {
            size_t k = 2;
            if (!escape(s[i + 1], class, &as, e) || (strchr("pP", s[i + 1]) && !category(grammar, s + i, n - i, &k, e)))
                return false;
            const size_t said = as ? strlen(as) : k;
            memcpy(out + m, as ? as : s + i, said);
            m += said;
            i += k - 1;
            continue;
        }
        if (!plain(grammar, class, s + i, n - i, e))
            return false;
        if (!class && s[i] == '[') {
            class = true;
            first = i + 1 + (i + 1 < n && s[i + 1] == '^');
        } else if (class && s[i] == ']' && i != first)
            class = false;
        out[m++] = s[i];
    }
    *len = m;
    return true;
}

Pattern *pattern_new(enum Grammar grammar, const char *s, size_t n, Err *e)
{
    static const uint32_t options[] = {
        [GRAMMAR_LITERAL] = PCRE2_LITERAL, [GRAMMAR_ONIGURUMA] = PCRE2_UCP | PCRE2_MULTILINE, [GRAMMAR_RUST] = PCRE2_UCP | PCRE2_DOLLAR_ENDONLY,
    };
    if (n == 0 || n > PATTERN_BYTES) {
        err_set(e, EXIT_DATA, "", "", "a pattern of %zu bytes", n);
        return NULL;
    }
    char *text = malloc(n * sizeof SPACES + 8);
    size_t len = n;
    CHECK(text, "no memory for a pattern");
    memcpy(text, s, n);
    int why = 0;
    PCRE2_SIZE at = 0;
    Pattern *p = NULL;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    CHECK(context && pcre2_set_newline(context, PCRE2_NEWLINE_LF) == 0, "no memory for a pattern");
    if (grammar == GRAMMAR_LITERAL || translate(grammar, s, n, text, &len, e)) {
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, len, PCRE2_UTF | options[grammar], &why, &at, context);
        if (code) {
            p = malloc(sizeof *p);
            CHECK(p, "no memory for a pattern");
            p->code = code;
            pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);      /* without a compiler on this machine it is interpreted: the same matches */
        } else {
            PCRE2_UCHAR said[160] = "";
            pcre2_get_error_message(why, said, sizeof said);
            err_set(e, EXIT_DATA, "", "", "a pattern is none: %s (byte %zu of \"%.80s\")", (const char *)said, (size_t)at, text);
        }
    }
    pcre2_compile_context_free(context);
    free(text);
    return p;
}

void pattern_free(Pattern *p)
{
    if (p)
        pcre2_code_free(p->code);
    free(p);
}

Match *match_new(void)
{
    Match *m = malloc(sizeof *m);
    CHECK(m && (m->data = pcre2_match_data_create(1, NULL)) && (m->limits = pcre2_match_context_create(NULL)), "no memory for a match");
    pcre2_set_heap_limit(m->limits, HEAP_KIB);
    return m;
}

void match_free(Match *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->limits);
    free(m);
}

int pattern_find(const Pattern *p, Match *m, const uint8_t *text, size_t n, size_t from, size_t *begin, size_t *end)
{
    int rc = pcre2_match(p->code, text, n, from, PCRE2_NO_UTF_CHECK, m->data, m->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(p->code, text, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return -1;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(m->data);
    *begin = ends[0];
    *end = ends[1];
    return *end >= *begin && *begin >= from && *end <= n ? 1 : -1;      /* \K in a lookaround may put them anywhere */
}
