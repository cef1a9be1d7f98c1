#include "launch/pack/packset.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

enum { NAMES_MOST = 64 << 20 /* bytes of names of shards */ };

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static bool named_by(const Index *x, const char *name)
{
    for (int i = 0; x && i < x->n; i++)
        if (!strcmp(x->shard[i].name, name))
            return true;
    return false;
}

/* Does another index in the folder speak of this shard? */
static bool named_elsewhere(const PackSet *p, const char *name)
{
    DIR *d = opendir(p->index->folder);
    const struct dirent *entry;
    bool named = false;
    while (d && !named && (entry = readdir(d))) {
        char path[PATH_ROOM];
        const size_t n = strlen(entry->d_name);
        Err none = { 0 };
        if (n < 5 || strcmp(entry->d_name + n - 4, ".set") || !path_set(path, &none, "%s/%s", p->index->folder, entry->d_name) ||
            !strcmp(path, p->set))
            continue;
        Index *x = index_open(path, &none);
        named = named_by(x, name);
        index_close(x);
    }
    if (d)
        closedir(d);
    return named;
}

static Index *current(const PackSet *p)
{
    Err none = { 0 };
    return exists(p->set) ? index_open(p->set, &none) : NULL;
}

bool packset_path(const PackSet *p, int split, int64_t number, char path[PATH_ROOM], Err *e)
{
    return path_set(path, e, "%s/%s-%05lld.h5", p->work, split_names[split], (long long)number);
}

static bool done_path(const PackSet *p, int split, int64_t number, char path[PATH_ROOM], Err *e)
{
    return path_set(path, e, "%s/%s-%05lld.done", p->work, split_names[split], (long long)number);
}

/* ---- what an earlier start left ---- */

/* Old shards whose index was replaced, but which were not removed any more. */
static void remove_older(const PackSet *p, const Index *standing)
{
    char path[PATH_ROOM], *text = NULL;
    size_t n;
    Err none = { 0 };
    if (!path_set(path, &none, "%s/older", p->work) || !file_read(path, NAMES_MOST, &text, &n, &none))
        return;
    for (char *name = strtok(text, "\n"); name; name = strtok(NULL, "\n"))
        if (!strchr(name, '/') && !named_by(standing, name) && !named_elsewhere(p, name) &&
            path_set(path, &none, "%s/%s", p->index->folder, name))
            unlink(path);
    free(text);
}

static json_t *read_done(const char *path)
{
    json_t *o = json_load_file(path, 0, NULL);
    if (o && json_is_string(json_object_get(o, "name")) && !strchr(json_string_value(json_object_get(o, "name")), '/'))
        return o;
    json_decref(o);
    return NULL;
}

/* Shards that had their own names when a commit was cut off go back; `keep` false: they go for good. */
static void take_back(const PackSet *p, const Index *standing, bool keep)
{
    DIR *d = opendir(p->work);
    const struct dirent *entry;
    Err none = { 0 };
    while (d && (entry = readdir(d))) {
        char done[PATH_ROOM], own[PATH_ROOM], work[PATH_ROOM];
        const size_t n = strlen(entry->d_name);
        if (n < 6 || strcmp(entry->d_name + n - 5, ".done") || !path_set(done, &none, "%s/%s", p->work, entry->d_name))
            continue;
        json_t *o = read_done(done);
        const char *name = json_string_value(json_object_get(o, "name"));
        if (name && !named_by(standing, name) && !named_elsewhere(p, name) && path_set(own, &none, "%s/%s", p->index->folder, name) &&
            path_set(work, &none, "%s/%.*s.h5", p->work, (int)n - 5, entry->d_name) && exists(own)) {
            if (!keep || exists(work))
                unlink(own);
            else if (!file_commit(own, work, &none))
                unlink(done);
        }
        json_decref(o);
    }
    if (d)
        closedir(d);
}

static bool take_folder(PackSet *p, Err *e)
{
    p->lease = lease_take(p->work, "the data set is being packed", "wait for that pack, or stop it", e);
    return p->lease;
}

static void let_go(PackSet *p)
{
    lease_drop(p->lease);
    p->lease = NULL;
}

bool packset_open(PackSet *p, const char *set, uint64_t key, Err *e)
{
    char path[PATH_ROOM], was[32] = "", is[32], *text = NULL;
    size_t n;
    Err none = { 0 };
    *p = (PackSet){ 0 };
    struct stat st;
    if (stat(set, &st) == 0 && S_ISDIR(st.st_mode) ? !path_set(p->set, e, "%s/index.set", set) : !path_set(p->set, e, "%s", set))
        return false;
    p->index = index_new(p->set);
    const char *base = strrchr(p->set, '/');
    if (!path_set(p->work, e, "%s/.pack-%s", p->index->folder, base ? base + 1 : p->set) ||
        !take_folder(p, e))
        return false;
    if (!path_set(path, e, "%s/key", p->work))
        return false;
    if (file_read(path, sizeof was - 1, &text, &n, &none))
        snprintf(was, sizeof was, "%s", text);
    free(text);
    snprintf(is, sizeof is, "%016llx\n", (unsigned long long)key);
    Index *standing = current(p);
    remove_older(p, standing);
    take_back(p, standing, !strcmp(was, is));
    index_close(standing);
    if (strcmp(was, is)) {
        let_go(p);
        if (!dir_remove(p->work, e) || !take_folder(p, e))
            return false;
        return file_replace(path, is, strlen(is), e);
    }
    return true;
}

/* ---- shards ---- */

bool packset_has(PackSet *p, int split, int64_t number, uint64_t stamp, LeftOut *left)
{
    char path[PATH_ROOM], done[PATH_ROOM], hex[17];
    Err none = { 0 };
    if (!packset_path(p, split, number, path, &none) || !done_path(p, split, number, done, &none) || !exists(path))
        return false;
    json_t *o = read_done(done);
    const char *was = json_string_value(json_object_get(o, "stamp")), *name = json_string_value(json_object_get(o, "name"));
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)stamp);
    const Index before = *p->index;
    bool same = was && !strcmp(was, hex) && index_add(p->index, path, NULL, split, number, &none);
    if (same && strcmp(p->index->shard[p->index->n - 1].name, name)) {      /* not the file that was finished */
        free(p->index->shard[--p->index->n].name);
        p->index->used = before.used;
        p->index->meta = before.meta;
        same = false;
    }
    if (same) {
        *left = (LeftOut){ json_integer_value(json_object_get(o, "bad")), json_integer_value(json_object_get(o, "unlabelled")),
                           json_integer_value(json_object_get(o, "cut")) };
        p->kept++;
    }
    json_decref(o);
    return same;
}

bool packset_done(PackSet *p, int split, int64_t number, uint64_t stamp, const LeftOut *left, Err *e)
{
    char path[PATH_ROOM], done[PATH_ROOM], hex[17];
    if (!packset_path(p, split, number, path, e) || !done_path(p, split, number, done, e) || !lease_held(p->lease, e) ||
        !index_add(p->index, path, NULL, split, number, e))
        return false;
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)stamp);
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", p->index->shard[p->index->n - 1].name, "stamp", hex,
                          "bad", (json_int_t)left->bad, "unlabelled", (json_int_t)left->unlabelled, "cut", (json_int_t)left->cut);
    char *text = o ? json_dumps(o, 0) : NULL;
    CHECK(text, "no memory for JSON");
    const bool ok = file_replace(done, text, strlen(text), e);
    free(text);
    json_decref(o);
    return ok;
}

/* Names that the old index has and the new one has not; "" if there is none. */
static char *older(const PackSet *p, const Index *standing)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    CHECK(f, "no memory for names of shards");
    for (int i = 0; standing && i < standing->n; i++)
        if (!named_by(p->index, standing->shard[i].name))
            fprintf(f, "%s\n", standing->shard[i].name);
    fclose(f);
    return text;
}

bool packset_commit(PackSet *p, Err *e)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    Index *x = p->index, *standing = current(p);
    int64_t number[SPLITS] = { 0 };
    char *names = older(p, standing);
    bool ok = lease_held(p->lease, e) && path_set(from, e, "%s/older", p->work) && file_replace(from, names, strlen(names), e);
    free(names);
    for (int i = 0; i < x->n && ok; i++) {
        const IndexShard *s = &x->shard[i];
        /* A file that has the name already should have the same bytes; if it was damaged since, it is whole again. */
        ok = packset_path(p, s->split, number[s->split]++, from, e) && path_set(to, e, "%s/%s", x->folder, s->name) &&
             file_commit(from, to, e);
    }
    ok = ok && lease_held(p->lease, e) && index_write(x, e);
    index_close(standing);
    if (ok) {
        remove_older(p, x);
        let_go(p);
        ok = dir_remove(p->work, e);
    }
    return ok;
}

void packset_close(PackSet *p)
{
    Err none = { 0 };
    if (p->lease && p->index->n == 0 && lease_held(p->lease, &none))   /* nothing that would be of use to a later start */
        dir_remove(p->work, &none);
    let_go(p);
    index_close(p->index);
    *p = (PackSet){ 0 };
}
