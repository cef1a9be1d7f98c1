#include "io/prompt.h"

#include <stdlib.h>
#include <string.h>

static const char image_mark[] = "<image>";
enum { MARK = sizeof image_mark - 1 };

static const char system_v1[] =
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.";

enum Learn { GIVEN, LEARNED };

/* Text is collected in `piece` until it has to be encoded: in front of a picture, an answer, EOS, the end. */
typedef struct {
    Prompt     *p;
    const Text *t;
    char       *piece;
    size_t      len;
    bool        begun;      /* there is text already: go on, do not begin again */
} Writer;

int template_find(const char *name)
{
    static const char *const names[] = { [TEMPLATE_PLAIN] = "plain", [TEMPLATE_V1] = "v1" };
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

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

/* Encodes the piece; its labels are made here and never again. */
static void encode_piece(Writer *w, enum Learn learn)
{
    Prompt *p = w->p;
    int (*const encode)(const Text *, const char *, size_t, int32_t *, int) = w->begun ? text_continue : text_encode;
    int k;
    reserve(p, p->n + (int64_t)w->len + 1);
    while ((k = encode(w->t, w->piece, w->len, p->tokens + p->n, p->cap - p->n)) > p->cap - p->n)
        reserve(p, (int64_t)p->n + k);
    for (int j = p->n; j < p->n + k; j++)
        p->labels[j] = learn == LEARNED ? p->tokens[j] : IGNORE;
    p->n += k;
    w->begun |= w->len > 0;
    w->len = 0;
}

static void build_plain(Writer *w, const Turn *turn, int images)
{
    for (int i = 0; i < images; i++)
        put_id(w, IMAGE_TOKEN, GIVEN);
    if (!turn->answer)
        return;
    put(w, turn->answer);
    put(w, "\n");
    encode_piece(w, LEARNED);
}

static void build_v1(Writer *w, const Turn *turns, int n, int images)
{
    put(w, system_v1);
    put(w, " ");
    for (int i = 0; i < n; i++) {
        put(w, "USER: ");
        for (int k = 0; i == 0 && k < images; k++) {
            encode_piece(w, GIVEN);
            put_id(w, IMAGE_TOKEN, GIVEN);
            put(w, "\n");
        }
        put_human(w, turns[i].human);
        put(w, " ASSISTANT:");
        encode_piece(w, GIVEN);
        if (!turns[i].answer)
            return;
        put(w, " ");
        put(w, turns[i].answer);
        encode_piece(w, LEARNED);
        put_id(w, text_eos(w->t), LEARNED);
    }
}

static bool model_fits(const Text *t, Err *e)
{
    if (text_bos(t) >= 0 && text_eos(t) >= 0 && text_newline(t) >= 0)
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

bool prompt_build(Prompt *p, const Text *t, int template_, const Turn *turns, int n, int images, Err *e)
{
    ASSERT(template_ == TEMPLATE_PLAIN || template_ == TEMPLATE_V1);
    p->n = 0;
    if (!model_fits(t, e) || !turns_fit(template_, turns, n, images, e))
        return false;

    size_t room = sizeof system_v1 + 64;      /* 64: the words of the template around one turn */
    for (int i = 0; i < n; i++)
        room += 64 + strlen(turns[i].human) + (turns[i].answer ? strlen(turns[i].answer) : 0);
    Writer w = { .p = p, .t = t, .piece = malloc(room) };
    CHECK(w.piece, "no memory for a conversation of %zu bytes", room);

    put_id(&w, text_bos(t), GIVEN);
    if (template_ == TEMPLATE_PLAIN)
        build_plain(&w, turns, images);
    else
        build_v1(&w, turns, n, images);
    free(w.piece);
    return true;
}

void prompt_free(Prompt *p)
{
    free(p->tokens);
    free(p->labels);
    *p = (Prompt){ 0 };
}

const char *template_text(int template_)
{
    return template_ == TEMPLATE_V1 ? system_v1 : "";
}
