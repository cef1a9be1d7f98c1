/*
 * opscount.h -- a third table of ops, complete, that computes nothing and counts what computing would cost
 *
 *     op = OPS_COUNT;  model_forward(...);          prof_flops, prof_bytes: of the whole pass, in microseconds
 *
 * Flops     those that the real ops count (prof.h): products with a weight, attention over pairs that see each other, nearest codes
 * Bytes     what has to pass between the processor and memory at least: each operand once, what is added to twice (read, written);
 *           of a table as many rows as are asked for
 *
 * Tensors are never looked at: they may lie at addresses where there is nothing (arena.h).  Attention reads where its sequences
 * begin.  A number that an op would write is 0.
 *
 * Local.  Tests: tests/core/test_opscount.c (as many flops as the real ops count, in every stage)
 */
#pragma once
#include "core/ops.h"

extern const Ops OPS_COUNT;
