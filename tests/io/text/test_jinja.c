/* Chat templates: ours in Jinja are recognised, others by their hash; what lies in a text model's folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "io/base/files.h"
#include "io/text/jinja.h"
#include "io/text/jinjaknown.h"

static char dir[] = "/tmp/asvr-jinja-XXXXXX";
static Text *plain, *symbols;

static Text *train(const char *marks)
{
    char corpus[PATH_ROOM], model[PATH_ROOM];
    Err e = { 0 };
    assert_true(path_set(corpus, &e, "%s/corpus", dir) && path_set(model, &e, "%s/model", dir));
    const char line[] = "What is on the left? A red cat is on the left.\n";
    assert_true(file_replace(corpus, line, sizeof line - 1, &e));
    assert_true(text_train(corpus, 300, marks, model, &e));
    Text *t = text_open(model, &e);
    unlink(corpus);
    unlink(model);
    return t;
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    plain = train(NULL);
    symbols = train(CHATML_START "," CHATML_END);
    return plain && symbols ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    text_close(plain);
    text_close(symbols);
    return rmdir(dir);
}

static void test_ours(void **state)
{
    (void)state;
    static const char *const systems[] = { NULL, "", "Be brief.", "It's \\n {{ \"x\" }} {% if %} -#}\n\t\x01\x7f naïve '" };
    const Text *models[] = { NULL, plain, symbols };
    for (int kind = 0; kind < TEMPLATES; kind++)
        for (int i = 0; i < 4 * 3; i++) {
            char *jinja = jinja_write(kind, systems[i % 4], models[i / 4]), *system;
            assert_int_equal(jinja_known(jinja, strlen(jinja), &system), kind);
            const char *said = systems[i % 4] ? systems[i % 4] : templates[kind].system;
            if (kind == TEMPLATE_PLAIN || strcmp(said, templates[kind].system) == 0)
                assert_null(system);
            else
                assert_string_equal(system, said);
            free(system);
            free(jinja);
        }
}

/* Any other byte of it makes it another template. */
static void test_ours_changed(void **state)
{
    (void)state;
    char *jinja = jinja_write(TEMPLATE_CHATML, NULL, NULL), *system;
    const size_t n = strlen(jinja);
    for (size_t i = 0; i < n; i++) {
        jinja[i] ^= 1;
        const int kind = jinja_known(jinja, n, &system);
        assert_true(kind < 0 || system);      /* a letter of the system prompt may be another */
        free(system);
        jinja[i] ^= 1;
    }
    for (size_t k = 0; k < n - 1; k++) {
        assert_int_equal(jinja_known(jinja, k, &system), -1);
        assert_null(system);
    }
    free(jinja);
}

/* Line ends and blanks at the ends do not count. */
static void test_normal(void **state)
{
    (void)state;
    char *jinja = jinja_write(TEMPLATE_LLAMA3, NULL, NULL), *system;
    char *other = malloc(2 * strlen(jinja) + 16), *to = other;
    to += sprintf(to, "\r\n  ");
    for (const char *s = jinja; *s; s++) {
        if (*s == '\n')
            *to++ = '\r';
        *to++ = *s;
    }
    to += sprintf(to, "\n \t\n");
    assert_int_equal(jinja_known(other, (size_t)(to - other), &system), TEMPLATE_LLAMA3);
    free(other);
    free(jinja);
}

static void test_rows(void **state)
{
    (void)state;
    const size_t n = sizeof JINJA_KNOWN / sizeof *JINJA_KNOWN;
    for (size_t i = 0; i < n; i++) {
        assert_true(JINJA_KNOWN[i].hash && JINJA_KNOWN[i].template_ > TEMPLATE_PLAIN && JINJA_KNOWN[i].template_ < TEMPLATES);
        for (size_t j = 0; j < i; j++)
            assert_true(JINJA_KNOWN[i].hash != JINJA_KNOWN[j].hash);
    }
}

static void put(const char *name, const char *text)
{
    char path[PATH_ROOM];
    Err e = { 0 };
    assert_true(path_set(path, &e, "%s/%s", dir, name));
    if (text)
        assert_true(file_replace(path, text, strlen(text), &e));
    else
        unlink(path);
}

static char *system_found;
static int find(Err *e)
{
    *e = (Err){ 0 };
    free(system_found);
    const int kind = jinja_find(dir, &system_found, e);
    assert_true((kind < 0) == (e->code != 0));
    return kind;
}

/* A template of ours as a string of JSON; to be freed. */
static char *quoted(const char *before, int kind, const char *after)
{
    char *jinja = jinja_write(kind, NULL, NULL), *out = malloc(2 * strlen(jinja) + 1000), *to = out + sprintf(out, "%s\"", before);
    for (const char *s = jinja; *s; s++)
        if (*s == '\n')
            to += sprintf(to, "\\n");
        else
            to += sprintf(to, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    sprintf(to, "\"%s", after);
    free(jinja);
    return out;
}

static void test_folder(void **state)
{
    (void)state;
    Err e;
    assert_int_equal(find(&e), -1);
    assert_int_equal(e.code, EXIT_CONFIG);
    assert_non_null(strstr(e.what, "has no chat template"));

    char *config = quoted("{\"model_max_length\": 1000000000000000019884624838656, \"chat_template\": ", TEMPLATE_QWEN25, "}");
    char *list = quoted("{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"x\"}, 7, {\"name\": \"default\", \"template\": ", TEMPLATE_QWEN3, "}]}");
    char *processor = quoted("{\"chat_template\": ", TEMPLATE_V1, "}"), *jinja = jinja_write(TEMPLATE_ZEPHYR, "Be brief.", NULL);
    put("tokenizer_config.json", config);
    assert_int_equal(find(&e), TEMPLATE_QWEN25);
    put("tokenizer_config.json", list);
    assert_int_equal(find(&e), TEMPLATE_QWEN3);
    put("chat_template.json", processor);
    assert_int_equal(find(&e), TEMPLATE_V1);
    assert_null(system_found);
    put("chat_template.jinja", jinja);
    assert_int_equal(find(&e), TEMPLATE_ZEPHYR);
    assert_string_equal(system_found, "Be brief.");
    free(config);
    free(list);
    free(processor);
    free(jinja);
    put("chat_template.jinja", NULL);
    put("chat_template.json", NULL);

    /* no template in it, broken, and not what JSON should hold there */
    static const char *const none[] = { "{}", "[]", "{\"chat_template\": null}", "{\"chat_template\": [\"x\"]}",
                                        "{\"chat_template\": [{\"name\": \"default\"}]}", "{\"chat_template\": {\"default\": \"x\"}}" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        put("tokenizer_config.json", none[i]);
        assert_int_equal(find(&e), -1);
        assert_int_equal(e.code, EXIT_CONFIG);
    }
    put("tokenizer_config.json", "{\"chat_template\": \"");
    assert_int_equal(find(&e), -1);
    assert_int_equal(e.code, EXIT_DATA);
    assert_non_null(strstr(e.where, "tokenizer_config.json"));
    put("tokenizer_config.json", NULL);
}

/* One that is unknown is refused, with the template whose words it has. */
static void test_nearest(void **state)
{
    (void)state;
    static const struct { const char *jinja, *name; } unknown[] = {
        { "{% for m in messages %}<|im_start|>{{ m.role }}{{ m.content }}<|im_end|>{% endfor %}", "\"chatml-bare\"" },
        { "<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>", "\"smollm2\"" },
        { "<|im_start|>user{{ x }}<|im_end|><think>\\n\\n</think>", "\"qwen3\"" },
        { "<|start_header_id|>user<|end_header_id|>{{ x }}<|eot_id|>", "\"llama3\"" },
        { "[INST] {{ x }} [/INST]", "\"mistral" },
        { "<<SYS>>{{ s }}<</SYS>>[INST] {{ x }} [/INST]", "\"llama2" },
        { "USER: {{ x }} ASSISTANT:", "\"v1-bare\"" },
        { "<start_of_turn>user\\n{{ x }}<end_of_turn>", "\"gemma\"" },
        { "<|user|>{{ x }}<|assistant|>", "\"zephyr\"" },
        { "[gMASK]sop {{ x }}", "none" },
    };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        Err e;
        put("chat_template.jinja", unknown[i].jinja);
        assert_int_equal(find(&e), -1);
        assert_int_equal(e.code, EXIT_CONFIG);
        assert_non_null(strstr(e.where, "chat_template.jinja"));
        if (!strstr(e.got, unknown[i].name))
            fail_msg("%s: %s, not %s", unknown[i].jinja, e.got, unknown[i].name);
    }
    put("chat_template.jinja", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ours),   cmocka_unit_test(test_ours_changed), cmocka_unit_test(test_normal),
        cmocka_unit_test(test_rows),   cmocka_unit_test(test_folder),       cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
