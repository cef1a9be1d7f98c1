#include "launch/report/axis.h"

#include <math.h>
#include <stdio.h>

Axis axis_linear(double lo, double hi) { return (Axis){ lo, hi, false }; }

Axis axis_padded(double lo, double hi)
{
    if (!isfinite(lo) || !isfinite(hi))
        return axis_linear(0, 1);
    const double room = hi > lo ? 0.06 * (hi - lo) : hi != 0 ? 0.1 * fabs(hi) : 1;
    return axis_linear(lo >= 0 ? fmax(0, lo - room) : lo - room, hi <= 0 && lo < 0 ? fmin(0, hi + room) : hi + room);
}

Axis axis_log(double lo, double hi)
{
    const double room = pow(hi / lo, 0.04);
    return (Axis){ lo / room, hi * room, true };
}

double axis_share(const Axis *a, double x)
{
    if (!(a->hi > a->lo))
        return 0.5;
    return a->log ? log(fmax(x, a->lo) / a->lo) / log(a->hi / a->lo) : (x - a->lo) / (a->hi - a->lo);
}

static int log_ticks(const Axis *a, double at[AXIS_TICKS])
{
    static const double minor[] = { 1, 2, 5 };
    const double decades = log10(a->hi / a->lo);
    const int every = decades > 6 ? (int)ceil(decades / 6) : 1, each = decades < 2.5 ? 3 : 1;
    int n = 0;
    for (int k = (int)floor(log10(a->lo)); k <= (int)ceil(log10(a->hi)); k++)
        for (int i = 0; i < each && n < AXIS_TICKS; i++) {
            const double x = minor[i] * pow(10, k);
            if (x >= a->lo && x <= a->hi && ((k % every) + every) % every == 0)
                at[n++] = x;
        }
    return n;
}

static double step_of(const Axis *a, int wanted)
{
    const double raw = (a->hi - a->lo) / wanted, ten = pow(10, floor(log10(raw))), m = raw / ten;
    return (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10) * ten;
}

int axis_ticks(const Axis *a, int wanted, double at[AXIS_TICKS])
{
    int n = 0;
    if (!(a->hi > a->lo)) {
        at[0] = a->lo;
        return 1;
    }
    if (a->log)
        return log_ticks(a, at);
    const double step = step_of(a, wanted);
    for (double k = ceil(a->lo / step - 1e-9); k * step <= a->hi + 1e-9 * step && n < AXIS_TICKS; k++)
        at[n++] = k * step + 0.0;                          /* no negative zero */
    return n;
}

void axis_word(const Axis *a, double x, char out[AXIS_WORD])
{
    const double most = fmax(fabs(a->lo), fabs(a->hi));
    const struct { double unit; const char *name; } si[] = { { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } };
    for (int i = 0; i < 3; i++)
        if (x != 0 && (a->log ? fabs(x) >= 10 * si[i].unit || (i == 0 && fabs(x) >= 1e9) : most >= 10 * si[i].unit)) {
            snprintf(out, AXIS_WORD, "%.6g%s", x / si[i].unit, si[i].name);
            return;
        }
    const double small = !a->log && fabs(x) < 1e-9 * most ? 0 : x;
    const int ten = small != 0 ? (int)floor(log10(fabs(small)) + 1e-9) : 0;
    if (small != 0 && (a->log ? ten < -2 : most < 1e-2))
        snprintf(out, AXIS_WORD, "%.3ge%d", small / pow(10, ten), ten);
    else
        snprintf(out, AXIS_WORD, "%.6g", small);
}
