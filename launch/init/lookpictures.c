/* lookpictures.c -- a sample of the pictures: their sizes, and whether they can be read (look.h) */
#include <stdlib.h>
#include <string.h>

#include "io/source/pictureload.h"
#include "launch/init/look.h"

enum { SIDE = 64 };

static void drop(LookPicture *p)
{
    free(p->path);
    free(p->column);
    *p = (LookPicture){ 0 };
}

void look_keep(LookSample *s, const PictureRef *ref)
{
    if (s->seen++ % s->every)
        return;
    if (s->n == LOOK_SIZES) {
        for (int i = 0; i < LOOK_SIZES; i++)
            if (i % 2)
                drop(&s->p[i]);
            else
                s->p[i / 2] = s->p[i];
        s->n = LOOK_SIZES / 2;
        s->every *= 2;
        if ((s->seen - 1) % s->every)
            return;
    }
    LookPicture *p = &s->p[s->n++];
    *p = (LookPicture){ .ref = *ref, .path = strdup(ref->path), .column = ref->column ? strdup(ref->column) : NULL };
    CHECK(p->path && (!ref->column || p->column), "no memory for a path");
    p->ref.path = p->path;
    p->ref.column = p->column;
}

void look_forget(LookSample *s)
{
    for (int i = 0; i < s->n; i++)
        drop(&s->p[i]);
    s->n = 0;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* One that cannot be read is counted; other errors than EXIT_DATA end the look. */
static bool broken(Look *l, const LookPicture *p, Err *e)
{
    if (e->code != EXIT_DATA)
        return false;
    if (!e->where[0])
        snprintf(e->where, sizeof e->where, "%.400s", p->path);
    l->broken++;
    look_trouble(l, e);
    return true;
}

bool look_pictures(Look *l, LookSample *s, Err *e)
{
    const int every = (int)max64(1, ceil_div(s->n, LOOK_PIXELS));
    uint8_t *px = malloc((size_t)3 * SIDE * SIDE);
    Pictures *p = s->n ? pictures_open(IMAGE_PIXELS, e) : NULL;
    CHECK(px, "no memory for a picture");
    for (int i = 0; p && i < s->n && !e->code; i++) {
        int64_t w = 0, h = 0;
        if (pictures_size(p, &s->p[i].ref, &w, &h, e) && w > 0 && h > 0 && w <= IMAGE_SIDE && h <= IMAGE_SIDE) {
            l->w[l->sized] = (int)w;
            l->h[l->sized++] = (int)h;
        } else if (e->code && !broken(l, &s->p[i], e)) {
            break;
        }
        if (i % every)
            continue;
        l->decoded++;
        if (!pictures_square(p, px, &s->p[i].ref, SIDE, FIT_STRETCH, e) && !broken(l, &s->p[i], e))
            break;
    }
    pictures_close(p);
    free(px);
    qsort(l->w, (size_t)l->sized, sizeof *l->w, ascending);
    qsort(l->h, (size_t)l->sized, sizeof *l->h, ascending);
    return !e->code;
}
