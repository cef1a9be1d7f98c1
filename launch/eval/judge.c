#include "launch/eval/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>
#include <utf8proc.h>

static const char BLANKS[] = " \t\r\n\v\f";

/* ---- texts ---- */

static bool is_blank(char c) { return c && strchr(BLANKS, c); }

char *judge_normal(const char *text)
{
    utf8proc_uint8_t *folded = NULL;
    char *s = utf8proc_map((const utf8proc_uint8_t *)text, 0, &folded,
                           UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD) < 0 ? strdup(text) : (char *)folded;
    CHECK(s, "no memory for an answer");
    size_t n = 0;
    for (const char *c = s + strspn(s, BLANKS); *c; c++)            /* no longer than it was */
        if (!is_blank(*c))
            s[n++] = *c;
        else if (c[1] && !is_blank(c[1]))
            s[n++] = ' ';
    n -= n > 1 && s[n - 1] == '.';
    while (n > 0 && s[n - 1] == ' ')
        n--;
    s[n] = 0;
    return s;
}

/* -1,234.50: digits, where there are commas in threes. */
static bool number_of(const char *s, double *out)
{
    char plain[64], *end;
    size_t n = 0, run = 0;
    bool commas = false, digits = false, point = false;
    if (*s == '-' || *s == '+')
        plain[n++] = *s++;
    for (; *s && n + 2 < sizeof plain; s++) {
        const bool digit = *s >= '0' && *s <= '9';
        if (*s == ',' && (point || run == 0 || run > 3 || (commas && run != 3)))
            return false;
        if (*s == '.' && (point || (commas && run != 3)))
            return false;
        if (!digit && *s != ',' && *s != '.')
            return false;
        commas |= *s == ',';
        point |= *s == '.';
        digits |= digit;
        run = digit ? run + 1 : 0;
        if (*s != ',')
            plain[n++] = *s;
    }
    if (*s || !digits || (commas && !point && run != 3))
        return false;
    plain[n] = 0;
    *out = strtod(plain, &end);
    return !*end;
}

static bool same(const char *a, const char *b)
{
    double x, y;
    char *p = judge_normal(a), *q = judge_normal(b);
    const bool equal = !strcmp(p, q) || (number_of(p, &x) && number_of(q, &y) && x == y);
    free(p);
    free(q);
    return equal;
}

/* ---- choices ---- */

/* A letter among the choices, in either case; 0: none. */
static char letter_in(const json_t *choices, char c)
{
    const char key[2] = { (char)(c & ~0x20), 0 };
    return key[0] >= 'A' && key[0] <= 'Z' && json_object_get(choices, key) ? key[0] : 0;
}

static bool is_letter(char c) { return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c & 0x80); }

/* "(B)", "B)", "B.", "B:" and a "B" with nothing but marks behind it, at the beginning of s; small ones in a longer text only with a mark. */
static char leading(const json_t *choices, const char *s)
{
    const bool open = *s == '(' || *s == '[';
    s += open;
    const char c = letter_in(choices, *s);
    if (!c || is_letter(s[1]) || (s[1] >= '0' && s[1] <= '9'))
        return 0;
    const bool mark = s[1] && strchr(".):]", s[1]);
    const char *rest = s + 1 + strspn(s + 1, ".):], \t\r\n");
    return !*rest || (open && mark) || (mark && (s[1] != '.' || is_blank(s[2]))) ? c : 0;
}

/* Behind the last "answer", "answer is", "option" or "choice": a capital letter, or one with a bracket. */
static char told(const json_t *choices, const char *s)
{
    static const char *const words[] = { "answer", "option", "choice" };
    char found = 0;
    for (; *s; s++)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            const size_t n = strlen(words[i]);
            if (strncasecmp(s, words[i], n))
                continue;
            const char *at = s + n + strspn(s + n, ": \t\n");
            if (!strncasecmp(at, "is", 2) && !is_letter(at[2]))
                at += 2 + strspn(at + 2, ": \t\n");
            const bool open = *at == '(' || *at == '[';
            at += open;
            if (letter_in(choices, *at) && !is_letter(at[1]) && (open || *at <= 'Z'))
                found = letter_in(choices, *at);
        }
    return found;
}

static char chosen(const json_t *choices, const char *said)
{
    const char *key;
    json_t *text;
    said += strspn(said, BLANKS);
    char c = leading(choices, said);
    if (!c)
        c = told(choices, said);
    json_object_foreach((json_t *)(uintptr_t)choices, key, text)
        if (!c && same(json_string_value(text), said))
            c = key[0];
    return c;
}

/* ---- the key ---- */

char *judge_key(const char *const *right, int n, const char *letters, const char *const *choice, int choices)
{
    json_t *o = json_object(), *list = json_array(), *named = json_object();
    int bad = 0;
    for (int i = 0; i < n; i++)
        bad |= json_array_append_new(list, json_string(right[i]));
    for (int i = 0; i < choices; i++)
        bad |= json_object_set_new(named, (char[]){ letters[i], 0 }, json_string(choice[i]));
    bad |= json_object_set_new(o, "right", list);
    bad |= choices && json_object_set(o, "choices", named);
    char *text = json_dumps(o, JSON_COMPACT);
    CHECK(text && !bad, "no memory for an answer");
    json_decref(named);
    json_decref(o);
    return text;
}

/* NULL: one right text. */
static json_t *parsed(const char *key) { return key[0] == '{' ? json_loads(key, 0, NULL) : NULL; }

bool judge_right(const char *key, const char *said)
{
    json_t *o = parsed(key), *one;
    const json_t *choices = json_object_get(o, "choices");
    const char letter[2] = { choices ? chosen(choices, said) : 0, 0 };
    bool right = !o && !strcmp(key, said);
    size_t i;
    json_array_foreach(json_object_get(o, "right"), i, one)
        if (json_is_string(one))
            right |= choices ? !strcmp(json_string_value(one), letter) : same(json_string_value(one), said);
    json_decref(o);
    return right;
}

void judge_show(const char *key, char *out, size_t cap)
{
    json_t *o = parsed(key);
    const char *first = o ? json_string_value(json_array_get(json_object_get(o, "right"), 0)) : key;
    const char *text = first ? json_string_value(json_object_get(json_object_get(o, "choices"), first)) : NULL;
    snprintf(out, cap, "%s%s%s", first ? first : "", text ? ". " : "", text ? text : "");
    json_decref(o);
}
