/*
 * page.h -- one HTML page of one or several runs: its parts, in their order
 *
 * The page is whole by itself: nothing is fetched, curves are inline SVG, pictures lie in it; script only reads values off curves.  It
 * is written so that it is well-formed as XML, too.  What a run lacks, its part leaves out or says.
 *
 * Private to report.c and the room.  Local.  Tests: tests/launch/report.sh, tests/peers/check_report.sh
 */
#pragma once
#include "io/base/json.h"
#include "launch/report/columns.h"
#include "launch/status/status.h"

enum { REPORT_RUNS = 16, SHEET_MAX = 4 << 20 /* bytes of a picture that is put into the page */ };

typedef struct {
    const char *name;               /* as it was typed, less the folder that all runs lie in */
    Status   status;
    Columns  columns;
    char    *config;                /* config.cfg, or NULL */
    json_t  *data, *eval;           /* or NULL */
    json_t  *benchmarks;            /* (steps) launch/benchmarks.h */
    char    *sheet;                 /* eval.png, or NULL */
    size_t   sheet_bytes;           /* sheet NULL and this not 0: it is larger than SHEET_MAX */
} ReportRun;

/* launch/report/reportrun.c.  EXIT_DATA: it is no run; EXIT_IO.  Only the folder and run.jsonl must be readable. */
bool reportrun_open(ReportRun *r, const char *dir, Err *e);
void reportrun_close(ReportRun *r);

typedef struct { FILE *f; ReportRun *run; int runs; size_t folder; /* bytes that the runs' names have in common, and lack */ } Page;

void page_write(const Page *p);

/* Parts. */
extern const char PAGE_STYLE[], PAGE_SCRIPT[];
void part_head(const Page *p);
void part_curves(const Page *p);
void part_figures(const Page *p);
void part_time(const Page *p);
void part_lives(const Page *p);
void part_eval(const Page *p);
void part_benchmarks(const Page *p);
void part_config(const Page *p);

/* Names of all runs' benchmarks, in the order in which they come, each with one run's figures; to be given back. */
json_t *page_benchmarks(const Page *p);
/* Of a run's i-th step with scores: that of a benchmark, NaN: none, and the step. */
double page_score(const ReportRun *r, int64_t i, const char *name, int64_t *step);
/* A number for a table, "&#8211;" where it is not finite. */
void page_number(FILE *f, double x);
/* The run's mark and name, where there are several. */
void page_run(const Page *p, int i);
