#include "launch/config/value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void option_range(const Option *o, char *out, size_t size)
{
    size_t n = 0;
    if (o->type == BOOL)
        snprintf(out, size, "true | false");
    else if (o->type == STRING)
        snprintf(out, size, "any");
    else if (o->type != ENUM)
        snprintf(out, size, o->max < MANY ? "%.10g .. %.10g" : ">= %.10g", o->min, o->max);
    else
        for (const char *s = o->words; *s && n + 4 < size; s++)
            n += (size_t)snprintf(out + n, size - n, *s == '|' ? " %c " : "%c", *s);
}

static const char OUT_OF_RANGE[] = "is out of range", WRONG_TYPE[] = "has the wrong type";

static bool mismatch(const Option *o, const Value *v, const char *where, Err *e, const char *what)
{
    static const char *const A[] = {
        [INT] = "an integer, ", [LONG] = "an integer, ", [FLOAT] = "a number, ", [FLOATS] = "a list of 2 numbers, ",
        [BOOL] = "", [STRING] = "text in double quotes, at most 1023 bytes", [ENUM] = "",
    };
    char range[256], hint[256];
    option_range(o, range, sizeof range);
    if (what == OUT_OF_RANGE && o->max >= MANY)                     /* "not this" needs both bounds */
        snprintf(range, sizeof range, "%.16g .. %.16g", o->min, o->max);
    snprintf(hint, sizeof hint, "%s: %s", o->key, o->help);
    err_expected(e, "%s%s", A[o->type], o->type == STRING ? "" : range);
    switch (v->kind) {
    case V_INTEGER: err_got(e, "%lld", (long long)v->integer);                              break;
    case V_NUMBER:  err_got(e, "%.9g", v->number[0]);                                       break;
    case V_BOOL:    err_got(e, "%s", v->yes ? "true" : "false");                            break;
    case V_TEXT:    err_got(e, "\"%.80s%s\"", v->text, strlen(v->text) > 80 ? "..." : "");  break;
    case V_GROUP:   err_got(e, "a group { ... }");                                          break;
    case V_LIST:
        if (v->n == OPTION_FLOATS)
            err_got(e, "[%.9g, %.9g]", v->number[0], v->number[1]);
        else
            err_got(e, v->n < 0 ? "a list of something else" : "a list of %d", v->n);
        break;
    }
    return err_set(e, EXIT_CONFIG, where, hint, "%s %s", o->key, what);
}

static int word_find(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (int i = 0;; i++) {
        size_t m = strcspn(words, "|");
        if (m == n && !strncmp(words, word, n))
            return i;
        if (!words[m])
            return -1;
        words += m + 1;
    }
}

static bool in_range(const Option *o, double x) { return x >= o->min && x <= o->max; }       /* false for NaN */

bool option_set(const Option *o, Config *c, const Value *v, const char *where, Err *e)
{
    char *at     = (char *)c + o->at;
    bool  number = v->kind == V_INTEGER || v->kind == V_NUMBER;
    int   word;

    switch (o->type) {
    case INT:
    case LONG:
        if (v->kind != V_INTEGER)
            return mismatch(o, v, where, e, WRONG_TYPE);
        if (v->integer < (int64_t)o->min || v->integer > (int64_t)o->max)
            return mismatch(o, v, where, e, OUT_OF_RANGE);
        if (o->type == INT)
            *(int *)at = (int)v->integer;
        else
            *(int64_t *)at = v->integer;
        return true;
    case FLOAT:
        if (!number || !in_range(o, v->number[0]))
            return mismatch(o, v, where, e, number ? OUT_OF_RANGE : WRONG_TYPE);
        *(double *)at = v->number[0];
        return true;
    case FLOATS:
        if (v->kind != V_LIST || v->n != OPTION_FLOATS)
            return mismatch(o, v, where, e, WRONG_TYPE);
        if (!in_range(o, v->number[0]) || !in_range(o, v->number[1]))
            return mismatch(o, v, where, e, OUT_OF_RANGE);
        memcpy(at, v->number, sizeof v->number);
        return true;
    case BOOL:
        if (v->kind != V_BOOL)
            return mismatch(o, v, where, e, WRONG_TYPE);
        *(bool *)at = v->yes;
        return true;
    case STRING:
        if (v->kind != V_TEXT || strlen(v->text) >= CONFIG_STRING)
            return mismatch(o, v, where, e, v->kind == V_TEXT ? "is too long" : WRONG_TYPE);
        snprintf(at, CONFIG_STRING, "%s", v->text);
        return true;
    case ENUM:
        word = v->kind == V_TEXT ? word_find(o->words, v->text) : -1;
        if (word < 0)
            return mismatch(o, v, where, e, v->kind == V_TEXT ? "has no such word" : WRONG_TYPE);
        *(int *)at = word;
        return true;
    }
    return false;
}

static bool whole_integer(const char *s, int64_t *x)
{
    char *end;
    errno = 0;
    *x = strtoll(s, &end, 10);
    return end != s && !*end && !errno;
}

static bool whole_number(const char *s, double *x)
{
    char *end;
    *x = strtod(s, &end);
    return end != s && !*end;
}

bool option_parse(const Option *o, Config *c, const char *text, const char *where, Err *e)
{
    Value v = { .kind = V_TEXT, .text = text };
    int   end = 0;

    if (o->type == STRING || o->type == ENUM)
        ;                                               /* text, whatever it looks like */
    else if (whole_integer(text, &v.integer))
        v.kind = V_INTEGER, v.number[0] = (double)v.integer;
    else if (whole_number(text, &v.number[0]))
        v.kind = V_NUMBER;
    else if (!strcasecmp(text, "true") || !strcasecmp(text, "false"))
        v.kind = V_BOOL, v.yes = !strcasecmp(text, "true");
    else if (sscanf(text, "[%lf ,%lf ]%n", &v.number[0], &v.number[1], &end) == 2 && end && !text[end])
        v.kind = V_LIST, v.n = 2;
    return option_set(o, c, &v, where, e);
}

/* The shortest decimal that reads back as x, and looks like a float to libconfig. */
static void float_print(double x, char *out, size_t size)
{
    if (fabs(x) < 1e9 && x == floor(x)) {
        snprintf(out, size, "%.1f", x);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, x);
        if (strtod(out, NULL) == x)
            return;
    }
}

static void string_print(const char *s, char *out)
{
    *out++ = '"';
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            *out++ = '\\', *out++ = *s;
        else if ((unsigned char)*s < ' ')
            out += sprintf(out, "\\x%02x", (unsigned char)*s);
        else
            *out++ = *s;
    *out++ = '"';
    *out = 0;
}

void option_print(const Option *o, const Config *c, char out[OPTION_TEXT])
{
    const char *at = (const char *)c + o->at;
    const char *word = o->words;
    char a[32], b[32];

    switch (o->type) {
    case INT:    sprintf(out, "%d", *(const int *)at);                          break;
    case LONG:   sprintf(out, "%lld", (long long)*(const int64_t *)at);         break;
    case FLOAT:  float_print(*(const double *)at, out, OPTION_TEXT);            break;
    case BOOL:   strcpy(out, *(const bool *)at ? "true" : "false");             break;
    case STRING: string_print(at, out);                                         break;
    case FLOATS:
        float_print(((const double *)at)[0], a, sizeof a);
        float_print(((const double *)at)[1], b, sizeof b);
        sprintf(out, "[%s, %s]", a, b);
        break;
    case ENUM:
        for (int i = *(const int *)at; i > 0; i--)
            word = strchr(word, '|') + 1;
        sprintf(out, "\"%.*s\"", (int)strcspn(word, "|"), word);
        break;
    }
}
