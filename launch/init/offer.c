#include "launch/init/offer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/hf/hfconfig.h"
#include "io/text/text.h"
#include "launch/config/options.h"
#include "launch/config/value.h"
#include "launch/hf/hffiles.h"
#include "launch/run.h"

const char *const OFFER_NAME[OFFERS] = { "small", "medium", "large" };

/* The tower and what sees through it; heads are 32 (small) or 64 wide.  small is what `make demo` trains. */
static const struct {
    int image, patch, width, layers, heads, text_width, text_layers, text_heads, C, L, H, codes, head, head_layers;
    int64_t records;
} SIZE[OFFERS] = {
    { 64,  16, 192, 5,  6,  128, 3, 4, 160, 4,  5,  256,  128, 2, 0 },
    { 128, 16, 384, 8,  6,  256, 4, 4, 320, 8,  5,  512,  256, 3, 1000 },
    { 224, 16, 512, 12, 8,  384, 6, 6, 640, 12, 10, 1024, 384, 3, 20000 },
};

/* How much each stage sees: `samples` at least, but no record more than `most` times and each `least` times; what a step has, and its rates.
   small's are those of the scenes (configs/scenes), where they were tried; twenty records are learned by heart with `most`. */
static const struct { double samples, most, least; int batch; double lr, muon_lr; } HOW[] = {
    [STAGE_CONTRAST]  = { 25600, 60,  2,   64, 1e-3,   4e-3 },
    [STAGE_TOKENIZER] = { 12800, 30,  0.1, 64, 1e-3,   0 },
    [STAGE_PRETRAIN]  = { 20480, 60,  1,   32, 2e-3,   4e-3 },
    [STAGE_INSTRUCT]  = { 18000, 100, 2,   32, 1.5e-3, 1.5e-3 },
};

/* What a language model that has learned already gets. */
static const double LR_PROJECTOR = 1e-3, LR_SMALL = 2e-4, LR_LARGE = 2e-5, LARGE = 1e9;

enum { ROUND = 32, ROOM = 48 /* tokens for another question than the longest, and for the words around it */, LEAST_TEXT = 112, MOST_TEXT = 2048, SEVERAL = 4 /* pictures of a record that has more than one */ };

static int power_below(double x)
{
    int n = 1;
    while (2.0 * n <= x)
        n *= 2;
    return n;
}

/* ---- somebody else's model ---- */

/* Our keys take what config.json says, by the table that import compares with. */
static bool take_model(Config *c, const char *folder, bool *tower, Err *e)
{
    enum { ROUNDS = 8 };
    char path[PATH_ROOM], *text = NULL;
    size_t bytes;
    HfDifference d[HF_DIFFERENCES];
    int n = HF_DIFFERENCES;
    if (!path_set(path, e, "%s/config.json", folder))
        return false;
    if (access(path, R_OK) != 0)
        return err_set(e, EXIT_DATA, path, "--model names a folder of Hugging Face: config.json, a tokenizer, safetensors", "there is no model: %s", strerror(errno));
    if (!file_read(path, 1 << 20, &text, &bytes, e))
        return false;
    *tower = memmem(text, bytes, "\"vision_config\"", 15) != NULL;
    c->model.decoder.tied = hfconfig_says_tied(text, bytes);
    for (int round = 0; round < ROUNDS && n > 0 && !e->code; round++) {
        n = hfconfig_compare(text, bytes, path, hffiles_number, c, d, e);
        for (int i = 0; i < n && !e->code; i++) {
            const Option *o = option_find(d[i].ours);
            if (o) {
                option_parse(o, c, d[i].got, path, e);
            } else {
                err_got(e, "%s = %s", d[i].theirs, d[i].got);
                err_set(e, EXIT_CONFIG, path, "", d[i].unknown ? "config.json has a key that asvr does not know" : "asvr has no model of this kind");
            }
        }
    }
    free(text);
    return !e->code;
}

/* Tokens of the longest record, as its text model has them. */
static bool count_tokens(int64_t *tokens, const char *folder, const Look *l, Err *e)
{
    Text *t = text_open(folder, e);
    if (!t)
        return false;
    const int n = text_encode(t, l->longest_text ? l->longest_text : "", strlen(l->longest_text ? l->longest_text : ""), NULL, 0, e);
    text_close(t);
    *tokens = n;
    return n >= 0;
}

/* ---- one of ours ---- */

/* Own vocabularies: of little text a small one; each character has a piece, and each byte. */
static int vocabulary(const Look *l)
{
    const double chars = (double)l->text.chars;
    const int n = chars < 2e4 ? 1024 : chars < 4e5 ? 2048 : chars < 1e7 ? 8192 : 16384, least = 256 + 8 + l->text.distinct;
    return (int)max64(n, ceil_div(least + least / 2, 256) * 256);
}

static void take_size(Config *c, int size, bool decoder)
{
    const int C = SIZE[size].C;
    c->model.vision.image = SIZE[size].image;
    c->model.vision.patch = SIZE[size].patch;
    c->model.vision.width = SIZE[size].width;
    c->model.vision.layers = SIZE[size].layers;
    c->model.vision.heads = SIZE[size].heads;
    c->model.vision.ffn = 4 * SIZE[size].width;
    c->model.text.width = SIZE[size].text_width;
    c->model.text.layers = SIZE[size].text_layers;
    c->model.text.heads = SIZE[size].text_heads;
    c->model.text.ffn = 3 * SIZE[size].text_width;
    c->model.head.width = SIZE[size].head;
    c->model.head.layers = SIZE[size].head_layers;
    c->model.head.heads = SIZE[size].head / 64;
    if (!decoder)
        return;
    c->model.decoder.width = C;
    c->model.decoder.layers = SIZE[size].L;
    c->model.decoder.heads = c->model.decoder.kv_heads = SIZE[size].H;
    c->model.decoder.ffn = 16 * (int)ceil_div(C * 8 / 3, 16);
}

/* ---- stages ---- */

static OfferStage *stage_add(Offer *o, const Config *base, Stage stage, const Look *l, const Machinery *m, const char *run, const char *why)
{
    OfferStage *s = &o->stage[o->n++];
    const double n = (double)l->records, views = fmax(HOW[stage].least * n, fmin(HOW[stage].samples, HOW[stage].most * n));
    const int ranks = m->ranks, batch = (int)max64(ranks, min64(HOW[stage].batch, power_below(n)));
    s->c = *base;
    s->why = why;
    s->c.train.stage = stage;
    s->c.train.global_batch = batch;
    s->c.train.micro_batch = (int)max64(1, min64(stage < STAGE_PRETRAIN ? 32 : 8, batch / ranks));
    s->c.train.steps = (int64_t)ceil(views / batch / 10) * 10;
    s->c.train.lr = HOW[stage].lr;
    s->c.train.muon_lr = stage == STAGE_TOKENIZER ? 0 : HOW[stage].muon_lr;
    s->c.train.warmup = 0.05;
    s->c.train.decay = stage == STAGE_TOKENIZER ? 0 : 0.05;
    s->c.train.optimizer = stage == STAGE_TOKENIZER ? OPTIMIZER_ADAMW : OPTIMIZER_MUON;
    s->c.data.template = stage == STAGE_INSTRUCT ? base->data.template : TEMPLATE_PLAIN;
    snprintf(s->c.run.dir, sizeof s->c.run.dir, stage == STAGE_INSTRUCT ? "%.900s" : "%.900s/%s", run, STAGE_NAME[stage]);
    snprintf(s->c.data.set, sizeof s->c.data.set, "%.900s/%s/index.set", run, stage == STAGE_INSTRUCT ? "questions" : "captions");
    return s;
}

static void start_from(OfferStage *s, const OfferStage *before, const char *imported)
{
    const char *was = before ? before->c.run.dir : "";
    snprintf(s->c.train.init, sizeof s->c.train.init, "%.500s%s%.500s", was, was[0] && imported[0] ? ", " : "", imported);
}

static void pretrained(OfferStage *s, double parameters)
{
    s->c.train.optimizer = OPTIMIZER_ADAMW;
    s->c.train.muon_lr = 0;
    s->c.train.decay = 0;
    s->c.train.lr = s->c.train.stage == STAGE_PRETRAIN ? LR_PROJECTOR : parameters < LARGE ? LR_SMALL : LR_LARGE;
}

/* About so many parameters does the decoder have. */
static double decoder_size(const Config *c)
{
    const double C = c->model.decoder.width, D = c->model.decoder.head_dim ? c->model.decoder.head_dim : C / c->model.decoder.heads;
    const double attention = 2 * C * D * (c->model.decoder.heads + c->model.decoder.kv_heads), ffn = 3 * C * c->model.decoder.ffn;
    return c->model.decoder.vocab * C + c->model.decoder.layers * (attention + ffn);
}

static void stages(Offer *o, const Config *base, const Look *l, const Machinery *m, const char *model, const char *run, bool tower)
{
    char imported[CONFIG_STRING] = "";
    OfferStage *s = NULL, *before = NULL;
    if (model)
        snprintf(imported, sizeof imported, "%.900s/import", run);
    if (!tower) {
        s = stage_add(o, base, STAGE_CONTRAST, l, m, run, l->kinds[KIND_PICTURES] ? "both towers learn which text belongs to which picture, of several the first"
                                                                                  : "both towers learn which caption belongs to which picture");
        before = s;
    }
    s = stage_add(o, base, STAGE_TOKENIZER, l, m, run, "codebooks for what the vision tower sees");
    start_from(s, before, tower ? imported : "");
    before = s;
    s = stage_add(o, base, STAGE_PRETRAIN, l, m, run,
                  model ? "the projector learns to speak to the language model" : "captions, and the pictures' codes beside them; the decoder learns, too");
    start_from(s, before, imported);
    s->c.train.visual_weight = 0.5;
    if (model)
        pretrained(s, decoder_size(base));
    else
        snprintf(s->c.train.trainable, sizeof s->c.train.trainable, "projector,decoder,head");
    before = s;
    s = stage_add(o, base, STAGE_INSTRUCT, l, m, run, "questions and answers, and the pictures' codes beside them");
    start_from(s, before, "");
    s->c.train.visual_weight = 0.5;
    if (model)
        pretrained(s, decoder_size(base));
    for (int i = 0; i < o->n && model; i++)
        if (o->stage[i].c.train.stage == (tower ? STAGE_TOKENIZER : STAGE_PRETRAIN)) {
            snprintf(o->stage[i].c.import.from, CONFIG_STRING, "%s", model);
            snprintf(o->stage[i].c.import.to, CONFIG_STRING, "%s", imported);
        }
}

bool offer_make(Offer *o, int size, const Look *l, const Machinery *m, const char *model, const char *run, Err *e)
{
    static ErrList none;
    static Config c;
    bool tower = false;
    int64_t tokens = ceil_div(l->longest, 2);               /* of a small vocabulary a piece has two characters at least */
    *o = (Offer){ .size = size };
    config_load(&c, NULL, NULL, 0, &none);
    take_size(&c, size, !model);
    if (model && (!take_model(&c, model, &tower, e) || !count_tokens(&tokens, model, l, e)))
        return false;
    if (!model)
        c.model.decoder.vocab = vocabulary(l);
    const int side = c.model.vision.image / c.model.vision.patch, P = side * side;
    const double patches = (double)(l->pictures ? l->pictures : 1) * P;
    const double usual = (double)look_most(l) / (double)max64(1, l->longest);
    const int64_t text = usual < 0.25 ? (int64_t)((double)tokens * usual) : tokens;     /* a few records that are very long do not decide */
    c.model.decoder.max_len = P * (l->kinds[KIND_PICTURES] ? SEVERAL : 1) +
                              (int)ceil_div(min64(MOST_TEXT, max64(LEAST_TEXT, text + ROOM)), ROUND) * ROUND;
    c.model.text.max_len = 64;
    c.model.codes.depth = 4;
    c.model.codes.size = (int)max64(32, min64(SIZE[size].codes, power_below(patches / 4)));
    snprintf(c.text.model, sizeof c.text.model, model ? "%.900s" : "%.900s/text.model", model ? model : run);
    c.data.source = l->at.source;
    memcpy(c.data.json, l->at.json, sizeof c.data.json);
    memcpy(c.data.images, l->at.images, sizeof c.data.images);
    c.data.template = model ? TEMPLATE_AUTO : TEMPLATE_V1_BARE;
    c.data.val_samples = l->records < 100 ? 0 : min64(1000, l->records / 20);
    c.data.on_bad = l->bad || l->broken ? BAD_SKIP : BAD_FAIL;
    c.data.last = LAST_WRAP;
    c.ckpt.keep = 1;
    memcpy(c.chat.image, l->picture, sizeof c.chat.image);
    snprintf(c.chat.question, sizeof c.chat.question, "%s", l->question);
    stages(o, &c, l, m, model, run, tower);
    o->enough = l->records >= SIZE[size].records;
    return true;
}
