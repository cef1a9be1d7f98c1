/*
 * stagewalk.h -- the configuration of a verb, read and judged; and of a file that lists stages one after the other
 *
 *     stages = ( { train: { stage = "contrast"; ... }; ... }, { train: { stage = "tokenizer"; ... }; ... }, ... );
 *
 *     train     goes through them in their order, each with a run.dir of its own, and ends with the first that is not done; the same
 *               command goes on there.  A stage that is done, with this configuration and data set, is passed over.  What a stage reads and
 *               is not there yet is made first: import.to from import.from, data.set by what pack does.
 *     pack      packs each data set that they name, once
 *     others    take the last one
 *
 * --set train.stage names one: then there are no others.  All are judged before the first begins.
 *
 * Tests: tests/launch/stages.sh
 */
#pragma once
#include "launch/words.h"

/* Reads and judges the configuration for w->verb, as config_load_stage takes `stage`; prints what is wrong.  ranks: of this job.  Local. */
int stages_load(Config *c, const Words *w, int stage, int ranks);
/* The verb, by its configuration: its exit code, the same on all ranks.  Collective over all ranks. */
int stages_run(Config *c, const Words *w);
/* The run that a path means, for verbs that read runs: of a configuration, X.cfg, that of the last stage that has begun, and stderr says which;
   else the path itself.  NULL with EXIT_CONFIG where the file is no configuration, or no run of it has begun (EXIT_DATA).  Local. */
const char *stages_begun(char out[CONFIG_STRING], const char *path, Err *e);
