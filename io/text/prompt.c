#include "io/text/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char image_mark[] = "<image>";
enum { MARK = sizeof image_mark - 1 };

enum Learn { GIVEN, LEARNED };

/* Text is collected in `piece` until it has to be encoded: in front of a picture, an answer, an id, the end. */
typedef struct {
    Prompt     *p;
    const Text *t;
    const Template *x;
    char       *piece;
    size_t      len;
    Err        *e;          /* once set, nothing is written any more */
    bool        begun;      /* there is text already: go on, do not begin again */
    bool        ids;        /* the template's marks are ids; else they are spelt */
    bool        marks;      /* "<image>" in a human turn is a picture; else it is text */
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

/* The id of the mark that s begins with (its length is *n), or -1. */
static int mark_id(const Writer *w, const char *s, int *n)
{
    char word[64];
    *n = w->ids ? template_mark(w->x->marks, s) : 0;
    if (*n == 0)
        *n = template_mark(w->x->also, s);
    if (*n == 0)
        return -1;
    snprintf(word, sizeof word, "%.*s", *n, s);
    return text_symbol(w->t, word);
}

/* Up to and with the first byte of the first mark: a model may take a mark for its id wherever it is written whole.  Marks begin with
   "<" or "[". */
static size_t before_mark(const Writer *w, const char *s, size_t n)
{
    int len;
    for (size_t i = strcspn(s, "<["); i < n; i += 1 + strcspn(s + i + 1, "<["))
        if (mark_id(w, s + i, &len) >= 0)
            return i + 1;
    return n;
}

static void encode_piece(Writer *w, enum Learn learn)
{
    const char *s = w->piece;
    size_t n = w->len;
    w->piece[n] = '\0';
    for (size_t k; n > 0; s += k, n -= k)
        encode(w, s, k = before_mark(w, s, n), learn);
    w->len = 0;
}

/* A text of the template: words, marks, BOS and EOS.  Text behind BOS begins anew, behind a mark it goes on. */
static void put_form(Writer *w, const char *s)
{
    for (int n = 1; *s; s += n) {
        const int id = *s == MARK_BOS[0] ? text_bos(w->t) : *s == MARK_EOS[0] ? text_eos(w->t) : mark_id(w, s, &n);
        if (*s == MARK_BOS[0] || *s == MARK_EOS[0])
            n = 1;
        else if (id < 0)
            put_text(w, s, n = 1);
        if (id < 0)
            continue;
        encode_piece(w, GIVEN);
        put_id(w, id, GIVEN);
        w->begun = *s != MARK_BOS[0];
    }
}

static void put_images(Writer *w, int images)
{
    for (int i = 0; i < images; i++) {
        encode_piece(w, GIVEN);
        put_id(w, IMAGE_TOKEN, GIVEN);
        put(w, "\n");
    }
}

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static bool is_mark(const char *s, const char *end) { return end - s >= MARK && memcmp(s, image_mark, MARK) == 0; }

static const char *skip_blanks(const char *s, const char *end)
{
    while (s < end && is_blank(*s))
        s++;
    return s;
}

static const char *drop_blanks(const char *s, const char *end)
{
    while (end > s && is_blank(end[-1]))
        end--;
    return end;
}

/* Marks that stand behind all text of a turn, on lines of their own: how many, and where the text in front of them ends. */
static int marks_behind(const char *s, const char **end)
{
    const char *text = *end;
    int n = 0;
    for (const char *t = text; t - s >= MARK && is_mark(t - MARK, t); n++)
        text = t = drop_blanks(s, t - MARK);
    if (n == 0 || !memchr(text, '\n', (size_t)(strstr(text, image_mark) - text)) || memmem(s, (size_t)(text - s), image_mark, MARK))
        return 0;
    *end = text;
    return n;
}

/* A human turn without blanks at either end.  Marks that begin it, or end the first turn, are pictures on lines of their own in front
   of its text, behind the `images` that have no mark; all others stay where they are. */
static void put_human(Writer *w, const char *s, int images, bool first)
{
    const char *end = drop_blanks(s, s + strlen(s));
    s = skip_blanks(s, end);
    for (; w->marks && is_mark(s, end); images++)
        s = skip_blanks(s + MARK, end);
    if (w->marks && first)
        images += marks_behind(s, &end);
    put_images(w, images);
    for (const char *mark; w->marks && (mark = memmem(s, (size_t)(end - s), image_mark, MARK)); s = mark + MARK) {
        put_text(w, s, (size_t)(mark - s));
        encode_piece(w, GIVEN);
        put_id(w, IMAGE_TOKEN, GIVEN);
    }
    put_text(w, s, (size_t)(end - s));
}

static bool says_something(const char *answer) { return answer[strspn(answer, " \t\r\n")] != '\0'; }

/* What is in front of the answer has been put; blank answers are written, not learned. */
static void put_answer(Writer *w, const char *answer)
{
    const enum Learn learn = says_something(answer) ? LEARNED : GIVEN;
    int n;
    const int end = w->x->end[0] == MARK_EOS[0] ? -1 : mark_id(w, w->x->end, &n);
    encode_piece(w, GIVEN);
    put(w, w->x->lead);
    put(w, answer);
    encode_piece(w, learn);
    put_id(w, end >= 0 ? end : text_eos(w->t), learn);
    put_form(w, w->x->after);
}

/* The line break has an id of its own, for it stops the answer: some text models have one for ".\n". */
static void build_plain(Writer *w, const Talk *k)
{
    put_form(w, MARK_BOS);
    for (int i = 0; i < k->images; i++)
        put_id(w, IMAGE_TOKEN, GIVEN);
    const char *answer = k->turns[0].answer;
    if (!answer)
        return;
    put(w, answer);
    encode_piece(w, says_something(answer) ? LEARNED : GIVEN);
    put_id(w, text_newline(w->t), says_something(answer) ? LEARNED : GIVEN);
}

static void put_system(Writer *w, const char *system)
{
    if (!system[0] && !w->x->always)
        return;
    put_form(w, w->x->open);
    put(w, system);
    put_form(w, w->x->close);
}

static void build_turns(Writer *w, const Talk *k)
{
    const Template *x = w->x;
    const int at = x->place == SYSTEM_IN_LAST ? k->n - 1 : 0;
    put_form(w, x->marks && !w->ids && !x->begin[0] ? MARK_BOS : x->begin);
    for (int i = 0; i < k->n; i++) {
        if (x->place == SYSTEM_ALONE && i == 0)
            put_system(w, k->system);
        put_form(w, x->turn);
        if (x->place != SYSTEM_ALONE && i == at)
            put_system(w, k->system);
        put_human(w, k->turns[i].human, i == 0 && !w->marks ? k->images : 0, i == 0);
        put_form(w, x->ask);
        if (i == k->n - 1)
            put_form(w, x->last);
        if (!k->turns[i].answer)
            break;
        put_answer(w, k->turns[i].answer);
    }
    encode_piece(w, GIVEN);
}

/* What the answers end with. */
static bool model_fits(const Writer *w, Err *e)
{
    int32_t stop[TEMPLATE_STOPS];
    const int newline = text_newline(w->t);
    if (template_stops((int)(w->x - templates), w->t, stop) > 0 && newline >= 0)
        return true;
    err_expected(e, "ids of EOS and a line break");
    err_got(e, "%d, %d", text_eos(w->t), newline);
    return err_set(e, EXIT_DATA, "", "train it with normalization_rule_name=identity and byte_fallback=true",
                   "this text model cannot write prompts");
}

static bool turns_fit(int template_, const Talk *k, int *marks, Err *e)
{
    const bool plain = template_ == TEMPLATE_PLAIN;
    if (k->n < 1 || (plain && k->n > 1)) {
        err_expected(e, plain ? "1 question and answer" : "1 or more");
        err_got(e, "%d", k->n);
        return err_set(e, EXIT_DATA, "", "", "wrong number of turns in a conversation");
    }
    for (int i = 0; i < k->n; i++) {
        for (const char *s = k->turns[i].human; (s = strstr(s, image_mark)); s += MARK)
            ++*marks;
        if (!k->turns[i].answer && i < k->n - 1)
            return err_set(e, EXIT_DATA, "", "", "turn %d of a conversation of %d has no answer", i, k->n);
    }
    if (k->images == 0 || *marks == 0 || *marks == k->images || (plain && *marks < k->images))
        return true;
    err_expected(e, "%d times \"<image>\", one for each picture", k->images);
    err_got(e, "%d", *marks);
    return err_set(e, EXIT_DATA, "", "leave \"<image>\" out altogether, and the pictures come first",
                   "\"<image>\" in the human turns does not match the pictures");
}

/* Bytes that the pieces of a conversation can have. */
static size_t piece_room(const Template *x, const Talk *k)
{
    const char *const forms[] = { x->begin, x->open, x->close, x->turn, x->ask, x->last, x->lead, x->end, x->after, "\n" };
    size_t form = 0, room = strlen(k->system) + 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        form += strlen(forms[i]);
    for (int i = 0; i < k->n; i++)
        room += form + strlen(k->turns[i].human) + (k->turns[i].answer ? strlen(k->turns[i].answer) : 0);
    return room;
}

bool prompt_build(Prompt *p, const Text *t, int template_, const Talk *talk, Err *e)
{
    ASSERT(template_ >= 0 && template_ < TEMPLATES);
    Talk k = *talk;
    Writer w = { .p = p, .t = t, .e = e, .x = &templates[template_], .ids = template_marks(template_, t) };
    int marks = 0;
    p->n = 0;
    if (!model_fits(&w, e) || !turns_fit(template_, &k, &marks, e))
        return false;
    w.marks = marks > 0 && k.images > 0;
    if (!k.system)
        k.system = w.x->system;
    const size_t room = piece_room(w.x, &k);
    w.piece = malloc(room);
    CHECK(w.piece, "no memory for a conversation of %zu bytes", room);
    if (template_ == TEMPLATE_PLAIN)
        build_plain(&w, &k);
    else
        build_turns(&w, &k);
    free(w.piece);
    return !e->code;
}

void prompt_free(Prompt *p)
{
    free(p->tokens);
    free(p->labels);
    *p = (Prompt){ 0 };
}
