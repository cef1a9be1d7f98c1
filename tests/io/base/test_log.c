/*
 * The log: one object a line with the same keys, resumed without doubles, never the cause of a training run's death.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/base/log.h"

static char home[64], run[96], file[128];

static int fresh(void **state)
{
    static int number;
    (void)state;
    snprintf(run, sizeof run, "%s/%d", home, ++number);
    snprintf(file, sizeof file, "%s/run.jsonl", run);
    return 0;
}

static StepLog step_of(int64_t step)
{
    return (StepLog){ .step = step, .time = 1.7e9 + 0.125, .samples = 32 * step, .tokens = 1000 * step, .loss = 1.0 / 3, .loss_text = 0.25,
                      .loss_visual = 2, .loss_visual_depth = { 1, 2, 3, 4 }, .depths = 4, .code_usage = { 0.5, 0.75 },
                      .code_perplexity = { 2, 6.5 }, .books = 2, .code_restarts = 3, .grad_norm = 1.5, .lr = 1e-3,
                      .samples_per_s = 123.4, .t_step = 0.5, .restart = 0, .world = 2, .dp = 2, .tp = 1, .stage = "instruct" };
}

/* Runs f with stdout and stderr in a file each (stdout in `out` if that is not -1); returns how it ended. */
static int in_child(void (*f)(void), int out)
{
    char path[128];
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        snprintf(path, sizeof path, "%s/err", home);
        dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666), 2);
        snprintf(path, sizeof path, "%s/out", home);
        dup2(out >= 0 ? out : open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666), 1);
        f();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

static char *text_of(const char *name)
{
    static char path[128];
    char *text;
    size_t n;
    Err e = {0};
    snprintf(path, sizeof path, "%s/%s", home, name);
    assert_true(file_read(name[0] == '/' ? name : path, 1 << 20, &text, &n, &e));
    return text;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* Steps first .. last of one life. */
static int64_t first, last;

static void life(void)
{
    Err e = {0};
    Log *l = log_open(run, first, NULL, &e);
    for (int64_t s = first; l && s <= last; s++) {
        StepLog x = step_of(s);
        x.restart = log_restart(l);
        log_step(l, &x, 20);
    }
    log_close(l);
    if (e.code)
        _exit(1);
}

static void lives(int64_t from, int64_t to)
{
    first = from, last = to;
    assert_int_equal(in_child(life, -1), 0);
}

/* The steps and lives in the file, as "1.0 2.0 3.1". */
static const char *steps(void)
{
    static char out[4096];
    size_t n = 0;
    char *text = text_of(file), *line, *rest = text;
    out[0] = 0;
    while ((line = strsep(&rest, "\n")) && *line) {
        json_t *o = json_loads(line, 0, NULL);
        assert_non_null(o);
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%d.%d", n ? " " : "", (int)json_integer_value(json_object_get(o, "step")),
                              (int)json_integer_value(json_object_get(o, "restart")));
        json_decref(o);
    }
    free(text);
    return out;
}

static void has_the_keys(void **state)
{
    (void)state;
    static const char *const key[] = {
        "step", "time", "samples", "tokens", "loss", "loss_text", "loss_visual", "loss_visual_depth", "loss_hex", "grad_norm", "lr",
        "skipped", "tokens_per_s", "samples_per_s", "flops_share", "t_step", "t_data", "t_forward", "t_backward", "t_reduce",
        "t_optim", "t_ckpt", "rss_mb", "straggler", "restart", "world", "dp", "tp", "threads", "hash", "code_usage", "code_perplexity", "code_restarts",
    };
    enum { KEYS = sizeof key / sizeof *key };
    lives(7, 7);
    char *text = text_of(file);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_object_size(o), KEYS);
    for (int i = 0; i < KEYS; i++)
        assert_non_null(json_object_get(o, key[i]));
    assert_int_equal(json_array_size(json_object_get(o, "loss_visual_depth")), 4);
    assert_int_equal(json_array_size(json_object_get(o, "code_usage")), 2);
    assert_true(json_real_value(json_array_get(json_object_get(o, "code_usage"), 1)) == 0.75);
    assert_true(json_real_value(json_array_get(json_object_get(o, "code_perplexity"), 1)) == 6.5);
    assert_int_equal(json_integer_value(json_object_get(o, "code_restarts")), 3);
    double back = strtod(json_string_value(json_object_get(o, "loss_hex")), NULL);
    assert_true(back == 1.0 / 3);                       /* to the bit */
    assert_true(json_real_value(json_object_get(o, "time")) == 1.7e9 + 0.125);
    json_decref(o);
    free(text);
}

static void no_number(void)
{
    Err e = {0};
    Log *l = log_open(run, 1, NULL, &e);
    StepLog s = step_of(1);
    s.loss = -NAN, s.grad_norm = INFINITY, s.loss_visual_depth[2] = NAN;
    log_step(l, &s, 20);
    log_close(l);
}

static void nan_is_null(void **state)
{
    (void)state;
    assert_int_equal(in_child(no_number, -1), 0);
    char *text = text_of(file);
    json_t *o = json_loads(text, 0, NULL);
    assert_true(json_is_null(json_object_get(o, "loss")));
    assert_true(json_is_null(json_object_get(o, "grad_norm")));
    assert_true(json_is_null(json_array_get(json_object_get(o, "loss_visual_depth"), 2)));
    assert_string_equal(json_string_value(json_object_get(o, "loss_hex")), "nan");
    json_decref(o);
    free(text);
}

static void resumes_without_doubles(void **state)
{
    (void)state;
    lives(1, 5);
    lives(4, 6);                                        /* the checkpoint was of step 3 */
    assert_string_equal(steps(), "1.0 2.0 3.0 4.1 5.1 6.1");
    lives(7, 8);
    assert_string_equal(steps(), "1.0 2.0 3.0 4.1 5.1 6.1 7.2 8.2");
    /* the last line cut in half by a kill */
    char *text = text_of(file);
    assert_int_equal(truncate(file, (off_t)strlen(text) - 100), 0);
    free(text);
    lives(8, 9);
    assert_string_equal(steps(), "1.0 2.0 3.0 4.1 5.1 6.1 7.2 8.3 9.3");
    /* junk at the end, with a zero byte in it */
    int fd = open(file, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "{\"step\": 1\0\n", 12), 12);
    close(fd);
    lives(10, 10);
    assert_string_equal(steps(), "1.0 2.0 3.0 4.1 5.1 6.1 7.2 8.3 9.3 10.4");
    lives(1, 1);                                        /* from the start again */
    assert_string_equal(steps(), "1.5");
    char temp[128];
    snprintf(temp, sizeof temp, "%s/.tmp-run.jsonl", run);
    assert_int_equal(access(temp, F_OK), -1);
}

static void plain_lines_are_few(void **state)
{
    (void)state;
    lives(1, 20);
    char *out = text_of("out");
    assert_int_equal(count(out, "\n"), 2);              /* the first and the last: 20 steps take no 2 seconds */
    assert_non_null(strstr(out, "instruct  1/20  loss 0.3333  text 0.2500  visual 2.0000  123.4 samples/s  ETA "));
    assert_non_null(strstr(out, "20/20"));
    assert_null(strchr(out, '\033'));
    free(out);
}

static void a_full_stdout_is_no_death(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY), closed[2];
    first = 1, last = 20;
    assert_int_equal(in_child(life, full), 0);
    close(full);
    char *err = text_of("err");
    assert_int_equal(count(err, "cannot write to stdout"), 1);
    free(err);
    assert_int_equal(count(steps(), "."), 20);
    fresh(NULL);
    assert_int_equal(pipe(closed), 0);                  /* nobody reads: SIGPIPE */
    close(closed[0]);
    assert_int_equal(in_child(life, closed[1]), 0);
    close(closed[1]);
    assert_int_equal(count(steps(), "."), 20);
}

/* The file may hold no more than three and a half lines till a step, of so many. */
static int64_t room_from, last_step;
static void crowded(void)
{
    struct rlimit old, small = { 2500, RLIM_INFINITY };
    Err e = {0};
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    Log *l = log_open(run, 1, NULL, &e);
    setrlimit(RLIMIT_FSIZE, &small);
    for (int64_t s = 1; s <= last_step; s++) {
        StepLog x = step_of(s);
        if (s == room_from)
            setrlimit(RLIMIT_FSIZE, &old);
        log_step(l, &x, 1000);
    }
    log_close(l);
}

static void a_full_disk_is_no_death(void **state)
{
    (void)state;
    room_from = 7, last_step = 8;
    assert_int_equal(in_child(crowded, -1), 0);
    char *err = text_of("err");
    assert_int_equal(count(err, "cannot write run.jsonl"), 1);
    assert_int_equal(count(err, "steps will be missing"), 0);
    free(err);
    assert_string_equal(steps(), "1.0 2.0 3.0 4.0 5.0 6.0 7.0 8.0");      /* what waited is there */
}

/* What waits has an end: then lines are lost, whole ones, and that is said. */
static void a_disk_full_for_long(void **state)
{
    (void)state;
    fresh(NULL);
    room_from = 300, last_step = 301;
    assert_int_equal(in_child(crowded, -1), 0);
    char *err = text_of("err");
    assert_int_equal(count(err, "cannot write run.jsonl"), 1);
    assert_int_equal(count(err, "steps will be missing"), 1);
    free(err);
    const char *s = steps();
    assert_memory_equal(s, "1.0 2.0 3.0 4.0 5.0", 19);
    assert_null(strstr(s, " 299.0"));
    assert_non_null(strstr(s, " 301.0"));
}

static void with_message(void)
{
    setenv("TERM", "xterm", 1);
    unsetenv("OMPI_COMM_WORLD_RANK");                   /* this terminal is ours, not the launcher's */
    Err e = {0};
    Log *l = log_open(run, 1, NULL, &e);
    StepLog x = step_of(10), y = step_of(11);
    log_step(l, &x, 20);
    log_line(l, "saved %s", "step-00000010");
    usleep(150000);                                     /* the bar moves ten times a second at most */
    log_step(l, &y, 20);
    log_close(l);
}

static void the_bar_is_redrawn(void **state)
{
    (void)state;
    int screen, terminal;
    struct winsize wide = { .ws_row = 24, .ws_col = 60 };
    char seen[4096] = "";
    assert_int_equal(openpty(&screen, &terminal, NULL, NULL, &wide), 0);
    assert_int_equal(in_child(with_message, terminal), 0);
    size_t n = 0;
    for (ssize_t k; poll(&(struct pollfd){ .fd = screen, .events = POLLIN }, 1, 300) > 0; n += (size_t)k)
        assert_true((k = read(screen, seen + n, sizeof seen - 1 - n)) > 0);
    /* two bars of 59 columns in the short form for narrow screens, between them the message alone on its line */
    char *one = strstr(seen, "instruct  10/20 [######......]  loss 0.3333"), *message = strstr(seen, "\r\033[Ksaved step-00000010\r\n");
    assert_true(one && message && one < message);
    assert_non_null(strstr(message, "\rinstruct  11/20 [######......]"));
    assert_int_equal(strstr(one, "\033[K") - one, 59);
    assert_string_equal(seen + n - 2, "\r\n");
    close(screen);
    close(terminal);
}

static void complain(void)
{
    Err e = {0};
    err_expected(&e, "(4096,4096)");
    err_set(&e, EXIT_DATA, "RUN/ckpt/step-00000010", "decoder.width differs", "tensor \"%s\" does not fit", "wq");
    log_error(&e);
    log_warn("beware");
}

static void the_error_block(void **state)
{
    (void)state;
    assert_int_equal(in_child(complain, -1), 0);
    char *err = text_of("err");
    assert_string_equal(err, "asvr: error: tensor \"wq\" does not fit\n"
                             "  expected  (4096,4096)\n"
                             "  where     RUN/ckpt/step-00000010\n"
                             "  hint      decoder.width differs\n"
                             "asvr: warning: beware\n");
    free(err);
}

static void other_ranks_say_nothing(void **state)
{
    (void)state;
    StepLog s = step_of(1);
    log_step(NULL, &s, 20);
    log_line(NULL, "x");
    log_sync(NULL);
    log_close(NULL);
    assert_int_equal(log_restart(NULL), 0);
}

int main(void)
{
    snprintf(home, sizeof home, "/tmp/asvr-log-XXXXXX");
    if (!mkdtemp(home))
        return 1;
#define TEST(f) cmocka_unit_test_setup(f, fresh)
    const struct CMUnitTest tests[] = {
        TEST(has_the_keys), TEST(nan_is_null), TEST(resumes_without_doubles), TEST(plain_lines_are_few),
        TEST(a_full_stdout_is_no_death), TEST(a_full_disk_is_no_death), TEST(a_disk_full_for_long), TEST(the_bar_is_redrawn),
        TEST(the_error_block),
        TEST(other_ranks_say_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    Err e = {0};
    dir_remove(home, &e);
    return failed || e.code;
}
