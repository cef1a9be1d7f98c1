/* inventory.c -- which matrices and codebooks a checkpoint has, and which of them are wanted (spectrum.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lora.h"
#include "launch/spectrum/spectrum.h"

static const char SUM[] = ".sum";

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n > k && !strcmp(s + n - k, end);
}

/* "decoder.1.attn.wq" of a tensor that is a weight, else NULL. */
static const char *weight_name(const CkptTensor *t)
{
    return strncmp(t->name, SPECTRUM_WEIGHTS, sizeof SPECTRUM_WEIGHTS - 1) ? NULL : t->name + sizeof SPECTRUM_WEIGHTS - 1;
}

static bool in_part(const char *name, const char *part, size_t n)
{
    return !strncmp(name, part, n) && name[n] == '.';
}

bool spectrum_wanted(const char *list, const char *name, size_t n)
{
    static const char between[] = ", ";
    const char *at = list + strspn(list, between);
    if (!*at)
        return true;
    for (; *at; at += strspn(at, between)) {
        const size_t k = strcspn(at, between);
        if (k == n && !strncmp(at, name, n))
            return true;
        at += k;
    }
    return false;
}

/* "vision, projector, decoder": of the checkpoint, in its order. */
static void parts_of(const Spectrum *s, char *out, size_t cap)
{
    const char *last = "";
    *out = 0;
    for (int i = 0; i < s->tensors; i++) {
        const char *name = weight_name(&s->tensor[i]);
        const size_t n = name ? strcspn(name, ".") : 0, at = strlen(out);
        if (!name || in_part(last, name, n))
            continue;
        snprintf(out + at, cap - at, "%s%.*s", at ? ", " : "", (int)n, name);
        last = name;
    }
    if (s->meta.lora_rank && !spectrum_wanted(out, "decoder", 7))
        snprintf(out + strlen(out), cap - strlen(out), ", decoder");
}

bool spectrum_parts(const Spectrum *s, const char *list, Err *e)
{
    char have[256];
    parts_of(s, have, sizeof have);
    for (const char *at = list + strspn(list, ", "); *at; at += strspn(at, ", ")) {
        const size_t n = strcspn(at, ", ");
        if (!spectrum_wanted(have, at, n) && (n != 8 || strncmp(at, "features", n))) {
            err_expected(e, "%s, features", have);
            err_got(e, "\"%.*s\"", (int)min64((int64_t)n, 100), at);
            return err_set(e, EXIT_CONFIG, "spectrum.parts", "", "the checkpoint has no such part");
        }
        at += n;
    }
    return true;
}

int spectrum_add(Spectrum *s, const char *part, const char *name, int64_t rows, int64_t cols)
{
    const int64_t n = min64(rows, cols);
    s->matrix = realloc(s->matrix, (size_t)(s->n + 1) * sizeof *s->matrix);
    s->values = realloc(s->values, (size_t)(s->used + n) * sizeof *s->values);
    CHECK(s->matrix && s->values, "no memory for the singular values of %d matrices", s->n + 1);
    Matrix *m = &s->matrix[s->n];
    *m = (Matrix){ .rows = rows, .cols = cols, .n = (int)n, .at = s->used };
    snprintf(m->part, sizeof m->part, "%s", part);
    snprintf(m->name, sizeof m->name, "%s", name);
    memset(s->values + s->used, 0, (size_t)n * sizeof *s->values);
    s->used += n;
    return s->n++;
}

static void add_book(Spectrum *s, const char *name, const CkptTensor *t)
{
    s->book = realloc(s->book, (size_t)(s->books + 1) * sizeof *s->book);
    CHECK(s->book, "no memory for %d codebooks", s->books + 1);
    Book *b = &s->book[s->books++];
    *b = (Book){ .vectors = t->size[0], .width = t->size[1] };
    snprintf(b->name, sizeof b->name, "%.*s", (int)(strlen(name) - strlen(SPECTRUM_TABLE)), name);
}

/* The half of a pair beside the weight "decoder.1.attn.wq", or NULL. */
static const CkptTensor *half(const Spectrum *s, const char *name, const char *which)
{
    char pair[CKPT_NAME];
    snprintf(pair, sizeof pair, "%s" LORA_PART ".%.60s.%s", SPECTRUM_WEIGHTS, name, which);
    return s->meta.lora_rank ? ckpt_find(s->ckpt, pair) : NULL;
}

/* The matrix that was added last has this pair. */
static void add_pair(Spectrum *s, const CkptTensor *a, const CkptTensor *up, bool update)
{
    Matrix *m = &s->matrix[s->n - 1];
    m->a = a;
    m->up = up;
    m->update = update;
    s->merged += !update;
    if (update)
        m->n = (int)min64(m->n, a->size[0]);
}

/* Weights with the pairs beside them where the checkpoint has not the weight itself (its base has it); or what pairs add, if `update`. */
static void list_pairs(Spectrum *s, const char *list, bool update)
{
    static const char FRONT[] = LORA_PART ".", BEHIND[] = ".a";
    for (int i = 0; i < s->tensors; i++) {
        char name[CKPT_NAME], own[CKPT_NAME];
        const char *whole = weight_name(&s->tensor[i]);
        if (!whole || strncmp(whole, FRONT, sizeof FRONT - 1) || !ends_with(whole, BEHIND))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(strlen(whole) - strlen(FRONT) - strlen(BEHIND)), whole + strlen(FRONT));
        snprintf(own, sizeof own, "%s%.60s", SPECTRUM_WEIGHTS, name);
        const CkptTensor *a = half(s, name, "a"), *up = half(s, name, "b");
        const size_t n = strcspn(name, ".");
        char part[PARAM_NAME];
        snprintf(part, sizeof part, "%.*s", update ? (int)strlen(LORA_PART) : (int)n, update ? LORA_PART : name);
        if (!a || !up || !spectrum_wanted(list, part, strlen(part)) || (!update && ckpt_find(s->ckpt, own)))
            continue;
        spectrum_add(s, part, update ? name : name + n + 1, up->size[0], a->size[1]);
        add_pair(s, a, up, update);
    }
}

void spectrum_list(Spectrum *s, const char *list)
{
    for (int i = 0; i < s->tensors; i++) {
        const CkptTensor *t = &s->tensor[i];
        const char *name = weight_name(t);
        const size_t n = name ? strcspn(name, ".") : 0;
        char part[PARAM_NAME];
        if (!name || t->dims != 2 || t->size[0] < 2 || t->size[1] < 2 || in_part(name, LORA_PART, strlen(LORA_PART)) || !spectrum_wanted(list, name, n))
            continue;
        const bool codes = in_part(name, "codes", 5) || in_part(name, "app_codes", 9);
        if (codes && ends_with(name, SUM))
            continue;
        snprintf(part, sizeof part, "%.*s", (int)n, name);
        spectrum_add(s, part, name + n + 1, t->size[0], t->size[1]);
        if (codes && ends_with(name, SPECTRUM_TABLE))
            add_book(s, name, t);
        if (half(s, name, "a") && half(s, name, "b"))
            add_pair(s, half(s, name, "a"), half(s, name, "b"), false);
    }
    list_pairs(s, list, false);
    list_pairs(s, list, true);
    s->weights = s->n;
}
