/*
 * meter.h -- what arithmetic costs, instead of arithmetic; and what MPI does with it
 *
 * An op (simops.c) owes the seconds that it would take.  They are spent, in simulated time, before this rank next says
 * anything to another: at each door, and in each MPI call.
 *
 * Tensors are addresses without memory behind them: nobody reads or writes them, and messages between them carry their
 * length alone (simmpi.cc).  All else, counts and sums of a few numbers, is real.
 *
 * Local.  Tests: tests/simulate/check.sh
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define TENSORS_FROM ((uintptr_t)16 << 40)         /* of all ranks, each its part */
#define TENSORS_TO   ((uintptr_t)80 << 40)

/* rate, memory: flops and bytes a second of this rank; overhead: seconds a message of dp; owed, spent: seconds, of which
   posting for messages; messages: of dp, sent.
   bundle: the messages of so many exchanges travel together (simmpi.cc), 0: each by itself; node: ranks of one; tp: ranks of a replica, neighbours
   in the world, whose own messages never travel together. */
typedef struct { double rate, memory, overhead, owed, spent, posting; int64_t messages; int bundle, node, tp; } Meter;
extern Meter meter;

static inline void owe_flops(double n) { meter.owed += n / meter.rate; }
static inline void owe_floats(double n) { meter.owed += 4 * n / meter.memory; }
void meter_spend(void);

/* Where this rank's tensors are. */
void tensors_at(int rank, int ranks);
