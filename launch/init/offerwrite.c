/* offerwrite.c -- an offer as a configuration with comments (offer.h): what all stages share, then what each has */
#include <stdarg.h>
#include <string.h>

#include "launch/config/value.h"
#include "launch/init/offer.h"
#include "launch/run.h"
#include "launch/status/units.h"
#include "launch/verbs.h"

enum { WIDTH = 140, GROUP = 11 };

static bool same(const Option *o, const Config *a, const Config *b)
{
    static char x[OPTION_TEXT], y[OPTION_TEXT];
    option_print(o, a, x);
    option_print(o, b, y);
    return !strcmp(x, y);
}

/* What all stages have in common; elsewhere the default. */
static void common(Config *base, const Offer *o)
{
    static ErrList none;
    static char text[OPTION_TEXT];
    config_load(base, NULL, NULL, 0, &none);
    for (int i = 0; i < n_options; i++) {
        const Option *k = &options[i];
        bool alike = true;
        for (int s = 1; s < o->n; s++)
            alike = alike && same(k, &o->stage[0].c, &o->stage[s].c);
        Err e = { 0 };
        Value v = { .kind = V_TEXT, .text = (const char *)&o->stage[0].c + k->at };
        if (!alike)
            continue;
        if (k->type == STRING) {
            option_set(k, base, &v, "", &e);
            continue;
        }
        option_print(k, &o->stage[0].c, text);
        if (k->type == ENUM) {                          /* without its quotes */
            text[strlen(text) - 1] = 0;
            memmove(text, text + 1, strlen(text));
        }
        option_parse(k, base, text, "", &e);
        CHECK(e.code == 0, "an offered value does not fit: %s", e.what);
    }
}

/* `name: { a = 1; b = 2; };` of the keys PREFIX* that differ from what they would be without it, or that `also` names; nothing where none does. */
static void group(FILE *f, int indent, const char *name, const char *prefix, const Config *c, const Config *without, const char *also)
{
    char line[OPTION_TEXT], value[OPTION_TEXT], word[OPTION_KEY + 2];
    const size_t n = strlen(prefix);
    int at = 0;
    for (int i = 0; i < n_options; i++) {
        const Option *o = &options[i];
        if (strncmp(o->key, prefix, n) || strchr(o->key + n, '.'))
            continue;
        snprintf(word, sizeof word, " %s ", o->key + n);
        if (same(o, c, without) && !strstr(also, word))
            continue;
        option_print(o, c, value);
        const int len = snprintf(line, sizeof line, "%s = %.1100s;", o->key + n, value);
        if (!at) {
            at = fprintf(f, "%*s%-*s{ ", indent, "", GROUP, name);
        } else if (at + len + 1 > WIDTH) {
            at = fprintf(f, "\n%*s", indent + GROUP + 2, "") - 1;
        } else {
            at += fprintf(f, " ");
        }
        at += fprintf(f, "%s", line);
    }
    if (at)
        fprintf(f, " };\n");
}

static void comment(FILE *f, int indent, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void comment(FILE *f, int indent, const char *fmt, ...)
{
    char text[2 * CONFIG_STRING];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *s = text; *s; s++)
        *s = (unsigned char)*s < ' ' ? '?' : *s;            /* a name's line break does not end a comment */
    fprintf(f, "%*s// %s\n", indent, "", text);
}

static void write_model(FILE *f, const Config *c, const Config *plain, const Look *l, const char *model)
{
    const int side = c->model.vision.image / c->model.vision.patch;
    fprintf(f, "model: {\n");
    if (l->sized)
        comment(f, 4, "the pictures are %d x %d (median), and are seen as %d x %d in %d patches, each a row of the decoder", l->w[l->sized / 2],
                l->h[l->sized / 2], c->model.vision.image, c->model.vision.image, side * side);
    group(f, 4, "vision:", "model.vision.", c, plain, " image patch width layers heads ffn select_layer ");
    comment(f, 4, "reads captions while the tower learns, and is not needed afterwards");
    group(f, 4, "text:", "model.text.", c, plain, " width layers heads ffn max_len ");
    group(f, 4, "projector:", "model.projector.", c, plain, " layers ");
    if (model)
        comment(f, 4, "as %s/config.json says; the longest record has %lld characters", model, (long long)l->longest);
    else
        comment(f, 4, "vocab: %lld characters of text, %d different ones; max_len: %d rows of a picture, and the longest record has %lld characters",
                (long long)l->text.chars, l->text.distinct, side * side, (long long)l->longest);
    group(f, 4, "decoder:", "model.decoder.", c, plain, " width layers heads kv_heads ffn vocab max_len ");
    comment(f, 4, "the picture's own codes: %lld patches share the entries", (long long)(l->pictures * side * side));
    group(f, 4, "codes:", "model.codes.", c, plain, " depth size layer ");
    group(f, 4, "head:", "model.head.", c, plain, " width layers heads ");
    fprintf(f, "};\n");
}

static void write_data(FILE *f, const Config *c, const Config *plain, const Look *l)
{
    if (l->bad + l->broken)
        comment(f, 0, "on_bad: %lld records cannot be used, and %lld of %lld pictures looked at; skip passes over them and names them, fail stops", (long long)l->bad,
                (long long)l->broken, (long long)l->decoded);
    if (c->data.val_samples)
        comment(f, 0, "val_samples: held out, for asvr eval");
    else
        comment(f, 0, "val_samples: %lld records are too few to hold any out; asvr eval has nothing to ask", (long long)l->records);
    if (c->data.samples)
        comment(f, 0, "samples: as many of %lld as are seen in the time that there is", (long long)l->records);
    group(f, 0, "data:", "data.", c, plain, " source val_samples on_bad last ");
}

static void write_stage(FILE *f, const OfferStage *s, const Config *base, const Look *l, bool last)
{
    char took[UNIT_WORD];
    const double passes = (double)s->c.train.steps * s->c.train.global_batch / (double)l->records;
    fprintf(f, "  {\n");
    comment(f, 4, "%s: %s; %.3g passes over the data, about %s", STAGE_NAME[s->c.train.stage], s->why,
            passes, unit_age(s->seconds, took));
    group(f, 4, "run:", "run.", &s->c, base, " dir ");
    group(f, 4, "data:", "data.", &s->c, base, " template set ");
    group(f, 4, "import:", "import.", &s->c, base, "");
    group(f, 4, "train:", "train.", &s->c, base, " stage steps global_batch micro_batch lr ");
    fprintf(f, "  }%s\n", last ? "" : ",");
}

void offer_write(const Offer *o, const Look *l, const Machinery *m, const char *model, FILE *f)
{
    static Config plain, base;
    static ErrList none;
    config_load(&plain, NULL, NULL, 0, &none);
    common(&base, o);
    comment(f, 0, "Written by asvr init " VERSION " for %lld records (%s).  All of it is yours to change: `asvr help options` says what each key does.",
            (long long)l->records, OFFER_NAME[o->size]);
    comment(f, 0, "  mpirun -n %d asvr train THIS      packs the data, and trains the stages below one after the other; started again it goes on where it was", m->ranks);
    comment(f, 0, "  asvr chat THIS                   asks chat.question about chat.image");
    group(f, 0, "run:", "run.", &base, &plain, " seed ");
    write_model(f, &base, &plain, l, model);
    comment(f, 0, model ? "the language model's own" : "trained on the data's text when they are packed");
    group(f, 0, "text:", "text.", &base, &plain, "");
    write_data(f, &base, &plain, l);
    group(f, 0, "train:", "train.", &base, &plain, "");
    group(f, 0, "ckpt:", "ckpt.", &base, &plain, " keep ");
    group(f, 0, "chat:", "chat.", &base, &plain, "");
    comment(f, 0, "each stage is a run of its own; --set train.stage=NAME takes one alone.  Verbs other than train and pack take the last");
    fprintf(f, "stages = (\n");
    for (int i = 0; i < o->n; i++)
        write_stage(f, &o->stage[i], &base, l, i == o->n - 1);
    fprintf(f, ");\n");
}
