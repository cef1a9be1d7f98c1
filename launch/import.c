/* import.c -- `asvr import`: a Hugging Face folder -> a run with a checkpoint that train.init takes */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm.h"
#include "io/ckpt/ckptdir.h"
#include "launch/hf/import.h"
#include "launch/verbs.h"

/* ---- what is there ---- */

static bool unknown(const Import *m, const StTensor *t, Err *e)
{
    char where[sizeof e->where];
    snprintf(where, sizeof where, "%.300s/%.128s, byte %lld", m->r.c->import.from, m->files.file[t->file].name, (long long)t->offset);
    return err_set(e, EXIT_DATA, where, "asvr imports LLaMA, Mistral, Qwen2, Qwen3, SigLIP, CLIP's tower and LLaVA of these (docs/FORMATS.md)",
                   "tensor \"%s\" is not one of a model that asvr knows", t->name);
}

static bool find_parts(Import *m, Err *e)
{
    HfPiece piece[HF_PIECES];
    m->carried = calloc((size_t)m->files.tensors + 1, sizeof *m->carried);
    CHECK(m->carried, "no memory for %d tensors", m->files.tensors);
    for (int i = 0; i < m->files.tensors; i++) {
        const int n = import_pieces(m, m->files.tensor[i].name, piece);
        if (n < 0)
            return unknown(m, &m->files.tensor[i], e);
        m->carried[i] = n == 0;
        for (int k = 0; k < n; k++) {
            m->modules |= (uint64_t)1 << piece[k].module;
            m->parts |= piece[k].extra ? 0 : piece[k].part;
        }
    }
    return m->parts || err_set(e, EXIT_DATA, m->r.c->import.from, "", "there are no weights");
}

/* ---- config.json ---- */

static void say(const HfDifference *d, const char *path, bool warn)
{
    Err e = { 0 };
    char hint[128];
    if (warn) {
        char text[512];
        snprintf(text, sizeof text, "%.200s: %s = %s is a key that asvr does not know: it is passed over", path, d->theirs, d->got);
        log_warn(text);
        return;
    }
    err_expected(&e, "%s%s%s", d->ours, d->ours[0] ? " = " : "", d->expected);
    err_got(&e, "%s = %s", d->theirs, d->got);
    snprintf(hint, sizeof hint, d->ours[0] ? "set %s to what the imported model has"
                              : d->unknown ? "it may change what the model computes; import.unknown = \"warn\" passes over it%s"
                                           : "asvr has no model of this kind%s", d->ours);
    err_set(&e, EXIT_CONFIG, path, hint, d->ours[0] ? "the configuration differs from config.json: %s" : "config.json asks for something else: %s",
            d->ours[0] ? d->ours : d->theirs);
    log_error(&e);
}

/* Weights alone do not say what is computed with them. */
static void no_config(const Config *c, const char *path, Err *e)
{
    if (c->import.unknown == UNKNOWN_WARN)
        log_warn("there is no config.json: the weights are taken for the model that the configuration describes");
    else
        err_set(e, EXIT_DATA, path, "fetch it, too, or set import.unknown = \"warn\" where model.* says it all",
                "there is no config.json, which says what model the weights are of");
}

/* Rank 0 compares and prints every difference.  Returns the exit code on all ranks. */
static int compare(Import *m, Err *e)
{
    const Config *c = m->r.c;
    int code = EXIT_DONE;
    if (m->r.grid.rank == 0) {
        char path[PATH_ROOM], *text;
        size_t bytes;
        HfDifference d[HF_DIFFERENCES];
        const bool named = path_set(path, e, "%s/config.json", c->import.from);
        if (named && access(path, F_OK))
            no_config(c, path, e);
        else if (named && file_read(path, 1 << 20, &text, &bytes, e)) {
            const int n = hfconfig_compare(text, bytes, path, hffiles_number, c, d, e);
            for (int i = 0; i < n; i++) {
                const bool warn = d[i].unknown && c->import.unknown == UNKNOWN_WARN;
                say(&d[i], path, warn);
                code = warn ? code : EXIT_CONFIG;
            }
            m->says = hfconfig_says_tied(text, bytes);
            free(text);
        }
    }
    comm_bcast(m->r.grid.world, &m->says, sizeof m->says, 0);
    if (!run_agree(&m->r, e))
        return e->code;
    return comm_agree(m->r.grid.world, code);
}

/* ---- the verb ---- */

static void take_target(Import *m, Err *e)
{
    const char *to = m->r.c->import.to;
    char path[PATH_ROOM];
    int64_t *step = NULL;
    int n = 0;
    m->made = access(to, F_OK) != 0;
    m->leased = path_set(path, e, "%s/.lease", to) && access(path, F_OK) == 0;
    m->opened = path_set(path, e, "%s/ckpt", to) && (m->r.lease = lease_run(to, e)) && ckptdir_list(path, &step, &n, e);
    if (m->opened && n) {
        m->opened = false;
        err_set(e, EXIT_CONFIG, to, "name another folder, or remove this one", "import.to has checkpoints already");
    }
    if (m->opened)
        ckpt_clean(path);                           /* what a killed import left */
    free(step);
}

bool import_open(Import *m, Err *e)
{
    if (m->r.grid.rank == 0)
        take_target(m, e);
    return run_agree(&m->r, e);
}

/* The table of the model's tensors, no memory for them. */
static void measure(Import *m, Err *e)
{
    static char trainable[CONFIG_STRING];
    const RunShape shape = { .stage = STAGE_INSTRUCT, .bare = true, .parts = m->parts, .micro_batch = 1, .max_images = 1, .max_len = 1 };
    const ModelConf conf = run_conf(m->r.c, &shape, trainable);
    if (!model_measure(&m->r.model, &conf, &m->r.tp))
        err_set(e, EXIT_CONFIG, "train.trainable", "", "train.trainable names a part that the model does not have");
}

static void report(const Import *m)
{
    char list[160] = "";
    int unused = 0;
    for (unsigned part = 1; part <= m->parts; part <<= 1)
        if (m->parts & part) {
            const size_t at = strlen(list);
            snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", hf_part_name(part));
        }
    for (int i = 0; i < m->files.tensors; i++)
        unused += m->carried[i];
    printf("imported %s: %d tensors of %s\n", list, m->files.tensors - unused, m->r.c->import.from);
    if (m->tied)
        printf("the embeddings are tied: decoder.lm_head is a copy of decoder.embed\n");
    if (m->note[0])
        printf("%s\n", m->note);
    if (unused)
        printf("%d tensors are not used by the model; they are kept for an export\n", unused);
    printf("wrote %s/ckpt/step-00000000\n", m->r.c->import.to);
}

static int import(Import *m, Err *e)
{
    const Config *c = m->r.c;
    if (import_is_adapter(m))
        return import_adapter(m, e);
    st_open(&m->files, c->import.from, "", e);
    if (!run_agree(&m->r, e))
        return e->code;
    const int differs = compare(m, e);                      /* before the tensors: it says why there are some of another kind */
    if (differs)
        return differs;
    find_parts(m, e);
    if (!run_agree(&m->r, e))
        return e->code;
    measure(m, e);
    if (!e->code)
        import_match(m, e);
    const bool ok = run_agree(&m->r, e) && import_tie(m, e) && import_open(m, e) && import_folder(m, e) && import_save(m, e);
    if (m->r.grid.rank == 0 && ok)
        report(m);
    if (m->r.grid.rank == 0 && !ok)
        import_clear(m);
    return e->code;
}

int import_main(const Config *c)
{
    Import *m = calloc(1, sizeof *m);
    Err e = { 0 };
    CHECK(m, "no memory for an import");
    m->says = TIE_UNSAID;
    run_open(&m->r, c, 1);
    const int code = import(m, &e);
    if (m->r.grid.rank == 0 && e.code)
        log_error(&e);
    st_close(&m->files);
    free(m->source);
    free(m->carried);
    model_close(&m->r.model);
    run_close(&m->r);
    free(m);
    return code;
}
