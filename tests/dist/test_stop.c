/* Signals as one number; a request on one rank reaches all. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dist/comm.h"
#include "dist/stop.h"

static int rank, size;

static const int SIGNALS[] = { SIGTERM, SIGUSR1, SIGUSR2, SIGINT, SIGXCPU };

static void signals_within_a_moment_are_one_request(void **state)
{
    (void)state;
    stop_grace(3600);
    for (int i = 0; i < 5; i++) {
        stop_install();
        stop_forget();
        assert_int_equal(stop_requested(), 0);
        raise(SIGNALS[i]);
        assert_int_equal(stop_requested(), 1);
        raise(SIGNALS[i]);
        raise(SIGNALS[(i + 1) % 5]);
        assert_int_equal(stop_requested(), 1);
        stop_install();                         /* MPI_Init lies between: what was asked stays asked */
        assert_int_equal(stop_requested(), 1);
    }
}

static void a_later_one_is_a_second_request(void **state)
{
    (void)state;
    stop_install();
    stop_forget();
    stop_grace(0.05);
    raise(SIGUSR1);
    assert_int_equal(stop_requested(), 1);
    usleep(60000);
    assert_int_equal(stop_requested(), 1);      /* time alone asks for nothing */
    raise(SIGTERM);
    assert_int_equal(stop_requested(), 2);
    stop_grace(5);
}

/* How a child ends that gets `signals` signals, 60 ms apart, and saves; before: they come before the save begins. */
static int child_in_save(int signals, bool before)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        close(2);
        stop_install();
        stop_forget();
        stop_grace(0.05);
        if (!before)
            stop_in_save(true);
        for (int i = 0; i < signals; i++) {
            raise(SIGTERM);
            usleep(60000);
        }
        if (before)
            stop_in_save(true);
        stop_in_save(false);
        raise(SIGTERM);
        _exit(EXIT_SAVED);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_second_request_ends_a_save(void **state)
{
    (void)state;
    if (rank != 0)                              /* a child of one process is enough */
        return;
    assert_int_equal(child_in_save(1, false), EXIT_SAVED);
    assert_int_equal(child_in_save(2, false), EXIT_UNSAVED);
    assert_int_equal(child_in_save(2, true), EXIT_UNSAVED);
}

static void a_file_too_large_is_an_error_not_a_death(void **state)
{
    (void)state;
    stop_install();
    raise(SIGXFSZ);
}

typedef struct { pthread_t reader; int pipe, wrote; } Sender;

static void *signal_then_write(void *arg)
{
    Sender *s = arg;
    usleep(20000);
    pthread_kill(s->reader, SIGUSR1);           /* it sits in read by now */
    usleep(20000);
    s->wrote = (int)write(s->pipe, "x", 1);
    return NULL;
}

static void system_calls_are_restarted(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    Sender s = { .reader = pthread_self(), .pipe = ends[1] };
    stop_install();
    stop_forget();
    pthread_t thread;
    char c = 0;
    assert_int_equal(pthread_create(&thread, NULL, signal_then_write, &s), 0);
    ssize_t n = read(ends[0], &c, 1);           /* without SA_RESTART: -1 and EINTR */
    pthread_join(thread, NULL);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(s.wrote, 1);
    assert_int_equal(n, 1);
    assert_int_equal(stop_requested(), 1);
}

static void one_rank_is_enough(void **state)
{
    (void)state;
    for (int who = 0; who < size; who++) {
        stop_install();
        stop_forget();
        if (rank == who)
            raise(SIGTERM);
        double asked = stop_requested();
        comm_sum_f64(MPI_COMM_WORLD, &asked, 1);
        assert_int_equal((int)asked, 1);
        assert_int_equal(stop_requested(), rank == who);
    }
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    rank = comm_rank(MPI_COMM_WORLD);
    size = comm_size(MPI_COMM_WORLD);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_within_a_moment_are_one_request),
        cmocka_unit_test(a_later_one_is_a_second_request),
        cmocka_unit_test(a_second_request_ends_a_save),
        cmocka_unit_test(a_file_too_large_is_an_error_not_a_death),
        cmocka_unit_test(system_calls_are_restarted),
        cmocka_unit_test(one_rank_is_enough),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
