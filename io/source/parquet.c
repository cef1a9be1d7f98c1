#include "io/source/parquet.h"

#include <string.h>

#include "io/base/modules.h"
#include "io/source/sources.h"

const ParquetOps *parquet_ops(Err *e)
{
    static const Module module = {
        .file = "asvr-parquet.so", .symbol = "asvr_parquet_ops", .what = "the reader of parquet files", .version = PARQUET_VERSION,
        .size = sizeof(ParquetOps),
        .none = "it needs Arrow's C++ library: `make ARROW=DIR`, as pyarrow's folder (docs/FORMATS.md, Sources); or write JSON Lines",
        .libraries = "put the folder of libarrow and libparquet into LD_LIBRARY_PATH, or build it again: `make ARROW=DIR`" };
    static const ParquetOps *ops;
    if (!ops)
        ops = module_load(&module, e);
    return ops;
}

static bool add_row(void *ctx, const ParquetRow *r)
{
    Listing *l = ctx;
    if (r->turns)
        list_turns(l, r->id, r->images, r->key, r->turns);
    else if (!r->pictures)
        list_passed(l, "rows without a picture");
    else if (!r->caption)
        list_passed(l, "rows without a caption");
    else
        list_caption(l, r->id, r->images, r->pictures, r->caption, r->caption_bytes);
    return !ferror(l->f);
}

bool list_parquet(Listing *l, const char *path, const char *name, Err *e)
{
    const ParquetOps *ops = parquet_ops(e);
    ParquetFile *f = ops ? ops->open(path, name, e) : NULL;
    bool ok = f && ops->rows(f, add_row, l, e);
    if (!ok && !e->code)
        err_set(e, EXIT_IO, name, "", "cannot write the listing of the source");
    if (f)
        ops->close(f);
    return ok || list_bad(l, e);
}
