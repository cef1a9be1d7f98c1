/*
 * exact.h -- sums of doubles that do not depend on the order of their additions
 *
 *     Exact s = { 0 };   exact_add(&s, x) ...;   exact_value(&s)       the sum, rounded once, to the nearest double
 *
 * An Exact is a fixed-point number in 32-bit digits, each in an int64 that leaves room for carries: an addend is a few
 * integer additions, and integers add up to the same sum in any order.  Sums over ranks are sums of the words.
 * Digits reach from 2^-320 to 2^384: what an addend has below is cut off (of that addend alone, so still in any order);
 * one that is not finite, or larger, makes the value NaN.
 *
 * At most 2^31 addends.  Local.
 *
 * Source  Kulisch and Miranker, "Computer Arithmetic in Theory and Practice", 1981 (the long accumulator)
 * Tests   tests/core/test_exact.c
 */
#pragma once
#include "core/base.h"

enum { EXACT_DIGITS = 22, EXACT_LOW = 320 /* the lowest digit's weight is 2^-EXACT_LOW */, EXACT_WORDS = EXACT_DIGITS + 2 };

typedef struct { int64_t word[EXACT_WORDS]; } Exact;       /* digits, the carry out of them, addends that have no place */

void   exact_add(Exact *s, double x);
void   exact_add_all(Exact *s, const double *x, int64_t n);
double exact_value(const Exact *s);
