/*
 * order.h -- which sample comes when: a keyed permutation, so the cursor of the data is one integer
 *
 *     epoch = position / samples,   sample = permutation[seed, epoch](position % samples)
 *
 * The permutation is a Feistel network over the smallest even number of bits that holds `samples`; a value
 * that falls outside is encrypted again until it falls inside (cycle walking), which keeps it a bijection.
 * Nothing is stored: a resume on any number of ranks is a division.
 *
 * Source  Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, section 4
 * Tests   tests/io/set/test_order.c
 */
#pragma once
#include "core/base.h"

/* 0 <= . < samples.  position counts from 0 forever; 1 <= samples <= 2^40.  O(1).  Local. */
int64_t order_sample(int64_t samples, uint64_t seed, int64_t position);
