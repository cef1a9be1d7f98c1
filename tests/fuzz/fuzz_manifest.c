/*
 * fuzz_manifest.c -- any bytes as the manifest of a checkpoint: as they are, and with the hash made right
 *
 * Laws   refused: EXIT_DATA at the file, and nothing of it is used
 *        as it is, only a manifest whose hash is right is accepted; one of its bits flipped, it is refused
 *        accepted: tensors lie inside the file, the cursor fits, there is a hash for each block
 *        parse(print(m)) = m, and print(parse(print(m))) = print(m)
 */
#include <inttypes.h>

#include <xxhash.h>

#include "io/ckpt/manifest.h"
#include "tests/fuzz/fuzz.h"

static const char seal_form[] = ",\n \"hash\": \"0x%016" PRIx64 "\"\n}\n";
enum { SEAL = 34, SEAL_TEXT = 14 };

/* The text without its seal, if it has one, with the right one behind it. */
static char *sealed(const uint8_t *data, size_t size, size_t *n)
{
    const bool has = size >= SEAL && !memcmp(data + size - SEAL, seal_form, SEAL_TEXT);
    const size_t body = has ? size - SEAL : size;
    char *text = malloc(body + SEAL + 1);
    CHECK(text, "no memory for a text");
    memcpy(text, data, body);
    *n = body + (size_t)snprintf(text + body, SEAL + 1, seal_form, (uint64_t)XXH64(data, body, 0));
    return text;
}

static void invariants(const Manifest *m)
{
    LAW(m->meta.version >= 1 && m->meta.version <= CKPT_VERSION && !m->newer, "version %d", m->meta.version);
    LAW(m->meta.step >= 0 && m->meta.dp >= 1 && m->meta.tp >= 1, "a grid of %d x %d", m->meta.dp, m->meta.tp);
    LAW(m->bytes >= 0 && m->blocks == (m->bytes + HASH_BLOCK - 1) / HASH_BLOCK, "%lld blocks", (long long)m->blocks);
    for (int i = 0; i < m->tensors; i++) {
        const CkptTensor *t = &m->tensor[i];
        __int128 bytes = 4;
        LAW(t->dims >= 1 && t->dims <= SLICE_DIMS && memchr(t->name, 0, sizeof t->name), "tensor %d", i);
        for (int d = 0; d < t->dims; d++)
            LAW(t->size[d] >= 0 && (bytes *= t->size[d]) <= INT64_MAX, "tensor %d", i);
        LAW(t->offset >= 0 && t->offset + bytes <= m->bytes, "tensor %s leaves the file", t->name);
    }
}

static void comes_back(const Manifest *m)
{
    Manifest is;
    Err e = { 0 };
    char *text = manifest_text(m);
    LAW(text && manifest_parse(&is, text, strlen(text), "printed", &e), "what is printed is refused: %s", e.what);
    char *twice = manifest_text(&is);
    LAW(twice && is.tensors == m->tensors && is.blocks == m->blocks, "what is printed is another manifest");
    is.meta.version = m->meta.version;
    LAW(!strcmp(text, twice), "what is printed is printed otherwise");
    free(text);
    free(twice);
    manifest_free(&is);
}

static bool parse(const char *text, size_t n)
{
    Manifest m;
    Err e = { 0 };
    char *copy = malloc(n ? n : 1);                       /* just n bytes: a sanitizer sees a step past them */
    CHECK(copy, "no memory for a text");
    memcpy(copy, text, n);
    const bool ok = manifest_parse(&m, copy, n, "here", &e);
    if (ok) {
        invariants(&m);
        comes_back(&m);
    } else {
        fuzz_refused(&e, EXIT_DATA, "here");
    }
    manifest_free(&m);
    free(copy);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n;
    char *text = sealed(data, size, &n);
    const bool raw = parse((const char *)data, size), ok = parse(text, n);
    LAW(!raw || (ok && n == size && !memcmp(text, data, n)), "a manifest without its hash is accepted");
    if (ok) {
        const size_t bit = (size_t)XXH64(data, size, 1) % (8 * n);
        text[bit / 8] ^= (char)(1 << bit % 8);
        LAW(!parse(text, n), "a manifest is accepted with bit %zu flipped", bit);
    }
    free(text);
    return 0;
}
