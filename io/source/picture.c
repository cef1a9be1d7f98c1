#include "io/source/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static const char *const file_keys[] = { "path",  "file",       "file_name", "filename", "file_path", "image",
                                         "img",   "image_path", "url",       "image_url", "src" };
enum { FILE_KEYS = sizeof file_keys / sizeof *file_keys };

bool picture_none(const json_t *j)
{
    return !j || json_is_null(j) || json_is_false(j) || (json_is_string(j) && json_string_length(j) == 0) ||
           (json_is_array(j) && json_array_size(j) == 0);
}

/* A whole number that is not negative, or its text. */
static bool number(int64_t *n, const json_t *j)
{
    *n = json_integer_value(j);
    if (!json_is_string(j))
        return json_is_integer(j) && *n >= 0;
    const char *s = json_string_value(j);
    char *end;
    errno = 0;
    *n = strtoll(s, &end, 10);
    return s[0] >= '0' && s[0] <= '9' && !*end && !errno;
}

static const char *keep(json_t *kept, const char *s)
{
    json_t *own = json_stringn_nocheck(s, strlen(s));
    CHECK(own && json_array_append_new(kept, own) == 0, "no memory for a path");
    return json_string_value(own);
}

/* The path that an object gives, under one key or the same under several. */
static const char *path_of(const json_t *j, Err *e)
{
    const char *path = NULL;
    for (int k = 0; k < FILE_KEYS; k++) {
        const json_t *p = json_object_get(j, file_keys[k]);
        if (json_is_object(p) && !(p = json_object_get(p, "url")))
            p = json_object_get(json_object_get(j, file_keys[k]), "path");
        if (picture_none(p))
            continue;
        if (!json_is_string(p) || (path && strcmp(path, json_string_value(p)))) {
            err_set(e, EXIT_DATA, "", "", json_is_string(p) ? "an object names two files for one picture" : "a picture's path is no text");
            return NULL;
        }
        path = json_string_value(p);
    }
    if (!path)
        err_set(e, EXIT_DATA, "", "", "an object names no file for its picture");
    return path;
}

bool picture_read(PictureRef *out, const Root *root, const json_t *j, json_t *kept, Err *e)
{
    char path[PATH_MAX];
    int64_t size;
    *out = (PictureRef){ .row = -1 };
    if (!json_is_string(j) && !json_is_object(j))
        return err_set(e, EXIT_DATA, "", "", "a picture is neither a path nor an object with one");
    const json_t *bytes = json_object_get(j, "bytes"), *at = json_object_get(j, "at"), *row = json_object_get(j, "row");
    if (!picture_none(bytes) && !number(&size, bytes))
        return err_set(e, EXIT_DATA, "", "write it to a file", "a picture is written into the record (\"bytes\"), which asvr does not read");
    const char *named = json_is_string(j) ? json_string_value(j) : path_of(j, e);
    if (!named || !root_file(root, named, path, &size, e))
        return false;
    out->path = keep(kept, path);
    if (at && row)
        return err_set(e, EXIT_DATA, "", "", "a picture is both a piece of a file (\"at\") and a cell of a table (\"row\")");
    if (at && !(number(&out->at, at) && number(&out->bytes, bytes) && out->bytes > 0 && out->at <= size && out->bytes <= size - out->at)) {
        err_expected(e, "\"at\" and \"bytes\" inside the file's %lld bytes", (long long)size);
        return err_set(e, EXIT_DATA, "", "", "a picture is a piece that its file does not have");
    }
    if (row) {
        const json_t *column = json_object_get(j, "column"), *index = json_object_get(j, "index");
        if (!number(&out->row, row) || !json_string_length(column) || (index && !number(&out->index, index)))
            return err_set(e, EXIT_DATA, "", "", "a cell of a table wants numbers \"row\" and \"index\" and a name \"column\"");
        out->column = keep(kept, json_string_value(column));
    }
    return true;
}

bool picture_same(const PictureRef *a, const PictureRef *b)
{
    return !strcmp(a->path, b->path) && a->at == b->at && a->bytes == b->bytes && a->row == b->row && a->index == b->index &&
           !strcmp(a->column ? a->column : "", b->column ? b->column : "");
}
