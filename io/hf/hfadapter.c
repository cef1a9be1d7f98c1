#include "io/hf/hfadapter.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "base_model.model.", PAIR[] = LORA_PART ".", WEIGHT[] = ".weight";
enum { REGEX = 1 << 16 };

/* ---- names ---- */

/* text without the ending, which it has. */
static bool without(const char *text, const char *end, char *out, size_t cap)
{
    const size_t n = strlen(text), m = strlen(end);
    return n > m && !strcmp(text + n - m, end) && snprintf(out, cap, "%.*s", (int)(n - m), text) < (int)cap;
}

bool hfadapter_name(const char *ours, HfLayout layout, char name[ST_NAME], char module[ST_NAME])
{
    const uint64_t modules = hf_modules(layout == HF_LLAVA ? HF_ADAPTER : HF_LLM);
    char weight[PARAM_NAME], theirs[ST_NAME];
    HfPiece p;
    module[0] = 0;
    if (strncmp(ours, PAIR, sizeof PAIR - 1))
        return layout == HF_LLAVA && hf_name(ours, 1, modules, theirs, &p) && p.part == PART_PROJECTOR &&
               snprintf(name, ST_NAME, "%s%s", PREFIX, theirs) < ST_NAME;
    const bool a = without(ours + sizeof PAIR - 1, ".a", weight, sizeof weight);
    if (!a && !without(ours + sizeof PAIR - 1, ".b", weight, sizeof weight))
        return false;
    return hf_name(weight, 1, modules, theirs, &p) && without(theirs, WEIGHT, module, ST_NAME) &&
           snprintf(name, ST_NAME, "%s%s.lora_%c.weight", PREFIX, module, a ? 'A' : 'B') < ST_NAME;
}

bool hfadapter_ours(const char *name, char ours[PARAM_NAME])
{
    char module[ST_NAME], theirs[ST_NAME];
    HfPiece piece[HF_PIECES];
    if (strncmp(name, PREFIX, sizeof PREFIX - 1))
        return false;
    name += sizeof PREFIX - 1;
    const bool a = without(name, ".lora_A.weight", module, sizeof module), b = !a && without(name, ".lora_B.weight", module, sizeof module);
    if (!a && !b)
        return hf_pieces(name, 1, piece) == 1 && piece[0].part == PART_PROJECTOR && snprintf(ours, PARAM_NAME, "%s", piece[0].ours) < PARAM_NAME;
    return snprintf(theirs, sizeof theirs, "%s%s", module, WEIGHT) < (int)sizeof theirs && hf_pieces(theirs, 1, piece) == 1 &&
           piece[0].part == PART_DECODER && snprintf(ours, PARAM_NAME, "%s%s.%c", PAIR, piece[0].ours, a ? 'a' : 'b') < PARAM_NAME;
}

/* ---- adapter_config.json ---- */

/* "...layers.3.self_attn.q_proj": 3, and what follows it. */
static const char *block_of(const char *module, int *layer)
{
    const char *at = strstr(module, "layers.");
    char *end;
    *layer = at ? (int)strtol(at + 7, &end, 10) : -1;
    return at && *end == '.' ? end + 1 : "";
}

static void put(char *out, const char *text)
{
    const size_t n = strlen(out);
    snprintf(out + n, REGEX - n, "%s", text);
}

/* A dot is a dot. */
static void put_name(char *out, const char *name)
{
    for (char one[3] = ""; *name; name++) {
        snprintf(one, sizeof one, *name == '.' ? "\\." : "%c", *name);
        put(out, one);
    }
}

/* An expression that all modules match and no others: "q_proj" alone would be the tower's, too. */
static char *targets(char (*module)[ST_NAME], int n, int layers)
{
    char *out = calloc(1, REGEX), number[16];
    CHECK(out, "no memory for a list of %d modules", n);
    put(out, ".*(?:language_model|^model)\\.(?:model\\.)?layers\\.(?:");
    bool first = true;
    for (int i = 0; i < n; i++) {
        int layer, count = 0;
        const char *what = block_of(module[i], &layer);
        bool before = false;
        for (int k = 0, other; k < n; k++) {
            const bool same = !strcmp(block_of(module[k], &other), what);
            before |= same && k < i;
            count += same;
        }
        if (before)
            continue;
        put(out, first ? "" : "|");
        first = false;
        put(out, count == layers ? "\\d+" : "(?:");
        for (int k = 0, other, put_some = 0; k < n && count < layers; k++)
            if (!strcmp(block_of(module[k], &other), what)) {
                snprintf(number, sizeof number, "%s%d", put_some++ ? "|" : "", other);
                put(out, number);
            }
        put(out, count == layers ? "\\." : ")\\.");
        put_name(out, what);
    }
    put(out, ")");
    return out;
}

char *hfadapter_config(HfLayout layout, int rank, double alpha, char (*module)[ST_NAME], int modules, int layers, bool projector)
{
    char *regex = targets(module, modules, layers);
    json_t *root = json_pack("{s:s, s:o, s:n, s:n, s:i, s:f, s:f, s:s, s:s, s:o, s:b, s:b, s:b, s:b, s:b}",
        "peft_type", "LORA", "task_type", layout == HF_LLM ? json_string("CAUSAL_LM") : json_null(), "base_model_name_or_path", "revision",
        "r", rank, "lora_alpha", alpha, "lora_dropout", 0.0, "bias", "none", "target_modules", regex,
        "modules_to_save", projector ? json_pack("[s]", "multi_modal_projector") : json_null(),
        "fan_in_fan_out", 0, "init_lora_weights", 1, "use_rslora", 0, "use_dora", 0, "inference_mode", 1);
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    CHECK(text, "no memory for an " HFADAPTER_CONFIG);
    json_decref(root);
    free(regex);
    return text;
}

/* What would make of a pair something else, where it is set. */
static const char *const OTHER[] = { "use_rslora", "use_dora", "use_qalora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "lora_bias", "alora_invocation_tokens",
                                     "target_parameters", "trainable_token_indices", "layer_replication" };

static bool is_set(const json_t *v)
{
    return v && !json_is_null(v) && !json_is_false(v) && !(json_is_object(v) && json_object_size(v) == 0) && !(json_is_array(v) && json_array_size(v) == 0);
}

bool hfadapter_read(const char *text, size_t bytes, const char *path, int *rank, double *alpha, Err *e)
{
    json_error_t why;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    const char *type = json_string_value(json_object_get(root, "peft_type")), *bias = json_string_value(json_object_get(root, "bias"));
    const json_t *r = json_object_get(root, "r"), *a = json_object_get(root, "lora_alpha");
    bool ok = true;
    if (!json_is_object(root))
        ok = err_set(e, EXIT_DATA, path, "", "it is no JSON object: %.200s", why.text);
    else if (!type || strcmp(type, "LORA"))
        ok = err_set(e, EXIT_DATA, path, "", "its peft_type is %.40s: asvr knows LORA", type ? type : "not there");
    else if (bias && strcmp(bias, "none"))
        ok = err_set(e, EXIT_DATA, path, "", "its bias is \"%.40s\": asvr's pairs have none", bias);
    for (size_t i = 0; i < sizeof OTHER / sizeof *OTHER && ok; i++)
        if (is_set(json_object_get(root, OTHER[i])))
            ok = err_set(e, EXIT_DATA, path, "", "its \"%s\" asks for something else than plain pairs of one rank", OTHER[i]);
    if (ok && !(json_is_integer(r) && json_integer_value(r) > 0 && json_integer_value(r) < 1 << 20 && json_number_value(a) > 0))
        ok = err_set(e, EXIT_DATA, path, "", "its r or lora_alpha is no number above 0");
    *rank = (int)json_integer_value(r);
    *alpha = json_number_value(a);
    json_decref(root);
    return ok;
}
