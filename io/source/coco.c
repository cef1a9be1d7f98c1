/* coco.c -- COCO's captions JSON, a record an annotation (sources.h)

   { "images": [{"id": 9, "file_name": "9.jpg"}, ...], "annotations": [{"id": 1, "image_id": 9, "caption": "A cat."}, ...] }

   or, in place of the caption, "question" and "answer" (and "choices", "task": asked.h).

   Nothing of the file stays in memory but a table of the images' names.  Where annotations come before images, it is read twice. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/source/asked.h"
#include "io/source/jsonplain.h"
#include "io/source/jsonpull.h"
#include "io/source/sources.h"

typedef struct { int64_t id, at; bool shown; } Named;
typedef struct {
    Named   *image;                /* (n), at: of its name in `names` */
    int64_t  n, cap;
    char    *names;
    int64_t  bytes, room;
    bool     sorted, seen, missed; /* images were read; there were annotations before them */
} Names;

static bool bad(const JsonPull *p, Err *e, const char *what)
{
    return pull_fail(p, p->start, e, what, "data.on_bad = \"skip\" passes over bad ones");
}

static void *grow(void *at, int64_t *cap, int64_t need, size_t elem)
{
    if (need <= *cap)
        return at;
    *cap = max64(2 * *cap, need + 1024);
    at = realloc(at, (size_t)*cap * elem);
    CHECK(at, "no memory for the names of %lld images", (long long)*cap);
    return at;
}

static bool reads(const char *key, int64_t n)
{
    static const char *const keys[] = { "id", "image_id", "file_name", "caption" };
    for (int k = 0; k < 4; k++)
        if ((int64_t)strlen(keys[k]) == n && !memcmp(keys[k], key, (size_t)n))
            return true;
    return list_object_key(key, n);
}

/* An integer, or its text. */
static bool get_id(const json_t *o, const char *key, int64_t *id)
{
    const char *s = json_string_value(json_object_get(o, key));
    char *end;
    errno = 0;
    *id = s ? strtoll(s, &end, 10) : 0;
    return s && end != s && !*end && !errno;
}

static bool add_image(Names *x, const JsonPull *p, const json_t *o, Err *e)
{
    const json_t *name = json_object_get(o, "file_name");
    int64_t id;
    if (!get_id(o, "id", &id) || !json_is_string(name))
        return bad(p, e, "an image without an integer \"id\" and a string \"file_name\"");
    const int64_t n = (int64_t)json_string_length(name) + 1;
    x->image = grow(x->image, &x->cap, x->n + 1, sizeof *x->image);
    x->names = grow(x->names, &x->room, x->bytes + n, 1);
    x->image[x->n++] = (Named){ .id = id, .at = x->bytes };
    memcpy(x->names + x->bytes, json_string_value(name), (size_t)n);
    x->bytes += n;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const Named *x = a, *y = b;
    return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : (x->at > y->at) - (x->at < y->at);
}

static Named *find(Names *x, int64_t id)
{
    const Named key = { .id = id };
    if (!x->sorted && x->n)
        qsort(x->image, (size_t)x->n, sizeof *x->image, by_id);
    x->sorted = true;
    int64_t low = 0, high = x->n;
    while (low < high) {
        const int64_t mid = (low + high) / 2;
        if (by_id(&x->image[mid], &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < x->n && x->image[low].id == id ? &x->image[low] : NULL;
}

/* The next image has the same id and another name. */
static bool is_double(const Names *x, const Named *i)
{
    return i + 1 < x->image + x->n && i[1].id == i->id && strcmp(x->names + i->at, x->names + i[1].at) != 0;
}

static bool add_caption(Listing *l, Names *x, const JsonPull *p, const json_t *o, Err *e)
{
    const json_t *caption = json_object_get(o, "caption");
    int64_t id, image;
    char text[32] = "", *list;
    const bool asks = !picture_none(json_object_get(o, "question")) && !picture_none(json_object_get(o, "answer"));
    if (!caption && !asks) {
        list_passed(l, "annotations without a caption");
        return true;
    }
    if (!get_id(o, "image_id", &image) || (!asks && !json_is_string(caption)))
        return bad(p, e, "an annotation without an integer \"image_id\" and a string \"caption\"");
    Named *of = find(x, image);
    if (!of || is_double(x, of)) {
        err_got(e, "image_id %lld", (long long)image);
        return bad(p, e, of ? "an annotation of an id that two images have" : "an annotation of an image that the file does not have");
    }
    const char *name = x->names + of->at;
    of->shown = true;
    size_t n;
    FILE *f = open_memstream(&list, &n);
    CHECK(f, "no memory for a record");
    list_string(f, name, (int64_t)strlen(name));
    fclose(f);
    if (get_id(o, "id", &id))
        snprintf(text, sizeof text, "%lld", (long long)id);
    if (!asks || !list_object(l, text, list, o))
        list_caption(l, text, list, 1, json_string_value(caption), (int64_t)json_string_length(caption));
    free(list);
    return true;
}

/* One of the two lists, element by element. */
static bool each(Listing *l, Names *x, JsonPull *p, bool images, Err *e)
{
    if (pull_peek(p) != '[')
        return pull_fail(p, pull_tell(p), e, images ? "\"images\" is no list" : "\"annotations\" is no list", "");
    pull_enter(p);
    JsonPlain plain = { 0 };
    bool ok = true;
    for (bool first = true; ok && pull_element(p, first); first = false) {
        const int got = pull_value(p);
        json_error_t why;
        if (got < 0)
            break;
        if (got == 1)
            json_plain(&plain, p->text, p->len, reads);
        json_t *o = got == 1 ? json_loadb(plain.text, (size_t)plain.n, JSON_REJECT_DUPLICATES, &why) : NULL;
        if (!o) {
            err_got(e, "%s", got ? why.text : "more than 16 MiB");
            bad(p, e, "this is no JSON");
        } else if (images) {
            add_image(x, p, o, e);
        } else {
            add_caption(l, x, p, o, e);
        }
        json_decref(o);
        ok = !e->code || list_bad(l, e);
    }
    json_plain_free(&plain);
    if (p->broken.code && ok)
        *e = p->broken;
    return ok && !e->code;
}

/* Goes over the file; with `captions` it writes those of images that are known by then. */
static bool go_over(Listing *l, Names *x, const char *path, bool images, Err *e)
{
    JsonPull *p = malloc(sizeof *p);
    CHECK(p, "no memory to read JSON");
    char key[PULL_KEY];
    bool ok = pull_open(p, path, e), annotations = false;
    if (ok && pull_peek(p) != '{')
        ok = pull_fail(p, pull_tell(p), e, "this is no captions file of COCO", "an object with \"images\" and \"annotations\" is wanted");
    if (ok)
        pull_enter(p);
    for (bool first = true; ok && pull_member(p, first, key); first = false) {
        const bool captions = !strcmp(key, "annotations"), named = !strcmp(key, "images") && images;
        if ((captions && annotations) || (named && x->seen)) {      /* the first ones, or all: who wrote it does not know */
            ok = pull_fail(p, pull_tell(p), e, captions ? "\"annotations\" stands twice in the file" : "\"images\" stands twice in the file", "");
            break;
        }
        annotations |= captions;
        if (named) {
            ok = each(l, x, p, true, e);
            x->seen = true;
        } else if (captions && x->seen) {
            ok = each(l, x, p, false, e);
        } else {
            x->missed |= captions;
            ok = pull_value(p) >= 0;
        }
    }
    if (ok && !p->broken.code && !e->code && pull_peek(p) >= 0)
        ok = pull_fail(p, pull_tell(p), e, "text after the end of the object", "name the files one by one: data.json = \"{a,b}.json\"");
    if (p->broken.code && !e->code)
        *e = p->broken;
    if (ok && !e->code && images && (!x->seen || !annotations))
        pull_fail(p, 0, e, x->seen ? "the file has no \"annotations\"" : "the file has no \"images\"",
                  "an object with \"images\" and \"annotations\" is wanted");
    if (p->in)
        pull_close(p);
    free(p);
    return !e->code;
}

bool list_coco(Listing *l, const char *path, const char *name, Err *e)
{
    Names x = { 0 };
    (void)name;
    const bool ok = go_over(l, &x, path, true, e) && (!x.missed || go_over(l, &x, path, false, e));
    for (int64_t i = 0; i < x.n && ok; i++)
        if (!x.image[i].shown)
            list_passed(l, "images without a caption");
    free(x.image);
    free(x.names);
    return ok || list_bad(l, e);
}
