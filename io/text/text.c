#include "io/text/text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "io/base/files.h"
#include "io/text/bpetext.h"
#include "io/text/sentencepiece.h"
#include "io/text/spcheck.h"
#include "io/text/templates.h"

#define MODEL_BYTES (64 << 20)

enum { QUOTED = 120 /* bytes of a text in a message */ };

struct Text {
    BpeText *bpe;               /* NULL: SentencePiece */
    Sp      *first, *more;      /* the same model; `more` puts no space in front and drops none */
    int      newline;
    uint64_t hash;
    char     file[PATH_ROOM];
};

/* A protobuf message followed by another is their union, the later value winning.  This one says
   normalizer_spec (field 3) { add_dummy_prefix (3) = false, remove_extra_whitespaces (4) = false }. */
static const uint8_t no_prefix[6] = { 3 << 3 | 2, 4, 3 << 3, 0, 4 << 3, 0 };

static int find_newline(const Text *t, Err *e)
{
    int32_t id[2];
    char back[4];
    if (text_continue(t, "\n", 1, id, 2, e) != 1 || text_decode(t, id, 1, back, sizeof back) != 1)
        return -1;
    return back[0] == '\n' ? id[0] : -1;
}

static Text *open_sentencepiece(Text *t, const char *path, char *model, size_t n, Err *e)
{
    char why[256] = "it is empty";
    model = realloc(model, n + sizeof no_prefix);
    CHECK(model, "no memory for a text model of %zu bytes", n);
    t->hash  = XXH64(model, n, 0);
    t->first = n && sp_check((const uint8_t *)model, n, why, sizeof why) ? sp_load(model, n, why, sizeof why) : NULL;
    memcpy(model + n, no_prefix, sizeof no_prefix);
    t->more  = t->first ? sp_load(model, n + sizeof no_prefix, why, sizeof why) : NULL;
    free(model);
    if (!t->more)
        err_set(e, EXIT_DATA, path, "text.model names a SentencePiece .model file, a tokenizer.json, vocab.json, *.tiktoken, tekken.json, or their folder",
                "this is no text model: %s", why);
    return t;
}

/* ---- folders ---- */

static bool holds(char path[PATH_ROOM], const char *folder, const char *name, Err *e)
{
    return path_set(path, e, "%s/%s", folder, name) && access(path, F_OK) == 0;
}

static bool holds_ranks(char path[PATH_ROOM], const char *folder, Err *e)
{
    DIR *d = opendir(folder);
    char best[256] = "";
    for (const struct dirent *f; d && (f = readdir(d));) {
        const size_t n = strlen(f->d_name);
        if (n > 9 && strcmp(f->d_name + n - 9, ".tiktoken") == 0 && (!best[0] || strcmp(f->d_name, best) < 0))
            snprintf(best, sizeof best, "%s", f->d_name);
    }
    if (d)
        closedir(d);
    return best[0] && holds(path, folder, best, e);
}

/* The text model that a folder holds. */
static bool of_folder(char path[PATH_ROOM], const char *folder, Err *e)
{
    if (holds(path, folder, "tokenizer.json", e) || holds(path, folder, "tekken.json", e))
        return true;
    char merges[PATH_ROOM];
    if (holds(path, folder, "vocab.json", e) && holds(merges, folder, "merges.txt", e))
        return true;
    return holds_ranks(path, folder, e) || holds(path, folder, "tokenizer.model", e) ||
           err_set(e, EXIT_DATA, folder, "", "this folder holds no tokenizer.json, tekken.json, vocab.json with merges.txt, *.tiktoken or tokenizer.model");
}

/* ---- open ---- */

static Text *open_file(const char *path, Err *e)
{
    char *model;
    size_t n;
    if (!file_read(path, MODEL_BYTES, &model, &n, e))
        return NULL;
    Text *t = calloc(1, sizeof *t);
    CHECK(t, "no memory for a text model");
    snprintf(t->file, sizeof t->file, "%s", path);
    if (!bpetext_is(model, n))
        return open_sentencepiece(t, path, model, n, e);
    t->bpe = bpetext_open(path, model, n, e);
    free(model);
    return t;
}

/* Has it tokens that the original lacks, and that a prompt is made of?  OpenHermes adds chatml's marks to Llama's pieces. */
static bool adds_marks(const Text *t, const Text *original)
{
    bool more = text_bos(t) >= text_size(original) || text_eos(t) >= text_size(original);
    for (int k = 0; k < TEMPLATES && !more; k++)
        more = template_marks(k, t) && !template_marks(k, original);
    return more;
}

/* A folder's tokenizer.json that spells characters is its tokenizer.model once more: the original is taken, if it says as much. */
static Text *open_original(Text *t, const char *path, const char *folder, Err *e)
{
    char original[PATH_ROOM];
    struct stat st;
    if (!folder || (t && t->bpe && t->bpe->bytes) || !strstr(path, "/tokenizer.json") || !path_set(original, e, "%s/tokenizer.model", folder) ||
        stat(original, &st) != 0)
        return t;
    Err none = { 0 };
    Text *o = open_file(original, &none);
    if (t && !e->code && o && !none.code && adds_marks(t, o)) {
        text_close(o);
        return t;
    }
    text_close(t);
    *e = none;
    return o;
}

Text *text_open(const char *path, Err *e)
{
    char file[PATH_ROOM];
    struct stat st;
    const bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (folder && !of_folder(file, path, e))
        return NULL;
    Text *t = open_file(folder ? file : path, e);
    if (folder)
        t = open_original(t, file, path, e);
    if (t && !e->code)
        t->newline = find_newline(t, e);
    if (!e->code)
        return t;
    text_close(t);
    return NULL;
}

void text_close(Text *t)
{
    if (!t)
        return;
    bpetext_close(t->bpe);
    sp_free(t->first);
    sp_free(t->more);
    free(t);
}

const char *text_file(const Text *t) { return t->file; }
int      text_size(const Text *t)    { return t->bpe ? bpe_size(t->bpe->bpe) : sp_size(t->first); }
int      text_bos(const Text *t)     { return t->bpe ? t->bpe->bos : sp_bos(t->first); }
int      text_eos(const Text *t)     { return t->bpe ? t->bpe->eos : sp_eos(t->first); }
int      text_newline(const Text *t) { return t->newline; }
uint64_t text_hash(const Text *t)    { return t->bpe ? t->bpe->hash : t->hash; }

int text_symbol(const Text *t, const char *piece)
{
    return t->bpe ? bpetext_symbol(t->bpe, piece) : sp_find(t->first, piece);
}

static int encode(const Sp *s, const char *text, size_t len, int32_t *ids, int cap, Err *e)
{
    char why[200];
    const int n = sp_encode(s, text, len, ids, cap, why, sizeof why);
    CHECK(n != SP_MEMORY, "no memory to encode %zu bytes of text", len);
    if (n >= 0)
        return n;
    err_set(e, EXIT_DATA, "", "another text model (text.model), or leave this text out", "the text model cannot encode \"%.*s%s\": %s",
            (int)min64((int64_t)len, QUOTED), text, len > QUOTED ? "..." : "", why);
    return -1;
}

int text_encode(const Text *t, const char *s, size_t len, int32_t *ids, int cap, Err *e)
{
    return t->bpe ? bpetext_encode(t->bpe, s, len, false, false, ids, cap, e) : encode(t->first, s, len, ids, cap, e);
}

int text_continue(const Text *t, const char *s, size_t len, int32_t *ids, int cap, Err *e)
{
    return t->bpe ? bpetext_encode(t->bpe, s, len, true, false, ids, cap, e) : encode(t->more, s, len, ids, cap, e);
}

int text_encode_marked(const Text *t, const char *s, size_t len, int32_t *ids, int cap, Err *e)
{
    return t->bpe ? bpetext_encode(t->bpe, s, len, false, true, ids, cap, e) : encode(t->first, s, len, ids, cap, e);
}

int text_decode(const Text *t, const int32_t *ids, int n, char *out, int cap)
{
    const int len = t->bpe ? bpetext_decode(t->bpe, ids, n, out, cap) : sp_decode(t->first, ids, n, out, cap);
    CHECK(len >= 0, "no memory to decode %d ids", n);
    return len;
}

bool text_trainable(const char *model_path)
{
    static const char *const others[] = { ".json", ".tiktoken", ".txt", "/" };
    const size_t n = strlen(model_path);
    for (int i = 0; i < 4; i++)
        if (n >= strlen(others[i]) && strcmp(model_path + n - strlen(others[i]), others[i]) == 0)
            return false;
    return true;
}

bool text_train(const char *corpus_path, int vocab, const char *symbols, const char *model_path, Err *e)
{
    const char *const options[] = {
        "model_type", "bpe", "byte_fallback", "true", "unk_id", "0", "bos_id", "1", "eos_id", "2", "pad_id", "-1",
        "normalization_rule_name", "identity", "remove_extra_whitespaces", "false",
        "control_symbols", symbols ? symbols : "", NULL,
    };
    char why[256];
    size_t n;
    if (access(corpus_path, R_OK) != 0)
        return file_error(e, corpus_path, "read the corpus of the text model");
    void *model = sp_train(corpus_path, vocab, options, &n, why, sizeof why);
    if (!model)
        return err_set(e, EXIT_DATA, corpus_path, "more text, or a larger model.decoder.vocab",
                       "cannot train a text model of %d pieces: %s", vocab, why);
    const bool ok = file_replace(model_path, model, n, e);
    free(model);
    return ok;
}
