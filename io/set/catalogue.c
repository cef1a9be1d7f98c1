#include "io/set/catalogue.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/rng.h"
#include "io/base/files.h"
#include "io/set/catalogueinside.h"
#include "io/set/order.h"

enum { SETS_MOST = 64 };

static bool differ(const Index *a, const Index *b, const char *in, Err *e)
{
    return err_set(e, EXIT_DATA, b->path, "pack all of them for one model", "this data set differs from %s in %s", a->path, in);
}

static bool agree(const Index *x, const Index *y, Err *e)
{
    const ShardMeta *a = &x->meta, *b = &y->meta;
    if (a->image != b->image || a->patch != b->patch || a->scales != b->scales)
        return differ(x, y, "the size of images or patches", e);
    if (a->depth != b->depth || a->codes_model != b->codes_model || a->appearance_model != b->appearance_model)
        return differ(x, y, "its visual codes (codes_model, depth)", e);
    if (a->text_model != b->text_model)
        return differ(x, y, "text_model", e);
    return true;
}

/* ---- tasks ---- */

/* Piece `i` of a text between separators, and how long it is; NULL behind the last. */
static const char *piece(const char *text, char at, int i, int *n)
{
    for (; i > 0 && text; i--) {
        text = strchr(text, at);
        text += text != NULL;
    }
    *n = text ? (int)strcspn(text, (char[]){ at, 0 }) : 0;
    return text;
}

static int find_task(const ShardMeta *m, const char *name, int length)
{
    int n;
    const char *at = m->tasks;
    for (int i = 0; m->tasks[0] && (at = piece(m->tasks, ',', i, &n)); i++)
        if (n == length && !memcmp(at, name, (size_t)n))
            return i;
    return -1;
}

int shards_tasks(const ShardMeta *m)
{
    int n = m->tasks[0] != 0;
    for (const char *s = m->tasks; *s; s++)
        n += *s == ',';
    return n;
}

/* Appends a task, with what is its most frequent answer, to m's. */
static bool add_task(ShardMeta *m, const char *name, int n, const char *answer, int length, const Index *x, Err *e)
{
    const size_t at = strlen(m->tasks), to = strlen(m->baseline);
    const char *comma = m->tasks[0] ? "," : "", *line = m->tasks[0] ? "\n" : "";
    if (at + (size_t)n + 2 > sizeof m->tasks || to + (size_t)length + 2 > sizeof m->baseline)
        return err_set(e, EXIT_DATA, x->path, "evaluate the data sets one by one", "the data sets have too many tasks together");
    snprintf(m->tasks + at, sizeof m->tasks - at, "%s%.*s", comma, n, name);
    snprintf(m->baseline + to, sizeof m->baseline - to, "%s%.*s", line, length, answer);
    return true;
}

/* Set k's tasks among all. */
static bool join_tasks(Shards *s, int k, Err *e)
{
    const Index *x = s->set[k];
    const int tasks = shards_tasks(&x->meta);
    if (s->split != SPLIT_VAL || !x->meta.eval)
        return true;
    if (s->meta.eval && strcmp(s->meta.template_, x->meta.template_))
        return differ(s->set[0], x, "template", e);
    s->task[k] = calloc((size_t)tasks + 1, sizeof *s->task[k]);
    CHECK(s->task[k], "no memory for %d tasks", tasks);
    if (!s->meta.eval)
        memcpy(s->meta.template_, x->meta.template_, sizeof s->meta.template_);
    s->meta.eval = true;
    for (int i = 0, n, length; i < tasks; i++) {
        const char *name = piece(x->meta.tasks, ',', i, &n), *answer = piece(x->meta.baseline, '\n', i, &length);
        const int there = find_task(&s->meta, name, n);
        if (there < 0 && !add_task(&s->meta, name, n, answer ? answer : "", length, x, e))
            return false;
        s->task[k][i] = there < 0 ? shards_tasks(&s->meta) - 1 : there;
    }
    return true;
}

/* ---- files ---- */

static void add_file(Shards *s, int k, int i, Err *e)
{
    ShardArray a[SHARD_ARRAYS];
    const Index *x = s->set[k];
    const IndexShard *is = &x->shard[i];
    char path[4096];
    File *f = &s->file[s->n++];
    *f = (File){ .index = x, .i = i, .task = s->task[k], .first = s->meta.samples };
    if (!index_shard_path(x, i, path, sizeof path, e))
        return;
    CHECK((f->path = strdup(path)), "no memory for a path");
    index_layout(x, i, a);
    for (int m = 0; m < SHARD_ARRAYS; m++) {
        s->row_bytes[m] = a[m].name ? a[m].row_bytes : s->row_bytes[m];
        s->raw_bytes[m] = max64(s->raw_bytes[m], is->per[m] * s->row_bytes[m]);
    }
    s->meta.samples += is->samples;
    s->meta.images += is->images;
    s->meta.tokens += is->tokens;
    s->max_tokens = max64(s->max_tokens, is->max_tokens);
    s->max_images = max64(s->max_images, is->max_images);
    s->max_answer = max64(s->max_answer, is->max_answer);
    s->stored_bytes = max64(s->stored_bytes, is->max_stored);
}

/* The files of the sets that are open, of one split. */
static bool add_files(Shards *s, Err *e)
{
    int all = 0;
    for (int k = 0; k < s->sets; k++)
        all += s->set[k]->n;
    s->file = calloc((size_t)all + 1, sizeof *s->file);
    CHECK(s->file, "no memory for a catalogue of %d shards", all);
    s->meta = s->set[0]->meta;
    s->meta.samples = s->meta.images = s->meta.tokens = 0;
    s->meta.eval = false;
    s->meta.tasks[0] = s->meta.baseline[0] = 0;
    for (int k = 0; k < s->sets && !e->code; k++) {
        s->set_first[k] = s->meta.samples;
        if (agree(s->set[0], s->set[k], e) && join_tasks(s, k, e))
            for (int i = 0; i < s->set[k]->n && !e->code; i++)
                if (s->set[k]->shard[i].split == s->split)
                    add_file(s, k, i, e);
    }
    s->set_first[s->sets] = s->meta.samples;
    if (!e->code && s->meta.samples == 0)
        err_set(e, EXIT_DATA, s->set[0]->path, s->split ? "pack with data.val_samples" : "pack some data with `asvr pack`",
                "the data set holds no samples for %s", s->split ? "evaluation" : "training");
    return !e->code;
}

/* Slots of a cycle by weight, the largest remainders rounded up; every set has one at least. */
static bool share_slots(Shards *s, const double *weight, Err *e)
{
    double sum = 0, rest[SETS_MOST];
    int64_t given = 0, count[SETS_MOST];
    for (int k = 0; k < s->sets; k++)
        sum += weight[k];
    for (int k = 0; k < s->sets; k++) {
        const double exact = MIX_CYCLE * weight[k] / sum;
        count[k] = (int64_t)exact;
        rest[k] = exact - (double)count[k];
        given += count[k];
    }
    for (; given < MIX_CYCLE; given++) {
        int best = 0;
        for (int k = 1; k < s->sets; k++)
            best = rest[k] > rest[best] ? k : best;
        rest[best] -= 1;
        count[best]++;
    }
    for (int k = 0; k < s->sets; k++) {
        if (s->sets > 1 && count[k] < 1)
            return err_set(e, EXIT_CONFIG, "data.set", "give it a larger weight, or leave it out",
                           "%s has less than one of %d samples", s->set[k]->path, MIX_CYCLE);
        if (s->sets > 1 && s->set_first[k + 1] == s->set_first[k])
            return err_set(e, EXIT_DATA, s->set[k]->path, "", "this data set of the mix has no samples");
        s->share[k] = count[k];
    }
    return true;
}

/* Whose each position of a cycle is: the shares one behind the other, in a drawn order. */
static void draw_cycle(Shards *s)
{
    uint16_t before[SETS_MOST] = { 0 };
    s->cycle = calloc(MIX_CYCLE, sizeof *s->cycle);
    CHECK(s->cycle, "no memory for the order of a mix");
    for (int p = 0; p < MIX_CYCLE; p++) {
        int64_t at = order_sample(MIX_CYCLE, 0, p);
        int k = 0;
        while (at >= s->share[k])
            at -= s->share[k++];
        s->cycle[p].set = (uint8_t)k;
        s->cycle[p].before = before[k]++;
    }
}

static Shards *new_shards(int sets, int split)
{
    Shards *s = calloc(1, sizeof *s);
    CHECK(s && (s->set = calloc((size_t)sets + 1, sizeof *s->set)) && (s->set_first = calloc((size_t)sets + 1, sizeof *s->set_first)) &&
          (s->task = calloc((size_t)sets + 1, sizeof *s->task)) && (s->share = calloc((size_t)sets + 1, sizeof *s->share)), "no memory for a catalogue");
    s->split = split;
    return s;
}

Shards *shards_of(Index *x, int split, Err *e)
{
    Shards *s = new_shards(1, split);
    s->set[s->sets++] = x;
    if (add_files(s, e))
        return s;
    shards_close(s);
    return NULL;
}

/* "PATH" or "PATH:WEIGHT" becomes a path; the weight, or 0. */
static double weight_of(char *item)
{
    char *colon = strrchr(item, ':'), *end;
    if (!colon || !colon[1])
        return 0;
    const double w = strtod(colon + 1, &end);
    if (*end || !isfinite(w) || w <= 0)
        return 0;
    *colon = 0;
    return w;
}

static bool open_sets(Shards *s, char *list, double *weight, Err *e)
{
    int weighed = 0;
    char *save = NULL;
    const char *between = access(list, F_OK) == 0 ? "" : ",";       /* a file may be called so, commas and all */
    for (char *item = strtok_r(list, between, &save); item; item = strtok_r(NULL, between, &save)) {
        item += strspn(item, " \t");
        for (size_t n = strlen(item); n && strchr(" \t", item[n - 1]); n--)
            item[n - 1] = 0;
        if (s->sets == SETS_MOST)
            return err_set(e, EXIT_CONFIG, "data.set", "", "more than %d data sets", SETS_MOST);
        weight[s->sets] = access(item, F_OK) == 0 ? 0 : weight_of(item);
        weighed += weight[s->sets] > 0;
        if (!(s->set[s->sets] = index_open(item, e)))
            return false;
        s->sets++;
    }
    if (!s->sets)
        return err_set(e, EXIT_CONFIG, "data.set", "", "data.set names no data set");
    if (weighed && weighed < s->sets)
        return err_set(e, EXIT_CONFIG, "data.set", "write PATH:WEIGHT for each, or for none", "some data sets have a weight, others have none");
    if (!add_files(s, e))
        return false;
    for (int k = 0; k < s->sets && !weighed; k++)
        weight[k] = (double)(s->set_first[k + 1] - s->set_first[k]);
    if (!share_slots(s, weight, e))
        return false;
    if (s->sets > 1)
        draw_cycle(s);
    return true;
}

Shards *shards_open(const char *sets, int split, Err *e)
{
    double weight[SETS_MOST];
    Shards *s = new_shards(SETS_MOST, split);
    char *list = strdup(sets);
    CHECK(list, "no memory for a list of data sets");
    const bool ok = open_sets(s, list, weight, e);
    free(list);
    if (ok)
        return s;
    shards_close(s);
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A pattern that names a file is that file; the folder of a pattern, one that is there of that name: brackets, braces and all. */
static bool literal_folder(char out[PATH_ROOM], const char *pattern, Err *e)
{
    char folder[PATH_ROOM];
    struct stat st;
    size_t n = 0;
    if (!path_folder(folder, pattern, e))
        return false;
    const size_t known = access(pattern, F_OK) == 0 ? strlen(pattern) : strchr(pattern, '/') && stat(folder, &st) == 0 ? strlen(folder) : 0;
    for (const char *s = pattern; *s && n + 2 < PATH_ROOM; s++) {
        if (s < pattern + known && strchr("[]{}*?\\,~", *s))
            out[n++] = '\\';
        out[n++] = *s;
    }
    out[n] = 0;
    return true;
}

Shards *shards_glob(const char *pattern, int split, Err *e)
{
    char name[PATH_ROOM];
    glob_t g = { 0 };
    if (!literal_folder(name, pattern, e))
        return NULL;
    int rc = glob(name, GLOB_BRACE | GLOB_TILDE | GLOB_NOSORT, NULL, &g);
    Shards *s = NULL;
    if (rc == GLOB_NOMATCH || (rc == 0 && g.gl_pathc == 0)) {
        err_set(e, EXIT_DATA, pattern, "make a data set with `asvr pack`", "no shard has this name");
    } else if (rc) {
        err_set(e, EXIT_IO, pattern, "", "the folder of the shards cannot be read");
    } else {
        qsort(g.gl_pathv, g.gl_pathc, sizeof *g.gl_pathv, by_name);     /* glob sorts by locale */
        Index *x = index_new(pattern);
        bool ok = true;
        for (size_t i = 0; i < g.gl_pathc && ok; i++)
            ok = index_add(x, g.gl_pathv[i], g.gl_pathv[i], split, 0, e);
        if (ok)
            s = shards_of(x, split, e);
        else
            index_close(x);
    }
    globfree(&g);
    return s;
}

void shards_close(Shards *s)
{
    for (int i = 0; i < s->n; i++)
        free(s->file[i].path);
    for (int k = 0; k < s->sets; k++) {
        index_close(s->set[k]);
        free(s->task[k]);
    }
    free(s->task);
    free(s->file);
    free(s->set);
    free(s->set_first);
    free(s->share);
    free(s->cycle);
    free(s);
}

const ShardMeta *shards_meta(const Shards *s) { return &s->meta; }
int64_t shards_max_tokens(const Shards *s) { return s->max_tokens; }
int shards_max_images(const Shards *s) { return (int)(s->first_image ? min64(1, s->max_images) : s->max_images); }
void shards_first_image(Shards *s) { s->first_image = true; }

bool shards_indexed(const Shards *s) { return s->set[0]->hash != 0; }

uint64_t shards_identity(const Shards *s)
{
    uint64_t hash = s->set[0]->hash;
    for (int i = 0; i < s->n && !shards_indexed(s); i++)
        hash = XXH64(&s->set[0]->shard[i].fingerprint, sizeof(uint64_t), hash);
    for (int k = 1; k < s->sets; k++) {
        const uint64_t more[] = { s->set[k]->hash, (uint64_t)s->share[k - 1], (uint64_t)s->share[k] };
        hash = XXH64(more, sizeof more, hash);
    }
    return hash;
}

int64_t shards_pick(const Shards *s, uint64_t seed, int64_t position)
{
    if (s->sets == 1)
        return order_sample(s->meta.samples, seed, position);
    const int k = s->cycle[position % MIX_CYCLE].set;
    const int64_t own = position / MIX_CYCLE * s->share[k] + s->cycle[position % MIX_CYCLE].before;
    return s->set_first[k] +
           order_sample(s->set_first[k + 1] - s->set_first[k], rng_bits(seed, rng_stream("mix"), s->set[k]->hash), own);
}

int shard_file_of(const File *f, Err *e)
{
    static const char hint[] = "copy the data set again, or pack it again with `asvr pack`";
    const IndexShard *is = &f->index->shard[f->i];
    char want[17], got[17] = "";
    struct stat st;
    const int fd = file_open(f->path, O_RDONLY);
    if (fd < 0) {
        err_set(e, errno == ENOENT ? EXIT_DATA : EXIT_IO, f->path, errno == EMFILE ? "raise `ulimit -n`" : hint,
                "the shard cannot be opened: %m");
        return -1;
    }
    snprintf(want, sizeof want, "%016llx", (unsigned long long)is->fingerprint);
    if (fstat(fd, &st) || file_pread(fd, got, 16, is->fingerprint_at) < 0) {
        file_error(e, f->path, "read");
    } else if (st.st_size != is->bytes || memcmp(want, got, 16)) {
        got[strspn(got, "0123456789abcdef")] = 0;
        err_expected(e, "%lld bytes, fingerprint %s", (long long)is->bytes, want);
        err_got(e, "%lld bytes, fingerprint %s", (long long)st.st_size, *got ? got : "none");
        err_set(e, EXIT_DATA, f->path, hint, "this is not the shard that the index means");
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

bool shards_present(const Shards *s, Err *e)
{
    for (int i = 0; i < s->n && !e->code; i++) {
        const int fd = shard_file_of(&s->file[i], e);
        if (fd >= 0)
            close(fd);
    }
    return !e->code;
}
