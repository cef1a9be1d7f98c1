/*
 * cutouts.h -- the things that scenes are made of: pictures with alpha, each with a name and a category
 *
 * From a folder (io/scenes/stamps.h): what is large, compact and transparent around; categories below CATEGORY_LEAST
 * things are dropped, and where a capital letter is missing, all 26 are drawn.
 * With `max`, categories take turns, and each gives the thing that looks most unlike those it gave before.
 * The same folder gives the same set: files are taken in the order of their bytes.
 *
 * Drawn: polygons, ellipses and strokes, listed in io/scenes/draw.c.  Local.
 */
#pragma once
#include "io/scenes/cut.h"
#include "io/base/err.h"
#include "io/scenes/stamps.h"

enum { CATEGORIES = 24, CATEGORY_LEAST = 4 };

typedef struct {
    char name[24];
    int  category;
    Cuts cuts;
} Cutout;

typedef struct {
    char name[24];
    bool living;                               /* animals, plants, people */
    int  first, n;                             /* its things are thing[first .. first + n) */
} Category;

typedef struct {
    int      n, categories;
    Cutout  *thing;                            /* (n), by category */
    Category category[CATEGORIES];
    Cuts     letter[LETTERS];
    bool     letters_drawn;
} Cutouts;

/* "" = the drawn ones; max 0 = all.  false with e set: unreadable, or too few usable cut-outs. */
bool cutouts_open(Cutouts *c, const char *folder, int max, Err *e);
void cutouts_close(Cutouts *c);
