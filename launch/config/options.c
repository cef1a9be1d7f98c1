#include "launch/config/options.h"
#include "launch/config/value.h"

#include <limits.h>
#include <string.h>

/* ---- the table ---- */

#define AT(k, T)                    _Generic(((Config *)0)->k, T: offsetof(Config, k))
#define INT(k, d, lo, hi, text)     { #k, INT,    AT(k, int),      lo, hi, NULL,  #d, text }
#define LONG(k, d, lo, hi, text)    { #k, LONG,   AT(k, int64_t),  lo, hi, NULL,  #d, text }
#define FLOAT(k, d, lo, hi, text)   { #k, FLOAT,  AT(k, double),   lo, hi, NULL,  #d, text }
#define FLOATS(k, d, lo, hi, text)  { #k, FLOATS, AT(k, double *), lo, hi, NULL,  d,  text }
#define BOOL(k, d, text)            { #k, BOOL,   AT(k, bool),     0,  0,  NULL,  #d, text }
#define STRING(k, text)             { #k, STRING, AT(k, char *),   0,  0,  NULL,  "", text }
#define WORD(k, d, text)            { #k, STRING, AT(k, char *),   0,  0,  NULL,  d,  text }
#define ENUM(k, d, words, text)     { #k, ENUM,   AT(k, int),      0,  0,  words, #d, text }

#define LOTS 9007199254740992.0             /* 2^53: a double still counts by ones */

const Option options[] = {
    STRING(run.dir, "folder of the run: run.jsonl, checkpoints, eval.json"),
    LONG  (run.seed, 1, 0, LOTS, "seed of initial values and of the order of samples"),
    BOOL  (run.fresh, false, "begin anew from step 0 where the run's checkpoints are gone"),
    BOOL  (run.ops_table, false, "when training ends, RUN/ops.txt says what each op has cost"),
    BOOL  (run.tensorboard, false, "write the numbers of run.jsonl and of evaluations for TensorBoard, too: RUN/tensorboard"),

    ENUM  (model.vision.kind, siglip, "siglip|clip", "clip: a class token, a norm in front, quick gelu, CLIP's colours"),
    INT   (model.vision.image, 64, 8, 4096, "side of the square picture, in pixels"),
    INT   (model.vision.patch, 8, 1, 256, "side of a patch, in pixels; a remainder of the picture is dropped"),
    INT   (model.vision.scales, 1, 1, 4, "S2: pictures of scales x image pixels, seen at 1 to `scales` times image"),
    INT   (model.vision.width, 128, 1, 65536, "width of the vision tower"),
    INT   (model.vision.layers, 4, 1, 128, "blocks of the vision tower"),
    INT   (model.vision.heads, 4, 1, 1024, "attention heads; divides the width"),
    INT   (model.vision.ffn, 512, 1, 262144, "width of the feed-forward layer"),
    INT   (model.vision.select_layer, -2, -512, -1, "block whose output the decoder sees, from the end: -1 the last"),
    ENUM  (model.vision.input, continuous, "continuous|discrete", "what the decoder sees: features, or the vectors of their codes"),
    INT   (model.text.width, 128, 1, 65536, "width of the text tower (stage contrast) and of the shared space"),
    INT   (model.text.layers, 4, 1, 128, "blocks of the text tower"),
    INT   (model.text.heads, 4, 1, 1024, "attention heads; divides the width"),
    INT   (model.text.ffn, 512, 1, 262144, "width of the feed-forward layer"),
    INT   (model.text.max_len, 64, 1, 65536, "tokens of a caption; more are cut off"),
    INT   (model.projector.layers, 2, 1, 4, "linear layers from the vision width to the decoder's"),
    INT   (model.decoder.width, 128, 2, 65536, "width of the decoder"),
    INT   (model.decoder.layers, 4, 1, 128, "blocks of the decoder"),
    INT   (model.decoder.heads, 4, 1, 1024, "query heads; divides the width, where head_dim is 0"),
    INT   (model.decoder.kv_heads, 4, 1, 1024, "key and value heads; divides the query heads"),
    INT   (model.decoder.head_dim, 0, 0, 1024, "size of a head, even; 0: width / heads"),
    INT   (model.decoder.ffn, 344, 1, 262144, "width of the feed-forward layer"),
    INT   (model.decoder.vocab, 1024, 4, 1048576, "rows of the embedding; at least the text model's pieces"),
    FLOAT (model.decoder.rope_theta, 10000.0, 1, 1e12, "base of the rotary embedding's wave lengths"),
    ENUM  (model.decoder.rope_scaling, none, "none|linear|llama3", "how wave lengths are stretched beyond a shorter training"),
    FLOAT (model.decoder.rope_factor, 1.0, 1, 1e6, "linear, llama3: by how much they are stretched"),
    FLOAT (model.decoder.rope_low_freq_factor, 1.0, 1e-3, 1e6, "llama3: waves longer than original_max_len / this are"),
    FLOAT (model.decoder.rope_high_freq_factor, 4.0, 1e-3, 1e6, "llama3: waves shorter than original_max_len / this are not"),
    INT   (model.decoder.rope_original_max_len, 8192, 1, 1048576, "llama3: positions of the first training"),
    FLOAT (model.decoder.eps, 1e-5, 1e-12, 1, "epsilon of the decoder's RMSNorm"),
    BOOL  (model.decoder.qkv_bias, false, "biases on query, key and value (Qwen)"),
    BOOL  (model.decoder.qk_norm, false, "RMSNorm over each head of query and key (Qwen3)"),
    BOOL  (model.decoder.tied, false, "the LM head is the embedding: one tensor, one gradient"),
    INT   (model.decoder.max_len, 512, 2, 1048576, "positions of a sequence, an image's rows included; more are cut off"),
    INT   (model.codes.depth, 4, 1, 16, "codes per patch: steps of the residual quantizer"),
    INT   (model.codes.size, 256, 2, 65536, "entries of a codebook"),
    BOOL  (model.codes.shared, false, "one codebook for all depths"),
    INT   (model.codes.layer, -2, -512, -1, "block of the vision tower that is quantized, counted from the end"),
    INT   (model.codes.appearance_layer, 0, -512, 0, "early block, for the appearance codes; 0: there are none"),
    ENUM  (model.codes.tower, shared, "shared|own", "features of the vision tower, or of a copy that the tokenizer stage distills"),
    INT   (model.head.width, 128, 1, 65536, "width of the visual head"),
    INT   (model.head.layers, 3, 1, 16, "blocks of the visual head"),
    INT   (model.head.heads, 0, 0, 1024, "attention heads of the visual head; 0: width / 128, at least 1"),
    BOOL  (model.head.tied, false, "code logits are products with the codebook's vectors"),

    STRING(text.model, "SentencePiece, tokenizer.json, vocab.json, tekken, *.tiktoken; or a folder"),

    ENUM  (data.source, scenes, "llava|webdataset|coco|parquet|folder|scenes", "what pack reads, or composes: docs/FORMATS.md, Sources"),
    STRING(data.set, "index file of the data set; several by weight: \"a.set:3, b.set:1\""),
    STRING(data.json, "the source's files: \"x.json\", \"s/{00..99}.tar\", \"t-*.parquet\"; folder: none"),
    STRING(data.val_json, "files like data.json whose records are held out, all of them; empty: drawn"),
    STRING(data.images, "folder of the pictures that llava and coco name; folder: of all"),
    BOOL  (data.follow_links, true, "pictures may be links that lead out of data.images"),
    STRING(data.cutouts, "folder of photo cut-outs (scenes); empty: shapes drawn by the program"),
    INT   (data.max_cutouts, 0, 0, MANY, "use so many cut-outs; 0: all"),
    LONG  (data.samples, 0, 0, LOTS, "samples to train on; 0: all of the JSON (scenes need a number)"),
    LONG  (data.val_samples, 0, 0, LOTS, "samples to hold out for evaluation; drawn from a JSON by kind"),
    LONG  (data.max_pixels, 100000000, 1, 4290250000, "pixels of a picture at most; a larger one is bad (pack, chat)"),
    ENUM  (data.fit, pad, "pad|stretch", "how a picture becomes square: padded with grey, or stretched"),
    ENUM  (data.template, v1, TEMPLATE_NAMES, "how a conversation becomes text; plain: the caption; auto: the text model's"),
    STRING(data.system, "system prompt; empty: the template's own"),
    ENUM  (data.store, delta, "raw|delta", "how pixels are stored: as they are, or as differences"),
    INT   (data.shard_samples, 4096, 1, MANY, "samples in a shard"),
    INT   (data.level, 2, 1, 2, "scenes: 1 large cut-outs, 2 also small, jittered, textured"),
    STRING(data.codes, "tokenizer checkpoint whose codes pack stores; empty: none"),
    ENUM  (data.on_bad, fail, "fail|skip", "a damaged record or chunk: stop with 65, or skip and count it"),
    ENUM  (data.last, drop, "drop|wrap", "an incomplete last batch: left out, or filled from the next pass"),
    INT   (data.threads, 1, 1, 256, "threads of a rank that read and unpack samples ahead"),
    STRING(data.shards, "training shards without an index (version 1), a glob"),
    STRING(data.val, "evaluation shards without an index (version 1), a glob"),

    ENUM  (train.stage, instruct, "contrast|tokenizer|pretrain|instruct", "what is trained"),
    STRING(train.init, "checkpoints to start from, with commas; the first that has a part gives it"),
    LONG  (train.steps, 0, 0, LOTS, "steps of the whole run; 0: train.epochs says"),
    FLOAT (train.epochs, 0.0, 0, 1e6, "passes over the data, where train.steps is 0"),
    INT   (train.global_batch, 32, 1, 16777216, "samples of a step, over all ranks"),
    INT   (train.micro_batch, 4, 1, 65536, "samples a rank computes at once"),
    ENUM  (train.optimizer, adamw, "adamw|muon", "muon: hidden matrices are orthogonalised, AdamW has the rest"),
    FLOAT (train.lr, 1e-3, 0, 100, "peak learning rate"),
    FLOAT (train.warmup, 0.03, 0, 1e9, "warm-up: a share of all steps if below 1, else steps"),
    ENUM  (train.schedule, cosine, "cosine|constant", "the learning rate after the warm-up"),
    FLOATS(train.betas, "[0.9, 0.95]", 0, 0.999999, "AdamW's decay rates of the two moments"),
    FLOAT (train.muon_lr, 0.0, 0, 100, "Muon's peak learning rate; 0: train.lr, which its factor allows for"),
    FLOAT (train.momentum, 0.95, 0, 0.999999, "Muon's momentum"),
    FLOAT (train.eps, 1e-8, 1e-20, 1, "AdamW's epsilon"),
    FLOAT (train.decay, 0.0, 0, 10, "weight decay, on matrices"),
    FLOAT (train.clip, 1.0, 0, 1e9, "largest norm of the gradient; 0: no clipping"),
    FLOAT (train.spike, 100.0, 0, 1e9, "steps of a gradient so many times the median norm are skipped; 0: none"),
    FLOAT (train.visual_weight, 1.0, 0, 1e6, "weight of the visual loss; the text loss has 1"),
    INT   (train.visual_shift, 0, 0, 1, "row i - shift predicts patch i: 0 the released code, 1 the paper"),
    ENUM  (train.supervision, semantic, "none|semantic|appearance|both|denoising",
           "visual targets: none, codes of a late or an early block, or denoising"),
    FLOAT (train.visual_share, 1.0, 0.001, 1, "share of the image rows, drawn in each step, that have a visual target"),
    FLOAT (train.soft_targets, 0.0, 0, 1000, "spread of a code's target over the nearest codes; 0: the code alone"),
    INT   (train.denoise_draws, 4, 1, 64, "noise levels that a picture is denoised from in a step (denoising)"),
    ENUM  (train.compute, fp32, "fp32|bf16", "operands of linear layers' products; bf16 rounds them, sums stay fp32 (train, bench)"),
    ENUM  (train.recompute, none, "none|attention|block",
           "what of each block backward computes again, to the bit, instead of keeping it: less memory, more time"),
    STRING(train.trainable, "parts to train, as \"projector,decoder\"; empty: the stage's own"),
    INT   (train.lora_rank, 0, 0, 4096, "rank of the pairs that learn beside the frozen decoder's weights (LoRA); 0: none"),
    FLOAT (train.lora_alpha, 16.0, 1e-6, 1e6, "a pair's product counts alpha / rank"),
    STRING(train.lora_targets, "weights that get a pair, as \"q_proj,v_proj\" or \"decoder.*.attn.w?\"; empty: all of the decoder's blocks"),
    FLOAT (train.ema_decay, 0.99, 0, 0.999999, "decay of the codebooks' running means (stage tokenizer)"),
    FLOAT (train.distill, 5.0, 0, 1e6, "own tower: weight of the distance to the vision tower's features"),
    FLOAT (train.distill_pool, 1.0, 0, 1e6, "own tower: weight of the distance of pooled features"),
    FLOAT (train.commit, 40.0, 0, 1e6, "own tower: weight of the distance to the codes' vectors"),
    INT   (train.skip_limit, 10, 1, MANY, "skipped steps in a row that end the run with 79"),

    INT   (parallel.tp, 1, 1, 4096, "tensor-parallel ranks of each replica (train, eval, chat, bench, spectrum)"),
    INT   (parallel.zero, 0, 0, 2, "1: each replica keeps the moments of its share alone (ZeRO-1); 2: and its gradients (ZeRO-2)"),
    INT   (parallel.blocks, 8, 0, 64, "what tp splits is summed in so many blocks, at most: the same bits for each tp that divides them; 0: by ranks (train, bench)"),
    BOOL  (parallel.sequence, false, "each tp rank keeps the residuals and norms of its share of the rows: less memory, the same bits (train, bench)"),
    ENUM  (parallel.reduction, canonical, "canonical|exact|fast",
           "sums in a fixed order, or as integers: the same bits for any replicas; or MPI's order"),
    ENUM  (parallel.wire, fp32, "fp32|bf16", "gradients between replicas; bf16 rounds them, with reduction = fast"),
    INT   (parallel.threads, 0, 0, 512, "threads of a rank; 0: OMP_NUM_THREADS, SLURM_CPUS_PER_TASK, or its cores"),
    ENUM  (parallel.bind, auto, "auto|none", "ranks of a node that have the same cores: bind each to its share, or not"),

    LONG  (ckpt.every, 0, 0, LOTS, "steps between checkpoints; 0: ckpt.minutes, the end and requests decide"),
    FLOAT (ckpt.minutes, 30.0, 0, 1e6, "minutes after the last checkpoint when one is due; 0: as ckpt.every says"),
    BOOL  (ckpt.async, true, "training stops for the copy alone; false: until a checkpoint is on the disk"),
    STRING(ckpt.local, "folder on each node's own disk: steps are kept there first"),
    FLOAT (ckpt.local_minutes, 5.0, 0.001, 1e6, "minutes between steps that are kept in ckpt.local"),
    INT   (ckpt.keep, 2, 1, 1000000, "checkpoints that are kept, beside the best one"),
    ENUM  (ckpt.best, none, "none|loss|loss_text|loss_visual|mean", "the best of all evaluations by this keeps its checkpoint: RUN/ckpt/best"),

    FLOAT (watch.timeout, 0.0, -1, 1e6, "seconds a rank may hang till all end with 80; 0: learned; -1: for ever"),
    FLOAT (stop.grace, 5.0, 0, 1e6, "a signal so many seconds after the first: stop at once, unsaved"),
    LONG  (stop.deadline, 0, 0, LOTS, "end of the job's time, in seconds since 1970; 0: Slurm is asked"),

    ENUM  (slurm.verb, train, "train|pack|eval|bench|scaling", "what `asvr submit` submits"),
    STRING(slurm.nodes, "nodes, or from-to: \"2-4\"; empty: 1"),
    INT   (slurm.ranks_per_node, 0, 0, 4096, "ranks on each node; 0: one a socket, or parallel.tp if more"),
    INT   (slurm.threads, 0, 0, 512, "cores of a rank; 0: the node's, divided among its ranks"),
    STRING(slurm.time, "time limit, as Slurm writes it: \"12:00:00\", \"2-0\"; empty: the partition's"),
    STRING(slurm.partition, "partition; empty here and below: Slurm's default, or none"),
    STRING(slurm.account, "account that pays"),
    STRING(slurm.qos, "quality of service"),
    STRING(slurm.constraint, "features that the nodes must have"),
    STRING(slurm.exclude, "nodes that are left out: \"n7,n[10-12]\""),
    BOOL  (slurm.exclude_failed, false, "leave out nodes by which two lives of the run ended (lives.jsonl)"),
    STRING(slurm.reservation, "reservation"),
    STRING(slurm.name, "name of the job; empty: asvr-VERB-RUN"),
    BOOL  (slurm.exclusive, true, "whole nodes"),
    INT   (slurm.lead, 120, 0, 65535, "seconds before the time limit when Slurm signals"),
    INT   (slurm.chain, 1, 1, 1000, "so many jobs of that name, one after the other (singleton)"),
    INT   (slurm.budget, 5, 0, 1000000, "restarts without progress that the job gives itself"),
    STRING(slurm.extra, "further words for one #SBATCH line: \"--mem=0 --switches=1\""),
    STRING(slurm.site, "file that the job sources first: modules, account, container"),
    BOOL  (slurm.dry, false, "print the script, submit nothing"),

    LONG  (eval.every, 0, 0, LOTS, "steps between evaluations while training: RUN/evals.jsonl; 0: none"),
    LONG  (eval.samples, 0, 0, LOTS, "samples of an evaluation; 0: all"),
    STRING(eval.from, "what `asvr eval` evaluates: a checkpoint, or a run; empty: run.dir"),
    INT   (eval.batch, 8, 1, 4096, "questions that a replica answers at once: each has keys and values of model.decoder.max_len rows"),
    STRING(eval.tsv, "VLMEvalKit's table of questions, or a folder of them: evaluates on these"),
    ENUM  (eval.kind, auto, "auto|textvqa|docvqa|ocrbench|chartqa|mmbench|mme|seed|gqa|mmmu|ai2d|realworldqa|mmvp|hallusion|pope|mmstar|choice|yesno|word", "the benchmark that eval.tsv is; auto: by the file's name, else its columns"),
    STRING(eval.predictions, "answers to eval.tsv, a table or RUN/eval: they are scored, no model is asked"),

    STRING(spectrum.from, "a checkpoint, or a run: its newest one; empty: run.dir"),
    STRING(spectrum.parts, "parts to look at, as \"decoder,codes,features\"; empty: all"),
    LONG  (spectrum.samples, 256, 1, LOTS, "samples whose pictures' features are looked at"),
    LONG  (spectrum.whole, 16777216, 0, LOTS, "elements of a matrix that one rank takes alone; larger ones lie on all ranks"),

    STRING(chat.image, "the picture that is asked about; several: a.png,b.png; empty: none"),
    STRING(chat.question, "the question; empty: lines of standard input"),
    FLOAT (chat.temperature, 0.0, 0, 100, "0: the likeliest token; 1: as learned"),
    INT   (chat.max_new, 64, 1, 65536, "tokens of an answer at most"),
    ENUM  (chat.talk, auto, "auto|yes|no", "questions go on from those before; auto: on a terminal, and lines of a pipe stand alone"),

    WORD  (serve.address, "127.0.0.1", "where serve listens: an address in numbers; 0.0.0.0 and ::  whoever reaches this machine"),
    INT   (serve.port, 8080, 0, 65535, "0: any that is free; it is printed"),
    STRING(serve.name, "the model's name in requests; empty: the last part of run.dir"),
    INT   (serve.batch, 8, 1, 1024, "answers under way at once"),
    INT   (serve.queue, 64, 1, 65536, "requests that may wait; more are told to come again (429)"),
    LONG  (serve.max_body, 33554432, 1024, 1073741824, "bytes of a request; all that are under way together have 8 times as many"),
    INT   (serve.max_images, 8, 1, 1024, "pictures of a request"),
    INT   (serve.max_tokens, 512, 1, 65536, "tokens of an answer at most, and where a request does not say"),
    FLOAT (serve.timeout, 60.0, 1, 1e6, "seconds that a client may say nothing, or take for a request"),
    STRING(serve.api_key, "what clients must say (Authorization: Bearer ...); empty: nothing"),
    BOOL  (serve.open, false, "listen beyond loopback without serve.api_key, too"),

    INT   (plan.replicas, 1, 1, 1048576, "replicas of parallel.tp ranks each that plan counts for"),
    INT   (plan.ranks, 0, 0, 1048576, "a job's ranks: plan says how many of them can be used, and nothing else"),
    STRING(plan.rates, "a run that bench measured in: plan predicts time with its rates"),
    STRING(plan.cluster, "a described machine, as configs/clusters/epyc-ndr.cfg"),
    STRING(plan.nodes, "numbers of its nodes, as \"1,2,6\" or \"1..1024\": by powers of two"),
    ENUM  (plan.scaling, strong, "weak|strong", "weak: train.global_batch is that of the first number of nodes"),
    ENUM  (plan.grid, best, "best|given", "given: parallel.tp, zero, threads and train.micro_batch as they are set"),
    STRING(plan.csv, "a file for what plan.nodes prints, as CSV"),
    STRING(plan.svg, "a file for a picture of the efficiency over plan.nodes"),

    INT   (bench.warm, 2, 0, 1000, "steps that warm up"),
    INT   (bench.steps, 12, 1, 1000000, "steps of a repetition"),
    INT   (bench.repeat, 1, 1, 64, "repetitions, each measured alone: the median counts"),
    BOOL  (bench.rates, true, "measure the machine's rates, too, for asvr plan: RUN/bench.json"),
    BOOL  (bench.ckpt, false, "save a checkpoint in run.dir once, measure that, and remove it"),
    INT   (bench.min_len, 0, 0, 1048576, "0: all samples fill model.decoder.max_len; else they are from so many rows on, evenly"),
    BOOL  (bench.waterfall, false, "each op beside the machine's own limit: a table, RUN/waterfall.json"),
    BOOL  (bench.one_thread, false, "waterfall: the same on one thread a rank, too, in turn"),
    INT   (bench.prompts, 0, 0, 1024, "measure answers in place of training steps, to up to so many prompts at once on each rank, as eval and serve do; 1: as chat"),
    STRING(bench.trace, "X.json: spans of 3 steps for Perfetto; beside it X.folded, a flame graph"),

    ENUM  (scaling.kind, weak, "weak|strong|both", "train.global_batch a replica and step, or in all"),
    STRING(scaling.ranks, "numbers of ranks, as \"1,2,4\"; empty: powers of 2 up to the cores there are"),
    STRING(scaling.tp, "numbers of tensor-parallel ranks; empty: parallel.tp"),
    STRING(scaling.zero, "some of 0,1,2; empty: parallel.zero"),
    STRING(scaling.micro_batch, "samples at once; empty: train.micro_batch"),
    STRING(scaling.threads, "threads a rank; empty: parallel.threads, $OMP_NUM_THREADS, the task's or 1"),
    INT   (scaling.warm, 2, 0, 1000, "steps of a point that warm up"),
    INT   (scaling.steps, 4, 1, 1000000, "steps of a repetition"),
    INT   (scaling.repeat, 5, 1, 64, "repetitions of a point, in one job"),
    FLOAT (scaling.max_seconds, 1800.0, 1, 1e7, "a point that takes longer is ended and has failed"),
    STRING(scaling.launcher, "words that start %n ranks of %t threads; empty: srun in a job, else mpirun"),
    STRING(scaling.dir, "folder of points, tables and pictures; empty: run.dir/scaling"),

    STRING(import.from, "a Hugging Face folder: safetensors, config.json"),
    STRING(import.to, "folder of the run that import makes"),
    ENUM  (import.unknown, fail, "fail|warn", "a key of config.json that asvr does not know, or no such file"),

    STRING(export.from, "a checkpoint, or a run: its newest one"),
    STRING(export.to, "new folder for safetensors and config.json"),
    STRING(export.base, "imported run: names, types, small files, and what export.from lacks"),
    BOOL  (export.adapter, false, "low-rank pairs alone, as peft opens them; else they are merged into the weights"),
    ENUM  (export.dtype, float32, "float32|float16|bfloat16", "type of the tensors, without a base"),
    INT   (export.shard_mb, 5000, 1, 1048576, "megabytes of a file at most, without a base"),
};

const int n_options = sizeof options / sizeof *options;

/* ---- finding ---- */

const Option *option_find(const char *key)
{
    for (int i = 0; i < n_options; i++)
        if (!strcmp(options[i].key, key))
            return &options[i];
    return NULL;
}

bool option_is_group(const char *key)
{
    size_t n = strlen(key);
    for (int i = 0; i < n_options; i++)
        if (!strncmp(options[i].key, key, n) && options[i].key[n] == '.')
            return true;
    return false;
}

int text_distance(const char *a, const char *b)
{
    enum { LONGEST = 2 * OPTION_KEY };
    int row[LONGEST + 1], nb = (int)strnlen(b, LONGEST);
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 1; i <= LONGEST && a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = (int)min64(replaced, min64(row[j], row[j - 1]) + 1);
        }
    }
    return row[nb];
}

/* The last n components of a dotted name. */
static const char *tail(const char *key, int n)
{
    const char *s = key + strlen(key);
    for (; s > key; s--)
        if (s[-1] == '.' && --n == 0)
            break;
    return s;
}

/* A key with its first groups left out, or in the wrong group, is nearer than its spelling says; but the ends of
   two names must be much alike to count. */
static int key_distance(const char *key, const char *known)
{
    int parts = 1;
    for (const char *s = key; *s; s++)
        parts += *s == '.';
    int whole = text_distance(key, known);
    int end   = text_distance(key, tail(known, parts));
    int leaf  = text_distance(tail(key, 1), tail(known, 1));
    int close = (int)strlen(tail(key, 1)) / 3;
    return (int)min64(whole, min64(end <= close ? end + 1 : whole, leaf <= close ? leaf + 2 : whole));
}

void option_nearest(char out[OPTION_KEY], const char *key, bool group)
{
    int best = INT_MAX;
    for (int i = 0; i < n_options; i++) {
        char known[OPTION_KEY];
        snprintf(known, sizeof known, "%s", options[i].key);
        for (char *dot = known + strlen(known); dot; dot = strrchr(known, '.')) {
            *dot = 0;
            int d = key_distance(key, known);
            if (group == !option_find(known) && d < best) {
                best = d;
                strcpy(out, known);
            }
        }
    }
}

/* ---- the help ---- */

static const char *const TYPE_NAME[] = {
    [INT] = "integer ", [LONG] = "integer ", [FLOAT] = "float ", [FLOATS] = "2 floats ",
    [BOOL] = "",        [STRING] = "text",   [ENUM] = "",
};

void option_describe(const Option *o, char *left, size_t size, char *right, size_t right_size)
{
    static Config c;
    static char   value[OPTION_TEXT];
    char          range[256];
    Err           e = { 0 };
    option_parse(o, &c, o->def, "", &e);
    option_print(o, &c, value);
    option_range(o, range, sizeof range);
    snprintf(left, size, "%s = %.200s", o->key, value);
    snprintf(right, right_size, "%s%s", TYPE_NAME[o->type], o->type == STRING ? "" : range);
}

/* A text in lines of 80 columns, broken at blanks: all but the first are indented. */
static void fold(FILE *f, int at, const char *s)
{
    enum { WIDTH = 80, INDENT = 4 };
    for (; *s; s += strspn(s, " ")) {
        const int n = (int)strcspn(s, " ");
        if (at > INDENT && at + 1 + n > WIDTH)
            at = fprintf(f, "\n%*s", INDENT, "") - 1;
        else if (at > INDENT)
            at += fprintf(f, " ");
        at += fprintf(f, "%.*s", n, s);
        s += n;
    }
    fputc('\n', f);
}

void options_help(FILE *f)
{
    fprintf(f, "Every key of a configuration, with its default; --set KEY=VALUE overrides one.\n");
    for (int i = 0; i < n_options; i++) {
        const Option *o = &options[i];
        size_t        group = (size_t)(strrchr(o->key, '.') - o->key) + 1;
        char          left[512], right[512];
        option_describe(o, left, sizeof left, right, sizeof right);
        if (i == 0 || strncmp(o->key, options[i - 1].key, group) || strchr(options[i - 1].key + group, '.'))
            fputc('\n', f);
        const int column = strlen(right) < 44 ? 36 : 0;      /* a long range follows the value, so that lines fit a terminal */
        fold(f, fprintf(f, "%-*s", column, left), right);
        fold(f, fprintf(f, "    "), o->help);
    }
}

static void cell_print(FILE *f, const char *s)
{
    for (; *s; s++)
        fprintf(f, *s == '|' ? "\\%c" : "%c", *s);
}

void options_markdown(FILE *f)
{
    fprintf(f, "# Configuration keys\n\n"
               "Written by `asvr help options --markdown`; the table itself is `launch/config/options.c`.\n\n"
               "| key and default | type and range | what it says |\n|---|---|---|\n");
    for (int i = 0; i < n_options; i++) {
        char left[512], right[512];
        option_describe(&options[i], left, sizeof left, right, sizeof right);
        fprintf(f, "| `%s` | ", left);
        cell_print(f, right);
        fprintf(f, " | ");
        cell_print(f, options[i].help);
        fprintf(f, " |\n");
    }
}
