#include "io/ckpt/tensors.h"

#include "io/base/files.h"

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

enum { COPY = 1 << 16 };

/* ---- the sum ---- */

static uint64_t mix(uint64_t i, uint32_t word)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)word << 32;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return word ? (x ^ x >> 32) * word : 0;
}

uint64_t tensors_sum(const void *data, int64_t bytes, int64_t first)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < bytes / 4; i++) {
        uint32_t word;
        memcpy(&word, (const char *)data + 4 * i, 4);
        sum += mix((uint64_t)(first + i), word);
    }
    uint32_t last = 0;
    memcpy(&last, (const char *)data + bytes / 4 * 4, (size_t)(bytes % 4));
    return sum + mix((uint64_t)(first + bytes / 4), last);
}

/* ---- the layout ---- */

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
    hid_t set = H5Dcreate2(file, t->name, H5T_IEEE_F32LE, space, groups, layout, H5P_DEFAULT);
    haddr_t at = set >= 0 && !empty ? H5Dget_offset(set) : 0;
    t->offset = (int64_t)at;
    if (set >= 0)
        H5Dclose(set);
    H5Sclose(space);
    return set >= 0 && at != HADDR_UNDEF && at % 4 == 0;
}

/* The whole file as HDF5 would write it, elements left out, into the memory file fd. */
static bool lay_out(int fd, const char *path, CkptTensor *t, int n, Err *e)
{
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t how = H5Pcreate(H5P_FILE_ACCESS), groups = H5Pcreate(H5P_LINK_CREATE), layout = H5Pcreate(H5P_DATASET_CREATE);
    /* The stdio driver, since the default one wants the real path of what it opens, and memory has none.  1.10: the
       newest format that every reader knows, with checksums in the metadata.  Every object begins on a cache line. */
    CHECK(H5Pset_fapl_stdio(how) >= 0 && H5Pset_libver_bounds(how, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 && H5Pset_alignment(how, 1, 64) >= 0 &&
          H5Pset_create_intermediate_group(groups, 1) >= 0 && H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY) >= 0 &&
          H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER) >= 0, "HDF5 1.10 or newer is needed");
    hid_t file = H5Fcreate(name, H5F_ACC_TRUNC, H5P_DEFAULT, how);
    bool ok = file >= 0 || err_set(e, EXIT_INTERNAL, path, "", "HDF5 cannot lay the file out in memory");
    for (int i = 0; ok && i < n; i++)
        ok = place(file, groups, layout, &t[i])
          || err_set(e, EXIT_INTERNAL, path, "", "HDF5 does not take the tensor \"%s\" (a name given twice?)", t[i].name);
    if (file >= 0 && H5Fclose(file) < 0)
        ok = err_set(e, EXIT_INTERNAL, path, "", "HDF5 cannot lay the file out in memory");
    H5Pclose(how);
    H5Pclose(groups);
    H5Pclose(layout);
    return ok;
}

/* Copies what is not a hole. */
static bool copy_extents(int to, int from, const char *path, int64_t bytes, uint64_t *sum, Err *e)
{
    char buf[COPY];
    for (int64_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0 && at < bytes; ) {
        int64_t end = lseek(from, at, SEEK_HOLE);
        CHECK(at % 4 == 0 && end > at, "the memory file has odd extents");
        for (int64_t n; at < end; at += n) {
            n = min64(end - at, COPY);
            CHECK(file_pread(from, buf, n, at) == n, "cannot read the memory file");
            if (!file_pwrite(to, buf, n, at))
                return file_error(e, path, "write");
            *sum += tensors_sum(buf, n, at / 4);
        }
    }
    return true;
}

/* Space is reserved at once: better to learn here that the disk is full.  Not every file system can. */
static bool reserve(int fd, const char *path, int64_t bytes, Err *e)
{
    if (fallocate(fd, 0, 0, bytes) && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
        return file_error(e, path, "reserve the space of a checkpoint");
    return ftruncate(fd, bytes) == 0 || file_error(e, path, "set the size of a checkpoint");
}

/* Whether this process may write files so long.  HDF5 must not find that out in the middle. */
static bool allowed(const char *path, const CkptTensor *t, int n, Err *e)
{
    struct rlimit most;
    int64_t bytes = (int64_t)n * 8192;
    for (int i = 0; i < n; i++) {
        int64_t of = 4;
        for (int d = 0; d < t[i].dims; d++)
            of *= t[i].size[d];
        bytes += of;
    }
    if (getrlimit(RLIMIT_FSIZE, &most) || most.rlim_cur == RLIM_INFINITY || (uint64_t)bytes <= most.rlim_cur)
        return true;
    errno = EFBIG;
    return file_error(e, path, "write a file so long (ulimit -f)");
}

bool tensors_layout(const char *path, CkptTensor *t, int n, int64_t *bytes, uint64_t *sum, Err *e)
{
    int memory = memfd_create("layout", MFD_CLOEXEC);
    CHECK(memory >= 0, "no memory for the layout of a checkpoint");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    struct stat st;
    bool ok = fd >= 0 || file_error(e, path, "create");
    ok = ok && allowed(path, t, n, e) && lay_out(memory, path, t, n, e);
    CHECK(fstat(memory, &st) == 0, "cannot stat the memory file");
    *bytes = st.st_size, *sum = 0;
    ok = ok && reserve(fd, path, *bytes, e) && copy_extents(fd, memory, path, *bytes, sum, e);
    if (fd >= 0 && close(fd) && ok)
        ok = file_error(e, path, "close");
    close(memory);
    return ok;
}

/* ---- slices ---- */

bool tensors_write(int fd, const char *path, const CkptTensor *t, const Slice *s, const float *data, uint64_t *sum, Err *e)
{
    SliceRun r;
    for (int64_t i = 0; slice_run(s, i, &r); i++) {
        if (!file_pwrite(fd, data + r.here, 4 * r.n, t->offset + 4 * r.at))
            return file_error(e, path, "write");
        *sum += tensors_sum(data + r.here, 4 * r.n, t->offset / 4 + r.at);
    }
    return true;
}
