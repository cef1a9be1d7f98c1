/* exportsmall.c -- the small files of an export without a base (export.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "io/hf/hfwrite.h"
#include "launch/hf/hftokens.h"

/* What ends an answer. */
static void set_stops(const Export *x, HfExport *h)
{
    int32_t stop[TEMPLATE_STOPS] = { 2 };
    const int n = x->r.text ? template_stops(x->r.c->data.template, x->r.text, stop) : 1;
    for (h->stops = 0; h->stops < n && h->stops < HF_STOPS; h->stops++)
        h->stop[h->stops] = stop[h->stops];
    h->pad_token = x->r.text && text_eos(x->r.text) >= 0 ? text_eos(x->r.text) : stop[0];
}

bool export_small(Export *x, const char *dir, Err *e)
{
    static const char *const DTYPE[] = { "float32", "float16", "bfloat16" };
    static const char *const SUPERVISION[] = { "none", "semantic", "appearance", "both", "denoising" };
    const Config *c = x->r.c;
    const bool visual = export_find(x, FROM_RUN, "head.norm") || export_find(x, FROM_RUN, "app_head.norm")
                     || export_find(x, FROM_RUN, "denoiser.in.w") || export_find(x, FROM_RUN, "codes.0.table");
    HfExport h = { .layout = x->layout, .vision_layers = export_count(x, "vision.%d.ln1.w"),
                   .pool = export_find(x, FROM_RUN, "pool.probe"), .text = export_find(x, FROM_RUN, "text.embed"),
                   .tied = !export_find(x, FROM_RUN, "decoder.lm_head"), .vocab = x->vocab, .image_token = x->image_token, .bos = x->r.text ? text_bos(x->r.text) : 1,
                   .pad = c->data.fit == FIT_PAD, .dtype = DTYPE[c->export.dtype], .supervision = visual ? SUPERVISION[c->train.supervision] : NULL };
    const char *beyond = x->layout == HF_LLAVA ? hfwrite_beyond(hffiles_number, c) : NULL;
    char path[PATH_ROOM];
    if (beyond)
        snprintf(x->note[0], sizeof x->note[0], "the weights are whole, but transformers' Llava does not compute this model: %s", beyond);
    set_stops(x, &h);
    bool ok = hffiles_put(dir, "config.json", hfwrite_config(hffiles_number, c, &h), e);
    if (ok && x->plan.index)
        ok = path_set(path, e, "%s/" ST_INDEX, dir) && file_replace(path, x->plan.index, x->plan.index_bytes, e);
    if (ok && x->layout != HF_SIGLIP)
        ok = hffiles_put(dir, "generation_config.json", hfwrite_generation(&h), e);
    if (ok && x->layout != HF_LLM)
        ok = hffiles_put(dir, "preprocessor_config.json", hfwrite_pictures(hffiles_number, c, &h), e);
    if (ok && x->layout == HF_LLAVA)
        ok = hffiles_put(dir, "processor_config.json", hfwrite_processor(hffiles_number, c), e);
    return ok && (!x->r.text || hftokens_write(x, dir, x->note[1], sizeof x->note[1], e));
}


/* ---- with a base ---- */

/* What decides is what the files hold.  The key is set where the folder's other keys of the decoder are. */
static bool say_tied(Export *x, const char *dir, const char *text, size_t bytes, bool tied, Err *e)
{
    json_t *root = json_loadb(text, bytes, 0, NULL), *inner = json_object_get(root, "text_config");
    if (inner)
        json_object_set_new(inner, "tie_word_embeddings", json_boolean(tied));
    if (!inner || json_object_get(root, "tie_word_embeddings"))
        json_object_set_new(root, "tie_word_embeddings", json_boolean(tied));
    char *out = json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    json_decref(root);
    CHECK(out, "no memory for a config.json");
    snprintf(x->note[0], sizeof x->note[0], "config.json of the base says otherwise than the files: tie_word_embeddings is %s now", tied ? "true" : "false");
    return hffiles_put(dir, "config.json", out, e);
}

bool export_base_small(Export *x, const char *dir, Err *e)
{
    char path[PATH_ROOM], *text;
    size_t bytes;
    if (!hffiles_copy(x->hf, dir, e) || !path_set(path, e, "%s/config.json", dir))
        return false;
    if (access(path, F_OK) || !x->files_embed)
        return true;
    if (!file_read(path, 1 << 20, &text, &bytes, e))
        return false;
    const bool says = hfconfig_says_tied(text, bytes), tied = !x->files_head || (says && !x->two);
    const bool ok = says == tied || say_tied(x, dir, text, bytes, tied, e);
    free(text);
    return ok;
}
