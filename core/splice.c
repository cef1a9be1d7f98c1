#include "core/splice.h"

#include "core/rng.h"

int64_t splice_text_targets(const int32_t *tokens, const int32_t *labels, int64_t n, int P, int max_len)
{
    int64_t targets = 0;
    for (int64_t j = 0, row = 0; j < n && row < max_len; row += tokens[j++] == IMAGE_TOKEN ? P : 1)
        targets += tokens[j] != IMAGE_TOKEN && labels[j] != IGNORE && row > 0;
    return targets;
}

void splice_layout(Splice *s, Arena *a, int B, int max_len, int I, int P)
{
    const int64_t N = (int64_t)B * max_len, IP = (int64_t)I * P;
    s->start     = LIST(a, int32_t, B + 1);
    s->id        = LIST(a, int32_t, N);   s->pos       = LIST(a, int32_t, N);
    s->image_row = LIST(a, int32_t, IP);  s->image_src = LIST(a, int32_t, IP);
    s->text_row  = LIST(a, int32_t, N);   s->text_id   = LIST(a, int32_t, N);
    s->vis_row   = LIST(a, int32_t, IP);  s->vis_src   = LIST(a, int32_t, IP);
    s->vis_key   = LIST(a, int64_t, IP);  s->vis_start = LIST(a, int32_t, I + 1);
}

/* Spaces the keys of samples: pictures beyond it would only share their random numbers. */
enum { MAX_SAMPLE_IMAGES = 1 << 16 };

static void add_row(Splice *s, int32_t id, int64_t first)
{
    s->id[s->N] = id;
    s->pos[s->N] = (int32_t)(s->N - first);
    s->N++;
}

/* key0: number of the picture's first patch in the global batch. */
static void add_image(Splice *s, int32_t image, int64_t key0, int P, int64_t first, int64_t end, int shift)
{
    const int64_t before = s->vis;
    for (int p = 0; p < P && s->N < end; p++) {
        const int32_t row = (int32_t)s->N, src = image * P + p;
        s->image_row[s->images] = row;
        s->image_src[s->images++] = src;
        if (row - shift >= first) {
            s->vis_row[s->vis] = row - shift;
            s->vis_key[s->vis] = key0 + p;
            s->vis_src[s->vis++] = src;
        }
        add_row(s, -1, first);
    }
    if (s->vis > before)
        s->vis_start[++s->vis_images] = (int32_t)s->vis;
}

void splice_build(Splice *s, const Batch *b, int P, int max_len, int shift)
{
    s->N = s->images = s->text = s->vis = s->vis_images = 0;
    s->vis_start[0] = 0;
    s->B = b->B;
    for (int i = 0; i < b->B; i++) {
        const int64_t first = s->N, end = first + max_len;
        int32_t image = b->image_start[i];
        s->start[i] = (int32_t)first;
        for (int32_t j = b->token_start[i]; j < b->token_start[i + 1] && s->N < end; j++) {
            if (b->tokens[j] == IMAGE_TOKEN) {
                CHECK(image < b->image_start[i + 1], "sample %lld has more image placeholders than images",
                      (long long)b->sample[i]);
                const int64_t number = (b->first + i) * MAX_SAMPLE_IMAGES + image - b->image_start[i];
                add_image(s, image++, number * P, P, first, end, shift);
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

void splice_share(Splice *s, float share, uint64_t seed, int64_t step)
{
    const uint64_t stream = rng_stream("visual.share") + (uint64_t)step;
    int64_t kept = 0;
    int images = 0;
    for (int32_t i = 0, from = 0, to; i < s->vis_images; i++, from = to) {
        to = s->vis_start[i + 1];                        /* before it is written: images <= i */
        const int64_t before = kept;
        for (int32_t v = from; v < to; v++) {
            if (rng_uniform(seed, stream, (uint64_t)s->vis_key[v]) >= share)
                continue;
            s->vis_row[kept] = s->vis_row[v];
            s->vis_src[kept] = s->vis_src[v];
            s->vis_key[kept++] = s->vis_key[v];
        }
        if (kept > before)
            s->vis_start[++images] = (int32_t)kept;
    }
    s->vis = kept;
    s->vis_images = images;
}
