#include "io/text/jinja.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "io/text/jinjaknown.h"

/* ---- ours, written ---- */

typedef struct {
    FILE *f;
    char *text;
    size_t n;
    bool bos, ids;      /* there is a BOS; the marks are ids */
} Out;

static void out_open(Out *o, bool bos, bool ids)
{
    *o = (Out){ .bos = bos, .ids = ids };
    o->f = open_memstream(&o->text, &o->n);
    CHECK(o->f, "no memory for a chat template");
}

static char *out_close(Out *o)
{
    CHECK(fclose(o->f) == 0, "no memory for a chat template");
    return o->text;
}

/* n bytes as the inside of a string of Jinja. */
static void put_quoted(const Out *o, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] == '\n')
            fputs("\\n", o->f);
        else if (s[i] == '\'' || s[i] == '\\')
            fprintf(o->f, "\\%c", s[i]);
        else if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            fprintf(o->f, "\\x%02x", s[i]);
        else
            fputc(s[i], o->f);
}

/* A text of the template as output. */
static void put_form(const Out *o, const char *s)
{
    for (size_t n; *s; s += n) {
        n = strcspn(s, MARK_BOS MARK_EOS);
        if (n == 0) {
            n = 1;
            fputs(*s == MARK_EOS[0] ? "{{ eos_token }}" : o->bos ? "{{ bos_token }}" : "", o->f);
        } else {
            fputs("{{ '", o->f);
            put_quoted(o, s, n);
            fputs("' }}", o->f);
        }
    }
}

#define BLANKS "' \\n\\t\\r'"

/* words(content): its text, "<image>" where a picture is.  asked(text, first): a question as prompt.h writes it. */
static const char MACROS[] =
    "{%- macro words(content) -%}\n"
    "{%- if content is string -%}{{ content }}\n"
    "{%- else -%}{%- for part in content -%}\n"
    "{%- if part['type'] == 'image' -%}{{ '<image>' }}{%- else -%}{{ part['text'] }}{%- endif -%}\n"
    "{%- endfor -%}{%- endif -%}\n"
    "{%- endmacro -%}\n"
    "{%- macro asked(text, first) -%}\n"
    "{%- set parts = text.strip(" BLANKS ").split('<image>') -%}\n"
    "{%- set at = namespace(front=0, leading=true) -%}\n"
    "{%- for part in parts[:-1] -%}\n"
    "{%- if at.leading and not part.strip(" BLANKS ") -%}{%- set at.front = at.front + 1 -%}\n"
    "{%- else -%}{%- set at.leading = false -%}{%- endif -%}\n"
    "{%- endfor -%}\n"
    "{%- set parts = parts[at.front:] -%}\n"
    "{%- set gap = parts[0][(parts[0].rstrip(" BLANKS ")|length):] -%}\n"
    "{%- if first and parts|length > 1 and '\\n' in gap and not (parts[1:]|join('')).strip(" BLANKS ") -%}\n"
    "{%- set at.front = at.front + parts|length - 1 -%}{%- set parts = parts[:1] -%}\n"
    "{%- endif -%}\n"
    "{{ '<image>\\n' * at.front }}{{ (parts|join('<image>')).strip(" BLANKS ") }}\n"
    "{%- endmacro -%}\n";

#define SAYS_SYSTEM "{%- set system = '"

static void put_system(const Out *o, const Template *x)
{
    fputs(x->always ? "" : "{%- if system -%}", o->f);
    put_form(o, x->open);
    fputs("{{ system }}", o->f);
    put_form(o, x->close);
    fputs(x->always ? "" : "{%- endif -%}", o->f);
}

static void put_turns(const Out *o, const Template *x)
{
    const bool spelt = x->marks && !o->ids;
    put_form(o, spelt && !x->begin[0] ? MARK_BOS : x->begin);
    fputs(x->always ? "" : "\n", o->f);
    if (x->place == SYSTEM_ALONE)
        put_system(o, x);
    fputs("{%- for message in turns -%}\n{%- if message['role'] == 'user' -%}\n", o->f);
    put_form(o, x->turn);
    fputs("\n", o->f);
    if (x->place != SYSTEM_ALONE) {
        fputs(x->place == SYSTEM_IN_FIRST ? "{%- if loop.first -%}" : "{%- if loop.revindex <= 2 -%}", o->f);
        put_system(o, x);
        fputs("{%- endif -%}\n", o->f);
    }
    fputs("{{- asked(words(message['content']), loop.first) -}}\n{%- elif message['role'] == 'assistant' -%}\n", o->f);
    put_form(o, x->ask);
    if (x->last[0]) {
        fputs("{%- if loop.last -%}", o->f);
        put_form(o, x->last);
        fputs("{%- endif -%}", o->f);
    }
    put_form(o, x->lead);
    fputs("{{ words(message['content']) }}", o->f);
    put_form(o, spelt && x->end[0] != MARK_EOS[0] ? MARK_EOS : x->end);
    put_form(o, x->after);
    fputs("\n{%- endif -%}\n{%- endfor -%}\n{%- if add_generation_prompt -%}", o->f);
    put_form(o, x->ask);
    put_form(o, x->last);
    fputs("{%- endif -%}\n", o->f);
}

/* The caption alone, behind the pictures. */
static void put_plain(const Out *o)
{
    put_form(o, MARK_BOS);
    fputs("\n{%- for message in turns -%}\n"
          "{%- if message['role'] == 'user' -%}{{ '<image>' * (words(message['content']).split('<image>')|length - 1) }}\n"
          "{%- elif message['role'] == 'assistant' -%}{{ words(message['content']) + '\\n' }}\n"
          "{%- endif -%}\n{%- endfor -%}\n", o->f);
}

static char *write_template(int template_, const char *system, bool bos, bool ids)
{
    const Template *x = &templates[template_];
    Out o;
    out_open(&o, bos, ids);
    fprintf(o.f, "{#- asvr: template %s -#}\n", x->name);
    if (template_ != TEMPLATE_PLAIN) {
        fputs(SAYS_SYSTEM, o.f);
        put_quoted(&o, system, strlen(system));
        fputs("' -%}\n", o.f);
    }
    fputs(MACROS, o.f);
    fputs("{%- set turns = messages -%}\n"
          "{%- if messages and messages[0]['role'] == 'system' -%}\n", o.f);
    fputs(template_ == TEMPLATE_PLAIN ? "" : "{%- set system = words(messages[0]['content']) -%}", o.f);
    fputs("{%- set turns = messages[1:] -%}\n{%- endif -%}\n", o.f);
    if (template_ == TEMPLATE_PLAIN)
        put_plain(&o);
    else
        put_turns(&o, x);
    return out_close(&o);
}

char *jinja_write(int template_, const char *system, const Text *t)
{
    ASSERT(template_ >= 0 && template_ < TEMPLATES);
    return write_template(template_, system ? system : templates[template_].system, !t || text_bos(t) >= 0,
                          !t || template_marks(template_, t));
}

/* ---- recognised ---- */

/* The string of Jinja that begins at s, as put_quoted wrote it, to be freed; NULL: none, or not ours. */
static char *unquoted(const char *s, const char *end)
{
    char *out = malloc((size_t)(end - s) + 1), *to = out;
    unsigned code;
    CHECK(out, "no memory for a system prompt");
    for (; s < end && *s != '\''; s++) {
        if (*s != '\\') {
            *to++ = *s;
            continue;
        }
        if (++s >= end)
            break;
        if (*s == 'x' && end - s > 2 && sscanf(s, "x%2x", &code) == 1 && code) {
            *to++ = (char)code;
            s += 2;
        } else {
            *to++ = *s == 'n' ? '\n' : *s;
        }
    }
    *to = '\0';
    if (s < end)
        return out;
    free(out);
    return NULL;
}

static bool is_ours(const char *text, size_t n, int template_, const char *system)
{
    bool same = false;
    for (int k = 0; k < 4 && !same; k++) {
        char *ours = write_template(template_, system, k & 1, k & 2);
        size_t len = strlen(ours);
        while (len > 0 && ours[len - 1] == '\n')
            len--;
        same = len == n && memcmp(ours, text, n) == 0;
        free(ours);
    }
    return same;
}

static int find_ours(const char *text, size_t n, char **system)
{
    const char *set = memmem(text, n, SAYS_SYSTEM, sizeof SAYS_SYSTEM - 1);
    char *said = set ? unquoted(set + sizeof SAYS_SYSTEM - 1, text + n) : NULL;
    char name[17] = "";
    sscanf(text, "{#- asvr: template %16[a-z0-9-] -#}", name);
    const int kind = template_find(name);
    if (kind >= 0 && is_ours(text, n, kind, said ? said : "")) {
        if (said && strcmp(said, templates[kind].system) != 0) {
            *system = said;
            said = NULL;
        }
        free(said);
        return kind;
    }
    free(said);
    return -1;
}

/* A copy with "\n" for "\r\n", without blanks at either end, and with a zero behind it. */
static char *normal(const char *s, size_t n, size_t *len)
{
    char *out = malloc(n + 1);
    CHECK(out, "no memory for a chat template of %zu bytes", n);
    *len = 0;
    for (size_t i = 0; i < n; i++)
        if (s[i] && !(s[i] == '\r' && i + 1 < n && s[i + 1] == '\n') && (*len || !strchr(" \t\r\n", s[i])))
            out[(*len)++] = s[i];
    while (*len && strchr(" \t\r\n", out[*len - 1]))
        --*len;
    out[*len] = '\0';
    return out;
}

int jinja_known(const char *jinja, size_t n, char **system)
{
    size_t len;
    char *text = normal(jinja, n, &len);
    const uint64_t hash = XXH64(text, len, 0);
    *system = NULL;
    int kind = find_ours(text, len, system);
    for (size_t i = 0; i < sizeof JINJA_KNOWN / sizeof *JINJA_KNOWN && kind < 0; i++)
        if (JINJA_KNOWN[i].hash == hash)
            kind = JINJA_KNOWN[i].template_;
    free(text);
    return kind;
}
