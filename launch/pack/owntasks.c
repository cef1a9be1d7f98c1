#include "launch/pack/owntasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/comm.h"
#include "launch/eval/judge.h"

static void add(OwnTasks *t, const char *task, const char *answer, int64_t n)
{
    if (t->lines == t->cap) {
        t->cap = 2 * t->cap + 256;
        t->line = realloc(t->line, (size_t)t->cap * sizeof *t->line);
        CHECK(t->line, "no memory for %lld answers", (long long)t->cap);
    }
    const size_t room = strlen(task) + strlen(answer) + 2;
    OwnLine *l = &t->line[t->lines++];
    *l = (OwnLine){ malloc(room), n };
    CHECK(l->text, "no memory for an answer");
    snprintf(l->text, room, "%s\t%s", task, answer);
}

static int by_text(const void *a, const void *b) { return strcmp(((const OwnLine *)a)->text, ((const OwnLine *)b)->text); }

/* Sorted, and equal ones once. */
static void join(OwnTasks *t)
{
    int64_t kept = 0;
    if (t->lines)
        qsort(t->line, (size_t)t->lines, sizeof *t->line, by_text);
    for (int64_t i = 0; i < t->lines; i++)
        if (kept && !strcmp(t->line[kept - 1].text, t->line[i].text)) {
            t->line[kept - 1].n += t->line[i].n;
            free(t->line[i].text);
        } else {
            t->line[kept++] = t->line[i];
        }
    t->lines = kept;
}

void owntasks_ask(OwnTasks *t, const char *task)
{
    char with[128];
    snprintf(with, sizeof with, "%s\t", task);
    for (int64_t i = 0; i < t->lines; i++)              /* few tasks, and they come first */
        if (!strcmp(t->line[i].text, with))
            return;
    add(t, task, "", 0);
}

void owntasks_learn(OwnTasks *t, const char *task, const char *answer)
{
    enum { JOIN_AT = 1 << 16 };
    char *normal = judge_normal(answer);
    if (*normal && strlen(normal) <= OWN_ANSWER && !strpbrk(normal, "\n\t"))
        add(t, task, normal, 1);
    free(normal);
    if (t->lines == t->cap && t->cap >= JOIN_AT)        /* long lists of the same answers stay short */
        join(t);
}

/* This rank's lines, each "N\tTASK\tANSWER\n". */
static char *text_of(const OwnTasks *t, size_t *n)
{
    char *text;
    FILE *f = open_memstream(&text, n);
    CHECK(f, "no memory for answers");
    for (int64_t i = 0; i < t->lines; i++)
        fprintf(f, "%lld\t%s\n", (long long)t->line[i].n, t->line[i].text);
    fclose(f);
    return text;
}

static void clear(OwnTasks *t)
{
    for (int64_t i = 0; i < t->lines; i++)
        free(t->line[i].text);
    t->lines = 0;
}

/* Everybody's lines take the place of this rank's. */
static void gather(OwnTasks *t, MPI_Comm comm)
{
    const int ranks = comm_size(comm);
    int64_t *each = calloc((size_t)ranks, sizeof *each), all = 0;
    size_t n;
    join(t);
    char *mine = text_of(t, &n);
    CHECK(each, "no memory for %d sizes", ranks);
    comm_gather(comm, &(int64_t){ (int64_t)n }, each, sizeof *each);
    for (int r = 0; r < ranks; r++)
        all += each[r];
    char *text = calloc((size_t)all + 1, 1), *save = NULL;
    CHECK(text, "no memory for %lld bytes of answers", (long long)all);
    comm_gather_bytes(comm, text, mine, each);
    clear(t);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *task = strchr(line, '\t') + 1, *answer = strchr(task, '\t');
        *answer++ = 0;
        add(t, task, answer, atoll(line));
    }
    join(t);
    free(text);
    free(mine);
    free(each);
}

bool owntasks_all(OwnTasks *t, MPI_Comm comm, char tasks[SHARD_TASKS], char baseline[SHARD_BASELINE], Err *e)
{
    size_t at = 0, to = 0;
    gather(t, comm);
    t->name = calloc((size_t)t->lines + 1, sizeof *t->name);
    CHECK(t->name, "no memory for the names of tasks");
    for (int64_t i = 0, next; i < t->lines; i = next) {
        const char *text = t->line[i].text;
        const size_t name = strcspn(text, "\t") + 1;
        const OwnLine *best = NULL;
        for (next = i; next < t->lines && !strncmp(t->line[next].text, text, name); next++)
            if (t->line[next].text[name] && (!best || t->line[next].n > best->n))
                best = &t->line[next];
        if (text[name])                                 /* nobody asks */
            continue;
        if (at + name >= SHARD_TASKS) {
            err_expected(e, "names of %d bytes together", SHARD_TASKS - 1);
            return err_set(e, EXIT_DATA, "", "give several of them one `task`", "the held-out records name too many tasks");
        }
        at += (size_t)snprintf(tasks + at, SHARD_TASKS - at, "%s%.*s", t->names ? "," : "", (int)name - 1, text);
        const bool fits = best && to + strlen(best->text) + SHARD_TASKS / 2 < SHARD_BASELINE;      /* and a line break for each of the others */
        const char *answer = fits ? best->text + name : "";
        to += (size_t)snprintf(baseline + to, SHARD_BASELINE - to, "%s%s", t->names ? "\n" : "", answer);
        CHECK(t->name[t->names++] = strndup(text, name - 1), "no memory for a name");
    }
    return true;
}

int owntasks_number(const OwnTasks *t, const char *task)
{
    for (int i = 0; i < t->names; i++)
        if (!strcmp(t->name[i], task))
            return i;
    return -1;
}

void owntasks_free(OwnTasks *t)
{
    clear(t);
    for (int i = 0; i < t->names; i++)
        free(t->name[i]);
    free(t->name);
    free(t->line);
    *t = (OwnTasks){ 0 };
}
