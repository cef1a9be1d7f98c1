#include "launch/command.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"

extern char **environ;

typedef struct { int fd; char *text; size_t n, cap; } Stream;

/* False at its end. */
static bool take(Stream *s)
{
    char over[4096];
    const bool room = s->n + 1 < s->cap;
    const ssize_t k = read(s->fd, room ? s->text + s->n : over, room ? s->cap - 1 - s->n : sizeof over);
    if (k < 0 && errno == EINTR)
        return true;
    if (k <= 0)
        return false;
    s->n += room ? (size_t)k : 0;
    s->text[s->n] = 0;
    return true;
}

/* Until both streams are closed; false where that takes too long. */
static bool listen_to(Stream s[2], double until)
{
    int open = 2;
    while (open > 0) {
        struct pollfd p[2] = { { .fd = s[0].fd, .events = POLLIN }, { .fd = s[1].fd, .events = POLLIN } };
        const double left = until - now();
        if (left <= 0 || (poll(p, 2, (int)fmin(ceil(1000 * left), 1e6)) < 0 && errno != EINTR))
            return false;
        for (int i = 0; i < 2; i++)
            if (s[i].fd >= 0 && p[i].revents && !take(&s[i])) {
                close(s[i].fd);
                s[i].fd = -1;
                open--;
            }
    }
    return true;
}

/* Its status; false where it has not ended by then. */
static bool ended(pid_t child, int *status, double until)
{
    for (pid_t got; (got = waitpid(child, status, WNOHANG)) != child; usleep(5000))
        if (now() > until || (got < 0 && errno != EINTR))
            return false;
    return true;
}

int command_run(char *const argv[], double seconds, char *out, size_t out_cap, char *err, size_t err_cap)
{
    const double until = now() + seconds;
    int to[2], other[2], status = 0;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    pid_t child;
    out[0] = err[0] = 0;
    CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(other, O_CLOEXEC) == 0, "no pipe for %s", argv[0]);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, to[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, other[1], STDERR_FILENO);
    posix_spawnattr_init(&how);                                     /* a group of its own: what it starts ends with it */
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP);
    const int bad = posix_spawnp(&child, argv[0], &files, &how, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    close(to[1]);
    close(other[1]);
    Stream s[2] = { { to[0], out, 0, out_cap }, { other[0], err, 0, err_cap } };
    const bool whole = !bad && listen_to(s, until) && ended(child, &status, until);
    for (int i = 0; i < 2; i++)
        if (s[i].fd >= 0)
            close(s[i].fd);
    if (bad)
        return COMMAND_NONE;
    if (!whole) {
        kill(-child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        return COMMAND_LATE;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
