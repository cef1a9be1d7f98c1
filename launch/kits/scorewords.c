/* scorewords.c -- a word or a phrase: TextVQA, DocVQA, OCRBench, ChartQA, GQA */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json.h"
#include "io/bench/pylist.h"
#include "launch/kits/score.h"

/* ---- answers as the VQA challenge compares them ---- */

/* Words in lower case; from the list that both kits have of it. */
static const char *const CONTRACTIONS[][2] = {
    { "'ow'sat", "'ow's'at" }, { "'ows'at", "'ow's'at" }, { "aint", "ain't" }, { "arent", "aren't" }, { "cant", "can't" },
    { "couldn'tve", "couldn't've" }, { "couldnt", "couldn't" }, { "couldnt've", "couldn't've" }, { "couldve", "could've" }, { "didnt", "didn't" },
    { "doesnt", "doesn't" }, { "dont", "don't" }, { "hadn'tve", "hadn't've" }, { "hadnt", "hadn't" }, { "hadnt've", "hadn't've" },
    { "hasnt", "hasn't" }, { "havent", "haven't" }, { "he'dve", "he'd've" }, { "hed", "he'd" }, { "hed've", "he'd've" }, { "hes", "he's" },
    { "howd", "how'd" }, { "howll", "how'll" }, { "hows", "how's" }, { "isnt", "isn't" }, { "it'dve", "it'd've" }, { "itd", "it'd" },
    { "itd've", "it'd've" }, { "itll", "it'll" }, { "maam", "ma'am" }, { "mightn'tve", "mightn't've" }, { "mightnt", "mightn't" },
    { "mightnt've", "mightn't've" }, { "mightve", "might've" }, { "mustnt", "mustn't" }, { "mustve", "must've" }, { "neednt", "needn't" },
    { "notve", "not've" }, { "oclock", "o'clock" }, { "oughtnt", "oughtn't" }, { "ow's'at", "'ow's'at" }, { "shant", "shan't" },
    { "she'dve", "she'd've" }, { "shed've", "she'd've" }, { "shouldn'tve", "shouldn't've" }, { "shouldnt", "shouldn't" },
    { "shouldnt've", "shouldn't've" }, { "shouldve", "should've" }, { "somebody'd", "somebodyd" }, { "somebody'dve", "somebody'd've" },
    { "somebodyd've", "somebody'd've" }, { "somebodyll", "somebody'll" }, { "somebodys", "somebody's" }, { "someone'dve", "someone'd've" },
    { "someoned", "someone'd" }, { "someoned've", "someone'd've" }, { "someonell", "someone'll" }, { "someones", "someone's" },
    { "something'dve", "something'd've" }, { "somethingd", "something'd" }, { "somethingd've", "something'd've" },
    { "somethingll", "something'll" }, { "thats", "that's" }, { "there'dve", "there'd've" }, { "thered", "there'd" }, { "thered've", "there'd've" },
    { "therere", "there're" }, { "theres", "there's" }, { "they'dve", "they'd've" }, { "theyd", "they'd" }, { "theyd've", "they'd've" },
    { "theyll", "they'll" }, { "theyre", "they're" }, { "theyve", "they've" }, { "twas", "'twas" }, { "wasnt", "wasn't" }, { "we'dve", "we'd've" },
    { "wed've", "we'd've" }, { "werent", "weren't" }, { "weve", "we've" }, { "whatll", "what'll" }, { "whatre", "what're" }, { "whats", "what's" },
    { "whatve", "what've" }, { "whens", "when's" }, { "whered", "where'd" }, { "wheres", "where's" }, { "whereve", "where've" },
    { "who'dve", "who'd've" }, { "whod", "who'd" }, { "whod've", "who'd've" }, { "wholl", "who'll" }, { "whos", "who's" }, { "whove", "who've" },
    { "whyll", "why'll" }, { "whyre", "why're" }, { "whys", "why's" }, { "wont", "won't" }, { "wouldn'tve", "wouldn't've" },
    { "wouldnt", "wouldn't" }, { "wouldnt've", "wouldn't've" }, { "wouldve", "would've" }, { "y'all'dve", "y'all'd've" },
    { "y'alld've", "y'all'd've" }, { "y'allll", "y'all'll" }, { "yall", "y'all" }, { "yall'd've", "y'all'd've" }, { "yall'll", "y'all'll" },
    { "you'dve", "you'd've" }, { "youd", "you'd" }, { "youd've", "you'd've" }, { "youll", "you'll" }, { "youre", "you're" }, { "youve", "you've" },
};
static const char *const NUMBERS[] = { "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten" };
static const char PUNCTUATIONS[] = ";/[]\"{}()=+\\_-><@`,?!";
enum { PERIODS = 32 };                  /* re.UNICODE stands where sub() takes the number of replacements */

/* Periods go, the first 32 of them, that have no digit behind them; nor in front, where `front`. */
static char *without_periods(Pad *p, const char *s, bool front)
{
    char *out = pad_room(p, strlen(s) + 1), *to = out;
    int gone = 0;
    for (const char *at = s; *at; at++) {
        const char *before = py_before(s, at);
        const bool goes = *at == '.' && gone < PERIODS && !py_digit(at + 1) && !(front && before && py_digit(before));
        gone += goes;
        if (!goes)
            *to++ = *at;
    }
    *to = 0;
    return out;
}

static char *punctuation(Pad *p, const char *s, bool commas)
{
    char *out = pad_text(p, s, strlen(s));
    for (const char *c = PUNCTUATIONS; *c; c++) {
        const bool apart = strstr(s, (char[]){ *c, ' ', 0 }) || strstr(s, (char[]){ ' ', *c, 0 });
        out = py_replace(p, out, (char[]){ *c, 0 }, apart || commas ? "" : " ");
    }
    return out;
}

char *vlm_punctuation(Pad *p, const char *s)
{
    bool commas = false;
    for (const char *at = s; (at = strchr(at, ',')) && !commas; at++) {
        const char *before = py_before(s, at);
        commas = before && py_digit(before) && py_digit(at + 1);
    }
    return without_periods(p, punctuation(p, s, commas), true);
}

/* process_digit_article of both */
static char *digit_article(Pad *p, const char *s)
{
    char **word;
    const int n = py_split(p, py_lower(p, s), &word);
    int m = 0;
    for (int i = 0; i < n; i++) {
        char *w = word[i];
        if (!strcmp(w, "none"))
            w = pad_text(p, "0", 1);
        for (int d = 0; d <= 10; d++)
            if (!strcmp(w, NUMBERS[d]))
                w = pad_print(p, "%d", d);
        if (!strcmp(w, "a") || !strcmp(w, "an") || !strcmp(w, "the"))
            continue;
        for (size_t c = 0; c < sizeof CONTRACTIONS / sizeof *CONTRACTIONS; c++)
            if (!strcmp(w, CONTRACTIONS[c][0])) {
                w = pad_text(p, CONTRACTIONS[c][1], strlen(CONTRACTIONS[c][1]));
                break;
            }
        word[m++] = w;
    }
    return py_join(p, word, m);
}

/* EvalAIAnswerProcessor of lmms_eval/tasks/_task_utils/vqa_eval_metric.py */
static char *lmms_answer(Pad *p, const char *s)
{
    s = py_replace(p, py_without(p, py_lower(p, s), ",?"), "'s", " 's");
    s = py_strip(p, py_replace(p, py_replace(p, py_strip(p, s), "\n", " "), "\t", " "));
    return digit_article(p, without_periods(p, punctuation(p, s, false), false));
}

/* process_answer of vlmeval/dataset/utils/vqa_eval.py */
static char *vlm_answer(Pad *p, const char *s)
{
    s = py_strip(p, py_replace(p, py_replace(p, s, "\n", " "), "\t", " "));
    return digit_article(p, vlm_punctuation(p, s));
}

/* The mean over the people asked of min(1, others who said the same / 3). */
static double vqa(Pad *p, char **right, int n, const char *said, char *(*processed)(Pad *, const char *))
{
    const char *is = processed(p, said);
    int same = 0;
    double sum = 0;
    for (int i = 0; i < n; i++)
        same += !strcmp(processed(p, right[i]), is);
    for (int i = 0; i < n; i++) {
        const int others = same - !strcmp(processed(p, right[i]), is);
        sum += others >= 3 ? 1 : others / 3.0;
    }
    return n ? sum / n : 0;
}

/* ---- the others ---- */

static int32_t *characters(Pad *p, const char *s, int *n)
{
    int32_t *c = (int32_t *)(void *)pad_room(p, (strlen(s) + 1) * sizeof *c);
    for (*n = 0; *s; (*n)++) {
        const char *next = py_next(s);
        c[*n] = 0;
        for (; s < next; s++)
            c[*n] = (int32_t)((uint32_t)c[*n] << 8 | (uint8_t)*s);
    }
    return c;
}

static int distance(Pad *p, const char *a, const char *b)
{
    int n, m;
    const int32_t *x = characters(p, a, &n), *y = characters(p, b, &m);
    int *row = (int *)(void *)pad_room(p, ((size_t)m + 1) * sizeof *row);
    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 0; i < n; i++)
        for (int j = 1, corner = row[0]++; j <= m; j++) {
            const int least = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]), through = corner + (x[i] != y[j - 1]);
            corner = row[j];
            row[j] = least < through ? least : through;
        }
    return row[m];
}

/* anls of lmms_eval/api/metrics.py; anls_compute and hit_calculate of VLMEvalKit are the same */
static double anls(Pad *p, char **right, int n, const char *said)
{
    char **word;
    double least = 1;
    int words = py_split(p, py_lower(p, py_strip(p, said)), &word);
    const char *is = py_join(p, word, words);
    for (int i = 0; i < n; i++) {
        words = py_split(p, py_lower(p, py_strip(p, right[i])), &word);
        const int d = distance(p, py_join(p, word, words), is), a = py_upper_len(right[i]), b = py_upper_len(said), length = a > b ? a : b;
        const double far = length ? (double)d / (double)length : 0;
        least = i == 0 || far < least ? far : least;
    }
    return 1 - least < 0.5 ? 0 : 1 - least;
}

static bool number(Pad *p, const char *s, double *x)
{
    const size_t n = strlen(s);
    if (n == 0 || s[n - 1] != '%')
        return py_float(s, x);
    const bool is = py_float(py_rstrip_of(p, s, "%"), x);
    *x /= 100;
    return is;
}

/* relaxed_correctness of lmms_eval/tasks/chartqa/utils.py and of VLMEvalKit */
static bool relaxed(Pad *p, const char *said, const char *target)
{
    double a, b;
    if (number(p, said, &a) && number(p, target, &b) && b != 0)
        return fabs(a - b) / fabs(b) <= 0.05;
    return !strcmp(py_lower(p, said), py_lower(p, target));
}

/* Full-width forms as their ASCII: _fold_fullwidth_ascii of lmms_eval/tasks/ocrbench/utils.py */
static char *fold(Pad *p, const char *s)
{
    char *out = pad_text(p, s, strlen(s)), *to = out;
    for (const uint8_t *c = (const uint8_t *)s; *c; ) {
        const int wide = c[0] == 0xef && (c[1] == 0xbc || c[1] == 0xbd) ? 0xff00 + (c[1] - 0xbc) * 64 + (c[2] - 0x80) : 0;
        if (wide >= 0xff01 && wide <= 0xff5e) {
            *to++ = (char)(wide - 0xfee0);
            c += 3;
        } else if (c[0] == 0xe3 && c[1] == 0x80 && c[2] == 0x80) {
            *to++ = ' ';
            c += 3;
        } else
            *to++ = (char)*c++;
    }
    *to = 0;
    return out;
}

static const char FORMULAS[] = "Handwritten Mathematical Expression Recognition";

/* ocrbench_process_results; without folding OCRBench.evaluate of vlmeval/dataset/image_vqa.py */
static bool contains(Pad *p, const Asked *a, char **right, int n, bool folded)
{
    const bool formula = !strcmp(a->category, FORMULAS);
    for (int i = 0; i < n; i++) {
        char *both[2] = { right[i], pad_text(p, a->prediction, strlen(a->prediction)) };
        for (int k = 0; k < 2; k++) {
            if (!formula)
                both[k] = py_lower(p, folded ? fold(p, both[k]) : both[k]);
            both[k] = py_replace(p, py_strip(p, both[k]), "\n", " ");
            if (formula)
                both[k] = py_replace(p, both[k], " ", "");
        }
        if (strstr(both[1], both[0]))
            return true;
    }
    return false;
}

bool score_exact(Pad *p, const char *said, const char *right)
{
    static const char marks[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    const char *both[2] = { py_strip(p, said), right };
    for (int i = 0; i < 2; i++) {
        const char *lower = py_lower(p, both[i]), *end = lower;
        for (int n = py_len(both[i]); n > 0; n--)       /* numpy's lower() is no longer than what it is of */
            end = py_next(end);
        both[i] = py_without(p, pad_text(p, lower, (size_t)(end - lower)), marks);
    }
    return !strcmp(both[0], both[1]);
}

/* What one answer is worth to either kit. */
static void judge(Pad *p, Kind kind, const Asked *a, double *lmms, double *vlm)
{
    char *text = pad_text(p, a->answer, strlen(a->answer)), *whole = pad_text(p, a->answer, strlen(a->answer)), **item = NULL, **right = &whole;
    const char *said = py_strip(p, a->prediction);      /* lmms-eval strips what models say */
    int n = !strncmp(text, "['", 2) || !strncmp(text, "[\"", 2) ? pylist_read(text, strlen(text), &item) : -1;      /* not "[5]" */
    if (n >= 0)
        right = item;
    else
        n = 1;
    double sum = 0;
    switch (kind) {
    case KIND_TEXTVQA:
        *lmms = vqa(p, right, n, said, lmms_answer);
        *vlm = vqa(p, right, n, a->prediction, vlm_answer);
        break;
    case KIND_DOCVQA:
        *lmms = anls(p, right, n, said);
        *vlm = anls(p, right, n, a->prediction);
        break;
    case KIND_OCRBENCH:
        *lmms = contains(p, a, right, n, true);
        *vlm = contains(p, a, right, n, false);
        break;
    case KIND_CHARTQA:
        *lmms = n > 0 && relaxed(p, said, right[0]);
        *vlm = 0;
        for (int i = 0; i < n; i++)
            *vlm = *vlm > 0 || relaxed(p, said, right[i]);
        break;
    default:
        *lmms = n > 0 && score_exact(p, said, right[0]);
        for (int i = 0; i < n; i++)
            sum += !strcmp(py_lower(p, py_strip(p, right[i])), py_lower(p, said));
        *vlm = n > 0 ? sum / n : 0;
        break;
    }
    free(item);
}

/* The mean of those whose split has this word. */
static json_t *split_mean(const Asked *a, int64_t n, const double *right, const char *word)
{
    double sum = 0, count = 0;
    for (int64_t i = 0; i < n; i++)
        if (strstr(a[i].split, word)) {
            sum += right[i];
            count++;
        }
    return json_or_null(count > 0 ? sum / count : NAN);
}

/* Right answers of each category: OCRBench.evaluate */
static json_t *ocr_counts(const Asked *a, int64_t n, const double *right)
{
    json_t *o = json_object();
    double all = 0;
    for (int64_t i = 0; i < n; i++) {
        json_set(o, a[i].category, json_integer(json_integer_value(json_object_get(o, a[i].category)) + (right[i] > 0)));
        all += right[i];
    }
    json_object_set_new(o, "Final Score", json_real(all));
    json_object_set_new(o, "Final Score Norm", json_real(all / 10));
    return o;
}

void score_words(Score *s, Kind kind, const Asked *a, int64_t n)
{
    static const char *const names[KINDS] = { [KIND_TEXTVQA] = "exact_match", [KIND_DOCVQA] = "anls", [KIND_CHARTQA] = "relaxed_overall", [KIND_GQA] = "exact_match" };
    double *lmms = calloc((size_t)n + 1, sizeof *lmms), *vlm = calloc((size_t)n + 1, sizeof *vlm);
    Pad pad = { 0 };
    CHECK(lmms && vlm, "no memory for %lld answers", (long long)n);
    for (int64_t i = 0; i < n; i++, pad_clear(&pad))
        judge(&pad, kind, &a[i], &lmms[i], &vlm[i]);
    s->score = score_mean(lmms, n);
    s->vlm = kind == KIND_OCRBENCH ? ocr_counts(a, n, vlm) : score_report(a, n, vlm, 100);
    s->lmms = json_object();
    if (names[kind])
        json_object_set_new(s->lmms, names[kind], json_or_null(s->score));
    if (kind == KIND_OCRBENCH)
        json_object_set_new(s->lmms, "ocrbench_accuracy", json_or_null(s->score * (double)n / 1000));
    if (kind == KIND_CHARTQA) {
        json_object_set_new(s->lmms, "relaxed_human_split", split_mean(a, n, lmms, "human"));
        json_object_set_new(s->lmms, "relaxed_augmented_split", split_mean(a, n, lmms, "augmented"));
    }
    if (json_object_size(s->lmms) == 0) {
        json_decref(s->lmms);
        s->lmms = NULL;
    }
    free(lmms);
    free(vlm);
}
