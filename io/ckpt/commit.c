#include "io/ckpt/commit.h"

#include "io/base/files.h"
#include "io/base/log.h"
#include "io/ckpt/ckptdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void (*ckpt_warn)(const char *message) = log_warn;

/* A problem that does not touch what is already safe. */
static void warn_of(const char *what, const Err *e)
{
    char text[1536];
    snprintf(text, sizeof text, "%s: %s (%s)", what, e->what, e->where);
    ckpt_warn(text);
}

bool commit_names(Commit *c, const char *dir, int64_t step, const char *tag, Err *e)
{
    c->dir = dir;
    snprintf(c->name, sizeof c->name, STEP_FORMAT, step);
    return path_set(c->final, e, "%s/%s", dir, c->name) &&
           path_set(c->temp, e, "%s/.tmp-%s%s%s", dir, tag ? tag : "", tag && *tag ? "-" : "", c->name) &&
           path_set(c->file, e, "%s/" TENSORS_NAME, c->temp);
}

bool commit_begin(const Commit *c, Err *e)
{
    return dir_make(c->dir, e) && dir_remove(c->temp, e) && dir_make(c->temp, e);
}

static bool ours(const Commit *c, Err *e) { return !c->may || c->may(c->owner, e); }

bool commit_manifest(const Commit *c, const Manifest *with, Err *e)
{
    char path[PATH_ROOM], run[PATH_ROOM], *text = NULL;
    Manifest m = *with;
    m.file = NULL, m.files = 0;
    bool ok = !m.meta.beside[0] || (path_set(run, e, "%s/..", c->dir) && beside_list(run, m.meta.beside, &m.file, &m.files, e));
    if (ok && !(text = manifest_text(&m)))
        ok = err_set(e, EXIT_INTERNAL, c->final, "", "cannot write the manifest: a name is not UTF-8");
    ok = ok && path_set(path, e, "%s/" MANIFEST_NAME, c->temp) && file_replace(path, text, strlen(text), e);
    free(m.file);
    free(text);
    return ok;
}

/* Temp becomes final.  If this step was saved before, the two change places in one instant; where the file
   system cannot do that, the old one steps aside first under a name that ckpt_clean puts back. */
bool commit_publish(const Commit *c, Err *e)
{
    if (!ours(c, e))
        return false;
    if (access(c->final, F_OK))
        return file_commit(c->temp, c->final, e);
    if (renameat2(AT_FDCWD, c->temp, AT_FDCWD, c->final, RENAME_EXCHANGE) == 0)
        return file_sync(c->dir, e);
    char aside[PATH_ROOM];
    Err left = {0};
    if (!path_set(aside, e, "%s/.tmp-old-%s", c->dir, c->name) || !dir_remove(aside, e))
        return false;
    if (!file_commit(c->final, aside, e) || !file_commit(c->temp, c->final, e)) {
        file_commit(aside, c->final, &left);
        return false;
    }
    if (!dir_remove(aside, &left))
        warn_of("cannot remove the older checkpoint of this step", &left);
    return true;
}

/* ---- what comes after the commit ---- */

void commit_latest(const Commit *c)
{
    char path[PATH_ROOM], text[40];
    Err e = {0};
    const int n = snprintf(text, sizeof text, "%s\n", c->name);
    if (!ours(c, &e))
        return;
    if (!path_set(path, &e, "%s/latest", c->dir) || !file_replace(path, text, (size_t)n, &e))
        warn_of("the checkpoint is saved, but the file `latest` is not", &e);
}

void commit_best(const Commit *c, int64_t step)
{
    Err e = { 0 };
    if (c->best && ours(c, &e) && !ckptdir_name_best(c->dir, step, &e))
        warn_of("the checkpoint is saved, but the link `best` is not", &e);
}

/* Whether the checkpoint has a manifest that is whole and a file of the right size: enough to count it, since the one
   just written was read back to the last byte. */
static bool looks_valid(const char *path)
{
    char file[PATH_ROOM], *text = NULL;
    size_t n;
    Err e = {0};
    Manifest m = {0};
    struct stat st;
    bool ok = path_set(file, &e, "%s/" MANIFEST_NAME, path) && file_read(file, MANIFEST_MAX, &text, &n, &e) &&
              manifest_parse(&m, text, n, file, &e);
    ok = ok && path_set(file, &e, "%s/" TENSORS_NAME, path) && stat(file, &st) == 0 && st.st_size == m.bytes;
    free(text);
    manifest_free(&m);
    return ok;
}

/* Deletes a checkpoint: out of sight in one instant, then file by file, so that what has a manifest is whole. */
static bool delete_step(const char *dir, int64_t step, Err *e)
{
    char path[PATH_ROOM], gone[PATH_ROOM];
    return path_set(path, e, "%s/" STEP_FORMAT, dir, step) && path_set(gone, e, "%s/.tmp-gone-" STEP_FORMAT, dir, step) &&
           dir_remove(gone, e) && file_commit(path, gone, e) && dir_remove(gone, e);
}

/* Deletes what is older than the `keep` newest valid ones up to this step, but the best one. */
void commit_prune(const Commit *c, int64_t of)
{
    int64_t *step;
    int n, valid = 0;
    char path[PATH_ROOM];
    Err e = {0};
    if (c->keep <= 0 || !ours(c, &e))
        return;
    bool ok = ckptdir_list(c->dir, &step, &n, &e);
    const int64_t best = ckptdir_best(c->dir);
    for (int i = 0; ok && i < n; i++) {
        if (step[i] > of || (valid >= c->keep && step[i] == best))
            continue;
        if (valid >= c->keep)
            ok = delete_step(c->dir, step[i], &e);
        else if ((ok = path_set(path, &e, "%s/" STEP_FORMAT, c->dir, step[i])))
            valid += looks_valid(path);
    }
    free(step);
    if (!ok)
        warn_of("cannot remove old checkpoints", &e);
}

void commit_clear(const Commit *c)
{
    Err left = { 0 };
    if (c->temp[0] && !dir_remove(c->temp, &left))
        warn_of("cannot remove a temporary folder", &left);
}

void ckpt_clean(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    char path[PATH_ROOM], home[PATH_ROOM];
    const struct dirent *entry;
    while ((entry = readdir(d))) {
        Err e = {0}, taken = {0};
        if (strncmp(entry->d_name, ".tmp-", 5))
            continue;
        bool old = !strncmp(entry->d_name, ".tmp-old-", 9);
        bool ok = path_set(home, &e, "%s/%s", dir, entry->d_name + (old ? 9 : 0)) && path_set(path, &e, "%s/%s", dir, entry->d_name);
        if (ok && old && file_commit(path, home, &taken))
            continue;
        /* Out of sight in one instant: a life that is fenced and still means to rename it gets all of it or nothing. */
        ok = ok && path_set(home, &e, "%s/.tmp-gone-%s", dir, entry->d_name + 5);
        if (!ok || (file_commit(path, home, &taken) ? !dir_remove(home, &e) : !dir_remove(path, &e)))
            warn_of("cannot remove what a dead job left", &e);
    }
    closedir(d);
}
