#include "core/fault.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FAULTS = 16 };

typedef struct {
    int64_t step;                   /* -1: any */
    bool    onward, done;           /* at all later steps, too; a bit turns once */
    char    point[24], action[8], value[PARAM_NAME];
} Fault;

static struct {
    bool    read;
    int64_t step;
    Fault   fault[FAULTS];          /* this rank's */
    int     n;
} all;

static const char *const ACTIONS[] = { "kill", "stop", "exit", "slow", "fail", "nan", "spike", "flip" };

static bool known(const char *action)
{
    for (size_t i = 0; i < sizeof ACTIONS / sizeof *ACTIONS; i++)
        if (!strcmp(action, ACTIONS[i]))
            return true;
    return false;
}

/* The launcher's word: a fault may come before MPI is up. */
static int my_rank(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return atoi(getenv(names[i]));
    return 0;
}

static void read_one(const char *text)
{
    Fault f = { 0 };
    char rank[12], step[24], *end;
    const int got = sscanf(text, "%11[^:]:%23[^:]:%23[^:]:%7[^:]:%63s", rank, step, f.point, f.action, f.value);
    CHECK(got >= 4 && known(f.action), "ASVR_FAULT: \"%s\" is not RANK:STEP:POINT:ACTION[:VALUE]", text);
    CHECK(all.n < FAULTS, "ASVR_FAULT: more than %d faults", FAULTS);
    f.step = !strcmp(step, "*") ? -1 : strtoll(step, &end, 10);
    f.onward = f.step >= 0 && (*end == '+' || !strcmp(f.action, "slow"));
    if (!strcmp(rank, "*") || atoi(rank) == my_rank())
        all.fault[all.n++] = f;
}

static void read_all(void)
{
    char text[1024];
    all.read = true;
    snprintf(text, sizeof text, "%s", getenv("ASVR_FAULT") ? getenv("ASVR_FAULT") : "");
    for (char *next, *one = strtok_r(text, ",", &next); one; one = strtok_r(NULL, ",", &next))
        read_one(one);
}

/* The fault of this kind that is due here, or NULL. */
static Fault *due(const char *point, const char *action)
{
    if (!all.read)
        read_all();
    for (int i = 0; i < all.n; i++) {
        Fault *f = &all.fault[i];
        if (!strcmp(f->action, action) && !strcmp(f->point, point) &&
            (f->step < 0 || f->step == all.step || (f->onward && all.step > f->step)))
            return f;
    }
    return NULL;
}

void fault_step(int64_t step) { all.step = step; }

bool fault_fails(const char *point, int *error)
{
    const Fault *f = due(point, "fail");
    if (f)
        *error = atoi(f->value);
    return f;
}

void fault_point(const char *point)
{
    const Fault *f;
    if ((f = due(point, "slow"))) {
        const double s = atof(f->value);
        nanosleep(&(struct timespec){ .tv_sec = (time_t)s, .tv_nsec = (long)(1e9 * fmod(s, 1)) }, NULL);
    }
    if (due(point, "stop"))
        raise(SIGSTOP);
    if (due(point, "kill"))
        raise(SIGKILL);
    if ((f = due(point, "exit")))
        _exit(f->value[0] ? atoi(f->value) : 1);
}

void fault_numbers(const char *point, void *x, int64_t n, bool doubles)
{
    const Fault *spike = due(point, "spike");
    const double factor = spike && spike->value[0] ? atof(spike->value) : 1e10;
    float  *f = x;
    double *d = x;
    for (int64_t i = 0; spike && i < n; i++)
        doubles ? (void)(d[i] *= factor) : (void)(f[i] *= (float)factor);
    if (n > 0 && due(point, "nan"))
        doubles ? (void)(d[0] = NAN) : (void)(f[n / 2] = NAN);
}

void fault_tensors(const char *point, const Params *t, float *weights)
{
    Fault *f = due(point, "flip");
    for (int i = 0; f && !f->done && i < t->n; i++)
        if (strstr(t->p[i].name, f->value)) {
            uint32_t bits;
            float *x = weights + t->p[i].offset + t->p[i].count / 2;
            memcpy(&bits, x, sizeof bits);
            bits ^= 1u << 20;
            memcpy(x, &bits, sizeof bits);
            f->done = true;
        }
}
