#include "launch/kits/kept.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm.h"
#include "io/base/json.h"

#define MOST ((size_t)1 << 32)          /* bytes of a file of answers */
enum { SYNC_SECONDS = 2 };

/* A line of JSON with its end; to be freed. */
static char *line_of(json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT), *line = NULL;
    CHECK(text && asprintf(&line, "%s\n", text) > 0, "no memory for an answer");
    free(text);
    json_decref(o);
    return line;
}

static char *first_line(const Kept *k) { return line_of(json_pack("{s:i, s:s}", "asvr-answers", 1, "of", k->of)); }

static json_t *answer(int64_t row, const char *said) { return json_pack("{s:I, s:o}", "row", (json_int_t)row, "prediction", json_text(said)); }

static void take(Kept *k, const char *line)
{
    json_t *o = json_loads(line, 0, NULL);
    const json_t *row = json_object_get(o, "row"), *said = json_object_get(o, "prediction");
    const int64_t i = json_is_integer(row) ? json_integer_value(row) : -1;
    if (i < 0 || i >= k->rows || !json_is_string(said))
        k->lost++;
    else if (!k->said[i]) {
        k->said[i] = pad_text(&k->pad, json_string_value(said), json_string_length(said));
        k->answered[i] = 1;
        k->had++;
    }
    json_decref(o);
}

static bool read_one(Kept *k, const char *path, Err *e)
{
    char *text, *at, *end;
    size_t n;
    bool first = true, ours = false;
    if (access(path, F_OK) || !file_read(path, MOST, &text, &n, e))
        return !e->code;
    for (at = text; (end = strchr(at, '\n')); at = end + 1, first = false) {
        *end = 0;
        if (first) {
            json_t *o = json_loads(at, 0, NULL);
            const char *of = json_string_value(json_object_get(o, "of"));
            ours = of && !strcmp(of, k->of);
            json_decref(o);
        } else if (ours)
            take(k, at);
        else
            k->other++;
    }
    k->lost += *at != 0;
    free(text);
    return true;
}

static bool is_part(const char *name) { return !strncmp(name, "answers-", 8) && strlen(name) > 14 && !strcmp(name + strlen(name) - 6, ".jsonl"); }

/* All files of answers; or removes the replicas' own. */
static bool each_part(Kept *k, bool remove, Err *e)
{
    char path[PATH_ROOM];
    DIR *d = opendir(k->dir);
    if (!d)
        return file_error(e, k->dir, "look into the folder");
    for (struct dirent *entry; (entry = readdir(d)) && !e->code; )
        if (is_part(entry->d_name) && path_set(path, e, "%s/%s", k->dir, entry->d_name)) {
            if (!remove)
                read_one(k, path, e);
            else if (unlink(path))
                file_error(e, path, "remove");
        }
    closedir(d);
    return !e->code;
}

/* Rank 0: everything that was said, in one file; then the parts may go. */
static bool collect(Kept *k, Err *e)
{
    char path[PATH_ROOM], *text = NULL;
    size_t n = 0;
    if (!path_set(path, e, "%s/answers.jsonl", k->dir) || !read_one(k, path, e) || !each_part(k, false, e))
        return false;
    FILE *f = open_memstream(&text, &n);
    char *line = first_line(k);
    CHECK(f && fputs(line, f) >= 0, "no memory for the answers");
    free(line);
    for (int64_t i = 0; i < k->rows; i++)
        if (k->said[i]) {
            line = line_of(answer(i, k->said[i]));
            fputs(line, f);
            free(line);
        }
    CHECK(fclose(f) == 0, "no memory for the answers");
    const bool ok = file_replace(path, text, n, e) && each_part(k, true, e);
    free(text);
    return ok;
}

bool kept_open(Kept *k, const Run *r, const char *dir, uint64_t of, int64_t rows, Err *e)
{
    char path[PATH_ROOM], *first;
    *k = (Kept){ .rows = rows, .synced = now() };
    snprintf(k->of, sizeof k->of, "%016llx", (unsigned long long)of);
    k->answered = calloc((size_t)rows + 1, 1);
    k->said = calloc((size_t)rows + 1, sizeof *k->said);
    CHECK(k->answered && k->said, "no memory for %lld answers", (long long)rows);
    if (path_set(k->dir, e, "%s", dir) && r->grid.rank == 0 && dir_make(dir, e))
        collect(k, e);
    if (!run_agree(r, e))
        return false;
    comm_bcast(r->grid.world, k->answered, (size_t)rows, 0);
    if (r->grid.tp_rank == 0 && path_set(path, e, "%s/answers-%d.jsonl", dir, r->grid.dp_rank)) {
        k->out = append_open(path, O_CREAT | O_TRUNC, "answers", e);
        if (k->out) {
            first = first_line(k);
            append_record(k->out, first, strlen(first));
            free(first);
        }
    }
    return run_agree(r, e);
}

void kept_add(Kept *k, int64_t row, const char *said)
{
    if (!k->out)
        return;
    char *line = line_of(answer(row, said));
    append_record(k->out, line, strlen(line));
    free(line);
    if (now() - k->synced > SYNC_SECONDS) {
        append_sync(k->out);
        k->synced = now();
    }
}

bool kept_all(Kept *k, const Run *r, Err *e)
{
    if (k->out)
        append_close(k->out);
    k->out = NULL;
    run_agree(r, e);                    /* all have closed theirs, with an error or without */
    if (r->grid.rank == 0 && !e->code)
        collect(k, e);
    return run_agree(r, e);
}

void kept_close(Kept *k)
{
    if (k->out)
        append_close(k->out);
    free(k->answered);
    free(k->said);
    pad_clear(&k->pad);
    *k = (Kept){ 0 };
}
