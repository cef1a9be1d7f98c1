/*
 * modules.h -- parts of the program that bring many libraries with them: shared objects, loaded when they are needed
 *
 * A module lies beside the executable, or in ../lib/asvr from there (`make install`), else in $ASVR_MODULES.  It has one table of functions, which begins with the version of the
 * header that it was built with and the table's size; another version is refused, as program and module are built apart.
 *
 * EXIT_CONFIG with a hint where there is none, its libraries are missing, or it is another version.  Local.
 * Tests: tests/io/image/test_image.c, tests/launch/sources.sh, tests/launch/install.sh
 */
#pragma once
#include "io/base/err.h"

typedef struct {
    const char *file, *symbol;     /* "asvr-image.so", "asvr_image_ops" */
    const char *what;              /* "the picture decoders" */
    const char *none, *libraries;  /* hints: how to build it; what to install where it does not load */
    int         version;
    size_t      size;
} Module;

/* The table, or NULL. */
const void *module_load(const Module *m, Err *e);
