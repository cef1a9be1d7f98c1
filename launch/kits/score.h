/*
 * score.h -- a benchmark's scores from its answers, as the kits compute them
 *
 * lmms-eval and VLMEvalKit score the same benchmark differently; both are computed, in their own scales and by their own names.  `score` is the
 * one in the paper's table, a share of 1 (kinds.h says which), by lmms-eval's function but where it asks a judge or scores otherwise than the paper:
 *
 *     MMBench          VLMEvalKit's circular accuracy (lmms-eval's static one beside it)
 *     HallusionBench   VLMEvalKit's (lmms-eval asks GPT; hb_aggregation_result_intern beside it)
 *     MME              (perception + cognition) / 2800          OCRBench   right answers of those asked
 *
 * Where a kit draws an option by chance because an answer names none, the answer is wrong here.  VLMEvalKit's are those of its policy
 * `exact_matching`, without a judge.
 *
 * Local.  Source  lmms-eval 0.7.3, lmms_eval/tasks;  VLMEvalKit e8e78f0, vlmeval/dataset/utils
 * Tests   tests/launch/kits.sh (golden numbers of the kits), tests/peers/check_kits.py
 */
#pragma once
#include <jansson.h>

#include "launch/kits/table.h"

/* A question and its answer; what is not there is "". */
typedef struct {
    int64_t row;                        /* of the table */
    const char *index, *answer, *category, *l2, *split, *picture, *prediction, *option[OPTIONS];
} Asked;

typedef struct {
    double  score;
    int64_t n;
    json_t *lmms, *vlm;                 /* names and numbers; NULL: the kit has no such benchmark */
} Score;

void score_table(Score *s, Kind kind, const Asked *a, int64_t n);
void score_free(Score *s);

/* Of one kind each, in their files: score{choice,yesno,words,mmmu}.c. */
void score_choice(Score *s, Kind kind, const Asked *a, int64_t n);
void score_mmmu(Score *s, const Asked *a, int64_t n);
void score_yesno(Score *s, Kind kind, const Asked *a, int64_t n);
void score_words(Score *s, Kind kind, const Asked *a, int64_t n);

/* can_infer of VLMEvalKit (matching_util.py): 'A'..., 'Z', or 0: none. */
char choice_infer(Pad *p, const char *said, const char *const option[OPTIONS]);
/* exact_match of lmms-eval (api/metrics.py), without case and punctuation; what was said is stripped */
bool score_exact(Pad *p, const char *said, const char *right);
/* process_punctuation of VLMEvalKit (vlmeval/smp/misc.py) */
char *vlm_punctuation(Pad *p, const char *s);
/* Means of `right` over all, over each split, each l2-category, each category: report_acc of VLMEvalKit. */
json_t *score_report(const Asked *a, int64_t n, const double *right, double times);
/* right: a mean. */
double score_mean(const double *x, int64_t n);
