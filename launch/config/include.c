#include "launch/config/include.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/files.h"

typedef struct { dev_t dev; ino_t ino; int file; } Opened;

typedef struct {
    Included *in;
    Opened    stack[INCLUDE_DEPTH];         /* the files being read, outermost first */
    int       depth;
} Reader;

typedef enum { CODE, STRING_TEXT, BLOCK_COMMENT } Lexical;

static void put(Included *in, const char *s, size_t n)
{
    if (in->size + n + 1 > in->room) {
        in->room = 2 * (in->size + n + 1);
        in->text = realloc(in->text, in->room);
        CHECK(in->text, "no memory for a configuration of %zu bytes", in->room);
    }
    memcpy(in->text + in->size, s, n);
    in->size += n;
    in->text[in->size] = 0;
}

static void origin_put(Included *in, int file, int line)
{
    if (in->lines == in->line_room) {
        in->line_room = 2 * in->line_room + 64;
        in->origin = realloc(in->origin, (size_t)in->line_room * sizeof *in->origin);
        CHECK(in->origin, "no memory for %d lines of configuration", in->line_room);
    }
    in->origin[in->lines].file = file;
    in->origin[in->lines++].line = line;
}

/* Length of the number at s; *integer if it is one without suffix. */
static size_t number_length(const char *s, bool *integer)
{
    bool   hex = s[0] == '0' && tolower(s[1]) == 'x';
    size_t n = hex ? 2 : strspn(s, "0123456789");
    size_t digits = hex ? 2 + strspn(s + 2, "0123456789abcdefABCDEF") : n;
    for (bool more = true; more; n += more) {
        bool sign = (s[n] == '+' || s[n] == '-') && !hex && n && tolower(s[n - 1]) == 'e';
        more = sign || s[n] == '.' || isalnum((unsigned char)s[n]);
    }
    *integer = n == digits;
    return n;
}

/* Copies one line and follows strings and comments through it, as libconfig's scanner would. */
static Lexical line_put(Included *in, const char *s, Lexical state)
{
    while (*s) {
        size_t n = 1;
        bool   integer = false;
        if (state == STRING_TEXT) {
            n = *s == '\\' && s[1] ? 2 : 1;
            state = *s == '"' ? CODE : STRING_TEXT;
        } else if (state == BLOCK_COMMENT) {
            n = !strncmp(s, "*/", 2) ? 2 : 1;
            state = n == 2 ? CODE : BLOCK_COMMENT;
        } else if (*s == '#' || !strncmp(s, "//", 2)) {
            n = strlen(s);
        } else if (!strncmp(s, "/*", 2)) {
            n = 2;
            state = BLOCK_COMMENT;
        } else if (*s == '"') {
            state = STRING_TEXT;
        } else if (isalpha((unsigned char)*s) || *s == '*') {
            while (isalnum((unsigned char)s[n]) || (s[n] && strchr("-_*", s[n])))
                n++;
        } else if (isdigit((unsigned char)*s) || *s == '.') {
            n = number_length(s, &integer);
        }
        put(in, s, n);
        if (integer)
            put(in, "L", 1);
        s += n;
    }
    return state;
}

/* The whole file in *text; the caller frees it. */
static bool text_read(const char *path, size_t room, char **text, struct stat *st, const char *where, Err *e)
{
    *text = NULL;
    if (*where && stat(path, st) == 0 && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))      /* it might never end, or never begin */
        return err_set(e, EXIT_CONFIG, where, "an @include names a file", "\"%s\" is a pipe or a device", path);
    FILE *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), st) || S_ISDIR(st->st_mode)) {
        int failed = f ? EISDIR : errno;
        if (f)
            fclose(f);
        return err_set(e, EXIT_CONFIG, *where ? where : path, *where ? "the name is relative to the file that includes it" : "",
                       "cannot read the configuration \"%s\": %s", path, strerror(failed));
    }
    char *s = malloc(room + 2);
    CHECK(s, "no memory for a configuration of %zu bytes", room);
    size_t n = fread(s, 1, room + 1, f);
    bool bad = ferror(f);
    fclose(f);
    s[n] = 0;
    if (!bad && n <= room && strlen(s) == n) {
        if (strncmp(s, "\xef\xbb\xbf", 3) == 0)          /* the byte order mark of some editors */
            memmove(s, s + 3, n - 2);
        *text = s;
        return true;
    }
    free(s);
    return err_set(e, EXIT_CONFIG, *where ? where : path, "a configuration is a text file, see configs/", "\"%s\" is no configuration: %s",
                   path, bad ? "reading failed" : n > room ? "more than 1 MiB" : "it holds zero bytes");
}

static bool loop(const Reader *r, const struct stat *st, const char *path, const char *where, Err *e)
{
    char   chain[256] = "";
    size_t n = 0;
    int    first = r->depth;
    for (int i = r->depth - 1; i >= 0; i--)
        if (r->stack[i].dev == st->st_dev && r->stack[i].ino == st->st_ino)
            first = i;
    if (first == r->depth)
        return false;
    for (int i = first; i < r->depth && n < sizeof chain; i++)
        n += (size_t)snprintf(chain + n, sizeof chain - n, "%s -> ", r->in->file[r->stack[i].file]);
    err_got(e, "%s%s", chain, path);
    err_set(e, EXIT_CONFIG, where, "take the @include out of one of them", "\"%s\" includes itself", path);
    return true;
}

static bool file_put(Reader *r, const char *path, const char *where, Err *e);

/* The line `@include "name"` of file number `file`. */
static bool include_line(Reader *r, const char *line, int file, int number, Err *e)
{
    char        where[PATH_ROOM + 16], folder[PATH_ROOM], path[PATH_ROOM], name[PATH_ROOM];
    const char *own = r->in->file[file];
    int         end = 0;
    snprintf(where, sizeof where, "%s:%d", own, number);
    bool ok = sscanf(line, " @include \"%4095[^\"]\" %n", name, &end) == 1 && end;
    if (!ok || (line[end] && line[end] != '#' && strncmp(line + end, "//", 2)))
        return err_set(e, EXIT_CONFIG, where, "write  @include \"file.cfg\"  alone on its line",
                       "an @include without a file name");
    const bool alone = name[0] == '/' || !strchr(own, '/');
    return path_folder(folder, own, e) && path_set(path, e, "%s%s%s", alone ? "" : folder, alone ? "" : "/", name) &&
           file_put(r, path, where, e);
}

static bool file_put(Reader *r, const char *path, const char *where, Err *e)
{
    Included   *in = r->in;
    char       *text;
    struct stat st;
    size_t      room = in->size < INCLUDE_BYTES ? INCLUDE_BYTES - in->size : 0;
    if (!text_read(path, room, &text, &st, where, e))
        return false;
    if (loop(r, &st, path, where, e)) {
        free(text);
        return false;
    }
    if (r->depth == INCLUDE_DEPTH || in->files == INCLUDE_FILES) {
        free(text);
        return err_set(e, EXIT_CONFIG, where, "", "too many @includes: at most %d files, %d deep", INCLUDE_FILES,
                       INCLUDE_DEPTH);
    }
    int file = in->files++;
    in->file[file] = strdup(path);
    r->stack[r->depth++] = (Opened){ st.st_dev, st.st_ino, file };

    bool    ok = true;
    Lexical state = CODE;
    int     number = 1;
    for (char *s = text, *next; ok && *s; s = next, number++) {
        size_t n = strcspn(s, "\n");
        next = s + n + (s[n] == '\n');
        s[n] = 0;
        if (state == CODE && !strncmp(s + strspn(s, " \t"), "@include", 8)) {
            ok = include_line(r, s, file, number, e);
        } else {
            origin_put(in, file, number);
            state = line_put(in, s, state);
            put(in, "\n", 1);
        }
    }
    free(text);
    r->depth--;
    return ok;
}

bool include_read(Included *in, const char *path, Err *e)
{
    Reader r = { .in = in };
    memset(in, 0, sizeof *in);
    put(in, "", 0);
    return file_put(&r, path, "", e);
}

void include_free(Included *in)
{
    for (int i = 0; i < in->files; i++)
        free(in->file[i]);
    free(in->text);
    free(in->origin);
    memset(in, 0, sizeof *in);
}

void include_where(const Included *in, int line, char *out, size_t size)
{
    if (in->lines == 0)
        snprintf(out, size, "%s:1", in->file[0]);
    else {
        int i = line < 1 ? 0 : line > in->lines ? in->lines - 1 : line - 1;
        snprintf(out, size, "%s:%d", in->file[in->origin[i].file], in->origin[i].line);
    }
}
