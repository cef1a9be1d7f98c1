/*
 * submit.c -- `asvr submit CONFIG`: a batch script for a configuration, handed to sbatch
 *
 * The script is #SBATCH lines, the variables that slurm/job.sh reads, and job_run with the verb and the words that were typed here.
 * What it does when it ends, is preempted, or fails is job.sh's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/base/home.h"
#include "io/base/log.h"
#include "io/base/command.h"
#include "launch/status/story.h"
#include "launch/verbs.h"

enum { TRIES = 100000 /* scripts of a name */, TWICE = 2, EXCLUDED = 4096, ANSWER = 2048 };
static const double PATIENCE = 120;             /* seconds for sbatch, which waits for a busy controller */

/* Absolute paths, and what was worked out. */
typedef struct {
    const Config *c;
    const char   *verb;
    char self[PATH_ROOM], job[PATH_ROOM], config[PATH_ROOM], site[PATH_ROOM], here[PATH_ROOM], dir[PATH_ROOM];
    char name[128];
    char exclude[EXCLUDED];
} Plan;

/* ---- words ---- */

/* One word for bash, whatever it holds. */
static void quote(FILE *f, const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    if (*s && !s[strspn(s, plain)]) {
        fputs(s, f);
        return;
    }
    fputc('\'', f);
    for (; *s; s++)
        fputs(*s == '\'' ? "'\\''" : (char[2]){ *s, 0 }, f);
    fputc('\'', f);
}

/* `#SBATCH --key=value`; sbatch has quotes and backslashes of its own.  path: with sbatch's patterns, where % is %%. */
static void option(FILE *f, const char *key, const char *value, bool path)
{
    if (!value[0])
        return;
    fprintf(f, "#SBATCH --%s=\"", key);
    for (const char *s = value; *s; s++)
        fprintf(f, *s == '"' || *s == '\\' ? "\\%c" : *s == '%' && path ? "%%%c" : "%c", *s);
    fputs(path ? "/%x-%j.log\"\n" : "\"\n", f);
}

static void variable(FILE *f, const char *name, const char *value)
{
    if (!value[0])
        return;
    fprintf(f, "%s=", name);
    quote(f, value);
    fputc('\n', f);
}

/* ---- working out ---- */

static bool absolute(char out[PATH_ROOM], const char *path, const char *what, const char *hint, Err *e)
{
    char *real = realpath(path, NULL);
    if (!real)
        return err_set(e, EXIT_CONFIG, path, hint, "there is no %s: %s", what, strerror(errno));
    const bool ok = path_set(out, e, "%s", real);
    free(real);
    return ok;
}

/* Where ASVR_SLURM says: a folder, or the file; else among the program's data. */
static bool find_job(Plan *p, Err *e)
{
    static const char hint[] = "ASVR_SLURM=/path/to/slurm names the folder that has it";
    char own[PATH_ROOM], beside[PATH_ROOM];
    const char *said = getenv("ASVR_SLURM");
    if (!home_self(p->self, e))
        return false;
    if (said && said[0])
        return path_set(beside, e, "%s/job.sh", said) &&
               absolute(p->job, access(beside, R_OK) == 0 ? beside : said, "job.sh where ASVR_SLURM says", hint, e);
    if (home_file(own, "slurm/job.sh"))
        return absolute(p->job, own, "slurm/job.sh", hint, e);
    return err_set(e, EXIT_CONFIG, p->self, hint, "there is no slurm/job.sh in the tree of this program, and ASVR_SLURM is not set");
}

/* A name without letters that mean something in a path or to Slurm. */
static void name_job(Plan *p)
{
    const Config *c = p->c;
    const char *run = strrchr(p->dir, '/') + 1;
    snprintf(p->name, sizeof p->name, "%.100s", c->slurm.name);
    if (!p->name[0])
        snprintf(p->name, sizeof p->name, "asvr-%s-%.80s", p->verb, run);
    for (char *s = p->name; *s; s++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *s))
            *s = '-';
}

/* Hosts that ended two lives or more join slurm.exclude, and are named. */
static bool exclude_failed(Plan *p, Err *e)
{
    Story s = { 0 };
    char host[STORY_HOST], other[STORY_HOST];
    snprintf(p->exclude, sizeof p->exclude, "%s", p->c->slurm.exclude);
    if (!p->c->slurm.exclude_failed)
        return true;
    if (!story_read(&s, p->c->run.dir, e))
        return false;
    for (int i = 0; i < s.lives; i++) {
        int times = 0, first = i;
        for (int k = 0; k < s.lives && story_failed(&s.life[i], host); k++)
            if (story_failed(&s.life[k], other) && !strcmp(host, other)) {
                first = k < first ? k : first;
                times++;
            }
        const size_t n = strlen(p->exclude);
        if (times < TWICE || first < i || n + strlen(host) + 2 > sizeof p->exclude)
            continue;
        snprintf(p->exclude + n, sizeof p->exclude - n, "%s%s", n ? "," : "", host);
        fprintf(stderr, "asvr: node %s is left out: %d lives of this run ended by it\n", host, times);
    }
    story_free(&s);
    return true;
}

static bool work_out(Plan *p, const Words *w, Err *e)
{
    const Config *c = p->c;
    if (!getcwd(p->here, sizeof p->here))
        return file_error(e, ".", "tell the current folder");
    if (!find_job(p, e) || !absolute(p->config, w->path, "such configuration", "", e))
        return false;
    if (c->slurm.site[0] && !absolute(p->site, c->slurm.site, "such site file", "slurm.site: modules, account, container", e))
        return false;
    if (!(c->run.dir[0] == '/' ? path_set(p->dir, e, "%s", c->run.dir) : path_set(p->dir, e, "%s/%s", p->here, c->run.dir)))
        return false;
    for (size_t n = strlen(p->dir); n > 1 && p->dir[n - 1] == '/'; n--)
        p->dir[n - 1] = 0;
    if (strchr(p->dir, '\n') || strchr(p->here, '\n'))
        return err_set(e, EXIT_CONFIG, "run.dir", "", "a line of #SBATCH ends where a path has a line break");
    name_job(p);
    return exclude_failed(p, e);
}

/* ---- the script ---- */

static void write_options(FILE *f, const Plan *p)
{
    const Config *c = p->c;
    char log[PATH_ROOM], text[64];
    Err none = { 0 };
    option(f, "job-name", p->name, false);
    option(f, "nodes", c->slurm.nodes[0] ? c->slurm.nodes : "1", false);
    if (c->slurm.exclusive)
        fputs("#SBATCH --exclusive\n#SBATCH --mem=0\n", f);
    option(f, "time", c->slurm.time, false);
    option(f, "partition", c->slurm.partition, false);
    option(f, "account", c->slurm.account, false);
    option(f, "qos", c->slurm.qos, false);
    option(f, "constraint", c->slurm.constraint, false);
    option(f, "reservation", c->slurm.reservation, false);
    option(f, "exclude", p->exclude, false);
    if (c->slurm.chain > 1)
        option(f, "dependency", "singleton", false);
    snprintf(text, sizeof text, "USR1@%d", c->slurm.lead);
    option(f, "signal", text, false);
    fputs("#SBATCH --requeue\n#SBATCH --open-mode=append\n", f);
    option(f, "chdir", p->here, false);
    if (path_set(log, &none, "%s/submit", p->dir))
        option(f, "output", log, true);
    if (c->slurm.extra[0])
        fprintf(f, "#SBATCH %s\n", c->slurm.extra);
}

static void write_script(FILE *f, const Plan *p, const Words *w)
{
    const Config *c = p->c;
    char text[32], day[32];
    const time_t t = time(NULL);
    struct tm parts;
    strftime(day, sizeof day, "%Y-%m-%d %H:%M", localtime_r(&t, &parts));
    fprintf(f, "#!/bin/bash\n# Written by asvr submit " VERSION ", %s; sbatch takes it again.\n", day);
    write_options(f, p);
    fputc('\n', f);
    variable(f, "ASVR", p->self);
    variable(f, "ASVR_SITE", p->site);
    snprintf(text, sizeof text, "%d", c->slurm.ranks_per_node);
    variable(f, "ASVR_RANKS_PER_NODE", c->slurm.ranks_per_node ? text : "");
    snprintf(text, sizeof text, "%d", c->slurm.threads);
    variable(f, "ASVR_THREADS", c->slurm.threads ? text : "");
    snprintf(text, sizeof text, "%d", c->slurm.budget);
    variable(f, "ASVR_BUDGET", text);
    fputs("\n. ", f);
    quote(f, p->job);
    fprintf(f, "\njob_run %s ", p->verb);
    quote(f, p->config);
    for (int i = 0; i < w->n_sets; i++)
        if (strncmp(w->sets[i], "slurm.", 6)) {
            fputs(" --set ", f);
            quote(f, w->sets[i]);
        }
    fputc('\n', f);
}

/* A file that was not there. */
static bool save(const Plan *p, const char *text, size_t n, char path[PATH_ROOM], Err *e)
{
    char folder[PATH_ROOM];
    int fd = -1;
    if (!path_set(folder, e, "%s/submit", p->dir) || !dir_make(folder, e))
        return false;
    for (int i = 1; i < TRIES && fd < 0; i++) {
        if (!path_set(path, e, "%s/%s-%d.sbatch", folder, p->name, i))
            return false;
        fd = file_open(path, O_WRONLY | O_CREAT | O_EXCL);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    if (fd < 0)
        return file_error(e, path, "create the script");
    const bool ok = (file_write(fd, text, n) && file_fsync(fd)) || file_error(e, path, "write the script");
    close(fd);
    return ok;
}

/* ---- handing it over ---- */

static bool submit(const Plan *p, char *path, Err *e)
{
    const Config *c = p->c;
    char out[ANSWER], err[ANSWER];
    char *const argv[] = { "sbatch", "--parsable", path, NULL };
    for (int i = 0; i < c->slurm.chain; i++) {
        const int code = command_read(argv, NULL, PATIENCE, out, sizeof out, err, sizeof err);
        out[strcspn(out, ";\n")] = 0;                       /* "1234", or "1234;cluster" */
        for (char *s = err; *s; s++)
            *s = *s == '\n' ? ' ' : *s;
        if (code == COMMAND_NONE)
            return err_set(e, EXIT_CONFIG, path, "submit where Slurm is; slurm.dry=true prints the script anywhere", "there is no sbatch here");
        if (code == COMMAND_LATE)
            return err_set(e, EXIT_CONFIG, path, "`squeue -u $USER` tells whether the job is there", "sbatch has not answered within %.0f s", PATIENCE);
        if (code != 0 || !out[0]) {
            err_got(e, "%s", err[0] ? err : "no job id");
            return err_set(e, EXIT_CONFIG, path, "the script is kept; what sbatch says stands above", "sbatch did not take the job (exit %d)", code);
        }
        const char *nodes = c->slurm.nodes[0] ? c->slurm.nodes : "1";
        printf("submitted: job %s (%s, %s node%s, %s)", out, p->verb, nodes, strcmp(nodes, "1") ? "s" : "", path);
        printf(strcmp(p->verb, "train") ? "\n" : "; asvr status %s tells how it goes\n", c->run.dir);
    }
    return true;
}

int submit_main(const Words *w, const Config *c)
{
    static Plan p;
    char *text = NULL, path[PATH_ROOM];
    size_t n = 0;
    int ranks;
    Err e = { 0 };
    p.c = c;
    p.verb = config_submits(c, &ranks);
    if (work_out(&p, w, &e)) {
        FILE *f = open_memstream(&text, &n);
        CHECK(f, "no memory for a script");
        write_script(f, &p, w);
        fclose(f);
        if (c->slurm.dry)
            fwrite(text, 1, n, stdout);
        else if (save(&p, text, n, path, &e))
            submit(&p, path, &e);
        free(text);
    }
    if (e.code)
        log_error(&e);
    return e.code;
}
