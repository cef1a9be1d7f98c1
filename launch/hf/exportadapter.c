/* exportadapter.c -- an export of low-rank pairs alone: a folder that peft opens upon the exported base (export.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/hf/hfadapter.h"
#include "launch/hf/export.h"

static const char WEIGHTS[] = "weights/";

/* Does a checkpoint's tensor stand in an adapter?  Its name there, and of a pair's the module beside which it stands. */
static bool placed(const Export *x, const CkptTensor *t, char name[ST_NAME], char module[ST_NAME])
{
    const char *ours = t->name + sizeof WEIGHTS - 1;
    return !strncmp(t->name, WEIGHTS, sizeof WEIGHTS - 1) && hfadapter_name(ours, x->layout, name, module);
}

/* What has learned and neither pairs nor a module to save carry. */
static bool refused(const Export *x, const CkptTensor *t, Err *e)
{
    static const char *const PART[] = { "vision.", "decoder." };
    for (size_t i = 0; i < sizeof PART / sizeof *PART; i++)
        if (!strncmp(t->name, WEIGHTS, sizeof WEIGHTS - 1) && !strncmp(t->name + sizeof WEIGHTS - 1, PART[i], strlen(PART[i])))
            return !err_set(e, EXIT_CONFIG, ckpt_path(x->ckpt[FROM_RUN]), "export without export.adapter: the pairs are merged into the weights",
                            "the run's checkpoint has \"%s\", which an adapter cannot carry", t->name + sizeof WEIGHTS - 1);
    return false;
}

bool plan_adapter(Export *x, Err *e)
{
    int tensors, n = 0;
    char name[ST_NAME], module[ST_NAME];
    const CkptTensor *list = ckpt_tensors(x->ckpt[FROM_RUN], &tensors);
    StTensor *t = calloc((size_t)tensors + 1, sizeof *t);
    CHECK(t, "no memory for a table of tensors");
    bool ok = ckpt_meta(x->ckpt[FROM_RUN])->lora_rank ||
              err_set(e, EXIT_CONFIG, ckpt_path(x->ckpt[FROM_RUN]), "export without export.adapter", "the run has no low-rank pairs");
    x->layout = export_find(x, FROM_RUN, "vision.patch.w") ? HF_LLAVA : HF_LLM;
    for (int i = 0; i < tensors && ok; i++) {
        ok = !refused(x, &list[i], e);
        if (ok && placed(x, &list[i], name, module))
            t[n++] = st_tensor(name, (StType)x->r.c->export.dtype, list[i].dims, list[i].size);
    }
    ok = ok && st_plan(&x->plan, t, n, 0, e);
    if (ok)
        snprintf(x->plan.file[0].name, ST_NAME, HFADAPTER_WEIGHTS);
    for (int i = 0; i < tensors && ok; i++)
        if (placed(x, &list[i], name, module)) {
            ExportItem item = { .from = FROM_RUN, .tensor = &list[i], .to = st_find(&x->plan, name), .piece = { .row_blocks = 1, .col_blocks = 1 } };
            export_add(x, item);
        }
    free(t);
    return ok;
}

bool export_adapter_small(const Export *x, const char *dir, Err *e)
{
    int tensors, n = 0;
    const CkptTensor *list = ckpt_tensors(x->ckpt[FROM_RUN], &tensors);
    const CkptMeta *m = ckpt_meta(x->ckpt[FROM_RUN]);
    char (*module)[ST_NAME] = calloc((size_t)tensors + 1, sizeof *module), name[ST_NAME];
    CHECK(module, "no memory for a list of %d modules", tensors);
    bool projector = false;
    for (int i = 0; i < tensors; i++) {
        if (!placed(x, &list[i], name, module[n]))
            continue;
        projector |= !module[n][0];
        n += module[n][0] && strstr(name, "lora_A");
    }
    char *text = hfadapter_config(x->layout, m->lora_rank, m->lora_alpha, module, n, x->r.c->model.decoder.layers, projector);
    free(module);
    return hffiles_put(dir, HFADAPTER_CONFIG, text, e);
}
