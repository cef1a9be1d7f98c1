#include "io/source/parquet.h"

#include <stdio.h>
#include <string.h>

#include "io/base/modules.h"
#include "io/source/sources.h"

enum { WHY = 256 };

static const ParquetOps *ops;

static bool need_module(Err *e)
{
    static const Module module = {
        .file = "asvr-parquet.so", .symbol = "asvr_parquet_ops", .what = "the reader of parquet files", .version = PARQUET_VERSION,
        .size = sizeof(ParquetOps),
        .none = "it needs Arrow's C++ library: `make ARROW=DIR`, as pyarrow's folder (docs/FORMATS.md, Sources); or write JSON Lines",
        .libraries = "put the folder of libarrow and libparquet into LD_LIBRARY_PATH, or build it again: `make ARROW=DIR`" };
    if (!ops)
        ops = module_load(&module, e);
    return ops;
}

static bool bad(Err *e, const char *place, const char *why)
{
    err_got(e, "%s", why);
    return err_set(e, EXIT_DATA, place, "", "this parquet file, or what is asked of it, cannot be read");
}

ParquetFile *parquet_open(const char *path, const char *name, Err *e)
{
    char why[WHY] = "";
    ParquetFile *f = need_module(e) ? ops->open(path, name, why, sizeof why) : NULL;
    if (!f && !e->code)
        bad(e, path, why);
    return f;
}

void parquet_close(ParquetFile *f)
{
    if (f)
        ops->close(f);
}

bool parquet_picture(ParquetFile *f, const char *place, int64_t row, const char *column, int64_t index, const uint8_t **bytes, size_t *n, Err *e)
{
    char why[WHY] = "";
    return ops->picture(f, row, column, index, bytes, n, why, sizeof why) || bad(e, place, why);
}

static bool add_row(void *ctx, const ParquetRow *r)
{
    Listing *l = ctx;
    if (r->turns && r->caption)
        list_passed(l, "captions beside a conversation");
    if (r->turns)
        list_turns(l, r->id, r->images, r->key, r->turns, NULL, r->asked);
    else if (!r->pictures)
        list_passed(l, "rows without a picture");
    else if (!r->caption)
        list_passed(l, "rows without a caption");
    else
        list_caption(l, r->id, r->images, r->pictures, r->caption, r->caption_bytes);
    return !ferror(l->f);
}

/* Named once a file. */
static void pass_columns(Listing *l, const char *names)
{
    char one[64];
    for (; *names; names += strcspn(names, ","), names += *names == ',') {
        snprintf(one, sizeof one, "column %.*s", (int)min64((int64_t)strcspn(names, ","), 40), names);
        list_passed(l, one);
    }
}

bool list_parquet(Listing *l, const char *path, const char *name, Err *e)
{
    char why[WHY] = "";
    ParquetFile *f = parquet_open(path, name, e);
    bool ok = f && ops->rows(f, add_row, l, why, sizeof why);
    if (f && ok)
        pass_columns(l, ops->unread(f));
    else if (f && why[0])
        bad(e, path, why);
    else if (f)
        err_set(e, EXIT_IO, path, "", "cannot write the listing of the source");
    parquet_close(f);
    return ok || list_bad(l, e);
}
