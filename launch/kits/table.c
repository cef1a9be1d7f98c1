#include "launch/kits/table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dist/comm.h"
#include "io/bench/base64.h"
#include "io/bench/pylist.h"
#include "io/source/root.h"

enum { REFERENCE = 64 };                /* characters of an index in the place of a picture, at most */

int table_column(const Table *t, const char *name)
{
    const int exact = tsv_column(&t->tsv, name);
    for (int i = 0; exact < 0 && i < t->tsv.cols; i++)
        if (!strcasecmp(t->tsv.name[i], name))
            return i;
    return exact;
}

char *table_text(const Table *t, int64_t row, int col, Pad *pad, Err *e)
{
    TsvText text = { 0 };
    if (col < 0)
        return pad_text(pad, "", 0);
    char *out = tsv_text(&t->tsv, row, col, &text, e) ? pad_text(pad, text.bytes, text.n) : NULL;
    if (out && col != t->answer && !strcasecmp(out, "nan"))
        out[0] = 0;
    tsv_text_free(&text);
    return out;
}

static void find_columns(Table *t)
{
    t->index = table_column(t, "index"), t->image = table_column(t, "image"), t->image_path = table_column(t, "image_path");
    t->question = table_column(t, "question"), t->hint = table_column(t, "hint"), t->answer = table_column(t, "answer");
    t->category = table_column(t, "category"), t->l2 = table_column(t, "l2-category"), t->split = table_column(t, "split");
    t->l2 = t->l2 < 0 ? table_column(t, "l2_category") : t->l2;
    for (int i = 0; i < OPTIONS; i++)
        t->option[i] = tsv_column(&t->tsv, (char[]){ (char)('A' + i), 0 });
}

static bool needs(const Table *t, int col, const char *name, Err *e)
{
    char names[240] = "";
    if (col >= 0)
        return true;
    for (int i = 0; i < t->tsv.cols && strlen(names) < sizeof names - 60; i++)
        snprintf(names + strlen(names), 60, "%s%.50s", i ? ", " : "", t->tsv.name[i]);
    err_expected(e, "a column %s", name);
    err_got(e, "%s", names);
    return err_set(e, EXIT_DATA, t->tsv.path, "a table as VLMEvalKit's: index, image, question, answer, ..., with tabs between", "a column is missing");
}

typedef struct { char *index; int64_t row; } Name;
static int by_name(const void *a, const void *b) { return strcmp(((const Name *)a)->index, ((const Name *)b)->index); }

/* The indices of all rows, in order of their text; none twice. */
static Name *read_names(const Table *t, Pad *pad, Err *e)
{
    const int64_t n = t->tsv.rows;
    Name *name = calloc((size_t)n + 1, sizeof *name);
    CHECK(name, "no memory for %lld indices", (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (!(name[i].index = table_text(t, name[i].row = i, t->index, pad, e)))
            return name;
        else if (!name[i].index[0] && !tsv_wrong(&t->tsv, i, t->index, e, "", "a row without an index"))
            return name;
    qsort(name, (size_t)n, sizeof *name, by_name);
    for (int64_t i = 1; i < n; i++)
        if (!strcmp(name[i].index, name[i - 1].index)) {
            const int64_t first = min64(name[i - 1].row, name[i].row), second = max64(name[i - 1].row, name[i].row);
            tsv_wrong(&t->tsv, second, t->index, e, "", "index \"%.60s\" is row %lld's already", name[i].index, (long long)first + 1);
            break;
        }
    return name;
}

/* Whose picture a row shows: its own, or that of the row whose index stands there; -1: none. */
static int64_t shows(const Table *t, const Name *name, int64_t row, Pad *pad, Err *e)
{
    const int col = t->image >= 0 ? t->image : t->image_path;
    const TsvCell c = t->tsv.cell[row * t->tsv.cols + col];
    if (t->image < 0 || c.bytes > REFERENCE + 2)
        return c.bytes ? row : -1;
    char *text = table_text(t, row, col, pad, e);
    if (!text || !text[0])
        return -1;
    const Name *at = bsearch(&(Name){ text, 0 }, name, (size_t)t->tsv.rows, sizeof *name, by_name);
    if (!at || t->tsv.cell[at->row * t->tsv.cols + col].bytes <= REFERENCE) {
        err_expected(e, "base64, or the index of a row that has a picture");
        err_got(e, "\"%.60s\"", text);
        tsv_wrong(&t->tsv, row, col, e, "was the picture cut off?", "no picture, and no row's index");
        return -1;
    }
    return at->row;
}

/* Pictures in a field: one, or as many as its list has. */
static int count_pictures(const Table *t, int64_t row, Err *e)
{
    const int col = t->image >= 0 ? t->image : t->image_path;
    const TsvCell c = t->tsv.cell[row * t->tsv.cols + col];
    char begin[2] = "";
    if (file_pread(t->tsv.fd, begin, min64(2, c.bytes), c.at) < 0)
        return file_error(e, t->tsv.path, "read");
    if (begin[0] != '[' && !(begin[0] == '"' && begin[1] == '['))
        return 1;
    TsvText text = { 0 };
    char **item = NULL;
    int n = tsv_bytes(&t->tsv, row, col, &text, e) ? pylist_read(text.bytes, text.n, &item) : 0;
    if (!e->code && (n < 1 || n > TABLE_IMAGES)) {
        err_expected(e, "1 to %d pictures, as Python writes a list: ['...', '...']", TABLE_IMAGES);
        tsv_wrong(&t->tsv, row, col, e, "", n < 0 ? "this begins as a list of pictures and is none" : n ? "too many pictures" : "a list without pictures");
    }
    free(item);
    tsv_text_free(&text);
    return n;
}

static Kind kind_of_columns(const Table *t, Pad *pad, Err *e)
{
    if (t->option[0] >= 0 && t->option[1] >= 0)
        return KIND_CHOICE;
    for (int64_t i = 0; i < t->tsv.rows && t->answer >= 0; i++) {
        const char *a = table_text(t, i, t->answer, pad, e);
        if (!a || (strcasecmp(a, "yes") && strcasecmp(a, "no")))
            return KIND_WORD;
    }
    return KIND_YESNO;
}

void table_warn(const Tsv *t)
{
    char text[PATH_ROOM + 80];
    snprintf(text, sizeof text, "%s: the last line has no end: was the file cut short?", t->path);
    if (t->open)
        log_warn(text);
}

/* Rank 0: looks at every row once. */
static void look(Table *t, Err *e)
{
    Pad pad = { 0 };
    Name *name = NULL;
    if (!tsv_index(&t->tsv, e))
        return;
    table_warn(&t->tsv);
    if (t->tsv.rows == 0)
        err_set(e, EXIT_DATA, t->tsv.path, "", "a table without a question");
    t->shows = calloc((size_t)t->tsv.rows + 1, sizeof *t->shows);
    CHECK(t->shows, "no memory for %lld rows", (long long)t->tsv.rows);
    name = read_names(t, &pad, e);
    for (int64_t i = 0; i < t->tsv.rows && !e->code; i++) {
        t->shows[i] = shows(t, name, i, &pad, e);
        if (t->shows[i] == i && !e->code) {
            const int n = count_pictures(t, i, e);
            t->images = n > t->images ? n : t->images;
        }
    }
    if (t->kind == KINDS && !e->code)
        t->kind = kind_of_columns(t, &pad, e);
    pad_clear(&pad);
    free(name);
}

bool table_open(Table *t, const Run *r, const char *path, Kind kind, Err *e)
{
    *t = (Table){ .kind = kind };
    kind_stem(path, t->name);
    if (tsv_open(&t->tsv, path, e)) {
        find_columns(t);
        needs(t, t->index, "index", e);
        needs(t, t->question, "question", e);
        needs(t, t->image >= 0 ? t->image : t->image_path, "image (or image_path)", e);
    }
    if (!run_agree(r, e))
        return false;
    if (r->grid.rank == 0)
        look(t, e);
    if (!run_agree(r, e))
        return false;
    int64_t is[5] = { t->tsv.rows, t->tsv.size, (int64_t)t->tsv.hash, t->images, t->kind };
    const int64_t size = t->tsv.size;
    comm_bcast(r->grid.world, is, sizeof is, 0);
    const int64_t n = is[0];
    if (size != is[1]) {
        err_expected(e, "%lld bytes, as rank 0 sees", (long long)is[1]);
        err_got(e, "%lld bytes", (long long)size);
        err_set(e, EXIT_DATA, path, "", "the ranks see different tables");
    }
    if (!run_agree(r, e))
        return false;
    t->tsv.hash = (uint64_t)is[2], t->images = (int)is[3], t->kind = (Kind)is[4];
    if (r->grid.rank != 0) {
        tsv_room(&t->tsv, n);
        t->shows = calloc((size_t)n + 1, sizeof *t->shows);
    }
    t->row = calloc((size_t)n + 1, sizeof *t->row);
    CHECK(t->shows && t->row, "no memory for %lld rows", (long long)n);
    comm_bcast(r->grid.world, t->tsv.cell, (size_t)n * (size_t)t->tsv.cols * sizeof *t->tsv.cell, 0);
    comm_bcast(r->grid.world, t->shows, (size_t)n * sizeof *t->shows, 0);
    for (int64_t i = 0; i < n; i++)
        if (t->shows[i] >= 0)
            t->row[t->asked++] = i;
    return true;
}

void table_close(Table *t)
{
    tsv_close(&t->tsv);
    free(t->row);
    free(t->shows);
    t->row = t->shows = NULL;
}

/* ---- pictures ---- */

static bool decode(const Table *t, int64_t row, char *text, size_t n, const char *name, uint8_t *px, int size, int fit, const ImageOps *ops, Err *e)
{
    const size_t skip = !strncmp(text, "data:", 5) && strchr(text, ',') ? (size_t)(strchr(text, ',') + 1 - text) : 0;
    const int64_t bytes = base64_decode((uint8_t *)text, text + skip, n - skip);
    if (bytes < 0)
        return tsv_wrong(&t->tsv, row, t->image, e, "was the picture cut off?", "character %lld of the picture is no base64",
                         (long long)(-1 - bytes) + (long long)skip + 1);
    return ops->load_square_bytes(px, text, (size_t)bytes, name, size, fit, e);
}

static bool load_file(const Table *t, int64_t row, const char *named, uint8_t *px, int size, int fit, const ImageOps *ops, Err *e)
{
    static Root root;
    char folder[PATH_ROOM], below[PATH_ROOM], path[PATH_MAX];
    int64_t bytes;
    Err none = { 0 };
    if (!path_folder(folder, t->tsv.path, e) || !path_set(below, e, "%s/images/%s", folder, t->name) || !root_open(&root, folder, true, e))
        return false;
    if (root_file(&root, named, path, &bytes, &none))
        return ops->load_square(px, path, size, fit, e);
    none = (Err){ 0 };
    if (root_open(&root, below, true, &none) && root_file(&root, named, path, &bytes, &none))
        return ops->load_square(px, path, size, fit, e);
    err_got(e, "%.200s", named);
    return tsv_wrong(&t->tsv, row, t->image_path, e, "files lie below the table's folder, or in images/NAME there", "there is no such picture");
}

int table_pictures(const Table *t, int64_t row, int size, int fit, uint8_t **px, int *room, Err *e)
{
    const ImageOps *ops = image_ops(e);
    const int64_t from = t->shows[row];
    const int col = t->image >= 0 ? t->image : t->image_path;
    const size_t one = (size_t)size * (size_t)size * 3;
    TsvText text = { 0 };
    char **item = NULL, *single, name[500];
    int n = -1;
    if (ops && tsv_bytes(&t->tsv, from, col, &text, e)) {
        single = text.bytes;
        n = pylist_is(text.bytes, text.n) ? pylist_read(text.bytes, text.n, &item) : 1;
        if (n < 1 || n > TABLE_IMAGES)
            tsv_wrong(&t->tsv, from, col, e, "", "no list of pictures");
        if (n > *room && !e->code) {
            *px = realloc(*px, (size_t)n * one);
            CHECK(*px, "no memory for %d pictures of %d x %d", n, size, size);
            *room = n;
        }
        snprintf(name, sizeof name, "%.400s: row %lld, column \"%.40s\"", t->tsv.path, (long long)from + 1, t->tsv.name[col]);
        for (int i = 0; i < n && !e->code; i++) {
            char *s = item ? item[i] : single;
            if (t->image >= 0)
                decode(t, from, s, item ? strlen(s) : text.n, name, *px + (size_t)i * one, size, fit, ops, e);
            else
                load_file(t, from, s, *px + (size_t)i * one, size, fit, ops, e);
        }
    }
    free(item);
    tsv_text_free(&text);
    return e->code ? -1 : n;
}

/* ---- the question ---- */

/* "<image>" in a question is the place of a picture only where there are as many as pictures. */
static char *marked(const char *text, int images, Pad *pad)
{
    int marks = 0;
    for (const char *s = text; (s = strstr(s, "<image>")); s++)
        marks++;
    if (marks == images)
        return pad_text(pad, text, strlen(text));
    char *all = py_replace(pad, text, "<image>", "image");
    for (int i = 0; i < images; i++)
        all = pad_print(pad, "<image>\n%s", all);
    return all;
}

char *table_prompt(const Table *t, int64_t row, int images, Pad *pad, Err *e)
{
    const KindInfo *k = &kinds[t->kind];
    char *question = table_text(t, row, t->question, pad, e), *hint = table_text(t, row, t->hint, pad, e), *text;
    int options = 0;
    if (!question || !hint)
        return NULL;
    text = hint[0] ? pad_print(pad, "%s\n%s", hint, question) : question;
    if (t->kind == KIND_MME)
        text = py_replace(pad, text, " Please answer yes or no.", "");
    for (int i = 0; i < OPTIONS; i++) {
        const char *option = table_text(t, row, t->option[i], pad, e);
        if (!option)
            return NULL;
        if (option[0]) {
            text = pad_print(pad, "%s\n%c. %s", text, 'A' + i, option);
            options++;
        }
    }
    text = pad_print(pad, "%s\n%s", text, options || !k->open ? k->ask : k->open);
    return marked(text, images, pad);
}
