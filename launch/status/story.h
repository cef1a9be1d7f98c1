/*
 * story.h -- lives.jsonl read, joined with run.jsonl: the lives of a run, and where its time went
 *
 * A life's time, from when its process began until it ended or was last heard, is cut without a rest:
 *
 *     starting      until its first step began                        steps      steps that count: their lines are in run.jsonl
 *     saves         between steps, waiting for a save                 evals      between steps, evaluating (evals.h)
 *     other         between steps otherwise; clocks that disagree
 *     again         steps behind the checkpoint that the next life went on from, and what a kill cut short
 *     hanging       from the last step to the watchdog's verdict      stopping   from the last step to the end, the last save included
 *     under_way     of the life that lives: since its last step
 *
 * and between two lives `waiting` (the queue, or nobody).  After a life that was done nothing counts until the next begins.
 * Steps of lives that left no record (of an older version) are told from run.jsonl alone: then what lies between them is all `waiting`.
 *
 * Local.  Errors: EXIT_IO.  Tests: tests/launch/status.sh
 */
#pragma once
#include "launch/status/evals.h"
#include "launch/status/steplog.h"

enum { STORY_TEXT = 512, STORY_HOST = 64, STORY_FOUND = 8 };
enum { SPENT_STARTING, SPENT_STEPS, SPENT_SAVES, SPENT_EVALS, SPENT_OTHER, SPENT_AGAIN, SPENT_HANGING, SPENT_STOPPING, SPENT_UNDER_WAY, SPENT_WAITING, SPENT };
extern const char *const SPENT_NAME[SPENT], *const SPENT_LABEL[SPENT];

typedef struct {
    bool    known;                  /* it is in lives.jsonl */
    char    token[20], host[STORY_HOST], job[64], version[24];
    int64_t restart;                /* of the Slurm job */
    int64_t count;                  /* its `restart` in run.jsonl; -1: it never came so far */
    int     hosts, ranks, tp, dp, threads;
    char    nodes[STORY_TEXT];      /* "n7, n8, ..." */
    double  born, resumed;          /* wall clock; 0: not known, not yet */
    int64_t from, steps;            /* it went on from; the run's steps */
    bool    ended, lost;            /* it said so; the next life said so of it */
    int     code;                   /* ended, hung (80), or died */
    double  end, worked, heard;     /* wall clock; worked: when its last step was logged */
    int64_t step, saved;            /* the last that it did; the last that was saved */
    char    why[STORY_TEXT], where[STORY_TEXT];
    double  hung, died;             /* the watchdog's verdict; a rank died: when it said so, 0: none did */
    char    verdict[STORY_TEXT], hung_host[STORY_HOST];     /* of either */
    int     ckpts;
    const StepLife *lines;          /* of run.jsonl, or NULL */
    double  until;                  /* when it ended, or was last heard */
    double  spent[SPENT];           /* seconds; waiting: behind it, for the next */
} StoryLife;

/* What the watchdog and the straggler's judge have named. */
typedef struct { double time; int rank; int64_t step; double seconds; bool link; char host[STORY_HOST], collective[32], text[STORY_TEXT]; } StoryFound;

typedef struct {
    bool       there;               /* there is a lives.jsonl */
    StoryLife *life;                /* (lives), in their order */
    int        lives, unknown;      /* unknown: of them, those that left no record; they come first */
    int64_t    damaged;             /* lines that are none */
    StoryFound hang[STORY_FOUND], slow[STORY_FOUND];        /* the latest, the last one first */
    int        hangs, slows;        /* of all */
    double     spent[SPENT], wall;  /* sums; of all */
} Story;

/* lives.jsonl as it is. */
bool story_read(Story *s, const char *run_dir, Err *e);
void story_free(Story *s);
/* The host by which it ended: named by the watchdog, or holding memory that changed by itself.  False: none is known. */
bool story_failed(const StoryLife *l, char host[STORY_HOST]);
/* Joins it with the lines.  The last life, where it has not ended, lives at `now`, or was last heard then. */
void story_join(Story *s, const StepFile *lines, const Evals *evals, bool lives, double now);
