#include "io/ckpt/layout.h"

#include "io/base/files.h"
#include "io/ckpt/tensors.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The groups that a name goes through.  Nothing in the file says when it was made: the same tensors are the same bytes. */
static bool make_groups(hid_t file, hid_t timeless, const char *name)
{
    char group[CKPT_NAME];
    bool ok = true;
    for (const char *slash = strchr(name, '/'); slash && ok; slash = strchr(slash + 1, '/')) {
        snprintf(group, sizeof group, "%.*s", (int)(slash - name), name);
        if (H5Lexists(file, group, H5P_DEFAULT) > 0)
            continue;
        hid_t made = H5Gcreate2(file, group, H5P_DEFAULT, timeless, H5P_DEFAULT);
        ok = made >= 0 && H5Gclose(made) >= 0;
    }
    return ok;
}

/* Creates one dataset without elements; its place in the file becomes t->offset. */
static bool place(hid_t file, hid_t groups, hid_t layout, CkptTensor *t)
{
    hsize_t size[SLICE_DIMS];
    bool empty = false;
    for (int d = 0; d < t->dims; d++) {
        size[d] = (hsize_t)t->size[d];
        empty |= size[d] == 0;
    }
    hid_t space = H5Screate_simple(t->dims, size, NULL);
    hid_t set = make_groups(file, groups, t->name) ? H5Dcreate2(file, t->name, H5T_IEEE_F32LE, space, H5P_DEFAULT, layout, H5P_DEFAULT) : -1;
    haddr_t at = set >= 0 && !empty ? H5Dget_offset(set) : 0;
    t->offset = (int64_t)at;
    if (set >= 0)
        H5Dclose(set);
    H5Sclose(space);
    return set >= 0 && at != HADDR_UNDEF && at % 4 == 0;
}

/* The whole file as HDF5 would write it, elements left out, into the memory file fd. */
static bool lay_out(int fd, Layout *l, Err *e)
{
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t how = H5Pcreate(H5P_FILE_ACCESS), groups = H5Pcreate(H5P_GROUP_CREATE), layout = H5Pcreate(H5P_DATASET_CREATE);
    hid_t plain = H5Pcreate(H5P_FILE_CREATE);
    /* The stdio driver, since the default one wants the real path of what it opens, and memory has none.  1.10: the
       newest format that every reader knows, with checksums in the metadata.  Every object begins on a cache line. */
    CHECK(H5Pset_fapl_stdio(how) >= 0 && H5Pset_libver_bounds(how, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 && H5Pset_alignment(how, 1, 64) >= 0 &&
          H5Pset_obj_track_times(plain, false) >= 0 && H5Pset_obj_track_times(groups, false) >= 0 &&
          H5Pset_obj_track_times(layout, false) >= 0 && H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY) >= 0 &&
          H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER) >= 0, "HDF5 1.10 or newer is needed");
    hid_t file = H5Fcreate(name, H5F_ACC_TRUNC, plain, how);
    bool ok = file >= 0 || err_set(e, EXIT_INTERNAL, TENSORS_NAME, "", "HDF5 cannot lay the file out in memory");
    for (int i = 0; ok && i < l->tensors; i++)
        ok = place(file, groups, layout, &l->tensor[i])
          || err_set(e, EXIT_INTERNAL, TENSORS_NAME, "", "HDF5 does not take the tensor \"%s\" (a name given twice?)", l->tensor[i].name);
    if (file >= 0 && H5Fclose(file) < 0)
        ok = err_set(e, EXIT_INTERNAL, TENSORS_NAME, "", "HDF5 cannot lay the file out in memory");
    H5Pclose(how);
    H5Pclose(plain);
    H5Pclose(groups);
    H5Pclose(layout);
    return ok;
}

/* Keeps what is not a hole. */
static void keep_extents(Layout *l, int fd)
{
    for (int64_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0 && at < l->bytes; ) {
        const int64_t end = lseek(fd, at, SEEK_HOLE);
        CHECK(at % 4 == 0 && end > at, "the memory file has odd extents");
        l->extent = realloc(l->extent, (size_t)(l->extents + 1) * sizeof *l->extent);
        CHECK(l->extent, "no memory for the layout of a checkpoint");
        Extent *x = &l->extent[l->extents++];
        *x = (Extent){ at, end - at, malloc((size_t)(end - at)) };
        CHECK(x->data && file_pread(fd, x->data, x->bytes, at) == x->bytes, "no memory for the layout of a checkpoint");
        at = end;
    }
}

/* Whether this process may write files so long.  HDF5 must not find that out in the middle. */
static bool allowed(const char *path, int64_t bytes, Err *e)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_FSIZE, &most) || most.rlim_cur == RLIM_INFINITY || (uint64_t)bytes <= most.rlim_cur)
        return true;
    errno = EFBIG;
    return file_error(e, path, "write a file so long (ulimit -f)");
}

bool layout_make(Layout *l, const Piece *p, int n, Err *e)
{
    struct stat st;
    bool ok = true;
    int64_t about = (int64_t)n * 8192;
    *l = (Layout){ .tensor = calloc((size_t)n + 1, sizeof *l->tensor) };
    CHECK(l->tensor, "no memory for a table of %d tensors", n);
    for (int i = 0; i < n && ok; i = piece_next(p, n, i)) {
        CkptTensor *t = &l->tensor[l->tensors++];
        t->dims = p[i].slice.dims;
        memcpy(t->size, p[i].slice.size, sizeof t->size);
        int64_t of = 4;
        for (int d = 0; d < t->dims; d++)
            of *= t->size[d];
        about += of;
        if (snprintf(t->name, CKPT_NAME, "%s", p[i].name) >= CKPT_NAME)
            ok = err_set(e, EXIT_INTERNAL, TENSORS_NAME, "", "the tensor's name is too long: %s", p[i].name);
    }
    const int memory = memfd_create("layout", MFD_CLOEXEC);
    CHECK(memory >= 0, "no memory for the layout of a checkpoint");
    ok = ok && allowed(TENSORS_NAME, about, e) && lay_out(memory, l, e);
    CHECK(fstat(memory, &st) == 0, "cannot stat the memory file");
    l->bytes = st.st_size;
    if (ok)
        keep_extents(l, memory);
    close(memory);
    return ok;
}

void layout_close(Layout *l)
{
    for (int i = 0; i < l->extents; i++)
        free(l->extent[i].data);
    free(l->extent);
    free(l->tensor);
    *l = (Layout){ 0 };
}

bool layout_write(const Layout *l, const char *path, uint64_t *sum, Err *e)
{
    const int fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC);
    bool ok = fd >= 0 || file_error(e, path, "create");
    ok = ok && allowed(path, l->bytes, e) && file_reserve(fd, path, l->bytes, e);
    for (int i = 0; i < l->extents && ok; i++) {
        const Extent *x = &l->extent[i];
        ok = file_pwrite(fd, x->data, x->bytes, x->offset) || file_error(e, path, "write");
        *sum += tensors_sum(x->data, x->bytes, x->offset / 4);
    }
    if (fd >= 0 && !file_close(fd) && ok)
        ok = file_error(e, path, "close");
    return ok;
}
