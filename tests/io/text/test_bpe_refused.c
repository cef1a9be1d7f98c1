/* What a tokenizer file asks for and is not here is refused by its name; damaged and hostile files are refused or harmless. */
#include "tests/io/text/bpe_case.h"

#include "core/rng.h"

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define SPLIT(re)  "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" re "\"},\"behavior\":\"Isolated\"}," BYTE_LEVEL "]}"

/* A key of tokenizer.json or, behind "model.", of its model; its new value; what the message names. */
static const struct { const char *key, *value, *says; } refused[] = {
    { "model.type", "\"WordPiece\"", "model \"WordPiece\"" },
    { "model.type", "\"Unigram\"", "model \"Unigram\"" },
    { "model.end_of_word_suffix", "\"</w>\"", "end_of_word_suffix" },
    { "model.continuing_subword_prefix", "\"##\"", "continuing_subword_prefix" },
    { "model.dropout", "0.1", "dropout" },
    { "model.unk_token", "\"<none>\"", "\"<none>\" is not in the vocabulary" },
    { "model.vocab", "{}", "vocabulary is empty" },
    { "model.vocab", "{\"a\": -1}", "impossible id of the piece \"a\"" },
    { "model.vocab", "{\"a\": 4194304}", "impossible id of the piece \"a\"" },
    { "model.vocab", "{\"a\": 1e3}", "impossible id of the piece \"a\"" },
    { "model.vocab", "{\"a\": 0, \"b\": 0}", "the id 0 is given to two pieces" },
    { "model.vocab", "[]", "no vocabulary" },
    { "model.merges", "[\"\\u0120 NOWHERE\"]", "the merge 0" },
    { "model.merges", "[\"h e\", \"th\"]", "the merge 1 is no pair" },
    { "model.merges", "[[\"t\", \"h\", \"e\"]]", "the merge 0 is no pair" },
    { "model.merges", "[\" t\"]", "the merge 0" },
    { "model.merges", "{}", "no merges" },
    { "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}", "normalizer \"Precompiled\"" },
    { "normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"StripAccents\"}]}", "normalizer \"StripAccents\"" },
    { "normalizer", "{\"type\":\"BertNormalizer\"}", "normalizer \"BertNormalizer\"" },
    { "normalizer", "{\"type\":\"Replace\",\"content\":\"x\"}", "no pattern" },
    { "normalizer", "{}", "normalizer \"(no name)\"" },
    { "pre_tokenizer", "{\"type\":\"BertPreTokenizer\"}", "pre-tokenizer \"BertPreTokenizer\"" },
    { "pre_tokenizer", "{\"type\":\"Whitespace\"}", "pre-tokenizer \"Whitespace\"" },
    { "pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[" BYTE_LEVEL ",{\"type\":\"Digits\"}]}", "behind ByteLevel \"Digits\"" },
    { "pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Odd\"}," BYTE_LEVEL "]}", "\"Odd\"" },
    { "pre_tokenizer", SPLIT("\\\\w+"), "\\w" },
    { "pre_tokenizer", SPLIT("a|\\\\b"), "\\b" },
    { "pre_tokenizer", SPLIT("\\\\p{Han}+"), "\\p{Han}" },
    { "pre_tokenizer", SPLIT("[a-z&&[^x]]"), "&& in a class" },
    { "pre_tokenizer", SPLIT("[a-z[x]]"), "a class in a class" },
    { "pre_tokenizer", SPLIT("[\\\\S]"), "in a class" },
    { "pre_tokenizer", SPLIT("\\\\p{N}{1,3}+"), "an interval with +" },
    { "pre_tokenizer", SPLIT("(?m:.)"), "(?m" },
    { "pre_tokenizer", SPLIT("\\\\pL+"), "\\pL" },
    { "pre_tokenizer", SPLIT("\\\\v+"), "\\v" },
    { "pre_tokenizer", SPLIT("a{,3}"), "without a lower bound" },
    { "pre_tokenizer", SPLIT("(a"), "a pattern is none" },
    { "pre_tokenizer", SPLIT(""), "a pattern of 0 bytes" },
    { "added_tokens", "[{\"id\": 2, \"content\": \"<x>\"}]", "the id 2 is given to the added token \"<x>\"" },
    { "added_tokens", "[{\"id\": -1, \"content\": \"<x>\"}]", "without content or id" },
    { "added_tokens", "[{\"id\": 999}]", "without content or id" },
    { "added_tokens", "[{\"id\": 999, \"content\": \"\"}]", "an added token of 0 bytes" },
    { "model", "{}", "model \"(no name)\"" },
};

static json_t *changed(const char *key, const char *value)
{
    json_t *root = golden_json("bpe.json"), *model = json_object_get(root, "model");
    if (strncmp(key, "model.", 6) == 0)
        json_object_set_new(model, key + 6, part(value));
    else
        json_object_set_new(root, key, part(value));
    return root;
}

static void says(const char *what, Text *t, const Err *e, const char *word)
{
    if (t || e->code != EXIT_DATA || !strstr(e->what, word) || !strstr(e->where, dir))
        fail_msg("%s: %s, %d: \"%s\" at \"%s\", not \"%s\"", what, t ? "accepted" : "refused", e->code, e->what, e->where, word);
}

static void test_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        Err e = { 0 };
        Text *t = open_json("tokenizer.json", changed(refused[i].key, refused[i].value), &e);
        says(refused[i].key, t, &e, refused[i].says);
    }
    json_t *root = golden_json("bpe.json"), *deep = json_pack("{s:s, s:[]}", "type", "Sequence", "normalizers");
    for (int i = 0; i < 40; i++)
        deep = json_pack("{s:s, s:[o]}", "type", "Sequence", "normalizers", deep);
    json_object_set_new(root, "normalizer", deep);
    Err e = { 0 };
    Text *t = open_json("tokenizer.json", root, &e);
    says("a deep sequence", t, &e, "\"Sequence\"");
}

/* Files of other kinds: name, content, what the message names. */
static const struct { const char *name, *content, *says; } files[] = {
    { "unknown.tiktoken", "YQ== 0\nYg== 1\n", "neither its name nor its size" },
    { "qwen.tiktoken", "YQ== 0\nYg== 0\n", "piece 1" },
    { "qwen.tiktoken", "YQ== 0\nYg== x\n", "piece 1" },
    { "qwen.tiktoken", "YQ== 0\nY!== 1\n", "piece 1" },
    { "qwen.tiktoken", "YQ== 0\nnothing\n", "behind 1 pieces" },
    { "qwen.tiktoken", "YQ== 0\nYg== 99999999999999999999\n", "piece 1" },
    { "vocab.json", "{\"a\": 0}", "no merges.txt" },
    { "tekken.json", "{\"config\":{\"default_vocab_size\":5,\"default_num_special_tokens\":2},\"vocab\":[]}", "config is impossible" },
    { "tekken.json", "{\"config\":{\"pattern\":\"a\",\"default_vocab_size\":5,\"default_num_special_tokens\":5},\"vocab\":[]}", "config is impossible" },
    { "tekken.json", "{\"config\":{\"pattern\":\"a\",\"default_vocab_size\":5,\"default_num_special_tokens\":2},\"vocab\":[{\"rank\":0}]}", "the piece 0" },
    { "tokenizer.json", "{\"model\": {", "no JSON" },
    { "tokenizer.json", "{}", "no merges.txt" },
};

static void test_other_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        Err e = { 0 };
        write_bytes(files[i].name, files[i].content, strlen(files[i].content));
        Text *t = text_open(file(files[i].name), &e);
        says(files[i].name, t, &e, files[i].says);
        unlink(file(files[i].name));
    }
    Err e = { 0 };
    assert_int_equal(mkdir(file("empty"), 0777), 0);
    Text *t = text_open(file("empty"), &e);
    says("an empty folder", t, &e, "holds no tokenizer.json");
    e = (Err){ 0 };
    write_bytes("tokenizer_config.json", "{\"bos_token\":", 13);
    t = open_json("tokenizer.json", golden_json("bpe.json"), &e);
    says("a broken config", t, &e, "no JSON");
    assert_non_null(strstr(e.where, "tokenizer_config.json"));
    unlink(file("tokenizer_config.json"));
}

/* A pattern that takes all steps there are ends with an error; a growing text, too. */
static void test_patterns_give_up(void **state)
{
    (void)state;
    char s[4000];
    int32_t id[8];
    memset(s, 'a', sizeof s);
    Err e = { 0 };
    Text *t = opened(open_json("tokenizer.json", changed("pre_tokenizer", SPLIT("(?:(?:a|a)+)+[bc]")), &e), &e);
    assert_int_equal(text_encode(t, s, sizeof s, id, 8, &e), -1);
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.what, "gave up"));
    text_close(t);
    static char grow[6000];
    int n = snprintf(grow, sizeof grow, "{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 8; i++)
        n += snprintf(grow + n, sizeof grow - (size_t)n, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"%.300s\"}%s", s, i < 7 ? "," : "]}");
    e = (Err){ 0 };
    t = opened(open_json("tokenizer.json", changed("normalizer", grow), &e), &e);
    assert_int_equal(text_encode(t, "a", 1, id, 8, &e), -1);
    assert_non_null(strstr(e.what, "64 MiB"));
    text_close(t);
}

/* A byte that the vocabulary lacks is its unknown token, or nothing: as in tokenizers. */
static void test_a_byte_is_missing(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        Err e = { 0 };
        int32_t id[8];
        json_t *root = golden_json("bpe.json"), *model = json_object_get(root, "model");
        json_object_del(json_object_get(model, "vocab"), "Q");
        json_object_set_new(root, "pre_tokenizer", part(BYTE_LEVEL));
        if (k)
            json_object_set_new(model, "unk_token", json_string("<|im_end|>"));
        Text *t = opened(open_json("tokenizer.json", root, &e), &e);
        assert_int_equal(text_encode(t, "!Q!", 3, id, 8, &e), k ? 3 : 1);
        assert_true(k ? id[1] == 1 : id[0] == text_symbol(t, "!!"));
        text_close(t);
    }
}

/* Cut anywhere or with a byte changed, a file is refused or works. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const names[] = { "bpe.json", "bpe_chars.json" };
    Rng r = { 3, rng_stream("damage"), 0 };
    int good = 0, bad = 0;
    for (int i = 0; i < 300; i++) {
        char path[64], *whole;
        size_t n;
        Err e = { 0 };
        snprintf(path, sizeof path, "tests/golden/%s", names[i % 2]);
        assert_true(file_read(path, 1 << 20, &whole, &n, &e));
        if (i % 3)
            whole[rng_draw(&r, (int64_t)n)] ^= (char)(1 << rng_draw(&r, 8));
        write_bytes("tokenizer.json", whole, i % 3 ? n : (size_t)rng_draw(&r, (int64_t)n));
        free(whole);
        Text *t = text_open(file("tokenizer.json"), &e);
        if (t) {
            int32_t id[64];
            char back[64];
            const int k = text_encode(t, "the caf\xC3\xA9 \xFF", 11, id, 64, &e);
            assert_true(k >= 0 && text_decode(t, id, k, back, sizeof back) >= 0);
            good++;
        } else {
            assert_int_equal(e.code, EXIT_DATA);
            assert_non_null(strstr(e.where, dir));
            bad++;
        }
        text_close(t);
    }
    assert_true(good > 20 && bad > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_by_name),  cmocka_unit_test(test_other_files), cmocka_unit_test(test_patterns_give_up),
        cmocka_unit_test(test_a_byte_is_missing), cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
