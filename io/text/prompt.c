#include "io/text/prompt.h"

#include <stdlib.h>
#include <string.h>

static const char image_mark[] = "<image>";
enum { MARK = sizeof image_mark - 1 };

enum Learn { GIVEN, LEARNED };

/* Text is collected in `piece` until it has to be encoded: in front of a picture, an answer, EOS, the end. */
typedef struct {
    Prompt     *p;
    const Text *t;
    char       *piece;
    size_t      len;
    Err        *e;          /* once set, nothing is written any more */
    bool        begun;      /* there is text already: go on, do not begin again */
    int         start, end; /* ids of <|im_start|> and <|im_end|>; -1: they are spelt */
} Writer;

static void reserve(Prompt *p, int64_t n)
{
    CHECK(n <= INT32_MAX, "a prompt of %lld tokens", (long long)n);
    if (n <= p->cap)
        return;
    p->cap    = (int)min64(max64(n, 2 * (int64_t)p->cap), INT32_MAX);
    p->tokens = realloc(p->tokens, (size_t)p->cap * sizeof *p->tokens);
    p->labels = realloc(p->labels, (size_t)p->cap * sizeof *p->labels);
    CHECK(p->tokens && p->labels, "no memory for a prompt of %d tokens", p->cap);
}

static void put_id(Writer *w, int32_t id, enum Learn learn)
{
    Prompt *p = w->p;
    reserve(p, (int64_t)p->n + 1);
    p->tokens[p->n] = id;
    p->labels[p->n] = learn == LEARNED ? id : IGNORE;
    p->n++;
}

static void put_text(Writer *w, const char *s, size_t len)
{
    memcpy(w->piece + w->len, s, len);
    w->len += len;
}

static void put(Writer *w, const char *s) { put_text(w, s, strlen(s)); }

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* A human turn without its image marks and without blanks at either end. */
static void put_human(Writer *w, const char *s)
{
    const size_t begin = w->len;
    for (const char *mark; (mark = strstr(s, image_mark)); s = mark + MARK)
        put_text(w, s, (size_t)(mark - s));
    put(w, s);

    char *text = w->piece + begin;
    size_t n = w->len - begin, blanks = 0;
    while (n > 0 && is_blank(text[n - 1]))
        n--;
    while (blanks < n && is_blank(text[blanks]))
        blanks++;
    memmove(text, text + blanks, n - blanks);
    w->len = begin + n - blanks;
}

/* The ids of n bytes; their labels are made here and never again. */
static void encode(Writer *w, const char *s, size_t n, enum Learn learn)
{
    Prompt *p = w->p;
    int (*const ids)(const Text *, const char *, size_t, int32_t *, int, Err *) = w->begun ? text_continue : text_encode;
    int k;
    if (w->e->code)
        return;
    reserve(p, p->n + (int64_t)n + 1);
    while ((k = ids(w->t, s, n, p->tokens + p->n, p->cap - p->n, w->e)) > p->cap - p->n)
        reserve(p, (int64_t)p->n + k);
    if (k < 0)
        return;
    for (int j = p->n; j < p->n + k; j++)
        p->labels[j] = learn == LEARNED ? p->tokens[j] : IGNORE;
    p->n += k;
    w->begun |= n > 0;
}

/* Up to and with the '<' of the first "<|im_": a model may take the mark for its id wherever it is written whole. */
static size_t before_mark(const char *s, size_t n)
{
    const char *mark = memmem(s, n, "<|im_", 5);
    return mark ? (size_t)(mark + 1 - s) : n;
}

static void encode_piece(Writer *w, enum Learn learn)
{
    const char *s = w->piece;
    size_t n = w->len;
    for (size_t k; w->start >= 0 && n > 0; s += k, n -= k)
        encode(w, s, k = before_mark(s, n), learn);
    encode(w, s, n, learn);
    w->len = 0;
}

static void put_images(Writer *w, int images)
{
    for (int i = 0; i < images; i++) {
        encode_piece(w, GIVEN);
        put_id(w, IMAGE_TOKEN, GIVEN);
        put(w, "\n");
    }
}

/* What is in front of the answer has been put; blank answers are written, not learned. */
static void put_answer(Writer *w, const char *space, const char *answer, int end)
{
    const enum Learn learn = answer[strspn(answer, " \t\r\n")] ? LEARNED : GIVEN;
    encode_piece(w, GIVEN);
    put(w, space);
    put(w, answer);
    encode_piece(w, learn);
    put_id(w, end, learn);
}

static void build_plain(Writer *w, const Talk *k)
{
    put_id(w, text_bos(w->t), GIVEN);
    for (int i = 0; i < k->images; i++)
        put_id(w, IMAGE_TOKEN, GIVEN);
    const char *answer = k->turns[0].answer;
    if (!answer)
        return;
    put(w, answer);
    put(w, "\n");
    encode_piece(w, answer[strspn(answer, " \t\r\n")] ? LEARNED : GIVEN);
}

static void build_v1(Writer *w, const Talk *k)
{
    put_id(w, text_bos(w->t), GIVEN);
    put(w, k->system);
    put(w, k->system[0] ? " " : "");
    for (int i = 0; i < k->n; i++) {
        put(w, "USER: ");
        put_images(w, i == 0 ? k->images : 0);
        put_human(w, k->turns[i].human);
        put(w, " ASSISTANT:");
        if (!k->turns[i].answer)
            break;
        put_answer(w, " ", k->turns[i].answer, text_eos(w->t));
    }
    encode_piece(w, GIVEN);
}

/* llama2 and mistral: they differ in the system prompt, and in what begins a turn. */
static void build_inst(Writer *w, const Talk *k, bool llama2)
{
    for (int i = 0; i < k->n; i++) {
        if (i == 0 || llama2) {
            put_id(w, text_bos(w->t), GIVEN);
            w->begun = false;
        }
        put(w, "[INST] ");
        if (i == 0 && k->system[0]) {
            put(w, llama2 ? "<<SYS>>\n" : "");
            put(w, k->system);
            put(w, llama2 ? "\n<</SYS>>\n\n" : "\n\n");
        }
        put_images(w, i == 0 ? k->images : 0);
        put_human(w, k->turns[i].human);
        put(w, " [/INST]");
        if (!k->turns[i].answer)
            break;
        put_answer(w, " ", k->turns[i].answer, text_eos(w->t));
    }
    encode_piece(w, GIVEN);
}

static void put_mark(Writer *w, int id, const char *spelt)
{
    if (id < 0) {
        put(w, spelt);
    } else {
        encode_piece(w, GIVEN);
        put_id(w, id, GIVEN);
        w->begun = true;
    }
}

static void build_chatml(Writer *w, const Talk *k)
{
    const bool spelt = w->start < 0;
    if (spelt)
        put_id(w, text_bos(w->t), GIVEN);
    if (k->system[0]) {
        put_mark(w, w->start, CHATML_START);
        put(w, "system\n");
        put(w, k->system);
        put_mark(w, w->end, CHATML_END);
        put(w, "\n");
    }
    for (int i = 0; i < k->n; i++) {
        put_mark(w, w->start, CHATML_START);
        put(w, "user\n");
        put_images(w, i == 0 ? k->images : 0);
        put_human(w, k->turns[i].human);
        put_mark(w, w->end, CHATML_END);
        put(w, "\n");
        put_mark(w, w->start, CHATML_START);
        put(w, "assistant\n");
        if (!k->turns[i].answer)
            break;
        put_answer(w, "", k->turns[i].answer, spelt ? text_eos(w->t) : w->end);
        put(w, "\n");
    }
    encode_piece(w, GIVEN);
}

static bool model_fits(const Writer *w, Err *e)
{
    const Text *t = w->t;
    if (((text_bos(t) >= 0 && text_eos(t) >= 0) || w->start >= 0) && text_newline(t) >= 0)
        return true;
    err_expected(e, "ids of BOS, EOS and a line break");
    err_got(e, "%d, %d, %d", text_bos(t), text_eos(t), text_newline(t));
    return err_set(e, EXIT_DATA, "", "train it with normalization_rule_name=identity and byte_fallback=true",
                   "this text model cannot write prompts");
}

static bool turns_fit(int template_, const Turn *turns, int n, int images, Err *e)
{
    if (n < 1 || (template_ == TEMPLATE_PLAIN && n > 1)) {
        err_expected(e, template_ == TEMPLATE_PLAIN ? "1 question and answer" : "1 or more");
        err_got(e, "%d", n);
        return err_set(e, EXIT_DATA, "", "", "wrong number of turns in a conversation");
    }
    int marks = 0;
    for (int i = 0; i < n; i++) {
        for (const char *s = turns[i].human; (s = strstr(s, image_mark)); s += MARK)
            marks++;
        if (!turns[i].answer && i < n - 1)
            return err_set(e, EXIT_DATA, "", "", "turn %d of a conversation of %d has no answer", i, n);
    }
    if (marks != 0 && marks != images) {
        err_expected(e, "%d times \"<image>\", one for each picture", images);
        err_got(e, "%d", marks);
        return err_set(e, EXIT_DATA, "", "leave \"<image>\" out altogether, and the pictures come first",
                       "\"<image>\" in the human turns does not match the pictures");
    }
    return true;
}

bool prompt_build(Prompt *p, const Text *t, int template_, const Talk *talk, Err *e)
{
    ASSERT(template_ >= 0 && template_ < TEMPLATES);
    Talk k = *talk;
    Writer w = { .p = p, .t = t, .e = e, .start = -1, .end = -1 };
    p->n = 0;
    if (template_ == TEMPLATE_CHATML && text_symbol(t, CHATML_START) >= 0 && text_symbol(t, CHATML_END) >= 0) {
        w.start = text_symbol(t, CHATML_START);
        w.end = text_symbol(t, CHATML_END);
    }
    if (!model_fits(&w, e) || !turns_fit(template_, k.turns, k.n, k.images, e))
        return false;
    if (!k.system)
        k.system = templates[template_].system;

    size_t room = 128 + strlen(k.system);     /* 128: the words of the template around one turn */
    for (int i = 0; i < k.n; i++)
        room += 128 + strlen(k.turns[i].human) + (k.turns[i].answer ? strlen(k.turns[i].answer) : 0);
    w.piece = malloc(room);
    CHECK(w.piece, "no memory for a conversation of %zu bytes", room);
    switch (template_) {
    case TEMPLATE_PLAIN:   build_plain(&w, &k); break;
    case TEMPLATE_V1:      build_v1(&w, &k); break;
    case TEMPLATE_LLAMA2:  build_inst(&w, &k, true); break;
    case TEMPLATE_MISTRAL: build_inst(&w, &k, false); break;
    case TEMPLATE_CHATML:  build_chatml(&w, &k); break;
    }
    free(w.piece);
    return !e->code;
}

void prompt_free(Prompt *p)
{
    free(p->tokens);
    free(p->labels);
    *p = (Prompt){ 0 };
}
