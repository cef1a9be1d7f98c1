#include "launch/serve/chatrequest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "launch/serve/dataurl.h"

static const char image_mark[] = "<image>";

/* ---- before it is JSON: how deep, how many values ---- */

static bool scan(const char *s, size_t n, Refusal *why)
{
    int depth = 0, values = 0;
    bool text = false;
    for (size_t i = 0; i < n; i++) {
        const char c = s[i];
        if (text && c == '\\') {
            i++;
        } else if (c == '"') {
            text = !text;
        } else if (!text) {
            depth += (c == '[' || c == '{') - (c == ']' || c == '}');
            values += c == '[' || c == '{' || c == ',';
        }
        if (depth > CHAT_DEPTH)
            return refuse(why, 400, "invalid_json", "", "the body is nested deeper than %d", CHAT_DEPTH);
        if (values > CHAT_VALUES)
            return refuse(why, 400, "invalid_json", "", "the body has more than %d values", CHAT_VALUES);
    }
    return true;
}

static json_t *parse(const char *body, size_t n, Refusal *why)
{
    json_error_t at;
    if (!scan(body, n, why))
        return NULL;
    json_t *root = json_loadb(body, n, JSON_REJECT_DUPLICATES, &at);
    if (!root)
        refuse(why, 400, "invalid_json", "", "the body is no JSON: %s (line %d, column %d)", at.text, at.line, at.column);
    else if (!json_is_object(root))
        refuse(why, 400, "invalid_json", "", "the body must be an object");
    if (!why->status)
        return root;
    json_decref(root);
    return NULL;
}

/* ---- one message's text ---- */

typedef struct { char *s; size_t n, cap; bool mark; } Said;        /* mark: ends with one */

static void append(Said *x, const char *s)
{
    const size_t n = strlen(s);
    if (x->n + n + 2 > x->cap) {
        x->cap = 2 * (x->n + n) + 64;
        x->s   = realloc(x->s, x->cap);
        CHECK(x->s, "no memory for a message of %zu bytes", x->cap);
    }
    if (n && x->mark && !strchr(" \n\r\t", *s))
        x->s[x->n++] = '\n';
    memcpy(x->s + x->n, s, n);
    x->n += n;
    x->s[x->n] = '\0';
    x->mark &= n == 0;
}

static int count_marks(const char *s)
{
    int n = 0;
    for (; (s = strstr(s, image_mark)); s += sizeof image_mark - 1)
        n++;
    return n;
}

typedef struct {
    ChatRequest *a;
    const ChatLimits *l;
    Refusal *why;
    int      at, text_only;        /* the message; of those before it one that has marks and no pictures, or -1 */
    size_t   text;                 /* bytes so far */
} Reader;

enum { PLACE = 96 };

static bool bad(Reader *r, int part, const char *code, const char *what)
{
    char place[PLACE];
    snprintf(place, sizeof place, part < 0 ? "messages[%d].content" : "messages[%d].content[%d]", r->at, part);
    return refuse(r->why, 400, code, place, "%s: %s", place, what);
}

static bool add_picture(Reader *r, const json_t *part, int i)
{
    ChatRequest *a = r->a;
    const json_t *image = json_object_get(part, "image_url"), *url = json_is_string(image) ? image : json_object_get(image, "url");
    ChatImage got;
    if (!json_is_string(url))
        return bad(r, i, "invalid_type", "a part of type \"image_url\" has {\"url\": \"data:image/png;base64,...\"}");
    snprintf(got.where, sizeof got.where, "messages[%d].content[%d]", r->at, i);
    switch (dataurl_read(json_string_value(url), json_string_length(url), &got.bytes, &got.n)) {
    case DATA_GIVEN:  break;
    case DATA_FETCH:  return bad(r, i, "invalid_image_url", "this server fetches nothing: send the picture itself, as data:image/png;base64,...");
    case DATA_OTHER:  return bad(r, i, "invalid_image_url", "a picture is a URL of the form data:image/png;base64,...");
    case DATA_BROKEN: return bad(r, i, "invalid_image_url", "what follows \"base64,\" is no base64");
    case DATA_EMPTY:  return bad(r, i, "invalid_image_url", "there is nothing behind \"base64,\"");
    }
    a->image = realloc(a->image, (size_t)(a->images + 1) * sizeof *a->image);
    CHECK(a->image, "no memory for %d pictures", a->images + 1);
    a->image[a->images++] = got;
    return true;
}

static const char *type_of(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return type ? type : "";
}

static bool is_picture(const json_t *part) { return !strcmp(type_of(part), "image_url"); }

/* Its parts, each of a type that is read here: how many pictures, how many marks in its texts. */
static bool judge_parts(Reader *r, const json_t *content, bool user, int *pictures, int *marks)
{
    size_t i;
    const json_t *part;
    *pictures = *marks = 0;
    json_array_foreach(content, i, part) {
        const char *text = json_string_value(json_object_get(part, "text"));
        if (is_picture(part) && user)
            ++*pictures;
        else if (is_picture(part))
            return bad(r, (int)i, "invalid_value", "pictures are of users' messages alone");
        else if (strcmp(type_of(part), "text"))
            return bad(r, (int)i, "unsupported_content", "parts are of type \"text\" or \"image_url\"");
        else if (!text)
            return bad(r, (int)i, "invalid_type", "a part of type \"text\" has a text");
        else
            *marks += count_marks(text);
    }
    return r->a->images + *pictures <= r->l->max_images ||
           refuse(r->why, 400, "too_many_images", "messages", "the messages have more than %d picture%s", r->l->max_images, r->l->max_images == 1 ? "" : "s");
}

static bool counted(Reader *r, const Said *x)
{
    r->text += x->n;
    return r->text <= r->l->max_text ||
           refuse(r->why, 400, "context_length_exceeded", "messages", "the messages have more than %zu bytes of text", r->l->max_text);
}

/* Has it a text in front of it, and one behind? */
static bool between_texts(const json_t *content, size_t at)
{
    bool before = false, behind = false;
    for (size_t i = 0; i < json_array_size(content); i++)
        if (!is_picture(json_array_get(content, i)))
            *(i < at ? &before : &behind) = true;
    return before && behind;
}

static bool write_picture(Reader *r, const json_t *content, size_t i, Said *x)
{
    if (!add_picture(r, json_array_get(content, i), (int)i))
        return false;
    append(x, image_mark);
    return x->mark = true;
}

/* With marks in the texts pictures are their own order; else those that stand between texts stay there, and the others come first. */
static bool write_parts(Reader *r, const json_t *content, int marks, Said *x)
{
    const size_t n = json_array_size(content);
    for (size_t i = 0; i < n; i++)
        if (is_picture(json_array_get(content, i)) && (marks ? !add_picture(r, json_array_get(content, i), (int)i)
                                                             : !between_texts(content, i) && !write_picture(r, content, i, x)))
            return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *part = json_array_get(content, i);
        if (!is_picture(part))
            append(x, json_string_value(json_object_get(part, "text")));
        else if (!marks && between_texts(content, i) && !write_picture(r, content, i, x))
            return false;
    }
    return true;
}

/* A message's content as one text; *out is to be freed in any case. */
static bool read_content(Reader *r, const json_t *content, bool user, char **out)
{
    Said x = { 0 };
    int pictures = 0, marks;
    append(&x, "");
    *out = x.s;
    if (json_is_string(content)) {
        append(&x, json_string_value(content));
        marks = count_marks(x.s);
    } else if (!json_is_array(content)) {
        return bad(r, -1, "invalid_type", "a message's content is a text, or a list of parts");
    } else if (!judge_parts(r, content, user, &pictures, &marks)) {
        return false;
    }
    if (json_is_array(content) && !write_parts(r, content, marks, &x))
        return *out = x.s, false;
    *out = x.s;
    if (user && pictures && marks && marks != pictures)
        return bad(r, -1, "invalid_value", "\"<image>\" is the place of a picture: it stands in the texts as often as there are pictures, or not at all");
    if (user && !pictures && marks)
        r->text_only = r->at;
    return counted(r, &x);
}

/* ---- who says it ---- */

static bool add_system(Reader *r, char *text)
{
    ChatRequest *a = r->a;
    Said x = { 0 };
    if (a->turns)
        return free(text), refuse(r->why, 400, "invalid_value", "messages", "messages[%d]: a system message stands in front of all others", r->at);
    if (!a->system)
        return a->system = text, true;
    append(&x, a->system);
    append(&x, "\n");
    append(&x, text);
    free(text);
    free(a->system);
    a->system = x.s;
    return true;
}

static bool add_turn(Reader *r, bool user, char *text)
{
    ChatRequest *a = r->a;
    const bool open = a->turns > 0 && !a->turn[a->turns - 1].answer;
    if (user == open)
        return free(text), refuse(r->why, 400, "invalid_value", "messages", "messages[%d]: user and assistant take turns; here %s is next", r->at,
                                  open ? "an assistant" : "a user");
    if (user) {
        a->turn = realloc(a->turn, (size_t)(a->turns + 1) * sizeof *a->turn);
        CHECK(a->turn, "no memory for %d turns", a->turns + 1);
        a->turn[a->turns++] = (Turn){ text, NULL };
    } else {
        a->turn[a->turns - 1].answer = text;
    }
    return true;
}

static bool read_message(Reader *r, const json_t *m)
{
    const char *role = json_string_value(json_object_get(m, "role")), *key;
    json_t *v;
    char *text = NULL;
    const bool user = role && !strcmp(role, "user"), assistant = role && !strcmp(role, "assistant");
    const bool first = role && (!strcmp(role, "system") || !strcmp(role, "developer"));
    if (!user && !assistant && !first)
        return refuse(r->why, 400, "invalid_value", "messages", "messages[%d]: its role must be \"system\", \"user\" or \"assistant\"%s", r->at,
                      role && (!strcmp(role, "tool") || !strcmp(role, "function")) ? "; there are no tools here" : "");
    json_object_foreach((json_t *)(uintptr_t)m, key, v)
        if (strcmp(key, "role") && strcmp(key, "content") && strcmp(key, "name") && !json_is_null(v) && !(json_is_array(v) && !json_array_size(v)))
            return refuse(r->why, 400, "unsupported_parameter", "messages", "messages[%d]: \"%.80s\" of a message is not read by this server", r->at, key);
    if (!read_content(r, json_object_get(m, "content"), user, &text)) {
        free(text);
        return false;
    }
    return first ? add_system(r, text) : add_turn(r, user, text);
}

static bool read_messages(ChatRequest *a, const json_t *list, const ChatLimits *l, Refusal *why)
{
    Reader r = { .a = a, .l = l, .why = why, .text_only = -1 };
    if (!json_is_array(list) || json_array_size(list) == 0)
        return refuse(why, 400, "invalid_type", "messages", "messages must be a list of at least one message");
    for (size_t i = 0; i < json_array_size(list); i++) {
        r.at = (int)i;
        if (!read_message(&r, json_array_get(list, i)))
            return false;
    }
    if (a->turns == 0 || a->turn[a->turns - 1].answer)
        return refuse(why, 400, "invalid_value", "messages", "the last message must be a user's: it is what is answered");
    if (r.text_only >= 0 && a->images)
        return refuse(why, 400, "invalid_value", "messages", "messages[%d]: \"<image>\" is the place of a picture, and this message has none", r.text_only);
    return true;
}

bool chatrequest_read(ChatRequest *a, const char *body, size_t n, const ChatLimits *l, Refusal *why)
{
    *a = (ChatRequest){ 0 };
    json_t *root = parse(body, n, why);
    const bool ok = root && chatrequest_keys(a, root, l, why) && read_messages(a, json_object_get(root, "messages"), l, why);
    json_decref(root);
    if (!ok)
        chatrequest_free(a);
    return ok;
}

void chatrequest_free(ChatRequest *a)
{
    for (int i = 0; i < a->turns; i++) {
        free((char *)(uintptr_t)a->turn[i].human);
        free((char *)(uintptr_t)a->turn[i].answer);
    }
    for (int i = 0; i < a->images; i++)
        free(a->image[i].bytes);
    for (int i = 0; i < a->stops; i++)
        free(a->stop[i]);
    free(a->turn);
    free(a->image);
    free(a->system);
    *a = (ChatRequest){ 0 };
}
