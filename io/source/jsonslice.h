/*
 * jsonslice.h -- where in a long JSON file somebody stands who begins to read in its middle
 *
 * The file is cut into slices, one a rank.  Whether a slice begins inside a string depends on all bytes before it, so each
 * rank goes over its own for both cases:
 *
 *     summary of a slice     for case 0 (begins outside a string) and 1 (inside): is its end inside one, by how much did
 *                            the number of open brackets change
 *     state at slice r       case[0] = 0,  case[q+1] = end of q in case[q],  depth[r] = sum over q < r of change[q][case[q]]
 *
 * An escape at the beginning follows from the backslashes before it.  A control character in a string is no JSON: it
 * refutes the case, which is then given up (`lost`), so that most files are read little more than once.
 *
 * Where each line is a record nothing of this is needed: a slice's first record is the first line that begins in it.
 *
 * This is a guess, exact for a file that is JSON and of no value for one that is not.  Who starts from it has to check that
 * his predecessor's last value ends where his first begins (llavaindex.h does).
 *
 * How it is distributed: summaries are local; the caller gathers them, and every rank composes.
 * Source  Mytkowicz, Musuvathi, Schulte, "Data-parallel finite-state machines", ASPLOS 2014: go from every state, compose
 * Tests   tests/io/source/test_slices.c
 */
#pragma once
#include "io/source/jsonscan.h"

/* Inside a string, behind a backslash; brackets open more than where counting began.  lost: there can be no such state. */
typedef struct {
    bool    string, escape, lost;
    int64_t depth;
} JsonState;

/* How the slice ends if it begins outside [0] or inside [1] a string. */
typedef struct { JsonState end[2]; } JsonSlice;

/* The bytes [from, to) of s's file, s->first <= from.  Local.  False, here and below: they cannot be read (EXIT_IO), or are
   not there any more (EXIT_DATA). */
bool json_slice_read(JsonSlice *out, const JsonScan *s, int64_t from, int64_t to, Err *e);
/* The state at the beginning of slice r of those before it, which begin at s->first; depth 0 is between records.  Local. */
JsonState json_slice_state(const JsonSlice *slice, int r);
/* Where the first value begins that begins in [from, to), if `at` is the state there; -1: none does.  Local. */
bool json_slice_first(int64_t *first, const JsonScan *s, JsonState at, int64_t from, int64_t to, Err *e);
