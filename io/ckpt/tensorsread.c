#include "io/ckpt/tensors.h"

#include "io/base/files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

int64_t tensors_share(int64_t blocks, int rank, int size)
{
    return blocks / size * rank + min64(blocks % size, rank);
}

bool tensors_hash(int fd, const char *path, int64_t bytes, int64_t first, int64_t n, uint64_t *hash, uint64_t *sum, Err *e)
{
    char *buf = malloc(HASH_BLOCK);
    CHECK(buf, "no memory for %d bytes of a checkpoint", HASH_BLOCK);
    bool ok = true;
    for (int64_t b = 0; ok && b < n; b++) {
        int64_t at = (first + b) * HASH_BLOCK, want = min64(HASH_BLOCK, bytes - at), got = file_pread(fd, buf, want, at);
        if (got < 0)
            ok = file_error(e, path, "read");
        else if (got < want)
            ok = err_set(e, EXIT_DATA, path, "", "the file ends at byte %" PRId64 ", it should have %" PRId64, at + got, bytes);
        else
            hash[b] = XXH64(buf, (size_t)want, 0);
        if (ok && sum)
            *sum += tensors_sum(buf, want, at / 4);
    }
    free(buf);
    return ok;
}
