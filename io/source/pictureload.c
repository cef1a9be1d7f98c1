#include "io/source/pictureload.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/files.h"
#include "io/image/header.h"
#include "io/source/parquet.h"

struct Pictures {
    const ImageOps *image;
    int64_t  most;                 /* bytes of a piece */
    char     path[PATH_ROOM];      /* of what is open: fd or table; "" for nothing */
    int      fd;
    ParquetFile *table;
    uint8_t *bytes;
    int64_t  cap;
};

Pictures *pictures_open(int64_t max_pixels, Err *e)
{
    const ImageOps *image = image_ops(e);
    if (!image)
        return NULL;
    Pictures *p = calloc(1, sizeof *p);
    CHECK(p, "no memory for pictures");
    image->allow(max_pixels);
    *p = (Pictures){ .image = image, .most = 8 * max_pixels + (1 << 20), .fd = -1 };
    return p;
}

static void let_go(Pictures *p)
{
    if (p->fd >= 0)
        file_close(p->fd);
    parquet_close(p->table);
    p->fd = -1;
    p->table = NULL;
    p->path[0] = 0;
}

void pictures_close(Pictures *p)
{
    if (!p)
        return;
    let_go(p);
    free(p->bytes);
    free(p);
}

/* The container stays, or another one is opened. */
static bool take(Pictures *p, const char *path, bool table, Err *e)
{
    if (!strcmp(p->path, path) && table == (p->table != NULL))
        return true;
    let_go(p);
    if (table)
        p->table = parquet_open(path, path, e);
    else if ((p->fd = file_open(path, O_RDONLY)) < 0)
        file_error(e, path, "read a picture");
    return !e->code && path_set(p->path, e, "%s", path);
}

static bool piece(Pictures *p, const PictureRef *r, Err *e)
{
    if (r->bytes > p->most) {
        err_expected(e, "%lld bytes at most, by data.max_pixels", (long long)p->most);
        err_got(e, "%lld bytes", (long long)r->bytes);
        return err_set(e, EXIT_DATA, r->path, "", "a picture is too large");
    }
    if (r->bytes > p->cap) {
        free(p->bytes);
        p->bytes = malloc((size_t)r->bytes);
        CHECK(p->bytes, "no memory for a picture of %lld bytes", (long long)r->bytes);
        p->cap = r->bytes;
    }
    if (!take(p, r->path, false, e))
        return false;
    const int64_t n = file_pread(p->fd, p->bytes, r->bytes, r->at);
    if (n < 0)
        return file_error(e, r->path, "read a picture");
    return n == r->bytes || err_set(e, EXIT_DATA, r->path, "", "the file became shorter while it was read");
}

/* The bytes of a picture that is no file of its own, and what messages call it. */
static bool inside(Pictures *p, const PictureRef *ref, char name[500], const uint8_t **bytes, size_t *n, Err *e)
{
    const char *path = ref->path + (strncmp(ref->path, "./", 2) ? 0 : 2);
    if (ref->column) {
        snprintf(name, 500, "%.380s: row %lld, %.80s", path, (long long)ref->row, ref->column);
        return take(p, ref->path, true, e) && parquet_picture(p->table, name, ref->row, ref->column, ref->index, bytes, n, e) &&
               ((int64_t)*n <= p->most || err_set(e, EXIT_DATA, name, "", "a picture is too large"));
    }
    snprintf(name, 500, "%.440s: byte %lld", path, (long long)ref->at);
    *n = (size_t)ref->bytes;
    if (!piece(p, ref, e))
        return false;
    *bytes = p->bytes;
    return true;
}

bool pictures_square(Pictures *p, uint8_t *out, const PictureRef *ref, int size, int fit, Err *e)
{
    char name[500];
    const uint8_t *bytes;
    size_t n;
    if (picture_whole(ref))
        return p->image->load_square(out, ref->path, size, fit, e);
    return inside(p, ref, name, &bytes, &n, e) && p->image->load_square_bytes(out, bytes, n, name, size, fit, e);
}

bool pictures_size(Pictures *p, const PictureRef *ref, int64_t *w, int64_t *h, Err *e)
{
    char name[500];
    const uint8_t *bytes;
    size_t n;
    *w = *h = 0;
    if (picture_whole(ref))
        picture_size(ref->path, w, h);
    else if (!inside(p, ref, name, &bytes, &n, e))
        return false;
    else
        picture_size_bytes(bytes, n, w, h);
    return true;
}
