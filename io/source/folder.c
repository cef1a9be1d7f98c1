/* folder.c -- a folder of pictures with a .txt or a .json beside each, a record a picture (sources.h)

   a/cat.jpg, a/cat.txt: the picture and its caption; a/cat.json: its conversation, or question and answer (asked.h), and wins.  Folders are gone through in the order of bytes, links to folders followed
   but for those that lead back.  Memory is the names of one folder and of those above it. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "io/base/files.h"
#include "io/source/asked.h"
#include "io/source/jsonplain.h"
#include "io/source/sources.h"

enum { DEEP = 64, CAPTION = 1 << 20 };

typedef struct { dev_t dev; ino_t ino; } Seen;

static int by_bytes(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }
static int is_below(const struct dirent *d) { return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0; }

/* The picture's name as JSON, to be freed. */
static char *listed(const char *name)
{
    char *list;
    size_t bytes;
    FILE *f = open_memstream(&list, &bytes);
    CHECK(f, "no memory for a record");
    list_string(f, name, (int64_t)strlen(name));
    fclose(f);
    return list;
}

/* What lies beside a picture as .json is its record. */
static bool add_json(Listing *l, const char *path, const char *name, Err *e)
{
    JsonPlain plain = { 0 };
    json_error_t why;
    char *text = NULL;
    size_t n = 0;
    if (!file_read(path, CAPTION, &text, &n, e))
        return list_bad(l, e);
    const size_t mark = n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;
    json_plain(&plain, text + mark, (int64_t)(n - mark), list_object_key);
    json_t *o = json_loadb(plain.text ? plain.text : "", (size_t)plain.n, JSON_REJECT_DUPLICATES, &why);
    char *list = listed(name);
    if (!o) {
        err_got(e, "%s", why.text);
        err_set(e, EXIT_DATA, path, "data.on_bad = \"skip\" passes over it", "this is no JSON");
    } else if (!list_object(l, name, list, o)) {
        list_passed(l, ".json without a conversation or an answer");
    }
    json_plain_free(&plain);
    json_decref(o);
    free(list);
    free(text);
    return !e->code || list_bad(l, e);
}

/* root/name is a picture. */
static bool add_picture(Listing *l, const char *root, const char *name, Err *e)
{
    char text[PATH_ROOM], *caption = NULL;
    size_t n = 0;
    struct stat st;
    const int stem = (int)(strrchr(name, '.') - name);
    if (path_set(text, e, "%s/%.*s.json", root, stem, name) && stat(text, &st) == 0)
        return add_json(l, text, name, e);
    if (!path_set(text, e, "%s/%.*s.txt", root, stem, name))
        return false;
    if (stat(text, &st) != 0) {
        list_passed(l, "pictures without a .txt");
        return true;
    }
    if (!file_read(text, CAPTION, &caption, &n, e)) {
        err_got(e, "%lld bytes", (long long)st.st_size);
        return list_bad(l, e);
    }
    const char *odd = list_no_text(caption, (int64_t)n);
    if (odd) {
        free(caption);
        err_set(e, EXIT_DATA, text, "data.on_bad = \"skip\" passes over it", "%s", odd);
        return list_bad(l, e);
    }
    char *list = listed(name);
    list_caption(l, name, list, 1, caption, (int64_t)n);
    free(list);
    free(caption);
    return true;
}

/* Of n entries in order the i'th is no picture: a caption, or what nobody reads. */
static void pass_file(Listing *l, struct dirent *const *entry, int i, int n)
{
    const char *name = entry[i]->d_name, *dot = strrchr(name, '.');
    const size_t stem = dot ? (size_t)(dot - name) + 1 : 0;
    char what[40];
    if (!dot || (strcmp(dot, ".txt") != 0 && strcmp(dot, ".json") != 0)) {
        snprintf(what, sizeof what, "files %.30s", dot ? dot : "without an ending");
        list_passed(l, what);
        return;
    }
    while (i > 0 && !strncmp(entry[i - 1]->d_name, name, stem))
        i--;
    for (; i < n && !strncmp(entry[i]->d_name, name, stem); i++)
        if (source_is_picture(entry[i]->d_name) && !strchr(entry[i]->d_name + stem, '.'))
            return;
    snprintf(what, sizeof what, "%s without a picture", dot);
    list_passed(l, what);
}

static bool go_through(Listing *l, const char *root, const char *below, Seen *seen, int deep, Err *e)
{
    char path[PATH_ROOM], name[PATH_ROOM];
    struct dirent **entry = NULL;
    struct stat st;
    if (!path_set(path, e, "%s%s%s", root, below[0] ? "/" : "", below))
        return false;
    if (stat(path, &st) != 0)
        return file_error(e, path, "read the folder");
    for (int i = 0; i < deep; i++)
        if (seen[i].dev == st.st_dev && seen[i].ino == st.st_ino) {
            list_passed(l, "links that lead back");
            return true;
        }
    if (deep == DEEP)
        return err_set(e, EXIT_DATA, path, "", "folders nest more than %d deep", DEEP);
    seen[deep] = (Seen){ st.st_dev, st.st_ino };
    const int n = scandir(path, &entry, is_below, by_bytes);
    if (n < 0)
        return file_error(e, path, "read the folder");
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        ok = path_set(name, e, "%s%s%s", below, below[0] ? "/" : "", entry[i]->d_name) && path_set(path, e, "%s/%s", root, name);
        if (!ok)
            break;
        if (entry[i]->d_name[0] == '.') {
            list_passed(l, "hidden files and folders");
            continue;
        }
        struct stat own;
        const bool link = lstat(path, &own) == 0 && S_ISLNK(own.st_mode);
        if (stat(path, &st) != 0)
            list_passed(l, "links to nothing");
        else if (link && !l->follow)
            list_passed(l, "links (data.follow_links = false)");
        else if (S_ISDIR(st.st_mode))
            ok = go_through(l, root, name, seen, deep + 1, e);
        else if (S_ISREG(st.st_mode) && source_is_picture(name))
            ok = add_picture(l, root, name, e);
        else
            pass_file(l, entry, i, n);
    }
    for (int i = 0; i < n; i++)
        free(entry[i]);
    free(entry);
    return ok;
}

bool list_folder(Listing *l, const char *path, const char *name, Err *e)
{
    Seen seen[DEEP];
    (void)name;
    return go_through(l, path, "", seen, 0, e);
}
