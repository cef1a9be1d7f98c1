#include "io/base/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base.h"

enum { MANY_HOSTS = 1 << 20, DIGITS = 9 };

void host_self(Host out)
{
    const char *slurm = getenv("SLURMD_NODENAME");
    memset(out, 0, HOST_NAME);
    if (slurm && *slurm)
        snprintf(out, HOST_NAME, "%s", slurm);
    else if (gethostname(out, HOST_NAME - 1))
        snprintf(out, HOST_NAME, "?");
    if (!slurm || !*slurm)
        out[strcspn(out, ".")] = 0;
}

/* Where the number at the end of a name begins: its length if there is none. */
static size_t number_at(const char *name)
{
    const size_t n = strlen(name);
    size_t at = n;
    while (at > 0 && n - at < DIGITS && name[at - 1] >= '0' && name[at - 1] <= '9')
        at--;
    return at;
}

/* By text, then digits, then number. */
static int compare(const void *x, const void *y)
{
    const char *a = x, *b = y;
    const size_t i = number_at(a), j = number_at(b);
    const int text = strncmp(a, b, i < j ? i : j);
    if (text || i != j)
        return text ? text : i < j ? -1 : 1;
    const size_t wide = strlen(a + i), other = strlen(b + j);
    return wide != other ? (wide < other ? -1 : 1) : strcmp(a + i, b + j);
}

static bool alike(const char *a, const char *b)
{
    const size_t at = number_at(a);
    return a[at] && at == number_at(b) && strlen(a) == strlen(b) && !strncmp(a, b, at);
}

static long number_of(const char *name) { return atol(name + number_at(name)); }

/* One entry more, or "..." once and then nothing. */
typedef struct { char *out; size_t cap, n; bool full; } List;

static void put(List *l, const char *text)
{
    static const char dots[] = ",...";
    const size_t k = strlen(text), comma = l->n > 0;
    if (l->full)
        return;
    if (l->n + comma + k + sizeof dots > l->cap) {
        snprintf(l->out + l->n, l->cap - l->n, "%s", l->n ? dots : dots + 1);
        l->full = true;
        return;
    }
    l->n += (size_t)snprintf(l->out + l->n, l->cap - l->n, "%s%s", comma ? "," : "", text);
}

void hosts_fold(Host *name, int n, char *out, size_t cap)
{
    char text[1024];
    List l = { out, cap, 0, false };
    int kept = 0;
    qsort(name, (size_t)n, sizeof *name, compare);
    for (int i = 0; i < n; i++)                             /* a name is there once */
        if (!kept || strcmp(name[kept - 1], name[i]))
            memmove(name[kept++], name[i], sizeof *name);
    out[0] = 0;
    for (int i = 0, next; i < kept; i = next) {
        for (next = i + 1; next < kept && alike(name[i], name[next]); next++)
            ;
        if (next == i + 1) {
            put(&l, name[i]);
            continue;
        }
        const int at = (int)number_at(name[i]);
        for (int k = i; k < next;) {                        /* as many ranges as go into one entry */
            size_t m = (size_t)snprintf(text, sizeof text, "%.*s[", at, name[i]);
            for (const char *comma = ""; k < next && m < sizeof text - 4 * DIGITS; comma = ",") {
                int to = k;
                while (to + 1 < next && number_of(name[to + 1]) == number_of(name[to]) + 1)
                    to++;
                m += (size_t)snprintf(text + m, sizeof text - m, to > k ? "%s%s-%s" : "%s%s", comma, name[k] + at, name[to] + at);
                k = to + 1;
            }
            snprintf(text + m, sizeof text - m, "]");
            put(&l, text);
        }
    }
}

typedef struct { Host *name; int n, room; bool bad; } Names;

static void add(Names *x, const char *name)
{
    if (x->n >= MANY_HOSTS || !*name || strlen(name) >= HOST_NAME) {
        x->bad = true;
        return;
    }
    if (x->n == x->room) {
        x->room = 2 * x->room + 16;
        x->name = realloc(x->name, (size_t)x->room * sizeof *x->name);
        CHECK(x->name, "no memory for the names of %d nodes", x->room);
    }
    memset(x->name[x->n], 0, HOST_NAME);
    snprintf(x->name[x->n++], HOST_NAME, "%s", name);
}

/* "3" or "3-7" at p: its bounds, and how wide they are written.  Where it ends; NULL if it is neither. */
static const char *range(const char *p, long *from, long *to, int *wide)
{
    int n = 0;
    if (*p < '0' || *p > '9' || sscanf(p, "%9ld%n", from, wide) != 1)
        return NULL;
    *to = *from;
    p += *wide;
    if (*p == '-' && (sscanf(p, "-%9ld%n", to, &n) != 1 || *to < *from || *to - *from >= MANY_HOSTS))
        return NULL;
    return p + n;
}

/* An entry of a list, of so many bytes: what stands before its first bracket, each number in it, and all that the rest may be. */
static void unfold(Names *x, const char *entry, int length, int depth)
{
    char name[256];
    const char *open = memchr(entry, '[', (size_t)length), *close = open ? memchr(open, ']', (size_t)(entry + length - open)) : NULL;
    if (!open && length < HOST_NAME) {
        snprintf(name, sizeof name, "%.*s", length, entry);
        add(x, name);
        return;
    }
    if (!close || depth >= 4) {
        x->bad = true;
        return;
    }
    for (const char *p = open + 1; !x->bad && p <= close; p++) {
        int wide = 0;
        long from, to;
        p = range(p, &from, &to, &wide);
        if (!p || (*p != ',' && p != close)) {
            x->bad = true;
            return;
        }
        for (long k = from; k <= to && !x->bad; k++) {
            const int n = snprintf(name, sizeof name, "%.*s%0*ld%.*s", (int)(open - entry), entry, wide, k, (int)(entry + length - close - 1),
                                   close + 1);
            if (n >= (int)sizeof name)
                x->bad = true;
            else
                unfold(x, name, n, depth + 1);
        }
    }
}

Host *hosts_unfold(const char *list, int *n)
{
    Names x = { 0 };
    for (const char *p = list; *p && !x.bad;) {
        int k = 0;
        for (int deep = 0; p[k] && (p[k] != ',' || deep); k++)
            deep += (p[k] == '[') - (p[k] == ']');
        unfold(&x, p, k, 0);
        p += k + (p[k] == ',');
    }
    if (x.bad || x.n == 0) {
        free(x.name);
        x = (Names){ 0 };
    }
    *n = x.n;
    return x.name;
}
