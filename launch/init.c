/*
 * init.c -- `asvr init [PATH...]`: looks at data, and writes a configuration for them and this machine
 *
 * The look and the sizes that are offered go to stderr, for people; the configuration alone goes to stdout.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/base/log.h"
#include "launch/init/guess.h"
#include "launch/init/offer.h"
#include "launch/status/units.h"
#include "launch/verbs.h"
#include "launch/words.h"

/* In the order of the verb's flags. */
enum { FLAG_PATH, FLAG_JSON, FLAG_IMAGES, FLAG_SOURCE, FLAG_SIZE, FLAG_HOURS, FLAG_MODEL, FLAG_RUN };

static const double NIGHT = 10;                 /* hours */
static const char LISTS[] = ",:";
enum { RUN_MOST = 900 };

static bool hours_of(double *hours, const char *text, Err *e)
{
    char *end;
    *hours = text ? strtod(text, &end) : NIGHT;
    if (!text || (end != text && !*end && *hours > 0 && *hours < 1e6))
        return true;
    err_got(e, "\"%.80s\"", text);
    return err_set(e, EXIT_USAGE, "", "--hours=10 is a night", "init: --hours is a number of hours");
}

static bool size_of(int *size, const char *text, Err *e)
{
    for (*size = 0; *size < OFFERS; ++*size)
        if (text && !strcmp(text, OFFER_NAME[*size]))
            return true;
    *size = -1;
    if (!text)
        return true;
    err_expected(e, "small, medium or large");
    err_got(e, "\"%.80s\"", text);
    return err_set(e, EXIT_USAGE, "", "without --size the one that fits is written", "init: --size has no such word");
}

/* runs/NAME, by what is looked at: pictures/ or mine.json. */
static bool run_of(char run[CONFIG_STRING], const char *given, const LookAt *at, Err *e)
{
    char name[CONFIG_STRING];
    snprintf(name, sizeof name, "%s", at->json[0] ? at->json : at->images);
    for (size_t n = strlen(name); n > 1 && name[n - 1] == '/'; n--)
        name[n - 1] = 0;
    char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    base[strcspn(base, ".{*?[")] = 0;
    for (char *s = base; *s; s++)
        *s = strchr(LISTS, *s) || (unsigned char)*s <= ' ' ? '-' : *s;
    if (!given)
        return snprintf(run, CONFIG_STRING, "runs/%.200s", base[0] ? base : "mine") > 0;
    if (strlen(given) >= RUN_MOST || strpbrk(given, LISTS)) {
        err_got(e, "\"%.200s\"", given);
        return err_set(e, EXIT_USAGE, "", "",
                       "init: --run is a folder's name of less than %d bytes, without a comma or a colon, which divide lists of runs and of data sets", RUN_MOST);
    }
    return snprintf(run, CONFIG_STRING, "%s", given) > 0;
}

static const char *million(double n, char out[32])
{
    snprintf(out, 32, n < 9.95e6 ? "%.1f M" : n < 9.95e8 ? "%.0f M" : "%.1f B", n < 9.95e8 ? 1e-6 * n : 1e-9 * n);
    return out;
}

static void print_offers(const Offer *o, int n, int chosen, const Machinery *m, FILE *f)
{
    char memory[UNIT_WORD], disk[UNIT_WORD], time[UNIT_WORD], free_[UNIT_WORD], ram[UNIT_WORD], size[32];
    fprintf(f, "machine   %d core%s, %s of memory and %s of disk left; products %.0f GF/s, memory %.0f GB/s (measured now)\n\n", m->cores, m->cores == 1 ? "" : "s",
            unit_bytes(m->ram, ram), unit_bytes(m->disk, free_), 1e-9 * m->sgemm, 1e-9 * m->memory);
    fprintf(f, "  %-8s %10s %9s %14s %10s %8s %14s\n", "", "parameters", "pictures", "memory a rank", "disk", "steps", "time, predicted");
    for (int i = 0; i < n; i++) {
        int64_t steps = 0;
        for (int k = 0; k < o[i].n; k++)
            steps += o[i].stage[k].c.train.steps;
        fprintf(f, "%s %-8s %10s %9d %14s %10s %8lld %14s", i == chosen ? "->" : "  ", OFFER_NAME[o[i].size], million((double)o[i].parameters, size),
                o[i].stage[0].c.model.vision.image, unit_bytes(o[i].memory, memory), unit_bytes(o[i].disk, disk), (long long)steps, unit_age(o[i].seconds, time));
        fprintf(f, "%s%s%s\n", o[i].fits ? "" : "   does not fit: ", o[i].fits ? "" : o[i].lacks, o[i].enough ? "" : "   few data for so much");
    }
}

/* The file that stdout is, where it is one: `> mine.cfg`. */
static void stdout_name(char out[PATH_ROOM])
{
    char path[PATH_ROOM], here[PATH_ROOM];
    const ssize_t n = readlink("/proc/self/fd/1", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    const size_t k = getcwd(here, sizeof here) ? strlen(here) : 0;
    if (path[0] != '/' || !strncmp(path, "/dev/", 5) || strstr(path, " (deleted)"))
        snprintf(out, PATH_ROOM, "mine.cfg");
    else
        snprintf(out, PATH_ROOM, "%s", k && !strncmp(path, here, k) && path[k] == '/' ? path + k + 1 : path);
}

static void print_next(const Offer *o, const Look *l, const Machinery *m, FILE *f)
{
    char name[PATH_ROOM], time[UNIT_WORD];
    stdout_name(name);
    fprintf(f, "\nnext\n  mpirun -n %d asvr train %s    packs, then trains %d stages: about %s\n  asvr chat %s", m->ranks, name, o->n, unit_age(o->seconds, time), name);
    if (l->picture[0])
        fprintf(f, "    asks \"%s\" about %s\n", l->question, l->picture);
    else
        fprintf(f, " --set chat.image=PICTURE --set chat.question=\"...\"\n");
    if (geteuid() == 0 && !getenv("OMPI_ALLOW_RUN_AS_ROOT"))
        fprintf(f, "  (as root, Open MPI wants OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 in the environment)\n");
}

/* The largest that fits, has data enough, and is done in time; else the smallest. */
static int choose(const Offer *o, int n, double hours)
{
    int best = 0;
    for (int i = 0; i < n; i++)
        if (o[i].fits && o[i].enough && o[i].seconds <= 3600 * hours)
            best = i;
    return best;
}

static bool offer(const Words *w, const Look *l, const char *run, int size, double hours, Err *e)
{
    static Offer o[OFFERS];
    Machinery m;
    machinery_read(&m);
    for (int i = 0; i < OFFERS; i++)
        if (!offer_make(&o[i], i, l, &m, w->values[FLAG_MODEL], run, e) || !offer_costs(&o[i], l, &m, e))
            return false;
    const int chosen = size >= 0 ? size : choose(o, OFFERS, hours);
    print_offers(o, OFFERS, chosen, &m, stderr);
    if (o[chosen].seconds > 3600 * hours && (size < 0 || w->values[FLAG_HOURS])) {
        char all[UNIT_WORD];
        fprintf(stderr, "\n%s wants %s; what is written has fewer steps, for %g hour%s: --hours says how many\n", OFFER_NAME[o[chosen].size],
                unit_age(o[chosen].seconds, all), hours, hours == 1 ? "" : "s");
        offer_cut(&o[chosen], l, 3600 * hours);
    }
    if (!o[chosen].fits) {
        char need[UNIT_WORD];
        err_got(e, "%s of %s", unit_bytes(!strcmp(o[chosen].lacks, "disk") ? o[chosen].disk : o[chosen].memory * m.ranks, need), o[chosen].lacks);
        return err_set(e, EXIT_CONFIG, "", "a smaller --size, or a larger machine", "%s does not fit this machine", OFFER_NAME[o[chosen].size]);
    }
    offer_write(&o[chosen], l, &m, w->values[FLAG_MODEL], stdout);
    print_next(&o[chosen], l, &m, stderr);
    return true;
}

int init_main(const Words *w, const Config *none)
{
    static Look l;
    static LookAt at;
    char run[CONFIG_STRING];
    double hours;
    int size;
    Err e = { 0 };
    (void)none;
    if (hours_of(&hours, w->values[FLAG_HOURS], &e) && size_of(&size, w->values[FLAG_SIZE], &e) &&
        guess(&at, w->values[FLAG_JSON], w->values[FLAG_IMAGES], w->values[FLAG_SOURCE], w->paths, w->n_paths, &e) && run_of(run, w->values[FLAG_RUN], &at, &e)) {
        const bool ok = look_open(&l, &at, &e);
        look_print(&l, stderr);
        if (ok)
            offer(w, &l, run, size, hours, &e);
        look_free(&l);
    }
    if (e.code)
        log_error(&e);
    return e.code;
}
