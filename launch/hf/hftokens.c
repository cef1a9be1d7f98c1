#include "launch/hf/hftokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/text/jinja.h"
#include "launch/hf/hfbytes.h"
#include "launch/hf/spjson.h"

/* The word of an id, or NULL. */
static const char *word(const HfToken *t, int n, int id)
{
    for (int i = 0; i < n; i++)
        if (t[i].id == id)
            return t[i].text;
    return NULL;
}

/* The SentencePiece model behind text.model, a file or a folder; its path in `path`, "" where it is another kind. */
static bool open_pieces(const Export *x, SpPieces *s, char path[PATH_ROOM], Err *e)
{
    const char *named = x->r.c->text.model;
    struct stat st;
    Err none = { 0 };
    const bool folder = stat(named, &st) == 0 && S_ISDIR(st.st_mode);
    if (!path_set(path, e, folder ? "%s/tokenizer.model" : "%s", named))
        return false;
    if (!sppieces_open(s, path, &none) || s->hash != text_hash(x->r.text))
        path[0] = 0;
    return true;
}

/* Does a prompt of the run's template begin with BOS? */
static bool begins_with_bos(const Export *x)
{
    Prompt p = { 0 };
    Err none = { 0 };
    const Turn turn = { "a", NULL };
    const bool ok = prompt_build(&p, x->r.text, x->r.c->data.template, &(Talk){ &turn, 1, 0, NULL }, &none);
    const bool begins = ok && p.n && p.tokens[0] == text_bos(x->r.text);
    prompt_free(&p);
    return begins;
}

static bool write_pieces(const Export *x, const SpPieces *s, const char *from, const char *dir, char *note, size_t cap, Err *e)
{
    const Config *c = x->r.c;
    char path[PATH_ROOM], *texts;
    HfToken *token = calloc((size_t)s->pieces + 2, sizeof *token);
    CHECK(token, "no memory for %d tokens", s->pieces);
    int n = spjson_tokens(s, token, &texts), unk = 0;
    while (unk < s->pieces - 1 && s->piece[unk].kind != SP_UNKNOWN)
        unk++;
    const bool image = x->layout == HF_LLAVA;
    if (image && !word(token, n, x->image_token))
        token[n++] = (HfToken){ "<image>", x->image_token, true };
    const HfTokens t = { .kind = "LlamaTokenizer", .bos = word(token, n, text_bos(x->r.text)), .eos = word(token, n, text_eos(x->r.text)),
                         .unk = word(token, n, unk), .image = image ? "<image>" : NULL, .add_bos = begins_with_bos(x), .max_len = c->model.decoder.max_len,
                         .token = token, .tokens = n };
    const char *why;
    char *json = spjson_text(s, &t, &why);
    bool ok = path_set(path, e, "%s/tokenizer.model", dir) && hffiles_copy_file(from, path, e);
    if (json)
        ok = ok && hffiles_put(dir, "tokenizer.json", json, e);
    else
        snprintf(note, cap, "tokenizer.json is not written: of the text model, %s; transformers reads tokenizer.model itself", why);
    ok = ok && hffiles_put(dir, "tokenizer_config.json", hfwrite_tokens(&t), e) && hffiles_put(dir, "special_tokens_map.json", hfwrite_special(&t), e);
    free(token);
    free(texts);
    return ok;
}

bool hftokens_write(const Export *x, const char *dir, char *note, size_t cap, Err *e)
{
    SpPieces s;
    char path[PATH_ROOM];
    note[0] = 0;
    bool ok = open_pieces(x, &s, path, e);
    if (ok && path[0])
        ok = write_pieces(x, &s, path, dir, note, cap, e);
    else if (ok)
        ok = hfbytes_write(x, begins_with_bos(x), dir, note, cap, e);
    sppieces_close(&s);
    const Config *c = x->r.c;
    return ok && (x->layout == HF_SIGLIP ||
                  hffiles_put(dir, "chat_template.jinja", jinja_write(c->data.template, c->data.system[0] ? c->data.system : NULL, x->r.text), e));
}
