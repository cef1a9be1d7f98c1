#include "io/ckpt/tensors.h"

#include "core/bits.h"
#include "core/rng.h"
#include "io/base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the sum ---- */

/* Odd, so that a word that changes always changes the sum; 32 bits, so that the products are one vector instruction. */
static inline uint64_t weight(uint64_t i) { return (uint32_t)((uint32_t)i * 0x9e3779b1u ^ (uint32_t)(i >> 32)) | 1; }

uint64_t tensors_sum(const void *data, int64_t bytes, int64_t first)
{
    uint64_t sum = 0;
    uint32_t word, last = 0;
    for (int64_t i = 0; i < bytes / 4; i++) {
        memcpy(&word, (const char *)data + 4 * i, 4);
        sum += word * weight((uint64_t)(first + i));
    }
    memcpy(&last, (const char *)data + bytes / 4 * 4, (size_t)(bytes % 4));
    return sum + last * weight((uint64_t)(first + bytes / 4));
}

/* ---- slices ---- */

void tensors_add(TensorSums *sums, const CkptTensor *t, const float *data, int64_t at, int64_t n)
{
    const bool weight_of_the_model = !strncmp(t->name, "weights/", 8);
    const uint64_t bits = bits_sum(rng_stream(weight_of_the_model ? t->name + 8 : t->name), at, data, n);
    sums->words += tensors_sum(data, 4 * n, t->offset / 4 + at);
    *(weight_of_the_model ? &sums->weights : &sums->moments) += bits;
}

/* In pieces that stay in the cache between the sums and the copy into the system's. */
bool tensors_write(int fd, const char *path, const CkptTensor *t, const Slice *s, const float *data, TensorSums *sums, Err *e)
{
    SliceRun r;
    for (int64_t i = 0; slice_run(s, i, &r); i++)
        for (int64_t done = 0, n; done < r.n; done += n) {
            n = min64(r.n - done, HASH_BLOCK / 4);
            tensors_add(sums, t, data + r.here + done, r.at + done, n);
            if (!file_pwrite(fd, data + r.here + done, 4 * n, t->offset + 4 * (r.at + done)))
                return file_error(e, path, "write");
        }
    return true;
}
