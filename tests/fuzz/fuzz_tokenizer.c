/*
 * fuzz_tokenizer.c -- any bytes as the files of a byte pair tokenizer
 *
 * The first byte says which file the others are: 0 tokenizer.json, 1 tekken.json, 2 vocab.json, a NUL, merges.txt, 3 to 5 ranks of a
 * family, 6 tokenizer_config.json beside a small tokenizer.json.
 *
 * Laws   refused: EXIT_DATA at the file or one beside it
 *        accepted: ids lie in [0, size), as do BOS, EOS and what is found by name (or -1)
 *        the same text gets the same ids, whatever the buffer holds; a text that is refused says why
 *        decoding stops at the buffer's end, ids of nowhere write nothing
 */
#include "io/text/text.h"
#include "tests/fuzz/fuzz.h"

static const char SMALL[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]},\"pre_tokenizer\":{\"type\":\"ByteLevel\"}}";
static const char CLASS[] = "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"added_tokens_decoder\":{\"3\":{\"content\":\"<|im_end|>\",\"special\":true}}}";
static const struct { const char *name; } FILES[] = { { "tokenizer.json" }, { "tekken.json" }, { "vocab.json" }, { "qwen.tiktoken" },
                                                      { "o200k_base.tiktoken" }, { "r50k_base.tiktoken" }, { "tokenizer_config.json" } };
enum { KINDS = sizeof FILES / sizeof *FILES, ROOM = 512 };

#define TEXT(s) { s, sizeof s - 1 }
static const struct { const char *s; size_t n; } TEXTS[] = {
    TEXT(""), TEXT("a"), TEXT(" the  cat\n sat 123 don't"), TEXT("<s></s><|im_end|> x"), TEXT("\xE6\xBC\xA2\xE5\xAD\x97 \xF0\x9F\x90\xB1 e\xCC\x81"),
    TEXT("\xFF\xC0\x80\xE6\xBC"), TEXT("\0\x01 ab\0"), TEXT("abababababababababababababababababababababababababababababababababab!!!!"),
};

static void put(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0, "cannot write %s", path);
}

typedef int Encoder(const Text *, const char *, size_t, int32_t *, int, Err *);

static void encode(const Text *t, Encoder *ids, const char *s, size_t len)
{
    int32_t a[ROOM], one = 0;
    char back[ROOM], few[4];
    Err e = { 0 }, same = { 0 };
    const int n = ids(t, s, len, a, ROOM, &e), m = ids(t, s, len, &one, 1, &same);
    LAW(n == m, "%d ids, then %d", n, m);
    if (n < 0) {
        fuzz_refused(&e, EXIT_DATA, "");
        return;
    }
    for (int i = 0; i < n && i < ROOM; i++)
        LAW(a[i] >= 0 && a[i] < text_size(t), "id %d of %d", a[i], text_size(t));
    LAW(n == 0 || a[0] == one, "other ids");
    if (n > ROOM - 2)
        return;
    a[n] = -1, a[n + 1] = INT32_MAX;
    const int length = text_decode(t, a, n + 2, back, ROOM);
    LAW(length >= 0, "a text of %d bytes", length);
    LAW(text_decode(t, a, n + 2, few, sizeof few) == length && memchr(few, 0, sizeof few), "a small buffer gives another length");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folder[] = "/tmp/asvr-fuzz-XXXXXX";
    char path[128];
    Err e = { 0 };
    if (size == 0 || data[0] - '0' >= KINDS || data[0] < '0')
        return 0;
    const int kind = data[0] - '0';
    const uint8_t *bytes = data + 1, *cut = kind == 2 ? memchr(bytes, 0, size - 1) : NULL;
    const size_t n = cut ? (size_t)(cut - bytes) : size - 1;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    CHECK(mkdtemp(folder), "no folder");
    put(folder, FILES[kind].name, bytes, n);
    if (kind == 2) {
        put(folder, "tokenizer_config.json", CLASS, sizeof CLASS - 1);
        put(folder, "merges.txt", cut ? cut + 1 : bytes, cut ? size - 2 - n : 0);
    }
    if (kind == 6)
        put(folder, "tokenizer.json", SMALL, sizeof SMALL - 1);
    snprintf(path, sizeof path, "%s/%s", folder, kind == 6 ? "tokenizer.json" : FILES[kind].name);
    Text *t = text_open(path, &e);
    if (t) {
        const int ids[] = { text_bos(t), text_eos(t), text_newline(t), text_symbol(t, "<|im_end|>"), text_symbol(t, "a") };
        LAW(text_size(t) > 0, "a model of %d pieces", text_size(t));
        for (int i = 0; i < 5; i++)
            LAW(ids[i] >= -1 && ids[i] < text_size(t), "a symbol is %d of %d ids", ids[i], text_size(t));
        for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
            encode(t, text_encode, TEXTS[i].s, TEXTS[i].n);
            encode(t, text_continue, TEXTS[i].s, TEXTS[i].n);
            encode(t, text_encode_marked, TEXTS[i].s, TEXTS[i].n);
        }
        text_close(t);
    } else {
        fuzz_refused(&e, EXIT_DATA, folder);
    }
    Err gone = { 0 };
    CHECK(dir_remove(folder, &gone), "%s", gone.what);
    return 0;
}
