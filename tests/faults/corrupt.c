/*
 * corrupt.c -- damages a file, by a seed: what disks, networks and people do
 *
 *     corrupt FILE SEED flip[:BIT]     one bit (of the file: 8 x byte + bit); the same call once more mends it
 *                       cut[:BYTES]    truncated to so many
 *                       zero[:BYTE]    the page of 4,096 bytes with this byte
 *                       swap           two pages change places
 *                       fill[:BYTE]    16 bytes of something else
 *                       grow           one byte more
 *                       newer          of a manifest.json: version 9, its hash made right
 * Prints what it did.  Ends with 2 if the file stays what it was.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { PAGE = 4096 };

static uint64_t state;

static int64_t draw(int64_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return below > 0 ? (int64_t)((state >> 20) % (uint64_t)below) : 0;
}

static int64_t less(int64_t a, int64_t b) { return a < b ? a : b; }

/* The hash covers what stands in front of it. */
static void newer(char *text, int64_t size)
{
    char seal[64], *version = strstr(text, "\"version\": ");
    const int n = snprintf(seal, sizeof seal, ",\n \"hash\": \"0x%016" PRIx64 "\"\n}\n", (uint64_t)0);
    if (!version || size < n)
        return;
    version[strlen("\"version\": ")] = '9';
    snprintf(seal, sizeof seal, ",\n \"hash\": \"0x%016" PRIx64 "\"\n}\n", (uint64_t)XXH64(text, (size_t)(size - n), 0));
    memcpy(text + size - n, seal, (size_t)n);
}

int main(int n, char **arg)
{
    struct stat st;
    FILE *f = n == 4 ? fopen(arg[1], "r+b") : NULL;
    if (!f || fstat(fileno(f), &st)) {
        fprintf(stderr, "corrupt FILE SEED flip[:BIT]|cut[:BYTES]|zero[:BYTE]|swap|fill[:BYTE]|grow|newer\n");
        return 1;
    }
    const int64_t size = st.st_size;
    const char *colon = strchr(arg[3], ':');
    const int kind = arg[3][0];
    char *was = malloc((size_t)size + 1), *is = malloc((size_t)size + 1);
    if (!was || !is || fread(was, 1, (size_t)size, f) != (size_t)size)
        return 1;
    memcpy(is, was, (size_t)size);
    is[size] = 1;
    state = strtoull(arg[2], NULL, 10) * 2654435761u + 1;
    draw(2);
    const int64_t given = colon ? strtoll(colon + 1, NULL, 10) : -1;
    int64_t at = given >= 0 ? given : draw(kind == 'f' && arg[3][1] == 'l' ? 8 * size : size), now = size;
    if (!strncmp(arg[3], "flip", 4)) {
        is[at / 8] ^= (char)(1 << at % 8);
    } else if (kind == 'c') {
        now = at;
    } else if (kind == 'z') {
        at -= at % PAGE;
        memset(is + at, 0, (size_t)less(PAGE, size - at));
    } else if (kind == 's') {
        const int64_t pages = size / PAGE, other = draw(pages) * PAGE;
        at = draw(pages) * PAGE;
        if (pages > 1) {
            memcpy(is + at, was + other, PAGE);
            memcpy(is + other, was + at, PAGE);
        }
    } else if (kind == 'f') {
        for (int64_t i = at; i < less(at + 16, size); i++)
            is[i] = (char)draw(256);
    } else if (kind == 'n') {
        newer(is, size);
    } else {
        now = size + 1;
    }
    rewind(f);
    if (ftruncate(fileno(f), now) || fwrite(is, 1, (size_t)now, f) != (size_t)now || fclose(f))
        return 1;
    printf("%s of %s at %" PRId64 " of %" PRId64 "\n", arg[3], arg[1], at, size);
    return now == size && !memcmp(was, is, (size_t)size) ? 2 : 0;
}
