#include "io/source/globs.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILES_MOST = 1 << 20 };

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool add(Globs *g, const char *path, Err *e)
{
    if (g->n == FILES_MOST)
        return err_set(e, EXIT_DATA, path, "", "more than %d files", FILES_MOST);
    if (g->n == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 64;
        g->path = realloc(g->path, (size_t)g->cap * sizeof *g->path);
        CHECK(g->path, "no memory for names of %lld files", (long long)g->cap);
    }
    g->path[g->n] = strdup(path);
    CHECK(g->path[g->n++], "no memory for a name");
    return true;
}

/* All that match, by bytes: the C locale's order is what glob sorts by, unless somebody has set another. */
static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool add_matches(Globs *g, const char *pattern, Err *e)
{
    glob_t found;
    const int rc = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (rc == GLOB_NOMATCH)
        return err_set(e, EXIT_DATA, pattern, "data.json names files, as \"shards/{00000..00099}.tar\" or \"train-*.parquet\"", "no file matches");
    if (rc != 0)
        return err_set(e, EXIT_IO, pattern, "", "cannot look for files");
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
    bool ok = true;
    for (size_t i = 0; i < found.gl_pathc && ok; i++)
        ok = add(g, found.gl_pathv[i], e);
    globfree(&found);
    return ok;
}

/* Letters that glob would read otherwise stay what they are. */
static bool quote(char out[PATH_ROOM], const char *path, const char *behind, Err *e)
{
    size_t n = 0;
    for (; *path && n < PATH_ROOM - 2; path++) {
        if (strchr("*?[\\", *path))
            out[n++] = '\\';
        out[n++] = *path;
    }
    out[n] = 0;
    return n + strlen(behind) < PATH_ROOM ? (strcat(out, behind), true) : err_set(e, EXIT_DATA, path, "", "a path is too long");
}

static bool take(Globs *g, const char *path, const char *suffix, Err *e)
{
    char pattern[PATH_ROOM], behind[64];
    if (suffix && is_folder(path)) {
        snprintf(behind, sizeof behind, "%s*%s", path[strlen(path) - 1] == '/' ? "" : "/", suffix);
        return quote(pattern, path, behind, e) && add_matches(g, pattern, e);
    }
    if (exists(path))
        return add(g, path, e);
    if (strpbrk(path, "*?["))
        return add_matches(g, path, e);
    return err_set(e, EXIT_DATA, path, "", "there is no such file");
}

static bool expand(Globs *g, const char *text, const char *suffix, int depth, Err *e);

/* The text with `is` (n bytes) in the place of its braces. */
static bool with(Globs *g, const char *text, const char *open, const char *close, const char *is, size_t n, const char *suffix, int depth, Err *e)
{
    char one[PATH_ROOM];
    return path_set(one, e, "%.*s%.*s%s", (int)(open - text), text, (int)n, is, close + 1) && expand(g, one, suffix, depth + 1, e);
}

static bool expand(Globs *g, const char *text, const char *suffix, int depth, Err *e)
{
    const char *open = strchr(text, '{'), *close = open ? strchr(open, '}') : NULL;
    long long from, to;
    int used = 0, width = 0;
    if (!close || exists(text) || depth > 8)
        return take(g, text, suffix, e);
    if (sscanf(open, "{%*[0-9]%n..", &width) == 0 && sscanf(open, "{%18lld..%18lld}%n", &from, &to, &used) == 2 && open + used == close + 1) {
        bool ok = from <= to || err_set(e, EXIT_DATA, text, "", "a range that ends before it begins");
        for (long long i = from; i <= to && ok; i++) {
            char is[32];
            const int n = snprintf(is, sizeof is, "%0*lld", open[1] == '0' ? width - 1 : 1, i);
            ok = with(g, text, open, close, is, (size_t)n, suffix, depth, e);
        }
        return ok;
    }
    if (!memchr(open, ',', (size_t)(close - open)))
        return take(g, text, suffix, e);
    bool ok = true;
    for (const char *at = open + 1; at <= close && ok;) {
        const size_t n = strcspn(at, ",}");
        ok = with(g, text, open, close, at, n, suffix, depth, e);
        at += n + 1;
    }
    return ok;
}

bool globs_find(Globs *g, const char *text, const char *suffix, Err *e)
{
    *g = (Globs){ 0 };
    if (expand(g, text, suffix, 0, e))
        return true;
    globs_free(g);
    return false;
}

void globs_free(Globs *g)
{
    for (int64_t i = 0; i < g->n; i++)
        free(g->path[i]);
    free(g->path);
    *g = (Globs){ 0 };
}

int64_t globs_root(const Globs *g, char root[PATH_ROOM])
{
    const char *slash = g->n ? strrchr(g->path[0], '/') : NULL;
    int64_t n = slash ? slash + 1 - g->path[0] : 0;
    for (int64_t i = 1; i < g->n; i++)
        while (n > 0 && strncmp(g->path[0], g->path[i], (size_t)n) != 0)
            for (n--; n > 0 && g->path[0][n - 1] != '/';)
                n--;
    snprintf(root, PATH_ROOM, "%.*s", n > 1 ? (int)n - 1 : (int)n, n ? g->path[0] : ".");
    if (!n)
        strcpy(root, ".");
    return n;
}
