#include "launch/schedule.h"

#include <math.h>

double schedule_shape(const Config *c, int64_t step, int64_t steps)
{
    const double warmup = c->train.warmup < 1 ? ceil(c->train.warmup * (double)steps) : c->train.warmup;
    const double at = (double)step, rest = fmax(1, (double)steps - warmup);
    if (at < warmup)
        return (at + 1) / warmup;
    if (c->train.schedule == SCHEDULE_CONSTANT)
        return 1;
    return (1 + cos(3.14159265358979 * fmin(1, (at - warmup) / rest))) / 2;
}

double schedule_lr(const Config *c, int64_t step, int64_t steps)
{
    return c->train.lr * schedule_shape(c, step, steps);
}
