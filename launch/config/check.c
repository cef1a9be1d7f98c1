/* check.c -- config_check: what one key alone cannot tell (config.h) */
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dist/bucket.h"
#include "launch/config/config.h"
#include "launch/config/options.h"

/* Appends the places of the keys that text names: "tiny.cfg:7 (model.decoder.heads)". */
static void places(const ErrList *errs, const char *text, char *where, size_t size)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789.";
    for (size_t n; *text; text += n ? n : 1) {
        char key[OPTION_KEY], place[CONFIG_PLACE + OPTION_KEY + 4];
        n = strspn(text, letters);
        snprintf(key, sizeof key, "%.*s", (int)n, text);
        const Option *o = option_find(key);
        if (!o || !errs->place[o - options][0])
            continue;
        const char *at = errs->place[o - options];
        snprintf(place, sizeof place, strncmp(at, "--set ", 6) ? "%s (%s)" : "%s", at, key);
        const size_t used = strlen(where);
        if (!strstr(where, place))
            snprintf(where + used, size - used, "%s%s", used ? ", " : "", place);
    }
}

static void wrong(ErrList *errs, const char *hint, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void wrong(ErrList *errs, const char *hint, const char *fmt, ...)
{
    char what[512], where[512] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    places(errs, what, where, sizeof where);
    if (!where[0])
        places(errs, hint, where, sizeof where);
    err_set(err_next(errs), EXIT_CONFIG, where[0] ? where : errs->file, hint, "%s", what);
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

static void check_heads(const Config *c, ErrList *errs)
{
    const int given = c->model.decoder.head_dim, D = given ? given : c->model.decoder.width / c->model.decoder.heads;
    const char *key = given ? "model.decoder.head_dim" : "model.decoder.width / model.decoder.heads";
    if ((given || c->model.decoder.width % c->model.decoder.heads == 0) && D % 2)
        wrong(errs, "rotary embeddings turn pairs", "the decoder's head size %s = %d is odd", key, D);
    if (D > MAX_HEAD)
        wrong(errs, "", "the decoder's head size %s = %d is larger than %d", key, D, MAX_HEAD);
    if (c->model.decoder.rope_scaling == ROPE_LLAMA3 && c->model.decoder.rope_high_freq_factor <= c->model.decoder.rope_low_freq_factor)
        wrong(errs, "Llama 3.1 has 1 and 4", "model.decoder.rope_high_freq_factor = %g is not above model.decoder.rope_low_freq_factor = %g",
              c->model.decoder.rope_high_freq_factor, c->model.decoder.rope_low_freq_factor);
}

static void check_model(const Config *c, ErrList *errs)
{
    const int head_heads = c->model.head.heads ? c->model.head.heads : (int)max64(1, c->model.head.width / 128);
    divides(errs, "model.vision.heads", c->model.vision.heads, "model.vision.width", c->model.vision.width);
    divides(errs, "model.text.heads", c->model.text.heads, "model.text.width", c->model.text.width);
    if (!c->model.decoder.head_dim)
        divides(errs, "model.decoder.heads", c->model.decoder.heads, "model.decoder.width", c->model.decoder.width);
    divides(errs, "model.decoder.kv_heads", c->model.decoder.kv_heads, "model.decoder.heads", c->model.decoder.heads);
    divides(errs, c->model.head.heads ? "model.head.heads" : "the visual head's number of heads", head_heads,
            "model.head.width", c->model.head.width);

    check_heads(c, errs);
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

/* Each word of train.lora_targets must name a weight. */
static void check_targets(const Config *c, ErrList *errs)
{
    static const char *const WEIGHT[] = { "attn.wq", "attn.wk", "attn.wv", "attn.wo", "ffn.gate", "ffn.up", "ffn.down" };
    char word[CONFIG_STRING], name[PARAM_NAME];
    for (const char *at = c->train.lora_targets + strspn(c->train.lora_targets, ", "); *at; at += strspn(at, ", ")) {
        const size_t n = strcspn(at, ", ");
        const Lora one = { .rank = 1, .targets = word };
        bool found = false;
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        for (int l = 0; l < c->model.decoder.layers && !found; l++)
            for (size_t k = 0; k < sizeof WEIGHT / sizeof *WEIGHT && !found; k++) {
                snprintf(name, sizeof name, "decoder.%d.%s", l, WEIGHT[k]);
                found = lora_is_target(&one, name);
            }
        if (!found)
            wrong(errs, "e.g. \"q_proj,v_proj\", \"attn.wq\", \"decoder.*.ffn.*\"", "train.lora_targets: \"%.80s\" is no matrix of the decoder's %d blocks", word,
                  c->model.decoder.layers);
        at += n;
    }
}

static void check_lora(const Config *c, ErrList *errs)
{
    if (c->train.lora_rank == 0)
        return;
    if (c->train.stage < STAGE_PRETRAIN)
        wrong(errs, "pairs stand beside the decoder's weights: stages pretrain and instruct", "train.lora_rank = %d, but the stage has no decoder", c->train.lora_rank);
    for (const char *at = c->train.trainable; (at = strstr(at, "decoder")); at += 7)
        wrong(errs, "the pairs learn in its place", "train.trainable names the decoder, which train.lora_rank = %d freezes", c->train.lora_rank);
    check_targets(c, errs);
}

static void check_method(const Config *c, ErrList *errs)
{
    check_lora(c, errs);
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
        wrong(errs, "codes, app_codes and tokenizer may learn there", "in stage tokenizer the vision tower and the pooling are what is learned from, not what train.trainable may name");
    if (c->model.vision.kind == VISION_CLIP && c->train.stage == STAGE_CONTRAST)
        wrong(errs, "import CLIP's, or train SigLIP's", "stage contrast trains towers of model.vision.kind = \"siglip\" alone");
    if (c->model.vision.kind == VISION_CLIP && c->train.stage == STAGE_TOKENIZER && c->model.codes.tower == TOWER_OWN && c->train.distill_pool > 0)
        wrong(errs, "train.distill_pool = 0", "train.distill_pool = %g wants SigLIP's pooling, which model.vision.kind = \"clip\" has not",
              c->train.distill_pool);
    if (c->model.vision.scales > 1 && c->train.stage == STAGE_CONTRAST)
        wrong(errs, "train the towers on pictures of one scale", "stage contrast wants model.vision.scales = 1");
}

static void check_sizes(const Config *c, ErrList *errs)
{
    const int64_t side = c->model.vision.image / c->model.vision.patch, P = side * side, image = config_picture(c);
    const int64_t Cv = c->model.vision.width, C = c->model.decoder.width, E = c->model.head.width;
    const int64_t Q = c->model.codes.depth, S = c->model.codes.size, batch = c->train.micro_batch;
    fits(errs, "the decoder's embedding (model.decoder.vocab x model.decoder.width)", c->model.decoder.vocab, C, 1);
    fits(errs, "the decoder's queries (model.decoder.heads x model.decoder.head_dim x model.decoder.width)", c->model.decoder.heads,
         c->model.decoder.head_dim, C);
    fits(errs, "the decoder's feed-forward layer (model.decoder.width x model.decoder.ffn)", C, c->model.decoder.ffn, 1);
    fits(errs, "the text tower's embedding (model.decoder.vocab x model.text.width)", c->model.decoder.vocab, c->model.text.width, 1);
    fits(errs, "the text tower's feed-forward layer (model.text.width x model.text.ffn)", c->model.text.width, c->model.text.ffn, 1);
    fits(errs, "the vision tower's feed-forward layer (model.vision.width x model.vision.ffn)", Cv, c->model.vision.ffn, 1);
    fits(errs, "the vision tower's positions (patches of model.vision.image x model.vision.width)", P, Cv, 1);
    fits(errs, "the projector (model.vision.scales model.vision.width x model.decoder.width)", Cv * c->model.vision.scales, C, 1);
    fits(errs, "the codebooks (model.codes.depth x model.codes.size x model.vision.width)", Q, S, Cv);
    fits(errs, "the visual head's feed-forward layer (2 model.head.width x model.codes.depth width)", 2 * E, Q, E);
    fits(errs, "the visual head's classifiers (model.codes.depth x model.codes.size x model.head.width)", Q, S, E);
    fits(errs, "a micro-batch of pictures (train.micro_batch x model.vision.image x 3 image)", batch, image, 3 * image);
    fits(errs, "a micro-batch of codes (train.micro_batch x patches of model.vision.image x model.codes.depth)", batch, P, Q);
    fits(errs, "a micro-batch of positions (train.micro_batch x model.decoder.max_len)", batch, c->model.decoder.max_len, 1);
    if (P >= c->model.decoder.max_len)
        wrong(errs, "fewer patches, or a longer decoder.max_len",
              "a picture's %lld rows (of model.vision.image) leave no room for text in model.decoder.max_len = %d", (long long)P,
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
    static const char *const sharded[] = { "train", "eval", "chat", "serve", "bench", "spectrum" };
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
    if (c->parallel.blocks & (c->parallel.blocks - 1))
        wrong(errs, "a power of two, or 0", "parallel.blocks = %d are joined in pairs", c->parallel.blocks);
    if (c->parallel.wire == WIRE_BF16 && c->parallel.reduction != REDUCE_FAST)
        wrong(errs, "parallel.reduction = \"fast\"", "parallel.wire = \"bf16\" rounds in each exchange, which the canonical reduction cannot");
    if (c->parallel.reduction == REDUCE_EXACT && c->train.stage == STAGE_TOKENIZER)
        wrong(errs, "parallel.reduction = \"canonical\"",
              "in stage tokenizer counts of codes travel as gradients: parallel.reduction = \"exact\" has no room for so large ones");
    if (c->parallel.wire == WIRE_BF16 && c->train.stage == STAGE_TOKENIZER)
        wrong(errs, "parallel.wire = \"fp32\"", "in stage tokenizer counts of codes travel as gradients: 16 bits cannot hold them");
}

static bool utf8(const char *text)
{
    json_t *s = json_string(text);
    const bool ok = s != NULL;
    json_decref(s);
    return ok;
}

/* Several sets, or a weight: "a, b", "a.set:3".  A comma in the folder's name belongs to it; a colon never does, for MPI-IO takes what
   stands in front of it for the kind of a file system. */
static bool names_sets(const char *set)
{
    const char *slash = strrchr(set, '/');
    return strchr(slash ? slash : set, ',') || strstr(set, ".set,") || strstr(set, ".set ,") || strchr(set, ':');
}

static void check_serve(const Config *c, int ranks, ErrList *errs)
{
    const char *at = c->serve.address;
    needed(errs, "serve", "run.dir", c->run.dir[0]);
    if (ranks > 1)
        wrong(errs, "start it without a launcher; parallel.threads = 8 computes with eight threads", "`asvr serve` is one process, and this job has %d ranks", ranks);
    else if (c->parallel.tp > 1)
        wrong(errs, "--set parallel.tp=1", "`asvr serve` is one process: parallel.tp = %d is too many", c->parallel.tp);
    if (strncmp(at, "127.", 4) && strcmp(at, "::1") && !c->serve.api_key[0] && !c->serve.open)
        wrong(errs, "set serve.api_key, or serve.open = true where everybody may ask", "serve.address = \"%.80s\" is open to others, and serve.api_key is empty", at);
    if (c->serve.api_key[strcspn(c->serve.api_key, " \t\r\n")])
        wrong(errs, "", "serve.api_key has a blank");
}

static void check_verb(const Config *c, const char *verb, int ranks, ErrList *errs)
{
    if (c->data.set[0] && (c->data.shards[0] || c->data.val[0]))
        wrong(errs, "data.set is the data set; leave the others out", "data.set and %s are both set", c->data.shards[0] ? "data.shards" : "data.val");
    if (!strcmp(verb, "train")) {
        const int replicas = ranks / c->parallel.tp;
        const int64_t once = (int64_t)c->train.micro_batch * replicas;
        needed(errs, verb, "run.dir", c->run.dir[0]);
        needed(errs, verb, "data.set", c->data.set[0] || c->data.shards[0]);
        if (c->ckpt.best != BEST_NONE && c->eval.every == 0)
            wrong(errs, "eval.every = 100", "ckpt.best asks for the best of evaluations, and there are none with eval.every = 0");
        if (c->ckpt.best > BEST_LOSS && c->train.stage < STAGE_PRETRAIN)
            wrong(errs, "ckpt.best = \"loss\"", "ckpt.best names what stage pretrain or instruct has; the first two stages have a loss alone");
        needed(errs, verb, "train.steps", c->train.steps > 0 || c->train.epochs > 0);
        if (replicas > 0 && c->train.global_batch % once)
            wrong(errs, "each replica computes the same number of micro-batches in a step",
                  "train.global_batch = %d is no multiple of train.micro_batch = %d times %d replica%s",
                  c->train.global_batch, c->train.micro_batch, replicas, replicas == 1 ? "" : "s");
    } else if (!strcmp(verb, "pack")) {
        needed(errs, verb, "data.set", c->data.set[0]);
        if (names_sets(c->data.set))
            wrong(errs, "pack data sets one by one; weights are for train and eval",
                  "`asvr pack` writes one data set, but data.set = \"%s\" names several, or a weight", c->data.set);
        if (!utf8(c->data.system))
            wrong(errs, "", "data.system is no UTF-8");
        if (c->data.val_json[0] && (c->data.source == SOURCE_SCENES || c->data.source == SOURCE_FOLDER))
            wrong(errs, "data.val_samples holds some out", "data.val_json goes with sources that read files, not with data.source = \"%s\"",
                  c->data.source == SOURCE_SCENES ? "scenes" : "folder");
        if (c->data.val_json[0] && c->data.val_samples)
            wrong(errs, "leave one of them out", "data.val_json holds out its records, and data.val_samples would draw others");
        needed(errs, verb, "data.json", c->data.source == SOURCE_SCENES || c->data.source == SOURCE_FOLDER || c->data.json[0]);
        needed(errs, verb, "data.images", (c->data.source != SOURCE_FOLDER && c->data.source != SOURCE_COCO) || c->data.images[0]);
        needed(errs, verb, "data.samples", c->data.source != SOURCE_SCENES || c->data.samples + c->data.val_samples > 0);
    } else if (!strcmp(verb, "eval")) {
        needed(errs, verb, "run.dir", c->run.dir[0]);
        if (c->eval.tsv[0] && !c->eval.predictions[0])
            needed(errs, verb, "text.model", c->text.model[0]);
        else if (!c->eval.tsv[0])
            needed(errs, verb, "data.set", c->data.set[0] || c->data.val[0]);
        if (c->eval.tsv[0] && c->eval.samples)
            wrong(errs, "a benchmark's score is that of all of its questions", "eval.samples = %lld, and eval.tsv", (long long)c->eval.samples);
        if (c->eval.tsv[0] && !c->eval.predictions[0] && c->data.template == TEMPLATE_PLAIN)
            wrong(errs, "data.template = \"v1\", or what the model was trained with", "data.template = \"plain\" asks no questions");
        if (c->eval.predictions[0] && !c->eval.tsv[0])
            wrong(errs, option_find("eval.tsv")->help, "eval.predictions without eval.tsv");
    } else if (!strcmp(verb, "scaling")) {
        needed(errs, verb, "scaling.dir", c->scaling.dir[0] || c->run.dir[0]);
    } else if (!strcmp(verb, "spectrum")) {
        needed(errs, verb, "run.dir", c->run.dir[0]);
    } else if (!strcmp(verb, "import")) {
        needed(errs, verb, "import.from", c->import.from[0]);
        needed(errs, verb, "import.to", c->import.to[0]);
    } else if (!strcmp(verb, "export")) {
        needed(errs, verb, "export.from", c->export.from[0]);
        needed(errs, verb, "export.to", c->export.to[0]);
    } else if (!strcmp(verb, "chat")) {
        needed(errs, verb, "run.dir", c->run.dir[0]);
    } else if (!strcmp(verb, "serve")) {
        check_serve(c, ranks, errs);
    }
}

/* "3", or "2-4" */
static bool node_count(const char *text, int *least, int *most)
{
    const size_t first = strspn(text, "0123456789"), all = strlen(text);
    char end;
    *least = *most = 0;
    if (first > 0 && first == all && sscanf(text, "%9d%c", least, &end) == 1)
        *most = *least;
    else if (first > 0 && text[first] == '-' && strspn(text + first + 1, "0123456789") == all - first - 1)
        *most = sscanf(text, "%9d-%9d%c", least, most, &end) == 2 ? *most : 0;
    return *least > 0 && *least <= *most;
}

const char *config_submits(const Config *c, int *ranks)
{
    static const char *const verbs[] = { "train", "pack", "eval", "bench", "scaling" };
    int least = 1, most = 1;
    *ranks = !c->slurm.nodes[0] || (node_count(c->slurm.nodes, &least, &most) && least == most) ? least * c->slurm.ranks_per_node : 0;
    return verbs[c->slurm.verb];
}

/* A value ends up in a line of #SBATCH. */
static void check_slurm(const Config *c, const char *verb, ErrList *errs)
{
    int least, most;
    if (strcmp(verb, "train") && strcmp(verb, "eval"))                  /* they need one themselves */
        needed(errs, "submit", "run.dir", c->run.dir[0]);
    if (c->slurm.nodes[0] && !node_count(c->slurm.nodes, &least, &most))
        wrong(errs, "a number, or the least and the most: \"2-4\"", "slurm.nodes = \"%.80s\" is no number of nodes", c->slurm.nodes);
    if (strspn(c->slurm.time, "0123456789:-") != strlen(c->slurm.time))
        wrong(errs, "minutes, hours:minutes:seconds, or days-hours", "slurm.time = \"%.80s\" is no time", c->slurm.time);
    for (int i = 0; i < n_options; i++) {
        const char *text = (const char *)c + options[i].at;
        if (options[i].type == STRING && !strncmp(options[i].key, "slurm.", 6) && strpbrk(text, "\n\r"))
            wrong(errs, "", "%s has a line break, where a line of #SBATCH would end", options[i].key);
    }
}

bool config_check(const Config *c, const char *verb, int ranks, ErrList *errs)
{
    int before = errs->n;
    if (!strcmp(verb, "submit")) {
        verb = config_submits(c, &ranks);
        check_slurm(c, verb, errs);
    }
    check_model(c, errs);
    check_method(c, errs);
    check_sizes(c, errs);
    check_grid(c, verb, ranks, errs);
    check_verb(c, verb, ranks, errs);
    return errs->n == before;
}
