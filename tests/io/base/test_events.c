/*
 * TensorBoard's event files: bytes as an independent writer has them, whole at every cut, one behind the other over lives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/events.h"
#include "io/base/files.h"
#include "io/base/tfrecord.h"
#include "tests/golden/event_record.h"

enum { FILES = 8, SEEN = 64 };

static char run[64], folder[PATH_ROOM];
static Err e;

static StepLog step_of(int64_t step)
{
    return (StepLog){ .step = step, .time = 1.7e9 + 0.125, .loss = 1.0 / 3, .loss_text = 0.25, .loss_visual = 2, .loss_visual_depth = { 1, -2 },
                      .depths = 2, .code_usage = { 0.5 }, .code_perplexity = { 6.5 }, .books = 1, .code_restarts = 3, .grad_norm = 1.5,
                      .lr = 1e-3, .skipped = 4, .tokens_per_s = 1000, .samples_per_s = 123.4, .flops_share = 0.875, .t_step = 0.5,
                      .t_data = 1, .t_forward = 2, .t_backward = 3, .t_reduce = 4, .t_optim = 5, .t_ckpt = 6, .rss_mb = 7 };
}

static int fresh(void **state)
{
    (void)state;
    snprintf(run, sizeof run, "/tmp/asvr-events-XXXXXX");
    e = (Err){ 0 };
    return mkdtemp(run) == NULL || !path_set(folder, &e, "%s/tensorboard", run);
}

static int gone(void **state)
{
    (void)state;
    return !dir_remove(run, &e);
}

/* ---- a reader: by RFC 3720's crc, bit by bit ---- */

static uint32_t crc_of(const uint8_t *b, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= b[i];
        for (int k = 0; k < 8; k++)
            crc = (crc >> 1) ^ (0x82f63b78u & -(crc & 1));
    }
    return ~crc;
}

static uint64_t number(const uint8_t *b, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)b[i] << 8 * i;
    return x;
}

static bool crc_fits(const uint8_t *b, size_t n)
{
    const uint32_t crc = (uint32_t)number(b + n, 4) - 0xa282ead8u;
    return (crc << 15 | crc >> 17) == crc_of(b, n);
}

typedef struct { int records; size_t at[SEEN], size[SEEN], end; } Seen;

/* The records of n bytes up to the first that is cut or wrong. */
static Seen read_records(const uint8_t *b, size_t n)
{
    Seen s = { 0 };
    while (n - s.end >= TFRECORD_FRAME && crc_fits(b + s.end, 8)) {
        const size_t size = number(b + s.end, 8);
        if (n - s.end - TFRECORD_FRAME < size || !crc_fits(b + s.end + 12, size))
            break;
        s.at[s.records] = s.end + 12;
        s.size[s.records++] = size;
        s.end += size + TFRECORD_FRAME;
    }
    return s;
}

/* The run's event files by name, as readers take them. */
static int files(char path[FILES][PATH_ROOM])
{
    struct dirent **found;
    const int n = scandir(folder, &found, NULL, alphasort);
    int k = 0;
    for (int i = 0; i < n; i++) {
        if (found[i]->d_name[0] != '.')
            assert_true(path_set(path[k++], &e, "%s/%s", folder, found[i]->d_name));
        free(found[i]);
    }
    free(found);
    return k;
}

static uint8_t *bytes_of(const char *path, size_t *n)
{
    char *text;
    assert_true(file_read(path, 1 << 20, &text, n, &e));
    return (uint8_t *)text;
}

static void life(int64_t first, int64_t last)
{
    Events *v = events_open(folder, first, &e);
    assert_non_null(v);
    for (int64_t s = first; s <= last; s++) {
        const StepLog x = step_of(s);
        events_step(v, &x);
    }
    events_sync(v);
    events_close(v);
}

/* ---- tests ---- */

static void crc32c_is_the_standards(void **state)
{
    (void)state;
    uint8_t b[32] = { 0 };
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
    assert_int_equal(crc32c(b, 32), 0x8a9136aa);                /* RFC 3720, B.4: zeros, ones, rising */
    memset(b, 255, 32);
    assert_int_equal(crc32c(b, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)i;
    assert_int_equal(crc32c(b, 32), 0x46dd794e);
}

/* A step's record is, byte for byte, what TensorBoard's own writer makes of the same numbers. */
static void a_step_is_the_golden_record(void **state)
{
    (void)state;
    char path[FILES][PATH_ROOM];
    size_t n;
    life(300, 300);
    assert_int_equal(files(path), 1);
    uint8_t *b = bytes_of(path[0], &n);
    const Seen s = read_records(b, n);
    assert_int_equal(s.records, 3);
    assert_int_equal(s.end, n);
    assert_int_equal(s.size[0], 9 + 2 + 13);
    assert_memory_equal(b + s.at[0] + 9, "\x1a\x0d" "brain.Event:2", 15);
    assert_memory_equal(b + s.at[1] + 9, "\x10\xac\x02\x3a\x02\x08\x01", 7);        /* step 300, session_log { status START } */
    assert_int_equal(n - (s.at[2] - 12), sizeof golden_event);
    assert_memory_equal(b + s.at[2] - 12, golden_event, sizeof golden_event);
    free(b);
}

static void whole_records_at_every_cut(void **state)
{
    (void)state;
    char path[FILES][PATH_ROOM];
    size_t n;
    life(1, 5);
    assert_int_equal(files(path), 1);
    uint8_t *b = bytes_of(path[0], &n);
    const Seen all = read_records(b, n);
    assert_int_equal(all.records, 2 + 5);
    assert_int_equal(all.end, n);
    int whole = 0;
    for (size_t cut = 0; cut <= n; cut++) {
        while (whole < all.records && all.at[whole] + all.size[whole] + 4 <= cut)
            whole++;
        const Seen s = read_records(b, cut);
        assert_int_equal(s.records, whole);
    }
    for (size_t i = 0; i < n; i += 7) {                         /* no bit turns unseen */
        b[i] ^= 16;
        assert_true(read_records(b, n).end < n);
        b[i] ^= 16;
    }
    free(b);
}

/* A later life's file has the later name, in the same second, from a lower process number, and on a node whose clock is behind. */
static void lives_sort_by_name(void **state)
{
    (void)state;
    char path[FILES][PATH_ROOM], ahead[PATH_ROOM];
    long long seconds = 0;
    life(1, 2);
    life(2, 3);
    assert_int_equal(files(path), 2);
    assert_int_equal(sscanf(strstr(path[1], "tfevents."), "tfevents.%lld.", &seconds), 1);
    assert_true(path_set(ahead, &e, "%s/events.out.tfevents.%lld.zebra.99999999", folder, seconds + 1000));
    FILE *f = fopen(ahead, "we");
    assert_non_null(f);
    fclose(f);
    life(3, 4);
    assert_int_equal(files(path), 4);
    assert_string_equal(path[2], ahead);
    struct stat last;
    assert_int_equal(stat(path[3], &last), 0);
    assert_true(last.st_size > 0);
}

/* Not a number is written as it is: TensorBoard marks it. */
static void nan_is_nan(void **state)
{
    (void)state;
    char path[FILES][PATH_ROOM];
    size_t n;
    Events *v = events_open(folder, 1, &e);
    StepLog x = step_of(1);
    x.loss = NAN;
    events_step(v, &x);
    events_close(v);
    assert_int_equal(files(path), 1);
    uint8_t *b = bytes_of(path[0], &n);
    const Seen s = read_records(b, n);
    const uint8_t *loss = memmem(b + s.at[2], s.size[2], "\x0a\x04loss\x15", 7);
    assert_non_null(loss);
    const uint32_t bits = (uint32_t)number(loss + 7, 4);
    float back;
    memcpy(&back, &bits, sizeof back);
    assert_true(isnan(back));
    free(b);
}

/* The bytes of a number under a tag, in the record's events; how many of them there are. */
static int said(const uint8_t *b, size_t n, const char *tag, double x)
{
    uint8_t want[128];
    float y = (float)x;
    size_t k = strlen(tag);
    int times = 0;
    want[0] = 0x0a, want[1] = (uint8_t)k, want[2 + k] = 0x15;
    memcpy(want + 2, tag, k);
    memcpy(want + 3 + k, &y, 4);
    for (const uint8_t *at = b; (at = memmem(at, n - (size_t)(at - b), want, k + 7)); at++)
        times++;
    return times;
}

/* An evaluation has more numbers than an event takes: each is there once, in whole records of its step and time.  What is null is not a number;
   a mean of no tasks is none. */
static void an_evaluation_has_any_number_of_tasks(void **state)
{
    (void)state;
    enum { TASKS = 400 };
    char path[FILES][PATH_ROOM], name[64], tag[80];
    size_t n;
    json_t *tasks = json_object(), *line = json_pack("{s:i, s:f, s:f, s:i, s:n, s:f, s:b, s:o}", "step", 300, "time", 1.7e9, "loss", 0.25, "samples", 9,
                                                     "loss_visual", "mean", 0.5, "best", 1, "tasks", tasks);
    Events *v = events_open(folder, 1, &e);
    for (int i = 0; i < TASKS; i++) {
        snprintf(name, sizeof name, "a task whose name is as long as it can be, %04d", i);
        json_object_set_new(tasks, name, json_pack("{s:f, s:f, s:i}", "accuracy", i / 512.0, "baseline", 0.5, "n", 3));
    }
    events_evaluation(v, line);
    json_object_clear(tasks);
    json_object_set_new(line, "step", json_integer(301));
    json_object_set_new(line, "benchmarks", json_pack("{s:{s:f, s:i}, s:{s:n}}", "POPE", "score", 0.75, "n", 48, "unscored", "score"));
    events_evaluation(v, line);
    json_decref(line);
    events_close(v);
    assert_int_equal(files(path), 1);
    uint8_t *b = bytes_of(path[0], &n);
    const Seen s = read_records(b, n);
    assert_int_equal(s.end, n);
    assert_true(s.records > 2 + 3 && s.size[2] <= 8192);
    for (int i = 2; i < s.records; i++)                                 /* 1.7e9, step 300 or 301 */
        assert_memory_equal(b + s.at[i] + 1, i + 1 < s.records ? "\0\0\0\x40\xfc\x54\xd9\x41\x10\xac\x02" : "\0\0\0\x40\xfc\x54\xd9\x41\x10\xad\x02", 11);
    for (int i = 0; i < TASKS; i++) {
        snprintf(tag, sizeof tag, "accuracy/a task whose name is as long as it can be, %04d", i);
        assert_int_equal(said(b, n, tag, i / 512.0), 1);
    }
    assert_int_equal(said(b, n, "eval/loss", 0.25), 2);
    assert_int_equal(said(b, n, "eval/samples", 9), 2);
    assert_int_equal(said(b, n, "eval/loss_visual", NAN), 2);
    assert_int_equal(said(b, n, "eval/mean", 0.5), 1);
    assert_int_equal(said(b, n, "eval/questions", 3 * TASKS), 1);
    assert_int_equal(said(b, n, "benchmark/POPE", 0.75), 1);
    assert_null(memmem(b, n, "unscored", 8));
    assert_null(memmem(b, n, "eval/best", 9));
    free(b);
}

/* There is no room for the third step till the fifth: then all are there, and no half record was between them. */
static void a_full_disk_waits(void **state)
{
    (void)state;
    char path[FILES][PATH_ROOM];
    size_t n;
    struct rlimit old, small;
    const int err = dup(STDERR_FILENO);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 2 * sizeof golden_event + 300;
    Events *v = events_open(folder, 1, &e);
    assert_non_null(v);
    assert_non_null(freopen("/dev/null", "w", stderr));
    for (int64_t s = 1; s <= 6; s++) {
        const StepLog x = step_of(s);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, s < 5 ? &small : &old), 0);
        events_step(v, &x);
        files(path);
        uint8_t *b = bytes_of(path[0], &n);
        const Seen is = read_records(b, n);
        assert_int_equal(is.records, 2 + (s < 3 || s > 4 ? s : 2));
        assert_int_equal(is.end, n);
        free(b);
    }
    events_close(v);
    fflush(stderr);
    dup2(err, STDERR_FILENO);
    close(err);
}

static void a_folder_that_cannot_be(void **state)
{
    (void)state;
    FILE *f = fopen(folder, "we");
    assert_non_null(f);
    fclose(f);
    assert_null(events_open(folder, 1, &e));
    assert_int_equal(e.code, EXIT_IO);
    e = (Err){ 0 };
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, gone)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_is_the_standards), TEST(a_step_is_the_golden_record), TEST(whole_records_at_every_cut),
        TEST(lives_sort_by_name), TEST(nan_is_nan), TEST(an_evaluation_has_any_number_of_tasks),
        TEST(a_full_disk_waits), TEST(a_folder_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
