#include "launch/manpage.h"

#include <ctype.h>
#include <string.h>

#include "launch/config/options.h"

enum { ITEM = 2, DEEPER = 10, EXAMPLE = 12, COLUMN = 36 };       /* columns of a verb's page, and of the right half of the exit codes */

/* Text as troff takes it: no request, no escape, and each - and ' as it is typed. */
static void put(FILE *f, const char *s, size_t n)
{
    static const struct { char c; const char *name; } special[] = {
        { '\\', "\\e" }, { '-', "\\-" }, { '\'', "\\(aq" }, { '`', "\\(ga" }, { '^', "\\(ha" }, { '~', "\\(ti" }, { '"', "\\(dq" },
    };
    if (n && *s == '.')
        fputs("\\&", f);
    for (; n && *s; n--, s++) {
        const char *name = NULL;
        for (size_t i = 0; i < sizeof special / sizeof *special; i++)
            name = special[i].c == *s ? special[i].name : name;
        if (name)
            fputs(name, f);
        else
            fputc(*s, f);
    }
}
static void line(FILE *f, const char *s, size_t n) { put(f, s, n); fputc('\n', f); }
static void macro(FILE *f, const char *name, const char *s, size_t n) { fprintf(f, "%s \"", name); put(f, s, n); fputs("\"\n", f); }

static void item(FILE *f, const char *tag, size_t n, const char *body, size_t len)
{
    fputs(".TP 12\n", f);
    macro(f, ".B", tag, n);
    line(f, body, len);
}

/* The length of the word of an item, or 0. */
static size_t item_word(const char *s, size_t indent)
{
    size_t n = 0;
    while (indent == ITEM && islower((unsigned char)s[ITEM + n]))
        n++;
    return n && !strncmp(s + ITEM + n, "  ", 2) ? n : 0;
}

/* A verb's page, which begins with text. */
static void page(FILE *f, const char *s)
{
    enum { TEXT, BREAK, LITERAL, ITEMS, TYPED } at = TEXT;
    for (size_t n; *s; s += n + (s[n] == '\n')) {
        n = strcspn(s, "\n");
        const size_t indent = strspn(s, " "), word = item_word(s, indent);
        const bool open = at == LITERAL || at == TYPED;
        if (open && (n == 0 || word || indent < ITEM))
            fputs(".fi\n", f);
        if (n == 0) {
            at = BREAK;
        } else if (word && !strncmp(s + ITEM, "example ", word + 1)) {
            fputs(".PP\nExample:\n.PP\n.nf\n", f);
            line(f, s + EXAMPLE, n - EXAMPLE);
            at = TYPED;
        } else if (word) {
            const size_t body = ITEM + word + strspn(s + ITEM + word, " ");
            item(f, s + ITEM, word, s + body, n - body);
            at = ITEMS;
        } else if (at == TYPED) {
            const size_t less = indent < EXAMPLE ? indent : EXAMPLE;
            line(f, s + less, n - less);
        } else if (at == ITEMS && indent >= DEEPER) {
            line(f, s + indent, n - indent);
        } else if (indent) {
            fputs(at == LITERAL ? "" : ".PP\n.nf\n", f);
            line(f, s + indent, n - indent);
            at = LITERAL;
        } else {
            fputs(at == TEXT ? "" : ".PP\n", f);
            line(f, s, n);
            at = TEXT;
        }
    }
    if (at == LITERAL || at == TYPED)
        fputs(".fi\n", f);
}

static void options_section(FILE *f)
{
    char left[512], right[512], group[OPTION_KEY], last[OPTION_KEY] = "";
    fputs(".SH KEYS\nOf a configuration, each with its default, its type and its range.\n", f);
    for (int i = 0; i < n_options; i++) {
        snprintf(group, sizeof group, "%.*s", (int)(strrchr(options[i].key, '.') - options[i].key), options[i].key);
        if (strcmp(group, last))
            macro(f, ".SS", group, strlen(group));
        strcpy(last, group);
        option_describe(&options[i], left, sizeof left, right, sizeof right);
        item(f, left, strlen(left), right, strlen(right));
        fputs(".br\n", f);
        line(f, options[i].help, strlen(options[i].help));
    }
}

/* Left column first.  The first line is a heading. */
static void exits_section(FILE *f, const char *exits)
{
    fputs(".SH EXIT STATUS\n", f);
    for (size_t side = 0; side < 2; side++)
        for (const char *s = strchr(exits, '\n') + 1; *s; s = strchr(s, '\n') + 1) {
            const size_t n = strcspn(s, "\n"), from = side ? COLUMN : 0, to = side || n < COLUMN ? n : COLUMN;
            if (from >= n)
                continue;
            const char *code = s + from + strspn(s + from, " ");
            const size_t digits = strcspn(code, " ");
            size_t len = (size_t)(s + to - code) - digits - 1;
            while (len && code[digits + len] == ' ')
                len--;
            item(f, code, digits, code + digits + 1, len);
        }
}

void manpage_print(FILE *f, const Verb *verbs, int n, const char *exits)
{
    char how[WORDS_SYNOPSIS];
    fputs(".\\\" Written by `asvr help man`: the tables are launch/main.c and launch/config/options.c.\n"
          ".TH ASVR 1 \"\" \"asvr " VERSION "\" \"asvr\"\n.ad l\n.nh\n"
          ".SH NAME\nasvr \\- trains vision\\-language models that learn to reconstruct what they see\n.SH SYNOPSIS\n.nf\n", f);
    for (int i = 0; i < n; i++) {
        words_synopsis(&verbs[i], how);
        line(f, how, strlen(how));
    }
    fputs("asvr help [VERB | options [\\-\\-markdown] | man | completion bash|zsh]\n"
          "asvr help config CONFIG [\\-\\-set KEY=VALUE]...\nasvr version\n.fi\n"
          ".SH DESCRIPTION\n"
          "CONFIG is a libconfig file;\n.B \\-\\-set\noverrides one key and may be repeated.  The launcher says how many ranks\n"
          "(mpirun \\-n 4 asvr ..., srun asvr ...); without one there is one.\n"
          "A CONFIG that is not there, seen from the current folder, is looked for among those that came with the program,\n"
          "and the program says so: examples work in any folder.\n", f);
    fputs(".SH VERBS\n", f);
    for (int i = 0; i < n; i++) {
        words_synopsis(&verbs[i], how);
        macro(f, ".SS", how, strlen(how));
        line(f, verbs[i].line, strlen(verbs[i].line));
        fputs(".PP\n", f);
        page(f, verbs[i].page);
    }
    options_section(f);
    exits_section(f, exits);
    fputs(".SH ENVIRONMENT\n", f);
    static const char *const variable[][2] = {
        { "ASVR_SLURM",   "the folder whose job.sh batch scripts read, instead of the program's own" },
        { "ASVR_SITE",    "in a batch job: the site's own words, instead of site.sh beside job.sh or /etc/asvr/site.sh" },
        { "ASVR_MODULES", "where asvr\\-image.so and asvr\\-parquet.so are, if neither beside the program nor in ../lib/asvr" },
    };
    for (size_t i = 0; i < sizeof variable / sizeof *variable; i++)
        fprintf(f, ".TP\n.B %s\n%s\n", variable[i][0], variable[i][1]);
    fputs(".SH FILES\n.TP\n.I PREFIX/share/asvr\nconfigs/, slurm/ and launch/scripts/ as they came with the program;\n"
          "PREFIX/bin has the program, and where it lies tells where they are\n"
          ".SH SEE ALSO\n.BR mpirun (1),\n.BR srun (1),\n.BR sbatch (1)\n", f);
}
