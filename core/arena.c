#include "core/arena.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* PAGE: a huge page, where there are such; BIG: so much memory is worth them, and threads. */
enum { ALIGN = 64, PAGE = 1 << 21, BIG = 1 << 25 };
static const uintptr_t NOWHERE = (uintptr_t)1 << 52;    /* beyond what any process has */

struct ArenaList { struct ArenaList *next; };

static bool   frozen;
static size_t total;

void *arena_take(Arena *a, int64_t n, size_t elem)
{
    CHECK(n >= 0 && (uint64_t)n <= (SIZE_MAX / 2) / elem, "%s: %lld elements of %zu bytes overflow", a->name,
          (long long)n, elem);
    size_t bytes = ((size_t)n * elem + ALIGN - 1) / ALIGN * ALIGN;
    char *p = a->base ? a->base + a->used : NULL;
    a->used += bytes;
    if (!a->base && a->used > a->size)
        a->size = a->used;
    CHECK(a->used <= a->size, "arena %s: %zu bytes asked for, %zu measured", a->name, a->used, a->size);
    return p;
}

void *arena_list(Arena *a, int64_t n, size_t elem)
{
    void *p = arena_take(a, n, elem);
    if (!a->nowhere)
        return p;
    struct ArenaList *l = calloc(1, sizeof *l + (size_t)n * elem + ALIGN);
    CHECK(l, "no memory for a list of %lld in %s", (long long)n, a->name);
    l->next = a->lists;
    a->lists = l;
    return (char *)l + ALIGN - (uintptr_t)l % ALIGN;
}

/* Zeroes.  A page lies near the core that touches it first: the threads touch what is theirs in a pass over all of the arena. */
static void touch(char *p, size_t bytes)
{
#pragma omp parallel if (bytes >= BIG)
    {
        const size_t threads = (size_t)omp_get_num_threads(), share = (bytes / threads + PAGE) / PAGE * PAGE;
        const size_t from = share * (size_t)omp_get_thread_num();
        if (from < bytes)
            memset(p + from, 0, share < bytes - from ? share : bytes - from);
    }
}

static size_t bytes_of(const Arena *a) { return a->size ? a->size : ALIGN; }

/* Nobody touches it here: the kernel gives zeros to whoever does. */
static void alloc_fleeting(Arena *a)
{
    a->base = mmap(NULL, bytes_of(a), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(a->base != MAP_FAILED, "no addresses for %zu bytes of %s", bytes_of(a), a->name);
    madvise(a->base, bytes_of(a), MADV_NOHUGEPAGE);     /* a kernel without huge pages says no */
    a->used = 0;
}

void arena_alloc(Arena *a)
{
    CHECK(!frozen, "arena %s: allocation after the first step", a->name);
    ASSERT(!a->base);
    if (a->fleeting) {
        alloc_fleeting(a);
        return;
    }
    const size_t bytes = bytes_of(a);
    const size_t align = bytes >= BIG ? PAGE : ALIGN;
    a->base = aligned_alloc(align, (bytes + align - 1) / align * align);
    CHECK(a->base, "no memory for %zu bytes of %s", bytes, a->name);
    if (bytes >= BIG)
        madvise(a->base, bytes, MADV_HUGEPAGE);         /* a kernel without them says no, and small pages serve */
    touch(a->base, bytes);
    a->used = 0;
    total += a->size;
}

void arena_nowhere(Arena *a)
{
    ASSERT(!a->base);
    a->base = (char *)NOWHERE;
    a->nowhere = true;
    a->used = 0;
}

void arena_free(Arena *a)
{
    while (a->lists) {
        struct ArenaList *l = a->lists;
        a->lists = l->next;
        free(l);
    }
    if (a->base && !a->nowhere && a->fleeting) {
        munmap(a->base, bytes_of(a));
    } else if (a->base && !a->nowhere) {
        total -= a->size;
        free(a->base);
    }
    a->base = NULL;
    a->used = a->size = 0;
    a->nowhere = false;
}

/* Reading such a page afterwards takes none: the kernel shows one that holds zeros and that all share. */
void arena_forget(void *p, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)p, end = at + bytes;
    const uintptr_t from = (at + page - 1) / page * page, to = end / page * page;
    if (at >= NOWHERE)
        return;
    if (from >= to || madvise((void *)from, to - from, MADV_DONTNEED)) {        /* refused where memory is locked */
        memset(p, 0, bytes);
        return;
    }
    memset(p, 0, from - at);
    memset((void *)to, 0, end - to);
}

ArenaMark arena_mark(const Arena *a)
{
    return (ArenaMark){ a->used };
}

void arena_release(Arena *a, ArenaMark m)
{
    ASSERT(m.used <= a->used);
    a->used = m.used;
}

void mem_freeze(void) { frozen = true; }
void mem_thaw(void) { frozen = false; }
size_t mem_total(void) { return total; }
