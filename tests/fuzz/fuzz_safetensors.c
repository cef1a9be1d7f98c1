/*
 * Any bytes as a safetensors file: refused with EXIT_DATA, or whole: every tensor can be read to its last element.
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -std=c11 -D_GNU_SOURCE -I. tests/fuzz/fuzz_safetensors.c
 *         io/{safetensors,stheader,files,err}.c core/base.c -ljansson
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/hf/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    St s;
    Err e = { 0 };
    char name[16];
    const int fd = memfd_create("fuzz", 0);
    CHECK(fd >= 0 && file_write(fd, data, size), "no file in memory");
    snprintf(name, sizeof name, "%d", fd);
    if (st_open_file(&s, "/proc/self/fd", name, &e))
        read_all(&s);
    else
        CHECK(e.code == EXIT_DATA && e.what[0], "refused with %d", e.code);
    st_close(&s);
    close(fd);
    return 0;
}
