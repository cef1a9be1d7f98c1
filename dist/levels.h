/*
 * levels.h -- an exchange among many replicas as a few exchanges, each among few: its levels
 *
 *     replica r = digit 0 + size[0] (digit 1 + size[1] (digit 2 + ...))         replicas = size[0] size[1] size[2] ...
 *
 * At level i those meet whose digits differ in place i alone, and each goes on with its part of what they hold together: a part of
 * size[0] of everything, of that a part of size[1], ..., at last one share.  So a rank sends sum(size[i] - 1) messages where one exchange
 * among all takes replicas - 1, and 1 - 1/replicas of what it holds, as there.  Back it goes the other way round.
 *
 *     6 replicas = 2 x 3         level 0: 0 1 | 2 3 | 4 5        level 1: 0 2 4 | 1 3 5
 *
 * Groups of level 0 are neighbours, those who have met after level i are neighbours: their micro-batches are one range, of which
 * canon.h has few nodes.  First come the levels inside a node, so that each share of a node's sum crosses the network once.
 *
 * Places: shares in the order in which levels divide them, digit 0 first, so that a part is a run of neighbouring places.
 *
 *     6 replicas = 2 x 3         owners of the places 0 1 2 3 4 5: replicas 0 2 4 1 3 5
 *
 * Integers only.  Local.
 * Source  recursive halving with any factors: Thakur, Rabenseifner, Gropp, IJHPCA 2005; Träff, "Improved MPI all-to-all communication on a
 *         Giganet SMP cluster", EuroPVM/MPI 2002 (levels of nodes)
 * Tests   tests/dist/test_levels.c
 */
#pragma once
#include "core/base.h"

enum { LEVELS = 4 };
typedef struct { int replicas, n, size[LEVELS]; } Levels;      /* n: 0 for one replica */

/* Of replicas that lie `near` to a node, neighbours together: inside a node and among nodes one level each of a few, two of more, as
   equal as numbers divide.  near must divide replicas; 1 where it is unknown. */
Levels levels_of(int replicas, int near);
/* All at once. */
Levels levels_one(int replicas);
/* Messages that a replica sends to let everybody have a piece, each way. */
int    levels_messages(const Levels *v);
/* Whose share has that place. */
int    levels_owner(const Levels *v, int place);

/* A level as replica r sees it. */
typedef struct {
    int size, member, stride;      /* its group: so many, stride apart; which of them r is */
    int group;                     /* the group's number at this level */
    int first, run;                /* places [first + j run, first + (j + 1) run) go to member j */
    int block;                     /* member j comes with the sum of replicas [(block + j) stride, (block + j + 1) stride) */
} Level;
Level  levels_at(const Levels *v, int level, int r);
