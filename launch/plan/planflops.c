/* planflops.c -- which rows go through each parameter, and what that costs (plan.h) */
#include "launch/plan/plan.h"

#include <stdlib.h>
#include <string.h>

/* Rows of one sample (one picture, text up to max_len) that go through a weight; P patches, Q depths. */
enum {
    NONE, ONE, TOKENS /* of the text */, ALL /* rows of the sequence */, PATCHES, FEATURES /* P, at every scale */,
    CODES /* P where no codes are stored */, TARGETS /* P, or the share that has a target */,
    DEPTHS /* Q TARGETS */, UPPER /* (Q - 1) TARGETS */, DRAWS /* noise levels x P */
};

static const Group GROUPS[] = {
    { "vision",    "patch",   "patches",                     FEATURES, false },
    { "vision",    "pos",     "positions",                   NONE,     false },
    { "vision",    "class",   "class row",                   NONE,     false },
    { "vision",    "pre",     "norm in front",               NONE,     false },
    { "vision",    "#",       "block",                       FEATURES, true  },
    { "tokenizer", "patch",   "patches",                     CODES,    false },
    { "tokenizer", "pos",     "positions",                   NONE,     false },
    { "tokenizer", "class",   "class row",                   NONE,     false },
    { "tokenizer", "pre",     "norm in front",               NONE,     false },
    { "tokenizer", "#",       "block",                       CODES,    true  },
    { "pool",      "",        "",                            PATCHES,  true  },
    { "text",      "embed",   "embedding",                   NONE,     false },
    { "text",      "pos",     "positions",                   NONE,     false },
    { "text",      "#",       "block",                       TOKENS,   true  },
    { "text",      "",        "norm, projection",            ONE,      true  },
    { "codes",     "#.table", "vectors",                     CODES,    false },
    { "codes",     "",        "running means",               NONE,     false },
    { "app_codes", "#.table", "vectors",                     CODES,    false },
    { "app_codes", "",        "running means",               NONE,     false },
    { "projector", "0",       "",                            PATCHES,  false },
    { "projector", "",        "",                            PATCHES,  true  },
    { "decoder",   "embed",   "embedding",                   NONE,     false },
    { "decoder",   "#",       "block",                       ALL,      true  },
    { "decoder",   "norm",    "norm",                        NONE,     true  },
    { "decoder",   "lm_head", "LM head",                     TOKENS,   true  },
    { "head",      "p",       "projector",                   TARGETS,  true  },
    { "head",      "in",      "code vectors in",             UPPER,    false },
    { "head",      "#.attn",  "block",                       DEPTHS,   true  },
    { "head",      "#",       "block",                       TARGETS,  true  },
    { "head",      "norm",    "norm",                        NONE,     true  },
    { "head",      "tie",     "code vectors out",            DEPTHS,   true  },
    { "head",      "code",    "code logits",                 TARGETS,  true  },
    { "denoiser",  "in",      "",                            DRAWS,    false },
    { "denoiser",  "cond",    "",                            PATCHES,  true  },
    { "denoiser",  "time",    "",                            ONE,      true  },
    { "denoiser",  "",        "",                            DRAWS,    true  },
    { "",          "",        "",                            NONE,     false },
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

/* ---- flops ---- */

int plan_tower_layers(const Model *m, bool features, bool codes, bool clean)
{
    int n = features ? m->feature_layers : 0;
    for (int k = 0; k < BRANCHES; k++)
        if ((codes && model_has(m, k ? PART_APP_CODES : PART_CODES)) || (clean && k == SEMANTIC))
            n = m->code_layers[k] > n ? m->code_layers[k] : n;
    return n;
}

/* Blocks of the vision tower that a training step runs. */
static int tower_layers(const Model *m)
{
    return plan_tower_layers(m, !m->c.discrete, !m->c.codes_given && !model_has(m, PART_TOKENIZER), model_has(m, PART_DENOISER));
}

static bool computes_codes(const Model *m) { return !m->c.codes_given; }

/* Pictures of the tower's own size that one sample is looked at as (scales.h). */
static int views(const Model *m)
{
    int n = 0;
    for (int s = 1; s <= m->c.scales; s++)
        n += s * s;
    return n;
}

static double rows_through(const Model *m, int rows)
{
    const ModelConf *c = &m->c;
    const double P = m->w.vision.P, targets = P * c->visual_share;
    switch (rows) {
    case ONE:      return 1;
    case TOKENS:   return c->max_len - P;
    case ALL:      return c->max_len;
    case PATCHES:  return P;
    case FEATURES: return P * views(m);
    case CODES:    return computes_codes(m) ? P : 0;
    case TARGETS:  return targets;
    case DEPTHS:   return targets * c->codes_depth;
    case UPPER:    return targets * (c->codes_depth - 1);
    case DRAWS:    return P * c->denoise_draws;
    default:       return 0;
    }
}

bool plan_vision_learns(const Model *m)
{
    const int i = params_find(&m->table, "vision.patch.w");
    return i >= 0 && m->table.p[i].grad >= 0;
}

/* A tied embedding's products are the LM head's. */
static const Group *group_at_work(const Model *m, const Param *p)
{
    static const Param head = { .name = "decoder.lm_head" };
    return group_of(m->c.decoder.tied && !strcmp(p->name, "decoder.embed") ? &head : p);
}

/* Rows of a picture in the tower's blocks, beside those of its patches. */
static double class_rows(const Model *m) { return (double)vision_rows(&m->w.vision) / m->w.vision.P; }

Flops plan_flops_weight(const Model *m, const Param *p)
{
    const Group *g = group_at_work(m, p);
    const bool tower = param_in_part(p, "vision"), codes = !strcmp(g->word, "#.table"), learns = p->grad >= 0;
    bool passes = g->passes;
    if (p->cols == 1 || (tower && g->word[0] == '#' && atoi(p->name + strlen("vision.")) >= tower_layers(m)))
        return (Flops){ 0 };
    if (tower || g->rows == CODES)
        passes = passes && learns;                         /* no gradient reaches a frozen tower */
    else if (!strncmp(p->name, "projector.0.", 12))
        passes = plan_vision_learns(m);
    const double shared = codes && m->c.codes_shared ? m->c.codes_depth : 1;
    const double rows = rows_through(m, g->rows) * (g->word[0] == '#' && (tower || param_in_part(p, "tokenizer")) ? class_rows(m) : 1);
    const double once = 2.0 * (double)p->count * rows * shared;
    const int    backward = codes ? 0 : learns + passes;   /* codebooks learn by averages */
    const bool   head = !strcmp(g->word, "lm_head") || !strcmp(g->word, "code") || !strcmp(g->word, "tie");
    return (Flops){ once, once * (1 + (head ? backward : 0)), once * (1 + backward) };
}

static void add(Flops *f, double forward, double backward)
{
    f->forward += forward;
    f->early += forward;
    f->step += forward * (1 + backward);
}

/* Products without a weight of their own: attention, by heads, and the logits of a tied head, by codes. */
static void add_products(Flops *f, const Model *m)
{
    const ModelConf *c = &m->c;
    const double P = m->w.vision.P, R = vision_rows(&m->w.vision), T = c->max_len, Q = c->codes_depth, targets = P * c->visual_share;
    const double picture = 4 * R * R * c->vision.C;
    add(f, picture * views(m) * tower_layers(m), plan_vision_learns(m) ? 2.5 : 0);
    if (model_has(m, PART_TOKENIZER) && computes_codes(m))
        add(f, picture * m->w.tower.enc.d.L, 0);
    add(f, 2 * T * (T + 1) * c->decoder.H * llama_head(&c->decoder) * c->decoder.L, 2.5);
    if (model_has(m, PART_DENOISER))
        add(f, 4 * P * P * c->head_width * c->head_layers * c->denoise_draws, 2.5);
    for (int k = 0; k < model_branches(m); k++) {
        add(f, 2 * targets * c->head_width * Q * (Q + 1) * c->head_layers, 2);
        if (c->head_tied) {
            add(f, 2 * targets * Q * c->codes_size * c->vision.C, 1);
            f->early += 2 * targets * Q * c->codes_size * c->vision.C;
        }
    }
}

Flops plan_flops(const Model *m)
{
    Flops f = { 0 };
    add_products(&f, m);
    f.forward /= m->tp->size;
    f.early /= m->tp->size;
    f.step /= m->tp->size;
    for (int i = 0; i < m->table.n; i++) {
        const Flops w = plan_flops_weight(m, &m->table.p[i]);
        f.forward += w.forward;
        f.early += w.early;
        f.step += w.step;
    }
    return f;
}
