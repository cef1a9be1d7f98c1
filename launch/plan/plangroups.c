/* plangroups.c -- the lines of the table in which parameters count (plan.h) */
#include <string.h>

#include "launch/plan/plan.h"

static const Group GROUPS[] = {
    { "vision",    "patch",   "patches" },          { "vision",    "pos",     "positions" },
    { "vision",    "class",   "class row" },        { "vision",    "pre",     "norm in front" },
    { "vision",    "#",       "block" },            { "tokenizer", "patch",   "patches" },
    { "tokenizer", "pos",     "positions" },        { "tokenizer", "class",   "class row" },
    { "tokenizer", "pre",     "norm in front" },    { "tokenizer", "#",       "block" },
    { "text",      "embed",   "embedding" },        { "text",      "pos",     "positions" },
    { "text",      "#",       "block" },            { "text",      "",        "norm, projection" },
    { "codes",     "#.table", "vectors" },          { "codes",     "",        "running means" },
    { "app_codes", "#.table", "vectors" },          { "app_codes", "",        "running means" },
    { "decoder",   "embed",   "embedding" },        { "decoder",   "#",       "block" },
    { "decoder",   "norm",    "norm" },             { "decoder",   "lm_head", "LM head" },
    { "head",      "p",       "projector" },        { "head",      "in",      "code vectors in" },
    { "head",      "#",       "block" },            { "head",      "norm",    "norm" },
    { "head",      "tie",     "code vectors out" }, { "head",      "code",    "code logits" },
    { "",          "",        "" },
};
enum { N_GROUPS = sizeof GROUPS / sizeof *GROUPS };

/* Does `s` begin with the pattern?  # is one number, which ends at a dot. */
static bool begins(const char *s, const char *pattern)
{
    for (; *pattern; pattern++)
        if (*pattern == '#') {
            const size_t n = strspn(s, "0123456789");
            if (n == 0 || (s[n] && s[n] != '.'))
                return false;
            s += n;
        } else if (*s++ != *pattern) {
            return false;
        }
    return true;
}

const Group *group_of(const Param *p)
{
    const char *rest = strchr(p->name, '.') + 1;
    const char *name = strncmp(p->name, "app_head.", 9) ? p->name : p->name + 4;       /* the same head twice */
    for (int i = 0; i < N_GROUPS - 1; i++) {
        const size_t n = strlen(GROUPS[i].part);
        if (!strncmp(name, GROUPS[i].part, n) && name[n] == '.' && begins(rest, GROUPS[i].word))
            return &GROUPS[i];
    }
    return &GROUPS[N_GROUPS - 1];
}
