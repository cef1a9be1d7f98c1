/*
 * guess.h -- what a user means by the words of `asvr init`: which source, which files, which folder of pictures
 *
 *     pictures/                     pictures with a .txt beside each: folder; or tar or parquet files: webdataset, parquet; or one JSON file:
 *                                   that, with its pictures below the folder
 *     mine.json, x.jsonl.zst        llava; coco where it has "images" and "annotations"
 *     "{00..99}.tar", *.parquet     webdataset, parquet
 *
 * Local.  Tests: tests/launch/init.sh
 */
#pragma once
#include "launch/init/look.h"

/* json, images, source: what --json, --images and --source said, or NULL; path (n): words without a flag.  EXIT_USAGE where that says
   nothing or two things, EXIT_DATA where there is no such file or nothing in it. */
bool guess(LookAt *at, const char *json, const char *images, const char *source, char *const *path, int n, Err *e);
