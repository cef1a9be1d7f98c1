/*
 * One job a folder: who is refused, who takes over and in what time, and what an earlier life can still do; with flock and
 * without.  Holders are children of this process; those on other machines are files written by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/base/lease.h"
#include "io/base/life.h"

static char home[64], dir[96], file[128];
static int  no_flock;               /* what flock answers instead; 0: it works */

/* In the place of the C library's. */
int flock(int fd, int how)
{
    static __typeof__(flock) *real;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "flock");
    if (no_flock)
        return errno = no_flock, -1;
    return real(fd, how);
}

static int fresh(void **state)
{
    static int number;
    (void)state;
    snprintf(dir, sizeof dir, "%s/%d", home, ++number);
    snprintf(file, sizeof file, "%s/.lease", dir);
    no_flock = 0;
    unsetenv("SLURM_JOB_ID"), unsetenv("SLURM_RESTART_COUNT"), unsetenv("SLURM_ARRAY_JOB_ID"), unsetenv("SLURM_ARRAY_TASK_ID");
    return 0;
}

static void slurm(const char *job, const char *restart)
{
    setenv("SLURM_JOB_ID", job, 1);
    setenv("SLURM_RESTART_COUNT", restart, 1);
}

/* A child that holds the folder until it is killed, or told to try a write (a byte to its pipe), which ends it: 0 written,
   else the error's code. */
typedef struct { pid_t pid; int pipe; } Other;

static Other other(void)
{
    int to[2], from[2];
    char word = 0;
    assert_int_equal(pipe(to) | pipe(from), 0);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        Err e = { 0 };
        Lease *l = lease_run(dir, &e);
        close(to[1]);
        if (!l || write(from[1], "", 1) != 1 || read(to[0], &word, 1) != 1)
            _exit(1);
        _exit(lease_held(l, &e) ? 0 : e.code);
    }
    close(to[0]), close(from[1]);
    assert_int_equal(read(from[0], &word, 1), 1);
    close(from[0]);
    return (Other){ pid, to[1] };
}

static int tries_to_write(const Other *o)
{
    int status;
    assert_int_equal(write(o->pipe, "", 1), 1);
    close(o->pipe);
    waitpid(o->pid, &status, 0);
    return WEXITSTATUS(status);
}

static void killed(const Other *o)
{
    kill(o->pid, SIGKILL);
    waitpid(o->pid, NULL, 0);
    close(o->pipe);
}

/* Ours in less than so many seconds; true. */
static Lease *taken_in(double most)
{
    Err e = { 0 };
    const double t = now();
    Lease *l = lease_run(dir, &e);
    if (!l)
        fail_msg("refused: %s", e.what);
    if (now() - t > most)
        fail_msg("it took %.1f s", now() - t);
    assert_true(lease_held(l, &e));
    return l;
}

static void refused(const char *name)
{
    Err e = { 0 };
    const double t = now();
    assert_null(lease_run(dir, &e));
    assert_int_equal(e.code, EXIT_UNSAVED);
    assert_in_range((int)(10 * (now() - t)), 29, 50);
    assert_non_null(strstr(e.what, "the run directory is in use by host "));
    assert_non_null(strstr(e.what, name));
}

static Life holder(void)
{
    char *text;
    size_t n;
    Life l;
    Err e = { 0 };
    assert_true(file_read(file, LIFE_TEXT, &text, &n, &e));
    assert_true(life_parse(&l, text));
    free(text);
    return l;
}

/* A holder that this process cannot see. */
static void by_hand(Life l)
{
    char text[LIFE_TEXT];
    Err e = { 0 };
    const int n = life_text(&l, text);
    assert_true(dir_make(dir, &e) && file_replace(file, text, (size_t)n, &e));
}

static Life elsewhere(void)
{
    Life l;
    life_self(&l);
    snprintf(l.boot, sizeof l.boot, "another boot");
    snprintf(l.host, sizeof l.host, "far");
    return l;
}

/* ---- */

static void a_life_as_text(void **state)
{
    (void)state;
    char text[LIFE_TEXT], again[LIFE_TEXT], who[LIFE_WHO];
    Life l, back;
    slurm("12", "3");
    life_self(&l);
    assert_int_equal(life_state(&l, &l), LIFE_ALIVE);
    const int n = life_text(&l, text);
    assert_true(life_parse(&back, text));
    assert_int_equal(memcmp(&l, &back, sizeof l), 0);
    l.held = false, l.saved = INT64_MAX;
    assert_int_equal(life_text(&l, again), n);                  /* it is written over in place */
    assert_non_null(strstr(life_who(&l, who), ", job 12, restart 3"));
    setenv("SLURM_ARRAY_JOB_ID", "9", 1), setenv("SLURM_ARRAY_TASK_ID", "4", 1);
    life_self(&l);
    assert_string_equal(l.job, "9_4");
    assert_string_not_equal(l.token, back.token);
    assert_false(life_follows(&l, &back));                      /* another job */
    l.started++;                                                /* the number was given again */
    assert_int_equal(life_state(&l, &back), LIFE_DEAD);
    l.process = 1 << 30;
    assert_int_equal(life_state(&l, &back), LIFE_DEAD);
    snprintf(l.pids, sizeof l.pids, "pid:[1]");
    assert_int_equal(life_state(&l, &back), LIFE_UNKNOWN);
    static const char *const no[] = { "", "{", "{}", "host n7, process 4", "[1]", "{\"token\": 3}" };
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(life_parse(&l, no[i]));
}

/* Each errno that a file system without locks gives; 0: with them. */
static const int WAYS[] = { 0, ENOLCK, ENOSYS, EOPNOTSUPP };

static void another_job_is_refused(void **state)
{
    (void)state;
    char name[40];
    for (size_t i = 0; i < 2; i++) {
        fresh(NULL);
        no_flock = WAYS[i];
        const Other o = other();
        snprintf(name, sizeof name, "process %d", (int)o.pid);
        refused(name);
        slurm("7", "2");                                        /* a job that has nothing to do with it */
        kill(o.pid, SIGSTOP);                                   /* stopped is not dead */
        refused(name);
        kill(o.pid, SIGCONT);
        assert_int_equal(tries_to_write(&o), 0);
    }
}

static void the_dead_are_followed_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
        fresh(NULL);
        no_flock = WAYS[i];
        lease_drop(taken_in(2));                                /* nobody was there */
        assert_false(holder().held);
        const Other o = other();
        killed(&o);
        Lease *l = taken_in(2);
        assert_false(lease_apart(l));
        assert_non_null(strstr(lease_from(l), "process"));
        lease_drop(l);
        l = taken_in(2);                                        /* given back */
        assert_string_equal(lease_from(l), "");
        lease_drop(l);
    }
}

static void a_later_life_fences_the_earlier(void **state)
{
    (void)state;
    char aside[128];
    for (size_t i = 0; i < 2; i++) {
        fresh(NULL);
        no_flock = WAYS[i];
        slurm("7", "0");
        const Other first = other();
        kill(first.pid, SIGSTOP);
        snprintf(aside, sizeof aside, "%s/.tmp-x", dir);
        assert_int_equal(mkdir(aside, 0777), 0);
        slurm("7", "1");
        const Other second = other();                           /* at once, and what lay aside is gone */
        assert_int_equal(access(aside, F_OK), -1);
        kill(first.pid, SIGCONT);
        slurm("7", "0");                                        /* the earlier has no way back */
        refused("job 7, restart 1");
        slurm("7", "2");
        Lease *l = taken_in(2);
        assert_true(lease_apart(l));
        assert_int_equal(tries_to_write(&first), EXIT_CONFIG);
        assert_int_equal(tries_to_write(&second), EXIT_CONFIG);
        Err e = { 0 };
        assert_true(lease_held(l, &e));
        lease_drop(l);
    }
}

static void what_was_lost_is_noticed(void **state)
{
    (void)state;
    Err e = { 0 };
    Lease *l = taken_in(2);
    assert_true(lease_seems_held(l));
    by_hand(elsewhere());
    assert_false(lease_held(l, &e));
    assert_int_equal(e.code, EXIT_CONFIG);
    assert_non_null(strstr(e.what, "taken over by host far"));
    for (int i = 0; i < 100 && lease_seems_held(l); i++)
        usleep(100000);
    assert_false(lease_seems_held(l));
    lease_drop(l);
    assert_true(holder().held);                                 /* the loser writes nothing into the winner's file */
    fresh(NULL);
    e = (Err){ 0 };
    l = taken_in(2);
    assert_true(dir_remove(dir, &e));
    assert_false(lease_held(l, &e));
    assert_int_equal(e.code, EXIT_IO);
    lease_drop(l);
    assert_int_equal(access(dir, F_OK), -1);                    /* nor does it make the folder again */
}

static pid_t beating(int by)
{
    fflush(NULL);
    const pid_t pid = fork();
    if (pid)
        return pid;
    for (int day = 0;; day += by) {                             /* a clock that jumps by a day each time */
        struct timespec t[2];
        clock_gettime(CLOCK_REALTIME, &t[0]);
        t[0].tv_sec += 86400L * (day % 7 - 3);
        t[1] = t[0];
        utimensat(AT_FDCWD, file, t, 0);
        usleep(500000);
    }
}

static void a_heart_on_another_machine(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fresh(NULL);
        no_flock = WAYS[i];
        by_hand(elsewhere());
        pid_t pid = beating(1);
        slurm("7", "1");
        refused("host far");
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        Lease *l = taken_in(15);                                /* silent */
        assert_true(lease_apart(l));
        lease_drop(l);
    }
    /* a later life does not wait for silence */
    fresh(NULL);
    slurm("7", "1");
    by_hand(elsewhere());
    pid_t pid = beating(0);
    slurm("7", "2");
    Lease *l = taken_in(2);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    lease_drop(l);
}

static void of_many_one_has_it(void **state)
{
    (void)state;
    enum { MANY = 8 };
    for (size_t i = 0; i < 2; i++) {
        pid_t pid[MANY];
        int won = 0;
        fresh(NULL);
        no_flock = WAYS[i];
        fflush(NULL);
        for (int k = 0; k < MANY; k++)
            if ((pid[k] = fork()) == 0) {
                Err e = { 0 };
                Lease *l = lease_run(dir, &e);
                sleep(5);                                       /* longer than any of them waits */
                _exit(l && lease_held(l, &e) ? 0 : e.code);
            }
        for (int k = 0; k < MANY; k++) {
            int status;
            waitpid(pid[k], &status, 0);
            won += WEXITSTATUS(status) == 0;
            assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EXIT_UNSAVED);
        }
        assert_int_equal(won, 1);
    }
}

static void what_was_saved_is_known(void **state)
{
    (void)state;
    Lease *l = taken_in(2);
    assert_int_equal(lease_saved(l), -1);
    lease_save(l, 120);
    lease_drop(l);
    const Other o = other();
    killed(&o);
    l = taken_in(2);
    assert_int_equal(lease_saved(l), 120);
    assert_true(holder().held);
    lease_drop(l);
}

static void a_damaged_lease_ends_nothing(void **state)
{
    (void)state;
    Err e = { 0 };
    static const char *const text[] = { "", "{\"token\": \"01" };
    for (int i = 0; i < 2; i++) {
        fresh(NULL);
        assert_true(dir_make(dir, &e) && file_replace(file, text[i], strlen(text[i]), &e));
        lease_drop(taken_in(15));
    }
    assert_true(lease_held(NULL, &e) && lease_seems_held(NULL) && !lease_apart(NULL));
    assert_string_equal(lease_tag(NULL), "");
    lease_drop(NULL);
}

int main(void)
{
    snprintf(home, sizeof home, "/tmp/asvr-lease-XXXXXX");
    if (!mkdtemp(home))
        return 1;
#define TEST(f) cmocka_unit_test_setup(f, fresh)
    const struct CMUnitTest tests[] = {
        TEST(a_life_as_text), TEST(another_job_is_refused), TEST(the_dead_are_followed_at_once),
        TEST(a_later_life_fences_the_earlier), TEST(what_was_lost_is_noticed), TEST(a_heart_on_another_machine),
        TEST(of_many_one_has_it), TEST(what_was_saved_is_known), TEST(a_damaged_lease_ends_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    Err e = {0};
    dir_remove(home, &e);
    return failed || e.code;
}
