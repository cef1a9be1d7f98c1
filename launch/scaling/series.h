/*
 * series.h -- the points of a scaling experiment: which there are, what configuration each has, and what came of it
 *
 *     weak      train.global_batch samples a replica and step
 *     strong    train.global_batch samples a step
 *
 * over scaling.ranks x tp x zero x micro_batch x threads, smallest first.  What does not divide is left out, and named.  Before all
 * come the points that set the rates (predict.h): small grids, one micro-batch a step.
 *
 *     DIR/points/NAME/point.cfg     the whole configuration: `mpirun -n 4 asvr bench DIR/points/NAME/point.cfg` does it again by hand
 *     DIR/points/NAME/point.json    prediction; then state, exit code, hashes of configuration and machine, of the program
 *     DIR/points/NAME/steps.json    what bench measured (benchsteps.h); bench.json where the point sets rates
 *     DIR/points/NAME/out.txt       what it said
 *
 * A point whose point.json says that it is done, with these hashes, is not run again.  Local, no MPI.
 * Tests: tests/launch/scaling.sh
 */
#pragma once
#include "launch/bench/benchsteps.h"
#include "launch/plan/plan.h"

enum { POINT_NAME = 96, SERIES_KINDS = 2 /* weak, strong */ };
enum { POINT_OPEN, POINT_DONE, POINT_FAILED };

typedef struct {
    char    name[POINT_NAME];
    int     kind;                  /* SCALING_WEAK or STRONG; SCALING_BOTH: it sets rates and is in no series */
    int     ranks, tp, zero, micro_batch, threads, global_batch;
    double  shared;                /* threads for each core that there is, as known beforehand; above 1 they take turns */
    int     state, code;           /* code: what the launcher ended with; 128 + a signal */
    bool    kept;                  /* done by an earlier start */
    char    rates[POINT_NAME];     /* the point whose rates predicted it; "": nothing did */
    Seconds want;                  /* what they predicted */
    Steps   steps;                 /* where it is done */
} Point;

typedef struct {
    const Config *c;
    char    dir[PATH_ROOM];
    Point  *p;
    int     n, first;              /* points [first, n) are the series; those before set rates */
    int     nodes, cores;          /* that there are: nodes, cores of one */
    uint64_t program;              /* a hash of this program's file */
} Series;

/* Lists the points; what is left out goes to stdout.  False: EXIT_CONFIG, EXIT_IO.  To be closed. */
bool series_open(Series *s, const Config *c, Err *e);
void series_close(Series *s);
/* "weak, 4 ranks, tp 2": what tells this point from others of the series; to be used before the next call. */
const char *series_label(const Series *s, const Point *p);
bool series_varies(const Series *s, size_t at);        /* do points of the series differ in the int at this offset of a Point? */

uint64_t series_hash(const char *text, size_t n);

/* The configuration that a point runs with. */
void point_config(const Series *s, const Point *p, Config *out);
/* DIR/points/NAME, and a file there. */
bool point_path(const Series *s, const Point *p, const char *file, char out[PATH_ROOM], Err *e);
/* Writes point.cfg, and point.json as it now is. */
bool point_write(const Series *s, const Point *p, Err *e);
/* Are p->steps of the ranks, grid, threads and batches that p asks for?  A launcher may start others, or ranks that know nothing of each other. */
bool point_matches(const Point *p);
/* Takes over what an earlier start measured with the same configuration, machine and program; else leaves p open. */
void point_known(const Series *s, Point *p);
