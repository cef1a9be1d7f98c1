#include "io/scenes/questions.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const place_name[] = {
    "top left", "top right", "bottom left", "bottom right", "top", "center", "bottom"
};

typedef struct {
    Scene *out;
    const Composition *k;
    const Cutouts *c;
    const Asked *exists, *hard;
    Rng  *r;
    int   item;                                /* whose turn it is: consecutive attempts ask about different items */
} Ask;

enum { PHRASE = 48 };

/* "a dog", "an owl", "the letter B"; adjective is "" or "large ". */
static void phrase(char out[PHRASE], const char *article, const char *adjective, int kind, int thing, const Cutouts *c)
{
    if (kind == SCENE_LETTERS)
        snprintf(out, PHRASE, "%s %sletter %c", article, adjective, 'A' + thing);
    else if (kind == SCENE_WORDS)
        snprintf(out, PHRASE, "%s %sword %s", article, adjective, word_list[thing]);
    else {
        const char *name = c->thing[thing].name;
        const bool vowel = !adjective[0] && !strcmp(article, "a") && strchr("aeiou", name[0]) && strncmp(name, "uni", 3);
        snprintf(out, PHRASE, "%s%s %s%s", article, vowel ? "n" : "", adjective, name);
    }
}

static void the(char out[PHRASE], const Ask *a, int thing)
{
    phrase(out, "the", "", a->k->kind, thing, a->c);
}

/* Letters and words are names: "the letter B", but "a large letter B". */
static void shown(char out[PHRASE], const char *adjective, const Composition *k, int thing, const Cutouts *c)
{
    const bool name = (k->kind == SCENE_LETTERS || k->kind == SCENE_WORDS) && !adjective[0];
    phrase(out, name ? "the" : "a", adjective, k->kind, thing, c);
}

/* The item that occurs once: any but the three alike of an odd scene. */
static bool is_single(const Composition *k, int i)
{
    for (int j = 0; j < k->n; j++)
        if (j != i && k->item[j].thing == k->item[i].thing)
            return false;
    return true;
}

static int single(const Ask *a)
{
    int i = a->item % a->k->n;
    while (!is_single(a->k, i))
        i = (i + 1) % a->k->n;
    return i;
}

void scene_caption(Scene *out, const Composition *k, const Cutouts *c)
{
    char *s = out->caption, what[PHRASE];
    const size_t room = sizeof out->caption;
    int at = 0, said = 0, others = -1;
    for (int i = 0; i < k->n; i++) {
        if (!is_single(k, i)) {
            others = k->item[i].thing;
            continue;
        }
        const char *size = !k->sized ? "" : k->item[i].large ? "large " : "small ";
        const char *join = !said++ ? "" : i < k->n - 1 ? ", " : " and ";
        shown(what, size, k, k->item[i].thing, c);
        at += snprintf(s + at, room - (size_t)at, "%s%s at the %s", join, what, place_name[k->item[i].place]);
    }
    if (others >= 0) {
        shown(what, "", k, others, c);
        at += snprintf(s + at, room - (size_t)at, " and %s at every other place", what);
    }
    const char *color = color_name[k->color];
    at += snprintf(s + at, room - (size_t)at, " on a%s %s background", strchr("aeiou", color[0]) ? "n" : "", color);
    ASSERT((size_t)at < room);
}

__attribute__((format(printf, 4, 5)))
static void ask(Ask *a, int task, const char *answer, const char *fmt, ...)
{
    Scene *s = a->out;
    if (s->n == SCENE_QUESTIONS)
        return;
    SceneQuestion *q = &s->q[s->n];
    va_list ap;
    va_start(ap, fmt);
    const int len = vsnprintf(q->question, sizeof q->question, fmt, ap);
    va_end(ap);
    CHECK(len < (int)sizeof q->question, "a question of %d bytes: %s", len, q->question);
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->q[i].question, q->question))
            return;
    q->task = task;
    snprintf(q->answer, sizeof q->answer, "%s", answer);
    s->n++;
}

static const Item *turn(const Ask *a) { return &a->k->item[a->item % a->k->n]; }

static void ask_name(Ask *a)
{
    const Item *t = turn(a);
    ask(a, TASK_NAME, a->c->thing[t->thing].name, "what is at the %s?", place_name[t->place]);
}

static void ask_category(Ask *a)
{
    const Item *t = turn(a);
    if (a->c->categories > 1)
        ask(a, TASK_CATEGORY, a->c->category[a->c->thing[t->thing].category].name,
            "what kind of thing is at the %s?", place_name[t->place]);
}

static void ask_caption(Ask *a)
{
    const Composition *k = a->k;
    const int first = k->kind == SCENE_WORDS ? PLACE_TOP : PLACE_TOP_LEFT, places = k->kind == SCENE_WORDS ? 3 : 4;
    const int i = a->item % k->n;
    const Item right = k->item[i];
    Item wrong = right;
    if (rng_draw(a->r, 2) && is_single(k, i))
        wrong.place = first + (right.place - first + 1 + (int)rng_draw(a->r, places - 1)) % places;
    else
        wrong.thing = composition_absent(k, a->c, a->r);

    const bool flip = rng_draw(a->r, 2);
    const Item *x = flip ? &wrong : &right, *y = flip ? &right : &wrong;
    char sx[PHRASE], sy[PHRASE];
    shown(sx, "", k, x->thing, a->c), shown(sy, "", k, y->thing, a->c);
    ask(a, TASK_CAPTION, flip ? "b" : "a", "which caption fits? (a) %s at the %s (b) %s at the %s", sx,
        place_name[x->place], sy, place_name[y->place]);
}

static void ask_background(Ask *a)
{
    ask(a, TASK_BACKGROUND, color_name[a->k->color], "what color is the background?");
}

static void ask_letter(Ask *a)
{
    const Item *t = turn(a);
    ask(a, TASK_LETTER, (char[]){ (char)('A' + t->thing), 0 }, "which letter is at the %s?", place_name[t->place]);
}

static void ask_word(Ask *a)
{
    const Item *t = turn(a);
    ask(a, TASK_WORD, word_list[t->thing], "which word is at the %s?", place_name[t->place]);
}

/* Categories are equally likely in a scene: thinning the larger side by their numbers makes yes and no so too. */
static void ask_living(Ask *a)
{
    const Item *t = turn(a);
    int side[2] = { 0, 0 };
    for (int g = 0; g < a->c->categories; g++)
        side[a->c->category[g].living]++;
    const bool living = a->c->category[a->c->thing[t->thing].category].living;
    if (rng_draw(a->r, side[living]) < side[!living])
        ask(a, TASK_LIVING, living ? "yes" : "no", "is the thing at the %s alive?", place_name[t->place]);
}

static void ask_count(Ask *a)
{
    static const char *const number[] = { "one", "two", "three", "four" };
    ask(a, TASK_COUNT, number[a->k->n - 1], "how many %s are there?", a->k->kind == SCENE_LETTERS ? "letters" : "things");
}

static void ask_position(Ask *a)
{
    char what[PHRASE];
    const Item *t = &a->k->item[single(a)];
    the(what, a, t->thing);
    ask(a, TASK_POSITION, place_name[t->place], "where is %s?", what);
}

static int column(int place) { return place < PLACE_TOP ? place & 1 : 0; }
static int row(int place)    { return place < PLACE_TOP ? place >> 1 : place - PLACE_TOP; }

static void ask_relation(Ask *a)
{
    const Composition *k = a->k;
    if (k->n < 2)
        return;
    const int i = (int)rng_draw(a->r, k->n), j = (i + 1 + (int)rng_draw(a->r, k->n - 1)) % k->n;
    const int p = k->item[i].place, q = k->item[j].place;
    const bool left = column(p) != column(q) && (row(p) == row(q) || rng_draw(a->r, 2));
    const bool yes = left ? column(p) < column(q) : row(p) < row(q);
    char one[PHRASE], two[PHRASE];
    the(one, a, k->item[i].thing), the(two, a, k->item[j].thing);
    ask(a, TASK_RELATION, yes ? "yes" : "no", "is %s %s %s?", one, left ? "left of" : "above", two);
}

static void ask_size(Ask *a)
{
    if (!a->k->sized)
        return;
    const Item *t = &a->k->item[single(a)];
    char what[PHRASE];
    the(what, a, t->thing);
    ask(a, TASK_SIZE, t->large ? "large" : "small", "is %s large or small?", what);
}

static void ask_odd(Ask *a)
{
    ask(a, TASK_ODD, place_name[a->k->item[single(a)].place], "which place holds another thing?");
}

static void ask_whether(Ask *a, int task, const Asked *what)
{
    if (what->thing < 0)
        return;
    char name[PHRASE];
    phrase(name, "a", "", a->k->kind, what->thing, a->c);
    ask(a, task, what->present ? "yes" : "no", "is there %s?", name);
}

static void ask_exists(Ask *a)      { ask_whether(a, TASK_EXISTS, a->exists); }
static void ask_exists_hard(Ask *a) { ask_whether(a, TASK_EXISTS_HARD, a->hard); }

/* How often a task is tried in a scene of each kind, in tenths; so chosen that all tasks are asked about equally often. */
static const struct {
    void (*ask)(Ask *);
    int   tenths[SCENE_KINDS];                 /* objects, odd, letters, words */
} tasks[TASKS] = {
    [TASK_NAME]        = { ask_name,        { 10,  3,  0,  0 } },
    [TASK_CATEGORY]    = { ask_category,    { 10,  3,  0,  0 } },
    [TASK_CAPTION]     = { ask_caption,     {  4,  2,  2,  9 } },
    [TASK_BACKGROUND]  = { ask_background,  {  2,  2,  2,  8 } },
    [TASK_LETTER]      = { ask_letter,      {  0,  0, 40,  0 } },
    [TASK_WORD]        = { ask_word,        {  0,  0,  0, 20 } },
    [TASK_LIVING]      = { ask_living,      { 14,  7,  0,  0 } },
    [TASK_COUNT]       = { ask_count,       {  8,  0,  8,  0 } },
    [TASK_POSITION]    = { ask_position,    {  8,  3,  6,  0 } },
    [TASK_RELATION]    = { ask_relation,    { 10,  0,  8,  6 } },
    [TASK_SIZE]        = { ask_size,        {  8,  3,  8,  0 } },
    [TASK_ODD]         = { ask_odd,         {  0, 10,  0,  0 } },
    [TASK_EXISTS]      = { ask_exists,      { 10,  4,  0,  0 } },
    [TASK_EXISTS_HARD] = { ask_exists_hard, { 10,  1,  8,  0 } },
};

void scene_questions(Scene *out, const Composition *k, const Asked *exists, const Asked *hard, const Cutouts *c, Rng *r)
{
    Ask a = { .out = out, .k = k, .c = c, .exists = exists, .hard = hard, .r = r };
    out->n = 0;
    for (int t = 0; t < TASKS; t++) {
        const int often = tasks[t].tenths[k->kind];
        const int times = often / 10 + (rng_draw(r, 10) < often % 10);
        a.item = (int)rng_draw(r, k->n);
        for (int i = 0; i < times; i++, a.item++)
            tasks[t].ask(&a);
    }
    if (out->n < 3)
        ask_background(&a);
    if (out->n < 3)
        ask_caption(&a);
    for (int i = out->n - 1; i > 0; i--) {
        const int j = (int)rng_draw(r, i + 1);
        const SceneQuestion q = out->q[i];
        out->q[i] = out->q[j], out->q[j] = q;
    }
}
