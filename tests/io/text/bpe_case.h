/*
 * bpe_case.h -- what the tests of byte pair merges share: a folder of their own, and text models made from the committed ones
 */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/text/text.h"

enum { ROOM = 1024 };
static char dir[] = "/tmp/asvr-bpe-XXXXXX";

static inline const char *file(const char *name)
{
    static char path[4][256];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", dir, name);
    return path[at];
}

static inline void write_bytes(const char *name, const void *bytes, size_t n)
{
    Err e = { 0 };
    assert_true(file_replace(file(name), bytes, n, &e));
}

static inline json_t *golden_json(const char *name)
{
    char path[256];
    json_error_t why;
    snprintf(path, sizeof path, "tests/golden/%s", name);
    json_t *root = json_load_file(path, 0, &why);
    if (!root)
        fail_msg("%s: %s", path, why.text);
    return root;
}

/* A part of a tokenizer.json as JSON text. */
static inline json_t *part(const char *text)
{
    json_error_t why;
    json_t *v = json_loads(text, JSON_DECODE_ANY, &why);
    if (!v)
        fail_msg("%s: %s", text, why.text);
    return v;
}

/* Takes root over. */
static inline Text *open_json(const char *name, json_t *root, Err *e)
{
    char *text = json_dumps(root, JSON_COMPACT);
    write_bytes(name, text, strlen(text));
    free(text);
    json_decref(root);
    return text_open(file(name), e);
}

static inline Text *opened(Text *t, const Err *e)
{
    if (!t)
        fail_msg("%s: %s (expected %s, got %s)", e->where, e->what, e->expected, e->got);
    return t;
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    Err e = { 0 };
    return dir_remove(dir, &e) ? 0 : -1;
}
