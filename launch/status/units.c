#include "launch/status/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "launch/status/steplog.h"

const char *unit_clock(double seconds, char out[UNIT_WORD])
{
    const int64_t s = !(seconds >= 0 && seconds < STORY_LATEST) ? 0 : (int64_t)(seconds + 0.5), days = s / 86400;
    int n = days ? snprintf(out, UNIT_WORD, "%" PRId64 " day%s ", days, days == 1 ? "" : "s") : 0;
    if (s >= 3600)
        snprintf(out + n, (size_t)(UNIT_WORD - n), "%d:%02d:%02d", (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60));
    else
        snprintf(out + n, (size_t)(UNIT_WORD - n), "%d:%02d", (int)(s / 60), (int)(s % 60));
    return out;
}

const char *unit_span(double seconds, char out[UNIT_WORD])
{
    if (!(fabs(seconds) < 99.95))
        return unit_clock(seconds, out);
    snprintf(out, UNIT_WORD, "%.1f s", seconds);
    return out;
}

const char *unit_age(double seconds, char out[UNIT_WORD])
{
    const double s = fmax(0, seconds);
    if (s < 99.5)
        snprintf(out, UNIT_WORD, "%.0f s", s);
    else if (s < 99.5 * 60)
        snprintf(out, UNIT_WORD, "%.0f min", s / 60);
    else if (s < 48 * 3600)
        snprintf(out, UNIT_WORD, "%.0f h", s / 3600);
    else
        snprintf(out, UNIT_WORD, "%.0f days", s / 86400);
    return out;
}

const char *unit_date(double t, char out[UNIT_WORD])
{
    const time_t whole = t > 0 && t < STORY_LATEST ? (time_t)t : 0;
    struct tm parts;
    if (!whole || !localtime_r(&whole, &parts))
        return "?";
    strftime(out, UNIT_WORD, "%m-%d %H:%M:%S", &parts);
    return out;
}

const char *unit_bytes(double x, char out[UNIT_WORD])
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL };
    int k = 0;
    for (; x >= 1023.5 && unit[k + 1]; k++)
        x /= 1024;
    snprintf(out, UNIT_WORD, "%.*f %s", k && x < 99.5 ? 1 : 0, x, unit[k]);
    return out;
}
