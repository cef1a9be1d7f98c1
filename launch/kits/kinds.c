#include "launch/kits/kinds.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define LETTER "Answer with the option's letter from the given choices directly."
#define WORD   "Answer the question using a single word or phrase."

const KindInfo kinds[KINDS] = {
    [KIND_TEXTVQA]     = { "textvqa", "TextVQA", "textvqa", "textvqa_val", WORD, NULL, "VQA accuracy", 64 },
    [KIND_DOCVQA]      = { "docvqa", "DocVQA", "docvqa", "docvqa_val", WORD, NULL, "ANLS", 128 },
    [KIND_OCRBENCH]    = { "ocrbench", "OCRBench", "ocrbench", "ocrbench", "Give the short answer directly.", NULL, "right answers", 128 },
    [KIND_CHARTQA]     = { "chartqa", "ChartQA", "chartqa", "chartqa", "Answer the question using a single number or phrase.", NULL, "relaxed accuracy", 128 },
    [KIND_MMBENCH]     = { "mmbench", "MMBench", "mmbench", "mmbench_en_dev_static", LETTER, NULL, "circular accuracy", 64 },
    [KIND_MME]         = { "mme", "MME", "mme", "mme", WORD, NULL, "perception + cognition, of 2800", 32 },
    [KIND_SEED]        = { "seed", "SEED-Img", "seedbench", "seedbench", LETTER, NULL, "accuracy", 64 },
    [KIND_GQA]         = { "gqa", "GQA", "gqa", "gqa", WORD, NULL, "exact match", 128 },
    [KIND_MMMU]        = { "mmmu", "MMMU", "mmmu", "mmmu_val", LETTER, WORD, "accuracy", 128 },
    [KIND_AI2D]        = { "ai2d", "AI2D", "ai2d", "ai2d", LETTER, NULL, "accuracy", 64 },
    [KIND_REALWORLDQA] = { "realworldqa", "RealWorldQA", "realworldqa", "realworldqa", LETTER, WORD, "accuracy", 64 },
    [KIND_MMVP]        = { "mmvp", "MMVP", "mmvp", "mmvp", LETTER, NULL, "pairs of which both are right", 64 },
    [KIND_HALLUSION]   = { "hallusion", "HallusionBench", "hallusionbench", "hallusion_bench_image", WORD, NULL, "mean of aAcc, fAcc, qAcc", 64 },
    [KIND_POPE]        = { "pope", "POPE", "pope", "pope", WORD, NULL, "accuracy", 64 },
    [KIND_MMSTAR]      = { "mmstar", "MMStar", "mmstar", "mmstar", LETTER, NULL, "mean of the categories' accuracies", 64 },
    [KIND_CHOICE]      = { "choice", "choice", "", "", LETTER, WORD, "accuracy", 64 },
    [KIND_YESNO]       = { "yesno", "yes or no", "", "", WORD, NULL, "accuracy", 32 },
    [KIND_WORD]        = { "word", "word", "", "", WORD, NULL, "exact match", 128 },
};

void kind_stem(const char *path, char out[128])
{
    const char *slash = strrchr(path, '/');
    snprintf(out, 128, "%.127s", slash ? slash + 1 : path);
    const size_t n = strlen(out);
    if (n > 4 && !strcmp(out + n - 4, ".tsv"))
        out[n - 4] = 0;
}

/* The name, then its end or _: "MME-RealWorld" and "ChartQAPro" are other benchmarks, and so are these. */
Kind kind_of_file(const char *path)
{
    static const char *const others[] = { "ocrbench_v2", "mmmu_pro" };
    char stem[128];
    kind_stem(path, stem);
    for (char *s = stem; *s; s++)
        *s = (char)tolower((unsigned char)*s);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strncmp(stem, others[i], strlen(others[i])))
            return KINDS;
    for (int k = 0; k < KIND_CHOICE; k++) {
        const size_t n = strlen(kinds[k].file);
        if (!strncmp(stem, kinds[k].file, n) && (!stem[n] || stem[n] == '_'))
            return (Kind)k;
    }
    return KINDS;
}
