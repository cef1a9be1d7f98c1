#include "io/base/command.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base.h"

extern char **environ;

typedef struct { int fd, end; char *text; size_t n, cap; } Stream;     /* end: the child's; -1 each where there is none */

/* The child gets its own group, so that what it starts ends with it, and none of our signals. */
static int start(char *const argv[], char *const env[], const Stream s[2], pid_t *child)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, s[0].end, STDOUT_FILENO);
    if (s[1].end >= 0)
        posix_spawn_file_actions_adddup2(&files, s[1].end, STDERR_FILENO);
    else
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

static void stream_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool stream_open(Stream *s)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC))
        return false;
    s->fd = both[0];
    s->end = both[1];
    s->text[0] = 0;
    return true;
}

/* What does not fit is read and thrown away.  False at its end. */
static bool take(Stream *s)
{
    char over[4096];
    const bool room = s->n + 1 < s->cap;
    const ssize_t k = read(s->fd, room ? s->text + s->n : over, room ? s->cap - 1 - s->n : sizeof over);
    if (k < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (k <= 0)
        return false;
    s->n += room ? (size_t)k : 0;
    s->text[s->n] = 0;
    return true;
}

/* Until it has closed all, or the time is over. */
static bool listen_to(Stream s[2], double until)
{
    while (s[0].fd >= 0 || s[1].fd >= 0) {
        struct pollfd p[2] = { { .fd = s[0].fd, .events = POLLIN }, { .fd = s[1].fd, .events = POLLIN } };
        const double left = until - now();
        if (left <= 0 || (poll(p, 2, (int)fmin(ceil(1000 * left), 1e6)) < 0 && errno != EINTR))
            return false;
        for (int i = 0; i < 2; i++)
            if (s[i].fd >= 0 && p[i].revents && !take(&s[i]))
                stream_close(&s[i].fd);
    }
    return true;
}

/* It has said all, and is about to end.  False where it has not by then. */
static bool ended(pid_t child, int *status, double until)
{
    for (pid_t got; (got = waitpid(child, status, WNOHANG)) != child; usleep(2000))
        if (now() > until || (got < 0 && errno != EINTR))
            return false;
    return true;
}

int command_read(char *const argv[], char *const env[], double seconds, char *out, size_t cap, char *err, size_t err_cap)
{
    const double until = now() + seconds;
    Stream s[2] = { { -1, -1, out, 0, cap }, { -1, -1, err, 0, err_cap } };
    int status = 0;
    pid_t child;
    int error = stream_open(&s[0]) && (!err || stream_open(&s[1])) ? start(argv, env, s, &child) : errno;
    for (int i = 0; i < 2; i++)
        stream_close(&s[i].end);
    const bool whole = !error && listen_to(s, until) && ended(child, &status, until);
    for (int i = 0; i < 2; i++)
        stream_close(&s[i].fd);
    if (error) {
        errno = error;
        return COMMAND_NONE;
    }
    if (!whole) {
        kill(-child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        errno = ETIMEDOUT;
        return COMMAND_LATE;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
