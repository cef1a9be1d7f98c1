/*
 * fuzz_jinja.c -- any bytes as a chat template, and as the tokenizer_config.json that holds one
 *
 * Laws   a text is one of our templates or none; where it says another system prompt, writing that one again gives the same text, but for
 *        its line ends and the blanks at its ends; other texts say none
 *        a file has a known template, or is refused in one of the ways that jinja.h names
 *        a template of ours with the bytes as its system prompt, to the first zero, is recognised, with that prompt
 */
#include <ctype.h>

#include "io/text/jinja.h"
#include "tests/fuzz/fuzz.h"

/* The same letters, whatever the blanks. */
static bool same_letters(const char *a, const char *b, size_t n)
{
    size_t j = 0;
    for (size_t i = 0; i < n; i++) {
        if (!b[i] || isspace((unsigned char)b[i]))
            continue;
        while (isspace((unsigned char)a[j]))
            j++;
        if (a[j++] != b[i])
            return false;
    }
    return true;
}

static void as_template(const char *text, size_t n)
{
    char *system;
    const int kind = jinja_known(text, n, &system);
    LAW(kind >= -1 && kind < TEMPLATES, "template %d", kind);
    if (system) {
        LAW(kind > TEMPLATE_PLAIN, "a system prompt of template %d", kind);
        char *again = jinja_write(kind, system, NULL);
        char *other;
        LAW(jinja_known(again, strlen(again), &other) == kind && other && !strcmp(other, system), "another system prompt");
        if (strstr(again, "bos_token") && memmem(text, n, "bos_token", 9))
            LAW(same_letters(again, text, n), "another text is taken for ours");
        free(other);
        free(again);
    }
    free(system);
}

static void as_prompt(const char *prompt, int kind)
{
    char *jinja = jinja_write(kind, prompt, NULL), *system;
    LAW(jinja_known(jinja, strlen(jinja), &system) == kind, "our template %d is unknown", kind);
    const char *said = system ? system : templates[kind].system;
    LAW(kind == TEMPLATE_PLAIN || !strcmp(said, prompt), "another system prompt");
    free(system);
    free(jinja);
}

static void as_file(const uint8_t *data, size_t n)
{
    static char dir[32];
    char path[PATH_ROOM], *system;
    Err e = { 0 };
    if (!dir[0])
        CHECK(mkdtemp(strcpy(dir, "/tmp/fuzz-jinja-XXXXXX")), "no folder");
    path_set(path, &e, "%s/tokenizer_config.json", dir);
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(data, 1, n, f) == n && fclose(f) == 0, "cannot write %s", path);
    const int kind = jinja_find(dir, &system, &e);
    if (kind < 0)
        LAW((e.code == EXIT_DATA || e.code == EXIT_CONFIG) && e.what[0] && !system, "refused with %d: %s", e.code, e.what);
    else
        LAW(kind < TEMPLATES && !e.code, "template %d, error %d", kind, e.code);
    free(system);
    unlink(path);
    rmdir(dir);
    dir[0] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    CHECK(text, "no memory");
    memcpy(text, data, size);
    text[size] = '\0';
    as_template(text, size);
    as_prompt(text, size ? data[0] % TEMPLATES : 0);
    as_file(data, size);
    free(text);
    return 0;
}
