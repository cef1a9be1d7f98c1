/*
 * fuzz_record.c -- any bytes as a file of conversations, read record by record
 *
 * Laws   refused: EXIT_DATA, and the place is the file, its record and a byte inside the file; a file without a record: the file
 *        records are counted from 0 and begin one behind the other
 *        accepted: a question first, pictures below their folder (by their real paths, too, where links are not followed), no more
 *        than 16 of them, pieces inside their files; right answers of choices are letters of theirs
 *        JSON Lines are never broken: a line that is no JSON costs itself
 *        read again from its byte, a record is the same, or as bad
 *        a whole file gives the same records when three ranks find them, wherever the slices are cut
 */
#include <sys/stat.h>

#include "io/source/llavaindex.h"
#include "io/source/media.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS = 64 };

static char root[PATH_MAX / 2];
static char real_root[PATH_MAX];
static bool follow;

static void clean(void)
{
    Err e = { 0 };
    dir_remove(root, &e);
}

/* A folder with a.png, sub/b.png, and a link that leaves it. */
static void make_root(void)
{
    char path[PATH_MAX];
    Err e = { 0 };
    snprintf(root, sizeof root, "%s/fuzz-record-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    CHECK(mkdtemp(root), "no folder %s", root);
    CHECK(realpath(root, real_root), "no folder %s", root);
    atexit(clean);
    snprintf(path, sizeof path, "%s/sub", root);
    CHECK(mkdir(path, 0777) == 0, "no folder %s", path);
    snprintf(path, sizeof path, "%s/sub/b.png", root);
    CHECK(file_replace(path, "x", 1, &e), "%s", e.what);
    snprintf(path, sizeof path, "%s/a.png", root);
    CHECK(file_replace(path, "x", 1, &e), "%s", e.what);
    snprintf(path, sizeof path, "%s/link", root);
    CHECK(symlink("/etc", path) == 0, "no link %s", path);
}

static void well_placed(const Err *e, const char *path, size_t size)
{
    long long record, byte;
    fuzz_refused(e, EXIT_DATA, path);
    LAW(sscanf(e->where + strlen(path), ": record %lld, byte %lld", &record, &byte) == 2, "no place in \"%s\"", e->where);
    LAW(record >= 0 && byte >= 0 && byte <= (long long)size, "\"%s\" of a file of %zu bytes", e->where, size);
}

static void well_formed(const LlavaRecord *r)
{
    LAW(r->n >= 1 && r->images >= 0 && r->images <= MEDIA_PICTURES && r->id, "a record of %d turns and %d pictures", r->n, r->images);
    for (int i = 0; i < r->n; i++)
        LAW(r->turns[i].human && (r->turns[i].answer || i == r->n - 1), "turn %d is not whole", i);
    const Asked *a = r->asked;
    LAW(a->n >= 0 && a->n <= ASKED_RIGHT && a->choices <= ASKED_CHOICES && (!a->task || (a->task[0] && !strpbrk(a->task, ",\n"))), "%d right answers", a->n);
    LAW(!a->n || r->turns[r->n - 1].answer, "a question with a right answer has none to learn");
    for (int i = 0; i < a->n; i++)
        LAW(a->right[i][0] && (!a->choices || (memchr(a->letter, a->right[i][0], (size_t)a->choices) && !a->right[i][1])), "\"%s\" is right", a->right[i]);
    for (int i = 0; i < r->images; i++) {
        const PictureRef *p = &r->image[i];
        char real[PATH_MAX];
        struct stat st;
        LAW(stat(p->path, &st) == 0 && S_ISREG(st.st_mode), "%s is no file", p->path);
        LAW(p->at >= 0 && p->bytes >= 0 && p->at <= st.st_size && p->bytes <= st.st_size - p->at, "%s has no byte %lld", p->path, (long long)(p->at + p->bytes));
        LAW((p->row < 0) == !p->column && p->index >= 0 && (p->row < 0 || picture_whole(p) == false), "row %lld without a column", (long long)p->row);
        LAW(follow || (realpath(p->path, real) && !strncmp(real, real_root, strlen(real_root))), "%s leads out of %s", p->path, root);
        LAW(!strncmp(r->image[i].path, root, strlen(root)) && r->image[i].path[strlen(root)] == '/' && !strstr(r->image[i].path, "/../"),
            "%s is not below %s", r->image[i].path, root);
    }
}

static void again(Llava *l, int64_t record, int64_t offset, int verdict, const char *text, int64_t bytes)
{
    LlavaRecord r;
    Err e = { 0 };
    llava_seek(l, offset, record);
    LAW(llava_next(l, &r, &e) == verdict && r.record == record && r.offset == offset, "record %lld is another when it is read again",
        (long long)record);
    LAW(r.bytes == bytes && !memcmp(r.text, text, (size_t)bytes), "the text of record %lld is another", (long long)record);
}

/* All records by one reader; how many, or -1 where the file is broken. */
static int64_t read_all(Llava *l, Llava *second, const char *path, size_t size, int64_t offset[RECORDS])
{
    LlavaRecord r;
    int64_t n = 0;
    for (int64_t before = -1;; n++) {
        Err e = { 0 };
        const int verdict = llava_next(l, &r, &e);
        if (verdict == 0)
            return n;
        if (verdict < 0)
            well_placed(&e, path, size);
        if (llava_scan(l)->broken.code) {
            LAW(!llava_scan(l)->lines, "JSON Lines are broken: %s", e.what);
            return -1;
        }
        LAW(r.record == n && r.offset > before, "record %lld at byte %lld, behind %lld", (long long)r.record, (long long)r.offset, (long long)before);
        before = r.offset;
        if (verdict > 0)
            well_formed(&r);
        if (n < RECORDS) {
            again(second, n, r.offset, verdict, r.text, r.bytes);
            offset[n] = r.offset;
        }
    }
}

/* The same by three ranks, the file cut at a and b. */
static void by_slices(Llava *l, int64_t n, const int64_t offset[RECORDS], int64_t a, int64_t b, int64_t size)
{
    const int64_t start = llava_scan(l)->first, from[4] = { start, max64(a, start), max64(b, start), size };
    JsonSlice slice[3] = { 0 };
    LlavaPart part[3];
    int64_t found = 0;
    Err e = { 0 };
    for (int r = 0; r < 3; r++)
        LAW(json_slice_read(&slice[r], llava_scan(l), from[r], from[r + 1], &e), "a slice cannot be read: %s", e.what);
    for (int r = 0; r < 3; r++) {
        LlavaIndex x = { 0 };
        int64_t first = -1;
        LAW(json_slice_first(&first, llava_scan(l), json_slice_state(slice, r), from[r], from[r + 1], &e), "%s", e.what);
        llava_index_slice(&x, &part[r], l, first, from[r + 1], false, &e);
        for (int64_t i = 0; i < x.n && found + i < RECORDS; i++)
            LAW(found + i < n && x.offset[i] == offset[found + i], "slices find other records");
        found += x.n;
        llava_index_free(&x);
    }
    LAW(llava_parts_fit(part, 3, start) == 3 && found == n, "slices find %lld records of %lld, or do not fit", (long long)found, (long long)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    Err e = { 0 };
    int64_t offset[RECORDS];
    if (!root[0])
        make_root();
    const int fd = fuzz_file(data, size, path);
    follow = size % 2;
    Llava *l = llava_open(path, root, follow, &e), *second = l ? llava_open(path, root, follow, &e) : NULL;
    if (l) {
        const int64_t n = read_all(l, second, path, size, offset), cut = (int64_t)size * (1 + (data[size / 2] & 63)) / 65;
        if (n >= 0)
            by_slices(l, n, offset, cut, cut + ((int64_t)size - cut) / 2, (int64_t)size);
    } else {
        fuzz_refused(&e, EXIT_DATA, path);
    }
    llava_close(l);
    llava_close(second);
    close(fd);
    return 0;
}
