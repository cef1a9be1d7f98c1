#include "io/source/llava.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

struct Llava {
    JsonScan scan;
    json_t  *json;                      /* the record in hand, and what it needs */
    Turn    *turns;
    int      turns_cap;
    json_t  *kept;                      /* a list: strings made for this record */
    char     id[32];
    Root     root;
};

static const char hint_bad[] = "data.on_bad = \"skip\" passes over bad records";

static int say_broken(const Llava *l, Err *e)
{
    if (!e->code)
        *e = l->scan.broken;
    return -1;
}

void llava_seek(Llava *l, int64_t offset, int64_t record) { json_scan_seek(&l->scan, offset, record); }

JsonScan *llava_scan(Llava *l) { return &l->scan; }

static int bad(const Llava *l, const LlavaRecord *r, Err *e, const char *what)
{
    return json_scan_fail(&l->scan, r->record, r->offset, e, what, hint_bad);
}

/* Says where e happened, and how to go on. */
static int placed(const Llava *l, const LlavaRecord *r, Err *e)
{
    char own[sizeof e->hint];
    snprintf(own, sizeof own, "%s", e->hint);
    snprintf(e->hint, sizeof e->hint, "%.150s%s%s", own, own[0] ? "; " : "", hint_bad);
    snprintf(e->where, sizeof e->where, "%.400s: record %lld, byte %lld", l->scan.name, (long long)r->record, (long long)r->offset);
    return -1;
}

static int add_image(Llava *l, LlavaRecord *r, const json_t *j, Err *e)
{
    if (!picture_read(&r->image[r->images], &l->root, j, l->kept, e))
        return placed(l, r, e);
    r->images++;
    return 1;
}

static int read_images(Llava *l, LlavaRecord *r, const json_t *j, Err *e)
{
    if (picture_none(j))
        return 1;
    if (!json_is_array(j))
        return add_image(l, r, j, e);
    if (json_array_size(j) > LLAVA_IMAGES)
        return bad(l, r, e, "more than 16 pictures");
    for (size_t i = 0; i < json_array_size(j); i++)
        if (add_image(l, r, json_array_get(j, i), e) < 0)
            return -1;
    return 1;
}

static int read_turns(Llava *l, LlavaRecord *r, const json_t *j, Err *e)
{
    const char *first = json_string_value(json_object_get(json_array_get(j, 0), "from"));
    const int system = first && strcmp(first, "system") == 0, n = (int)json_array_size(j) - system;
    if (n <= 0)
        return bad(l, r, e, "no \"conversations\", or not a list of turns");
    if (system && !(r->system = json_string_value(json_object_get(json_array_get(j, 0), "value"))))
        return bad(l, r, e, "a turn without the strings \"from\" and \"value\"");
    if (l->turns_cap < (n + 1) / 2) {
        l->turns_cap = n;
        l->turns = realloc(l->turns, (size_t)n * sizeof *l->turns);
        CHECK(l->turns, "no memory for a conversation of %d turns", n);
    }
    for (int i = 0; i < n; i++) {
        const json_t *turn = json_array_get(j, (size_t)(i + system));
        const char *from = json_string_value(json_object_get(turn, "from"));
        const char *value = json_string_value(json_object_get(turn, "value"));
        if (!from || !value)
            return bad(l, r, e, "a turn without the strings \"from\" and \"value\"");
        if (strcmp(from, i % 2 ? "gpt" : "human") != 0) {
            err_expected(e, "%s in turn %d", i % 2 ? "gpt" : "human", i + system);
            err_got(e, "%s", from);
            return bad(l, r, e, "human and gpt do not take turns");
        }
        if (i % 2)
            l->turns[i / 2].answer = value;
        else
            l->turns[i / 2] = (Turn){ .human = value };
    }
    r->turns = l->turns;
    r->n = (n + 1) / 2;
    return 1;
}

static int read_id(Llava *l, LlavaRecord *r, const json_t *j, Err *e)
{
    if (json_is_integer(j)) {
        snprintf(l->id, sizeof l->id, "%lld", (long long)json_integer_value(j));
        r->id = l->id;
    } else if (json_is_string(j)) {
        r->id = json_string_value(j);
    } else if (j && !json_is_null(j)) {
        return bad(l, r, e, "\"id\" is neither a string nor an integer");
    }
    return 1;
}

static void forget(Llava *l)
{
    json_decref(l->json);
    l->json = NULL;
    json_decref(l->kept);
    l->kept = NULL;
}

/* jansson's verdict: either this record is bad, or the file is not JSON from here on. */
static int refuse(Llava *l, const LlavaRecord *r, const json_error_t *why, Err *e)
{
    static const char surrogate[] = "invalid Unicode";      /* counted among the syntax errors by jansson */
    const enum json_error_code code = json_error_code(why);
    const bool syntax = (code == json_error_invalid_syntax && strncmp(why->text, surrogate, sizeof surrogate - 1) != 0) ||
                        code == json_error_premature_end_of_input || code == json_error_end_of_input_expected;
    const int64_t byte = r->offset + why->position;
    if (!syntax)
        return json_scan_fail(&l->scan, r->record, byte, e, why->text, hint_bad);
    json_scan_fail(&l->scan, r->record, byte, &l->scan.broken, why->text, "`python3 -m json.tool` says more");
    return say_broken(l, e);
}

int llava_next(Llava *l, LlavaRecord *out, Err *e)
{
    forget(l);
    l->kept = json_array();
    CHECK(l->kept, "no memory for a record");
    const int found = json_scan_find(&l->scan);
    *out = (LlavaRecord){ .record = l->scan.records, .offset = json_scan_tell(&l->scan), .id = "" };
    if (found <= 0)
        return found < 0 ? say_broken(l, e) : 0;
    const int whole = json_scan_value(&l->scan);
    out->text  = l->scan.text;
    out->bytes = l->scan.len;
    switch (whole) {
    case -1: return say_broken(l, e);
    case  0: return bad(l, out, e, "a record nests more than 64 deep or is longer than 16 MiB");
    }
    json_error_t why;
    l->json = json_loadb(l->scan.text, (size_t)l->scan.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!l->json)
        return refuse(l, out, &why, e);
    if (!json_is_object(l->json))
        return bad(l, out, e, "a record is not an object");
    if (read_id(l, out, json_object_get(l->json, "id"), e) < 0 ||
        read_turns(l, out, json_object_get(l->json, "conversations"), e) < 0)
        return -1;
    return read_images(l, out, json_object_get(l->json, "image"), e);
}

Llava *llava_open(const char *json, const char *images_root, bool follow_links, Err *e)
{
    Llava *l = calloc(1, sizeof *l);
    CHECK(l, "no memory to read JSON");
    l->scan.fd = -1;
    if (root_open(&l->root, images_root, follow_links, e) && json_scan_open(&l->scan, json, e))
        return l;
    llava_close(l);
    return NULL;
}

void llava_close(Llava *l)
{
    if (!l)
        return;
    forget(l);
    json_scan_close(&l->scan);
    free(l->turns);
    free(l);
}
