/* benchanswers.c -- answers to prompts, so many at once: prefill beside sgemm, decoding beside what memory gives */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/decode.h"
#include "core/limits.h"
#include "core/prof.h"
#include "core/rng.h"
#include "launch/bench/bench.h"
#include "launch/bench/synthetic.h"

enum { BEST = 3 };

typedef struct {
    Run      *r;
    Decode    d;
    Synthetic s;
    int       length, answer;      /* tokens of a prompt, of which the first is a picture; tokens of its answer */
    double    sgemm, read;         /* of all ranks: flops and bytes a second, no faster than which a pass can be */
} Answers;

/* What rank 0 is told of all ranks: seconds are those of the slowest, the rest is added up. */
typedef struct { double seconds, vision, flops, bytes; } Spent;

static Spent of_all(const Run *r, Spent s)
{
    double most[2] = { s.seconds, s.vision }, sum[2] = { s.flops, s.bytes };
    comm_max_f64(r->grid.world, most, 2);
    comm_sum_f64(r->grid.world, sum, 2);
    return (Spent){ most[0], most[1], sum[0], sum[1] };
}

/* Bytes that a pass reads: the decoder's weights but the embedding, and the keys and values that are there. */
static double pass_bytes(const Decode *d, int prompts)
{
    const Params *t = &d->m->table;
    const LlamaDims *dims = &d->m->c.decoder;
    const int KD = (int)max64(1, dims->K / d->m->tp->size) * llama_head(dims);
    int64_t floats = 0;
    for (int i = 0; i < t->n; i++)
        if (param_in_part(&t->p[i], "decoder") && (i != d->m->w.decoder.p_embed || dims->tied))
            floats += t->p[i].count;
    for (int i = 0; i < prompts; i++)
        floats += 2 * (int64_t)dims->L * KD * d->cache.len[i];
    return 4 * (double)floats;
}

/* All prompts, each with its picture, as many in a pass as it has room for. */
static Spent prefill(Answers *a, int prompts)
{
    Model *m = &a->r->model;
    Spent s = { 0 };
    comm_barrier(a->r->grid.world);
    const double t = now(), flops = prof_flops;
    for (int i = 0; i < prompts; i++) {
        const double seen = now();
        const float *rows = model_image_rows(m, &a->r->tape, a->s.pixels, 1);
        s.vision += now() - seen;
        decode_start(&a->d, i);
        if (!decode_add(&a->d, i, a->s.tokens, a->length, rows)) {
            decode_pass(&a->d);
            decode_add(&a->d, i, a->s.tokens, a->length, rows);
        }
    }
    decode_pass(&a->d);
    s.seconds = now() - t;
    s.flops = prof_flops - flops;
    return of_all(a->r, s);
}

static Spent decoding(Answers *a, int prompts)
{
    const int V = a->r->c->model.decoder.vocab;
    Spent s = { 0 };
    comm_barrier(a->r->grid.world);
    const double t = now(), flops = prof_flops;
    for (int k = 0; k < a->answer; k++) {
        for (int i = 0; i < prompts; i++) {
            const int32_t id = (int32_t)rng_below((uint64_t)V, 1, (uint64_t)i, (uint64_t)k);
            decode_add(&a->d, i, &id, 1, NULL);
        }
        s.bytes += pass_bytes(&a->d, prompts);
        decode_pass(&a->d);
        for (int i = 0; i < prompts; i++)
            decode_pick(&a->d, i, 0, 0);
    }
    s.seconds = now() - t;
    s.flops = prof_flops - flops;
    return of_all(a->r, s);
}

static void measure(Answers *a, int prompts)
{
    const Run *r = a->r;
    const int rows = decode_rows(&a->d, a->s.tokens, a->length);
    const double all = (double)prompts * r->grid.dp_size;
    Spent in = { .seconds = INFINITY }, out = { .seconds = INFINITY };
    for (int i = 0; i < BEST; i++) {
        const Spent p = prefill(a, prompts), q = decoding(a, prompts);
        in = p.seconds < in.seconds ? p : in;
        out = q.seconds < out.seconds ? q : out;
    }
    if (r->grid.rank != 0)
        return;
    const double bound = fmax(out.bytes / a->read, out.flops / a->sgemm);
    printf("%7d %10.1f %10.1f %8.1f %8.2f %8.0f %% %10.1f %8.2f %8.2f %8.2f\n", prompts, all / in.seconds, all * rows / in.seconds,
           1e-9 * in.flops / in.seconds, in.flops / in.seconds / a->sgemm, 100 * in.vision / in.seconds, all * a->answer / out.seconds,
           1e-9 * out.bytes / out.seconds, out.bytes / out.seconds / a->read, bound / out.seconds);
    fflush(stdout);
}

static bool open_answers(Answers *a, Err *e)
{
    Run *r = a->r;
    const Config *c = r->c;
    const RunShape shape = { .stage = STAGE_INSTRUCT, .codes_given = c->model.codes.depth, .micro_batch = 1,
                             .max_images = 1, .max_len = 1, .answers = c->bench.prompts, .answers_by = "bench.prompts" };
    if (!run_model(r, &shape, e))
        return false;
    const int len = c->model.decoder.max_len, P = r->model.w.vision.P, text = (len - P) / 2;
    if (text < 1) {
        err_expected(e, "at least %d rows: a picture, and as much text in the question as in the answer", P + 2);
        err_got(e, "%d", len);
        return err_set(e, EXIT_CONFIG, "model.decoder.max_len", "raise it", "no prompt with a picture fits");
    }
    model_init(&r->model);
    model_pack(&r->model);
    decode_open(&a->d, &r->model, c->bench.prompts, len, len + c->bench.prompts);
    synthetic_open(&a->s, c, P, r->grid.dp_rank);
    a->length = text + 1;
    a->answer = len - P - text;
    return true;
}

bool bench_answers(Run *r, Err *e)
{
    Answers a = { .r = r, .sgemm = bench_sgemm(r) };
    if (!open_answers(&a, e))
        return false;
    double read = limits_read((int64_t)pass_bytes(&a.d, 0), r->threads);
    comm_sum_f64(r->grid.world, &read, 1);
    a.read = read;
    if (r->grid.rank == 0)
        printf("%d rank%s, %d replica%s; prompts of %d rows, a picture among them; answers of %d tokens; sgemm %.1f GF/s; reading %.2f GB/s, all ranks at once\n\n"
               "%7s %10s %10s %8s %8s %10s %10s %8s %8s %8s\n", r->grid.size, r->grid.size == 1 ? "" : "s", r->grid.dp_size, r->grid.dp_size == 1 ? "" : "s",
               decode_rows(&a.d, a.s.tokens, a.length), a.answer, 1e-9 * a.sgemm, 1e-9 * a.read, "at once", "prompts/s", "rows/s", "GF/s",
               "of sgemm", "vision", "tokens/s", "GB/s", "of read", "of bound");
    for (int n = 1; n <= r->c->bench.prompts; n *= 2)
        measure(&a, n);
    synthetic_close(&a.s);
    decode_close(&a.d);
    return run_agree(r, e);
}
