#include <stdlib.h>
#include <string.h>

#include "io/h5/h5inside.h"

bool h5_chunk_rows(H5 *h, const char *name, int64_t *rows, Err *e)
{
    hid_t set = H5Dopen2(h->file, name, H5P_DEFAULT);
    if (set < 0)
        return h5_fail(h, e, EXIT_DATA, name, "is not in the file");
    hid_t layout = H5Dget_create_plist(set), space = H5Dget_space(set);
    hsize_t part[SLICE_DIMS], size[SLICE_DIMS];
    int dims = H5Sget_simple_extent_ndims(space);
    bool ok = dims >= 1 && dims <= SLICE_DIMS && H5Sget_simple_extent_dims(space, size, NULL) == dims;
    *rows = 0;
    if (ok && H5Pget_layout(layout) == H5D_CHUNKED) {
        ok = H5Pget_chunk(layout, dims, part) == dims;
        for (int d = 1; ok && d < dims; d++)
            ok = part[d] == size[d];
        *rows = ok ? (int64_t)part[0] : 0;
    }
    H5Sclose(space);
    H5Pclose(layout);
    H5Dclose(set);
    return ok || h5_fail(h, e, EXIT_DATA, name, "has chunks that are not whole rows");
}

bool h5_chunks(H5 *h, const char *name, H5Chunk *list, int64_t n, Err *e)
{
    int64_t rows;
    if (!h5_chunk_rows(h, name, &rows, e))
        return false;
    ASSERT(strlen(name) < sizeof list->dataset);
    hid_t set = H5Dopen2(h->file, name, H5P_DEFAULT), space = H5Dget_space(set);
    hsize_t has = 0;
    bool ok = set >= 0 && H5Dget_num_chunks(set, space, &has) >= 0 && has == (hsize_t)n;
    for (int64_t i = 0; ok && i < n; i++) {
        hsize_t at[SLICE_DIMS], size;
        haddr_t address;
        unsigned left_out;
        ok = H5Dget_chunk_info(set, space, (hsize_t)i, at, &left_out, &address, &size) >= 0 && left_out == 0 &&
             at[0] == (hsize_t)(i * rows);
        if (ok) {
            list[i] = (H5Chunk){ .row = (int64_t)at[0], .offset = (int64_t)address, .size = (int64_t)size };
            strcpy(list[i].dataset, name);
        }
    }
    H5Sclose(space);
    H5Dclose(set);
    return ok || h5_fail(h, e, EXIT_DATA, name, "lacks a stored chunk");
}

/* ---- the table of hashes ---- */

static hid_t hash_type(bool stored)
{
    hid_t text = H5Tcopy(H5T_C_S1), type;
    hid_t i64 = stored ? H5T_STD_I64LE : H5T_NATIVE_INT64, u64 = stored ? H5T_STD_U64LE : H5T_NATIVE_UINT64;
    bool ok = H5Tset_size(text, sizeof((H5Chunk *)0)->dataset) >= 0 &&
              (type = H5Tcreate(H5T_COMPOUND, sizeof(H5Chunk))) >= 0 &&
              H5Tinsert(type, "dataset", HOFFSET(H5Chunk, dataset), text) >= 0 &&
              H5Tinsert(type, "row", HOFFSET(H5Chunk, row), i64) >= 0 &&
              H5Tinsert(type, "offset", HOFFSET(H5Chunk, offset), i64) >= 0 &&
              H5Tinsert(type, "size", HOFFSET(H5Chunk, size), i64) >= 0 &&
              H5Tinsert(type, "xxh64", HOFFSET(H5Chunk, xxh64), u64) >= 0;
    CHECK(ok, "HDF5: no type for a table of hashes");
    H5Tclose(text);
    return type;
}

bool h5_hash_write(H5 *h, const char *name, const H5Chunk *list, int64_t n, Err *e)
{
    int rank = 0;
    if (h->comm != MPI_COMM_NULL)
        MPI_Comm_rank(h->comm, &rank);
    hsize_t size = (hsize_t)n;
    hid_t stored = hash_type(true), memory = hash_type(false), space = H5Screate_simple(1, &size, NULL);
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(layout, false);
    hid_t set = H5Dcreate2(h->file, name, stored, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    bool ok = set >= 0 ? h5_reserve(h, name, n * (int64_t)sizeof *list, e)
                       : h5_fail(h, e, EXIT_IO, name, "cannot be created");
    if (h5_wrote(h, ok, e) && n > 0) {
        hid_t how = h5_transfer(h);
        if (rank > 0)
            H5Sselect_none(space);
        ok = H5Dwrite(set, memory, space, space, how, list) >= 0 || h5_fail(h, e, EXIT_IO, name, "cannot be written");
        h5_wrote(h, ok, e);
        H5Pclose(how);
    }
    if (set >= 0)
        H5Dclose(set);
    H5Pclose(layout);
    H5Sclose(space);
    H5Tclose(stored);
    H5Tclose(memory);
    return !h->broken;
}

bool h5_hash_read(H5 *h, const char *name, H5Chunk **list, int64_t *n, int64_t most, Err *e)
{
    *list = NULL;
    *n = 0;
    hid_t set = H5Dopen2(h->file, name, H5P_DEFAULT);
    if (set < 0)
        return h5_fail(h, e, EXIT_DATA, name, "is not in the file");
    hid_t stored = hash_type(true), memory = hash_type(false), of = H5Dget_type(set), space = H5Dget_space(set);
    hssize_t has = H5Sget_simple_extent_npoints(space);
    bool ok = H5Tequal(of, stored) > 0 && H5Sget_simple_extent_ndims(space) == 1 && has >= 0 && has <= most;
    if (ok) {
        *list = calloc((size_t)has + 1, sizeof **list);
        CHECK(*list, "no memory for %lld hashes", (long long)has);
        *n = has;
        ok = has == 0 || H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, *list) >= 0;
        for (int64_t i = 0; i < *n; i++)
            (*list)[i].dataset[sizeof (*list)->dataset - 1] = 0;
    }
    H5Sclose(space);
    H5Tclose(of);
    H5Tclose(stored);
    H5Tclose(memory);
    H5Dclose(set);
    if (!ok) {
        free(*list);
        *list = NULL;
        *n = 0;
    }
    return ok || h5_fail(h, e, EXIT_DATA, name, "is no table of hashes, or longer than the file");
}
