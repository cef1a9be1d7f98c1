/*
 * cluster.h -- a described machine, and what messages cost on it
 *
 *     cluster: { name = "..."; cores = 64; sockets = 2; gflops = 40.0; ... };        configs/clusters/X.cfg, docs/FORMATS.md
 *
 * alpha-beta: a message of b bytes takes alpha + b / beta.  `beta` is what a node's link carries each way, for all ranks of the
 * node together; behind it the network is wide enough for all (a full fat tree).  Inside a node each rank has its own beta_in,
 * all together a quarter of the memory's rate at most.
 * Of LogGP there is o: `overhead` of the processor for each message sent and each received, which nothing hides.
 *
 * Local.
 * Source  Alexandrov et al., "LogGP", SPAA 1995; Thakur, Rabenseifner, Gropp, "Optimization of collective communication
 *         operations in MPICH", IJHPCA 2005 (recursive doubling, Rabenseifner's allreduce)
 * Tests   tests/launch/plannodes.sh
 */
#pragma once
#include "launch/config/config.h"

typedef struct {
    ConfigString name;
    int    cores, sockets;             /* of a node */
    double gflops, share;              /* 1e9 a second: sgemm of a core, all cores busy; what the two passes reach of it */
    double memory, ram;                /* GB/s and GiB of a node */
    double alpha, beta;                /* us, GB/s: between nodes */
    double alpha_in, beta_in;          /* us, GB/s: between ranks of a node, each rank's own */
    double overhead;                   /* us of a rank's processor a message */
    double storage;                    /* GB/s of the parallel file system, for one job */
    double mtbf;                       /* hours between failures of one node */
} Cluster;

/* EXIT_CONFIG: a key that is unknown, missing or out of range; EXIT_IO where there is no file. */
bool cluster_read(Cluster *m, const char *path, Err *e);

/* Numbers of nodes, as "1,2,6" or "1..1024" (powers of two, and the ends), growing: returns how many, or 0 and EXIT_CONFIG. */
enum { NODES_MOST = 1 << 20, NODES_LINES = 64 };
int  cluster_nodes(int out[NODES_LINES], const char *text, Err *e);

/* Seconds of MPI_Allreduce of so many bytes among p ranks, every `stride`-th of ranks that fill nodes with ranks_node each, all
   groups at once; as Open MPI 4.1 does it, nearly: recursive doubling below 8 KiB, else Rabenseifner's algorithm.  *messages += what a rank
   sends. */
double cluster_allreduce(const Cluster *m, int ranks_node, int p, int stride, double bytes, double *messages);

/* An exchange or collection among dp ranks, all posted at once, of which `near` lie on this rank's node: what it costs. */
typedef struct {
    double post, land;                 /* seconds of the processor: to start it, and to take it in */
    double wire, alpha;                /* seconds that the link is busy; that each message takes besides */
    double messages;                   /* that this rank sends */
} Cost;
/* Each rank sends every other `piece` bytes. */
Cost cluster_exchange(const Cluster *m, int ranks_node, int dp, int near, double piece);

/* ---- saves ---- */

/* Seconds between saves that cost `cost` seconds each where something fails every `mtbf` seconds.  Young, "A first order approximation
   to the optimum checkpoint interval", CACM 1974; Daly, "A higher order estimate of the optimum checkpoint interval for restart
   dumps", FGCS 2006, equation 37. */
double young_interval(double cost, double mtbf);
double daly_interval(double cost, double mtbf);
