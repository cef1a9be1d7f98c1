#include "launch/hf/hfbytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "launch/hf/spjson.h"

enum { BYTES = 64 << 20 };

/* The folder that text.model is, or lies in. */
static bool home(const Export *x, char out[PATH_ROOM], Err *e)
{
    struct stat st;
    const char *named = x->r.c->text.model;
    return stat(named, &st) == 0 && S_ISDIR(st.st_mode) ? path_set(out, e, "%s", named) : path_folder(out, named, e);
}

/* "model_max_length": 1e30, written out, is more than an integer of jansson's holds: numbers keep 18 digits.  Ours takes its place. */
static void shorten(char *text)
{
    bool inside = false;
    int digits = 0;
    char *to = text;
    for (const char *c = text; *c; c++) {
        inside ^= *c == '"';
        digits = *c >= '0' && *c <= '9' && !inside ? digits + 1 : 0;
        if (digits <= 18)
            *to++ = *c;
        if (inside && *c == '\\' && c[1])
            *to++ = *++c;
    }
    *to = 0;
}

/* An object from a file; *root NULL where there is none. */
static bool load(json_t **root, const char *folder, const char *name, Err *e)
{
    char path[PATH_ROOM], *text;
    size_t n;
    json_error_t why;
    *root = NULL;
    if (!path_set(path, e, "%s/%s", folder, name))
        return false;
    if (access(path, F_OK))
        return true;
    if (!file_read(path, BYTES, &text, &n, e))
        return false;
    shorten(text);
    *root = json_loads(text, JSON_ALLOW_NUL, &why);
    free(text);
    if (json_is_object(*root))
        return true;
    json_decref(*root);
    *root = NULL;
    return err_set(e, EXIT_DATA, path, "", "this is no object in JSON%s%.120s", why.text[0] ? ": " : "", why.text);
}

static bool store(json_t *root, const char *dir, const char *name, size_t flags, Err *e)
{
    char *text = json_dumps(root, flags);
    json_decref(root);
    CHECK(text, "no memory for %s", name);
    return hffiles_put(dir, name, text, e);
}

static bool copy(const char *folder, const char *dir, const char *name, Err *e)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    if (!path_set(from, e, "%s/%s", folder, name) || !path_set(to, e, "%s/%s", dir, name))
        return false;
    return access(from, F_OK) != 0 || hffiles_copy_file(from, to, e);
}

static json_t *image_token(bool with_id, int id)
{
    json_t *j = with_id ? json_pack("{s:i}", "id", id) : json_object();
    json_t *more = json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", "<image>", "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
                             "special", 1);
    json_object_update(j, more);
    json_decref(more);
    return j;
}

/* A word by its id. */
static const char *word(const json_t *tokenizer, int id)
{
    const json_t *t;
    const char *piece;
    json_t *at;
    size_t i;
    json_array_foreach(json_object_get(tokenizer, "added_tokens"), i, t)
        if (json_integer_value(json_object_get(t, "id")) == id)
            return json_string_value(json_object_get(t, "content"));
    json_object_foreach(json_object_get(json_object_get(tokenizer, "model"), "vocab"), piece, at)
        if (json_is_integer(at) && json_integer_value(at) == id)
            return piece;
    return NULL;
}

static bool has_image(const json_t *tokenizer)
{
    const json_t *t;
    size_t i;
    json_array_foreach(json_object_get(tokenizer, "added_tokens"), i, t) {
        const char *content = json_string_value(json_object_get(t, "content"));
        if (content && !strcmp(content, "<image>"))
            return true;
    }
    return false;
}

static bool is_template(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_t *k;
    size_t i;
    json_array_foreach(json_object_get(o, "processors"), i, k)
        if (is_template(k))
            return true;
    return type && !strcmp(type, "TemplateProcessing");
}

/* What makes the library's ids those of prompts: blanks, and no BOS in front of a prompt that has none.  False: they are already. */
static bool as_prompts(const Export *x, json_t *root, bool bos)
{
    const bool begins = spjson_begins(root, word(root, text_bos(x->r.text))), puts = !bos && is_template(json_object_get(root, "post_processor"));
    if (puts)
        json_object_set_new(root, "post_processor", json_null());
    return begins || puts;
}

static bool write_tokenizer(const Export *x, json_t *root, bool changed, const char *folder, const char *dir, Err *e)
{
    json_t *list = json_object_get(root, "added_tokens");
    const bool image = x->image_token >= 0 && !has_image(root);
    if (!changed && !image)
        return copy(folder, dir, "tokenizer.json", e);
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(root, "added_tokens", list);
    }
    if (image)
        json_array_append_new(list, image_token(true, x->image_token));
    return store(json_incref(root), dir, "tokenizer.json", JSON_COMPACT, e);
}

/* What names a token that the file does not name yet. */
static void name_token(json_t *config, const char *key, const char *text)
{
    const json_t *now = json_object_get(config, key);
    if (text && (!now || json_is_null(now)))
        json_object_set_new(config, key, json_string(text));
}

/* LlamaTokenizer may make blanks and BOS anew, by these keys: the class that takes tokenizer.json at its word. */
static void at_its_word(json_t *config, const json_t *tokenizer, int bos)
{
    const json_t *as;
    char id[16];
    size_t i;
    snprintf(id, sizeof id, "%d", bos);
    json_t *t = json_object_get(json_object_get(config, "added_tokens_decoder"), id);
    json_object_set_new(config, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    json_object_del(config, "add_prefix_space");
    json_object_del(config, "legacy");
    json_object_del(config, "add_bos_token");
    json_array_foreach(json_object_get(tokenizer, "added_tokens"), i, as)
        if (json_integer_value(json_object_get(as, "id")) == bos && json_is_object(t))
            json_object_set(t, "normalized", json_object_get(as, "normalized"));
}

static bool write_config(const Export *x, const json_t *tokenizer, bool changed, const char *folder, const char *dir, Err *e)
{
    json_t *config;
    if (!load(&config, folder, "tokenizer_config.json", e))
        return false;
    if (!config)
        config = json_pack("{s:s}", "tokenizer_class", "PreTrainedTokenizerFast");
    const char *kind = json_string_value(json_object_get(config, "tokenizer_class"));
    if (kind && !strcmp(kind, "TokenizersBackend"))         /* transformers 5's word for what all versions know */
        json_object_set_new(config, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    json_t *extra = json_object_get(config, "extra_special_tokens");
    if (json_is_array(extra)) {                             /* likewise: to 4.4x it is an object, and this its list */
        json_object_set(config, "additional_special_tokens", extra);
        json_object_del(config, "extra_special_tokens");
    }
    if (changed)
        at_its_word(config, tokenizer, text_bos(x->r.text));
    if (!json_object_get(config, "model_input_names"))      /* else 4.4x adds token_type_ids, which no decoder takes */
        json_object_set_new(config, "model_input_names", json_pack("[s, s]", "input_ids", "attention_mask"));
    json_object_del(config, "chat_template");
    json_object_set_new(config, "model_max_length", json_integer(x->r.c->model.decoder.max_len));
    name_token(config, "bos_token", word(tokenizer, text_bos(x->r.text)));
    name_token(config, "eos_token", word(tokenizer, text_eos(x->r.text)));
    name_token(config, "pad_token", word(tokenizer, text_eos(x->r.text)));
    if (x->image_token >= 0) {
        char id[16];
        snprintf(id, sizeof id, "%d", x->image_token);
        json_t *list = json_object_get(config, "added_tokens_decoder");
        if (json_is_object(list))
            json_object_set_new(list, id, image_token(false, 0));
        json_object_set_new(config, "image_token", json_string("<image>"));
        json_object_set_new(config, "processor_class", json_string("LlavaProcessor"));
        json_object_set_new(config, "padding_side", json_string("left"));
    }
    return store(config, dir, "tokenizer_config.json", JSON_INDENT(2), e);
}

bool hfbytes_write(const Export *x, bool bos, const char *dir, char *note, size_t cap, Err *e)
{
    static const char *const SMALL[] = { "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt" };
    char folder[PATH_ROOM];
    json_t *tokenizer;
    if (!home(x, folder, e) || !load(&tokenizer, folder, "tokenizer.json", e))
        return false;
    const bool changed = tokenizer && as_prompts(x, tokenizer, bos);
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof SMALL / sizeof *SMALL; i++)
        ok = copy(folder, dir, SMALL[i], e);
    if (tokenizer)
        ok = ok && write_tokenizer(x, tokenizer, changed, folder, dir, e) && write_config(x, tokenizer, changed, folder, dir, e);
    else
        snprintf(note, cap, "there is no tokenizer.json beside text.model, which transformers needs: save one with its own tools, and name that");
    json_decref(tokenizer);
    return ok;
}
