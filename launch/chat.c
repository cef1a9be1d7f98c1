/* chat.c -- `asvr chat`: questions about pictures, or about nothing to see */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm.h"
#include "launch/eval/generate.h"
#include "launch/run.h"
#include "launch/verbs.h"

enum { ANSWER = 1 << 16, QUESTION = 1 << 16, PICTURES = 64 };

typedef struct {
    Run       r;
    Generator g;
    Prompt    prompt;
    int       images;
    uint8_t  *pixels;              /* (images, size, size, 3) */
    int64_t   line;                /* of standard input */
    char      question[QUESTION], answer[ANSWER];
} Chat;

/* The pictures that chat.image names, cut in place: one path, or several with commas between them.  Their number, or -1. */
static int picture_paths(char list[CONFIG_STRING], const char *path[PICTURES])
{
    int n = 0;
    path[0] = list;
    if (!list[0] || !strchr(list, ',') || access(list, F_OK) == 0)
        return list[0] != '\0';
    for (char *at = strtok(list, ","); at; at = strtok(NULL, ",")) {
        at += strspn(at, " ");
        if (n == PICTURES)
            return -1;
        path[n++] = at;
    }
    return n;
}

static void load_pictures(Chat *h, const char *const *path, Err *e)
{
    const Config *c = h->r.c;
    const size_t size = (size_t)config_picture(c), bytes = size * size * 3;
    const ImageOps *ops = image_ops(e);
    h->pixels = malloc((size_t)h->images * bytes);
    CHECK(h->pixels, "no memory for %d pictures of %zu x %zu", h->images, size, size);
    if (ops)
        ops->allow(c->data.max_pixels);
    for (int i = 0; i < h->images && !e->code; i++)
        ops->load_square(h->pixels + (size_t)i * bytes, path[i], (int)size, config_fit(c), e);
}

static bool open_chat(Chat *h, const Config *c, Err *e)
{
    Run *r = &h->r;
    int64_t step;
    ConfigString list;
    const char *path[PICTURES];
    memcpy(list, c->chat.image, sizeof list);
    h->images = picture_paths(list, path);
    if (h->images < 0)
        return err_set(e, EXIT_CONFIG, "chat.image", "", "more than %d pictures", PICTURES);
    const RunShape shape = { .stage = STAGE_INSTRUCT, .codes_given = c->model.codes.depth, .micro_batch = 1,
                             .max_images = h->images > 1 ? h->images : 1, .max_len = 1 };
    if (!run_text(r, e) || !run_model(r, &shape, e) || !run_weights(r, &step, e))
        return false;
    const GeneratorShape g = { .slots = 1, .max_len = c->model.decoder.max_len, .max_new = c->chat.max_new, .template_ = c->data.template, .keep = true };
    generate_open(&h->g, &r->model, &r->tape, r->text, &g);
    if (h->images)
        load_pictures(h, path, e);
    return run_agree(r, e);
}

/* False: e says what is wrong with the question; on all ranks. */
static bool ask(Chat *h, const char *question, Err *e)
{
    const Config *c = h->r.c;
    const Turn turn = { question, NULL };
    const Talk talk = { &turn, 1, h->images, c->data.system[0] ? c->data.system : NULL };
    prompt_build(&h->prompt, h->r.text, c->data.template, &talk, e);
    if (!run_agree(&h->r, e))
        return false;
    const Request q = { .tokens = h->prompt.tokens, .n = h->prompt.n, .pixels = h->pixels, .images = h->images,
                        .temperature = (float)c->chat.temperature, .seed = (uint64_t)c->run.seed };
    if (!generate_prompt(&h->g, &q, h->answer, sizeof h->answer)) {
        if (h->prompt.n == 0)
            return err_set(e, EXIT_DATA, "chat.question", "chat.image, or another data.template",
                           "this template and text model make an empty prompt of a question");
        err_expected(e, "at most model.decoder.max_len = %d rows", c->model.decoder.max_len);
        err_got(e, "%d tokens, and %d picture%s of %d rows", h->prompt.n - h->images, h->images, h->images == 1 ? "" : "s",
                h->r.model.w.vision.P);
        return err_set(e, EXIT_DATA, "chat.question", "ask something shorter, or raise model.decoder.max_len",
                       h->images ? "the question and what it is about do not fit" : "the question does not fit");
    }
    if (h->r.grid.rank == 0) {
        for (char *s = h->answer; !c->chat.question[0] && (s = strpbrk(s, "\r\n"));)     /* the n'th line answers the n'th question */
            *s = ' ';
        printf("%s\n", h->answer);
        fflush(stdout);
    }
    return true;
}

/* Reads one line without its end; 1: done, 0: there is none, -1: it was longer than the buffer, and is passed over. */
static int read_line(FILE *f, char *line, int cap)
{
    int n = 0, c;
    while ((c = fgetc(f)) != EOF && c != '\n')
        if (n < cap)
            line[n++] = (char)c;
    const bool fits = n < cap;
    line[fits ? n : 0] = '\0';
    return n == 0 && c == EOF ? 0 : fits ? 1 : -1;
}

/* Answers the next line of standard input; false at its end.  A line that cannot be answered costs that line: an empty one stands
   for its answer. */
static bool answer_line(Chat *h)
{
    Err e = { 0 };
    int more = 1;
    if (h->r.grid.rank == 0)
        more = read_line(stdin, h->question, QUESTION);
    comm_bcast(h->r.grid.world, &more, sizeof more, 0);
    if (!more)
        return false;
    comm_bcast(h->r.grid.world, h->question, QUESTION, 0);
    h->line++;
    if (more < 0) {
        err_expected(&e, "at most %d bytes", QUESTION - 1);
        err_set(&e, EXIT_DATA, "", "the questions go on with the next line", "a question is too long");
    }
    if (more > 0 && ask(h, h->question, &e))
        return true;
    snprintf(e.where, sizeof e.where, "standard input, line %lld", (long long)h->line);
    if (h->r.grid.rank == 0) {
        log_error(&e);
        printf("\n");
        fflush(stdout);
    }
    return true;
}

int chat_main(const Config *c)
{
    Chat *h = calloc(1, sizeof *h);
    Err e = { 0 };
    CHECK(h, "no memory for a conversation");
    run_open(&h->r, c, c->parallel.tp);
    bool ok = open_chat(h, c, &e);
    if (ok && c->chat.question[0])
        ok = ask(h, c->chat.question, &e);
    else
        while (ok && answer_line(h))
            ;
    if (!ok && h->r.grid.rank == 0)
        log_error(&e);
    generate_close(&h->g);
    prompt_free(&h->prompt);
    free(h->pixels);
    run_close(&h->r);
    free(h);
    return ok ? EXIT_DONE : e.code;
}
