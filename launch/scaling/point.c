/* point.c -- a point's folder: its configuration, its prediction, what came of it (series.h) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "io/base/json.h"
#include "launch/scaling/series.h"

#define FORMAT "asvr-point"
enum { VERSION = 1, FILE_MOST = 1 << 16 };

static const char *const STATE_NAME[] = { "open", "done", "failed" };

/* Every number of a prediction. */
#define PART(k) { #k, offsetof(Seconds, k) }
static const struct { const char *key; size_t at; } WANT[] = {
    PART(step), PART(forward), PART(backward), PART(sums), PART(optimizer), PART(tp), PART(dp), PART(hidden), PART(rest),
};
enum { WANTS = sizeof WANT / sizeof *WANT };

uint64_t series_hash(const char *text, size_t n) { return XXH64(text, n, 0); }

void point_config(const Series *s, const Point *p, Config *out)
{
    static Config plain;
    static ErrList none;
    config_load(&plain, NULL, NULL, 0, &none);
    *out = *s->c;
    out->scaling = plain.scaling;              /* of no account to a point */
    out->plan = plain.plan;
    out->bench = plain.bench;
    out->bench.warm = s->c->scaling.warm;
    out->bench.steps = s->c->scaling.steps;
    out->bench.repeat = s->c->scaling.repeat;
    out->bench.rates = p->kind == SCALING_BOTH;
    out->bench.ckpt = s->c->bench.ckpt && p->kind != SCALING_BOTH;
    out->parallel.tp = p->tp;
    out->parallel.zero = p->zero;
    out->parallel.threads = p->threads;
    out->train.micro_batch = p->micro_batch;
    out->train.global_batch = p->global_batch;
    out->run.dir[0] = 0;
}

bool point_path(const Series *s, const Point *p, const char *file, char out[PATH_ROOM], Err *e)
{
    return path_set(out, e, "%s/points/%s%s%s", s->dir, p->name, file[0] ? "/" : "", file);
}

/* The configuration as a file: with run.dir, or, to be hashed, without. */
static char *config_text(const Series *s, const Point *p, const char *dir, size_t *n)
{
    static Config c;
    char *text = NULL;
    point_config(s, p, &c);
    if (dir)
        snprintf(c.run.dir, sizeof c.run.dir, "%s", dir);
    FILE *f = open_memstream(&text, n);
    CHECK(f, "no memory for a configuration");
    config_print(&c, f);
    if (!dir) {
        char machine[128];
        bench_machine(machine, sizeof machine);
        fprintf(f, "%d ranks by %s on %s\n", p->ranks, s->c->scaling.launcher, machine);
    }
    fclose(f);
    return text;
}

static void settings_of(const Series *s, const Point *p, char out[20])
{
    size_t n;
    char *text = config_text(s, p, NULL, &n);
    snprintf(out, 20, "%016" PRIx64, series_hash(text, n));
    free(text);
}

bool point_write(const Series *s, const Point *p, Err *e)
{
    char dir[PATH_ROOM], path[PATH_ROOM], settings[20], program[20];
    size_t n;
    if (!point_path(s, p, "", dir, e) || !dir_make(dir, e) || !point_path(s, p, "point.cfg", path, e))
        return false;
    if (strlen(dir) >= CONFIG_STRING)
        return err_set(e, EXIT_CONFIG, "scaling.dir", "", "the path of a point's folder is too long: %s", p->name);
    char *text = config_text(s, p, dir, &n);
    const bool ok = file_replace(path, text, n, e);
    free(text);
    if (!ok || !point_path(s, p, "point.json", path, e))
        return false;
    settings_of(s, p, settings);
    snprintf(program, sizeof program, "%016" PRIx64, s->program);
    json_t *root = json_pack("{s:s, s:i, s:s, s:i, s:s, s:s, s:i, s:s}", "format", FORMAT, "version", VERSION, "state", STATE_NAME[p->state], "code",
                             p->code, "settings", settings, "program", program, "ranks", p->ranks, "rates", p->rates);
    json_t *want = p->rates[0] ? json_object() : json_null();
    for (int i = 0; i < WANTS && p->rates[0]; i++)
        json_object_set_new(want, WANT[i].key, json_real(*(const double *)((const char *)&p->want + WANT[i].at)));
    json_object_set_new(root, "predicted_s", want);
    return json_write(path, root, 9, e);
}

static bool says(const json_t *root, const char *key, const char *want)
{
    const char *is = json_string_value(json_object_get(root, key));
    return is && !strcmp(is, want);
}

bool point_matches(const Point *p)
{
    const Steps *x = &p->steps;
    return x->ranks == p->ranks && x->tp == p->tp && x->zero == p->zero && x->threads == p->threads && x->micro_batch == p->micro_batch &&
           x->global_batch == p->global_batch;
}

void point_known(const Series *s, Point *p)
{
    char path[PATH_ROOM], settings[20], program[20], *text;
    Err none = { 0 };
    size_t n;
    if (!point_path(s, p, "point.json", path, &none) || !file_read(path, FILE_MOST, &text, &n, &none))
        return;
    json_t *root = json_loadb(text, n, 0, NULL);
    settings_of(s, p, settings);
    snprintf(program, sizeof program, "%016" PRIx64, s->program);
    if (says(root, "format", FORMAT) && says(root, "state", STATE_NAME[POINT_DONE]) && says(root, "settings", settings) &&
        says(root, "program", program) && point_path(s, p, "", path, &none) && steps_read(&p->steps, path, &none) && point_matches(p)) {
        const json_t *want = json_object_get(root, "predicted_s");
        const char *rates = json_string_value(json_object_get(root, "rates"));
        p->state = POINT_DONE;
        p->kept = true;
        snprintf(p->rates, sizeof p->rates, "%s", json_is_object(want) && rates ? rates : "");
        for (int i = 0; i < WANTS; i++)
            *(double *)((char *)&p->want + WANT[i].at) = json_number_value(json_object_get(want, WANT[i].key));
    }
    json_decref(root);
    free(text);
}
