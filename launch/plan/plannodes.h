/*
 * plannodes.h -- a step on many nodes of a described machine: its parts, and the best grid
 *
 * Compute and updates are plan_time's (plan.h), with rates that the machine describes.  What ranks say to each other over dp is
 * replayed on virtual time as dist/bucket.c and dist/zeroweights.c would do it: buckets become ready as backward goes, at most a
 * ring of them is under way, and nothing moves between two calls of the door.  All ranks are taken to be alike and in step, so
 * one is replayed, with the share of its node's link that is left to it.
 *
 * Local, without MPI.
 * Tests   tests/launch/plannodes.sh; `make simulate` compares with SimGrid
 */
#pragma once
#include "launch/plan/cluster.h"
#include "launch/plan/plan.h"

/* ---- what goes over dp, replayed ---- */

typedef struct {
    const Cluster *machine;
    int    ranks_node;                 /* ranks fill one node after the other */
    double memory;                     /* bytes a second of a rank */
    double forward, backward;          /* seconds of a micro-batch; 0: nothing to hide behind */
} Lying;

/* By how many seconds a step is longer, and the messages that a rank sends.  Of gradients; of new weights on their way back. */
typedef struct { double seconds, messages; } Replayed;
Replayed replay_buckets(const PlanRank *r, const Lying *where);
Replayed replay_weights(const PlanRank *r, const Lying *where);

/* Of a micro-batch's sums over tp in two phases. */
Replayed replay_sums(const PlanRank *r, const Lying *where);

/* ---- a number of nodes ---- */

typedef struct {
    int    nodes, ranks_node, threads, replicas, tp, zero, micro_batch, global_batch;
    double compute, tp_s, dp, optimizer, rest, step;    /* seconds; dp: exposed; step is their sum */
    double dp_adds, dp_bytes;          /* of dp: what is left if messages were free of overhead and latency; if the wire were, too */
    double dp_total;                   /* with nothing to hide behind */
    double samples, sgemm;             /* a second; share of the machine's sgemm */
    double memory;                     /* bytes a node */
    double messages, bytes;            /* that a rank sends in a step: of rank 0's replica */
    double saved, write, wait;         /* of a save: bytes; seconds until it is on the file system; that training stands still */
} Point;

enum { NODES_TP = 64 };                /* the most tp that is looked at */
typedef struct Nodes Nodes;            /* the models of all tp and micro-batches, measured once */

/* How many times longer a step takes than products and passes over gradients, where no rates say it. */
extern const double nodes_rest;

/* c, m and rates (or NULL) must outlive it.  EXIT_CONFIG where the configuration itself is wrong. */
Nodes *nodes_open(const Config *c, Stage stage, const Cluster *m, const Rates *rates, Err *e);
void   nodes_close(Nodes *n);
double nodes_learned(Nodes *n);        /* parameters that learn */
/* The fastest of what divides and fits, or (plan.grid = "given") the one that is configured.  False where nothing fits; p->memory
   is then the least that a node would have to have, or 0 where nothing divides. */
bool   nodes_best(Nodes *n, int nodes, int global_batch, Point *p);

/* `asvr plan` with plan.nodes: all of the above, printed. */
bool   plan_nodes(const Config *c, const Rates *rates, Err *e);

/* ---- the pictures of it ---- */

typedef struct { const char *name; double share; } Loss;
enum { LOSSES = 6 };
/* Where 1 - efficiency of a point is lost, by cause, against the first one: shares of its own step. */
void   nodes_losses(const Point *p, const Point *first, Loss out[LOSSES]);
bool   nodes_svg(const char *path, const char *title, const char *below, const Point *p, int n, Err *e);
