#include "io/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/files.h"

json_t *json_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Bytes of the character at s as jansson counts them; 0: it is none. */
static size_t character(const char *s, size_t left)
{
    for (size_t n = 1; n <= 4 && n <= left; n++) {
        json_t *one = json_stringn(s, n);
        json_decref(one);
        if (one)
            return n;
    }
    return 0;
}

json_t *json_text(const char *s)
{
    json_t *whole = json_string(s);
    if (whole)
        return whole;
    char *copy = strdup(s);
    CHECK(copy, "no memory for a text of %zu bytes", strlen(s));
    size_t left = strlen(copy);
    for (char *at = copy; *at; ) {
        size_t n = character(at, left);
        if (n == 0)
            *at = '?', n = 1;
        at += n;
        left -= n;
    }
    whole = json_string(copy);
    free(copy);
    return whole;
}

void json_set(json_t *object, const char *key, json_t *value)
{
    json_t *name = json_text(key);
    json_object_set_new(object, json_string_value(name), value);
    json_decref(name);
}

/* Replaces the file by text, which is freed, as is root. */
static bool finish(const char *path, json_t *root, char *text, size_t n, Err *e)
{
    CHECK(text, "no memory for %s", path);
    const bool ok = file_replace(path, text, n, e);
    free(text);
    json_decref(root);
    return ok;
}

bool json_write(const char *path, json_t *root, int digits, Err *e)
{
    char  *text = NULL;
    size_t n = 0;
    FILE  *f = open_memstream(&text, &n);
    CHECK(f && json_dumpf(root, f, JSON_INDENT(1) | JSON_REAL_PRECISION(digits)) == 0, "no memory for %s", path);
    fputc('\n', f);
    fclose(f);
    return finish(path, root, text, n, e);
}

static void put(FILE *f, json_t *x, size_t how)
{
    CHECK(json_dumpf(x, f, how | JSON_ENCODE_ANY) == 0, "no memory for a file of JSON");
}

static void put_key(FILE *f, const char *key)
{
    json_t *name = json_string(key);
    put(f, name, 0);
    json_decref(name);
    fputs(": ", f);
}

static void put_rows(FILE *f, json_t *x, size_t how)
{
    const bool list = json_is_array(x);
    const char *key, *comma = "";
    json_t *row;
    size_t i;
    fputc(list ? '[' : '{', f);
    if (list)
        json_array_foreach(x, i, row) {
            fprintf(f, "%s\n  ", comma);
            put(f, row, how);
            comma = ",";
        }
    else
        json_object_foreach(x, key, row) {
            fprintf(f, "%s\n  ", comma);
            put_key(f, key);
            put(f, row, how);
            comma = ",";
        }
    fputc(list ? ']' : '}', f);
}

bool json_write_rows(const char *path, json_t *root, int digits, Err *e)
{
    const size_t how = JSON_REAL_PRECISION(digits);
    const char *key, *comma = "";
    char   *text = NULL;
    size_t  n = 0;
    json_t *x;
    FILE   *f = open_memstream(&text, &n);
    CHECK(f, "no memory for %s", path);
    fputc('{', f);
    json_object_foreach(root, key, x) {
        const bool rows = json_is_array(x) || json_is_object(x);
        fprintf(f, "%s%s", comma, rows ? "\n " : *comma ? " " : "");
        put_key(f, key);
        if (rows)
            put_rows(f, x, how);
        else
            put(f, x, how);
        comma = ",";
    }
    fputs("}\n", f);
    fclose(f);
    return finish(path, root, text, n, e);
}
