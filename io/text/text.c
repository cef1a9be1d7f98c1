#include "io/text/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "io/base/files.h"
#include "io/text/sentencepiece.h"
#include "io/text/spcheck.h"

#define MODEL_BYTES (64 << 20)

enum { QUOTED = 120 /* bytes of a text in a message */ };

struct Text {
    Sp      *first, *more;      /* the same model; `more` puts no space in front and drops none */
    int      newline;
    uint64_t hash;
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

Text *text_open(const char *path, Err *e)
{
    char *model, why[256] = "it is empty";
    size_t n;
    if (!file_read(path, MODEL_BYTES, &model, &n, e))
        return NULL;
    Text *t = calloc(1, sizeof *t);
    model = realloc(model, n + sizeof no_prefix);
    CHECK(t && model, "no memory for a text model of %zu bytes", n);
    t->hash  = XXH64(model, n, 0);
    t->first = n && sp_check((const uint8_t *)model, n, why, sizeof why) ? sp_load(model, n, why, sizeof why) : NULL;
    memcpy(model + n, no_prefix, sizeof no_prefix);
    t->more  = t->first ? sp_load(model, n + sizeof no_prefix, why, sizeof why) : NULL;
    free(model);
    if (!t->more) {
        text_close(t);
        err_set(e, EXIT_DATA, path, "text.model names a SentencePiece .model file", "this is no text model: %s", why);
        return NULL;
    }
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
    sp_free(t->first);
    sp_free(t->more);
    free(t);
}

int      text_size(const Text *t)    { return sp_size(t->first); }
int      text_bos(const Text *t)     { return sp_bos(t->first); }
int      text_eos(const Text *t)     { return sp_eos(t->first); }
int      text_newline(const Text *t) { return t->newline; }
int      text_symbol(const Text *t, const char *piece) { return sp_find(t->first, piece); }
uint64_t text_hash(const Text *t)    { return t->hash; }

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
    return encode(t->first, s, len, ids, cap, e);
}

int text_continue(const Text *t, const char *s, size_t len, int32_t *ids, int cap, Err *e)
{
    return encode(t->more, s, len, ids, cap, e);
}

int text_decode(const Text *t, const int32_t *ids, int n, char *out, int cap)
{
    const int len = sp_decode(t->first, ids, n, out, cap);
    CHECK(len >= 0, "no memory to decode %d ids", n);
    return len;
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
