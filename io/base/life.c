#include "io/base/life.h"

#include "io/base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* The first line of a file of the kernel's; "" if there is none. */
static void first_line(const char *path, char *out, size_t cap)
{
    out[0] = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (!fgets(out, (int)cap, f))
        out[0] = 0;
    fclose(f);
    out[strcspn(out, "\n")] = 0;
}

/* Field 22 of /proc/N/stat; -1 if there is no such process, or only what its parent has not yet buried. */
static int64_t start_of(int64_t process)
{
    char path[64], text[1024], state = 0;
    long long started = -1;
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", process);
    first_line(path, text, sizeof text);
    const char *end = strrchr(text, ')');          /* the name before it may hold anything */
    if (!end || sscanf(end + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lld", &state, &started) != 2)
        return -1;
    return state == 'Z' || state == 'X' ? -1 : (int64_t)started;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

void life_self(Life *l)
{
    uint64_t random = 0;
    *l = (Life){ .process = getpid(), .held = true, .saved = -1 };
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint64_t)getpid() << 32 ^ (uint64_t)(1e9 * now());
    snprintf(l->token, sizeof l->token, "%016" PRIx64, random);
    gethostname(l->host, sizeof l->host - 1);
    first_line("/proc/sys/kernel/random/boot_id", l->boot, sizeof l->boot);
    const ssize_t n = readlink("/proc/self/ns/pid", l->pids, sizeof l->pids - 1);
    l->pids[n > 0 ? n : 0] = 0;
    l->started = start_of(l->process);
    snprintf(l->cluster, sizeof l->cluster, "%s", variable("SLURM_CLUSTER_NAME"));
    if (*variable("SLURM_ARRAY_JOB_ID") && *variable("SLURM_ARRAY_TASK_ID"))
        snprintf(l->job, sizeof l->job, "%s_%s", variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID"));
    else
        snprintf(l->job, sizeof l->job, "%s", variable("SLURM_JOB_ID"));
    l->restart = strtoll(variable("SLURM_RESTART_COUNT"), NULL, 10);
}

int life_text(const Life *l, char out[LIFE_TEXT])
{
    json_t *o = json_pack("{s:s, s:o, s:s, s:s, s:I, s:I, s:o, s:o, s:I}", "token", l->token, "host", json_text(l->host),
                          "boot", l->boot, "pids", l->pids, "process", (json_int_t)l->process, "started", (json_int_t)l->started,
                          "cluster", json_text(l->cluster), "job", json_text(l->job), "restart", (json_int_t)l->restart);
    char *text = o ? json_dumps(o, JSON_PRESERVE_ORDER) : NULL;
    CHECK(text, "no memory for JSON");
    text[strlen(text) - 1] = 0;                     /* without its brace: what changes follows */
    const int n = snprintf(out, LIFE_TEXT, "%s, \"held\": %5s, \"saved\": %20" PRId64 "}\n", text, l->held ? "true" : "false", l->saved);
    CHECK(n < LIFE_TEXT, "the text of a lease is %d bytes long", n);
    free(text);
    json_decref(o);
    return n;
}

static void take_text(const json_t *o, const char *key, char *out, size_t cap)
{
    const char *text = json_string_value(json_object_get(o, key));
    snprintf(out, cap, "%s", text ? text : "");
}

bool life_parse(Life *l, const char *text)
{
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    *l = (Life){ 0 };
    take_text(o, "token", l->token, sizeof l->token);
    take_text(o, "host", l->host, sizeof l->host);
    take_text(o, "boot", l->boot, sizeof l->boot);
    take_text(o, "pids", l->pids, sizeof l->pids);
    take_text(o, "cluster", l->cluster, sizeof l->cluster);
    take_text(o, "job", l->job, sizeof l->job);
    l->process = json_integer_value(json_object_get(o, "process"));
    l->started = json_integer_value(json_object_get(o, "started"));
    l->restart = json_integer_value(json_object_get(o, "restart"));
    l->held = !json_is_false(json_object_get(o, "held"));
    const json_t *saved = json_object_get(o, "saved");
    l->saved = json_is_integer(saved) ? (int64_t)json_integer_value(saved) : -1;
    json_decref(o);
    return l->token[0];
}

const char *life_who(const Life *l, char out[LIFE_WHO])
{
    int n = snprintf(out, LIFE_WHO, "host %s, process %" PRId64, l->host[0] ? l->host : "?", l->process);
    if (l->job[0])
        n += snprintf(out + n, LIFE_WHO - (size_t)n, ", job %s", l->job);
    if (l->job[0] && l->restart)
        snprintf(out + n, LIFE_WHO - (size_t)n, ", restart %" PRId64, l->restart);
    return out;
}

bool life_follows(const Life *later, const Life *earlier)
{
    return later->job[0] && !strcmp(later->job, earlier->job) && !strcmp(later->cluster, earlier->cluster) &&
           later->restart > earlier->restart;
}

bool life_same_boot(const Life *a, const Life *b)
{
    return a->boot[0] && !strcmp(a->boot, b->boot);
}

int life_state(const Life *l, const Life *self)
{
    if (!life_same_boot(l, self) || strcmp(l->pids, self->pids) || l->process <= 0)
        return LIFE_UNKNOWN;
    const int64_t started = start_of(l->process);
    if (started >= 0)
        return started == l->started ? LIFE_ALIVE : LIFE_DEAD;
    /* No such process, or one that its parent has not buried; /proc may also hide those of others. */
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRId64, l->process);
    if (access(path, F_OK) == 0 || (kill((pid_t)l->process, 0) && errno == ESRCH))
        return LIFE_DEAD;
    return LIFE_UNKNOWN;
}
