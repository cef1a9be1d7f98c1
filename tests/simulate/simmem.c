/* simmem.c -- core/arena.h without memory: addresses that are reserved, and become pages where somebody writes */
#include <stdlib.h>
#include <sys/mman.h>

#include "core/arena.h"
#include "tests/simulate/meter.h"

enum { ALIGN = 64, PAGE = 4096 };

static uintptr_t next, end;

void tensors_at(int rank, int ranks)
{
    const uintptr_t each = (TENSORS_TO - TENSORS_FROM) / (uintptr_t)ranks / PAGE * PAGE;
    next = TENSORS_FROM + (uintptr_t)rank * each;
    end = next + each;
}

void *arena_take(Arena *a, int64_t n, size_t elem)
{
    size_t bytes = ((size_t)n * elem + ALIGN - 1) / ALIGN * ALIGN;
    char *p = a->base ? a->base + a->used : NULL;
    a->used += bytes;
    if (!a->base && a->used > a->size)
        a->size = a->used;
    CHECK(a->used <= a->size, "arena %s: %zu bytes asked for, %zu measured", a->name, a->used, a->size);
    return p;
}

void arena_alloc(Arena *a)
{
    const size_t bytes = (a->size + PAGE) / PAGE * PAGE;
    CHECK(next + bytes <= end, "arena %s: %zu bytes are more than this rank has addresses for", a->name, bytes);
    a->base = mmap((void *)next, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
                   -1, 0);
    CHECK(a->base == (char *)next, "no addresses for %zu bytes of %s", bytes, a->name);
    next += bytes;
    a->used = 0;
}

void *arena_list(Arena *a, int64_t n, size_t elem) { return arena_take(a, n, elem); }
void arena_nowhere(Arena *a) { arena_alloc(a); }

void arena_free(Arena *a)
{
    if (a->base)
        munmap(a->base, (a->size + PAGE) / PAGE * PAGE);
    a->base = NULL;
    a->used = a->size = 0;
}

ArenaMark arena_mark(const Arena *a) { return (ArenaMark){ a->used }; }
void arena_release(Arena *a, ArenaMark m) { a->used = m.used; }
void mem_freeze(void) {}
void mem_thaw(void) {}
size_t mem_total(void) { return 0; }
void arena_forget(void *p, size_t bytes) { (void)p, (void)bytes; }        /* nothing lies there */
