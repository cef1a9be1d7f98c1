#include "core/splice.h"

void splice_layout(Splice *s, Arena *a, int B, int max_len, int I, int P)
{
    const int64_t N = (int64_t)B * max_len, IP = (int64_t)I * P;
    s->start     = TAKE(a, int32_t, B + 1);
    s->id        = TAKE(a, int32_t, N);   s->pos       = TAKE(a, int32_t, N);
    s->image_row = TAKE(a, int32_t, IP);  s->image_src = TAKE(a, int32_t, IP);
    s->text_row  = TAKE(a, int32_t, N);   s->text_id   = TAKE(a, int32_t, N);
    s->vis_row   = TAKE(a, int32_t, IP);  s->vis_src   = TAKE(a, int32_t, IP);
}

static void add_row(Splice *s, int32_t id, int64_t first)
{
    s->id[s->N] = id;
    s->pos[s->N] = (int32_t)(s->N - first);
    s->N++;
}

static void add_image(Splice *s, int32_t image, int P, int64_t first, int64_t end, int shift)
{
    for (int p = 0; p < P && s->N < end; p++) {
        const int32_t row = (int32_t)s->N, src = image * P + p;
        s->image_row[s->images] = row;
        s->image_src[s->images++] = src;
        if (row - shift >= first) {
            s->vis_row[s->vis] = row - shift;
            s->vis_src[s->vis++] = src;
        }
        add_row(s, -1, first);
    }
}

void splice_build(Splice *s, const Batch *b, int P, int max_len, int shift)
{
    s->N = s->images = s->text = s->vis = 0;
    s->B = b->B;
    for (int i = 0; i < b->B; i++) {
        const int64_t first = s->N, end = first + max_len;
        int32_t image = b->image_start[i];
        s->start[i] = (int32_t)first;
        for (int32_t j = b->token_start[i]; j < b->token_start[i + 1] && s->N < end; j++) {
            if (b->tokens[j] == IMAGE_TOKEN) {
                CHECK(image < b->image_start[i + 1], "sample %lld has more image placeholders than images",
                      (long long)b->sample[i]);
                add_image(s, image++, P, first, end, shift);
                continue;
            }
            if (b->labels[j] != IGNORE && s->N > first) {
                s->text_row[s->text] = (int32_t)s->N - 1;
                s->text_id[s->text++] = b->labels[j];
            }
            add_row(s, b->tokens[j], first);
        }
    }
    s->start[b->B] = (int32_t)s->N;
}
