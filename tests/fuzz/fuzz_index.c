/*
 * fuzz_index.c -- any bytes as the index of a data set, its hashes made right; there are no shards
 *
 * The input is JSON, a zero byte, tables.
 *
 * Laws   refused: EXIT_DATA at the file
 *        accepted: every sample that it speaks of can be asked for without harm: read, or refused with a code and a place
 *        with one byte of its first part changed it is refused by its hash
 */
#include "io/set/catalogueinside.h"
#include "tests/fuzz/fuzz.h"
#include "tests/io/set/sealed_index.h"

static void ask(Index *x, int split)
{
    Err e = { 0 };
    Shards *s = shards_of(x, split, &e);
    if (!s) {
        LAW(e.code && e.what[0], "refused without a word");
        return;
    }
    int64_t room = 0;
    for (int k = 0; k < SHARD_ARRAYS; k++)
        room += s->raw_bytes[k] * 4;
    if (room + s->max_images * s->row_bytes[SHARD_PIXELS] < 64 << 20) {         /* what is allowed may be large */
        ShardReader *r = reader_open(s);
        for (int64_t i = 0; i < s->meta.samples && i < 64; i++) {
            Sample sample;
            Err why = { 0 };
            LAW(reader_sample(r, i, &sample, &why) || (why.code && why.what[0] && why.where[0]), "refused without a word or a place");
        }
        reader_close(r);
    }
    shards_close(s);
}

/* A byte of the JSON is another. */
static void flipped(uint8_t *file, size_t n)
{
    char path[32];
    Err e = { 0 };
    file[64] ^= 1;
    const int fd = fuzz_file(file, n, path);
    LAW(!index_open(path, &e), "an index with another byte is accepted");
    fuzz_refused(&e, EXIT_DATA, path);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n;
    uint8_t *file = index_sealed(data, size, &n);
    char path[32];
    const int fd = fuzz_file(file, n, path);
    for (int split = 0; split < SPLITS; split++) {
        Err e = { 0 };
        Index *x = index_open(path, &e);
        if (x)
            ask(x, split);
        else
            fuzz_refused(&e, EXIT_DATA, path);
    }
    close(fd);
    flipped(file, n);
    free(file);
    return 0;
}
