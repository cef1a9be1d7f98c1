#include "io/source/asked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

static const char *const keys[] = { "answer", "choices", "task" };
enum { ANSWER, CHOICES, TASK, KEYS };

static const char INSTRUCTION[] = "Answer with the option's letter from the given choices directly.";

static const char LETTER[ASKED_CHOICES][2] = { "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M",
                                               "N", "O", "P", "Q", "R", "S", "T", "U", "V", "W", "X", "Y", "Z" };

bool asked_key(const char *key, int64_t n)
{
    for (int i = 0; i < KEYS; i++)
        if ((int64_t)strlen(keys[i]) == n && !memcmp(keys[i], key, (size_t)n))
            return true;
    return false;
}

/* ---- what the record says ---- */

/* Without the blanks around it; kept. */
static const char *trimmed(const char *s, json_t *kept)
{
    size_t n = strlen(s += strspn(s, " \t\r\n"));
    while (n > 0 && strchr(" \t\r\n", s[n - 1]))
        n--;
    json_t *own = json_stringn_nocheck(s, n);
    CHECK(own && json_array_append_new(kept, own) == 0, "no memory for an answer");
    return json_string_value(own);
}

static int letter_index(const char *s)
{
    const char c = (char)(s[0] & ~0x20);
    return s[0] && !s[1] && c >= 'A' && c <= 'Z' ? c - 'A' : -1;
}

static bool add_choice(Asked *a, int letter, const json_t *text, json_t *kept, Err *e)
{
    const char *s = json_is_string(text) ? trimmed(json_string_value(text), kept) : "";
    if (!*s)
        return err_set(e, EXIT_DATA, "", "", "\"choices\" has an entry that is no text");
    if (a->choices == ASKED_CHOICES)
        return err_set(e, EXIT_DATA, "", "", "\"choices\" has more than %d entries", ASKED_CHOICES);
    a->letter[a->choices] = LETTER[letter][0];
    a->choice[a->choices++] = s;
    return true;
}

static bool read_choices(Asked *a, const json_t *j, json_t *kept, Err *e)
{
    const char *key;
    json_t *value;
    size_t i;
    if (picture_none(j))
        return true;
    if (!json_is_array(j) && !json_is_object(j)) {
        err_expected(e, "a list of texts, or an object of letters and texts");
        return err_set(e, EXIT_DATA, "", "", "\"choices\" is neither");
    }
    json_array_foreach(j, i, value)
        if (!add_choice(a, (int)min64((int64_t)i, ASKED_CHOICES - 1), value, kept, e))
            return false;
    json_object_foreach((json_t *)(uintptr_t)j, key, value) {
        const int at = letter_index(key);
        for (int k = 0; k < a->choices && at >= 0; k++)
            if (a->letter[k] == LETTER[at][0])
                return err_set(e, EXIT_DATA, "", "", "\"choices\" has the letter %s twice", LETTER[at]);
        if (at < 0)
            return err_set(e, EXIT_DATA, "", "", "\"choices\" has the key \"%.40s\", which is no letter", key);
        if (!add_choice(a, at, value, kept, e))
            return false;
    }
    return a->choices > 1 || err_set(e, EXIT_DATA, "", "", "\"choices\" has one entry: there is nothing to choose");
}

/* Which choice a right answer means: its letter, or its text. */
static const char *letter_of(const Asked *a, const char *s, Err *e)
{
    const int at = letter_index(s);
    int found = -1, n = 0;
    for (int k = 0; k < a->choices; k++)
        if (at >= 0 && a->letter[k] == LETTER[at][0])
            return LETTER[at];
    for (int k = 0; k < a->choices; k++)
        if (!strcasecmp(a->choice[k], s))
            found = k, n++;
    if (n == 1)
        return LETTER[a->letter[found] - 'A'];
    err_expected(e, "a letter (%c to %c), or the text of one choice", a->letter[0], a->letter[a->choices - 1]);
    err_got(e, "\"%.80s\"", s);
    err_set(e, EXIT_DATA, "", n || strspn(s, "0123456789") != strlen(s) ? "" : "numbers that count the choices are not read, for nobody says from where",
            n ? "\"answer\" is the text of %d choices" : "\"answer\" is not among the choices", n);
    return NULL;
}

static bool add_right(Asked *a, const json_t *text, json_t *kept, Err *e)
{
    if (!json_is_string(text)) {
        err_expected(e, "a text, or a list of texts");
        return err_set(e, EXIT_DATA, "", "", "\"answer\" is no text");
    }
    const char *s = trimmed(json_string_value(text), kept);
    if (!*s)
        return true;
    if (a->choices && !(s = letter_of(a, s, e)))
        return false;
    for (int k = 0; k < a->n; k++)
        if (!strcmp(a->right[k], s))
            return true;
    if (a->n == ASKED_RIGHT)
        return err_set(e, EXIT_DATA, "", "", "\"answer\" has more than %d different texts", ASKED_RIGHT);
    a->right[a->n++] = s;
    return true;
}

/* Names stand in a list with commas, and in a table. */
static bool read_task(Asked *a, const json_t *j, json_t *kept, bool asked, Err *e)
{
    const char *s = json_is_string(j) ? trimmed(json_string_value(j), kept) : "";
    bool good = strlen(s) <= ASKED_TASK_BYTES && (*s || picture_none(j));
    for (const char *c = s; *c; c++)
        good = good && *c != ',' && (unsigned char)*c >= ' ';
    if (good && *s)
        a->task = s;
    if (good || !asked)
        return true;
    err_expected(e, "a text of at most %d bytes without commas", ASKED_TASK_BYTES);
    return err_set(e, EXIT_DATA, "", "", "\"task\" is no name of a task");
}

bool asked_read(Asked *a, json_t *record, json_t *kept, Err *e)
{
    const json_t *answer = json_object_get(record, "answer"), *one;
    size_t i;
    *a = (Asked){ 0 };
    if (picture_none(answer) || (json_is_string(answer) && !*trimmed(json_string_value(answer), kept)))
        return read_task(a, json_object_get(record, "task"), kept, false, e);
    if (!read_task(a, json_object_get(record, "task"), kept, true, e) || !read_choices(a, json_object_get(record, "choices"), kept, e))
        return false;
    if (!json_is_array(answer))
        add_right(a, answer, kept, e);
    json_array_foreach(answer, i, one)
        if (!add_right(a, one, kept, e))
            break;
    if (!e->code && a->n == 0)
        err_set(e, EXIT_DATA, "", "", "\"answer\" is a list without a text");
    if (e->code)
        return false;
    if (json_is_array(answer) || a->choices)
        CHECK(json_object_set_new(record, "answer", json_string(a->right[0])) == 0, "no memory for an answer");
    return true;
}

/* ---- the last turn ---- */

/* "A. cat", "A) cat" or "(A) cat" of each choice. */
static bool shows(const Asked *a, const char *question)
{
    static const char *const form[] = { "%c. %s", "%c) %s" };
    for (int k = 0; k < a->choices; k++) {
        const size_t room = strlen(a->choice[k]) + 8;
        char *text = malloc(room);
        bool found = false;
        CHECK(text, "no memory for a choice");
        for (int i = 0; i < 2; i++) {
            snprintf(text, room, i ? form[1] : form[0], a->letter[k], a->choice[k]);
            found |= strstr(question, text) != NULL;
        }
        free(text);
        if (!found)
            return false;
    }
    return true;
}

/* How many bytes of the question come before pictures at its end, which stay there. */
static size_t before_pictures(const char *s)
{
    static const char mark[] = "<image>";
    size_t n = strlen(s), text = n;
    for (;;) {
        while (n > 0 && strchr(" \t\r\n", s[n - 1]))
            n--;
        if (n < sizeof mark - 1 || memcmp(s + n - (sizeof mark - 1), mark, sizeof mark - 1))
            return n == 0 ? strlen(s) : text;
        n -= sizeof mark - 1;
        text = n;
        while (text > 0 && strchr(" \t\r\n", s[text - 1]))
            text--;
    }
}

void asked_put(const Asked *a, Turns *t, json_t *kept)
{
    Turn *last = &t->turn[t->n - 1];
    if (a->n == 0 || t->caption)
        return;
    if (!last->answer)
        last->answer = a->right[0];
    if (!a->choices || shows(a, last->human))
        return;
    char *text;
    size_t n;
    const size_t before = before_pictures(last->human);
    FILE *f = open_memstream(&text, &n);
    CHECK(f, "no memory for a question");
    fprintf(f, "%.*s", (int)before, last->human);
    for (int k = 0; k < a->choices; k++)
        fprintf(f, "\n%c. %s", a->letter[k], a->choice[k]);
    fprintf(f, "\n%s%s", INSTRUCTION, last->human + before);
    fclose(f);
    json_t *own = json_stringn_nocheck(text, n);
    CHECK(own && json_array_append_new(kept, own) == 0, "no memory for a question");
    free(text);
    last->human = json_string_value(own);
    last->answer = a->right[0];
}

char *asked_members(const json_t *object)
{
    char *text;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    CHECK(f, "no memory for a record");
    for (int i = 0; i < KEYS; i++) {
        const json_t *j = json_object_get(object, keys[i]);
        char *value = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        if (value)
            fprintf(f, ",\"%s\":%s", keys[i], value);
        free(value);
    }
    fclose(f);
    return text;
}
