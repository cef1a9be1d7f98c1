/*
 * home.h -- the program's own files: configurations and batch scripts, where it was built or where it was installed
 *
 *     built        TREE/build/asvr, TREE/build/debug/asvr     its data are TREE                    modules lie beside the program
 *     installed    PREFIX/bin/asvr                            its data are PREFIX/share/asvr       modules lie in PREFIX/lib/asvr
 *
 * Told by where the executable lies (a link to it counts for what it names), never compiled in: a tree may be moved, and DESTDIR, a package
 * and a container need nothing else.
 *
 * Local.  Tests: tests/launch/install.sh, tests/launch/submit.sh
 */
#pragma once
#include "io/base/files.h"

/* The executable. */
bool home_self(char out[PATH_ROOM], Err *e);
/* The file `name` of its data, as "slurm/job.sh"; false, and out is "", where there are none or it is not among them. */
bool home_file(char out[PATH_ROOM], const char *name);
/* True where `path` is not here (from the current folder) and its namesake among the data is: its whole path. */
bool home_instead(char out[PATH_ROOM], const char *path);
