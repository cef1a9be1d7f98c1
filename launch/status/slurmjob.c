#include "launch/status/slurmjob.h"

#include <stdio.h>
#include <string.h>

#include "io/base/command.h"

enum { PATIENCE = 2 /* seconds */ };

/* The next field, up to '|' or the end of the line. */
static void field(const char **at, char *out, size_t cap)
{
    const size_t n = strcspn(*at, "|\n");
    snprintf(out, cap, "%.*s", (int)n, *at);
    *at += n + ((*at)[n] == '|');
}

void slurmjob_ask(SlurmJob *j, const char *id)
{
    char job[96], out[2048], err[256];
    *j = (SlurmJob){ 0 };
    if (!id[0])
        return;
    snprintf(job, sizeof job, "%s", id);
    char *const argv[] = { "squeue", "-h", "-j", job, "-o", "%T|%r|%L|%S|%N", NULL };
    const int code = command_read(argv, NULL, PATIENCE, out, sizeof out, err, sizeof err);
    err[strcspn(err, "\n")] = 0;
    const char *at = out;
    if (code == COMMAND_LATE)
        snprintf(j->said, sizeof j->said, "squeue has not answered within %d s", PATIENCE);
    else if (code == COMMAND_NONE)
        snprintf(j->said, sizeof j->said, "there is no squeue here");
    else if ((code == 0 && !out[0]) || strstr(err, "Invalid job id"))
        snprintf(j->said, sizeof j->said, "not in the queue any more");
    else if (code)
        snprintf(j->said, sizeof j->said, "squeue fails: %.120s", err);
    else
        j->known = true;
    if (!j->known)
        return;
    field(&at, j->state, sizeof j->state);
    field(&at, j->reason, sizeof j->reason);
    field(&at, j->left, sizeof j->left);
    field(&at, j->start, sizeof j->start);
    field(&at, j->nodes, sizeof j->nodes);
}

bool slurmjob_goes_on(const SlurmJob *j)
{
    static const char *const over[] = { "CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY", "REVOKED" };
    for (unsigned i = 0; j->known && i < sizeof over / sizeof *over; i++)
        if (!strncmp(j->state, over[i], strlen(over[i])))
            return false;
    return j->known;
}
