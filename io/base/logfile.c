#include "io/base/logfile.h"

#include "io/base/files.h"
#include "io/base/json.h"
#include "io/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define HASH_KEY ", \"hash\": \""

enum { HASH_TAIL = sizeof HASH_KEY - 1 + 8 + 3 /* "}\n */, GAPS = 5, TOLD = 512 };

size_t logfile_seal(char *text, size_t n, size_t room)
{
    if (n + HASH_TAIL >= room)
        return 0;
    const unsigned hash = XXH32(text, n, 0);
    return n + (size_t)snprintf(text + n, room - n, HASH_KEY "%08x\"}\n", hash);
}

/* ---- a line ---- */

/* Of a version that wrote no hash: its last key was "tp". */
static bool whole_without_hash(const char *line, size_t n)
{
    size_t at = n - 2;
    while (at > 0 && line[at - 1] >= '0' && line[at - 1] <= '9')
        at--;
    if (at == n - 2 || at < 8 || strncmp(line + at - 8, ", \"tp\": ", 8))
        return false;
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    const bool whole = o && json_is_integer(json_object_get(o, "step"));
    json_decref(o);
    return whole;
}

/* As it was written?  n: with its newline. */
static bool whole(const char *line, size_t n, int64_t *step)
{
    if (n < HASH_TAIL || strlen(line) != n || strcmp(line + n - 2, "}\n") || sscanf(line, "{\"step\": %" SCNd64 ",", step) != 1)
        return false;
    const char *tail = line + n - HASH_TAIL;
    char again[HASH_TAIL + 1];
    if (strncmp(tail, HASH_KEY, sizeof HASH_KEY - 1))
        return whole_without_hash(line, n);
    snprintf(again, sizeof again, HASH_KEY "%08x\"}\n", (unsigned)XXH32(line, n - HASH_TAIL, 0));
    return !strcmp(tail, again);
}

/* ---- the file ---- */

typedef struct {
    int64_t resume, last;               /* the last step that stays */
    int64_t line, end;                  /* lines so far; bytes up to the end of the last that stays */
    bool    middle;                     /* something goes that is not at the end */
    bool    tail;                       /* something goes */
    int     life;                       /* the largest number of a life */
    int64_t damaged, doubled, gaps;     /* how many */
    int64_t first_damaged, first_doubled, doubled_step;     /* in which line */
    char    missing[TOLD];
} Scan;

static void missing(Scan *s, int64_t from, int64_t to)
{
    const size_t at = strlen(s->missing);
    if (++s->gaps <= GAPS && from == to)
        snprintf(s->missing + at, sizeof s->missing - at, "%s%" PRId64, at ? ", " : "", from);
    else if (s->gaps <= GAPS)
        snprintf(s->missing + at, sizeof s->missing - at, "%s%" PRId64 " to %" PRId64, at ? ", " : "", from, to);
}

enum { STAYS, GOES, ASIDE };

static int judge(Scan *s, const char *line, size_t n)
{
    int64_t step;
    int life;
    const char *at;
    s->line++;
    if (line[n - 1] != '\n')
        return GOES;
    if (!whole(line, n, &step)) {
        s->first_damaged = s->damaged++ ? s->first_damaged : s->line;
        return ASIDE;
    }
    if ((at = strstr(line, "\"restart\": ")) && sscanf(at, "\"restart\": %d", &life) == 1 && life > s->life)
        s->life = life;
    if (step >= s->resume)
        return GOES;
    if (step <= s->last) {
        s->first_doubled = s->doubled ? s->first_doubled : s->line;
        s->doubled_step = s->doubled++ ? s->doubled_step : step;
        return ASIDE;
    }
    if (step > s->last + 1)
        missing(s, s->last + 1, step - 1);
    s->last = step;
    return STAYS;
}

/* Passes the lines on to `out` and `aside`, which may be NULL. */
static bool pass(FILE *in, const char *path, Scan *s, FILE *out, FILE *aside, Err *e)
{
    char *line = NULL;
    size_t cap = 0;
    int64_t at = 0;
    bool ok = true;
    rewind(in);
    errno = 0;
    for (ssize_t n; ok && (n = getline(&line, &cap, in)) > 0; ) {
        const int fate = judge(s, line, (size_t)n);
        FILE *to = fate == STAYS ? out : fate == ASIDE ? aside : NULL;
        at += n;
        if (fate == STAYS) {
            s->middle = s->middle || s->tail;
            s->end = at;
        } else {
            s->tail = true;
            s->middle = s->middle || fate == ASIDE;
        }
        ok = !to || fwrite(line, 1, (size_t)n, to) == (size_t)n || file_error(e, path, "copy the lines of");
    }
    free(line);
    if (ok && ferror(in))
        ok = file_error(e, path, "read");
    if (s->resume > 1 && s->last < s->resume - 1)
        missing(s, s->last + 1, s->resume - 1);
    return ok;
}

/* Durable, and closed. */
static bool finish(FILE *f, const char *path, bool ok, Err *e)
{
    if (!f)
        return ok;
    ok = ok && ((fflush(f) == 0 && file_fsync(fileno(f))) || file_error(e, path, "write"));
    return (fclose(f) == 0 || (ok && file_error(e, path, "close"))) && ok;
}

/* A new file without the lines that go. */
static bool rewrite(const char *run_dir, const char *path, FILE *in, const Scan *was, Lease *lease, Err *e)
{
    char temp[PATH_ROOM], aside[PATH_ROOM];
    if (!path_set(temp, e, "%s/.tmp-%s-run.jsonl", run_dir, lease_tag(lease)) || !path_set(aside, e, "%s/run.damaged.jsonl", run_dir))
        return false;
    const bool keep = was->damaged + was->doubled > 0;
    Scan s = { .resume = was->resume };
    FILE *out = fopen(temp, "we"), *other = out && keep ? fopen(aside, "ae") : NULL;
    bool ok = out ? !keep || other || file_error(e, aside, "open") : file_error(e, temp, "create");
    ok = ok && pass(in, path, &s, out, other, e);
    ok = finish(other, aside, ok, e);
    ok = finish(out, temp, ok, e);
    ok = ok && lease_held(lease, e) && file_commit(temp, path, e);
    if (!ok && out)
        unlink(temp);
    return ok;
}

/* The lines at the end go.  Asked for the lease after opening: had it been lost before, a later life's file has another inode. */
static bool cut(const char *path, int64_t end, Lease *lease, Err *e)
{
    const int fd = file_open(path, O_WRONLY);
    if (fd < 0)
        return file_error(e, path, "open");
    const bool ok = lease_held(lease, e) && ((ftruncate(fd, end) == 0 && file_fsync(fd)) || file_error(e, path, "cut"));
    close(fd);
    return ok;
}

static void say(const Scan *s, const char *path)
{
    char text[TOLD + PATH_ROOM + 128];
    if (s->damaged) {
        snprintf(text, sizeof text, "%s: %" PRId64 " damaged line%s (the first is line %" PRId64 "), now in run.damaged.jsonl beside it",
                 path, s->damaged, s->damaged == 1 ? "" : "s", s->first_damaged);
        log_warn(text);
    }
    if (s->doubled) {
        snprintf(text, sizeof text, "%s: %" PRId64 " line%s of steps that it has already (the first is line %" PRId64 ", step %" PRId64
                 "), now in run.damaged.jsonl beside it", path, s->doubled, s->doubled == 1 ? "" : "s", s->first_doubled, s->doubled_step);
        log_warn(text);
    }
    if (s->gaps) {
        snprintf(text, sizeof text, "%s lacks the lines of steps %s%s, which were done", path, s->missing, s->gaps > GAPS ? ", ..." : "");
        log_warn(text);
    }
}

bool logfile_take(const char *run_dir, int64_t resume, Lease *lease, int *restart, Err *e)
{
    char path[PATH_ROOM];
    Scan s = { .resume = resume, .life = -1 };
    if (!path_set(path, e, "%s/run.jsonl", run_dir))
        return false;
    FILE *in = fopen(path, "re");
    if (!in && errno != ENOENT)
        return file_error(e, path, "open");
    bool ok = true;
    if (in) {
        ok = pass(in, path, &s, NULL, NULL, e);
        if (ok && (s.middle || lease_apart(lease)))
            ok = rewrite(run_dir, path, in, &s, lease, e);
        else if (ok && s.tail)
            ok = cut(path, s.end, lease, e);
        fclose(in);
    } else if (resume > 1) {
        missing(&s, 1, resume - 1);
    }
    if (ok)
        say(&s, path);
    *restart = s.life + 1;
    return ok;
}
