/*
 * driver.c -- a fuzz target without libFuzzer:  TARGET FOLDER [TIMES]
 *
 * Runs every file of the corpus as it lies, then TIMES (32) damaged copies of each: cut, a byte changed, a piece written over
 * another.  Which damage, the file's name and the copy's number say, so a run says the same each time.  What was run last stands
 * in the message of a law that was broken; a sanitizer's report comes behind "last:".
 */
#include <dirent.h>
#include <signal.h>

#include "core/rng.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MOST = 1 << 20 };

static char last[600];

static void say(int code)
{
    (void)code;
    fprintf(stderr, "last: %s\n", last);
}

static void say_signal(int sig)
{
    if (write(STDERR_FILENO, last, strlen(last)) > 0)
        signal(sig, SIG_DFL);
    raise(sig);
}

/* A fresh block of just n bytes each time, so that a sanitizer sees a step past the end. */
static void one(const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    CHECK(copy, "no memory for an input of %zu bytes", n);
    memcpy(copy, bytes, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static size_t damage(uint8_t *b, size_t n, Rng *r)
{
    static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '"', '{', '[', '9', '-' };
    for (int64_t k = 1 + rng_draw(r, 3); k > 0 && n > 1; k--) {
        const size_t at = (size_t)rng_draw(r, (int64_t)n), from = (size_t)rng_draw(r, (int64_t)n);
        const size_t most = n - (at > from ? at : from);
        switch (rng_draw(r, 4)) {
        case 0:  b[at] = odd[rng_draw(r, sizeof odd)];                             break;
        case 1:  b[at] ^= (uint8_t)(1 << rng_draw(r, 8));                          break;
        case 2:  memmove(b + at, b + from, (size_t)rng_draw(r, (int64_t)most + 1));  break;
        default: n = k == 1 ? at : n;                                              break;
        }
    }
    return n;
}

static void run_file(const char *folder, const char *name, int times)
{
    char path[PATH_ROOM], *bytes;
    size_t n;
    Err e = { 0 };
    CHECK(path_set(path, &e, "%s/%s", folder, name) && file_read(path, INPUT_MOST, &bytes, &n, &e), "%s: %s", name, e.what);
    snprintf(last, sizeof last, "%.500s", path);
    one((const uint8_t *)bytes, n);
    uint8_t *b = malloc(n + 1);
    CHECK(b, "no memory for an input of %zu bytes", n);
    for (int k = 0; k < times && n; k++) {
        Rng r = { (uint64_t)k, rng_stream(name), 0 };
        memcpy(b, bytes, n);
        snprintf(last, sizeof last, "%.500s, copy %d", path, k);
        one(b, damage(b, n, &r));
    }
    free(b);
    free(bytes);
}

int main(int argc, char **argv)
{
    struct dirent **entry;
    const int times = argc > 2 ? atoi(argv[2]) : 32, found = argc > 1 ? scandir(argv[1], &entry, NULL, alphasort) : -1;
    int files = 0;
    die_hook = say;
    signal(SIGABRT, say_signal);
    for (int i = 0; i < found; i++) {
        if (entry[i]->d_name[0] != '.') {
            run_file(argv[1], entry[i]->d_name, times);
            files++;
        }
        free(entry[i]);
    }
    if (found < 0 || !files) {
        fprintf(stderr, "%s FOLDER [TIMES]: no files in the corpus %s\n", argv[0], argc > 1 ? argv[1] : "");
        return 1;
    }
    free(entry);
    printf("%d files, each also damaged %d times\n", files, times);
    return 0;
}
