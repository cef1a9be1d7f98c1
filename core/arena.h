/*
 * arena.h -- memory of one lifetime: measure, then carve
 *
 * A layout function takes its buffers with TAKE.  Run on an empty arena it only counts; arena_alloc then
 * reserves what was counted; run a second time the same function carves.  So the count *is* the memory plan.
 *
 *     Arena a = { .name = "tape" };
 *     layout(&t, &a);  arena_alloc(&a);  layout(&t, &a);
 *
 * An arena can also lie nowhere: its tensors have addresses that nobody can read or write, its lists (rows.h) have memory.  What
 * runs on it with ops that look at no tensor (opscount.h) needs no more, and dies where anybody but an op looks.
 *
 * Local.  Every block is aligned to 64 bytes.  An arena of 32 MiB or more lies in huge pages where the kernel has them, and each thread's
 * share of it near that thread (ops_use comes before).
 *
 * A fleeting arena holds pages only while something lies in them: they come when they are first written, near the thread that does,
 * and arena_forget gives them back.  Its pages are small: of a huge one the kernel takes nothing back while a part of it is in use, and
 * would make huge ones of small ones again by itself.
 *
 * Tests: tests/core/test_arena.c
 */
#pragma once
#include "core/base.h"

typedef struct {
    const char *name;
    char *base;                /* NULL while measuring */
    size_t used, size;         /* bytes */
    struct ArenaList *lists;   /* of one that lies nowhere */
    bool   nowhere, fleeting;
} Arena;

/* n elements of the given type; NULL while measuring.  Memory is zero after arena_alloc, not after reuse. */
#define TAKE(a, type, n) ((type *)arena_take((a), (int64_t)(n), sizeof(type)))

void *arena_take(Arena *a, int64_t n, size_t elem);   /* dies when a carving pass asks for more than was measured */
void *arena_list(Arena *a, int64_t n, size_t elem);   /* the same, with memory wherever the arena lies */
void  arena_alloc(Arena *a);                          /* reserves `used` bytes, zeroed, rewinds; dies without memory */
void  arena_nowhere(Arena *a);                        /* in its place: addresses alone */
void  arena_free(Arena *a);

/* Temporary use: m = arena_mark(a); ... arena_release(a, m).  Measuring keeps the highest mark. */
typedef struct { size_t used; } ArenaMark;
ArenaMark arena_mark(const Arena *a);
void      arena_release(Arena *a, ArenaMark m);

/* From here on arena_alloc dies: a step allocates nothing. */
void mem_freeze(void);
void mem_thaw(void);
/* The contents become zero, and whole pages go back to the system, which is what a fleeting arena is for: in huge pages it splits them.
   What lies nowhere has none. */
void arena_forget(void *p, size_t bytes);
/* Bytes that all living arenas hold, without those of fleeting ones. */
size_t mem_total(void);
