/*
 * prof.h -- counts what the arithmetic costs, and keeps spans of time where somebody asked for them; prints nothing
 *
 * Ops that multiply matrices add their multiply-adds (two flops each) here; the caller's spans time phases.
 *
 *     prof_begin("forward");  ...  prof_begin("linear_fwd");  ...  prof_end();  prof_end();
 *
 * Spans nest.  They go to a ring of the caller's when they end, the oldest make room; without a ring (prof_keep) they cost a
 * look at one variable.  Nothing is allocated.
 *
 * Local, main thread only.  Tests: tests/core/test_prof.c
 */
#pragma once
#include "core/base.h"

extern double prof_flops;                         /* since the program started */
extern double prof_bytes;                         /* that had to pass between processor and memory: counted by OPS_COUNT alone */
static inline void prof_gemm(int64_t m, int64_t n, int64_t k) { prof_flops += 2.0 * (double)m * (double)n * (double)k; }
static inline void prof_gram(int64_t m, int64_t k) { prof_flops += (double)m * (double)(m + 1) * (double)k; }    /* half of it is the other half */

enum { PROF_DEPTH = 32 };                         /* open spans at most; deeper ones are not kept */
typedef struct {
    const char *name;                             /* as prof_begin got it */
    double      begin, end;                       /* of now() */
    int64_t     bytes;                            /* that left this rank; 0 where that is not known */
    int         axis, depth;                      /* depth: 0 is outermost */
} ProfSpan;

extern bool prof_on;
/* From here on spans end in ring[i % n], i counting from 0; NULL: they are not kept.  None may be open. */
void    prof_keep(ProfSpan *ring, int64_t n);
int64_t prof_kept(void);                          /* spans that have ended since; of more than n the last n are there */

void prof_open(const char *name);
void prof_close(void);
void prof_note(const char *name, int axis, int64_t bytes);

static inline void prof_begin(const char *name) { if (prof_on) prof_open(name); }
static inline void prof_end(void) { if (prof_on) prof_close(); }
/* Of the innermost open span: what it turned out to be; what it sent. */
static inline void prof_is(const char *name) { if (prof_on) prof_note(name, 0, 0); }
static inline void prof_sent(int axis, int64_t bytes) { if (prof_on) prof_note(NULL, axis, bytes); }
