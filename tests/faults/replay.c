/*
 * replay.c -- a folder as it may be after the power failed: what was not synced is lost, in part, out of order, torn
 *
 *     replay ROOT BEFORE OUT HOW SEED LOG...
 *         ROOT    the folder of the log's paths            BEFORE  a copy of it when the log began, all durable ("-": empty)
 *         OUT     is made                                  LOG     of each rank, as tests/faults/preload.c writes them
 *         HOW     lost    nothing survives that was not synced          kept  all does: a kill, no loss of power
 *                 random  any of it, in any order                       torn  likewise, of each write any pieces of 512 or 4096 bytes
 *
 * The crash comes before an operation that the seed gives.  As POSIX promises no more: fsync of a file keeps its bytes, not
 * its name; fsync of a folder keeps all changes of its entries; a rename is there or not, as one.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 1024, NAME = 128, INODES = 4096, ENTRIES = 4096 };

typedef struct { double time; char call[16], path[PATH], path2[PATH]; int64_t at, n; const char *data; } Op;
typedef struct { bool folder; char *data; int64_t size, cap; int *pending, n, room; } Inode;     /* data: durable; pending: operations */
typedef struct { int folder, inode; char name[NAME]; } Entry;
/* A change of entries: (folder, name) becomes inode, -1 for none; a rename or an exchange is two of them. */
typedef struct { int n; Entry e[2]; } Change;

static Op    *op;
static int    ops;
static Inode  inode[INODES];
static int    inodes = 1;           /* 0 is the root */
static Entry  now[ENTRIES], disk[ENTRIES];
static int    n_now, n_disk, n_waiting;
static Change waiting[ENTRIES];
static uint64_t state;
static char   promised[NAME] = "nothing";       /* the newest checkpoint when `latest` was begun: it may not be lost any more */

static void die(const char *what, const char *which)
{
    fprintf(stderr, "replay: %s: %s\n", what, which);
    exit(2);
}

static uint64_t draw(uint64_t below)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

/* ---- the log ---- */

static void read_log(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st))
        die("no log", path);
    char *text = malloc((size_t)st.st_size + 1);
    if (!text || fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        die("cannot read", path);
    fclose(f);
    text[st.st_size] = 0;
    for (const char *s = text, *end = text + st.st_size; s < end; ) {
        Op o = { 0 };
        int head = 0;
        const char *line = memchr(s, '\n', (size_t)(end - s));
        if (!line || sscanf(s, "%lf %15s %" SCNd64 " %" SCNd64 " %n", &o.time, o.call, &o.at, &o.n, &head) < 4)
            die("not a log", path);
        const char *tab = memchr(s, '\t', (size_t)(line - s));
        snprintf(o.path, PATH, "%.*s", (int)(tab - s - head), s + head);
        snprintf(o.path2, PATH, "%.*s", (int)(line - tab - 1), tab + 1);
        o.data = line + 1;
        s = line + 1 + (strcmp(o.call, "write") ? 0 : o.n);
        if (ops % 1024 == 0 && !(op = realloc(op, (size_t)(ops + 1024) * sizeof *op)))
            die("no memory", path);
        op[ops++] = o;
    }
}

static int by_time(const void *a, const void *b)
{
    const Op *x = a, *y = b;
    return (x->time > y->time) - (x->time < y->time);
}

/* ---- folders ---- */

static int fresh(bool folder)
{
    if (inodes == INODES)
        die("too many files", "");
    inode[inodes].folder = folder;
    return inodes++;
}

static int find(const Entry *list, int n, int folder, const char *name)
{
    for (int i = 0; i < n; i++)
        if (list[i].folder == folder && !strcmp(list[i].name, name))
            return i;
    return -1;
}

static void set(Entry *list, int *n, Entry e)
{
    const int i = find(list, *n, e.folder, e.name);
    if (i >= 0)
        list[i] = e.inode < 0 ? list[--*n] : e;
    else if (e.inode >= 0)
        list[(*n)++] = e;
    if (*n == ENTRIES)
        die("too many names", e.name);
}

/* The folder that holds the last part of a path below the root, that part, and what it is now (-1: nothing). */
static Entry place(const char *root, const char *path)
{
    Entry e = { .inode = 0 };
    const size_t n = strlen(root);
    if (strncmp(path, root, n) || (path[n] && path[n] != '/'))
        die("not below the root", path);
    for (const char *s = path + n; *(s += strspn(s, "/")); s += strcspn(s, "/")) {
        if (e.inode < 0)
            die("no such folder in the log", path);
        e.folder = e.inode;
        snprintf(e.name, NAME, "%.*s", (int)strcspn(s, "/"), s);
        const int i = find(now, n_now, e.folder, e.name);
        e.inode = i < 0 ? -1 : now[i].inode;
    }
    return e;
}

static void change(Change c)
{
    if (n_waiting == ENTRIES)
        die("too many changes", "");
    for (int i = 0; i < c.n; i++)
        set(now, &n_now, c.e[i]);
    waiting[n_waiting++] = c;
}

static void make_durable(const Change *c)
{
    for (int i = 0; i < c->n; i++)
        set(disk, &n_disk, c->e[i]);
}

/* ---- files ---- */

static void resize(Inode *f, int64_t n)
{
    if (n > f->cap) {
        f->data = realloc(f->data, (size_t)n);
        if (!f->data)
            die("no memory", "");
        f->cap = n;
    }
    if (n > f->size)
        memset(f->data + f->size, 0, (size_t)(n - f->size));
    f->size = n;
}

static void store(Inode *f, const Op *o, int64_t from, int64_t n)
{
    if (o->at + from + n > f->size)
        resize(f, o->at + from + n);
    memcpy(f->data + o->at + from, o->data + from, (size_t)n);
}

/* A pending operation reaches the disk, in pieces of so many bytes, each or not; 0: whole. */
static void apply(Inode *f, const Op *o, int64_t piece)
{
    if (!strcmp(o->call, "truncate"))
        resize(f, 0);
    else if (!strcmp(o->call, "ftruncate"))
        resize(f, o->n);
    else if (!strcmp(o->call, "fallocate"))
        resize(f, o->at + o->n > f->size ? o->at + o->n : f->size);
    else if (!piece)
        store(f, o, 0, o->n);
    for (int64_t at = 0; piece && !strcmp(o->call, "write") && at < o->n; ) {
        int64_t n = piece - (o->at + at) % piece;
        n = n < o->n - at ? n : o->n - at;
        if (draw(2))
            store(f, o, at, n);
        at += n;
    }
}

static void later(Inode *f, int k)
{
    if (f->n == f->room && !(f->pending = realloc(f->pending, (size_t)(f->room = 2 * f->room + 64) * sizeof *f->pending)))
        die("no memory", "");
    f->pending[f->n++] = k;
}

static void synced(Inode *f)
{
    for (int i = 0; i < f->n; i++)
        apply(f, &op[f->pending[i]], 0);
    f->n = 0;
}

static void folder_synced(int folder)
{
    int left = 0;
    for (int i = 0; i < n_waiting; i++) {
        bool here = false;
        for (int k = 0; k < waiting[i].n; k++)
            here = here || waiting[i].e[k].folder == folder;
        if (here)
            make_durable(&waiting[i]);
        else
            waiting[left++] = waiting[i];
    }
    n_waiting = left;
}

static void happens(const char *root, int k)
{
    const Op *o = &op[k];
    Entry a = place(root, o->path);
    const int was = a.inode;
    if (!strcmp(a.name, ".tmp-latest"))
        for (int i = 0; i < n_now; i++)
            if (now[i].folder == a.folder && !strncmp(now[i].name, "step-", 5) && (promised[0] == 'n' || strcmp(now[i].name, promised) > 0))
                snprintf(promised, NAME, "%s", now[i].name);
    if (!strcmp(o->call, "create") || !strcmp(o->call, "mkdir")) {
        a.inode = was >= 0 ? was : fresh(o->call[0] == 'm');
        if (was < 0 && a.name[0])
            change((Change){ 1, { a } });
    } else if (!strcmp(o->call, "unlink") || !strcmp(o->call, "rmdir")) {
        a.inode = -1;
        change((Change){ 1, { a } });
    } else if (!strcmp(o->call, "rename") || !strcmp(o->call, "exchange")) {
        Entry b = place(root, o->path2);
        a.inode = o->call[0] == 'e' ? b.inode : -1;
        b.inode = was;
        change((Change){ 2, { a, b } });
    } else if (was < 0) {
        ;                                   /* of a file that has no name any more */
    } else if (strcmp(o->call, "fsync") && strcmp(o->call, "fdatasync")) {
        later(&inode[was], k);
    } else if (inode[was].folder) {
        folder_synced(was);
    } else {
        synced(&inode[was]);
    }
}

/* ---- before and after ---- */

static void load(const char *path, int folder)
{
    DIR *d = opendir(path);
    if (!d)
        die("no such folder", path);
    for (const struct dirent *x; (x = readdir(d)); ) {
        char below[PATH];
        struct stat st;
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
            continue;
        snprintf(below, PATH, "%s/%.200s", path, x->d_name);
        if (stat(below, &st))
            die("cannot read", below);
        Entry e = { folder, fresh(S_ISDIR(st.st_mode)), "" };
        snprintf(e.name, NAME, "%.120s", x->d_name);
        set(now, &n_now, e);
        set(disk, &n_disk, e);
        if (S_ISDIR(st.st_mode)) {
            load(below, e.inode);
            continue;
        }
        FILE *f = fopen(below, "rb");
        resize(&inode[e.inode], st.st_size);
        if (!f || fread(inode[e.inode].data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
            die("cannot read", below);
        fclose(f);
    }
    closedir(d);
}

static void lay_out(const char *path, int folder)
{
    if (mkdir(path, 0777))
        die("cannot make", path);
    for (int i = 0; i < n_disk; i++) {
        char below[PATH];
        if (disk[i].folder != folder)
            continue;
        const Inode *f = &inode[disk[i].inode];
        snprintf(below, PATH, "%s/%s", path, disk[i].name);
        if (f->folder) {
            lay_out(below, disk[i].inode);
            continue;
        }
        FILE *out = fopen(below, "wb");
        if (!out || fwrite(f->data, 1, (size_t)f->size, out) != (size_t)f->size || fclose(out))
            die("cannot write", below);
    }
}

int main(int n, char **arg)
{
    if (n < 7)
        die("arguments", "ROOT BEFORE OUT lost|kept|random|torn SEED LOG...");
    const char *root = arg[1], *how = arg[4];
    state = strtoull(arg[5], NULL, 10);
    for (int i = 6; i < n; i++)
        read_log(arg[i]);
    qsort(op, (size_t)ops, sizeof *op, by_time);
    inode[0].folder = true;
    if (strcmp(arg[2], "-"))
        load(arg[2], 0);
    /* Every second crash is beside something else than one of the many writes. */
    int crash = (int)draw((uint64_t)ops + 1);
    for (int step = draw(2) ? 1 : 0; step && crash < ops && !strcmp(op[crash].call, "write"); )
        crash++;
    for (int k = 0; k < crash; k++)
        happens(root, k);
    int changes = 0, writes = 0, of = 0;
    const bool all = !strcmp(how, "kept"), some = !all && strcmp(how, "lost");
    for (int i = 0; i < n_waiting; i++)
        if (all || (some && draw(2))) {
            make_durable(&waiting[i]);
            changes++;
        }
    for (int f = 0; f < inodes; f++) {
        of += inode[f].n;
        for (int i = 0; i < inode[f].n; i++)
            if (all || (some && draw(2))) {
                apply(&inode[f], &op[inode[f].pending[i]], strcmp(how, "torn") ? 0 : draw(2) ? 512 : 4096);
                writes++;
            }
    }
    lay_out(arg[3], 0);
    printf("promised %s; before %d of %d (%s %s): %d of %d changes and %d of %d writes survive\n", promised, crash, ops, crash < ops ? op[crash].call : "the end",
           crash < ops ? op[crash].path + strlen(root) : "", changes, n_waiting, writes, of);
    return 0;
}
