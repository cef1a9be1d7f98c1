#include "io/base/jobend.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base.h"
#include "io/base/command.h"
#include "io/base/life.h"

extern char **environ;
static const double PATIENCE = 5;               /* seconds for squeue */

double jobend_time(const char *text)
{
    struct tm t = { 0 };
    int n = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec, &n) != 6)
        return 0;
    if ((text[n] && !isspace((unsigned char)text[n])) || t.tm_year < 1970 || t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 ||
        t.tm_mday > 31 || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60)
        return 0;
    t.tm_year -= 1900;
    t.tm_mon--;
    return (double)timegm(&t);
}

/* The answer's first line, fit to be shown. */
static void first_line(const char *text, char out[48])
{
    size_t n = 0;
    for (; n < 47 && text[n] && text[n] != '\n'; n++)
        out[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
    out[n] = 0;
}

double jobend_answer(int status, int error, const char *text, double clock, char said[JOBEND_TEXT])
{
    char line[48];
    const double end = jobend_time(text);
    first_line(text, line);
    if (status < 0 && error == ETIMEDOUT)
        snprintf(said, JOBEND_TEXT, "squeue does not answer within %.0f s", PATIENCE);
    else if (status < 0)
        snprintf(said, JOBEND_TEXT, "squeue cannot be asked: %s", strerror(error));
    else if (status > 0)
        snprintf(said, JOBEND_TEXT, "squeue exits with %d", status);
    else if (!strcmp(line, "N/A") || !strcmp(line, "NONE") || !strcmp(line, "UNLIMITED"))
        snprintf(said, JOBEND_TEXT, "squeue says that the job has no time limit");
    else if (end == 0)
        snprintf(said, JOBEND_TEXT, "squeue answers \"%s\"", line);
    else if (end <= clock)
        snprintf(said, JOBEND_TEXT, "squeue answers %s, which is past", line);
    else {
        snprintf(said, JOBEND_TEXT, "squeue");
        return end;
    }
    return 0;
}

/* Ours, but for what makes squeue write or choose otherwise. */
static char **plain_environment(void)
{
    static char utc[] = "TZ=UTC", standard[] = "SLURM_TIME_FORMAT=standard";
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **env = malloc((n + 3) * sizeof *env);
    CHECK(env, "no memory for %zu variables", n);
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "TZ=", 3) && strncmp(environ[i], "SQUEUE_", 7) && strncmp(environ[i], "SLURM_TIME_FORMAT=", 18))
            env[k++] = environ[i];
    env[k++] = utc;
    env[k++] = standard;
    env[k] = NULL;
    return env;
}

double jobend(char said[JOBEND_TEXT])
{
    Life l;
    char out[256], why[JOBEND_TEXT], no_header[] = "-h", job[] = "-j", format[] = "-o", end_time[] = "%e", squeue[] = "squeue";
    const char *set = getenv("SLURM_JOB_END_TIME");
    const double clock = (double)time(NULL), end = set ? atof(set) : 0;
    said[0] = 0;
    life_self(&l);
    if (end > clock) {
        snprintf(said, JOBEND_TEXT, "SLURM_JOB_END_TIME");
        return end;
    }
    if (!l.job[0])
        return 0;
    char **env = plain_environment(), *argv[] = { squeue, no_header, job, l.job, format, end_time, NULL };
    const int status = command_read(argv, env, PATIENCE, out, sizeof out, NULL, 0);
    const double asked = jobend_answer(status, errno, out, clock, why);
    free(env);
    snprintf(said, JOBEND_TEXT, "%.200s%s", why, set && asked == 0 ? ", and SLURM_JOB_END_TIME is past" : "");
    return asked;
}
