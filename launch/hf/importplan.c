#include "launch/hf/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMPARED = 1 << 20 /* numbers at a time */ };

static int depth_of(const Config *c) { return c->model.codes.depth; }

void import_place(const Import *m, const StTensor *t, char where[sizeof ((Err *)0)->where])
{
    snprintf(where, sizeof ((Err *)0)->where, "%.300s/%.128s, byte %lld", m->r.c->import.from, m->files.file[t->file].name, (long long)t->offset);
}

static bool same_shape(const StTensor *t, const int64_t *shape, int dims)
{
    return t->dims == dims ? !memcmp(t->shape, shape, (size_t)dims * sizeof *shape)
                           : t->dims == 0 && dims == 1 && shape[0] == 1;      /* a scalar */
}

static bool take(Import *m, const StTensor *t, const HfPiece *p, Err *e)
{
    char where[sizeof e->where], expected[SHAPE_TEXT], got[SHAPE_TEXT];
    int64_t shape[ST_DIMS];
    const bool head = !strcmp(p->ours, "decoder.lm_head") && params_find(&m->r.model.table, p->ours) < 0;
    const int i = params_find(&m->r.model.table, head ? "decoder.embed" : p->ours);
    import_place(m, t, where);
    if (i < 0)
        return err_set(e, EXIT_DATA, where, "the model.* keys say how many blocks each part has",
                       "tensor \"%s\" has no place in the model: there is no %s", t->name, p->ours);
    const Param *q = &m->r.model.table.p[i];
    const StTensor *before = head ? m->twin : m->source[i].tensor;
    if (before)
        return err_set(e, EXIT_DATA, where, "", "tensors \"%s\" and \"%s\" are both %s", before->name, t->name, p->ours);
    const int dims = hf_shape(p, q->rows, q->cols, shape);
    if (!same_shape(t, shape, dims)) {
        err_expected(e, "%s by the model.* keys", shape_text(expected, dims, shape));
        err_got(e, "%s", shape_text(got, t->dims, t->shape));
        return err_set(e, EXIT_DATA, where, "set the model.* keys to the imported model's sizes", "tensor \"%s\" has another shape", t->name);
    }
    if (head)
        m->twin = t;
    else
        m->source[i] = (ImportSource){ t, *p };
    return true;
}

int import_pieces(const Import *m, const char *name, HfPiece piece[HF_PIECES])
{
    const int n = hf_pieces(name, depth_of(m->r.c), piece);
    const bool beside = n > 0 && (piece[0].part & (PART_TEXT | PART_CONTRAST));
    return beside && m->r.c->model.vision.kind == VISION_CLIP ? 0 : n;
}

bool import_from_table(const char *name)
{
    const char *end = strrchr(name, '.');
    return strstr(name, "codes.") && end && (!strcmp(end, ".count") || !strcmp(end, ".sum"));
}

static bool all_there(Import *m, Err *e)
{
    const Params *t = &m->r.model.table;
    for (int i = 0; i < t->n; i++) {
        char name[ST_NAME];
        HfPiece p;
        if (m->source[i].tensor || import_from_table(t->p[i].name))
            continue;
        const int embed = params_find(t, "decoder.embed");
        if (!strcmp(t->p[i].name, "decoder.lm_head") && embed >= 0 && m->source[embed].tensor) {
            m->source[i] = m->source[embed];
            m->tied = true;
            continue;
        }
        const bool known = hf_name(t->p[i].name, depth_of(m->r.c), m->modules, name, &p);
        return err_set(e, EXIT_DATA, m->r.c->import.from, "the folder is incomplete, or the model.* keys ask for more",
                       "tensor \"%s\" is missing: %s has no values", known ? name : t->p[i].name, t->p[i].name);
    }
    return true;
}

bool import_match(Import *m, Err *e)
{
    HfPiece piece[HF_PIECES];
    m->source = calloc((size_t)m->r.model.table.n + 1, sizeof *m->source);
    CHECK(m->source, "no memory for %d tensors", m->r.model.table.n);
    for (int i = 0; i < m->files.tensors; i++) {
        const int n = import_pieces(m, m->files.tensor[i].name, piece);
        for (int k = 0; k < n; k++) {
            if (piece[k].extra && !(m->parts & piece[k].part))
                m->carried[i] = true;
            else if (!take(m, &m->files.tensor[i], &piece[k], e))
                return false;
        }
    }
    return all_there(m, e);
}

/* ---- lm_head and the embedding ---- */

/* The first row in which the two differ, or -1; each rank looks at its rows. */
static bool first_difference(const Import *m, const StTensor *a, const StTensor *b, int64_t *row, Err *e)
{
    const int64_t cols = a->cols, step = max64(1, COMPARED / max64(1, cols));
    const int64_t from = a->rows * m->r.grid.rank / m->r.grid.size, to = a->rows * (m->r.grid.rank + 1) / m->r.grid.size;
    float *x = malloc((size_t)(2 * step * cols + 1) * sizeof *x), *y = x + step * cols;
    CHECK(x, "no memory to compare two tensors");
    *row = -1;
    bool ok = true;
    for (int64_t i = from; i < to && ok && *row < 0; i += step) {
        const int64_t n = min64(step, to - i);
        ok = st_read(&m->files, a, i, n, 0, cols, x, cols, e) && st_read(&m->files, b, i, n, 0, cols, y, cols, e);
        for (int64_t k = 0; k < n && ok && *row < 0; k++)
            *row = memcmp(x + k * cols, y + k * cols, (size_t)cols * sizeof *x) ? i + k : -1;
    }
    free(x);
    return ok;
}

static bool refuse_twin(const Import *m, int64_t row, Err *e)
{
    char where[sizeof e->where];
    import_place(m, m->twin, where);
    err_expected(e, "the embedding's rows, since model.decoder.tied = true");
    err_got(e, "another row %lld", (long long)row);
    return err_set(e, EXIT_CONFIG, where, "model.decoder.tied = false keeps both", "tensor \"%s\" is not the embedding%s", m->twin->name,
                   m->says == TIE_EMBED ? ", though config.json says so" : "");
}

bool import_tie(Import *m, Err *e)
{
    const Params *t = &m->r.model.table;
    const int embed = params_find(t, "decoder.embed"), head = params_find(t, "decoder.lm_head");
    int64_t row = -1;
    if (embed < 0)
        return true;
    const StTensor *a = m->source[embed].tensor, *b = m->twin ? m->twin : head >= 0 && !m->tied ? m->source[head].tensor : NULL;
    if (b && (m->twin || m->says == TIE_EMBED) && first_difference(m, a, b, &row, e) && row >= 0 && m->twin)
        refuse_twin(m, row, e);
    if (!run_agree(&m->r, e))
        return false;
    if (comm_agree(m->r.grid.world, row >= 0))
        snprintf(m->note, sizeof m->note, "config.json says that lm_head is the embedding; the files hold another one, and that one is taken");
    else if (!b && m->says == TIE_OWN)
        snprintf(m->note, sizeof m->note, "config.json does not say that lm_head is the embedding; the files hold none, so it is");
    return true;
}
