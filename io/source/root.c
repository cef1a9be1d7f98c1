#include "io/source/root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* `named` behind "/" in out without ".", "//" and "x/.."; false: ".." leaves it. */
static bool tidy(char out[PATH_MAX], const char *named)
{
    size_t n = 0;
    while (*named) {
        const size_t k = strcspn(named, "/");
        if (k == 2 && !memcmp(named, "..", 2)) {
            if (!n)
                return false;
            while (out[--n] != '/')
                ;
        } else if (k > 0 && !(k == 1 && *named == '.')) {
            out[n++] = '/';
            memcpy(out + n, named, k);
            n += k;
        }
        named += k + (named[k] == '/');
    }
    out[n] = 0;
    return true;
}

/* What follows `folder` in path, with its "/"; NULL: it does not lie below. */
static const char *behind(const char *path, const char *folder)
{
    const size_t n = strcmp(folder, "/") ? strlen(folder) : 0;
    return !strncmp(path, folder, n) && path[n] == '/' ? path + n : NULL;
}

bool root_open(Root *r, const char *folder, bool follow_links, Err *e)
{
    char here[PATH_MAX] = "", whole[2 * PATH_MAX + 2];
    *r = (Root){ .none = !folder || !folder[0], .follow_links = follow_links };
    if (r->none)
        return true;
    struct stat st;
    if (strlen(folder) >= PATH_MAX || !realpath(folder, r->real) || stat(folder, &st) || (folder[0] != '/' && !getcwd(here, sizeof here)))
        return err_set(e, EXIT_DATA, folder, "data.images names it", "cannot read the folder of pictures: %s", strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(e, EXIT_DATA, folder, "data.images names it", "cannot read the folder of pictures: not a folder");
    snprintf(whole, sizeof whole, "%s/%s", here, folder);
    if (strlen(whole) >= PATH_MAX || !tidy(r->full, whole))
        snprintf(r->full, sizeof r->full, "%s", r->real);
    snprintf(r->given, sizeof r->given, "%s", folder);
    for (size_t n = strlen(r->given); n > 0 && r->given[n - 1] == '/'; n--)
        r->given[n - 1] = 0;
    return true;
}

static bool refuse(Err *e, const char *named, const char *hint, const char *what)
{
    err_got(e, "%s", named);
    return err_set(e, EXIT_DATA, "", hint, "%s", what);
}

/* "https://a/b", "s3://a/b". */
static bool scheme(const char *s)
{
    const char *end = strstr(s, "://");
    const size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return end && n > 0 && end == s + n;
}

/* out <- the path that `named`, which is no address, means. */
static bool place(const Root *r, const char *named, char out[PATH_MAX], Err *e)
{
    char path[PATH_MAX], whole[2 * PATH_MAX];
    if (strlen(named) >= PATH_MAX - 1)
        return refuse(e, named, "", "a picture's path is too long");
    if (!tidy(path, named))
        return refuse(e, named, "", "a picture's path leaves the folder of pictures by \"..\"");
    const char *rest = path;
    if (named[0] == '/' && !(rest = behind(path, r->full)))
        rest = behind(path, r->real);
    if (!rest && realpath(path, out) && behind(out, r->real))
        return true;
    if (!rest)
        return refuse(e, named, "data.images may be any folder above them, \"/\" too",
                      "a picture's path is absolute and not below the folder of pictures");
    if (snprintf(whole, sizeof whole, "%s%s", r->given, rest) >= PATH_MAX)
        return refuse(e, named, "", "a picture's path is too long");
    strcpy(out, whole);
    return true;
}

bool root_file(const Root *r, const char *named, char path[PATH_MAX], int64_t *size, Err *e)
{
    struct stat st;
    char real[PATH_MAX];
    if (r->none)
        return refuse(e, named, "data.images names it", "a picture is named, but there is no folder of pictures");
    if (!strncmp(named, "data:", 5))
        return err_set(e, EXIT_DATA, "", "write it to a file", "a picture is written into the record (\"data:\"), which asvr does not read");
    const char *plain = strncmp(named, "file://", 7) ? named : named + 7;
    if (scheme(plain))
        return refuse(e, named, "download it first", "a picture's path is an address, and asvr fetches nothing");
    if (!place(r, plain, path, e))
        return false;
    if (stat(path, &st) != 0)
        return refuse(e, named, "", errno == EACCES ? "a picture cannot be read: permission denied" : "a picture is missing");
    if (!S_ISREG(st.st_mode))
        return refuse(e, named, "", "a picture is not a file");
    if (!r->follow_links && !(realpath(path, real) && behind(real, r->real)))
        return refuse(e, named, "data.follow_links = true follows it", "a picture's path leaves the folder of pictures by a symbolic link");
    *size = st.st_size;
    return true;
}
