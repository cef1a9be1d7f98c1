/*
 * frame.h -- one stored chunk of a shard, read without HDF5: pread, XXH64, zstd
 *
 * The index says where the chunks lie (index.h), so any thread may read them.  The hash is checked before the
 * bytes meet the decompressor, and the size of the unpacked bytes is known before, so neither chance nor
 * malice writes outside the buffers.
 *
 * Local; one Frame per thread; nothing is allocated after frame_open.  Tests: tests/io/set/test_damage.c
 */
#pragma once
#include <zstd.h>

#include "io/h5/h5.h"

typedef struct {
    ZSTD_DCtx *z;
    uint8_t   *stored;
    int64_t    capacity;                /* bytes of stored */
    int64_t    held;                    /* bytes that the last frame_load read */
} Frame;

void frame_open(Frame *f, int64_t capacity);       /* dies without memory */
void frame_close(Frame *f);

/* Reads the stored bytes of c and hashes them.  A short file is EXIT_DATA, a failing disk EXIT_IO. */
bool frame_load(Frame *f, int fd, const char *path, const H5Chunk *c, uint64_t *xxh64, Err *e);
/* Unpacks what was loaded to exactly `bytes` bytes at raw; anything else is EXIT_DATA. */
bool frame_unpack(Frame *f, const char *path, const H5Chunk *c, void *raw, int64_t bytes, Err *e);
/* Both, with c->xxh64 as the hash that is expected. */
bool frame_read(Frame *f, int fd, const char *path, const H5Chunk *c, void *raw, int64_t bytes, Err *e);
