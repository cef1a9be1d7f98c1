#include "io/source/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAX_MOST = 1 << 20 };

/* What stands in front of a member and speaks of it. */
typedef struct { char name[PATH_ROOM]; int64_t bytes; bool sparse; } Extra;

static const char hint_cut[] = "it was cut off, or is still being written; copy it again";

static int damaged(const Tar *t, int64_t byte, Err *e, const char *what, const char *hint)
{
    char where[400];
    snprintf(where, sizeof where, "%.340s: byte %lld", t->path, (long long)byte);
    err_set(e, EXIT_DATA, where, hint, "%s", what);
    return -1;
}

static bool get(Tar *t, void *to, int64_t n, int64_t at, Err *e)
{
    const int64_t got = file_pread(t->fd, to, n, at);
    if (got < 0)
        return file_error(e, t->path, "read the tar file");
    return got == n || damaged(t, at + got, e, "the tar file became shorter while it was read", hint_cut) > 0;
}

static const struct { const char *name, *tool; int n; const char *begins; } packed[] = {
    { "gzip", "gunzip", 2, "\x1f\x8b" }, { "zstd", "zstd -d", 4, "\x28\xb5\x2f\xfd" },
    { "xz", "xz -d", 6, "\xfd" "7zXZ\0" }, { "bzip2", "bunzip2", 3, "BZh" }, { "lz4", "lz4 -d", 4, "\x04\x22\x4d\x18" },
};

/* Pictures are read at their place, which a compressed tar has not. */
static bool is_plain(Tar *t, const uint8_t *b, Err *e)
{
    char hint[96];
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (!memcmp(b, packed[i].begins, (size_t)packed[i].n)) {
            snprintf(hint, sizeof hint, "unpack it first: %s (its pictures are compressed already)", packed[i].tool);
            return err_set(e, EXIT_DATA, t->path, hint, "a tar file compressed by %s is not read", packed[i].name);
        }
    return true;
}

bool tar_open(Tar *t, const char *path, Err *e)
{
    struct stat st = { 0 };
    uint8_t b[TAR_BLOCK] = { 0 };
    *t = (Tar){ .fd = file_open(path, O_RDONLY | O_NONBLOCK) };
    snprintf(t->path, sizeof t->path, "%s", path);
    const bool ok = t->fd >= 0 && fstat(t->fd, &st) == 0 && S_ISREG(st.st_mode);
    t->size = st.st_size;
    if (!ok)
        err_set(e, EXIT_DATA, path, "", "cannot read the tar file: %s",
                t->fd < 0 ? strerror(errno) : S_ISDIR(st.st_mode) ? "a folder" : "not a file");
    else if (t->size == 0)
        err_set(e, EXIT_DATA, path, hint_cut, "the tar file is empty");
    else if (get(t, b, min64(t->size, sizeof b), 0, e) && is_plain(t, b, e))
        return true;
    tar_close(t);
    return false;
}

void tar_close(Tar *t)
{
    if (t->fd >= 0)
        file_close(t->fd);
    t->fd = -1;
}

/* Octal, between blanks or zeros, or base 256; -1: no number, or a negative one, or beyond 2^60. */
static int64_t number(const uint8_t *p, int n)
{
    int64_t x = 0;
    int i = 0;
    if (p[0] & 0x80) {
        if (p[0] != 0x80)
            return -1;
        for (i = 1; i < n; i++) {
            if (x >> 52)
                return -1;
            x = x << 8 | p[i];
        }
        return x;
    }
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        x = x << 3 | (p[i] - '0');
    return i < n && p[i] && p[i] != ' ' ? -1 : x;
}

/* Old writers added up signed bytes. */
static bool sum_fits(const uint8_t *h)
{
    int64_t plain = 0, with_sign = 0;
    for (int i = 0; i < TAR_BLOCK; i++) {
        const uint8_t c = i >= 148 && i < 156 ? ' ' : h[i];
        plain += c;
        with_sign += (int8_t)c;
    }
    const int64_t sum = number(h + 148, 8);
    return sum == plain || sum == with_sign;
}

static bool is_zero(const uint8_t *h)
{
    for (int i = 0; i < TAR_BLOCK; i++)
        if (h[i])
            return false;
    return true;
}

/* The records "LEN key=value\n" of a pax header. */
static bool read_pax(const char *b, int64_t n, Extra *x)
{
    for (int64_t at = 0; at < n && b[at];) {
        int64_t len = 0, k = at;
        for (; k < n && b[k] >= '0' && b[k] <= '9' && len < PAX_MOST; k++)
            len = 10 * len + b[k] - '0';
        if (k == at || k >= n || b[k] != ' ' || len > n - at || at + len - 1 <= k || b[at + len - 1] != '\n')
            return false;
        const char *key = b + k + 1, *end = b + at + len - 1, *is = memchr(key, '=', (size_t)(end - key));
        if (!is)
            return false;
        const int64_t bytes = end - is - 1;
        if (is - key == 4 && !memcmp(key, "path", 4)) {
            if (bytes >= PATH_ROOM || bytes < 1)
                return false;
            memcpy(x->name, is + 1, (size_t)bytes);
            x->name[bytes] = 0;
        } else if (is - key == 4 && !memcmp(key, "size", 4)) {
            x->bytes = 0;
            for (const char *p = is + 1; p < end; p++) {
                if (*p < '0' || *p > '9' || x->bytes >> 56)
                    return false;
                x->bytes = 10 * x->bytes + *p - '0';
            }
        } else if (is - key >= 10 && !memcmp(key, "GNU.sparse", 10)) {
            x->sparse = true;
        }
        at += len;
    }
    return true;
}

/* The body of a header that speaks of the next member. */
static bool read_extra(Tar *t, int kind, int64_t at, int64_t bytes, Extra *x, Err *e)
{
    if (kind == 'g' || kind == 'K')
        return true;
    if (bytes > (kind == 'L' ? PATH_ROOM : PAX_MOST))
        return damaged(t, at, e, kind == 'L' ? "a member's name is longer than 4096 bytes" : "a pax header is longer than 1 MiB", "") > 0;
    char *b = calloc((size_t)bytes + 1, 1);
    CHECK(b, "no memory for a header of %lld bytes", (long long)bytes);
    bool ok = get(t, b, bytes, at, e);
    if (ok && kind == 'L')
        snprintf(x->name, sizeof x->name, "%s", b);
    else if (ok && !read_pax(b, bytes, x))
        ok = damaged(t, at, e, "a damaged pax header", hint_cut) > 0;
    free(b);
    return ok;
}

static void set_name(Tar *t, const uint8_t *h, const Extra *x)
{
    const bool ustar = !memcmp(h + 257, "ustar\0", 6);
    const int prefix = ustar && h[345] ? (int)strnlen((const char *)h + 345, 155) : 0, name = (int)strnlen((const char *)h, 100);
    if (x->name[0])
        memcpy(t->name, x->name, sizeof t->name);
    else
        snprintf(t->name, sizeof t->name, "%.*s%s%.*s", prefix, (const char *)h + 345, prefix ? "/" : "", name, (const char *)h);
    if (!strncmp(t->name, "./", 2))
        memmove(t->name, t->name + 2, strlen(t->name) - 1);
}

/* Behind the end mark: is there another member, as `cat a.tar b.tar` makes it?  Zeros and rubbish are none. */
static bool goes_on(Tar *t, int64_t at, Err *e)
{
    uint8_t h[TAR_BLOCK];
    while ((at += TAR_BLOCK) + TAR_BLOCK <= t->size) {
        if (!get(t, h, TAR_BLOCK, at, e))
            return true;
        if (!is_zero(h))
            return sum_fits(h) && damaged(t, at, e, "another tar file stands behind this one's end mark", "name each by itself, or unpack and write anew");
    }
    return false;
}

int tar_next(Tar *t, Err *e)
{
    uint8_t h[TAR_BLOCK];
    Extra x = { .bytes = -1 };
    for (;;) {
        const int64_t at = t->next;
        if (at == t->size)
            return damaged(t, at, e, "the tar file ends without its end mark, a block of zeros", hint_cut);
        if (at + TAR_BLOCK > t->size)
            return damaged(t, at, e, "the tar file ends in the middle of a header", hint_cut);
        if (!get(t, h, TAR_BLOCK, at, e))
            return -1;
        if (is_zero(h))
            return goes_on(t, at, e) ? -1 : 0;
        if (!sum_fits(h))
            return damaged(t, at, e, at ? "a damaged header: its checksum is another" : "this is no tar file", at ? "copy the tar file again" : "");
        const int kind = h[156];
        const bool extra = kind == 'x' || kind == 'g' || kind == 'L' || kind == 'K';
        const int64_t bytes = !extra && x.bytes >= 0 ? x.bytes : number(h + 124, 12), room = t->size - at - TAR_BLOCK;
        if (bytes < 0)
            return damaged(t, at, e, "a member's size is no number", "copy the tar file again");
        if (bytes > room) {
            err_expected(e, "%lld bytes at most, up to the end of the file", (long long)room);
            err_got(e, "%lld bytes", (long long)bytes);
            return damaged(t, at, e, "a member reaches beyond the end of the tar file", hint_cut);
        }
        t->next = min64(at + TAR_BLOCK + ceil_div(bytes, TAR_BLOCK) * TAR_BLOCK, t->size);
        if (kind == 'S' || (x.sparse && !extra))
            return damaged(t, at, e, "a sparse member is not read", "write the tar file without --sparse");
        if (extra) {
            if (!read_extra(t, kind, at + TAR_BLOCK, bytes, &x, e))
                return -1;
            continue;
        }
        set_name(t, h, &x);
        t->header = at;
        t->at = at + TAR_BLOCK;
        t->bytes = bytes;
        t->file = kind == '0' || kind == 0 || kind == '7';
        return 1;
    }
}
