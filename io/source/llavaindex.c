#include "io/source/llavaindex.h"

#include <stdlib.h>

static void add(LlavaIndex *x, int64_t offset, uint8_t kind)
{
    if (x->n == x->cap) {
        x->cap    = x->cap ? 2 * x->cap : 1024;
        x->offset = realloc(x->offset, (size_t)x->cap * sizeof *x->offset);
        x->kind   = realloc(x->kind, (size_t)x->cap);
        CHECK(x->offset && x->kind, "no memory for the index of %lld records", (long long)x->cap);
    }
    x->offset[x->n] = offset;
    x->kind[x->n++] = kind;
}

void llava_index_slice(LlavaIndex *x, LlavaPart *part, Llava *l, int64_t first, int64_t to, bool to_bad, Err *e)
{
    JsonScan *s = llava_scan(l);
    LlavaRecord r;
    int found = 0;
    x->n = 0;
    *part = (LlavaPart){ .first = first, .next = -1 };
    if (first < 0)
        return;
    llava_seek(l, first, 0);
    while (!part->bad && (found = json_scan_find(s)) == 1 && json_scan_tell(s) < to) {
        Err bad = { 0 };
        const bool good = llava_next(l, &r, &bad) == 1;
        if (s->broken.code)
            break;
        const uint8_t kind = (uint8_t)(min64(r.images, KIND_PICTURES) + (r.answer_first ? KIND_ANSWER_FIRST : 0) +
                                       (good && (r.asked->n || r.asked->task) ? KIND_ASKED : 0));
        add(x, r.offset, good ? kind : KIND_BAD);
        part->bad = !good && to_bad;
    }
    if (s->broken.code && !part->bad) {
        part->broken = true;
        *e = s->broken;
    }
    if (found == 1 && !s->broken.code)
        part->next = json_scan_tell(s);
    part->n = x->n;
}

void llava_index_free(LlavaIndex *x)
{
    free(x->offset);
    free(x->kind);
    *x = (LlavaIndex){ 0 };
}

int llava_parts_fit(const LlavaPart *part, int ranks, int64_t start)
{
    int64_t next = start;
    for (int r = 0; r < ranks; r++) {
        if (part[r].broken || (part[r].first >= 0 && part[r].first != next))
            return 0;
        if (part[r].bad)
            return r + 1;
        if (part[r].first >= 0)
            next = part[r].next;
    }
    return next < 0 ? ranks : 0;
}
