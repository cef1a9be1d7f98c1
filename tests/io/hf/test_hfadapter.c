/* test_hfadapter.c -- names of low-rank pairs in both directions, and what adapter_config.json may ask for */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/hf/hfadapter.h"

static void goes(const char *ours, HfLayout layout, const char *theirs, const char *beside)
{
    char name[ST_NAME], module[ST_NAME], back[PARAM_NAME];
    assert_true(hfadapter_name(ours, layout, name, module));
    assert_string_equal(name, theirs);
    assert_string_equal(module, beside);
    assert_true(hfadapter_ours(name, back));
    assert_string_equal(back, ours);
}

static void names(void **s)
{
    (void)s;
    char ours[PARAM_NAME], name[ST_NAME], module[ST_NAME];
    goes("lora.decoder.3.attn.wq.a", HF_LLAVA, "base_model.model.model.language_model.layers.3.self_attn.q_proj.lora_A.weight",
         "model.language_model.layers.3.self_attn.q_proj");
    goes("lora.decoder.11.ffn.down.b", HF_LLAVA, "base_model.model.model.language_model.layers.11.mlp.down_proj.lora_B.weight",
         "model.language_model.layers.11.mlp.down_proj");
    goes("lora.decoder.0.attn.wo.a", HF_LLM, "base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight", "model.layers.0.self_attn.o_proj");
    goes("projector.0.w", HF_LLAVA, "base_model.model.model.multi_modal_projector.linear_1.weight", "");
    assert_true(hfadapter_ours("base_model.model.language_model.model.layers.1.mlp.up_proj.lora_A.weight", ours));        /* before 4.52 */
    assert_string_equal(ours, "lora.decoder.1.ffn.up.a");
    static const char *const none[] = {
        "base_model.model.model.vision_tower.encoder.layers.1.self_attn.q_proj.lora_A.weight", "model.language_model.layers.1.mlp.up_proj.lora_A.weight",
        "base_model.model.model.language_model.layers.1.mlp.up_proj.lora_C.weight", "base_model.model.model.language_model.layers.1.input_layernorm.weight",
        "base_model.model.", ".lora_A.weight", "", "base_model.model.model.language_model.layers.1.self_attn.q_proj.lora_magnitude_vector",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(hfadapter_ours(none[i], ours));
    assert_false(hfadapter_name("head.norm", HF_LLAVA, name, module) || hfadapter_name("decoder.embed", HF_LLAVA, name, module) ||
                 hfadapter_name("projector.0.w", HF_LLM, name, module) || hfadapter_name("lora.decoder.3.attn.wq", HF_LLAVA, name, module) ||
                 hfadapter_name("lora.a", HF_LLAVA, name, module) || hfadapter_name("lora.vision.pos.x.a", HF_LLAVA, name, module));
}

static void config(void **s)
{
    (void)s;
    char module[][ST_NAME] = { "model.language_model.layers.0.self_attn.q_proj", "model.language_model.layers.1.self_attn.q_proj",
                               "model.language_model.layers.1.mlp.up_proj" };
    int rank;
    double alpha;
    Err e = { 0 };
    char *text = hfadapter_config(HF_LLAVA, 8, 12.5, module, 3, 2, true);
    assert_non_null(strstr(text, "layers\\\\.(?:\\\\d+\\\\.self_attn\\\\.q_proj|(?:1)\\\\.mlp\\\\.up_proj)"));
    assert_non_null(strstr(text, "\"multi_modal_projector\""));
    assert_true(hfadapter_read(text, strlen(text), "here", &rank, &alpha, &e) && rank == 8 && alpha == 12.5);
    for (size_t n = 0; n + 2 < strlen(text); n += 7) {      /* cut anywhere */
        e = (Err){ 0 };
        assert_false(hfadapter_read(text, n, "here", &rank, &alpha, &e));
        assert_int_equal(e.code, EXIT_DATA);
    }
    free(text);
}

static void refused(void **s)
{
    (void)s;
    static const struct { const char *text, *says; } BAD[] = {
        { "[]", "JSON" }, { "{}", "peft_type" }, { "{\"peft_type\": \"IA3\", \"r\": 4, \"lora_alpha\": 4}", "IA3" },
        { "{\"peft_type\": \"LORA\", \"lora_alpha\": 4}", "r or lora_alpha" }, { "{\"peft_type\": \"LORA\", \"r\": 0, \"lora_alpha\": 4}", "r or lora_alpha" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 0}", "r or lora_alpha" }, { "{\"peft_type\": \"LORA\", \"r\": \"4\", \"lora_alpha\": 1}", "r or lora_alpha" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"use_dora\": true}", "use_dora" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"use_rslora\": true}", "use_rslora" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"rank_pattern\": {\"q_proj\": 2}}", "rank_pattern" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"bias\": \"all\"}", "bias" },
        { "{\"peft_type\": \"LORA\", \"r\": 99999999999, \"lora_alpha\": 8}", "r or lora_alpha" },
    };
    int rank;
    double alpha;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        Err e = { 0 };
        assert_false(hfadapter_read(BAD[i].text, strlen(BAD[i].text), "here", &rank, &alpha, &e));
        assert_int_equal(e.code, EXIT_DATA);
        if (!strstr(e.what, BAD[i].says))
            fail_msg("\"%s\" does not say \"%s\"", e.what, BAD[i].says);
    }
    Err e = { 0 };
    static const char fine[] = "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"rank_pattern\": {}, \"use_dora\": false, \"bias\": \"none\", \"layer_replication\": null}";
    assert_true(hfadapter_read(fine, sizeof fine - 1, "here", &rank, &alpha, &e) && rank == 4 && alpha == 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(names), cmocka_unit_test(config), cmocka_unit_test(refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
