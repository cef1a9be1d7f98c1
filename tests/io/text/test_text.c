/* Text <-> ids: the ids of spm_encode, exact round trips, hostile bytes, damaged models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/base/files.h"
#include "io/text/sentencepiece.h"
#include "io/text/text.h"

static char dir[] = "/tmp/asvr-text-XXXXXX", model_path[64], corpus_path[64];
static Text *text, *unigram;

static char *file(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* As T5's model: unigram, NFKC and single spaces, no bytes. */
static Text *train_unigram(const char *corpus)
{
    static const char *const options[] = { "model_type", "unigram", "normalization_rule_name", "nmt_nfkc", NULL };
    char why[256];
    size_t n;
    void *bytes = sp_train(corpus, 384, options, &n, why, sizeof why);
    assert_non_null(bytes);
    FILE *f = fopen(file("bad.model"), "wb");
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    free(bytes);
    Err e = { 0 };
    Text *t = text_open(file("bad.model"), &e);
    unlink(file("bad.model"));
    return t;
}

/* 480 captions of few words, always the same. */
static void write_corpus(const char *path)
{
    static const char *const what[] = { "cat", "dog", "red apple", "sailing boat", "café table", "butterfly", "train", "snowman" };
    static const char *const where[] = { "on the left", "on the right", "above", "below", "next to", "in front of" };
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 480; i++)
        fprintf(f, "%s %s is %s the %s.\n", i % 3 ? "A" : "The", what[i % 8], where[i / 8 % 6], what[(i / 48 + i + 1) % 8]);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    (void)state;
    Err e = { 0 };
    assert_non_null(mkdtemp(dir));
    strcpy(corpus_path, file("corpus.txt"));
    strcpy(model_path, file("text.model"));
    write_corpus(corpus_path);
    assert_true(text_train(corpus_path, 384, NULL, model_path, &e));
    text = text_open(model_path, &e);
    unigram = train_unigram(corpus_path);
    return text && unigram ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    text_close(text);
    text_close(unigram);
    static const char *const names[] = { "corpus.txt", "text.model", "again.model", "empty", "bad.model" };
    for (int i = 0; i < 5; i++)
        unlink(file(names[i]));
    return rmdir(dir);      /* fails where a temporary file was left */
}

/* Ids of two models: ours (BPE, bytes, text as it is), and one like T5's (unigram, NFKC, an unknown id, no bytes). */
typedef struct { const char *s; int len; struct { int n; const int32_t *id; } want[2]; } Golden;
typedef struct { int len; struct { int n; uint64_t fnv; } want[2]; } LongGolden;
#include "tests/golden/text_ids.h"

static void test_ids_of_spm_encode(void **state)
{
    (void)state;
    const Text *models[] = { text, unigram };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++)
        for (int m = 0; m < 2; m++) {
            int32_t id[256];
            const int n = text_encode(models[m], golden[i].s, (size_t)golden[i].len, id, 256, &(Err){ 0 }), want = golden[i].want[m].n;
            if (n != want || memcmp(id, golden[i].want[m].id, (size_t)n * sizeof *id) != 0)
                fail_msg("model %d, \"%s\": other ids (%d, golden %d)", m, golden[i].s, n, want);
        }
}

/* A word of 100,000 letters, emoji and ideographs without a space, one letter under 50,000 accents, noise, short words. */
static int long_text(int kind, uint8_t *s)
{
    static const char some[] = "👩‍👩‍👧🇩🇪日本語", cat[] = "A cat ";
    const int n = kind == 1 ? 100000 / (int)(sizeof some - 1) * (int)(sizeof some - 1) : kind == 2 ? 100001
                : kind == 3 ? 20000 : kind == 4 ? 17000 * (int)(sizeof cat - 1) : 100000;
    uint32_t x = 1;
    for (int i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        switch (kind) {
        case 0:  s[i] = (uint8_t)('a' + ((int64_t)i * i / 3 + i) % 26); break;
        case 1:  s[i] = (uint8_t)some[i % (int)(sizeof some - 1)]; break;
        case 2:  s[i] = i == 0 ? 'e' : i % 2 ? 0xCC : 0x81; break;
        case 3:  s[i] = x >> 24 == 0 || x >> 24 == '\n' ? 'A' : (uint8_t)(x >> 24); break;
        default: s[i] = (uint8_t)cat[i % (int)(sizeof cat - 1)];
        }
    }
    return n;
}

static void test_long_texts(void **state)
{
    (void)state;
    enum { ROOM = 102001, IDS = 300000 };
    const Text *models[] = { text, unigram };
    uint8_t *s = malloc(ROOM);
    int32_t *id = malloc(IDS * sizeof *id);
    for (int i = 0; i < (int)(sizeof long_golden / sizeof *long_golden); i++) {
        const int len = long_text(i, s);
        assert_int_equal(len, long_golden[i].len);
        for (int m = 0; m < 2; m++) {
            const int n = text_encode(models[m], (const char *)s, (size_t)len, id, IDS, &(Err){ 0 });
            uint64_t fnv = 0xcbf29ce484222325u;
            for (int j = 0; j < n && j < IDS; j++)
                fnv = (fnv ^ (uint64_t)id[j]) * 0x100000001b3u;
            if (n != long_golden[i].want[m].n || fnv != long_golden[i].want[m].fnv)
                fail_msg("model %d, long text %d: other ids (%d, golden %d)", m, i, n, long_golden[i].want[m].n);
        }
    }
    free(s);
    free(id);
}

static void test_special_ids(void **state)
{
    (void)state;
    assert_int_equal(text_bos(text), 1);
    assert_int_equal(text_eos(text), 2);
    assert_int_equal(text_newline(text), 3 + '\n');      /* the bytes follow the three control symbols */
    assert_in_range(text_size(text), 3 + 256 + 26, 384);
}

/* Every string of bytes that is UTF-8 comes back, whether it begins a text or goes on in one. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char *const s[] = { "", "A cat.", "  two  spaces  ", "tab\tand\nline\r\n", "</s><s><unk>", "日本語 и русский",
                                     "🙂👩‍👩‍👧", "\x01\x02\x7f", "<0x41>" };
    for (size_t i = 0; i < sizeof s / sizeof *s; i++) {
        int32_t id[256];
        char back[256];
        const int n = text_encode(text, s[i], strlen(s[i]), id, 256, &(Err){ 0 });
        assert_int_equal(text_decode(text, id, n, back, sizeof back), strlen(s[i]));
        assert_string_equal(back, s[i]);
        for (int j = 0; j < n; j++)
            assert_true(id[j] > text_eos(text));      /* never a control symbol, whatever the text says */

        int32_t both[300];
        char want[256];
        int k = text_encode(text, "The dog", 7, both, 300, &(Err){ 0 });
        k += text_continue(text, s[i], strlen(s[i]), both + k, 300 - k, &(Err){ 0 });
        snprintf(want, sizeof want, "The dog%s", s[i]);
        text_decode(text, both, k, back, sizeof back);
        assert_string_equal(back, want);
    }
}

static void test_cut_in_front_of_a_space(void **state)
{
    (void)state;
    static const char whole[] = "A train is above the snowman.";
    int32_t a[64], b[64];
    const int n = text_encode(text, whole, strlen(whole), a, 64, &(Err){ 0 });
    int k = text_encode(text, whole, 7, b, 64, &(Err){ 0 });
    k += text_continue(text, whole + 7, strlen(whole + 7), b + k, 64 - k, &(Err){ 0 });
    assert_int_equal(k, n);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
}

static void test_small_buffers(void **state)
{
    (void)state;
    int32_t all[64], some[4] = { -7, -7, -7, -7 };
    char out[4];
    const int n = text_encode(text, "qqqqqqqq", 8, all, 64, &(Err){ 0 });
    assert_int_equal(text_encode(text, "qqqqqqqq", 8, some, 3, &(Err){ 0 }), n);
    assert_memory_equal(some, all, 3 * sizeof *all);
    assert_int_equal(some[3], -7);
    assert_int_equal(text_decode(text, all, n, out, sizeof out), 8);
    assert_string_equal(out, "qqq");
    const int32_t outside[] = { -200, 1, all[1], 1 << 30, 2 };
    assert_int_equal(text_decode(text, outside, 5, out, sizeof out), 1);
    assert_string_equal(out, "q");
}

static void test_random_bytes(void **state)
{
    (void)state;
    Rng r = { 7, rng_stream("bytes"), 0 };
    for (int i = 0; i < 2000; i++) {
        char s[100], out[400];
        int32_t id[400];
        const int len = (int)rng_draw(&r, 100);
        for (int j = 0; j < len; j++)
            s[j] = (char)rng_draw(&r, 256);
        const int n = text_encode(text, s, (size_t)len, id, 400, &(Err){ 0 });
        assert_in_range(n, 0, 400);      /* a bad byte becomes U+FFFD, 3 bytes, and a space may go in front */
        for (int j = 0; j < n; j++)
            assert_in_range(id[j], 3, text_size(text) - 1);
        assert_in_range(text_decode(text, id, n, out, sizeof out), 0, 300);
    }
}

static void test_long_word(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };      /* a quadratic merge would not end in a test's time */
    char *word = malloc(LEN);
    memset(word, 'z', LEN);
    assert_true(text_encode(text, word, LEN, NULL, 0, &(Err){ 0 }) > 0);
    free(word);
}

static void read_all(const char *path, char *buf, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *n = fread(buf, 1, 1 << 20, f);
    fclose(f);
}

static void test_same_corpus_same_model(void **state)
{
    (void)state;
    static char a[1 << 20], b[1 << 20];
    size_t n, m;
    Err e = { 0 };
    assert_true(text_train(corpus_path, 384, NULL, file("again.model"), &e));
    read_all(model_path, a, &n);
    read_all(file("again.model"), b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    Text *t = text_open(file("again.model"), &e);
    assert_true(text_hash(t) == text_hash(text) && text_hash(t) != 0);
    text_close(t);
}

static void test_cannot_train(void **state)
{
    (void)state;
    Err e = { 0 };
    assert_false(text_train(corpus_path, 260, NULL, file("bad.model"), &e));      /* 259 symbols and bytes, then the letters */
    assert_int_equal(e.code, EXIT_DATA);
    e = (Err){ 0 };
    fclose(fopen(file("empty"), "w"));
    char empty[64];
    strcpy(empty, file("empty"));
    assert_false(text_train(empty, 384, NULL, file("bad.model"), &e));
    assert_int_equal(e.code, EXIT_DATA);
    e = (Err){ 0 };
    assert_false(text_train(file("none"), 384, NULL, model_path, &e));
    assert_int_equal(e.code, EXIT_IO);
    e = (Err){ 0 };
    assert_false(text_train(corpus_path, 384, NULL, "/nowhere/at/all.model", &e));
    assert_int_equal(e.code, EXIT_IO);
    assert_int_equal(access(file("bad.model"), F_OK), -1);
}

/* Truncated anywhere or with a byte changed, a model is refused or works; it never brings the process down. */
static void test_damaged_models(void **state)
{
    (void)state;
    static char whole[1 << 20], torn[1 << 20];
    size_t n;
    read_all(model_path, whole, &n);
    Rng r = { 3, rng_stream("damage"), 0 };
    int refused = 0;
    for (int i = 0; i < 200; i++) {
        memcpy(torn, whole, n);
        torn[rng_draw(&r, (int64_t)n)] ^= (char)(1 << rng_draw(&r, 8));
        const size_t m = i % 2 ? n : (size_t)rng_draw(&r, (int64_t)n);
        FILE *f = fopen(file("bad.model"), "wb");
        fwrite(torn, 1, m, f);
        fclose(f);
        Err e = { 0 };
        Text *t = text_open(file("bad.model"), &e);
        if (t) {
            int32_t id[64];
            text_encode(t, "The café is below.", 19, id, 64, &(Err){ 0 });
        } else {
            refused++;
            assert_int_equal(e.code, EXIT_DATA);
            assert_string_equal(e.where, file("bad.model"));
        }
        text_close(t);
    }
    assert_true(refused > 50);
}

/* A model that normalises (NFKC) holds a table that the library walks without looking: right it works, damaged it does no harm. */
static void test_table_of_characters(void **state)
{
    (void)state;
    static const char *const nfkc[] = { "model_type", "unigram", "normalization_rule_name", "nmt_nfkc", NULL };
    static const char odd[] = "\xEF\xAC\x81 \xEF\xBC\xA1\xEF\xBD\x82 caf\x65\xCC\x81 \xE2\x84\xAB \xE3\x8E\x8F <s>";
    char why[200];
    size_t n;
    uint8_t *model = sp_train(corpus_path, 300, nfkc, &n, why, sizeof why);
    assert_non_null(model);
    Rng r = { 4, rng_stream("table"), 0 };
    int refused = 0;
    for (int i = 0; i < 150; i++) {
        const size_t at = (size_t)rng_draw(&r, (int64_t)n);
        const uint8_t was = model[at];
        Err e = { 0 };
        model[at] = i ? (uint8_t)rng_draw(&r, 256) : was;
        assert_true(file_replace(file("nfkc.model"), model, n, &e));
        Text *t = text_open(file("nfkc.model"), &e);
        assert_true(t || (i && e.code == EXIT_DATA && e.what[0]));
        refused += !t;
        int32_t id[128], same[128];
        if (t)
            for (int k = 0; k < 256; k++) {
                const char two[] = { (char)k, odd[k % (sizeof odd - 1)], 0 };
                text_encode(t, two, 2, id, 128, &(Err){ 0 });
            }
        const int ids = t ? text_encode(t, odd, sizeof odd - 1, id, 128, &(Err){ 0 }) : 0;
        assert_true(i || (text_encode(t, "fi", 2, id, 128, &e) == text_encode(t, odd, 3, same, 128, &e) && id[0] == same[0]));
        assert_true(ids >= -1);
        text_close(t);
        model[at] = was;
    }
    assert_true(refused > 10);
    unlink(file("nfkc.model"));
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_of_spm_encode),      cmocka_unit_test(test_special_ids),
        cmocka_unit_test(test_round_trip),             cmocka_unit_test(test_cut_in_front_of_a_space),
        cmocka_unit_test(test_small_buffers),          cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_long_texts),             cmocka_unit_test(test_long_word),              cmocka_unit_test(test_same_corpus_same_model),
        cmocka_unit_test(test_cannot_train),           cmocka_unit_test(test_damaged_models),
        cmocka_unit_test(test_table_of_characters),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
