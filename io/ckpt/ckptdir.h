/*
 * ckptdir.h -- the names in a checkpoint folder: step-00000100, .tmp-..., latest
 *
 *     best                a link to a step: the best one (launch/stepeval.h), which is not deleted
 *     .tmp-step-N         a save under way, or what a dead job left of one
 *     .tmp-old-step-N     step N, moved aside while another step N takes its place; put back if that never came
 *     .tmp-gone-step-N    a checkpoint being deleted
 *
 * Local.  Tests: tests/io/ckpt/test_ckpt.c
 */
#pragma once
#include "io/base/err.h"

#include <inttypes.h>

#define STEP_FORMAT "step-%08" PRId64

/* The steps of dir's checkpoints, newest first, to be freed.  A folder that is not there has none; one that cannot be
   read is EXIT_IO. */
bool ckptdir_list(const char *dir, int64_t **step, int *n, Err *e);
/* The step that the link `best` names, where it has a manifest; -1: none. */
int64_t ckptdir_best(const char *dir);
/* A link, so that whoever reads a checkpoint's folder can be given it by this name. */
bool ckptdir_name_best(const char *dir, int64_t step, Err *e);
