#include "io/source/llava.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/source/jsonplain.h"

struct Llava {
    JsonScan  scan;
    Root      root;
    JsonPlain plain;                    /* the record in hand, and what it needs */
    json_t   *json;
    Turns     turns;
    Media     media;
    Asked     asked;
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

/* Says where e happened, and how to go on.  turn: -1, not in one. */
static int placed(const Llava *l, const LlavaRecord *r, int turn, Err *e)
{
    char own[sizeof e->hint];
    snprintf(own, sizeof own, "%s", e->hint);
    snprintf(e->hint, sizeof e->hint, "%.150s%s%s", own, own[0] ? "; " : "", hint_bad);
    snprintf(e->where, sizeof e->where, "%.400s: record %lld, byte %lld", l->scan.name, (long long)r->record, (long long)r->offset);
    if (turn >= 0)
        snprintf(e->where + strlen(e->where), sizeof e->where - strlen(e->where), ", turn %d", turn);
    return -1;
}

static int bad(const Llava *l, const LlavaRecord *r, Err *e, const char *what)
{
    return json_scan_fail(&l->scan, r->record, r->offset, e, what, hint_bad);
}

/* What the parser reads of a record; all else may be what it likes (jsonplain.h). */
static bool reads(const char *key, int64_t n) { return turns_key(key, n) || media_key(key, n) || asked_key(key, n); }

/* The text in front of byte `at` of the record. */
static void show(const LlavaRecord *r, int64_t at, Err *e)
{
    char text[41];
    int64_t from = max64(at - 40, 0);
    while (from > 0 && from < at && (r->text[from] & 0xC0) == 0x80)         /* not in the middle of a letter */
        from++;
    const int n = snprintf(text, sizeof text, "%.*s", (int)(at - from), r->text + from);
    for (int i = 0; i < n; i++)
        if ((uint8_t)text[i] < ' ')
            text[i] = ' ';
    err_got(e, "%s%s", from ? "..." : "", text);
}

/* jansson's verdict: either this record is bad, or the file is not JSON from here on. */
static int refuse(Llava *l, const LlavaRecord *r, const json_error_t *why, Err *e)
{
    static const char surrogate[] = "invalid Unicode";      /* counted among the syntax errors by jansson */
    const enum json_error_code code = json_error_code(why);
    const bool syntax = (code == json_error_invalid_syntax && strncmp(why->text, surrogate, sizeof surrogate - 1) != 0) ||
                        code == json_error_premature_end_of_input || code == json_error_end_of_input_expected;
    const int64_t byte = r->offset + json_plain_source(r->text, r->bytes, reads, why->position);
    const char *what = why->text, *near = strstr(why->text, " near '");
    char short_[sizeof why->text];
    snprintf(short_, sizeof short_, "%.*s", near ? (int)(near - what) : (int)sizeof short_ - 1, what);     /* what it is near is jsonplain's */
    what = short_;
    show(r, byte - r->offset, l->scan.lines || !syntax ? e : &l->scan.broken);
    if (code == json_error_null_character || code == json_error_null_byte_in_key)
        what = "a \\u0000 in a text or key";
    else if (l->scan.lines && code == json_error_premature_end_of_input)
        what = "the line ends in the middle of its record";
    else if (l->scan.lines && code == json_error_end_of_input_expected)
        what = "something stands behind the record on its line";
    if (!syntax || l->scan.lines)
        return json_scan_fail(&l->scan, r->record, byte, e, what, hint_bad);
    json_scan_fail(&l->scan, r->record, byte, &l->scan.broken, what, "`python3 -m json.tool` says more");
    return say_broken(l, e);
}

static void forget(Llava *l)
{
    json_decref(l->json);
    json_decref(l->media.kept);
    l->json = NULL;
    l->media = (Media){ .root = &l->root, .kept = json_array() };
    CHECK(l->media.kept, "no memory for a record");
}

/* The record of l->json. */
static bool understand(Llava *l, LlavaRecord *out, Err *e)
{
    if (!json_is_object(l->json))
        return err_set(e, EXIT_DATA, "", "", "a record is not an object");
    if (!asked_read(&l->asked, l->json, l->media.kept, e) || !turns_read(&l->turns, l->json, &l->media, e) ||
        !media_record(&l->media, l->json, e))
        return false;
    if (l->turns.caption && l->media.n == 0)
        return err_set(e, EXIT_DATA, "", "", "a caption without a picture");
    asked_put(&l->asked, &l->turns, l->media.kept);
    if (l->turns.caption)
        l->asked.n = 0;
    const char *id = json_string_value(json_object_get(l->json, "id"));
    out->id     = id ? id : "";
    out->image  = l->media.ref;
    out->images = l->media.n;
    out->turns  = l->turns.turn;
    out->n      = l->turns.n;
    out->system = l->turns.system;
    out->answer_first = l->turns.answer_first;
    out->asked  = &l->asked;
    return true;
}

int llava_next(Llava *l, LlavaRecord *out, Err *e)
{
    forget(l);
    const int found = json_scan_find(&l->scan);
    *out = (LlavaRecord){ .record = l->scan.records, .offset = json_scan_tell(&l->scan), .id = "" };
    if (found <= 0)
        return found < 0 ? say_broken(l, e) : 0;
    const int whole = json_scan_value(&l->scan);
    out->text  = l->scan.text;
    out->bytes = l->scan.len;
    if (whole < 0)
        return say_broken(l, e);
    json_plain(&l->plain, out->text, out->bytes, reads);
    if (!whole || l->plain.depth > JSON_DEPTH)
        return bad(l, out, e, "a record nests more than 64 deep or is longer than 16 MiB");
    json_error_t why;
    l->json = json_loadb(l->plain.text, (size_t)l->plain.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!l->json)
        return refuse(l, out, &why, e);
    l->turns.at = -1;
    return understand(l, out, e) ? 1 : placed(l, out, l->turns.at, e);
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
    json_decref(l->json);
    json_decref(l->media.kept);
    json_scan_close(&l->scan);
    json_plain_free(&l->plain);
    turns_free(&l->turns);
    free(l);
}
