/* Other programs, with a time limit; and what squeue's answers mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base.h"
#include "io/base/command.h"
#include "io/base/jobend.h"

static char out[64];

static int shell(const char *script, double seconds)
{
    char words[256], sh[] = "sh", c[] = "-c", *argv[] = { sh, c, words, NULL };
    snprintf(words, sizeof words, "%s", script);
    return command_read(argv, NULL, seconds, out, sizeof out, NULL, 0);
}

static void what_it_prints_is_read(void **state)
{
    (void)state;
    assert_int_equal(shell("echo yes; echo no >&2; exit 3", 60), 3);
    assert_string_equal(out, "yes\n");
    assert_int_equal(shell("read x; echo \"<$x>\"", 60), 0);                   /* no standard input */
    assert_string_equal(out, "<>\n");
    assert_int_equal(shell("kill -9 $$", 60), 137);
    assert_string_equal(out, "");
    assert_int_equal(shell("head -c 300000 /dev/zero | tr '\\0' x", 60), 0);  /* more than fits, and than a pipe holds */
    assert_int_equal(strlen(out), sizeof out - 1);
    char sh[] = "sh", c[] = "-c", words[] = "echo yes; echo no >&2; exit 3", *argv[] = { sh, c, words, NULL }, err[8];
    assert_int_equal(command_read(argv, NULL, 60, out, sizeof out, err, sizeof err), 3);
    assert_string_equal(out, "yes\n");
    assert_string_equal(err, "no\n");
}

static void it_gets_none_of_our_signals(void **state)
{
    (void)state;
    sigset_t pipe, old;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGTERM);
    sigprocmask(SIG_BLOCK, &pipe, &old);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(shell("kill -TERM $$; echo alive", 60), 143);
    assert_int_equal(shell("kill -PIPE $$; echo alive", 60), 141);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGPIPE, SIG_DFL);
}

static void one_that_hangs_is_ended_with_what_it_started(void **state)
{
    (void)state;
    const double from = now();
    assert_int_equal(shell("echo $$; sleep 300 & sleep 300", 0.3), COMMAND_LATE);
    assert_int_equal(errno, ETIMEDOUT);
    assert_true(now() - from < 60);
    const pid_t group = (pid_t)atol(out);
    assert_true(group > 0);
    for (int i = 0; i < 1000 && kill(-group, 0) == 0; i++)
        usleep(10000);                                                      /* whoever buries the orphan takes a moment */
    assert_int_equal(kill(-group, 0), -1);
    assert_int_equal(shell("exec >&-; sleep 300", 0.3), COMMAND_LATE);                /* says nothing more, and does not end */
    assert_int_equal(errno, ETIMEDOUT);
}

static void one_that_is_not_there_is_said(void **state)
{
    (void)state;
    char name[] = "asvr-no-such-program", *argv[] = { name, NULL };
    assert_int_equal(command_read(argv, NULL, 60, out, sizeof out, NULL, 0), COMMAND_NONE);
    assert_int_equal(errno, ENOENT);
}

static void times_are_read(void **state)
{
    (void)state;
    assert_true(jobend_time("2026-11-28T22:13:42\n") == 1795904022);
    assert_true(jobend_time("1970-01-02T00:00:00") == 86400);
    static const char *const bad[] = { "", "N/A", "22:13", "2026-11-28", "2026-13-28T22:13:42", "2026-11-28T25:13:42", "2026-11-28T22:13:42x",
                                       "Tomorr 10:00", "slurm_load_jobs error: Invalid job id specified" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(jobend_time(bad[i]) == 0);
}

static void answers(int status, int error, const char *text, double end, const char *words)
{
    char said[JOBEND_TEXT];
    assert_true(jobend_answer(status, error, text, 1795904000, said) == end);
    if (!strstr(said, words))
        fail_msg("\"%s\" lacks \"%s\"", said, words);
}

static void answers_of_squeue_are_told_apart(void **state)
{
    (void)state;
    answers(0, 0, "2026-11-28T22:13:42\n", 1795904022, "squeue");
    answers(0, 0, "2026-11-28T22:13:42\n2026-11-28T23:13:42\n", 1795904022, "squeue");      /* parts of a job: the first */
    answers(0, 0, "2026-11-28T20:00:00\n", 0, "which is past");
    answers(0, 0, "N/A\n", 0, "no time limit");
    answers(0, 0, "", 0, "answers \"\"");
    answers(0, 0, "\033[2Jgarbage", 0, "answers \"?[2Jgarbage\"");
    answers(1, 0, "", 0, "exits with 1");
    answers(-1, ENOENT, "", 0, "No such file");
    answers(-1, ETIMEDOUT, "2026-11-28T22:13:42\n", 0, "does not answer within 5 s");
}

static void the_environment_counts_while_it_is_not_past(void **state)
{
    (void)state;
    char said[JOBEND_TEXT], text[32];
    static const char *const all[] = { "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_END_TIME" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        unsetenv(all[i]);
    assert_true(jobend(said) == 0);
    assert_string_equal(said, "");                                          /* no Slurm: no word */
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + 3600);
    setenv("SLURM_JOB_END_TIME", text, 1);
    setenv("SLURM_JOB_ID", "1", 1);
    assert_true(jobend(said) == atof(text));
    assert_string_equal(said, "SLURM_JOB_END_TIME");
    setenv("SLURM_JOB_END_TIME", "1000000000", 1);                          /* left from an earlier life */
    setenv("PATH", "/nowhere", 1);
    assert_true(jobend(said) == 0);
    assert_non_null(strstr(said, "squeue cannot be asked"));
    assert_non_null(strstr(said, "SLURM_JOB_END_TIME is past"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_prints_is_read),
        cmocka_unit_test(it_gets_none_of_our_signals),
        cmocka_unit_test(one_that_hangs_is_ended_with_what_it_started),
        cmocka_unit_test(one_that_is_not_there_is_said),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(answers_of_squeue_are_told_apart),
        cmocka_unit_test(the_environment_counts_while_it_is_not_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
