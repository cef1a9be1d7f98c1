#include <stdio.h>
#include <string.h>

#include "io/h5/h5inside.h"
#include "io/h5/zfilter.h"

/* ---- datasets ---- */

int64_t h5_elem(int type)
{
    static const int64_t bytes[] = { [H5_F32] = 4, [H5_U8] = 1, [H5_U16] = 2, [H5_I32] = 4, [H5_I64] = 8 };
    return bytes[type];
}

static hid_t file_type(int type)
{
    switch (type) {
    case H5_F32: return H5T_IEEE_F32LE;
    case H5_U8:  return H5T_STD_U8LE;
    case H5_U16: return H5T_STD_U16LE;
    case H5_I32: return H5T_STD_I32LE;
    default:     return H5T_STD_I64LE;
    }
}

static hid_t memory_type(int type)
{
    switch (type) {
    case H5_F32: return H5T_NATIVE_FLOAT;
    case H5_U8:  return H5T_NATIVE_UINT8;
    case H5_U16: return H5T_NATIVE_UINT16;
    case H5_I32: return H5T_NATIVE_INT32;
    default:     return H5T_NATIVE_INT64;
    }
}

static const char *type_name(int type)
{
    static const char *const name[] = { "float32", "uint8", "uint16", "int32", "int64" };
    return type >= H5_F32 && type <= H5_I64 ? name[type] : "another type";
}

hid_t h5_transfer(const H5 *h)
{
    hid_t transfer = H5Pcreate(H5P_DATASET_XFER);
    CHECK(transfer >= 0, "HDF5: no transfer properties");
    if (h->comm != MPI_COMM_NULL)
        CHECK(H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE) >= 0, "HDF5: no collective transfer");
    return transfer;
}

static hid_t space_of(int dims, const int64_t *size)
{
    hsize_t n[SLICE_DIMS];
    for (int d = 0; d < dims; d++)
        n[d] = (hsize_t)size[d];
    hid_t space = H5Screate_simple(dims, n, NULL);
    CHECK(space >= 0, "HDF5: no dataspace of %d dims", dims);
    return space;
}

static void choose(hid_t space, const Slice *s)
{
    hsize_t start[SLICE_DIMS], stride[SLICE_DIMS], count[SLICE_DIMS], block[SLICE_DIMS];
    for (int d = 0; d < s->dims; d++) {
        start[d]  = (hsize_t)s->start[d];
        count[d]  = (hsize_t)s->count[d];
        block[d]  = (hsize_t)s->block[d];
        stride[d] = s->count[d] > 1 ? (hsize_t)s->stride[d] : (hsize_t)max64(s->block[d], 1);
    }
    herr_t rc = slice_total(s) ? H5Sselect_hyperslab(space, H5S_SELECT_SET, start, stride, count, block)
                               : H5Sselect_none(space);
    CHECK(rc >= 0, "HDF5 does not take the slice");
}

/* Every rank takes part, with or without elements; of an array without any there is nothing to do.  Memory has the shape of what
   was chosen, though it lies dense: between spaces of unlike shapes HDF5 maps a chunked dataset element by element. */
static herr_t transfer(H5 *h, hid_t set, int type, const Slice *s, void *to, const void *from)
{
    static char nothing[8];
    for (int d = 0; d < s->dims; d++)
        if (s->size[d] == 0)
            return 0;
    int64_t n = slice_total(s), chosen[SLICE_DIMS];
    for (int d = 0; d < s->dims; d++)
        chosen[d] = n ? slice_extent(s, d) : 1;
    hid_t file = space_of(s->dims, s->size), memory = space_of(s->dims, chosen), how = h5_transfer(h);
    choose(file, s);
    if (n == 0)
        H5Sselect_none(memory);
    herr_t rc = to ? H5Dread(set, memory_type(type), memory, file, how, n ? to : nothing)
                   : H5Dwrite(set, memory_type(type), memory, file, how, n ? from : nothing);
    H5Sclose(file);
    H5Sclose(memory);
    H5Pclose(how);
    return rc;
}

static hid_t created_set(H5 *h, const char *name, int type, const Slice *s, const int64_t *chunk, int level)
{
    hsize_t part[SLICE_DIMS];
    bool empty = false;
    for (int d = 0; d < s->dims; d++) {
        part[d] = (hsize_t)(chunk ? min64(chunk[d], s->size[d]) : 0);
        empty |= s->size[d] == 0;
    }
    hid_t groups = H5Pcreate(H5P_LINK_CREATE), layout = H5Pcreate(H5P_DATASET_CREATE);
    bool ok = groups >= 0 && layout >= 0 && H5Pset_create_intermediate_group(groups, 1) >= 0 &&
              H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER) >= 0 && H5Pset_obj_track_times(layout, false) >= 0;
    if (ok && chunk && !empty) {
        unsigned value = (unsigned)level;
        ok = H5Pset_chunk(layout, s->dims, part) >= 0 &&
             (level == 0 || H5Pset_filter(layout, ZFILTER, H5Z_FLAG_MANDATORY, 1, &value) >= 0);
    }
    hid_t space = space_of(s->dims, s->size), set = -1;
    if (ok)
        set = H5Dcreate2(h->file, name, file_type(type), space, groups, layout, H5P_DEFAULT);
    H5Sclose(space);
    H5Pclose(groups);
    H5Pclose(layout);
    return set;
}

static bool unbroken(const H5 *h, Err *e)
{
    return !h->broken || err_set(e, EXIT_IO, h->path, "", "an earlier write to this file failed");
}

bool h5_make(H5 *h, const char *name, int type, const Slice *mine, const int64_t *chunk, int zstd_level, Err *e)
{
    ASSERT(h->created && (chunk || zstd_level == 0));
    if (!unbroken(h, e))
        return false;
    Slice whole = slice_whole(mine->dims, mine->size);
    hid_t set = created_set(h, name, type, mine, chunk, zstd_level);
    bool ok = set >= 0 ? h5_reserve(h, name, slice_total(&whole) * h5_elem(type), e)
                       : h5_fail(h, e, EXIT_IO, name, "cannot be created");
    if (set >= 0)
        H5Dclose(set);
    return h5_wrote(h, ok, e);
}

bool h5_fill(H5 *h, const char *name, int type, const Slice *mine, const void *data, Err *e)
{
    if (!unbroken(h, e))
        return false;
    hid_t set = H5Dopen2(h->file, name, H5P_DEFAULT);
    bool ok = (set >= 0 && transfer(h, set, type, mine, NULL, data) >= 0) || h5_fail(h, e, EXIT_IO, name, "cannot be written");
    h5_wrote(h, ok, e);
    if (set >= 0)
        H5Dclose(set);
    return !h->broken;
}

bool h5_write(H5 *h, const char *name, int type, const Slice *mine, const void *data, const int64_t *chunk,
              int zstd_level, Err *e)
{
    return h5_make(h, name, type, mine, chunk, zstd_level, e) && h5_fill(h, name, type, mine, data, e);
}

/* Type and shape of an open dataset; type -1 when it is none of ours, dims 0 when the shape is not. */
static void describe(hid_t set, int *type, int *dims, int64_t *size)
{
    hid_t of = H5Dget_type(set), space = H5Dget_space(set);
    hsize_t n[SLICE_DIMS];
    *type = H5_I64;
    while (*type >= 0 && H5Tequal(of, file_type(*type)) <= 0)
        --*type;
    *dims = H5Sget_simple_extent_ndims(space);
    if (*dims < 1 || *dims > SLICE_DIMS || H5Sget_simple_extent_dims(space, n, NULL) != *dims)
        *dims = 0;
    for (int d = 0; d < *dims; d++)
        size[d] = n[d] <= INT64_MAX ? (int64_t)n[d] : INT64_MAX;
    H5Tclose(of);
    H5Sclose(space);
}

bool h5_shape(H5 *h, const char *name, int *type, int *dims, int64_t *size, Err *e)
{
    hid_t set = H5Dopen2(h->file, name, H5P_DEFAULT);
    if (set < 0)
        return h5_fail(h, e, EXIT_DATA, name, "is not in the file");
    describe(set, type, dims, size);
    H5Dclose(set);
    if (*type < 0 || *dims == 0)
        return err_set(e, EXIT_DATA, h->path, "", "dataset \"%s\" has a type or shape that is not known here", name);
    return true;
}

static bool fits(const H5 *h, hid_t set, const char *name, int type, const Slice *want, Err *e)
{
    int has, dims;
    int64_t size[SLICE_DIMS];
    char is[SHAPE_TEXT], wanted[SHAPE_TEXT];
    describe(set, &has, &dims, size);
    if (has == type && dims == want->dims && !memcmp(size, want->size, (size_t)dims * sizeof size[0]))
        return true;
    shape_text(is, dims, size);
    shape_text(wanted, want->dims, want->size);
    err_expected(e, "%s %s", type_name(type), wanted);
    err_got(e, "%s %s", type_name(has), is);
    return err_set(e, EXIT_DATA, h->path, "the sizes in the configuration differ from those of the file",
                   "dataset \"%s\" is %s %s, %s %s is wanted", name, type_name(has), is, type_name(type), wanted);
}

bool h5_read(H5 *h, const char *name, int type, const Slice *want, void *data, Err *e)
{
    hid_t set = H5Dopen2(h->file, name, H5P_DEFAULT);
    bool ok = set >= 0 ? fits(h, set, name, type, want, e) : h5_fail(h, e, EXIT_DATA, name, "is not in the file");
    ok = err_agree(h->comm, ok, e);
    if (ok) {
        ok = transfer(h, set, type, want, data ? data : &(char){ 0 }, NULL) >= 0 ||
             h5_fail(h, e, EXIT_DATA, name, "cannot be read");
        ok = err_agree(h->comm, ok, e);
    }
    if (set >= 0)
        H5Dclose(set);
    return ok;
}
