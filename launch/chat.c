/* chat.c -- `asvr chat`: questions about pictures, or about nothing to see; one, lines of a pipe, or a talk at a terminal */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm.h"
#include "launch/chat/console.h"
#include "launch/chat/talking.h"
#include "launch/eval/generate.h"
#include "launch/run.h"
#include "launch/verbs.h"

enum { ANSWER = 1 << 20, QUESTION = 1 << 16, PICTURES = 64 };

typedef struct {
    Run       r;
    Generator g;
    Prompt    prompt;
    Talking   t;
    int64_t   line, step;          /* of standard input; of the weights */
    bool      talk, terminal, live;         /* questions go on from those before; somebody types; answers appear as they come */
    char      question[QUESTION], answer[ANSWER];
} Chat;

static bool speaks(const Chat *h) { return h->r.grid.rank == 0; }

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

/* One more picture for the next question; each rank reads it. */
static bool add_picture(Chat *h, const char *path, Err *e)
{
    const Config *c = h->r.c;
    const ImageOps *ops = image_ops(e);
    uint8_t *pixels = ops ? talking_picture(&h->t) : NULL;
    if (pixels) {
        ops->allow(c->data.max_pixels);
        if (!ops->load_square(pixels, path, config_picture(c), config_fit(c), e))
            talking_unpicture(&h->t);
    } else if (ops) {
        err_set(e, EXIT_DATA, path, "/new begins another talk", "there is room for %d pictures in model.decoder.max_len = %d", h->t.room, c->model.decoder.max_len);
    }
    return e->code == 0;
}

static bool open_chat(Chat *h, const Config *c, Err *e)
{
    Run *r = &h->r;
    ConfigString list;
    const char *path[PICTURES];
    memcpy(list, c->chat.image, sizeof list);
    const int given = picture_paths(list, path), side = c->model.vision.image / c->model.vision.patch;
    if (given < 0)
        return err_set(e, EXIT_CONFIG, "chat.image", "", "more than %d pictures", PICTURES);
    const int fit = c->chat.question[0] ? 1 : (int)min64(PICTURES, max64(1, c->model.decoder.max_len / (side * side)));
    const RunShape shape = { .stage = STAGE_INSTRUCT, .codes_given = c->model.codes.depth, .micro_batch = 1,
                             .max_images = given > fit ? given : fit, .max_len = 1, .answers = 1 };
    if (!run_text(r, e) || !run_model(r, &shape, e) || !run_weights(r, &h->step, e))
        return false;
    const GeneratorShape g = { .slots = 1, .max_len = c->model.decoder.max_len, .max_new = c->chat.max_new, .template_ = c->data.template, .keep = true };
    model_pack(&r->model);
    generate_open(&h->g, &r->model, &r->tape, r->text, &g);
    talking_open(&h->t, (size_t)config_picture(c) * (size_t)config_picture(c) * 3, shape.max_images);
    for (int i = 0; i < given && add_picture(h, path[i], e); i++)
        ;
    talking_give(&h->t);
    return run_agree(r, e);
}

/* ---- one question ---- */

static bool too_long(const Chat *h, Err *e)
{
    const int images = h->t.images - h->t.waiting;
    if (h->prompt.n == 0)
        return err_set(e, EXIT_DATA, "chat.question", "chat.image, or another data.template",
                       "this template and text model make an empty prompt of a question");
    err_expected(e, "at most model.decoder.max_len = %d rows", h->g.max_len);
    err_got(e, "%d tokens, and %d picture%s of %d rows", h->prompt.n - images, images, images == 1 ? "" : "s", h->r.model.w.vision.P);
    return err_set(e, EXIT_DATA, "chat.question", "ask something shorter, or raise model.decoder.max_len",
                   images ? "the question and what it is about do not fit" : "the question does not fit");
}

/* The prompt of the talk so far.  Where it leaves too little room for an answer, its first turns are forgotten, and that is said. */
static bool build_prompt(Chat *h, Err *e)
{
    const Config *c = h->r.c;
    const int room = h->g.max_len - (int)min64(c->chat.max_new, h->g.max_len / 4);
    int forgotten = 0;
    for (;;) {
        talking_prompt(&h->t, &h->prompt, h->r.text, c->data.template, c->data.system[0] ? c->data.system : NULL, e);
        if (!run_agree(&h->r, e))
            return false;
        if (h->t.n == 1 || decode_rows(&h->g.d, h->prompt.tokens, h->prompt.n) <= room || !talking_forget(&h->t))
            break;
        forgotten++;
    }
    if (forgotten && speaks(h)) {
        char text[160];
        snprintf(text, sizeof text, "the talk no longer fits model.decoder.max_len = %d: its first %d question%s %s forgotten", h->g.max_len, forgotten,
                 forgotten == 1 ? "" : "s", forgotten == 1 ? "is" : "are");
        if (h->terminal)
            printf("(%s)\n", text);
        else
            log_warn(text);
    }
    return true;
}

/* Ctrl-C on rank 0 stops all. */
static bool stopped(const Chat *h)
{
    int stop = h->terminal && speaks(h) && console_stopped();
    if (h->terminal && comm_size(h->r.grid.world) > 1)
        comm_bcast(h->r.grid.world, &stop, sizeof stop, 0);
    return stop;
}

static void answer(Chat *h, int slot)
{
    const bool live = h->live && speaks(h);
    size_t shown = 0;
    bool stop = false;
    while (!generate_ended(&h->g, slot) && !(stop = stopped(h))) {
        generate_step(&h->g);
        if (live) {
            generate_text(&h->g, slot, h->answer, sizeof h->answer);
            console_show(h->answer, &shown);
        }
    }
    generate_text(&h->g, slot, h->answer, sizeof h->answer);
    const bool cut = generate_ended(&h->g, slot) == ENDED_LENGTH;
    generate_release(&h->g, slot);
    if (!speaks(h))
        return;
    if (live)
        console_show(h->answer, &shown);
    if (h->terminal)
        printf("%s\n", stop ? "\n(stopped)" : cut ? "\n(cut off: chat.max_new, or model.decoder.max_len)" : "");
    else if (h->live)
        printf("\n");
}

/* False: e says what is wrong with the question; on all ranks. */
static bool ask(Chat *h, const char *question, Err *e)
{
    const Config *c = h->r.c;
    if (!h->talk && h->t.n > 0)
        talking_anew(&h->t);
    talking_ask(&h->t, question);
    int slot = GENERATE_LONG;
    if (build_prompt(h, e)) {
        const Request q = { .tokens = h->prompt.tokens, .n = h->prompt.n, .pixels = h->t.pixels, .images = h->t.images,
                            .temperature = (float)c->chat.temperature, .seed = (uint64_t)c->run.seed };
        slot = generate_add(&h->g, &q);
    }
    if (slot < 0) {
        if (!e->code)
            too_long(h, e);
        talking_take_back(&h->t);
        if (!h->talk)
            talking_anew(&h->t);
        return false;
    }
    answer(h, slot);
    talking_answer(&h->t, h->answer);
    if (speaks(h) && !h->live) {
        for (char *s = h->answer; !c->chat.question[0] && (s = strpbrk(s, "\r\n"));)     /* the n'th line answers the n'th question */
            *s = ' ';
        printf("%s\n", h->answer);
    }
    if (speaks(h))
        fflush(stdout);
    return true;
}

/* ---- lines ---- */

static const char COMMANDS[] =
    "  /image PATH    a picture for the next question; <image> in it is the picture's place\n"
    "  /system TEXT   another system prompt; without a text that of the configuration\n"
    "  /new           begins again\n"
    "  /quit          ends, as Ctrl-D does; Ctrl-C stops an answer\n"
    "  //...          a question that begins with /\n";

/* What is behind a command's word, or NULL: it is another one. */
static char *behind(char *line, const char *word)
{
    const size_t n = strlen(word);
    if (strncmp(line, word, n) || (line[n] && line[n] != ' '))
        return NULL;
    line += n + strspn(line + n, " ");
    for (size_t k = strlen(line); k > 0 && (line[k - 1] == ' ' || line[k - 1] == '\r');)
        line[--k] = '\0';
    return line;
}

/* "/...": false: the program shall end. */
static bool command(Chat *h, char *line, Err *e)
{
    char *rest;
    const bool says = h->terminal && speaks(h);
    if ((rest = behind(line, "/image"))) {
        if (!rest[0])
            err_set(e, EXIT_DATA, "", "/image cat.jpg", "/image wants a path");
        else
            add_picture(h, rest, e);
        if (run_agree(&h->r, e) && says)
            printf("(%d picture%s for the next question)\n", h->t.waiting, h->t.waiting == 1 ? "" : "s");
    } else if ((rest = behind(line, "/system"))) {
        talking_system(&h->t, rest);
    } else if (behind(line, "/new")) {
        talking_anew(&h->t);
        if (says)
            printf("(a new talk%s)\n", h->t.waiting ? ", about the pictures of chat.image" : "");
    } else if (behind(line, "/help")) {
        if (speaks(h))
            fputs(COMMANDS, h->terminal ? stdout : stderr);
    } else if (behind(line, "/quit")) {
        return false;
    } else {
        err_set(e, EXIT_DATA, "", "/help lists them; a question that begins with / is written //", "there is no command \"%.80s\"", line);
    }
    return true;
}

static void complain(const Chat *h, Err *e, bool question)
{
    if (!h->terminal)
        snprintf(e->where, sizeof e->where, "standard input, line %lld", (long long)h->line);
    if (!speaks(h))
        return;
    log_error(e);
    if (question && !h->terminal)
        printf("\n");
    fflush(stdout);
}

/* Answers the next line of standard input; false at its end.  A line that cannot be answered costs that line: an empty one stands
   for its answer. */
static bool answer_line(Chat *h)
{
    Err e = { 0 };
    int got = LINE_END;
    if (speaks(h))
        got = console_line(h->question, QUESTION, h->terminal);
    comm_bcast(h->r.grid.world, &got, sizeof got, 0);
    if (got == LINE_END)
        return false;
    if (got == LINE_STOPPED) {
        if (speaks(h))
            printf("(once more, or Ctrl-D, ends; /help)\n");
        return true;
    }
    comm_bcast(h->r.grid.world, h->question, QUESTION, 0);
    h->line++;
    if (got == LINE_LONG) {
        err_expected(&e, "at most %d bytes", QUESTION - 1);
        err_set(&e, EXIT_DATA, "", "the questions go on with the next line", "a question is too long");
    } else if (h->question[0] == '/' && h->question[1] != '/') {
        const bool more = command(h, h->question, &e);
        if (e.code)
            complain(h, &e, false);
        return more;
    } else if ((h->terminal && !h->question[strspn(h->question, " \t")]) || ask(h, h->question + (h->question[0] == '/'), &e)) {
        return true;
    }
    complain(h, &e, true);
    return true;
}

/* Rank 0 sees who asks; all do the same. */
static void see_who_asks(Chat *h, const Config *c)
{
    int seen[2] = { console_terminal(), log_screen(STDOUT_FILENO) };
    comm_bcast(h->r.grid.world, seen, sizeof seen, 0);
    h->terminal = seen[0] && !c->chat.question[0];
    h->talk = c->chat.talk == TALK_YES || (c->chat.talk == TALK_AUTO && h->terminal);
    h->live = h->terminal || (c->chat.question[0] && seen[1]);
    if (h->terminal && speaks(h)) {
        console_open();
        printf("asvr chat: %s, step %lld; /help lists commands, Ctrl-D ends\n", c->run.dir, (long long)h->step);
    }
}

int chat_main(const Config *c)
{
    Chat *h = calloc(1, sizeof *h);
    Err e = { 0 };
    CHECK(h, "no memory for a conversation");
    run_open(&h->r, c, c->parallel.tp);
    bool ok = open_chat(h, c, &e);
    if (ok)
        see_who_asks(h, c);
    if (ok && c->chat.question[0])
        ok = ask(h, c->chat.question, &e);
    else
        while (ok && answer_line(h))
            ;
    if (!ok && h->r.grid.rank == 0)
        log_error(&e);
    generate_close(&h->g);
    prompt_free(&h->prompt);
    talking_close(&h->t);
    run_close(&h->r);
    free(h);
    return ok ? EXIT_DONE : e.code;
}
