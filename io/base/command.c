#include "io/base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"

extern char **environ;

/* The child gets its own group, so that what it starts ends with it, and none of our signals. */
static int start(char *const argv[], char *const env[], int out, pid_t *child)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawnattr_setpgroup(&how, 0);
    const int error = posix_spawnp(child, argv[0], &files, &how, argv, env ? env : environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* Until it closes its end, or the time is over.  What does not fit is read and thrown away. */
static bool listen_to(int fd, double until, char *out, size_t cap)
{
    char more[512];
    size_t n = 0;
    for (double left; (left = until - now()) > 0;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, 1 + (int)(1e3 * left)) <= 0)
            continue;                                       /* interrupted, or over */
        const ssize_t k = read(fd, more, sizeof more);
        if (k == 0 || (k < 0 && errno != EINTR && errno != EAGAIN))
            return true;
        for (ssize_t i = 0; i < k && n + 1 < cap; i++)
            out[n++] = more[i];
        out[n] = 0;
    }
    return false;
}

int command_read(char *const argv[], char *const env[], double seconds, char *out, size_t cap)
{
    const double until = now() + seconds;
    int pipes[2], status = 0;
    pid_t child;
    out[0] = 0;
    if (pipe2(pipes, O_CLOEXEC))
        return -1;
    const int error = start(argv, env, pipes[1], &child);
    close(pipes[1]);
    if (error) {
        close(pipes[0]);
        errno = error;
        return -1;
    }
    const bool said = listen_to(pipes[0], until, out, cap);
    close(pipes[0]);
    pid_t ended = waitpid(child, &status, WNOHANG);
    while (ended == 0 && now() < until) {                   /* it has said all, and is about to end */
        usleep(2000);
        ended = waitpid(child, &status, WNOHANG);
    }
    if (ended == 0) {
        kill(-child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (ended == 0 || !said) {
        errno = ETIMEDOUT;
        return -1;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
