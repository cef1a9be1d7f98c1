/* main.c -- the verb table: what a user types, and what is called for it */
#include "core/ops.h"
#include "dist/comm.h"
#include "dist/stop.h"
#include "io/base/agree.h"
#include "io/h5/h5.h"
#include "io/base/log.h"
#include "launch/config/options.h"
#include "launch/lives.h"
#include "launch/completion.h"
#include "launch/manpage.h"
#include "launch/stagewalk.h"
#include "launch/words.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const Verb VERBS[] = {
    { "init", NULL, NULL, "looks at your data, writes a configuration for them",
      "Reads every record and looks at the pictures: how many, how large, how long the\n"
      "texts, in which writing, what is broken. Then it measures this machine, offers\n"
      "sizes of a model with what each would cost, and writes the configuration of one\n"
      "to stdout, all stages in it. PATH is a folder of pictures with a .txt beside\n"
      "each, a JSON file, tar or parquet files; --json and --images say it plainly.\n"
      "\n"
      "  --source=NAME   llava, webdataset, coco, parquet or folder, not a guess\n"
      "  --size=NAME     small, medium or large; else the largest that fits the machine\n"
      "                  and the data and is done in --hours=H, 10 if it is not said\n"
      "  --model=DIR     a language model of Hugging Face, or a whole LLaVA: it learns\n"
      "                  to see\n"
      "  --run=DIR       folder of the runs; else runs/NAME\n"
      "  example   asvr init pictures/ >mine.cfg\n"
      "            asvr init --json mine.json --images pictures/ >mine.cfg\n", true, true, false, init_main,
      "[PATH...] --json=FILE --images=DIR --source=NAME --size=NAME --hours=H --model=DIR --run=DIR" },
    { "pack", pack_main, NULL, "pictures and conversations -> a data set",
      "Reads LLaVA-style JSON with its pictures (data.source = \"llava\"), tar files of\n"
      "WebDataset (\"webdataset\"), COCO's captions (\"coco\"), parquet files (\"parquet\")\n"
      "or a folder of pictures with texts (\"folder\"), or composes scenes of photo\n"
      "cut-outs with known questions and answers (\"scenes\"), and writes shards and,\n"
      "last, the index data.set, which names them; an older one is good until then.\n"
      "With data.codes it also stores the visual codes of every picture, so that\n"
      "training need not compute them. Killed, or stopped by TERM, USR1, USR2, INT\n"
      "or XCPU (75), it goes on where it was when the same command is started again.\n"
      "Of a configuration that lists `stages` each data set is packed once.\n"
      "\n"
      "  writes    data.set and, beside it, train-NNNNN-HASH.h5 and val-NNNNN-HASH.h5;\n"
      "            text.model, if there is none\n"
      "  keys      data.*  text.model  model.*  run.seed  train.stage\n"
      "  example   mpirun -n 4 asvr pack configs/tiny.cfg\n", false, false, true, NULL, NULL },
    { "train", train_main, NULL, "one stage of training, or all; resumes by itself",
      "Trains the stage train.stage on the data set data.set, or on several by weight:\n"
      "  contrast    vision tower and text tower, on pictures and captions\n"
      "  tokenizer   the codebooks of the residual quantizer\n"
      "  pretrain    projector and visual head; the decoder is frozen\n"
      "  instruct    projector, decoder and visual head, on conversations\n"
      "A configuration that lists `stages` is trained stage by stage: what a stage\n"
      "reads and is not there is packed or imported first; one that is done is skipped.\n"
      "It goes on from the newest valid checkpoint in run.dir; in an empty run.dir it\n"
      "starts from train.init, or from random weights. TERM, USR1, USR2, INT and XCPU\n"
      "make all ranks save after the same step and exit with 75; the same command then\n"
      "goes on where they stopped. A run has one configuration, one data set and one\n"
      "start, by content: with others it is refused (78) and the difference printed.\n"
      "Every eval.every steps it evaluates on what the data set holds out, without a\n"
      "bit of the training changing; the best step by ckpt.best stays as RUN/ckpt/best.\n"
      "\n"
      "  writes    RUN/config.cfg  RUN/data.json  RUN/run.jsonl  RUN/ckpt/step-N/\n"
      "            RUN/evals.jsonl  RUN/eval.json\n"
      "  keys      run.* model.* text.model data.* train.* ckpt.* eval.* parallel.*\n"
      "  example   mpirun -n 4 asvr train configs/tiny.cfg --set train.lr=3e-4\n", false, false, true, NULL, NULL },
    { "eval", eval_main, NULL, "losses and task accuracies -> a table and eval.json",
      "Loads the newest valid checkpoint of run.dir, or eval.from, answers the held-out\n"
      "questions of data.set (records with `answer`), and prints the losses and each\n"
      "task's accuracy beside what always giving its most frequent training answer\n"
      "would get. Fewer samples than there are (eval.samples) are drawn, the same ones\n"
      "on any number of ranks.\n"
      "\n"
      "With eval.tsv it asks what others evaluate on: VLMEvalKit's table of a\n"
      "benchmark, or a folder of them, and then prints the paper's table. Scores are\n"
      "those of lmms-eval and VLMEvalKit; killed, it goes on with the questions that\n"
      "are left. With eval.predictions it scores answers that are there, no model.\n"
      "\n"
      "  writes    RUN/eval.json  RUN/eval.png; of a table RUN/eval/NAME/: scores.json,\n"
      "            prediction.tsv (VLMEvalKit), from_log/ (lmms-eval), answers.jsonl;\n"
      "            a line of scores in RUN/benchmarks.jsonl, which report draws\n"
      "  keys      run.dir  data.set  eval.*  chat.max_new  data.template  data.system\n"
      "  example   mpirun -n 4 asvr eval configs/tiny.cfg\n"
      "            mpirun -n 4 asvr eval configs/llava15-7b/instruct.cfg \\\n"
      "                --set eval.tsv=bench/ --set chat.max_new=128\n", false, true, false, NULL, NULL },
    { "chat", chat_main, NULL, "answers questions about pictures; a talk at a terminal",
      "Loads the newest valid checkpoint of run.dir and answers chat.question about the\n"
      "picture chat.image, about several (a.png,b.png), or about none. <image> in it is\n"
      "the place of a picture; without it they come first. Without a question one is\n"
      "read from each line of standard input; a line that cannot be answered is named\n"
      "on stderr, and an empty line stands for its answer. At a terminal (or with\n"
      "chat.talk = \"yes\") it is a talk: each question goes on from those before. A line\n"
      "that begins with / is a command: /image PATH, /system TEXT, /new, /help, /quit;\n"
      "Ctrl-C stops an answer.\n"
      "\n"
      "  keys      run.dir  chat.*\n"
      "  example   asvr chat configs/tiny.cfg --set chat.image=cat.png \\\n"
      "                 --set chat.question=\"How many cats are there?\"\n", false, true, false, NULL, NULL },
    { "serve", serve_main, NULL, "answers OpenAI's chat requests, on this machine",
      "Loads the newest valid checkpoint of run.dir and answers, as OpenAI's API does,\n"
      "POST /v1/chat/completions (texts, pictures as base64, stream), /v1/models and\n"
      "/health; GET / is a page to try it. It listens on 127.0.0.1 alone, unless told\n"
      "otherwise, answers serve.batch requests at once and lets serve.queue more wait.\n"
      "What it does not offer (tools, logprobs, n > 1) it refuses by name. It is one\n"
      "process; TERM or INT lets it finish what is under way and end with 0.\n"
      "\n"
      "  keys      run.dir  serve.*  chat.temperature  data.system  data.max_pixels\n"
      "  example   asvr serve configs/tiny.cfg --set serve.port=8080\n"
      "            curl http://127.0.0.1:8080/v1/chat/completions -d '{\"model\": \"tiny\",\n"
      "              \"messages\": [{\"role\": \"user\", \"content\": \"what is it?\"}]}'\n", false, false, false, NULL, NULL },
    { "spectrum", spectrum_main, NULL, "singular values of weights and features: what has collapsed?",
      "Singular values, effective rank and condition of every matrix of a checkpoint;\n"
      "copies among the vectors of its codebooks, and codes that nothing uses; and the\n"
      "same of what pictures are on their way through the model: the tower's features,\n"
      "their codes' vectors, the projector's rows, the decoder's hidden rows; pictures\n"
      "are those that data.set holds out, if any, else those for training. Then it\n"
      "names what looks collapsed, and by which rule. Small matrices are dealt over the\n"
      "ranks, large ones (spectrum.whole) spread over all of them.\n"
      "\n"
      "  writes    RUN/spectrum.json\n"
      "  keys      run.dir  spectrum.*  data.set  model.*\n"
      "  example   mpirun -n 4 asvr spectrum configs/tiny.cfg \\\n"
      "                 --set spectrum.parts=codes,features\n", false, true, false, NULL, NULL },
    { "import", import_main, NULL, "a Hugging Face folder -> a checkpoint",
      "Reads the safetensors of import.from: LLaVA with a SigLIP or CLIP tower, Llama\n"
      "2 and 3, Mistral, Qwen 2, 2.5 and 3, SmolLM2, SigLIP. Every tensor has its place\n"
      "or is named; config.json and the model.* keys must say the same, and a key of it\n"
      "that asvr does not know is an error (import.unknown = \"warn\": a warning). The\n"
      "checkpoint serves as train.init.\n"
      "\n"
      "  writes    import.to/ckpt/step-00000000/  import.to/hf/\n"
      "  keys      import.*  model.*\n"
      "  example   asvr import my.cfg --set import.from=vicuna-7b-v1.5 \\\n"
      "                 --set import.to=runs/vicuna\n", false, false, false, NULL, NULL },
    { "export", export_main, NULL, "a checkpoint -> Hugging Face safetensors",
      "Writes safetensors and config.json, in the layout of LLaVA, of a language model\n"
      "or of SigLIP. With export.base, an imported run, files are as they were there:\n"
      "same names, order and types; what export.from lacks comes from there, too. An\n"
      "imported run is its own base.\n"
      "\n"
      "  writes    export.to/\n"
      "  keys      export.*  model.*  text.model\n"
      "  example   asvr export configs/tiny.cfg --set export.from=runs/tiny \\\n"
      "                 --set export.to=tiny-hf\n", false, false, false, NULL, NULL },
    { "verify", NULL, verify_main, "checks a data set, a shard or a checkpoint whole",
      "Reads every byte of a data set (its index and the shards that it names; all\n"
      "ranks read, each its share), of one shard or of a checkpoint (a folder),\n"
      "compares them with the stored hashes, and prints `ok` and a hash, or what is\n"
      "wrong and where.\n"
      "\n"
      "  example   mpirun -n 4 asvr verify runs/tiny/data/index.set\n"
      "            asvr verify runs/tiny/ckpt/step-00000100\n", false, true, false, NULL, NULL },
    { "bench", bench_main, NULL, "step rate, GF/s, share of sgemm, peak memory",
      "Trains a few steps on random data of the configuration's sizes and measures\n"
      "them: time and memory by part, what was sent over each axis of the grid, and the\n"
      "rates of this machine, from which `asvr plan --set plan.rates=RUN` predicts the\n"
      "time of other sizes and grids; with data.set also how fast its samples are read.\n"
      "With bench.trace also where the time goes, span by span (ui.perfetto.dev). Ends\n"
      "with one line of figures:\n"
      "  9.12 samples/s  140.3 GF/s  0.87 of sgemm  512 MiB\n"
      "\n"
      "  writes    RUN/bench.json and RUN/steps.json, where run.dir is set\n"
      "  keys      bench.*  run.dir  model.*  train.*  parallel.*  data.set\n"
      "  example   mpirun -n 2 asvr bench configs/bench/small.cfg\n", false, true, false, NULL, NULL },
    { "scaling", scaling_main, NULL, "a series of benchmarks over ranks and grids; starts them",
      "Runs bench on scaling.ranks x tp x zero x micro_batch x threads, weak or strong,\n"
      "each point by srun inside a Slurm job, else by mpirun: start it without either.\n"
      "Small grids come first and set the rates by which plan predicts each point before\n"
      "it runs. Points that are finished are not run again, those that failed are; a\n"
      "changed setting or program measures anew. Ends with two lines for JUBE, ReFrame\n"
      "and Ramble: `Samples Per Second (FOM): 9.51` and `asvr: OK`.\n"
      "\n"
      "  writes    scaling.dir/scaling.csv, .svg, .jsonl (Extra-P) and points/\n"
      "  keys      scaling.*  bench.ckpt  model.*  train.*  parallel.*\n"
      "  example   asvr scaling configs/bench/small.cfg --set scaling.ranks=1,2,4 \\\n"
      "                 --set scaling.tp=1,2\n", true, true, false, NULL, NULL },
    { "plan", plan_main, NULL, "any grid's parameters, bytes, messages, time; no MPI",
      "Lists the parts of the model that train would have, each with its parameters and\n"
      "the bytes of its weights, gradients and moments; then, for one rank of\n"
      "plan.replicas x parallel.tp, the memory by class, what a step sends over each\n"
      "axis and its flops; with the rates that bench measured, the time of a step.\n"
      "Nothing is allocated, no data are read and MPI is not started: pictures are one\n"
      "a sample, sequences as long as model.decoder.max_len, and the samples have codes\n"
      "if data.codes is set. What does not divide is refused (78).\n"
      "With plan.nodes and plan.cluster, a described machine: the best grid of each\n"
      "number of nodes, its step and where efficiency is lost, node-hours, how often to\n"
      "save, and what all that rests on. With plan.ranks: one line, the most ranks of\n"
      "so many that the configuration can use.\n"
      "\n"
      "  reads     plan.rates/bench.json  plan.cluster\n"
      "  writes    plan.csv  plan.svg\n"
      "  keys      plan.*  model.*  train.*  parallel.*  data.codes\n"
      "  example   asvr plan configs/llava15-7b/instruct.cfg --set parallel.tp=8 \\\n"
      "                 --set plan.replicas=64 --set parallel.zero=1\n", true, true, false, NULL, NULL },
    { "status", NULL, NULL, "how a run goes: step, losses, rate, ETA, restarts, lost time",
      "Reads a run's folder, while it runs or after, on any machine that sees it: how\n"
      "far it is and how fast, what each of its lives did and why it ended, where its\n"
      "time went (effective training time is the share of steps that count), the newest\n"
      "checkpoint, ranks that hung or were slow; the job's state, where squeue answers\n"
      "within two seconds. --watch draws it again every two seconds until the run has\n"
      "ended; where that is no terminal it prints a line a change. --json: one object.\n"
      "PATH may be a configuration, X.cfg: then it is its run, or its newest stage's.\n"
      "\n"
      "  reads     RUN/{lives.jsonl,run.jsonl,config.cfg,.lease}  RUN/ckpt/\n"
      "  example   asvr status runs/tiny --watch\n", true, true, false, status_main, "--watch --json" },
    { "report", NULL, NULL, "runs -> one HTML page: curves, time, restarts, answers",
      "Reads the folders of runs, while they run or after, on any machine that sees\n"
      "them, and writes one page that needs no network and no script: curves of losses,\n"
      "rates, gradient norm and codes; where the time went and why each life ended;\n"
      "eval's figures and pictures; the configuration. Several runs share the axes, and\n"
      "what differs between their configurations is listed. Where steps are more than\n"
      "columns of a drawing, a column shows the least, the most and the mean of its\n"
      "steps.\n"
      "\n"
      "  reads     what `asvr status` reads; RUN/{data.json,eval.json,eval.png}\n"
      "  writes    report.html of the first RUN, or --out=FILE\n"
      "  example   asvr report runs/a runs/b --out=both.html\n", true, false, false, report_main, "PATH... --out=FILE" },
    { "submit", NULL, NULL, "writes a batch script for a configuration, and submits it",
      "Checks the configuration, with as many ranks as are planned, and writes a script\n"
      "that trains (slurm.verb: packs, ...) with it, requeues itself when that is worth\n"
      "another start, and gives up after slurm.budget restarts without progress; then\n"
      "hands it to sbatch. slurm.dry prints it and does no more. Paths of the\n"
      "configuration are seen from the folder in which this is typed.\n"
      "\n"
      "  writes    RUN/submit/NAME-N.sbatch\n"
      "  keys      slurm.*, and those of the verb\n"
      "  example   asvr submit my.cfg --set slurm.nodes=4 --set slurm.time=12:00:00 \\\n"
      "                 --set slurm.ranks_per_node=2 --set slurm.dry=true\n", true, true, false, submit_main, NULL },
};
enum { N_VERBS = sizeof VERBS / sizeof *VERBS };

static const char EXIT_CODES[] =
    "exit codes\n"
    "   0 done                           75 stopped on request and saved: requeue me\n"
    "  64 usage                          76 stopped, not saved: requeue me\n"
    "  65 bad input data                 78 configuration\n"
    "  70 internal error                 79 numeric trouble: too many skipped steps\n"
    "  74 I/O, or no valid checkpoint    80 hang: requeue me\n";

static void help(FILE *f)
{
    fprintf(f, "asvr " VERSION ": vision-language models that learn to reconstruct what they see\n\n"
               "  asvr VERB CONFIG [--set KEY=VALUE]...\n\n");
    for (int i = 0; i < N_VERBS; i++)
        fprintf(f, "  %-14s %s\n", VERBS[i].name, VERBS[i].line);
    fprintf(f, "\n"
               "  help VERB      what a verb reads and writes\n"
               "  help options   every key of a configuration (--markdown: as a table)\n"
               "  help config CONFIG [--set KEY=VALUE]...   checks one and prints it whole\n"
               "  help man | help completion bash|zsh       what `make install` puts in place\n"
               "  version\n\n"
               "CONFIG is a libconfig file; --set overrides one key and may be repeated. The\n"
               "launcher says how many ranks (mpirun -n 4 asvr ..., srun asvr ...); without one\n"
               "there is one.\n\n%s",
            EXIT_CODES);
}

static const Verb *verb_find(const char *name)
{
    for (int i = 0; i < N_VERBS; i++)
        if (!strcmp(VERBS[i].name, name))
            return &VERBS[i];
    return NULL;
}

static int unknown_verb(const char *name)
{
    static const char *const others[] = { "help", "version" };
    const char *near = others[0];
    char        hint[128];
    for (int i = 0; i < N_VERBS + 2; i++) {
        const char *known = i < N_VERBS ? VERBS[i].name : others[i - N_VERBS];
        if (text_distance(name, known) < text_distance(name, near))
            near = known;
    }
    snprintf(hint, sizeof hint, "did you mean `asvr %s`?  `asvr help` lists the verbs", near);
    return words_usage(hint, "there is no verb \"%s\"", name);
}

static void abort_all(int code)
{
    lives_died(code);
    MPI_Abort(MPI_COMM_WORLD, code);
}

static int run_alone(const Words *r, Config *c)
{
    if (words_path(r->verb))
        return r->verb->with_words(r, NULL);
    const int code = stages_load(c, r, -1, 1);
    return code != EXIT_DONE ? code : r->verb->with_words ? r->verb->with_words(r, c) : r->verb->with_config(c);
}

static int run(const Words *r)
{
    static Config c;
    char host[64] = "";
    int  code, provided;

    if (r->verb->alone)
        return words_speak() ? run_alone(r, &c) : EXIT_DONE;
    h5_environment();
    if (r->verb->stops)
        stop_install();
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (r->verb->stops)
        stop_install();
    gethostname(host, sizeof host - 1);
    snprintf(die_who, sizeof die_who, "rank %d on %s", comm_rank(MPI_COMM_WORLD), host);
    die_hook = abort_all;
    agree_waits = comm_agrees;
    die_patience = comm_rank(MPI_COMM_WORLD) ? 3 : 0;
    CHECK(provided >= MPI_THREAD_FUNNELED, "this MPI cannot be used by a program with threads (MPI_THREAD_FUNNELED)");

    if (r->verb->with_path)
        code = r->verb->with_path(r->path);
    else
        code = stages_run(&c, r);
    MPI_Finalize();
    return code;
}

static int version(void)
{
    if (words_speak())
        printf("asvr " VERSION ", vectors %s\n", OPS_CPU.name);
    return EXIT_DONE;
}

static int help_config(const Config *c)
{
    config_print(c, stdout);
    printf("# hash %016" PRIx64 "\n", config_hash(c, 0));
    return EXIT_DONE;
}

/* `help ...`: no MPI.  args begins behind the word. */
static int help_on(int n, char **args)
{
    static const Verb SHOW = { "help config", help_config, NULL, "checks a configuration and prints it whole", "", true, true, false, NULL, NULL };
    static Config c;
    const Verb   *v = n > 0 ? verb_find(args[0]) : NULL;
    Words         r = { 0 };
    int           code = EXIT_DONE;

    if (n > 0 && !strcmp(args[0], "config")) {
        if (words_parse(&r, &SHOW, n - 1, args + 1, &code) && words_speak() && (code = stages_load(&c, &r, -1, 1)) == EXIT_DONE)
            code = help_config(&c);
    } else if (n > 0 && !v && strcmp(args[0], "options") && strcmp(args[0], "man") && strcmp(args[0], "completion")) {
        code = unknown_verb(args[0]);
    } else if (!words_speak()) {
        ;                       /* another rank answers */
    } else if (v) {
        words_help(v);
    } else if (n == 0) {
        help(stdout);
    } else if (!strcmp(args[0], "man")) {
        manpage_print(stdout, VERBS, N_VERBS, EXIT_CODES);
    } else if (!strcmp(args[0], "completion")) {
        if (!completion_print(stdout, n > 1 ? args[1] : "", VERBS, N_VERBS))
            code = words_usage("asvr help completion bash|zsh", "completions are for bash and for zsh");
    } else if (n > 1 && !strcmp(args[1], "--markdown")) {
        options_markdown(stdout);
    } else {
        options_help(stdout);
    }
    return code;
}

/* A page that did not reach its reader is an error. */
static int told(int code)
{
    Err e = { 0 };
    const bool late = fflush(stdout) != 0;                  /* else errno is no longer that of the write that failed */
    const int why = errno ? errno : EIO;
    if (!late && !ferror(stdout))
        return code;
    err_set(&e, EXIT_IO, "standard output", "", "cannot write what was asked for%s%s", late ? ": " : "; is its disk full?", late ? strerror(why) : "");
    if (code == EXIT_DONE && words_speak())
        log_error(&e);
    return code == EXIT_DONE ? EXIT_IO : code;
}

int main(int argc, char **argv)
{
    Words       r = { 0 };
    const Verb *v = argc > 1 ? verb_find(argv[1]) : NULL;
    int         code;

    signal(SIGXFSZ, SIG_IGN);               /* a file that may not grow is an error of the call that writes */
    if (argc < 2) {
        if (words_speak())
            help(stderr);
        code = EXIT_USAGE;
    } else if (words_help_is(argv[1])) {
        code = help_on(argc - 2, argv + 2);
    } else if (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version")) {
        code = version();
    } else if (!v) {
        code = unknown_verb(argv[1]);
    } else if (words_parse(&r, v, argc - 2, argv + 2, &code)) {
        code = run(&r);
        return v->tells ? told(code) : code;    /* a full disk behind stdout does not make a training run fail */
    }
    return told(code);
}
