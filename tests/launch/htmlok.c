/* htmlok.c -- ends with 0 if each file is one well-formed page: tags are closed in order, attributes quoted and there once, references
   are numbers, there are no control characters, and nothing is fetched: src and href are data: or #.  Compiled by the scripts that ask. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEP = 64, NAME = 32 };
typedef struct { const char *path, *text, *at; char open[DEEP][NAME]; int depth; } Reader;

static int bad(const Reader *r, const char *what)
{
    int line = 1;
    for (const char *p = r->text; p < r->at; p++)
        line += *p == '\n';
    fprintf(stderr, "%s:%d: %s: %.60s\n", r->path, line, what, r->at);
    return 1;
}

/* "&#34;": what the page writes, and nothing else. */
static int reference(Reader *r)
{
    char *end;
    if (strncmp(r->at, "&#", 2) || !isdigit((unsigned char)r->at[2]))
        return bad(r, "an & that is no reference");
    strtol(r->at + 2, &end, 10);
    if (*end != ';')
        return bad(r, "an & that is no reference");
    r->at = end + 1;
    return 0;
}

static int name(Reader *r, char out[NAME])
{
    int n = 0;
    while (n < NAME - 1 && (isalnum((unsigned char)*r->at) || strchr("-:", *r->at)) && *r->at)
        out[n++] = *r->at++;
    out[n] = 0;
    return n ? 0 : bad(r, "no name");
}

static int attributes(Reader *r)
{
    char seen[16][NAME], *value;
    int n = 0;
    while (isspace((unsigned char)*r->at)) {
        r->at += strspn(r->at, " \n");
        if (n == 16 || name(r, seen[n]))
            return bad(r, "an attribute");
        for (int i = 0; i < n; i++)
            if (!strcmp(seen[i], seen[n]))
                return bad(r, "an attribute twice");
        if (strncmp(r->at, "=\"", 2))
            return bad(r, "an attribute without a value");
        value = (char *)(r->at += 2);
        if ((!strcmp(seen[n], "src") || !strcmp(seen[n], "href")) && strncmp(value, "data:", 5) && *value != '#')
            return bad(r, "something is fetched");
        if (!strncmp(seen[n++], "on", 2))
            return bad(r, "script in an attribute");
        while (*r->at && *r->at != '"')
            if (*r->at == '<' || (unsigned char)*r->at < ' ')
                return bad(r, "an attribute's value");
            else if (*r->at != '&')
                r->at++;
            else if (reference(r))
                return 1;
        r->at += *r->at == '"';
    }
    return 0;
}

static int tag(Reader *r)
{
    char what[NAME];
    const int closes = r->at[1] == '/';
    r->at += 1 + closes;
    if (name(r, what))
        return 1;
    if (closes && (r->depth == 0 || strcmp(r->open[--r->depth], what)))
        return bad(r, "closes what is not open");
    if (!closes && attributes(r))
        return 1;
    const int empty = *r->at == '/';
    r->at += empty;
    if (*r->at++ != '>')
        return bad(r, "a tag without an end");
    if (!closes && !empty) {
        if (r->depth == DEEP)
            return bad(r, "too deep");
        strcpy(r->open[r->depth++], what);
    }
    if (!closes && (!strcmp(what, "style") || !strcmp(what, "script"))) {
        const size_t n = strcspn(r->at, "<&");
        if (strstr(r->at, "url(") && strstr(r->at, "url(") < r->at + n)
            return bad(r, "something is fetched");
        r->at += n;
    }
    return 0;
}

static int page(Reader *r)
{
    static const char head[] = "<!DOCTYPE html>\n";
    int roots = 0;
    r->at = r->text;
    if (strncmp(r->at, head, sizeof head - 1))
        return bad(r, "no HTML");
    r->at += sizeof head - 1;
    while (*r->at) {
        const unsigned char c = (unsigned char)*r->at;
        roots += c == '<' && r->depth == 0;
        if (c == '<' ? tag(r) : c == '&' ? reference(r) : 0)
            return 1;
        if (c < ' ' && c != '\n' && c != '\t')
            return bad(r, "a control character");
        if (c == '>' && r->depth == 0)
            return bad(r, "text outside");
        r->at += c != '<' && c != '&';
    }
    return r->depth || roots != 1 ? bad(r, "not one whole element") : 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        static char text[16 << 20];
        Reader r = { .path = argv[i], .text = text };
        FILE *f = fopen(argv[i], "r");
        if (!f)
            return perror(argv[i]), 1;
        const size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = 0;
        fclose(f);
        if (strlen(text) != n || page(&r))
            return bad(&r, "not well-formed");
    }
    return 0;
}
