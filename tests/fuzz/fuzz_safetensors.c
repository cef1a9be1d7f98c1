/*
 * fuzz_safetensors.c -- any bytes as a safetensors file
 *
 * Laws   refused: EXIT_DATA, and the place is the file
 *        accepted: the tensors tile the data, no byte twice and none left out; a tensor's bytes are its shape times its type
 *        every tensor can be read to its last element and is found by its name
 *        the same bytes get the same verdict and the same table
 */
#include "io/hf/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void read_all(const St *s)
{
    for (int i = 0; i < s->tensors; i++) {
        const StTensor *t = &s->tensor[i];
        Err e = { 0 };
        char *bytes = malloc((size_t)t->bytes + 1);
        float *x = malloc((size_t)(t->rows * t->cols + 1) * sizeof *x);
        CHECK(st_read_bytes(s, t, 0, t->bytes, bytes, &e), "%s cannot be read: %s", t->name, e.what);
        CHECK(t->type == ST_OTHER || st_read(s, t, 0, t->rows, 0, t->cols, x, t->cols, &e), "%s cannot be read: %s", t->name, e.what);
        CHECK(st_find(s, t->name) == t, "%s is not found", t->name);
        free(bytes);
        free(x);
    }
}

static void tiles(const St *s)
{
    int64_t all = s->file[0].head_bytes;
    for (int i = 0; i < s->tensors; i++) {
        const StTensor *t = &s->tensor[i];
        __int128 bytes = t->elem;
        for (int d = 0; d < t->dims; d++)
            bytes *= t->shape[d];
        LAW(bytes == t->bytes && t->offset >= s->file[0].head_bytes && t->offset + t->bytes <= s->file[0].bytes, "%s has %lld bytes",
            t->name, (long long)t->bytes);
        all += t->bytes;
    }
    LAW(all == s->file[0].bytes, "%lld bytes of %lld have a tensor", (long long)all, (long long)s->file[0].bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    St s, twin;
    Err e = { 0 }, same = { 0 };
    char path[32];
    const int fd = fuzz_file(data, size, path);
    const char *name = strrchr(path, '/') + 1;
    const bool ok = st_open_file(&s, "/proc/self/fd", name, &e);
    LAW(ok == st_open_file(&twin, "/proc/self/fd", name, &same) && !memcmp(&e, &same, sizeof e), "two verdicts");
    if (ok) {
        tiles(&s);
        read_all(&s);
        LAW(s.tensors == twin.tensors && (!s.tensors || !memcmp(s.tensor, twin.tensor, (size_t)s.tensors * sizeof *s.tensor)), "two tables");
    } else {
        fuzz_refused(&e, EXIT_DATA, path);
    }
    st_close(&s);
    st_close(&twin);
    close(fd);
    return 0;
}
