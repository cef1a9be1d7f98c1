/* test_index -- the index of a data set: whole or refused; what it speaks of is read as HDF5 reads it; sets mix by weight */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/set/catalogue.h"
#include "io/set/frame.h"
#include "io/set/indexinside.h"
#include "io/set/shardfile.h"
#include "tests/io/set/sample_shard.h"

enum { TRAIN = 70, MORE = 41, VAL = 30 };

static char dir[256];
static int  rank, ranks;

static const char *file(const char *name)
{
    static char path[4][512];
    static int which;
    which = (which + 1) % 4;
    snprintf(path[which], sizeof path[which], "%s/%s", dir, name);
    return path[which];
}

static void good(bool ok, const Err *e)
{
    if (!ok)
        fail_msg("%s (%s; expected %s, got %s)", e->what, e->where, e->expected, e->got);
}

/* A shard of samples [first, first + n), written by all ranks. */
static void shard(const char *name, int64_t first, int64_t n, bool eval)
{
    Err e = { 0 };
    ShardMeta m = drawn_meta(eval);
    const int64_t from = first + n * rank / ranks, to = first + n * (rank + 1) / ranks;
    ShardPart p = drawn_part(from, to - from);
    good(shard_write(MPI_COMM_WORLD, file(name), &m, &p, &e), &e);
    part_free(&p);
}

/* Two shards for training, one for evaluation, under their own names, and their index: its hash. */
static uint64_t pack(const char *folder)
{
    static const struct { const char *name; int split; int64_t number, first, n; } part[] = {
        { "a.h5", SPLIT_TRAIN, 0, 0, TRAIN }, { "b.h5", SPLIT_TRAIN, 1, TRAIN, MORE }, { "v.h5", SPLIT_VAL, 0, 500, VAL } };
    Err e = { 0 };
    uint64_t hash = 0;
    char path[512];
    for (int k = 0; k < 3; k++)
        shard(part[k].name, part[k].first, part[k].n, part[k].split == SPLIT_VAL);
    if (rank == 0) {
        snprintf(path, sizeof path, "%s/%s/index.set", dir, folder);
        *strrchr(path, '/') = 0;
        good(dir_make(path, &e), &e);
        strcat(path, "/index.set");
        Index *x = index_new(path);
        for (int k = 0; k < 3; k++) {
            good(index_add(x, file(part[k].name), NULL, part[k].split, part[k].number, &e), &e);
            char to[1024];
            snprintf(to, sizeof to, "%s/%s", x->folder, x->shard[k].name);
            assert_int_equal(rename(file(part[k].name), to), 0);
        }
        x->held_out = x->used;
        x->held = 3;
        index_append(x, (int64_t[]){ 4, 8, 15 }, 24);
        x->kinds[SPLIT_VAL][0] = 16;
        good(index_write(x, &e), &e);
        hash = x->hash;
        index_close(x);
    }
    MPI_Bcast(&hash, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    return hash;
}

static bool verifies(const char *path, Err *e)
{
    int64_t bytes = 0;
    Index *x = index_open(path, e);
    bool ok = x && index_verify(x, 0, 1, &bytes, e);
    for (int i = 0; ok && i < x->n; i++)
        ok = index_verify_shard(x, i, 0, 1, &bytes, e);
    index_close(x);
    return ok;
}

static void check_all(const char *path)
{
    Err e = { 0 };
    for (int split = 0; split < SPLITS; split++) {
        Shards *s = shards_open(path, split, &e);
        good(s, &e);
        assert_int_equal(shards_meta(s)->samples, split ? VAL : TRAIN + MORE);
        good(shards_present(s, &e), &e);
        ShardReader *r = reader_open(s);
        for (int64_t i = shards_meta(s)->samples - 1; i >= 0; i--) {
            Sample x;
            good(reader_sample(r, i, &x, &e), &e);
            assert_true(is_drawn(&x, split ? 500 + i : i, split));
        }
        reader_close(r);
        shards_close(s);
    }
}

static void test_whole(void **state)
{
    (void)state;
    const uint64_t first = pack("one"), again = pack("two");
    assert_true(first && first == again);
    if (rank)
        return;
    Err e = { 0 };
    check_all(file("one/index.set"));
    check_all(file("two"));                                     /* a folder means its index.set */
    good(verifies(file("one/index.set"), &e), &e);
    Index *x = index_open(file("one/index.set"), &e);
    good(x, &e);
    IndexReader *r = index_reader_open();
    int64_t held[3];
    assert_true(x->held == 3 && x->kinds[SPLIT_VAL][0] == 16 && x->meta.samples == TRAIN + MORE + VAL);
    good(index_read(r, x, x->held_out, held, sizeof held, &e), &e);
    assert_true(held[0] == 4 && held[1] == 8 && held[2] == 15);
    index_reader_close(r);
    index_close(x);
    /* Another place is the same data set. */
    assert_int_equal(rename(file("one"), file("moved")), 0);
    check_all(file("moved/index.set"));
    Shards *s = shards_open(file("moved"), SPLIT_TRAIN, &e);
    assert_true(shards_identity(s) == first && shards_indexed(s));
    shards_close(s);
}

/* All that a shard stores, read collectively by HDF5 and chunk by chunk by pread: the same bytes. */
static void test_both_ways(void **state)
{
    (void)state;
    Err e = { 0 };
    ShardFile f;
    shard("w.h5", 0, 600, true);
    MPI_Barrier(MPI_COMM_WORLD);
    good(shard_file_open(&f, file("w.h5"), &e), &e);
    H5 *h = h5_open(MPI_COMM_WORLD, file("w.h5"), &e);
    good(h, &e);
    int64_t chunks = 0;
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        const Stored *a = &f.array[k];
        const int64_t rows = a->is.size[0], from = a->n * rank / ranks * a->per, to = min64(rows, a->n * (rank + 1) / ranks * a->per);
        const Slice mine = slice_range(slice_whole(a->is.dims, a->is.size), 0, from, max64(0, to - from));
        char *all = some(max64(0, to - from) * a->is.row_bytes, 1), *one = some(a->per * a->is.row_bytes, 1);
        good(h5_read(h, a->is.name, a->is.type, &mine, all, &e), &e);
        for (int64_t c = a->n * rank / ranks; c < a->n * (rank + 1) / ranks; c++, chunks++) {
            Frame frame;
            frame_open(&frame, a->chunk[c].size);
            good(frame_read(&frame, f.fd, f.path, &a->chunk[c], one, a->per * a->is.row_bytes, &e), &e);
            frame_close(&frame);
            const int64_t n = min64(a->per, rows - c * a->per);
            assert_memory_equal(one, all + (c * a->per - from) * a->is.row_bytes, (size_t)(n * a->is.row_bytes));
        }
        free(all);
        free(one);
    }
    good(h5_close(h, &e), &e);
    MPI_Allreduce(MPI_IN_PLACE, &chunks, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    assert_int_equal(chunks, f.chunks);
    assert_true(f.chunks > 30);                                  /* every rank had several */
    shard_file_close(&f);
}

static void flip(const char *path, int64_t at, int bit)
{
    uint8_t byte;
    const int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1 << bit);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* 1,000 single bits, anywhere in the index and its shards: each is found, and the file named. */
static void test_flips(void **state)
{
    (void)state;
    pack("flips");
    if (rank)
        return;
    Err e = { 0 };
    char path[4][512];
    int64_t size[4], all = 0;
    Index *x = index_open(file("flips"), &e);
    good(x, &e);
    snprintf(path[3], sizeof path[3], "%s", x->path);
    for (int i = 0; i < 3; i++)
        good(index_shard_path(x, i, path[i], sizeof path[i], &e), &e);
    index_close(x);
    for (int k = 0; k < 4; k++) {
        struct stat st;
        assert_int_equal(stat(path[k], &st), 0);
        all += size[k] = st.st_size;
    }
    int metadata = 0, dataset = 0;
    for (int n = 0; n < 1000; n++) {
        int64_t at = draw(n, 1, all);
        int k = 0;
        for (; at >= size[k]; k++)
            at -= size[k];
        Err why = { 0 };
        flip(path[k], at, n % 8);
        assert_false(verifies(file("flips"), &why));
        assert_int_equal(why.code, EXIT_DATA);
        assert_non_null(strstr(why.where, path[k]));
        if (k < 3) {
            long long from, to;
            const char *said = strstr(why.where, "byte offsets ");
            assert_true(said && sscanf(said, "byte offsets %lld to %lld", &from, &to) == 2 && from <= at && at <= to);
            metadata += strstr(why.what, "metadata") != NULL;
            dataset += strstr(why.what, "dataset \"") != NULL;
        }
        flip(path[k], at, n % 8);
    }
    assert_true(metadata > 10 && dataset > 10);
    good(verifies(file("flips"), &e), &e);
}

static void test_not_that_shard(void **state)
{
    (void)state;
    pack("swap");
    if (rank)
        return;
    Err e = { 0 };
    char a[512], b[512];
    Index *x = index_open(file("swap"), &e);
    index_shard_path(x, 0, a, sizeof a, &e);
    index_shard_path(x, 1, b, sizeof b, &e);
    index_close(x);
    assert_int_equal(rename(a, file("swap/t")), 0);
    assert_int_equal(rename(b, a), 0);
    assert_int_equal(rename(file("swap/t"), b), 0);
    for (int gone = 0; gone < 2; gone++) {
        Err why = { 0 }, absent = { 0 };
        Sample sample;
        Shards *s = shards_open(file("swap"), SPLIT_TRAIN, &e);
        good(s, &e);
        ShardReader *r = reader_open(s);
        assert_false(reader_sample(r, 0, &sample, &why));
        assert_false(shards_present(s, &absent));
        assert_true(why.code == EXIT_DATA && absent.code == EXIT_DATA && strstr(why.where, a));
        assert_non_null(strstr(why.what, gone ? "cannot be opened" : "not the shard that the index means"));
        reader_close(r);
        shards_close(s);
        unlink(a);
    }
}

static void test_mix(void **state)
{
    (void)state;
    pack("x");
    pack("y");
    if (rank)
        return;
    Err e = { 0 };
    char list[1200];
    enum { N = 3 * MIX_CYCLE };
    snprintf(list, sizeof list, "%s:3, %s:1", file("x/index.set"), file("y/index.set"));
    Shards *s = shards_open(list, SPLIT_TRAIN, &e);
    good(s, &e);
    const int64_t each = TRAIN + MORE;
    assert_int_equal(shards_meta(s)->samples, 2 * each);
    int64_t *seen = some(2 * each, sizeof *seen), of[2] = { 0 };
    for (int64_t p = 0; p < N; p++) {
        const int64_t i = shards_pick(s, 9, p);
        assert_in_range(i, 0, 2 * each - 1);
        assert_int_equal(i, shards_pick(s, 9, p));
        seen[i]++;
        of[i >= each]++;
        for (int k = 0; k < 2 && p % 97 == 0; k++) {            /* none twice more than another of its set */
            int64_t least = N, most = 0;
            for (int64_t j = k * each; j < (k + 1) * each; j++)
                least = min64(least, seen[j]), most = max64(most, seen[j]);
            assert_true(most - least <= 1);
        }
        if (p % MIX_CYCLE == MIX_CYCLE - 1)
            assert_int_equal(of[0], 3 * of[1]);                  /* the shares, to the sample */
    }
    free(seen);
    const uint64_t weighed = shards_identity(s);
    shards_close(s);
    snprintf(list, sizeof list, "%s, %s", file("x/index.set"), file("y/index.set"));
    s = shards_open(list, SPLIT_TRAIN, &e);
    good(s, &e);
    assert_true(shards_identity(s) != weighed);
    shards_close(s);
    static const char *const wrong[] = { "%s:3, %s", "%s:1, %s:100000", "%s, %s-none" };
    for (int k = 0; k < 3; k++) {
        Err why = { 0 };
        char fmt[32];
        snprintf(fmt, sizeof fmt, "%s", wrong[k]);
        char *second = strstr(fmt, ", ");
        *second = 0;
        snprintf(list, sizeof list, "%s%s, %s%s", file("x/index.set"), fmt + 2, file("y/index.set"), second + 4);
        assert_null(shards_open(list, SPLIT_TRAIN, &why));
        assert_true(why.code == EXIT_CONFIG || why.code == EXIT_DATA);
    }
}

/* An index that lies, its hash made to fit: refused, or what it says is not believed. */
static void test_hostile(void **state)
{
    (void)state;
    pack("h");
    if (rank)
        return;
    static const struct { const char *was, *is; } lie[] = {
        { "\"samples\":70", "\"samples\":99" }, { "\"image\":16", "\"image\":-6" }, { "\"image\":16", "\"image\":0 " },
        { "\"depth\":4", "\"depth\":9" }, { "\"split\":\"val\"", "\"split\":\"vil\"" }, { "\"store\":\"raw\"", "\"store\":\"ray\"" },
        { "\"name\":\"train", "\"name\":\"../in" }, { "\"tables\":0", "\"tables\":9" },
        { "\"template\":", "\"template\";" }, { "\"tokens\":", "\"tokenz\":" }, { "\"chunks\":[", "\"chunks\":{" },
    };
    Err e = { 0 };
    char *bytes, *again;
    size_t n;
    for (size_t k = 0; k < sizeof lie / sizeof *lie; k++) {
        good(file_read(file("h/index.set"), 1 << 24, &bytes, &n, &e), &e);
        long long json, blocks;
        assert_int_equal(sscanf(bytes, "asvr-set 1 %*s %lld %lld", &json, &blocks), 2);
        char *at = memmem(bytes, (size_t)json + 64, lie[k].was, strlen(lie[k].was));
        if (!at)
            fail_msg("the index has no %s", lie[k].was);
        memcpy(at, lie[k].is, strlen(lie[k].is));
        good(file_replace(file("h/lie.set"), bytes, n, &e), &e);
        Err why = { 0 };
        assert_null(index_open(file("h/lie.set"), &why));         /* its hash */
        assert_true(why.code == EXIT_DATA && strstr(why.what, "hash"));
        /* ... and with the hash made right */
        again = malloc(n);
        memcpy(again, bytes, n);
        memset(again + 11, '0', 16);
        const int64_t first = (int64_t)n - blocks * (INDEX_BLOCK + 8);
        char hex[17];
        snprintf(hex, sizeof hex, "%016llx", (unsigned long long)index_hash(again, first, (const uint64_t *)(const void *)(again + n - (size_t)blocks * 8), blocks));
        memcpy(bytes + 11, hex, 16);
        good(file_replace(file("h/lie.set"), bytes, n, &e), &e);
        Err said = { 0 };
        Shards *s = shards_open(file("h/lie.set"), SPLIT_TRAIN, &said);
        if (s) {
            ShardReader *r = reader_open(s);
            Sample x;
            bool ok = true;
            for (int64_t i = 0; i < shards_meta(s)->samples && ok; i++)
                ok = reader_sample(r, i, &x, &said);
            assert_false(ok);
            reader_close(r);
            shards_close(s);
        }
        assert_int_equal(said.code, EXIT_DATA);
        free(bytes);
        free(again);
    }
}

static int clean(void **state)
{
    (void)state;
    Err e = { 0 };
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        dir_remove(dir, &e);
    MPI_Barrier(MPI_COMM_WORLD);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    Err e = { 0 };
    if (rank == 0)
        dir_make(dir, &e);
    MPI_Barrier(MPI_COMM_WORLD);
    return 0;
}

int main(int argc, char **argv)
{
    h5_environment();
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    snprintf(dir, sizeof dir, "%s/index", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    MPI_Bcast(dir, sizeof dir, MPI_BYTE, 0, MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, fresh, clean),      cmocka_unit_test_setup_teardown(test_both_ways, fresh, clean),
        cmocka_unit_test_setup_teardown(test_flips, fresh, clean),      cmocka_unit_test_setup_teardown(test_not_that_shard, fresh, clean),
        cmocka_unit_test_setup_teardown(test_mix, fresh, clean),        cmocka_unit_test_setup_teardown(test_hostile, fresh, clean),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
