#include "launch/words.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/log.h"

bool words_path(const Verb *v) { return v->with_path || v->flags; }

/* It may do without a path. */
static bool pathless(const Verb *v) { return v->flags && v->flags[0] == '['; }

void words_synopsis(const Verb *v, char out[WORDS_SYNOPSIS])
{
    int n = snprintf(out, WORDS_SYNOPSIS, "asvr %s %s", v->name, !words_path(v) ? "CONFIG [--set KEY=VALUE]..." : pathless(v) ? "" : "PATH");
    for (const char *flag = v->flags; flag && *flag; flag += strcspn(flag, " "), flag += strspn(flag, " "))
        n += snprintf(out + n, WORDS_SYNOPSIS - (size_t)n, *flag == '[' ? "%.*s" : " [%.*s]", (int)strcspn(flag, " "), flag);
}

/* The number of a flag among those that the verb knows, or -1; *value is what stands behind its "=", "" where the flag has no value here,
   NULL where it wants one and the next word is it. */
static int flag_number(const Verb *v, const char *word, const char **value)
{
    int i = 0;
    for (const char *flag = v->flags; flag && *flag; flag += strcspn(flag, " "), flag += strspn(flag, " "), i++) {
        const size_t n = strcspn(flag, " "), name = min64((int64_t)strcspn(flag, "="), (int64_t)n);
        if (flag[0] != '-' || strncmp(word, flag, name) || (word[name] && word[name] != '='))
            continue;
        *value = name == n ? "" : word[name] ? word + name + 1 : NULL;
        return (name == n ? !word[name] : !*value || **value) ? i : -1;
    }
    return -1;
}

/* It reads several paths. */
static bool several(const Verb *v) { return v->flags && strstr(v->flags, "PATH..."); }

void words_help(const Verb *v)
{
    enum { WIDTH = 80, INDENT = 2, MORE = 8 };
    char how[WORDS_SYNOPSIS];
    words_synopsis(v, how);
    printf("asvr %s: %s\n\n", v->name, v->line);
    int at = printf("%*s", INDENT, "");
    for (const char *s = how; *s; s += strspn(s, " ")) {            /* a bracket and what it holds stay on one line */
        const size_t open = *s == '[' ? strcspn(s, "]") : 0;
        const int n = (int)(open + strcspn(s + open, " "));
        if (at + 1 + n > WIDTH)
            at = printf("\n%*s", MORE, "") - 1;
        at += printf("%s%.*s", at > MORE || s > how ? at == MORE ? "" : " " : "", n, s);
        s += n;
    }
    printf("\n\n%s", v->page);
}

const char *words_file(char own[PATH_ROOM], const char *path)
{
    if (!home_instead(own, path))
        return path;
    if (words_speak())
        fprintf(stderr, "asvr: there is no %s here: taking the program's own, %s\n", path, own);
    return own;
}

bool words_speak(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return atoi(getenv(names[i])) == 0;
    return true;
}

int words_usage(const char *hint, const char *fmt, ...)
{
    char    what[512];
    Err     e = { 0 };
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    err_set(&e, EXIT_USAGE, "", hint, "%s", what);
    if (words_speak())
        log_error(&e);
    return EXIT_USAGE;
}

bool words_help_is(const char *s) { return !strcmp(s, "help") || !strcmp(s, "--help") || !strcmp(s, "-h"); }

bool words_parse(Words *w, const Verb *verb, int n, char **args, int *code)
{
    static char own[PATH_ROOM];
    char how[WORDS_SYNOPSIS];
    const char *value = NULL;
    words_synopsis(verb, how);
    w->verb = verb;
    w->sets = w->paths = args;  /* values only move to the left: nothing unread is overwritten */
    for (int i = 0, flag; i < n; i++) {
        if (words_help_is(args[i])) {
            if (words_speak())
                words_help(verb);
            *code = EXIT_DONE;
            return false;
        }
        if (!strcmp(args[i], "--set") && !words_path(verb) && i + 1 == n) {
            *code = words_usage(how, "%s: --set needs KEY=VALUE", verb->name);
            return false;
        }
        if (!strcmp(args[i], "--set") && !words_path(verb)) {
            w->sets[w->n_sets++] = args[++i];
        } else if (args[i][0] == '-' && (flag = flag_number(verb, args[i], &value)) >= 0) {
            if (!value && i + 1 == n) {
                *code = words_usage(how, "%s: %s needs a value", verb->name, args[i]);
                return false;
            }
            w->flags |= 1u << flag;
            w->values[flag] = value ? value : args[++i];
        } else if (args[i][0] == '-' || (w->path && !several(verb))) {
            *code = words_usage(how, "%s: what is \"%s\"?", verb->name, args[i]);
            return false;
        } else {
            w->paths[w->n_paths++] = args[i];
            w->path = w->paths[0];
        }
    }
    if (w->path && !words_path(verb))
        w->path = words_file(own, w->path);
    if (!w->path && !pathless(verb))
        *code = words_usage(how, "%s needs a %s", verb->name, words_path(verb) ? "path" : "configuration");
    return w->path || pathless(verb);
}
