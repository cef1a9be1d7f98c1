/* Scenes: balance, no answer in the question's words, purity, the split, agreement of captions, answers and pixels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/scenes/compose.h"
#include "io/scenes/draw.h"
#include "io/image/image.h"
#include "io/scenes/scenes.h"

enum { MANY = 20000 };

static Scenes *open_drawn(int size, uint64_t seed, int level)
{
    Err e = { 0 };
    Scenes *s = scenes_open("", 0, size, seed, level, &e);
    assert_non_null(s);
    return s;
}

typedef struct {
    char key[176], answer[48];                 /* key = task and question */
    int  task, half;
} Pair;

static int by_key(const void *a, const void *b)
{
    const Pair *x = a, *y = b;
    const int key = strcmp(x->key, y->key);
    return key ? key : x->half != y->half ? x->half - y->half : strcmp(x->answer, y->answer);
}

static int by_answer(const void *a, const void *b)
{
    const Pair *x = a, *y = b;
    return x->task != y->task ? x->task - y->task : strcmp(x->answer, y->answer);
}

static Pair *gather(const Scenes *s, bool eval, int64_t *n)
{
    static Scene c;
    Pair *p = malloc((size_t)MANY * SCENE_QUESTIONS * sizeof *p);
    assert_non_null(p);
    *n = 0;
    for (int i = 0; i < MANY; i++) {
        scenes_make(s, eval, i, &c, NULL);
        assert_true(c.n >= 2 && c.n <= SCENE_QUESTIONS);
        for (int q = 0; q < c.n; q++) {
            Pair *t = &p[(*n)++];
            *t = (Pair){ .task = c.q[q].task, .half = i & 1 };
            snprintf(t->key, sizeof t->key, "%c%s", 'a' + t->task, c.q[q].question);
            memcpy(t->answer, c.q[q].answer, sizeof t->answer);
            assert_true(t->answer[0]);
        }
    }
    return p;
}

/* count[task]; often[task] = the most frequent answer's count; best[task] = that answer. */
static void frequencies(Pair *p, int64_t n, int *count, int *often, char best[][48])
{
    qsort(p, (size_t)n, sizeof *p, by_answer);
    memset(count, 0, TASKS * sizeof *count);
    memset(often, 0, TASKS * sizeof *often);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && by_answer(&p[i], &p[j]) == 0;)
            j++;
        const int t = p[i].task, times = (int)(j - i);
        count[t] += times;
        if (times > often[t]) {
            often[t] = times;
            strcpy(best[t], p[i].answer);
        }
    }
}

/* Learns each question's most frequent answer from one half; right[task] of tried[task] in the other. */
static void look_up(Pair *p, int64_t n, char best[][48], int *right, int *tried)
{
    qsort(p, (size_t)n, sizeof *p, by_key);
    memset(right, 0, TASKS * sizeof *right);
    memset(tried, 0, TASKS * sizeof *tried);
    for (int64_t i = 0, j; i < n; i = j) {
        const char *guess = best[p[i].task];
        int64_t most = 0, k;
        for (j = i; j < n && !strcmp(p[i].key, p[j].key) && p[j].half == 0; j = k) {
            for (k = j; k < n && by_key(&p[j], &p[k]) == 0;)
                k++;
            if (k - j > most)
                most = k - j, guess = p[j].answer;
        }
        for (; j < n && !strcmp(p[i].key, p[j].key); j++) {
            right[p[j].task] += !strcmp(p[j].answer, guess);
            tried[p[j].task]++;
        }
    }
}

static void check_balance(int level, bool eval)
{
    /* What guessing may reach.  Names: 1/36, words 1/64, letters 1/26, categories 1/6, colors 1/8; the rest says itself. */
    static const double fair[TASKS] = {
        [TASK_NAME] = 1.0 / 36, [TASK_CATEGORY] = 1.0 / 6, [TASK_CAPTION] = 0.5, [TASK_BACKGROUND] = 1.0 / COLORS,
        [TASK_LETTER] = 1.0 / 26, [TASK_WORD] = 1.0 / WORDS, [TASK_LIVING] = 0.5, [TASK_COUNT] = 0.25,
        [TASK_POSITION] = 0.25, [TASK_RELATION] = 0.5, [TASK_SIZE] = 0.5, [TASK_ODD] = 0.25, [TASK_EXISTS] = 0.5,
        [TASK_EXISTS_HARD] = 0.5
    };
    static char best[TASKS][48];
    int count[TASKS], often[TASKS], right[TASKS], tried[TASKS], least = 1 << 30, most = 0;
    int64_t n;
    Scenes *s = open_drawn(64, 1, level);
    Pair *p = gather(s, eval, &n);
    frequencies(p, n, count, often, best);
    look_up(p, n, best, right, tried);
    for (int t = 0; t < TASKS; t++) {
        const double top = (double)often[t] / count[t], found = (double)right[t] / tried[t];
        print_message("%-12s %6d  most frequent %.3f  from the question %.3f  (fair %.3f)\n", scene_task(t), count[t], top,
                      found, fair[t]);
        /* Over 4000 answers a task: three standard deviations of a coin are 0.024; lookups see half of them. */
        assert_true(top < fair[t] + 0.025);
        assert_true(found < fair[t] + 0.035);
        least = count[t] < least ? count[t] : least;
        most = count[t] > most ? count[t] : most;
    }
    print_message("%.2f questions a scene\n", (double)n / MANY);
    assert_true(most < 2 * least);             /* all tasks about equally often */
    free(p);
    scenes_close(s);
}

static void test_balance_train(void **state) { (void)state; check_balance(2, false); }
static void test_balance_eval(void **state)  { (void)state; check_balance(2, true); }
static void test_balance_easy(void **state)  { (void)state; check_balance(1, false); }

/* The place at which the caption puts a thing ("dog", "letter B"), or NULL. */
static const char *place_in(const char *caption, const char *thing)
{
    static char place[24];
    char phrase[64];
    snprintf(phrase, sizeof phrase, " %s at the ", thing);
    const char *at = strstr(caption, phrase);
    if (!at)
        return NULL;
    at += strlen(phrase);
    size_t n = strcspn(at, ",");
    for (const char *stop = at; *stop; stop++)
        if (!strncmp(stop, " and ", 5) || !strncmp(stop, " on ", 4)) {
            n = (size_t)(stop - at) < n ? (size_t)(stop - at) : n;
            break;
        }
    snprintf(place, sizeof place, "%.*s", (int)n, at);
    return place;
}

/* Reads the caption, which was written without looking at the questions; true when it could judge. */
static bool check_answer(const char *caption, const SceneQuestion *q)
{
    char one[48], two[48], want[128], how[16];
    const bool yes = !strcmp(q->answer, "yes"), others = strstr(caption, "at every other place");
    switch (q->task) {
    case TASK_BACKGROUND:
        snprintf(want, sizeof want, " %s background", q->answer);
        assert_non_null(strstr(caption, want));
        return true;
    case TASK_NAME:
        if (!others)
            assert_int_equal(strncmp(place_in(caption, q->answer), q->question + strlen("what is at the "),
                                     strlen(q->question) - strlen("what is at the ?")), 0);
        return !others;
    case TASK_POSITION:
        assert_int_equal(sscanf(q->question, "where is the %47[^?]?", one), 1);
        assert_string_equal(place_in(caption, one), q->answer);
        return true;
    case TASK_COUNT: {
        int n = 0;
        static const char *const number[] = { "none", "one", "two", "three", "four" };
        for (const char *at = caption; (at = strstr(at, " at the ")); at++)
            n++;
        assert_string_equal(number[n], q->answer);
        return true;
    }
    case TASK_RELATION:
        assert_int_equal(sscanf(q->question, "is the %47[^?]?", one), 1);
        snprintf(how, sizeof how, "%s", strstr(one, " left of the ") ? " left of the " : " above the ");
        snprintf(two, sizeof two, "%s", strstr(one, how) + strlen(how));
        *strstr(one, how) = 0;
        snprintf(want, sizeof want, "%s", place_in(caption, one));
        const char *word = how[1] == 'l' ? "left" : "top", *not = how[1] == 'l' ? "right" : "bottom";
        assert_int_equal(strstr(want, word) && strstr(place_in(caption, two), not), yes);
        return true;
    case TASK_EXISTS: case TASK_EXISTS_HARD:
        assert_int_equal(sscanf(q->question, "is there a%*[n] %47[^?]?", one) == 1 ||
                         sscanf(q->question, "is there a %47[^?]?", one) == 1, true);
        snprintf(want, sizeof want, " %s at ", one);
        assert_int_equal(strstr(caption, want) != NULL, yes);
        return true;
    case TASK_SIZE:
        assert_int_equal(sscanf(q->question, "is the %47[^?]?", one), 1);
        *strstr(one, " large or small") = 0;
        snprintf(want, sizeof want, "%s %s at the", q->answer, one);
        assert_non_null(strstr(caption, want));
        return true;
    case TASK_CAPTION:
        if (others)
            return false;
        const char *b = strstr(q->question, " (b) ");
        snprintf(want, sizeof want, "%.*s", (int)(b - strstr(q->question, "(a) ") - 4), strstr(q->question, "(a) ") + 4);
        const char *first = strchr(want, ' ') + 1, *second = strchr(b + 5, ' ') + 1;      /* without articles */
        assert_int_equal(strstr(caption, first) != NULL, q->answer[0] == 'a');
        assert_int_equal(strstr(caption, second) != NULL, q->answer[0] == 'b');
        return true;
    default:
        return false;
    }
}

static void test_answers(void **state)
{
    (void)state;
    static Scene c;
    int judged[TASKS] = { 0 };
    Scenes *s = open_drawn(64, 3, 2);
    for (int i = 0; i < MANY; i++) {
        scenes_make(s, i & 1, i, &c, NULL);
        for (int q = 0; q < c.n; q++) {
            judged[c.q[q].task] += check_answer(c.caption, &c.q[q]);
            for (int j = 0; j < q; j++)
                assert_string_not_equal(c.q[j].question, c.q[q].question);
        }
    }
    for (int t = 0; t < TASKS; t++)
        if (t != TASK_CATEGORY && t != TASK_LETTER && t != TASK_WORD && t != TASK_LIVING && t != TASK_ODD)
            assert_true(judged[t] > 1000);
    scenes_close(s);
}

static int by_id(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Under other seeds and in the other stream: no composition twice, though within a stream some come again. */
static void test_split(void **state)
{
    (void)state;
    static Scene c;
    static uint64_t train[MANY];
    int again = 0;
    Scenes *s = open_drawn(64, 1, 2), *other = open_drawn(64, 2, 2);
    for (int i = 0; i < MANY; i++) {
        scenes_make(s, false, i, &c, NULL);
        train[i] = c.id;
    }
    qsort(train, MANY, sizeof *train, by_id);
    for (int i = 1; i < MANY; i++)
        again += train[i] == train[i - 1];
    assert_true(again > 100);                  /* the id tells what is shown, not which sample it is */
    for (int i = 0; i < MANY; i++) {
        scenes_make(i & 1 ? s : other, true, i, &c, NULL);
        assert_null(bsearch(&c.id, train, MANY, sizeof *train, by_id));
    }
    scenes_close(s), scenes_close(other);
}

/* The same sample from another Scenes, after other samples, at another size, with and without pixels. */
static void test_pure(void **state)
{
    (void)state;
    enum { SIDE = 64 };
    static const int64_t index[] = { 0, 1, 77, 5000000000, 4000000000000 };
    static uint8_t one[SIDE * SIDE * 3], two[SIDE * SIDE * 3];
    Scenes *a = open_drawn(SIDE, 9, 2), *b = open_drawn(SIDE, 9, 2), *wide = open_drawn(33, 9, 2);
    for (int k = 0; k < 5; k++) {
        Scene x = { 0 }, y = { 0 }, z = { 0 }, other = { 0 };
        scenes_make(a, false, index[k], &x, one);
        scenes_make(b, true, 12 + k, &other, two);
        scenes_make(b, false, index[k], &y, two);
        scenes_make(wide, false, index[k], &z, NULL);
        assert_memory_equal(one, two, sizeof one);
        assert_memory_equal(&x, &y, sizeof x);
        assert_memory_equal(&x, &z, sizeof x);
        assert_int_not_equal(x.id, other.id);
    }
    scenes_close(a), scenes_close(b), scenes_close(wide);
}

/* On a plain background with one thing, exactly the place that the caption names differs from the rest. */
static void test_pixels(void **state)
{
    (void)state;
    static const char *const place[] = { "top left", "top right", "bottom left", "bottom right" };
    static const int sizes[] = { 16, 33, 64, 225 };
    int seen = 0;
    for (int k = 0; k < 4; k++) {
        const int size = sizes[k], half = size / 2;
        Scenes *s = open_drawn(size, 5, 1);
        uint8_t *px = malloc((size_t)size * (size_t)size * 3);
        assert_non_null(px);
        for (int i = 0; i < 200; i++) {
            static Scene c;
            scenes_make(s, false, i, &c, px);
            int busy = 0, where = 0;
            for (int p = 0; p < 4; p++) {
                const uint8_t *corner = px + 3 * (size_t)((p & 2 ? size - 1 : 0) * size + (p & 1 ? size - 1 : 0));
                bool same = true;
                for (int y = 0; y < size; y++)
                    for (int x = 0; x < size; x++)
                        if ((y >= half) == p >> 1 && (x >= half) == (p & 1))
                            same = same && !memcmp(corner, px + 3 * (size_t)(y * size + x), 3);
                busy += !same;
                where = same ? where : p;
            }
            if (busy != 1 || strstr(c.caption, " word ") || strstr(c.caption, " and "))
                continue;
            char at[32];
            snprintf(at, sizeof at, " at the %s on ", place[where]);
            assert_non_null(strstr(c.caption, at));
            seen++;
        }
        free(px);
        scenes_close(s);
    }
    assert_true(seen > 20);                    /* one kind of three, one count of four, one style of two: 34 of 800 expected */
}

static void test_resample(void **state)
{
    (void)state;
    uint8_t px[6 * 4 * 4], out[64 * 4];
    for (int i = 0; i < 6 * 4; i++)
        memcpy(px + 4 * i, (uint8_t[]){ (uint8_t)(i % 6 * 40), 100, 7, 255 }, 4);
    const Cut c = { .w = 6, .h = 4, .px = px };
    for (int w = 1; w <= 16; w++)
        for (int y = 0; y < 5; y++) {
            resample_row(out, y, w, 5, &c);
            int sum = 0;
            for (int x = 0; x < w; x++) {
                assert_int_equal(out[4 * x + 1], 100);         /* what is constant stays so */
                assert_true(!x || out[4 * x] >= out[4 * x - 4]);
                sum += out[4 * x];
            }
            assert_in_range(sum, 100 * w - w, 100 * w + w);    /* the mean of 0 40 .. 200, each rounded once */
        }
    resample_row(out, 2, 6, 4, &c);
    assert_memory_equal(out, px + 2 * 6 * 4, 6 * 4);
}

static void write_stamp(const char *dir, const char *name, const char *caption, const char *art)
{
    static uint8_t px[100 * 100 * 4];
    char path[512];
    Err e = { 0 };
    draw(px, 100, art, true);
    snprintf(path, sizeof path, "%s/%s.png", dir, name);
    assert_true(image_save_png(path, px, 100, 100, 4, &e));
    snprintf(path, sizeof path, "%s/%s.txt", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%s\nde.utf8=Etwas.\n", caption);
    fclose(f);
}

/* A folder with two categories of four, and files that must be passed over. */
static void test_folder(void **state)
{
    (void)state;
    Err e = { 0 };
    if (!image_ops(&e))
        skip();
    char root[] = "/tmp/asvr-scenes-XXXXXX", dir[2][64], clean[128];
    assert_non_null(mkdtemp(root));
    snprintf(dir[0], sizeof dir[0], "%s/animals", root);
    snprintf(dir[1], sizeof dir[1], "%s/hats", root);
    assert_int_equal(mkdir(dir[0], 0700) | mkdir(dir[1], 0700), 0);
    static const char *const captions[2][7] = {
        { "A dog.", "A red cat.", "An owl!", "A large cow.", "A brown dog.", "A pair of old dogs.", "Two cats." },
        { "A cap", "A top hat", "A fez", "A beret", "A needle.", "", "Hats" }
    };
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < 7; i++)
            write_stamp(dir[g], (char[]){ (char)('a' + i), 0 }, captions[g][i],
                        g && i == 4 ? "#404040 s 3 2 50 98 50" : "#3c6edc e 50 50 46 40");
    Cutouts c;
    assert_true(cutouts_open(&c, root, 0, &e));
    assert_int_equal(c.n, 8);
    assert_int_equal(c.categories, 2);
    assert_string_equal(c.category[0].name, "animal");
    assert_true(c.category[0].living && !c.category[1].living && c.letters_drawn);
    static const char *const names[8] = { "dog", "cat", "owl", "cow", "cap", "fez", "beret", "top hat" };
    for (int i = 0; i < 8; i++)
        assert_string_equal(c.thing[i].name, names[i]);
    cutouts_close(&c);

    assert_false(cutouts_open(&c, dir[0], 0, &e));             /* one folder alone holds too few */
    assert_int_equal(e.code, EXIT_DATA);
    e = (Err){ 0 };
    assert_null(scenes_open("/nowhere", 0, 64, 1, 1, &e));
    assert_int_equal(e.code, EXIT_DATA);
    snprintf(clean, sizeof clean, "rm -r %s", root);
    assert_int_equal(system(clean), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_balance_train), cmocka_unit_test(test_balance_eval), cmocka_unit_test(test_balance_easy),
        cmocka_unit_test(test_answers), cmocka_unit_test(test_split), cmocka_unit_test(test_pure),
        cmocka_unit_test(test_pixels), cmocka_unit_test(test_resample), cmocka_unit_test(test_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
