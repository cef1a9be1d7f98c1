/*
 * opsums.h -- a small table of what ops have cost: by op and phase, where it is asked for also by shape; as PETSc's -log_view
 *
 * Opspans.c fills it, call by call, while it is on.  Flops and bytes are those that OPS_COUNT counts (opscount.h), a bare product's
 * its 2 M N K.  Shapes: of a product (M,N,K); of another op the power of two that its bytes a call are rounded up to.  A table without
 * room left for shapes goes on without them.  Nothing is allocated.
 *
 * Local, main thread only.  Tests: tests/core/test_prof.c
 */
#pragma once
#include "core/ops.h"

#define OP_ENUM(f) OP_##f,
enum { OPS_LIST(OP_ENUM) OPS };
#undef OP_ENUM
enum { OP_PHASES = 16, OP_SUMS = 4096 };
extern const char *const OP_NAME[OPS];

typedef struct {
    int     op, phase;                            /* OP_...; ops_phase, as it was */
    int64_t shape[3], calls;                      /* (0,0,0): all shapes */
    double  seconds, cpu, flops, bytes;           /* cpu: seconds of all threads of the process meanwhile, those that wait awake too */
} OpSum;

extern int  ops_phase;                            /* which calls belong to from here on: 0 .. OP_PHASES - 1, the caller's */
extern bool ops_shapes;                           /* by shape, too */

/* What a call is, from its beginning on. */
typedef struct { int op; int64_t shape[3]; double seconds, cpu, flops, bytes; } OpCall;
OpCall  opsums_begin(int which, int64_t M, int64_t N, int64_t K);
void    opsums_count(OpCall *c);                  /* OPS_COUNT has been called: takes what it counted */
void    opsums_end(OpCall *c);

const OpSum *opsums(int *n);
void    opsums_clear(void);
