#include "io/hf/hfmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/hf/hfrules.h"

const char *hf_part_name(unsigned part)
{
    switch (part) {
    case PART_VISION:    return "vision";
    case PART_POOL:      return "pool";
    case PART_TEXT:      return "text";
    case PART_CONTRAST:  return "contrast";
    case PART_TOKENIZER: return "tokenizer";
    case PART_CODES:     return "codes";
    case PART_APP_CODES: return "app_codes";
    case PART_PROJECTOR: return "projector";
    case PART_DECODER:   return "decoder";
    case PART_HEAD:      return "head";
    case PART_APP_HEAD:  return "app_head";
    case PART_DENOISER:  return "denoiser";
    default:             return NULL;
    }
}

/* A number as names have it: no sign, no leading zero, at most six digits; returns what follows it, or NULL. */
static const char *number(const char *s, int *n)
{
    const size_t digits = strspn(s, "0123456789");
    if (digits < 1 || digits > 6 || (s[0] == '0' && digits > 1))
        return NULL;
    *n = atoi(s);
    return s + digits;
}

/* Does name have this form?  n[] are the numbers at its "%d"s; *rest is the text at a "*". */
static bool match(const char *form, const char *name, int n[2], const char **rest)
{
    for (int k = 0; *form; form++) {
        if (*form == '*') {
            *rest = name;
            return *name;
        }
        if (form[0] == '%' && form[1] == 'd') {
            if (!(name = number(name, &n[k++])))
                return false;
            form++;
        } else if (*name++ != *form) {
            return false;
        }
    }
    return !*name;
}

/* The inverse: prefix and form, filled in. */
static bool fill(char *out, size_t cap, const char *prefix, const char *form, const int n[2], const char *rest)
{
    int k = 0;
    size_t at = (size_t)snprintf(out, cap, "%s", prefix);
    for (; *form && at < cap; form++) {
        if (*form == '*')
            at += (size_t)snprintf(out + at, cap - at, "%s", rest);
        else if (form[0] == '%' && form[1] == 'd')
            at += (size_t)snprintf(out + at, cap - at, "%d", n[k++]), form++;
        else
            out[at++] = *form;
    }
    if (at < cap)
        out[at] = 0;
    return at < cap;
}

static HfPiece piece_of(const HfRule *r, int module, int depth, int k)
{
    HfPiece p = { .part = HF_MODULE[module].part, .module = module, .extra = r->how == EXTRA, .row_blocks = 1, .col_blocks = 1 };
    if (r->how >= THIRD_0 && r->how <= THIRD_2)
        p.row_block = (int)(r->how - THIRD_0), p.row_blocks = 3;
    if (r->how == DEPTH)
        p.col_block = k, p.col_blocks = depth;
    p.form = r->how == PATCH ? HF_PATCH : r->how == PROBE ? HF_PROBE : HF_PLAIN;
    return p;
}

/* Adds the pieces that this rule of this module says the tensor holds. */
static void add(HfPiece piece[HF_PIECES], int *n, const HfRule *r, int module, int depth, int block, const char *rest)
{
    char prefix[PARAM_NAME];
    const int times = r->how == DEPTH ? depth : 1, step = r->step ? r->step : 1;
    if ((block - r->base) % step || block < r->base)
        return;
    snprintf(prefix, sizeof prefix, "%s.", hf_part_name(HF_MODULE[module].part));
    for (int k = 0; k < times && *n < HF_PIECES; k++) {
        HfPiece *p = &piece[*n];
        *p = piece_of(r, module, depth, k);
        *n += fill(p->ours, sizeof p->ours, prefix, r->ours, (int[]){ (block - r->base) / step, k }, rest);
    }
}

int hf_pieces(const char *name, int depth, HfPiece piece[HF_PIECES])
{
    int n = 0;
    bool known = false;
    for (int m = 0; m < HF_MODULES; m++) {
        const size_t at = strlen(HF_MODULE[m].prefix);
        if (strncmp(name, HF_MODULE[m].prefix, at))
            continue;
        for (int i = 0; i < HF_RULES; i++) {
            const HfRule *r = &HF_RULE[i];
            int n_of[2] = { r->base, 0 };
            const char *rest = "";
            if (!(r->sets & HF_MODULE[m].set) || !match(r->file, name + at, n_of, &rest))
                continue;
            known |= !r->ours;
            if (r->ours)
                add(piece, &n, r, m, depth, n_of[0], rest);
        }
    }
    return n ? n : known ? 0 : -1;
}

/* Our tensor by the rules of one module. */
static bool name_by(const char *ours, int depth, int m, char name[ST_NAME], HfPiece *piece)
{
    const char *part = hf_part_name(HF_MODULE[m].part);
    const size_t at = part ? strlen(part) : 0;
    if (!part || strncmp(ours, part, at) || ours[at] != '.')
        return false;
    for (int i = 0; i < HF_RULES; i++) {
        const HfRule *r = &HF_RULE[i];
        int n_of[2] = { 0, 0 };
        const char *rest = "";
        if (!(r->sets & HF_MODULE[m].set) || !r->ours || !match(r->ours, ours + at + 1, n_of, &rest))
            continue;
        if (r->how == DEPTH && n_of[1] >= depth)
            return false;
        *piece = piece_of(r, m, depth, n_of[1]);
        snprintf(piece->ours, sizeof piece->ours, "%s", ours);
        n_of[0] = n_of[0] * (r->step ? r->step : 1) + r->base;
        return fill(name, ST_NAME, HF_MODULE[m].prefix, r->file, n_of, rest);
    }
    return false;
}

bool hf_name(const char *ours, int depth, uint64_t modules, char name[ST_NAME], HfPiece *piece)
{
    for (int pass = 0; pass < 2; pass++)
        for (int m = 0; m < HF_MODULES; m++)
            if ((pass || modules >> m & 1) && name_by(ours, depth, m, name, piece))
                return true;
    return false;
}

uint64_t hf_modules(HfLayout layout)
{
    uint64_t mask = 0;
    for (int m = 0; m < HF_MODULES; m++)
        if (HF_MODULE[m].layouts & layout)
            mask |= (uint64_t)1 << m;
    return mask;
}

/* The side of square patches of 3 colours that have n numbers, or 0. */
static int patch_side(int n)
{
    for (int p = 1; 3 * p * p <= n; p++)
        if (3 * p * p == n)
            return p;
    return 0;
}

int hf_shape(const HfPiece *p, int rows, int cols, int64_t shape[ST_DIMS])
{
    const int side = patch_side(cols);
    if (p->form == HF_PATCH && side) {
        shape[0] = rows, shape[1] = 3, shape[2] = shape[3] = side;
        return 4;
    }
    if (p->form == HF_PROBE) {
        shape[0] = shape[1] = 1, shape[2] = cols;
        return 3;
    }
    shape[0] = (int64_t)rows * p->row_blocks;
    shape[1] = (int64_t)cols * p->col_blocks;
    return cols * p->col_blocks == 1 ? 1 : 2;
}
