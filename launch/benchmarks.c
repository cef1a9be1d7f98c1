#include "launch/benchmarks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "io/base/events.h"
#include "io/base/files.h"

/* Does the file end within a line? */
static bool torn(const char *path)
{
    FILE *f = fopen(path, "re");
    const bool yes = f && fseek(f, -1, SEEK_END) == 0 && fgetc(f) != '\n';
    if (f)
        fclose(f);
    return yes;
}

int benchmarks_open(const char *run_dir, Err *e)
{
    char path[PATH_ROOM];
    const int fd = path_set(path, e, "%s/benchmarks.jsonl", run_dir) ? file_open(path, O_WRONLY | O_APPEND | O_CREAT) : -1;
    if (fd < 0)
        file_error(e, path, "write");
    while (fd >= 0 && flock(fd, LOCK_EX) && errno == EINTR)
        ;
    return fd;
}

bool benchmarks_append(int fd, const char *run_dir, json_t *line, Err *e)
{
    char path[PATH_ROOM], *text = json_dumps(line, JSON_REAL_PRECISION(17)), *whole = NULL;
    bool ok = path_set(path, e, "%s/benchmarks.jsonl", run_dir);
    CHECK(text && asprintf(&whole, "%s%s\n", ok && torn(path) ? "\n" : "", text) > 0, "no memory for a line of benchmarks.jsonl");
    if (ok && (!file_write(fd, whole, strlen(whole)) || !file_fsync(fd)))
        ok = file_error(e, path, "write");
    free(whole);
    free(text);
    json_decref(line);
    return ok && file_sync(run_dir, e);
}

/* Among the objects by step. */
static void take(json_t *all, json_t *line)
{
    const json_int_t step = json_integer_value(json_object_get(line, "step"));
    size_t i = json_array_size(all);
    json_t *found = json_object_get(line, "benchmarks"), *same;
    while (i > 0 && json_integer_value(json_object_get(json_array_get(all, i - 1), "step")) > step)
        i--;
    same = i > 0 ? json_array_get(all, i - 1) : NULL;
    if (!json_is_object(found))
        return;
    if (json_integer_value(json_object_get(same, "step")) != step || !same) {
        json_array_insert(all, i, line);
        return;
    }
    json_object_set(same, "time", json_object_get(line, "time"));
    json_object_update(json_object_get(same, "benchmarks"), found);
}

json_t *benchmarks_read(const char *run_dir)
{
    char path[PATH_ROOM], *line = NULL;
    size_t cap = 0;
    Err none = { 0 };
    json_t *all = json_array();
    FILE *f = path_set(path, &none, "%s/benchmarks.jsonl", run_dir) ? fopen(path, "re") : NULL;
    CHECK(all, "no memory for JSON");
    while (f && getline(&line, &cap, f) > 0) {
        json_t *o = json_loads(line, 0, NULL);
        if (json_is_integer(json_object_get(o, "step")))
            take(all, o);
        json_decref(o);
    }
    free(line);
    if (f)
        fclose(f);
    return all;
}

bool benchmarks_events(const char *run_dir, Err *e)
{
    char folder[PATH_ROOM];
    size_t i;
    json_t *all = benchmarks_read(run_dir), *line;
    Events *v = path_set(folder, e, "%s/tensorboard/benchmarks", run_dir) ? events_open(folder, 0, e) : NULL;
    if (v) {
        json_array_foreach(all, i, line)
            events_evaluation(v, line);
        events_close(v);
    }
    json_decref(all);
    return v != NULL;
}
