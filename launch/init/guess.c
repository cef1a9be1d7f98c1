#include "launch/init/guess.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/files.h"
#include "io/source/bytes.h"
#include "io/source/globs.h"
#include "io/source/sources.h"

enum { HEAD = 1 << 16 };

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends(const char *name, const char *with)
{
    const size_t n = strlen(name), k = strlen(with);
    return n >= k && !strcmp(name + n - k, with);
}

/* x.json, x.jsonl, x.ndjson, packed or not */
static bool is_json(const char *name)
{
    static const char *const kinds[] = { ".json", ".jsonl", ".ndjson" };
    char plain[PATH_ROOM];
    snprintf(plain, sizeof plain, "%s", name);
    const size_t n = strlen(plain);
    if (ends(plain, ".gz"))
        plain[n - 3] = 0;
    else if (ends(plain, ".zst"))
        plain[n - 4] = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ends(plain, kinds[i]))
            return true;
    return false;
}

/* An object that has both "images" and "annotations" near its beginning, or "info" in front as COCO's files have it. */
static bool is_coco(const char *path)
{
    Err none = { 0 };
    char *head = malloc(HEAD + 1);
    Bytes *b = bytes_open(path, &none);
    CHECK(head, "no memory for the beginning of a file");
    const int64_t n = b ? bytes_read(b, head, HEAD, &none) : 0;
    bytes_close(b);
    head[n > 0 ? n : 0] = 0;
    const size_t at = strspn(head, " \t\r\n");
    const char *line = strchr(head, '\n'), *images = strstr(head, "\"images\""), *notes = strstr(head, "\"annotations\"");
    const char *turns = strstr(head, "\"conversations\""), *messages = strstr(head, "\"messages\"");
    const bool one = !line || line[1 + strspn(line + 1, " \t\r")] != '{';       /* JSON Lines have an object on each */
    const bool is = head[at] == '{' && one && !turns && !messages && (notes || (images && strstr(head, "\"file_name\"")));
    free(head);
    return is;
}

static bool say_source(LookAt *at, int source, const char *json, const char *images, Err *e)
{
    char folder[PATH_ROOM];
    const char *pictures = source_kinds[source].beside ? images : "";
    at->source = source;
    if (!pictures) {
        if (!path_folder(folder, json, e))
            return false;
        pictures = folder;
    }
    if (strlen(json ? json : "") >= sizeof at->json || strlen(pictures) >= sizeof at->images)
        return err_set(e, EXIT_USAGE, "", "", "init: a path is longer than %d bytes", CONFIG_STRING - 1);
    snprintf(at->json, sizeof at->json, "%.1023s", json ? json : "");
    snprintf(at->images, sizeof at->images, "%.1023s", pictures);
    for (size_t n = strlen(at->images); n > 1 && at->images[n - 1] == '/'; n--)
        at->images[n - 1] = 0;
    return true;
}

/* What lies in a folder, itself and not below. */
typedef struct { int tars, parquets, jsons, pictures, texts, folders; char json[PATH_ROOM]; } Inside;

static bool look_inside(Inside *in, const char *path, Err *e)
{
    const struct dirent *d;
    DIR *dir = opendir(path);
    if (!dir)
        return err_set(e, EXIT_DATA, path, "", "cannot read the folder: %s", strerror(errno));
    *in = (Inside){ 0 };
    while ((d = readdir(dir))) {
        char below[PATH_ROOM];
        Err none = { 0 };
        if (d->d_name[0] == '.' || !path_set(below, &none, "%s/%s", path, d->d_name))
            continue;
        in->tars += ends(d->d_name, ".tar");
        in->parquets += ends(d->d_name, ".parquet");
        in->pictures += source_is_picture(d->d_name);
        in->texts += ends(d->d_name, ".txt");
        in->folders += is_folder(below);
        if (is_json(d->d_name) && in->jsons++ == 0)
            path_set(in->json, e, "%s%s%s", path, ends(path, "/") ? "" : "/", d->d_name);
    }
    closedir(dir);
    return !e->code;
}

static bool guess_folder(LookAt *at, const char *path, Err *e)
{
    Inside in;
    if (!look_inside(&in, path, e))
        return false;
    if (in.tars && !in.pictures)
        return say_source(at, SOURCE_WEBDATASET, path, NULL, e);
    if (in.parquets && !in.pictures)
        return say_source(at, SOURCE_PARQUET, path, NULL, e);
    if (in.jsons == 1 && !in.texts)
        return say_source(at, is_coco(in.json) ? SOURCE_COCO : SOURCE_LLAVA, in.json, path, e);
    if (in.jsons > 1 && !in.texts) {
        err_got(e, "%d of them, as %s", in.jsons, in.json);
        return err_set(e, EXIT_USAGE, path, "--json=FILE says which", "the folder has several JSON files");
    }
    return say_source(at, SOURCE_FOLDER, NULL, path, e);
}

static bool guess_file(LookAt *at, const char *path, const char *images, Err *e)
{
    Globs g = { 0 };
    if (is_folder(path))
        return guess_folder(at, path, e);
    if (!globs_find(&g, path, NULL, e))
        return false;
    const char *first = g.path[0];
    const int source = ends(first, ".tar") ? SOURCE_WEBDATASET : ends(first, ".parquet") ? SOURCE_PARQUET : is_coco(first) ? SOURCE_COCO : SOURCE_LLAVA;
    if (source == SOURCE_LLAVA && !is_json(first)) {
        err_expected(e, "a folder of pictures, .json, .jsonl, .tar or .parquet");
        err_set(e, EXIT_DATA, first, "--source says what it is, --images names a folder of pictures", "nobody can tell what this file is");
    } else {
        say_source(at, source, path, images, e);
    }
    globs_free(&g);
    return !e->code;
}

static bool source_named(LookAt *at, const char *source, const char *json, const char *images, Err *e)
{
    for (int i = 0; i < SOURCE_KINDS; i++) {
        if (strcmp(source, source_kinds[i].name))
            continue;
        json = json || source_kinds[i].beside ? json : images;          /* a folder of them */
        if (i == SOURCE_FOLDER ? !images : !json)
            return err_set(e, EXIT_USAGE, "", i == SOURCE_FOLDER ? "--images=DIR" : "--json=FILE", "init: --source=%s wants to know where it is", source);
        return say_source(at, i, i == SOURCE_FOLDER ? NULL : json, images, e);
    }
    err_expected(e, "llava, webdataset, coco, parquet or folder");
    err_got(e, "\"%.100s\"", source);
    return err_set(e, EXIT_USAGE, "", "without --source init looks at the files", "init: --source has no such word");
}

bool guess(LookAt *at, const char *json, const char *images, const char *source, char *const *path, int n, Err *e)
{
    *at = (LookAt){ 0 };
    for (int i = 0; i < n; i++) {                           /* a folder is --images, a file --json */
        const char **is = is_folder(path[i]) ? &images : &json;
        if (*is)
            return err_set(e, EXIT_USAGE, "", "asvr init mine.json --images pictures", "init: \"%.200s\" and \"%.200s\": which?", *is, path[i]);
        *is = path[i];
    }
    if (!json && !images)
        return err_set(e, EXIT_USAGE, "", "asvr init pictures/ >mine.cfg, or asvr init --json mine.json --images pictures/ >mine.cfg",
                       "init wants to know where the data are");
    if (images && !is_folder(images))
        return err_set(e, EXIT_DATA, images, "", "there is no such folder");
    if (source)
        return source_named(at, source, json, images, e);
    return json ? guess_file(at, json, images, e) : guess_folder(at, images, e);
}
