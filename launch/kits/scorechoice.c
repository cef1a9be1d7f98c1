/* scorechoice.c -- multiple choice: which option an answer means, and who counts what */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json.h"
#include "launch/kits/score.h"

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
enum { ROUND = 1000000 };                /* MMBench: row 1000012 asks row 12's question with its options turned */

static bool among(char **word, int n, const char *w)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(word[i], w))
            return true;
    return false;
}

/* The one option whose text, in lower case, the answer has. */
static char infer_text(Pad *p, const char *lower, const char *const option[OPTIONS], int options)
{
    char found = 0;
    for (int i = 0; i < options; i++)
        if (option[i][0] && strstr(lower, py_lower(p, option[i]))) {
            if (found)
                return 0;
            found = LETTERS[i];
        }
    return found;
}

/* ---- VLMEvalKit ---- */

/* can_infer_option of vlmeval/utils/matching_util.py */
static char infer_option(Pad *p, const char *said, const char *const option[OPTIONS])
{
    static const char *const refuses[] = { "Sorry, I can't help with images of people yet.", "I can't process this file.",
                                           "I'm sorry, but without the image provided", "Cannot determine the answer" };
    char *plain = pad_text(p, said, strlen(said)), **word, one = 0;
    int count = 0;
    size_t begin, end;
    if (strstr(said, "Failed to obtain answer via API"))
        return 0;
    for (size_t i = 0; i < sizeof refuses / sizeof *refuses; i++)
        if (strstr(said, refuses[i]))
            return 'Z';
    for (char *s = plain; (s = strpbrk(s, ".()[],:;!*#{}")); )
        *s = ' ';
    const int n = py_split(p, plain, &word);
    for (int i = 0; i < OPTIONS; i++)
        if (option[i][0] && among(word, n, (char[]){ LETTERS[i], 0 })) {
            one = LETTERS[i];
            count++;
        }
    for (int i = 0; i < n && count == 1; i++)
        if (word[i][0] == one && !word[i][1]) {
            if (i > n - 5)
                return one;
            break;
        }
    if (count == 0 && among(word, n, "Z"))
        return 'Z';
    if (!py_search("(?i)(?:correct\\s+)?answer\\s+is\\s+\\**([ABCD])\\**", said, 0, 1, &begin, &end))
        return 0;
    one = (char)(said[begin] & ~32);
    return option[one - 'A'][0] ? one : 0;
}

/* can_infer there */
char choice_infer(Pad *p, const char *said, const char *const option[OPTIONS])
{
    const char is = infer_option(p, said, option), *lower = py_lower(p, said);
    int length = 0;
    for (int i = 0; i < OPTIONS; i++)
        length += py_len(option[i]);
    return is ? is : py_len(lower) > 2 * length ? 0 : infer_text(p, lower, option, OPTIONS);
}

/* Is the answer right under the policy exact_matching?  (eval_vanilla of vlmeval/dataset/utils/multiple_choice.py) */
static bool vlm_right(Pad *p, const Asked *a)
{
    const char is = choice_infer(p, a->prediction, a->option);
    return is && a->answer[0] == is && !a->answer[1];
}

double score_mean(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return n ? sum / (double)n : NAN;
}

/* The means of those that share a text. */
static void report_by(json_t *o, const Asked *a, int64_t n, const double *right, double times, size_t at, const char *label)
{
    json_t *count = json_object(), *sum = json_object();
    const char *name;
    json_t *x;
    for (int64_t i = 0; i < n; i++) {
        const char *key = *(const char *const *)((const char *)&a[i] + at);
        if (!key[0])
            continue;
        json_set(count, key, json_real(json_number_value(json_object_get(count, key)) + 1));
        json_set(sum, key, json_real(json_number_value(json_object_get(sum, key)) + right[i]));
    }
    json_object_foreach(sum, name, x) {
        char full[256];
        snprintf(full, sizeof full, "%s%s", label, name);
        json_set(o, full, json_or_null(times * (json_number_value(x) / json_number_value(json_object_get(count, name)))));
    }
    json_decref(count);
    json_decref(sum);
}

json_t *score_report(const Asked *a, int64_t n, const double *right, double times)
{
    json_t *o = json_object();
    json_object_set_new(o, "Overall", json_or_null(times * score_mean(right, n)));
    report_by(o, a, n, right, times, offsetof(Asked, split), "split=");
    report_by(o, a, n, right, times, offsetof(Asked, l2), "");
    report_by(o, a, n, right, times, offsetof(Asked, category), "");
    return o;
}

/* ---- lmms-eval ---- */

/* What the letter ch means in text: prefix, ch, suffix; where it is last, or NULL. */
static const char *last(Pad *p, const char *text, const char *prefix, char ch, const char *suffix) { return py_rfind(text, pad_print(p, "%s%c%s", prefix, ch, suffix)); }

typedef struct { char letter; int priority; ptrdiff_t at; } Candidate;

static void offer(Candidate *best, char letter, int priority, ptrdiff_t at)
{
    if (!best->letter || priority > best->priority || (priority == best->priority && at > best->at))
        *best = (Candidate){ letter, priority, at };
}

/* Where a phrase of lower is in text: both have as many characters. */
static const char *same_place(const char *text, const char *lower, const char *at)
{
    for (; lower < at; lower = py_next(lower))
        text = py_next(text);
    return text;
}

/* extract_mcq_answer of lmms_eval/tasks/_task_utils/mcq_extract.py */
static char extract(Pad *p, const char *said, const char *letters)
{
    static const char *const phrases[] = {
        "the answer is", "answer is", "the correct answer is", "correct answer is", "the best answer is", "best answer is", "the correct option is",
        "correct option is", "the best option is", "best option is", "the choice is", "choice is", "the correct choice is", "correct choice is", "i choose",
        "i select", "i pick", "my answer is", "my choice is", "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは" };
    static const struct { const char *prefix, *suffix; int priority; } forms[] = { { "(", ")", 6 }, { "", ".", 5 }, { "", ":", 4 }, { "", ")", 3 }, { "", " ", 2 } };
    Candidate best = { 0 };
    char *text = py_strip(p, said);
    const char *at;
    if (!text[0])
        return 0;
    for (const char *c = ",.!?;:'\""; *c; c++)
        text = py_strip_of(p, text, (char[]){ *c, 0 });
    text = pad_print(p, " %s ", text);
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
        for (const char *c = letters; *c; c++)
            if ((at = last(p, text, forms[f].prefix, *c, forms[f].suffix)))
                offer(&best, *c, forms[f].priority, at - text);
    const char *lower = py_lower(p, text);
    for (size_t f = 0; f < sizeof phrases / sizeof *phrases; f++)
        if ((at = strstr(lower, phrases[f]))) {
            const char *behind = same_place(text, lower, at + strlen(phrases[f]));
            for (const char *c = letters; *c; c++)
                if ((at = strchr(behind, *c)))
                    offer(&best, *c, 7, at - text);
        }
    const char *bare = py_strip(p, text), *end = py_before(bare, bare + strlen(bare));
    for (const char *c = letters; *c && *bare; c++) {
        if (*bare == *c && !py_alpha(bare + 1))
            offer(&best, *c, 10, 0);
        if (*end == *c && (end == bare || !py_alpha(py_before(bare, end))))
            offer(&best, *c, 9, 0);
    }
    const bool fallback = !best.letter;
    for (const char *c = letters; *c && fallback; c++)
        if ((at = strrchr(text, *c)))
            offer(&best, *c, 0, at - text);
    return best.letter;
}

/* MMBench_Evaluator.can_infer of lmms_eval/tasks/mmbench/mmbench_evals.py */
static char lmms_infer(Pad *p, const char *said, const char *const option[OPTIONS])
{
    static const char *const around[][2] = { { "", "." }, { "", "," }, { "", ":" }, { "", ")" }, { "", ")." }, { "(", ")" }, { "(", ")." },
                                             { ":", "" }, { ":", "," }, { ":", "." }, { ":", ")" }, { ":", ")." } };
    char **word, one = 0;
    const int n = strstr(said, "Failed to obtain answer via API") ? -1 : py_split(p, said, &word);
    int count = 0;
    for (const char *c = "ABCDE"; *c && n >= 0; c++)
        if (among(word, n, (char[]){ *c, 0 })) {
            one = *c;
            count++;
        }
    if (n >= 0 && count == 1 && !(one == 'A' && n > 3))
        return one;
    for (size_t t = 0; t < sizeof around / sizeof *around && n >= 0; t++) {
        count = 0;
        for (const char *c = "ABCDE"; *c; c++)
            if (among(word, n, pad_print(p, "%s%c%s", around[t][0], *c, around[t][1]))) {
                one = *c;
                count++;
            }
        if (count == 1)
            return one;
    }
    return infer_text(p, py_lower(p, said), option, 4);
}

/* eval_sub_data with static_only: of one turn */
static bool lmms_static_right(Pad *p, const Asked *a)
{
    const char *said = py_strip(p, a->prediction);
    char is = lmms_infer(p, said, a->option), letters[5] = "", *to = letters;
    for (int i = 0; i < 4; i++)
        if (a->option[i][0])
            *to++ = LETTERS[i];
    if (!is)
        is = extract(p, said, letters[0] ? letters : "ABCDEFGH");
    return is && a->answer[0] == is && !a->answer[1];
}

/* _extract_answer_letter of lmms_eval/tasks/mmvp/utils.py */
static char mmvp_letter(Pad *p, const char *said)
{
    static const char *const patterns[] = { "(?i)^\\s*\\(?([AB])\\)?\\.?\\s*$", "(?i)^\\s*\\(?([AB])\\)?[\\.\\s]", "(?i)answer\\s+is\\s+\\(?([AB])\\)?",
                                            "(?i)option\\s+\\(?([AB])\\)?", "(?i)\\(?([AB])\\)?(?:\\s|$)" };
    const char *s = py_strip(p, said);
    size_t begin, end;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (py_search(patterns[i], s, 0, 1, &begin, &end))
            return (char)(s[begin] & ~32);
    return *s && strchr("ABab", *s) ? (char)(*s & ~32) : 0;
}

/* _normalize_answer there */
static char mmvp_target(Pad *p, const char *answer)
{
    const char *a = py_lower(p, py_strip(p, answer));
    return strstr(a, "(a)") || !strcmp(a, "a") ? 'A' : strstr(a, "(b)") || !strcmp(a, "b") ? 'B' : 0;
}

/* MultiChoiceRegexFilter of lmms_eval/tasks/ai2d/utils.py, then exact_match without case and punctuation */
static bool ai2d_right(Pad *p, const Asked *a)
{
    size_t begin, end;
    const char *said = a->prediction;
    if (py_search("^\\s*([A-Z])\\.", said, 0, 1, &begin, &end))
        said = pad_text(p, said + begin, 1);
    return score_exact(p, said, a->answer);
}

/* seed_process_result and seed_aggregation_result of lmms_eval/tasks/seedbench/utils.py */
static bool seed_right(Pad *p, const Asked *a)
{
    const char *said = py_strip(p, a->prediction);
    said = pad_text(p, said, (size_t)(py_next(said) - said));
    return !strcmp(py_strip(p, py_lower(p, said)), py_strip(p, py_lower(p, a->answer)));
}

/* realworldqa_process_results of lmms_eval/tasks/realworldqa/utils.py; MMStar's exact_match where only letters are right */
static bool letter_right(Pad *p, const Asked *a)
{
    const char *right = py_strip(p, a->answer), *said = py_strip(p, a->prediction);
    if (right[0] && strchr("ABCDabcd", right[0]) && !right[1])
        return extract(p, said, "ABCD") == (right[0] & ~32);
    return !strcmp(py_rstrip_of(p, py_strip(p, py_lower(p, said)), "."), py_lower(p, right));
}

/* ---- together ---- */

static int by_number(const void *x, const void *y)
{
    const long long a = atoll((*(const Asked *const *)x)->index), b = atoll((*(const Asked *const *)y)->index);
    return (a > b) - (a < b);
}

/* To be freed. */
static const Asked **in_order(const Asked *a, int64_t n)
{
    const Asked **order = calloc((size_t)n + 1, sizeof *order);
    CHECK(order, "no memory for %lld questions", (long long)n);
    for (int64_t i = 0; i < n; i++)
        order[i] = &a[i];
    qsort(order, (size_t)n, sizeof *order, by_number);
    return order;
}

/* Circular: a question is right when it is in all turns of its options.  *groups: questions; main, hits (n). */
static int64_t circular(const Asked *a, int64_t n, const double *right, Asked *of, double *hit)
{
    const Asked **order = in_order(a, n);
    int64_t groups = 0;
    for (int64_t i = 0; i < n && atoll(order[i]->index) < ROUND; i++) {
        of[groups] = *order[i];
        hit[groups++] = right[order[i] - a];
    }
    for (int64_t i = groups; i < n; i++) {              /* they are in order, and so are the turns of each round */
        const long long want = atoll(order[i]->index) % ROUND;
        int64_t low = 0, high = groups;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (atoll(of[middle].index) < want)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < groups && atoll(of[low].index) == want && !right[order[i] - a])
            hit[low] = 0;
    }
    free(order);
    return groups;
}

static double pairs(const Asked *a, int64_t n, const double *right)
{
    const Asked **order = in_order(a, n);
    double both = 0;
    for (int64_t i = 0; i + 1 < n; i += 2)
        both += right[order[i] - a] && right[order[i + 1] - a];
    free(order);
    return n > 1 ? both / (double)(n / 2) : NAN;
}

/* mmstar_aggregate_results of lmms_eval/tasks/mmstar/utils.py: the mean over the l2-categories' accuracies, of all or of one category */
static double mmstar(const Asked *a, int64_t n, const double *right, const char *category)
{
    json_t *count = json_object(), *sum = json_object(), *x;
    const char *name;
    double mean = 0, categories = 0;
    for (int64_t i = 0; i < n; i++)
        if (!category || !strcmp(a[i].category, category)) {
            json_set(count, a[i].l2, json_real(json_number_value(json_object_get(count, a[i].l2)) + 1));
            json_set(sum, a[i].l2, json_real(json_number_value(json_object_get(sum, a[i].l2)) + right[i]));
        }
    json_object_foreach(sum, name, x) {
        mean += json_number_value(x) / json_number_value(json_object_get(count, name));
        categories++;
    }
    json_decref(count);
    json_decref(sum);
    return categories > 0 ? mean / categories : NAN;
}

static void lmms_scores(Score *s, Kind kind, const Asked *a, int64_t n, const double *right)
{
    static const char *const names[KINDS] = { [KIND_SEED] = "seed_image", [KIND_AI2D] = "exact_match", [KIND_REALWORLDQA] = "exact_match",
                                              [KIND_MMVP] = "mmvp_accuracy" };
    s->score = score_mean(right, n);
    s->lmms = json_object();
    if (names[kind])
        json_object_set_new(s->lmms, names[kind], json_or_null(s->score));
    if (kind == KIND_SEED)
        json_object_set_new(s->lmms, "seed_all", json_or_null(s->score));
    if (kind == KIND_MMVP)
        json_object_set_new(s->lmms, "mmvp_pair_accuracy", json_or_null(s->score = pairs(a, n, right)));
    if (kind == KIND_MMSTAR) {
        for (int64_t i = 0; i < n; i++)
            if (a[i].category[0] && !json_object_get(s->lmms, a[i].category))
                json_set(s->lmms, a[i].category, json_or_null(mmstar(a, n, right, a[i].category)));
        json_object_set_new(s->lmms, "average", json_or_null(s->score = mmstar(a, n, right, NULL)));
    }
}

void score_choice(Score *s, Kind kind, const Asked *a, int64_t n)
{
    double *lmms = calloc((size_t)n + 1, sizeof *lmms), *vlm = calloc((size_t)n + 1, sizeof *vlm), *hit = calloc((size_t)n + 1, sizeof *hit);
    Asked *of = calloc((size_t)n + 1, sizeof *of);
    Pad pad = { 0 };
    CHECK(lmms && vlm && hit && of, "no memory for %lld answers", (long long)n);
    for (int64_t i = 0; i < n; i++, pad_clear(&pad)) {
        vlm[i] = vlm_right(&pad, &a[i]);
        switch (kind) {
        case KIND_MMBENCH: lmms[i] = lmms_static_right(&pad, &a[i]); break;
        case KIND_SEED:    lmms[i] = seed_right(&pad, &a[i]); break;
        case KIND_AI2D:    lmms[i] = ai2d_right(&pad, &a[i]); break;
        case KIND_MMVP:    lmms[i] = mmvp_target(&pad, a[i].answer) && mmvp_letter(&pad, a[i].prediction) == mmvp_target(&pad, a[i].answer); break;
        default:           lmms[i] = letter_right(&pad, &a[i]); break;
        }
    }
    if (kind == KIND_MMBENCH) {
        int64_t groups = circular(a, n, lmms, of, hit);
        s->lmms = json_pack("{s:o}", "gpt_eval_score", json_or_null(100 * score_mean(hit, groups)));
        groups = circular(a, n, vlm, of, hit);
        s->vlm = score_report(of, groups, hit, 1);
        s->score = score_mean(hit, groups);
    } else if (kind == KIND_CHOICE) {
        s->vlm = score_report(a, n, vlm, 1);
        s->score = score_mean(vlm, n);
    } else {
        lmms_scores(s, kind, a, n, lmms);
        s->vlm = score_report(a, n, vlm, 1);
        if (kind == KIND_MMVP) {
            json_object_set(s->vlm, "Average", json_object_get(s->vlm, "Overall"));
            json_object_set_new(s->vlm, "Overall", json_or_null(pairs(a, n, vlm)));
        }
    }
    free(lmms);
    free(vlm);
    free(hit);
    free(of);
}
