/* spectrumtable.c -- what `asvr spectrum` found: a table, what looks collapsed, RUN/spectrum.json */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json.h"
#include "launch/spectrum/spectrum.h"

enum { QUANTILES = 256, WHY = 160, NAME = PARAM_NAME + CKPT_NAME };

static const double *values(const Spectrum *s, const Matrix *m) { return s->values + m->at; }

/* "decoder.1.attn.wq", "features.tower" */
static void full_name(const Matrix *m, char out[NAME]) { snprintf(out, NAME, "%s.%s", m->part, m->name); }

/* ---- the rule ---- */

static bool matrix_collapsed(const Matrix *m, char why[WHY])
{
    if (!m->m.finite)
        snprintf(why, WHY, "holds values that are not finite");
    else if (m->m.largest == 0)
        snprintf(why, WHY, "all zero");
    else
        snprintf(why, WHY, "effective rank %.1f of %d", m->m.effective, m->n);
    return !m->m.finite || m->m.effective < COLLAPSED_RANK * m->n;
}

/* Fewer choices than vectors cannot use them all. */
static bool low_use(const BookUse *u, int64_t vectors)
{
    return u->total > 0 && u->perplexity < COLLAPSED_USE * fmin((double)vectors, fmax(u->total, 1));
}

static bool book_collapsed(const Book *b, char why[WHY])
{
    if (b->copies >= COLLAPSED_COPIES * (double)b->vectors)
        snprintf(why, WHY, "%.0f of %lld code vectors are copies of others", b->copies, (long long)b->vectors);
    else if (low_use(&b->counted, b->vectors))
        snprintf(why, WHY, "used as if it had %.1f of its %lld codes", b->counted.perplexity, (long long)b->vectors);
    else if (low_use(&b->seen, b->vectors))
        snprintf(why, WHY, "the pictures use it as if it had %.1f of its %lld codes", b->seen.perplexity, (long long)b->vectors);
    else
        return false;
    return true;
}

/* Calls say(to, i, name, why) for each that looks collapsed; returns how many. */
static int verdict(const Spectrum *s, void (*say)(void *to, int i, const char *name, const char *why), void *to)
{
    int  n = 0;
    char name[NAME], why[WHY];
    for (int i = 0; i < s->n; i++)
        if (matrix_collapsed(&s->matrix[i], why)) {
            full_name(&s->matrix[i], name);
            say(to, n++, name, why);
        }
    for (int i = 0; i < s->books; i++)
        if (book_collapsed(&s->book[i], why))
            say(to, n++, s->book[i].name, why);
    return n;
}

/* ---- the table ---- */

/* Four digits in nine columns. */
static const char *number(double x, char out[24])
{
    snprintf(out, 24, x != 0 && (fabs(x) < 1e-3 || fabs(x) >= 99999.5) ? "%.2e" : fabs(x) >= 999.95 ? "%.0f" : "%.4g", x);
    return out;
}

static int name_width(const Spectrum *s)
{
    size_t most = strlen("app_codes");
    for (int i = 0; i < s->n; i++)
        most = strlen(s->matrix[i].name) > most ? strlen(s->matrix[i].name) : most;
    return (int)most + 2;
}

static void print_matrix(const Spectrum *s, const Matrix *x, int width)
{
    const Measures *m = &x->m;
    char shape[48], a[24], b[24], c[24], spark[SPARK_BYTES], why[WHY];
    const char mark = matrix_collapsed(x, why) ? '*' : ' ';
    snprintf(shape, sizeof shape, "%lld x %lld", (long long)x->rows, (long long)x->cols);
    printf("%c %-*s %14s", mark, width - 2, x->name, shape);
    if (!m->finite) {
        printf("  %s\n", why);
        return;
    }
    measures_spark(spark, values(s, x), x->n);
    printf(" %9s %9s %9s %7.1f %9.1f %4.0f %% %7.1f %6d  %s\n", number(m->largest, a), number(m->smallest, b),
           m->condition > 0 ? number(m->condition, c) : "> 1e6", m->stable, m->effective, 100 * m->effective / x->n,
           m->participation, m->dead, spark);
}

static void print_matrices(const Spectrum *s, int first, int last)
{
    const int width = name_width(s);
    for (int i = first; i < last; i++) {
        const Matrix *m = &s->matrix[i];
        if (i == first || strcmp(m->part, m[-1].part))
            printf("\n%-*s %14s %9s %9s %9s %7s %9s %6s %7s %6s  %s\n", width, m->part, "shape", "largest", "smallest", "condition",
                   "stable", "effective", "of all", "partic.", "dead", "log spectrum");
        print_matrix(s, m, width);
    }
}

static void print_use(const BookUse *u, int64_t vectors)
{
    char a[24];
    if (u->total > 0)
        printf(" %8.0f %5.1f %% %11s", u->used, 100 * u->used / (double)vectors, number(u->perplexity, a));
    else
        printf(" %8s %7s %11s", "-", "-", "-");
}

static void print_books(const Spectrum *s)
{
    const int width = name_width(s);
    char why[WHY];
    if (s->books)
        printf("\n%-*s %14s %9s   %-28s   %s\n%-*s %14s %9s   %8s %7s %11s   %8s %7s %11s\n", width, "codebooks", "", "",
               "    by their running means", "    by the pictures below", width, "", "vectors", "copies", "used", "",
               "perplexity", "used", "", "perplexity");
    for (int i = 0; i < s->books; i++) {
        const Book *b = &s->book[i];
        printf("%c %-*s %14lld %9.0f  ", book_collapsed(b, why) ? '*' : ' ', width - 2, b->name, (long long)b->vectors, b->copies);
        print_use(&b->counted, b->vectors);
        printf("  ");
        print_use(&b->seen, b->vectors);
        printf("\n");
    }
}

static void print_features(const Spectrum *s)
{
    if (s->no_features[0])
        printf("\nfeatures were not looked at: %s\n", s->no_features);
    else if (s->features) {
        print_matrices(s, s->weights, s->n);
        printf("  %lld patches of %lld samples for %s, less their mean", (long long)s->rows, (long long)s->samples, s->data);
        if (s->every > 1)
            printf("; one patch in %d", s->every);
        printf("\n");
    }
}

static void say_line(void *to, int i, const char *name, const char *why)
{
    fprintf(to, "%s* %-24s %s\n", i ? "" : "looks collapsed\n", name, why);
}

static void print_verdict(const Spectrum *s)
{
    printf("\n");
    if (verdict(s, say_line, stdout) == 0)
        printf("nothing looks collapsed\n");
    printf("rule: an effective rank below %.0f %% of min(rows, columns)%s", 100 * COLLAPSED_RANK, s->meta.lora_rank ? ", in lora of the rank" : "");
    if (s->books)
        printf("; a codebook with %.0f %% copies, or with a\nperplexity below %.0f %% of its vectors",
               100 * COLLAPSED_COPIES, 100 * COLLAPSED_USE);
    printf("\n");
}

/* ---- JSON ---- */

static json_t *json_matrix(const Spectrum *s, const Matrix *x)
{
    const Measures *m = &x->m;
    const int some = x->n < QUANTILES ? x->n : QUANTILES;
    const double unknown = m->finite ? 1 : NAN;
    json_t *list = json_array();
    char name[NAME];
    full_name(x, name);
    for (int i = 0; i < some && m->finite; i++)
        json_array_append_new(list, json_or_null(values(s, x)[some > 1 ? (int64_t)i * (x->n - 1) / (some - 1) : 0]));
    return json_pack("{s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", json_text(name),
                     "rows", (json_int_t)x->rows, "cols", (json_int_t)x->cols,
                     "largest", json_or_null(unknown * m->largest), "smallest", json_or_null(unknown * m->smallest),
                     "frobenius", json_or_null(unknown * m->frobenius),
                     "condition", json_or_null(m->condition > 0 ? m->condition : NAN),
                     "stable_rank", json_or_null(unknown * m->stable), "effective_rank", json_or_null(unknown * m->effective),
                     "participation", json_or_null(unknown * m->participation),
                     "dead", m->finite ? json_integer(m->dead) : json_null(), "values", list);
}

static json_t *json_matrices(const Spectrum *s, int first, int last)
{
    json_t *list = json_array();
    for (int i = first; i < last; i++)
        json_array_append_new(list, json_matrix(s, &s->matrix[i]));
    return list;
}

static json_t *json_use(const BookUse *u)
{
    if (u->total > 0)
        return json_pack("{s:I, s:o}", "used", (json_int_t)u->used, "perplexity", json_or_null(u->perplexity));
    return json_null();
}

static json_t *json_books(const Spectrum *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->books; i++) {
        const Book *b = &s->book[i];
        json_array_append_new(list, json_pack("{s:o, s:I, s:I, s:o, s:o}", "name", json_text(b->name), "vectors", (json_int_t)b->vectors,
                                              "copies", (json_int_t)b->copies, "running", json_use(&b->counted),
                                              "pictures", json_use(&b->seen)));
    }
    return list;
}

static void say_json(void *list, int i, const char *name, const char *why)
{
    (void)i;
    json_array_append_new(list, json_pack("{s:o, s:o}", "name", json_text(name), "why", json_text(why)));
}

static bool write_json(const Spectrum *s, const char *path, Err *e)
{
    json_t *collapsed = json_array();
    verdict(s, say_json, collapsed);
    return json_write_rows(path, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "step", (json_int_t)s->meta.step,
                                           "stage", json_text(s->meta.stage), "checkpoint", json_text(s->path),
                                           "weights", json_matrices(s, 0, s->weights), "codebooks", json_books(s),
                                           "features", json_matrices(s, s->weights, s->n), "collapsed", collapsed), 7, e);
}

/* ---- all of it ---- */

bool spectrum_report(Spectrum *s, double seconds, Err *e)
{
    char path[PATH_ROOM];
    const int ranks = s->r.grid.size;
    for (int i = 0; i < s->n; i++)
        s->matrix[i].m = measures_of(values(s, &s->matrix[i]), s->matrix[i].n);
    printf("\n%s: step %lld of stage %s\n%d matri%s on %d rank%s in %.1f s\n", s->path, (long long)s->meta.step, s->meta.stage, s->n,
           s->n == 1 ? "x" : "ces", ranks, ranks == 1 ? "" : "s", seconds);
    if (s->meta.lora_rank)
        printf("low-rank pairs: decoder has the weights with their pairs, lora what pairs add (%d values); the frozen rest is its base's\n", s->meta.lora_rank);
    print_matrices(s, 0, s->weights);
    print_books(s);
    print_features(s);
    print_verdict(s);
    if (!path_set(path, e, "%s/spectrum.json", s->r.c->run.dir) || !dir_make(s->r.c->run.dir, e) || !write_json(s, path, e))
        return false;
    printf("\n%s\n", path);
    return true;
}
