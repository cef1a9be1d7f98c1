/* webdataset.c -- tar files of WebDataset's and img2dataset's layout, a record a sample (sources.h) */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "io/source/asked.h"
#include "io/source/jsonplain.h"
#include "io/source/media.h"
#include "io/source/sources.h"
#include "io/source/tar.h"

enum { FIELDS = 64 };

/* The members of one key in hand: what stands where, nothing of it read yet. */
typedef struct { int64_t at, bytes; } Place;
typedef struct {
    char    key[PATH_ROOM];
    int     n;                     /* members so far */
    char    field[FIELDS][32];
    Place   text, json;            /* at 0: there is none */
    FILE   *images;                /* the list of pictures, as JSON */
    char   *list;
    size_t  list_bytes;
    int     pictures;
    int64_t header;                /* of its first member */
} Sample;

/* "dir/0007.seg.png": key "dir/0007", field "seg.png".  NULL: the name says no key. */
static const char *field_of(const char *name, int *key)
{
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name, *dot = strchr(last, '.');
    if (!dot || dot == last || !dot[1])
        return NULL;
    *key = (int)(dot - name);
    return dot + 1;
}

static void begin(Sample *s, const char *name, int key, int64_t header)
{
    snprintf(s->key, sizeof s->key, "%.*s", key, name);
    s->n = s->pictures = 0;
    s->text = s->json = (Place){ 0 };
    s->header = header;
    s->images = open_memstream(&s->list, &s->list_bytes);
    CHECK(s->images, "no memory for a sample");
}

static bool is_one_of(const char *field, const char *const *names)
{
    for (; *names; names++)
        if (!strcasecmp(field, *names))
            return true;
    return false;
}

static bool bad(const Sample *s, const char *file, Err *e, const char *what)
{
    char where[500];
    snprintf(where, sizeof where, "%.200s: sample %.200s, byte %lld", file, s->key, (long long)s->header);
    return err_set(e, EXIT_DATA, where, "data.on_bad = \"skip\" passes over bad samples", "%s", what);
}

static bool add_member(Listing *l, Sample *s, const Tar *t, const char *field, const char *file, Err *e)
{
    static const char *const texts[] = { "txt", "text", "caption", NULL }, *const jsons[] = { "json", NULL },
        *const others[] = { "mp4", "avi", "mov", "mkv", "webm", "mpg", "mpeg", "mp3", "wav", "flac", "ogg", "opus", "m4a", NULL };
    const char *last = strrchr(t->name, '.') + 1;
    const Place here = { t->at, t->bytes };
    char what[40];
    for (int i = 0; i < s->n && i < FIELDS; i++)
        if (!strncasecmp(s->field[i], field, sizeof s->field[i] - 1))
            return bad(s, file, e, "twice the same member, or two samples of one name behind each other");
    if (s->n < FIELDS)
        snprintf(s->field[s->n], sizeof s->field[0], "%s", field);
    s->n++;
    if (is_one_of(field, texts)) {
        if (s->text.at)
            return bad(s, file, e, "two captions");
        s->text = here;
    } else if (is_one_of(field, jsons)) {
        s->json = here;
    } else if (source_is_picture(t->name)) {
        if (!t->bytes)
            return bad(s, file, e, "an empty picture");
        fprintf(s->images, "%s{\"file\":", s->pictures++ ? "," : "");
        list_string(s->images, file, (int64_t)strlen(file));
        fprintf(s->images, ",\"at\":%lld,\"bytes\":%lld}", (long long)here.at, (long long)here.bytes);
    } else if (is_one_of(last, others)) {
        return bad(s, file, e, "a sample with a video or a sound, which asvr does not read");
    } else {
        snprintf(what, sizeof what, "members .%.30s", last);
        list_passed(l, what);
    }
    return true;
}

/* The bytes of a member, NUL behind them, to be freed. */
static char *take(const Sample *s, const Tar *t, Place p, const char *file, Err *e)
{
    if (p.bytes > LIST_TEXT) {
        bad(s, file, e, "a caption or JSON of more than 16 MiB");
        return NULL;
    }
    char *text = malloc((size_t)p.bytes + 1);
    CHECK(text, "no memory for %lld bytes of a caption", (long long)p.bytes);
    if (file_pread(t->fd, text, p.bytes, p.at) != p.bytes) {
        file_error(e, file, "read the tar file");
        free(text);
        return NULL;
    }
    text[p.bytes] = 0;
    return text;
}

static bool reads(const char *key, int64_t n)
{
    return list_object_key(key, n) || (n == 7 && !memcmp(key, "caption", 7)) || media_key(key, n);
}

/* What is read of the sample's JSON; Python writes NaN into the rest.  NULL with e set, or where there is none. */
static json_t *read_json(const Sample *s, const Tar *t, const char *file, Err *e)
{
    JsonPlain plain = { 0 };
    json_error_t why;
    json_t *o = NULL;
    char *text = s->json.at ? take(s, t, s->json, file, e) : NULL;
    if (text) {
        const int mark = s->json.bytes >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;      /* UTF-8's byte order mark */
        json_plain(&plain, text + mark, s->json.bytes - mark, reads);
        o = json_loadb(plain.text, (size_t)plain.n, JSON_REJECT_DUPLICATES, &why);
        if (!o) {
            err_got(e, "%s", why.text);
            bad(s, file, e, "the sample's .json is no JSON");
        }
    }
    json_plain_free(&plain);
    free(text);
    return o;
}

/* A picture that the JSON names is in the tar; a video or sound that it names is nowhere that we read. */
static bool media_are_here(const Sample *s, const json_t *o, const char *file, Err *e)
{
    Err none = { 0 };
    const size_t image = json_array_size(json_object_get(o, "image")), images = json_array_size(json_object_get(o, "images"));
    if (s->pictures && (int64_t)(image > images ? image : images) > s->pictures)
        return bad(s, file, e, "the sample's .json names more pictures than the tar has");
    if (!s->pictures ? media_none(o, "the sample's .json, but not the tar,", &none)
                     : picture_none(json_object_get(o, "video")) && picture_none(json_object_get(o, "audio")))
        return true;
    return bad(s, file, e, none.what[0] ? none.what : "the sample's .json names a video or a sound, which asvr does not read");
}

/* A value as JSON, to be freed; NULL: it says nothing.  What is no list of turns is for the reader of the listing to refuse. */
static char *value_of(const json_t *o, const char *key)
{
    const json_t *j = json_object_get(o, key);
    return json_is_array(j) || !picture_none(j) ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

/* The JSON's conversation, or question and answer, else the text, else the JSON's caption. */
static bool write_sample(Listing *l, const Sample *s, const Tar *t, const char *file, Err *e)
{
    json_t *o = read_json(s, t, file, e);
    const bool talk = !picture_none(json_object_get(o, "conversations")), chat = !picture_none(json_object_get(o, "messages"));
    if (talk && chat)
        bad(s, file, e, "two conversations, \"conversations\" and \"messages\"");
    if (e->code) {
        json_decref(o);
        return false;
    }
    const bool pair = !talk && !chat && !picture_none(json_object_get(o, "question")) && !picture_none(json_object_get(o, "answer"));
    const char *key = pair ? "question" : chat || !(talk || json_is_array(json_object_get(o, "conversations"))) ? "messages" : "conversations";
    const char *caption = json_string_value(json_object_get(o, "caption"));
    char *turns = value_of(o, key), *system = value_of(o, "system"), *asked = asked_members(o);
    char *text = !turns && s->text.at ? take(s, t, s->text, file, e) : NULL;
    const char *odd = text ? list_no_text(text, s->text.bytes) : NULL;
    if (odd)
        bad(s, file, e, odd);
    else if (turns && media_are_here(s, o, file, e))
        list_turns(l, s->key, s->list, key, turns, system, asked);
    else if (!e->code && !s->pictures)
        list_passed(l, "samples without a picture");
    else if (text)
        list_caption(l, s->key, s->list, s->pictures, text, s->text.bytes);
    else if (!e->code && caption)
        list_caption(l, s->key, s->list, s->pictures, caption, (int64_t)strlen(caption));
    else if (!e->code)
        list_passed(l, "samples without a caption");
    free(text);
    free(turns);
    free(system);
    free(asked);
    json_decref(o);
    return !e->code;
}

/* The sample in hand has all its members, or `broken`: is given up. */
static bool end(Listing *l, Sample *s, const Tar *t, const char *file, bool broken, Err *e)
{
    bool ok = true;
    if (s->images) {
        fclose(s->images);
        ok = broken || write_sample(l, s, t, file, e) || list_bad(l, e);
        free(s->list);
        s->images = NULL;
    }
    return ok;
}

bool list_webdataset(Listing *l, const char *path, const char *file, Err *e)
{
    Tar t;
    Sample *s = calloc(1, sizeof *s);
    CHECK(s, "no memory for a sample");
    bool ok = tar_open(&t, path, e), broken = false;
    int got = ok ? 1 : 0;
    while (ok && (got = tar_next(&t, e)) == 1) {
        int key = 0;
        const char *field = t.file ? field_of(t.name, &key) : NULL;
        if (!field) {
            if (!t.name[0] || t.name[strlen(t.name) - 1] != '/')
                list_passed(l, t.file ? "members without a key" : "links and folders");
            continue;
        }
        if (!s->images || strncmp(s->key, t.name, (size_t)key) != 0 || s->key[key]) {
            ok = end(l, s, &t, file, broken, e);
            begin(s, t.name, key, t.header);
            broken = false;
        }
        if (ok && !broken && !add_member(l, s, &t, field, file, e)) {
            broken = true;
            ok = list_bad(l, e);
        }
    }
    Err cut = *e;
    *e = (Err){ 0 };
    if (got < 0)                                    /* what was cut off may be the sample's caption */
        broken = true;
    ok = end(l, s, &t, file, broken || cut.code, e) && !cut.code;
    if (cut.code)
        *e = cut;
    tar_close(&t);
    free(s);
    return ok || list_bad(l, e);
}
