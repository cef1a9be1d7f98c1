#include "launch/pack/listed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "dist/comm.h"
#include "io/base/life.h"
#include "io/source/bytes.h"
#include "io/source/globs.h"
#include "io/source/sources.h"

enum { COPY = 1 << 20 };

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* One plain file of JSON is read where it lies. */
static bool at_its_place(const Config *c, const Globs *g, Err *e)
{
    if (c->data.source != SOURCE_LLAVA || g->n != 1)
        return false;
    Bytes *b = bytes_open(g->path[0], e);
    const bool plain = b && !bytes_packed(b)[0];
    bytes_close(b);
    return plain;
}

/* The same names on all ranks: rank 0's. */
static void share_names(Globs *g, MPI_Comm comm)
{
    char *text = NULL;
    size_t n = 0;
    const int rank = comm_rank(comm);
    if (rank == 0) {
        FILE *f = open_memstream(&text, &n);
        CHECK(f, "no memory for names");
        for (int64_t i = 0; i < g->n; i++)
            fwrite(g->path[i], 1, strlen(g->path[i]) + 1, f);
        fclose(f);
    }
    int64_t size[2] = { (int64_t)n, g->n };
    comm_bcast(comm, size, sizeof size, 0);
    if (rank != 0)
        CHECK(text = malloc((size_t)size[0] + 1), "no memory for names");
    comm_bcast(comm, text, (size_t)size[0], 0);
    if (rank != 0) {
        *g = (Globs){ .n = size[1], .path = calloc((size_t)size[1] + 1, sizeof *g->path) };
        CHECK(g->path, "no memory for names");
        const char *at = text;
        for (int64_t i = 0; i < g->n; i++, at += strlen(at) + 1)
            CHECK(g->path[i] = strdup(at), "no memory for a name");
    }
    free(text);
}

/* What a pack that has died left for this data set. */
static void remove_dead(const char *dir, const char *base)
{
    char path[PATH_ROOM];
    Err none = { 0 };
    DIR *d = opendir(dir);
    const struct dirent *entry;
    while (d && (entry = readdir(d))) {
        if (strncmp(entry->d_name, base, strlen(base)) != 0 || !path_set(path, &none, "%s/%s", dir, entry->d_name))
            continue;
        const int fd = file_open(path, O_RDONLY | O_NOFOLLOW);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlink(path);
        if (fd >= 0)
            file_close(fd);
    }
    if (d)
        closedir(d);
}

/* DIR/.listing-NAME-TOKEN, on all ranks; rank 0 makes the folder. */
static bool name_it(Listed *l, const Config *c, const char *end, MPI_Comm comm, Err *e)
{
    char dir[PATH_ROOM], base[300];
    if (comm_rank(comm) == 0) {
        static Life self;
        const bool folder = is_folder(c->data.set);
        const char *slash = strrchr(c->data.set, '/'), *name = folder ? "index.set" : slash ? slash + 1 : c->data.set;
        life_self(&self);
        snprintf(base, sizeof base, ".listing-%.200s-", name);
        if ((folder ? path_set(dir, e, "%s", c->data.set) : path_folder(dir, c->data.set, e)) && dir_make(dir, e)) {
            remove_dead(dir, base);
            path_set(l->path, e, "%s/%s%s%s", dir, base, self.token, end);
        }
    }
    if (comm_agree(comm, e->code) != 0)
        return false;
    comm_bcast(comm, l->path, sizeof l->path, 0);
    return true;
}

static int create(const char *path, Err *e)
{
    const int fd = file_open(path, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        file_error(e, path, "write the listing of the source");
    else
        flock(fd, LOCK_EX | LOCK_NB);
    return fd;
}

/* This rank's share of the files, into fd. */
static bool list_share(Listing *x, const Config *c, const Globs *g, int64_t root, int rank, int ranks, int fd, const char *part, Err *e)
{
    x->f = fdopen(dup(fd), "w");
    if (!x->f)
        return file_error(e, part, "write the listing of the source");
    double said = now();
    for (int64_t i = g->n * rank / ranks, n = g->n * (rank + 1) / ranks; i < n && !e->code; i++) {
        if (rank == 0 && now() - said > 10) {
            printf("source    %lld of %lld files listed\n", (long long)(i * ranks), (long long)g->n);
            fflush(stdout);
            said = now();
        }
        if (!source_kinds[c->data.source].list(x, g->path[i], g->path[i] + root, e) && !e->code)
            err_set(e, EXIT_INTERNAL, g->path[i], "", "a listing failed without a word");
    }
    FAULT("list");
    const bool full = ferror(x->f) != 0;
    if ((fclose(x->f) != 0 || full || !file_fsync(fd)) && !e->code)
        file_error(e, part, "write the listing of the source");
    return !e->code;
}

/* Rank 0: the others' parts behind its own. */
static bool join(const Listed *l, int ranks, Err *e)
{
    char part[PATH_ROOM];
    uint8_t *block = malloc(COPY);
    CHECK(block, "no memory to copy a listing");
    int64_t end = lseek(l->fd, 0, SEEK_END);
    for (int r = 1; r < ranks && !e->code; r++) {
        const int fd = path_set(part, e, "%s.%d", l->path, r) ? file_open(part, O_RDONLY) : -1;
        int64_t at = 0, n = 1;
        while (fd >= 0 && (n = file_pread(fd, block, COPY, at)) > 0 && file_pwrite(l->fd, block, n, end))
            at += n, end += n;
        if ((fd < 0 || n != 0) && !e->code)
            file_error(e, part, "put the listing of the source together");
        if (fd >= 0)
            file_close(fd);
    }
    free(block);
    if (!e->code && !file_fsync(l->fd))
        file_error(e, l->path, "write the listing of the source");
    return !e->code;
}

static void gather_counts(Listed *l, const ListCount *mine, MPI_Comm comm)
{
    const int ranks = comm_size(comm);
    ListCount *all = calloc((size_t)ranks, sizeof *all);
    CHECK(all, "no memory for %d counts", ranks);
    comm_gather(comm, mine, all, sizeof *mine);
    for (int r = 0; r < ranks; r++)
        list_count_add(&l->count, &all[r]);
    free(all);
}

static bool list_all(Listed *l, const Config *c, const Globs *g, int64_t root, MPI_Comm comm, Err *e)
{
    const int rank = comm_rank(comm), ranks = (int)min64(comm_size(comm), g->n);
    char part[PATH_ROOM];
    Listing *x = calloc(1, sizeof *x);
    CHECK(x, "no memory for a listing");
    x->skip = c->data.on_bad == BAD_SKIP;
    x->follow = c->data.follow_links;
    int fd = -1;
    if (rank < ranks && (rank ? path_set(part, e, "%s.%d", l->path, rank) : path_set(part, e, "%s", l->path)) && (fd = create(part, e)) >= 0)
        list_share(x, c, g, root, rank, ranks, fd, part, e);
    if (rank == 0)
        l->fd = fd;
    bool ok = comm_agree(comm, e->code) == 0;
    if (ok) {
        gather_counts(l, &x->count, comm);
        if (rank == 0)
            join(l, ranks, e);
        ok = comm_agree(comm, e->code) == 0;
    }
    if (rank > 0 && fd >= 0) {
        unlink(part);
        file_close(fd);
    }
    free(x);
    return ok;
}

bool listed_open(Listed *l, const Config *c, const char *json, MPI_Comm comm, Err *e)
{
    const SourceKind *kind = &source_kinds[c->data.source];
    const bool in_images = c->data.source == SOURCE_FOLDER;
    Globs g = { 0 };
    *l = (Listed){ .fd = -1 };
    int place = 0;
    if (comm_rank(comm) == 0 && globs_find(&g, in_images ? c->data.images : json, kind->suffix, e))
        place = at_its_place(c, &g, e);
    bool ok = comm_agree(comm, e->code) == 0;
    comm_bcast(comm, &place, sizeof place, 0);
    if (ok) {
        share_names(&g, comm);
        const int64_t root = globs_root(&g, l->root);
        l->files = g.n;
        if (kind->beside)
            path_set(l->root, e, "%s", c->data.images);
        if (place)
            path_set(l->path, e, "%s", g.path[0]);
        else
            snprintf(l->shown, sizeof l->shown, "%.240s, listed", in_images ? c->data.images : json);
        ok = place || (name_it(l, c, json == c->data.val_json ? ".val" : "", comm, e) && list_all(l, c, &g, root, comm, e));
    }
    globs_free(&g);
    if (ok && comm_rank(comm) == 0)
        listed_say(l, c);
    if (ok && !place && comm_rank(comm) == 0 && lseek(l->fd, 0, SEEK_END) == 0) {
        err_set(e, EXIT_DATA, l->shown, l->count.bad || l->count.passed[0].n ? "see above for what was passed over" : "", "the source has no record");
        ok = false;
    }
    ok = comm_agree(comm, e->code) == 0;
    return ok;
}

static int64_t count_of(const ListCount *n, const char *what)
{
    for (int i = 0; i < PASSED_KINDS; i++)
        if (!strcmp(n->passed[i].what, what))
            return n->passed[i].n;
    return 0;
}

void listed_say(const Listed *l, const Config *c)
{
    const ListCount *n = &l->count;
    if (l->fd < 0)
        return;
    printf("source    %s: %lld file%s, %lld records\n", source_kinds[c->data.source].name, (long long)l->files, l->files == 1 ? "" : "s",
           (long long)n->records);
    for (int i = 0; i < PASSED_KINDS && n->passed[i].n; i++)
        printf("%-9s %s: %lld\n", i ? "" : "not read", n->passed[i].what, (long long)n->passed[i].n);
    if (n->bad)
        printf("skipped   %lld while listing\n", (long long)n->bad);
    fflush(stdout);
    if (c->data.source == SOURCE_WEBDATASET && count_of(n, "samples without a caption") && count_of(n, "samples without a picture"))
        fprintf(stderr, "asvr: warning: members of one sample have to stand behind each other: write the tar files with --sort=name\n");
    for (int i = 0; i < BAD_SAID && n->said[i][0]; i++)
        fprintf(stderr, "asvr: warning: skipped: %s\n", n->said[i]);
}

void listed_close(Listed *l)
{
    if (l->fd < 0)
        return;
    unlink(l->path);
    file_close(l->fd);
    l->fd = -1;
}
