/* Byte pair merges: ids of tokenizers and tiktoken for every family of cuts, added tokens, any bytes and back, files of each kind. */
#include "tests/io/text/bpe_case.h"

#include <pthread.h>

#include "core/rng.h"
#include "io/text/bpe.h"
#include "tests/golden/bpe_ids.h"

static void ids_are(const char *name, const char *s, const int32_t *id, int n, const Ids *want)
{
    if (n != want->n || memcmp(id, want->id, (size_t)n * sizeof *id) != 0)
        fail_msg("%s, \"%s\": other ids (%d, golden %d)", name, s, n, want->n);
}

static Text *family(const char *base, const Family *f, const char *added)
{
    Err e = { 0 };
    json_t *root = golden_json(base);
    json_object_set_new(root, "pre_tokenizer", part(f->pre_tokenizer));
    json_object_set_new(root, "normalizer", part(f->normalizer));
    json_object_set_new(root, "added_tokens", part(added));
    return opened(open_json("tokenizer.json", root, &e), &e);
}

static void check_family(const char *base, const Family *f, const char *added)
{
    int32_t id[ROOM];
    Text *t = family(base, f, "[]");
    for (int i = 0; i < TEXTS; i++)
        ids_are(f->name, texts[i].s, id, text_encode(t, texts[i].s, (size_t)texts[i].n, id, ROOM, &(Err){ 0 }), &f->ids[i]);
    text_close(t);
    t = family(base, f, added);
    for (int i = 0; i < MARKED; i++) {
        const int n = text_encode_marked(t, marked_texts[i], strlen(marked_texts[i]), id, ROOM, &(Err){ 0 });
        ids_are(f->name, marked_texts[i], id, n, &f->marked[i]);
    }
    text_close(t);
}

static void test_ids_of_tokenizers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        check_family("bpe.json", families + i, families_added);
    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++)
        check_family("bpe_chars.json", characters + i, characters_added);
}

/* What a user wrote is text: no added token, but runs of blanks are. */
static void test_written_tokens_are_text(void **state)
{
    (void)state;
    int32_t id[ROOM], one[4];
    char back[ROOM];
    Text *t = family("bpe.json", families, families_added);
    const int start = text_symbol(t, "<|im_start|>"), blanks = text_symbol(t, "    ");
    assert_int_equal(start, 0);
    assert_true(blanks > 0 && text_symbol(t, "<tool>") > 0);
    static const char s[] = "<|im_start|><tool>word    x";
    const int n = text_encode(t, s, strlen(s), id, ROOM, &(Err){ 0 });
    bool found = false;
    for (int i = 0; i < n; i++) {
        assert_true(id[i] != start && id[i] != text_symbol(t, "<tool>") && id[i] != text_symbol(t, "word"));
        found |= id[i] == blanks;
    }
    assert_true(found);
    assert_int_equal(text_decode(t, id, n, back, ROOM), strlen(s));
    assert_string_equal(back, s);
    /* Special tokens write nothing, others their text. */
    const int m = text_encode_marked(t, "<|im_start|><tool>", 18, one, 4, &(Err){ 0 });
    assert_int_equal(m, 2);
    assert_int_equal(text_decode(t, one, m, back, ROOM), 6);
    assert_string_equal(back, "<tool>");
    text_close(t);
}

/* The symbols of a vocabulary as a file of ranks has them. */
static void write_ranks(const char *name, bool tekken)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    json_t *root = golden_json("bpe.json"), *list = json_array();
    Err e = { 0 };
    Text *t = opened(open_json("base.json", json_incref(root), &e), &e);
    FILE *f = fopen(file(name), "w");
    assert_non_null(f);
    for (int32_t id = 2; id < text_size(t); id++) {
        char s[64], code[96];
        int m = 0;
        const int n = text_decode(t, &id, 1, s, sizeof s);
        for (int i = 0; i < n; i += 3) {
            uint32_t x = 0;
            for (int k = 0; k < 3; k++)
                x = x << 8 | (i + k < n ? (uint8_t)s[i + k] : 0);
            for (int k = 0; k < 4; k++)
                code[m++] = i + k > n ? '=' : digits[x >> (18 - 6 * k) & 63];
        }
        code[m] = 0;
        if (tekken)
            json_array_append_new(list, json_pack("{s:i, s:s}", "rank", id - 2, "token_bytes", code));
        else
            fprintf(f, "%s %d\n", code, id - 2);
    }
    if (tekken) {
        const Family *llama3 = families + 3;
        json_t *cuts = part(llama3->pre_tokenizer);
        const json_t *cut = json_array_get(json_object_get(cuts, "pretokenizers"), 0);
        json_t *whole = json_pack("{s:{s:O, s:i, s:i}, s:O, s:[{s:i, s:s}, {s:i, s:s}, {s:i, s:s}]}", "config", "pattern",
                                  json_object_get(json_object_get(cut, "pattern"), "Regex"), "default_vocab_size", text_size(t) - 2 + 5,
                                  "default_num_special_tokens", 5, "vocab", list, "special_tokens", "rank", 0, "token_str", "<unk>", "rank", 1, "token_str", "<s>",
                                  "rank", 2, "token_str", "</s>");
        assert_non_null(whole);
        json_dumpf(whole, f, 0);
        json_decref(whole);
        json_decref(cuts);
    }
    fclose(f);
    text_close(t);
    json_decref(list);
    json_decref(root);
}

static void test_ids_of_tiktoken(void **state)
{
    (void)state;
    static const char *const names[] = { "cl100k_base.tiktoken", "tekken.json" };
    for (int k = 0; k < 2; k++) {
        Err e = { 0 };
        write_ranks(names[k], k == 1);
        Text *t = opened(text_open(file(names[k]), &e), &e);
        for (int i = 0; i < TEXTS; i++) {
            int32_t id[ROOM];
            const int n = text_encode(t, texts[i].s, (size_t)texts[i].n, id, ROOM, &e);
            for (int j = 0; j < n && k == 1; j++)
                id[j] -= 5;
            ids_are(names[k], texts[i].s, id, n, of_ranks + i);
        }
        assert_int_equal(text_symbol(t, "<|endoftext|>") >= 0, k == 0);
        assert_int_equal(text_bos(t), k == 0 ? -1 : 1);
        assert_int_equal(text_eos(t), k == 0 ? text_symbol(t, "<|endoftext|>") : 2);
        assert_int_equal(text_symbol(t, "<SPECIAL_4>"), k == 0 ? -1 : 4);
        text_close(t);
        unlink(file(names[k]));
    }
}

/* vocab.json and merges.txt; merges as pairs; BOS and EOS of the files beside; a folder. */
static void test_files(void **state)
{
    (void)state;
    Err e = { 0 };
    int32_t id[ROOM];
    json_t *root = golden_json("bpe.json"), *model = json_object_get(root, "model"), *pairs = json_array(), *k;
    size_t i;
    assert_int_equal(mkdir(file("folder"), 0777), 0);
    FILE *f = fopen(file("folder/merges.txt"), "w");
    fputs("#version: 0.2\r\n", f);
    json_array_foreach(json_object_get(model, "merges"), i, k) {
        const char *s = json_string_value(k), *gap = strchr(s, ' ');
        fprintf(f, "%s%s\n", s, i % 2 ? "\r" : "");
        json_array_append_new(pairs, json_pack("[s%, s]", s, (size_t)(gap - s), gap + 1));
    }
    fclose(f);
    char *vocab = json_dumps(json_object_get(model, "vocab"), 0);
    write_bytes("folder/vocab.json", vocab, strlen(vocab));
    free(vocab);
    assert_null(text_open(file("folder"), &e));
    assert_non_null(strstr(e.what, "do not say how text is cut"));
    static const char *const config[] = {
        "{\"tokenizer_class\": \"GPT2Tokenizer\", \"eos_token\": {\"content\": \"<|im_end|>\"}, \"bos_token\": null,"
        " \"added_tokens_decoder\": {\"0\": {\"content\": \"<|im_start|>\", \"special\": true}, \"1\": {\"content\": \"<|im_end|>\", \"special\": true}}}",
        "{\"model_max_length\": 1000000000000000019884624838656, \"tokenizer_class\": \"Qwen2TokenizerFast\", \"bos_token\": \"<|im_start|>\"}",
    };
    static const int which[] = { 0, 4 };
    uint64_t hash = 0;
    for (int c = 0; c < 2; c++) {
        e = (Err){ 0 };
        write_bytes("folder/tokenizer_config.json", config[c], strlen(config[c]));
        Text *t = opened(text_open(file("folder"), &e), &e);
        for (int j = 0; j < TEXTS; j++)
            ids_are("vocab.json", texts[j].s, id, text_encode(t, texts[j].s, (size_t)texts[j].n, id, ROOM, &e), &families[which[c]].ids[j]);
        assert_int_equal(text_bos(t), c == 0 ? -1 : 0);
        assert_int_equal(text_eos(t), c == 0 ? 1 : -1);
        assert_true(text_hash(t) != hash && text_hash(t) != 0);
        hash = text_hash(t);
        text_close(t);
    }
    /* In a folder tokenizer.json comes first. */
    json_object_set_new(model, "merges", pairs);
    Text *t = opened(open_json("folder/tokenizer.json", root, &e), &e);
    text_close(t);
    write_bytes("folder/generation_config.json", "{\"eos_token_id\": [1, 0]}", 24);
    t = opened(text_open(file("folder"), &e), &e);
    for (int j = 0; j < TEXTS; j++)
        ids_are("merges in pairs", texts[j].s, id, text_encode(t, texts[j].s, (size_t)texts[j].n, id, ROOM, &e), &families[0].ids[j]);
    assert_int_equal(text_bos(t), 0);
    assert_int_equal(text_eos(t), 1);
    text_close(t);
}

/* Without files beside it, BOS and EOS are what the post-processor puts around a text. */
static void test_ends_of_a_template(void **state)
{
    (void)state;
    static const char one[] = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<|im_start|>\"}},{\"Sequence\":{\"id\":\"A\"}}%s]}";
    for (int k = 0; k < 2; k++) {
        char text[512], more[600];
        snprintf(text, sizeof text, one, k ? ",{\"SpecialToken\":{\"id\":\"<|im_end|>\"}}" : "");
        snprintf(more, sizeof more, "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},%s]}", text);
        json_t *root = golden_json("bpe.json");
        json_object_set_new(root, "post_processor", part(k ? more : text));
        Err e = { 0 };
        Text *t = opened(open_json("tokenizer.json", root, &e), &e);
        assert_int_equal(text_bos(t), 0);
        assert_int_equal(text_eos(t), k ? 1 : -1);
        text_close(t);
    }
}

/* A tokenizer.json of characters gives way to the SentencePiece model that it was made of. */
static void test_original_beside(void **state)
{
    (void)state;
    Err e = { 0 };
    assert_int_equal(mkdir(file("both"), 0777), 0);
    FILE *f = fopen(file("corpus"), "w");
    for (int i = 0; i < 200; i++)
        fprintf(f, "The cat number %d is here.\n", i);
    fclose(f);
    char model[256];
    snprintf(model, sizeof model, "%s", file("both/tokenizer.model"));
    assert_true(text_train(file("corpus"), 300, NULL, model, &e));
    text_close(opened(open_json("both/tokenizer.json", golden_json("bpe_chars.json"), &e), &e));
    Text *folder = opened(text_open(file("both"), &e), &e), *alone = opened(text_open(model, &e), &e);
    assert_true(text_hash(folder) == text_hash(alone));
    text_close(folder);
    text_close(alone);
    json_t *root = golden_json("bpe_chars.json");      /* as OpenHermes: the marks stand in tokenizer.json alone */
    json_object_set_new(root, "added_tokens", part("[{\"id\":900,\"content\":\"<|im_start|>\"},{\"id\":901,\"content\":\"<|im_end|>\"}]"));
    text_close(opened(open_json("both/tokenizer.json", root, &e), &e));
    folder = opened(text_open(file("both"), &e), &e);
    assert_int_equal(text_symbol(folder, "<|im_end|>"), 901);
    text_close(folder);
    text_close(opened(open_json("both/tokenizer.json", golden_json("bpe.json"), &e), &e));
    folder = opened(text_open(file("both"), &e), &e);
    assert_int_equal(text_symbol(folder, "<|im_end|>"), 1);
    text_close(folder);
}

/* Any bytes come back, in one piece and cut anywhere; and characters come back from a model that falls back to bytes. */
static void test_any_bytes_come_back(void **state)
{
    (void)state;
    static const int whole[] = { 0, 2, 3, 5, 6 };
    Rng r = { 7, rng_stream("bytes"), 0 };
    for (int k = 0; k < 5; k++) {
        Text *t = family("bpe.json", families + whole[k], "[]");
        assert_true(text_newline(t) >= 0);
        for (int i = 0; i < 400; i++) {
            char s[200], back[208];
            int32_t id[ROOM];
            const int len = (int)rng_draw(&r, 200), at = len ? (int)rng_draw(&r, len) : 0, few = i % 3;
            for (int j = 0; j < len; j++)
                s[j] = (char)(few == 0 ? rng_draw(&r, 256) : few == 1 ? 0xC0 + rng_draw(&r, 2) * 2 - j % 2 * 0x40 : " \n1a\xC3\xA9"[rng_draw(&r, 6)]);
            int n = text_encode(t, s, (size_t)at, id, ROOM, &(Err){ 0 });
            n += text_continue(t, s + at, (size_t)(len - at), id + n, ROOM - n, &(Err){ 0 });
            assert_int_equal(text_decode(t, id, n, back, sizeof back), len);
            assert_memory_equal(back, s, (size_t)len);
        }
        text_close(t);
    }
    Text *t = family("bpe_chars.json", characters, "[]");
    for (int i = 0; i < TEXTS; i++) {
        char back[ROOM];
        int32_t id[ROOM];
        const int n = text_encode(t, texts[i].s, (size_t)texts[i].n, id, ROOM, &(Err){ 0 });
        assert_int_equal(text_decode(t, id, n, back, sizeof back), texts[i].n);
        assert_memory_equal(back, texts[i].s, (size_t)texts[i].n);
    }
    text_close(t);
}

static void test_small_buffers(void **state)
{
    (void)state;
    Text *t = family("bpe.json", families, families_added);
    int32_t all[64], some[4] = { -7, -7, -7, -7 };
    char out[4];
    const int n = text_encode(t, "qQxXzZ!%", 8, all, 64, &(Err){ 0 });
    assert_int_equal(text_encode(t, "qQxXzZ!%", 8, some, 3, &(Err){ 0 }), n);
    assert_memory_equal(some, all, 3 * sizeof *all);
    assert_int_equal(some[3], -7);
    assert_int_equal(text_encode(t, "", 0, NULL, 0, &(Err){ 0 }), 0);
    assert_int_equal(text_decode(t, all, n, out, sizeof out), 8);
    assert_string_equal(out, "qQx");
    const int32_t outside[] = { -200, 1, all[1], 1 << 30, 0 };
    assert_int_equal(text_decode(t, outside, 5, out, sizeof out), 1);
    text_close(t);
}

/* Few symbols are merged by search, many with a heap: both do what the words say. */
static int64_t by_definition(const uint32_t rank[4][4], int32_t *s, int64_t n)
{
    for (;;) {
        int64_t best = -1;
        for (int64_t i = 0; i + 1 < n; i++)
            if (s[i] < 4 && s[i + 1] < 4 && rank[s[i]][s[i + 1]] && (best < 0 || rank[s[i]][s[i + 1]] < rank[s[best]][s[best + 1]]))
                best = i;
        if (best < 0)
            return n;
        s[best] = (s[best] + s[best + 1]) % 4 + (rank[s[best]][s[best + 1]] > 9 ? 4 : 0);
        memmove(s + best + 1, s + best + 2, (size_t)(n - best - 2) * sizeof *s);
        n--;
    }
}

static void test_merges(void **state)
{
    (void)state;
    Rng r = { 11, rng_stream("merges"), 0 };
    for (int k = 0; k < 2000; k++) {
        uint32_t rank[4][4] = { 0 };
        int32_t a[300], b[300];
        Bpe *m = bpe_new();
        for (int i = 0; i < 8; i++)
            bpe_piece(m, i, &"abcdefgh"[i], 1, PIECE_WORD);
        for (int i = 0; i < 16; i++)
            if (rng_draw(&r, 3)) {
                const uint32_t x = rank[i / 4][i % 4] = 1 + (uint32_t)rng_draw(&r, 12);
                bpe_pair(m, i / 4, i % 4, x, (i / 4 + i % 4) % 4 + (x > 9 ? 4 : 0));
            }
        const int64_t n = 1 + rng_draw(&r, k % 2 ? 40 : 300);
        for (int64_t i = 0; i < n; i++)
            a[i] = b[i] = (int32_t)rng_draw(&r, 4);
        const int64_t want = by_definition((const uint32_t(*)[4])rank, a, n);
        assert_int_equal(bpe_merge(m, b, n), want);
        assert_memory_equal(a, b, (size_t)want * sizeof *a);
        bpe_free(m);
    }
}

static void test_long_word(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };      /* a quadratic merge would not end in a test's time */
    char *word = malloc(LEN);
    memset(word, 't', LEN);
    for (int i = 1; i < LEN; i += 3)
        word[i] = 'h';
    for (int k = 0; k < 2; k++) {
        Text *t = family(k ? "bpe_chars.json" : "bpe.json", k ? characters : families, "[]");
        const int n = text_encode(t, word, LEN, NULL, 0, &(Err){ 0 });
        assert_in_range(n, LEN / 16, LEN);
        text_close(t);
    }
    free(word);
}

typedef struct { const Text *t; bool same; } Shared;

static void *encode_again(void *ctx)
{
    Shared *s = ctx;
    s->same = true;
    for (int k = 0; k < 200; k++)
        for (int i = 0; i < TEXTS; i++) {
            int32_t id[ROOM];
            const int n = text_encode(s->t, texts[i].s, (size_t)texts[i].n, id, ROOM, &(Err){ 0 });
            s->same &= n == families[4].ids[i].n && memcmp(id, families[4].ids[i].id, (size_t)n * sizeof *id) == 0;
        }
    return NULL;
}

static void test_threads_share_it(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t thread[THREADS];
    Shared s[THREADS];
    Text *t = family("bpe.json", families + 4, "[]");
    for (int i = 0; i < THREADS; i++) {
        s[i] = (Shared){ t, false };
        assert_int_equal(pthread_create(thread + i, NULL, encode_again, s + i), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_true(s[i].same);
    }
    text_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_of_tokenizers), cmocka_unit_test(test_written_tokens_are_text), cmocka_unit_test(test_ids_of_tiktoken),
        cmocka_unit_test(test_files),             cmocka_unit_test(test_original_beside),         cmocka_unit_test(test_any_bytes_come_back),
        cmocka_unit_test(test_small_buffers),     cmocka_unit_test(test_merges),                  cmocka_unit_test(test_long_word),
        cmocka_unit_test(test_threads_share_it),  cmocka_unit_test(test_ends_of_a_template),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
