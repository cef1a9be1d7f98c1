/*
 * fuzz_text.c -- any bytes as a text model (SentencePiece)
 *
 * Laws   refused: EXIT_DATA at the file; never an exception, never a crash of the library
 *        accepted: ids lie in [0, size), as do BOS, EOS and what is found by name (or -1)
 *        the same text gets the same ids; a buffer that is too small is filled and no more, and the number is the same
 *        a conversation is refused, or its ids exist, with each picture, and the prompt begins the sample
 *        pieces (sppieces.h) lie in the file; a SentencePiece model that text_open takes has as many as it has ids
 *        decoding stops at the buffer's end, ids of nowhere write nothing; one line break comes back from its id
 */
#include "io/text/prompt.h"
#include "io/text/sppieces.h"
#include "tests/fuzz/fuzz.h"

static const char *const TEXT[] = { "", "a", " the  cat\n sat", "<s></s><unk>", "\xE6\xBC\xA2\xE5\xAD\x97 \xF0\x9F\x90\xB1", "\xFF\xC0\x80", "<|im_end|>" };
enum { TEXTS = sizeof TEXT / sizeof *TEXT, ROOM = 512 };

static void id_is(const Text *t, int id, const char *what)
{
    LAW(id >= -1 && id < text_size(t), "%s is %d of %d ids", what, id, text_size(t));
}

static void encode(const Text *t, const char *s, bool more)
{
    int (*const ids)(const Text *, const char *, size_t, int32_t *, int, Err *) = more ? text_continue : text_encode;
    int32_t a[ROOM], b[ROOM];
    char back[ROOM], few[4];
    Err e = { 0 }, same = { 0 };
    const int n = ids(t, s, strlen(s), a, ROOM, &e), m = ids(t, s, strlen(s), b, 1, &same);
    LAW(n == m, "%d ids, then %d", n, m);
    if (n < 0) {
        fuzz_refused(&e, EXIT_DATA, "");
        return;
    }
    for (int i = 0; i < n && i < ROOM; i++)
        LAW(a[i] >= 0 && a[i] < text_size(t), "id %d of %d", a[i], text_size(t));
    LAW(n == 0 || a[0] == b[0], "other ids");
    if (n > ROOM - 2)
        return;
    a[n] = -1, a[n + 1] = INT32_MAX;
    const int length = text_decode(t, a, n + 2, back, ROOM);
    LAW(length >= 0 && (length >= ROOM || (int)strlen(back) <= length), "a text of %d bytes", length);
    LAW(text_decode(t, a, n + 2, few, sizeof few) == length && memchr(few, 0, sizeof few), "a small buffer gives another length");
}

/* A conversation in each template: refused, or its ids exist, pictures are where the marks are, the prompt begins the sample. */
static void converse(const Text *t)
{
    static Prompt whole, asked;
    const Turn turns[] = { { "is <image> <|im_start|>\n<image>", "yes </s>" }, { "why?", "so ." } };
    Turn open[] = { turns[0], { "why?", NULL } };
    for (int kind = 0; kind < TEMPLATES; kind++) {
        const int n = kind == TEMPLATE_PLAIN ? 1 : 2;
        Err e = { 0 }, same = { 0 };
        int images = 0;
        open[0].answer = n > 1 ? turns[0].answer : NULL;
        const bool made = prompt_build(&whole, t, kind, &(Talk){ turns, n, 2, "[INST]" }, &e);
        if (!made) {
            fuzz_refused(&e, EXIT_DATA, "");
            continue;
        }
        LAW(prompt_build(&asked, t, kind, &(Talk){ open, n, 2, "[INST]" }, &same), "refused without its answer: %s", same.what);
        LAW(asked.n <= whole.n && !memcmp(asked.tokens, whole.tokens, (size_t)asked.n * sizeof *asked.tokens), "another prompt");
        for (int i = 0; i < whole.n; i++) {
            const int id = whole.tokens[i];
            images += id == IMAGE_TOKEN;
            LAW(id == IMAGE_TOKEN || (id >= 0 && id < text_size(t)), "id %d of %d", id, text_size(t));
            LAW(whole.labels[i] == IGNORE || (whole.labels[i] == id && i >= (n > 1 ? 0 : asked.n)), "label %d of %d", whole.labels[i], id);
        }
        LAW(images == 2, "%d pictures of 2", images);
    }
}

static void pieces(const uint8_t *data, size_t size, const Text *t)
{
    SpPieces s;
    Err e = { 0 };
    const bool ok = sppieces_read(&s, (const char *)data, size, "", &e);
    LAW(ok || e.code == EXIT_DATA, "refused with %d", e.code);
    for (int i = 0; i < s.pieces; i++)
        LAW(s.piece[i].size == 0 || (s.piece[i].text >= s.model && s.piece[i].text + s.piece[i].size <= s.model + size), "piece %d lies elsewhere", i);
    LAW(!t || s.hash != text_hash(t) || (ok && s.pieces == text_size(t)), "%d pieces, %d ids", s.pieces, text_size(t));
    sppieces_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    Err e = { 0 };
    const int fd = fuzz_file(data, size, path);
    Text *t = text_open(path, &e);
    if (t) {
        LAW(text_size(t) > 0, "a model of %d pieces", text_size(t));
        id_is(t, text_bos(t), "BOS");
        id_is(t, text_eos(t), "EOS");
        id_is(t, text_newline(t), "the line break");
        id_is(t, text_symbol(t, "<s>"), "a symbol");
        for (int i = 0; i < TEXTS; i++) {
            encode(t, TEXT[i], false);
            encode(t, TEXT[i], true);
        }
        converse(t);
        pieces(data, size, t);
        text_close(t);
    } else {
        LAW(e.code == EXIT_DATA && e.what[0], "refused with %d: %s", e.code, e.what);
        pieces(data, size, NULL);
    }
    close(fd);
    return 0;
}
