/*
 * prompts.c -- what prompt_build and jinja.h say, for tests/peers/templates.py
 *
 *     prompts FOLDER [TEXT.MODEL] <requests    one JSON a line
 *         {"template", "system", "images", "turns": [[human, answer or null]...], "spelt"}
 *                                 -> {"text"}: the ids decoded, marks, BOS, EOS and pictures written out; {"ids"} of TEXT.MODEL
 *         {"write": template, "system", "spelt"}  -> {"jinja", "name", "system"}
 *         {"jinja": text}         -> {"template": name or null, "system": text or null, "hash"}
 *
 * Text models are trained in FOLDER: one with the marks of each template as ids, one without; or all are TEXT.MODEL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/text/jinja.h"
#include "io/text/prompt.h"

#define NAMES(s) json_string_value(json_object_get(r, s))

static Text *model(const char *folder, const char *marks)
{
    char corpus[300], path[300];
    Err e = { 0 };
    snprintf(corpus, sizeof corpus, "%s/corpus", folder);
    snprintf(path, sizeof path, "%s/model", folder);
    FILE *f = fopen(corpus, "w");
    CHECK(f, "cannot write %s", corpus);
    for (int i = 0; i < 40; i++)
        fprintf(f, "USER: What is on the %s? ASSISTANT: A %s cat.\n", i % 2 ? "left" : "right", i % 3 ? "red" : "big");
    fclose(f);
    text_train(corpus, 400, marks, path, &e);
    Text *t = text_open(path, &e);
    CHECK(t, "%s", e.what);
    return t;
}

/* The ids as a text; "|" stands in front, for decode drops a space at the beginning. */
static char *show(const Text *t, int kind, const Prompt *p)
{
    char marks[256];
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);
    int32_t one[8];
    const int a = text_encode(t, "|", 1, one, 4, &(Err){ 0 });
    int32_t *run = calloc((size_t)p->n + 8, sizeof *run);
    char *s = malloc((size_t)p->n * 64 + 64);
    CHECK(f && run && s, "no memory");
    int k = 0;
    bool fresh = true;
    for (int i = 0; i <= p->n; i++) {
        const int id = i < p->n ? p->tokens[i] : -1;
        const char *word = id == IMAGE_TOKEN ? "<image>" : id == text_bos(t) ? "<s>" : id == text_eos(t) ? "</s>" : NULL;
        char name[64] = "";
        snprintf(marks, sizeof marks, "%s,%s", templates[kind].marks ? templates[kind].marks : "", templates[kind].also ? templates[kind].also : "");
        for (char *m = strtok(marks, ","); m && !word; m = strtok(NULL, ","))
            if (id >= 0 && text_symbol(t, m) == id)
                snprintf(name, sizeof name, "%s", m);
        if (!word && name[0])
            word = name;
        if (i < p->n && !word) {
            run[k++] = id;
            continue;
        }
        memmove(run + a, run, (size_t)k * sizeof *run);
        memcpy(run, one, (size_t)a * sizeof *run);
        text_decode(t, run, a + k, s, p->n * 64 + 64);
        fputs(s + 1 + (fresh && k > 0), f);         /* where text begins anew, SentencePiece puts a space in front of it */
        fputs(word ? word : "", f);
        fresh = id == text_bos(t) || (fresh && k == 0 && id == IMAGE_TOKEN);
        k = 0;
    }
    fclose(f);
    free(run);
    free(s);
    return out;
}

static json_t *ids_of(const Prompt *p)
{
    json_t *list = json_array();
    for (int i = 0; i < p->n; i++)
        json_array_append_new(list, json_integer(p->tokens[i]));
    return json_pack("{s:o}", "ids", list);
}

static json_t *render(Text *const *ids, const Text *plain, const json_t *r)
{
    const int kind = template_find(NAMES("template"));
    CHECK(kind >= 0, "no template %s", NAMES("template"));
    Turn turn[64];
    const json_t *pair;
    size_t i;
    json_array_foreach(json_object_get(r, "turns"), i, pair)
        turn[i] = (Turn){ json_string_value(json_array_get(pair, 0)), json_string_value(json_array_get(pair, 1)) };
    const Talk talk = { turn, (int)i, (int)json_integer_value(json_object_get(r, "images")), NAMES("system") };
    const Text *t = json_is_true(json_object_get(r, "spelt")) ? plain : ids[kind];
    Prompt p = { 0 };
    Err e = { 0 };
    if (!prompt_build(&p, t, kind, &talk, &e))
        return json_pack("{s:s}", "error", e.what);
    char *text = t == plain && ids[kind] == plain ? NULL : show(t, kind, &p);
    json_t *o = text ? json_pack("{s:s}", "text", text) : ids_of(&p);
    free(text);
    prompt_free(&p);
    return o;
}

static json_t *written(Text *const *ids, const Text *plain, const json_t *r)
{
    const int kind = template_find(NAMES("write"));
    CHECK(kind >= 0, "no template %s", NAMES("write"));
    char *jinja = jinja_write(kind, NAMES("system"), json_is_true(json_object_get(r, "spelt")) ? plain : ids[kind]);
    json_t *o = json_pack("{s:s,s:s}", "jinja", jinja, "system", templates[kind].system);
    free(jinja);
    return o;
}

static json_t *recognised(const json_t *r)
{
    char *system;
    const int kind = jinja_known(NAMES("jinja"), strlen(NAMES("jinja")), &system);
    json_t *o = json_pack("{s:s?,s:s?}", "template", kind < 0 ? NULL : templates[kind].name, "system", system);
    free(system);
    return o;
}

int main(int n, char **args)
{
    static char line[4 << 20];
    Err e = { 0 };
    CHECK(n > 1, "prompts FOLDER [TEXT.MODEL]");
    Text *ids[TEMPLATES], *plain = n > 2 ? text_open(args[2], &e) : model(args[1], NULL);
    CHECK(plain, "%s", e.what);
    for (int i = 0; i < TEMPLATES; i++) {
        ids[i] = plain;
        if (n > 2)
            continue;
        char marks[256];
        const Template *x = &templates[i];
        snprintf(marks, sizeof marks, "%s%s%s", x->marks ? x->marks : "", x->also ? "," : "", x->also ? x->also : "");
        ids[i] = model(args[1], marks[0] ? marks : NULL);
    }
    while (fgets(line, sizeof line, stdin)) {
        json_t *r = json_loads(line, 0, NULL);
        CHECK(r, "no JSON: %.100s", line);
        json_t *o = json_object_get(r, "jinja") ? recognised(r) : json_object_get(r, "write") ? written(ids, plain, r) : render(ids, plain, r);
        json_dumpf(o, stdout, JSON_COMPACT);
        printf("\n");
        fflush(stdout);
        json_decref(o);
        json_decref(r);
    }
    return 0;
}
