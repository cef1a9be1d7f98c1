/* answers.c -- what `asvr chat` sees and thinks, number by number, for another program to compare with
 *
 *     answers OUT CONFIG QUESTION PICTURES STEPS [KEY=VALUE ...]       PICTURES: a file of paths, one a line; one rank
 *
 * OUT.json    {"size", "vocab", "steps", "pictures": [{"ids": [...], "tokens": [...]}, ...]}    -200 stands where the picture goes
 * OUT.pixels  uint8 (pictures, size, size, 3): what the decoder and the fit make of each file
 * OUT.logits  float (pictures, steps, vocab): before each of the `steps` likeliest tokens, which go on past the end of the answer
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/decode.h"
#include "io/base/log.h"
#include "launch/chattemplate.h"
#include "launch/run.h"

enum { PATHS = 4096 };

typedef struct {
    Run      r;
    Decode   d;
    Prompt   prompt;
    int      size, steps;
    uint8_t *pixels;
    FILE    *json, *raw, *logits;
} Answers;

static FILE *out(const char *stem, const char *end)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s.%s", stem, end);
    FILE *f = fopen(path, "wb");
    CHECK(f, "cannot write %s", path);
    return f;
}

static void open_answers(Answers *a, const Config *c, const char *stem, Err *e)
{
    const RunShape shape = { .stage = STAGE_INSTRUCT, .codes_given = c->model.codes.depth, .micro_batch = 1, .max_images = 1, .max_len = 1 };
    int64_t step;
    run_open(&a->r, c, 1);
    if (!run_text(&a->r, e) || !run_model(&a->r, &shape, e) || !run_weights(&a->r, &step, e))
        return;
    decode_open(&a->d, &a->r.model, 1, c->model.decoder.max_len, c->model.decoder.max_len);
    a->size = config_picture(c);
    a->pixels = malloc((size_t)a->size * (size_t)a->size * 3);
    CHECK(a->pixels, "no memory for a picture of %d x %d", a->size, a->size);
    a->json = out(stem, "json"), a->raw = out(stem, "pixels"), a->logits = out(stem, "logits");
    fprintf(a->json, "{\"size\": %d, \"vocab\": %d, \"steps\": %d, \"pictures\": [", a->size, c->model.decoder.vocab, a->steps);
}

static void put_ids(FILE *f, const char *name, const int32_t *id, int n)
{
    fprintf(f, "\"%s\": [", name);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s%d", i ? ", " : "", id[i]);
    fprintf(f, "]");
}

static void answer(Answers *a, const char *question, const char *path, bool first, Err *e)
{
    const Config *c = a->r.c;
    const Turn turn = { question, NULL };
    const Talk talk = { &turn, 1, 1, c->data.system[0] ? c->data.system : NULL };
    const size_t bytes = (size_t)a->size * (size_t)a->size * 3;
    const ImageOps *ops = image_ops(e);
    int32_t *made = calloc((size_t)a->steps, sizeof *made);
    CHECK(made, "no memory for %d tokens", a->steps);
    if (ops && ops->load_square(a->pixels, path, a->size, config_fit(c), e) && prompt_build(&a->prompt, a->r.text, c->data.template, &talk, e)) {
        decode_start(&a->d, 0);
        CHECK(decode_add(&a->d, 0, a->prompt.tokens, a->prompt.n, model_image_rows(&a->r.model, &a->r.tape, a->pixels, 1)), "the question is too long");
        decode_pass(&a->d);
        for (int i = 0; i < a->steps; i++) {
            CHECK(fwrite(a->d.logits, sizeof(float), (size_t)c->model.decoder.vocab, a->logits) == (size_t)c->model.decoder.vocab, "cannot write logits");
            made[i] = decode_pick(&a->d, 0, 0, 0);
            CHECK(decode_add(&a->d, 0, &made[i], 1, NULL), "model.decoder.max_len is too short for %d tokens", a->steps);
            decode_pass(&a->d);
        }
        CHECK(fwrite(a->pixels, 1, bytes, a->raw) == bytes, "cannot write pixels");
        fprintf(a->json, "%s\n{", first ? "" : ",");
        put_ids(a->json, "ids", a->prompt.tokens, a->prompt.n);
        fprintf(a->json, ", ");
        put_ids(a->json, "tokens", made, a->steps);
        fprintf(a->json, "}");
    }
    free(made);
}

int main(int argc, char **argv)
{
    static Config c;
    static ErrList errs;
    static Answers a;
    char path[PATHS];
    CHECK(argc >= 6, "answers OUT CONFIG QUESTION PICTURES STEPS [KEY=VALUE ...]");
    MPI_Init(&argc, &argv);
    Err *e = &errs.err[0];
    if (config_load(&c, argv[2], argv + 6, argc - 6, &errs) && chat_template(&c, "chat") == EXIT_DONE) {
        a.steps = atoi(argv[5]);
        open_answers(&a, &c, argv[1], e);
        FILE *list = fopen(argv[4], "r");
        CHECK(list, "cannot read %s", argv[4]);
        for (int i = 0; !e->code && fgets(path, sizeof path, list); i++) {
            path[strcspn(path, "\n")] = 0;
            answer(&a, argv[3], path, i == 0, e);
        }
        fclose(list);
    }
    if (e->code) {
        log_error(e);
        MPI_Abort(MPI_COMM_WORLD, e->code);
    }
    fprintf(a.json, "]}\n");
    CHECK(!fclose(a.json) && !fclose(a.raw) && !fclose(a.logits), "cannot write what was found");
    decode_close(&a.d);
    prompt_free(&a.prompt);
    free(a.pixels);
    run_close(&a.r);
    MPI_Finalize();
    return EXIT_DONE;
}
