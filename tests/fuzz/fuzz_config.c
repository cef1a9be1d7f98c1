/*
 * fuzz_config.c -- any bytes as a configuration, a file that it may include, and values of --set
 *
 * The input is up to three parts, parted by a byte 30 (record separator): /proc/self/fd/100, which may include "101"; that
 * file, which may include "100" or itself; arguments of --set, one a line.
 *
 * An input that includes another descriptor or a path is passed over: what lies there is not the input's.
 *
 * Laws   refused: each error has EXIT_CONFIG, says what, and names a file and line of these two, or the --set
 *        the same bytes get the same verdict and the same errors
 *        accepted: print(load(print(c))) = print(c), so with the same hash; each number lies in the range of its option
 *        the rules between keys say yes, or name the keys and the place of one of them
 */
#include "launch/config/options.h"
#include "launch/config/value.h"
#include "tests/fuzz/fuzz.h"

enum { MAIN = 100, PART = 101, SEPARATOR = 30, SETS = 8 };

/* Does an @include name what is none of the two, but may be there? */
static bool leaves(const uint8_t *data, size_t size)
{
    static const char word[] = "@include";
    for (const uint8_t *at = data; (at = memmem(at, size - (size_t)(at - data), word, sizeof word - 1));) {
        at += sizeof word - 1;
        size_t left = size - (size_t)(at - data), blanks = 0;
        while (blanks < left && strchr(" \t\r\f\v\"", at[blanks]) && at[blanks])
            blanks++;
        const uint8_t *name = at + blanks;
        left -= blanks;
        const bool ours = left >= 4 && (!memcmp(name, "100\"", 4) || !memcmp(name, "101\"", 4));
        if (left && !ours && strchr("/.0123456789", *name) && *name)
            return true;
    }
    return false;
}

static void place_file(const uint8_t *bytes, size_t n, int fd)
{
    char path[32];
    const int made = fuzz_file(bytes, n, path);
    CHECK(dup2(made, fd) == fd, "no descriptor %d", fd);
    close(made);
}

static void well_said(const ErrList *errs)
{
    LAW(errs->n > 0 && errs->n <= CONFIG_ERRORS, "%d errors", errs->n);
    for (int i = 0; i < errs->n; i++) {
        const char *where = errs->err[i].where, *fd = strstr(where, "/proc/self/fd/10");
        fuzz_refused(&errs->err[i], EXIT_CONFIG, "");
        LAW(fd || strstr(where, "--set"), "\"%s\" is said of \"%s\"", errs->err[i].what, where);
    }
}

static char *printed(const Config *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    CHECK(f, "no memory for a configuration");
    config_print(c, f);
    fclose(f);
    return text;
}

static void comes_back(const Config *c)
{
    static Config again;
    static ErrList errs;
    char path[32], *text = printed(c);
    const int fd = fuzz_file(text, strlen(text), path);
    errs.n = errs.lost = 0;
    LAW(config_load(&again, path, NULL, 0, &errs), "what is printed does not load: %s, %s", errs.err[0].what, errs.err[0].where);
    char *twice = printed(&again);
    LAW(!strcmp(text, twice), "what is printed loads to something else");
    free(text);
    free(twice);
    close(fd);
}

static void in_range(const Config *c)
{
    for (int i = 0; i < n_options; i++) {
        const Option *o = &options[i];
        const char *at = (const char *)c + o->at;
        const double x = o->type == INT ? *(const int *)at : o->type == LONG ? (double)*(const int64_t *)at : o->type == FLOAT ? *(const double *)at : o->min;
        LAW((o->type != INT && o->type != LONG && o->type != FLOAT) || (x >= o->min && x <= o->max), "%s is %g", o->key, x);
    }
}

/* The third part: one argument a line, at most SETS. */
static int split_sets(char *text, char *sets[SETS])
{
    int n = 0;
    for (char *line = strtok(text, "\n"); line && n < SETS; line = strtok(NULL, "\n"))
        sets[n++] = line;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Config c, twin;
    static ErrList errs, same;
    if (leaves(data, size))
        return 0;
    const uint8_t *end = data + size, *part = size ? memchr(data, SEPARATOR, size) : NULL;
    const uint8_t *set = part ? memchr(part + 1, SEPARATOR, (size_t)(end - part - 1)) : NULL;
    place_file(data, (size_t)((part ? part : end) - data), MAIN);
    place_file(part ? part + 1 : end, part ? (size_t)((set ? set : end) - part - 1) : 0, PART);
    char *text = set ? strndup((const char *)set + 1, (size_t)(end - set - 1)) : NULL, *sets[SETS];
    const int n = text ? split_sets(text, sets) : 0;

    errs.n = errs.lost = same.n = same.lost = 0;
    const bool ok = config_load(&c, "/proc/self/fd/100", sets, n, &errs);
    LAW(ok == config_load(&twin, "/proc/self/fd/100", sets, n, &same) && errs.n == same.n && errs.lost == same.lost, "two verdicts");
    for (int i = 0; i < errs.n; i++)
        LAW(!memcmp(&errs.err[i], &same.err[i], sizeof errs.err[i]), "two errors: %s, %s", errs.err[i].what, same.err[i].what);
    if (ok) {
        in_range(&c);
        comes_back(&c);
        if (!config_check(&c, "train", 1 + (int)(size % 4), &errs))
            well_said(&errs);
    } else {
        well_said(&errs);
    }
    free(text);
    return 0;
}
