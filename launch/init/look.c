#include "launch/init/look.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "io/base/files.h"
#include "io/base/log.h"
#include "io/source/bytes.h"
#include "io/source/globs.h"
#include "io/source/sources.h"

typedef struct {
    Look     *l;
    LookSample sample;
    uint64_t *hash;                /* (n) of records */
    int64_t   n, cap;
    char      path[PATH_ROOM], root[PATH_ROOM];     /* of the records, of their pictures */
    int       fd;                  /* of a listing, which has no name any more; or -1 */
    double    said;
} Looking;

void look_trouble(Look *l, Err *e)
{
    int i = 0;
    while (i < l->troubles && strcmp(l->trouble[i].what, e->what))
        i++;
    if (i == LOOK_KINDS)
        i--;                                    /* the last one takes what has no room */
    Trouble *t = &l->trouble[i];
    if (i == l->troubles) {
        l->troubles++;
        snprintf(t->what, sizeof t->what, "%.159s", e->what);
        snprintf(t->first, sizeof t->first, "%.200s%s%.180s", e->got, e->got[0] ? "  " : "", e->where);
    }
    t->n++;
    *e = (Err){ 0 };
}

/* ---- where the records lie ---- */

static bool plain(const char *path, Err *e)
{
    Bytes *b = bytes_open(path, e);
    const bool is = b && !bytes_packed(b)[0];
    bytes_close(b);
    return is;
}

static bool list_files(Looking *x, const Globs *g, int64_t root, Err *e)
{
    const char *tmp = getenv("TMPDIR");
    if (!path_set(x->path, e, "%s/asvr-init-XXXXXX", tmp && tmp[0] ? tmp : "/tmp"))
        return false;
    x->fd = mkstemp(x->path);
    if (x->fd >= 0)
        unlink(x->path);                        /* whatever ends this process, nothing stays */
    Listing listing = { .f = x->fd < 0 ? NULL : fdopen(dup(x->fd), "w"), .skip = true, .follow = true };
    if (!listing.f)
        return file_error(e, x->path, "write a listing of the source");
    for (int64_t i = 0; i < g->n && !e->code; i++)
        source_kinds[x->l->at.source].list(&listing, g->path[i], g->path[i] + root, e);
    const bool full = ferror(listing.f) != 0;
    if ((fclose(listing.f) != 0 || full) && !e->code)
        file_error(e, x->path, "write a listing of the source");
    x->l->listed = listing.count;
    return !e->code && path_set(x->path, e, "/proc/self/fd/%d", x->fd);
}

static bool find(Looking *x, Err *e)
{
    const LookAt *at = &x->l->at;
    const SourceKind *kind = &source_kinds[at->source];
    Globs g = { 0 };
    if (globs_find(&g, at->source == SOURCE_FOLDER ? at->images : at->json, kind->suffix, e)) {
        const int64_t root = globs_root(&g, x->root);
        x->l->files = g.n;
        if (kind->beside)
            path_set(x->root, e, "%s", at->images);
        if (!e->code && at->source == SOURCE_LLAVA && g.n == 1 && plain(g.path[0], e))
            path_set(x->path, e, "%s", g.path[0]);
        else if (!e->code)
            list_files(x, &g, root, e);
    }
    globs_free(&g);
    return !e->code;
}

/* ---- one record ---- */

static void remember_first(Look *l, const LlavaRecord *r)
{
    if (l->picture[0] || r->images != 1 || !picture_whole(&r->image[0]) || strlen(r->image[0].path) >= sizeof l->picture ||
        strchr(r->image[0].path, ','))                      /* chat.image would name two */
        return;
    const char *ask = r->turns[0].human ? r->turns[0].human : "", *mark = strstr(ask, "<image>");
    if (mark && mark == ask)
        ask += strlen("<image>") + strspn(ask + strlen("<image>"), " \n");
    if (!ask[0] || strlen(ask) >= sizeof l->question || strstr(ask, "<image>"))
        return;
    snprintf(l->picture, sizeof l->picture, "%s", r->image[0].path);
    snprintf(l->question, sizeof l->question, "%s", ask);
    snprintf(l->answer, sizeof l->answer, "%.200s", r->turns[0].answer ? r->turns[0].answer : "");
}

static void keep_longest(Look *l, const LlavaRecord *r, int64_t chars)
{
    size_t n = 0;
    if (chars <= l->longest)
        return;
    l->longest = chars;
    snprintf(l->longest_id, sizeof l->longest_id, "%.100s", r->id);
    free(l->longest_text);
    FILE *f = open_memstream(&l->longest_text, &n);
    CHECK(f, "no memory for a text");
    for (int i = 0; i < r->n; i++)
        fprintf(f, "%s\n%s\n", r->turns[i].human ? r->turns[i].human : "", r->turns[i].answer ? r->turns[i].answer : "");
    fclose(f);
}

static void count(Looking *x, const LlavaRecord *r)
{
    Look *l = x->l;
    int64_t chars = 0;
    uint64_t hash = 0;
    for (int i = 0; i < r->n; i++)
        for (int side = 0; side < 2; side++) {
            const char *text = side ? r->turns[i].answer : r->turns[i].human;
            if (text) {
                chars += script_count(&l->text, text, strlen(text));
                hash = XXH64(text, strlen(text), hash);
            }
        }
    for (int i = 0; i < r->images; i++) {
        const PictureRef *p = &r->image[i];
        hash = XXH64(p->path, strlen(p->path), XXH64((int64_t[]){ p->at, p->row, p->index }, 3 * sizeof(int64_t), hash));
        look_keep(&x->sample, p);
    }
    if (x->n == x->cap) {
        x->cap = 2 * x->cap + 1024;
        x->hash = realloc(x->hash, (size_t)x->cap * sizeof *x->hash);
        CHECK(x->hash, "no memory for %lld records", (long long)x->cap);
    }
    x->hash[x->n++] = hash;
    l->records++;
    l->kinds[r->images == 0 ? KIND_TEXT : r->images == 1 ? KIND_PICTURE : KIND_PICTURES]++;
    l->pictures += r->images;
    l->turns += r->n;
    l->most_turns = max64(l->most_turns, r->n);
    l->answer_first += r->answer_first;
    l->bin[min64(chars / LOOK_BIN, LOOK_BINS - 1)]++;
    keep_longest(l, r, chars);
    remember_first(l, r);
}

static void say_progress(Looking *x, bool last)
{
    const bool terminal = log_screen(STDERR_FILENO);
    if (last && x->said > 0 && terminal)
        fputs("\r\033[K", stderr);
    if (last || now() - x->said < 1 || !terminal)
        return;
    fprintf(stderr, "\r\033[Klooking at record %lld", (long long)(x->l->records + x->l->bad));
    x->said = now();
}

static bool read_all(Looking *x, Err *e)
{
    Llava *json = llava_open(x->path, x->root, true, e);
    LlavaRecord r;
    int got;
    if (!json)
        return false;
    if (x->fd >= 0)
        snprintf(llava_scan(json)->name, sizeof llava_scan(json)->name, "%.240s, listed", x->l->at.source == SOURCE_FOLDER ? x->l->at.images : x->l->at.json);
    Err bad = { 0 };
    while ((got = llava_next(json, &r, &bad)) != 0 && !llava_scan(json)->broken.code) {
        if (got == 1) {
            count(x, &r);
        } else {
            x->l->bad++;
            look_trouble(x->l, &bad);
        }
        if (((x->l->records + x->l->bad) & 1023) == 0)
            say_progress(x, false);
    }
    say_progress(x, true);
    if (llava_scan(json)->broken.code)
        *e = bad;
    llava_close(json);
    return !e->code;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool look_open(Look *l, const LookAt *at, Err *e)
{
    Looking *x = calloc(1, sizeof *x);
    CHECK(x, "no memory to look at data");
    *l = (Look){ .at = *at, .seconds = now() };
    x->l = l;
    x->fd = -1;
    x->sample.every = 1;
    const bool ok = find(x, e) && (x->fd < 0 || l->listed.records) ? read_all(x, e) : !e->code;
    if (x->fd >= 0)
        file_close(x->fd);
    if (ok && x->n) {
        qsort(x->hash, (size_t)x->n, sizeof *x->hash, ascending);
        for (int64_t i = 1; i < x->n; i++)
            l->twice += x->hash[i] == x->hash[i - 1];
        look_pictures(l, &x->sample, e);
    }
    l->bad += l->listed.bad;
    l->seconds = now() - l->seconds;
    if (ok && !x->n)
        err_set(e, EXIT_DATA, at->source == SOURCE_FOLDER ? at->images : at->json,
                at->source == SOURCE_FOLDER ? "cat.jpg wants its caption in cat.txt, beside it; or name a JSON file: --json=FILE" :
                l->bad || l->listed.passed[0].n ? "see above for what is broken or passed over" : "", "there is no record to learn from");
    if (ok && x->n && !l->pictures)
        err_set(e, EXIT_DATA, at->json, "there is nothing to see here: records name pictures by \"image\" or \"images\" (docs/FORMATS.md)", "no record has a picture");
    look_forget(&x->sample);
    free(x->hash);
    free(x);
    return !e->code;
}

void look_free(Look *l)
{
    free(l->longest_text);
    l->longest_text = NULL;
}

int64_t look_most(const Look *l)
{
    int64_t n = 0;
    for (int i = 0; i < LOOK_BINS - 1; i++)
        if ((n += l->bin[i]) * 100 >= l->records * 99)
            return min64((int64_t)(i + 1) * LOOK_BIN, l->longest);
    return l->longest;
}
