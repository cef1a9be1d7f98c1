/* scoreyesno.c -- yes or no: POPE, MME, HallusionBench */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json.h"
#include "launch/kits/score.h"

typedef enum { NEITHER, YES, NO } Said;

static Said said_of(const char *s) { return !strcmp(s, "yes") ? YES : !strcmp(s, "no") ? NO : NEITHER; }
static Said target(Pad *p, const char *answer) { return said_of(py_replace(p, py_strip(p, py_lower(p, answer)), ".", "")); }

/* YOrN_Extraction of vlmeval/dataset/utils/yorn.py */
static Said vlm_said(Pad *p, const char *prediction)
{
    char **word;
    bool yes = false, no = false;
    const int n = py_split(p, vlm_punctuation(p, py_lower(p, prediction)), &word);
    for (int i = 0; i < n; i++) {
        yes |= !strcmp(word[i], "yes");
        no |= !strcmp(word[i], "no");
    }
    return yes == no ? NEITHER : yes ? YES : NO;
}

/* parse_pred_ans of lmms_eval/tasks/mme/utils.py */
static Said mme_said(Pad *p, const char *prediction)
{
    const char *s = py_replace(p, py_strip(p, py_lower(p, prediction)), ".", ""), *four = s;
    const int n = py_len(s);
    if (said_of(s) || n == 1)
        return n == 1 ? *s == 'y' ? YES : *s == 'n' ? NO : NEITHER : said_of(s);
    for (int i = 0; i < 4; i++)
        four = py_next(four);
    s = pad_text(p, s, (size_t)(four - s));
    return strstr(s, "yes") ? YES : strstr(s, "no") ? NO : NEITHER;
}

/* ---- POPE ---- */

typedef struct { double n, right, tp, fp, fn, yes; } Marks;

static void mark(Marks *m, Said is, Said said, bool right)
{
    m->n++;
    m->right += right;
    m->tp += is == YES && said == YES;
    m->fp += is == NO && said == YES;
    m->fn += is == YES && said == NO;
    m->yes += is == YES;
}

static double share(double a, double b) { return b > 0 ? a / b : 0; }
static double precision(const Marks *m) { return share(m->tp, m->tp + m->fp); }
static double recall(const Marks *m) { return share(m->tp, m->tp + m->fn); }
static double f1(const Marks *m) { return share(2 * precision(m) * recall(m), precision(m) + recall(m)); }

/* POPE_rating counts what is not "Yes" as no */
static json_t *vlm_marks(const Marks *m)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "Overall", json_or_null(100 * f1(m)), "acc", json_or_null(100 * share(m->right, m->n)), "precision",
                     json_or_null(100 * precision(m)), "recall", json_or_null(100 * recall(m)));
}

/* Has the list of words between commas this one? */
static bool listed(const char *list, const char *word, size_t n)
{
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == n && !strncmp(at, word, n))
            return true;
    return false;
}

/* POPE_rating of vlmeval/dataset/utils/yorn.py: a question that several categories have counts once in each, and so often in all. */
static json_t *vlm_pope(const Asked *a, int64_t n, const Said *is, const Said *said)
{
    Marks all = { 0 };
    json_t *o = json_object();
    for (int64_t i = 0; i < n; i++) {
        const char *at = a[i].category;
        do {
            const size_t length = strcspn(at, ",");
            char name[128];
            snprintf(name, sizeof name, "%.*s", (int)length, at);
            mark(&all, is[i], said[i] == YES ? YES : NO, is[i] == said[i]);
            if (name[0] && !json_object_get(o, name)) {
                Marks one = { 0 };
                for (int64_t j = 0; j < n; j++)
                    if (listed(a[j].category, name, length))
                        mark(&one, is[j], said[j] == YES ? YES : NO, is[j] == said[j]);
                json_set(o, name, vlm_marks(&one));
            }
            at += length;
        } while (*at++ == ',');
    }
    json_t *whole = vlm_marks(&all);
    json_object_update(whole, o);
    json_decref(o);
    return whole;
}

/* pope_process_results and pope_aggregate_* of lmms_eval/tasks/pope/utils.py */
static void score_pope(Score *s, const Asked *a, int64_t n, const Said *is, const Said *vlm)
{
    Marks m = { 0 };
    Pad pad = { 0 };
    for (int64_t i = 0; i < n; i++, pad_clear(&pad)) {
        const Said said = said_of(py_strip(&pad, py_lower(&pad, a[i].prediction)));
        mark(&m, is[i], said, is[i] && said == is[i]);
    }
    s->score = share(m.right, m.n);
    s->lmms = json_pack("{s:o, s:o, s:o, s:o, s:o}", "pope_accuracy", json_or_null(s->score), "pope_precision", json_or_null(precision(&m)), "pope_recall",
                        json_or_null(recall(&m)), "pope_f1_score", json_or_null(f1(&m)), "pope_yes_ratio", json_or_null(share(m.yes, m.n)));
    s->vlm = vlm_pope(a, n, is, vlm);
}

/* ---- MME ---- */

static const char *const PERCEPTION[] = { "OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene" };
static const char *const COGNITION[] = { "code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation" };

typedef struct { const char *category, *picture; double right[2]; int n; } Pair;

static int by_picture(const void *x, const void *y)
{
    const Pair *a = x, *b = y;
    const int c = strcmp(a->category, b->category);
    return c ? c : strcmp(a->picture, b->picture);
}

/* A category's 100 (accuracy + share of pictures with both questions right): acc of MME_rating, mme_aggregate_results.  NaN: nothing of it, or a
   picture without two questions. */
static double mme_category(const Pair *p, int64_t n, const char *category)
{
    double right = 0, both = 0, pictures = 0;
    for (int64_t i = 0; i < n; i++)
        if (!strcmp(p[i].category, category)) {
            if (p[i].n != 2)
                return NAN;
            right += p[i].right[0] + p[i].right[1];
            both += p[i].right[0] * p[i].right[1];
            pictures++;
        }
    return pictures > 0 ? 100 * (right / (2 * pictures) + both / pictures) : NAN;
}

static int64_t mme_pairs(const Asked *a, int64_t n, const Said *is, const Said *said, Pair *p)
{
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++)
        p[i] = (Pair){ a[i].category, a[i].picture, { is[i] && is[i] == said[i] }, 1 };
    qsort(p, (size_t)n, sizeof *p, by_picture);
    for (int64_t i = 1; i < n; i++)
        if (by_picture(&p[m], &p[i]))
            p[++m] = p[i];
        else if (++p[m].n == 2)
            p[m].right[1] = p[i].right[0];
    return n ? m + 1 : 0;
}

/* Sums over the categories that are there. */
static double mme_sum(const Pair *p, int64_t n, const char *const *names, size_t count, json_t *o)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double x = mme_category(p, n, names[i]);
        sum += isnan(x) ? 0 : x;
        if (o && !isnan(x))
            json_object_set_new(o, names[i], json_real(x));
    }
    return sum;
}

static void score_mme(Score *s, const Asked *a, int64_t n, const Said *is, const Said *lmms, const Said *vlm)
{
    Pair *p = calloc((size_t)n + 1, sizeof *p);
    CHECK(p, "no memory for %lld questions", (long long)n);
    enum { P = sizeof PERCEPTION / sizeof *PERCEPTION, C = sizeof COGNITION / sizeof *COGNITION };
    int64_t m = mme_pairs(a, n, is, lmms, p);
    const double perception = mme_sum(p, m, PERCEPTION, P, NULL), cognition = mme_sum(p, m, COGNITION, C, NULL);
    s->lmms = json_pack("{s:f, s:f}", "mme_perception_score", perception, "mme_cognition_score", cognition);
    s->score = (perception + cognition) / 2800;
    m = mme_pairs(a, n, is, vlm, p);
    s->vlm = json_object();
    json_object_set_new(s->vlm, "perception", json_real(mme_sum(p, m, PERCEPTION, P, NULL)));
    json_object_set_new(s->vlm, "reasoning", json_real(mme_sum(p, m, COGNITION, C, NULL)));
    mme_sum(p, m, PERCEPTION, P, s->vlm);
    mme_sum(p, m, COGNITION, C, s->vlm);
    free(p);
}

/* ---- HallusionBench ---- */

typedef struct { const char *key; bool right; } Keyed;
static int by_key(const void *x, const void *y) { return strcmp(((const Keyed *)x)->key, ((const Keyed *)y)->key); }

/* Share of groups in which all are right. */
static double all_right(Keyed *k, int64_t n)
{
    double groups = 0, right = 0;
    qsort(k, (size_t)n, sizeof *k, by_key);
    for (int64_t i = 0, j; i < n; i = j) {
        bool all = true;
        for (j = i; j < n && !strcmp(k[j].key, k[i].key); j++)
            all &= k[j].right;
        groups++;
        right += all;
    }
    return groups > 0 ? right / groups : NAN;
}

/* Part `which` of an index, between _: parts 3, 4 and 5 are the set, the figure, the question. */
static char *part(Pad *p, const char *index, int which)
{
    for (; which && *index; which--) {
        index += strcspn(index, "_");
        index += *index == '_';
    }
    return pad_text(p, index, strcspn(index, "_"));
}

/* aAcc, fAcc, qAcc of those of one category (NULL: all): Hallusion_rating of VLMEvalKit, hb_aggregation_result_intern of lmms-eval, whose keys
   begin with the category, too. */
static void hallusion(const Asked *a, int64_t n, const bool *right, const char *of, size_t at, bool categories, double out[3])
{
    Keyed *figure = calloc((size_t)n + 1, sizeof *figure), *question = calloc((size_t)n + 1, sizeof *question);
    Pad pad = { 0 };
    int64_t m = 0;
    double sum = 0;
    CHECK(figure && question, "no memory for %lld questions", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        if (of && strcmp(*(const char *const *)((const char *)&a[i] + at), of))
            continue;
        const char *set = pad_print(&pad, "%s_%s_%s", categories ? a[i].category : "", a[i].l2, part(&pad, a[i].index, 3));
        figure[m] = (Keyed){ pad_print(&pad, "%s_%s", set, part(&pad, a[i].index, 4)), right[i] };
        question[m++] = (Keyed){ pad_print(&pad, "%s_%s", set, part(&pad, a[i].index, 5)), right[i] };
        sum += right[i];
    }
    out[0] = m ? sum / (double)m : NAN;
    out[1] = all_right(figure, m);
    out[2] = all_right(question, m);
    free(figure);
    free(question);
    pad_clear(&pad);
}

static json_t *three(const double x[3], double times)
{
    return json_pack("{s:o, s:o, s:o}", "aAcc", json_or_null(times * x[0]), "fAcc", json_or_null(times * x[1]), "qAcc", json_or_null(times * x[2]));
}

static void score_hallusion(Score *s, const Asked *a, int64_t n, const Said *is, const Said *vlm)
{
    bool *right = calloc((size_t)n + 1, sizeof *right);
    double x[3];
    Pad pad = { 0 };
    CHECK(right, "no memory for %lld questions", (long long)n);
    for (int64_t i = 0; i < n; i++, pad_clear(&pad))
        right[i] = is[i] == (strstr(py_lower(&pad, a[i].prediction), "yes") ? YES : NO);
    hallusion(a, n, right, NULL, 0, true, x);
    s->lmms = three(x, 1);
    for (int64_t i = 0; i < n; i++)
        right[i] = is[i] == vlm[i];
    hallusion(a, n, right, NULL, 0, false, x);
    s->score = (x[0] + x[1] + x[2]) / 3;
    s->vlm = three(x, 100);
    static const size_t fields[] = { offsetof(Asked, category), offsetof(Asked, l2) };
    for (size_t f = 0; f < 2; f++)
        for (int64_t i = 0; i < n; i++) {
            const char *name = *(const char *const *)((const char *)&a[i] + fields[f]);
            if (!name[0] || json_object_get(s->vlm, name))
                continue;
            hallusion(a, n, right, name, fields[f], false, x);
            json_set(s->vlm, name, three(x, 100));
        }
    free(right);
}

void score_yesno(Score *s, Kind kind, const Asked *a, int64_t n)
{
    Said *is = calloc((size_t)n + 1, sizeof *is), *lmms = calloc((size_t)n + 1, sizeof *lmms), *vlm = calloc((size_t)n + 1, sizeof *vlm);
    double *right = calloc((size_t)n + 1, sizeof *right);
    Pad pad = { 0 };
    CHECK(is && lmms && vlm && right, "no memory for %lld answers", (long long)n);
    for (int64_t i = 0; i < n; i++, pad_clear(&pad)) {
        is[i] = target(&pad, a[i].answer);
        lmms[i] = mme_said(&pad, py_strip(&pad, a[i].prediction));
        vlm[i] = vlm_said(&pad, a[i].prediction);
        right[i] = is[i] && is[i] == vlm[i];
    }
    if (kind == KIND_POPE)
        score_pope(s, a, n, is, vlm);
    else if (kind == KIND_MME)
        score_mme(s, a, n, is, lmms, vlm);
    else if (kind == KIND_HALLUSION)
        score_hallusion(s, a, n, is, vlm);
    else {
        s->vlm = score_report(a, n, right, 100);
        s->score = score_mean(right, n);
    }
    free(is);
    free(lmms);
    free(vlm);
    free(right);
}
