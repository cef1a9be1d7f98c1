/* importadapter.c -- low-rank pairs of a peft folder: a run with a checkpoint that stands on train.init's (import.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm.h"
#include "io/hf/hfadapter.h"
#include "launch/bases.h"
#include "launch/hf/import.h"
#include "launch/identity.h"

bool import_is_adapter(const Import *m)
{
    char path[PATH_ROOM];
    int is = m->r.grid.rank == 0 && path_set(path, &(Err){ 0 }, "%s/" HFADAPTER_CONFIG, m->r.c->import.from) && access(path, F_OK) == 0;
    comm_bcast(m->r.grid.world, &is, sizeof is, 0);
    return is;
}

/* Rank 0 reads what the folder asks for and compares it with the configuration. */
static bool compare(const Import *m, Err *e)
{
    const Config *c = m->r.c;
    char path[PATH_ROOM], *text;
    size_t bytes;
    int rank;
    double alpha;
    if (m->r.grid.rank == 0 && path_set(path, e, "%s/" HFADAPTER_CONFIG, c->import.from) && file_read(path, 1 << 20, &text, &bytes, e)) {
        if (hfadapter_read(text, bytes, path, &rank, &alpha, e) && (rank != c->train.lora_rank || (float)alpha != (float)c->train.lora_alpha)) {
            err_expected(e, "train.lora_rank = %d, train.lora_alpha = %g", rank, alpha);
            err_got(e, "%d and %g", c->train.lora_rank, c->train.lora_alpha);
            err_set(e, EXIT_CONFIG, path, "set them to what the adapter has", "the configuration differs from " HFADAPTER_CONFIG);
        }
        free(text);
    }
    return run_agree(&m->r, e);
}

static void measure(Import *m)
{
    static char trainable[CONFIG_STRING];
    const RunShape shape = { .stage = STAGE_INSTRUCT, .bare = true, .parts = PART_DECODER | PART_PROJECTOR, .micro_batch = 1, .max_images = 1, .max_len = 1 };
    ModelConf conf = run_conf(m->r.c, &shape, trainable);
    conf.lora_rank = m->r.c->train.lora_rank;
    conf.lora_alpha = (float)m->r.c->train.lora_alpha;
    model_measure(&m->r.model, &conf, &m->r.tp);
}

static bool take(Import *m, const StTensor *t, Err *e)
{
    char where[sizeof e->where], ours[PARAM_NAME], expected[SHAPE_TEXT], got[SHAPE_TEXT];
    import_place(m, t, where);
    if (!hfadapter_ours(t->name, ours))
        return err_set(e, EXIT_DATA, where, "asvr's pairs stand beside the matrices of a decoder's blocks; beside them it takes a projector",
                       "tensor \"%s\" is none that asvr has a place for", t->name);
    const int i = params_find(&m->r.model.table, ours);
    if (i < 0)
        return err_set(e, EXIT_CONFIG, where, "train.lora_targets must name all that the adapter has, model.* its base", "there is no place for \"%s\": %s",
                       t->name, ours);
    const Param *p = &m->r.model.table.p[i];
    const int64_t shape[] = { p->rows, p->cols };
    const int dims = p->cols == 1 && t->dims == 1 ? 1 : 2;
    if (t->dims != dims || memcmp(t->shape, shape, (size_t)dims * sizeof *shape) || t->type == ST_OTHER) {
        err_expected(e, "%s by train.lora_rank and the model.* keys", shape_text(expected, dims, shape));
        err_got(e, "%s, %s", shape_text(got, t->dims, t->shape), t->dtype);
        return err_set(e, EXIT_DATA, where, "set the model.* keys to those of the adapter's base", "tensor \"%s\" has another shape", t->name);
    }
    if (m->source[i].tensor)
        return err_set(e, EXIT_DATA, where, "", "tensors \"%s\" and \"%s\" are both %s", m->source[i].tensor->name, t->name, ours);
    m->source[i] = (ImportSource){ t, { .row_blocks = 1, .col_blocks = 1 } };
    return true;
}

/* All pairs, and of a projector all tensors or none. */
static bool match(Import *m, Err *e)
{
    const Params *t = &m->r.model.table;
    bool projector = false;
    m->source = calloc((size_t)t->n + 1, sizeof *m->source);
    CHECK(m->source, "no memory for %d tensors", t->n);
    for (int i = 0; i < m->files.tensors; i++)
        if (!take(m, &m->files.tensor[i], e))
            return false;
    for (int i = 0; i < t->n; i++)
        projector |= m->source[i].tensor && param_in_part(&t->p[i], "projector");
    for (int i = 0; i < t->n; i++)
        if (!m->source[i].tensor && (param_in_part(&t->p[i], LORA_PART) || (projector && param_in_part(&t->p[i], "projector"))))
            return err_set(e, EXIT_DATA, m->r.c->import.from, "train.lora_targets must name what the adapter has, and nothing else",
                           "the adapter has no \"%s\"", t->p[i].name);
    return true;
}

/* Do the checkpoints of train.init have the weights beside which the pairs stand? */
static bool stand_on(Import *m, Err *e)
{
    Run *r = &m->r;
    const Params *t = &r->model.table;
    char named[PATH_ROOM], weight[CKPT_NAME];
    bool found = false, ok = true;
    int pair = 0;
    while (pair < t->n && !param_in_part(&t->p[pair], LORA_PART))
        pair++;
    const char *ours = t->p[pair].name + sizeof LORA_PART;
    snprintf(weight, sizeof weight, "weights/%.*s", (int)strlen(ours) - 2, ours);
    for (int k = 0; ok && bases_word(r->c->train.init, k, named); k++) {
        Bases b = { .n = 0 };
        Ckpt *c = run_ckpt(r, named, NULL, NULL, e);
        ok = c && bases_open(&b, r, c, e);
        found |= ok && bases_find(&b, weight) >= 0;
        if (ok)
            identity_started(r, c, e);
        bases_close(&b);
        ckpt_close(c);
        ok = run_agree(r, e) && ok;
    }
    return ok && (found || err_set(e, EXIT_CONFIG, "train.init", "name the run that holds the adapter's base (asvr import makes one)",
                                   "there is no \"%s\" in what train.init names, beside which the adapter's pairs could stand", weight + 8));
}

int import_adapter(Import *m, Err *e)
{
    m->adapter = true;
    if (!compare(m, e))
        return e->code;
    st_open_file(&m->files, m->r.c->import.from, HFADAPTER_WEIGHTS, e);
    if (!run_agree(&m->r, e))
        return e->code;
    measure(m);
    match(m, e);
    const bool ok = run_agree(&m->r, e) && stand_on(m, e) && import_open(m, e) && import_save(m, e);
    int pairs = 0;
    for (int i = 0; i < m->r.model.table.n; i++)
        pairs += m->r.model.table.p[i].flags & LORA && m->r.model.table.lora.rank && lora_is_target(&m->r.model.table.lora, m->r.model.table.p[i].name);
    if (m->r.grid.rank == 0 && ok)
        printf("imported %d low-rank pairs: %d tensors of %s\nwrote %s/ckpt/step-00000000, which stands on %s\n", pairs,
               m->files.tensors, m->r.c->import.from, m->r.c->import.to, m->r.base);
    if (m->r.grid.rank == 0 && !ok)
        import_clear(m);
    return e->code;
}
