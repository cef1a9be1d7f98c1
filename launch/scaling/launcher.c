#include "launch/scaling/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dist/stop.h"

enum { WORDS = 64, LINE = 2 * PATH_ROOM };
#define GRACE 10.0                               /* seconds between TERM and KILL */

/* What srun needs to put ranks x threads on as few nodes as hold them. */
static void srun_words(const Series *s, char *out, size_t cap, const Point *p)
{
    const char *fixed = getenv("SLURM_NTASKS_PER_NODE");
    const int here = fixed && atoi(fixed) > 0 ? atoi(fixed) : (int)max64(1, s->cores / p->threads);
    const int nodes = (int)min64(s->nodes, ceil_div(p->ranks, here));
    const bool plenty = p->shared <= 1;
    int at = snprintf(out, cap, "srun --mpi=pmix --kill-on-bad-exit=1 -N %d -n %%n", nodes);
    at += snprintf(out + at, cap - (size_t)at, plenty ? " --cpus-per-task=%%t" : " --overcommit");
    if (getenv("SLURM_STEP_ID"))
        snprintf(out + at, cap - (size_t)at, " --overlap");
}

/* Replaces %n and %t. */
static void fill_in(const char *from, const Point *p, char *out, size_t cap)
{
    size_t at = 0;
    for (; *from && at + 16 < cap; from++)
        if (from[0] == '%' && (from[1] == 'n' || from[1] == 't'))
            at += (size_t)snprintf(out + at, cap - at, "%d", *++from == 'n' ? p->ranks : p->threads);
        else
            out[at++] = *from;
    out[at] = 0;
}

bool launcher_words(const Series *s, const Point *p, char *out, size_t cap, Err *e)
{
    char words[CONFIG_STRING];
    if (s->c->scaling.launcher[0])
        snprintf(words, sizeof words, "%s", s->c->scaling.launcher);
    else if (getenv("SLURM_JOB_ID"))
        srun_words(s, words, sizeof words, p);
    else
        snprintf(words, sizeof words, "mpirun -n %%n");
    fill_in(words, p, out, cap);
    if (!out[strspn(out, " ")])
        return err_set(e, EXIT_CONFIG, "scaling.launcher", "as in  mpirun -n %n", "scaling.launcher has no words");
    return true;
}

static void child(char *const argv[], const char *out)
{
    const int nothing = open("/dev/null", O_RDONLY), to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);            /* Open MPI 4; 5 reads PRTE's */
    setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 0);
    setenv("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe", 0);
    setenv("PRTE_MCA_hwloc_default_binding_policy", "none", 0);
    if (nothing < 0 || to < 0 || dup2(nothing, 0) < 0 || dup2(to, 1) < 0 || dup2(to, 2) < 0)
        _exit(EXIT_IO);
    execvp(argv[0], argv);
    dprintf(2, "asvr: error: cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(LAUNCH_NONE);
}

static void moment(void) { nanosleep(&(struct timespec){ 0, 20000000 }, NULL); }

/* Ranks whose launcher had to be killed are in groups of their own, and come to this process (PR_SET_CHILD_SUBREAPER). */
static void end_orphans(void)
{
    char path[64];
    bool any = true;
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    for (const double began = now(); any && now() - began < GRACE; moment()) {
        FILE *f = fopen(path, "re");
        any = false;
        for (int pid; f && fscanf(f, "%d", &pid) == 1; any = true)
            kill(pid, now() - began < GRACE / 4 ? SIGTERM : SIGKILL);
        if (f)
            fclose(f);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}

/* Waits for the child; ends it, and all of it, when it must. */
static int wait_for(pid_t pid, double most)
{
    const double began = now();
    double asked = 0;
    int code = 0, status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (!asked && (stop_requested() || now() - began > most)) {
            code = stop_requested() ? LAUNCH_ASKED : LAUNCH_TIME;
            kill(-pid, SIGTERM);
            asked = now();
        }
        if (asked && now() - asked > GRACE)
            kill(-pid, SIGKILL);
        moment();
    }
    if (code || WIFSIGNALED(status))
        end_orphans();
    return code ? code : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int launcher_run(const Series *s, const Point *p, Err *e)
{
    char line[LINE], program[PATH_ROOM], cfg[PATH_ROOM], out[PATH_ROOM], old[PATH_ROOM], *argv[WORDS + 4], verb[] = "bench", *left = NULL;
    int n = 0;
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (!launcher_words(s, p, line, sizeof line, e) || !point_path(s, p, "point.cfg", cfg, e) || !point_path(s, p, "out.txt", out, e) || !point_path(s, p, "steps.json", old, e))
        return 0;
    if (unlink(old) && errno != ENOENT) {
        file_error(e, old, "remove");
        return 0;
    }
    if (len < 0) {
        file_error(e, "/proc/self/exe", "find this program");
        return 0;
    }
    program[len] = 0;
    for (char *w = strtok_r(line, " ", &left); w && n < WORDS; w = strtok_r(NULL, " ", &left))
        argv[n++] = w;
    argv[n++] = program;
    argv[n++] = verb;
    argv[n++] = cfg;
    argv[n] = NULL;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t pid = fork();
    if (pid == 0)
        child(argv, out);
    if (pid < 0) {
        file_error(e, argv[0], "start");
        return 0;
    }
    setpgid(pid, pid);
    return wait_for(pid, s->c->scaling.max_seconds);
}
