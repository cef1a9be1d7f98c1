/*
 * measures.h -- what a list of singular values says of a matrix, in a few numbers and a little picture
 *
 *     stable rank      sum s^2 / s_1^2                          how many directions share the energy, at least
 *     effective rank   exp(-sum p ln p),  p = s / sum s         how many directions are in use
 *     participation    (sum s^2)^2 / sum s^4                    the same by energy, larger values weigh more
 *     dead             how many s_i are below DEAD s_1
 *
 * n equal values give n for the first three, a single one gives 1; all zero gives 0.
 * Local.
 *
 * Source  Roy and Vetterli, "The effective rank", EUSIPCO 2007; Rudelson and Vershynin, J. ACM 54(4), 2007 (stable rank)
 * Tests   tests/launch/spectrum.sh
 */
#pragma once
#include "core/base.h"

#define DEAD 1e-3

enum { SPARK = 12 /* columns of the picture */, SPARK_BYTES = 3 * SPARK + 1 };

typedef struct {
    bool   finite;                 /* false: the matrix holds inf or NaN, and nothing else is known */
    double largest, smallest, frobenius, stable, effective, participation;
    double condition;              /* largest / smallest; 0 where the smallest is not resolved (svd.h) */
    int    dead;
} Measures;

/* s (n), largest first; a NaN in front says that the matrix is not finite. */
Measures measures_of(const double *s, int n);
/* The values from the largest to the smallest as bars on a log scale: each of 8 heights is 3/8 of a decade, the lowest ends
   at DEAD, and what is dead is blank.  UTF-8. */
void     measures_spark(char out[SPARK_BYTES], const double *s, int n);
