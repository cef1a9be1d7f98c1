#include "io/h5/zfilter.h"

#include <hdf5.h>
#include <stdlib.h>
#include <zstd.h>

enum { DEFAULT_LEVEL = 3 };

static const size_t FRAME_MOST = (size_t)1 << 30;     /* unpacked; a frame's own claim is not believed beyond this */

static size_t replace(size_t *size, void **buf, void *with, size_t capacity, size_t used)
{
    if (ZSTD_isError(used)) {
        free(with);
        return 0;
    }
    free(*buf);
    *buf = with;
    *size = capacity;
    return used;
}

/* HDF5 owns *buf and frees what we leave there with free(); 0 means failure. */
static size_t zstd_filter(unsigned flags, size_t n_values, const unsigned values[], size_t n, size_t *size, void **buf)
{
    if (flags & H5Z_FLAG_REVERSE) {
        unsigned long long raw = ZSTD_getFrameContentSize(*buf, n);
        if (raw == ZSTD_CONTENTSIZE_ERROR || raw == ZSTD_CONTENTSIZE_UNKNOWN || raw == 0 || raw > FRAME_MOST)
            return 0;
        void *out = malloc(raw);
        return out ? replace(size, buf, out, raw, ZSTD_decompress(out, raw, *buf, n)) : 0;
    }
    size_t capacity = ZSTD_compressBound(n);
    void *out = malloc(capacity);
    int level = n_values ? (int)values[0] : DEFAULT_LEVEL;
    return out ? replace(size, buf, out, capacity, ZSTD_compress(out, capacity, *buf, n, level)) : 0;
}

void zfilter_register(void)
{
    static const H5Z_class2_t filter = {
        .version = H5Z_CLASS_T_VERS, .id = ZFILTER, .encoder_present = 1, .decoder_present = 1,
        .name = "zstd", .filter = zstd_filter,
    };
    if (H5Zfilter_avail(ZFILTER) <= 0)
        CHECK(H5Zregister(&filter) >= 0, "HDF5 does not take the zstd filter");
}
