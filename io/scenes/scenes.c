#include "io/scenes/scenes.h"

#include <stdlib.h>

#include "io/scenes/questions.h"

struct Scenes {
    Cutouts  c;
    int      size, level;
    uint64_t seed;
};

/* What must not depend on the split: the things of a scene and what is asked whether it exists. */
typedef struct {
    int   kind, n, thing[ITEMS];               /* different things */
    Asked exists, hard;
} Plan;

static bool holds(const Plan *p, int thing)
{
    for (int i = 0; i < p->n; i++)
        if (p->thing[i] == thing)
            return true;
    return false;
}

static bool asked_absent(const Plan *p, int thing)
{
    return (p->exists.thing == thing && !p->exists.present) || (p->hard.thing == thing && !p->hard.present);
}

static void add(Plan *p, int thing) { p->thing[p->n++] = thing; }

/* The scene lacks what is asked, but shows a thing of its kind. */
static void add_sibling(Plan *p, int thing, const Cutouts *c, Rng *r)
{
    const bool letters = p->kind == SCENE_LETTERS;
    const Category *k = letters ? NULL : &c->category[c->thing[thing].category];
    const int first = letters ? 0 : k->first, n = letters ? LETTERS : k->n;
    for (int i = 0; i < p->n; i++)
        if (p->thing[i] >= first && p->thing[i] < first + n)
            return;
    int other;
    do
        other = first + (int)rng_draw(r, n);
    while (asked_absent(p, other));
    add(p, other);
}

static Plan plan(const Cutouts *c, Rng *r)
{
    static const int share[SCENE_KINDS] = { [SCENE_OBJECTS] = 34, [SCENE_ODD] = 29, [SCENE_LETTERS] = 14, [SCENE_WORDS] = 23 };
    Plan p = { .exists.thing = -1, .hard.thing = -1 };
    for (int at = (int)rng_draw(r, 100); at >= share[p.kind]; p.kind++)
        at -= share[p.kind];
    const bool things = p.kind == SCENE_OBJECTS || p.kind == SCENE_ODD;
    const int n = p.kind == SCENE_ODD ? 2 : 1 + (int)rng_draw(r, p.kind == SCENE_WORDS ? 2 : ITEMS);

    /* One thing cannot answer two questions independently. */
    const bool only_hard = rng_draw(r, 2);
    if (things && (n > 1 || !only_hard))
        p.exists = (Asked){ .thing = composition_draw(p.kind, c, r), .present = rng_draw(r, 2) };
    if (p.kind == SCENE_LETTERS || (things && (n > 1 || only_hard))) {
        do
            p.hard = (Asked){ .thing = composition_draw(p.kind, c, r), .present = rng_draw(r, 2) };
        while (p.hard.thing == p.exists.thing);
    }
    if (p.exists.thing >= 0 && p.exists.present)
        add(&p, p.exists.thing);
    if (p.hard.thing >= 0 && p.hard.present)
        add(&p, p.hard.thing);
    else if (p.hard.thing >= 0)
        add_sibling(&p, p.hard.thing, c, r);
    while (p.n < n) {
        const int thing = composition_draw(p.kind, c, r);
        if (!holds(&p, thing) && !asked_absent(&p, thing))
            add(&p, thing);
    }
    return p;
}

static void shuffle(int *x, int n, Rng *r)
{
    for (int i = n - 1; i > 0; i--) {
        const int j = (int)rng_draw(r, i + 1), t = x[i];
        x[i] = x[j], x[j] = t;
    }
}

/* The plan's things at places; items lie in the order of their places. */
static Composition lay_out(const Plan *p, int level, Rng *r)
{
    Composition k = { .kind = p->kind, .n = p->kind == SCENE_ODD ? ITEMS : p->n,
                      .color = (int)rng_draw(r, COLORS), .style = (int)rng_draw(r, level == 1 ? 2 : 3) };
    const bool words = k.kind == SCENE_WORDS;
    int thing[ITEMS] = { -1, -1, -1, -1 }, order[ITEMS] = { 0, 1, 2, 3 }, n = 0;
    k.sized = !words && (level > 1 || rng_draw(r, 3));

    int mine[ITEMS];
    for (int i = 0; i < p->n; i++)
        mine[i] = p->thing[i];
    shuffle(mine, p->n, r);
    shuffle(order, ITEMS, r);
    if (words && p->n == 2)
        thing[0] = mine[0], thing[2] = mine[1];
    else if (words)
        thing[rng_draw(r, 3)] = mine[0];
    else
        for (int i = 0; i < k.n; i++)
            thing[order[i]] = mine[k.kind == SCENE_ODD ? i > 0 : i];
    for (int i = 0; i < ITEMS; i++)
        if (thing[i] >= 0)
            k.item[n++] = (Item){ .thing = thing[i], .place = (words ? PLACE_TOP : PLACE_TOP_LEFT) + i,
                                  .large = k.sized || words ? rng_draw(r, 2) : true };
    return k;
}

static uint64_t composition_id(const Composition *k)
{
    const uint64_t stream = rng_stream("scenes.split");
    uint64_t h = rng_bits((uint64_t)k->kind, stream, (uint64_t)((k->color * 8 + k->style) * 2 + k->sized));
    for (int i = 0; i < k->n; i++)
        h = rng_bits(h, stream, (uint64_t)((k->item[i].thing * 8 + k->item[i].place) * 2 + k->item[i].large));
    return h;
}

/* Every eighth composition is evaluation's, whatever the seed. */
static bool is_eval(uint64_t id) { return id % 8 == 0; }

Scenes *scenes_open(const char *cutouts, int max_cutouts, int size, uint64_t seed, int level, Err *e)
{
    ASSERT(size > 0 && level > 0);
    Scenes *s = malloc(sizeof *s);
    CHECK(s, "no memory for scenes");
    *s = (Scenes){ .size = size, .level = level, .seed = seed };
    if (cutouts_open(&s->c, cutouts, max_cutouts, e))
        return s;
    free(s);
    return NULL;
}

void scenes_close(Scenes *s)
{
    if (!s)
        return;
    cutouts_close(&s->c);
    free(s);
}

void scenes_make(const Scenes *s, bool eval, int64_t i, Scene *out, uint8_t *pixels)
{
    enum { LAYOUTS = 256 };                    /* of one plan; a plan that has none on the asked side is drawn anew */
    ASSERT(i >= 0);
    const uint64_t own = rng_bits(s->seed, rng_stream(eval ? "scenes.eval" : "scenes.train"), (uint64_t)i);
    Rng design = { .seed = own, .stream = rng_stream("scenes.design") };
    Rng words  = { .seed = own, .stream = rng_stream("scenes.words") };
    Rng paint  = { .seed = own, .stream = rng_stream("scenes.paint") };
    Composition k;
    Plan p;
    for (int tries = 0; !tries || is_eval(out->id) != eval; tries++) {
        if (tries % LAYOUTS == 0)
            p = plan(&s->c, &design);
        k = lay_out(&p, s->level, &design);
        out->id = composition_id(&k);
    }
    scene_caption(out, &k, &s->c);
    scene_questions(out, &k, &p.exists, &p.hard, &s->c, &words);
    if (pixels)
        compose(pixels, s->size, s->level, &k, &s->c, &paint);
}

const char *scene_task(int task)
{
    static const char *const name[TASKS] = {
        "name", "category", "caption", "background", "letter", "word", "living", "count",
        "position", "relation", "size", "odd", "exists", "exists-hard"
    };
    ASSERT(task >= 0 && task < TASKS);
    return name[task];
}
