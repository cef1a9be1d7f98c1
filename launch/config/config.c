#include "launch/config/config.h"
#include "dist/bucket.h"
#include "launch/config/include.h"
#include "launch/config/value.h"

#include <jansson.h>
#include <libconfig.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <xxhash.h>

Err *err_next(ErrList *errs)
{
    if (errs->n == CONFIG_ERRORS)
        errs->lost++;
    Err *e = &errs->err[errs->n < CONFIG_ERRORS ? errs->n++ : CONFIG_ERRORS];
    memset(e, 0, sizeof *e);
    return e;
}

/* ---- reading ---- */

typedef struct {
    Config   *c;
    Included  text;
    ErrList  *errs;
} Reading;

/* Every key at its default. */
static void config_default(Config *c)
{
    memset(c, 0, sizeof *c);
    for (int i = 0; i < n_options; i++) {
        Err e = { 0 };
        bool ok = option_parse(&options[i], c, options[i].def, "", &e);
        CHECK(ok, "the default of %s does not fit: %s", options[i].key, e.got);
    }
}

static bool unknown_key(const char *key, bool group, const char *where, Err *e)
{
    char near[OPTION_KEY], hint[128];
    option_nearest(near, key, group);
    snprintf(hint, sizeof hint, "did you mean %s?  `asvr help options` lists every key", near);
    return err_set(e, EXIT_CONFIG, where, hint, "there is no %s \"%s\"", group ? "group" : "key", key);
}

static Value value_of(config_setting_t *s)
{
    Value v = { .kind = V_GROUP };
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        v.kind = V_INTEGER;
        v.integer = config_setting_get_int64(s);
        v.number[0] = (double)v.integer;
        break;
    case CONFIG_TYPE_FLOAT:
        v.kind = V_NUMBER;
        v.number[0] = config_setting_get_float(s);
        break;
    case CONFIG_TYPE_BOOL:
        v.kind = V_BOOL;
        v.yes = config_setting_get_bool(s);
        break;
    case CONFIG_TYPE_STRING:
        v.kind = V_TEXT;
        v.text = config_setting_get_string(s);
        break;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        v.kind = V_LIST;
        for (; v.n < config_setting_length(s); v.n++) {
            Value x = config_setting_is_number(config_setting_get_elem(s, (unsigned)v.n))
                          ? value_of(config_setting_get_elem(s, (unsigned)v.n)) : (Value){ .kind = V_TEXT };
            if (x.kind == V_TEXT || v.n == OPTION_FLOATS) {
                v.n = -1;
                break;
            }
            v.number[v.n] = x.number[0];
        }
        break;
    }
    return v;
}

/* Depth is bounded by the table: only known groups are entered. */
static void group_read(Reading *r, config_setting_t *group, const char *prefix)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        char key[2 * OPTION_KEY + 1], where[512];
        snprintf(key, sizeof key, "%s%.*s", prefix, OPTION_KEY, config_setting_name(s));
        include_where(&r->text, (int)config_setting_source_line(s), where, sizeof where);
        const Option *o = option_find(key);
        bool is_group = config_setting_is_group(s);
        Err e = { 0 };
        if (o) {
            Value v = value_of(s);
            option_set(o, r->c, &v, where, &e);
        } else if (option_is_group(key) && is_group) {
            strcat(key, ".");
            group_read(r, s, key);
        } else if (option_is_group(key)) {
            err_expected(&e, "%s: { ... };", config_setting_name(s));
            err_set(&e, EXIT_CONFIG, where, "", "%s is a group of keys", key);
        } else {
            unknown_key(key, is_group, where, &e);
        }
        if (e.code)
            *err_next(r->errs) = e;
    }
}

static void file_load(Reading *r, const char *path)
{
    config_t cfg;
    Err      e = { 0 };
    char     where[512];
    config_init(&cfg);
    if (!include_read(&r->text, path, &e)) {
        *err_next(r->errs) = e;
    } else if (!config_read_string(&cfg, r->text.text)) {
        include_where(&r->text, config_error_line(&cfg), where, sizeof where);
        err_set(err_next(r->errs), EXIT_CONFIG, where, "a line is  key = value;  and a group is  name: { ... };",
                "the configuration cannot be parsed: %s", config_error_text(&cfg));
    } else {
        group_read(r, config_root_setting(&cfg), "");
    }
    config_destroy(&cfg);
    include_free(&r->text);
}

static void set_load(Config *c, const char *set, ErrList *errs)
{
    char        key[2 * OPTION_KEY], where[512];
    const char *equals = strchr(set, '=');
    Err         e = { 0 };
    snprintf(where, sizeof where, "--set %.400s", set);
    snprintf(key, sizeof key, "%.*s", (int)(equals ? min64(equals - set, OPTION_KEY) : 0), set);
    const Option *o = option_find(key);
    if (!equals)
        err_set(&e, EXIT_CONFIG, where, "as in  --set train.lr=1e-3", "--set needs KEY=VALUE");
    else if (!o)
        unknown_key(key, false, where, &e);
    else
        option_parse(o, c, equals + 1, where, &e);
    if (e.code)
        *err_next(errs) = e;
}

bool config_load(Config *c, const char *path, char *const *sets, int n, ErrList *errs)
{
    int     before = errs->n;
    Reading r = { .c = c, .errs = errs };
    config_default(c);
    if (path)
        file_load(&r, path);
    for (int i = 0; i < n; i++)
        set_load(c, sets[i], errs);
    return errs->n == before;
}

/* ---- checking ---- */

static void wrong(ErrList *errs, const char *hint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void wrong(ErrList *errs, const char *hint, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    err_set(err_next(errs), EXIT_CONFIG, "", hint, "%s", what);
}

static void divides(ErrList *errs, const char *small_key, int small, const char *big_key, int big)
{
    if (big % small)
        wrong(errs, "", "%s = %d does not divide %s = %d", small_key, small, big_key, big);
}

/* A tensor's elements are counted by an int in BLAS and MPI. */
static void fits(ErrList *errs, const char *what, int64_t a, int64_t b, int64_t c)
{
    int64_t n;
    if (__builtin_mul_overflow(a, b, &n) || __builtin_mul_overflow(n, c, &n))
        wrong(errs, "", "%s: %lld x %lld x %lld elements, more than 63 bits count", what, (long long)a, (long long)b,
              (long long)c);
    else if (n > INT_MAX)
        wrong(errs, "", "%s has %lld elements, more than 2147483647", what, (long long)n);
}

static void check_model(const Config *c, ErrList *errs)
{
    const int head_heads = c->model.head.heads ? c->model.head.heads : (int)max64(1, c->model.head.width / 128);
    divides(errs, "model.vision.heads", c->model.vision.heads, "model.vision.width", c->model.vision.width);
    divides(errs, "model.text.heads", c->model.text.heads, "model.text.width", c->model.text.width);
    divides(errs, "model.decoder.heads", c->model.decoder.heads, "model.decoder.width", c->model.decoder.width);
    divides(errs, "model.decoder.kv_heads", c->model.decoder.kv_heads, "model.decoder.heads", c->model.decoder.heads);
    divides(errs, c->model.head.heads ? "model.head.heads" : "the visual head's number of heads", head_heads,
            "model.head.width", c->model.head.width);

    int D = c->model.decoder.width / c->model.decoder.heads;
    if (c->model.decoder.width % c->model.decoder.heads == 0 && D % 2)
        wrong(errs, "rotary embeddings turn pairs", "the decoder's head size model.decoder.width / heads = %d is odd", D);
    if (c->model.vision.patch > c->model.vision.image)
        wrong(errs, "", "model.vision.patch = %d is larger than model.vision.image = %d", c->model.vision.patch,
              c->model.vision.image);
    if (-c->model.vision.select_layer > c->model.vision.layers)
        wrong(errs, "-1 is the last block", "model.vision.select_layer = %d, but the vision tower has %d blocks",
              c->model.vision.select_layer, c->model.vision.layers);
    if (-c->model.codes.appearance_layer > c->model.vision.layers)
        wrong(errs, "-1 is the last block", "model.codes.appearance_layer = %d, but the vision tower has %d blocks",
              c->model.codes.appearance_layer, c->model.vision.layers);
    if (c->model.codes.appearance_layer && c->model.codes.appearance_layer >= c->model.codes.layer)
        wrong(errs, "appearance is what the early blocks see", "model.codes.appearance_layer = %d is not before model.codes.layer = %d",
              c->model.codes.appearance_layer, c->model.codes.layer);
    if (-c->model.codes.layer > c->model.vision.layers)
        wrong(errs, "-1 is the last block", "model.codes.layer = %d, but the vision tower has %d blocks",
              c->model.codes.layer, c->model.vision.layers);
}

static void check_method(const Config *c, ErrList *errs)
{
    const int how = c->train.supervision;
    if ((how == SUPERVISE_APPEARANCE || how == SUPERVISE_BOTH) && !c->model.codes.appearance_layer)
        wrong(errs, "e.g. appearance_layer = -22 of 27 blocks", "train.supervision wants appearance codes, but model.codes.appearance_layer is 0");
    if (how == SUPERVISE_DENOISING && c->model.head.width % 2)
        wrong(errs, "", "the denoising head wants an even model.head.width, not %d", c->model.head.width);
    if (c->model.vision.scales > 1 && c->model.vision.input == INPUT_DISCRETE)
        wrong(errs, "codes are of one scale", "model.vision.input = \"discrete\" goes with model.vision.scales = 1, not %d",
              c->model.vision.scales);
    if (c->model.vision.input == INPUT_DISCRETE && c->train.stage >= STAGE_PRETRAIN && strstr(c->train.trainable, "vision"))
        wrong(errs, "no gradient goes through the codes", "the vision tower cannot learn with model.vision.input = \"discrete\"");
    if (c->model.vision.scales > 1 && c->train.stage >= STAGE_PRETRAIN && strstr(c->train.trainable, "vision"))
        wrong(errs, "", "the vision tower learns with model.vision.scales = 1 only");
    if (c->train.stage == STAGE_TOKENIZER && (strstr(c->train.trainable, "vision") || strstr(c->train.trainable, "pool")))
        wrong(errs, "codes, app_codes and tokenizer may learn there", "in stage tokenizer the vision tower and the pooling are what is learned from");
    if (c->model.vision.scales > 1 && c->train.stage == STAGE_CONTRAST)
        wrong(errs, "train the towers on pictures of one scale", "stage contrast wants model.vision.scales = 1");
}

static void check_sizes(const Config *c, ErrList *errs)
{
    const int64_t side = c->model.vision.image / c->model.vision.patch, P = side * side, image = config_picture(c);
    const int64_t Cv = c->model.vision.width, C = c->model.decoder.width, E = c->model.head.width;
    const int64_t Q = c->model.codes.depth, S = c->model.codes.size, batch = c->train.micro_batch;
    fits(errs, "the decoder's embedding (vocab x width)", c->model.decoder.vocab, C, 1);
    fits(errs, "the decoder's feed-forward layer (width x ffn)", C, c->model.decoder.ffn, 1);
    fits(errs, "the text tower's embedding (vocab x width)", c->model.decoder.vocab, c->model.text.width, 1);
    fits(errs, "the text tower's feed-forward layer (width x ffn)", c->model.text.width, c->model.text.ffn, 1);
    fits(errs, "the vision tower's feed-forward layer (width x ffn)", Cv, c->model.vision.ffn, 1);
    fits(errs, "the vision tower's positions (patches x width)", P, Cv, 1);
    fits(errs, "the projector (scales vision.width x decoder.width)", Cv * c->model.vision.scales, C, 1);
    fits(errs, "the codebooks (depth x size x vision.width)", Q, S, Cv);
    fits(errs, "the visual head's feed-forward layer (2 width x depth width)", 2 * E, Q, E);
    fits(errs, "the visual head's classifiers (depth x size x width)", Q, S, E);
    fits(errs, "a micro-batch of pictures (micro_batch x image x 3 image)", batch, image, 3 * image);
    fits(errs, "a micro-batch of codes (micro_batch x patches x depth)", batch, P, Q);
    fits(errs, "a micro-batch of positions (micro_batch x max_len)", batch, c->model.decoder.max_len, 1);
    if (P >= c->model.decoder.max_len)
        wrong(errs, "fewer patches, or a longer decoder.max_len",
              "a picture's %lld rows leave no room for text in model.decoder.max_len = %d", (long long)P,
              c->model.decoder.max_len);
}

static void needed(ErrList *errs, const char *verb, const char *key, bool there)
{
    if (!there)
        wrong(errs, option_find(key)->help, "`asvr %s` needs %s", verb, key);
}

/* Of a job with so many ranks: numbers of tensor-parallel ranks that would do. */
static void check_grid(const Config *c, const char *verb, int ranks, ErrList *errs)
{
    static const char *const sharded[] = { "train", "eval", "chat", "bench", "spectrum" };
    char would[160] = "";
    bool is = false;
    for (size_t i = 0; i < sizeof sharded / sizeof *sharded; i++)
        is |= !strcmp(verb, sharded[i]);
    for (int tp = 1; tp <= ranks; tp++)
        if (ranks % tp == 0 && strlen(would) < sizeof would - 16)
            snprintf(would + strlen(would), 16, "%s%d", tp > 1 ? ", " : "", tp);
    if (is && ranks % c->parallel.tp)
        wrong(errs, "start a multiple of parallel.tp ranks, or --set parallel.tp=1",
              "parallel.tp = %d does not divide the %d rank%s of this job; %s would", c->parallel.tp, ranks, ranks == 1 ? "" : "s", would);
    if (c->parallel.wire == WIRE_BF16 && c->parallel.reduction == REDUCE_CANONICAL)
        wrong(errs, "parallel.reduction = \"fast\"", "parallel.wire = \"bf16\" rounds in each exchange, which the canonical reduction cannot");
    if (c->parallel.wire == WIRE_BF16 && c->train.stage == STAGE_TOKENIZER)
        wrong(errs, "parallel.wire = \"fp32\"", "in stage tokenizer counts of codes travel as gradients: 16 bits cannot hold them");
}

static void check_verb(const Config *c, const char *verb, int ranks, ErrList *errs)
{
    if (!strcmp(verb, "train")) {
        const int replicas = ranks / c->parallel.tp;
        const int64_t once = (int64_t)c->train.micro_batch * replicas;
        needed(errs, verb, "run.dir", c->run.dir[0]);
        needed(errs, verb, "data.set", c->data.set[0] || c->data.shards[0]);
        needed(errs, verb, "train.steps", c->train.steps > 0 || c->train.epochs > 0);
        if (replicas > 0 && c->train.global_batch % once)
            wrong(errs, "each replica computes the same number of micro-batches in a step",
                  "train.global_batch = %d is no multiple of train.micro_batch = %d times %d replica%s",
                  c->train.global_batch, c->train.micro_batch, replicas, replicas == 1 ? "" : "s");
    } else if (!strcmp(verb, "pack")) {
        needed(errs, verb, "data.set", c->data.set[0]);
        needed(errs, verb, "data.json", c->data.source != SOURCE_LLAVA || c->data.json[0]);
        needed(errs, verb, "data.samples", c->data.source != SOURCE_SCENES || c->data.samples + c->data.val_samples > 0);
    } else if (!strcmp(verb, "eval")) {
        needed(errs, verb, "data.set", c->data.set[0] || c->data.val[0]);
    } else if (!strcmp(verb, "spectrum")) {
        needed(errs, verb, "run.dir", c->run.dir[0]);
    } else if (!strcmp(verb, "import")) {
        needed(errs, verb, "import.from", c->import.from[0]);
        needed(errs, verb, "import.to", c->import.to[0]);
    } else if (!strcmp(verb, "export")) {
        needed(errs, verb, "export.from", c->export.from[0]);
        needed(errs, verb, "export.to", c->export.to[0]);
    } else if (!strcmp(verb, "chat")) {
        needed(errs, verb, "chat.image", c->chat.image[0]);
    }
}

bool config_check(const Config *c, const char *verb, int ranks, ErrList *errs)
{
    int before = errs->n;
    check_model(c, errs);
    check_method(c, errs);
    check_sizes(c, errs);
    check_grid(c, verb, ranks, errs);
    check_verb(c, verb, ranks, errs);
    return errs->n == before;
}

/* ---- writing ---- */

/* Length of what two keys share up to and with a dot. */
static size_t common_groups(const char *a, const char *b)
{
    size_t n = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.')
            n = i + 1;
    return n;
}

static int groups_in(const char *key, size_t n)
{
    int groups = 0;
    for (size_t i = 0; i < n; i++)
        groups += key[i] == '.';
    return groups;
}

void config_print(const Config *c, FILE *f)
{
    char        text[OPTION_TEXT];
    const char *was = "";
    for (int i = 0; i <= n_options; i++) {
        const char *key = i < n_options ? options[i].key : "";
        size_t      n = common_groups(was, key);
        int         depth = groups_in(key, n);
        for (int open = groups_in(was, strlen(was)); open > depth; open--)
            fprintf(f, "%*s};\n", 4 * (open - 1), "");
        for (const char *name = key + n, *dot; (dot = strchr(name, '.')); name = dot + 1)
            fprintf(f, "%*s%.*s: {\n", 4 * depth++, "", (int)(dot - name), name);
        if (i < n_options) {
            option_print(&options[i], c, text);
            fprintf(f, "%*s%s = %s;\n", 4 * depth, "", strrchr(key, '.') + 1, text);
        }
        was = key;
    }
}

/* ---- comparing ---- */

static bool begins(const char *key, const char *const *with)
{
    for (; *with; with++)
        if (!strncmp(key, *with, strlen(*with)))
            return true;
    return false;
}

/* What lies where is no part of what a run is: contents are, and the checkpoint has their hashes. */
static bool determines(const Option *o, int version)
{
    static const char *const first[] = { "run.seed", "model.", "text.", "data.shards", "data.on_bad", "train.", NULL };
    static const char *const keys[] = { "run.seed", "model.", "data.on_bad", "data.last", "train.", NULL };
    return version == 1 ? begins(o->key, first) : begins(o->key, keys) && strcmp(o->key, "train.init");
}

/* Keys at their default do not count, so a key that comes later leaves the hashes of older runs alone. */
uint64_t config_hash(const Config *c, int version)
{
    char     text[OPTION_TEXT], plain[OPTION_TEXT];
    uint64_t hash = 0;
    Config   d;
    config_default(&d);
    for (int i = 0; i < n_options; i++) {
        option_print(&options[i], c, text);
        option_print(&options[i], &d, plain);
        if (determines(&options[i], version) && strcmp(text, plain))
            hash = XXH64(text, strlen(text), XXH64(options[i].key, strlen(options[i].key), hash));
    }
    return hash;
}

char *config_packs(const Config *c)
{
    static const char *const keys[] = { "run.seed", "model.vision.image", "model.vision.patch", "model.vision.scales",
                                        "model.decoder.max_len", "data.source", "data.max_cutouts", "data.samples", "data.val_samples",
                                        "data.fit", "data.template", "data.system", "data.store", "data.shard_samples", "data.level",
                                        "data.on_bad", "train.stage", NULL };
    char    text[OPTION_TEXT];
    json_t *o = json_object();
    for (int i = 0; i < n_options; i++)
        if (begins(options[i].key, keys)) {
            option_print(&options[i], c, text);
            CHECK(json_object_set_new(o, options[i].key, json_string(text)) == 0, "%s is no UTF-8: %s", options[i].key, text);
        }
    char *json = json_dumps(o, JSON_COMPACT);
    CHECK(json, "no memory for the options of a data set");
    json_decref(o);
    return json;
}

int config_diff(const Config *was, const Config *is, FILE *f)
{
    char a[OPTION_TEXT], b[OPTION_TEXT];
    int  n = 0;
    for (int i = 0; i < n_options; i++) {
        option_print(&options[i], was, a);
        option_print(&options[i], is, b);
        if (determines(&options[i], 0) && strcmp(a, b)) {
            fprintf(f, "  %s: %s -> %s\n", options[i].key, a, b);
            n++;
        }
    }
    return n;
}
