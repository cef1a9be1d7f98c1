#include "io/source/turns.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "io/source/jsonplain.h"

static const char *const lists[] = { "conversations", "conversation", "messages", "texts" };
static const struct { const char *question, *answer[4]; } pairs[] = {
    { "question",    { "answer" } },
    { "prompt",      { "response", "completion", "answer" } },
    { "query",       { "response", "answer" } },
    { "instruction", { "output", "response", "answer" } },
};
static const char *const others[] = { "id", "system", "history", "input", "caption", "text" };
#define COUNT(x) ((int)(sizeof(x) / sizeof *(x)))

static bool is(const char *key, int64_t n, const char *word) { return word && (int64_t)strlen(word) == n && !memcmp(key, word, (size_t)n); }

bool turns_key(const char *key, int64_t n)
{
    bool yes = false;
    for (int i = 0; i < COUNT(lists); i++)
        yes |= is(key, n, lists[i]);
    for (int i = 0; i < COUNT(others); i++)
        yes |= is(key, n, others[i]);
    for (int i = 0; i < COUNT(pairs); i++) {
        yes |= is(key, n, pairs[i].question);
        for (int k = 0; k < COUNT(pairs[i].answer); k++)
            yes |= is(key, n, pairs[i].answer[k]);
    }
    return yes;
}

/* ---- one turn after the other ---- */

typedef enum { NOBODY, SYSTEM, HUMAN, ANSWER } Who;

static Who who_of(const char *name)
{
    static const struct { const char *name; Who who; } table[] = {
        { "human", HUMAN }, { "user", HUMAN },   { "gpt", ANSWER },   { "assistant", ANSWER },
        { "bot", ANSWER },  { "model", ANSWER }, { "system", SYSTEM },
    };
    for (int i = 0; name && i < COUNT(table); i++)
        if (!strcasecmp(name, table[i].name))
            return table[i].who;
    return NOBODY;
}

static void add_question(Turns *t, const char *text)
{
    if (t->n == t->cap) {
        t->cap  = 2 * t->cap + 4;
        t->turn = realloc(t->turn, (size_t)t->cap * sizeof *t->turn);
        CHECK(t->turn, "no memory for a conversation of %d turns", t->cap);
    }
    t->turn[t->n++] = (Turn){ .human = text };
}

/* The next that somebody says. */
static bool say(Turns *t, Who who, const char *text, Err *e)
{
    static const char *const name[] = { [SYSTEM] = "the system", [HUMAN] = "human (or user)", [ANSWER] = "gpt (or assistant)" };
    const bool open = t->n > 0 && !t->turn[t->n - 1].answer;
    if (who == HUMAN && !open)
        add_question(t, text);
    else if (who == ANSWER && open)
        t->turn[t->n - 1].answer = text;
    else if (who == ANSWER && t->n == 0 && !t->answer_first)
        t->answer_first = true;
    else if (who == SYSTEM && t->n == 0 && !t->answer_first && !t->system)
        t->system = text;
    else {
        err_expected(e, "%s", name[open ? ANSWER : HUMAN]);
        err_got(e, "%s", name[who]);
        return err_set(e, EXIT_DATA, "", "", who == SYSTEM ? "a system turn that is not the first" : "human and gpt do not take turns");
    }
    return true;
}

/* ---- texts made of parts ---- */

typedef struct { char *s; size_t n, cap; bool mark; } Said;       /* mark: ends with one */

static void append(Said *x, const char *s)
{
    const size_t n = strlen(s), line = x->mark && (!*s || !strchr(" \n\r\t", *s));
    if (!n)
        return;
    if (x->n + n + 2 > x->cap) {
        x->cap = 2 * (x->n + n) + 64;
        x->s   = realloc(x->s, x->cap);
        CHECK(x->s, "no memory for a turn of %zu bytes", x->cap);
    }
    if (line)
        x->s[x->n++] = '\n';
    memcpy(x->s + x->n, s, n);
    x->n += n;
    x->mark = false;
}

static bool is_picture(const char *type)
{
    return !strcmp(type, "image") || !strcmp(type, "image_url") || !strcmp(type, "input_image") || !strcmp(type, "picture") || !strcmp(type, "img");
}

/* A part that is a picture; where it says which one (an index), this has to be its place. */
static bool add_picture(Said *x, Media *m, Who who, const json_t *part, Err *e)
{
    static const char *const paths[] = { "image", "image_url", "path", "url", "file", "file_name", "image_path", "bytes", "source", "data" };
    const char *index = json_string_value(json_object_get(part, "index"));
    bool named = false;
    if (who != HUMAN)
        return err_set(e, EXIT_DATA, "", "", "a picture in a turn that is no question");
    if (index && atoll(index) != m->parts)
        return err_set(e, EXIT_DATA, "", "", "picture %s of the record is shown as number %d", index, m->parts);
    for (int i = 0; i < COUNT(paths); i++)
        named |= !picture_none(json_object_get(part, paths[i]));
    append(x, "<image>");
    x->mark = true;
    m->parts++;
    return !named || media_add(m, part, e);
}

static bool add_part(Said *x, Media *m, Who who, const json_t *part, Err *e)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const json_t *text = json_is_string(part) ? part : json_object_get(part, "text");
    if (!type)
        type = json_is_string(text) ? "text" : !picture_none(json_object_get(part, "image")) ? "image" : "";
    if (is_picture(type))
        return add_picture(x, m, who, part, e);
    if ((strcmp(type, "text") && strcmp(type, "input_text") && strcmp(type, "output_text")) || !json_is_string(text)) {
        err_expected(e, "parts of type text or image");
        return err_set(e, EXIT_DATA, "", "", *type ? "a part of type \"%.80s\", which asvr does not read" : "a part without a type%s", type);
    }
    append(x, json_string_value(text));
    return media_none(part, "a part of text", e);
}

/* The text of a turn; NULL with e set. */
static const char *text_of(const json_t *j, Media *m, Who who, Err *e)
{
    Said x = { 0 };
    size_t i;
    const json_t *part;
    if (json_is_string(j))
        return json_string_value(j);
    if (!json_is_array(j) || json_array_size(j) == 0) {
        err_set(e, EXIT_DATA, "", "", "a turn without a text");
        return NULL;
    }
    json_array_foreach(j, i, part)
        if (!add_part(&x, m, who, part, e))
            break;
    json_t *own = json_stringn_nocheck(x.s ? x.s : "", x.n);
    CHECK(own && json_array_append_new(m->kept, own) == 0, "no memory for a turn");
    free(x.s);
    return e->code ? NULL : json_string_value(own);
}

/* ---- the forms of a record ---- */

static bool read_turn(Turns *t, const json_t *turn, Media *m, Err *e)
{
    const char *name = json_string_value(json_object_get(turn, "from"));
    const json_t *text = json_object_get(turn, "value"), *user = json_object_get(turn, "user"), *assistant = json_object_get(turn, "assistant");
    if (!name)
        name = json_string_value(json_object_get(turn, "role"));
    if (!text)
        text = json_object_get(turn, "content");
    if (!media_none(turn, "a turn", e))
        return false;
    if (!name && !text && json_is_string(user) && json_is_string(assistant))
        return say(t, HUMAN, json_string_value(user), e) && say(t, ANSWER, json_string_value(assistant), e);
    if (!name || !text)
        return err_set(e, EXIT_DATA, "", "", "a turn without \"from\" and \"value\", or \"role\" and \"content\"");
    const Who who = who_of(name);
    if (who == NOBODY) {
        err_expected(e, "human or user; gpt, assistant, bot or model; system");
        return err_set(e, EXIT_DATA, "", "", "a turn from \"%.80s\", whom asvr does not know", name);
    }
    const char *said = text_of(text, m, who, e);
    return said && say(t, who, said, e);
}

static bool all_keys(const char *key, int64_t n) { return (void)key, (void)n, true; }

/* A list as it stands, or a text that holds it. */
static const json_t *list_of(const json_t *j, const char *key, Media *m, Err *e)
{
    if (json_is_string(j)) {
        JsonPlain plain = { 0 };
        json_plain(&plain, json_string_value(j), (int64_t)json_string_length(j), all_keys);
        json_t *list = plain.depth > 64 ? NULL : json_loadb(plain.text ? plain.text : "", (size_t)plain.n, JSON_REJECT_DUPLICATES, NULL);
        json_plain_free(&plain);
        CHECK(!list || json_array_append_new(m->kept, list) == 0, "no memory for a conversation");
        j = list;
    }
    if (!json_is_array(j))
        err_set(e, EXIT_DATA, "", "", "\"%s\" is not a list of turns", key);
    return json_is_array(j) ? j : NULL;
}

static bool read_list(Turns *t, const json_t *j, const char *key, Media *m, Err *e)
{
    const json_t *list = list_of(j, key, m, e);
    for (size_t i = 0; list && i < json_array_size(list); i++) {
        t->at = (int)i;
        if (!read_turn(t, json_array_get(list, i), m, e))
            return false;
    }
    if (!list)
        return false;
    t->at = -1;
    return t->n > 0 || err_set(e, EXIT_DATA, "", "", "a conversation without a question");
}

/* A text under a key; "" where there is none, NULL with e set where it is something else. */
static const char *text_at(const json_t *record, const char *key, Err *e)
{
    const json_t *j = key ? json_object_get(record, key) : NULL;
    if (!j || json_is_null(j))
        return "";
    if (!json_is_string(j))
        err_set(e, EXIT_DATA, "", "", "\"%s\" is no text", key);
    return json_string_value(j);
}

static bool read_history(Turns *t, const json_t *list, Err *e)
{
    if (picture_none(list))
        return true;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        const char *question = json_string_value(json_array_get(pair, 0)), *answer = json_string_value(json_array_get(pair, 1));
        if (!question || !answer || json_array_size(pair) != 2 || !say(t, HUMAN, question, e) || !say(t, ANSWER, answer, e))
            return err_set(e, EXIT_DATA, "", "", "\"history\" is not a list of pairs of texts");
    }
    return json_is_array(list) || err_set(e, EXIT_DATA, "", "", "\"history\" is not a list of pairs of texts");
}

/* question: the key of one; answer: the keys under which its answer may be. */
static bool read_pair(Turns *t, const json_t *record, const char *question, const char *const *answer, Media *m, Err *e)
{
    const char *asked = text_at(record, question, e), *more = !strcmp(question, "instruction") ? text_at(record, "input", e) : "", *told = NULL;
    for (int k = 0; k < 4 && answer[k]; k++) {
        const char *own = text_at(record, answer[k], e);
        if (own && *own && told && strcmp(own, told))
            return err_set(e, EXIT_DATA, "", "", "\"%s\" has two different answers", question);
        told = own && *own ? own : told;
    }
    if (e->code || !read_history(t, json_object_get(record, "history"), e))
        return false;
    if (*more) {
        Said x = { 0 };
        append(&x, asked);
        append(&x, "\n");
        append(&x, more);
        json_t *own = json_stringn_nocheck(x.s, x.n);
        CHECK(own && json_array_append_new(m->kept, own) == 0, "no memory for a turn");
        free(x.s);
        asked = json_string_value(own);
    }
    return say(t, HUMAN, asked, e) && (!told || say(t, ANSWER, told, e));
}

static bool read_caption(Turns *t, const json_t *record, Err *e)
{
    const char *caption = text_at(record, "caption", e), *text = text_at(record, "text", e);
    if (!caption || !text)
        return false;
    if (*caption && *text && strcmp(caption, text))
        return err_set(e, EXIT_DATA, "", "", "\"caption\" and \"text\" are different captions");
    t->caption = true;
    return say(t, HUMAN, "", e) && say(t, ANSWER, *caption ? caption : text, e);
}

static bool no_turns(const json_t *record, Err *e)
{
    const char *key;
    json_t *value;
    char keys[200] = "";
    json_object_foreach((json_t *)record, key, value)
        snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s%.40s", keys[0] ? ", " : "", json_plain_key(key));
    err_expected(e, "\"conversations\" or \"messages\"; \"question\" and \"answer\"; \"prompt\" and \"response\"; \"instruction\" and \"output\"; \"caption\"");
    err_got(e, "%s", keys);
    return err_set(e, EXIT_DATA, "", "", "a record without a conversation");
}

static bool read_form(Turns *t, const json_t *record, Media *m, Err *e)
{
    const char *list = NULL;
    int pair = -1;
    for (int i = 0; i < COUNT(lists); i++)
        if (!picture_none(json_object_get(record, lists[i]))) {
            if (list)
                return err_set(e, EXIT_DATA, "", "", "two conversations, \"%s\" and \"%s\"", list, lists[i]);
            list = lists[i];
        }
    if (list)
        return read_list(t, json_object_get(record, list), list, m, e);
    for (int i = 0; i < COUNT(pairs); i++)
        if (!picture_none(json_object_get(record, pairs[i].question))) {
            if (pair >= 0)
                return err_set(e, EXIT_DATA, "", "", "two questions, \"%s\" and \"%s\"", pairs[pair].question, pairs[i].question);
            pair = i;
        }
    if (pair >= 0)
        return read_pair(t, record, pairs[pair].question, pairs[pair].answer, m, e);
    if (!picture_none(json_object_get(record, "caption")) || !picture_none(json_object_get(record, "text")))
        return read_caption(t, record, e);
    return no_turns(record, e);
}

bool turns_read(Turns *t, const json_t *record, Media *m, Err *e)
{
    *t = (Turns){ .turn = t->turn, .cap = t->cap, .at = -1 };
    if (!read_form(t, record, m, e))
        return false;
    const char *system = text_at(record, "system", e);
    if (system && *system && t->system && strcmp(system, t->system))
        return err_set(e, EXIT_DATA, "", "", "\"system\" and the system turn say different things");
    if (system && *system)
        t->system = system;
    return system != NULL;
}

void turns_free(Turns *t)
{
    free(t->turn);
    *t = (Turns){ 0 };
}
