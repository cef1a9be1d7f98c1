#include "io/source/listing.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/source/asked.h"
#include "io/text/wordcut.h"

void list_string(FILE *f, const char *text, int64_t n)
{
    putc_unlocked('"', f);
    for (int64_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", f);
        else if (c < ' ')
            fprintf(f, "\\u%04x", c);
        else
            putc_unlocked(c, f);
    }
    putc_unlocked('"', f);
}

static void begin(Listing *l, const char *id, const char *images)
{
    l->count.records++;
    fputs("{\"id\":", l->f);
    list_string(l->f, id, (int64_t)strlen(id));
    if (images[0])
        fprintf(l->f, ",\"image\":[%s]", images);
}

const char *list_no_text(const char *text, int64_t n)
{
    if (utf8_run((const uint8_t *)text, (size_t)n) != (size_t)n)
        return "a text that is no UTF-8";
    return memchr(text, 0, (size_t)n) ? "a text with a byte 0 in it" : NULL;
}

/* What stands around a caption goes, a byte order mark too; the caption is the answer. */
void list_caption(Listing *l, const char *id, const char *images, int pictures, const char *caption, int64_t n)
{
    if (n >= 3 && !memcmp(caption, "\xEF\xBB\xBF", 3))
        caption += 3, n -= 3;
    while (n > 0 && strchr(" \t\r\n", caption[n - 1]) && caption[n - 1])
        n--;
    for (; n > 0 && strchr(" \t\r\n", *caption) && *caption; n--)
        caption++;
    begin(l, id, images);
    fputs(",\"conversations\":[{\"from\":\"human\",\"value\":\"", l->f);
    for (int i = 0; i < pictures; i++)
        fputs("<image>\\n", l->f);
    fprintf(l->f, "Describe %s.\"},{\"from\":\"gpt\",\"value\":", pictures > 1 ? "these images" : "this image");
    list_string(l->f, caption, n);
    fputs("}]}\n", l->f);
}

void list_turns(Listing *l, const char *id, const char *images, const char *key, const char *turns, const char *system, const char *asked)
{
    begin(l, id, images);
    fprintf(l->f, ",\"%s\":%s%s%s%s}\n", key, turns, system ? ",\"system\":" : "", system ? system : "", asked);
}

static const char *const forms[] = { "conversations", "messages", "question" };
enum { FORMS = sizeof forms / sizeof *forms };

bool list_object_key(const char *key, int64_t n)
{
    for (int i = 0; i < FORMS; i++)
        if ((int64_t)strlen(forms[i]) == n && !memcmp(forms[i], key, (size_t)n))
            return true;
    return asked_key(key, n) || (n == 6 && !memcmp(key, "system", 6));
}

/* A question alone has nothing to learn. */
bool list_object(Listing *l, const char *id, const char *images, const json_t *o)
{
    int i = 0;
    while (i < FORMS && picture_none(json_object_get(o, forms[i])))
        i++;
    if (i == FORMS || (!strcmp(forms[i], "question") && picture_none(json_object_get(o, "answer"))))
        return false;
    const json_t *said = json_object_get(o, "system");
    char *turns = json_dumps(json_object_get(o, forms[i]), JSON_COMPACT | JSON_ENCODE_ANY), *asked = asked_members(o);
    char *system = picture_none(said) ? NULL : json_dumps(said, JSON_COMPACT | JSON_ENCODE_ANY);
    CHECK(turns, "no memory for a record");
    list_turns(l, id, images, forms[i], turns, system, asked);
    free(turns);
    free(asked);
    free(system);
    return true;
}

static void add_passed(ListCount *c, const char *what, int64_t n)
{
    int i = 0;
    while (i < PASSED_KINDS - 1 && c->passed[i].n && strcmp(c->passed[i].what, what) != 0)
        i++;
    if (i == PASSED_KINDS - 1)
        what = "others";
    snprintf(c->passed[i].what, sizeof c->passed[i].what, "%s", what);
    c->passed[i].n += n;
}

void list_passed(Listing *l, const char *what) { add_passed(&l->count, what, 1); }

static void add_said(ListCount *c, const char *text)
{
    for (int i = 0; i < BAD_SAID; i++)
        if (!c->said[i][0]) {
            snprintf(c->said[i], sizeof c->said[i], "%s", text);
            return;
        }
}

bool list_bad(Listing *l, Err *e)
{
    if (!l->skip || e->code != EXIT_DATA)
        return false;
    char text[sizeof l->count.said[0]];
    snprintf(text, sizeof text, "%.150s%s%.80s (%.160s)", e->what, e->got[0] ? ": " : "", e->got, e->where);
    l->count.bad++;
    add_said(&l->count, text);
    *e = (Err){ 0 };
    return true;
}

void list_count_add(ListCount *sum, const ListCount *x)
{
    sum->records += x->records;
    sum->bad += x->bad;
    for (int i = 0; i < PASSED_KINDS; i++)
        if (x->passed[i].n)
            add_passed(sum, x->passed[i].what, x->passed[i].n);
    for (int i = 0; i < BAD_SAID; i++)
        if (x->said[i][0])
            add_said(sum, x->said[i]);
}
