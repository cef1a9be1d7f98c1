/*
 * err.h -- an error that a user can cause: what, expected, got, where, hint, and the exit code
 *
 *     if (bad)
 *         return err_set(e, EXIT_DATA, "where it happened", "what to do about it", "what happened: %d", n);
 *     err_expected(e, ...), err_got(e, ...) may follow or precede; err_set keeps them.
 *
 * Functions of io and launch that can fail through input return bool and fill an Err; the first error wins
 * (err_set on a set Err does nothing).  Nobody prints but launch.  Local.
 */
#pragma once
#include "core/base.h"

typedef struct {
    int  code;                     /* an exit code of base.h; 0 = no error */
    int  error;                    /* errno of the system call that failed, or 0 */
    char what[512], expected[256], got[256], where[512], hint[256];
} Err;

/* Always returns false, so that callers can `return err_set(...)`.  where and hint may be "". */
bool err_set(Err *e, int code, const char *where, const char *hint, const char *what, ...)
    __attribute__((format(printf, 5, 6)));
bool err_expected(Err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool err_got(Err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
