/* scoremmmu.c -- MMMU: options, and open questions whose answer is a number or a word; score_table, which knows them all */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json.h"
#include "launch/kits/score.h"

enum { PARSED = 256 };

/* parse_mmmu_multi_choice_response of lmms_eval/tasks/_task_utils/mmmu_mcq_utils.py; 0 where it draws one by chance */
static char parse_choice(Pad *p, const char *said, const char *const option[OPTIONS], int options)
{
    static const char *const forms[][2] = { { "(", ")" }, { "", " " }, { "", "." } };
    char candidate[OPTIONS];
    const char *at, *best = NULL;
    char **word, is = 0;
    int  n = 0, form = -1;
    for (const char *c = ",.!?;:'"; *c; c++)
        said = py_strip_of(p, said, (char[]){ *c, 0 });
    said = pad_print(p, " %s ", said);
    for (int f = 0; f < 3 && n == 0; f++)
        for (int i = 0; i < options; i++)
            if (strstr(said, pad_print(p, "%s%c%s", forms[f][0], 'A' + i, forms[f][1]))) {
                candidate[n++] = (char)i;
                form = f;
            }
    const char *lower = py_lower(p, said);
    if (n == 0 && py_split(p, said, &word) > 5)
        for (int i = 0; i < options; i++)
            if (strstr(lower, py_lower(p, option[i])))
                candidate[n++] = (char)i;
    for (int i = 0; i < n; i++) {                       /* the one that is named last; where none is found so, the first */
        const char letter = (char)('A' + candidate[i]);
        at = form == 0 ? py_rfind(said, pad_print(p, "(%c)", letter)) : form > 0 ? py_rfind(said, pad_print(p, " %c ", letter)) :
             option[(int)candidate[i]][0] ? py_rfind(lower, py_lower(p, option[(int)candidate[i]])) : lower + strlen(lower);
        if (!is || (at && (!best || at > best))) {
            is = letter;
            best = at;
        }
    }
    return is;
}

/* An answer as it is compared: a number, or up to two texts. */
typedef struct { bool number; double x; const char *text[2]; } Norm;

/* normalize_str of lmms_eval/tasks/mmmu/utils.py */
static Norm normal(Pad *p, const char *s)
{
    Norm a = { 0 };
    s = py_strip(p, s);
    if (py_float(py_replace(p, s, ",", ""), &a.x)) {
        a.number = true;
        a.x = py_round2(a.x);
        return a;
    }
    a.text[0] = s = py_lower(p, s);
    if (py_len(s) == 1) {
        a.text[0] = pad_print(p, " %s", s);
        a.text[1] = pad_print(p, "%s ", s);
    }
    return a;
}

typedef struct { const char *text[PARSED]; int n; } Parsed;

static void parsed_add(Parsed *x, const char *s)
{
    if (x->n < PARSED)
        x->text[x->n++] = s;
}

/* get_key_subresponses there: of each line the shortest text behind a word that announces an answer */
static void key_answers(Pad *p, const char *said, Parsed *out)
{
    static const char *const announces[] = { "could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ", "=" };
    said = py_lower(p, py_strip_of(p, py_strip(p, said), "."));
    for (const char *line = said, *end; line; line = *end ? end + 1 : NULL) {
        end = line + strcspn(line, "\n");
        const char *text = pad_text(p, line, (size_t)(end - line)), *shortest = "", *at;
        for (int i = 0; i < (*end ? 8 : 9); i++) {
            if (!(at = py_rfind(text, announces[i])))
                continue;
            for (const char *next = text; (next = strstr(next, announces[i])); next += strlen(announces[i]))
                at = next;                              /* as split() finds them, one behind the other */
            at = py_strip(p, at + strlen(announces[i]));
            if (!shortest[0] || py_len(at) < py_len(shortest))
                shortest = at;
        }
        if (shortest[0] && (strlen(shortest) > 1 || !strchr(":,.!?;'", *shortest)))
            parsed_add(out, shortest);
    }
    if (out->n == 0)
        parsed_add(out, said);
}

/* parse_open_response and extract_numbers there */
static void parse_open(Pad *p, const char *said, Parsed *out)
{
    static const char *const numbers[] = { "-?\\b\\d{1,3}(?:,\\d{3})+\\b", "-?\\d+(?:\\.\\d+)?[eE][+-]?\\d+",
                                           "-?(?:\\d+\\.\\d+|\\.\\d+|\\d+\\b)(?![eE][+-]?\\d+)(?![,\\d])" };
    key_answers(p, said, out);
    const int keys = out->n;
    for (int i = 0; i < keys; i++)
        for (int k = 0; k < 3; k++)
            for (size_t from = 0, begin, end; py_search(numbers[k], out->text[i], from, 0, &begin, &end); from = end)
                parsed_add(out, pad_text(p, out->text[i] + begin, end - begin));
}

/* eval_open there */
static bool open_right(Pad *p, const char *said, const char *right)
{
    const Norm is = normal(p, right);
    Parsed x = { .n = 0 };
    parse_open(p, said, &x);
    for (int i = 0; i < x.n; i++) {
        const Norm a = normal(p, x.text[i]);
        if (a.number != is.number)
            continue;
        if (a.number && a.x == is.x)
            return true;
        for (int k = 0; k < 4 && !a.number; k++)
            if (a.text[k / 2] && is.text[k % 2] && strstr(a.text[k / 2], is.text[k % 2]))
                return true;
    }
    return false;
}

/* mcq_vanilla_eval of VLMEvalKit, behind MMMU_preproc: an open question's answer is its option A, and B says "Other Answers". */
static bool vlm_right(Pad *p, const Asked *a)
{
    const char *option[OPTIONS];
    memcpy(option, a->option, sizeof option);
    if (!option[0][0]) {
        option[0] = a->answer;
        option[1] = "Other Answers";
    }
    const char want = a->answer[0] >= 'A' && a->answer[0] <= 'Z' && !a->answer[1] ? a->answer[0] : 'A';
    return choice_infer(p, a->prediction, option) == want;
}

/* The paper's column and lmms-eval's mmmu_val are of the split "validation"; VLMEvalKit's table has "dev", too. */
static double validation(const Asked *a, int64_t n, const double *right)
{
    double sum = 0, count = 0;
    for (int64_t i = 0; i < n; i++)
        if (!strcmp(a[i].split, "validation")) {
            sum += right[i];
            count++;
        }
    return count > 0 ? sum / count : score_mean(right, n);
}

void score_mmmu(Score *s, const Asked *a, int64_t n)
{
    double *lmms = calloc((size_t)n + 1, sizeof *lmms), *vlm = calloc((size_t)n + 1, sizeof *vlm);
    Pad pad = { 0 };
    CHECK(lmms && vlm, "no memory for %lld answers", (long long)n);
    for (int64_t i = 0; i < n; i++, pad_clear(&pad)) {
        const char *said = py_strip(&pad, a[i].prediction);
        int options = 0;
        while (options < OPTIONS && a[i].option[options][0])
            options++;
        if (options)
            lmms[i] = a[i].answer[0] && !a[i].answer[1] && parse_choice(&pad, said, a[i].option, options) == a[i].answer[0];
        else
            lmms[i] = open_right(&pad, said, a[i].answer);
        vlm[i] = vlm_right(&pad, &a[i]);
    }
    s->score = validation(a, n, lmms);
    s->lmms = json_pack("{s:o}", "mmmu_acc", json_or_null(s->score));
    s->vlm = score_report(a, n, vlm, 1);
    free(lmms);
    free(vlm);
}

void score_table(Score *s, Kind kind, const Asked *a, int64_t n)
{
    *s = (Score){ .n = n };
    switch (kind) {
    case KIND_TEXTVQA: case KIND_DOCVQA: case KIND_OCRBENCH: case KIND_CHARTQA: case KIND_GQA: case KIND_WORD:
        score_words(s, kind, a, n);
        break;
    case KIND_POPE: case KIND_MME: case KIND_HALLUSION: case KIND_YESNO:
        score_yesno(s, kind, a, n);
        break;
    case KIND_MMMU:
        score_mmmu(s, a, n);
        break;
    default:
        score_choice(s, kind, a, n);
        break;
    }
}

void score_free(Score *s)
{
    json_decref(s->lmms);
    json_decref(s->vlm);
    *s = (Score){ 0 };
}
