/*
 * llavaindex.h -- which records a file of conversations holds: where each begins and how many pictures it has
 *
 * Each rank indexes the records that begin in its slice (jsonslice.h says where it may begin).  Then the parts are checked
 * against each other: the first part begins where the file's first record does, each part where the one before it said that
 * the next record begins, and the last one saw the end.  By induction that is what one rank would have read from the
 * beginning; if it does not hold, one rank reads all, so what is wrong with a file is said the same for any number of ranks.
 *
 *     llava_index_slice on each rank -> gather LlavaPart -> llava_parts_fit -> gather offset and kind
 *
 * Tests   tests/io/source/test_slices.c (any cut), tests/launch/draw.sh (1, 2 and 4 ranks)
 */
#pragma once
#include "io/source/jsonslice.h"
#include "io/source/llava.h"

enum { KIND_TEXT, KIND_PICTURE, KIND_PICTURES, KINDS, KIND_BAD = KINDS };     /* no picture, one, several */
/* Added to it where LlavaRecord has answer_first; where it names a task or says what is right (asked.h). */
enum { KIND_MASK = 3, KIND_ANSWER_FIRST = 4, KIND_ASKED = 8 };

typedef struct {
    int64_t  n, cap;
    int64_t *offset;               /* (n) ascending: the byte where each begins */
    uint8_t *kind;                 /* (n) KIND_, perhaps + KIND_ANSWER_FIRST + KIND_ASKED */
} LlavaIndex;

/* What the others have to know of a part; it travels as bytes. */
typedef struct {
    int64_t n, first, next;        /* where its first record and the one behind its last begin; -1: there is none */
    int32_t broken, bad;           /* the file is broken there; it ends with the first bad record */
} LlavaPart;

/* Indexes the records that begin in [first, to); first < 0: there are none.  Parses each, looks for its pictures.
   to_bad: goes no further than the first bad one.  Local.  part->broken with e set: the file is broken, or cannot be read;
   x then holds what comes before. */
void llava_index_slice(LlavaIndex *x, LlavaPart *part, Llava *l, int64_t first, int64_t to, bool to_bad, Err *e);
void llava_index_free(LlavaIndex *x);

/* Do the parts give the file's records, all, or up to and with the first bad one?  Its rank + 1, or `ranks`: so many parts
   count.  0: they do not.  start: llava_scan(l)->first.  Local. */
int  llava_parts_fit(const LlavaPart *part, int ranks, int64_t start);
