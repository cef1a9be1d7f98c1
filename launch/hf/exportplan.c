#include "launch/hf/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm.h"

static const char WEIGHTS[] = "weights/";

const CkptTensor *export_find(const Export *x, int from, const char *ours)
{
    char name[CKPT_NAME];
    if (!x->ckpt[from] || snprintf(name, sizeof name, "%s%s", WEIGHTS, ours) >= CKPT_NAME)
        return NULL;
    const CkptTensor *t = ckpt_find(x->ckpt[from], name);
    for (int k = FROM_UNDER; !t && from == FROM_RUN && k < FROM_FILE && x->ckpt[k]; k++)
        t = ckpt_find(x->ckpt[k], name);
    return t;
}

int export_count(const Export *x, const char *form)
{
    for (int n = 0; ; n++) {
        char name[PARAM_NAME];
        const char *at = strstr(form, "%d");
        snprintf(name, sizeof name, "%.*s%d%s", (int)(at - form), form, n, at + 2);
        if (!export_find(x, FROM_RUN, name))
            return n;
    }
}

/* The checkpoint whose table the tensor stands in. */
static int from_of(const Export *x, const CkptTensor *t)
{
    for (int from = 0; from < FROM_FILE; from++) {
        int n = 0;
        const CkptTensor *list = x->ckpt[from] ? ckpt_tensors(x->ckpt[from], &n) : NULL;
        if (list && t >= list && t < list + n)
            return from;
    }
    CHECK(false, "the tensor %s is of no checkpoint", t->name);
    return FROM_RUN;
}

/* A tensor of a checkpoint, and its pair if the run has one. */
static ExportItem item_of(const Export *x, const CkptTensor *t, const StTensor *to, const HfPiece *piece)
{
    char a[2 * PARAM_NAME], up[2 * PARAM_NAME];
    snprintf(a, sizeof a, LORA_PART ".%.*s.a", PARAM_NAME, piece->ours);
    snprintf(up, sizeof up, LORA_PART ".%.*s.b", PARAM_NAME, piece->ours);
    return (ExportItem){ .from = from_of(x, t), .tensor = t, .to = to, .piece = *piece, .a = export_find(x, FROM_RUN, a), .up = export_find(x, FROM_RUN, up) };
}

void export_add(Export *x, ExportItem item)
{
    if (x->items == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 256;
        x->item = realloc(x->item, (size_t)x->cap * sizeof *x->item);
        CHECK(x->item, "no memory for a list of %d tensors", x->cap);
    }
    x->item[x->items++] = item;
    x->merged += item.a && item.up;
}

void plan_forget(Export *x)
{
    for (int i = 0; i < x->items; i++)
        free(x->item[i].sum);
    x->items = x->merged = 0;
}

static int cols_of(const CkptTensor *t) { return t->dims == 1 ? 1 : (int)t->size[1]; }

/* Rows that the files' tensor has behind the checkpoint's. */
static int more_rows(const Export *x, const char *ours)
{
    return strcmp(ours, "decoder.embed") && strcmp(ours, "decoder.lm_head") ? 0 : (int)max64(0, x->vocab - x->r.c->model.decoder.vocab);
}

/* The block that an item fills must have the checkpoint's shape. */
static bool fits(const StTensor *to, const HfPiece *p, const CkptTensor *t, int more, const char *path, Err *e)
{
    if (to->rows == t->size[0] * p->row_blocks + more && to->cols == (int64_t)cols_of(t) * p->col_blocks && to->type != ST_OTHER)
        return true;
    char text[SHAPE_TEXT];
    err_expected(e, "%s, %s", shape_text(text, 2, (int64_t[]){ to->rows / p->row_blocks, to->cols / p->col_blocks }), to->dtype);
    err_got(e, "%s", shape_text(text, 2, (int64_t[]){ t->size[0], cols_of(t) }));
    return err_set(e, EXIT_DATA, path, "the base is of another model", "%s does not fit its tensor \"%s\"", p->ours, to->name);
}

/* ---- as the base's files were ---- */

/* Where lm_head is the embedding, the embedding. */
static const CkptTensor *find_tied(const Export *x, int from, const char *ours)
{
    const CkptTensor *t = export_find(x, from, ours);
    return t || strcmp(ours, "decoder.lm_head") ? t : export_find(x, from, "decoder.embed");
}

static bool plan_tensor(Export *x, const StTensor *to, Err *e)
{
    HfPiece piece[HF_PIECES];
    const int n = hf_pieces(to->name, x->r.c->model.codes.depth, piece);
    int found = 0;
    for (int k = 0; k < n; k++) {
        const CkptTensor *own = find_tied(x, FROM_RUN, piece[k].ours);
        const CkptTensor *t = own ? own : find_tied(x, FROM_BASE, piece[k].ours);
        if (!t)
            continue;
        if (!fits(to, &piece[k], t, 0, ckpt_path(x->ckpt[from_of(x, t)]), e))
            return false;
        export_add(x, item_of(x, t, to, &piece[k]));
        found++;
    }
    if (n > 0 && found == n)
        return true;
    const StTensor *file = st_find(&x->unused, to->name);
    if (!file || found || file->bytes != to->bytes)
        return err_set(e, EXIT_DATA, x->hf, "import the base again; model.codes.depth must be the base's",
                       "tensor \"%s\" is in the base's files, but not in its checkpoint", to->name);
    export_add(x, (ExportItem){ .from = FROM_FILE, .file = file, .to = to });
    return true;
}

bool plan_from_base(Export *x, Err *e)
{
    bool ok = st_open(&x->plan, x->hf, ST_HEADER, e);
    char path[PATH_ROOM];
    ok = ok && path_set(path, e, "%s/" HFFILES_UNUSED, x->hf);
    if (ok && access(path, F_OK) == 0)
        ok = st_open_file(&x->unused, x->hf, HFFILES_UNUSED, e);
    for (int i = 0; ok && i < x->plan.tensors; i++)
        ok = plan_tensor(x, &x->plan.tensor[i], e);
    return ok;
}

/* Does lm_head of the run differ from its embedding?  A few MiB of each at a time. */
static bool compare_tied(const Export *x, const CkptTensor *a, const CkptTensor *b, int *differ, Err *e)
{
    enum { COMPARED = 1 << 20 };
    const int rank = x->r.grid.rank, size = x->r.grid.size;
    const int64_t rows = a->size[0], cols = a->size[1], step = max64(1, COMPARED / cols), at_once = step * size;
    float *p = malloc((size_t)(2 * step * cols) * sizeof *p), *q = p + step * cols;
    bool ok = true;
    CHECK(p, "no memory to compare two embeddings");
    for (int64_t row = 0; row < rows && ok && !*differ; row += at_once) {
        const int64_t n = min64(at_once, rows - row), first = row + n * rank / size, mine = row + n * (rank + 1) / size - first;
        const Slice here = slice_range(slice_whole(2, a->size), 0, first, mine);
        const Piece two[] = { { a->name, here, mine ? p : NULL, false }, { b->name, here, mine ? q : NULL, false } };
        ok = ckpt_fill(x->ckpt[from_of(x, a)], two, 1, CKPT_WANTED, e) && ckpt_fill(x->ckpt[from_of(x, b)], two + 1, 1, CKPT_WANTED, e);
        *differ = comm_agree(x->r.grid.world, ok && mine && memcmp(p, q, (size_t)(mine * cols) * sizeof *p));
    }
    free(p);
    return ok;
}

bool plan_tied(Export *x, Err *e)
{
    const CkptTensor *embed = export_find(x, FROM_RUN, "decoder.embed"), *head = export_find(x, FROM_RUN, "decoder.lm_head");
    int differ = 0;
    x->files_embed = x->files_head = false;
    for (int i = 0; i < x->items; i++) {
        x->files_embed |= !strcmp(x->item[i].piece.ours, "decoder.embed");
        x->files_head |= !strcmp(x->item[i].piece.ours, "decoder.lm_head");
    }
    if (embed && head && embed->size[0] == head->size[0] && embed->size[1] == head->size[1] && !compare_tied(x, embed, head, &differ, e))
        return false;
    x->two = differ;
    return !differ || x->files_head || !x->files_embed
        || err_set(e, EXIT_CONFIG, x->hf, "export without export.base", "the base's lm_head is its embedding, and the run's is not any more");
}

/* ---- as we lay it out ---- */

/* transformers always has a last norm of the tower.  Features never pass it: ones and zeros will do. */
static int add_identity(const Export *x, StTensor *t, int n)
{
    static const char *const name[] = { "post_layernorm.weight", "post_layernorm.bias" };
    const StType type = (StType)x->r.c->export.dtype;
    if (!export_find(x, FROM_RUN, "vision.patch.w") || export_find(x, FROM_RUN, "pool.ln.w"))
        return 0;
    for (int i = 0; i < 2; i++) {
        char full[ST_NAME];
        snprintf(full, sizeof full, "%svision_model.%s", x->layout == HF_LLAVA ? "vision_tower." : "", name[i]);
        t[n + i] = st_tensor(full, type, 1, (int64_t[]){ x->r.c->model.vision.width });
    }
    return 2;
}

/* Is a tensor of a checkpoint below one that a run of this configuration has, and that none above has changed? */
static bool belongs(const Export *x, int from, const CkptTensor *t)
{
    const char *ours = t->name + sizeof WEIGHTS - 1;
    return from == FROM_RUN || (params_find(&x->r.model.table, ours) >= 0 && export_find(x, FROM_RUN, ours) == t);
}

/* The file's tensors of one checkpoint, each once. */
static int own_tensors(const Export *x, int from, StTensor *t)
{
    const uint64_t modules = hf_modules(x->layout);
    int n = 0, tensors;
    const CkptTensor *list = ckpt_tensors(x->ckpt[from], &tensors);
    for (int i = 0; i < tensors; i++) {
        const CkptTensor *c = &list[i];
        char name[ST_NAME];
        HfPiece p;
        int64_t shape[ST_DIMS];
        if (strncmp(c->name, WEIGHTS, sizeof WEIGHTS - 1) || !belongs(x, from, c)
            || !hf_name(c->name + sizeof WEIGHTS - 1, x->r.c->model.codes.depth, modules, name, &p) || p.row_block || p.col_block)
            continue;
        const int dims = hf_shape(&p, (int)c->size[0] + more_rows(x, p.ours), cols_of(c), shape);
        t[n++] = st_tensor(name, (StType)x->r.c->export.dtype, dims, shape);
    }
    return n;
}

static bool own_items(Export *x, Err *e)
{
    for (int i = 0; i < x->plan.tensors; i++) {
        const StTensor *to = &x->plan.tensor[i];
        HfPiece piece[HF_PIECES];
        const int n = hf_pieces(to->name, x->r.c->model.codes.depth, piece);
        for (int k = 0; k < n; k++) {
            const CkptTensor *t = export_find(x, FROM_RUN, piece[k].ours);
            if (!t && piece[k].extra) {
                export_add(x, (ExportItem){ .from = strstr(to->name, ".bias") ? FROM_ZEROS : FROM_ONES, .to = to });
                continue;
            }
            if (!t)
                return err_set(e, EXIT_DATA, ckpt_path(x->ckpt[FROM_RUN]), "the model.* keys must be those of the run",
                               "the checkpoint has no %s, a part of tensor \"%s\"", piece[k].ours, to->name);
            const int more = more_rows(x, piece[k].ours);
            if (!fits(to, &piece[k], t, more, ckpt_path(x->ckpt[FROM_RUN]), e))
                return false;
            int64_t *sum = more ? calloc((size_t)cols_of(t), sizeof *sum) : NULL;
            CHECK(sum || !more, "no memory for a row of %d numbers", cols_of(t));
            ExportItem item = item_of(x, t, to, &piece[k]);
            item.sum = sum;
            export_add(x, item);
        }
    }
    return true;
}

/* ---- the configuration, which config.json is made of ---- */

static bool is(const Export *x, const char *key, int64_t got, Err *e)
{
    const int64_t want = (int64_t)hffiles_number(x->r.c, key);
    if (want == got)
        return true;
    err_expected(e, "%s = %lld", key, (long long)want);
    err_got(e, "%lld", (long long)got);
    return err_set(e, EXIT_DATA, ckpt_path(x->ckpt[FROM_RUN]), "export with the configuration of the run (RUN/config.cfg)",
                   "the checkpoint is of another model");
}

/* Does the checkpoint have the sizes that the configuration says? */
static bool config_fits(const Export *x, Err *e)
{
    static const struct { const char *tensor; int dim; const char *key; } SIZE[] = {
        { "vision.patch.w", 0, "model.vision.width" },    { "vision.0.ffn.w1", 0, "model.vision.ffn" },
        { "text.pos", 0, "model.text.max_len" },          { "text.pos", 1, "model.text.width" },
        { "text.0.ffn.w1", 0, "model.text.ffn" },         { "text.embed", 0, "model.decoder.vocab" },
        { "decoder.embed", 0, "model.decoder.vocab" },    { "decoder.embed", 1, "model.decoder.width" },
        { "decoder.0.ffn.gate", 0, "model.decoder.ffn" }, { "codes.0.table", 0, "model.codes.size" },
        { "head.p0.w", 0, "model.head.width" },
    };
    static const struct { const char *form, *key; } COUNT[] = {
        { "text.%d.ln1.w", "model.text.layers" }, { "decoder.%d.attn.wq", "model.decoder.layers" },
        { "projector.%d.w", "model.projector.layers" }, { "head.%d.norm1", "model.head.layers" },
        { "head.0.ffn.%d.w1", "model.codes.depth" },
    };
    const Config *c = x->r.c;
    const int side = c->model.vision.image / c->model.vision.patch, rows = side * side + (c->model.vision.kind == VISION_CLIP);
    const int head = c->model.decoder.head_dim ? c->model.decoder.head_dim : c->model.decoder.width / c->model.decoder.heads;
    for (size_t i = 0; i < sizeof SIZE / sizeof *SIZE; i++) {
        const CkptTensor *t = export_find(x, FROM_RUN, SIZE[i].tensor);
        if (t && !is(x, SIZE[i].key, t->size[SIZE[i].dim], e))
            return false;
    }
    for (size_t i = 0; i < sizeof COUNT / sizeof *COUNT; i++) {
        const int n = export_count(x, COUNT[i].form);
        if (n && !is(x, COUNT[i].key, n, e))
            return false;
    }
    const CkptTensor *pos = export_find(x, FROM_RUN, "vision.pos"), *wk = export_find(x, FROM_RUN, "decoder.0.attn.wk");
    if (pos && pos->size[0] != rows) {
        err_expected(e, "%d positions by model.vision.image, patch and kind", rows);
        err_got(e, "%lld", (long long)pos->size[0]);
        return err_set(e, EXIT_DATA, ckpt_path(x->ckpt[FROM_RUN]), "export with the configuration of the run (RUN/config.cfg)",
                       "the checkpoint is of another model");
    }
    if (wk && !is(x, "model.decoder.kv_heads", wk->size[0] / head, e))
        return false;
    if (wk && (!is(x, "model.decoder.tied", !export_find(x, FROM_RUN, "decoder.lm_head"), e) ||
               !is(x, "model.decoder.qk_norm", export_find(x, FROM_RUN, "decoder.0.attn.q_norm") != NULL, e)))
        return false;
    return !wk || is(x, "model.decoder.qkv_bias", export_find(x, FROM_RUN, "decoder.0.attn.bq") != NULL, e);
}

/* The id of <image>: the text model's own; or a row that is no piece; or the first of rows that the files get for it. */
static void place_image(Export *x)
{
    const int vocab = x->r.c->model.decoder.vocab, pieces = x->r.text ? text_size(x->r.text) : vocab;
    x->vocab = vocab;
    x->image_token = -1;
    if (x->layout != HF_LLAVA)
        return;
    x->image_token = x->r.text ? text_symbol(x->r.text, "<image>") : -1;
    if (x->image_token < 0)
        x->image_token = pieces;
    if (x->image_token >= vocab)
        x->vocab = vocab + EXPORT_ROWS;
}

bool plan_own(Export *x, Err *e)
{
    int tensors = 0, n = 0;
    for (int k = 0; k < FROM_FILE; k++) {
        int some = 0;
        if (x->ckpt[k])
            ckpt_tensors(x->ckpt[k], &some);
        tensors += some;
    }
    StTensor *t = calloc((size_t)tensors + 2, sizeof *t);
    CHECK(t, "no memory for a table of tensors");
    const bool decoder = export_find(x, FROM_RUN, "decoder.embed"), vision = export_find(x, FROM_RUN, "vision.patch.w");
    x->layout = decoder && vision ? HF_LLAVA : decoder ? HF_LLM : HF_SIGLIP;
    place_image(x);
    for (int k = 0; k < FROM_FILE; k++)
        if (x->ckpt[k] && k != FROM_BASE)
            n += own_tensors(x, k, t + n);
    n += add_identity(x, t, n);
    const bool ok = config_fits(x, e) && st_plan(&x->plan, t, n, (int64_t)x->r.c->export.shard_mb * 1000000, e) && own_items(x, e);
    free(t);
    return ok;
}
