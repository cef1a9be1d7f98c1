/* jinjafolder.c -- the chat template that lies in a text model's folder (jinja.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "io/base/files.h"
#include "io/text/jinja.h"

#define HINT "set data.template to one of `asvr help options`"

/* The text of "chat_template": itself, or of a list the one called "default"; NULL: there is none. */
static const char *template_text(const json_t *root)
{
    const json_t *value = json_object_get(root, "chat_template"), *one;
    size_t i;
    if (json_is_string(value))
        return json_string_value(value);
    json_array_foreach(value, i, one)
        if (strcmp(json_string_value(json_object_get(one, "name")) ? json_string_value(json_object_get(one, "name")) : "", "default") == 0)
            return json_string_value(json_object_get(one, "template"));
    return NULL;
}

/* The chat template of a JSON file; NULL: e is set, or it has none.  Whole numbers of any size are read: model_max_length often
   has 30 digits. */
static char *from_json(const char *path, Err *e)
{
    char *bytes, *text = NULL;
    size_t n;
    json_error_t why;
    if (!file_read(path, 8 * (size_t)JINJA_BYTES, &bytes, &n, e))
        return NULL;
    json_t *root = json_loadb(bytes, n, JSON_DECODE_INT_AS_REAL, &why);
    free(bytes);
    if (!root) {
        err_set(e, EXIT_DATA, path, "", "this is no JSON: line %d: %s", why.line, why.text);
        return NULL;
    }
    const char *found = template_text(root);
    if (found) {
        text = strdup(found);
        CHECK(text, "no memory for a chat template");
    }
    json_decref(root);
    return text;
}

/* The folder's chat template and its file; NULL: e is set. */
static char *read_template(const char *folder, char path[PATH_ROOM], Err *e)
{
    static const char *const files[] = { "chat_template.jinja", "chat_template.json", "tokenizer_config.json" };
    for (int i = 0; i < 3 && !e->code; i++) {
        char *text = NULL;
        size_t n;
        if (!path_set(path, e, "%s/%s", folder, files[i]) || access(path, F_OK) != 0)
            continue;
        if (i == 0)
            file_read(path, JINJA_BYTES, &text, &n, e);
        else
            text = from_json(path, e);
        if (text)
            return text;
    }
    if (e->code)
        return NULL;
    err_expected(e, "chat_template.jinja, chat_template.json or tokenizer_config.json with \"chat_template\"");
    err_set(e, EXIT_CONFIG, folder, HINT, "data.template = \"auto\", and the text model's folder has no chat template");
    return NULL;
}

/* How many of a list's words a text has, and of how many. */
static void count_words(const char *list, const char *text, int *has, int *of)
{
    char word[64];
    for (size_t n; list && *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, list);
        *has += strstr(text, word) != NULL;
        ++*of;
    }
}

/* The template whose marks, or words, the text has; its system prompt decides between several.  -1: it has none's. */
static int nearest(const char *text)
{
    int best = -1;
    double most = 0;
    for (int i = TEMPLATE_V1; i < TEMPLATES; i++) {
        const Template *x = &templates[i];
        int has = 0, of = 0;
        count_words(x->marks, text, &has, &of);
        count_words(x->also, text, &has, &of);
        if (!x->marks) {
            count_words(x->human, text, &has, &of);
            count_words(x->answer, text, &has, &of);
            if (strstr(x->close, "SYS"))
                count_words("<<SYS>>", text, &has, &of);
        }
        if (has == 0)
            continue;
        const bool says = x->system[0] && strstr(text, x->system);
        const double score = (double)has / of + 0.01 * of * (has == of) + 0.2 * says - 0.1 * (x->system[0] && !says);
        if (score > most) {
            most = score;
            best = i;
        }
    }
    return best;
}

int jinja_find(const char *folder, char **system, Err *e)
{
    char path[PATH_ROOM];
    *system = NULL;
    char *text = read_template(folder, path, e);
    if (!text)
        return -1;
    const int kind = jinja_known(text, strlen(text), system), near = kind < 0 ? nearest(text) : -1;
    free(text);
    if (kind >= 0)
        return kind;
    if (near >= 0)
        err_got(e, "one whose words are nearest to those of template \"%s\"", templates[near].name);
    else
        err_got(e, "one that has the words of none");
    err_expected(e, "one of the chat templates that are known to render as one of data.template does");
    err_set(e, EXIT_CONFIG, path, near >= 0 ? "if that is what it renders, set data.template to it; docs/FORMATS.md, Templates"
                                            : HINT "; docs/FORMATS.md, Templates",
            "data.template = \"auto\", and the text model's chat template is unknown");
    return -1;
}
