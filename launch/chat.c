/* chat.c -- `asvr chat`: questions about one picture */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/comm.h"
#include "launch/eval/generate.h"
#include "launch/run.h"
#include "launch/verbs.h"

enum { ANSWER = 8192, QUESTION = 4096 };

typedef struct {
    Run       r;
    Generator g;
    Prompt    prompt;
    uint8_t  *pixels;              /* NULL: no picture */
    char      answer[ANSWER];
} Chat;

static bool open_chat(Chat *h, const Config *c, Err *e)
{
    Run *r = &h->r;
    int64_t step;
    const RunShape shape = { .stage = STAGE_INSTRUCT, .codes_given = c->model.codes.depth, .micro_batch = 1, .max_images = 1, .max_len = 1 };
    if (!run_text(r, e) || !run_model(r, &shape, e) || !run_weights(r, &step, e))
        return false;
    generate_open(&h->g, &r->model, r->text, c->data.template, c->model.decoder.max_len, c->chat.max_new);
    if (c->chat.image[0]) {
        const int size = config_picture(c);
        const ImageOps *ops = image_ops(e);
        h->pixels = malloc((size_t)size * (size_t)size * 3);
        CHECK(h->pixels, "no memory for a picture of %d x %d", size, size);
        if (ops)
            ops->allow(c->data.max_pixels);
        if (ops)
            ops->load_square(h->pixels, c->chat.image, size, c->data.fit, e);
    }
    return run_agree(r, e);
}

static bool ask(Chat *h, const char *question, Err *e)
{
    const Config *c = h->r.c;
    const Turn turn = { question, NULL };
    const int images = h->pixels != NULL;
    const Talk talk = { &turn, 1, images, c->data.system[0] ? c->data.system : NULL };
    prompt_build(&h->prompt, h->r.text, c->data.template, &talk, e);
    if (!run_agree(&h->r, e))
        return false;
    if (!generate_prompt(&h->g, h->prompt.tokens, h->prompt.n, h->pixels, images, (float)c->chat.temperature,
                         (uint64_t)c->run.seed, h->answer, sizeof h->answer)) {
        err_expected(e, "at most model.decoder.max_len = %d rows", c->model.decoder.max_len);
        return err_set(e, EXIT_DATA, "chat.question", "ask something shorter", "the question and the picture do not fit");
    }
    if (h->r.grid.rank == 0) {
        printf("%s\n", h->answer);
        fflush(stdout);
    }
    return true;
}

/* The next line of standard input, on every rank; false at its end. */
static bool next_question(const Chat *h, char line[QUESTION])
{
    int more = 1;
    if (h->r.grid.rank == 0) {
        more = fgets(line, QUESTION, stdin) != NULL;
        if (more)
            line[strcspn(line, "\n")] = '\0';
    }
    comm_bcast(h->r.grid.world, &more, sizeof more, 0);
    comm_bcast(h->r.grid.world, line, QUESTION, 0);
    return more;
}

int chat_main(const Config *c)
{
    Chat *h = calloc(1, sizeof *h);
    Err e = { 0 };
    char line[QUESTION] = "";
    CHECK(h, "no memory for a conversation");
    run_open(&h->r, c, c->parallel.tp);
    bool ok = open_chat(h, c, &e);
    if (ok && c->chat.question[0])
        ok = ask(h, c->chat.question, &e);
    else
        while (ok && next_question(h, line))
            ok = ask(h, line, &e);
    if (!ok && h->r.grid.rank == 0)
        log_error(&e);
    generate_close(&h->g);
    prompt_free(&h->prompt);
    free(h->pixels);
    run_close(&h->r);
    free(h);
    return ok ? EXIT_DONE : e.code;
}
