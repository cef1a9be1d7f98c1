#include "io/scenes/cutouts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/scenes/draw.h"
#include "io/image/image.h"
#include "io/scenes/stamps.h"

static bool is_living(const char *category)
{
    return !strcmp(category, "animal") || !strcmp(category, "plant") || !strcmp(category, "person");
}

/* Neither a speck nor a needle nor a full rectangle: it can be known by its outline. */
static bool good_shape(const Cuts *c)
{
    const Cut *k = &c->cut[0];
    const int most = k->w > k->h ? k->w : k->h, least = k->w > k->h ? k->h : k->w;
    int64_t seen = 0, all = (int64_t)k->w * k->h;
    for (int64_t i = 0; i < all; i++)
        seen += k->px[4 * i + 3] >= 128;
    return most >= 40 && 5 * most <= 13 * least && seen * 5 >= all * 2 && seen * 100 <= all * 97;
}

/* false with e set only when the file is broken; *good tells whether it makes a cut-out. */
static bool load(Cuts *c, const char *path, const ImageOps *ops, bool *good, Err *e)
{
    Image im = { 0 };
    *good = false;
    if (!ops->load(&im, path, CUT_SIDE, e))
        return false;
    *good = im.bands == 4 && cuts_set(c, im.px, im.w, im.h);
    image_free(&im);
    return true;
}

/* What a glance sees: 8 x 8 pixels; the squared difference of two. */
enum { GLANCE = 8 };
static int64_t unlike(const Cutout *a, const Cutout *b)
{
    uint8_t p[4 * GLANCE], q[4 * GLANCE];
    int64_t sum = 0;
    for (int y = 0; y < GLANCE; y++) {
        resample_row(p, y, GLANCE, GLANCE, &a->cuts.cut[CUT_SIZES - 1]);
        resample_row(q, y, GLANCE, GLANCE, &b->cuts.cut[CUT_SIZES - 1]);
        for (int i = 0; i < 4 * GLANCE; i++)
            sum += (p[i] - q[i]) * (p[i] - q[i]);
    }
    return sum;
}

/* Orders t so that each is as unlike as can be to all before it. */
static void spread(Cutout *t, int n)
{
    int64_t *near = malloc((size_t)n * sizeof *near);
    CHECK(near, "no memory for %d cut-outs", n);
    for (int i = 0; i < n; i++)
        near[i] = INT64_MAX;
    for (int i = 1; i < n; i++) {
        int far = i;
        for (int j = i; j < n; j++) {
            near[j] = min64(near[j], unlike(&t[i - 1], &t[j]));
            far = near[j] > near[far] ? j : far;
        }
        const Cutout swap = t[i];
        const int64_t was = near[i];
        t[i] = t[far], t[far] = swap;
        near[far] = was;
    }
    free(near);
}

/* One names what the other does: "bear", "brown bear".  But a tow truck is no fire truck. */
static bool same_noun(const char *a, const char *b)
{
    const char *x = strrchr(a, ' '), *y = strrchr(b, ' ');
    return !strcmp(a, b) || (y && !x && !strcmp(a, y + 1)) || (x && !y && !strcmp(x + 1, b));
}

static bool is_new(const Cutouts *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (same_noun(c->thing[i].name, name))
            return false;
    return true;
}

/* Loads up to `most` things of the stamps [first, last), one category, behind those of c. */
static bool load_category(Cutouts *c, const Stamp *f, int first, int last, int most, const ImageOps *ops, Err *e)
{
    Category *k = &c->category[c->categories];
    *k = (Category){ .living = is_living(f[first].category), .first = c->n };
    snprintf(k->name, sizeof k->name, "%s", f[first].category);
    for (int i = first; i < last && k->n < most; i++) {
        Cutout *t = &c->thing[c->n];
        bool good;
        if (!is_new(c, f[i].name))
            continue;
        if (!load(&t->cuts, f[i].path, ops, &good, e))
            return false;
        if (!good || !good_shape(&t->cuts)) {
            cuts_free(&t->cuts);
            continue;
        }
        memcpy(t->name, f[i].name, sizeof t->name);
        t->category = c->categories;
        c->n++, k->n++;
    }
    c->categories++;
    return true;
}

/* Keeps the first keep[c] things of each category and closes the gaps. */
static void trim(Cutouts *c, const int *keep)
{
    int n = 0, categories = 0;
    for (int g = 0; g < c->categories; g++) {
        Category k = c->category[g];
        for (int i = keep[g]; i < k.n; i++)
            cuts_free(&c->thing[k.first + i].cuts);
        memmove(&c->thing[n], &c->thing[k.first], (size_t)keep[g] * sizeof *c->thing);
        for (int i = 0; i < keep[g]; i++)
            c->thing[n + i].category = categories;
        k.first = n, k.n = keep[g];
        n += k.n;
        if (k.n)
            c->category[categories++] = k;
    }
    c->n = n, c->categories = categories;
}

/* Categories take turns until there are max (0 = all). */
static void choose(Cutouts *c, int max)
{
    int keep[CATEGORIES] = { 0 }, total = 0, before = -1;
    for (int g = 0; g < c->categories; g++)
        if (max && c->category[g].n)
            spread(&c->thing[c->category[g].first], c->category[g].n);
    while (total != before) {
        before = total;
        for (int g = 0; g < c->categories; g++)
            if (c->category[g].n >= CATEGORY_LEAST && keep[g] < c->category[g].n && (!max || total < max))
                keep[g]++, total++;
    }
    trim(c, keep);
}

static bool load_things(Cutouts *c, const Stamps *f, int max, const ImageOps *ops, Err *e)
{
    int kinds = 0;
    for (int i = 0; i < f->n; i++)
        kinds += !i || strcmp(f->at[i].category, f->at[i - 1].category);
    /* Twice the share: enough to choose from, with familiar names, without loading the whole collection. */
    const int most = max ? 2 * (int)ceil_div(max, kinds ? kinds : 1) + CATEGORY_LEAST : f->n;
    for (int i = 0, j; i < f->n && c->categories < CATEGORIES; i = j) {
        for (j = i; j < f->n && !strcmp(f->at[j].category, f->at[i].category);)
            j++;
        if (!load_category(c, f->at, i, j, most, ops, e))
            return false;
    }
    choose(c, max);
    return true;
}

static void draw_letters(Cutouts *c)
{
    static uint8_t px[CUT_SIDE * CUT_SIDE * 4];
    for (int l = 0; l < LETTERS; l++) {
        cuts_free(&c->letter[l]);
        draw(px, CUT_SIDE, draw_letter(l), false);
        cuts_set(&c->letter[l], px, CUT_SIDE, CUT_SIDE);
    }
    c->letters_drawn = true;
}

static bool load_letters(Cutouts *c, const Stamps *f, const ImageOps *ops, Err *e)
{
    for (int l = 0; l < LETTERS; l++) {
        bool good = f->letter[l] != NULL;
        if (good && !load(&c->letter[l], f->letter[l], ops, &good, e))
            return false;
        if (!good) {
            draw_letters(c);
            return true;
        }
    }
    return true;
}

static void draw_things(Cutouts *c)
{
    static uint8_t px[CUT_SIDE * CUT_SIDE * 4];
    for (const Drawing *d = drawings; d->name; d++) {
        if (d == drawings || strcmp(d->category, d[-1].category)) {
            Category *next = &c->category[c->categories++];
            *next = (Category){ .living = is_living(d->category), .first = c->n };
            snprintf(next->name, sizeof next->name, "%s", d->category);
        }
        Cutout *t = &c->thing[c->n++];
        snprintf(t->name, sizeof t->name, "%s", d->name);
        t->category = c->categories - 1;
        draw(px, CUT_SIDE, d->art, true);
        cuts_set(&t->cuts, px, CUT_SIDE, CUT_SIDE);
        c->category[t->category].n++;
    }
}

static bool cutouts_load(Cutouts *c, Stamps *f, const char *folder, int max, Err *e)
{
    const char *hint = "apt install tuxpaint-stamps-default, or data.cutouts = \"\" for drawn cut-outs";
    if (!stamps_find(f, folder))
        return err_set(e, EXIT_DATA, folder, hint, "cannot read the folder of cut-outs: %s", strerror(errno));
    const ImageOps *ops = image_ops(e);
    c->thing = calloc((size_t)f->n + 1, sizeof *c->thing);
    CHECK(c->thing, "no memory for %d cut-outs", f->n);
    if (!ops || !load_things(c, f, max, ops, e) || !load_letters(c, f, ops, e))
        return false;
    if (c->n < 2 * CATEGORY_LEAST) {
        err_expected(e, "%d PNG files with alpha, each with a caption of one or two words in a .txt beside it", 2 * CATEGORY_LEAST);
        err_got(e, "%d usable of %d found", c->n, f->n);
        return err_set(e, EXIT_DATA, folder, hint, "too few cut-outs");
    }
    return true;
}

bool cutouts_open(Cutouts *c, const char *folder, int max, Err *e)
{
    *c = (Cutouts){ 0 };
    if (folder[0]) {
        Stamps f;
        const bool ok = cutouts_load(c, &f, folder, max, e);
        stamps_free(&f);
        if (!ok)
            cutouts_close(c);
        return ok;
    }
    int n = 0;
    while (drawings[n].name)
        n++;
    c->thing = calloc((size_t)n, sizeof *c->thing);
    CHECK(c->thing, "no memory for %d cut-outs", n);
    draw_things(c);
    choose(c, max);
    draw_letters(c);
    if (c->n >= 2 * CATEGORY_LEAST)
        return true;
    cutouts_close(c);
    return err_set(e, EXIT_CONFIG, "", "0 = all", "%d cut-outs are too few, at least %d", max, 2 * CATEGORY_LEAST);
}

void cutouts_close(Cutouts *c)
{
    for (int i = 0; i < c->n; i++)
        cuts_free(&c->thing[i].cuts);
    for (int l = 0; l < LETTERS; l++)
        cuts_free(&c->letter[l]);
    free(c->thing);
    *c = (Cutouts){ 0 };
}
