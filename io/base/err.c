#include "io/base/err.h"

#include <stdarg.h>
#include <stdio.h>

bool err_set(Err *e, int code, const char *where, const char *hint, const char *what, ...)
{
    if (e->code)
        return false;
    e->code = code;
    snprintf(e->where, sizeof e->where, "%s", where);
    snprintf(e->hint, sizeof e->hint, "%s", hint);
    va_list ap;
    va_start(ap, what);
    vsnprintf(e->what, sizeof e->what, what, ap);
    va_end(ap);
    return false;
}

bool err_expected(Err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!e->expected[0])
        vsnprintf(e->expected, sizeof e->expected, fmt, ap);
    va_end(ap);
    return false;
}

bool err_got(Err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!e->got[0])
        vsnprintf(e->got, sizeof e->got, fmt, ap);
    va_end(ap);
    return false;
}
